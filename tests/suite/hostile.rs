//! Bytes that no Flink wrote: damaged everywhere, cut everywhere, and made to take as much memory as they can. The
//! contract of `src/format.rs`: a value or an error, no panic, and input and model in 4 × input + 8 MiB.

use super::golden::{Chosen, models};
use super::support::{Case, archives, metadata_files};
use chkctl::format::{FormatError, MAGIC, decode, encode, merged_channels, properties};
use chkctl::model::KeyedHandle;
use chkctl::wire::Problem;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::panic::catch_unwind;

// Damage.

/// The smallest file of real Flink of each version and dialect, and models by hand where there is none or where they
/// have every kind of handle.
fn victims() -> Vec<(String, Vec<u8>)> {
    let real = [
        Chosen("wc-socket-error-1.10.3", "chk-3"),
        Chosen("wc-unaligned-1.11.4", "chk-3"),
        Chosen("wc-rocksdb-inc-1.15.4", "savepoint-6dca03-867c6cb7514e"),
        Chosen("wal-taskowned-1.20.5", "chk-2"),
        Chosen("wc-heap-uids-2.0.2", "chk-2"),
        Chosen("wal-taskowned-2.3.0", "chk-3"),
    ];
    let by_hand = models().into_iter().filter(|(name, _)| ["version 3 of Flink 1.14", "version 7"].contains(name));
    let real = real.iter().map(|chosen| (chosen.0.to_owned(), chosen.bytes()));
    real.chain(by_hand.map(|(name, model)| (name.to_owned(), encode(&model).expect("a model")))).collect()
}

/// The one rule for damaged bytes: an error, or a model that is written back as it was read. Fails with what happened.
fn endure(bytes: &[u8]) -> Result<(), &'static str> {
    let outcome = catch_unwind(|| match decode(bytes) {
        Err(_) => Ok(()),
        Ok(metadata) => {
            // What shows a model must endure it too.
            let _ = (metadata.state_size(), metadata.checkpointed_size());
            let shown = metadata.properties.as_deref().and_then(properties::read);
            let _ = shown.map(|properties| (properties.describe(), properties.retention()));
            let states =
                metadata.operators.iter().flat_map(|operator| operator.subtasks()).filter_map(|s| s.state.as_deref());
            if !states.flat_map(|state| state.keyed_handles()).all(|(_, handle)| gives_all_files(handle)) {
                return Err("fewer files than counted");
            }
            match encode(&metadata) {
                Ok(again) if again == bytes => Ok(()),
                Ok(_) => Err("written back with other bytes"),
                Err(_) => Err("not written back"),
            }
        }
    });
    outcome.unwrap_or(Err("a panic"))
}

/// Whether the lists of files, which stay in the input and are read again, give all that was counted.
fn gives_all_files(handle: &KeyedHandle<'_>) -> bool {
    match handle {
        KeyedHandle::Incremental(h) => [&h.shared, &h.private].iter().all(|list| list.iter().count() == list.len()),
        KeyedHandle::Changelog(h) => h.materialized.iter().flatten().all(gives_all_files),
        _ => true,
    }
}

/// What is done to some bytes, in words and in deed.
type Damage<'d> = (&'d str, &'d dyn Fn(&mut [u8]));

/// Does every damage to every `width` bytes of every victim.
fn damage_everywhere(width: usize, damages: &[Damage<'_>]) {
    let mut wrong = Vec::new();
    for (name, original) in victims() {
        let mut bytes = original.clone();
        for at in 0..=original.len() - width {
            for (what, damage) in damages {
                damage(&mut bytes[at..at + width]);
                if let Err(outcome) = endure(&bytes) {
                    wrong.push(format!("{name}, {what} at byte {at}: {outcome}"));
                }
                bytes[at..at + width].copy_from_slice(&original[at..at + width]);
            }
        }
    }
    assert!(wrong.is_empty(), "{} in all, such as\n{}", wrong.len(), wrong[..wrong.len().min(10)].join("\n"));
}

#[test]
fn every_cut_of_a_file_is_an_error() {
    for (name, bytes) in victims() {
        assert_eq!(endure(&bytes), Ok(()), "{name}");
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_err(), "{name}: the first {length} bytes are taken for a whole file");
        }
    }
}

#[test]
fn a_cut_behind_the_end_leaves_a_whole_file() {
    for (name, bytes) in victims() {
        // An unusual dialect of version 3 is only believed where it explains the whole file.
        let unusual = name.contains("1.11") || name.contains("1.14");
        for trailing in 1..=7 {
            let longer = [&bytes[..], &[0xab; 7][..trailing]].concat();
            let left = decode(&longer).map(|metadata| metadata.trailing.len());
            assert_eq!(left.ok(), (!unusual).then_some(trailing), "{name}");
            assert_eq!(endure(&longer), Ok(()), "{name}");
        }
    }
}

#[test]
fn no_flipped_bit_or_byte_breaks_the_contract() {
    let flip = |mask: u8| move |bytes: &mut [u8]| bytes[0] ^= mask;
    let flips: Vec<_> = (0..8).map(|bit| flip(1 << bit)).chain([flip(0xff)]).collect();
    let damages: Vec<Damage<'_>> = flips.iter().map(|flip| ("a flip", flip as _)).collect();
    damage_everywhere(1, &damages);
}

#[test]
fn no_patched_count_or_length_breaks_the_contract() {
    let patch = |value: i32| move |bytes: &mut [u8]| bytes.copy_from_slice(&value.to_be_bytes());
    damage_everywhere(
        4,
        &[("0", &patch(0)), ("1", &patch(1)), ("-1", &patch(-1)), ("the largest count", &patch(i32::MAX))],
    );
}

#[test]
fn no_patched_size_or_offset_breaks_the_contract() {
    let patch = |value: i64| move |bytes: &mut [u8]| bytes.copy_from_slice(&value.to_be_bytes());
    damage_everywhere(8, &[("the smallest size", &patch(i64::MIN)), ("the largest size", &patch(i64::MAX))]);
}

#[test]
fn merged_channels_endure_any_bytes() {
    // Gate, channel, size, and no offsets or two.
    let head = [0; 16];
    let whole = [&[0, 0, 0, 2][..], &head, NOTHING, &head, &list(2, &[7; 8])].concat();
    assert_eq!(merged_channels(&whole).map(|channels| channels.len()), Ok(2));
    for length in 0..whole.len() {
        assert!(merged_channels(&whole[..length]).is_err(), "the first {length} bytes");
    }
    for at in 0..=whole.len() - 4 {
        for value in [0, 1, -1, i32::MAX] {
            let mut bytes = whole.clone();
            bytes[at..at + 4].copy_from_slice(&i32::to_be_bytes(value));
            assert!(catch_unwind(|| merged_channels(&bytes)).is_ok(), "{value} at byte {at}");
        }
    }
    for size in SIZES {
        let channels = size / 20;
        let bytes = list(channels, &[0; 20]);
        let (peak, result) = peak_of(|| merged_channels(&bytes).map(|channels| channels.len()));
        assert_eq!(result, Ok(channels));
        assert_eq!(broken_contract("channels", bytes.len(), peak), None);
    }
}

// Memory.

/// Counts what each thread holds, since other tests run at the same time.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(bytes: isize) {
    // A thread that is ending has no counters any more.
    let _ = HELD.try_with(|held| {
        held.set(held.get() + bytes);
        PEAK.try_with(|peak| peak.set(peak.get().max(held.get())))
    });
}

// SAFETY: all work is the system allocator's. A vector that grows goes through `alloc` and `dealloc` (the provided
// `realloc`), so both blocks count while it is copied.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// The most that this thread held during some work, beyond what it held before.
fn peak_of<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = HELD.get();
    PEAK.set(before);
    let result = work();
    (usize::try_from(PEAK.get() - before).unwrap_or(0), result)
}

/// What was said where the contract was not kept.
fn broken_contract(name: &str, input: usize, peak: usize) -> Option<String> {
    let allowed = 4 * input + (8 << 20);
    (input + peak > allowed)
        .then(|| format!("{name}: {input} bytes and {peak} for their model, {allowed} in all are allowed"))
}

fn peak_of_decoding(bytes: &[u8]) -> usize {
    peak_of(|| drop(decode(bytes))).0
}

fn assert_kept(files: impl Iterator<Item = (&'static str, Vec<u8>)>) {
    let broken: Vec<String> =
        files.filter_map(|(name, bytes)| broken_contract(name, bytes.len(), peak_of_decoding(&bytes))).collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_counting_allocator_counts() {
    let (peak, vector) = peak_of(|| {
        drop(Vec::<u8>::with_capacity(3_000_000));
        Vec::<u8>::with_capacity(1_000_000)
    });
    assert_eq!((peak, vector.capacity()), (3_000_000, 1_000_000));
    assert!(broken_contract("", 1 << 20, 12 << 20).is_some());
    assert!(broken_contract("", 1 << 20, 11 << 20).is_none());
}

#[test]
fn real_files_take_far_less_memory_than_the_contract_allows() {
    let mut wrong = Vec::new();
    for case in archives().iter().map(|archive| Case::unpack(archive)) {
        for file in metadata_files(&case.root) {
            let bytes = fs::read(&file).expect("a file");
            // The contract has megabytes where this has a page: they are for small files that no Flink writes.
            let (peak, allowed) = (peak_of_decoding(&bytes), 3 * bytes.len() + 4096);
            if peak > allowed {
                wrong.push(format!("{}: {peak} bytes for the model of {}", file.display(), bytes.len()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Where the constant of the contract counts most, where both its parts do, and where its factor does.
const SIZES: [usize; 3] = [64 << 10, 1 << 20, 8 << 20];

#[test]
fn many_small_entries_keep_the_memory_contract() {
    assert_kept(SIZES.into_iter().flat_map(amplifiers));
}

#[test]
fn the_amplifiers_amplify() {
    for (name, bytes) in amplifiers(32 << 10) {
        let factor = peak_of_decoding(&bytes) / bytes.len();
        assert!(factor >= 2, "{name}: the model takes {factor} times the file");
    }
}

#[test]
fn the_files_of_databases_take_no_memory() {
    // They are most of a large file, and stay in the input.
    let absolute = [&[2][..], &[0; 8], &[0, 1, b'f']].concat();
    for stream in [EMPTY_SEGMENT, &absolute] {
        let file = [EMPTY_STRING, stream].concat();
        let bytes = with_keyed(1, &database((1 << 20) / file.len(), &file));
        assert!(decode(&bytes).is_ok());
        assert!(peak_of_decoding(&bytes) < 4096, "{} bytes for the model", peak_of_decoding(&bytes));
    }
}

#[test]
fn many_small_java_objects_keep_the_memory_contract() {
    let properties = SIZES.into_iter().take(2).flat_map(java_amplifiers);
    assert_kept(properties.map(|(name, java)| (name, with_properties(&file(4, NOTHING), &java))));
}

#[test]
fn a_large_model_and_large_properties_keep_the_memory_contract_together() {
    // Takes nearly all that the contract allows.
    let body = file(4, &list(1, &operator(4, &list(3 << 19, FINISHED_SUBTASK))));
    assert!(decode(&body).is_ok(), "the properties would not be reached");
    let properties = java_amplifiers(64 << 10).into_iter();
    assert_kept(properties.map(|(name, java)| (name, with_properties(&body, &java))));
}

// Files by hand. All parts are small enough for the casts.

/// A count of 0, an absent handle, an empty string: all of them are zeros.
const NOTHING: &[u8] = &[0; 4];
const EMPTY_STRING: &[u8] = &[0; 2];
const NO_KEY_GROUPS: &[u8] = &[0; 8];
const NO_KEYED_STATE: &[u8] = &[0];
const EMPTY_SEGMENT: &[u8] = &[16];
const FINISHED_SUBTASK: &[u8] = &[0xff; 4];

/// A count and so many times the same entry.
fn list(count: usize, entry: &[u8]) -> Vec<u8> {
    [&(count as u32).to_be_bytes()[..], &entry.repeat(count)].concat()
}

/// A file with this list of operators, without master states and with null properties.
fn file(version: u8, operators: &[u8]) -> Vec<u8> {
    let properties = if version >= 4 { properties::NULL } else { &[] };
    [&MAGIC.to_be_bytes()[..], &[0, 0, 0, version], &[0; 12], operators, properties].concat()
}

/// The file with these properties in the place of null.
fn with_properties(file: &[u8], properties: &[u8]) -> Vec<u8> {
    [&file[..file.len() - properties::NULL.len()], properties].concat()
}

/// An operator with this list of subtasks: names, id, parallelism, chain length or coordinator state.
fn operator(version: u8, subtasks: &[u8]) -> Vec<u8> {
    let names: &[u8] = if version >= 5 { &[0; 4] } else { &[] };
    let third: &[u8] = if version == 2 { &[0, 0, 0, 1] } else { &[0] };
    [names, &[7; 16], &[0, 0, 0, 100], &[0, 0, 0, 128], third, subtasks].concat()
}

/// Subtask 0 with these two handles, the first behind its presence field.
fn subtask(managed_operator: &[u8], managed_keyed: &[u8]) -> Vec<u8> {
    [&[0; 4], managed_operator, NOTHING, managed_keyed, NO_KEYED_STATE, NOTHING, NOTHING].concat()
}

/// A file with this keyed handle in so many subtasks.
fn with_keyed(count: usize, handle: &[u8]) -> Vec<u8> {
    file(4, &list(1, &operator(4, &list(count, &subtask(NOTHING, handle)))))
}

/// Tag 5 with so many files.
fn database(count: usize, file: &[u8]) -> Vec<u8> {
    [&[5][..], &[0; 8], EMPTY_STRING, NO_KEY_GROUPS, EMPTY_SEGMENT, &list(count, file), NOTHING].concat()
}

/// Tag 8 around so many materialised parts.
fn changelog(count: usize, materialized: &[u8]) -> Vec<u8> {
    let key_group_0 = &[0, 0, 0, 0, 0, 0, 0, 1];
    [&[8][..], key_group_0, &[0; 8], &list(count, materialized), NOTHING, &[0; 8], EMPTY_STRING].concat()
}

fn nested_changelogs(depth: usize) -> Vec<u8> {
    (0..depth).fold(NO_KEYED_STATE.to_vec(), |inner, _| changelog(1, &inner))
}

/// Tag 3 in the place of a stream, so deep.
fn nested_key_groups(depth: usize) -> Vec<u8> {
    [&[&[3], NO_KEY_GROUPS].concat().repeat(depth), EMPTY_SEGMENT].concat()
}

/// Files of about this size whose entries take a few bytes there and many in memory: each kind in one list that fits
/// or is refused as a whole, or in many that fit one by one until the budget is spent.
fn amplifiers(size: usize) -> Vec<(&'static str, Vec<u8>)> {
    let many = |handle: Vec<u8>| with_keyed(size / handle.len(), &handle);
    let of_subtasks = |version, subtasks| file(version, &list(1, &operator(version, subtasks)));
    let in_memory = |count| [&[9][..], NO_KEY_GROUPS, &[0; 16], &list(count, &[0; 8]), EMPTY_STRING].concat();
    let in_files = |stream: &[u8]| {
        let files = list(100, &[&[0; 8], stream].concat());
        [&[10][..], NO_KEY_GROUPS, &files, &[0; 16], EMPTY_STRING].concat()
    };
    let in_line = [&[1], EMPTY_STRING, NOTHING].concat();
    // A state is an empty name, distribution mode 0 and no offsets.
    let operator_states = |count| [&[0, 0, 0, 1, 4][..], &list(count, &[0; 7]), EMPTY_SEGMENT].concat();
    // Its length says 10: no version, no name, no payload.
    let master_state = [&0xc96b_1696_u32.to_be_bytes()[..], &[0, 0, 0, 10], &[0; 10]].concat();
    let merged_channel = [&[3][..], &[0; 12], EMPTY_SEGMENT, NOTHING].concat();
    // Behind index, operator state and keyed state; no result subpartitions.
    let with_channels = [&[0; 14][..], &list(size / 18, &merged_channel), NOTHING].concat();
    vec![
        ("finished subtasks", of_subtasks(4, &list(size / 4, FINISHED_SUBTASK))),
        (
            "finished subtasks of many operators",
            file(4, &list(size / 4033 + 1, &operator(4, &list(1000, FINISHED_SUBTASK)))),
        ),
        ("operators", file(4, &list(size / 33, &operator(4, NOTHING)))),
        // Version 2 has a duration in each, and 0 is not what Flink writes.
        ("subtasks with a duration", of_subtasks(2, &list(size / 26, &[0; 26]))),
        ("master states", [&file(3, &[])[..16], &list(size / 18, &master_state), NOTHING].concat()),
        ("operator states", of_subtasks(4, &list(1, &subtask(&operator_states(size / 7), NO_KEYED_STATE)))),
        (
            "operator states in many lists",
            of_subtasks(4, &list(size / 738, &subtask(&operator_states(100), NO_KEYED_STATE))),
        ),
        ("null parts of a changelog", with_keyed(1, &changelog(size, NO_KEYED_STATE))),
        ("null parts of many changelogs", many(changelog(100, NO_KEYED_STATE))),
        ("changelogs in changelogs", many(nested_changelogs(8))),
        ("changes in memory", with_keyed(1, &in_memory(size / 8))),
        ("changes in memory in many lists", many(in_memory(100))),
        ("changes in files", many(in_files(EMPTY_SEGMENT))),
        ("changes in files in line", many(in_files(&in_line))),
        ("key groups in key groups", many(in_files(&nested_key_groups(8)))),
        ("merged channels", of_subtasks(6, &[&[0, 0, 0, 1], &with_channels[..]].concat())),
    ]
}

// Java objects by hand.

const NULL: &[u8] = &[0x70];
const FIRST_HANDLE: usize = 0x7e_0000;

/// A reference to what has this handle.
fn java_reference(handle: usize) -> Vec<u8> {
    [&[0x71], &(handle as u32).to_be_bytes()[..]].concat()
}

/// A class description without a name.
fn java_class(fields: &[Vec<u8>], parent: &[u8]) -> Vec<u8> {
    let count = (fields.len() as u16).to_be_bytes();
    [&[0x72], EMPTY_STRING, &[0; 8], &[2], &count, &fields.concat(), &[0x78], parent].concat()
}

fn java_object(class: &[u8]) -> Vec<u8> {
    [&[0x73], class].concat()
}

/// A stream with one object of a class with these fields; the class has the first handle.
fn java_stream(fields: &[Vec<u8>], values: &[u8]) -> Vec<u8> {
    [&[0xac, 0xed, 0, 5], &java_object(&java_class(fields, NULL))[..], values].concat()
}

/// A field without a name that is an object; its type is a new string.
fn java_field() -> Vec<u8> {
    [b"L", EMPTY_STRING, &[0x74], EMPTY_STRING].concat()
}

fn java_byte_field() -> Vec<u8> {
    [b"B", EMPTY_STRING].concat()
}

/// Properties of at most this size, but for the last, whose fields are as many as can be.
fn java_amplifiers(size: usize) -> Vec<(&'static str, Vec<u8>)> {
    let widest = usize::from(u16::MAX);
    let filled = |field: fn() -> Vec<u8>, value: &[u8]| {
        let count = (size / (field().len() + value.len())).min(widest);
        java_stream(&vec![field(); count], &value.repeat(count))
    };
    let string = [&[0x74], EMPTY_STRING].concat();
    let wide_object = [java_object(&java_class(&vec![java_byte_field(); 20], NULL)), vec![0; 20]].concat();
    let mut nested = vec![java_byte_field(); widest];
    nested[0] = java_field();
    vec![
        ("Java bytes", filled(java_byte_field, &[0])),
        ("Java strings", filled(java_field, &string)),
        ("Java classes", filled(java_field, &java_object(&java_class(&[], NULL)))),
        ("Java fields", filled(java_field, &wide_object)),
        (
            "nested Java objects of a wide class",
            java_stream(&nested, &java_object(&java_reference(FIRST_HANDLE)).repeat(8)),
        ),
    ]
}

// Nesting.

const DEEP: usize = 1_000;

fn problem_of(bytes: &[u8]) -> Problem {
    match decode(bytes) {
        Err(FormatError::Damaged(error)) => error.problem,
        other => panic!("{other:?}"),
    }
}

#[test]
fn deep_nesting_is_refused_before_the_stack_is_spent() {
    let objects = java_stream(&[java_field()], &java_object(&java_reference(FIRST_HANDLE)).repeat(DEEP));
    let classes = (0..DEEP).fold(NULL.to_vec(), |parent, _| java_class(&[], &parent));
    for (name, bytes) in [
        ("changelogs", with_keyed(1, &nested_changelogs(DEEP))),
        ("key groups", with_keyed(1, &database(1, &[EMPTY_STRING, &nested_key_groups(DEEP)].concat()))),
        ("Java objects", with_properties(&file(4, NOTHING), &objects)),
        (
            "Java classes",
            with_properties(&file(4, NOTHING), &[&[0xac, 0xed, 0, 5], &java_object(&classes)[..]].concat()),
        ),
    ] {
        let problem = problem_of(&bytes);
        assert!(matches!(problem, Problem::TooDeep(_)), "{name}: {problem}");
    }
}

#[test]
fn a_java_class_with_a_thousand_ancestors_is_refused() {
    // Each object has a class of its own, whose superclass is that of the object before. To follow the chain anew for
    // each takes cubic time, hours for two megabytes. Flink's own classes have one ancestor at most.
    let values = (0..DEEP).flat_map(|index| {
        // The handles: the outer class, the types of its fields, its object, then class and object of each of these.
        let before = java_reference(FIRST_HANDLE + DEEP + 2 * index);
        java_object(&java_class(&[], if index == 0 { NULL } else { &before }))
    });
    let java = java_stream(&vec![java_field(); DEEP], &values.collect::<Vec<u8>>());
    // Refused for not being Flink's class: then it was followed to its end.
    let too_late = Problem::Invalid("not the properties of a checkpoint".to_owned());
    assert_ne!(problem_of(&with_properties(&file(4, NOTHING), &java)), too_late);
}

// Errors.

/// The clean file of version 4 that is damaged below: one operator, one subtask, no state.
fn clean() -> Vec<u8> {
    with_keyed(1, NO_KEYED_STATE)
}

// Where its parts begin.
const VERSION: usize = 4;
const CHECKPOINT_ID: usize = 8;
const MASTER_STATES: usize = 16;
const OPERATORS: usize = 20;
const PARALLELISM: usize = 40;
const COORDINATOR: usize = 48;
const SUBTASK: usize = 53;
const OPERATOR_STATE: usize = 57;
const KEYED_STATE: usize = 65;
const INPUT_CHANNELS: usize = 67;
const PROPERTIES: usize = 75;

/// The clean file with other bytes from a place on. What is behind them is not reached.
fn patched(at: usize, bytes: &[u8]) -> Vec<u8> {
    let clean = clean();
    [&clean[..at], bytes, clean.get(at + bytes.len()..).unwrap_or_default(), &[0; 40]].concat()
}

/// The same in version 6, with one input channel handle of this type.
fn with_channel(kind: u8) -> Vec<u8> {
    let subtask = [&[0; 14][..], &[0, 0, 0, 1, kind], &[0; 40]].concat();
    file(6, &list(1, &operator(6, &list(1, &subtask))))
}

#[test]
fn errors_name_section_and_offset() {
    assert!(decode(&clean()).is_ok());
    let version = |number: i32| patched(VERSION, &number.to_be_bytes());
    // One master state of 10 bytes that says it has so many.
    let master_state = |magic: u32, length: u8| {
        let head = [&[0, 0, 0, 1][..], &magic.to_be_bytes(), &[0, 0, 0, length], &[0; 10]].concat();
        patched(MASTER_STATES, &head)
    };
    // Tag 1 with an empty name and this length; tag 5 with this backend id.
    let in_line = |length: i32| patched(COORDINATOR, &[&[1, 0, 0][..], &length.to_be_bytes()].concat());
    let backend_id = |bytes: &[u8]| patched(KEYED_STATE, &[&[5][..], &[0; 8], &[0, bytes.len() as u8], bytes].concat());
    let cases = [
        (
            patched(0, &[0xca, 0xfe, 0xba, 0xbe]),
            "not a checkpoint's _metadata: it starts with 0xcafebabe, not with 0x4960672d",
        ),
        (
            version(0),
            "metadata version 0, of Flink 1.1: Flink 1.11 and later, and chkctl, do not read it. Restore it once with Flink 1.2 or 1.3 and take a new savepoint there",
        ),
        (
            version(1),
            "metadata version 1, of Flink 1.2: Flink 1.11 and later, and chkctl, do not read it. Restore it once with Flink 1.3 to 1.10 and take a new savepoint there",
        ),
        (version(8), "metadata version 8 is newer than this chkctl, which knows versions 2 to 7: use a newer chkctl"),
        (version(-1), "metadata version -1, which no release of Flink writes"),
        (clean()[..6].to_vec(), "head, byte 4: the file ends here: 4 more bytes were expected, 2 are left"),
        (patched(CHECKPOINT_ID, &i64::to_be_bytes(-7)), "checkpoint id, byte 8: the checkpoint id is -7"),
        (master_state(0, 10), "master states, byte 20: the magic number of a master state is wrong"),
        (master_state(0xc96b_1696, 11), "master states, byte 24: a master state is not as long as it says"),
        (
            patched(OPERATORS, &[0x7f, 0xff, 0xff, 0xff]),
            "operator states, byte 20: the number of operators says 2147483647, but only 96 bytes are left",
        ),
        (
            patched(PARALLELISM, &i32::to_be_bytes(129)),
            "operator 0, name and id, byte 40: parallelism 129 with a maximum parallelism of 128",
        ),
        (
            patched(COORDINATOR, &[2, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, b'f']),
            "operator 0, coordinator state, byte 48: coordinator state in a FileStateHandle, not in line",
        ),
        (
            patched(COORDINATOR, &[99]),
            "operator 0, coordinator state, byte 48: 99 is not a type of stream state handle that Flink knows",
        ),
        (
            in_line(-1),
            "operator 0, coordinator state, byte 51: the length of in-line state says -1, but only 65 bytes are left",
        ),
        (
            in_line(i32::MAX),
            "operator 0, coordinator state, byte 51: the length of in-line state says 2147483647, but only 65 bytes are left",
        ),
        (
            patched(SUBTASK, &i32::to_be_bytes(100)),
            "operator 0, subtasks, byte 53: subtask 100 of an operator with parallelism 100",
        ),
        (
            patched(OPERATOR_STATE, &[0, 0, 0, 1, 99]),
            "operator 0, subtask 0, managed operator state, byte 61: 99 is not a type of operator state handle that Flink knows",
        ),
        (
            patched(OPERATOR_STATE, &[0, 0, 0, 1, 0]),
            "operator 0, subtask 0, managed operator state, byte 61: a null handle where operator state was announced",
        ),
        (
            patched(KEYED_STATE, &[99]),
            "operator 0, subtask 0, managed keyed state, byte 65: 99 is not a type of keyed state handle that Flink knows",
        ),
        (
            backend_id(&[0x80]),
            "operator 0, subtask 0, managed keyed state, byte 74: a string that is not modified UTF-8",
        ),
        (
            backend_id("𝄞".as_bytes()),
            "operator 0, subtask 0, managed keyed state, byte 74: a string that is not modified UTF-8",
        ),
        (
            clean()[..INPUT_CHANNELS + 3].to_vec(),
            "operator 0, subtask 0, input channel state, byte 67: the file ends here: 4 more bytes were expected, 3 are left",
        ),
        (
            with_channel(2),
            "operator 0, subtask 0, input channel state, byte 75: 2 is not a type of channel state handle that Flink knows",
        ),
        (patched(PROPERTIES, &[1, 2, 3, 4]), "checkpoint properties, byte 75: this is not a Java object stream"),
        (
            patched(PROPERTIES + 4, &[99]),
            "checkpoint properties, byte 79: 99 is not a type of Java object that Flink knows",
        ),
        (
            clean()[..PROPERTIES + 4].to_vec(),
            "checkpoint properties, byte 79: the file ends here: 1 more bytes were expected, 0 are left",
        ),
    ];
    let mut wrong = Vec::new();
    for (bytes, wanted) in &cases {
        let said = decode(bytes).err().map(|error| error.to_string());
        if said.as_deref() != Some(wanted) {
            wrong.push(format!("wanted {wanted:?}, got {said:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
