//! Large files, read as a whole.
//!
//! Reading a `_metadata` of 60 MB from the page cache takes longer to get the memory for it, 4 KiB at a time, than to
//! copy the bytes. So the system is asked for large pages, and several threads read a part each. Mapping the file would
//! be quicker still, but a mapped file that is cut or cannot be read ends the process instead of giving an error.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;
use std::thread;

/// From this size in bytes on it pays.
pub(super) const FROM: usize = 8 << 20;
const MOST_THREADS: usize = 8;

/// Reads `size` bytes. A file that became shorter meanwhile is an error.
pub(super) fn read(path: &Path, size: usize) -> io::Result<Vec<u8>> {
    let mut content = vec![0; size];
    ask_for_large_pages(&mut content);
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    let share = size.div_ceil(threads).max(1);
    thread::scope(|scope| {
        let read_part = |(index, part): (usize, &mut [u8])| {
            let mut file = File::open(path)?;
            file.seek(io::SeekFrom::Start((index * share) as u64))?;
            file.read_exact(part)
        };
        let parts: Vec<_> =
            content.chunks_mut(share).enumerate().map(|part| scope.spawn(move || read_part(part))).collect();
        parts.into_iter().try_for_each(|part| part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    Ok(content)
}

/// Asks for large pages for memory that was not touched yet. If there are none, all goes on with small ones.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "madvise has no safe form")]
fn ask_for_large_pages(memory: &mut [u8]) {
    use rustix::mm::{Advice, madvise};
    let page = rustix::param::page_size();
    let skip = memory.as_ptr().align_offset(page);
    let Some(inner) = memory.get_mut(skip..) else { return };
    let whole = inner.len() - inner.len() % page;
    // SAFETY: the range is whole pages inside a slice that this function borrows mutably, and MADV_HUGEPAGE changes
    // how the memory is backed, never what it holds.
    let _ = unsafe { madvise(inner.as_mut_ptr().cast(), whole, Advice::LinuxHugepage) };
}

#[cfg(not(target_os = "linux"))]
fn ask_for_large_pages(_: &mut [u8]) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_file_is_read_whole_and_a_shorter_one_is_an_error() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("large");
        let content: Vec<u8> = (0..FROM + 4_321).map(|i| (i % 251) as u8).collect();
        std::fs::write(&path, &content).expect("a file");
        assert!(read(&path, content.len()).expect("readable") == content);
        assert!(read(&path, content.len() + 1).is_err());
    }
}
