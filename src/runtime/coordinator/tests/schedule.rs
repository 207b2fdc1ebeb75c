//! When checkpoints begin.

use super::*;

#[test]
fn checkpoints_begin_each_interval_from_the_start_on() {
    let mut job = Job::running(each_second());
    assert_eq!(job.next_wakeup(), Some(1_000));
    assert_eq!(job.tick(999), "");
    assert_eq!(job.tick(1_000), "trigger 1");
    assert_eq!(job.complete(1_200, 1), "complete 1");
    assert_eq!(job.next_wakeup(), Some(2_000), "the rate does not depend on how long it took");
    assert_eq!(job.tick(2_000), "trigger 2");
}

#[test]
fn without_an_interval_nothing_begins_by_itself() {
    let mut job = Job::running(CheckpointConfig::default());
    assert_eq!((job.next_wakeup(), job.tick(1_000_000)), (None, String::new()));
}

#[test]
fn before_the_tasks_run_nothing_begins() {
    let mut coordinator: Coordinator<()> = Coordinator::new(each_second(), vec![A], 1);
    assert_eq!((coordinator.next_wakeup(), coordinator.tick(ms(5_000))), (None, vec![]));
}

#[test]
fn a_late_wakeup_keeps_the_rate_and_makes_up_for_one_checkpoint() {
    let mut job = Job::running(each_second());
    assert_eq!(job.tick(3_400), "trigger 1");
    assert_eq!(job.complete(3_500, 1), "complete 1");
    assert_eq!(job.next_wakeup(), Some(4_000));
    assert_eq!(job.tick(4_000), "trigger 2");
}

#[test]
fn ids_go_on_after_the_restored_checkpoint() {
    let mut coordinator: Coordinator<&str> = Coordinator::new(each_second(), vec![A, B], 43);
    coordinator.adopt(42);
    coordinator.start(ms(0));
    let mut job = Job(coordinator);
    assert_eq!(job.tick(1_000), "trigger 43");
    assert_eq!(job.complete(1_100, 43), "complete 43; subsume 42", "what was taken over is removed in its turn");
}

#[test]
fn only_so_many_checkpoints_are_pending_and_the_next_begins_when_one_ends() {
    for most in [1, 2, 3] {
        let mut job = Job::running(CheckpointConfig { max_concurrent: most, ..each_second() });
        for n in 1..=most as u64 {
            assert_eq!(job.tick(n * 1_000), format!("trigger {n}"));
        }
        assert_eq!(job.tick(4_000), "", "{most} are pending");
        assert_eq!(job.tick(5_000), "", "{most} are pending");
        assert_eq!(job.pending().len(), most);
        assert_eq!(job.complete(5_500, 1), format!("complete 1; trigger {}", most + 1), "one, not one for each missed");
        assert_eq!(job.pending().len(), most);
    }
}

#[test]
fn a_checkpoint_whose_metadata_is_being_written_is_pending() {
    let mut job = Job::running(each_second());
    job.tick(1_000);
    job.ack(1_100, 1, A);
    assert_eq!(job.ack(1_200, 1, B), "finalize 1 of 2");
    assert_eq!(job.tick(2_000), "");
    assert_eq!(job.written(2_100, 1), "complete 1; trigger 2");
}

#[test]
fn the_pause_is_counted_from_the_completion_and_moves_the_rate() {
    let mut job = Job::running(CheckpointConfig { min_pause: ms(600), ..each_second() });
    job.tick(1_000);
    assert_eq!(job.complete(1_700, 1), "complete 1");
    assert_eq!(job.tick(2_000), "", "300 after the completion");
    assert_eq!(job.next_wakeup(), Some(2_300));
    assert_eq!(job.tick(2_299), "");
    assert_eq!(job.tick(2_300), "trigger 2");
    assert_eq!(job.complete(2_310, 2), "complete 2; subsume 1");
    assert_eq!(job.next_wakeup(), Some(3_300), "an interval after the last");
}

#[test]
fn a_checkpoint_that_was_waited_for_is_followed_by_the_pause() {
    let mut job = Job::running(CheckpointConfig { min_pause: ms(600), ..each_second() });
    job.tick(1_000);
    job.tick(2_000);
    assert_eq!(job.complete(2_500, 1), "complete 1", "one is owed, but not yet");
    assert_eq!(job.next_wakeup(), Some(3_100));
    assert_eq!(job.tick(3_100), "trigger 2");
}

#[test]
fn after_a_failure_there_is_no_pause() {
    let config = CheckpointConfig { min_pause: ms(600), tolerable_failures: 9, ..each_second() };
    let mut job = Job::running(config.clone());
    job.tick(1_000);
    assert!(job.decline(1_900, 1, FailureReason::Declined(String::new())).starts_with("aborted 1"));
    assert_eq!(job.tick(2_000), "trigger 2", "due 100 after the failure");
    job.tick(3_000);
    let failed = job.decline(3_100, 2, FailureReason::Declined(String::new()));
    assert!(failed.ends_with("trigger 3"), "one was owed: {failed}");
}

#[test]
fn the_interval_is_never_shorter_than_the_pause() {
    let mut job = Job::running(CheckpointConfig { min_pause: ms(5_000), ..each_second() });
    assert_eq!(job.next_wakeup(), Some(5_000));
    assert_eq!(job.tick(5_000), "trigger 1");
}

#[test]
fn with_a_pause_there_is_one_checkpoint_at_a_time() {
    let mut job = Job::running(CheckpointConfig { min_pause: ms(1), max_concurrent: 3, ..each_second() });
    assert_eq!(job.tick(1_000), "trigger 1");
    assert_eq!(job.tick(2_000), "");
}

#[test]
fn exactly_the_checkpoints_whose_time_is_over_expire() {
    let config = CheckpointConfig { timeout: ms(1_500), max_concurrent: 3, tolerable_failures: 9, ..each_second() };
    let mut job = Job::running(config);
    job.tick(1_000);
    job.tick(2_000);
    job.ack(2_100, 1, A);
    assert_eq!(job.next_wakeup(), Some(2_500));
    assert_eq!(job.tick(2_499), "");
    assert_eq!(job.tick(2_500), "aborted 1: Checkpoint expired before completing.; discard 1 of 1");
    assert_eq!(job.pending(), [2]);
    assert_eq!(job.next_wakeup(), Some(3_000));
    assert_eq!(job.complete(3_400, 2), "complete 2");
}

#[test]
fn a_checkpoint_that_all_have_acknowledged_does_not_expire() {
    let mut job = Job::running(CheckpointConfig { timeout: ms(500), ..each_second() });
    job.tick(1_000);
    job.ack(1_100, 1, A);
    job.ack(1_400, 1, B);
    assert_eq!((job.tick(1_999), job.pending()), (String::new(), vec![1]));
    assert_eq!(job.written(2_100, 1), "complete 1");
}

#[test]
fn an_expired_checkpoint_makes_way_for_one_that_is_owed() {
    let mut job = Job::running(CheckpointConfig { timeout: ms(1_500), tolerable_failures: 1, ..each_second() });
    job.tick(1_000);
    job.tick(2_000);
    assert!(job.tick(2_500).ends_with("discard 1 of 0; trigger 2"));
}
