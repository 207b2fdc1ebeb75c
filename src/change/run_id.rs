//! Names of runs.

use crate::storage::random_uuid;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The name of a run, such as `20261128T112233Z-1f0c9a`: when it began, to the second, in UTC, and six random digits. In
/// their order as text runs are in the order of time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

/// A text that is not the name of a run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the name of a run, such as 20261128T112233Z-1f0c9a")]
pub struct RunIdError(String);

const FORMAT: &str = "%Y%m%dT%H%M%SZ";

impl RunId {
    /// A new name for a run that begins at `now`.
    pub fn new(now: Timestamp) -> Self {
        let time = now.to_zoned(TimeZone::UTC).strftime(FORMAT).to_string();
        let random: String = random_uuid().chars().take(6).collect();
        RunId(format!("{time}-{random}"))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// When the run began.
    pub fn started(&self) -> Option<Timestamp> {
        let (time, _) = self.0.split_once('-')?;
        let time = jiff::civil::DateTime::strptime(FORMAT, time).ok()?;
        Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
    }
}

impl FromStr for RunId {
    type Err = RunIdError;

    fn from_str(text: &str) -> Result<Self, RunIdError> {
        let pattern = "dddddddd'T'dddddd'Z-'xxxxxx".replace('\'', "");
        let fits = |(c, wanted): (char, char)| match wanted {
            'd' => c.is_ascii_digit(),
            'x' => matches!(c, '0'..='9' | 'a'..='f'),
            other => c == other,
        };
        // ASCII alone: no other text is as long and fits.
        let is_one = text.len() == pattern.len() && text.chars().zip(pattern.chars()).all(fits);
        let run = RunId(text.to_owned());
        if is_one && run.started().is_some() { Ok(run) } else { Err(RunIdError(text.to_owned())) }
    }
}

impl TryFrom<String> for RunId {
    type Error = RunIdError;

    fn try_from(text: String) -> Result<Self, RunIdError> {
        text.parse()
    }
}

impl From<RunId> for String {
    fn from(run: RunId) -> String {
        run.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_named_by_its_time_and_reads_back() {
        let now: Timestamp = "2026-11-28T11:22:33.9Z".parse().expect("a time");
        let run = RunId::new(now);
        assert!(run.as_str().starts_with("20261128T112233Z-"), "{run}");
        assert_eq!(run.as_str().parse(), Ok(run.clone()));
        assert_eq!(run.started().map(|at| at.to_string()).as_deref(), Some("2026-11-28T11:22:33Z"));
        assert_ne!(run, RunId::new(now));
        assert!(run < RunId::new("2026-11-28T11:22:34Z".parse().expect("a time")));
    }

    #[test]
    fn nothing_else_is_the_name_of_a_run() {
        for text in [
            "",
            "..",
            "../../chk-1",
            "20261128T112233Z-1f0c9",
            "20261128T112233Z-1f0c9a/",
            "20261128T112233Z-../..",
            "20261128T112233Z-1F0C9A",
            "20261328T112233Z-1f0c9a",
            "20261128t112233z-1f0c9a",
            "2026112८T112233Z-1f0c9a",
        ] {
            assert!(text.parse::<RunId>().is_err(), "{text}");
        }
    }
}
