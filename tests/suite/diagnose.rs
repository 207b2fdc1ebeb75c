//! `diagnose`: every trace in `testdata/traces` with the diagnosis beside it, and what it says with a root to look at.

use super::support::{Case, FLINK_ROOT, Run, command, testdata};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

fn traces() -> Vec<PathBuf> {
    let entries =
        fs::read_dir(testdata().join("traces")).expect("testdata/traces").map(|e| e.expect("an entry").path());
    let mut traces: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "txt")).collect();
    traces.sort();
    traces
}

fn run(args: &[&str]) -> Run {
    let mut chkctl = command();
    chkctl.args(args);
    Run::of(chkctl)
}

fn trace(name: &str) -> String {
    testdata().join("traces").join(format!("{name}.txt")).to_str().expect("text").to_owned()
}

fn diagnosed(name: &str) -> Value {
    let ran = run(&["diagnose", "--json", &trace(name)]);
    serde_json::from_str(&ran.stdout).expect("JSON")
}

#[test]
fn every_trace_has_the_diagnosis_beside_it() {
    let traces = traces();
    assert!(traces.len() >= 50, "there are {}", traces.len());
    let mut wrong = Vec::new();
    for path in traces {
        let Run { stdout, stderr, status } = run(&["diagnose", path.to_str().expect("text")]);
        assert!(!stderr.contains("panicked"), "{}: {stderr}", path.display());
        let text = format!("{stdout}[exit status {status}]\n");
        let golden = path.with_extension("golden");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            fs::write(&golden, &text).expect("the diagnosis is written");
        }
        if fs::read_to_string(&golden).unwrap_or_default() != text {
            wrong.push(format!("{}:\n{text}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "UPDATE_DOCS=1 writes them anew:\n{}", wrong.join("\n"));
}

#[test]
fn every_trace_is_named_in_the_readme_with_its_origin() {
    let readme = fs::read_to_string(testdata().join("traces/README.md")).expect("the README");
    for path in traces() {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        assert!(readme.contains(&format!("| `{name}` |")), "{name} has no line");
    }
}

#[test]
fn the_classic_trace_names_its_operator_its_file_and_its_snapshot() {
    let found = diagnosed("posted-glued-prefix-1.10");
    let first = &found["diagnoses"][0];
    assert_eq!(first["id"], "state-file-missing");
    let facts = &first["facts"];
    assert_eq!(facts["operator_name"], "WindowOperator");
    assert_eq!(facts["operator_id"], "dc884d3afcb3f5eae0b484f0f1cb3fe2");
    assert_eq!((&facts["subtask"], &facts["parallelism"]), (&Value::from(0), &Value::from(1)));
    assert_eq!(facts["checkpoint_id"], 120);
    assert_eq!(facts["job_id"], "7537dc3f6f78550f2c00c4916c5759d1");
    assert_eq!(facts["root"], "/opt/flink/checkpoints");
    assert_eq!(found["deleted_by"]["grade"], "not-known", "the trace alone does not say who deleted the file");
    assert_eq!(found["command"], "chkctl latest /opt/flink/checkpoints");
}

#[test]
fn who_removed_a_file_is_said_only_as_surely_as_the_log_shows_it() {
    let blame = |name: &str| {
        let blame = diagnosed(name)["deleted_by"].clone();
        (blame["grade"].as_str().expect("a grade").to_owned(), blame["lines"].clone())
    };
    assert_eq!(blame("worded-expired-then-missing-1.10"), ("proven-by-log".to_owned(), Value::from(vec![5])));
    assert_eq!(blame("worded-subsumed-1.10"), ("likely".to_owned(), Value::from(vec![2])));
    assert_eq!(blame("worded-cancelled-1.12"), ("likely".to_owned(), Value::from(vec![2])));
}

#[test]
fn a_log_comes_from_stdin_too_and_what_is_not_known_is_not_explained() {
    let ask = |text: &str| {
        let mut child = command()
            .args(["diagnose", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        std::io::Write::write_all(&mut child.stdin.take().expect("stdin"), text.as_bytes()).expect("the log is read");
        let output = child.wait_with_output().expect("an end");
        (String::from_utf8(output.stdout).expect("text"), output.status.code())
    };
    let (text, status) = ask("java.io.IOException: Unexpected magic number. This can have multiple reasons: (1) x\n");
    assert!(text.contains("metadata-wrong-magic"), "{text}");
    assert_eq!(status, Some(1));
    assert_eq!(ask("x.YException: what\n\tat x.Z.y(Z.java:1)\n").1, Some(5), "a failure that is not known");
    assert_eq!(ask("all is well\n").1, Some(0));
    assert_eq!(ask("").1, Some(5), "nothing was looked at");
}

#[test]
fn names_in_a_log_cannot_write_to_the_terminal() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = dir.path().join("log");
    let evil =
        "java.io.FileNotFoundException: /c/7537dc3f6f78550f2c00c4916c5759d1/chk-1/a\u{202e}b\u{9b}31m (No such file)\n";
    fs::write(&log, evil).expect("a log");
    let text = run(&["diagnose", log.to_str().expect("text")]).stdout;
    assert!(text.contains("state-file-missing") && text.contains("\\u{202e}"), "{text}");
    assert!(!text.contains(['\u{202e}', '\u{9b}']), "{text}");
}

/// A case with five checkpoints, and the log of the real Flink that missed a file of the newest.
struct Scene {
    case: Case,
    missing: PathBuf,
}

const SCENE: &str = "wc-rocksdb-retained5-2.3.0";
const LOG: &str = "real-missing-sst-2.3.0";

impl Scene {
    fn new() -> Self {
        let case = Case::named(SCENE);
        let found = diagnosed(LOG);
        let path = found["diagnoses"][0]["facts"]["file"].as_str().expect("a file").to_owned();
        let missing = case.root.join(path.strip_prefix(FLINK_ROOT).expect("below the root").trim_start_matches('/'));
        assert!(missing.is_file(), "{} is in the case", missing.display());
        Scene { case, missing }
    }

    fn ask(&self, more: &[&str]) -> (Value, String, i32) {
        let root = self.case.tree();
        let map = format!("{FLINK_ROOT}={}", self.case.root.display());
        let log = trace(LOG);
        let args = |json: &'static str| {
            [
                vec!["diagnose", log.as_str(), "--root", root.to_str().expect("text"), "--map", map.as_str(), json],
                more.to_vec(),
            ]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
        };
        let run_with = |args: Vec<String>| run(&args.iter().map(String::as_str).collect::<Vec<_>>());
        let json = run_with(args("--json"));
        let text = run_with(args("--no-progress"));
        (serde_json::from_str(&json.stdout).expect("JSON"), text.stdout, text.status)
    }
}

fn newest_whole(found: &Value) -> &Path {
    Path::new(found["look"]["best"]["path"].as_str().expect("a snapshot"))
}

#[test]
fn with_a_root_the_last_line_starts_the_job_from_the_best_snapshot() {
    let scene = Scene::new();
    fs::remove_file(&scene.missing).expect("the file");
    let (found, text, status) = scene.ask(&[]);
    let look = &found["look"];
    assert_eq!(look["named"]["checkpoint_id"], 9);
    assert_eq!(look["named"]["verdict"], "broken");
    assert_eq!(look["file"]["present"], false);
    assert_eq!(look["file"]["elsewhere"], Value::Null);
    let needed: Vec<&str> =
        look["file"]["needed_by"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert!(needed.iter().any(|path| path.ends_with("chk-9")), "{needed:?}");
    let best = newest_whole(&found);
    assert!(best.is_dir() && !best.ends_with("chk-9"), "{}", best.display());
    let verdict =
        run(&["verify", best.to_str().expect("text"), "--map", &format!("{FLINK_ROOT}={}", scene.case.root.display())]);
    assert_eq!(verdict.status, 0, "{}", verdict.stdout);
    let last = text.lines().last().expect("a line");
    assert_eq!(last, format!("flink run -s {} job.jar", best.display()));
    assert!(look["older_by_seconds"].as_i64().is_some_and(|seconds| seconds >= 0));
    assert_eq!(status, 1);
}

#[test]
fn a_file_that_lies_elsewhere_was_moved_and_not_deleted() {
    let scene = Scene::new();
    let job = scene.missing.parent().and_then(Path::parent).expect("a job");
    let elsewhere = scene.case.tree().join("backup").join(job.file_name().expect("a name")).join("shared");
    fs::create_dir_all(&elsewhere).expect("a directory");
    fs::rename(&scene.missing, elsewhere.join(scene.missing.file_name().expect("a name"))).expect("moved");
    let backup = scene.case.tree().join("backup");
    let (found, text, _) = scene.ask(&["--root", backup.to_str().expect("text")]);
    assert_eq!(found["deleted_by"]["grade"], "proven-by-disk", "{found:#}");
    assert!(text.lines().last().expect("a line").starts_with("chkctl verify --map "), "{text}");
}

#[test]
fn a_root_in_which_nothing_is_whole_says_so() {
    let scene = Scene::new();
    let shared = scene.missing.parent().expect("shared");
    fs::remove_dir_all(shared).expect("all of it");
    let (found, text, status) = scene.ask(&[]);
    assert_eq!(found["look"]["best"], Value::Null);
    assert!(text.contains("none is restorable"), "{text}");
    assert!(!text.contains("flink run"), "{text}");
    assert_eq!(status, 1);
}
