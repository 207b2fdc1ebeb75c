//! Hostile streams: keyed and operator state, changes, in-flight buffers.

use super::made::{Made, empty_head, key_groups, keyed, no_state, sparse, write};
use super::table::{Hostile, endless, endure, endured, found};
use chkctl::model::handle::{
    Changelog, ChangelogExtra, ChangesExtra, ChangesInFiles, ChannelInfo, OperatorStateInfo, StreamHandle,
};
use chkctl::model::{
    ChannelHandle, ChannelSide, DistributionMode, KeyGroupRange, KeyedHandle, OperatorHandle, OperatorSlot,
    SubtaskState,
};
use chkctl::state::canonical::KeyGroupWriter;
use chkctl::state::operator::OperatorHeader;
use chkctl::state::{KeyedHeader, KeyedStateType, SerializerSnapshot as S, StateMeta};
use chkctl::wire::JavaStr;
use std::iter::repeat_n;
use std::path::Path;

/// The head of keyed state with one state.
fn head(compressed: bool, key: S, namespace: S, value: S) -> Vec<u8> {
    let state = StateMeta::key_value("state", KeyedStateType::Value, namespace, value);
    let mut header = KeyedHeader::new(key, vec![state]);
    header.compressed = compressed;
    let mut out = Vec::new();
    header.write(&mut out).expect("a head");
    out
}

/// Keyed state of key group 0 with this behind the number of the key group.
fn group_0(root: &Path, mut head: Vec<u8>, body: &[u8]) -> Made {
    let offset = head.len() as i64;
    head.extend_from_slice(&[0; 4]);
    head.extend_from_slice(body);
    keyed_state(root, write(root, "state", &head), vec![offset])
}

fn keyed_state(root: &Path, stream: StreamHandle<'static>, offsets: Vec<i64>) -> Made {
    let max_parallelism = i32::try_from(offsets.len()).expect("a few");
    Made::new(root, max_parallelism, keyed(key_groups(stream, offsets, false)))
}

/// The start of state 0 with so many entries.
fn state_0(count: i32) -> Vec<u8> {
    [&[0, 0][..], &count.to_be_bytes()].concat()
}

const IDENTIFIER: &[u8] = b"\xff\x06\0\0sNaPpY";

/// A frame of Snappy's with this type and content, its checksum whatever.
fn frame(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u32).to_le_bytes();
    [&[kind, length[0], length[1], length[2]], content].concat()
}

/// So many times 64 KiB of zeros as Snappy has them: a twentieth.
fn zeros(times: usize) -> Vec<u8> {
    let packed = snap::raw::Encoder::new().compress_vec(&[0; 65_536]).expect("a vector");
    // The masked CRC-32C of 64 KiB of zeros, from a frame of the encoder's own.
    let mut encoder = snap::write::FrameEncoder::new(Vec::new());
    std::io::Write::write_all(&mut encoder, &[0; 65_536]).expect("a vector");
    let own = encoder.into_inner().expect("a vector");
    let checksum = &own[IDENTIFIER.len() + 4..][..4];
    let one = frame(0, &[checksum, &packed].concat());
    [IDENTIFIER, &one.repeat(times)].concat()
}

fn plain_head() -> Vec<u8> {
    head(false, S::string(), S::void_namespace(), S::long())
}

fn compressed_head() -> Vec<u8> {
    head(true, S::string(), S::void_namespace(), S::long())
}

const KEYED: &[Hostile] = &[
    found("a frame that says it holds 4 GiB", |root| {
        let claim = [&[0; 4][..], &[0xff, 0xff, 0xff, 0xff, 0x0f, 0xfe, 1, 0]].concat();
        group_0(root, compressed_head(), &[IDENTIFIER, &frame(0, &claim)].concat())
    }),
    found("a frame that says it is 16 MiB long", |root| {
        group_0(root, compressed_head(), &[IDENTIFIER, &[0, 0xff, 0xff, 0xff], &[0; 100]].concat())
    }),
    found("a bomb of zeros in frames", |root| group_0(root, compressed_head(), &zeros(400))),
    found("frames without content without end", |root| {
        group_0(root, compressed_head(), &[IDENTIFIER, &frame(0xfe, &[]).repeat(2_000_000)].concat())
    }),
    found("identifiers without end", |root| group_0(root, compressed_head(), &IDENTIFIER.repeat(1_000_000))),
    found("a count of 2^31 - 1 entries", |root| group_0(root, plain_head(), &state_0(i32::MAX))),
    found("a negative count of entries", |root| group_0(root, plain_head(), &state_0(-1))),
    found("a million entries of a state that is not there", |root| {
        group_0(root, plain_head(), &[9, 9].repeat(1_000_000))
    }),
    endured("entries that take no bytes", |root| {
        let nothing = || S::tuple(Vec::new());
        let body = [state_0(i32::MAX), vec![0; 1_000_000]].concat();
        group_0(root, head(false, nothing(), nothing(), nothing()), &body)
    }),
    endured("lists of elements that take no bytes", |root| {
        let lists = S::list(S::tuple(Vec::new()));
        let one = [&[0, 0][..], &1_000_000_i32.to_be_bytes()].concat();
        let body = [state_0(400_000), one.repeat(400_000), vec![0; 1_000_000]].concat();
        group_0(root, head(false, S::string(), S::void_namespace(), lists), &body)
    }),
    endured("lists of lists of nothing", |root| {
        let lists = S::list(S::list(S::list(S::tuple(Vec::new()))));
        let one = [&[0, 0][..], &[0, 0, 0, 1, 0, 0, 0, 1], &1_000_000_i32.to_be_bytes()].concat();
        let body = [state_0(200_000), one.repeat(200_000), vec![0; 1_000_000]].concat();
        group_0(root, head(false, S::string(), S::void_namespace(), lists), &body)
    }),
    found("a text that says it has 2^32 characters", |root| {
        let body = [&state_0(1)[..], &[0], &[0xff, 0xff, 0xff, 0xff, 0x7f], &[0x41; 100]].concat();
        group_0(root, plain_head(), &body)
    }),
    found("a varint that never ends", |root| {
        group_0(root, plain_head(), &[&state_0(1)[..], &[0], &[0xff; 5_000_000]].concat())
    }),
    found("a serializer in a serializer in a serializer", |root| {
        let deep = (0..50_000).fold(Vec::new(), |mut out: Vec<u8>, _| {
            // The head of a list snapshot up to the snapshot of its elements, cut from a whole one.
            let mut one = Vec::new();
            let header = KeyedHeader::new(S::list(S::list(S::long())), Vec::new());
            header.write(&mut one).expect("a head");
            let mut less = Vec::new();
            KeyedHeader::new(S::list(S::long()), Vec::new()).write(&mut less).expect("a head");
            if out.is_empty() {
                out.extend_from_slice(&one[..5]);
            }
            out.extend_from_slice(&one[5..5 + one.len() - less.len()]);
            out
        });
        keyed_state(root, write(root, "state", &deep), vec![deep.len() as i64])
    }),
    endured("thousands of states with names of 64 KiB", |root| {
        let states = (0..4_000).map(|number| {
            let name = format!("{number:05}{}", "x".repeat(65_000));
            StateMeta::key_value(&name, KeyedStateType::Value, S::void_namespace(), S::long())
        });
        let mut out = Vec::new();
        KeyedHeader::new(S::string(), states.collect()).write(&mut out).expect("a head");
        let offset = out.len() as i64;
        keyed_state(root, write(root, "state", &out), vec![offset])
    }),
    endured("32,767 states that are all zeros", |root| {
        let mut bytes = empty_head();
        bytes.truncate(bytes.len() - 2);
        bytes.extend_from_slice(&[0x7f, 0xff]);
        bytes.extend(repeat_n(0, 14 * 32_767));
        keyed_state(root, write(root, "state", &bytes), vec![bytes.len() as i64])
    }),
    found("offsets of all kinds", |root| {
        let offsets = vec![-1, i64::MIN, i64::MAX, 0, 1, 1 << 40, 5, 5, 4];
        keyed_state(root, write(root, "state", &[&plain_head()[..], &[0; 1_000]].concat()), offsets)
    }),
    found("32,768 key groups in one place", |root| {
        let head = plain_head();
        let entry = [&[0][..], &[2, b'a'], &[0; 8]].concat();
        let body = [vec![0; 4], state_0(1_000_000), entry.repeat(1_000_000)].concat();
        let offset = head.len() as i64;
        let stream = write(root, "state", &[head, body].concat());
        keyed_state(root, stream, vec![offset; 32_768])
    }),
    found("32,768 canonical key groups in one place", |root| {
        let mut out = plain_head();
        let offset = out.len() as i64;
        let mut writer = KeyGroupWriter::new(&mut out, 0, 32_768);
        for number in 0..300_000_i64 {
            writer.value(0, &(), &format!("{number:08}"), &number).expect("an entry");
        }
        writer.finish();
        let stream = write(root, "state", &out);
        Made::new(root, 32_768, keyed(key_groups(stream, vec![offset; 32_768], true)))
    }),
    found("32,768 canonical key groups, each in the one before", |root| {
        let mut out = plain_head();
        let mut offsets = Vec::new();
        let mut writer = KeyGroupWriter::new(&mut out, 0, 32_768);
        for number in 0..300_000_i64 {
            writer.value(0, &(), &format!("{number:08}"), &number).expect("an entry");
        }
        writer.finish();
        for number in 0..32_768 {
            offsets.push((out.len() - 2 * (number + 1)) as i64);
        }
        let stream = write(root, "state", &out);
        Made::new(root, 32_768, keyed(key_groups(stream, offsets, true)))
    }),
    endless("a heap stream of a terabyte of zeros", |root| {
        let head = [&plain_head()[..], &[0; 4], &state_0(i32::MAX)].concat();
        let offset = plain_head().len() as i64;
        let stream = sparse(root, "state", &head, 1 << 40);
        keyed_state(root, stream, vec![offset])
    }),
    endured("a head of a terabyte", |root| {
        let mut head = empty_head();
        head.truncate(head.len() - 2);
        head.extend_from_slice(&[0x7f, 0xff]);
        let stream = sparse(root, "state", &head, 1 << 40);
        keyed_state(root, stream, vec![1 << 39])
    }),
    endless("a canonical stream of a terabyte of zeros", |root| {
        let offset = plain_head().len() as i64;
        let stream = sparse(root, "state", &plain_head(), 1 << 40);
        Made::new(root, 1, keyed(key_groups(stream, vec![offset], true)))
    }),
];

#[test]
fn hostile_keyed_state_is_endured() {
    endure(KEYED);
}

fn operator_state(root: &Path, broadcast: bool, bytes: &[u8], offsets: Vec<i64>) -> Made {
    operator_in(root, broadcast, write(root, "state", bytes), offsets)
}

fn operator_in(root: &Path, broadcast: bool, stream: StreamHandle<'static>, offsets: Vec<i64>) -> Made {
    let mode = if broadcast { DistributionMode::Broadcast } else { DistributionMode::SplitDistribute };
    let states = vec![OperatorStateInfo { name: JavaStr::from("state"), mode, offsets }];
    let handle = OperatorHandle { states, merging: None, stream };
    let managed_operator = OperatorSlot { presence: 1, handle: Some(Box::new(handle)) };
    Made::new(root, 1, SubtaskState { managed_operator, ..no_state() })
}

fn operator_head(broadcast: bool, compressed: bool, value: S) -> Vec<u8> {
    let mut header = match broadcast {
        true => OperatorHeader::new(Vec::new(), vec![StateMeta::broadcast("state", S::string(), value)]),
        false => {
            let list = StateMeta::operator_list("state", DistributionMode::SplitDistribute, value);
            OperatorHeader::new(vec![list], Vec::new())
        }
    };
    header.version = 6;
    header.compressed = compressed;
    let mut out = Vec::new();
    header.write(&mut out).expect("a head");
    out
}

const OPERATOR: &[Hostile] = &[
    found("broadcast state of 2^31 - 1 entries", |root| {
        let head = operator_head(true, false, S::long());
        let offset = head.len() as i64;
        operator_state(root, true, &[&head[..], &i32::MAX.to_be_bytes(), &[0; 64]].concat(), vec![offset])
    }),
    found("offsets outside of the file", |root| {
        let head = operator_head(false, false, S::long());
        operator_state(root, false, &head, vec![-1, i64::MAX, i64::MIN, 0, 1 << 50])
    }),
    endured("a hundred thousand offsets of one element of 4 MB", |root| {
        let head = operator_head(false, false, S::byte_array());
        let offset = head.len() as i64;
        let element = [&4_000_000_i32.to_be_bytes()[..], &[7; 4_000_000]].concat();
        operator_state(root, false, &[head, element].concat(), vec![offset; 100_000])
    }),
    endured("a hundred thousand offsets of one list of a million elements", |root| {
        let head = operator_head(false, false, S::list(S::string()));
        let offset = head.len() as i64;
        let element = [&1_000_000_i32.to_be_bytes()[..], &[1; 1_000_000]].concat();
        operator_state(root, false, &[head, element].concat(), vec![offset; 100_000])
    }),
    endured("a list in a list in a list", |root| {
        let head = operator_head(false, false, S::list(S::string()));
        let start = head.len() as i64;
        let body: Vec<u8> = [0, 0, 0x40, 0].repeat(50_000);
        let offsets = (0..50_000).map(|number| start + 4 * number).collect();
        operator_state(root, false, &[head, body].concat(), offsets)
    }),
    found("a bomb of zeros in compressed elements", |root| {
        let head = operator_head(false, true, S::long());
        let offset = head.len() as i64;
        operator_state(root, false, &[head, zeros(400)].concat(), vec![offset])
    }),
    found("a hundred thousand offsets of one compressed element", |root| {
        let head = operator_head(false, true, S::list(S::string()));
        let offset = head.len() as i64;
        operator_state(root, false, &[head, zeros(100)].concat(), vec![offset; 100_000])
    }),
    endless("an element of a terabyte", |root| {
        let head = operator_head(true, false, S::long());
        let offset = head.len() as i64;
        let head = [&head[..], &i32::MAX.to_be_bytes()].concat();
        operator_in(root, true, sparse(root, "state", &head, 1 << 40), vec![offset])
    }),
];

#[test]
fn hostile_operator_state_is_endured() {
    endure(OPERATOR);
}

fn changes(root: &Path, stream: &StreamHandle<'static>, offsets: Vec<i64>) -> Made {
    let range = KeyGroupRange { start: 0, count: 1 };
    let id = JavaStr::from("an id");
    // The flag does not count.
    let stream = match stream.clone() {
        StreamHandle::File { size, path } => StreamHandle::File { size: size - 1, path },
        other => other,
    };
    let changes = ChangesInFiles {
        range,
        streams: offsets.into_iter().map(|offset| (offset, stream.clone())).collect(),
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
    Made::new(root, 1, keyed(KeyedHandle::Changelog(Box::new(handle))))
}

fn ints(numbers: &[i32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

const CHANGES: &[Hostile] = &[
    found("a change of 2 GiB", |root| {
        let stream = write(root, "changes", &[&[0][..], &ints(&[1, 1, 0, i32::MAX]), &[1; 100]].concat());
        changes(root, &stream, vec![0])
    }),
    found("2^31 - 1 key groups", |root| {
        let stream = write(root, "changes", &[&[0][..], &ints(&[i32::MAX, 1, 0]), &[1; 100]].concat());
        changes(root, &stream, vec![0])
    }),
    found("changes of nothing without end", |root| {
        let stream = write(root, "changes", &[&[0][..], &ints(&[1, 2_000_000, 0]), &[0; 8_000_000]].concat());
        changes(root, &stream, vec![0])
    }),
    found("a hundred thousand offsets everywhere", |root| {
        let stream = write(root, "changes", &[&[0][..], &ints(&[1, 1, 0, 1_000_000]), &[0; 1_000_000]].concat());
        changes(root, &stream, (-10..100_000).collect())
    }),
    found("a bomb of zeros", |root| {
        let stream = write(root, "changes", &[vec![1], zeros(400)].concat());
        changes(root, &stream, vec![0, 1 << 40])
    }),
    endless("a terabyte of sets of nothing", |root| {
        let stream = sparse(root, "changes", &[0], 1 << 40);
        changes(root, &stream, vec![0])
    }),
    found("a terabyte behind a flag for compression", |root| {
        let stream = sparse(root, "changes", &[&[1][..], IDENTIFIER].concat(), 1 << 40);
        changes(root, &stream, vec![0])
    }),
];

#[test]
fn hostile_changes_are_endured() {
    endure(CHANGES);
}

fn channel(root: &Path, stream: StreamHandle<'static>, info: ChannelInfo<'static>) -> Made {
    let side = ChannelSide::Input;
    let handle = ChannelHandle { side, subtask_index: Some(0), info, size: 0, stream };
    Made::new(root, 1, SubtaskState { input_channels: vec![handle], ..no_state() })
}

fn at(offsets: Vec<i64>) -> ChannelInfo<'static> {
    ChannelInfo::One { gate: 0, channel: 0, offsets }
}

const CHANNELS: &[Hostile] = &[
    found("a buffer of negative length", |root| {
        channel(root, write(root, "channels", &[ints(&[0, -1]), vec![0; 100]].concat()), at(vec![4]))
    }),
    found("a buffer of 2 GiB", |root| {
        channel(root, write(root, "channels", &[ints(&[0, i32::MAX]), vec![0; 100]].concat()), at(vec![4]))
    }),
    found("offsets outside of the file", |root| {
        channel(root, write(root, "channels", &ints(&[0, 0])), at(vec![-1, i64::MAX, i64::MIN, 0, 1, 2, 3]))
    }),
    found("a buffer at every byte", |root| {
        let bytes = [ints(&[0]), [0, 1].repeat(100_000)].concat();
        channel(root, write(root, "channels", &bytes), at((4..200_000).collect()))
    }),
    endless("a terabyte of buffers of nothing", |root| {
        channel(root, sparse(root, "channels", &[], 1 << 40), at(vec![4]))
    }),
];

#[test]
fn hostile_channel_state_is_endured() {
    endure(CHANNELS);
}
