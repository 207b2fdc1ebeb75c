//! States with their types, as the heads of state files have them (`--deep`).

use crate::state::meta::{BackendStateType, StateMeta};
use crate::survey::heads::Heads;
use serde::Serialize;
use std::collections::BTreeMap;

/// A state whose type is another one, or that only one of two snapshots has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TypeChange {
    /// Its name; `(key)` for the keys of keyed state.
    pub state: String,
    /// What it is in the first snapshot, in words; null where it is not there.
    pub a: Option<String>,
    /// What it is in the second.
    pub b: Option<String>,
}

/// Differences between the heads of an operator in two snapshots. Heads that were not read, or whose serializers are not
/// known here, say nothing, and differ in nothing.
pub(super) fn compare(a: &Heads, b: &Heads) -> Vec<TypeChange> {
    let mut changes = Vec::new();
    if let (Some(a), Some(b)) = (&a.keyed_header, &b.keyed_header) {
        let of = |head: &crate::state::keyed::KeyedHeader| {
            let key = [("(key)".to_owned(), head.key.describe())];
            key.into_iter().chain(head.states.iter().map(named)).collect()
        };
        add(&mut changes, of(a), of(b));
    }
    if let (Some(a), Some(b)) = (&a.operator_header, &b.operator_header) {
        let of = |head: &crate::state::operator::OperatorHeader| {
            head.lists.iter().chain(&head.broadcasts).map(named).collect()
        };
        add(&mut changes, of(a), of(b));
    }
    changes
}

/// The names of keyed states.
pub(super) fn keyed_names(heads: &Heads) -> Vec<String> {
    let states = heads.keyed_header.as_ref().map(|head| head.states.as_slice()).unwrap_or_default();
    let mut names: Vec<String> = states.iter().map(|state| state.name.clone()).collect();
    names.sort();
    names
}

fn add(changes: &mut Vec<TypeChange>, mut a: BTreeMap<String, String>, b: BTreeMap<String, String>) {
    for (state, now) in b {
        let before = a.remove(&state);
        if before.as_ref() != Some(&now) {
            changes.push(TypeChange { state, a: before, b: Some(now) });
        }
    }
    changes.extend(a.into_iter().map(|(state, before)| TypeChange { state, a: Some(before), b: None }));
}

fn named(state: &StateMeta) -> (String, String) {
    let kind = match state.kind {
        BackendStateType::KeyValue | BackendStateType::KeyValueV2 => state.keyed_type().name(),
        BackendStateType::Operator | BackendStateType::Broadcast => {
            state.distribution().map_or("operator state", |mode| mode.name())
        }
        BackendStateType::PriorityQueue => "timers",
    };
    let mut text = kind.to_owned();
    if let Some(key) = state.broadcast_key() {
        text.push_str(&format!(" {} →", key.describe()));
    }
    if let Some(value) = state.value() {
        text.push_str(&format!(" {}", value.describe()));
    }
    match state.namespace().map(|namespace| namespace.describe()) {
        Some(namespace) if namespace != "VoidNamespace" => text.push_str(&format!(", by {namespace}")),
        _ => {}
    }
    (state.name.clone(), text)
}
