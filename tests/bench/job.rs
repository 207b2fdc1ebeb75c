//! The job that is measured, and what its tasks tell and are told: there is one job at a time in a process.
//!
//! It is `wordcount` of `tests/flink/harness/Jobs.java`, operator for operator. Sinks look at the clock where asked.

use chkctl::runtime::{DataStream, Emitter, Environment, Poll, Source, SourceContext, Split};
use chkctl::state::Str;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// A word and how often it has come.
pub type Pair = (Str, i64);

/// Tasks of the job: sources with all up to the pairs, and sums with their sinks.
pub const TASKS: usize = 2 * PARALLELISM;

/// Subtasks of every operator.
pub const PARALLELISM: usize = 2;

/// A [`RATE`] without a limit.
pub const FULL: u64 = u64::MAX;
/// A [`RATE`] without a limit, until every word has come once; then nothing.
pub const ONCE: u64 = u64::MAX - 1;

/// Records per second of all sources together.
pub static RATE: AtomicU64 = AtomicU64::new(0);
/// Makes the next record of a source the word "error".
pub static INJECT: AtomicBool = AtomicBool::new(false);
/// When ([`now`]) that word came in.
pub static THROWN: AtomicU64 = AtomicU64::new(0);
/// Whether sinks look for gaps.
pub static WATCHING: AtomicBool = AtomicBool::new(false);
/// What the counts of words must be at least.
pub static LEAST: AtomicI64 = AtomicI64::new(1);
/// When ([`now`]) each sink saw its first record.
pub static FIRST: Mutex<Vec<u64>> = Mutex::new(Vec::new());
/// The gaps that sinks have seen.
pub static GAPS: Mutex<Vec<Gap>> = Mutex::new(Vec::new());

static SEEN: [Seen; 64] = [const { Seen(AtomicU64::new(0)) }; 64];
static SINKS: AtomicUsize = AtomicUsize::new(0);

/// In a cache line of its own.
#[repr(align(128))]
struct Seen(AtomicU64);

/// A time without a record at a sink, of more than [`SHORTEST`]. All in nanoseconds.
#[derive(Clone, Copy)]
pub struct Gap {
    /// When ([`now`]) it ended.
    pub end: u64,
    /// How long it was.
    pub length: u64,
    /// How much of it the thread was ready to run and had no core. Known for gaps of 1 ms and more.
    pub waited: u64,
}

/// Shorter gaps are not kept.
const SHORTEST: u64 = 200_000;

const MILLISECOND: u64 = 1_000_000;

/// Nanoseconds since this was first called.
pub fn now() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed().as_nanos() as u64
}

/// How many records all sinks have seen.
pub fn seen() -> u64 {
    SEEN.iter().map(|seen| seen.0.load(Ordering::Relaxed)).sum()
}

/// Puts the job behind its source.
pub fn word_count(
    lines: &DataStream<String>,
    sink: impl FnMut(Pair) -> anyhow::Result<()> + Clone + Send + 'static,
) -> DataStream<()> {
    lines
        .flat_map(|line: String, out| line.split_ascii_whitespace().try_for_each(|word| out.collect(Str::new(word))))
        .uid("split")
        .try_map(|word| {
            if word == "error" {
                THROWN.store(now(), Ordering::SeqCst);
                anyhow::bail!("the word error came in");
            }
            Ok(word)
        })
        .uid("check")
        .map(|word| (word, 1_i64))
        .uid("pair")
        .key_by_ref(|(word, _)| word)
        .sum(|(_, count)| count)
        .uid("sum")
        .for_each(sink)
        .uid("sink")
}

/// The job with a source that [`RATE`] and [`INJECT`] rule, and sinks that watch.
pub fn controlled(environment: &Environment, keys: u64) {
    let lines = environment.source("Sequence", Sequence::new(keys)).uid("source");
    let mut sink = Sink::default();
    word_count(&lines, move |pair| sink.see(&pair));
}

/// An endless sequence of words, one in a line; number `i` is "word" + i * 7919 % keys.
#[derive(Clone)]
pub struct Sequence {
    keys: u64,
    split: Split,
    /// Up to here every word of this subtask comes once.
    once: i64,
    rate: u64,
    since: Instant,
    sent: u64,
    subtasks: u64,
}

impl Sequence {
    fn new(keys: u64) -> Self {
        let split = Split { id: String::new(), position: 0, end: 0 };
        Sequence { keys, split, once: 0, rate: 0, since: Instant::now(), sent: 0, subtasks: 1 }
    }

    /// How many records are due.
    fn due(&mut self) -> u64 {
        /// Not many at once, so that commands are not kept waiting.
        const MOST: u64 = 256;
        let rate = RATE.load(Ordering::Relaxed);
        if rate != self.rate {
            (self.rate, self.since, self.sent) = (rate, Instant::now(), 0);
        }
        let due = match rate {
            FULL => MOST,
            ONCE => u64::try_from(self.once - self.split.position).unwrap_or(0),
            _ => (self.since.elapsed().as_secs_f64() * (rate / self.subtasks) as f64) as u64 - self.sent,
        };
        due.min(MOST)
    }
}

impl Source for Sequence {
    type Item = String;

    fn open(&mut self, context: &SourceContext) -> anyhow::Result<()> {
        let (subtask, subtasks) = (context.subtask as i64, context.parallelism as i64);
        // After whole rounds through the words, each subtask starts with its own share of them.
        let round = self.keys as i64;
        let start = |subtask: i64| round * 1_000_000 * subtask + round * subtask / subtasks;
        let fresh = Split { id: "sequence".to_owned(), position: start(subtask), end: start(subtask + 1) };
        self.once = start(subtask) + round * (subtask + 1) / subtasks - round * subtask / subtasks;
        self.split = context.restored.as_ref().and_then(|splits| splits.first().cloned()).unwrap_or(fresh);
        self.subtasks = subtasks as u64;
        Ok(())
    }

    fn poll(&mut self, out: &mut Emitter<'_, String>) -> anyhow::Result<Poll> {
        if INJECT.swap(false, Ordering::Relaxed) {
            out.collect("error".to_owned())?;
        }
        let due = self.due();
        for _ in 0..due {
            let number = self.split.position as u64 % self.keys;
            let word = number * 7919 % self.keys;
            out.collect(format!("word{word}"))?;
            self.split.position += 1;
        }
        self.sent += due;
        if due > 0 && self.rate >= ONCE {
            return Ok(Poll::More);
        }
        thread::sleep(Duration::from_micros(if self.rate == 0 { 1000 } else { 100 }));
        Ok(Poll::Idle)
    }

    fn splits(&self) -> Vec<Split> {
        vec![self.split.clone()]
    }
}

/// The sink of one subtask.
#[derive(Default)]
struct Sink {
    slot: Option<usize>,
    /// When the last record came; 0 where nobody watched.
    last: u64,
    waiting: Waiting,
}

impl Clone for Sink {
    fn clone(&self) -> Self {
        Sink::default()
    }
}

impl Sink {
    #[inline]
    fn see(&mut self, pair: &Pair) -> anyhow::Result<()> {
        anyhow::ensure!(pair.1 >= LEAST.load(Ordering::Relaxed), "{pair:?}: the state of this word is not there");
        let slot = match self.slot {
            Some(slot) => slot,
            None => self.begin(),
        };
        let seen = &SEEN[slot].0;
        seen.store(seen.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        if WATCHING.load(Ordering::Relaxed) {
            self.watch();
        } else {
            self.last = 0;
        }
        Ok(())
    }

    #[cold]
    fn begin(&mut self) -> usize {
        let slot = SINKS.fetch_add(1, Ordering::Relaxed) % SEEN.len();
        FIRST.lock().expect("no panic").push(now());
        *self.slot.insert(slot)
    }

    fn watch(&mut self) {
        let time = now();
        let length = time - self.last;
        if self.last != 0 && length > SHORTEST {
            let waited = if length >= MILLISECOND { self.waiting.since_last(time).min(length) } else { 0 };
            GAPS.lock().expect("no panic").push(Gap { end: time, length, waited });
        } else if time - self.waiting.at > MILLISECOND {
            // So that what a gap is charged with is not much older than the gap.
            self.waiting.since_last(time);
        }
        self.last = time;
    }
}

/// How long a thread has waited for a core, as Linux counts it (`/proc/thread-self/schedstat`).
#[derive(Default)]
struct Waiting {
    file: Option<File>,
    total: u64,
    at: u64,
}

impl Waiting {
    /// Nanoseconds since it was last asked; 0 where the system does not say.
    fn since_last(&mut self, time: u64) -> u64 {
        if self.file.is_none() {
            self.file = File::open("/proc/thread-self/schedstat").ok();
        }
        let mut text = [0; 64];
        let read = self.file.as_ref().and_then(|file| file.read_at(&mut text, 0).ok()).unwrap_or(0);
        let text = std::str::from_utf8(&text[..read]).unwrap_or_default();
        let total = text.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0);
        let before = std::mem::replace(&mut self.total, total);
        self.at = time;
        total.saturating_sub(before)
    }
}

/// The memory of this process in bytes, as the system sees it; 0 where it does not say.
pub fn resident() -> u64 {
    /// Linux counts in pages; all that this runs on have this size.
    const PAGE: u64 = 4096;
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * PAGE
}
