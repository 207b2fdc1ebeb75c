//! What a prune has to decide, written down a second time: slow loops over sets of paths, from `docs/prune.md` and not from
//! the code.

use super::tree::{Drawing, Drawn, HOUR, Ref};
use chkctl::plan::Phase;
use std::collections::{BTreeMap, BTreeSet};

/// What is asked for, as the model reads it.
#[derive(Debug, Clone)]
pub struct Ask {
    /// `--keep-last`.
    pub last: usize,
    /// `--keep-within`, in hours.
    pub within: Option<i64>,
    /// `--group-by`: job, root or none.
    pub group_by: &'static str,
    /// The grace in seconds, at least twice [`TIMEOUT`].
    pub grace: i64,
    /// `--live`.
    pub live: bool,
    /// `--include taskowned`.
    pub taskowned: bool,
    /// `--include dstl`.
    pub dstl: bool,
    /// Not `--no-verify`.
    pub verify: bool,
}

/// `--checkpoint-timeout` in seconds.
pub const TIMEOUT: i64 = 600;

/// What a plan has to be.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Directories of snapshots that stay.
    pub keep: BTreeSet<String>,
    /// Directories of snapshots that go.
    pub remove: BTreeSet<String>,
    /// Files and directories that go.
    pub steps: BTreeMap<String, Phase>,
}

/// A tree with what is asked for.
pub struct Model<'d> {
    drawn: &'d Drawn,
    roots: &'d [&'d str],
    ask: &'d Ask,
    dirs: BTreeSet<String>,
    /// For each snapshot, whether it stays; `None` where no survey comes by.
    fates: Vec<Option<bool>>,
    marked: BTreeSet<String>,
    held_dirs: Vec<String>,
}

/// What a directory is: its role, and its job's name.
type Place = (&'static str, String);

pub fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

pub fn above(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(above, _)| above)
}

pub fn is_below(path: &str, dir: &str) -> bool {
    path == dir || path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'))
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
}

fn chk(path: &str) -> Option<u64> {
    name(path).strip_prefix("chk-")?.parse().ok()
}

fn is_savepoint(path: &str) -> bool {
    let parts: Vec<&str> = name(path).split('-').collect();
    parts.len() == 3 && parts[0] == "savepoint" && is_hex(parts[1], 6) && is_hex(parts[2], 12)
}

fn is_uuid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    parts.len() == 5 && parts.iter().zip([8, 4, 4, 4, 12]).all(|(part, digits)| is_hex(part, digits))
}

/// Whether Flink gives such names to files of state.
pub fn is_flinks(path: &str) -> bool {
    match name(path).strip_prefix('.').and_then(|rest| rest.split_once(".inprogress.")) {
        Some((target, uuid)) => (target == "_metadata" || is_uuid(target)) && is_uuid(uuid),
        None => is_uuid(name(path)),
    }
}

fn is_merging(text: &str, kinds: &[&str]) -> bool {
    let rest = text.strip_prefix("job_").filter(|rest| rest.len() > 32 && is_hex(&rest[..32], 32));
    rest.is_some_and(|rest| kinds.iter().any(|kind| rest[32..].starts_with(kind) && rest[32..].len() > kind.len()))
}

impl<'d> Model<'d> {
    /// Decides everything.
    pub fn new(drawn: &'d Drawn, roots: &'d [&'d str], ask: &'d Ask) -> Self {
        let mut dirs = drawn.all_dirs();
        for snapshot in drawn.snapshots.iter().filter(|snapshot| snapshot.pinned) {
            dirs.insert(format!("{}/.chkctl", above(&snapshot.dir)));
        }
        let mut model = Model {
            drawn,
            roots,
            ask,
            dirs,
            fates: vec![None; drawn.snapshots.len()],
            marked: BTreeSet::new(),
            held_dirs: Vec::new(),
        };
        model.choose();
        model.mark();
        model
    }

    fn root(&self, path: &str) -> Option<&'d str> {
        self.roots.iter().copied().find(|root| is_below(path, root))
    }

    /// Whether a survey looks for snapshots and jobs in a directory.
    fn surveyed(&self, dir: &str) -> bool {
        let Some(root) = self.root(dir) else { return false };
        let mut at = dir.to_owned();
        while at != root {
            let parent = above(&at).to_owned();
            let flinks = ["shared", "taskowned", "dstl"].contains(&name(&at)) && self.looks_like_job(&parent);
            let inside = chk(&parent).is_some() || is_savepoint(&parent) || self.snapshot_at(&parent).is_some();
            if name(&at).starts_with('.') || name(&at) == "lost+found" || flinks || inside {
                return false;
            }
            at = parent;
        }
        true
    }

    fn children(&self, dir: &str) -> impl Iterator<Item = &String> {
        self.dirs.iter().filter(move |path| above(path) == dir)
    }

    fn looks_like_job(&self, dir: &str) -> bool {
        let has = |child: &str| self.dirs.contains(&format!("{dir}/{child}"));
        let checkpoints = self.children(dir).any(|child| chk(child).is_some());
        is_hex(name(dir), 32) || (has("shared") && has("taskowned")) || checkpoints
    }

    fn snapshot_at(&self, dir: &str) -> Option<usize> {
        self.drawn.snapshots.iter().position(|snapshot| snapshot.dir == dir)
    }

    fn job_at(&self, dir: &str) -> Option<String> {
        let inside = chk(dir).is_some() || is_savepoint(dir) || self.snapshot_at(dir).is_some();
        let job = self.surveyed(dir) && !inside && self.looks_like_job(dir);
        job.then(|| if is_hex(name(dir), 32) { name(dir).to_owned() } else { dir.to_owned() })
    }

    /// What a directory is to Flink.
    fn place(&self, dir: &str) -> Option<Place> {
        self.root(dir)?;
        if let Some(job) = self.job_at(dir) {
            return Some(("job", job));
        }
        let one = above(dir);
        if let Some(job) = self.job_at(one) {
            return match name(dir) {
                "shared" => Some(("shared", job)),
                "taskowned" => Some(("taskowned", job)),
                "dstl" if is_hex(name(one), 32) => Some(("dstl", job)),
                _ => chk(dir).map(|_| ("chk", job)),
            };
        }
        let two = above(one);
        if let Some(job) = self.job_at(two) {
            return match (name(one), name(dir)) {
                ("shared", name) if is_merging(name, &["_op_", "_tm_"]) => Some(("merged", job)),
                ("shared", name) if name.starts_with("op_") => Some(("between", job)),
                ("taskowned", name) if is_merging(name, &["_tm_"]) => Some(("taskowned", job)),
                _ => None,
            };
        }
        let job = self.job_at(above(two))?;
        let database = name(two) == "shared" && name(one).starts_with("op_") && name(dir) == "db";
        database.then_some(("database", job))
    }

    fn alive(&self, job: &str) -> bool {
        let young = |age: i64| age < self.ask.grace;
        let of_job = |dir: &str| self.place(dir).is_some_and(|(_, of)| of == job);
        let files = self.drawn.files.iter().any(|(path, (_, age))| young(*age) && of_job(above(path)));
        let metadata = self.drawn.snapshots.iter().any(|snapshot| young(snapshot.age) && of_job(&snapshot.dir));
        let begun = self.drawn.dirs.iter().any(|(dir, age)| {
            let checkpoint = self.place(dir).is_some_and(|place| place == ("chk", job.to_owned()));
            young(*age) && checkpoint && self.snapshot_at(dir).is_none()
        });
        files || metadata || begun
    }

    fn is_whole(&self, snapshot: &Drawing) -> bool {
        snapshot.refs.iter().all(|reference| match reference {
            Ref::File(path) | Ref::Segment(path) => self.drawn.files.contains_key(path),
            Ref::Raw(..) | Ref::Relative(..) => false,
            Ref::Directories(..) => true,
        })
    }

    fn group(&self, snapshot: &Drawing) -> String {
        let kind = if chk(&snapshot.dir).is_some() { "checkpoints" } else { "savepoints" };
        let of = match self.ask.group_by {
            "none" => "",
            "root" => self.root(&snapshot.dir).expect("a root"),
            _ => above(&snapshot.dir),
        };
        let by_job = self.ask.group_by == "job" && chk(&snapshot.dir).is_none() && is_savepoint(&snapshot.dir);
        let job = if by_job { &name(&snapshot.dir)["savepoint-".len()..][..6] } else { "" };
        format!("{kind} {of} {job}")
    }

    fn choose(&mut self) {
        let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (index, snapshot) in self.drawn.snapshots.iter().enumerate() {
            let chk_or_savepoint = chk(&snapshot.dir).is_some() || is_savepoint(&snapshot.dir);
            // A snapshot of any name is found where a survey looks.
            if self.surveyed(&snapshot.dir) || (chk_or_savepoint && self.roots.contains(&&*snapshot.dir)) {
                groups.entry(self.group(snapshot)).or_default().push(index);
            }
        }
        for members in groups.values() {
            let at = |index: usize| &self.drawn.snapshots[index];
            let mut good: Vec<usize> = members.clone();
            good.retain(|&index| !self.ask.verify || self.is_whole(at(index)));
            good.sort_by_key(|&index| (at(index).age, -at(index).id));
            let past: Vec<usize> = good.iter().copied().filter(|&index| at(index).age >= 0).collect();
            let head = past.first().or(good.first()).copied();
            let mut keep: BTreeSet<usize> = BTreeSet::new();
            keep.extend(good.iter().take(self.ask.last.max(1)));
            keep.extend(past.first());
            keep.extend(members.iter().filter(|&&index| at(index).pinned));
            match head {
                None => keep.extend(members),
                Some(head) => {
                    let older = |index: usize| {
                        at(index).age > at(head).age || (at(index).age == at(head).age && at(index).id < at(head).id)
                    };
                    keep.extend(members.iter().filter(|&&index| !good.contains(&index) && !older(index)));
                }
            }
            if let Some(hours) = self.ask.within {
                let limit = past.first().map(|&newest| at(newest).age + hours * HOUR);
                keep.extend(good.iter().filter(|&&index| limit.is_none_or(|limit| at(index).age < limit)));
            }
            members.iter().for_each(|&index| self.fates[index] = Some(keep.contains(&index)));
        }
    }

    fn mark(&mut self) {
        let drawn = self.drawn;
        for (snapshot, fate) in drawn.snapshots.iter().zip(&self.fates) {
            if self.root(&snapshot.dir).is_none() {
                continue;
            }
            let job = self.place(&snapshot.dir).map(|(_, job)| job);
            let goes = *fate == Some(false);
            if goes && !job.is_some_and(|job| self.alive(&job)) {
                continue;
            }
            for reference in &snapshot.refs {
                match reference {
                    Ref::File(path) | Ref::Segment(path) if self.exists(path) => {
                        if !(goes && above(path) == snapshot.dir) {
                            self.marked.insert(path.clone());
                        }
                    }
                    Ref::File(path) | Ref::Segment(path) | Ref::Raw(path, _) | Ref::Relative(path, _) => {
                        self.marked.extend(drawn.files.keys().filter(|file| name(file) == name(path)).cloned());
                    }
                    Ref::Directories(task_owned, shared) => {
                        for dir in [task_owned, shared] {
                            let there = self.dirs.contains(dir) && self.root(dir).is_some();
                            let named = self.dirs.iter().filter(|other| name(other) == name(dir));
                            let held = if there { vec![dir.clone()] } else { named.cloned().collect() };
                            self.held_dirs.extend(held);
                        }
                    }
                }
            }
        }
        let held = |path: &str| self.held_dirs.iter().any(|dir| is_below(above(path), dir));
        let in_held: Vec<String> = drawn.files.keys().filter(|path| held(path)).cloned().collect();
        self.marked.extend(in_held);
    }

    fn exists(&self, path: &str) -> bool {
        self.drawn.files.contains_key(path) && self.root(path).is_some()
    }

    /// Files that snapshots refer to which stay, beside those that are only named.
    pub fn marked(&self) -> &BTreeSet<String> {
        &self.marked
    }

    /// The least id of complete checkpoints of a job, and the age of the oldest that stays.
    fn span(&self, job: &str) -> (Option<u64>, Option<i64>) {
        let of_job = |dir: &str| self.place(dir).is_some_and(|place| place == ("chk", job.to_owned()));
        let all = self.drawn.snapshots.iter().zip(&self.fates).filter(|(snapshot, _)| of_job(&snapshot.dir));
        let least = all.clone().filter_map(|(snapshot, _)| chk(&snapshot.dir)).min();
        (least, all.filter(|(_, fate)| **fate == Some(true)).map(|(snapshot, _)| snapshot.age).max())
    }

    /// How old a file in `shared` of a running job must be to go, with `--live`.
    fn live_age(&self, job: &str) -> Option<i64> {
        let delicate = self.dirs.iter().any(|dir| match self.place(dir) {
            Some(("merged" | "between" | "database" | "dstl", of)) => of == job,
            Some(("taskowned", of)) => {
                let in_it = |path: &String| above(path) == dir;
                of == job && (self.drawn.files.keys().any(in_it) || self.dirs.iter().any(in_it))
            }
            _ => false,
        });
        let oldest = self.span(job).1.filter(|_| self.ask.live && !delicate)?;
        Some(oldest + TIMEOUT + self.ask.grace)
    }

    /// When a file goes, if it does.
    fn phase(&self, path: &str, age: i64) -> Option<Phase> {
        let dir = above(path);
        if self.root(path).is_none() || !is_flinks(path) || self.marked.contains(path) {
            return None;
        }
        if let Some(index) = self.snapshot_at(dir) {
            return (self.fates[index] == Some(false)).then_some(Phase::Exclusive);
        }
        if self.marked.iter().any(|marked| name(marked) == name(path)) {
            // A copy of a file in use.
            return None;
        }
        let (role, job) = self.place(dir)?;
        let alive = self.alive(&job);
        let old = age >= self.ask.grace;
        let goes = match role {
            "shared" if alive => self.live_age(&job).is_some_and(|least| age >= least),
            "shared" | "merged" | "database" => old && !alive,
            "taskowned" => old && !alive && self.ask.taskowned,
            "dstl" => old && !alive && self.ask.dstl,
            "chk" => old && (!alive || self.span(&job).0.is_some_and(|least| chk(dir) < Some(least))),
            _ => false,
        };
        goes.then_some(Phase::Shared)
    }

    /// Whether a directory is empty in the end and may go.
    fn vanishes(&self, dir: &str, steps: &BTreeMap<String, Phase>) -> bool {
        let gone = |path: &String| steps.contains_key(path);
        let metadata = self.snapshot_at(dir).map(|_| format!("{dir}/_metadata"));
        let files: Vec<String> = self.drawn.files.keys().filter(|path| above(path) == dir).cloned().collect();
        let dirs: Vec<&String> = self.children(dir).collect();
        let empty = metadata.iter().chain(&files).all(gone) && dirs.iter().all(|child| self.vanishes(child, steps));
        let was_empty = metadata.is_none() && files.is_empty() && dirs.is_empty();
        let age = self.drawn.dirs.get(dir).copied().unwrap_or(i64::MAX);
        let held = self.held_dirs.iter().any(|held| is_below(dir, held));
        if !empty || (was_empty && age < self.ask.grace) || held || self.roots.contains(&dir) {
            return false;
        }
        if let Some(index) = self.snapshot_at(dir) {
            return self.fates[index] == Some(false);
        }
        match self.place(dir) {
            Some(("chk", job)) => !self.alive(&job) || self.span(&job).0.is_some_and(|least| chk(dir) < Some(least)),
            Some(("job", job)) => !self.alive(&job) && is_hex(name(dir), 32),
            Some((_, job)) => !self.alive(&job),
            None => false,
        }
    }

    /// What the plan has to be.
    pub fn wanted(&self) -> Wanted {
        let mut wanted = Wanted::default();
        for (snapshot, fate) in self.drawn.snapshots.iter().zip(&self.fates) {
            match fate {
                Some(true) => drop(wanted.keep.insert(snapshot.dir.clone())),
                Some(false) => {
                    wanted.remove.insert(snapshot.dir.clone());
                    wanted.steps.insert(format!("{}/_metadata", snapshot.dir), Phase::Metadata);
                }
                None => {}
            }
        }
        for (path, (_, age)) in &self.drawn.files {
            if let Some(phase) = self.phase(path, *age) {
                wanted.steps.insert(path.clone(), phase);
            }
        }
        let mut dirs = BTreeMap::new();
        for dir in self.dirs.iter().filter(|dir| self.root(dir).is_some() && self.vanishes(dir, &wanted.steps)) {
            let with_job = matches!(self.place(dir), Some(("shared" | "taskowned" | "dstl", _)));
            let job = if self.job_at(above(dir)).is_some() { above(dir) } else { above(above(dir)) };
            if !with_job || self.vanishes(job, &wanted.steps) {
                dirs.insert(dir.clone(), Phase::Directory);
            }
        }
        wanted.steps.extend(dirs);
        wanted
    }
}
