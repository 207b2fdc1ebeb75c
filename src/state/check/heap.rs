//! A key group of the hash map backend (`HeapRestoreOperation.readKeyGroupStateData`): as many states as the head
//! describes, each with its number, its count and its entries.

use super::keyed::{Located, Walk};
use super::layout::{Layout, Misplaced};
use crate::model::damage::Effect;
use crate::state::keyed::KeyedHeader;
use crate::wire::stream::Fill;
use crate::wire::{Input, Problem, ReadError, Stream};

/// The layouts of all states.
pub(super) struct Layouts<'h>(Vec<Option<Layout<'h>>>);

impl<'h> Layouts<'h> {
    pub(super) fn of(header: &'h KeyedHeader) -> Self {
        Layouts(header.states.iter().map(|state| Layout::of(header, state)).collect())
    }
}

/// Reads the states of a key group; the stream is behind the last one afterwards. `starts` are where each starts.
pub(super) fn states<F: Fill>(
    stream: &mut Stream<F>,
    layouts: &Layouts<'_>,
    group: i32,
    starts: &mut Vec<u64>,
    walk: &mut Walk<'_>,
) -> Result<(), ReadError>
where
    Stream<F>: Located,
{
    let known = layouts.0.len();
    let group = u16::try_from(group).unwrap_or(u16::MAX);
    let mut seen = vec![false; known];
    starts.clear();
    for _ in 0..known {
        let at = stream.offset();
        starts.push(at);
        let state = usize::from(stream.u16()?);
        let (Some(layout), Some(seen)) = (layouts.0.get(state), seen.get_mut(state)) else {
            return Err(stream.invalid_at(at, format_args!("state {state} of {known}")));
        };
        walk.findings.in_state(walk.header.states.get(state).map_or("", |state| &state.name));
        if std::mem::replace(seen, true) {
            walk.add(Effect::Starts, stream, at, format_args!("state {state} a second time"));
        }
        let at = stream.offset();
        let count = match u64::try_from(stream.i32()?) {
            Ok(count) => count,
            // Java's loop over them ends before it starts.
            Err(_) => {
                walk.add(Effect::Starts, stream, at, "a negative number of entries");
                continue;
            }
        };
        // A state that lacks a serializer was found in the head.
        let Some(layout) = layout else { return Ok(()) };
        let left = stream.left();
        if count.saturating_mul(layout.shortest as u64) > left {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            return Err(stream.error_at(at, Problem::ImpossibleCount { what: "the number of entries", count, left }));
        }
        let mut wrong = Misplaced::default();
        let mut done = 0;
        let range = walk.range;
        let passed = layout.pass_all(stream, count, group, walk.max_parallelism, &mut done, |at, other| {
            wrong.note(at, layout.is_queue && !range.has(other));
        });
        walk.entries = walk.entries.saturating_add(done);
        if let Some((effect, at, problem)) = wrong.problem(format_args!("keys of state {state}")) {
            walk.add(effect, stream, at, problem);
        }
        passed?;
    }
    Ok(())
}
