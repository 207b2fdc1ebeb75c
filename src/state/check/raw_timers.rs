//! Raw keyed state that holds timers (`InternalTimeServiceManagerImpl.snapshotToRawKeyedState`): those of a timer service on
//! the heap beside a database, read as the deep survey reads all streams.
//!
//! Of every key group there are all timer services: name, serializers of key and namespace, and the timers of event time and
//! of processing time (`InternalTimerServiceSerializationProxy` of version 2, `InternalTimersSnapshotReaderWriters`). Raw
//! keyed state that does not start like that is an operator's own, of which nothing is known.

use super::findings::{Findings, Progress, damage};
use super::keyed::{Place, drain, section};
use super::layout::{Misplaced, is_opaque, pass_key};
use crate::model::damage::{Checked, Effect};
use crate::model::handle::KeyGroups;
use crate::state::serializer::SerializerSnapshot;
use crate::wire::stream::Plain;
use crate::wire::{DecodeError, Input, Problem, ReadAt, ReadError, Reader, Stream};
use std::collections::BTreeMap;
use std::io;

/// `PostVersionedIOReadableWritable.VERSIONED_IDENTIFIER`.
const IDENTIFIER: [u8; 4] = [0xf1, 0xcd, 0x85, 0x9f];
/// `InternalTimerServiceSerializationProxy.VERSION`.
const VERSION: i32 = 2;
/// `KeyedStateCheckpointOutputStream.NO_OFFSET_SET`, of a key group that nothing was written of.
const NO_OFFSET: i64 = -1;
/// The name of a service and its serializers take less.
const LONGEST: usize = 64 << 10;
/// No job has more timer services in one operator.
const SERVICES: i32 = 1 << 12;

/// How often a key group is followed into the next one; see the same of managed state.
const OVERRUNS: u32 = 16;

/// What was seen of the service of a name.
struct Service {
    key: SerializerSnapshot,
    namespace: SerializerSnapshot,
    groups: usize,
}

/// A walk over the key groups of a stream.
struct Walk<'w> {
    groups: &'w KeyGroups<'w>,
    max_parallelism: u16,
    findings: Findings,
    services: BTreeMap<String, Service>,
    /// Key groups that were read to their end.
    whole: usize,
    size: u64,
    /// Key groups that ended behind the start of the next.
    overruns: u32,
}

/// Checks a stream of raw keyed state; `None` where it holds no timers and nothing was looked at.
///
/// # Errors
/// When the storage fails.
pub fn raw_timers(
    source: &dyn ReadAt,
    groups: &KeyGroups<'_>,
    max_parallelism: i32,
    progress: &dyn Fn(u64),
) -> io::Result<Option<Checked>> {
    let mut walk = Walk {
        groups,
        max_parallelism: u16::try_from(max_parallelism).unwrap_or(u16::MAX),
        findings: Findings::default(),
        services: BTreeMap::new(),
        whole: 0,
        size: source.size(),
        overruns: 0,
    };
    let places = walk.places(source.size());
    if !holds_timers(source, &places)? {
        return Ok(None);
    }
    let told = Progress::new(progress);
    let tell = |more| told.more(more);
    let mut stream = Stream::over(source, "timers", &tell);
    for place in &places {
        if walk.findings.is_full() {
            break;
        }
        walk.key_group(&mut stream, place)?;
    }
    walk.compare_services();
    told.finish(source.size());
    Ok(Some(walk.findings.into_checked()))
}

/// Whether a key group starts as timers do. One changed byte of the only one must not make them something else.
fn holds_timers(source: &dyn ReadAt, places: &[Place]) -> io::Result<bool> {
    // Others of the same stream were written by the same code.
    const ASKED: usize = 4;
    for place in places.iter().take(ASKED) {
        let mut start = [0; 8];
        if source.read_at(place.start, &mut start)? < start.len() {
            continue;
        }
        let [a, b, c, d, version @ ..] = start;
        let changed = [a, b, c, d].iter().zip(IDENTIFIER).filter(|(found, wanted)| **found != *wanted).count();
        let version = i32::from_be_bytes(version);
        if changed == 0 || (changed == 1 && (1..=VERSION).contains(&version)) {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Walk<'_> {
    /// The key groups in the order of the stream.
    fn places(&mut self, size: u64) -> Vec<Place> {
        let mut places = Vec::new();
        for (group, offset) in self.groups.numbered() {
            if offset == NO_OFFSET {
                continue;
            }
            match u64::try_from(offset) {
                Ok(start) if start < size => places.push(Place { group, start, end: size }),
                _ => {
                    let problem = format!("it starts at byte {offset} of a stream of {size} bytes");
                    self.findings.add(Effect::Fails, &section(group), size, problem);
                }
            }
        }
        places.sort_by_key(|place| place.start);
        let starts: Vec<u64> = places.iter().map(|place| place.start).collect();
        for (place, next) in places.iter_mut().zip(starts.iter().skip(1)) {
            place.end = *next;
        }
        if let Some(first) = starts.first().filter(|first| **first > 0) {
            let problem = format!("{first} bytes before the first key group");
            self.findings.add(Effect::Starts, "timers", 0, problem);
        }
        places
    }

    fn key_group(&mut self, stream: &mut Stream<Plain<'_>>, place: &Place) -> io::Result<()> {
        let name = section(place.group);
        // Flink does not know where a key group ends.
        let end = if self.overruns < OVERRUNS { self.size } else { place.end };
        stream.seek(place.start, end);
        let read = self.services(stream, place, &name);
        for (at, what) in stream.take_odd() {
            self.findings.add(Effect::Starts, &name, at, what);
        }
        match read {
            Ok(()) => {
                self.whole = self.whole.saturating_add(1);
                let at = stream.offset();
                if at < place.end {
                    let left = place.end.saturating_sub(at);
                    self.findings.add(Effect::Starts, &name, at, format_args!("{left} bytes behind its end"));
                } else if at > place.end {
                    self.overruns = self.overruns.saturating_add(1);
                    let problem = format!("it ends at byte {at}, within another that starts at byte {}", place.end);
                    self.findings.add(Effect::Starts, &name, place.end, problem);
                }
            }
            Err(error) => {
                let error = damage(error)?;
                self.overruns = self.overruns.saturating_add(u32::from(stream.offset() > place.end));
                self.findings.error(Effect::Fails, &name, error.offset, &error);
                if is_opaque(&error) {
                    self.whole = self.whole.saturating_add(1);
                }
                stream.seek(stream.offset().min(place.end), place.end);
                drain(stream).map(|_| ()).or_else(|error| damage(error).map(|_| ()))?;
            }
        }
        Ok(())
    }

    /// Reads the services of a key group.
    fn services(&mut self, stream: &mut Stream<Plain<'_>>, place: &Place, name: &str) -> Result<(), ReadError> {
        let mut identifier = [0; 4];
        stream.copy(&mut identifier)?;
        if identifier != IDENTIFIER {
            // Flink takes the bytes for the number of services then, and wants a format that only releases before 1.5 wrote.
            return match i32::from_be_bytes(identifier) {
                1.. => Err(stream.invalid_at(place.start, "timers do not start with their identifier")),
                _ => {
                    let problem = "timers do not start with their identifier, and Flink passes over all of them";
                    self.findings.add(Effect::Starts, name, place.start, problem);
                    stream.skip(place.end.saturating_sub(stream.offset()))
                }
            };
        }
        let at = stream.offset();
        match stream.i32()? {
            VERSION => {}
            1 => {
                let problem = "timers of version 1, as releases before 1.8 wrote them";
                return Err(stream.error_at(at, Problem::UnknownVersion(problem.to_owned())));
            }
            other => return Err(stream.invalid_at(at, format_args!("version {other} of timers"))),
        }
        let at = stream.offset();
        let count = stream.i32()?;
        if count < 0 {
            self.findings.add(
                Effect::Starts,
                name,
                at,
                format_args!("{count} timer services, which Flink takes for none"),
            );
        }
        if count > SERVICES {
            let (what, left) = ("the number of timer services", stream.left());
            return Err(stream.error_at(at, Problem::ImpossibleCount { what, count: count.into(), left }));
        }
        for _ in 0..count {
            self.service(stream, place, name)?;
        }
        Ok(())
    }

    /// Reads one service: its head and its timers.
    fn service(&mut self, stream: &mut Stream<Plain<'_>>, place: &Place, section: &str) -> Result<(), ReadError> {
        let at = stream.offset();
        let (name, key, namespace) = head(stream)?;
        let group = u16::try_from(place.group).unwrap_or(u16::MAX);
        let mut wrong = Misplaced::default();
        for what in ["the number of timers of event time", "the number of timers of processing time"] {
            // A key, a namespace, and the time.
            let count = stream.count(what, 8)?;
            for _ in 0..count {
                let at = stream.offset();
                let other = pass_key(&key, stream, group, self.max_parallelism)?;
                namespace.skip_value(stream)?;
                stream.i64()?;
                if let Some(other) = other {
                    wrong.note(at, !self.groups.range.has(other));
                }
            }
        }
        if let Some((effect, at, problem)) = wrong.problem("timers") {
            self.findings.add(effect, section, at, problem);
        }
        match self.services.get_mut(&name) {
            Some(known) => {
                known.groups = known.groups.saturating_add(1);
                if known.key != key || known.namespace != namespace {
                    let problem = format!("timer service {name:?} has other serializers than in the key groups before");
                    self.findings.add(Effect::Fails, section, at, problem);
                }
            }
            None => {
                self.services.insert(name, Service { key, namespace, groups: 1 });
            }
        }
        Ok(())
    }

    /// Every key group has all services: one that is not in all of them has a name that was changed.
    fn compare_services(&mut self) {
        for (name, service) in &self.services {
            if service.groups < self.whole {
                let problem = format!("timer service {name:?} is in {} of {} key groups", service.groups, self.whole);
                self.findings.add(Effect::Starts, "timers", 0, problem);
            }
        }
    }
}

/// Reads the name of a service and the serializers of its keys and namespaces.
fn head(stream: &mut Stream<Plain<'_>>) -> Result<(String, SerializerSnapshot, SerializerSnapshot), ReadError> {
    stream.gather(LONGEST)?;
    let at = stream.offset();
    let bytes = stream.at_hand();
    let (there, bytes) = (bytes.len(), bytes.get(..LONGEST.min(bytes.len())).unwrap_or_default());
    let mut reader = Reader::new(bytes, "timers");
    let mut read = || -> Result<_, Box<DecodeError>> {
        let name = reader.utf()?.to_string();
        let key = SerializerSnapshot::read_versioned(&mut reader)?;
        let namespace = SerializerSnapshot::read_versioned(&mut reader)?;
        Ok((name, key, namespace))
    };
    let read = read();
    let length = reader.offset();
    match read {
        Ok(head) => {
            stream.skip(length)?;
            Ok(head)
        }
        Err(error) => {
            let problem = match error.problem {
                Problem::Truncated { .. } | Problem::ImpossibleCount { .. } if there > LONGEST => {
                    Problem::TooMany { what: "bytes of the serializers of timers", limit: LONGEST }
                }
                problem => problem,
            };
            Err(stream.error_at(at.saturating_add(error.offset), problem))
        }
    }
}
