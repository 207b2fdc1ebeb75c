//! `wordcount`: the word count of Flink's tutorials as a program of its own, with every knob of the runtime as an
//! option. Results go to stdout, the log to stderr in Flink's look.

use anyhow::Context;
use chkctl::model::Location;
use chkctl::programs::{flink_log, wordcount};
use chkctl::runtime::coordinator::{CheckpointConfig, CheckpointMode, Retention, SavepointFormat};
use chkctl::runtime::duration::parse_duration;
use chkctl::runtime::restart::RestartStrategy;
use chkctl::runtime::{Environment, FileSink, JobHandle, JobOutcome};
use chkctl::settings::{ConfigFile, Connector, Settings, Variables};
use chkctl::storage::{Stores, WriteStorage};
use clap::{Parser, ValueEnum};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Count the words of a socket or a file; the word `error` makes a task fail.
///
/// A job of chkctl's stream runtime, with checkpoints that Flink reads. Results go to stdout, the log to stderr.
#[derive(Debug, Parser)]
#[command(name = "wordcount", version, max_term_width = 120, after_help = AFTER_HELP)]
struct Args {
    /// Read lines from the server on this host.
    #[arg(long, value_name = "HOST", default_value = "localhost", conflicts_with = "file")]
    host: String,
    /// Read lines from the server on this port, such as `nc -lk 9999`.
    #[arg(long, value_name = "PORT", default_value_t = 9999, conflicts_with = "file")]
    port: u16,
    /// Read the lines of this file instead; the job ends with it.
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// Write results to files in this directory, each exactly once, instead of to stdout.
    #[arg(long, value_name = "DIR")]
    output: Option<String>,

    /// Start from this checkpoint or savepoint.
    #[arg(short = 's', long, value_name = "PATH", help_heading = "Recovery")]
    from_savepoint: Option<String>,
    /// Drop state of the snapshot that no operator of this job claims.
    #[arg(short = 'n', long, help_heading = "Recovery")]
    allow_non_restored_state: bool,
    /// What to do when a task fails: none, fixed-delay:ATTEMPTS:DELAY, failure-rate:FAILURES:INTERVAL:DELAY or
    /// exponential-delay:INITIAL:MAX:MULTIPLIER:RESET:JITTER, with :ATTEMPTS behind it for an end.
    #[arg(long, value_name = "STRATEGY", default_value = "fixed-delay:3:2s", help_heading = "Recovery")]
    restart_strategy: RestartStrategy,

    /// Take checkpoints, to a directory of the job in this one. Without it there are none.
    #[arg(long, value_name = "DIR", help_heading = "Checkpoints")]
    checkpoint_dir: Option<String>,
    /// The time from one checkpoint to the next.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "5s", help_heading = "Checkpoints")]
    interval: Duration,
    /// Whether inputs wait for each other's barriers.
    #[arg(long, value_enum, default_value_t = Mode::ExactlyOnce, help_heading = "Checkpoints")]
    mode: Mode,
    /// The least time from the end of a checkpoint to the next one.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "0ms", help_heading = "Checkpoints")]
    min_pause: Duration,
    /// A checkpoint that takes longer is given up.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "10min", help_heading = "Checkpoints")]
    timeout: Duration,
    /// How many checkpoints may be in progress at a time.
    #[arg(long, value_name = "COUNT", default_value_t = 1, help_heading = "Checkpoints")]
    max_concurrent: usize,
    /// How many checkpoints in a row may fail without the job failing.
    #[arg(long, value_name = "COUNT", default_value_t = 0, help_heading = "Checkpoints")]
    tolerable_failures: u32,
    /// What becomes of the checkpoints when the job ends. When it finishes they always go.
    #[arg(long, value_enum, default_value_t = Keep::RetainOnCancellation, help_heading = "Checkpoints")]
    retention: Keep,
    /// How many completed checkpoints are kept.
    #[arg(long, value_name = "COUNT", default_value_t = 1, help_heading = "Checkpoints")]
    num_retained: usize,
    /// State up to so many bytes goes into the _metadata, not to a file of its own.
    #[arg(long, value_name = "BYTES", default_value_t = 20 * 1024, help_heading = "Checkpoints")]
    inline_threshold: usize,
    /// On Ctrl-C, stop with a savepoint in this directory instead of cancelling.
    #[arg(long, value_name = "DIR", help_heading = "Checkpoints")]
    savepoint_dir: Option<String>,
    /// Take settings of remote stores (hdfs://, s3://) from the configuration of Flink in this directory.
    #[arg(long, value_name = "DIR", env = "FLINK_CONF_DIR", hide_env_values = true, help_heading = "Checkpoints")]
    flink_conf: Option<PathBuf>,

    /// The number of subtasks of each operator; a socket is read by one.
    #[arg(long, value_name = "COUNT", default_value_t = 1, help_heading = "Execution")]
    parallelism: usize,
    /// The number of key groups, the highest parallelism there will ever be. Follows from the parallelism otherwise.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=32768), help_heading = "Execution")]
    max_parallelism: Option<u16>,
    /// How long a record may wait for others to be sent with.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "100ms", help_heading = "Execution")]
    buffer_timeout: Duration,
}

const AFTER_HELP: &str = "\
Times are 500ms, 2s, 1min and the like. Ctrl-C cancels the job; a second one ends the process at once. RUST_LOG sets
the level of the log. Exit codes: 0 finished or cancelled; 1 failed for good; 2 usage; 130 ended by a second Ctrl-C.";

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mode {
    ExactlyOnce,
    AtLeastOnce,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Keep {
    /// They stay, however it ends.
    RetainOnCancellation,
    /// They stay only when it fails.
    DeleteOnCancellation,
    /// They go.
    NoExternalizedCheckpoints,
}

impl Args {
    fn checkpoints(&self) -> anyhow::Result<CheckpointConfig> {
        let place = |path: &Option<String>| path.as_deref().map(location).transpose();
        let directory = place(&self.checkpoint_dir)?;
        let config = CheckpointConfig {
            interval: directory.is_some().then_some(self.interval),
            mode: match self.mode {
                Mode::ExactlyOnce => CheckpointMode::ExactlyOnce,
                Mode::AtLeastOnce => CheckpointMode::AtLeastOnce,
            },
            min_pause: self.min_pause,
            timeout: self.timeout,
            max_concurrent: self.max_concurrent,
            tolerable_failures: self.tolerable_failures,
            retention: match self.retention {
                Keep::RetainOnCancellation => Retention::RetainOnCancellation,
                Keep::DeleteOnCancellation => Retention::DeleteOnCancellation,
                Keep::NoExternalizedCheckpoints => Retention::NoExternalized,
            },
            num_retained: self.num_retained,
            in_line_threshold: self.inline_threshold,
            directory,
            savepoint_directory: place(&self.savepoint_dir)?,
        };
        config.validate()?;
        Ok(config)
    }

    /// Local files and remote stores, with settings from where Flink users have them.
    fn storage(&self) -> Arc<dyn WriteStorage> {
        let flink_conf = self.flink_conf.as_deref().filter(|dir| *dir != Path::new(""));
        let settings = Settings::new(ConfigFile::default(), flink_conf, Variables::of_process());
        Arc::new(Stores::new(Connector::new(Arc::new(settings), None)))
    }

    /// The job, as the options describe it.
    ///
    /// # Errors
    /// When they do not go together.
    fn job(&self) -> anyhow::Result<Environment> {
        anyhow::ensure!(self.parallelism > 0, "the parallelism must be at least 1");
        if let Some(most) = self.max_parallelism {
            anyhow::ensure!(
                self.parallelism <= most.into(),
                "the parallelism is higher than the max parallelism {most}"
            );
        }
        let environment = Environment::new();
        let checkpoints = self.checkpoints()?;
        let storage = self.storage();
        environment
            .storage(Arc::clone(&storage))
            .parallelism(self.parallelism)
            .checkpoints(|config| *config = checkpoints)
            .restart_strategy(self.restart_strategy)
            .allow_non_restored_state(self.allow_non_restored_state)
            .buffer_timeout(self.buffer_timeout);
        if let Some(max_parallelism) = self.max_parallelism {
            environment.max_parallelism(max_parallelism);
        }
        if let Some(snapshot) = &self.from_savepoint {
            environment.restore_from(location(snapshot)?);
        }
        let lines = match &self.file {
            Some(path) => environment.text_file(path),
            None => environment.socket_text_stream(&self.host, self.port),
        };
        let counts = wordcount::count(&lines.uid("source"));
        match &self.output {
            Some(directory) => counts.sink_to_files(FileSink::lines(location(directory)?).storage(storage)),
            None => counts.print(),
        }
        .uid("sink");
        Ok(environment)
    }
}

/// A place that was named on the command line; in a `_metadata`, places have to be absolute.
fn location(path: &str) -> anyhow::Result<Location> {
    let place = Location::parse(path)?;
    if place.scheme().is_some() || place.path().starts_with('/') {
        return Ok(place);
    }
    let absolute = std::path::absolute(path).with_context(|| path.to_owned())?;
    Ok(Location::parse(&absolute.display().to_string())?)
}

/// Runs a job until it ends or Ctrl-C ends it.
fn run(job: JobHandle, savepoint: bool) -> anyhow::Result<JobOutcome> {
    let (interrupt, interrupts) = crossbeam_channel::bounded(1);
    let again = AtomicBool::new(false);
    ctrlc::set_handler(move || {
        if again.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        let _ = interrupt.send(());
    })?;
    while !job.is_finished() {
        if interrupts.recv_timeout(Duration::from_millis(20)).is_err() {
            continue;
        }
        if !savepoint {
            job.cancel();
            continue;
        }
        match job.stop_with_savepoint(None, SavepointFormat::Canonical, false) {
            Ok(place) => log::info!("Savepoint completed. Path: {place}"),
            Err(error) => {
                log::error!("The savepoint failed, and the job is cancelled: {error:#}");
                job.cancel();
            }
        }
    }
    job.wait()
}

fn main() -> ExitCode {
    let args = Args::parse();
    flink_log::builder().init();
    let environment = match args.job() {
        Ok(environment) => environment,
        Err(error) => {
            eprintln!("wordcount: {error:#}");
            return ExitCode::from(2);
        }
    };
    match environment.start("word count").and_then(|job| run(job, args.savepoint_dir.is_some())) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wordcount: the job has failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}
