//! Which state of a snapshot a job claims, as the start of a job decides it (`Checkpoints.loadAndValidateCheckpoint`,
//! `StateAssignmentOperation.checkParallelismPreconditions`, `VertexFinishedStateChecker`).

use super::heads::Heads;
use super::job::{Job, JobOperator, MaxParallelism, derived_max_parallelism};
use super::{Compat, EmptyStart, Renamed, Unclaimed, of_operator};
use crate::model::{Metadata, OperatorState, SubtaskState, Subtasks};
use crate::survey::finding::{Code, Finding, Severity};

/// Holds a snapshot against a job.
pub(super) fn check(metadata: &Metadata<'_>, heads: &[Heads], job: &Job, compat: &mut Compat) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut unclaimed = Vec::new();
    for (index, operator) in metadata.operators.iter().enumerate() {
        match job.operator(operator.id) {
            Some(claims) => findings.extend(parallelism(operator, claims)),
            None if has_state(operator) => unclaimed.push((operator, entry(operator, heads.get(index)))),
            None => {}
        }
    }
    let recorded = |claims: &&JobOperator| metadata.operators.iter().any(|operator| operator.id == claims.id);
    let empty: Vec<&JobOperator> = job.operators.iter().filter(|claims| !recorded(claims)).collect();
    compat.starts_empty = empty
        .iter()
        .map(|claims| EmptyStart { operator_id: claims.id, uid: claims.uid.clone(), name: claims.name.clone() })
        .collect();
    compat.renamed = renamed(&unclaimed, &empty);
    let certain = job.hidden.at_most == Some(0);
    for (operator, entry) in &unclaimed {
        findings.push(unclaimed_finding(operator, entry, job, certain, compat));
    }
    if let Some(hidden) = job.hidden.at_most.filter(|hidden| *hidden > 0 && unclaimed.len() > *hidden) {
        findings.push(too_many(unclaimed.len(), hidden));
    }
    let list: Vec<Unclaimed> = unclaimed.into_iter().map(|(_, entry)| entry).collect();
    *(if certain { &mut compat.dropped } else { &mut compat.unclaimed }) = list;
    findings.extend(finished_vertices(metadata, job));
    findings
}

/// Whether Flink sees state (`OperatorSubtaskState.hasState`): any handle at all, even of nothing.
fn has_state(operator: &OperatorState<'_>) -> bool {
    let any = |state: &SubtaskState<'_>| {
        state.operator_handles().next().is_some()
            || state.keyed_handles().next().is_some()
            || state.channel_handles().next().is_some()
    };
    operator.coordinator.is_some() || operator.subtasks().iter().filter_map(|subtask| subtask.state.as_deref()).any(any)
}

fn entry(operator: &OperatorState<'_>, heads: Option<&Heads>) -> Unclaimed {
    Unclaimed {
        operator_id: operator.id,
        name: operator.name.non_empty(),
        uid: operator.uid.non_empty(),
        parallelism: operator.parallelism,
        max_parallelism: operator.max_parallelism,
        states: heads.map(|heads| heads.states.iter().cloned().collect()).unwrap_or_default(),
        coordinator: operator.coordinator.is_some(),
        bytes: operator.state_size(),
    }
}

fn parallelism(operator: &OperatorState<'_>, claims: &JobOperator) -> Vec<Finding> {
    let mut findings = Vec::new();
    let recorded = operator.max_parallelism;
    let mut say = |severity, message: String, hint: &str| {
        findings.push(of_operator(Code::MaxParallelism, severity, operator, message).hint(hint));
    };
    match claims.max_parallelism {
        Some(MaxParallelism::Explicit(wanted)) if wanted != recorded => say(
            Severity::Error,
            format!(
                "the snapshot has max parallelism {recorded}, the job sets {wanted}: Flink does not start this job"
            ),
            &format!("setMaxParallelism({recorded}) in the job, or leave it out there"),
        ),
        // Flink derives it anew, or takes it over from the snapshot, unless the program says it.
        Some(MaxParallelism::Seen(seen))
            if seen != recorded && claims.parallelism.is_none_or(|p| derived_max_parallelism(p) != seen) =>
        {
            say(
                Severity::Unknown,
                format!(
                    "the snapshot has max parallelism {recorded}, the job was seen with {seen}: Flink does not start it \
                     if the program sets that"
                ),
                "a list of operators says what the program sets: UID max_parallelism=N",
            );
        }
        _ => {}
    }
    // Flink looks at operators of which subtasks were recorded (`TaskStateAssignment.hasNonFinishedState`).
    let looked_at = !operator.subtasks().is_empty();
    if let Some(parallelism) = claims.parallelism.filter(|parallelism| looked_at && *parallelism > recorded) {
        say(
            Severity::Error,
            format!(
                "the job has parallelism {parallelism}, more than the max parallelism {recorded} of the snapshot: Flink \
                 does not start this job"
            ),
            &format!("a parallelism of {recorded} at most"),
        );
    }
    findings
}

/// Whether an operator of a job may be the one that was in a snapshot.
type Way<'w> = &'w dyn Fn(&Unclaimed, &JobOperator) -> bool;

/// Operators that lost their id, where there is one candidate alone for what was in the snapshot.
fn renamed(unclaimed: &[(&OperatorState<'_>, Unclaimed)], empty: &[&JobOperator]) -> Vec<Renamed> {
    let fits = |entry: &Unclaimed, claims: &JobOperator| {
        let max = match claims.max_parallelism {
            Some(MaxParallelism::Explicit(max)) => max == entry.max_parallelism,
            _ => true,
        };
        let states = claims.states.is_empty()
            || entry.states.is_empty()
            || claims.states.iter().all(|name| entry.states.contains(name));
        max && states && claims.parallelism.is_none_or(|parallelism| parallelism <= entry.max_parallelism)
    };
    let same_name = |entry: &Unclaimed, claims: &JobOperator| entry.name.is_some() && entry.name == claims.name;
    let same_states = |entry: &Unclaimed, claims: &JobOperator| {
        !claims.states.is_empty() && claims.states.iter().all(|name| entry.states.contains(name))
    };
    let ways: [(&str, Way<'_>); 3] = [
        ("both have the same states", &same_states),
        ("both have the same name", &same_name),
        ("it alone in the job is not in the snapshot", &|_, _| unclaimed.len() == 1 && empty.len() == 1),
    ];
    let mut found = Vec::new();
    for (_, entry) in unclaimed {
        let one = ways.iter().find_map(|(why, way)| {
            let mut candidates = empty.iter().filter(|claims| fits(entry, claims) && way(entry, claims));
            let one = candidates.next().filter(|_| candidates.next().is_none())?;
            let back = unclaimed.iter().filter(|(_, other)| fits(other, one) && way(other, one)).count();
            (back == 1).then_some((why, one))
        });
        if let Some((why, claims)) = one {
            found.push(Renamed {
                from: entry.operator_id,
                from_uid: entry.uid.clone(),
                to: claims.id,
                to_uid: claims.uid.clone(),
                to_name: claims.name.clone(),
                why: (*why).to_owned(),
            });
        }
    }
    found
}

fn unclaimed_finding(
    operator: &OperatorState<'_>,
    entry: &Unclaimed,
    job: &Job,
    certain: bool,
    compat: &Compat,
) -> Finding {
    let states = match (entry.states.is_empty(), entry.coordinator) {
        (false, _) => format!(" ({})", entry.states.join(", ")),
        (true, true) => " (state of its coordinator)".to_owned(),
        (true, false) => String::new(),
    };
    let what = format!("{} bytes of state{states}", entry.bytes);
    let renamed = compat.renamed.iter().find(|renamed| renamed.from == operator.id);
    if certain {
        let message =
            format!("no operator of the job claims its {what}: Flink does not start without -n, and with -n drops it");
        let finding = of_operator(Code::UnclaimedState, Severity::Error, operator, message);
        return match renamed {
            Some(renamed) => finding.hint(renaming(renamed)),
            None => {
                finding.hint("the uid that the operator had, or --allowNonRestoredState (-n) to do without its state")
            }
        };
    }
    let chained = entry.name.as_deref().filter(|name| job.hidden.names.iter().any(|hidden| hidden == name));
    let guess = match chained {
        Some(_) => "an operator of its name is chained inside a vertex, so it may be that one",
        None => "it may be an operator that is chained inside a vertex, or Flink does not start without -n",
    };
    let message = format!("no operator of the job is known to claim its {what}: {guess}");
    let hint = "a list of the job's uids decides it; a plan identifies the first operator of each chain only";
    of_operator(Code::PerhapsUnclaimed, Severity::Unknown, operator, message).hint(hint)
}

fn renaming(renamed: &Renamed) -> String {
    let to = match (&renamed.to_uid, &renamed.to_name) {
        (Some(uid), _) => format!("uid {uid}"),
        (None, Some(name)) => name.clone(),
        (None, None) => renamed.to.to_string(),
    };
    let old = match &renamed.from_uid {
        Some(uid) => format!("uid({uid:?})"),
        None => format!("setUidHash({:?})", renamed.from.to_string()),
    };
    format!("was it renamed? {to} of the job may be it ({}); {old} in the job gives it its state back", renamed.why)
}

fn too_many(unclaimed: usize, hidden: usize) -> Finding {
    let message = format!(
        "{unclaimed} operators with state are not among the known ones of the job, and {hidden} others at most are in it: \
         Flink does not start without -n, and with -n drops the state of {} at least",
        unclaimed - hidden
    );
    let mut finding = Finding::new(Code::UnclaimedState, Severity::Error, "", message);
    finding.path = None;
    finding.hint("a list of the job's uids says which")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FinishedState {
    Running,
    Partly,
    Fully,
}

/// The rules for operators that had finished, as far as the heads of the vertices decide them.
fn finished_vertices(metadata: &Metadata<'_>, job: &Job) -> Vec<Finding> {
    let state = |id| {
        let operator = metadata.operators.iter().find(|operator| operator.id == id);
        match operator.map(|operator| &operator.subtasks) {
            Some(Subtasks::FullyFinished(_)) => FinishedState::Fully,
            Some(Subtasks::Some(list)) if list.iter().any(|subtask| subtask.finished) => FinishedState::Partly,
            _ => FinishedState::Running,
        }
    };
    let mut findings = Vec::new();
    for operator in &metadata.operators {
        let Some(vertex) = job.operator(operator.id) else { continue };
        let own = state(vertex.id);
        for input in &vertex.inputs {
            let feeder = state(input.from);
            let broken = match own {
                FinishedState::Running => false,
                FinishedState::Fully => feeder != FinishedState::Fully,
                FinishedState::Partly => {
                    feeder == FinishedState::Running
                        || (input.all_to_all == Some(true) && feeder != FinishedState::Fully)
                }
            };
            if broken {
                let from = job.operator(input.from).map_or_else(|| input.from.to_string(), JobOperator::label);
                let message = format!(
                    "it had finished in the snapshot{}, and {from} of the job, which feeds it, had not: Flink does not \
                     start this job",
                    if own == FinishedState::Partly { " in part" } else { "" }
                );
                findings.push(of_operator(Code::FinishedOperator, Severity::Error, operator, message));
            }
        }
    }
    findings
}
