//! What `java.io.DataOutput` writes, appended to a vector: what [`super::Writer`] is made of, and state files are written with.

use super::{EncodeError, JavaStr};

/// `DataOutput.writeShort`.
#[inline]
pub(crate) fn i16(out: &mut Vec<u8>, value: i16) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// `DataOutput.writeInt`.
#[inline]
pub(crate) fn i32(out: &mut Vec<u8>, value: i32) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// `DataOutput.writeLong`.
#[inline]
pub(crate) fn i64(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// `DataOutput.writeUTF`. Fails as Java does (`UTFDataFormatException`) on more than 65,535 bytes.
pub(crate) fn utf(out: &mut Vec<u8>, text: &JavaStr<'_>) -> Result<(), EncodeError> {
    let bytes = text.as_modified_utf8();
    let len = u16::try_from(bytes.len()).map_err(|_| EncodeError::StringTooLong { bytes: bytes.len() })?;
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}

/// [`utf`] of a text of Rust's.
pub(crate) fn text(out: &mut Vec<u8>, text: &str) -> Result<(), EncodeError> {
    utf(out, &JavaStr::from(text))
}

/// A count as a 32-bit integer.
#[inline]
pub(crate) fn count(out: &mut Vec<u8>, what: &'static str, count: usize) -> Result<(), EncodeError> {
    i32(out, i32::try_from(count).map_err(|_| EncodeError::TooMany { what, count })?);
    Ok(())
}

/// A count as a 16-bit integer, which Java reads as a signed one.
pub(crate) fn short_count(out: &mut Vec<u8>, what: &'static str, count: usize) -> Result<(), EncodeError> {
    i16(out, i16::try_from(count).map_err(|_| EncodeError::TooMany { what, count })?);
    Ok(())
}

/// A 32-bit length and the bytes (`BytePrimitiveArraySerializer`).
#[inline]
pub(crate) fn bytes(out: &mut Vec<u8>, what: &'static str, bytes: &[u8]) -> Result<(), EncodeError> {
    count(out, what, bytes.len())?;
    out.extend_from_slice(bytes);
    Ok(())
}
