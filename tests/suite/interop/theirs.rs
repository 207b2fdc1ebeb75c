//! This runtime goes on from what real Flink writes.

use super::jobs::{Job, Kind, together};
use super::releases::{KINDS, expect, whole, with_each_release};
use crate::suite::flink::Flink;
use std::path::Path;

with_each_release!(
    the_runtime_restores_heap_checkpoints_and_savepoints,
    the_runtime_restores_canonical_savepoints_of_rocksdb,
    the_runtime_takes_the_number_of_key_groups_from_the_snapshot,
);

/// Runs a job of Flink's, and goes on from its snapshot at some parallelisms.
fn check(flink: &mut Flink, job: &Job, how: &[&str], parallelism: &[usize]) {
    let dir = tempfile::tempdir().expect("a directory");
    let place = format!("dir={}", dir.path().display());
    let mut more = vec![place.as_str(), "hold=437"];
    more.extend(how);
    let held = expect(flink, job, "run", &more);
    let path = Path::new(held["path"].as_str().expect("a path"));
    for parallelism in parallelism {
        let what = format!("{:?}, {how:?}, at parallelism {parallelism}", job.kind);
        let end =
            job.parallelism(*parallelism).complete(Some(path)).unwrap_or_else(|error| panic!("{what}: {error:#}"));
        assert_eq!(end["restored"], held["positions"], "{what}");
        let results = match job.kind {
            // Every word comes again after the snapshot, so the highest counts are those of the whole sequence.
            Kind::WordCount => end["counts"].clone(),
            _ => together(&[&held[job.result()], &end[job.result()]]),
        };
        assert_eq!(results, whole(job), "{what}");
    }
}

fn the_runtime_restores_heap_checkpoints_and_savepoints(flink: &mut Flink) {
    for kind in KINDS {
        let job = Job::new(kind);
        check(flink, &job, &[], &[1, 2, 3]);
        check(flink, &Job { in_line: 0, ..job }, &[], &[2, 3]);
        check(flink, &job, &["savepoint=canonical"], &[1, 2, 3]);
        check(flink, &job, &["savepoint=native"], &[1, 3]);
    }
    let compressed = "conf.execution.checkpointing.snapshot-compression=true";
    check(flink, &Job::new(Kind::Kitchen), &[compressed], &[1, 2]);
    check(flink, &Job::new(Kind::Kitchen), &[compressed, "savepoint=canonical"], &[1, 2]);
}

fn the_runtime_restores_canonical_savepoints_of_rocksdb(flink: &mut Flink) {
    for kind in [Kind::Sliding, Kind::Kitchen] {
        check(flink, &Job::new(kind), &["conf.state.backend.type=rocksdb", "savepoint=canonical"], &[1, 3]);
    }
}

fn the_runtime_takes_the_number_of_key_groups_from_the_snapshot(flink: &mut Flink) {
    for groups in ["maxpar=5", "maxpar=300"] {
        check(flink, &Job::new(Kind::Kitchen), &[groups], &[1, 3]);
    }
}
