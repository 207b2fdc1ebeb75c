//! Lines of a text file.

use super::{Emitter, Poll, Source, SourceContext, Split, share};
use anyhow::Context;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Emits the lines of a file; each subtask those that begin in its part of the bytes. Positions are byte offsets.
#[derive(Debug)]
pub struct FileSource {
    path: PathBuf,
    splits: Vec<Split>,
    reader: Option<BufReader<File>>,
    line: Vec<u8>,
}

/// Lines per call.
const STEP: usize = 256;

/// The longest line in bytes.
const LONGEST_LINE: u64 = 64 * 1024 * 1024;

impl FileSource {
    /// The lines of a file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        FileSource { path: path.into(), splits: Vec::new(), reader: None, line: Vec::new() }
    }

    /// Opens the file where a split goes on. In the middle of the file that is the first line beginning there: what
    /// comes before the next line end belongs to the split in front.
    fn seek(path: &Path, split: &mut Split) -> anyhow::Result<BufReader<File>> {
        let mut file = File::open(path)?;
        let start = u64::try_from(split.position)?;
        file.seek(SeekFrom::Start(start.saturating_sub(1)))?;
        let mut reader = BufReader::with_capacity(128 * 1024, file);
        if start > 0 {
            let mut skipped = Vec::new();
            reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut skipped)?;
            split.position = i64::try_from(start - 1 + skipped.len() as u64)?;
        }
        Ok(reader)
    }
}

impl Clone for FileSource {
    fn clone(&self) -> Self {
        FileSource::new(self.path.clone())
    }
}

impl Source for FileSource {
    type Item = String;

    fn open(&mut self, context: &SourceContext) -> anyhow::Result<()> {
        let id = self.path.display().to_string();
        let size = std::fs::metadata(&self.path).with_context(|| id.clone())?.len();
        let size = i64::try_from(size)?;
        self.splits = match &context.restored {
            Some(splits) => {
                if let Some(other) = splits.iter().find(|split| split.id != id) {
                    anyhow::bail!("the restored source was reading {}, this job reads {id}", other.id);
                }
                splits.clone()
            }
            None => {
                let (position, end) = share(0, size, context.subtask, context.parallelism);
                vec![Split { id, position, end }]
            }
        };
        Ok(())
    }

    fn poll(&mut self, out: &mut Emitter<'_, String>) -> anyhow::Result<Poll> {
        let Some(split) = self.splits.iter_mut().find(|split| split.position < split.end) else {
            return Ok(Poll::Finished);
        };
        let at = |split: &Split| format!("{}, byte {}", split.id, split.position);
        let mut reader = match self.reader.take() {
            Some(reader) => reader,
            None => Self::seek(&self.path, split).with_context(|| at(split))?,
        };
        for _ in 0..STEP {
            // A line belongs to the split that it begins in.
            if split.position >= split.end {
                return Ok(Poll::More);
            }
            self.line.clear();
            let count =
                reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut self.line).with_context(|| at(split))?;
            if count == 0 {
                split.position = split.end;
                return Ok(Poll::More);
            }
            split.position += i64::try_from(count)?;
            let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            out.collect(String::from_utf8_lossy(line).into_owned())?;
        }
        self.reader = Some(reader);
        Ok(Poll::More)
    }

    fn splits(&self) -> Vec<Split> {
        self.splits.clone()
    }
}
