//! What a plan must be, whoever wrote it: it comes from a file as well.

use super::{ChangeError, OWN_DIRECTORY};
use crate::plan::{Phase, Plan, VERSION};

/// The file that makes a directory a snapshot.
pub(super) const METADATA: &str = "_metadata";

/// Refuses a plan that is blocked, of another version, or whose steps could lead out of its roots, into chkctl's own
/// directory, or remove in another order than [`Phase`]'s.
pub(super) fn validate(plan: &Plan) -> Result<(), ChangeError> {
    let refuse = |why: String| Err(ChangeError::Plan(why));
    if plan.version != VERSION {
        return refuse(format!("its format has version {}, this chkctl knows version {VERSION}", plan.version));
    }
    if plan.blocked {
        return refuse("something stands against it that it names itself".to_owned());
    }
    for (i, root) in plan.roots.iter().enumerate() {
        if plan.roots.iter().enumerate().any(|(j, other)| i != j && root.strip_prefix(other).is_some()) {
            return refuse(format!("its root {root} lies in another of its roots"));
        }
    }
    let mut last = Phase::Metadata;
    for batch in &plan.batches {
        if batch.root >= plan.roots.len() {
            return refuse(format!("it has no root number {}", batch.root));
        }
        if batch.phase < last {
            return refuse("its phases are not in their order".to_owned());
        }
        last = batch.phase;
        if !batch.dir.is_empty() && !batch.dir.split('/').all(is_component) {
            return refuse(format!("{:?} is not a directory below a root", batch.dir));
        }
        if let Some(item) = batch.items.iter().find(|item| !is_component(&item.name)) {
            return refuse(format!("{:?} is not a name in a directory", item.name));
        }
        let wrong = |name: &str| match batch.phase {
            Phase::Metadata => name != METADATA,
            Phase::Exclusive | Phase::Shared => name == METADATA,
            Phase::Directory => false,
        };
        if let Some(item) = batch.items.iter().find(|item| wrong(&item.name)) {
            return refuse(format!("{}/{} is not of phase {:?}", batch.dir, item.name, batch.phase));
        }
    }
    Ok(())
}

/// Whether this is one component of a path that means the same to every reader, and not chkctl's own.
fn is_component(name: &str) -> bool {
    !matches!(name, "" | "." | ".." | OWN_DIRECTORY) && !name.contains(['/', '\\', '\0', char::REPLACEMENT_CHARACTER])
}
