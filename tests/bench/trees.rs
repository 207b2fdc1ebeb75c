//! The directory trees that are measured, made when the first benchmark needs one and removed at the end.

use crate::generate::{LARGE, Random, SMALL, Snapshot, WIDE};
use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// How many snapshots there are where there are many.
const MANY: u32 = 2_000;

/// All trees.
#[derive(Default)]
pub struct Trees {
    large: OnceCell<One>,
    large_files: OnceCell<()>,
    wide: OnceCell<One>,
    small: OnceCell<One>,
    jobs: OnceCell<Many>,
    checkpoints: OnceCell<Many>,
}

/// A tree with one snapshot.
pub struct One {
    root: TempDir,
    /// The snapshot.
    pub snapshot: Snapshot,
}

/// A tree with many snapshots, of which the newest is broken.
pub struct Many {
    root: TempDir,
    /// What it is, for the table.
    pub what: String,
    /// The directory of the second newest.
    pub second: PathBuf,
}

impl One {
    /// Makes up a snapshot in a directory of its own.
    fn new(shape: crate::generate::Shape) -> Self {
        eprintln!("making a snapshot of {} files ...", shape.files());
        let root = directory();
        let snapshot = Snapshot::new(&job(root.path(), 0), 42, shape);
        One { root, snapshot }
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        self.root.path()
    }
}

impl Many {
    /// Makes snapshots of a small job, a minute between them: the last is the newest.
    fn new(what: &str, place: impl Fn(&Path, u32) -> (PathBuf, u32)) -> Self {
        eprintln!("making {what} ...");
        let root = directory();
        let now = SystemTime::now();
        let mut newest = Vec::new();
        for number in 1..=MANY {
            let (job, id) = place(root.path(), number);
            let snapshot = Snapshot::new(&job, id, SMALL);
            snapshot.write(now - Duration::from_secs(60 * u64::from(MANY - number)));
            newest.push(snapshot.dir.clone());
            if number == MANY {
                snapshot.damage(1, 0);
            }
        }
        newest.pop();
        Many { root, what: what.to_owned(), second: newest.pop().expect("more than one snapshot") }
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        self.root.path()
    }
}

impl Trees {
    /// The `_metadata` of 450,000 handles.
    pub fn large(&self) -> &Snapshot {
        let large = self.large.get_or_init(|| {
            let large = One::new(LARGE);
            large.snapshot.write_metadata();
            large
        });
        &large.snapshot
    }

    /// The same, with the files.
    pub fn large_with_files(&self) -> &Snapshot {
        let large = self.large();
        self.large_files.get_or_init(|| large.write(SystemTime::now()));
        large
    }

    /// The snapshot of 200,000 files.
    pub fn wide(&self) -> &One {
        self.wide.get_or_init(|| written(WIDE))
    }

    /// A root with one small snapshot.
    pub fn small(&self) -> &Path {
        self.small.get_or_init(|| written(SMALL)).root()
    }

    /// Many jobs with one checkpoint each.
    pub fn jobs(&self) -> &Many {
        let place = |root: &Path, number| (job(root, number), 42);
        let what = format!("{MANY} jobs with a checkpoint each");
        self.jobs.get_or_init(|| Many::new(&what, place))
    }

    /// One job with many checkpoints.
    pub fn checkpoints(&self) -> &Many {
        let place = |root: &Path, number| (job(root, 0), number);
        let what = format!("{MANY} checkpoints of a job");
        self.checkpoints.get_or_init(|| Many::new(&what, place))
    }
}

fn written(shape: crate::generate::Shape) -> One {
    let one = One::new(shape);
    one.snapshot.write(SystemTime::now());
    one
}

/// A directory whose name is as long as the paths of real checkpoints are: it is in every handle.
fn directory() -> TempDir {
    tempfile::Builder::new().prefix("chkctl-bench").tempdir().expect("a new directory")
}

/// The directory of a job below a root; each number has a job of its own.
fn job(root: &Path, number: u32) -> PathBuf {
    let mut name = Random::of(Path::new(&format!("job {number}")));
    let checkpoints = root.join("checkpoints");
    checkpoints.join(name.job_id())
}
