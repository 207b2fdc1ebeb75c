//! What programs can be made of: transformations, state, timers, windows, types of the user.

use super::jobs::{KEYS, Metered, Place, collect, count, locked, ms, whole};
use chkctl::runtime::{
    DataStream, Emitter, Environment, KeyedContext, KeyedProcessFunction, ListState, MapState, Poll, ReducingState,
    Source, SourceContext, Split, StateRegistry, TimeDomain, ValueState, WindowAssigner,
};
use chkctl::state::{UserKey, UserType};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

fn sorted<T: Ord + Clone>(values: &std::sync::Mutex<Vec<T>>) -> Vec<T> {
    let mut values = locked(values).clone();
    values.sort();
    values
}

#[test]
fn a_program_gives_the_same_with_any_parallelism_and_chaining() {
    let mut expected: Vec<(i64, i64)> =
        (0..3000_i64).flat_map(|n| [2 * n, 2 * n + 1]).filter(|n| n % 3 != 0).map(|n| (n % KEYS, 1)).collect();
    expected.sort_unstable();
    let mut counts = BTreeMap::new();
    for (key, one) in &mut expected {
        let count = counts.entry(*key).or_insert(0);
        *count += *one;
        *one = *count;
    }
    for parallelism in 1..=4 {
        for chaining in [true, false] {
            let environment = Environment::new();
            environment.parallelism(parallelism);
            if !chaining {
                environment.disable_chaining();
            }
            let numbers = environment.sequence(0, 3000).flat_map(|n, out| {
                out.collect(2 * n)?;
                out.collect(2 * n + 1)
            });
            let seen = collect(&count(&numbers.filter(|n| n % 3 != 0)));
            environment.execute("same").expect("it finishes");
            assert_eq!(sorted(&seen), expected, "parallelism {parallelism}, chaining {chaining}");
        }
    }
}

#[test]
fn unions_rebalancing_and_broadcasts_give_each_record_where_it_belongs() {
    for parallelism in 1..=4_i64 {
        let subtasks = usize::try_from(parallelism).expect("small");
        let environment = Environment::new();
        environment.parallelism(subtasks);
        let (low, high) = (environment.sequence(0, 100), environment.sequence(100, 200));
        let all = low.union(&[high.clone(), environment.collection(200..300_i64)]);
        let united = collect(&all);
        let twice = collect(&low.union(std::slice::from_ref(&low)));
        let rebalanced = collect(&all.clone().rebalance().map(|n| n));
        let everywhere = collect(&low.clone().broadcast().map(|n| n));
        let mixed = collect(&low.clone().broadcast().union(&[high]));
        let one_to_many = collect(&environment.sequence(0, 50).parallelism(1).map(|n| n));
        environment.execute("routes").expect("it finishes");
        let copies =
            |range: std::ops::Range<i64>, n: i64| range.flat_map(move |x| (0..n).map(move |_| x)).collect::<Vec<i64>>();
        assert_eq!(sorted(&united), copies(0..300, 1));
        assert_eq!(sorted(&twice), copies(0..100, 2));
        assert_eq!(sorted(&rebalanced), copies(0..300, 1));
        assert_eq!(sorted(&everywhere), copies(0..100, parallelism));
        let expected: Vec<i64> = copies(0..100, parallelism).into_iter().chain(100..200).collect();
        assert_eq!(sorted(&mixed), expected, "a broadcast stays one in a union");
        assert_eq!(sorted(&one_to_many), copies(0..50, 1));
    }
}

#[test]
fn rebalancing_keeps_no_subtask_idle() {
    let environment = Environment::new();
    let subtasks = environment.sequence(0, 100).rebalance().map({
        let mut seen = 0;
        move |_| {
            seen += 1;
            seen
        }
    });
    let seen = collect(&subtasks.parallelism(4));
    environment.execute("even").expect("it finishes");
    assert_eq!(locked(&seen).iter().filter(|count| **count == 25).count(), 4, "each of four has had 25");
}

/// Uses every kind of state, and both kinds of timers.
#[derive(Clone, Default)]
struct Everything(Option<States>);

#[derive(Clone)]
struct States {
    sum: ValueState<f64>,
    list: ListState<i64>,
    map: MapState<String, i64>,
    most: ReducingState<i64>,
}

impl KeyedProcessFunction for Everything {
    type Key = String;
    type In = i64;
    type Out = String;

    fn open(&mut self, states: &mut StateRegistry<'_, String>) -> anyhow::Result<()> {
        self.0 = Some(States {
            sum: states.value("sum")?,
            list: states.list("list")?,
            map: states.map("map")?,
            most: states.reducing("most", |into: &mut i64, value| *into = (*into).max(value))?,
        });
        let twice = states.value::<i64>("sum").err().map(|error| error.to_string()).unwrap_or_default();
        anyhow::ensure!(twice.contains("two states"), "a name stands for one state: {twice}");
        Ok(())
    }

    fn process(&mut self, number: i64, context: &mut KeyedContext<'_, String, String>) -> anyhow::Result<()> {
        let States { sum, list, map, most } = self.0.clone().expect("open");
        let so_far = sum.get(context).copied().unwrap_or(0.5);
        sum.set(context, so_far + number as f64)?;
        list.add(context, number)?;
        if list.get(context).len() > 3 {
            let last = list.get(context)[2..].to_vec();
            list.update(context, last)?;
        }
        map.put(context, format!("bit {}", number % 2), number)?;
        if number % 10 == 9 {
            map.remove(context, &"bit 1".to_owned())?;
        }
        most.add(context, number % 100)?;
        context.register_timer(TimeDomain::EventTime, 1_000_000)?;
        context.register_timer(TimeDomain::EventTime, 1_000_000)?;
        context.register_timer(TimeDomain::EventTime, 500_000 + number)?;
        context.delete_timer(TimeDomain::EventTime, 500_000 + number)?;
        let now = context.processing_time();
        context.register_timer(TimeDomain::ProcessingTime, now - 1)
    }

    fn on_timer(&mut self, time: i64, context: &mut KeyedContext<'_, String, String>) -> anyhow::Result<()> {
        let States { sum, list, map, most } = self.0.clone().expect("open");
        if context.time_domain() == TimeDomain::ProcessingTime {
            return context.collect("tick".to_owned());
        }
        assert_eq!((time, context.timestamp()), (1_000_000, Some(1_000_000)));
        let (key, sum_now, most_now) = (context.key().clone(), sum.get(context).copied(), most.get(context).copied());
        let list_now = list.get(context).to_vec();
        let mut entries: Vec<_> = map.entries(context).map(|m| m.clone().into_iter().collect()).unwrap_or_default();
        entries.sort();
        context.collect(format!("{key} {sum_now:?} {list_now:?} {entries:?} {most_now:?}"))?;
        sum.clear(context)?;
        list.clear(context)?;
        map.clear(context)?;
        most.clear(context)?;
        assert!(sum.get(context).is_none() && list.get(context).is_empty());
        Ok(())
    }
}

#[test]
fn functions_keep_all_kinds_of_state_and_both_kinds_of_timers_also_over_a_restore() {
    let program = |environment: &Environment, source: &Metered| {
        // One subtask only, so that the records of a key keep their order.
        let numbers = environment.source("Metered", source.clone()).uid("source").parallelism(1);
        let numbers = numbers.assign_timestamps(ms(0), |n| *n).parallelism(1);
        collect(&numbers.key_by(|n| format!("key {}", n % 3)).process(Everything::default()).uid("all"))
    };
    let expected = |total: i64| {
        let line = |key: i64| {
            let numbers: Vec<i64> = (0..total).filter(|n| n % 3 == key).collect();
            let mut list = Vec::new();
            let mut map = BTreeMap::new();
            for number in &numbers {
                list.push(*number);
                if list.len() > 3 {
                    list.drain(..2);
                }
                map.insert(format!("bit {}", number % 2), *number);
                if number % 10 == 9 {
                    map.remove("bit 1");
                }
            }
            let sum = numbers.iter().sum::<i64>() as f64 + 0.5;
            let map: Vec<_> = map.into_iter().collect();
            format!("key {key} {:?} {list:?} {map:?} {:?}", Some(sum), numbers.iter().map(|n| n % 100).max())
        };
        (0..3).map(line).collect::<Vec<String>>()
    };
    for (before, after) in [(1, 1), (2, 3), (3, 2)] {
        let place = Place::new();
        let environment = place.environment();
        environment.parallelism(before);
        let seen = program(&environment, &Metered::new(1000, 500));
        let job = environment.start("everything").expect("it starts");
        super::jobs::wait_for("ticks", || locked(&seen).iter().any(|line| line == "tick"));
        place.wait_for_checkpoints(3);
        drop(job);
        assert!(locked(&seen).iter().all(|line| line == "tick"), "no timer of event time has fired");
        let environment = place.environment();
        environment.parallelism(after).restore_from(place.latest());
        let seen = program(&environment, &Metered::new(1000, 1000));
        environment.execute("everything").expect("it finishes");
        let mut lines = sorted(&seen);
        lines.retain(|line| line != "tick");
        assert_eq!(lines, expected(1000));
    }
}

/// Emits times one by one, with a pause in which the watermark catches up.
#[derive(Clone)]
struct Slowly(Vec<i64>);

impl Source for Slowly {
    type Item = i64;

    fn open(&mut self, _: &SourceContext) -> anyhow::Result<()> {
        self.0.reverse();
        Ok(())
    }

    fn poll(&mut self, out: &mut Emitter<'_, i64>) -> anyhow::Result<Poll> {
        let Some(time) = self.0.pop() else { return Ok(Poll::Finished) };
        out.collect(time)?;
        std::thread::sleep(ms(25));
        Ok(Poll::More)
    }

    fn splits(&self) -> Vec<Split> {
        Vec::new()
    }
}

fn windowed(assigner: WindowAssigner, times: &[i64]) -> Vec<(i64, i64)> {
    let environment = Environment::new();
    environment.set_watermark_interval(ms(1));
    let timed = environment.source("Slowly", Slowly(times.to_vec())).assign_timestamps(ms(0), |time| *time);
    let keyed = timed.key_by(|_| 0_i64);
    let seen = collect(
        &keyed
            .window(assigner)
            .process(|_, window, times: Vec<i64>, out| out.collect((window.start, times.iter().sum::<i64>()))),
    );
    environment.buffer_timeout(ms(1)).execute("windows").expect("it finishes");
    sorted(&seen)
}

#[test]
fn records_that_are_late_for_their_window_are_dropped_and_others_are_not() {
    let tumbling = WindowAssigner::tumbling(ms(100));
    assert_eq!(windowed(tumbling, &[10, 90, 50, 130, 70, 120, 250]), [(0, 150), (100, 250), (200, 250)]);
    let sliding = WindowAssigner::sliding(ms(100), ms(50));
    // 70 is late for the window from 0 on, but not for the one from 50 on.
    assert_eq!(windowed(sliding, &[10, 130, 70]), [(-50, 10), (0, 10), (50, 200), (100, 130)]);
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
enum Colour {
    Red,
    Mixed { parts: Vec<(String, u8)> },
}

impl UserType for Colour {}
impl UserKey for Colour {}

fn colour(number: i64) -> Colour {
    match number % 4 {
        0 => Colour::Red,
        n => Colour::Mixed { parts: vec![("blue".repeat(usize::try_from(n).unwrap_or(1)), 7)] },
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Tally {
    colour: Colour,
    count: u64,
    share: f32,
}

impl UserType for Tally {}

#[test]
fn types_of_the_user_are_state_and_keys() {
    let program = |environment: &Environment, source: &Metered| {
        let numbers = environment.source("Metered", source.clone()).uid("source");
        let tallies = numbers.map(|n| Tally { colour: colour(n), count: 1, share: 0.25 });
        let summed = tallies.key_by(|tally| tally.colour.clone()).reduce(|into, tally| {
            into.count += tally.count;
            into.share += tally.share;
        });
        collect(&summed.uid("tallies"))
    };
    let place = Place::new();
    let environment = place.environment();
    environment.parallelism(3);
    program(&environment, &Metered::new(400, 200));
    let job = environment.start("colours").expect("it starts");
    place.wait_for_checkpoints(3);
    drop(job);
    let environment = place.environment();
    environment.parallelism(2).restore_from(place.latest());
    let seen = program(&environment, &Metered::new(400, 400));
    environment.execute("colours").expect("it finishes");
    for number in 0..4 {
        let of_this = |tally: &&Tally| tally.colour == colour(number);
        let last = locked(&seen).iter().rfind(of_this).cloned().expect("a tally");
        assert_eq!((last.count, last.share), (100, 25.0));
    }
}

#[test]
fn floats_are_summed() {
    let environment = Environment::new();
    let halves = environment.sequence(0, 11).map(|n| ("x".to_owned(), n as f64 / 2.0));
    let seen = collect(&halves.key_by(|(key, _)| key.clone()).sum(|(_, value)| value));
    environment.execute("floats").expect("it finishes");
    assert_eq!(locked(&seen).last(), Some(&("x".to_owned(), 27.5)));
}

#[test]
fn the_number_of_key_groups_may_be_anything_from_one_to_the_most() {
    for max in [1, 32_768] {
        let place = Place::new();
        let environment = place.environment();
        environment.parallelism(if max == 1 { 1 } else { 4 }).max_parallelism(max);
        collect(&count(&environment.source("Metered", Metered::new(700, 350)).uid("source")));
        let job = environment.start("groups").expect("it starts");
        place.wait_for_checkpoints(3);
        drop(job);
        let environment = place.environment();
        environment.parallelism(if max == 1 { 1 } else { 3 }).restore_from(place.latest());
        let seen = collect(&count(&environment.source("Metered", Metered::new(700, 700)).uid("source")));
        environment.execute("groups").expect("it finishes");
        assert_eq!(locked(&seen).iter().map(|(_, count)| *count).max(), Some(100));
    }
}

#[test]
fn programs_that_cannot_be_are_refused() {
    let refused = |change: fn(&Environment, DataStream<i64>)| {
        let environment = Environment::new();
        let numbers = environment.sequence(0, 10);
        change(&environment, numbers);
        whole(environment.start("refused"))
    };
    let error = refused(|_, numbers| _ = numbers.map(|n| n).parallelism(5).max_parallelism(4));
    assert!(error.contains("the parallelism 5 is higher than the max parallelism 4"), "{error}");
    let error = refused(|_, numbers| _ = numbers.map(|n| n).uid("same").filter(|_| true).uid("same"));
    assert!(error.contains("two operators have the uid 'same'"), "{error}");
    let error = refused(|_, numbers| _ = numbers.map(|n| n).parallelism(0));
    assert!(error.contains("at least 1"), "{error}");
    let error = refused(|_, numbers| _ = numbers.map(|n| n).max_parallelism(0));
    assert!(error.contains("must be 1 to 32768"), "{error}");
    let error = refused(|environment, _| _ = environment.max_parallelism(40_000));
    assert!(error.contains("must be 1 to 32768"), "{error}");
    assert!(whole(Environment::new().start("empty")).contains("No operators defined"));
}

#[test]
fn windows_of_event_time_need_timestamps() {
    let environment = Environment::new();
    let keyed = environment.sequence(0, 10).key_by(|n| *n);
    collect(&keyed.window(WindowAssigner::tumbling(Duration::from_secs(1))).reduce(|into, n| *into += n));
    assert!(whole(environment.execute("no timestamps")).contains("no timestamp marker"));
}

#[test]
fn lines_of_a_file_are_read_once_by_any_number_of_subtasks_and_over_a_restore() {
    let place = Place::new();
    let file = place.dir.join("lines");
    let lines: Vec<String> = (0..20_000).map(|n| format!("line {n} {}", "x".repeat(n % 50))).collect();
    std::fs::write(&file, lines.join("\n") + "\r\n\nwithout an end").expect("written");
    let mut expected = lines;
    expected.extend([String::new(), "without an end".to_owned()]);
    expected.sort();
    for (before, after) in [(1, 4), (3, 2), (4, 3)] {
        let place = Place::new();
        let program = |environment: &Environment, slow: bool| {
            let lines = environment.text_file(&file).uid("file").map(move |line: String| {
                if slow && line.starts_with("line 1") && line.ends_with('x') {
                    std::thread::sleep(Duration::from_micros(50));
                }
                line
            });
            lines.sink_to_files(place.sink()).uid("sink");
        };
        let environment = place.environment();
        environment.parallelism(before);
        program(&environment, true);
        let job = environment.start("lines").expect("it starts");
        super::jobs::wait_for("checkpoints", || place.newest() >= 2 || job.is_finished());
        job.cancel();
        let outcome = job.wait().expect("it ends");
        if let Some(checkpoint) = outcome.checkpoint {
            let environment = place.environment();
            environment.parallelism(after).restore_from(checkpoint);
            program(&environment, false);
            environment.execute("lines").expect("it finishes");
        }
        let mut output = place.output();
        output.sort();
        assert!(output == expected, "{before} to {after}: {} of {}", output.len(), expected.len());
    }
}

#[test]
fn lines_of_a_socket_are_read_until_it_is_closed() {
    use std::io::Write;
    let server = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = server.local_addr().expect("an address").port();
    let sending = std::thread::spawn(move || {
        let (mut stream, _) = server.accept().expect("a connection");
        for part in ["to be\r\nor n", "ot\n", "to be"] {
            stream.write_all(part.as_bytes()).expect("sent");
            std::thread::sleep(ms(20));
        }
    });
    let environment = Environment::new();
    let seen = collect(&environment.parallelism(3).socket_text_stream("127.0.0.1", port));
    environment.execute("socket").expect("it finishes");
    sending.join().expect("no panic");
    assert_eq!(*locked(&seen), ["to be", "or not", "to be"]);
}

#[test]
fn windows_of_processing_time_fire_while_the_job_runs() {
    let environment = Environment::new();
    let numbers = environment.source("Metered", Metered::new(i64::MAX, 10)).map(|_| (0_i64, 1_i64));
    let keyed = numbers.key_by(|(key, _)| *key);
    let windows = keyed.window(WindowAssigner::tumbling(ms(50)).processing_time());
    let seen = collect(&windows.sum(|(_, count)| count));
    let job = environment.start("clock").expect("it starts");
    super::jobs::wait_for("windows", || locked(&seen).iter().map(|(_, count)| count).sum::<i64>() == 10);
    drop(job);
}

#[test]
fn two_sinks_may_share_a_directory() {
    let place = Place::new();
    let environment = place.environment();
    let numbers = environment.sequence(0, 1000);
    numbers.filter(|n| n % 2 == 0).sink_to_files(place.sink()).uid("even");
    numbers.filter(|n| n % 2 == 1).sink_to_files(place.sink()).uid("odd");
    environment.execute("shared").expect("it finishes");
    assert_eq!(place.output().len(), 1000);
}
