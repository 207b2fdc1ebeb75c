//! Indexes: keys in order, with the places of blocks (`IndexBlockIter` in `table/block_based/block.cc`, `IndexValue` in
//! `table/format.cc`).

use super::block::{Entries, Handle, TRAILER, Values};
use super::bytes::Bytes;

/// How the indexes of a file are written, which its properties say.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Layout {
    /// Keys are without sequence number and type.
    pub(super) user_keys: bool,
    /// Handles are without offset where the key shares bytes with the last one.
    pub(super) deltas: bool,
    /// The first key of the block follows its handle (`kBinarySearchWithFirstKey`).
    pub(super) first_key: bool,
    /// Keys are ordered by their bytes (`leveldb.BytewiseComparator`, which Flink uses).
    pub(super) bytewise: bool,
}

/// The places that an index has, in order.
pub(super) struct Index<'b> {
    entries: Entries<'b>,
    layout: Layout,
    last: Option<Handle>,
    last_key: Vec<u8>,
}

impl<'b> Index<'b> {
    pub(super) fn new(block: &'b [u8], layout: Layout) -> Result<Self, String> {
        let values = if layout.deltas { Values::Bare } else { Values::WithLength };
        Ok(Index { entries: Entries::new(block, values)?, layout, last: None, last_key: Vec::new() })
    }

    /// The next place.
    pub(super) fn next(&mut self) -> Result<Option<Handle>, String> {
        let Some(entry) = self.entries.next()? else { return Ok(None) };
        let broken = || format!("the place at {} of the index cannot be read", entry.at);
        let handle = match self.layout.deltas {
            true => {
                let last = if entry.shared { self.last } else { None };
                let first_key = self.layout.first_key;
                value(self.entries.bare(), last, first_key).ok_or_else(broken)?
            }
            false => {
                let mut bytes = Bytes::new(self.entries.value());
                let handle = value(&mut bytes, None, self.layout.first_key).ok_or_else(broken)?;
                if !bytes.is_empty() {
                    return Err(broken());
                }
                handle
            }
        };
        if self.layout.bytewise {
            let key = self.entries.key();
            let user_key = match self.layout.user_keys {
                true => key,
                false => key.len().checked_sub(8).and_then(|len| key.get(..len)).ok_or_else(broken)?,
            };
            if self.last.is_some() && user_key < self.last_key.as_slice() {
                return Err(format!("the key at {} of the index is before the last one", entry.at));
            }
            self.last_key.clear();
            self.last_key.extend_from_slice(user_key);
        }
        self.last = Some(handle);
        Ok(Some(handle))
    }
}

fn value(bytes: &mut Bytes<'_>, last: Option<Handle>, first_key: bool) -> Option<Handle> {
    let handle = match last {
        None => Handle::read(bytes)?,
        Some(last) => Handle {
            offset: last.offset.checked_add(last.size)?.checked_add(TRAILER)?,
            size: last.size.checked_add_signed(bytes.signed()?)?,
        },
    };
    if first_key {
        bytes.slice()?;
    }
    Some(handle)
}
