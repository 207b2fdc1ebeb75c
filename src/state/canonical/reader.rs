//! Reading key groups in the canonical format.

use super::{DELIMITER, END_OF_KEY_GROUP, LAST_OF_STATE, prefix_bytes};
use crate::state::keyed::KeyedHeader;
use crate::state::meta::{BackendStateType, KeyedStateType, StateMeta};
use crate::state::serializer::SerializerSnapshot;
use crate::state::timer::Timer;
use crate::state::types::{StateType, read_map_value};
use crate::state::{ranges, snappy};
use crate::wire::{Decoded, Reader};
use std::borrow::Cow;
use std::ops::Range;

const SECTION: &str = "keyed state of a savepoint";

/// A stream in memory, with its head read.
pub struct CanonicalReader<'a> {
    bytes: &'a [u8],
    header: KeyedHeader,
    prefix_bytes: usize,
}

impl<'a> CanonicalReader<'a> {
    /// Reads the head of a stream. The maximum parallelism is that of the operator.
    ///
    /// # Errors
    /// When the bytes do not start with such a head.
    pub fn new(bytes: &'a [u8], max_parallelism: u16) -> Decoded<Self> {
        let header = KeyedHeader::read(&mut Reader::new(bytes, SECTION))?;
        Ok(CanonicalReader { bytes, header, prefix_bytes: prefix_bytes(max_parallelism) })
    }

    /// The key and the states in the stream.
    pub fn header(&self) -> &KeyedHeader {
        &self.header
    }

    /// The piece of one key group; [`ranges`](crate::state::ranges) tells its place from the offsets in the handle.
    ///
    /// # Errors
    /// When the range is outside of the stream, or its compressed form is damaged.
    pub fn key_group(&self, range: &Range<u64>) -> Decoded<KeyGroup<'a>> {
        let mut reader = ranges::reader(self.bytes, range, SECTION)?;
        let states = self.header.states.len();
        let (data, body) = match self.header.compressed && range.start != 0 {
            true => (Cow::Owned(snappy::decompress(&mut reader)?), 0),
            false => {
                let body = reader.offset();
                let end = usize::try_from(range.end).unwrap_or(usize::MAX);
                (Cow::Borrowed(self.bytes.get(..end).unwrap_or_default()), body)
            }
        };
        Ok(KeyGroup { data, body, states, prefix_bytes: self.prefix_bytes, present: range.start != 0 })
    }
}

/// The piece of one key group, decompressed.
pub struct KeyGroup<'a> {
    data: Cow<'a, [u8]>,
    body: u64,
    states: usize,
    prefix_bytes: usize,
    /// An offset of 0 is that of a key group without entries.
    present: bool,
}

impl KeyGroup<'_> {
    /// The entries of the key group.
    ///
    /// # Errors
    /// When there is no state where the entries start.
    pub fn entries(&self) -> Decoded<Entries<'_>> {
        let mut reader = Reader::new(&self.data, SECTION);
        reader.take(usize::try_from(self.body).unwrap_or(usize::MAX))?;
        let state = if self.present { read_state(&mut reader, self.states)? } else { None };
        Ok(Entries { data: &self.data, reader, state, states: self.states, prefix_bytes: self.prefix_bytes })
    }
}

fn read_state(reader: &mut Reader<'_>, states: usize) -> Decoded<Option<usize>> {
    let at = reader.offset();
    match reader.u16()? {
        END_OF_KEY_GROUP => Ok(None),
        state if usize::from(state) < states => Ok(Some(usize::from(state))),
        state => Err(reader.invalid_at(at, format_args!("state {state} of {states}"))),
    }
}

/// Walks over the entries of a key group.
pub struct Entries<'k> {
    data: &'k [u8],
    reader: Reader<'k>,
    /// Of the next entry.
    state: Option<usize>,
    states: usize,
    prefix_bytes: usize,
}

impl<'k> Entries<'k> {
    /// The next entry; `None` behind the last.
    ///
    /// # Errors
    /// When the bytes are no entry, or bytes are left behind the last one.
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "a damaged stream ends the walk with an error")]
    pub fn next(&mut self) -> Decoded<Option<Entry<'k>>> {
        let Some(state) = self.state else {
            return match self.reader.left() {
                0 => Ok(None),
                left => Err(self.reader.invalid_at(self.reader.offset(), format_args!("{left} bytes behind the end"))),
            };
        };
        let mut key = self.byte_array("the length of a key")?;
        let value = self.byte_array("the length of a value")?;
        let first = key.u8()?;
        let mut key_group = u16::from(first & !LAST_OF_STATE);
        if self.prefix_bytes == 2 {
            key_group = (key_group << 8) | u16::from(key.u8()?);
        }
        if first & LAST_OF_STATE != 0 {
            self.state = read_state(&mut self.reader, self.states)?;
        }
        Ok(Some(Entry { state, key_group, key, value }))
    }

    /// A reader of a byte array in the stream, whose offsets count from the start of the stream.
    #[inline]
    fn byte_array(&mut self, what: &'static str) -> Decoded<Reader<'k>> {
        let length = self.reader.count(what, 1)?;
        let start = self.data.len().saturating_sub(self.reader.left());
        self.reader.take(length)?;
        let mut array = Reader::new(self.data.get(..start.saturating_add(length)).unwrap_or_default(), SECTION);
        array.take(start)?;
        Ok(array)
    }
}

/// One key and value of a key group.
#[derive(Clone)]
pub struct Entry<'k> {
    /// The number of the state: its place in [`KeyedHeader::states`].
    pub state: usize,
    /// The key group before the key.
    pub key_group: u16,
    /// At the key, behind the key group.
    pub key: Reader<'k>,
    /// At the value.
    pub value: Reader<'k>,
}

fn ended(reader: &Reader<'_>, what: &str) -> Decoded<()> {
    match reader.left() {
        0 => Ok(()),
        left => Err(reader.invalid_at(reader.offset(), format_args!("{left} bytes behind a {what}"))),
    }
}

/// Passes over the length of what was read since `start`, of which every byte but the lowest may be missing.
#[inline]
fn pass_length(reader: &mut Reader<'_>, start: u64) -> Decoded<()> {
    let mut length = reader.offset().saturating_sub(start);
    loop {
        reader.u8()?;
        length >>= 8;
        if length == 0 {
            return Ok(());
        }
    }
}

#[inline]
fn key_and_namespace<N: StateType, K: StateType>(key: &mut Reader<'_>) -> Decoded<(N, K)> {
    let ambiguous = K::VARIABLE_LENGTH && N::VARIABLE_LENGTH;
    let start = key.offset();
    let of_stream = K::read(key)?;
    if ambiguous {
        pass_length(key, start)?;
    }
    let start = key.offset();
    let namespace = N::read(key)?;
    if ambiguous {
        pass_length(key, start)?;
    }
    Ok((namespace, of_stream))
}

impl Entry<'_> {
    /// Reads an entry of value, reducing or aggregating state.
    ///
    /// # Errors
    /// When the bytes are no such entry.
    #[inline]
    pub fn read<N: StateType, K: StateType, V: StateType>(mut self) -> Decoded<(N, K, V)> {
        let (namespace, key) = key_and_namespace(&mut self.key)?;
        ended(&self.key, "key")?;
        let value = V::read(&mut self.value)?;
        ended(&self.value, "value")?;
        Ok((namespace, key, value))
    }

    /// Reads an entry of list state.
    ///
    /// # Errors
    /// When the bytes are no such entry.
    #[inline]
    pub fn read_list<N: StateType, K: StateType, E: StateType>(mut self) -> Decoded<(N, K, Vec<E>)> {
        let (namespace, key) = key_and_namespace(&mut self.key)?;
        ended(&self.key, "key")?;
        let mut list = Vec::new();
        while self.value.left() > 0 {
            list.push(E::read(&mut self.value)?);
            pass_delimiter(&mut self.value)?;
        }
        Ok((namespace, key, list))
    }

    /// Reads one entry of map state.
    ///
    /// # Errors
    /// When the bytes are no such entry.
    #[inline]
    pub fn read_map_entry<N: StateType, K: StateType, MK: StateType, MV: StateType>(
        mut self,
    ) -> Decoded<(N, K, MK, MV)> {
        let (namespace, key) = key_and_namespace(&mut self.key)?;
        let map_key = MK::read(&mut self.key)?;
        ended(&self.key, "key")?;
        let map_value = read_map_value(&mut self.value)?;
        ended(&self.value, "value")?;
        Ok((namespace, key, map_key, map_value))
    }

    /// Reads a timer.
    ///
    /// # Errors
    /// When the bytes are no timer.
    #[inline]
    pub fn read_timer<K: StateType, N: StateType>(mut self) -> Decoded<Timer<K, N>> {
        let timer = Timer::read(&mut self.key)?;
        ended(&self.key, "timer")?;
        ended(&self.value, "timer")?;
        Ok(timer)
    }

    /// Checks the entry against the serializers in the head, without knowing its Rust types. What only Java can read
    /// is taken for good.
    ///
    /// # Errors
    /// When the bytes are no such entry.
    pub fn check(mut self, header: &KeyedHeader) -> Decoded<()> {
        let Some(state) = header.states.get(self.state) else { return Ok(()) };
        let missing =
            |at: &Reader<'_>| at.invalid_at(at.offset(), format_args!("state {:?} lacks a serializer", state.name));
        let value = state.value().ok_or_else(|| missing(&self.value))?;
        if state.kind == BackendStateType::PriorityQueue {
            pass(value, &mut self.key)?;
            ended(&self.key, "timer")?;
            return ended(&self.value, "timer");
        }
        let namespace = state.namespace().ok_or_else(|| missing(&self.key))?;
        let ambiguous = header.key.is_variable_length() && namespace.is_variable_length();
        if !header.key.is_skippable() || !namespace.is_skippable() {
            return Ok(());
        }
        for part in [&header.key, namespace] {
            let start = self.key.offset();
            part.skip_value(&mut self.key)?;
            if ambiguous {
                pass_length(&mut self.key, start)?;
            }
        }
        self.check_value(state, value)
    }

    fn check_value(&mut self, state: &StateMeta, value: &SerializerSnapshot) -> Decoded<()> {
        match (state.keyed_type(), value.nested()) {
            (KeyedStateType::List, [element]) => {
                while self.value.left() > 0 {
                    pass(element, &mut self.value)?;
                    pass_delimiter(&mut self.value)?;
                }
            }
            (KeyedStateType::Map, [map_key, map_value]) => {
                pass(map_key, &mut self.key)?;
                if self.value.u8()? == 0 {
                    pass(map_value, &mut self.value)?;
                }
            }
            _ => pass(value, &mut self.value)?,
        }
        ended(&self.key, "key")?;
        ended(&self.value, "value")
    }
}

/// Passes over a value at the end of a byte array, which tells the end where the serializer cannot.
fn pass(serializer: &SerializerSnapshot, reader: &mut Reader<'_>) -> Decoded<()> {
    match serializer.is_skippable() {
        true => serializer.skip_value(reader),
        false => reader.take(reader.left()).map(|_| ()),
    }
}

#[inline]
fn pass_delimiter(value: &mut Reader<'_>) -> Decoded<()> {
    if value.left() == 0 {
        return Ok(());
    }
    let at = value.offset();
    match value.u8()? {
        DELIMITER if value.left() > 0 => Ok(()),
        _ => Err(value.invalid_at(at, "no comma between the elements of a list")),
    }
}
