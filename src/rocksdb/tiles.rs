//! Whether blocks tile a file: no byte without a block, none in two.

use super::block::Handle;
use super::source::Window;
use super::{collect, damage};
use crate::model::{Damage, Effect};
use std::io;

/// Runs of blocks that are kept; files of RocksDB's have about five.
const MOST_RUNS: usize = 10_000;
/// What is read at once of bytes that no block has.
const STEP: u64 = 64 << 10;

/// Where blocks lie. Neighbours are kept as one run.
#[derive(Default)]
pub(super) struct Tiles {
    runs: Vec<(u64, u64)>,
    incomplete: bool,
}

impl Tiles {
    /// Adds a block with its trailer.
    #[inline]
    pub(super) fn add(&mut self, handle: Handle) {
        let Some(end) = handle.end() else {
            self.incomplete = true;
            return;
        };
        // Data, index partitions and filter partitions grow in turn.
        let room = self.runs.len() < MOST_RUNS;
        match self.runs.iter_mut().rev().take(4).find(|run| run.1 == handle.offset) {
            Some(run) => run.1 = end,
            None if room => self.runs.push((handle.offset, end)),
            None => self.incomplete = true,
        }
    }

    /// Not every block is known, so that nothing can be said.
    pub(super) fn incomplete(&mut self) {
        self.incomplete = true;
    }

    /// Checks the bytes up to `end`. Bytes between blocks may be zero: `block_align` pads.
    pub(super) fn check(mut self, window: &mut Window<'_>, end: u64, seen: &mut Vec<Damage>) -> io::Result<()> {
        if self.incomplete {
            return Ok(());
        }
        self.runs.sort_unstable();
        self.runs.push((end, end));
        let mut at = 0;
        for (from, to) in self.runs {
            if from < at {
                let problem = format!("the bytes from here to {at} belong to two blocks");
                collect(seen, damage(Effect::Starts, "blocks", from, problem));
            }
            while at < from {
                let len = from.saturating_sub(at).min(STEP);
                let bytes = window.get(at, usize::try_from(len).unwrap_or(usize::MAX))?.unwrap_or_default();
                if let Some(first) = bytes.iter().position(|byte| *byte != 0) {
                    let problem = format!("bytes up to {from} belong to no block");
                    collect(seen, damage(Effect::Starts, "blocks", at.saturating_add(first as u64), problem));
                    break;
                }
                at = at.saturating_add(len);
            }
            at = at.max(to);
        }
        Ok(())
    }
}
