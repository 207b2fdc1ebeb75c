//! How the entries of each kind of keyed state are written and read, in both layouts.

use super::table::EntryCodec;
use crate::runtime::snapshot::EntryBuffer;
use crate::state::canonical::{Entry, KeyGroupWriter};
use crate::state::timer::Timer;
use crate::state::{KeyType, StateType, heap};
use crate::wire::{Decoded, EncodeError, Reader};
use std::collections::HashMap;
use std::hash::Hash;

/// A writer of canonical entries that leaves states and marks to the snapshot, and notes where the entry begins.
fn canonical(group: u16, max_parallelism: u16, out: &mut EntryBuffer) -> KeyGroupWriter<'_> {
    out.last_entry = Some(out.bytes.len());
    KeyGroupWriter::within(&mut out.bytes, group, max_parallelism, 0)
}

/// One value per key and namespace: value and reducing state.
pub(crate) struct ValueCodec;

impl<K: KeyType, N: StateType, V: StateType> EntryCodec<K, N, V> for ValueCodec {
    fn write_heap(&self, (key, namespace, value): (&K, &N, &V), out: &mut Vec<u8>) -> Result<(), EncodeError> {
        heap::write_entry(out, namespace, key, value)
    }

    fn write_canonical(
        &self,
        group: u16,
        max_parallelism: u16,
        (key, namespace, value): (&K, &N, &V),
        out: &mut EntryBuffer,
    ) -> Result<(), EncodeError> {
        canonical(group, max_parallelism, out).value(0, namespace, key, value)
    }

    fn read_heap(&self, input: &mut Reader<'_>) -> Decoded<(K, N, V)> {
        let (namespace, key, value) = heap::read_entry(input)?;
        Ok((key, namespace, value))
    }

    fn read_canonical(&self, entry: Entry<'_>) -> Decoded<(K, N, V)> {
        let (namespace, key, value) = entry.read()?;
        Ok((key, namespace, value))
    }
}

/// A list per key and namespace.
pub(crate) struct ListCodec;

impl<K: KeyType, N: StateType, V: StateType> EntryCodec<K, N, Vec<V>> for ListCodec {
    fn write_heap(&self, (key, namespace, list): (&K, &N, &Vec<V>), out: &mut Vec<u8>) -> Result<(), EncodeError> {
        heap::write_entry(out, namespace, key, list)
    }

    fn write_canonical(
        &self,
        group: u16,
        max_parallelism: u16,
        (key, namespace, list): (&K, &N, &Vec<V>),
        out: &mut EntryBuffer,
    ) -> Result<(), EncodeError> {
        canonical(group, max_parallelism, out).list(0, namespace, key, list)
    }

    fn read_heap(&self, input: &mut Reader<'_>) -> Decoded<(K, N, Vec<V>)> {
        let (namespace, key, list) = heap::read_entry(input)?;
        Ok((key, namespace, list))
    }

    fn read_canonical(&self, entry: Entry<'_>) -> Decoded<(K, N, Vec<V>)> {
        let (namespace, key, list) = entry.read_list()?;
        Ok((key, namespace, list))
    }

    fn is_void(&self, list: &Vec<V>) -> bool {
        list.is_empty()
    }
}

/// A map per key and namespace.
pub(crate) struct MapCodec;

impl<K, N, UK, UV> EntryCodec<K, N, HashMap<UK, UV>> for MapCodec
where
    K: KeyType,
    N: StateType,
    UK: StateType + Eq + Hash,
    UV: StateType,
{
    fn write_heap(
        &self,
        (key, namespace, map): (&K, &N, &HashMap<UK, UV>),
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        heap::write_entry(out, namespace, key, map)
    }

    fn write_canonical(
        &self,
        group: u16,
        max_parallelism: u16,
        (key, namespace, map): (&K, &N, &HashMap<UK, UV>),
        out: &mut EntryBuffer,
    ) -> Result<(), EncodeError> {
        for (map_key, map_value) in map {
            canonical(group, max_parallelism, out).map_entry(0, namespace, key, map_key, map_value)?;
        }
        Ok(())
    }

    fn read_heap(&self, input: &mut Reader<'_>) -> Decoded<(K, N, HashMap<UK, UV>)> {
        let (namespace, key, map) = heap::read_entry(input)?;
        Ok((key, namespace, map))
    }

    fn read_canonical(&self, entry: Entry<'_>) -> Decoded<(K, N, HashMap<UK, UV>)> {
        let (namespace, key, map_key, map_value) = entry.read_map_entry()?;
        Ok((key, namespace, HashMap::from([(map_key, map_value)])))
    }

    fn is_void(&self, map: &HashMap<UK, UV>) -> bool {
        map.is_empty()
    }

    fn merge(&self, into: &mut HashMap<UK, UV>, from: HashMap<UK, UV>) {
        into.extend(from);
    }
}

/// Timers, which are kept under their time and namespace.
pub(crate) struct TimerCodec;

impl<K: KeyType, N: StateType + Clone> EntryCodec<K, (i64, N), ()> for TimerCodec {
    fn write_heap(
        &self,
        (key, (timestamp, namespace), ()): (&K, &(i64, N), &()),
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        heap::write_timer(out, &Timer { timestamp: *timestamp, key: key.clone(), namespace: namespace.clone() })
    }

    fn write_canonical(
        &self,
        group: u16,
        max_parallelism: u16,
        (key, (timestamp, namespace), ()): (&K, &(i64, N), &()),
        out: &mut EntryBuffer,
    ) -> Result<(), EncodeError> {
        let timer = Timer { timestamp: *timestamp, key: key.clone(), namespace: namespace.clone() };
        canonical(group, max_parallelism, out).timer(0, &timer)
    }

    fn read_heap(&self, input: &mut Reader<'_>) -> Decoded<(K, (i64, N), ())> {
        let timer: Timer<K, N> = heap::read_timer(input)?;
        Ok((timer.key, (timer.timestamp, timer.namespace), ()))
    }

    fn read_canonical(&self, entry: Entry<'_>) -> Decoded<(K, (i64, N), ())> {
        let timer: Timer<K, N> = entry.read_timer()?;
        Ok((timer.key, (timer.timestamp, timer.namespace), ()))
    }
}
