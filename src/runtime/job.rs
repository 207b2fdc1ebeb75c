//! A running job: its handle, and how it begins.

mod driver;
mod io;
mod log_text;

use super::checkpoint;
use super::coordinator::{CheckpointConfig, SavepointFormat, SavepointKind};
use super::graph::Graph;
use super::plan::Plan;
use super::restart::RestartStrategy;
use super::restore;
use crate::model::Location;
use crate::storage::{Storage, WriteStorage};
use anyhow::Context;
use crossbeam_channel::Sender;
use driver::Driver;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// How a job is to run.
#[derive(Clone)]
pub(crate) struct JobSettings {
    pub checkpoints: CheckpointConfig,
    pub restart: RestartStrategy,
    pub storage: Arc<dyn WriteStorage>,
    pub buffer_timeout: Duration,
    pub restore: Option<Location>,
    pub allow_non_restored: bool,
}

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobStatus {
    /// All input was processed, or a savepoint stopped it.
    Finished,
    /// It was canceled.
    Canceled,
}

/// What is left of a job that has ended well.
#[derive(Debug, Clone)]
pub struct JobOutcome {
    /// Its id, which its checkpoints are found under: 32 hexadecimal digits.
    pub job_id: String,
    /// How it ended.
    pub status: JobStatus,
    /// The newest completed checkpoint that was kept.
    pub checkpoint: Option<Location>,
    /// The savepoint that it was stopped with.
    pub savepoint: Option<Location>,
    /// How often it was restarted.
    pub restarts: u32,
}

/// What the user of a job asks for.
pub(crate) enum JobCommand {
    Cancel,
    Savepoint {
        target: Option<Location>,
        kind: SavepointKind,
        format: SavepointFormat,
        answer: Sender<anyhow::Result<Location>>,
    },
}

/// A job that runs in the background. Dropping the handle cancels it.
pub struct JobHandle {
    job_id: String,
    commands: Option<Sender<JobCommand>>,
    thread: Option<JoinHandle<anyhow::Result<JobOutcome>>>,
}

impl JobHandle {
    /// The id of the job: 32 hexadecimal digits.
    pub fn job_id(&self) -> &str {
        &self.job_id
    }

    /// Whether the job has ended.
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Cancels the job; [`JobHandle::wait`] tells when it has ended.
    pub fn cancel(&self) {
        self.send(JobCommand::Cancel);
    }

    /// Takes a savepoint below `target`, or below the directory that is configured for savepoints, and waits for it.
    ///
    /// # Errors
    /// When it cannot be taken, or the job ends meanwhile.
    pub fn savepoint(&self, target: Option<Location>, format: SavepointFormat) -> anyhow::Result<Location> {
        self.request(target, SavepointKind::Savepoint, format)
    }

    /// Takes a savepoint and stops the job with it. With `drain`, all windows and timers fire first, for a job that is
    /// not to go on; without it, it can go on from the savepoint exactly where it was.
    ///
    /// # Errors
    /// When it cannot be taken, or the job ends meanwhile.
    pub fn stop_with_savepoint(
        &self,
        target: Option<Location>,
        format: SavepointFormat,
        drain: bool,
    ) -> anyhow::Result<Location> {
        self.request(target, SavepointKind::StopWithSavepoint { drain }, format)
    }

    fn request(
        &self,
        target: Option<Location>,
        kind: SavepointKind,
        format: SavepointFormat,
    ) -> anyhow::Result<Location> {
        let (answer, answered) = crossbeam_channel::bounded(1);
        self.send(JobCommand::Savepoint { target, kind, format, answer });
        answered.recv().context("the job ended before the savepoint was complete")?
    }

    fn send(&self, command: JobCommand) {
        // A job that has ended takes no commands.
        let _ = self.commands.as_ref().map(|commands| commands.send(command));
    }

    /// Waits for the end of the job.
    ///
    /// # Errors
    /// Why the job failed for good.
    pub fn wait(mut self) -> anyhow::Result<JobOutcome> {
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(outcome)) => outcome,
            Some(Err(_)) | None => anyhow::bail!("the thread that drives the job panicked"),
        }
    }
}

impl Drop for JobHandle {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.cancel();
            let _ = thread.join();
        }
    }
}

/// Starts a job.
pub(crate) fn start(name: &str, graph: Graph, mut plan: Plan, settings: JobSettings) -> anyhow::Result<JobHandle> {
    settings.checkpoints.validate()?;
    if let Err(wrong) = settings.restart.validate() {
        anyhow::bail!("restart strategy {}: {wrong}", settings.restart);
    }
    let job_id = crate::storage::random_uuid().replace('-', "");
    let storage: Arc<dyn Storage> = settings.storage.clone();
    let restored = match &settings.restore {
        Some(path) => {
            log::info!("Starting job {job_id} from savepoint {path}");
            Some(restore::load(&storage, path, &mut plan, settings.allow_non_restored)?)
        }
        None => None,
    };
    let directory =
        settings.checkpoints.directory.as_ref().map(|directory| directory.with_suffix(&format!("/{job_id}")));
    if let Some(directory) = &directory {
        checkpoint::create_job_directories(settings.storage.as_ref(), directory)?;
    }
    let (commands, queue) = crossbeam_channel::unbounded();
    let driver = Driver::new(name, &job_id, graph, plan, settings, directory, restored)?;
    let thread = std::thread::Builder::new().name(format!("job {name}")).spawn(move || driver.run(&queue))?;
    Ok(JobHandle { job_id, commands: Some(commands), thread: Some(thread) })
}
