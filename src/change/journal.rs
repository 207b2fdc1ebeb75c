//! The journal of a run: a directory below each root that it touches.
//!
//! ```text
//! <root>/.chkctl/trash/<run>/
//!   plan.1.json   the plan, durable before anything is moved
//!   tree.1/…      what was put aside for it, at the paths that it had below the root
//!   plan.2.json   the plan of a later run that went on with this one, and so on
//!   tree.2/…
//!   end.json      how it ended; without it the run is unfinished
//! ```

use super::own::{self, TRASH, below};
use super::{ChangeError, RunId, trash};
use crate::model::Location;
use crate::plan::Plan;
use crate::storage::{Below, EntryKind, StorageErrorKind, WriteStorage};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The version of the files of a journal.
const VERSION: u32 = 1;
/// No plan is longer: one of a million files has 100 MB.
const LONGEST_PLAN: u64 = 1 << 30;
const LONGEST_END: u64 = 64 << 10;
pub(super) const END: &str = "end.json";
const PLAN: &str = "plan.";
const TREE: &str = "tree.";

/// How a run ended, or what was begun with it since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndState {
    /// All of the plan was done.
    Done,
    /// Some of it was left.
    Partly,
    /// It is being brought back.
    Undeleting,
    /// It is being deleted for good.
    Purging,
}

/// `end.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct End {
    pub(super) version: u32,
    pub(super) state: EndState,
    pub(super) finished: Timestamp,
    /// Whether files were deleted at once.
    pub(super) instant: bool,
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) directories: u64,
    pub(super) skipped: u64,
    pub(super) failed: u64,
}

impl End {
    pub(super) fn new(state: EndState, finished: Timestamp) -> Self {
        End {
            version: VERSION,
            state,
            finished,
            instant: false,
            files: 0,
            bytes: 0,
            directories: 0,
            skipped: 0,
            failed: 0,
        }
    }
}

/// `plan.N.json`.
#[derive(Serialize, Deserialize)]
struct Recorded<'p> {
    version: u32,
    run: RunId,
    /// Which of the plan's roots this one is.
    root: usize,
    instant: bool,
    began: Timestamp,
    plan: Cow<'p, Plan>,
}

/// Whether a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    No,
    Yes(End),
    /// It has an `end.json` that cannot be understood.
    Unreadable,
}

/// The directory of a run below a root.
#[derive(Clone, Copy)]
pub(super) struct RunDir<'a> {
    pub(super) storage: &'a dyn WriteStorage,
    pub(super) root: &'a Location,
    pub(super) run: &'a RunId,
}

/// What is in the directory of a run.
#[derive(Debug, Default)]
pub(super) struct Layers {
    /// Numbers of plans, ascending.
    pub(super) plans: Vec<u32>,
    /// Numbers of trees, ascending.
    pub(super) trees: Vec<u32>,
}

impl Layers {
    pub(super) fn is_empty(&self) -> bool {
        self.plans.is_empty() && self.trees.is_empty()
    }
}

impl RunDir<'_> {
    pub(super) fn path(&self) -> String {
        below(TRASH, self.run.as_str())
    }

    pub(super) fn tree(&self, layer: u32) -> String {
        format!("{}/{TREE}{layer}", self.path())
    }

    pub(super) fn place(&self) -> Location {
        Below { root: self.root, dir: &self.path() }.location()
    }

    pub(super) fn is_there(&self) -> Result<bool, ChangeError> {
        own::is_there(self.storage, self.root, &self.path())
    }

    pub(super) fn ended(&self) -> Result<Ended, ChangeError> {
        let bytes = match own::read(self.storage, self.root, &self.path(), END, LONGEST_END) {
            Ok(None) => return Ok(Ended::No),
            Ok(Some(bytes)) => bytes,
            Err(ChangeError::Storage(error)) if error.kind != StorageErrorKind::TooLarge => return Err(error.into()),
            Err(_) => return Ok(Ended::Unreadable),
        };
        let end = serde_json::from_slice::<End>(&bytes).ok().filter(|end| end.version == VERSION);
        Ok(end.map_or(Ended::Unreadable, Ended::Yes))
    }

    /// Says how the run ended, durably, in place of what was said before.
    pub(super) fn set_end(&self, end: &End) -> Result<(), ChangeError> {
        let json = serde_json::to_vec_pretty(end).unwrap_or_default();
        Ok(self.storage.replace(&Below { root: self.root, dir: &self.path() }.file(END), &json)?)
    }

    pub(super) fn layers(&self) -> Result<Layers, ChangeError> {
        let mut layers = Layers::default();
        for entry in self.storage.list(&self.place())? {
            let plan = entry.name.strip_prefix(PLAN).and_then(|rest| rest.strip_suffix(".json"));
            if let Some(layer) = plan.and_then(number) {
                layers.plans.push(layer);
            }
            let tree = entry.name.strip_prefix(TREE).and_then(number);
            if let Some(layer) = tree.filter(|_| entry.kind == EntryKind::Directory) {
                layers.trees.push(layer);
            }
        }
        layers.plans.sort_unstable();
        layers.trees.sort_unstable();
        Ok(layers)
    }

    /// Removes the plans and then `end.json`, what half-written files are left of them, and the directory; trees have to
    /// be gone. `Ok(false)` where something else is in it.
    pub(super) fn remove(&self) -> Result<bool, ChangeError> {
        self.remove_plans()?;
        let path = self.path();
        let dir = Below { root: self.root, dir: &path };
        let entries = self.storage.list(&self.place())?;
        let own = |name: &str| name == END || is_half_written(name);
        if !entries.iter().all(|entry| own(&entry.name)) {
            return Ok(false);
        }
        let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        self.storage.delete_names(dir, &names).into_iter().try_for_each(|deleted| deleted.map(drop))?;
        self.storage.delete_empty_below(dir)?;
        self.storage.sync_dir(&Below { root: self.root, dir: TRASH }.location())?;
        Ok(true)
    }

    pub(super) fn remove_plans(&self) -> Result<(), ChangeError> {
        let names: Vec<String> = self.layers()?.plans.iter().map(|layer| plan_name(*layer)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let deleted = self.storage.delete_names(Below { root: self.root, dir: &self.path() }, &names);
        Ok(deleted.into_iter().try_for_each(|deleted| deleted.map(drop))?)
    }

    /// The newest plan that is recorded.
    pub(super) fn plan(&self) -> Result<Plan, ChangeError> {
        let broken = |why: String| ChangeError::Run { run: self.run.clone(), why };
        let layer = *self.layers()?.plans.last().ok_or_else(|| broken("it has no plan".to_owned()))?;
        let (path, name) = (self.path(), plan_name(layer));
        let bytes = own::read(self.storage, self.root, &path, &name, LONGEST_PLAN)?;
        let bytes = bytes.ok_or_else(|| broken("its plan is gone".to_owned()))?;
        let recorded: Recorded<'_> =
            serde_json::from_slice(&bytes).map_err(|error| broken(format!("its plan cannot be read: {error}")))?;
        if recorded.version != VERSION || recorded.run != *self.run {
            return Err(broken("its plan is of another run or another version of chkctl".to_owned()));
        }
        Ok(recorded.plan.into_owned())
    }
}

/// The plan that an unfinished run carries out, to carry on with it. Its roots are in the plan: they are to be compared
/// with those that were meant.
pub fn recorded_plan(storage: &dyn WriteStorage, root: &Location, run: &RunId) -> Result<Plan, ChangeError> {
    let dir = RunDir { storage, root, run };
    if !dir.is_there()? {
        return Err(ChangeError::Run { run: run.clone(), why: format!("it is not below {root}") });
    }
    dir.plan()
}

/// The runs that have a directory below a root, oldest first.
pub(super) fn runs_below(storage: &dyn WriteStorage, root: &Location) -> Result<Vec<RunId>, ChangeError> {
    if !own::is_there(storage, root, TRASH)? {
        return Ok(Vec::new());
    }
    let entries = storage.list(&Below { root, dir: TRASH }.location())?;
    let directories = entries.iter().filter(|entry| entry.kind == EntryKind::Directory);
    let mut runs: Vec<RunId> = directories.filter_map(|entry| entry.name.parse().ok()).collect();
    runs.sort();
    Ok(runs)
}

/// A run that has been begun, with its layer below each root that it touches.
pub(super) struct Journal {
    pub(super) run: RunId,
    /// By the plan's roots.
    pub(super) layers: Vec<Option<u32>>,
}

impl Journal {
    /// Records a plan, durably, below every root in which it has something to do: in the directory of `wanted` or of an
    /// unfinished run, else of a new one.
    pub(super) fn begin(
        storage: &dyn WriteStorage,
        plan: &Plan,
        instant: bool,
        wanted: Option<&RunId>,
        now: Timestamp,
    ) -> Result<Self, ChangeError> {
        let run = match (wanted, to_go_on_with(storage, &plan.roots, wanted)?) {
            (_, Some(run)) => run,
            (Some(run), None) => {
                let why = "it is finished, or below none of the roots".to_owned();
                return Err(ChangeError::Run { run: run.clone(), why });
            }
            (None, None) => RunId::new(now),
        };
        let mut layers = Vec::with_capacity(plan.roots.len());
        for (index, root) in plan.roots.iter().enumerate() {
            let dir = RunDir { storage, root, run: &run };
            let is_there = dir.is_there()?;
            let unfinished = is_there && dir.ended()? == Ended::No;
            if !unfinished && plan.batches.iter().all(|batch| batch.root != index) {
                layers.push(None);
                continue;
            }
            own::ensure(storage, root, &dir.path())?;
            let before = dir.layers()?;
            let layer = before.plans.iter().chain(&before.trees).max().map_or(1, |last| last.saturating_add(1));
            // What was put aside before is made durable: that it is gone from its place may become so next.
            for tree in before.trees {
                trash::sync(storage, root, &dir.tree(tree))?;
            }
            if is_there && !unfinished {
                // It ended here and not below another root.
                storage.delete(&Below { root, dir: &dir.path() }.file(END))?;
            }
            let recorded = Recorded {
                version: VERSION,
                run: run.clone(),
                root: index,
                instant,
                began: now,
                plan: Cow::Borrowed(plan),
            };
            let json = serde_json::to_vec(&recorded).map_err(|error| ChangeError::Plan(error.to_string()))?;
            storage.publish(&Below { root, dir: &dir.path() }.file(&plan_name(layer)), &json)?;
            layers.push(Some(layer));
        }
        Ok(Journal { run, layers })
    }
}

/// The newest run that is unfinished below one of the roots, and not being brought back or deleted below another.
fn to_go_on_with(
    storage: &dyn WriteStorage,
    roots: &[Location],
    wanted: Option<&RunId>,
) -> Result<Option<RunId>, ChangeError> {
    let (mut unfinished, mut taken) = (Vec::new(), Vec::new());
    for root in roots {
        for run in runs_below(storage, root)? {
            if wanted.is_some_and(|wanted| *wanted != run) {
                continue;
            }
            match (RunDir { storage, root, run: &run }).ended()? {
                Ended::No => unfinished.push(run),
                Ended::Yes(End { state: EndState::Done | EndState::Partly, .. }) => {}
                Ended::Yes(_) | Ended::Unreadable => taken.push(run),
            }
        }
    }
    unfinished.retain(|run| !taken.contains(run));
    Ok(unfinished.into_iter().max())
}

fn plan_name(layer: u32) -> String {
    format!("{PLAN}{layer}.json")
}

/// Whether a name is that of a file of ours that was being written when its process ended.
fn is_half_written(name: &str) -> bool {
    [".plan.", ".end.json."].iter().any(|start| name.starts_with(start)) && name.contains(".inprogress.")
}

/// A number as it is written: `1`, not `01`.
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number: &u32| number.to_string() == text)
}
