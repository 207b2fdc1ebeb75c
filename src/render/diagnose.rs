//! `diagnose`: what a log shows, for people and scripts.

use super::{Escaped, time};
use crate::diagnose::blame::Blame;
use crate::diagnose::events::{Counts, Event, EventKind};
use crate::diagnose::facts::Facts;
use crate::diagnose::findings::{Diagnosis, Findings, Unexplained};
use crate::diagnose::look::{Look, Seen};
use crate::diagnose::table::Effect;
use crate::diagnose::trace::Thrown;
use serde::Serialize;
use std::fmt::{self, Write as _};

/// How much of a line of the log is shown.
const QUOTE: usize = 300;
/// How many more failures are shown unless all are asked for.
const OTHERS: usize = 5;

/// All that is to be said of a log.
pub struct Report<'r> {
    /// What was found.
    pub findings: &'r Findings,
    /// Why the file is not there, where one is missing.
    pub blame: Option<&'r Blame>,
    /// What is on disk, where roots were given.
    pub look: Option<&'r Look>,
    /// What to type next.
    pub command: Option<&'r str>,
}

/// The object that `diagnose --json` prints (`docs/json.md`).
#[derive(Serialize)]
pub struct DiagnoseJson<'r> {
    lines: u64,
    explained: bool,
    diagnoses: Vec<DiagnosisJson<'r>>,
    unexplained: &'r [Unexplained],
    checkpoints: CheckpointsJson<'r>,
    deleted_by: Option<&'r Blame>,
    look: Option<&'r Look>,
    command: Option<&'r str>,
}

#[derive(Serialize)]
struct DiagnosisJson<'r> {
    id: &'static str,
    effect: Effect,
    cause: String,
    advice: String,
    count: u64,
    first_line: u64,
    last_line: u64,
    time: Option<&'r str>,
    got_over: bool,
    facts: &'r Facts,
    exceptions: &'r [Thrown],
}

#[derive(Serialize)]
struct CheckpointsJson<'r> {
    #[serde(flatten)]
    counts: Counts,
    newest_completed: Option<&'r Event>,
    restored_from: Option<&'r Event>,
}

impl<'r> DiagnoseJson<'r> {
    /// A report as JSON.
    pub fn new(report: &Report<'r>) -> Self {
        let findings = report.findings;
        let diagnosis = |diagnosis: &'r Diagnosis| DiagnosisJson {
            id: diagnosis.entry.id,
            effect: diagnosis.entry.effect,
            cause: diagnosis.sentence(),
            advice: diagnosis.advice(),
            count: diagnosis.count,
            first_line: diagnosis.lines.0,
            last_line: diagnosis.lines.1,
            time: diagnosis.time.as_deref(),
            got_over: diagnosis.got_over,
            facts: &diagnosis.facts,
            exceptions: &diagnosis.thrown,
        };
        DiagnoseJson {
            lines: findings.lines,
            explained: findings.primary().is_some(),
            diagnoses: findings.diagnoses.iter().map(diagnosis).collect(),
            unexplained: &findings.unexplained,
            checkpoints: CheckpointsJson {
                counts: findings.events.counts,
                newest_completed: findings.events.of(EventKind::Completed).next_back(),
                restored_from: findings.events.of(EventKind::Restoring).next_back(),
            },
            deleted_by: report.blame,
            look: report.look,
            command: report.command,
        }
    }
}

/// `diagnose` for people: the cause, where, why, what to do, and the command as the last line.
pub fn text(report: &Report<'_>, colour: bool, all: bool) -> String {
    let findings = report.findings;
    let mut text = String::new();
    let Some(primary) = findings.primary() else {
        nothing_known(&mut text, findings, all);
        return text;
    };
    line(&mut text, &bold(&Escaped(primary.sentence()).to_string(), colour));
    place(&mut text, primary);
    evidence(&mut text, primary);
    if let Some(blame) = report.blame {
        let lines: Vec<String> = blame.lines.iter().map(u64::to_string).collect();
        let lines = if lines.is_empty() { String::new() } else { format!(", line {}", lines.join(", ")) };
        field(&mut text, "who removed it", format_args!("{}{lines}: {}", blame.grade.words(), blame.what));
    }
    history(&mut text, findings);
    if primary.got_over {
        field(&mut text, "note", "checkpoints were completed after it: the job got over it");
    }
    field(&mut text, "what to do", primary.advice());
    let shown = if all { usize::MAX } else { OTHERS };
    for other in findings.diagnoses.iter().skip(1).take(shown) {
        field(
            &mut text,
            "also",
            format_args!("{} [{}, line {}{}]", other.sentence(), other.entry.id, other.lines.0, times(other.count)),
        );
    }
    let hidden = findings.diagnoses.len().saturating_sub(1).saturating_sub(shown);
    if hidden > 0 {
        line(&mut text, &format!("  … and {hidden} more (-v shows all)"));
    }
    if all {
        unexplained(&mut text, findings, true);
    }
    if let Some(look) = report.look {
        on_disk(&mut text, look);
    }
    if let Some(command) = report.command {
        line(&mut text, &bold(&Escaped(command).to_string(), colour));
    }
    text
}

fn nothing_known(text: &mut String, findings: &Findings, all: bool) {
    match findings.unexplained.len() {
        0 => line(text, &format!("nothing wrong in {} lines", findings.lines)),
        _ => {
            line(text, "not known: no exception in this log is one that chkctl can explain");
            unexplained(text, findings, all);
        }
    }
    history(text, findings);
}

fn unexplained(text: &mut String, findings: &Findings, all: bool) {
    let shown = if all { usize::MAX } else { OTHERS };
    for unknown in findings.unexplained.iter().take(shown) {
        let said = quote(&unknown.exception);
        field(text, "not known", format_args!("{said} [line {}{}]", unknown.line, times(unknown.count)));
    }
    let hidden = findings.unexplained.len().saturating_sub(shown);
    if hidden > 0 {
        line(text, &format!("  … and {hidden} more (-v shows all)"));
    }
}

fn place(text: &mut String, diagnosis: &Diagnosis) {
    let facts = &diagnosis.facts;
    field(
        text,
        "diagnosis",
        format_args!(
            "{}{}",
            diagnosis.entry.id,
            match diagnosis.count {
                0 | 1 => String::new(),
                count => format!(", {count} times in the log"),
            }
        ),
    );
    if let Some(name) = facts.operator_name.as_ref().or(facts.operator_id.as_ref()) {
        let mut said = name.clone();
        if let Some(id) = facts.operator_id.as_ref().filter(|id| *id != name) {
            let _ = write!(said, ", id {id}");
        }
        if let (Some(subtask), Some(words)) = (facts.subtask, facts.subtask_words()) {
            let _ = write!(said, ", subtask {subtask} {words}");
        }
        field(text, "operator", said);
    }
    let plain: [(&str, Option<&String>); 3] =
        [("task", facts.task.as_ref()), ("file", facts.file.as_ref()), ("state", facts.state_name.as_ref())];
    for (name, value) in plain {
        if let Some(value) = value {
            field(text, name, value);
        }
    }
    if let Some(snapshot) = facts.snapshot.as_ref().filter(|snapshot| facts.file.as_ref() != Some(*snapshot)) {
        field(text, "snapshot", snapshot);
    }
    if !facts.classes.is_empty() {
        field(text, "classes", facts.classes.join(", "));
    }
    if let Some(version) = &facts.flink_version {
        field(text, "flink", version);
    }
}

fn evidence(text: &mut String, diagnosis: &Diagnosis) {
    let cause = diagnosis.cause;
    // The exception itself, and of its wrappers the one that says whose it is.
    let telling = |index: usize, thrown: &Thrown| {
        index == cause
            || index.saturating_add(1) == diagnosis.thrown.len()
            || (index < cause && thrown.message.contains("Could not restore"))
    };
    for (_, thrown) in diagnosis.thrown.iter().enumerate().filter(|(index, thrown)| telling(*index, thrown)) {
        field(text, &format!("line {}", thrown.line), quote(&thrown.text()));
    }
}

fn history(text: &mut String, findings: &Findings) {
    let events = &findings.events;
    let restored = events.of(EventKind::Restoring).next_back();
    if let Some(event) = restored.filter(|event| event.path.is_some()) {
        let path = event.path.as_deref().unwrap_or_default();
        let id = event.checkpoint.map_or_else(String::new, |id| format!("checkpoint {id}, "));
        field(text, "started from", format_args!("{id}{path} [line {}]", event.line));
    }
    let counts = events.counts;
    if counts == Counts::default() {
        return;
    }
    let newest =
        events.of(EventKind::Completed).next_back().and_then(|event| event.checkpoint.map(|id| (id, event.line)));
    let newest = newest.map_or_else(String::new, |(id, line)| format!(", the newest is {id} [line {line}]"));
    let mut said = format!("{} completed{newest}", counts.completed);
    for (count, word) in [(counts.expired, "expired"), (counts.failed, "failed or declined")] {
        if count > 0 {
            let _ = write!(said, "; {count} {word}");
        }
    }
    field(text, "checkpoints in the log", said);
}

fn on_disk(text: &mut String, look: &Look) {
    match (&look.named, look.named_in_log) {
        (Some(named), _) => field(text, "on disk", format_args!("{} is {}", describe(named), verdict(named))),
        (None, true) => field(text, "on disk", "the snapshot that the log names is not below the roots"),
        (None, false) => {}
    }
    for finding in look.findings.iter().take(2) {
        let path = finding.path.as_deref().unwrap_or_default();
        field(text, &finding.code.word(), format_args!("{} {path}", finding.message));
    }
    if let Some(file) = &look.file {
        if file.present == Some(false) && file.elsewhere.is_none() {
            field(text, "the file", "is not there, and not below the roots under its name either");
        }
        for needing in file.needed_by.iter().take(3) {
            field(text, "needed by", needing);
        }
    }
    match &look.best {
        Some(best) => {
            field(
                text,
                "best snapshot",
                format_args!("{}, restorable, completed {}", describe(best), time(best.completed_at)),
            );
            field(text, "what it costs", cost(look, best));
        }
        None if look.not_judged > 0 => {
            field(
                text,
                "best snapshot",
                format_args!("not known: {} of {} could not be judged", look.not_judged, look.snapshots),
            );
        }
        None => {
            field(text, "best snapshot", format_args!("none: of {} below the roots none is restorable", look.snapshots))
        }
    }
    if look.best.is_some() && look.not_judged > 0 {
        field(text, "note", format_args!("{} newer ones could not be judged", look.not_judged));
    }
}

/// What is lost by starting from the best snapshot.
fn cost(look: &Look, best: &Seen) -> String {
    const AGAIN: &str = "what came since is read again from the sources, where they still have it";
    let is_named = look.named.as_ref().is_some_and(|named| named.path == best.path);
    match look.older_by_seconds {
        _ if is_named => format!("nothing; {AGAIN}"),
        None => AGAIN.to_owned(),
        Some(..0) => format!("nothing: it is newer than the one in the log; {AGAIN}"),
        Some(0) => format!("it is less than a second older; {AGAIN}"),
        Some(seconds) => format!("it is {} older; {AGAIN}", Seconds(seconds)),
    }
}

fn describe(seen: &Seen) -> String {
    match seen.checkpoint_id {
        Some(id) => format!("checkpoint {id}, {}", seen.path),
        None => seen.path.clone(),
    }
}

fn verdict(seen: &Seen) -> &'static str {
    seen.verdict.map_or("not judged", crate::survey::Verdict::word)
}

/// A time span as people say it.
struct Seconds(i64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            seconds @ ..120 => write!(f, "{seconds} s"),
            seconds @ 120..7200 => write!(f, "{} min", seconds / 60),
            seconds @ 7200..172_800 => write!(f, "{} h", seconds / 3600),
            seconds => write!(f, "{} days", seconds / 86_400),
        }
    }
}

fn times(count: u64) -> String {
    if count > 1 { format!(", {count} times") } else { String::new() }
}

fn quote(said: &str) -> String {
    let start = crate::diagnose::trace::cut(said, QUOTE);
    if start.len() < said.len() { format!("{start}…") } else { start.to_owned() }
}

fn field(text: &mut String, name: &str, value: impl fmt::Display) {
    let _ = writeln!(text, "  {name}: {}", Escaped(value));
}

fn line(text: &mut String, said: &str) {
    text.push_str(said);
    text.push('\n');
}

fn bold(said: &str, colour: bool) -> String {
    if colour { format!("\u{1b}[1m{said}\u{1b}[0m") } else { said.to_owned() }
}
