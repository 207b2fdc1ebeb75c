//! Names of files inside operator state. A write-ahead sink keeps its handles there, serialised by Java
//! (`GenericWriteAheadSink`), where no walk over a `_metadata` sees them.

use super::catalog::SnapshotDir;
use super::references::{StateKind, walk_streams};
use super::resolve::Resolver;
use super::verify::{Judge, METADATA_LIMIT};
use crate::format;
use crate::model::{Location, StreamHandle};
use foldhash::{HashMap, HashMapExt as _, HashSet};

/// Operator state larger than this is not searched.
const STATE_LIMIT: u64 = 1 << 30;

/// The length of a UUID as text.
const LENGTH: usize = 36;

/// Which of `wanted`, names that are UUIDs, the operator state of a snapshot mentions.
///
/// # Errors
/// In words, where not all of it can be searched: a file cannot be read, is too large, or is compressed.
pub fn mentioned<'w>(
    judge: &Judge<'_>,
    snapshot: &SnapshotDir,
    wanted: &HashSet<&'w str>,
) -> Result<Vec<&'w str>, String> {
    let storage = judge.inventory.storage();
    let bytes = storage.read(&snapshot.metadata_file, METADATA_LIMIT).map_err(|error| error.to_string())?;
    let metadata = format::decode(&bytes).map_err(|error| error.to_string())?;
    let mut resolver = Resolver::new(judge.exclusive(&snapshot.dir));
    let mut found = Vec::new();
    let mut problem = None;
    let mut files: HashMap<Location, ()> = HashMap::new();
    walk_streams(&metadata, |part, stream| {
        if !matches!(part.state, StateKind::ManagedOperator | StateKind::RawOperator | StateKind::Coordinator) {
            return;
        }
        let place = match stream {
            StreamHandle::Bytes(stream) => {
                problem = problem.take().or(search(part.state, &stream.data, wanted, &mut found).err());
                return;
            }
            StreamHandle::File { path, .. } => super::references::Place::Absolute(path.clone()),
            StreamHandle::Segment(segment) => super::references::Place::Absolute(segment.path.clone()),
            StreamHandle::Relative { path, .. } => super::references::Place::Relative(path.clone()),
            StreamHandle::EmptySegment | StreamHandle::KeyGroups(_) => return,
        };
        match resolver.resolve(&place).map(|file| judge.maps.here(&resolver.location(&file))) {
            Ok(file) => {
                files.insert(file, ());
            }
            Err(error) => problem = problem.take().or(Some(error.to_string())),
        }
        // Segments of one file start anywhere in it: only a stream of its own tells by its head whether it is compressed.
        if let StreamHandle::Segment(_) = stream {
            problem = problem.take().or(Some("operator state in merged files is not searched".to_owned()));
        }
    });
    for file in files.keys() {
        let searched = match storage.read(file, STATE_LIMIT) {
            Ok(bytes) => search(StateKind::ManagedOperator, &bytes, wanted, &mut found),
            Err(error) => Err(error.to_string()),
        };
        problem = problem.or(searched.err());
    }
    match problem {
        Some(problem) => Err(problem),
        None => Ok(found),
    }
}

fn search<'w>(
    state: StateKind,
    bytes: &[u8],
    wanted: &HashSet<&'w str>,
    found: &mut Vec<&'w str>,
) -> Result<(), String> {
    // `OperatorBackendSerializationProxy`: the version, and from 6 on whether elements are compressed.
    let version = bytes.first_chunk().map(|head| i32::from_be_bytes(*head));
    if state == StateKind::ManagedOperator && version.is_some_and(|version| version >= 6) && bytes.get(4) != Some(&0) {
        return Err("operator state is compressed, which is not searched".to_owned());
    }
    for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'-') {
        // The first dash of a UUID is its ninth character.
        let window = at.checked_sub(8).and_then(|start| bytes.get(start..start.checked_add(LENGTH)?));
        let name = window.and_then(|window| std::str::from_utf8(window).ok()).and_then(|text| wanted.get(text));
        found.extend(name);
    }
    Ok(())
}
