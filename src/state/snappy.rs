//! Snappy's framing, as `SnappyFramedOutputStream` of xerial writes it for compressed key groups.

use crate::wire::{Decoded, Problem, Reader};
use std::io::Read;

/// A frame of so much text takes ten bytes at least: type, length, checksum and something compressed. Snappy gains at
/// most about 22 to 1; this leaves room.
const MOST: u64 = 64;

/// Everything that the frames from here to the end of the input hold.
///
/// # Errors
/// When a frame is damaged, or they hold more than such input can.
pub(super) fn decompress(input: &mut Reader<'_>) -> Decoded<Vec<u8>> {
    let start = input.offset();
    let bytes = input.take(input.left())?;
    let allowed = (bytes.len() as u64).saturating_mul(MOST);
    let mut out = Vec::new();
    let mut frames = snap::read::FrameDecoder::new(bytes).take(allowed.saturating_add(1));
    if let Err(error) = frames.read_to_end(&mut out) {
        return Err(input.invalid_at(start, format_args!("compressed state cannot be decompressed: {error}")));
    }
    if out.len() as u64 > allowed {
        return Err(input.error_at(start, Problem::OverBudget { allowed }));
    }
    Ok(out)
}
