//! Removing objects. What the store says of a batch is not believed: it is listed again, and only what is gone counts.

use super::{Inner, ObjectStorage, other};
use crate::model::Location;
use crate::storage::{Below, EntryKind, StorageError, below};
use std::sync::Arc;

/// So many are removed by one request where the store takes more.
const BATCH: usize = 1000;

impl ObjectStorage {
    /// Removes a file; `Ok(false)` where none is.
    pub fn delete_file(&self, file: &Location) -> Result<bool, StorageError> {
        let inner = &self.inner;
        let key = inner.key(file)?;
        let delete = async {
            match inner.stat(file, &key).await {
                Err(error) if error.is_not_found() => return Ok(false),
                Ok(stat) if stat.kind != EntryKind::File => return Err(other(file, "a directory")),
                stat => stat?,
            };
            let deleted = inner.patient.delete(key.file()).await.map_err(inner.fail(file));
            match inner.stat(file, &key).await {
                Err(error) if error.is_not_found() => Ok(true),
                // Where an object was in the way of a directory, the directory is what is seen now.
                Ok(stat) if stat.kind == EntryKind::Directory => Ok(true),
                Ok(_) => Err(deleted.err().unwrap_or_else(|| still_there(file))),
                Err(error) => Err(deleted.err().unwrap_or(error)),
            }
        };
        self.wait(file, delete)
    }

    /// Removes files of a directory.
    pub fn delete_files(&self, dir: Below<'_>, names: &[&str]) -> Vec<Result<bool, StorageError>> {
        let place = dir.location();
        let mut answers: Vec<Result<bool, StorageError>> = Vec::with_capacity(names.len());
        let mut going: Vec<(usize, &str)> = Vec::new();
        if let Err(error) = below::components(dir) {
            return vec![Err(error); names.len()];
        }
        let good: Vec<&str> = names.iter().copied().filter(|name| below::is_exact(name)).collect();
        let mut found = self.find(&place, &good).into_iter();
        for (index, name) in names.iter().enumerate() {
            answers.push(below::check_name(dir, name).and_then(|()| match found.next() {
                Some(Ok(Some(details))) if details.kind == EntryKind::File => {
                    going.push((index, *name));
                    Ok(true)
                }
                Some(Ok(Some(_))) => Err(other(&dir.file(name), "a directory")),
                Some(Ok(None)) | None => Ok(false),
                Some(Err(error)) => Err(error),
            }));
        }
        if going.is_empty() {
            return answers;
        }
        let places: Vec<Location> = going.iter().map(|(_, name)| dir.file(name)).collect();
        let failed = self.inner.delete_all(places);
        let left: Vec<&str> = going.iter().map(|(_, name)| *name).collect();
        for ((index, name), seen) in going.iter().zip(self.find(&place, &left)) {
            let answer = match seen {
                Ok(Some(details)) if details.kind == EntryKind::File => {
                    Err(failed.clone().unwrap_or_else(|| still_there(&dir.file(name))))
                }
                Ok(_) => Ok(true),
                Err(error) => Err(error),
            };
            if let Some(slot) = answers.get_mut(*index) {
                *slot = answer;
            }
        }
        answers
    }

    /// Removes the marker of a directory in which nothing is; `Ok(false)` where no directory is.
    pub fn delete_marker(&self, dir: &Location) -> Result<bool, StorageError> {
        let inner = &self.inner;
        let key = inner.key(dir)?;
        if key.is_root() {
            return Err(other(dir, "the root of a store is not removed"));
        }
        if inner.has_directories {
            return self.delete_directory(dir);
        }
        let marker = key.dir();
        let delete = async {
            // The marker comes first, if there is one.
            let entries = inner.some(dir, &marker, 2).await?;
            match entries.split_first() {
                None => {
                    return match inner.stat(dir, &key).await {
                        Err(error) if error.is_not_found() => Ok(false),
                        Ok(_) => Err(other(dir, "not a directory")),
                        Err(error) => Err(error),
                    };
                }
                Some((first, [])) if first.path() == marker => {}
                Some(_) => return Err(other(dir, "it is not empty")),
            }
            let deleted = inner.patient.delete(&marker).await.map_err(inner.fail(dir));
            match inner.first(dir, &marker).await? {
                None => Ok(true),
                Some(entry) if entry.path() == marker => Err(deleted.err().unwrap_or_else(|| still_there(dir))),
                // Something came to it meanwhile.
                Some(_) => Err(other(dir, "it is not empty")),
            }
        };
        self.wait(dir, delete)
    }

    /// Removes an empty directory of a store that has some. The store is not asked to: it might take what is in it along.
    fn delete_directory(&self, dir: &Location) -> Result<bool, StorageError> {
        let inner = &self.inner;
        let key = inner.key(dir)?;
        let delete = async {
            match inner.stat(dir, &key).await {
                Err(error) if error.is_not_found() => return Ok(false),
                Ok(stat) if stat.kind != EntryKind::Directory => return Err(other(dir, "not a directory")),
                stat => stat?,
            };
            if !inner.list(dir).await?.is_empty() {
                return Err(other(dir, "it is not empty"));
            }
            inner.patient.delete(&key.dir()).await.map_err(inner.fail(dir))?;
            match inner.stat(dir, &key).await {
                Err(error) if error.is_not_found() => Ok(true),
                Ok(_) => Err(still_there(dir)),
                Err(error) => Err(error),
            }
        };
        self.wait(dir, delete)
    }
}

fn still_there(place: &Location) -> StorageError {
    other(place, "the store said that it was removed, and it is still there")
}

impl Inner {
    /// Asks for the removal of objects, in batches, and gives the first error. What is gone has to be looked for.
    pub fn delete_all(self: &Arc<Self>, files: Vec<Location>) -> Option<StorageError> {
        let most = self.patient.info().capability().delete_max_size.unwrap_or(1).clamp(1, BATCH);
        let mut batches: Vec<Vec<Location>> = Vec::new();
        let mut files = files.into_iter().peekable();
        while files.peek().is_some() {
            batches.push(files.by_ref().take(most).collect());
        }
        let asked = self.remote.each(batches, |remote, batch| {
            let inner = Arc::clone(self);
            async move {
                let Some(place) = batch.first() else { return Ok(()) };
                let delete = async {
                    let mut deleter = inner.patient.deleter().await.map_err(inner.fail(place))?;
                    for file in &batch {
                        let key = inner.key(file)?;
                        deleter.delete(key.file()).await.map_err(inner.fail(file))?;
                    }
                    deleter.close().await.map_err(inner.fail(place))
                };
                remote.in_time(place, delete).await
            }
        });
        asked.into_iter().find_map(Result::err)
    }
}
