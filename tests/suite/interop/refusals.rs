//! What does not fit is refused, by real Flink with our snapshots and by this runtime with those of real Flink, and both
//! say why.

use super::jobs::{FORMATS, Job, Kind, location, savepoint};
use super::releases::{expect, try_restore, whole, with_each_release};
use crate::suite::flink::Flink;
use chkctl::runtime::{Environment, KeyedContext, KeyedProcessFunction, StateRegistry, ValueState};
use serde_json::Value;
use std::path::{Path, PathBuf};

with_each_release!(
    flink_refuses_our_state_of_another_type,
    the_runtime_refuses_state_of_another_type,
    another_number_of_key_groups_is_refused_by_both,
    state_that_nobody_claims_is_refused_by_both,
    the_runtime_refuses_snapshots_of_other_backends,
    records_in_flight_are_never_lost,
);

/// Why a command failed.
fn failure(answer: &Value) -> &str {
    answer["failed"].as_str().unwrap_or_else(|| panic!("it did not fail: {answer}"))
}

fn refused(result: anyhow::Result<Value>) -> String {
    format!("{:#}", result.expect_err("a refusal"))
}

/// The path of a snapshot that a job of Flink's leaves.
fn theirs(flink: &mut Flink, job: &Job, dir: &Path, how: &[&str]) -> PathBuf {
    let place = format!("dir={}", dir.display());
    let mut more = vec![place.as_str(), "hold=437"];
    more.extend(how);
    PathBuf::from(expect(flink, job, "run", &more)["path"].as_str().expect("a path"))
}

/// Keeps the count of `kitchen` as another type: an `int`.
#[derive(Clone)]
struct Narrow(Option<ValueState<i32>>);

impl KeyedProcessFunction for Narrow {
    type Key = i64;
    type In = i64;
    type Out = i64;

    fn open(&mut self, states: &mut StateRegistry<'_, i64>) -> anyhow::Result<()> {
        self.0 = Some(states.value("count")?);
        Ok(())
    }

    fn process(&mut self, _: i64, context: &mut KeyedContext<'_, i64, i64>) -> anyhow::Result<()> {
        self.0.as_ref().expect("it is open").set(context, 1)
    }
}

/// A job with state in the place of that of `kitchen`, but of another type.
fn narrow(from: Option<&Path>) -> Environment {
    let environment = Environment::new();
    if let Some(from) = from {
        environment.restore_from(location(from)).allow_non_restored_state(true);
    }
    let numbers = environment.sequence(0, 100_000_000).uid("source");
    numbers.key_by(|i| i % 7).process(Narrow(None)).uid("process").for_each(|_| Ok(())).uid("sink");
    environment
}

fn flink_refuses_our_state_of_another_type(flink: &mut Flink) {
    let dir = tempfile::tempdir().expect("a directory");
    let environment = narrow(None);
    environment.checkpoints(|checkpoints| checkpoints.savepoint_directory = Some(location(dir.path())));
    let job = environment.start("narrow").expect("the job starts");
    for format in FORMATS {
        let path = savepoint(&job, dir.path(), format);
        let answer = try_restore(flink, &Job::new(Kind::Kitchen), &path, &[]);
        let why = failure(&answer);
        assert!(why.contains("org.apache.flink.util.StateMigrationException"), "{why}");
        assert!(why.contains("count") || why.contains("new state serializer"), "{why}");
    }
    job.cancel();
    job.wait().expect("the job was canceled");
}

fn the_runtime_refuses_state_of_another_type(flink: &mut Flink) {
    for how in [&[][..], &["savepoint=canonical"][..]] {
        let dir = tempfile::tempdir().expect("a directory");
        let path = theirs(flink, &Job::new(Kind::Kitchen), dir.path(), how);
        let error = format!("{:#}", narrow(Some(&path)).execute("narrow").expect_err("a refusal"));
        assert!(error.contains("For state 'count', the new state serializer must not be incompatible"), "{error}");
        assert!(error.contains("Long") && error.contains("Integer"), "{error}");
    }
}

fn another_number_of_key_groups_is_refused_by_both(flink: &mut Flink) {
    let few = Job { max_parallelism: Some(64), ..Job::new(Kind::Kitchen) };
    let many = Job { max_parallelism: Some(128), ..few };
    let dir = tempfile::tempdir().expect("a directory");
    let ours = few.hold(437, None, dir.path());
    for (_, path) in ours.snapshots() {
        let answer = try_restore(flink, &many, path, &[]);
        let why = failure(&answer);
        assert!(why.contains("Max parallelism mismatch") && why.contains("64"), "{why}");
    }
    let path = theirs(flink, &few, dir.path(), &[]);
    let error = refused(many.complete(Some(&path)));
    assert!(error.contains("Max parallelism mismatch") && error.contains("max parallelism 64"), "{error}");
    // More subtasks than there are key groups.
    let three = Job { max_parallelism: Some(3), ..few };
    let path = theirs(flink, &three, dir.path(), &[]);
    let error = refused(Job { max_parallelism: None, parallelism: 4, ..few }.complete(Some(&path)));
    assert!(error.contains("its state has 3 key groups"), "{error}");
}

fn state_that_nobody_claims_is_refused_by_both(flink: &mut Flink) {
    let (kitchen, windowed) = (Job::new(Kind::Kitchen), Job::new(Kind::Tumbling));
    let dir = tempfile::tempdir().expect("a directory");
    let ours = windowed.hold(437, None, dir.path());
    let answer = try_restore(flink, &kitchen, &ours.checkpoint, &[]);
    let why = failure(&answer);
    assert!(why.contains("Cannot map checkpoint/savepoint state for operator"), "{why}");
    let answer = try_restore(flink, &kitchen, &ours.checkpoint, &["allowNonRestored=true"]);
    assert_eq!(answer.get("failed"), None);

    let path = theirs(flink, &windowed, dir.path(), &[]);
    let error = refused(kitchen.complete(Some(&path)));
    assert!(error.contains("Cannot map checkpoint/savepoint state for operator"), "{error}");
    assert!(error.contains("(uid 'process')") && error.contains("(-n)"), "{error}");
}

fn the_runtime_refuses_snapshots_of_other_backends(flink: &mut Flink) {
    let job = Job::new(Kind::Kitchen);
    let dir = tempfile::tempdir().expect("a directory");
    let incremental = ["conf.state.backend.type=rocksdb", "conf.execution.checkpointing.incremental=true"];
    let error = refused(job.complete(Some(&theirs(flink, &job, dir.path(), &incremental))));
    let why = "keyed state as IncrementalRemoteKeyedStateHandle; this runtime restores heap checkpoints and canonical";
    assert!(error.contains(why), "{error}");
    assert!(error.contains("Take a savepoint in canonical format with Flink"), "{error}");

    let base = format!("conf.dstl.dfs.base-path=file://{}/dstl", dir.path().display());
    let changelog = ["conf.state.changelog.enabled=true", "conf.state.changelog.storage=filesystem", &base];
    let error = refused(job.complete(Some(&theirs(flink, &job, dir.path(), &changelog))));
    assert!(error.contains("keyed state as ChangelogStateBackendHandleImpl"), "{error}");
}

fn records_in_flight_are_never_lost(flink: &mut Flink) {
    let job = Job::new(Kind::WordCount);
    let dir = tempfile::tempdir().expect("a directory");
    let unaligned = "conf.execution.checkpointing.unaligned.enabled=true";
    // Whether there are some when the barrier comes is a matter of speed.
    match job.complete(Some(&theirs(flink, &job, dir.path(), &[unaligned]))) {
        Ok(end) => assert_eq!(end["counts"], whole(&job)),
        Err(error) => {
            assert!(format!("{error:#}").contains("in-flight records of an unaligned checkpoint"), "{error:#}")
        }
    }
}
