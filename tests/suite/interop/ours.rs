//! Real Flink goes on from what this runtime wrote, and this runtime from what Flink then wrote.

use super::jobs::{Job, Kind, together};
use super::releases::{KINDS, expect, restore, whole, with_each_release};
use crate::suite::flink::Flink;
use serde_json::Value;
use std::path::Path;

with_each_release!(
    flink_restores_checkpoints_and_savepoints_of_every_job,
    flink_restores_state_that_is_in_files,
    flink_and_the_runtime_take_turns,
    uninterrupted_runs_have_the_same_results,
);

/// How far the jobs are read when snapshots are taken: windows are open, and timers wait.
const HELD: i64 = 437;

/// Whether what came out before a snapshot and after it is everything, once.
fn is_whole(job: &Job, before: &Value, after: &Value, what: &str) {
    let wanted = whole(job);
    match job.kind {
        // Every word comes again after the snapshot, so the highest counts are those of the whole sequence.
        Kind::WordCount => assert_eq!(*after, wanted, "{what}"),
        _ => assert_eq!(together(&[before, after]), wanted, "{what}"),
    }
}

fn check(flink: &mut Flink, job: &Job, dir: &Path, parallelism: [usize; 2]) {
    let held = job.hold(HELD, None, dir);
    for (kind, path) in held.snapshots() {
        for parallelism in parallelism {
            let what = format!("{:?}, {kind}, at parallelism {parallelism}", job.kind);
            let end = restore(flink, &job.parallelism(parallelism), path);
            assert_eq!(end["restored"], held.positions, "{what}");
            is_whole(job, &held.results, &end[job.result()], &what);
        }
    }
}

fn flink_restores_checkpoints_and_savepoints_of_every_job(flink: &mut Flink) {
    for kind in KINDS {
        let dir = tempfile::tempdir().expect("a directory");
        check(flink, &Job::new(kind), dir.path(), [2, 3]);
    }
}

fn flink_restores_state_that_is_in_files(flink: &mut Flink) {
    for kind in KINDS {
        let dir = tempfile::tempdir().expect("a directory");
        check(flink, &Job { in_line: 0, ..Job::new(kind) }, dir.path(), [1, 2]);
    }
}

fn flink_and_the_runtime_take_turns(flink: &mut Flink) {
    for kind in KINDS {
        let job = Job::new(kind);
        let dir = tempfile::tempdir().expect("a directory");
        let place = format!("dir={}", dir.path().display());
        // Ours, Flink, ours.
        let first = job.hold(211, None, dir.path());
        let place = place.as_str();
        let formats: [(&Path, &[&str]); 3] = [
            (&first.checkpoint, &[]),
            (&first.canonical, &["savepoint=canonical"]),
            (&first.native, &["savepoint=native"]),
        ];
        for (from, format) in formats {
            let from = format!("from={}", from.display());
            let second = expect(flink, &job.parallelism(3), "run", &[&[place, &from, "hold=300"], format].concat());
            assert_eq!(second["restored"], first.positions, "{kind:?}");
            let path = Path::new(second["path"].as_str().expect("a path"));
            let end = job.parallelism(1).complete(Some(path)).expect("a run");
            assert_eq!(end["restored"], second["positions"]);
            let before = before(&job, &first.results, &second[job.result()]);
            is_whole(&job, &before, &end[job.result()], &format!("{kind:?} by way of Flink's {format:?}"));
        }
        // Flink, ours, Flink.
        let first = expect(flink, &job, "run", &[place, "hold=211"]);
        let path = Path::new(first["path"].as_str().expect("a path"));
        let second = job.parallelism(3).hold(300, Some(path), dir.path());
        assert_eq!(second.restored, first["positions"]);
        for (format, path) in second.snapshots() {
            let end = restore(flink, &job, path);
            let before = before(&job, &first[job.result()], &second.results);
            is_whole(&job, &before, &end[job.result()], &format!("{kind:?} by way of our {format}"));
        }
    }
}

/// What came out before the last snapshot; counts need no memory.
fn before(job: &Job, first: &Value, second: &Value) -> Value {
    match job.kind {
        Kind::WordCount => Value::Null,
        _ => together(&[first, second]),
    }
}

fn uninterrupted_runs_have_the_same_results(flink: &mut Flink) {
    for kind in KINDS {
        let job = Job::new(kind);
        let ours = job.complete(None).expect("a run");
        assert_eq!(ours[job.result()], whole(&job), "{kind:?}");
        let theirs = expect(flink, &job, "complete", &[]);
        assert_eq!(ours[job.result()], theirs[job.result()], "{kind:?}");
    }
}
