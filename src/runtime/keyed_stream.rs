//! Streams that are divided by key, and the windows over them.

use super::exchange::Partitioner;
use super::graph::{Erased, Partitioning};
use super::operators::{
    Collector, Elements, Folded, KeyedProcess, KeyedProcessFunction, Reduce, Window, WindowAssigner, WindowOperator,
};
use super::record::Data;
use super::stream::DataStream;
use crate::state::key_group::{assign_to_key_group, operator_index_for_key_group};
use crate::state::{KeyType, StateType};
use std::ops::AddAssign;
use std::sync::Arc;

/// A stream whose records with the same key go to the same subtask.
pub struct KeyedStream<K, T> {
    stream: DataStream<T>,
    key: Arc<dyn KeySelector<K, T>>,
}

/// Finds the key of a record; each user has a clone.
pub(crate) trait KeySelector<K, T>: Send + Sync {
    fn selector(&self) -> Selector<K, T>;
}

/// A function that finds the key of a record.
pub(crate) type Selector<K, T> = Box<dyn Fn(&T) -> K + Send>;

struct Cloned<F>(std::sync::Mutex<F>);

impl<K, T, F: Fn(&T) -> K + Clone + Send + 'static> KeySelector<K, T> for Cloned<F> {
    fn selector(&self) -> Selector<K, T> {
        Box::new(self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone())
    }
}

impl<K: KeyType, T: Data> KeyedStream<K, T> {
    pub(crate) fn new(stream: DataStream<T>, key: impl Fn(&T) -> K + Clone + Send + 'static) -> Self {
        KeyedStream { stream, key: Arc::new(Cloned(std::sync::Mutex::new(key))) }
    }

    fn partitioning(&self) -> Partitioning {
        let key = self.key.clone();
        Partitioning::Hash(Box::new(move |max_parallelism, parallelism| -> Erased {
            let groups = u16::try_from(max_parallelism).unwrap_or(u16::MAX);
            let subtasks = u16::try_from(parallelism).unwrap_or(u16::MAX);
            let target = |group| usize::from(operator_index_for_key_group(groups, subtasks, group));
            let targets: Vec<usize> = (0..groups).map(target).collect();
            let key = key.selector();
            let partitioner: Partitioner<T> =
                Box::new(move |value: &T| targets[usize::from(assign_to_key_group(key(value).java_hash(), groups))]);
            Box::new(partitioner)
        }))
    }

    /// Keeps the sum of a number in the records of each key, and emits the last record with it after each one.
    ///
    /// `field` finds the number; the rest of the record is that of the first with the key, as in Flink. The state is
    /// that of Flink's `sum`.
    pub fn sum<N: AddAssign + Copy>(&self, field: impl Fn(&mut T) -> &mut N + Clone + Send + 'static) -> DataStream<T>
    where
        T: StateType,
    {
        self.reduce(move |sum, mut value| *field(sum) += *field(&mut value)).name("Keyed Aggregation")
    }

    /// Folds the records of each key into one, and emits it after each one. The state is that of Flink's `reduce`.
    pub fn reduce(&self, function: impl FnMut(&mut T, T) + Clone + Send + 'static) -> DataStream<T>
    where
        T: StateType,
    {
        let key = self.key.clone();
        self.stream.operator_behind("Keyed Reduce", self.partitioning(), move |context, output| {
            Box::new(Reduce::new(context, key.selector(), function.clone(), output))
        })
    }

    /// Gives records to a function with state and timers by key.
    pub fn process<P>(&self, function: P) -> DataStream<P::Out>
    where
        P: KeyedProcessFunction<Key = K, In = T>,
    {
        let key = self.key.clone();
        self.stream.operator_behind("KeyedProcess", self.partitioning(), move |context, output| {
            Box::new(KeyedProcess::new(context, key.selector(), function.clone(), output))
        })
    }

    /// Divides the records of each key into windows.
    pub fn window(&self, assigner: WindowAssigner) -> WindowedStream<'_, K, T> {
        WindowedStream { keyed: self, assigner }
    }
}

/// The windows of each key.
pub struct WindowedStream<'a, K, T> {
    keyed: &'a KeyedStream<K, T>,
    assigner: WindowAssigner,
}

impl<K: KeyType, T: Data + StateType> WindowedStream<'_, K, T> {
    /// Sums up a number in the records of each window; see [`KeyedStream::sum`].
    pub fn sum<N: AddAssign + Copy>(self, field: impl Fn(&mut T) -> &mut N + Clone + Send + 'static) -> DataStream<T> {
        self.reduce(move |sum, mut value| *field(sum) += *field(&mut value))
    }

    /// Folds the records of each window into one, and emits it when the window ends.
    pub fn reduce(self, function: impl FnMut(&mut T, T) + Clone + Send + 'static) -> DataStream<T> {
        self.reduce_then(function, |_, _, value, out| out.collect(value))
    }

    /// Folds the records of each window into one, and gives it to a function with key and window when that ends.
    pub fn reduce_then<U: Data>(
        self,
        function: impl FnMut(&mut T, T) + Clone + Send + 'static,
        then: impl FnMut(&K, &Window, T, &mut Collector<'_, U>) -> anyhow::Result<()> + Clone + Send + 'static,
    ) -> DataStream<U> {
        let (key, assigner) = (self.keyed.key.clone(), self.assigner);
        self.keyed.stream.operator_behind(&assigner.name(), self.keyed.partitioning(), move |context, output| {
            let contents = Folded(function.clone());
            Box::new(WindowOperator::new(context, key.selector(), assigner, contents, then.clone(), output))
        })
    }

    /// Keeps all records of each window, and gives them to a function with key and window when that ends.
    pub fn process<U: Data>(
        self,
        then: impl FnMut(&K, &Window, Vec<T>, &mut Collector<'_, U>) -> anyhow::Result<()> + Clone + Send + 'static,
    ) -> DataStream<U> {
        let (key, assigner) = (self.keyed.key.clone(), self.assigner);
        self.keyed.stream.operator_behind(&assigner.name(), self.keyed.partitioning(), move |context, output| {
            Box::new(WindowOperator::new(context, key.selector(), assigner, Elements, then.clone(), output))
        })
    }
}
