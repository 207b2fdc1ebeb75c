//! Key groups and how Flink divides them over subtasks.

use serde::ser::{Serialize, SerializeTuple, Serializer};
use std::fmt;

/// A range of key groups as handles store it: first group and count (`KeyGroupRange`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyGroupRange {
    /// The first key group.
    pub start: i32,
    /// How many there are.
    pub count: i32,
}

impl KeyGroupRange {
    /// First and last key group, as Flink shows a range; an empty one is 0 to −1 (`KeyGroupRange.of`).
    pub fn bounds(self) -> (i32, i32) {
        let last = i64::from(self.start) + i64::from(self.count) - 1;
        match i32::try_from(last) {
            Ok(last) if self.start <= last => (self.start, last),
            _ => (0, -1),
        }
    }

    /// Whether there is no key group in it.
    pub fn is_empty(self) -> bool {
        let (first, last) = self.bounds();
        first > last
    }

    /// Whether a key group is one of them.
    pub fn has(self, group: u16) -> bool {
        i64::from(group).checked_sub(self.start.into()).is_some_and(|at| (0..i64::from(self.count)).contains(&at))
    }

    /// The key groups of subtask `index` of `parallelism`
    /// (`KeyGroupRangeAssignment.computeKeyGroupRangeForOperatorIndex`); `None` where the numbers make no sense.
    pub fn of_subtask(max_parallelism: i32, parallelism: i32, index: i32) -> Option<Self> {
        let (max, par, index) = (i64::from(max_parallelism), i64::from(parallelism), i64::from(index));
        if par < 1 || max < par || !(0..par).contains(&index) {
            return None;
        }
        let start = (index * max + par - 1) / par;
        let end = ((index + 1) * max - 1) / par;
        Some(KeyGroupRange { start: i32::try_from(start).ok()?, count: i32::try_from(end - start + 1).ok()? })
    }
}

impl fmt::Display for KeyGroupRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = self.bounds();
        if first > last { f.write_str("none") } else { write!(f, "{first}-{last}") }
    }
}

impl Serialize for KeyGroupRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (first, last) = self.bounds();
        let mut pair = serializer.serialize_tuple(2)?;
        pair.serialize_element(&first)?;
        pair.serialize_element(&last)?;
        pair.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subtasks_share_all_key_groups_between_them() {
        for (max, par) in [(128, 1), (128, 2), (128, 3), (128, 128), (32_768, 500), (7, 5)] {
            let mut next = 0;
            for index in 0..par {
                let range = KeyGroupRange::of_subtask(max, par, index).expect("a valid subtask");
                assert_eq!(range.start, next, "{max} groups, subtask {index} of {par}");
                next = range.start + range.count;
            }
            assert_eq!(next, max);
        }
        assert_eq!(KeyGroupRange::of_subtask(128, 2, 1).map(|r| r.bounds()), Some((64, 127)));
        assert_eq!(KeyGroupRange::of_subtask(2, 3, 0), None, "more subtasks than key groups");
    }

    #[test]
    fn a_range_that_wraps_is_empty_as_in_flink() {
        assert_eq!(KeyGroupRange { start: 5, count: 0 }.bounds(), (0, -1));
        assert_eq!(KeyGroupRange { start: i32::MAX, count: i32::MAX }.bounds(), (0, -1));
    }
}
