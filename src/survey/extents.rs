//! Which bytes of a file are meant, by one handle or by many.

use super::references::Extent;

/// Ranges of bytes of one file: sorted, none empty, none touching another.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extents(Vec<(u64, u64)>);

impl Extents {
    /// The bytes that any of the extents means. One whose size is not known, or that has none, means none.
    pub fn of(extents: impl IntoIterator<Item = Extent>) -> Self {
        let range = |extent: Extent| {
            let start = match extent {
                Extent::Whole(_) => 0,
                Extent::Segment { start, .. } => u64::try_from(start).ok()?,
            };
            Some((start, start.saturating_add(extent.bytes())))
        };
        Self::union(extents.into_iter().filter_map(range).collect())
    }

    fn union(mut ranges: Vec<(u64, u64)>) -> Self {
        ranges.retain(|(start, end)| start < end);
        ranges.sort_unstable();
        let mut merged: Vec<(u64, u64)> = Vec::with_capacity(ranges.len());
        for (start, end) in ranges {
            match merged.last_mut() {
                Some(last) if start <= last.1 => last.1 = last.1.max(end),
                _ => merged.push((start, end)),
            }
        }
        Extents(merged)
    }

    /// What is meant by either.
    pub fn with(&self, other: &Self) -> Self {
        Self::union(self.0.iter().chain(&other.0).copied().collect())
    }

    /// How many bytes there are.
    pub fn bytes(&self) -> u64 {
        self.0.iter().fold(0, |sum, (start, end)| sum.saturating_add(end - start))
    }

    /// How many bytes are in both.
    pub fn common_bytes(&self, other: &Self) -> u64 {
        let (mut left, mut right) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut bytes = 0_u64;
        while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
            bytes = bytes.saturating_add(a.1.min(b.1).saturating_sub(a.0.max(b.0)));
            if a.1 <= b.1 {
                left.next();
            } else {
                right.next();
            }
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(list: &[(i64, i64)]) -> Extents {
        Extents::of(list.iter().map(|(start, size)| Extent::Segment { start: *start, size: *size }))
    }

    #[test]
    fn bytes_that_two_handles_mean_count_once() {
        let all = segments(&[(10, 5), (0, 10), (12, 8), (30, 10), (30, 10), (50, 0)]);
        assert_eq!((all.bytes(), all.clone()), (30, segments(&[(0, 20), (30, 10)])));
        assert_eq!(Extents::of([Extent::Whole(7), Extent::Whole(-1)]).bytes(), 7);
    }

    #[test]
    fn what_two_snapshots_have_in_common_is_what_both_mean() {
        let (a, b) = (segments(&[(0, 20), (30, 10), (100, 5)]), segments(&[(15, 20), (38, 70)]));
        assert_eq!((a.common_bytes(&b), b.common_bytes(&a)), (5 + 5 + 2 + 5, 17));
        assert_eq!(a.with(&b), segments(&[(0, 108)]));
        assert_eq!(a.common_bytes(&Extents::default()), 0);
    }

    #[test]
    fn numbers_that_no_file_has_do_no_harm() {
        let wild = segments(&[(i64::MAX, i64::MAX), (-5, 10), (i64::MIN, i64::MIN), (3, -1)]);
        assert_eq!(wild.bytes(), i64::MAX as u64);
    }
}
