//! Listings of remote directories, asked for once in a run.
//!
//! Over a network a listing costs as much as one question about one file, and answers a thousand. What a run that only looks
//! wants to know of a directory (is it one, what is in it, how long is the `_metadata`) comes from one listing of it here, and
//! a later question about the same directory costs nothing. Local places are asked each time, which is quicker.

use super::{
    Below, Details, Entry, EntryKind, Presence, Stat, Storage, StorageError, StorageErrorKind, Usage, WalkVisitor,
};
use crate::model::Location;
use crate::wire::ReadAt;
use foldhash::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The file whose place tells that its directory is going to be looked into.
const METADATA: &str = "_metadata";
/// From so many names on their directory is listed, where it is not yet.
const MANY: usize = 4;

/// What a directory holds, by name.
type Listing = HashMap<Box<str>, Details>;

/// A storage that is only looked at, and not while it is changed by the same run.
pub struct Remembered<S> {
    storage: S,
    listings: Mutex<HashMap<Location, Arc<Mutex<Known>>>>,
}

/// What is known of a place.
#[derive(Clone, Default)]
enum Known {
    /// Nothing yet.
    #[default]
    Nothing,
    /// It is a directory with this in it.
    Directory(Arc<Listing>),
    /// No directory is there.
    NoDirectory(StorageError),
}

impl<S: Storage> Remembered<S> {
    /// Nothing is known of `storage` yet.
    pub fn new(storage: S) -> Self {
        Remembered { storage, listings: Mutex::default() }
    }

    fn slot(&self, dir: &Location) -> Arc<Mutex<Known>> {
        Arc::clone(locked(&self.listings).entry(dir.canonical()).or_default())
    }

    /// What a directory holds. An answer is kept; that there was none is not, so that it is asked for again.
    fn listing(&self, dir: &Location) -> Result<Arc<Listing>, StorageError> {
        let slot = self.slot(dir);
        // Held during the request on purpose: two threads that want the same directory ask once.
        let mut known = locked(&slot);
        match &*known {
            Known::Directory(listing) => return Ok(Arc::clone(listing)),
            Known::NoDirectory(error) => return Err(error.clone()),
            Known::Nothing => {}
        }
        match self.storage.details(dir) {
            Ok(entries) => {
                let entries = entries.into_iter().map(|entry| (entry.name.as_str().into(), entry));
                let listing = Arc::new(entries.collect::<Listing>());
                *known = Known::Directory(Arc::clone(&listing));
                Ok(listing)
            }
            Err(error) => {
                if error.is_not_found() {
                    *known = Known::NoDirectory(error.clone());
                }
                Err(error)
            }
        }
    }

    /// The listing of a directory, where it was asked for already.
    fn listed(&self, dir: &Location) -> Option<Arc<Listing>> {
        match &*locked(&self.slot(dir)) {
            Known::Directory(listing) => Some(Arc::clone(listing)),
            Known::Nothing | Known::NoDirectory(_) => None,
        }
    }
}

impl<S: Storage> Storage for Remembered<S> {
    fn stat(&self, place: &Location) -> Result<Stat, StorageError> {
        if place.is_local() {
            return self.storage.stat(place);
        }
        let parent = place.parent();
        let listing = match &parent {
            Some(dir) if place.name() == METADATA => match self.listing(dir) {
                Ok(listing) => Some(listing),
                Err(error) if error.is_not_found() => return Err(absent(place)),
                Err(error) => return Err(error),
            },
            Some(dir) => self.listed(dir),
            None => None,
        };
        if let Some(listing) = listing {
            return match listing.get(place.name()) {
                Some(Details { kind: EntryKind::Link, .. }) => self.storage.stat(place),
                Some(found) => Ok(Stat { kind: found.kind, size: found.size, modified: found.modified }),
                None => Err(absent(place)),
            };
        }
        // Whoever asks about a place by itself is about to look into it.
        match self.listing(place) {
            Ok(_) => Ok(Stat { kind: EntryKind::Directory, size: 0, modified: None }),
            Err(_) => self.storage.stat(place),
        }
    }

    fn list(&self, dir: &Location) -> Result<Vec<Entry>, StorageError> {
        if dir.is_local() {
            return self.storage.list(dir);
        }
        let listing = self.listing(dir)?;
        Ok(listing.values().map(|entry| Entry { name: entry.name.clone(), kind: entry.kind }).collect())
    }

    fn details(&self, dir: &Location) -> Result<Vec<Details>, StorageError> {
        if dir.is_local() {
            return self.storage.details(dir);
        }
        Ok(self.listing(dir)?.values().cloned().collect())
    }

    fn listing_tells_all(&self, dir: &Location) -> bool {
        self.storage.listing_tells_all(dir)
    }

    fn lookup(&self, dir: &Location, names: &[&str], progress: &dyn Fn(u64)) -> Vec<Presence> {
        let asks = dir.is_local() || !self.storage.listing_tells_all(dir);
        if asks || (names.len() < MANY && self.listed(dir).is_none()) {
            return self.storage.lookup(dir, names, progress);
        }
        let listing = match self.listing(dir) {
            Ok(listing) => listing,
            Err(error) => return names.iter().map(|_| Presence::from_error(error.clone())).collect(),
        };
        let answers = names.iter().map(|name| match listing.get(*name).map(|found| (found.kind, found.size)) {
            Some((EntryKind::File, size)) => Presence::File { size },
            Some((EntryKind::Link, _)) => one(self.storage.lookup(dir, &[name], &|_| {})),
            Some(_) => Presence::NotAFile,
            None => Presence::Missing,
        });
        let answers = answers.collect();
        progress(names.len() as u64);
        answers
    }

    fn usage(&self, dir: &Location) -> Result<Usage, StorageError> {
        self.storage.usage(dir)
    }

    fn read(&self, file: &Location, limit: u64) -> Result<Vec<u8>, StorageError> {
        self.storage.read(file, limit)
    }

    fn read_range(&self, file: &Location, offset: u64, length: u64) -> Result<Vec<u8>, StorageError> {
        self.storage.read_range(file, offset, length)
    }

    fn open(&self, file: &Location) -> Result<Box<dyn ReadAt>, StorageError> {
        self.storage.open(file)
    }

    fn walk(&self, root: &Location, visitor: &dyn WalkVisitor) {
        self.storage.walk(root, visitor);
    }

    fn look(&self, dir: Below<'_>, names: &[&str]) -> Result<Vec<Option<Details>>, StorageError> {
        self.storage.look(dir, names)
    }

    fn real_place(&self, place: &Location) -> Result<Location, StorageError> {
        self.storage.real_place(place)
    }
}

fn absent(place: &Location) -> StorageError {
    StorageError::new(StorageErrorKind::NotFound, place, "it is not in the listing of its directory")
}

fn one(answers: Vec<Presence>) -> Presence {
    answers.into_iter().next().unwrap_or(Presence::Missing)
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{MemoryStorage, WriteStorage};
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A store that counts what it is asked.
    #[derive(Default)]
    struct Counted {
        store: MemoryStorage,
        asked: AtomicUsize,
        failing: AtomicUsize,
    }

    impl Counted {
        fn ask(&self) -> Result<(), StorageError> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let left = self.failing.load(Ordering::Relaxed);
            if left == 0 {
                return Ok(());
            }
            self.failing.store(left - 1, Ordering::Relaxed);
            Err(StorageError::new(StorageErrorKind::Transient, &at("s3://b/d"), "busy"))
        }
    }

    impl Storage for &Counted {
        fn stat(&self, place: &Location) -> Result<Stat, StorageError> {
            self.ask()?;
            self.store.stat(place)
        }

        fn list(&self, dir: &Location) -> Result<Vec<Entry>, StorageError> {
            self.store.list(dir)
        }

        fn details(&self, dir: &Location) -> Result<Vec<Details>, StorageError> {
            self.ask()?;
            self.store.details(dir)
        }

        fn listing_tells_all(&self, dir: &Location) -> bool {
            dir.scheme() != Some("hdfs")
        }

        fn lookup(&self, dir: &Location, names: &[&str], progress: &dyn Fn(u64)) -> Vec<Presence> {
            self.ask().expect("well");
            self.store.lookup(dir, names, progress)
        }

        fn usage(&self, dir: &Location) -> Result<Usage, StorageError> {
            self.store.usage(dir)
        }

        fn read(&self, file: &Location, limit: u64) -> Result<Vec<u8>, StorageError> {
            self.store.read(file, limit)
        }

        fn read_range(&self, file: &Location, offset: u64, length: u64) -> Result<Vec<u8>, StorageError> {
            self.store.read_range(file, offset, length)
        }

        fn open(&self, file: &Location) -> Result<Box<dyn ReadAt>, StorageError> {
            self.store.open(file)
        }
    }

    fn at(text: &str) -> Location {
        Location::parse(text).expect("a place")
    }

    fn store() -> Counted {
        let counted = Counted::default();
        counted.store.create_dirs(&at("s3://b/d/chk-1/sub")).expect("a directory");
        for (name, bytes) in [("_metadata", &b"12345"[..]), ("a", b"1"), ("b", b""), ("c", b"22"), ("e", b"3")] {
            let mut writer = counted.store.create(&at(&format!("s3://b/d/chk-1/{name}"))).expect("a file");
            writer.write(bytes).expect("written");
            writer.finish().expect("finished");
        }
        counted
    }

    #[test]
    fn everything_about_a_snapshot_comes_from_one_listing_of_its_directory() {
        let counted = store();
        let remembered = Remembered::new(&counted);
        let dir = at("s3://b/d/chk-1");
        assert_eq!(remembered.stat(&dir).map(|s| s.kind), Ok(EntryKind::Directory));
        assert_eq!(remembered.stat(&at("s3a://b/d/chk-1/_metadata")).map(|s| s.size), Ok(5));
        assert_eq!(remembered.list(&dir).map(|entries| entries.len()), Ok(6));
        let answers = remembered.lookup(&dir, &["a", "none", "c", "sub"], &|_| {});
        let wanted = [Presence::File { size: 1 }, Presence::Missing, Presence::File { size: 2 }, Presence::NotAFile];
        assert_eq!(answers, wanted);
        assert!(remembered.stat(&at("s3://b/d/chk-1/none")).expect_err("nothing").is_not_found());
        assert_eq!(counted.asked.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_few_names_of_a_directory_that_was_not_listed_are_asked_for() {
        let counted = store();
        let remembered = Remembered::new(&counted);
        assert_eq!(remembered.lookup(&at("s3://b/d/chk-1"), &["a"], &|_| {}), [Presence::File { size: 1 }]);
        assert!(remembered.listed(&at("s3://b/d/chk-1")).is_none());
    }

    #[test]
    fn a_store_whose_listings_do_not_tell_all_is_asked_about_files() {
        let counted = Counted::default();
        counted.store.create_dirs(&at("hdfs://nn/d")).expect("a directory");
        let remembered = Remembered::new(&counted);
        remembered.list(&at("hdfs://nn/d")).expect("listed");
        remembered.lookup(&at("hdfs://nn/d"), &["a", "b", "c", "d", "e"], &|_| {});
        assert_eq!(counted.asked.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn an_answer_that_did_not_come_is_asked_for_again_and_is_never_a_missing_file() {
        let counted = store();
        let remembered = Remembered::new(&counted);
        counted.failing.store(2, Ordering::Relaxed);
        let metadata = at("s3://b/d/chk-1/_metadata");
        assert_eq!(remembered.stat(&metadata).map_err(|e| e.kind), Err(StorageErrorKind::Transient));
        let answers = remembered.lookup(&at("s3://b/d/chk-1"), &["a", "b", "c", "e"], &|_| {});
        assert!(answers.iter().all(|answer| matches!(answer, Presence::Unknown(_))), "{answers:?}");
        assert_eq!(remembered.stat(&metadata).map(|s| s.size), Ok(5));
    }

    #[test]
    fn local_places_are_asked_each_time() {
        let counted = Counted::default();
        counted.store.create_dirs(&at("/d")).expect("a directory");
        let remembered = Remembered::new(&counted);
        for _ in 0..3 {
            remembered.stat(&at("/d")).expect("a directory");
        }
        assert_eq!(counted.asked.load(Ordering::Relaxed), 3);
    }
}
