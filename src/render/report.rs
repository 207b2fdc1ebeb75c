//! Reports of snapshots, as `verify`, `list` and `latest` show them.

use super::{Bytes, Escaped, bytes_of, json_time, time};
use crate::survey::compat::{Compat, EmptyStart};
use crate::survey::finding::{Finding, Severity, Verdict};
use crate::survey::report::{DeepCounts, FileCounts, Kind, SnapshotReport};
use crate::survey::sharing::Share;
use comfy_table::{Cell, Color, Table, presets};
use serde::Serialize;
use std::fmt::Write as _;

/// A snapshot in JSON (`docs/json.md`).
#[derive(Serialize)]
pub struct SnapshotJson<'r> {
    path: String,
    verdict: Verdict,
    checkpoint_id: Option<i64>,
    job_id: Option<&'r str>,
    kind: Option<Kind>,
    description: Option<&'r str>,
    metadata_version: Option<i32>,
    completed_at: Option<String>,
    state_size: Option<i64>,
    metadata_size: Option<u64>,
    files: FileCounts,
    depends_on: &'r [String],
    #[serde(flatten)]
    share: Option<ShareJson>,
    #[serde(flatten)]
    marks: Option<&'r Marks>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deep: Option<&'r DeepCounts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    findings: Option<&'r [Finding]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compat: Option<&'r Compat>,
}

#[derive(Serialize)]
struct ShareJson {
    own_bytes: u64,
    shared_bytes: u64,
}

/// What people said of a snapshot, as `list` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Marks {
    /// Whether it is pinned; `None` where that is not known.
    pub pinned: Option<bool>,
    /// Its tags.
    pub tags: Vec<String>,
    /// All of it in words for a table; empty where there is nothing to say.
    #[serde(skip)]
    pub words: String,
}

/// The verdicts of a run, counted.
#[derive(Serialize, Default, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Summary {
    /// How many are restorable.
    pub restorable: u64,
    /// How many are suspect.
    pub suspect: u64,
    /// How many are broken.
    pub broken: u64,
    /// How many have no `_metadata`.
    pub incomplete: u64,
    /// How many could not be judged.
    pub unknown: u64,
}

impl Summary {
    /// Counts verdicts.
    pub fn of(verdicts: impl Iterator<Item = Verdict>) -> Self {
        let mut summary = Summary::default();
        for verdict in verdicts {
            *match verdict {
                Verdict::Restorable => &mut summary.restorable,
                Verdict::Suspect => &mut summary.suspect,
                Verdict::Broken => &mut summary.broken,
                Verdict::Incomplete => &mut summary.incomplete,
                Verdict::Unknown => &mut summary.unknown,
            } += 1;
        }
        summary
    }

    /// One line, such as `3 restorable, 1 broken`.
    pub fn line(&self) -> String {
        let parts = [
            (self.restorable, "restorable"),
            (self.suspect, "suspect"),
            (self.broken, "broken"),
            (self.incomplete, "incomplete"),
            (self.unknown, "unknown"),
        ];
        let said: Vec<String> =
            parts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
        if said.is_empty() { "no snapshots".to_owned() } else { said.join(", ") }
    }
}

/// The object that `list --json` and `verify --json` print.
#[derive(Serialize)]
pub struct ReportsJson<'r> {
    snapshots: Vec<SnapshotJson<'r>>,
    summary: Summary,
}

impl<'r> ReportsJson<'r> {
    /// Reports with or without their findings, and with shares where `list` has them.
    pub fn new(reports: &'r [SnapshotReport], shares: Option<&[Share]>, findings: bool) -> Self {
        let json = |(index, report): (usize, &'r SnapshotReport)| SnapshotJson {
            path: report.path.to_string(),
            verdict: report.verdict,
            checkpoint_id: report.checkpoint_id,
            job_id: report.job_id.as_deref(),
            kind: report.kind,
            description: report.description.as_deref(),
            metadata_version: report.metadata_version,
            completed_at: json_time(report.completed_at),
            state_size: report.state_size,
            metadata_size: report.metadata_size,
            files: report.files,
            depends_on: &report.depends_on,
            share: shares
                .and_then(|shares| shares.get(index))
                .map(|share| ShareJson { own_bytes: share.own_bytes, shared_bytes: share.shared_bytes }),
            marks: None,
            deep: report.deep.as_ref(),
            findings: findings.then_some(report.findings.as_slice()),
            compat: report.compat.as_ref().filter(|_| findings),
        };
        ReportsJson {
            snapshots: reports.iter().enumerate().map(json).collect(),
            summary: Summary::of(reports.iter().map(|report| report.verdict)),
        }
    }

    /// With the marks of each of the snapshots.
    pub fn with_marks(mut self, marks: &'r [Marks]) -> Self {
        self.snapshots.iter_mut().zip(marks).for_each(|(snapshot, marks)| snapshot.marks = Some(marks));
        self
    }
}

/// A table without lines, styled or not.
pub fn plain_table(header: &[&str], colour: bool) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.iter().map(Cell::new));
    if colour {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table
}

/// A table as text: no space at the start or end of a line.
pub fn table_text(table: &Table) -> String {
    let mut text = String::new();
    for line in table.lines() {
        let line = line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned();
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// The colour of a verdict.
pub fn verdict_colour(verdict: Verdict) -> Color {
    match verdict {
        Verdict::Restorable => Color::Green,
        Verdict::Suspect => Color::Yellow,
        Verdict::Broken => Color::Red,
        Verdict::Incomplete => Color::DarkGrey,
        Verdict::Unknown => Color::Magenta,
    }
}

/// `list` for people. Marks have a column where there are any.
pub fn list_table(reports: &[SnapshotReport], shares: &[Share], marks: &[Marks], colour: bool) -> String {
    let mut header = vec!["COMPLETED", "VERDICT", "ID", "KIND", "STATE", "OWN", "SHARED", "FILES", "PATH"];
    let is_marked = marks.iter().any(|marks| !marks.words.is_empty());
    if is_marked {
        header.insert(header.len() - 1, "MARKS");
    }
    let mut table = plain_table(&header, colour);
    for (index, (report, share)) in reports.iter().zip(shares).enumerate() {
        let number = |value: Option<i64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
        let has_metadata = report.metadata_version.is_some();
        let or_dash = |text: String| if has_metadata { text } else { "-".to_owned() };
        let missing = report.files.missing;
        let mut row = vec![
            Cell::new(time(report.completed_at)),
            Cell::new(report.verdict).fg(verdict_colour(report.verdict)),
            Cell::new(number(report.checkpoint_id)),
            Cell::new(kind_words(report)),
            Cell::new(or_dash(bytes_of(report.state_size.unwrap_or(0)).to_string())),
            Cell::new(if report.verdict == Verdict::Unknown {
                "-".to_owned()
            } else {
                Bytes(share.own_bytes).to_string()
            }),
            Cell::new(or_dash(Bytes(share.shared_bytes).to_string())),
            Cell::new(or_dash(match missing {
                0 => report.files.referenced.to_string(),
                _ => format!("{} ({missing} missing)", report.files.referenced),
            })),
            Cell::new(Escaped(&report.path)),
        ];
        if is_marked {
            let words = marks.get(index).map_or("", |marks| &marks.words);
            row.insert(row.len() - 1, Cell::new(Escaped(words)));
        }
        table.add_row(row);
    }
    table_text(&table)
}

fn kind_words(report: &SnapshotReport) -> String {
    match (&report.description, report.kind) {
        (Some(description), _) => Escaped(description).to_string(),
        (None, Some(Kind::Checkpoint)) => "checkpoint".to_owned(),
        (None, Some(Kind::Savepoint)) => "savepoint".to_owned(),
        (None, None) => "-".to_owned(),
    }
}

/// How many kinds of content that was not understood are shown unless more are asked for.
const OPAQUE_SHOWN: usize = 3;
/// How many findings of one snapshot are shown unless more are asked for.
const FINDINGS_SHOWN: usize = 10;

/// `verify` for people: a line per snapshot, its findings below it.
pub fn verify_text(reports: &[SnapshotReport], colour: bool, all: bool) -> String {
    let mut text = String::new();
    for report in reports {
        let _ = writeln!(text, "{}", headline(report, colour));
        if let Some(deep) = &report.deep {
            deep_text(&mut text, deep, all);
        }
        findings_text(&mut text, &report.findings, all);
        compat_text(&mut text, report.compat.as_ref());
    }
    text
}

/// How much of the state was read, and what was not understood of it.
fn deep_text(text: &mut String, deep: &DeepCounts, all: bool) {
    let read = Bytes(deep.bytes_read);
    let _ = match deep.read == deep.streams {
        true => writeln!(text, "  read: all of it, {read} in {} streams", deep.streams),
        false => {
            let whole = Bytes(deep.bytes);
            writeln!(text, "  read: {read} of {whole}, {} of {} streams", deep.read, deep.streams)
        }
    };
    let shown = if all { deep.opaque.len() } else { OPAQUE_SHOWN };
    for what in deep.opaque.iter().take(shown) {
        let _ = writeln!(text, "  not understood: {}", Escaped(what));
    }
    if deep.opaque.len() > shown {
        let _ =
            writeln!(text, "  … and {} more kinds of content that were not understood (-v)", deep.opaque.len() - shown);
    }
}

fn headline(report: &SnapshotReport, colour: bool) -> String {
    let mut line = format!("{} {}", verdict_word(report.verdict, colour), Escaped(&report.path));
    if report.metadata_version.is_some() {
        let files = report.files;
        let _ = write!(line, "  ({}", kind_words(report));
        if let Some(id) = report.checkpoint_id {
            let _ = write!(line, " {id}");
        }
        let _ = write!(line, ", {}, {} files, {}", time(report.completed_at), files.referenced, Bytes(files.bytes));
        if files.missing > 0 {
            let _ = write!(line, ", {} missing", files.missing);
        }
        if files.damaged > 0 {
            let _ = write!(line, ", {} damaged", files.damaged);
        }
        line.push(')');
    }
    line
}

/// A verdict, padded and coloured.
pub fn verdict_word(verdict: Verdict, colour: bool) -> String {
    let code = match verdict {
        Verdict::Restorable => 32,
        Verdict::Suspect => 33,
        Verdict::Broken => 31,
        Verdict::Incomplete => 90,
        Verdict::Unknown => 35,
    };
    if colour { format!("\u{1b}[{code}m{verdict:<10}\u{1b}[0m") } else { format!("{verdict:<10}") }
}

fn findings_text(text: &mut String, findings: &[Finding], all: bool) {
    let shown = if all { findings.len() } else { FINDINGS_SHOWN };
    let mut last_hint = None;
    for finding in findings.iter().take(shown) {
        let _ = writeln!(text, "  {}: {}", code_word(finding), Escaped(&finding.message));
        if let Some(path) = &finding.path {
            let _ = writeln!(text, "    {}", Escaped(path));
        }
        if let Some(owner) = owner_text(finding) {
            let _ = writeln!(text, "    {owner}");
        }
        if let (Some(expected), actual) = (finding.expected_size, finding.actual_size) {
            let actual = actual.map_or_else(String::new, |size| format!(", it has {size}"));
            let _ = writeln!(text, "    expected {expected} bytes{actual}");
        }
        if finding.hint.is_some() && finding.hint != last_hint {
            let _ = writeln!(text, "    hint: {}", Escaped(finding.hint.as_deref().unwrap_or_default()));
            last_hint.clone_from(&finding.hint);
        }
    }
    if findings.len() > shown {
        let _ = writeln!(text, "  … and {} more findings (-v shows all)", findings.len() - shown);
    }
}

fn compat_text(text: &mut String, compat: Option<&Compat>) {
    let Some(compat) = compat else { return };
    let label = |start: &EmptyStart| match (&start.uid, &start.name) {
        (Some(name), _) | (None, Some(name)) => name.clone(),
        (None, None) => start.operator_id.to_string(),
    };
    if !compat.starts_empty.is_empty() {
        let labels: Vec<String> = compat.starts_empty.iter().take(FINDINGS_SHOWN).map(label).collect();
        let more = match compat.starts_empty.len() - labels.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let _ = writeln!(
            text,
            "  note: not in the snapshot, and starts without state: {}{more}",
            Escaped(labels.join(", "))
        );
    }
    for note in &compat.notes {
        let _ = writeln!(text, "  note: {}", Escaped(note));
    }
}

fn code_word(finding: &Finding) -> String {
    let word = finding.code.word();
    match finding.severity {
        Severity::Error => word,
        Severity::Warning => format!("{word} (warning)"),
        Severity::Unknown => format!("{word} (not known)"),
    }
}

fn owner_text(finding: &Finding) -> Option<String> {
    let id = finding.operator_id?;
    let mut text = match (&finding.operator_name, &finding.operator_uid) {
        (Some(name), _) => format!("{} ({id})", Escaped(name)),
        (None, _) => format!("operator {id}"),
    };
    if let Some(uid) = &finding.operator_uid {
        let _ = write!(text, ", uid {}", Escaped(uid));
    }
    if let Some(subtask) = finding.subtask {
        let _ = write!(text, ", subtask {subtask}");
    }
    if let Some(groups) = finding.key_groups {
        let _ = write!(text, ", key groups {groups}");
    }
    if let Some(state) = &finding.state {
        let _ = write!(text, ": {}", Escaped(state));
    }
    Some(text)
}

/// Why a snapshot is not the one: the first finding, in a line.
pub fn why(report: &SnapshotReport) -> String {
    let Some(finding) = report.findings.iter().max_by_key(|finding| finding.severity) else {
        return String::new();
    };
    let more = match report.findings.len() {
        0 | 1 => String::new(),
        n => format!(" (and {} more findings)", n - 1),
    };
    match &finding.path {
        Some(path) => format!("{}: {path}{more}", finding.message),
        None => format!("{}{more}", finding.message),
    }
}
