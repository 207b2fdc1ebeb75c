//! How the key of a record is found: computed, or lent by the record itself.

use super::exchange::{Partitioner, Route};
use crate::state::KeyType;
use crate::state::key_group::{assign_to_key_group, operator_index_for_key_group};
use std::borrow::Borrow;

/// Finds the key of a record. What it finds in one record must always be the same.
pub trait KeySelector<K, T>: Clone + Send + 'static {
    /// The key, or a reference to it.
    type Found<'a>: Borrow<K>
    where
        T: 'a;

    /// The key of a record.
    fn key<'a>(&self, value: &'a T) -> Self::Found<'a>;
}

/// A key that is computed from the record ([`super::DataStream::key_by`]).
#[derive(Clone)]
pub struct ComputedKey<F>(pub(crate) F);

impl<K: 'static, T: 'static, F: Fn(&T) -> K + Clone + Send + 'static> KeySelector<K, T> for ComputedKey<F> {
    type Found<'a> = K;

    #[inline]
    fn key(&self, value: &T) -> K {
        (self.0)(value)
    }
}

/// A key that is a part of the record ([`super::DataStream::key_by_ref`]).
#[derive(Clone)]
pub struct KeyInRecord<F>(pub(crate) F);

impl<K, T, F> KeySelector<K, T> for KeyInRecord<F>
where
    K: 'static,
    T: 'static,
    F: for<'a> Fn(&'a T) -> &'a K + Clone + Send + 'static,
{
    type Found<'a> = &'a K;

    #[inline]
    fn key<'a>(&self, value: &'a T) -> &'a K {
        (self.0)(value)
    }
}

/// Sends records to the subtask that has their key group, and tells the key group along.
pub(crate) fn partitioner<K: KeyType, T: 'static>(
    selector: impl KeySelector<K, T>,
    max_parallelism: u16,
    parallelism: u16,
) -> Partitioner<T> {
    let target = |group| operator_index_for_key_group(max_parallelism, parallelism, group);
    let targets: Vec<u16> = (0..max_parallelism).map(target).collect();
    let route = move |value: &T| {
        let group = assign_to_key_group(selector.key(value).borrow().java_hash(), max_parallelism);
        Route { subtask: targets[usize::from(group)], group }
    };
    Box::new(move |values, routes| routes.extend(values.iter().map(&route)))
}
