//! The content of state files, as large as wanted: written by what writes state in chkctl, framed with Snappy where Flink
//! would.

use crate::snapshot::{MAX_PARALLELISM, Snapshot, keyed, range};
use chkctl::model::handle::{
    Changelog, ChangelogExtra, ChangesExtra, ChangesInFiles, ChannelInfo, KeyGroups, KeyGroupsKind,
};
use chkctl::model::{
    ChannelHandle, ChannelSide, DistributionMode, KeyGroupRange, KeyedHandle, OperatorHandle, OperatorSlot,
    StreamHandle, SubtaskState,
};
use chkctl::state::canonical::KeyGroupWriter;
use chkctl::state::heap;
use chkctl::state::key_group::assign_to_key_group;
use chkctl::state::operator::OperatorWriter;
use chkctl::state::{KeyType, KeyedHeader, KeyedStateType, SerializerSnapshot, StateMeta, StateType};
use chkctl::wire::JavaStr;
use std::io::{self, Write};

/// Entries of keyed state.
pub struct Entries<N, V> {
    /// The namespace of each entry.
    pub namespace: fn(u64) -> N,
    /// The value of each entry.
    pub value: fn(u64) -> V,
}

/// How keyed state is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As the hash map backend does.
    Heap,
    /// The same in Snappy's frames.
    Compressed,
    /// The canonical format of savepoints.
    Canonical,
}

/// Words, one different from the other; those of a key group come in order.
fn word(number: u64) -> String {
    format!("word{number:09}")
}

fn head<N: StateType, V: StateType>(form: Form) -> Vec<u8> {
    let state = StateMeta::key_value("count", KeyedStateType::Value, N::serializer(), V::serializer());
    let mut header = KeyedHeader::new(SerializerSnapshot::string(), vec![state]);
    header.compressed = form == Form::Compressed;
    let mut out = Vec::new();
    header.write(&mut out).expect("a head");
    out
}

/// A snapshot of so many subtasks with one file of about `size` bytes each.
pub fn keyed_state<N: StateType, V: StateType>(
    mut snapshot: Snapshot,
    subtasks: usize,
    size: u64,
    form: Form,
    entries: &Entries<N, V>,
) -> Snapshot {
    let mut states = Vec::new();
    for index in 0..subtasks {
        let name = format!("keyed-{index}");
        let mut out = snapshot.create(&name);
        let range = range(subtasks, index);
        let offsets = write_keyed(&mut out, range, size, form, entries).expect("room for a state file");
        out.flush().expect("room for a state file");
        let kind = match form {
            Form::Canonical => KeyGroupsKind::Savepoint,
            _ => KeyGroupsKind::WithId(JavaStr::from("00000000-0000-0000-0000-000000000001")),
        };
        states.push(keyed(KeyedHandle::KeyGroups(KeyGroups { kind, range, offsets, stream: snapshot.handle(&name) })));
    }
    snapshot.finish(states);
    snapshot
}

fn write_keyed<N: StateType, V: StateType>(
    out: &mut impl Write,
    range: KeyGroupRange,
    size: u64,
    form: Form,
    entries: &Entries<N, V>,
) -> io::Result<Vec<i64>> {
    let (first, last) = range.bounds();
    let groups = first..=last;
    let mut bodies: Vec<(Vec<u8>, usize)> = groups.clone().map(|_| (Vec::new(), 0)).collect();
    let (mut number, mut written) = (0, 0);
    let mut plain = Vec::new();
    // What compression takes away is not known before, and is about half.
    let wanted = if form == Form::Compressed { size.saturating_mul(2) } else { size };
    while written < wanted {
        let key = word(number);
        let group = assign_to_key_group(key.java_hash(), MAX_PARALLELISM);
        if groups.contains(&i32::from(group)) {
            let (namespace, value) = ((entries.namespace)(number), (entries.value)(number));
            plain.clear();
            if form == Form::Canonical {
                let mut writer = KeyGroupWriter::within(&mut plain, group, MAX_PARALLELISM, 0);
                writer.value(0, &namespace, &key, &value).expect("an entry");
            } else {
                heap::write_entry(&mut plain, &namespace, &key, &value).expect("an entry");
            }
            written += plain.len() as u64;
            let (body, count) = &mut bodies[usize::try_from(i32::from(group) - first).expect("in the range")];
            body.extend_from_slice(&plain);
            *count += 1;
        }
        number += 1;
    }
    let mut head = head::<N, V>(form);
    out.write_all(&head)?;
    let mut at = head.len();
    let mut offsets = Vec::new();
    for (group, (body, count)) in groups.zip(bodies) {
        let group = u16::try_from(group).expect("a key group");
        offsets.push(i64::try_from(at).expect("an offset"));
        head.clear();
        let mut piece = Vec::new();
        if form == Form::Canonical {
            chkctl::state::canonical::begin_state(&mut piece, 0).expect("a state");
            let before = piece.len();
            piece.extend_from_slice(&body);
            chkctl::state::canonical::end_state(&mut piece, before + last_entry(&body), None).expect("a state");
        } else {
            heap::start_key_group(&mut head, group);
            heap::start_state(&mut piece, 0, count).expect("a state");
            piece.extend_from_slice(&body);
        }
        if form == Form::Compressed {
            piece = frames(&piece);
        }
        out.write_all(&head)?;
        out.write_all(&piece)?;
        at += head.len() + piece.len();
    }
    Ok(offsets)
}

/// Where the last entry of a canonical body starts.
fn last_entry(body: &[u8]) -> usize {
    let (mut at, mut last) = (0, 0);
    let length = |at: usize| {
        let bytes = body[at..at + 4].try_into().expect("four bytes");
        4 + usize::try_from(i32::from_be_bytes(bytes)).expect("a length")
    };
    while at < body.len() {
        last = at;
        at += length(at);
        at += length(at);
    }
    last
}

fn frames(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = snap::write::FrameEncoder::new(Vec::new());
    encoder.write_all(bytes).expect("a vector");
    encoder.into_inner().expect("a vector")
}

/// A snapshot with list state of about `size` bytes, in elements of 1 KiB.
pub fn operator_state(mut snapshot: Snapshot, size: u64) -> Snapshot {
    let list = StateMeta::operator_list("list", DistributionMode::SplitDistribute, SerializerSnapshot::string());
    let mut writer = OperatorWriter::new(vec![list], Vec::new()).expect("a head");
    for number in 0..size / 1024 {
        writer.element(0, &long(number)).expect("an element");
    }
    let (bytes, states) = writer.finish();
    snapshot.create("operator").write_all(&bytes).expect("room for a state file");
    let handle = OperatorHandle { states, merging: None, stream: snapshot.handle("operator") };
    snapshot.finish(vec![SubtaskState {
        managed_operator: OperatorSlot { presence: 1, handle: Some(Box::new(handle)) },
        ..SubtaskState::default()
    }]);
    snapshot
}

/// About 1 KiB of text.
pub fn long(number: u64) -> String {
    let mut text = String::with_capacity(1024);
    let mut mixed = number;
    while text.len() < 1000 {
        mixed = mixed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        text.push_str(&word(mixed >> 40));
        text.push(' ');
    }
    text
}

/// A snapshot with a changelog segment of about `size` bytes: sets of a thousand changes, of 60 bytes each.
pub fn changelog(mut snapshot: Snapshot, size: u64, compressed: bool) -> Snapshot {
    let mut body = Vec::new();
    let mut starts = Vec::new();
    let wanted = if compressed { size.saturating_mul(2) } else { size };
    let mut number = 0;
    while (body.len() as u64) < wanted {
        starts.push(i64::try_from(body.len()).expect("an offset"));
        body.extend_from_slice(&10_i32.to_be_bytes());
        for group in 0..10_i32 {
            body.extend_from_slice(&100_i32.to_be_bytes());
            body.extend_from_slice(&group.to_be_bytes());
            for _ in 0..100 {
                let change = [&[0][..], &[0; 20], word(number).as_bytes(), b" and what it is set to"].concat();
                body.extend_from_slice(&i32::try_from(change.len()).expect("a few").to_be_bytes());
                body.extend_from_slice(&change);
                number += 1;
            }
        }
    }
    let mut out = snapshot.create("changes");
    out.write_all(&[u8::from(compressed)]).expect("room for a state file");
    let written = if compressed { out.write_all(&frames(&body)) } else { out.write_all(&body) };
    written.and_then(|()| out.flush()).expect("room for a state file");
    // The size that Flink records is that of the changes, unpacked and without the flag.
    let stream = match snapshot.handle("changes") {
        StreamHandle::File { path, .. } => StreamHandle::File { size: body.len() as i64, path },
        other => other,
    };
    let id = JavaStr::from("00000000-0000-0000-0000-000000000001");
    let range = range(1, 0);
    let changes = ChangesInFiles {
        range,
        streams: starts.into_iter().map(|start| (start, stream.clone())).collect(),
        size: 0,
        extra: Some(ChangesExtra { checkpointed_size: 0, state_handle_id: id.clone() }),
        storage: Some(JavaStr::from("filesystem")),
    };
    let handle = Changelog {
        range,
        materialized: Vec::new(),
        non_materialized: vec![Some(KeyedHandle::ChangesInFiles(Box::new(changes)))],
        extra: Some(ChangelogExtra { checkpointed_size: 0, materialization_id: 0, state_handle_id: id }),
        checkpoint_id: Some(1),
    };
    snapshot.finish(vec![keyed(KeyedHandle::Changelog(Box::new(handle)))]);
    snapshot
}

/// A snapshot with in-flight buffers of about `size` bytes: 32 KiB each, of a hundred channels.
pub fn channels(mut snapshot: Snapshot, size: u64) -> Snapshot {
    const BUFFER: usize = 32 << 10;
    let mut out = snapshot.create("channels");
    let mut offsets = vec![Vec::new(); 100];
    out.write_all(&0_i32.to_be_bytes()).expect("room for a state file");
    let mut at = 4;
    let piece = [&(BUFFER as i32).to_be_bytes()[..], &[0x5a; BUFFER]].concat();
    for channel in (0..100).cycle().take(usize::try_from(size).expect("a size") / piece.len()) {
        out.write_all(&piece).expect("room for a state file");
        offsets[channel].push(at);
        at += piece.len() as i64;
    }
    out.flush().expect("room for a state file");
    let handle = |(channel, offsets): (i32, Vec<i64>)| ChannelHandle {
        side: ChannelSide::Input,
        subtask_index: Some(0),
        size: (offsets.len() * piece.len()) as i64,
        info: ChannelInfo::One { gate: 0, channel, offsets },
        stream: snapshot.handle("channels"),
    };
    let input_channels = (0..).zip(offsets).map(handle).collect();
    snapshot.finish(vec![SubtaskState { input_channels, ..SubtaskState::default() }]);
    snapshot
}
