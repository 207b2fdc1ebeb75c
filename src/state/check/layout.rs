//! How the entries of a state lie in a stream, for passing over many of them quickly.
//!
//! Entries at hand that are beyond any doubt are passed by their [`Steps`], all others by [`Layout::pass`].

use super::steps::{Row, Steps, word};
use crate::model::damage::Effect;
use crate::state::key_group::{HashesOfGroup, assign_to_key_group};
use crate::state::keyed::KeyedHeader;
use crate::state::meta::{BackendStateType, StateMeta};
use crate::state::serializer::SerializerSnapshot;
use crate::wire::{DecodeError, Input, Problem, ReadError, Stream, stream::Fill};

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
    quick: Option<Steps>,
    row: Option<Row>,
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
        let quick = quick(&parts);
        let row = quick.as_ref().and_then(Steps::row);
        let is_queue = state.kind == BackendStateType::PriorityQueue;
        Some(Layout { quick, row, parts, is_queue, shortest })
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
        let hashes = HashesOfGroup::new(group, max_parallelism);
        let mut left = count;
        while left > 0 {
            let bytes = stream.at_hand();
            let mut rest = bytes;
            let before = left;
            if let (Some(row), Some(hashes)) = (self.row, hashes) {
                rest = match row.zero {
                    true => words::<true>(row, rest, &mut left, hashes),
                    false => words::<false>(row, rest, &mut left, hashes),
                };
            }
            while left > 0
                && let Some(behind) = self.quick.as_ref().and_then(|steps| steps.pass(rest, hashes))
            {
                rest = behind;
                left = left.wrapping_sub(1);
            }
            *done = done.wrapping_add(before.wrapping_sub(left));
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

/// Passes over entries that are a word with bytes before and behind, as long as nothing is wrong with them; gives what comes
/// behind the last one.
#[inline(never)]
fn words<'b, const ZERO: bool>(row: Row, bytes: &'b [u8], left: &mut u64, hashes: HashesOfGroup) -> &'b [u8] {
    if row.zero_behind {
        return bytes;
    }
    let mut rest = bytes;
    while *left > 0 {
        let Some(key) = rest.get(row.before..) else { break };
        if ZERO && rest.first() != Some(&0) {
            break;
        }
        let Some((hash, length)) = word(key) else { break };
        let Some(behind) = key.get(length.wrapping_add(row.behind)..) else { break };
        if !hashes.has(hash) {
            break;
        }
        rest = behind;
        *left = left.wrapping_sub(1);
    }
    rest
}

fn quick(parts: &[Part<'_>]) -> Option<Steps> {
    let mut steps = Steps::default();
    for part in parts {
        match part {
            Part::Time => steps.skip(8),
            Part::Value(serializer) => steps.value(serializer)?,
            Part::Key(serializer) => steps.key(serializer)?,
        }
    }
    Some(steps)
}

/// Whether an error says that what follows cannot be read, not that it is wrong.
pub(super) fn is_opaque(error: &DecodeError) -> bool {
    matches!(error.problem, Problem::OnlyJava(_) | Problem::UnknownSerializer(_))
}
