//! The failures of a log in their order: which is the root, which are others, what nobody knows.

use super::clean::{Lines, plain_lines};
use super::events::Events;
use super::facts::{Facts, FileKind};
use super::table::{self, Effect, Entry};
use super::trace::{Chain, Collector, Thrown, cut};
use serde::Serialize;
use std::io::{self, BufRead};

/// The entry of a failed restore whose cause is not in the log.
const GENERAL: &str = "restore-failed";

/// At most so many different failures of a log are kept, and as many that are not known.
const KEPT: usize = 100;

/// A known failure that a log shows.
#[derive(Debug, Clone)]
pub struct Diagnosis {
    /// What it is.
    pub entry: &'static Entry,
    /// What the log names.
    pub facts: Facts,
    /// The exceptions, outermost first.
    pub thrown: Vec<Thrown>,
    /// Which of them is the cause.
    pub cause: usize,
    /// How often it is in the log.
    pub count: u64,
    /// The first and the last line of it.
    pub lines: (u64, u64),
    /// When it was logged first, as it is written.
    pub time: Option<String>,
    /// Whether checkpoints were completed after it.
    pub got_over: bool,
}

/// An exception that no entry fits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unexplained {
    /// The innermost cause.
    pub exception: String,
    /// How often.
    pub count: u64,
    /// The first line of it.
    pub line: u64,
    /// When it was logged first.
    pub time: Option<String>,
}

/// All that was found in a log.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// Known failures, the root first.
    pub diagnoses: Vec<Diagnosis>,
    /// Exceptions that are not known, in the order of the log.
    pub unexplained: Vec<Unexplained>,
    /// What the log tells of checkpoints.
    pub events: Events,
    /// How many lines it has.
    pub lines: u64,
}

impl Findings {
    /// The root; none where all that happened is normal.
    pub fn primary(&self) -> Option<&Diagnosis> {
        self.diagnoses.first().filter(|first| !first.is_normal())
    }
}

impl Diagnosis {
    /// Whether it is part of a job's normal life.
    pub fn is_normal(&self) -> bool {
        self.got_over && self.entry.effect == Effect::Note
    }

    /// The exception that is the cause.
    pub fn cause(&self) -> Option<&Thrown> {
        self.thrown.get(self.cause)
    }

    /// The cause, in a sentence, with what the log names.
    pub fn sentence(&self) -> String {
        fill(self.entry.cause, &self.facts)
    }

    /// What to do.
    pub fn advice(&self) -> String {
        fill(self.entry.advice, &self.facts)
    }

    /// Whether the other is this one again: the same failure, of the same operator as far as both name one.
    fn is_the_same(&self, other: &Diagnosis) -> bool {
        let agree = |a: &Option<String>, b: &Option<String>| a.is_none() || b.is_none() || a == b;
        self.entry.id == other.entry.id && agree(&self.facts.operator_id, &other.facts.operator_id)
    }

    /// Takes the other as this one again, and what it knows more.
    fn take(&mut self, other: Diagnosis) {
        // The lines of a chain are told twice, by the chain and on their own.
        if other.lines.0 > self.lines.1 {
            self.count = self.count.saturating_add(1);
        }
        self.lines = (self.lines.0.min(other.lines.0), self.lines.1.max(other.lines.1));
        let knows = |diagnosis: &Diagnosis| {
            let facts = &diagnosis.facts;
            (facts.operator_id.is_some(), facts.file.is_some(), !diagnosis.thrown.iter().all(|t| t.class.is_empty()))
        };
        if knows(&other) > knows(self) {
            let time = self.time.take().or(other.time);
            *self = Diagnosis { count: self.count, lines: self.lines, time, ..other };
        }
    }

    fn order(&self) -> (bool, bool, Effect, bool, u64) {
        (self.is_normal(), self.got_over, self.entry.effect, self.entry.id == GENERAL, self.lines.0)
    }
}

/// Puts what is known into a sentence of the table.
fn fill(text: &str, facts: &Facts) -> String {
    let operator = match (&facts.operator_name, &facts.operator_id) {
        (Some(name), _) => match facts.subtask_words() {
            Some(subtask) => format!("{name} {subtask}"),
            None => name.clone(),
        },
        (None, Some(id)) => id.clone(),
        (None, None) => facts.task.clone().unwrap_or_else(|| "an operator".to_owned()),
    };
    let snapshot = match (&facts.checkpoint_id, &facts.snapshot) {
        (Some(id), _) => format!("checkpoint {id}"),
        (None, Some(path)) => path.clone(),
        (None, None) => match (&facts.file, facts.file_kind) {
            (Some(path), Some(FileKind::Snapshot)) => path.clone(),
            _ => "the snapshot".to_owned(),
        },
    };
    let number =
        |number: Option<u32>, words: &str| number.map_or_else(|| words.to_owned(), |number| number.to_string());
    let scheme = facts.scheme.as_ref().map_or_else(|| "this storage".to_owned(), |scheme| format!("{scheme}://"));
    let values = [
        ("{operator}", operator),
        ("{snapshot}", snapshot),
        ("{file}", facts.file.clone().unwrap_or_else(|| "the storage".to_owned())),
        ("{state-max}", number(facts.state_max_parallelism, "another number")),
        ("{job-max}", number(facts.job_max_parallelism, "a different one")),
        ("{scheme}", scheme),
        ("{class}", facts.classes.first().cloned().unwrap_or_else(|| "named in the message".to_owned())),
    ];
    // One pass: a name out of the log may hold braces itself.
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        filled.push_str(before);
        match values.iter().find_map(|(name, value)| Some((from.strip_prefix(name)?, value))) {
            Some((after, value)) => {
                filled.push_str(value);
                rest = after;
            }
            None => {
                filled.push('{');
                rest = from.get(1..).unwrap_or_default();
            }
        }
    }
    filled.push_str(rest);
    filled
}

/// Reads a log to its end, in bounded memory.
pub fn read(log: impl BufRead) -> io::Result<Findings> {
    let mut findings = Findings::default();
    let mut collector = Collector::default();
    let mut lines = Lines::new(log);
    while let Some((number, raw)) = lines.next_line()? {
        findings.lines = number;
        for line in plain_lines(raw) {
            let is_frame = line.starts_with("\tat ") || line.starts_with("at ");
            if !is_frame {
                findings.events.feed(number, &line);
            }
            for chain in collector.feed(number, &line) {
                findings.add(&chain);
            }
            if !is_frame
                && line.len() < 4000
                && let Some(entry) = table::explain_line(&line)
            {
                findings.add_line(entry, number, &line);
            }
        }
    }
    if let Some(chain) = collector.finish() {
        findings.add(&chain);
    }
    findings.put_in_order();
    Ok(findings)
}

impl Findings {
    fn add(&mut self, chain: &Chain) {
        let last_line = chain.thrown.iter().map(|thrown| thrown.line).max().unwrap_or(0);
        let first_line = chain.thrown.iter().map(|thrown| thrown.line).min().unwrap_or(0);
        match table::explain(chain) {
            Some((entry, cause)) => {
                let mut facts = Facts::of(chain, &self.events);
                facts.take_class(chain);
                let thrown = chain.thrown.clone();
                self.insert(Diagnosis {
                    entry,
                    facts,
                    thrown,
                    cause,
                    count: 1,
                    lines: (first_line, last_line),
                    time: chain.time.clone(),
                    got_over: false,
                });
            }
            None => {
                let Some(root) = chain.root() else { return };
                let exception = cut(&root.text(), 500).to_owned();
                let room = self.unexplained.len() < KEPT;
                match self.unexplained.iter_mut().find(|known| known.exception == exception) {
                    Some(known) => known.count = known.count.saturating_add(1),
                    None if room => self.unexplained.push(Unexplained {
                        exception,
                        count: 1,
                        line: root.line,
                        time: chain.time.clone(),
                    }),
                    None => {}
                }
            }
        }
    }

    /// A failure that one line tells, without an exception. A line that is a part of a chain comes twice.
    fn add_line(&mut self, entry: &'static Entry, number: u64, line: &str) {
        let message = line.trim().to_owned();
        let thrown = vec![Thrown { class: String::new(), message, line: number, frames: Vec::new() }];
        let chain = Chain { thrown, context: String::new(), time: super::events::time_in(line) };
        let facts = Facts::of(&chain, &self.events);
        self.insert(Diagnosis {
            entry,
            facts,
            thrown: chain.thrown,
            cause: 0,
            count: 1,
            lines: (number, number),
            time: chain.time,
            got_over: false,
        });
    }

    /// Adds a diagnosis, or counts it with the one of its kind.
    fn insert(&mut self, new: Diagnosis) {
        let room = self.diagnoses.len() < KEPT;
        match self.diagnoses.iter_mut().find(|known| known.is_the_same(&new)) {
            Some(known) => known.take(new),
            None if room => self.diagnoses.push(new),
            None => {}
        }
    }

    fn put_in_order(&mut self) {
        let (completed, running) = (self.events.last_completed_line, self.events.last_running_line);
        for diagnosis in &mut self.diagnoses {
            // It is a consequence, where the rest of the log is there.
            let ended = diagnosis.entry.id == "coordinator-suspending" && running > 0;
            // What is normal while tasks are being deployed is over when they run.
            let over = if diagnosis.entry.effect == Effect::Note { completed.max(running) } else { completed };
            diagnosis.got_over = over > diagnosis.lines.1 || ended;
        }
        self.diagnoses.sort_by_key(Diagnosis::order);
        // What says only that a restore failed is of use where nothing says why.
        if self.diagnoses.iter().any(|d| d.entry.effect == Effect::Restore && d.entry.id != GENERAL) {
            self.diagnoses.retain(|diagnosis| diagnosis.entry.id != GENERAL);
        }
    }
}
