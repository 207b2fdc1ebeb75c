//! Trees of files that nothing refers to, to be removed.

use crate::generate::Random;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime};

/// So many files in each tree.
pub const FILES: usize = 200_000;

/// Makes a tree with its files in `shared` of so many jobs, all old enough to be swept. What there was before is removed,
/// and all of it is on the disk.
pub fn tree(jobs: usize) -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-orphans");
    remove(&root);
    let written = SystemTime::now() - Duration::from_secs(30 * 24 * 3_600);
    let files = |random: &mut Random, dir: &Path, count: usize| {
        for _ in 0..count {
            let size = 300 + u64::from(random.below(64 << 20));
            let made = File::create_new(dir.join(random.uuid())).and_then(|file| {
                file.set_len(size)?;
                file.set_modified(written)
            });
            made.expect("a new file");
        }
    };
    let job = |number: usize| {
        let mut random = Random::of(Path::new(&format!("orphans {number}")));
        let job = root.join(random.job_id());
        for dir in ["shared", "taskowned"] {
            fs::create_dir_all(job.join(dir)).expect("a new directory");
        }
        files(&mut random, &job.join("shared"), FILES / jobs);
    };
    thread::scope(|scope| {
        for half in 0..2 {
            scope.spawn(move || (0..jobs).filter(|number| number % 2 == half).for_each(job));
        }
    });
    sync();
    root
}

/// Removes a tree, and waits for the disk.
pub fn remove(root: &Path) {
    if root.exists() {
        fs::remove_dir_all(root).expect("a tree goes");
    }
    sync();
}

/// What is counted starts with a disk that has nothing to do.
fn sync() {
    let status = Command::new("sync").status().expect("sync");
    assert!(status.success());
}
