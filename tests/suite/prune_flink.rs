//! Real Flink goes on from what a prune leaves: all state of the snapshot that stays is right, also where its files are
//! those of another job, whose snapshots are gone.

use super::flink::{Flink, with_flink_and};
use super::support::{Run, command};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// So that Flink discards no checkpoint itself. It asks the cluster for this, not the job.
const RETAINED: &str = "execution.checkpointing.num-retained=20";

/// Words for every run of the job: a database that is checkpointed incrementally, its files never in the `_metadata`.
const JOB: [&str; 6] = [
    "keys=200",
    "inline=0",
    "conf.state.backend.type=rocksdb",
    "conf.state.backend.rocksdb.memory.managed=false",
    "conf.execution.checkpointing.incremental=true",
    // Between checkpoints, for tables to be merged and old ones to be left behind.
    "pause=300",
];

fn tell(flink: &mut Flink, words: &[&str]) -> Value {
    let words: Vec<&str> = words.iter().chain(&JOB).copied().collect();
    flink.expect(&words)
}

/// Runs the job for some checkpoints, and gives the directory of the last.
fn run(flink: &mut Flink, root: &Path, more: &[&str]) -> PathBuf {
    let place = format!("dir={}", root.display());
    let mut words = vec!["run", "pantry", &place];
    words.extend(more);
    let path = tell(flink, &words)["path"].as_str().expect("a path").to_owned();
    PathBuf::from(path.strip_prefix("file:").unwrap_or(&path))
}

fn chkctl(args: &[&str], path: &Path) -> Run {
    let mut command = command();
    command.args(args).arg(path);
    Run::of(command)
}

/// Prunes at once what no snapshot that stays needs, and gives what was said of it.
fn prune(root: &Path, policy: &[&str]) -> Value {
    let now = ["--grace", "0s", "--checkpoint-timeout", "0s", "--max-delete-percent", "100", "--apply", "--json"];
    let args: Vec<&str> = ["prune"].iter().chain(policy).chain(&now).copied().collect();
    let done = chkctl(&args, root);
    assert_eq!(done.status, 0, "{}{}", done.stdout, done.stderr);
    done.json()
}

/// The snapshots below a root that are restorable.
fn restorable(root: &Path) -> BTreeSet<PathBuf> {
    let listed = chkctl(&["list", "--json", "--verify"], root).json();
    let snapshots = listed["snapshots"].as_array().expect("snapshots").clone();
    let whole = snapshots.into_iter().filter(|snapshot| snapshot["verdict"] == "restorable");
    whole.map(|snapshot| PathBuf::from(snapshot["path"].as_str().expect("a path"))).collect()
}

/// The files in a directory, but not in those below it.
fn files(dir: &Path) -> BTreeSet<PathBuf> {
    let entries = dir.read_dir().into_iter().flatten().map(|entry| entry.expect("an entry").path());
    entries.filter(|path| path.is_file()).collect()
}

/// Flink restores all state of a snapshot, and it is right by arithmetic.
fn is_right(flink: &mut Flink, snapshot: &Path, hold: &str) {
    let snapshot = snapshot.to_str().expect("UTF-8");
    let found = tell(flink, &["check", "pantry", snapshot, hold, "timeout=60000"]);
    assert_eq!(found["verdict"], "right", "{snapshot}: {found}");
}

#[test]
fn flink_1_restores_what_a_prune_leaves() {
    with_flink_and("1.20.5", RETAINED, both);
}

#[test]
fn flink_2_restores_what_a_prune_leaves() {
    with_flink_and("2.3.0", RETAINED, both);
}

fn both(flink: &mut Flink) {
    the_newest_checkpoint_of_a_job(flink);
    a_checkpoint_that_needs_files_of_another_job(flink);
}

fn the_newest_checkpoint_of_a_job(flink: &mut Flink) {
    let dir = tempfile::tempdir().expect("a directory");
    let newest = run(flink, dir.path(), &["hold=2000", "rounds=10"]);
    assert_eq!(restorable(dir.path()).len(), 10);
    let shared = newest.with_file_name("shared");
    let before = files(&shared);

    let done = prune(dir.path(), &["--keep-last", "2"]);
    assert_eq!(done["totals"]["remove"], 8, "{done}");
    let left = restorable(dir.path());
    assert!(left.len() == 2 && left.contains(&newest), "{left:?}");
    let after = files(&shared);
    assert!(!after.is_empty() && after.len() < before.len(), "{} of {} shared files", after.len(), before.len());
    is_right(flink, &newest, "hold=2000");
}

fn a_checkpoint_that_needs_files_of_another_job(flink: &mut Flink) {
    let dir = tempfile::tempdir().expect("a directory");
    let first = run(flink, dir.path(), &["hold=2000", "rounds=10"]);
    let from = format!("from={}", first.display());
    // It owns the files of the first, and goes on with them.
    let second = run(flink, dir.path(), &["hold=4000", "rounds=2", "claim=true", &from]);
    assert_ne!(first.parent(), second.parent());
    let lent = first.with_file_name("shared");
    let before = files(&lent);

    let done = prune(dir.path(), &["--keep-last", "1", "--group-by", "none"]);
    assert_eq!(done["totals"]["remove"], 11, "{done}");
    assert_eq!(restorable(dir.path()), BTreeSet::from([second.clone()]));
    assert!(!first.exists());
    let after = files(&lent);
    assert!(!after.is_empty() && after.len() < before.len(), "{} of {} shared files", after.len(), before.len());
    is_right(flink, &second, "hold=4000");
}
