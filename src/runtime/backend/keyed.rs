//! The keyed state of one operator in one subtask: its tables and timers, and snapshots of all of them together.

use super::codec::{ListCodec, MapCodec, ValueCodec};
use super::table::{EntryCodec, KeyGroups as Groups, StateTable, Table};
use super::timers::Timers;
use super::unclaimed::Unclaimed;
use crate::model::handle::{KeyGroups, KeyGroupsKind};
use crate::model::{KeyGroupRange, KeyedHandle};
use crate::runtime::control::Control;
use crate::runtime::graph::OperatorContext;
use crate::runtime::record::Flow;
use crate::runtime::snapshot::{EntryBuffer, Slice, SnapshotLayout, StateStream, TaskSnapshot};
use crate::state::key_group::assign_to_key_group;
use crate::state::{KeyType, KeyedHeader, KeyedStateType, StateMeta, StateType, canonical, heap};
use crate::storage::random_uuid;
use crate::wire::{EncodeError, JavaStr};
use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::marker::PhantomData;
use std::sync::Arc;

/// A table of the backend, by the types of its namespace and value.
pub(crate) struct TableId<N, V>(usize, PhantomData<fn() -> (N, V)>);

impl<N, V> Clone for TableId<N, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<N, V> Copy for TableId<N, V> {}

/// Timers of the backend, by the type of their namespace.
pub(crate) struct TimersId<N>(usize, PhantomData<fn() -> N>);

impl<N> Clone for TimersId<N> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<N> Copy for TimersId<N> {}

/// Keyed state in memory.
pub(crate) struct KeyedBackend<K> {
    pub(super) context: OperatorContext,
    pub(super) range: KeyGroupRange,
    pub(super) groups: Groups,
    pub(super) tables: Vec<Box<dyn StateTable<K>>>,
    /// State of the snapshot that no operator has asked for; it is kept and goes into the next one.
    pub(super) unclaimed: Vec<Unclaimed>,
    epoch: u32,
    snapshots: VecDeque<Active>,
}

/// A snapshot that is being captured.
struct Active {
    epoch: u32,
    layout: SnapshotLayout,
    stream: StateStream,
    offsets: Vec<i64>,
    group: usize,
    table: usize,
    cursor: usize,
    begun: bool,
}

impl<K: KeyType> KeyedBackend<K> {
    /// A backend without state yet, for the key groups of the subtask.
    pub fn new(context: OperatorContext) -> Self {
        let int = |value: usize| i32::try_from(value).unwrap_or(i32::MAX);
        let range = KeyGroupRange::of_subtask(context.max_parallelism, int(context.parallelism), int(context.subtask));
        // The plan has checked these numbers.
        let range = range.unwrap_or(KeyGroupRange { start: 0, count: 0 });
        let short = |value: i32| u16::try_from(value).unwrap_or(u16::MAX);
        let (max_parallelism, first) = (short(context.max_parallelism), short(range.start));
        let groups = Groups { max_parallelism, first, count: short(range.count) };
        let (tables, unclaimed, snapshots) = (Vec::new(), Vec::new(), VecDeque::new());
        KeyedBackend { context, range, groups, tables, unclaimed, epoch: 0, snapshots }
    }

    /// The key group of a key.
    ///
    /// # Errors
    /// When it is not one of this subtask, because a key selector does not always find the same key in a record.
    #[inline]
    pub fn key_group(&self, key: &K) -> anyhow::Result<u16> {
        let group = assign_to_key_group(key.java_hash(), self.groups.max_parallelism);
        self.check_group(group)?;
        Ok(group)
    }

    /// Fails unless a key group is one of this subtask.
    #[inline]
    pub fn check_group(&self, group: u16) -> anyhow::Result<()> {
        if !self.groups.contains(group) {
            anyhow::bail!(
                "Key group {group} is not in {}: the key of a record has changed since it was sent here",
                self.range
            );
        }
        Ok(())
    }

    fn add(&mut self, table: impl StateTable<K>) -> anyhow::Result<usize> {
        let name = &table.meta().name;
        if self.tables.iter().any(|other| other.meta().name == *name) {
            anyhow::bail!("two states of {} are named '{name}'", self.context.name);
        }
        self.tables.push(Box::new(table));
        Ok(self.tables.len() - 1)
    }

    fn add_table<N, V>(
        &mut self,
        meta: StateMeta,
        codec: impl EntryCodec<K, N, V> + 'static,
    ) -> anyhow::Result<TableId<N, V>>
    where
        N: StateType + Eq + Hash + Clone,
        V: Send + 'static,
    {
        let table = Table::new(meta, Box::new(codec), self.groups);
        Ok(TableId(self.add(table)?, PhantomData))
    }

    /// Registers state with one value per key and namespace.
    pub fn value_state<N, V>(&mut self, name: &str, kind: KeyedStateType) -> anyhow::Result<TableId<N, V>>
    where
        N: StateType + Eq + Hash + Clone,
        V: StateType,
    {
        self.add_table(StateMeta::key_value(name, kind, N::serializer(), V::serializer()), ValueCodec)
    }

    /// Registers state with a list per key and namespace.
    pub fn list_state<N, V>(&mut self, name: &str) -> anyhow::Result<TableId<N, Vec<V>>>
    where
        N: StateType + Eq + Hash + Clone,
        V: StateType,
    {
        let meta = StateMeta::key_value(name, KeyedStateType::List, N::serializer(), Vec::<V>::serializer());
        self.add_table(meta, ListCodec)
    }

    /// Registers state with a map per key and namespace.
    pub fn map_state<N, UK, UV>(&mut self, name: &str) -> anyhow::Result<TableId<N, HashMap<UK, UV>>>
    where
        N: StateType + Eq + Hash + Clone,
        UK: StateType + Eq + Hash,
        UV: StateType,
    {
        let meta = StateMeta::key_value(name, KeyedStateType::Map, N::serializer(), HashMap::<UK, UV>::serializer());
        self.add_table(meta, MapCodec)
    }

    /// Registers timers under the name of Flink's queue.
    pub fn timers_state<N: StateType + Eq + Hash + Clone>(&mut self, name: &str) -> anyhow::Result<TimersId<N>> {
        let timers = Timers::<K, N>::new(name, self.groups);
        Ok(TimersId(self.add(timers)?, PhantomData))
    }

    /// A registered table.
    #[inline]
    pub fn table<N: 'static, V: 'static>(&mut self, id: TableId<N, V>) -> &mut Table<K, N, V> {
        let table: &mut dyn Any = self.tables[id.0].as_mut();
        match table.downcast_mut() {
            Some(table) => table,
            None => unreachable!("a table is asked for by the types it was registered with"),
        }
    }

    /// Registered timers.
    #[inline]
    pub fn timers<N: 'static>(&mut self, id: TimersId<N>) -> &mut Timers<K, N> {
        let timers: &mut dyn Any = self.tables[id.0].as_mut();
        match timers.downcast_mut() {
            Some(timers) => timers,
            None => unreachable!("timers are asked for by the type they were registered with"),
        }
    }

    /// Acts on what concerns state: restores when the operator opens, after it has registered everything, and takes
    /// snapshots.
    pub fn control(&mut self, event: &mut Control<'_>) -> Flow {
        match event {
            Control::Open => self.restore()?,
            Control::Barrier(snapshot) => self.begin(snapshot)?,
            Control::Capture(slice) => self.capture(slice)?,
            Control::Aborted(id) => self.abandon(*id),
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, snapshot: &Arc<TaskSnapshot>) -> Flow {
        if self.tables.is_empty() && self.unclaimed.is_empty() {
            return Ok(());
        }
        let layout = snapshot.order.layout;
        if layout == SnapshotLayout::Canonical
            && let Some(state) = self.unclaimed.first()
        {
            snapshot.fail(anyhow::anyhow!(
                "{} has restored state '{}' that the job does not use; a savepoint in canonical format cannot keep it",
                self.context.name,
                state.meta.name
            ));
            return Ok(());
        }
        self.epoch += 1;
        for table in &mut self.tables {
            table.begin(self.epoch, layout);
        }
        let mut stream = StateStream::new(snapshot.clone(), self.context.writer.clone());
        let metas = self.tables.iter().map(|table| table.meta()).chain(self.unclaimed.iter().map(|state| &state.meta));
        KeyedHeader::new(K::serializer(), metas.cloned().collect()).write(&mut stream.buffer.bytes)?;
        snapshot.open_part();
        let (epoch, offsets) = (self.epoch, Vec::new());
        self.snapshots.push_back(Active {
            epoch,
            layout,
            stream,
            offsets,
            group: 0,
            table: 0,
            cursor: 0,
            begun: false,
        });
        Ok(())
    }

    /// Goes on with the oldest snapshot: one after the other, so that an entry's epoch says all about it.
    fn capture(&mut self, slice: &mut Slice) -> Flow {
        while let Some(active) = self.snapshots.front_mut() {
            if !active.advance(&mut self.tables, &self.unclaimed, self.groups, slice)? {
                slice.unfinished = true;
                return Ok(());
            }
            let Some(active) = self.snapshots.pop_front() else { return Ok(()) };
            self.tables.iter_mut().for_each(|table| table.end(active.epoch));
            self.finish(active);
        }
        Ok(())
    }

    fn finish(&self, active: Active) {
        let (operator, range, offsets) = (self.context.operator, self.range, active.offsets);
        let layout = active.layout;
        active.stream.finish(move |snapshot, stream| {
            snapshot.complete_part(operator, |state| {
                state.managed_keyed = stream.map(|stream| {
                    let kind = match layout {
                        SnapshotLayout::Heap => {
                            KeyGroupsKind::WithId(JavaStr::from(random_uuid().as_str()).into_owned())
                        }
                        SnapshotLayout::Canonical => KeyGroupsKind::Savepoint,
                    };
                    Box::new(KeyedHandle::KeyGroups(KeyGroups { kind, range, offsets, stream }))
                });
            });
        });
    }

    fn abandon(&mut self, checkpoint: i64) {
        let given_up: Vec<u32> = self
            .snapshots
            .iter()
            .filter(|active| active.stream.snapshot().order.id == checkpoint)
            .map(|active| active.epoch)
            .collect();
        self.snapshots.retain(|active| !given_up.contains(&active.epoch));
        for epoch in given_up {
            self.tables.iter_mut().for_each(|table| table.end(epoch));
        }
    }
}

impl Active {
    /// Captures until the slice is over; says whether nothing is left.
    fn advance<K: 'static>(
        &mut self,
        tables: &mut [Box<dyn StateTable<K>>],
        unclaimed: &[Unclaimed],
        groups: Groups,
        slice: &mut Slice,
    ) -> Result<bool, EncodeError> {
        while self.group < usize::from(groups.count) {
            if !self.stream.keeps_up() {
                slice.blocked = true;
                return Ok(false);
            }
            if !self.begun && self.table == 0 {
                self.begin_group(groups.first + self.group as u16);
            }
            let Some(table) = tables.get_mut(self.table) else {
                self.end_group(unclaimed, tables.len())?;
                continue;
            };
            if !self.begun && !self.begin_state(table.captured_count(self.epoch, self.group))? {
                self.table += 1;
                continue;
            }
            self.begun = true;
            if !table.capture(self.epoch, self.group, &mut self.cursor, &mut self.stream.buffer, slice)? {
                return Ok(false);
            }
            (self.begun, self.cursor, self.table) = (false, 0, self.table + 1);
        }
        Ok(true)
    }

    fn begin_group(&mut self, group: u16) {
        self.offsets.push(self.stream.position());
        if self.layout == SnapshotLayout::Heap {
            heap::start_key_group(&mut self.stream.buffer.bytes, group);
        }
    }

    /// Writes what stands before the entries of a state; says whether it has any to be captured.
    fn begin_state(&mut self, count: u32) -> Result<bool, EncodeError> {
        let EntryBuffer { bytes, last_entry } = &mut self.stream.buffer;
        match self.layout {
            SnapshotLayout::Heap => heap::start_state(bytes, self.table, count as usize)?,
            SnapshotLayout::Canonical if count == 0 => return Ok(false),
            SnapshotLayout::Canonical => match last_entry.take() {
                Some(entry) => canonical::end_state(bytes, entry, Some(self.table))?,
                None => canonical::begin_state(bytes, self.table)?,
            },
        }
        Ok(true)
    }

    fn end_group(&mut self, unclaimed: &[Unclaimed], first: usize) -> Result<(), EncodeError> {
        let EntryBuffer { bytes, last_entry } = &mut self.stream.buffer;
        match self.layout {
            SnapshotLayout::Heap => {
                for (index, state) in (first..).zip(unclaimed) {
                    state.write(index, self.group, bytes)?;
                }
            }
            SnapshotLayout::Canonical => match last_entry.take() {
                Some(entry) => canonical::end_state(bytes, entry, None)?,
                // A key group without entries has no place in the stream.
                None => *self.offsets.last_mut().unwrap_or(&mut 0) = 0,
            },
        }
        (self.table, self.group) = (0, self.group + 1);
        Ok(())
    }
}
