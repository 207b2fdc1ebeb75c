//! Changes. The NameNode carries out each as a whole or not at all, and they are durable when it has answered: its journal
//! was synced by then (`FSEditLog.logSync`).
//!
//! An answer may be lost on the way, and the change made nevertheless. Before such a change is tried again it is looked
//! whether it was made.

use super::errors::{failed, had_no_effect};
use super::writer::HdfsWriter;
use super::{HdfsStorage, hold, kind_of, not_a_file, path_of, size_of};
use crate::model::Location;
use crate::storage::below::{check_name, components, components_before};
use crate::storage::remote::Again;
use crate::storage::{
    Below, EntryKind, FileWriter, Hold, Storage, StorageError, StorageErrorKind, WriteStorage, in_progress_name,
};
use hdfs_native::Client;
use hdfs_native::client::FileStatus;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};

const DIRECTORY_MODE: u32 = 0o777;
/// The bits of a mode that a directory is given: permissions and the sticky bit.
const MODE_BITS: u16 = 0o1777;

type Answer = Result<bool, StorageError>;

impl HdfsStorage {
    /// Makes a change, again while it fails in passing. Before it is made again after a try that may have made it,
    /// `settle` looks: it gives what the change would have answered where it was made.
    async fn change<T, F, S>(
        &self,
        place: &Location,
        act: impl Fn(Client) -> F,
        settle: impl Fn(Client) -> S,
    ) -> Result<T, StorageError>
    where
        F: Future<Output = hdfs_native::Result<T>>,
        S: Future<Output = hdfs_native::Result<Option<T>>>,
    {
        let unsure = AtomicBool::new(false);
        let try_once = || async {
            let told = |error| failed(place, &error);
            let turn = self.clients.turn().await.map_err(told)?;
            if unsure.load(Ordering::Relaxed) {
                let settled = settle(turn.client()).await;
                if let Some(answer) = settled.map_err(told)? {
                    turn.answered();
                    return Ok(answer);
                }
            }
            unsure.store(true, Ordering::Relaxed);
            let answer = act(turn.client()).await;
            turn.answered();
            unsure.store(answer.as_ref().is_err_and(|error| !had_no_effect(error)), Ordering::Relaxed);
            answer.map_err(told)
        };
        self.remote.attempt(place, Again::Yes, try_once).await
    }

    /// Renames. Without `replace`, what has the new name is an error; with it, a file takes the place of a file, and a
    /// directory that of an empty one (`FSDirRenameOp.validateRenameOverwrite`).
    async fn renamed(&self, from: &Location, to: &Location, replace: bool) -> Result<(), StorageError> {
        let (source, target) = (path_of(from), path_of(to));
        let before = self.status(from).await?;
        let before = &before;
        let rename = |client: Client| async move { client.rename(source, target, replace).await };
        // The old name is gone, and the new one has what it had.
        let settle = |client: Client| async move {
            let (old, new) = (there(&client, source).await?, there(&client, target).await?);
            let same = |new: &FileStatus| {
                (new.isdir, new.length, new.modification_time)
                    == (before.isdir, before.length, before.modification_time)
            };
            Ok((old.is_none() && new.as_ref().is_some_and(same)).then_some(()))
        };
        match self.change(to, rename, settle).await {
            // That a file and a directory are not the same is found first, and has no exception of its own.
            Err(error) if error.kind == StorageErrorKind::Other && !replace => match self.status_if_there(to).await? {
                Some(_) => Err(StorageError { kind: StorageErrorKind::AlreadyExists, ..error }),
                None => Err(error),
            },
            renamed => renamed,
        }
    }

    /// Removes a file or an empty directory; whether there was one. The trash of HDFS is the client's affair, and not used.
    async fn removed(&self, place: &Location) -> Answer {
        let path = path_of(place);
        let delete = |client: Client| async move { client.delete(path, false).await };
        let settle = |client: Client| async move { Ok(there(&client, path).await?.is_none().then_some(true)) };
        self.change(place, delete, settle).await
    }

    /// Removes a file.
    async fn removed_file(&self, place: &Location) -> Answer {
        // A NameNode removes an empty directory as well.
        match self.status_if_there(place).await? {
            None => Ok(false),
            Some(status) if status.isdir => Err(StorageError::new(StorageErrorKind::Other, place, "a directory")),
            Some(_) => self.removed(place).await,
        }
    }

    async fn removed_dir(&self, place: &Location) -> Answer {
        match self.status_if_there(place).await? {
            None => Ok(false),
            Some(status) if !status.isdir => Err(StorageError::new(StorageErrorKind::Other, place, "not a directory")),
            Some(_) => self.removed(place).await,
        }
    }

    /// Creates a directory; fine if it is there.
    async fn made_dir(&self, dir: &Location, mode: u32, parents: bool) -> Result<(), StorageError> {
        let path = path_of(dir);
        self.attempt(dir, Again::Yes, |client| async move { client.mkdirs(path, mode, parents).await }).await
    }

    /// Writes a file under another name of its directory, and renames it.
    fn write_aside(&self, file: &Location, bytes: &[u8], replace: bool) -> Result<(), StorageError> {
        let parent = file.parent().ok_or_else(|| not_a_file(file))?;
        let temporary = parent.with_suffix(&format!("/{}", in_progress_name(file.name())));
        let mut writer = Box::new(HdfsWriter::create(self, &temporary, true).map_err(|error| about(error, file))?);
        writer.write(bytes)?;
        writer.finish()?;
        let renamed = self.remote.wait(self.renamed(&temporary, file, replace));
        if renamed.is_err() {
            // What is wrong is said by the first error.
            let _ = self.remote.wait(self.removed(&temporary));
        }
        renamed
    }

    /// Makes a directory like another one, if it is not there.
    async fn made_like(&self, dir: &Location, like: Option<&FileStatus>) -> Result<(), StorageError> {
        if self.status_if_there(dir).await?.is_some_and(|status| status.isdir) {
            return Ok(());
        }
        let Some(like) = like.filter(|like| like.isdir) else {
            return self.made_dir(dir, self.clients.mode(DIRECTORY_MODE), false).await;
        };
        let (path, mode) = (path_of(dir), u32::from(like.permission & MODE_BITS));
        self.made_dir(dir, mode, false).await?;
        // The mode is set again, since that of a new directory may lack bits; another owner takes a superuser, another group
        // its membership.
        self.attempt(dir, Again::Yes, |client| async move { client.set_permission(path, mode).await }).await?;
        for (owner, group) in
            [(Some(like.owner.as_str()), Some(like.group.as_str())), (None, Some(like.group.as_str()))]
        {
            let set = self.attempt(dir, Again::Yes, |client| async move { client.set_owner(path, owner, group).await });
            match set.await {
                Ok(()) => break,
                Err(error) if error.kind == StorageErrorKind::Transient => return Err(error),
                Err(_) => {}
            }
        }
        Ok(())
    }
}

/// An error of a file under another name, told of the name that it was to have.
fn about(error: StorageError, file: &Location) -> StorageError {
    StorageError { place: file.to_string(), ..error }
}

async fn there(client: &Client, path: &str) -> hdfs_native::Result<Option<FileStatus>> {
    match client.get_file_info(path).await {
        Ok(status) => Ok(Some(status)),
        Err(hdfs_native::HdfsError::FileNotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

impl WriteStorage for HdfsStorage {
    fn create_dirs(&self, dir: &Location) -> Result<(), StorageError> {
        self.remote.wait(self.made_dir(dir, self.clients.mode(DIRECTORY_MODE), true))
    }

    fn create(&self, file: &Location) -> Result<Box<dyn FileWriter>, StorageError> {
        Ok(Box::new(HdfsWriter::create(self, file, false)?))
    }

    fn publish(&self, file: &Location, bytes: &[u8]) -> Result<(), StorageError> {
        self.write_aside(file, bytes, false)
    }

    fn rename(&self, from: &Location, to: &Location) -> Result<(), StorageError> {
        self.remote.wait(self.renamed(from, to, false))
    }

    /// Nothing to do: a NameNode answers a change when its journal has it on disk. That the directory is there is asked.
    fn sync_dir(&self, dir: &Location) -> Result<(), StorageError> {
        match self.stat(dir)?.kind {
            EntryKind::Directory => Ok(()),
            _ => Err(StorageError::new(StorageErrorKind::NotFound, dir, "not a directory")),
        }
    }

    fn delete(&self, file: &Location) -> Result<bool, StorageError> {
        self.remote.wait(self.removed_file(file))
    }

    fn delete_empty_dir(&self, dir: &Location) -> Result<bool, StorageError> {
        self.remote.wait(self.removed_dir(dir))
    }

    fn replace(&self, file: &Location, bytes: &[u8]) -> Result<(), StorageError> {
        self.write_aside(file, bytes, true)
    }

    fn create_dirs_like(&self, to: Below<'_>, like: Below<'_>) -> Result<(), StorageError> {
        let parts = components(to)?;
        let own = components_before(&parts, like)?;
        self.create_dirs(to.root)?;
        let (mut dir, mut model) = (to.root.clone(), like.root.clone());
        for (index, name) in parts.iter().enumerate() {
            dir = dir.with_suffix(&format!("/{name}"));
            let mut modelled = None;
            if index >= own {
                model = model.with_suffix(&format!("/{name}"));
                modelled = self.remote.wait(self.status_if_there(&model))?;
            }
            self.remote.wait(self.made_like(&dir, modelled.as_ref()))?;
        }
        Ok(())
    }

    fn rename_names(&self, from: Below<'_>, to: Below<'_>, names: &[&str]) -> Vec<Answer> {
        if let Err(error) = components(from).and(components(to)).and(self.sync_dir(&to.location())) {
            return vec![Err(error); names.len()];
        }
        let storage = self.clone();
        let work = names.iter().map(|name| check_name(from, name).map(|()| (from.file(name), to.file(name)))).collect();
        self.remote.each(work, move |_, pair: Result<(Location, Location), StorageError>| {
            let storage = storage.clone();
            async move {
                let (from, to) = pair?;
                match storage.renamed(&from, &to, false).await {
                    Ok(()) => Ok(true),
                    // It was not there, unless it is the other directory that went away.
                    Err(error) if error.is_not_found() && storage.status_if_there(&from).await?.is_none() => Ok(false),
                    Err(error) => Err(error),
                }
            }
        })
    }

    fn delete_names(&self, dir: Below<'_>, names: &[&str]) -> Vec<Answer> {
        if let Err(error) = components(dir) {
            return vec![Err(error); names.len()];
        }
        // One listing says which of them are files, where there are many.
        let found = self.statuses(&dir.location(), names);
        let work = names.iter().zip(found).map(|(name, found)| {
            check_name(dir, name)?;
            let place = dir.file(name);
            match found? {
                None => Ok(None),
                Some(status) if status.isdir => Err(StorageError::new(StorageErrorKind::Other, &place, "a directory")),
                Some(_) => Ok(Some(place)),
            }
        });
        let storage = self.clone();
        self.remote.each(work.collect(), move |_, place: Result<Option<Location>, StorageError>| {
            let storage = storage.clone();
            async move {
                match place? {
                    Some(place) => storage.removed(&place).await,
                    None => Ok(false),
                }
            }
        })
    }

    /// Atomic: the NameNode renames onto an empty directory.
    fn rename_dir(&self, from: &Location, to: &Location) -> Result<(), StorageError> {
        self.remote.wait(async {
            if !self.status(from).await?.isdir {
                return Err(StorageError::new(StorageErrorKind::Other, from, "not a directory"));
            }
            match self.status_if_there(to).await? {
                Some(status) if kind_of(&status) == EntryKind::Directory => self.renamed(from, to, true).await,
                Some(status) => {
                    let message = format!("a file of {} bytes is there", size_of(&status));
                    Err(StorageError::new(StorageErrorKind::AlreadyExists, to, message))
                }
                None => self.renamed(from, to, false).await,
            }
        })
    }

    fn hold(&self, dir: &Location) -> Result<Hold, StorageError> {
        hold::hold(self, dir)
    }
}
