//! State of an operator that is not keyed (`OperatorBackendSerializationProxy`): list and broadcast states.
//!
//! The stream is a head and then one element after the other; where each starts is in the `_metadata`
//! (`OperatorStreamStateHandle`), and in [`OperatorWriter::finish`].

use super::meta::{self, StateMeta};
use super::put;
use crate::wire::{Decoded, EncodeError, Reader};

/// `OperatorBackendSerializationProxy.VERSION` since Flink 1.18; 5 before. Version 6 has the flag for compression.
const VERSION: i32 = 6;

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
    /// The head of an uncompressed stream, in the version of Flink 1.18 and later.
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
                return Err(input.invalid_at(
                    at,
                    format_args!("operator state of version {version}, of Flink before 1.8: chkctl does not read it"),
                ));
            }
            other => return Err(input.invalid_at(at, format_args!("operator state of the unknown version {other}"))),
        };
        let lists = meta::read_list(input)?;
        let broadcasts = meta::read_list(input)?;
        Ok(OperatorHeader { version, compressed, lists, broadcasts })
    }
}
