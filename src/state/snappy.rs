//! Snappy's framing, as `SnappyStreamCompressionDecorator` uses it for key groups and operator state.

use crate::wire::{Decoded, Problem, Reader};
use std::io::Read;

/// What every stream of frames starts with; elements of operator state in the middle of one are without it.
const STREAM_IDENTIFIER: &[u8] = b"\xff\x06\x00\x00sNaPpY";
/// Snappy gains at most about 22 to 1; this leaves room.
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
    let frames = snap::read::FrameDecoder::new(STREAM_IDENTIFIER.chain(bytes));
    if let Err(error) = frames.take(allowed.saturating_add(1)).read_to_end(&mut out) {
        return Err(input.invalid_at(start, format_args!("compressed state cannot be decompressed: {error}")));
    }
    if out.len() as u64 > allowed {
        return Err(input.error_at(start, Problem::OverBudget { allowed }));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn frames(text: &[u8]) -> Vec<u8> {
        let mut encoder = snap::write::FrameEncoder::new(Vec::new());
        encoder.write_all(text).expect("a vector");
        encoder.into_inner().expect("a vector")
    }

    #[test]
    fn streams_one_behind_the_other_are_one_text() {
        let bytes = [frames(b"first "), frames(&[b'x'; 200_000])].concat();
        let text = decompress(&mut Reader::new(&bytes, "test")).expect("two streams");
        assert_eq!((text.get(..7), text.len()), (Some(&b"first x"[..]), 200_006));
    }

    #[test]
    fn damaged_frames_are_errors() {
        let bytes = frames(b"some text, long enough to be compressed, long enough to be compressed");
        for at in 10..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x55;
            let text = decompress(&mut Reader::new(&damaged, "test"));
            assert!(text.is_err() || text.as_deref() == Ok(b""), "byte {at}");
        }
    }
}
