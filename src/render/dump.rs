//! `inspect` for people: a summary with a table of operators, and with `-v` every field.

use super::report::{plain_table, table_text};
use super::{Bytes, Escaped, bytes_of, time};
use crate::format::properties;
use crate::model::{Metadata, OperatorState};
use crate::survey::report::SnapshotReport;
use comfy_table::{Cell, CellAlignment};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// What is in a `_metadata`, in a screenful.
pub fn summary(metadata: &Metadata<'_>, report: &SnapshotReport) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<16} {value}");
    };
    line("snapshot", Escaped(&report.path).to_string());
    line("checkpoint id", metadata.checkpoint_id.to_string());
    line("kind", Escaped(report.description.as_deref().unwrap_or("-")).to_string());
    if let Some(properties) = metadata.properties.as_deref().and_then(properties::read) {
        line("retention", properties.retention().to_owned());
    }
    line("completed", time(report.completed_at));
    line("format", format!("version {} ({})", metadata.version.number(), metadata.version.releases()));
    let (all, own) = (metadata.state_size(), metadata.checkpointed_size());
    line("state size", format!("{} ({} written by this checkpoint)", bytes_of(all), bytes_of(own)));
    line("_metadata", format!("{}", Bytes(report.metadata_size.unwrap_or(0))));
    let files = report.files;
    line("files", format!("{} of {}, {} missing", files.referenced, Bytes(files.bytes), files.missing));
    for job in &report.depends_on {
        line("depends on", Escaped(job).to_string());
    }
    for state in &metadata.master_states {
        line(
            "master state",
            format!("{} (version {}, {} bytes)", Escaped(&state.name), state.version, state.payload.len()),
        );
    }
    if !metadata.trailing.is_empty() {
        line("trailing bytes", metadata.trailing.len().to_string());
    }
    text.push('\n');
    text.push_str(&operator_table(metadata));
    text
}

/// What an operator is called: its uid, else its name, else its id.
pub fn operator_name(operator: &OperatorState<'_>) -> String {
    let name = [&operator.uid, &operator.name].into_iter().find(|text| !text.is_empty());
    name.map_or_else(|| format!("operator {}", operator.id), |name| format!("{name} ({})", operator.id))
}

fn operator_table(metadata: &Metadata<'_>) -> String {
    let mut table = plain_table(&["OPERATOR", "ID", "PAR", "MAX", "SUBTASKS", "STATE", "HOLDS"], false);
    for operator in &metadata.operators {
        let name = [&operator.uid, &operator.name].into_iter().find(|text| !text.is_empty());
        table.add_row([
            Cell::new(name.map_or_else(|| "-".to_owned(), |name| Escaped(name).to_string())),
            Cell::new(operator.id),
            Cell::new(operator.parallelism).set_alignment(CellAlignment::Right),
            Cell::new(operator.max_parallelism).set_alignment(CellAlignment::Right),
            Cell::new(subtasks(operator)),
            Cell::new(bytes_of(operator.state_size())),
            Cell::new(Escaped(holds(operator))),
        ]);
    }
    table_text(&table)
}

fn subtasks(operator: &OperatorState<'_>) -> String {
    if operator.is_fully_finished() {
        return "all finished".to_owned();
    }
    match operator.subtasks().iter().filter(|subtask| subtask.finished).count() {
        0 => operator.subtasks().len().to_string(),
        finished => format!("{} ({finished} finished)", operator.subtasks().len()),
    }
}

/// The kinds of state of an operator, with how many subtasks have each, and the names of its operator states.
fn holds(operator: &OperatorState<'_>) -> String {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    let mut names = BTreeSet::new();
    for state in operator.subtasks().iter().filter_map(|subtask| subtask.state.as_deref()) {
        for (raw, handle) in state.operator_handles() {
            *kinds.entry(if raw { "raw operator" } else { "operator" }).or_default() += 1;
            names.extend(handle.states.iter().map(|state| format!("{}:{}", state.name, state.mode.name())));
        }
        for (raw, handle) in state.keyed_handles() {
            *kinds.entry(if raw { "raw keyed" } else { keyed_words(handle.class()) }).or_default() += 1;
        }
        if state.channel_handles().next().is_some() {
            *kinds.entry("in-flight").or_default() += 1;
        }
    }
    let mut parts: Vec<String> = kinds.iter().map(|(kind, count)| format!("{kind} ×{count}")).collect();
    if operator.coordinator.is_some() {
        parts.push("coordinator".to_owned());
    }
    if !names.is_empty() {
        parts.push(format!("[{}]", names.into_iter().collect::<Vec<_>>().join(", ")));
    }
    if parts.is_empty() { "-".to_owned() } else { parts.join(", ") }
}

fn keyed_words(class: &str) -> &'static str {
    match class {
        "IncrementalRemoteKeyedStateHandle" => "keyed (database files)",
        "KeyGroupsSavepointStateHandle" => "keyed (canonical)",
        "KeyGroupsStateHandle" => "keyed (key groups)",
        _ => "keyed (changelog)",
    }
}

/// Every field, indented.
pub fn every_field(value: &Value) -> String {
    let mut text = String::new();
    fields(&mut text, value, 0);
    text
}

fn fields(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                field(text, &format!("{}:", Escaped(name)), value, depth);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| field(text, "-", item, depth)),
        scalar => {
            let _ = writeln!(text, "{:indent$}{}", "", plain(scalar), indent = depth * 2);
        }
    }
}

fn field(text: &mut String, label: &str, value: &Value, depth: usize) {
    let indent = depth * 2;
    match value {
        Value::Object(map) if !map.is_empty() => {
            let _ = writeln!(text, "{:indent$}{label}", "");
            fields(text, value, depth + 1);
        }
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            let _ = writeln!(text, "{:indent$}{label}", "");
            fields(text, value, depth + 1);
        }
        value => {
            let _ = writeln!(text, "{:indent$}{label} {}", "", plain(value));
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => Escaped(text).to_string(),
        other => Escaped(other).to_string(),
    }
}
