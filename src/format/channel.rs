//! Channel state handles of unaligned checkpoints (`ChannelStateHandleSerializerV1` and `…V2`).

use super::dialect::{Dialect, Variant};
use super::operator::read_offsets;
use super::{Version, lacks, stream};
use crate::model::{ChannelHandle, ChannelInfo, ChannelSide};
use crate::wire::{Budget, Decoded, EncodeError, Problem, Reader, Writer};
use std::borrow::Cow;

const ONE_INPUT: u8 = 1;
const ONE_RESULT: u8 = 2;
const MERGED_INPUT: u8 = 3;
const MERGED_RESULT: u8 = 4;

pub(super) fn read_list<'a>(
    reader: &mut Reader<'a>,
    budget: &mut Budget,
    dialect: Dialect,
    side: ChannelSide,
) -> Decoded<Vec<ChannelHandle<'a>>> {
    // The smallest of all: a merged handle is a type, a subtask, a size, an empty segment and a length.
    let count = reader.count("the number of channel state handles", 18)?;
    let mut handles = budget.vec(reader, count)?;
    for _ in 0..count {
        let merged = dialect.version.has_typed_channels() && read_type(reader, side)?;
        handles.push(match merged {
            true => read_merged(reader, budget, side)?,
            false => read_one(reader, budget, dialect, side)?,
        });
    }
    Ok(handles)
}

pub(super) fn write_list(out: &mut Writer, version: Version, handles: &[ChannelHandle<'_>]) -> Result<(), EncodeError> {
    let typed = version.has_typed_channels();
    out.count("channel state handles", handles.len())?;
    for handle in handles {
        if typed {
            out.u8(match (&handle.info, handle.side) {
                (ChannelInfo::One { .. }, ChannelSide::Input) => ONE_INPUT,
                (ChannelInfo::One { .. }, ChannelSide::Result) => ONE_RESULT,
                (ChannelInfo::Merged(_), ChannelSide::Input) => MERGED_INPUT,
                (ChannelInfo::Merged(_), ChannelSide::Result) => MERGED_RESULT,
            });
        }
        match handle.subtask_index {
            Some(index) => out.i32(index),
            None if version == Version::V3 => {}
            None => return Err(lacks(version, "channel state without a subtask index")),
        }
        match &handle.info {
            ChannelInfo::One { gate, channel, offsets } => {
                out.i32(*gate);
                out.i32(*channel);
                out.count("buffer offsets", offsets.len())?;
                offsets.iter().for_each(|offset| out.i64(*offset));
                out.i64(handle.size);
                stream::write(out, Some(&handle.stream))?;
            }
            ChannelInfo::Merged(packed) if typed => {
                out.i64(handle.size);
                stream::write(out, Some(&handle.stream))?;
                out.bytes("bytes of merged channel offsets", packed)?;
            }
            ChannelInfo::Merged(_) => return Err(lacks(version, "merged channel state")),
        }
    }
    Ok(())
}

/// Whether a handle of this side is a merged one, from its type byte.
fn read_type(reader: &mut Reader<'_>, side: ChannelSide) -> Decoded<bool> {
    let at = reader.offset();
    match (reader.u8()?, side) {
        (ONE_INPUT, ChannelSide::Input) | (ONE_RESULT, ChannelSide::Result) => Ok(false),
        (MERGED_INPUT, ChannelSide::Input) | (MERGED_RESULT, ChannelSide::Result) => Ok(true),
        (tag, _) => Err(reader.error_at(at, Problem::UnknownTag { what: "channel state handle", tag: tag.into() })),
    }
}

fn read_one<'a>(
    reader: &mut Reader<'a>,
    budget: &mut Budget,
    dialect: Dialect,
    side: ChannelSide,
) -> Decoded<ChannelHandle<'a>> {
    let subtask_index = match dialect.variant {
        Variant::Flink111 => None,
        Variant::Usual | Variant::Flink114 => Some(reader.i32()?),
    };
    let (gate, channel) = (reader.i32()?, reader.i32()?);
    let count = reader.count("the number of buffer offsets", 8)?;
    let offsets = read_offsets(reader, budget, count)?;
    let size = reader.i64()?;
    let stream = stream::required(reader, budget, 0)?;
    let info = ChannelInfo::One { gate, channel, offsets };
    Ok(ChannelHandle { side, subtask_index, info, size, stream })
}

fn read_merged<'a>(reader: &mut Reader<'a>, budget: &mut Budget, side: ChannelSide) -> Decoded<ChannelHandle<'a>> {
    let subtask_index = Some(reader.i32()?);
    let size = reader.i64()?;
    let stream = stream::required(reader, budget, 0)?;
    let packed = reader.bytes("the length of merged channel offsets")?;
    Ok(ChannelHandle { side, subtask_index, info: ChannelInfo::Merged(Cow::Borrowed(packed)), size, stream })
}

/// One channel inside a merged handle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergedChannel {
    /// Index of the gate or partition.
    pub gate: i32,
    /// Index of the channel or subpartition.
    pub channel: i32,
    /// Size in bytes of its buffers.
    pub size: i64,
    /// Where each buffer starts in the stream.
    pub offsets: Vec<i64>,
}

/// Takes the packed channels of a merged handle apart
/// (`AbstractMergedChannelStateHandle.restoreAndCacheUnmergedHandles`).
pub fn merged_channels(packed: &[u8]) -> Decoded<Vec<MergedChannel>> {
    let mut reader = Reader::new(packed, "merged channel offsets");
    let mut budget = Budget::for_input(packed.len());
    // Gate, channel, size and a number of offsets.
    let count = reader.count("the number of channels", 20)?;
    let mut channels = budget.vec(&reader, count)?;
    for _ in 0..count {
        let (gate, channel, size) = (reader.i32()?, reader.i32()?, reader.i64()?);
        let offsets = reader.count("the number of buffer offsets", 8)?;
        channels.push(MergedChannel { gate, channel, size, offsets: read_offsets(&mut reader, &mut budget, offsets)? });
    }
    Ok(channels)
}
