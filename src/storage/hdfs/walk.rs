//! Everything below a directory, by listing: as many directories at once as calls may be under way.

use super::{HdfsStorage, kind_of, modified, name_of, size_of};
use crate::model::Location;
use crate::storage::below::{is_exact, usage_by_walking};
use crate::storage::{Details, EntryKind, StorageError, StorageErrorKind, Usage, WalkVisitor};
use hdfs_native::client::FileStatus;
use tokio::task::JoinSet;

/// A directory that was listed.
type Listed = (Location, Result<Vec<Details>, StorageError>);

/// An entry by the name that it was found by.
pub(super) fn details(name: String, status: &FileStatus) -> Details {
    let exact = is_exact(&name);
    Details { name, exact, kind: kind_of(status), size: size_of(status), modified: modified(status) }
}

pub(super) fn walk(storage: &HdfsStorage, root: &Location, visitor: &dyn WalkVisitor) {
    let at_once = storage.remote.limits().at_once.max(1);
    let mut pending = vec![root.clone()];
    let mut running: JoinSet<Listed> = JoinSet::new();
    loop {
        // The visitor is called outside of the runtime: it may ask the store itself.
        let listed = storage.remote.wait(async {
            while running.len() < at_once
                && let Some(dir) = pending.pop()
            {
                running.spawn(list(storage.clone(), dir));
            }
            running.join_next().await
        });
        match listed {
            None => break,
            Some(Ok((dir, Ok(entries)))) => {
                for entry in &entries {
                    if entry.kind == EntryKind::Directory && entry.exact && visitor.enters(&dir, &entry.name) {
                        pending.push(dir.with_suffix(&format!("/{}", entry.name)));
                    }
                }
                visitor.found(&dir, entries);
            }
            // It went away meanwhile.
            Some(Ok((dir, Err(error)))) if error.is_not_found() && dir != *root => {}
            Some(Ok((dir, Err(error)))) => visitor.failed(&dir, error),
            Some(Err(stopped)) => {
                let message = format!("a directory below it could not be listed: {stopped}");
                visitor.failed(root, StorageError::new(StorageErrorKind::Other, root, message));
            }
        }
    }
}

pub(super) async fn list(storage: HdfsStorage, dir: Location) -> Listed {
    let listed = storage.listing(&dir).await;
    let entry = |status: &FileStatus| details(name_of(status).to_owned(), status);
    let listed = listed.map(|entries| entries.iter().map(entry).collect());
    (dir, listed)
}

/// Number and size of the files below a directory, or of the one file.
pub(super) fn usage(storage: &HdfsStorage, dir: &Location) -> Result<Usage, StorageError> {
    let status = storage.remote.wait(storage.status(dir))?;
    if !status.isdir {
        return Ok(Usage { files: 1, bytes: size_of(&status) });
    }
    usage_by_walking(storage, dir)
}
