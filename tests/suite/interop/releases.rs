//! What the tests of this directory share: each runs with every release of Flink that is asked for.

use super::jobs::{Job, Kind, sorted};
use crate::suite::flink::{Flink, counts, word};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// Makes tests of functions that take a [`Flink`].
macro_rules! with_each_release {
    ($($test:ident),* $(,)?) => {
        mod flink_1_20 {
            $(#[test]
            fn $test() {
                crate::suite::flink::with_flink("1.20.5", super::$test);
            })*
        }

        mod flink_2_3 {
            $(#[test]
            fn $test() {
                crate::suite::flink::with_flink("2.3.0", super::$test);
            })*
        }
    };
}

pub(super) use with_each_release;

/// All jobs.
pub const KINDS: [Kind; 4] = [Kind::WordCount, Kind::Tumbling, Kind::Sliding, Kind::Kitchen];

/// Runs a command of the harness for a job.
pub fn tell(flink: &mut Flink, job: &Job, command: &str, more: &[&str]) -> Value {
    let mut words = job.words(command);
    words.extend(more.iter().map(|word| (*word).to_owned()));
    flink.ask(&words.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Runs a command that must not fail, and sorts its results.
pub fn expect(flink: &mut Flink, job: &Job, command: &str, more: &[&str]) -> Value {
    let mut answer = tell(flink, job, command, more);
    assert!(answer.get("failed").is_none(), "{command} {job:?} {more:?}: {}", answer["failed"]);
    if job.kind != Kind::WordCount {
        answer[job.result()] = sorted(&answer[job.result()]);
    }
    answer
}

/// What Flink answers when it starts a job from a snapshot.
pub fn try_restore(flink: &mut Flink, job: &Job, from: &Path, more: &[&str]) -> Value {
    let mut words = job.words("restore");
    words.insert(2, from.to_str().expect("UTF-8").to_owned());
    words.extend(more.iter().map(|word| (*word).to_owned()));
    flink.ask(&words.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The same, where it must not fail.
pub fn restore(flink: &mut Flink, job: &Job, from: &Path) -> Value {
    let mut answer = try_restore(flink, job, from, &[]);
    assert!(answer.get("failed").is_none(), "restore {job:?} {}: {}", from.display(), answer["failed"]);
    if job.kind != Kind::WordCount {
        answer[job.result()] = sorted(&answer[job.result()]);
    }
    answer
}

/// The results of the whole sequence, by arithmetic where it tells them.
pub fn whole(job: &Job) -> Value {
    let (n, vocab) = (job.n as u64, job.vocab as u64);
    let slide = match job.kind {
        Kind::WordCount => return counts(0..n, vocab),
        // The lines of an uninterrupted run; that Flink's are the same is a test of its own.
        Kind::Kitchen => return job.complete(None).expect("a run")["lines"].clone(),
        Kind::Tumbling => 1000,
        Kind::Sliding => 500,
    };
    let mut windows = BTreeMap::<(String, i64), i64>::new();
    for i in 0..job.n {
        let time = i * 10;
        let mut start = time - time % slide;
        while start > time - 1000 {
            *windows.entry((word(i as u64, vocab), start)).or_default() += 1;
            start -= slide;
        }
    }
    sorted(&windows.into_iter().map(|((word, start), count)| json!([word, start, count])).collect())
}
