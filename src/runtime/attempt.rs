//! One execution of a job: its tasks with the channels between them, in threads.

use super::backend::StateWriter;
use super::control::Cancellation;
use super::coordinator::{CheckpointMode, TaskId};
use super::event::{Departure, TaskCommand, TaskEvent};
use super::exchange::Canceled;
use super::graph::{Erased, ErasedRouting, Graph, Maker, NodeId, OperatorContext, Partitioning};
use super::plan::{Plan, PlannedTask};
use super::restore::Restored;
use super::task::{TaskBody, TaskContext};
use crossbeam_channel::{Receiver, Sender};
use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// The tasks of an attempt that run.
pub(crate) struct Attempt {
    /// What the tasks report.
    pub events: Receiver<TaskEvent>,
    commands: BTreeMap<TaskId, Sender<TaskCommand>>,
    sources: Vec<TaskId>,
    canceled: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    /// An id of each task's execution, for logs.
    pub executions: BTreeMap<TaskId, String>,
}

/// What the tasks of an attempt are made with.
pub(crate) struct Setting<'a> {
    pub graph: &'a Graph,
    pub plan: &'a Plan,
    pub restored: Option<&'a Restored>,
    pub mode: CheckpointMode,
    pub buffer_timeout: Duration,
}

pub(crate) fn task_id(task: usize, subtask: usize) -> TaskId {
    let number = |value| u32::try_from(value).unwrap_or(u32::MAX);
    TaskId { vertex: number(task), subtask: number(subtask) }
}

impl Attempt {
    /// Starts a thread for every subtask.
    pub fn start(setting: &Setting<'_>) -> anyhow::Result<Self> {
        let (reports, events) = crossbeam_channel::unbounded();
        let canceled = Arc::new(AtomicBool::new(false));
        let mut builder = Builder::new(setting, Cancellation(canceled.clone()));
        let mut attempt = Attempt {
            events,
            commands: BTreeMap::new(),
            sources: Vec::new(),
            canceled: canceled.clone(),
            threads: Vec::new(),
            executions: BTreeMap::new(),
        };
        let mut bodies = Vec::new();
        for (index, task) in setting.plan.tasks.iter().enumerate() {
            for subtask in 0..task.parallelism {
                let id = task_id(index, subtask);
                bodies.push((
                    id,
                    format!("{} ({}/{})", task.name, subtask + 1, task.parallelism),
                    builder.task(task, subtask),
                ));
                if matches!(setting.graph.nodes[task.head.0].maker, Maker::Source(_)) {
                    attempt.sources.push(id);
                }
                attempt.executions.insert(id, crate::storage::random_uuid().replace('-', ""));
            }
        }
        // The threads start when everything is built: a channel with one end only looks like a failed neighbour.
        for (id, name, body) in bodies {
            let (sender, commands) = crossbeam_channel::unbounded();
            attempt.commands.insert(id, sender);
            let (canceled, mode, buffer_timeout) = (canceled.clone(), setting.mode, setting.buffer_timeout);
            let context = TaskContext { id, commands, events: reports.clone(), canceled, mode, buffer_timeout };
            let thread = std::thread::Builder::new().name(name).spawn(move || run(body, context))?;
            attempt.threads.push(thread);
        }
        Ok(attempt)
    }

    /// Tells all tasks.
    pub fn tell(&self, command: &TaskCommand) {
        for sender in self.commands.values() {
            // A task that is gone has said so, or is about to.
            let _ = sender.send(command.clone());
        }
    }

    /// Tells the sources.
    pub fn tell_sources(&self, command: &TaskCommand) {
        for sender in self.sources.iter().filter_map(|id| self.commands.get(id)) {
            let _ = sender.send(command.clone());
        }
    }

    /// All tasks.
    pub fn tasks(&self) -> impl Iterator<Item = TaskId> {
        self.executions.keys().copied()
    }

    /// Stops all tasks. They report their departure.
    pub fn cancel(&mut self) {
        self.canceled.store(true, Ordering::Relaxed);
        // Wakes those that wait for a message.
        self.commands.clear();
    }

    /// Waits for the threads.
    pub fn join(&mut self) {
        for thread in self.threads.drain(..) {
            // A panic was caught in the thread and reported.
            let _ = thread.join();
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.cancel();
        self.join();
    }
}

/// The thread of a task.
fn run(body: Box<dyn TaskBody>, context: TaskContext) {
    let (id, events) = (context.id, context.events.clone());
    // The body goes with the call, so that the neighbours notice before the job does.
    let how = match catch_unwind(AssertUnwindSafe(|| body.run(context))) {
        Ok(Ok(())) => Departure::Finished,
        Ok(Err(error)) if error.is::<Canceled>() => Departure::Canceled,
        Ok(Err(error)) => Departure::Failed(error),
        Err(panic) => Departure::Failed(anyhow::anyhow!("the task panicked: {}", panic_message(panic.as_ref()))),
    };
    let _ = events.send(TaskEvent::Gone { task: id, how });
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&'static str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

/// Puts tasks together.
struct Builder<'a> {
    setting: &'a Setting<'a>,
    /// The sending ends of each edge between tasks: producer, its subtask, and which of its edges.
    senders: BTreeMap<(NodeId, usize, usize), Vec<Erased>>,
    /// The receiving ends of each subtask.
    receivers: BTreeMap<(NodeId, usize), Vec<Erased>>,
    attempt: Arc<str>,
    canceled: Cancellation,
}

impl<'a> Builder<'a> {
    fn new(setting: &'a Setting<'a>, canceled: Cancellation) -> Self {
        let attempt = crate::storage::random_uuid().into();
        let (senders, receivers) = (BTreeMap::new(), BTreeMap::new());
        let mut builder = Builder { setting, senders, receivers, attempt, canceled };
        for task in &setting.plan.tasks {
            for node in &task.nodes {
                builder.connect(task, *node);
            }
        }
        builder
    }

    /// Makes the channels of all edges that leave the task behind an operator.
    fn connect(&mut self, task: &PlannedTask, node: NodeId) {
        let graph = self.setting.graph;
        for (edge, (consumer, partitioning)) in graph.consumers(node).into_iter().enumerate() {
            if task.nodes.contains(&consumer) {
                continue;
            }
            let behind = self.setting.plan.operators[&consumer].parallelism;
            for from in 0..task.parallelism {
                let fixed = matches!(partitioning, Partitioning::Forward) && behind == task.parallelism;
                let targets = if fixed { from..from + 1 } else { 0..behind };
                for to in targets {
                    let (sender, receiver) = graph.nodes[node.0].output.channel();
                    self.senders.entry((node, from, edge)).or_default().push(sender);
                    self.receivers.entry((consumer, to)).or_default().push(receiver);
                }
            }
        }
    }

    fn context(&self, node: NodeId, subtask: usize, writer: &StateWriter) -> OperatorContext {
        let operator = &self.setting.plan.operators[&node];
        OperatorContext {
            operator: operator.id,
            name: operator.name.as_str().into(),
            subtask,
            parallelism: operator.parallelism,
            max_parallelism: operator.max_parallelism,
            restored: self.setting.restored.and_then(|restored| restored.operators.get(&operator.id).cloned()),
            writer: writer.clone(),
            attempt: self.attempt.clone(),
            canceled: self.canceled.clone(),
        }
    }

    fn task(&mut self, task: &PlannedTask, subtask: usize) -> Box<dyn TaskBody> {
        let writer = StateWriter::new(&format!("{} ({}/{})", task.name, subtask + 1, task.parallelism));
        let graph = self.setting.graph;
        if let Maker::Source(make) = &graph.nodes[task.head.0].maker {
            let output = self.output(task, task.head, subtask, &writer);
            return make(self.context(task.head, subtask, &writer), output);
        }
        let head = self.operator(task, task.head, subtask, &writer);
        let receivers = self.receivers.remove(&(task.head, subtask)).unwrap_or_default();
        let producer = graph.producers(task.head).first().copied().unwrap_or(task.head);
        graph.nodes[producer.0].output.input_task(receivers, head)
    }

    fn operator(&mut self, task: &PlannedTask, node: NodeId, subtask: usize, writer: &StateWriter) -> Erased {
        let output = self.output(task, node, subtask, writer);
        match &self.setting.graph.nodes[node.0].maker {
            Maker::Operator(make) => make(self.context(node, subtask, writer), output),
            // A source is the head of its task, and a union is in none.
            Maker::Source(_) | Maker::Union => output,
        }
    }

    /// The `Box<dyn Output>` behind an operator.
    fn output(&mut self, task: &PlannedTask, node: NodeId, subtask: usize, writer: &StateWriter) -> Erased {
        let graph = self.setting.graph;
        let mut outputs = Vec::new();
        for (edge, (consumer, partitioning)) in graph.consumers(node).into_iter().enumerate() {
            if task.nodes.contains(&consumer) {
                outputs.push(self.operator(task, consumer, subtask, writer));
                continue;
            }
            let senders = self.senders.remove(&(node, subtask, edge)).unwrap_or_default();
            let behind = &self.setting.plan.operators[&consumer];
            let routing = match partitioning {
                Partitioning::Forward if behind.parallelism == task.parallelism => ErasedRouting::Fixed,
                Partitioning::Forward | Partitioning::Rebalance => ErasedRouting::InTurn(subtask),
                Partitioning::Broadcast => ErasedRouting::All,
                Partitioning::Hash(make) => ErasedRouting::By(make(behind.max_parallelism, behind.parallelism)),
            };
            outputs.push(graph.nodes[node.0].output.network(senders, routing));
        }
        graph.nodes[node.0].output.fan_out(outputs)
    }
}
