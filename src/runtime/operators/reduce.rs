//! The running reduction of each key (`StreamGroupedReduceOperator`).

use crate::runtime::backend::{KeyedBackend, Lookup, TableId};
use crate::runtime::batch::Batch;
use crate::runtime::control::Control;
use crate::runtime::graph::OperatorContext;
use crate::runtime::key_selector::KeySelector;
use crate::runtime::record::{Data, Flow, Output};
use crate::state::{KeyType, KeyedStateType, StateType};
use std::borrow::Borrow;

/// The name of Flink's own state of such an operator (`StreamGroupedReduceOperator.STATE_NAME`).
const STATE: &str = "_op_state";

/// So many entries are brought near at once: enough to wait for many together, and few enough to find them in the core's
/// first cache when their turn comes.
const AT_ONCE: usize = 128;

/// Folds the records of each key.
pub(crate) struct Reduce<K, T, F, S> {
    selector: S,
    function: F,
    backend: KeyedBackend<K>,
    state: Option<TableId<(), T>>,
    output: Box<dyn Output<T>>,
    lookups: Vec<Lookup>,
    results: Batch<T>,
}

impl<K: KeyType, T: Data + StateType, F, S> Reduce<K, T, F, S> {
    pub fn new(context: OperatorContext, selector: S, function: F, output: Box<dyn Output<T>>) -> Self {
        let (backend, lookups, results) = (KeyedBackend::new(context), Vec::new(), Batch::default());
        Reduce { selector, function, backend, state: None, output, lookups, results }
    }
}

impl<K, T, F, S> Output<T> for Reduce<K, T, F, S>
where
    K: KeyType,
    T: Data + StateType,
    F: FnMut(&mut T, T) + Send,
    S: KeySelector<K, T>,
{
    fn collect(&mut self, value: T, timestamp: i64) -> Flow {
        let mut batch = Batch::default();
        batch.push(value, timestamp);
        self.collect_batch(&mut batch)
    }

    fn collect_batch(&mut self, batch: &mut Batch<T>) -> Flow {
        let Some(state) = self.state else { return Ok(()) };
        let Batch { values, timestamps, groups } = batch;
        if groups.len() != values.len() {
            let group = |value: &T| self.backend.key_group(self.selector.key(value).borrow());
            *groups = values.iter().map(group).collect::<anyhow::Result<_>>()?;
        }
        for group in groups.iter() {
            self.backend.check_group(*group)?;
        }
        let table = self.backend.table(state);
        self.lookups.clear();
        let lookup = |(value, group): (&T, &u16)| table.lookup(*group, self.selector.key(value).borrow(), &());
        self.lookups.extend(values.iter().zip(groups.iter()).map(lookup));
        for (at, value) in values.drain(..).enumerate() {
            if at % AT_ONCE == 0 {
                let end = self.lookups.len().min(at + AT_ONCE);
                table.look_ahead(&mut self.lookups[at..end]);
            }
            let lookup = &self.lookups[at];
            let found = table.find(*lookup, self.selector.key(&value).borrow(), &());
            let result = match found {
                Some(found) => {
                    let state = table.value_mut(found)?;
                    (self.function)(state, value);
                    state
                }
                None => {
                    let key = self.selector.key(&value).borrow().clone();
                    table.add(*lookup, key, (), value)
                }
            };
            self.results.values.push(result.clone());
        }
        std::mem::swap(&mut self.results.timestamps, timestamps);
        timestamps.clear();
        groups.clear();
        self.output.collect_batch(&mut self.results)
    }

    fn control(&mut self, event: &mut Control<'_>) -> Flow {
        if let Control::Open = event {
            self.state = Some(self.backend.value_state(STATE, KeyedStateType::Value)?);
        }
        self.backend.control(event)?;
        self.output.control(event)
    }
}
