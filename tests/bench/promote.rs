//! How fast `promote` copies, beside `cp -r` of the same files: `docs/benchmarks.md`.
//!
//! `cargo bench --bench promote` measures everything, `cargo bench --bench promote -- rounds=3 dir=/mnt/disk` three rounds on
//! another disk. Ours and theirs run in turn, each into a new directory, and what is quoted is the median. Nothing is
//! removed before the end: ext4 takes long to make files soon after many have gone. `cp` leaves its copy in the page cache,
//! so it stands there with a sync behind it too.

#[allow(dead_code, reason = "most of it is for other benchmarks")]
mod measure;
#[allow(dead_code, reason = "most of it is for other benchmarks")]
mod table;
mod told;

use chkctl::format;
use chkctl::model::{
    Metadata, OperatorHandle, OperatorId, OperatorSlot, OperatorState, StreamHandle, Subtask, SubtaskState, Subtasks,
    Version,
};
use chkctl::wire::JavaStr;
use measure::middle;
use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use table::{Other, Results};

/// Name, number of files, bytes of each; not whole pages, as those of Flink are not.
const TREES: [(&str, usize, usize); 3] = [
    ("40 files of 16 MiB", 40, (16 << 20) - 100),
    ("500 files of 1 MiB", 500, (1 << 20) - 100),
    ("5,000 files of 8 KiB", 5_000, (8 << 10) - 100),
];

fn main() {
    let Some((rounds, dir)) = told::told("promote", 5) else { return };
    let mut results = Results::new();
    for (name, files, size) in TREES {
        measure(&mut results, name, files, size, rounds, &dir);
    }
    results.print();
}

fn measure(results: &mut Results, name: &str, files: usize, size: usize, rounds: usize, dir: &Path) {
    let dir = tempfile::tempdir_in(dir).expect("a directory");
    let snapshot = make(dir.path(), files, size);
    let job = snapshot.parent().expect("a directory").to_path_buf();
    let copies = dir.path().join("copies");
    fs::create_dir(&copies).expect("a directory");
    let mut times: [Vec<Duration>; 5] = Default::default();
    for round in 0..=rounds {
        let copy = |number: usize| copies.join(format!("{round}-{number}"));
        let promote = |number: usize, args: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_chkctl"));
            command.arg("promote").args(args).arg(&snapshot).arg(copy(number));
            command
        };
        let cp = |number: usize, script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script, "sh"]).arg(&job).arg(copy(number));
            command
        };
        let commands = [
            promote(0, &[]),
            cp(1, "cp -r \"$1\" \"$2\""),
            cp(2, "cp -r \"$1\" \"$2\" && sync -f \"$2\""),
            promote(3, &["--link"]),
            cp(4, "cp -rl \"$1\" \"$2\""),
        ];
        for (mut command, times) in commands.into_iter().zip(&mut times) {
            command.stdout(Stdio::null()).stderr(Stdio::null());
            let start = Instant::now();
            assert!(command.status().expect("it runs").success(), "{command:?}");
            // The first round fills the page cache.
            if round > 0 {
                times.push(start.elapsed());
            }
            assert!(Command::new("sync").status().expect("it runs").success());
        }
    }
    let [ours, cp, cp_and_sync, link, cp_link] = times.map(middle);
    results.within(name, ours, Other("cp -r and sync", cp_and_sync), 1.0);
    results.within(name, ours, Other("cp -r", cp), 1.0);
    results.beside(&format!("{name}, --link"), link, Other("cp -rl", cp_link));
}

/// A job directory with one checkpoint, half of whose files are in `shared`; gives the checkpoint's.
fn make(dir: &Path, files: usize, size: usize) -> PathBuf {
    let job = dir.join("0f9f3a7c7f769c1e9f824984a45f200a");
    let (chk, shared) = (job.join("chk-7"), job.join("shared"));
    for dir in [&chk, &shared] {
        fs::create_dir_all(dir).expect("directories");
    }
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut subtasks = Vec::new();
    for index in 0..files {
        let name = format!("{index:08x}-0000-4000-8000-000000000000");
        let file = if index % 2 == 0 { chk.join(&name) } else { shared.join(&name) };
        let mut content = Vec::with_capacity(size);
        while content.len() < size {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            content.extend_from_slice(&state.to_le_bytes());
        }
        content.truncate(size);
        fs::write(&file, &content).expect("a file");
        let path = JavaStr::from(file.to_str().expect("UTF-8")).into_owned();
        let stream = StreamHandle::File { size: content.len() as i64, path };
        let handle = OperatorHandle { states: Vec::new(), merging: None, stream };
        let slot = OperatorSlot { presence: 1, handle: Some(Box::new(handle)) };
        let state = SubtaskState { managed_operator: slot, ..SubtaskState::default() };
        subtasks.push(Subtask { index: index as i32, finished: false, state: Some(Box::new(state)) });
    }
    let operator = OperatorState {
        name: "".into(),
        uid: "".into(),
        id: "00112233445566778899aabbccddeeff".parse::<OperatorId>().expect("an id"),
        parallelism: files as i32,
        max_parallelism: 8_192,
        chain_length: 0,
        coordinator: None,
        subtasks: Subtasks::Some(subtasks),
    };
    let metadata = Metadata {
        version: Version::V4,
        checkpoint_id: 7,
        master_states: Vec::new(),
        operators: vec![operator],
        properties: None,
        trailing: Cow::Borrowed(&[]),
    };
    fs::write(chk.join("_metadata"), format::encode(&metadata).expect("encodes")).expect("a _metadata");
    chk
}
