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

/// A run with checkpoints is so many times longer, since the words alone take less than a second.
pub const LONGER: i64 = 5;

/// What was measured: an entry of each list for a round.
#[derive(Default, Serialize, Deserialize)]
pub struct Words {
    /// Words per second with a checkpoint every second.
    pub with: Vec<f64>,
    /// The same, of [`LONGER`] times as many words, without checkpoints.
    pub long_without: Vec<f64>,
    /// ... and with them.
    pub long_with: Vec<f64>,
    /// How many checkpoints were completed.
    pub checkpoints: Vec<usize>,
}

/// Measures in turn, after a round that does not count.
pub fn run(options: &Options) -> Words {
    let vocabulary = Arc::new(Vocabulary::new(options.vocabulary as usize));
    let (mut measured, words) = (Words::default(), options.words as i64);
    for round in 0..=options.rounds {
        let every_second = Some(Duration::from_secs(1));
        let with = job(words, &vocabulary, every_second, &options.dir);
        let long_without = job(words * LONGER, &vocabulary, None, &options.dir);
        let before = completed();
        let long_with = job(words * LONGER, &vocabulary, every_second, &options.dir);
        if round > 0 {
            measured.with.push(with);
            measured.long_without.push(long_without);
            measured.long_with.push(long_with);
            measured.checkpoints.push(completed() - before);
        }
    }
    measured
}

fn completed() -> usize {
    marks::all().iter().filter(|(_, mark)| matches!(mark, Mark::Completed(_))).count()
}

/// Runs the job once, and gives words per second.
fn job(words: i64, vocabulary: &Arc<Vocabulary>, interval: Option<Duration>, directory: &Path) -> f64 {
    let environment = Environment::new();
    environment.parallelism(PARALLELISM).checkpoints(|checkpoints| {
        checkpoints.interval = interval;
        checkpoints.directory = Some(Location::parse(&directory.display().to_string()).expect("a path"));
    });
    let split = Split { id: String::new(), position: 0, end: 0 };
    let lines = environment.source("Lines", Lines { vocabulary: vocabulary.clone(), words, split, next: 0 });
    let total = Arc::new(AtomicU64::new(0));
    let mut tally = Tally { count: 0, total: total.clone() };
    word_count(&lines, move |pair| tally.count(pair));
    let started = Instant::now();
    environment.execute("word count").expect("the job finishes");
    let time = started.elapsed();
    assert_eq!(total.load(Ordering::Relaxed), words as u64, "the words that came out");
    words as f64 / time.as_secs_f64()
}

/// The words, one behind the other.
struct Vocabulary {
    text: String,
    ends: Vec<u32>,
}

/// Word number `i` of the input is word `i * STEP` of the vocabulary, as in `tests/flink/harness/Sequence.java`.
const STEP: usize = 7919;

impl Vocabulary {
    fn new(words: usize) -> Self {
        let mut vocabulary = Vocabulary { text: String::new(), ends: vec![0] };
        for word in 0..words {
            vocabulary.text.push_str(&format!("word{word}"));
            vocabulary.ends.push(vocabulary.text.len() as u32);
        }
        vocabulary
    }

    fn len(&self) -> usize {
        self.ends.len() - 1
    }

    fn word(&self, number: usize) -> &str {
        &self.text[self.ends[number] as usize..self.ends[number + 1] as usize]
    }
}

/// Lines of words of a vocabulary: each subtask the words of its part of the input.
#[derive(Clone)]
struct Lines {
    vocabulary: Arc<Vocabulary>,
    words: i64,
    split: Split,
    next: usize,
}

impl Source for Lines {
    type Item = String;

    fn open(&mut self, context: &SourceContext) -> anyhow::Result<()> {
        let share = self.words / context.parallelism as i64;
        let position = share * context.subtask as i64;
        self.split = Split { id: "words".to_owned(), position, end: position + share };
        self.next = (position as u128 * STEP as u128 % self.vocabulary.len() as u128) as usize;
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
                line.push_str(self.vocabulary.word(self.next));
                self.next += STEP;
                while self.next >= self.vocabulary.len() {
                    self.next -= self.vocabulary.len();
                }
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
