//! The environment of a program: where streams begin, and how the job is to run.

use super::coordinator::CheckpointConfig;
use super::graph::{Chaining, Graph, Maker, Node, NodeId, Of};
use super::job::{self, JobHandle, JobOutcome, JobSettings};
use super::plan::{self, Defaults};
use super::record::Data;
use super::restart::RestartStrategy;
use super::sources::{CollectionSource, FileSource, SequenceSource, SocketSource, Source, SourceDriver};
use super::stream::{DataStream, Redistribution};
use super::task::{SourceTask, TaskBody};
use crate::model::Location;
use crate::storage::{LocalStorage, WriteStorage};
use std::cell::RefCell;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Builds a job (`StreamExecutionEnvironment`). Clones are the same environment.
///
/// ```
/// use chkctl::runtime::Environment;
///
/// let environment = Environment::new();
/// environment
///     .collection(["to be or", "not to be"])
///     .flat_map(|line: &str, out| line.split(' ').try_for_each(|word| out.collect((word.to_owned(), 1_i64))))
///     .key_by(|(word, _)| word.clone())
///     .sum(|(_, count)| count)
///     .print();
/// environment.execute("word count")?;
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Clone)]
pub struct Environment {
    inner: Rc<RefCell<Inner>>,
}

struct Inner {
    graph: Graph,
    defaults: Defaults,
    settings: JobSettings,
    watermark_interval: Duration,
}

impl Default for Environment {
    fn default() -> Self {
        Self::new()
    }
}

impl Environment {
    /// An environment with parallelism 1, no checkpoints and no restarts.
    pub fn new() -> Self {
        let settings = JobSettings {
            checkpoints: CheckpointConfig::default(),
            restart: RestartStrategy::None,
            storage: Arc::new(LocalStorage),
            buffer_timeout: Duration::from_millis(100),
            restore: None,
            allow_non_restored: false,
        };
        let defaults = Defaults { parallelism: 1, max_parallelism: None, chaining: true };
        let watermark_interval = Duration::from_millis(200);
        let inner = Inner { graph: Graph::default(), defaults, settings, watermark_interval };
        Environment { inner: Rc::new(RefCell::new(inner)) }
    }

    fn with(&self, change: impl FnOnce(&mut Inner)) -> &Self {
        change(&mut self.inner.borrow_mut());
        self
    }

    /// Sets the number of subtasks of operators that set none.
    pub fn parallelism(&self, parallelism: usize) -> &Self {
        self.with(|inner| inner.defaults.parallelism = parallelism)
    }

    /// Sets the number of key groups of operators that set none. Without it, it follows from the parallelism, as in
    /// Flink: 128 for small ones.
    pub fn max_parallelism(&self, max_parallelism: u16) -> &Self {
        self.with(|inner| inner.defaults.max_parallelism = Some(max_parallelism.into()))
    }

    /// Keeps every operator in tasks of its own.
    pub fn disable_chaining(&self) -> &Self {
        self.with(|inner| inner.defaults.chaining = false)
    }

    /// Changes how checkpoints are taken.
    pub fn checkpoints(&self, change: impl FnOnce(&mut CheckpointConfig)) -> &Self {
        self.with(|inner| change(&mut inner.settings.checkpoints))
    }

    /// Sets what happens when a task fails.
    pub fn restart_strategy(&self, strategy: RestartStrategy) -> &Self {
        self.with(|inner| inner.settings.restart = strategy)
    }

    /// Sets the store of checkpoints; the local file system otherwise.
    pub fn storage(&self, storage: Arc<dyn WriteStorage>) -> &Self {
        self.with(|inner| inner.settings.storage = storage)
    }

    /// Sets how long records may wait in a task for others to be sent with, 100 ms otherwise.
    pub fn buffer_timeout(&self, timeout: Duration) -> &Self {
        self.with(|inner| inner.settings.buffer_timeout = timeout)
    }

    /// Sets the time between watermarks, 200 ms otherwise. Applies to streams that are given timestamps later.
    pub fn set_watermark_interval(&self, interval: Duration) -> &Self {
        self.with(|inner| inner.watermark_interval = interval)
    }

    /// Starts the job from a checkpoint or savepoint (`-s`): its directory, or its `_metadata`.
    pub fn restore_from(&self, snapshot: Location) -> &Self {
        self.with(|inner| inner.settings.restore = Some(snapshot))
    }

    /// Starts the job also if the snapshot has state that no operator of the job claims (`-n`); it is dropped.
    pub fn allow_non_restored_state(&self, allow: bool) -> &Self {
        self.with(|inner| inner.settings.allow_non_restored = allow)
    }

    pub(crate) fn watermark_interval(&self) -> i64 {
        i64::try_from(self.inner.borrow().watermark_interval.as_millis()).unwrap_or(i64::MAX)
    }

    pub(crate) fn add<T>(&self, node: Node) -> DataStream<T> {
        let node = self.inner.borrow_mut().graph.add(node);
        DataStream { environment: self.clone(), node, routing: Redistribution::None, of: PhantomData }
    }

    pub(crate) fn change(&self, node: NodeId, change: impl FnOnce(&mut Node)) {
        change(&mut self.inner.borrow_mut().graph.nodes[node.0]);
    }

    /// A stream of what a source emits.
    pub fn source<S: Source>(&self, name: &str, source: S) -> DataStream<S::Item> {
        self.add_source(name, source, false)
    }

    fn add_source<S: Source>(&self, name: &str, source: S, single: bool) -> DataStream<S::Item> {
        let maker = Maker::Source(Box::new(move |context, output| -> Box<dyn TaskBody> {
            let source = Box::new(SourceDriver { source: source.clone(), context });
            Box::new(SourceTask { source, output: super::graph::recover(output) })
        }));
        self.add(Node {
            name: format!("Source: {name}"),
            uid: None,
            parallelism: None,
            max_parallelism: None,
            chaining: Chaining::Always,
            inputs: Vec::new(),
            maker,
            output: Arc::new(Of::<S::Item>(PhantomData)),
            single,
            commits: false,
        })
    }

    /// The elements of a collection.
    pub fn collection<T: Data + Sync>(&self, elements: impl IntoIterator<Item = T>) -> DataStream<T> {
        self.source("Collection Source", CollectionSource::new(elements))
    }

    /// The numbers from `from` on, up to but without `to`.
    pub fn sequence(&self, from: i64, to: i64) -> DataStream<i64> {
        self.source("Sequence Source", SequenceSource::new(from, to, |number| number))
    }

    /// The lines that a server sends. They cannot be read again after a failure.
    pub fn socket_text_stream(&self, host: &str, port: u16) -> DataStream<String> {
        self.add_source("Socket Stream", SocketSource::new(host, port), true)
    }

    /// The lines of a local file.
    pub fn text_file(&self, path: impl Into<PathBuf>) -> DataStream<String> {
        self.source("File Source", FileSource::new(path))
    }

    /// Runs the job, and waits for its end.
    ///
    /// # Errors
    /// When the job cannot be started, or fails for good.
    pub fn execute(&self, name: &str) -> anyhow::Result<JobOutcome> {
        self.start(name)?.wait()
    }

    /// Runs the job in the background. The environment is empty afterwards.
    ///
    /// # Errors
    /// When the settings contradict each other, or the snapshot to start from does not fit the job or is not whole.
    pub fn start(&self, name: &str) -> anyhow::Result<JobHandle> {
        let (graph, defaults, settings) = {
            let mut inner = self.inner.borrow_mut();
            (std::mem::take(&mut inner.graph), inner.defaults, inner.settings.clone())
        };
        anyhow::ensure!(!graph.nodes.is_empty(), "No operators defined in streaming topology. Cannot execute.");
        let plan = plan::plan(&graph, defaults)?;
        job::start(name, graph, plan, settings)
    }
}
