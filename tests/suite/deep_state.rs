//! Deep checks of state files: nothing is wrong with what real Flink wrote, and what is damaged is found.

use super::support::{Case, archives, metadata_files};
use chkctl::format::{self, merged_channels};
use chkctl::model::Checked;
use chkctl::model::damage::Effect;
use chkctl::model::handle::{
    ChannelInfo, KeyGroups, KeyGroupsKind, KeyedHandle, OperatorStateInfo, StreamHandle,
};
use chkctl::state::check::{
    ChannelPart, changelog_segment, channel_state, database_meta, keyed_stream, operator_stream,
};
use chkctl::wire::ReadAt;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
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

    fn of_bytes(&self, bytes: &[u8]) -> Checked {
        self.check(&bytes, &|_| {})
    }
}

/// A stream of a snapshot.
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
    let mut found = Streams {
        case,
        metadata,
        streams: Vec::new(),
        changelogs: BTreeMap::new(),
        channels: BTreeMap::new(),
    };
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
                let id = if matches!(handle.stream, StreamHandle::Bytes(_)) { format!("{from} {id} {parts:?}") } else { id };
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
                assert!(seen.get() <= stream.bytes.len() as u64, "{}: {} bytes", stream.from, seen.get());
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

#[test]
fn every_cut_of_a_compressed_stream_and_every_flip_in_its_frames_is_found() {
    for name in ["kitchen-compressed-1.20.5", "kitchen-compressed-2.3.0"] {
        let case = Case::named(name);
        let mut table: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for metadata in metadata_files(&case.tree()) {
            for stream in streams(&case, &metadata) {
                if stream.bytes.len() > 12_000 {
                    continue;
                }
                let body = match &stream.kind {
                    Kind::Keyed(groups, _) => groups.offsets.iter().filter(|offset| **offset != 0).min().copied(),
                    Kind::Operator(states) => states.iter().flat_map(|state| &state.offsets).min().copied(),
                    _ => continue,
                };
                let body = body.map_or(stream.bytes.len(), |start| usize::try_from(start).expect("a start"));
                for at in 0..stream.bytes.len() {
                    let flips = if at >= body { [0x01, 0x80, 0xff].as_slice() } else { &[0x01] };
                    for flip in flips {
                        let mut damaged = stream.bytes.clone();
                        damaged[at] ^= flip;
                        let checked = stream.kind.of_bytes(&damaged);
                        let place = if at >= body { "body" } else { "head" };
                        let row = table.entry(format!("{} {place}", stream.kind.name())).or_default();
                        row.0 += 1;
                        let found = !checked.damages.is_empty();
                        row.1 += usize::from(found);
                        assert!(found || at < body, "{} {}: byte {at} ^ {flip:02x}", stream.kind.name(), stream.from);
                    }
                }
                for at in 0..stream.bytes.len() {
                    let checked = stream.kind.of_bytes(&stream.bytes[..at]);
                    assert!(!checked.damages.is_empty(), "{} {}: cut at {at}", stream.kind.name(), stream.from);
                    assert!(checked.damages.iter().any(|damage| damage.effect == Effect::Fails), "cut at {at}");
                }
            }
        }
        println!("{name}: {table:?}");
    }
}
