//! A sink to files that commits with the checkpoint (two-phase commit), so that every record is written exactly once.
//!
//! Each subtask writes to a hidden file. A barrier ends the file: it is synced, and its name becomes part of the
//! checkpoint. When the checkpoint is complete, the file gets its final name. A job that is restored gives files of its
//! checkpoint their names, if that had not happened, and removes hidden files that belong to no checkpoint.

use crate::model::Location;
use crate::runtime::backend::OperatorStateBackend;
use crate::runtime::control::Control;
use crate::runtime::graph::OperatorContext;
use crate::runtime::record::{Flow, Output};
use crate::runtime::snapshot::TaskSnapshot;
use crate::storage::{FileWriter, LocalStorage, StorageError, StorageErrorKind, WriteStorage};
use crossbeam_channel::{Receiver, Sender};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Writes records to files below a directory, with parts for each subtask and checkpoint: `part-…`. Files whose names
/// begin with a dot are not committed. A directory belongs to the sinks of one job.
pub struct FileSink<T> {
    directory: Location,
    format: Arc<Format<T>>,
    storage: Arc<dyn WriteStorage>,
}

type Format<T> = dyn Fn(&T, &mut Vec<u8>) + Send + Sync;

impl<T> Clone for FileSink<T> {
    fn clone(&self) -> Self {
        FileSink { directory: self.directory.clone(), format: self.format.clone(), storage: self.storage.clone() }
    }
}

impl<T> FileSink<T> {
    /// A sink to a local directory, which is created. `format` appends a record to the bytes of the file.
    pub fn new(directory: Location, format: impl Fn(&T, &mut Vec<u8>) + Send + Sync + 'static) -> Self {
        FileSink { directory, format: Arc::new(format), storage: Arc::new(LocalStorage) }
    }

    /// Writes to another store.
    pub fn storage(self, storage: Arc<dyn WriteStorage>) -> Self {
        FileSink { storage, ..self }
    }
}

impl<T: super::Text> FileSink<T> {
    /// A sink that writes one line per record, as `print` does.
    pub fn lines(directory: Location) -> Self {
        FileSink::new(directory, |value: &T, out| {
            let mut line = String::new();
            value.text(&mut line);
            out.extend_from_slice(line.as_bytes());
            out.push(b'\n');
        })
    }
}

/// The state of the sink: files that are whole but may not have their final names yet.
const PENDING: &str = "pending-files";

/// How much is collected before it is written.
const BUFFER: usize = 128 * 1024;

/// A file of a checkpoint: its hidden name and its final one.
type Part = (String, String);

/// How a commit ended: the final names, or what failed.
type Commit = Result<Vec<String>, StorageError>;

/// Runs a [`FileSink`].
pub(crate) struct FileSinkOperator<T> {
    context: OperatorContext,
    sink: FileSink<T>,
    current: Option<(Box<dyn FileWriter>, Part)>,
    buffer: Vec<u8>,
    counter: u64,
    /// By checkpoint. A part stays here until it is known to have its final name.
    pending: Vec<(i64, Part)>,
    committing: BTreeSet<String>,
    commits: (Sender<Commit>, Receiver<Commit>),
    /// A file that is pending could not be made durable.
    lost: Arc<AtomicBool>,
}

impl<T> FileSinkOperator<T> {
    pub fn new(context: OperatorContext, sink: FileSink<T>) -> Self {
        let commits = crossbeam_channel::unbounded();
        let (pending, committing) = (Vec::new(), BTreeSet::new());
        let (current, buffer, lost) = (None, Vec::new(), Arc::default());
        FileSinkOperator { context, sink, current, buffer, counter: 0, pending, committing, commits, lost }
    }

    /// What all hidden files of this sink begin with.
    fn hidden_prefix(&self) -> String {
        let operator = self.context.operator.to_string();
        format!(".part-{}-", operator.get(..8).unwrap_or_default())
    }

    fn open(&self) -> Flow {
        self.sink.storage.create_dirs(&self.sink.directory)?;
        // One subtask does it for all: every one of them knows all pending files.
        if self.context.subtask > 0 {
            return Ok(());
        }
        let restored = OperatorStateBackend::new(&self.context)?.take_list::<Part>(PENDING)?.unwrap_or_default();
        let prefix = self.hidden_prefix();
        for (hidden, last) in &restored {
            let plain = |name: &str| !name.contains('/');
            anyhow::ensure!(
                hidden.starts_with(&prefix) && last.starts_with("part-") && plain(hidden) && plain(last),
                "the restored state names {hidden:?} and {last:?}, which are not files of this sink"
            );
        }
        commit(self.sink.storage.as_ref(), &self.sink.directory, &restored)?;
        for entry in self.sink.storage.list(&self.sink.directory)? {
            // The other subtasks of this attempt may have begun already.
            if entry.name.starts_with(&prefix) && !entry.name.ends_with(self.context.attempt.as_ref()) {
                log::info!("{} removes {}, which belongs to no checkpoint.", self.context.name, entry.name);
                self.sink.storage.delete(&place(&self.sink.directory, &entry.name))?;
            }
        }
        Ok(())
    }

    fn write_out(&mut self) -> Flow {
        if self.buffer.is_empty() {
            return Ok(());
        }
        if self.current.is_none() {
            let (subtask, attempt) = (self.context.subtask, &self.context.attempt);
            let sink = self.hidden_prefix();
            let last = format!("{}{subtask}-{attempt}-{}", sink.trim_start_matches('.'), self.counter);
            let hidden = format!("{sink}{subtask}-{}.inprogress.{attempt}", self.counter);
            self.counter += 1;
            let file = self.sink.storage.create(&place(&self.sink.directory, &hidden))?;
            self.current = Some((file, (hidden, last)));
        }
        if let Some((file, _)) = &mut self.current {
            file.write(&self.buffer)?;
        }
        self.buffer.clear();
        Ok(())
    }

    fn snapshot(&mut self, snapshot: &Arc<TaskSnapshot>) -> Flow {
        self.write_out()?;
        self.note_commits()?;
        let file = self.current.take().map(|(file, part)| {
            self.pending.push((snapshot.order.id, part));
            file
        });
        if !self.pending.is_empty() {
            let (storage, directory) = (self.sink.storage.clone(), self.sink.directory.clone());
            let (snapshot, done, lost) = (snapshot.clone(), self.commits.0.clone(), self.lost.clone());
            snapshot.open_part();
            // Behind the files of snapshots before, which this one needs too, whether they were completed or not.
            self.context.writer.run(move || {
                let result = file.map_or(Ok(()), |file| file.finish().and_then(|_| storage.sync_dir(&directory)));
                match result {
                    Ok(()) if lost.load(Ordering::Relaxed) => {
                        snapshot.fail(anyhow::anyhow!("an earlier file of the output could not be written"));
                    }
                    Ok(()) => snapshot.complete_empty_part(),
                    Err(error) => {
                        // Its records are gone, so the task fails as well.
                        lost.store(true, Ordering::Relaxed);
                        let _ = done.send(Err(error.clone()));
                        snapshot.fail(error);
                    }
                }
            });
        }
        let mut state = OperatorStateBackend::empty();
        state.put_union(PENDING, self.pending.iter().map(|(_, part)| part.clone()).collect());
        state.snapshot(&self.context, snapshot)
    }

    /// Gives the files of a completed checkpoint, and of those before it, their final names.
    fn commit_up_to(&mut self, checkpoint: i64) -> Flow {
        self.note_commits()?;
        let due = self.pending.iter().filter(|(id, part)| *id <= checkpoint && !self.committing.contains(&part.1));
        let parts: Vec<Part> = due.map(|(_, part)| part.clone()).collect();
        if parts.is_empty() {
            return Ok(());
        }
        self.committing.extend(parts.iter().map(|(_, last)| last.clone()));
        let (storage, directory) = (self.sink.storage.clone(), self.sink.directory.clone());
        let done = self.commits.0.clone();
        self.context.writer.run(move || {
            let result = commit(storage.as_ref(), &directory, &parts);
            let _ = done.send(result.map(|()| parts.into_iter().map(|(_, last)| last).collect()));
        });
        Ok(())
    }

    fn note_commits(&mut self) -> Flow {
        while let Ok(result) = self.commits.1.try_recv() {
            self.note_commit(result)?;
        }
        Ok(())
    }

    fn note_commit(&mut self, result: Commit) -> Flow {
        for name in result? {
            self.committing.remove(&name);
            self.pending.retain(|(_, (_, last))| *last != name);
        }
        Ok(())
    }

    /// The job has finished: waits for commits, and without checkpoints commits at last.
    fn finish(&mut self) -> Flow {
        self.write_out()?;
        if let Some((file, part)) = self.current.take() {
            file.finish()?;
            self.pending.push((i64::MAX, part));
        }
        self.commit_up_to(i64::MAX)?;
        while !self.committing.is_empty() {
            let result = self.commits.1.recv()?;
            self.note_commit(result)?;
        }
        Ok(())
    }
}

fn place(directory: &Location, name: &str) -> Location {
    directory.with_suffix(&format!("/{name}"))
}

/// Gives files their final names; those that have them already are fine.
fn commit(storage: &dyn WriteStorage, directory: &Location, parts: &[Part]) -> Result<(), StorageError> {
    for (hidden, last) in parts {
        let (from, to) = (place(directory, hidden), place(directory, last));
        let Err(error) = storage.rename(&from, &to) else { continue };
        match storage.stat(&to) {
            Ok(_) => {}
            Err(missing) if missing.is_not_found() && error.is_not_found() => {
                let message = format!("a file of the checkpoint is gone; neither it nor {last} is there");
                return Err(StorageError::new(StorageErrorKind::NotFound, &from, message));
            }
            Err(_) => return Err(error),
        }
    }
    if parts.is_empty() { Ok(()) } else { storage.sync_dir(directory) }
}

impl<T: Send + 'static> Output<T> for FileSinkOperator<T> {
    fn collect(&mut self, value: T, _: i64) -> Flow {
        (self.sink.format)(&value, &mut self.buffer);
        if self.buffer.len() >= BUFFER { self.write_out() } else { Ok(()) }
    }

    fn control(&mut self, event: &mut Control<'_>) -> Flow {
        match event {
            Control::Open => self.open(),
            Control::Barrier(snapshot) => self.snapshot(snapshot),
            Control::Completed(checkpoint) => self.commit_up_to(*checkpoint),
            Control::ProcessingTime(_) => self.note_commits(),
            Control::Finish => self.finish(),
            _ => Ok(()),
        }
    }
}
