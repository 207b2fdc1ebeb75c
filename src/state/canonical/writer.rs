//! Writing key groups in the canonical format, as `HeapKeyValueStateIterator` orders and lays out their entries.

use super::{DELIMITER, END_OF_KEY_GROUP, LAST_OF_STATE, prefix_bytes};
use crate::state::timer::Timer;
use crate::state::types::StateType;
use crate::wire::EncodeError;
use crate::wire::put;

/// Appends what stands before the entries of the first state in a key group.
///
/// # Errors
/// When there are more states than the format holds.
pub fn begin_state(out: &mut Vec<u8>, state: usize) -> Result<(), EncodeError> {
    put::short_count(out, "states", state)
}

/// Marks the entry that starts at `last_entry` as the last of its state, and appends what follows: the number of the next
/// state, or the end of the key group.
///
/// # Errors
/// When there are more states than the format holds.
pub fn end_state(out: &mut Vec<u8>, last_entry: usize, next: Option<usize>) -> Result<(), EncodeError> {
    if let Some(byte) = out.get_mut(last_entry.saturating_add(4)) {
        *byte |= LAST_OF_STATE;
    }
    match next {
        Some(state) => begin_state(out, state),
        None => {
            out.extend_from_slice(&END_OF_KEY_GROUP.to_be_bytes());
            Ok(())
        }
    }
}

/// Appends the entries of one key group to a stream. The entries of a state come one behind the other.
pub struct KeyGroupWriter<'o> {
    out: &'o mut Vec<u8>,
    prefix: [u8; 2],
    prefix_bytes: usize,
    /// The state of the last entry, and where its key starts.
    last: Option<(usize, usize)>,
}

impl<'o> KeyGroupWriter<'o> {
    /// Starts a key group at the end of the stream.
    pub fn new(out: &'o mut Vec<u8>, key_group: u16, max_parallelism: u16) -> Self {
        let prefix = match prefix_bytes(max_parallelism) {
            1 => [key_group.to_be_bytes()[1], 0],
            _ => key_group.to_be_bytes(),
        };
        KeyGroupWriter { out, prefix, prefix_bytes: prefix_bytes(max_parallelism), last: None }
    }

    /// Goes on within the entries of a state, for writers that keep the entries of states apart: the number of the state
    /// is not written, and no entry marked. [`begin_state`] and [`end_state`] do that.
    pub fn within(out: &'o mut Vec<u8>, key_group: u16, max_parallelism: u16, state: usize) -> Self {
        let mut writer = KeyGroupWriter::new(out, key_group, max_parallelism);
        writer.last = Some((state, usize::MAX));
        writer
    }

    /// Marks the last entry as the last of its state.
    fn mark_last(&mut self) {
        let place = self.last.and_then(|(_, key_at)| self.out.get_mut(key_at));
        if let Some(byte) = place {
            *byte |= LAST_OF_STATE;
        }
    }

    /// Starts an entry: its state, where that changes, and everything before the key.
    fn start(&mut self, state: usize) -> Result<usize, EncodeError> {
        if self.last.is_none_or(|(last, _)| last != state) {
            self.mark_last();
            put::short_count(self.out, "states", state)?;
        }
        let key_at = self.out.len().saturating_add(4);
        self.last = Some((state, key_at));
        self.out.extend_from_slice(&[0; 4]);
        let prefix = self.prefix;
        self.out.extend_from_slice(prefix.get(..self.prefix_bytes).unwrap_or_default());
        Ok(key_at)
    }

    /// Puts the length of what was written since `start` into the four bytes before it.
    fn set_length(&mut self, start: usize) -> Result<(), EncodeError> {
        let length = self.out.len().saturating_sub(start);
        let length = i32::try_from(length).map_err(|_| EncodeError::TooMany { what: "bytes", count: length })?;
        let place = start.checked_sub(4).and_then(|at| self.out.get_mut(at..)).and_then(|rest| rest.first_chunk_mut());
        if let Some(place) = place {
            *place = length.to_be_bytes();
        }
        Ok(())
    }

    fn put_length(&mut self, start: usize) {
        let mut length = self.out.len().saturating_sub(start);
        loop {
            self.out.push(length.to_le_bytes()[0]);
            length >>= 8;
            if length == 0 {
                return;
            }
        }
    }

    /// Everything of an entry before the key in a map, or before the end of the key; gives where the key starts.
    fn start_composite<N: StateType, K: StateType>(
        &mut self,
        state: usize,
        namespace: &N,
        key: &K,
    ) -> Result<usize, EncodeError> {
        let key_at = self.start(state)?;
        let ambiguous = K::VARIABLE_LENGTH && N::VARIABLE_LENGTH;
        let start = self.out.len();
        key.write(self.out)?;
        if ambiguous {
            self.put_length(start);
        }
        let start = self.out.len();
        namespace.write(self.out)?;
        if ambiguous {
            self.put_length(start);
        }
        Ok(key_at)
    }

    /// Ends the key and starts the value.
    fn start_value(&mut self, key_at: usize) -> Result<usize, EncodeError> {
        self.set_length(key_at)?;
        self.out.extend_from_slice(&[0; 4]);
        Ok(self.out.len())
    }

    /// Appends an entry of value, reducing or aggregating state.
    ///
    /// # Errors
    /// When one of them does not fit the format.
    pub fn value<N: StateType, K: StateType, V: StateType>(
        &mut self,
        state: usize,
        namespace: &N,
        key: &K,
        value: &V,
    ) -> Result<(), EncodeError> {
        let key_at = self.start_composite(state, namespace, key)?;
        let value_at = self.start_value(key_at)?;
        value.write(self.out)?;
        self.set_length(value_at)
    }

    /// Appends an entry of list state; an empty list is left out, as in Flink.
    ///
    /// # Errors
    /// When one of them does not fit the format.
    pub fn list<N: StateType, K: StateType, E: StateType>(
        &mut self,
        state: usize,
        namespace: &N,
        key: &K,
        elements: &[E],
    ) -> Result<(), EncodeError> {
        let Some((first, rest)) = elements.split_first() else { return Ok(()) };
        let key_at = self.start_composite(state, namespace, key)?;
        let value_at = self.start_value(key_at)?;
        first.write(self.out)?;
        for element in rest {
            self.out.push(DELIMITER);
            element.write(self.out)?;
        }
        self.set_length(value_at)
    }

    /// Appends one entry of map state.
    ///
    /// # Errors
    /// When one of them does not fit the format.
    pub fn map_entry<N: StateType, K: StateType, MK: StateType, MV: StateType>(
        &mut self,
        state: usize,
        namespace: &N,
        key: &K,
        map_key: &MK,
        map_value: &MV,
    ) -> Result<(), EncodeError> {
        let key_at = self.start_composite(state, namespace, key)?;
        map_key.write(self.out)?;
        let value_at = self.start_value(key_at)?;
        self.out.push(0);
        map_value.write(self.out)?;
        self.set_length(value_at)
    }

    /// Appends a timer.
    ///
    /// # Errors
    /// When its parts do not fit the format.
    pub fn timer<K: StateType, N: StateType>(&mut self, state: usize, timer: &Timer<K, N>) -> Result<(), EncodeError> {
        let key_at = self.start(state)?;
        timer.write(self.out)?;
        let value_at = self.start_value(key_at)?;
        self.set_length(value_at)
    }

    /// Ends the key group. False where it has no entries: then nothing was written, and its offset is 0.
    pub fn finish(mut self) -> bool {
        self.mark_last();
        if self.last.is_some() {
            self.out.extend_from_slice(&END_OF_KEY_GROUP.to_be_bytes());
        }
        self.last.is_some()
    }
}
