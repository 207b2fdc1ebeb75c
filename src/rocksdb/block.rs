//! The inside of a block: entries with shared key prefixes, then restart points (`table/block_based/block.cc`).

use super::bytes::{Bytes, varint_len};

/// Bytes between a block and the next: its compression and its checksum.
pub(super) const TRAILER: u64 = 5;

/// Where a block lies (`BlockHandle`). The size is without the trailer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Handle {
    pub(super) offset: u64,
    pub(super) size: u64,
}

impl Handle {
    pub(super) fn read(bytes: &mut Bytes<'_>) -> Option<Self> {
        Some(Handle { offset: bytes.varint64()?, size: bytes.varint64()? })
    }

    /// As [`Handle::read`], for a handle that is written as short as RocksDB writes it.
    pub(super) fn read_shortest(bytes: &mut Bytes<'_>) -> Option<Self> {
        let start = bytes.position();
        let handle = Self::read(bytes)?;
        let len = bytes.position().checked_sub(start)?;
        (varint_len(handle.offset).checked_add(varint_len(handle.size)) == Some(len)).then_some(handle)
    }

    /// The first byte behind the trailer.
    pub(super) fn end(self) -> Option<u64> {
        self.offset.checked_add(self.size)?.checked_add(TRAILER)
    }
}

/// How values stand in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Values {
    /// Behind their length.
    WithLength,
    /// Without: the reader of the value knows its end (indexes whose handles are deltas).
    Bare,
}

/// One entry. `value` is not in here: [`Entries::value`] gives what may still be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// Where it starts in the block.
    pub(super) at: usize,
    /// Whether its key shares bytes with the one before, which makes handles deltas.
    pub(super) shared: bool,
}

/// The entries of a block in order.
pub(super) struct Entries<'b> {
    bytes: Bytes<'b>,
    values: Values,
    key: Vec<u8>,
    value: &'b [u8],
    restarts: &'b [u8],
    next_restart: Option<u32>,
}

impl<'b> Entries<'b> {
    /// Finds the restart points, which stand last.
    pub(super) fn new(block: &'b [u8], values: Values) -> Result<Self, String> {
        let short = || format!("a block of {} bytes has no room for its restart points", block.len());
        let (rest, packed) = block.split_last_chunk::<4>().ok_or_else(short)?;
        let packed = u32::from_le_bytes(*packed);
        // The highest bit says that a hash index stands between the restart points and the counts.
        let (rest, count) = match packed & (1 << 31) {
            0 => (rest, packed),
            _ => {
                let (rest, buckets) = rest.split_last_chunk::<2>().ok_or_else(short)?;
                let left = rest.len().checked_sub(usize::from(u16::from_le_bytes(*buckets))).ok_or_else(short)?;
                (rest.get(..left).ok_or_else(short)?, packed & !(1 << 31))
            }
        };
        let len = usize::try_from(count).ok().and_then(|count| count.checked_mul(4));
        let entries = len.and_then(|len| rest.len().checked_sub(len));
        let Some((entries, restarts)) = entries.and_then(|at| rest.split_at_checked(at)) else {
            return Err(format!("{count} restart points do not fit a block of {} bytes", block.len()));
        };
        let mut all = Entries {
            bytes: Bytes::new(entries),
            values,
            key: Vec::new(),
            value: &[],
            restarts,
            next_restart: Some(0),
        };
        all.next_restart = all.restart();
        match all.next_restart {
            Some(0) => Ok(all),
            _ => Err("the first restart point is not the first entry".to_owned()),
        }
    }

    fn restart(&mut self) -> Option<u32> {
        let (first, rest) = self.restarts.split_first_chunk()?;
        self.restarts = rest;
        Some(u32::from_le_bytes(*first))
    }

    /// Steps to the next entry, whose key is [`Entries::key`] then.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, String> {
        let at = self.bytes.position();
        if self.bytes.is_empty() {
            return match self.next_restart {
                Some(restart) if restart as usize != at || at != 0 => {
                    Err(format!("restart point {restart} is behind the entries, which end at {at}"))
                }
                _ => Ok(None),
            };
        }
        let broken = || format!("the entry at {at} does not fit the block");
        let shared = self.bytes.varint32().ok_or_else(broken)? as usize;
        let own = self.bytes.varint32().ok_or_else(broken)? as usize;
        let value = match self.values {
            Values::WithLength => self.bytes.varint32().ok_or_else(broken)? as usize,
            Values::Bare => 0,
        };
        if shared > self.key.len() {
            return Err(format!("the key at {at} shares {shared} bytes of one with {}", self.key.len()));
        }
        if let Some(restart) = self.next_restart {
            let restart = restart as usize;
            if restart < at || (restart == at && shared != 0) {
                return Err(format!("restart point {restart} is not the start of a key"));
            }
            if restart == at {
                self.next_restart = self.restart();
            }
        }
        let own = self.bytes.take(own).ok_or_else(broken)?;
        self.value = self.bytes.take(value).ok_or_else(broken)?;
        self.key.truncate(shared);
        self.key.extend_from_slice(own);
        Ok(Some(Entry { at, shared: shared != 0 }))
    }

    /// The key of the entry stepped to.
    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }

    /// The value, where values are with their length.
    pub(super) fn value(&self) -> &'b [u8] {
        self.value
    }

    /// The bytes behind the key, where values are without a length: the caller reads the value from there.
    pub(super) fn bare(&mut self) -> &mut Bytes<'b> {
        &mut self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(block: &[u8]) -> Result<Vec<Vec<u8>>, String> {
        let mut entries = Entries::new(block, Values::WithLength)?;
        let mut keys = Vec::new();
        while entries.next()?.is_some() {
            keys.push(entries.key().to_vec());
        }
        Ok(keys)
    }

    #[test]
    fn keys_share_what_the_last_one_starts_with() {
        let block = b"\0\x03\x01abcV\x02\x01\0d\0\0\0\0\x01\0\0\0";
        assert_eq!(keys(block), Ok(vec![b"abc".to_vec(), b"abd".to_vec()]));
    }

    #[test]
    fn a_block_that_contradicts_itself_is_an_error() {
        let good = b"\0\x03\x01abcV\x02\x01\0d\0\0\0\0\x01\0\0\0";
        for (at, byte) in [(0, 1), (1, 40), (7, 4), (11, 1), (15, 0), (15, 9), (18, 0x80)] {
            let mut block = good.to_vec();
            block[at] = byte;
            assert!(keys(&block).is_err(), "byte {at} as {byte}: {:?}", keys(&block));
        }
        assert!(keys(b"").is_err());
    }

    #[test]
    fn handles_are_read_in_their_shortest_form_only() {
        let mut bytes = Bytes::new(&[0x81, 0x00, 0x05]);
        assert_eq!(Handle::read(&mut bytes.clone()), Some(Handle { offset: 1, size: 5 }));
        assert_eq!(Handle::read_shortest(&mut bytes), None);
    }
}
