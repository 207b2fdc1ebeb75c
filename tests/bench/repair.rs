//! How fast `repair` is where no state is copied, beside `cp` of the `_metadata`: `docs/benchmarks.md`.
//!
//! `cargo bench --bench repair`, or `-- rounds=9 dir=/mnt/disk`. Ours and theirs run in turn, each into a new directory, and
//! what is quoted is the median; nothing is removed before the end.

#[allow(dead_code, reason = "most of it is for other benchmarks")]
mod generate;
#[allow(dead_code, reason = "most of it is for other benchmarks")]
mod measure;
#[allow(dead_code, reason = "most of it is for other benchmarks")]
mod table;
mod told;

use generate::{Shape, Snapshot};
use measure::middle;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use table::{Results, megabytes, time, times};

/// 100 MB.
const HUGE: Shape = Shape { operators: 20, subtasks: 500, shared: 66 };

fn main() {
    let Some((rounds, dir)) = told::told("repair", 7) else { return };
    let mut results = Results::new();
    measure(&mut results, rounds, &dir);
    results.print();
}

fn measure(results: &mut Results, rounds: usize, dir: &Path) {
    let dir = tempfile::tempdir_in(dir).expect("a directory");
    let job = dir.path().join("0f9f3a7c7f769c1e9f824984a45f200a");
    let snapshot = Snapshot::new(&job, 7, HUGE);
    snapshot.write_metadata();
    let file = snapshot.metadata_file();
    let map = format!("file:{}=s3://bucket/moved", job.display());
    let repair = |args: &[&str], dest: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chkctl"));
        command.arg("repair").arg(&snapshot.dir).arg("--apply").args(args).arg("--output").arg(dest);
        command
    };
    let cp = |script: &str, dest: &Path| {
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh"]).arg(&file).arg(dest);
        command
    };
    let mut measured: [Vec<Duration>; 5] = Default::default();
    for round in 0..=rounds {
        let dest = |number: usize| dir.path().join(format!("dest-{round}-{number}"));
        let commands = [
            cp("mkdir \"$2\" && cp \"$1\" \"$2\"", &dest(0)),
            cp("mkdir \"$2\" && cp \"$1\" \"$2\" && sync \"$2/_metadata\" \"$2\"", &dest(1)),
            repair(&["--checkpoint-id", "8", "--no-verify"], &dest(2)),
            repair(&["--map", &map, "--no-verify"], &dest(3)),
            // The files are not there, as the verdict says.
            repair(&["--checkpoint-id", "8", "--force"], &dest(4)),
        ];
        for (mut command, times) in commands.into_iter().zip(&mut measured) {
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
    let size = fs::metadata(&file).expect("the file").len();
    let [cp, cp_and_sync, id, map, judged] = measured.map(middle);
    eprintln!("a _metadata of {} with {} handles", megabytes(size), HUGE.files());
    let limit = cp * 2 + Duration::from_millis(500);
    let mut row = |what: &str, ours: Duration, goal: bool| {
        let theirs = format!("cp: {}, and sync: {}", time(cp), time(cp_and_sync));
        let ratio = times(ours.as_secs_f64() / limit.as_secs_f64());
        let words = format!("at most 2 × cp + 0.5 s = {}", time(limit));
        let words = if goal { words.as_str() } else { "-" };
        results.add(what, &time(ours), &theirs, &ratio, words, goal.then_some(ours <= limit));
    };
    row("another checkpoint id", id, true);
    row("every path anew", map, true);
    row("another checkpoint id, judged, its files missing", judged, false);
}
