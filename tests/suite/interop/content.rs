//! What is in our snapshots: chkctl finds them whole, real Flink reads the same in them, and a canonical savepoint holds
//! the very bytes that Flink's would.

use super::jobs::{Job, Kind, location, path};
use super::releases::{KINDS, expect, with_each_release};
use crate::suite::flink::Flink;
use crate::suite::support::{Run, command};
use chkctl::format::decode;
use chkctl::model::handle::StreamHandle;
use chkctl::model::{KeyedHandle, OperatorId};
use chkctl::state::canonical::CanonicalReader;
use chkctl::state::{KeyedHeader, StateMeta, ranges};
use chkctl::wire::Reader;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

with_each_release!(flink_reads_the_same_in_our_metadata, canonical_savepoints_hold_what_those_of_flink_hold);

fn chkctl(arguments: &[&str], snapshot: &Path) -> Run {
    let mut chkctl = command();
    chkctl.args(arguments).arg(snapshot);
    Run::of(chkctl)
}

#[test]
fn chkctl_finds_our_snapshots_whole() {
    for kind in KINDS {
        for in_line in [0, 20 * 1024] {
            let dir = tempfile::tempdir().expect("a directory");
            let held = Job { in_line, ..Job::new(kind) }.hold(437, None, dir.path());
            let whole = chkctl(&["verify"], dir.path());
            assert_eq!(whole.status, 0, "{}{}", whole.stdout, whole.stderr);
            for (name, path) in held.snapshots() {
                let verified = chkctl(&["verify", "--json"], path).json();
                let snapshot = &verified["snapshots"][0];
                assert_eq!(snapshot["verdict"], "restorable", "{verified}");
                let description = snapshot["description"].as_str().expect("a description");
                assert!(description.contains(name), "a {name} is a {description}");
                assert_eq!(snapshot["files"]["referenced"] == 0, in_line > 0, "{verified}");

                let inspected = chkctl(&["inspect", "--json"], path).json();
                assert_eq!(inspected["trailing_bytes"], 0);
                let operators = inspected["operators"].as_array().expect("operators");
                let with_state: BTreeSet<&str> = operators
                    .iter()
                    .filter(|operator| operator["state_size"] != 0)
                    .map(|operator| operator["operator_id"].as_str().expect("an id"))
                    .collect();
                let stateful = match kind {
                    Kind::WordCount => "sum",
                    Kind::Tumbling | Kind::Sliding => "window",
                    Kind::Kitchen => "process",
                };
                let wanted = ["source", stateful].map(|uid| OperatorId::from_uid(uid).to_string());
                assert_eq!(with_state, wanted.iter().map(String::as_str).collect(), "{kind:?}");
                let shown = chkctl(&["inspect"], path);
                assert!(shown.status == 0 && shown.stdout.contains(&wanted[0]), "{}", shown.stdout);
            }
        }
    }
}

/// What Flink says and `inspect` does not.
fn differences(flink: &Value, ours: &Value, at: &str, found: &mut Vec<String>) {
    match (flink, ours) {
        (Value::Object(fields), Value::Object(_)) => {
            fields.iter().for_each(|(name, value)| differences(value, &ours[name], &format!("{at}/{name}"), found));
        }
        (Value::Array(theirs), Value::Array(ours)) if theirs.len() == ours.len() => {
            for (index, (theirs, ours)) in theirs.iter().zip(ours).enumerate() {
                differences(theirs, ours, &format!("{at}[{index}]"), found);
            }
        }
        _ if flink != ours => found.push(format!("{at}: Flink reads {flink}, inspect shows {ours}")),
        _ => {}
    }
}

fn flink_reads_the_same_in_our_metadata(flink: &mut Flink) {
    for kind in KINDS {
        for in_line in [0, 20 * 1024] {
            let dir = tempfile::tempdir().expect("a directory");
            let held = Job { in_line, ..Job::new(kind) }.hold(437, None, dir.path());
            for (_, path) in held.snapshots() {
                let theirs = flink.expect(&["metadata", path.to_str().expect("UTF-8")]);
                assert_eq!(theirs["operators"].as_array().map(Vec::len), Some(operators(kind)), "{theirs}");
                let mut found = Vec::new();
                differences(&theirs, &chkctl(&["inspect", "--json"], path).json(), "", &mut found);
                assert!(found.is_empty(), "{kind:?} {}: {found:#?}", path.display());
            }
        }
    }
}

fn operators(kind: Kind) -> usize {
    match kind {
        Kind::WordCount => 6,
        Kind::Tumbling | Kind::Sliding => 4,
        Kind::Kitchen => 3,
    }
}

/// Entries by state and key group, and the serializer of keys.
#[derive(Debug, PartialEq)]
struct Content {
    key: String,
    states: BTreeMap<String, StateMeta>,
    entries: BTreeSet<(String, u16, Vec<u8>, Vec<u8>)>,
}

/// The keyed state of a canonical savepoint.
fn content(savepoint: &Path) -> Content {
    let bytes = fs::read(savepoint.join("_metadata")).expect("a _metadata");
    let metadata = decode(&bytes).expect("a snapshot");
    let mut content = Content { key: String::new(), states: BTreeMap::new(), entries: BTreeSet::new() };
    for operator in &metadata.operators {
        let groups = u16::try_from(operator.max_parallelism).expect("a number of key groups");
        for state in operator.subtasks().iter().filter_map(|subtask| subtask.state.as_ref()) {
            let Some(KeyedHandle::KeyGroups(handle)) = state.managed_keyed.as_deref() else { continue };
            let bytes = match &handle.stream {
                StreamHandle::Bytes(bytes) => bytes.data.to_vec(),
                StreamHandle::Relative { path, .. } => fs::read(savepoint.join(&*path.to_str())).expect("a state file"),
                other => panic!("{other:?}"),
            };
            let header = KeyedHeader::read(&mut Reader::new(&bytes, "keyed state")).expect("a head");
            content.key = header.key.describe();
            content.states.extend(header.states.iter().map(|state| (state.name.clone(), state.clone())));
            let reader = CanonicalReader::new(&bytes, groups).expect("a stream");
            for range in ranges(&handle.offsets, bytes.len()) {
                let group = reader.key_group(&range).expect("a key group");
                let mut entries = group.entries().expect("entries");
                while let Some(entry) = entries.next().expect("an entry") {
                    let name = header.states[entry.state].name.clone();
                    let (key, value) = (entry.key.rest().to_vec(), entry.value.rest().to_vec());
                    assert!(
                        content.entries.insert((name, entry.key_group, key, value)),
                        "an entry that is there twice"
                    );
                }
            }
        }
    }
    content
}

fn canonical_savepoints_hold_what_those_of_flink_hold(flink: &mut Flink) {
    for kind in KINDS {
        let job = Job::new(kind);
        let dir = tempfile::tempdir().expect("a directory");
        let place = format!("dir={}", dir.path().display());
        let theirs = expect(flink, &job, "run", &[&place, "hold=437", "savepoint=canonical"]);
        let theirs = content(&path(&location(Path::new(theirs["path"].as_str().expect("a path")))));
        let ours = content(&job.hold(437, None, dir.path()).canonical);
        assert!(theirs.entries.len() >= 7, "{kind:?}: {} entries", theirs.entries.len());
        assert_eq!(ours, theirs, "{kind:?}");
    }
}
