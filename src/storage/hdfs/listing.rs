//! Listings: page by page, each with its deadline, from the start again where one fails in passing.

use super::errors::failed;
use super::{HdfsStorage, path_of};
use crate::model::Location;
use crate::storage::remote::Again;
use crate::storage::{StorageError, StorageErrorKind};
use hdfs_native::client::FileStatus;
use std::time::Instant;
use tokio::time::sleep;

/// So many entries are taken at a time: as many as a NameNode gives in one answer (`dfs.ls.limit`).
const PAGE: usize = 1000;

/// The first entries of a directory.
pub(super) struct Listed {
    pub(super) entries: Vec<FileStatus>,
    /// Whether they are all of them.
    pub(super) complete: bool,
}

impl HdfsStorage {
    /// All entries of a directory. A file is none: `NotFound`.
    pub(super) async fn listing(&self, dir: &Location) -> Result<Vec<FileStatus>, StorageError> {
        self.list_some(dir, usize::MAX).await.map(|listed| listed.entries)
    }

    /// The entries of a directory, or so many of them that there are more than `most`.
    pub(super) async fn list_some(&self, dir: &Location, most: usize) -> Result<Listed, StorageError> {
        let limits = self.remote.limits();
        let (mut tried, mut pause, start) = (0, limits.pause, Instant::now());
        loop {
            match self.list_once(dir, most).await {
                Err(error) if error.kind == StorageErrorKind::Transient => {
                    tried += 1;
                    if tried >= limits.tries || start.elapsed() + pause >= limits.total {
                        return Err(error);
                    }
                    sleep(pause).await;
                    pause = (pause * 2).min(limits.pause * 50);
                }
                listed => return listed,
            }
        }
    }

    /// The same once: an entry that is an error ends a listing of the library's, which cannot be gone on with.
    async fn list_once(&self, dir: &Location, most: usize) -> Result<Listed, StorageError> {
        let path = path_of(dir);
        let iter = tokio::sync::OnceCell::new();
        let mut listed = Listed { entries: Vec::new(), complete: false };
        while !listed.complete && listed.entries.len() <= most {
            let page = || async {
                let turn = self.clients.turn().await.map_err(|error| failed(dir, &error))?;
                let iter = iter.get_or_init(|| async { turn.client().list_status_iter(path, false) }).await;
                let mut entries = Vec::with_capacity(PAGE.min(most));
                let mut answer = Ok(true);
                while entries.len() < PAGE {
                    match iter.next().await {
                        Some(Ok(entry)) => entries.push(entry),
                        Some(Err(error)) => answer = Err(failed(dir, &error)),
                        None => answer = Ok(false),
                    }
                    if answer != Ok(true) {
                        break;
                    }
                }
                turn.answered();
                answer.map(|more| (entries, more))
            };
            let (entries, more) = self.remote.attempt(dir, Again::No, page).await?;
            listed.entries.extend(entries);
            listed.complete = !more;
        }
        // What is listed of a file is the file.
        match listed.entries.first() {
            Some(first) if !first.isdir && first.path.trim_end_matches('/') == path.trim_end_matches('/') => {
                Err(StorageError::new(StorageErrorKind::NotFound, dir, "not a directory"))
            }
            _ => Ok(listed),
        }
    }
}
