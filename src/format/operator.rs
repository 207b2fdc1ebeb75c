//! Operator state handles (`MetadataV2V3SerializerBase.serializeOperatorStateHandle`).

use super::stream;
use crate::model::handle::{MergingDirectories, OperatorStateInfo};
use crate::model::{DistributionMode, OperatorHandle, StreamHandle};
use crate::wire::{Budget, Decoded, EncodeError, Problem, Reader, Writer};

const NULL: u8 = 0;
const PARTITIONABLE: u8 = 4;
/// Tag 4 with the directories of file merging, since Flink 1.20.
const MERGING_PARTITIONABLE: u8 = 17;

pub(super) fn read<'a>(reader: &mut Reader<'a>, budget: &mut Budget) -> Decoded<OperatorHandle<'a>> {
    let at = reader.offset();
    let tag = reader.u8()?;
    if tag == NULL {
        return Err(reader.invalid_at(at, "a null handle where operator state was announced"));
    }
    if tag != PARTITIONABLE && tag != MERGING_PARTITIONABLE {
        return Err(reader.error_at(at, Problem::UnknownTag { what: "operator state handle", tag: tag.into() }));
    }
    // A name, a mode and a number of offsets.
    let count = reader.count("the number of states", 7)?;
    let mut states = budget.vec(reader, count)?;
    for _ in 0..count {
        states.push(read_state(reader, budget)?);
    }
    let mut merging = None;
    if tag == MERGING_PARTITIONABLE {
        let task_owned = stream::read_path(reader)?;
        let shared = stream::read_path(reader)?;
        let empty = reader.u8()?;
        merging = Some(budget.boxed(reader, MergingDirectories { task_owned, shared, empty })?);
    }
    let at = reader.offset();
    let stream = stream::required(reader, budget, 0)?;
    if merging.is_some() && !matches!(stream, StreamHandle::Segment(_) | StreamHandle::EmptySegment) {
        return Err(reader.invalid_at(at, format_args!("a file-merging handle on a {}", stream.class())));
    }
    Ok(OperatorHandle { states, merging, stream })
}

pub(super) fn write(out: &mut Writer, handle: &OperatorHandle<'_>) -> Result<(), EncodeError> {
    out.u8(if handle.merging.is_some() { MERGING_PARTITIONABLE } else { PARTITIONABLE });
    out.count("operator states", handle.states.len())?;
    for state in &handle.states {
        write_state(out, state)?;
    }
    if let Some(dirs) = &handle.merging {
        out.utf(&dirs.task_owned)?;
        out.utf(&dirs.shared)?;
        out.u8(dirs.empty);
    }
    stream::write(out, Some(&handle.stream))
}

fn read_state<'a>(reader: &mut Reader<'a>, budget: &mut Budget) -> Decoded<OperatorStateInfo<'a>> {
    let name = reader.utf()?;
    let at = reader.offset();
    let mode = match reader.u8()? {
        0 => DistributionMode::SplitDistribute,
        1 => DistributionMode::Union,
        2 => DistributionMode::Broadcast,
        other => return Err(reader.invalid_at(at, format_args!("distribution mode {other}"))),
    };
    let count = reader.count("the number of partition offsets", 8)?;
    Ok(OperatorStateInfo { name, mode, offsets: read_offsets(reader, budget, count)? })
}

fn write_state(out: &mut Writer, state: &OperatorStateInfo<'_>) -> Result<(), EncodeError> {
    out.utf(&state.name)?;
    out.u8(match state.mode {
        DistributionMode::SplitDistribute => 0,
        DistributionMode::Union => 1,
        DistributionMode::Broadcast => 2,
    });
    out.count("partition offsets", state.offsets.len())?;
    state.offsets.iter().for_each(|offset| out.i64(*offset));
    Ok(())
}

/// `count` offsets, the number having been read and checked.
pub(super) fn read_offsets(reader: &mut Reader<'_>, budget: &mut Budget, count: usize) -> Decoded<Vec<i64>> {
    let mut offsets = budget.vec(reader, count)?;
    let bytes = reader.take(count.saturating_mul(8))?;
    let (chunks, _) = bytes.as_chunks::<8>();
    offsets.extend(chunks.iter().map(|chunk| i64::from_be_bytes(*chunk)));
    Ok(offsets)
}
