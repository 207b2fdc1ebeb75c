//! The way between tasks: bounded channels of record batches, one for each pair of subtasks.
//!
//! Records are collected into batches so that a channel is touched once for hundreds of them; watermarks and barriers
//! travel in the same channels and keep their place among the records. A full channel makes the sender wait, which is
//! all there is to backpressure.

use super::control::Control;
use super::record::{Data, Flow, Output, Record};
use super::snapshot::SnapshotOrder;
use crossbeam_channel::{Receiver, Sender};
use std::sync::Arc;

/// Records in a batch. Large enough that a channel costs little, small enough to stay in a core's cache.
pub(crate) const BATCH: usize = 512;

/// Batches that a channel holds before its sender waits.
pub(crate) const CHANNEL: usize = 8;

/// What travels in a channel.
pub(crate) enum Message<T> {
    Records(Batch<T>),
    Watermark(i64),
    Barrier(Arc<SnapshotOrder>),
    EndOfInput,
}

/// Records in their order.
pub(crate) struct Batch<T> {
    pub records: Vec<Record<T>>,
    /// The key group of each record, where they are sent by key; otherwise empty.
    pub groups: Vec<u16>,
}

/// A task's neighbour is gone, so the attempt has failed or was canceled elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the task was canceled")]
pub(crate) struct Canceled;

/// Chooses the subtask that takes a record by its key, and tells the key group.
pub(crate) type Partitioner<T> = Box<dyn FnMut(&T) -> (usize, u16) + Send>;

/// The sending side of an edge of the job, for one subtask.
pub(crate) struct NetworkOutput<T> {
    targets: Vec<Target<T>>,
    partitioner: Routing<T>,
}

/// Where records go.
pub(crate) enum Routing<T> {
    /// To one subtask each, by key.
    ByKey(Partitioner<T>),
    /// To one subtask after the other, beginning with this one.
    InTurn(usize),
    /// To all.
    All,
}

struct Target<T> {
    sender: Sender<Message<T>>,
    records: Vec<Record<T>>,
    groups: Vec<u16>,
}

impl<T> Target<T> {
    fn send(&self, message: Message<T>) -> Flow {
        self.sender.send(message).map_err(|_| Canceled.into())
    }

    fn flush(&mut self) -> Flow {
        if self.records.is_empty() {
            return Ok(());
        }
        let records = std::mem::replace(&mut self.records, Vec::with_capacity(BATCH));
        let groups = match self.groups.is_empty() {
            true => Vec::new(),
            false => std::mem::replace(&mut self.groups, Vec::with_capacity(BATCH)),
        };
        self.send(Message::Records(Batch { records, groups }))
    }

    #[inline]
    fn push(&mut self, record: Record<T>) -> Flow {
        self.records.push(record);
        if self.records.len() >= BATCH { self.flush() } else { Ok(()) }
    }
}

impl<T> NetworkOutput<T> {
    pub fn new(senders: Vec<Sender<Message<T>>>, partitioner: Routing<T>) -> Self {
        let target = |sender| Target { sender, records: Vec::with_capacity(BATCH), groups: Vec::new() };
        NetworkOutput { targets: senders.into_iter().map(target).collect(), partitioner }
    }

    fn broadcast(&mut self, message: impl Fn() -> Message<T>) -> Flow {
        for target in &mut self.targets {
            target.flush()?;
            target.send(message())?;
        }
        Ok(())
    }
}

impl<T: Data> Output<T> for NetworkOutput<T> {
    #[inline]
    fn collect(&mut self, value: T, timestamp: i64) -> Flow {
        match &mut self.partitioner {
            Routing::ByKey(choose) => {
                let (target, group) = choose(&value);
                let target = &mut self.targets[target];
                target.groups.push(group);
                target.push(Record { value, timestamp })
            }
            Routing::InTurn(next) => {
                let target = *next;
                *next = if target + 1 < self.targets.len() { target + 1 } else { 0 };
                self.targets[target].push(Record { value, timestamp })
            }
            Routing::All => {
                self.targets.iter_mut().try_for_each(|t| t.push(Record { value: value.clone(), timestamp }))
            }
        }
    }

    fn control(&mut self, event: &mut Control<'_>) -> Flow {
        match event {
            Control::Watermark(watermark) => {
                let watermark = *watermark;
                self.broadcast(|| Message::Watermark(watermark))
            }
            Control::Barrier(snapshot) => self.broadcast(|| Message::Barrier(snapshot.order.clone())),
            Control::EndOfInput => self.broadcast(|| Message::EndOfInput),
            Control::Flush => self.targets.iter_mut().try_for_each(Target::flush),
            _ => Ok(()),
        }
    }
}

/// The receiving ends of a subtask.
pub(crate) type Receivers<T> = Vec<Receiver<Message<T>>>;
