//! Sizes of state as Flink adds them up (`StateObject.getStateSize`, `CompositeStateHandle.getCheckpointedSize`).
//!
//! Sums wrap as Java's do: a hostile file may hold any numbers.

use super::handle::{Changelog, ChangesInMemory, Incremental};
use super::{ChannelHandle, KeyedHandle, Metadata, OperatorHandle, OperatorState, StreamHandle, Subtask};

fn sum(parts: impl Iterator<Item = i64>) -> i64 {
    parts.fold(0, i64::wrapping_add)
}

impl StreamHandle<'_> {
    /// Size of the stream in bytes.
    pub fn state_size(&self) -> i64 {
        match self {
            StreamHandle::Bytes(stream) => i64::try_from(stream.data.len()).unwrap_or(i64::MAX),
            StreamHandle::File { size, .. } | StreamHandle::Relative { size, .. } => *size,
            StreamHandle::Segment(segment) => segment.size,
            StreamHandle::EmptySegment => 0,
            StreamHandle::KeyGroups(groups) => groups.stream.state_size(),
        }
    }
}

impl OperatorHandle<'_> {
    /// Size of the state in bytes.
    pub fn state_size(&self) -> i64 {
        self.stream.state_size()
    }
}

impl ChannelHandle<'_> {
    /// Size of the buffers in bytes.
    pub fn state_size(&self) -> i64 {
        self.size
    }
}

impl Incremental<'_> {
    fn state_size(&self) -> i64 {
        sum([self.meta.state_size(), self.shared.state_size(), self.private.state_size()].into_iter())
    }
}

impl Changelog<'_> {
    fn parts(&self) -> impl Iterator<Item = &KeyedHandle<'_>> {
        self.materialized.iter().chain(&self.non_materialized).flatten()
    }
}

impl ChangesInMemory<'_> {
    fn state_size(&self) -> i64 {
        sum(self.changes.iter().map(|c| i64::try_from(c.change.len()).unwrap_or(i64::MAX)))
    }
}

impl KeyedHandle<'_> {
    /// Size of the whole state in bytes, files of earlier checkpoints included.
    pub fn state_size(&self) -> i64 {
        match self {
            KeyedHandle::KeyGroups(h) => h.stream.state_size(),
            KeyedHandle::Incremental(h) => h.state_size(),
            KeyedHandle::Changelog(h) => sum(h.parts().map(KeyedHandle::state_size)),
            KeyedHandle::ChangesInMemory(h) => h.state_size(),
            KeyedHandle::ChangesInFiles(h) => h.size,
        }
    }

    /// Bytes that this checkpoint itself wrote; the whole size where that was not recorded.
    pub fn checkpointed_size(&self) -> i64 {
        match self {
            KeyedHandle::Incremental(h) => match &h.extra {
                Some(extra) if extra.checkpointed_size != -1 => extra.checkpointed_size,
                _ => h.state_size(),
            },
            KeyedHandle::Changelog(h) => h.extra.as_ref().map_or_else(|| self.state_size(), |e| e.checkpointed_size),
            KeyedHandle::ChangesInFiles(h) => h.extra.as_ref().map_or(h.size, |e| e.checkpointed_size),
            KeyedHandle::KeyGroups(_) | KeyedHandle::ChangesInMemory(_) => self.state_size(),
        }
    }
}

impl Subtask<'_> {
    fn sum_of(&self, keyed: fn(&KeyedHandle<'_>) -> i64) -> i64 {
        let Some(state) = &self.state else { return 0 };
        let operator = sum(state.operator_handles().map(|(_, h)| h.state_size()));
        let channels = sum(state.channel_handles().map(ChannelHandle::state_size));
        sum([operator, sum(state.keyed_handles().map(|(_, h)| keyed(h))), channels].into_iter())
    }

    /// Size of the subtask's state in bytes.
    pub fn state_size(&self) -> i64 {
        self.sum_of(|handle| handle.state_size())
    }

    /// Bytes that this checkpoint wrote for the subtask.
    pub fn checkpointed_size(&self) -> i64 {
        self.sum_of(|handle| handle.checkpointed_size())
    }
}

impl OperatorState<'_> {
    fn coordinator_size(&self) -> i64 {
        self.coordinator.as_ref().map_or(0, StreamHandle::state_size)
    }

    /// Size of the operator's state in bytes, its coordinator's included.
    pub fn state_size(&self) -> i64 {
        sum(self.subtasks().iter().map(Subtask::state_size)).wrapping_add(self.coordinator_size())
    }

    /// Bytes that this checkpoint wrote for the operator.
    pub fn checkpointed_size(&self) -> i64 {
        sum(self.subtasks().iter().map(Subtask::checkpointed_size)).wrapping_add(self.coordinator_size())
    }
}

impl Metadata<'_> {
    /// Size of all state in bytes.
    pub fn state_size(&self) -> i64 {
        sum(self.operators.iter().map(OperatorState::state_size))
    }

    /// Bytes that this checkpoint wrote.
    pub fn checkpointed_size(&self) -> i64 {
        sum(self.operators.iter().map(OperatorState::checkpointed_size))
    }
}
