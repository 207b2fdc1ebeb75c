//! Lengths of time as people give them, in units of the calendar: `1y6m`, `2w`, `7d12h`.

use jiff::{Timestamp, tz::TimeZone};
use std::fmt;
use std::str::FromStr;

/// A length of time in years, months and so on, none of which has a fixed length in seconds but the last two.
///
/// As text: whole numbers with the units `y`, `m` (months), `w`, `d`, `h` and `min`, in any order and each at most once,
/// without spaces. restic has all of them but `w` and `min`, with the same meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Span {
    /// Years of the calendar.
    pub years: u32,
    /// Months of the calendar.
    pub months: u32,
    /// Weeks: seven days each.
    pub weeks: u32,
    /// Days of the calendar; one may have 23 or 25 hours.
    pub days: u32,
    /// Hours of 60 minutes.
    pub hours: u32,
    /// Minutes of 60 seconds.
    pub minutes: u32,
}

/// A text that is not a [`Span`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a length of time: {why} (units are y, m for months, w, d, h and min; such as 1y6m or 7d12h)")]
pub struct SpanError {
    text: String,
    why: String,
}

impl Span {
    /// Whether it has no length.
    pub fn is_zero(&self) -> bool {
        *self == Span::default()
    }

    /// The moment that lies this long before another, by the calendar of a zone: years and months first, then weeks and
    /// days, then hours and minutes as they pass. Where a month has no such day, its last day is meant. What lies before
    /// the beginning of time is its beginning.
    pub fn before(&self, moment: Timestamp, zone: &TimeZone) -> Timestamp {
        let span = || {
            let span = jiff::Span::new().try_years(self.years)?.try_months(self.months)?.try_weeks(self.weeks)?;
            span.try_days(self.days)?.try_hours(self.hours)?.try_minutes(self.minutes)
        };
        let earlier = span().and_then(|span| moment.to_zoned(zone.clone()).checked_sub(span));
        earlier.map_or(Timestamp::MIN, |earlier| earlier.timestamp())
    }

    fn units(&self) -> [(u32, &'static str); 6] {
        [
            (self.years, "y"),
            (self.months, "m"),
            (self.weeks, "w"),
            (self.days, "d"),
            (self.hours, "h"),
            (self.minutes, "min"),
        ]
    }

    fn unit_mut(&mut self, label: &str) -> Option<&mut u32> {
        Some(match label {
            "y" => &mut self.years,
            "m" => &mut self.months,
            "w" => &mut self.weeks,
            "d" => &mut self.days,
            "h" => &mut self.hours,
            "min" => &mut self.minutes,
            _ => return None,
        })
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("0h");
        }
        self.units().iter().filter(|(count, _)| *count > 0).try_for_each(|(count, unit)| write!(f, "{count}{unit}"))
    }
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let refuse = |why: String| SpanError { text: text.to_owned(), why };
        let mut span = Span::default();
        let mut seen: Vec<&str> = Vec::new();
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(refuse("it is empty".to_owned()));
        }
        while !rest.is_empty() {
            let (digits, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
            let (label, after) = after.split_at(after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len()));
            if digits.is_empty() {
                return Err(refuse(format!("a whole number is missing before {label:?}")));
            }
            if label.is_empty() {
                return Err(refuse(format!("{digits} has no unit")));
            }
            let unit = span.unit_mut(label).ok_or_else(|| refuse(format!("{label:?} is no unit")))?;
            if seen.contains(&label) {
                return Err(refuse(format!("it has {label} twice")));
            }
            *unit = digits.parse().map_err(|_| refuse(format!("{digits} is too large")))?;
            seen.push(label);
            rest = after;
        }
        Ok(span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(text: &str) -> Span {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn spans_are_read_in_any_order_and_written_in_one() {
        for (text, written) in [
            ("1y2m3w4d5h6min", "1y2m3w4d5h6min"),
            ("1y1d1m", "1y1m1d"),
            (" 7d ", "7d"),
            ("30min1m", "1m30min"),
            ("0d", "0h"),
            ("007d", "7d"),
            ("4294967295h", "4294967295h"),
        ] {
            assert_eq!(span(text).to_string(), written);
            assert_eq!(span(written), span(text));
        }
        let all = Span { years: 1, months: 2, weeks: 3, days: 4, hours: 5, minutes: 6 };
        assert_eq!(span("1y2m3w4d5h6min"), all);
    }

    #[test]
    fn what_is_no_span_is_refused_with_the_reason() {
        for (text, why) in [
            ("", "it is empty"),
            ("  ", "it is empty"),
            ("7", "7 has no unit"),
            ("1d7", "7 has no unit"),
            ("d", "a whole number is missing before \"d\""),
            ("-7d", "a whole number is missing before \"-\""),
            ("1.5d", "\".\" is no unit"),
            ("7D", "\"D\" is no unit"),
            ("7days", "\"days\" is no unit"),
            ("30s", "\"s\" is no unit"),
            ("1d 2h", "\"d \" is no unit"),
            ("1d2d", "it has d twice"),
            ("4294967296d", "4294967296 is too large"),
            ("1µ", "\"µ\" is no unit"),
        ] {
            let error = text.parse::<Span>().expect_err(text).to_string();
            assert!(error.starts_with(&format!("{text:?} is not a length of time: {why} (units are")), "{error}");
        }
    }

    fn before(text: &str, moment: &str, zone: &str) -> String {
        let zone = TimeZone::get(zone).expect("a zone");
        let earlier = span(text).before(moment.parse().expect("a time"), &zone);
        earlier.to_zoned(zone).to_string()
    }

    #[test]
    fn months_are_those_of_the_calendar_and_end_with_their_last_day() {
        for (text, moment, earlier) in [
            ("1m", "2023-03-31T10:00:00Z", "2023-02-28T10:00:00+00:00[UTC]"),
            ("1m", "2024-03-31T10:00:00Z", "2024-02-29T10:00:00+00:00[UTC]"),
            ("1y", "2024-02-29T10:00:00Z", "2023-02-28T10:00:00+00:00[UTC]"),
            ("4y", "2024-02-29T10:00:00Z", "2020-02-29T10:00:00+00:00[UTC]"),
            ("1m1d", "2023-03-31T10:00:00Z", "2023-02-27T10:00:00+00:00[UTC]"),
            ("13m", "2024-01-31T10:00:00Z", "2022-12-31T10:00:00+00:00[UTC]"),
            ("1w", "2024-01-03T10:00:00Z", "2023-12-27T10:00:00+00:00[UTC]"),
            ("90min", "2024-01-01T01:00:00Z", "2023-12-31T23:30:00+00:00[UTC]"),
        ] {
            assert_eq!(before(text, moment, "UTC"), earlier, "{text} before {moment}");
        }
    }

    #[test]
    fn a_day_ends_at_the_same_time_of_the_clock_and_24_hours_need_not() {
        let spring = "2026-03-29T10:00:00Z";
        assert_eq!(before("1d", spring, "Europe/Berlin"), "2026-03-28T12:00:00+01:00[Europe/Berlin]");
        assert_eq!(before("24h", spring, "Europe/Berlin"), "2026-03-28T11:00:00+01:00[Europe/Berlin]");
        let autumn = "2026-11-01T17:00:00Z";
        assert_eq!(before("1d", autumn, "America/New_York"), "2026-10-31T12:00:00-04:00[America/New_York]");
        assert_eq!(before("24h", autumn, "America/New_York"), "2026-10-31T13:00:00-04:00[America/New_York]");
    }

    #[test]
    fn what_lies_before_the_beginning_of_time_is_its_beginning() {
        let now = "2024-01-01T00:00:00Z".parse().expect("a time");
        for text in ["12024y", "4294967295y", "4294967295w", "4294967295d4294967295h4294967295min"] {
            assert_eq!(span(text).before(now, &TimeZone::UTC), Timestamp::MIN, "{text}");
        }
        assert!(span("9999y").before(now, &TimeZone::UTC) > Timestamp::MIN);
        assert_eq!(span("1h").before(Timestamp::MIN, &TimeZone::UTC), Timestamp::MIN);
    }
}
