//! Snapshots with state files that are made by hand, and a look at them with bounds on time and memory.

use chkctl::format::{self, Version};
use chkctl::model::handle::{Incremental, KeyGroups, KeyGroupsKind, LocalFile};
use chkctl::model::{
    KeyGroupRange, KeyedHandle, LocalFiles, Metadata, OperatorId, OperatorState, StreamHandle, Subtask, SubtaskState,
    Subtasks,
};
use chkctl::state::{KeyedHeader, SerializerSnapshot};
use chkctl::wire::JavaStr;
use serde_json::Value;
use std::borrow::Cow;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The most memory of the process.
const MEMORY: u64 = 256 << 20;
/// Time enough for an unoptimised binary on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// What `--max-duration` is given for what is endless.
const LIMIT: &str = "2s";
/// How much later than that it may end.
const LATE: Duration = Duration::from_secs(30);

/// What is asked of a look at a snapshot.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// A finding, and exit code 1 or 5.
    Finding,
    /// An end.
    End,
    /// To be stopped by `--max-duration`.
    Timeout,
}

/// A snapshot in a directory.
pub struct Made {
    dir: PathBuf,
}

/// A part of a subtask's state that has no state.
pub fn no_state() -> SubtaskState<'static> {
    SubtaskState::default()
}

/// A subtask with keyed state alone.
pub fn keyed(handle: KeyedHandle<'static>) -> SubtaskState<'static> {
    SubtaskState { managed_keyed: Some(Box::new(handle)), ..no_state() }
}

/// The directory of the snapshot below a root.
pub fn exclusive(root: &Path) -> PathBuf {
    let dir = root.join("00000000000000000000000000000001").join("chk-1");
    fs::create_dir_all(&dir).expect("a directory");
    dir
}

/// Writes a state file.
pub fn write(root: &Path, name: &str, bytes: &[u8]) -> StreamHandle<'static> {
    fs::write(exclusive(root).join(name), bytes).expect("a state file");
    handle(root, name, bytes.len() as u64)
}

/// Writes a state file that is of zeros behind its first bytes, and takes no room.
pub fn sparse(root: &Path, name: &str, head: &[u8], size: u64) -> StreamHandle<'static> {
    let handle = write(root, name, head);
    let file = File::options().write(true).open(exclusive(root).join(name));
    file.and_then(|file| file.set_len(size)).expect("a sparse file");
    match handle {
        StreamHandle::File { path, .. } => StreamHandle::File { size: size as i64, path },
        other => other,
    }
}

/// The handle of a file of this size.
pub fn handle(root: &Path, name: &str, size: u64) -> StreamHandle<'static> {
    let path = exclusive(root).join(name);
    StreamHandle::File { size: size as i64, path: JavaStr::from(format!("file:{}", path.display()).as_str()) }
}

/// Keyed state in a stream, with these offsets.
pub fn key_groups(stream: StreamHandle<'static>, offsets: Vec<i64>, savepoint: bool) -> KeyedHandle<'static> {
    let kind = match savepoint {
        true => KeyGroupsKind::Savepoint,
        false => KeyGroupsKind::WithId(JavaStr::from("an id")),
    };
    let range = KeyGroupRange { start: 0, count: i32::try_from(offsets.len()).expect("a few") };
    KeyedHandle::KeyGroups(KeyGroups { kind, range, offsets, stream })
}

/// The head of keyed state with states of no kind.
pub fn empty_head() -> Vec<u8> {
    let mut out = Vec::new();
    KeyedHeader::new(SerializerSnapshot::string(), Vec::new()).write(&mut out).expect("a head");
    out
}

/// A database of these files, by their names in it.
pub fn database(root: &Path, files: Vec<(&str, StreamHandle<'static>)>) -> Made {
    let local = |(name, stream): (&str, StreamHandle<'static>)| LocalFile { local_path: JavaStr::from(name), stream };
    let (shared, private): (Vec<_>, Vec<_>) = files.into_iter().partition(|(name, _)| name.ends_with(".sst"));
    let handle = KeyedHandle::Incremental(Box::new(Incremental {
        checkpoint_id: 1,
        backend_id: JavaStr::from("00000000-0000-0000-0000-000000000001"),
        range: KeyGroupRange { start: 0, count: 1 },
        meta: write(root, "meta", &empty_head()),
        shared: shared.into_iter().map(local).collect::<LocalFiles<'_>>(),
        private: private.into_iter().map(local).collect::<LocalFiles<'_>>(),
        extra: None,
    }));
    Made::new(root, 1, keyed(handle))
}

impl Made {
    /// A snapshot of one operator with one subtask.
    pub fn new(root: &Path, max_parallelism: i32, state: SubtaskState<'static>) -> Self {
        let operator = OperatorState {
            name: JavaStr::default(),
            uid: JavaStr::default(),
            id: OperatorId([7; 16]),
            parallelism: 1,
            max_parallelism,
            chain_length: 1,
            coordinator: None,
            subtasks: Subtasks::Some(vec![Subtask { index: 0, finished: false, state: Some(Box::new(state)) }]),
        };
        let metadata = Metadata {
            version: Version::V3,
            checkpoint_id: 1,
            master_states: Vec::new(),
            operators: vec![operator],
            properties: None,
            trailing: Cow::Borrowed(&[]),
        };
        let dir = exclusive(root);
        fs::write(dir.join("_metadata"), format::encode(&metadata).expect("a model")).expect("a _metadata");
        Made { dir }
    }

    /// Runs `verify --deep` and says what is not as it has to be.
    pub fn verify(&self, name: &str, wanted: Wanted) -> Result<(), String> {
        let mut command = super::super::support::command();
        command.args(["verify", "--deep", "--json"]).arg(&self.dir);
        if wanted == Wanted::Timeout {
            command.args(["--max-duration", LIMIT]);
        }
        let ended = Ended::of(&mut command)?;
        if ended.stderr.contains("panicked") {
            return Err(ended.stderr);
        }
        let report: Value = serde_json::from_str(&ended.stdout)
            .map_err(|error| format!("{error}, exit code {:?}: {}{}", ended.code, ended.stdout, ended.stderr))?;
        let findings = report["snapshots"][0]["findings"].as_array().cloned().unwrap_or_default();
        let codes: Vec<&str> = findings.iter().filter_map(|finding| finding["code"].as_str()).collect();
        eprintln!(
            "{name}: {:?}, {:.1} s, {} MiB, {codes:?} {}",
            ended.code,
            ended.took.as_secs_f64(),
            ended.peak >> 20,
            findings.first().and_then(|finding| finding["message"].as_str()).unwrap_or_default()
        );
        let right = match wanted {
            Wanted::Finding => matches!(ended.code, Some(1 | 5)) && !codes.is_empty(),
            Wanted::End => matches!(ended.code, Some(0 | 1 | 5)),
            Wanted::Timeout => ended.code == Some(5) && codes.contains(&"not-all-read") && ended.took < LATE,
        };
        if !right {
            return Err(format!("exit code {:?} after {:?}, {codes:?}", ended.code, ended.took));
        }
        if ended.peak > MEMORY {
            return Err(format!("{} MiB", ended.peak >> 20));
        }
        Ok(())
    }
}

/// How a process ended.
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
    peak: u64,
    took: Duration,
}

impl Ended {
    /// Runs a process, watches its memory, and ends it when it takes too long or too much.
    fn of(command: &mut Command) -> Result<Self, String> {
        let start = Instant::now();
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.expect("the binary runs");
        let collect = |pipe: Option<Box<dyn Read + Send>>| {
            thread::spawn(move || {
                let mut text = String::new();
                pipe.map(|mut pipe| pipe.read_to_string(&mut text)).transpose().map(|_| text)
            })
        };
        let stdout = collect(child.stdout.take().map(|pipe| Box::new(pipe) as _));
        let stderr = collect(child.stderr.take().map(|pipe| Box::new(pipe) as _));
        let mut peak = 0;
        let status = loop {
            peak = peak.max(peak_of(child.id()));
            if let Some(status) = child.try_wait().expect("a child to wait for") {
                break status;
            }
            let took = start.elapsed();
            if took > PATIENCE || peak > 4 * MEMORY {
                child.kill().and_then(|()| child.wait()).expect("a child to end");
                return Err(format!("it was ended after {took:?} and {} MiB", peak >> 20));
            }
            thread::sleep(Duration::from_millis(1));
        };
        let took = start.elapsed();
        let text = |pipe: thread::JoinHandle<std::io::Result<String>>| pipe.join().expect("no panic").expect("UTF-8");
        Ok(Ended { code: status.code(), stdout: text(stdout), stderr: text(stderr), peak, took })
    }
}

/// The most memory that a process had so far; 0 where the system does not say.
fn peak_of(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse::<u64>().ok());
    number.unwrap_or(0) * 1024
}
