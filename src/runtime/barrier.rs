//! The alignment of barriers, as a pure state machine.
//!
//! A task with several input channels has seen all that belongs to a checkpoint when its barrier has come from each of
//! them. With exactly-once guarantees, a channel whose barrier has come is blocked until the others' have, so that no
//! record from behind a barrier gets into the state before the snapshot (`SingleCheckpointBarrierHandler`); with
//! at-least-once ones, nothing is blocked, barriers are only counted (`CheckpointBarrierTracker`).

use super::coordinator::CheckpointMode;
use std::collections::{BTreeMap, BTreeSet};

/// What follows from a barrier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Alignment {
    /// Wait for the others.
    Wait,
    /// All barriers of this checkpoint have come: take the snapshot, then read all channels again.
    Complete,
    /// The barrier belongs to a checkpoint that was given up.
    Ignore,
}

/// Counts barriers per checkpoint and knows which channels are blocked.
pub(crate) struct BarrierAligner {
    mode: CheckpointMode,
    blocked: Vec<bool>,
    arrived: BTreeMap<i64, usize>,
    aborted: BTreeSet<i64>,
    /// The last checkpoint that was completed here.
    settled: i64,
}

impl BarrierAligner {
    /// For a task with so many input channels.
    pub fn new(channels: usize, mode: CheckpointMode) -> Self {
        let (arrived, aborted) = (BTreeMap::new(), BTreeSet::new());
        BarrierAligner { mode, blocked: vec![false; channels], arrived, aborted, settled: i64::MIN }
    }

    /// Whether a channel is not to be read now.
    pub fn is_blocked(&self, channel: usize) -> bool {
        self.blocked[channel]
    }

    /// A barrier has come from a channel.
    pub fn on_barrier(&mut self, channel: usize, checkpoint: i64) -> Alignment {
        if checkpoint <= self.settled || self.aborted.contains(&checkpoint) {
            return Alignment::Ignore;
        }
        if self.mode == CheckpointMode::ExactlyOnce {
            // A barrier of a later checkpoint means that the earlier one was given up at its source.
            match self.arrived.first_key_value() {
                Some((earlier, _)) if *earlier < checkpoint => {
                    self.arrived.clear();
                    self.blocked.fill(false);
                }
                Some((later, _)) if *later > checkpoint => return Alignment::Ignore,
                _ => {}
            }
            self.blocked[channel] = true;
        }
        let arrived = self.arrived.entry(checkpoint).or_insert(0);
        *arrived += 1;
        if *arrived < self.blocked.len() {
            return Alignment::Wait;
        }
        self.settle(checkpoint);
        Alignment::Complete
    }

    /// A checkpoint is given up: its barriers, come or yet to come, mean nothing.
    pub fn on_abort(&mut self, checkpoint: i64) {
        if self.arrived.remove(&checkpoint).is_some() {
            self.blocked.fill(false);
        }
        if checkpoint > self.settled {
            self.aborted.insert(checkpoint);
        }
    }

    fn settle(&mut self, checkpoint: i64) {
        self.arrived.retain(|id, _| *id > checkpoint);
        self.aborted.retain(|id| *id > checkpoint);
        self.blocked.fill(false);
        self.settled = checkpoint;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_whose_barrier_came_is_blocked_until_the_others_came() {
        let mut aligner = BarrierAligner::new(3, CheckpointMode::ExactlyOnce);
        assert_eq!(aligner.on_barrier(1, 7), Alignment::Wait);
        assert!(aligner.is_blocked(1) && !aligner.is_blocked(0));
        assert_eq!(aligner.on_barrier(0, 7), Alignment::Wait);
        assert_eq!(aligner.on_barrier(2, 7), Alignment::Complete);
        assert!((0..3).all(|channel| !aligner.is_blocked(channel)));
    }

    #[test]
    fn at_least_once_blocks_nothing_and_counts_several_checkpoints_at_a_time() {
        let mut aligner = BarrierAligner::new(2, CheckpointMode::AtLeastOnce);
        assert_eq!(aligner.on_barrier(0, 1), Alignment::Wait);
        assert_eq!(aligner.on_barrier(0, 2), Alignment::Wait);
        assert!(!aligner.is_blocked(0));
        assert_eq!(aligner.on_barrier(1, 1), Alignment::Complete);
        assert_eq!(aligner.on_barrier(1, 2), Alignment::Complete);
    }

    #[test]
    fn a_single_channel_is_always_aligned() {
        let mut aligner = BarrierAligner::new(1, CheckpointMode::ExactlyOnce);
        assert_eq!(aligner.on_barrier(0, 1), Alignment::Complete);
        assert_eq!(aligner.on_barrier(0, 2), Alignment::Complete);
    }

    #[test]
    fn an_aborted_checkpoint_frees_its_channels_and_its_late_barriers_are_ignored() {
        let mut aligner = BarrierAligner::new(2, CheckpointMode::ExactlyOnce);
        assert_eq!(aligner.on_barrier(0, 4), Alignment::Wait);
        aligner.on_abort(4);
        assert!(!aligner.is_blocked(0));
        assert_eq!(aligner.on_barrier(1, 4), Alignment::Ignore);
        assert_eq!(aligner.on_barrier(1, 5), Alignment::Wait);
        assert_eq!(aligner.on_barrier(0, 5), Alignment::Complete);
    }

    #[test]
    fn a_later_barrier_ends_the_alignment_of_an_earlier_checkpoint() {
        let mut aligner = BarrierAligner::new(2, CheckpointMode::ExactlyOnce);
        assert_eq!(aligner.on_barrier(0, 1), Alignment::Wait);
        assert_eq!(aligner.on_barrier(1, 2), Alignment::Wait);
        assert!(aligner.is_blocked(1) && !aligner.is_blocked(0));
        assert_eq!(aligner.on_barrier(0, 1), Alignment::Ignore);
        assert_eq!(aligner.on_barrier(0, 2), Alignment::Complete);
    }
}
