//! Whether a plan that was kept in a file still holds.

use super::fates::RecordsByDir;
use super::held::HeldHere;
use super::layout::is_state_file;
use super::life::Life;
use super::marks::Marks;
use super::seen::Seen;
use super::tree::DirId;
use crate::model::Location;
use crate::plan::{Phase, Plan};
use crate::storage::EntryKind;
use crate::survey::catalog::METADATA;
use foldhash::{HashSet, HashSetExt as _};
use std::collections::BTreeSet;

/// Why a plan must not be carried out on what is there now; `None` if it may.
///
/// The plan comes from a file that anybody may have written, so beside its fingerprint every step is checked: nothing goes
/// that a snapshot refers to which stays, and nothing that is not a file of Flink's. One that was `begun` with has changed
/// what its fingerprint is of.
pub fn objection(plan: &Plan, seen: &Seen, records: &RecordsByDir, begun: bool, held: &HeldHere) -> Option<String> {
    if plan.roots != seen.tree.roots() {
        return Some("its roots are others".to_owned());
    }
    if !begun && plan.fingerprint != super::assemble::fingerprint(seen, records) {
        return Some("snapshots or pins have changed since it was made".to_owned());
    }
    if let Some(obstacle) = seen.obstacles.first() {
        return Some(format!("{}: {}", obstacle.path, obstacle.why));
    }
    let going: BTreeSet<Location> = plan.remove.iter().map(|removed| removed.path.canonical()).collect();
    for (index, snapshot) in seen.snapshots.iter().enumerate() {
        if let Some(why) = held.snapshots.get(&index).filter(|_| going.contains(&snapshot.path.canonical())) {
            return Some(format!("{} is in use: {why}", snapshot.path));
        }
    }
    let mut marks = Marks::none(&seen.tree);
    for snapshot in seen.snapshots.iter().filter(|snapshot| !going.contains(&snapshot.path.canonical())) {
        marks.add(&snapshot.uses);
    }
    seen.aside.iter().for_each(|uses| marks.add(uses));
    seen.elsewhere.iter().for_each(|snapshot| marks.add(&snapshot.uses));
    marks.settle(&seen.tree);
    let ours = if begun { touched(plan, seen) } else { HashSet::new() };
    let life = Life::of(&seen.tree, &seen.layout, &ours);
    let mut last = None;
    for batch in &plan.batches {
        if last.replace(batch.phase).is_some_and(|last| last > batch.phase) {
            return Some("its steps are not in order".to_owned());
        }
        let Some(place) = batch.location(plan) else { return Some("a step has no root".to_owned()) };
        let Some(dir) = seen.tree.dir_at(&place) else { continue };
        if batch.phase == Phase::Shared
            && !plan.live
            && seen.layout.job(dir).is_some_and(|job| life.is_alive(job, plan.created))
        {
            return Some(format!("the job of {place} has come alive since it was made"));
        }
        let runs = seen.layout.job(dir).and_then(|job| held.jobs.get(&job));
        if let Some(why) = runs.filter(|_| batch.phase == Phase::Shared && !plan.live) {
            return Some(format!("{place}: {why}"));
        }
        if held.dirs.contains(&dir) {
            return Some(format!("{place} is in use: a running job is writing it or needs it"));
        }
        for item in &batch.items {
            let Some(entry) = seen.tree.find(dir, &item.name) else { continue };
            let at = || seen.tree.entry_place(entry.id);
            let sound = match batch.phase {
                Phase::Metadata => item.name == METADATA && entry.kind == EntryKind::File && going.contains(&place),
                Phase::Exclusive | Phase::Shared => is_state_file(&entry),
                Phase::Directory => entry.kind == EntryKind::Directory,
            };
            if !sound {
                return Some(format!("{} is not what such a step removes", at()));
            }
            if marks.holds(entry.id) {
                return Some(format!("{} is in use", at()));
            }
        }
    }
    None
}

/// The directories that a plan changes: that one of them is young says nothing when it has been begun with.
pub(super) fn touched(plan: &Plan, seen: &Seen) -> HashSet<DirId> {
    let mut touched = HashSet::new();
    for batch in &plan.batches {
        let Some(dir) = batch.location(plan).and_then(|place| seen.tree.dir_at(&place)) else { continue };
        touched.insert(dir);
        touched.extend(batch.items.iter().filter_map(|item| seen.tree.child(dir, &item.name)));
    }
    touched
}
