//! The state files of a snapshot, loaded.

use super::support::Case;
use chkctl::format;
use chkctl::model::handle::{KeyGroupsKind, KeyedHandle, OperatorHandle, OperatorStateInfo, StreamHandle};
use chkctl::state::KeyedBody;
use std::fs;
use std::path::Path;

/// A stream of keyed state that is divided by key group.
pub struct Keyed {
    pub from: String,
    pub bytes: Vec<u8>,
    pub body: KeyedBody,
    pub first: i32,
    pub offsets: Vec<i64>,
    pub max_parallelism: u16,
}

/// A stream of operator state with what its handle says of it.
pub struct Operator {
    pub from: String,
    pub bytes: Vec<u8>,
    pub states: Vec<OperatorStateInfo<'static>>,
}

/// An embedded database with its files, under the names that they get in its directory.
pub struct Database {
    pub from: String,
    pub meta: Vec<u8>,
    /// A file of a snapshot that is broken may be gone.
    pub files: Vec<(String, Option<Vec<u8>>)>,
}

#[derive(Default)]
pub struct Streams {
    pub keyed: Vec<Keyed>,
    pub databases: Vec<Database>,
    pub operator: Vec<Operator>,
}

fn load(case: &Case, metadata: &Path, stream: &StreamHandle<'_>) -> Option<Vec<u8>> {
    load_by(case, metadata, stream, |path| fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
}

fn load_by(
    case: &Case,
    metadata: &Path,
    stream: &StreamHandle<'_>,
    file: impl FnOnce(&Path) -> Vec<u8>,
) -> Option<Vec<u8>> {
    match stream {
        StreamHandle::Bytes(bytes) => Some(bytes.data.to_vec()),
        StreamHandle::File { path, .. } => Some(file(&case.here(&path.to_str()))),
        StreamHandle::Relative { path, .. } => {
            Some(file(&metadata.parent().expect("a directory").join(&*path.to_str())))
        }
        StreamHandle::Segment(segment) => {
            let bytes = file(&case.here(&segment.path.to_str()));
            let start = usize::try_from(segment.start).expect("a start");
            let size = usize::try_from(segment.size).expect("a size");
            Some(bytes[start..start + size].to_vec())
        }
        StreamHandle::EmptySegment | StreamHandle::KeyGroups(_) => None,
    }
}

impl Streams {
    /// The managed state of one snapshot.
    pub fn of(case: &Case, metadata: &Path) -> Self {
        let bytes = fs::read(metadata).expect("a _metadata");
        let model = format::decode(&bytes).expect("a _metadata that can be read");
        let mut found = Streams::default();
        for operator in &model.operators {
            for subtask in operator.subtasks() {
                let Some(state) = &subtask.state else { continue };
                let from = format!("{} {} {}", metadata.display(), operator.id, subtask.index);
                if let Some(handle) = &state.managed_operator.handle {
                    found.operator(case, metadata, &from, handle);
                }
                if let Some(handle) = &state.managed_keyed {
                    let max = u16::try_from(operator.max_parallelism).expect("a maximum parallelism");
                    found.keyed(case, metadata, &from, handle, max);
                }
            }
        }
        found
    }

    fn operator(&mut self, case: &Case, metadata: &Path, from: &str, handle: &OperatorHandle<'_>) {
        let Some(bytes) = load(case, metadata, &handle.stream) else { return };
        let states = handle.states.iter().map(|state| OperatorStateInfo {
            name: state.name.clone().into_owned(),
            mode: state.mode,
            offsets: state.offsets.clone(),
        });
        self.operator.push(Operator { from: from.to_owned(), bytes, states: states.collect() });
    }

    fn keyed(&mut self, case: &Case, metadata: &Path, from: &str, handle: &KeyedHandle<'_>, max_parallelism: u16) {
        match handle {
            KeyedHandle::KeyGroups(groups) => {
                let Some(bytes) = load(case, metadata, &groups.stream) else { return };
                let (first, offsets) = (groups.range.start, groups.offsets.clone());
                let body = match groups.kind {
                    KeyGroupsKind::Savepoint => KeyedBody::Canonical,
                    _ => KeyedBody::of(&bytes, first, &offsets),
                };
                self.keyed.push(Keyed { from: from.to_owned(), bytes, body, first, offsets, max_parallelism });
            }
            KeyedHandle::Changelog(changelog) => {
                for part in changelog.materialized.iter().flatten() {
                    self.keyed(case, metadata, from, part, max_parallelism);
                }
            }
            KeyedHandle::Incremental(database) => {
                let from = from.to_owned();
                let Some(meta) = load(case, metadata, &database.meta) else { return };
                let files = database.shared.iter().chain(database.private.iter()).map(|file| {
                    let mut gone = false;
                    let bytes = load_by(case, metadata, &file.stream, |path| {
                        fs::read(path).unwrap_or_else(|_| {
                            gone = true;
                            Vec::new()
                        })
                    });
                    (file.local_path.to_str().into_owned(), bytes.filter(|_| !gone))
                });
                self.databases.push(Database { from, meta, files: files.collect() });
            }
            _ => {}
        }
    }
}
