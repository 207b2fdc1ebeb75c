//! Compressed blocks (`util/compression.h`), decompressed within a limit.

use super::bytes::Bytes;
use std::io::Read;

/// `CompressionType` of RocksDB's `compression_type.h`: the byte behind every block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Compression {
    None,
    Snappy,
    Zlib,
    Bzip2,
    Lz4,
    Lz4hc,
    Xpress,
    Zstd,
}

impl Compression {
    pub(super) const ALL: [Compression; 8] = [
        Compression::None,
        Compression::Snappy,
        Compression::Zlib,
        Compression::Bzip2,
        Compression::Lz4,
        Compression::Lz4hc,
        Compression::Xpress,
        Compression::Zstd,
    ];

    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            // kZSTDNotFinalCompression, of old betas.
            0x40 => Some(Compression::Zstd),
            byte => Compression::ALL.get(usize::from(byte)).copied(),
        }
    }
}

/// Why a block could not be decompressed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The bytes are not what the compression writes.
    Damaged(String),
    /// It is not known to chkctl, or larger than it reads.
    Unknown(String),
}

/// What a block holds. From format version 2 on, its size stands before it (`GetCompressFormatForVersion`), but for
/// Snappy, which has its own.
pub(super) fn decompress(
    kind: Compression,
    bytes: &[u8],
    format_version: u32,
    limit: u64,
    out: &mut Vec<u8>,
) -> Result<(), Failure> {
    out.clear();
    let mut input = Bytes::new(bytes);
    let size = match kind {
        Compression::None => bytes.len() as u64,
        Compression::Snappy => snap::raw::decompress_len(bytes).map_err(damaged)? as u64,
        Compression::Zlib | Compression::Lz4 | Compression::Lz4hc if format_version < 2 => {
            // Version 1 has eight bytes before LZ4 and nothing before zlib; no RocksDB of Flink's writes either.
            return Err(Failure::Unknown(format!("{kind:?} in format version {format_version} is not read")));
        }
        Compression::Zlib | Compression::Lz4 | Compression::Lz4hc | Compression::Zstd => {
            u64::from(input.varint32().ok_or_else(|| Failure::Damaged("it has no size".to_owned()))?)
        }
        Compression::Bzip2 | Compression::Xpress => {
            return Err(Failure::Unknown(format!("blocks compressed by {kind:?} are not read")));
        }
    };
    if size > limit {
        return Err(Failure::Unknown(format!("it would be {size} bytes decompressed, more than {limit} are not read")));
    }
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let bytes = input.rest();
    match kind {
        Compression::Snappy => {
            out.resize(size, 0);
            let count = snap::raw::Decoder::new().decompress(bytes, out).map_err(damaged)?;
            out.truncate(count);
        }
        Compression::Lz4 | Compression::Lz4hc => {
            out.resize(size, 0);
            let count = lz4_flex::block::decompress_into(bytes, out).map_err(damaged)?;
            out.truncate(count);
        }
        Compression::Zlib => {
            // Raw deflate: window_bits is -14.
            *out = miniz_oxide::inflate::decompress_to_vec_with_limit(bytes, size).map_err(damaged)?;
        }
        Compression::Zstd => {
            let frames = ruzstd::decoding::StreamingDecoder::new(bytes).map_err(damaged)?;
            let most = (size as u64).saturating_add(1);
            frames.take(most).read_to_end(out).map_err(damaged)?;
        }
        Compression::None | Compression::Bzip2 | Compression::Xpress => out.extend_from_slice(bytes),
    }
    match out.len() == size {
        true => Ok(()),
        false => Err(Failure::Damaged(format!("it holds {} bytes instead of the {size} that it says", out.len()))),
    }
}

fn damaged(error: impl std::fmt::Display) -> Failure {
    Failure::Damaged(format!("it cannot be decompressed: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_that_says_it_is_huge_is_not_decompressed() {
        let huge = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0];
        for kind in [Compression::Snappy, Compression::Zlib, Compression::Lz4, Compression::Zstd] {
            let result = decompress(kind, &huge, 5, 1 << 20, &mut Vec::new());
            assert!(matches!(result, Err(Failure::Unknown(_))), "{kind:?}: {result:?}");
        }
    }

    #[test]
    fn lz4_and_zlib_are_read_behind_their_size() {
        let text = b"a text, a text, a text, a text, a text".repeat(10);
        let size = [0xfc, 0x02];
        let lz4 = [&size[..], &lz4_flex::block::compress(&text)].concat();
        let zlib = [&size[..], &miniz_oxide::deflate::compress_to_vec(&text, 6)].concat();
        for (kind, bytes) in [(Compression::Lz4, lz4), (Compression::Zlib, zlib)] {
            let mut out = Vec::new();
            decompress(kind, &bytes, 5, 1 << 20, &mut out).unwrap_or_else(|error| panic!("{kind:?}: {error:?}"));
            assert!(out == text, "{kind:?}");
            let short = decompress(kind, &bytes, 5, 100, &mut out);
            assert!(matches!(short, Err(Failure::Unknown(_))), "{kind:?}: {short:?}");
        }
    }
}
