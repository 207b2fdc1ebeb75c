//! What a planner has to know of earlier runs.

use super::journal::{Ended, RunDir, runs_below};
use super::{ChangeError, EndState};
use crate::model::Location;
use crate::plan::Plan;
use crate::storage::{Below, WriteStorage};

/// The directories below `roots` that hold what can still be brought back, with the paths that it had below the root. Snapshots
/// in there need what they refer to.
///
/// Runs that are unfinished are not among them: they are going to be carried on with. Neither are those that are being
/// deleted.
pub fn put_aside(storage: &dyn WriteStorage, roots: &[Location]) -> Result<Vec<Location>, ChangeError> {
    let mut found = Vec::new();
    for root in roots {
        for run in runs_below(storage, root)? {
            let dir = RunDir { storage, root, run: &run };
            let gone = match dir.ended()? {
                Ended::No => true,
                Ended::Yes(end) => end.state == EndState::Purging,
                Ended::Unreadable => false,
            };
            if gone {
                continue;
            }
            for layer in dir.layers()?.trees {
                found.push(Below { root, dir: &dir.tree(layer) }.location());
            }
        }
    }
    Ok(found)
}

/// The plans of runs below `roots` that are unfinished: for each the one that was begun last.
pub fn begun_plans(storage: &dyn WriteStorage, roots: &[Location]) -> Result<Vec<Plan>, ChangeError> {
    let mut plans = Vec::new();
    for root in roots {
        for run in runs_below(storage, root)? {
            let dir = RunDir { storage, root, run: &run };
            // One without a plan ended before it changed anything.
            if dir.ended()? == Ended::No && !dir.layers()?.plans.is_empty() {
                plans.push(dir.plan()?);
            }
        }
    }
    Ok(plans)
}
