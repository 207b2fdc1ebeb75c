//! The files of an embedded database, which are most of a large `_metadata`.

use super::handle::LocalFile;
use crate::wire::{Budget, Decoded, Reader};
use std::fmt;

/// Reads one file of a list, as the format has it.
pub type ReadLocalFile = for<'b> fn(&mut Reader<'b>, &mut Budget) -> Decoded<LocalFile<'b>>;

/// Checks one file of a list and passes over it; gives its size.
pub type CheckLocalFile = for<'b> fn(&mut Reader<'b>, &mut Budget) -> Decoded<i64>;

/// A list of files. One that was decoded stays as it stands in the input, checked, and its items are made as they are
/// asked for: a job of a thousand subtasks has hundreds of thousands of them, and their memory would cost more than
/// reading them again.
#[derive(Clone)]
pub struct LocalFiles<'a>(List<'a>);

#[derive(Clone)]
enum List<'a> {
    Encoded { bytes: &'a [u8], count: usize, state_size: i64, read: ReadLocalFile },
    Listed(Vec<LocalFile<'a>>),
}

impl<'a> LocalFiles<'a> {
    /// Checks `count` files of the input and leaves them there. What `check` lets pass, `read` must read.
    pub fn read(
        reader: &mut Reader<'a>,
        budget: &mut Budget,
        count: usize,
        check: CheckLocalFile,
        read: ReadLocalFile,
    ) -> Decoded<Self> {
        let start = reader.rest();
        let mut state_size = 0_i64;
        for _ in 0..count {
            state_size = state_size.wrapping_add(check(reader, budget)?);
        }
        let bytes = start.get(..start.len().saturating_sub(reader.left())).unwrap_or_default();
        Ok(LocalFiles(List::Encoded { bytes, count, state_size, read }))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            List::Encoded { count, .. } => *count,
            List::Listed(files) => files.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Size of the files in bytes, added up as Flink does.
    pub fn state_size(&self) -> i64 {
        match &self.0 {
            List::Encoded { state_size, .. } => *state_size,
            List::Listed(files) => files.iter().fold(0, |sum, file| sum.wrapping_add(file.stream.state_size())),
        }
    }

    /// The bytes of the items, where the list is still as it was decoded.
    pub fn encoded(&self) -> Option<&'a [u8]> {
        match &self.0 {
            List::Encoded { bytes, .. } => Some(bytes),
            List::Listed(_) => None,
        }
    }

    /// The files, where they are in a list.
    pub fn listed(&self) -> Option<&[LocalFile<'a>]> {
        match &self.0 {
            List::Encoded { .. } => None,
            List::Listed(files) => Some(files),
        }
    }

    /// The files, to be changed, where they are in a list.
    pub fn listed_mut(&mut self) -> Option<&mut [LocalFile<'a>]> {
        match &mut self.0 {
            List::Encoded { .. } => None,
            List::Listed(files) => Some(files),
        }
    }

    /// The files, in order.
    pub fn iter(&self) -> LocalFilesIter<'_, 'a> {
        match &self.0 {
            List::Encoded { bytes, read, .. } => {
                LocalFilesIter::Encoded { reader: Reader::new(bytes, "files"), read: *read }
            }
            List::Listed(files) => LocalFilesIter::Listed(files.iter()),
        }
    }
}

impl Default for LocalFiles<'_> {
    fn default() -> Self {
        LocalFiles(List::Listed(Vec::new()))
    }
}

impl<'a> From<Vec<LocalFile<'a>>> for LocalFiles<'a> {
    fn from(files: Vec<LocalFile<'a>>) -> Self {
        LocalFiles(List::Listed(files))
    }
}

impl<'a> FromIterator<LocalFile<'a>> for LocalFiles<'a> {
    fn from_iter<I: IntoIterator<Item = LocalFile<'a>>>(files: I) -> Self {
        LocalFiles(List::Listed(files.into_iter().collect()))
    }
}

impl PartialEq for LocalFiles<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl fmt::Debug for LocalFiles<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Gives the files of a list.
pub enum LocalFilesIter<'l, 'a> {
    /// From the input.
    Encoded {
        /// At the next item.
        reader: Reader<'a>,
        /// Reads one.
        read: ReadLocalFile,
    },
    /// From a list of items.
    Listed(std::slice::Iter<'l, LocalFile<'a>>),
}

impl<'a> Iterator for LocalFilesIter<'_, 'a> {
    type Item = LocalFile<'a>;

    #[inline]
    fn next(&mut self) -> Option<LocalFile<'a>> {
        match self {
            LocalFilesIter::Encoded { reader, .. } if reader.left() == 0 => None,
            // They were checked when the list was made, so there is no error to lose.
            LocalFilesIter::Encoded { reader, read } => read(reader, &mut Budget::for_input(reader.left())).ok(),
            LocalFilesIter::Listed(files) => files.next().cloned(),
        }
    }
}
