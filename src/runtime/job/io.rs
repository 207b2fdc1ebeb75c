//! The thread that writes `_metadata` files and removes checkpoints, so that the job does not wait for storage.

use crate::model::Location;
use crate::runtime::checkpoint;
use crate::storage::{StorageError, WriteStorage};
use crossbeam_channel::{Receiver, Sender};
use std::sync::Arc;
use std::thread::JoinHandle;

/// What the thread has done.
pub(crate) struct Completion {
    /// The checkpoint whose `_metadata` was to be written.
    pub id: i64,
    /// Whether it is there; then, how large it is in bytes.
    pub result: Result<usize, StorageError>,
}

type Work = Box<dyn FnOnce() + Send>;

/// Does one thing after the other.
pub(crate) struct CheckpointIo {
    storage: Arc<dyn WriteStorage>,
    work: Option<Sender<Work>>,
    report: Sender<Completion>,
    /// What was done.
    pub completions: Receiver<Completion>,
    thread: Option<JoinHandle<()>>,
}

impl CheckpointIo {
    /// Starts the thread.
    pub fn start(storage: Arc<dyn WriteStorage>) -> std::io::Result<Self> {
        let (work, queue) = crossbeam_channel::unbounded::<Work>();
        let (report, completions) = crossbeam_channel::unbounded();
        let thread = std::thread::Builder::new().name("checkpoint io".to_owned());
        let thread = Some(thread.spawn(move || queue.into_iter().for_each(|work| work()))?);
        Ok(CheckpointIo { storage, work: Some(work), report, completions, thread })
    }

    fn run(&self, work: impl FnOnce(&dyn WriteStorage) + Send + 'static) {
        let storage = self.storage.clone();
        // The thread ends with this value, not before.
        let _ = self.work.as_ref().map(|queue| queue.send(Box::new(move || work(storage.as_ref()))));
    }

    /// Publishes a `_metadata`.
    pub fn complete(&self, id: i64, directory: Location, metadata: Vec<u8>) {
        let report = self.report.clone();
        self.run(move |storage| {
            let result = checkpoint::complete(storage, &directory, &metadata).map(|()| metadata.len());
            let _ = report.send(Completion { id, result });
        });
    }

    /// Removes a checkpoint. What cannot be removed stays, and harms nobody.
    pub fn remove(&self, directory: Location) {
        self.run(move |storage| {
            if let Err(error) = checkpoint::remove(storage, &directory) {
                log::debug!("Could not remove all of checkpoint {directory}: {error}");
            }
        });
    }

    /// Removes the directories of a job that has no checkpoints left, where they are empty.
    pub fn remove_job(&self, directory: Location) {
        self.run(move |storage| {
            for part in ["/shared", "/taskowned", ""] {
                let _ = storage.delete_empty_dir(&directory.with_suffix(part));
            }
        });
    }
}

impl Drop for CheckpointIo {
    fn drop(&mut self) {
        self.work = None;
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
