//! What the strategies decide, and how they are written.

use super::*;

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// What a strategy says to failures at these seconds: the delay in seconds, `None` where the job fails.
fn delays(strategy: &str, failures: &[f64]) -> Vec<Option<f64>> {
    let mut state = RestartState::new(strategy.parse().expect("a strategy"));
    let decide = |at: &f64| match state.on_failure(seconds(*at), 0.5) {
        Decision::RestartAfter(delay) => Some(delay.as_secs_f64()),
        Decision::Fail(_) => None,
    };
    failures.iter().map(decide).collect()
}

#[test]
fn each_strategy_decides_as_flinks_does() {
    type Row = (&'static str, &'static str, &'static [f64], &'static [Option<f64>]);
    let table: &[Row] = &[
        ("none never restarts", "none", &[0.0, 1.0], &[None, None]),
        ("no attempts are none", "fixed-delay:0:2s", &[0.0], &[None]),
        ("after the attempts it is over", "fixed-delay:2:2s", &[0.0, 9.0, 1e6], &[Some(2.0), Some(2.0), None]),
        (
            "one failure more than the rate within the interval is too many",
            "failure-rate:2:10s:1s",
            &[0.0, 5.0, 10.0],
            &[Some(1.0), Some(1.0), None],
        ),
        (
            "failures older than the interval do not count",
            "failure-rate:2:10s:1s",
            &[0.0, 5.0, 10.001, 15.002, 16.0],
            &[Some(1.0), Some(1.0), Some(1.0), Some(1.0), None],
        ),
        (
            "the delay grows up to the longest",
            "exponential-delay:1s:5s:2:1h:0",
            &[0.0, 10.0, 20.0, 30.0, 40.0],
            &[Some(1.0), Some(2.0), Some(4.0), Some(5.0), Some(5.0)],
        ),
        (
            "a failure before the restart is part of the last one",
            "exponential-delay:4s:60s:2:1h:0",
            &[0.0, 1.0, 4.0, 4.001],
            &[Some(4.0), Some(3.0), Some(0.0), Some(8.0)],
        ),
        (
            "after the threshold the delay starts anew, counted from the restart",
            "exponential-delay:1s:60s:2:10s:0",
            &[0.0, 10.999, 22.999],
            &[Some(1.0), Some(2.0), Some(1.0)],
        ),
        (
            "attempts are those since the last reset",
            "exponential-delay:1s:60s:2:10s:0:2",
            &[0.0, 5.0, 30.0, 32.0, 40.0],
            &[Some(1.0), Some(2.0), Some(1.0), Some(2.0), None],
        ),
        ("the mean jitter is none", "exponential-delay:1s:60s:2:1h:0.5", &[0.0, 9.0], &[Some(1.0), Some(2.0)]),
    ];
    for (name, strategy, failures, wanted) in table {
        assert_eq!(delays(strategy, failures), *wanted, "{name}");
    }
}

#[test]
fn jitter_spreads_the_delay_evenly_within_its_bounds() {
    let delay = |failures: u32, random: f64| {
        let mut state = RestartState::new("exponential-delay:1s:10s:2:1h:0.25".parse().expect("a strategy"));
        let decisions = (0..failures).map(|n| state.on_failure(seconds(f64::from(n) * 100.0), random));
        match decisions.last() {
            Some(Decision::RestartAfter(delay)) => delay.as_millis(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((delay(3, 0.0), delay(3, 0.999_999)), (3_000, 5_000));
    assert_eq!(delay(1, 0.0), 1_000, "never shorter than the first");
    assert_eq!(delay(5, 0.999_999), 10_000, "never longer than the longest");
    assert_eq!(delay(3_000, 0.5), 10_000, "however many failures there are");
}

#[test]
fn the_reason_is_in_flinks_words() {
    for (strategy, wanted) in [
        ("none", "Recovery is suppressed by NoRestartBackoffTimeStrategy"),
        (
            "fixed-delay:0:2s",
            "Recovery is suppressed by FixedDelayRestartBackoffTimeStrategy(maxNumberRestartAttempts=0, backoffTimeMS=2000)",
        ),
        (
            "failure-rate:1:1min:1s",
            "Recovery is suppressed by FailureRateRestartBackoffTimeStrategy(failuresIntervalMS=60000,backoffTimeMS=1000,maxFailuresPerInterval=1)",
        ),
        (
            "exponential-delay:1s:1min:2:1h:0:1",
            "Recovery is suppressed by ExponentialDelayRestartBackoffTimeStrategy(initialBackoffMS=1000, \
             maxBackoffMS=60000, backoffMultiplier=2.0, resetBackoffThresholdMS=3600000, jitterFactor=0.0, \
             attemptsBeforeResetBackoff=1, currentRestartAttempt=2)",
        ),
    ] {
        let mut state = RestartState::new(strategy.parse().expect("a strategy"));
        state.on_failure(seconds(0.0), 0.5);
        assert_eq!(state.on_failure(seconds(9.0), 0.5), Decision::Fail(wanted.to_owned()));
    }
}

#[test]
fn strategies_are_read_and_written_as_on_the_command_line() {
    for (text, written) in [
        ("none", "none"),
        ("disable", "none"),
        ("off", "none"),
        ("fixed-delay:3:2s", "fixed-delay:3:2s"),
        ("FixedDelay:3:2000ms", "fixed-delay:3:2s"),
        ("fixed-delay", "fixed-delay:1:1s"),
        ("fixed-delay:7", "fixed-delay:7:1s"),
        ("failure-rate:3:5 min:500ms", "failure-rate:3:5min:500ms"),
        ("exponential-delay", "exponential-delay:1s:1min:1.5:1h:0.1"),
        ("exponential-delay:1s:2min:2:1h:0:9", "exponential-delay:1s:2min:2:1h:0:9"),
    ] {
        let strategy: RestartStrategy = text.parse().expect("a strategy");
        assert_eq!(strategy.to_string(), written, "{text}");
        assert_eq!(written.parse(), Ok(strategy), "{written}");
    }
    assert_eq!("exponential-delay".parse(), Ok(RestartStrategy::DEFAULT));
}

#[test]
fn what_is_no_strategy_is_refused_with_a_reason() {
    for (text, why) in [
        ("", "it is none of none, fixed-delay, exponential-delay, failure-rate"),
        ("sometimes", "it is none of"),
        ("none:1", "none has no use for \"1\""),
        ("fixed-delay:x", "\"x\" is not a number"),
        ("fixed-delay:-1", "\"-1\" is not a number"),
        ("fixed-delay:3:soon", "\"soon\" is not a duration"),
        ("fixed-delay:3:1s:4", "fixed-delay has no use for \"4\""),
        ("failure-rate:0", "at least 1"),
        ("failure-rate:1:0s", "the interval must be"),
        ("exponential-delay:0s", "the initial backoff must be at least"),
        ("exponential-delay:2min:1min", "must not be longer"),
        ("exponential-delay:1s:1min:1", "the multiplier must be more than 1"),
        ("exponential-delay:1s:1min:NaN", "the multiplier must be more than 1"),
        ("exponential-delay:1s:1min:2:0s", "the threshold for a reset"),
        ("exponential-delay:1s:1min:2:1h:1.5", "the jitter must be from 0 to 1"),
        ("exponential-delay:1s:1min:2:1h:0:0", "the number of attempts"),
    ] {
        let error = text.parse::<RestartStrategy>().expect_err(text).to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
}
