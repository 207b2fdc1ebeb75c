//! Savepoints next to checkpoints, and those that end the job.

use super::*;

#[test]
fn a_savepoint_begins_at_once_whatever_the_pause_and_however_many_are_pending() {
    let mut job = Job::running(CheckpointConfig { min_pause: ms(600), ..each_second() });
    job.tick(1_000);
    assert_eq!(job.savepoint(1_001), "trigger 2 as savepoint");
    assert_eq!(job.savepoint(1_002), "trigger 3 as savepoint");
    assert_eq!(job.complete(1_100, 1), "complete 1", "and is not subsumed by what is older or newer");
    assert_eq!(job.savepoint(1_101), "trigger 4 as savepoint");
    assert_eq!(job.pending(), [2, 3, 4]);
}

#[test]
fn a_savepoint_is_complete_without_notification_and_is_not_counted_among_the_kept() {
    let mut job = Job::running(each_second());
    job.tick(1_000);
    job.complete(1_100, 1);
    job.savepoint(1_200);
    assert_eq!(job.complete(1_300, 2), "");
    assert_eq!(job.kept(), [1]);
    assert_eq!(job.ack(1_400, 2, A), "", "nothing of a complete savepoint is thrown away");
    assert_eq!(job.0.on_terminal(TerminalState::Finished), [1]);
}

#[test]
fn a_pending_savepoint_takes_the_place_of_a_checkpoint_and_its_end_starts_the_pause() {
    let mut job = Job::running(CheckpointConfig { min_pause: ms(600), ..each_second() });
    job.savepoint(900);
    assert_eq!(job.tick(1_000), "");
    assert_eq!(job.complete(1_500, 1), "");
    assert_eq!(job.next_wakeup(), Some(2_100));
    assert_eq!(job.tick(2_100), "trigger 2");
}

#[test]
fn a_checkpoint_is_not_aborted_by_a_newer_savepoint_nor_a_savepoint_by_a_newer_checkpoint() {
    let mut job = Job::running(CheckpointConfig { max_concurrent: 3, ..each_second() });
    job.tick(1_000);
    job.savepoint(1_100);
    assert_eq!(job.complete(1_200, 2), "");
    job.savepoint(1_300);
    job.tick(2_000);
    assert_eq!(job.complete(2_100, 4), "aborted 1: Checkpoint has been subsumed.; discard 1 of 0; complete 4");
    assert_eq!(job.pending(), [3]);
}

#[test]
fn a_savepoint_that_expires_or_is_not_written_is_no_failure_but_one_that_a_task_declines_is() {
    let mut job = Job::running(CheckpointConfig { timeout: ms(100), ..CheckpointConfig::default() });
    job.savepoint(0);
    assert_eq!(job.tick(100), "aborted 1: Checkpoint expired before completing.; discard 1 of 0");
    job.savepoint(200);
    job.ack(210, 2, A);
    job.ack(210, 2, B);
    assert!(!job.not_written(220, 2).contains("fail:"));
    job.savepoint(300);
    assert!(job.decline(310, 3, FailureReason::Asynchronous(String::new())).contains("fail:"));
}

#[test]
fn a_savepoint_that_cannot_be_is_rejected() {
    let ask = |coordinator: &mut Coordinator<&'static str>| {
        told(coordinator.request_savepoint(ms(5), None, SavepointKind::Savepoint, SavepointFormat::Canonical))
    };
    let mut nowhere = Coordinator::new(each_second(), vec![A], 1);
    nowhere.start(ms(0));
    assert_eq!(ask(&mut nowhere), "reject: No savepoint directory configured, and none was given.");
    let config = CheckpointConfig { savepoint_directory: Some(at("/sp")), ..each_second() };
    let mut asleep = Coordinator::new(config.clone(), vec![A], 1);
    assert_eq!(ask(&mut asleep), "reject: Not all required tasks are currently running.");
    asleep.start(ms(0));
    assert_eq!(ask(&mut asleep), "trigger 1 as savepoint", "it goes to the configured directory");
}

#[test]
fn a_savepoint_that_ends_the_job_aborts_what_is_pending_and_stops_checkpoints() {
    let mut job = Job::running(CheckpointConfig { max_concurrent: 2, ..each_second() });
    job.tick(1_000);
    job.savepoint(1_100);
    assert_eq!(
        job.stop_with_savepoint(1_200),
        "aborted 1: Checkpoint Coordinator is suspending.; discard 1 of 0; \
         aborted 2: Checkpoint Coordinator is suspending.; discard 2 of 0; trigger 3 as last savepoint"
    );
    assert_eq!(job.tick(2_000), "");
    assert_eq!(job.complete(2_100, 3), "complete 3", "tasks are told, and end");
    assert_eq!((job.tick(9_000), job.next_wakeup()), (String::new(), None));
}

#[test]
fn where_it_expires_the_job_and_its_checkpoints_go_on() {
    let mut job = Job::running(CheckpointConfig { timeout: ms(300), ..each_second() });
    job.stop_with_savepoint(500);
    assert_eq!(job.tick(800), "aborted 1: Checkpoint expired before completing.; discard 1 of 0");
    assert_eq!(job.tick(1_800), "trigger 2");
}

#[test]
fn where_a_task_declines_it_the_job_fails_whatever_is_tolerated() {
    let mut job = Job::running(CheckpointConfig { tolerable_failures: 9, ..each_second() });
    job.stop_with_savepoint(500);
    let told = job.decline(600, 1, FailureReason::TaskNotReady);
    assert!(told.ends_with("fail: Checkpoint was declined (tasks not ready)"), "{told}");
}

#[test]
fn where_it_is_not_written_after_a_stop_no_checkpoint_begins() {
    let mut job = Job::running(each_second());
    job.stop_with_savepoint(500);
    job.ack(600, 1, A);
    job.ack(600, 1, B);
    assert_eq!(job.stop(700), "");
    assert!(job.not_written(800, 1).ends_with("discard 1 of 0"));
    assert_eq!((job.next_wakeup(), job.tick(9_000)), (None, String::new()));
}
