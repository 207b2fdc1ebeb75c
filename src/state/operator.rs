//! State of an operator that is not keyed (`OperatorBackendSerializationProxy`): list and broadcast states.
//!
//! The stream is a head and then one element after the other; where each starts is in the `_metadata`
//! (`OperatorStreamStateHandle`), and in [`OperatorWriter::finish`].

use super::meta::{self, StateMeta};
use super::serializer::other_version;
use super::types::StateType;
use super::{ranges, snappy};
use crate::model::DistributionMode;
use crate::model::handle::OperatorStateInfo;
use crate::wire::put;
use crate::wire::{Decoded, EncodeError, JavaStr, Problem, Reader};

/// `OperatorBackendSerializationProxy.VERSION` of Flink 1.8 to 1.17, which later releases read as well. Version 6, of
/// Flink 1.18 and later, adds the flag for compression, and no earlier release reads it.
const VERSION: i32 = 5;
const SECTION: &str = "operator state";

/// The head of a stream of operator state.
#[derive(Debug, Clone, PartialEq)]
pub struct OperatorHeader {
    /// The version it was written in.
    pub version: i32,
    /// Whether elements are compressed.
    pub compressed: bool,
    /// List states.
    pub lists: Vec<StateMeta>,
    /// Broadcast states.
    pub broadcasts: Vec<StateMeta>,
}

impl OperatorHeader {
    /// The head of an uncompressed stream, in the version that all releases of Flink since 1.8 read.
    pub fn new(lists: Vec<StateMeta>, broadcasts: Vec<StateMeta>) -> Self {
        OperatorHeader { version: VERSION, compressed: false, lists, broadcasts }
    }

    /// Appends the head.
    ///
    /// # Errors
    /// When there are more states, or longer names, than the format allows.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        put::i32(out, self.version);
        if self.version >= 6 {
            out.push(u8::from(self.compressed));
        }
        meta::write_list(out, &self.lists)?;
        meta::write_list(out, &self.broadcasts)
    }

    /// Reads a head; the reader is behind it afterwards.
    ///
    /// # Errors
    /// When the bytes are no such head, or name a serializer whose snapshot is not known.
    pub fn read(input: &mut Reader<'_>) -> Decoded<Self> {
        input.enter("head of operator state");
        let at = input.offset();
        let version = input.i32()?;
        let compressed = match version {
            5 => false,
            6 => input.u8()? != 0,
            1..=4 => {
                let text = format!("operator state of version {version}, of Flink before 1.8: chkctl does not read it");
                return Err(input.error_at(at, Problem::UnknownVersion(text)));
            }
            other => {
                let text = format!("operator state of the unknown version {other}");
                return Err(input.error_at(at, other_version(other, text)));
            }
        };
        let lists = meta::read_list(input)?;
        let broadcasts = meta::read_list(input)?;
        Ok(OperatorHeader { version, compressed, lists, broadcasts })
    }
}

/// Collects the elements of operator state behind a head.
pub struct OperatorWriter {
    out: Vec<u8>,
    header: OperatorHeader,
    lists: Vec<Vec<i64>>,
    broadcasts: Vec<Vec<i64>>,
}

impl OperatorWriter {
    /// Starts a stream with these states.
    ///
    /// # Errors
    /// When the head does not fit the format.
    pub fn new(lists: Vec<StateMeta>, broadcasts: Vec<StateMeta>) -> Result<Self, EncodeError> {
        let header = OperatorHeader::new(lists, broadcasts);
        let mut out = Vec::new();
        header.write(&mut out)?;
        let empty = |states: &[StateMeta]| states.iter().map(|_| Vec::new()).collect();
        Ok(OperatorWriter { lists: empty(&header.lists), broadcasts: empty(&header.broadcasts), out, header })
    }

    fn mark(out: &[u8], offsets: Option<&mut Vec<i64>>, state: usize) -> Result<(), EncodeError> {
        let offsets = offsets.ok_or(EncodeError::TooMany { what: "states, one more than announced,", count: state })?;
        offsets.push(i64::try_from(out.len()).unwrap_or(i64::MAX));
        Ok(())
    }

    /// Appends an element to list state number `state`.
    ///
    /// # Errors
    /// When it does not fit the format, or there is no such state.
    pub fn element<T: StateType>(&mut self, state: usize, element: &T) -> Result<(), EncodeError> {
        Self::mark(&self.out, self.lists.get_mut(state), state)?;
        element.write(&mut self.out)
    }

    /// Appends the entries of broadcast state number `state`, all at once (`HeapBroadcastState.write`).
    ///
    /// # Errors
    /// When they do not fit the format, or there is no such state.
    pub fn broadcast<'e, K: StateType, V: StateType>(
        &mut self,
        state: usize,
        entries: impl ExactSizeIterator<Item = (&'e K, &'e V)>,
    ) -> Result<(), EncodeError> {
        Self::mark(&self.out, self.broadcasts.get_mut(state), state)?;
        put::count(&mut self.out, "entries of broadcast state", entries.len())?;
        for (key, value) in entries {
            key.write(&mut self.out)?;
            value.write(&mut self.out)?;
        }
        Ok(())
    }

    /// The stream, and what the handle in the `_metadata` says of it.
    pub fn finish(self) -> (Vec<u8>, Vec<OperatorStateInfo<'static>>) {
        let states = self.header.lists.iter().zip(self.lists);
        let states = states.chain(self.header.broadcasts.iter().zip(self.broadcasts));
        let info = |(state, offsets): (&StateMeta, Vec<i64>)| OperatorStateInfo {
            name: JavaStr::from(state.name.as_str()),
            mode: state.distribution().unwrap_or(DistributionMode::SplitDistribute),
            offsets,
        };
        (self.out, states.map(info).collect())
    }
}

/// A stream in memory, with its head read.
pub struct OperatorReader<'a> {
    bytes: &'a [u8],
    header: OperatorHeader,
    /// All offsets in order, which tell where compressed elements end.
    starts: Vec<u64>,
}

impl<'a> OperatorReader<'a> {
    /// Reads the head of a stream. `states` is what the handle says is in it.
    ///
    /// # Errors
    /// When the bytes do not start with such a head.
    pub fn new(bytes: &'a [u8], states: &[OperatorStateInfo<'_>]) -> Decoded<Self> {
        let header = OperatorHeader::read(&mut Reader::new(bytes, SECTION))?;
        let offsets = states.iter().flat_map(|state| &state.offsets);
        let mut starts: Vec<u64> = offsets.filter_map(|offset| u64::try_from(*offset).ok()).collect();
        starts.sort_unstable();
        Ok(OperatorReader { bytes, header, starts })
    }

    /// The states in the stream.
    pub fn header(&self) -> &OperatorHeader {
        &self.header
    }

    /// Hands a reader at the offset to `read`: for an element of list state, or all of a broadcast state.
    ///
    /// # Errors
    /// When the offset is outside of the stream, a compressed element is damaged, or `read` fails.
    pub fn at<T>(&self, offset: i64, read: impl FnOnce(&mut Reader<'_>) -> Decoded<T>) -> Decoded<T> {
        let start = u64::try_from(offset).unwrap_or(u64::MAX);
        let end = match self.header.compressed {
            true => self.starts.get(self.starts.partition_point(|other| *other <= start)).copied(),
            false => None,
        };
        let mut reader = ranges::reader(self.bytes, &(start..end.unwrap_or(self.bytes.len() as u64)), SECTION)?;
        if !self.header.compressed {
            return read(&mut reader);
        }
        let element = snappy::decompress(&mut reader)?;
        read(&mut Reader::new(&element, SECTION))
    }

    /// The element of list state at the offset.
    ///
    /// # Errors
    /// When there is no such element.
    pub fn element<T: StateType>(&self, offset: i64) -> Decoded<T> {
        self.at(offset, T::read)
    }

    /// The entries of the broadcast state at the offset.
    ///
    /// # Errors
    /// When there are no such entries.
    pub fn broadcast<K: StateType, V: StateType>(&self, offset: i64) -> Decoded<Vec<(K, V)>> {
        self.at(offset, |input| {
            let count = input.count("the number of entries of broadcast state", 2)?;
            (0..count).map(|_| Ok((K::read(input)?, V::read(input)?))).collect()
        })
    }

    /// Checks whatever the state of this name has at the offset, and gives its length in bytes (decompressed).
    ///
    /// # Errors
    /// When there is no such state or element, or the end of the element cannot be told.
    pub fn check(&self, name: &str, offset: i64) -> Decoded<u64> {
        let find = |states: &'_ [StateMeta]| states.iter().position(|state| state.name == name);
        let list = find(&self.header.lists).and_then(|at| self.header.lists.get(at));
        let broadcast = find(&self.header.broadcasts).and_then(|at| self.header.broadcasts.get(at));
        self.at(offset, |input| {
            let start = input.offset();
            match (list.and_then(StateMeta::value), broadcast.map(|state| (state.broadcast_key(), state.value()))) {
                (Some(element), _) => element.skip_value(input)?,
                (None, Some((Some(key), Some(value)))) => {
                    let count = input.count("the number of entries of broadcast state", 2)?;
                    for _ in 0..count {
                        key.skip_value(input)?;
                        value.skip_value(input)?;
                    }
                }
                _ => return Err(input.invalid_at(start, format_args!("the stream has no state {name:?}"))),
            }
            Ok(input.offset().saturating_sub(start))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::serializer::SerializerSnapshot as S;
    use std::collections::BTreeMap;

    fn stream() -> (Vec<u8>, Vec<OperatorStateInfo<'static>>) {
        let lists = vec![
            StateMeta::operator_list("names", DistributionMode::SplitDistribute, S::string()),
            StateMeta::operator_list("none", DistributionMode::Union, S::long()),
        ];
        let rules = StateMeta::broadcast("rules", S::string(), S::int());
        let mut writer = OperatorWriter::new(lists, vec![rules]).expect("it fits");
        writer.element(0, &"a".to_owned()).expect("it fits");
        writer.element(0, &"b".to_owned()).expect("it fits");
        writer.broadcast(0, BTreeMap::from([("x".to_owned(), 1_i32)]).iter()).expect("it fits");
        assert!(writer.element(2, &0_i64).is_err(), "there is no such state");
        writer.finish()
    }

    #[test]
    fn what_is_written_is_read() {
        let (bytes, states) = stream();
        assert!(bytes.starts_with(&[0, 0, 0, 5, 0, 2]), "a version that Flink 1.16 and 1.17 read, and two lists");
        let reader = OperatorReader::new(&bytes, &states).expect("a stream");
        let names: Vec<_> =
            states.iter().map(|state| (state.name.to_string(), state.mode, state.offsets.len())).collect();
        let split = DistributionMode::SplitDistribute;
        let union = DistributionMode::Union;
        let wanted = [("names", split, 2), ("none", union, 0), ("rules", DistributionMode::Broadcast, 1)];
        assert_eq!(names, wanted.map(|(name, mode, count)| (name.to_owned(), mode, count)));
        let offsets = |at: usize| states.get(at).map(|state| state.offsets.clone()).unwrap_or_default();
        let read: Decoded<Vec<String>> = offsets(0).into_iter().map(|offset| reader.element(offset)).collect();
        assert_eq!(read, Ok(vec!["a".to_owned(), "b".to_owned()]));
        let rules = offsets(2).first().map(|offset| reader.broadcast::<String, i32>(*offset));
        assert_eq!(rules, Some(Ok(vec![("x".to_owned(), 1)])));
    }

    #[test]
    fn damaged_streams_are_errors_or_other_values_but_nothing_worse() {
        let (bytes, states) = stream();
        let walk = |bytes: &[u8]| -> Decoded<u64> {
            let reader = OperatorReader::new(bytes, &states)?;
            let mut total = 0;
            for state in &states {
                for offset in &state.offsets {
                    total += reader.check(&state.name.to_str(), *offset)?;
                }
            }
            Ok(total)
        };
        assert_eq!(walk(&bytes), Ok(2 + 2 + 10));
        for at in 0..bytes.len() {
            assert!(walk(bytes.get(..at).unwrap_or_default()).is_err(), "cut at {at}");
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x81;
            let _ = walk(&damaged);
        }
    }
}
