//! Plans for trees of real Flink, carried out by hand on a copy: what stays has the same verdict as before, and every file
//! that it refers to by Flink's own account is still there.

use super::tree::{keep_last, location};
use crate::suite::support::{Case, archives};
use chkctl::plan::{Phase, Plan};
use chkctl::prune::options::GroupBy;
use chkctl::prune::{self, Options};
use chkctl::retention::{Count, Policy};
use chkctl::storage::LocalStorage;
use chkctl::survey::inventory::Inventory;
use chkctl::survey::resolve::PathMaps;
use chkctl::survey::{Catalog, Judge, Silent, Verdict};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

/// A case, with what Flink's own classes say of it.
pub(super) struct Trial {
    pub case: Case,
    /// For each snapshot, by its path in the tree, the files that it refers to.
    pub refers: BTreeMap<String, BTreeSet<String>>,
}

/// What was moved away, to be put back.
struct Moved {
    files: Vec<(PathBuf, PathBuf)>,
    dirs: Vec<PathBuf>,
}

impl Trial {
    pub fn new(case: Case) -> Self {
        let mut refers = BTreeMap::new();
        let expected = case.expected();
        for snapshot in expected["checkpoints"].as_array().expect("snapshots") {
            let at = |value: &serde_json::Value| {
                let path = case.here(value["path"].as_str().expect("a path"));
                path.strip_prefix(case.tree()).map_or_else(|_| path.display().to_string(), |p| p.display().to_string())
            };
            // Only what Flink could load says what it refers to.
            if let Some(files) = snapshot["referenced_files"].as_array() {
                refers.insert(at(snapshot), files.iter().map(at).collect());
            }
        }
        Trial { case, refers }
    }

    pub fn named(name: &str) -> Self {
        Trial::new(Case::named(name))
    }

    pub fn maps(&self) -> PathMaps {
        PathMaps::new(vec![self.case.map().parse().expect("a map")])
    }

    fn plan(&self, options: &Options) -> Plan {
        let roots = prune::real_roots(&LocalStorage, &[location(self.case.tree())]).expect("a root");
        prune::prepare(&LocalStorage, &roots, &self.maps(), options, &Silent).expect("a plan").plan
    }

    pub fn path(&self, place: &str) -> String {
        let root = fs::canonicalize(self.case.tree()).expect("a path");
        PathBuf::from(place).strip_prefix(root).expect("a path below the root").display().to_string()
    }

    /// All snapshots with what `verify` says of them.
    pub fn verdicts(&self) -> BTreeMap<String, Verdict> {
        let root = location(fs::canonicalize(self.case.tree()).expect("a path"));
        let catalog = Catalog::scan(&LocalStorage, &[root]).expect("a catalog");
        let inventory = Inventory::shared(&LocalStorage);
        let judge = Judge {
            inventory,
            maps: self.maps(),
            progress: &Silent,
            neighbours: catalog.snapshots.iter().map(|snapshot| snapshot.dir.clone()).collect(),
            keep_files: false,
        };
        catalog.snapshots.iter().map(|s| (self.path(s.dir.path()), judge.judge(s).verdict)).collect()
    }

    /// All files, by their paths in the tree.
    pub fn files(&self) -> BTreeSet<String> {
        let entries = walkdir::WalkDir::new(self.case.tree()).into_iter().map(|entry| entry.expect("an entry"));
        let files = entries.filter(|entry| entry.file_type().is_file()).map(|entry| entry.into_path());
        files.map(|path| path.strip_prefix(self.case.tree()).expect("below").display().to_string()).collect()
    }

    /// Carries a plan out, in its order.
    fn carry_out(&self, plan: &Plan) -> Moved {
        let trash = self.case.root.join("trash");
        fs::create_dir_all(&trash).expect("a directory");
        let mut moved = Moved { files: Vec::new(), dirs: Vec::new() };
        for batch in &plan.batches {
            let dir = PathBuf::from(batch.location(plan).expect("a root").path());
            for item in &batch.items {
                let path = dir.join(&item.name);
                if batch.phase == Phase::Directory {
                    fs::remove_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                    moved.dirs.push(path);
                } else {
                    let to = trash.join(moved.files.len().to_string());
                    fs::rename(&path, &to).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                    moved.files.push((path, to));
                }
            }
        }
        moved
    }

    fn kept(&self, plan: &Plan) -> BTreeSet<String> {
        plan.keep.iter().map(|kept| self.path(kept.path.path())).collect()
    }

    fn removed(&self, plan: &Plan) -> BTreeSet<String> {
        plan.remove.iter().map(|removed| self.path(removed.path.path())).collect()
    }

    /// Carries out the plan for some options, and checks what stays. Gives the files that stay.
    fn check(&self, options: &Options, what: &str) -> BTreeSet<String> {
        let what = format!("{} {what}", self.case.name);
        let (before, files) = (self.verdicts(), self.files());
        let plan = self.plan(options);
        assert!(!plan.blocked, "{what}: {:?}", plan.refused);
        let moved = self.carry_out(&plan);
        let (after, left) = (self.verdicts(), self.files());
        let kept = self.kept(&plan);
        assert!(!kept.is_empty() || before.is_empty(), "{what}: nothing stays");
        for path in &kept {
            assert_eq!(after.get(path), before.get(path), "{what}: {path} is not what it was");
            for file in self.refers.get(path).into_iter().flatten() {
                assert!(left.contains(file) || !files.contains(file), "{what}: {path} refers to {file}");
            }
        }
        for path in self.removed(&plan) {
            let verdict = after.get(&path);
            assert!(verdict.is_none_or(|v| *v == Verdict::Incomplete), "{what}: {path} still looks {verdict:?}");
        }
        assert_eq!(files.len() - left.len(), usize::try_from(plan.totals.files).expect("a few"), "{what}");
        moved.put_back();
        left
    }

    /// The id of the job of a stage.
    pub fn job(&self, stage: usize) -> String {
        self.case.story()["stages"][stage]["job_id"].as_str().expect("a job").to_owned()
    }

    /// The directory of the job of a stage.
    pub fn dir(&self, stage: usize) -> String {
        format!("checkpoints/{}", self.job(stage))
    }

    /// The files in a directory that a snapshot refers to.
    fn uses(&self, snapshot: &str, dir: &str) -> BTreeSet<String> {
        below(&self.refers[snapshot], dir)
    }
}

impl Moved {
    fn put_back(self) {
        for dir in self.dirs.iter().rev() {
            fs::create_dir(dir).expect("a directory");
        }
        for (path, trash) in self.files {
            fs::rename(trash, path).expect("a file");
        }
    }
}

pub(super) fn below(files: &BTreeSet<String>, dir: &str) -> BTreeSet<String> {
    files.iter().filter(|path| path.starts_with(&format!("{dir}/"))).cloned().collect()
}

/// Options at a time when every job of the corpus is long dead.
fn long_after(policy: Policy, group_by: GroupBy, include: bool) -> Options {
    let now = Timestamp::now() + SignedDuration::from_hours(24 * 60);
    Options { policy, group_by, now, taskowned: include, changelog: include, ..keep_last(1) }
}

fn last(count: u32) -> Policy {
    Policy { last: Count::AtMost(count), ..Policy::default() }
}

fn policies() -> Vec<(&'static str, Policy)> {
    let within = Some("1h".parse().expect("a span"));
    vec![
        ("keep-last 1", last(1)),
        ("keep-last 2", last(2)),
        ("keep-daily 1", Policy { daily: Count::AtMost(1), ..Policy::default() }),
        ("keep-within 1h", Policy { within, ..Policy::default() }),
    ]
}

/// The one snapshot that stays of each kind, everything included: the most that can go.
fn greediest() -> Options {
    long_after(last(1), GroupBy::None, true)
}

#[test]
fn under_every_policy_what_stays_is_as_good_as_before() {
    for name in [
        "wc-claim-1.20.5",
        "wc-claim-chain-1.20.5",
        "wc-claim-compacted-1.20.5",
        "wc-legacy-1.20.5",
        "wc-noclaim-2.3.0",
        "wc-reanchor-1.20.5",
        "wc-filemerging-rocksdb-1.20.5",
        "kitchen-filemerging-across-1.20.5",
        "wc-changelog-rocksdb-2.3.0",
        "wc-forst-2.3.0",
        "async-forst-2.3.0",
        "wc-rocksdb-retained5-1.20.5",
        "wc-nosubdir-1.20.5",
        "wal-taskowned-1.20.5",
        "kitchen-halted-1.20.5",
        "kitchen-rocksdb-inc-2.3.0",
    ] {
        let trial = Trial::named(name);
        for (words, policy) in policies() {
            for group_by in [GroupBy::Job, GroupBy::Root, GroupBy::None] {
                for include in [false, true] {
                    let what = format!("{words} by {group_by:?}, include {include}");
                    trial.check(&long_after(policy.clone(), group_by, include), &what);
                }
            }
        }
    }
}

/// Files that stay though no handle that stays names them, when as much as possible goes.
const LEFT: &[(&str, usize, &str)] = &[
    ("kitchen-filemerging-heap-2.3.0", 9, MERGED),
    ("wal-taskowned-1.20.5", 6, "operator state mentions them"),
    ("wal-taskowned-2.3.0", 8, "operator state mentions them"),
    ("wc-changelog-1.15.4", 1, FLAT),
    ("wc-changelog-compressed-1.15.4", 1, FLAT),
    ("wc-changelog-heap-1.15.4", 1, FLAT),
    ("wc-filemerging-heap-1.20.5", 3, MERGED),
    ("wc-filemerging-rocksdb-1.20.5", 5, MERGED),
    ("wc-filemerging-rocksdb-2.3.0", 4, MERGED),
];
const MERGED: &str = "handles name their directory as a whole";
const FLAT: &str = "Flink 1.15 puts changes of all jobs into one directory: nobody can say whose they are";

#[test]
fn of_every_case_what_stays_is_as_good_as_before_and_in_use() {
    let mut left_over = BTreeMap::new();
    for archive in archives() {
        let trial = Trial::new(Case::unpack(&archive));
        let options = greediest();
        let kept = trial.kept(&trial.plan(&options));
        let left = trial.check(&options, "keep-last 1 of all");
        let used: BTreeSet<String> = kept.iter().filter_map(|path| trial.refers.get(path)).flatten().cloned().collect();
        let metadata = |path: &String| path.strip_suffix("/_metadata").is_some_and(|dir| kept.contains(dir));
        let unused = left.iter().filter(|path| !used.contains(*path) && !metadata(path)).count();
        if unused > 0 {
            left_over.insert(trial.case.name, unused);
        }
    }
    let wanted: BTreeMap<String, usize> = LEFT.iter().map(|(name, count, _)| ((*name).to_owned(), *count)).collect();
    assert_eq!(left_over, wanted);
}

#[test]
fn a_running_job_keeps_everything_but_the_directories_of_checkpoints_that_go() {
    for name in
        ["wc-claim-1.20.5", "wc-rocksdb-retained5-1.20.5", "kitchen-halted-2.3.0", "wc-filemerging-rocksdb-2.3.0"]
    {
        let trial = Trial::named(name);
        // A moment after the last file was written.
        let times = trial.files().into_iter().map(|path| {
            fs::metadata(trial.case.tree().join(path)).and_then(|metadata| metadata.modified()).expect("a time")
        });
        let now = Timestamp::try_from(times.max().expect("a file")).expect("a time") + SignedDuration::from_mins(5);
        for live in [false, true] {
            let options = Options { now, live, ..greediest() };
            let left = trial.check(&options, "while the job runs");
            let removed = trial.removed(&trial.plan(&options));
            for path in trial.files().difference(&left) {
                assert!(removed.iter().any(|dir| path.starts_with(&format!("{dir}/"))), "{name}: {path}");
            }
            assert!(!removed.is_empty(), "{name}");
        }
    }
}

#[test]
fn after_a_claim_the_files_of_the_first_job_stay_that_the_second_one_refers_to() {
    let trial = Trial::named("wc-claim-1.20.5");
    let (a, b) = (trial.dir(0), trial.dir(1));
    // Of each job the newest stays: A's chk-2 and B's chk-6.
    let plan = trial.plan(&long_after(last(1), GroupBy::Job, false));
    assert_eq!(trial.kept(&plan), [format!("{a}/chk-2"), format!("{b}/chk-6")].into());
    assert_eq!(trial.removed(&plan), [format!("{b}/chk-5")].into());

    // Of all together the newest stays: B's chk-6. A's chk-2 goes, and of A's shared files all but the six that chk-6 uses.
    let left = trial.check(&greediest(), "");
    let used = trial.uses(&format!("{b}/chk-6"), &format!("{a}/shared"));
    assert_eq!(used.len(), 6);
    assert_eq!(below(&left, &a), used, "of A nothing stays but what B uses");
    assert_eq!(below(&trial.files(), &format!("{a}/shared")).len(), 12, "there were more");
    assert_eq!(below(&left, &format!("{b}/shared")), trial.uses(&format!("{b}/chk-6"), &format!("{b}/shared")));
    assert!(!trial.case.tree().join("trash").exists());
}

#[test]
fn along_a_chain_of_claims_the_files_of_all_three_jobs_stay() {
    let trial = Trial::named("wc-claim-chain-1.20.5");
    let (a, b, c) = (trial.dir(0), trial.dir(1), trial.dir(2));
    let left = trial.check(&greediest(), "");
    let newest = format!("{c}/chk-6");
    for (dir, files) in [(&a, 4), (&b, 4), (&c, 10)] {
        let used = trial.uses(&newest, &format!("{dir}/shared"));
        assert_eq!(used.len(), files, "{dir}");
        assert_eq!(below(&left, &format!("{dir}/shared")), used, "{dir}");
    }
}

#[test]
fn in_legacy_mode_the_first_job_s_files_stay_as_long_as_a_checkpoint_of_the_second_refers_to_them() {
    let trial = Trial::named("wc-legacy-1.20.5");
    let (a, b) = (trial.dir(0), trial.dir(1));
    // B's chk-4 lives on A's shared files; its chk-5, after a compaction, on none of them.
    let both = trial.check(&long_after(last(2), GroupBy::None, false), "both of B stay");
    assert_eq!(below(&both, &a), trial.uses(&format!("{b}/chk-4"), &format!("{a}/shared")));
    let one = trial.check(&greediest(), "one of B stays");
    assert_eq!(below(&one, &a), BTreeSet::new(), "A is gone as a whole");
    assert_eq!(below(&one, &format!("{b}/shared")), trial.uses(&format!("{b}/chk-5"), &format!("{b}/shared")));
}

#[test]
fn without_a_claim_nothing_of_the_first_job_has_to_stay_once_the_second_has_a_checkpoint() {
    let trial = Trial::named("wc-noclaim-1.20.5");
    let (a, b) = (trial.dir(0), trial.dir(1));
    let left = trial.check(&greediest(), "");
    assert_eq!(below(&left, &a), BTreeSet::new());
    assert!(!below(&left, &b).is_empty());
    // While each job is a group of its own, the newest of A stays whole.
    let left = trial.check(&long_after(last(1), GroupBy::Job, true), "by job");
    let newest = format!("{a}/chk-3");
    assert_eq!(below(&left, &format!("{a}/shared")), trial.uses(&newest, &format!("{a}/shared")));
}

#[test]
fn files_that_a_wrong_anchor_misses_stay_though_their_savepoint_goes() {
    for name in ["wc-reanchor-1.20.5", "wc-reanchor-2.3.0"] {
        let trial = Trial::named(name);
        let b = trial.dir(1);
        let savepoint = trial.refers.keys().find(|path| path.starts_with("savepoints/")).expect("a savepoint").clone();
        // A newer savepoint of the same job lets that one go.
        let tree = trial.case.tree();
        let newer = format!("{}-ffffffffffff", savepoint.rsplit_once('-').expect("a name").0);
        fs::create_dir(tree.join(&newer)).expect("a directory");
        for entry in fs::read_dir(tree.join(&savepoint)).expect("a directory") {
            let entry = entry.expect("an entry");
            let bytes = fs::read(entry.path()).expect("a file");
            fs::write(tree.join(&newer).join(entry.file_name()), bytes).expect("a copy");
        }
        let options = long_after(last(1), GroupBy::Job, true);
        let plan = trial.plan(&options);
        assert!(trial.removed(&plan).contains(&savepoint), "{name}: {:?}", plan.keep);
        let left = trial.check(&options, "");
        assert!(!left.contains(&format!("{savepoint}/_metadata")), "{name}");
        // B's checkpoints name them as if they lay in `chk-N`: copying them there mends a checkpoint.
        let files = trial.files();
        let of_b = trial.refers.iter().filter(|(snapshot, _)| snapshot.starts_with(&b)).flat_map(|(_, refers)| refers);
        let missing = of_b.filter(|path| !files.contains(*path)).filter_map(|path| path.rsplit('/').next());
        // What a later checkpoint of B deleted is nowhere.
        let stray: BTreeSet<&str> = missing.filter(|file| files.contains(&format!("{savepoint}/{file}"))).collect();
        assert!(!stray.is_empty(), "{name}");
        for file in stray {
            assert!(left.contains(&format!("{savepoint}/{file}")), "{name}: {file} mends a checkpoint");
        }
    }
}

#[test]
fn a_merged_file_stays_as_long_as_one_snapshot_uses_a_segment_of_it() {
    for name in ["wc-filemerging-rocksdb-1.20.5", "wc-filemerging-rocksdb-2.3.0"] {
        let trial = Trial::named(name);
        let a = trial.dir(0);
        let plan = trial.plan(&greediest());
        let kept = trial.kept(&plan);
        assert_eq!(kept.len(), 1);
        let newest = kept.first().expect("a snapshot");
        let left = trial.check(&greediest(), "");
        // Its handles name the directories of both scopes as a whole: nothing in them goes.
        let merged = |files: BTreeSet<String>| -> BTreeSet<String> {
            files.into_iter().filter(|path| path.contains("/job_")).collect()
        };
        let used = merged(trial.refers[newest].clone());
        assert!(!used.is_empty() && used.is_subset(&left), "{name}");
        assert_eq!(below(&left, &format!("{a}/shared")).is_empty(), used.iter().all(|p| !p.contains("/shared/")));
    }
}

#[test]
fn changes_and_materialised_state_go_only_when_asked_for_and_unused() {
    for name in ["wc-changelog-heap-1.20.5", "wc-changelog-rocksdb-2.3.0", "wc-changelog-compressed-1.20.5"] {
        let trial = Trial::named(name);
        let (a, dstl) = (trial.dir(0), format!("dstl/{}/dstl", trial.job(0)));
        let plain = trial.check(&long_after(last(1), GroupBy::Job, false), "nothing included");
        for dir in [&format!("{a}/taskowned"), &dstl] {
            assert_eq!(below(&plain, dir), below(&trial.files(), dir), "{name}: {dir} is left alone");
        }
        let kept = trial.kept(&trial.plan(&greediest()));
        let newest = kept.first().expect("a snapshot");
        let left = trial.check(&greediest(), "all included");
        for dir in [&format!("{a}/taskowned"), &dstl] {
            assert_eq!(below(&left, dir), trial.uses(newest, dir), "{name}: {dir}");
        }
        assert!(below(&left, &dstl).len() < below(&plain, &dstl).len(), "{name}: some were the older one's");
    }
}

#[test]
fn files_that_forst_left_in_its_database_go_with_the_rest() {
    let trial = Trial::named("wc-forst-2.3.0");
    let a = trial.dir(0);
    let left = trial.check(&greediest(), "");
    assert_eq!(below(&left, &format!("{a}/shared")), trial.uses(&format!("{a}/chk-4"), &format!("{a}/shared")));
}

#[test]
fn what_a_write_ahead_sink_put_into_taskowned_stays_with_the_state_that_mentions_it() {
    for name in ["wal-taskowned-1.20.5", "wal-taskowned-2.3.0"] {
        let trial = Trial::named(name);
        let owned = format!("{}/taskowned", trial.dir(0));
        let unmentioned = trial.case.tree().join(&owned).join("75613fb4-ca59-4264-850c-acfb3aee282b");
        fs::write(unmentioned, b"of nobody").expect("a file");
        let all = below(&trial.files(), &owned);
        let plain = trial.check(&long_after(last(1), GroupBy::Job, false), "nothing included");
        assert_eq!(below(&plain, &owned), all, "{name}");

        let kept = trial.kept(&trial.plan(&greediest()));
        let newest = kept.first().expect("a snapshot");
        let files = trial.refers[newest].iter().cloned().chain([format!("{newest}/_metadata")]);
        let state: Vec<u8> = files.flat_map(|path| fs::read(trial.case.tree().join(path)).expect("a file")).collect();
        let mentioned = |path: &&String| {
            let name = path.rsplit('/').next().expect("a name").as_bytes();
            state.windows(name.len()).any(|window| window == name)
        };
        let mentioned: BTreeSet<String> = all.iter().filter(mentioned).cloned().collect();
        assert!(!mentioned.is_empty() && mentioned.len() < all.len(), "{name}: {} of {}", mentioned.len(), all.len());
        let left = trial.check(&greediest(), "taskowned included");
        assert_eq!(below(&left, &owned), mentioned, "{name}");
    }
}
