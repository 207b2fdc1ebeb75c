//! Real Flink goes on from mended snapshots.

use crate::suite::flink::{Flink, counts, with_flink, with_flink_and};
use crate::suite::support::{Run, command};
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The backends: state on the heap in files, and incremental RocksDB.
const BACKENDS: [&[&str]; 2] =
    [&["inline=0"], &["inline=0", "conf.state.backend.type=rocksdb", "conf.execution.checkpointing.incremental=true"]];

/// What else Flink writes: state on the heap in merged files, which several operators share; RocksDB under a changelog; and
/// a native savepoint. Savepoints are taken by `run`, and mean nothing to `restore`.
const OTHERS: [&[&str]; 3] = [
    &["inline=0", "conf.execution.checkpointing.file-merging.enabled=true"],
    &[
        "inline=0",
        "conf.state.backend.type=rocksdb",
        "conf.execution.checkpointing.incremental=true",
        "conf.state.changelog.enabled=true",
        "conf.state.backend.changelog.enabled=true",
    ],
    &[
        "inline=0",
        "conf.state.backend.type=rocksdb",
        "conf.execution.checkpointing.incremental=true",
        "savepoint=native",
    ],
];

/// A word count that stands at the half of its sequence, and its checkpoint.
struct Scene {
    dir: TempDir,
    snapshot: PathBuf,
    positions: Value,
}

/// Where the sources stand.
fn rest() -> impl Iterator<Item = u64> {
    (250..500).chain(750..1000)
}

fn scene(flink: &mut Flink, how: &[&str]) -> Scene {
    scene_in(flink, how, tempfile::tempdir().expect("a directory"))
}

/// The same, in `ck` below a directory.
fn scene_in(flink: &mut Flink, how: &[&str], dir: TempDir) -> Scene {
    let root = dir.path().join("ck");
    let place = format!("dir={}", root.display());
    let mut words = vec!["run", "wordcount", "n=1000", "vocab=30", "par=2", "hold=500", &place];
    words.extend(how);
    let held = flink.expect(&words);
    assert_eq!(held["counts"], counts((0..250).chain(500..750), 30));
    let path = held["path"].as_str().expect("a path");
    let snapshot = PathBuf::from(path.strip_prefix("file:").unwrap_or(path));
    Scene { snapshot, positions: held["positions"].clone(), dir }
}

/// `chkctl repair --apply`, into a new directory.
fn repair(scene: &Scene, from: &Path, name: &str, args: &[&str]) -> (PathBuf, Run) {
    let dest = scene.dir.path().join(name);
    let mut run = command();
    run.arg("repair").args([from.as_os_str(), OsStr::new("--output"), dest.as_os_str()]);
    let run = Run::of({
        run.args(["--apply", "--json"]).args(args);
        run
    });
    assert_eq!(run.status, 0, "{args:?}: {}", run.stderr);
    (dest, run)
}

fn restore(flink: &mut Flink, path: &Path, how: &[&str], more: &[&str]) -> Value {
    let path = path.display().to_string();
    let mut words = vec!["restore", "wordcount", &path, "n=1000", "vocab=30", "par=2"];
    words.extend(how);
    words.extend(more);
    flink.ask(&words)
}

fn with_each(test: impl Fn(&mut Flink, &[&str])) {
    for release in ["1.20.5", "2.3.0"] {
        with_flink(release, |flink| BACKENDS.iter().for_each(|how| test(flink, how)));
    }
}

fn with_each_and_the_others(test: impl Fn(&mut Flink, &[&str])) {
    for release in ["1.20.5", "2.3.0"] {
        with_flink(release, |flink| BACKENDS.iter().chain(&OTHERS).for_each(|how| test(flink, how)));
    }
}

#[test]
fn the_uid_of_a_source_is_another_and_the_source_goes_on_at_its_position() {
    with_each_and_the_others(|flink, how| {
        let scene = scene(flink, how);
        let (there, _) = repair(&scene, &scene.snapshot, "there", &["--rename-uid", "source=another"]);
        // The job's uid is still the old one.
        let why = restore(flink, &there, how, &[])["failed"].to_string();
        assert!(why.contains("no operator") || why.contains("not available in the new program"), "{why}");
        // With -n the state is lost, and the source begins at the start.
        let lost = restore(flink, &there, how, &["allowNonRestored=true"]);
        assert_ne!(lost["restored"], scene.positions);
        // A snapshot of a job in which it is called so, for the job in which it is called `source`.
        let (back, run) = repair(&scene, &there, "back", &["--rename-uid", "another=source"]);
        assert_eq!(run.json()["changes"]["renamed"][0]["from_uid"], "another");
        let end = restore(flink, &back, how, &[]);
        assert_eq!(end["restored"], scene.positions, "{end}");
        assert_eq!(end["counts"], counts(0..1000, 30));
    });
}

#[test]
fn a_source_with_a_coordinator_goes_on_at_its_position_under_another_uid_and_every_record_counts_once() {
    with_each_and_the_others(|flink, how| {
        let dir = tempfile::tempdir().expect("a directory");
        let place = format!("dir={}", dir.path().join("ck").display());
        let job = ["n=1000", "vocab=30", "par=2"];
        // Two of four splits are being read, and two are the coordinator's.
        let held = flink.expect(&[&["run", "splits", &place, "hold=400"], &job[..], how].concat());
        assert_eq!(held["counts"], counts((0..200).chain(250..450), 30));
        let path = held["path"].as_str().expect("a path");
        let snapshot = PathBuf::from(path.strip_prefix("file:").unwrap_or(path));
        let scene = Scene { snapshot, positions: Value::Null, dir };
        // The job has new uids.
        let renamed = ["uid.source=numbers", "uid.sum=total"];
        let mut restore = |path: &Path, more: &[&str]| {
            let path = path.display().to_string();
            flink.ask(&[&["restore", "splits", &path], &job[..], how, &renamed, more].concat())
        };
        let why = restore(&scene.snapshot, &[])["failed"].to_string();
        assert!(why.contains("no operator") || why.contains("not available in the new program"), "{why}");
        // With -n all state is lost, unnoticed; and where the sums are kept, the source counts again what it had counted.
        assert_eq!(
            restore(&scene.snapshot, &["allowNonRestored=true"])["counts"],
            counts(0..1000, 30),
            "from the start"
        );
        let (half, _) = repair(&scene, &scene.snapshot, "half", &["--rename-uid", "sum=total"]);
        let again = counts((0..1000).chain(0..200).chain(250..450), 30);
        assert_eq!(restore(&half, &["allowNonRestored=true"])["counts"], again, "counted twice");
        let (whole, run) =
            repair(&scene, &scene.snapshot, "whole", &["--rename-uid", "source=numbers", "--rename-uid", "sum=total"]);
        assert_eq!(run.json()["changes"]["renamed"].as_array().map(Vec::len), Some(2));
        assert_eq!(restore(&whole, &[])["counts"], counts(0..1000, 30), "once");
        // As Flink's own writer renames it (FLINK-40837): the readers' state moves, the coordinator's is lost.
        let lossy = scene.dir.path().join("lossy");
        fs::create_dir(&lossy).expect("created");
        let bytes = fs::read(whole.join("_metadata")).expect("readable");
        let mut metadata = chkctl::format::decode(&bytes).expect("a _metadata");
        let source = chkctl::edit::operators::find(&metadata, "numbers").expect("the source");
        assert!(metadata.operators[source].coordinator.take().is_some());
        fs::write(lossy.join("_metadata"), chkctl::format::encode(&metadata).expect("written")).expect("written");
        assert_ne!(restore(&lossy, &[])["counts"], counts(0..1000, 30));
    });
}

#[test]
fn a_job_starts_with_the_rest_where_an_operator_was_dropped() {
    with_each_and_the_others(|flink, how| {
        let scene = scene(flink, how);
        let (dest, run) = repair(&scene, &scene.snapshot, "dropped", &["--drop-operator", "sum"]);
        assert!(run.json()["next"].as_str().expect("a command").starts_with("flink run -s "));
        // -n is for state that no operator claims, and changes nothing here.
        for more in [&[][..], &["allowNonRestored=true"]] {
            let end = restore(flink, &dest, how, more);
            assert_eq!(end["restored"], scene.positions, "{end}");
            assert_eq!(end["counts"], counts(rest(), 30), "the sums begin anew");
        }
    });
}

#[test]
fn a_job_starts_with_the_rest_where_a_file_is_lost() {
    with_each(|flink, how| {
        let scene = scene(flink, how);
        let mut files = command();
        files.args(["files", "--json"]).arg(&scene.snapshot);
        let files = Run::of(files).json();
        let keyed = |file: &&Value| file["owners"][0]["state"].as_str().is_some_and(|state| state.contains("keyed"));
        let file = files["files"].as_array().expect("a list").iter().find(keyed).expect("a file of keyed state");
        let file = file["path"].as_str().expect("a path");
        fs::remove_file(file.strip_prefix("file:").unwrap_or(file)).expect("removed");
        let why = restore(flink, &scene.snapshot, how, &[])["failed"].to_string();
        assert!(why.contains("FileNotFoundException") || why.contains("NoSuchFileException"), "{why}");
        let (dest, run) = repair(&scene, &scene.snapshot, "rest", &["--drop-unreadable"]);
        assert_eq!(run.json()["changes"]["lost"].as_array().map(Vec::len), Some(1));
        let end = restore(flink, &dest, how, &["allowNonRestored=true"]);
        assert_eq!((&end["restored"], &end["counts"]), (&scene.positions, &counts(rest(), 30)), "{end}");
    });
}

#[test]
fn a_tree_that_was_moved_is_restored_from_its_new_place() {
    with_each_and_the_others(|flink, how| {
        let scene = scene(flink, how);
        let (old, new) = (scene.dir.path().join("ck"), scene.dir.path().join("elsewhere"));
        fs::rename(&old, &new).expect("moved");
        let snapshot = new.join(scene.snapshot.strip_prefix(&old).expect("below"));
        let map = format!("{}={}", old.display(), new.display());
        let (dest, _) = repair(&scene, &snapshot, "mapped", &["--map", &map]);
        let end = restore(flink, &dest, how, &[]);
        assert_eq!((&end["restored"], &end["counts"]), (&scene.positions, &counts(0..1000, 30)), "{end}");
        // It is the new place that it was read from.
        fs::rename(&new, scene.dir.path().join("away")).expect("moved");
        assert!(restore(flink, &dest, how, &[])["failed"].is_string());
    });
}

#[test]
fn a_changelog_that_was_moved_is_restored_from_its_new_place() {
    for release in ["1.20.5", "2.3.0"] {
        let dir = tempfile::tempdir().expect("a directory");
        let (old, new) = (dir.path().join("ck"), dir.path().join("elsewhere"));
        let base = format!("dstl.dfs.base-path=file:{}", old.join("dstl").display());
        let conf = format!("state.changelog.storage=filesystem\nstate.backend.changelog.storage=filesystem\n{base}\n");
        with_flink_and(release, &conf, |flink| {
            // Without a threshold, changes go into files too.
            let how = [OTHERS[1], &["conf.dstl.dfs.preemptive-persist-threshold=1kb"]].concat();
            let scene = scene_in(flink, &how, dir);
            let bytes = fs::read(scene.snapshot.join("_metadata")).expect("readable");
            assert!(bytes.windows(5).any(|window| window == b"/dstl"), "changes in files");
            fs::rename(&old, &new).expect("moved");
            let snapshot = new.join(scene.snapshot.strip_prefix(&old).expect("below"));
            let map = format!("{}={}", old.display(), new.display());
            let (dest, _) = repair(&scene, &snapshot, "mapped", &["--map", &map]);
            let end = restore(flink, &dest, &how, &[]);
            assert_eq!((&end["restored"], &end["counts"]), (&scene.positions, &counts(0..1000, 30)), "{end}");
            fs::rename(&new, scene.dir.path().join("away")).expect("moved");
            assert!(restore(flink, &dest, &how, &[])["failed"].is_string());
        });
    }
}

#[test]
fn what_flink_wrote_against_the_wrong_directory_is_restored() {
    // Files that RocksDB compacts are new, and none of the savepoint's.
    let how = [BACKENDS[1], &["conf.state.backend.rocksdb.compaction.style=NONE"]].concat();
    for release in ["1.20.5", "2.3.0"] {
        with_flink(release, |flink| {
            let dir = tempfile::tempdir().expect("a directory");
            let job = ["n=1000", "vocab=30", "par=2"];
            let mut run = |name: &str, more: &[&str]| {
                let place = format!("dir={}", dir.path().join(name).display());
                flink.expect(&[&["run", "wordcount", &place], &job[..], &how, more].concat())
            };
            let savepoint = run("sp", &["hold=200", "savepoint=native"]);
            let from = format!("from={}", savepoint["path"].as_str().expect("a path"));
            let held = run("ck", &[&from, "claim=true", "hold=400"]);
            let path = held["path"].as_str().expect("a path");
            let snapshot = PathBuf::from(path.strip_prefix("file:").unwrap_or(path));
            let scene = Scene { dir, snapshot, positions: held["positions"].clone() };
            let why = restore(flink, &scene.snapshot, &how, &[])["failed"].to_string();
            assert!(why.contains("FileNotFoundException") || why.contains("NoSuchFileException"), "{why}");
            let mut refused = command();
            refused.arg("repair").arg(&scene.snapshot).arg("-o").arg(scene.dir.path().join("x")).arg("--apply");
            assert_eq!(Run::of(refused).status, 4);
            let (dest, run) = repair(&scene, &scene.snapshot, "mended", &["--re-anchor"]);
            assert_eq!(run.json()["verdict"], "restorable");
            let end = restore(flink, &dest, &how, &[]);
            assert_eq!((&end["restored"], &end["counts"]), (&scene.positions, &counts(0..1000, 30)), "{end}");
        });
    }
}

#[test]
fn a_copy_of_second_names_is_restored_when_the_original_is_gone() {
    for release in ["1.20.5", "2.3.0"] {
        with_flink(release, |flink| {
            for how in [BACKENDS[0], OTHERS[2]] {
                let scene = scene(flink, how);
                let (dest, run) = repair(&scene, &scene.snapshot, "linked", &["--link"]);
                assert!(run.json()["linked_files"].as_u64() > Some(1));
                fs::remove_dir_all(scene.dir.path().join("ck")).expect("removed");
                let end = restore(flink, &dest, how, &[]);
                assert_eq!((&end["restored"], &end["counts"]), (&scene.positions, &counts(0..1000, 30)), "{end}");
            }
        });
    }
}

#[test]
fn an_operator_state_that_was_dropped_starts_empty() {
    with_each(|flink, how| {
        let scene = scene(flink, how);
        let mut inspect = command();
        inspect.args(["uid", "--json", "source", "--match"]).arg(&scene.snapshot);
        assert_eq!(Run::of(inspect).status, 0);
        let state = state_of_the_source(&scene.snapshot);
        let (dest, _) = repair(&scene, &scene.snapshot, "emptied", &["--drop-state", &format!("source/{state}")]);
        let end = restore(flink, &dest, how, &[]);
        assert!(end["failed"].is_null() && end["restored"] != scene.positions, "{end}");
    });
}

/// The name of the operator state of the source.
fn state_of_the_source(snapshot: &Path) -> String {
    let bytes = fs::read(snapshot.join("_metadata")).expect("readable");
    let metadata = chkctl::format::decode(&bytes).expect("a _metadata");
    let index = chkctl::edit::operators::find(&metadata, "source").expect("a source");
    let states = metadata.operators[index].subtasks().iter().filter_map(|subtask| subtask.state.as_deref());
    let mut handles = states.filter_map(|state| state.managed_operator.handle.as_deref());
    handles.next().expect("operator state").states[0].name.to_string()
}

#[test]
fn another_checkpoint_id_is_read_by_flink() {
    for release in ["1.20.5", "2.3.0"] {
        with_flink(release, |flink| {
            for how in BACKENDS {
                let scene = scene(flink, how);
                let (numbered, _) = repair(&scene, &scene.snapshot, "numbered", &["--checkpoint-id", "4711"]);
                let end = restore(flink, &numbered, how, &[]);
                assert_eq!((&end["restored"], &end["counts"]), (&scene.positions, &counts(0..1000, 30)), "{end}");
                // The harness shows no databases.
                if how.len() == 1 {
                    let read = flink.expect(&["metadata", &numbered.display().to_string()]);
                    assert_eq!(read["checkpoint_id"], json!(4711));
                }
            }
        });
    }
}

#[test]
fn a_newer_version_of_an_old_release_s_snapshot_is_read_by_the_new_release() {
    let mut old = None;
    with_flink("1.20.5", |flink| old = Some(scene(flink, BACKENDS[0])));
    let Some(scene) = old else { return };
    with_flink("2.3.0", |flink| {
        for version in ["5", "6"] {
            let (dest, run) = repair(&scene, &scene.snapshot, version, &["--upgrade", version]);
            assert_eq!(run.json()["changes"]["after"]["metadata_version"].to_string(), version);
            let end = restore(flink, &dest, BACKENDS[0], &[]);
            assert_eq!((&end["restored"], &end["counts"]), (&scene.positions, &counts(0..1000, 30)), "{end}");
        }
    });
}
