//! Word count from memory: words per second, with and without checkpoints.

use chkctl::model::Location;
use chkctl::runtime::{Emitter, Environment, Poll, Source, SourceContext, Split};
use compact_str::CompactString;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[derive(Clone)]
struct Words {
    vocabulary: Arc<[String]>,
    words: i64,
    split: Split,
    random: u64,
}

impl Source for Words {
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
            for word in 0..10 {
                if word > 0 {
                    line.push(' ');
                }
                let x = &mut self.random;
                *x ^= *x << 13;
                *x ^= *x >> 7;
                *x ^= *x << 17;
                line.push_str(&self.vocabulary[((*x >> 1) % self.vocabulary.len() as u64) as usize]);
            }
            self.split.position += 10;
            out.collect(line)?;
        }
        Ok(Poll::More)
    }

    fn splits(&self) -> Vec<Split> {
        vec![self.split.clone()]
    }
}

fn run(words: i64, vocabulary: &Arc<[String]>, interval: Option<Duration>, directory: &std::path::Path) -> f64 {
    let environment = Environment::new();
    environment.parallelism(2).checkpoints(|checkpoints| {
        checkpoints.interval = interval;
        checkpoints.directory = Some(Location::parse(&directory.display().to_string()).expect("a path"));
    });
    let split = Split { id: String::new(), position: 0, end: 0 };
    let source = Words { vocabulary: vocabulary.clone(), words, split, random: 0 };
    environment
        .source("Words", source)
        .flat_map(|line: String, out| {
            line.split(' ').try_for_each(|word| {
                anyhow::ensure!(word != "error", "error message");
                out.collect((CompactString::new(word), 1_i64))
            })
        })
        .key_by_ref(|(word, _)| word)
        .sum(|(_, count)| count)
        .for_each(|_| Ok(()));
    let started = Instant::now();
    environment.execute("word count").expect("the job finishes");
    words as f64 / started.elapsed().as_secs_f64()
}

fn main() {
    let words: i64 = std::env::var("WORDS").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000_000);
    let vocabulary: Arc<[String]> = (0..100_000).map(|word| format!("word{word}")).collect();
    let directory = tempfile::tempdir().expect("a directory");
    for round in 0..std::env::var("ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(4) {
        let without = run(words, &vocabulary, None, directory.path());
        let with = run(words, &vocabulary, Some(Duration::from_secs(1)), directory.path());
        println!("round {round}: {:.2} M words/s without, {:.2} M words/s with checkpoints", without / 1e6, with / 1e6);
    }
}
