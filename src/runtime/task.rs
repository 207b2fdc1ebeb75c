//! The loop of a task: one thread for each subtask of a chain of operators.
//!
//! A task does one thing at a time: it takes a batch of records, obeys a command, or spends a slice on a snapshot. It
//! waits only where nothing is to be done, or where the task behind it is slower.

use super::barrier::{Alignment, BarrierAligner};
use super::batch::Batch;
use super::control::Control;
use super::coordinator::CheckpointMode;
use super::event::{TaskCommand, TaskEvent, TaskId};
use super::exchange::{Canceled, Message, Receivers};
use super::record::{Data, Flow, MAX_WATERMARK, Output};
use super::snapshot::{Slice, SnapshotOrder, Stop, TaskSnapshot};
use super::sources::{Emitter, Poll, SourceOperator};
use crossbeam_channel::{Receiver, Select, Sender, TryRecvError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How often operators are told the time.
const TICK: Duration = Duration::from_millis(10);

/// The longest time that a task spends on a snapshot before it looks for records.
const LONGEST_SLICE: Duration = Duration::from_micros(300);

/// The shortest slice that is worth its looks at the clock.
const SHORTEST_SLICE: Duration = Duration::from_micros(50);

/// How long a task without records waits for some between two slices.
const IDLE_CAPTURE: Duration = Duration::from_micros(600);

/// A task that had no records for so long is calm: it captures in longer slices with less between them.
const CALM_AFTER: Duration = Duration::from_millis(20);
const CALM_SLICE: Duration = Duration::from_millis(1);
const CALM_CAPTURE: Duration = Duration::from_micros(100);

/// How long a task without work leaves a writer alone that is behind; it takes longer to write what is on its way.
const WRITER_HEAD_START: Duration = Duration::from_micros(500);

/// What a task knows of the job around it.
pub(crate) struct TaskContext {
    pub id: TaskId,
    pub commands: Receiver<TaskCommand>,
    pub events: Sender<TaskEvent>,
    pub canceled: Arc<AtomicBool>,
    pub mode: CheckpointMode,
    /// How long records may wait for a batch to fill.
    pub buffer_timeout: Duration,
}

/// What runs in the thread of a task.
pub(crate) trait TaskBody: Send {
    /// Runs until the job has finished; an error fails the task.
    fn run(self: Box<Self>, context: TaskContext) -> Flow;
}

/// What both kinds of task share: commands, the clock and snapshots.
struct Pace {
    context: TaskContext,
    next_tick: Instant,
    next_flush: Instant,
    worked_since: Instant,
    had_records: bool,
    last_records: Instant,
    calm: bool,
    capturing: bool,
    /// The writer has to catch up before more can be captured.
    blocked: bool,
    /// Whether timers of processing time fire: not behind the end of the input or the savepoint that the job stops
    /// with, since no checkpoint would know of it.
    timers: bool,
}

/// Whether a command ended the task.
#[derive(PartialEq, Eq)]
enum Next {
    GoOn,
    Finish,
}

impl Pace {
    fn new(context: TaskContext) -> Self {
        let now = Instant::now();
        Pace {
            context,
            next_tick: now,
            next_flush: now,
            worked_since: now,
            had_records: false,
            last_records: now,
            calm: false,
            capturing: false,
            blocked: false,
            timers: true,
        }
    }

    fn open<T>(&self, output: &mut dyn Output<T>) -> Flow {
        self.tell(TaskEvent::Initializing(self.context.id));
        output.control(&mut Control::Open)?;
        self.tell(TaskEvent::Running(self.context.id));
        Ok(())
    }

    fn tell(&self, event: TaskEvent) {
        // Nobody listens any more when the job is being given up.
        let _ = self.context.events.send(event);
    }

    /// The next command, if there is one.
    fn next_command(&self) -> anyhow::Result<Option<TaskCommand>> {
        match self.context.commands.try_recv() {
            Ok(command) => Ok(Some(command)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(Canceled.into()),
        }
    }

    fn command<T>(&self, output: &mut dyn Output<T>, command: TaskCommand) -> anyhow::Result<Next> {
        match command {
            TaskCommand::Completed(id) => output.control(&mut Control::Completed(id))?,
            TaskCommand::Aborted(id) => output.control(&mut Control::Aborted(id))?,
            TaskCommand::Finish => {
                output.control(&mut Control::Finish)?;
                return Ok(Next::Finish);
            }
            TaskCommand::Start | TaskCommand::Trigger(_) => {}
        }
        Ok(Next::GoOn)
    }

    /// Takes the part of a task in a checkpoint; `source` adds that of a source.
    fn snapshot<T>(
        &mut self,
        output: &mut dyn Output<T>,
        order: Arc<SnapshotOrder>,
        source: impl FnOnce(&Arc<TaskSnapshot>) -> Flow,
    ) -> Flow {
        self.timers &= order.stop.is_none();
        let snapshot = Arc::new(TaskSnapshot::new(order, self.context.id, self.context.events.clone()));
        source(&snapshot)?;
        output.control(&mut Control::Barrier(&snapshot))?;
        snapshot.barrier_passed();
        self.capturing = true;
        Ok(())
    }

    /// No record is to come: the task emits what it still holds, and says so.
    fn end_of_input<T>(&mut self, output: &mut dyn Output<T>) -> Flow {
        self.timers = false;
        output.control(&mut Control::EndOfInput)?;
        self.tell(TaskEvent::Ended(self.context.id));
        Ok(())
    }

    /// Between batches: the clock, buffers that waited long enough, and a slice for snapshots as long as the work
    /// since the last one took, so that records get half of the time.
    fn between<T>(&mut self, output: &mut dyn Output<T>) -> Flow {
        if self.context.canceled.load(Ordering::Relaxed) {
            return Err(Canceled.into());
        }
        let now = Instant::now();
        if std::mem::take(&mut self.had_records) {
            self.last_records = now;
        }
        self.calm = now - self.last_records > CALM_AFTER;
        if now >= self.next_tick {
            self.next_tick = now + TICK;
            if self.timers {
                output.control(&mut Control::ProcessingTime(wall_clock()))?;
            }
            if now >= self.next_flush {
                self.next_flush = now + self.context.buffer_timeout;
                output.control(&mut Control::Flush)?;
            }
        }
        match self.capturing {
            true if self.calm => self.capture(output, CALM_SLICE),
            true => self.capture(output, (now - self.worked_since).clamp(SHORTEST_SLICE, LONGEST_SLICE)),
            false => {
                self.worked_since = now;
                Ok(())
            }
        }
    }

    fn capture<T>(&mut self, output: &mut dyn Output<T>, duration: Duration) -> Flow {
        let mut slice = Slice::lasting(duration);
        output.control(&mut Control::Capture(&mut slice))?;
        (self.capturing, self.blocked) = (slice.unfinished, slice.blocked);
        self.worked_since = Instant::now();
        Ok(())
    }

    /// How long a task without work may sleep.
    fn patience(&self) -> Duration {
        match (self.capturing, self.blocked) {
            // Longer than a slice, so that tasks that have nothing else to do leave most of the cores to those that have:
            // a task that wants a core may otherwise wait for it for as long as the system lets another keep it.
            (true, false) => {
                if self.calm {
                    CALM_CAPTURE
                } else {
                    IDLE_CAPTURE
                }
            }
            (true, true) => WRITER_HEAD_START,
            (false, _) => self.next_tick.saturating_duration_since(Instant::now()),
        }
    }
}

/// Milliseconds since the epoch.
pub(crate) fn wall_clock() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A task whose head is a source.
pub(crate) struct SourceTask<T> {
    pub source: Box<dyn SourceOperator<T>>,
    pub output: Box<dyn Output<T>>,
}

impl<T: Data> TaskBody for SourceTask<T> {
    fn run(mut self: Box<Self>, context: TaskContext) -> Flow {
        let output = self.output.as_mut();
        let mut pace = Pace::new(context);
        self.source.open()?;
        pace.open(output)?;
        let (mut reading, mut batch) = (false, Batch::default());
        loop {
            while let Some(command) = pace.next_command()? {
                reading |= matches!(command, TaskCommand::Start);
                if let TaskCommand::Trigger(order) = &command {
                    if reading && order.stop == Some(Stop::Drain) {
                        end_of_source(&mut pace, output)?;
                    }
                    reading &= order.stop.is_none();
                    pace.snapshot(output, order.clone(), |snapshot| self.source.snapshot(snapshot))?;
                }
                if pace.command(output, command)? == Next::Finish {
                    return Ok(());
                }
            }
            pace.between(output)?;
            if !reading {
                let mut waiting = Select::new();
                waiting.recv(&pace.context.commands);
                let _ = waiting.ready_timeout(pace.patience());
                continue;
            }
            match self.source.poll(&mut Emitter::new(&mut batch, output))? {
                Poll::More => {}
                Poll::Idle => output.control(&mut Control::Flush)?,
                Poll::Finished => {
                    reading = false;
                    end_of_source(&mut pace, output)?;
                }
            }
        }
    }
}

/// The end of a source: no record with any timestamp is to come.
fn end_of_source<T>(pace: &mut Pace, output: &mut dyn Output<T>) -> Flow {
    output.control(&mut Control::Watermark(MAX_WATERMARK))?;
    pace.end_of_input(output)
}

/// A task that reads from other tasks.
pub(crate) struct InputTask<T> {
    pub inputs: Receivers<T>,
    pub output: Box<dyn Output<T>>,
}

/// What has come over the channels of a task so far.
struct Gate {
    aligner: BarrierAligner,
    watermarks: Vec<i64>,
    watermark: i64,
    open: usize,
    next: usize,
    /// The task in front is gone: it has finished a little earlier, or failed, in which case the job says so.
    gone: Vec<bool>,
}

impl<T: Data> TaskBody for InputTask<T> {
    fn run(self: Box<Self>, context: TaskContext) -> Flow {
        let InputTask { inputs, mut output } = *self;
        let output = output.as_mut();
        let mut gate = Gate {
            aligner: BarrierAligner::new(inputs.len(), context.mode),
            watermarks: vec![i64::MIN; inputs.len()],
            watermark: i64::MIN,
            open: inputs.len(),
            next: 0,
            gone: vec![false; inputs.len()],
        };
        let mut pace = Pace::new(context);
        pace.open(output)?;
        loop {
            while let Some(command) = pace.next_command()? {
                if let TaskCommand::Aborted(id) = command {
                    gate.aligner.on_abort(id);
                }
                if pace.command(output, command)? == Next::Finish {
                    return Ok(());
                }
            }
            pace.between(output)?;
            match gate.take(&inputs) {
                Some((channel, message)) => gate.on_message(&mut pace, output, channel, message)?,
                None => {
                    output.control(&mut Control::Flush)?;
                    gate.wait(&inputs, &pace);
                }
            }
        }
    }
}

impl Gate {
    /// The next message of any channel that is not blocked, each in its turn.
    fn take<T>(&mut self, inputs: &Receivers<T>) -> Option<(usize, Message<T>)> {
        for step in 0..inputs.len() {
            let channel = (self.next + step) % inputs.len();
            if self.gone[channel] || self.aligner.is_blocked(channel) {
                continue;
            }
            match inputs[channel].try_recv() {
                Ok(message) => {
                    self.next = channel + 1;
                    return Some((channel, message));
                }
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => self.gone[channel] = true,
            }
        }
        None
    }

    /// Waits for a message or a command.
    fn wait<T>(&self, inputs: &Receivers<T>, pace: &Pace) {
        let patience = pace.patience();
        let mut waiting = Select::new();
        waiting.recv(&pace.context.commands);
        for (channel, input) in inputs.iter().enumerate() {
            if !self.gone[channel] && !self.aligner.is_blocked(channel) {
                waiting.recv(input);
            }
        }
        let _ = waiting.ready_timeout(patience);
    }

    fn on_message<T: Data>(
        &mut self,
        pace: &mut Pace,
        output: &mut dyn Output<T>,
        channel: usize,
        message: Message<T>,
    ) -> Flow {
        match message {
            Message::Records(mut batch) => {
                pace.had_records = true;
                output.collect_batch(&mut batch)?;
            }
            Message::Watermark(watermark) => {
                self.watermarks[channel] = watermark;
                let lowest = self.watermarks.iter().copied().min().unwrap_or(i64::MIN);
                if lowest > self.watermark {
                    self.watermark = lowest;
                    output.control(&mut Control::Watermark(lowest))?;
                }
            }
            Message::Barrier(order) => {
                if self.aligner.on_barrier(channel, order.id) == Alignment::Complete {
                    pace.snapshot(output, order, |_| Ok(()))?;
                }
            }
            Message::EndOfInput => {
                self.open -= 1;
                if self.open == 0 {
                    pace.end_of_input(output)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::record::Nowhere;

    #[test]
    fn a_task_whose_neighbour_has_finished_before_it_goes_on_until_it_is_told_to_finish() {
        let (to_task, commands) = crossbeam_channel::unbounded();
        let (events, reports) = crossbeam_channel::unbounded();
        let (records, input) = crossbeam_channel::bounded::<Message<i64>>(8);
        let context = TaskContext {
            id: TaskId { vertex: 1, subtask: 0 },
            commands,
            events,
            canceled: Arc::default(),
            mode: CheckpointMode::ExactlyOnce,
            buffer_timeout: Duration::from_millis(1),
        };
        let task = Box::new(InputTask { inputs: vec![input], output: Box::new(Nowhere) });
        let thread = std::thread::spawn(move || task.run(context));
        assert!(records.send(Message::EndOfInput).is_ok());
        drop(records);
        while !matches!(reports.recv(), Ok(TaskEvent::Ended(_))) {}
        std::thread::sleep(Duration::from_millis(30));
        assert!(!thread.is_finished(), "it has output to commit, perhaps");
        assert!(to_task.send(TaskCommand::Finish).is_ok());
        assert!(thread.join().expect("no panic").is_ok());
    }
}
