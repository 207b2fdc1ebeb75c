//! HDFS, by `hdfs-native`: one NameNode, two or more of them behind a nameservice, with Kerberos or without.
//!
//! What the library leaves open is added here. Calls of the NameNode have no deadline there: each gets one, and where
//! several NameNodes share a nameservice, one that does not answer is left for another. Directories are listed, since a
//! listing tells of a thousand files what a stat tells of one. A missing file has several shapes among the answers of a
//! NameNode; whatever is none of them never says that something is missing (`errors`).
//!
//! Nothing is asked before the first call.

mod clients;
mod errors;
mod hold;
mod listing;
mod lookup;
mod reading;
mod walk;
mod writer;
mod writing;

use super::below::{check_name, components};
use super::remote::{Again, Remote};
use super::settings::StoreSettings;
use super::{
    Below, Details, Entry, EntryKind, Presence, Stat, Storage, StorageError, StorageErrorKind, Usage, WalkVisitor,
};
use crate::model::Location;
use crate::wire::ReadAt;
use clients::Clients;
use errors::failed;
use hdfs_native::Client;
use hdfs_native::client::FileStatus;
use jiff::Timestamp;
use std::future::Future;
use std::sync::Arc;
use tokio::runtime::Handle;

/// A NameNode or a nameservice. Clones share its connections.
#[derive(Clone)]
pub struct HdfsStorage {
    remote: Remote,
    /// For what is done beside the caller.
    handle: Handle,
    clients: Arc<Clients>,
}

impl HdfsStorage {
    /// The store that a place is in: `hdfs://HOST:PORT/…`, `hdfs://NAMESERVICE/…`, or `hdfs:///…` for the one that the
    /// settings have as `fs.defaultFS`. They are those of `core-site.xml` and `hdfs-site.xml` by Hadoop's names, trimmed and
    /// with variables replaced; nothing is read from files here. `hadoop.user.name` is the user where there is no Kerberos,
    /// and where it is not set that of `HADOOP_USER_NAME`, or of this process. With Kerberos,
    /// `security.kerberos.login.keytab` and `security.kerberos.login.principal` (Flink's names) log in; without them the
    /// ticket cache does.
    ///
    /// Nothing is asked over the network.
    ///
    /// # Errors
    /// `Other` where settings are missing or make no sense.
    pub fn open(remote: Remote, place: &Location, settings: &StoreSettings) -> Result<HdfsStorage, StorageError> {
        let clients = Clients::new(&remote, place, settings)?;
        let handle = remote.wait(async { Handle::current() });
        Ok(HdfsStorage { remote, handle, clients: Arc::new(clients) })
    }

    /// Makes a call with a deadline, again while it fails in passing.
    async fn attempt<T, F>(&self, place: &Location, again: Again, act: impl Fn(Client) -> F) -> Result<T, StorageError>
    where
        F: Future<Output = hdfs_native::Result<T>>,
    {
        let try_once = || async {
            let turn = self.clients.turn().await.map_err(|error| failed(place, &error))?;
            let answer = act(turn.client()).await;
            turn.answered();
            answer.map_err(|error| failed(place, &error))
        };
        self.remote.attempt(place, again, try_once).await
    }

    /// What is at a place.
    async fn status(&self, place: &Location) -> Result<FileStatus, StorageError> {
        let path = path_of(place);
        self.attempt(place, Again::Yes, |client| async move { client.get_file_info(path).await }).await
    }

    /// As [`HdfsStorage::status`]; `None` where nothing is.
    async fn status_if_there(&self, place: &Location) -> Result<Option<FileStatus>, StorageError> {
        match self.status(place).await {
            Err(error) if error.is_not_found() => Ok(None),
            status => status.map(Some),
        }
    }
}

/// The path of a place, as a NameNode takes it.
fn path_of(place: &Location) -> &str {
    if place.path().is_empty() { "/" } else { place.path() }
}

fn stat_of(status: &FileStatus) -> Stat {
    Stat { kind: kind_of(status), size: size_of(status), modified: modified(status) }
}

/// What it is. The library does not tell symbolic links from files; NameNodes make none unless a switch for developers is
/// set (HADOOP-10052).
fn kind_of(status: &FileStatus) -> EntryKind {
    if status.isdir { EntryKind::Directory } else { EntryKind::File }
}

fn size_of(status: &FileStatus) -> u64 {
    if status.isdir { 0 } else { status.length as u64 }
}

fn modified(status: &FileStatus) -> Option<Timestamp> {
    i64::try_from(status.modification_time).ok().and_then(|time| Timestamp::from_millisecond(time).ok())
}

/// The last component of what is listed.
fn name_of(status: &FileStatus) -> &str {
    status.path.rsplit('/').next().unwrap_or_default()
}

fn not_a_file(place: &Location) -> StorageError {
    StorageError::new(StorageErrorKind::Other, place, "not a file")
}

impl Storage for HdfsStorage {
    fn stat(&self, place: &Location) -> Result<Stat, StorageError> {
        self.remote.wait(self.status(place)).map(|status| stat_of(&status))
    }

    fn list(&self, dir: &Location) -> Result<Vec<Entry>, StorageError> {
        let listed = self.remote.wait(self.listing(dir))?;
        let entry = |status: &FileStatus| Entry { name: name_of(status).to_owned(), kind: kind_of(status) };
        Ok(listed.iter().map(entry).collect())
    }

    fn details(&self, dir: &Location) -> Result<Vec<Details>, StorageError> {
        self.remote.wait(walk::list(self.clone(), dir.clone())).1
    }

    /// Permissions count, and the size of a file that is open is not that of the listing.
    fn listing_tells_all(&self, _dir: &Location) -> bool {
        false
    }

    fn lookup(&self, dir: &Location, names: &[&str], progress: &dyn Fn(u64)) -> Vec<Presence> {
        self.presence_of(dir, names, progress)
    }

    fn usage(&self, dir: &Location) -> Result<Usage, StorageError> {
        // The summary that a NameNode gives counts what is kept for snapshots of HDFS too.
        walk::usage(self, dir)
    }

    fn read(&self, file: &Location, limit: u64) -> Result<Vec<u8>, StorageError> {
        let open = self.opened(file)?;
        if open.size() > limit {
            let message = format!("{} bytes, more than the {limit} that are read", open.size());
            return Err(StorageError::new(StorageErrorKind::TooLarge, file, message));
        }
        open.range(0, open.size())
    }

    fn read_range(&self, file: &Location, offset: u64, length: u64) -> Result<Vec<u8>, StorageError> {
        self.opened(file)?.range(offset, length)
    }

    fn open(&self, file: &Location) -> Result<Box<dyn ReadAt>, StorageError> {
        Ok(Box::new(self.opened(file)?))
    }

    fn walk(&self, root: &Location, visitor: &dyn WalkVisitor) {
        walk::walk(self, root, visitor);
    }

    fn look(&self, dir: Below<'_>, names: &[&str]) -> Result<Vec<Option<Details>>, StorageError> {
        components(dir)?;
        names.iter().try_for_each(|name| check_name(dir, name))?;
        let found = self.statuses(&dir.location(), names);
        let details = |(name, status): (&&str, Result<Option<FileStatus>, StorageError>)| {
            Ok(status?.map(|status| walk::details((*name).to_owned(), &status)))
        };
        names.iter().zip(found).map(details).collect()
    }

    fn real_place(&self, place: &Location) -> Result<Location, StorageError> {
        self.stat(place).map(|_| place.clone())
    }
}

#[cfg(test)]
mod tests;
