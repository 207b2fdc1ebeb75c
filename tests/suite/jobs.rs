//! What the tests of the runtime share: a place for a job's files, a source that can be held back, a job whose output
//! shows every record that is lost or counted twice, a storage that hangs, and the log.

use chkctl::model::Location;
use chkctl::runtime::coordinator::Retention;
use chkctl::runtime::{DataStream, Emitter, Environment, FileSink, Poll, Source, SourceContext, Split};
use chkctl::storage::{Entry, FileWriter, LocalStorage, Presence, Stat, Storage, StorageError, Usage, WriteStorage};
use chkctl::survey::inventory::Inventory;
use chkctl::survey::resolve::PathMaps;
use chkctl::survey::{Catalog, Judge, Silent, SnapshotReport, Verdict};
use chkctl::wire::ReadAt;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a test waits for something that has to come.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Waits until something is so.
pub fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(ms(1));
    }
}

pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A directory for the checkpoints, savepoints and output of jobs.
#[derive(Clone)]
pub struct Place {
    pub dir: PathBuf,
    _temporary: Option<Arc<TempDir>>,
}

pub fn location(path: &Path) -> Location {
    Location::parse(&path.to_string_lossy()).expect("a path")
}

impl Place {
    pub fn new() -> Self {
        let temporary = tempfile::tempdir().expect("a directory");
        Place { dir: temporary.path().to_path_buf(), _temporary: Some(Arc::new(temporary)) }
    }

    pub fn at(dir: &Path) -> Self {
        Place { dir: dir.to_path_buf(), _temporary: None }
    }

    pub fn checkpoints(&self) -> PathBuf {
        self.dir.join("checkpoints")
    }

    pub fn savepoints(&self) -> PathBuf {
        self.dir.join("savepoints")
    }

    /// An environment that takes a checkpoint each 20 ms and retains it.
    pub fn environment(&self) -> Environment {
        capture_log();
        let environment = Environment::new();
        environment.buffer_timeout(ms(5)).checkpoints(|config| {
            config.interval = Some(ms(20));
            config.retention = Retention::RetainOnCancellation;
            config.directory = Some(location(&self.checkpoints()));
            config.savepoint_directory = Some(location(&self.savepoints()));
        });
        environment
    }

    /// Judges everything below: whatever is complete has to be restorable. Gives what is complete, newest first.
    pub fn verify(&self) -> Vec<SnapshotReport> {
        let roots: Vec<Location> =
            [self.checkpoints(), self.savepoints()].iter().filter(|dir| dir.is_dir()).map(|d| location(d)).collect();
        let catalog = Catalog::scan(&LocalStorage, &roots).expect("a listing");
        let judge = Judge {
            inventory: Inventory::shared(&LocalStorage),
            maps: PathMaps::default(),
            progress: &Silent,
            neighbours: Vec::new(),
            keep_files: true,
        };
        let mut reports: Vec<SnapshotReport> = catalog.snapshots.iter().map(|s| judge.judge(s)).collect();
        reports.retain(|report| report.verdict != Verdict::Incomplete);
        for report in &reports {
            assert_eq!(report.verdict, Verdict::Restorable, "{report:#?}");
        }
        reports
    }

    /// The newest complete checkpoint, as `chkctl latest` finds it.
    pub fn latest(&self) -> Location {
        self.verify().first().expect("a completed checkpoint").path.clone()
    }

    /// The directories of checkpoints, complete or not, by number.
    pub fn directories(&self) -> BTreeMap<i64, PathBuf> {
        let mut found = BTreeMap::new();
        for job in children(&self.checkpoints()) {
            for dir in children(&job) {
                let name = dir.file_name().expect("a name").to_string_lossy().into_owned();
                if let Some(number) = name.strip_prefix("chk-").and_then(|number| number.parse().ok()) {
                    found.insert(number, dir);
                }
            }
        }
        found
    }

    /// The numbers of complete checkpoints.
    pub fn completed(&self) -> Vec<i64> {
        let complete = |(id, dir): (i64, PathBuf)| dir.join("_metadata").is_file().then_some(id);
        self.directories().into_iter().filter_map(complete).collect()
    }

    /// Waits until so many more checkpoints are complete.
    pub fn wait_for_checkpoints(&self, count: i64) {
        let before = self.newest();
        wait_for("checkpoints", || self.newest() >= before + count);
    }

    /// The number of the newest complete checkpoint; 0 where there is none.
    pub fn newest(&self) -> i64 {
        self.completed().last().copied().unwrap_or(0)
    }

    /// A sink to files.
    pub fn sink<T: chkctl::runtime::Text>(&self) -> FileSink<T> {
        FileSink::lines(location(&self.dir.join("output")))
    }

    /// The committed lines of the sink.
    pub fn output(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for file in children(&self.dir.join("output")) {
            if file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("part-")) {
                lines.extend(fs::read_to_string(file).expect("text").lines().map(str::to_owned));
            }
        }
        lines
    }

    /// What is in the directory of the output but is not committed.
    pub fn uncommitted(&self) -> Vec<PathBuf> {
        let hidden = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        children(&self.dir.join("output")).into_iter().filter(hidden).collect()
    }
}

/// What is in a directory; nothing where there is none, or while it goes away.
pub fn children(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    entries.map(|entry| entry.path()).collect()
}

/// Emits the numbers from 0 on, as far as it is allowed to, and ends after `total`. Each subtask has its residues.
#[derive(Clone)]
pub struct Metered {
    pub limit: Arc<AtomicI64>,
    pub total: i64,
    splits: Vec<Split>,
}

impl Metered {
    pub fn new(total: i64, limit: i64) -> Self {
        Metered { limit: Arc::new(AtomicI64::new(limit)), total, splits: Vec::new() }
    }

    /// Lets it go on up to this number.
    pub fn allow(&self, limit: i64) {
        self.limit.store(limit, Ordering::SeqCst);
    }
}

impl Source for Metered {
    type Item = i64;

    fn open(&mut self, context: &SourceContext) -> anyhow::Result<()> {
        let (subtask, parallelism) = (context.subtask, context.parallelism);
        self.splits = context.restored.clone().unwrap_or_else(|| {
            vec![Split {
                id: format!("{subtask} of {parallelism}"),
                position: i64::try_from(subtask).unwrap_or(0),
                end: 0,
            }]
        });
        Ok(())
    }

    fn poll(&mut self, out: &mut Emitter<'_, i64>) -> anyhow::Result<Poll> {
        let limit = self.limit.load(Ordering::SeqCst);
        let (mut idle, mut open) = (true, false);
        for split in &mut self.splits {
            let step: i64 = split.id.rsplit(' ').next().expect("a number").parse()?;
            for _ in 0..16 {
                if split.position < self.total.min(limit) {
                    out.collect(split.position)?;
                    split.position += step;
                    idle = false;
                }
            }
            open |= split.position < self.total;
        }
        Ok(match (open, idle) {
            (false, _) => Poll::Finished,
            (true, false) => Poll::More,
            (true, true) => {
                std::thread::sleep(ms(1));
                Poll::Idle
            }
        })
    }

    fn splits(&self) -> Vec<Split> {
        self.splits.clone()
    }
}

/// The keys of [`count`].
pub const KEYS: i64 = 7;

/// Counts numbers by their remainder.
pub fn count(numbers: &DataStream<i64>) -> DataStream<(i64, i64)> {
    numbers.map(|number| (number % KEYS, 1_i64)).key_by(|(key, _)| *key).sum(|(_, count)| count).uid("count")
}

/// Checks the output of [`count`] over the numbers from 0 to `total`: each count of each key is there exactly once.
pub fn assert_counted_once(mut lines: Vec<String>, total: i64) {
    let mut expected: Vec<String> = (0..total).map(|n| format!("({},{})", n % KEYS, n / KEYS + 1)).collect();
    lines.sort();
    expected.sort();
    if lines != expected {
        let count = |lines: &[String]| {
            let mut counts = BTreeMap::new();
            lines.iter().for_each(|line| *counts.entry(line.clone()).or_insert(0) += 1);
            counts
        };
        let (got, wanted) = (count(&lines), count(&expected));
        let lost: Vec<_> = wanted.keys().filter(|line| !got.contains_key(*line)).take(10).collect();
        let wrong: Vec<_> = got.iter().filter(|(line, n)| wanted.get(*line) != Some(n)).take(10).collect();
        panic!(
            "{} lines, {} expected; lost: {lost:?}; wrong or more than once: {wrong:?}",
            lines.len(),
            expected.len()
        );
    }
}

/// A gate that threads wait at while it is closed.
#[derive(Clone, Default)]
pub struct Gate(Arc<AtomicBool>);

impl Gate {
    pub fn close(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub fn open(&self) {
        self.0.store(false, Ordering::SeqCst);
    }

    pub fn pass(&self) {
        wait_for("an open gate", || !self.0.load(Ordering::SeqCst));
    }
}

/// Everything a stream gave to its end, in the order of arrival.
pub fn collect<T: Send + Clone + 'static>(stream: &DataStream<T>) -> Arc<Mutex<Vec<T>>> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let into = seen.clone();
    stream.for_each(move |value| {
        locked(&into).push(value);
        Ok(())
    });
    seen
}

/// The local file system, with new files held up while the gate is closed.
#[derive(Default)]
pub struct Hanging {
    pub gate: Gate,
}

impl Storage for Hanging {
    fn stat(&self, place: &Location) -> Result<Stat, StorageError> {
        LocalStorage.stat(place)
    }

    fn list(&self, dir: &Location) -> Result<Vec<Entry>, StorageError> {
        LocalStorage.list(dir)
    }

    fn lookup(&self, dir: &Location, names: &[&str], progress: &dyn Fn(u64)) -> Vec<Presence> {
        LocalStorage.lookup(dir, names, progress)
    }

    fn usage(&self, dir: &Location) -> Result<Usage, StorageError> {
        LocalStorage.usage(dir)
    }

    fn read(&self, file: &Location, limit: u64) -> Result<Vec<u8>, StorageError> {
        LocalStorage.read(file, limit)
    }

    fn read_range(&self, file: &Location, offset: u64, length: u64) -> Result<Vec<u8>, StorageError> {
        LocalStorage.read_range(file, offset, length)
    }

    fn open(&self, file: &Location) -> Result<Box<dyn ReadAt>, StorageError> {
        LocalStorage.open(file)
    }
}

struct HangingWriter(Box<dyn FileWriter>, Gate);

impl FileWriter for HangingWriter {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.1.pass();
        self.0.write(bytes)
    }

    fn finish(self: Box<Self>) -> Result<u64, StorageError> {
        self.1.pass();
        self.0.finish()
    }
}

impl WriteStorage for Hanging {
    fn create_dirs(&self, dir: &Location) -> Result<(), StorageError> {
        LocalStorage.create_dirs(dir)
    }

    fn create(&self, file: &Location) -> Result<Box<dyn FileWriter>, StorageError> {
        Ok(Box::new(HangingWriter(LocalStorage.create(file)?, self.gate.clone())))
    }

    fn publish(&self, file: &Location, bytes: &[u8]) -> Result<(), StorageError> {
        LocalStorage.publish(file, bytes)
    }

    fn rename(&self, from: &Location, to: &Location) -> Result<(), StorageError> {
        LocalStorage.rename(from, to)
    }

    fn sync_dir(&self, dir: &Location) -> Result<(), StorageError> {
        LocalStorage.sync_dir(dir)
    }

    fn delete(&self, file: &Location) -> Result<bool, StorageError> {
        LocalStorage.delete(file)
    }

    fn delete_empty_dir(&self, dir: &Location) -> Result<bool, StorageError> {
        LocalStorage.delete_empty_dir(dir)
    }

    fn replace(&self, file: &Location, bytes: &[u8]) -> Result<(), StorageError> {
        LocalStorage.replace(file, bytes)
    }
}

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Capture;

impl log::Log for Capture {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = format!("{} {}", record.level(), record.args());
        if std::env::var_os("SHOW_LOG").is_some() {
            eprintln!("{line}");
        }
        locked(&LINES).push(line);
    }

    fn flush(&self) {}
}

/// Keeps what is logged in this process, for [`logged`].
pub fn capture_log() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        log::set_logger(&Capture).expect("the first logger");
        log::set_max_level(log::LevelFilter::Debug);
    });
}

/// The lines of the log with this in them. Tests run side by side, so it should be something of one test only.
pub fn logged(part: &str) -> Vec<String> {
    locked(&LINES).iter().filter(|line| line.contains(part)).cloned().collect()
}

/// An error with all its causes.
pub fn whole<T>(result: anyhow::Result<T>) -> String {
    match result {
        Ok(_) => panic!("it should have failed"),
        Err(error) => format!("{error:#}"),
    }
}
