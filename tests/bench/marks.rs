//! When a job did what, as its log says: a logger that keeps the time of the messages that matter here.

use crate::job::now;
use log::{Level, LevelFilter, Log, Metadata, Record};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// A checkpoint began.
    Triggered(u64),
    /// A checkpoint is complete, with its `_metadata`.
    Completed(u64),
    /// A task runs.
    Running,
}

/// Times ([`now`]) with what happened then.
pub type Marks = Vec<(u64, Mark)>;

static MARKS: Mutex<Marks> = Mutex::new(Vec::new());
static NEW: Condvar = Condvar::new();

struct Logger;

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Info
    }

    fn log(&self, record: &Record<'_>) {
        let time = now();
        let message = record.args().to_string();
        let number = |text: &str| text.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0);
        let mark = if let Some(rest) = message.strip_prefix("Triggering checkpoint ") {
            Mark::Triggered(number(rest))
        } else if let Some(rest) = message.strip_prefix("Completed checkpoint ") {
            Mark::Completed(number(rest))
        } else if message.contains("switched from INITIALIZING to RUNNING") {
            Mark::Running
        } else {
            if record.level() <= Level::Warn && !message.contains("the word error came in") {
                eprintln!("{message}");
            }
            return;
        };
        lock().push((time, mark));
        NEW.notify_all();
    }

    fn flush(&self) {}
}

fn lock() -> MutexGuard<'static, Marks> {
    MARKS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Begins to listen.
pub fn listen() {
    log::set_logger(&Logger).expect("the only logger");
    log::set_max_level(LevelFilter::Info);
}

/// All marks so far.
pub fn all() -> Marks {
    lock().clone()
}

/// Waits until the marks tell something.
///
/// # Panics
/// After some minutes, when what is waited for will never be.
pub fn wait<T>(what: &str, mut told: impl FnMut(&Marks) -> Option<T>) -> T {
    let (mut marks, mut left) = (lock(), 300);
    loop {
        if let Some(told) = told(&marks) {
            return told;
        }
        let (guard, timeout) = NEW.wait_timeout(marks, Duration::from_secs(1)).unwrap_or_else(PoisonError::into_inner);
        marks = guard;
        left -= u32::from(timeout.timed_out());
        assert!(left > 0, "{what} takes too long");
    }
}

/// Waits until so many tasks run that began to after some time; gives when the last of them did.
pub fn wait_running(tasks: usize, after: u64) -> u64 {
    wait("to run", |marks| {
        let running = marks.iter().filter(|(time, mark)| *mark == Mark::Running && *time > after);
        running.map(|(time, _)| *time).nth(tasks - 1)
    })
}

/// When each checkpoint that was triggered after some time began, and when it was complete.
pub fn checkpoints(marks: &Marks, after: u64) -> Vec<(u64, u64)> {
    let begun = marks.iter().filter_map(|(time, mark)| match mark {
        Mark::Triggered(id) if *time > after => Some((*time, *id)),
        _ => None,
    });
    let end = |id: u64| marks.iter().find(|(_, mark)| *mark == Mark::Completed(id)).map(|(time, _)| *time);
    begun.filter_map(|(begin, id)| Some((begin, end(id)?))).collect()
}

/// Waits for so many checkpoints that are triggered after some time.
pub fn wait_checkpoints(count: usize, after: u64) -> Vec<(u64, u64)> {
    wait("a checkpoint", |marks| Some(checkpoints(marks, after)).filter(|found| found.len() >= count))
}
