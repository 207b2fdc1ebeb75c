//! A checkpoint as one task sees it: the parts its operators contribute, and the streams that carry their bytes to
//! storage without the task waiting for them.
//!
//! A barrier makes a [`TaskSnapshot`]. Every stateful operator opens a part of it at once, which takes no time that
//! grows with the state, and completes it later: keyed state is captured by the task itself in short [`Slice`]s between
//! records, and a [`StateWriter`] thread writes and syncs the bytes. With the last part the task acknowledges.

use super::event::{TaskEvent, TaskId};
use crate::model::{Location, OperatorId, StreamHandle, SubtaskState, handle::ByteStream};
use crate::storage::{FileWriter, StorageError, WriteStorage};
use crate::wire::JavaStr;
use crossbeam_channel::{Receiver, Sender};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How keyed state is laid out in a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SnapshotLayout {
    /// As the heap state backend writes its checkpoints and native savepoints.
    Heap,
    /// The format of savepoints that every state backend reads.
    Canonical,
}

/// What the job asks its tasks for: a checkpoint or savepoint of a number.
pub(crate) struct SnapshotOrder {
    /// The id of the checkpoint.
    pub id: i64,
    /// The layout of its keyed state.
    pub layout: SnapshotLayout,
    /// Where its files go.
    pub target: SnapshotTarget,
    /// Whether sources stop behind the barrier.
    pub stop: Option<Stop>,
}

/// How sources stop for a savepoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// As if the input had ended: windows and timers fire before the savepoint (`--drain`).
    Drain,
    /// At once; the job is to go on from the savepoint.
    Suspend,
}

/// The files of a snapshot: where they go, and when a state is small enough to stay in the `_metadata`.
#[derive(Clone)]
pub(crate) struct SnapshotTarget {
    /// The store that takes them.
    pub storage: Arc<dyn WriteStorage>,
    /// The exclusive directory of the snapshot.
    pub directory: Location,
    /// The largest state in bytes that is kept in line.
    pub in_line: usize,
}

impl SnapshotTarget {
    fn new_file(&self) -> (String, Location) {
        let name = crate::storage::random_uuid();
        let place = self.directory.with_suffix(&format!("/{name}"));
        (name, place)
    }

    /// Removes the files of a state that no checkpoint will have; best effort, since files too many harm nobody.
    pub fn discard(&self, state: &SubtaskState<'_>) {
        let keyed = state.keyed_handles().filter_map(|(_, handle)| match handle {
            crate::model::KeyedHandle::KeyGroups(groups) => Some(&groups.stream),
            _ => None,
        });
        for stream in keyed.chain(state.operator_handles().map(|(_, handle)| &handle.stream)) {
            if let StreamHandle::Relative { path, .. } = stream
                && let Err(error) = self.storage.delete(&self.directory.with_suffix(&format!("/{}", path.to_str())))
            {
                log::warn!("Could not remove a state file of a discarded checkpoint: {error}");
            }
        }
    }
}

/// A checkpoint in the hands of one task.
pub(crate) struct TaskSnapshot {
    /// What was asked for.
    pub order: Arc<SnapshotOrder>,
    task: TaskId,
    events: Sender<TaskEvent>,
    parts: Mutex<Parts>,
}

struct Parts {
    open: usize,
    answered: bool,
    states: BTreeMap<OperatorId, SubtaskState<'static>>,
}

impl TaskSnapshot {
    /// A snapshot with one part open: the task's own, which it completes when the barrier has passed all operators.
    pub fn new(order: Arc<SnapshotOrder>, task: TaskId, events: Sender<TaskEvent>) -> Self {
        let parts = Mutex::new(Parts { open: 1, answered: false, states: BTreeMap::new() });
        TaskSnapshot { order, task, events, parts }
    }

    /// Opens a part.
    pub fn open_part(&self) {
        self.with(|parts| parts.open += 1);
    }

    /// Completes a part that has no state of its own.
    pub fn complete_empty_part(&self) {
        self.barrier_passed();
    }

    /// Completes the part that the task opened the snapshot with.
    pub fn barrier_passed(&self) {
        self.with(|parts| parts.open -= 1);
    }

    /// Completes a part with the state that `add` puts to what the operator has already.
    pub fn complete_part(&self, operator: OperatorId, add: impl FnOnce(&mut SubtaskState<'static>)) {
        self.with(|parts| {
            add(parts.states.entry(operator).or_default());
            parts.open -= 1;
        });
    }

    /// Gives the snapshot up.
    pub fn fail(&self, reason: impl Into<anyhow::Error>) {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut parts.answered, true) {
            let states = std::mem::take(&mut parts.states);
            drop(parts);
            states.values().for_each(|state| self.order.target.discard(state));
            let event = TaskEvent::Declined { task: self.task, checkpoint: self.order.id, reason: reason.into() };
            let _ = self.events.send(event);
        }
    }

    fn with(&self, change: impl FnOnce(&mut Parts)) {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut parts);
        if parts.open == 0 && !parts.answered {
            parts.answered = true;
            let states = std::mem::take(&mut parts.states);
            let _ = self.events.send(TaskEvent::Acknowledged { task: self.task, checkpoint: self.order.id, states });
        }
    }
}

impl Drop for TaskSnapshot {
    fn drop(&mut self) {
        let parts = self.parts.get_mut().unwrap_or_else(PoisonError::into_inner);
        if !parts.answered {
            parts.states.values().for_each(|state| self.order.target.discard(state));
        }
    }
}

/// A share of a task's time for taking snapshots.
pub(crate) struct Slice {
    until: Instant,
    steps: u32,
    /// Whether something is left to capture.
    pub unfinished: bool,
    /// Whether the writer has to catch up before more can be captured.
    pub blocked: bool,
}

impl Slice {
    /// How many entries are captured between looks at the clock.
    const STEPS: u32 = 64;

    /// A slice that lasts this long from now.
    pub fn lasting(duration: Duration) -> Self {
        Slice { until: Instant::now() + duration, steps: 0, unfinished: false, blocked: false }
    }

    /// Counts one entry, and says whether the slice is over.
    #[inline]
    pub fn step(&mut self) -> bool {
        self.steps += 1;
        self.steps.is_multiple_of(Self::STEPS) && Instant::now() >= self.until
    }
}

/// Entries of state as they are written.
#[derive(Default)]
pub(crate) struct EntryBuffer {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Where the last entry begins in the bytes, as long as it may still have to be marked as the last one (canonical
    /// layout only).
    pub last_entry: Option<usize>,
}

impl EntryBuffer {
    /// Moves all entries of another buffer behind those of this one.
    pub fn append(&mut self, other: &mut EntryBuffer) {
        let start = self.bytes.len();
        self.bytes.append(&mut other.bytes);
        if let Some(entry) = other.last_entry.take() {
            self.last_entry = Some(start + entry);
        }
    }
}

/// The bytes of one state on their way to storage.
pub(crate) struct StateStream {
    snapshot: Arc<TaskSnapshot>,
    writer: StateWriter,
    sent: u64,
    file: Option<String>,
    /// What is not sent yet; to be appended to.
    pub buffer: EntryBuffer,
}

/// How much is collected before it is handed to the writer.
const CHUNK: usize = 512 * 1024;

/// How much may be on its way to the writer of a task before captures wait for it.
const IN_FLIGHT: usize = 16 * CHUNK;

impl StateStream {
    /// A stream that ends in a file of the snapshot, or in line when it stays small.
    pub fn new(snapshot: Arc<TaskSnapshot>, writer: StateWriter) -> Self {
        StateStream { snapshot, writer, sent: 0, file: None, buffer: EntryBuffer::default() }
    }

    /// The snapshot that the stream is a part of.
    pub fn snapshot(&self) -> &TaskSnapshot {
        &self.snapshot
    }

    /// The offset in the stream of the next byte.
    pub fn position(&self) -> i64 {
        (self.sent + self.buffer.bytes.len() as u64).cast_signed()
    }

    /// Hands on what is full, and says whether the writer keeps up.
    pub fn keeps_up(&mut self) -> bool {
        if self.buffer.bytes.len() >= CHUNK.max(self.snapshot.order.target.in_line + 1) {
            let mut next = Vec::with_capacity(CHUNK + CHUNK / 8);
            if let Some(entry) = self.buffer.last_entry {
                next.extend_from_slice(&self.buffer.bytes[entry..]);
                self.buffer.bytes.truncate(entry);
                self.buffer.last_entry = Some(0);
            }
            let chunk = std::mem::replace(&mut self.buffer.bytes, next);
            self.send(chunk);
        }
        self.writer.in_flight.load(Ordering::Relaxed) < IN_FLIGHT
    }

    fn send(&mut self, chunk: Vec<u8>) {
        if self.file.is_none() {
            let (name, place) = self.snapshot.order.target.new_file();
            self.writer.send(Job::Open { storage: self.snapshot.order.target.storage.clone(), place });
            self.file = Some(name);
        }
        self.sent += chunk.len() as u64;
        self.writer.in_flight.fetch_add(chunk.len(), Ordering::Relaxed);
        self.writer.send(Job::Chunk(chunk));
    }

    /// Ends the stream. `done` completes the part with the handle, here or when the file is synced; it gets none where
    /// nothing was written.
    pub fn finish(mut self, done: impl FnOnce(&TaskSnapshot, Option<StreamHandle<'static>>) + Send + 'static) {
        let last = std::mem::take(&mut self.buffer.bytes);
        if self.file.is_none() && last.len() <= self.snapshot.order.target.in_line {
            let handle = (!last.is_empty()).then(|| in_line(&self.snapshot.order.target, last));
            return done(&self.snapshot, handle);
        }
        if !last.is_empty() {
            self.send(last);
        }
        let Some(name) = self.file.take() else { return };
        let snapshot = self.snapshot.clone();
        self.writer.send(Job::Close(Box::new(move |result: Result<u64, StorageError>| match result {
            Ok(size) => done(&snapshot, Some(relative(name, size))),
            Err(error) => snapshot.fail(error),
        })));
    }
}

impl Drop for StateStream {
    fn drop(&mut self) {
        if self.file.is_some() {
            self.writer.send(Job::Abandon);
        }
    }
}

/// State kept in the `_metadata`; named as its file would have been, as Flink does.
fn in_line(target: &SnapshotTarget, data: Vec<u8>) -> StreamHandle<'static> {
    let (_, place) = target.new_file();
    let name = JavaStr::from(place.to_string().as_str()).into_owned();
    StreamHandle::Bytes(Box::new(ByteStream { name, data: Cow::Owned(data) }))
}

fn relative(name: String, size: u64) -> StreamHandle<'static> {
    StreamHandle::Relative { size: size.cast_signed(), path: JavaStr::from(name.as_str()).into_owned() }
}

enum Job {
    Open { storage: Arc<dyn WriteStorage>, place: Location },
    Chunk(Vec<u8>),
    Close(Box<dyn FnOnce(Result<u64, StorageError>) + Send>),
    Abandon,
    Whole { snapshot: Arc<TaskSnapshot>, bytes: Vec<u8>, done: Done },
    Run(Box<dyn FnOnce() + Send>),
}

type Done = Box<dyn FnOnce(&TaskSnapshot, Option<StreamHandle<'static>>) + Send>;

/// Writes the state files of a task, in a thread that is started with the first file. The last clone waits for it.
#[derive(Clone)]
pub(crate) struct StateWriter {
    thread: Arc<WriterThread>,
    in_flight: Arc<AtomicUsize>,
}

struct WriterThread {
    name: String,
    running: OnceLock<Running>,
}

/// The way to the thread, and what to wait for at the end.
type Running = (Option<Sender<Job>>, Mutex<Option<JoinHandle<()>>>);

impl Drop for WriterThread {
    fn drop(&mut self) {
        if let Some((jobs, thread)) = self.running.take() {
            drop(jobs);
            let thread = thread.into_inner().unwrap_or_else(PoisonError::into_inner);
            let _ = thread.map(JoinHandle::join);
        }
    }
}

/// Does one job after the other.
fn write_jobs(queue: Receiver<Job>, in_flight: &AtomicUsize) {
    let mut current: Option<Result<Box<dyn FileWriter>, StorageError>> = None;
    for job in queue {
        match job {
            Job::Open { storage, place } => current = Some(storage.create(&place)),
            Job::Chunk(chunk) => {
                if let Some(Ok(file)) = &mut current
                    && let Err(error) = file.write(&chunk)
                {
                    current = Some(Err(error));
                }
                in_flight.fetch_sub(chunk.len(), Ordering::Relaxed);
            }
            Job::Close(done) => {
                if let Some(file) = current.take() {
                    done(file.and_then(FileWriter::finish));
                }
            }
            Job::Abandon => current = None,
            Job::Whole { snapshot, bytes, done } => write_whole(&snapshot, &bytes, done),
            Job::Run(work) => work(),
        }
    }
}

impl StateWriter {
    /// A writer for the task of this name.
    pub fn new(name: &str) -> Self {
        let thread = WriterThread { name: format!("state of {name}"), running: OnceLock::new() };
        StateWriter { thread: Arc::new(thread), in_flight: Arc::new(AtomicUsize::new(0)) }
    }

    fn send(&self, job: Job) {
        let (jobs, _) = self.thread.running.get_or_init(|| {
            let (jobs, queue) = crossbeam_channel::unbounded::<Job>();
            let in_flight = self.in_flight.clone();
            let thread = std::thread::Builder::new().name(self.thread.name.clone());
            let thread = thread.spawn(move || write_jobs(queue, &in_flight));
            (Some(jobs), Mutex::new(thread.ok()))
        });
        // Without a thread the snapshot is never acknowledged, and expires.
        let _ = jobs.as_ref().map(|jobs| jobs.send(job));
    }

    /// Does some other work on storage, such as a sync, without the task waiting for it.
    pub fn run(&self, work: impl FnOnce() + Send + 'static) {
        self.send(Job::Run(Box::new(work)));
    }

    /// Writes a state that is there as a whole, such as operator state.
    pub fn write(
        &self,
        snapshot: &Arc<TaskSnapshot>,
        bytes: Vec<u8>,
        done: impl FnOnce(&TaskSnapshot, Option<StreamHandle<'static>>) + Send + 'static,
    ) {
        if bytes.len() <= snapshot.order.target.in_line {
            done(snapshot, Some(in_line(&snapshot.order.target, bytes)));
        } else {
            self.send(Job::Whole { snapshot: snapshot.clone(), bytes, done: Box::new(done) });
        }
    }
}

fn write_whole(snapshot: &TaskSnapshot, bytes: &[u8], done: Done) {
    let (name, place) = snapshot.order.target.new_file();
    let written = snapshot.order.target.storage.create(&place).and_then(|mut file| {
        file.write(bytes)?;
        file.finish()
    });
    match written {
        Ok(size) => done(snapshot, Some(relative(name, size))),
        Err(error) => snapshot.fail(error),
    }
}
