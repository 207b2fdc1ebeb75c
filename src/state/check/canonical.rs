//! A key group in the canonical format (`FullSnapshotRestoreOperation`): the entries of one state after the other, each a
//! key and a value with their lengths.
//!
//! What is wrong inside of them does not keep Flink from starting: a database takes keys and values as they are. Only
//! the lengths and the numbers of states have to be right for it to find the next one.

use super::findings::damage;
use super::frames::FRAMES;
use super::keyed::{Located, Walk};
use super::layout::{Misplaced, pass_key};
use super::steps::{Row, Steps, word};
use crate::model::damage::Effect;
use crate::state::canonical::{DELIMITER, END_OF_KEY_GROUP, LAST_OF_STATE, prefix_bytes};
use crate::state::key_group::HashesOfGroup;
use crate::state::keyed::KeyedHeader;
use crate::state::meta::{BackendStateType, KeyedStateType, StateMeta};
use crate::state::serializer::SerializerSnapshot;
use crate::wire::stream::Fill;
use crate::wire::{Input, ReadError, Stream};
use std::cmp::Ordering;

/// How the entries of a state are made.
struct Shape<'h> {
    key: &'h SerializerSnapshot,
    namespace: Option<&'h SerializerSnapshot>,
    /// Whether lengths stand behind key and namespace.
    ambiguous: bool,
    kind: Kind<'h>,
    /// Whether entries follow each other in the order of their keys.
    sorted: bool,
    quick: Option<Quick>,
}

/// What keys behind the number of their key group, and values, are made of.
struct Quick {
    key: Steps,
    /// The same, where the key is a word with nothing before it.
    row: Option<Row>,
    value: Steps,
}

/// How the entries of all states are made, where the head describes them.
pub(super) struct Shapes<'h>(Vec<Option<Shape<'h>>>);

impl<'h> Shapes<'h> {
    pub(super) fn of(header: &'h KeyedHeader, sorted: bool) -> Self {
        Shapes(header.states.iter().map(|state| Shape::of(&header.key, state, sorted)).collect())
    }
}

enum Kind<'h> {
    /// The element of a queue is the key.
    Queue,
    Value(&'h SerializerSnapshot),
    List(&'h SerializerSnapshot),
    Map(&'h SerializerSnapshot, &'h SerializerSnapshot),
}

impl<'h> Shape<'h> {
    fn of(key: &'h SerializerSnapshot, state: &'h StateMeta, sorted: bool) -> Option<Self> {
        let value = state.value()?;
        if state.kind == BackendStateType::PriorityQueue {
            return Some(Shape::new(value, None, Kind::Queue, false));
        }
        let namespace = state.namespace()?;
        let kind = match (state.keyed_type(), value.nested()) {
            (KeyedStateType::List, [element]) => Kind::List(element),
            (KeyedStateType::Map, [key, value]) => Kind::Map(key, value),
            _ => Kind::Value(value),
        };
        Some(Shape::new(key, Some(namespace), kind, sorted))
    }

    fn new(
        key: &'h SerializerSnapshot,
        namespace: Option<&'h SerializerSnapshot>,
        kind: Kind<'h>,
        sorted: bool,
    ) -> Self {
        let ambiguous = key.is_variable_length() && namespace.is_some_and(SerializerSnapshot::is_variable_length);
        let mut shape = Shape { key, namespace, ambiguous, kind, sorted, quick: None };
        shape.quick = shape.quick();
        shape
    }

    fn quick(&self) -> Option<Quick> {
        if self.ambiguous {
            return None;
        }
        let (mut key, mut value) = (Steps::default(), Steps::default());
        match (&self.kind, self.key.timer_parts()) {
            (Kind::Queue, Some((of_timer, namespace))) => {
                key.skip(8);
                key.key(of_timer)?;
                key.value(namespace)?;
            }
            (Kind::Queue, None) => key.value(self.key)?,
            _ => key.key(self.key)?,
        }
        if let Some(namespace) = self.namespace {
            key.value(namespace)?;
        }
        match &self.kind {
            Kind::Queue => {}
            Kind::Value(of_state) => value.value(of_state)?,
            Kind::Map(of_map, of_state) => {
                key.value(of_map)?;
                value.not_null();
                value.value(of_state)?;
            }
            Kind::List(_) => return None,
        }
        let row = key.row().filter(|row| row.before == 0);
        Some(Quick { key, row, value })
    }
}

impl Quick {
    /// Passes over entries at hand, none of them the last of its state, as long as nothing is wrong with them; gives how many
    /// these were. `before` is the key before them, which is compared where keys come in their order.
    fn pass<F: Fill>(&self, stream: &mut Stream<F>, group: &Group, sorted: bool, before: &mut Vec<u8>) -> u64 {
        let bytes = stream.at_hand();
        let (mut rest, mut count, mut last) = (bytes, 0_u64, None);
        while let Some((key, behind)) = self.entry(rest, group) {
            if sorted {
                if key.len() > COMPARED || last.unwrap_or(before.as_slice()) >= key {
                    break;
                }
                last = Some(key);
            }
            rest = behind;
            count = count.wrapping_add(1);
        }
        if let Some(last) = last {
            before.clear();
            before.extend_from_slice(last);
        }
        let passed = bytes.len().wrapping_sub(rest.len());
        stream.advance(passed);
        count
    }

    /// What is behind the key that the bytes start with, if it is a word and nothing is wrong with it.
    #[inline(always)]
    fn of_word<'b>(&self, bytes: &'b [u8], group: &Group) -> Option<&'b [u8]> {
        let row = self.row?;
        let (hash, length) = word(bytes)?;
        let behind = bytes.get(length..)?;
        let fine = group.hashes?.has(hash) && (!row.zero_behind || behind.first() == Some(&0));
        behind.get(row.behind..).filter(|_| fine)
    }

    /// The key of the entry that the bytes start with, and what is behind it.
    #[inline(always)]
    fn entry<'b>(&self, bytes: &'b [u8], group: &Group) -> Option<(&'b [u8], &'b [u8])> {
        let (length, key) = counted(bytes)?;
        let rest = match (group.prefix, key) {
            (1, [number, rest @ ..]) if u16::from(*number) == group.number => rest,
            (2, [high, low, rest @ ..]) if u16::from_be_bytes([*high, *low]) == group.number => rest,
            _ => return None,
        };
        let behind = match self.of_word(rest, group) {
            Some(behind) => behind,
            None => self.key.pass(rest, group.hashes)?,
        };
        if key.len().wrapping_sub(behind.len()) != length {
            return None;
        }
        let (expected, value) = counted(behind)?;
        let behind = match self.value.width() {
            Some(width) => value.get(width..)?,
            None => self.value.pass(value, None)?,
        };
        if value.len().wrapping_sub(behind.len()) != expected {
            return None;
        }
        Some((key.get(..length)?, behind))
    }
}

/// A length, and what is behind it.
#[inline(always)]
fn counted(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    Some((usize::try_from(u32::from_be_bytes(*length)).ok()?, rest))
}

/// What there is to know of a key group for its keys.
struct Group {
    number: u16,
    /// Bytes that the number takes.
    prefix: usize,
    hashes: Option<HashesOfGroup>,
}

/// The beginning of a key that is compared with the next one.
const COMPARED: usize = 4096;

/// Reads the entries of a key group; the stream is behind the last one afterwards.
pub(super) fn states<F: Fill>(
    stream: &mut Stream<F>,
    shapes: &Shapes<'_>,
    group: i32,
    walk: &mut Walk<'_>,
) -> Result<(), ReadError>
where
    Stream<F>: Located,
{
    let header = walk.header;
    let group = u16::try_from(group).unwrap_or(u16::MAX);
    let prefix = prefix_bytes(walk.max_parallelism);
    // The first bit of a number is the mark of the last entry.
    let hashes = HashesOfGroup::new(group, walk.max_parallelism);
    let has_mark = group >> 7 != 0 && (prefix == 1 || group >> 15 != 0);
    let of_group = Group { number: group, prefix: if has_mark { 0 } else { prefix }, hashes };
    let mut seen = vec![false; header.states.len()];
    let mut misplaced = Misplaced::default();
    // The hash map backend reads what it wrote as well as what a database did; a database takes all keys.
    let (range, strict) = (walk.range, !walk.sorted);
    while let Some(number) = next_state(stream, header.states.len())? {
        let state = header.states.get(number);
        walk.findings.in_state(state.map_or("", |state| &state.name));
        if seen.get_mut(number).is_some_and(|seen| std::mem::replace(seen, true)) {
            walk.add(Effect::Starts, stream, stream.offset(), format_args!("state {number} a second time"));
        }
        let shape = shapes.0.get(number).and_then(Option::as_ref);
        let mut before: Vec<u8> = Vec::new();
        loop {
            let at = stream.offset();
            let length = stream.count("the length of a key", 1)?;
            let end = stream.offset().saturating_add(length);
            let sorted = shape.is_some_and(|shape| shape.sorted);
            let in_order = !sorted || follows(stream, length, &mut before);
            let outer = stream.limit(end);
            let first = stream.u8();
            let read = match (&first, shape) {
                (Ok(first), Some(shape)) => key(stream, shape, (*first, prefix), group, walk.max_parallelism),
                _ => Ok(Found::default()),
            };
            let found = leave(stream, outer, end, read, walk)?.unwrap_or_default();
            let first = first?;
            if found.prefix.or(found.hashed).is_some() {
                let of_queue = shape.is_some_and(|shape| matches!(shape.kind, Kind::Queue));
                // The place of a value is that of its prefix, the place of an element that of its hash.
                let decisive = if of_queue { found.hashed } else { found.prefix };
                misplaced.note(at, strict && decisive.is_some_and(|group| !range.has(group)));
            }
            if !in_order {
                walk.add(Effect::Starts, stream, at, "a key that does not come behind the one before it");
            }
            let length = stream.count("the length of a value", 1)?;
            let end = stream.offset().saturating_add(length);
            let outer = stream.limit(end);
            let read = shape.map_or(Ok(()), |shape| value(stream, &shape.kind));
            leave(stream, outer, end, read, walk)?;
            walk.entries = walk.entries.saturating_add(1);
            walk.oddities(stream);
            if first & LAST_OF_STATE != 0 {
                break;
            }
            if let Some(quick) = shape.and_then(|shape| shape.quick.as_ref()) {
                let passed = quick.pass(stream, &of_group, sorted, &mut before);
                walk.entries = walk.entries.saturating_add(passed);
            }
        }
    }
    if let Some((effect, at, problem)) = misplaced.problem("keys") {
        walk.add(effect, stream, at, problem);
    }
    Ok(())
}

/// The number of the next state; `None` at the end of the key group.
fn next_state<F: Fill>(stream: &mut Stream<F>, states: usize) -> Result<Option<usize>, ReadError> {
    let at = stream.offset();
    match stream.u16()? {
        END_OF_KEY_GROUP => Ok(None),
        state if usize::from(state) < states => Ok(Some(usize::from(state))),
        state => Err(stream.invalid_at(at, format_args!("state {state} of {states}"))),
    }
}

/// Whether the key that is at hand, without its flag, comes behind the last one.
fn follows<F: Fill>(stream: &mut Stream<F>, length: u64, before: &mut Vec<u8>) -> bool {
    let wanted = usize::try_from(length).unwrap_or(usize::MAX).min(COMPARED);
    if stream.at_hand().len() < wanted && stream.gather(wanted).is_err() {
        return true;
    }
    let at_hand = stream.at_hand();
    let key = at_hand.get(..wanted.min(at_hand.len())).unwrap_or_default();
    let first = !before.is_empty();
    let unflagged = |byte: Option<&u8>| byte.map(|byte| byte & !LAST_OF_STATE);
    let order = unflagged(before.first())
        .cmp(&unflagged(key.first()))
        .then_with(|| before.get(1..).unwrap_or_default().cmp(key.get(1..).unwrap_or_default()));
    let follows = match order {
        Ordering::Less => true,
        // What is behind was not compared.
        Ordering::Equal => wanted == COMPARED,
        Ordering::Greater => false,
    };
    before.clear();
    before.extend_from_slice(key);
    !first || follows
}

/// Leaves a byte array of the stream at its end, and takes note of what was wrong in it.
fn leave<F: Fill, T>(
    stream: &mut Stream<F>,
    outer: u64,
    end: u64,
    read: Result<T, ReadError>,
    walk: &mut Walk<'_>,
) -> Result<Option<T>, ReadError>
where
    Stream<F>: Located,
{
    // The stream may have turned out to end before the array does.
    stream.limit(outer);
    let left = end.saturating_sub(stream.offset());
    let value = match read {
        Ok(value) => {
            if left > 0 {
                let at = stream.offset();
                walk.add(Effect::Starts, stream, at, format_args!("{left} bytes behind a key or value"));
            }
            Some(value)
        }
        Err(error) => {
            let error = damage(error)?;
            if error.section == FRAMES {
                return Err(ReadError::Damaged(error));
            }
            walk.error(Effect::Starts, stream, &error);
            None
        }
    };
    stream.skip(left)?;
    Ok(value)
}

/// The key groups that a key belongs into, where they are not the one it stands in.
#[derive(Default)]
struct Found {
    /// By the number before it.
    prefix: Option<u16>,
    /// By its hash.
    hashed: Option<u16>,
}

/// Reads a key behind its first byte, and gives the key groups that it belongs into.
fn key<F: Fill>(
    stream: &mut Stream<F>,
    shape: &Shape<'_>,
    (first, prefix): (u8, usize),
    group: u16,
    max_parallelism: u16,
) -> Result<Found, ReadError> {
    let mut number = u16::from(first & !LAST_OF_STATE);
    if prefix == 2 {
        number = (number << 8) | u16::from(stream.u8()?);
    }
    let mut found = Found { prefix: (number != group).then_some(number), hashed: None };
    if matches!(shape.kind, Kind::Queue) {
        match shape.key.timer_parts() {
            Some((key, namespace)) => {
                stream.i64()?;
                found.hashed = pass_key(key, stream, group, max_parallelism)?;
                namespace.skip_value(stream)?;
            }
            None => shape.key.skip_value(stream)?,
        }
        return Ok(found);
    }
    let start = stream.offset();
    found.hashed = pass_key(shape.key, stream, group, max_parallelism)?;
    if shape.ambiguous {
        pass_length(stream, start)?;
    }
    if let Some(namespace) = shape.namespace {
        let start = stream.offset();
        namespace.skip_value(stream)?;
        if shape.ambiguous {
            pass_length(stream, start)?;
        }
    }
    if let Kind::Map(key, _) = &shape.kind {
        key.skip_value(stream)?;
    }
    Ok(found)
}

/// Compares the length of what was read since `start`, low byte first and as many bytes as it needs.
fn pass_length<F: Fill>(stream: &mut Stream<F>, start: u64) -> Result<(), ReadError> {
    let at = stream.offset();
    let mut length = at.saturating_sub(start);
    loop {
        if u64::from(stream.u8()?) != length & 0xff {
            return Err(stream.invalid_at(at, "the length behind a key or namespace is not its length"));
        }
        length >>= 8;
        if length == 0 {
            return Ok(());
        }
    }
}

fn value<F: Fill>(stream: &mut Stream<F>, kind: &Kind<'_>) -> Result<(), ReadError> {
    match kind {
        Kind::Queue => Ok(()),
        Kind::Value(value) => value.skip_value(stream),
        Kind::List(element) => {
            while stream.left() > 0 {
                element.skip_value(stream)?;
                if stream.left() == 0 {
                    return Ok(());
                }
                let at = stream.offset();
                if stream.u8()? != DELIMITER || stream.left() == 0 {
                    return Err(stream.invalid_at(at, "no comma between the elements of a list"));
                }
            }
            Ok(())
        }
        Kind::Map(_, value) => match stream.flag()? {
            false => value.skip_value(stream),
            // `RocksDBMapState` writes the value of a null as well.
            true => stream.skip(stream.left()),
        },
    }
}
