//! Real Flink for tests, in a JVM that `tests/flink/flink.sh` starts; the head of that script says what it understands.
//!
//! One JVM for each release serves all tests, one after the other, and ends with this process. Where Java or the jars of
//! a release are missing, a test says so and passes; in CI it fails.

use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What `flink.sh` exits with where something is missing that it needs.
const MISSING: i32 = 3;

type Server = Arc<Mutex<Option<Flink>>>;

/// A JVM with a release of Flink in it.
pub struct Flink {
    process: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// Runs a test with a release of Flink, such as `1.20.5`, or says that it is skipped and why.
pub fn with_flink(release: &str, test: impl FnOnce(&mut Flink)) {
    static SERVERS: LazyLock<Mutex<HashMap<String, Server>>> = LazyLock::new(Mutex::default);
    // Only JVMs that are being started wait for each other.
    let server =
        lock(&SERVERS).entry(release.to_owned()).or_insert_with(|| Arc::new(Mutex::new(start(release, &[])))).clone();
    match lock(&server).as_mut() {
        Some(flink) => test(flink),
        None => assert!(env::var_os("CI").is_none(), "Flink {release} is missing: see above"),
    }
}

/// Runs a test with a JVM that nobody else uses and that ends with it: what the test does may spoil a cluster.
pub fn with_own_flink(release: &str, test: impl FnOnce(&mut Flink)) {
    with_flink_and(release, "", test);
}

/// Runs a test with a JVM of its own whose cluster is configured by lines `KEY=VALUE`.
pub fn with_flink_and(release: &str, conf: &str, test: impl FnOnce(&mut Flink)) {
    with_flink_in(release, &[("CHKCTL_FLINK_CONF", conf)], test);
}

/// Runs a test with a JVM of its own that has more in its environment, such as what the head of `flink.sh` names.
pub fn with_flink_in(release: &str, variables: &[(&str, &str)], test: impl FnOnce(&mut Flink)) {
    alone(release, start(release, variables), test);
}

fn alone(release: &str, flink: Option<Flink>, test: impl FnOnce(&mut Flink)) {
    let Some(mut flink) = flink else {
        assert!(env::var_os("CI").is_none(), "Flink {release} is missing: see above");
        return;
    };
    test(&mut flink);
    // It ends with its stdin, and cleans up; where a spoilt cluster keeps it from that, it is ended.
    let Flink { mut process, commands, .. } = flink;
    drop(commands);
    let end = Instant::now() + Duration::from_secs(10);
    while process.try_wait().expect("a status").is_none() {
        if Instant::now() > end {
            process.kill().expect("ended");
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// A lock that a test which failed may have held: what a server is told next does not depend on it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a JVM, with variables that are not empty in its environment.
fn start(release: &str, variables: &[(&str, &str)]) -> Option<Flink> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/flink/flink.sh");
    let mut command = Command::new("bash");
    command.arg(script).arg(release).stdin(Stdio::piped()).stdout(Stdio::piped());
    // What a JVM logs goes where a test asks for it.
    if let Some((_, log)) = variables.iter().find(|(name, _)| *name == "CHKCTL_FLINK_LOG_FILE") {
        command.stderr(std::fs::File::create(log).expect("a log file"));
    }
    command.envs(variables.iter().filter(|(_, value)| !value.is_empty()).copied());
    let mut process = command.spawn().expect("bash");
    let commands = process.stdin.take().expect("stdin");
    let answers = BufReader::new(process.stdout.take().expect("stdout"));
    let mut flink = Flink { process, commands, answers };
    if let Some(ready) = flink.answer() {
        assert_eq!(ready, json!({"ready": release}));
        return Some(flink);
    }
    let status = flink.process.wait().expect("an exit status");
    assert_eq!(status.code(), Some(MISSING), "flink.sh {release} did not start");
    // Not eprintln!: the test harness shows that of failed tests only.
    let _ = writeln!(std::io::stderr(), "SKIPPED: tests with Flink {release}; flink.sh says above what is missing");
    None
}

impl Flink {
    /// What Flink answers to a command, a failure of a job included.
    pub fn ask(&mut self, words: &[&str]) -> Value {
        writeln!(self.commands, "{}", json!(words)).expect("the JVM listens");
        self.answer().expect("the JVM answers")
    }

    /// What Flink answers to a command that must not fail.
    pub fn expect(&mut self, words: &[&str]) -> Value {
        let answer = self.ask(words);
        assert!(answer.get("failed").is_none(), "{words:?}: {}", answer["failed"]);
        answer
    }

    /// A line of stdout; none where the JVM is gone.
    fn answer(&mut self) -> Option<Value> {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("UTF-8");
        (!line.is_empty()).then(|| serde_json::from_str(&line).expect("an answer in JSON"))
    }
}

/// Word number `i` of the sequence that all jobs of the harness read.
pub fn word(i: u64, vocab: u64) -> String {
    format!("word{}", i * 7919 % vocab)
}

/// How often each word is among some positions of the sequence, as `wordcount` answers.
pub fn counts(positions: impl IntoIterator<Item = u64>, vocab: u64) -> Value {
    let mut counts = BTreeMap::<String, u64>::new();
    for i in positions {
        *counts.entry(word(i, vocab)).or_default() += 1;
    }
    json!(counts)
}

#[test]
fn flink_goes_on_from_its_own_checkpoint_with_another_parallelism() {
    with_flink("1.20.5", |flink| {
        let dir = tempfile::tempdir().expect("a directory");
        let dir = format!("dir={}", dir.path().display());
        let held = flink.expect(&["run", "wordcount", "n=1000", "vocab=30", "par=2", "hold=500", &dir]);
        assert_eq!(held["positions"], json!([["sequence", 250, 500], ["sequence", 750, 1000]]));
        assert_eq!(held["counts"], counts((0..250).chain(500..750), 30));

        let path = held["path"].as_str().expect("a path");
        for parallelism in ["par=1", "par=3"] {
            let end = flink.expect(&["restore", "wordcount", path, "n=1000", "vocab=30", parallelism]);
            assert_eq!(end["restored"], held["positions"]);
            // Every word comes again after the checkpoint, so the highest counts are those of the whole sequence.
            assert_eq!(end["counts"], counts(0..1000, 30));
        }
    });
}

#[test]
fn a_restore_that_fails_says_why() {
    with_flink("1.20.5", |flink| {
        let answer = flink.ask(&["restore", "wordcount", "/nowhere/chk-1"]);
        let why = answer["failed"].as_str().expect("a failure");
        assert!(why.contains("java.io.FileNotFoundException"), "{why}");
    });
}
