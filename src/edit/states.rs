//! Single states of an operator, dropped where the format allows it.

use super::EditError;
use crate::model::{Metadata, OperatorId, OperatorSlot, OperatorState, StreamHandle, Subtasks};
use serde::Serialize;
use std::collections::BTreeSet;

/// An operator state that was dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DroppedState {
    /// The operator.
    pub operator_id: OperatorId,
    /// Its name, where the `_metadata` has it.
    pub operator_name: Option<String>,
    /// The name of the state.
    pub state: String,
    /// How it was handed out (Flink's name for it).
    pub mode: &'static str,
    /// Subtasks that had it.
    pub subtasks: u64,
    /// Partitions of it: list elements, or copies of a broadcast state.
    pub partitions: u64,
}

/// Drops a managed operator state (list, union list or broadcast) of the operator with this index.
///
/// The handle of operator state says where the partitions of each state begin in the stream; without its entry a state
/// is restored without any (`OperatorStateRestoreOperation.restore`). Its description still stands at the head of the
/// stream, so that its serializer must still be there. A handle without states is dropped too, or made the empty one that
/// file merging has (`EmptyFileMergingOperatorStreamStateHandle`).
///
/// Keyed states stand together in streams and databases and cannot be dropped so.
pub fn drop_state(metadata: &mut Metadata<'_>, operator: usize, state: &str) -> Result<DroppedState, EditError> {
    let Some(operator) = metadata.operators.get_mut(operator) else {
        return Err(EditError::UnknownOperator(operator.to_string()));
    };
    let (operator_id, operator_name) = (operator.id, operator.name.non_empty());
    let unknown = unknown(operator, state);
    let mut dropped =
        DroppedState { operator_id, operator_name, state: state.to_owned(), mode: "", subtasks: 0, partitions: 0 };
    let Subtasks::Some(subtasks) = &mut operator.subtasks else { return Err(unknown) };
    for subtask in subtasks {
        let Some(place) = subtask.state.as_mut() else { continue };
        let slot = &mut place.managed_operator;
        let Some(handle) = &mut slot.handle else { continue };
        let before = handle.states.len();
        handle.states.retain(|info| {
            let goes = info.name.to_str() == state;
            if goes {
                dropped.mode = info.mode.name();
                dropped.partitions += info.offsets.len() as u64;
            }
            !goes
        });
        if handle.states.len() == before {
            continue;
        }
        dropped.subtasks += 1;
        if handle.states.is_empty() {
            match &mut handle.merging {
                Some(dirs) => {
                    dirs.empty = 1;
                    handle.stream = StreamHandle::EmptySegment;
                }
                None => *slot = OperatorSlot::default(),
            }
        }
        // As a decoder has it.
        if **place == Default::default() {
            subtask.state = None;
        }
    }
    if dropped.subtasks == 0 { Err(unknown) } else { Ok(dropped) }
}

/// Why a state cannot be dropped that is no operator state.
fn unknown(operator: &OperatorState<'_>, state: &str) -> EditError {
    let states = || operator.subtasks().iter().filter_map(|subtask| subtask.state.as_deref());
    let handles = states().filter_map(|state| state.managed_operator.handle.as_deref());
    let names: BTreeSet<String> = handles.flat_map(|h| &h.states).map(|info| info.name.to_string()).collect();
    let (id, state) = (operator.id, state.to_owned());
    if states().any(|state| state.keyed_handles().next().is_some()) {
        return EditError::KeyedState { id, state };
    }
    EditError::UnknownState { id, state, names: names.into_iter().collect() }
}
