//! Snapshots of any size, as Flink 1.20 writes them: a `_metadata` and its state files.
//!
//! The shape is that of a job on RocksDB with incremental checkpoints: each subtask has one keyed handle, with files
//! that later checkpoints share, three private ones and a description, and one file of operator state. State files
//! have the size that their handles say and no content: chkctl does not read them, and a sparse file takes no space.

use chkctl::format::{self, Version};
use chkctl::model::handle::{Incremental, IncrementalExtra, LocalFile, OperatorStateInfo};
use chkctl::model::{
    DistributionMode, KeyGroupRange, KeyedHandle, Metadata, OperatorHandle, OperatorId,
    OperatorSlot, OperatorState, StreamHandle, Subtask, SubtaskState, Subtasks,
};
use chkctl::wire::JavaStr;
use std::borrow::Cow;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

/// Key groups of each operator: the most that Flink allows.
const MAX_PARALLELISM: i32 = 32_768;
/// Files of a subtask beside the shared ones.
const OTHER_FILES: usize = 5;

/// How large a snapshot is.
#[derive(Clone, Copy)]
pub struct Shape {
    /// Number of operators.
    pub operators: i32,
    /// Subtasks of each.
    pub subtasks: i32,
    /// Shared files of each subtask.
    pub shared: usize,
}

/// The 450,000 handles of the decoding goals.
pub const LARGE: Shape = Shape {
    operators: 20,
    subtasks: 500,
    shared: 40,
};
/// The 200,000 files of the verifying goals.
pub const WIDE: Shape = Shape {
    operators: 10,
    subtasks: 250,
    shared: 75,
};
/// One of many snapshots.
pub const SMALL: Shape = Shape {
    operators: 1,
    subtasks: 2,
    shared: 2,
};

impl Shape {
    /// How many files a snapshot refers to.
    pub fn files(self) -> usize {
        let subtasks = usize::try_from(self.operators * self.subtasks).expect("a positive count");
        subtasks * (self.shared + OTHER_FILES)
    }
}

/// A state file.
pub struct StateFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
}

/// A snapshot that is ready to be written.
pub struct Snapshot {
    /// Its directory.
    pub dir: PathBuf,
    /// The bytes of its `_metadata`.
    pub metadata: Vec<u8>,
    /// The size of its state as Flink adds it up.
    pub state_size: i64,
    /// All files it refers to.
    pub files: Vec<StateFile>,
}

impl Snapshot {
    /// Makes up checkpoint `id` of the job with this directory.
    pub fn new(job: &Path, id: u64, shape: Shape, seed: u64) -> Self {
        let dir = job.join(format!("chk-{id}"));
        let mut maker = Maker {
            random: Random(seed),
            shared: job.join("shared"),
            exclusive: dir.clone(),
            id: i64::try_from(id).expect("a checkpoint id"),
            files: Vec::with_capacity(shape.files()),
        };
        let metadata = maker.metadata(shape);
        Snapshot {
            dir,
            metadata: format::encode(&metadata).expect("a model that the format can hold"),
            state_size: metadata.state_size(),
            files: maker.files,
        }
    }

    /// Where its `_metadata` is.
    pub fn metadata_file(&self) -> PathBuf {
        self.dir.join("_metadata")
    }

    /// Writes the `_metadata` alone.
    pub fn write_metadata(&self) {
        fs::create_dir_all(&self.dir).expect("room for a directory");
        fs::write(self.metadata_file(), &self.metadata).expect("room for a _metadata");
    }

    /// Writes all of it, completed `age` before `now`.
    pub fn write(&self, now: SystemTime, age: Duration) {
        self.write_metadata();
        let job = self.dir.parent().expect("a snapshot is in a job directory");
        for dir in ["shared", "taskowned"] {
            fs::create_dir_all(job.join(dir)).expect("room for a directory");
        }
        for StateFile { path, size } in &self.files {
            let file = File::create(path).expect("room for a state file");
            file.set_len(*size)
                .expect("a file system with sparse files");
        }
        let metadata = File::options().append(true).open(self.metadata_file());
        metadata
            .and_then(|file| file.set_modified(now - age))
            .expect("a time for the _metadata");
    }

    /// Takes `missing` files away and the last byte from `short` others, spread evenly, and gives their paths.
    pub fn damage(&self, missing: usize, short: usize) -> (Vec<&Path>, Vec<&Path>) {
        let step = self.files.len() / (missing + short);
        let mut chosen = self.files.iter().skip(step / 2).step_by(step);
        let gone: Vec<_> = chosen.by_ref().take(missing).collect();
        let cut: Vec<_> = chosen.take(short).collect();
        for file in &gone {
            fs::remove_file(&file.path).expect("a state file");
        }
        for file in &cut {
            let opened = File::options().write(true).open(&file.path);
            opened
                .and_then(|opened| opened.set_len(file.size - 1))
                .expect("a state file");
        }
        let paths = |files: Vec<&'_ StateFile>| -> Vec<&Path> {
            files.iter().map(|_| Path::new("")).collect()
        };
        let _ = paths;
        (
            gone.into_iter().map(|file| file.path.as_path()).collect(),
            cut.into_iter().map(|file| file.path.as_path()).collect(),
        )
    }
}
