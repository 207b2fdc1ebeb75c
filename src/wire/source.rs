//! Bytes that are not all in memory: where deep readers take a state file from.
//!
//! A reader of a state file asks for ranges and keeps what it needs of them; it never asks how large the file is to
//! reserve by it. Files, parts of merged files and state that is kept in line all are a [`ReadAt`].

use super::DecodeError;
use std::fmt;
use std::io;

/// Bytes that can be read from any offset.
pub trait ReadAt: Send + Sync {
    /// How many bytes there are.
    fn size(&self) -> u64;

    /// Reads from `offset` until `out` is full or the bytes end, and says how many it read.
    ///
    /// # Errors
    /// When the storage fails. Fewer bytes than asked for are no error: the bytes end there.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize>;
}

impl ReadAt for &[u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..)).unwrap_or_default();
        let count = rest.len().min(out.len());
        if let (Some(out), Some(bytes)) = (out.get_mut(..count), rest.get(..count)) {
            out.copy_from_slice(bytes);
        }
        Ok(count)
    }
}

/// A range of other bytes, such as a segment of a merged file. Offsets count from the start of the range.
pub struct Part<'s> {
    whole: &'s dyn ReadAt,
    start: u64,
    size: u64,
}

impl<'s> Part<'s> {
    /// `size` bytes from `start` on, or fewer where the bytes end before.
    pub fn new(whole: &'s dyn ReadAt, start: u64, size: u64) -> Self {
        Part { whole, start, size: size.min(whole.size().saturating_sub(start)) }
    }
}

impl ReadAt for Part<'_> {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let left = self.size.saturating_sub(offset);
        let count = out.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        match out.get_mut(..count) {
            Some(out) if count > 0 => self.whole.read_at(self.start.saturating_add(offset), out),
            _ => Ok(0),
        }
    }
}

/// Why a state file could not be read to its end.
#[derive(Debug)]
pub enum ReadError {
    /// The storage failed, which says nothing about the bytes.
    Io(io::Error),
    /// The bytes are not what the format says.
    Damaged(Box<DecodeError>),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Io(error) => error.fmt(f),
            ReadError::Damaged(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ReadError {}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        ReadError::Io(error)
    }
}

impl From<Box<DecodeError>> for ReadError {
    fn from(error: Box<DecodeError>) -> Self {
        ReadError::Damaged(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_ends_where_it_ends_and_where_the_whole_does() {
        let whole: &[u8] = b"0123456789";
        let mut out = [0; 8];
        let part = Part::new(&whole, 4, 3);
        assert_eq!((part.size(), part.read_at(1, &mut out).ok(), &out[..2]), (3, Some(2), &b"56"[..]));
        let part = Part::new(&whole, 8, 100);
        assert_eq!((part.size(), part.read_at(0, &mut out).ok(), &out[..2]), (2, Some(2), &b"89"[..]));
        assert_eq!(Part::new(&whole, 100, 1).read_at(0, &mut out).ok(), Some(0));
        assert_eq!(part.read_at(u64::MAX, &mut out).ok(), Some(0));
    }
}
