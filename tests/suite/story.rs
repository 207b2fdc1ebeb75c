//! The classic story of recovery, with the real binary: words over a socket, failures, restarts, death, and a new start
//! from the checkpoint that was retained.

use super::support::{Run, command, metadata_files};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// The binary, with nothing of the environment that changes what it does.
fn wordcount() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wordcount"));
    command.env_remove("RUST_LOG").env("COLUMNS", "120");
    command
}

/// A server like `nc -lk`, and a word count that reads from it.
struct Session {
    listener: TcpListener,
    client: Option<TcpStream>,
    child: Child,
    out: Receiver<String>,
    log: Receiver<String>,
    /// The log so far.
    logged: String,
}

fn lines(stream: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || BufReader::new(stream).lines().all(|line| sender.send(line.expect("text")).is_ok()));
    receiver
}

impl Session {
    /// Starts a word count with checkpoints below `directory`.
    fn start(directory: &Path, more: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        let port = listener.local_addr().expect("an address").port().to_string();
        let mut command = wordcount();
        command.args(["--host", "127.0.0.1", "--port", &port, "--checkpoint-dir"]);
        command.arg(directory).args(more);
        if !more.contains(&"--interval") {
            command.args(["--interval", "100ms"]);
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary runs");
        let out = lines(child.stdout.take().expect("stdout"));
        let log = lines(child.stderr.take().expect("stderr"));
        let mut session = Session { listener, client: None, child, out, log, logged: String::new() };
        session.accept();
        session
    }

    /// Waits for the job to connect, as each of its attempts does.
    fn accept(&mut self) {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Ok((client, _)) = self.listener.accept() {
                client.set_nonblocking(false).expect("a socket");
                self.client = Some(client);
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("the job does not connect:\n{}", self.all_logged());
    }

    fn send(&mut self, line: &str) {
        self.client.as_mut().expect("a client").write_all(format!("{line}\n").as_bytes()).expect("the job reads");
    }

    /// The next line on stdout.
    fn printed(&mut self) -> String {
        self.out.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no output:\n{}", self.all_logged()))
    }

    /// Waits for a line of the log.
    fn wait_for(&mut self, what: &str) {
        let start = Instant::now();
        while let Ok(line) = self.log.recv_timeout(PATIENCE.saturating_sub(start.elapsed())) {
            self.logged.extend([&line, "\n"]);
            if line.contains(what) {
                return;
            }
        }
        panic!("the log does not say {what:?}:\n{}", self.logged);
    }

    /// Waits for two checkpoints, of which the second began when everything before had been seen.
    fn wait_for_checkpoints(&mut self) {
        while let Ok(line) = self.log.try_recv() {
            self.logged.extend([&line, "\n"]);
        }
        (0..2).for_each(|_| self.wait_for("Completed checkpoint"));
    }

    fn all_logged(&mut self) -> &str {
        while let Ok(line) = self.log.try_recv() {
            self.logged.extend([&line, "\n"]);
        }
        &self.logged
    }

    fn interrupt(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill").success());
    }

    /// Waits for the end of the process; gives its exit status, the rest of stdout, and the whole log.
    fn end(mut self) -> (i32, Vec<String>, String) {
        let start = Instant::now();
        let status = loop {
            match self.child.try_wait().expect("a status") {
                Some(status) => break status,
                None => assert!(start.elapsed() < PATIENCE, "it does not end:\n{}", self.all_logged()),
            }
            thread::sleep(Duration::from_millis(5));
        };
        // Both streams end with the process.
        self.log.iter().for_each(|line| self.logged.extend([&line, "\n"]));
        let rest = self.out.iter().collect();
        (status.code().expect("an exit status"), rest, std::mem::take(&mut self.logged))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // A test that failed leaves no process behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn directory() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let checkpoints = directory.path().join("checkpoints");
    (directory, checkpoints)
}

fn chkctl(args: &[&str]) -> Run {
    let mut command = command();
    command.args(args);
    Run::of(command)
}

#[test]
fn a_job_restarts_three_times_dies_and_goes_on_from_its_retained_checkpoint() {
    let (_directory, checkpoints) = directory();
    let mut session = Session::start(&checkpoints, &["--restart-strategy", "fixed-delay:3:300ms"]);
    for (word, printed) in
        [("spark", "(spark,1)"), ("spark", "(spark,2)"), ("flink", "(flink,1)"), ("flink", "(flink,2)")]
    {
        session.send(word);
        assert_eq!(session.printed(), printed);
    }
    session.wait_for_checkpoints();

    session.send("error");
    session.accept();
    session.wait_for("RESTARTING to RUNNING");
    session.send("flink");
    assert_eq!(session.printed(), "(flink,3)");
    session.wait_for_checkpoints();

    session.send("error");
    session.accept();
    session.send("error");
    session.accept();
    session.send("error");
    let (status, rest, log) = session.end();
    assert_eq!((status, rest), (1, Vec::new()), "{log}");

    let failed = |line: &&str| line.contains("switched from RUNNING to FAILED with failure cause: error message");
    let lines: Vec<&str> = log.lines().filter(failed).collect();
    assert_eq!(lines.len(), 4, "{log}");
    for line in lines {
        let (time, rest) = line.split_at(23);
        let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(shape, "0000-00-00 00:00:00,000", "{line}");
        assert!(rest.starts_with(" WARN  ") && rest.contains("Source: Socket Stream -> Flat Map -> Map -> Map (1/1)"));
    }
    assert_eq!(log.matches("switched from state RUNNING to RESTARTING").count(), 3, "{log}");
    assert!(log.contains("Keyed Aggregation -> Sink: Print to Std. Out (1/1)"), "{log}");
    assert!(log.contains("switched from state RUNNING to FAILED"), "{log}");
    let last = log.lines().last().expect("a cause");
    assert!(last.starts_with("wordcount: the job has failed: ") && last.ends_with("error message"), "{last}");
    assert!(last.contains("maxNumberRestartAttempts=3"), "{last}");

    let retained = metadata_files(&checkpoints);
    let [metadata] = retained.as_slice() else { panic!("one checkpoint is kept, not {retained:?}") };
    let snapshot = metadata.parent().and_then(Path::to_str).expect("a directory");
    let verified = chkctl(&["verify", snapshot]);
    assert_eq!((verified.status, verified.stderr.as_str()), (0, "1 restorable\n"), "{}", verified.stdout);
    let latest = chkctl(&["latest", checkpoints.to_str().expect("text")]);
    assert_eq!(latest.stdout, format!("{snapshot}\n"));

    let mut session = Session::start(&checkpoints, &["-s", snapshot]);
    session.send("flink");
    assert_eq!(session.printed(), "(flink,4)");
    session.send("spark");
    assert_eq!(session.printed(), "(spark,3)");
    session.client = None;
    let (status, rest, log) = session.end();
    assert_eq!((status, rest), (0, Vec::new()), "{log}");
    assert!(log.contains("Starting job") && log.contains("switched from state RUNNING to FINISHED"), "{log}");
    assert!(metadata.exists(), "the snapshot that a job started from is not its own");
}

#[test]
fn a_restart_whose_checkpoint_is_damaged_counts_as_one_of_the_attempts() {
    let (_directory, checkpoints) = directory();
    // The second checkpoint is so far away that the first one is what the job restarts from.
    let more = ["--restart-strategy", "fixed-delay:2:50ms", "--inline-threshold", "0", "--interval", "2s"];
    let mut session = Session::start(&checkpoints, &more);
    session.send("flink");
    assert_eq!(session.printed(), "(flink,1)");
    session.wait_for("Completed checkpoint");
    let [metadata] = metadata_files(&checkpoints).try_into().expect("one checkpoint");
    for entry in fs::read_dir(metadata.parent().expect("a directory")).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path != metadata {
            fs::remove_file(path).expect("a state file");
        }
    }
    session.send("error");
    let (status, _, log) = session.end();
    assert_eq!(status, 1, "{log}");
    assert_eq!(log.matches("switched from state RUNNING to RESTARTING").count(), 2, "{log}");
    assert!(log.contains("switched from state RUNNING to FAILED"), "{log}");
    let last = log.lines().last().expect("a cause");
    assert!(last.contains("maxNumberRestartAttempts=2") && last.contains("is missing"), "{last}");
}

/// The lines of the files that a sink has committed.
fn committed(output: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(output).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("part-")) {
            lines.extend(fs::read_to_string(path).expect("text").lines().map(str::to_owned));
        }
    }
    lines.sort();
    lines
}

/// How many checkpoints there are, while jobs complete and remove some.
fn complete(checkpoints: &Path) -> usize {
    let entries = walkdir::WalkDir::new(checkpoints).into_iter().flatten();
    entries.filter(|entry| entry.file_name() == "_metadata").count()
}

#[test]
fn a_process_that_is_killed_goes_on_and_no_count_is_missing_or_written_twice() {
    let (directory, checkpoints) = directory();
    let (input, output) = (directory.path().join("words.txt"), directory.path().join("out"));
    let text: String = (0..400_000).map(|number| format!("w{} w{}\n", number % 7, number % 1000)).collect();
    fs::write(&input, &text).expect("a file");
    let job = |from: Option<&str>, parallelism: &str| {
        let mut command = wordcount();
        command.arg("--file").arg(&input).arg("--output").arg(&output).arg("--checkpoint-dir").arg(&checkpoints);
        command.args(["--interval", "10ms", "--num-retained", "3", "--parallelism", parallelism]);
        from.map(|from| command.args(["-s", from]));
        command
    };
    let mut killed = 0;
    let mut from: Option<String> = None;
    for parallelism in ["2", "3", "1"] {
        let mut command = job(from.as_deref(), parallelism);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary runs");
        let before = complete(&checkpoints);
        let start = Instant::now();
        while complete(&checkpoints) <= before && child.try_wait().expect("a status").is_none() {
            assert!(start.elapsed() < PATIENCE, "no checkpoint is completed");
            thread::sleep(Duration::from_millis(2));
        }
        killed += usize::from(child.try_wait().expect("a status").is_none());
        child.kill().expect("it is killed");
        child.wait().expect("it ends");
        let latest = chkctl(&["latest", checkpoints.to_str().expect("text")]);
        assert_eq!(latest.status, 0, "{}", latest.stderr);
        from = Some(latest.stdout.trim_end().to_owned());
    }
    assert_eq!(killed, 3, "the input is too small to be killed in the middle of it");
    let run = Run::of(job(from.as_deref(), "2"));
    assert_eq!(run.status, 0, "{}", run.stderr);

    let mut counts = std::collections::HashMap::new();
    let mut wanted: Vec<String> = text
        .split_whitespace()
        .map(|word| {
            let count = counts.entry(word).or_insert(0);
            *count += 1;
            format!("({word},{count})")
        })
        .collect();
    wanted.sort();
    let written = committed(&output);
    assert!(written == wanted, "{} counts were written, and {} are right", written.len(), wanted.len());
}

#[test]
fn an_interrupt_cancels_the_job_and_retention_decides_about_its_checkpoints() {
    for (retention, kept) in
        [("retain-on-cancellation", 1), ("delete-on-cancellation", 0), ("no-externalized-checkpoints", 0)]
    {
        let (_directory, checkpoints) = directory();
        let mut session = Session::start(&checkpoints, &["--retention", retention]);
        session.wait_for_checkpoints();
        session.interrupt();
        let (status, _, log) = session.end();
        assert_eq!(status, 0, "{log}");
        assert!(log.contains("switched from state CANCELLING to CANCELED"), "{log}");
        assert_eq!(metadata_files(&checkpoints).len(), kept, "{retention}\n{log}");
    }
}

#[test]
fn an_interrupt_takes_a_savepoint_where_a_place_for_one_is_given() {
    let (directory, checkpoints) = directory();
    let savepoints = directory.path().join("savepoints");
    let place = savepoints.to_str().expect("text");
    let mut session = Session::start(&checkpoints, &["--savepoint-dir", place]);
    session.send("flink flink");
    assert_eq!((session.printed(), session.printed()), ("(flink,1)".to_owned(), "(flink,2)".to_owned()));
    session.interrupt();
    let (status, _, log) = session.end();
    assert_eq!(status, 0, "{log}");
    assert!(log.contains("Savepoint completed. Path: "), "{log}");

    let latest = chkctl(&["latest", place]);
    assert_eq!(latest.status, 0, "{}", latest.stderr);
    let mut session = Session::start(&checkpoints, &["-s", latest.stdout.trim_end(), "--parallelism", "3"]);
    session.send("flink");
    let printed = session.printed();
    assert!(printed.ends_with("> (flink,3)"), "the subtask stands in front: {printed}");
}

#[test]
fn a_file_is_counted_into_files_each_count_once() {
    let (directory, checkpoints) = directory();
    let (input, output) = (directory.path().join("words.txt"), directory.path().join("out"));
    fs::write(&input, "to be or not to be\n\nthat is  the question\n".repeat(50)).expect("a file");
    let mut command = wordcount();
    command.arg("--file").arg(&input).arg("--output").arg(&output).arg("--checkpoint-dir").arg(&checkpoints);
    command.args(["--parallelism", "2", "--interval", "20ms"]);
    let run = Run::of(command);
    assert_eq!((run.status, run.stdout.as_str()), (0, ""), "{}", run.stderr);

    let all = fs::read_dir(&output).expect("the output").map(|entry| entry.expect("an entry").file_name());
    assert!(all.into_iter().all(|name| name.to_string_lossy().starts_with("part-")), "all is committed");
    let printed = committed(&output);
    let count = |word: &str, times: i32| (1..=times).map(|n| format!("({word},{n})")).collect::<Vec<_>>();
    let words =
        [("to", 100), ("be", 100), ("or", 50), ("not", 50), ("that", 50), ("is", 50), ("the", 50), ("question", 50)];
    let mut wanted: Vec<String> = words.iter().flat_map(|(word, times)| count(word, *times)).collect();
    wanted.sort();
    assert!(printed == wanted, "{} counts instead of {}", printed.len(), wanted.len());
    assert!(metadata_files(&checkpoints).is_empty(), "a job that finishes needs no checkpoints any more");
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_starts() {
    for (args, why) in [
        (&["--restart-strategy", "fixed-delay:many"][..], "not a number"),
        (&["--interval", "5ms", "--checkpoint-dir", "/nowhere"], "at least 10ms"),
        (&["--interval", "soon"], "does not start with a number"),
        (&["--file", "a", "--port", "1"], "cannot be used with"),
        (&["--parallelism", "0"], "parallelism"),
        (&["--parallelism", "9", "--max-parallelism", "8"], "parallelism"),
        (&["--max-parallelism", "32769"], "32769"),
    ] {
        let mut command = wordcount();
        command.args(args);
        let run = Run::of(command);
        assert_eq!(run.status, 2, "{args:?}: {}", run.stderr);
        assert!(run.stderr.contains(why), "{args:?}: {}", run.stderr);
    }
}

#[test]
fn a_start_from_nothing_fails_and_says_what_is_missing() {
    let (directory, _) = directory();
    let mut command = wordcount();
    command.arg("-s").arg(directory.path().join("chk-987"));
    let run = Run::of(command);
    assert_eq!(run.status, 1, "{}", run.stderr);
    assert!(run.stderr.contains("chk-987/_metadata is missing"), "{}", run.stderr);
}

/// Ids, paths, times and sizes of a narration, replaced by words.
fn steady(text: &str) -> String {
    let mut steady = String::new();
    let mut word = String::new();
    let flush = |word: &mut String, steady: &mut String| {
        let hex = word.chars().all(|c| c.is_ascii_hexdigit() || c == '-') && word.len() >= 32;
        steady.push_str(if hex { "[ID]" } else { word });
        word.clear();
    };
    for character in text.chars() {
        match character.is_ascii_alphanumeric() || character == '-' {
            true => word.push(character),
            false => {
                flush(&mut word, &mut steady);
                steady.push(character);
            }
        }
    }
    flush(&mut word, &mut steady);
    steady
}

#[test]
fn the_demo_tells_the_whole_story_and_leaves_nothing_behind() {
    let directory = tempfile::tempdir().expect("a directory");
    let demo = |args: &[&str]| {
        let mut command = command();
        command.arg("demo").args(args).env("TMPDIR", directory.path());
        Run::of(command)
    };
    let left = || fs::read_dir(directory.path()).expect("a directory").count();
    let run = demo(&[]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{}", run.stdout);
    assert_eq!(left(), 0, "the directory is removed");
    let text = steady(&run.stdout);
    let mut rest = text.as_str();
    for part in [
        "(spark,1)",
        "(spark,2)",
        "(flink,1)",
        "(flink,2)",
        "nc> error",
        "switched from RUNNING to FAILED with failure cause: error message",
        "RESTARTING to RUNNING",
        "Restoring job [ID] from Checkpoint",
        "nc> flink",
        "(flink,3)",
        "nc> error",
        "RESTARTING to RUNNING",
        "nc> error",
        "RESTARTING to RUNNING",
        "nc> error",
        "switched from state RUNNING to FAILED",
        "maxNumberRestartAttempts=3",
        "$ chkctl list ",
        "restorable",
        "restorable",
        "restorable",
        "is deleted",
        "/[ID]",
        "$ chkctl verify ",
        "1 broken",
        "missing-file",
        "/[ID]",
        "managed keyed state",
        "exit code is 1",
        "Failed to rollback",
        "is missing",
        "$ chkctl uid ",
        "[ID]  sum  ",
        "$ chkctl latest ",
        "skipped (broken)",
        "/checkpoints/[ID]/",
        "Starting job [ID] from savepoint",
        "(flink,4)",
        "(spark,3)",
        "flink 4, spark 3: as if nothing had happened.\n",
    ] {
        let at = rest.find(part).unwrap_or_else(|| panic!("{part:?} does not come in its place:\n{text}"));
        rest = &rest[at + part.len()..];
    }
    assert_eq!(rest, "", "{text}");

    let run = demo(&["-q", "--keep"]);
    assert_eq!((run.status, run.stdout.as_str()), (0, "flink 4, spark 3: as if nothing had happened.\n"));
    assert_eq!(left(), 1, "the directory is kept");
    assert_eq!(demo(&["--json"]).status, 2);
}
