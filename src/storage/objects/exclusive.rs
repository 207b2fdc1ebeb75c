//! Whether a store keeps its word when it is asked to create a file only where none is. Some take the condition and do not
//! look at it, and then a lock file keeps nobody out.

use super::ObjectStorage;
use crate::model::Location;
use crate::storage::{StorageError, StorageErrorKind, in_progress_name};
use opendal::options::WriteOptions;
use std::sync::{Arc, PoisonError};

/// So many ask for the same name at once.
const RACERS: usize = 8;

impl ObjectStorage {
    /// Finds out, once for each store, whether of many that create a file one alone succeeds: by trying it in `dir`.
    pub fn is_exclusive(&self, dir: &Location) -> Result<bool, StorageError> {
        let mut known = self.inner.exclusive.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = *known {
            return Ok(known);
        }
        let found = self.inner.once.info().capability().write_with_if_not_exists && self.race(dir)?;
        *known = Some(found);
        Ok(found)
    }

    /// Whether that was found out already, and it is so.
    pub fn is_known_to_be_exclusive(&self) -> bool {
        *self.inner.exclusive.lock().unwrap_or_else(PoisonError::into_inner) == Some(true)
    }

    fn race(&self, dir: &Location) -> Result<bool, StorageError> {
        let inner = &self.inner;
        let place = dir.with_suffix(&format!("/{}", in_progress_name("lock")));
        let path = inner.key(&place)?.file().to_owned();
        let create = |racer: usize| {
            let (inner, place, path) = (Arc::clone(inner), place.clone(), path.clone());
            async move {
                let options = WriteOptions { if_not_exists: true, ..WriteOptions::default() };
                let put = async {
                    let put = inner.once.write_options(&path, racer.to_string().into_bytes(), options);
                    put.await.map(drop).map_err(inner.fail(&place))
                };
                inner.remote.in_time(&place, put).await
            }
        };
        let raced = inner.remote.each((0..RACERS).collect(), |_, racer| create(racer));
        // And once more, when one is certainly there.
        let last = inner.remote.wait(create(RACERS));
        let removed = self.delete_file(&place);
        // Who lost says so; other errors leave it open, and are no answer.
        let lost =
            |ended: &Result<(), StorageError>| matches!(ended, Err(e) if e.kind == StorageErrorKind::AlreadyExists);
        let unclear = raced.iter().chain([&last]).find(|ended| ended.is_err() && !lost(ended));
        if let Some(Err(error)) = unclear {
            return Err(error.clone());
        }
        removed?;
        Ok(raced.iter().filter(|ended| ended.is_ok()).count() == 1 && lost(&last))
    }
}
