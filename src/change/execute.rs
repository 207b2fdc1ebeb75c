//! Carries a plan out, phase by phase.

use super::journal::{End, Journal, RunDir};
use super::own::below;
use super::validate::{METADATA, validate};
use super::{ChangeError, Control, EndState, Left, Locks, Pace, Recheck, RunId, trash};
use crate::model::Location;
use crate::plan::{Batch, Phase, Plan};
use crate::storage::{Below, WriteStorage};
use foldhash::HashSet;

/// How a plan is carried out.
#[derive(Debug, Clone, Default)]
pub struct How {
    /// Deletes files at once. Nothing can be brought back.
    pub instant: bool,
    /// The unfinished run to go on with. Without it, one is gone on with that is unfinished below one of the roots, so
    /// that one [`undelete`](super::undelete()) brings everything back.
    pub run: Option<RunId>,
}

/// What became of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// The run; `None` where nothing went, and nothing is left of it.
    pub run: Option<RunId>,
    /// Files that went.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Directories that went.
    pub directories: u64,
    /// Names that were not there any more.
    pub gone: u64,
    /// What was left where it is, for a reason that is no failure: something refers to it by now, or it was changed.
    pub skipped: Vec<Left>,
    /// What could not be removed, and what is referred to by now and was deleted already.
    pub failed: Vec<Left>,
    /// What was put aside and brought back, since something refers to it by now.
    pub brought_back: Vec<Left>,
    /// Whether the run was interrupted, and can be carried on with.
    pub interrupted: bool,
}

/// A plan that is being carried out.
pub(super) struct Execution<'a, 'l> {
    pub(super) storage: &'a dyn WriteStorage,
    pub(super) locks: &'a mut Locks<'l>,
    pub(super) plan: &'a Plan,
    pub(super) instant: bool,
    pub(super) control: Control<'a>,
    pub(super) recheck: &'a mut dyn Recheck,
    pub(super) journal: Journal,
    pub(super) outcome: Outcome,
    /// What went below each root: files, bytes, directories.
    pub(super) by_root: Vec<(u64, u64, u64)>,
    /// Directories whose `_metadata` was to go and is still there, or may be after a crash.
    stayed: HashSet<(usize, String)>,
    /// Directories that names were removed from since they were made durable last.
    touched: Vec<(usize, String)>,
    /// Names that were dealt with since [`Recheck::look_again`].
    since_look: usize,
}

/// An instant run looks again after so many names: nothing brings back what it deletes.
const LOOK_AFTER: usize = 20_000;

/// Carries a plan out. `locks` are those of its roots, and `recheck` sees what is added while it runs.
///
/// # Errors
/// When the plan may not be carried out, a lock was lost, the journal cannot be written, or it cannot be seen what was
/// added. The run is unfinished then, and can be gone on with. What goes wrong with single files is in the [`Outcome`].
pub fn execute(
    storage: &dyn WriteStorage,
    locks: &mut Locks<'_>,
    plan: &Plan,
    how: &How,
    control: Control<'_>,
    recheck: &mut dyn Recheck,
) -> Result<Outcome, ChangeError> {
    validate(plan)?;
    if let Some(root) = plan.roots.iter().find(|root| !locks.hold(root)) {
        return Err(ChangeError::Plan(format!("{root} is not locked")));
    }
    if plan.batches.iter().all(|batch| batch.items.is_empty()) && how.run.is_none() {
        return Ok(Outcome::default());
    }
    plan.roots.iter().try_for_each(|root| locks.check(root))?;
    recheck.look_again().map_err(ChangeError::Recheck)?;
    let journal = Journal::begin(storage, plan, how.instant, how.run.as_ref(), locks.now())?;
    let outcome = Outcome { run: Some(journal.run.clone()), ..Outcome::default() };
    let mut execution = Execution {
        storage,
        locks,
        plan,
        instant: how.instant,
        control,
        recheck,
        journal,
        outcome,
        by_root: vec![(0, 0, 0); plan.roots.len()],
        stayed: HashSet::default(),
        touched: Vec::new(),
        since_look: 0,
    };
    execution.run()?;
    Ok(execution.outcome)
}

impl Execution<'_, '_> {
    fn run(&mut self) -> Result<(), ChangeError> {
        let mut pace = Pace::new(self.control);
        for (index, phase) in
            [Phase::Metadata, Phase::Exclusive, Phase::Shared, Phase::Directory].into_iter().enumerate()
        {
            let plan = self.plan;
            let mut batches = plan.batches.iter().filter(|batch| batch.phase == phase).peekable();
            if batches.peek().is_none() {
                continue;
            }
            if index > 0 {
                self.look_again()?;
            }
            for batch in batches {
                self.batch(batch, &mut pace)?;
                if self.outcome.interrupted {
                    break;
                }
            }
            self.sync(phase);
            if self.outcome.interrupted {
                return Ok(());
            }
        }
        // Once more after the last: a writer may have referred to a file a moment before it went.
        self.look_again()?;
        self.look_back()?;
        self.finish()
    }

    fn look_again(&mut self) -> Result<(), ChangeError> {
        self.since_look = 0;
        self.recheck.look_again().map_err(ChangeError::Recheck)
    }

    fn batch(&mut self, batch: &Batch, pace: &mut Pace<'_>) -> Result<(), ChangeError> {
        if let Some(why) = self.held_back(batch) {
            pace.done(batch.items.len());
            let left = Left { place: self.place(batch), count: batch.items.len() as u64, why };
            self.outcome.skipped.push(left);
            return Ok(());
        }
        for piece in batch.items.chunks(pace.piece().max(1)) {
            if self.control.is_interrupted() {
                self.outcome.interrupted = true;
                return Ok(());
            }
            self.locks.check(&self.plan.roots[batch.root])?;
            if self.instant && self.since_look >= LOOK_AFTER {
                self.look_again()?;
            }
            match batch.phase {
                Phase::Directory => self.directories(batch, piece),
                Phase::Metadata | Phase::Exclusive | Phase::Shared => self.files(batch, piece),
            }
            self.since_look += piece.len();
            self.touch(batch.root, &batch.dir);
            pace.done(piece.len());
        }
        Ok(())
    }

    /// Why nothing of a batch may go: a snapshot that was to go is still there, and may need it.
    fn held_back(&self, batch: &Batch) -> Option<String> {
        let stays = |dir: &str| self.stayed.contains(&(batch.root, dir.to_owned()));
        match batch.phase {
            Phase::Metadata => None,
            Phase::Shared if !self.stayed.is_empty() => {
                Some("a snapshot that was to go is still there, and may refer to it".to_owned())
            }
            _ => at_and_above(&batch.dir)
                .any(stays)
                .then(|| format!("the {METADATA} of its snapshot was to go and is still there")),
        }
    }

    /// Whether a directory is that of a snapshot that stayed, or lies in one.
    pub(super) fn is_in_one_that_stayed(&self, root: usize, dir: &str) -> bool {
        at_and_above(dir).any(|dir| self.stayed.contains(&(root, dir.to_owned())))
    }

    pub(super) fn place(&self, batch: &Batch) -> Location {
        Below { root: &self.plan.roots[batch.root], dir: &batch.dir }.location()
    }

    /// Takes notice that a file of a batch was to go and has not.
    pub(super) fn stays(&mut self, batch: &Batch) {
        if batch.phase == Phase::Metadata {
            self.stayed.insert((batch.root, batch.dir.clone()));
        }
    }

    fn touch(&mut self, root: usize, dir: &str) {
        if self.touched.last().is_none_or(|last| (last.0, last.1.as_str()) != (root, dir)) {
            self.touched.push((root, dir.to_owned()));
        }
    }

    /// Makes durable what a phase did: that a file is in the trash before that it is gone from its place. After the first
    /// phase, a directory in which that cannot be done counts as one whose `_metadata` is still there.
    fn sync(&mut self, phase: Phase) {
        for (root, dir) in std::mem::take(&mut self.touched) {
            let place = &self.plan.roots[root];
            let put_aside = match self.tree(root) {
                Some(tree) if !self.instant => trash::sync_dir(self.storage, place, &below(&tree, &dir)),
                _ => Ok(()),
            };
            if let Err(error) = put_aside.and_then(|()| trash::sync_dir(self.storage, place, &dir)) {
                let why = format!("what was removed there may be back after a crash: {error}");
                let place = Below { root: place, dir: &dir }.location();
                self.outcome.failed.push(Left { place, count: 1, why });
                if phase == Phase::Metadata {
                    self.stayed.insert((root, dir));
                }
            }
        }
    }

    /// The tree that files below a root are put aside in, from the root on.
    pub(super) fn tree(&self, root: usize) -> Option<String> {
        let layer = self.journal.layers.get(root).copied().flatten()?;
        let dir = RunDir { storage: self.storage, root: &self.plan.roots[root], run: &self.journal.run };
        Some(dir.tree(layer))
    }

    fn finish(&mut self) -> Result<(), ChangeError> {
        let complete = self.outcome.skipped.is_empty() && self.outcome.failed.is_empty();
        let state = if complete && self.outcome.brought_back.is_empty() { EndState::Done } else { EndState::Partly };
        let count = |left: &[Left]| left.iter().map(|left| left.count).sum();
        let plan = self.plan;
        let mut left = false;
        for (index, root) in plan.roots.iter().enumerate() {
            if self.journal.layers[index].is_none() {
                continue;
            }
            let dir = RunDir { storage: self.storage, root, run: &self.journal.run };
            let (files, bytes, directories) = self.by_root[index];
            if (files, directories) == (0, 0) && dir.layers()?.trees.is_empty() && dir.remove()? {
                continue;
            }
            left = true;
            dir.set_end(&End {
                instant: self.instant,
                files,
                bytes,
                directories,
                skipped: count(&self.outcome.skipped),
                failed: count(&self.outcome.failed),
                ..End::new(state, self.locks.now())
            })?;
            if dir.layers()?.trees.is_empty() {
                // Nothing can be brought back, so the plan is of no use. What is left is a small record.
                dir.remove_plans()?;
            }
        }
        if !left {
            self.outcome.run = None;
        }
        Ok(())
    }
}

/// A directory and those above it, up to the root.
pub(super) fn at_and_above(dir: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(dir), |dir| match dir.rsplit_once('/') {
        Some((above, _)) => Some(above),
        None if dir.is_empty() => None,
        None => Some(""),
    })
}
