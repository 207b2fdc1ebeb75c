//! Files of RocksDB and ForSt: what real Flink wrote is whole, and every change of a byte and every cut is found.

use super::streams::{Database, Streams};
use super::support::{Case, archives, metadata_files, testdata};
use chkctl::model::Effect;
use chkctl::rocksdb::{
    DatabaseFile, check_column_families, check_database, check_sst, read_current, read_manifest, read_options,
};
use chkctl::state::KeyedHeader;
use chkctl::wire::Reader;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// Cases of every RocksDB that Flink had, and of ForSt.
const CASES: [&str; 5] = [
    "wc-rocksdb-inc-1.10.3",
    "kitchen-rocksdb-inc-1.13.6",
    "wc-rocksdb-inc-1.19.3",
    "wc-rocksdb-inc-2.2.1",
    "async-forst-2.3.0",
];

impl Database {
    fn file(&self, name: &str) -> &[u8] {
        let found = self.files.iter().find(|(file, _)| file == name);
        let bytes = found.and_then(|(_, bytes)| bytes.as_deref());
        bytes.unwrap_or_else(|| panic!("{}: {name}", self.from))
    }

    fn with_ending(&self, ending: &str) -> impl Iterator<Item = (&str, &[u8])> {
        let files = self.files.iter().filter(move |(name, _)| name.contains(ending));
        files.filter_map(|(name, bytes)| Some((name.as_str(), bytes.as_deref()?)))
    }

    fn manifest(&self) -> (&str, &[u8]) {
        self.with_ending("MANIFEST-").next().unwrap_or_else(|| panic!("{}: no MANIFEST", self.from))
    }

    fn listing(&self) -> Vec<DatabaseFile<'_>> {
        let size = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|bytes| bytes.len() as u64);
        self.files.iter().map(|(name, bytes)| DatabaseFile { name, size: size(bytes) }).collect()
    }
}

fn databases(case: &Case) -> Vec<Database> {
    let metadata = metadata_files(&case.tree());
    metadata.iter().flat_map(|metadata| Streams::of(case, metadata).databases).collect()
}

/// The damages, as text.
fn sst(bytes: &[u8]) -> Vec<String> {
    let summary = check_sst(&bytes, &|_| {}).expect("memory");
    summary.checked.damages.iter().map(|damage| format!("{damage:?}")).collect()
}

fn manifest(bytes: &[u8]) -> Vec<String> {
    let summary = read_manifest(&bytes).expect("memory");
    summary.checked.damages.iter().map(|damage| format!("{damage:?}")).collect()
}

#[test]
fn every_database_of_the_corpus_is_whole() {
    let (mut ssts, mut manifests, mut bytes_read) = (0, 0, 0);
    let mut formats: BTreeSet<(u32, String)> = BTreeSet::new();
    for archive in archives() {
        let case = Case::unpack(&archive);
        let mut seen = BTreeSet::new();
        for database in databases(&case) {
            let from = &database.from;
            let (name, bytes) = database.manifest();
            let manifest = read_manifest(&bytes).expect("memory");
            manifests += 1;
            assert_eq!(manifest.checked.damages, [], "{from} {name}");
            let current = read_current(database.file("CURRENT"));
            assert_eq!(current.as_deref(), Ok(name), "{from}");
            let faults = check_database(&manifest, name, name, &database.listing());
            assert_eq!(faults, [], "{from}");
            match KeyedHeader::read(&mut Reader::new(&database.meta, "meta")) {
                Ok(header) => {
                    let states: Vec<&str> = header.states.iter().map(|state| state.name.as_str()).collect();
                    assert_eq!(check_column_families(&manifest, name, &states), [], "{from}");
                }
                // States of the asynchronous API are of another kind.
                Err(error) => assert!(case.name.starts_with("async"), "{from}: {error}"),
            }
            let families: BTreeMap<u32, &str> =
                manifest.column_families.iter().map(|family| (family.id, family.name.as_str())).collect();
            for (name, bytes) in database.with_ending("OPTIONS-") {
                let options = read_options(&bytes).expect("memory");
                assert_eq!(options.checked.damages, [], "{from} {name}");
                let names: BTreeSet<&str> = options.column_families.iter().map(String::as_str).collect();
                assert!(families.values().all(|name| names.contains(name)), "{from} {name}: {names:?}");
            }
            for (name, bytes) in database.with_ending(".sst") {
                let told = AtomicU64::new(0);
                let tell = |more| {
                    told.fetch_add(more, Ordering::Relaxed);
                };
                let summary = check_sst(&bytes, &tell).expect("memory");
                assert_eq!((summary.checked.damages.len(), summary.checked.opaque.len()), (0, 0), "{from} {name}");
                assert_eq!(told.into_inner(), bytes.len() as u64, "{from} {name}");
                let number: u64 = name.trim_end_matches(".sst").parse().expect("a number");
                let live = manifest.live.iter().find(|file| file.number == number).expect("a live file");
                assert_eq!(
                    summary.column_family.as_deref(),
                    families.get(&live.column_family).copied(),
                    "{from} {name}"
                );
                formats.insert((
                    summary.format_version.expect("a version"),
                    format!("{:?}", summary.checksum.expect("a kind")),
                ));
                if seen.insert(bytes.to_vec()) {
                    ssts += 1;
                    bytes_read += bytes.len();
                }
            }
        }
    }
    println!("{manifests} manifests, {ssts} different SST files, {bytes_read} bytes, {formats:?}");
    assert!(manifests > 400 && ssts > 1000, "{manifests} {ssts}");
    let expected = [(0, "Crc32c"), (5, "Crc32c"), (5, "Xxh3")];
    assert_eq!(formats, expected.map(|(version, kind)| (version, kind.to_owned())).into());
}

/// The smallest file of each case that has an ending.
fn smallest(ending: &str) -> Vec<(String, Vec<u8>)> {
    let of = |case: &str| {
        let databases = databases(&Case::named(case));
        let files = databases.iter().flat_map(|database| database.with_ending(ending));
        files.map(|(_, bytes)| bytes.to_vec()).min_by_key(Vec::len).unwrap_or_else(|| panic!("{case} has {ending}"))
    };
    CASES.iter().map(|case| ((*case).to_owned(), of(case))).collect()
}

/// Files with every checksum, compression and format version that the tool of RocksDB 7.8 writes.
fn crafted() -> Vec<(String, Vec<u8>)> {
    let dir = fs::read_dir(testdata().join("rocksdb")).expect("testdata/rocksdb");
    let paths: BTreeSet<PathBuf> = dir.map(|entry| entry.expect("an entry").path()).collect();
    let ssts = paths.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "sst"));
    let read = |path: PathBuf| {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        (name, fs::read(path).expect("a fixture"))
    };
    ssts.map(read).collect()
}

/// Runs a check on every file, two at a time.
fn each(files: &[(String, Vec<u8>)], check: impl Fn(&str, &[u8]) + Sync) {
    let (left, right) = files.split_at(files.len() / 2);
    thread::scope(|scope| {
        for half in [left, right] {
            let check = &check;
            scope.spawn(move || half.iter().for_each(|(name, bytes)| check(name, bytes)));
        }
    });
}

/// How a byte is changed where that is left to chance; checksums do not care.
const SOME: [u8; 5] = [0x01, 0x10, 0x80, 0xff, 0x55];
/// The end of a file has no checksum up to format version 5; there every change is tried.
const END: usize = 60;

/// The changes of one byte that are not found.
fn unseen(bytes: &[u8], every: bool, damages: impl Fn(&[u8]) -> Vec<String>) -> Vec<(usize, u8)> {
    let mut damaged = bytes.to_vec();
    let mut unseen = Vec::new();
    let all: Vec<u8> = (1..=255).collect();
    for at in 0..bytes.len() {
        let changes = if every || at + END >= bytes.len() { all.as_slice() } else { &SOME };
        for xor in changes {
            damaged[at] = bytes[at] ^ xor;
            if damages(&damaged).is_empty() {
                unseen.push((at, *xor));
            }
        }
        damaged[at] = bytes[at];
    }
    unseen
}

/// In principle: the format version of a file that a version before would have written in the same bytes. Versions 4
/// and 5 differ in nothing but filters; versions 1 to 4 in compressed blocks and the layout of indexes, which the
/// properties say, so that nobody reads anything else for it.
fn same_format(bytes: &[u8]) -> Vec<(usize, u8)> {
    let version = bytes.len() - 12;
    let has = |name: &[u8]| bytes.windows(name.len()).any(|window| window == name);
    let filter = has(b"fullfilter.") || has(b"partitionedfilter.");
    match bytes[version] {
        4 | 5 if !filter => vec![(version, 1)],
        2 => vec![(version, 1), (version, 3), (version, 6)],
        3 => vec![(version, 7)],
        _ => vec![],
    }
}

fn flip_ssts(files: &[(String, Vec<u8>)], every: bool) {
    each(files, |name, bytes| {
        assert_eq!(sst(bytes), Vec::<String>::new(), "{name}");
        assert_eq!(unseen(bytes, every, sst), same_format(bytes), "{name}");
    });
}

fn flip_manifests(every: bool) {
    each(&smallest("MANIFEST-"), |name, bytes| {
        assert_eq!(manifest(bytes), Vec::<String>::new(), "{name}");
        assert_eq!(unseen(bytes, every, manifest), [], "{name}");
    });
}

#[test]
fn every_flipped_byte_of_an_sst_is_found() {
    flip_ssts(&smallest(".sst"), false);
}

#[test]
fn every_flipped_byte_of_a_manifest_is_found() {
    flip_manifests(false);
}

#[test]
#[ignore = "255 changes of every byte take minutes"]
fn every_change_of_every_byte_is_found() {
    flip_ssts(&smallest(".sst"), true);
    flip_ssts(&summed(), true);
    flip_manifests(true);
}

/// The crafted files whose blocks have checksums and can be read.
fn summed() -> Vec<(String, Vec<u8>)> {
    let mut files = crafted();
    files.retain(|(name, _)| !name.contains("none") && !name.contains("bzip2") && name != "hash-in-blocks");
    files
}

#[test]
fn files_of_every_kind_are_whole() {
    let mut kinds = BTreeSet::new();
    let mut compressions = BTreeSet::new();
    for (name, bytes) in crafted() {
        let summary = check_sst(&bytes.as_slice(), &|_| {}).expect("memory");
        let damages = &summary.checked.damages;
        match name.contains("bzip2") {
            true => assert!(damages.iter().all(|damage| damage.effect == Effect::Unknown), "{name}: {damages:?}"),
            false => assert_eq!(*damages, [], "{name}"),
        }
        let unsummed = name.contains("none") || name == "hash-in-blocks";
        assert_eq!(!summary.checked.opaque.is_empty(), unsummed, "{name}: {:?}", summary.checked.opaque);
        kinds.insert((summary.format_version, format!("{:?}", summary.checksum)));
        compressions.extend(summary.compressions);
    }
    println!("{kinds:?} {compressions:?}");
    assert_eq!(kinds.len(), 10, "{kinds:?}");
    assert_eq!(compressions.len(), 7, "{compressions:?}");
}

#[test]
fn every_flipped_byte_of_files_of_every_kind_is_found() {
    let mut files = summed();
    let kinds = ["checksum-", "version-", "partitioned", "first-key"];
    files.retain(|(name, bytes)| kinds.iter().any(|kind| name.starts_with(kind)) && bytes.len() < 5_200);
    flip_ssts(&files, false);
}

#[test]
fn without_checksums_what_can_be_read_is_checked() {
    let files = crafted();
    let (_, bytes) = files.iter().find(|(name, _)| name == "checksum-none").expect("the fixture");
    let unseen = unseen(bytes, false, sst);
    assert!(!unseen.is_empty(), "values can be anything");
    assert!(unseen.len() * 10 < bytes.len() * SOME.len() * 9, "{}", unseen.len());
}

#[test]
fn every_flipped_byte_of_a_current_is_found_or_names_another_manifest() {
    for (name, bytes) in smallest("CURRENT") {
        let unseen = unseen(&bytes, true, |damaged| match read_current(damaged) {
            Err(damage) => vec![damage.problem],
            Ok(name) => {
                let manifest = chkctl::rocksdb::ManifestSummary::default();
                let there = read_current(&bytes).expect("a name");
                let faults = check_database(&manifest, &there, &name, &[]);
                faults.into_iter().map(|fault| fault.problem).collect()
            }
        });
        assert_eq!(unseen, [], "{name}");
    }
}

#[test]
fn every_cut_of_an_sst_fails() {
    each(&[smallest(".sst"), crafted()].concat(), |name, bytes| {
        for len in 0..bytes.len() {
            let cut = &bytes[..len];
            let summary = check_sst(&cut, &|_| {}).expect("memory");
            let fails = summary.checked.damages.iter().any(|damage| damage.effect == Effect::Fails);
            assert!(fails, "{name} cut to {len}: {summary:?}");
        }
    });
}

#[test]
fn every_cut_of_a_manifest_is_found_by_itself_or_by_files_and_states() {
    for case in CASES {
        let case = Case::named(case);
        let all = databases(&case);
        let database = all.iter().max_by_key(|database| database.files.len()).expect("a database");
        let (name, bytes) = database.manifest();
        let whole = read_manifest(&bytes).expect("memory");
        let listing = database.listing();
        let families: Vec<&str> = whole.column_families.iter().map(|family| family.name.as_str()).collect();
        let mut same = Vec::new();
        for len in 0..bytes.len() {
            let cut = &bytes[..len];
            let summary = read_manifest(&cut).expect("memory");
            let faults = check_database(&summary, name, name, &listing).len()
                + check_column_families(&summary, name, &families).len();
            if summary.checked.damages.is_empty() && faults == 0 {
                // Behind the last record that changes the database: the cut one is the same database.
                assert_eq!(summary.live, whole.live, "{} cut to {len}", case.name);
                assert_eq!(summary.column_families, whole.column_families, "{} cut to {len}", case.name);
                same.push(bytes.len() - len);
            }
        }
        println!("{}: cut by {same:?} it is the same database", case.name);
        assert!(same.len() <= 12, "{}: {same:?}", case.name);
    }
}

#[test]
fn every_cut_of_options_is_found_but_between_column_families() {
    for (name, bytes) in smallest("OPTIONS-") {
        let whole = read_options(&bytes.as_slice()).expect("memory");
        // The file is parsed anew for each length.
        for len in (0..bytes.len()).filter(|len| len % 13 == 0 || len + 2_000 > bytes.len()) {
            let options = read_options(&&bytes[..len]).expect("memory");
            let found = !options.checked.damages.is_empty() || options.column_families != whole.column_families;
            assert!(found, "{name} cut to {len}");
            assert!(options.checked.damages.iter().all(|damage| damage.effect == Effect::Starts), "{name} {len}");
        }
    }
}
