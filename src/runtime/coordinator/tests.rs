//! Each knob of the coordinator, told as what happens to a job of two tasks. Times are in milliseconds.

mod ends;
mod failures;
mod savepoints;
mod schedule;

use super::*;

pub(super) const A: TaskId = TaskId { vertex: 0, subtask: 0 };
pub(super) const B: TaskId = TaskId { vertex: 1, subtask: 0 };

pub(super) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) fn at(path: &str) -> Location {
    Location::parse(path).expect("a path")
}

/// A checkpoint each second, into a directory.
pub(super) fn each_second() -> CheckpointConfig {
    CheckpointConfig { interval: Some(ms(1_000)), directory: Some(at("/ck")), ..CheckpointConfig::default() }
}

/// A job whose actions are told in short.
pub(super) struct Job(pub(super) Coordinator<&'static str>);

impl Job {
    /// A job that runs since 0.
    pub(super) fn running(config: CheckpointConfig) -> Self {
        config.validate().expect("a possible configuration");
        let mut coordinator = Coordinator::new(config, vec![A, B], 1);
        coordinator.start(ms(0));
        Job(coordinator)
    }

    pub(super) fn tick(&mut self, now: u64) -> String {
        told(self.0.tick(ms(now)))
    }

    pub(super) fn ack(&mut self, now: u64, id: i64, task: TaskId) -> String {
        told(self.0.acknowledge(ms(now), id, task, "state"))
    }

    /// Both tasks acknowledge, and the `_metadata` is written.
    pub(super) fn complete(&mut self, now: u64, id: i64) -> String {
        assert_eq!(self.ack(now, id, A), "");
        assert!(self.ack(now, id, B).starts_with(&format!("finalize {id}")), "all have acknowledged");
        self.written(now, id)
    }

    pub(super) fn written(&mut self, now: u64, id: i64) -> String {
        told(self.0.completed(ms(now), id))
    }

    pub(super) fn not_written(&mut self, now: u64, id: i64) -> String {
        told(self.0.finalization_failed(ms(now), id, "disk full"))
    }

    pub(super) fn decline(&mut self, now: u64, id: i64, reason: FailureReason) -> String {
        told(self.0.decline(ms(now), id, A, reason))
    }

    pub(super) fn savepoint(&mut self, now: u64) -> String {
        told(self.0.request_savepoint(ms(now), Some(at("/sp")), SavepointKind::Savepoint, SavepointFormat::Canonical))
    }

    pub(super) fn stop_with_savepoint(&mut self, now: u64) -> String {
        let kind = SavepointKind::StopWithSavepoint { drain: true };
        told(self.0.request_savepoint(ms(now), Some(at("/sp")), kind, SavepointFormat::Native))
    }

    pub(super) fn stop(&mut self, now: u64) -> String {
        told(self.0.stop(ms(now)))
    }

    pub(super) fn next_wakeup(&self) -> Option<u128> {
        self.0.next_wakeup().map(|time| time.as_millis())
    }

    pub(super) fn kept(&self) -> Vec<i64> {
        self.0.completed_checkpoints().collect()
    }

    pub(super) fn pending(&self) -> Vec<i64> {
        self.0.pending_snapshots().map(|(id, _, _)| id).collect()
    }
}

/// Actions in words.
pub(super) fn told(actions: Vec<Action<&'static str>>) -> String {
    let word = |kind: &SnapshotKind| match kind {
        SnapshotKind::Checkpoint => "",
        SnapshotKind::Savepoint { .. } if kind.is_synchronous() => " as last savepoint",
        SnapshotKind::Savepoint { .. } => " as savepoint",
    };
    let tell = |action| match action {
        Action::Trigger { id, kind } => format!("trigger {id}{}", word(&kind)),
        Action::Finalize { id, kind, acks } => format!("finalize {id}{} of {}", word(&kind), acks.len()),
        Action::NotifyComplete { id } => format!("complete {id}"),
        Action::NotifyAborted { id, reason } => format!("aborted {id}: {reason}"),
        Action::Discard { id, acks, .. } => format!("discard {id} of {}", acks.len()),
        Action::DiscardLate { id, task, .. } => format!("discard late {id} of {task}"),
        Action::Subsume { id } => format!("subsume {id}"),
        Action::RejectSavepoint { reason } => format!("reject: {reason}"),
        Action::FailJob { reason } => format!("fail: {reason}"),
    };
    actions.into_iter().map(tell).collect::<Vec<_>>().join("; ")
}

#[test]
fn a_configuration_that_cannot_be_is_refused_with_the_reason() {
    let ok = each_second();
    assert_eq!(ok.validate(), Ok(()));
    assert_eq!(CheckpointConfig::default().validate(), Ok(()), "no periodic checkpoints need nothing");
    for (config, why) in [
        (
            CheckpointConfig { interval: Some(ms(9)), ..ok.clone() },
            "the checkpoint interval must be at least 10ms, not 9ms",
        ),
        (CheckpointConfig { timeout: ms(9), ..ok.clone() }, "the checkpoint timeout must be at least 10ms, not 9ms"),
        (
            CheckpointConfig { max_concurrent: 0, ..ok.clone() },
            "the number of concurrent checkpoints must be at least 1",
        ),
        (CheckpointConfig { num_retained: 0, ..ok.clone() }, "the number of retained checkpoints must be at least 1"),
        (
            CheckpointConfig { in_line_threshold: (1 << 20) + 1, ..ok.clone() },
            "the threshold for state in _metadata must be at most 1 MiB, not 1048577 bytes",
        ),
        (CheckpointConfig { directory: None, ..ok.clone() }, "periodic checkpoints need a directory"),
    ] {
        assert_eq!(config.validate().map_err(|e| e.to_string()), Err(why.to_owned()));
    }
    for config in [
        CheckpointConfig { interval: Some(ms(10)), timeout: ms(10), ..ok.clone() },
        CheckpointConfig { in_line_threshold: 1 << 20, ..ok.clone() },
        CheckpointConfig { in_line_threshold: 0, ..ok },
    ] {
        assert_eq!(config.validate(), Ok(()));
    }
}
