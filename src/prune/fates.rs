//! Which snapshots stay and which go: groups, the policy, and what holds a snapshot whatever the policy says.

use super::options::{GroupBy, Options};
use super::seen::{Seen, Snapshot};
use crate::model::Location;
use crate::records::{Record, Records};
use crate::retention::{self, Candidate, Choice, Standing};
use crate::survey::Verdict;
use crate::survey::report::Kind;
use std::collections::BTreeMap;

/// The records of pins and tags, by the directory that holds the snapshots.
pub type RecordsByDir = BTreeMap<Location, Records>;

/// For each snapshot of `seen`, what becomes of it; `None` for what is incomplete.
pub fn fates(seen: &Seen, options: &Options, records: &RecordsByDir) -> Vec<Option<Choice>> {
    let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, snapshot) in seen.snapshots.iter().enumerate() {
        if snapshot.verdict != Verdict::Incomplete {
            groups.entry(group(snapshot, seen, options.group_by)).or_default().push(index);
        }
    }
    let mut fates: Vec<Option<Choice>> = vec![None; seen.snapshots.len()];
    for members in groups.values() {
        let snapshots = || members.iter().filter_map(|&index| seen.snapshots.get(index));
        let tags: Vec<Vec<String>> = snapshots()
            .map(|snapshot| record(snapshot, records).map_or_else(Vec::new, |r| r.tags.iter().cloned().collect()))
            .collect();
        let candidates: Vec<Candidate<'_>> =
            snapshots().zip(&tags).map(|(snapshot, tags)| candidate(snapshot, options, records, tags)).collect();
        let choices =
            retention::choose(&options.policy, &candidates, options.now, options.min_age, &options.zone, options.order);
        for (&index, choice) in members.iter().zip(choices) {
            if let Some(fate) = fates.get_mut(index) {
                *fate = Some(choice);
            }
        }
    }
    keep_what_is_referred_to(seen, &mut fates);
    fates
}

/// The group of a snapshot. Savepoints are never in one with checkpoints.
fn group(snapshot: &Snapshot, seen: &Seen, by: GroupBy) -> String {
    let savepoint = snapshot.kind == Some(Kind::Savepoint);
    let kind = if savepoint { "savepoints" } else { "checkpoints" };
    match by {
        GroupBy::None => kind.to_owned(),
        GroupBy::Root => match snapshot.dir {
            Some(dir) => format!("{kind} {}", seen.tree.root(dir)),
            None => format!("{kind} {}", snapshot.path),
        },
        GroupBy::Job => {
            let above = snapshot.path.parent().unwrap_or_else(|| snapshot.path.clone());
            // `savepoint-{six digits of the job id}-{random}`
            let job = snapshot.path.name().strip_prefix("savepoint-").and_then(|rest| rest.split_once('-'));
            format!("{kind} {above} {}", job.filter(|_| savepoint).map_or("", |(job, _)| job))
        }
    }
}

fn record<'r>(snapshot: &Snapshot, records: &'r RecordsByDir) -> Option<&'r Record> {
    records.get(&snapshot.path.parent()?)?.get(snapshot.path.name())
}

fn candidate<'a>(
    snapshot: &'a Snapshot,
    options: &Options,
    records: &RecordsByDir,
    tags: &'a [String],
) -> Candidate<'a> {
    let standing = match snapshot.verdict {
        _ if !options.verify && snapshot.understood => Standing::Restorable,
        Verdict::Restorable => Standing::Restorable,
        Verdict::Suspect => Standing::NotRestorable("suspect"),
        Verdict::Broken if snapshot.understood => Standing::NotRestorable("broken"),
        Verdict::Broken | Verdict::Unknown | Verdict::Incomplete => Standing::Unknown,
    };
    let held = match (snapshot.dir, snapshot.metadata, snapshot.completed_at) {
        (None, _, _) => Some("it does not lie below the roots"),
        (_, None, _) => Some("its _metadata is not a plain file"),
        (_, _, None) => Some("when it was completed is not known"),
        _ => None,
    };
    Candidate {
        time: snapshot.completed_at.unwrap_or(options.now),
        id: snapshot.checkpoint_id,
        tags,
        standing,
        pinned: record(snapshot, records).is_some_and(|record| record.is_pinned(options.now)),
        held,
    }
}

/// A checkpoint of version 7 may take the state of subtasks from an older one of its job, which stays with it.
fn keep_what_is_referred_to(seen: &Seen, fates: &mut [Option<Choice>]) {
    let mut pending: Vec<usize> = (0..fates.len()).collect();
    while let Some(index) = pending.pop() {
        if !fates.get(index).is_some_and(|fate| fate.as_ref().is_some_and(|fate| fate.keep)) {
            continue;
        }
        let Some(keeper) = seen.snapshots.get(index).filter(|keeper| !keeper.uses.checkpoints.is_empty()) else {
            continue;
        };
        for (other, snapshot) in seen.snapshots.iter().enumerate() {
            let referred = snapshot.checkpoint_id.is_some_and(|id| keeper.uses.checkpoints.contains(&id));
            if !referred || snapshot.path.parent() != keeper.path.parent() {
                continue;
            }
            if let Some(Some(fate)) = fates.get_mut(other).filter(|fate| fate.as_ref().is_some_and(|fate| !fate.keep)) {
                *fate = Choice { keep: true, reasons: vec![format!("{} refers to it", keeper.path)] };
                pending.push(other);
            }
        }
    }
}
