//! Trees of files that nothing refers to, to be removed.

use crate::generate::Random;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime};

/// So many files in each tree.
pub const FILES: usize = 200_000;

/// Makes such trees below a directory, with their files in `shared` of so many jobs, all old enough to be swept. All of it is
/// on the disk then.
///
/// All that are to be measured are to be made before the first is removed: ext4 gives the inode of a file away again a
/// minute after it was removed, and takes ever longer to find others until then.
pub fn trees(count: usize, jobs: usize) -> Vec<PathBuf> {
    eprintln!("making {count} trees of {FILES} files in {jobs} directories ...");
    let dir = dir();
    let trees: Vec<PathBuf> = (0..count).map(|number| dir.join(format!("{jobs}-{number}"))).collect();
    trees.iter().for_each(|root| tree(root, jobs));
    sync();
    trees
}

/// Where trees are made.
fn dir() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-orphans")
}

/// Removes what is left of all trees.
pub fn clear() {
    let dir = dir();
    if dir.exists() {
        fs::remove_dir_all(dir).expect("trees go");
    }
}

fn tree(root: &Path, jobs: usize) {
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
}

/// What is counted starts with a disk that has nothing to do.
pub fn sync() {
    let status = Command::new("sync").status().expect("sync");
    assert!(status.success());
}
