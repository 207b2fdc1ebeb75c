//! Snappy's framing as `SnappyFramedInputStream` reads it, frame by frame. Every checksum is compared, which Flink does not
//! do (`SnappyStreamCompressionDecorator` makes streams with `verifyChecksums` off, from 1.18 to 2.3): one that is
//! wrong is out of the ordinary, and what the frame holds is looked at.

use crate::wire::stream::{Fill, Plain};
use crate::wire::{Input, Problem, ReadAt, ReadError, Stream};

/// The section of errors whose offset is one of the file, not of what the frames hold.
pub(super) const FRAMES: &str = "frames of Snappy";
/// What the content of a frame takes at most (`SnappyFramedOutputStream.MAX_BLOCK_SIZE`).
const MAX_BLOCK: usize = 65_536;
/// Snappy gains at most 64 bytes from 3.
const MOST: u64 = 22;

/// How much out of the ordinary is kept: an identifier for every state there can be.
const NOTED: usize = 1 << 15;

/// The content of frames.
pub(super) struct Frames<'s> {
    input: Stream<Plain<'s>>,
    /// Whether the identifier of the stream was seen, which comes before all frames.
    identified: bool,
    frame: u64,
    content: Vec<u8>,
    given: usize,
    decoder: snap::raw::Decoder,
    /// Identifiers behind the first one: where they stand in the file, and how much content there is before them.
    again: Vec<(u64, u64)>,
    /// How much content there was in all frames that were read.
    produced: u64,
    /// Chunks that Flink passes over and does not write, by their offset in the file.
    odd: Vec<(u64, &'static str)>,
}

impl<'s> Frames<'s> {
    /// A stream over the content of frames, which [`restart`] points at some.
    pub(super) fn stream(source: &'s dyn ReadAt, progress: &'s dyn Fn(u64)) -> Stream<Self> {
        let frames = Frames {
            input: Stream::over(source, FRAMES, progress),
            identified: false,
            frame: 0,
            content: vec![0; MAX_BLOCK],
            given: MAX_BLOCK,
            decoder: snap::raw::Decoder::new(),
            again: Vec::new(),
            produced: 0,
            odd: Vec::new(),
        };
        Stream::new(frames, 0, "compressed state")
    }

    /// Where the frame starts that was read last, in the file.
    pub(super) fn frame(&self) -> u64 {
        self.frame
    }

    pub(super) fn take_odd(&mut self) -> Vec<(u64, &'static str)> {
        let again = self.again.drain(..).map(|(at, _)| (at, "an identifier in the middle of a stream"));
        let again: Vec<_> = again.collect();
        let mut odd = std::mem::take(&mut self.odd);
        odd.extend(again);
        odd
    }

    /// Forgets identifiers that have so much content before them as these numbers say, which are in order: one for each,
    /// and all that are not behind `known`.
    pub(super) fn expect(&mut self, before: &[u64], known: u64) {
        let mut last = None;
        self.again.retain(|(_, content)| {
            let expected = before.binary_search(content).is_ok() && last != Some(*content);
            last = Some(*content);
            *content <= known && !expected
        });
    }

    /// Reads the next frame with content, and says how much of it was put into `out`: all, or nothing, and
    /// [`Frames::content`] has it. `None` at the end.
    fn next(&mut self, out: &mut [u8]) -> Result<Option<usize>, ReadError> {
        loop {
            self.frame = self.input.offset();
            match self.input.left() {
                0 => return Ok(None),
                left @ 1..4 => {
                    return Err(self.input.error_at(self.frame, Problem::Truncated { wanted: 4, left }));
                }
                _ => {}
            }
            let kind = self.input.u8()?;
            let (low, middle, high) = (self.input.u8()?, self.input.u8()?, self.input.u8()?);
            let length = usize::try_from(u32::from_le_bytes([low, middle, high, 0])).unwrap_or(usize::MAX);
            match kind {
                0xff => {
                    let mut name = [0; 6];
                    if length == name.len() {
                        self.input.copy(&mut name)?;
                    }
                    let is_name = &name == b"sNaPpY";
                    // Of a later one only the length is compared.
                    if !is_name && (!self.identified || length != name.len()) {
                        return Err(self.invalid("an identifier of a stream that is not Snappy's"));
                    }
                    if self.identified && !is_name && self.odd.len() < NOTED {
                        self.odd.push((self.frame, "an identifier that is not Snappy's, which Flink does not compare"));
                    }
                    if self.identified && self.again.len() < NOTED {
                        self.again.push((self.frame, self.produced));
                    }
                    self.identified = true;
                }
                // `SnappyFramedInputStream` compares the first ten bytes when it is made.
                0..=0xfe if !self.identified => {
                    return Err(self.invalid("frames that no identifier of a stream precedes"));
                }
                0 | 1 => {
                    return self.data(kind == 0, length, out).map(Some);
                }
                2..0x80 => return Err(self.invalid(format_args!("a chunk of the reserved type {kind}"))),
                _ => {
                    if self.odd.len() < NOTED {
                        self.odd.push((self.frame, "a chunk without content, which Flink does not write"));
                    }
                    self.input.skip(length as u64)?;
                }
            }
        }
    }

    #[cold]
    fn invalid(&self, what: impl std::fmt::Display) -> ReadError {
        self.input.invalid_at(self.frame, what)
    }

    /// Reads a chunk with content, as [`Frames::next`] says.
    fn data(&mut self, compressed: bool, length: usize, out: &mut [u8]) -> Result<usize, ReadError> {
        let Some(length) = length.checked_sub(4).filter(|length| *length > 0) else {
            return Err(self.invalid("a frame without content"));
        };
        let most = if compressed { snap::raw::max_compress_len(MAX_BLOCK) } else { MAX_BLOCK };
        if length > most {
            return Err(self.invalid(format_args!("a frame of {length} bytes, of which {most} are the most")));
        }
        let wanted = self.input.i32()?.swap_bytes().cast_unsigned();
        if self.input.at_hand().len() < length {
            self.input.gather(length)?;
        }
        let Some(chunk) = self.input.at_hand().get(..length) else {
            return Err(self
                .input
                .skip(length as u64)
                .err()
                .unwrap_or_else(|| self.invalid("a frame that ends early")));
        };
        let bad = |error: snap::Error| format!("a frame that cannot be decompressed: {error}");
        let size = match compressed {
            true => snap::raw::decompress_len(chunk),
            false => Ok(length),
        };
        let size = match size {
            Ok(size) => size,
            Err(error) => {
                self.input.advance(length);
                return Err(self.invalid(bad(error)));
            }
        };
        if size > MAX_BLOCK {
            self.input.advance(length);
            return Err(self.invalid(format_args!("a frame with content of {size} bytes")));
        }
        self.given = 0;
        self.content.clear();
        let fits = out.len() >= size && size > 0;
        let content = match out.get_mut(..size) {
            Some(out) if fits => out,
            _ => {
                self.content.resize(size, 0);
                self.content.as_mut_slice()
            }
        };
        let decompressed = match compressed {
            true => self.decoder.decompress(chunk, content).map(|_| ()),
            false => {
                content.copy_from_slice(chunk);
                Ok(())
            }
        };
        let found = crc32c::crc32c(content).rotate_right(15).wrapping_add(0xa282_ead8);
        self.input.advance(length);
        if let Err(error) = decompressed {
            self.content.clear();
            return Err(self.invalid(bad(error)));
        }
        self.produced = self.produced.saturating_add(size as u64);
        if found != wanted && self.odd.len() < NOTED {
            self.odd
                .push((self.frame, "a frame whose checksum is not that of its content, which Flink does not compare"));
        }
        Ok(if fits { size } else { 0 })
    }
}

impl Fill for Frames<'_> {
    fn fill(&mut self, _: u64, out: &mut [u8]) -> Result<usize, ReadError> {
        while self.given >= self.content.len() {
            match self.next(out)? {
                None => return Ok(0),
                Some(0) => {}
                Some(count) => return Ok(count),
            }
        }
        let rest = self.content.get(self.given..).unwrap_or_default();
        let count = rest.len().min(out.len());
        if let (Some(out), Some(rest)) = (out.get_mut(..count), rest.get(..count)) {
            out.copy_from_slice(rest);
        }
        self.given = self.given.saturating_add(count);
        Ok(count)
    }
}

/// Goes to the frames between two offsets of the file. `identified` says that they are from the middle of a stream.
pub(super) fn restart(stream: &mut Stream<Frames<'_>>, start: u64, end: u64, identified: bool) {
    let most = end.saturating_sub(start).saturating_mul(MOST);
    let frames = stream.reset(most);
    frames.input.seek(start, end);
    frames.identified = identified;
    frames.frame = start;
    (frames.produced, frames.given) = (0, 0);
    frames.content.clear();
    frames.again.clear();
    frames.odd.clear();
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

    fn read(bytes: &[u8], length: usize) -> Result<Vec<u8>, String> {
        let mut stream = Frames::stream(&bytes, &|_| {});
        restart(&mut stream, 0, bytes.len() as u64, false);
        let mut out = vec![0; length];
        stream.copy(&mut out).map_err(|error| error.to_string())?;
        let left = stream.window().map_err(|error| error.to_string())?.len();
        match (left, stream.filler_mut().take_odd().len()) {
            (0, 0) => Ok(out),
            left => Err(format!("{left:?} bytes more and oddities")),
        }
    }

    #[test]
    fn the_content_of_frames_is_what_was_put_in() {
        let text: Vec<u8> = (0..300_000_u32).map(|at| (at.wrapping_mul(at) >> 7) as u8).collect();
        assert_eq!(read(&frames(&text), text.len()), Ok(text));
    }

    #[test]
    fn nothing_may_stand_before_the_identifier() {
        let bytes = [&[0xfe, 1, 0, 0, 0][..], &frames(b"text")].concat();
        assert!(read(&bytes, 4).is_err());
    }

    #[test]
    fn every_byte_of_a_frame_is_guarded() {
        let text = b"some text, long enough to be compressed, long enough to be compressed, and more";
        let bytes = frames(text);
        for at in 0..bytes.len() {
            for flip in [1, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] ^= flip;
                assert!(read(&damaged, text.len()).is_err(), "byte {at} ^ {flip}");
            }
            assert!(read(&bytes[..at], text.len()).is_err(), "cut at {at}");
        }
    }
}
