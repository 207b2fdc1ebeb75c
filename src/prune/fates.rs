//! Which snapshots stay and which go: groups, the policy, and what holds a snapshot whatever the policy says.

use super::held::HeldHere;
use super::options::{GroupBy, Options};
use super::seen::{Seen, Snapshot};
use super::uses::Uses;
use crate::model::Location;
use crate::records::{Record, Records};
use crate::retention::{self, Candidate, Choice, Standing};
use crate::survey::Verdict;
use crate::survey::catalog::METADATA;
use crate::survey::report::Kind;
use std::collections::BTreeMap;

/// The records of pins and tags, by the directory that holds the snapshots.
pub type RecordsByDir = BTreeMap<Location, Records>;

/// For each snapshot of `seen`, what becomes of it; `None` for what is incomplete.
pub fn fates(seen: &Seen, options: &Options, records: &RecordsByDir, held: &HeldHere) -> Vec<Option<Choice>> {
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
    for (&index, why) in &held.snapshots {
        if let Some(Some(fate)) = fates.get_mut(index) {
            if !fate.keep {
                fate.reasons.clear();
            }
            fate.keep = true;
            fate.reasons.push(format!("in use: {why}"));
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

/// A snapshot stays with one that needs it itself: a checkpoint of version 7 may take the state of subtasks from an older one of
/// its job, and a handle that no Flink writes may name a `_metadata`. Where that stayed alone, the snapshot would look whole.
fn keep_what_is_referred_to(seen: &Seen, fates: &mut [Option<Choice>]) {
    let others = seen.aside.iter().chain(seen.elsewhere.iter().map(|snapshot| &snapshot.uses));
    for uses in others.filter(|uses| may_need_a_metadata(seen, uses)) {
        keep_all(seen, fates, |other| {
            needs(seen, uses, other).then(|| "a snapshot that no policy is about refers to it".to_owned())
        });
    }
    let mut pending: Vec<usize> = (0..fates.len()).collect();
    while let Some(index) = pending.pop() {
        if !fates.get(index).is_some_and(|fate| fate.as_ref().is_some_and(|fate| fate.keep)) {
            continue;
        }
        let Some(keeper) = seen.snapshots.get(index) else { continue };
        let by_metadata = may_need_a_metadata(seen, &keeper.uses);
        if keeper.uses.checkpoints.is_empty() && !by_metadata {
            continue;
        }
        pending.extend(keep_all(seen, fates, |other| {
            let id = other.checkpoint_id.is_some_and(|id| keeper.uses.checkpoints.contains(&id));
            let by_id = id && other.path.parent() == keeper.path.parent();
            (by_id || (by_metadata && needs(seen, &keeper.uses, other)))
                .then(|| format!("{} refers to it", keeper.path))
        }));
    }
}

/// Keeps all that go and have a reason not to; gives which.
fn keep_all(seen: &Seen, fates: &mut [Option<Choice>], why: impl Fn(&Snapshot) -> Option<String>) -> Vec<usize> {
    let mut kept = Vec::new();
    for (index, (snapshot, fate)) in seen.snapshots.iter().zip(fates).enumerate() {
        if let Some(fate) = fate.as_mut().filter(|fate| !fate.keep)
            && let Some(why) = why(snapshot)
        {
            *fate = Choice { keep: true, reasons: vec![why] };
            kept.push(index);
        }
    }
    kept
}

/// Whether a `_metadata` may be among what is used.
fn may_need_a_metadata(seen: &Seen, uses: &Uses) -> bool {
    !uses.dirs.is_empty()
        || uses.names.iter().any(|name| **name == *METADATA)
        || uses.files.iter().any(|file| seen.tree.entry(*file).name == METADATA)
}

/// Whether the `_metadata` of a snapshot is among what is used.
fn needs(seen: &Seen, uses: &Uses, other: &Snapshot) -> bool {
    let Some(metadata) = other.metadata else { return false };
    let mut inside = std::iter::successors(other.dir, |dir| seen.tree.parent(*dir));
    uses.files.binary_search(&metadata).is_ok()
        || uses.names.iter().any(|name| **name == *METADATA)
        || (!uses.dirs.is_empty() && inside.any(|dir| uses.dirs.contains(&dir)))
}
