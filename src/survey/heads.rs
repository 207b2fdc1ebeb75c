//! The heads of a snapshot's state files: which states are in them, by which version of the format they were written, and
//! what their serializers are.
//!
//! One stream of each kind is read of each operator: all subtasks run the same code of the same release.

use crate::model::handle::{Incremental, KeyGroups};
use crate::model::{KeyedHandle, Location, Metadata, OperatorState, StreamHandle};
use crate::state::keyed::{KeyedBody, KeyedHeader};
use crate::state::meta::BackendStateType;
use crate::state::operator::OperatorHeader;
use crate::survey::Judge;
use crate::survey::references::Place;
use crate::survey::resolve::Resolver;
use crate::wire::Reader;
use std::collections::BTreeSet;

/// A head is looked for in so many bytes at first, and then in so many.
const HEAD_BYTES: [u64; 2] = [16 << 10, 1 << 20];
/// `KryoSerializerSnapshot`, by its name in a head.
const KRYO: &[u8] = b"typeutils.runtime.kryo.KryoSerializerSnapshot";

/// The version and the magic number at the end of a table file.
const FOOTER_END: u64 = 12;
/// `kBlockBasedTableMagicNumber` as it lies in the file.
const TABLE_MAGIC: &[u8] = &0x88e2_41b7_85f4_cff7_u64.to_le_bytes();

/// What the heads of one operator's state files say.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Heads {
    /// Version of the head of operator state, and whether its elements are compressed.
    pub operator_state: Option<(i32, bool)>,
    /// Version of the head of keyed state.
    pub keyed: Option<i32>,
    /// What is behind the head of keyed state, for handles that do not say it.
    pub body: Option<KeyedBody>,
    /// The head of operator state, where it was understood.
    pub operator_header: Option<OperatorHeader>,
    /// The head of keyed state, where it was understood.
    pub keyed_header: Option<KeyedHeader>,
    /// Names of all states, from heads and handles.
    pub states: BTreeSet<String>,
    /// Whether a serializer is Kryo.
    pub kryo: bool,
    /// Whether keyed state is of the asynchronous interface of Flink 2.
    pub asynchronous: bool,
    /// `format_version` of the newest table file of a database.
    pub table_format: Option<u32>,
    /// Why a head could not be read, one for each that could not.
    pub unread: Vec<String>,
}

/// Reads the heads of each operator, in the order of the `_metadata`.
pub fn read<'m>(judge: &Judge<'_>, metadata: &'m Metadata<'m>, dir: &Location) -> Vec<Heads> {
    let mut files = Files { judge, resolver: Resolver::new(judge.exclusive(dir)) };
    metadata.operators.iter().map(|operator| of_operator(&mut files, operator)).collect()
}

fn of_operator<'m>(files: &mut Files<'_, '_, 'm>, operator: &'m OperatorState<'m>) -> Heads {
    let mut heads = Heads::default();
    let states = || operator.subtasks().iter().filter_map(|subtask| subtask.state.as_deref());
    for (_, handle) in states().flat_map(|state| state.operator_handles().filter(|(raw, _)| !raw)) {
        heads.states.extend(handle.states.iter().map(|state| state.name.to_str().into_owned()));
        if heads.operator_state.is_none() && handle.stream.state_size() != 0 {
            operator_head(files, &handle.stream, &mut heads);
        }
    }
    for handle in states().filter_map(|state| state.managed_keyed.as_deref()) {
        if heads.keyed.is_none() {
            keyed_heads(files, handle, &mut heads);
        }
        if heads.body.is_none() {
            each_key_groups(handle, &mut |groups| match body(files, groups) {
                Ok(body) => heads.body = heads.body.or(body),
                Err(why) => heads.unread.push(why),
            });
        }
    }
    heads
}

fn operator_head<'m>(files: &mut Files<'_, '_, 'm>, stream: &StreamHandle<'m>, heads: &mut Heads) {
    let read = files.head(stream, |bytes| {
        let mut input = Reader::new(bytes, "operator state");
        OperatorHeader::read(&mut input).map(|head| (head, input.offset()))
    });
    match read {
        Err(why) => heads.unread.push(why),
        Ok((bytes, head)) => {
            heads.kryo |= contains(&bytes, KRYO);
            heads.operator_state = match &head {
                Some(head) => Some((head.version, head.compressed)),
                // A serializer that is not known here: its version and flag come before.
                None => first_int(&bytes).map(|version| (version, version >= 6 && bytes.get(4) == Some(&1))),
            };
            heads.operator_header = head;
        }
    }
}

fn keyed_heads<'m>(files: &mut Files<'_, '_, 'm>, handle: &KeyedHandle<'m>, heads: &mut Heads) {
    let stream = match handle {
        KeyedHandle::KeyGroups(groups) => &groups.stream,
        KeyedHandle::Incremental(database) => {
            match table_format(files, database) {
                Ok(format) => heads.table_format = format,
                Err(why) => heads.unread.push(why),
            }
            &database.meta
        }
        KeyedHandle::Changelog(changelog) => {
            return changelog.materialized.iter().flatten().for_each(|part| keyed_heads(files, part, heads));
        }
        KeyedHandle::ChangesInMemory(_) | KeyedHandle::ChangesInFiles(_) => return,
    };
    let read = files.head(stream, |bytes| {
        let mut input = Reader::new(bytes, "keyed state");
        KeyedHeader::read(&mut input).map(|head| (head, input.offset()))
    });
    match read {
        Err(why) => heads.unread.push(why),
        Ok((bytes, head)) => {
            heads.kryo |= contains(&bytes, KRYO);
            heads.keyed = first_int(&bytes);
            let states = head.as_ref().map(|head| head.states.as_slice()).unwrap_or_default();
            heads.asynchronous |= states.iter().any(|state| state.kind == BackendStateType::KeyValueV2);
            heads.states.extend(states.iter().map(|state| state.name.clone()));
            heads.keyed_header = head;
        }
    }
}

/// `format_version` at the end of the newest table file, the one of the highest number (RocksDB's `Footer`).
fn table_format<'m>(files: &mut Files<'_, '_, 'm>, database: &Incremental<'m>) -> Result<Option<u32>, String> {
    let tables = database.shared.iter().filter(|file| file.local_path.to_str().ends_with(".sst"));
    let Some(newest) = tables.max_by_key(|file| file.local_path.to_str().into_owned()) else { return Ok(None) };
    let size = u64::try_from(newest.stream.state_size()).unwrap_or(0);
    let end = files.range(&newest.stream, size.saturating_sub(FOOTER_END), FOOTER_END)?;
    let Some((version, magic)) = end.split_first_chunk::<4>() else { return Ok(None) };
    Ok((magic == TABLE_MAGIC).then(|| u32::from_le_bytes(*version)))
}

fn each_key_groups<'h, 'm>(handle: &'h KeyedHandle<'m>, each: &mut dyn FnMut(&'h KeyGroups<'m>)) {
    match handle {
        KeyedHandle::KeyGroups(groups) => each(groups),
        KeyedHandle::Changelog(changelog) => {
            changelog.materialized.iter().flatten().for_each(|part| each_key_groups(part, each));
        }
        _ => {}
    }
}

/// Which body a key-group stream has; `None` where its key groups do not tell.
fn body<'m>(files: &mut Files<'_, '_, 'm>, groups: &KeyGroups<'m>) -> Result<Option<KeyedBody>, String> {
    let telling = groups.numbered().find(|(key_group, offset)| *key_group != 0 || *offset == 0);
    let Some((key_group, offset)) = telling else { return Ok(None) };
    if offset == 0 {
        return Ok(Some(KeyedBody::Canonical));
    }
    let piece = files.range(&groups.stream, u64::try_from(offset).unwrap_or(u64::MAX), 4)?;
    Ok(first_int(&piece).map(|number| if number == key_group { KeyedBody::Heap } else { KeyedBody::Canonical }))
}

fn first_int(bytes: &[u8]) -> Option<i32> {
    bytes.first_chunk::<4>().map(|bytes| i32::from_be_bytes(*bytes))
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Reads streams where they are.
struct Files<'j, 's, 'm> {
    judge: &'j Judge<'s>,
    resolver: Resolver<'m>,
}

impl<'m> Files<'_, '_, 'm> {
    /// The bytes of a head and what it says; `None` for one with content that is not understood, with the bytes that were
    /// read of it.
    fn head<T>(
        &mut self,
        stream: &StreamHandle<'m>,
        read: impl Fn(&[u8]) -> crate::wire::Decoded<(T, u64)>,
    ) -> Result<(Vec<u8>, Option<T>), String> {
        let mut bytes = Vec::new();
        for size in HEAD_BYTES {
            bytes = self.range(stream, 0, size)?;
            match read(&bytes) {
                Ok((head, length)) => {
                    bytes.truncate(usize::try_from(length).unwrap_or(usize::MAX));
                    return Ok((bytes, Some(head)));
                }
                Err(_) if bytes.len() as u64 == size => {}
                Err(_) => break,
            }
        }
        Ok((bytes, None))
    }

    /// At most `length` bytes of a stream.
    fn range(&mut self, stream: &StreamHandle<'m>, offset: u64, length: u64) -> Result<Vec<u8>, String> {
        let (place, start, size) = match stream {
            StreamHandle::Bytes(stream) => {
                let rest =
                    usize::try_from(offset).ok().and_then(|offset| stream.data.get(offset..)).unwrap_or_default();
                return Ok(rest.iter().copied().take(usize::try_from(length).unwrap_or(usize::MAX)).collect());
            }
            StreamHandle::EmptySegment => return Ok(Vec::new()),
            StreamHandle::KeyGroups(groups) => return self.range(&groups.stream, offset, length),
            StreamHandle::File { path, .. } => (Place::Absolute(path.clone()), 0, u64::MAX),
            StreamHandle::Relative { path, .. } => (Place::Relative(path.clone()), 0, u64::MAX),
            StreamHandle::Segment(segment) => {
                let unsigned = |value: i64| u64::try_from(value).unwrap_or(0);
                (Place::Absolute(segment.path.clone()), unsigned(segment.start), unsigned(segment.size))
            }
        };
        let file = self.resolver.resolve(&place).map_err(|error| error.to_string())?;
        let place = self.judge.maps.here(&self.resolver.location(&file));
        let length = length.min(size.saturating_sub(offset));
        let read = self.judge.inventory.storage().read_range(&place, start.saturating_add(offset), length);
        read.map_err(|error| error.to_string())
    }
}
