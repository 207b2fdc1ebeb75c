//! What happens when tasks fail: restarts as each strategy says, in Flink's words, with exact results.

use super::jobs::{Metered, Place, assert_counted_once, collect, count, locked, logged, ms, wait_for, whole};
use chkctl::runtime::restart::RestartStrategy;
use chkctl::runtime::{Environment, JobOutcome, JobStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// How many numbers [`failing`] counts.
const TOTAL: i64 = 20_000;

/// A job whose operator `name` fails so often, each time after a checkpoint of the attempt.
fn failing(place: &Place, name: &str, strategy: RestartStrategy, failures: u32) -> anyhow::Result<JobOutcome> {
    let environment = place.environment();
    environment.parallelism(2).restart_strategy(strategy);
    let left = Arc::new(AtomicU32::new(failures));
    let source = Metered::new(TOTAL, 100);
    let (mut since, watched, counter) = (None, place.clone(), left.clone());
    let numbers = environment.source("Metered", source.clone()).uid("source").rebalance().try_map(move |number| {
        if counter.load(Ordering::SeqCst) > 0 && watched.newest() > *since.get_or_insert_with(|| watched.newest()) {
            let failed = counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            anyhow::ensure!(failed.is_err(), "poison {number}");
        }
        Ok(number)
    });
    count(&numbers.name(name).parallelism(1)).sink_to_files(place.sink()).uid("sink");
    let job = environment.start("failing")?;
    let mut limit = 100;
    wait_for("the failures", || {
        std::thread::sleep(ms(1));
        limit += 5;
        source.allow(limit);
        left.load(Ordering::SeqCst) == 0 || job.is_finished()
    });
    source.allow(TOTAL);
    job.wait()
}

#[test]
fn a_job_without_restarts_fails_with_its_first_task() {
    let place = Place::new();
    let error = whole(failing(&place, "Fails Once", RestartStrategy::None, 1));
    assert!(error.starts_with("Recovery is suppressed by NoRestartBackoffTimeStrategy: poison"), "{error}");
    place.verify();
    let lines = logged("Fails Once");
    let failed =
        lines.iter().filter(|line| line.contains("switched from RUNNING to FAILED with failure cause: poison"));
    assert!(failed.count() >= 1, "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("Fails Once (1/1) (") && line.contains("DEPLOYING")), "{lines:?}");
}

#[test]
fn a_fixed_delay_restarts_so_many_times() {
    let place = Place::new();
    let strategy = RestartStrategy::FixedDelay { attempts: 3, delay: ms(20) };
    let outcome = failing(&place, "Fails Thrice", strategy, 3).expect("it finishes");
    assert_eq!((outcome.status, outcome.restarts), (JobStatus::Finished, 3));
    assert_counted_once(place.output(), TOTAL);
    assert!(place.uncommitted().is_empty());
    assert_eq!(logged("Fails Thrice").iter().filter(|line| line.contains("to FAILED with failure cause")).count(), 3);
}

#[test]
fn a_fixed_delay_gives_up_after_its_attempts() {
    let place = Place::new();
    let strategy = RestartStrategy::FixedDelay { attempts: 3, delay: ms(2) };
    let error = whole(failing(&place, "Fails Always", strategy, u32::MAX));
    let words =
        "Recovery is suppressed by FixedDelayRestartBackoffTimeStrategy(maxNumberRestartAttempts=3, backoffTimeMS=2)";
    assert!(error.starts_with(words), "{error}");
    assert!(error.contains("poison"), "{error}");
    assert_eq!(place.verify().len(), 1, "the last checkpoint is retained");
}

#[test]
fn an_exponential_delay_restarts_until_its_attempts_are_used_up() {
    let strategy = |attempts| RestartStrategy::ExponentialDelay {
        initial: ms(1),
        max: ms(8),
        multiplier: 2.0,
        reset_threshold: ms(3_600_000),
        jitter: 0.0,
        attempts,
    };
    let place = Place::new();
    let outcome = failing(&place, "Fails Five Times", strategy(None), 5).expect("it finishes");
    assert_eq!(outcome.restarts, 5);
    assert_counted_once(place.output(), TOTAL);
    let place = Place::new();
    let error = whole(failing(&place, "Fails Too Often", strategy(Some(2)), u32::MAX));
    assert!(error.starts_with("Recovery is suppressed by ExponentialDelayRestartBackoffTimeStrategy("), "{error}");
    assert!(error.contains("attemptsBeforeResetBackoff=2, currentRestartAttempt=3)"), "{error}");
}

#[test]
fn a_failure_rate_gives_up_when_failures_come_too_fast() {
    let place = Place::new();
    let strategy = RestartStrategy::FailureRate { max_failures: 2, interval: ms(600_000), delay: ms(1) };
    let outcome = failing(&place, "Fails Twice", strategy, 2).expect("it finishes");
    assert_eq!(outcome.restarts, 2);
    assert_counted_once(place.output(), TOTAL);
    let place = Place::new();
    let error = whole(failing(&place, "Fails Fast", strategy, u32::MAX));
    let words = "Recovery is suppressed by FailureRateRestartBackoffTimeStrategy(failuresIntervalMS=600000,backoffTimeMS=1,maxFailuresPerInterval=2)";
    assert!(error.starts_with(words), "{error}");
}

#[test]
fn a_panic_in_a_function_fails_the_task() {
    let place = Place::new();
    let environment = place.environment();
    environment.restart_strategy(RestartStrategy::FixedDelay { attempts: 1, delay: ms(1) });
    let panics = Arc::new(AtomicU32::new(1));
    let numbers = environment.sequence(0, 3000).uid("source").map(move |number| {
        if number == 1500 && panics.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok() {
            panic!("a function panicked at {number}");
        }
        number
    });
    count(&numbers.name("Panics Once")).sink_to_files(place.sink()).uid("sink");
    assert_eq!(environment.execute("panics").expect("it finishes").restarts, 1);
    assert_counted_once(place.output(), 3000);
    let lines = logged("Panics Once");
    let words = "switched from RUNNING to FAILED with failure cause: the task panicked: a function panicked at 1500";
    assert!(lines.iter().any(|line| line.contains(words)), "{lines:?}");
}

#[test]
fn a_job_can_be_canceled_while_it_waits_for_a_restart() {
    let place = Place::new();
    let environment = place.environment();
    environment.restart_strategy(RestartStrategy::FixedDelay { attempts: 1, delay: ms(3_600_000) });
    collect(&environment.sequence(0, 10).try_map(|_| -> anyhow::Result<i64> { anyhow::bail!("poison") }).name("Waits"));
    let job = environment.start("waits").expect("it starts");
    wait_for("the failure", || logged("Waits").iter().any(|line| line.contains("to FAILED")));
    job.cancel();
    assert_eq!(job.wait().expect("canceled").status, JobStatus::Canceled);
}

#[test]
fn a_job_that_is_canceled_while_it_fails_does_not_start_again() {
    for _ in 0..20 {
        let place = Place::new();
        let environment = place.environment();
        environment.parallelism(4).restart_strategy(RestartStrategy::FixedDelay { attempts: u32::MAX, delay: ms(0) });
        let fails = environment.source("Metered", Metered::new(i64::MAX, i64::MAX)).try_map(|number| {
            anyhow::ensure!(number % 100 != 99, "poison");
            Ok(number)
        });
        collect(&count(&fails).filter(|_| false));
        let job = environment.start("fails and is canceled").expect("it starts");
        std::thread::sleep(ms(3));
        job.cancel();
        assert_eq!(job.wait().expect("canceled").status, JobStatus::Canceled);
    }
}

#[test]
fn a_task_that_fails_while_the_job_is_canceled_does_not_start_it_again() {
    let place = Place::new();
    let environment = place.environment();
    environment.restart_strategy(RestartStrategy::FixedDelay { attempts: u32::MAX, delay: ms(0) });
    let seen = Arc::new(AtomicU32::new(0));
    let count = seen.clone();
    let fails = environment.source("Metered", Metered::new(i64::MAX, i64::MAX)).try_map(move |_| {
        if count.fetch_add(1, Ordering::SeqCst) == 0 {
            std::thread::sleep(ms(100));
            anyhow::bail!("poison");
        }
        Ok(0_i64)
    });
    collect(&fails);
    let job = environment.start("canceled and fails").expect("it starts");
    wait_for("a record", || seen.load(Ordering::SeqCst) > 0);
    job.cancel();
    assert_eq!(job.wait().expect("canceled").status, JobStatus::Canceled);
    assert_eq!(seen.load(Ordering::SeqCst), 1);
}

#[test]
fn a_job_of_a_slow_function_is_canceled_between_two_records() {
    for chained in [true, false] {
        let place = Place::new();
        let environment = place.environment();
        let numbers = environment.sequence(0, 10_000);
        let numbers = if chained { numbers } else { numbers.rebalance() };
        let seen = collect(&numbers.map(|number| {
            std::thread::sleep(ms(100));
            number
        }));
        let job = environment.start("slow").expect("it starts");
        wait_for("a batch", || logged("Triggering checkpoint").iter().any(|line| line.contains(job.job_id())));
        job.cancel();
        assert_eq!(job.wait().expect("canceled").status, JobStatus::Canceled);
        let count = locked(&seen).len();
        assert!(count < 100, "{count} records of a batch were taken");
    }
}

#[test]
fn a_job_goes_on_from_the_checkpoint_it_was_started_from_when_it_fails_before_its_own() {
    let place = Place::new();
    let program = |environment: &Environment, source: &Metered, poison: Arc<AtomicU32>| {
        let numbers = environment.source("Metered", source.clone()).uid("source").try_map(move |number| {
            let fails =
                number == 600 && poison.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
            anyhow::ensure!(!fails, "poison");
            Ok(number)
        });
        count(&numbers).sink_to_files(place.sink()).uid("sink");
    };
    let environment = place.environment();
    program(&environment, &Metered::new(1000, 500), Arc::default());
    let job = environment.start("first").expect("it starts");
    place.wait_for_checkpoints(3);
    job.cancel();
    let checkpoint = job.wait().expect("canceled").checkpoint.expect("retained");
    let environment = place.environment();
    environment
        .restart_strategy(RestartStrategy::FixedDelay { attempts: 2, delay: ms(1) })
        .restore_from(checkpoint)
        .checkpoints(|config| config.interval = Some(ms(3_600_000)));
    program(&environment, &Metered::new(1000, 1000), Arc::new(AtomicU32::new(2)));
    assert_eq!(environment.execute("second").expect("it finishes").restarts, 2);
    assert_counted_once(place.output(), 1000);
}
