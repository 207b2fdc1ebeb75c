//! Streams that are divided by key, and the windows over them.

use super::exchange::Partitioner;
use super::graph::{Erased, Partitioning};
use super::key_selector::{KeySelector, partitioner};
use super::operators::{
    Collector, Elements, Folded, KeyedProcess, KeyedProcessFunction, Reduce, Window, WindowAssigner, WindowOperator,
};
use super::record::Data;
use super::stream::DataStream;
use crate::state::{KeyType, StateType};
use std::marker::PhantomData;
use std::ops::AddAssign;

/// A stream whose records with the same key go to the same subtask.
pub struct KeyedStream<K, T, S> {
    stream: DataStream<T>,
    selector: S,
    key: PhantomData<fn() -> K>,
}

impl<K: KeyType, T: Data, S: KeySelector<K, T>> KeyedStream<K, T, S> {
    pub(crate) fn new(stream: DataStream<T>, selector: S) -> Self {
        KeyedStream { stream, selector, key: PhantomData }
    }

    fn partitioning(&self) -> Partitioning {
        let selector = self.selector.clone();
        Partitioning::Hash(Box::new(move |max_parallelism, parallelism| -> Erased {
            let groups = u16::try_from(max_parallelism).unwrap_or(u16::MAX);
            let subtasks = u16::try_from(parallelism).unwrap_or(u16::MAX);
            let by_key: Partitioner<T> = partitioner(selector.clone(), groups, subtasks);
            Box::new(by_key)
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
        let selector = self.selector.clone();
        self.stream.operator_behind("Keyed Reduce", self.partitioning(), move |context, output| {
            Box::new(Reduce::new(context, selector.clone(), function.clone(), output))
        })
    }

    /// Gives records to a function with state and timers by key.
    pub fn process<P>(&self, function: P) -> DataStream<P::Out>
    where
        P: KeyedProcessFunction<Key = K, In = T>,
    {
        let selector = self.selector.clone();
        self.stream.operator_behind("KeyedProcess", self.partitioning(), move |context, output| {
            Box::new(KeyedProcess::new(context, selector.clone(), function.clone(), output))
        })
    }

    /// Divides the records of each key into windows.
    pub fn window(&self, assigner: WindowAssigner) -> WindowedStream<'_, K, T, S> {
        WindowedStream { keyed: self, assigner }
    }
}

/// The windows of each key.
pub struct WindowedStream<'a, K, T, S> {
    keyed: &'a KeyedStream<K, T, S>,
    assigner: WindowAssigner,
}

impl<K: KeyType, T: Data + StateType, S: KeySelector<K, T>> WindowedStream<'_, K, T, S> {
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
        let (selector, assigner) = (self.keyed.selector.clone(), self.assigner);
        self.keyed.stream.operator_behind(&assigner.name(), self.keyed.partitioning(), move |context, output| {
            let contents = Folded(function.clone());
            Box::new(WindowOperator::new(context, selector.clone(), assigner, contents, then.clone(), output))
        })
    }

    /// Keeps all records of each window, and gives them to a function with key and window when that ends.
    pub fn process<U: Data>(
        self,
        then: impl FnMut(&K, &Window, Vec<T>, &mut Collector<'_, U>) -> anyhow::Result<()> + Clone + Send + 'static,
    ) -> DataStream<U> {
        let (selector, assigner) = (self.keyed.selector.clone(), self.assigner);
        self.keyed.stream.operator_behind(&assigner.name(), self.keyed.partitioning(), move |context, output| {
            Box::new(WindowOperator::new(context, selector.clone(), assigner, Elements, then.clone(), output))
        })
    }
}
