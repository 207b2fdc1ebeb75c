//! Many names of one directory: listed once, and looked at by other threads while the listing goes on.

use super::presence;
use crate::storage::Presence;
use foldhash::{HashMap, HashMapExt as _};
use std::fs::{self, DirEntry};
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

/// Entries that go to a thread at once.
const BATCH: usize = 1_024;
const MOST_THREADS: usize = 8;

type Batch = Vec<(usize, DirEntry)>;

/// One answer per name, in their order; an error where the directory cannot be listed or a name is asked for twice.
pub(super) fn lookup(dir: &Path, names: &[&str], progress: &dyn Fn(u64)) -> io::Result<Vec<Presence>> {
    let mut wanted: HashMap<&[u8], usize> = HashMap::with_capacity(names.len());
    wanted.extend(names.iter().enumerate().map(|(index, name)| (name.as_bytes(), index)));
    if wanted.len() != names.len() {
        return Err(io::Error::other("a name is asked for twice"));
    }
    let entries = fs::read_dir(dir)?;
    let (sender, receiver) = mpsc::channel::<Batch>();
    let receiver = Mutex::new(receiver);
    let work = || {
        let mut answers = Vec::new();
        // The lock is held while waiting for a batch, and given up before it is worked on.
        let next = || receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        while let Ok(batch) = next() {
            answers.extend(batch.iter().map(|(index, entry)| (*index, presence(|| entry.path(), entry.metadata()))));
        }
        answers
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    let mut answers = vec![Presence::Missing; names.len()];
    thread::scope(|scope| {
        let workers: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        // This thread lists, and then helps.
        let listed = send(entries, &wanted, &sender, progress);
        drop(sender);
        let mut found = work();
        for worker in workers {
            found.extend(worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        for (index, answer) in found {
            if let Some(slot) = answers.get_mut(index) {
                *slot = answer;
            }
        }
        listed
    })?;
    Ok(answers)
}

/// Sends the entries that are wanted, a batch at a time.
fn send(
    entries: fs::ReadDir,
    wanted: &HashMap<&[u8], usize>,
    sender: &mpsc::Sender<Batch>,
    progress: &dyn Fn(u64),
) -> io::Result<()> {
    let mut batch = Batch::with_capacity(BATCH);
    let mut seen = 0;
    for entry in entries {
        let entry = entry?;
        if let Some(&index) = wanted.get(entry.file_name().as_encoded_bytes()) {
            batch.push((index, entry));
        }
        if batch.len() == BATCH {
            seen += BATCH;
            progress(BATCH as u64);
            // Nobody hangs up before this end does.
            let _ = sender.send(std::mem::replace(&mut batch, Batch::with_capacity(BATCH)));
        }
    }
    let _ = sender.send(batch);
    progress((wanted.len() - seen) as u64);
    Ok(())
}
