//! What is there: the walked tree, and every snapshot in it with its verdict and what it refers to.

use super::held::{Places, elsewhere};
use super::layout::Layout;
use super::tree::{DirId, EntryId, Found, Tree};
use super::uses::{Uses, uses_of};
use super::view::View;
use crate::cluster::InUse;
use crate::model::Location;
use crate::plan::Refused;
use crate::storage::{EntryKind, Storage, StorageError, StorageErrorKind, in_parallel, threads_for};
use crate::survey::catalog::{METADATA, SnapshotState, checkpoint_number, is_job_id, is_savepoint_name};
use crate::survey::inventory::Inventory;
use crate::survey::report::Kind;
use crate::survey::resolve::PathMaps;
use crate::survey::{Catalog, Judge, Progress, SnapshotDir, SnapshotReport, Verdict};
use foldhash::HashSet;
use jiff::Timestamp;

/// A snapshot, as far as a prune needs to know it.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Its directory.
    pub path: Location,
    /// That directory in the tree; `None` where a root is a `_metadata` file, or it lies in no root.
    pub dir: Option<DirId>,
    /// Its `_metadata`, where it is a plain file.
    pub metadata: Option<EntryId>,
    /// What can be said of it.
    pub verdict: Verdict,
    /// Why, in a line, where it is not restorable.
    pub why: String,
    /// Checkpoint or savepoint.
    pub kind: Option<Kind>,
    /// Its id.
    pub checkpoint_id: Option<i64>,
    /// When it was completed.
    pub completed_at: Option<Timestamp>,
    /// Whether it is known what it refers to.
    pub understood: bool,
    /// Files that it refers to and that are not there.
    pub missing: u64,
    /// What it refers to.
    pub uses: Uses,
}

/// What is below the roots.
pub struct Seen {
    /// Every file.
    pub tree: Tree,
    /// What each directory is.
    pub layout: Layout,
    /// Every snapshot, newest first; what is incomplete too.
    pub snapshots: Vec<Snapshot>,
    /// What else is in use: by what was put aside and can still be brought back, and by snapshots in places where no catalog
    /// looks, such as a copy in a hidden directory.
    pub aside: Vec<Uses>,
    /// Snapshots outside the roots that clusters say are in use.
    pub elsewhere: Vec<Snapshot>,
    /// What stands against any sweep.
    pub obstacles: Vec<Refused>,
    /// What is to be said and stands against nothing.
    pub notes: Vec<Refused>,
    /// How many `_metadata` files were read.
    pub metadata_read: u64,
}

/// What a look around needs.
pub struct Around<'s> {
    /// Where files are.
    pub storage: &'s dyn Storage,
    /// The maps of the run.
    pub maps: &'s PathMaps,
    /// Snapshots that are taken to refer to nothing where that cannot be found out.
    pub assume_unreferenced: &'s [Location],
    /// Directories of finished runs that hold what was put aside.
    pub aside: &'s [Location],
    /// What clusters say is in use.
    pub in_use: &'s InUse,
    /// Hears how many snapshots there are and have been judged.
    pub progress: &'s dyn Progress,
}

impl Around<'_> {
    /// Walks the roots and judges every snapshot below them. `roots` are real places, none below another.
    pub fn look(&self, roots: Vec<Location>) -> Result<Seen, StorageError> {
        let tree = Tree::walk(self.storage, roots);
        if let Some((place, error)) = tree.failures().iter().find(|(place, _)| tree.roots().contains(place)) {
            return Err(StorageError::new(error.kind, place, error.message.clone()));
        }
        let layout = Layout::of(&tree);
        let view = View::new(&tree, self.storage);
        let catalog = Catalog::scan(&view, tree.roots())?;
        let judge = Judge {
            inventory: Inventory::for_one(&view),
            maps: self.maps.clone(),
            progress: &crate::survey::Silent,
            neighbours: catalog.snapshots.iter().map(|snapshot| snapshot.dir.clone()).collect(),
            keep_files: true,
        };
        let snapshots = self.judge_all(&catalog.snapshots, |snapshot| {
            let report = judge.judge(snapshot);
            seen(snapshot, &report, &tree, &view, self.maps)
        });
        let mut aside = Vec::new();
        for place in self.aside {
            let found = Catalog::scan(self.storage, std::slice::from_ref(place))?;
            let complete: Vec<SnapshotDir> =
                found.snapshots.into_iter().filter(|s| matches!(s.state, SnapshotState::Complete { .. })).collect();
            aside
                .extend(self.judge_all(&complete, |snapshot| uses_of(&judge.judge(snapshot), &tree, &view, self.maps)));
        }
        let hidden = hidden(&tree, &catalog);
        let hidden =
            self.judge_all(&hidden, |snapshot| seen(snapshot, &judge.judge(snapshot), &tree, &view, self.maps));
        let read = |snapshots: &[Snapshot]| snapshots.iter().filter(|snapshot| snapshot.understood).count() as u64;
        let metadata_read = read(&snapshots) + read(&hidden);
        let mut obstacles = self.obstacles(&tree, &layout, &snapshots);
        obstacles.extend(hidden.iter().filter_map(|snapshot| self.obstacle(snapshot, &tree)));
        aside.extend(hidden.into_iter().map(|snapshot| snapshot.uses));
        let mut notes = Vec::new();
        let elsewhere = self.elsewhere(&tree, &snapshots, &mut notes, |snapshot| {
            seen(snapshot, &judge.judge(snapshot), &tree, &view, self.maps)
        })?;
        obstacles.extend(elsewhere.iter().filter_map(|snapshot| self.obstacle(snapshot, &tree)));
        Ok(Seen { layout, snapshots, aside, elsewhere, obstacles, notes, metadata_read, tree })
    }

    /// Reads snapshots outside the roots that are in use: they may refer to files below them. One that is not there may have
    /// been discarded, as its job completed others; or it is in a place that cannot be reached from here.
    fn elsewhere(
        &self,
        tree: &Tree,
        snapshots: &[Snapshot],
        notes: &mut Vec<Refused>,
        judge: impl Fn(&SnapshotDir) -> Snapshot,
    ) -> Result<Vec<Snapshot>, StorageError> {
        let places = Places { storage: self.storage, maps: self.maps };
        let mut found = Vec::new();
        for (held, place) in elsewhere(self.in_use, snapshots, &places) {
            if tree.roots().iter().any(|root| place.strip_prefix(root).is_some()) || self.assumed(&place) {
                continue;
            }
            let known = match self.storage.stat(&place) {
                Ok(_) => Catalog::scan(self.storage, std::slice::from_ref(&place))?.snapshots,
                Err(error) if matches!(error.kind, StorageErrorKind::NotFound | StorageErrorKind::Unsupported) => {
                    let why = format!(
                        "{}; it does not lie below the roots and cannot be read from here ({})",
                        held.why, error.message
                    );
                    notes.push(Refused {
                        path: held.place,
                        code: "in-use-elsewhere".to_owned(),
                        why,
                        files: 0,
                        bytes: 0,
                    });
                    continue;
                }
                Err(error) => return Err(error),
            };
            found.extend(known.iter().filter(|s| !matches!(s.state, SnapshotState::Incomplete { .. })).map(&judge));
        }
        Ok(found)
    }

    /// Does something with all snapshots, several at a time, and keeps their order.
    fn judge_all<T: Send>(&self, snapshots: &[SnapshotDir], judge: impl Fn(&SnapshotDir) -> T + Sync) -> Vec<T> {
        self.progress.expect(snapshots.len() as u64);
        in_parallel(snapshots, threads_for(snapshots.iter().map(|snapshot| &snapshot.dir)), |snapshot| {
            let value = judge(snapshot);
            self.progress.advance(1);
            value
        })
    }

    /// What keeps anybody from saying that a file is in nobody's use.
    fn obstacles(&self, tree: &Tree, layout: &Layout, snapshots: &[Snapshot]) -> Vec<Refused> {
        let mut found = Vec::new();
        let mut add = |path: &Location, code: &str, why: String| {
            found.push(Refused { path: path.clone(), code: code.to_owned(), why, files: 0, bytes: 0 });
        };
        for (place, error) in tree.failures().iter().filter(|(place, _)| !self.assumed(place)) {
            add(
                place,
                "unreadable-directory",
                format!("it could not be listed, and may hold snapshots: {}", error.message),
            );
        }
        for dir in tree.dirs().filter(|dir| may_hold_snapshots(tree, layout, *dir)) {
            for entry in tree.entries(dir) {
                let place = tree.entry_place(entry.id);
                let flinks =
                    is_job_id(entry.name) || checkpoint_number(entry.name).is_some() || is_savepoint_name(entry.name);
                if entry.kind == EntryKind::Link && flinks && !self.assumed(&place) && self.leads_out(&place, tree) {
                    let why = "a symbolic link out of the roots, in the place of a job or snapshot: name what it leads to as a root too";
                    add(&place, "link", why.to_owned());
                }
            }
        }
        found.extend(snapshots.iter().filter_map(|snapshot| self.obstacle(snapshot, tree)));
        found
    }

    /// What a snapshot has against a sweep: it is not known what it refers to.
    fn obstacle(&self, snapshot: &Snapshot, tree: &Tree) -> Option<Refused> {
        let link = snapshot.dir.and_then(|dir| tree.find(dir, METADATA)).is_some_and(|e| e.kind == EntryKind::Link);
        let (code, why) = match snapshot.verdict {
            Verdict::Unknown => ("unknown", format!("it could not be judged: {}", snapshot.why)),
            _ if snapshot.understood => return None,
            Verdict::Incomplete if link => ("link", "its _metadata is a symbolic link that leads nowhere".to_owned()),
            Verdict::Incomplete => return None,
            _ => ("unreadable-metadata", format!("what it refers to is not known: {}", snapshot.why)),
        };
        let refused = Refused { path: snapshot.path.clone(), code: code.to_owned(), why, files: 0, bytes: 0 };
        (!self.assumed(&snapshot.path)).then_some(refused)
    }

    fn assumed(&self, place: &Location) -> bool {
        self.assume_unreferenced.iter().any(|assumed| {
            let assumed = if assumed.name() == METADATA { assumed.parent() } else { Some(assumed.clone()) };
            assumed.is_some_and(|assumed| assumed.canonical() == place.canonical())
        })
    }

    fn leads_out(&self, link: &Location, tree: &Tree) -> bool {
        if self.storage.stat(link).is_ok_and(|stat| stat.kind != EntryKind::Directory) {
            return false;
        }
        // One that leads nowhere may lead to snapshots again when something is mounted.
        self.storage
            .real_place(link)
            .map_or(true, |real| tree.roots().iter().all(|root| real.strip_prefix(root).is_none()))
    }
}

/// Directories with a `_metadata` that a catalog did not come by.
fn hidden(tree: &Tree, catalog: &Catalog) -> Vec<SnapshotDir> {
    let known: HashSet<Location> = catalog.snapshots.iter().map(|s| s.metadata_file.canonical()).collect();
    let metadata = tree.dirs().filter_map(|dir| tree.find(dir, METADATA).map(|entry| (dir, entry)));
    let hidden = metadata.filter(|(_, entry)| {
        entry.kind != EntryKind::Directory && !known.contains(&tree.entry_place(entry.id).canonical())
    });
    let dir_of = |(dir, entry): (DirId, Found<'_>)| SnapshotDir {
        dir: tree.place(dir).clone(),
        metadata_file: tree.entry_place(entry.id),
        state: SnapshotState::Complete { metadata_size: entry.size, completed_at: entry.time() },
        job_id: None,
    };
    hidden.map(dir_of).collect()
}

/// Whether a catalog looks for snapshots in a directory.
fn may_hold_snapshots(tree: &Tree, layout: &Layout, dir: DirId) -> bool {
    use super::layout::Role;
    let place = tree.place(dir);
    matches!(layout.role(dir), None | Some((Role::Job, _))) && !is_savepoint_name(place.name())
}

fn seen(snapshot: &SnapshotDir, report: &SnapshotReport, tree: &Tree, view: &View<'_>, maps: &PathMaps) -> Snapshot {
    let dir = view.dir(&snapshot.dir);
    let metadata = dir.and_then(|dir| tree.find(dir, snapshot.metadata_file.name()));
    let worst = report.findings.iter().max_by_key(|finding| finding.severity);
    Snapshot {
        path: snapshot.dir.clone(),
        dir,
        metadata: metadata.filter(|entry| entry.kind == EntryKind::File && entry.exact).map(|entry| entry.id),
        verdict: report.verdict,
        why: worst.map(|finding| finding.message.clone()).unwrap_or_default(),
        kind: report.kind,
        checkpoint_id: report.checkpoint_id,
        completed_at: report.completed_at,
        understood: report.metadata_version.is_some(),
        missing: report.files.missing,
        uses: uses_of(report, tree, view, maps),
    }
}
