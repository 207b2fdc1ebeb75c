//! Windows (`WindowOperator`): the records of a key in a span of time, emitted when that ends.

use super::Collector;
use crate::runtime::backend::{KeyedBackend, TableId, Timer, TimersId};
use crate::runtime::batch::Batch;
use crate::runtime::control::Control;
use crate::runtime::graph::OperatorContext;
use crate::runtime::key_selector::KeySelector;
use crate::runtime::record::{Data, Flow, NO_TIMESTAMP, Output};
use crate::runtime::task::wall_clock;
use crate::state::{KeyType, KeyedStateType, StateType, TimeWindow};
use std::borrow::Borrow;
use std::time::Duration;

/// A span of time: `start` is its first millisecond, `end` the first behind it.
pub type Window = TimeWindow;

/// The names of Flink's own states of such an operator.
const CONTENTS: &str = "window-contents";
const EVENT_TIMERS: &str = "_timer_state/event_window-timers";
const PROCESSING_TIMERS: &str = "_timer_state/processing_window-timers";

/// Says which windows a record belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowAssigner {
    size: i64,
    slide: i64,
    offset: i64,
    event_time: bool,
}

impl WindowAssigner {
    /// Windows of event time that follow each other (`TumblingEventTimeWindows`).
    pub fn tumbling(size: Duration) -> Self {
        Self::sliding(size, size)
    }

    /// Windows of event time that begin each `slide` (`SlidingEventTimeWindows`). Both are at least one millisecond.
    pub fn sliding(size: Duration, slide: Duration) -> Self {
        let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX).max(1);
        WindowAssigner { size: millis(size), slide: millis(slide), offset: 0, event_time: true }
    }

    /// The same windows of processing time.
    pub fn processing_time(self) -> Self {
        WindowAssigner { event_time: false, ..self }
    }

    /// Shifts the windows, for those that begin at the midnight of a time zone.
    pub fn offset(self, milliseconds: i64) -> Self {
        WindowAssigner { offset: milliseconds, ..self }
    }

    pub(crate) fn name(&self) -> String {
        let shape = if self.size == self.slide { "Tumbling" } else { "Sliding" };
        let time = if self.event_time { "Event" } else { "Processing" };
        format!("{shape}{time}TimeWindows")
    }

    /// The windows with a timestamp in them, the latest first (`TimeWindow.getWindowStartWithOffset`).
    fn assign(&self, timestamp: i64) -> impl Iterator<Item = Window> {
        let (size, slide) = (self.size, self.slide);
        let last = timestamp.saturating_sub(timestamp.wrapping_sub(self.offset).rem_euclid(slide));
        let starts = std::iter::successors(Some(last), move |start| start.checked_sub(slide));
        starts
            .take_while(move |start| *start > timestamp.saturating_sub(size))
            .map(move |start| Window { start, end: start.saturating_add(size) })
    }
}

/// What is kept of the records in a window.
pub(crate) trait WindowContents<T>: Clone + Send + 'static {
    /// The state of a window.
    type State: StateType + Clone;
    /// Registers the state of all windows.
    fn register<K: KeyType>(backend: &mut KeyedBackend<K>) -> anyhow::Result<TableId<Window, Self::State>>;
    /// What a window has with its first record.
    fn first(value: T) -> Self::State;
    /// Adds a record.
    fn add(&mut self, state: &mut Self::State, value: T);
}

/// Keeps one record into which the others are folded.
#[derive(Clone)]
pub(crate) struct Folded<F>(pub F);

impl<T: Data + StateType, F: FnMut(&mut T, T) + Clone + Send + 'static> WindowContents<T> for Folded<F> {
    type State = T;

    fn register<K: KeyType>(backend: &mut KeyedBackend<K>) -> anyhow::Result<TableId<Window, T>> {
        backend.value_state(CONTENTS, KeyedStateType::Reducing)
    }

    fn first(value: T) -> T {
        value
    }

    fn add(&mut self, state: &mut T, value: T) {
        (self.0)(state, value);
    }
}

/// Keeps all records.
#[derive(Clone)]
pub(crate) struct Elements;

impl<T: Data + StateType> WindowContents<T> for Elements {
    type State = Vec<T>;

    fn register<K: KeyType>(backend: &mut KeyedBackend<K>) -> anyhow::Result<TableId<Window, Vec<T>>> {
        backend.list_state(CONTENTS)
    }

    fn first(value: T) -> Vec<T> {
        vec![value]
    }

    fn add(&mut self, state: &mut Vec<T>, value: T) {
        state.push(value);
    }
}

/// Collects records in windows.
pub(crate) struct WindowOperator<K, T, U, C: WindowContents<T>, F, S> {
    key: S,
    assigner: WindowAssigner,
    contents: C,
    then: F,
    backend: KeyedBackend<K>,
    states: Option<States<C::State>>,
    watermark: i64,
    emitted: Batch<U>,
    output: Box<dyn Output<U>>,
}

struct States<V> {
    contents: TableId<Window, V>,
    event: TimersId<Window>,
    processing: TimersId<Window>,
}

impl<V> Clone for States<V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V> Copy for States<V> {}

impl<K, T, U, C, F, S> WindowOperator<K, T, U, C, F, S>
where
    S: KeySelector<K, T>,
    K: KeyType,
    T: Data,
    U: Data,
    C: WindowContents<T>,
    F: FnMut(&K, &Window, C::State, &mut Collector<'_, U>) -> anyhow::Result<()>,
{
    pub fn new(
        context: OperatorContext,
        key: S,
        assigner: WindowAssigner,
        contents: C,
        then: F,
        output: Box<dyn Output<U>>,
    ) -> Self {
        let backend = KeyedBackend::new(context);
        WindowOperator {
            key,
            assigner,
            contents,
            then,
            backend,
            states: None,
            watermark: i64::MIN,
            emitted: Batch::default(),
            output,
        }
    }

    fn open(&mut self) -> Flow {
        let processing = self.backend.timers_state(PROCESSING_TIMERS)?;
        let event = self.backend.timers_state(EVENT_TIMERS)?;
        let contents = C::register(&mut self.backend)?;
        self.states = Some(States { contents, event, processing });
        Ok(())
    }

    fn fire(&mut self, event_time: bool, time: i64) -> Flow {
        let Some(states) = self.states else { return Ok(()) };
        let timers = if event_time { states.event } else { states.processing };
        while let Some(Timer { group, key, namespace: window, .. }) = self.backend.timers(timers).pop(time)? {
            if let Some(state) = self.backend.table(states.contents).remove(group, &key, &window)? {
                // As Flink does it, a result has the last millisecond of its window.
                let mut out = Collector { batch: &mut self.emitted, timestamp: window.end.saturating_sub(1) };
                (self.then)(&key, &window, state, &mut out)?;
            }
        }
        if self.emitted.values.is_empty() { Ok(()) } else { self.output.collect_batch(&mut self.emitted) }
    }
}

impl<K, T, U, C, F, S> Output<T> for WindowOperator<K, T, U, C, F, S>
where
    S: KeySelector<K, T>,
    K: KeyType,
    T: Data,
    U: Data,
    C: WindowContents<T>,
    F: FnMut(&K, &Window, C::State, &mut Collector<'_, U>) -> anyhow::Result<()> + Send,
{
    fn collect(&mut self, value: T, timestamp: i64) -> Flow {
        let Some(states) = self.states else { return Ok(()) };
        let event_time = self.assigner.event_time;
        let timestamp = if event_time { timestamp } else { wall_clock() };
        anyhow::ensure!(
            timestamp != NO_TIMESTAMP,
            "Record has Long.MIN_VALUE timestamp (= no timestamp marker): windows of event time need \
             assign_timestamps(…) before them, or a source that gives timestamps"
        );
        let key: K = self.key.key(&value).borrow().clone();
        let group = self.backend.key_group(&key)?;
        let timers = if event_time { states.event } else { states.processing };
        for window in self.assigner.assign(timestamp) {
            let last = window.end.saturating_sub(1);
            // A record whose window has ended is late, and dropped.
            if event_time && last <= self.watermark {
                continue;
            }
            let table = self.backend.table(states.contents);
            let contents = &mut self.contents;
            table.accept(group, &key, &window, value.clone(), C::first, |state, value| contents.add(state, value))?;
            let timer = Timer { timestamp: last, group, key: key.clone(), namespace: window };
            self.backend.timers(timers).register(timer)?;
        }
        Ok(())
    }

    fn control(&mut self, event: &mut Control<'_>) -> Flow {
        match *event {
            Control::Open => self.open()?,
            Control::Watermark(watermark) => {
                self.watermark = watermark;
                self.fire(true, watermark)?;
            }
            Control::ProcessingTime(now) => self.fire(false, now)?,
            _ => {}
        }
        self.backend.control(event)?;
        self.output.control(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(assigner: WindowAssigner, timestamp: i64) -> Vec<(i64, i64)> {
        assigner.assign(timestamp).map(|window| (window.start, window.end)).collect()
    }

    #[test]
    fn a_tumbling_window_holds_a_timestamp_once() {
        let assigner = WindowAssigner::tumbling(Duration::from_secs(1));
        assert_eq!(windows(assigner, 0), [(0, 1000)]);
        assert_eq!(windows(assigner, 999), [(0, 1000)]);
        assert_eq!(windows(assigner, 1000), [(1000, 2000)]);
        assert_eq!(windows(assigner, -1), [(-1000, 0)]);
        assert_eq!(windows(assigner.offset(300), 299), [(-700, 300)]);
    }

    #[test]
    fn sliding_windows_hold_a_timestamp_as_often_as_they_overlap() {
        let assigner = WindowAssigner::sliding(Duration::from_secs(1), Duration::from_millis(500));
        assert_eq!(windows(assigner, 1200), [(1000, 2000), (500, 1500)]);
        let gaps = WindowAssigner::sliding(Duration::from_millis(100), Duration::from_millis(500));
        assert_eq!(windows(gaps, 50), [(0, 100)]);
        assert_eq!(windows(gaps, 400), []);
    }
}
