//! How the entries of a state lie in a stream, for passing over many of them quickly.
//!
//! [`Layout::quick`] says that an entry at hand is beyond any doubt, and nothing else; whatever is not, or does not lie
//! in the buffer as a whole, goes through [`SerializerSnapshot::skip_value`], which finds out what is wrong.

use crate::model::damage::Effect;
use crate::state::key_group::assign_to_key_group;
use crate::state::keyed::KeyedHeader;
use crate::state::meta::{BackendStateType, StateMeta};
use crate::state::serializer::{Piece, SerializerSnapshot};
use crate::state::types::java_hash_of_ascii;
use crate::wire::{DecodeError, Input, Problem, ReadError, Stream, stream::Fill};

/// What to do with the bytes of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Skip(usize),
    Zero,
    Flag,
    Text,
    /// Parts of the key, whose hash tells the key group.
    KeyText,
    KeyInt,
    KeyLong,
}

/// The parts of an entry in their order.
#[derive(Clone, Copy)]
enum Part<'h> {
    Value(&'h SerializerSnapshot),
    Key(&'h SerializerSnapshot),
    /// The time before the parts of a timer.
    Time,
}

/// The layout of the entries of one state in the body of the hash map backend.
pub(super) struct Layout<'h> {
    parts: Vec<Part<'h>>,
    quick: Option<Vec<Step>>,
    /// Whether the entries are the elements of a queue.
    pub(super) is_queue: bool,
    /// Bytes of the shortest entry.
    pub(super) shortest: usize,
}

impl<'h> Layout<'h> {
    /// The layout of a state; `None` where the head does not describe it in full.
    pub(super) fn of(header: &'h KeyedHeader, state: &'h StateMeta) -> Option<Self> {
        let value = state.value()?;
        let parts = match (state.kind, value.timer_parts()) {
            (BackendStateType::PriorityQueue, Some((key, namespace))) => {
                vec![Part::Time, Part::Key(key), Part::Value(namespace)]
            }
            (BackendStateType::PriorityQueue, None) => vec![Part::Value(value)],
            _ => vec![Part::Value(state.namespace()?), Part::Key(&header.key), Part::Value(value)],
        };
        let shortest = parts.len();
        let is_queue = state.kind == BackendStateType::PriorityQueue;
        Some(Layout { quick: quick(&parts), parts, is_queue, shortest })
    }

    /// The length of the entry that the bytes start with, if it is whole and nothing is wrong with it.
    #[inline]
    pub(super) fn quick(&self, bytes: &[u8], group: u16, max_parallelism: u16) -> Option<usize> {
        let mut rest = bytes;
        for step in self.quick.as_ref()? {
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
                Step::KeyText => {
                    let (text, rest) = text(rest)?;
                    if assign_to_key_group(java_hash_of_ascii(text)?, max_parallelism) != group {
                        return None;
                    }
                    rest
                }
                Step::KeyInt => {
                    let (key, rest) = rest.split_first_chunk()?;
                    if assign_to_key_group(i32::from_be_bytes(*key), max_parallelism) != group {
                        return None;
                    }
                    rest
                }
                Step::KeyLong => {
                    let (key, rest) = rest.split_first_chunk()?;
                    let key = u64::from_be_bytes(*key);
                    if assign_to_key_group((key ^ (key >> 32)) as i32, max_parallelism) != group {
                        return None;
                    }
                    rest
                }
            };
        }
        Some(bytes.len().wrapping_sub(rest.len()))
    }

    /// Passes over an entry, and gives the key group of its key where that is another one.
    pub(super) fn pass<I: Input>(
        &self,
        input: &mut I,
        group: u16,
        max_parallelism: u16,
    ) -> Result<Option<u16>, I::Error> {
        let mut other = None;
        for part in &self.parts {
            match *part {
                Part::Time => {
                    input.i64()?;
                }
                Part::Value(serializer) => serializer.skip_value(input)?,
                Part::Key(serializer) => other = pass_key(serializer, input, group, max_parallelism)?,
            }
        }
        Ok(other)
    }

    /// Passes over `count` entries. `each` hears of every entry whose key is in the wrong key group, with its offset and
    /// the key group of the key, and `done` how many were passed.
    pub(super) fn pass_all<F: Fill>(
        &self,
        stream: &mut Stream<F>,
        count: u64,
        group: u16,
        max_parallelism: u16,
        done: &mut u64,
        mut each: impl FnMut(u64, u16),
    ) -> Result<(), ReadError> {
        let mut left = count;
        while left > 0 {
            let bytes = stream.at_hand();
            let mut rest = bytes;
            while left > 0
                && let Some(length) = self.quick(rest, group, max_parallelism)
            {
                rest = rest.get(length..).unwrap_or_default();
                left = left.wrapping_sub(1);
                *done = done.wrapping_add(1);
            }
            let passed = bytes.len().wrapping_sub(rest.len());
            stream.advance(passed);
            if left > 0 {
                let at = stream.offset();
                if let Some(other) = self.pass(stream, group, max_parallelism)? {
                    each(at, other);
                }
                left = left.wrapping_sub(1);
                *done = done.wrapping_add(1);
            }
        }
        Ok(())
    }
}

/// Keys that stand in the wrong key group.
#[derive(Default)]
pub(super) struct Misplaced {
    /// How many there are, and where the first one is.
    count: u64,
    first: u64,
    /// Where the first one is that keeps Flink from starting.
    fatal: Option<u64>,
}

impl Misplaced {
    /// Takes note of one, which `is_fatal` says that Flink refuses: a queue has room for the key groups of its subtask and
    /// no other (`HeapPriorityQueueSet.globalKeyGroupToLocalIndex`), where a table takes every key for one of the key group
    /// it stands in (`StateTable.put`).
    pub(super) fn note(&mut self, at: u64, is_fatal: bool) {
        if self.count == 0 {
            self.first = at;
        }
        self.count = self.count.saturating_add(1);
        if is_fatal {
            self.fatal.get_or_insert(at);
        }
    }

    /// What that comes to, where it is, and what to say of it.
    pub(super) fn problem(&self, what: impl std::fmt::Display) -> Option<(Effect, u64, String)> {
        let count = self.count;
        match self.fatal {
            _ if count == 0 => None,
            Some(at) => {
                let text = format!("{count} {what} belong into other key groups, this one into none of its subtask");
                Some((Effect::Fails, at, text))
            }
            None => {
                let text = format!("{count} {what} belong into other key groups, here the first");
                Some((Effect::Starts, self.first, text))
            }
        }
    }
}

/// Passes over a key, and gives the key group that it belongs into where that is another one and can be told.
pub(super) fn pass_key<I: Input>(
    key: &SerializerSnapshot,
    input: &mut I,
    group: u16,
    max_parallelism: u16,
) -> Result<Option<u16>, I::Error> {
    if !key.is_hashable() {
        return key.skip_value(input).map(|()| None);
    }
    // `StateTable.checkKeyNamespacePreconditions`, `KeyGroupRangeAssignment.assignToKeyGroup`.
    if key.is_string() && input.window()?.first() == Some(&0) {
        return Err(input.invalid_at(input.offset(), "a key that is null"));
    }
    let other = assign_to_key_group(key.hash_value(input)?, max_parallelism);
    Ok((other != group).then_some(other))
}

/// A string of less than 127 characters, if all of them are there and it is not null.
#[inline]
fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first()?;
    match *length {
        1..0x80 => rest.split_at_checked(usize::from(length.wrapping_sub(1))),
        _ => None,
    }
}

fn quick(parts: &[Part<'_>]) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut push = |step: Step| match (steps.last_mut(), step) {
        (Some(Step::Skip(before)), Step::Skip(more)) => *before = before.saturating_add(more),
        _ => steps.push(step),
    };
    for part in parts {
        let (serializer, is_key) = match part {
            Part::Time => {
                push(Step::Skip(8));
                continue;
            }
            Part::Value(serializer) => (*serializer, false),
            Part::Key(serializer) => (*serializer, serializer.is_hashable()),
        };
        let pieces = serializer.pieces()?;
        // Of several the hash is made of all; the slow way does that.
        if is_key && pieces.len() != 1 {
            return None;
        }
        for piece in pieces {
            push(match (piece, is_key) {
                (Piece::Text, true) => Step::KeyText,
                (Piece::Int, true) => Step::KeyInt,
                (Piece::Long, true) => Step::KeyLong,
                (_, true) => return None,
                (Piece::Text, false) => Step::Text,
                (Piece::Zero, false) => Step::Zero,
                (Piece::Flag, false) => Step::Flag,
                (Piece::Int, false) => Step::Skip(4),
                (Piece::Long, false) => Step::Skip(8),
                (Piece::Bytes(count), false) => Step::Skip(count),
            });
        }
    }
    Some(steps)
}

/// Whether an error says that what follows cannot be read, not that it is wrong.
pub(super) fn is_opaque(error: &DecodeError) -> bool {
    matches!(error.problem, Problem::OnlyJava(_) | Problem::UnknownSerializer(_))
}
