//! An SST file from its footer to its first byte: every block against its checksum, every byte in its place.
//!
//! The order is that of `BlockBasedTable::Open`: footer, metaindex, properties, index. Then the data blocks are read in
//! the order of the index, which is the order of the file, in large steps. Blocks and footer must tile the file.

use super::block::{Entries, Handle, Values};
use super::bytes::Bytes;
use super::checksum::ChecksumKind;
use super::compression::Compression;
use super::footer::{self, Footer};
use super::index::{Index, Layout};
use super::load::{Bad, Blocks, length, verify};
use super::properties::Properties;
use super::source::Window;
use super::tiles::Tiles;
use super::walk::{Walk, check_counts, check_layout, filter_fits};
use super::{collect, damage};
use crate::model::{Checked, Damage, Effect};
use crate::wire::ReadAt;
use std::io;

/// The metaindex of a file has about five entries.
const MOST_META: usize = 1000;

/// What an SST file is, and what is wrong with it.
#[derive(Debug, Clone, Default)]
pub struct SstSummary {
    /// What is damaged.
    pub checked: Checked,
    /// The format version in the footer; 0 is the footer without a version (Flink up to 1.13).
    pub format_version: Option<u32>,
    /// What the blocks are checked by.
    pub checksum: Option<ChecksumKind>,
    /// The compressions of data blocks, each once.
    pub compressions: Vec<Compression>,
    /// Data blocks that the index names.
    pub data_blocks: u64,
    /// Bytes of the data blocks, as stored.
    pub data_size: u64,
    /// Entries, deletions among them, as the properties count them.
    pub entries: Option<u64>,
    /// Deletions among the entries.
    pub deletions: Option<u64>,
    /// Deletions of ranges among the entries.
    pub range_deletions: Option<u64>,
    /// The column family that the file was written for: the name of a state.
    pub column_family: Option<String>,
    /// Its id.
    pub column_family_id: Option<u64>,
    /// The order of its keys, `leveldb.BytewiseComparator` for Flink.
    pub comparator: Option<String>,
    /// What merges values, `StringAppendTESTOperator` for Flink.
    pub merge_operator: Option<String>,
    /// The compression asked for, which small blocks do without.
    pub compression: Option<String>,
    /// The database that wrote it (`rocksdb.creating.db.identity`).
    pub database: Option<String>,
    /// The run of that database (`rocksdb.creating.session.identity`).
    pub session: Option<String>,
    /// The number of the file in that database, from RocksDB 6.26 on.
    pub original_number: Option<u64>,
    /// When it was begun, in seconds since 1970.
    pub creation_time: Option<u64>,
}

/// Why reading ends before the end of the file.
enum Stop {
    Io(io::Error),
    Damaged(Damage),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Stop::Io(error)
    }
}

impl From<Damage> for Stop {
    fn from(damage: Damage) -> Self {
        Stop::Damaged(damage)
    }
}

/// Reads an SST file to its end and judges it. `progress` is told bytes as they are done; together they are its size.
///
/// Every byte is accounted for: a flipped one is found wherever blocks have checksums. The exception is a format version
/// in the footer that the same bytes could have: 4 for 5 in a file without filters, and among 1 to 4 where neither the
/// index nor compressed blocks tell. RocksDB reads such a file as if nothing had happened. Damage that keeps RocksDB from opening the file
/// [`Fails`](Effect::Fails); a data block or a filter is only looked at when it is needed, so that damage there
/// [`Starts`](Effect::Starts). An index counts as needed: with Flink's managed memory RocksDB reads that of a file of
/// level 1 and more on its first use, and fails then. Data blocks of timers count as needed too: Flink reads the head of each
/// key group's queue when it restores (`RocksDBCachingPriorityQueueSet`), and all of it where the queue is short.
///
/// # Errors
/// When the storage fails, which says nothing about the file.
pub fn check_sst(source: &dyn ReadAt, progress: &dyn Fn(u64)) -> Result<SstSummary, io::Error> {
    let mut summary = SstSummary::default();
    let size = source.size();
    let mut done = 0;
    let told = Told { progress, done: &mut done, size };
    match open(source, &mut summary).and_then(|sst| sst.check(&mut summary, told)) {
        Ok(()) => {}
        Err(Stop::Damaged(damage)) => collect(&mut summary.checked.damages, damage),
        Err(Stop::Io(error)) => return Err(error),
    }
    if summary.column_family.as_ref().is_some_and(|name| name.starts_with(TIMERS)) {
        let blocks = summary.checked.damages.iter_mut().filter(|damage| damage.section.starts_with(DATA_BLOCK));
        blocks.for_each(|damage| damage.effect = Effect::Fails);
    }
    progress(size.saturating_sub(done));
    Ok(summary)
}

/// What the sections of damaged data blocks start with.
const DATA_BLOCK: &str = "data block ";
/// What the names of the column families of timers start with (`InternalTimeServiceManagerImpl.TIMER_STATE_PREFIX`).
const TIMERS: &str = "_timer_state/";

struct Told<'p> {
    progress: &'p dyn Fn(u64),
    done: &'p mut u64,
    size: u64,
}

impl Told<'_> {
    /// Tells the bytes up to `position`, from time to time.
    fn reached(&mut self, position: u64) {
        // A damaged index may name a block that ends behind the file.
        let position = position.min(self.size);
        let more = position.saturating_sub(*self.done);
        if more >= 1 << 20 {
            (self.progress)(more);
            *self.done = position;
        }
    }
}

fn open<'s>(source: &'s dyn ReadAt, summary: &mut SstSummary) -> Result<Sst<'s>, Stop> {
    let size = source.size();
    let mut window = Window::new(source);
    let len = footer::MOST.min(usize::try_from(size).unwrap_or(usize::MAX));
    let tail = window.get(size.saturating_sub(len as u64), len)?.unwrap_or_default().to_vec();
    let footer = footer::read(&tail, size, &mut summary.checked.damages)?;
    summary.format_version = Some(footer.version);
    summary.checksum = Some(footer.checksum);
    Ok(Sst { blocks: Blocks::new(window, footer, size), data: Window::new(source), footer, tiles: Tiles::default() })
}

struct Sst<'s> {
    blocks: Blocks<'s>,
    data: Window<'s>,
    footer: Footer,
    tiles: Tiles,
}

impl Sst<'_> {
    fn check(mut self, summary: &mut SstSummary, mut told: Told<'_>) -> Result<(), Stop> {
        let mut block = Vec::new();
        let metas = self.metaindex(&mut block)?;
        let mut seen = Vec::new();
        let mut index = self.footer.index;
        let mut properties = None;
        let mut filters = Vec::new();
        let mut walk = Walk::default();
        for (name, handle) in metas {
            match name.as_str() {
                "rocksdb.index" if index.is_none() => {
                    index = Some(handle);
                    continue;
                }
                name if name.starts_with("partitionedfilter.") => {
                    filters.push(handle);
                    continue;
                }
                _ => {}
            }
            let at = handle.offset;
            let loaded = self.blocks.load(handle, &mut block)?;
            self.tiles.add(handle);
            match name.as_str() {
                "rocksdb.properties" | "rocksdb.stats" => {
                    // FRocksDB 5.17, which alone writes version 0, warns and goes on.
                    let effect = if self.footer.version == 0 { Effect::Starts } else { Effect::Fails };
                    let read = loaded.and_then(|()| Properties::read(&block).map_err(Bad::Damaged));
                    match read {
                        Ok(read) => properties = Some(read),
                        Err(bad) => collect(&mut seen, bad.into_damage(effect, "properties", at)),
                    }
                }
                "rocksdb.range_del" => {
                    let read = loaded.and_then(|()| walk.entries(&block, None).map_err(Bad::Damaged));
                    if let Err(bad) = read {
                        collect(&mut seen, bad.into_damage(Effect::Fails, "range deletions", at));
                    }
                }
                "rocksdb.compression_dict" => {
                    walk.dictionary = true;
                    if let Err(bad) = loaded {
                        collect(&mut seen, bad.into_damage(Effect::Fails, "compression dictionary", at));
                    }
                }
                name => {
                    let read = loaded.and_then(|()| match name.starts_with("fullfilter.") {
                        true => filter_fits(&block, self.footer.version).map_err(Bad::Damaged),
                        false => Ok(()),
                    });
                    if let Err(bad) = read {
                        collect(&mut seen, bad.into_damage(Effect::Starts, &format!("block {name}"), at));
                    }
                }
            }
        }
        let known = properties.is_some();
        let properties = properties.unwrap_or_default();
        describe(summary, &properties);
        check_layout(&properties, self.footer, &mut seen);
        let layout = Layout {
            user_keys: properties.index_user_keys,
            deltas: properties.index_deltas,
            first_key: properties.index_type == 3,
            bytewise: properties.comparator.as_deref() == Some("leveldb.BytewiseComparator"),
        };
        for handle in filters {
            let layout = Layout { first_key: false, ..layout };
            self.partitions(handle, layout, "filter", Effect::Starts, &mut seen, |sst, handle, block, seen| {
                if let Err(problem) = filter_fits(block, sst.footer.version) {
                    collect(seen, damage(Effect::Starts, "filter", handle.offset, problem));
                }
                Ok(())
            })?;
        }
        match index {
            Some(index) if known || self.footer.version == 0 => {
                walk.bytewise = layout.bytewise;
                let kind = properties.index_type;
                self.data_blocks(index, layout, kind, &mut walk, &mut seen, &mut told)?;
            }
            Some(_) => {
                let opaque = "without properties the index cannot be read: data blocks were not checked";
                summary.checked.opaque.push(opaque.to_owned());
                self.tiles.incomplete();
            }
            None => {
                let at = self.footer.metaindex.offset;
                collect(&mut seen, damage(Effect::Fails, "metaindex", at, "it names no index"));
                self.tiles.incomplete();
            }
        }
        summary.data_blocks = walk.blocks;
        summary.data_size = walk.end;
        summary.compressions = Compression::ALL.into_iter().filter(|kind| walk.has(*kind)).collect();
        if walk.complete {
            check_counts(&properties, &walk, self.footer, &mut seen);
        }
        summary.checked.opaque.append(&mut walk.opaque);
        self.tiles.check(&mut self.data, self.footer.start, &mut seen)?;
        seen.into_iter().for_each(|damage| collect(&mut summary.checked.damages, damage));
        summary.checked.damages.sort_by_key(|damage| damage.offset);
        Ok(())
    }

    /// The names and places of blocks that are no data.
    fn metaindex(&mut self, block: &mut Vec<u8>) -> Result<Vec<(String, Handle)>, Stop> {
        let place = self.footer.metaindex;
        let fails = |bad: Bad| bad.into_damage(Effect::Fails, "metaindex", place.offset);
        self.blocks.load(place, block)?.map_err(fails)?;
        self.tiles.add(place);
        let broken = |problem: String| fails(Bad::Damaged(problem));
        let mut entries = Entries::new(block, Values::WithLength).map_err(broken)?;
        let mut metas = Vec::new();
        while entries.next().map_err(broken)?.is_some() {
            let name = String::from_utf8_lossy(entries.key()).into_owned();
            let mut value = Bytes::new(entries.value());
            let handle = Handle::read(&mut value).filter(|_| value.is_empty());
            let handle = handle.ok_or_else(|| broken(format!("the place of {name} cannot be read")))?;
            if metas.len() == MOST_META {
                return Err(fails(Bad::Unknown(format!("more than {MOST_META} blocks are named"))).into());
            }
            metas.push((name, handle));
        }
        Ok(metas)
    }

    /// Reads an index whose entries are blocks other than data blocks, and each of those.
    fn partitions(
        &mut self,
        top: Handle,
        layout: Layout,
        what: &str,
        effect: Effect,
        seen: &mut Vec<Damage>,
        mut each: impl FnMut(&mut Self, Handle, &[u8], &mut Vec<Damage>) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let (mut block, mut partition) = (Vec::new(), Vec::new());
        let section = format!("top {what}");
        let at = |bad: Bad| bad.into_damage(effect, &section, top.offset);
        if let Err(bad) = self.blocks.load(top, &mut block)? {
            self.tiles.incomplete();
            collect(seen, at(bad));
            return Ok(());
        }
        self.tiles.add(top);
        let mut index = match Index::new(&block, layout) {
            Ok(index) => index,
            Err(problem) => return Err(at(Bad::Damaged(problem)).into()),
        };
        let mut number = 0_u64;
        let mut end = 0;
        while let Some(handle) = index.next().map_err(|problem| at(Bad::Damaged(problem)))? {
            if handle.offset < end {
                return Err(at(Bad::Damaged(format!("partition {number} is not behind the last one"))).into());
            }
            end = handle.end().unwrap_or(u64::MAX);
            self.tiles.add(handle);
            match self.blocks.load(handle, &mut partition)? {
                Ok(()) => each(self, handle, &partition, seen)?,
                Err(bad) => {
                    self.tiles.incomplete();
                    collect(seen, bad.into_damage(effect, &format!("{what} partition {number}"), handle.offset));
                }
            }
            number = number.saturating_add(1);
        }
        Ok(())
    }

    fn data_blocks(
        &mut self,
        top: Handle,
        layout: Layout,
        kind: u32,
        walk: &mut Walk,
        seen: &mut Vec<Damage>,
        told: &mut Told<'_>,
    ) -> Result<(), Stop> {
        walk.complete = true;
        if kind == 2 {
            // kTwoLevelIndexSearch; the first keys that another kind may have are not in the upper level.
            let before = seen.len();
            let result = self.partitions(top, layout, "index", Effect::Fails, seen, |sst, handle, block, seen| {
                sst.walk_index(block, handle, layout, walk, seen, told)
            });
            walk.complete &= seen.iter().skip(before).all(|damage| !damage.section.contains("index"));
            return result;
        }
        let mut block = Vec::new();
        match self.blocks.load(top, &mut block)? {
            Ok(()) => {
                self.tiles.add(top);
                self.walk_index(&block, top, layout, walk, seen, told)
            }
            Err(bad) => {
                walk.complete = false;
                self.tiles.incomplete();
                collect(seen, bad.into_damage(Effect::Fails, "index", top.offset));
                Ok(())
            }
        }
    }

    fn walk_index(
        &mut self,
        block: &[u8],
        place: Handle,
        layout: Layout,
        walk: &mut Walk,
        seen: &mut Vec<Damage>,
        told: &mut Told<'_>,
    ) -> Result<(), Stop> {
        let broken = |problem: String| damage(Effect::Fails, "index", place.offset, problem);
        let mut index = Index::new(block, layout).map_err(broken)?;
        while let Some(handle) = index.next().map_err(broken)? {
            if handle.offset < walk.end {
                return Err(broken(format!("data block {} is not behind the last one", walk.blocks)).into());
            }
            self.tiles.add(handle);
            if let Err(bad) = self.data_block(handle, walk)? {
                let section = format!("{DATA_BLOCK}{}", walk.blocks);
                collect(seen, bad.into_damage(Effect::Starts, &section, handle.offset));
            }
            walk.end = handle.end().unwrap_or(u64::MAX);
            walk.blocks = walk.blocks.saturating_add(1);
            told.reached(walk.end);
        }
        Ok(())
    }

    #[inline]
    fn data_block(&mut self, handle: Handle, walk: &mut Walk) -> Result<Result<(), Bad>, io::Error> {
        let len = match length(handle, &self.footer) {
            Ok(len) => len,
            Err(bad) => return Ok(Err(bad)),
        };
        let block = self.data.get(handle.offset, len)?.unwrap_or_default();
        let (content, kind) = match verify(block, handle.offset, &self.footer) {
            Ok(block) => block,
            Err(bad) => return Ok(Err(bad)),
        };
        let Some(compression) = Compression::from_byte(kind) else {
            return Ok(Err(Bad::Unknown(format!("{kind} is no compression that is known"))));
        };
        walk.compressions |= 1_u32.wrapping_shl(compression as u32);
        if self.footer.checksum == ChecksumKind::None {
            return Ok(walk.unsummed(content, compression, &self.footer));
        }
        Ok(Ok(()))
    }
}

fn describe(summary: &mut SstSummary, properties: &Properties) {
    summary.entries = properties.entries;
    summary.deletions = properties.deletions;
    summary.range_deletions = properties.range_deletions;
    summary.column_family.clone_from(&properties.column_family);
    summary.column_family_id = properties.column_family_id;
    summary.comparator.clone_from(&properties.comparator);
    summary.merge_operator.clone_from(&properties.merge_operator);
    summary.compression.clone_from(&properties.compression);
    summary.database.clone_from(&properties.database);
    summary.session.clone_from(&properties.session);
    summary.original_number = properties.original_number;
    summary.creation_time = properties.creation_time;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn no_more_bytes_are_told_of_than_there_are() {
        let (told, mut done) = (Cell::new(0), 0);
        let progress = |more| told.set(told.get() + more);
        Told { progress: &progress, done: &mut done, size: 3 << 20 }.reached(1 << 40);
        assert_eq!((told.get(), done), (3 << 20, 3 << 20));
    }
}
