//! Every file that a `_metadata` refers to, with its owner and what Flink wants of it.

use crate::format::merged_channels;
use crate::model::handle::{Changelog, Incremental};
use crate::model::{
    ChannelHandle, ChannelInfo, ChannelSide, KeyGroupRange, KeyedHandle, LocalFiles, Metadata, OperatorHandle,
    StreamHandle, SubtaskState,
};
use crate::wire::JavaStr;

/// One handle that names a file.
#[derive(Debug, Clone)]
pub struct Reference<'m> {
    /// Whose state it is.
    pub owner: Owner,
    /// What state it is.
    pub state: StateKind,
    /// The name of the file in its embedded database, where it is one of those.
    pub local_path: Option<JavaStr<'m>>,
    /// Where the file is.
    pub place: Place<'m>,
    /// Which part of the file counts.
    pub extent: Extent,
}

/// The owner of a piece of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// Index of the operator in [`Metadata::operators`].
    pub operator: usize,
    /// Index of the subtask.
    pub subtask: i32,
    /// The key groups, of keyed state.
    pub key_groups: Option<KeyGroupRange>,
}

/// Where the file of a reference is.
#[derive(Debug, Clone, PartialEq)]
pub enum Place<'m> {
    /// At a path of its own.
    Absolute(JavaStr<'m>),
    /// In the exclusive directory of the snapshot.
    Relative(JavaStr<'m>),
}

/// Which part of a file a reference means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All of it; the size in bytes, −1 where Flink did not know it.
    Whole(i64),
    /// A segment of it.
    Segment {
        /// Offset of the first byte.
        start: i64,
        /// Length in bytes.
        size: i64,
    },
}

impl Extent {
    /// Bytes that the reference means; 0 where the size is not known.
    pub fn bytes(self) -> u64 {
        match self {
            Extent::Whole(size) | Extent::Segment { size, .. } => u64::try_from(size).unwrap_or(0),
        }
    }

    /// The size that the file must have at least.
    pub fn end(self) -> i64 {
        match self {
            Extent::Whole(size) => size,
            Extent::Segment { start, size } => start.wrapping_add(size),
        }
    }
}

/// The positions in a stream that a handle names: of key groups, partitions, buffers or changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Offsets {
    /// The largest of them.
    pub last: Option<i64>,
    /// Whether something must follow at each of them. An empty partition may start where the stream ends.
    pub needs_bytes: bool,
    /// What no Flink writes, and stumbles over.
    pub fault: Option<&'static str>,
}

impl Offsets {
    /// Of state in which every position is followed by something.
    fn needed(offsets: impl Iterator<Item = i64>) -> Self {
        Offsets { last: offsets.max(), needs_bytes: true, fault: None }
    }

    /// Of key groups. In managed state they follow each other; 0 stands for "none" in the canonical format, and −1
    /// may do so in raw state.
    fn of_key_groups(raw: bool, offsets: &[i64]) -> Self {
        let mut last = None;
        let mut fault = None;
        for &offset in offsets {
            if offset < -1 || (offset < 0 && !raw) {
                fault = Some("a key group that starts before the stream does");
            }
            if offset > 0 {
                if !raw && last.is_some_and(|last| offset <= last) {
                    fault = Some("key groups that do not follow each other");
                }
                last = last.max(Some(offset));
            }
        }
        Offsets { last, needs_bytes: !raw, fault }
    }

    /// Of in-flight buffers.
    fn of_channels(info: &ChannelInfo<'_>) -> Self {
        match info {
            ChannelInfo::One { offsets, .. } => Offsets::needed(offsets.iter().copied()),
            ChannelInfo::Merged(packed) => match merged_channels(packed) {
                Ok(channels) => Offsets::needed(channels.iter().flat_map(|channel| &channel.offsets).copied()),
                Err(_) => Offsets { fault: Some("merged channels that cannot be taken apart"), ..Offsets::default() },
            },
        }
    }
}

/// What kind of state a file holds; it decides what Flink does when the size is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateKind {
    /// State of an operator's coordinator.
    Coordinator,
    /// Managed operator state.
    ManagedOperator,
    /// Raw operator state.
    RawOperator,
    /// A key-group stream of managed keyed state.
    ManagedKeyed,
    /// A key-group stream of raw keyed state.
    RawKeyed,
    /// The description of the states of an embedded database.
    DatabaseMeta,
    /// A file of an embedded database that checkpoints may share.
    DatabaseShared,
    /// A file of an embedded database of this checkpoint alone.
    DatabasePrivate,
    /// A file of changes, written by Flink's own changelog storage.
    Changes,
    /// A file of changes, written by another storage.
    ForeignChanges,
    /// In-flight buffers before an operator.
    InputChannel,
    /// In-flight buffers behind an operator.
    ResultSubpartition,
}

impl StateKind {
    /// The kind in words.
    pub fn words(self) -> &'static str {
        match self {
            StateKind::Coordinator => "coordinator state",
            StateKind::ManagedOperator => "managed operator state",
            StateKind::RawOperator => "raw operator state",
            StateKind::ManagedKeyed => "managed keyed state",
            StateKind::RawKeyed => "raw keyed state",
            StateKind::DatabaseMeta => "managed keyed state, description",
            StateKind::DatabaseShared => "managed keyed state, shared file",
            StateKind::DatabasePrivate => "managed keyed state, private file",
            StateKind::Changes | StateKind::ForeignChanges => "managed keyed state, changelog",
            StateKind::InputChannel => "input channel state",
            StateKind::ResultSubpartition => "result subpartition state",
        }
    }
}

impl Reference<'_> {
    /// What state it is, in words.
    pub fn describe(&self) -> String {
        match &self.local_path {
            Some(name) => format!("{} {name}", self.state.words()),
            None => self.state.words().to_owned(),
        }
    }
}

/// Calls `each` for every reference to a file, in the order of the `_metadata`.
pub fn walk<'m>(metadata: &Metadata<'m>, mut each: impl FnMut(Reference<'m>)) {
    walk_streams(metadata, |part, stream| {
        let (place, extent) = match stream {
            StreamHandle::File { size, path } => (Place::Absolute(path.clone()), Extent::Whole(*size)),
            StreamHandle::Relative { size, path } => (Place::Relative(path.clone()), Extent::Whole(*size)),
            StreamHandle::Segment(segment) => {
                (Place::Absolute(segment.path.clone()), Extent::Segment { start: segment.start, size: segment.size })
            }
            StreamHandle::Bytes(_) | StreamHandle::EmptySegment | StreamHandle::KeyGroups(_) => {
                return;
            }
        };
        let Part { owner, state, local_path, offsets: _ } = part;
        each(Reference { owner, state, local_path, place, extent });
    });
}

/// A number of references to make room for: a little more than most files of Flink's have.
pub fn at_most(metadata: &Metadata<'_>) -> usize {
    let states = metadata.operators.iter().flat_map(|op| op.subtasks()).filter_map(|subtask| subtask.state.as_deref());
    let files = |state: &SubtaskState<'_>| match state.managed_keyed.as_deref() {
        Some(KeyedHandle::Incremental(h)) => h.shared.len() + h.private.len(),
        _ => 0,
    };
    states.map(|state| files(state) + 4).sum()
}

/// What a stream is a part of.
#[derive(Debug, Clone)]
pub struct Part<'m> {
    /// Whose state it is.
    pub owner: Owner,
    /// What state it is.
    pub state: StateKind,
    /// The name of the file in its embedded database, where it is one of those.
    pub local_path: Option<JavaStr<'m>>,
    /// What the handle says of positions in the stream.
    pub offsets: Offsets,
}

/// Calls `each` for every stream, in line or in a file, in the order of the `_metadata`.
pub fn walk_streams<'m>(metadata: &Metadata<'m>, mut each: impl FnMut(Part<'m>, &StreamHandle<'m>)) {
    for (index, operator) in metadata.operators.iter().enumerate() {
        let mut walker = Walker { owner: Owner { operator: index, subtask: 0, key_groups: None }, each: &mut each };
        if let Some(stream) = &operator.coordinator {
            walker.stream(StateKind::Coordinator, None, stream, Offsets::default());
        }
        for subtask in operator.subtasks() {
            let Some(state) = &subtask.state else {
                continue;
            };
            walker.owner.subtask = subtask.index;
            walker.owner.key_groups = None;
            state.operator_handles().for_each(|(raw, handle)| walker.operator(raw, handle));
            state.keyed_handles().for_each(|(raw, handle)| walker.keyed(raw, handle));
            walker.owner.key_groups = None;
            state.channel_handles().for_each(|handle| walker.channel(handle));
        }
    }
}

struct Walker<'w, F> {
    owner: Owner,
    each: &'w mut F,
}

impl<'m, F: FnMut(Part<'m>, &StreamHandle<'m>)> Walker<'_, F> {
    fn stream(
        &mut self,
        state: StateKind,
        local_path: Option<JavaStr<'m>>,
        stream: &StreamHandle<'m>,
        offsets: Offsets,
    ) {
        if let StreamHandle::KeyGroups(groups) = stream {
            return self.stream(state, local_path, &groups.stream, offsets);
        }
        (self.each)(Part { owner: self.owner, state, local_path, offsets }, stream);
    }

    fn operator(&mut self, raw: bool, handle: &OperatorHandle<'m>) {
        let state = if raw { StateKind::RawOperator } else { StateKind::ManagedOperator };
        let last = handle.states.iter().flat_map(|state| &state.offsets).copied().max();
        self.stream(state, None, &handle.stream, Offsets { last, ..Offsets::default() });
    }

    fn keyed(&mut self, raw: bool, handle: &KeyedHandle<'m>) {
        self.owner.key_groups = Some(handle.range());
        let state = if raw { StateKind::RawKeyed } else { StateKind::ManagedKeyed };
        match handle {
            KeyedHandle::KeyGroups(h) => self.stream(state, None, &h.stream, Offsets::of_key_groups(raw, &h.offsets)),
            KeyedHandle::Incremental(h) => self.incremental(h),
            KeyedHandle::Changelog(h) => self.changelog(raw, h),
            KeyedHandle::ChangesInFiles(h) => {
                let own = h.storage.as_ref().is_none_or(|storage| storage.as_modified_utf8() == b"filesystem");
                let state = if own { StateKind::Changes } else { StateKind::ForeignChanges };
                for (offset, stream) in &h.streams {
                    self.stream(state, None, stream, Offsets::needed(std::iter::once(*offset)));
                }
            }
            KeyedHandle::ChangesInMemory(_) => {}
        }
    }

    fn incremental(&mut self, handle: &Incremental<'m>) {
        self.stream(StateKind::DatabaseMeta, None, &handle.meta, Offsets::default());
        let mut files = |state, list: &LocalFiles<'m>| {
            list.iter().for_each(|file| self.stream(state, Some(file.local_path), &file.stream, Offsets::default()));
        };
        files(StateKind::DatabaseShared, &handle.shared);
        files(StateKind::DatabasePrivate, &handle.private);
    }

    fn changelog(&mut self, raw: bool, handle: &Changelog<'m>) {
        for part in handle.materialized.iter().chain(&handle.non_materialized).flatten() {
            self.keyed(raw, part);
        }
    }

    fn channel(&mut self, handle: &ChannelHandle<'m>) {
        let state = match handle.side {
            ChannelSide::Input => StateKind::InputChannel,
            ChannelSide::Result => StateKind::ResultSubpartition,
        };
        self.stream(state, None, &handle.stream, Offsets::of_channels(&handle.info));
    }
}
