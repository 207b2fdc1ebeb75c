//! What the benchmarks of the runtime are told: `NAME=VALUE` words, and names of rows.

use std::env;
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;

/// Sizes and places, with what they are where nothing is said.
#[derive(Debug, Clone)]
pub struct Options {
    /// Words of the word count.
    pub words: u64,
    /// Different ones among them.
    pub vocabulary: u64,
    /// Keys in state.
    pub keys: u64,
    /// Records per second of jobs that are watched.
    pub rate: u64,
    /// How often everything is measured.
    pub rounds: usize,
    /// How often a job fails.
    pub failures: usize,
    /// The release of Flink; `none` for none.
    pub flink: String,
    /// Where checkpoints go.
    pub dir: PathBuf,
    /// The checkpoint to restore.
    pub path: String,
}

impl Options {
    /// Takes the options from words, and gives the other words.
    pub fn parse(args: &[String]) -> (Self, Vec<&str>) {
        let mut options = Options {
            words: 20_000_000,
            vocabulary: 100_000,
            keys: 5_000_000,
            rate: 100_000,
            rounds: 5,
            failures: 12,
            flink: "1.20.5".to_owned(),
            dir: env::temp_dir(),
            path: String::new(),
        };
        let mut others = Vec::new();
        for word in args {
            let Some((name, value)) = word.split_once('=') else {
                others.push(word.as_str());
                continue;
            };
            match name {
                "words" => options.words = number(word, value),
                "vocabulary" => options.vocabulary = number(word, value),
                "keys" => options.keys = number(word, value),
                "rate" => options.rate = number(word, value),
                "rounds" => options.rounds = number(word, value),
                "failures" => options.failures = number(word, value),
                "flink" => options.flink = value.to_owned(),
                "dir" => options.dir = value.into(),
                "path" => options.path = value.to_owned(),
                _ => panic!("what is {word}? docs/benchmarks.md has the options"),
            }
        }
        (options, others)
    }

    /// As words again.
    pub fn words(&self) -> Vec<String> {
        let word = |name: &str, value: &dyn Display| format!("{name}={value}");
        vec![
            word("words", &self.words),
            word("vocabulary", &self.vocabulary),
            word("keys", &self.keys),
            word("rate", &self.rate),
            word("rounds", &self.rounds),
            word("failures", &self.failures),
            word("flink", &self.flink),
            word("dir", &self.dir.display()),
            word("path", &self.path),
        ]
    }
}

fn number<N: FromStr>(word: &str, value: &str) -> N {
    value.replace('_', "").parse().unwrap_or_else(|_| panic!("{word}: that is not a number"))
}
