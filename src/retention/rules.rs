//! The rules of a policy, evaluated as restic does (`internal/data/snapshot_policy.go`).

use super::policy::{Count, Period, Policy, some};
use super::{Candidate, Span};
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

/// What a period of the calendar is known by; the same numbers in the same period.
type Bucket = [i16; 4];

/// A rule that keeps one snapshot of each bucket, met from the newest on.
struct Rule {
    /// `None`: each snapshot is a bucket of its own.
    period: Option<Period>,
    left: Count,
    /// Only snapshots after this moment are looked at.
    after: Option<Timestamp>,
    /// The bucket of the snapshot that it kept last.
    last: Option<Bucket>,
    reason: String,
}

/// Why `snapshots` stay: the reasons of each, none where no rule keeps it. All of them count, and the newest comes first.
pub(super) fn reasons(
    policy: &Policy,
    snapshots: &[&Candidate<'_>],
    now: Timestamp,
    zone: &TimeZone,
) -> Vec<Vec<String>> {
    let latest = snapshots.iter().map(|snapshot| snapshot.time).filter(|time| *time <= now).max();
    // Without a snapshot that is not in the future nothing can be said of what is within, and everything is.
    let start = |span: Span| latest.map_or(Timestamp::MIN, |latest| span.before(latest, zone));
    let within = some(policy.within).map(|span| (start(span), format!("within {span}")));
    let mut rules = rules(policy, &start);
    let mut found: Vec<Vec<String>> = Vec::with_capacity(snapshots.len());
    for (index, snapshot) in snapshots.iter().enumerate() {
        let is_oldest = index + 1 == snapshots.len();
        let clock = zone.to_datetime(snapshot.time);
        let tags = policy.tags.iter().filter(|list| list.fits(snapshot.tags)).map(|list| format!("has {list}"));
        let mut reasons: Vec<String> = tags.collect();
        reasons.extend(within.iter().filter(|(start, _)| is_after(snapshot, *start)).map(|(_, reason)| reason.clone()));
        reasons.extend(rules.iter_mut().filter_map(|rule| rule.meet(snapshot, clock, is_oldest)));
        found.push(reasons);
    }
    if let Some((index, reason)) = some(policy.window).and_then(|span| serving(span, snapshots, now, zone)) {
        found.get_mut(index).into_iter().for_each(|reasons| reasons.push(reason.clone()));
    }
    found
}

/// Whether a snapshot was completed after a moment. Everything was after the beginning of time, what was then too.
fn is_after(snapshot: &Candidate<'_>, moment: Timestamp) -> bool {
    moment == Timestamp::MIN || snapshot.time > moment
}

/// The rules with buckets, in the order in which restic gives their reasons.
fn rules(policy: &Policy, start: &dyn Fn(Span) -> Timestamp) -> Vec<Rule> {
    let rule = |period: Option<Period>, left, after, reason| Rule { period, left, after, last: None, reason };
    let mut rules = vec![rule(None, policy.last, None, "last snapshot".to_owned())];
    for (count, period) in policy.counted() {
        rules.push(rule(Some(period), count, None, format!("{} snapshot", period.word())));
    }
    for (span, period) in policy.periods_within() {
        let Some(span) = some(span) else { continue };
        let reason = format!("{} within {span}", period.word());
        rules.push(rule(Some(period), Count::Unlimited, Some(start(span)), reason));
    }
    rules
}

impl Rule {
    /// Why the rule keeps a snapshot, if it does. What is left of the count also keeps the oldest of all, so that the
    /// history reaches back as far as it can.
    fn meet(&mut self, snapshot: &Candidate<'_>, clock: DateTime, is_oldest: bool) -> Option<String> {
        if self.left.is_zero() || self.after.is_some_and(|start| !is_after(snapshot, start)) {
            return None;
        }
        let bucket = self.period.map(|period| bucket(period, clock));
        let is_new = bucket.is_none() || bucket != self.last;
        if !is_new && !is_oldest {
            return None;
        }
        self.last = bucket;
        if let Count::AtMost(left) = &mut self.left {
            *left = left.saturating_sub(1);
        }
        Some(if is_new { self.reason.clone() } else { format!("oldest {}", self.reason) })
    }
}

/// The period in which a clock shows this time. An hour that the clock shows twice is one hour, as in restic.
fn bucket(period: Period, clock: DateTime) -> Bucket {
    let (year, month, day) = (clock.year(), i16::from(clock.month()), i16::from(clock.day()));
    match period {
        Period::Hour => [year, month, day, i16::from(clock.hour())],
        Period::Day => [year, month, day, 0],
        Period::Week => {
            let week = clock.date().iso_week_date();
            [week.year(), i16::from(week.week()), 0, 0]
        }
        Period::Month => [year, month, 0, 0],
        Period::Year => [year, 0, 0, 0],
    }
}

/// The snapshot that serves a window, and why: the youngest that is old enough. Where none is, the oldest of all, since
/// otherwise none would ever grow so old.
fn serving(span: Span, snapshots: &[&Candidate<'_>], now: Timestamp, zone: &TimeZone) -> Option<(usize, String)> {
    let start = span.before(now, zone);
    match snapshots.iter().position(|snapshot| snapshot.time <= start) {
        Some(index) => Some((index, format!("youngest that is at least {span} old"))),
        None => Some((snapshots.len().checked_sub(1)?, format!("oldest, as none is {span} old"))),
    }
}
