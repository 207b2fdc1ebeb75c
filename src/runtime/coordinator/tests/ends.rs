//! What is kept, and what happens when the job stops or ends.

use super::*;

#[test]
fn so_many_completed_checkpoints_are_kept() {
    for keep in [1, 3] {
        let mut job = Job::running(CheckpointConfig { num_retained: keep, ..each_second() });
        for n in 1..=5_i64 {
            let now = n.unsigned_abs() * 1_000;
            job.tick(now);
            let told = job.complete(now + 1, n);
            let gone = n - keep as i64;
            let wanted = if gone > 0 { format!("complete {n}; subsume {gone}") } else { format!("complete {n}") };
            assert_eq!(told, wanted);
        }
        assert_eq!(job.kept(), [1, 2, 3, 4, 5][5 - keep..]);
    }
}

#[test]
fn a_completed_checkpoint_aborts_the_older_ones_and_no_newer_one() {
    let mut job = Job::running(CheckpointConfig { max_concurrent: 3, ..each_second() });
    (1..=3).for_each(|n| assert_eq!(job.tick(n * 1_000), format!("trigger {n}")));
    job.ack(3_100, 1, A);
    assert_eq!(
        job.complete(3_200, 2),
        "aborted 1: Checkpoint has been subsumed.; discard 1 of 1; complete 2",
        "which is no failure"
    );
    assert_eq!(job.pending(), [3]);
    assert_eq!(job.ack(3_300, 1, B), "discard late 1 of 1/0");
}

#[test]
fn of_two_whose_metadata_is_written_the_newer_stays_if_it_is_first() {
    let mut job = Job::running(CheckpointConfig { max_concurrent: 2, num_retained: 2, ..each_second() });
    for n in [1, 2] {
        job.tick(n * 1_000);
        job.ack(n * 1_000, n as i64, A);
        job.ack(n * 1_000, n as i64, B);
    }
    assert_eq!(job.written(2_100, 2), "complete 2");
    assert_eq!(job.written(2_200, 1), "aborted 1: Checkpoint has been subsumed.; subsume 1");
    assert_eq!(job.kept(), [2]);
}

#[test]
fn a_stop_aborts_all_that_is_pending_and_a_start_goes_on_with_the_next_id() {
    let mut job = Job::running(CheckpointConfig { max_concurrent: 2, ..each_second() });
    job.tick(1_000);
    job.complete(1_100, 1);
    job.tick(2_000);
    job.ack(2_050, 2, B);
    job.savepoint(2_100);
    assert_eq!(
        job.stop(2_200),
        "aborted 2: Checkpoint Coordinator is suspending.; discard 2 of 1; \
         aborted 3: Checkpoint Coordinator is suspending.; discard 3 of 0"
    );
    assert_eq!((job.next_wakeup(), job.tick(9_000)), (None, String::new()));
    assert_eq!(job.kept(), [1], "what is complete stays, to restart from");
    job.0.start(ms(10_000));
    assert_eq!(job.next_wakeup(), Some(11_000));
    assert_eq!(job.tick(11_000), "trigger 4");
}

#[test]
fn a_checkpoint_that_is_being_written_survives_a_stop() {
    let mut job = Job::running(each_second());
    job.tick(1_000);
    job.ack(1_100, 1, A);
    job.ack(1_100, 1, B);
    assert_eq!(job.stop(1_200), "");
    assert_eq!(job.written(1_300, 1), "complete 1");
    assert_eq!(job.kept(), [1]);
}

#[test]
fn tasks_that_had_ended_take_part_again_after_a_restart() {
    let mut job = Job::running(each_second());
    job.0.task_finished(ms(500), A);
    job.stop(600);
    job.0.start(ms(1_000));
    job.tick(2_000);
    assert_eq!(job.complete(2_100, 1), "complete 1");
}

#[test]
fn how_the_job_ended_decides_what_becomes_of_its_checkpoints() {
    use Retention::{DeleteOnCancellation, NoExternalized, RetainOnCancellation};
    use TerminalState::{Canceled, Failed, Finished, Suspended};
    let table = [
        (NoExternalized, [true, true, true, true]),
        (DeleteOnCancellation, [true, true, false, true]),
        (RetainOnCancellation, [true, false, false, false]),
    ];
    for (retention, wanted) in table {
        for (state, gone) in [Finished, Canceled, Failed, Suspended].into_iter().zip(wanted) {
            let mut job = Job::running(CheckpointConfig { retention, num_retained: 2, ..each_second() });
            for n in [1, 2] {
                job.tick(n * 1_000);
                job.complete(n * 1_000 + 1, n as i64);
            }
            let discarded = job.0.on_terminal(state);
            assert_eq!(discarded, if gone { vec![1, 2] } else { vec![] }, "{retention:?} when {state:?}");
        }
    }
}
