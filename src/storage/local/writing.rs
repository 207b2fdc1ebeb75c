//! Writing on the local file system: new files, names that appear at once, and removal.

use super::copying::PAGE;
#[cfg(unix)]
use super::{below, names};
use super::{copying, error_kind, failed, local_path};
use crate::model::Location;
#[cfg(unix)]
use crate::storage::Below;
use crate::storage::copy::{Hold, Part};
use crate::storage::{FileWriter, LocalStorage, StorageError, StorageErrorKind, WriteStorage, in_progress_name};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The system is asked to start writing to the disk after so many bytes, so that it does not begin only with the sync.
const WRITE_BACK: u64 = 8 << 20;

impl WriteStorage for LocalStorage {
    fn create_dirs(&self, dir: &Location) -> Result<(), StorageError> {
        create_dirs(&path_to_write(dir)?).map_err(|e| failed(dir, &e))
    }

    fn create(&self, file: &Location) -> Result<Box<dyn FileWriter>, StorageError> {
        Ok(Box::new(LocalWriter::create(file, path_to_write(file)?)?))
    }

    fn publish(&self, file: &Location, bytes: &[u8]) -> Result<(), StorageError> {
        write_aside(file, bytes, rename)
    }

    fn rename(&self, from: &Location, to: &Location) -> Result<(), StorageError> {
        let (source, target) = (path_to_write(from)?, path_to_write(to)?);
        rename(&source, &target).map_err(|error| {
            let place = if error_kind(&error) == StorageErrorKind::NotFound { from } else { to };
            failed(place, &error)
        })
    }

    fn sync_dir(&self, dir: &Location) -> Result<(), StorageError> {
        sync(&path_to_write(dir)?).map_err(|e| failed(dir, &e))
    }

    fn delete(&self, file: &Location) -> Result<bool, StorageError> {
        // Unlinking removes a symbolic link, never what it points to.
        was_there(fs::remove_file(path_to_write(file)?)).map_err(|e| failed(file, &e))
    }

    fn delete_empty_dir(&self, dir: &Location) -> Result<bool, StorageError> {
        let path = path_to_write(dir)?;
        if fs::symlink_metadata(&path).is_ok_and(|metadata| !metadata.is_dir()) {
            return Err(StorageError::new(StorageErrorKind::Other, dir, "not a directory"));
        }
        was_there(fs::remove_dir(path)).map_err(|e| failed(dir, &e))
    }

    fn replace(&self, file: &Location, bytes: &[u8]) -> Result<(), StorageError> {
        write_aside(file, bytes, |from, to| fs::rename(from, to))
    }

    #[cfg(unix)]
    fn create_dirs_like(&self, to: Below<'_>, like: Below<'_>) -> Result<(), StorageError> {
        below::create_dirs_like(to, like)
    }

    #[cfg(unix)]
    fn rename_names(&self, from: Below<'_>, to: Below<'_>, names: &[&str]) -> Vec<Result<bool, StorageError>> {
        names::rename(from, to, names)
    }

    #[cfg(unix)]
    fn delete_names(&self, dir: Below<'_>, names: &[&str]) -> Vec<Result<bool, StorageError>> {
        names::delete(dir, names)
    }

    #[cfg(unix)]
    fn delete_empty_below(&self, dir: Below<'_>) -> Result<bool, StorageError> {
        below::delete_empty(dir)
    }

    fn copy(
        &self,
        from: &Location,
        part: Part,
        to: &Location,
        heard: &mut dyn FnMut(&[u8]),
    ) -> Result<(), StorageError> {
        copying::copy(from, part, Box::new(LocalWriter::create(to, path_to_write(to)?)?), heard)
    }

    fn link(&self, from: &Location, to: &Location) -> Result<bool, StorageError> {
        copying::link(from, to)
    }

    fn sync_files(&self, dir: &Location, names: &[&str]) -> Result<(), StorageError> {
        copying::sync_files(dir, names)
    }

    fn rename_dir(&self, from: &Location, to: &Location) -> Result<(), StorageError> {
        copying::rename_dir(from, to)
    }

    fn hold(&self, dir: &Location) -> Result<Hold, StorageError> {
        copying::hold(dir)
    }
}

/// Writes a file under another name, and gives it its own by `rename` when it is durable.
fn write_aside(
    file: &Location,
    bytes: &[u8],
    rename: impl FnOnce(&Path, &Path) -> io::Result<()>,
) -> Result<(), StorageError> {
    let path = path_to_write(file)?;
    let temporary = path.with_file_name(in_progress_name(file.name()));
    let mut writer = LocalWriter::create(file, temporary.clone())?;
    writer.write(bytes)?;
    Box::new(writer).finish()?;
    if let Err(error) = rename(&temporary, &path) {
        // What is wrong is said by the first error.
        let _ = fs::remove_file(&temporary);
        return Err(failed(file, &error));
    }
    sync(directory_of(&path)).map_err(|e| failed(file, &e))
}

/// A local file that is being written.
pub(super) struct LocalWriter {
    file: File,
    path: PathBuf,
    place: Location,
    size: u64,
    /// So much of it the system was asked to write to the disk.
    started: u64,
    /// Whether what is written goes to the disk past the page cache.
    direct: bool,
    finished: bool,
}

impl LocalWriter {
    fn create(place: &Location, path: PathBuf) -> Result<Self, StorageError> {
        let file = File::create_new(&path).map_err(|e| failed(place, &e))?;
        Ok(LocalWriter { file, path, place: place.clone(), size: 0, started: 0, direct: false, finished: false })
    }

    /// The file.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Lets what is written go to the disk directly, where the file system can and as long as whole pages come.
    pub(super) fn go_direct(&mut self) {
        self.direct = set_direct(&self.file, true);
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while self.direct {
            let (pages, _) = rest.split_at(rest.len() - rest.len() % PAGE);
            let written = match self.file.write(pages) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // This is how a file system says that it cannot, or not from here.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => 0,
                written => written?,
            };
            rest = rest.get(written..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(());
            }
            if written == 0 || written % PAGE != 0 || rest.len() < PAGE {
                self.direct = false;
                set_direct(&self.file, false);
            }
        }
        self.file.write_all(rest)
    }
}

impl FileWriter for LocalWriter {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.write_all(bytes).map_err(|e| failed(&self.place, &e))?;
        self.size += bytes.len() as u64;
        if !self.direct && self.size - self.started >= WRITE_BACK {
            start_write_back(&self.file, self.started, self.size - self.started);
            self.started = self.size;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<u64, StorageError> {
        self.file.sync_all().map_err(|e| failed(&self.place, &e))?;
        self.finished = true;
        Ok(self.size)
    }

    fn leave(mut self: Box<Self>) -> Result<u64, StorageError> {
        self.finished = true;
        Ok(self.size)
    }
}

impl Drop for LocalWriter {
    fn drop(&mut self) {
        if !self.finished {
            // Nobody is left to tell of an error; nothing refers to the file.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The path of a local place that is to be changed.
fn path_to_write(place: &Location) -> Result<PathBuf, StorageError> {
    local_path(place).map_err(|error| {
        let scheme = place.scheme().unwrap_or("file");
        StorageError::new(error.kind, place, format!("this build of chkctl does not write {scheme}: locations"))
    })
}

/// The directory that holds a file; the current one for a bare name.
fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Creates the directories that are not there, from above, each durable before the next.
fn create_dirs(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path.ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !dir.is_dir()).collect();
    for dir in missing.into_iter().rev() {
        match fs::create_dir(dir) {
            // Another thread was quicker.
            Err(_) if dir.is_dir() => {}
            created => created?,
        }
        sync(directory_of(dir))?;
    }
    Ok(())
}

/// What a removal says: whether something was there.
fn was_there(removed: io::Result<()>) -> io::Result<bool> {
    match removed {
        Ok(()) => Ok(true),
        Err(error) if error_kind(&error) == StorageErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(unix)]
fn sync(dir: &Path) -> io::Result<()> {
    let file = File::open(dir)?;
    if !file.metadata()?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    file.sync_all()
}

/// Other systems do not open directories, and keep names by themselves.
#[cfg(not(unix))]
fn sync(dir: &Path) -> io::Result<()> {
    if fs::metadata(dir)?.is_dir() { Ok(()) } else { Err(io::ErrorKind::NotADirectory.into()) }
}

/// Renames without replacing.
#[cfg(target_os = "linux")]
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not every file system can: NFS says that the argument is invalid.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => link_and_unlink(from, to),
        renamed => Ok(renamed?),
    }
}

#[cfg(not(target_os = "linux"))]
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    link_and_unlink(from, to)
}

/// The new name first, which fails where something has it, then away with the old one.
fn link_and_unlink(from: &Path, to: &Path) -> io::Result<()> {
    fs::hard_link(from, to)?;
    fs::remove_file(from)
}

/// Turns on or off that writes go past the page cache; gives whether it is on.
#[cfg(target_os = "linux")]
fn set_direct(file: &File, on: bool) -> bool {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    let set = |flags: OFlags| fcntl_setfl(file, if on { flags | OFlags::DIRECT } else { flags - OFlags::DIRECT });
    fcntl_getfl(file).and_then(set).is_ok() && on
}

#[cfg(not(target_os = "linux"))]
fn set_direct(_: &File, _: bool) -> bool {
    false
}

/// Asks the system to begin writing a part of a file to the disk. It says so of pages that are no longer needed, and
/// Linux takes dirty ones as a reason to write them.
#[cfg(target_os = "linux")]
fn start_write_back(file: &File, offset: u64, length: u64) {
    use rustix::fs::{Advice, fadvise};
    // It is an advice: where it is not taken, the sync has more to do.
    let _ = fadvise(file, offset, std::num::NonZeroU64::new(length), Advice::DontNeed);
}

#[cfg(not(target_os = "linux"))]
fn start_write_back(_: &File, _: u64, _: u64) {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::random_uuid;

    fn place(path: &Path) -> Location {
        Location::parse(&path.to_string_lossy()).expect("a path")
    }

    #[test]
    #[cfg(unix)]
    fn removing_a_link_leaves_what_it_points_to() {
        let dir = tempfile::tempdir().expect("a directory");
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        fs::create_dir(&real).expect("a directory");
        std::os::unix::fs::symlink(&real, &link).expect("a link");
        assert!(LocalStorage.delete_empty_dir(&place(&link)).is_err());
        assert_eq!(LocalStorage.delete(&place(&link)), Ok(true));
        assert!(real.is_dir() && !link.exists());
    }

    #[test]
    #[cfg(unix)]
    fn a_new_file_is_never_written_through_a_dangling_link() {
        let dir = tempfile::tempdir().expect("a directory");
        let (elsewhere, link) = (dir.path().join("elsewhere"), dir.path().join("link"));
        std::os::unix::fs::symlink(&elsewhere, &link).expect("a link");
        assert!(LocalStorage.create(&place(&link)).is_err());
        assert!(LocalStorage.publish(&place(&link), b"x").is_err());
        assert!(!elsewhere.exists());
        assert_eq!(fs::read_dir(dir.path()).expect("a listing").count(), 1, "nothing is left in progress");
    }

    #[test]
    fn without_a_system_call_for_it_renaming_does_not_replace_either() {
        let dir = tempfile::tempdir().expect("a directory");
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::write(&from, b"new").expect("a file");
        fs::write(&to, b"old").expect("a file");
        assert!(link_and_unlink(&from, &to).is_err());
        assert_eq!(fs::read(&to).expect("readable"), b"old");
        fs::remove_file(&to).expect("removed");
        link_and_unlink(&from, &to).expect("renamed");
        assert_eq!((fs::read(&to).expect("readable"), from.exists()), (b"new".to_vec(), false));
    }

    #[test]
    fn what_was_begun_early_is_all_there_in_the_end() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join(random_uuid());
        let block: Vec<u8> = (0..(1 << 20) + 7).map(|i| (i % 251) as u8).collect();
        let mut writer = LocalStorage.create(&place(&file)).expect("a new file");
        (0..20).for_each(|_| writer.write(&block).expect("written"));
        assert_eq!(writer.finish(), Ok(20 * block.len() as u64));
        assert!(fs::read(&file).expect("readable").chunks(block.len()).all(|chunk| chunk == block));
    }

    #[test]
    fn what_goes_to_the_disk_directly_may_come_in_any_pieces() {
        let dir = tempfile::tempdir().expect("a directory");
        let content: Vec<u8> = (0..(1 << 20) + 7).map(|i| (i % 251) as u8).collect();
        for (number, piece) in [PAGE, PAGE * 3 + 1, 5_000, content.len()].into_iter().enumerate() {
            let file = dir.path().join(number.to_string());
            let mut writer = LocalWriter::create(&place(&file), file.clone()).expect("a new file");
            writer.go_direct();
            content.chunks(piece).for_each(|bytes| writer.write(bytes).expect("written"));
            assert_eq!(Box::new(writer).leave(), Ok(content.len() as u64));
            assert!(fs::read(&file).expect("readable") == content, "{piece}");
        }
    }

    #[test]
    fn a_place_of_another_scheme_cannot_be_written() {
        let remote = Location::parse("s3://bucket/ck").expect("a path");
        let error = LocalStorage.create_dirs(&remote).expect_err("not local");
        assert_eq!(error.kind, StorageErrorKind::Unsupported);
        assert!(error.to_string().contains("does not write s3:"), "{error}");
    }
}
