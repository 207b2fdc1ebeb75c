//! Finds out what nothing refers to and what a policy lets go. Makes a plan, and changes nothing.
//!
//! [`seen`] walks the roots once and judges every snapshot; [`fates`] says which stay; [`marks`] holds what those refer to;
//! [`held`] finds what clusters say is in use; [`sweep`] decides about every other file by its place ([`layout`]), its age and whether its job is alive ([`life`]);
//! [`assemble`] makes a [`Plan`] of it. [`recheck`] looks again while a plan is carried out. What cannot be read or judged
//! forbids everything: it may refer to anything.

pub mod assemble;
pub mod fates;
pub mod held;
pub mod layout;
pub mod life;
pub mod marks;
pub mod options;
pub mod recheck;
pub mod safe;
pub mod sealed;
pub mod seen;
pub mod stale;
pub mod sweep;
pub mod tree;
pub mod uses;
pub mod view;

pub use options::Options;
pub use recheck::{Again, Guard};

use crate::change::{self, ChangeError};
use crate::cluster::InUse;
use crate::model::Location;
use crate::plan::{Phase, Plan, Refused};
use crate::records::Records;
use crate::storage::{Storage, StorageError, WriteStorage};
use crate::survey::Progress;
use crate::survey::resolve::PathMaps;
use fates::RecordsByDir;
use held::HeldHere;
use sealed::Sealed;
use seen::{Around, Seen};
use sweep::{Begun, Sweeper};

/// The real places of roots, without those that lie below another.
pub fn real_roots(storage: &dyn Storage, roots: &[Location]) -> Result<Vec<Location>, StorageError> {
    let mut real = Vec::new();
    for root in roots {
        real.push(storage.real_place(root)?.canonical());
    }
    real.sort_unstable();
    real.dedup();
    let below = |root: &Location| real.iter().any(|other| other != root && root.strip_prefix(other).is_some());
    Ok(real.iter().filter(|root| !below(root)).cloned().collect())
}

/// A plan, with what it was made from.
pub struct Prepared {
    /// The plan.
    pub plan: Plan,
    /// What was seen.
    pub seen: Seen,
    /// What clusters said is in use.
    pub held: HeldHere,
}

/// Makes a plan for the roots, which are real places ([`real_roots`]).
///
/// An error where a root cannot be listed. What cannot be read below one makes a plan that is blocked.
pub fn prepare(
    storage: &dyn WriteStorage,
    roots: &[Location],
    maps: &PathMaps,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Prepared, ChangeError> {
    let mut seen = look(storage, roots, maps, &options.assume_unreferenced, &options.in_use, progress)?;
    let records = records(storage, &mut seen);
    let begun = begun(storage, roots, &seen)?;
    let held = HeldHere::find(&options.in_use, &seen, storage, maps);
    let fates = fates::fates(&seen, options, &records, &held);
    let mut sealed = Sealed::default();
    if options.taskowned {
        let around = Around { storage, maps, assume_unreferenced: &[], aside: &[], in_use: &options.in_use, progress };
        sealed = sealed::search(&around, &seen, &fates);
    }
    let sweep = Sweeper::new(&seen, &fates, options, &begun, &sealed, &held).sweep();
    let plan = assemble::plan(&seen, &fates, sweep, options, &records);
    Ok(Prepared { plan, seen, held })
}

/// Looks at the roots of a plan that was kept in a file, or `begun` with: what is there now, and why the plan must not be
/// carried out, if so.
pub fn review(
    storage: &dyn WriteStorage,
    plan: &Plan,
    maps: &PathMaps,
    assume_unreferenced: &[Location],
    in_use: &InUse,
    begun: bool,
    progress: &dyn Progress,
) -> Result<(Seen, HeldHere, Option<String>), ChangeError> {
    let mut seen = look(storage, &plan.roots, maps, assume_unreferenced, in_use, progress)?;
    let records = records(storage, &mut seen);
    let held = HeldHere::find(in_use, &seen, storage, maps);
    let objection = stale::objection(plan, &seen, &records, begun, &held);
    Ok((seen, held, objection))
}

/// Walks the roots and judges every snapshot, those that were put aside and can be brought back included.
fn look(
    storage: &dyn WriteStorage,
    roots: &[Location],
    maps: &PathMaps,
    assume_unreferenced: &[Location],
    in_use: &InUse,
    progress: &dyn Progress,
) -> Result<Seen, ChangeError> {
    let aside = change::put_aside(storage, roots)?;
    Ok(Around { storage, maps, assume_unreferenced, aside: &aside, in_use, progress }.look(roots.to_vec())?)
}

/// The records of all directories that hold snapshots. One that cannot be read may be a pin.
fn records(storage: &dyn Storage, seen: &mut Seen) -> RecordsByDir {
    let mut found = RecordsByDir::new();
    let mut obstacles = Vec::new();
    for above in seen.snapshots.iter().filter_map(|snapshot| snapshot.path.parent()) {
        if found.contains_key(&above) {
            continue;
        }
        let mut refuse = |path: &Location, why: String| {
            obstacles.push(Refused {
                path: path.clone(),
                code: "unreadable-record".to_owned(),
                why,
                files: 0,
                bytes: 0,
            });
        };
        match Records::of(storage, &above) {
            Ok(records) => {
                for (place, why) in records.unknown() {
                    refuse(place, format!("a record of a pin that cannot be read: {why}"));
                }
                found.insert(above, records);
            }
            Err(error) => {
                refuse(&above, format!("whether snapshots in it are pinned could not be read: {}", error.message));
                found.insert(above, Records::default());
            }
        }
    }
    seen.obstacles.extend(obstacles);
    found
}

/// What runs that did not finish were about to remove, and is still there as it was.
fn begun(storage: &dyn WriteStorage, roots: &[Location], seen: &Seen) -> Result<Begun, ChangeError> {
    let mut begun = Begun::default();
    for plan in &change::begun_plans(storage, roots)? {
        for batch in &plan.batches {
            let Some(dir) = batch.location(plan).and_then(|place| seen.tree.dir_at(&place)) else { continue };
            match batch.phase {
                Phase::Metadata => {
                    begun.dirs.insert(dir);
                }
                Phase::Exclusive => {
                    let same = batch.items.iter().filter_map(|item| {
                        let entry = seen.tree.find(dir, &item.name)?;
                        let same = entry.size == item.size && entry.modified == item.modified;
                        // A plan below a root is no more to be trusted than all else there.
                        (same && layout::is_state_file(&entry)).then_some(entry.id)
                    });
                    begun.files.extend(same);
                }
                Phase::Directory => {
                    begun.dirs.extend(batch.items.iter().filter_map(|item| seen.tree.child(dir, &item.name)));
                }
                // Of a checkpoint that was never completed, whose directory is young now.
                Phase::Shared => {
                    begun.dirs.insert(dir);
                }
            }
        }
    }
    Ok(begun)
}
