//! What is in a change of a changelog segment, as far as the set of changes that it stands in describes its state
//! (`AbstractStateChangeLogger`, `ChangelogBackendLogApplier`).
//!
//! A writer puts the description of a state before its first change; later sets do without. The serializer of keys is in
//! no description but those of timers, so that a set without any is passed over.

use crate::state::meta::{BackendStateType, KeyedStateType, StateMeta};
use crate::state::serializer::SerializerSnapshot;
use crate::wire::stream::Fill;
use crate::wire::{Input, Problem, ReadError, Reader, Stream};
use std::collections::BTreeMap;

/// `StateChangeOperation.METADATA`; all others are less.
pub(super) const METADATA: u8 = 8;
/// `StateMetaInfoSnapshotReadersWriters.CURRENT_STATE_META_INFO_SNAPSHOT_VERSION`, and the one before it, which is the same.
const VERSIONS: std::ops::RangeInclusive<i32> = 6..=7;
/// A description that is longer is not looked into.
const LONGEST: usize = 64 << 10;

/// The states that a set has described so far.
pub(super) struct States {
    known: BTreeMap<u16, StateMeta>,
    key: Option<SerializerSnapshot>,
    /// Whether no set before it can have described any.
    is_first: bool,
    /// Whether a description could not be read.
    lacks_some: bool,
}

impl States {
    /// Those at the start of a set.
    pub(super) fn of_set(is_first: bool) -> Self {
        States { known: BTreeMap::new(), key: None, is_first, lacks_some: false }
    }

    /// Whether none was described, so that there is nothing to be told of changes.
    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Reads what stands behind the operation of a change, whose end the stream is limited to.
    ///
    /// # Errors
    /// What keeps Flink from applying it, or chkctl from reading it.
    pub(super) fn read<F: Fill>(&mut self, stream: &mut Stream<F>, operation: u8) -> Result<(), ReadError> {
        match operation {
            METADATA => {
                let read = self.describe(stream);
                self.lacks_some |= read.is_err();
                read
            }
            _ => self.apply(stream, operation),
        }
    }

    fn describe<F: Fill>(&mut self, stream: &mut Stream<F>) -> Result<(), ReadError> {
        let at = stream.offset();
        let version = stream.i32()?;
        if !VERSIONS.contains(&version) {
            let problem =
                crate::state::serializer::other_version(version, format!("version {version} of a description"));
            return Err(stream.error_at(at, problem));
        }
        let length = stream.left();
        stream.gather(LONGEST)?;
        let at = stream.offset();
        let bytes = stream.at_hand();
        let short = (bytes.len() as u64) < length;
        let mut reader = Reader::new(bytes, "changes");
        let read = StateMeta::read(&mut reader);
        let behind = reader.offset();
        let state = match read {
            Ok(state) => state,
            Err(error) => {
                let problem = match error.problem {
                    Problem::Truncated { .. } | Problem::ImpossibleCount { .. } if short => {
                        Problem::TooMany { what: "bytes of a description", limit: LONGEST }
                    }
                    problem => problem,
                };
                return Err(stream.error_at(at.saturating_add(error.offset), problem));
            }
        };
        stream.skip(behind)?;
        match state.kind {
            BackendStateType::KeyValue => {
                if stream.flag()? {
                    let what = format!("the time to live of state {:?}", state.name);
                    return Err(stream.error_at(stream.offset(), Problem::OnlyJava(what)));
                }
                let has_default = stream.flag()?;
                match state.value() {
                    Some(value) if has_default => value.skip_value(stream)?,
                    Some(_) => {}
                    None => return Err(stream.invalid_at(at, "a state without a serializer of values")),
                }
                if state.namespace().is_none() {
                    return Err(stream.invalid_at(at, "a state without a serializer of namespaces"));
                }
            }
            BackendStateType::PriorityQueue if state.value().is_none() => {
                return Err(stream.invalid_at(at, "a queue without a serializer of elements"));
            }
            BackendStateType::PriorityQueue => {}
            BackendStateType::Operator | BackendStateType::Broadcast => {
                return Err(stream.invalid_at(at, "a description of what is no keyed state"));
            }
            BackendStateType::KeyValueV2 => {
                let what = format!("state {:?} of the asynchronous interface", state.name);
                return Err(stream.error_at(at, Problem::OnlyJava(what)));
            }
        }
        let id = stream.u16()?;
        let at = stream.offset();
        let kind = stream.u8()?;
        let wanted = if state.kind == BackendStateType::PriorityQueue { 3 } else { 0 };
        if kind != wanted {
            return Err(stream.invalid_at(at, format_args!("kind {kind} of a state that is of kind {wanted}")));
        }
        if let Some((key, _)) = state.value().and_then(SerializerSnapshot::timer_parts) {
            self.key = Some(key.clone());
        }
        self.known.insert(id, state);
        Ok(())
    }

    fn apply<F: Fill>(&self, stream: &mut Stream<F>, operation: u8) -> Result<(), ReadError> {
        let at = stream.offset();
        let id = stream.u16()?;
        let Some(state) = self.known.get(&id) else {
            // Without any description it may be that of an old release, which did not write them anew.
            if self.is_first && !self.lacks_some && !self.known.is_empty() {
                return Err(stream.invalid_at(at, format_args!("a change of state {id}, which was not described")));
            }
            return unknown(stream, "a state that is described elsewhere");
        };
        let Some(value) = state.value() else { return Ok(()) };
        let unsupported = |stream: &Stream<F>| {
            let at = stream.offset();
            Err(stream.invalid_at(at, format_args!("operation {operation} on state {:?}", state.name)))
        };
        if state.kind == BackendStateType::PriorityQueue {
            let count = match operation {
                5 => u64::try_from(stream.i32()?).unwrap_or(0),
                7 => 1,
                _ => return unsupported(stream),
            };
            for _ in 0..count {
                match value.timer_parts() {
                    Some((key, namespace)) => {
                        stream.i64()?;
                        pass_key(key, stream)?;
                        namespace.skip_value(stream)?;
                    }
                    None => value.skip_value(stream)?,
                }
            }
            return Ok(());
        }
        let (Some(key), Some(namespace)) = (&self.key, state.namespace()) else {
            return unknown(stream, "keys whose serializer is in another file");
        };
        pass_key(key, stream)?;
        namespace.skip_value(stream)?;
        let kind = state.keyed_type();
        match (kind, value.nested(), operation) {
            (_, _, 0) => Ok(()),
            (KeyedStateType::Value, _, 1) => value.skip_value(stream),
            (KeyedStateType::Reducing | KeyedStateType::Aggregating, _, 1 | 2) => value.skip_value(stream),
            (KeyedStateType::List, _, 1..=3) => value.skip_value(stream),
            (KeyedStateType::List, [element], 5) => element.skip_value(stream),
            (KeyedStateType::List | KeyedStateType::Reducing | KeyedStateType::Aggregating, _, 4) => {
                namespace.skip_value(stream)?;
                let count = stream.count("the number of merged namespaces", 1)?;
                (0..count).try_for_each(|_| namespace.skip_value(stream))
            }
            (KeyedStateType::Map, _, 3) => value.skip_value(stream),
            (KeyedStateType::Map, [key, value], 5 | 6) => {
                key.skip_value(stream)?;
                value.skip_value(stream)
            }
            (KeyedStateType::Map, [key, _], 7) => key.skip_value(stream),
            (KeyedStateType::Unknown | KeyedStateType::Folding, _, _) => unsupported(stream),
            (KeyedStateType::List | KeyedStateType::Map, [], _) => unknown(stream, "a collection of an unknown kind"),
            _ => unsupported(stream),
        }
    }
}

fn unknown<F: Fill>(stream: &Stream<F>, what: &str) -> Result<(), ReadError> {
    Err(stream.error_at(stream.offset(), Problem::OnlyJava(what.to_owned())))
}

/// Passes over a key, of which a null is none (`KeyGroupRangeAssignment.assignToKeyGroup`).
fn pass_key<F: Fill>(key: &SerializerSnapshot, stream: &mut Stream<F>) -> Result<(), ReadError> {
    if key.is_string() && stream.window()?.first() == Some(&0) {
        return Err(stream.invalid_at(stream.offset(), "a key that is null"));
    }
    key.skip_value(stream)
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "tests may panic")]
mod tests {
    use super::*;
    use crate::wire::put;

    /// The description of a state of values and of its timers, which have the numbers 0 and 1.
    fn described(is_first: bool) -> States {
        let mut states = States::of_set(is_first);
        let value = SerializerSnapshot::string();
        let namespace = SerializerSnapshot::void_namespace();
        let timer = SerializerSnapshot::timer(SerializerSnapshot::int(), namespace.clone());
        let of_values = StateMeta::key_value("values", KeyedStateType::Value, namespace, value);
        let metas = [(0, of_values), (1, StateMeta::priority_queue("timers", timer))];
        for (id, meta) in metas {
            let mut bytes = Vec::new();
            put::i32(&mut bytes, 7);
            meta.write(&mut bytes).expect("it fits");
            let behind: &[u8] = if id == 0 { &[0, 0, 0, 0, 0] } else { &[0, 1, 3] };
            bytes.extend_from_slice(behind);
            assert_eq!(read(&mut states, &bytes, METADATA), Ok(0), "a description");
        }
        states
    }

    /// What is left behind a change, or what is wrong with it.
    fn read(states: &mut States, bytes: &[u8], operation: u8) -> Result<u64, Problem> {
        let mut stream = Stream::over(&bytes, "test", &|_| {});
        match states.read(&mut stream, operation) {
            Ok(()) => Ok(stream.left()),
            Err(ReadError::Damaged(error)) => Err(error.problem),
            Err(ReadError::Io(error)) => panic!("{error}"),
        }
    }

    #[test]
    fn changes_are_read_with_the_serializers_of_their_descriptions() {
        let mut states = described(true);
        let set = [&[0, 0][..], &[0, 0, 0, 9], &[0], &[3, b'a', b'b']].concat();
        assert_eq!(read(&mut states, &set, 1), Ok(0));
        let timer = [&[0, 1][..], &[0, 0, 0, 1], &[0; 8], &[0, 0, 0, 9], &[0]].concat();
        assert_eq!(read(&mut states, &timer, 5), Ok(0));
        for length in 0..set.len() {
            assert!(read(&mut states, set.get(..length).unwrap_or_default(), 1).is_err(), "cut at {length}");
        }
        let longer = [&[0, 0][..], &[0, 0, 0, 9], &[0], &[4, b'a', b'b']].concat();
        assert!(matches!(read(&mut states, &longer, 1), Err(Problem::ImpossibleCount { .. })));
        assert!(
            matches!(read(&mut states, &set, 7), Err(Problem::Invalid(_))),
            "no removal of an element from a value"
        );
    }

    #[test]
    fn only_a_first_set_has_to_describe_its_states() {
        assert!(matches!(read(&mut described(true), &[0, 2, 0], 1), Err(Problem::Invalid(_))));
        assert!(matches!(read(&mut described(false), &[0, 2, 0], 1), Err(Problem::OnlyJava(_))));
        assert!(matches!(read(&mut States::of_set(true), &[0, 2, 0], 1), Err(Problem::OnlyJava(_))));
    }
}
