//! Whether a snapshot fits a job, a release of Flink or a state backend: against what real Flink did with it.

use super::flink::{Flink, with_flink};
use super::support::{Case, Run, command, testdata};
use chkctl::model::Location;
use chkctl::storage::LocalStorage;
use chkctl::survey::compat::{Backend, FlinkVersion, Target, job_file};
use chkctl::survey::finding::{Code, Verdict};
use chkctl::survey::inventory::Inventory;
use chkctl::survey::resolve::PathMaps;
use chkctl::survey::{Catalog, Judge, Silent, SnapshotReport};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// A report of a snapshot of a case, for what it is to be restarted with.
fn judged(case: &Case, snapshot: &Path, target: &Target) -> SnapshotReport {
    let place = Location::new(None, None, snapshot.to_str().expect("text"));
    let catalog = Catalog::scan(&LocalStorage, &[place]).expect("a listing");
    let judge = Judge {
        inventory: Inventory::for_one(&LocalStorage),
        maps: PathMaps::new(vec![case.map().parse().expect("a map")]),
        progress: &Silent,
        neighbours: Vec::new(),
        keep_files: false,
    };
    let snapshot = catalog.snapshots.first().expect("a snapshot");
    let mut report = judge.judge(snapshot);
    assert_eq!(report.verdict, Verdict::Restorable, "{} as such", report.path);
    target.judge(&judge, snapshot, &mut report);
    report
}

/// The last checkpoint and the last savepoint of a case that real Flink restored.
fn last_good(case: &Case) -> BTreeMap<&'static str, PathBuf> {
    let story = case.story();
    let mut found = BTreeMap::new();
    for restore in story["restores"].as_array().expect("restores") {
        let path = restore["path"].as_str().expect("a path");
        if restore["verdict"].as_str().expect("a verdict").starts_with("RESTORED") {
            let kind = if path.contains("/savepoint-") { "savepoint" } else { "chk" };
            found.insert(kind, case.here(path));
        }
    }
    found
}

/// Why a release did not restore a case, where that is not for the release to decide.
fn of_the_job(case: &str, outcome: &str) -> bool {
    match outcome {
        // The key of the older jobs is a tuple, and their source keeps its position elsewhere.
        "WrongOutput" | "StateMigrationException" if case.ends_with("-1.9.3") || case.ends_with("-1.10.3") => true,
        "NullPointerException" if case == "kitchen-heap-1.10.3" => true,
        // A description of state with a time to live, as a Java object in the changelog.
        "ClassCastException" => case == "kitchen-changelog-1.20.5",
        _ => false,
    }
}

#[test]
fn what_releases_did_with_every_snapshot_is_what_is_said_of_them() {
    let text = fs::read_to_string(testdata().join("cross-version.tsv")).expect("the table");
    let mut lines = text.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let releases: Vec<&str> = lines.next().expect("a header").split_off(4);
    let mut rows: BTreeMap<&str, Vec<Vec<&str>>> = BTreeMap::new();
    lines.for_each(|row| rows.entry(row[1]).or_default().push(row));
    let (mut compared, mut wrong) = (0, String::new());
    for (name, rows) in rows {
        let case = Case::named(name);
        let snapshots = last_good(&case);
        for row in rows {
            let snapshot = &snapshots[row[2]];
            for (release, outcome) in releases.iter().zip(&row[4..]).filter(|(_, outcome)| !outcome.is_empty()) {
                let flink = Some(release.parse::<FlinkVersion>().expect("a release"));
                let report = judged(&case, snapshot, &Target { flink, ..Target::default() });
                let said: Vec<&str> = report.findings.iter().map(|finding| finding.message.as_str()).collect();
                let says = |words: &str| report.verdict == Verdict::Broken && said.iter().any(|m| m.contains(words));
                let right = match *outcome {
                    "yes" => report.verdict == Verdict::Restorable,
                    "meta v" => says("the _metadata is of version"),
                    "backend v" => says("the head of its operator state is of version 6"),
                    "handle type" => says("does not know its"),
                    "RocksDBException" => says("Unknown Footer version"),
                    // The lab's job does not load there, before the `_metadata` is looked at.
                    "ClassNotFoundException" => says("the _metadata is of version"),
                    "IOException" => report.verdict == Verdict::Unknown && said[0].contains("is compressed"),
                    // Kryo, and fields that were Kryo's.
                    "StateMigrationException" | "NullPointerException" | "WrongOutput" if release.starts_with('2') => {
                        report.findings.iter().any(|finding| finding.code == Code::KryoState)
                            || of_the_job(name, outcome)
                    }
                    _ => of_the_job(name, outcome) && report.verdict == Verdict::Restorable,
                };
                compared += 1;
                if !right {
                    let _ = writeln!(wrong, "{name} {} on {release}: {outcome}, and we say {said:?}", row[2]);
                }
            }
        }
    }
    assert!(compared > 700, "{compared} restores");
    assert!(wrong.is_empty(), "{wrong}");
}

/// What real Flink 1.12 to 2.3 said: the case, which of its snapshots, and the backends that restored it.
const BACKENDS: &[(&str, &str, &str)] = &[
    ("kitchen-rocksdb-full-1.20.5", "chk", "rocksdb forst"),
    ("kitchen-rocksdb-inc-1.12.5", "savepoint", "rocksdb"),
    ("kitchen-rocksdb-inc-1.12.5", "chk", "rocksdb forst"),
    ("kitchen-rocksdb-heaptimers-1.20.5", "chk", "rocksdb forst"),
    ("wc-rocksdb-inc-1.14.6", "chk", "rocksdb forst"),
    ("wc-rocksdb-retained5-2.3.0", "chk", "rocksdb forst"),
    ("wc-forst-2.3.0", "chk", "rocksdb forst"),
    ("async-forst-2.3.0", "chk", "forst"),
    ("async-forst-2.3.0", "savepoint", "forst"),
    ("async-heap-2.3.0", "chk", "hashmap"),
    ("wc-heap-inline-1.12.5", "chk", "hashmap"),
    ("wc-heap-inline-1.20.5", "chk", "hashmap"),
    ("wc-heap-files-1.20.5", "chk", "hashmap"),
    ("wc-filemerging-heap-1.20.5", "chk", "hashmap"),
    ("kitchen-heap-1.10.3", "chk", "hashmap"),
    ("kitchen-heap-1.10.3", "savepoint", "hashmap"),
    ("wc-savepoints-1.14.6", "savepoint", "hashmap rocksdb"),
    ("wc-savepoints-rocksdb-2.3.0", "savepoint", "hashmap rocksdb"),
    ("wc-changelog-heap-1.20.5", "chk", "hashmap"),
    ("wc-changelog-rocksdb-1.20.5", "chk", "rocksdb forst"),
    ("wc-changelog-rocksdb-2.3.0", "chk", "rocksdb forst"),
    ("kitchen-compressed-1.20.5", "chk", "hashmap"),
];

#[test]
fn the_backends_that_restored_a_snapshot_are_those_that_are_said_to() {
    for (name, kind, restored) in BACKENDS {
        let case = Case::named(name);
        let snapshot = &last_good(&case)[kind];
        let takes = |(word, backend): &(&'static str, Backend)| {
            let report = judged(&case, snapshot, &Target { backend: Some(*backend), ..Target::default() });
            let code = report.findings.first().map(|finding| finding.code);
            assert!(matches!(code, None | Some(Code::WrongBackend)), "{name}: {:?}", report.findings);
            (report.verdict == Verdict::Restorable).then_some(*word)
        };
        let said: Vec<&str> = Backend::NAMES.iter().filter_map(takes).collect();
        assert_eq!(said.join(" "), *restored, "{name} {kind}");
    }
}

fn job(name: &str) -> Target {
    let text = fs::read_to_string(testdata().join("jobs").join(name)).expect("a job");
    Target { job: Some(job_file::parse(&text).unwrap_or_else(|why| panic!("{name}: {why}"))), ..Target::default() }
}

fn chk(case: &str) -> (Case, PathBuf) {
    let case = Case::named(case);
    let path = last_good(&case)["chk"].clone();
    (case, path)
}

#[test]
fn a_plan_whose_vertices_hold_all_state_fits() {
    for (case, plan) in
        [("wc-heap-files-1.20.5", "wordcount-2.3.0.plan.json"), ("wc-rocksdb-inc-1.14.6", "wordcount-1.14.6.plan.json")]
    {
        let (case, path) = chk(case);
        let report = judged(&case, &path, &job(plan));
        assert_eq!((report.verdict, &report.findings), (Verdict::Restorable, &Vec::new()));
    }
}

#[test]
fn an_operator_that_may_be_chained_is_neither_dropped_nor_restored() {
    for plan in ["kitchen-1.20.5.plan.json", "kitchen-1.20.5.job.json"] {
        let (case, path) = chk("kitchen-heap-files-1.20.5");
        let report = judged(&case, &path, &job(plan));
        assert_eq!(report.verdict, Verdict::Unknown, "{:?}", report.findings);
        let compat = report.compat.expect("an answer");
        assert_eq!((compat.dropped, compat.starts_empty), (vec![], vec![]));
        let ids: Vec<String> = compat.unclaimed.iter().map(|entry| entry.operator_id.to_string()).collect();
        assert_eq!(ids, ["6f21186d6113d9be6697a464ea467e20"]);
        assert_eq!(compat.unclaimed[0].states, ["op-broadcast", "op-list", "op-union"]);
    }
    // Names are in the `_metadata` since Flink 2.0, and say which it may be.
    let (case, path) = chk("kitchen-heap-files-2.3.0");
    let report = judged(&case, &path, &job("kitchen-2.3.0.job.json"));
    assert_eq!(report.verdict, Verdict::Unknown);
    assert!(report.findings[0].message.contains("an operator of its name is chained"), "{:?}", report.findings);
}

#[test]
fn a_stream_graph_has_no_ids_and_decides_by_number_alone() {
    let (case, path) = chk("kitchen-heap-files-1.20.5");
    let target = job("kitchen-1.20.5.info.txt");
    let hidden = target.job.as_ref().and_then(|job| job.hidden.at_most);
    assert_eq!(hidden, Some(14));
    let report = judged(&case, &path, &target);
    assert_eq!(report.verdict, Verdict::Unknown);
    // Of six operators the word count of another job has, six at most hold the state of nine.
    let report = judged(&case, &path, &job("sums-cascading-1.20.5.plan.json"));
    assert_eq!(report.verdict, Verdict::Broken);
    let message = &report.findings.last().expect("findings").message;
    assert!(message.contains("and 4 others at most are in it"), "{message}");
}

#[test]
fn what_had_finished_must_not_be_fed_by_what_had_not() {
    let (case, path) = chk("kitchen-finished-1.20.5");
    let text = fs::read_to_string(testdata().join("jobs/kitchen-1.20.5.plan.json")).expect("a plan");
    let mut plan: Value = serde_json::from_str(&text).expect("JSON");
    let broken = |plan: &Value| {
        let job = job_file::parse(&plan.to_string()).expect("a job");
        let report = judged(&case, &path, &Target { job: Some(job), ..Target::default() });
        report.findings.iter().filter(|finding| finding.code == Code::FinishedOperator).count()
    };
    assert_eq!(broken(&plan), 0);
    // The finished source of the rules, fed by the one of the numbers.
    let nodes = plan["plan"]["nodes"].as_array_mut().expect("nodes");
    let rules = nodes.iter_mut().find(|node| node["id"] == "d18e95e1e21c8416faf2e3a98b3b3d02").expect("the source");
    rules["inputs"] = json!([{"num": 0, "id": "2469759eb0134ef15c70a1a8c2cbb11e", "ship_strategy": "FORWARD"}]);
    assert_eq!(broken(&plan), 1);
}

/// Runs of chkctl on a case, as a snapshot shows them.
fn shown(case: &Case, runs: &[&[&str]]) -> String {
    let mut text = String::new();
    for args in runs {
        let Run { stdout, stderr, status } = case.chkctl(*args);
        let out = match args.contains(&"--json") {
            true => serde_json::from_str::<Value>(&stdout)
                .map_or(stdout, |json| format!("{:#}\n", json["snapshots"][0]["compat"])),
            false => stdout,
        };
        let _ = writeln!(text, "$ chkctl {}\n{out}[stderr]\n{stderr}[exit status {status}]\n", args.join(" "));
    }
    text.replace(case.root.to_str().expect("text"), "[ROOT]").replace(testdata().to_str().expect("text"), "[DATA]")
}

#[test]
fn answers_are_shown_to_people_and_programs() {
    let (case, path) = chk("wc-heap-uids-2.3.0");
    let path = path.to_str().expect("text");
    let file = |name: &str, text: &str| {
        let file = case.root.join(name);
        fs::write(&file, text).expect("a file");
        file.to_str().expect("text").to_owned()
    };
    let uids = file("uids.txt", "wc-source\nwc-split\nwc-check\nwc-pair\nwc-sum\n");
    let renamed = file(
        "renamed.yaml",
        "- uid: wc-source\n  parallelism: 1\n- wc-split\n- wc-check\n- wc-pair\n- uid: wc-total\n  max_parallelism: 128\n",
    );
    let limits =
        file("limits.txt", "wc-source parallelism=200\nwc-split\nwc-check\nwc-pair\nwc-sum max-parallelism=64\n");
    let wrong = file("wrong.txt", "a b c\n");
    let text = shown(
        &case,
        &[
            &["verify", path, "--job", &uids],
            &["verify", path, "--job", &renamed],
            &["verify", path, "--job", &renamed, "--json"],
            &["verify", path, "--job", &limits],
            &["verify", path, "--flink", "1.20"],
            &["verify", path, "--flink", "9.9"],
            &["verify", path, "--flink", "2.3", "--backend", "forst"],
            &["latest", path, "--job", &uids, "--flink", "2.3", "--backend", "hashmap"],
            &["latest", path, "--job", &renamed],
            &["verify", path, "--job", &wrong],
            &["verify", path, "--flink", "two"],
            &["verify", path, "--backend", "heap"],
        ],
    );
    insta::assert_snapshot!("compat", text.trim_end());
}

/// Asks Flink for the plan of a job, and gives the file of it.
fn plan(flink: &mut Flink, dir: &Path, job: &str, more: &[&str]) -> String {
    let words: Vec<&str> = ["plan", job, "par=2"].iter().chain(more).copied().collect();
    let answer = flink.expect(&words);
    let file = dir.join(format!("{job}-{}.json", more.len()));
    fs::write(&file, answer["plan"].as_str().expect("a plan")).expect("a file");
    file.to_str().expect("text").to_owned()
}

fn verify(path: &str, job: &str) -> Value {
    let mut command = command();
    command.args(["verify", "--json", path, "--job", job]);
    Run::of(command).json()["snapshots"][0].clone()
}

/// A snapshot of one job, started as another: what we say that it drops is what Flink refuses, and drops with -n.
fn what_is_said_to_be_dropped_is_what_flink_refuses(flink: &mut Flink) {
    let dir = tempfile::tempdir().expect("a directory");
    let place = format!("dir={}", dir.path().display());
    let held = flink.expect(&["run", "windowed", "n=1000", "par=2", "hold=437", &place]);
    let path = held["path"].as_str().expect("a path");

    let own = plan(flink, dir.path(), "windowed", &[]);
    assert_eq!(verify(path, &own)["verdict"], "restorable");
    let end = flink.ask(&["restore", "windowed", path, "n=1000", "par=2"]);
    assert_eq!(end.get("failed"), None);

    let unchained = "conf.pipeline.operator-chaining.enabled=false";
    let other = plan(flink, dir.path(), "kitchen", &[unchained]);
    let list = dir.path().join("kitchen.txt");
    fs::write(&list, "source\nprocess\nsink\n").expect("a file");
    for job in [other.as_str(), list.to_str().expect("text")] {
        let report = verify(path, job);
        assert_eq!(report["verdict"], "broken");
        let dropped = report["compat"]["dropped"].as_array().expect("a list");
        assert_eq!(dropped.len(), 1, "{report}");
        let id = dropped[0]["operator_id"].as_str().expect("an id");
        assert!(dropped[0]["states"].to_string().contains("window-contents"), "{report}");

        let start = ["restore", "kitchen", path, "n=1000", "par=2", unchained];
        let refused = flink.ask(&start);
        let why = refused["failed"].as_str().expect("a refusal");
        assert!(why.contains(&format!("Cannot map checkpoint/savepoint state for operator {id}")), "{why}");
        let end = flink.ask(&[&start[..], &["allowNonRestored=true"]].concat());
        assert_eq!(end.get("failed"), None);
        assert_eq!(end["restored"], held["positions"]);
    }
    // Its sink is chained: the plan does not say that it is not the one.
    let chained = plan(flink, dir.path(), "kitchen", &[]);
    assert_eq!(verify(path, &chained)["verdict"], "unknown");

    // The program sets another max parallelism, or one that is not enough.
    fs::write(&list, "source\npair\nwindow max-parallelism=64\nsink\n").expect("a file");
    let report = verify(path, list.to_str().expect("text"));
    assert_eq!((&report["verdict"], &report["findings"][0]["code"]), (&json!("broken"), &json!("max-parallelism")));
    let refused = flink.ask(&["restore", "windowed", path, "n=1000", "par=2", "maxpar=64"]);
    assert!(refused["failed"].to_string().contains("Max parallelism mismatch"), "{refused}");
}

#[test]
fn what_is_said_to_be_dropped_is_what_flink_1_20_refuses() {
    with_flink("1.20.5", what_is_said_to_be_dropped_is_what_flink_refuses);
}

#[test]
fn what_is_said_to_be_dropped_is_what_flink_2_3_refuses() {
    with_flink("2.3.0", what_is_said_to_be_dropped_is_what_flink_refuses);
}
