//! A snapshot of Flink 1.20 with state files that have content, for `verify --deep`.

use crate::generate::PROPERTIES;
use chkctl::format::{self, Version};
use chkctl::model::handle::{Incremental, LocalFile};
use chkctl::model::{
    KeyGroupRange, KeyedHandle, LocalFiles, Metadata, OperatorId, OperatorState, StreamHandle, Subtask, SubtaskState,
    Subtasks,
};
use chkctl::state::{KeyedHeader, SerializerSnapshot};
use chkctl::wire::JavaStr;
use std::borrow::Cow;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Key groups of the operator.
pub const MAX_PARALLELISM: u16 = 128;

/// A snapshot: its directory, and the state files in it.
pub struct Snapshot {
    dir: PathBuf,
    /// What is measured: the large files.
    pub files: Vec<PathBuf>,
}

impl Snapshot {
    /// An empty one below a directory.
    pub fn new(root: &Path, name: &str) -> Self {
        let dir = root.join(name).join("00000000000000000000000000000001").join("chk-1");
        fs::create_dir_all(&dir).expect("a new directory");
        Snapshot { dir, files: Vec::new() }
    }

    /// Where its files are.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Starts a state file.
    pub fn create(&mut self, name: &str) -> BufWriter<File> {
        let path = self.dir.join(name);
        let file = File::create(&path).expect("a new state file");
        self.files.push(path);
        BufWriter::with_capacity(1 << 20, file)
    }

    /// The handle of a file that is written.
    pub fn handle(&self, name: &str) -> StreamHandle<'static> {
        let path = self.dir.join(name);
        let size = path.metadata().expect("a state file").len();
        StreamHandle::File {
            size: size.try_into().expect("a size"),
            path: JavaStr::from(format!("file:{}", path.display()).as_str()),
        }
    }

    /// The handle of a database whose files are here already, by their paths in the directory.
    pub fn database(&self, range: KeyGroupRange, files: &[String]) -> KeyedHandle<'static> {
        let mut meta = Vec::new();
        KeyedHeader::new(SerializerSnapshot::string(), Vec::new()).write(&mut meta).expect("a head");
        fs::write(self.dir.join("meta"), meta).expect("a new file");
        let local = |name: &String| {
            let local_path = name.rsplit('/').next().unwrap_or(name);
            LocalFile { local_path: JavaStr::from(local_path), stream: self.handle(name) }
        };
        let (shared, private): (Vec<_>, Vec<_>) = files.iter().partition(|name| name.ends_with(".sst"));
        KeyedHandle::Incremental(Box::new(Incremental {
            checkpoint_id: 1,
            backend_id: JavaStr::from("00000000-0000-0000-0000-000000000001"),
            range,
            meta: self.handle("meta"),
            shared: shared.into_iter().map(local).collect::<LocalFiles<'_>>(),
            private: private.into_iter().map(local).collect::<LocalFiles<'_>>(),
            extra: None,
        }))
    }

    /// Writes the `_metadata`, of one operator with these subtasks.
    pub fn finish(&self, subtasks: Vec<SubtaskState<'static>>) {
        let parallelism = i32::try_from(subtasks.len()).expect("a few");
        let subtasks = (0..).zip(subtasks);
        let subtasks = subtasks.map(|(index, state)| Subtask { index, finished: false, state: Some(Box::new(state)) });
        let operator = OperatorState {
            name: JavaStr::default(),
            uid: JavaStr::default(),
            id: OperatorId([7; 16]),
            parallelism,
            max_parallelism: MAX_PARALLELISM.into(),
            chain_length: 1,
            coordinator: None,
            subtasks: Subtasks::Some(subtasks.collect()),
        };
        let metadata = Metadata {
            version: Version::V4,
            checkpoint_id: 1,
            master_states: Vec::new(),
            operators: vec![operator],
            properties: Some(Cow::Borrowed(PROPERTIES)),
            trailing: Cow::Borrowed(&[]),
        };
        let bytes = format::encode(&metadata).expect("a model that version 4 has room for");
        fs::write(self.dir.join("_metadata"), bytes).expect("a new _metadata");
    }

    /// Bytes of all large files.
    pub fn size(&self) -> u64 {
        self.files.iter().map(|file| file.metadata().expect("a state file").len()).sum()
    }

    /// `chkctl verify --deep` of it, which finds nothing.
    pub fn verify(&self) -> Command {
        let mut command = crate::measure::chkctl(&["verify", "--deep"]);
        let seen = command.arg(&self.dir).output().expect("chkctl");
        assert!(
            seen.status.success(),
            "{}{}",
            String::from_utf8_lossy(&seen.stdout),
            String::from_utf8_lossy(&seen.stderr)
        );
        let mut command = crate::measure::chkctl(&["verify", "--deep", "--quiet"]);
        command.arg(&self.dir);
        command
    }
}

/// A subtask that has keyed state alone.
pub fn keyed(handle: KeyedHandle<'static>) -> SubtaskState<'static> {
    SubtaskState { managed_keyed: Some(Box::new(handle)), ..SubtaskState::default() }
}

/// All key groups of a subtask.
pub fn range(parallelism: usize, index: usize) -> KeyGroupRange {
    let number = |number: usize| i32::try_from(number).expect("a few");
    KeyGroupRange::of_subtask(MAX_PARALLELISM.into(), number(parallelism), number(index)).expect("a subtask")
}
