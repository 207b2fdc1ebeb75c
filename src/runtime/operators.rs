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

use super::control::{Cancellation, Control};
use super::record::{Data, Flow, MAX_WATERMARK, Output};

/// Takes what a function emits.
pub struct Collector<'a, U> {
    pub(crate) output: &'a mut dyn Output<U>,
    pub(crate) timestamp: i64,
}

impl<U> Collector<'_, U> {
    /// Emits a record, with the timestamp of the one it came from.
    ///
    /// # Errors
    /// Those of the operators behind; to be passed on.
    #[inline]
    pub fn collect(&mut self, value: U) -> anyhow::Result<()> {
        self.output.collect(value, self.timestamp)
    }
}

/// `map`, `filter` and `flat_map`.
pub(crate) struct FlatMap<F, U> {
    pub function: F,
    pub canceled: Cancellation,
    pub output: Box<dyn Output<U>>,
}

impl<T, U, F> Output<T> for FlatMap<F, U>
where
    T: Data,
    U: Data,
    F: FnMut(T, &mut Collector<'_, U>) -> anyhow::Result<()> + Send,
{
    #[inline]
    fn collect(&mut self, value: T, timestamp: i64) -> Flow {
        self.canceled.check()?;
        (self.function)(value, &mut Collector { output: self.output.as_mut(), timestamp })
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
    #[inline]
    fn collect(&mut self, value: T, _: i64) -> Flow {
        self.canceled.check()?;
        (self.function)(value)
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
    #[inline]
    fn collect(&mut self, value: T, _: i64) -> Flow {
        let timestamp = (self.timestamp)(&value);
        self.newest = self.newest.max(timestamp);
        self.output.collect(value, timestamp)
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
