//! Savepoints on request, and jobs that are stopped with one.

use super::jobs::{
    Gate, Hanging, Metered, Place, assert_counted_once, children, collect, count, locked, ms, wait_for, whole,
};
use chkctl::model::Location;
use chkctl::runtime::coordinator::{Retention, SavepointFormat};
use chkctl::runtime::restart::RestartStrategy;
use chkctl::runtime::{
    Environment, JobStatus, KeyedContext, KeyedProcessFunction, StateRegistry, TimeDomain, ValueState, WindowAssigner,
};
use std::sync::{Arc, Mutex};

const FORMATS: [SavepointFormat; 2] = [SavepointFormat::Canonical, SavepointFormat::Native];

/// Counts into files.
fn counting(place: &Place, environment: &Environment, source: &Metered) {
    count(&environment.source("Metered", source.clone()).uid("source")).sink_to_files(place.sink()).uid("sink");
}

#[test]
fn savepoints_are_taken_while_checkpoints_go_on_and_a_job_goes_on_from_each() {
    for format in FORMATS {
        let place = Place::new();
        let environment = place.environment();
        environment.parallelism(2);
        let source = Metered::new(2000, 500);
        counting(&place, &environment, &source);
        let job = environment.start("savepoint").expect("it starts");
        place.wait_for_checkpoints(2);
        source.allow(900);
        let first = job.savepoint(None, format).expect("a savepoint");
        let elsewhere = super::jobs::location(&place.dir.join("elsewhere"));
        let second = job.savepoint(Some(elsewhere.clone()), format).expect("a savepoint");
        assert_eq!(second.parent(), Some(elsewhere));
        place.wait_for_checkpoints(2);
        source.allow(2000);
        assert_eq!(job.wait().expect("it finishes").status, JobStatus::Finished);
        assert_counted_once(place.output(), 2000);
        let names: Vec<String> =
            place.verify().iter().map(|report| report.description.clone().unwrap_or_default()).collect();
        let wanted = if format == SavepointFormat::Native { "native" } else { "canonical" };
        assert!(names.iter().any(|name| name.contains(wanted)), "{names:?}");
        for savepoint in [first, second] {
            let environment = place.environment();
            environment.parallelism(2);
            let seen = collect(&count(&environment.source("Metered", Metered::new(2000, 2000)).uid("source")));
            // Without the sink: its files have been given to somebody else.
            environment.restore_from(savepoint).allow_non_restored_state(true).execute("again").expect("it finishes");
            assert_eq!(locked(&seen).iter().map(|(_, count)| *count).max(), Some(286), "{format:?}");
        }
    }
}

#[test]
fn a_savepoint_that_nobody_restores_changes_nothing_for_the_sink() {
    let place = Place::new();
    let environment = place.environment();
    environment
        .checkpoints(|config| config.interval = Some(std::time::Duration::from_secs(3600)))
        .restart_strategy(RestartStrategy::FixedDelay { attempts: 1, delay: ms(1) });
    let source = Metered::new(1000, 400);
    let poisoned = Arc::new(Mutex::new(true));
    let numbers = environment.source("Metered", source.clone()).uid("source").try_map(move |number| {
        anyhow::ensure!(number < 500 || !std::mem::take(&mut *locked(&poisoned)), "poison");
        Ok(number)
    });
    let seen = collect(&numbers);
    count(&numbers).sink_to_files(place.sink()).uid("sink");
    let job = environment.start("side effects").expect("it starts");
    wait_for("some records", || locked(&seen).len() == 400);
    // Records may flow before the job knows that all tasks run.
    wait_for("a savepoint", || job.savepoint(None, SavepointFormat::Native).is_ok());
    source.allow(1000);
    assert_eq!(job.wait().expect("it finishes").restarts, 1);
    assert_counted_once(place.output(), 1000);
}

/// Counts in windows of 100 ms of event time and remembers a timer behind all of them.
fn windows(environment: &Environment, source: &Metered) -> Arc<Mutex<Vec<(i64, i64)>>> {
    environment.set_watermark_interval(ms(1));
    let numbers = environment.source("Metered", source.clone()).uid("source");
    let timed = numbers.assign_timestamps(ms(0), |number| *number);
    let keyed = timed.map(|number| (number % 2, 1_i64)).key_by(|(key, _)| *key);
    collect(&keyed.window(WindowAssigner::tumbling(ms(100))).sum(|(_, count)| count).uid("window"))
}

#[test]
fn without_a_drain_a_stopped_job_goes_on_exactly_where_it_was() {
    for format in FORMATS {
        let place = Place::new();
        let environment = place.environment();
        environment.parallelism(2);
        let source = Metered::new(1000, 450);
        let seen = windows(&environment, &source);
        let job = environment.start("stop").expect("it starts");
        wait_for("windows", || locked(&seen).len() >= 6);
        let savepoint = job.stop_with_savepoint(None, format, false).expect("a savepoint");
        let outcome = job.wait().expect("it finishes");
        assert_eq!((outcome.status, outcome.savepoint.as_ref()), (JobStatus::Finished, Some(&savepoint)));
        assert_eq!(place.verify().len(), 1, "checkpoints go, the savepoint stays");
        assert!(locked(&seen).len() <= 8, "no window fired that was not over");
        let environment = place.environment();
        let before = locked(&seen).len();
        let after = windows(&environment, &Metered::new(1000, 1000));
        environment.parallelism(2).restore_from(savepoint).execute("stop").expect("it finishes");
        assert_eq!(before + locked(&after).len(), 20, "{format:?}");
        assert!(locked(&after).iter().all(|(_, count)| *count == 50), "{:?}", locked(&after));
    }
}

#[test]
fn with_a_drain_all_windows_fire_before_the_savepoint() {
    let place = Place::new();
    let environment = place.environment();
    environment.parallelism(2);
    let source = Metered::new(1000, 450);
    let seen = windows(&environment, &source);
    let job = environment.start("drain").expect("it starts");
    wait_for("windows", || locked(&seen).len() >= 6);
    job.stop_with_savepoint(None, SavepointFormat::Canonical, true).expect("a savepoint");
    assert_eq!(job.wait().expect("it finishes").status, JobStatus::Finished);
    assert_eq!(locked(&seen).len(), 10);
    assert_eq!(locked(&seen).iter().map(|(_, count)| count).sum::<i64>(), 450);
    place.verify();
}

#[test]
fn output_of_a_stopped_job_and_of_the_one_that_goes_on_is_exact_together() {
    for format in FORMATS {
        let place = Place::new();
        let mut savepoint: Option<Location> = None;
        for round in 1..=4 {
            let environment = place.environment();
            environment.parallelism(round % 3 + 1);
            let limit = 700 * i64::try_from(round).expect("small");
            let source = Metered::new(2800, limit);
            counting(&place, &environment, &source);
            if let Some(savepoint) = savepoint.take() {
                environment.restore_from(savepoint);
            }
            let job = environment.start("rounds").expect("it starts");
            // The last comes to its end by itself, which may be before its first checkpoint.
            if round < 4 {
                place.wait_for_checkpoints(1);
            }
            savepoint = (round < 4).then(|| job.stop_with_savepoint(None, format, false).expect("a savepoint"));
            job.wait().expect("it finishes");
            place.verify();
        }
        assert_counted_once(place.output(), 2800);
        assert!(place.uncommitted().is_empty());
    }
}

/// Emits a record each 10 ms for a key, by a timer that registers the next one.
#[derive(Clone)]
struct Metronome(Option<ValueState<i64>>);

impl KeyedProcessFunction for Metronome {
    type Key = i64;
    type In = i64;
    type Out = (i64, i64);

    fn open(&mut self, states: &mut StateRegistry<'_, i64>) -> anyhow::Result<()> {
        self.0 = Some(states.value("beats")?);
        Ok(())
    }

    fn process(&mut self, _: i64, context: &mut KeyedContext<'_, i64, (i64, i64)>) -> anyhow::Result<()> {
        let now = context.processing_time();
        context.register_timer(TimeDomain::ProcessingTime, now)
    }

    fn on_timer(&mut self, time: i64, context: &mut KeyedContext<'_, i64, (i64, i64)>) -> anyhow::Result<()> {
        let state = self.0.clone().expect("open");
        let beats = state.get(context).copied().unwrap_or(0) + 1;
        state.set(context, beats)?;
        context.register_timer(TimeDomain::ProcessingTime, time + 10)?;
        let key = *context.key();
        context.collect((key, beats))
    }
}

#[test]
fn timers_of_processing_time_do_not_fire_between_the_savepoint_and_the_end() {
    let place = Place::new();
    let storage = Arc::new(Hanging::default());
    let mut savepoint: Option<Location> = None;
    for _ in 0..4 {
        let environment = place.environment();
        environment.storage(storage.clone()).checkpoints(|config| config.in_line_threshold = 0);
        let numbers = environment.source("Metered", Metered::new(i64::MAX, 3)).uid("source");
        numbers.key_by(|number| *number).process(Metronome(None)).uid("beats").sink_to_files(place.sink()).uid("sink");
        if let Some(savepoint) = savepoint.take() {
            environment.restore_from(savepoint);
        }
        let job = environment.start("beats").expect("it starts");
        place.wait_for_checkpoints(2);
        storage.gate.close();
        savepoint = Some(std::thread::scope(|scope| {
            let stopping = scope.spawn(|| job.stop_with_savepoint(None, SavepointFormat::Native, false));
            std::thread::sleep(ms(100));
            storage.gate.open();
            stopping.join().expect("no panic").expect("a savepoint")
        }));
        job.wait().expect("it finishes");
    }
    let mut lines = place.output();
    lines.sort();
    let all = lines.len();
    lines.dedup();
    assert_eq!(lines.len(), all, "no beat is told of twice");
}

#[test]
fn a_source_reads_nothing_behind_the_savepoint_that_stops_it() {
    let place = Place::new();
    let storage = Arc::new(Hanging::default());
    let environment = place.environment();
    environment.storage(storage.clone()).checkpoints(|config| config.in_line_threshold = 0);
    let source = Metered::new(1000, 500);
    counting(&place, &environment, &source);
    let job = environment.start("reads on").expect("it starts");
    place.wait_for_checkpoints(1);
    storage.gate.close();
    let savepoint = std::thread::scope(|scope| {
        let stopping = scope.spawn(|| job.stop_with_savepoint(None, SavepointFormat::Native, false));
        std::thread::sleep(ms(100));
        source.allow(1000);
        std::thread::sleep(ms(50));
        storage.gate.open();
        stopping.join().expect("no panic").expect("a savepoint")
    });
    job.wait().expect("it finishes");
    let environment = place.environment();
    counting(&place, &environment, &Metered::new(1000, 1000));
    environment.restore_from(savepoint).execute("goes on").expect("it finishes");
    assert_counted_once(place.output(), 1000);
}

#[test]
fn a_stop_whose_savepoint_expires_fails_the_attempt_since_its_sources_have_stopped() {
    let place = Place::new();
    let storage = Arc::new(Hanging::default());
    let environment = place.environment();
    environment
        .storage(storage.clone())
        .restart_strategy(RestartStrategy::FixedDelay { attempts: 1, delay: ms(1) })
        .checkpoints(|config| {
            (config.timeout, config.in_line_threshold, config.tolerable_failures) = (ms(200), 0, u32::MAX);
        });
    let source = Metered::new(1000, 500);
    counting(&place, &environment, &source);
    let job = environment.start("expires").expect("it starts");
    place.wait_for_checkpoints(1);
    storage.gate.close();
    let error = std::thread::scope(|scope| {
        let stopping = scope.spawn(|| job.stop_with_savepoint(None, SavepointFormat::Native, false));
        std::thread::sleep(ms(400));
        storage.gate.open();
        whole(stopping.join().expect("no panic"))
    });
    assert!(error.contains("expired"), "{error}");
    source.allow(1000);
    assert_eq!(job.wait().expect("it goes on and finishes").restarts, 1);
    assert_counted_once(place.output(), 1000);
    assert!(children(&place.savepoints()).is_empty(), "nothing is left of it");
}

#[test]
fn a_job_that_cannot_stop_after_its_savepoint_fails_and_names_the_savepoint() {
    use chkctl::storage::LocalStorage;
    use chkctl::storage::faulty::{Fault, FaultyStorage, Operation};
    let place = Place::new();
    let environment = place.environment();
    environment
        .restart_strategy(RestartStrategy::FixedDelay { attempts: 5, delay: ms(1) })
        .checkpoints(|config| config.interval = Some(std::time::Duration::from_secs(3600)));
    let output = Arc::new(FaultyStorage::new(LocalStorage).with(Fault::on(&[Operation::Rename]).nth(1)));
    let source = Metered::new(1000, 500);
    let counted = count(&environment.source("Metered", source).uid("source"));
    let seen = collect(&counted);
    counted.sink_to_files(place.sink().storage(output)).uid("sink");
    let job = environment.start("cannot commit").expect("it starts");
    wait_for("records", || locked(&seen).len() == 500);
    wait_for("all tasks", || job.savepoint(None, SavepointFormat::Native).is_ok());
    let savepoint = job.stop_with_savepoint(None, SavepointFormat::Native, false).expect("a savepoint");
    wait_for("its end", || job.is_finished());
    let error = whole(job.wait());
    assert!(error.contains(&savepoint.to_string()), "{error}");
    let environment = place.environment();
    counting(&place, &environment, &Metered::new(1000, 1000));
    environment.restore_from(savepoint).execute("goes on").expect("it finishes");
    assert_counted_once(place.output(), 1000);
}

#[test]
fn a_savepoint_that_cannot_be_is_refused_with_the_reason() {
    let place = Place::new();
    let (environment, gate) = (place.environment(), Gate::default());
    environment
        .checkpoints(|config| (config.savepoint_directory, config.retention) = (None, Retention::NoExternalized));
    let source = Metered::new(1000, 500);
    counting(&place, &environment, &source);
    let job = environment.start("refused").expect("it starts");
    place.wait_for_checkpoints(1);
    let error = whole(job.savepoint(None, SavepointFormat::Native));
    assert!(error.contains("No savepoint directory configured"), "{error}");
    gate.pass();
    source.allow(1000);
    wait_for("the end", || job.is_finished());
    let error = whole(job.savepoint(None, SavepointFormat::Native));
    assert!(error.contains("the job ended before the savepoint was complete"), "{error}");
    job.wait().expect("it finishes");
}
