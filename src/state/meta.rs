//! The description of one named state (`StateMetaInfoSnapshot`), the same for keyed and operator state.

use super::serializer::SerializerSnapshot;
use crate::model::DistributionMode;
use crate::wire::put;
use crate::wire::{Decoded, EncodeError, Problem, Reader};

/// What kind of thing a state is (`StateMetaInfoSnapshot.BackendStateType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackendStateType {
    /// Keyed state.
    KeyValue,
    /// List state of an operator.
    Operator,
    /// Broadcast state of an operator.
    Broadcast,
    /// Timers.
    PriorityQueue,
    /// Keyed state of the asynchronous interface of Flink 2.
    KeyValueV2,
}

/// The kinds of keyed state (`StateDescriptor.Type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyedStateType {
    /// `UNKNOWN`, which files written before the kind was stored have.
    Unknown,
    /// `ValueState`.
    Value,
    /// `ListState`.
    List,
    /// `ReducingState`.
    Reducing,
    /// `FoldingState`, of Flink up to 1.8.
    Folding,
    /// `AggregatingState`.
    Aggregating,
    /// `MapState`.
    Map,
}

impl KeyedStateType {
    const ALL: [(KeyedStateType, &'static str); 7] = [
        (KeyedStateType::Unknown, "UNKNOWN"),
        (KeyedStateType::Value, "VALUE"),
        (KeyedStateType::List, "LIST"),
        (KeyedStateType::Reducing, "REDUCING"),
        (KeyedStateType::Folding, "FOLDING"),
        (KeyedStateType::Aggregating, "AGGREGATING"),
        (KeyedStateType::Map, "MAP"),
    ];

    /// The name of Flink's constant.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("UNKNOWN", |(_, name)| name)
    }
}

const KEYED_STATE_TYPE: &str = "KEYED_STATE_TYPE";
const DISTRIBUTION_MODE: &str = "OPERATOR_STATE_DISTRIBUTION_MODE";
const KEY: &str = "KEY_SERIALIZER";
const NAMESPACE: &str = "NAMESPACE_SERIALIZER";
const VALUE: &str = "VALUE_SERIALIZER";
const USER_KEY: &str = "USER_KEY_SERIALIZER";

/// One named state: its kind, options and serializers, all in the order of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct StateMeta {
    /// The name, such as `count` or `_timer_state/event_user-timers`.
    pub name: String,
    /// The kind.
    pub kind: BackendStateType,
    /// Options by name (`CommonOptionsKeys`).
    pub options: Vec<(String, String)>,
    /// Serializers by role (`CommonSerializerKeys`).
    pub serializers: Vec<(String, SerializerSnapshot)>,
}

impl StateMeta {
    /// Keyed state. `value` is the serializer of the whole value: of list state that of the list, of map state that of
    /// the map.
    pub fn key_value(
        name: &str,
        kind: KeyedStateType,
        namespace: SerializerSnapshot,
        value: SerializerSnapshot,
    ) -> Self {
        StateMeta {
            name: name.to_owned(),
            kind: BackendStateType::KeyValue,
            options: vec![(KEYED_STATE_TYPE.to_owned(), kind.name().to_owned())],
            // In the order of the Java hash map, as Flink writes them.
            serializers: vec![(VALUE.to_owned(), value), (NAMESPACE.to_owned(), namespace)],
        }
    }

    /// Timers. `element` is usually [`SerializerSnapshot::timer`].
    pub fn priority_queue(name: &str, element: SerializerSnapshot) -> Self {
        StateMeta {
            name: name.to_owned(),
            kind: BackendStateType::PriorityQueue,
            options: Vec::new(),
            serializers: vec![(VALUE.to_owned(), element)],
        }
    }

    /// List state of an operator, with the serializer of its elements.
    pub fn operator_list(name: &str, mode: DistributionMode, element: SerializerSnapshot) -> Self {
        StateMeta {
            name: name.to_owned(),
            kind: BackendStateType::Operator,
            options: vec![(DISTRIBUTION_MODE.to_owned(), mode.name().to_owned())],
            serializers: vec![(VALUE.to_owned(), element)],
        }
    }

    /// Broadcast state of an operator.
    pub fn broadcast(name: &str, key: SerializerSnapshot, value: SerializerSnapshot) -> Self {
        StateMeta {
            name: name.to_owned(),
            kind: BackendStateType::Broadcast,
            options: vec![(DISTRIBUTION_MODE.to_owned(), DistributionMode::Broadcast.name().to_owned())],
            serializers: vec![(VALUE.to_owned(), value), (KEY.to_owned(), key)],
        }
    }

    fn serializer(&self, role: &str) -> Option<&SerializerSnapshot> {
        self.serializers.iter().find(|(name, _)| name == role).map(|(_, serializer)| serializer)
    }

    fn option(&self, key: &str) -> Option<&str> {
        self.options.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// The serializer of values: of keyed state, of the elements of operator list state, of timers.
    pub fn value(&self) -> Option<&SerializerSnapshot> {
        self.serializer(VALUE)
    }

    /// The serializer of namespaces, of keyed state.
    pub fn namespace(&self) -> Option<&SerializerSnapshot> {
        self.serializer(NAMESPACE)
    }

    /// The serializer of keys, of broadcast state.
    pub fn broadcast_key(&self) -> Option<&SerializerSnapshot> {
        self.serializer(KEY)
    }

    /// The kind of keyed state.
    pub fn keyed_type(&self) -> KeyedStateType {
        let name = self.option(KEYED_STATE_TYPE).unwrap_or_default();
        KeyedStateType::ALL.iter().find(|(_, other)| *other == name).map_or(KeyedStateType::Unknown, |(kind, _)| *kind)
    }

    /// Whether the kind of keyed state is one of Flink's (`StateDescriptor.Type.valueOf`).
    pub(super) fn has_keyed_type(&self) -> bool {
        let name = self.option(KEYED_STATE_TYPE);
        KeyedStateType::ALL.iter().any(|(_, known)| Some(*known) == name)
    }

    /// The name of an option or of the role of a serializer that is none of Flink's (`CommonOptionsKeys`,
    /// `CommonSerializerKeys`; the last of them is of Flink 2).
    pub(super) fn unknown_part(&self) -> Option<&str> {
        let options = self.options.iter().map(|(name, _)| (name, [KEYED_STATE_TYPE, DISTRIBUTION_MODE, "", ""]));
        let roles = self.serializers.iter().map(|(role, _)| (role, [KEY, NAMESPACE, VALUE, USER_KEY]));
        options.chain(roles).find(|(name, known)| !known.contains(&name.as_str())).map(|(name, _)| name.as_str())
    }

    /// How operator state is handed out.
    pub fn distribution(&self) -> Option<DistributionMode> {
        let name = self.option(DISTRIBUTION_MODE)?;
        [DistributionMode::SplitDistribute, DistributionMode::Union, DistributionMode::Broadcast]
            .into_iter()
            .find(|mode| mode.name() == name)
    }

    /// Whether two descriptions are of the same state with the same types.
    ///
    /// # Errors
    /// Says what does not fit.
    pub fn resolves_to(&self, wanted: &StateMeta) -> Result<(), String> {
        let named = |problem: String| format!("state {:?}: {problem}", self.name);
        if self.kind != wanted.kind {
            return Err(named(format!("it is {:?} in the snapshot, {:?} in the program", self.kind, wanted.kind)));
        }
        let (ours, theirs) = (self.keyed_type(), wanted.keyed_type());
        if ours != theirs && ours != KeyedStateType::Unknown {
            return Err(named(format!("it is {} in the snapshot, {} in the program", ours.name(), theirs.name())));
        }
        for (role, serializer) in &wanted.serializers {
            let found = self.serializer(role).ok_or_else(|| named(format!("the snapshot has no {role}")))?;
            found.resolves_to(serializer).map_err(named)?;
        }
        Ok(())
    }

    /// Appends the description (`StateMetaInfoSnapshotReadersWriters.CurrentWriterImpl`, versions 6 and 7).
    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        put::text(out, &self.name)?;
        // The place among Flink's constants (`ordinal`), not their code.
        put::i32(
            out,
            match self.kind {
                BackendStateType::KeyValue => 0,
                BackendStateType::Operator => 1,
                BackendStateType::Broadcast => 2,
                BackendStateType::PriorityQueue => 3,
                BackendStateType::KeyValueV2 => 4,
            },
        );
        put::count(out, "options", self.options.len())?;
        for (name, value) in &self.options {
            put::text(out, name)?;
            put::text(out, value)?;
        }
        put::count(out, "serializers", self.serializers.len())?;
        for (role, serializer) in &self.serializers {
            put::text(out, role)?;
            serializer.write(out)?;
        }
        Ok(())
    }

    /// Reads what [`StateMeta::write`] writes.
    pub(super) fn read(input: &mut Reader<'_>) -> Decoded<Self> {
        let name = input.utf()?.to_string();
        let at = input.offset();
        let kind = match input.i32()? {
            0 => BackendStateType::KeyValue,
            1 => BackendStateType::Operator,
            2 => BackendStateType::Broadcast,
            3 => BackendStateType::PriorityQueue,
            4 => BackendStateType::KeyValueV2,
            other => return Err(input.invalid_at(at, format_args!("state {name:?} is of the unknown kind {other}"))),
        };
        let at = input.offset();
        let count = input.count("the number of options", 4)?;
        most(input, at, count)?;
        let mut options = Vec::new();
        for _ in 0..count {
            options.push((input.utf()?.to_string(), input.utf()?.to_string()));
        }
        let at = input.offset();
        let count = input.count("the number of serializers", 12)?;
        most(input, at, count)?;
        let mut serializers = Vec::new();
        for _ in 0..count {
            let role = input.utf()?.to_string();
            serializers.push((role, SerializerSnapshot::read(input)?));
        }
        Ok(StateMeta { name, kind, options, serializers })
    }
}

/// No release has more than three options or serializers of a state.
const PARTS: usize = 16;

fn most(input: &Reader<'_>, at: u64, count: usize) -> Decoded<()> {
    match count {
        0..=PARTS => Ok(()),
        _ => Err(input.error_at(at, Problem::TooMany { what: "options or serializers of a state", limit: PARTS })),
    }
}

/// A list of states behind a 16-bit count.
pub(super) fn read_list(input: &mut Reader<'_>) -> Decoded<Vec<StateMeta>> {
    let at = input.offset();
    let count = input.u16()?.cast_signed();
    if count < 0 {
        return Err(input.invalid_at(at, format_args!("{count} states")));
    }
    (0..count).map(|_| StateMeta::read(input)).collect()
}

/// Appends states behind a 16-bit count.
pub(super) fn write_list(out: &mut Vec<u8>, states: &[StateMeta]) -> Result<(), EncodeError> {
    put::short_count(out, "states", states.len())?;
    states.iter().try_for_each(|state| state.write(out))
}
