//! What the readers of values ask of their bytes, whether these are in memory ([`Reader`]) or come from a file piece by
//! piece ([`Stream`](super::stream::Stream)).

use super::{DecodeError, Problem, Reader};
use std::fmt;

/// A cursor that reads what `java.io.DataInput` would and passes over bytes without keeping them.
pub trait Input {
    /// Why bytes could not be read.
    type Error: From<Box<DecodeError>>;

    /// Offset of the next byte from the start of the input.
    fn offset(&self) -> u64;

    /// Bytes not yet read; at most so many where that is not known before they are (compressed input).
    fn left(&self) -> u64;

    /// Bytes that are at hand, from the next one on: none at the end of the input, else at least one.
    fn window(&mut self) -> Result<&[u8], Self::Error>;

    /// Passes over bytes.
    fn skip(&mut self, count: u64) -> Result<(), Self::Error>;

    /// `DataInput.readUnsignedByte`.
    fn u8(&mut self) -> Result<u8, Self::Error>;

    /// `DataInput.readUnsignedShort`.
    fn u16(&mut self) -> Result<u16, Self::Error>;

    /// `DataInput.readInt`.
    fn i32(&mut self) -> Result<i32, Self::Error>;

    /// `DataInput.readLong`.
    fn i64(&mut self) -> Result<i64, Self::Error>;

    /// An error at a byte.
    fn error_at(&self, offset: u64, problem: Problem) -> Self::Error;

    /// Takes note of something that no writer of Flink's writes and every reader of it takes. Nobody has to listen.
    fn odd(&mut self, offset: u64, what: &'static str) {
        let _ = (offset, what);
    }

    /// An [`Problem::Invalid`] error at `offset`.
    #[cold]
    fn invalid_at(&self, offset: u64, what: impl fmt::Display) -> Self::Error {
        self.error_at(offset, Problem::Invalid(what.to_string()))
    }

    /// A count of items of at least `min_size` bytes each, which the bytes left can hold.
    #[inline]
    fn count(&mut self, what: &'static str, min_size: usize) -> Result<u64, Self::Error> {
        let start = self.offset();
        let count = self.i32()?;
        let left = self.left();
        match u64::try_from(count) {
            Ok(n) if n.saturating_mul(min_size as u64) <= left => Ok(n),
            _ => Err(self.error_at(start, Problem::ImpossibleCount { what, count: count.into(), left })),
        }
    }

    /// A flag as `DataOutput.writeBoolean` writes it: 0 or 1, of which every other number reads as the latter.
    #[inline]
    fn flag(&mut self) -> Result<bool, Self::Error> {
        let at = self.offset();
        let byte = self.u8()?;
        if byte > 1 {
            self.odd(at, "a boolean that is neither 0 nor 1");
        }
        Ok(byte != 0)
    }
}

impl Input for Reader<'_> {
    type Error = Box<DecodeError>;

    #[inline]
    fn offset(&self) -> u64 {
        Reader::offset(self)
    }

    #[inline]
    fn left(&self) -> u64 {
        Reader::left(self) as u64
    }

    #[inline]
    fn window(&mut self) -> Result<&[u8], Self::Error> {
        Ok(self.rest())
    }

    #[inline]
    fn skip(&mut self, count: u64) -> Result<(), Self::Error> {
        self.take(usize::try_from(count).unwrap_or(usize::MAX)).map(|_| ())
    }

    #[inline]
    fn u8(&mut self) -> Result<u8, Self::Error> {
        Reader::u8(self)
    }

    #[inline]
    fn u16(&mut self) -> Result<u16, Self::Error> {
        Reader::u16(self)
    }

    #[inline]
    fn i32(&mut self) -> Result<i32, Self::Error> {
        Reader::i32(self)
    }

    #[inline]
    fn i64(&mut self) -> Result<i64, Self::Error> {
        Reader::i64(self)
    }

    fn error_at(&self, offset: u64, problem: Problem) -> Self::Error {
        Reader::error_at(self, offset, problem)
    }
}
