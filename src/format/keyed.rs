//! Keyed state handles (`MetadataV2V3SerializerBase.serializeKeyedStateHandle`).

use super::dialect::Variant;
use super::operator::read_offsets;
use super::{Version, descend, lacks, stream};
use crate::model::handle::{
    Changelog, ChangelogExtra, ChangesExtra, ChangesInFiles, ChangesInMemory, Incremental, IncrementalExtra, KeyGroups,
    KeyGroupsKind, LocalFile, StateChange,
};
use crate::model::{KeyGroupRange, KeyedHandle, LocalFiles};
use crate::wire::{Budget, Decoded, EncodeError, Problem, Reader, Writer};
use std::borrow::Cow;

const NULL: u8 = 0;
const KEY_GROUPS: u8 = 3;
const INCREMENTAL: u8 = 5;
const SAVEPOINT_KEY_GROUPS: u8 = 7;
const CHANGELOG: u8 = 8;
const CHANGES_IN_MEMORY: u8 = 9;
const CHANGES_IN_FILES: u8 = 10;
/// Tag 5 with the checkpointed size and the id of the handle.
const INCREMENTAL_V2: u8 = 11;
/// Tag 3 with the id of the handle.
const KEY_GROUPS_V2: u8 = 12;
/// Tag 10 with the identifier of the storage.
const CHANGES_IN_FILES_V2: u8 = 13;
/// Tag 8 with the checkpoint id.
const CHANGELOG_V2: u8 = 14;

pub(super) fn read_boxed<'a>(
    reader: &mut Reader<'a>,
    budget: &mut Budget,
    variant: Variant,
) -> Decoded<Option<Box<KeyedHandle<'a>>>> {
    read(reader, budget, variant, 0)?.map(|handle| budget.boxed(reader, handle)).transpose()
}

fn read<'a>(
    reader: &mut Reader<'a>,
    budget: &mut Budget,
    variant: Variant,
    depth: u32,
) -> Decoded<Option<KeyedHandle<'a>>> {
    let at = reader.offset();
    let handle = match reader.u8()? {
        NULL => return Ok(None),
        tag @ (KEY_GROUPS | KEY_GROUPS_V2 | SAVEPOINT_KEY_GROUPS) => {
            KeyedHandle::KeyGroups(read_key_groups(reader, budget, tag)?)
        }
        tag @ (INCREMENTAL | INCREMENTAL_V2) => {
            let handle = read_incremental(reader, budget, tag == INCREMENTAL_V2)?;
            KeyedHandle::Incremental(budget.boxed(reader, handle)?)
        }
        tag @ (CHANGELOG | CHANGELOG_V2) => {
            let fields = Fields { extra: variant != Variant::Flink114, second: tag == CHANGELOG_V2 };
            let handle = read_changelog(reader, budget, variant, fields, depth)?;
            KeyedHandle::Changelog(budget.boxed(reader, handle)?)
        }
        CHANGES_IN_MEMORY => {
            let handle = read_changes_in_memory(reader, budget, variant)?;
            KeyedHandle::ChangesInMemory(budget.boxed(reader, handle)?)
        }
        tag @ (CHANGES_IN_FILES | CHANGES_IN_FILES_V2) => {
            let fields = Fields { extra: variant != Variant::Flink114, second: tag == CHANGES_IN_FILES_V2 };
            let handle = read_changes_in_files(reader, budget, fields)?;
            KeyedHandle::ChangesInFiles(budget.boxed(reader, handle)?)
        }
        tag => {
            return Err(reader.error_at(at, Problem::UnknownTag { what: "keyed state handle", tag: tag.into() }));
        }
    };
    Ok(Some(handle))
}

/// Which fields a handle has.
#[derive(Clone, Copy)]
struct Fields {
    /// Those that Flink 1.15 added under the same tag.
    extra: bool,
    /// Those of the second tag.
    second: bool,
}

/// The fields that Flink 1.15 added, which only version 3 may lack.
fn needed<T>(extra: Option<&T>, version: Version) -> Result<Option<&T>, EncodeError> {
    match extra {
        None if version != Version::V3 => Err(lacks(version, "a changelog handle without sizes and ids")),
        extra => Ok(extra),
    }
}

pub(super) fn write(out: &mut Writer, version: Version, handle: Option<&KeyedHandle<'_>>) -> Result<(), EncodeError> {
    match handle {
        None => {
            out.u8(NULL);
            Ok(())
        }
        Some(KeyedHandle::KeyGroups(h)) => write_key_groups(out, h),
        Some(KeyedHandle::Incremental(h)) => write_incremental(out, h),
        Some(KeyedHandle::Changelog(h)) => write_changelog(out, version, h),
        Some(KeyedHandle::ChangesInMemory(h)) => write_changes_in_memory(out, version, h),
        Some(KeyedHandle::ChangesInFiles(h)) => write_changes_in_files(out, version, h),
    }
}

/// First key group and number of key groups. Flink's `KeyGroupRange` refuses a negative start of a range that is
/// not empty.
fn read_range(reader: &mut Reader<'_>) -> Decoded<KeyGroupRange> {
    let at = reader.offset();
    let range = KeyGroupRange { start: reader.i32()?, count: reader.i32()? };
    match range.start < 0 && !range.is_empty() {
        true => Err(reader.invalid_at(at, format_args!("key groups that start at {}", range.start))),
        false => Ok(range),
    }
}

fn write_range(out: &mut Writer, range: KeyGroupRange) {
    out.i32(range.start);
    out.i32(range.count);
}

/// A range and one offset for each of its key groups (`KeyGroupRangeOffsets`).
pub(super) fn read_range_and_offsets(
    reader: &mut Reader<'_>,
    budget: &mut Budget,
) -> Decoded<(KeyGroupRange, Vec<i64>)> {
    let at = reader.offset();
    let mut ahead = Reader::clone(reader);
    let range = read_range(reader)?;
    ahead.i32()?;
    let count = ahead.count("the number of key groups", 8)?;
    if range.is_empty() && count != 0 {
        return Err(reader.invalid_at(at, "key groups beyond the largest number there is"));
    }
    Ok((range, read_offsets(reader, budget, count)?))
}

pub(super) fn write_range_and_offsets(out: &mut Writer, range: KeyGroupRange, offsets: &[i64]) {
    write_range(out, range);
    offsets.iter().for_each(|offset| out.i64(*offset));
}

fn read_key_groups<'a>(reader: &mut Reader<'a>, budget: &mut Budget, tag: u8) -> Decoded<KeyGroups<'a>> {
    let (range, offsets) = read_range_and_offsets(reader, budget)?;
    let stream = stream::required(reader, budget, 0)?;
    let kind = match tag {
        KEY_GROUPS_V2 => KeyGroupsKind::WithId(reader.utf()?),
        SAVEPOINT_KEY_GROUPS => KeyGroupsKind::Savepoint,
        _ => KeyGroupsKind::Plain,
    };
    Ok(KeyGroups { kind, range, offsets, stream })
}

fn write_key_groups(out: &mut Writer, handle: &KeyGroups<'_>) -> Result<(), EncodeError> {
    out.u8(match handle.kind {
        KeyGroupsKind::Plain => KEY_GROUPS,
        KeyGroupsKind::WithId(_) => KEY_GROUPS_V2,
        KeyGroupsKind::Savepoint => SAVEPOINT_KEY_GROUPS,
    });
    write_range_and_offsets(out, handle.range, &handle.offsets);
    stream::write(out, Some(&handle.stream))?;
    match &handle.kind {
        KeyGroupsKind::WithId(id) => out.utf(id),
        KeyGroupsKind::Plain | KeyGroupsKind::Savepoint => Ok(()),
    }
}

/// `MetadataV2V3SerializerBase.deserializeIncrementalStateHandle`.
fn read_incremental<'a>(reader: &mut Reader<'a>, budget: &mut Budget, v2: bool) -> Decoded<Incremental<'a>> {
    let checkpoint_id = reader.i64()?;
    let backend_id = reader.utf()?;
    let range = read_range(reader)?;
    let checkpointed_size = if v2 { reader.i64()? } else { -1 };
    let meta = stream::required(reader, budget, 0)?;
    let shared = read_local_files(reader, budget)?;
    let private = read_local_files(reader, budget)?;
    let extra = match v2 {
        true => Some(IncrementalExtra { checkpointed_size, state_handle_id: reader.utf()? }),
        false => None,
    };
    Ok(Incremental { checkpoint_id, backend_id, range, meta, shared, private, extra })
}

fn write_incremental(out: &mut Writer, handle: &Incremental<'_>) -> Result<(), EncodeError> {
    out.u8(if handle.extra.is_some() { INCREMENTAL_V2 } else { INCREMENTAL });
    out.i64(handle.checkpoint_id);
    out.utf(&handle.backend_id)?;
    write_range(out, handle.range);
    if let Some(extra) = &handle.extra {
        out.i64(extra.checkpointed_size);
    }
    stream::write(out, Some(&handle.meta))?;
    write_local_files(out, &handle.shared)?;
    write_local_files(out, &handle.private)?;
    match &handle.extra {
        Some(extra) => out.utf(&extra.state_handle_id),
        None => Ok(()),
    }
}

/// `MetadataV2V3SerializerBase.deserializeHandleAndLocalPathList`, a map until Flink 1.17.
fn read_local_files<'a>(reader: &mut Reader<'a>, budget: &mut Budget) -> Decoded<LocalFiles<'a>> {
    // A name and a handle.
    let count = reader.count("the number of files", 3)?;
    LocalFiles::read(reader, budget, count, check_local_file, read_local_file)
}

fn check_local_file(reader: &mut Reader<'_>, budget: &mut Budget) -> Decoded<i64> {
    reader.pass_utf()?;
    stream::check(reader, budget)
}

fn read_local_file<'a>(reader: &mut Reader<'a>, budget: &mut Budget) -> Decoded<LocalFile<'a>> {
    let local_path = reader.utf()?;
    Ok(LocalFile { local_path, stream: stream::required(reader, budget, 0)? })
}

fn write_local_files(out: &mut Writer, files: &LocalFiles<'_>) -> Result<(), EncodeError> {
    out.count("files", files.len())?;
    if let Some(bytes) = files.encoded() {
        out.raw(bytes);
        return Ok(());
    }
    files.listed().unwrap_or_default().iter().try_for_each(|file| {
        out.utf(&file.local_path)?;
        stream::write(out, Some(&file.stream))
    })
}

fn read_changelog<'a>(
    reader: &mut Reader<'a>,
    budget: &mut Budget,
    variant: Variant,
    fields: Fields,
    depth: u32,
) -> Decoded<Changelog<'a>> {
    let depth = descend(reader, depth)?;
    let at = reader.offset();
    let range = read_range(reader)?;
    if range.is_empty() {
        return Err(reader.invalid_at(at, "a changelog handle without key groups"));
    }
    let checkpointed_size = if fields.extra { reader.i64()? } else { 0 };
    let materialized = read_parts(reader, budget, variant, "the number of materialized handles", depth)?;
    let at = reader.offset();
    let non_materialized = read_parts(reader, budget, variant, "the number of non-materialized handles", depth)?;
    if !non_materialized.iter().all(is_changes) {
        return Err(reader.invalid_at(at, "a non-materialized part that is not a list of changes"));
    }
    let materialization_id = if fields.extra { reader.i64()? } else { 0 };
    let checkpoint_id = if fields.second { Some(reader.i64()?) } else { None };
    let extra = match fields.extra {
        true => Some(ChangelogExtra { checkpointed_size, materialization_id, state_handle_id: reader.utf()? }),
        false => None,
    };
    Ok(Changelog { range, materialized, non_materialized, extra, checkpoint_id })
}

/// What Flink casts the non-materialized parts to (`ChangelogStateHandle`).
fn is_changes(part: &Option<KeyedHandle<'_>>) -> bool {
    matches!(part, Some(KeyedHandle::ChangesInMemory(_) | KeyedHandle::ChangesInFiles(_)))
}

fn read_parts<'a>(
    reader: &mut Reader<'a>,
    budget: &mut Budget,
    variant: Variant,
    what: &'static str,
    depth: u32,
) -> Decoded<Vec<Option<KeyedHandle<'a>>>> {
    let count = reader.count(what, 1)?;
    let mut parts = budget.vec(reader, count)?;
    for _ in 0..count {
        parts.push(read(reader, budget, variant, depth)?);
    }
    Ok(parts)
}

fn write_changelog(out: &mut Writer, version: Version, handle: &Changelog<'_>) -> Result<(), EncodeError> {
    let extra = needed(handle.extra.as_ref(), version)?;
    out.u8(if handle.checkpoint_id.is_some() { CHANGELOG_V2 } else { CHANGELOG });
    write_range(out, handle.range);
    if let Some(extra) = extra {
        out.i64(extra.checkpointed_size);
    }
    for parts in [&handle.materialized, &handle.non_materialized] {
        out.count("changelog parts", parts.len())?;
        parts.iter().try_for_each(|part| write(out, version, part.as_ref()))?;
    }
    if let Some(extra) = extra {
        out.i64(extra.materialization_id);
    }
    if let Some(id) = handle.checkpoint_id {
        out.i64(id);
    }
    match extra {
        Some(extra) => out.utf(&extra.state_handle_id),
        None => Ok(()),
    }
}

fn read_changes_in_memory<'a>(
    reader: &mut Reader<'a>,
    budget: &mut Budget,
    variant: Variant,
) -> Decoded<ChangesInMemory<'a>> {
    let range = read_range(reader)?;
    let at = reader.offset();
    let (from, to) = (reader.i64()?, reader.i64()?);
    if from < 0 || to < 0 {
        return Err(reader.invalid_at(at, format_args!("sequence numbers {from} to {to}")));
    }
    let count = reader.count("the number of changes", 8)?;
    let mut changes = budget.vec(reader, count)?;
    for _ in 0..count {
        let at = reader.offset();
        let key_group = reader.i32()?;
        if key_group < -1 {
            return Err(reader.invalid_at(at, format_args!("a change of key group {key_group}")));
        }
        changes.push(StateChange { key_group, change: Cow::Borrowed(reader.bytes("the length of a change")?) });
    }
    let state_handle_id = if variant == Variant::Flink114 { None } else { Some(reader.utf()?) };
    Ok(ChangesInMemory { range, from, to, changes, state_handle_id })
}

fn write_changes_in_memory(
    out: &mut Writer,
    version: Version,
    handle: &ChangesInMemory<'_>,
) -> Result<(), EncodeError> {
    let state_handle_id = needed(handle.state_handle_id.as_ref(), version)?;
    out.u8(CHANGES_IN_MEMORY);
    write_range(out, handle.range);
    out.i64(handle.from);
    out.i64(handle.to);
    out.count("changes", handle.changes.len())?;
    for change in &handle.changes {
        out.i32(change.key_group);
        out.bytes("bytes of a change", &change.change)?;
    }
    match state_handle_id {
        Some(id) => out.utf(id),
        None => Ok(()),
    }
}

fn read_changes_in_files<'a>(
    reader: &mut Reader<'a>,
    budget: &mut Budget,
    fields: Fields,
) -> Decoded<ChangesInFiles<'a>> {
    let range = read_range(reader)?;
    // An offset and a handle.
    let count = reader.count("the number of changelog files", 9)?;
    let mut streams = budget.vec(reader, count)?;
    for _ in 0..count {
        let offset = reader.i64()?;
        streams.push((offset, stream::required(reader, budget, 0)?));
    }
    let size = reader.i64()?;
    let extra = match fields.extra {
        true => Some(ChangesExtra { checkpointed_size: reader.i64()?, state_handle_id: reader.utf()? }),
        false => None,
    };
    let storage = if fields.second { Some(reader.utf()?) } else { None };
    Ok(ChangesInFiles { range, streams, size, extra, storage })
}

fn write_changes_in_files(out: &mut Writer, version: Version, handle: &ChangesInFiles<'_>) -> Result<(), EncodeError> {
    let extra = needed(handle.extra.as_ref(), version)?;
    out.u8(if handle.storage.is_some() { CHANGES_IN_FILES_V2 } else { CHANGES_IN_FILES });
    write_range(out, handle.range);
    out.count("changelog files", handle.streams.len())?;
    for (offset, stream) in &handle.streams {
        out.i64(*offset);
        stream::write(out, Some(stream))?;
    }
    out.i64(handle.size);
    if let Some(extra) = extra {
        out.i64(extra.checkpointed_size);
        out.utf(&extra.state_handle_id)?;
    }
    match &handle.storage {
        Some(storage) => out.utf(storage),
        None => Ok(()),
    }
}
