//! Real Flink restores what was promoted, with the tree that it came from taken away, and goes on from there.

use super::super::flink::{Flink, with_flink};
use super::super::support::{Run, command, metadata_files};
use std::fs;
use std::path::Path;

/// The job, which has every kind of state, as `tests/agreement` runs it.
const JOB: [&str; 4] = ["inline=0", "keys=60", "hold=180", "conf.state.backend.rocksdb.memory.managed=false"];
const ROCKSDB: &str = "conf.state.backend.type=rocksdb";
const INCREMENTAL: &str = "conf.execution.checkpointing.incremental=true";
const MERGED: &str = "conf.execution.checkpointing.file-merging.enabled=true";

/// What a snapshot is written with: for the job and its restore, and for the job alone.
const KINDS: [(&[&str], &[&str]); 7] = [
    (&[], &[]),
    (&[ROCKSDB, INCREMENTAL], &["rounds=3"]),
    (&[MERGED], &["rounds=2"]),
    (&[ROCKSDB, INCREMENTAL, MERGED], &["rounds=2"]),
    (&[ROCKSDB, INCREMENTAL], &["savepoint=native"]),
    (
        &["conf.state.changelog.enabled=true", "conf.state.backend.changelog.enabled=true"],
        &[
            "rounds=2",
            "pause=900",
            "conf.state.changelog.periodic-materialize.interval=400ms",
            "conf.state.backend.changelog.periodic-materialize.interval=400ms",
        ],
    ),
    (&["conf.execution.checkpointing.unaligned.enabled=true"], &["slow=true"]),
];

fn chkctl(args: &[&str]) -> Run {
    let mut command = command();
    command.args(args);
    Run::of(command)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Runs a job, promotes its snapshot, takes the job's directories away, and lets Flink look after all state.
fn check(flink: &mut Flink) {
    for (shared, alone) in KINDS {
        let dir = tempfile::tempdir().expect("a directory");
        let (job, dest, archive) = (dir.path().join("job"), dir.path().join("dest"), dir.path().join("a.tar.zst"));
        let place = format!("dir={}", job.display());
        let run: Vec<&str> = [&["run", "pantry", &place], &JOB[..], shared, alone].concat();
        let held = flink.expect(&run);
        let path = held["path"].as_str().expect("a path");
        for args in [&[path, text(&dest)][..], &[path, "--archive", text(&archive)]] {
            let promoted = chkctl(&[&["promote"], args].concat());
            assert_eq!(promoted.status, 0, "{shared:?} {alone:?}: {}", promoted.stderr);
        }
        fs::remove_dir_all(&job).expect("the job's directories go");
        let unpacked = dir.path().join("unpacked");
        assert_eq!(chkctl(&["promote", text(&archive), text(&unpacked)]).status, 0);
        let moved = dir.path().join("moved");
        fs::rename(&dest, &moved).expect("moved");
        for copy in [&moved, &unpacked] {
            let words: Vec<&str> = [&["check", "pantry", text(copy)], &JOB[..], shared].concat();
            let answer = flink.ask(&words);
            assert_eq!(answer["verdict"], "right", "{shared:?} {alone:?}: {answer}");
            assert_eq!(chkctl(&["verify", "--checksums", text(copy)]).status, 0, "Flink leaves the copy as it is");
        }
    }
}

/// What a job writes that was restored from a copy does not need the copy.
fn goes_on(flink: &mut Flink) {
    let dir = tempfile::tempdir().expect("a directory");
    let (first, second, dest) = (dir.path().join("first"), dir.path().join("second"), dir.path().join("dest"));
    let job = ["n=1000", "vocab=30", "par=2", "inline=0", ROCKSDB, INCREMENTAL];
    let place = format!("dir={}", first.display());
    let held = flink.expect(&[&["run", "wordcount", &place, "hold=200"], &job[..]].concat());
    assert_eq!(chkctl(&["promote", held["path"].as_str().expect("a path"), text(&dest)]).status, 0);
    fs::remove_dir_all(&first).expect("the first job's directories go");
    let (place, from) = (format!("dir={}", second.display()), format!("from={}", dest.display()));
    let held = flink.expect(&[&["run", "wordcount", &place, &from, "hold=400"], &job[..]].concat());
    fs::remove_dir_all(&dest).expect("the copy goes");
    let path = held["path"].as_str().expect("a path");
    assert!(metadata_files(&second).len() == 1, "one checkpoint");
    assert_eq!(chkctl(&["verify", "--deep", path]).status, 0);
    let end = flink.expect(&[&["restore", "wordcount", path], &job[..]].concat());
    assert_eq!(end["counts"], super::super::flink::counts(0..1000, 30));
}

/// In CLAIM mode a job goes on to use the files of the copy: that it finds them takes handles that name it.
fn goes_on_in_claim_mode(flink: &mut Flink) {
    let dir = tempfile::tempdir().expect("a directory");
    // Files that RocksDB compacts are new, and none of the copy's.
    let whole = "conf.state.backend.rocksdb.compaction.style=NONE";
    let job = ["n=1000", "vocab=30", "par=2", "inline=0", ROCKSDB, INCREMENTAL, whole];
    let place = |name: &str| format!("dir={}", dir.path().join(name).display());
    let held = flink.expect(&[&["run", "wordcount", &place("first"), "hold=200"], &job[..]].concat());
    for (name, options, wanted) in [("relative", &[][..], "broken"), ("absolute", &["--absolute"], "restorable")] {
        let dest = dir.path().join(name);
        let path = held["path"].as_str().expect("a path");
        assert_eq!(chkctl(&[&["promote", path, text(&dest)], options].concat()).status, 0);
        let claim = ["conf.execution.savepoint-restore-mode=CLAIM", "conf.execution.state-recovery.claim-mode=CLAIM"];
        let (place, from) = (place(&format!("{name}-job")), format!("from={}", dest.display()));
        let next = flink.expect(&[&["run", "wordcount", &place, &from, "hold=400"], &claim[..], &job[..]].concat());
        let path = next["path"].as_str().expect("a path");
        let report = chkctl(&["verify", "--json", path]).json();
        assert_eq!(report["snapshots"][0]["verdict"], wanted, "{name}: {report}");
    }
}

#[test]
fn flink_1_20_goes_on_from_a_copy_in_claim_mode() {
    with_flink("1.20.5", goes_on_in_claim_mode);
}

#[test]
fn flink_2_3_goes_on_from_a_copy_in_claim_mode() {
    with_flink("2.3.0", goes_on_in_claim_mode);
}

#[test]
fn flink_1_20_restores_copies() {
    with_flink("1.20.5", check);
}

#[test]
fn flink_2_3_restores_copies() {
    with_flink("2.3.0", check);
}

#[test]
fn flink_1_20_goes_on_from_a_copy() {
    with_flink("1.20.5", goes_on);
}

#[test]
fn flink_2_3_goes_on_from_a_copy() {
    with_flink("2.3.0", goes_on);
}
