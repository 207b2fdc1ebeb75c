//! A sample of the agreement test (`tests/agreement/run.py`, `docs/agreement.md`): snapshots of real Flink are damaged,
//! one thing at a time, and what chkctl says of each must be what Flink does with it.
//!
//! Flink has a JVM of its own here: a damaged length may take the memory of the whole cluster.

use super::flink::{Flink, with_own_flink};
use super::support::{Run, command};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// What chkctl says of a snapshot, in one word.
fn judge(snapshot: &Path) -> String {
    let mut command = command();
    command.args(["verify", "--json", "--deep"]).arg(snapshot);
    // A savepoint without `_metadata` is no snapshot.
    Run::of(command).json()["snapshots"][0]["verdict"].as_str().unwrap_or("none").to_owned()
}

/// Words for every command: every state entry in a file, and as many that tables have several blocks.
const JOB: [&str; 4] = ["inline=0", "keys=300", "hold=900", "conf.state.backend.rocksdb.memory.managed=false"];
const ROCKSDB: &str = "conf.state.backend.type=rocksdb";
const INCREMENTAL: &str = "conf.execution.checkpointing.incremental=true";
const MERGED: &str = "conf.execution.checkpointing.file-merging.enabled=true";

/// A kind of snapshot: what a job and its restore are told, what the job is told beyond that, how many damages.
struct Kind {
    name: &'static str,
    both: &'static [&'static str],
    job: &'static [&'static str],
    damages: usize,
}

const KINDS: [Kind; 5] = [
    Kind { name: "heap", both: &[], job: &[], damages: 6 },
    Kind { name: "canonical", both: &[], job: &["savepoint=canonical"], damages: 4 },
    Kind { name: "incremental", both: &[ROCKSDB, INCREMENTAL], job: &["rounds=2"], damages: 12 },
    Kind { name: "native", both: &[ROCKSDB, INCREMENTAL], job: &["savepoint=native"], damages: 6 },
    Kind { name: "merged", both: &[ROCKSDB, INCREMENTAL, MERGED], job: &[], damages: 5 },
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    Deleted,
    Directory,
    Emptied,
    CutByOne,
    CutToHalf,
    OneMore,
    /// A bit of the byte at so many 1024ths of the file.
    Flip(usize),
}

impl Damage {
    fn of(number: u64) -> Self {
        match number % 10 {
            0 => Damage::Deleted,
            1 => Damage::Directory,
            2 => Damage::Emptied,
            3 => Damage::CutByOne,
            4 => Damage::CutToHalf,
            5 => Damage::OneMore,
            _ => Damage::Flip((number / 10 % 1024) as usize),
        }
    }

    /// Does it, looks, and puts the file back.
    fn during<T>(self, file: &Path, look: impl FnOnce() -> T) -> T {
        let content = fs::read(file).expect("a state file");
        let size = content.len();
        fs::remove_file(file).expect("removed");
        let new = match self {
            Damage::Deleted => None,
            Damage::Directory => {
                fs::create_dir(file).expect("made");
                None
            }
            Damage::Emptied => Some(Vec::new()),
            Damage::CutByOne => Some(content[..size - 1].to_vec()),
            Damage::CutToHalf => Some(content[..size / 2].to_vec()),
            Damage::OneMore => Some([&content, &b"x"[..]].concat()),
            Damage::Flip(place) => {
                let mut bytes = content.clone();
                bytes[size * place / 1024] ^= 1 << (place % 8);
                Some(bytes)
            }
        };
        if let Some(new) = new {
            fs::write(file, new).expect("written");
        }
        let seen = look();
        if file.is_dir() {
            fs::remove_dir(file).expect("removed");
        }
        fs::write(file, content).expect("put back");
        seen
    }
}

/// Numbers that are the same in every run (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }
}

/// What Flink does with a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    Right,
    /// It starts, and has other state, fails when it reads it, or stands still.
    Starts(String),
    Fails(String),
}

fn ask(flink: &mut Flink, kind: &Kind, snapshot: &Path) -> Answer {
    let mut words = vec!["check", "pantry", snapshot.to_str().expect("UTF-8"), "timeout=5000"];
    words.extend(JOB.iter().chain(kind.both));
    let answer = flink.expect(&words);
    let why = format!("{} {}", answer["phase"].as_str().unwrap_or("wrong state"), answer["why"].as_str().unwrap_or(""));
    match (answer["verdict"].as_str().expect("a verdict"), answer["phase"].as_str()) {
        ("right", _) => Answer::Right,
        ("fails", Some("load" | "submit" | "restore")) => Answer::Fails(why),
        _ => Answer::Starts(why),
    }
}

/// A file of a snapshot with what is in it.
struct File {
    path: PathBuf,
    state: String,
}

impl File {
    /// Whether Flink notices another value of the same length: a database has checksums, nothing else does.
    fn has_checksums(&self) -> bool {
        ["shared file", "private file"].iter().any(|part| self.state.contains(part))
    }
}

fn files(snapshot: &Path) -> Vec<File> {
    let mut command = command();
    command.args(["files", "--json"]).arg(snapshot);
    let listed = Run::of(command).json();
    let mut found: Vec<File> = listed["files"].as_array().expect("files").iter().map(file).collect();
    found.push(File { path: snapshot.join("_metadata"), state: "_metadata".to_owned() });
    found
}

fn file(file: &Value) -> File {
    let path = file["path"].as_str().expect("a path").trim_start_matches("file:");
    let states: Vec<&str> =
        file["owners"].as_array().expect("owners").iter().filter_map(|owner| owner["state"].as_str()).collect();
    File { path: PathBuf::from(path), state: states.join(", ") }
}

/// Why a verdict is not what Flink's answer asks for, unless it is a disagreement that `docs/agreement.md` lists.
fn disagreement(file: &File, damage: Damage, answer: &Answer, verdict: &str) -> Option<&'static str> {
    let flipped = matches!(damage, Damage::Flip(_));
    match (answer, verdict) {
        // Another value of the same length, in a file without checksums: only a checksum of the snapshot would tell.
        (Answer::Starts(_), "restorable") if flipped && !file.has_checksums() => None,
        (_, "restorable") if flipped && file.state == "_metadata" => None,
        (Answer::Fails(_) | Answer::Starts(_), "restorable") => {
            Some("called restorable, and Flink does not restore it")
        }
        // Flink does not compare what a flipped byte of a recorded size says.
        (Answer::Right, "broken") if flipped && file.state == "_metadata" => None,
        (Answer::Right, "broken") => Some("called broken, and Flink restores it"),
        _ => None,
    }
}

/// Damages a sample of the files of every kind of snapshot, and collects what does not agree.
fn sample(flink: &mut Flink, seed: u64) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut numbers = Numbers(seed);
    let (mut wrong, mut right, mut fails) = (Vec::new(), 0, 0);
    for kind in &KINDS {
        let place = format!("dir={}", dir.path().join(kind.name).display());
        let words: Vec<&str> = ["run", "pantry", &place].into_iter().chain(JOB).collect();
        let held = flink.expect(&[&words, kind.both, kind.job].concat());
        let snapshot = held["path"].as_str().expect("a path").trim_start_matches("file:");
        let snapshot = Path::new(snapshot);
        assert_eq!(
            (ask(flink, kind, snapshot), judge(snapshot).as_str()),
            (Answer::Right, "restorable"),
            "{}",
            kind.name
        );
        let files = files(snapshot);
        for _ in 0..kind.damages {
            let file = &files[(numbers.next() % files.len() as u64) as usize];
            let damage = Damage::of(numbers.next());
            let (answer, verdict) = damage.during(&file.path, || (ask(flink, kind, snapshot), judge(snapshot)));
            match answer {
                Answer::Right => right += 1,
                Answer::Fails(_) => fails += 1,
                Answer::Starts(_) => {}
            }
            if let Some(why) = disagreement(file, damage, &answer, &verdict) {
                wrong.push(format!("{why}: {}, {} {damage:?}: Flink {answer:?}", kind.name, file.state));
            }
        }
        assert_eq!(ask(flink, kind, snapshot), Answer::Right, "{}: as before", kind.name);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(right > 0 && fails > 0, "a sample that shows nothing: {right} right, {fails} fail");
}

#[test]
fn chkctl_says_of_damaged_snapshots_what_flink_1_20_does() {
    with_own_flink("1.20.5", |flink| sample(flink, 1));
}

#[test]
fn chkctl_says_of_damaged_snapshots_what_flink_2_3_does() {
    with_own_flink("2.3.0", |flink| sample(flink, 2));
}
