//! Failures: which of them count, and what is cleaned up.

use super::*;

fn tolerating(failures: u32) -> Job {
    Job::running(CheckpointConfig { tolerable_failures: failures, ..each_second() })
}

fn declined() -> FailureReason {
    FailureReason::Declined("no".to_owned())
}

#[test]
fn one_failure_more_than_is_tolerated_fails_the_job() {
    for tolerable in [0, 1, 3] {
        let mut job = tolerating(tolerable);
        for n in 1..=i64::from(tolerable) + 1 {
            let now = n.unsigned_abs() * 1_000;
            assert_eq!(job.tick(now), format!("trigger {n}"));
            let told = job.decline(now + 1, n, declined());
            let failed = told.contains("fail: Exceeded checkpoint tolerable failure threshold.");
            assert_eq!(failed, n == i64::from(tolerable) + 1, "{tolerable} tolerated: {told}");
        }
    }
}

#[test]
fn the_reason_names_the_last_failure() {
    let mut job = tolerating(0);
    job.tick(1_000);
    assert_eq!(
        job.decline(1_100, 1, declined()),
        "aborted 1: Checkpoint was declined. no; discard 1 of 0; fail: Exceeded checkpoint tolerable failure threshold. \
         The latest checkpoint failed due to: Checkpoint was declined. no"
    );
}

#[test]
fn a_success_in_between_starts_the_count_anew() {
    let mut job = tolerating(1);
    job.tick(1_000);
    job.decline(1_100, 1, declined());
    job.tick(2_000);
    job.complete(2_100, 2);
    job.tick(3_000);
    assert!(!job.decline(3_100, 3, declined()).contains("fail:"));
    job.tick(4_000);
    assert!(job.decline(4_100, 4, declined()).contains("fail:"));
    job.tick(5_000);
    assert!(!job.decline(5_100, 5, declined()).contains("fail:"), "nor does a failed job count on");
}

#[test]
fn only_some_reasons_count() {
    let text = String::new;
    for (reason, counts) in [
        (FailureReason::Declined(text()), true),
        (FailureReason::Asynchronous(text()), true),
        (FailureReason::Io(text()), true),
        (FailureReason::TaskNotReady, false),
        (FailureReason::TaskClosing, false),
        (FailureReason::InputEndOfStream, false),
        (FailureReason::CancellationBarrier, false),
        (FailureReason::NewerBarrier, false),
        (FailureReason::TaskFailure, false),
    ] {
        let mut job = tolerating(0);
        job.tick(1_000);
        assert_eq!(job.decline(1_100, 1, reason.clone()).contains("fail:"), counts, "{reason:?}");
    }
    let mut job = Job::running(CheckpointConfig { timeout: ms(10), ..each_second() });
    job.tick(1_000);
    assert!(job.tick(1_010).contains("fail:"), "expired");
}

#[test]
fn metadata_that_cannot_be_written_is_a_failure() {
    let mut job = tolerating(1);
    job.tick(1_000);
    job.ack(1_100, 1, A);
    job.ack(1_100, 1, B);
    assert_eq!(
        job.not_written(1_200, 1),
        "aborted 1: Failure to finalize checkpoint. disk full; discard 1 of 0",
        "the driver has the acknowledgements"
    );
    assert_eq!(job.kept(), [] as [i64; 0]);
    job.tick(2_000);
    job.ack(2_100, 2, A);
    job.ack(2_100, 2, B);
    assert!(job.not_written(2_200, 2).contains("fail:"));
}

#[test]
fn a_failure_of_one_older_than_the_last_success_does_not_count() {
    let mut job = Job::running(CheckpointConfig { max_concurrent: 2, ..each_second() });
    job.tick(1_000);
    job.ack(1_500, 1, A);
    job.ack(1_500, 1, B);
    job.tick(2_000);
    job.complete(2_100, 2);
    assert!(!job.not_written(2_200, 1).contains("fail:"));
}

#[test]
fn one_decline_is_enough_and_the_next_says_nothing() {
    let mut job = tolerating(9);
    job.tick(1_000);
    assert_ne!(job.decline(1_100, 1, declined()), "");
    assert_eq!(job.decline(1_200, 1, declined()), "");
    assert_eq!(job.decline(1_200, 77, declined()), "");
}

#[test]
fn a_late_acknowledgement_is_thrown_away_and_one_that_is_repeated_is_not() {
    let mut job = tolerating(9);
    job.tick(1_000);
    assert_eq!((job.ack(1_100, 1, B), job.ack(1_100, 1, B)), (String::new(), String::new()));
    assert!(job.decline(1_200, 1, declined()).contains("discard 1 of 1"));
    assert_eq!(job.ack(1_300, 1, A), "discard late 1 of 0/0");
    job.tick(2_000);
    job.complete(2_100, 2);
    assert_eq!(job.ack(2_200, 2, A), "", "its state is in use");
    let stranger = TaskId { vertex: 9, subtask: 3 };
    job.tick(3_000);
    assert_eq!(job.ack(3_100, 3, stranger), "discard late 3 of 9/3");
    assert_eq!(job.pending(), [3]);
}

#[test]
fn a_task_that_ends_takes_no_part_any_more_and_is_no_failure() {
    let mut job = tolerating(0);
    job.tick(1_000);
    let told_of_end = told(job.0.task_finished(ms(1_100), A));
    assert_eq!(told_of_end, "aborted 1: Checkpoint was declined (task is closing); discard 1 of 0");
    assert_eq!(job.tick(2_000), "trigger 2");
    assert_eq!(job.ack(2_100, 2, B), "finalize 2 of 1");
    job.written(2_200, 2);
    job.0.task_finished(ms(2_300), B);
    assert_eq!(job.tick(3_000), "", "nobody is left");
    assert!(job.savepoint(3_100).starts_with("reject"));
}

#[test]
fn a_task_that_ends_after_its_acknowledgement_does_no_harm() {
    let mut job = tolerating(0);
    job.tick(1_000);
    job.ack(1_050, 1, A);
    assert_eq!(told(job.0.task_finished(ms(1_100), A)), "");
    assert_eq!(job.ack(1_200, 1, B), "finalize 1 of 2");
}

#[test]
fn a_decline_of_a_stranger_or_after_all_have_acknowledged_is_none() {
    let mut job = tolerating(0);
    job.tick(1_000);
    let stranger = TaskId { vertex: 9, subtask: 3 };
    assert_eq!(told(job.0.decline(ms(1_100), 1, stranger, declined())), "");
    job.ack(1_200, 1, A);
    job.ack(1_200, 1, B);
    assert_eq!(job.decline(1_300, 1, declined()), "");
    assert_eq!(job.written(1_400, 1), "complete 1");
}
