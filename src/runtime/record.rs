//! What flows through a job: records, and the outputs that operators pass them to.

use super::batch::Batch;
use super::control::Control;

/// The timestamp of a record that has none.
pub const NO_TIMESTAMP: i64 = i64::MIN;

/// The watermark that says no record is to come (`Watermark.MAX_WATERMARK`).
pub const MAX_WATERMARK: i64 = i64::MAX;

/// What records may be: anything that can be copied and given to another thread.
pub trait Data: Clone + Send + 'static {}

impl<T: Clone + Send + 'static> Data for T {}

/// Whether to go on; an error fails the task, and with it the attempt.
pub(crate) type Flow = anyhow::Result<()>;

/// Takes the records of one stream inside a task: the next operator of the chain, or the way to other tasks.
///
/// Records are pushed one by one; everything else comes as a [`Control`], which an operator acts on and passes to the
/// output behind it, so that both keep their order.
pub(crate) trait Output<T>: Send {
    /// Takes one record.
    fn collect(&mut self, value: T, timestamp: i64) -> Flow;

    /// Takes the records of a batch, in order. State that is asked for many times at once can be looked up with much
    /// less waiting for memory.
    ///
    /// Operators pass on batches too: a step for many records before the next step for them is much faster than one
    /// record after the other through all steps. The batch is empty afterwards.
    fn collect_batch(&mut self, batch: &mut Batch<T>) -> Flow {
        batch.drain().try_for_each(|(value, timestamp)| self.collect(value, timestamp))
    }

    /// Takes a watermark, a barrier, or whatever else a task tells its operators.
    fn control(&mut self, event: &mut Control<'_>) -> Flow;
}

/// Passes a stream to several outputs of the same task.
pub(crate) struct FanOut<T>(pub Vec<Box<dyn Output<T>>>);

impl<T: Data> Output<T> for FanOut<T> {
    fn collect(&mut self, value: T, timestamp: i64) -> Flow {
        let Some((last, others)) = self.0.split_last_mut() else { return Ok(()) };
        for output in others {
            output.collect(value.clone(), timestamp)?;
        }
        last.collect(value, timestamp)
    }

    fn collect_batch(&mut self, batch: &mut Batch<T>) -> Flow {
        let Some((last, others)) = self.0.split_last_mut() else { return Ok(()) };
        for output in others {
            output.collect_batch(&mut batch.clone())?;
        }
        last.collect_batch(batch)
    }

    fn control(&mut self, event: &mut Control<'_>) -> Flow {
        self.0.iter_mut().try_for_each(|output| output.control(event))
    }
}

/// The end of a stream that nobody reads.
pub(crate) struct Nowhere;

impl<T> Output<T> for Nowhere {
    fn collect(&mut self, _: T, _: i64) -> Flow {
        Ok(())
    }

    fn control(&mut self, _: &mut Control<'_>) -> Flow {
        Ok(())
    }
}
