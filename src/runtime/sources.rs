//! Sources: where records come from, and how far each has been read.

mod collection;
mod file;
mod sequence;
mod socket;

pub use collection::CollectionSource;
pub use file::FileSource;
pub use sequence::SequenceSource;
pub use socket::SocketSource;

use super::backend::OperatorStateBackend;
use super::batch::Batch;
use super::control::Control;
use super::graph::OperatorContext;
use super::record::{Data, Flow, NO_TIMESTAMP, Output};
use super::snapshot::TaskSnapshot;
use std::sync::Arc;

/// What a source reads is divided into splits; how far each is read is the state of the source.
///
/// In a snapshot they are operator list state named [`SPLITS`] of `Tuple3<String, Long, Long>`, which is spread over the
/// subtasks again when the parallelism changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// What is read: a file, for example.
    pub id: String,
    /// The position of the next record, in the source's own units.
    pub position: i64,
    /// The position behind the last record.
    pub end: i64,
}

/// The name of the operator state that holds the splits.
pub const SPLITS: &str = "source-splits";

/// What a source is told when it is opened.
#[derive(Debug, Clone)]
pub struct SourceContext {
    /// Index of the subtask, from 0.
    pub subtask: usize,
    /// Number of subtasks.
    pub parallelism: usize,
    /// The splits of this subtask in the snapshot that the job starts from; `None` where it starts anew.
    pub restored: Option<Vec<Split>>,
}

/// Whether a source has more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Poll {
    /// There may be more at once.
    More,
    /// Nothing for now. The source has waited a little itself, some milliseconds at most.
    Idle,
    /// There will never be more.
    Finished,
}

/// Produces records. Each subtask has a clone of its own.
///
/// The runtime takes a snapshot between two calls of [`Source::poll`], so [`Source::splits`] must tell what exactly has
/// been emitted, and a `poll` should emit some hundreds of records at most and not wait for longer than a few
/// milliseconds.
pub trait Source: Clone + Send + 'static {
    /// The type of its records.
    type Item: Data;

    /// Gets ready to read, from the restored splits where there are any.
    ///
    /// # Errors
    /// Fails the task.
    fn open(&mut self, context: &SourceContext) -> anyhow::Result<()>;

    /// Emits the next records.
    ///
    /// # Errors
    /// Fails the task.
    fn poll(&mut self, out: &mut Emitter<'_, Self::Item>) -> anyhow::Result<Poll>;

    /// How far it has read. A source that cannot be read again has none.
    fn splits(&self) -> Vec<Split>;
}

/// Takes the records of a source.
pub struct Emitter<'a, T> {
    batch: &'a mut Batch<T>,
    output: &'a mut dyn Output<T>,
}

/// So many records are passed on at once.
const PASS_ON: usize = 512;

impl<'a, T> Emitter<'a, T> {
    pub(crate) fn new(batch: &'a mut Batch<T>, output: &'a mut dyn Output<T>) -> Self {
        Emitter { batch, output }
    }

    /// Emits a record without a timestamp.
    ///
    /// # Errors
    /// Those of the operators behind the source; to be passed on.
    #[inline]
    pub fn collect(&mut self, value: T) -> anyhow::Result<()> {
        self.collect_with_timestamp(value, NO_TIMESTAMP)
    }

    /// Emits a record with its event time in milliseconds since the epoch.
    ///
    /// # Errors
    /// Those of the operators behind the source; to be passed on.
    #[inline]
    pub fn collect_with_timestamp(&mut self, value: T, timestamp: i64) -> anyhow::Result<()> {
        self.batch.push(value, timestamp);
        if self.batch.values.len() < PASS_ON { Ok(()) } else { self.pass_on() }
    }

    /// Says that no record with this timestamp or an earlier one is to come, in milliseconds since the epoch
    /// (`SourceContext.emitWatermark`).
    ///
    /// # Errors
    /// Those of the operators behind the source; to be passed on.
    pub fn emit_watermark(&mut self, timestamp: i64) -> anyhow::Result<()> {
        self.pass_on()?;
        self.output.control(&mut Control::Watermark(timestamp))
    }

    /// Gives what was emitted to the operators behind the source.
    pub(crate) fn pass_on(&mut self) -> Flow {
        if self.batch.values.is_empty() { Ok(()) } else { self.output.collect_batch(self.batch) }
    }
}

/// The part `index` of `count` of the numbers from `start` to `end` (exclusive).
fn share(start: i64, end: i64, index: usize, count: usize) -> (i64, i64) {
    let total = i128::from(end.max(start)) - i128::from(start);
    let at = |part: usize| i64::try_from(i128::from(start) + total * part as i128 / count as i128).unwrap_or(end);
    (at(index), at(index + 1))
}

/// A source in its task.
pub(crate) trait SourceOperator<T>: Send {
    fn open(&mut self) -> Flow;
    fn poll(&mut self, out: &mut Emitter<'_, T>) -> anyhow::Result<Poll>;
    fn snapshot(&mut self, snapshot: &Arc<TaskSnapshot>) -> Flow;
}

/// Runs a [`Source`] and keeps its splits.
pub(crate) struct SourceDriver<S> {
    pub source: S,
    pub context: OperatorContext,
}

impl<S: Source> SourceOperator<S::Item> for SourceDriver<S> {
    fn open(&mut self) -> Flow {
        let state = OperatorStateBackend::new(&self.context)?;
        let restored = state.take_list::<(String, i64, i64)>(SPLITS)?;
        let split = |(id, position, end)| Split { id, position, end };
        let restored = restored.map(|list| list.into_iter().map(split).collect());
        let (subtask, parallelism) = (self.context.subtask, self.context.parallelism);
        self.source.open(&SourceContext { subtask, parallelism, restored })
    }

    fn poll(&mut self, out: &mut Emitter<'_, S::Item>) -> anyhow::Result<Poll> {
        let poll = self.source.poll(out)?;
        out.pass_on()?;
        Ok(poll)
    }

    fn snapshot(&mut self, snapshot: &Arc<TaskSnapshot>) -> Flow {
        let splits = self.source.splits();
        if splits.is_empty() {
            return Ok(());
        }
        let splits = splits.into_iter().map(|split| (split.id, split.position, split.end));
        let mut state = OperatorStateBackend::empty();
        state.put_list(SPLITS, splits.collect());
        state.snapshot(&self.context, snapshot)
    }
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn shares_cover_everything_once() {
        for (start, end, count) in [(0, 10, 3), (0, 2, 4), (5, 5, 2), (-3, 100, 7), (i64::MIN, i64::MAX, 2)] {
            let mut next = start;
            for index in 0..count {
                let (from, to) = share(start, end, index, count);
                assert_eq!(from, next);
                next = to;
            }
            assert_eq!(next, end);
        }
    }
}
