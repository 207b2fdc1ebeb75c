//! Checkpoint id, master states, operators and subtasks (`MetadataV2V3SerializerBase` and its heirs).

use super::dialect::Dialect;
use super::{Version, channel, keyed, lacks, operator, stream};
use crate::model::{
    ChannelSide, LegacyFields, MasterState, Metadata, OperatorId, OperatorSlot, OperatorState, Reference, StreamHandle,
    Subtask, SubtaskState, Subtasks,
};
use crate::wire::{Budget, Decoded, EncodeError, JavaStr, Reader, Writer};
use std::borrow::Cow;

const MASTER_STATE_MAGIC: u32 = 0xc96b_1696;

/// Everything between the version and the properties.
pub(super) fn read<'a>(reader: &mut Reader<'a>, budget: &mut Budget, dialect: Dialect) -> Decoded<Metadata<'a>> {
    reader.enter("checkpoint id");
    let at = reader.offset();
    let checkpoint_id = reader.i64()?;
    if checkpoint_id < 0 {
        return Err(reader.invalid_at(at, format_args!("the checkpoint id is {checkpoint_id}")));
    }
    reader.enter("master states");
    // Magic, length, version, name and payload length: 18 bytes at the least.
    let count = reader.count("the number of master states", 18)?;
    let mut master_states = budget.vec(reader, count)?;
    for _ in 0..count {
        master_states.push(read_master_state(reader)?);
    }
    reader.enter("operator states");
    let version = dialect.version;
    let smallest = if version.has_names() { 33 } else { 28 };
    let count = reader.count("the number of operators", smallest)?;
    let mut operators = budget.vec(reader, count)?;
    for index in 0..count {
        let operator = read_operator(reader, budget, dialect);
        operators.push(operator.map_err(|mut error| {
            error.section = format!("operator {index}, {}", error.section);
            error
        })?);
    }
    let trailing = Cow::Borrowed(&[][..]);
    Ok(Metadata { version, checkpoint_id, master_states, operators, properties: None, trailing })
}

pub(super) fn write(out: &mut Writer, metadata: &Metadata<'_>) -> Result<(), EncodeError> {
    out.i64(metadata.checkpoint_id);
    out.count("master states", metadata.master_states.len())?;
    for state in &metadata.master_states {
        write_master_state(out, state)?;
    }
    out.count("operators", metadata.operators.len())?;
    metadata.operators.iter().try_for_each(|operator| write_operator(out, metadata.version, operator))
}

/// `MetadataV2V3SerializerBase.deserializeMasterState`: a sub-array of exactly the length that it declares.
fn read_master_state<'a>(reader: &mut Reader<'a>) -> Decoded<MasterState<'a>> {
    let at = reader.offset();
    if reader.i32()?.cast_unsigned() != MASTER_STATE_MAGIC {
        return Err(reader.invalid_at(at, "the magic number of a master state is wrong"));
    }
    let length_at = reader.offset();
    let length = reader.count("the length of a master state", 1)?;
    let before = reader.left();
    let version = reader.i32()?;
    let name = reader.utf()?;
    let payload = reader.bytes("the payload length of a master state")?;
    if before.saturating_sub(reader.left()) != length {
        return Err(reader.invalid_at(length_at, "a master state is not as long as it says"));
    }
    Ok(MasterState { name, version, payload: Cow::Borrowed(payload) })
}

fn write_master_state(out: &mut Writer, state: &MasterState<'_>) -> Result<(), EncodeError> {
    let mut inner = Writer::new();
    inner.i32(state.version);
    inner.utf(&state.name)?;
    inner.bytes("bytes of a master state", &state.payload)?;
    out.raw(&MASTER_STATE_MAGIC.to_be_bytes());
    out.bytes("bytes of a master state", &inner.into_bytes())
}

/// `MetadataV2Serializer`, `MetadataV3Serializer` and `MetadataV5Serializer.deserializeOperatorState`, with the
/// checks of the constructor of `OperatorState`.
fn read_operator<'a>(reader: &mut Reader<'a>, budget: &mut Budget, dialect: Dialect) -> Decoded<OperatorState<'a>> {
    let version = dialect.version;
    reader.enter("name and id");
    let (name, uid) = match version.has_names() {
        true => (reader.utf()?, reader.utf()?),
        false => (JavaStr::default(), JavaStr::default()),
    };
    let id = OperatorId(reader.bytes16()?);
    let at = reader.offset();
    let (parallelism, max_parallelism) = (reader.i32()?, reader.i32()?);
    if parallelism < 0 || parallelism > max_parallelism {
        let what = format_args!("parallelism {parallelism} with a maximum parallelism of {max_parallelism}");
        return Err(reader.invalid_at(at, what));
    }
    let mut chain_length = 1;
    let mut coordinator = None;
    if version.has_legacy_fields() {
        chain_length = reader.i32()?;
    } else {
        reader.enter("coordinator state");
        coordinator = read_coordinator(reader, budget)?;
    }
    reader.enter("subtasks");
    let at = reader.offset();
    let finished = Reader::clone(reader).i32()?;
    let subtasks = if version.has_coordinators_and_channels() && finished < 0 {
        if coordinator.is_some() {
            return Err(reader.invalid_at(at, "a fully finished operator with coordinator state"));
        }
        Subtasks::FullyFinished(reader.i32()?)
    } else {
        // A finished subtask is its index and no more.
        let smallest = if version.has_coordinators_and_channels() { 4 } else { 26 };
        let count = reader.count("the number of subtasks", smallest)?;
        let mut list = budget.vec(reader, count)?;
        for _ in 0..count {
            list.push(read_subtask(reader, budget, dialect, parallelism)?);
        }
        Subtasks::Some(list)
    };
    Ok(OperatorState { name, uid, id, parallelism, max_parallelism, chain_length, coordinator, subtasks })
}

/// `MetadataV2V3SerializerBase.deserializeAndCheckByteStreamStateHandle`: in line or not at all.
fn read_coordinator<'a>(reader: &mut Reader<'a>, budget: &mut Budget) -> Decoded<Option<StreamHandle<'a>>> {
    let at = reader.offset();
    match stream::read(reader, budget, 0)? {
        None => Ok(None),
        Some(handle @ StreamHandle::Bytes(_)) => Ok(Some(handle)),
        Some(other) => {
            Err(reader.invalid_at(at, format_args!("coordinator state in a {}, not in line", other.class())))
        }
    }
}

fn write_operator(out: &mut Writer, version: Version, operator: &OperatorState<'_>) -> Result<(), EncodeError> {
    if version.has_names() {
        out.utf(&operator.name)?;
        out.utf(&operator.uid)?;
    } else if !operator.name.is_empty() || !operator.uid.is_empty() {
        return Err(lacks(version, "the name or uid of an operator"));
    }
    out.raw(&operator.id.0);
    out.i32(operator.parallelism);
    out.i32(operator.max_parallelism);
    if version.has_legacy_fields() {
        out.i32(operator.chain_length);
    }
    match &operator.coordinator {
        Some(_) if !version.has_coordinators_and_channels() => {
            return Err(lacks(version, "coordinator state"));
        }
        None if !version.has_coordinators_and_channels() => {}
        coordinator => stream::write(out, coordinator.as_ref())?,
    }
    match &operator.subtasks {
        Subtasks::FullyFinished(_) if !version.has_coordinators_and_channels() => {
            return Err(lacks(version, "a finished operator"));
        }
        // Any negative number says so; a positive one would be a count.
        Subtasks::FullyFinished(count) => out.i32(if *count < 0 { *count } else { -1 }),
        Subtasks::Some(list) => {
            out.count("subtasks", list.len())?;
            list.iter().try_for_each(|subtask| write_subtask(out, version, subtask))?;
        }
    }
    Ok(())
}

/// `MetadataV3Serializer.deserializeSubtaskIndexAndFinishedState`: a finished subtask stores −(index + 1). The
/// index must be below the parallelism (`OperatorState.putState`).
fn read_subtask<'a>(
    reader: &mut Reader<'a>,
    budget: &mut Budget,
    dialect: Dialect,
    parallelism: i32,
) -> Decoded<Subtask<'a>> {
    reader.enter("subtasks");
    let at = reader.offset();
    let stored = reader.i32()?;
    let finished = dialect.version.has_coordinators_and_channels() && stored < 0;
    // For a negative number, !n is −(n + 1) and cannot overflow.
    let index = if finished { !stored } else { stored };
    if index < 0 || index >= parallelism {
        let what = format_args!("subtask {index} of an operator with parallelism {parallelism}");
        return Err(reader.invalid_at(at, what));
    }
    if finished {
        return Ok(Subtask { index, finished, state: None });
    }
    let state = read_subtask_state(reader, budget, dialect).map_err(|mut error| {
        error.section = format!("subtask {index}, {}", error.section);
        error
    })?;
    let state = if state == SubtaskState::default() { None } else { Some(budget.boxed(reader, state)?) };
    Ok(Subtask { index, finished, state })
}

fn write_subtask(out: &mut Writer, version: Version, subtask: &Subtask<'_>) -> Result<(), EncodeError> {
    if !subtask.finished {
        out.i32(subtask.index);
        return match &subtask.state {
            Some(state) => write_subtask_state(out, version, state),
            None => write_subtask_state(out, version, &SubtaskState::default()),
        };
    }
    if !version.has_coordinators_and_channels() {
        return Err(lacks(version, "a finished subtask"));
    }
    if subtask.state.is_some() {
        return Err(lacks(version, "state of a finished subtask"));
    }
    out.i32(!subtask.index);
    Ok(())
}

/// `MetadataV2V3SerializerBase.deserializeSubtaskState`, and what versions 2, 3 and 7 put around it.
fn read_subtask_state<'a>(reader: &mut Reader<'a>, budget: &mut Budget, dialect: Dialect) -> Decoded<SubtaskState<'a>> {
    let version = dialect.version;
    let mut state = SubtaskState::default();
    if version.has_legacy_fields() {
        reader.enter("legacy fields");
        let duration = reader.i64()?;
        let at = reader.offset();
        let states = reader.i32()?;
        if states > 0 {
            return Err(reader.invalid_at(at, "state from before Flink 1.2, which Flink refuses"));
        }
        state.legacy = LegacyFields { duration, states };
    }
    reader.enter("managed operator state");
    state.managed_operator = read_slot(reader, budget)?;
    reader.enter("raw operator state");
    state.raw_operator = read_slot(reader, budget)?;
    reader.enter("managed keyed state");
    state.managed_keyed = keyed::read_boxed(reader, budget, dialect.variant)?;
    reader.enter("raw keyed state");
    state.raw_keyed = keyed::read_boxed(reader, budget, dialect.variant)?;
    if version.has_coordinators_and_channels() {
        reader.enter("input channel state");
        state.input_channels = channel::read_list(reader, budget, dialect, ChannelSide::Input)?;
        reader.enter("result subpartition state");
        state.result_subpartitions = channel::read_list(reader, budget, dialect, ChannelSide::Result)?;
    }
    if version.has_references() {
        reader.enter("reference checkpoint id");
        state.reference = match reader.u8()? {
            1 => Reference::Checkpoint(reader.i64()?),
            marker => Reference::None(marker),
        };
    }
    Ok(state)
}

fn write_subtask_state(out: &mut Writer, version: Version, state: &SubtaskState<'_>) -> Result<(), EncodeError> {
    if version.has_legacy_fields() {
        out.i64(state.legacy.duration);
        out.i32(state.legacy.states);
    }
    write_slot(out, &state.managed_operator)?;
    write_slot(out, &state.raw_operator)?;
    keyed::write(out, version, state.managed_keyed.as_deref())?;
    keyed::write(out, version, state.raw_keyed.as_deref())?;
    if version.has_coordinators_and_channels() {
        channel::write_list(out, version, &state.input_channels)?;
        channel::write_list(out, version, &state.result_subpartitions)?;
    } else if state.channel_handles().next().is_some() {
        return Err(lacks(version, "channel state"));
    }
    match state.reference {
        Reference::Checkpoint(_) if !version.has_references() => {
            return Err(lacks(version, "a reference checkpoint id"));
        }
        _ if !version.has_references() => {}
        // 1 would announce an id.
        Reference::None(marker) => out.u8(if marker == 1 { 0 } else { marker }),
        Reference::Checkpoint(id) => {
            out.u8(1);
            out.i64(id);
        }
    }
    Ok(())
}

/// `MetadataV2V3SerializerBase.deserializeSubtaskState`: a presence field (any number but 0), then the handle.
fn read_slot<'a>(reader: &mut Reader<'a>, budget: &mut Budget) -> Decoded<OperatorSlot<'a>> {
    let presence = reader.i32()?;
    if presence == 0 {
        return Ok(OperatorSlot::default());
    }
    let handle = operator::read(reader, budget)?;
    Ok(OperatorSlot { presence, handle: Some(budget.boxed(reader, handle)?) })
}

fn write_slot(out: &mut Writer, slot: &OperatorSlot<'_>) -> Result<(), EncodeError> {
    match slot.handle.as_deref() {
        None => out.i32(0),
        Some(handle) => {
            // A handle put into an empty slot is written as Flink would.
            out.i32(if slot.presence == 0 { 1 } else { slot.presence });
            operator::write(out, handle)?;
        }
    }
    Ok(())
}
