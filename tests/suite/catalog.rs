//! Where snapshots are, in which order, which of them is the one to restart from, and who shares files with whom: on
//! cases of real Flink and on layouts built from their snapshots.

use super::damage::{at, checkpoint, list, place, says};
use super::support::{Case, FLINK_ROOT, Run, archives, command, metadata_files};
use chkctl::storage::faulty::{Effect, Fault, FaultyStorage, Operation};
use chkctl::storage::{LocalStorage, StorageErrorKind, WriteStorage as _};
use chkctl::survey::catalog::SnapshotState;
use chkctl::survey::inventory::Inventory;
use chkctl::survey::resolve::{PathMap, PathMaps};
use chkctl::survey::{Catalog, Judge, Silent, SnapshotReport};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

// Somebody whom file modes stop. --------------------------------------------------------------------------------------

/// chkctl as somebody whom file modes stop: another user if the tests run as root, whom they do not stop.
pub(super) struct Stranger {
    dir: TempDir,
    other_user: bool,
}

impl Stranger {
    /// One who may enter the directory of a case.
    pub(super) fn to(case: &Case) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let binary = dir.path().join("chkctl");
        // The other user may not get to where cargo builds. Written by another process, since a program that is open
        // for writing cannot be run, and what runs in the other threads would hold it open for a moment.
        let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_chkctl")).arg(&binary).status().expect("cp runs");
        assert!(copied.success());
        for path in [dir.path(), &binary, &case.root] {
            fs::set_permissions(path, Permissions::from_mode(0o755)).expect("open to all");
        }
        let other_user = fs::metadata(dir.path()).expect("a directory").uid() == 0;
        Stranger { dir, other_user }
    }

    /// Runs chkctl with the map of the case behind the arguments.
    pub(super) fn chkctl<I: AsRef<OsStr>>(&self, case: &Case, args: impl IntoIterator<Item = I>) -> Run {
        let mut command = Command::new(self.dir.path().join("chkctl"));
        command
            .args(args)
            .arg("--map")
            .arg(case.map())
            .env_remove("FLINK_CONF_DIR")
            .env_remove("CHKCTL_CONFIG")
            .current_dir(self.dir.path());
        if self.other_user {
            command.gid(65_534).uid(65_534);
        }
        Run::of(command)
    }
}

/// A file or directory with another mode, until it goes out of scope.
pub(super) struct WithMode {
    path: PathBuf,
    before: Permissions,
}

impl WithMode {
    pub(super) fn new(path: &Path, mode: u32) -> Self {
        let before = fs::metadata(path).expect("something there").permissions();
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("another mode");
        WithMode { path: path.to_owned(), before }
    }
}

impl Drop for WithMode {
    fn drop(&mut self) {
        let _ = fs::set_permissions(&self.path, self.before.clone());
    }
}

// Layouts. ------------------------------------------------------------------------------------------------------------

/// A directory in which snapshots are put where a test wants them. They are copies of one of real Flink with all of its
/// state in line, so that each of them is restorable wherever it lies.
pub(super) struct Layout {
    dir: TempDir,
    metadata: Vec<u8>,
}

/// What can be the matter with a snapshot.
#[derive(Debug, Clone, Copy)]
pub(super) enum Matter {
    Nothing,
    Suspect,
    Broken,
    Incomplete,
    Unknown,
}

const JOB_A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const JOB_B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

/// A minute of a day on which nothing else happened.
fn minute(minute: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + 60 * minute)
}

/// Says when a file or directory was changed last.
pub(super) fn touch(path: &Path, at: u64) {
    let file = File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    file.set_times(FileTimes::new().set_modified(minute(at))).expect("a time");
}

impl Layout {
    pub(super) fn new() -> Self {
        let case = Case::named("wc-heap-inline-1.20.5");
        let metadata = fs::read(&metadata_files(&case.tree())[0]).expect("a _metadata");
        Layout { dir: tempfile::tempdir().expect("a directory"), metadata }
    }

    pub(super) fn path(&self, inside: &str) -> PathBuf {
        self.dir.path().join(inside)
    }

    /// Puts a snapshot at a path, completed in a minute.
    pub(super) fn put(&self, inside: &str, completed: u64) -> PathBuf {
        self.put_with(inside, completed, Matter::Nothing)
    }

    pub(super) fn put_with(&self, inside: &str, completed: u64, matter: Matter) -> PathBuf {
        let dir = self.path(inside);
        fs::create_dir_all(&dir).expect("a directory");
        let bytes = match matter {
            Matter::Nothing => self.metadata.clone(),
            Matter::Suspect => [&self.metadata[..], b"more"].concat(),
            Matter::Broken => self.metadata[..100].to_vec(),
            Matter::Unknown => [&self.metadata[..4], &[0, 0, 0, 8], &self.metadata[8..]].concat(),
            Matter::Incomplete => {
                touch(&dir, completed);
                return dir;
            }
        };
        fs::write(dir.join("_metadata"), bytes).expect("a _metadata");
        touch(&dir.join("_metadata"), completed);
        dir
    }

    /// What is found below places in the layout, in order.
    fn found(&self, places: &[&str]) -> Vec<String> {
        let places: Vec<_> = places.iter().map(|place| at(&self.path(place))).collect();
        let catalog = Catalog::scan(&LocalStorage, &places).expect("a catalog");
        let inside = |dir: &str| dir.strip_prefix(&*self.dir.path().to_string_lossy()).map(|dir| dir[1..].to_owned());
        catalog.snapshots.iter().map(|snapshot| inside(snapshot.dir.path()).expect("inside")).collect()
    }

    /// Runs chkctl in the root of the layout.
    pub(super) fn chkctl<I: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = I>) -> Run {
        let mut command = command();
        command.args(args).current_dir(self.dir.path());
        Run::of(command)
    }
}

/// The directories that a scan finds, sorted.
fn scanned(place: &Path) -> Vec<PathBuf> {
    let catalog = Catalog::scan(&LocalStorage, &[at(place)]).expect("a catalog");
    let mut dirs: Vec<PathBuf> = catalog.snapshots.iter().map(|snapshot| PathBuf::from(snapshot.dir.path())).collect();
    dirs.sort();
    dirs
}

#[test]
fn every_snapshot_of_a_case_is_found_from_its_root_its_parent_itself_and_its_metadata() {
    for name in [
        "wc-claim-1.20.5",
        "wc-nosubdir-1.20.5",
        "wc-savepoints-1.20.5",
        "wc-keyselector-1.10.3",
        "kitchen-changelog-1.20.5",
    ] {
        let case = Case::named(name);
        let expected = case.expected();
        let mut dirs: Vec<PathBuf> = list(&expected["checkpoints"]).iter().map(|c| place(&case, c)).collect();
        dirs.sort();
        assert!(!dirs.is_empty());
        assert_eq!(scanned(&case.tree()), dirs);
        assert_eq!(scanned(&case.root), dirs);
        for dir in &dirs {
            let beside: Vec<PathBuf> = dirs.iter().filter(|other| other.parent() == dir.parent()).cloned().collect();
            assert_eq!(scanned(dir.parent().expect("a parent")), beside);
            for itself in [dir.clone(), dir.join("_metadata")] {
                assert_eq!(scanned(&itself), std::slice::from_ref(dir));
            }
        }
    }
}

#[test]
fn checkpoints_that_never_ended_are_incomplete_and_nothing_else_is_found() {
    for (name, halted) in [("kitchen-halted-1.20.5", "chk-3"), ("kitchen-halted-2.3.0", "chk-4")] {
        let case = Case::named(name);
        let run = case.chkctl([OsStr::new("verify"), OsStr::new("--json"), case.tree().as_os_str()]);
        let json = run.json();
        let of = |verdict: &str| list(&json["snapshots"]).iter().filter(|s| s["verdict"] == verdict).count();
        assert_eq!(
            (of("restorable"), of("incomplete"), run.status),
            (list(&case.expected()["checkpoints"]).len(), 1, 1)
        );
        let incomplete = list(&json["snapshots"]).iter().find(|s| s["verdict"] == "incomplete").expect("one");
        let path = Path::new(incomplete["path"].as_str().expect("a path"));
        assert!(path.ends_with(halted), "{}", path.display());
        assert_eq!(
            (&incomplete["checkpoint_id"], &incomplete["completed_at"]),
            (&json!(halted[4..].parse::<u32>().expect("a number")), &json!(null))
        );
        let dirs = [case.tree().as_os_str().to_owned(), path.as_os_str().to_owned()];
        let passed = case.chkctl(["verify".as_ref(), "--ignore-incomplete".as_ref(), &*dirs[0]]);
        assert_eq!(passed.status, 0, "a running job usually has one");
        says(&case.chkctl(["verify".as_ref(), "--json".as_ref(), &*dirs[1]]), "incomplete", &["no-metadata"]);
    }
}

#[test]
fn a_place_given_twice_or_in_two_spellings_is_looked_at_once() {
    let layout = Layout::new();
    let (newer, older) = (layout.put(&format!("ck/{JOB_A}/chk-2"), 2), layout.put(&format!("ck/{JOB_A}/chk-1"), 1));
    let root = layout.path("ck").to_string_lossy().into_owned();
    let (job, chk) = (format!("{root}/{JOB_A}"), newer.to_string_lossy().into_owned());
    for spellings in [
        vec![root.clone()],
        vec![root.clone(), root.clone()],
        vec![root.clone(), format!("file:{root}"), format!("file://{root}/"), format!("file://localhost{root}")],
        vec![format!("{root}//"), format!("{root}/./x/..")],
        vec!["ck".to_owned(), "./ck/".to_owned(), root.clone()],
        vec![".".to_owned(), String::from("ck/..")],
        vec![root.clone(), job.clone(), chk.clone(), format!("{chk}/_metadata")],
        vec![format!("file://{chk}/_metadata"), format!("file:{job}/"), chk.clone()],
    ] {
        let run = layout.chkctl(["list".to_owned(), "--json".to_owned()].iter().chain(&spellings));
        let json = run.json();
        let found: Vec<&Path> = list(&json["snapshots"]).iter().filter_map(|s| s["path"].as_str()).map(local).collect();
        assert_eq!((found, run.status), (vec![&*newer, &*older], 0), "{spellings:?}");
    }
}

/// The path in a local place.
fn local(place: &str) -> &Path {
    Path::new(place.strip_prefix("file:").unwrap_or(place))
}

#[test]
fn what_is_no_snapshot_is_passed_by_and_what_is_one_is_found_at_any_depth() {
    let layout = Layout::new();
    let wanted = [
        format!("one/root/{JOB_A}/chk-7"),
        format!("one/{JOB_B}/chk-6"),
        "deep/in/a/house/of/many/rooms/chk-5".to_owned(),
        "savepoints/savepoint-aaaaaa-123456789abc".to_owned(),
        "named by hand/my savepoint".to_owned(),
        // Not a job's: there is no chk-N beside it, and no taskowned.
        "plain/shared/chk-2".to_owned(),
    ];
    let passed = [
        format!("one/root/{JOB_A}/shared/chk-90"),
        format!("one/root/{JOB_A}/taskowned/chk-91"),
        format!("one/{JOB_B}/dstl/chk-92"),
        format!("one/{JOB_B}/chk-6/chk-93"),
        "no-job/taskowned/chk-94".to_owned(),
        ".trash/chk-95".to_owned(),
        "deep/.hidden/savepoint-96".to_owned(),
        "lost+found/chk-97".to_owned(),
    ];
    let minutes = (0..).map(|minute| 100 - minute);
    wanted.iter().chain(&passed).zip(minutes).for_each(|(dir, completed)| drop(layout.put(dir, completed)));
    fs::create_dir_all(layout.path("no-job/shared")).expect("a directory");
    for foreign in ["one/README", "deep/chk-98", "deep/in/_SUCCESS"] {
        fs::write(layout.path(foreign), "a file").expect("a file");
    }
    for empty in ["one/empty", "deep/chk-", "deep/chk-x", "deep/savepoint-without-metadata"] {
        fs::create_dir_all(layout.path(empty)).expect("a directory");
    }
    symlink(layout.path("one"), layout.path("a link")).expect("a link");
    symlink(layout.path("nowhere"), layout.path("a dangling link")).expect("a link");
    assert_eq!(layout.found(&[""]), wanted);
    // A link that is given itself is followed, as Flink follows it.
    assert_eq!(layout.found(&["a link"]).len(), 2);
    assert_eq!(layout.found(&["one", "deep", "named by hand", "savepoints", "plain"]), wanted);
}

#[test]
fn snapshots_are_listed_newest_first_across_jobs_whatever_their_ids_are() {
    let layout = Layout::new();
    layout.put(&format!("{JOB_A}/chk-900"), 10);
    layout.put(&format!("{JOB_A}/chk-899"), 9);
    layout.put(&format!("{JOB_B}/chk-1"), 11);
    layout.put(&format!("{JOB_B}/chk-2"), 12);
    layout.put("savepoints/savepoint-x", 10);
    layout.put_with(&format!("{JOB_B}/chk-3"), 13, Matter::Incomplete);
    layout.put_with(&format!("{JOB_A}/chk-901"), 8, Matter::Incomplete);
    layout.put_with("damaged/chk-5", 7, Matter::Broken);
    let wanted = [
        format!("{JOB_B}/chk-3"),
        format!("{JOB_B}/chk-2"),
        format!("{JOB_B}/chk-1"),
        format!("{JOB_A}/chk-900"),
        "savepoints/savepoint-x".to_owned(),
        format!("{JOB_A}/chk-899"),
        format!("{JOB_A}/chk-901"),
        "damaged/chk-5".to_owned(),
    ];
    assert_eq!(layout.found(&[""]), wanted);
    assert_eq!(layout.found(&["savepoints", "damaged", JOB_A, JOB_B]), wanted);
    // The id decides between equal times, and what has no time may be newer than all.
    touch(&layout.path(&format!("{JOB_B}/chk-1/_metadata")), 12);
    fs::create_dir_all(layout.path("odd/chk-1/_metadata")).expect("a directory");
    let found = layout.found(&[""]);
    assert_eq!(found[..4], ["odd/chk-1".to_owned(), wanted[0].clone(), wanted[1].clone(), wanted[2].clone()]);
}

// What cannot be looked at. -------------------------------------------------------------------------------------------

#[test]
fn a_job_directory_that_may_not_be_listed_is_an_entry_that_is_unknown() {
    let case = Case::named("wc-claim-1.20.5");
    let stranger = Stranger::to(&case);
    let expected = case.expected();
    let (newest, other) =
        (place(&case, checkpoint(&expected, "/chk-6")), place(&case, checkpoint(&expected, "/chk-2")));
    let (job_b, job_a) = (newest.parent().expect("a job"), other.parent().expect("a job"));
    let run = |args: &[&str]| stranger.chkctl(&case, args.iter().map(OsStr::new).chain([case.tree().as_os_str()]));
    assert_eq!((run(&["verify"]).status, run(&["latest"]).stdout), (0, format!("{}\n", newest.display())));
    {
        let _mode = WithMode::new(job_a, 0o000);
        for args in [&["list", "--json", "--verify"][..], &["verify", "--json"], &["list", "--json"]] {
            let run = run(args);
            let json = run.json();
            let entry = &json["snapshots"][0];
            assert_eq!(list(&json["snapshots"]).len(), 3, "two of job B, and the directory of job A: {json:#}");
            assert_eq!((entry["path"].as_str().map(Path::new), &entry["verdict"]), (Some(job_a), &json!("unknown")));
            if let Some(finding) = entry.get("findings") {
                let (code, severity) = (&finding[0]["code"], &finding[0]["severity"]);
                assert_eq!((code, severity), (&json!("unreadable-directory"), &json!("unknown")));
            }
            // Job B lives on files of job A: they cannot be looked at either.
            assert_eq!((&json["summary"]["unknown"], run.status), (&json!(3), 5));
        }
    }
    let _mode = WithMode::new(job_b, 0o000);
    let run_latest = run(&["latest"]);
    assert_eq!((&*run_latest.stdout, run_latest.status), ("", 5), "{}", run_latest.stderr);
    assert!(run_latest.stderr.contains(&*job_b.to_string_lossy()), "{}", run_latest.stderr);
    let older = run(&["latest", "--skip-unknown"]);
    assert_eq!((older.stdout, older.status), (format!("{}\n", other.display()), 0));
}

#[test]
fn a_storage_that_fails_below_a_root_leaves_an_entry_and_one_that_fails_at_the_root_ends_the_scan() {
    let layout = Layout::new();
    layout.put(&format!("{JOB_A}/chk-2"), 2);
    layout.put(&format!("{JOB_B}/chk-1"), 1);
    let root = at(&layout.path(""));
    let scan = |part: &str, kind| {
        Catalog::scan(&FaultyStorage::new(LocalStorage).failing(part, kind), std::slice::from_ref(&root))
    };
    for kind in [StorageErrorKind::PermissionDenied, StorageErrorKind::Transient, StorageErrorKind::Other] {
        for (part, name) in [(JOB_B, JOB_B), ("/chk-1", "chk-1"), ("chk-1/_metadata", "chk-1")] {
            let snapshots = scan(part, kind).expect("a catalog").snapshots;
            assert_eq!((snapshots.len(), snapshots[0].dir.name()), (2, name), "{kind:?} at {part}");
            let unknown = match &snapshots[0].state {
                SnapshotState::Unknown(error) | SnapshotState::UnlistedDirectory(error) => error.kind == kind,
                _ => false,
            };
            assert!(unknown, "{kind:?} at {part}: {:?}", snapshots[0].state);
        }
        assert_eq!(scan("", kind).map(|catalog| catalog.snapshots.len()).map_err(|error| error.kind), Err(kind));
    }
    let gone = scan(JOB_B, StorageErrorKind::NotFound).expect("a catalog");
    assert_eq!(gone.snapshots.len(), 1, "what went away meanwhile is no entry");
}

#[test]
fn a_root_that_is_not_there_or_not_readable_ends_the_run_with_a_message() {
    let layout = Layout::new();
    layout.put(&format!("{JOB_A}/chk-1"), 1);
    for command in ["list", "latest", "verify", "inspect", "files"] {
        for (place, words) in
            [("no/such/root", "nothing is there"), ("other://nn/ck", "does not read other: locations")]
        {
            for json in [&["--json"][..], &[]] {
                let run = layout.chkctl([command, place].iter().chain(json));
                assert_eq!((&*run.stdout, run.status), ("", 5), "{command} {place}");
                assert!(run.stderr.contains(words) && run.stderr.contains(place), "{}", run.stderr);
            }
        }
    }
    let run = layout.chkctl(["latest", ".", "no/such/root"]);
    assert_eq!((&*run.stdout, run.status), ("", 5), "a root of several that is not mounted may hold the newest");
}

// `latest`. -----------------------------------------------------------------------------------------------------------

#[test]
fn latest_skips_what_is_not_restorable_and_says_why() {
    let layout = Layout::new();
    let good = layout.put(&format!("{JOB_A}/chk-900"), 1);
    layout.put(&format!("{JOB_A}/chk-899"), 0);
    let broken = layout.put_with(&format!("{JOB_B}/chk-1"), 2, Matter::Broken);
    let suspect = layout.put_with(&format!("{JOB_B}/chk-2"), 3, Matter::Suspect);
    let incomplete = layout.put_with(&format!("{JOB_B}/chk-3"), 4, Matter::Incomplete);
    let skipped = [
        (incomplete, "incomplete", "there is no _metadata"),
        (suspect.clone(), "suspect", "4 bytes follow the end"),
        (broken, "broken", "only 76 bytes are left"),
    ];
    let run = layout.chkctl(["latest", "."]);
    assert_eq!((run.stdout, run.status), (format!("{}\n", good.display()), 0));
    let lines: Vec<&str> = run.stderr.lines().collect();
    assert_eq!(lines.len(), 3, "{lines:#?}");
    for (line, (path, verdict, why)) in lines.iter().zip(&skipped) {
        assert!(line.starts_with(&format!("skipped ({verdict}) {}: ", path.display())) && line.contains(why), "{line}");
    }
    let run = layout.chkctl(["latest", ".", "--json"]);
    let mut json = run.json();
    let said = json["skipped"].take();
    assert_eq!(list(&said).len(), 3);
    for (said, (path, verdict, why)) in list(&said).iter().zip(&skipped) {
        assert_eq!((said["path"].as_str().map(Path::new), &said["verdict"]), (Some(&**path), &json!(verdict)));
        assert!(said["why"].as_str().is_some_and(|said| said.contains(why)), "{said}");
    }
    assert_eq!(
        json,
        json!({"path": good, "verdict": "restorable", "checkpoint_id": 2, "job_id": JOB_A,
               "completed_at": "2023-11-14T22:14:20.000Z", "skipped": null})
    );
    let run = layout.chkctl(["latest", ".", "--allow-suspect"]);
    assert_eq!((run.stdout, run.status), (format!("{}\n", suspect.display()), 0));
}

#[test]
fn latest_says_nothing_rather_than_pass_by_what_it_could_not_judge() {
    let layout = Layout::new();
    let good = layout.put(&format!("{JOB_A}/chk-1"), 1);
    layout.put_with(&format!("{JOB_A}/chk-0"), 0, Matter::Unknown);
    let run = layout.chkctl(["latest", "."]);
    assert_eq!((run.stdout, run.status), (format!("{}\n", good.display()), 0), "an older one does not matter");
    layout.put_with(&format!("{JOB_A}/chk-2"), 2, Matter::Unknown);
    let run = layout.chkctl(["latest", "."]);
    assert_eq!((&*run.stdout, run.status), ("", 5));
    assert!(
        run.stderr.contains("chk-2: metadata version 8") && run.stderr.contains("--skip-unknown"),
        "{}",
        run.stderr
    );
    let run = layout.chkctl(["latest", ".", "--json"]);
    assert_eq!(
        (&run.json()["path"], &run.json()["skipped"][0]["verdict"], run.status),
        (&json!(null), &json!("unknown"), 5)
    );
    let run = layout.chkctl(["latest", ".", "--skip-unknown"]);
    assert_eq!((run.stdout, run.status), (format!("{}\n", good.display()), 0));
    assert!(run.stderr.contains("skipped (unknown)"), "{}", run.stderr);
}

#[test]
fn where_nothing_is_found_latest_and_verify_exit_with_1_and_list_with_0() {
    let layout = Layout::new();
    fs::create_dir(layout.path("empty")).expect("a directory");
    layout.put_with(&format!("damaged/{JOB_A}/chk-1"), 1, Matter::Broken);
    for (args, status) in [
        (["latest", "empty"], 1),
        (["latest", "damaged"], 1),
        (["verify", "empty"], 1),
        (["verify", "damaged"], 1),
        (["list", "empty"], 0),
        (["list", "damaged"], 0),
    ] {
        let run = layout.chkctl(args);
        assert_eq!(run.status, status, "{args:?}");
        assert_eq!(run.stdout.is_empty(), args[0] == "latest" || args[1] == "empty", "{args:?}");
        assert_eq!(run.stderr.is_empty(), args == ["list", "damaged"], "{args:?}: {}", run.stderr);
    }
    assert_eq!(layout.chkctl(["list", "--verify", "damaged"]).status, 1);
}

// Who shares files with whom. -----------------------------------------------------------------------------------------

#[test]
fn list_says_what_each_snapshot_has_for_itself_shares_and_depends_on() {
    let mut dependent = 0;
    for name in ["wc-claim-1.20.5", "wc-claim-chain-1.20.5", ROCKSDB] {
        let case = Case::named(name);
        let expected = case.expected();
        let checkpoints = list(&expected["checkpoints"]);
        let users = |path: &Value| {
            let uses = |c: &&Value| list(&c["referenced_files"]).iter().any(|file| file["path"] == *path);
            checkpoints.iter().filter(uses).count()
        };
        let run = case.chkctl([OsStr::new("list"), OsStr::new("--json"), case.tree().as_os_str()]);
        let json = run.json();
        assert_eq!(list(&json["snapshots"]).len(), checkpoints.len());
        for checkpoint in checkpoints {
            let dir = place(&case, checkpoint);
            let said = list(&json["snapshots"]).iter().find(|s| s["path"].as_str().map(Path::new) == Some(&*dir));
            let said = said.unwrap_or_else(|| panic!("{} is not listed", dir.display()));
            let (mut own, mut shared) = (checkpoint["metadata_size"].as_u64().expect("a size"), 0);
            let mut jobs = BTreeSet::new();
            let own_job =
                format!("file:{}/", checkpoint["path"].as_str().and_then(|p| p.rsplit_once('/')).expect("a job").0);
            for file in list(&checkpoint["referenced_files"]) {
                let size = file["size"].as_u64().expect("a size");
                *if users(&file["path"]) == 1 { &mut own } else { &mut shared } += size;
                let path = file["path"].as_str().expect("a path");
                if !path.starts_with(&own_job) {
                    jobs.insert(path.split_once("/shared/").expect("a shared file").0.to_owned());
                }
            }
            dependent += jobs.len();
            assert_eq!(said["own_bytes"], own, "{}", dir.display());
            assert_eq!(said["shared_bytes"], shared, "{}", dir.display());
            assert_eq!(said["depends_on"], json!(jobs), "{}", dir.display());
            assert_eq!(said["state_size"], checkpoint["total_state_size"], "{}", dir.display());
            assert_eq!(said.get("findings"), None);
        }
    }
    assert!(dependent > 3, "{dependent} dependencies on other jobs");
}

// Trees that stand elsewhere. -----------------------------------------------------------------------------------------

const ROCKSDB: &str = "wc-rocksdb-retained5-1.20.5";
/// As long as [`FLINK_ROOT`], and on no machine.
const GONE: &str = "/opt/flink/gone-points";

/// Has all handles of a tree say that Flink wrote them below another place, whose name is as long.
fn retell(tree: &Path, from: &str, to: &str) {
    assert_eq!(from.len(), to.len());
    for file in metadata_files(tree) {
        let mut bytes = fs::read(&file).expect("a _metadata");
        let places: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(from.as_bytes())).collect();
        places.into_iter().for_each(|at| bytes[at..at + to.len()].copy_from_slice(to.as_bytes()));
        fs::remove_file(&file).expect("removed");
        fs::write(&file, bytes).expect("written");
    }
}

/// The files that a snapshot of `expected.json` names by absolute paths.
fn absolute_files(checkpoint: &Value) -> BTreeSet<String> {
    fn walk(value: &Value, into: &mut BTreeSet<String>) {
        if value["class"] == "FileStateHandle" || value["class"] == "SegmentFileStateHandle" {
            into.insert(value["path"].as_str().expect("a path").to_owned());
        }
        let inner: Vec<&Value> = match value {
            Value::Array(list) => list.iter().collect(),
            Value::Object(fields) => fields.values().collect(),
            _ => Vec::new(),
        };
        inner.into_iter().for_each(|value| walk(value, into));
    }
    let mut found = BTreeSet::new();
    walk(&checkpoint["operators"], &mut found);
    found
}

fn judge_tree(tree: &Path, maps: Vec<PathMap>) -> BTreeMap<PathBuf, SnapshotReport> {
    let catalog = Catalog::scan(&LocalStorage, &[at(tree)]).expect("a catalog");
    let judge = Judge {
        inventory: Inventory::shared(&LocalStorage),
        maps: PathMaps::new(maps),
        progress: &Silent,
        neighbours: catalog.snapshots.iter().map(|snapshot| snapshot.dir.clone()).collect(),
        keep_files: false,
    };
    catalog.snapshots.iter().map(|found| (PathBuf::from(found.dir.path()), judge.judge(found))).collect()
}

fn codes_of(report: &SnapshotReport) -> Vec<String> {
    report.findings.iter().map(|finding| finding.code.word()).collect()
}

/// The FROM=TO in a hint.
fn map_in(hint: Option<&str>) -> String {
    let map = hint.and_then(|hint| hint.split_once("--map ")).and_then(|(_, rest)| rest.split_once(" judges"));
    map.unwrap_or_else(|| panic!("no map in {hint:?}")).0.to_owned()
}

#[test]
fn a_tree_that_was_moved_is_broken_and_the_hint_is_the_map_that_helps() {
    let (mut moved, mut whole) = (0, 0);
    for archive in archives() {
        let case = Case::unpack(&archive);
        retell(&case.tree(), FLINK_ROOT, GONE);
        let reports = judge_tree(&case.tree(), Vec::new());
        for checkpoint in list(&case.expected()["checkpoints"]) {
            let dir = place(&case, checkpoint);
            let report = &reports[&dir];
            if list(&checkpoint["referenced_files"]).iter().any(|file| file["exists"] == false) {
                assert_eq!(report.verdict.word(), "broken", "{}", dir.display());
            } else if absolute_files(checkpoint).is_empty() {
                assert_eq!((report.verdict.word(), codes_of(report)), ("restorable", vec![]), "{}", dir.display());
                whole += 1;
            } else {
                assert_eq!(
                    (report.verdict.word(), codes_of(report)),
                    ("broken", vec!["moved-tree".to_owned()]),
                    "{}",
                    dir.display()
                );
                let map = map_in(report.findings[0].hint.as_deref());
                let again = judge_tree(&dir, vec![map.parse().expect("a map")]);
                assert_eq!(again[&dir].verdict.word(), "restorable", "{} with {map}", dir.display());
                moved += 1;
            }
        }
    }
    assert!(moved > 100 && whole > 50, "{moved} snapshots with absolute paths, {whole} without");
}

#[test]
fn the_hint_of_a_moved_tree_works_on_the_command_line_and_is_not_given_where_it_would_not() {
    let case = Case::named(ROCKSDB);
    let expected = case.expected();
    let newest = checkpoint(&expected, "/chk-8");
    let dir = place(&case, newest);
    retell(&case.tree(), FLINK_ROOT, GONE);
    let verify = |more: &[&str]| {
        let mut command = command();
        command.args(["verify", "--json"]).arg(&dir).args(more);
        Run::of(command)
    };
    let snapshot = says(&verify(&[]), "broken", &["moved-tree"]);
    let map = map_in(snapshot["findings"][0]["hint"].as_str());
    says(&verify(&["--map", &map]), "restorable", &[]);
    // One file less, and the map does not make it whole.
    let absolute = absolute_files(newest);
    fs::remove_file(case.here(absolute.first().expect("a file"))).expect("deleted");
    let snapshot = says(&verify(&[]), "broken", &["missing-file"]);
    assert_eq!(list(&snapshot["findings"]).len(), absolute.len());
    assert_eq!(list(&says(&verify(&["--map", &map]), "broken", &["missing-file"])["findings"]).len(), 1);
}

#[test]
fn a_copy_without_its_files_is_not_taken_for_a_moved_tree_while_the_original_stands() {
    let case = Case::named(ROCKSDB);
    // As long as the root in the handles, so that they can be told to stand there.
    let original =
        tempfile::Builder::new().prefix("").rand_bytes(FLINK_ROOT.len() - 5).tempdir_in("/tmp").expect("a directory");
    let root = original.path().to_str().expect("text");
    retell(&case.tree(), FLINK_ROOT, root);
    copy(&case.tree(), &original.path().join(&case.name));
    let dir = place(&case, checkpoint(&case.expected(), "/chk-8"));
    let map = format!("{root}={}", case.root.display());
    let verify =
        || case.chkctl([OsStr::new("verify"), "--json".as_ref(), "--map".as_ref(), map.as_ref(), dir.as_os_str()]);
    says(&verify(), "restorable", &[]);
    fs::remove_dir_all(dir.parent().expect("a job").join("shared")).expect("removed");
    let snapshot = says(&verify(), "broken", &["missing-file"]);
    assert!(list(&snapshot["findings"]).iter().all(|finding| finding["operator_id"].is_string()), "{snapshot:#}");
}

/// Copies a tree.
fn copy(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.expect("an entry");
        let there = to.join(entry.path().strip_prefix(from).expect("inside"));
        if entry.file_type().is_dir() {
            fs::create_dir(there).expect("a directory");
        } else {
            fs::copy(entry.path(), there).expect("a copy");
        }
    }
}

#[test]
fn what_lies_in_another_store_is_unknown_without_a_map_and_judged_with_one() {
    const HDFS: &str = "hdfs://127.0.0.1:1/flink123";
    for name in ["wc-claim-chain-1.20.5", "wc-filemerging-rocksdb-2.3.0"] {
        let case = Case::named(name);
        let expected = case.expected();
        retell(&case.tree(), &format!("file:{FLINK_ROOT}"), HDFS);
        for (dir, report) in judge_tree(&case.tree(), Vec::new()) {
            assert_eq!(report.verdict.word(), "unknown", "{}", dir.display());
            let checkpoint = checkpoint(&expected, dir.file_name().and_then(OsStr::to_str).expect("a name"));
            let paths: BTreeSet<String> = report.findings.iter().filter_map(|finding| finding.path.clone()).collect();
            let absolute = absolute_files(checkpoint).into_iter();
            assert_eq!(paths, absolute.map(|path| path.replace(&format!("file:{FLINK_ROOT}"), HDFS)).collect());
            for finding in &report.findings {
                assert_eq!(finding.code.word(), "unreadable-file");
                assert!(finding.message.contains("--map reads a local copy"), "{}", finding.message);
            }
        }
        let mut verify = command();
        verify.args(["verify", "--json", "--timeout", "1s"]).arg(case.tree());
        assert_eq!(Run::of(verify).status, 5);
        let map = format!("{HDFS}={}", case.root.display());
        let there = format!("{HDFS}/{name}");
        for place in [case.tree().as_os_str(), there.as_ref()] {
            let mut list = command();
            list.args(["list", "--verify", "--json", "--map", &map]).arg(place);
            let run = Run::of(list);
            assert_eq!((&run.json()["summary"]["restorable"], run.status), (&json!(2), 0), "{}", run.stdout);
            for job in run.json()["snapshots"][0]["depends_on"].as_array().expect("a list") {
                assert!(job.as_str().is_some_and(|job| job.starts_with(HDFS)), "{job}");
            }
        }
    }
}

#[test]
fn a_file_that_only_a_backup_has_is_missing_and_not_wrongly_anchored() {
    for (name, snapshot) in [
        // A savepoint is what wrong anchors come from, so it has none; and no Flink anchors a file in a checkpoint.
        ("wc-savepoints-rocksdb-1.20.5", "/savepoint-39a011-cbbc00677afc"),
        ("kitchen-rocksdb-full-1.20.5", "/chk-2"),
    ] {
        let case = Case::named(name);
        let dir = place(&case, checkpoint(&case.expected(), snapshot));
        copy(&dir, &dir.with_file_name("savepoint-backup"));
        let run = case.chkctl([OsStr::new("files"), "--json".as_ref(), dir.as_os_str()]);
        let sst = |file: &&Value| file["owners"][0]["state"].as_str().is_some_and(|state| state.ends_with(".sst"));
        let files = run.json();
        let sst = list(&files["files"]).iter().find(sst).expect("an SST file");
        fs::remove_file(case.here(sst["path"].as_str().expect("a path"))).expect("deleted");
        let run = case.chkctl([OsStr::new("verify"), "--json".as_ref(), dir.as_os_str()]);
        assert_eq!(says(&run, "broken", &["missing-file"])["findings"][0]["path"], sst["path"]);
    }
}

#[test]
fn files_that_flink_wrote_against_the_wrong_directory_are_found_and_copied_as_the_hint_says() {
    for name in ["wc-reanchor-1.20.5", "wc-reanchor-2.3.0"] {
        let case = Case::named(name);
        let savepoints = fs::read_dir(case.tree().join("savepoints")).expect("savepoints");
        let savepoint = savepoints.map(|entry| entry.expect("an entry").path()).next().expect("a savepoint");
        let verify = |place: &Path| case.chkctl([OsStr::new("verify"), OsStr::new("--json"), place.as_os_str()]);
        let all = verify(&case.tree());
        assert_eq!((&all.json()["summary"]["broken"], all.status), (&json!(3), 1));
        for checkpoint in list(&case.expected()["checkpoints"]) {
            let dir = place(&case, checkpoint);
            let gone = list(&checkpoint["referenced_files"]).iter().filter(|file| file["exists"] == false);
            let gone: BTreeSet<&str> = gone.filter_map(|file| file["path"].as_str()).collect();
            if gone.is_empty() {
                says(&verify(&dir), "restorable", &[]);
                continue;
            }
            let snapshot = says(&verify(&dir), "broken", &["wrong-anchor"]);
            let among_all = all.json();
            let among_all = list(&among_all["snapshots"]).iter().find(|s| s["path"] == snapshot["path"]);
            assert_eq!(among_all.expect("in the whole")["findings"], snapshot["findings"]);
            let findings = list(&snapshot["findings"]);
            assert_eq!(findings.iter().filter_map(|f| f["path"].as_str()).collect::<BTreeSet<_>>(), gone);
            for finding in findings {
                assert!(finding["message"].to_string().contains(&*savepoint.to_string_lossy()), "{finding}");
                assert!(finding["operator_id"].is_string() && finding["key_groups"].is_array(), "{finding}");
                let hint = finding["hint"].as_str().and_then(|hint| hint.split_once("copy the file from "));
                let (from, rest) = hint.and_then(|(_, rest)| rest.split_once(" to ")).expect("a hint");
                let to = rest.split_once(" and Flink").expect("a hint").0;
                assert_eq!((local(from), local(to)), (&*savepoint, &*dir));
                let file = Path::new(finding["path"].as_str().expect("a path")).file_name().expect("a name");
                fs::copy(local(from).join(file), local(to).join(file)).expect("copied");
            }
            says(&verify(&dir), "restorable", &[]);
        }
        assert_eq!(verify(&case.tree()).status, 0);
    }
}

#[test]
fn a_metadata_file_that_is_still_being_written_makes_no_snapshot() {
    let dir = tempfile::tempdir().expect("a directory");
    let chk = dir.path().join(format!("{JOB_B}/chk-1"));
    let other = dir.path().join("savepoints/mine");
    let whole = at(&chk.join("_metadata"));
    let torn = Fault::on(&[Operation::Publish]).with_effect(Effect::Tear(StorageErrorKind::Other));
    let storage = FaultyStorage::new(LocalStorage).with(torn);
    for snapshot in [&chk, &other] {
        storage.create_dirs(&at(snapshot)).expect("created");
        storage.publish(&at(&snapshot.join("_metadata")), b"bytes").expect_err("torn");
        assert_eq!(fs::read_dir(snapshot).expect("a listing").count(), 1, "part of it is there");
    }
    let found = || Catalog::scan(&LocalStorage, &[at(dir.path())]).expect("a catalog").snapshots;
    let [incomplete] = &found()[..] else { panic!("only what is named as a checkpoint is taken for one") };
    assert_eq!(incomplete.dir, at(&chk));
    assert!(matches!(incomplete.state, SnapshotState::Incomplete { .. }));
    storage.heal();
    storage.publish(&whole, b"bytes").expect("published");
    assert!(matches!(found()[0].state, SnapshotState::Complete { metadata_size: 5, .. }));
}
