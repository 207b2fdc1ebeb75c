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

#[cfg(test)]
mod tests {
    use super::*;

    const RELEASES: [&str; 2] = ["1.20.5", "2.3.0"];

    /// Bytes of real Flink, which `testdata/README.md` tells of.
    fn bytes(kind: &str, release: &str) -> Vec<u8> {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/ha");
        std::fs::read(format!("{dir}/{kind}-{release}")).expect("test data")
    }

    /// The job and the file of a release.
    fn told(release: &str) -> (String, Location) {
        let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/ha/names.txt"));
        let text = text.expect("test data");
        let line = text.lines().find_map(|line| line.strip_prefix(release)).expect("a line");
        let (job, file) = line.trim().split_once(' ').expect("two words");
        (job.to_owned(), Location::parse(&format!("file:{file}")).expect("a path"))
    }

    #[test]
    fn what_flink_wrote_is_read() {
        for release in RELEASES {
            let (job, file) = told(release);
            for kind in ["handle", "marked"] {
                assert_eq!(handle(&bytes(kind, release)), Ok(Handle { file: file.clone(), marked: false }), "{kind}");
            }
            let found = completed(&bytes("completed", release)).expect("a checkpoint");
            assert_eq!((found.id, &found.job), (2, &job), "{release}");
            let place = found.place.expect("a place").to_string();
            assert!(place.ends_with(&format!("/ck/{job}/chk-2")) && place.starts_with("file:/"), "{place}");
            assert!(found.triggered > 1_700_000_000_000);
        }
    }

    #[test]
    fn a_mark_for_deletion_counts() {
        let mut bytes = bytes("marked", "1.20.5");
        let class = RETRIEVABLE.as_bytes();
        // The field is written before the handle: the byte before the object of this class.
        let at = bytes.windows(class.len()).position(|window| window == class).expect("the class") - 5;
        assert_eq!(bytes[at..=at + 2], [0, 0x73, 0x72]);
        bytes[at] = 1;
        assert!(handle(&bytes).expect("a handle").marked);
    }

    #[test]
    fn bytes_that_end_early_are_refused() {
        for release in RELEASES {
            for kind in ["handle", "marked"] {
                let bytes = bytes(kind, release);
                for end in 0..bytes.len() {
                    assert!(handle(&bytes[..end]).is_err(), "{kind} {end}");
                }
            }
            let bytes = bytes("completed", release);
            let whole = completed(&bytes);
            let enough = (0..bytes.len()).find(|end| completed(&bytes[..*end]).is_ok()).expect("a head");
            assert!(enough < 1_200, "{enough} bytes");
            assert!((enough..bytes.len()).all(|end| completed(&bytes[..end]) == whole));
        }
    }

    #[test]
    fn no_byte_that_is_another_does_harm() {
        for release in RELEASES {
            for kind in ["handle", "marked", "completed"] {
                let good = bytes(kind, release);
                for at in 0..good.len().min(1_200) {
                    for other in [0, 1, 0x70, 0x71, 0x73, 0x7e, 0x7f, 0x80, 0xff] {
                        let mut bytes = good.clone();
                        bytes[at] = other;
                        let (_, _) = (handle(&bytes), completed(&bytes));
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_something_else_is_refused() {
        assert!(handle(&bytes("completed", "1.20.5")).is_err());
        assert!(completed(&bytes("handle", "1.20.5")).is_err());
        assert!(completed(&bytes("marked", "2.3.0")).is_err());
        let other = |kind, from: &str, to: &str| {
            let text = bytes(kind, "1.20.5");
            let at = text.windows(from.len()).position(|window| window == from.as_bytes()).expect("the class");
            let mut changed = text.clone();
            changed[at..at + to.len()].copy_from_slice(to.as_bytes());
            changed
        };
        assert!(handle(&other("handle", "java.net.URI", "java.net.URL")).is_err());
        assert!(handle(&other("handle", FILE, "org.apache.flink.runtime.state.filesystem.FileStateHandlf")).is_err());
        assert!(
            completed(&other("completed", COMPLETED, "org.apache.flink.runtime.checkpoint.CompletedCheckpoinx"))
                .is_err()
        );
    }

    #[test]
    fn what_is_nested_without_end_is_refused() {
        let head = [0xac, 0xed, 0, 5];
        // An object of a class with a field whose type is an object of a class with a field …
        let nest = [0x73, 0x72, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1, b'L', 0, 0];
        // A class whose superclass is a class …
        let class = [0x72, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0x78];
        for bytes in
            [[&head[..], &nest.repeat(100_000)].concat(), [&head[..], &[0x73], &class.repeat(100_000)].concat()]
        {
            assert!(handle(&bytes).is_err());
            assert!(completed(&bytes).is_err());
        }
        // More fields than bytes.
        let many = [&head[..], &[0x73, 0x72, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0xff, 0xff]].concat();
        assert!(handle(&many).is_err() && completed(&many).is_err());
    }
}
