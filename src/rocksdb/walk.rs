//! What is learned on the way through an SST file, and whether it agrees with what the file says of itself.

use super::block::{Entries, Values};
use super::checksum::ChecksumKind;
use super::compression::{Compression, decompress};
use super::footer::Footer;
use super::load::{Bad, budget};
use super::properties::Properties;
use super::{MOST_BLOCK, collect, damage};
use crate::model::{Damage, Effect};

/// What is learned from data block to data block.
#[derive(Default)]
pub(super) struct Walk {
    /// The byte behind the last block.
    pub(super) end: u64,
    pub(super) blocks: u64,
    /// Every index was read.
    pub(super) complete: bool,
    pub(super) compressions: u32,
    pub(super) dictionary: bool,
    pub(super) bytewise: bool,
    pub(super) opaque: Vec<String>,
    // Only where there are no checksums:
    entries: u64,
    key_size: u64,
    value_size: u64,
    last_key: Vec<u8>,
    buffer: Vec<u8>,
    unread: bool,
    decompressed: u64,
}

impl Walk {
    pub(super) fn has(&self, kind: Compression) -> bool {
        self.compressions & 1_u32.wrapping_shl(kind as u32) != 0
    }

    /// A data block without checksum: what can be told is whether it can be read, and its keys are in order.
    pub(super) fn unsummed(&mut self, content: &[u8], kind: Compression, footer: &Footer) -> Result<(), Bad> {
        if self.dictionary && kind != Compression::None {
            self.unread = true;
            let opaque = "blocks without checksums are compressed with a dictionary: they were not read";
            if self.opaque.is_empty() {
                self.opaque.push(opaque.to_owned());
            }
            return Ok(());
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let left = budget(footer.start).saturating_sub(self.decompressed);
        let read = decompress(kind, content, footer.version, left.min(MOST_BLOCK), &mut buffer);
        self.decompressed = self.decompressed.saturating_add(buffer.len() as u64);
        let result = read.map_err(Bad::from).and_then(|()| {
            let ordered = self.bytewise;
            self.entries(&buffer, Some(ordered)).map_err(Bad::Damaged)
        });
        self.unread |= result.is_err();
        self.buffer = buffer;
        if self.opaque.is_empty() {
            self.opaque.push("blocks have no checksums: a changed value would not be seen".to_owned());
        }
        result
    }

    /// Reads the entries of a block. `ordered` says whether data must be in the order of its bytes.
    pub(super) fn entries(&mut self, block: &[u8], ordered: Option<bool>) -> Result<(), String> {
        let mut entries = Entries::new(block, Values::WithLength)?;
        while let Some(entry) = entries.next()? {
            let key = entries.key();
            let user_key = key.len().checked_sub(8).and_then(|len| key.get(..len));
            let user_key = user_key.ok_or_else(|| format!("the key at {} has no sequence number", entry.at))?;
            if ordered == Some(true) {
                if user_key < self.last_key.as_slice() {
                    return Err(format!("the key at {} is before the last one", entry.at));
                }
                self.last_key.clear();
                self.last_key.extend_from_slice(user_key);
            }
            self.entries = self.entries.saturating_add(1);
            self.key_size = self.key_size.saturating_add(key.len() as u64);
            self.value_size = self.value_size.saturating_add(entries.value().len() as u64);
        }
        Ok(())
    }
}

/// The properties that depend on the format version, and are written since the version has them.
pub(super) fn check_layout(properties: &Properties, footer: Footer, seen: &mut Vec<Damage>) {
    let needed = match (properties.index_user_keys, properties.index_deltas) {
        (_, true) => 4,
        (true, false) => 3,
        (false, false) => 0,
    };
    if footer.version < needed {
        let problem = format!("format version {} does not have the index that the file has", footer.version);
        collect(seen, damage(Effect::Starts, "footer", footer.start, problem));
    }
}

/// The marker of a Bloom filter depends on the format version (`BuiltinFilterPolicy`): 5 brought the one that begins
/// its metadata by -1; before, that byte is the number of probes.
pub(super) fn filter_fits(filter: &[u8], version: u32) -> Result<(), String> {
    let marker = filter.len().checked_sub(5).and_then(|at| filter.get(at));
    match marker {
        Some(0xff) if version < 5 => Err(format!("format version {version} does not have this kind of filter")),
        Some(1..=0x7f) if version >= 5 => Err(format!("the filter is older than format version {version}")),
        _ => Ok(()),
    }
}

/// What was counted, against the properties.
pub(super) fn check_counts(properties: &Properties, walk: &Walk, footer: Footer, seen: &mut Vec<Damage>) {
    let mut agree = |what: &str, said: Option<u64>, is: u64| {
        if let Some(said) = said
            && said != is
        {
            let problem = format!("they say {what} is {said}, it is {is}");
            collect(seen, damage(Effect::Starts, "properties", footer.metaindex.offset, problem));
        }
    };
    // The last block of a file that is padded (`block_align`, which is without deltas) is padded too.
    let padded = |said: &u64| !properties.index_deltas && *said > walk.end;
    agree("the number of data blocks", properties.data_blocks, walk.blocks);
    agree("the size of data blocks", properties.data_size.filter(|said| !padded(said)), walk.end);
    agree("the end of data blocks", properties.tail_start.filter(|said| *said != 0 && !padded(said)), walk.end);
    if footer.checksum == ChecksumKind::None && !walk.unread {
        agree("the number of entries", properties.entries, walk.entries);
        agree("the size of keys", properties.key_size, walk.key_size);
        agree("the size of values", properties.value_size, walk.value_size);
    }
}
