//! From what goes to a plan: lists with reasons, steps in their order, sums and brakes.

use super::fates::RecordsByDir;
use super::layout::is_state_file;
use super::options::Options;
use super::seen::{Seen, Snapshot};
use super::sweep::{Going, Sweep, Why};
use super::tree::DirId;
use crate::model::Location;
use crate::plan::{Batch, Item, Kept, Orphan, Phase, Plan, Refused, Removed, Totals, VERSION};
use crate::retention::Choice;
use crate::survey::catalog::METADATA;
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::collections::BTreeMap;

const MAX_PERCENT: &str = "max-delete-percent";
const MAX_BYTES: &str = "max-delete-bytes";

/// Puts a plan together.
pub fn plan(seen: &Seen, fates: &[Option<Choice>], sweep: Sweep, options: &Options, records: &RecordsByDir) -> Plan {
    let mut totals = Totals { metadata_read: seen.metadata_read, ..Totals::default() };
    let (mut keep, mut remove) = (Vec::new(), Vec::new());
    let mut index_in_remove: Vec<Option<usize>> = vec![None; seen.snapshots.len()];
    for (index, (snapshot, fate)) in seen.snapshots.iter().zip(fates).enumerate() {
        match fate {
            Some(fate) if fate.keep => {
                keep.push(Kept { path: snapshot.path.clone(), reasons: fate.reasons.clone() });
            }
            Some(fate) => {
                index_in_remove[index] = Some(remove.len());
                remove.push(Removed { path: snapshot.path.clone(), reasons: fate.reasons.clone(), bytes: 0 });
            }
            None => {}
        }
    }
    let mut orphans = Vec::new();
    let mut steps: BTreeMap<(Phase, DirId), Vec<Item>> = BTreeMap::new();
    // Room is made at once: growing lists of a million names takes longer than filling them.
    let place = |going: &Going| (going.phase, seen.tree.entry(going.file).dir);
    for run in sweep.files.chunk_by(|a, b| place(a) == place(b)) {
        if let Some(first) = run.first() {
            steps.entry(place(first)).or_default().reserve(run.len());
        }
    }
    for going in &sweep.files {
        let entry = seen.tree.entry(going.file);
        totals.files += 1;
        totals.bytes = totals.bytes.saturating_add(entry.size);
        let owner = match going.why {
            Why::Snapshot(index) => index_in_remove.get(index).copied().flatten().and_then(|at| remove.get_mut(at)),
            Why::Orphan(why) => {
                let age = entry.time().map_or(0, |time| options.now.duration_since(time).as_secs());
                orphans.push(Orphan {
                    path: seen.tree.entry_place(going.file),
                    bytes: entry.size,
                    age_seconds: u64::try_from(age).unwrap_or(0),
                    why: Cow::Borrowed(why),
                });
                None
            }
        };
        if let Some(owner) = owner {
            owner.bytes = owner.bytes.saturating_add(entry.size);
        }
        let item = Item { name: entry.name.to_owned(), size: entry.size, modified: entry.modified };
        steps.entry((going.phase, entry.dir)).or_default().push(item);
    }
    let mut batches: Vec<Batch> = steps
        .into_iter()
        // Items stay in the order of the walk, in which they lie on a disk: in any other, to remove them takes several times
        // as long.
        .map(|((phase, dir), items)| Batch { phase, root: seen.tree.root(dir), dir: seen.tree.below_root(dir), items })
        .collect();
    // The walk comes by directories in no order, and the same tree gives the same plan.
    batches.sort_unstable_by(|a, b| (a.phase, a.root, &a.dir).cmp(&(b.phase, b.root, &b.dir)));
    orphans.sort_unstable_by(|a: &Orphan, b| a.path.cmp(&b.path));
    batches.extend(directories(seen, &sweep.dirs));
    totals.keep = keep.len() as u64;
    totals.remove = remove.len() as u64;
    totals.orphans = orphans.len() as u64;
    totals.directories = sweep.dirs.len() as u64;
    totals.bytes_below_roots = bytes_below_roots(seen);

    let mut refused = seen.obstacles.clone();
    let blocked = !refused.is_empty();
    refused.extend(sweep.refused);
    refused.extend(seen.notes.iter().cloned());
    refused.extend(outside(seen));
    refused.extend(order_disagrees(seen));
    if blocked {
        batches.clear();
    }
    let mut plan = Plan {
        version: VERSION,
        created: options.now,
        cutoff: options.cutoff(),
        live: options.live,
        roots: seen.tree.roots().to_vec(),
        policy: options.policy.in_words(),
        fingerprint: fingerprint(seen, records),
        keep,
        remove,
        orphans,
        refused,
        blocked,
        batches,
        totals,
    };
    brake(&mut plan, seen, options);
    plan
}

/// Blocks a plan that would remove more than the limits allow, in place of what other limits said of it. Its steps stay:
/// whoever kept it in a file may allow it.
pub fn brake(plan: &mut Plan, seen: &Seen, options: &Options) {
    let is_brake = |refused: &Refused| matches!(refused.code.as_str(), MAX_PERCENT | MAX_BYTES);
    if plan.refused.iter().any(is_brake) {
        plan.refused.retain(|refused| !is_brake(refused));
        plan.blocked = false;
    }
    // One without steps was blocked for another reason, and says what it would have removed.
    if !plan.batches.is_empty() {
        let files = plan.batches.iter().filter(|batch| batch.phase != Phase::Directory).flat_map(|batch| &batch.items);
        plan.totals.bytes = files.fold(0, |sum, item| sum.saturating_add(item.size));
    }
    plan.totals.bytes_below_roots = bytes_below_roots(seen);
    let found = brakes(&plan.totals, options, seen);
    plan.blocked |= !found.is_empty();
    plan.refused.splice(..0, found);
}

/// Directories by the one that holds them, deepest first.
fn directories(seen: &Seen, dirs: &[DirId]) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    let mut last = None;
    for &dir in dirs {
        let Some(above) = seen.tree.parent(dir) else { continue };
        let item = Item { name: seen.tree.place(dir).name().to_owned(), size: 0, modified: None };
        match batches.last_mut().filter(|_| last == Some(above)) {
            Some(batch) => batch.items.push(item),
            None => batches.push(Batch {
                phase: Phase::Directory,
                root: seen.tree.root(above),
                dir: seen.tree.below_root(above),
                items: vec![item],
            }),
        }
        last = Some(above);
    }
    batches
}

/// Bytes of all files that Flink wrote, by their names.
fn bytes_below_roots(seen: &Seen) -> u64 {
    let ours = seen.tree.all().filter(|entry| entry.name == METADATA || is_state_file(entry));
    ours.fold(0, |sum, entry| sum.saturating_add(entry.size))
}

/// What the limits say.
fn brakes(totals: &Totals, options: &Options, seen: &Seen) -> Vec<Refused> {
    let mut found = Vec::new();
    let place = seen.tree.roots().first().cloned();
    let mut add = |code: &str, why: String| {
        if let Some(path) = place.clone() {
            found.push(Refused { path, code: code.to_owned(), why, files: totals.files, bytes: totals.bytes });
        }
    };
    if let Some(percent) = options.max_delete_percent {
        let allowed = u128::from(totals.bytes_below_roots) * u128::from(percent);
        if u128::from(totals.bytes) * 100 > allowed {
            let share = u128::from(totals.bytes) * 100 / u128::from(totals.bytes_below_roots.max(1));
            add(
                MAX_PERCENT,
                format!(
                    "{share} % of the bytes below the roots would go, more than --max-delete-percent {percent} allows"
                ),
            );
        }
    }
    if let Some(most) = options.max_delete_bytes.filter(|most| totals.bytes > *most) {
        add(MAX_BYTES, format!("{} bytes would go, more than the {most} that --max-delete-bytes allows", totals.bytes));
    }
    found
}

/// Directories outside the roots that snapshots below them need.
fn outside(seen: &Seen) -> Vec<Refused> {
    let mut by_dir: BTreeMap<&Location, (&Snapshot, u64)> = BTreeMap::new();
    for snapshot in &seen.snapshots {
        for dir in &snapshot.uses.outside {
            by_dir.entry(dir).or_insert((snapshot, 0)).1 += 1;
        }
    }
    let say = |(dir, (snapshot, count)): (&Location, (&Snapshot, u64))| {
        let more = if count > 1 { format!(" and {} more", count - 1) } else { String::new() };
        let why = format!("{}{more} refer into it: name it as a root, or somebody may clean it away", snapshot.path);
        Refused { path: dir.clone(), code: "outside-reference".to_owned(), why, files: 0, bytes: 0 }
    };
    by_dir.into_iter().map(say).collect()
}

/// Checkpoints of one directory whose ids and times are in different orders: ids start again when a job starts anew, and a
/// copy loses times.
fn order_disagrees(seen: &Seen) -> Vec<Refused> {
    let mut found: BTreeMap<Location, (String, String)> = BTreeMap::new();
    let mut newer: BTreeMap<Location, &Snapshot> = BTreeMap::new();
    for snapshot in seen.snapshots.iter().filter(|snapshot| snapshot.completed_at.is_some()) {
        let Some(above) = snapshot.path.parent() else { continue };
        if let Some(last) = newer.insert(above.clone(), snapshot)
            && snapshot.checkpoint_id > last.checkpoint_id
            && snapshot.completed_at < last.completed_at
        {
            found.entry(above).or_insert((snapshot.path.name().to_owned(), last.path.name().to_owned()));
        }
    }
    let say = |(path, (older, newer)): (Location, (String, String))| {
        let why = format!(
            "{older} is older than {newer}, by the times of their files, which count: ids start again with a job, and a copy may have lost the times (--time-from id)"
        );
        Refused { path, code: "order".to_owned(), why, files: 0, bytes: 0 }
    };
    found.into_iter().map(say).collect()
}

/// A digest of what a plan rests on: every `_metadata` and every record.
pub(super) fn fingerprint(seen: &Seen, records: &RecordsByDir) -> String {
    let mut lines: Vec<String> = seen
        .tree
        .all()
        .filter(|entry| entry.name == METADATA)
        .map(|entry| format!("{}\0{}\0{:?}", seen.tree.entry_place(entry.id), entry.size, entry.modified))
        .collect();
    for (dir, records) in records {
        lines.extend(records.iter().map(|(name, record)| format!("{dir}\0{name}\0{record:?}")));
    }
    lines.extend(seen.tree.roots().iter().map(|root| format!("root {root}")));
    lines.sort_unstable();
    let mut digest = Sha256::new();
    for line in lines {
        digest.update(line.as_bytes());
        digest.update([0, b'\n']);
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
