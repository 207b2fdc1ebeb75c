//! Whether a job starts again after a failure, and when: Flink's restart strategies as pure functions of the failures
//! so far. The runtime passes in the time and a random number.

mod strategy;

pub use strategy::{RestartStrategy, RestartStrategyError};

use std::collections::VecDeque;
use std::time::Duration;

/// What follows from a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The job starts again after this time.
    RestartAfter(Duration),
    /// It does not, for this reason, in Flink's words (`ExecutionFailureHandler`).
    Fail(String),
}

/// A strategy and the failures that it has seen.
#[derive(Debug, Clone)]
pub struct RestartState {
    strategy: RestartStrategy,
    /// Failures counted towards the attempts; those of the exponential delay since its last reset.
    attempt: u32,
    /// When the job starts again after the last failure (exponential delay).
    next_restart: Option<Duration>,
    /// The last failures, one more than may be (failure rate).
    failures: VecDeque<Duration>,
}

impl RestartState {
    /// No failure yet.
    pub fn new(strategy: RestartStrategy) -> Self {
        RestartState { strategy, attempt: 0, next_restart: None, failures: VecDeque::new() }
    }

    /// The strategy.
    pub fn strategy(&self) -> &RestartStrategy {
        &self.strategy
    }

    /// Decides about a failure. `now` is the time since some fixed point, and never goes back; `random` is in [0, 1).
    ///
    /// The backoff of the exponential delay is reset by a failure that comes the threshold or longer after the last
    /// restart was due, so nobody has to tell of the job running. A failure before that restart is part of the one that
    /// led to it (`ExponentialDelayRestartBackoffTimeStrategy.notifyFailure`, 1.20).
    pub fn on_failure(&mut self, now: Duration, random: f64) -> Decision {
        match self.strategy {
            RestartStrategy::None => self.suppressed(),
            RestartStrategy::FixedDelay { attempts, delay } => {
                self.attempt = self.attempt.saturating_add(1);
                if self.attempt <= attempts { Decision::RestartAfter(delay) } else { self.suppressed() }
            }
            RestartStrategy::FailureRate { max_failures, interval, delay } => {
                let full = |failures: &VecDeque<Duration>| failures.len() as u64 > u64::from(max_failures);
                if full(&self.failures) {
                    self.failures.pop_front();
                }
                self.failures.push_back(now);
                let oldest = self.failures.front().copied().unwrap_or(now);
                if full(&self.failures) && now.saturating_sub(oldest) <= interval {
                    return self.suppressed();
                }
                Decision::RestartAfter(delay)
            }
            RestartStrategy::ExponentialDelay { reset_threshold, attempts, .. } => {
                let since = self.next_restart.map(|due| now.checked_sub(due).filter(|since| !since.is_zero()));
                if since != Some(None) {
                    if since.flatten().is_some_and(|since| since >= reset_threshold) {
                        self.attempt = 0;
                    }
                    self.next_restart = Some(now.saturating_add(self.backoff(random)));
                    self.attempt = self.attempt.saturating_add(1);
                }
                if attempts.is_some_and(|attempts| self.attempt > attempts) {
                    return self.suppressed();
                }
                Decision::RestartAfter(self.next_restart.unwrap_or(now).saturating_sub(now))
            }
        }
    }

    /// The time to wait after the failures so far, in whole milliseconds, between the initial and the largest backoff.
    fn backoff(&self, random: f64) -> Duration {
        let RestartStrategy::ExponentialDelay { initial, max, multiplier, jitter, .. } = self.strategy else {
            return Duration::ZERO;
        };
        let millis = |duration: Duration| duration.as_millis() as f64;
        let backoff = (millis(initial) * multiplier.powf(f64::from(self.attempt))).floor().min(u64::MAX as f64);
        let most = (backoff * jitter).floor();
        let offset = if most > 0.0 { (random * (2.0 * most + 1.0)).floor() - most } else { 0.0 };
        Duration::from_millis((backoff + offset).min(millis(max)).max(millis(initial)) as u64)
    }

    fn suppressed(&self) -> Decision {
        let by = match self.strategy {
            RestartStrategy::None => "NoRestartBackoffTimeStrategy".to_owned(),
            RestartStrategy::FixedDelay { attempts, delay } => format!(
                "FixedDelayRestartBackoffTimeStrategy(maxNumberRestartAttempts={attempts}, backoffTimeMS={})",
                delay.as_millis()
            ),
            RestartStrategy::FailureRate { max_failures, interval, delay } => format!(
                "FailureRateRestartBackoffTimeStrategy(failuresIntervalMS={},backoffTimeMS={},maxFailuresPerInterval={max_failures})",
                interval.as_millis(),
                delay.as_millis()
            ),
            RestartStrategy::ExponentialDelay { initial, max, multiplier, reset_threshold, jitter, attempts } => {
                format!(
                    "ExponentialDelayRestartBackoffTimeStrategy(initialBackoffMS={}, maxBackoffMS={}, \
                 backoffMultiplier={multiplier:?}, resetBackoffThresholdMS={}, jitterFactor={jitter:?}, \
                 attemptsBeforeResetBackoff={}, currentRestartAttempt={})",
                    initial.as_millis(),
                    max.as_millis(),
                    reset_threshold.as_millis(),
                    attempts.unwrap_or(i32::MAX as u32),
                    self.attempt
                )
            }
        };
        Decision::Fail(format!("Recovery is suppressed by {by}"))
    }
}

#[cfg(test)]
mod tests;
