//! Operators: what runs inside of a task.

mod context;
mod process;
mod reduce;
mod window;

pub use context::{KeyedContext, ListState, MapState, ReducingState, StateRegistry, TimeDomain, ValueState};
pub(crate) use process::KeyedProcess;
pub use process::KeyedProcessFunction;
pub(crate) use reduce::Reduce;
pub(crate) use window::{Elements, Folded, WindowOperator};
pub use window::{Window, WindowAssigner};

use super::batch::Batch;
use super::control::{Cancellation, Control};
use super::record::{Data, Flow, MAX_WATERMARK, Output};

/// Takes what a function emits.
pub struct Collector<'a, U> {
    pub(crate) batch: &'a mut Batch<U>,
    pub(crate) timestamp: i64,
}

impl<U> Collector<'_, U> {
    /// Emits a record, with the timestamp of the one it came from.
    ///
    /// # Errors
    /// To be passed on. There is none now.
    #[inline]
    pub fn collect(&mut self, value: U) -> anyhow::Result<()> {
        self.batch.push(value, self.timestamp);
        Ok(())
    }
}

/// `map`, `filter` and `flat_map`.
pub(crate) struct FlatMap<F, U> {
    function: F,
    canceled: Cancellation,
    emitted: Batch<U>,
    output: Box<dyn Output<U>>,
}

/// So many records are passed on at once, more or less.
const PASS_ON: usize = 512;

impl<F, U> FlatMap<F, U> {
    pub fn new(function: F, canceled: Cancellation, output: Box<dyn Output<U>>) -> Self {
        FlatMap { function, canceled, emitted: Batch::default(), output }
    }

    fn pass_on(&mut self) -> Flow {
        if self.emitted.values.is_empty() { Ok(()) } else { self.output.collect_batch(&mut self.emitted) }
    }
}

impl<T, U, F> Output<T> for FlatMap<F, U>
where
    T: Data,
    U: Data,
    F: FnMut(T, &mut Collector<'_, U>) -> anyhow::Result<()> + Send,
{
    fn collect(&mut self, value: T, timestamp: i64) -> Flow {
        self.canceled.check()?;
        (self.function)(value, &mut Collector { batch: &mut self.emitted, timestamp })?;
        self.pass_on()
    }

    fn collect_batch(&mut self, batch: &mut Batch<T>) -> Flow {
        for (value, timestamp) in batch.drain() {
            self.canceled.check()?;
            (self.function)(value, &mut Collector { batch: &mut self.emitted, timestamp })?;
            if self.emitted.values.len() >= PASS_ON {
                self.pass_on()?;
            }
        }
        self.pass_on()
    }

    fn control(&mut self, event: &mut Control<'_>) -> Flow {
        self.output.control(event)
    }
}

/// The end of a stream in a function.
pub(crate) struct ForEach<F> {
    pub function: F,
    pub canceled: Cancellation,
}

impl<T: Data, F: FnMut(T) -> anyhow::Result<()> + Send> Output<T> for ForEach<F> {
    fn collect(&mut self, value: T, _: i64) -> Flow {
        self.canceled.check()?;
        (self.function)(value)
    }

    fn collect_batch(&mut self, batch: &mut Batch<T>) -> Flow {
        for (value, _) in batch.drain() {
            self.canceled.check()?;
            (self.function)(value)?;
        }
        Ok(())
    }

    fn control(&mut self, _: &mut Control<'_>) -> Flow {
        Ok(())
    }
}

/// Gives records their event time, and the stream its watermarks.
pub(crate) struct TimestampAssigner<F, T> {
    timestamp: F,
    bound: i64,
    interval: i64,
    newest: i64,
    emitted: i64,
    next_emit: i64,
    output: Box<dyn Output<T>>,
}

impl<F, T> TimestampAssigner<F, T> {
    /// `bound` and `interval` in milliseconds.
    pub fn new(timestamp: F, bound: i64, interval: i64, output: Box<dyn Output<T>>) -> Self {
        let (newest, emitted) = (i64::MIN, i64::MIN);
        TimestampAssigner { timestamp, bound, interval, newest, emitted, next_emit: i64::MIN, output }
    }

    fn emit(&mut self) -> Flow {
        if self.newest == i64::MIN {
            return Ok(());
        }
        let watermark = self.newest.saturating_sub(self.bound).saturating_sub(1);
        if watermark <= self.emitted {
            return Ok(());
        }
        self.emitted = watermark;
        self.output.control(&mut Control::Watermark(watermark))
    }
}

impl<T: Data, F: FnMut(&T) -> i64 + Send> Output<T> for TimestampAssigner<F, T> {
    fn collect(&mut self, value: T, _: i64) -> Flow {
        let timestamp = (self.timestamp)(&value);
        self.newest = self.newest.max(timestamp);
        self.output.collect(value, timestamp)
    }

    fn collect_batch(&mut self, batch: &mut Batch<T>) -> Flow {
        batch.timestamps.clear();
        batch.timestamps.extend(batch.values.iter().map(|value| (self.timestamp)(value)));
        self.newest = batch.timestamps.iter().copied().fold(self.newest, i64::max);
        self.output.collect_batch(batch)
    }

    fn control(&mut self, event: &mut Control<'_>) -> Flow {
        match *event {
            // Watermarks from before do not fit the new timestamps, but for the last one.
            Control::Watermark(watermark) if watermark != MAX_WATERMARK => return Ok(()),
            Control::Watermark(_) => self.emitted = MAX_WATERMARK,
            Control::ProcessingTime(now) if now >= self.next_emit => {
                self.next_emit = now.saturating_add(self.interval);
                self.emit()?;
            }
            _ => {}
        }
        self.output.control(event)
    }
}
