//! What a task tells its operators besides records.

use super::exchange::Canceled;
use super::record::Flow;
use super::snapshot::{Slice, TaskSnapshot};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Tells operators between two records that nobody wants their output any more: a slow function is not to be given the
/// rest of a batch.
#[derive(Clone)]
pub(crate) struct Cancellation(pub Arc<AtomicBool>);

impl Cancellation {
    /// An error where the task is canceled.
    #[inline]
    pub fn check(&self) -> Flow {
        if self.0.load(Ordering::Relaxed) { Err(Canceled.into()) } else { Ok(()) }
    }
}

/// An event that passes through a chain of operators from its head to its tail.
pub(crate) enum Control<'a> {
    /// Before the first record: register and restore state.
    Open,
    /// No record with this timestamp or an earlier one is to come, in milliseconds since the epoch.
    Watermark(i64),
    /// The wall clock, in milliseconds since the epoch; told often enough for timers.
    ProcessingTime(i64),
    /// Everything before belongs to this checkpoint, everything after does not.
    Barrier(&'a Arc<TaskSnapshot>),
    /// Go on with snapshots that have begun, for as long as the slice lasts.
    Capture(&'a mut Slice),
    /// Send on what is held back in buffers.
    Flush,
    /// A checkpoint is complete and durable.
    Completed(i64),
    /// A checkpoint will not complete.
    Aborted(i64),
    /// No record is to come; operators emit what they still hold.
    EndOfInput,
    /// The job has finished: the last one.
    Finish,
}
