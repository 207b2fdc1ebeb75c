//! Where the pieces of a stream end: handles only say where they start.

use crate::wire::{Decoded, Problem, Reader};
use std::ops::Range;

/// The range of each piece that starts at one of the offsets: up to the next larger one, or to the end.
///
/// An offset of 0, which is in the head, stands for a key group without entries in the canonical format; its range is
/// empty. Offsets that lie outside of the stream give ranges that do too, and reading them is an error.
pub fn ranges(offsets: &[i64], length: usize) -> Vec<Range<u64>> {
    let mut starts: Vec<i64> = offsets.to_vec();
    starts.sort_unstable();
    let of = |&offset: &i64| {
        let Ok(start) = u64::try_from(offset) else { return u64::MAX..u64::MAX };
        if start == 0 {
            return 0..0;
        }
        let next = starts.get(starts.partition_point(|other| *other <= offset));
        start..next.and_then(|next| u64::try_from(*next).ok()).unwrap_or(length as u64)
    };
    offsets.iter().map(of).collect()
}

/// A reader at the start of the range that ends with it, and whose offsets count from the start of the stream.
pub(super) fn reader<'a>(bytes: &'a [u8], range: &Range<u64>, section: &'static str) -> Decoded<Reader<'a>> {
    let whole = Reader::new(bytes, section);
    let outside = || {
        let left = bytes.len() as u64;
        whole.error_at(range.start, Problem::Truncated { wanted: range.end.saturating_sub(range.start), left })
    };
    let start = usize::try_from(range.start).map_err(|_| outside())?;
    let end = usize::try_from(range.end).map_err(|_| outside())?;
    let mut reader = Reader::new(bytes.get(..end).ok_or_else(outside)?, section);
    reader.take(start)?;
    Ok(reader)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_ends_where_the_next_one_starts() {
        assert_eq!(ranges(&[30, 0, 10, 30, -1], 40), [30..40, 0..0, 10..30, 30..40, u64::MAX..u64::MAX]);
    }

    #[test]
    fn a_range_outside_of_the_stream_is_an_error() {
        let bytes = [1, 2, 3, 4];
        assert_eq!(reader(&bytes, &(1..3), "x").map(|r| (r.offset(), r.left())), Ok((1, 2)));
        for range in [5..6, 0..5, Range { start: 3, end: 2 }, u64::MAX..u64::MAX] {
            assert!(reader(&bytes, &range, "x").is_err(), "{range:?}");
        }
    }
}
