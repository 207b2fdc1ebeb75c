//! Streams as a program sees them: transformations add operators to the graph of the environment.

use super::environment::Environment;
use super::graph::{Chaining, Edge, Erased, Maker, Node, NodeId, Of, OperatorContext, Partitioning, recover};
use super::key_selector::{ComputedKey, KeyInRecord};
use super::keyed_stream::KeyedStream;
use super::operators::{FlatMap, ForEach, TimestampAssigner};
use super::record::{Data, Output};
use super::sinks::{FileSink, FileSinkOperator, Text};
use crate::state::KeyType;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

pub use super::operators::Collector;

/// A stream of records of one type.
///
/// Methods that name or place an operator ([`uid`](Self::uid), [`name`](Self::name),
/// [`parallelism`](Self::parallelism), …) apply to the operator that the stream comes from.
pub struct DataStream<T> {
    pub(crate) environment: Environment,
    pub(crate) node: NodeId,
    pub(crate) routing: Redistribution,
    pub(crate) of: PhantomData<fn() -> T>,
}

/// How records get to the next operator, as the program asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Redistribution {
    None,
    Rebalance,
    Broadcast,
}

impl<T> Clone for DataStream<T> {
    fn clone(&self) -> Self {
        DataStream { environment: self.environment.clone(), node: self.node, routing: self.routing, of: PhantomData }
    }
}

impl<T: Data> DataStream<T> {
    /// Adds an operator behind this stream.
    pub(crate) fn operator<U: Data>(
        &self,
        name: &str,
        make: impl Fn(OperatorContext, Box<dyn Output<U>>) -> Box<dyn Output<T>> + Send + 'static,
    ) -> DataStream<U> {
        self.operator_behind(name, self.partitioning(), make)
    }

    fn partitioning(&self) -> Partitioning {
        match self.routing {
            Redistribution::None => Partitioning::Forward,
            Redistribution::Rebalance => Partitioning::Rebalance,
            Redistribution::Broadcast => Partitioning::Broadcast,
        }
    }

    pub(crate) fn operator_behind<U: Data>(
        &self,
        name: &str,
        partitioning: Partitioning,
        make: impl Fn(OperatorContext, Box<dyn Output<U>>) -> Box<dyn Output<T>> + Send + 'static,
    ) -> DataStream<U> {
        let maker = Maker::Operator(Box::new(move |context, output| -> Erased {
            Box::new(make(context, recover::<Box<dyn Output<U>>>(output)))
        }));
        let edge = Edge { from: self.node, partitioning };
        self.environment.add(Node {
            name: name.to_owned(),
            uid: None,
            parallelism: None,
            max_parallelism: None,
            chaining: Chaining::Always,
            inputs: vec![edge],
            maker,
            output: Arc::new(Of::<U>(PhantomData)),
            single: false,
            commits: false,
        })
    }

    fn change(self, change: impl FnOnce(&mut Node)) -> Self {
        self.environment.change(self.node, change);
        self
    }

    /// Names the operator for people.
    pub fn name(self, name: &str) -> Self {
        self.change(|node| node.name = name.to_owned())
    }

    /// Gives the operator the id that its state is found by again. Without one the id follows from the place of the
    /// operator in the program, and changes with it.
    pub fn uid(self, uid: &str) -> Self {
        self.change(|node| node.uid = Some(uid.to_owned()))
    }

    /// Sets the number of subtasks of the operator.
    pub fn parallelism(self, parallelism: usize) -> Self {
        self.change(|node| node.parallelism = Some(parallelism))
    }

    /// Sets the number of key groups of the operator, 1 to 32,768, which bounds its parallelism for good: state cannot
    /// be restored with another.
    pub fn max_parallelism(self, max_parallelism: u16) -> Self {
        self.change(|node| node.max_parallelism = Some(max_parallelism.into()))
    }

    /// Keeps the operator in a task of its own.
    pub fn disable_chaining(self) -> Self {
        self.change(|node| node.chaining = Chaining::Never)
    }

    /// Begins a new task with the operator.
    pub fn start_new_chain(self) -> Self {
        self.change(|node| node.chaining = Chaining::Head)
    }

    /// Turns each record into one other.
    pub fn map<U: Data>(&self, mut function: impl FnMut(T) -> U + Clone + Send + 'static) -> DataStream<U> {
        self.named("Map", move |value, out| out.collect(function(value)))
    }

    /// Turns each record into one other, or fails the task.
    pub fn try_map<U: Data>(
        &self,
        mut function: impl FnMut(T) -> anyhow::Result<U> + Clone + Send + 'static,
    ) -> DataStream<U> {
        self.named("Map", move |value, out| out.collect(function(value)?))
    }

    /// Turns each record into any number of others.
    pub fn flat_map<U: Data>(
        &self,
        function: impl FnMut(T, &mut Collector<'_, U>) -> anyhow::Result<()> + Clone + Send + 'static,
    ) -> DataStream<U> {
        self.named("Flat Map", function)
    }

    /// Keeps the records that the function says yes to.
    pub fn filter(&self, mut function: impl FnMut(&T) -> bool + Clone + Send + 'static) -> DataStream<T> {
        self.named("Filter", move |value, out| if function(&value) { out.collect(value) } else { Ok(()) })
    }

    fn named<U: Data>(
        &self,
        name: &str,
        function: impl FnMut(T, &mut Collector<'_, U>) -> anyhow::Result<()> + Clone + Send + 'static,
    ) -> DataStream<U> {
        self.operator(name, move |context, output| Box::new(FlatMap::new(function.clone(), context.canceled, output)))
    }

    /// This stream and others, with no order between them.
    pub fn union(&self, others: &[DataStream<T>]) -> DataStream<T> {
        let all = std::iter::once(self).chain(others);
        let edge = |stream: &DataStream<T>| Edge { from: stream.node, partitioning: stream.partitioning() };
        self.environment.add(Node {
            name: "Union".to_owned(),
            uid: None,
            parallelism: None,
            max_parallelism: None,
            chaining: Chaining::Never,
            inputs: all.map(edge).collect(),
            maker: Maker::Union,
            output: Arc::new(Of::<T>(PhantomData)),
            single: false,
            commits: false,
        })
    }

    /// Spreads records evenly over the subtasks of the next operator.
    pub fn rebalance(mut self) -> Self {
        self.routing = Redistribution::Rebalance;
        self
    }

    /// Gives every record to all subtasks of the next operator.
    pub fn broadcast(mut self) -> Self {
        self.routing = Redistribution::Broadcast;
        self
    }

    /// Brings records with the same key to the same subtask, for state by key. The key is computed for each record.
    pub fn key_by<K, F>(&self, key: F) -> KeyedStream<K, T, ComputedKey<F>>
    where
        K: KeyType,
        F: Fn(&T) -> K + Clone + Send + 'static,
    {
        KeyedStream::new(self.clone(), ComputedKey(key))
    }

    /// Like [`DataStream::key_by`], with a key that is a part of the record and need not be copied.
    pub fn key_by_ref<K, F>(&self, key: F) -> KeyedStream<K, T, KeyInRecord<F>>
    where
        K: KeyType,
        F: for<'a> Fn(&'a T) -> &'a K + Clone + Send + 'static,
    {
        KeyedStream::new(self.clone(), KeyInRecord(key))
    }

    /// Gives records the event time that `timestamp` finds in them, in milliseconds since the epoch, and emits
    /// watermarks behind them: a record may be older than the newest one by `out_of_order`, and is late when it is older
    /// still (`WatermarkStrategy.forBoundedOutOfOrderness`).
    pub fn assign_timestamps(
        &self,
        out_of_order: Duration,
        timestamp: impl FnMut(&T) -> i64 + Clone + Send + 'static,
    ) -> DataStream<T> {
        let bound = i64::try_from(out_of_order.as_millis()).unwrap_or(i64::MAX);
        let interval = self.environment.watermark_interval();
        self.operator("Timestamps/Watermarks", move |_, output| {
            Box::new(TimestampAssigner::new(timestamp.clone(), bound, interval, output))
        })
    }

    /// Gives every record to a function; the stream ends here.
    pub fn for_each(&self, function: impl FnMut(T) -> anyhow::Result<()> + Clone + Send + 'static) -> DataStream<()> {
        self.operator("Sink: Unnamed", move |context, _| {
            Box::new(ForEach { function: function.clone(), canceled: context.canceled })
        })
    }

    /// Writes records to files below a directory, each exactly once: see [`FileSink`].
    pub fn sink_to_files(&self, sink: FileSink<T>) -> DataStream<()> {
        let stream: DataStream<()> = self.operator("Sink: Files", move |context, _| {
            Box::new(FileSinkOperator::new(context, sink.clone())) as Box<dyn Output<T>>
        });
        stream.change(|node| node.commits = true)
    }
}

impl<T: Data + Text> DataStream<T> {
    /// Prints every record as a line, as Flink does: `(flink,2)`, and `2> (flink,2)` where the operator has several
    /// subtasks.
    pub fn print(&self) -> DataStream<()> {
        self.operator("Sink: Print to Std. Out", move |context, _| {
            let prefix = match context.parallelism {
                1 => String::new(),
                _ => format!("{}> ", context.subtask + 1),
            };
            let function = move |value: T| {
                let mut line = prefix.clone();
                value.text(&mut line);
                line.push('\n');
                use std::io::Write;
                std::io::stdout().lock().write_all(line.as_bytes())?;
                Ok(())
            };
            Box::new(ForEach { function, canceled: context.canceled })
        })
    }
}
