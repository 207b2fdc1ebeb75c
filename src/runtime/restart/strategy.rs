//! The strategies, and how a command line writes them: `fixed-delay:3:2s`.

use crate::runtime::duration::{DurationError, format_duration, parse_duration};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// When a job starts again after a failure (`RestartStrategyOptions`, Flink 1.20). Written as the words of
/// `restart-strategy.type` and the values in the order of the fields, with colons between them; values that are left
/// out at the end are Flink's defaults.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RestartStrategy {
    /// Never: `none`, `off` or `disable`.
    None,
    /// So many times, each after the same time: `fixed-delay:1:1s`.
    FixedDelay {
        /// The number of restarts.
        attempts: u32,
        /// The time before each.
        delay: Duration,
    },
    /// After a time that grows with each failure: `exponential-delay:1s:1min:1.5:1h:0.1`, with the attempts as one
    /// more value where there is a limit.
    ExponentialDelay {
        /// The time before the first restart, and the shortest.
        initial: Duration,
        /// The longest.
        max: Duration,
        /// What it is multiplied with after each failure; more than 1.
        multiplier: f64,
        /// A job that has run so long starts with the shortest again.
        reset_threshold: Duration,
        /// The part of the time that is added or taken away at random, from 0 to 1.
        jitter: f64,
        /// The number of restarts before a reset; `None` for any.
        attempts: Option<u32>,
    },
    /// Unless there were more failures than this in the interval: `failure-rate:1:1min:1s`.
    FailureRate {
        /// The number of failures in an interval that the job survives.
        max_failures: u32,
        /// The interval.
        interval: Duration,
        /// The time before each restart.
        delay: Duration,
    },
}

/// A text that is not a restart strategy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a restart strategy: {why}")]
pub struct RestartStrategyError {
    text: String,
    why: String,
}

impl RestartStrategy {
    /// What Flink does where checkpoints are on and nothing is configured: exponential delay without an end (since 1.19).
    pub const DEFAULT: RestartStrategy = RestartStrategy::ExponentialDelay {
        initial: Duration::from_secs(1),
        max: Duration::from_secs(60),
        multiplier: 1.5,
        reset_threshold: Duration::from_secs(3_600),
        jitter: 0.1,
        attempts: None,
    };

    /// Says what no strategy can be, as the constructors of Flink's do.
    pub fn validate(&self) -> Result<(), &'static str> {
        const MS: Duration = Duration::from_millis(1);
        let wrong = |wrong: bool, why| if wrong { Err(why) } else { Ok(()) };
        match *self {
            RestartStrategy::None | RestartStrategy::FixedDelay { .. } => Ok(()),
            RestartStrategy::FailureRate { max_failures, interval, .. } => {
                wrong(max_failures == 0, "the number of failures in an interval must be at least 1")?;
                wrong(interval < MS, "the interval must be at least 1 ms")
            }
            RestartStrategy::ExponentialDelay { initial, max, multiplier, reset_threshold, jitter, attempts } => {
                wrong(initial < MS, "the initial backoff must be at least 1 ms")?;
                wrong(initial > max, "the initial backoff must not be longer than the longest")?;
                wrong(!multiplier.is_finite() || multiplier <= 1.0, "the multiplier must be more than 1")?;
                wrong(reset_threshold < MS, "the threshold for a reset must be at least 1 ms")?;
                wrong(!(0.0..=1.0).contains(&jitter), "the jitter must be from 0 to 1")?;
                wrong(attempts == Some(0), "the number of attempts must be at least 1")
            }
        }
    }
}

impl FromStr for RestartStrategy {
    type Err = RestartStrategyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |why: String| RestartStrategyError { text: text.to_owned(), why };
        let mut parts = text.split(':').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let strategy = match name.to_ascii_lowercase().as_str() {
            "none" | "off" | "disable" => RestartStrategy::None,
            "fixed-delay" | "fixeddelay" => RestartStrategy::FixedDelay {
                attempts: number(parts.next(), 1).map_err(refuse)?,
                delay: time(parts.next(), Duration::from_secs(1)).map_err(|e| refuse(e.to_string()))?,
            },
            "failure-rate" | "failurerate" => RestartStrategy::FailureRate {
                max_failures: number(parts.next(), 1).map_err(refuse)?,
                interval: time(parts.next(), Duration::from_secs(60)).map_err(|e| refuse(e.to_string()))?,
                delay: time(parts.next(), Duration::from_secs(1)).map_err(|e| refuse(e.to_string()))?,
            },
            "exponential-delay" | "exponentialdelay" => RestartStrategy::ExponentialDelay {
                initial: time(parts.next(), Duration::from_secs(1)).map_err(|e| refuse(e.to_string()))?,
                max: time(parts.next(), Duration::from_secs(60)).map_err(|e| refuse(e.to_string()))?,
                multiplier: number(parts.next(), 1.5).map_err(refuse)?,
                reset_threshold: time(parts.next(), Duration::from_secs(3_600)).map_err(|e| refuse(e.to_string()))?,
                jitter: number(parts.next(), 0.1).map_err(refuse)?,
                attempts: parts.next().map(|part| number(Some(part), 0)).transpose().map_err(refuse)?,
            },
            _ => return Err(refuse("it is none of none, fixed-delay, exponential-delay, failure-rate".to_owned())),
        };
        if let Some(more) = parts.next() {
            return Err(refuse(format!("{name} has no use for {more:?}")));
        }
        strategy.validate().map_err(|why| refuse(why.to_owned()))?;
        Ok(strategy)
    }
}

fn number<T: FromStr>(part: Option<&str>, default: T) -> Result<T, String> {
    part.map_or(Ok(default), |part| part.parse().map_err(|_| format!("{part:?} is not a number that it takes")))
}

fn time(part: Option<&str>, default: Duration) -> Result<Duration, DurationError> {
    part.map_or(Ok(default), parse_duration)
}

impl fmt::Display for RestartStrategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = format_duration;
        match *self {
            RestartStrategy::None => f.write_str("none"),
            RestartStrategy::FixedDelay { attempts, delay } => write!(f, "fixed-delay:{attempts}:{}", time(delay)),
            RestartStrategy::FailureRate { max_failures, interval, delay } => {
                write!(f, "failure-rate:{max_failures}:{}:{}", time(interval), time(delay))
            }
            RestartStrategy::ExponentialDelay { initial, max, multiplier, reset_threshold, jitter, attempts } => {
                let (initial, max, reset) = (time(initial), time(max), time(reset_threshold));
                write!(f, "exponential-delay:{initial}:{max}:{multiplier}:{reset}:{jitter}")?;
                attempts.map_or(Ok(()), |attempts| write!(f, ":{attempts}"))
            }
        }
    }
}
