//! List state of operators (`DefaultOperatorStateBackend`), and how it is spread at a restore.
//!
//! Such state is small: it is collected when a snapshot is taken, and handed out when an operator opens.

use crate::model::handle::{OperatorHandle, OperatorStateInfo};
use crate::model::{DistributionMode, OperatorSlot};
use crate::runtime::graph::OperatorContext;
use crate::runtime::record::Flow;
use crate::runtime::restore::RestoredOperator;
use crate::runtime::snapshot::TaskSnapshot;
use crate::state::operator::{OperatorReader, OperatorWriter};
use crate::state::{StateMeta, StateType};
use crate::wire::EncodeError;
use anyhow::Context;
use std::sync::Arc;

/// The list states of an operator.
pub(crate) struct OperatorStateBackend {
    restored: Option<Arc<RestoredOperator>>,
    subtask: usize,
    parallelism: usize,
    lists: Vec<(StateMeta, Elements)>,
}

/// Writes the elements of the list state of a number.
type Elements = Box<dyn FnOnce(&mut OperatorWriter, usize) -> Result<(), EncodeError>>;

impl OperatorStateBackend {
    /// The state of an operator as it was restored.
    pub fn new(context: &OperatorContext) -> anyhow::Result<Self> {
        let restored = context.restored.clone();
        let (subtask, parallelism) = (context.subtask, context.parallelism);
        Ok(OperatorStateBackend { restored, subtask, parallelism, lists: Vec::new() })
    }

    /// Nothing, to be filled for a snapshot.
    pub fn empty() -> Self {
        OperatorStateBackend { restored: None, subtask: 0, parallelism: 1, lists: Vec::new() }
    }

    /// This subtask's elements of a state of the snapshot; `None` where the job was not restored.
    ///
    /// Divided state is spread over the subtasks in turn, as Flink does (`RoundRobinOperatorStateRepartitioner`), but
    /// stays where it was when the parallelism has not changed. Of united state every subtask gets all.
    pub fn take_list<T: StateType>(&self, name: &str) -> anyhow::Result<Option<Vec<T>>> {
        let Some(restored) = &self.restored else { return Ok(None) };
        let same = restored.lists.len() == self.parallelism;
        let mut found = Vec::new();
        let mut next = 0;
        for (index, piece) in restored.lists.iter().enumerate() {
            let Some(OperatorStateInfo { mode, offsets, .. }) = piece.states.iter().find(|s| s.name.to_str() == name)
            else {
                continue;
            };
            let mine = |element: usize| match mode {
                DistributionMode::SplitDistribute if same => index == self.subtask,
                DistributionMode::SplitDistribute => element % self.parallelism == self.subtask,
                DistributionMode::Union => true,
                DistributionMode::Broadcast => index == self.subtask % restored.lists.len(),
            };
            let wanted: Vec<i64> =
                offsets.iter().enumerate().filter(|(at, _)| mine(next + at)).map(|(_, offset)| *offset).collect();
            next += offsets.len();
            if wanted.is_empty() {
                continue;
            }
            let bytes = piece.stream.read()?;
            let reader =
                OperatorReader::new(&bytes, &piece.states).with_context(|| format!("operator state '{name}'"))?;
            let described = reader.header().lists.iter().find(|state| state.name == name);
            let described = described.with_context(|| format!("the stream has no list state '{name}'"))?;
            described.resolves_to(&StateMeta::operator_list(name, *mode, T::serializer())).map_err(|why| {
                anyhow::anyhow!("For state '{name}', the new state serializer must not be incompatible: {why}")
            })?;
            for offset in wanted {
                found.push(reader.element(offset)?);
            }
        }
        Ok(Some(found))
    }

    /// Adds divided list state to a snapshot.
    pub fn put_list<T: StateType>(&mut self, name: &str, elements: Vec<T>) {
        self.put(name, DistributionMode::SplitDistribute, elements);
    }

    /// Adds united list state to a snapshot.
    pub fn put_union<T: StateType>(&mut self, name: &str, elements: Vec<T>) {
        self.put(name, DistributionMode::Union, elements);
    }

    fn put<T: StateType>(&mut self, name: &str, mode: DistributionMode, elements: Vec<T>) {
        let meta = StateMeta::operator_list(name, mode, T::serializer());
        let write: Elements =
            Box::new(move |writer, state| elements.iter().try_for_each(|element| writer.element(state, element)));
        self.lists.push((meta, write));
    }

    /// Contributes what was put to a snapshot.
    pub fn snapshot(self, context: &OperatorContext, snapshot: &Arc<TaskSnapshot>) -> Flow {
        let (metas, elements): (Vec<_>, Vec<_>) = self.lists.into_iter().unzip();
        let mut writer = OperatorWriter::new(metas, Vec::new())?;
        for (state, write) in elements.into_iter().enumerate() {
            write(&mut writer, state)?;
        }
        let (bytes, states) = writer.finish();
        let operator = context.operator;
        snapshot.open_part();
        context.writer.write(snapshot, bytes, move |snapshot, stream| {
            snapshot.complete_part(operator, |state| {
                state.managed_operator = OperatorSlot {
                    presence: 1,
                    handle: stream.map(|stream| Box::new(OperatorHandle { states, merging: None, stream })),
                };
            });
        });
        Ok(())
    }
}
