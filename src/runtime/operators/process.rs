//! Functions with state and timers by key (`KeyedProcessOperator`).

use super::context::{BothTimers, KeyedContext, StateRegistry, TimeDomain};
use crate::runtime::backend::KeyedBackend;
use crate::runtime::control::{Cancellation, Control};
use crate::runtime::graph::OperatorContext;
use crate::runtime::key_selector::KeySelector;
use crate::runtime::record::{Data, Flow, Output};
use crate::state::KeyType;
use std::borrow::Borrow;

/// A function with state and timers by key. Each subtask has a clone of its own.
pub trait KeyedProcessFunction: Clone + Send + 'static {
    /// What the stream is keyed by.
    type Key: KeyType;
    /// What it takes.
    type In: Data;
    /// What it emits.
    type Out: Data;

    /// Registers all state, before anything else is called.
    ///
    /// # Errors
    /// Fails the task.
    fn open(&mut self, states: &mut StateRegistry<'_, Self::Key>) -> anyhow::Result<()>;

    /// Takes a record.
    ///
    /// # Errors
    /// Fails the task.
    fn process(&mut self, value: Self::In, context: &mut KeyedContext<'_, Self::Key, Self::Out>) -> anyhow::Result<()>;

    /// Called when a timer is due.
    ///
    /// # Errors
    /// Fails the task.
    fn on_timer(&mut self, timestamp: i64, context: &mut KeyedContext<'_, Self::Key, Self::Out>) -> anyhow::Result<()> {
        let _ = (timestamp, context);
        Ok(())
    }
}

/// Runs a [`KeyedProcessFunction`].
pub(crate) struct KeyedProcess<P: KeyedProcessFunction, S> {
    key: S,
    function: P,
    backend: KeyedBackend<P::Key>,
    canceled: Cancellation,
    timers: Option<BothTimers>,
    watermark: i64,
    output: Box<dyn Output<P::Out>>,
}

impl<P: KeyedProcessFunction, S: KeySelector<P::Key, P::In>> KeyedProcess<P, S> {
    pub fn new(context: OperatorContext, key: S, function: P, output: Box<dyn Output<P::Out>>) -> Self {
        let (canceled, backend) = (context.canceled.clone(), KeyedBackend::new(context));
        KeyedProcess { key, function, backend, canceled, timers: None, watermark: i64::MIN, output }
    }

    fn fire(&mut self, domain: TimeDomain, time: i64) -> Flow {
        let Some(timers) = self.timers else { return Ok(()) };
        while let Some(timer) = self.backend.timers(timers.of(domain)).pop(time)? {
            self.canceled.check()?;
            let mut context = KeyedContext {
                backend: &mut self.backend,
                timers,
                key: &timer.key,
                group: timer.group,
                timestamp: timer.timestamp,
                watermark: self.watermark,
                domain,
                output: self.output.as_mut(),
            };
            self.function.on_timer(timer.timestamp, &mut context)?;
        }
        Ok(())
    }
}

impl<P: KeyedProcessFunction, S: KeySelector<P::Key, P::In>> Output<P::In> for KeyedProcess<P, S> {
    fn collect(&mut self, value: P::In, timestamp: i64) -> Flow {
        let Some(timers) = self.timers else { return Ok(()) };
        self.canceled.check()?;
        let key: P::Key = self.key.key(&value).borrow().clone();
        let group = self.backend.key_group(&key)?;
        let mut context = KeyedContext {
            backend: &mut self.backend,
            timers,
            key: &key,
            group,
            timestamp,
            watermark: self.watermark,
            domain: TimeDomain::EventTime,
            output: self.output.as_mut(),
        };
        self.function.process(value, &mut context)
    }

    fn control(&mut self, event: &mut Control<'_>) -> Flow {
        match *event {
            Control::Open => {
                self.timers = Some(BothTimers::register(&mut self.backend)?);
                self.function.open(&mut StateRegistry { backend: &mut self.backend })?;
            }
            Control::Watermark(watermark) => {
                self.watermark = watermark;
                self.fire(TimeDomain::EventTime, watermark)?;
            }
            Control::ProcessingTime(now) => self.fire(TimeDomain::ProcessingTime, now)?,
            _ => {}
        }
        self.backend.control(event)?;
        self.output.control(event)
    }
}
