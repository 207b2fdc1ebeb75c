//! The states of an operator with their types, as the heads of its state files have them (`inspect --deep`).

use super::Escaped;
use crate::state::meta::{BackendStateType, StateMeta};
use crate::state::serializer::SerializerSnapshot;
use crate::survey::heads::Heads;
use serde::Serialize;
use std::fmt::Write as _;

/// The snapshot of a serializer, with those of its parts.
#[derive(Serialize)]
pub struct SerializerJson<'s> {
    /// In the words of a Java programmer.
    r#type: String,
    class: &'s str,
    version: i32,
    nested: Vec<SerializerJson<'s>>,
}

impl<'s> From<&'s SerializerSnapshot> for SerializerJson<'s> {
    fn from(snapshot: &'s SerializerSnapshot) -> Self {
        SerializerJson {
            r#type: snapshot.describe(),
            class: snapshot.class(),
            version: snapshot.version(),
            nested: snapshot.nested().iter().map(SerializerJson::from).collect(),
        }
    }
}

#[derive(Serialize)]
struct StateJson<'s> {
    name: &'s str,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<SerializerJson<'s>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<SerializerJson<'s>>,
    value: Option<SerializerJson<'s>>,
}

/// What the heads of one operator's state files say, in JSON.
#[derive(Serialize)]
pub struct TypesJson<'h> {
    keyed_version: Option<i32>,
    operator_version: Option<i32>,
    compressed: Option<bool>,
    key: Option<SerializerJson<'h>>,
    keyed_states: Vec<StateJson<'h>>,
    operator_states: Vec<StateJson<'h>>,
    unread: &'h [String],
}

impl<'h> TypesJson<'h> {
    /// Of one operator.
    pub fn new(heads: &'h Heads) -> Self {
        let keyed = heads.keyed_header.as_ref();
        let operator = heads.operator_header.as_ref();
        let of_operator = operator.into_iter().flat_map(|head| head.lists.iter().chain(&head.broadcasts));
        TypesJson {
            keyed_version: heads.keyed,
            operator_version: heads.operator_state.map(|(version, _)| version),
            compressed: keyed.map(|head| head.compressed).or(heads.operator_state.map(|(_, compressed)| compressed)),
            key: keyed.map(|head| SerializerJson::from(&head.key)),
            keyed_states: keyed.into_iter().flat_map(|head| &head.states).map(state_json).collect(),
            operator_states: of_operator.map(state_json).collect(),
            unread: &heads.unread,
        }
    }
}

fn state_json(state: &StateMeta) -> StateJson<'_> {
    StateJson {
        name: &state.name,
        kind: kind(state.kind),
        state_type: state_type(state),
        mode: state.distribution().map(|mode| mode.name()),
        key: state.broadcast_key().map(SerializerJson::from),
        namespace: state.namespace().map(SerializerJson::from),
        value: state.value().map(SerializerJson::from),
    }
}

/// The name of Flink's constant.
fn kind(kind: BackendStateType) -> &'static str {
    match kind {
        BackendStateType::KeyValue => "KEY_VALUE",
        BackendStateType::Operator => "OPERATOR",
        BackendStateType::Broadcast => "BROADCAST",
        BackendStateType::PriorityQueue => "PRIORITY_QUEUE",
        BackendStateType::KeyValueV2 => "KEY_VALUE_V2",
    }
}

fn state_type(state: &StateMeta) -> Option<&'static str> {
    match state.kind {
        BackendStateType::KeyValue | BackendStateType::KeyValueV2 => Some(state.keyed_type().name()),
        BackendStateType::Operator | BackendStateType::Broadcast | BackendStateType::PriorityQueue => None,
    }
}

/// The same for people: a line for each state.
pub fn text(operators: &[(String, &Heads)]) -> String {
    let mut text = String::new();
    for (name, heads) in operators {
        let types = TypesJson::new(heads);
        let nothing = types.key.is_none() && types.operator_states.is_empty() && types.unread.is_empty();
        if nothing && heads.keyed.is_none() && heads.operator_state.is_none() {
            continue;
        }
        let _ = writeln!(text, "\n{}", Escaped(name));
        if let Some(key) = &types.key {
            let _ = writeln!(text, "  key {}", Escaped(&key.r#type));
        }
        let states = || types.keyed_states.iter().chain(&types.operator_states);
        let width = states().map(|state| state.name.chars().count().min(WIDEST_NAME)).max().unwrap_or(0);
        states().for_each(|state| line(&mut text, state, width));
        if (types.key.is_none() && heads.keyed.is_some())
            || (heads.operator_header.is_none() && heads.operator_state.is_some())
        {
            let _ = writeln!(text, "  a serializer that chkctl does not know: its states are not shown");
        }
        for why in types.unread {
            let _ = writeln!(text, "  not read: {}", Escaped(why));
        }
    }
    text
}

/// The names of timers have 35 characters.
const WIDEST_NAME: usize = 40;

fn line(text: &mut String, state: &StateJson<'_>, width: usize) {
    let what = state.state_type.or(state.mode).unwrap_or(state.kind);
    let _ = write!(text, "  {:<width$}  {what:<16}", Escaped(state.name).to_string());
    if let Some(key) = &state.key {
        let _ = write!(text, " {} →", Escaped(&key.r#type));
    }
    if let Some(value) = &state.value {
        let _ = write!(text, " {}", Escaped(&value.r#type));
    }
    match &state.namespace {
        Some(namespace) if namespace.r#type != "VoidNamespace" => {
            let _ = writeln!(text, ", by {}", Escaped(&namespace.r#type));
        }
        _ => text.push('\n'),
    }
}
