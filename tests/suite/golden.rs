//! What real Flink wrote and said, against what chkctl reads, writes and says: every case of `testdata/corpus`, a dump
//! of every field per version of the format, and hand-made models with every kind of handle there is.

use super::support::{Case, FLINK_ROOT, archives, metadata_files, testdata};
use chkctl::format::{Version, decode, encode, properties};
use chkctl::model::handle::{
    ByteStream, Changelog, ChangelogExtra, ChangesExtra, ChangesInFiles, ChangesInMemory, Incremental,
    IncrementalExtra, KeyGroups, KeyGroupsKind, LocalFile, MergingDirectories, OperatorStateInfo, Segment, StateChange,
};
use chkctl::model::{
    ChannelHandle, ChannelInfo, ChannelSide, DistributionMode, KeyGroupRange, KeyedHandle, LegacyFields, MasterState,
    Metadata, OperatorHandle, OperatorId, OperatorSlot, OperatorState, Reference, StateScope, StreamHandle, Subtask,
    SubtaskState, Subtasks,
};
use chkctl::wire::{EncodeError, JavaStr};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

// The corpus.

#[test]
fn every_metadata_of_the_corpus_is_written_back_byte_for_byte() {
    in_every_case(|case, wrong| {
        for file in metadata_files(&case.root) {
            let bytes = read(&file);
            match decode(&bytes) {
                Err(error) => wrong.push(format!("{}: {error}", file.display())),
                Ok(metadata) if !metadata.trailing.is_empty() => {
                    wrong.push(format!("{}: trailing bytes", file.display()));
                }
                Ok(metadata) if encode(&metadata).as_ref() != Ok(&bytes) => {
                    wrong.push(format!("{}: other bytes", file.display()));
                }
                Ok(_) => {}
            }
        }
    });
}

#[test]
fn inspect_says_of_every_snapshot_what_flinks_own_classes_say() {
    in_every_case(|case, wrong| {
        for wanted in list(&case.expected(), "checkpoints") {
            let path = text(wanted, "path");
            let run = case.chkctl(["inspect", "--json", &here(case, path)]);
            if run.status != 0 {
                wrong.push(format!("{path}: exit status {}: {}", run.status, run.stderr));
                continue;
            }
            let differences = differences(wanted, &run.json());
            wrong.extend(differences.iter().map(|line| format!("{path}: {line}")));
        }
    });
}

#[test]
fn verify_agrees_with_real_flink_that_restored_every_snapshot() {
    in_every_case(|case, wrong| {
        let story = case.story();
        let mut restores: BTreeMap<String, &str> = list(&story, "restores")
            .iter()
            .map(|restore| (here(case, text(restore, "path")), text(restore, "verdict")))
            .collect();
        let tree = case.tree().display().to_string();
        let run = case.chkctl(["verify", "--json", &tree]);
        for report in list(&run.json(), "snapshots") {
            let (path, verdict) = (text(report, "path"), text(report, "verdict"));
            // Flink is not asked about a directory without a _metadata.
            let restored = restores.remove(path).unwrap_or("NO METADATA");
            let wanted = match restored.split_once(' ').map_or(restored, |(word, _)| word) {
                "RESTORED" => "restorable",
                "FAILED" => "broken",
                _ => "incomplete",
            };
            if verdict != wanted {
                wrong.push(format!("{path}: {verdict}, but Flink: {restored}; {report}"));
            }
        }
        wrong.extend(restores.keys().map(|path| format!("{path}: not judged")));
    });
}

#[test]
fn the_corpus_polices_itself() {
    // Only archives are unpacked by the tests above: anything else would lie there untested.
    let stray: Vec<PathBuf> = fs::read_dir(testdata().join("corpus"))
        .expect("testdata/corpus")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| !archives().contains(path))
        .collect();
    assert!(stray.is_empty(), "no test covers {stray:?}");

    let names: BTreeSet<String> = archives().iter().map(|path| case_name(path)).collect();
    let listed = listed_in_readme();
    let either_or: Vec<&String> = names.symmetric_difference(&listed).collect();
    assert!(either_or.is_empty(), "in testdata/corpus or in testdata/README.md, not in both: {either_or:?}");

    in_every_case(|case, wrong| {
        let places = |value: &Value, name| -> BTreeSet<PathBuf> {
            let entries = list(value, name).iter();
            entries.map(|entry| case.here(text(entry, "path"))).collect()
        };
        let there: BTreeSet<PathBuf> =
            metadata_files(&case.tree()).iter().map(|file| file.parent().expect("a directory").to_owned()).collect();
        if there.is_empty() || places(&case.expected(), "checkpoints") != there {
            wrong.push(format!("{}: expected.json tells of others", case.name));
        }
        if places(&case.story(), "restores") != there {
            wrong.push(format!("{}: Flink restored others", case.name));
        }
    });
}

#[test]
fn the_readme_of_the_test_data_names_no_place_of_the_machine_it_was_made_on() {
    let readme = readme();
    let words = readme.split(|c: char| c.is_whitespace() || "`\"'()|,;=".contains(c));
    let foreign: Vec<&str> =
        words.filter(|word| word.starts_with('/') && word.len() > 1 && !word.starts_with(FLINK_ROOT)).collect();
    assert_eq!(foreign, [""; 0]);
}

/// Runs a check on every case, on all processors, and fails with all that it found wrong.
fn in_every_case(check: impl Fn(&Case, &mut Vec<String>) + Sync) {
    let archives = archives();
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(archive) = archives.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut found = Vec::new();
            check(&Case::unpack(archive), &mut found);
            wrong.lock().expect("no panic elsewhere").append(&mut found);
        }
    };
    thread::scope(|scope| {
        for _ in 1..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
        work();
    });
    let wrong = wrong.into_inner().expect("no panic elsewhere");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What Flink says and chkctl does not, or says otherwise; more fields are welcome.
fn differences(wanted: &Value, got: &Value) -> Vec<String> {
    // What is about the dump itself or the way Flink loaded the file.
    const OF_FLINK: [&str; 4] = ["path", "reserialized", "load_error", "metadata_sha256"];
    let mut found = Vec::new();
    for (name, wanted) in wanted.as_object().expect("an object") {
        if !OF_FLINK.contains(&name.as_str()) {
            compare(wanted, &got[name], name, &mut found);
        }
    }
    found
}

fn compare(wanted: &Value, got: &Value, at: &str, found: &mut Vec<String>) {
    match (wanted, got) {
        (Value::Object(fields), Value::Object(_)) => {
            for (name, wanted) in fields {
                // Read from the state files, which `inspect` does not open.
                if name == "backend_meta" {
                    continue;
                }
                // The file has none: Flink makes one up at each load, and two dumps of one file differ.
                let made_up = name == "state_handle_id" && fields["class"] == "KeyGroupsSavepointStateHandle";
                let wanted = if made_up { &Value::Null } else { wanted };
                compare(wanted, &got[name], &format!("{at}/{name}"), found);
            }
        }
        (Value::Array(wanted), Value::Array(got)) if wanted.len() == got.len() => {
            for (index, (wanted, got)) in wanted.iter().zip(got).enumerate() {
                compare(wanted, got, &format!("{at}[{index}]"), found);
            }
        }
        _ if wanted != got => found.push(format!("{at}: wanted {wanted}, got {got}")),
        _ => {}
    }
}

fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value[name].as_array().expect(name)
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().expect(name)
}

fn here(case: &Case, path: &str) -> String {
    case.here(path).display().to_string()
}

fn read(file: &Path) -> Vec<u8> {
    fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn case_name(archive: &Path) -> String {
    let name = archive.file_name().expect("a name").to_string_lossy();
    name.trim_end_matches(".tar.zst").to_owned()
}

fn readme() -> String {
    fs::read_to_string(testdata().join("README.md")).expect("testdata/README.md")
}

/// The cases that have a line in the tables of `testdata/README.md`.
fn listed_in_readme() -> BTreeSet<String> {
    let readme = readme();
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| Some(row.split_once("` |")?.0.to_owned())).collect()
}

// Every field, for people.

/// A `_metadata` of the corpus: its case, and the directory that it is in.
pub(super) struct Chosen(pub &'static str, pub &'static str);

impl Chosen {
    /// Unpacks the case and finds the file.
    fn unpack(&self) -> (Case, PathBuf) {
        let case = Case::named(self.0);
        let found = metadata_files(&case.tree())
            .into_iter()
            .find(|file| file.parent().is_some_and(|dir| dir.ends_with(self.1)))
            .unwrap_or_else(|| panic!("{} has no {}", self.0, self.1));
        (case, found)
    }

    /// The bytes of the file.
    pub(super) fn bytes(&self) -> Vec<u8> {
        read(&self.unpack().1)
    }
}

/// Snapshots what `inspect -v` prints of a file.
fn dump(case: &Case, file: &Path, name: &str) {
    let run = case.chkctl(["inspect", "-v", &file.display().to_string()]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let dump = run.stdout.replace(&*case.root.to_string_lossy(), "[root]");
    insta::assert_snapshot!(name, dump);
}

// The smallest files of real Flink that hold what the snapshots are named after.

const VERSION_6: Chosen = Chosen("async-heap-2.3.0", "chk-3");

#[test]
fn a_dump_shows_every_field_of_each_version() {
    for (name, chosen) in [
        ("dump_version_2", Chosen("wc-socket-error-1.10.3", "chk-3")),
        ("dump_version_3", Chosen("wc-rocksdb-inc-1.15.4", "savepoint-6dca03-867c6cb7514e")),
        ("dump_version_4", Chosen("wc-heap-files-1.20.5", "chk-2")),
        ("dump_version_5", Chosen("wc-heap-uids-2.0.2", "chk-2")),
        ("dump_version_6", VERSION_6),
    ] {
        let (case, file) = chosen.unpack();
        dump(&case, &file, name);
    }
}

#[test]
fn a_dump_shows_the_reference_checkpoint_of_version_7() {
    let (case, file) = VERSION_6.unpack();
    fs::write(&file, version_7(&read(&file))).expect("a place to write");
    dump(&case, &file, "dump_version_7");
}

#[test]
fn a_dump_shows_what_only_some_snapshots_have() {
    for (name, chosen) in [
        ("dump_unaligned_of_flink_1_11", Chosen("wc-unaligned-1.11.4", "chk-3")),
        ("dump_file_merging", Chosen("wc-filemerging-heap-1.20.5", "chk-2")),
        ("dump_changes_in_memory", Chosen("wc-changelog-memory-1.20.5", "chk-2")),
        ("dump_merged_channels", Chosen("wc-unaligned-2.3.0", "chk-3")),
    ] {
        let (case, file) = chosen.unpack();
        dump(&case, &file, name);
    }
}

/// A file of version 6 as a later Flink might write it (no release does so far): in version 7, the state of the first
/// subtask that has some being that of an older checkpoint.
fn version_7(version_6: &[u8]) -> Vec<u8> {
    let mut metadata = decode(version_6).expect("a file of real Flink");
    metadata.version = Version::V7;
    let lists = metadata.operators.iter_mut().filter_map(|operator| match &mut operator.subtasks {
        Subtasks::Some(list) => Some(list),
        Subtasks::FullyFinished(_) => None,
    });
    let mut states = lists.flatten().filter_map(|subtask| subtask.state.as_mut());
    let state = states.find(|state| state.managed_keyed.is_some());
    state.expect("keyed state").reference = Reference::Checkpoint(1);
    encode(&metadata).expect("version 7 has a place for it")
}

// Models by hand: every kind of handle, in every version.

#[test]
fn every_kind_of_handle_survives_encoding_and_decoding() {
    for (name, model) in models() {
        let bytes = encode(&model).unwrap_or_else(|error| panic!("{name}: {error}"));
        let read = decode(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(read, model, "{name}");
        assert_eq!(encode(&read), Ok(bytes), "{name}");
    }
}

/// What only some versions have a place for: a model with it, and those versions.
type Feature = (&'static str, fn(&mut Metadata<'static>), &'static [Version]);

const FROM_3: &[Version] = &[Version::V3, Version::V4, Version::V5, Version::V6, Version::V7];
const FROM_4: &[Version] = &[Version::V4, Version::V5, Version::V6, Version::V7];
const FROM_5: &[Version] = &[Version::V5, Version::V6, Version::V7];

/// Chain length and the legacy fields of version 2 are not here: they mean nothing, and may be left out.
const FEATURES: &[Feature] = &[
    ("checkpoint properties", |m| m.properties = Some(properties::NULL.into()), FROM_4),
    ("a name", |m| m.operators[0].name = "name".into(), FROM_5),
    ("a uid", |m| m.operators[0].uid = "uid".into(), FROM_5),
    ("coordinator state", |m| m.operators[0].coordinator = Some(in_line()), FROM_3),
    ("a finished operator", |m| m.operators[0].subtasks = Subtasks::FullyFinished(-1), FROM_3),
    ("a finished subtask", |m| only(m).finished = true, FROM_3),
    (
        "state of a finished subtask",
        |m| {
            only(m).finished = true;
            with(m, |s| s.managed_keyed = Some(Box::new(incremental(true))));
        },
        &[],
    ),
    ("channel state", |m| with(m, |s| s.input_channels = one_channel(ChannelSide::Input)), FROM_3),
    (
        "merged channel state",
        |m| with(m, |s| s.result_subpartitions = merged_channels(ChannelSide::Result)),
        &[Version::V6, Version::V7],
    ),
    (
        "channel state without a subtask index",
        |m| with(m, |s| s.input_channels = without_subtask(one_channel(ChannelSide::Input))),
        &[Version::V3],
    ),
    (
        "a changelog without sizes and ids",
        |m| with(m, |s| s.managed_keyed = Some(Box::new(changelog(false, false)))),
        &[Version::V3],
    ),
    (
        "changes in memory without an id",
        |m| with(m, |s| s.raw_keyed = Some(Box::new(changes_in_memory(false)))),
        &[Version::V3],
    ),
    (
        "changes in files without sizes and ids",
        |m| with(m, |s| s.managed_keyed = Some(Box::new(changes_in_files(false, false)))),
        &[Version::V3],
    ),
    ("a reference checkpoint id", |m| with(m, |s| s.reference = Reference::Checkpoint(3)), &[Version::V7]),
];

#[test]
fn encode_refuses_what_a_version_has_no_place_for() {
    let mut wrong = Vec::new();
    for (name, add, versions) in FEATURES {
        for version in Version::ALL {
            let mut model = plain(version);
            add(&mut model);
            let survives = match encode(&model) {
                Err(EncodeError::NotInVersion { .. }) => false,
                Err(error) => panic!("{name} in version {}: {error}", version.number()),
                Ok(bytes) if decode(&bytes).as_ref() == Ok(&model) => true,
                Ok(_) => {
                    wrong.push(format!("version {} drops {name}", version.number()));
                    continue;
                }
            };
            if survives != versions.contains(&version) {
                wrong.push(format!("version {} has {name}: {survives}", version.number()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A model of each version and dialect, with everything that it can hold.
pub(super) fn models() -> Vec<(&'static str, Metadata<'static>)> {
    let flink_1_11 = every_subtask(everything(Version::V3), |state| {
        for list in [&mut state.input_channels, &mut state.result_subpartitions] {
            *list = without_subtask(std::mem::take(list));
        }
    });
    let flink_1_14 = every_subtask(everything(Version::V3), |state| {
        for keyed in [&mut state.managed_keyed, &mut state.raw_keyed].into_iter().flatten() {
            **keyed = match &**keyed {
                KeyedHandle::Changelog(_) => changelog(false, false),
                KeyedHandle::ChangesInMemory(_) => changes_in_memory(false),
                KeyedHandle::ChangesInFiles(_) => changes_in_files(false, false),
                other => other.clone(),
            };
        }
    });
    vec![
        ("version 2", everything(Version::V2)),
        ("version 3", everything(Version::V3)),
        ("version 3 of Flink 1.11", flink_1_11),
        ("version 3 of Flink 1.14", flink_1_14),
        ("version 4", everything(Version::V4)),
        ("version 5", everything(Version::V5)),
        ("version 6", everything(Version::V6)),
        ("version 7", everything(Version::V7)),
    ]
}

fn everything(version: Version) -> Metadata<'static> {
    let (mut operator_handles, keyed_handles) = (operator_handles(), keyed_handles());
    let mut states = vec![SubtaskState {
        // Flink reads any number but 0 as "there is one".
        raw_operator: OperatorSlot { presence: -7, ..slot(operator_handles.remove(0)) },
        raw_keyed: Some(Box::new(keyed_handles[0].clone())),
        ..SubtaskState::default()
    }];
    states.extend(
        operator_handles
            .into_iter()
            .map(|handle| SubtaskState { managed_operator: slot(handle), ..SubtaskState::default() }),
    );
    states.extend(
        keyed_handles
            .into_iter()
            .map(|handle| SubtaskState { managed_keyed: Some(Box::new(handle)), ..SubtaskState::default() }),
    );
    if version >= Version::V3 {
        let channels = |side| match version >= Version::V6 {
            true => [one_channel(side), merged_channels(side)].concat(),
            false => one_channel(side),
        };
        states.push(SubtaskState {
            input_channels: channels(ChannelSide::Input),
            result_subpartitions: channels(ChannelSide::Result),
            ..SubtaskState::default()
        });
    }
    match version {
        Version::V2 => states[0].legacy = LegacyFields { duration: 5, states: -3 },
        Version::V7 => {
            states[0].reference = Reference::Checkpoint(7);
            // Flink's reader takes any marker but 1 for "none".
            states[1].reference = Reference::None(9);
        }
        _ => {}
    }
    let mut subtasks: Vec<Subtask<'_>> = (0..)
        .zip(states)
        .map(|(index, state)| Subtask { index, finished: false, state: Some(Box::new(state)) })
        .collect();
    let mut metadata = plain(version);
    if version >= Version::V3 {
        subtasks.push(Subtask { index: 98, finished: true, state: None });
        metadata.operators.push(OperatorState {
            coordinator: Some(in_line()),
            subtasks: Subtasks::Some(Vec::new()),
            ..operator(version)
        });
        metadata.operators.push(OperatorState { subtasks: Subtasks::FullyFinished(-1), ..operator(version) });
    }
    metadata.operators.push(OperatorState { subtasks: Subtasks::Some(subtasks), ..operator(version) });
    if version >= Version::V5 {
        for (operator, name) in metadata.operators.iter_mut().zip(["Map", "状态", "𝄞", "\0"]) {
            (operator.name, operator.uid) = (name.into(), "uid".into());
        }
    }
    metadata
}

/// One operator, one subtask, no state.
fn plain(version: Version) -> Metadata<'static> {
    let master =
        |name: &str, payload: &'static [u8]| MasterState { name: name.into(), version: 3, payload: payload.into() };
    Metadata {
        version,
        checkpoint_id: 42,
        master_states: vec![master("hook", b"payload"), master("", b"")],
        operators: vec![operator(version)],
        properties: version.has_properties().then(|| properties::NULL.into()),
        trailing: Cow::Borrowed(&[]),
    }
}

fn operator(version: Version) -> OperatorState<'static> {
    OperatorState {
        name: JavaStr::default(),
        uid: JavaStr::default(),
        id: OperatorId::from_uid("operator"),
        parallelism: 100,
        max_parallelism: 128,
        chain_length: if version == Version::V2 { 4 } else { 1 },
        coordinator: None,
        subtasks: Subtasks::Some(vec![Subtask { index: 1, finished: false, state: None }]),
    }
}

/// The one subtask of a [`plain`] model.
fn only<'m>(model: &'m mut Metadata<'static>) -> &'m mut Subtask<'static> {
    match &mut model.operators[0].subtasks {
        Subtasks::Some(list) => &mut list[0],
        Subtasks::FullyFinished(_) => panic!("no subtasks"),
    }
}

fn with(model: &mut Metadata<'static>, change: impl FnOnce(&mut SubtaskState<'static>)) {
    change(only(model).state.get_or_insert_default());
}

fn every_subtask(mut model: Metadata<'static>, change: impl Fn(&mut SubtaskState<'static>)) -> Metadata<'static> {
    for operator in &mut model.operators {
        if let Subtasks::Some(list) = &mut operator.subtasks {
            list.iter_mut().filter_map(|subtask| subtask.state.as_mut()).for_each(|s| change(s));
        }
    }
    model
}

const RANGE: KeyGroupRange = KeyGroupRange { start: 3, count: 2 };

fn in_line() -> StreamHandle<'static> {
    StreamHandle::Bytes(Box::new(ByteStream { name: "name".into(), data: b"state".into() }))
}

fn file() -> StreamHandle<'static> {
    StreamHandle::File { size: 7, path: "file:/f".into() }
}

fn segment(scope: StateScope) -> StreamHandle<'static> {
    StreamHandle::Segment(Box::new(Segment {
        start: 12,
        size: 30,
        scope,
        path: "s3://bucket/m".into(),
        logical_file_id: "id".into(),
    }))
}

/// Tags 1, 2, 3, 6, 15 and 16; 0 is the coordinator state that most operators do not have.
fn streams() -> Vec<StreamHandle<'static>> {
    vec![
        in_line(),
        file(),
        StreamHandle::KeyGroups(Box::new(key_groups(KeyGroupsKind::Plain))),
        StreamHandle::Relative { size: -1, path: "r".into() },
        segment(StateScope::Exclusive),
        segment(StateScope::Shared),
        StreamHandle::EmptySegment,
    ]
}

/// Tag 4 on every stream and tag 17 on those that it may have.
fn operator_handles() -> Vec<OperatorHandle<'static>> {
    let on = |stream, merging| OperatorHandle { states: Vec::new(), merging, stream };
    let merging =
        |empty| Some(Box::new(MergingDirectories { task_owned: "file:/t".into(), shared: "file:/s".into(), empty }));
    let mut handles: Vec<OperatorHandle<'_>> = streams().into_iter().map(|stream| on(stream, None)).collect();
    handles.push(on(segment(StateScope::Exclusive), merging(0)));
    handles.push(on(StreamHandle::EmptySegment, merging(1)));
    handles[0].states = [DistributionMode::SplitDistribute, DistributionMode::Union, DistributionMode::Broadcast]
        .into_iter()
        .map(|mode| OperatorStateInfo { name: "s".into(), mode, offsets: vec![0, i64::MIN] })
        .collect();
    handles
}

fn slot(handle: OperatorHandle<'static>) -> OperatorSlot<'static> {
    OperatorSlot { presence: 1, handle: Some(Box::new(handle)) }
}

/// Tags 3, 5, 7, 8, 9, 10, 11, 12, 13 and 14; 0 is what most subtasks have.
fn keyed_handles() -> Vec<KeyedHandle<'static>> {
    vec![
        KeyedHandle::KeyGroups(key_groups(KeyGroupsKind::Plain)),
        incremental(false),
        KeyedHandle::KeyGroups(key_groups(KeyGroupsKind::Savepoint)),
        changelog(true, false),
        changes_in_memory(true),
        changes_in_files(true, false),
        incremental(true),
        KeyedHandle::KeyGroups(key_groups(KeyGroupsKind::WithId("id".into()))),
        changes_in_files(true, true),
        changelog(true, true),
    ]
}

fn key_groups(kind: KeyGroupsKind<'static>) -> KeyGroups<'static> {
    KeyGroups { kind, range: RANGE, offsets: vec![0, 9], stream: file() }
}

fn incremental(extra: bool) -> KeyedHandle<'static> {
    let files = |name: &str| vec![LocalFile { local_path: name.into(), stream: file() }].into();
    KeyedHandle::Incremental(Box::new(Incremental {
        checkpoint_id: 41,
        backend_id: "backend".into(),
        range: RANGE,
        meta: in_line(),
        shared: files("1.sst"),
        private: files("CURRENT"),
        extra: extra.then(|| IncrementalExtra { checkpointed_size: -1, state_handle_id: "id".into() }),
    }))
}

/// With the fields that Flink 1.14 did not write (`extra`), and with those of the second tag.
fn changelog(extra: bool, second: bool) -> KeyedHandle<'static> {
    KeyedHandle::Changelog(Box::new(Changelog {
        range: RANGE,
        materialized: vec![None, Some(KeyedHandle::KeyGroups(key_groups(KeyGroupsKind::Plain)))],
        non_materialized: vec![Some(changes_in_memory(extra)), Some(changes_in_files(extra, second))],
        extra: extra.then(|| ChangelogExtra {
            checkpointed_size: 5,
            materialization_id: 2,
            state_handle_id: "id".into(),
        }),
        checkpoint_id: second.then_some(42),
    }))
}

fn changes_in_memory(extra: bool) -> KeyedHandle<'static> {
    let change = |key_group, change: &'static [u8]| StateChange { key_group, change: change.into() };
    KeyedHandle::ChangesInMemory(Box::new(ChangesInMemory {
        range: RANGE,
        from: 1,
        to: 3,
        changes: vec![change(-1, b"meta"), change(4, b"")],
        state_handle_id: extra.then(|| "id".into()),
    }))
}

fn changes_in_files(extra: bool, second: bool) -> KeyedHandle<'static> {
    KeyedHandle::ChangesInFiles(Box::new(ChangesInFiles {
        range: RANGE,
        streams: vec![(0, file()), (8, in_line())],
        size: 7,
        extra: extra.then(|| ChangesExtra { checkpointed_size: 4, state_handle_id: "id".into() }),
        storage: second.then(|| "filesystem".into()),
    }))
}

/// Types 1 and 2.
fn one_channel(side: ChannelSide) -> Vec<ChannelHandle<'static>> {
    let info = ChannelInfo::One { gate: 1, channel: 2, offsets: vec![4, 40] };
    channel(side, info)
}

/// Types 3 and 4, of no channels.
fn merged_channels(side: ChannelSide) -> Vec<ChannelHandle<'static>> {
    channel(side, ChannelInfo::Merged(Cow::Borrowed(&[0, 0, 0, 0])))
}

fn channel(side: ChannelSide, info: ChannelInfo<'static>) -> Vec<ChannelHandle<'static>> {
    vec![ChannelHandle { side, subtask_index: Some(5), info, size: 60, stream: file() }]
}

/// As Flink 1.11 wrote them.
fn without_subtask(mut list: Vec<ChannelHandle<'static>>) -> Vec<ChannelHandle<'static>> {
    list.iter_mut().for_each(|handle| handle.subtask_index = None);
    list
}
