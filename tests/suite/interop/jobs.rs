//! The jobs of the harness (`tests/flink/harness/Jobs.java`) on this runtime: the same uids, states and sequence.

use chkctl::model::Location;
use chkctl::runtime::coordinator::{Retention, SavepointFormat};
use chkctl::runtime::{
    DataStream, Emitter, Environment, JobHandle, KeyedContext, KeyedProcessFunction, ListState, MapState, Poll,
    ReducingState, Source, SourceContext, Split, StateRegistry, TimeDomain, ValueState, WindowAssigner,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::suite::flink::word;

/// For a timer that never fires: the year 2100.
const FAR: i64 = 4_102_444_800_000;
/// The last words that `kitchen` keeps of a key.
const SEEN: usize = 3;

/// Which job, with the options of the harness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Job {
    pub kind: Kind,
    /// Records of the sequence.
    pub n: i64,
    pub vocab: i64,
    pub keys: i64,
    pub parallelism: usize,
    pub sources: usize,
    /// Key groups, where the program asks for a number of them.
    pub max_parallelism: Option<u16>,
    /// Bytes up to which state goes into the `_metadata`.
    pub in_line: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    WordCount,
    Tumbling,
    Sliding,
    Kitchen,
}

/// What a job has told so far.
#[derive(Default)]
struct Told {
    counts: BTreeMap<String, i64>,
    outputs: Vec<Value>,
    restored: Vec<Split>,
    /// Splits of the sources that hold.
    held: Vec<Split>,
    holding: usize,
}

type Probe = Arc<Mutex<Told>>;

/// A job that stood still while snapshots of all kinds were taken.
pub struct Held {
    pub checkpoint: PathBuf,
    pub canonical: PathBuf,
    pub native: PathBuf,
    /// The splits that it went on from, as the harness tells them.
    pub restored: Value,
    /// The splits in the snapshots.
    pub positions: Value,
    /// The results up to the snapshots.
    pub results: Value,
}

impl Held {
    /// Each kind of snapshot with its name.
    pub fn snapshots(&self) -> [(&'static str, &Path); 3] {
        [("checkpoint", &self.checkpoint), ("canonical", &self.canonical), ("native", &self.native)]
    }
}

/// Emits what stands for the positions of the sequence, and stops for good after some of them.
#[derive(Clone)]
struct Sequence<F> {
    n: i64,
    hold: Option<i64>,
    timed: bool,
    make: F,
    probe: Probe,
    splits: Vec<Split>,
    left: i64,
    held: bool,
}

fn start(of: i64, index: usize, count: usize) -> i64 {
    of * index as i64 / count as i64
}

impl<T: Clone + Send + 'static, F: Fn(i64) -> T + Clone + Send + 'static> Source for Sequence<F> {
    type Item = T;

    fn open(&mut self, context: &SourceContext) -> anyhow::Result<()> {
        let share =
            |of| (start(of, context.subtask, context.parallelism), start(of, context.subtask + 1, context.parallelism));
        self.splits = match &context.restored {
            Some(restored) => {
                self.probe.lock().expect("a probe").restored.extend(restored.clone());
                restored.clone()
            }
            None => {
                let (position, end) = share(self.n);
                vec![Split { id: "sequence".to_owned(), position, end }]
            }
        };
        self.splits.sort_by_key(|split| split.position);
        self.left = self.hold.map_or(i64::MAX, |hold| share(hold).1 - share(hold).0);
        Ok(())
    }

    fn poll(&mut self, out: &mut Emitter<'_, T>) -> anyhow::Result<Poll> {
        for _ in 0..50 {
            let split = self.splits.iter_mut().find(|split| split.position < split.end);
            let Some(split) = split.filter(|_| self.left > 0) else {
                if self.hold.is_none() {
                    return Ok(Poll::Finished);
                }
                if !std::mem::replace(&mut self.held, true) {
                    let mut told = self.probe.lock().expect("a probe");
                    told.held.extend(self.splits.clone());
                    told.holding += 1;
                }
                std::thread::sleep(Duration::from_millis(1));
                return Ok(Poll::Idle);
            };
            let i = split.position;
            if self.timed {
                out.collect_with_timestamp((self.make)(i), i * 10)?;
                out.emit_watermark(i * 10 - 1)?;
            } else {
                out.collect((self.make)(i))?;
            }
            split.position += 1;
            self.left -= 1;
        }
        Ok(Poll::More)
    }

    fn splits(&self) -> Vec<Split> {
        self.splits.clone()
    }
}

impl Job {
    /// Two subtasks of 128 key groups; `kitchen` has one source, since its lines tell the order of records.
    pub fn new(kind: Kind) -> Self {
        let sources = if kind == Kind::Kitchen { 1 } else { 2 };
        let (max_parallelism, in_line) = (None, 20 * 1024);
        Job { kind, n: 1000, vocab: 30, keys: 7, parallelism: 2, sources, max_parallelism, in_line }
    }

    /// The same with other parallelism.
    pub fn parallelism(self, parallelism: usize) -> Self {
        let sources = if self.kind == Kind::Kitchen { 1 } else { parallelism };
        Job { parallelism, sources, ..self }
    }

    /// The words of a command that makes the harness do the same.
    pub fn words(&self, command: &str) -> Vec<String> {
        let name = match self.kind {
            Kind::WordCount => "wordcount",
            Kind::Tumbling | Kind::Sliding => "windowed",
            Kind::Kitchen => "kitchen",
        };
        let mut words = vec![command.to_owned(), name.to_owned()];
        words.extend([
            format!("n={}", self.n),
            format!("vocab={}", self.vocab),
            format!("keys={}", self.keys),
            format!("par={}", self.parallelism),
            format!("sources={}", self.sources),
            format!("sliding={}", self.kind == Kind::Sliding),
            format!("inline={}", self.in_line),
        ]);
        words.extend(self.max_parallelism.map(|max| format!("maxpar={max}")));
        words
    }

    /// The name that the harness gives the results.
    pub fn result(&self) -> &'static str {
        match self.kind {
            Kind::WordCount => "counts",
            Kind::Tumbling | Kind::Sliding => "windows",
            Kind::Kitchen => "lines",
        }
    }

    fn build(&self, environment: &Environment, hold: Option<i64>, probe: &Probe) {
        environment.parallelism(self.parallelism);
        if let Some(max_parallelism) = self.max_parallelism {
            environment.max_parallelism(max_parallelism);
        }
        let (vocab, keys) = (self.vocab, self.keys);
        let outputs = probe.clone();
        let output = move |value| {
            outputs.lock().expect("a probe").outputs.push(value);
            Ok(())
        };
        match self.kind {
            Kind::WordCount => {
                let counts = probe.clone();
                self.source(environment, hold, false, probe, move |i| text(i, vocab))
                    .flat_map(|line: String, out| line.split(' ').try_for_each(|word| out.collect(word.to_owned())))
                    .uid("split")
                    .parallelism(self.sources)
                    .try_map(|word| if word == "error" { Err(anyhow::anyhow!("error came in")) } else { Ok(word) })
                    .uid("check")
                    .parallelism(self.sources)
                    .map(|word| (word, 1_i64))
                    .uid("pair")
                    .parallelism(self.sources)
                    .key_by(|(word, _)| word.clone())
                    .sum(|(_, count)| count)
                    .uid("sum")
                    .for_each(move |(word, count)| {
                        let counts = &mut counts.lock().expect("a probe").counts;
                        let highest = counts.entry(word).or_default();
                        *highest = count.max(*highest);
                        Ok(())
                    })
                    .uid("sink");
            }
            Kind::Tumbling | Kind::Sliding => {
                let size = Duration::from_secs(1);
                let assigner = match self.kind {
                    Kind::Sliding => WindowAssigner::sliding(size, size / 2),
                    _ => WindowAssigner::tumbling(size),
                };
                self.source(environment, hold, true, probe, |i| i)
                    .map(move |i| (text(i, vocab), 1_i64))
                    .uid("pair")
                    .parallelism(self.sources)
                    .key_by(|(word, _)| word.clone())
                    .window(assigner)
                    .reduce_then(
                        |sum, value| sum.1 += value.1,
                        |word, window, sum, out| out.collect((word.clone(), window.start, sum.1)),
                    )
                    .uid("window")
                    .for_each(move |(word, start, count)| output(json!([word, start, count])))
                    .uid("sink");
            }
            Kind::Kitchen => {
                self.source(environment, hold, true, probe, |i| i)
                    .key_by(move |i| i % keys)
                    .process(Kitchen { vocab, states: None })
                    .uid("process")
                    .for_each(move |line| output(json!(line)))
                    .uid("sink");
            }
        }
    }

    fn source<T: Clone + Send + 'static>(
        &self,
        environment: &Environment,
        hold: Option<i64>,
        timed: bool,
        probe: &Probe,
        make: impl Fn(i64) -> T + Clone + Send + 'static,
    ) -> DataStream<T> {
        let probe = probe.clone();
        let sequence = Sequence { n: self.n, hold, timed, make, probe, splits: Vec::new(), left: 0, held: false };
        environment.source("Sequence", sequence).uid("source").parallelism(self.sources)
    }

    fn results(&self, told: &Told) -> Value {
        match self.kind {
            Kind::WordCount => json!(told.counts),
            _ => sorted(&json!(told.outputs)),
        }
    }

    /// Runs the job to its end, from a snapshot where there is one; answers as the harness does.
    pub fn complete(&self, from: Option<&Path>) -> anyhow::Result<Value> {
        let (environment, probe) = (Environment::new(), Probe::default());
        self.build(&environment, None, &probe);
        if let Some(from) = from {
            environment.restore_from(location(from));
        }
        environment.execute("complete")?;
        let told = probe.lock().expect("a probe");
        Ok(json!({"restored": positions(&told.restored), self.result(): self.results(&told)}))
    }

    /// Runs the job until it has read `hold` records, takes snapshots below `dir`, and cancels it.
    pub fn hold(&self, hold: i64, from: Option<&Path>, dir: &Path) -> Held {
        let (environment, probe) = (Environment::new(), Probe::default());
        self.build(&environment, Some(hold), &probe);
        environment.checkpoints(|checkpoints| {
            checkpoints.interval = Some(Duration::from_millis(20));
            checkpoints.retention = Retention::RetainOnCancellation;
            checkpoints.in_line_threshold = self.in_line;
            checkpoints.directory = Some(location(dir));
        });
        if let Some(from) = from {
            environment.restore_from(location(from));
        }
        let job = environment.start("hold").expect("the job starts");
        await_that(&job, || probe.lock().expect("a probe").holding == self.sources);
        let native = savepoint(&job, dir, SavepointFormat::Native);
        let canonical = savepoint(&job, dir, SavepointFormat::Canonical);
        // Ids tell the order of triggers: the checkpoint that is kept has to begin after all records.
        let after = id(&canonical);
        let checkpoints = dir.join(job.job_id());
        await_that(&job, || newest(&checkpoints) > after);
        job.cancel();
        let kept = job.wait().expect("the job was canceled").checkpoint.expect("a checkpoint is kept");
        let told = probe.lock().expect("a probe");
        let (restored, positions, results) = (positions(&told.restored), positions(&told.held), self.results(&told));
        Held { checkpoint: path(&kept), canonical, native, restored, positions, results }
    }
}

/// The formats of savepoints.
pub const FORMATS: [SavepointFormat; 2] = [SavepointFormat::Canonical, SavepointFormat::Native];

/// Takes a savepoint as soon as all tasks run.
pub fn savepoint(job: &JobHandle, dir: &Path, format: SavepointFormat) -> PathBuf {
    let mut taken = None;
    await_that(job, || match job.savepoint(Some(location(dir)), format) {
        Ok(place) => taken.replace(path(&place)).is_none(),
        Err(error) if error.to_string() == "Not all required tasks are currently running." => false,
        Err(error) => panic!("no savepoint: {error:?}"),
    });
    taken.expect("a savepoint")
}

fn text(i: i64, vocab: i64) -> String {
    word(i as u64, vocab as u64)
}

/// A list in an order that does not depend on who made it.
pub fn sorted(list: &Value) -> Value {
    let mut items = list.as_array().expect("a list").clone();
    items.sort_by_cached_key(Value::to_string);
    Value::Array(items)
}

/// All of several lists, sorted.
pub fn together(lists: &[&Value]) -> Value {
    sorted(&lists.iter().flat_map(|list| list.as_array().expect("a list").clone()).collect())
}

/// Splits as the harness tells them.
fn positions(splits: &[Split]) -> Value {
    let mut splits = splits.to_vec();
    splits.sort_by_key(|split| split.end);
    splits.iter().map(|split| json!([split.id, split.position, split.end])).collect()
}

pub fn location(path: &Path) -> Location {
    Location::parse(path.to_str().expect("UTF-8")).expect("a place")
}

/// The path of a place in the local file system.
pub fn path(location: &Location) -> PathBuf {
    let text = location.to_string();
    PathBuf::from(text.strip_prefix("file:").unwrap_or(&text))
}

/// The id of a snapshot.
fn id(snapshot: &Path) -> i64 {
    let bytes = std::fs::read(snapshot.join("_metadata")).expect("a _metadata");
    chkctl::format::decode(&bytes).expect("a snapshot").checkpoint_id
}

/// The id of the newest complete checkpoint of a job.
fn newest(job: &Path) -> i64 {
    let entries = std::fs::read_dir(job).expect("the directory of the job");
    let complete =
        entries.map(|entry| entry.expect("an entry")).filter(|entry| entry.path().join("_metadata").exists());
    let ids = complete.filter_map(|entry| entry.file_name().to_str()?.strip_prefix("chk-")?.parse().ok());
    ids.max().unwrap_or(0)
}

fn await_that(job: &JobHandle, mut what: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !what() {
        assert!(!job.is_finished(), "the job ended too early");
        assert!(begin.elapsed() < Duration::from_secs(60), "it takes too long");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Every kind of keyed state, and timers (`Jobs.Kitchen`).
#[derive(Clone)]
struct Kitchen {
    vocab: i64,
    states: Option<States>,
}

#[derive(Clone)]
struct States {
    count: ValueState<i64>,
    seen: ListState<String>,
    per_word: MapState<String, i64>,
    total: ReducingState<i64>,
}

impl KeyedProcessFunction for Kitchen {
    type Key = i64;
    type In = i64;
    type Out = String;

    fn open(&mut self, states: &mut StateRegistry<'_, i64>) -> anyhow::Result<()> {
        self.states = Some(States {
            count: states.value("count")?,
            seen: states.list("seen")?,
            per_word: states.map("per-word")?,
            total: states.reducing("total", |sum: &mut i64, i| *sum += i)?,
        });
        Ok(())
    }

    fn process(&mut self, i: i64, context: &mut KeyedContext<'_, i64, String>) -> anyhow::Result<()> {
        let states = self.states.as_ref().expect("it is open");
        let word = text(i, self.vocab);
        let count = states.count.get(context).copied().unwrap_or(0);
        states.count.set(context, count + 1)?;
        let mut last = states.seen.get(context).to_vec();
        last.push(word.clone());
        states.seen.update(context, last.split_off(last.len().saturating_sub(SEEN)))?;
        let words = states.per_word.get(context, &word).copied().unwrap_or(0);
        states.per_word.put(context, word, words + 1)?;
        states.total.add(context, i)?;
        let time = context.timestamp().expect("a timestamp");
        context.register_timer(TimeDomain::EventTime, time - time % 1000 + 1000)?;
        context.register_timer(TimeDomain::ProcessingTime, FAR)
    }

    fn on_timer(&mut self, time: i64, context: &mut KeyedContext<'_, i64, String>) -> anyhow::Result<()> {
        let states = self.states.as_ref().expect("it is open");
        let domain = if context.time_domain() == TimeDomain::EventTime { "event" } else { "clock" };
        let key = *context.key();
        let count = *states.count.get(context).expect("a count");
        let seen = states.seen.get(context).join(",");
        let words: BTreeMap<_, _> = states.per_word.entries(context).expect("words").iter().collect();
        let words: Vec<_> = words.iter().map(|(word, many)| format!("{word}:{many}")).collect();
        let words = words.join(",");
        let total = *states.total.get(context).expect("a total");
        context
            .collect(format!("key={key} time={time} {domain} count={count} seen={seen} per-word={words} total={total}"))
    }
}
