//! Java `DataInput` / `DataOutput` on byte slices, reader and writer side by side.
//!
//! Everything Flink writes into a `_metadata` goes through `java.io.DataOutputStream`: big-endian integers and
//! strings in modified UTF-8 behind a 16-bit length. [`Reader`] takes them out of a slice without copying, every
//! read names the section it belongs to, and a failed one says which section was short and at which byte.
//! [`Writer`] puts them back. Neither allocates by a number it has read: see [`limits::Budget`].

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

pub mod input;
mod java_str;
pub mod limits;
pub(crate) mod put;
pub mod source;
pub mod stream;

pub use input::Input;
pub use java_str::JavaStr;
pub use limits::Budget;
pub use source::{Part, ReadAt, ReadError};
pub use stream::Stream;

use std::fmt;

/// Why bytes could not be decoded, and where.
///
/// Kept behind a box: a decoder returns one result per field, and the good ones should stay small.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{section}, byte {offset}: {problem}")]
pub struct DecodeError {
    /// The part of the format that was being read, such as `operator 3, subtask 1, managed keyed state`.
    pub section: String,
    /// Offset of the offending field from the start of the input, in bytes.
    pub offset: u64,
    /// What is wrong there.
    pub problem: Problem,
}

/// The kinds of damage a decoder tells apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The input ends inside the field.
    #[error("the file ends here: {wanted} more bytes were expected, {left} are left")]
    Truncated {
        /// Bytes the field needs.
        wanted: u64,
        /// Bytes the input still has.
        left: u64,
    },
    /// A count or length that the bytes left in the input cannot hold.
    #[error("{what} says {count}, but only {left} bytes are left")]
    ImpossibleCount {
        /// What is counted.
        what: &'static str,
        /// The number read.
        count: i64,
        /// Bytes the input still has.
        left: u64,
    },
    /// A value outside of what the format allows, in words.
    #[error("{0}")]
    Invalid(String),
    /// A type tag that no release of Flink writes in this place.
    #[error("{tag} is not a type of {what} that Flink knows")]
    UnknownTag {
        /// What should have been here.
        what: &'static str,
        /// The tag read.
        tag: i64,
    },
    /// The model would need more memory than the contract of the codec allows.
    #[error(
        "decoding would need more than {allowed} bytes of memory, which no file written by Flink of this size does"
    )]
    OverBudget {
        /// The bytes the budget allowed in all.
        allowed: u64,
    },
    /// More of something than any file of Flink's has.
    #[error("more than {limit} {what}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many are read.
        limit: usize,
    },
    /// A value whose layout only a class of Java's knows.
    #[error("{0}, whose end only Java knows")]
    OnlyJava(String),
    /// The snapshot of a serializer whose content only its class knows.
    #[error("{0} is a serializer that chkctl does not know")]
    UnknownSerializer(String),
    /// A version that is not known, and that older or newer releases may have written.
    #[error("{0}")]
    UnknownVersion(String),
    /// Handles nested deeper than Flink nests them.
    #[error("handles nested more than {0} deep")]
    TooDeep(u32),
}

impl Problem {
    /// Whether a limit of the decoder's own was met, or what it knows ends here, which says nothing about what Flink would do.
    pub fn is_limit(&self) -> bool {
        matches!(
            self,
            Problem::OverBudget { .. } | Problem::TooMany { .. } | Problem::TooDeep(_) | Problem::UnknownVersion(_)
        )
    }
}

/// Result of a decoding step.
pub type Decoded<T> = Result<T, Box<DecodeError>>;

/// A cursor over a byte slice that reads what `java.io.DataInput` would.
#[derive(Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
    len: usize,
    section: &'static str,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte of `bytes`; offsets in errors count from there.
    pub fn new(bytes: &'a [u8], section: &'static str) -> Self {
        Reader { rest: bytes, len: bytes.len(), section }
    }

    /// Names the section that the following reads belong to, for errors.
    #[inline]
    pub fn enter(&mut self, section: &'static str) {
        self.section = section;
    }

    /// The section named last.
    pub fn section(&self) -> &'static str {
        self.section
    }

    /// Offset of the next byte from the start of the input.
    #[inline]
    pub fn offset(&self) -> u64 {
        self.len.saturating_sub(self.rest.len()) as u64
    }

    /// Bytes not yet read.
    #[inline]
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// Everything not yet read, without reading it.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// An error at the current byte.
    #[cold]
    pub fn error(&self, problem: Problem) -> Box<DecodeError> {
        self.error_at(self.offset(), problem)
    }

    /// An error at a byte that was already passed.
    #[cold]
    pub fn error_at(&self, offset: u64, problem: Problem) -> Box<DecodeError> {
        Box::new(DecodeError { section: self.section.to_owned(), offset, problem })
    }

    /// An [`Problem::Invalid`] error at `offset`.
    #[cold]
    pub fn invalid_at(&self, offset: u64, what: impl fmt::Display) -> Box<DecodeError> {
        self.error_at(offset, Problem::Invalid(what.to_string()))
    }

    /// The next `count` bytes.
    #[inline]
    pub fn take(&mut self, count: usize) -> Decoded<&'a [u8]> {
        match self.rest.split_at_checked(count) {
            Some((head, tail)) => {
                self.rest = tail;
                Ok(head)
            }
            None => Err(self.error(Problem::Truncated { wanted: count as u64, left: self.rest.len() as u64 })),
        }
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Decoded<[u8; N]> {
        match self.rest.split_first_chunk::<N>() {
            Some((head, tail)) => {
                self.rest = tail;
                Ok(*head)
            }
            None => Err(self.error(Problem::Truncated { wanted: N as u64, left: self.rest.len() as u64 })),
        }
    }

    /// `DataInput.readUnsignedByte`.
    #[inline]
    pub fn u8(&mut self) -> Decoded<u8> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    /// `DataInput.readUnsignedShort`.
    #[inline]
    pub fn u16(&mut self) -> Decoded<u16> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    /// `DataInput.readInt`.
    #[inline]
    pub fn i32(&mut self) -> Decoded<i32> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    /// `DataInput.readLong`.
    #[inline]
    pub fn i64(&mut self) -> Decoded<i64> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    /// Sixteen bytes, as two `readLong` give them.
    #[inline]
    pub fn bytes16(&mut self) -> Decoded<[u8; 16]> {
        self.array()
    }

    /// `DataInput.readUTF`: a string of at most 65,535 bytes in modified UTF-8, checked but not decoded.
    #[inline]
    pub fn utf(&mut self) -> Decoded<JavaStr<'a>> {
        let start = self.offset();
        let len = self.u16()?;
        let bytes = self.take(usize::from(len))?;
        JavaStr::from_modified_utf8(bytes).ok_or_else(|| self.not_utf(start))
    }

    /// Checks what [`Reader::utf`] reads, and passes over it; gives its length in bytes.
    #[inline]
    pub fn pass_utf(&mut self) -> Decoded<usize> {
        let start = self.offset();
        let len = self.u16()?;
        let bytes = self.take(usize::from(len))?;
        match java_str::is_valid(bytes) {
            true => Ok(bytes.len()),
            false => Err(self.not_utf(start)),
        }
    }

    #[cold]
    fn not_utf(&self, start: u64) -> Box<DecodeError> {
        self.invalid_at(start, "a string that is not modified UTF-8")
    }

    /// A count of items, each of which takes at least `min_size` bytes of input.
    ///
    /// Refuses a negative count and one that the rest of the input cannot hold, so that the caller may reserve by
    /// it. `what` names the items in the error.
    #[inline]
    pub fn count(&mut self, what: &'static str, min_size: usize) -> Decoded<usize> {
        let start = self.offset();
        let count = self.i32()?;
        let left = self.rest.len();
        match usize::try_from(count) {
            Ok(n) if n.saturating_mul(min_size) <= left => Ok(n),
            _ => Err(self.error_at(start, Problem::ImpossibleCount { what, count: count.into(), left: left as u64 })),
        }
    }

    /// A 32-bit length and that many bytes.
    #[inline]
    pub fn bytes(&mut self, what: &'static str) -> Decoded<&'a [u8]> {
        let len = self.count(what, 1)?;
        self.take(len)
    }
}

/// Collects what `java.io.DataOutput` would write.
#[derive(Default)]
pub struct Writer {
    out: Vec<u8>,
}

impl Writer {
    /// An empty output.
    pub fn new() -> Self {
        Self::default()
    }

    /// The bytes written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// `DataOutput.writeByte`.
    pub fn u8(&mut self, value: u8) {
        self.out.push(value);
    }

    /// `DataOutput.writeInt`.
    pub fn i32(&mut self, value: i32) {
        put::i32(&mut self.out, value);
    }

    /// `DataOutput.writeLong`.
    pub fn i64(&mut self, value: i64) {
        put::i64(&mut self.out, value);
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// `DataOutput.writeUTF`. Fails as Java does (`UTFDataFormatException`) on more than 65,535 bytes.
    pub fn utf(&mut self, value: &JavaStr<'_>) -> Result<(), EncodeError> {
        put::utf(&mut self.out, value)
    }

    /// A count as a 32-bit integer.
    pub fn count(&mut self, what: &'static str, count: usize) -> Result<(), EncodeError> {
        put::count(&mut self.out, what, count)
    }

    /// A 32-bit length and the bytes.
    pub fn bytes(&mut self, what: &'static str, bytes: &[u8]) -> Result<(), EncodeError> {
        put::bytes(&mut self.out, what, bytes)
    }
}

/// Why a model could not be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// `DataOutput.writeUTF` holds at most 65,535 bytes.
    #[error("a string of {bytes} bytes does not fit the format (at most 65,535)")]
    StringTooLong {
        /// Length in modified UTF-8.
        bytes: usize,
    },
    /// A list longer than a Java `int` counts.
    #[error("{count} {what} do not fit the format")]
    TooMany {
        /// What is counted.
        what: &'static str,
        /// How many.
        count: usize,
    },
    /// The model holds something that the chosen version of the format has no place for.
    #[error("metadata version {version} has no place for {what}")]
    NotInVersion {
        /// The version asked for.
        version: u32,
        /// What it cannot hold.
        what: &'static str,
    },
    /// A value that the serializer of its type refuses to write.
    #[error("a value that cannot be written: {0}")]
    Unserializable(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_field_names_its_section_and_offset() {
        let mut reader = Reader::new(&[0, 0, 0, 1, 9], "head");
        assert_eq!(reader.i32(), Ok(1));
        reader.enter("checkpoint id");
        let error = reader.i64().map_err(|e| e.to_string());
        assert_eq!(
            error,
            Err("checkpoint id, byte 4: the file ends here: 8 more bytes were expected, 1 are left".to_owned())
        );
    }

    #[test]
    fn a_count_is_refused_when_the_input_cannot_hold_it() {
        let bytes = [0x7f, 0xff, 0xff, 0xff, 1, 2, 3];
        assert!(matches!(
            Reader::new(&bytes, "x").count("items", 1).map_err(|e| e.problem),
            Err(Problem::ImpossibleCount { count: 0x7fff_ffff, left: 3, .. })
        ));
        let negative = [0xff; 4];
        assert!(Reader::new(&negative, "x").count("items", 0).is_err());
    }

    #[test]
    fn strings_longer_than_java_can_write_are_refused() {
        let long = "x".repeat(65_536);
        assert_eq!(Writer::new().utf(&JavaStr::from(long.as_str())), Err(EncodeError::StringTooLong { bytes: 65_536 }));
    }
}
