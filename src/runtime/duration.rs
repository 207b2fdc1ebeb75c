//! Durations as Flink's configuration writes them: `500ms`, `2s`, `1 min`.

use std::time::Duration;

/// A text that is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a duration: {why}")]
pub struct DurationError {
    text: String,
    why: &'static str,
}

/// The labels of each unit and its length in nanoseconds, longest first (`TimeUtils.TimeUnit`, 1.20). All but the
/// first of a unit may have a plural.
const UNITS: &[(&[&str], u64)] = &[
    (&["d", "day"], 86_400_000_000_000),
    (&["h", "hour"], 3_600_000_000_000),
    (&["min", "m", "minute"], 60_000_000_000),
    (&["s", "sec", "second"], 1_000_000_000),
    (&["ms", "milli", "millisecond"], 1_000_000),
    (&["µs", "micro", "microsecond"], 1_000),
    (&["ns", "nano", "nanosecond"], 1),
];

/// Reads a whole number and a unit, milliseconds where there is none (`TimeUtils.parseDuration`).
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let refuse = |why| DurationError { text: text.to_owned(), why };
    let trimmed = text.trim();
    let (digits, label) = trimmed.split_at(trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len()));
    if digits.is_empty() {
        return Err(refuse("it does not start with a number"));
    }
    let label = match label.trim().to_lowercase() {
        label if label.is_empty() => "ms".to_owned(),
        label => label,
    };
    let is_called = |labels: &[&str]| {
        let plural = |name: &&str| name.len() > 2 && label.strip_suffix('s') == Some(name);
        labels.contains(&label.as_str()) || labels.iter().skip(1).any(plural)
    };
    let unit = UNITS.iter().find(|(labels, _)| is_called(labels)).map(|(_, unit)| *unit);
    let unit = unit.ok_or_else(|| refuse("its unit is none of d, h, min, s, ms, µs, ns"))?;
    let count: u64 = digits.parse().map_err(|_| refuse("its number is too large"))?;
    let nanos = u128::from(count) * u128::from(unit);
    let nanos = u64::try_from(nanos).map_err(|_| refuse("it is longer than 584 years"))?;
    Ok(Duration::from_nanos(nanos))
}

/// Writes a duration in the longest unit that gives a whole number; [`parse_duration`] reads it.
pub fn format_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0ms".to_owned();
    }
    let whole = UNITS.iter().find(|(_, unit)| nanos.is_multiple_of(u128::from(*unit)));
    let (label, unit) = whole.map_or(("ns", 1), |(labels, unit)| (labels.first().copied().unwrap_or("ns"), *unit));
    format!("{}{label}", nanos / u128::from(unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_flink_reads_them() {
        for (text, millis) in [
            ("500ms", 500),
            ("500", 500),
            ("0", 0),
            ("2s", 2_000),
            (" 2 sec ", 2_000),
            ("3 Seconds", 3_000),
            ("1min", 60_000),
            ("1 m", 60_000),
            ("2 minutes", 120_000),
            ("1h", 3_600_000),
            ("2 days", 172_800_000),
            ("5 millis", 5),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "-1s", "1.5s", "1 fortnight", "1 mins", "1 ds", "99999999999999999999s", "999999999d"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_as_the_same() {
        for (nanos, text) in [
            (0, "0ms"),
            (1, "1ns"),
            (1_500, "1500ns"),
            (2_000, "2µs"),
            (1_500_000_000, "1500ms"),
            (90_000_000_000, "90s"),
            (120_000_000_000, "2min"),
            (86_400_000_000_000, "1d"),
        ] {
            let duration = Duration::from_nanos(nanos);
            assert_eq!(format_duration(duration), text);
            assert_eq!(parse_duration(text), Ok(duration));
        }
    }
}
