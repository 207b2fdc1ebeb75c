//! The word count of the demo, with its server, its results and its log within reach.

use super::server::WordServer;
use crate::model::Location;
use crate::programs::{flink_log, wordcount};
use crate::runtime::coordinator::Retention;
use crate::runtime::restart::RestartStrategy;
use crate::runtime::{Environment, JobHandle};
use anyhow::Context;
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The time from one checkpoint to the next.
pub(super) const INTERVAL: Duration = Duration::from_millis(200);
/// How many checkpoints are kept.
pub(super) const RETAINED: usize = 3;
/// The tutorial waits two seconds.
pub(super) const RESTARTS: RestartStrategy =
    RestartStrategy::FixedDelay { attempts: 3, delay: Duration::from_millis(300) };

/// How long anything may take before the demo gives up, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running word count.
pub(super) struct Job {
    handle: JobHandle,
    server: WordServer,
    counts: Receiver<(String, i64)>,
    directory: PathBuf,
}

impl Job {
    /// Starts the job, and waits until it is connected.
    pub fn start(checkpoints: &Path, from: Option<&str>) -> anyhow::Result<Self> {
        let mut server = WordServer::start()?;
        let (sender, counts) = unbounded();
        let handle = environment(checkpoints, from, server.port()?, sender)?.start("word count")?;
        server.accept(PATIENCE)?;
        let directory = checkpoints.join(handle.job_id());
        Ok(Job { handle, server, counts, directory })
    }

    /// Sends a word and gives the count that the job prints.
    pub fn count(&mut self, word: &str) -> anyhow::Result<(String, i64)> {
        self.server.send(word)?;
        self.counts.recv_timeout(PATIENCE).with_context(|| format!("the job does not count {word:?}"))
    }

    /// Sends the word that it fails at.
    pub fn break_it(&mut self) -> anyhow::Result<()> {
        self.server.send(wordcount::ERROR)
    }

    /// Waits until it has restarted and is connected again.
    pub fn wait_for_restart(&mut self) -> anyhow::Result<()> {
        self.server.accept(PATIENCE)
    }

    /// The id of the newest complete checkpoint; 0 if there is none.
    fn newest(&self) -> i64 {
        newest(&self.directory)
    }

    /// Waits for so many more checkpoints to be complete.
    pub fn wait_for_checkpoints(&self, count: i64) -> anyhow::Result<()> {
        let (wanted, end) = (self.newest() + count, Instant::now() + PATIENCE);
        while self.newest() < wanted {
            anyhow::ensure!(Instant::now() < end, "checkpoint {wanted} is not completed");
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Waits for it to fail for good, and gives the cause, and the newest checkpoint that it leaves.
    pub fn wait_for_death(self) -> anyhow::Result<(anyhow::Error, PathBuf)> {
        match self.handle.wait() {
            Ok(_) => anyhow::bail!("the job was to fail, and did not"),
            Err(cause) => Ok((cause, self.directory.join(format!("chk-{}", newest(&self.directory))))),
        }
    }

    /// Ends its input and waits for it to finish.
    pub fn finish(mut self) -> anyhow::Result<()> {
        self.server.hang_up();
        self.handle.wait().map(drop)
    }
}

/// The id of the newest complete checkpoint in the directory of a job; 0 if there is none.
fn newest(directory: &Path) -> i64 {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let complete = entries.filter(|entry| entry.path().join("_metadata").is_file());
    let ids = complete.filter_map(|entry| entry.file_name().to_str()?.strip_prefix("chk-")?.parse().ok());
    ids.max().unwrap_or(0)
}

/// Starts the job from a snapshot that it cannot be started from, and gives the error.
pub(super) fn fail_to_start(checkpoints: &Path, from: &str) -> anyhow::Result<anyhow::Error> {
    let server = WordServer::start()?;
    match environment(checkpoints, Some(from), server.port()?, unbounded().0)?.start("word count") {
        Ok(_) => anyhow::bail!("the job started from {from}, which is broken"),
        Err(error) => Ok(error),
    }
}

fn environment(
    checkpoints: &Path,
    from: Option<&str>,
    port: u16,
    counts: Sender<(String, i64)>,
) -> anyhow::Result<Environment> {
    let place = |path: &str| Ok::<_, anyhow::Error>(Location::parse(path)?.canonical_if_local());
    let directory = place(checkpoints.to_str().context("the temporary directory has a name that is not UTF-8")?)?;
    let environment = Environment::new();
    environment.restart_strategy(RESTARTS).checkpoints(|checkpoints| {
        checkpoints.interval = Some(INTERVAL);
        checkpoints.directory = Some(directory);
        checkpoints.retention = Retention::RetainOnCancellation;
        checkpoints.num_retained = RETAINED;
        // All state to files, however little it is, as that of a job in production.
        checkpoints.in_line_threshold = 0;
    });
    if let Some(from) = from {
        environment.restore_from(place(from)?);
    }
    let lines = environment.socket_text_stream("127.0.0.1", port).uid("source");
    let print = move |count| {
        // Nobody listens any more when the demo has given up.
        let _ = counts.send(count);
        Ok(())
    };
    wordcount::count(&lines).for_each(print).name("Sink: Print to Std. Out").uid("sink");
    Ok(environment)
}

/// Sends the lines of the log to whoever tells the story: without the date, and where in the code they come from.
pub(super) fn listen_to_log() -> anyhow::Result<Receiver<String>> {
    struct Lines(Sender<String>);
    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.send(String::from_utf8_lossy(bytes).into_owned());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (sender, lines) = unbounded();
    let mut builder = flink_log::builder();
    builder.format(|out, record| {
        use io::Write as _;
        let time = jiff::Zoned::now();
        writeln!(out, "{} {:<5} {}", time.strftime("%H:%M:%S,%3f"), record.level(), record.args())
    });
    builder.target(env_logger::Target::Pipe(Box::new(Lines(sender)))).try_init()?;
    Ok(lines)
}
