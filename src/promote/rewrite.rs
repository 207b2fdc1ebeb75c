//! What the handles of a copy say: every file by its name beside the `_metadata`.

use crate::edit::streams;
use crate::model::{Location, Metadata, OperatorSlot, StreamHandle, Subtasks, Version};
use crate::survey::references::{self, StateKind};
use crate::wire::JavaStr;

/// How the handles of a copy name its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Anchor {
    /// Beside the `_metadata` (`RelativeFileStateHandle`), so that the copy can be moved.
    Beside,
    /// In this directory, as Flink names it.
    At(Location),
}

impl Anchor {
    /// For a `_metadata` in a directory, as Flink names it.
    ///
    /// - The releases that write version 2, up to 1.10, do not know the tag of relative handles (6 in
    ///   `MetadataV2V3SerializerBase`, from 1.11 on).
    /// - Files that a restored job's checkpoints go on to use must not be relative: Flink writes the handles into them as
    ///   they are, against another directory (FLINK-39964). From 1.15 on a restore in NO_CLAIM mode, which is the default,
    ///   goes on with none of them; releases before, which write version 3, always do.
    pub fn of(metadata: &Metadata<'_>, dir: &Location, absolute: bool) -> Self {
        let at = match metadata.version {
            Version::V2 => true,
            Version::V3 => absolute || is_carried_on(metadata),
            _ => absolute,
        };
        if at { Anchor::At(dir.clone()) } else { Anchor::Beside }
    }

    /// The handle of a file in the copy, of this size in bytes.
    fn handle(&self, name: &str, size: i64) -> StreamHandle<'static> {
        match self {
            Anchor::Beside => StreamHandle::Relative { size, path: JavaStr::from(name).into_owned() },
            Anchor::At(dir) => {
                let place = dir.with_suffix(&format!("/{name}")).to_string();
                StreamHandle::File { size, path: JavaStr::from(place.as_str()).into_owned() }
            }
        }
    }
}

/// Whether checkpoints of a restored job may go on to use files of the snapshot: those of an embedded database, and of the
/// changelog state backend.
pub fn is_carried_on(metadata: &Metadata<'_>) -> bool {
    let mut found = false;
    references::walk(metadata, |reference| {
        let carried = [StateKind::DatabaseShared, StateKind::Changes, StateKind::ForeignChanges];
        found |= carried.contains(&reference.state);
    });
    found
}

/// Lets every handle of a file name one of the copy. `names` has one entry for each such handle, in the order of
/// [`crate::survey::references::walk`]; a handle without a name stays as it is.
pub fn rename<'n>(metadata: &mut Metadata<'_>, anchor: &Anchor, names: impl IntoIterator<Item = Option<&'n str>>) {
    let mut names = names.into_iter();
    let mut rename = |_: streams::StreamUse<'_>, stream: &mut StreamHandle<'_>| {
        let size = match stream {
            StreamHandle::File { size, .. } | StreamHandle::Relative { size, .. } => *size,
            // A segment is absolute in the format, and becomes a file of its own.
            StreamHandle::Segment(segment) => segment.size,
            StreamHandle::Bytes(_) | StreamHandle::EmptySegment | StreamHandle::KeyGroups(_) => return Ok(()),
        };
        if let Some(name) = names.next().flatten() {
            *stream = anchor.handle(name, size);
        }
        Ok::<(), std::convert::Infallible>(())
    };
    let Ok(()) = streams::rewrite(metadata, &mut rename);
}

/// Lets go of the directories of file merging (`FileMergingOperatorStreamStateHandle`): they are those of the job, and
/// Flink removes them with the snapshot that names them. A handle that says no more than that there is no state
/// (`EmptyFileMergingOperatorStreamStateHandle`, which `OperatorStateRestoreOperation` passes over) goes with them.
pub fn drop_directories(metadata: &mut Metadata<'_>) {
    for operator in &mut metadata.operators {
        let Subtasks::Some(subtasks) = &mut operator.subtasks else { continue };
        for state in subtasks.iter_mut().filter_map(|subtask| subtask.state.as_deref_mut()) {
            for slot in [&mut state.managed_operator, &mut state.raw_operator] {
                let merging = slot.handle.as_mut().and_then(|handle| handle.merging.take());
                if merging.is_some_and(|dirs| dirs.empty != 0) {
                    *slot = OperatorSlot::default();
                }
            }
        }
    }
}
