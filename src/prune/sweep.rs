//! What goes: files of snapshots that go, and files that nothing refers to, each with what allows it; and what is left alone
//! with the reason.

use super::held::HeldHere;
use super::layout::{JobIndex, Role, is_state_file};
use super::life::Life;
use super::marks::Marks;
use super::options::Options;
use super::sealed::Sealed;
use super::seen::{Seen, Snapshot};
use super::tree::{DirId, EntryId, Found};
use crate::model::Location;
use crate::plan::{Phase, Refused};
use crate::retention::Choice;
use crate::storage::EntryKind;
use crate::survey::catalog::{METADATA, is_savepoint_name};
use foldhash::{HashMap, HashMapExt as _, HashSet, HashSetExt as _};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// What a run that did not finish was about to remove.
#[derive(Debug, Clone, Default)]
pub struct Begun {
    /// Directories of snapshots whose `_metadata` it removes, and directories that it removes.
    pub dirs: HashSet<DirId>,
    /// Files beside those.
    pub files: HashSet<EntryId>,
}

/// Why a file goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It belongs to a snapshot that goes: its index in [`Seen::snapshots`].
    Snapshot(usize),
    /// Nothing refers to it.
    Orphan(&'static str),
}

/// A file that goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Going {
    /// Which.
    pub file: EntryId,
    /// When.
    pub phase: Phase,
    /// Why.
    pub why: Why,
}

/// What goes and what is left alone.
#[derive(Default)]
pub struct Sweep {
    /// Files that go.
    pub files: Vec<Going>,
    /// Directories that go when they are empty, deepest first.
    pub dirs: Vec<DirId>,
    /// What is left alone, and why.
    pub refused: Vec<Refused>,
}

/// Why a file stays that nothing refers to.
const COPY: &str = "a file of the same name is in use elsewhere: it may be part of a copy";

/// Stands for "no snapshot that goes refers to it".
const NOBODY: u32 = u32::MAX;

/// Decides about every file below the roots.
pub struct Sweeper<'s> {
    seen: &'s Seen,
    options: &'s Options,
    begun: &'s Begun,
    sealed: &'s Sealed,
    held: &'s HeldHere,
    life: Life,
    cutoff: Timestamp,
    marks: Marks,
    /// For each entry, the newest snapshot that goes and refers to it.
    claims: Vec<u32>,
    /// Snapshots by directory.
    by_dir: HashMap<DirId, usize>,
    goes: Vec<bool>,
    /// For each job: the least id of its complete checkpoints, and when the oldest that stays was completed.
    spans: HashMap<JobIndex, (u64, Option<Timestamp>)>,
    notes: BTreeMap<(Location, &'static str), (String, u64, u64)>,
    out: Sweep,
}

impl<'s> Sweeper<'s> {
    /// Everything is marked before anything is decided.
    pub fn new(
        seen: &'s Seen,
        fates: &[Option<Choice>],
        options: &'s Options,
        begun: &'s Begun,
        sealed: &'s Sealed,
        held: &'s HeldHere,
    ) -> Self {
        let life = Life::of(&seen.tree, &seen.layout, &begun.dirs);
        let cutoff = options.cutoff();
        let mut sweeper = Sweeper {
            marks: Marks::none(&seen.tree),
            claims: vec![NOBODY; seen.tree.count()],
            by_dir: HashMap::new(),
            goes: vec![false; seen.snapshots.len()],
            spans: HashMap::new(),
            notes: BTreeMap::new(),
            out: Sweep::default(),
            seen,
            options,
            begun,
            sealed,
            held,
            life,
            cutoff,
        };
        sweeper.mark(fates);
        sweeper
    }

    fn mark(&mut self, fates: &[Option<Choice>]) {
        for (index, (snapshot, fate)) in self.seen.snapshots.iter().zip(fates).enumerate() {
            if let (Some(dir), Some(fate)) = (snapshot.dir, fate) {
                self.by_dir.insert(dir, index);
                self.note_span(snapshot, dir, fate.keep);
            }
            match fate {
                Some(fate) if !fate.keep => {
                    self.goes[index] = true;
                    // Newest first: the first claim stays.
                    for file in &snapshot.uses.files {
                        if let Some(claim) = self.claims.get_mut(file.index()).filter(|claim| **claim == NOBODY) {
                            *claim = u32::try_from(index).unwrap_or(NOBODY);
                        }
                    }
                    // What a running job took from this snapshot, its next one may take over.
                    if snapshot.dir.and_then(|dir| self.seen.layout.job(dir)).is_some_and(|job| self.alive(job)) {
                        self.marks.add_outside(&snapshot.uses, &self.seen.tree, snapshot.dir);
                    }
                }
                _ => self.marks.add(&snapshot.uses),
            }
        }
        self.seen.aside.iter().for_each(|uses| self.marks.add(uses));
        self.seen.elsewhere.iter().for_each(|snapshot| self.marks.add(&snapshot.uses));
        self.marks.add(&self.sealed.uses);
        self.marks.settle(&self.seen.tree);
    }

    fn note_span(&mut self, snapshot: &Snapshot, dir: DirId, keep: bool) {
        let Some((Role::Checkpoint(id), job)) = self.seen.layout.role(dir) else { return };
        let span = self.spans.entry(job).or_insert((id, None));
        span.0 = span.0.min(id);
        if keep && let Some(time) = snapshot.completed_at {
            span.1 = Some(span.1.map_or(time, |oldest| oldest.min(time)));
        }
    }

    fn alive(&self, job: JobIndex) -> bool {
        self.held.jobs.contains_key(&job) || self.life.is_alive(job, self.cutoff)
    }

    /// Whether nothing was done to a file or directory within the grace.
    fn is_old(&self, entry: &Found<'_>) -> bool {
        entry.time().is_some_and(|time| time <= self.cutoff)
    }

    /// Decides.
    pub fn sweep(mut self) -> Sweep {
        for index in 0..self.seen.snapshots.len() {
            if self.goes[index] {
                self.snapshot(index);
            }
        }
        for &file in &self.begun.files {
            let dir = self.seen.tree.entry(file).dir;
            if !self.marks.holds(file) && !self.by_dir.contains_key(&dir) {
                let why = self.why(&self.seen.tree.entry(file), "left over by a prune that did not finish");
                self.out.files.push(Going { file, phase: Phase::Exclusive, why });
            }
        }
        for dir in self.seen.tree.dirs() {
            match self.seen.layout.role(dir) {
                Some((Role::Shared, job)) => self.shared(dir, job, "a file in shared/ that no snapshot refers to"),
                Some((Role::Merged, job)) => self.shared(dir, job, "a merged file of which no snapshot uses a segment"),
                Some((Role::Database, job)) => self.shared(dir, job, "a file of ForSt's that no snapshot refers to"),
                Some((Role::TaskOwned, job)) => {
                    let asked = self.options.taskowned;
                    self.on_request(dir, job, asked, "taskowned", "a file in taskowned/ that no snapshot refers to");
                }
                Some((Role::Changelog, job)) => {
                    let asked = self.options.changelog;
                    self.on_request(dir, job, asked, "dstl", "changes that no snapshot refers to");
                }
                Some((Role::Checkpoint(id), job)) if !self.by_dir.contains_key(&dir) => self.abandoned(dir, id, job),
                None if self.is_incomplete_savepoint(dir) => {
                    let why = "a savepoint without a _metadata: its owner has to say what becomes of it";
                    self.leave_all(dir, "savepoint-incomplete", why);
                }
                _ => {}
            }
        }
        self.directories();
        self.out.files.sort_unstable_by_key(|going| (going.phase, going.file));
        self.out.files.dedup_by_key(|going| going.file);
        self.out.refused = std::mem::take(&mut self.notes)
            .into_iter()
            .map(|((path, code), (why, files, bytes))| Refused { path, code: code.to_owned(), why, files, bytes })
            .collect();
        self.out
    }

    /// The files in the directory of a snapshot that goes.
    fn snapshot(&mut self, index: usize) {
        let snapshot = &self.seen.snapshots[index];
        let (Some(dir), Some(metadata)) = (snapshot.dir, snapshot.metadata) else { return };
        if self.marks.holds(metadata) {
            return;
        }
        self.out.files.push(Going { file: metadata, phase: Phase::Metadata, why: Why::Snapshot(index) });
        for entry in self.seen.tree.entries(dir).filter(|entry| entry.id != metadata) {
            if entry.kind == EntryKind::Directory {
                continue;
            }
            if !is_state_file(&entry) {
                self.leave(dir, "foreign", "not a file of Flink's, by its name or kind", &entry);
            } else if self.marks.holds(entry.id) {
                self.leave(dir, "in-use", "other snapshots refer to it, or a running job's next one may", &entry);
            } else {
                self.out.files.push(Going { file: entry.id, phase: Phase::Exclusive, why: Why::Snapshot(index) });
            }
        }
    }

    fn why(&self, entry: &Found<'_>, orphan: &'static str) -> Why {
        match self.claims.get(entry.id.index()) {
            Some(&claim) if claim != NOBODY => Why::Snapshot(claim as usize),
            _ => Why::Orphan(orphan),
        }
    }

    /// A directory of files that snapshots share.
    fn shared(&mut self, dir: DirId, job: JobIndex, orphan: &'static str) {
        let alive = self.alive(job);
        let limit = if alive && self.options.live { self.live_limit(dir, job) } else { None };
        for entry in self.seen.tree.entries(dir) {
            if !is_state_file(&entry) || self.marks.holds(entry.id) {
                continue;
            }
            let allowed = match (alive, limit) {
                (false, _) => self.is_old(&entry),
                (true, Some(limit)) => entry.time().is_some_and(|time| time <= limit),
                (true, None) => false,
            };
            if self.marks.holds_name(entry.name) {
                self.leave(self.job_dir(dir), "copy", COPY, &entry);
            } else if allowed {
                let why = self.why(&entry, orphan);
                self.out.files.push(Going { file: entry.id, phase: Phase::Shared, why });
            } else if alive {
                let why = self.alive_words(job);
                self.leave(self.job_dir(dir), "job-alive", &why, &entry);
            } else {
                self.leave(
                    self.job_dir(dir),
                    "young",
                    "younger than the grace: a snapshot may be about to name it",
                    &entry,
                );
            }
        }
    }

    /// Up to when unmarked files of a running job may go: never where it keeps a database, merges files or writes changes.
    fn live_limit(&self, dir: DirId, job: JobIndex) -> Option<Timestamp> {
        let tree = &self.seen.tree;
        if !matches!(self.seen.layout.role(dir), Some((Role::Shared, _))) {
            return None;
        }
        let delicate = tree.dirs().any(|other| match self.seen.layout.role(other) {
            Some((Role::Merged | Role::Database | Role::Between | Role::Changelog, of)) => of == job,
            // Materialised changes lie there.
            Some((Role::TaskOwned, of)) => of == job && tree.entries(other).next().is_some(),
            _ => false,
        });
        let oldest = self.spans.get(&job)?.1?;
        let begun = oldest.checked_sub(self.options.checkpoint_timeout()).ok()?;
        (!delicate).then(|| begun.checked_sub(self.options.grace()).ok()).flatten()
    }

    /// A directory of files that may be in use though no `_metadata` names them.
    fn on_request(&mut self, dir: DirId, job: JobIndex, asked: bool, include: &'static str, orphan: &'static str) {
        if asked {
            // Alive is alive here, whatever --live says.
            if self.alive(job) {
                let why = self.alive_words(job);
                return self.leave_unmarked(dir, "job-alive", &why);
            }
            if let Some((snapshot, problem)) = self.sealed.unsearched.as_ref().filter(|_| include == "taskowned") {
                let why = format!("{snapshot} may mention them in operator state, which cannot be searched: {problem}");
                return self.leave_unmarked(dir, include, &why);
            }
            return self.shared(dir, job, orphan);
        }
        let why = format!(
            "left alone unless --include {include}: files in there may be in use though no snapshot names them"
        );
        self.leave_unmarked(dir, include, &why);
    }

    /// `chk-N` without a `_metadata`: in progress, failed, or left behind.
    fn abandoned(&mut self, dir: DirId, id: u64, job: JobIndex) {
        let alive = self.alive(job);
        let span = self.spans.get(&job);
        let before_all = span.is_some_and(|(least, _)| id < *least);
        // A checkpoint that is still being written is younger than its timeout.
        let begun = self.options.checkpoint_timeout();
        let limit = if before_all { Some(self.cutoff) } else { self.cutoff.checked_sub(begun).ok() };
        for entry in self.seen.tree.entries(dir) {
            if !is_state_file(&entry) || self.marks.holds(entry.id) || self.begun.files.contains(&entry.id) {
                continue;
            }
            if self.marks.holds_name(entry.name) {
                self.leave(dir, "copy", COPY, &entry);
                continue;
            }
            if self.held.dirs.contains(&dir) {
                self.leave(dir, "in-progress", "the job runs, and is writing it or needs it", &entry);
                continue;
            }
            let old = entry.time().zip(limit).is_some_and(|(time, limit)| time <= limit);
            if (old && (before_all || !alive)) || (!alive && self.is_old(&entry)) {
                let why = self.why(&entry, "of a checkpoint that was never completed");
                self.out.files.push(Going { file: entry.id, phase: Phase::Shared, why });
            } else {
                let why = if alive { "may be in progress: the job looks alive" } else { "younger than the grace" };
                self.leave(dir, "in-progress", why, &entry);
            }
        }
    }

    fn alive_words(&self, job: JobIndex) -> String {
        if let Some(why) = self.held.jobs.get(&job) {
            return why.clone();
        }
        match self.life.last(job) {
            Some(last) => format!("the job looks alive: something of it was written at {last:.0}"),
            None => "the job looks alive".to_owned(),
        }
    }

    /// The directory that a directory below a job's belongs to, to name it by.
    fn job_dir(&self, dir: DirId) -> DirId {
        let mut at = dir;
        while let Some(above) = self.seen.tree.parent(at) {
            if matches!(self.seen.layout.role(at), Some((Role::Job, _))) {
                break;
            }
            at = above;
        }
        at
    }

    fn leave(&mut self, dir: DirId, code: &'static str, why: &str, entry: &Found<'_>) {
        let place = self.seen.tree.place(dir).clone();
        let note = self.notes.entry((place, code)).or_insert_with(|| (why.to_owned(), 0, 0));
        note.1 += 1;
        note.2 = note.2.saturating_add(entry.size);
    }

    fn leave_all(&mut self, dir: DirId, code: &'static str, why: &str) {
        let seen = self.seen;
        seen.tree
            .entries(dir)
            .filter(|entry| entry.kind == EntryKind::File)
            .for_each(|e| self.leave(dir, code, why, &e));
    }

    fn leave_unmarked(&mut self, dir: DirId, code: &'static str, why: &str) {
        let seen = self.seen;
        for entry in seen.tree.entries(dir).filter(is_state_file) {
            if !self.marks.holds(entry.id) {
                self.leave(self.job_dir(dir), code, why, &entry);
            }
        }
    }

    /// Directories that are empty when all this is done.
    fn directories(&mut self) {
        let tree = &self.seen.tree;
        let mut going = vec![false; tree.count()];
        for file in &self.out.files {
            if let Some(goes) = going.get_mut(file.file.index()) {
                *goes = true;
            }
        }
        let mut deepest_first: Vec<(usize, DirId)> =
            tree.dirs().map(|dir| (tree.place(dir).components().count(), dir)).collect();
        deepest_first.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| tree.place(a.1).cmp(tree.place(b.1))));
        let mut would: HashSet<DirId> = HashSet::new();
        for &(_, dir) in &deepest_first {
            let Some(own) = tree.own_entry(dir).filter(|own| own.exact && own.kind == EntryKind::Directory) else {
                continue;
            };
            let mut entries = tree.entries(dir).peekable();
            let was_empty = entries.peek().is_none();
            let empties = entries.all(|entry| match entry.kind {
                EntryKind::Directory => tree.child(dir, entry.name).is_some_and(|child| would.contains(&child)),
                _ => going.get(entry.id.index()) == Some(&true),
            });
            let settled = !was_empty || self.is_old(&own) || self.begun.dirs.contains(&dir);
            if empties && settled && !self.marks.holds_dir(dir) && self.may_go(dir) {
                would.insert(dir);
            }
        }
        let goes = |dir: &DirId| match self.seen.layout.role(*dir) {
            // These go with the job or not at all.
            Some((Role::Shared | Role::TaskOwned | Role::Changelog, _)) => {
                let job = self.job_dir(*dir);
                would.contains(&job)
            }
            _ => true,
        };
        self.out.dirs =
            deepest_first.iter().map(|(_, dir)| *dir).filter(|dir| would.contains(dir) && goes(dir)).collect();
    }

    /// Whether a directory may go if it is empty.
    fn may_go(&self, dir: DirId) -> bool {
        if self.held.dirs.contains(&dir) {
            return false;
        }
        let dead = |job| !self.alive(job);
        match self.seen.layout.role(dir) {
            Some((Role::Checkpoint(_), _)) if self.by_dir.contains_key(&dir) => self.goes_with_snapshot(dir),
            Some((Role::Checkpoint(id), job)) => {
                dead(job)
                    || self.begun.dirs.contains(&dir)
                    || self.spans.get(&job).is_some_and(|(least, _)| id < *least)
            }
            Some((Role::Job, job)) => dead(job) && crate::survey::catalog::is_job_id(self.seen.tree.place(dir).name()),
            Some((_, job)) => dead(job),
            None => self.goes_with_snapshot(dir) || (self.begun.dirs.contains(&dir) && self.is_empty_snapshot(dir)),
        }
    }

    fn is_incomplete_savepoint(&self, dir: DirId) -> bool {
        let named = is_savepoint_name(self.seen.tree.place(dir).name());
        named && !self.by_dir.contains_key(&dir) && !self.begun.dirs.contains(&dir)
    }

    fn goes_with_snapshot(&self, dir: DirId) -> bool {
        self.by_dir.get(&dir).is_some_and(|index| self.goes[*index])
    }

    /// Whether a run that did not finish took everything out of a snapshot's directory.
    fn is_empty_snapshot(&self, dir: DirId) -> bool {
        self.seen.tree.find(dir, METADATA).is_none()
    }
}
