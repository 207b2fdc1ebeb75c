//! A promoted snapshot as one file: a tar archive, compressed with zstd, with its files in the order of their names, then
//! the manifest, and the `_metadata` last. An archive that was cut has none, and is no snapshot.

use super::{Plan, PromoteError};
use crate::model::Location;
use crate::seal::{MANIFEST, Manifest, Sum, Summing};
use crate::storage::{Below, FileWriter, Storage, StorageError, StorageErrorKind, WriteStorage, in_progress_name};
use crate::survey::Progress;
use crate::survey::catalog::METADATA;
use crate::wire::ReadAt;
use ruzstd::decoding::StreamingDecoder;
use ruzstd::encoding::{CompressionLevel, FrameCompressor};
use std::io::{self, BufReader, BufWriter, PipeWriter, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// So much goes to the archive at a time.
const BLOCK: usize = 1 << 20;
/// A directory in an archive holds all files, so that one that is unpacked by hand does not spill.
const DIRECTORY: &str = "snapshot";

/// An archive that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Files in it, without the manifest.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Size in bytes of the archive.
    pub size: u64,
}

/// Writes the files of a plan into a new archive, reads it back, and gives it its name when all of it was there.
pub fn pack(
    storage: &dyn WriteStorage,
    plan: &Plan,
    file: &Location,
    progress: &dyn Progress,
) -> Result<Packed, PromoteError> {
    let parent = file.parent().ok_or_else(|| PromoteError::Exists(file.clone()))?;
    let check_free = || match storage.look(Below { root: &parent, dir: "" }, &[file.name()])?.pop().flatten() {
        None => Ok(()),
        Some(_) => Err(PromoteError::Exists(file.clone())),
    };
    check_free()?;
    storage.create_dirs(&parent)?;
    let temporary = parent.with_suffix(&format!("/{}", in_progress_name(file.name())));
    let packed = pack_into(storage, plan, &temporary, progress).and_then(|packed| {
        check_free()?;
        storage.rename(&temporary, file)?;
        Ok(packed)
    });
    if packed.is_err() {
        // What is wrong is said by the first error.
        let _ = storage.delete(&temporary);
    }
    let packed = packed?;
    storage.sync_dir(&parent)?;
    Ok(packed)
}

fn pack_into(
    storage: &dyn WriteStorage,
    plan: &Plan,
    file: &Location,
    progress: &dyn Progress,
) -> Result<Packed, PromoteError> {
    // Written, and then read.
    progress.expect(plan.bytes().saturating_mul(2));
    let (source, sink) = io::pipe().map_err(|error| failed(file, &error))?;
    let stop = AtomicBool::new(false);
    let mut drain = Drain { writer: storage.create(file)?, error: None, stop: &stop };
    let manifest = thread::scope(|scope| {
        let tar = scope.spawn(|| write_tar(storage, plan, sink, progress));
        let mut compressor = FrameCompressor::new(CompressionLevel::Fastest);
        compressor.set_source(Source { pipe: source, stop: &stop });
        compressor.set_drain(BufWriter::with_capacity(BLOCK, &mut drain));
        compressor.compress();
        if let Some(mut buffered) = compressor.take_drain() {
            let _ = buffered.flush();
        }
        // Where it ended early, whoever fills the pipe is told so by this.
        drop(compressor);
        tar.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    if let Some(error) = drain.error {
        return Err(error.into());
    }
    let manifest = manifest?;
    let size = drain.writer.finish()?;
    let damaged = |why: &str| PromoteError::Refused(format!("{file} does not read back as it was written: {why}"));
    let mut left = manifest.clone();
    read(storage, file, |name, size, content| {
        let mut summing = Summing::default();
        copy(content, &mut |bytes| {
            summing.update(bytes);
            progress.advance(bytes.len() as u64);
            Ok(())
        })
        .map_err(|error| failed(file, &error))?;
        let sum = summing.finish();
        if name != MANIFEST && (left.take(name) != Some(sum) || sum.size != size) {
            return Err(damaged(name));
        }
        Ok(())
    })?;
    if left.iter().len() > 0 {
        return Err(damaged("files are missing"));
    }
    let bytes = manifest.iter().map(|(_, sum)| sum.size).sum();
    Ok(Packed { files: manifest.iter().len() as u64, bytes, size })
}

/// Writes the archive, uncompressed.
fn write_tar(
    storage: &dyn WriteStorage,
    plan: &Plan,
    sink: PipeWriter,
    progress: &dyn Progress,
) -> Result<Manifest, PromoteError> {
    let seconds = plan.completed_at.map_or(0, |at| u64::try_from(at.as_second()).unwrap_or(0));
    let mut builder = tar::Builder::new(BufWriter::with_capacity(BLOCK, sink));
    let mut append = |name: &str, size: u64, content: &mut dyn Read| -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_path(format!("{DIRECTORY}/{name}"))?;
        header.set_size(size);
        header.set_mode(0o644);
        header.set_mtime(seconds);
        header.set_entry_type(tar::EntryType::Regular);
        header.set_cksum();
        builder.append(&header, content)
    };
    let mut manifest = Manifest::default();
    let mut files: Vec<_> = plan.files.iter().collect();
    files.sort_by(|a, b| a.name.cmp(&b.name));
    for file in files {
        let open = storage.open(&file.from)?;
        let (at, left) = (file.part.offset, file.part.length);
        let mut content = Content { file: &*open, at, left, summing: Summing::default(), progress };
        append(&file.name, left, &mut content).map_err(|error| failed(&file.from, &error))?;
        if content.left > 0 {
            let message = format!("it ended {} bytes too early", content.left);
            return Err(StorageError::new(StorageErrorKind::Other, &file.from, message).into());
        }
        manifest.insert(&file.name, content.summing.finish());
    }
    manifest.insert(METADATA, Sum::of(&plan.metadata));
    let text = manifest.to_bytes();
    for (name, bytes) in [(MANIFEST, &text), (METADATA, &plan.metadata)] {
        append(name, bytes.len() as u64, &mut &bytes[..]).map_err(|error| failed(&plan.source, &error))?;
    }
    let buffered = builder.into_inner().map_err(|error| failed(&plan.source, &error))?;
    buffered.into_inner().map_err(|error| failed(&plan.source, error.error()))?;
    Ok(manifest)
}

/// Reads an archive and gives each entry to `each`: name, size in bytes, content. Only plain files that lie in one
/// directory, or in none, are taken.
pub(super) fn read(
    storage: &dyn Storage,
    file: &Location,
    mut each: impl FnMut(&str, u64, &mut dyn Read) -> Result<(), PromoteError>,
) -> Result<(), PromoteError> {
    let open = storage.open(file)?;
    let content = BufReader::with_capacity(BLOCK, Reading { file: &*open, at: 0 });
    let refused = |why: String| PromoteError::Refused(format!("{file} is not an archive of a snapshot: {why}"));
    let unreadable = |error: io::Error| refused(error.to_string());
    let stream = StreamingDecoder::new(content).map_err(|error| refused(error.to_string()))?;
    let mut archive = tar::Archive::new(BufReader::with_capacity(BLOCK, stream));
    let mut directory: Option<String> = None;
    // Raw: long names and other extensions, which could be of any size, are entries that are not plain files.
    for entry in archive.entries().map_err(unreadable)?.raw(true) {
        let mut entry = entry.map_err(unreadable)?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if entry.header().entry_type() != tar::EntryType::Regular {
            return Err(refused(format!("{path:?} is not a plain file")));
        }
        let (dir, name) = path.rsplit_once('/').map_or(("", path.as_str()), |(dir, name)| (dir, name));
        if dir.contains(['/', '\\']) || matches!(dir, "..") || (path.starts_with('/')) {
            return Err(refused(format!("{path:?} does not lie in one directory")));
        }
        if *directory.get_or_insert_with(|| dir.to_owned()) != *dir {
            return Err(refused(format!("{path:?} lies in another directory than the files before it")));
        }
        let size = entry.header().entry_size().map_err(unreadable)?;
        let name = name.to_owned();
        each(&name, size, &mut entry)?;
    }
    Ok(())
}

/// Reads to the end, a block at a time.
pub(super) fn copy(content: &mut dyn Read, each: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut block = vec![0; BLOCK];
    loop {
        match content.read(&mut block) {
            Ok(0) => return Ok(()),
            Ok(count) => each(block.split_at(count).0)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

pub(super) fn failed(place: &Location, error: &io::Error) -> PromoteError {
    StorageError::new(StorageErrorKind::Other, place, error.to_string()).into()
}

/// A file that is read from its start.
struct Reading<'r> {
    file: &'r dyn ReadAt,
    at: u64,
}

impl Read for Reading<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(self.at, out)?;
        self.at += count as u64;
        Ok(count)
    }
}

/// A part of a file, added up as it is read.
struct Content<'c> {
    file: &'c dyn ReadAt,
    at: u64,
    left: u64,
    summing: Summing,
    progress: &'c dyn Progress,
}

impl Read for Content<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(out.len());
        let (out, _) = out.split_at_mut(wanted);
        let count = if out.is_empty() { 0 } else { self.file.read_at(self.at, out)? };
        self.summing.update(out.split_at(count).0);
        self.progress.advance(count as u64);
        self.at += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

/// What the compressor reads. It takes no error: whoever fills the pipe tells why it ended.
struct Source<'s> {
    pipe: io::PipeReader,
    /// Set where the rest has nowhere to go.
    stop: &'s AtomicBool,
}

impl Read for Source<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.stop.load(Ordering::Relaxed) {
            return Ok(0);
        }
        loop {
            match self.pipe.read(out) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return Ok(read.unwrap_or(0)),
            }
        }
    }
}

/// What the compressor writes to. It takes no error: the first is kept, and nothing is written after it.
struct Drain<'d> {
    writer: Box<dyn FileWriter>,
    error: Option<StorageError>,
    stop: &'d AtomicBool,
}

impl Write for &mut Drain<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.error.is_none() {
            self.error = self.writer.write(bytes).err();
            self.stop.store(self.error.is_some(), Ordering::Relaxed);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
