//! Values that are beyond any doubt, passed over in the bytes at hand: what makes the walks over entries fast.
//!
//! [`Steps::pass`] says that bytes start with such values, and nothing else; whatever does not, or is not at hand as a whole,
//! goes through [`SerializerSnapshot::skip_value`], which finds out what is wrong.

use crate::state::key_group::HashesOfGroup;
use crate::state::serializer::{Piece, SerializerSnapshot};
use crate::state::types::{java_hash_of_ascii, java_hash_of_word};

/// What to do with the next bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Skip(usize),
    Zero,
    Flag,
    Text,
    Items(usize),
    /// Parts of the key, whose hash tells the key group.
    KeyText,
    KeyInt,
    KeyLong,
    /// The key is whole.
    KeyEnd,
}

/// Values one after the other.
#[derive(Debug, Clone, Default)]
pub(super) struct Steps(Vec<Step>);

/// The most common entry: a word as the key, with so many bytes before and behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) before: usize,
    /// Whether the one byte before is 0.
    pub(super) zero: bool,
    pub(super) behind: usize,
    /// Whether the one byte behind is 0.
    pub(super) zero_behind: bool,
}

impl Steps {
    fn push(&mut self, step: Step) {
        match (self.0.last_mut(), step) {
            (Some(Step::Skip(before)), Step::Skip(more)) => *before = before.saturating_add(more),
            _ => self.0.push(step),
        }
    }

    /// Adds bytes that can be anything.
    pub(super) fn skip(&mut self, count: usize) {
        self.push(Step::Skip(count));
    }

    /// Adds a byte that says whether there is a null.
    pub(super) fn not_null(&mut self) {
        self.push(Step::Zero);
    }

    /// Adds a value; `None` where its type is none to hurry with.
    pub(super) fn value(&mut self, serializer: &SerializerSnapshot) -> Option<()> {
        for piece in serializer.pieces()? {
            self.push(match piece {
                Piece::Text => Step::Text,
                Piece::Zero => Step::Zero,
                Piece::Flag => Step::Flag,
                Piece::Int => Step::Skip(4),
                Piece::Long => Step::Skip(8),
                Piece::Bytes(count) => Step::Skip(count),
                Piece::Items(width) => Step::Items(width),
            });
        }
        Some(())
    }

    /// Adds a key.
    pub(super) fn key(&mut self, serializer: &SerializerSnapshot) -> Option<()> {
        if !serializer.is_hashable() {
            return self.value(serializer);
        }
        // The hash of a tuple within a tuple is made for itself.
        if serializer.nested().iter().any(|part| !part.nested().is_empty()) {
            return None;
        }
        for piece in serializer.pieces()? {
            self.push(match piece {
                Piece::Text => Step::KeyText,
                Piece::Int => Step::KeyInt,
                Piece::Long => Step::KeyLong,
                _ => return None,
            });
        }
        self.push(Step::KeyEnd);
        Some(())
    }

    /// The same as a [`Row`], if it is one.
    pub(super) fn row(&self) -> Option<Row> {
        let (before, rest) = match self.0.as_slice() {
            [before @ (Step::Skip(_) | Step::Zero), rest @ ..] => (Some(*before), rest),
            rest => (None, rest),
        };
        let [Step::KeyText, Step::KeyEnd, behind @ ..] = rest else { return None };
        let fixed = |step: Option<Step>| match step {
            None => Some((0, false)),
            Some(Step::Zero) => Some((1, true)),
            Some(Step::Skip(count)) => Some((count, false)),
            Some(_) => None,
        };
        let ((before, zero), (behind, zero_behind)) = match behind {
            [] => (fixed(before)?, (0, false)),
            [behind] => (fixed(before)?, fixed(Some(*behind))?),
            _ => return None,
        };
        Some(Row { before, zero, behind, zero_behind })
    }

    /// Bytes of every value, where these can be anything.
    pub(super) fn width(&self) -> Option<usize> {
        match self.0.as_slice() {
            [] => Some(0),
            [Step::Skip(count)] => Some(*count),
            _ => None,
        }
    }

    /// The bytes behind the values that `bytes` start with, if these are whole and nothing is wrong with them.
    #[inline]
    pub(super) fn pass<'b>(&self, bytes: &'b [u8], hashes: Option<HashesOfGroup>) -> Option<&'b [u8]> {
        let mut rest = bytes;
        let mut hash = 0_i32;
        for step in &self.0 {
            rest = match *step {
                Step::Skip(count) => rest.get(count..)?,
                Step::Zero => match rest {
                    [0, rest @ ..] => rest,
                    _ => return None,
                },
                Step::Flag => match rest {
                    [0 | 1, rest @ ..] => rest,
                    _ => return None,
                },
                Step::Text => {
                    let (text, rest) = text(rest)?;
                    if !text.is_ascii() {
                        return None;
                    }
                    rest
                }
                Step::Items(width) => {
                    let (count, rest) = rest.split_first_chunk()?;
                    let count = usize::try_from(i32::from_be_bytes(*count)).ok()?;
                    rest.get(count.checked_mul(width)?..)?
                }
                Step::KeyText => {
                    let (part, rest) = key_text(rest)?;
                    hash = hash.wrapping_mul(31).wrapping_add(part);
                    rest
                }
                Step::KeyInt => {
                    let (part, rest) = rest.split_first_chunk()?;
                    hash = hash.wrapping_mul(31).wrapping_add(i32::from_be_bytes(*part));
                    rest
                }
                Step::KeyLong => {
                    let (part, rest) = rest.split_first_chunk()?;
                    let part = u64::from_be_bytes(*part);
                    // `Long.hashCode` folds the halves and keeps the low one.
                    hash = hash.wrapping_mul(31).wrapping_add((part ^ (part >> 32)) as i32);
                    rest
                }
                Step::KeyEnd => match hashes?.has(hash) {
                    true => rest,
                    false => return None,
                },
            };
        }
        Some(rest)
    }
}

/// A string of less than 16,383 characters, if all bytes that it would have if they were ASCII are there and it is not null.
#[inline]
fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    match bytes {
        [length @ 1..0x80, rest @ ..] => rest.split_at_checked(usize::from(length.wrapping_sub(1))),
        [low @ 0x80..=0xff, high @ 1..0x80, rest @ ..] => {
            let length = (usize::from(*high) << 7) | usize::from(low & 0x7f);
            rest.split_at_checked(length.wrapping_sub(1))
        }
        _ => None,
    }
}

/// The hash of the key that the bytes start with, and what is behind it.
#[inline(always)]
fn key_text(bytes: &[u8]) -> Option<(i32, &[u8])> {
    if let Some((hash, length)) = word(bytes) {
        return Some((hash, bytes.get(length..)?));
    }
    let (text, rest) = text(bytes)?;
    Some((java_hash_of_ascii(text)?, rest))
}

/// The hash of a string of 1 to 16 characters with 16 bytes at hand, and the bytes that it takes.
#[inline(always)]
pub(super) fn word(bytes: &[u8]) -> Option<(i32, usize)> {
    let (length, rest) = bytes.split_first()?;
    let hash = java_hash_of_word(rest.first_chunk()?, u32::from(*length).wrapping_sub(1))?;
    Some((hash, usize::from(*length)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Reader;

    fn types() -> Vec<SerializerSnapshot> {
        use SerializerSnapshot as S;
        vec![
            S::string(),
            S::long(),
            S::int(),
            S::byte_array(),
            S::void_namespace(),
            S::time_window(),
            S::boolean(),
            S::tuple(vec![S::string(), S::long()]),
            S::tuple(vec![S::tuple(vec![S::int()]), S::string()]),
        ]
    }

    /// Bytes that look like the start of something, and some that do not.
    fn bytes(seed: u64) -> Vec<u8> {
        let mut mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            mixed = mixed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (mixed >> 33) as usize
        };
        let length = next() % 300;
        let mut bytes: Vec<u8> = (0..length).map(|_| (next() % 128) as u8).collect();
        for _ in 0..next() % 4 {
            if let Some(byte) = bytes.get_mut(next() % length.max(1)) {
                *byte = [0, 1, 2, 0x80, 0x81, 0xff][next() % 6];
            }
        }
        for _ in 0..next() % 6 {
            if let Some(byte) = bytes.get_mut(next() % 6) {
                *byte = [0, 0, 0, 1, 5, 0x85][next() % 6];
            }
        }
        bytes
    }

    #[test]
    fn what_is_passed_quickly_is_what_is_passed_slowly() {
        let mut passed = 0;
        for serializer in types() {
            let (mut value, mut key) = (Steps::default(), Steps::default());
            value.value(&serializer).expect("a type of pieces");
            let is_key = key.key(&serializer).is_some();
            for seed in 0..4000 {
                let bytes = bytes(seed);
                let mut slow = Reader::new(&bytes, "test");
                let end = serializer.skip_value(&mut slow).map(|()| slow.left());
                if let Some(rest) = value.pass(&bytes, None) {
                    passed += 1;
                    assert_eq!(end.as_ref(), Ok(&rest.len()), "{bytes:?}");
                }
                for group in 0..2 {
                    let rest = key.pass(&bytes, HashesOfGroup::new(group, 2));
                    let (true, Some(rest)) = (is_key, rest) else { continue };
                    let mut slow = Reader::new(&bytes, "test");
                    let right = super::super::layout::pass_key(&serializer, &mut slow, group, 2);
                    assert_eq!((right, slow.left()), (Ok(None), rest.len()), "{bytes:?}");
                }
            }
        }
        assert!(passed > 4000, "{passed} are few");
    }

    #[test]
    fn texts_of_every_length_are_passed() {
        let mut steps = Steps::default();
        steps.key(&SerializerSnapshot::string()).expect("a key");
        for length in (0..400).chain([16_382]) {
            let text = "x".repeat(length);
            let mut bytes = Vec::new();
            crate::state::StateType::write(&text, &mut bytes).expect("a text");
            let whole = bytes.len();
            for more in [0, 1, 40] {
                bytes.resize(whole + more, 7);
                let rest = steps.pass(&bytes, HashesOfGroup::new(0, 1)).map(<[u8]>::len);
                assert_eq!(rest, Some(more), "{length}");
            }
            assert!(steps.pass(&bytes[..whole - 1], HashesOfGroup::new(0, 1)).is_none(), "{length}");
        }
        assert!(steps.pass(&[0; 20], HashesOfGroup::new(0, 1)).is_none(), "a null");
        assert!(steps.pass(&[0x80, 0, b'x'], HashesOfGroup::new(0, 1)).is_none(), "a length that is too long");
    }
}
