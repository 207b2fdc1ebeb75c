//! Trees of snapshots that no Flink wrote: drawn as a list of what is where, then made on disk or in memory.

use chkctl::cluster::InUse;
use chkctl::format::{self, Version};
use chkctl::model::handle::{KeyGroups, KeyGroupsKind, MergingDirectories, Segment};
use chkctl::model::{
    KeyGroupRange, KeyedHandle, Location, Metadata, OperatorHandle, OperatorId, OperatorSlot, OperatorState,
    StateScope, StreamHandle, Subtask, SubtaskState, Subtasks,
};
use chkctl::plan::{Phase, Plan};
use chkctl::prune::options::GroupBy;
use chkctl::prune::{self, Options, Prepared};
use chkctl::records::{Pin, Subject, set_pin};
use chkctl::retention::{Count, Order, Policy};
use chkctl::storage::{LocalStorage, MemoryStorage, WriteStorage};
use chkctl::survey::Silent;
use chkctl::survey::resolve::PathMaps;
use chkctl::wire::JavaStr;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The time of every run: 2026-06-01T12:00:00Z.
pub const NOW: i64 = 1_780_315_200;
/// An hour in seconds.
pub const HOUR: i64 = 3_600;
/// Older than every grace.
pub const OLD: i64 = 1_000 * HOUR;

/// What a tree is going to be. Paths are relative to where it is made; ages are in seconds before [`NOW`].
#[derive(Debug, Clone, Default)]
pub struct Drawn {
    /// Files beside `_metadata`, with size and age.
    pub files: BTreeMap<String, (u64, i64)>,
    /// Directories that are named for themselves, with their age. Those above files are there too, and old.
    pub dirs: BTreeMap<String, i64>,
    /// Snapshots.
    pub snapshots: Vec<Drawing>,
}

/// A snapshot.
#[derive(Debug, Clone, Default)]
pub struct Drawing {
    /// Its directory.
    pub dir: String,
    /// The id in its `_metadata`.
    pub id: i64,
    /// How old its `_metadata` is.
    pub age: i64,
    /// What it refers to.
    pub refs: Vec<Ref>,
    /// Whether it is pinned.
    pub pinned: bool,
}

/// What a handle says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ref {
    /// A whole file of the tree, which may be missing.
    File(String),
    /// A path as it is, and the size.
    Raw(String, i64),
    /// A path relative to the snapshot's directory.
    Relative(String, i64),
    /// A part of a file of the tree.
    Segment(String),
    /// Directories of file merging.
    Directories(String, String),
}

impl Drawn {
    /// Adds a file.
    pub fn file(&mut self, path: impl Into<String>, size: u64, age: i64) -> String {
        let path = path.into();
        self.files.insert(path.clone(), (size, age));
        path
    }

    /// Adds an old file of ten bytes.
    pub fn old(&mut self, path: impl Into<String>) -> String {
        self.file(path, 10, OLD)
    }

    /// Adds a snapshot of this age, in hours, that refers to files of the tree.
    pub fn snapshot(&mut self, dir: impl Into<String>, id: i64, hours: i64, files: &[&str]) {
        let refs = files.iter().map(|file| Ref::File((*file).to_owned())).collect();
        self.snapshots.push(Drawing { dir: dir.into(), id, age: hours * HOUR, refs, pinned: false });
    }

    /// The bytes of the `_metadata` of a snapshot, in a tree that is made at `base`.
    pub fn metadata(&self, snapshot: &Drawing, base: &str) -> Vec<u8> {
        let size = |path: &str| self.files.get(path).map_or(7, |(size, _)| *size as i64);
        let at = |path: &str| format!("file:{base}/{path}");
        let mut handles = Vec::new();
        let mut merging = Vec::new();
        for reference in &snapshot.refs {
            match reference {
                Ref::File(path) => handles.push(whole(size(path), &at(path))),
                Ref::Raw(path, size) => handles.push(whole(*size, path)),
                Ref::Relative(path, size) => {
                    handles.push(StreamHandle::Relative { size: *size, path: JavaStr::from(path.as_str()) });
                }
                Ref::Segment(path) => handles.push(StreamHandle::Segment(Box::new(Segment {
                    start: 1,
                    size: size(path) - 2,
                    scope: StateScope::Shared,
                    path: JavaStr::from(at(path).as_str()),
                    logical_file_id: JavaStr::from("a logical file"),
                }))),
                Ref::Directories(task_owned, shared) => merging.push(MergingDirectories {
                    task_owned: JavaStr::from(at(task_owned).as_str()),
                    shared: JavaStr::from(at(shared).as_str()),
                    empty: 1,
                }),
            }
        }
        encode(snapshot.id, handles, merging)
    }

    /// All directories, also those that only files imply.
    pub fn all_dirs(&self) -> BTreeSet<String> {
        let metadata = self.snapshots.iter().map(|snapshot| format!("{}/_metadata", snapshot.dir));
        let mut dirs: BTreeSet<String> = self.dirs.keys().cloned().collect();
        for path in self.files.keys().chain(self.dirs.keys()).cloned().chain(metadata) {
            let mut rest = path.as_str();
            while let Some((above, _)) = rest.rsplit_once('/') {
                dirs.insert(above.to_owned());
                rest = above;
            }
        }
        dirs
    }

    /// The same without some files and directories, as if a plan had been carried out.
    pub fn without(&self, gone: &BTreeSet<String>) -> Drawn {
        let mut left = self.clone();
        left.dirs.extend(self.all_dirs().into_iter().map(|dir| (dir, OLD)));
        left.dirs.extend(self.dirs.clone());
        left.files.retain(|path, _| !gone.contains(path));
        left.dirs.retain(|path, _| !gone.contains(path));
        left.snapshots.retain(|snapshot| !gone.contains(&format!("{}/_metadata", snapshot.dir)));
        left
    }
}

fn whole(size: i64, path: &str) -> StreamHandle<'static> {
    StreamHandle::File { size, path: JavaStr::from(path) }
}

/// A `_metadata` of version 3, which says by the name of its directory whether it is a savepoint: a subtask for each handle.
fn encode(id: i64, handles: Vec<StreamHandle<'static>>, merging: Vec<MergingDirectories<'static>>) -> Vec<u8> {
    let keyed = operator(1, handles, |parallelism, max_parallelism, index, stream| {
        let range = KeyGroupRange::of_subtask(max_parallelism, parallelism, index).expect("a range");
        let offsets = vec![0; range.count as usize];
        let handle = KeyGroups { kind: KeyGroupsKind::Plain, range, offsets, stream };
        SubtaskState { managed_keyed: Some(Box::new(KeyedHandle::KeyGroups(handle))), ..SubtaskState::default() }
    });
    let merged = operator(2, merging, |_, _, _, merging| {
        let merging = Some(Box::new(merging));
        let handle = OperatorHandle { states: Vec::new(), merging, stream: StreamHandle::EmptySegment };
        let managed_operator = OperatorSlot { presence: 1, handle: Some(Box::new(handle)) };
        SubtaskState { managed_operator, ..SubtaskState::default() }
    });
    let metadata = Metadata {
        version: Version::V3,
        checkpoint_id: id,
        master_states: Vec::new(),
        operators: keyed.into_iter().chain(merged).collect(),
        properties: None,
        trailing: Cow::Borrowed(&[]),
    };
    format::encode(&metadata).expect("a model that version 3 has room for")
}

/// An operator with one subtask for each item; none where there is nothing to hold.
fn operator<T>(
    number: u8,
    items: Vec<T>,
    state: impl Fn(i32, i32, i32, T) -> SubtaskState<'static>,
) -> Option<OperatorState<'static>> {
    let parallelism = i32::try_from(items.len()).expect("a few");
    let max_parallelism = parallelism.max(4);
    let subtask = |(index, item)| {
        let index = i32::try_from(index).expect("a few");
        let state = state(parallelism, max_parallelism, index, item);
        Subtask { index, finished: false, state: Some(Box::new(state)) }
    };
    (parallelism > 0).then(|| OperatorState {
        name: JavaStr::default(),
        uid: JavaStr::default(),
        id: OperatorId([number; 16]),
        parallelism,
        max_parallelism,
        chain_length: 1,
        coordinator: None,
        subtasks: Subtasks::Some(items.into_iter().enumerate().map(subtask).collect()),
    })
}

/// A tree that was made.
pub struct Made {
    /// Where it is, as a path.
    pub base: String,
    /// Its store.
    pub store: Store,
}

/// Where a tree is.
pub enum Store {
    /// In memory.
    Memory(MemoryStorage),
    /// In a directory of its own, as long as this lives.
    Disk(TempDir),
}

fn moment(age: i64) -> Timestamp {
    Timestamp::from_second(NOW - age).expect("a time")
}

/// A place by its path.
pub fn location(path: impl AsRef<Path>) -> Location {
    Location::parse(path.as_ref().to_str().expect("UTF-8")).expect("a path")
}

impl Made {
    /// Makes it in memory.
    pub fn in_memory(drawn: &Drawn) -> Self {
        let store = MemoryStorage::new();
        let made = Made { base: "/base".to_owned(), store: Store::Memory(store.clone()) };
        for dir in drawn.all_dirs() {
            store.create_dirs(&made.at(&dir)).expect("a directory");
        }
        let file = |path: &str, bytes: &[u8], age| {
            store.put(&made.at(path), bytes).expect("a file");
            store.set_modified(&made.at(path), moment(age)).expect("a time");
        };
        drawn.files.iter().for_each(|(path, (size, age))| file(path, &vec![0; *size as usize], *age));
        for snapshot in &drawn.snapshots {
            let bytes = drawn.metadata(snapshot, &made.base);
            file(&format!("{}/_metadata", snapshot.dir), &bytes, snapshot.age);
        }
        made.pin(drawn, &store);
        for dir in drawn.all_dirs() {
            let age = drawn.dirs.get(&dir).copied().unwrap_or(OLD);
            store.set_modified(&made.at(&dir), moment(age)).expect("a time");
        }
        made
    }

    /// Makes it in a new directory.
    pub fn on_disk(drawn: &Drawn) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let base = fs::canonicalize(dir.path()).expect("a path").to_str().expect("UTF-8").to_owned();
        let made = Made { base, store: Store::Disk(dir) };
        for dir in drawn.all_dirs() {
            fs::create_dir_all(made.path(&dir)).expect("a directory");
        }
        for (path, (size, age)) in &drawn.files {
            fs::write(made.path(path), vec![0; *size as usize]).expect("a file");
            made.set_age(path, *age);
        }
        for snapshot in &drawn.snapshots {
            let path = format!("{}/_metadata", snapshot.dir);
            fs::write(made.path(&path), drawn.metadata(snapshot, &made.base)).expect("a file");
            made.set_age(&path, snapshot.age);
        }
        made.pin(drawn, &LocalStorage);
        made.settle(drawn);
        made
    }

    /// Sets the times of all directories of a tree on disk, after something was changed in them.
    pub fn settle(&self, drawn: &Drawn) {
        for dir in drawn.all_dirs() {
            self.set_age(&dir, drawn.dirs.get(&dir).copied().unwrap_or(OLD));
        }
    }

    fn pin(&self, drawn: &Drawn, store: &dyn WriteStorage) {
        for snapshot in drawn.snapshots.iter().filter(|snapshot| snapshot.pinned) {
            let subject = Subject::new(&self.at(&snapshot.dir)).expect("a snapshot that can be pinned");
            let pin = Pin { since: moment(0), by: "somebody@somewhere".to_owned(), reason: None, until: None };
            assert!(set_pin(store, &subject, &pin).expect("a pin"));
        }
    }

    /// A place in it.
    pub fn at(&self, path: &str) -> Location {
        location(format!("{}/{path}", self.base))
    }

    /// A path in it.
    pub fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(&self.base).join(path)
    }

    /// Sets how old something on disk is.
    pub fn set_age(&self, path: &str, age: i64) {
        let time = std::time::SystemTime::from(moment(age));
        let file = File::open(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        file.set_modified(time).unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// Its store.
    pub fn storage(&self) -> &dyn WriteStorage {
        match &self.store {
            Store::Memory(store) => store,
            Store::Disk(dir) => {
                assert!(dir.path().is_dir());
                &LocalStorage
            }
        }
    }

    /// A plan for some directories of it.
    pub fn prepare(&self, roots: &[&str], options: &Options) -> Prepared {
        self.prepare_mapped(roots, options, &PathMaps::default())
    }

    /// A plan for some directories of it, with maps.
    pub fn prepare_mapped(&self, roots: &[&str], options: &Options, maps: &PathMaps) -> Prepared {
        let roots: Vec<Location> = roots.iter().map(|root| self.at(root)).collect();
        let roots = prune::real_roots(self.storage(), &roots).expect("roots");
        prune::prepare(self.storage(), &roots, maps, options, &Silent).expect("a plan")
    }

    /// The path in the tree of a place.
    pub fn relative(&self, place: &Location) -> String {
        let rest = place.path().strip_prefix(&self.base).unwrap_or_else(|| panic!("{place} is not in the tree"));
        rest.trim_start_matches('/').to_owned()
    }

    /// What a plan does, in its order: phase and path of each name.
    pub fn steps(&self, plan: &Plan) -> Vec<(Phase, String)> {
        let items = plan.batches.iter().flat_map(|batch| batch.items.iter().map(move |item| (batch, item)));
        items
            .map(|(batch, item)| {
                let dir = batch.location(plan).expect("a root");
                (batch.phase, format!("{}/{}", self.relative(&dir), item.name))
            })
            .collect()
    }

    /// The names that a plan takes away, without their phases.
    pub fn going(&self, plan: &Plan) -> BTreeSet<String> {
        self.steps(plan).into_iter().map(|(_, path)| path).collect()
    }
}

/// Options that keep the last `last` snapshots of each job, without brakes, at [`NOW`].
pub fn keep_last(last: u32) -> Options {
    Options {
        policy: Policy { last: Count::AtMost(last), ..Policy::default() },
        group_by: GroupBy::Job,
        order: Order::ByTime,
        min_age: None,
        zone: TimeZone::UTC,
        now: moment(0),
        grace: SignedDuration::from_hours(24),
        checkpoint_timeout: SignedDuration::from_mins(10),
        live: false,
        taskowned: false,
        changelog: false,
        assume_unreferenced: Vec::new(),
        verify: true,
        max_delete_percent: None,
        max_delete_bytes: None,
        in_use: InUse::default(),
    }
}

/// SplitMix64: the same numbers in every run.
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// True in so many of a hundred cases.
    pub fn percent(&mut self, of_hundred: usize) -> bool {
        self.below(100) < of_hundred
    }

    /// One of several.
    pub fn one<'t, T>(&mut self, of: &'t [T]) -> &'t T {
        &of[self.below(of.len())]
    }

    /// Hexadecimal digits.
    pub fn hex(&mut self, digits: usize) -> String {
        format!("{:016x}{:016x}", self.next(), self.next())[..digits].to_owned()
    }

    /// A name as Flink gives to state files.
    pub fn uuid(&mut self) -> String {
        let digits = self.hex(32);
        format!("{}-{}-{}-{}-{}", &digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..])
    }
}
