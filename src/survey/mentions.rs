//! Names of files inside operator state. A write-ahead sink keeps its handles there, serialised by Java
//! (`GenericWriteAheadSink`), where no walk over a `_metadata` sees them.

use super::catalog::SnapshotDir;
use super::references::Place;
use super::resolve::Resolver;
use super::verify::{Judge, METADATA_LIMIT};
use crate::format;
use crate::model::{OperatorHandle, StreamHandle};
use crate::state::operator::OperatorReader;
use crate::wire::{DecodeError, Reader};
use foldhash::HashSet;
use std::borrow::Cow;

/// Operator state larger than this is not searched.
const STATE_LIMIT: u64 = 1 << 30;
/// The same where it is compressed, at most 22 to 1.
const COMPRESSED_LIMIT: u64 = 32 << 20;

/// The length of a UUID as text.
const LENGTH: usize = 36;

/// Which of `wanted`, names that are UUIDs, the operator state of a snapshot mentions.
///
/// # Errors
/// In words, where not all of it can be searched: a file cannot be read, is too large, or is damaged.
pub fn mentioned<'w>(
    judge: &Judge<'_>,
    snapshot: &SnapshotDir,
    wanted: &HashSet<&'w str>,
) -> Result<Vec<&'w str>, String> {
    let storage = judge.inventory.storage();
    let bytes = storage.read(&snapshot.metadata_file, METADATA_LIMIT).map_err(|error| error.to_string())?;
    let metadata = format::decode(&bytes).map_err(|error| error.to_string())?;
    let resolver = Resolver::new(judge.exclusive(&snapshot.dir));
    let mut search = Search { judge, resolver, wanted, found: Vec::new() };
    let mut problem = None;
    let mut look = |searched: Result<(), String>| problem = problem.take().or(searched.err());
    for operator in &metadata.operators {
        if let Some(stream) = &operator.coordinator {
            look(search.stream(stream).map(|bytes| search_in(&bytes, wanted, &mut search.found)));
        }
        let states = operator.subtasks().iter().filter_map(|subtask| subtask.state.as_deref());
        for (raw, handle) in states.flat_map(|state| state.operator_handles()) {
            look(search.handle(raw, handle));
        }
    }
    match problem {
        Some(problem) => Err(problem),
        None => Ok(search.found),
    }
}

struct Search<'r, 's, 'm, 'w> {
    judge: &'r Judge<'s>,
    resolver: Resolver<'m>,
    wanted: &'r HashSet<&'w str>,
    found: Vec<&'w str>,
}

impl<'m, 'w> Search<'_, '_, 'm, 'w> {
    fn handle(&mut self, raw: bool, handle: &OperatorHandle<'m>) -> Result<(), String> {
        let bytes = self.stream(&handle.stream)?;
        search_in(&bytes, self.wanted, &mut self.found);
        // `OperatorBackendSerializationProxy`: the version, and from 6 on whether elements are compressed.
        let version = bytes.first_chunk().map(|head| i32::from_be_bytes(*head));
        if raw || version.is_none_or(|version| version < 6) || bytes.get(4) == Some(&0) {
            return Ok(());
        }
        if bytes.len() as u64 > COMPRESSED_LIMIT {
            return Err(format!("compressed operator state of more than {COMPRESSED_LIMIT} bytes is not searched"));
        }
        let compressed = |error: Box<DecodeError>| format!("compressed operator state cannot be searched: {error}");
        let reader = OperatorReader::new(&bytes, &handle.states).map_err(compressed)?;
        for &offset in handle.states.iter().flat_map(|state| &state.offsets) {
            let mut search = |element: &mut Reader<'_>| {
                search_in(element.take(element.left())?, self.wanted, &mut self.found);
                Ok(())
            };
            reader.at(offset, &mut search).map_err(compressed)?;
        }
        Ok(())
    }

    /// All bytes of a stream.
    fn stream(&mut self, stream: &StreamHandle<'m>) -> Result<Cow<'m, [u8]>, String> {
        let (place, segment) = match stream {
            StreamHandle::Bytes(stream) => return Ok(stream.data.clone()),
            StreamHandle::File { path, .. } => (Place::Absolute(path.clone()), None),
            StreamHandle::Relative { path, .. } => (Place::Relative(path.clone()), None),
            StreamHandle::Segment(segment) => {
                (Place::Absolute(segment.path.clone()), Some((segment.start, segment.size)))
            }
            StreamHandle::KeyGroups(groups) => return self.stream(&groups.stream),
            StreamHandle::EmptySegment => return Ok(Cow::Borrowed(&[])),
        };
        let file = self.resolver.resolve(&place).map_err(|error| error.to_string())?;
        let file = self.judge.maps.here(&self.resolver.location(&file));
        let storage = self.judge.inventory.storage();
        let bytes = match segment {
            None => storage.read(&file, STATE_LIMIT),
            Some((start, size)) => {
                let (Ok(start), Ok(size)) = (u64::try_from(start), u64::try_from(size)) else {
                    return Err(format!("{file}: a segment with a negative offset or length"));
                };
                if size > STATE_LIMIT {
                    return Err(format!("{file}: operator state of more than {STATE_LIMIT} bytes is not searched"));
                }
                let bytes = storage.read_range(&file, start, size).map_err(|error| error.to_string())?;
                if bytes.len() as u64 != size {
                    return Err(format!("{file}: it ends before a segment of it does"));
                }
                Ok(bytes)
            }
        };
        bytes.map(Cow::Owned).map_err(|error| error.to_string())
    }
}

/// Looks for names in plain bytes.
fn search_in<'w>(bytes: &[u8], wanted: &HashSet<&'w str>, found: &mut Vec<&'w str>) {
    for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'-') {
        // The first dash of a UUID is its ninth character.
        let window = at.checked_sub(8).and_then(|start| bytes.get(start..start.checked_add(LENGTH)?));
        let name = window.and_then(|window| std::str::from_utf8(window).ok()).and_then(|text| wanted.get(text));
        found.extend(name);
    }
}
