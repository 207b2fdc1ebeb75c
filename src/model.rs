//! What a checkpoint is: the content of a `_metadata`, as a superset of all versions of the format.
//!
//! The types follow Flink's (`CheckpointMetadata`, `OperatorState`, `OperatorSubtaskState`, the state handles) and
//! borrow from the bytes they were decoded from. They keep everything that was read, order and unused fields too, so
//! that [`crate::format::encode`] gives the same bytes back. There is no I/O here and nothing about where files lie.

pub mod damage;
pub mod handle;
pub mod key_group;
pub mod local_files;
pub mod location;
pub mod operator_id;
mod size;
mod version;

pub use damage::{Checked, Damage, Effect};
pub use handle::{
    ChannelHandle, ChannelInfo, ChannelSide, DistributionMode, KeyedHandle, OperatorHandle, StateScope, StreamHandle,
};
pub use key_group::KeyGroupRange;
pub use local_files::LocalFiles;
pub use location::Location;
pub use operator_id::OperatorId;
pub use version::Version;

use crate::wire::JavaStr;
use std::borrow::Cow;

/// A completed checkpoint or savepoint, as its `_metadata` describes it (`CheckpointMetadata` in Flink).
#[derive(Debug, Clone, PartialEq)]
pub struct Metadata<'a> {
    /// The version of the format it was read from.
    pub version: Version,
    /// The id of the checkpoint; counts up within a job and may start again in another.
    pub checkpoint_id: i64,
    /// What hooks of the checkpoint coordinator stored.
    pub master_states: Vec<MasterState<'a>>,
    /// The state of each operator, in the order of the file.
    pub operators: Vec<OperatorState<'a>>,
    /// `CheckpointProperties` as a Java object stream, from version 4 on; opaque here, read by
    /// [`crate::format::properties`].
    pub properties: Option<Cow<'a, [u8]>>,
    /// Bytes after the end of what Flink reads. Flink starts with them; nobody writes them.
    pub trailing: Cow<'a, [u8]>,
}

/// State of a hook on the JobManager (`MasterState`).
#[derive(Debug, Clone, PartialEq)]
pub struct MasterState<'a> {
    /// Identifies the hook.
    pub name: JavaStr<'a>,
    /// Version of the hook's own serializer.
    pub version: i32,
    /// What the hook wrote.
    pub payload: Cow<'a, [u8]>,
}

/// The state of one operator over all its subtasks (`OperatorState`).
#[derive(Debug, Clone, PartialEq)]
pub struct OperatorState<'a> {
    /// The name in the job; written from version 5 on, empty otherwise and where the job gave none.
    pub name: JavaStr<'a>,
    /// The uid in the job; written from version 5 on, empty otherwise and where the job gave none.
    pub uid: JavaStr<'a>,
    /// The id that state is matched by.
    pub id: OperatorId,
    /// Number of subtasks.
    pub parallelism: i32,
    /// Number of key groups.
    pub max_parallelism: i32,
    /// An unused field of version 2 ("chain length" before Flink 1.3), kept for writing.
    pub chain_length: i32,
    /// State of the operator's coordinator, such as a source's split enumerator (from version 3 on).
    pub coordinator: Option<StreamHandle<'a>>,
    /// The subtasks.
    pub subtasks: Subtasks<'a>,
}

/// What is recorded of an operator's subtasks.
#[derive(Debug, Clone, PartialEq)]
pub enum Subtasks<'a> {
    /// All of them had finished (`FullyFinishedOperatorState`); holds the negative count that stood in the file.
    FullyFinished(i32),
    /// Those that acknowledged with state, or finished, in the order of the file.
    Some(Vec<Subtask<'a>>),
}

/// One subtask of an operator.
#[derive(Debug, Clone, PartialEq)]
pub struct Subtask<'a> {
    /// Its index, from 0.
    pub index: i32,
    /// Whether it had finished (`FinishedOperatorSubtaskState`); then it has no state.
    pub finished: bool,
    /// Its state; `None` where it has none. Most subtasks of a large job have none, and take no room for it.
    pub state: Option<Box<SubtaskState<'a>>>,
}

/// The state handles of one subtask (`OperatorSubtaskState`).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SubtaskState<'a> {
    /// Two unused fields of version 2, kept for writing.
    pub legacy: LegacyFields,
    /// List, union and broadcast state of the operator.
    pub managed_operator: OperatorSlot<'a>,
    /// Operator state that the operator wrote as it liked.
    pub raw_operator: OperatorSlot<'a>,
    /// State in the keyed state backend.
    pub managed_keyed: Option<Box<KeyedHandle<'a>>>,
    /// Keyed state that the operator wrote as it liked; heap timers of a RocksDB job too.
    pub raw_keyed: Option<Box<KeyedHandle<'a>>>,
    /// In-flight buffers of an unaligned checkpoint, before the operator.
    pub input_channels: Vec<ChannelHandle<'a>>,
    /// In-flight buffers of an unaligned checkpoint, behind the operator.
    pub result_subpartitions: Vec<ChannelHandle<'a>>,
    /// The older checkpoint that this state was taken from (version 7, regional checkpoints).
    pub reference: Reference,
}

/// Fields of version 2 that no reader uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LegacyFields {
    /// "duration".
    pub duration: i64,
    /// Number of states from before Flink 1.2; Flink refuses a positive one.
    pub states: i32,
}

impl Default for LegacyFields {
    fn default() -> Self {
        LegacyFields { duration: -1, states: 0 }
    }
}

/// The place of an operator state handle: a presence field and the handle.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OperatorSlot<'a> {
    /// 0 where there is no handle; Flink writes 1 where there is one and reads any other number so.
    pub presence: i32,
    /// The handle.
    pub handle: Option<Box<OperatorHandle<'a>>>,
}

/// The reference checkpoint id of a subtask (version 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reference {
    /// None. Holds the marker byte, which Flink's reader takes for "none" unless it is 1.
    None(u8),
    /// The id of the checkpoint that the state comes from.
    Checkpoint(i64),
}

impl Default for Reference {
    fn default() -> Self {
        Reference::None(0)
    }
}

impl<'a> OperatorState<'a> {
    /// The subtasks; empty for a fully finished operator.
    pub fn subtasks(&self) -> &[Subtask<'a>] {
        match &self.subtasks {
            Subtasks::FullyFinished(_) => &[],
            Subtasks::Some(list) => list,
        }
    }

    /// Whether every subtask had finished.
    pub fn is_fully_finished(&self) -> bool {
        matches!(self.subtasks, Subtasks::FullyFinished(_))
    }
}

impl<'a> SubtaskState<'a> {
    /// The managed and raw operator state handles, with whether they are raw.
    pub fn operator_handles(&self) -> impl Iterator<Item = (bool, &OperatorHandle<'a>)> {
        let managed = self.managed_operator.handle.as_deref().map(|h| (false, h));
        managed.into_iter().chain(self.raw_operator.handle.as_deref().map(|h| (true, h)))
    }

    /// The managed and raw keyed state handles, with whether they are raw.
    pub fn keyed_handles(&self) -> impl Iterator<Item = (bool, &KeyedHandle<'a>)> {
        let managed = self.managed_keyed.as_deref().map(|h| (false, h));
        managed.into_iter().chain(self.raw_keyed.as_deref().map(|h| (true, h)))
    }

    /// Both kinds of channel state handles.
    pub fn channel_handles(&self) -> impl Iterator<Item = &ChannelHandle<'a>> {
        self.input_channels.iter().chain(&self.result_subpartitions)
    }
}
