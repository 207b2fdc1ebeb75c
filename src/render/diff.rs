//! `diff`: what two snapshots differ in.

use super::prune::count;
use super::report::{plain_table, table_text};
use super::{Bytes, Escaped, bytes_of, json_time, time};
use crate::survey::diff::{
    Amount, Diff, Fate, Files, KindChange, OperatorChange, OperatorSide, StateChange, TypeChange, Whole,
};
use comfy_table::{Cell, CellAlignment, Color};
use serde::Serialize;
use std::fmt::Write as _;

/// The object that `diff --json` prints.
#[derive(Debug, Serialize)]
pub struct DiffJson<'d> {
    differs: bool,
    a: WholeJson<'d>,
    b: WholeJson<'d>,
    operators: Vec<OperatorJson<'d>>,
    master_states: &'d [String],
    files: &'d Files,
    totals: Totals,
}

#[derive(Debug, Serialize)]
struct WholeJson<'d> {
    path: &'d str,
    checkpoint_id: i64,
    job_id: Option<&'d str>,
    description: &'d str,
    metadata_version: i32,
    completed_at: Option<String>,
    state_size: i64,
    checkpointed_size: i64,
    files: u64,
    file_bytes: u64,
    metadata_size: u64,
    /// Bytes on storage that it needs.
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct OperatorJson<'d> {
    fate: Fate,
    differs: bool,
    growth: i64,
    a: Option<&'d OperatorSide>,
    b: Option<&'d OperatorSide>,
    why: Option<&'d str>,
    kinds: &'d [KindChange],
    states: &'d [StateChange],
    types: &'d [TypeChange],
    unread: &'d [String],
}

#[derive(Debug, Serialize)]
struct Totals {
    operators_added: u64,
    operators_gone: u64,
    operators_renamed: u64,
    operators_changed: u64,
    growth: i64,
    files_added: u64,
    files_gone: u64,
    files_both: u64,
    files_moved: u64,
    new_bytes: u64,
    gone_bytes: u64,
}

impl<'d> DiffJson<'d> {
    /// The differences.
    pub fn new(diff: &'d Diff) -> Self {
        let operator = |change: &'d OperatorChange| OperatorJson {
            fate: change.fate,
            differs: change.differs(),
            growth: change.growth(),
            a: change.a.as_ref(),
            b: change.b.as_ref(),
            why: change.why.as_deref(),
            kinds: &change.kinds,
            states: &change.states,
            types: &change.types,
            unread: &change.unread,
        };
        DiffJson {
            differs: diff.differs(),
            a: whole_json(&diff.a),
            b: whole_json(&diff.b),
            operators: diff.operators.iter().map(operator).collect(),
            master_states: &diff.master_states,
            files: &diff.files,
            totals: totals(diff),
        }
    }
}

fn whole_json(whole: &Whole) -> WholeJson<'_> {
    WholeJson {
        path: &whole.path,
        checkpoint_id: whole.checkpoint_id,
        job_id: whole.job_id.as_deref(),
        description: &whole.description,
        metadata_version: whole.metadata_version,
        completed_at: json_time(whole.completed_at),
        state_size: whole.state_size,
        checkpointed_size: whole.checkpointed_size,
        files: whole.files,
        file_bytes: whole.file_bytes,
        metadata_size: whole.metadata_size,
        bytes: whole.bytes(),
    }
}

fn totals(diff: &Diff) -> Totals {
    let operators = |fate| diff.operators.iter().filter(|operator| operator.fate == fate).count() as u64;
    let changed = diff.operators.iter().filter(|operator| operator.fate == Fate::Both && operator.differs());
    Totals {
        operators_added: operators(Fate::Added),
        operators_gone: operators(Fate::Gone),
        operators_renamed: operators(Fate::Renamed),
        operators_changed: changed.count() as u64,
        growth: diff.b.state_size.saturating_sub(diff.a.state_size),
        files_added: diff.files.added.len() as u64,
        files_gone: diff.files.gone.len() as u64,
        files_both: diff.files.both.len() as u64,
        files_moved: diff.files.moved.len() as u64,
        new_bytes: diff.new_bytes,
        gone_bytes: diff.gone_bytes,
    }
}

/// The differences, for people: operators that differ, and sums of files; with `all` every operator and file.
pub fn text(diff: &Diff, all: bool, colour: bool) -> String {
    let mut text = String::new();
    for (name, whole) in [("A", &diff.a), ("B", &diff.b)] {
        let what = format!(
            "{name}  {}  {}, id {}, version {}, completed {}",
            whole.path,
            whole.description,
            whole.checkpoint_id,
            whole.metadata_version,
            time(whole.completed_at)
        );
        let _ = writeln!(text, "{}", Escaped(what));
    }
    let shown: Vec<&OperatorChange> = diff.operators.iter().filter(|operator| all || operator.differs()).collect();
    if !shown.is_empty() {
        text.push('\n');
        text.push_str(&operators(&shown, all, colour));
    }
    for name in &diff.master_states {
        let _ = writeln!(text, "master state {}: not the same", Escaped(name));
    }
    if all {
        text.push_str(&files(&diff.files));
    }
    text.push('\n');
    text.push_str(&sums(diff));
    text
}

fn operators(shown: &[&OperatorChange], all: bool, colour: bool) -> String {
    let mut table = plain_table(&["", "OPERATOR", "A", "B", "GROWTH", "WHAT"], colour);
    for change in shown {
        let (mark, paint) = match change.fate {
            Fate::Added => ("+", Color::Green),
            Fate::Gone => ("-", Color::Red),
            Fate::Renamed => (">", Color::Yellow),
            Fate::Both if change.differs() => ("~", Color::Yellow),
            Fate::Both => ("=", Color::Reset),
        };
        let number = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
        let size = |side: &Option<OperatorSide>| {
            side.as_ref().map_or_else(|| "-".to_owned(), |side| bytes_of(side.state_size).to_string())
        };
        table.add_row([
            if colour { Cell::new(mark).fg(paint) } else { Cell::new(mark) },
            Cell::new(Escaped(name(change))),
            number(size(&change.a)),
            number(size(&change.b)),
            number(signed(change.growth())),
            Cell::new(Escaped(what(change))),
        ]);
        let finer = |label: String, before: Option<u64>, now: Option<u64>, note: String| {
            let size = |bytes: Option<u64>| bytes.map_or_else(|| "-".to_owned(), |bytes| Bytes(bytes).to_string());
            let growth = difference(before.unwrap_or(0), now.unwrap_or(0));
            [
                Cell::new(""),
                Cell::new(Escaped(label)),
                number(size(before)),
                number(size(now)),
                number(signed(growth)),
                Cell::new(Escaped(note)),
            ]
        };
        for state in change.states.iter().filter(|state| all || state.a != state.b) {
            let bytes = |named: Option<crate::survey::diff::Named>| named.map(|named| named.bytes);
            let note = elements(state);
            table.add_row(finer(
                format!("  {} state {}", state.kind.words(), state.name),
                bytes(state.a),
                bytes(state.b),
                note,
            ));
        }
    }
    let mut text = table_text(&table);
    for change in shown {
        for state in &change.types {
            let said = |side: &Option<String>| side.clone().unwrap_or_else(|| "not there".to_owned());
            let line = format!("{}: state {}: {} → {}", name(change), state.state, said(&state.a), said(&state.b));
            let _ = writeln!(text, "{}", Escaped(line));
        }
        for why in &change.unread {
            let _ = writeln!(text, "{}", Escaped(format!("{}: not read: {why}", name(change))));
        }
    }
    text
}

/// What an operator is called: its uid, else its name, else its id; both where they differ.
fn name(change: &OperatorChange) -> String {
    let of = |side: &OperatorSide| {
        let named = side.uid.as_ref().or(side.name.as_ref());
        named.cloned().unwrap_or_else(|| side.operator_id.to_string())
    };
    match (&change.a, &change.b) {
        (Some(a), Some(b)) if change.fate == Fate::Renamed => {
            // The same name for two ids says nothing.
            if of(a) == of(b) {
                format!("{} → {}", a.operator_id, b.operator_id)
            } else {
                format!("{} → {}", of(a), of(b))
            }
        }
        (_, Some(side)) | (Some(side), None) => of(side),
        (None, None) => String::new(),
    }
}

/// What changed of an operator, in words.
fn what(change: &OperatorChange) -> String {
    let mut parts = Vec::new();
    if let Some(why) = &change.why {
        parts.push(format!("probably renamed: {why}"));
    }
    match (&change.a, &change.b) {
        (Some(a), Some(b)) => {
            if a.parallelism != b.parallelism {
                parts.push(format!("parallelism {} → {}", a.parallelism, b.parallelism));
            }
            if a.max_parallelism != b.max_parallelism {
                parts.push(format!("max parallelism {} → {}", a.max_parallelism, b.max_parallelism));
            }
            if a.fully_finished != b.fully_finished {
                parts.push(if b.fully_finished { "finished" } else { "no longer finished" }.to_owned());
            } else if a.finished_subtasks != b.finished_subtasks {
                parts.push(format!("finished subtasks {} → {}", a.finished_subtasks, b.finished_subtasks));
            }
        }
        (None, Some(side)) | (Some(side), None) => parts.push(format!("parallelism {}", side.parallelism)),
        (None, None) => {}
    }
    parts.extend(change.kinds.iter().filter(|kind| kind.changed).map(kind_text));
    if parts.is_empty() && change.differs() {
        parts.push("other names".to_owned());
    }
    parts.join("; ")
}

fn kind_text(kind: &KindChange) -> String {
    let Amount { inline, exclusive, shared, .. } = kind.a;
    let places = [
        ("in line", inline, kind.b.inline),
        ("exclusive", exclusive, kind.b.exclusive),
        ("shared", shared, kind.b.shared),
    ];
    let grown = places.iter().filter(|(_, a, b)| a != b);
    let grown: Vec<String> = grown.map(|(name, a, b)| format!("{name} {}", signed(b.saturating_sub(*a)))).collect();
    match grown.is_empty() {
        true if kind.a.bytes == kind.a.inline => format!("{}: as large, other content", kind.kind.words()),
        true => format!("{}: as large, in other files", kind.kind.words()),
        false => format!("{}: {}", kind.kind.words(), grown.join(", ")),
    }
}

fn elements(state: &StateChange) -> String {
    match (state.a, state.b) {
        (Some(a), Some(b)) if a.mode != b.mode => format!("{} → {}", a.mode, b.mode),
        (Some(a), Some(b)) if a.elements != b.elements => format!("{} → {} elements", a.elements, b.elements),
        (Some(a), Some(_)) => count(a.elements, "element"),
        (None, Some(b)) => format!("new, {}", count(b.elements, "element")),
        (Some(a), None) => format!("gone, {}", count(a.elements, "element")),
        (None, None) => String::new(),
    }
}

fn difference(a: u64, b: u64) -> i64 {
    i64::try_from(i128::from(b) - i128::from(a)).unwrap_or(i64::MAX)
}

/// A difference in bytes, with its sign.
fn signed(bytes: i64) -> String {
    match bytes {
        0 => "0".to_owned(),
        1.. => format!("+{}", Bytes(bytes.unsigned_abs())),
        _ => format!("-{}", Bytes(bytes.unsigned_abs())),
    }
}

fn files(files: &Files) -> String {
    let mut text = String::from("\n");
    let mut line = |mark: &str, bytes: u64, path: &str| {
        let _ = writeln!(text, "{mark} {bytes:>12}  {}", Escaped(path));
    };
    files.added.iter().for_each(|file| line("+", file.bytes, &file.path));
    files.gone.iter().for_each(|file| line("-", file.bytes, &file.path));
    files.moved.iter().for_each(|file| line(">", file.bytes, &format!("{} → {}", file.from, file.to)));
    for file in &files.both {
        match (file.new_bytes, file.gone_bytes) {
            (0, 0) => line("=", file.bytes, &file.path),
            (new, gone) => line("~", file.bytes, &format!("{} (+{new} -{gone})", file.path)),
        }
    }
    if text == "\n" { String::new() } else { text }
}

fn sums(diff: &Diff) -> String {
    let mut text = String::new();
    let files = &diff.files;
    let of = |files: &[crate::survey::diff::FileChange]| {
        Bytes(files.iter().fold(0, |sum, file| sum.saturating_add(file.bytes)))
    };
    let moved = match files.moved.len() {
        0 => String::new(),
        number => format!(", {number} in another place"),
    };
    let _ = writeln!(
        text,
        "files    {} added ({}), {} gone ({}), {} in both ({}){moved}",
        files.added.len(),
        of(&files.added),
        files.gone.len(),
        of(&files.gone),
        files.both.len(),
        of(&files.both),
    );
    let (a, b) = (&diff.a, &diff.b);
    let growth = signed(b.state_size.saturating_sub(a.state_size));
    let _ = writeln!(text, "state    {} → {} ({growth})", bytes_of(a.state_size), bytes_of(b.state_size));
    let _ = writeln!(
        text,
        "storage  {} → {}; {} of it only B's, {} only A's",
        Bytes(a.bytes()),
        Bytes(b.bytes()),
        Bytes(diff.new_bytes),
        Bytes(diff.gone_bytes)
    );
    text
}
