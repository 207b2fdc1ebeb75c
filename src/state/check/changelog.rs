//! Changelog segments (`StateChangeFormat`, `ChangelogStreamWrapper`): a flag for compression, and then sets of changes, of
//! which handles name those that they need by their offset behind the flag, decompressed.

use super::change::{METADATA, States};
use super::findings::{Findings, Progress, damage};
use super::frames::{self, FRAMES, Frames};
use super::keyed::{Located, drain};
use super::layout::is_opaque;
use crate::model::damage::{Checked, Effect};
use crate::state::key_group::UPPER_BOUND_MAX_PARALLELISM;
use crate::wire::stream::Fill;
use crate::wire::{DecodeError, Input, Problem, ReadAt, ReadError, Stream, source::Part};
use std::io;

const SECTION: &str = "changes";
/// The key group of descriptions of states (`StateChangeLoggerImpl.COMMON_KEY_GROUP`).
const COMMON: i32 = -1;

/// Checks a changelog segment. `offsets` are those that handles name.
///
/// # Errors
/// When the storage fails.
pub fn changelog_segment(source: &dyn ReadAt, offsets: &[i64], progress: &dyn Fn(u64)) -> io::Result<Checked> {
    changes(source, offsets, &[], progress)
}

/// The same, where `firsts` are those of the offsets before which a handle has no other changes: a set there describes
/// every state that it changes.
///
/// # Errors
/// When the storage fails.
pub fn changes(source: &dyn ReadAt, offsets: &[i64], firsts: &[i64], progress: &dyn Fn(u64)) -> io::Result<Checked> {
    let told = Progress::new(progress);
    let checked = judged(source, offsets, firsts, &|more| told.more(more));
    told.finish(source.size());
    checked
}

fn judged(source: &dyn ReadAt, offsets: &[i64], firsts: &[i64], progress: &dyn Fn(u64)) -> io::Result<Checked> {
    let mut findings = Findings::default();
    let mut first = [0];
    if source.read_at(0, &mut first)? == 0 {
        findings.add(Effect::Fails, SECTION, 0, "an empty file");
        return Ok(findings.into_checked());
    }
    if first[0] > 1 {
        // Whatever is not 1 means no to Flink.
        findings.add(Effect::Starts, SECTION, 0, "a boolean that is neither 0 nor 1");
    }
    let mut starts: Vec<u64> = Vec::new();
    for offset in offsets {
        match u64::try_from(*offset) {
            Ok(start) => starts.push(start),
            Err(_) => findings.add(Effect::Fails, SECTION, 0, format_args!("changes that start at byte {offset}")),
        }
    }
    starts.sort_unstable();
    starts.dedup();
    let body = Part::new(source, 1, u64::MAX);
    if first[0] == 1 {
        let mut stream = Frames::stream(&body, progress);
        frames::restart(&mut stream, 0, body.size(), false);
        // An empty file has no frames; Flink wants the identifier even so.
        walk(&mut stream, &starts, firsts, &mut findings)?;
    } else {
        let mut stream = Stream::over(&body, SECTION, progress);
        walk(&mut stream, &starts, firsts, &mut findings)?;
    }
    if !starts.is_empty() {
        findings.opaque("keys and values within changes, whose serializers are in another file".to_owned());
    }
    Ok(findings.into_checked())
}

/// Walks over the sets of changes from the first to the last.
fn walk<F: Fill>(stream: &mut Stream<F>, starts: &[u64], firsts: &[i64], findings: &mut Findings) -> io::Result<()>
where
    Stream<F>: Located,
{
    let mut needed = 0;
    loop {
        let at = stream.offset();
        let next = starts.get(needed).copied();
        match stream.window().map(<[u8]>::is_empty).map_err(damage) {
            Ok(false) => {}
            Ok(true) => {
                if let Some(next) = next {
                    let problem = format!("changes start at byte {next}, the file ends at {at}");
                    note(Effect::Fails, stream, at, problem, findings);
                }
                break;
            }
            Err(error) => {
                report(effect(next.is_some()), stream, &*error?, findings);
                break;
            }
        }
        let is_needed = next == Some(at);
        let is_first = is_needed && i64::try_from(at).is_ok_and(|at| firsts.contains(&at));
        match set(stream, is_needed, States::of_set(is_first), findings).map_err(damage) {
            Ok(()) => {}
            Err(error) => {
                let error = error?;
                needed = needed.saturating_add(usize::from(is_needed));
                let more = starts.get(needed).copied();
                // Behind a broken frame nothing is read, and what stands there cannot be found.
                let unreadable = error.section == FRAMES;
                report(effect(is_needed || (unreadable && more.is_some())), stream, &error, findings);
                // The next one that is needed may still be there.
                let Some(more) = more.filter(|more| *more >= stream.offset() && !unreadable) else {
                    if !unreadable {
                        drain_noting(stream, findings)?;
                    }
                    break;
                };
                if let Err(error) = stream.skip(more.saturating_sub(stream.offset())).map_err(damage) {
                    report(Effect::Fails, stream, &*error?, findings);
                    break;
                }
                continue;
            }
        }
        needed = needed.saturating_add(usize::from(is_needed));
        // A set that reaches over the start of another is not what was written.
        let end = stream.offset();
        if let Some(inside) = starts.get(needed).copied().filter(|start| *start < end) {
            let problem = format!("changes end at byte {end}, behind the start of others at byte {inside}");
            note(Effect::Starts, stream, at, problem, findings);
            needed = starts.partition_point(|start| *start < end);
        }
        if findings.is_full() {
            break;
        }
    }
    oddities(stream, findings);
    Ok(())
}

fn effect(needed: bool) -> Effect {
    if needed { Effect::Fails } else { Effect::Starts }
}

fn drain_noting<F: Fill>(stream: &mut Stream<F>, findings: &mut Findings) -> io::Result<()>
where
    Stream<F>: Located,
{
    if let Err(error) = drain(stream).map_err(damage) {
        report(Effect::Starts, stream, &*error?, findings);
    }
    Ok(())
}

/// Offsets are those of the file, whose first byte is the flag.
fn note(effect: Effect, stream: &impl Located, offset: u64, problem: impl ToString, findings: &mut Findings) {
    let (at, more) = stream.place(offset);
    findings.add(effect, SECTION, at.saturating_add(1), format!("{}{more}", problem.to_string()));
}

fn report(effect: Effect, stream: &impl Located, error: &DecodeError, findings: &mut Findings) {
    let (at, more) = match error.section == FRAMES {
        true => (error.offset, String::new()),
        false => stream.place(error.offset),
    };
    let before = findings.count();
    findings.error(effect, SECTION, at.saturating_add(1), error);
    if findings.count() > before {
        findings.amend(&more);
    }
}

fn oddities(stream: &mut impl Located, findings: &mut Findings) {
    for (at, what) in stream.oddities() {
        findings.add(Effect::Starts, SECTION, at.saturating_add(1), what);
    }
}

/// Reads a set of changes: the number of key groups, and of each the number of changes, its own, and the changes.
fn set<F: Fill>(
    stream: &mut Stream<F>,
    needed: bool,
    mut states: States,
    findings: &mut Findings,
) -> Result<(), ReadError>
where
    Stream<F>: Located,
{
    let groups = stream.count("the number of key groups", 8)?;
    let mut last = None;
    for _ in 0..groups {
        let at = stream.offset();
        let count = stream.i32()?;
        let group_at = stream.offset();
        let group = stream.i32()?;
        if !(COMMON..i32::from(UPPER_BOUND_MAX_PARALLELISM)).contains(&group) {
            return Err(stream.invalid_at(group_at, format_args!("key group {group}")));
        }
        // Flink ends the set at a key group without changes.
        if count <= 0 {
            note(Effect::Starts, stream, at, format_args!("{count} changes of a key group"), findings);
        }
        if group == COMMON && last.is_some() {
            note(Effect::Starts, stream, group_at, "descriptions of states behind changes of them", findings);
        }
        last = Some(group);
        let count = u64::try_from(count).unwrap_or(0);
        let left = stream.left();
        if count.saturating_mul(4) > left {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            return Err(stream.error_at(at, Problem::ImpossibleCount { what: "the number of changes", count, left }));
        }
        let mut left = count;
        while left > 0 {
            if group != COMMON && states.is_empty() {
                left = left.saturating_sub(changes_at_hand(stream, left));
            }
            if left > 0 {
                change(stream, group, needed, &mut states, findings)?;
                left = left.saturating_sub(1);
            }
        }
    }
    Ok(())
}

/// Passes over no more than `most` changes at hand of states that nothing is known of, as long as nothing is wrong with them,
/// and says how many these were.
#[inline]
fn changes_at_hand<F: Fill>(stream: &mut Stream<F>, most: u64) -> u64 {
    let bytes = stream.at_hand();
    let (mut rest, mut count) = (bytes, 0_u64);
    while count < most
        && let Some((length, change)) = rest.split_first_chunk()
        && let Ok(length) = usize::try_from(u32::from_be_bytes(*length))
        && let Some((change, behind)) = change.split_at_checked(length)
        // An operation and the number of the state.
        && let [0..METADATA, _, _, ..] = change
    {
        rest = behind;
        count = count.wrapping_add(1);
    }
    let passed = bytes.len().wrapping_sub(rest.len());
    stream.advance(passed);
    count
}

/// Reads a change: a length, an operation, and what it needs (`AbstractStateChangeLogger`).
fn change<F: Fill>(
    stream: &mut Stream<F>,
    group: i32,
    needed: bool,
    states: &mut States,
    findings: &mut Findings,
) -> Result<(), ReadError>
where
    Stream<F>: Located,
{
    let length = stream.count("the length of a change", 1)?;
    let at = stream.offset();
    let end = at.saturating_add(length);
    if length == 0 {
        note(effect(needed), stream, at, "an empty change", findings);
        return Ok(());
    }
    let operation = stream.u8()?;
    if (group == COMMON) != (operation == METADATA) || operation > METADATA {
        let problem = format!("operation {operation} on key group {group}");
        note(effect(needed), stream, at, problem, findings);
        return stream.skip(end.saturating_sub(stream.offset()));
    }
    let outer = stream.limit(end);
    let read = states.read(stream, operation);
    stream.limit(outer);
    let left = end.saturating_sub(stream.offset());
    match read {
        Ok(()) if left > 0 => {
            let at = stream.offset();
            note(Effect::Starts, stream, at, format_args!("{left} bytes behind a change"), findings);
        }
        Ok(()) => {}
        Err(error) => {
            let error = match error {
                ReadError::Damaged(error) if error.section != FRAMES => error,
                error => return Err(error),
            };
            // What is opaque is said once for the segment.
            if !is_opaque(&error) {
                report(effect(needed), stream, &error, findings);
            }
        }
    }
    stream.skip(left)
}
