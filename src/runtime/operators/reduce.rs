//! The running reduction of each key (`StreamGroupedReduceOperator`).

use crate::runtime::backend::{KeyedBackend, TableId};
use crate::runtime::control::Control;
use crate::runtime::graph::OperatorContext;
use crate::runtime::keyed_stream::Selector;
use crate::runtime::record::{Data, Flow, Output};
use crate::state::{KeyType, KeyedStateType, StateType};

/// The name of Flink's own state of such an operator (`StreamGroupedReduceOperator.STATE_NAME`).
const STATE: &str = "_op_state";

/// Folds the records of each key.
pub(crate) struct Reduce<K, T, F> {
    key: Selector<K, T>,
    function: F,
    backend: KeyedBackend<K>,
    state: Option<TableId<(), T>>,
    output: Box<dyn Output<T>>,
}

impl<K: KeyType, T: Data + StateType, F> Reduce<K, T, F> {
    pub fn new(context: OperatorContext, key: Selector<K, T>, function: F, output: Box<dyn Output<T>>) -> Self {
        Reduce { key, function, backend: KeyedBackend::new(context), state: None, output }
    }
}

impl<K, T, F> Output<T> for Reduce<K, T, F>
where
    K: KeyType,
    T: Data + StateType,
    F: FnMut(&mut T, T) + Send,
{
    #[inline]
    fn collect(&mut self, value: T, timestamp: i64) -> Flow {
        let Some(state) = self.state else { return Ok(()) };
        let key = (self.key)(&value);
        let group = self.backend.key_group(&key)?;
        let table = self.backend.table(state);
        let result = table.fold(group, &key, &(), value, &mut self.function)?.clone();
        self.output.collect(result, timestamp)
    }

    fn control(&mut self, event: &mut Control<'_>) -> Flow {
        if let Control::Open = event {
            self.state = Some(self.backend.value_state(STATE, KeyedStateType::Value)?);
        }
        self.backend.control(event)?;
        self.output.control(event)
    }
}
