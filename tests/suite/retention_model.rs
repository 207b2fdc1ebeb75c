//! What a policy keeps, written down again as plainly as can be, and random groups to try it on.

use super::retention::Snapshot;
use chkctl::retention::{Count, Policy, Span};
use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};
use std::collections::BTreeSet;

/// A policy as the model reads it.
#[derive(Debug, Clone)]
pub struct Spec {
    /// last, hourly, daily, weekly, monthly, yearly.
    pub counts: [Count; 6],
    /// Anything, hourly, daily, weekly, monthly, yearly.
    pub within: [Option<Span>; 6],
    /// Lists of tags; an empty one means no tags.
    pub tags: Vec<Vec<&'static str>>,
    /// The window.
    pub window: Option<Span>,
}

impl Spec {
    /// The same as the library has it.
    pub fn policy(&self) -> Policy {
        let [last, hourly, daily, weekly, monthly, yearly] = self.counts;
        let [within, within_hourly, within_daily, within_weekly, within_monthly, within_yearly] = self.within;
        let tags = self.tags.iter().map(|list| list.join(",").parse().expect("tags")).collect();
        Policy {
            last,
            hourly,
            daily,
            weekly,
            monthly,
            yearly,
            within,
            within_hourly,
            within_daily,
            within_weekly,
            within_monthly,
            within_yearly,
            tags,
            window: self.window,
        }
    }
}

/// How the periods of the calendar are written; those of the second entry on.
const PERIODS: [&str; 6] = ["", "%Y-%m-%d %H", "%Y-%m-%d", "%G %V", "%Y-%m", "%Y"];

/// The moment a span before another, by hand.
fn back(span: Span, from: Timestamp, zone: &TimeZone) -> Timestamp {
    let clock = zone.to_datetime(from);
    let months = i32::from(clock.year()) * 12 + i32::from(clock.month()) - 1;
    let months = months - (span.years * 12 + span.months) as i32;
    let (year, month) = (months.div_euclid(12) as i16, months.rem_euclid(12) as i8 + 1);
    let last_day = civil::date(year, month, 1).days_in_month();
    let mut date = civil::date(year, month, clock.day().min(last_day));
    for _ in 0..span.weeks * 7 + span.days {
        date = date.yesterday().expect("a day");
    }
    let calendar = zone.to_timestamp(date.to_datetime(clock.time())).expect("a time");
    // Without a step back on the calendar the moment is the same one, also in an hour that the clock shows twice.
    let moved = Span { hours: 0, minutes: 0, ..span } != Span::default();
    let minutes = i64::from(span.hours) * 60 + i64::from(span.minutes);
    (if moved { calendar } else { from }) - SignedDuration::from_mins(minutes)
}

/// Which snapshots stay.
pub fn kept(spec: &Spec, group: &[Snapshot], now: Timestamp, min_age: Option<Span>, zone: &TimeZone) -> Vec<bool> {
    let counts = |at: usize| group[at].verdict == "restorable";
    // Of one time and id, the one that was given first is newer.
    let is_newer = |a: usize, b: usize| (group[a].time, group[a].id, b) > (group[b].time, group[b].id, a);
    let newest_of =
        |places: Vec<usize>| places.iter().copied().find(|&a| places.iter().all(|&b| a == b || is_newer(a, b)));
    let restorable: Vec<usize> = (0..group.len()).filter(|&at| counts(at)).collect();
    let past: Vec<usize> = restorable.iter().copied().filter(|&at| group[at].time <= now).collect();
    let (newest, newest_past) = (newest_of(restorable.clone()), newest_of(past.clone()));
    let latest = newest_past.map(|at| group[at].time);
    let serves = spec.window.map(|window| {
        let old: Vec<usize> = past.into_iter().filter(|&at| group[at].time <= back(window, now, zone)).collect();
        let oldest = || restorable.iter().copied().find(|&a| restorable.iter().all(|&b| a == b || is_newer(b, a)));
        newest_of(old).or_else(oldest)
    });
    let label = |at: usize, period: usize| match PERIODS[period] {
        "" => at.to_string(),
        format => group[at].time.to_zoned(zone.clone()).strftime(format).to_string(),
    };
    let by_rules = |at: usize| {
        let newer: Vec<usize> = restorable.iter().copied().filter(|&other| is_newer(other, at)).collect();
        let is_oldest = newer.len() + 1 == restorable.len();
        let labels = |period| newer.iter().map(|&other| label(other, period)).collect::<BTreeSet<_>>();
        let is_first = |period| is_oldest || !labels(period).contains(&label(at, period));
        let counted = (0..6).any(|period| match spec.counts[period] {
            Count::Unlimited => is_first(period),
            Count::AtMost(count) => is_first(period) && labels(period).len() < count as usize,
        });
        let is_within = |span: Span| latest.is_none_or(|latest| group[at].time > back(span, latest, zone));
        let within =
            (0..6).any(|period| spec.within[period].is_some_and(|s| is_within(s) && (period == 0 || is_first(period))));
        let tagged = spec.tags.iter().any(|list| match list.as_slice() {
            [] => group[at].tags.is_empty(),
            tags => tags.iter().all(|tag| group[at].tags.iter().any(|own| own == tag)),
        });
        counted || within || tagged || serves == Some(Some(at))
    };
    let stays = |at: usize| {
        let snapshot = &group[at];
        let is_young = min_age.is_some_and(|age| snapshot.time > back(age, now, zone));
        if snapshot.pinned || snapshot.held.is_some() || is_young || restorable.is_empty() {
            return true;
        }
        match snapshot.verdict {
            "unknown" => true,
            "restorable" => newest == Some(at) || newest_past == Some(at) || by_rules(at),
            _ => {
                let head = &group[newest_past.or(newest).expect("a restorable one")];
                let is_older = match snapshot.time.cmp(&head.time) {
                    std::cmp::Ordering::Equal => snapshot.id.is_some() && head.id.is_some() && snapshot.id < head.id,
                    order => order.is_lt(),
                };
                !is_older
            }
        }
    };
    (0..group.len()).map(stays).collect()
}

/// A generator of numbers that are random enough, the same on every run.
pub struct Lcg(pub u64);

impl Lcg {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    /// A number below a limit.
    pub fn below(&mut self, limit: usize) -> usize {
        self.next() as usize % limit
    }

    /// True once in so many times.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// A span that is not empty.
    pub fn span(&mut self) -> Span {
        let text =
            ["1h", "90min", "5h", "1d", "24h", "3d12h", "1w", "12d", "1m", "1m2d", "6m", "1y", "1y1m1w1d1h1min", "4y"];
        self.one_of(&text).parse().expect("a span")
    }

    fn count(&mut self) -> Count {
        if self.one_in(8) { Count::Unlimited } else { Count::AtMost(1 + self.below(5) as u32) }
    }

    fn tags(&mut self) -> Vec<&'static str> {
        [vec![], vec!["a"], vec!["b"], vec!["a", "b"]][self.below(4)].clone()
    }

    /// A policy of few rules, or none.
    pub fn spec(&mut self) -> Spec {
        let mut spec = Spec { counts: [Count::AtMost(0); 6], within: [None; 6], tags: Vec::new(), window: None };
        for _ in 0..self.below(4) {
            spec = self.more_than(&spec);
        }
        spec
    }

    /// A policy with a rule more, or with a rule that keeps more.
    pub fn more_than(&mut self, spec: &Spec) -> Spec {
        let mut more = spec.clone();
        let at = self.below(6);
        match self.below(8) {
            0..4 => {
                more.counts[at] = match spec.counts[at] {
                    Count::AtMost(0) => self.count(),
                    Count::AtMost(count) => Count::AtMost(count + 1),
                    Count::Unlimited => Count::Unlimited,
                }
            }
            4 | 5 => more.within[at] = spec.within[at].or_else(|| Some(self.span())),
            6 => more.tags.push(self.tags()),
            _ => more.window = spec.window.or_else(|| Some(self.span())),
        }
        more
    }

    /// Snapshots that lie close together or far apart, around a change of the clocks, some of them at the same time, and
    /// a moment that is later than most.
    pub fn group(&mut self) -> (Vec<Snapshot>, Timestamp) {
        let changes = ["2025-10-26T01:00:00Z", "2025-11-02T06:00:00Z", "2026-03-29T01:00:00Z", "2024-02-29T12:00:00Z"];
        let changes = changes.map(|text| text.parse::<Timestamp>().expect("a time"));
        let middle = self.one_of(&changes);
        let (minutes, steps) = self.one_of(&[(20, 30), (7 * 60, 40), (26 * 60, 60), (20 * 24 * 60, 60)]);
        let at = |step: usize| middle + SignedDuration::from_mins(minutes * (step as i64 - steps as i64 * 2 / 3));
        let verdicts = ["restorable", "restorable", "restorable", "restorable", "broken", "suspect", "unknown"];
        let verdicts = if self.one_in(8) { &verdicts[4..] } else { &verdicts[..] };
        let group = (0..self.below(20)).map(|_| Snapshot {
            time: at(self.below(steps)),
            id: (!self.one_in(5)).then(|| self.below(9) as i64),
            tags: self.tags().into_iter().map(str::to_owned).collect(),
            verdict: self.one_of(verdicts),
            pinned: self.one_in(15),
            held: self.one_in(15).then(|| "chk-7 was restored from it".to_owned()),
        });
        let group = group.collect();
        let now = at(steps - 1 - self.below(steps / 4));
        (group, now)
    }
}
