//! The id of the checkpoint, and the version of the format.

use super::EditError;
use crate::format::properties;
use crate::model::{KeyedHandle, LegacyFields, Metadata, Reference, SubtaskState, Subtasks, Version};
use std::borrow::Cow;

/// Gives the checkpoint another id. A job that is started from it counts on from there.
///
/// State handles that name the checkpoint name the new one: a task keeps the files it was restored from under that
/// number, and drops them when a later checkpoint completes (`RocksIncrementalSnapshotStrategy`, 1.20). State of another
/// checkpoint keeps its number, which must not be above the new id for that reason.
pub fn set_checkpoint_id(metadata: &mut Metadata<'_>, id: i64) -> Result<(), EditError> {
    if id < 0 {
        return Err(EditError::NegativeCheckpoint);
    }
    let old = metadata.checkpoint_id;
    let states = metadata.operators.iter().flat_map(|op| op.subtasks()).filter_map(|subtask| subtask.state.as_deref());
    let later = |of: i64| if of != old && of > id { Err(EditError::LaterState { id, of }) } else { Ok(()) };
    for state in states {
        for (_, handle) in state.keyed_handles() {
            match handle {
                KeyedHandle::Incremental(h) => later(h.checkpoint_id)?,
                KeyedHandle::Changelog(h) => h.checkpoint_id.map_or(Ok(()), later)?,
                KeyedHandle::KeyGroups(_) | KeyedHandle::ChangesInMemory(_) | KeyedHandle::ChangesInFiles(_) => {}
            }
        }
        if let Reference::Checkpoint(of) = state.reference {
            later(of)?;
        }
    }
    metadata.checkpoint_id = id;
    each_state(metadata, |state| {
        for handle in [&mut state.managed_keyed, &mut state.raw_keyed].into_iter().flatten() {
            match &mut **handle {
                KeyedHandle::Incremental(h) if h.checkpoint_id == old => h.checkpoint_id = id,
                // What was materialized counts by another number.
                KeyedHandle::Changelog(h) if h.checkpoint_id == Some(old) => h.checkpoint_id = Some(id),
                _ => {}
            }
        }
    });
    Ok(())
}

/// Makes it a `_metadata` of a newer version. What the old version could not say stays unsaid, as where Flink itself
/// writes an old snapshot anew: no properties (null), no names and uids, no reference checkpoints.
///
/// Handles that Flink 1.11 and 1.14 wrote in a layout of their own lack fields that newer versions need;
/// [`crate::format::encode`] refuses them.
pub fn upgrade(metadata: &mut Metadata<'_>, to: Version) -> Result<(), EditError> {
    let from = metadata.version;
    if to <= from {
        return Err(EditError::NotNewer { from, to });
    }
    metadata.version = to;
    if !from.has_properties() && to.has_properties() {
        metadata.properties = Some(Cow::Borrowed(properties::NULL));
    }
    if from.has_legacy_fields() {
        metadata.operators.iter_mut().for_each(|operator| operator.chain_length = 1);
        each_state(metadata, |state| state.legacy = LegacyFields::default());
    }
    Ok(())
}

/// Changes the state of every subtask. One that has none left is as a decoder has it.
fn each_state<'m>(metadata: &mut Metadata<'m>, mut change: impl FnMut(&mut SubtaskState<'m>)) {
    for operator in &mut metadata.operators {
        let Subtasks::Some(subtasks) = &mut operator.subtasks else { continue };
        for subtask in subtasks {
            if let Some(state) = &mut subtask.state {
                change(state);
                if **state == SubtaskState::default() {
                    subtask.state = None;
                }
            }
        }
    }
}
