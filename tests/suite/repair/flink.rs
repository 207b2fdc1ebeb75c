//! Real Flink goes on from mended snapshots.

use crate::suite::flink::{Flink, counts, with_flink};
use crate::suite::support::{Run, command};
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The backends: state on the heap in files, and incremental RocksDB.
const BACKENDS: [&[&str]; 2] =
    [&["inline=0"], &["inline=0", "conf.state.backend.type=rocksdb", "conf.execution.checkpointing.incremental=true"]];

/// State on the heap in merged files.
const MERGED: &[&str] = &["inline=0", "conf.execution.checkpointing.file-merging.enabled=true"];

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
    let dir = tempfile::tempdir().expect("a directory");
    let root = dir.path().join("ck");
    fs::create_dir(&root).expect("created");
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

/// With merged files too, which several operators share.
fn with_each_and_merged(test: impl Fn(&mut Flink, &[&str])) {
    with_each(&test);
    ["1.20.5", "2.3.0"].into_iter().for_each(|release| with_flink(release, |flink| test(flink, MERGED)));
}

#[test]
fn the_uid_of_a_source_is_another_and_the_source_goes_on_at_its_position() {
    with_each_and_merged(|flink, how| {
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
fn a_job_starts_with_the_rest_where_an_operator_was_dropped() {
    with_each_and_merged(|flink, how| {
        let scene = scene(flink, how);
        let (dest, run) = repair(&scene, &scene.snapshot, "dropped", &["--drop-operator", "sum"]);
        assert!(run.json()["next"].as_str().expect("a command").starts_with("flink run -n -s "));
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
    with_each_and_merged(|flink, how| {
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
