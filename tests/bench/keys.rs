//! Checkpoints of many keys, and restores of them: how long, how large, and who waits.

use crate::job::{
    FIRST, FULL, GAPS, Gap, LEAST, ONCE, PARALLELISM, RATE, TASKS, WATCHING, controlled, now, resident, seen,
};
use crate::marks;
use crate::measure::own_peak;
use crate::options::Options;
use chkctl::model::Location;
use chkctl::runtime::Environment;
use chkctl::runtime::coordinator::Retention;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// The time between checkpoints, in which the job is watched without one.
const PAUSE: Duration = Duration::from_secs(4);

const SECOND: u64 = 1_000_000_000;

/// What was measured of a job with many keys.
#[derive(Serialize, Deserialize)]
pub struct Keys {
    /// Seconds from the first key to the last.
    pub fill: f64,
    /// Resident bytes of the process before the first key.
    pub empty: u64,
    /// Resident bytes with all keys, after a checkpoint.
    pub full: u64,
    /// The most resident bytes that the process has had up to then: tables grow.
    pub fill_peak: u64,
    /// Idle, at a rate, at full speed.
    pub modes: Vec<Mode>,
    /// Where the last checkpoint is.
    pub path: String,
}

/// The job at one speed.
#[derive(Serialize, Deserialize)]
pub struct Mode {
    /// Records per second; 0 for none, [`FULL`] without a limit.
    pub rate: u64,
    /// Its checkpoints.
    pub checkpoints: Vec<Checkpoint>,
    /// While there was a checkpoint.
    pub during: Watched,
    /// As long a time right before each of them.
    pub without: Watched,
}

/// A checkpoint.
#[derive(Serialize, Deserialize)]
pub struct Checkpoint {
    /// From its trigger until it was complete.
    pub seconds: f64,
    /// Bytes of its files.
    pub bytes: u64,
    /// Seconds that `dd` takes for as many bytes right after it; where the job is idle.
    pub dd: Option<f64>,
    /// Most resident bytes meanwhile.
    pub peak: u64,
    /// Records that came out in the first tenth of a second, times ten.
    pub first_tenth: f64,
}

/// What sinks saw in some time.
#[derive(Default, Serialize, Deserialize)]
pub struct Watched {
    /// How long that was in all.
    pub seconds: f64,
    /// Records that came out.
    pub records: u64,
    /// The longest gap between two records of a sink, in milliseconds.
    pub longest: f64,
    /// The same, where the time that the thread waited for a core does not count.
    pub longest_own: f64,
    /// Gaps of more than 1 ms.
    pub over_1: usize,
    /// Gaps of more than 5 ms.
    pub over_5: usize,
    /// The same, where the time that the thread waited for a core does not count.
    pub over_5_own: usize,
}

/// The state of the process at some time.
#[derive(Clone, Copy)]
struct Sample {
    time: u64,
    resident: u64,
    seen: u64,
}

type Samples = Arc<Mutex<Vec<Sample>>>;

/// Looks at the process every few milliseconds, as long as it lives.
fn sample() -> Samples {
    let samples = Samples::default();
    let to = samples.clone();
    thread::spawn(move || {
        loop {
            to.lock().expect("no panic").push(Sample { time: now(), resident: resident(), seen: seen() });
            thread::sleep(Duration::from_millis(5));
        }
    });
    samples
}

/// Fills the state of a job, and takes checkpoints of it at several speeds.
pub fn run(options: &Options) -> Keys {
    let environment = Environment::new();
    environment.parallelism(PARALLELISM).buffer_timeout(Duration::from_millis(1)).checkpoints(|checkpoints| {
        checkpoints.interval = Some(PAUSE);
        checkpoints.min_pause = PAUSE;
        checkpoints.retention = Retention::RetainOnCancellation;
        checkpoints.directory = Some(Location::parse(&options.dir.display().to_string()).expect("a path"));
    });
    controlled(&environment, options.keys);
    let job = environment.start("keys").expect("a job that starts");
    marks::wait_running(TASKS, 0);
    thread::sleep(Duration::from_millis(300));
    let empty = resident();
    let began = Instant::now();
    RATE.store(ONCE, Ordering::Relaxed);
    while seen() < options.keys {
        assert!(!job.is_finished(), "the job failed");
        thread::sleep(Duration::from_millis(1));
    }
    let fill = began.elapsed().as_secs_f64();
    RATE.store(0, Ordering::Relaxed);
    marks::wait_checkpoints(1, now());
    thread::sleep(Duration::from_millis(500));
    let (full, fill_peak) = (resident(), own_peak());

    let samples = sample();
    let place = options.dir.join(job.job_id());
    let modes = [0, options.rate, FULL].map(|rate| watch(rate, options, &place, &samples));
    job.cancel();
    let outcome = job.wait().expect("a job that can be canceled");
    let path = outcome.checkpoint.expect("a checkpoint that is kept").to_string();
    Keys { fill, empty, full, fill_peak, modes: modes.into(), path }
}

/// Takes checkpoints at one speed.
fn watch(rate: u64, options: &Options, place: &Path, samples: &Samples) -> Mode {
    RATE.store(rate, Ordering::Relaxed);
    WATCHING.store(rate > 0, Ordering::Relaxed);
    // The first checkpoint at a new speed may have begun at the old one.
    thread::sleep(Duration::from_secs(1));
    let begin = now();
    let mut files = Vec::new();
    for round in 1..=options.rounds {
        let last = marks::wait_checkpoints(round, begin).last().copied();
        let bytes = size_of(place);
        let dd = (rate == 0).then(|| dd(&options.dir, bytes));
        files.push((last, bytes, dd));
    }
    WATCHING.store(false, Ordering::Relaxed);
    thread::sleep(Duration::from_millis(50));
    let gaps = std::mem::take(&mut *GAPS.lock().expect("no panic"));
    let samples = samples.lock().expect("no panic");
    let (mut during, mut without) = (Watched::default(), Watched::default());
    let mut checkpoints = Vec::new();
    let mut quiet = begin;
    for (times, bytes, dd) in files {
        let (from, to) = times.expect("a checkpoint that was waited for");
        during.add(from, to, &gaps, &samples);
        // What follows a checkpoint, such as removing the one before, is not without it.
        without.add(quiet.max(from.saturating_sub(to - from)), from, &gaps, &samples);
        quiet = to + SECOND / 2;
        let between = samples.iter().filter(|sample| (from..=to).contains(&sample.time));
        let peak = between.map(|sample| sample.resident).max().unwrap_or(0);
        let first_tenth = (seen_at(&samples, from + SECOND / 10) - seen_at(&samples, from)) as f64 * 10.0;
        checkpoints.push(Checkpoint { seconds: (to - from) as f64 / SECOND as f64, bytes, dd, peak, first_tenth });
    }
    Mode { rate, checkpoints, during, without }
}

impl Watched {
    /// Adds the time from one moment to another.
    fn add(&mut self, from: u64, to: u64, gaps: &[Gap], samples: &[Sample]) {
        self.seconds += to.saturating_sub(from) as f64 / SECOND as f64;
        self.records += seen_at(samples, to).saturating_sub(seen_at(samples, from));
        for gap in gaps.iter().filter(|gap| from < gap.end && gap.end <= to) {
            let (length, own) = (gap.length as f64 / 1e6, (gap.length - gap.waited) as f64 / 1e6);
            self.longest = self.longest.max(length);
            self.longest_own = self.longest_own.max(own);
            self.over_1 += usize::from(length > 1.0);
            self.over_5 += usize::from(length > 5.0);
            self.over_5_own += usize::from(own > 5.0);
        }
    }
}

/// How many records had come out at some time, between two samples.
fn seen_at(samples: &[Sample], time: u64) -> u64 {
    let behind = samples.partition_point(|sample| sample.time < time);
    match (behind.checked_sub(1).and_then(|before| samples.get(before)), samples.get(behind)) {
        (Some(a), Some(b)) => {
            let part = (time - a.time) as f64 / (b.time - a.time).max(1) as f64;
            a.seen + ((b.seen - a.seen) as f64 * part) as u64
        }
        (Some(only), None) | (None, Some(only)) => only.seen,
        (None, None) => 0,
    }
}

/// The bytes of all files of the newest checkpoint.
fn size_of(place: &Path) -> u64 {
    let number = |path: &Path| path.file_name()?.to_str()?.strip_prefix("chk-")?.parse::<u64>().ok();
    let entries = fs::read_dir(place).expect("a directory").map(|entry| entry.expect("an entry").path());
    let complete = entries.filter(|path| path.join("_metadata").exists());
    let newest = complete.max_by_key(|path| number(path)).expect("a checkpoint");
    let files = fs::read_dir(newest).expect("a directory");
    files.map(|file| file.and_then(|file| file.metadata()).expect("a file").len()).sum()
}

/// Seconds that `dd` takes to write and sync so many bytes.
fn dd(directory: &Path, bytes: u64) -> f64 {
    let file = directory.join("dd");
    let mut command = Command::new("dd");
    command.args(["if=/dev/zero", "bs=1M", "conv=fsync"]).stdout(Stdio::null()).stderr(Stdio::null());
    command.arg(format!("count={}", bytes.div_ceil(1 << 20).max(1))).arg(format!("of={}", file.display()));
    let start = Instant::now();
    let status = command.status().expect("dd");
    let seconds = start.elapsed().as_secs_f64();
    assert!(status.success(), "{command:?}");
    fs::remove_file(file).expect("the file that dd wrote");
    seconds
}

/// What was measured of a restore.
#[derive(Serialize, Deserialize)]
pub struct Restore {
    /// Seconds from the start of the job until all tasks ran.
    pub running: f64,
    /// Seconds until a sink had a record.
    pub output: f64,
    /// Resident bytes of the process then.
    pub resident: u64,
    /// The most resident bytes that it had.
    pub peak: u64,
}

/// Starts the job once from a checkpoint.
pub fn restore(options: &Options) -> Restore {
    let environment = Environment::new();
    let path = Location::parse(&options.path).expect("a path");
    environment.parallelism(PARALLELISM).buffer_timeout(Duration::from_millis(1)).restore_from(path);
    controlled(&environment, options.keys);
    // Every word was there when the checkpoint was taken.
    LEAST.store(2, Ordering::Relaxed);
    RATE.store(options.rate, Ordering::Relaxed);
    let begin = now();
    let job = environment.start("restore").expect("a job that starts");
    let running = marks::wait_running(TASKS, begin);
    let output = loop {
        assert!(!job.is_finished(), "the job failed");
        if let Some(first) = FIRST.lock().expect("no panic").iter().copied().min() {
            break first;
        }
        thread::sleep(Duration::from_micros(200));
    };
    thread::sleep(Duration::from_millis(500));
    assert!(!job.is_finished(), "a word had no state");
    let (resident, peak) = (resident(), own_peak());
    job.cancel();
    job.wait().expect("a job that can be canceled");
    let seconds = |time: u64| (time - begin) as f64 / SECOND as f64;
    Restore { running: seconds(running), output: seconds(output), resident, peak }
}
