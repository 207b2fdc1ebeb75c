//! What high availability would start jobs from: pointers to completed checkpoints, in the directory
//! `high-availability.storageDir/CLUSTER-ID`, in ZooKeeper, or in a dump of Kubernetes' ConfigMaps.
//!
//! Of a job the checkpoint with the greatest id is what it starts from, and a pointer that cannot be followed keeps it from
//! starting at all (`DefaultCompletedCheckpointStoreUtils`). In the directory alone are the checkpoints but not the pointers: a
//! file that Flink failed to remove looks as one that counts.

mod config_map;
#[cfg(feature = "zookeeper")]
mod zookeeper;

use super::pointer::{self, Completed, HEAD};
use super::{ClusterError, Held, InUse, RunningJob, Told};
use crate::model::Location;
use crate::storage::{EntryKind, Storage, StorageErrorKind};
use std::collections::BTreeMap;

/// What files of completed checkpoints begin with (`HA_STORAGE_COMPLETED_CHECKPOINT`, `COMPLETED_CHECKPOINT_FILE_SUFFIX`).
const COMPLETED_FILE: &str = "completedCheckpoint";

/// What else is in such a directory, by the beginnings of names.
const OTHER_FILES: [&str; 4] = ["submittedJobGraph", "submittedExecutionPlan", "blob", "job-result-store"];

/// A dump of ConfigMaps is no longer than this: one holds at most 1 MiB.
const LONGEST_DUMP: u64 = 64 << 20;

/// Pointers come and go while a job runs; so often they are looked at again.
const LOOKS: usize = 5;

/// A pointer to a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer {
    /// Where it was found: a file, a node of ZooKeeper's, a key of a ConfigMap.
    pub found: String,
    /// The job, where it is known without following the pointer.
    pub job: Option<String>,
    /// The id of the checkpoint, likewise.
    pub id: Option<u64>,
    /// Whether it is about to be removed, and counts no more.
    pub marked: bool,
    /// What it leads to.
    pub checkpoint: Result<Completed, Lost>,
}

/// Why a pointer cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// Whether that is certain: nothing is there, or not what should be.
    pub certain: bool,
    /// Why.
    pub why: String,
}

/// What was read of one high availability.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ha {
    /// What was read.
    pub place: String,
    /// The pointers, by job and then the greatest id first.
    pub pointers: Vec<Pointer>,
}

/// Reads with maps applied: a storage, and where a place of Flink's is in it.
pub struct Reach<'s> {
    /// Where files are.
    pub storage: &'s dyn Storage,
    /// Where to read what Flink calls a place.
    pub here: &'s dyn Fn(&Location) -> Location,
}

impl Ha {
    /// Reads a directory of high availability, one of its files, or a dump of ConfigMaps.
    pub fn read(place: &Location, reach: &Reach<'_>) -> Result<Self, ClusterError> {
        let asked = place.to_string();
        let refuse = |why: String| ClusterError::new(&asked, why);
        let stat = reach.storage.stat(place).map_err(|error| refuse(error.message))?;
        let pointers = match stat.kind {
            EntryKind::Directory => reach.directory(place).map_err(refuse)?,
            _ if place.name().starts_with(COMPLETED_FILE) => vec![reach.file(place)],
            _ => {
                let text = reach.storage.read(place, LONGEST_DUMP).map_err(|error| refuse(error.message))?;
                config_map::pointers(&text, reach).map_err(refuse)?
            }
        };
        Ok(Ha::new(asked, pointers))
    }

    /// Reads ZooKeeper: `zookeeper://HOST:PORT[,HOST:PORT…]/ROOT/CLUSTER-ID`.
    #[cfg(feature = "zookeeper")]
    pub fn ask(address: &str, reach: &Reach<'_>, deadline: std::time::Duration) -> Result<Self, ClusterError> {
        let refuse = |why: String| ClusterError::new(address, why);
        let pointers = zookeeper::pointers(address, reach, deadline).map_err(refuse)?;
        Ok(Ha::new(address.to_owned(), pointers))
    }

    /// ZooKeeper was left out when this was built.
    #[cfg(not(feature = "zookeeper"))]
    pub fn ask(address: &str, _: &Reach<'_>, _: std::time::Duration) -> Result<Self, ClusterError> {
        Err(ClusterError::new(address, "chkctl was built without ZooKeeper (the feature zookeeper)"))
    }

    fn new(place: String, mut pointers: Vec<Pointer>) -> Self {
        pointers.sort_by(|a, b| (a.job(), b.id(), &a.found).cmp(&(b.job(), a.id(), &b.found)));
        Ha { place, pointers }
    }

    /// What is in use: every checkpoint that a pointer leads to. A pointer that cannot be followed may lead to any.
    pub fn in_use(&self) -> Result<InUse, ClusterError> {
        let mut found = InUse::default();
        let mut jobs: BTreeMap<&str, Vec<&Completed>> = BTreeMap::new();
        for pointer in &self.pointers {
            match &pointer.checkpoint {
                Ok(completed) => {
                    jobs.entry(&completed.job).or_default().push(completed);
                    found.snapshots.extend(completed.place.clone().map(|place| Held {
                        place,
                        why: format!(
                            "high availability points to it as checkpoint {} of job {}",
                            completed.id, completed.job
                        ),
                    }));
                }
                // One that is about to be removed may have gone in part, and counts no more.
                Err(_) if pointer.marked => {}
                Err(lost) => {
                    let why = format!("a pointer to a checkpoint cannot be followed: {}", lost.why);
                    return Err(ClusterError::new(&pointer.found, why));
                }
            }
        }
        for (job, mut checkpoints) in jobs {
            checkpoints.sort_by_key(|completed| std::cmp::Reverse(completed.id));
            let told = |completed: &&Completed| Told {
                id: completed.id,
                place: completed.place.clone(),
                triggered: Some(completed.triggered),
            };
            found.jobs.push(RunningJob {
                id: job.to_owned(),
                name: String::new(),
                state: "kept by high availability".to_owned(),
                told_by: self.place.clone(),
                latest: checkpoints.first().map(told),
                savepoint: None,
                restored: None,
                retained: checkpoints.iter().map(told).collect(),
                in_progress: Vec::new(),
                config: None,
            });
        }
        Ok(found)
    }

    /// For each job the pointer that it would start from, and all others of it.
    pub fn by_job(&self) -> Vec<(&str, Vec<&Pointer>)> {
        let mut jobs: BTreeMap<&str, Vec<&Pointer>> = BTreeMap::new();
        for pointer in &self.pointers {
            jobs.entry(pointer.job().unwrap_or_default()).or_default().push(pointer);
        }
        jobs.into_iter().collect()
    }
}

impl Pointer {
    /// The job.
    pub fn job(&self) -> Option<&str> {
        self.checkpoint.as_ref().map_or(self.job.as_deref(), |completed| Some(&completed.job))
    }

    /// The id of the checkpoint.
    pub fn id(&self) -> Option<u64> {
        self.checkpoint.as_ref().map_or(self.id, |completed| Some(completed.id))
    }
}

impl Reach<'_> {
    /// The completed checkpoints in a directory, or in the directories in it.
    fn directory(&self, dir: &Location) -> Result<Vec<Pointer>, String> {
        let mut last = Vec::new();
        for _ in 0..LOOKS {
            let (files, others) = self.files(dir)?;
            if files.is_empty() && !others {
                return Err("nothing in it is of Flink's high availability".to_owned());
            }
            last = files.iter().map(|file| self.file(file)).collect();
            // One that has gone since it was listed was subsumed, and does not count.
            let gone = |pointer: &Pointer| pointer.checkpoint.as_ref().is_err_and(|lost| lost.certain);
            if !last.iter().any(gone) {
                break;
            }
        }
        Ok(last)
    }

    fn files(&self, dir: &Location) -> Result<(Vec<Location>, bool), String> {
        let mut found = Vec::new();
        let mut others = false;
        let mut pending = vec![(dir.clone(), true)];
        while let Some((dir, deeper)) = pending.pop() {
            let entries = match self.storage.list(&dir) {
                Ok(entries) => entries,
                Err(error) => return Err(format!("{dir}: {}", error.message)),
            };
            for entry in entries {
                let place = dir.with_suffix(&format!("/{}", entry.name));
                others |= OTHER_FILES.iter().any(|name| entry.name.starts_with(name));
                match entry.kind {
                    EntryKind::Directory if deeper => pending.push((place, false)),
                    EntryKind::Directory => {}
                    _ if entry.name.starts_with(COMPLETED_FILE) => found.push(place),
                    _ => {}
                }
            }
        }
        found.sort();
        Ok((found, others))
    }

    /// What is in a file of a completed checkpoint, at a place here.
    fn file(&self, file: &Location) -> Pointer {
        let checkpoint = self.completed(file);
        Pointer { found: file.to_string(), job: None, id: None, marked: false, checkpoint }
    }

    fn completed(&self, file: &Location) -> Result<Completed, Lost> {
        match self.storage.read_range(file, 0, HEAD) {
            Ok(bytes) => pointer::completed(&bytes)
                .map_err(|why| Lost { certain: true, why: format!("{file} holds no checkpoint: {why}") }),
            Err(error) => Err(Lost {
                certain: error.kind == StorageErrorKind::NotFound,
                why: format!("{file}: {}", error.message),
            }),
        }
    }

    /// Follows a handle to its file.
    fn follow(&self, found: String, job: Option<String>, id: Option<u64>, handle: &[u8]) -> Pointer {
        let (marked, checkpoint) = match pointer::handle(handle) {
            Ok(handle) => (handle.marked, self.completed(&(self.here)(&handle.file))),
            Err(why) => (false, Err(Lost { certain: true, why: format!("it is no handle of Flink's: {why}") })),
        };
        let checkpoint = checkpoint.and_then(|completed| {
            let wrong =
                id.is_some_and(|id| id != completed.id) || job.as_ref().is_some_and(|job| *job != completed.job);
            if wrong {
                let why = format!("it leads to checkpoint {} of job {}", completed.id, completed.job);
                return Err(Lost { certain: true, why });
            }
            Ok(completed)
        });
        Pointer { found, job, id, marked, checkpoint }
    }
}
