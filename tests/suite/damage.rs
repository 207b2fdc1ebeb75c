//! Damage to snapshots of real Flink, one thing at a time: chkctl must say what Flink was seen to do, and whom it hits.
//!
//! Whose state a file holds is taken from `expected.json`, which Flink's own classes wrote; nothing of chkctl's own walk
//! is used for it.

use super::catalog::{Stranger, WithMode};
use super::support::{Case, Run, archives, command, metadata_files};
use chkctl::format;
use chkctl::model::handle::{Incremental, LocalFile};
use chkctl::model::{KeyGroupRange, KeyedHandle, Location, Metadata, StreamHandle, Subtasks};
use chkctl::storage::faulty::FaultyStorage;
use chkctl::storage::{LocalStorage, Storage, StorageErrorKind};
use chkctl::survey::inventory::Inventory;
use chkctl::survey::resolve::PathMaps;
use chkctl::survey::{Catalog, Judge, Silent, SnapshotDir, SnapshotReport};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

// What Flink makes of a state file that is not as it was. ------------------------------------------------------------

/// What a state file is to Flink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    HeapKeyed,
    CanonicalSavepoint,
    RawKeyed,
    ManagedOperator,
    RawOperator,
    DatabaseMeta,
    Sst,
    Current,
    Manifest,
    Options,
    InputChannel,
    ResultSubpartition,
    Changelog,
}

/// By role: the severity of a file that is a byte short, and of one that is a byte long. In any role a file that is
/// gone or a directory breaks the snapshot, and one that cannot be read leaves it unknown.
const RULES: &[(Role, &str, &str)] = &[
    (Role::HeapKeyed, "error", "warning"),
    (Role::CanonicalSavepoint, "error", "warning"),
    (Role::RawKeyed, "error", "warning"),
    (Role::ManagedOperator, "error", "warning"),
    (Role::RawOperator, "error", "warning"),
    (Role::DatabaseMeta, "error", "warning"),
    (Role::Sst, "error", "error"),
    (Role::Current, "error", "error"),
    (Role::Manifest, "warning", "warning"),
    (Role::Options, "warning", "warning"),
    (Role::InputChannel, "error", "warning"),
    (Role::ResultSubpartition, "error", "warning"),
    (Role::Changelog, "error", "warning"),
];

/// One use of a file by a state handle.
#[derive(Debug, Clone)]
struct Use {
    /// As Flink names it.
    path: String,
    role: Role,
    /// The owner, in the words of a finding.
    owner: Owner,
    /// Where the segment starts, in a merged file.
    start: Option<i64>,
    /// Size in bytes, as the handle has it.
    size: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Owner {
    operator_id: String,
    operator_name: Option<String>,
    operator_uid: Option<String>,
    subtask: i64,
    key_groups: Option<(i64, i64)>,
}

impl Use {
    /// The least size of the file for which this handle is whole.
    fn end(&self) -> i64 {
        self.start.unwrap_or(0) + self.size
    }

    fn rule(&self) -> (&'static str, &'static str) {
        let rule = RULES.iter().find(|(role, _, _)| *role == self.role);
        rule.map(|(_, cut, longer)| (*cut, *longer)).expect("a rule for every role")
    }

    fn finding(&self, code: &str, severity: &str, expected: Option<i64>, actual: Option<i64>) -> Value {
        let Owner { operator_id, operator_name, operator_uid, subtask, key_groups } = &self.owner;
        json!({
            "code": code, "severity": severity, "path": self.path, "operator_id": operator_id,
            "operator_name": operator_name, "operator_uid": operator_uid, "subtask": subtask,
            "key_groups": key_groups, "expected_size": expected, "actual_size": actual,
        })
    }
}

/// Every use of a file by a checkpoint of `expected.json`, in the order in which Flink writes handles.
fn uses(checkpoint: &Value) -> Vec<Use> {
    let mut found = Vec::new();
    for operator in list(&checkpoint["operators"]) {
        let text = |key: &str| operator[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        for subtask in list(&operator["subtasks"]) {
            let owner = Owner {
                operator_id: operator["operator_id"].as_str().expect("an id").to_owned(),
                operator_name: text("name"),
                operator_uid: text("uid"),
                subtask: subtask["index"].as_i64().expect("an index"),
                key_groups: None,
            };
            let mut add = |owner: &Owner, role, stream: &Value| found.extend(used(owner, role, stream));
            for (key, role) in
                [("managed_operator_state", Role::ManagedOperator), ("raw_operator_state", Role::RawOperator)]
            {
                list(&subtask[key]).iter().for_each(|handle| add(&owner, role, &handle["stream"]));
            }
            for (key, role) in [("managed_keyed_state", Role::HeapKeyed), ("raw_keyed_state", Role::RawKeyed)] {
                list(&subtask[key]).iter().for_each(|handle| keyed_uses(&owner, role, handle, &mut add));
            }
            for (key, role) in
                [("input_channel_state", Role::InputChannel), ("result_subpartition_state", Role::ResultSubpartition)]
            {
                list(&subtask[key]).iter().for_each(|handle| add(&owner, role, &handle["stream"]));
            }
        }
    }
    found
}

fn keyed_uses(owner: &Owner, role: Role, handle: &Value, add: &mut impl FnMut(&Owner, Role, &Value)) {
    let bound = |index: usize| handle["key_group_range"][index].as_i64().expect("a key group");
    let owner = &Owner { key_groups: Some((bound(0), bound(1))), ..owner.clone() };
    match handle["class"].as_str().expect("a class") {
        "KeyGroupsStateHandle" => add(owner, role, &handle["stream"]),
        "KeyGroupsSavepointStateHandle" => add(owner, Role::CanonicalSavepoint, &handle["stream"]),
        "IncrementalRemoteKeyedStateHandle" => {
            add(owner, Role::DatabaseMeta, &handle["meta"]);
            for file in list(&handle["shared"]).iter().chain(list(&handle["private"])) {
                let role = match file["local_path"].as_str().expect("a name") {
                    name if name.ends_with(".sst") => Role::Sst,
                    "CURRENT" => Role::Current,
                    name if name.starts_with("MANIFEST-") => Role::Manifest,
                    name if name.starts_with("OPTIONS-") => Role::Options,
                    other => panic!("a file {other} in a database"),
                };
                add(owner, role, &file["stream"]);
            }
        }
        "ChangelogStateBackendHandleImpl" => {
            for part in list(&handle["materialized"]).iter().chain(list(&handle["non_materialized"])) {
                keyed_uses(owner, role, part, add);
            }
        }
        "ChangelogStateHandleStreamImpl" => {
            list(&handle["streams"]).iter().for_each(|change| add(owner, Role::Changelog, &change["stream"]));
        }
        "InMemoryChangelogStateHandle" => {}
        other => panic!("a keyed handle {other}"),
    }
}

fn used(owner: &Owner, role: Role, stream: &Value) -> Option<Use> {
    let start = match stream["class"].as_str().expect("a class") {
        "FileStateHandle" | "RelativeFileStateHandle" => None,
        "SegmentFileStateHandle" => Some(stream["start"].as_i64().expect("an offset")),
        "ByteStreamStateHandle" | "EmptySegmentFileStateHandle" => return None,
        other => panic!("a stream {other}"),
    };
    Some(Use {
        path: stream["path"].as_str().expect("a path").to_owned(),
        role,
        owner: owner.clone(),
        start,
        size: stream["size"].as_i64().expect("a size"),
    })
}

pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// What is done to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    Deleted,
    OneByteLess,
    OneByteMore,
    Directory,
    Unreadable(StorageErrorKind),
}

const DAMAGES: [Damage; 4] = [Damage::Deleted, Damage::OneByteLess, Damage::OneByteMore, Damage::Directory];

const UNREADABLE: [StorageErrorKind; 3] =
    [StorageErrorKind::PermissionDenied, StorageErrorKind::Transient, StorageErrorKind::Other];

impl Damage {
    /// What must be said of a handle whose file of `size` bytes was damaged.
    fn finding(self, used: &Use, size: i64) -> Option<Value> {
        let (cut, longer) = used.rule();
        match (self, used.start) {
            (Damage::Deleted, _) => Some(used.finding("missing-file", "error", Some(used.end()), None)),
            (Damage::Directory, _) => Some(used.finding("not-a-file", "error", None, None)),
            (Damage::Unreadable(_), _) => Some(used.finding("unreadable-file", "unknown", None, None)),
            (Damage::OneByteLess, None) => Some(used.finding("short-file", cut, Some(size), Some(size - 1))),
            (Damage::OneByteLess, Some(_)) => {
                (used.end() == size).then(|| used.finding("segment-outside-file", cut, Some(size), Some(size - 1)))
            }
            (Damage::OneByteMore, None) => Some(used.finding("long-file", longer, Some(size), Some(size + 1))),
            (Damage::OneByteMore, Some(_)) => None,
        }
    }

    /// Does it, looks, and puts the file back.
    fn during<T>(self, file: &Path, look: impl FnOnce(&dyn Storage) -> T) -> T {
        let content = fs::read(file).expect("a state file");
        let cut = &content[..content.len() - 1];
        match self {
            Damage::Deleted => exchanged(file, |_| {}, || look(&LocalStorage)),
            Damage::OneByteLess => exchanged(file, |file| write(file, cut), || look(&LocalStorage)),
            Damage::OneByteMore => {
                exchanged(file, |file| write(file, &[&content, &b"x"[..]].concat()), || look(&LocalStorage))
            }
            Damage::Directory => exchanged(file, |file| fs::create_dir(file).expect("made"), || look(&LocalStorage)),
            Damage::Unreadable(kind) => look(&FaultyStorage::new(LocalStorage).failing(&file.to_string_lossy(), kind)),
        }
    }
}

fn write(file: &Path, bytes: &[u8]) {
    fs::write(file, bytes).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
}

/// Takes a file away, puts something else in its place or nothing, looks, and puts the file back.
fn exchanged<T>(file: &Path, put: impl FnOnce(&Path), look: impl FnOnce() -> T) -> T {
    let aside = file.with_extension("aside");
    fs::rename(file, &aside).expect("taken away");
    put(file);
    let seen = look();
    match fs::symlink_metadata(file) {
        Ok(there) if there.is_dir() => fs::remove_dir(file).expect("removed"),
        Ok(_) => fs::remove_file(file).expect("removed"),
        Err(_) => {}
    }
    fs::rename(aside, file).expect("put back");
    seen
}

/// What a damage to the file at `path` must lead to: the verdict, and one finding for each operator and subtask with
/// state in it, about the first of its handles.
fn wanted(damage: Damage, uses: &[Use], path: &str, size: i64) -> (&'static str, Vec<Value>) {
    let mut hit = BTreeSet::new();
    let mut findings: Vec<Value> = Vec::new();
    for used in uses.iter().filter(|used| used.path == path) {
        if let Some(finding) = damage.finding(used, size)
            && hit.insert((&used.owner.operator_id, used.owner.subtask))
        {
            findings.push(finding);
        }
    }
    (verdict_of(&findings), findings)
}

fn verdict_of(findings: &[Value]) -> &'static str {
    let has = |severity: &str| findings.iter().any(|finding| finding["severity"] == severity);
    match () {
        () if has("error") => "broken",
        () if has("unknown") => "unknown",
        () if has("warning") => "suspect",
        () => "restorable",
    }
}

/// The findings of a report in JSON, without what is meant for people.
fn said(findings: &Value) -> Vec<Value> {
    let mut findings = list(findings).to_vec();
    for finding in &mut findings {
        let fields = finding.as_object_mut().expect("an object");
        for (talk, needed) in [("state", false), ("message", true), ("hint", false)] {
            let text = fields.remove(talk).expect("a field of the contract");
            assert!(!needed || text.as_str().is_some_and(|text| !text.is_empty()), "{talk} of {fields:?}");
        }
    }
    findings
}

fn said_of(report: &SnapshotReport) -> Vec<Value> {
    said(&serde_json::to_value(&report.findings).expect("JSON"))
}

fn sorted(mut findings: Vec<Value>) -> Vec<Value> {
    findings.sort_by_key(Value::to_string);
    findings
}

/// So many files of each role are damaged in each snapshot.
const FILES_PER_ROLE: usize = 2;

#[test]
fn each_kind_of_damage_to_each_kind_of_file_is_found_with_its_owners() {
    let archives = archives();
    let next = AtomicUsize::new(0);
    let tally: Mutex<BTreeMap<(Role, bool), usize>> = Mutex::default();
    let complaints: Mutex<Vec<String>> = Mutex::default();
    let work = || {
        while let Some(archive) = archives.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut swept = Sweep::of(Case::unpack(archive));
            swept.run();
            complaints.lock().expect("no panic").append(&mut swept.complaints);
            let mut tally = tally.lock().expect("no panic");
            swept.damaged.into_iter().for_each(|role| *tally.entry(role).or_default() += 1);
        }
    };
    thread::scope(|scope| {
        scope.spawn(work);
        work();
    });
    let complaints = complaints.into_inner().expect("no panic");
    assert!(
        complaints.is_empty(),
        "{} complaints:\n{}",
        complaints.len(),
        complaints[..complaints.len().min(10)].join("\n")
    );
    let tally = tally.into_inner().expect("no panic");
    for (role, _, _) in RULES {
        assert!(tally.contains_key(&(*role, false)), "no whole file is {role:?}: {tally:?}");
    }
    for role in [Role::HeapKeyed, Role::ManagedOperator, Role::DatabaseMeta, Role::Sst, Role::Manifest, Role::Options] {
        assert!(tally.contains_key(&(role, true)), "no merged file holds {role:?}: {tally:?}");
    }
}

/// Damages the files of all whole snapshots of a case.
struct Sweep {
    case: Case,
    snapshots: Vec<(SnapshotDir, Value)>,
    complaints: Vec<String>,
    /// Roles of damaged files, and whether the file was a merged one.
    damaged: Vec<(Role, bool)>,
}

impl Sweep {
    fn of(case: Case) -> Self {
        let catalog = Catalog::scan(&LocalStorage, &[at(&case.tree())]).expect("a catalog");
        let with_expected = |checkpoint: &Value| {
            let dir = at(&place(&case, checkpoint));
            let found = catalog.snapshots.iter().find(|snapshot| snapshot.dir == dir);
            (found.unwrap_or_else(|| panic!("{dir} is not in the catalog")).clone(), checkpoint.clone())
        };
        let snapshots = list(&case.expected()["checkpoints"]).iter().map(with_expected).collect();
        Sweep { case, snapshots, complaints: Vec::new(), damaged: Vec::new() }
    }

    /// The snapshots of which Flink found every file, with the uses of their files.
    fn whole_snapshots(&self) -> Vec<(SnapshotDir, Vec<Use>)> {
        let whole = self.snapshots.iter().filter(|(_, checkpoint)| is_whole(checkpoint));
        whole.map(|(snapshot, checkpoint)| (snapshot.clone(), uses(checkpoint))).collect()
    }

    fn run(&mut self) {
        for (snapshot, checkpoint) in &self.snapshots {
            let verdict = judged(&LocalStorage, &self.case, snapshot).verdict.word();
            if verdict != if is_whole(checkpoint) { "restorable" } else { "broken" } {
                self.complaints.push(format!("{} is {verdict} before any damage", snapshot.dir));
            }
        }
        // Where the changelog is compressed, sizes are those before: a test of their own.
        let compressed = self.case.name.starts_with("wc-changelog-compressed");
        for (snapshot, mut uses) in self.whole_snapshots() {
            uses.retain(|used| !(compressed && used.role == Role::Changelog));
            self.damage_files_of(&snapshot, &uses);
        }
    }

    fn damage_files_of(&mut self, snapshot: &SnapshotDir, uses: &[Use]) {
        let mut by_role: BTreeMap<(Role, bool), BTreeSet<&str>> = BTreeMap::new();
        for used in uses {
            by_role.entry((used.role, used.start.is_some())).or_default().insert(&used.path);
        }
        let mut done = BTreeSet::new();
        for (role, paths) in by_role {
            let paths: Vec<&str> = paths.into_iter().collect();
            let step = paths.len().div_ceil(FILES_PER_ROLE).max(1);
            for path in paths.into_iter().step_by(step) {
                self.damaged.push(role);
                if done.insert(path) {
                    let unreadable = UNREADABLE.map(Damage::Unreadable);
                    DAMAGES.into_iter().chain(unreadable).for_each(|damage| self.damage(damage, snapshot, uses, path));
                }
            }
        }
    }

    fn damage(&mut self, damage: Damage, snapshot: &SnapshotDir, uses: &[Use], path: &str) {
        let file = self.case.here(path);
        let size = size_of(&file);
        let report = damage.during(&file, |storage| judged(storage, &self.case, snapshot));
        let (verdict, findings) = wanted(damage, uses, path, size);
        let counts = (report.files.missing, report.files.damaged);
        let wanted_counts = match damage {
            Damage::Deleted => (1, 0),
            Damage::Unreadable(_) => (0, 0),
            _ => (0, u64::from(!findings.is_empty())),
        };
        if (report.verdict.word(), counts) != (verdict, wanted_counts)
            || sorted(said_of(&report)) != sorted(findings.clone())
        {
            self.complaints.push(format!(
                "{damage:?} {path} ({size} bytes) of {}:\n  said {} {counts:?} {:#?}\n  wanted {verdict} {wanted_counts:?} {findings:#?}",
                snapshot.dir, report.verdict, said_of(&report)
            ));
        }
    }
}

fn is_whole(checkpoint: &Value) -> bool {
    list(&checkpoint["referenced_files"]).iter().all(|file| file["exists"] == true)
}

pub(super) fn at(path: &Path) -> Location {
    Location::parse(&path.to_string_lossy()).expect("a path")
}

/// Judges one snapshot of a case as if it stood where Flink wrote it.
fn judged(storage: &dyn Storage, case: &Case, snapshot: &SnapshotDir) -> SnapshotReport {
    let judge = Judge {
        inventory: Inventory::for_one(storage),
        maps: PathMaps::new(vec![case.map().parse().expect("a map")]),
        progress: &Silent,
        neighbours: Vec::new(),
        keep_files: false,
    };
    judge.judge(snapshot)
}

// The same through the binary. -----------------------------------------------------------------------------------

/// The snapshot of `expected.json` in a directory of this name.
pub(super) fn checkpoint<'e>(expected: &'e Value, name: &str) -> &'e Value {
    let named = |checkpoint: &&Value| checkpoint["path"].as_str().is_some_and(|path| path.ends_with(name));
    list(&expected["checkpoints"]).iter().find(named).unwrap_or_else(|| panic!("no {name}"))
}

/// The directory here of a snapshot of `expected.json`.
pub(super) fn place(case: &Case, checkpoint: &Value) -> PathBuf {
    case.here(checkpoint["path"].as_str().expect("a path"))
}

fn size_of(file: &Path) -> i64 {
    i64::try_from(fs::metadata(file).expect("a file").len()).expect("a size")
}

fn verify(case: &Case, place: &Path) -> Run {
    case.chkctl([OsStr::new("verify"), OsStr::new("--json"), place.as_os_str()])
}

/// Checks what a run says of its only snapshot: the verdict, the exit status that goes with it, and the codes of the
/// findings, each once. Gives the snapshot.
pub(super) fn says(run: &Run, verdict: &str, codes: &[&str]) -> Value {
    let json = run.json();
    let snapshot = &json["snapshots"][0];
    let said: BTreeSet<&str> = list(&snapshot["findings"]).iter().filter_map(|f| f["code"].as_str()).collect();
    let said: Vec<&str> = said.into_iter().collect();
    assert_eq!((snapshot["verdict"].as_str(), &said[..]), (Some(verdict), codes), "{json:#}");
    let (count, status) =
        (list(&json["snapshots"]).len(), ["restorable", "unknown"].iter().position(|v| *v == verdict));
    assert_eq!((count, run.status), (1, status.map_or(1, |v| [0, 5][v])), "{json:#}");
    assert_eq!(json["summary"][verdict], 1, "{json:#}");
    snapshot.clone()
}

#[test]
fn a_compressed_changelog_file_is_judged_by_what_it_holds() {
    for name in ["wc-changelog-compressed-1.15.4", "wc-changelog-compressed-1.20.5", "wc-changelog-compressed-2.3.0"] {
        let case = Case::named(name);
        let expected = case.expected();
        for checkpoint in list(&expected["checkpoints"]) {
            let dir = place(&case, checkpoint);
            assert_eq!(verify(&case, &dir).status, 0, "{}", dir.display());
            for used in uses(checkpoint).iter().filter(|used| used.role == Role::Changelog) {
                let file = case.here(&used.path);
                let content = fs::read(&file).expect("a file");
                assert!(content.len() < usize::try_from(used.size).expect("a size"), "{used:?} is compressed");
                for (cut, verdict, code) in [
                    (content[..content.len() - 1].to_vec(), "broken", "short-file"),
                    (content[..content.len() / 2].to_vec(), "broken", "short-file"),
                    (content[..1].to_vec(), "broken", "short-file"),
                    (Vec::new(), "broken", "short-file"),
                    ([&content[..], b"x"].concat(), "suspect", "long-file"),
                ] {
                    let run = exchanged(&file, |file| write(file, &cut), || verify(&case, &dir));
                    says(&run, verdict, &[code]);
                }
            }
        }
    }
}

#[test]
fn the_binary_says_the_same_in_json_and_with_its_exit_status() {
    for (name, snapshot) in [
        ("kitchen-rocksdb-inc-2.3.0", "chk-6"),
        ("wc-changelog-heap-1.20.5", "chk-4"),
        ("wc-filemerging-rocksdb-2.3.0", "chk-4"),
        ("raw-1.20.5", "chk-2"),
    ] {
        let case = Case::named(name);
        let expected = case.expected();
        let checkpoint = checkpoint(&expected, snapshot);
        let uses = uses(checkpoint);
        let mut roles = BTreeSet::new();
        for used in uses.iter().filter(|used| roles.insert(used.role)) {
            for damage in DAMAGES {
                let file = case.here(&used.path);
                let (verdict, findings) = wanted(damage, &uses, &used.path, size_of(&file));
                let run = damage.during(&file, |_| verify(&case, &place(&case, checkpoint)));
                let codes: BTreeSet<&str> = findings.iter().filter_map(|finding| finding["code"].as_str()).collect();
                let snapshot = says(&run, verdict, &codes.into_iter().collect::<Vec<_>>());
                assert_eq!(sorted(said(&snapshot["findings"])), sorted(findings), "{name}, {used:?}, {damage:?}");
            }
        }
        assert_eq!(verify(&case, &case.tree()).status, 0, "{name} is whole again");
    }
}

#[test]
fn a_shared_file_that_is_gone_breaks_the_snapshots_that_use_it_and_no_other() {
    let case = Case::named("wc-rocksdb-retained5-1.20.5");
    let expected = case.expected();
    let checkpoints = list(&expected["checkpoints"]);
    let mut users: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for checkpoint in checkpoints {
        for used in uses(checkpoint).into_iter().filter(|used| used.role == Role::Sst) {
            let dir = place(&case, checkpoint).to_string_lossy().into_owned();
            users.entry(used.path).or_default().insert(dir);
        }
    }
    assert!(users.values().any(|users| users.len() == 1) && users.values().any(|users| users.len() > 2), "{users:?}");
    for (path, users) in users {
        let run = Damage::Deleted.during(&case.here(&path), |_| verify(&case, &case.tree()));
        let json = run.json();
        let broken = list(&json["snapshots"]).iter().filter(|snapshot| snapshot["verdict"] == "broken");
        let broken: BTreeSet<String> = broken.filter_map(|s| s["path"].as_str()).map(str::to_owned).collect();
        assert_eq!(broken, users, "{path}");
        assert_eq!(json["summary"]["restorable"], checkpoints.len() - users.len());
        assert_eq!(run.status, 1);
    }
}

#[test]
fn a_merged_file_cut_inside_several_segments_is_as_bad_as_the_worst_of_them() {
    let mut verdicts = BTreeSet::new();
    for name in ["wc-filemerging-rocksdb-1.20.5", "wc-filemerging-rocksdb-2.3.0", "kitchen-filemerging-across-1.20.5"] {
        let sweep = Sweep::of(Case::named(name));
        for (snapshot, uses) in sweep.whole_snapshots() {
            let merged = || uses.iter().filter_map(|used| Some((used, used.start?)));
            let cuts: BTreeSet<(&str, i64)> =
                merged().flat_map(|(used, start)| [(&*used.path, start), (&*used.path, used.end() - 1)]).collect();
            for (path, length) in cuts {
                let file = sweep.case.here(path);
                let left = fs::read(&file).expect("a file")[..usize::try_from(length).expect("a length")].to_vec();
                let report =
                    exchanged(&file, |file| write(file, &left), || judged(&LocalStorage, &sweep.case, &snapshot));
                let hit = merged().filter(|(used, _)| used.path == path && used.end() > length).map(|(used, start)| {
                    // RocksDB starts from what is there of a MANIFEST, if anything is.
                    let empty = used.role == Role::Manifest && start >= length;
                    used.finding("", if empty { "error" } else { used.rule().0 }, None, None)
                });
                let (wanted, found) = (hit.collect::<Vec<_>>(), said_of(&report));
                assert_eq!(
                    worst_by_owner(&found),
                    worst_by_owner(&wanted),
                    "{path} of {} cut to {length} bytes",
                    snapshot.dir
                );
                assert!(found.iter().all(|finding| finding["code"] == "segment-outside-file"));
                verdicts.insert(report.verdict.word());
            }
        }
    }
    assert_eq!(verdicts, BTreeSet::from(["broken", "suspect"]));
}

/// The worst severity for each operator and subtask; "error" sorts before "warning".
fn worst_by_owner(findings: &[Value]) -> BTreeMap<String, &str> {
    let mut worst = BTreeMap::new();
    for finding in findings {
        let severity = finding["severity"].as_str().expect("a severity");
        let entry = worst.entry(format!("{}[{}]", finding["operator_id"], finding["subtask"])).or_insert(severity);
        *entry = severity.min(entry);
    }
    worst
}

#[test]
fn a_link_counts_as_what_it_leads_to_and_a_pipe_is_not_waited_for() {
    let case = Case::named("wc-heap-files-1.20.5");
    let checkpoint = &case.expected()["checkpoints"][0];
    let dir = place(&case, checkpoint);
    let (state, metadata) = (case.here(&uses(checkpoint)[0].path), dir.join("_metadata"));
    let fifo = |file: &Path| assert!(Command::new("mkfifo").arg(file).status().expect("mkfifo runs").success());
    for (file, dangling) in [(&state, ("broken", "missing-file")), (&metadata, ("incomplete", "no-metadata"))] {
        let with = |put: &dyn Fn(&Path)| {
            let mut chkctl = command();
            chkctl.args(["verify", "--json", "--map", &case.map()]).arg(&dir);
            exchanged(file, put, || in_time(chkctl))
        };
        let link = |target: PathBuf| move |file: &Path| symlink(&target, file).expect("a link");
        says(&with(&link(file.with_extension("aside"))), "restorable", &[]);
        says(&with(&link(case.root.join("nowhere"))), dangling.0, &[dangling.1]);
        says(&with(&link(case.root.clone())), "broken", &["not-a-file"]);
        says(&with(&fifo), "broken", &["not-a-file"]);
    }
}

/// Runs a command that must not wait for anything.
fn in_time(command: Command) -> Run {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(Run::of(command)));
    receiver.recv_timeout(Duration::from_secs(60)).expect("chkctl does not hang")
}

// What cannot be read. ---------------------------------------------------------------------------------------------

#[test]
fn a_directory_that_does_not_answer_leaves_the_snapshots_unknown_that_need_it() {
    let sweep = Sweep::of(Case::named("wc-claim-1.20.5"));
    for (snapshot, uses) in sweep.whole_snapshots() {
        let dirs: BTreeSet<&str> =
            uses.iter().filter_map(|used| used.path.rsplit_once('/')).map(|(dir, _)| dir).collect();
        for (&dir, kind) in dirs.iter().zip(UNREADABLE.iter().cycle()) {
            let part = format!("{}/", sweep.case.here(dir).display());
            let report = judged(&FaultyStorage::new(LocalStorage).failing(&part, *kind), &sweep.case, &snapshot);
            assert_eq!(report.verdict.word(), "unknown", "{kind:?} {part}");
            if at(&sweep.case.here(dir)) == snapshot.dir {
                assert_eq!(said_of(&report)[0]["code"], "unreadable-metadata");
                continue;
            }
            let inside = uses.iter().filter(|used| used.path.starts_with(&format!("{dir}/")));
            let wanted = inside.map(|used| used.finding("unreadable-file", "unknown", None, None)).collect();
            assert_eq!(sorted(said_of(&report)), sorted(wanted), "{kind:?} {part}");
        }
    }
}

#[test]
fn what_is_known_to_be_missing_counts_more_than_what_is_not_known() {
    let sweep = Sweep::of(Case::named("wc-claim-1.20.5"));
    for (snapshot, uses) in sweep.whole_snapshots() {
        let (first, last) = (sweep.case.here(&uses[0].path), sweep.case.here(&uses[uses.len() - 1].path));
        let faulty = FaultyStorage::new(LocalStorage).failing(&last.to_string_lossy(), StorageErrorKind::Transient);
        let report = Damage::Deleted.during(&first, |_| judged(&faulty, &sweep.case, &snapshot));
        let codes: Vec<Value> = said_of(&report).iter().map(|finding| finding["code"].clone()).collect();
        assert_eq!((report.verdict.word(), codes), ("broken", vec![json!("missing-file"), json!("unreadable-file")]));
    }
}

#[test]
fn what_may_not_be_read_leaves_a_snapshot_unknown_and_exits_with_5() {
    let case = Case::named("wc-rocksdb-retained5-1.20.5");
    let stranger = Stranger::to(&case);
    let expected = case.expected();
    let checkpoint = checkpoint(&expected, "/chk-8");
    let (dir, uses) = (place(&case, checkpoint), uses(checkpoint));
    let sst = case.here(&uses.iter().find(|used| used.role == Role::Sst).expect("an SST file").path);
    let shared = sst.parent().expect("shared").to_owned();
    let verify = || stranger.chkctl(&case, [OsStr::new("verify"), OsStr::new("--json"), dir.as_os_str()]);
    says(&verify(), "restorable", &[]);
    for (path, mode, code) in [
        (&sst, 0o000, Some("unreadable-file")),
        (&shared, 0o000, Some("unreadable-file")),
        // To list a directory is not enough, to enter it is.
        (&shared, 0o444, Some("unreadable-file")),
        (&shared, 0o111, None),
        (&dir, 0o000, Some("unreadable-metadata")),
        (&dir, 0o444, Some("unreadable-metadata")),
        (&dir, 0o111, None),
        (&dir.join("_metadata"), 0o000, Some("unreadable-metadata")),
    ] {
        let _mode = WithMode::new(path, mode);
        let verdict = if code.is_some() { "unknown" } else { "restorable" };
        let snapshot = says(&verify(), verdict, &code.into_iter().collect::<Vec<_>>());
        let hit = uses.iter().filter(|used| case.here(&used.path).starts_with(path));
        let wanted = match code {
            Some("unreadable-file") => hit.map(|used| used.finding("unreadable-file", "unknown", None, None)).collect(),
            _ => continue,
        };
        assert_eq!(sorted(said(&snapshot["findings"])), sorted(wanted), "{} with mode {mode:o}", path.display());
        let message = snapshot["findings"][0]["message"].as_str();
        assert!(message.is_some_and(|message| message.contains("ermission denied")), "{message:?}");
    }
    // A place that was given and cannot be looked at is the end of the run.
    let _mode = WithMode::new(dir.parent().expect("a job directory"), 0o000);
    let Run { stdout, stderr, status } = verify();
    assert_eq!((&*stdout, status), ("", 5), "{stderr}");
    assert!(stderr.contains("ermission denied"), "{stderr}");
}

// Damage to the _metadata itself. ------------------------------------------------------------------------------------

#[test]
fn a_metadata_cut_at_any_length_is_broken() {
    for archive in archives() {
        let case = Case::unpack(&archive);
        let catalog = Catalog::scan(&LocalStorage, &[at(&case.tree())]).expect("a catalog");
        let file = metadata_files(&case.tree()).swap_remove(0);
        let snapshot = catalog.snapshots.iter().find(|s| s.metadata_file == at(&file)).expect("in the catalog");
        let size = fs::metadata(&file).expect("a _metadata").len();
        let middle = (16..size - 8).step_by(usize::try_from(size / 40).expect("a size"));
        let open = OpenOptions::new().write(true).open(&file).expect("a _metadata");
        let lengths: BTreeSet<u64> = (0..16).chain(middle).chain(size - 8..size).collect();
        for length in lengths.into_iter().rev() {
            open.set_len(length).expect("cut");
            let report = judged(&LocalStorage, &case, snapshot);
            let codes: Vec<Value> = said_of(&report).iter().map(|finding| finding["code"].clone()).collect();
            let said = (report.verdict.word(), codes);
            assert_eq!(said, ("broken", vec![json!("damaged-metadata")]), "{} cut to {length} bytes", snapshot.dir);
        }
    }
}

/// A changed `_metadata`, and what is to be said of it: verdict, code, and words of the message.
type Changed = (fn(&[u8]) -> Vec<u8>, &'static str, &'static str, &'static str);

const OLD: &str = "Restore it once with Flink 1.3 to 1.10 and take a new savepoint there";

const CHANGES: &[Changed] = &[
    (|_| Vec::new(), "broken", "damaged-metadata", "the file ends here"),
    (|bytes| [b"x", &bytes[1..]].concat(), "broken", "damaged-metadata", "not a checkpoint's _metadata"),
    (|bytes| [bytes, b"7 bytes"].concat(), "suspect", "trailing-bytes", "7 bytes follow"),
    (|bytes| of_version(bytes, 8), "unknown", "unknown-version", "use a newer chkctl"),
    (|bytes| of_version(bytes, 1), "broken", "old-version", OLD),
    (|bytes| of_version(bytes, 0), "broken", "old-version", "Flink 1.2 or 1.3"),
    (|bytes| of_version(bytes, -1), "broken", "damaged-metadata", "no release of Flink"),
];

fn of_version(bytes: &[u8], version: i32) -> Vec<u8> {
    [&bytes[..4], &version.to_be_bytes(), &bytes[8..]].concat()
}

#[test]
fn what_is_in_the_place_of_the_metadata_decides() {
    for release in ["heap-1.10.3", "rocksdb-inc-1.13.6", "rocksdb-inc-1.20.5", "rocksdb-inc-2.0.2", "rocksdb-inc-2.3.0"]
    {
        let case = Case::named(&format!("kitchen-{release}"));
        for file in metadata_files(&case.tree()) {
            let dir = file.parent().expect("a directory");
            let bytes = fs::read(&file).expect("a _metadata");
            for (change, verdict, code, words) in CHANGES {
                let put = |file: &Path| write(file, &change(&bytes));
                for run in exchanged(&file, put, || [verify(&case, dir), verify(&case, &file)]) {
                    let message = says(&run, verdict, &[code])["findings"][0]["message"].to_string();
                    assert!(message.contains(words), "{message}");
                }
            }
            let directory = |file: &Path| fs::create_dir(file).expect("made");
            says(&exchanged(&file, directory, || verify(&case, dir)), "broken", &["not-a-file"]);
            let run = exchanged(&file, |_| {}, || verify(&case, dir));
            if dir.file_name().is_some_and(|name| name.to_string_lossy().starts_with("chk-")) {
                says(&run, "incomplete", &["no-metadata"]);
            } else {
                // Nothing says that this was a savepoint; a gate does not open for it.
                assert_eq!((list(&run.json()["snapshots"]).len(), run.status), (0, 1));
            }
        }
        assert_eq!(verify(&case, &case.tree()).status, 0, "{release} is whole again");
    }
}

// Handles that say what cannot be. -----------------------------------------------------------------------------------

/// Changes a `_metadata` by way of the model.
pub(super) fn rewrite(dir: &Path, change: impl for<'a> FnOnce(&mut Metadata<'a>)) {
    let file = dir.join("_metadata");
    let bytes = fs::read(&file).expect("a _metadata");
    let mut metadata = format::decode(&bytes).expect("a whole one");
    change(&mut metadata);
    let changed = format::encode(&metadata).expect("it can be written");
    assert_ne!(changed, bytes, "nothing was changed in {}", dir.display());
    fs::remove_file(&file).expect("removed");
    write(&file, &changed);
}

/// The managed keyed state of the subtasks of the first operator that has some.
fn keyed<'m, 'a>(metadata: &'m mut Metadata<'a>) -> Vec<&'m mut KeyedHandle<'a>> {
    let handles = metadata.operators.iter_mut().map(|operator| match &mut operator.subtasks {
        Subtasks::FullyFinished(_) => Vec::new(),
        Subtasks::Some(list) => {
            let states = list.iter_mut().filter_map(|subtask| subtask.state.as_deref_mut());
            states.filter_map(|state| state.managed_keyed.as_deref_mut()).collect()
        }
    });
    handles.into_iter().find(|handles| !handles.is_empty()).expect("keyed state")
}

fn database<'m, 'a>(handle: &'m mut KeyedHandle<'a>) -> &'m mut Incremental<'a> {
    match handle {
        KeyedHandle::Incremental(handle) => handle,
        other => panic!("a {}", other.class()),
    }
}

/// Changes the newest checkpoint of a case, and checks what is said of it.
fn changed(case: &str, dir: &str, verdict: &str, code: &str, change: impl for<'a> FnOnce(&mut Metadata<'a>)) -> Value {
    let case = Case::named(case);
    let dir = place(&case, checkpoint(&case.expected(), dir));
    says(&verify(&case, &dir), "restorable", &[]);
    rewrite(&dir, change);
    let snapshot = says(&verify(&case, &dir), verdict, &[code]);
    assert_eq!(list(&snapshot["findings"]).len(), 1, "{snapshot:#}");
    snapshot["findings"][0].clone()
}

const ROCKSDB: &str = "wc-rocksdb-retained5-1.20.5";

#[test]
fn key_groups_of_two_subtasks_or_of_none_make_a_snapshot_suspect() {
    let finding = changed(ROCKSDB, "/chk-8", "suspect", "overlapping-key-groups", |metadata| {
        database(keyed(metadata).swap_remove(1)).range = KeyGroupRange { start: 60, count: 68 };
    });
    assert_eq!((&finding["subtask"], &finding["key_groups"]), (&json!(1), &json!([60, 63])));
    let finding = changed(ROCKSDB, "/chk-8", "suspect", "missing-key-groups", |metadata| {
        database(keyed(metadata).swap_remove(0)).range = KeyGroupRange { start: 0, count: 60 };
    });
    assert_eq!((&finding["subtask"], &finding["key_groups"]), (&json!(0), &json!([0, 63])));
    assert_eq!(finding["operator_id"], "70626c71e10753f62774df1bbae21f56");
}

#[test]
fn a_size_beyond_the_file_is_a_short_file() {
    let finding = changed(ROCKSDB, "/chk-8", "broken", "short-file", |metadata| {
        match &mut database(keyed(metadata).swap_remove(1)).meta {
            StreamHandle::Relative { size, .. } => *size += 1_000,
            other => panic!("a {}", other.class()),
        }
    });
    assert_eq!((&finding["subtask"], &finding["key_groups"]), (&json!(1), &json!([64, 127])));
    assert_eq!((&finding["expected_size"], &finding["actual_size"]), (&json!(1_596), &json!(596)));
}

#[test]
fn an_offset_beyond_its_stream_breaks_a_snapshot() {
    let last_group = |metadata: &mut Metadata<'_>| match keyed(metadata).swap_remove(1) {
        KeyedHandle::KeyGroups(handle) => *handle.offsets.last_mut().expect("an offset") = 1_000_000,
        other => panic!("a {}", other.class()),
    };
    for (case, dir) in [("wc-heap-files-1.20.5", "/chk-2"), ("wc-filemerging-heap-1.20.5", "/chk-3")] {
        let finding = changed(case, dir, "broken", "offset-outside-stream", last_group);
        assert_eq!((&finding["subtask"], &finding["key_groups"]), (&json!(1), &json!([64, 127])));
        assert!(finding["path"].as_str().is_some_and(|path| path.starts_with("file:/opt/flink/")), "{finding}");
    }
    let finding = changed(ROCKSDB, "/chk-8", "broken", "offset-outside-stream", |metadata| {
        let subtasks = metadata.operators.iter_mut().filter_map(|operator| match &mut operator.subtasks {
            Subtasks::Some(list) => list.first_mut(),
            Subtasks::FullyFinished(_) => None,
        });
        let states = subtasks.filter_map(|subtask| subtask.state.as_deref_mut());
        let mut handles = states.filter_map(|state| state.managed_operator.handle.as_deref_mut());
        handles.next().expect("operator state").states[0].offsets = vec![198];
    });
    assert_eq!((&finding["subtask"], &finding["expected_size"]), (&json!(0), &json!(197)));
}

/// Changes the files of the embedded database of subtask 1 that checkpoints may share.
fn with_shared_files(metadata: &mut Metadata<'_>, change: impl for<'a> FnOnce(&mut Vec<LocalFile<'a>>)) {
    let mut handles = keyed(metadata);
    let database = database(handles.swap_remove(1));
    let mut files = database.shared.iter().collect();
    change(&mut files);
    database.shared = files.into();
}

#[test]
fn a_path_that_flink_refuses_breaks_a_snapshot() {
    for (refused, code) in [("1:a", "invalid-path"), ("hdfs:a", "invalid-path"), ("", "damaged-metadata")] {
        let finding = changed(ROCKSDB, "/chk-8", "broken", code, |metadata| {
            with_shared_files(metadata, |files| match &mut files[0].stream {
                StreamHandle::File { path, .. } => *path = refused.into(),
                other => panic!("a {}", other.class()),
            });
        });
        match code {
            "invalid-path" => assert_eq!((&finding["path"], &finding["subtask"]), (&json!(refused), &json!(1))),
            _ => assert!(finding["message"].to_string().contains("an empty path"), "{finding}"),
        }
    }
    for refused in ["/", "a:b"] {
        let finding = changed(ROCKSDB, "/chk-8", "broken", "invalid-path", |metadata| {
            match &mut database(keyed(metadata).swap_remove(1)).meta {
                StreamHandle::Relative { path, .. } => *path = refused.into(),
                other => panic!("a {}", other.class()),
            }
        });
        assert_eq!((&finding["path"], &finding["subtask"]), (&json!(refused), &json!(1)));
    }
}

#[test]
fn files_that_make_no_database_break_a_snapshot() {
    for (problem, name) in [("no CURRENT", "CURRENT"), ("no MANIFEST", "MANIFEST-")] {
        let finding = changed(ROCKSDB, "/chk-8", "broken", "incomplete-database", |metadata| {
            let mut handles = keyed(metadata);
            let database = database(handles.swap_remove(1));
            database.private =
                database.private.iter().filter(|file| !file.local_path.to_str().starts_with(name)).collect();
        });
        assert_eq!((&finding["subtask"], &finding["key_groups"]), (&json!(1), &json!([64, 127])));
        assert!(finding["message"].to_string().contains(problem), "{finding}");
    }
    let twice = changed(ROCKSDB, "/chk-8", "broken", "incomplete-database", |metadata| {
        with_shared_files(metadata, |files| files[1].local_path = files[0].local_path.clone());
    });
    assert!(twice["message"].to_string().contains("two files of the name"), "{twice}");
}
