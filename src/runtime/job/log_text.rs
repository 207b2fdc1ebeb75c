//! What a job logs: transitions of tasks and of the job, in the words of Flink's own log, which people search for.

use crate::runtime::coordinator::TaskId;
use crate::runtime::plan::Plan;
use std::collections::BTreeMap;

/// The states of a task (`ExecutionState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TaskState {
    Created,
    Deploying,
    Initializing,
    Running,
    Finished,
    Canceling,
    Canceled,
    Failed,
}

impl TaskState {
    fn name(self) -> &'static str {
        match self {
            TaskState::Created => "CREATED",
            TaskState::Deploying => "DEPLOYING",
            TaskState::Initializing => "INITIALIZING",
            TaskState::Running => "RUNNING",
            TaskState::Finished => "FINISHED",
            TaskState::Canceling => "CANCELING",
            TaskState::Canceled => "CANCELED",
            TaskState::Failed => "FAILED",
        }
    }
}

/// The states of the tasks of an attempt, logged as they change.
pub(super) struct TaskStates {
    states: BTreeMap<TaskId, (String, TaskState)>,
}

impl TaskStates {
    /// All tasks created. `executions` are the ids that Flink's log has behind a task's name.
    pub fn new(plan: &Plan, executions: &BTreeMap<TaskId, String>) -> Self {
        let name = |id: &TaskId, execution: &str| {
            let task = usize::try_from(id.vertex).ok().and_then(|index| plan.tasks.get(index));
            let (name, parallelism) = task.map_or(("", 0), |task| (task.name.as_str(), task.parallelism));
            format!("{name} ({}/{parallelism}) ({execution})", u64::from(id.subtask) + 1)
        };
        let entry = |(id, execution): (&TaskId, &String)| (*id, (name(id, execution), TaskState::Created));
        TaskStates { states: executions.iter().map(entry).collect() }
    }

    /// A task is in another state now.
    pub fn switch(&mut self, task: TaskId, to: TaskState, cause: Option<&anyhow::Error>) {
        let Some((name, state)) = self.states.get_mut(&task) else { return };
        let from = std::mem::replace(state, to);
        match cause {
            None => log::info!("{name} switched from {} to {}.", from.name(), to.name()),
            Some(cause) => {
                log::warn!("{name} switched from {} to {} with failure cause: {}", from.name(), to.name(), text(cause))
            }
        }
    }

    /// The state of a task.
    pub fn of(&self, task: TaskId) -> TaskState {
        self.states.get(&task).map_or(TaskState::Created, |(_, state)| *state)
    }

    /// The name of a task with the number of the subtask.
    pub fn name(&self, task: TaskId) -> &str {
        self.states.get(&task).map_or("", |(name, _)| name)
    }

    /// How many tasks are in this state.
    pub fn count(&self, wanted: TaskState) -> usize {
        self.states.values().filter(|(_, state)| *state == wanted).count()
    }
}

/// An error with its causes, as Java prints them.
pub(super) fn text(error: &anyhow::Error) -> String {
    let mut causes = error.chain().map(ToString::to_string);
    let first = causes.next().unwrap_or_default();
    causes.fold(first, |text, cause| text + "\nCaused by: " + &cause)
}
