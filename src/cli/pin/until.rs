//! When a pin ends: a time, or how long from now on.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Zoned};

/// Reads a time (`2027-01-31T12:00:00Z`; in UTC without an offset), a day (`2027-01-31`, to its end in UTC) or a duration
/// from `now` on (`30d`, `1y6mo`, `36h`).
pub(super) fn parse(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let end = match () {
        () if text.contains('-') => time(text),
        () => after(text, now),
    }?;
    if end <= now {
        return Err(format!("{text}: that time has passed"));
    }
    Ok(end)
}

fn time(text: &str) -> Result<Timestamp, String> {
    let refuse = |error: jiff::Error| format!("{text}: {error}");
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let in_utc = |time: DateTime| time.to_zoned(TimeZone::UTC).map(|time| time.timestamp());
    if text.contains(':') {
        return text.parse().and_then(in_utc).map_err(refuse);
    }
    // The day that is named is one of those on which the snapshot is protected.
    text.parse().and_then(Date::tomorrow).map(|day| day.at(0, 0, 0, 0)).and_then(in_utc).map_err(refuse)
}

fn after(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let refuse = |why: &str| format!("{text}: {why}, such as 30d, 1y6mo or 36h");
    let mut end: Zoned = now.to_zoned(TimeZone::UTC);
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(refuse("a duration has a number and a unit"));
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, behind) = rest.split_at(digits);
        let letters = behind.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(letters);
        let number: i64 = number.parse().map_err(|_| refuse("a duration has a number and a unit"))?;
        let span = Span::new();
        let span = match unit {
            "y" => span.try_years(number),
            "mo" => span.try_months(number),
            "w" => span.try_weeks(number),
            "d" => span.try_days(number),
            "h" => span.try_hours(number),
            "min" => span.try_minutes(number),
            "m" => return Err(format!("{text}: m could be minutes or months; write min or mo")),
            _ => return Err(refuse("a unit is one of y, mo, w, d, h, min")),
        };
        end = span.and_then(|span| end.checked_add(span)).map_err(|error| format!("{text}: {error}"))?;
        rest = behind.trim_start();
    }
    Ok(end.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_ends_at_a_time_with_a_day_or_after_a_while() {
        let now: Timestamp = "2026-01-31T12:00:00Z".parse().expect("a time");
        for (text, end) in [
            ("2026-03-01T00:00:00Z", "2026-03-01T00:00:00Z"),
            ("2026-03-01T00:00:00+02:00", "2026-02-28T22:00:00Z"),
            ("2026-03-01T10:30", "2026-03-01T10:30:00Z"),
            ("2026-03-01 10:30", "2026-03-01T10:30:00Z"),
            ("2026-01-31", "2026-02-01T00:00:00Z"),
            ("30d", "2026-03-02T12:00:00Z"),
            ("1mo", "2026-02-28T12:00:00Z"),
            ("1y 2w", "2027-02-14T12:00:00Z"),
            ("1h30min", "2026-01-31T13:30:00Z"),
        ] {
            assert_eq!(parse(text, now).map(|end| end.to_string()), Ok(end.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_or_has_passed_is_refused() {
        let now: Timestamp = "2026-01-31T12:00:00Z".parse().expect("a time");
        for text in [
            "",
            " ",
            "5",
            "d",
            "5m",
            "5M",
            "5 fortnights",
            "1.5d",
            "-5d",
            "0d",
            "99999999999999999999d",
            "999999y",
            "soon",
            "2026-01-30",
            "2026-01-31T12:00:00Z",
            "2026-02-31",
            "2026-13-01T00:00:00Z",
            "5d,1h",
        ] {
            assert!(parse(text, now).is_err(), "{text}");
        }
        assert!(parse("5m", now).is_err_and(|why| why.contains("min or mo")));
    }
}
