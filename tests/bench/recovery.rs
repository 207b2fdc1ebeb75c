//! From an exception to all tasks running, without the delay of the restart strategy.

use crate::job::{FIRST, INJECT, ONCE, PARALLELISM, RATE, TASKS, THROWN, controlled, now, seen};
use crate::marks;
use crate::options::Options;
use chkctl::model::Location;
use chkctl::runtime::Environment;
use chkctl::runtime::restart::RestartStrategy;
use serde::{Deserialize, Serialize};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

/// The delay of the restart strategy.
const DELAY: Duration = Duration::from_millis(200);

/// What was measured, in milliseconds; an entry for each failure.
#[derive(Default, Serialize, Deserialize)]
pub struct Recovery {
    /// Until all tasks run.
    pub running: Vec<f64>,
    /// Until a sink has a record.
    pub output: Vec<f64>,
}

/// Lets a job with so many words of state fail again and again.
pub fn run(options: &Options) -> Recovery {
    let environment = Environment::new();
    environment
        .parallelism(PARALLELISM)
        .buffer_timeout(Duration::from_millis(1))
        .restart_strategy(RestartStrategy::FixedDelay { attempts: u32::MAX, delay: DELAY })
        .checkpoints(|checkpoints| {
            checkpoints.interval = Some(Duration::from_millis(100));
            checkpoints.directory = Some(Location::parse(&options.dir.display().to_string()).expect("a path"));
        });
    controlled(&environment, options.keys);
    RATE.store(ONCE, Ordering::Relaxed);
    let job = environment.start("recovery").expect("a job that starts");
    while seen() < options.keys {
        assert!(!job.is_finished(), "the job failed");
        thread::sleep(Duration::from_millis(1));
    }
    RATE.store(options.rate, Ordering::Relaxed);
    let mut measured = Recovery::default();
    for _ in 0..options.failures {
        // All words are in the state of the second.
        marks::wait_checkpoints(2, now());
        INJECT.store(true, Ordering::Relaxed);
        let thrown = loop {
            thread::sleep(Duration::from_micros(200));
            let thrown = THROWN.swap(0, Ordering::SeqCst);
            if thrown != 0 {
                break thrown;
            }
        };
        let since = |time: u64| (time - thrown) as f64 / 1e6 - DELAY.as_secs_f64() * 1e3;
        measured.running.push(since(marks::wait_running(TASKS, thrown)));
        let again = thrown + DELAY.as_nanos() as u64;
        let output = loop {
            assert!(!job.is_finished(), "the job failed for good");
            let first = FIRST.lock().expect("no panic").iter().copied().filter(|time| *time > again).min();
            if let Some(first) = first {
                break first;
            }
            thread::sleep(Duration::from_micros(200));
        };
        measured.output.push(since(output));
    }
    job.cancel();
    let outcome = job.wait().expect("a job that can be canceled");
    assert_eq!(outcome.restarts as usize, options.failures, "restarts");
    measured
}
