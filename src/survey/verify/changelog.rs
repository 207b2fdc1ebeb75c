//! How much a compressed changelog file holds, from the headers of its chunks.
//!
//! The first byte of a changelog file says whether it is compressed. What follows then is the framing format of Snappy,
//! as `SnappyFramedOutputStream` writes it: chunks of a type, a length of three bytes (little-endian), and for data a
//! checksum and the content. Only the headers are read.

use crate::model::Location;
use crate::storage::{Storage, StorageError};

/// What the chunks of a file say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unpacked {
    /// Bytes that the chunks hold once they are unpacked, cut ones not counted.
    pub bytes: i64,
    /// Whether the last chunk ends with the file.
    pub whole: bool,
}

const COMPRESSED: u8 = 0;
const UNCOMPRESSED: u8 = 1;
/// Type, length, checksum, and the longest varint of a length.
const LONGEST_HEADER: u64 = 13;

/// Reads the headers of a file of `size` bytes; `None` if it is not compressed.
pub(super) fn unpacked(storage: &dyn Storage, file: &Location, size: u64) -> Result<Option<Unpacked>, StorageError> {
    if storage.read_range(file, 0, 1)? != [1] {
        return Ok(None);
    }
    let (mut at, mut bytes) = (1_u64, 0_i64);
    while at < size {
        let header = storage.read_range(file, at, LONGEST_HEADER)?;
        let [kind, a, b, c, rest @ ..] = header.as_slice() else {
            return Ok(Some(Unpacked { bytes, whole: false }));
        };
        let length = u64::from(u32::from_le_bytes([*a, *b, *c, 0]));
        let end = at + 4 + length;
        if end > size {
            return Ok(Some(Unpacked { bytes, whole: false }));
        }
        let held = match *kind {
            COMPRESSED => varint(rest.get(4..).unwrap_or_default()),
            UNCOMPRESSED => i64::try_from(length).unwrap_or(0) - 4,
            // The name of the format, and padding.
            _ => 0,
        };
        bytes = bytes.saturating_add(held);
        at = end;
    }
    Ok(Some(Unpacked { bytes, whole: true }))
}

/// A length as Snappy writes it: seven bits a byte, the lowest first.
fn varint(bytes: &[u8]) -> i64 {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(5).enumerate() {
        value |= i64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}
