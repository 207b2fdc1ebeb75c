//! Jobs with a history: many retained checkpoints, each of which shares files with those before it, and files that none of
//! them refers to any more.
//!
//! Checkpoint `c` of a subtask refers to a window of its shared files, which moves on by [`NEW`] from one to the next. Files
//! have the size that their handles say and no content.

use crate::generate::{PROPERTIES, Random};
use chkctl::format::{self, Version};
use chkctl::model::handle::{Incremental, LocalFile, OperatorStateInfo};
use chkctl::model::{
    DistributionMode, KeyGroupRange, KeyedHandle, LocalFiles, Metadata, OperatorHandle, OperatorId, OperatorSlot,
    OperatorState, StreamHandle, Subtask, SubtaskState, Subtasks,
};
use chkctl::wire::JavaStr;
use std::borrow::Cow;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

/// Jobs.
pub const JOBS: u64 = 20;
/// Checkpoints of each.
pub const CHECKPOINTS: u64 = 100;
/// Subtasks of each.
const SUBTASKS: u64 = 25;
/// Shared files that a subtask refers to.
const WINDOW: u64 = 20;
/// Those of them that are new.
const NEW: u64 = 14;
/// Files of a subtask beside the shared ones.
const EXCLUSIVE: u64 = 5;
/// Files in `shared` of each job that no checkpoint refers to.
const ORPHANS: u64 = 2_250;

/// All files.
pub const FILES: u64 =
    JOBS * (SUBTASKS * (WINDOW + (CHECKPOINTS - 1) * NEW) + CHECKPOINTS * (SUBTASKS * EXCLUSIVE + 1) + ORPHANS);
/// References of all checkpoints together.
pub const REFERENCES: u64 = JOBS * CHECKPOINTS * SUBTASKS * (WINDOW + EXCLUSIVE);

/// What goes when the newest checkpoints of each job stay: snapshots, orphans, files.
pub fn going(kept: u64) -> (u64, u64, u64) {
    let gone = CHECKPOINTS - kept;
    let files = SUBTASKS * gone * NEW + gone * (SUBTASKS * EXCLUSIVE + 1) + ORPHANS;
    (JOBS * gone, JOBS * ORPHANS, JOBS * files)
}

/// The tree, which is made once and kept.
pub fn tree() -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-history");
    let done = root.join("done");
    let root = root.join("checkpoints");
    if done.exists() {
        return root;
    }
    eprintln!("making {} checkpoints of {JOBS} jobs, {FILES} files ...", JOBS * CHECKPOINTS);
    if root.exists() {
        fs::remove_dir_all(&root).expect("an unfinished tree goes");
    }
    let start = SystemTime::now() - Duration::from_secs(30 * 24 * 3_600);
    thread::scope(|scope| {
        for half in 0..2 {
            let root = &root;
            scope.spawn(move || {
                (0..JOBS).filter(|job| job % 2 == half).for_each(|job| Job::new(root, job).write(start))
            });
        }
    });
    fs::write(done, "").expect("a note that the tree is done");
    root
}

/// A job that is made up.
struct Job {
    dir: PathBuf,
    random: Random,
    operator: OperatorId,
    time: SystemTime,
}

impl Job {
    fn new(root: &Path, number: u64) -> Self {
        let mut random = Random::of(Path::new(&format!("history {number}")));
        let id = u128::from(random.next()) << 64 | u128::from(random.next());
        let dir = root.join(random.job_id());
        Job { dir, random, operator: OperatorId(id.to_be_bytes()), time: SystemTime::now() }
    }

    /// Writes all checkpoints, a minute between them.
    fn write(&mut self, start: SystemTime) {
        for dir in ["shared", "taskowned"] {
            fs::create_dir_all(self.dir.join(dir)).expect("a new directory");
        }
        self.time = start;
        let mut windows: Vec<Vec<LocalFile<'static>>> = (0..SUBTASKS).map(|_| Vec::new()).collect();
        for checkpoint in 1..=CHECKPOINTS {
            let dir = self.dir.join(format!("chk-{checkpoint}"));
            fs::create_dir_all(&dir).expect("a new directory");
            let subtasks = windows.iter_mut().zip(0..).map(|(window, index)| {
                let seen = if window.is_empty() { 0 } else { NEW.try_into().expect("a few") };
                window.drain(..seen);
                while (window.len() as u64) < WINDOW {
                    let name = format!("{:06}.sst", checkpoint * NEW + window.len() as u64);
                    window.push(self.local(&name, "shared", 64 << 20));
                }
                self.subtask(index, checkpoint, window)
            });
            let subtasks = subtasks.collect();
            let bytes =
                format::encode(&self.metadata(checkpoint, subtasks)).expect("a model that version 4 has room for");
            let file = dir.join("_metadata");
            fs::write(&file, bytes).expect("a new _metadata");
            let file = File::options().append(true).open(file);
            file.and_then(|file| file.set_modified(self.time)).expect("a time for the _metadata");
            (0..ORPHANS / CHECKPOINTS + u64::from(checkpoint <= ORPHANS % CHECKPOINTS)).for_each(|_| {
                self.file("shared", 64 << 20);
            });
            self.time += Duration::from_secs(60);
        }
    }

    fn metadata(&self, checkpoint: u64, subtasks: Vec<Subtask<'static>>) -> Metadata<'static> {
        let operator = OperatorState {
            name: JavaStr::default(),
            uid: JavaStr::default(),
            id: self.operator,
            parallelism: SUBTASKS.try_into().expect("a few"),
            max_parallelism: 128,
            chain_length: 1,
            coordinator: None,
            subtasks: Subtasks::Some(subtasks),
        };
        Metadata {
            version: Version::V4,
            checkpoint_id: checkpoint.try_into().expect("a few"),
            master_states: Vec::new(),
            operators: vec![operator],
            properties: Some(Cow::Borrowed(PROPERTIES)),
            trailing: Cow::Borrowed(&[]),
        }
    }

    fn subtask(&mut self, index: i32, checkpoint: u64, window: &[LocalFile<'static>]) -> Subtask<'static> {
        let own = format!("chk-{checkpoint}");
        let list = OperatorStateInfo {
            name: JavaStr::from("list"),
            mode: DistributionMode::SplitDistribute,
            offsets: vec![80, 180, 280],
        };
        let operator = OperatorHandle { states: vec![list], merging: None, stream: self.file(&own, 400) };
        let private = ["MANIFEST-000004", "OPTIONS-000010", "CURRENT"].map(|name| self.local(name, &own, 40_000));
        let subtasks = SUBTASKS.try_into().expect("a few");
        let keyed = Incremental {
            checkpoint_id: checkpoint.try_into().expect("a few"),
            backend_id: JavaStr::from(self.random.uuid().as_str()),
            range: KeyGroupRange::of_subtask(128, subtasks, index).expect("no more subtasks than key groups"),
            meta: self.file(&own, 1_500),
            shared: window.iter().cloned().collect::<LocalFiles<'_>>(),
            private: LocalFiles::from(private.to_vec()),
            extra: None,
        };
        let state = SubtaskState {
            managed_operator: OperatorSlot { presence: 1, handle: Some(Box::new(operator)) },
            managed_keyed: Some(Box::new(KeyedHandle::Incremental(Box::new(keyed)))),
            ..SubtaskState::default()
        };
        Subtask { index, finished: false, state: Some(Box::new(state)) }
    }

    fn local(&mut self, name: &str, dir: &str, most: u32) -> LocalFile<'static> {
        LocalFile { local_path: JavaStr::from(name), stream: self.file(dir, most) }
    }

    /// Makes a state file of a random size.
    fn file(&mut self, dir: &str, most: u32) -> StreamHandle<'static> {
        let size = 300 + self.random.below(most);
        let path = self.dir.join(dir).join(self.random.uuid());
        let made = File::create_new(&path).and_then(|file| {
            file.set_len(size.into())?;
            file.set_modified(self.time)
        });
        made.expect("a new state file");
        StreamHandle::File { size: size.into(), path: JavaStr::from(format!("file:{}", path.display()).as_str()) }
    }
}
