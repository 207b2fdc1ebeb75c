//! State files of real Flink: every one of the corpus is read to its last byte, and what a word count holds is right.

use super::streams::{Keyed, Operator, Streams};
use super::support::{Case, archives, metadata_files};
use chkctl::model::handle::OperatorStateInfo;
use chkctl::state::canonical::{CanonicalReader, Entry, KeyGroupWriter};
use chkctl::state::heap::{self, HeapReader};
use chkctl::state::key_group::assign_to_key_group;
use chkctl::state::operator::{OperatorHeader, OperatorReader, OperatorWriter};
use chkctl::state::{
    Bytes, KeyType, KeyedBody, KeyedHeader, KeyedStateType, StateMeta, StateType, TimeWindow, Timer, ranges,
};
use chkctl::wire::Reader;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Types whose values end where only Java knows: two of Kryo, and Java's own serialization.
const KNOWN_TO_JAVA_ALONE: [&str; 3] = ["java.util.BitSet", "java.util.List", "Java's own serialization"];

type Outcome<T> = Result<T, String>;

fn text<T>(result: chkctl::wire::Decoded<T>) -> Outcome<T> {
    result.map_err(|error| error.to_string())
}

impl Keyed {
    /// The number of entries, every one of which was passed over.
    fn check(&self) -> Outcome<usize> {
        let header = text(KeyedHeader::read(&mut Reader::new(&self.bytes, "keyed state")))?;
        let mut written = Vec::new();
        header.write(&mut written).expect("a head");
        assert!(self.bytes.starts_with(&written), "{}: the head is written as Flink wrote it", self.from);
        let first = self.offsets.iter().filter(|offset| **offset != 0).min();
        assert!(first.is_none_or(|first| *first == written.len() as i64), "{}: behind the head", self.from);
        let mut entries = 0;
        for (group, range) in (self.first..).zip(ranges(&self.offsets, self.bytes.len())) {
            match self.body {
                KeyedBody::Heap => {
                    let reader = text(HeapReader::new(&self.bytes))?;
                    let piece = text(reader.key_group(group, &range))?;
                    let mut sections = text(piece.sections())?;
                    while let Some(section) = text(sections.next())? {
                        text(sections.skip(&header, section))?;
                        entries += section.count;
                    }
                }
                KeyedBody::Canonical => {
                    let reader = text(CanonicalReader::new(&self.bytes, self.max_parallelism))?;
                    let piece = text(reader.key_group(&range))?;
                    let mut walk = text(piece.entries())?;
                    while let Some(entry) = text(walk.next())? {
                        assert_eq!(i32::from(entry.key_group), group, "{}", self.from);
                        text(entry.check(&header))?;
                        entries += 1;
                    }
                }
            }
        }
        Ok(entries)
    }
}

impl Operator {
    fn check(&self) -> Outcome<usize> {
        let mut input = Reader::new(&self.bytes, "operator state");
        let header = text(OperatorHeader::read(&mut input))?;
        let mut written = Vec::new();
        header.write(&mut written).expect("a head");
        assert!(self.bytes.starts_with(&written), "{}: the head is written as Flink wrote it", self.from);
        let reader = text(OperatorReader::new(&self.bytes, &self.states))?;
        let mut pieces = BTreeMap::new();
        for state in &self.states {
            for offset in &state.offsets {
                pieces.insert(*offset as u64, text(reader.check(&state.name.to_str(), *offset))?);
            }
        }
        if !header.compressed {
            let mut end = written.len() as u64;
            for (start, length) in &pieces {
                assert_eq!(*start, end, "{}: elements follow each other", self.from);
                end += length;
            }
            assert_eq!(end, self.bytes.len() as u64, "{}: nothing behind the last element", self.from);
        }
        Ok(pieces.len())
    }
}

#[test]
fn every_state_file_of_the_corpus_is_read_to_its_last_byte() {
    let (mut read, mut elements) = (0, 0);
    let mut refused: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for archive in archives() {
        let case = Case::unpack(&archive);
        for metadata in metadata_files(&case.tree()) {
            let streams = Streams::of(&case, &metadata);
            let keyed = streams.keyed.iter().map(|stream| (&stream.from, stream.check()));
            let operator = streams.operator.iter().map(|stream| (&stream.from, stream.check()));
            for (_, outcome) in keyed.chain(operator) {
                match outcome {
                    Ok(count) => {
                        read += 1;
                        elements += count;
                    }
                    Err(error) => {
                        let reason = error.split(": ").skip(1).collect::<Vec<_>>().join(": ");
                        refused.entry(reason).or_default().insert(case.name.clone());
                    }
                }
            }
        }
    }
    for (reason, cases) in &refused {
        println!("{reason}\n    {cases:?}");
    }
    println!("{read} streams, {elements} elements");
    for (reason, cases) in &refused {
        let known = KNOWN_TO_JAVA_ALONE.iter().any(|class| reason.contains(class));
        assert!(known, "{reason}: {cases:?}");
    }
    assert!(read > 1000 && elements > 8000, "{read} streams with {elements} elements");
}

/// A key of a word count, a word and how often it came.
type Count = (String, (String, i32));

/// Keys of a word count: the word, or a tuple of it where the program names the field.
trait Word: KeyType {
    fn word(&self) -> &str;
}

impl Word for String {
    fn word(&self) -> &str {
        self
    }
}

impl Word for (String,) {
    fn word(&self) -> &str {
        &self.0
    }
}

fn counts(stream: &Keyed) -> Vec<Count> {
    let header = KeyedHeader::read(&mut Reader::new(&stream.bytes, "keyed state")).expect("a head");
    match header.key.describe().as_str() {
        "String" => counts_by::<String>(stream),
        "Tuple1<String>" => counts_by::<(String,)>(stream),
        other => panic!("{}: words keyed by {other}", stream.from),
    }
}

/// The counts in a stream, having been written anew and compared.
fn counts_by<K: Word>(stream: &Keyed) -> Vec<Count> {
    let header = KeyedHeader::read(&mut Reader::new(&stream.bytes, "keyed state")).expect("a head");
    let wanted =
        StateMeta::key_value("_op_state", KeyedStateType::Value, <()>::serializer(), <(String, i32)>::serializer());
    assert_eq!(header, KeyedHeader::new(K::serializer(), vec![wanted]), "{}", stream.from);
    let mut all = Vec::new();
    let mut written = Vec::new();
    header.write(&mut written).expect("a head");
    for (group, range) in (stream.first..).zip(ranges(&stream.offsets, stream.bytes.len())) {
        let group = u16::try_from(group).expect("a key group");
        let mut found: Vec<((), K, (String, i32))> = Vec::new();
        match stream.body {
            KeyedBody::Heap => {
                let reader = HeapReader::new(&stream.bytes).expect("a stream");
                let piece = reader.key_group(i32::from(group), &range).expect("a key group");
                let mut sections = piece.sections().expect("sections");
                while let Some(section) = sections.next().expect("a section") {
                    for _ in 0..section.count {
                        found.push(heap::read_entry(sections.reader()).expect("an entry"));
                    }
                }
                heap::start_key_group(&mut written, group);
                heap::start_state(&mut written, 0, found.len()).expect("it fits");
                for (namespace, key, value) in &found {
                    heap::write_entry(&mut written, namespace, key, value).expect("it fits");
                }
            }
            KeyedBody::Canonical => {
                let reader = CanonicalReader::new(&stream.bytes, stream.max_parallelism).expect("a stream");
                let piece = reader.key_group(&range).expect("a key group");
                let mut entries = piece.entries().expect("entries");
                while let Some(entry) = entries.next().expect("an entry") {
                    found.push(entry.read().expect("a count"));
                }
                let mut writer = KeyGroupWriter::new(&mut written, group, stream.max_parallelism);
                for (namespace, key, value) in &found {
                    writer.value(0, namespace, key, value).expect("it fits");
                }
                writer.finish();
            }
        }
        for (_, key, _) in &found {
            assert_eq!(assign_to_key_group(key.java_hash(), stream.max_parallelism), group, "{}", key.word());
        }
        all.extend(found.into_iter().map(|(_, key, count)| (key.word().to_owned(), count)));
    }
    assert!(written == stream.bytes, "{}: written as Flink wrote it", stream.from);
    all
}

/// The words of a snapshot, and how often each was counted.
pub fn words(case: &Case, metadata: &Path) -> BTreeMap<String, i32> {
    Streams::of(case, metadata).keyed.iter().flat_map(counts).map(|(word, (_, count))| (word, count)).collect()
}

#[test]
fn word_counts_are_right_and_written_back_byte_for_byte() {
    let mut snapshots = 0;
    for archive in archives() {
        let name = archive.file_name().expect("a name").to_string_lossy().into_owned();
        // The streams of the others hold words on their way between tasks, or no counts at all.
        if !name.starts_with("wc-") || name.contains("unaligned") {
            continue;
        }
        let case = Case::unpack(&archive);
        for metadata in metadata_files(&case.tree()) {
            let streams = Streams::of(&case, &metadata);
            let counts: Vec<Count> = streams.keyed.iter().flat_map(counts).collect();
            if counts.is_empty() {
                continue;
            }
            let words: BTreeSet<&String> = counts.iter().map(|(key, _)| key).collect();
            assert_eq!(words.len(), counts.len(), "{}: every word once", metadata.display());
            assert!(counts.iter().all(|(key, (word, _))| key == word), "{}", metadata.display());
            let sum: i64 = counts.iter().map(|(_, (_, count))| i64::from(*count)).sum();
            // A socket does not know what it has sent, and of a changelog only the older part is in these files.
            if !["socket", "changelog"].iter().any(|other| case.name.contains(other)) {
                let sent: i64 = streams.operator.iter().map(sent).sum();
                assert_eq!(sum, sent, "{}: every word that was sent is counted", metadata.display());
            }
            snapshots += 1;
        }
    }
    assert!(snapshots > 20, "{snapshots} snapshots with counts");
}

/// How many words the source had sent.
fn sent(stream: &Operator) -> i64 {
    let reader = OperatorReader::new(&stream.bytes, &stream.states).expect("a stream");
    let of_source = stream.states.iter().filter(|state| state.name.to_str() == "offset");
    let offsets = of_source.flat_map(|state| &state.offsets);
    offsets.map(|offset| reader.element::<i64>(*offset).expect("a number")).sum()
}

/// Copies entries of a state from a stream into another by way of their Rust types.
#[derive(Clone, Copy)]
struct Typed {
    heap: fn(&mut Reader<'_>, &mut Vec<u8>),
    canonical: fn(usize, Entry<'_>, &mut KeyGroupWriter<'_>),
}

fn value<K: StateType, N: StateType, V: StateType>() -> Typed {
    Typed {
        heap: |input, out| {
            let (namespace, key, value) = heap::read_entry::<N, K, V>(input).expect("an entry");
            heap::write_entry(out, &namespace, &key, &value).expect("it fits");
        },
        canonical: |state, entry, writer| {
            let (namespace, key, value) = entry.read::<N, K, V>().expect("an entry");
            writer.value(state, &namespace, &key, &value).expect("it fits");
        },
    }
}

fn list<K: StateType, N: StateType, E: StateType>() -> Typed {
    Typed {
        heap: value::<K, N, Vec<E>>().heap,
        canonical: |state, entry, writer| {
            let (namespace, key, list) = entry.read_list::<N, K, E>().expect("a list");
            writer.list(state, &namespace, &key, &list).expect("it fits");
        },
    }
}

fn map<K: StateType, MK: StateType + Ord, MV: StateType>() -> Typed {
    Typed {
        heap: value::<K, (), BTreeMap<MK, MV>>().heap,
        canonical: |state, entry, writer| {
            let (namespace, key, map_key, map_value) = entry.read_map_entry::<(), K, MK, MV>().expect("an entry");
            writer.map_entry(state, &namespace, &key, &map_key, &map_value).expect("it fits");
        },
    }
}

fn timer<K: StateType, N: StateType>() -> Typed {
    Typed {
        heap: |input, out| {
            let timer = heap::read_timer::<K, N>(input).expect("a timer");
            heap::write_timer(out, &timer).expect("it fits");
        },
        canonical: |state, entry, writer| {
            let timer = entry.read_timer::<K, N>().expect("a timer");
            writer.timer(state, &timer).expect("it fits");
        },
    }
}

/// The Rust types of a state of the kitchen sink, and its description as Rust would write it.
fn typed(key: &str, state: &StateMeta) -> Option<(Typed, StateMeta)> {
    use KeyedStateType::{Aggregating, List, Map, Reducing, Value};
    fn of<N: StateType, V: StateType>(copy: Typed, state: &StateMeta, kind: KeyedStateType) -> (Typed, StateMeta) {
        (copy, StateMeta::key_value(&state.name, kind, N::serializer(), V::serializer()))
    }
    fn queue<K: StateType, N: StateType>(state: &StateMeta) -> (Typed, StateMeta) {
        (timer::<K, N>(), StateMeta::priority_queue(&state.name, Timer::<K, N>::serializer()))
    }
    type Four = (String, i32, i64, i64);
    let windowed = state.namespace().is_some_and(|namespace| namespace.describe() == "TimeWindow");
    let described = state.value().expect("a serializer").describe();
    Some(match (key, described.as_str(), state.keyed_type()) {
        ("String", "Long", Value) => of::<(), i64>(value::<String, (), i64>(), state, Value),
        ("String", "Long", Reducing) => of::<(), i64>(value::<String, (), i64>(), state, Reducing),
        ("String", "Long", Aggregating) if windowed => {
            of::<TimeWindow, i64>(value::<String, TimeWindow, i64>(), state, Aggregating)
        }
        ("String", "Tuple2<Long, Long>", Aggregating) => {
            of::<(), (i64, i64)>(value::<String, (), (i64, i64)>(), state, Aggregating)
        }
        ("String", "List<Long>", List) => of::<(), Vec<i64>>(list::<String, (), i64>(), state, List),
        ("String", "Map<String, Long>", Map) => {
            of::<(), BTreeMap<String, i64>>(map::<String, String, i64>(), state, Map)
        }
        ("Long", "Double", Value) => of::<(), f64>(value::<i64, (), f64>(), state, Value),
        ("Long", "List<Tuple2<Long, String>>", List) => {
            of::<(), Vec<(i64, String)>>(list::<i64, (), (i64, String)>(), state, List)
        }
        ("Tuple2<String, Integer>", "Tuple4<String, Integer, Long, Long>", Value) => {
            of::<(), Four>(value::<(String, i32), (), Four>(), state, Value)
        }
        (_, "Timer<String, VoidNamespace>", _) => queue::<String, ()>(state),
        (_, "Timer<String, TimeWindow>", _) => queue::<String, TimeWindow>(state),
        (_, "Timer<Long, VoidNamespace>", _) => queue::<i64, ()>(state),
        _ => return None,
    })
}

/// Copies what can be of a canonical stream, entry by entry; gives how many of which kind of state were the same.
fn copied(stream: &Keyed, same: &mut BTreeMap<String, usize>) {
    let Ok(header) = KeyedHeader::read(&mut Reader::new(&stream.bytes, "keyed state")) else { return };
    let key = header.key.describe();
    let states: Vec<_> = header.states.iter().map(|state| typed(&key, state)).collect();
    for (found, (_, built)) in header.states.iter().zip(&states).filter_map(|(a, b)| Some((a, b.as_ref()?))) {
        assert_eq!(found, built, "{}: the description is built as Flink wrote it", stream.from);
    }
    for (group, range) in (stream.first..).zip(ranges(&stream.offsets, stream.bytes.len())) {
        let number = u16::try_from(group).expect("a key group");
        match stream.body {
            KeyedBody::Heap => {
                let reader = HeapReader::new(&stream.bytes).expect("a stream");
                let piece = reader.key_group(group, &range).expect("a key group");
                let mut sections = piece.sections().expect("sections");
                while let Some(section) = sections.next().expect("a section") {
                    let (Some((copy, _)), Some(meta)) =
                        (states[section.state].as_ref(), header.states.get(section.state))
                    else {
                        if sections.skip(&header, section).is_err() {
                            break;
                        }
                        continue;
                    };
                    let mut input = sections.reader().clone();
                    let raw = sections.raw(&header, section).expect("entries");
                    let mut out = Vec::new();
                    (0..section.count).for_each(|_| (copy.heap)(&mut input, &mut out));
                    // The entries of a map are in no order of their own.
                    assert!(out == raw || meta.keyed_type() == KeyedStateType::Map, "{} {}", stream.from, meta.name);
                    *same.entry(format!("heap {}", meta.name)).or_default() += section.count;
                }
            }
            KeyedBody::Canonical => {
                let reader = CanonicalReader::new(&stream.bytes, stream.max_parallelism).expect("a stream");
                let piece = reader.key_group(&range).expect("a key group");
                let mut entries = piece.entries().expect("entries");
                while let Some(entry) = entries.next().expect("an entry") {
                    let Some((copy, _)) = &states[entry.state] else { continue };
                    let mut out = Vec::new();
                    let mut writer = KeyGroupWriter::new(&mut out, number, stream.max_parallelism);
                    let (state, key, value) = (entry.state, entry.key.rest(), entry.value.rest());
                    (copy.canonical)(state, entry, &mut writer);
                    assert!(writer.finish());
                    assert!(
                        out.windows(key.len()).any(|part| part == key) && out.len() == key.len() + value.len() + 13
                    );
                    assert_eq!(&out[out.len() - 2 - value.len()..out.len() - 2], value, "{}", stream.from);
                    *same.entry(format!("canonical {}", header.states[state].name)).or_default() += 1;
                }
            }
        }
    }
}

#[test]
fn states_of_the_kitchen_sink_are_written_as_flink_wrote_them() {
    let mut same = BTreeMap::new();
    let mut streams = 0;
    for archive in archives() {
        if !archive.to_string_lossy().contains("kitchen-") {
            continue;
        }
        let case = Case::unpack(&archive);
        for metadata in metadata_files(&case.tree()) {
            let found = Streams::of(&case, &metadata);
            found.keyed.iter().for_each(|stream| copied(stream, &mut same));
            streams += found.operator.iter().filter(|stream| operator_states(stream)).count();
        }
    }
    for name in ["map", "count", "last-ids", "aggregating", "window-contents", "double", "pairs", "_op_state"] {
        assert!(same.get(&format!("canonical {name}")).is_some_and(|count| *count >= 10), "{name}: {same:?}");
    }
    for name in ["window-contents", "seen", "_op_state", "_timer_state/event_window-timers"] {
        assert!(same.get(&format!("heap {name}")).is_some_and(|count| *count >= 10), "{name}: {same:?}");
    }
    assert!(streams >= 50, "{streams} streams of operator state");
}

/// Checks the operator that has all kinds of operator state; false for others.
fn operator_states(stream: &Operator) -> bool {
    let reader = OperatorReader::new(&stream.bytes, &stream.states).expect("a stream");
    let offsets =
        |name: &str| stream.states.iter().find(|state| state.name.to_str() == name).map(|s| s.offsets.clone());
    let (Some(list), Some(union), Some(broadcast)) = (offsets("op-list"), offsets("op-union"), offsets("op-broadcast"))
    else {
        return false;
    };
    let texts: Vec<String> = list.iter().map(|offset| reader.element(*offset).expect("a text")).collect();
    let pairs: Vec<(i32, i64)> = union.iter().map(|offset| reader.element(*offset).expect("a pair")).collect();
    let [(index, sent)] = pairs[..] else { panic!("{}: {pairs:?}", stream.from) };
    for (number, text) in texts.iter().enumerate() {
        assert_eq!(*text, format!("subtask-{index} entry-{number} of {sent}"), "{}", stream.from);
    }
    let constants: Vec<(String, i64)> = reader.broadcast(broadcast[0]).expect("entries");
    assert!(constants.contains(&("const".to_owned(), 42)), "{}: {constants:?}", stream.from);
    if reader.header().compressed || reader.header().version != 5 {
        return true;
    }
    let mut writer =
        OperatorWriter::new(reader.header().lists.clone(), reader.header().broadcasts.clone()).expect("a head");
    let number = |name: &str| reader.header().lists.iter().position(|state| state.name == name).expect("a state");
    let mut write = |name: &str| match name {
        "op-list" => texts.iter().for_each(|text| writer.element(number(name), text).expect("it fits")),
        _ => pairs.iter().for_each(|pair| writer.element(number(name), pair).expect("it fits")),
    };
    let order = if list[0] < union[0] { ["op-list", "op-union"] } else { ["op-union", "op-list"] };
    order.iter().for_each(|name| write(name));
    writer.broadcast(0, constants.iter().map(|(key, value)| (key, value))).expect("it fits");
    let (bytes, states) = writer.finish();
    assert!(bytes == stream.bytes, "{}: written as Flink wrote it", stream.from);
    let offsets = |states: &[OperatorStateInfo<'_>]| -> BTreeSet<(String, Vec<i64>)> {
        states.iter().map(|state| (state.name.to_string(), state.offsets.clone())).collect()
    };
    assert_eq!(offsets(&states), offsets(&stream.states), "{}", stream.from);
    true
}

/// Reads all there is, of bytes that may be anything.
fn survive(stream: &Keyed, bytes: &[u8]) -> chkctl::wire::Decoded<()> {
    for (group, range) in (stream.first..).zip(ranges(&stream.offsets, bytes.len())) {
        match stream.body {
            KeyedBody::Heap => {
                let reader = HeapReader::new(bytes)?;
                let piece = reader.key_group(group, &range)?;
                let mut sections = piece.sections()?;
                while let Some(section) = sections.next()? {
                    sections.skip(reader.header(), section)?;
                }
            }
            KeyedBody::Canonical => {
                let reader = CanonicalReader::new(bytes, stream.max_parallelism)?;
                let piece = reader.key_group(&range)?;
                let mut entries = piece.entries()?;
                while let Some(entry) = entries.next()? {
                    let _ = entry.clone().read::<(), String, i64>();
                    let _ = entry.clone().read_list::<TimeWindow, String, Vec<String>>();
                    let _ = entry.clone().read_map_entry::<String, String, String, (i64, Bytes)>();
                    entry.check(reader.header())?;
                }
            }
        }
    }
    Ok(())
}

#[test]
fn damaged_state_files_are_errors_or_other_values_but_nothing_worse() {
    let mut damaged = 0;
    for name in ["kitchen-heap-files-2.3.0", "kitchen-compressed-1.20.5", "wc-savepoints-1.20.5"] {
        let case = Case::named(name);
        for metadata in metadata_files(&case.tree()) {
            let streams = Streams::of(&case, &metadata);
            for stream in &streams.keyed {
                for (number, at) in (0..stream.bytes.len()).step_by(1 + stream.bytes.len() / 20).enumerate() {
                    assert!(survive(stream, &stream.bytes[..at]).is_err(), "{} cut at {at}", stream.from);
                    let mut bytes = stream.bytes.clone();
                    bytes[at] ^= [0x01, 0x80, 0xff, 0x7f][number % 4];
                    let _ = survive(stream, &bytes);
                    damaged += 1;
                }
            }
            for stream in &streams.operator {
                for at in (0..stream.bytes.len()).step_by(1 + stream.bytes.len() / 20) {
                    let mut bytes = stream.bytes.clone();
                    bytes[at] ^= 0x81;
                    let Ok(reader) = OperatorReader::new(&bytes, &stream.states) else { continue };
                    for state in &stream.states {
                        for offset in &state.offsets {
                            let _ = reader.check(&state.name.to_str(), *offset);
                            let _ = reader.element::<(String, i64)>(*offset);
                            let _ = reader.broadcast::<String, Vec<i64>>(*offset);
                        }
                    }
                    damaged += 1;
                }
            }
        }
    }
    assert!(damaged > 500, "{damaged}");
}
