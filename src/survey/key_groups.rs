//! Whether the keyed state of an operator's subtasks is complete and does not overlap.
//!
//! Flink does not check this; it hands out what is there. A subtask without a keyed handle is nothing to complain of:
//! an operator that registers its state with the first record has none before it, and a finished subtask has none.
//! A handle with other key groups than the subtask's own is not written by any Flink.

use super::finding::{Code, Finding, Severity};
use crate::model::{KeyGroupRange, OperatorState};

/// Findings about one operator's managed keyed state.
pub fn check(operator: &OperatorState<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut ranges: Vec<(i32, KeyGroupRange)> = Vec::new();
    for subtask in operator.subtasks() {
        let Some(handle) = subtask.state.as_ref().and_then(|state| state.managed_keyed.as_deref()) else {
            continue;
        };
        let range = handle.range();
        let own = KeyGroupRange::of_subtask(operator.max_parallelism, operator.parallelism, subtask.index);
        if let Some(own) = own
            && !covers(range, own)
        {
            let message = format!("subtask {} has state of key groups {range}, but its own are {own}", subtask.index);
            findings.push(finding(operator, Code::MissingKeyGroups, subtask.index, own, message));
        }
        ranges.push((subtask.index, range));
    }
    ranges.sort_by_key(|(_, range)| range.bounds());
    for pair in ranges.windows(2) {
        let [(first, a), (second, b)] = pair else {
            continue;
        };
        let ((_, a_end), (b_start, b_end)) = (a.bounds(), b.bounds());
        if first != second && !a.is_empty() && !b.is_empty() && b_start <= a_end {
            let both = KeyGroupRange { start: b_start, count: a_end.min(b_end) - b_start + 1 };
            let message = format!("subtasks {first} and {second} both have state of key groups {both}");
            findings.push(finding(operator, Code::OverlappingKeyGroups, *second, both, message));
        }
    }
    findings
}

fn covers(range: KeyGroupRange, own: KeyGroupRange) -> bool {
    let ((start, end), (own_start, own_end)) = (range.bounds(), own.bounds());
    !range.is_empty() && start <= own_start && own_end <= end
}

fn finding(operator: &OperatorState<'_>, code: Code, subtask: i32, groups: KeyGroupRange, message: String) -> Finding {
    let finding = Finding {
        path: None,
        key_groups: Some(groups),
        state: Some("managed keyed state".to_owned()),
        ..Finding::new(code, Severity::Warning, "", message)
    };
    finding
        .of_subtask(operator, subtask)
        .hint("Flink would start; the _metadata was changed or damaged after Flink wrote it")
}
