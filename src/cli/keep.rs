//! Options that say which snapshots stay (`docs/retention.md`).

use crate::retention::{Count, Policy, Span, TagList};
use clap::{Args, ValueEnum};
use jiff::fmt::temporal::DateTimeParser;
use jiff::tz::TimeZone;

/// What to keep.
#[derive(Debug, Args)]
pub(super) struct KeepArgs {
    /// Keep the N newest snapshots (`unlimited`: all of them).
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    keep_last: Option<Count>,
    /// Keep the newest snapshot of each of the last N hours that have one.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    keep_hourly: Option<Count>,
    /// Keep the newest snapshot of each of the last N days that have one.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    keep_daily: Option<Count>,
    /// Keep the newest snapshot of each of the last N weeks (Monday to Sunday) that have one.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    keep_weekly: Option<Count>,
    /// Keep the newest snapshot of each of the last N months that have one.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    keep_monthly: Option<Count>,
    /// Keep the newest snapshot of each of the last N years that have one.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    keep_yearly: Option<Count>,
    /// Keep all snapshots from this long before the newest one on, such as 7d or 1y6m (y, m, w, d, h, min).
    #[arg(long, value_name = "DURATION")]
    keep_within: Option<Span>,
    /// Keep one snapshot of each hour from this long before the newest one on.
    #[arg(long, value_name = "DURATION")]
    keep_within_hourly: Option<Span>,
    /// Keep one snapshot of each day from this long before the newest one on.
    #[arg(long, value_name = "DURATION")]
    keep_within_daily: Option<Span>,
    /// Keep one snapshot of each week from this long before the newest one on.
    #[arg(long, value_name = "DURATION")]
    keep_within_weekly: Option<Span>,
    /// Keep one snapshot of each month from this long before the newest one on.
    #[arg(long, value_name = "DURATION")]
    keep_within_monthly: Option<Span>,
    /// Keep one snapshot of each year from this long before the newest one on.
    #[arg(long, value_name = "DURATION")]
    keep_within_yearly: Option<Span>,
    /// Keep snapshots that have all these tags ('': that have none). May be given again.
    #[arg(long, value_name = "TAG[,TAG…]")]
    keep_tag: Vec<TagList>,
    /// Keep also one snapshot that is at least this old, beside what another rule keeps.
    #[arg(long, value_name = "DURATION")]
    keep_window: Option<Span>,
    /// Keep snapshots that are younger than this.
    #[arg(long, value_name = "DURATION")]
    min_age: Option<Span>,
    /// The time zone in which hours, days, weeks, months and years begin, such as Europe/Berlin.
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = zone)]
    time_zone: TimeZone,
    /// What the rules are applied to, each for itself.
    #[arg(long, value_name = "WHAT", value_enum, default_value_t)]
    group_by: GroupBy,
}

/// What the rules of a policy are applied to, each for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum GroupBy {
    /// The snapshots of each job.
    #[default]
    Job,
    /// The snapshots below each root.
    Root,
    /// All snapshots together.
    None,
}

impl KeepArgs {
    /// The rules. They may be none: [`Policy::is_empty`].
    pub(super) fn policy(&self) -> Policy {
        Policy {
            last: self.keep_last.unwrap_or_default(),
            hourly: self.keep_hourly.unwrap_or_default(),
            daily: self.keep_daily.unwrap_or_default(),
            weekly: self.keep_weekly.unwrap_or_default(),
            monthly: self.keep_monthly.unwrap_or_default(),
            yearly: self.keep_yearly.unwrap_or_default(),
            within: self.keep_within,
            within_hourly: self.keep_within_hourly,
            within_daily: self.keep_within_daily,
            within_weekly: self.keep_within_weekly,
            within_monthly: self.keep_within_monthly,
            within_yearly: self.keep_within_yearly,
            tags: self.keep_tag.clone(),
            window: self.keep_window,
        }
    }

    /// Snapshots that are younger stay.
    pub(super) fn min_age(&self) -> Option<Span> {
        self.min_age
    }

    /// The zone of the calendar.
    pub(super) fn time_zone(&self) -> &TimeZone {
        &self.time_zone
    }

    /// What the rules are applied to.
    pub(super) fn group_by(&self) -> GroupBy {
        self.group_by
    }
}

/// A zone by its name in the time zone database, or by its offset from UTC.
fn zone(text: &str) -> Result<TimeZone, String> {
    let refuse =
        |error: jiff::Error| format!("{error} (a name such as UTC or Europe/Berlin, or an offset such as +02:00)");
    match text {
        "UTC" => Ok(TimeZone::UTC),
        _ => DateTimeParser::new().parse_time_zone(text).map_err(refuse),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        keep: KeepArgs,
    }

    fn parsed(line: &[&str]) -> Result<KeepArgs, String> {
        let line = std::iter::once(&"prune").chain(line);
        Line::try_parse_from(line).map(|line| line.keep).map_err(|error| error.to_string())
    }

    fn refused(line: &[&str]) -> String {
        parsed(line).map(|args| args.policy()).expect_err("it is refused")
    }

    #[test]
    fn every_option_reaches_its_rule() {
        let rules = "last hourly daily weekly monthly yearly within within-hourly within-daily within-weekly \
                     within-monthly within-yearly tag window";
        let options: Vec<String> = rules.split_whitespace().map(|rule| format!("--keep-{rule}")).collect();
        let values = ["1", "2", "3", "4", "5", "unlimited", "1h", "2h", "3h", "4h", "5h", "6h", "a,b", "7h"];
        let line: Vec<&str> = options.iter().map(String::as_str).zip(values).flat_map(|(a, b)| [a, b]).collect();
        let hours = |hours| Some(Span { hours, ..Span::default() });
        let policy = Policy {
            last: Count::AtMost(1),
            hourly: Count::AtMost(2),
            daily: Count::AtMost(3),
            weekly: Count::AtMost(4),
            monthly: Count::AtMost(5),
            yearly: Count::Unlimited,
            within: hours(1),
            within_hourly: hours(2),
            within_daily: hours(3),
            within_weekly: hours(4),
            within_monthly: hours(5),
            within_yearly: hours(6),
            tags: vec!["a,b".parse().expect("tags")],
            window: hours(7),
        };
        assert_eq!(parsed(&line).map(|args| args.policy()), Ok(policy));
    }

    #[test]
    fn no_option_is_no_rule() {
        let args = parsed(&[]).expect("defaults");
        assert_eq!(args.policy(), Policy::default());
        assert!(args.policy().is_empty());
        assert_eq!((args.min_age(), args.group_by()), (None, GroupBy::Job));
        assert_eq!(*args.time_zone(), TimeZone::UTC);
    }

    #[test]
    fn minus_one_is_unlimited_and_an_empty_tag_means_none() {
        for line in [&["--keep-last", "-1"][..], &["--keep-last=-1"], &["--keep-last", "unlimited"]] {
            assert_eq!(parsed(line).map(|args| args.policy().last), Ok(Count::Unlimited), "{line:?}");
        }
        let tags = parsed(&["--keep-tag", "", "--keep-tag=a, b"]).expect("tags").policy().tags;
        assert_eq!(tags, ["".parse().expect("none"), "a,b".parse().expect("tags")]);
        assert!(refused(&["--keep-last", "-2"]).contains("or unlimited"));
        assert!(refused(&["--keep-within", "7"]).contains("7 has no unit"));
        assert!(refused(&["--keep-tag", "a,"]).contains("empty tag"));
    }

    #[test]
    fn zones_have_names_or_offsets() {
        for (text, hours) in [("Europe/Berlin", 1), ("UTC", 0), ("+05:00", 5)] {
            let args = parsed(&["--time-zone", text, "--min-age", "2h", "--group-by", "none"]).expect(text);
            let offset = args.time_zone().to_offset("2026-01-01T00:00:00Z".parse().expect("a time"));
            assert_eq!(offset, jiff::tz::offset(hours), "{text}");
            assert_eq!(args.min_age(), Some(Span { hours: 2, ..Span::default() }));
            assert_eq!(args.group_by(), GroupBy::None);
        }
        assert!(refused(&["--time-zone", "Mars/Olympus"]).contains("a name such as UTC"));
        assert!(refused(&["--time-zone", ""]).contains("a name such as UTC"));
    }
}
