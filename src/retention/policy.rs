//! What a policy consists of, and how it is written.

use super::Span;
use std::fmt;
use std::str::FromStr;

/// How many snapshots a rule keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Count {
    /// This many at most; 0 is no rule.
    AtMost(u32),
    /// One for every period that has a snapshot. As text `unlimited`, or `-1` as older releases of restic have it.
    Unlimited,
}

impl Default for Count {
    fn default() -> Self {
        Count::AtMost(0)
    }
}

impl Count {
    /// Whether it keeps nothing: no rule at all.
    pub fn is_zero(self) -> bool {
        self == Count::AtMost(0)
    }
}

/// A text that is not a [`Count`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a count: it takes a whole number up to 4294967295, or unlimited")]
pub struct CountError(String);

impl FromStr for Count {
    type Err = CountError;

    fn from_str(text: &str) -> Result<Self, CountError> {
        match text.trim() {
            "unlimited" | "-1" => Ok(Count::Unlimited),
            digits if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().map(Count::AtMost).map_err(|_| CountError(text.to_owned()))
            }
            _ => Err(CountError(text.to_owned())),
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Count::AtMost(count) => write!(f, "{count}"),
            Count::Unlimited => f.write_str("unlimited"),
        }
    }
}

/// Tags that a snapshot must have, all of them. Without any it means snapshots that have no tag.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TagList(Vec<String>);

/// A text that is not a [`TagList`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} has an empty tag between its commas ('' alone means snapshots without a tag)")]
pub struct TagListError(String);

impl TagList {
    /// Whether a snapshot with `tags` is meant.
    pub fn fits(&self, tags: &[String]) -> bool {
        if self.0.is_empty() { tags.is_empty() } else { self.0.iter().all(|tag| tags.contains(tag)) }
    }
}

impl FromStr for TagList {
    type Err = TagListError;

    /// Tags between commas; the empty text means snapshots that have no tag.
    fn from_str(text: &str) -> Result<Self, TagListError> {
        if text.trim().is_empty() {
            return Ok(TagList(Vec::new()));
        }
        let tags: Vec<String> = text.split(',').map(|tag| tag.trim().to_owned()).collect();
        if tags.iter().any(String::is_empty) { Err(TagListError(text.to_owned())) } else { Ok(TagList(tags)) }
    }
}

impl fmt::Display for TagList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str("no tags") } else { write!(f, "tags {}", self.0.join(",")) }
    }
}

/// The periods of the calendar that rules know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Period {
    Hour,
    Day,
    Week,
    Month,
    Year,
}

impl Period {
    pub(super) fn word(self) -> &'static str {
        match self {
            Period::Hour => "hourly",
            Period::Day => "daily",
            Period::Week => "weekly",
            Period::Month => "monthly",
            Period::Year => "yearly",
        }
    }
}

/// Rules that choose snapshots to keep. A snapshot stays if any of them keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    /// The newest ones.
    pub last: Count,
    /// The newest one of each of the newest hours that have one.
    pub hourly: Count,
    /// The newest one of each of the newest days that have one.
    pub daily: Count,
    /// The newest one of each of the newest weeks (ISO 8601: Monday to Sunday) that have one.
    pub weekly: Count,
    /// The newest one of each of the newest months that have one.
    pub monthly: Count,
    /// The newest one of each of the newest years that have one.
    pub yearly: Count,
    /// All that are less than this older than the newest one.
    pub within: Option<Span>,
    /// One of each hour, of those that are less than this older than the newest one.
    pub within_hourly: Option<Span>,
    /// One of each day, likewise.
    pub within_daily: Option<Span>,
    /// One of each week, likewise.
    pub within_weekly: Option<Span>,
    /// One of each month, likewise.
    pub within_monthly: Option<Span>,
    /// One of each year, likewise.
    pub within_yearly: Option<Span>,
    /// Those with all tags of one of the lists.
    pub tags: Vec<TagList>,
    /// One more, so that one is left which is at least this old.
    pub window: Option<Span>,
}

impl Policy {
    /// Whether no rule chooses what to keep. [`Policy::window`] alone chooses nothing: it only adds to what others keep,
    /// and whoever gives it alone may well mean that everything in the window is to stay.
    pub fn is_empty(&self) -> bool {
        let counted = self.counted().into_iter().any(|(count, _)| !count.is_zero());
        let within = self.periods_within().into_iter().any(|(span, _)| some(span).is_some());
        self.last.is_zero() && !counted && some(self.within).is_none() && !within && self.tags.is_empty()
    }

    /// Whether a rule asks when a snapshot was completed. All do but those of the last ones and of tags.
    pub fn needs_times(&self) -> bool {
        let without = Policy { last: Count::default(), tags: Vec::new(), ..self.clone() };
        !without.is_empty() || some(self.window).is_some()
    }

    /// The policy in words, for people.
    pub fn in_words(&self) -> String {
        let mut counts = match self.last {
            Count::AtMost(0) => Vec::new(),
            Count::AtMost(count) => vec![format!("the last {count}")],
            Count::Unlimited => vec!["all".to_owned()],
        };
        counts.extend(self.counted().into_iter().filter(|(count, _)| !count.is_zero()).map(
            |(count, period)| match count {
                Count::AtMost(count) => format!("{count} {}", period.word()),
                Count::Unlimited => format!("all {}", period.word()),
            },
        ));
        let mut parts = Vec::new();
        if !counts.is_empty() {
            parts.push(format!("{} snapshots", counts.join(", ")));
        }
        parts.extend(some(self.within).map(|span| format!("all within {span} of the newest")));
        for (span, period) in self.periods_within() {
            parts.extend(some(span).map(|span| format!("{} ones within {span} of the newest", period.word())));
        }
        parts.extend(self.tags.iter().map(|list| format!("all with {list}")));
        parts.extend(some(self.window).map(|span| format!("one that is at least {span} old")));
        if parts.is_empty() { "no rule".to_owned() } else { format!("keep {}", parts.join("; ")) }
    }

    /// The rules that count periods, in restic's order.
    pub(super) fn counted(&self) -> [(Count, Period); 5] {
        [
            (self.hourly, Period::Hour),
            (self.daily, Period::Day),
            (self.weekly, Period::Week),
            (self.monthly, Period::Month),
            (self.yearly, Period::Year),
        ]
    }

    /// The rules for one snapshot of each period within a span, in restic's order.
    pub(super) fn periods_within(&self) -> [(Option<Span>, Period); 5] {
        [
            (self.within_hourly, Period::Hour),
            (self.within_daily, Period::Day),
            (self.within_weekly, Period::Week),
            (self.within_monthly, Period::Month),
            (self.within_yearly, Period::Year),
        ]
    }
}

/// A span that has a length: one without is no rule.
pub(super) fn some(span: Option<Span>) -> Option<Span> {
    span.filter(|span| !span.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_whole_numbers_or_unlimited() {
        for (text, count) in [
            ("0", Count::AtMost(0)),
            ("7", Count::AtMost(7)),
            ("4294967295", Count::AtMost(u32::MAX)),
            ("-1", Count::Unlimited),
            ("unlimited", Count::Unlimited),
        ] {
            assert_eq!(text.parse(), Ok(count), "{text}");
        }
        for text in ["", "-2", "+7", "7.0", "all", "-0", "4294967296", "Unlimited", "- 1"] {
            assert!(text.parse::<Count>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_list_of_tags_asks_for_all_of_them_and_an_empty_one_for_none() {
        let tags = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let list = |text: &str| text.parse::<TagList>().expect(text);
        assert!(list("a,b").fits(&tags(&["b", "c", "a"])));
        assert!(!list("a,b").fits(&tags(&["a"])));
        assert!(!list("a").fits(&[]));
        assert!(list("").fits(&[]) && list(" ").fits(&[]));
        assert!(!list("").fits(&tags(&["a"])));
        assert_eq!(list(" a , b"), list("a,b"));
        for text in [",", "a,", ",a", "a,,b"] {
            assert!(text.parse::<TagList>().is_err(), "{text}");
        }
    }

    #[test]
    fn zero_counts_and_zero_spans_are_no_policy_and_neither_is_a_window_alone() {
        let week = Some(Span { weeks: 1, ..Span::default() });
        let empty = [
            Policy::default(),
            Policy { last: Count::AtMost(0), within: Some(Span::default()), ..Policy::default() },
            Policy { within_yearly: Some(Span::default()), ..Policy::default() },
            Policy { window: week, ..Policy::default() },
        ];
        assert!(empty.iter().all(Policy::is_empty));
        let set = [
            Policy { last: Count::AtMost(1), ..Policy::default() },
            Policy { yearly: Count::Unlimited, ..Policy::default() },
            Policy { within: week, ..Policy::default() },
            Policy { within_hourly: week, ..Policy::default() },
            Policy { tags: vec![TagList(Vec::new())], ..Policy::default() },
        ];
        assert!(!set.iter().any(Policy::is_empty));
        assert_eq!(set.map(|policy| policy.needs_times()), [false, true, true, true, false]);
        assert_eq!(empty.map(|policy| policy.needs_times()), [false, false, false, true]);
    }

    #[test]
    fn a_policy_says_itself_in_words() {
        let span = |text: &str| Some(text.parse().expect("a span"));
        let policy = Policy {
            last: Count::AtMost(3),
            daily: Count::AtMost(7),
            monthly: Count::Unlimited,
            within: span("12h"),
            within_weekly: span("1y"),
            tags: vec!["a,b".parse().expect("tags"), "".parse().expect("tags")],
            window: span("2w"),
            ..Policy::default()
        };
        assert_eq!(
            policy.in_words(),
            "keep the last 3, 7 daily, all monthly snapshots; all within 12h of the newest; weekly ones within 1y of the \
             newest; all with tags a,b; all with no tags; one that is at least 2w old"
        );
        assert_eq!(Policy { last: Count::Unlimited, ..Policy::default() }.in_words(), "keep all snapshots");
        assert_eq!(Policy::default().in_words(), "no rule");
    }
}
