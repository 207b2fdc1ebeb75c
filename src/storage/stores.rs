//! All places at once: local files, and remote stores that are connected to when they are first asked for.

use super::copy::{self, Hold, Part};
use super::{
    Below, Details, Entry, FileWriter, LocalStorage, Presence, Stat, Storage, StorageError, StorageErrorKind, Usage,
    WalkVisitor, WriteStorage,
};
use crate::model::Location;
use crate::wire::ReadAt;
use foldhash::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Makes the back end of a place that is not local.
pub trait Connect: Send + Sync {
    /// A store that has this place, and all of the same scheme and authority.
    ///
    /// # Errors
    /// `Unsupported` where no back end of this build reads such places; `Other` where settings are missing or make no sense.
    /// Nothing is asked over a network yet.
    fn connect(&self, place: &Location) -> Result<Arc<dyn WriteStorage>, StorageError>;
}

/// Stores by scheme and authority.
type Open = HashMap<(String, String), Arc<dyn WriteStorage>>;

/// Knows no store but the local one.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalOnly;

impl Connect for LocalOnly {
    fn connect(&self, place: &Location) -> Result<Arc<dyn WriteStorage>, StorageError> {
        Err(super::local::unsupported(place))
    }
}

/// Every place that this build can reach, by its scheme and authority. Clones share the stores.
#[derive(Clone)]
pub struct Stores {
    local: Arc<dyn WriteStorage>,
    connect: Arc<dyn Connect>,
    open: Arc<Mutex<Open>>,
}

impl Stores {
    /// Local files, and what `connect` makes of other places.
    pub fn new(connect: impl Connect + 'static) -> Self {
        Stores { local: Arc::new(LocalStorage), connect: Arc::new(connect), open: Arc::default() }
    }

    /// The store that a place is in. It is the same one for all places of a scheme and authority.
    pub fn of(&self, place: &Location) -> Result<Arc<dyn WriteStorage>, StorageError> {
        if place.is_local() {
            return Ok(Arc::clone(&self.local));
        }
        let part = |part: Option<&str>| part.unwrap_or_default().to_owned();
        let key = (part(place.scheme()), part(place.authority()));
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = open.get(&key) {
            return Ok(Arc::clone(store));
        }
        let store = self.connect.connect(place)?;
        open.insert(key, Arc::clone(&store));
        Ok(store)
    }

    /// The store of two places, where it is one.
    fn of_both(&self, from: &Location, to: &Location) -> Result<Option<Arc<dyn WriteStorage>>, StorageError> {
        let (first, second) = (self.of(from)?, self.of(to)?);
        Ok(Arc::ptr_eq(&first, &second).then_some(first))
    }

    /// The store of two places between which something is to be renamed.
    fn renaming(&self, from: &Location, to: &Location) -> Result<Arc<dyn WriteStorage>, StorageError> {
        let apart = || {
            let message = format!("it cannot be renamed into another store, to {to}");
            StorageError::new(StorageErrorKind::Other, from, message)
        };
        self.of_both(from, to)?.ok_or_else(apart)
    }
}

impl Storage for Stores {
    fn stat(&self, place: &Location) -> Result<Stat, StorageError> {
        self.of(place)?.stat(place)
    }

    fn list(&self, dir: &Location) -> Result<Vec<Entry>, StorageError> {
        self.of(dir)?.list(dir)
    }

    fn details(&self, dir: &Location) -> Result<Vec<Details>, StorageError> {
        self.of(dir)?.details(dir)
    }

    fn listing_tells_all(&self, dir: &Location) -> bool {
        self.of(dir).is_ok_and(|store| store.listing_tells_all(dir))
    }

    fn lookup(&self, dir: &Location, names: &[&str], progress: &dyn Fn(u64)) -> Vec<Presence> {
        match self.of(dir) {
            Ok(store) => store.lookup(dir, names, progress),
            Err(error) => vec![Presence::Unknown(error); names.len()],
        }
    }

    fn usage(&self, dir: &Location) -> Result<Usage, StorageError> {
        self.of(dir)?.usage(dir)
    }

    fn read(&self, file: &Location, limit: u64) -> Result<Vec<u8>, StorageError> {
        self.of(file)?.read(file, limit)
    }

    fn read_range(&self, file: &Location, offset: u64, length: u64) -> Result<Vec<u8>, StorageError> {
        self.of(file)?.read_range(file, offset, length)
    }

    fn open(&self, file: &Location) -> Result<Box<dyn ReadAt>, StorageError> {
        self.of(file)?.open(file)
    }

    fn walk(&self, root: &Location, visitor: &dyn WalkVisitor) {
        match self.of(root) {
            Ok(store) => store.walk(root, visitor),
            Err(error) => visitor.failed(root, error),
        }
    }

    fn look(&self, dir: Below<'_>, names: &[&str]) -> Result<Vec<Option<Details>>, StorageError> {
        self.of(dir.root)?.look(dir, names)
    }

    fn real_place(&self, place: &Location) -> Result<Location, StorageError> {
        self.of(place)?.real_place(place)
    }
}

impl WriteStorage for Stores {
    fn create_dirs(&self, dir: &Location) -> Result<(), StorageError> {
        self.of(dir)?.create_dirs(dir)
    }

    fn create(&self, file: &Location) -> Result<Box<dyn FileWriter>, StorageError> {
        self.of(file)?.create(file)
    }

    fn publish(&self, file: &Location, bytes: &[u8]) -> Result<(), StorageError> {
        self.of(file)?.publish(file, bytes)
    }

    fn rename(&self, from: &Location, to: &Location) -> Result<(), StorageError> {
        self.renaming(from, to)?.rename(from, to)
    }

    fn rename_keeps_time(&self, place: &Location) -> bool {
        self.of(place).is_ok_and(|store| store.rename_keeps_time(place))
    }

    fn sync_dir(&self, dir: &Location) -> Result<(), StorageError> {
        self.of(dir)?.sync_dir(dir)
    }

    fn delete(&self, file: &Location) -> Result<bool, StorageError> {
        self.of(file)?.delete(file)
    }

    fn delete_empty_dir(&self, dir: &Location) -> Result<bool, StorageError> {
        self.of(dir)?.delete_empty_dir(dir)
    }

    fn replace(&self, file: &Location, bytes: &[u8]) -> Result<(), StorageError> {
        self.of(file)?.replace(file, bytes)
    }

    fn create_dirs_like(&self, to: Below<'_>, like: Below<'_>) -> Result<(), StorageError> {
        self.renaming(like.root, to.root)?.create_dirs_like(to, like)
    }

    fn rename_names(&self, from: Below<'_>, to: Below<'_>, names: &[&str]) -> Vec<Result<bool, StorageError>> {
        match self.renaming(from.root, to.root) {
            Ok(store) => store.rename_names(from, to, names),
            Err(error) => vec![Err(error); names.len()],
        }
    }

    fn delete_names(&self, dir: Below<'_>, names: &[&str]) -> Vec<Result<bool, StorageError>> {
        match self.of(dir.root) {
            Ok(store) => store.delete_names(dir, names),
            Err(error) => vec![Err(error); names.len()],
        }
    }

    fn delete_empty_below(&self, dir: Below<'_>) -> Result<bool, StorageError> {
        self.of(dir.root)?.delete_empty_below(dir)
    }

    fn copy(
        &self,
        from: &Location,
        part: Part,
        to: &Location,
        heard: &mut dyn FnMut(&[u8]),
    ) -> Result<(), StorageError> {
        match self.of_both(from, to)? {
            Some(store) => store.copy(from, part, to, heard),
            None => copy::by_reading(self, from, part, to, heard),
        }
    }

    fn link(&self, from: &Location, to: &Location) -> Result<bool, StorageError> {
        match self.of_both(from, to)? {
            Some(store) => store.link(from, to),
            None => Ok(false),
        }
    }

    fn sync_files(&self, dir: &Location, names: &[&str]) -> Result<(), StorageError> {
        self.of(dir)?.sync_files(dir, names)
    }

    fn rename_dir(&self, from: &Location, to: &Location) -> Result<(), StorageError> {
        self.renaming(from, to)?.rename_dir(from, to)
    }

    fn hold(&self, dir: &Location) -> Result<Hold, StorageError> {
        self.of(dir)?.hold(dir)
    }

    fn creates_exclusively(&self, dir: &Location) -> Result<bool, StorageError> {
        self.of(dir)?.creates_exclusively(dir)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::MemoryStorage;

    /// Knows `mem:` alone.
    struct Memory;

    impl Connect for Memory {
        fn connect(&self, place: &Location) -> Result<Arc<dyn WriteStorage>, StorageError> {
            if place.scheme() == Some("mem") { Ok(Arc::new(MemoryStorage::new())) } else { LocalOnly.connect(place) }
        }
    }

    fn at(text: &str) -> Location {
        Location::parse(text).expect("a place")
    }

    fn write(storage: &dyn WriteStorage, file: &Location, bytes: &[u8]) {
        let mut writer = storage.create(file).expect("a new file");
        writer.write(bytes).expect("written");
        writer.finish().expect("finished");
    }

    #[test]
    fn a_file_is_copied_and_not_renamed_from_store_to_store() {
        let stores = Stores::new(Memory);
        for bucket in ["mem://a/d", "mem://b/d"] {
            stores.create_dirs(&at(bucket)).expect("a directory");
        }
        write(&stores, &at("mem://a/d/x"), b"12345");
        let (from, to) = (at("mem://a/d/x"), at("mem://b/d/y"));
        let part = Part { offset: 1, length: 3 };
        let mut heard = Vec::new();
        stores.copy(&from, part, &to, &mut |bytes| heard.extend_from_slice(bytes)).expect("copied");
        assert_eq!((stores.read(&to, 9), heard), (Ok(b"234".to_vec()), b"234".to_vec()));
        assert!(stores.rename(&from, &at("mem://b/d/x")).is_err());
        assert_eq!(stores.link(&from, &at("mem://b/d/x")), Ok(false));
        stores.rename(&from, &at("mem://a/d/z")).expect("renamed in one store");
        assert!(stores.stat(&from).expect_err("it went").is_not_found());
    }

    #[test]
    fn a_place_of_a_scheme_that_nobody_knows_is_unsupported_everywhere() {
        let stores = Stores::new(Memory);
        let place = at("hdfs://nn/ck");
        assert_eq!(stores.stat(&place).map_err(|e| e.kind), Err(StorageErrorKind::Unsupported));
        assert!(matches!(&stores.lookup(&place, &["x"], &|_| {})[..], [Presence::Unknown(_)]));
        let below = Below { root: &place, dir: "" };
        assert!(stores.delete_names(below, &["x"]).iter().all(Result::is_err));
    }
}
