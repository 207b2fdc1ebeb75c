//! A storage that fails at each of its writes in turn: the job goes on, nothing is lost or counted twice, and whatever
//! it calls a checkpoint can be restored.

use super::jobs::{Metered, Place, assert_counted_once, count, ms, wait_for, whole};
use chkctl::runtime::restart::RestartStrategy;
use chkctl::runtime::{Environment, JobStatus};
use chkctl::storage::faulty::{Effect, Fault, FaultyStorage, Operation};
use chkctl::storage::{LocalStorage, StorageErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

type Faulty = Arc<FaultyStorage<LocalStorage>>;

const TOTAL: i64 = 800;
const STEP: i64 = 100;
const OTHER: StorageErrorKind = StorageErrorKind::Other;

fn program(place: &Place, environment: &Environment, source: &Metered, storage: Option<&Faulty>) {
    environment.checkpoints(|config| {
        (config.interval, config.in_line_threshold, config.num_retained) = (Some(ms(10)), 0, 2);
    });
    let sink = match storage {
        Some(storage) => place.sink().storage(storage.clone()),
        None => place.sink(),
    };
    count(&environment.source("Metered", source.clone()).uid("source")).sink_to_files(sink).uid("sink");
}

/// Runs the job through some checkpoints on a storage with faults, cancels it, and lets it go on without faults.
/// Gives the number of restarts; an error where the job did not even start.
fn run(storage: &Faulty, tolerable: u32) -> anyhow::Result<u32> {
    let place = Place::new();
    let environment = place.environment();
    let source = Metered::new(TOTAL, STEP);
    program(&place, &environment, &source, Some(storage));
    environment
        .storage(storage.clone())
        .restart_strategy(RestartStrategy::FixedDelay { attempts: 10, delay: ms(1) })
        .checkpoints(|config| config.tolerable_failures = tolerable);
    let job = environment.start("faults")?;
    for step in 1..=5 {
        let before = place.newest();
        source.allow(step * STEP);
        wait_for("a checkpoint", || place.newest() > before || job.is_finished());
    }
    job.cancel();
    let outcome = job.wait().expect("the job survives");
    assert_eq!(outcome.status, JobStatus::Canceled);
    assert!(place.verify().len() >= 2, "the checkpoints that are retained");
    let environment = place.environment();
    program(&place, &environment, &Metered::new(TOTAL, TOTAL), None);
    environment.restore_from(place.latest()).execute("without faults").expect("it finishes");
    assert_counted_once(place.output(), TOTAL);
    assert!(place.uncommitted().is_empty(), "{:?}", place.uncommitted());
    Ok(outcome.restarts)
}

#[test]
fn each_write_may_fail_in_each_way_and_nothing_is_lost_or_counted_twice() {
    let calm: Faulty = Arc::new(FaultyStorage::new(LocalStorage));
    assert_eq!(run(&calm, 0).expect("it starts"), 0);
    let writes = calm.writes();
    // A runtime replaces nothing, gives no second names, and makes each file durable when it is finished.
    let not_done = [Operation::Replace, Operation::Link, Operation::SyncFiles];
    for operation in Operation::WRITES.iter().filter(|operation| !not_done.contains(operation)) {
        assert!(writes.iter().any(|(done, _)| done == operation), "{operation:?} is not done");
    }
    // Setting out, and a round of everything that happens again and again.
    let cases: Vec<(usize, Effect, u32)> = (1..=writes.len().min(75))
        .flat_map(|n| {
            let effects = [Effect::Fail(OTHER), Effect::FailAfter(OTHER), Effect::Tear(OTHER)];
            let chosen = if n <= 45 { &effects[..] } else { &effects[n % 3..n % 3 + 1] };
            chosen.iter().map(move |effect| (n, *effect, if n % 2 == 0 { 0 } else { u32::MAX })).collect::<Vec<_>>()
        })
        .collect();
    let next = AtomicU64::new(0);
    let restarts = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while let Some((n, effect, tolerable)) =
                    cases.get(usize::try_from(next.fetch_add(1, Ordering::SeqCst)).expect("small"))
                {
                    let fault = Fault::on(Operation::WRITES).nth(*n as u64).with_effect(*effect);
                    println!("write {n}: {effect:?}, tolerable failures {tolerable}");
                    let storage = Arc::new(FaultyStorage::new(LocalStorage).with(fault));
                    match run(&storage, *tolerable) {
                        Ok(count) => _ = restarts.fetch_add(count.into(), Ordering::SeqCst),
                        Err(error) => {
                            let writes = storage.writes();
                            let error = whole::<()>(Err(error));
                            assert!(error.contains("injected fault") && writes.len() <= 4, "{error} {writes:?}");
                        }
                    }
                }
            });
        }
    });
    assert!(restarts.load(Ordering::SeqCst) > 0, "some of it cannot be tolerated");
}

/// Runs the job on a storage that is gone for good after a write, as for a process that dies there, and then again
/// from what is left.
fn crash(n: u64) {
    let place = Place::new();
    let storage = Arc::new(FaultyStorage::new(LocalStorage));
    storage.inject(Fault::on(Operation::WRITES).nth(n).with_effect(Effect::Crash));
    let environment = place.environment();
    let source = Metered::new(TOTAL, STEP);
    program(&place, &environment, &source, Some(&storage));
    environment.storage(storage.clone());
    if let Ok(job) = environment.start("crash") {
        for step in 1..=5 {
            let before = place.newest();
            source.allow(step * STEP);
            wait_for("a checkpoint", || place.newest() > before || job.is_finished());
        }
        job.cancel();
        // It fails, or the crash was to come later.
        let _ = job.wait();
    }
    let environment = place.environment();
    program(&place, &environment, &Metered::new(TOTAL, TOTAL), None);
    if let Some(newest) = place.verify().first() {
        environment.restore_from(newest.path.clone());
    }
    environment.execute("after the crash").expect("it finishes");
    assert_counted_once(place.output(), TOTAL);
    assert!(place.uncommitted().is_empty(), "{:?}", place.uncommitted());
}

#[test]
fn a_process_may_end_at_each_write_and_what_is_left_is_restored_exactly() {
    let next = AtomicU64::new(1);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while let Some(n) = Some(next.fetch_add(1, Ordering::SeqCst)).filter(|n| *n <= 90) {
                    println!("crash at write {n}");
                    crash(n);
                }
            });
        }
    });
}

#[test]
fn a_checkpoint_that_cannot_be_read_back_is_one_more_failure_of_the_job() {
    let place = Place::new();
    let environment = place.environment();
    let storage: Faulty = Arc::new(FaultyStorage::new(LocalStorage).with(Fault::on(&[Operation::Read]).nth(1)));
    let source = Metered::new(TOTAL, STEP);
    let failures = Arc::new(AtomicU64::new(1));
    let numbers = environment.source("Metered", source.clone()).uid("source").try_map(move |number| {
        let fails =
            number == 150 && failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
        anyhow::ensure!(!fails, "poison");
        Ok(number)
    });
    count(&numbers).sink_to_files(place.sink()).uid("sink");
    environment.storage(storage.clone()).restart_strategy(RestartStrategy::FixedDelay { attempts: 2, delay: ms(1) });
    let job = environment.start("unreadable").expect("it starts");
    place.wait_for_checkpoints(2);
    source.allow(TOTAL);
    assert_eq!(job.wait().expect("it finishes").restarts, 2);
    assert_counted_once(place.output(), TOTAL);
}

#[test]
fn the_last_checkpoint_of_a_job_is_taken_again_when_it_fails_and_that_is_tolerable() {
    let place = Place::new();
    let environment = place.environment();
    let storage: Faulty = Arc::new(FaultyStorage::new(LocalStorage).with(Fault::on(&[Operation::Publish]).nth(1)));
    let source = Metered::new(TOTAL, TOTAL);
    program(&place, &environment, &source, None);
    environment
        .storage(storage)
        .checkpoints(|config| (config.interval, config.tolerable_failures) = (Some(ms(500)), 1));
    assert_eq!(environment.execute("last").expect("it finishes").restarts, 0);
    assert_counted_once(place.output(), TOTAL);
}
