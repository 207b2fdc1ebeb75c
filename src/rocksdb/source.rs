//! Reading in large steps, in order, into one buffer that is used again.

use crate::wire::ReadAt;
use std::io;

/// What is read at once: large enough for any storage, small enough to stay in the cache of a core.
const STEP: usize = 256 << 10;

/// A buffer over a part of a source that moves on as it is asked for.
pub(super) struct Window<'s> {
    source: &'s dyn ReadAt,
    size: u64,
    start: u64,
    filled: usize,
    buffer: Vec<u8>,
}

impl<'s> Window<'s> {
    pub(super) fn new(source: &'s dyn ReadAt) -> Self {
        Window { source, size: source.size(), start: 0, filled: 0, buffer: Vec::new() }
    }

    /// `len` bytes at `offset`, or nothing where the source ends before. The caller bounds `len`.
    #[inline]
    pub(super) fn get(&mut self, offset: u64, len: usize) -> io::Result<Option<&[u8]>> {
        if self.position(offset, len).is_none() && !self.fill(offset, len)? {
            return Ok(None);
        }
        let range = self.position(offset, len);
        Ok(range.and_then(|(from, to)| self.buffer.get(from..to)))
    }

    #[inline]
    fn position(&self, offset: u64, len: usize) -> Option<(usize, usize)> {
        let from = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        let to = from.checked_add(len)?;
        (to <= self.filled).then_some((from, to))
    }

    fn fill(&mut self, offset: u64, len: usize) -> io::Result<bool> {
        match offset.checked_add(len as u64) {
            Some(end) if end <= self.size => {}
            _ => return Ok(false),
        }
        // What is left of the last step is kept, so that no byte is read twice in order.
        let kept = match self.position(offset, 0) {
            Some((from, _)) => {
                self.buffer.copy_within(from..self.filled, 0);
                self.filled.saturating_sub(from)
            }
            None => 0,
        };
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = len.max(STEP).min(left);
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        (self.start, self.filled) = (offset, kept);
        if let Some(rest) = self.buffer.get_mut(kept..wanted) {
            let count = self.source.read_at(offset.saturating_add(kept as u64), rest)?;
            self.filled = kept.saturating_add(count);
        }
        Ok(self.filled >= len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_gives_any_range_in_any_order() {
        let bytes: Vec<u8> = (0..700_000_u32).map(|at| (at % 251) as u8).collect();
        let source: &[u8] = &bytes;
        let mut window = Window::new(&source);
        for (offset, len) in [(0, 10), (262_000, 4_000), (266_000, 400_000), (5, 3), (699_999, 1), (0, 700_000)] {
            let got = window.get(offset as u64, len).expect("memory").expect("inside");
            assert!(got == &bytes[offset..offset + len], "{offset} {len}");
        }
        assert!(window.get(699_999, 2).expect("memory").is_none());
        assert!(window.get(u64::MAX, 2).expect("memory").is_none());
    }
}
