//! The local file system.

#[cfg(unix)]
mod below;
mod copying;
mod large;
mod listing;
#[cfg(unix)]
mod names;
#[cfg(target_os = "linux")]
mod walk;
mod writing;

#[cfg(target_os = "linux")]
use super::WalkVisitor;
#[cfg(unix)]
use super::{Below, Details};
use super::{Entry, EntryKind, Presence, Stat, Storage, StorageError, StorageErrorKind, Usage};
use crate::model::Location;
use crate::wire::ReadAt;
use jiff::Timestamp;
use std::fs::{self, File, FileType, Metadata};
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// Local files, by paths and `file:` URIs.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalStorage;

/// So many names are asked for one by one before it is decided whether to list their directory.
const SAMPLE: usize = 256;
/// Where a name takes longer than this, a listing pays: a file server sends what it knows of hundreds of files with it.
/// A local file system knows a name in a microsecond or two, and listing 200,000 of them first takes half as long again.
const SLOW: Duration = Duration::from_micros(20);
/// Names that one thread takes at least.
const PER_THREAD: usize = 2_000;

impl Storage for LocalStorage {
    fn stat(&self, place: &Location) -> Result<Stat, StorageError> {
        let metadata = fs::metadata(local_path(place)?).map_err(|e| failed(place, &e))?;
        Ok(Stat {
            kind: kind_of(metadata.file_type()),
            size: metadata.len(),
            modified: metadata.modified().ok().and_then(|time| Timestamp::try_from(time).ok()),
        })
    }

    fn list(&self, dir: &Location) -> Result<Vec<Entry>, StorageError> {
        let path = local_path(dir)?;
        let mut entries = Vec::new();
        for entry in fs::read_dir(path).map_err(|e| failed(dir, &e))? {
            let entry = entry.map_err(|e| failed(dir, &e))?;
            let kind = entry.file_type().map_err(|e| failed(dir, &e))?;
            entries.push(Entry { name: entry.file_name().to_string_lossy().into_owned(), kind: kind_of(kind) });
        }
        Ok(entries)
    }

    fn lookup(&self, dir: &Location, names: &[&str], progress: &dyn Fn(u64)) -> Vec<Presence> {
        let path = match local_path(dir) {
            Ok(path) => path,
            Err(error) => return vec![Presence::Unknown(error); names.len()],
        };
        let one_by_one = |name: &&str| {
            let file = path.join(name);
            presence(|| file.clone(), fs::metadata(&file))
        };
        let (sample, rest) = names.split_at(names.len().min(SAMPLE));
        let start = Instant::now();
        let mut answers = in_parallel(sample, progress, one_by_one);
        let slow = start.elapsed() > SLOW * u32::try_from(sample.len()).unwrap_or(u32::MAX);
        match (slow && !rest.is_empty()).then(|| listing::lookup(&path, rest, progress)) {
            Some(Ok(listed)) => answers.extend(listed),
            Some(Err(_)) | None => answers.extend(in_parallel(rest, progress, one_by_one)),
        }
        answers
    }

    fn usage(&self, dir: &Location) -> Result<Usage, StorageError> {
        let mut usage = Usage::default();
        for entry in walkdir::WalkDir::new(local_path(dir)?) {
            let metadata = entry.and_then(|entry| entry.metadata());
            let metadata = metadata.map_err(|e| failed(dir, &io::Error::from(e)))?;
            if metadata.is_file() {
                usage.files += 1;
                usage.bytes += metadata.len();
            }
        }
        Ok(usage)
    }

    fn read(&self, file: &Location, limit: u64) -> Result<Vec<u8>, StorageError> {
        let path = local_path(file)?;
        let stat = self.stat_file(file)?;
        if stat.size > limit {
            let message = format!("{} bytes, more than the {limit} that are read", stat.size);
            return Err(StorageError::new(StorageErrorKind::TooLarge, file, message));
        }
        let size = usize::try_from(stat.size).unwrap_or(0);
        let content = if size >= large::FROM { large::read(&path, size) } else { read_whole(&path, size, limit) };
        content.map_err(|e| failed(file, &e))
    }

    fn read_range(&self, file: &Location, offset: u64, length: u64) -> Result<Vec<u8>, StorageError> {
        let path = local_path(file)?;
        // The system takes an offset that no file can have for a mistake.
        if offset >= self.stat_file(file)?.size {
            return Ok(Vec::new());
        }
        let mut content = Vec::new();
        let read = File::open(path).and_then(|mut f| {
            f.seek(io::SeekFrom::Start(offset))?;
            f.take(length).read_to_end(&mut content)
        });
        read.map_err(|e| failed(file, &e))?;
        Ok(content)
    }

    fn open(&self, file: &Location) -> Result<Box<dyn ReadAt>, StorageError> {
        let stat = self.stat_file(file)?;
        let open = File::open(local_path(file)?).map_err(|e| failed(file, &e))?;
        Ok(Box::new(OpenFile { file: open, size: stat.size }))
    }

    #[cfg(target_os = "linux")]
    fn walk(&self, root: &Location, visitor: &dyn WalkVisitor) {
        walk::walk(root, visitor);
    }

    #[cfg(unix)]
    fn look(&self, dir: Below<'_>, names: &[&str]) -> Result<Vec<Option<Details>>, StorageError> {
        below::look(dir, names)
    }

    fn real_place(&self, place: &Location) -> Result<Location, StorageError> {
        real_place(place)
    }
}

/// An open file and the size that it had then.
struct OpenFile {
    file: File,
    size: u64,
}

impl ReadAt for OpenFile {
    fn size(&self) -> u64 {
        self.size
    }

    #[cfg(unix)]
    fn read_at(&self, mut offset: u64, mut out: &mut [u8]) -> io::Result<usize> {
        use std::os::unix::fs::FileExt;
        let mut total = 0;
        while !out.is_empty() {
            match self.file.read_at(out, offset) {
                Ok(0) => break,
                Ok(count) => {
                    total += count;
                    offset += count as u64;
                    out = &mut out[count..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(total)
    }

    #[cfg(not(unix))]
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let mut file = self.file.try_clone()?;
        file.seek(io::SeekFrom::Start(offset))?;
        let mut total = 0;
        while total < out.len() {
            match file.read(&mut out[total..])? {
                0 => break,
                count => total += count,
            }
        }
        Ok(total)
    }
}

impl LocalStorage {
    /// What is known of a file that is to be opened. Opening a pipe would wait for a writer.
    fn stat_file(&self, file: &Location) -> Result<Stat, StorageError> {
        let stat = self.stat(file)?;
        match stat.kind {
            EntryKind::File => Ok(stat),
            _ => Err(StorageError::new(StorageErrorKind::Other, file, "not a file")),
        }
    }
}

/// The path of a local place.
pub fn local_path(place: &Location) -> Result<PathBuf, StorageError> {
    if place.is_local() {
        return Ok(PathBuf::from(place.path()));
    }
    Err(unsupported(place))
}

/// The error of a place that this build does not reach.
pub(super) fn unsupported(place: &Location) -> StorageError {
    let scheme = place.scheme().unwrap_or("file");
    let message = format!("this build of chkctl does not read {scheme}: locations; --map reads a local copy instead");
    StorageError::new(StorageErrorKind::Unsupported, place, message)
}

/// The path without links. Only what has the same text as a place is one.
fn real_place(place: &Location) -> Result<Location, StorageError> {
    let other = |message: String| StorageError::new(StorageErrorKind::Other, place, message);
    let path = fs::canonicalize(or_here(&local_path(place)?)).map_err(|e| failed(place, &e))?;
    let text = path.to_str().ok_or_else(|| other(format!("{} is not UTF-8", path.display())))?;
    let real = Location::new(place.scheme(), place.authority(), text);
    // A backslash is a slash in a place.
    if real.path() == text { Ok(real) } else { Err(other(format!("{text:?} cannot be a place"))) }
}

/// The working directory for the empty path.
fn or_here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

fn read_whole(path: &Path, size: usize, limit: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::with_capacity(size);
    File::open(path)?.take(limit).read_to_end(&mut content)?;
    Ok(content)
}

fn presence(path: impl Fn() -> PathBuf, metadata: io::Result<Metadata>) -> Presence {
    let metadata = match metadata {
        // An entry of a listing does not follow links, Flink does.
        Ok(link) if link.file_type().is_symlink() => fs::metadata(path()),
        other => other,
    };
    match metadata {
        Ok(metadata) if !metadata.is_file() => Presence::NotAFile,
        Ok(metadata) if may_read(&metadata) => Presence::File { size: metadata.len() },
        Ok(metadata) => match File::open(path()) {
            Ok(_) => Presence::File { size: metadata.len() },
            Err(error) => Presence::from_error(failed_path(&path(), &error)),
        },
        Err(error) => Presence::from_error(failed_path(&path(), &error)),
    }
}

/// Whether the mode alone says that anybody may read; otherwise only opening tells.
#[cfg(unix)]
fn may_read(metadata: &Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o444 == 0o444
}

#[cfg(not(unix))]
fn may_read(_: &Metadata) -> bool {
    false
}

/// Applies `judge` to all items on several threads, keeping their order.
fn in_parallel<T: Sync>(items: &[T], progress: &dyn Fn(u64), judge: impl Fn(&T) -> Presence + Sync) -> Vec<Presence> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(items.len() / PER_THREAD).max(1);
    let mut answers = Vec::with_capacity(items.len());
    // In rounds, so that the caller hears of progress on its own thread.
    for round in items.chunks(threads * PER_THREAD * 4) {
        if threads == 1 {
            answers.extend(round.iter().map(&judge));
        } else {
            let judge = &judge;
            thread::scope(|scope| {
                let share = round.len().div_ceil(threads);
                let workers: Vec<_> = round
                    .chunks(share)
                    .map(|chunk| scope.spawn(move || chunk.iter().map(judge).collect::<Vec<_>>()))
                    .collect();
                for worker in workers {
                    match worker.join() {
                        Ok(part) => answers.extend(part),
                        Err(panic) => std::panic::resume_unwind(panic),
                    }
                }
            });
        }
        progress(round.len() as u64);
    }
    answers
}

fn kind_of(kind: FileType) -> EntryKind {
    match () {
        () if kind.is_file() => EntryKind::File,
        () if kind.is_dir() => EntryKind::Directory,
        () if kind.is_symlink() => EntryKind::Link,
        () => EntryKind::Other,
    }
}

fn failed(place: &Location, error: &io::Error) -> StorageError {
    StorageError::new(error_kind(error), place, error.to_string())
}

fn failed_path(path: &Path, error: &io::Error) -> StorageError {
    StorageError { kind: error_kind(error), place: path.to_string_lossy().into_owned(), message: error.to_string() }
}

fn error_kind(error: &io::Error) -> StorageErrorKind {
    match error.kind() {
        // A name that no file can have (too long, or with a NUL inside) is a file that is not there.
        io::ErrorKind::NotFound
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::InvalidFilename
        | io::ErrorKind::InvalidInput => StorageErrorKind::NotFound,
        io::ErrorKind::PermissionDenied => StorageErrorKind::PermissionDenied,
        io::ErrorKind::AlreadyExists => StorageErrorKind::AlreadyExists,
        io::ErrorKind::TimedOut | io::ErrorKind::Interrupted | io::ErrorKind::StaleNetworkFileHandle => {
            StorageErrorKind::Transient
        }
        _ => StorageErrorKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(path: &Path) -> Location {
        Location::parse(&path.to_string_lossy()).expect("a path")
    }

    #[test]
    fn one_by_one_by_listing_and_on_several_threads_the_answers_are_the_same() {
        let dir = tempfile::tempdir().expect("a directory");
        let names: Vec<String> = (0..PER_THREAD * 3).map(|i| format!("f{i}")).collect();
        for (i, name) in names.iter().enumerate().filter(|(i, _)| i % 3 != 0) {
            fs::write(dir.path().join(name), vec![0; i % 7]).expect("a file");
        }
        fs::create_dir(dir.path().join("f0")).expect("a directory");
        fs::write(dir.path().join("foreign"), b"x").expect("a file");
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let at_once = LocalStorage.lookup(&place(dir.path()), &names, &|_| {});
        let told = std::cell::Cell::new(0);
        let listed = listing::lookup(dir.path(), &names, &|done| told.set(told.get() + done)).expect("a listing");
        let one_by_one: Vec<Presence> =
            names.iter().flat_map(|name| LocalStorage.lookup(&place(dir.path()), &[name], &|_| {})).collect();
        assert_eq!(at_once, one_by_one);
        assert_eq!(listed, one_by_one);
        assert_eq!(told.get(), names.len() as u64);
        assert_eq!(
            at_once[..4],
            [Presence::NotAFile, Presence::File { size: 1 }, Presence::File { size: 2 }, Presence::Missing]
        );
        assert!(listing::lookup(dir.path(), &["f1", "f1"], &|_| {}).is_err(), "one name twice");
    }

    #[test]
    #[cfg(unix)]
    fn a_link_to_a_file_counts_as_the_file_and_a_dangling_one_as_missing() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("real"), b"123").expect("a file");
        std::os::unix::fs::symlink(dir.path().join("real"), dir.path().join("good")).expect("a link");
        std::os::unix::fs::symlink(dir.path().join("gone"), dir.path().join("bad")).expect("a link");
        let answers = LocalStorage.lookup(&place(dir.path()), &["good", "bad"], &|_| {});
        assert_eq!(answers, [Presence::File { size: 3 }, Presence::Missing]);
    }

    #[test]
    fn names_that_no_file_can_have_are_missing() {
        let dir = tempfile::tempdir().expect("a directory");
        let long = "x".repeat(5_000);
        let answers = LocalStorage.lookup(&place(dir.path()), &[&long, "nul\0inside"], &|_| {});
        assert_eq!(answers, [Presence::Missing, Presence::Missing]);
    }

    #[test]
    fn a_place_of_another_scheme_is_unsupported_and_not_missing() {
        let remote = Location::parse("hdfs://nn/ck").expect("a path");
        assert_eq!(LocalStorage.stat(&remote).map_err(|e| e.kind), Err(StorageErrorKind::Unsupported));
    }
}
