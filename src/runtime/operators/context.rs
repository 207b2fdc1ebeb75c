//! What a keyed process function has at hand: state, timers and an output.
//!
//! A function gets its state when it is opened, as small handles that it keeps in itself; with the context of a call
//! they give the state of the current key.

use crate::runtime::backend::{KeyedBackend, TableId, TimersId};
use crate::runtime::record::{NO_TIMESTAMP, Output};
use crate::state::{KeyType, KeyedStateType, StateType};
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

/// Registers the state of a function.
pub struct StateRegistry<'a, K> {
    pub(crate) backend: &'a mut KeyedBackend<K>,
}

impl<K: KeyType> StateRegistry<'_, K> {
    /// State of one value per key.
    ///
    /// # Errors
    /// When the function has state of this name already.
    pub fn value<V: StateType>(&mut self, name: &str) -> anyhow::Result<ValueState<V>> {
        Ok(ValueState(self.backend.value_state(name, KeyedStateType::Value)?))
    }

    /// State of a list per key.
    ///
    /// # Errors
    /// When the function has state of this name already.
    pub fn list<V: StateType>(&mut self, name: &str) -> anyhow::Result<ListState<V>> {
        Ok(ListState(self.backend.list_state(name)?))
    }

    /// State of a map per key.
    ///
    /// # Errors
    /// When the function has state of this name already.
    pub fn map<UK, UV>(&mut self, name: &str) -> anyhow::Result<MapState<UK, UV>>
    where
        UK: StateType + Eq + Hash,
        UV: StateType,
    {
        Ok(MapState(self.backend.map_state(name)?))
    }

    /// State of one value per key into which others are folded.
    ///
    /// # Errors
    /// When the function has state of this name already.
    pub fn reducing<V: StateType>(
        &mut self,
        name: &str,
        function: impl Fn(&mut V, V) + Send + Sync + 'static,
    ) -> anyhow::Result<ReducingState<V>> {
        Ok(ReducingState(self.backend.value_state(name, KeyedStateType::Reducing)?, Arc::new(function)))
    }
}

/// Which clock a timer belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeDomain {
    /// Timestamps of records; fires with watermarks.
    EventTime,
    /// The wall clock of the machine.
    ProcessingTime,
}

/// The names of Flink's timer queues of process functions.
const EVENT_TIMERS: &str = "_timer_state/event_user-timers";
const PROCESSING_TIMERS: &str = "_timer_state/processing_user-timers";

/// Timers of both domains.
#[derive(Clone, Copy)]
pub(crate) struct BothTimers {
    pub event: TimersId<()>,
    pub processing: TimersId<()>,
}

impl BothTimers {
    /// Registers the queues of a process function.
    pub fn register<K: KeyType>(backend: &mut KeyedBackend<K>) -> anyhow::Result<Self> {
        let processing = backend.timers_state(PROCESSING_TIMERS)?;
        Ok(BothTimers { event: backend.timers_state(EVENT_TIMERS)?, processing })
    }

    pub fn of(&self, domain: TimeDomain) -> TimersId<()> {
        match domain {
            TimeDomain::EventTime => self.event,
            TimeDomain::ProcessingTime => self.processing,
        }
    }
}

/// The key, state, timers and output of one call of a function.
pub struct KeyedContext<'a, K, O> {
    pub(crate) backend: &'a mut KeyedBackend<K>,
    pub(crate) timers: BothTimers,
    pub(crate) key: &'a K,
    pub(crate) group: u16,
    pub(crate) timestamp: i64,
    pub(crate) watermark: i64,
    pub(crate) domain: TimeDomain,
    pub(crate) output: &'a mut dyn Output<O>,
}

impl<K: KeyType, O> KeyedContext<'_, K, O> {
    /// The current key.
    pub fn key(&self) -> &K {
        self.key
    }

    /// The event time of the record, or the time of the timer, in milliseconds since the epoch.
    pub fn timestamp(&self) -> Option<i64> {
        (self.timestamp != NO_TIMESTAMP).then_some(self.timestamp)
    }

    /// The watermark: no record with this timestamp or an earlier one is to come. `i64::MIN` before the first.
    pub fn watermark(&self) -> i64 {
        self.watermark
    }

    /// The wall clock in milliseconds since the epoch.
    pub fn processing_time(&self) -> i64 {
        crate::runtime::task::wall_clock()
    }

    /// Which clock the timer that is firing belongs to; event time while a record is processed.
    pub fn time_domain(&self) -> TimeDomain {
        self.domain
    }

    /// Emits a record.
    ///
    /// # Errors
    /// Those of the operators behind; to be passed on.
    pub fn collect(&mut self, value: O) -> anyhow::Result<()> {
        self.output.collect(value, self.timestamp)
    }

    /// Registers a timer for the current key, in milliseconds since the epoch. Registering it twice fires it once.
    ///
    /// # Errors
    /// When a snapshot that is being taken could not be written on.
    pub fn register_timer(&mut self, domain: TimeDomain, timestamp: i64) -> anyhow::Result<()> {
        let timer = self.timer(timestamp);
        Ok(self.backend.timers(self.timers.of(domain)).register(timer)?)
    }

    /// Deletes a timer of the current key, if it is there.
    ///
    /// # Errors
    /// When a snapshot that is being taken could not be written on.
    pub fn delete_timer(&mut self, domain: TimeDomain, timestamp: i64) -> anyhow::Result<()> {
        let timer = self.timer(timestamp);
        Ok(self.backend.timers(self.timers.of(domain)).delete(&timer)?)
    }

    fn timer(&self, timestamp: i64) -> crate::runtime::backend::Timer<K, ()> {
        crate::runtime::backend::Timer { timestamp, group: self.group, key: self.key.clone(), namespace: () }
    }
}

/// One value per key.
pub struct ValueState<V>(TableId<(), V>);

impl<V> Clone for ValueState<V> {
    fn clone(&self) -> Self {
        ValueState(self.0)
    }
}

impl<V: StateType> ValueState<V> {
    /// The value of the current key.
    pub fn get<'c, K: KeyType, O>(&self, context: &'c mut KeyedContext<'_, K, O>) -> Option<&'c V> {
        context.backend.table(self.0).get(context.group, context.key, &())
    }

    /// Sets the value of the current key.
    ///
    /// # Errors
    /// When a snapshot that is being taken could not be written on.
    pub fn set<K: KeyType, O>(&self, context: &mut KeyedContext<'_, K, O>, value: V) -> anyhow::Result<()> {
        Ok(context.backend.table(self.0).insert(context.group, context.key, &(), value)?)
    }

    /// Removes the value of the current key.
    ///
    /// # Errors
    /// When a snapshot that is being taken could not be written on.
    pub fn clear<K: KeyType, O>(&self, context: &mut KeyedContext<'_, K, O>) -> anyhow::Result<()> {
        context.backend.table(self.0).remove(context.group, context.key, &())?;
        Ok(())
    }
}

/// A list per key.
pub struct ListState<V>(TableId<(), Vec<V>>);

impl<V> Clone for ListState<V> {
    fn clone(&self) -> Self {
        ListState(self.0)
    }
}

impl<V: StateType> ListState<V> {
    /// The elements of the current key.
    pub fn get<'c, K: KeyType, O>(&self, context: &'c mut KeyedContext<'_, K, O>) -> &'c [V] {
        let list = context.backend.table(self.0).get(context.group, context.key, &());
        list.map(Vec::as_slice).unwrap_or_default()
    }

    /// Adds an element.
    ///
    /// # Errors
    /// When a snapshot that is being taken could not be written on.
    pub fn add<K: KeyType, O>(&self, context: &mut KeyedContext<'_, K, O>, value: V) -> anyhow::Result<()> {
        let list = context.backend.table(self.0).get_or_insert_with(context.group, context.key, &(), Vec::new)?;
        list.push(value);
        Ok(())
    }

    /// Puts other elements in the place of all; none of them clears the list.
    ///
    /// # Errors
    /// When a snapshot that is being taken could not be written on.
    pub fn update<K: KeyType, O>(&self, context: &mut KeyedContext<'_, K, O>, values: Vec<V>) -> anyhow::Result<()> {
        if values.is_empty() {
            return self.clear(context);
        }
        Ok(context.backend.table(self.0).insert(context.group, context.key, &(), values)?)
    }

    /// Removes all elements.
    ///
    /// # Errors
    /// When a snapshot that is being taken could not be written on.
    pub fn clear<K: KeyType, O>(&self, context: &mut KeyedContext<'_, K, O>) -> anyhow::Result<()> {
        context.backend.table(self.0).remove(context.group, context.key, &())?;
        Ok(())
    }
}

/// A map per key.
pub struct MapState<UK, UV>(TableId<(), HashMap<UK, UV>>);

impl<UK, UV> Clone for MapState<UK, UV> {
    fn clone(&self) -> Self {
        MapState(self.0)
    }
}

impl<UK: StateType + Eq + Hash, UV: StateType> MapState<UK, UV> {
    /// The whole map of the current key.
    pub fn entries<'c, K: KeyType, O>(&self, context: &'c mut KeyedContext<'_, K, O>) -> Option<&'c HashMap<UK, UV>> {
        context.backend.table(self.0).get(context.group, context.key, &())
    }

    /// The value under a key of the map.
    pub fn get<'c, K: KeyType, O>(&self, context: &'c mut KeyedContext<'_, K, O>, key: &UK) -> Option<&'c UV> {
        self.entries(context).and_then(|map| map.get(key))
    }

    /// Sets the value under a key of the map.
    ///
    /// # Errors
    /// When a snapshot that is being taken could not be written on.
    pub fn put<K: KeyType, O>(&self, context: &mut KeyedContext<'_, K, O>, key: UK, value: UV) -> anyhow::Result<()> {
        let table = context.backend.table(self.0);
        table.get_or_insert_with(context.group, context.key, &(), HashMap::new)?.insert(key, value);
        Ok(())
    }

    /// Removes a key of the map, and gives what was under it.
    ///
    /// # Errors
    /// When a snapshot that is being taken could not be written on.
    pub fn remove<K: KeyType, O>(&self, context: &mut KeyedContext<'_, K, O>, key: &UK) -> anyhow::Result<Option<UV>> {
        let table = context.backend.table(self.0);
        let Some(map) = table.get_mut(context.group, context.key, &())? else { return Ok(None) };
        let removed = map.remove(key);
        if map.is_empty() {
            table.remove(context.group, context.key, &())?;
        }
        Ok(removed)
    }

    /// Removes the map of the current key.
    ///
    /// # Errors
    /// When a snapshot that is being taken could not be written on.
    pub fn clear<K: KeyType, O>(&self, context: &mut KeyedContext<'_, K, O>) -> anyhow::Result<()> {
        context.backend.table(self.0).remove(context.group, context.key, &())?;
        Ok(())
    }
}

/// One value per key, into which others are folded.
pub struct ReducingState<V>(TableId<(), V>, Arc<Reducer<V>>);

type Reducer<V> = dyn Fn(&mut V, V) + Send + Sync;

impl<V> Clone for ReducingState<V> {
    fn clone(&self) -> Self {
        ReducingState(self.0, self.1.clone())
    }
}

impl<V: StateType> ReducingState<V> {
    /// The value of the current key.
    pub fn get<'c, K: KeyType, O>(&self, context: &'c mut KeyedContext<'_, K, O>) -> Option<&'c V> {
        context.backend.table(self.0).get(context.group, context.key, &())
    }

    /// Folds a value into that of the current key.
    ///
    /// # Errors
    /// When a snapshot that is being taken could not be written on.
    pub fn add<K: KeyType, O>(&self, context: &mut KeyedContext<'_, K, O>, value: V) -> anyhow::Result<()> {
        let mut function = |into: &mut V, value: V| (self.1)(into, value);
        context.backend.table(self.0).fold(context.group, context.key, &(), value, &mut function)?;
        Ok(())
    }

    /// Removes the value of the current key.
    ///
    /// # Errors
    /// When a snapshot that is being taken could not be written on.
    pub fn clear<K: KeyType, O>(&self, context: &mut KeyedContext<'_, K, O>) -> anyhow::Result<()> {
        context.backend.table(self.0).remove(context.group, context.key, &())?;
        Ok(())
    }
}
