//! Files that are missing where Flink looks for them, and are somewhere else: a tree that was moved, and the wrong
//! anchors of FLINK-39964.

use super::catalog::{METADATA, SnapshotDir, checkpoint_number, is_job_id};
use super::finding::{Code, Finding, Severity};
use super::references::{Place, Reference, StateKind};
use super::report::{Kind, kind_of};
use super::verify::{Judge, METADATA_LIMIT, References, ResolvedReference, job_directory};
use crate::format;
use crate::model::{Location, Metadata};
use crate::storage::{EntryKind, Presence};
use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};

/// What is known about missing files.
#[derive(Default)]
pub(super) struct Explanations {
    /// Files of wrongly anchored handles, and the directory that has them.
    anchors: HashMap<usize, Location>,
    /// The map under which everything is found.
    moved: Option<(Location, Location)>,
    exclusive: Option<Location>,
}

/// At most so many directories are listed in the search for a savepoint.
const MAX_LISTINGS: usize = 64;

/// Looks for an explanation of the missing files of a snapshot.
pub(super) fn explain(
    judge: &Judge<'_>,
    metadata: &Metadata<'_>,
    references: &References<'_>,
    snapshot: &SnapshotDir,
) -> Explanations {
    let mut explanations = Explanations { exclusive: Some(snapshot.dir.clone()), ..Explanations::default() };
    let missing = |file: &usize| references.files.get(*file).is_some_and(|f| f.presence == Presence::Missing);
    let absolute = || references.list.iter().filter(|r| matches!(r.reference.place, Place::Absolute(_)));
    if absolute().next().is_some() && absolute().all(|r| missing(&r.file)) {
        explanations.moved = moved(judge, references, snapshot);
    }
    // Only a database's shared file is carried from a savepoint into later checkpoints.
    let anchored = |r: &&ResolvedReference<'_>| {
        r.reference.state == StateKind::DatabaseShared
            && matches!(r.reference.place, Place::Relative(_))
            && missing(&r.file)
    };
    // A savepoint is what wrong anchors come from.
    let is_savepoint = kind_of(metadata, &snapshot.dir).0 == Kind::Savepoint;
    let stray: BTreeMap<usize, u64> = references
        .list
        .iter()
        .filter(|_| !is_savepoint)
        .filter(anchored)
        .map(|r| (r.file, r.reference.extent.bytes()))
        .collect();
    if !stray.is_empty() {
        explanations.anchors = find_anchors(judge, references, snapshot, &stray);
    }
    explanations
}

/// Files that wrongly anchored handles name (FLINK-39964): where each handle leads, as Flink sees it, and the directory
/// here that has the file.
pub fn anchors(judge: &Judge<'_>, metadata: &Metadata<'_>, snapshot: &SnapshotDir) -> Vec<(Location, Location)> {
    let mut references = judge.resolve(metadata, &snapshot.dir);
    judge.look_up(&mut references);
    let found = explain(judge, metadata, &references, snapshot).anchors;
    let place = |file: usize| Some(references.resolver.location(&references.files.get(file)?.place));
    found.into_iter().filter_map(|(file, dir)| Some((place(file)?, dir))).collect()
}

impl Explanations {
    /// Whether the finding about the whole snapshot says all there is to say of a missing file.
    pub(super) fn covers(&self, reference: &Reference<'_>) -> bool {
        self.moved.is_some() && matches!(reference.place, Place::Absolute(_))
    }

    /// Says in the finding of a missing file where the file is, or what else helps.
    pub(super) fn apply(&self, file: usize, finding: &mut Finding) {
        if let Some(dir) = self.anchors.get(&file) {
            finding.code = Code::WrongAnchor;
            finding.message = format!(
                "the file is not beside the _metadata but in {dir}: Flink wrote the handle against the wrong directory \
                 after a restore in CLAIM mode from a native savepoint (FLINK-39964)"
            );
            let exclusive = self.exclusive.as_ref().map_or(String::new(), ToString::to_string);
            finding.hint =
                Some(format!("the state is whole: copy the file from {dir} to {exclusive} and Flink restores"));
            return;
        }
        let own = self.exclusive.as_ref().and_then(job_directory);
        let place = finding.path.as_deref().and_then(|path| Location::parse(path).ok());
        let other =
            place.as_ref().and_then(job_directory).filter(|job| own.is_some_and(|own| own.name() != job.name()));
        let belongs = match other {
            Some(job) => format!("the file was job {}'s, which this one was restored from; ", job.name()),
            None => String::new(),
        };
        let advice = "Flink cannot restore this snapshot, chkctl latest finds the newest that is whole";
        finding.hint = Some(format!("{belongs}{advice}"));
    }

    /// Findings of the snapshot as a whole.
    pub(super) fn of_the_whole(&self) -> Option<Finding> {
        let (from, to) = self.moved.as_ref()?;
        let finding = Finding::new(
            Code::MovedTree,
            Severity::Error,
            from,
            format!(
                "nothing is where the handles point, below {from}, and all of it is below {to}: the tree was moved"
            ),
        );
        let hint = format!("--map {from}={to} judges it as if it stood there; Flink needs it back in the old place");
        Some(finding.hint(hint))
    }
}

/// The map under which all files of absolute handles are found.
fn moved(judge: &Judge<'_>, references: &References<'_>, snapshot: &SnapshotDir) -> Option<(Location, Location)> {
    let mut by_dir: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    for r in references.list.iter().filter(|r| matches!(r.reference.place, Place::Absolute(_))) {
        let place = &references.files.get(r.file)?.place;
        by_dir.entry(place.dir).or_default().push(&place.name);
    }
    let dirs = references.resolver.dirs();
    let (&dir, names) = by_dir.first_key_value()?;
    let first = dirs.get(dir)?.with_suffix(&format!("/{}", names.first()?));
    let storage = judge.inventory.storage();
    let holds_first = |(from, to): &(Location, Location)| {
        let here = first.strip_prefix(from).map(|rest| to.with_suffix(&rest));
        here.is_some_and(|here| storage.stat(&here).is_ok_and(|stat| stat.kind == EntryKind::File))
    };
    let holds_all = |(from, to): &(Location, Location)| {
        by_dir.iter().all(|(dir, names)| {
            let rest = dirs.get(*dir).and_then(|dir| dir.strip_prefix(from));
            let answers = rest.map(|rest| storage.lookup(&to.with_suffix(&rest), names, &|_| {})).unwrap_or_default();
            answers.len() == names.len() && answers.iter().all(|answer| matches!(answer, Presence::File { .. }))
        })
    };
    // Where a map leads elsewhere, the files may still be where the handles point: that is no move.
    let moves = |(from, to): &(Location, Location)| from.canonical() != to.canonical();
    let found = candidates(&first, &snapshot.dir).filter(moves).filter(holds_first);
    found.map(|(from, to)| shortest(from, to)).find(holds_all)
}

/// Pairs (FROM, TO) with FROM a directory above the file and TO the snapshot's directory or one above it.
fn candidates<'l>(file: &'l Location, dir: &'l Location) -> impl Iterator<Item = (Location, Location)> + 'l {
    let above = |place: &Location| std::iter::successors(Some(place.clone()), Location::parent);
    above(dir).flat_map(move |to| above(file).skip(1).map(move |from| (from, to.clone())))
}

/// The same map with equal last components taken off both sides.
fn shortest(mut from: Location, mut to: Location) -> (Location, Location) {
    while from.name() == to.name()
        && let (Some(from_parent), Some(to_parent)) = (from.parent(), to.parent())
    {
        (from, to) = (from_parent, to_parent);
    }
    (from, to)
}

/// Directories that hold the stray files, each with the size that its handle says.
fn find_anchors(
    judge: &Judge<'_>,
    references: &References<'_>,
    snapshot: &SnapshotDir,
    stray: &BTreeMap<usize, u64>,
) -> HashMap<usize, Location> {
    let storage = judge.inventory.storage();
    let mut found = HashMap::new();
    let named = references.resolver.dirs().iter().map(|dir| judge.maps.here(dir));
    let known = named.chain(judge.neighbours.iter().cloned()).filter(|dir| *dir != snapshot.dir);
    for dir in known.chain(savepoints_nearby(judge, &snapshot.dir)) {
        let left: Vec<(usize, &str, u64)> = stray
            .iter()
            .filter(|(file, _)| !found.contains_key(*file))
            .filter_map(|(&file, &size)| Some((file, &*references.files.get(file)?.place.name, size)))
            .collect();
        if left.is_empty() {
            break;
        }
        let names: Vec<&str> = left.iter().map(|(_, name, _)| *name).collect();
        let answers = storage.lookup(&dir, &names, &|_| {});
        // The copy of a checkpoint has such files too.
        let known_checkpoint = OnceCell::new();
        let is_checkpoint = || *known_checkpoint.get_or_init(|| is_checkpoint(judge, &dir));
        for ((file, _, size), answer) in left.into_iter().zip(answers) {
            if answer == (Presence::File { size }) && !is_checkpoint() {
                found.insert(file, dir.clone());
            }
        }
    }
    found
}

/// Whether the `_metadata` in a directory says that it is a checkpoint. The one of a savepoint that a job claimed may be
/// gone.
fn is_checkpoint(judge: &Judge<'_>, dir: &Location) -> bool {
    let file = dir.with_suffix(&format!("/{METADATA}"));
    let bytes = judge.inventory.storage().read(&file, METADATA_LIMIT).unwrap_or_default();
    format::decode(&bytes).is_ok_and(|metadata| kind_of(&metadata, dir).0 == Kind::Checkpoint)
}

/// Savepoint directories in the directories above a snapshot, and one level below those.
fn savepoints_nearby(judge: &Judge<'_>, dir: &Location) -> Vec<Location> {
    let storage = judge.inventory.storage();
    let mut found = Vec::new();
    let mut listings = 0;
    let mut list = |place: &Location| {
        listings += 1;
        let entries = if listings > MAX_LISTINGS { Vec::new() } else { storage.list(place).unwrap_or_default() };
        let dirs = entries.into_iter().filter(|entry| entry.kind == EntryKind::Directory);
        dirs.map(|entry| place.with_suffix(&format!("/{}", entry.name))).collect::<Vec<_>>()
    };
    for above in std::iter::successors(dir.parent(), Location::parent).take(3) {
        for child in list(&above) {
            let name = child.name();
            if name.starts_with("savepoint-") {
                found.push(child);
            } else if checkpoint_number(name).is_none() && !is_job_id(name) && !matches!(name, "shared" | "taskowned") {
                found.extend(list(&child).into_iter().filter(|place| place.name().starts_with("savepoint-")));
            }
        }
    }
    found
}
