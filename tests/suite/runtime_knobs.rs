//! Every knob of checkpoints, through the public interface and with real files.

use super::jobs::{Gate, Hanging, KEYS, Metered, Place, children, collect, count, locked, ms, wait_for, whole};
use chkctl::runtime::coordinator::{CheckpointMode, Retention, SavepointFormat};
use chkctl::runtime::{Environment, JobStatus};
use chkctl::storage::LocalStorage;
use chkctl::storage::faulty::{Fault, FaultyStorage, Operation};
use std::sync::Arc;
use std::time::SystemTime;

const ENDLESS: i64 = i64::MAX;

/// A job that counts slowly without end.
fn endless(environment: &Environment) {
    let source = Metered::new(ENDLESS, 1000);
    collect(&count(&environment.source("Metered", source).uid("source")));
}

#[test]
fn without_an_interval_no_checkpoint_is_taken() {
    let place = Place::new();
    let environment = place.environment();
    environment.checkpoints(|config| config.interval = None);
    let seen = collect(&count(&environment.sequence(0, 10_000)));
    environment.execute("no checkpoints").expect("it finishes");
    assert_eq!(locked(&seen).len(), 10_000);
    assert!(place.directories().is_empty());
}

#[test]
fn checkpoints_come_again_and_again() {
    let place = Place::new();
    let environment = place.environment();
    endless(&environment);
    let job = environment.start("periodic").expect("it starts");
    place.wait_for_checkpoints(5);
    job.cancel();
    let outcome = job.wait().expect("canceled");
    assert_eq!((outcome.status, outcome.restarts), (JobStatus::Canceled, 0));
    let reports = place.verify();
    assert_eq!(reports.len(), 1);
    assert_eq!(outcome.checkpoint.expect("retained").canonical(), reports[0].path.canonical());
    assert!(reports[0].checkpoint_id >= Some(5));
}

#[test]
fn values_that_cannot_be_are_refused() {
    type Change = fn(&mut chkctl::runtime::coordinator::CheckpointConfig);
    let wrong: [(Change, &str); 6] = [
        (|c| c.interval = Some(ms(9)), "interval must be at least 10ms"),
        (|c| c.timeout = ms(1), "timeout must be at least 10ms"),
        (|c| c.max_concurrent = 0, "concurrent checkpoints must be at least 1"),
        (|c| c.num_retained = 0, "retained checkpoints must be at least 1"),
        (|c| c.in_line_threshold = (1 << 20) + 1, "at most 1 MiB"),
        (|c| c.directory = None, "need a directory"),
    ];
    for (change, message) in wrong {
        let environment = Place::new().environment();
        environment.checkpoints(change);
        endless(&environment);
        let error = whole(environment.start("wrong"));
        assert!(error.contains(message), "{error}");
    }
}

/// Runs a job of a fast and a slow input whose barriers come apart, and restores from the savepoint that was taken
/// then. Gives what the fast input got through before the slow one's barrier, and the last count after the restore.
fn with_inputs_of_different_speed(mode: CheckpointMode) -> (usize, i64) {
    let place = Place::new();
    let program = |environment: &Environment, fast: &Metered, slow: &Metered, gate: &Gate| {
        let gate = gate.clone();
        let slow = environment.source("Slow", slow.clone()).uid("slow").map(move |number| {
            gate.pass();
            number
        });
        let fast = environment.source("Fast", fast.clone()).uid("fast");
        let all = fast.union(&[slow]).map(|_| (0_i64, 1_i64));
        collect(&all.key_by(|(key, _)| *key).sum(|(_, count)| count).uid("count"))
    };
    let (fast, slow, gate) = (Metered::new(200, 100), Metered::new(50, 0), Gate::default());
    let environment = place.environment();
    environment.checkpoints(|config| {
        (config.interval, config.mode, config.in_line_threshold) = (None, mode, 0);
    });
    let seen = program(&environment, &fast, &slow, &gate);
    let job = environment.start("two speeds").expect("it starts");
    wait_for("the first hundred", || locked(&seen).len() == 100);
    gate.close();
    slow.allow(10);
    // The slow source is in the gate with its first record, or will be; only then its barrier is held up.
    std::thread::sleep(ms(50));
    let (passed, savepoint) = std::thread::scope(|scope| {
        let savepoint = scope.spawn(|| job.savepoint(None, SavepointFormat::Native));
        wait_for("the state of the fast source", || {
            children(&place.savepoints()).iter().any(|dir| !children(dir).is_empty())
        });
        fast.allow(200);
        if mode == CheckpointMode::AtLeastOnce {
            wait_for("records behind the barrier", || locked(&seen).len() == 200);
        } else {
            std::thread::sleep(ms(100));
        }
        let passed = locked(&seen).len();
        gate.open();
        (passed, savepoint.join().expect("no panic").expect("a savepoint"))
    });
    job.cancel();
    job.wait().expect("canceled");
    place.verify();
    let environment = place.environment();
    let (fast, slow) = (Metered::new(200, 200), Metered::new(50, 50));
    let seen = program(&environment, &fast, &slow, &gate);
    environment.restore_from(savepoint).execute("two speeds").expect("it finishes");
    let last = locked(&seen).iter().map(|(_, count)| *count).max().expect("a count");
    (passed, last)
}

#[test]
fn exactly_once_holds_records_behind_a_barrier_back_and_counts_none_twice() {
    assert_eq!(with_inputs_of_different_speed(CheckpointMode::ExactlyOnce), (100, 250));
}

#[test]
fn at_least_once_lets_records_pass_a_barrier_and_counts_them_again_after_a_restore() {
    assert_eq!(with_inputs_of_different_speed(CheckpointMode::AtLeastOnce), (200, 350));
}

#[test]
fn between_a_checkpoint_and_the_next_the_pause_is_kept() {
    let place = Place::new();
    let environment = place.environment();
    environment.checkpoints(|config| {
        (config.interval, config.min_pause, config.num_retained) = (Some(ms(10)), ms(300), 10);
    });
    endless(&environment);
    let job = environment.start("pause").expect("it starts");
    place.wait_for_checkpoints(3);
    drop(job);
    let written = |dir: &std::path::PathBuf| dir.join("_metadata").metadata().and_then(|m| m.modified());
    let times: Vec<SystemTime> = place.directories().values().filter_map(|dir| written(dir).ok()).collect();
    assert!(times.len() >= 3);
    for pair in times.windows(2) {
        let gap = pair[1].duration_since(pair[0]).expect("in order");
        assert!(gap >= ms(280), "{gap:?}");
    }
}

/// A job whose checkpoints stop at a closed gate.
fn gated(environment: &Environment, gate: &Gate) {
    let gate = gate.clone();
    let numbers = environment.source("Metered", Metered::new(ENDLESS, ENDLESS)).uid("source");
    let slow = numbers.rebalance().map(move |number| {
        gate.pass();
        number
    });
    collect(&count(&slow).filter(|_| false));
}

#[test]
fn a_checkpoint_that_a_blocked_operator_holds_up_expires_and_leaves_nothing_behind() {
    let (place, gate) = (Place::new(), Gate::default());
    let environment = place.environment();
    environment.checkpoints(|config| {
        (config.timeout, config.tolerable_failures, config.in_line_threshold) = (ms(300), u32::MAX, 0);
    });
    gate.close();
    gated(&environment, &gate);
    let job = environment.start("blocked").expect("it starts");
    wait_for("the first checkpoint", || place.directories().contains_key(&1));
    wait_for("files of the first checkpoint", || {
        place.directories().get(&1).is_some_and(|dir| !children(dir).is_empty()) || place.directories().contains_key(&2)
    });
    wait_for("its end", || !place.directories().contains_key(&1));
    wait_for("another one", || place.directories().keys().any(|id| *id > 1));
    gate.open();
    place.wait_for_checkpoints(2);
    job.cancel();
    assert_eq!(job.wait().expect("the job survived").restarts, 0);
    assert_eq!(place.directories().len(), place.verify().len(), "nothing else is left: {:?}", place.directories());
}

#[test]
fn a_checkpoint_that_storage_holds_up_expires_and_leaves_nothing_behind() {
    let place = Place::new();
    let storage = Arc::new(Hanging::default());
    let environment = place.environment();
    environment.storage(storage.clone()).checkpoints(|config| {
        (config.timeout, config.tolerable_failures, config.in_line_threshold) = (ms(100), u32::MAX, 0);
    });
    endless(&environment);
    let job = environment.start("hung").expect("it starts");
    place.wait_for_checkpoints(1);
    storage.gate.close();
    let newest = *place.directories().keys().last().expect("one");
    wait_for("checkpoints in vain", || place.directories().keys().any(|id| *id > newest + 2));
    let held_up = *place.directories().keys().last().expect("one");
    storage.gate.open();
    wait_for("later checkpoints", || place.completed().iter().any(|id| *id > held_up));
    // What was held up is removed while the job runs, not only at its end.
    wait_for("order", || place.directories().keys().all(|id| place.completed().contains(id) || *id > held_up));
    job.cancel();
    assert_eq!(job.wait().expect("the job survived").restarts, 0);
    assert_eq!(place.directories().len(), place.verify().len(), "nothing else is left: {:?}", place.directories());
}

/// The most checkpoints that were pending at a time while none could complete.
fn most_pending(max_concurrent: usize, pause: bool) -> usize {
    let (place, gate) = (Place::new(), Gate::default());
    let environment = place.environment();
    environment.checkpoints(|config| {
        (config.interval, config.max_concurrent) = (Some(ms(10)), max_concurrent);
        if pause {
            config.min_pause = ms(1);
        }
    });
    gate.close();
    gated(&environment, &gate);
    let job = environment.start("concurrent").expect("it starts");
    let expected = if pause { 1 } else { max_concurrent };
    wait_for("as many as may be", || place.directories().len() >= expected);
    std::thread::sleep(ms(60));
    let most = place.directories().len();
    gate.open();
    place.wait_for_checkpoints(3);
    job.cancel();
    job.wait().expect("canceled");
    assert_eq!(place.verify().len(), 1);
    most
}

#[test]
fn as_many_checkpoints_are_pending_as_may_be_and_no_more() {
    assert_eq!(most_pending(1, false), 1);
    assert_eq!(most_pending(3, false), 3);
    assert_eq!(most_pending(3, true), 1, "with a pause there is one at a time");
}

fn failing_publications(count: u64) -> Arc<FaultyStorage<LocalStorage>> {
    let storage = FaultyStorage::new(LocalStorage);
    (1..=count).for_each(|n| storage.inject(Fault::on(&[Operation::Publish]).nth(n)));
    Arc::new(storage)
}

#[test]
fn failures_up_to_the_tolerable_number_leave_the_job_alone() {
    let place = Place::new();
    let environment = place.environment();
    environment.storage(failing_publications(2)).checkpoints(|config| config.tolerable_failures = 2);
    endless(&environment);
    let job = environment.start("tolerant").expect("it starts");
    place.wait_for_checkpoints(3);
    job.cancel();
    assert_eq!(job.wait().expect("canceled").restarts, 0);
    assert_eq!(place.directories().len(), place.verify().len());
}

#[test]
fn one_failure_more_than_tolerable_fails_the_job_in_flink_s_words() {
    let place = Place::new();
    let environment = place.environment();
    environment.storage(failing_publications(3)).checkpoints(|config| config.tolerable_failures = 2);
    endless(&environment);
    let error = whole(environment.execute("intolerant"));
    assert!(error.contains("Recovery is suppressed by NoRestartBackoffTimeStrategy"), "{error}");
    assert!(error.contains("Exceeded checkpoint tolerable failure threshold."), "{error}");
    assert!(error.contains("Failure to finalize checkpoint."), "{error}");
    assert!(place.directories().is_empty(), "{:?}", place.directories());
}

#[test]
fn checkpoints_are_kept_at_the_end_as_the_retention_says() {
    use Retention::{DeleteOnCancellation, NoExternalized, RetainOnCancellation};
    for (retention, kept_on) in [
        (RetainOnCancellation, ["cancel", "fail"].as_slice()),
        (DeleteOnCancellation, &["fail"]),
        (NoExternalized, &[]),
    ] {
        for end in ["cancel", "fail", "finish"] {
            let place = Place::new();
            let environment = place.environment();
            environment.checkpoints(|config| config.retention = retention);
            let source = Metered::new(10_000, 1000);
            let poisoned = end == "fail";
            let numbers = environment.source("Metered", source.clone()).uid("source").try_map(move |number| {
                anyhow::ensure!(!poisoned || number < 1000, "poison");
                Ok(number)
            });
            collect(&count(&numbers));
            let job = environment.start("retention").expect("it starts");
            place.wait_for_checkpoints(2);
            match end {
                "cancel" => job.cancel(),
                _ => source.allow(10_000),
            }
            let ended = job.wait();
            assert_eq!(ended.is_err(), poisoned, "{retention:?} {end}: {ended:?}");
            let kept = kept_on.contains(&end);
            assert_eq!(place.verify().len(), usize::from(kept), "{retention:?} {end}");
            if !kept {
                assert_eq!(children(&place.checkpoints()), Vec::<std::path::PathBuf>::new(), "{retention:?} {end}");
            }
            if let Ok(outcome) = ended {
                assert_eq!(outcome.checkpoint.is_some(), kept, "{retention:?} {end}");
            }
        }
    }
}

#[test]
fn so_many_checkpoints_are_kept_as_asked_for() {
    for retained in [1, 2, 4] {
        let place = Place::new();
        let environment = place.environment();
        environment.checkpoints(|config| config.num_retained = retained);
        endless(&environment);
        let job = environment.start("retained").expect("it starts");
        place.wait_for_checkpoints(6);
        job.cancel();
        job.wait().expect("canceled");
        let completed = place.completed();
        assert_eq!(completed.len(), retained);
        assert_eq!(place.verify().len(), retained);
        assert_eq!(place.directories().len(), retained);
        let in_a_row = completed.windows(2).all(|pair| pair[0] + 1 == pair[1]);
        assert!(in_a_row, "{completed:?}");
    }
}

/// The state files of a checkpoint of a job with some state of `bytes` bytes.
fn files(threshold: Option<usize>, bytes: usize) -> u64 {
    let place = Place::new();
    let environment = place.environment();
    environment.checkpoints(|config| config.in_line_threshold = threshold.unwrap_or(config.in_line_threshold));
    let source = Metered::new(ENDLESS, 10 * KEYS);
    let texts = environment.source("Metered", source).uid("source").map(move |n| (n % KEYS, "x".repeat(bytes)));
    let seen = collect(&texts.key_by(|(key, _)| *key).reduce(|_, _| {}).uid("state"));
    let job = environment.start("threshold").expect("it starts");
    wait_for("all records", || locked(&seen).len() == 70);
    place.wait_for_checkpoints(2);
    job.cancel();
    job.wait().expect("canceled");
    place.verify()[0].files.referenced
}

#[test]
fn state_up_to_the_threshold_is_kept_in_the_metadata() {
    assert_eq!(files(Some(0), 10), 2, "source and keyed state");
    assert_eq!(files(None, 10), 0);
    assert_eq!(files(None, 10_000), 1, "70 kB of keyed state");
    assert_eq!(files(Some(1 << 20), 10_000), 0);
}
