//! What a snapshot refers to, as places in the walked tree.

use super::tree::{DirId, EntryId, Tree};
use super::view::View;
use crate::model::Location;
use crate::storage::{EntryKind, Storage as _};
use crate::survey::SnapshotReport;
use crate::survey::resolve::{PathMaps, percent_decoded};
use foldhash::{HashMap, HashMapExt as _, HashSet, HashSetExt as _};
use std::sync::Arc;

/// What a snapshot refers to.
#[derive(Debug, Clone, Default)]
pub struct Uses {
    /// Files below the roots, sorted.
    pub files: Box<[EntryId]>,
    /// Names of files that are not found where the handles say. Names are random and do not come twice, so that a file of
    /// such a name is that file, reached by a path that is not known here: a mount, another scheme, a tree that was moved.
    pub names: Vec<Box<str>>,
    /// Directories as a whole, below the roots.
    pub dirs: Vec<DirId>,
    /// Directories outside the roots.
    pub outside: Vec<Location>,
    /// Ids of older checkpoints of the same job.
    pub checkpoints: Vec<i64>,
}

/// Finds what a report refers to, which has to list the files in use.
pub fn uses_of(report: &SnapshotReport, tree: &Tree, view: &View<'_>, maps: &PathMaps) -> Uses {
    let mut uses = Uses { checkpoints: report.also.checkpoints.clone(), ..Uses::default() };
    let mut files = Vec::with_capacity(report.used.len());
    let mut dirs: HashMap<*const Location, Option<DirId>> = HashMap::new();
    let mut outside = HashSet::new();
    for file in &report.used {
        let dir = *dirs.entry(Arc::as_ptr(&file.dir)).or_insert_with(|| view.dir(&maps.here(&file.dir)));
        let found = dir.and_then(|dir| tree.find(dir, &file.name));
        match found {
            Some(entry) => files.push(entry.id),
            None => uses.names.extend(spellings(&file.name)),
        }
        match found.map(|entry| entry.kind) {
            // What a link stands for is in use as well.
            Some(EntryKind::Link) => {
                let link = maps.here(&file.dir).with_suffix(&format!("/{}", file.name));
                let target = view.real_place(&link).ok();
                let found =
                    target.as_ref().and_then(|target| tree.find(tree.dir_at(&target.parent()?)?, target.name()));
                match (found, target) {
                    (Some(entry), _) => files.push(entry.id),
                    (None, Some(target)) => uses.names.extend(spellings(target.name())),
                    (None, None) => {}
                }
            }
            Some(_) => {}
            None if dir.is_none() => {
                outside.insert(Arc::clone(&file.dir));
            }
            None => {}
        }
    }
    for place in &report.also.dirs {
        match view.dir(&maps.here(place)) {
            Some(dir) => uses.dirs.push(dir),
            None => {
                // By its name, as it bears the id of its job: reached by an unknown path too.
                uses.dirs.extend(tree.dirs().filter(|dir| tree.place(*dir).name() == place.name()));
            }
        }
    }
    uses.names.extend(report.also.names.iter().flat_map(|name| spellings(name)));
    uses.outside = outside.into_iter().map(|dir| Location::clone(&dir)).collect();
    uses.outside.sort_unstable();
    files.sort_unstable();
    files.dedup();
    uses.files = files.into_boxed_slice();
    uses
}

/// A name, and what it is when `%41` stands for `A`, as it does in URIs.
fn spellings(name: &str) -> impl Iterator<Item = Box<str>> {
    let decoded = name.contains('%').then(|| percent_decoded(name)).flatten();
    std::iter::once(Box::from(name)).chain(decoded)
}
