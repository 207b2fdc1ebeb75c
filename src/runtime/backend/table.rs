//! One keyed state in memory: a hash table per key group, and captures of it that do not stop the task.
//!
//! The entries of a key group lie in one vector, and a table of indices finds them. To take a snapshot, the table only
//! notes how many entries each key group has and raises its *epoch*. Entries carry the epoch that they were last written
//! or captured in; one with an older epoch still has the content that the snapshot is to have. It is captured when the
//! task, going through the entries in short slices, comes to it, or right before it changes, whichever is first. So the
//! cost of a snapshot is spread over the records, no record waits for more than one entry, and nothing is copied.

use crate::runtime::snapshot::{EntryBuffer, Slice, SnapshotLayout};
use crate::state::{StateMeta, canonical};
use crate::wire::{Decoded, EncodeError, Reader};
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;
use std::any::Any;
use std::hash::{BuildHasher, Hash};

/// The key groups of a subtask.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyGroups {
    /// How many the operator has in all.
    pub max_parallelism: u16,
    /// The first one of the subtask.
    pub first: u16,
    /// How many the subtask has.
    pub count: u16,
}

impl KeyGroups {
    /// Whether a key group is one of them.
    #[inline]
    pub fn contains(&self, group: u16) -> bool {
        group.wrapping_sub(self.first) < self.count
    }
}

/// A key of a batch: its group and hash, and where its entry probably is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lookup {
    hash: u32,
    entry: u32,
    group: u16,
}

/// The entry of a key: in which of the groups, and which one there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    group: usize,
    entry: usize,
}

/// How the entries of a state are written and read.
pub(crate) trait EntryCodec<K, N, V>: Send {
    /// Appends one entry in the heap layout.
    fn write_heap(&self, entry: (&K, &N, &V), out: &mut Vec<u8>) -> Result<(), EncodeError>;

    /// Appends one entry in the canonical layout; a map has one for each of its keys.
    fn write_canonical(
        &self,
        group: u16,
        max_parallelism: u16,
        entry: (&K, &N, &V),
        out: &mut EntryBuffer,
    ) -> Result<(), EncodeError>;

    /// Appends one entry as the layout has it.
    fn write(
        &self,
        layout: SnapshotLayout,
        group: u16,
        max_parallelism: u16,
        entry: (&K, &N, &V),
        out: &mut EntryBuffer,
    ) -> Result<(), EncodeError> {
        match layout {
            SnapshotLayout::Heap => self.write_heap(entry, &mut out.bytes),
            SnapshotLayout::Canonical => self.write_canonical(group, max_parallelism, entry, out),
        }
    }

    /// Reads an entry of the heap layout.
    fn read_heap(&self, input: &mut Reader<'_>) -> Decoded<(K, N, V)>;

    /// Reads an entry of the canonical layout.
    fn read_canonical(&self, entry: canonical::Entry<'_>) -> Decoded<(K, N, V)>;

    /// Whether the value stands for no entry at all, as an empty map does.
    fn is_void(&self, _: &V) -> bool {
        false
    }

    /// Puts a further entry of the same key to what was read before.
    fn merge(&self, into: &mut V, from: V) {
        *into = from;
    }
}

/// A table as the keyed backend sees it, whatever the types of its namespace and value.
pub(crate) trait StateTable<K>: Any + Send {
    /// Name, kind and serializers of the state.
    fn meta(&self) -> &StateMeta;

    /// Begins a capture; `epoch` is higher than that of any before.
    fn begin(&mut self, epoch: u32, layout: SnapshotLayout);

    /// How many entries a key group, counted from the first of the table, had when the capture began.
    fn captured_count(&self, epoch: u32, group: usize) -> u32;

    /// Goes on with the capture of a key group. `cursor` starts at 0. Says whether the group is done.
    fn capture(
        &mut self,
        epoch: u32,
        group: usize,
        cursor: &mut usize,
        out: &mut EntryBuffer,
        slice: &mut Slice,
    ) -> Result<bool, EncodeError>;

    /// Ends a capture, complete or not.
    fn end(&mut self, epoch: u32);

    /// Restores the entries of a key group from a section of the heap layout.
    fn restore_heap(&mut self, group: usize, count: usize, input: &mut Reader<'_>) -> Decoded<()>;

    /// Restores an entry of the canonical layout.
    fn restore_canonical(&mut self, group: usize, entry: canonical::Entry<'_>) -> Decoded<()>;

    /// Called when everything is restored.
    fn restored(&mut self) {}
}

/// Keyed state of one name: values by key and namespace.
pub(crate) struct Table<K, N, V> {
    meta: StateMeta,
    codec: Box<dyn EntryCodec<K, N, V>>,
    hasher: RandomState,
    max_parallelism: u16,
    first_group: u16,
    groups: Vec<Group<K, N, V>>,
    epoch: u32,
    captures: Vec<Capture>,
}

struct Group<K, N, V> {
    index: HashTable<u32>,
    entries: Vec<Entry<K, N, V>>,
}

struct Entry<K, N, V> {
    hash: u32,
    epoch: u32,
    key: K,
    namespace: N,
    value: V,
}

impl<K: Eq, N: Eq, V> Entry<K, N, V> {
    #[inline]
    fn is_of(&self, hash: u32, key: &K, namespace: &N) -> bool {
        self.hash == hash && self.key == *key && self.namespace == *namespace
    }
}

impl<K, N, V> Entry<K, N, V> {
    fn parts(&self) -> (&K, &N, &V) {
        (&self.key, &self.namespace, &self.value)
    }
}

struct Capture {
    epoch: u32,
    layout: SnapshotLayout,
    groups: Vec<GroupCapture>,
}

/// What a capture knows of a key group: its size at the barrier, and the entries that had to be written early.
#[derive(Default)]
struct GroupCapture {
    count: u32,
    early: EntryBuffer,
}

/// Spreads the 32 bits that entries keep over the 64 that the table of indices looks at.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl<K, N, V> Group<K, N, V> {
    fn hash_at(entries: &[Entry<K, N, V>]) -> impl Fn(&u32) -> u64 {
        |index| spread(entries[*index as usize].hash)
    }
}

impl<K, N, V> Group<K, N, V>
where
    K: Eq,
    N: Eq,
{
    #[inline]
    fn find(&self, hash: u32, key: &K, namespace: &N) -> Option<usize> {
        let same = |index: &u32| self.entries[*index as usize].is_of(hash, key, namespace);
        self.index.find(spread(hash), same).map(|index| *index as usize)
    }

    fn push(&mut self, entry: Entry<K, N, V>) -> usize {
        let index = self.entries.len();
        let hash = spread(entry.hash);
        self.entries.push(entry);
        let entries = &self.entries;
        self.index.insert_unique(hash, index as u32, Self::hash_at(entries));
        index
    }
}

impl<K, N, V> Table<K, N, V>
where
    K: Eq + Hash + Clone + Send + 'static,
    N: Eq + Hash + Clone + Send + 'static,
    V: Send + 'static,
{
    /// An empty table.
    pub fn new(meta: StateMeta, codec: Box<dyn EntryCodec<K, N, V>>, place: KeyGroups) -> Self {
        let group = |_| Group { index: HashTable::new(), entries: Vec::new() };
        let KeyGroups { max_parallelism, first: first_group, count } = place;
        let (hasher, groups) = (RandomState::default(), (0..count).map(group).collect());
        Table { meta, codec, hasher, max_parallelism, first_group, groups, epoch: 0, captures: Vec::new() }
    }

    #[inline]
    fn hash(&self, key: &K, namespace: &N) -> u32 {
        let hash = self.hasher.hash_one((key, namespace));
        (hash ^ (hash >> 32)) as u32
    }

    #[inline]
    fn group_index(&self, group: u16) -> usize {
        usize::from(group - self.first_group)
    }

    /// The value of a key in a key group.
    pub fn get(&self, group: u16, key: &K, namespace: &N) -> Option<&V> {
        let found = self.find(self.lookup(group, key, namespace), key, namespace)?;
        Some(&self.groups[found.group].entries[found.entry].value)
    }

    /// The value of a key, to be changed.
    pub fn get_mut(&mut self, group: u16, key: &K, namespace: &N) -> Result<Option<&mut V>, EncodeError> {
        let found = self.find(self.lookup(group, key, namespace), key, namespace);
        found.map(|found| self.value_mut(found)).transpose()
    }

    /// The value of a key, to be changed; `first` where it has none.
    pub fn get_or_insert_with(
        &mut self,
        group: u16,
        key: &K,
        namespace: &N,
        first: impl FnOnce() -> V,
    ) -> Result<&mut V, EncodeError> {
        let lookup = self.lookup(group, key, namespace);
        match self.find(lookup, key, namespace) {
            Some(found) => self.value_mut(found),
            None => Ok(self.add(lookup, key.clone(), namespace.clone(), first())),
        }
    }

    /// A key that is to be looked up with others.
    #[inline]
    pub fn lookup(&self, group: u16, key: &K, namespace: &N) -> Lookup {
        Lookup { hash: self.hash(key, namespace), entry: u32::MAX, group }
    }

    /// Brings the entries of a batch near, each step for all of them, so that the processor waits for many at once and
    /// not for one after the other.
    pub fn look_ahead(&self, batch: &mut [Lookup]) {
        for lookup in batch.iter_mut() {
            // The first entry with the same seven bits of hash nearly always is the one; if not, that is seen later.
            let group = &self.groups[self.group_index(lookup.group)];
            lookup.entry = group.index.find(spread(lookup.hash), |_| true).copied().unwrap_or(u32::MAX);
        }
        for lookup in batch.iter_mut() {
            let group = &self.groups[self.group_index(lookup.group)];
            let same = group.entries.get(lookup.entry as usize).is_some_and(|entry| entry.hash == lookup.hash);
            if !same {
                lookup.entry = u32::MAX;
            }
        }
    }

    /// The entry of a key that was looked up with others. Since then nothing may have been removed.
    #[inline]
    pub fn find(&self, lookup: Lookup, key: &K, namespace: &N) -> Option<Found> {
        let group = self.group_index(lookup.group);
        let is_it = |entry: &Entry<K, N, V>| entry.is_of(lookup.hash, key, namespace);
        let entry = match self.groups[group].entries.get(lookup.entry as usize) {
            Some(entry) if is_it(entry) => lookup.entry as usize,
            _ => self.groups[group].find(lookup.hash, key, namespace)?,
        };
        Some(Found { group, entry })
    }

    /// The value of an entry that was just found, to be changed.
    #[inline]
    pub fn value_mut(&mut self, found: Found) -> Result<&mut V, EncodeError> {
        self.about_to_change(found.group, found.entry)?;
        Ok(&mut self.groups[found.group].entries[found.entry].value)
    }

    /// Adds an entry that was just not found, and shows its value.
    pub fn add(&mut self, lookup: Lookup, key: K, namespace: N, value: V) -> &mut V {
        let (at, epoch) = (self.group_index(lookup.group), self.epoch);
        let group = &mut self.groups[at];
        let index = group.push(Entry { hash: lookup.hash, epoch, key, namespace, value });
        &mut group.entries[index].value
    }

    /// Folds a value into that of a key, whose first one it may be, and shows what the key's value is now.
    #[inline]
    pub fn fold(
        &mut self,
        group: u16,
        key: &K,
        namespace: &N,
        value: V,
        function: &mut impl FnMut(&mut V, V),
    ) -> Result<&V, EncodeError> {
        self.accept(group, key, namespace, value, |value| value, function)
    }

    /// Gives a key something: `first` makes its first value of it, `more` puts it to the value that it has.
    #[inline]
    pub fn accept<A>(
        &mut self,
        group: u16,
        key: &K,
        namespace: &N,
        value: A,
        first: impl FnOnce(A) -> V,
        more: impl FnOnce(&mut V, A),
    ) -> Result<&V, EncodeError> {
        let lookup = self.lookup(group, key, namespace);
        Ok(match self.find(lookup, key, namespace) {
            Some(found) => {
                let of_key = self.value_mut(found)?;
                more(of_key, value);
                of_key
            }
            None => self.add(lookup, key.clone(), namespace.clone(), first(value)),
        })
    }

    /// Sets the value of a key.
    pub fn insert(&mut self, group: u16, key: &K, namespace: &N, value: V) -> Result<(), EncodeError> {
        self.accept(group, key, namespace, value, |value| value, |old, value| *old = value).map(|_| ())
    }

    /// Removes a key, and gives what its value was.
    pub fn remove(&mut self, group: u16, key: &K, namespace: &N) -> Result<Option<V>, EncodeError> {
        let lookup = self.lookup(group, key, namespace);
        let Some(Found { group: at, entry: index }) = self.find(lookup, key, namespace) else { return Ok(None) };
        self.about_to_change(at, index)?;
        let last = self.groups[at].entries.len() - 1;
        if last != index {
            // It moves to a place that a capture may have passed already.
            self.about_to_change(at, last)?;
        }
        let group = &mut self.groups[at];
        let position = |wanted: usize| move |index: &u32| *index as usize == wanted;
        if let Ok(found) = group.index.find_entry(spread(lookup.hash), position(index)) {
            found.remove();
        }
        let removed = group.entries.swap_remove(index);
        if let Some(moved) = group.entries.get(index)
            && let Some(place) = group.index.find_mut(spread(moved.hash), position(last))
        {
            *place = index as u32;
        }
        Ok(Some(removed.value))
    }

    /// All entries: key group counted from the first, key, namespace and value.
    pub fn entries_by_group(&self) -> impl Iterator<Item = (u16, &K, &N, &V)> {
        let numbered = (0..).zip(&self.groups);
        numbered.flat_map(|(at, group)| group.entries.iter().map(move |e| (at, &e.key, &e.namespace, &e.value)))
    }

    /// To be called before an entry changes, goes or moves.
    #[inline]
    fn about_to_change(&mut self, at: usize, index: usize) -> Result<(), EncodeError> {
        if self.groups[at].entries[index].epoch == self.epoch { Ok(()) } else { self.capture_early(at, index) }
    }

    #[cold]
    fn capture_early(&mut self, at: usize, index: usize) -> Result<(), EncodeError> {
        let entry = &mut self.groups[at].entries[index];
        for capture in self.captures.iter_mut().filter(|capture| capture.epoch > entry.epoch) {
            let early = &mut capture.groups[at].early;
            let group = self.first_group + at as u16;
            self.codec.write(capture.layout, group, self.max_parallelism, entry.parts(), early)?;
        }
        entry.epoch = self.epoch;
        Ok(())
    }

    fn put_restored(&mut self, at: usize, key: K, namespace: N, value: V) {
        if self.codec.is_void(&value) {
            return;
        }
        let hash = self.hash(&key, &namespace);
        let epoch = self.epoch;
        let Group { index, entries } = &mut self.groups[at];
        let slot = index.entry(
            spread(hash),
            |index| entries[*index as usize].is_of(hash, &key, &namespace),
            Group::hash_at(entries),
        );
        match slot {
            Slot::Occupied(found) => {
                let at = *found.get() as usize;
                self.codec.merge(&mut entries[at].value, value);
            }
            Slot::Vacant(place) => {
                place.insert(entries.len() as u32);
                entries.push(Entry { hash, epoch, key, namespace, value });
            }
        }
    }
}

impl<K, N, V> StateTable<K> for Table<K, N, V>
where
    K: Eq + Hash + Clone + Send + 'static,
    N: Eq + Hash + Clone + Send + 'static,
    V: Send + 'static,
{
    fn meta(&self) -> &StateMeta {
        &self.meta
    }

    fn begin(&mut self, epoch: u32, layout: SnapshotLayout) {
        let count = |group: &Group<K, N, V>| GroupCapture { count: group.entries.len() as u32, ..Default::default() };
        self.captures.push(Capture { epoch, layout, groups: self.groups.iter().map(count).collect() });
        self.epoch = epoch;
    }

    fn captured_count(&self, epoch: u32, group: usize) -> u32 {
        let capture = self.captures.iter().find(|capture| capture.epoch == epoch);
        capture.map_or(0, |capture| capture.groups[group].count)
    }

    fn capture(
        &mut self,
        epoch: u32,
        group: usize,
        cursor: &mut usize,
        out: &mut EntryBuffer,
        slice: &mut Slice,
    ) -> Result<bool, EncodeError> {
        let Some(capture) = self.captures.iter_mut().find(|capture| capture.epoch == epoch) else { return Ok(true) };
        let number = self.first_group + group as u16;
        let entries = &mut self.groups[group].entries;
        for entry in entries.get_mut(*cursor..).unwrap_or_default() {
            *cursor += 1;
            if entry.epoch < epoch {
                self.codec.write(capture.layout, number, self.max_parallelism, entry.parts(), out)?;
                entry.epoch = epoch;
            }
            if slice.step() {
                return Ok(false);
            }
        }
        // From here on no entry of the group is older than the capture, so nothing more is written early.
        out.append(&mut std::mem::take(&mut capture.groups[group].early));
        Ok(true)
    }

    fn end(&mut self, epoch: u32) {
        self.captures.retain(|capture| capture.epoch != epoch);
    }

    fn restore_heap(&mut self, group: usize, count: usize, input: &mut Reader<'_>) -> Decoded<()> {
        // No entry takes less than a byte, so a count that is too high does not reserve much more than the input has.
        let expected = count.min(input.left());
        let Group { index, entries } = &mut self.groups[group];
        entries.reserve(expected);
        index.reserve(expected, Group::hash_at(entries));
        for _ in 0..count {
            let (key, namespace, value) = self.codec.read_heap(input)?;
            self.put_restored(group, key, namespace, value);
        }
        Ok(())
    }

    fn restore_canonical(&mut self, group: usize, entry: canonical::Entry<'_>) -> Decoded<()> {
        let (key, namespace, value) = self.codec.read_canonical(entry)?;
        self.put_restored(group, key, namespace, value);
        Ok(())
    }
}
