//! A cursor over bytes that are not in memory: what [`Reader`](super::Reader) is for a slice, with one buffer whose size
//! does not depend on the input.
//!
//! The bytes come from a [`Fill`]: a range of a file, or something that makes them from one, such as a decompressor.

use super::input::Input;
use super::source::{ReadAt, ReadError};
use super::{DecodeError, Problem};

/// Where the bytes of a [`Stream`] come from.
pub trait Fill {
    /// Puts bytes that stand at `offset` of the stream, at least one unless the stream ends there, and says how many.
    ///
    /// # Errors
    /// When the storage fails, or there is no telling what the bytes are.
    fn fill(&mut self, offset: u64, out: &mut [u8]) -> Result<usize, ReadError>;
}

/// The bytes of a source as they are; `progress` hears how many more were read.
pub struct Plain<'s> {
    source: &'s dyn ReadAt,
    progress: &'s dyn Fn(u64),
    /// What was reported, so that bytes that are read again are not.
    reported: u64,
}

impl<'s> Plain<'s> {
    /// All of the source.
    pub fn new(source: &'s dyn ReadAt, progress: &'s dyn Fn(u64)) -> Self {
        Plain { source, progress, reported: 0 }
    }
}

impl Fill for Plain<'_> {
    fn fill(&mut self, offset: u64, out: &mut [u8]) -> Result<usize, ReadError> {
        let count = self.source.read_at(offset, out)?.min(out.len());
        let end = offset.saturating_add(count as u64);
        if end > self.reported {
            (self.progress)(end.saturating_sub(self.reported));
            self.reported = end;
        }
        Ok(count)
    }
}

/// How much a stream reads at once: enough that the calls do not matter, little enough to stay in a processor's cache.
pub const BUFFER: usize = 256 << 10;
/// How many oddities are kept.
const ODD: usize = 100;

/// A cursor with a buffer.
pub struct Stream<F> {
    fill: F,
    buffer: Box<[u8]>,
    /// The next byte in the buffer.
    at: usize,
    /// Bytes in the buffer.
    filled: usize,
    /// Offset of the first byte in the buffer.
    base: u64,
    /// Offset behind the last byte that may be read.
    end: u64,
    section: &'static str,
    odd: Vec<(u64, &'static str)>,
}

impl<'s> Stream<Plain<'s>> {
    /// A cursor at the start of a source.
    pub fn over(source: &'s dyn ReadAt, section: &'static str, progress: &'s dyn Fn(u64)) -> Self {
        Stream::new(Plain::new(source, progress), source.size(), section)
    }

    /// Goes to `offset`, of which `end` is the end of what may be read from there on.
    pub fn seek(&mut self, offset: u64, end: u64) {
        self.end = end.max(offset);
        let inside = offset.checked_sub(self.base).and_then(|at| usize::try_from(at).ok());
        match inside.filter(|at| *at <= self.filled) {
            Some(at) => self.at = at,
            None => {
                (self.base, self.at, self.filled) = (offset, 0, 0);
            }
        }
    }
}

impl<F: Fill> Stream<F> {
    /// A cursor over what `fill` gives, which is `end` bytes or less.
    pub fn new(fill: F, end: u64, section: &'static str) -> Self {
        let buffer = vec![0; BUFFER].into_boxed_slice();
        Stream { fill, buffer, at: 0, filled: 0, base: 0, end, section, odd: Vec::new() }
    }

    /// Starts anew with other bytes, keeping the buffer.
    pub fn reset(&mut self, end: u64) -> &mut F {
        (self.at, self.filled, self.base, self.end) = (0, 0, 0, end);
        &mut self.fill
    }

    /// Where the bytes come from.
    pub fn filler(&self) -> &F {
        &self.fill
    }

    /// Where the bytes come from.
    pub fn filler_mut(&mut self) -> &mut F {
        &mut self.fill
    }

    /// Sets where the stream ends, and gives where it ended before.
    pub fn limit(&mut self, end: u64) -> u64 {
        std::mem::replace(&mut self.end, end)
    }

    /// Names the section that the following reads belong to, for errors.
    pub fn enter(&mut self, section: &'static str) {
        self.section = section;
    }

    /// What was noted by [`Input::odd`] since the last call.
    pub fn take_odd(&mut self) -> Vec<(u64, &'static str)> {
        std::mem::take(&mut self.odd)
    }

    /// Whether something was noted.
    #[inline]
    pub fn has_odd(&self) -> bool {
        !self.odd.is_empty()
    }

    /// Bytes at hand.
    #[inline]
    pub fn at_hand(&self) -> &[u8] {
        let most = usize::try_from(self.end.saturating_sub(self.base)).unwrap_or(usize::MAX);
        self.buffer.get(self.at..self.filled.min(most)).unwrap_or_default()
    }

    /// Passes over bytes that are at hand.
    #[inline]
    pub fn advance(&mut self, count: usize) {
        self.at = self.at.saturating_add(count).min(self.filled);
    }

    /// Makes `count` bytes be at hand, or as many as there are; no more than half a buffer.
    ///
    /// # Errors
    /// When they cannot be had.
    #[cold]
    #[inline(never)]
    pub fn gather(&mut self, count: usize) -> Result<(), ReadError> {
        while self.at_hand().len() < count.min(BUFFER / 2) {
            if self.offset().saturating_add(self.at_hand().len() as u64) >= self.end {
                return Ok(());
            }
            self.buffer.copy_within(self.at..self.filled, 0);
            self.base = self.base.saturating_add(self.at as u64);
            self.filled = self.filled.saturating_sub(self.at);
            self.at = 0;
            let next = self.base.saturating_add(self.filled as u64);
            let got = match self.buffer.get_mut(self.filled..) {
                Some(room) => self.fill.fill(next, room)?,
                None => 0,
            };
            if got == 0 {
                self.end = next;
                return Ok(());
            }
            self.filled = self.filled.saturating_add(got);
        }
        Ok(())
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], ReadError> {
        if let Some(bytes) = self.at_hand().first_chunk::<N>() {
            let bytes = *bytes;
            self.at = self.at.saturating_add(N);
            return Ok(bytes);
        }
        self.slow_array()
    }

    #[cold]
    fn slow_array<const N: usize>(&mut self) -> Result<[u8; N], ReadError> {
        self.gather(N)?;
        match self.at_hand().first_chunk::<N>() {
            Some(bytes) => {
                let bytes = *bytes;
                self.at = self.at.saturating_add(N);
                Ok(bytes)
            }
            None => Err(self.short(N as u64)),
        }
    }

    #[cold]
    fn short(&self, wanted: u64) -> ReadError {
        self.error_at(self.offset(), Problem::Truncated { wanted, left: self.left() })
    }

    /// Copies the next bytes.
    ///
    /// # Errors
    /// When there are less.
    pub fn copy(&mut self, out: &mut [u8]) -> Result<(), ReadError> {
        if self.left() < out.len() as u64 {
            return Err(self.short(out.len() as u64));
        }
        let mut done = 0;
        while done < out.len() {
            let wanted = out.len().saturating_sub(done);
            let bytes = self.window()?;
            let count = bytes.len().min(wanted);
            if count == 0 {
                return Err(self.short(wanted as u64));
            }
            if let (Some(to), Some(from)) = (out.get_mut(done..).and_then(|o| o.get_mut(..count)), bytes.get(..count)) {
                to.copy_from_slice(from);
            }
            self.advance(count);
            done = done.saturating_add(count);
        }
        Ok(())
    }
}

impl<F: Fill> Input for Stream<F> {
    type Error = ReadError;

    #[inline]
    fn offset(&self) -> u64 {
        self.base.saturating_add(self.at as u64)
    }

    #[inline]
    fn left(&self) -> u64 {
        self.end.saturating_sub(self.offset())
    }

    #[inline]
    fn window(&mut self) -> Result<&[u8], ReadError> {
        if self.at_hand().is_empty() {
            self.gather(1)?;
        }
        Ok(self.at_hand())
    }

    #[inline]
    fn skip(&mut self, count: u64) -> Result<(), ReadError> {
        match usize::try_from(count) {
            Ok(count) if count <= self.at_hand().len() => {
                self.at = self.at.saturating_add(count);
                Ok(())
            }
            _ => self.slow_skip(count),
        }
    }

    #[inline]
    fn u8(&mut self) -> Result<u8, ReadError> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    #[inline]
    fn u16(&mut self) -> Result<u16, ReadError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    #[inline]
    fn i32(&mut self) -> Result<i32, ReadError> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    #[inline]
    fn i64(&mut self) -> Result<i64, ReadError> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    #[cold]
    fn error_at(&self, offset: u64, problem: Problem) -> ReadError {
        ReadError::Damaged(Box::new(DecodeError { section: self.section.to_owned(), offset, problem }))
    }

    #[cold]
    fn odd(&mut self, offset: u64, what: &'static str) {
        if self.odd.len() < ODD {
            self.odd.push((offset, what));
        }
    }
}

impl<F: Fill> Stream<F> {
    #[cold]
    fn slow_skip(&mut self, count: u64) -> Result<(), ReadError> {
        if count > self.left() {
            return Err(self.short(count));
        }
        let mut wanted = count;
        while wanted > 0 {
            let at_hand = self.window()?.len();
            if at_hand == 0 {
                return Err(self.short(wanted));
            }
            let step = at_hand.min(usize::try_from(wanted).unwrap_or(usize::MAX));
            self.advance(step);
            wanted = wanted.saturating_sub(step as u64);
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::expect_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "tests may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_stream_reads_what_a_reader_would_over_the_edges_of_its_buffer() {
        let bytes: Vec<u8> = (0..BUFFER * 2 + 100).map(|at| (at % 251) as u8).collect();
        let seen = std::cell::Cell::new(0);
        let progress = |more| seen.set(seen.get() + more);
        let source = bytes.as_slice();
        let mut stream = Stream::over(&source, "test", &progress);
        stream.skip(BUFFER as u64 - 3).expect("inside");
        let mut reader = super::super::Reader::new(&bytes[BUFFER - 3..], "test");
        assert_eq!(stream.i64().expect("inside"), reader.i64().expect("inside"));
        stream.skip(BUFFER as u64 + 90).expect("inside");
        assert_eq!((stream.offset(), stream.left()), (bytes.len() as u64 - 5, 5));
        let error = stream.i64().expect_err("five bytes are no long").to_string();
        assert!(error.contains("8 more bytes were expected, 5 are left"), "{error}");
        assert!(stream.skip(6).is_err() && stream.skip(5).is_ok());
        assert_eq!(seen.get(), bytes.len() as u64);
        stream.seek(7, 9);
        assert_eq!(stream.u16().expect("two bytes"), 0x0708);
        assert!(stream.u8().is_err(), "the end of the range");
    }

    #[test]
    fn a_file_that_is_shorter_than_it_says_ends_where_it_ends() {
        struct Liar;
        impl ReadAt for Liar {
            fn size(&self) -> u64 {
                1 << 40
            }
            fn read_at(&self, offset: u64, out: &mut [u8]) -> std::io::Result<usize> {
                Ok(if offset == 0 { out.len().min(10) } else { 0 })
            }
        }
        let mut stream = Stream::over(&Liar, "test", &|_| {});
        assert!(stream.skip(1 << 30).is_err());
        assert_eq!(stream.left(), 0);
    }
}
