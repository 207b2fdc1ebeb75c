//! Everything below the roots, walked once: names, sizes and times of up to millions of files, packed.

use crate::model::Location;
use crate::storage::{Details, EntryKind, OWN_DIRECTORY, Storage, StorageError, WalkVisitor};
use foldhash::fast::RandomState;
use foldhash::{HashMap, HashMapExt as _};
use hashbrown::HashTable;
use jiff::Timestamp;
use std::hash::BuildHasher as _;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// A file, directory or link: its place in [`Tree`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(u32);

/// A directory that was walked: its place in [`Tree`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DirId(u32);

/// What was found below the roots.
pub struct Tree {
    roots: Vec<Location>,
    names: String,
    entries: Vec<Packed>,
    dirs: Vec<Dir>,
    by_place: HashMap<Location, DirId>,
    by_name: HashTable<u32>,
    hasher: RandomState,
    failures: Vec<(Location, StorageError)>,
}

/// A directory.
struct Dir {
    place: Location,
    root: u16,
    parent: Option<DirId>,
    /// Its own entry in its parent; a root has none.
    entry: Option<EntryId>,
    pieces: Vec<Range<u32>>,
}

/// An entry; a million of them is to fit into little memory.
struct Packed {
    name: u64,
    size: u64,
    modified: i64,
    dir: DirId,
    length: u16,
    kind: EntryKind,
    exact: bool,
}

/// Stands for a time that is not known.
const NO_TIME: i64 = i64::MIN;

/// An entry with all that is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found<'t> {
    /// Which it is.
    pub id: EntryId,
    /// Its name.
    pub name: &'t str,
    /// Whether that is its name to the letter.
    pub exact: bool,
    /// What it is.
    pub kind: EntryKind,
    /// Size in bytes of a file.
    pub size: u64,
    /// When it was changed last, in nanoseconds since 1970.
    pub modified: Option<i64>,
    /// The directory that holds it.
    pub dir: DirId,
}

impl Tree {
    /// Walks the roots. None of them may lie below another.
    pub fn walk(storage: &dyn Storage, roots: Vec<Location>) -> Self {
        let builder = Builder(Mutex::new(Tree {
            roots: roots.clone(),
            names: String::new(),
            entries: Vec::new(),
            dirs: Vec::new(),
            by_place: HashMap::new(),
            by_name: HashTable::new(),
            hasher: RandomState::default(),
            failures: Vec::new(),
        }));
        for root in &roots {
            storage.walk(root, &builder);
        }
        let mut tree = builder.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        tree.connect();
        tree
    }

    /// Finds parents, roots and the table of names, when all is there.
    fn connect(&mut self) {
        let mut by_name = HashTable::with_capacity(self.entries.len());
        for index in 0..self.entries.len() {
            let Ok(id) = u32::try_from(index) else { break };
            let entry = self.entry(EntryId(id));
            let hash = self.hash(entry.dir, entry.name);
            by_name.insert_unique(hash, id, |&other| {
                let other = self.entry(EntryId(other));
                self.hash(other.dir, other.name)
            });
        }
        self.by_name = by_name;
        for index in 0..self.dirs.len() {
            let place = self.dirs[index].place.clone();
            let root = self.roots.iter().position(|root| place.strip_prefix(root).is_some()).unwrap_or(0);
            let is_root = self.roots.iter().any(|root| root.canonical() == place);
            let parent = place.parent().filter(|_| !is_root).and_then(|parent| self.dir_at(&parent));
            let entry = parent.and_then(|parent| self.find(parent, place.name())).map(|entry| entry.id);
            let dir = &mut self.dirs[index];
            (dir.root, dir.parent, dir.entry) = (u16::try_from(root).unwrap_or(u16::MAX), parent, entry);
        }
    }

    fn hash(&self, dir: DirId, name: &str) -> u64 {
        self.hasher.hash_one((dir.0, name))
    }

    /// The roots.
    pub fn roots(&self) -> &[Location] {
        &self.roots
    }

    /// Directories that could not be listed.
    pub fn failures(&self) -> &[(Location, StorageError)] {
        &self.failures
    }

    /// The directory at a place, if it was walked.
    pub fn dir_at(&self, place: &Location) -> Option<DirId> {
        self.by_place.get(&place.canonical()).copied()
    }

    /// The place of a directory.
    pub fn place(&self, dir: DirId) -> &Location {
        &self.dirs[dir.0 as usize].place
    }

    /// The root that a directory is below, as an index into [`Tree::roots`].
    pub fn root(&self, dir: DirId) -> usize {
        usize::from(self.dirs[dir.0 as usize].root)
    }

    /// The components of a directory from its root on, separated by slashes.
    pub fn below_root(&self, dir: DirId) -> String {
        let rest = self.roots.get(self.root(dir)).and_then(|root| self.place(dir).strip_prefix(root));
        rest.unwrap_or_default().trim_start_matches('/').to_owned()
    }

    /// The directory above; a root has none.
    pub fn parent(&self, dir: DirId) -> Option<DirId> {
        self.dirs[dir.0 as usize].parent
    }

    /// What a directory is in the one above.
    pub fn own_entry(&self, dir: DirId) -> Option<Found<'_>> {
        self.dirs[dir.0 as usize].entry.map(|id| self.entry(id))
    }

    /// All directories.
    pub fn dirs(&self) -> impl Iterator<Item = DirId> + use<> {
        (0..u32::try_from(self.dirs.len()).unwrap_or(u32::MAX)).map(DirId)
    }

    /// What is in a directory.
    pub fn entries(&self, dir: DirId) -> impl Iterator<Item = Found<'_>> {
        self.dirs[dir.0 as usize].pieces.iter().cloned().flatten().map(|id| self.entry(EntryId(id)))
    }

    /// All entries.
    pub fn all(&self) -> impl Iterator<Item = Found<'_>> {
        (0..u32::try_from(self.entries.len()).unwrap_or(u32::MAX)).map(|id| self.entry(EntryId(id)))
    }

    /// How many entries there are.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// An entry.
    pub fn entry(&self, id: EntryId) -> Found<'_> {
        let packed = &self.entries[id.0 as usize];
        let start = usize::try_from(packed.name).unwrap_or(usize::MAX);
        Found {
            id,
            name: self.names.get(start..start.saturating_add(usize::from(packed.length))).unwrap_or_default(),
            exact: packed.exact,
            kind: packed.kind,
            size: packed.size,
            modified: Some(packed.modified).filter(|&time| time != NO_TIME),
            dir: packed.dir,
        }
    }

    /// The place of an entry.
    pub fn entry_place(&self, id: EntryId) -> Location {
        let entry = self.entry(id);
        self.place(entry.dir).with_suffix(&format!("/{}", entry.name))
    }

    /// The entry of a name in a directory.
    pub fn find(&self, dir: DirId, name: &str) -> Option<Found<'_>> {
        let is_it = |&id: &u32| {
            let packed = &self.entries[id as usize];
            packed.dir == dir && self.entry(EntryId(id)).name == name
        };
        self.by_name.find(self.hash(dir, name), is_it).map(|&id| self.entry(EntryId(id)))
    }

    /// The directory that an entry is, if it was walked.
    pub fn child(&self, dir: DirId, name: &str) -> Option<DirId> {
        self.dir_at(&self.place(dir).with_suffix(&format!("/{name}")))
    }
}

impl EntryId {
    /// For tables with one element per entry.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl DirId {
    /// For tables with one element per directory.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl Found<'_> {
    /// When it was changed last.
    pub fn time(&self) -> Option<Timestamp> {
        self.modified.and_then(|nanos| Timestamp::from_nanosecond(i128::from(nanos)).ok())
    }
}

/// A time as it is kept here and in plans.
pub fn nanoseconds(time: Timestamp) -> Option<i64> {
    i64::try_from(time.as_nanosecond()).ok().filter(|&nanos| nanos != NO_TIME)
}

struct Builder(Mutex<Tree>);

impl Builder {
    fn locked(&self) -> std::sync::MutexGuard<'_, Tree> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WalkVisitor for Builder {
    fn enters(&self, _: &Location, name: &str) -> bool {
        name != OWN_DIRECTORY
    }

    fn found(&self, dir: &Location, entries: Vec<Details>) {
        let tree = &mut *self.locked();
        let place = dir.canonical();
        let next = DirId(u32::try_from(tree.dirs.len()).unwrap_or(u32::MAX));
        let id = *tree.by_place.entry(place).or_insert_with_key(|place| {
            let place = place.clone();
            tree.dirs.push(Dir { place, root: 0, parent: None, entry: None, pieces: Vec::new() });
            next
        });
        let start = tree.entries.len();
        if u32::try_from(start + entries.len()).is_err() {
            let message = "more files than can be counted here";
            let error = StorageError::new(crate::storage::StorageErrorKind::TooLarge, dir, message);
            return tree.failures.push((dir.clone(), error));
        }
        for entry in entries {
            // A name of 64 KiB is none of Flink's; nothing is done to an entry whose name is not exact.
            let length = u16::try_from(entry.name.len());
            tree.entries.push(Packed {
                name: tree.names.len() as u64,
                size: entry.size,
                modified: entry.modified.and_then(nanoseconds).unwrap_or(NO_TIME),
                dir: id,
                length: length.unwrap_or(0),
                kind: entry.kind,
                exact: entry.exact && length.is_ok(),
            });
            if length.is_ok() {
                tree.names.push_str(&entry.name);
            }
        }
        let piece = u32::try_from(start).unwrap_or(0)..u32::try_from(tree.entries.len()).unwrap_or(0);
        if let Some(dir) = tree.dirs.get_mut(id.index()) {
            dir.pieces.push(piece);
        }
    }

    fn failed(&self, dir: &Location, error: StorageError) {
        self.locked().failures.push((dir.clone(), error));
    }
}
