//! The checkpoint properties at the end of a `_metadata` (`MetadataV4Serializer`): one Java object, kept as bytes and
//! read only to be shown.

mod known;
mod write;

pub use known::check;
pub use write::{AfterSavepoint, NewProperties, write};

use super::java_object::{self, Object, Value};
use crate::wire::{Decoded, Problem, Reader};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// The stream that Flink writes where a snapshot has no properties: a header and null.
pub const NULL: &[u8] = &[0xac, 0xed, 0, 5, 0x70];

const CLASS: &str = "org.apache.flink.runtime.checkpoint.CheckpointProperties";
const SECTION: &str = "checkpoint properties";

/// Finds the end of the properties, checking that they are whole and what Flink casts them to.
pub(super) fn split<'a>(reader: &mut Reader<'a>) -> Decoded<&'a [u8]> {
    reader.enter(SECTION);
    let mut ahead = Reader::clone(reader);
    let value = java_object::read(&mut ahead)?;
    cast(reader, &value)?;
    reader.take(reader.left().saturating_sub(ahead.left()))
}

/// `MetadataV4Serializer.deserializeProperties` casts, and Java refuses another version of the class.
fn cast(at: &Reader<'_>, value: &Value<'_>) -> Decoded<()> {
    let good = match value {
        Value::Null => true,
        Value::Object(object) => object.class.to_str() == CLASS && object.serial_version_uid == 2,
        _ => false,
    };
    if good { Ok(()) } else { Err(at.error(Problem::Invalid("not the properties of a checkpoint".to_owned()))) }
}

/// What the properties say of a snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct Properties<'a> {
    object: Object<'a>,
}

/// Reads the properties of [`crate::model::Metadata::properties`]; `None` where Flink wrote null.
pub fn read(bytes: &[u8]) -> Option<Properties<'_>> {
    match java_object::read(&mut Reader::new(bytes, SECTION)) {
        Ok(Value::Object(object)) => Some(Properties { object }),
        _ => None,
    }
}

impl Properties<'_> {
    fn field(&self, name: &str) -> Option<&Value<'_>> {
        field(&self.object, name)
    }

    fn snapshot_type(&self) -> Option<&Object<'_>> {
        match self.field("checkpointType")? {
            Value::Object(object) => Some(object),
            _ => None,
        }
    }

    fn flag(&self, name: &str) -> bool {
        self.field(name) == Some(&Value::Bool(true))
    }

    /// Whether the snapshot is a savepoint.
    pub fn is_savepoint(&self) -> bool {
        self.snapshot_type().is_some_and(|t| simple_name(&t.class.to_str()) == "SavepointType")
    }

    /// The format of a savepoint (`CANONICAL` or `NATIVE`).
    pub fn savepoint_format(&self) -> Option<String> {
        match field(self.snapshot_type()?, "formatType")? {
            Value::Constant(name) => Some(name.to_string()),
            _ => None,
        }
    }

    /// What sort of snapshot it is, in words: `checkpoint`, `full checkpoint`, `canonical savepoint`, …
    pub fn describe(&self) -> String {
        let Some(kind) = self.snapshot_type() else {
            return "snapshot".to_owned();
        };
        let name = match field(kind, "name") {
            Some(Value::Text(name)) => name.to_string().to_lowercase(),
            _ => "snapshot".to_owned(),
        };
        match self.savepoint_format() {
            Some(format) => format!("{} {name}", format.to_lowercase()),
            None => name,
        }
    }

    /// When Flink itself deletes the snapshot, in words.
    pub fn retention(&self) -> &'static str {
        match (self.flag("discardCancelled"), self.flag("discardFailed")) {
            _ if self.is_savepoint() => "owned by the user",
            (false, false) => "retained on cancellation and failure",
            (true, false) => "retained on failure only",
            (false, true) => "retained on cancellation only",
            (true, true) => "never retained",
        }
    }
}

fn field<'o, 'a>(object: &'o Object<'a>, name: &str) -> Option<&'o Value<'a>> {
    object.fields.iter().find(|(field, _)| field.to_str() == name).map(|(_, value)| value)
}

fn simple_name(class: &str) -> &str {
    class.rsplit(['.', '$']).next().unwrap_or(class)
}

impl Serialize for Properties<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.object.serialize(serializer)
    }
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.fields.len().saturating_add(1)))?;
        map.serialize_entry("class", simple_name(&self.class.to_str()))?;
        for (name, value) in &self.fields {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Null | Value::Earlier(_) => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Number(value) => serializer.serialize_i64(*value),
            Value::Text(text) | Value::Constant(text) => text.serialize(serializer),
            Value::Object(object) => object.serialize(serializer),
        }
    }
}
