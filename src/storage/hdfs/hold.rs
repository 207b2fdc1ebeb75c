//! A directory is held by a lease of the NameNode's: whoever writes a file beside it has it.
//!
//! The file is `.NAME.held`, empty and open for writing. A NameNode gives the lease of a file to one client, which renews it
//! while its process lives. A minute after it ended, another may take the lease over (`HdfsConstants
//! .LEASE_SOFTLIMIT_PERIOD`); so a process that was killed leaves a file behind that holds nobody up for longer, and a
//! process that was frozen for longer than that has lost the directory.

use super::{HdfsStorage, path_of};
use crate::model::Location;
use crate::storage::remote::Again;
use crate::storage::{Hold, StorageError, StorageErrorKind};
use hdfs_native::file::FileWriter;
use hdfs_native::{Client, HdfsError, WriteOptions};
use tokio::time::timeout;

/// A directory that is held.
struct Held {
    storage: HdfsStorage,
    file: Location,
    writer: Option<Box<FileWriter>>,
}

/// What came of a try.
enum Try {
    Held(Box<FileWriter>),
    /// Another has it.
    Taken(String),
    /// It was removed between two questions.
    Gone,
}

pub(super) fn hold(storage: &HdfsStorage, dir: &Location) -> Result<Hold, StorageError> {
    let parent = dir.parent().ok_or_else(|| taken(dir, "the root of a store cannot be held"))?;
    let file = parent.with_suffix(&format!("/.{}.held", dir.name()));
    storage.remote.wait(async {
        storage.status(dir).await?;
        // Each further round follows a holder that let go: more than a few are a crowd.
        for _ in 0..8 {
            let path = path_of(&file);
            let mode = storage.clients.mode(0o666);
            let options = WriteOptions::default().permission(mode).create_parent(false);
            let options = &options;
            match storage.attempt(&file, Again::No, |client| try_once(client, path, options)).await? {
                Try::Held(writer) => {
                    let held = Held { storage: storage.clone(), file: file.clone(), writer: Some(writer) };
                    return Ok(Box::new(held) as Hold);
                }
                Try::Taken(why) => return Err(taken(dir, &why)),
                Try::Gone => {}
            }
        }
        Err(taken(dir, "several others take it in turn"))
    })
}

/// Creates the file, or opens that of one who let go of it without removing it.
async fn try_once(client: Client, path: &str, options: &WriteOptions) -> hdfs_native::Result<Try> {
    match client.create(path, options).await {
        Ok(writer) => return Ok(Try::Held(Box::new(writer))),
        Err(HdfsError::AlreadyExists(_)) => {}
        Err(error) => return Err(error),
    }
    match client.append(path).await {
        Ok(writer) => Ok(Try::Held(Box::new(writer))),
        Err(HdfsError::AlreadyExists(why)) => Ok(Try::Taken(why)),
        Err(HdfsError::RPCError(class, why)) if class.ends_with("RecoveryInProgressException") => Ok(Try::Taken(why)),
        Err(HdfsError::FileNotFound(_)) => Ok(Try::Gone),
        Err(HdfsError::RPCError(class, _)) if class.ends_with("FileNotFoundException") => Ok(Try::Gone),
        Err(error) => Err(error),
    }
}

fn taken(dir: &Location, why: &str) -> StorageError {
    let why = why.lines().next().unwrap_or_default();
    StorageError::new(StorageErrorKind::AlreadyExists, dir, format!("another process has it: {why}"))
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(mut writer) = self.writer.take() else { return };
        let limit = self.storage.remote.limits().call;
        self.storage.remote.wait(async {
            // Asks for nothing but whether the lease is still ours: the file of another is not to be removed.
            let ours = timeout(limit, writer.hsync()).await.is_ok_and(|synced| synced.is_ok());
            let path = path_of(&self.file);
            if ours {
                let remove = |client: Client| async move { client.delete(path, false).await };
                let _ = self.storage.attempt(&self.file, Again::No, remove).await;
            }
        });
    }
}
