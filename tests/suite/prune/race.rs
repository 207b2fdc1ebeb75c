//! Prunes while jobs run: at every operation of a prune on the store, jobs may do the next thing that Flink's do.
//!
//! A running job uploads files into `shared`, completes checkpoints that name them and files of earlier ones (RocksDB's
//! incremental checkpoints), aborts some, and removes its own old ones (`SharedStateRegistryImpl`). Another one is
//! restored in CLAIM mode from the newest checkpoint of a job that ended, refers to its files, and removes that checkpoint in
//! the end. What is promised:
//!
//! - With the default grace: every snapshot that a job completed and did not remove itself is whole, whether files are put aside
//!   or deleted at once, and whatever `--live` says, unless the policy let it go; and of a checkpoint in progress no file is
//!   removed, whether it was uploaded or is taken over from an earlier one.
//! - With a grace of nothing there is no promise for files that no `_metadata` names yet. What is named when the roots are looked
//!   at for the last time is whole; when files are deleted at once, what is named when they are looked at first.
//! - A pin that is set before that look holds.
//!
//! The jobs are driven by a seed, so that a round that fails can be run again.

use super::tree::{Drawing, Drawn, HOUR, OLD, Random, Ref, keep_last, location};
use super::whole::{Run, content, files_of, in_memory, roots};
use chkctl::model::Location;
use chkctl::plan::Phase;
use chkctl::prune::Options;
use chkctl::records::{Pin, Subject, set_pin};
use chkctl::storage::{Entry, FileWriter, MemoryStorage, Presence, Stat, Storage, StorageError, Usage, WriteStorage};
use chkctl::wire::ReadAt;
use jiff::SignedDuration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard};

/// How many rounds there are.
const ROUNDS: u64 = 500;

/// A checkpoint that was completed, or is in progress.
#[derive(Debug, Clone)]
struct Checkpoint {
    id: i64,
    dir: String,
    /// Files of the database by number, with the place of each.
    tables: BTreeMap<u64, String>,
    own: Vec<String>,
    /// Of one in progress: tables that are yet to be uploaded.
    missing: Vec<u64>,
    /// Of one that was completed: after how many others, in all jobs.
    after: usize,
}

/// A job that runs.
#[derive(Debug, Clone)]
struct Job {
    dir: String,
    next: i64,
    retained: usize,
    /// The tables that its database has now, and the number of the next.
    tables: BTreeSet<u64>,
    next_table: u64,
    /// Of tables in completed checkpoints, where they are.
    registry: BTreeMap<u64, String>,
    completed: VecDeque<Checkpoint>,
    pending: Vec<Checkpoint>,
    /// What it is about to remove.
    litter: VecDeque<String>,
}

/// All jobs, and everything that they know to be there.
struct Writer {
    random: Random,
    drawn: Drawn,
    jobs: Vec<Job>,
    /// Snapshots of jobs that ended; the newest of each may be restored from.
    ended: Vec<Checkpoint>,
    /// Directories of snapshots that jobs removed.
    removed: BTreeSet<String>,
    completed: usize,
    /// Snapshots that a plan let go.
    let_go: BTreeSet<String>,
    pins: Vec<(String, usize)>,
    /// In how many of a hundred operations something is done.
    percent: usize,
    pinning: bool,
    /// How many snapshots were completed when the roots were looked at, each time.
    looks: Vec<usize>,
    done: Vec<String>,
    /// What jobs removed: of a snapshot that was claimed also files that older ones of the dead job refer to.
    deleted: BTreeSet<String>,
}

const A: &str = "ck/0a000000000000000000000000000000";
const B: &str = "ck/0b000000000000000000000000000000";
const J: &str = "ck/0f000000000000000000000000000000";

impl Writer {
    /// A job that ended, with orphans, and one that runs.
    fn new(seed: u64) -> Self {
        let mut writer = Writer {
            random: Random(seed),
            drawn: Drawn::default(),
            jobs: Vec::new(),
            ended: Vec::new(),
            removed: BTreeSet::new(),
            completed: 0,
            let_go: BTreeSet::new(),
            pins: Vec::new(),
            percent: 0,
            pinning: false,
            looks: Vec::new(),
            done: Vec::new(),
            deleted: BTreeSet::new(),
        };
        for dir in [A, J] {
            for sub in ["shared", "taskowned"] {
                writer.drawn.dirs.insert(format!("{dir}/{sub}"), OLD);
            }
            for _ in 0..3 {
                writer.new_file(&format!("{dir}/shared"), OLD);
            }
        }
        writer.ended = writer.history(A, 4, OLD / HOUR);
        let past = writer.history(J, 4, 30);
        let last = past.last().expect("one").clone();
        writer.jobs.push(Job {
            dir: J.to_owned(),
            next: last.id + 1,
            retained: 1 + writer.random.below(3),
            tables: last.tables.keys().copied().collect(),
            next_table: 100,
            registry: past.iter().flat_map(|checkpoint| checkpoint.tables.clone()).collect(),
            completed: past.into(),
            pending: Vec::new(),
            litter: VecDeque::new(),
        });
        writer.drawn.dirs.insert("sp".to_owned(), OLD);
        writer
    }

    /// Checkpoints of the past, ten hours after each other, each with two new tables and without the oldest before.
    fn history(&mut self, dir: &str, count: i64, oldest: i64) -> Vec<Checkpoint> {
        let mut past: Vec<Checkpoint> = Vec::new();
        for id in 1..=count {
            let hours = oldest - 10 * (id - 1);
            let age = hours.max(0) * HOUR + 60;
            let mut tables = past.last().map_or_else(BTreeMap::new, |last| last.tables.clone());
            if tables.len() > 2 {
                tables.pop_first();
            }
            for table in [2 * id as u64, 2 * id as u64 + 1] {
                tables.insert(table, self.new_file(&format!("{dir}/shared"), age));
            }
            let at = format!("{dir}/chk-{id}");
            let own = vec![self.new_file(&at, age)];
            let checkpoint = Checkpoint { id, dir: at, tables, own, missing: Vec::new(), after: 0 };
            self.drawn.snapshots.push(Drawing { age, ..drawing(&checkpoint) });
            past.push(checkpoint);
        }
        past
    }

    fn new_file(&mut self, dir: &str, age: i64) -> String {
        let size = 60 + self.random.below(60) as u64;
        let name = self.random.uuid();
        self.drawn.file(format!("{dir}/{name}"), size, age)
    }

    /// Writes a new file to the store.
    fn upload(&mut self, store: &MemoryStorage, dir: &str) -> String {
        let path = self.new_file(dir, 0);
        let size = self.drawn.files[&path].0;
        // Flink makes the directories that it needs, once.
        store.put(&at(&path), &content(&path, size)).expect("a file");
        path
    }

    /// Does some next thing, or nothing.
    fn go_on(&mut self, store: &MemoryStorage) {
        if !self.random.percent(self.percent) {
            return;
        }
        store.advance(SignedDuration::from_secs(self.random.below(20) as i64));
        if self.jobs.len() < 2 && self.random.percent(10) {
            return self.restore();
        }
        if self.pinning && self.random.percent(10) {
            return self.pin(store);
        }
        let index = self.random.below(self.jobs.len());
        let mut job = self.jobs[index].clone();
        match self.random.below(10) {
            0 | 1 => self.begin(store, &mut job),
            2..=4 => self.write(store, &mut job),
            5 | 6 => self.complete(store, &mut job),
            7 => self.abort(&mut job),
            _ => self.remove_some(store, &mut job),
        }
        self.jobs[index] = job;
    }

    /// A job is restored from the newest checkpoint of the one that ended, and owns it from now on.
    fn restore(&mut self) {
        let from = self.ended.last().expect("one").clone();
        self.done.push(format!("{B} is restored from {}", from.dir));
        self.jobs.push(Job {
            dir: B.to_owned(),
            next: from.id + 1,
            retained: 1 + self.random.below(2),
            tables: from.tables.keys().copied().collect(),
            next_table: 100,
            registry: from.tables.clone(),
            completed: VecDeque::from([from]),
            pending: Vec::new(),
            litter: VecDeque::new(),
        });
    }

    fn begin(&mut self, store: &MemoryStorage, job: &mut Job) {
        if job.pending.len() > 1 {
            return;
        }
        for _ in 0..1 + self.random.below(2) {
            job.tables.insert(job.next_table);
            job.next_table += 1;
        }
        // Compaction: old tables go for ever.
        if job.tables.len() > 4 && self.random.percent(50) {
            let gone = *self.random.one(&job.tables.iter().copied().collect::<Vec<_>>());
            job.tables.remove(&gone);
        }
        let base = job.completed.back().map(|last| last.tables.clone()).unwrap_or_default();
        let (known, missing): (Vec<u64>, Vec<u64>) = job.tables.iter().partition(|table| base.contains_key(table));
        let tables = known.iter().map(|table| (*table, base[table].clone())).collect();
        let dir = format!("{}/chk-{}", job.dir, job.next);
        store.create_dirs(&at(&dir)).expect("a directory");
        job.pending.push(Checkpoint { id: job.next, dir, tables, own: Vec::new(), missing, after: 0 });
        job.next += 1;
    }

    fn write(&mut self, store: &MemoryStorage, job: &mut Job) {
        let Some(pending) = job.pending.iter_mut().find(|pending| !pending.missing.is_empty()) else { return };
        if pending.own.is_empty() {
            let path = self.upload(store, &pending.dir);
            pending.own.push(path);
        } else if let Some(table) = pending.missing.pop() {
            let path = self.upload(store, &format!("{}/shared", job.dir));
            pending.tables.insert(table, path);
        }
    }

    /// Completes the oldest checkpoint in progress that has all its files, and gives up those before it.
    fn complete(&mut self, store: &MemoryStorage, job: &mut Job) {
        let Some(index) = job.pending.iter().position(|pending| pending.missing.is_empty()) else { return };
        for _ in 0..index {
            let given_up = job.pending.remove(0);
            self.give_up(job, given_up);
        }
        let mut checkpoint = job.pending.remove(0);
        for (table, path) in &mut checkpoint.tables {
            // What was uploaded twice is there once afterwards.
            let first = job.registry.entry(*table).or_insert_with(|| path.clone());
            if first != path {
                job.litter.push_back(std::mem::replace(path, first.clone()));
            }
        }
        self.completed += 1;
        checkpoint.after = self.completed;
        self.done.push(format!("{} is completed", checkpoint.dir));
        let drawing = drawing(&checkpoint);
        let bytes = self.drawn.metadata(&drawing, "/base");
        store.publish(&at(&format!("{}/_metadata", checkpoint.dir)), &bytes).expect("a _metadata");
        self.drawn.snapshots.push(drawing);
        job.completed.push_back(checkpoint);
        while job.completed.len() > job.retained {
            let old = job.completed.pop_front().expect("one");
            self.done.push(format!("{} is removed by its job", old.dir));
            self.removed.insert(old.dir.clone());
            let in_use: BTreeSet<&String> =
                job.completed.iter().chain(&job.pending).flat_map(|other| other.tables.values()).collect();
            let unused = old.tables.values().filter(|path| !in_use.contains(path)).cloned();
            job.litter.push_back(format!("{}/_metadata", old.dir));
            job.litter.extend(unused.chain(old.own.iter().cloned()));
            job.litter.push_back(old.dir.clone());
            let used: BTreeSet<u64> = job.completed.iter().flat_map(|other| other.tables.keys().copied()).collect();
            job.registry.retain(|table, _| used.contains(table));
        }
    }

    fn abort(&mut self, job: &mut Job) {
        if self.random.percent(40) && !job.pending.is_empty() {
            let given_up = job.pending.remove(self.random.below(job.pending.len()));
            self.give_up(job, given_up);
        }
    }

    /// What it uploaded goes, or is left behind.
    fn give_up(&mut self, job: &mut Job, checkpoint: Checkpoint) {
        if self.random.percent(70) {
            let known: BTreeSet<&String> = job.completed.iter().flat_map(|other| other.tables.values()).collect();
            let new: Vec<String> = checkpoint.tables.values().filter(|path| !known.contains(path)).cloned().collect();
            let taken: BTreeSet<&String> = job.pending.iter().flat_map(|other| other.tables.values()).collect();
            job.litter.extend(new.iter().filter(|path| !taken.contains(path)).cloned());
            job.litter.extend(checkpoint.own);
            job.litter.push_back(checkpoint.dir);
        }
    }

    fn remove_some(&mut self, store: &MemoryStorage, job: &mut Job) {
        for _ in 0..1 + self.random.below(4) {
            let Some(path) = job.litter.pop_front() else { return };
            self.deleted.insert(path.clone());
            // A prune may have been faster.
            let _ = match path.rsplit('/').next() {
                Some(name) if name.starts_with("chk-") => store.delete_empty_dir(&at(&path)),
                _ => store.delete(&at(&path)),
            };
        }
    }

    /// Pins a snapshot that is about to go and is still there.
    fn pin(&mut self, store: &MemoryStorage) {
        let there =
            |dir: &&String| store.stat(&at(&format!("{dir}/_metadata"))).is_ok() && !self.removed.contains(*dir);
        let there: Vec<String> = self.let_go.iter().filter(there).cloned().collect();
        if there.is_empty() {
            return;
        }
        let dir = self.random.one(&there).clone();
        let subject = Subject::new(&at(&dir)).expect("a snapshot");
        let pin = Pin { since: store.now(), by: "somebody@somewhere".to_owned(), reason: None, until: None };
        set_pin(store, &subject, &pin).expect("a pin");
        self.done.push(format!("{dir} is pinned"));
        self.pins.push((dir, self.looks.len()));
    }

    /// Every snapshot that is promised is there with all its files.
    fn check(&self, store: &MemoryStorage, promised: usize, pinned_before: usize, when: &str) {
        let tell = || format!("{when}: {:#?}", self.done);
        let is_there = |path: &str| {
            let wanted = content(path, self.drawn.files[path].0);
            assert_eq!(store.read(&at(path), 1_000).ok(), Some(wanted), "{path}, {}", tell());
        };
        let jobs = self.jobs.iter().flat_map(|job| &job.completed);
        for checkpoint in
            self.ended.iter().chain(jobs).filter(|c| c.after <= promised && !self.removed.contains(&c.dir))
        {
            let bytes = store.read(&at(&format!("{}/_metadata", checkpoint.dir)), 1 << 20).ok();
            let pinned = self.pins.iter().any(|(dir, looks)| *dir == checkpoint.dir && *looks <= pinned_before);
            if bytes.is_none() && self.let_go.contains(&checkpoint.dir) && !pinned {
                continue;
            }
            let drawing = drawing(checkpoint);
            assert!(bytes == Some(self.drawn.metadata(&drawing, "/base")), "{}, {}", checkpoint.dir, tell());
            let by_job = |file: &&str| checkpoint.after == 0 && self.deleted.contains(*file);
            files_of(&drawing).filter(|file| !by_job(file)).for_each(is_there);
        }
    }

    /// No file of a checkpoint in progress is gone.
    fn check_pending(&self, store: &MemoryStorage, when: &str) {
        for pending in self.jobs.iter().flat_map(|job| &job.pending) {
            for path in pending.tables.values().chain(&pending.own) {
                assert!(store.stat(&at(path)).is_ok(), "{when}: {path} of {}: {:#?}", pending.dir, self.done);
            }
        }
    }
}

fn at(path: &str) -> Location {
    location(format!("/base/{path}"))
}

fn drawing(checkpoint: &Checkpoint) -> Drawing {
    let refs = checkpoint.tables.values().chain(&checkpoint.own).map(|path| Ref::File(path.clone())).collect();
    Drawing { dir: checkpoint.dir.clone(), id: checkpoint.id, age: 0, refs, pinned: false }
}

/// A store on which jobs go on at every operation.
struct Busy {
    store: MemoryStorage,
    writer: Mutex<Writer>,
}

impl Busy {
    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().expect("no panic")
    }

    fn then(&self) -> &MemoryStorage {
        self.writer().go_on(&self.store);
        &self.store
    }
}

impl Storage for Busy {
    fn stat(&self, place: &Location) -> Result<Stat, StorageError> {
        self.then().stat(place)
    }

    fn list(&self, dir: &Location) -> Result<Vec<Entry>, StorageError> {
        self.then().list(dir)
    }

    fn lookup(&self, dir: &Location, names: &[&str], progress: &dyn Fn(u64)) -> Vec<Presence> {
        self.then().lookup(dir, names, progress)
    }

    fn usage(&self, dir: &Location) -> Result<Usage, StorageError> {
        self.then().usage(dir)
    }

    fn read(&self, file: &Location, limit: u64) -> Result<Vec<u8>, StorageError> {
        self.then().read(file, limit)
    }

    fn read_range(&self, file: &Location, offset: u64, length: u64) -> Result<Vec<u8>, StorageError> {
        self.then().read_range(file, offset, length)
    }

    fn open(&self, file: &Location) -> Result<Box<dyn ReadAt>, StorageError> {
        self.then().open(file)
    }
}

impl WriteStorage for Busy {
    fn create_dirs(&self, dir: &Location) -> Result<(), StorageError> {
        self.then().create_dirs(dir)
    }

    fn create(&self, file: &Location) -> Result<Box<dyn FileWriter>, StorageError> {
        self.then().create(file)
    }

    fn publish(&self, file: &Location, bytes: &[u8]) -> Result<(), StorageError> {
        self.then().publish(file, bytes)
    }

    fn rename(&self, from: &Location, to: &Location) -> Result<(), StorageError> {
        self.then().rename(from, to)
    }

    fn sync_dir(&self, dir: &Location) -> Result<(), StorageError> {
        self.then().sync_dir(dir)
    }

    fn delete(&self, file: &Location) -> Result<bool, StorageError> {
        self.then().delete(file)
    }

    fn delete_empty_dir(&self, dir: &Location) -> Result<bool, StorageError> {
        self.then().delete_empty_dir(dir)
    }

    fn replace(&self, file: &Location, bytes: &[u8]) -> Result<(), StorageError> {
        self.then().replace(file, bytes)
    }
}

/// How often a prune came to what end.
#[derive(Debug, Default)]
struct Ends {
    done: usize,
    blocked: usize,
    stopped: usize,
    files: u64,
    skipped: usize,
    brought_back: usize,
    pins: usize,
    completed: usize,
    why: BTreeMap<String, usize>,
}

fn round(seed: u64, ends: &mut Ends) {
    let mut writer = Writer::new(seed);
    let mut random = Random(!seed);
    let store = in_memory(&writer.drawn);
    let no_grace = random.percent(25);
    let instant = random.percent(40);
    writer.percent = *random.one(&[2, 10, 30]);
    writer.pinning = random.percent(50);
    let mut options = Options { live: random.percent(30), ..keep_last(1 + random.below(2) as u32) };
    if no_grace {
        (options.grace, options.checkpoint_timeout) = (SignedDuration::ZERO, SignedDuration::ZERO);
    }
    let when = format!("seed {seed}, no grace: {no_grace}, at once: {instant}, live: {}", options.live);
    let busy = Busy { store: store.clone(), writer: Mutex::new(writer) };
    let roots = roots(&store, &[location("/base/ck"), location("/base/sp")]);
    let prune = |storage: &dyn WriteStorage| {
        let run = Run {
            storage,
            clock: &|| store.now(),
            roots: &roots,
            options: &options,
            instant,
            planned: &|plan| {
                let mut writer = busy.writer();
                let removed = plan.remove.iter().map(|removed| removed.path.path());
                let removed = removed.map(|path| path.trim_start_matches("/base/").to_owned());
                writer.let_go.extend(removed);
                let shared = plan.batches.iter().filter(|batch| batch.phase == Phase::Shared);
                let shared = shared.flat_map(|batch| batch.items.iter().map(|item| item.name.as_str()));
                let told = format!("planned, blocked: {}, shared: {:?}", plan.blocked, shared.collect::<Vec<_>>());
                writer.done.push(told);
            },
            looks: &|| {
                let mut writer = busy.writer();
                let completed = writer.completed;
                writer.looks.push(completed);
                writer.done.push("looks".to_owned());
            },
        };
        run.prune()
    };
    for _ in 0..if no_grace { 1 } else { 2 } {
        busy.writer().looks.clear();
        busy.writer().pins.clear();
        let ended = prune(&busy);
        let writer = busy.writer();
        match &ended {
            Ok(None) => ends.blocked += 1,
            Ok(Some(outcome)) => {
                ends.done += 1;
                ends.files += outcome.files;
                ends.skipped += outcome.skipped.len();
                ends.brought_back += outcome.brought_back.len();
            }
            Err(error) => {
                ends.stopped += 1;
                let why = error.to_string();
                *ends.why.entry(why.rsplit(": ").next().unwrap_or_default().to_owned()).or_default() += 1;
            }
        }
        // One that was stopped may have put aside what the next brings back.
        let decides = match &ended {
            Ok(Some(_)) if !instant => writer.looks.len().saturating_sub(1),
            _ => 0,
        };
        let promised = match writer.looks.get(decides) {
            Some(completed) if no_grace => *completed,
            _ => usize::MAX,
        };
        ends.pins += writer.pins.len();
        writer.check(&store, promised, decides, &when);
        if !no_grace {
            writer.check_pending(&store, &when);
        }
    }
    ends.completed += busy.writer().completed;
    if no_grace {
        return;
    }
    // The jobs are quiet: what was left is done.
    store.advance(SignedDuration::from_mins(1));
    let outcome = prune(&store).unwrap_or_else(|error| panic!("{when}: {error}"));
    let outcome = outcome.unwrap_or_else(|| panic!("{when}: something is in its way"));
    assert!(outcome.failed.is_empty(), "{when}: {outcome:?}");
    let writer = busy.writer();
    writer.check(&store, usize::MAX, 0, &when);
    writer.check_pending(&store, &when);
}

#[test]
fn nothing_that_a_running_job_refers_to_is_removed_in_500_prunes() {
    let first = std::env::var("RACE_SEED").ok().and_then(|seed| seed.parse().ok());
    let mut ends = Ends::default();
    for seed in first.map_or(0..ROUNDS, |seed: u64| seed..seed + 1) {
        round(seed, &mut ends);
    }
    println!("{ends:#?}");
}
