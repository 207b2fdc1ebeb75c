//! Streams of keyed state, of either body: which it is, where its key groups are, and the walk over them.

use super::findings::{Findings, Progress, damage};
use super::frames::{self, FRAMES, Frames};
use super::head::{self, HEAD};
use super::{canonical, described, heap};
use crate::model::KeyGroupRange;
use crate::model::damage::{Checked, Effect};
use crate::model::handle::{KeyGroups, KeyGroupsKind};
use crate::state::keyed::{KeyedBody, KeyedHeader};
use crate::wire::stream::{Fill, Plain};
use crate::wire::{DecodeError, Input, ReadAt, ReadError, Stream};
use std::io;

/// What is known of a stream of keyed state.
#[derive(Debug)]
pub struct KeyedSummary {
    /// What is wrong.
    pub checked: Checked,
    /// The key and the states, where they could be read.
    pub header: Option<KeyedHeader>,
    /// Entries, and elements of priority queues, that were passed over.
    pub entries: u64,
    /// The body behind the head.
    pub body: KeyedBody,
}

/// Key groups whose entries reach into the next one are followed there so many times: Flink would go on as well, but a
/// bad file could make that a walk over all of it for every key group.
const OVERRUNS: u32 = 16;

/// Where a key group lies in a stream.
pub(super) struct Place {
    pub(super) group: i32,
    pub(super) start: u64,
    /// Where the next one starts, or the stream ends.
    pub(super) end: u64,
}

/// What the bodies need to know and tell while they are walked over.
pub(super) struct Walk<'w> {
    pub(super) header: &'w KeyedHeader,
    pub(super) max_parallelism: u16,
    /// The key groups of the handle.
    pub(super) range: KeyGroupRange,
    pub(super) findings: &'w mut Findings,
    pub(super) entries: u64,
    /// The key group that is read, for people.
    pub(super) section: String,
    /// Whether the bytes were written by a database, whose entries are in the order of their keys.
    pub(super) sorted: bool,
}

/// A stream whose offsets have a place in the file.
pub(super) trait Located: Input<Error = ReadError> {
    /// The offset in the file of an offset in the stream, and where it is not the same, the latter for people.
    fn place(&self, offset: u64) -> (u64, String);

    /// What the stream has passed over and no writer writes.
    fn oddities(&mut self) -> Vec<(u64, String)>;
}

impl Located for Stream<Plain<'_>> {
    fn place(&self, offset: u64) -> (u64, String) {
        (offset, String::new())
    }

    fn oddities(&mut self) -> Vec<(u64, String)> {
        self.take_odd().into_iter().map(|(at, what)| (at, what.to_owned())).collect()
    }
}

impl Located for Stream<Frames<'_>> {
    fn place(&self, offset: u64) -> (u64, String) {
        (self.filler().frame(), format!(" (byte {offset} of what is compressed)"))
    }

    fn oddities(&mut self) -> Vec<(u64, String)> {
        let frame = self.filler().frame();
        let inside = self.take_odd().into_iter();
        let inside = inside.map(|(at, what)| (frame, format!("{what} (byte {at} of what is compressed)")));
        let mut all: Vec<_> = inside.collect();
        all.extend(self.filler_mut().take_odd().into_iter().map(|(at, what)| (at, what.to_owned())));
        all
    }
}

impl Walk<'_> {
    /// Adds a damage at an offset of the stream.
    #[cold]
    pub(super) fn add(&mut self, effect: Effect, stream: &impl Located, offset: u64, problem: impl ToString) {
        let (at, more) = stream.place(offset);
        self.findings.add(effect, &self.section, at, format!("{}{more}", problem.to_string()));
    }

    /// Adds what ended the reading of a stream.
    #[cold]
    pub(super) fn error(&mut self, effect: Effect, stream: &impl Located, error: &DecodeError) {
        match error.section == FRAMES {
            true => self.findings.error(effect, &self.section, error.offset, error),
            false => {
                let before = self.findings.count();
                let (at, more) = stream.place(error.offset);
                self.findings.error(effect, &self.section, at, error);
                if self.findings.count() > before {
                    self.findings.amend(&more);
                }
            }
        }
    }

    /// Adds what the stream has noted.
    pub(super) fn oddities(&mut self, stream: &mut impl Located) {
        for (at, what) in stream.oddities() {
            self.findings.add(Effect::Starts, &self.section, at, what);
        }
    }
}

/// Checks a stream of keyed state, of the hash map backend, of a full checkpoint of a database or of a savepoint.
/// `groups` is what the handle says of it, and the maximum parallelism that of the operator.
///
/// # Errors
/// When the storage fails.
pub fn keyed_stream(
    source: &dyn ReadAt,
    groups: &KeyGroups<'_>,
    max_parallelism: i32,
    progress: &dyn Fn(u64),
) -> io::Result<KeyedSummary> {
    let body = match groups.kind {
        KeyGroupsKind::Savepoint => Some(KeyedBody::Canonical),
        KeyGroupsKind::Plain | KeyGroupsKind::WithId(_) => body_of(source, groups)?,
    };
    let told = Progress::new(progress);
    let first = keyed(source, groups, max_parallelism, body.unwrap_or(KeyedBody::Heap), &|more| told.more(more))?;
    told.finish(source.size());
    if body.is_some() || !first.checked.damages.iter().any(|damage| damage.effect == Effect::Fails) {
        return Ok(first);
    }
    let other = keyed(source, groups, max_parallelism, KeyedBody::Canonical, &|_| {})?;
    Ok(if other.checked.damages.is_empty() { other } else { first })
}

/// Tells the body from where key groups start, by what most of them have there; `None` where either would do.
fn body_of(source: &dyn ReadAt, groups: &KeyGroups<'_>) -> io::Result<Option<KeyedBody>> {
    // More than that would be a request for each to storage that is far away.
    const ASKED: usize = 9;
    let numbered = groups.numbered();
    if numbered.clone().any(|(_, offset)| offset == 0) {
        return Ok(Some(KeyedBody::Canonical));
    }
    let (mut heap, mut asked) = (0_usize, 0_usize);
    for (group, offset) in numbered.filter(|(group, _)| *group != 0).take(ASKED) {
        let mut number = [0; 4];
        let Ok(offset) = u64::try_from(offset) else { continue };
        if source.read_at(offset, &mut number)? == number.len() {
            asked = asked.saturating_add(1);
            heap = heap.saturating_add(usize::from(i32::from_be_bytes(number) == group));
        }
    }
    Ok(match asked {
        0 => None,
        _ if heap.saturating_mul(2) >= asked => Some(KeyedBody::Heap),
        _ => Some(KeyedBody::Canonical),
    })
}

fn keyed(
    source: &dyn ReadAt,
    groups: &KeyGroups<'_>,
    max_parallelism: i32,
    body: KeyedBody,
    progress: &dyn Fn(u64),
) -> io::Result<KeyedSummary> {
    let mut findings = Findings::default();
    let flag = head::flag(source, 4, 6, &mut findings)?;
    let (header, end) = match head::read(source, "head of keyed state", KeyedHeader::read)? {
        Ok((header, end)) => (Some(header), end),
        Err(error) => {
            findings.error(Effect::Fails, HEAD, error.offset, &error);
            (None, 0)
        }
    };
    let places = places(source.size(), end, header.is_some(), groups, body, &mut findings);
    let compressed = header.as_ref().map_or(flag, |header| Some(header.compressed));
    let mut entries = 0;
    if let Some(header) = &header {
        described::judge_keyed(header, &mut findings);
        let max_parallelism = u16::try_from(max_parallelism).unwrap_or(u16::MAX);
        let sorted = body == KeyedBody::Canonical && groups.kind != KeyGroupsKind::Savepoint;
        let section = String::new();
        let range = groups.range;
        let mut walk = Walk { header, max_parallelism, range, findings: &mut findings, entries: 0, section, sorted };
        walk_groups(source, &places, body, &mut walk, progress)?;
        entries = walk.entries;
    } else if body == KeyedBody::Heap {
        without_head(source, &places, compressed, &mut findings, progress)?;
    }
    Ok(KeyedSummary { checked: findings.into_checked(), header, entries, body })
}

/// The key groups in the order of the stream.
fn places(
    size: u64,
    head: u64,
    head_known: bool,
    groups: &KeyGroups<'_>,
    body: KeyedBody,
    findings: &mut Findings,
) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    for (group, offset) in groups.numbered() {
        // The canonical format has nothing of a key group without entries.
        if offset == 0 && body == KeyedBody::Canonical {
            continue;
        }
        match u64::try_from(offset) {
            Ok(start) if start < size => places.push(Place { group, start, end: size }),
            _ => {
                let problem = format!("it starts at byte {offset} of a stream of {size} bytes");
                findings.add(Effect::Fails, &section(group), size, problem);
            }
        }
    }
    places.sort_by_key(|place| place.start);
    let mut before = if head_known { Some(head) } else { None };
    let starts: Vec<u64> = places.iter().map(|place| place.start).collect();
    for (place, next) in places.iter_mut().zip(starts.iter().skip(1)) {
        place.end = *next;
    }
    for place in &places {
        if let Some(before) = before.take()
            && place.start != before
        {
            let problem = match place.start.checked_sub(before) {
                Some(gap) => format!("{gap} bytes between the head and the first key group"),
                None => format!("it starts at byte {}, within the head", place.start),
            };
            findings.add(Effect::Starts, &section(place.group), before, problem);
        }
        if place.end <= place.start {
            findings.add(Effect::Starts, &section(place.group), place.start, "another key group starts in its place");
        }
    }
    if let Some(before) = before
        && before < size
    {
        let gap = size.saturating_sub(before);
        findings.add(Effect::Starts, HEAD, before, format_args!("{gap} bytes behind it, and no key group"));
    }
    places
}

pub(super) fn section(group: i32) -> String {
    format!("key group {group}")
}

fn walk_groups(
    source: &dyn ReadAt,
    places: &[Place],
    body: KeyedBody,
    walk: &mut Walk<'_>,
    progress: &dyn Fn(u64),
) -> io::Result<()> {
    let mut plain = Stream::over(source, "keyed state", progress);
    let mut inside = walk.header.compressed.then(|| Frames::stream(source, progress));
    let heap = (body == KeyedBody::Heap).then(|| heap::Layouts::of(walk.header));
    let shapes = canonical::Shapes::of(walk.header, walk.sorted);
    let mut overruns = 0;
    let mut starts = Vec::new();
    for place in places {
        if walk.findings.is_full() {
            break;
        }
        walk.section = section(place.group);
        let mut start = place.start;
        // Flink does not know where a key group ends: it goes on reading.
        let end = if inside.is_none() && overruns < OVERRUNS { source.size() } else { place.end };
        if heap.is_some() {
            if !numbered(source, place, walk.findings)? {
                continue;
            }
            start = start.saturating_add(4);
        }
        if inside.is_none() {
            plain.seek(start, end);
        }
        let ended = match (&mut inside, &heap) {
            (Some(inside), heap) => {
                frames::restart(inside, start, place.end, false);
                let ended = match heap {
                    Some(layouts) => heap::states(inside, layouts, place.group, &mut starts, walk),
                    None => canonical::states(inside, &shapes, place.group, walk),
                };
                finish(inside, ended, &starts, walk)?;
                continue;
            }
            (None, Some(layouts)) => heap::states(&mut plain, layouts, place.group, &mut starts, walk),
            (None, None) => canonical::states(&mut plain, &shapes, place.group, walk),
        };
        walk.oddities(&mut plain);
        let at = plain.offset();
        match ended {
            Ok(()) if at == place.end => {}
            Ok(()) if at < place.end => {
                let left = place.end.saturating_sub(at);
                walk.add(Effect::Starts, &plain, at, format_args!("{left} bytes behind its end"));
            }
            Ok(()) => {
                overruns = overruns.saturating_add(1);
                let problem = format!("it ends at byte {at}, within another that starts at byte {}", place.end);
                walk.add(Effect::Starts, &plain, place.end, problem);
            }
            Err(error) => {
                let error = damage(error)?;
                overruns = overruns.saturating_add(u32::from(at > place.end));
                walk.error(Effect::Fails, &plain, &error);
                plain.seek(at.min(place.end), place.end);
                drain(&mut plain).map(|_| ()).or_else(|error| damage(error).map(|_| ()))?;
            }
        }
    }
    Ok(())
}

/// Compares the number at the start of a key group; `false` where there is none.
fn numbered(source: &dyn ReadAt, place: &Place, findings: &mut Findings) -> io::Result<bool> {
    let mut number = [0; 4];
    let count = source.read_at(place.start, &mut number)?;
    let number = i32::from_be_bytes(number);
    if count < 4 {
        findings.add(Effect::Fails, &section(place.group), place.start, "the stream ends in its number");
    } else if number != place.group {
        let problem = format!("key group {number} stands in the place of key group {}", place.group);
        findings.add(Effect::Fails, &section(place.group), place.start, problem);
    }
    Ok(count == 4)
}

/// Reads the rest of a stream for its checksums.
fn finish(
    stream: &mut Stream<Frames<'_>>,
    ended: Result<(), ReadError>,
    starts: &[u64],
    walk: &mut Walk<'_>,
) -> io::Result<()> {
    let mut effect = Effect::Starts;
    // The hash map backend compresses every state of a key group for itself (`HeapSnapshotStrategy`).
    let known = if ended.is_ok() { u64::MAX } else { stream.offset() };
    if let Err(error) = ended {
        let error = damage(error)?;
        walk.error(Effect::Fails, stream, &error);
        if error.section == FRAMES {
            return Ok(());
        }
        effect = Effect::Fails;
    }
    let at = stream.offset();
    match drain(stream).map_err(damage) {
        Ok(left) => {
            if left > 0 && effect == Effect::Starts {
                walk.add(Effect::Starts, stream, at, format_args!("{left} bytes behind its end"));
            }
        }
        Err(error) => walk.error(effect, stream, &*error?),
    }
    stream.filler_mut().expect(starts, known);
    walk.oddities(stream);
    Ok(())
}

/// Passes over the rest of a stream, and says how much it was.
pub(super) fn drain<F: Fill>(stream: &mut Stream<F>) -> Result<u64, ReadError> {
    let mut count = 0_u64;
    loop {
        let at_hand = stream.window()?.len();
        if at_hand == 0 {
            return Ok(count);
        }
        stream.advance(at_hand);
        count = count.saturating_add(at_hand as u64);
    }
}

/// What can be checked of the hash map backend's body where the head could not be read: the numbers of key groups and
/// the frames behind them.
fn without_head(
    source: &dyn ReadAt,
    places: &[Place],
    compressed: Option<bool>,
    findings: &mut Findings,
    progress: &dyn Fn(u64),
) -> io::Result<()> {
    let mut inside = (compressed == Some(true)).then(|| Frames::stream(source, progress));
    for place in places {
        let name = section(place.group);
        if !numbered(source, place, findings)? {
            continue;
        }
        let Some(inside) = &mut inside else { continue };
        frames::restart(inside, place.start.saturating_add(4), place.end, false);
        if let Err(error) = drain(inside).map_err(damage) {
            let error = error?;
            findings.error(Effect::Fails, &name, error.offset, &error);
        }
        // Where states start is not known.
        inside.filler_mut().expect(&[], 0);
        for (at, what) in inside.oddities() {
            findings.add(Effect::Starts, &name, at, what);
        }
    }
    Ok(())
}
