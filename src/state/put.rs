//! What `java.io.DataOutput` writes, appended to a vector: the counterpart of `wire::Reader` for the hot paths.

use crate::wire::{EncodeError, JavaStr};

/// `DataOutput.writeShort`.
#[inline]
pub(super) fn i16(out: &mut Vec<u8>, value: i16) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// `DataOutput.writeInt`.
#[inline]
pub(super) fn i32(out: &mut Vec<u8>, value: i32) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// `DataOutput.writeLong`.
#[inline]
pub(super) fn i64(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// `DataOutput.writeUTF`.
pub(super) fn utf(out: &mut Vec<u8>, text: &str) -> Result<(), EncodeError> {
    let text = JavaStr::from(text);
    let bytes = text.as_modified_utf8();
    let len = u16::try_from(bytes.len()).map_err(|_| EncodeError::StringTooLong { bytes: bytes.len() })?;
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}

/// A count as a 32-bit integer.
#[inline]
pub(super) fn count(out: &mut Vec<u8>, what: &'static str, count: usize) -> Result<(), EncodeError> {
    i32(out, i32::try_from(count).map_err(|_| EncodeError::TooMany { what, count })?);
    Ok(())
}

/// A count as a 16-bit integer, which Java reads as a signed one.
pub(super) fn short_count(out: &mut Vec<u8>, what: &'static str, count: usize) -> Result<(), EncodeError> {
    i16(out, i16::try_from(count).map_err(|_| EncodeError::TooMany { what, count })?);
    Ok(())
}

/// A 32-bit length and the bytes (`BytePrimitiveArraySerializer`).
#[inline]
pub(super) fn bytes(out: &mut Vec<u8>, what: &'static str, bytes: &[u8]) -> Result<(), EncodeError> {
    count(out, what, bytes.len())?;
    out.extend_from_slice(bytes);
    Ok(())
}
