//! Deep checks of state files: nothing is wrong with what real Flink wrote, and what is damaged is found.

use super::support::{Case, archives, metadata_files};
use chkctl::format::{self, merged_channels};
use chkctl::model::damage::Effect;
use chkctl::model::handle::{ChannelInfo, KeyGroups, KeyGroupsKind, KeyedHandle, OperatorStateInfo, StreamHandle};
use chkctl::model::{Checked, KeyGroupRange};
use chkctl::state::check::{
    ChannelPart, changelog_segment, channel_state, database_meta, keyed_stream, operator_stream,
};
use chkctl::state::key_group::assign_to_key_group;
use chkctl::state::{KeyedHeader, KeyedStateType, SerializerSnapshot, StateMeta};
use chkctl::wire::ReadAt;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// What a piece of state is checked with.
#[derive(Clone)]
enum Kind {
    Keyed(KeyGroups<'static>, i32),
    Operator(Vec<OperatorStateInfo<'static>>),
    Database,
    Changelog(Vec<i64>),
    Channel(Vec<ChannelPart<'static>>),
}

impl Kind {
    fn name(&self) -> &'static str {
        match self {
            Kind::Keyed(..) => "keyed",
            Kind::Operator(_) => "operator",
            Kind::Database => "database",
            Kind::Changelog(_) => "changelog",
            Kind::Channel(_) => "channel",
        }
    }

    fn check(&self, source: &dyn ReadAt, progress: &dyn Fn(u64)) -> Checked {
        match self {
            Kind::Keyed(groups, max) => keyed_stream(source, groups, *max, progress).expect("memory").checked,
            Kind::Operator(states) => operator_stream(source, states, progress).expect("memory").checked,
            Kind::Database => database_meta(source, progress).expect("memory").checked,
            Kind::Changelog(offsets) => changelog_segment(source, offsets, progress).expect("memory"),
            Kind::Channel(parts) => channel_state(source, parts, progress).expect("memory"),
        }
    }

    /// What the handle says, in the form of `tests/fuzz/fuzz_targets/handle`.
    fn as_bytes(&self) -> Vec<u8> {
        fn put(out: &mut Vec<u8>, offsets: &[i64]) {
            out.extend_from_slice(&(offsets.len() as u16).to_be_bytes());
            offsets.iter().for_each(|offset| out.extend_from_slice(&(*offset as i32).to_be_bytes()));
        }
        let mut out = Vec::new();
        match self {
            Kind::Keyed(groups, max) => {
                out.push(u8::from(groups.kind == KeyGroupsKind::Savepoint));
                out.extend_from_slice(&(*max as u16).to_be_bytes());
                out.extend_from_slice(&groups.range.start.to_be_bytes());
                put(&mut out, &groups.offsets);
            }
            Kind::Operator(states) => {
                out.push(states.len() as u8);
                for state in states {
                    let name = state.name.to_str();
                    out.push(name.len() as u8);
                    out.extend_from_slice(name.as_bytes());
                    out.push(state.mode as u8);
                    put(&mut out, &state.offsets);
                }
            }
            Kind::Database => out.extend_from_slice(&[0; 9]),
            Kind::Changelog(offsets) => put(&mut out, offsets),
            Kind::Channel(parts) => {
                let parts = parts.get(..parts.len().min(255)).unwrap_or_default();
                out.push(parts.len() as u8);
                for part in parts {
                    put(&mut out, &part.offsets);
                    out.extend_from_slice(&(part.size as i32).to_be_bytes());
                }
            }
        }
        out
    }

    fn of_bytes(&self, bytes: &[u8]) -> Checked {
        self.check(&bytes, &|_| {})
    }
}

/// A stream of a snapshot.
#[derive(Clone)]
struct Stream {
    from: String,
    bytes: Vec<u8>,
    kind: Kind,
}

/// All streams of a snapshot; those that several handles share are there once.
struct Streams<'c> {
    case: &'c Case,
    metadata: &'c Path,
    streams: Vec<Stream>,
    changelogs: BTreeMap<PathBuf, Vec<i64>>,
    channels: BTreeMap<String, (Vec<u8>, Vec<ChannelPart<'static>>)>,
}

fn streams(case: &Case, metadata: &Path) -> Vec<Stream> {
    let bytes = fs::read(metadata).expect("a _metadata");
    let model = format::decode(&bytes).expect("a _metadata that can be read");
    let mut found =
        Streams { case, metadata, streams: Vec::new(), changelogs: BTreeMap::new(), channels: BTreeMap::new() };
    for operator in &model.operators {
        for subtask in operator.subtasks() {
            let Some(state) = &subtask.state else { continue };
            let from = format!("{} {} {}", metadata.display(), operator.id, subtask.index);
            if let Some(handle) = &state.managed_operator.handle
                && let Some((bytes, _)) = found.load(&handle.stream)
            {
                let states = handle.states.iter().map(|state| OperatorStateInfo {
                    name: state.name.clone().into_owned(),
                    mode: state.mode,
                    offsets: state.offsets.clone(),
                });
                found.streams.push(Stream { from: from.clone(), bytes, kind: Kind::Operator(states.collect()) });
            }
            if let Some(handle) = &state.managed_keyed {
                found.keyed(&from, handle, operator.max_parallelism);
            }
            for handle in state.channel_handles() {
                let Some((bytes, id)) = found.load(&handle.stream) else { continue };
                let parts = match &handle.info {
                    ChannelInfo::One { offsets, .. } => {
                        vec![ChannelPart { offsets: Cow::Owned(offsets.clone()), size: handle.size }]
                    }
                    ChannelInfo::Merged(packed) => {
                        let channels = merged_channels(packed).expect("channels").into_iter();
                        channels.map(|c| ChannelPart { offsets: Cow::Owned(c.offsets), size: c.size }).collect()
                    }
                };
                // In line there is a stream for every handle, all of one name.
                let id =
                    if matches!(handle.stream, StreamHandle::Bytes(_)) { format!("{from} {id} {parts:?}") } else { id };
                found.channels.entry(id).or_insert((bytes, Vec::new())).1.extend(parts);
            }
        }
    }
    let Streams { mut streams, changelogs, channels, .. } = found;
    for (path, offsets) in changelogs {
        let bytes = fs::read(&path).expect("a changelog file");
        streams.push(Stream { from: path.display().to_string(), bytes, kind: Kind::Changelog(offsets) });
    }
    for (from, (bytes, parts)) in channels {
        streams.push(Stream { from, bytes, kind: Kind::Channel(parts) });
    }
    streams
}

impl Streams<'_> {
    fn load(&self, stream: &StreamHandle<'_>) -> Option<(Vec<u8>, String)> {
        let file = |path: &Path| fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        match stream {
            StreamHandle::Bytes(bytes) => Some((bytes.data.to_vec(), bytes.name.to_string())),
            StreamHandle::File { path, .. } => Some((file(&self.case.here(&path.to_str())), path.to_string())),
            StreamHandle::Relative { path, .. } => {
                Some((file(&self.metadata.parent().expect("a directory").join(&*path.to_str())), path.to_string()))
            }
            StreamHandle::Segment(segment) => {
                let bytes = file(&self.case.here(&segment.path.to_str()));
                let start = usize::try_from(segment.start).expect("a start");
                let size = usize::try_from(segment.size).expect("a size");
                Some((bytes[start..start + size].to_vec(), segment.logical_file_id.to_string()))
            }
            StreamHandle::EmptySegment | StreamHandle::KeyGroups(_) => None,
        }
    }

    fn keyed(&mut self, from: &str, handle: &KeyedHandle<'_>, max: i32) {
        let from = from.to_owned();
        match handle {
            KeyedHandle::KeyGroups(groups) => {
                let Some((bytes, _)) = self.load(&groups.stream) else { return };
                let kind = match groups.kind {
                    KeyGroupsKind::Savepoint => KeyGroupsKind::Savepoint,
                    _ => KeyGroupsKind::Plain,
                };
                let (range, offsets) = (groups.range, groups.offsets.clone());
                let groups = KeyGroups { kind, range, offsets, stream: StreamHandle::EmptySegment };
                self.streams.push(Stream { from, bytes, kind: Kind::Keyed(groups, max) });
            }
            KeyedHandle::Incremental(handle) => {
                if let Some((bytes, _)) = self.load(&handle.meta) {
                    self.streams.push(Stream { from, bytes, kind: Kind::Database });
                }
            }
            KeyedHandle::Changelog(changelog) => {
                for part in changelog.materialized.iter().chain(&changelog.non_materialized).flatten() {
                    self.keyed(&from, part, max);
                }
            }
            KeyedHandle::ChangesInFiles(changes) => {
                for (offset, stream) in &changes.streams {
                    if let StreamHandle::File { path, .. } = stream {
                        self.changelogs.entry(self.case.here(&path.to_str())).or_default().push(*offset);
                    }
                }
            }
            KeyedHandle::ChangesInMemory(_) => {}
        }
    }
}

#[test]
fn nothing_is_wrong_with_what_flink_wrote() {
    let mut read: BTreeMap<&str, usize> = BTreeMap::new();
    let mut wrong: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut opaque: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut entries = 0;
    for archive in archives() {
        let case = Case::unpack(&archive);
        for metadata in metadata_files(&case.tree()) {
            for stream in streams(&case, &metadata) {
                let seen = std::cell::Cell::new(0);
                let checked = stream.kind.check(&stream.bytes.as_slice(), &|more| seen.set(seen.get() + more));
                *read.entry(stream.kind.name()).or_default() += 1;
                for damage in checked.damages {
                    let text = format!("{}: {damage:?}", stream.kind.name());
                    wrong.entry(text).or_default().insert(stream.from.clone());
                }
                for sentence in checked.opaque {
                    opaque.entry(format!("{}: {sentence}", stream.kind.name())).or_default().insert(case.name.clone());
                }
                if let Kind::Keyed(groups, max) = &stream.kind {
                    let source = stream.bytes.as_slice();
                    entries += keyed_stream(&source, groups, *max, &|_| {}).expect("memory").entries;
                }
                assert_eq!(seen.get(), stream.bytes.len() as u64, "{}: every byte is told of once", stream.from);
            }
        }
    }
    println!("{read:?}, {entries} entries");
    for (sentence, cases) in &opaque {
        println!("not understood: {sentence}: {} cases", cases.len());
    }
    for (problem, streams) in wrong.iter().take(40) {
        println!("{problem}: {} streams, {:?}", streams.len(), streams.first());
    }
    assert!(wrong.is_empty(), "{} kinds of damage", wrong.len());
    for kind in ["keyed", "operator", "database", "changelog", "channel"] {
        assert!(read.get(kind).is_some_and(|count| *count > 20), "{kind}: {read:?}");
    }
}

/// Whether the stream says that its body is compressed.
fn is_compressed(stream: &Stream) -> bool {
    let version = if matches!(stream.kind, Kind::Keyed(..) | Kind::Operator(_)) { 6 } else { -1 };
    stream.bytes.starts_with(&[0, 0, 0, version as u8, 1])
}

/// How many of the damages were found.
#[derive(Default, Debug)]
struct Row {
    tried: usize,
    found: usize,
    opaque: usize,
    /// Damages that change nothing of what is compressed.
    same: usize,
}

/// What the frames of a stream hold, by another decoder than that of the check.
fn content(stream: &Stream) -> Vec<u8> {
    let (mut starts, number): (Vec<i64>, usize) = match &stream.kind {
        Kind::Keyed(groups, _) => (groups.offsets.clone(), if groups.kind == KeyGroupsKind::Savepoint { 0 } else { 4 }),
        Kind::Operator(states) => (states.iter().flat_map(|state| state.offsets.clone()).collect(), 0),
        _ => panic!("no frames"),
    };
    starts.retain(|start| *start != 0);
    starts.push(i64::try_from(stream.bytes.len()).expect("a length"));
    starts.sort_unstable();
    let mut all = Vec::new();
    for pair in starts.windows(2) {
        let range = usize::try_from(pair[0]).expect("a start") + number..usize::try_from(pair[1]).expect("an end");
        let frames = [b"\xff\x06\x00\x00sNaPpY", &stream.bytes[range]].concat();
        snap::read::FrameDecoder::new(frames.as_slice()).read_to_end(&mut all).expect("frames");
    }
    all
}

/// Where the body starts behind the head.
fn body_of(stream: &Stream) -> usize {
    let start = match &stream.kind {
        Kind::Keyed(groups, _) => groups.offsets.iter().filter(|offset| **offset != 0).min().copied(),
        Kind::Operator(states) => states.iter().flat_map(|state| &state.offsets).min().copied(),
        _ => None,
    };
    start.map_or(stream.bytes.len(), |start| usize::try_from(start).expect("a start"))
}

/// The streams of a case with state of operators, one of each length, the shortest first.
fn framed(case: &Case) -> Vec<Stream> {
    let mut seen = BTreeSet::new();
    let all = metadata_files(&case.tree()).into_iter().flat_map(|metadata| streams(case, &metadata));
    let ours = all.filter(|stream| matches!(stream.kind, Kind::Keyed(..) | Kind::Operator(_)));
    let mut found: Vec<Stream> = ours.filter(|stream| seen.insert(stream.bytes.len())).collect();
    found.sort_by_key(|stream| stream.bytes.len());
    found
}

#[test]
fn every_flipped_byte_in_frames_is_found() {
    for name in ["kitchen-compressed-1.20.5", "kitchen-compressed-2.3.0"] {
        let case = Case::named(name);
        let streams: Vec<Stream> = framed(&case).into_iter().filter(is_compressed).collect();
        let mut table: BTreeMap<&str, Row> = BTreeMap::new();
        for (number, stream) in streams.iter().enumerate() {
            // Long ones are but more of the same.
            let step = if number * 2 < streams.len() { 1 } else { 7 };
            let whole = content(stream);
            for at in (body_of(stream)..stream.bytes.len()).step_by(step) {
                let flips: &[u8] = if step == 1 { &[0x01, 0xff] } else { &[[0x01, 0xff][at % 2]] };
                for &flip in flips {
                    let mut damaged = stream.clone();
                    damaged.bytes[at] ^= flip;
                    let row = table.entry(stream.kind.name()).or_default();
                    row.tried += 1;
                    if !stream.kind.of_bytes(&damaged.bytes).damages.is_empty() {
                        row.found += 1;
                        continue;
                    }
                    // Snappy can say the same in another way: a copy of the same bytes from another place.
                    assert!(whole == content(&damaged), "{}: byte {at} ^ {flip:02x}", stream.from);
                    row.same += 1;
                }
            }
        }
        println!("{name}: {table:?}");
        // The other case keeps its keyed state in databases.
        assert!(table.contains_key("operator") && table.contains_key("keyed") == name.contains("1.20"), "{table:?}");
        assert!(table.values().all(|row| row.found + row.same == row.tried), "{table:?}");
    }
}

#[test]
fn every_flipped_byte_of_a_head_is_found_but_for_names_that_could_be_others() {
    for name in ["kitchen-compressed-1.20.5", "kitchen-compressed-2.3.0"] {
        let case = Case::named(name);
        let mut missed = Vec::new();
        let mut seen = BTreeSet::new();
        for stream in framed(&case) {
            let body = body_of(&stream);
            // One of each length will do, with the shortest of bodies.
            if !seen.insert(body) {
                continue;
            }
            let head = &stream.bytes[..body];
            let names = names_of(&stream);
            let clean = stream.kind.of_bytes(&stream.bytes);
            for at in 0..body {
                for flip in [0x01, 0xff] {
                    let mut damaged = stream.bytes.clone();
                    damaged[at] ^= flip;
                    let checked = stream.kind.of_bytes(&damaged);
                    // A letter of a name that a program gave.
                    let is_name = names.iter().any(|name| {
                        let before = head.get(at.saturating_sub(name.len() - 1)..(at + name.len()).min(body));
                        before.is_some_and(|near| near.windows(name.len()).any(|part| part == name.as_bytes()))
                    });
                    let found = checked.damages != clean.damages;
                    if !found && !is_name {
                        let near = &head[at.saturating_sub(24)..(at + 24).min(body)];
                        missed.push(format!("{}: byte {at} ^ {flip:02x}: {}", stream.from, near.escape_ascii()));
                    }
                }
                if at % 5 != 0 {
                    continue;
                }
                let cut = stream.kind.of_bytes(&stream.bytes[..at]);
                let fails = cut.damages.iter().any(|damage| damage.effect == Effect::Fails);
                assert!(fails, "{}: cut at {at} of {}: {:?}", stream.from, stream.bytes.len(), cut.damages);
            }
        }
        assert!(missed.is_empty(), "{} bytes:\n{}", missed.len(), missed.join("\n"));
    }
}

/// The names in a head that are a program's own: of states, and of classes of its types.
fn names_of(stream: &Stream) -> Vec<String> {
    let source = stream.bytes.as_slice();
    let Kind::Keyed(groups, max) = &stream.kind else { return Vec::new() };
    let header = keyed_stream(&source, groups, *max, &|_| {}).expect("memory").header.expect("a head");
    let types = header.states.iter().flat_map(|state| &state.serializers).flat_map(|(_, types)| types.names());
    let types = types.chain(header.key.names()).filter(|name| name.starts_with("lab."));
    let mut names: Vec<String> = header.states.iter().map(|state| state.name.clone()).chain(types).collect();
    names.retain(|name| !name.starts_with("_timer_state/"));
    names
}

#[test]
fn every_cut_of_changes_and_in_flight_buffers_is_found() {
    for name in ["wc-changelog-1.18.1", "wc-changelog-compressed-1.20.5", "wc-unaligned-1.20.5", "wc-unaligned-1.11.4"]
    {
        let case = Case::named(name);
        let mut table: BTreeMap<&str, Row> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for stream in metadata_files(&case.tree()).iter().flat_map(|metadata| streams(&case, metadata)) {
            let ours = matches!(stream.kind, Kind::Changelog(_) | Kind::Channel(_));
            if !ours || stream.bytes.len() > 20_000 || !seen.insert(stream.bytes.len()) {
                continue;
            }
            let step = if stream.bytes.len() > LONGEST_DAMAGED { 13 } else { 1 };
            for at in (0..stream.bytes.len()).step_by(step) {
                let cut = stream.kind.of_bytes(&stream.bytes[..at]);
                assert!(!cut.damages.is_empty(), "{}: cut at {at} of {}", stream.from, stream.bytes.len());
                let mut damaged = stream.bytes.clone();
                damaged[at] ^= 1;
                let found = !stream.kind.of_bytes(&damaged).damages.is_empty();
                let row = table.entry(stream.kind.name()).or_default();
                row.tried += 1;
                row.found += usize::from(found);
                assert!(found || at > 0, "the first byte says what follows");
                // Of frames see the test above.
                row.opaque += usize::from(!found && name.contains("compressed"));
            }
        }
        println!("{name}: {table:?}");
        assert!(table.values().all(|row| row.opaque * 100 <= row.tried), "{name}: {table:?}");
        assert!(!table.is_empty(), "{name} has none that is short enough");
    }
}

/// Streams with what their handles say in front, as `tests/fuzz/fuzz_targets` reads them, into the directories that
/// `tests/fuzz/run.sh` names.
#[test]
fn seeds_for_the_fuzzer() {
    let Some(directory) = std::env::var_os("FUZZ_SEEDS").map(PathBuf::from) else { return };
    let mut known = BTreeSet::new();
    for archive in archives() {
        let case = Case::unpack(&archive);
        for stream in metadata_files(&case.tree()).iter().flat_map(|metadata| streams(&case, metadata)) {
            let (kind, handle) = (stream.kind.name(), stream.kind.as_bytes());
            // One of each head and length will do.
            let alike = (kind, stream.bytes.len(), stream.bytes.iter().take(300).copied().collect::<Vec<u8>>());
            if stream.bytes.len() < 60_000 && known.insert(alike) {
                // The description of a database is a head of keyed state.
                let target = directory.join(if kind == "database" { "keyed" } else { kind });
                fs::create_dir_all(&target).expect("a directory");
                let seed = [handle, stream.bytes].concat();
                fs::write(target.join(format!("corpus-{}", known.len())), seed).expect("a seed");
            }
        }
    }
    assert!(known.len() > 100, "{} seeds", known.len());
}

/// Streams beyond this are not damaged byte by byte.
const LONGEST_DAMAGED: usize = 2500;

/// A stream of one state of strings, behind which `body` follows.
fn hostile(namespace: SerializerSnapshot, value: SerializerSnapshot, body: &[u8]) -> Checked {
    let mut bytes = Vec::new();
    let state = StateMeta::key_value("s", KeyedStateType::Value, namespace, value);
    let header = KeyedHeader::new(SerializerSnapshot::byte(), vec![state]);
    header.write(&mut bytes).expect("a head");
    let start = i64::try_from(bytes.len()).expect("short");
    bytes.extend_from_slice(body);
    let range = KeyGroupRange { start: 7, count: 1 };
    let (kind, stream) = (KeyGroupsKind::Plain, StreamHandle::EmptySegment);
    Kind::Keyed(KeyGroups { kind, range, offsets: vec![start], stream }, 128).of_bytes(&bytes)
}

#[test]
fn counts_that_no_bytes_stand_behind_are_no_work() {
    let entries = [&[0, 0, 0, 7, 0, 0, 0x7f, 0xff, 0xff, 0xff][..], &[0; 60]].concat();
    let checked = hostile(SerializerSnapshot::void_namespace(), SerializerSnapshot::void_namespace(), &entries);
    assert!(matches!(checked.damages.as_slice(), [damage] if damage.effect == Effect::Fails), "{checked:?}");
    let list = [&[0, 0, 0, 7, 0, 0, 0, 0, 0, 1, 0, 1][..], &[0x7f, 0xff, 0xff, 0xff], &[0; 60]].concat();
    let checked = hostile(
        SerializerSnapshot::void_namespace(),
        SerializerSnapshot::list(SerializerSnapshot::void_namespace()),
        &list,
    );
    assert!(checked.damages.iter().any(|damage| damage.effect == Effect::Fails), "{checked:?}");
}

#[test]
fn a_key_in_the_wrong_key_group_is_found() {
    let group = i32::from(assign_to_key_group(1, 128));
    let body = |key: u8| [&[0, 0, 0, 7, 0, 0, 0, 0, 0, 1, 0, key][..], &[0]].concat();
    let wrong = hostile(SerializerSnapshot::void_namespace(), SerializerSnapshot::void_namespace(), &body(1));
    assert_ne!(group, 7);
    assert!(matches!(wrong.damages.as_slice(), [damage] if damage.effect == Effect::Starts), "{wrong:?}");
    let right = (0..=127_u8).find(|key| assign_to_key_group(i32::from(*key), 128) == 7).expect("a key");
    let fine = hostile(SerializerSnapshot::void_namespace(), SerializerSnapshot::void_namespace(), &body(right));
    assert_eq!(fine, Checked::default());
}

#[test]
fn key_groups_beyond_all_numbers_are_no_end() {
    let mut bytes = Vec::new();
    KeyedHeader::new(SerializerSnapshot::byte(), Vec::new()).write(&mut bytes).expect("a head");
    for kind in [KeyGroupsKind::Plain, KeyGroupsKind::Savepoint] {
        let range = KeyGroupRange { start: i32::MAX - 1, count: 4 };
        let groups = KeyGroups { kind, range, offsets: vec![5, 0, 6, 7], stream: StreamHandle::EmptySegment };
        assert!(!Kind::Keyed(groups, 128).of_bytes(&bytes).damages.is_empty());
    }
}

#[test]
fn old_versions_are_unknown_and_not_damage() {
    for version in 1..=5_u8 {
        let bytes = [&[0, 0, 0, version][..], &[0; 40]].concat();
        let range = KeyGroupRange { start: 0, count: 1 };
        let (kind, stream) = (KeyGroupsKind::Plain, StreamHandle::EmptySegment);
        let keyed = Kind::Keyed(KeyGroups { kind, range, offsets: vec![20], stream }, 128);
        for kind in [keyed, Kind::Operator(Vec::new()), Kind::Database] {
            if matches!(kind, Kind::Operator(_)) && version == 5 {
                continue;
            }
            let checked = kind.of_bytes(&bytes);
            let unknown = matches!(checked.damages.as_slice(), [damage] if damage.effect == Effect::Unknown);
            assert!(unknown, "{} {version}: {checked:?}", kind.name());
        }
    }
}
