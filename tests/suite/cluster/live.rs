//! A prune beside a job that real Flink runs, which checkpoints every 300 ms: nothing is touched that the job needs.

use crate::suite::flink::{Flink, counts, with_flink_and};
use crate::suite::support::{Run, command};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long each policy goes on, one after the other. A longer one is for by hand: `CHKCTL_BESIDE_SECONDS`.
const SECONDS: u64 = 4;

/// Records of the job's sequence, of which it reads so many in a second that it does not come to its end.
const RECORDS: u64 = 600_000;

/// So that there is something to keep and to let go. It asks the cluster for this, not the job.
const RETAINED: &str = "execution.checkpointing.num-retained=3";

const POLICIES: [&[&str]; 9] = [
    &["--keep-last", "1"],
    &["--keep-last", "2", "--group-by", "root"],
    &["--keep-last", "1", "--group-by", "none"],
    &["--keep-within", "1min"],
    &["--keep-hourly", "1", "--keep-daily", "1"],
    &["--keep-last", "1", "--time-from", "id"],
    &["--keep-last", "1", "--no-verify", "--instant"],
    &["--keep-last", "1", "--live"],
    &["--keep-last", "1", "--live", "--include", "taskowned,dstl", "--instant", "--group-by", "none"],
];

fn tell(flink: &mut Flink, words: &[&str]) -> Value {
    flink.expect(words)
}

fn job<'w>(dir: &'w str, records: &'w str) -> Vec<&'w str> {
    vec![
        records,
        "vocab=200",
        "hold=1000",
        "rate=400",
        "ck=300",
        "delay=100",
        "inline=0",
        dir,
        "conf.state.backend.type=rocksdb",
        "conf.state.backend.rocksdb.memory.managed=false",
        "conf.execution.checkpointing.incremental=true",
        // Twice as long is the grace, as it would have no other end within a test.
        "conf.execution.checkpointing.timeout=3 s",
        "conf.execution.checkpointing.tolerable-failed-checkpoints=1000",
    ]
}

fn chkctl(args: &[&str], path: &Path) -> Run {
    let mut command = command();
    command.args(args).arg(path);
    Run::of(command)
}

/// A text in an answer of the harness.
pub fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}"))
}

/// A path of Flink's, here.
pub fn local(uri: &str) -> PathBuf {
    PathBuf::from(uri.strip_prefix("file:").unwrap_or(uri))
}

#[test]
fn a_prune_beside_a_job_of_flink_1_takes_nothing_that_it_needs() {
    with_flink_and("1.20.5", RETAINED, beside);
}

#[test]
fn a_prune_beside_a_job_of_flink_2_takes_nothing_that_it_needs() {
    with_flink_and("2.3.0", RETAINED, beside);
}

/// A job that makes no checkpoints is alive, holds nothing, and stops no prune.
fn without_checkpoints(flink: &mut Flink, root: &Path) {
    let place = format!("dir={}", root.display());
    let started = tell(flink, &["live", "start", "wordcount", "n=1000000", "hold=1000", "rate=100", "ck=none", &place]);
    let done = chkctl(&["prune", "--keep-last", "1", "--json", "--jobmanager", text(&started, "rest")], root);
    assert_eq!(done.status, 0, "{}{}", done.stdout, done.stderr);
    tell(flink, &["live", "stop", text(&started, "job")]);
}

fn beside(flink: &mut Flink) {
    let dir = tempfile::tempdir().expect("a directory");
    let root = dir.path();
    without_checkpoints(flink, root);
    let (place, records) = (format!("dir={}", root.display()), format!("n={RECORDS}"));
    let words = job(&place, &records);
    let start = |flink: &mut Flink, more: &[&str]| {
        let words: Vec<&str> = ["live", "start", "wordcount"].iter().chain(&words).chain(more).copied().collect();
        tell(flink, &words)
    };
    // A job that is at its end, of which everything may go in the course of time but what the second one needs.
    let first = start(flink, &[]);
    wait_for(flink, &first, 5);
    let ended = tell(flink, &["live", "stop", text(&first, "job")]);
    let from = format!("from={}", text(&ended, "completed"));
    let second = start(flink, &[&from, "claim=true"]);
    wait_for(flink, &second, 3);

    let seconds = std::env::var("CHKCTL_BESIDE_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SECONDS);
    let (mut runs, mut files, mut fails) = (0, 0, 0);
    let savepoints = format!("dir={}", root.join("savepoints").display());
    for policy in POLICIES {
        for format in ["savepoint=native", "savepoint=canonical"] {
            tell(flink, &["live", "savepoint", text(&second, "job"), &savepoints, format]);
        }
        let end = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < end {
            // No grace: only the cluster says that the job is alive.
            let now =
                ["prune", "--grace", "0s", "--checkpoint-timeout", "0s", "--max-delete-percent", "100", "--apply"];
            let args: Vec<&str> =
                now.iter().chain(policy).copied().chain(["--json", "--jobmanager", text(&second, "rest")]).collect();
            let done = chkctl(&args, root);
            assert_eq!(done.status, 0, "{policy:?}: {}{}", done.stdout, done.stderr);
            runs += 1;
            files += done.json()["outcome"]["files"].as_u64().unwrap_or(0);
            assert!(done.json()["keep"].to_string().contains("in use: job"), "{}", done.stdout);
        }
        // The job fails, is restored from its latest checkpoint, and goes on.
        let before = tell(flink, &["live", "look", text(&second, "job")]);
        assert_eq!(before["status"], "RUNNING", "{policy:?}: {before}");
        let failed = tell(flink, &["live", "fail", text(&second, "job")]);
        assert_eq!(failed["status"], "RUNNING", "{policy:?}: {failed}");
        assert_ne!(failed["restored"], Value::Null);
        fails += 1;
        wait_for(flink, &second, failed["count"].as_u64().expect("a count") + 2);
    }
    eprintln!("{runs} prunes beside the job, {files} files went, {fails} failovers");
    assert!(files > 0, "nothing went, so that nothing was shown");

    let ended = tell(flink, &["live", "stop", text(&second, "job")]);
    let last = local(text(&ended, "completed"));
    let verified = chkctl(&["verify", "--deep", "--json"], &last);
    assert_eq!(verified.status, 0, "{}{}", verified.stdout, verified.stderr);
    let path = last.to_str().expect("UTF-8").to_owned();
    let mut words: Vec<&str> = vec!["restore", "wordcount", &path, "timeout=120000"];
    words.extend(["n=600000", "vocab=200", "inline=0", "conf.state.backend.type=rocksdb"]);
    words.extend(["conf.state.backend.rocksdb.memory.managed=false"]);
    let end = tell(flink, &words);
    assert_eq!(end["counts"], counts(0..RECORDS, 200));
}

/// Waits until a job has completed so many checkpoints.
fn wait_for(flink: &mut Flink, job: &Value, count: u64) {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let now = tell(flink, &["live", "look", text(job, "job")]);
        if now["count"].as_u64() >= Some(count) && now["completed"].is_string() {
            return;
        }
        assert!(Instant::now() < end, "too few checkpoints: {now}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
