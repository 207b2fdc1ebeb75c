//! How fast `verify --deep` reads state files, beside `cat` and RocksDB's own `sst_dump`: `docs/benchmarks.md`.
//!
//! `cargo bench --bench deep` measures everything, `cargo bench --bench deep -- sst heap size=100` these two with files of
//! 100 MB. Every row is the whole command on a snapshot whose files were made for it, bound to one core, and the
//! time is that of the core: other work on the machine does not count. A goal that is missed is printed as MISSED.

mod contents;
mod cpu;
mod databases;
#[allow(dead_code, reason = "most of it is for the benchmark of surveys")]
mod generate;
#[allow(dead_code, reason = "most of it is for other benchmarks")]
mod measure;
mod snapshot;
#[allow(dead_code, reason = "most of it is for other benchmarks")]
mod table;

use chkctl::state::{Bytes, TimeWindow};
use contents::{Entries, Form};
use cpu::{best_in_turn, in_turn, on_cores};
use databases::{KINDS, Kind};
use measure::peak_of;
use snapshot::Snapshot;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use table::{Results, megabytes, time, times};
use tempfile::TempDir;

/// What is measured, and how often.
struct Bench {
    /// Bytes of each file.
    size: u64,
    rounds: usize,
    dir: PathBuf,
    results: Results,
}

type Case = fn(&mut Bench);

const CASES: [(&str, Case); 10] = [
    ("sst", sst),
    ("heap", heap),
    ("compressed", compressed),
    ("canonical", canonical),
    ("operator", operator),
    ("changelog", changelog),
    ("channel", channel),
    ("manifest", manifest),
    ("cores", cores),
    ("memory", memory),
];

fn main() {
    let args: Vec<String> = env::args().skip(1).collect();
    // Cargo runs benchmarks as tests too, unoptimised, and then without this flag.
    if !args.iter().any(|arg| arg == "--bench") {
        eprintln!("nothing is measured; cargo bench --bench deep does that");
        return;
    }
    let mut bench = Bench { size: 200_000_000, rounds: 9, dir: env::temp_dir(), results: Results::new() };
    let mut wanted = Vec::new();
    for arg in args.iter().filter(|arg| !arg.starts_with("--") && *arg != "all") {
        let number = |value: &str| value.parse::<u64>().unwrap_or_else(|_| panic!("{arg}: that is not a number"));
        match arg.split_once('=') {
            Some(("size", value)) => bench.size = number(value) * 1_000_000,
            Some(("rounds", value)) => bench.rounds = number(value) as usize,
            Some(("dir", value)) => bench.dir = value.into(),
            Some(_) => panic!("what is {arg}? docs/benchmarks.md has the options"),
            None => wanted.push(arg.as_str()),
        }
    }
    for name in &wanted {
        assert!(CASES.iter().any(|(case, _)| case == name), "there is no benchmark {name}");
    }
    assert!(cpu::printed(Command::new("taskset").arg("--version")).is_some(), "taskset is needed");
    for (name, case) in CASES {
        if wanted.is_empty() || wanted.contains(&name) {
            case(&mut bench);
        }
    }
    bench.results.print();
}

/// Bytes in a time, for the table.
fn rate(bytes: u64, took: Duration) -> String {
    let rate = bytes as f64 / took.as_secs_f64();
    if rate < 1e9 { format!("{:.0} MB/s", rate / 1e6) } else { format!("{:.2} GB/s", rate / 1e9) }
}

impl Bench {
    /// A directory for one snapshot, which goes when it is dropped.
    fn scratch(&self, what: &str) -> TempDir {
        eprintln!("making {what} ...");
        tempfile::tempdir_in(&self.dir).expect("a temporary directory")
    }

    /// Measures a snapshot beside `cat` of its files.
    fn beside_cat(&mut self, what: &str, snapshot: &Snapshot) {
        let commands = [snapshot.verify(), cpu::cat(snapshot.files.iter().map(PathBuf::as_path))];
        let [ours, cat] = in_turn(self.rounds, commands.map(|command| on_cores("0", &command)));
        self.cat_row(what, snapshot.size(), ours, cat);
    }

    fn cat_row(&mut self, what: &str, size: u64, ours: Duration, cat: Duration) {
        let ratio = cat.as_secs_f64() / ours.as_secs_f64();
        let other = format!("cat: {}", rate(size, cat));
        let what = format!("{what}, {}", megabytes(size));
        self.results.add(&what, &rate(size, ours), &other, &times(ratio), "at least 0.5 × cat", Some(ratio >= 0.5));
    }
}

fn sst(bench: &mut Bench) {
    match databases::tools() {
        Ok(version) => eprintln!("{version}"),
        Err(why) => {
            eprintln!("\n*** SST FILES ARE NOT MEASURED: {why}\n");
            return bench.results.note("SST files", &format!("SKIPPED: {why}"));
        }
    }
    for kind in KINDS {
        let Kind { compression, checksum, .. } = kind;
        let what = format!("SST, {compression} compression, {}", checksum.trim_start_matches('k'));
        let root = bench.scratch(&what);
        let snapshot = databases::databases(Snapshot::new(root.path(), "sst"), 1, bench.size, kind);
        let mut dump = Command::new("sst_dump");
        dump.arg("--command=verify").arg(format!("--file={}", snapshot.dir().join("db-0").display()));
        let commands = [snapshot.verify(), dump, cpu::cat(snapshot.files.iter().map(PathBuf::as_path))];
        let [ours, dump, cat] = in_turn(bench.rounds, commands.map(|command| on_cores("0", &command)));
        let size = snapshot.size();
        let ratio = dump.as_secs_f64() / ours.as_secs_f64();
        let other = format!("sst_dump: {}", rate(size, dump));
        let named = format!("{what}, {}", megabytes(size));
        let results = &mut bench.results;
        results.add(&named, &rate(size, ours), &other, &times(ratio), "at least 2 × sst_dump", Some(ratio >= 2.0));
        bench.cat_row("... beside cat", size, ours, cat);
    }
}

/// Keyed state of one file in each of these shapes.
fn shapes(bench: &mut Bench, form: Form, named: &str) {
    let size = bench.size;
    let make = |bench: &Bench, what: &str| {
        let root = bench.scratch(what);
        let snapshot = Snapshot::new(root.path(), "keyed");
        (root, snapshot)
    };
    let what = format!("{named}, a word and a long");
    let (root, snapshot) = make(bench, &what);
    let snapshot = contents::keyed_state(snapshot, 1, size, form, &COUNTS);
    bench.beside_cat(&what, &snapshot);
    drop(root);
    let what = format!("{named}, windows of a word and a long");
    let (root, snapshot) = make(bench, &what);
    let windows = Entries { namespace: window, value: |number| number as i64 };
    let snapshot = contents::keyed_state(snapshot, 1, size, form, &windows);
    bench.beside_cat(&what, &snapshot);
    drop(root);
    let what = format!("{named}, a word and 1 KiB of bytes");
    let (root, snapshot) = make(bench, &what);
    let bytes = Entries { namespace: |_| (), value: |number| Bytes(contents::long(number).into_bytes()) };
    let snapshot = contents::keyed_state(snapshot, 1, size, form, &bytes);
    bench.beside_cat(&what, &snapshot);
    drop(root);
    let what = format!("{named}, a word and 1 KiB of text");
    let (_root, snapshot) = make(bench, &what);
    let texts = Entries { namespace: |_| (), value: contents::long };
    let snapshot = contents::keyed_state(snapshot, 1, size, form, &texts);
    bench.beside_cat(&what, &snapshot);
}

/// The state of a word count.
const COUNTS: Entries<(), i64> = Entries { namespace: |_| (), value: |number| number as i64 };

fn window(number: u64) -> TimeWindow {
    let start = (number % 1_000) as i64 * 60_000;
    TimeWindow { start, end: start + 60_000 }
}

fn heap(bench: &mut Bench) {
    shapes(bench, Form::Heap, "heap");
}

fn compressed(bench: &mut Bench) {
    shapes(bench, Form::Compressed, "heap, compressed");
}

fn canonical(bench: &mut Bench) {
    shapes(bench, Form::Canonical, "canonical");
}

/// A row for what needs nothing but a size.
fn simple(bench: &mut Bench, what: &str, make: impl Fn(Snapshot, u64) -> Snapshot) {
    let root = bench.scratch(what);
    let snapshot = make(Snapshot::new(root.path(), "simple"), bench.size);
    bench.beside_cat(what, &snapshot);
}

fn operator(bench: &mut Bench) {
    simple(bench, "operator list state, elements of 1 KiB", contents::operator_state);
}

fn changelog(bench: &mut Bench) {
    simple(bench, "changelog", |snapshot, size| contents::changelog(snapshot, size, false));
    simple(bench, "changelog, compressed", |snapshot, size| contents::changelog(snapshot, size, true));
}

fn channel(bench: &mut Bench) {
    simple(bench, "in-flight buffers", contents::channels);
}

fn manifest(bench: &mut Bench) {
    simple(bench, "MANIFEST", databases::manifest);
}

/// A snapshot of several large files, on one core and on two.
fn cores(bench: &mut Bench) {
    let what = "heap, a word and a long, in 8 files";
    let root = bench.scratch(what);
    let snapshot = Snapshot::new(root.path(), "keyed");
    let snapshot = contents::keyed_state(snapshot, 8, bench.size / 4, Form::Heap, &COUNTS);
    one_and_two(bench, what, &snapshot);
    if databases::tools().is_err() {
        return;
    }
    let what = "SST, snappy compression, CRC32c, 8 databases";
    let root = bench.scratch(what);
    let snapshot = databases::databases(Snapshot::new(root.path(), "sst"), 8, bench.size / 4, KINDS[0]);
    one_and_two(bench, what, &snapshot);
}

fn one_and_two(bench: &mut Bench, what: &str, snapshot: &Snapshot) {
    let commands = ["0", "0,1"].map(|cores| on_cores(cores, &snapshot.verify()));
    let [one, two] = best_in_turn(4 * bench.rounds, commands);
    let ratio = one.as_secs_f64() / two.as_secs_f64();
    let what = format!("{what}, {}: two cores", megabytes(snapshot.size()));
    let other = format!("one core: {}", time(one));
    bench.results.add(&what, &time(two), &other, &times(ratio), "at least 1.7 × one core", Some(ratio >= 1.7));
}

/// Peak memory with more and more state.
fn memory(bench: &mut Bench) {
    let measure = |bench: &Bench, what: &str, size: u64, make: &dyn Fn(&Path) -> Snapshot| {
        let root = bench.scratch(&format!("{what}, {}", megabytes(size)));
        let snapshot = make(root.path());
        peak_of(&mut snapshot.verify(), 0)
    };
    let mut peaks = |what: &str, make: &dyn Fn(&Path, u64) -> Snapshot| {
        let sizes = [bench.size / 2, bench.size * 2, bench.size * 8];
        let peaks = sizes.map(|size| measure(bench, what, size, &|root| make(root, size)));
        let [small, _, large] = peaks;
        let shown = peaks.map(megabytes).join(", ");
        let what = format!("peak memory, {what}, {}", sizes.map(megabytes).join(", "));
        let ratio = large as f64 / small as f64;
        let goal = "the largest at most 1.1 × the smallest";
        bench.results.add(&what, &shown, "-", &times(ratio), goal, Some(ratio <= 1.1));
    };
    peaks("heap", &|root, size| contents::keyed_state(Snapshot::new(root, "keyed"), 2, size / 2, Form::Heap, &COUNTS));
    peaks("heap, compressed", &|root, size| {
        contents::keyed_state(Snapshot::new(root, "keyed"), 2, size / 2, Form::Compressed, &COUNTS)
    });
    if databases::tools().is_ok() {
        peaks("SST", &|root, size| databases::databases(Snapshot::new(root, "sst"), 2, size / 2, KINDS[2]));
    }
}
