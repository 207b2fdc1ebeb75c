//! The head of a stream of keyed state (`KeyedBackendSerializationProxy`): the key and the states that follow.
//!
//! Both bodies, [`super::heap`] and [`super::canonical`], start with it.

use super::meta::{self, StateMeta};
use super::put;
use super::serializer::SerializerSnapshot;
use crate::wire::{Decoded, EncodeError, Reader};

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
                return Err(input.invalid_at(
                    at,
                    format_args!("keyed state of version {version}, of Flink before 1.8: chkctl does not read it"),
                ));
            }
            other => return Err(input.invalid_at(at, format_args!("keyed state of the unknown version {other}"))),
        }
        let compressed = input.u8()? != 0;
        let key = SerializerSnapshot::read(input)?;
        let states = meta::read_list(input)?;
        Ok(KeyedHeader { compressed, key, states })
    }

    /// The state of this name and its number in the body.
    pub fn state(&self, name: &str) -> Option<(usize, &StateMeta)> {
        self.states.iter().enumerate().find(|(_, state)| state.name == name)
    }
}
