//! A cursor over what RocksDB writes: little-endian integers, varints and length-prefixed slices (`util/coding.h`).

/// A cursor; every read gives nothing where the bytes end or a varint is too long.
#[derive(Clone)]
pub(super) struct Bytes<'a> {
    rest: &'a [u8],
    len: usize,
}

impl<'a> Bytes<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Bytes { rest: bytes, len: bytes.len() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Bytes that were read.
    pub(super) fn position(&self) -> usize {
        self.len.saturating_sub(self.rest.len())
    }

    #[inline]
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.rest.split_at_checked(count)?;
        self.rest = tail;
        Some(head)
    }

    #[inline]
    pub(super) fn u8(&mut self) -> Option<u8> {
        let (first, tail) = self.rest.split_first()?;
        self.rest = tail;
        Some(*first)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        let (head, tail) = self.rest.split_first_chunk()?;
        self.rest = tail;
        Some(u32::from_le_bytes(*head))
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        let (head, tail) = self.rest.split_first_chunk()?;
        self.rest = tail;
        Some(u64::from_le_bytes(*head))
    }

    #[inline]
    pub(super) fn varint64(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f).wrapping_shl(shift);
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    #[inline]
    pub(super) fn varint32(&mut self) -> Option<u32> {
        let mut value = 0_u32;
        for shift in (0..32).step_by(7) {
            let byte = self.u8()?;
            value |= u32::from(byte & 0x7f).wrapping_shl(shift);
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// A varint with the sign in its lowest bit (`GetVarsignedint64`).
    pub(super) fn signed(&mut self) -> Option<i64> {
        let value = self.varint64()?;
        let half = i64::try_from(value.wrapping_shr(1)).ok()?;
        Some(if value & 1 == 0 { half } else { !half })
    }

    /// A 32-bit length and that many bytes (`GetLengthPrefixedSlice`).
    pub(super) fn slice(&mut self) -> Option<&'a [u8]> {
        let len = self.varint32()?;
        self.take(usize::try_from(len).ok()?)
    }
}

/// Bytes that the shortest varint of a value takes, which is what RocksDB writes.
pub(super) fn varint_len(value: u64) -> usize {
    let bits = 64_u32.saturating_sub((value | 1).leading_zeros());
    bits.div_ceil(7) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_are_read_up_to_their_widths() {
        assert_eq!(Bytes::new(&[0xac, 0x02]).varint32(), Some(300));
        assert_eq!(Bytes::new(&[0xff; 9]).varint64(), None);
        let most = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(Bytes::new(&most).varint64(), Some(u64::MAX));
        assert_eq!(Bytes::new(&[0x80; 6]).varint32(), None);
        assert_eq!([0, 127, 128, u64::MAX].map(varint_len), [1, 1, 2, 10]);
    }

    #[test]
    fn signed_varints_alternate() {
        assert_eq!([0, 1, 2, 3].map(|byte| Bytes::new(&[byte]).signed()), [Some(0), Some(-1), Some(1), Some(-2)]);
    }

    #[test]
    fn a_slice_longer_than_the_bytes_is_none() {
        assert_eq!(Bytes::new(&[3, 1, 2]).slice(), None);
        assert_eq!(Bytes::new(&[2, 1, 2]).slice(), Some(&[1, 2][..]));
    }
}
