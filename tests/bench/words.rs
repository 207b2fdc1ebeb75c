//! Word count from memory: words per second, with and without checkpoints.

use crate::job::{PARALLELISM, Pair, word_count};
use crate::marks::{self, Mark};
use crate::options::Options;
use chkctl::model::Location;
use chkctl::runtime::{Emitter, Environment, Poll, Source, SourceContext, Split};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Words in a line.
pub const LINE: i64 = 10;

/// What was measured: an entry of each list for a round.
#[derive(Default, Serialize, Deserialize)]
pub struct Words {
    /// Words per second without checkpoints.
    pub without: Vec<f64>,
    /// Words per second with a checkpoint every second.
    pub with: Vec<f64>,
    /// How many checkpoints were completed.
    pub checkpoints: Vec<usize>,
}

/// Measures in turn, after a round that does not count.
pub fn run(options: &Options) -> Words {
    let vocabulary: Arc<[String]> = (0..options.vocabulary).map(|word| format!("word{word}")).collect();
    let (mut measured, words) = (Words::default(), options.words as i64);
    for round in 0..=options.rounds {
        let without = job(words, &vocabulary, None, &options.dir);
        let before = completed();
        let with = job(words, &vocabulary, Some(Duration::from_secs(1)), &options.dir);
        if round > 0 {
            measured.without.push(without);
            measured.with.push(with);
            measured.checkpoints.push(completed() - before);
        }
    }
    measured
}

fn completed() -> usize {
    marks::all().iter().filter(|(_, mark)| matches!(mark, Mark::Completed(_))).count()
}

/// Runs the job once, and gives words per second.
fn job(words: i64, vocabulary: &Arc<[String]>, interval: Option<Duration>, directory: &Path) -> f64 {
    let environment = Environment::new();
    environment.parallelism(PARALLELISM).checkpoints(|checkpoints| {
        checkpoints.interval = interval;
        checkpoints.directory = Some(Location::parse(&directory.display().to_string()).expect("a path"));
    });
    let split = Split { id: String::new(), position: 0, end: 0 };
    let lines = environment.source("Lines", Lines { vocabulary: vocabulary.clone(), words, split, random: 0 });
    let total = Arc::new(AtomicU64::new(0));
    let mut tally = Tally { count: 0, total: total.clone() };
    word_count(&lines, move |pair| tally.count(pair));
    let started = Instant::now();
    environment.execute("word count").expect("the job finishes");
    let time = started.elapsed();
    assert_eq!(total.load(Ordering::Relaxed), words as u64, "the words that came out");
    words as f64 / time.as_secs_f64()
}

/// Lines of words that a generator of random numbers takes from a vocabulary.
#[derive(Clone)]
struct Lines {
    vocabulary: Arc<[String]>,
    words: i64,
    split: Split,
    random: u64,
}

impl Source for Lines {
    type Item = String;

    fn open(&mut self, context: &SourceContext) -> anyhow::Result<()> {
        self.random = 88_172_645_463_325_252 + context.subtask as u64 * 7919;
        let fresh = Split { id: "words".to_owned(), position: 0, end: self.words / context.parallelism as i64 };
        self.split = context.restored.as_ref().and_then(|splits| splits.first().cloned()).unwrap_or(fresh);
        Ok(())
    }

    fn poll(&mut self, out: &mut Emitter<'_, String>) -> anyhow::Result<Poll> {
        for _ in 0..32 {
            if self.split.position >= self.split.end {
                return Ok(Poll::Finished);
            }
            let mut line = String::with_capacity(128);
            for word in 0..LINE {
                if word > 0 {
                    line.push(' ');
                }
                let x = &mut self.random;
                *x ^= *x << 13;
                *x ^= *x >> 7;
                *x ^= *x << 17;
                line.push_str(&self.vocabulary[((*x >> 1) % self.vocabulary.len() as u64) as usize]);
            }
            self.split.position += LINE;
            out.collect(line)?;
        }
        Ok(Poll::More)
    }

    fn splits(&self) -> Vec<Split> {
        vec![self.split.clone()]
    }
}

/// Counts the records of one sink, and adds them up at its end.
struct Tally {
    count: u64,
    total: Arc<AtomicU64>,
}

impl Clone for Tally {
    fn clone(&self) -> Self {
        Tally { count: 0, total: self.total.clone() }
    }
}

impl Tally {
    #[inline]
    fn count(&mut self, _: Pair) -> anyhow::Result<()> {
        self.count += 1;
        Ok(())
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.total.fetch_add(self.count, Ordering::Relaxed);
    }
}
