//! What one operator of a snapshot holds: sizes by kind of state and by place, its operator states, and a digest of it all
//! that does not depend on where the files lie.

use crate::model::handle::{ChannelHandle, ChannelInfo, ChannelSide, OperatorHandle};
use crate::model::{KeyedHandle, LocalFiles, OperatorState, Reference, StreamHandle};
use crate::survey::references::Place;
use crate::survey::resolve::Resolver;
use crate::wire::JavaStr;
use foldhash::{HashMap, HashMapExt as _};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The kinds of state of an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// State of its coordinator.
    Coordinator,
    /// Managed operator state.
    ManagedOperator,
    /// Raw operator state.
    RawOperator,
    /// Managed keyed state.
    ManagedKeyed,
    /// Raw keyed state.
    RawKeyed,
    /// In-flight buffers before it.
    InputChannel,
    /// In-flight buffers behind it.
    ResultSubpartition,
}

impl Kind {
    /// The kind in words.
    pub fn words(self) -> &'static str {
        match self {
            Kind::Coordinator => "coordinator",
            Kind::ManagedOperator => "operator",
            Kind::RawOperator => "raw operator",
            Kind::ManagedKeyed => "keyed",
            Kind::RawKeyed => "raw keyed",
            Kind::InputChannel => "input channels",
            Kind::ResultSubpartition => "result subpartitions",
        }
    }
}

/// Bytes of state as Flink adds them up (`StateObject.getStateSize`), by where they are. Sums wrap as Java's do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Amount {
    /// All of it.
    pub bytes: i64,
    /// In the `_metadata` itself.
    pub inline: i64,
    /// In files beside the `_metadata`.
    pub exclusive: i64,
    /// In files elsewhere, which other snapshots may use too.
    pub shared: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Where {
    Inline,
    Exclusive,
    Shared,
}

impl Amount {
    fn add(&mut self, place: Where, bytes: i64) {
        self.bytes = self.bytes.wrapping_add(bytes);
        let part = match place {
            Where::Inline => &mut self.inline,
            Where::Exclusive => &mut self.exclusive,
            Where::Shared => &mut self.shared,
        };
        *part = part.wrapping_add(bytes);
    }
}

/// One kind of state of an operator, over all its subtasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub amount: Amount,
    /// The class of the first handle.
    pub class: &'static str,
    /// Digest of what the handles say, names of files included and directories not.
    pub digest: [u8; 32],
}

/// One named operator state, over all subtasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Named {
    /// How it is handed out, by the name of Flink's constant.
    pub mode: &'static str,
    /// Partitions of it.
    pub elements: u64,
    /// Bytes of its partitions in the streams.
    pub bytes: u64,
}

/// What one operator holds.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub parts: BTreeMap<Kind, Part>,
    pub states: BTreeMap<(Kind, String), Named>,
    /// Names of its files, with how many handles name each.
    pub files: HashMap<String, u64>,
}

/// Takes an operator apart.
pub(super) fn of_operator<'m>(operator: &'m OperatorState<'m>, resolver: &mut Resolver<'m>) -> Content {
    let (content, open) = (Content { files: HashMap::new(), ..Content::default() }, BTreeMap::new());
    let mut walker = Walker { resolver, content, open };
    if let Some(stream) = &operator.coordinator {
        walker.stream(Kind::Coordinator, stream, stream.state_size());
    }
    for subtask in operator.subtasks() {
        let Some(state) = subtask.state.as_deref() else { continue };
        for (raw, handle) in state.operator_handles() {
            let kind = if raw { Kind::RawOperator } else { Kind::ManagedOperator };
            walker.start(kind, handle.class(), subtask.index, state.reference);
            walker.operator(kind, handle);
        }
        for (raw, handle) in state.keyed_handles() {
            let kind = if raw { Kind::RawKeyed } else { Kind::ManagedKeyed };
            walker.start(kind, handle.class(), subtask.index, state.reference);
            walker.keyed(kind, handle);
        }
        for handle in state.channel_handles() {
            let kind = match handle.side {
                ChannelSide::Input => Kind::InputChannel,
                ChannelSide::Result => Kind::ResultSubpartition,
            };
            walker.start(kind, handle.class(), subtask.index, state.reference);
            walker.channel(kind, handle);
        }
    }
    let Walker { mut content, open, .. } = walker;
    content.parts = open
        .into_iter()
        .map(|(kind, Open { amount, class, digest })| (kind, Part { amount, class, digest: digest.finalize().into() }))
        .collect();
    content
}

struct Open {
    amount: Amount,
    class: &'static str,
    digest: Sha256,
}

struct Walker<'r, 'm> {
    resolver: &'r mut Resolver<'m>,
    content: Content,
    open: BTreeMap<Kind, Open>,
}

impl<'m> Walker<'_, 'm> {
    fn part(&mut self, kind: Kind) -> &mut Open {
        self.open.entry(kind).or_insert_with(|| Open { amount: Amount::default(), class: "", digest: Sha256::new() })
    }

    fn number(&mut self, kind: Kind, number: i64) {
        self.part(kind).digest.update(number.to_be_bytes());
    }

    /// With its length before it, so that two lists of texts differ where their texts do.
    fn bytes(&mut self, kind: Kind, bytes: &[u8]) {
        let digest = &mut self.part(kind).digest;
        digest.update((bytes.len() as u64).to_be_bytes());
        digest.update(bytes);
    }

    fn start(&mut self, kind: Kind, class: &'static str, subtask: i32, reference: Reference) {
        let part = self.part(kind);
        if part.class.is_empty() {
            part.class = class;
        }
        self.number(kind, subtask.into());
        match reference {
            Reference::None(_) => self.number(kind, -1),
            Reference::Checkpoint(id) => self.number(kind, id),
        }
    }

    fn operator(&mut self, kind: Kind, handle: &'m OperatorHandle<'m>) {
        let size = handle.stream.state_size();
        let mut starts: Vec<i64> = handle.states.iter().flat_map(|state| &state.offsets).copied().collect();
        starts.sort_unstable();
        for state in &handle.states {
            self.bytes(kind, state.name.as_modified_utf8());
            self.bytes(kind, state.mode.name().as_bytes());
            let mut bytes = 0_u64;
            for &offset in &state.offsets {
                self.number(kind, offset);
                // A partition ends where the next one starts.
                let next = starts.get(starts.partition_point(|other| *other <= offset)).copied().unwrap_or(size);
                bytes = bytes.saturating_add(u64::try_from(next.saturating_sub(offset)).unwrap_or(0));
            }
            let named = Named { mode: state.mode.name(), elements: 0, bytes: 0 };
            let named = self.content.states.entry((kind, state.name.to_string())).or_insert(named);
            named.elements += state.offsets.len() as u64;
            named.bytes = named.bytes.saturating_add(bytes);
        }
        self.stream(kind, &handle.stream, size);
    }

    fn keyed(&mut self, kind: Kind, handle: &'m KeyedHandle<'m>) {
        self.bytes(kind, handle.class().as_bytes());
        self.number(kind, handle.range().start.into());
        self.number(kind, handle.range().count.into());
        match handle {
            KeyedHandle::KeyGroups(groups) => {
                groups.offsets.iter().for_each(|offset| self.number(kind, *offset));
                self.stream(kind, &groups.stream, groups.stream.state_size());
            }
            KeyedHandle::Incremental(database) => {
                self.stream(kind, &database.meta, database.meta.state_size());
                self.local_files(kind, &database.shared);
                self.local_files(kind, &database.private);
            }
            KeyedHandle::Changelog(changelog) => {
                let parts = changelog.materialized.iter().chain(&changelog.non_materialized);
                parts.flatten().for_each(|part| self.keyed(kind, part));
            }
            KeyedHandle::ChangesInMemory(changes) => {
                for change in &changes.changes {
                    self.number(kind, change.key_group.into());
                    self.bytes(kind, &change.change);
                }
                self.part(kind).amount.add(Where::Inline, handle.state_size());
            }
            KeyedHandle::ChangesInFiles(changes) => {
                // The handle has a size of its own.
                let mut place = Where::Shared;
                for (offset, stream) in &changes.streams {
                    self.number(kind, *offset);
                    place = self.told(kind, stream);
                }
                self.part(kind).amount.add(place, changes.size);
            }
        }
    }

    fn local_files(&mut self, kind: Kind, files: &LocalFiles<'m>) {
        // In versions 2 and 3 they have no order.
        let mut files: Vec<_> = files.iter().collect();
        files.sort_by(|a, b| a.local_path.cmp(&b.local_path));
        for file in files {
            self.bytes(kind, file.local_path.as_modified_utf8());
            let size = file.stream.state_size();
            let place = self.told(kind, &file.stream);
            self.part(kind).amount.add(place, size);
        }
    }

    fn channel(&mut self, kind: Kind, handle: &'m ChannelHandle<'m>) {
        self.number(kind, handle.subtask_index.map_or(-1, i64::from));
        match &handle.info {
            ChannelInfo::One { gate, channel, offsets } => {
                self.number(kind, (*gate).into());
                self.number(kind, (*channel).into());
                offsets.iter().for_each(|offset| self.number(kind, *offset));
            }
            ChannelInfo::Merged(packed) => self.bytes(kind, packed),
        }
        // Several handles may name one stream, and each has a size of its own.
        self.stream(kind, &handle.stream, handle.size);
    }

    fn stream(&mut self, kind: Kind, stream: &StreamHandle<'m>, size: i64) {
        let place = self.told(kind, stream);
        self.part(kind).amount.add(place, size);
    }

    /// Tells the digest of a stream, and says where it is.
    fn told(&mut self, kind: Kind, stream: &StreamHandle<'m>) -> Where {
        let (place, start, size) = match stream {
            StreamHandle::Bytes(bytes) => {
                self.bytes(kind, &bytes.data);
                return Where::Inline;
            }
            StreamHandle::EmptySegment => {
                self.bytes(kind, &[]);
                return Where::Inline;
            }
            StreamHandle::KeyGroups(groups) => return self.told(kind, &groups.stream),
            StreamHandle::File { size, path } => (Place::Absolute(path.clone()), 0, *size),
            StreamHandle::Relative { size, path } => (Place::Relative(path.clone()), 0, *size),
            StreamHandle::Segment(segment) => (Place::Absolute(segment.path.clone()), segment.start, segment.size),
        };
        self.number(kind, start);
        self.number(kind, size);
        let (name, place) = match self.resolver.resolve(&place) {
            Ok(file) => (file.name.to_string(), if file.dir == 0 { Where::Exclusive } else { Where::Shared }),
            Err(_) => (text_of(&place), Where::Shared),
        };
        self.bytes(kind, name.as_bytes());
        *self.content.files.entry(name).or_default() += 1;
        place
    }
}

fn text_of(place: &Place<'_>) -> String {
    let (Place::Absolute(path) | Place::Relative(path)) = place;
    JavaStr::to_string(path)
}
