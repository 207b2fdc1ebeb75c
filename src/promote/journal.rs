//! What was copied already: lines of a manifest in a hidden file beside the copies, below a line that says for which plan.
//!
//! A line is a hint and no proof: the next run reads the file that it names, and takes it only with the same bytes.

use crate::model::Location;
use crate::seal::{LARGEST, Sum, line, parse_line};
use crate::storage::{FileWriter, StorageError, WriteStorage, random_uuid};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// What the names of journals begin with.
pub const PREFIX: &str = ".journal.";

/// Lines are written when they are so many bytes, and with a file of so many bytes.
const LINES: usize = 4 << 10;
const LARGE_FILE: u64 = 1 << 20;

/// A journal that is being written: the lines that were not written yet, and where to.
pub struct Journal {
    writer: Mutex<(String, Box<dyn FileWriter>)>,
}

impl Journal {
    /// A new one in a directory.
    pub fn create(storage: &dyn WriteStorage, dir: &Location, fingerprint: &str) -> Result<Self, StorageError> {
        let name = format!("{PREFIX}{}", random_uuid());
        let mut writer = storage.create(&dir.with_suffix(&format!("/{name}")))?;
        writer.write(head(fingerprint).as_bytes())?;
        Ok(Journal { writer: Mutex::new((String::new(), writer)) })
    }

    /// Writes down a file that is there as a whole, small ones some at a time.
    pub fn add(&self, name: &str, sum: Sum) -> Result<(), StorageError> {
        let line = line(name, sum);
        let mut locked = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let (lines, writer) = &mut *locked;
        lines.push_str(&line);
        if sum.size < LARGE_FILE && lines.len() < LINES {
            return Ok(());
        }
        writer.write(std::mem::take(lines).as_bytes())
    }

    /// Keeps it, for the next run. It need not be durable: what a machine that stops takes of it is copied again.
    pub fn close(self) -> Result<(), StorageError> {
        let (lines, mut writer) = self.writer.into_inner().unwrap_or_else(PoisonError::into_inner);
        writer.write(lines.as_bytes())?;
        writer.leave().map(|_| ())
    }
}

/// What the journals of these names say of a plan. One that is of another plan, or no journal, says nothing.
pub fn read(
    storage: &dyn WriteStorage,
    dir: &Location,
    names: &[&str],
    fingerprint: &str,
) -> Result<HashMap<String, Sum>, StorageError> {
    let mut known = HashMap::new();
    for name in names.iter().filter(|name| name.starts_with(PREFIX)) {
        let bytes = storage.read(&dir.with_suffix(&format!("/{name}")), LARGEST)?;
        let text = String::from_utf8_lossy(&bytes);
        let Some(lines) = text.strip_prefix(&head(fingerprint)) else { continue };
        // The last line may be cut.
        known.extend(lines.split_inclusive('\n').filter_map(|line| parse_line(line.strip_suffix('\n')?)));
    }
    Ok(known)
}

fn head(fingerprint: &str) -> String {
    format!("# chkctl.promote 1 {fingerprint}\n")
}
