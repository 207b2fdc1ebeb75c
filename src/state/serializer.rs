//! Snapshots of serializers (`TypeSerializerSnapshot`): what a state file says of the types in it.
//!
//! A snapshot is the name of its Java class, a version, and what that class chose to write: nothing for the plain
//! types, the snapshots of the parts for the composite ones. There is no length, so a class that is not known here
//! cannot be passed over, and the error names it.

mod classes;
mod codec;
mod hash;
mod jdk;
mod opaque;
mod releases;
mod sound;
mod value;

pub(super) use codec::other_version;
pub(super) use hash::Piece;

use classes::{Composite, Plain, SIMPLE, Simple};
use std::borrow::Cow;
use std::fmt::Write as _;

/// The snapshot of a serializer.
#[derive(Debug, Clone, PartialEq)]
pub struct SerializerSnapshot {
    class: Cow<'static, str>,
    version: i32,
    content: Content,
}

/// What a snapshot holds behind its version.
#[derive(Debug, Clone, PartialEq)]
enum Content {
    /// `SimpleTypeSerializerSnapshot`.
    Simple(&'static Simple),
    /// `CompositeTypeSerializerSnapshot`.
    Composite { kind: &'static Composite, outer_version: i32, outer: Outer, nested: Vec<SerializerSnapshot> },
    /// `EnumSerializer.EnumSerializerSnapshot`: the class, and its constants in the order of their numbers.
    Enum { class: String, constants: Vec<String> },
    /// `PojoSerializerSnapshot` and `KryoSerializerSnapshot`.
    Opaque(opaque::Opaque),
}

/// What a composite snapshot says beyond its parts.
#[derive(Debug, Clone, PartialEq)]
enum Outer {
    Nothing,
    /// The class of the tuples.
    Class(String),
    /// Bytes that stand for a null in the place of a value.
    Padding(i32),
}

/// `SimpleTypeSerializerSnapshot.CURRENT_VERSION`.
const SIMPLE_VERSION: i32 = 3;
/// `CompositeTypeSerializerSnapshot.VERSION`.
const COMPOSITE_VERSION: i32 = 3;
const TUPLES: &str = "org.apache.flink.api.java.tuple.Tuple";

impl SerializerSnapshot {
    fn simple(plain: Plain) -> Self {
        // Every constant of `Plain` has its row, which a test looks after; `VOID` stands for a row that is not there.
        let row = SIMPLE.iter().find(|row| row.plain == plain).unwrap_or(&classes::VOID);
        SerializerSnapshot { class: Cow::Borrowed(row.class), version: SIMPLE_VERSION, content: Content::Simple(row) }
    }

    fn composite(kind: &'static Composite, outer: Outer, nested: Vec<SerializerSnapshot>) -> Self {
        SerializerSnapshot {
            class: Cow::Borrowed(kind.class),
            version: COMPOSITE_VERSION,
            content: Content::Composite { kind, outer_version: kind.outer_version, outer, nested },
        }
    }

    /// `StringSerializer`.
    pub fn string() -> Self {
        Self::simple(Plain::String)
    }

    /// `BooleanSerializer`.
    pub fn boolean() -> Self {
        Self::simple(Plain::Boolean)
    }

    /// `ByteSerializer`.
    pub fn byte() -> Self {
        Self::simple(Plain::Byte)
    }

    /// `ShortSerializer`.
    pub fn short() -> Self {
        Self::simple(Plain::Short)
    }

    /// `IntSerializer`.
    pub fn int() -> Self {
        Self::simple(Plain::Int)
    }

    /// `LongSerializer`.
    pub fn long() -> Self {
        Self::simple(Plain::Long)
    }

    /// `FloatSerializer`.
    pub fn float() -> Self {
        Self::simple(Plain::Float)
    }

    /// `DoubleSerializer`.
    pub fn double() -> Self {
        Self::simple(Plain::Double)
    }

    /// `BytePrimitiveArraySerializer`.
    pub fn byte_array() -> Self {
        Self::simple(Plain::ByteArray)
    }

    /// `VoidNamespaceSerializer`.
    pub fn void_namespace() -> Self {
        Self::simple(Plain::VoidNamespace)
    }

    /// `TimeWindow.Serializer`.
    pub fn time_window() -> Self {
        Self::simple(Plain::TimeWindow)
    }

    /// `ListSerializer`.
    pub fn list(element: SerializerSnapshot) -> Self {
        Self::composite(&classes::LIST, Outer::Nothing, vec![element])
    }

    /// `ArrayListSerializer`, which some operators use for their list state.
    pub fn array_list(element: SerializerSnapshot) -> Self {
        Self::composite(&classes::ARRAY_LIST, Outer::Nothing, vec![element])
    }

    /// `MapSerializer`.
    pub fn map(key: SerializerSnapshot, value: SerializerSnapshot) -> Self {
        Self::composite(&classes::MAP, Outer::Nothing, vec![key, value])
    }

    /// `TupleSerializer` of `Tuple1` to `Tuple25`.
    pub fn tuple(fields: Vec<SerializerSnapshot>) -> Self {
        Self::composite(&classes::TUPLE, Outer::Class(format!("{TUPLES}{}", fields.len())), fields)
    }

    /// `TimerSerializer`, of the timers of keyed operators.
    pub fn timer(key: SerializerSnapshot, namespace: SerializerSnapshot) -> Self {
        Self::composite(&classes::TIMER, Outer::Nothing, vec![key, namespace])
    }

    /// The full name of the Java class of the snapshot.
    pub fn class(&self) -> &str {
        &self.class
    }

    /// The version that the class wrote.
    pub fn version(&self) -> i32 {
        self.version
    }

    /// The snapshots of the parts: of a list its elements, of a map its keys and values, of a tuple its fields.
    pub fn nested(&self) -> &[SerializerSnapshot] {
        match &self.content {
            Content::Composite { nested, .. } => nested,
            Content::Simple(_) | Content::Enum { .. } | Content::Opaque(_) => &[],
        }
    }

    /// The serializers of key and namespace, where this is one of timers.
    pub(super) fn timer_parts(&self) -> Option<(&SerializerSnapshot, &SerializerSnapshot)> {
        match &self.content {
            Content::Composite { kind, nested, .. } if kind.shape == classes::Shape::Timer => {
                nested.first().zip(nested.get(1))
            }
            _ => None,
        }
    }

    /// Whether the values are of one of Flink's own tuple classes.
    fn is_plain_tuple(&self) -> bool {
        match &self.content {
            Content::Composite { outer: Outer::Class(class), nested, .. } => {
                class.strip_prefix(TUPLES).and_then(|number| number.parse().ok()) == Some(nested.len())
            }
            _ => false,
        }
    }

    /// The type in the words of a Java programmer, such as `Tuple2<String, Long>`.
    pub fn describe(&self) -> String {
        let mut text = String::new();
        self.describe_to(&mut text);
        text
    }

    fn describe_to(&self, text: &mut String) {
        match &self.content {
            Content::Simple(row) => text.push_str(row.name),
            Content::Enum { class, .. } => text.push_str(after_last_dot(class)),
            Content::Opaque(opaque) => text.push_str(after_last_dot(&opaque.class)),
            Content::Composite { kind, outer, nested, .. } => {
                text.push_str(match outer {
                    Outer::Class(class) => after_last_dot(class),
                    Outer::Nothing | Outer::Padding(_) => kind.name,
                });
                for (index, part) in nested.iter().enumerate() {
                    text.push_str(if index == 0 { "<" } else { ", " });
                    part.describe_to(text);
                }
                text.push('>');
            }
        }
    }

    /// Whether what this serializer wrote can be read as `wanted`: the same types all the way down.
    ///
    /// # Errors
    /// Says which types do not fit.
    pub fn resolves_to(&self, wanted: &SerializerSnapshot) -> Result<(), String> {
        if self.same_type(wanted) {
            return Ok(());
        }
        let mut text = format!("the state holds {}, the program wants {}", self.describe(), wanted.describe());
        if self.describe() == wanted.describe() {
            let _ = write!(text, " ({} is not {})", self.class, wanted.class);
        }
        Err(text)
    }

    fn same_type(&self, wanted: &SerializerSnapshot) -> bool {
        match (&self.content, &wanted.content) {
            (Content::Simple(ours), Content::Simple(theirs)) => ours.plain == theirs.plain && ours.name == theirs.name,
            (Content::Enum { .. } | Content::Opaque(_), _) => self.content == wanted.content,
            (
                Content::Composite { kind: ours, outer: our_outer, nested: our_parts, .. },
                Content::Composite { kind: theirs, outer: their_outer, nested: their_parts, .. },
            ) => {
                // Both are an int and the elements (`ListSerializer`, `ArrayListSerializer`).
                let lists = ours.shape == classes::Shape::List && theirs.shape == classes::Shape::List;
                (lists || ours.class == theirs.class)
                    && our_outer == their_outer
                    && our_parts.len() == their_parts.len()
                    && our_parts.iter().zip(their_parts).all(|(ours, theirs)| ours.same_type(theirs))
            }
            _ => false,
        }
    }

    /// Whether values differ in length (`TypeSerializer.getLength` is negative).
    pub fn is_variable_length(&self) -> bool {
        match &self.content {
            Content::Simple(row) => row.plain.width().is_none(),
            Content::Enum { .. } => false,
            Content::Opaque(_) => true,
            Content::Composite { kind, nested, .. } => match kind.shape {
                classes::Shape::Fields | classes::Shape::Timer => nested.iter().any(Self::is_variable_length),
                // Only with padding are null and value of the same length (`NullableSerializer.getLength`).
                classes::Shape::Nullable => self.nullable_is_variable(),
                classes::Shape::List | classes::Shape::Map => true,
            },
        }
    }

    /// Whether [`SerializerSnapshot::skip_value`] can tell where a value ends.
    pub fn is_skippable(&self) -> bool {
        match &self.content {
            Content::Simple(row) => row.plain != Plain::Unknown,
            Content::Enum { .. } => true,
            Content::Opaque(opaque) => opaque.is_skippable(),
            Content::Composite { nested, .. } => nested.iter().all(Self::is_skippable),
        }
    }

    fn nullable_is_variable(&self) -> bool {
        match &self.content {
            Content::Composite { outer: Outer::Padding(padding), nested, .. } => {
                *padding <= 0 || nested.iter().any(Self::is_variable_length)
            }
            _ => true,
        }
    }
}

fn after_last_dot(class: &str) -> &str {
    class.rsplit(['.', '$']).next().unwrap_or(class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_described_as_in_java() {
        let pair = SerializerSnapshot::tuple(vec![SerializerSnapshot::string(), SerializerSnapshot::long()]);
        assert_eq!(pair.describe(), "Tuple2<String, Long>");
        assert_eq!(
            SerializerSnapshot::map(SerializerSnapshot::int(), pair).describe(),
            "Map<Integer, Tuple2<String, Long>>"
        );
    }

    #[test]
    fn other_types_do_not_resolve() {
        let ours = SerializerSnapshot::list(SerializerSnapshot::long());
        assert_eq!(ours.resolves_to(&ours), Ok(()));
        assert_eq!(ours.resolves_to(&SerializerSnapshot::array_list(SerializerSnapshot::long())), Ok(()));
        let error = ours.resolves_to(&SerializerSnapshot::list(SerializerSnapshot::int()));
        assert_eq!(error, Err("the state holds List<Long>, the program wants List<Integer>".to_owned()));
    }

    #[test]
    fn every_plain_type_has_its_row() {
        for row in &SIMPLE {
            let first = SIMPLE.iter().find(|other| other.class == row.class);
            assert_eq!(first.map(|other| other.plain), Some(row.plain), "{} twice", row.class);
        }
        assert_eq!(SerializerSnapshot::string().describe(), "String");
        assert_eq!(SerializerSnapshot::time_window().describe(), "TimeWindow");
    }
}
