//! Restores: at another parallelism, of other programs, and of snapshots that are not whole.

use super::jobs::{Metered, Place, assert_counted_once, children, collect, count, location, locked, wait_for, whole};
use chkctl::model::Location;
use chkctl::runtime::coordinator::SavepointFormat;
use chkctl::runtime::{
    Environment, KeyedContext, KeyedProcessFunction, StateRegistry, TimeDomain, ValueState, WindowAssigner,
};
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// Counts the records of a key and tells when a timer, far behind all records, fires.
#[derive(Clone)]
struct AtTheEnd(Option<ValueState<i64>>);

impl KeyedProcessFunction for AtTheEnd {
    type Key = i64;
    type In = i64;
    type Out = (i64, i64);

    fn open(&mut self, states: &mut StateRegistry<'_, i64>) -> anyhow::Result<()> {
        self.0 = Some(states.value("count")?);
        Ok(())
    }

    fn process(&mut self, number: i64, context: &mut KeyedContext<'_, i64, (i64, i64)>) -> anyhow::Result<()> {
        let state = self.0.clone().expect("open");
        let count = state.get(context).copied().unwrap_or(0);
        state.set(context, count + 1)?;
        // Only the first record registers one, so that it has to survive the restore.
        if number < 50 { context.register_timer(TimeDomain::EventTime, 1 << 40) } else { Ok(()) }
    }

    fn on_timer(&mut self, _: i64, context: &mut KeyedContext<'_, i64, (i64, i64)>) -> anyhow::Result<()> {
        let state = self.0.clone().expect("open");
        let result = (*context.key(), state.get(context).copied().unwrap_or(0));
        context.collect(result)
    }
}

type Results = Arc<Mutex<Vec<(i64, i64)>>>;

/// Counts into files, in windows, and with timers.
fn program(place: &Place, environment: &Environment, source: &Metered) -> (Results, Results) {
    let numbers = environment.source("Metered", source.clone()).uid("source");
    count(&numbers).sink_to_files(place.sink()).uid("sink");
    let timed = numbers.assign_timestamps(super::jobs::ms(1000), |number| *number);
    let ones = timed.map(|number| (number % 5, 1_i64)).key_by(|(key, _)| *key);
    let windows = ones.window(WindowAssigner::tumbling(super::jobs::ms(2000))).sum(|(_, count)| count).uid("windows");
    let timers = timed.key_by(|number| number % 50).process(AtTheEnd(None)).uid("timers");
    (collect(&windows), collect(&timers))
}

#[test]
fn a_checkpoint_of_any_parallelism_is_restored_at_any_other_with_exact_results() {
    for before in 1..=4 {
        let written = Place::new();
        let environment = written.environment();
        environment.parallelism(before).checkpoints(|config| config.in_line_threshold = before % 2 * 4096);
        let (windows, timers) = program(&written, &environment, &Metered::new(1000, 500));
        let job = environment.start("written").expect("it starts");
        written.wait_for_checkpoints(3);
        drop(job);
        assert!(locked(&windows).is_empty() && locked(&timers).is_empty());
        let checkpoint = written.latest();
        for after in 1..=4 {
            // Each has a copy of the output so far, for it commits files of its own.
            let place = Place::new();
            fs::create_dir(place.dir.join("output")).expect("a directory");
            for file in children(&written.dir.join("output")) {
                let name = file.file_name().expect("a name");
                fs::copy(&file, place.dir.join("output").join(name)).expect("a copy");
            }
            let environment = place.environment();
            environment.parallelism(after).restore_from(checkpoint.clone());
            let (windows, timers) = program(&place, &environment, &Metered::new(1000, 1000));
            environment.execute("restored").expect("it finishes");
            assert_counted_once(place.output(), 1000);
            let mut timers = locked(&timers).clone();
            timers.sort_unstable();
            assert_eq!(timers, (0..50).map(|key| (key, 20)).collect::<Vec<_>>(), "{before} to {after}");
            let mut windows = locked(&windows).clone();
            windows.sort_unstable();
            assert_eq!(windows, (0..5).map(|key| (key, 200)).collect::<Vec<_>>(), "{before} to {after}");
        }
    }
}

#[test]
fn state_that_changes_while_it_is_captured_is_restored_as_it_was_at_the_barrier() {
    const KEYS: i64 = 20_000;
    const ROUNDS: i64 = 20;
    let program = |environment: &Environment, source: &Metered| {
        let ones = environment.source("Metered", source.clone()).uid("source").map(|n| (n % KEYS, 1_i64));
        let counts = ones.key_by(|(key, _)| *key).sum(|(_, count)| count).uid("count");
        collect(&counts.filter(|(_, count)| *count <= 2 || *count >= ROUNDS))
    };
    for format in [None, Some(SavepointFormat::Canonical)] {
        let place = Place::new();
        let environment = place.environment();
        let source = Metered::new(i64::MAX, 2 * KEYS);
        let seen = program(&environment, &source);
        let job = environment.start("busy").expect("it starts");
        wait_for("state", || locked(&seen).len() == 40_000);
        // From here on records come without a pause, and change what is being captured.
        source.allow((ROUNDS - 5) * KEYS);
        let snapshot = match format {
            None => {
                place.wait_for_checkpoints(2);
                drop(job);
                place.latest()
            }
            Some(format) => job.savepoint(None, format).expect("a savepoint"),
        };
        let environment = place.environment();
        // Every key comes to the same count, whenever it was captured.
        let source = Metered::new(ROUNDS * KEYS, ROUNDS * KEYS);
        let after = program(&environment, &source);
        environment.restore_from(snapshot).execute("busy").expect("it finishes");
        let mut after = locked(&after).clone();
        after.retain(|(_, count)| *count > 2);
        after.sort_unstable();
        let wrong = after.iter().filter(|(_, count)| *count != ROUNDS).count();
        assert_eq!((after.len(), wrong), (20_000, 0));
        place.verify();
    }
}

/// A checkpoint of a job that counts with parallelism 2, in files.
fn written() -> (Place, Location) {
    let place = Place::new();
    let environment = place.environment();
    environment.parallelism(2).checkpoints(|config| config.in_line_threshold = 0);
    collect(&count(&environment.source("Metered", Metered::new(1000, 500)).uid("source")));
    let job = environment.start("written").expect("it starts");
    place.wait_for_checkpoints(3);
    drop(job);
    let checkpoint = place.latest();
    (place, checkpoint)
}

/// Restores with a program, and gives the error.
fn refused(place: &Place, checkpoint: &Location, program: impl Fn(&Environment)) -> String {
    let environment = place.environment();
    environment.parallelism(2).restore_from(checkpoint.clone());
    program(&environment);
    whole(environment.execute("refused"))
}

fn counting(environment: &Environment) {
    collect(&count(&environment.source("Metered", Metered::new(1000, 1000)).uid("source")));
}

#[test]
fn state_of_an_operator_that_is_gone_is_dropped_only_when_asked_to() {
    let (place, checkpoint) = written();
    let other = |environment: &Environment| {
        let numbers = environment.source("Metered", Metered::new(1000, 1000)).uid("source");
        collect(&numbers.map(|n| (n, n)).key_by(|(n, _)| *n).sum(|(_, n)| n).name("Other Sum").uid("other"))
    };
    let error = refused(&place, &checkpoint, |environment| _ = other(environment));
    let id = chkctl::model::OperatorId::from_uid("count").to_string();
    assert!(error.contains(&id), "it names the operator: {error}");
    for word in ["Cannot map checkpoint/savepoint state for operator", "'Other Sum' (uid 'other')", "'source'", "-n"] {
        assert!(error.contains(word), "{word}: {error}");
    }
    let environment = place.environment();
    environment.restore_from(checkpoint).allow_non_restored_state(true);
    let seen = other(&environment);
    environment.execute("dropped").expect("it finishes");
    assert_eq!(locked(&seen).len(), 500, "the source goes on where it was");
}

#[test]
fn another_number_of_key_groups_is_refused() {
    let (place, checkpoint) = written();
    let error = refused(&place, &checkpoint, |environment| {
        environment.max_parallelism(64);
        counting(environment);
    });
    assert!(error.contains("Max parallelism mismatch"), "{error}");
    assert!(error.contains("128") && error.contains("64"), "{error}");
    let error = refused(&place, &checkpoint, |environment| {
        environment.parallelism(129);
        counting(environment);
    });
    assert!(error.contains("parallelism 129") && error.contains("128 key groups"), "{error}");
}

#[test]
fn state_of_another_type_is_refused_and_both_types_are_named() {
    let (place, checkpoint) = written();
    let error = refused(&place, &checkpoint, |environment| {
        let numbers = environment.source("Metered", Metered::new(1000, 1000)).uid("source");
        let texts = numbers.map(|n| (n % 7, n.to_string())).key_by(|(key, _)| *key);
        collect(&texts.reduce(|into, (_, text)| into.1 += &text).uid("count"));
    });
    for word in ["'_op_state'", "must not be incompatible", "Long", "String"] {
        assert!(error.contains(word), "{word}: {error}");
    }
    let error = refused(&place, &checkpoint, |environment| {
        let numbers = environment.source("Metered", Metered::new(1000, 1000)).uid("source");
        let keyed = numbers.map(|n| (n % 7, 1_i64)).key_by(|(key, _)| key.to_string());
        collect(&keyed.sum(|(_, count)| count).uid("count"));
    });
    for word in ["key serializer must be compatible", "Long", "String"] {
        assert!(error.contains(word), "{word}: {error}");
    }
}

/// The state files of a checkpoint.
fn state_files(checkpoint: &Location) -> Vec<PathBuf> {
    let files = children(&PathBuf::from(checkpoint.to_string()));
    let mut files: Vec<PathBuf> = files.into_iter().filter(|file| !file.ends_with("_metadata")).collect();
    files.sort();
    assert_eq!(files.len(), 4, "two operators with two subtasks each");
    files
}

#[test]
fn a_state_file_that_is_missing_or_short_is_named_with_its_operator_before_anything_starts() {
    for damage in ["missing", "truncated"] {
        let (place, checkpoint) = written();
        for file in state_files(&checkpoint) {
            let bytes = fs::read(&file).expect("a file");
            let problem = if damage == "missing" {
                fs::remove_file(&file).expect("removed");
                "is missing".to_owned()
            } else {
                fs::write(&file, &bytes[..bytes.len() - 1]).expect("written");
                format!("has {} bytes, {} are needed", bytes.len() - 1, bytes.len())
            };
            let error = refused(&place, &checkpoint, counting);
            let name = file.file_name().expect("a name").to_string_lossy().into_owned();
            for word in [&name, &problem, "chkctl latest", "Failed to rollback", &checkpoint.to_string()] {
                assert!(error.contains(word), "{word}: {error}");
            }
            assert!(error.contains("'Source: Metered'") || error.contains("'Keyed Aggregation'"), "{error}");
            fs::write(&file, bytes).expect("repaired");
        }
        for file in state_files(&checkpoint) {
            fs::remove_file(&file).expect("removed");
        }
        let error = refused(&place, &checkpoint, counting);
        assert!(error.contains("and 3 more") && error.contains("chkctl verify"), "{error}");
    }
}

#[test]
fn a_state_file_with_wrong_bytes_fails_the_restore_or_the_job_but_never_panics() {
    let (place, checkpoint) = written();
    for file in state_files(&checkpoint) {
        let bytes = fs::read(&file).expect("a file");
        for at in (0..bytes.len()).step_by(bytes.len() / 12 + 1) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0xFF;
            fs::write(&file, &damaged).expect("written");
            let environment = place.environment();
            environment.parallelism(2).restore_from(checkpoint.clone());
            counting(&environment);
            let error = environment.execute("damaged").err().map(|error| format!("{error:#}")).unwrap_or_default();
            assert!(!error.contains("panicked"), "byte {at} of {}: {error}", file.display());
        }
        fs::write(&file, bytes).expect("repaired");
    }
}

#[test]
fn a_snapshot_that_is_not_there_or_cannot_be_read_is_explained() {
    let (place, checkpoint) = written();
    let nowhere = location(&place.dir.join("nowhere"));
    let error = refused(&place, &nowhere, counting);
    assert!(error.contains("there is no checkpoint or savepoint") && error.contains("chkctl list"), "{error}");
    let metadata = PathBuf::from(checkpoint.to_string()).join("_metadata");
    let bytes = fs::read(&metadata).expect("a file");
    for (damaged, word) in
        [(&bytes[..bytes.len() / 2], "cannot be read"), (&b"not this"[..], "cannot be read"), (b"", "cannot be read")]
    {
        fs::write(&metadata, damaged).expect("written");
        let error = refused(&place, &checkpoint, counting);
        assert!(error.contains(word) && error.contains("_metadata"), "{error}");
    }
    fs::write(&metadata, bytes).expect("repaired");
    let environment = place.environment();
    environment.restore_from(location(&metadata));
    counting(&environment);
    environment.execute("by its file").expect("the _metadata stands for its directory");
}
