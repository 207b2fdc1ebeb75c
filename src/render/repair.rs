//! Repairs as text and JSON.

use super::{Bytes, Escaped, bytes_of, prune::count};
use crate::edit::operators::{Lost, Renamed};
use crate::repair::{Changes, Dropped, Prepared, Why, Written};
use crate::survey::{Finding, Severity, Verdict};
use serde::Serialize;
use std::fmt::Write as _;

/// So many lines of one list are shown, unless more are asked for.
const SHOWN: usize = 20;

/// What `repair --json` prints.
#[derive(Debug, Serialize)]
pub struct RepairJson<'p> {
    source: String,
    output: String,
    /// Whether it was written.
    applied: bool,
    /// Of the result; null where it was not judged.
    verdict: Option<Verdict>,
    changes: &'p Changes,
    /// Files that are copied.
    copied_files: u64,
    /// Their size in bytes.
    copied_bytes: u64,
    /// Of the files, those that got a second name instead.
    linked_files: u64,
    findings: &'p [Finding],
    hints: &'p [String],
    /// The command that starts a job from the result.
    next: String,
}

impl<'p> RepairJson<'p> {
    /// A repair, written or not.
    pub fn new(prepared: &'p Prepared, written: Option<Written>) -> Self {
        RepairJson {
            source: prepared.source.to_string(),
            output: prepared.dest.to_string(),
            applied: written.is_some(),
            verdict: prepared.verdict(),
            changes: &prepared.changes,
            copied_files: prepared.copies.len() as u64,
            copied_bytes: copied_bytes(prepared),
            linked_files: written.map_or(0, |written| written.linked),
            findings: prepared.report.as_ref().map_or(&[], |report| &report.findings),
            hints: &prepared.hints,
            next: next_command(prepared),
        }
    }
}

fn copied_bytes(prepared: &Prepared) -> u64 {
    prepared.copies.iter().fold(0, |sum, (_, size)| sum.saturating_add(*size))
}

/// The command that starts a job from the result. Without `-n`, whatever was dropped: Flink asks for it where the snapshot
/// has state that no operator of the job claims, and with it would pass over such state that nobody meant to lose.
pub fn next_command(prepared: &Prepared) -> String {
    let dest = prepared.dest_there.to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/:._-+@%=".contains(c);
    let dest = if dest.chars().all(plain) { dest } else { format!("'{}'", dest.replace('\'', r"'\''")) };
    format!("flink run -s {dest} job.jar")
}

/// What is different, for people.
pub fn text(prepared: &Prepared, verbose: bool) -> String {
    let Changes { before, after, lost, dropped_states, renamed, paths } = &prepared.changes;
    let mut text = String::new();
    let mut line = |word: &str, what: String| {
        let _ = writeln!(text, "{word:<12} {}", Escaped(what));
    };
    line("source", prepared.source.to_string());
    line("output", prepared.dest.to_string());
    for Dropped { lost, why } in lost {
        line("- operator", format!("{}: {} ({why})", who(lost), loss(lost)));
    }
    for state in dropped_states {
        let name = state.operator_name.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
        line(
            "- state",
            format!(
                "{}{name}/{}: {}, {} in {}",
                state.operator_id,
                state.state,
                state.mode,
                count(state.partitions, "partition"),
                count(state.subtasks, "subtask")
            ),
        );
    }
    for Renamed { from, from_uid, to, to_uid, name } in renamed {
        let name = name.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
        let from_uid = from_uid.as_ref().map_or_else(String::new, |uid| format!(" {uid}"));
        line("~ uid", format!("{from}{from_uid}{name} → {to} {to_uid}"));
    }
    let shown = if verbose { paths.len() } else { SHOWN };
    for change in paths.iter().take(shown) {
        let why = match change.why {
            Why::Map => "--map",
            Why::ReAnchor => "--re-anchor",
            Why::Find => "--find",
            Why::Absolute => "made absolute",
        };
        let (from, to) = (&change.from, &change.to);
        line("~ paths", format!("{from} → {to}: {} ({why})", count(change.handles, "handle")));
    }
    if paths.len() > shown {
        line("~ paths", format!("… and of {} more (-v shows all)", count((paths.len() - shown) as u64, "directory")));
    }
    if !prepared.copies.is_empty() {
        let files = count(prepared.copies.len() as u64, "file");
        line("+ copies", format!("{files}, {}", Bytes(copied_bytes(prepared))));
    }
    let mut row = |word: &str, before: String, after: String| {
        line(word, if before == after { before } else { format!("{before} → {after}") });
    };
    row("checkpoint", before.checkpoint_id.to_string(), after.checkpoint_id.to_string());
    row("version", before.metadata_version.to_string(), after.metadata_version.to_string());
    row("operators", before.operators.to_string(), after.operators.to_string());
    row("handles", before.handles.to_string(), after.handles.to_string());
    row("state", bytes_of(before.state_size).to_string(), bytes_of(after.state_size).to_string());
    row("_metadata", Bytes(before.metadata_size).to_string(), Bytes(after.metadata_size).to_string());
    line("verdict", prepared.verdict().map_or_else(|| "not asked for".to_owned(), |verdict| verdict.to_string()));
    text
}

/// An operator by what is known of it.
fn who(lost: &Lost) -> String {
    let name = lost.name.as_deref().map(|name| format!(" {name}"));
    let uid = lost.uid.as_deref().map(|uid| format!(", uid {uid}"));
    format!("{}{}{}", lost.operator_id, name.unwrap_or_default(), uid.unwrap_or_default())
}

fn loss(lost: &Lost) -> String {
    let subtasks =
        format!("state of {} of {}", lost.subtasks, count(lost.parallelism.unsigned_abs().into(), "subtask"));
    let groups =
        if lost.key_groups == 0 { String::new() } else { format!(", {}", count(lost.key_groups, "key group")) };
    let coordinator = if lost.coordinator { ", state of the coordinator" } else { "" };
    format!("{subtasks}{groups}{coordinator}, {} are lost", bytes_of(lost.bytes))
}

/// What stands against the result, for people; the findings that are no obstacle are left out.
pub fn findings_text(prepared: &Prepared) -> String {
    let mut text = String::new();
    let findings = prepared.report.iter().flat_map(|report| &report.findings);
    let obstacles: Vec<&Finding> = findings.filter(|finding| finding.severity != Severity::Warning).collect();
    for finding in obstacles.iter().take(SHOWN) {
        let path = finding.path.as_deref().unwrap_or_default();
        let _ = writeln!(text, "{}: {path}: {}", finding.code.word(), finding.message);
    }
    if obstacles.len() > SHOWN {
        let _ = writeln!(text, "… and {} more", obstacles.len() - SHOWN);
    }
    text
}
