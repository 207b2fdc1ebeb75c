//! Snapshots of any size, as Flink 1.20 writes them: a `_metadata` and its state files.
//!
//! The shape is that of a job on RocksDB with incremental checkpoints: each subtask has one keyed handle, with files
//! that later checkpoints share, three private ones and a description, and one file of operator state. State files
//! have the size that their handles say and no content: chkctl does not read them, and a sparse file takes no space.

use chkctl::format::{self, Version};
use chkctl::model::handle::{Incremental, IncrementalExtra, LocalFile, OperatorStateInfo};
use chkctl::model::{
    DistributionMode, KeyGroupRange, KeyedHandle, LocalFiles, Metadata, OperatorHandle, OperatorId, OperatorSlot,
    OperatorState, StreamHandle, Subtask, SubtaskState, Subtasks,
};
use chkctl::wire::JavaStr;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Key groups of each operator: the most that Flink allows.
const MAX_PARALLELISM: i32 = 32_768;
/// Files of a subtask beside the shared ones.
const OTHER_FILES: u64 = 5;

/// The properties of a checkpoint that is retained on cancellation, as Flink 1.20.5 wrote them.
pub const PROPERTIES: &[u8] = b"\xac\xed\0\x05sr\0\x38org.apache.flink.runtime.checkpoint.CheckpointProperties\
\0\0\0\0\0\0\0\x02\x02\0\x08Z\0\x10discardCancelledZ\0\x0ddiscardFailedZ\0\x0fdiscardFinishedZ\
\0\x0fdiscardSubsumedZ\0\x10discardSuspendedZ\0\x06forcedZ\0\x09unclaimedL\0\x0echeckpointTypet\
\0\x32Lorg/apache/flink/runtime/checkpoint/SnapshotType;xp\0\0\x01\x01\0\0\0sr\
\0\x32org.apache.flink.runtime.checkpoint.CheckpointType\xd6\xdeO\x03\x05\xae\x1d:\x02\0\x02L\0\x04namet\
\0\x12Ljava/lang/String;L\0\x14sharingFilesStrategyt\
\0\x47Lorg/apache/flink/runtime/checkpoint/SnapshotType$SharingFilesStrategy;xpt\0\x0aCheckpoint~r\
\0\x45org.apache.flink.runtime.checkpoint.SnapshotType$SharingFilesStrategy\0\0\0\0\0\0\0\0\x12\0\0xr\
\0\x0ejava.lang.Enum\0\0\0\0\0\0\0\0\x12\0\0xpt\0\x10FORWARD_BACKWARD";

/// How large a snapshot is.
#[derive(Clone, Copy)]
pub struct Shape {
    /// Number of operators.
    pub operators: u16,
    /// Subtasks of each.
    pub subtasks: u16,
    /// Shared files of each subtask.
    pub shared: u16,
}

/// For decoding: 450,000 handles.
pub const LARGE: Shape = Shape { operators: 20, subtasks: 500, shared: 40 };
/// For verifying: 200,000 files.
pub const WIDE: Shape = Shape { operators: 10, subtasks: 250, shared: 75 };
/// For finding: one of thousands.
pub const SMALL: Shape = Shape { operators: 1, subtasks: 2, shared: 2 };

impl Shape {
    /// How many files a snapshot refers to.
    pub fn files(self) -> u64 {
        let subtasks = u64::from(self.operators) * u64::from(self.subtasks);
        subtasks * (u64::from(self.shared) + OTHER_FILES)
    }
}

/// A state file.
pub struct StateFile {
    path: PathBuf,
    size: u64,
}

/// A snapshot that was made up and is ready to be written.
pub struct Snapshot {
    /// Its directory.
    pub dir: PathBuf,
    /// The bytes of its `_metadata`.
    pub metadata: Vec<u8>,
    /// The size of its state as Flink adds it up.
    pub state_size: i64,
    files: Vec<StateFile>,
}

impl Snapshot {
    /// Makes up checkpoint `id` of the job in the directory `job`.
    pub fn new(job: &Path, id: u32, shape: Shape) -> Self {
        let dir = job.join(format!("chk-{id}"));
        let mut maker = Maker {
            // Not by the whole path: the temporary directory has another name in every run.
            random: Random::of(&Path::new(job.file_name().unwrap_or_default()).join(format!("chk-{id}"))),
            shared: job.join("shared"),
            exclusive: dir.clone(),
            id: id.into(),
            files: Vec::new(),
        };
        let metadata = maker.metadata(shape);
        assert_eq!(maker.files.len() as u64, shape.files());
        Snapshot {
            dir,
            metadata: format::encode(&metadata).expect("a model that version 4 has room for"),
            state_size: metadata.operators.iter().map(OperatorState::state_size).sum(),
            files: maker.files,
        }
    }

    /// Where its `_metadata` is.
    pub fn metadata_file(&self) -> PathBuf {
        self.dir.join("_metadata")
    }

    /// Writes the `_metadata` alone.
    pub fn write_metadata(&self) {
        fs::create_dir_all(&self.dir).expect("a new directory");
        fs::write(self.metadata_file(), &self.metadata).expect("a new _metadata");
    }

    /// Writes all of it, as if completed at this time.
    pub fn write(&self, completed: SystemTime) {
        self.write_metadata();
        let job = self.dir.parent().expect("a snapshot is below its job");
        for dir in ["shared", "taskowned"] {
            fs::create_dir_all(job.join(dir)).expect("a new directory");
        }
        for file in &self.files {
            resize(file, file.size);
        }
        let metadata = File::options().append(true).open(self.metadata_file());
        metadata.and_then(|file| file.set_modified(completed)).expect("a time for the _metadata");
    }

    /// Removes `missing` files and takes a byte off `short` others, spread evenly. Gives what `verify` should find:
    /// code and path of each.
    pub fn damage(&self, missing: usize, short: usize) -> BTreeSet<(String, String)> {
        let step = self.files.len() / (missing + short);
        let chosen = self.files.iter().skip(step / 2).step_by(step);
        let damage = |(index, file): (usize, &StateFile)| {
            let code = if index < missing {
                fs::remove_file(&file.path).expect("a state file to remove");
                "missing-file"
            } else {
                resize(file, file.size - 1);
                "short-file"
            };
            (code.to_owned(), uri(&file.path))
        };
        chosen.take(missing + short).enumerate().map(damage).collect()
    }
}

/// Makes a state file, or changes the length of one.
fn resize(file: &StateFile, size: u64) {
    let opened = File::options().write(true).create(true).truncate(false).open(&file.path);
    opened.and_then(|opened| opened.set_len(size)).expect("a state file of this length");
}

fn uri(path: &Path) -> String {
    format!("file:{}", path.display())
}

/// Makes up the parts of one snapshot.
struct Maker {
    random: Random,
    shared: PathBuf,
    exclusive: PathBuf,
    id: i64,
    files: Vec<StateFile>,
}

impl Maker {
    fn metadata(&mut self, shape: Shape) -> Metadata<'static> {
        let operators = (0..shape.operators).map(|_| self.operator(shape)).collect();
        Metadata {
            version: Version::V4,
            checkpoint_id: self.id,
            master_states: Vec::new(),
            operators,
            properties: Some(Cow::Borrowed(PROPERTIES)),
            trailing: Cow::Borrowed(&[]),
        }
    }

    fn operator(&mut self, shape: Shape) -> OperatorState<'static> {
        let id = u128::from(self.random.next()) << 64 | u128::from(self.random.next());
        let subtasks = i32::from(shape.subtasks);
        let list = (0..subtasks).map(|index| self.subtask(shape, index));
        OperatorState {
            name: JavaStr::default(),
            uid: JavaStr::default(),
            id: OperatorId(id.to_be_bytes()),
            parallelism: subtasks,
            max_parallelism: MAX_PARALLELISM,
            chain_length: 1,
            coordinator: None,
            subtasks: Subtasks::Some(list.collect()),
        }
    }

    fn subtask(&mut self, shape: Shape, index: i32) -> Subtask<'static> {
        let range = KeyGroupRange::of_subtask(MAX_PARALLELISM, shape.subtasks.into(), index)
            .expect("no more subtasks than key groups");
        let state = SubtaskState {
            managed_operator: OperatorSlot { presence: 1, handle: Some(Box::new(self.operator_handle())) },
            managed_keyed: Some(Box::new(self.keyed_handle(shape, range))),
            ..SubtaskState::default()
        };
        Subtask { index, finished: false, state: Some(Box::new(state)) }
    }

    fn operator_handle(&mut self) -> OperatorHandle<'static> {
        let list = OperatorStateInfo {
            name: JavaStr::from("list"),
            mode: DistributionMode::SplitDistribute,
            offsets: vec![80, 180, 280],
        };
        OperatorHandle { states: vec![list], merging: None, stream: self.exclusive(400) }
    }

    fn keyed_handle(&mut self, shape: Shape, range: KeyGroupRange) -> KeyedHandle<'static> {
        let shared = (0..shape.shared).map(|number| {
            let size = 1_000 + self.random.below(64 << 20);
            named(&format!("{:06}.sst", 10 + number), self.shared(size))
        });
        let shared: LocalFiles<'_> = shared.collect();
        let manifest = 3_000 + self.random.below(9_000);
        let private = LocalFiles::from(vec![
            named("MANIFEST-000004", self.exclusive(manifest)),
            named("OPTIONS-000010", self.exclusive(36_000)),
            named("CURRENT", self.exclusive(16)),
        ]);
        let extra = IncrementalExtra {
            checkpointed_size: shared.state_size() + private.state_size(),
            state_handle_id: JavaStr::from(self.random.uuid().as_str()),
        };
        KeyedHandle::Incremental(Box::new(Incremental {
            checkpoint_id: self.id,
            backend_id: JavaStr::from(self.random.uuid().as_str()),
            range,
            meta: self.exclusive(1_500),
            shared,
            private,
            extra: Some(extra),
        }))
    }

    fn shared(&mut self, size: u32) -> StreamHandle<'static> {
        let path = self.shared.join(self.random.uuid());
        self.file(path, size)
    }

    fn exclusive(&mut self, size: u32) -> StreamHandle<'static> {
        let path = self.exclusive.join(self.random.uuid());
        self.file(path, size)
    }

    fn file(&mut self, path: PathBuf, size: u32) -> StreamHandle<'static> {
        let handle = StreamHandle::File { size: size.into(), path: JavaStr::from(uri(&path).as_str()) };
        let size = size.into();
        self.files.push(StateFile { path, size });
        handle
    }
}

fn named(local_path: &str, stream: StreamHandle<'static>) -> LocalFile<'static> {
    LocalFile { local_path: JavaStr::from(local_path), stream }
}

/// SplitMix64: the same numbers on every machine and in every run.
pub struct Random(u64);

impl Random {
    /// A sequence of its own for each name.
    pub fn of(name: &Path) -> Self {
        let bytes = name.as_os_str().as_encoded_bytes();
        // FNV-1a, which spreads names that differ in one digit well enough for a seed.
        let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        Random(bytes.iter().fold(0xcbf2_9ce4_8422_2325, mix))
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below a bound.
    pub fn below(&mut self, bound: u32) -> u32 {
        u32::try_from(self.next() % u64::from(bound)).expect("less than the bound")
    }

    /// A name as Flink gives to state files.
    pub fn uuid(&mut self) -> String {
        let (high, low) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xffff,
            low >> 48,
            low & 0xffff_ffff_ffff
        )
    }

    /// A name as Flink gives to jobs.
    pub fn job_id(&mut self) -> String {
        format!("{:016x}{:016x}", self.next(), self.next())
    }
}
