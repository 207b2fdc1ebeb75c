//! The thread that drives a job: it starts tasks, asks the coordinator what to do when something happens, does it, and
//! restarts what failed.

use super::io::{CheckpointIo, Completion};
use super::log_text::{TaskState, TaskStates, text};
use super::{JobCommand, JobOutcome, JobSettings, JobStatus};
use crate::model::Location;
use crate::runtime::attempt::{Attempt, Setting};
use crate::runtime::checkpoint::{self, TaskState as State};
use crate::runtime::coordinator::{
    Action, Coordinator, FailureReason, SavepointFormat, SavepointKind, SnapshotKind, TaskId, TerminalState,
};
use crate::runtime::event::{Departure, TaskCommand, TaskEvent};
use crate::runtime::graph::Graph;
use crate::runtime::plan::Plan;
use crate::runtime::restart::{Decision, RestartState};
use crate::runtime::restore::{self, Restored};
use crate::runtime::snapshot::{SnapshotLayout, SnapshotOrder, SnapshotTarget, Stop};
use crossbeam_channel::{Receiver, Sender, after, never, select};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Drives one job from its start to its end.
pub(crate) struct Driver {
    name: String,
    job_id: String,
    graph: Graph,
    plan: Plan,
    settings: JobSettings,
    directory: Option<Location>,
    /// What the job was started from.
    origin: Option<Restored>,
    coordinator: Coordinator<State>,
    restarts: RestartState,
    io: CheckpointIo,
    started: Instant,
    /// Directories of snapshots that are pending or complete.
    places: BTreeMap<i64, Location>,
    began: BTreeMap<i64, Duration>,
    finalizing: BTreeSet<i64>,
    /// Where snapshots were given up, to be looked at again when the tasks are gone.
    abandoned: Vec<Location>,
    savepoints: BTreeMap<i64, Sender<anyhow::Result<Location>>>,
    /// The complete savepoint that the job was to stop with.
    stopped_with: Option<Location>,
    restarted: u32,
}

/// Where an attempt stands.
struct Progress {
    attempt: Attempt,
    states: TaskStates,
    ended: BTreeSet<TaskId>,
    gone: BTreeSet<TaskId>,
    running: bool,
    /// The checkpoint that is taken when all input has ended, and when to try again after one that failed.
    last: Option<i64>,
    last_again: Option<Duration>,
    /// The savepoint that the sources have stopped for.
    stopping: Option<i64>,
    /// The tasks were told to finish.
    finishing: bool,
    canceled: bool,
    /// A task has given up because a neighbour was gone, which has to have a reason.
    deserted: bool,
    failure: Option<(Instant, anyhow::Error)>,
}

/// How an attempt ended.
enum End {
    Finished,
    Canceled,
    Failed(Instant, anyhow::Error),
}

impl Driver {
    pub fn new(
        name: &str,
        job_id: &str,
        graph: Graph,
        plan: Plan,
        settings: JobSettings,
        directory: Option<Location>,
        origin: Option<Restored>,
    ) -> anyhow::Result<Self> {
        let tasks = plan.tasks.iter().enumerate();
        let ids = tasks
            .flat_map(|(index, task)| (0..task.parallelism).map(move |s| crate::runtime::attempt::task_id(index, s)));
        let first_id = origin.as_ref().map_or(1, |origin| origin.checkpoint_id.saturating_add(1));
        let coordinator = Coordinator::new(settings.checkpoints.clone(), ids.collect(), first_id);
        Ok(Driver {
            name: name.to_owned(),
            job_id: job_id.to_owned(),
            restarts: RestartState::new(settings.restart),
            io: CheckpointIo::start(settings.storage.clone())?,
            graph,
            plan,
            settings,
            directory,
            origin,
            coordinator,
            started: Instant::now(),
            places: BTreeMap::new(),
            began: BTreeMap::new(),
            finalizing: BTreeSet::new(),
            abandoned: Vec::new(),
            savepoints: BTreeMap::new(),
            stopped_with: None,
            restarted: 0,
        })
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Runs the job to its end.
    pub fn run(mut self, commands: &Receiver<JobCommand>) -> anyhow::Result<JobOutcome> {
        self.job_switched("CREATED", "RUNNING");
        let mut restored = self.origin.take();
        let mut recovery = Ok(());
        loop {
            let end = match recovery.and_then(|()| self.attempt(restored.as_ref(), commands)) {
                Ok(end) => end,
                Err(error) => End::Failed(Instant::now(), error),
            };
            let (failed_at, cause) = match end {
                End::Finished => {
                    self.job_switched("RUNNING", "FINISHED");
                    return Ok(self.end(TerminalState::Finished, JobStatus::Finished));
                }
                End::Canceled => {
                    self.job_switched("CANCELLING", "CANCELED");
                    return Ok(self.end(TerminalState::Canceled, JobStatus::Canceled));
                }
                End::Failed(at, cause) => (at, cause),
            };
            if let Some(savepoint) = &self.stopped_with {
                // To go on from an older checkpoint would repeat output that is committed with the savepoint.
                let cause = cause.context(format!(
                    "the savepoint {savepoint} is complete, but the job failed while it stopped, and output may not be \
                     committed yet: start a job from the savepoint"
                ));
                self.job_switched("RUNNING", "FAILED");
                self.end(TerminalState::Failed, JobStatus::Canceled);
                return Err(cause);
            }
            match self.restarts.on_failure(failed_at - self.started, random_fraction()) {
                Decision::Fail(reason) => {
                    self.job_switched("RUNNING", "FAILED");
                    self.end(TerminalState::Failed, JobStatus::Canceled);
                    return Err(cause.context(reason));
                }
                Decision::RestartAfter(delay) => {
                    self.job_switched("RUNNING", "RESTARTING");
                    // All tasks are gone and nothing is being completed, so this need not wait for the delay to pass.
                    recovery = self.recover(&mut restored);
                    if !self.wait_until(failed_at + delay, commands) {
                        self.job_switched("RESTARTING", "CANCELED");
                        return Ok(self.end(TerminalState::Canceled, JobStatus::Canceled));
                    }
                    self.restarted += 1;
                    self.job_switched("RESTARTING", "RUNNING");
                    self.log_recovery();
                }
            }
        }
    }

    /// Before a restart: what to go on from.
    fn recover(&mut self, restored: &mut Option<Restored>) -> anyhow::Result<()> {
        if let Some(latest) = self.latest()? {
            *restored = Some(latest);
        }
        Ok(())
    }

    /// The newest completed checkpoint of this run, read back.
    fn latest(&mut self) -> anyhow::Result<Option<Restored>> {
        let newest = self.coordinator.completed_checkpoints().next_back();
        let Some(place) = newest.and_then(|id| self.places.get(&id)) else { return Ok(None) };
        let storage: Arc<dyn crate::storage::Storage> = self.settings.storage.clone();
        restore::load(&storage, place, &mut self.plan, self.settings.allow_non_restored).map(Some)
    }

    /// Says what a restarted attempt goes on from.
    fn log_recovery(&self) {
        let job = &self.job_id;
        let newest = self.coordinator.completed_checkpoints().next_back();
        match newest.and_then(|id| self.places.get(&id).map(|place| (id, place))) {
            Some((id, place)) => log::info!("Restoring job {job} from Checkpoint {id} for {job} located at {place}."),
            None => log::info!("No checkpoint found to restore"),
        }
    }

    /// Waits for the time of a restart; says whether it has come.
    fn wait_until(&mut self, time: Instant, commands: &Receiver<JobCommand>) -> bool {
        loop {
            let left = time.saturating_duration_since(Instant::now());
            match commands.recv_timeout(left) {
                Ok(JobCommand::Cancel) | Err(crossbeam_channel::RecvTimeoutError::Disconnected) => return false,
                Ok(JobCommand::Savepoint { answer, .. }) => {
                    let _ = answer.send(Err(anyhow::anyhow!("the job is restarting")));
                }
                Err(crossbeam_channel::RecvTimeoutError::Timeout) => return true,
            }
        }
    }

    /// The job has ended so.
    fn end(&mut self, state: TerminalState, status: JobStatus) -> JobOutcome {
        for id in self.coordinator.on_terminal(state) {
            if let Some(place) = self.places.remove(&id) {
                self.io.remove(place);
            }
        }
        let checkpoint = self.coordinator.completed_checkpoints().next_back();
        let checkpoint = checkpoint.and_then(|id| self.places.get(&id)).cloned();
        if let (None, Some(directory)) = (&checkpoint, &self.directory) {
            self.io.remove_job(directory.clone());
        }
        JobOutcome {
            job_id: self.job_id.clone(),
            status,
            checkpoint,
            savepoint: self.stopped_with.take(),
            restarts: self.restarted,
        }
    }

    fn job_switched(&self, from: &str, to: &str) {
        log::info!("Job {} ({}) switched from state {from} to {to}.", self.name, self.job_id);
    }

    /// Runs all tasks once.
    fn attempt(&mut self, restored: Option<&Restored>, commands: &Receiver<JobCommand>) -> anyhow::Result<End> {
        let (mode, buffer_timeout) = (self.settings.checkpoints.mode, self.settings.buffer_timeout);
        let setting = Setting { graph: &self.graph, plan: &self.plan, restored, mode, buffer_timeout };
        let attempt = Attempt::start(&setting)?;
        let mut states = TaskStates::new(&self.plan, &attempt.executions);
        attempt.tasks().for_each(|task| states.switch(task, TaskState::Deploying, None));
        let mut progress = Progress {
            attempt,
            states,
            ended: BTreeSet::new(),
            gone: BTreeSet::new(),
            running: false,
            last: None,
            last_again: None,
            stopping: None,
            finishing: false,
            canceled: false,
            deserted: false,
            failure: None,
        };
        while progress.gone.len() < progress.attempt.executions.len() {
            self.step(&mut progress, commands);
        }
        progress.attempt.join();
        self.settle(&mut progress);
        Ok(match progress.failure {
            _ if progress.canceled => End::Canceled,
            Some((at, cause)) => End::Failed(at, cause),
            None if progress.deserted => End::Failed(Instant::now(), anyhow::anyhow!("a task lost its neighbour")),
            None => End::Finished,
        })
    }

    /// Waits for something to happen, and acts on it.
    fn step(&mut self, progress: &mut Progress, commands: &Receiver<JobCommand>) {
        let now = self.now();
        let wakeup = match self.coordinator.next_wakeup().into_iter().chain(progress.last_again).min() {
            Some(at) if progress.running => after(at.saturating_sub(now)),
            _ => never(),
        };
        let events = progress.attempt.events.clone();
        let completions = self.io.completions.clone();
        let actions = select! {
            recv(events) -> event => match event {
                Ok(event) => self.on_event(progress, event),
                Err(_) => Vec::new(),
            },
            recv(completions) -> done => match done {
                Ok(done) => self.on_completion(done),
                Err(_) => Vec::new(),
            },
            recv(commands) -> command => match command {
                Ok(command) => self.on_command(progress, command),
                // Nobody holds the handle any more.
                Err(_) => self.on_command(progress, JobCommand::Cancel),
            },
            recv(wakeup) -> _ => self.coordinator.tick(self.now()),
        };
        self.act(progress, actions);
        self.finish_if_ended(progress);
    }

    fn on_event(&mut self, progress: &mut Progress, event: TaskEvent) -> Vec<Action<State>> {
        match event {
            TaskEvent::Initializing(task) => progress.states.switch(task, TaskState::Initializing, None),
            TaskEvent::Running(task) => {
                progress.states.switch(task, TaskState::Running, None);
                let tasks = progress.attempt.executions.len();
                if !progress.running && progress.failure.is_none() && progress.states.count(TaskState::Running) == tasks
                {
                    progress.running = true;
                    progress.attempt.tell_sources(&TaskCommand::Start);
                    self.coordinator.start(self.now());
                }
            }
            TaskEvent::Ended(task) => {
                progress.ended.insert(task);
            }
            TaskEvent::Acknowledged { task, checkpoint, states } => {
                return self.coordinator.acknowledge(self.now(), checkpoint, task, states);
            }
            TaskEvent::Declined { task, checkpoint, reason } => {
                log::warn!("Checkpoint {checkpoint} was declined by {}: {}", progress.states.name(task), text(&reason));
                let reason = FailureReason::Asynchronous(format!("{reason:#}"));
                return self.coordinator.decline(self.now(), checkpoint, task, reason);
            }
            TaskEvent::Gone { task, how } => self.on_departure(progress, task, how),
        }
        Vec::new()
    }

    fn on_departure(&mut self, progress: &mut Progress, task: TaskId, how: Departure) {
        progress.gone.insert(task);
        match how {
            Departure::Finished => progress.states.switch(task, TaskState::Finished, None),
            Departure::Canceled => {
                progress.deserted = true;
                if progress.states.of(task) != TaskState::Canceling {
                    progress.states.switch(task, TaskState::Canceling, None);
                }
                progress.states.switch(task, TaskState::Canceled, None);
            }
            Departure::Failed(cause) => {
                progress.states.switch(task, TaskState::Failed, Some(&cause));
                self.fail(progress, cause);
            }
        }
    }

    /// The attempt fails; what is left of it is canceled.
    fn fail(&mut self, progress: &mut Progress, cause: anyhow::Error) {
        if progress.failure.is_none() {
            progress.failure = Some((Instant::now(), cause));
            self.cancel_tasks(progress);
        }
    }

    fn cancel_tasks(&mut self, progress: &mut Progress) {
        progress.running = false;
        for task in progress.attempt.tasks().filter(|task| !progress.gone.contains(task)).collect::<Vec<_>>() {
            if !matches!(progress.states.of(task), TaskState::Canceling | TaskState::Failed) {
                progress.states.switch(task, TaskState::Canceling, None);
            }
        }
        let actions = self.coordinator.stop(self.now());
        self.act(progress, actions);
        progress.attempt.cancel();
    }

    fn on_command(&mut self, progress: &mut Progress, command: JobCommand) -> Vec<Action<State>> {
        match command {
            JobCommand::Cancel => {
                if !std::mem::replace(&mut progress.canceled, true) {
                    self.job_switched("RUNNING", "CANCELLING");
                    if progress.failure.is_none() {
                        self.cancel_tasks(progress);
                    }
                }
                Vec::new()
            }
            JobCommand::Savepoint { target, kind, format, answer } => {
                if progress.finishing || progress.last.is_some() || progress.stopping.is_some() {
                    let _ = answer.send(Err(anyhow::anyhow!("the job is at its end")));
                    return Vec::new();
                }
                let actions = self.coordinator.request_savepoint(self.now(), target, kind, format);
                for action in &actions {
                    match action {
                        Action::Trigger { id, .. } => {
                            self.savepoints.insert(*id, answer.clone());
                        }
                        Action::RejectSavepoint { reason } => {
                            let _ = answer.send(Err(anyhow::anyhow!("{reason}")));
                        }
                        _ => {}
                    }
                }
                actions
            }
        }
    }

    fn on_completion(&mut self, done: Completion) -> Vec<Action<State>> {
        self.finalizing.remove(&done.id);
        let now = self.now();
        match done.result {
            Ok(size) => {
                let duration = now.saturating_sub(self.began.remove(&done.id).unwrap_or(now)).as_millis();
                log::info!(
                    "Completed checkpoint {} for job {} ({size} bytes of metadata, checkpointDuration={duration} ms).",
                    done.id,
                    self.job_id
                );
                let place = self.places.get(&done.id).cloned();
                if let (Some(answer), Some(place)) = (self.savepoints.remove(&done.id), place) {
                    let _ = answer.send(Ok(place));
                }
                self.coordinator.completed(now, done.id)
            }
            Err(error) => self.coordinator.finalization_failed(now, done.id, error.to_string()),
        }
    }

    fn act(&mut self, progress: &mut Progress, actions: Vec<Action<State>>) {
        for action in actions {
            match action {
                Action::Trigger { id, kind } => self.trigger(progress, id, &kind),
                Action::Finalize { id, kind, acks } => self.finalize(progress, id, &kind, &acks),
                Action::NotifyComplete { id } => {
                    progress.attempt.tell(&TaskCommand::Completed(id));
                    if progress.stopping == Some(id) {
                        self.stopped_with = self.places.get(&id).cloned();
                    }
                    if [progress.last, progress.stopping].contains(&Some(id)) {
                        self.finish(progress);
                    }
                }
                Action::NotifyAborted { id, reason } => self.aborted(progress, id, &reason),
                Action::Discard { id, .. } => self.discard(id),
                // Its files lie in the directory of a snapshot that was given up.
                Action::DiscardLate { id, .. } => self.discard(id),
                Action::Subsume { id } => {
                    if let Some(place) = self.places.remove(&id) {
                        self.io.remove(place);
                    }
                }
                Action::RejectSavepoint { .. } => {}
                Action::FailJob { reason } => self.fail(progress, anyhow::anyhow!(reason)),
            }
        }
    }

    fn trigger(&mut self, progress: &mut Progress, id: i64, kind: &SnapshotKind) {
        let directory = match (kind, &self.directory) {
            (SnapshotKind::Savepoint { target, .. }, _) => checkpoint::savepoint_directory(target, &self.job_id),
            (SnapshotKind::Checkpoint, Some(directory)) => checkpoint::checkpoint_directory(directory, id),
            // The configuration was checked: periodic checkpoints have a directory.
            (SnapshotKind::Checkpoint, None) => return,
        };
        log::info!("Triggering checkpoint {id} (type={}) for job {}.", type_name(kind), self.job_id);
        self.began.insert(id, self.now());
        self.places.insert(id, directory.clone());
        if let Err(error) = self.settings.storage.create_dirs(&directory) {
            let task = progress.attempt.tasks().next();
            let reason = FailureReason::Io(error.to_string());
            let actions = task.map(|task| self.coordinator.decline(self.now(), id, task, reason));
            return self.act(progress, actions.unwrap_or_default());
        }
        let (layout, stop) = match kind {
            SnapshotKind::Savepoint { kind, format, .. } => (
                match format {
                    SavepointFormat::Canonical => SnapshotLayout::Canonical,
                    SavepointFormat::Native => SnapshotLayout::Heap,
                },
                match kind {
                    SavepointKind::Savepoint => None,
                    SavepointKind::StopWithSavepoint { drain: true } => Some(Stop::Drain),
                    SavepointKind::StopWithSavepoint { drain: false } => Some(Stop::Suspend),
                },
            ),
            SnapshotKind::Checkpoint => (SnapshotLayout::Heap, None),
        };
        let target = SnapshotTarget {
            storage: self.settings.storage.clone(),
            directory,
            in_line: self.settings.checkpoints.in_line_threshold,
        };
        progress.stopping = stop.map(|_| id).or(progress.stopping);
        progress.attempt.tell_sources(&TaskCommand::Trigger(Arc::new(SnapshotOrder { id, layout, target, stop })));
    }

    fn finalize(&mut self, progress: &mut Progress, id: i64, kind: &SnapshotKind, acks: &[(TaskId, State)]) {
        let Some(directory) = self.places.get(&id).cloned() else { return };
        match checkpoint::metadata(&self.plan, id, kind, self.settings.checkpoints.retention, acks) {
            Ok(metadata) => {
                self.finalizing.insert(id);
                self.io.complete(id, directory, metadata);
            }
            Err(error) => {
                let actions = self.coordinator.finalization_failed(self.now(), id, error.to_string());
                self.act(progress, actions);
            }
        }
    }

    fn aborted(&mut self, progress: &mut Progress, id: i64, reason: &FailureReason) {
        log::info!("Checkpoint {id} of job {} was given up: {reason}", self.job_id);
        progress.attempt.tell(&TaskCommand::Aborted(id));
        self.began.remove(&id);
        if let Some(answer) = self.savepoints.remove(&id) {
            let _ = answer.send(Err(anyhow::anyhow!("{reason}")));
        }
        if progress.stopping == Some(id) && !progress.canceled {
            // The sources have stopped and do not go on by themselves.
            self.fail(progress, anyhow::anyhow!("the savepoint that was to stop the job failed: {reason}"));
        }
        if progress.last == Some(id) {
            progress.last = None;
            let pause = self.settings.checkpoints.interval.unwrap_or_default();
            progress.last_again = Some(self.now().saturating_add(pause));
        }
    }

    /// Removes what there is of a snapshot that was given up, now and again when the tasks that may still write to it
    /// are gone.
    fn discard(&mut self, id: i64) {
        if let Some(place) = self.places.remove(&id) {
            self.abandoned.push(place.clone());
            self.io.remove(place);
        } else if let Some(place) = self.abandoned.iter().find(|place| place.name() == format!("chk-{id}")) {
            self.io.remove(place.clone());
        }
    }

    /// When all input has passed: one more checkpoint, if output is committed with checkpoints, then the end.
    fn finish_if_ended(&mut self, progress: &mut Progress) {
        let all = progress.attempt.executions.len();
        let over = progress.finishing || progress.last.is_some() || progress.canceled || progress.failure.is_some();
        let waits = progress.last_again.is_some_and(|at| at > self.now());
        if over || waits || progress.ended.len() < all || !progress.running || progress.stopping.is_some() {
            return;
        }
        progress.last_again = None;
        let commits = self.graph.nodes.iter().any(|node| node.commits);
        if commits && self.settings.checkpoints.interval.is_some() {
            let (id, actions) = self.coordinator.trigger_last(self.now());
            progress.last = Some(id);
            self.act(progress, actions);
        } else {
            self.finish(progress);
        }
    }

    fn finish(&mut self, progress: &mut Progress) {
        if !progress.finishing {
            progress.finishing = true;
            progress.running = false;
            let actions = self.coordinator.stop(self.now());
            self.act(progress, actions);
            progress.attempt.tell(&TaskCommand::Finish);
        }
    }

    /// After the tasks are gone: what they reported last, and the snapshots whose `_metadata` is being written.
    fn settle(&mut self, progress: &mut Progress) {
        let actions = self.coordinator.stop(self.now());
        self.act(progress, actions);
        while let Ok(event) = progress.attempt.events.try_recv() {
            let actions = self.on_event(progress, event);
            self.act(progress, actions);
        }
        while !self.finalizing.is_empty() {
            let Ok(done) = self.io.completions.recv() else { break };
            let actions = self.on_completion(done);
            self.act(progress, actions);
        }
        for place in std::mem::take(&mut self.abandoned) {
            self.io.remove(place);
        }
        for (_, answer) in std::mem::take(&mut self.savepoints) {
            let _ = answer.send(Err(anyhow::anyhow!("the job ended before the savepoint was complete")));
        }
    }
}

fn type_name(kind: &SnapshotKind) -> &'static str {
    match kind {
        SnapshotKind::Checkpoint => "CHECKPOINT",
        SnapshotKind::Savepoint { kind: SavepointKind::Savepoint, .. } => "SAVEPOINT",
        SnapshotKind::Savepoint { kind: SavepointKind::StopWithSavepoint { drain: false }, .. } => "SAVEPOINT_SUSPEND",
        SnapshotKind::Savepoint { kind: SavepointKind::StopWithSavepoint { drain: true }, .. } => "SAVEPOINT_TERMINATE",
    }
}

/// A number in [0, 1), for the jitter of restarts.
fn random_fraction() -> f64 {
    use std::hash::BuildHasher;
    let random = std::hash::RandomState::new().hash_one(0);
    (random >> 11) as f64 / (1_u64 << 53) as f64
}
