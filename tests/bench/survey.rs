//! How fast chkctl is, and how much memory it takes, beside what else does the same: `docs/benchmarks.md`.
//!
//! `cargo bench --bench survey` measures everything, `cargo bench --bench survey -- decode verify` these two. A goal
//! that is missed is printed as MISSED and fails nothing: times depend on the machine. Answers do not, and a wrong
//! one ends the run.

mod flink;
mod generate;
mod measure;
mod table;
mod trees;

use chkctl::format;
use chkctl::model::Location;
use chkctl::storage::{LocalStorage, Storage};
use chkctl::survey::references;
use chkctl::survey::verify::METADATA_LIMIT;
use flink::Flink;
use generate::{LARGE, Snapshot, WIDE};
use measure::{chkctl, in_turn, median, middle, own_peak, peak_of, process, timed};
use std::collections::BTreeSet;
use std::env;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;
use table::{Other, Results, megabytes, time};
use trees::Trees;

/// Tells this program to decode one file and to print its peak memory, nothing else.
const ONCE: &str = "--decode-once";
/// Tells this program to decode one file many times and to print how long that takes. In a process of its own: making
/// up the trees leaves the memory of this one in pieces.
const OFTEN: &str = "--decode-often";

type Case = fn(&Trees, &mut Results);

const CASES: [(&str, Case); 6] = [
    ("decode", decode),
    ("verify", verify),
    ("latest", latest),
    ("start", start),
    ("list", list),
    ("inspect", inspect),
];

fn main() {
    let args: Vec<String> = env::args().skip(1).collect();
    match args.as_slice() {
        [flag, file] if flag == ONCE => return decode_once(Path::new(file)),
        [flag, file] if flag == OFTEN => return decode_often(Path::new(file)),
        _ => {}
    }
    // Cargo runs benchmarks as tests too, unoptimised, and then without this flag.
    if !args.iter().any(|arg| arg == "--bench") {
        eprintln!("nothing is measured; cargo bench --bench survey does that");
        return;
    }
    let wanted: Vec<&String> = args.iter().filter(|arg| !arg.starts_with("--")).collect();
    for name in &wanted {
        let known = CASES.iter().any(|(case, _)| case == name);
        assert!(known, "there is no benchmark {name}");
    }
    let trees = Trees::default();
    let mut results = Results::new();
    for (name, case) in CASES {
        if wanted.is_empty() || wanted.iter().any(|wanted| *wanted == name) {
            case(&trees, &mut results);
        }
    }
    results.print();
}

fn decode(trees: &Trees, results: &mut Results) {
    let large = trees.large();
    let file = large.metadata_file();
    let size = large.metadata.len() as u64;

    let [in_memory, walked, warm] = numbers(child(OFTEN, &file)).map(Duration::from_nanos);
    let what = format!("decode {} handles, {}", LARGE.files(), megabytes(size));
    results.note(&format!("{what}, in memory"), &time(in_memory));
    results.note("decode it and look at every handle", &time(walked));

    let cat = || process(Command::new("cat").arg(&file), 0);
    let (ours, cat) = in_turn(20, || process(&mut child(ONCE, &file), 0), cat);
    results.within("read and decode it, fresh process", ours, Other("cat", cat), 3.0);
    let [peak] = numbers(child(ONCE, &file));
    results.memory("peak memory of that process", peak, size, 4.0);

    match with_flink(large) {
        Ok(flink) => {
            let theirs = || Other("Flink", flink);
            results.faster("decode it, against Flink's classes", in_memory, theirs(), 20.0);
            results.faster("... and look at every handle", walked, theirs(), 20.0);
            results.beside("... or read the file too, as Flink does", warm, theirs());
        }
        Err(why) => {
            eprintln!("\n*** THE COMPARISON WITH FLINK WAS SKIPPED: {why}\n");
            results.note("read and decode it in one process", &time(warm));
            results.note("decode it, against Flink's classes", "SKIPPED: no Flink");
        }
    }
}

/// This program as a process that decodes one file.
fn child(flag: &str, file: &Path) -> Command {
    let mut command = Command::new(env::current_exe().expect("this program"));
    command.arg(flag).arg(file);
    command
}

/// The numbers that a child prints.
fn numbers<const N: usize>(mut child: Command) -> [u64; N] {
    let Output { stdout, .. } = child.output().expect("this program");
    let text = String::from_utf8_lossy(&stdout);
    let numbers = text.split_whitespace().map(|number| number.parse().expect("a number"));
    numbers.collect::<Vec<u64>>().try_into().expect("as many numbers as were asked for")
}

fn decode_once(file: &Path) {
    read_and_decode(file);
    println!("{}", own_peak());
}

fn decode_often(file: &Path) {
    let bytes = read(file);
    let in_memory = median(20, || timed(|| format::decode(&bytes).expect("a whole _metadata")));
    // Handles of database files stay encoded until they are asked for: this asks for all of them.
    let walked = median(20, || timed(|| handles(&bytes)));
    drop(bytes);
    let warm = median(20, || timed(|| read_and_decode(file)));
    println!("{} {} {}", in_memory.as_nanos(), walked.as_nanos(), warm.as_nanos());
}

/// What every command of chkctl starts with.
fn read_and_decode(file: &Path) {
    let bytes = read(file);
    std::hint::black_box(format::decode(&bytes).expect("a whole _metadata"));
}

fn read(file: &Path) -> Vec<u8> {
    let place = Location::parse(&file.to_string_lossy()).expect("a path");
    LocalStorage.read(&place, METADATA_LIMIT).expect("a file")
}

/// Decodes a `_metadata` and counts its references.
fn handles(bytes: &[u8]) {
    let metadata = format::decode(bytes).expect("a whole _metadata");
    let mut count = 0;
    references::walk(&metadata, |reference| {
        std::hint::black_box(reference);
        count += 1;
    });
    assert_eq!(count, LARGE.files());
}

/// How long Flink takes for the large `_metadata` once its JVM is warm.
fn with_flink(large: &Snapshot) -> Result<Duration, String> {
    const COLD: usize = 4;
    let loaded = Flink::find()?.load(&large.dir, COLD + 11)?;
    assert_eq!(loaded.state_size, large.state_size, "what Flink read");
    Ok(middle(loaded.times[COLD..].to_vec()))
}

fn verify(trees: &Trees, results: &mut Results) {
    let wide = trees.wide();
    let (root, snapshot) = (wide.root(), &wide.snapshot);
    let find = || process(Command::new("find").arg(root).args(["-type", "f", "-printf", "%s %p\n"]), 0);
    let both = |code: i32| in_turn(11, || process(chkctl(&["verify"]).arg(&snapshot.dir), code), find);
    let what = format!("verify {} files", WIDE.files());
    assert_eq!(findings(&snapshot.dir), BTreeSet::new());
    let (ours, theirs) = both(0);
    results.within(&format!("{what}, all there"), ours, Other("find", theirs), 1.2);

    let planted = snapshot.damage(7, 5);
    assert_eq!(findings(&snapshot.dir), planted, "what was planted");
    let (ours, theirs) = both(1);
    results.within(&format!("{what}, 7 missing, 5 short"), ours, Other("find", theirs), 1.2);
    let peak = peak_of(chkctl(&["verify"]).arg(&snapshot.dir), 1);
    results.note("peak memory of that", &megabytes(peak));
}

/// What `verify` finds, as code and path.
fn findings(dir: &Path) -> BTreeSet<(String, String)> {
    let Output { stdout, .. } = chkctl(&["verify", "--json"]).arg(dir).output().expect("chkctl");
    let report: serde_json::Value = serde_json::from_slice(&stdout).expect("JSON");
    let findings = report["snapshots"][0]["findings"].as_array();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    findings
        .expect("a list of findings")
        .iter()
        .map(|finding| (text(&finding["code"]), text(&finding["path"])))
        .collect()
}

fn latest(trees: &Trees, results: &mut Results) {
    for many in [trees.jobs(), trees.checkpoints()] {
        let Output { stdout, .. } = chkctl(&["latest"]).arg(many.root()).output().expect("chkctl");
        let answer = String::from_utf8_lossy(&stdout);
        assert_eq!(answer.trim_end(), many.second.to_string_lossy(), "the second");
        let time = median(30, || process(chkctl(&["latest"]).arg(many.root()), 0));
        let what = format!("latest of {}, newest broken", many.what);
        results.under(&what, time, Duration::from_millis(100));
    }
}

fn start(trees: &Trees, results: &mut Results) {
    let nothing = median(30, || process(&mut Command::new("true"), 0));
    results.note("a process that does nothing (true)", &time(nothing));
    let mut list = chkctl(&["list"]);
    list.arg(trees.small());
    let commands = [
        ("chkctl --version", chkctl(&["--version"])),
        ("chkctl uid x", chkctl(&["uid", "x"])),
        ("chkctl list, one small snapshot", list),
    ];
    for (what, mut command) in commands {
        let time = median(30, || process(&mut command, 0));
        results.under(what, time, Duration::from_millis(10));
    }
}

fn list(trees: &Trees, results: &mut Results) {
    for many in [trees.jobs(), trees.checkpoints()] {
        let took = median(5, || process(chkctl(&["list"]).arg(many.root()), 0));
        results.note(&format!("list {}", many.what), &time(took));
    }
}

fn inspect(trees: &Trees, results: &mut Results) {
    let mut command = chkctl(&["inspect", "--json"]);
    command.arg(&trees.large_with_files().dir);
    let took = median(5, || process(&mut command, 0));
    results.note(&format!("inspect --json of {} handles", LARGE.files()), &time(took));
    results.note("peak memory of that", &megabytes(peak_of(&mut command, 0)));
}
