//! The head of a stream of keyed state (`KeyedBackendSerializationProxy`): the key and the states that follow.
//!
//! Both bodies, [`super::heap`] and [`super::canonical`], start with it.

use super::meta::{self, StateMeta};
use super::serializer::{SerializerSnapshot, other_version};
use crate::wire::put;
use crate::wire::{Decoded, EncodeError, Problem, Reader};

/// `KeyedBackendSerializationProxy.VERSION` since Flink 1.8, the only version that Flink 1.17 and later read.
const VERSION: i32 = 6;

/// The head of a stream of keyed state.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyedHeader {
    /// Whether key groups are compressed (`SnappyStreamCompressionDecorator`).
    pub compressed: bool,
    /// The serializer of the keys.
    pub key: SerializerSnapshot,
    /// The states; their place in the list is their number in the body.
    pub states: Vec<StateMeta>,
}

impl KeyedHeader {
    /// The head of an uncompressed stream.
    pub fn new(key: SerializerSnapshot, states: Vec<StateMeta>) -> Self {
        KeyedHeader { compressed: false, key, states }
    }

    /// Appends the head.
    ///
    /// # Errors
    /// When there are more states, or longer names, than the format allows.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        put::i32(out, VERSION);
        out.push(u8::from(self.compressed));
        self.key.write(out)?;
        meta::write_list(out, &self.states)
    }

    /// Reads a head; the reader is behind it afterwards.
    ///
    /// # Errors
    /// When the bytes are no such head, or name a serializer whose snapshot is not known.
    pub fn read(input: &mut Reader<'_>) -> Decoded<Self> {
        input.enter("head of keyed state");
        let at = input.offset();
        let version = input.i32()?;
        match version {
            VERSION => {}
            1..=5 => {
                let text = format!("keyed state of version {version}, of Flink before 1.8: chkctl does not read it");
                return Err(input.error_at(at, Problem::UnknownVersion(text)));
            }
            other => {
                let text = format!("keyed state of the unknown version {other}");
                return Err(input.error_at(at, other_version(other, text)));
            }
        }
        let compressed = input.u8()? != 0;
        let key = SerializerSnapshot::read(input)?;
        let states = meta::read_list(input)?;
        Ok(KeyedHeader { compressed, key, states })
    }

    /// How many bytes the head takes at the start of a stream.
    ///
    /// # Errors
    /// When the bytes do not start with a head.
    pub fn length(bytes: &[u8]) -> Decoded<u64> {
        let mut input = Reader::new(bytes, "keyed state");
        Self::read(&mut input)?;
        Ok(input.offset())
    }

    /// The state of this name and its number in the body.
    pub fn state(&self, name: &str) -> Option<(usize, &StateMeta)> {
        self.states.iter().enumerate().find(|(_, state)| state.name == name)
    }
}

/// The two bodies that a stream of keyed state may have behind its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyedBody {
    /// [`super::heap`].
    Heap,
    /// [`super::canonical`].
    Canonical,
}

impl KeyedBody {
    /// Tells the body from the bytes, for handles that do not say it: full checkpoints of RocksDB have the same handle
    /// as those of the hash map backend.
    ///
    /// A piece of the one starts with the number of the key group, of the other with the number of a state. Key group
    /// 0 alone tells nothing: its piece starts with zeros in both, and is taken for the hash map backend's.
    pub fn of(bytes: &[u8], first_key_group: i32, offsets: &[i64]) -> Self {
        for (number, offset) in (0..).zip(offsets) {
            let key_group = first_key_group.saturating_add(number);
            let start = usize::try_from(*offset).unwrap_or(usize::MAX);
            if start == 0 {
                return KeyedBody::Canonical;
            }
            if key_group == 0 {
                continue;
            }
            let found = bytes.get(start..).and_then(|piece| piece.first_chunk::<4>());
            return match found {
                Some(number) if i32::from_be_bytes(*number) != key_group => KeyedBody::Canonical,
                _ => KeyedBody::Heap,
            };
        }
        KeyedBody::Heap
    }
}
