//! Checksums of blocks, footers and log records.

use xxhash_rust::xxh3::xxh3_64;
use xxhash_rust::xxh32::xxh32;
use xxhash_rust::xxh64::xxh64;

/// `ChecksumType` of RocksDB's `table.h`: what follows every block of an SST file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChecksumKind {
    /// No checksum; only what the content says of itself can be checked.
    None,
    /// CRC-32C, masked: RocksDB up to 6.26, Flink up to 1.20.
    Crc32c,
    /// XXH32.
    XxHash,
    /// The lower half of XXH64.
    XxHash64,
    /// The lower half of XXH3, with the last byte mixed in: RocksDB from 6.27 on, Flink from 2.0 on.
    Xxh3,
}

impl ChecksumKind {
    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0 => ChecksumKind::None,
            1 => ChecksumKind::Crc32c,
            2 => ChecksumKind::XxHash,
            3 => ChecksumKind::XxHash64,
            4 => ChecksumKind::Xxh3,
            _ => return None,
        })
    }

    /// `ComputeBuiltinChecksum`: of a block that means its bytes and the byte with its compression.
    #[inline]
    pub(super) fn of(self, bytes: &[u8]) -> u32 {
        match self {
            ChecksumKind::None => 0,
            ChecksumKind::Crc32c => masked_crc32c(bytes),
            ChecksumKind::XxHash => xxh32(bytes, 0),
            ChecksumKind::XxHash64 => lower_half(xxh64(bytes, 0)),
            ChecksumKind::Xxh3 => match bytes.split_last() {
                None => 0,
                Some((last, rest)) => lower_half(xxh3_64(rest)) ^ u32::from(*last).wrapping_mul(0x6b90_83d9),
            },
        }
    }
}

#[inline]
fn lower_half(value: u64) -> u32 {
    (value & u64::from(u32::MAX)) as u32
}

/// `crc32c::Mask` of the CRC-32C, as it is stored.
#[inline]
pub(super) fn masked_crc32c(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// `ChecksumModifierForContext` (format version 6 and later): what is added to the checksum of a block at `offset`.
#[inline]
pub(super) fn context(base: u32, offset: u64) -> u32 {
    match base {
        0 => 0,
        base => base ^ lower_half(offset).wrapping_add(lower_half(offset.wrapping_shr(32))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_rocksdbs_tests() {
        // BlockBasedTableTest.PropertiesMetaBlockLast and util/crc32c_test.cc: 32 zero bytes give 8a9136aa.
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(masked_crc32c(b""), 0xa282_ead8);
        assert_eq!(ChecksumKind::Xxh3.of(b""), 0);
        assert_eq!(context(0, 77), 0);
        assert_eq!(context(1, 0x2_0000_0003), 1 ^ 5);
    }
}
