//! Stream state handles (`MetadataV2V3SerializerBase.serializeStreamStateHandle`).

use super::descend;
use crate::model::handle::{ByteStream, KeyGroups, KeyGroupsKind, Segment};
use crate::model::{StateScope, StreamHandle};
use crate::wire::{Budget, Decoded, EncodeError, JavaStr, Problem, Reader, Writer};
use std::borrow::Cow;

const NULL: u8 = 0;
const BYTE_STREAM: u8 = 1;
const FILE: u8 = 2;
const KEY_GROUPS: u8 = 3;
const RELATIVE: u8 = 6;
const SEGMENT: u8 = 15;
const EMPTY_SEGMENT: u8 = 16;

const EMPTY_PATH: &str = "an empty path";

/// Reads a handle; `None` for a null one.
#[inline]
pub(super) fn read<'a>(reader: &mut Reader<'a>, budget: &mut Budget, depth: u32) -> Decoded<Option<StreamHandle<'a>>> {
    let at = reader.offset();
    let handle = match reader.u8()? {
        NULL => return Ok(None),
        FILE => {
            let size = read_size(reader)?;
            StreamHandle::File { size, path: read_path(reader)? }
        }
        RELATIVE => {
            let path = read_path(reader)?;
            StreamHandle::Relative { size: read_size(reader)?, path }
        }
        BYTE_STREAM => {
            let name = reader.utf()?;
            let data = Cow::Borrowed(reader.bytes("the length of in-line state")?);
            StreamHandle::Bytes(budget.boxed(reader, ByteStream { name, data })?)
        }
        KEY_GROUPS => {
            let depth = descend(reader, depth)?;
            let (range, offsets) = super::keyed::read_range_and_offsets(reader, budget)?;
            let stream = required(reader, budget, depth)?;
            let groups = KeyGroups { kind: KeyGroupsKind::Plain, range, offsets, stream };
            StreamHandle::KeyGroups(budget.boxed(reader, groups)?)
        }
        SEGMENT => StreamHandle::Segment(read_segment(reader, budget)?),
        EMPTY_SEGMENT => StreamHandle::EmptySegment,
        tag => {
            return Err(reader.error_at(at, Problem::UnknownTag { what: "stream state handle", tag: tag.into() }));
        }
    };
    Ok(Some(handle))
}

/// Checks a handle as [`required`] does, and passes over it; gives its size. Whole files, of which a large `_metadata`
/// has hundreds of thousands, are not made into handles for it.
#[inline]
pub(super) fn check(reader: &mut Reader<'_>, budget: &mut Budget) -> Decoded<i64> {
    match reader.rest().first() {
        Some(&FILE) => {
            reader.u8()?;
            let size = read_size(reader)?;
            pass_path(reader)?;
            Ok(size)
        }
        Some(&RELATIVE) => {
            reader.u8()?;
            pass_path(reader)?;
            read_size(reader)
        }
        _ => Ok(required(reader, budget, 0)?.state_size()),
    }
}

/// Reads a handle where Flink's constructors refuse a null one.
#[inline]
pub(super) fn required<'a>(reader: &mut Reader<'a>, budget: &mut Budget, depth: u32) -> Decoded<StreamHandle<'a>> {
    let at = reader.offset();
    read(reader, budget, depth)?.ok_or_else(|| reader.invalid_at(at, "a null handle where state must be"))
}

pub(super) fn write(out: &mut Writer, handle: Option<&StreamHandle<'_>>) -> Result<(), EncodeError> {
    match handle {
        None => out.u8(NULL),
        Some(StreamHandle::File { size, path }) => {
            out.u8(FILE);
            out.i64(*size);
            out.utf(path)?;
        }
        Some(StreamHandle::Relative { size, path }) => {
            out.u8(RELATIVE);
            out.utf(path)?;
            out.i64(*size);
        }
        Some(StreamHandle::Bytes(stream)) => {
            out.u8(BYTE_STREAM);
            out.utf(&stream.name)?;
            out.bytes("bytes of in-line state", &stream.data)?;
        }
        Some(StreamHandle::KeyGroups(groups)) => {
            out.u8(KEY_GROUPS);
            super::keyed::write_range_and_offsets(out, groups.range, &groups.offsets);
            write(out, Some(&groups.stream))?;
        }
        Some(StreamHandle::Segment(segment)) => write_segment(out, segment)?,
        Some(StreamHandle::EmptySegment) => out.u8(EMPTY_SEGMENT),
    }
    Ok(())
}

/// A file size; −1 stands for "unknown" (`FileStateHandle`).
#[inline]
fn read_size(reader: &mut Reader<'_>) -> Decoded<i64> {
    let at = reader.offset();
    match reader.i64()? {
        size if size < -1 => Err(reader.invalid_at(at, format_args!("a file of {size} bytes"))),
        size => Ok(size),
    }
}

/// A path; Flink's `Path` refuses an empty one.
#[inline]
pub(super) fn read_path<'a>(reader: &mut Reader<'a>) -> Decoded<JavaStr<'a>> {
    let at = reader.offset();
    let path = reader.utf()?;
    match path.is_empty() {
        true => Err(reader.invalid_at(at, EMPTY_PATH)),
        false => Ok(path),
    }
}

/// Checks a path and passes over it.
#[inline]
fn pass_path(reader: &mut Reader<'_>) -> Decoded<()> {
    let at = reader.offset();
    match reader.pass_utf()? {
        0 => Err(reader.invalid_at(at, EMPTY_PATH)),
        _ => Ok(()),
    }
}

/// `SegmentFileStateHandle`: start, size, scope, path, id of the logical file.
fn read_segment<'a>(reader: &mut Reader<'a>, budget: &mut Budget) -> Decoded<Box<Segment<'a>>> {
    let start = reader.i64()?;
    let size = reader.i64()?;
    let at = reader.offset();
    let scope = match reader.i32()? {
        0 => StateScope::Exclusive,
        1 => StateScope::Shared,
        other => return Err(reader.invalid_at(at, format_args!("scope {other} of a segment"))),
    };
    let path = read_path(reader)?;
    let logical_file_id = reader.utf()?;
    budget.boxed(reader, Segment { start, size, scope, path, logical_file_id })
}

fn write_segment(out: &mut Writer, segment: &Segment<'_>) -> Result<(), EncodeError> {
    out.u8(SEGMENT);
    out.i64(segment.start);
    out.i64(segment.size);
    out.i32(match segment.scope {
        StateScope::Exclusive => 0,
        StateScope::Shared => 1,
    });
    out.utf(&segment.path)?;
    out.utf(&segment.logical_file_id)
}
