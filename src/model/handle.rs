//! The kinds of state handle: where a piece of state is and how it is divided.

use super::{KeyGroupRange, LocalFiles};
use crate::wire::JavaStr;
use std::borrow::Cow;

/// Where the bytes of a piece of state are (`StreamStateHandle`).
#[derive(Debug, Clone, PartialEq)]
pub enum StreamHandle<'a> {
    /// In the `_metadata` itself (`ByteStreamStateHandle`).
    Bytes(Box<ByteStream<'a>>),
    /// A whole file at an absolute path (`FileStateHandle`).
    File {
        /// Size in bytes as Flink recorded it; −1 where it did not know.
        size: i64,
        /// The path as Flink wrote it, with or without a scheme.
        path: JavaStr<'a>,
    },
    /// A whole file in the exclusive directory of the snapshot (`RelativeFileStateHandle`).
    Relative {
        /// Size in bytes as Flink recorded it; −1 where it did not know.
        size: i64,
        /// The path relative to the directory that holds the `_metadata`.
        path: JavaStr<'a>,
    },
    /// A part of a file (`SegmentFileStateHandle`, file merging).
    Segment(Box<Segment<'a>>),
    /// A part of no file, of length 0 (`EmptySegmentFileStateHandle`).
    EmptySegment,
    /// A key-group handle in the place of a stream (`KeyGroupsStateHandle`), which old releases could write.
    KeyGroups(Box<KeyGroups<'a>>),
}

/// State kept in the `_metadata` (`ByteStreamStateHandle`).
#[derive(Debug, Clone, PartialEq)]
pub struct ByteStream<'a> {
    /// Usually the path that the file would have had.
    pub name: JavaStr<'a>,
    /// The state.
    pub data: Cow<'a, [u8]>,
}

/// A range of bytes in a merged file (`SegmentFileStateHandle`).
#[derive(Debug, Clone, PartialEq)]
pub struct Segment<'a> {
    /// Offset of the first byte.
    pub start: i64,
    /// Length in bytes.
    pub size: i64,
    /// Whose the file is.
    pub scope: StateScope,
    /// The merged file, at an absolute path.
    pub path: JavaStr<'a>,
    /// The id of the logical file that the segment is.
    pub logical_file_id: JavaStr<'a>,
}

/// Who owns a merged file (`CheckpointedStateScope`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateScope {
    /// One checkpoint alone.
    Exclusive,
    /// Several checkpoints.
    Shared,
}

impl StateScope {
    /// The name of Flink's constant.
    pub fn name(self) -> &'static str {
        match self {
            StateScope::Exclusive => "EXCLUSIVE",
            StateScope::Shared => "SHARED",
        }
    }
}

/// State of an operator that is not keyed (`OperatorStateHandle`).
#[derive(Debug, Clone, PartialEq)]
pub struct OperatorHandle<'a> {
    /// The states in the stream, in the order of the file.
    pub states: Vec<OperatorStateInfo<'a>>,
    /// The directories of file merging, where the handle has them (`FileMergingOperatorStreamStateHandle`).
    pub merging: Option<Box<MergingDirectories<'a>>>,
    /// The stream that holds the partitions.
    pub stream: StreamHandle<'a>,
}

/// The directories that a file-merging handle keeps alive (`DirectoryStreamStateHandle`).
#[derive(Debug, Clone, PartialEq)]
pub struct MergingDirectories<'a> {
    /// The task manager's directory below `taskowned`.
    pub task_owned: JavaStr<'a>,
    /// The subtask's directory below `shared`.
    pub shared: JavaStr<'a>,
    /// Flink's flag for an empty handle, as the byte that stood in the file (0 is false).
    pub empty: u8,
}

/// One named operator state in a stream (`OperatorStateHandle.StateMetaInfo`).
#[derive(Debug, Clone, PartialEq)]
pub struct OperatorStateInfo<'a> {
    /// The name of the state.
    pub name: JavaStr<'a>,
    /// How partitions go to the subtasks of a restored job.
    pub mode: DistributionMode,
    /// Where each partition starts in the stream.
    pub offsets: Vec<i64>,
}

/// How operator state is handed out at a restore (`OperatorStateHandle.Mode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DistributionMode {
    /// Partitions are spread over the subtasks.
    SplitDistribute,
    /// Every subtask gets all partitions.
    Union,
    /// Every subtask has the same.
    Broadcast,
}

impl DistributionMode {
    /// The name of Flink's constant.
    pub fn name(self) -> &'static str {
        match self {
            DistributionMode::SplitDistribute => "SPLIT_DISTRIBUTE",
            DistributionMode::Union => "UNION",
            DistributionMode::Broadcast => "BROADCAST",
        }
    }
}

/// Keyed state of a subtask (`KeyedStateHandle`).
#[derive(Debug, Clone, PartialEq)]
pub enum KeyedHandle<'a> {
    /// One stream, divided by key group (`KeyGroupsStateHandle`, `KeyGroupsSavepointStateHandle`).
    KeyGroups(KeyGroups<'a>),
    /// The files of an embedded database (`IncrementalRemoteKeyedStateHandle`).
    Incremental(Box<Incremental<'a>>),
    /// A materialised part and the changes since (`ChangelogStateBackendHandleImpl`).
    Changelog(Box<Changelog<'a>>),
    /// Changes kept in the `_metadata` (`InMemoryChangelogStateHandle`).
    ChangesInMemory(Box<ChangesInMemory<'a>>),
    /// Changes in files (`ChangelogStateHandleStreamImpl`).
    ChangesInFiles(Box<ChangesInFiles<'a>>),
}

/// A stream divided by key group.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyGroups<'a> {
    /// Which of the handle types it is.
    pub kind: KeyGroupsKind<'a>,
    /// The key groups in the stream.
    pub range: KeyGroupRange,
    /// Where each of them starts in the stream, one per key group of the range.
    pub offsets: Vec<i64>,
    /// The stream.
    pub stream: StreamHandle<'a>,
}

/// The types of a key-group handle.
#[derive(Debug, Clone, PartialEq)]
pub enum KeyGroupsKind<'a> {
    /// Tag 3, without an id: up to Flink 1.14.
    Plain,
    /// Tag 12, with the id of the handle.
    WithId(JavaStr<'a>),
    /// Tag 7: the canonical format of savepoints.
    Savepoint,
}

/// The files of an embedded database (RocksDB, ForSt) for one subtask.
#[derive(Debug, Clone, PartialEq)]
pub struct Incremental<'a> {
    /// The checkpoint that the files were gathered for.
    pub checkpoint_id: i64,
    /// The id of the state backend, a UUID in text.
    pub backend_id: JavaStr<'a>,
    /// The key groups in the database.
    pub range: KeyGroupRange,
    /// The stream with the description of the states.
    pub meta: StreamHandle<'a>,
    /// Files that several checkpoints may use (`*.sst`).
    pub shared: LocalFiles<'a>,
    /// Files of this checkpoint alone (`CURRENT`, `MANIFEST-…`, `OPTIONS-…`).
    pub private: LocalFiles<'a>,
    /// Fields that tag 11 adds to tag 5.
    pub extra: Option<IncrementalExtra<'a>>,
}

/// What tag 11 adds to an incremental handle.
#[derive(Debug, Clone, PartialEq)]
pub struct IncrementalExtra<'a> {
    /// Bytes that this checkpoint uploaded; −1 where Flink did not know.
    pub checkpointed_size: i64,
    /// The id of the handle.
    pub state_handle_id: JavaStr<'a>,
}

/// A file of the embedded database (`HandleAndLocalPath`).
#[derive(Debug, Clone, PartialEq)]
pub struct LocalFile<'a> {
    /// Its name in the database's directory.
    pub local_path: JavaStr<'a>,
    /// Where it is.
    pub stream: StreamHandle<'a>,
}

/// Keyed state under the changelog state backend.
#[derive(Debug, Clone, PartialEq)]
pub struct Changelog<'a> {
    /// The key groups.
    pub range: KeyGroupRange,
    /// The state as it was materialised last; an entry may be null.
    pub materialized: Vec<Option<KeyedHandle<'a>>>,
    /// The changes since; an entry may be null.
    pub non_materialized: Vec<Option<KeyedHandle<'a>>>,
    /// Fields that Flink 1.14 did not write.
    pub extra: Option<ChangelogExtra<'a>>,
    /// The checkpoint; tag 14 has it, tag 8 does not.
    pub checkpoint_id: Option<i64>,
}

/// What Flink 1.15 added to a changelog handle.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangelogExtra<'a> {
    /// Bytes that this checkpoint uploaded.
    pub checkpointed_size: i64,
    /// Counts the materialisations.
    pub materialization_id: i64,
    /// The id of the handle.
    pub state_handle_id: JavaStr<'a>,
}

/// Changes of keyed state, in line.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangesInMemory<'a> {
    /// The key groups.
    pub range: KeyGroupRange,
    /// Sequence number of the first change.
    pub from: i64,
    /// Sequence number after the last change.
    pub to: i64,
    /// The changes.
    pub changes: Vec<StateChange<'a>>,
    /// The id of the handle; Flink 1.14 did not write it.
    pub state_handle_id: Option<JavaStr<'a>>,
}

/// One change (`StateChange`).
#[derive(Debug, Clone, PartialEq)]
pub struct StateChange<'a> {
    /// The key group it belongs to; −1 for metadata of a state.
    pub key_group: i32,
    /// The change.
    pub change: Cow<'a, [u8]>,
}

/// Changes of keyed state, in files.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangesInFiles<'a> {
    /// The key groups.
    pub range: KeyGroupRange,
    /// The files, and the offset in each from which changes belong to this handle.
    pub streams: Vec<(i64, StreamHandle<'a>)>,
    /// Size in bytes.
    pub size: i64,
    /// Fields that Flink 1.14 did not write.
    pub extra: Option<ChangesExtra<'a>>,
    /// The storage that wrote them; tag 13 has it, tag 10 does not and means "filesystem".
    pub storage: Option<JavaStr<'a>>,
}

/// What Flink 1.15 added to a handle of changes in files.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangesExtra<'a> {
    /// Bytes that this checkpoint uploaded.
    pub checkpointed_size: i64,
    /// The id of the handle.
    pub state_handle_id: JavaStr<'a>,
}

/// In-flight buffers of one channel, or of several in one handle.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelHandle<'a> {
    /// Before or behind the operator.
    pub side: ChannelSide,
    /// The subtask the buffers belong to; Flink 1.11 did not write it.
    pub subtask_index: Option<i32>,
    /// Which channels, and where their buffers are in the stream.
    pub info: ChannelInfo<'a>,
    /// Size in bytes of the buffers.
    pub size: i64,
    /// The stream, which other handles may use too.
    pub stream: StreamHandle<'a>,
}

/// On which side of an operator in-flight buffers were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelSide {
    /// `InputChannelStateHandle`: gate and channel.
    Input,
    /// `ResultSubpartitionStateHandle`: partition and subpartition.
    Result,
}

/// Which channels a handle is for.
#[derive(Debug, Clone, PartialEq)]
pub enum ChannelInfo<'a> {
    /// One of them.
    One {
        /// Index of the gate or partition.
        gate: i32,
        /// Index of the channel or subpartition.
        channel: i32,
        /// Where each buffer starts in the stream.
        offsets: Vec<i64>,
    },
    /// Several of them, from version 6 on (`MergedInputChannelStateHandle`,
    /// `MergedResultSubpartitionStateHandle`): the channels and offsets as Flink packs them.
    Merged(Cow<'a, [u8]>),
}

impl<'a> StreamHandle<'a> {
    /// The name of Flink's class.
    pub fn class(&self) -> &'static str {
        match self {
            StreamHandle::Bytes(_) => "ByteStreamStateHandle",
            StreamHandle::File { .. } => "FileStateHandle",
            StreamHandle::Relative { .. } => "RelativeFileStateHandle",
            StreamHandle::Segment(_) => "SegmentFileStateHandle",
            StreamHandle::EmptySegment => "EmptySegmentFileStateHandle",
            StreamHandle::KeyGroups(_) => "KeyGroupsStateHandle",
        }
    }
}

impl OperatorHandle<'_> {
    /// The name of Flink's class.
    pub fn class(&self) -> &'static str {
        match &self.merging {
            None => "OperatorStreamStateHandle",
            Some(dirs) if dirs.empty != 0 => "EmptyFileMergingOperatorStreamStateHandle",
            Some(_) => "FileMergingOperatorStreamStateHandle",
        }
    }
}

impl KeyedHandle<'_> {
    /// The name of Flink's class.
    pub fn class(&self) -> &'static str {
        match self {
            KeyedHandle::KeyGroups(h) => h.class(),
            KeyedHandle::Incremental(_) => "IncrementalRemoteKeyedStateHandle",
            KeyedHandle::Changelog(_) => "ChangelogStateBackendHandleImpl",
            KeyedHandle::ChangesInMemory(_) => "InMemoryChangelogStateHandle",
            KeyedHandle::ChangesInFiles(_) => "ChangelogStateHandleStreamImpl",
        }
    }

    /// The key groups that the handle has state for.
    pub fn range(&self) -> KeyGroupRange {
        match self {
            KeyedHandle::KeyGroups(h) => h.range,
            KeyedHandle::Incremental(h) => h.range,
            KeyedHandle::Changelog(h) => h.range,
            KeyedHandle::ChangesInMemory(h) => h.range,
            KeyedHandle::ChangesInFiles(h) => h.range,
        }
    }
}

impl KeyGroups<'_> {
    /// The key groups, and where each starts. A range that a damaged handle has beyond the numbers of Java ends in its last
    /// one again and again.
    pub fn numbered(&self) -> impl Iterator<Item = (i32, i64)> + Clone {
        let next = |group: &i32| Some(group.saturating_add(1));
        std::iter::successors(Some(self.range.start), next).zip(self.offsets.iter().copied())
    }

    /// The name of Flink's class.
    pub fn class(&self) -> &'static str {
        match self.kind {
            KeyGroupsKind::Savepoint => "KeyGroupsSavepointStateHandle",
            KeyGroupsKind::Plain | KeyGroupsKind::WithId(_) => "KeyGroupsStateHandle",
        }
    }
}

impl ChannelHandle<'_> {
    /// The name of Flink's class.
    pub fn class(&self) -> &'static str {
        match (self.side, &self.info) {
            (ChannelSide::Input, ChannelInfo::One { .. }) => "InputChannelStateHandle",
            (ChannelSide::Result, ChannelInfo::One { .. }) => "ResultSubpartitionStateHandle",
            (ChannelSide::Input, ChannelInfo::Merged(_)) => "MergedInputChannelStateHandle",
            (ChannelSide::Result, ChannelInfo::Merged(_)) => "MergedResultSubpartitionStateHandle",
        }
    }
}
