//! Renaming: copies by the store, and removal of what was copied. It is not done at once, and says so where it stopped.

use super::keys::{self, Key};
use super::listing::stat_of;
use super::{Inner, ObjectStorage, nothing, other, taken};
use crate::model::Location;
use crate::storage::below::{check_name, components, is_exact};
use crate::storage::{Below, EntryKind, StorageError};
use opendal::options::CopyOptions;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The file that makes a directory a snapshot: it appears after all others, and goes before them.
const METADATA: &str = "_metadata";
/// A file of up to this size is renamed by writing it where nothing is, which the store does at once.
const SMALL: u64 = 64 << 10;

impl ObjectStorage {
    /// Renames a file.
    pub fn rename_file(&self, from: &Location, to: &Location) -> Result<(), StorageError> {
        let inner = &self.inner;
        let source = inner.key(from)?;
        let stat = self.wait(from, inner.stat(from, &source))?;
        if stat.kind != EntryKind::File {
            return self.rename_prefix(from, to);
        }
        let target = self.free_key(to)?;
        if stat.size <= SMALL {
            let bytes = self.read_whole(from, SMALL)?;
            self.wait(to, inner.put_new(to, target.file(), bytes.into()))?;
        } else {
            self.wait(to, inner.copy(from, to, stat.size))?;
        }
        match self.delete_file(from) {
            Ok(_) => Ok(()),
            Err(error) => Err(other(from, &format!("it was copied to {to}, and is still there: {}", error.message))),
        }
    }

    /// Renames files of a directory into another.
    pub fn rename_files(&self, from: Below<'_>, to: Below<'_>, names: &[&str]) -> Vec<Result<bool, StorageError>> {
        if let Err(error) = components(from).and_then(|_| components(to)) {
            return vec![Err(error); names.len()];
        }
        let good: Vec<&str> = names.iter().copied().filter(|name| is_exact(name)).collect();
        let (sources, targets) = (self.find(&from.location(), &good), self.find(&to.location(), &good));
        let mut seen = sources.into_iter().zip(targets);
        let mut going: Vec<(usize, &str, u64)> = Vec::new();
        let mut answers: Vec<Result<bool, StorageError>> = Vec::with_capacity(names.len());
        for (index, name) in names.iter().enumerate() {
            answers.push(check_name(from, name).and_then(|()| match seen.next() {
                Some((Ok(Some(details)), Ok(None))) if details.kind == EntryKind::File => {
                    going.push((index, *name, details.size));
                    Ok(true)
                }
                Some((Ok(Some(_)), Ok(None))) => Err(other(&from.file(name), "a directory")),
                Some((Ok(Some(_)), Ok(Some(_)))) => Err(taken(&to.file(name))),
                Some((Ok(None), _)) | None => Ok(false),
                Some((Err(error), _) | (_, Err(error))) => Err(error),
            }));
        }
        let jobs = going.iter().map(|(_, name, size)| (from.file(name), to.file(name), *size)).collect();
        let copied = self.inner.copy_all(jobs);
        let mut moved: Vec<(usize, &str)> = Vec::with_capacity(going.len());
        for ((index, name, _), copied) in going.into_iter().zip(copied) {
            match (copied, answers.get_mut(index)) {
                (Ok(()), _) => moved.push((index, name)),
                (Err(error), Some(slot)) => *slot = Err(error),
                (Err(_), None) => {}
            }
        }
        let names: Vec<&str> = moved.iter().map(|(_, name)| *name).collect();
        for ((index, name), deleted) in moved.iter().zip(self.delete_files(from, &names)) {
            if let (Err(error), Some(slot)) = (deleted, answers.get_mut(*index)) {
                let message = format!("it was copied to {}, and is still there: {}", to.file(name), error.message);
                *slot = Err(StorageError { message, ..error });
            }
        }
        answers
    }

    /// Renames a directory to a name that nothing has, or that of an empty directory. What makes it a snapshot is copied last
    /// and removed first, so that half of it is none.
    pub fn rename_prefix(&self, from: &Location, to: &Location) -> Result<(), StorageError> {
        let inner = &self.inner;
        let (source, target) = (inner.key(from)?, inner.key(to)?);
        if source.rest(&target.dir()).is_some() || target.rest(&source.dir()).is_some() {
            return Err(other(to, "one of the directories lies in the other"));
        }
        let tree = inner.remote.wait(inner.tree(from, &source))?;
        match inner.remote.wait(inner.list(to)) {
            Ok(there) if there.is_empty() => {}
            Ok(_) => return Err(other(to, "something is there")),
            Err(error) if error.is_not_found() => drop(self.free_key(to)?),
            Err(error) => return Err(error),
        }
        for dir in &tree.dirs {
            self.make_directory(&below(to, dir))?;
        }
        let (metadata, files): (Vec<_>, Vec<_>) = tree.files.into_iter().partition(|(path, _)| is_metadata(path));
        for part in [&files, &metadata] {
            let jobs = part.iter().map(|(path, size)| (below(from, path), below(to, path), *size)).collect();
            inner.copy_all(jobs).into_iter().collect::<Result<Vec<()>, _>>()?;
        }
        let stays = |error: StorageError| {
            let message = format!("it was copied to {to}, and is still there: {}", error.message);
            StorageError { message, ..error }
        };
        for part in [metadata, files] {
            let places = part.iter().map(|(path, _)| below(from, path)).collect();
            inner.delete_all(places).map_or(Ok(()), |error| Err(stays(error)))?;
        }
        // The deepest first.
        for dir in tree.dirs.iter().rev() {
            self.delete_marker(&below(from, dir)).map_err(stays)?;
        }
        match inner.remote.wait(inner.list(from)) {
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(stays(error)),
            Ok(_) => Err(stays(other(from, "something is in it"))),
        }
    }
}

fn is_metadata(path: &str) -> bool {
    path.rsplit('/').next() == Some(METADATA)
}

fn below(dir: &Location, path: &str) -> Location {
    Below { root: dir, dir: path }.location()
}

/// What is below a directory that is renamed, by paths from it on.
#[derive(Default)]
struct Moving {
    files: Vec<(String, u64)>,
    /// Those that have a marker, each after those above it; the empty path is the directory itself.
    dirs: BTreeSet<String>,
}

impl Inner {
    /// What is below a directory, all of which can be named.
    async fn tree(&self, dir: &Location, key: &Key) -> Result<Moving, StorageError> {
        let mut pages = self.pages(dir, key, true).await?;
        let mut tree = Moving::default();
        while let Some(page) = self.page(dir, &mut pages).await? {
            for entry in page {
                let Some(path) = key.rest(entry.path()) else { continue };
                let stat = stat_of(&entry);
                let path =
                    if stat.kind == EntryKind::Directory { path.strip_suffix('/').unwrap_or(path) } else { path };
                if !path.is_empty() && !path.split('/').all(|name| keys::is_exact(key, "x", name)) {
                    return Err(other(dir, &format!("{path:?}, which is in it, cannot be named")));
                }
                match stat.kind {
                    EntryKind::Directory => drop(tree.dirs.insert(path.to_owned())),
                    _ => tree.files.push((path.to_owned(), stat.size)),
                }
            }
        }
        if tree.files.is_empty() && tree.dirs.is_empty() { Err(nothing(dir)) } else { Ok(tree) }
    }

    /// Copies files, several at once. One answer for each.
    fn copy_all(self: &Arc<Self>, jobs: Vec<(Location, Location, u64)>) -> Vec<Result<(), StorageError>> {
        self.remote.each(jobs, |remote, (from, to, size)| {
            let inner = Arc::clone(self);
            async move { remote.in_time(&to, inner.copy(&from, &to, size)).await }
        })
    }

    /// Copies a file to where nothing is.
    async fn copy(&self, from: &Location, to: &Location, size: u64) -> Result<(), StorageError> {
        let (source, target) = (self.key(from)?, self.key(to)?);
        if !self.patient.info().capability().copy {
            // Through this machine, where the store does not copy.
            let read = self.patient.read(source.file()).await.map_err(self.fail(from))?;
            return self.put_new(to, target.file(), read).await;
        }
        let options = CopyOptions { source_content_length_hint: Some(size), ..CopyOptions::default() };
        self.patient.copy_options(source.file(), target.file(), options).await.map_err(self.fail(from))?;
        match self.stat(to, &target).await? {
            stat if stat.kind == EntryKind::File && stat.size == size => Ok(()),
            _ => Err(other(to, "the copy is not as large as what was copied")),
        }
    }
}
