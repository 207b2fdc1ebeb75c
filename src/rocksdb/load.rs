//! One block of an SST file: found, verified against its checksum, decompressed.

use super::block::{Handle, TRAILER};
use super::checksum::context;
use super::compression::{Compression, Failure, decompress};
use super::footer::Footer;
use super::source::Window;
use super::{MOST_BLOCK, damage};
use crate::model::{Damage, Effect};
use std::io;

/// Blocks other than data blocks.
pub(super) struct Blocks<'s> {
    window: Window<'s>,
    footer: Footer,
    /// Bytes that may still come of it. A few bytes can decompress to millions, and one block be named many times.
    budget: u64,
}

/// Why a block is not there.
pub(super) enum Bad {
    Damaged(String),
    Unknown(String),
}

impl Bad {
    pub(super) fn into_damage(self, effect: Effect, section: &str, at: u64) -> Damage {
        match self {
            Bad::Damaged(problem) => damage(effect, section, at, problem),
            Bad::Unknown(problem) => damage(Effect::Unknown, section, at, problem),
        }
    }
}

impl From<Failure> for Bad {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Damaged(problem) => Bad::Damaged(problem),
            Failure::Unknown(problem) => Bad::Unknown(problem),
        }
    }
}

/// Where a block must lie, as a length for memory.
pub(super) fn length(handle: Handle, footer: &Footer) -> Result<usize, Bad> {
    let Handle { offset, size } = handle;
    match handle.end() {
        Some(end) if end <= footer.start => {}
        _ => return Err(Bad::Damaged(format!("{size} bytes at {offset} are not inside the file"))),
    }
    match usize::try_from(size) {
        Ok(size) if size as u64 <= MOST_BLOCK => Ok(size.saturating_add(TRAILER as usize)),
        _ => Err(Bad::Unknown(format!("a block of {size} bytes, more than {MOST_BLOCK} are not read"))),
    }
}

/// Checks a block with its trailer, and gives it without, and how it is compressed.
#[inline]
pub(super) fn verify<'b>(block: &'b [u8], offset: u64, footer: &Footer) -> Result<(&'b [u8], u8), Bad> {
    let cut = || Bad::Damaged("the file ends inside of it".to_owned());
    let (summed, stored) = block.split_last_chunk::<4>().ok_or_else(cut)?;
    let (kind, content) = summed.split_last().ok_or_else(cut)?;
    let stored = u32::from_le_bytes(*stored);
    let computed = footer.checksum.of(summed).wrapping_add(context(footer.base_context, offset));
    match stored == computed {
        true => Ok((content, *kind)),
        false => Err(Bad::Damaged(format!("checksum mismatch: {stored:08x} is stored, its bytes have {computed:08x}"))),
    }
}

/// What the blocks of a file may come to, decompressed.
pub(super) fn budget(file: u64) -> u64 {
    file.saturating_mul(256).saturating_add(MOST_BLOCK)
}

impl<'s> Blocks<'s> {
    pub(super) fn new(window: Window<'s>, footer: Footer, file: u64) -> Self {
        Blocks { window, footer, budget: budget(file) }
    }

    /// Reads, verifies and decompresses a block.
    pub(super) fn load(&mut self, handle: Handle, out: &mut Vec<u8>) -> Result<Result<(), Bad>, io::Error> {
        out.clear();
        let len = match length(handle, &self.footer) {
            Ok(len) => len,
            Err(bad) => return Ok(Err(bad)),
        };
        let block = self.window.get(handle.offset, len)?.unwrap_or_default();
        let (content, kind) = match verify(block, handle.offset, &self.footer) {
            Ok(block) => block,
            Err(bad) => return Ok(Err(bad)),
        };
        let Some(kind) = Compression::from_byte(kind) else {
            return Ok(Err(Bad::Unknown(format!("{kind} is no compression that is known"))));
        };
        let limit = self.budget.min(MOST_BLOCK);
        let result = decompress(kind, content, self.footer.version, limit, out);
        self.budget = self.budget.saturating_sub(out.len() as u64);
        Ok(result.map_err(Bad::from))
    }
}
