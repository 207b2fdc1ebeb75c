//! The way between tasks: bounded channels of record batches, one for each pair of subtasks.
//!
//! Records are collected into batches so that a channel is touched once for hundreds of them; watermarks and barriers
//! travel in the same channels and keep their place among the records. A full channel makes the sender wait, which is
//! all there is to backpressure.

use super::batch::Batch;
use super::control::Control;
use super::record::{Data, Flow, Output};
use super::snapshot::SnapshotOrder;
use crossbeam_channel::{Receiver, Sender};
use std::sync::Arc;

/// Records in a batch. Large enough that a channel costs little, small enough to stay in a core's second cache.
pub(crate) const BATCH: usize = 1024;

/// Batches that a channel holds before its sender waits.
pub(crate) const CHANNEL: usize = 32;

/// What travels in a channel.
pub(crate) enum Message<T> {
    Records(Batch<T>),
    Watermark(i64),
    Barrier(Arc<SnapshotOrder>),
    EndOfInput,
}

/// A task's neighbour is gone, so the attempt has failed or was canceled elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the task was canceled")]
pub(crate) struct Canceled;

/// Chooses the subtask that takes a record by its key: appends a [`Route`] for each record.
pub(crate) type Partitioner<T> = Box<dyn FnMut(&[T], &mut Vec<Route>) + Send>;

/// Where a record goes: the subtask, and its key group.
pub(crate) struct Route {
    pub subtask: u16,
    pub group: u16,
}

/// The sending side of an edge of the job, for one subtask.
pub(crate) struct NetworkOutput<T> {
    targets: Vec<Target<T>>,
    partitioner: Routing<T>,
    routes: Vec<Route>,
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
    batch: Batch<T>,
}

impl<T> Target<T> {
    fn send(&self, message: Message<T>) -> Flow {
        self.sender.send(message).map_err(|_| Canceled.into())
    }

    fn flush(&mut self) -> Flow {
        if self.batch.values.is_empty() {
            return Ok(());
        }
        let next = self.batch.empty_alike();
        let batch = std::mem::replace(&mut self.batch, next);
        self.send(Message::Records(batch))
    }

    #[inline]
    fn push(&mut self, value: T, timestamp: i64) -> Flow {
        self.batch.push(value, timestamp);
        if self.batch.values.len() >= BATCH { self.flush() } else { Ok(()) }
    }
}

impl<T> NetworkOutput<T> {
    pub fn new(senders: Vec<Sender<Message<T>>>, partitioner: Routing<T>) -> Self {
        let target = |sender| Target { sender, batch: Batch::with_capacity(BATCH) };
        NetworkOutput { targets: senders.into_iter().map(target).collect(), partitioner, routes: Vec::new() }
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
            Routing::ByKey(_) => {
                let mut batch = Batch::default();
                batch.push(value, timestamp);
                self.collect_batch(&mut batch)
            }
            Routing::InTurn(next) => {
                let target = *next;
                *next = if target + 1 < self.targets.len() { target + 1 } else { 0 };
                self.targets[target].push(value, timestamp)
            }
            Routing::All => self.targets.iter_mut().try_for_each(|t| t.push(value.clone(), timestamp)),
        }
    }

    fn collect_batch(&mut self, batch: &mut Batch<T>) -> Flow {
        let Routing::ByKey(choose) = &mut self.partitioner else {
            return batch.drain().try_for_each(|(value, timestamp)| self.collect(value, timestamp));
        };
        self.routes.clear();
        choose(&batch.values, &mut self.routes);
        for ((value, timestamp), route) in batch.drain().zip(&self.routes) {
            let target = &mut self.targets[usize::from(route.subtask)];
            target.batch.groups.push(route.group);
            target.push(value, timestamp)?;
        }
        Ok(())
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
