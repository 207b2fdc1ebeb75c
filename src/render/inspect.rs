//! `inspect --json`: everything in a `_metadata`, field names as Flink's own classes have them.
//!
//! The model is serialised as it is walked, so that a large file needs no second copy in memory.

use super::types::TypesJson;
use crate::format::{self, properties};
use crate::model::handle::{
    ByteStream, Changelog, ChangesInFiles, ChangesInMemory, Incremental, KeyGroups, KeyGroupsKind, LocalFile,
    MergingDirectories, Segment,
};
use crate::model::{
    ChannelHandle, ChannelInfo, ChannelSide, KeyedHandle, Location, MasterState, Metadata, OperatorHandle,
    OperatorState, Reference, StreamHandle, Subtask, SubtaskState, Version,
};
use crate::survey::heads::Heads;
use crate::survey::stock::ReferencedFile;
use crate::wire::JavaStr;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A `_metadata` with what is needed to show it.
pub struct Inspection<'m> {
    /// The snapshot's directory.
    pub path: String,
    /// The exclusive directory as Flink sees it; relative handles lie in it.
    pub exclusive: Location,
    /// Size in bytes of the `_metadata`.
    pub metadata_size: u64,
    /// What it holds.
    pub metadata: &'m Metadata<'m>,
    /// The heads of the state files of each operator, where they were read.
    pub heads: Option<Vec<Heads>>,
    /// The files that it refers to, by path.
    pub referenced_files: BTreeMap<String, ReferencedFile>,
}

impl Serialize for Inspection<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let metadata = self.metadata;
        let properties = metadata.properties.as_deref().and_then(properties::read);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("path", &self.path)?;
        map.serialize_entry("metadata_size", &self.metadata_size)?;
        map.serialize_entry("magic", &format!("{:08x}", format::MAGIC))?;
        map.serialize_entry("metadata_version", &metadata.version)?;
        map.serialize_entry("written_by", metadata.version.releases())?;
        map.serialize_entry("checkpoint_id", &metadata.checkpoint_id)?;
        map.serialize_entry("properties", &properties)?;
        map.serialize_entry("master_states", &Views(self, &metadata.master_states))?;
        map.serialize_entry("operators", &Views(self, &metadata.operators))?;
        map.serialize_entry("total_state_size", &metadata.state_size())?;
        map.serialize_entry("total_checkpointed_size", &metadata.checkpointed_size())?;
        map.serialize_entry("referenced_files", &self.referenced_files.values().collect::<Vec<_>>())?;
        map.serialize_entry("trailing_bytes", &metadata.trailing.len())?;
        map.end()
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A list of parts of the model.
struct Views<'i, I>(&'i Inspection<'i>, I);

impl<'i, I> Serialize for Views<'i, I>
where
    I: IntoIterator + Clone,
    View<'i, I::Item>: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.1.clone().into_iter().map(|item| View(self.0, item)))
    }
}

/// A part of the model, seen in its inspection.
struct View<'i, T>(&'i Inspection<'i>, T);

fn text_or_null<'t>(text: &'t JavaStr<'_>) -> Option<&'t JavaStr<'t>> {
    (!text.is_empty()).then_some(text)
}

impl Serialize for View<'_, &MasterState<'_>> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let View(_, state) = self;
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("name", &state.name)?;
        map.serialize_entry("version", &state.version)?;
        map.serialize_entry("size", &state.payload.len())?;
        map.serialize_entry("sha256", &sha256(&state.payload))?;
        map.end()
    }
}

impl Serialize for View<'_, &OperatorState<'_>> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let View(inspection, operator) = *self;
        let finished = operator.is_fully_finished();
        // As in Flink: by index, and the last one counts where an index stands twice.
        let subtasks: BTreeMap<i32, &Subtask<'_>> = operator.subtasks().iter().map(|s| (s.index, s)).collect();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("class", if finished { "FullyFinishedOperatorState" } else { "OperatorState" })?;
        map.serialize_entry("operator_id", &operator.id)?;
        map.serialize_entry("name", &text_or_null(&operator.name))?;
        map.serialize_entry("uid", &text_or_null(&operator.uid))?;
        map.serialize_entry("parallelism", &operator.parallelism)?;
        map.serialize_entry("max_parallelism", &operator.max_parallelism)?;
        map.serialize_entry("fully_finished", &finished)?;
        if inspection.metadata.version == Version::V2 {
            map.serialize_entry("chain_length", &operator.chain_length)?;
        }
        map.serialize_entry("state_size", &operator.state_size())?;
        map.serialize_entry("checkpointed_size", &operator.checkpointed_size())?;
        map.serialize_entry("coordinator_state", &operator.coordinator.as_ref().map(|s| View(inspection, s)))?;
        map.serialize_entry("subtasks", &Views(inspection, subtasks.values().copied()))?;
        if let Some(heads) = inspection.heads_of(operator) {
            map.serialize_entry("types", &TypesJson::new(heads))?;
        }
        map.end()
    }
}

impl Serialize for View<'_, &Subtask<'_>> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let View(inspection, subtask) = *self;
        let empty = SubtaskState::default();
        let state = subtask.state.as_deref().unwrap_or(&empty);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("index", &subtask.index)?;
        map.serialize_entry("finished", &subtask.finished)?;
        map.serialize_entry("state_size", &subtask.state_size())?;
        map.serialize_entry("checkpointed_size", &subtask.checkpointed_size())?;
        map.serialize_entry("managed_operator_state", &Views(inspection, state.managed_operator.handle.as_deref()))?;
        map.serialize_entry("raw_operator_state", &Views(inspection, state.raw_operator.handle.as_deref()))?;
        map.serialize_entry("managed_keyed_state", &Views(inspection, state.managed_keyed.as_deref()))?;
        map.serialize_entry("raw_keyed_state", &Views(inspection, state.raw_keyed.as_deref()))?;
        map.serialize_entry("input_channel_state", &Views(inspection, &state.input_channels))?;
        map.serialize_entry("upstream_output_buffer_state", &[(); 0])?;
        map.serialize_entry("result_subpartition_state", &Views(inspection, &state.result_subpartitions))?;
        if inspection.metadata.version == Version::V2 {
            map.serialize_entry("legacy_duration", &state.legacy.duration)?;
            map.serialize_entry("legacy_states", &state.legacy.states)?;
        }
        if let Reference::Checkpoint(id) = state.reference {
            map.serialize_entry("reference_checkpoint_id", &id)?;
        }
        map.end()
    }
}

impl Serialize for View<'_, &OperatorHandle<'_>> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let View(inspection, handle) = *self;
        let states: BTreeMap<String, StateJson<'_>> = handle
            .states
            .iter()
            .map(|state| (state.name.to_string(), StateJson { mode: state.mode.name(), offsets: &state.offsets }))
            .collect();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("class", handle.class())?;
        map.serialize_entry("states", &states)?;
        map.serialize_entry("state_size", &handle.state_size())?;
        map.serialize_entry("checkpointed_size", &handle.state_size())?;
        if let Some(dirs) = &handle.merging {
            let MergingDirectories { task_owned, shared, .. } = &**dirs;
            map.serialize_entry("task_owned_dir", &directory(task_owned))?;
            map.serialize_entry("shared_dir", &directory(shared))?;
        }
        map.serialize_entry("stream", &View(inspection, &handle.stream))?;
        map.end()
    }
}

#[derive(Serialize)]
struct StateJson<'m> {
    mode: &'static str,
    offsets: &'m [i64],
}

#[derive(Serialize)]
struct DirectoryJson {
    class: &'static str,
    directory: String,
}

fn directory(path: &JavaStr<'_>) -> DirectoryJson {
    DirectoryJson { class: "DirectoryStreamStateHandle", directory: flink_path(path) }
}

/// A path as Flink prints it once it has parsed it.
fn flink_path(path: &JavaStr<'_>) -> String {
    Location::parse(&path.to_str()).map_or_else(|_| path.to_string(), |place| place.to_string())
}

impl Serialize for View<'_, &KeyedHandle<'_>> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let View(inspection, handle) = *self;
        if let KeyedHandle::KeyGroups(groups) = handle {
            return View(inspection, groups).serialize(serializer);
        }
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("class", handle.class())?;
        map.serialize_entry("key_group_range", &handle.range())?;
        map.serialize_entry("state_size", &handle.state_size())?;
        map.serialize_entry("checkpointed_size", &handle.checkpointed_size())?;
        match handle {
            KeyedHandle::KeyGroups(_) => {}
            KeyedHandle::Incremental(h) => inspection.incremental(&mut map, h)?,
            KeyedHandle::Changelog(h) => inspection.changelog(&mut map, h)?,
            KeyedHandle::ChangesInMemory(h) => changes_in_memory(&mut map, h)?,
            KeyedHandle::ChangesInFiles(h) => inspection.changes_in_files(&mut map, h)?,
        }
        map.end()
    }
}

impl Inspection<'_> {
    fn heads_of(&self, operator: &OperatorState<'_>) -> Option<&Heads> {
        let index = self.metadata.operators.iter().position(|other| std::ptr::eq(other, operator))?;
        self.heads.as_ref()?.get(index)
    }

    fn incremental<M: SerializeMap>(&self, map: &mut M, handle: &Incremental<'_>) -> Result<(), M::Error> {
        map.serialize_entry("checkpoint_id", &handle.checkpoint_id)?;
        map.serialize_entry("backend_id", &handle.backend_id)?;
        map.serialize_entry("state_handle_id", &handle.extra.as_ref().map(|extra| &extra.state_handle_id))?;
        map.serialize_entry("meta", &View(self, &handle.meta))?;
        for (name, files) in [("shared", &handle.shared), ("private", &handle.private)] {
            let mut files: Vec<LocalFile<'_>> = files.iter().collect();
            // A map without an order in the releases that wrote these versions.
            if self.metadata.version <= Version::V3 {
                files.sort_by(|a, b| a.local_path.cmp(&b.local_path));
            }
            map.serialize_entry(name, &Views(self, &files))?;
        }
        Ok(())
    }

    fn changelog<M: SerializeMap>(&self, map: &mut M, handle: &Changelog<'_>) -> Result<(), M::Error> {
        map.serialize_entry("checkpoint_id", &handle.checkpoint_id)?;
        map.serialize_entry("materialization_id", &handle.extra.as_ref().map(|extra| extra.materialization_id))?;
        map.serialize_entry("state_handle_id", &handle.extra.as_ref().map(|extra| &extra.state_handle_id))?;
        for (name, parts) in [("materialized", &handle.materialized), ("non_materialized", &handle.non_materialized)] {
            map.serialize_entry(name, &Views(self, parts.iter().flatten()))?;
        }
        Ok(())
    }

    fn changes_in_files<M: SerializeMap>(&self, map: &mut M, handle: &ChangesInFiles<'_>) -> Result<(), M::Error> {
        map.serialize_entry("storage", &handle.storage)?;
        map.serialize_entry("state_handle_id", &handle.extra.as_ref().map(|extra| &extra.state_handle_id))?;
        map.serialize_entry("streams", &Views(self, &handle.streams))
    }
}

fn changes_in_memory<M: SerializeMap>(map: &mut M, handle: &ChangesInMemory<'_>) -> Result<(), M::Error> {
    map.serialize_entry("changes", &handle.changes.len())?;
    let sizes: Vec<(i32, usize)> =
        handle.changes.iter().map(|change| (change.key_group, change.change.len())).collect();
    map.serialize_entry("change_key_groups_and_sizes", &sizes)?;
    map.serialize_entry("from", &handle.from)?;
    map.serialize_entry("to", &handle.to)?;
    map.serialize_entry("state_handle_id", &handle.state_handle_id)
}

impl Serialize for View<'_, &(i64, StreamHandle<'_>)> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let View(inspection, (offset, stream)) = self;
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("offset", offset)?;
        map.serialize_entry("stream", &View(inspection, stream))?;
        map.end()
    }
}

impl Serialize for View<'_, &LocalFile<'_>> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let View(inspection, file) = self;
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("local_path", &file.local_path)?;
        map.serialize_entry("stream", &View(inspection, &file.stream))?;
        map.end()
    }
}

impl Serialize for View<'_, &KeyGroups<'_>> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let View(inspection, groups) = *self;
        let id = match &groups.kind {
            KeyGroupsKind::WithId(id) => Some(id),
            KeyGroupsKind::Plain | KeyGroupsKind::Savepoint => None,
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("class", groups.class())?;
        map.serialize_entry("key_group_range", &groups.range)?;
        map.serialize_entry("key_group_offsets", &groups.offsets)?;
        map.serialize_entry("state_handle_id", &id)?;
        map.serialize_entry("state_size", &groups.stream.state_size())?;
        map.serialize_entry("checkpointed_size", &groups.stream.state_size())?;
        map.serialize_entry("stream", &View(inspection, &groups.stream))?;
        map.end()
    }
}

impl Serialize for View<'_, &ChannelHandle<'_>> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let View(inspection, handle) = *self;
        let (outer, inner) = match handle.side {
            ChannelSide::Input => ("gate", "channel"),
            ChannelSide::Result => ("partition", "subpartition"),
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("class", handle.class())?;
        map.serialize_entry("subtask_index", &handle.subtask_index)?;
        match &handle.info {
            ChannelInfo::One { gate, channel, offsets } => {
                map.serialize_entry(outer, gate)?;
                map.serialize_entry(inner, channel)?;
                map.serialize_entry("offsets", offsets)?;
            }
            ChannelInfo::Merged(packed) => {
                let channels = format::merged_channels(packed).unwrap_or_default();
                let info = |channel: &format::MergedChannel| {
                    let size = serde_json::Value::from(channel.size);
                    let offsets = serde_json::Value::from(channel.offsets.clone());
                    let (gate, channel) = (channel.gate.into(), channel.channel.into());
                    BTreeMap::from([(outer, gate), (inner, channel), ("size", size), ("offsets", offsets)])
                };
                map.serialize_entry("infos", &channels.iter().map(info).collect::<Vec<_>>())?;
                map.serialize_entry("serialized_offsets_size", &packed.len())?;
                map.serialize_entry("serialized_offsets_sha256", &sha256(packed))?;
            }
        }
        map.serialize_entry("state_size", &handle.size)?;
        map.serialize_entry("stream", &View(inspection, &handle.stream))?;
        map.end()
    }
}

impl Serialize for View<'_, &StreamHandle<'_>> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let View(inspection, stream) = *self;
        if let StreamHandle::KeyGroups(groups) = stream {
            return View(inspection, &**groups).serialize(serializer);
        }
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("class", stream.class())?;
        match stream {
            StreamHandle::KeyGroups(_) => {}
            StreamHandle::Bytes(bytes) => {
                let ByteStream { name, data } = &**bytes;
                map.serialize_entry("name", name)?;
                map.serialize_entry("size", &data.len())?;
                map.serialize_entry("sha256", &sha256(data))?;
            }
            StreamHandle::File { size, path } => {
                map.serialize_entry("path", &flink_path(path))?;
                map.serialize_entry("size", size)?;
            }
            StreamHandle::Relative { size, path } => {
                let place = inspection.exclusive.join(&path.to_str());
                map.serialize_entry("path", &place.map_or_else(|_| path.to_string(), |place| place.to_string()))?;
                map.serialize_entry("relative_path", path)?;
                map.serialize_entry("size", size)?;
            }
            StreamHandle::Segment(segment) => {
                let Segment { start, size, scope, path, logical_file_id } = &**segment;
                map.serialize_entry("path", &flink_path(path))?;
                map.serialize_entry("start", start)?;
                map.serialize_entry("size", size)?;
                map.serialize_entry("scope", scope.name())?;
                map.serialize_entry("logical_file_id", logical_file_id)?;
            }
            StreamHandle::EmptySegment => {
                // What Flink's singleton says of itself.
                map.serialize_entry("path", "empty")?;
                map.serialize_entry("start", &0)?;
                map.serialize_entry("size", &0)?;
                map.serialize_entry("scope", "EXCLUSIVE")?;
                map.serialize_entry("logical_file_id", "DUMMY")?;
            }
        }
        map.end()
    }
}
