//! What high availability keeps of a checkpoint, in Java's serialisation: a handle to a file, and in the file the
//! `CompletedCheckpoint`.
//!
//! A handle is a `RetrievableStreamStateHandle` around a `FileStateHandle`, whose `Path` holds a `java.net.URI`
//! (`FileSystemStateStorageHelper.store`, Flink 1.9 to 2.3); in Kubernetes it is in a `StateHandleWithDeleteMarker` since 1.15
//! (`KubernetesStateHandleStore`). Of a `CompletedCheckpoint` only its head is read: Java writes the numbers first and then the
//! rest by names, so that `externalPointer` and `job` come before all state.

use crate::format::java_object::{self, Object, Value};
use crate::model::Location;
use crate::wire::Reader;

const RETRIEVABLE: &str = "org.apache.flink.runtime.state.RetrievableStreamStateHandle";
const MARKED: &str =
    "org.apache.flink.kubernetes.highavailability.KubernetesStateHandleStore$StateHandleWithDeleteMarker";
const FILE: &str = "org.apache.flink.runtime.state.filesystem.FileStateHandle";
const PATH: &str = "org.apache.flink.core.fs.Path";
const URI: &str = "java.net.URI";
const COMPLETED: &str = "org.apache.flink.runtime.checkpoint.CompletedCheckpoint";
const JOB: &str = "org.apache.flink.api.common.JobID";

/// So many bytes of a `CompletedCheckpoint` hold its head: its description has under 1 KiB, and a string at most 64 KiB.
pub(super) const HEAD: u64 = 128 << 10;

/// A handle to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Handle {
    /// The file.
    pub(super) file: Location,
    /// Whether it is about to be removed, and counts no more.
    pub(super) marked: bool,
}

/// The head of a `CompletedCheckpoint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completed {
    /// The id of its job.
    pub job: String,
    /// Its id.
    pub id: u64,
    /// When it was triggered, in milliseconds since 1970.
    pub triggered: i64,
    /// Its directory, as Flink names it; `None` where it is not in a file system.
    pub place: Option<Location>,
}

/// Reads a handle.
pub(super) fn handle(bytes: &[u8]) -> Result<Handle, String> {
    let value = java_object::read(&mut Reader::new(bytes, "a state handle")).map_err(|error| error.to_string())?;
    let outer = object(Some(&value))?;
    let (retrievable, marked) = match &*outer.class.to_str() {
        MARKED => {
            let marked = matches!(field(outer, "markedForDeletion"), Some(Value::Bool(true)));
            (object(field(outer, "inner"))?, marked)
        }
        _ => (outer, false),
    };
    let file = of(of_class(retrievable, RETRIEVABLE)?, "wrappedStreamStateHandle", FILE)?;
    let uri = of(of(file, "filePath", PATH)?, "uri", URI)?;
    let Some(Value::Text(text)) = field(uri, "string") else { return Err("a URI without text".to_owned()) };
    let file = Location::parse(&text.to_str()).map_err(|error| error.to_string())?;
    Ok(Handle { file, marked })
}

/// Reads the head of a `CompletedCheckpoint`.
pub(super) fn completed(bytes: &[u8]) -> Result<Completed, String> {
    let mut reader = Reader::new(bytes, "a completed checkpoint");
    let object = java_object::read_until(&mut reader, "job").map_err(|error| error.to_string())?;
    let checkpoint = of_class(&object, COMPLETED)?;
    let number = |object: &Object<'_>, name: &str| match field(object, name) {
        Some(Value::Number(number)) => Ok(*number),
        _ => Err(format!("{} without {name}", object.class.to_str())),
    };
    let place = match field(checkpoint, "externalPointer") {
        Some(Value::Text(text)) => place(&text.to_str())?,
        Some(Value::Null) => None,
        _ => return Err("a checkpoint whose pointer is no text".to_owned()),
    };
    let job = of(checkpoint, "job", JOB)?;
    let (lower, upper) = (number(job, "lowerPart")?, number(job, "upperPart")?);
    let id =
        u64::try_from(number(checkpoint, "checkpointID")?).map_err(|_| "a checkpoint with a negative id".to_owned())?;
    Ok(Completed { job: format!("{lower:016x}{upper:016x}"), id, triggered: number(checkpoint, "timestamp")?, place })
}

/// A place, where it is one in a file system (`AbstractFsCheckpointStorageAccess`, and what stands for none in memory).
fn place(text: &str) -> Result<Option<Location>, String> {
    match text {
        "" | "<checkpoint-not-externally-addressable>" => Ok(None),
        text => Location::parse(text).map(Some).map_err(|error| error.to_string()),
    }
}

fn field<'o, 'a>(object: &'o Object<'a>, name: &str) -> Option<&'o Value<'a>> {
    object.fields.iter().find(|(field, _)| field.to_str() == name).map(|(_, value)| value)
}

fn object<'o, 'a>(value: Option<&'o Value<'a>>) -> Result<&'o Object<'a>, String> {
    match value {
        Some(Value::Object(object)) => Ok(object),
        _ => Err("it is no object".to_owned()),
    }
}

fn of<'o, 'a>(outer: &'o Object<'a>, name: &str, class: &str) -> Result<&'o Object<'a>, String> {
    let inner = object(field(outer, name)).map_err(|_| format!("{} without {name}", outer.class.to_str()))?;
    of_class(inner, class)
}

fn of_class<'o, 'a>(object: &'o Object<'a>, class: &str) -> Result<&'o Object<'a>, String> {
    match &*object.class.to_str() {
        found if found == class => Ok(object),
        found => Err(format!("a {found:.200} in the place of {class}")),
    }
}
