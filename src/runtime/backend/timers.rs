//! Timers by key (`InternalTimerServiceImpl`, `HeapPriorityQueueSet`).
//!
//! Which timers there are is a table like any other, so that they are captured as it is; which is due next is a heap
//! beside it. A timer that was deleted stays in the heap until it comes to the top and is not found in the table.

use super::codec::TimerCodec;
use super::table::{KeyGroups, StateTable, Table};
use crate::runtime::snapshot::{EntryBuffer, Slice, SnapshotLayout};
use crate::state::{KeyType, SerializerSnapshot, StateMeta, StateType, canonical};
use crate::wire::{Decoded, EncodeError, Reader};
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::hash::Hash;

/// A timer that is due: when, for which key of which key group, and in which namespace.
pub(crate) struct Timer<K, N> {
    pub timestamp: i64,
    pub group: u16,
    pub key: K,
    pub namespace: N,
}

/// Ordered so that the earliest is the greatest.
impl<K, N> Ord for Timer<K, N> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.timestamp.cmp(&self.timestamp)
    }
}

impl<K, N> PartialOrd for Timer<K, N> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K, N> PartialEq for Timer<K, N> {
    fn eq(&self, other: &Self) -> bool {
        self.timestamp == other.timestamp
    }
}

impl<K, N> Eq for Timer<K, N> {}

/// The timers of one time domain of an operator.
pub(crate) struct Timers<K, N> {
    set: Table<K, (i64, N), ()>,
    heap: BinaryHeap<Timer<K, N>>,
    first_group: u16,
}

impl<K: KeyType, N: StateType + Eq + Hash + Clone> Timers<K, N> {
    /// No timers; `name` is that of Flink's queue, such as `_timer_state/event_user-timers`.
    pub fn new(name: &str, place: KeyGroups) -> Self {
        let element = SerializerSnapshot::timer(K::serializer(), N::serializer());
        let meta = StateMeta::priority_queue(name, element);
        let set = Table::new(meta, Box::new(TimerCodec), place);
        Timers { set, heap: BinaryHeap::new(), first_group: place.first }
    }

    /// Registers a timer, if it is not there already.
    pub fn register(&mut self, timer: Timer<K, N>) -> Result<(), EncodeError> {
        let namespace = (timer.timestamp, timer.namespace.clone());
        if self.set.get(timer.group, &timer.key, &namespace).is_none() {
            self.set.insert(timer.group, &timer.key, &namespace, ())?;
            self.heap.push(timer);
        }
        Ok(())
    }

    /// Deletes a timer, if it is there.
    pub fn delete(&mut self, timer: &Timer<K, N>) -> Result<(), EncodeError> {
        let namespace = (timer.timestamp, timer.namespace.clone());
        self.set.remove(timer.group, &timer.key, &namespace).map(|_| ())
    }

    /// Takes out the earliest timer that is due at `time` or before.
    pub fn pop(&mut self, time: i64) -> Result<Option<Timer<K, N>>, EncodeError> {
        while self.heap.peek().is_some_and(|timer| timer.timestamp <= time) {
            let Some(timer) = self.heap.pop() else { break };
            let namespace = (timer.timestamp, timer.namespace.clone());
            if self.set.remove(timer.group, &timer.key, &namespace)?.is_some() {
                return Ok(Some(timer));
            }
        }
        Ok(None)
    }

    /// Fills the heap from the table, after a restore.
    fn fill(&mut self) {
        let first = self.first_group;
        let timers = self.set.entries_by_group().map(|(group, key, (timestamp, namespace), ())| Timer {
            timestamp: *timestamp,
            group: first + group,
            key: key.clone(),
            namespace: namespace.clone(),
        });
        self.heap = timers.collect();
    }
}

impl<K: KeyType, N: StateType + Eq + Hash + Clone> StateTable<K> for Timers<K, N> {
    fn meta(&self) -> &StateMeta {
        self.set.meta()
    }

    fn begin(&mut self, epoch: u32, layout: SnapshotLayout) {
        self.set.begin(epoch, layout);
    }

    fn captured_count(&self, epoch: u32, group: usize) -> u32 {
        self.set.captured_count(epoch, group)
    }

    fn capture(
        &mut self,
        epoch: u32,
        group: usize,
        cursor: &mut usize,
        out: &mut EntryBuffer,
        slice: &mut Slice,
    ) -> Result<bool, EncodeError> {
        self.set.capture(epoch, group, cursor, out, slice)
    }

    fn end(&mut self, epoch: u32) {
        self.set.end(epoch);
    }

    fn restore_heap(&mut self, group: usize, count: usize, input: &mut Reader<'_>) -> Decoded<()> {
        self.set.restore_heap(group, count, input)
    }

    fn restore_canonical(&mut self, group: usize, entry: canonical::Entry<'_>) -> Decoded<()> {
        self.set.restore_canonical(group, entry)
    }

    fn restored(&mut self) {
        self.fill();
    }
}
