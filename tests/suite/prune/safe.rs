//! `safe-to-delete` on trees of real Flink: who stands against it is who refers into a path by Flink's own account, and what
//! is proved to be safe can go without a change to any snapshot elsewhere.

use super::corpus::{Trial, below};
use super::tree::{Drawn, Made, OLD, location};
use crate::suite::support::{Case, Run, archives, command};
use chkctl::cluster::InUse;
use chkctl::prune;
use chkctl::prune::safe::{Alive, Safety, safe_to_delete};
use chkctl::storage::LocalStorage;
use chkctl::survey::{Silent, Verdict};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;

/// A case and the directories that handles name as a whole.
struct Asked {
    trial: Trial,
    whole: BTreeMap<String, BTreeSet<String>>,
}

impl Asked {
    fn new(case: Case) -> Self {
        let mut whole = BTreeMap::new();
        for snapshot in case.expected()["checkpoints"].as_array().expect("snapshots") {
            let at = |text: &str| {
                let path = case.here(text);
                path.strip_prefix(case.tree()).map(|path| path.display().to_string()).unwrap_or_default()
            };
            let mut texts = Vec::new();
            strings(&snapshot["operators"], &mut texts);
            let dirs = texts.into_iter().filter(|text| text.contains("/job_")).map(|text| at(&text));
            let dirs = dirs.filter(|path| case.tree().join(path).is_dir());
            whole.insert(at(snapshot["path"].as_str().expect("a path")), dirs.collect());
        }
        Asked { trial: Trial::new(case), whole }
    }

    fn ask(&self, path: &str) -> Safety {
        let now = Timestamp::now() + SignedDuration::from_hours(24 * 60);
        let root = fs::canonicalize(self.trial.case.tree()).expect("a path");
        let roots = prune::real_roots(&LocalStorage, &[location(&root)]).expect("a root");
        let path = location(root.join(path)).canonical();
        let cutoff = now - SignedDuration::from_hours(24);
        safe_to_delete(
            &LocalStorage,
            &path,
            &roots,
            &self.trial.maps(),
            &Alive { in_use: &InUse::default(), cutoff },
            now,
            &Silent,
        )
        .expect("an answer")
    }

    /// Snapshots elsewhere that refer into a path, and to how many files, by Flink's own account. A file that is not where a
    /// handle says may be the one of its name.
    fn referrers(&self, path: &str, files: &BTreeSet<String>) -> BTreeMap<String, u64> {
        let inside = |other: &str| other == path || other.starts_with(&format!("{path}/"));
        let names: BTreeSet<&str> =
            files.iter().filter(|file| inside(file)).filter_map(|f| f.rsplit('/').next()).collect();
        let mut found = BTreeMap::new();
        for (snapshot, refers) in self.trial.refers.iter().filter(|(snapshot, _)| !inside(snapshot)) {
            let by_place = refers.iter().filter(|file| files.contains(*file) && inside(file)).count();
            let missing =
                refers.iter().filter(|file| !files.contains(*file)).filter_map(|file| file.rsplit('/').next());
            let count = by_place + missing.filter(|name| names.contains(name)).count();
            let whole = self.whole[snapshot].iter().any(|dir| inside(dir) || path.starts_with(&format!("{dir}/")));
            if count > 0 || whole {
                found.insert(snapshot.clone(), count as u64);
            }
        }
        found
    }
}

fn strings(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) if text.contains("/opt/flink/checkpoints/") => found.push(text.clone()),
        Value::Array(list) => list.iter().for_each(|value| strings(value, found)),
        Value::Object(map) => map.values().for_each(|value| strings(value, found)),
        _ => {}
    }
}

#[test]
fn referrers_are_those_of_flink_s_own_account_and_what_is_safe_can_go() {
    let (mut proved, mut in_use) = (0, 0);
    for archive in archives() {
        let asked = Asked::new(Case::unpack(&archive));
        let trial = &asked.trial;
        let (files, before) = (trial.files(), trial.verdicts());
        let mut paths: BTreeSet<String> =
            files.iter().filter_map(|file| file.rsplit_once('/')).map(|p| p.0.to_owned()).collect();
        paths.extend(paths.clone().iter().filter_map(|path| path.rsplit_once('/')).map(|p| p.0.to_owned()));
        // Single files, one of each directory.
        let dirs = paths.clone();
        paths.extend(dirs.iter().flat_map(|dir| below(&files, dir).into_iter().take(1)));
        for path in paths {
            let what = format!("{} {path}", trial.case.name);
            let safety = asked.ask(&path);
            let found = safety.referrers.iter().map(|referrer| (trial.path(referrer.path.path()), referrer.files));
            let found: BTreeMap<String, u64> = found.collect();
            assert_eq!(found, asked.referrers(&path, &files), "{what}");
            let inside = files.iter().filter(|file| **file == path || file.starts_with(&format!("{path}/"))).count();
            assert_eq!(safety.files, inside as u64, "{what}");

            // Without it.
            let (from, to) = (trial.case.tree().join(&path), trial.case.root.join("away"));
            fs::rename(&from, &to).expect("it moves");
            let after = trial.verdicts();
            fs::rename(&to, &from).expect("it moves back");
            let elsewhere = before.iter().filter(|(snapshot, _)| {
                **snapshot != path
                    && !snapshot.starts_with(&format!("{path}/"))
                    && format!("{snapshot}/_metadata") != path
            });
            for (snapshot, verdict) in elsewhere {
                let changed = after.get(snapshot) != Some(verdict);
                assert!(!changed || found.contains_key(snapshot), "{what}: {snapshot} is damaged by it");
                let by_file = found.get(snapshot).is_some_and(|files| *files > 0) && *verdict == Verdict::Restorable;
                assert_eq!(changed, by_file, "{what}: {snapshot}");
            }
            proved += u32::from(safety.is_proved());
            in_use += u32::from(!found.is_empty());
        }
    }
    assert!(proved > 100 && in_use > 100, "{proved} proved, {in_use} in use");
}

/// Runs the command on a path of a case.
fn run(case: &Case, path: &str, args: &[&str]) -> Run {
    let path = case.tree().join(path);
    let root = case.tree();
    case.chkctl([&["safe-to-delete", path.to_str().expect("UTF-8"), root.to_str().expect("UTF-8")], args].concat())
}

#[test]
fn the_exit_code_says_safe_in_use_or_not_known() {
    let trial = Trial::named("wc-claim-1.20.5");
    let (a, b) = (trial.dir(0), trial.dir(1));
    let in_use = run(&trial.case, &format!("{a}/shared"), &["--grace", "1h"]);
    assert_eq!(in_use.status, 1, "{}{}", in_use.stdout, in_use.stderr);
    assert!(in_use.stdout.contains(&format!("{b}/chk-6 refers to 6 of its files")), "{}", in_use.stdout);
    assert!(in_use.stdout.contains(&format!("{a}/chk-2 refers to 10 of its files")), "{}", in_use.stdout);
    // The checkpoint itself nobody needs.
    let safe = run(&trial.case, &format!("{a}/chk-2"), &["--grace", "1h"]);
    assert_eq!(safe.status, 0, "{}{}", safe.stdout, safe.stderr);
    assert!(safe.stdout.contains("safe to delete: no snapshot refers into"), "{}", safe.stdout);
    assert!(safe.stdout.contains("chk-2 (restorable) goes with it"), "{}", safe.stdout);

    // A job that wrote something within the grace is alive.
    let alive = run(&trial.case, &format!("{b}/chk-6"), &["--grace", "100000h"]);
    assert_eq!(alive.status, 4, "{}{}", alive.stdout, alive.stderr);
    let json = run(&trial.case, &format!("{b}/chk-6"), &["--grace", "100000h", "--json"]).json();
    assert_eq!((&json["safe"], &json["refused"][0]["code"]), (&Value::from(false), &Value::from("job-alive")));

    // What cannot be read may refer to anything, and what refers to it is said all the same.
    let unreadable = trial.case.tree().join("checkpoints/unreadable");
    fs::create_dir(&unreadable).expect("a directory");
    fs::write(unreadable.join("_metadata"), b"not one").expect("a file");
    assert_eq!(run(&trial.case, &format!("{a}/chk-2"), &["--grace", "1h"]).status, 4);
    assert_eq!(run(&trial.case, &format!("{a}/shared"), &["--grace", "1h"]).status, 1);
}

#[test]
fn without_a_claim_the_first_job_is_safe_to_delete() {
    for name in ["wc-noclaim-1.20.5", "wc-noclaim-2.3.0"] {
        let trial = Trial::named(name);
        let run = run(&trial.case, &trial.dir(0), &["--grace", "1h", "--json"]);
        assert_eq!(run.status, 0, "{name}: {}{}", run.stdout, run.stderr);
        assert_eq!(run.json()["safe"], true);
        let inside = run.json()["inside"].as_array().map(Vec::len);
        assert!(inside > Some(0), "its own checkpoints go with it");
    }
}

#[test]
fn a_path_that_is_not_there_is_no_safe_path() {
    let trial = Trial::named("wc-noclaim-1.20.5");
    let run = run(&trial.case, "nowhere", &[]);
    assert!(!matches!(run.status, 0 | 1), "{}{}", run.stdout, run.stderr);
}

#[test]
fn a_link_to_a_directory_in_the_path_keeps_anybody_from_proving_it() {
    let (a, b) = ("ck/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "ck/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");
    let name = "75613fb4-ca59-4264-850c-acfb3aee282b";
    let mut drawn = Drawn::default();
    drawn.old(format!("{a}/shared/{name}"));
    drawn.dirs.insert("links".to_owned(), OLD);
    let by_link = format!("links/job/shared/{name}");
    drawn.files.insert(by_link.clone(), (10, OLD));
    drawn.snapshot(format!("{b}/chk-1"), 1, 200, &[&by_link]);
    let made = Made::on_disk(&drawn);
    fs::remove_dir_all(made.path("links/job")).expect("a directory");
    symlink(made.path(a), made.path("links/job")).expect("a link");
    let run = |path: &str| {
        let mut command = command();
        command.arg("safe-to-delete").arg(made.path(path)).arg(made.path("ck")).args(["--grace", "1h"]);
        Run::of(command)
    };
    // The checkpoint is reached over the link, and deleting that breaks it.
    assert_eq!(run("links").status, 4);
    assert_eq!(run(a).status, 1, "it refers to the file behind the link");
    assert_eq!(run(&format!("{b}/chk-1")).status, 0, "nobody refers to it");
}
