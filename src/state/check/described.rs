//! The states that a head describes, judged by what Flink does with the descriptions
//! (`HeapMetaInfoRestoreOperation`, `OperatorStateRestoreOperation`, `RegisteredKeyValueStateBackendMetaInfo`,
//! `RegisteredPriorityQueueStateBackendMetaInfo`, `RegisteredOperatorStateBackendMetaInfo`,
//! `RegisteredBroadcastStateBackendMetaInfo`; Flink 1.18, 1.20 and 2.3).

use super::findings::Findings;
use super::head::HEAD;
use crate::model::damage::Effect;
use crate::state::keyed::KeyedHeader;
use crate::state::meta::{BackendStateType, KeyedStateType, StateMeta};
use std::collections::BTreeSet;

/// `InternalTimeServiceManagerImpl.EVENT_TIMER_PREFIX` and `PROCESSING_TIMER_PREFIX`; every service has a queue of
/// either kind (`getInternalTimerService`).
const TIMERS: [&str; 2] = ["_timer_state/event_", "_timer_state/processing_"];

/// Where a stream of keyed state goes on: a description that fails Flink's restore, and what only looks wrong.
pub(super) fn judge_keyed(header: &KeyedHeader, findings: &mut Findings) {
    judge_names(&header.states, findings);
    header.key.judge(&mut |effect, problem| findings.add(effect, HEAD, 0, format_args!("keys: {problem}")));
    for state in &header.states {
        if let Some(problem) = wrong_keyed(header, state) {
            findings.add(Effect::Fails, HEAD, 0, format_args!("state {:?}: {problem}", state.name));
        }
        judge_parts(state, findings);
        if state.kind == BackendStateType::PriorityQueue {
            judge_timers(state, &header.states, findings);
        }
    }
}

fn wrong_keyed(header: &KeyedHeader, state: &StateMeta) -> Option<&'static str> {
    use BackendStateType::{Broadcast, KeyValue, KeyValueV2, Operator, PriorityQueue};
    match state.kind {
        KeyValue | KeyValueV2 if state.value().is_none() => Some("it has no serializer of values"),
        KeyValue | KeyValueV2 if state.namespace().is_none() => Some("it has no serializer of namespaces"),
        KeyValue | KeyValueV2 if !state.has_keyed_type() => Some("its kind of keyed state is none of Flink's"),
        // The descriptor of a job has such a serializer, with which nothing else is compatible.
        KeyValue => match (state.keyed_type(), state.value()?) {
            (KeyedStateType::List, value) if !value.is_list() => Some("it is list state, its values are no lists"),
            (KeyedStateType::Map, value) if !value.is_map() => Some("it is map state, its values are no maps"),
            _ => None,
        },
        PriorityQueue if state.value().is_none() => Some("it has no serializer of elements"),
        PriorityQueue => {
            let (key, _) = state.value()?.timer_parts()?;
            (!key.is_alike(&header.key)).then_some("the keys of its timers are not those of the stream")
        }
        Operator | Broadcast => Some("it is no keyed state"),
        KeyValueV2 => None,
    }
}

/// Queues are those of timers; under another name Flink does not look for them, and the job goes on without.
fn judge_timers(state: &StateMeta, states: &[StateMeta], findings: &mut Findings) {
    let name = &state.name;
    let other = TIMERS.iter().zip(TIMERS.iter().rev()).find_map(|(prefix, other)| {
        let service = name.strip_prefix(prefix)?;
        Some(format!("{other}{service}"))
    });
    match other {
        None => findings.add(Effect::Starts, HEAD, 0, format_args!("state {name:?}: timers never have such a name")),
        Some(other) if !states.iter().any(|state| state.name == other) => {
            let problem = format!("state {name:?} without {other:?}, though timers always have both");
            findings.add(Effect::Starts, HEAD, 0, problem);
        }
        Some(_) => {}
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
        judge_parts(state, findings);
    }
}

/// The serializers, options and roles of a state.
fn judge_parts(state: &StateMeta, findings: &mut Findings) {
    for (_, serializer) in &state.serializers {
        serializer.judge(&mut |effect, problem| {
            findings.add(effect, HEAD, 0, format_args!("state {:?}: {problem}", state.name));
        });
    }
    if let Some(unknown) = state.unknown_part() {
        let problem = format!("state {:?} has {unknown:?}, which Flink never asks for", state.name);
        findings.add(Effect::Starts, HEAD, 0, problem);
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
