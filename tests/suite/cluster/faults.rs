//! Clusters that guard a prune: what is answered and what is not, with a server that lies, fails and hangs.

use super::server::{Reply, Server};
use crate::suite::support::{Case, Run, command};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const JOB: &str = "0123456789abcdef0123456789abcdef";
const CONFIG: &str = r#"{"refresh-interval":3000,"flink-version":"1.20.5","features":{"web-history":false}}"#;
const HOW: &str = r#"{"mode":"exactly_once","interval":300,"timeout":600000,"externalization":{"enabled":true,"delete_on_cancellation":false}}"#;
const NOTHING: &str = r#"{"latest":{"completed":null,"savepoint":null,"restored":null},"history":[]}"#;

/// A tree with three checkpoints of a job, all old, as a real job wrote one of them.
struct Job {
    dir: TempDir,
}

impl Job {
    fn new() -> Self {
        let case = Case::named("kitchen-heap-inline-1.20.5");
        let dir = tempfile::tempdir().expect("a directory");
        let of = |name: &str| dir.path().join("ck").join(JOB).join(name);
        for id in [3, 4, 5] {
            let to = of(&format!("chk-{id}"));
            fs::create_dir_all(&to).expect("a directory");
            let from = snapshot_of(&case.tree());
            for entry in fs::read_dir(from).expect("a snapshot") {
                let entry = entry.expect("an entry");
                fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
            }
        }
        for name in ["shared", "taskowned"] {
            fs::create_dir_all(of(name)).expect("a directory");
        }
        fs::write(of("shared").join("9f0c8c1e-0a4b-4c8e-8f7e-1a2b3c4d5e6f"), "nobody's").expect("a file");
        let made = Job { dir };
        made.age();
        made
    }

    fn root(&self) -> std::path::PathBuf {
        self.dir.path().join("ck")
    }

    /// Makes all files old, the lower the number of their checkpoint the older.
    fn age(&self) {
        for entry in walkdir::WalkDir::new(self.root()).contents_first(true) {
            let path = entry.expect("an entry").into_path();
            let chk =
                path.components().filter_map(|part| part.as_os_str().to_str()?.strip_prefix("chk-")?.parse().ok());
            let id: u64 = chk.max().unwrap_or(0);
            let time = std::time::SystemTime::now() - std::time::Duration::from_secs(86_400 * (60 - id));
            fs::File::open(&path).expect("it").set_times(fs::FileTimes::new().set_modified(time)).expect("a time");
        }
    }

    fn age_of(&self, snapshot: &str, days: u64) {
        let file = fs::File::open(self.root().join(JOB).join(snapshot).join("_metadata")).expect("a file");
        let time = std::time::SystemTime::now() - std::time::Duration::from_secs(86_400 * days);
        file.set_times(fs::FileTimes::new().set_modified(time)).expect("a time");
    }

    fn prune(&self, url: &str, more: &[&str]) -> Run {
        let mut command = command();
        command.args([
            "prune",
            "--keep-last",
            "1",
            "--max-delete-percent",
            "100",
            "--json",
            "--jobmanager-timeout",
            "1s",
        ]);
        command.args(more).arg("--jobmanager").arg(url).arg(self.root());
        Run::of(command)
    }

    fn snapshots(&self) -> Vec<String> {
        let mut found: Vec<String> = (fs::read_dir(self.root().join(JOB)).expect("a job"))
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
            .filter(|name| name.starts_with("chk-"))
            .collect();
        found.sort();
        found
    }

    fn orphan_is_there(&self) -> bool {
        self.root().join(JOB).join("shared").read_dir().is_ok_and(|mut entries| entries.next().is_some())
    }
}

/// A snapshot in a tree whose files are all its own.
fn snapshot_of(tree: &Path) -> std::path::PathBuf {
    let all = walkdir::WalkDir::new(tree).sort_by_file_name().into_iter().map(|entry| entry.expect("an entry"));
    let metadata = all.filter(|entry| entry.file_name() == "_metadata").map(|entry| entry.into_path());
    let parent = |path: std::path::PathBuf| path.parent().map(Path::to_path_buf);
    metadata
        .filter_map(parent)
        .find(|dir| dir.components().any(|c| c.as_os_str().to_string_lossy().starts_with("chk-")))
        .expect("a checkpoint")
}

/// A server with one job that runs and says this of its checkpoints.
fn running(state: &str, checkpoints: &str) -> Server {
    Server::start(vec![
        ("/config", Reply::json(CONFIG)),
        ("/jobs/overview", Reply::json(&format!(r#"{{"jobs":[{{"jid":"{JOB}","name":"x","state":"{state}"}}]}}"#))),
        ("/checkpoints/config", Reply::json(HOW)),
        ("/checkpoints", Reply::json(checkpoints)),
    ])
}

fn completed(root: &Path, id: u64) -> String {
    format!(
        r#"{{"id":{id},"status":"COMPLETED","is_savepoint":false,"external_path":"file:{}/{JOB}/chk-{id}","discarded":false,"trigger_timestamp":1}}"#,
        root.display()
    )
}

#[test]
fn without_a_cluster_the_old_files_of_a_job_go() {
    let job = Job::new();
    let server =
        Server::start(vec![("/config", Reply::json(CONFIG)), ("/jobs/overview", Reply::json(r#"{"jobs":[]}"#))]);
    let done = job.prune(&server.url(), &["--apply"]);
    assert_eq!(done.status, 0, "{}", done.stderr);
    assert_eq!(job.snapshots(), ["chk-5"]);
    assert!(!job.orphan_is_there());
}

#[test]
fn what_a_running_job_was_restored_from_stays_with_its_latest_and_what_it_shares() {
    let job = Job::new();
    let root = job.root();
    let restored = format!(
        r#"{{"id":3,"restore_timestamp":1,"is_savepoint":false,"external_path":"file:{}/{JOB}/chk-3"}}"#,
        root.display()
    );
    let latest = completed(&root, 5);
    let server = running(
        "RUNNING",
        &format!(
            r#"{{"latest":{{"completed":{latest},"savepoint":null,"restored":{restored}}},"history":[{latest}]}}"#
        ),
    );
    let done = job.prune(&server.url(), &["--apply"]);
    assert_eq!(done.status, 0, "{}", done.stderr);
    assert_eq!(job.snapshots(), ["chk-3", "chk-5"]);
    assert!(job.orphan_is_there(), "shared/ of a running job is left alone though all of it is old");
    let plan = done.json();
    let kept = plan["keep"].to_string();
    assert!(kept.contains("was restored from it"), "{kept}");
    assert!(plan["refused"].to_string().contains("the job runs (RUNNING"), "{plan}");
}

#[test]
fn what_is_no_older_than_the_latest_that_is_told_of_stays() {
    let job = Job::new();
    let latest = completed(&job.root(), 4);
    let server = running("RUNNING", &format!(r#"{{"latest":{{"completed":{latest}}},"history":[]}}"#));
    // The newest by its time is another, as where a clock went back.
    job.age_of("chk-3", 30);
    fs::create_dir(job.root().join(JOB).join("chk-2")).expect("a directory");
    fs::copy(job.root().join(JOB).join("chk-4/_metadata"), job.root().join(JOB).join("chk-2/_metadata"))
        .expect("a copy");
    job.age_of("chk-2", 90);
    let done = job.prune(&server.url(), &["--apply"]);
    assert_eq!(done.status, 0, "{}", done.stderr);
    assert_eq!(job.snapshots(), ["chk-3", "chk-4", "chk-5"], "{}", done.stdout);
    let told_nothing = running("RESTARTING", NOTHING);
    let job = Job::new();
    assert_eq!(job.prune(&told_nothing.url(), &["--apply"]).status, 0);
    assert_eq!(job.snapshots(), ["chk-3", "chk-4", "chk-5"]);
}

#[test]
fn a_checkpoint_in_progress_stays_however_old_its_files_are() {
    let job = Job::new();
    let begun = job.root().join(JOB).join("chk-1");
    fs::create_dir_all(&begun).expect("a directory");
    fs::write(begun.join("9f0c8c1e-0a4b-4c8e-8f7e-1a2b3c4d5e60"), "state").expect("a file");
    job.age();
    let latest = completed(&job.root(), 5);
    let statistics = |history: &str| format!(r#"{{"latest":{{"completed":{latest}}},"history":[{history}]}}"#);
    let server = running("RUNNING", &statistics(r#"{"id":1,"status":"IN_PROGRESS","is_savepoint":true}"#));
    // Not in the plan, and not when it is carried out.
    let plan = job.prune(&server.url(), &[]).json();
    assert_eq!(plan["orphans"], serde_json::json!([]), "{plan}");
    assert!(plan["refused"].to_string().contains("is writing it"), "{plan}");
    assert_eq!(job.prune(&server.url(), &["--apply"]).status, 0);
    assert_eq!(job.snapshots(), ["chk-1", "chk-5"]);
    let server = running("RUNNING", &statistics(r#"{"id":1,"status":"FAILED","is_savepoint":false}"#));
    assert_eq!(job.prune(&server.url(), &["--apply"]).status, 0);
    assert_eq!(job.snapshots(), ["chk-5"]);
}

#[test]
fn a_job_at_its_end_holds_nothing() {
    for state in ["FINISHED", "CANCELED", "FAILED"] {
        let job = Job::new();
        let server = running(state, NOTHING);
        assert_eq!(job.prune(&server.url(), &["--apply"]).status, 0);
        assert_eq!(job.snapshots(), ["chk-5"], "{state}");
    }
    // One that is not known here may run.
    let job = Job::new();
    assert_eq!(job.prune(&running("NEW_IN_FLINK_3", NOTHING).url(), &["--apply"]).status, 0);
    assert_eq!(job.snapshots().len(), 3);
}

#[test]
fn a_cluster_that_gives_no_good_answer_stops_the_prune() {
    let overview =
        |body: &str| Server::start(vec![("/config", Reply::json(CONFIG)), ("/jobs/overview", Reply::json(body))]);
    let config = |reply: Reply| Server::start(vec![("/config", reply)]);
    let checkpoints = |reply: Reply| {
        let jobs = format!(r#"{{"jobs":[{{"jid":"{JOB}","name":"x","state":"RUNNING"}}]}}"#);
        Server::start(vec![
            ("/config", Reply::json(CONFIG)),
            ("/jobs/overview", Reply::json(&jobs)),
            ("/checkpoints", reply),
        ])
    };
    let cases: Vec<(&str, Server)> = vec![
        ("500", config(Reply::status(500, "oh no"))),
        (
            "503",
            checkpoints(Reply::status(
                503,
                r#"{"errors":["Service temporarily unavailable due to an ongoing leader election."]}"#,
            )),
        ),
        ("404 without a reason", checkpoints(Reply::status(404, r#"{"errors":["Job not found"]}"#))),
        ("a hang", config(Reply::Hang)),
        ("a hang later", checkpoints(Reply::Hang)),
        ("half an answer", checkpoints(Reply::Half(NOTHING.to_owned()))),
        ("no answer", checkpoints(Reply::Close)),
        ("no JSON", config(Reply::json("<html>sign in</html>"))),
        ("no Flink", config(Reply::json("{}"))),
        ("a history server", config(Reply::json(r#"{"flink-version":"1.20.5","features":{"web-history":true}}"#))),
        ("no jobs", overview("{}")),
        ("an id with a path in it", overview(r#"{"jobs":[{"jid":"../../x","name":"x","state":"RUNNING"}]}"#)),
        ("no statistics", checkpoints(Reply::json("{}"))),
        ("a negative id", checkpoints(Reply::json(r#"{"latest":{},"history":[{"id":-1,"status":"COMPLETED"}]}"#))),
        (
            "a place that is none",
            checkpoints(Reply::json(
                r#"{"latest":{"completed":{"id":1,"status":"COMPLETED","external_path":"hdfs:a"}},"history":[]}"#,
            )),
        ),
        ("a job that is being started", running("INITIALIZING", NOTHING)),
        ("a redirect to another host", config(Reply::redirect("http://example.invalid/config"))),
        ("a redirect in circles", config(Reply::redirect("/config"))),
        ("deep nonsense", config(Reply::json(&"[".repeat(1 << 20)))),
    ];
    let job = Job::new();
    for (name, server) in cases {
        let done = job.prune(&server.url(), &["--apply"]);
        assert_eq!(done.status, 5, "{name}: {}{}", done.stdout, done.stderr);
        assert!(done.stderr.contains("what is in use is not known"), "{name}: {}", done.stderr);
        assert_eq!(job.snapshots(), ["chk-3", "chk-4", "chk-5"], "{name}");
        let safe = Run::of({
            let mut command = command();
            command.args(["safe-to-delete", "--jobmanager-timeout", "1s", "--jobmanager", &server.url()]);
            command.arg(job.root().join(JOB).join("chk-3")).arg(job.root());
            command
        });
        assert_eq!(safe.status, 5, "{name}: {}{}", safe.stdout, safe.stderr);
    }
    let nobody = Server::start(Vec::new()).url();
    assert_eq!(job.prune(&nobody, &["--apply"]).status, 5, "nobody is there");
    assert_eq!(job.snapshots().len(), 3);
}

#[test]
fn a_cluster_is_asked_again_before_anything_is_deleted() {
    // It holds nothing while the plan is made, and is gone then.
    let job = Job::new();
    let server =
        Server::start(vec![("/config", Reply::json(CONFIG)), ("/jobs/overview", Reply::json(r#"{"jobs":[]}"#))]);
    server.then_after(2, vec![("/config", Reply::status(500, ""))]);
    let done = job.prune(&server.url(), &["--apply"]);
    assert_eq!(done.status, 5, "{}{}", done.stdout, done.stderr);
    assert_eq!(job.snapshots().len(), 3);
    // A job is started from the oldest meanwhile.
    let server =
        Server::start(vec![("/config", Reply::json(CONFIG)), ("/jobs/overview", Reply::json(r#"{"jobs":[]}"#))]);
    let other = "fedcba98765432100123456789abcdef";
    let restored = format!(r#"{{"id":3,"external_path":"file:{}/{JOB}/chk-3"}}"#, job.root().display());
    server.then_after(
        2,
        vec![
            ("/config", Reply::json(CONFIG)),
            (
                "/jobs/overview",
                Reply::json(&format!(r#"{{"jobs":[{{"jid":"{other}","name":"x","state":"RUNNING"}}]}}"#)),
            ),
            ("/checkpoints/config", Reply::json(HOW)),
            ("/checkpoints", Reply::json(&format!(r#"{{"latest":{{"restored":{restored}}},"history":[]}}"#))),
        ],
    );
    let done = job.prune(&server.url(), &["--apply"]);
    assert_eq!(done.status, 0, "{}{}", done.stdout, done.stderr);
    assert_eq!(job.snapshots(), ["chk-3", "chk-5"]);
    let skipped = done.json()["outcome"]["skipped"].to_string();
    assert!(skipped.contains("was restored from it"), "{skipped}");
}

#[test]
fn a_plan_from_a_file_is_refused_where_a_job_came_to_need_what_it_takes() {
    let job = Job::new();
    let none = Server::start(vec![("/config", Reply::json(CONFIG)), ("/jobs/overview", Reply::json(r#"{"jobs":[]}"#))]);
    let plan = job.dir.path().join("plan");
    let plan = plan.to_str().expect("UTF-8");
    assert_eq!(job.prune(&none.url(), &["--plan-out", plan]).status, 0);
    let latest = completed(&job.root(), 4);
    let runs = running("RUNNING", &format!(r#"{{"latest":{{"completed":{latest}}},"history":[]}}"#));
    let done = job.prune(&runs.url(), &["--apply", "--plan-in", plan]);
    assert_eq!(done.status, 4, "{}{}", done.stdout, done.stderr);
    assert!(done.stderr.contains("chk-4 is in use"), "{}", done.stderr);
    assert_eq!(job.prune(&none.url(), &["--apply", "--plan-in", plan]).status, 0);
    assert_eq!(job.snapshots(), ["chk-5"]);
}

#[test]
fn credentials_are_sent_to_the_cluster_and_shown_to_nobody() {
    let job = Job::new();
    let server = running("RUNNING", "{}");
    let url = server.url().replace("http://", "http://me:s%65cret@");
    let done = job.prune(&url, &[]);
    assert_eq!(done.status, 5);
    assert!(!done.stderr.contains("cret") && !done.stdout.contains("cret"), "{}", done.stderr);
    assert!(server.heard().contains("authorization: Basic bWU6c2VjcmV0"), "{}", server.heard());
    let mut command = command();
    command.args(["prune", "--keep-last", "1", "--jobmanager-timeout", "1s"]).arg(job.root());
    command.env("CHKCTL_JOBMANAGER", server.url()).env("CHKCTL_JOBMANAGER_TOKEN", "t0k3n");
    let done = Run::of(command);
    assert_eq!(done.status, 5);
    assert!(!done.stderr.contains("t0k3n"));
    assert!(server.heard().contains("authorization: Bearer t0k3n"), "{}", server.heard());
    for wrong in ["ftp://me:secret@host", "http://"] {
        let done = job.prune(wrong, &[]);
        assert_eq!(done.status, 2, "{}", done.stderr);
        assert!(!done.stderr.contains("secret"), "{}", done.stderr);
    }
}

#[test]
fn latest_prefers_what_the_cluster_knows_if_it_is_whole() {
    let job = Job::new();
    let latest = |server: &Server, root: bool| {
        let mut command = command();
        command.args(["latest", "--json", "--jobmanager-timeout", "1s", "--jobmanager", &server.url()]);
        if root {
            command.arg(job.root());
        }
        Run::of(command)
    };
    // A job that failed is one to be restarted.
    for state in ["RUNNING", "FAILED"] {
        let known = completed(&job.root(), 4);
        let server = running(state, &format!(r#"{{"latest":{{"completed":{known}}},"history":[]}}"#));
        for root in [true, false] {
            let said = latest(&server, root);
            assert_eq!(said.status, 0, "{state}: {}", said.stderr);
            let json = said.json();
            assert!(json["path"].as_str().expect("a path").ends_with("chk-4"), "{json}");
            assert_eq!(json["cluster"]["preferred"], true, "{json}");
            assert!(json["cluster"]["newer"].as_str().expect("a path").ends_with("chk-5"), "{json}");
            assert!(said.stderr.contains("chk-5 is newer than what the cluster knows"), "{}", said.stderr);
        }
    }
    // What it knows is broken.
    let known = completed(&job.root(), 4);
    let server = running("RUNNING", &format!(r#"{{"latest":{{"completed":{known}}},"history":[]}}"#));
    fs::write(job.root().join(JOB).join("chk-4/_metadata"), "no metadata").expect("a file");
    let said = latest(&server, true);
    assert_eq!(said.status, 0, "{}", said.stderr);
    assert!(said.json()["path"].as_str().expect("a path").ends_with("chk-5"), "{}", said.stdout);
    assert_eq!(said.json()["cluster"]["preferred"], false);
    assert!(said.stderr.contains("not what the cluster knows"), "{}", said.stderr);
    // It has nothing below the roots, or does not answer.
    let elsewhere = running("RUNNING", NOTHING);
    assert_eq!(latest(&elsewhere, true).json()["cluster"]["job_id"], serde_json::Value::Null);
    let broken = Server::start(vec![("/config", Reply::status(500, ""))]);
    let said = latest(&broken, true);
    assert_eq!((said.status, said.stdout.as_str()), (5, ""), "{}", said.stderr);
}
