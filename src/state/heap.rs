//! The body of keyed state as the hash map backend writes it (`HeapSnapshotStrategy`, `HeapRestoreOperation`).
//!
//! Behind the [`KeyedHeader`] one piece per key group, at the offsets that the handle has: the number of the key group
//! as an `int`; then for each state its number as a `short`, the number of entries as an `int`, and the entries,
//! namespace, key and value of each. A priority queue has its elements in their place. In a compressed stream
//! everything behind the number of the key group is in frames of Snappy.

use super::keyed::KeyedHeader;
use super::meta::{BackendStateType, StateMeta};
use super::timer::Timer;
use super::types::StateType;
use super::{ranges, snappy};
use crate::wire::put;
use crate::wire::{Decoded, EncodeError, Reader};
use std::borrow::Cow;
use std::ops::Range;

const SECTION: &str = "keyed state";

/// Appends the start of a key group. Its offset in the stream, to be put into the handle, is that of this call.
#[inline]
pub fn start_key_group(out: &mut Vec<u8>, key_group: u16) {
    put::i32(out, i32::from(key_group));
}

/// Appends the start of a state's entries. Every key group has one for every state, empty or not.
///
/// # Errors
/// When the numbers are beyond what the format holds.
#[inline]
pub fn start_state(out: &mut Vec<u8>, state: usize, count: usize) -> Result<(), EncodeError> {
    put::short_count(out, "states", state)?;
    put::count(out, "entries of a state", count)
}

/// Appends an entry of keyed state.
///
/// # Errors
/// When one of them does not fit the format.
#[inline]
pub fn write_entry<N: StateType, K: StateType, V: StateType>(
    out: &mut Vec<u8>,
    namespace: &N,
    key: &K,
    value: &V,
) -> Result<(), EncodeError> {
    namespace.write(out)?;
    key.write(out)?;
    value.write(out)
}

/// Appends a timer to a priority queue.
///
/// # Errors
/// When its parts do not fit the format.
#[inline]
pub fn write_timer<K: StateType, N: StateType>(out: &mut Vec<u8>, timer: &Timer<K, N>) -> Result<(), EncodeError> {
    timer.write(out)
}

/// Reads an entry of keyed state.
///
/// # Errors
/// When the bytes are no such entry.
#[inline]
pub fn read_entry<N: StateType, K: StateType, V: StateType>(input: &mut Reader<'_>) -> Decoded<(N, K, V)> {
    Ok((N::read(input)?, K::read(input)?, V::read(input)?))
}

/// Reads a timer of a priority queue.
///
/// # Errors
/// When the bytes are no timer.
#[inline]
pub fn read_timer<K: StateType, N: StateType>(input: &mut Reader<'_>) -> Decoded<Timer<K, N>> {
    Timer::read(input)
}

/// A stream in memory, with its head read.
pub struct HeapReader<'a> {
    bytes: &'a [u8],
    header: KeyedHeader,
}

impl<'a> HeapReader<'a> {
    /// Reads the head of a stream.
    ///
    /// # Errors
    /// When the bytes do not start with such a head.
    pub fn new(bytes: &'a [u8]) -> Decoded<Self> {
        let header = KeyedHeader::read(&mut Reader::new(bytes, SECTION))?;
        Ok(HeapReader { bytes, header })
    }

    /// The key and the states in the stream.
    pub fn header(&self) -> &KeyedHeader {
        &self.header
    }

    /// The piece of one key group; [`super::ranges()`] tells its place from the offsets in the handle.
    ///
    /// # Errors
    /// When the key group is not there, or its compressed form is damaged.
    pub fn key_group(&self, key_group: i32, range: &Range<u64>) -> Decoded<KeyGroup<'a>> {
        let mut reader = ranges::reader(self.bytes, range, SECTION)?;
        let at = reader.offset();
        let found = reader.i32()?;
        if found != key_group {
            return Err(reader.invalid_at(at, format_args!("key group {found} in the place of key group {key_group}")));
        }
        let states = self.header.states.len();
        let (data, body) = match self.header.compressed {
            true => (Cow::Owned(snappy::decompress(&mut reader)?), 0),
            false => {
                let body = reader.offset();
                let end = usize::try_from(range.end).unwrap_or(usize::MAX);
                (Cow::Borrowed(self.bytes.get(..end).unwrap_or_default()), body)
            }
        };
        Ok(KeyGroup { data, body, states })
    }
}

/// The piece of one key group, decompressed.
pub struct KeyGroup<'a> {
    data: Cow<'a, [u8]>,
    /// Where the states start in it.
    body: u64,
    states: usize,
}

impl KeyGroup<'_> {
    /// The states in the key group.
    ///
    /// # Errors
    /// Never in practice: the piece was found before.
    pub fn sections(&self) -> Decoded<Sections<'_>> {
        let mut reader = Reader::new(&self.data, SECTION);
        reader.take(usize::try_from(self.body).unwrap_or(usize::MAX))?;
        Ok(Sections { reader, left: self.states, states: self.states })
    }
}

/// The start of a state's entries in a key group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section {
    /// The number of the state: its place in [`KeyedHeader::states`].
    pub state: usize,
    /// How many entries, or elements of a priority queue, follow.
    pub count: usize,
}

/// Walks over the states of a key group. Between two calls of [`Sections::next`] the entries have to be read from
/// [`Sections::reader`] to the last, or passed over by [`Sections::skip`] or [`Sections::raw`].
pub struct Sections<'k> {
    reader: Reader<'k>,
    left: usize,
    states: usize,
}

impl<'k> Sections<'k> {
    /// The next state; `None` behind the last.
    ///
    /// # Errors
    /// When there is no state here that the head knows, or bytes are left behind the last one.
    #[expect(clippy::should_implement_trait, reason = "the reader has to be used between two calls")]
    pub fn next(&mut self) -> Decoded<Option<Section>> {
        if self.left == 0 {
            return match self.reader.left() {
                0 => Ok(None),
                left => Err(self.reader.invalid_at(self.reader.offset(), format_args!("{left} bytes behind the end"))),
            };
        }
        self.left = self.left.saturating_sub(1);
        let at = self.reader.offset();
        let state = usize::from(self.reader.u16()?);
        if state >= self.states {
            return Err(self.reader.invalid_at(at, format_args!("state {state} of {}", self.states)));
        }
        // A namespace, a key and a value take a byte each; elements of a priority queue more.
        let count = self.reader.count("the number of entries", 3)?;
        Ok(Some(Section { state, count }))
    }

    /// At the next entry.
    #[inline]
    pub fn reader(&mut self) -> &mut Reader<'k> {
        &mut self.reader
    }

    /// Passes over all entries of a section that was just entered.
    ///
    /// # Errors
    /// When there is an entry that is none, or whose end cannot be told.
    pub fn skip(&mut self, header: &KeyedHeader, section: Section) -> Decoded<()> {
        let Some(state) = header.states.get(section.state) else { return Ok(()) };
        for _ in 0..section.count {
            skip_entry(header, state, &mut self.reader)?;
        }
        Ok(())
    }

    /// Passes over all entries of a section that was just entered, and gives their bytes.
    ///
    /// # Errors
    /// When there is an entry that is none, or whose end cannot be told.
    pub fn raw(&mut self, header: &KeyedHeader, section: Section) -> Decoded<&'k [u8]> {
        let before = self.reader.clone();
        self.skip(header, section)?;
        let length = before.left().saturating_sub(self.reader.left());
        Ok(before.rest().get(..length).unwrap_or_default())
    }
}

/// Passes over one entry, or one element of a priority queue.
fn skip_entry(header: &KeyedHeader, state: &StateMeta, input: &mut Reader<'_>) -> Decoded<()> {
    let missing = |input: &Reader<'_>, what: &str| {
        input.invalid_at(input.offset(), format_args!("state {:?} has no serializer for {what}", state.name))
    };
    let value = state.value().ok_or_else(|| missing(input, "values"))?;
    if state.kind != BackendStateType::PriorityQueue {
        state.namespace().ok_or_else(|| missing(input, "namespaces"))?.skip_value(input)?;
        header.key.skip_value(input)?;
    }
    value.skip_value(input)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::meta::KeyedStateType;
    use crate::state::serializer::SerializerSnapshot as S;

    fn header() -> KeyedHeader {
        let count = StateMeta::key_value("count", KeyedStateType::Value, S::void_namespace(), S::long());
        let timers = StateMeta::priority_queue("timers", S::timer(S::string(), S::void_namespace()));
        KeyedHeader::new(S::string(), vec![count, timers])
    }

    fn stream() -> (Vec<u8>, Vec<i64>) {
        let mut out = Vec::new();
        header().write(&mut out).expect("it fits");
        let mut offsets = Vec::new();
        for group in [3, 4] {
            offsets.push(i64::try_from(out.len()).expect("short"));
            start_key_group(&mut out, group);
            start_state(&mut out, 0, 2).expect("it fits");
            write_entry(&mut out, &(), &"a".to_owned(), &1_i64).expect("it fits");
            write_entry(&mut out, &(), &"b".to_owned(), &2_i64).expect("it fits");
            start_state(&mut out, 1, 1).expect("it fits");
            write_timer(&mut out, &Timer { timestamp: 7, key: "a".to_owned(), namespace: () }).expect("it fits");
        }
        (out, offsets)
    }

    fn walk(bytes: &[u8], offsets: &[i64]) -> Decoded<usize> {
        let reader = HeapReader::new(bytes)?;
        let mut entries = 0;
        for (group, range) in (3..).zip(ranges::ranges(offsets, bytes.len())) {
            let group = reader.key_group(group, &range)?;
            let mut sections = group.sections()?;
            while let Some(section) = sections.next()? {
                let raw = sections.raw(reader.header(), section)?;
                assert!(raw.len() >= section.count * 3);
                entries += section.count;
            }
        }
        Ok(entries)
    }

    #[test]
    fn what_is_written_is_read() {
        let (bytes, offsets) = stream();
        let reader = HeapReader::new(&bytes).expect("a stream");
        assert_eq!(reader.header(), &header());
        let range = ranges::ranges(&offsets, bytes.len()).remove(1);
        let group = reader.key_group(4, &range).expect("a key group");
        let mut sections = group.sections().expect("sections");
        assert_eq!(sections.next(), Ok(Some(Section { state: 0, count: 2 })));
        assert_eq!(read_entry(sections.reader()), Ok(((), "a".to_owned(), 1_i64)));
        assert_eq!(read_entry(sections.reader()), Ok(((), "b".to_owned(), 2_i64)));
        assert_eq!(sections.next(), Ok(Some(Section { state: 1, count: 1 })));
        let timer = read_timer::<String, ()>(sections.reader());
        assert_eq!(timer.map(|t| (t.timestamp, t.key)), Ok((7, "a".to_owned())));
        assert_eq!(sections.next(), Ok(None));
        assert_eq!(walk(&bytes, &offsets), Ok(6));
        assert!(reader.key_group(3, &range).is_err(), "another key group is there");
    }

    #[test]
    fn damaged_streams_are_errors_or_other_values_but_nothing_worse() {
        let (bytes, offsets) = stream();
        for at in 0..bytes.len() {
            assert!(walk(bytes.get(..at).unwrap_or_default(), &offsets).is_err(), "cut at {at}");
            for flip in [0x01, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] ^= flip;
                let _ = walk(&damaged, &offsets);
            }
        }
    }
}
