//! The bytes of a task, counted for the progress bar and cut off when the time is over.

use crate::survey::Progress;
use crate::wire::ReadAt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Until when to read, and who hears of it.
pub struct Limits<'s> {
    pub progress: &'s dyn Progress,
    deadline: Option<Instant>,
}

impl<'s> Limits<'s> {
    pub fn new(progress: &'s dyn Progress) -> Self {
        Limits { progress, deadline: None }
    }

    pub fn until(self, deadline: Option<Instant>) -> Self {
        Limits { deadline, ..self }
    }

    /// Whether the time is over.
    pub fn over(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// A count of what one task reads.
    pub fn counted(&self) -> Counted<'_> {
        Counted { limits: self, bytes: AtomicU64::new(0) }
    }
}

/// What one task has read.
pub struct Counted<'l> {
    limits: &'l Limits<'l>,
    bytes: AtomicU64,
}

impl<'l> Counted<'l> {
    /// Whether the time is over.
    pub fn over(&self) -> bool {
        self.limits.over()
    }

    /// The same bytes, counted.
    pub fn source<'c>(&'c self, inner: &'c dyn ReadAt) -> CountedSource<'c> {
        CountedSource { inner, counted: self }
    }

    /// Tells the rest of `size` bytes as done.
    pub fn settle(&self, size: u64) {
        self.limits.progress.advance(size.saturating_sub(self.bytes.load(Ordering::Relaxed)));
    }
}

/// Bytes that are counted as they are read.
pub struct CountedSource<'c> {
    inner: &'c dyn ReadAt,
    counted: &'c Counted<'c>,
}

impl ReadAt for CountedSource<'_> {
    fn size(&self) -> u64 {
        self.inner.size()
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        if self.counted.over() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the time for this run is over"));
        }
        let count = self.inner.read_at(offset, out)?;
        let before = self.counted.bytes.fetch_add(count as u64, Ordering::Relaxed);
        // A part that is read twice must not draw the bar beyond its end.
        let left = self.inner.size().saturating_sub(before);
        self.counted.limits.progress.advance(left.min(count as u64));
        Ok(count)
    }
}
