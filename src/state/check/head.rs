//! The heads of streams: read as a whole, since they are small, and judged by what Flink does with the descriptions in
//! them (`RegisteredKeyValueStateBackendMetaInfo`, `RegisteredPriorityQueueStateBackendMetaInfo`,
//! `RegisteredOperatorStateBackendMetaInfo`, `RegisteredBroadcastStateBackendMetaInfo`).

use super::findings::Findings;
use crate::model::damage::{Checked, Effect};
use crate::state::keyed::KeyedHeader;
use crate::state::meta::{BackendStateType, StateMeta};
use crate::wire::{DecodeError, Problem, ReadAt, Reader};
use std::collections::BTreeSet;
use std::io;

/// A head that is longer is not read. The largest of real jobs are of some ten thousand bytes.
const LONGEST: usize = 1 << 20;

/// The first bytes of a stream.
pub(super) struct Start {
    pub bytes: Vec<u8>,
    whole: bool,
}

impl Start {
    /// Reads as much as a head may take.
    pub(super) fn read(source: &dyn ReadAt, most: usize) -> io::Result<Self> {
        let size = usize::try_from(source.size()).unwrap_or(usize::MAX);
        let mut bytes = vec![0; size.min(most)];
        let count = source.read_at(0, &mut bytes)?;
        bytes.truncate(count);
        Ok(Start { whole: bytes.len() >= size || count < most, bytes })
    }

    fn error(&self, error: Box<DecodeError>) -> Box<DecodeError> {
        match error.problem {
            Problem::Truncated { .. } | Problem::ImpossibleCount { .. } if !self.whole => Box::new(DecodeError {
                problem: Problem::TooMany { what: "bytes of a head", limit: LONGEST },
                ..*error
            }),
            _ => error,
        }
    }
}

/// Reads a head, and gives where it ends.
pub(super) fn read<T>(
    source: &dyn ReadAt,
    section: &'static str,
    parse: impl Fn(&mut Reader<'_>) -> Result<T, Box<DecodeError>>,
) -> io::Result<Result<(T, u64), Box<DecodeError>>> {
    let mut most = 16 << 10;
    loop {
        let start = Start::read(source, most)?;
        let mut reader = Reader::new(&start.bytes, section);
        match parse(&mut reader) {
            Ok(head) => return Ok(Ok((head, reader.offset()))),
            Err(_) if !start.whole && most < LONGEST => most = most.saturating_mul(8).min(LONGEST),
            Err(error) => return Ok(Err(start.error(error))),
        }
    }
}

/// Where a stream of keyed state goes on: a description that fails Flink's restore, and what only looks wrong.
pub(super) fn judge_keyed(header: &KeyedHeader, findings: &mut Findings) {
    judge_names(&header.states, findings);
    for state in &header.states {
        let problem = match state.kind {
            BackendStateType::KeyValue | BackendStateType::KeyValueV2 if state.value().is_none() => {
                "it has no serializer of values"
            }
            BackendStateType::KeyValue | BackendStateType::KeyValueV2 if state.namespace().is_none() => {
                "it has no serializer of namespaces"
            }
            BackendStateType::KeyValue | BackendStateType::KeyValueV2 if !state.has_keyed_type() => {
                "its kind of keyed state is none of Flink's"
            }
            BackendStateType::PriorityQueue if state.value().is_none() => "it has no serializer of elements",
            BackendStateType::Operator | BackendStateType::Broadcast => "it is no keyed state",
            _ => continue,
        };
        findings.add(Effect::Fails, HEAD, 0, format_args!("state {:?}: {problem}", state.name));
    }
}

/// The same of operator state.
pub(super) fn judge_operator(lists: &[StateMeta], broadcasts: &[StateMeta], findings: &mut Findings) {
    judge_names(lists, findings);
    judge_names(broadcasts, findings);
    let wrong = |state: &StateMeta, kind: BackendStateType| match () {
        () if state.kind != kind => Some("it is not of the kind that its place is for"),
        () if state.value().is_none() => Some("it has no serializer of values"),
        () if kind == BackendStateType::Broadcast && state.broadcast_key().is_none() => {
            Some("it has no serializer of keys")
        }
        () if state.distribution().is_none() => Some("how it is handed out is none of Flink's ways"),
        () => None,
    };
    let lists = lists.iter().map(|state| (state, BackendStateType::Operator));
    let broadcasts = broadcasts.iter().map(|state| (state, BackendStateType::Broadcast));
    for (state, kind) in lists.chain(broadcasts) {
        if let Some(problem) = wrong(state, kind) {
            findings.add(Effect::Fails, HEAD, 0, format_args!("state {:?}: {problem}", state.name));
        }
    }
}

fn judge_names(states: &[StateMeta], findings: &mut Findings) {
    let mut seen = BTreeSet::new();
    for state in states {
        if !seen.insert(&state.name) {
            findings.add(Effect::Starts, HEAD, 0, format_args!("state {:?} is described twice", state.name));
        }
    }
}

pub(super) const HEAD: &str = "head";

/// What is known of the description of an embedded database.
#[derive(Debug)]
pub struct DatabaseSummary {
    /// What is wrong.
    pub checked: Checked,
    /// The key and the states, where they could be read.
    pub header: Option<KeyedHeader>,
}

/// Checks the description that an incremental checkpoint has beside the files of its database
/// (`IncrementalRemoteKeyedStateHandle.metaStateHandle`): a head of keyed state and nothing else.
///
/// # Errors
/// When the storage fails.
pub fn database_meta(source: &dyn ReadAt, progress: &dyn Fn(u64)) -> io::Result<DatabaseSummary> {
    let mut findings = Findings::default();
    let header = match read(source, "description of a database", KeyedHeader::read)? {
        Ok((header, end)) => {
            judge_keyed(&header, &mut findings);
            let left = source.size().saturating_sub(end);
            if left > 0 {
                findings.add(Effect::Starts, HEAD, end, format_args!("{left} bytes behind the end"));
            }
            Some(header)
        }
        Err(error) => {
            findings.error(Effect::Fails, HEAD, error.offset, &error);
            None
        }
    };
    flag(source, 4, 6, &mut findings)?;
    progress(source.size());
    Ok(DatabaseSummary { checked: findings.into_checked(), header })
}

/// Checks the flag for compression behind a version of at least `version`, and gives it.
pub(super) fn flag(source: &dyn ReadAt, at: u64, version: i32, findings: &mut Findings) -> io::Result<Option<bool>> {
    let mut start = [0; 5];
    if source.read_at(0, &mut start)? < start.len() {
        return Ok(None);
    }
    let [a, b, c, d, flag] = start;
    if i32::from_be_bytes([a, b, c, d]) != version {
        return Ok(None);
    }
    if flag > 1 {
        findings.add(Effect::Starts, HEAD, at, "a boolean that is neither 0 nor 1");
    }
    Ok(Some(flag != 0))
}
