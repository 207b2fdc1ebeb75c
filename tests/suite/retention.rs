//! Which snapshots a policy keeps: a table of policies with their answers in `testdata/retention`, the edges of calendars,
//! and many small groups against a slow model.

use super::retention_model::{Lcg, Spec, kept};
use super::support::testdata;
use chkctl::retention::{Candidate, Choice, Count, Order, Policy, Span, Standing, choose};
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use std::collections::BTreeSet;
use std::fs;

/// A snapshot with what a [`Candidate`] only borrows.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    pub time: Timestamp,
    pub id: Option<i64>,
    pub tags: Vec<String>,
    pub verdict: &'static str,
    pub pinned: bool,
    pub held: Option<String>,
}

impl Snapshot {
    fn at(time: &str) -> Self {
        let time = time.parse().unwrap_or_else(|error| panic!("{time}: {error}"));
        Snapshot { time, id: None, tags: Vec::new(), verdict: "restorable", pinned: false, held: None }
    }

    fn broken(time: &str) -> Self {
        Snapshot { verdict: "broken", ..Snapshot::at(time) }
    }

    fn candidate(&self) -> Candidate<'_> {
        let standing = match self.verdict {
            "restorable" => Standing::Restorable,
            "unknown" => Standing::Unknown,
            verdict => Standing::NotRestorable(verdict),
        };
        let Snapshot { time, id, tags, pinned, held, .. } = self;
        Candidate { time: *time, id: *id, tags, standing, pinned: *pinned, held: held.as_deref() }
    }
}

fn all_at(times: &[&str]) -> Vec<Snapshot> {
    times.iter().map(|time| Snapshot::at(time)).collect()
}

fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn span(text: &str) -> Span {
    text.parse().expect("a span")
}

/// A policy from words such as `last 3; within 7d; tag a,b`.
fn policy(text: &str) -> Policy {
    let mut policy = Policy::default();
    for rule in text.split("; ").filter(|rule| !rule.is_empty()) {
        let (name, value) = rule.split_once(' ').expect("a rule and its value");
        let count = || value.parse::<Count>().expect("a count");
        match name {
            "last" => policy.last = count(),
            "hourly" => policy.hourly = count(),
            "daily" => policy.daily = count(),
            "weekly" => policy.weekly = count(),
            "monthly" => policy.monthly = count(),
            "yearly" => policy.yearly = count(),
            "within" => policy.within = Some(span(value)),
            "within-hourly" => policy.within_hourly = Some(span(value)),
            "within-daily" => policy.within_daily = Some(span(value)),
            "within-weekly" => policy.within_weekly = Some(span(value)),
            "within-monthly" => policy.within_monthly = Some(span(value)),
            "within-yearly" => policy.within_yearly = Some(span(value)),
            "tag" => policy.tags.push(value.trim_matches('\'').parse().expect("tags")),
            "window" => policy.window = Some(span(value)),
            _ => panic!("{name} is no rule"),
        }
    }
    policy
}

fn chosen(text: &str, group: &[Snapshot], now: Timestamp, zone: &TimeZone) -> Vec<Choice> {
    let group: Vec<Candidate<'_>> = group.iter().map(Snapshot::candidate).collect();
    choose(&policy(text), &group, now, None, zone, Order::ByTime)
}

/// The times that stay by the clock of a zone, with the reasons.
fn kept_in(text: &str, group: &[Snapshot], zone: &str) -> Vec<String> {
    let zone = TimeZone::get(zone).expect("a zone");
    let choices = chosen(text, group, time("2100-01-01T00:00:00Z"), &zone);
    let stay = group.iter().zip(choices).filter(|(_, choice)| choice.keep);
    let line = |(snapshot, choice): (&Snapshot, Choice)| {
        let reasons: Vec<String> = choice.reasons.into_iter().filter(|r| r != "newest restorable").collect();
        format!("{} {}", snapshot.time.to_zoned(zone.clone()).strftime("%d %H:%M %Z"), reasons.join(", "))
    };
    stay.map(line).collect()
}

fn keeps(choices: &[Choice]) -> Vec<bool> {
    choices.iter().map(|choice| choice.keep).collect()
}

// The table.

const NOW: &str = "2026-09-01T00:00:00Z";

const POLICIES: &[&str] = &[
    "last 1",
    "last 10",
    "last 15",
    "last 73",
    "last 74",
    "last 500",
    "last unlimited",
    "last -1; hourly -1",
    "last 0; daily 1",
    "hourly 1",
    "hourly 20",
    "hourly 500",
    "hourly unlimited",
    "daily 3",
    "daily 10",
    "daily 30",
    "daily 100",
    "last 5; daily 5",
    "last 2; daily 10",
    "weekly 2",
    "weekly 4",
    "weekly unlimited",
    "daily 3; weekly 4",
    "monthly 6",
    "monthly 12",
    "monthly 24",
    "monthly unlimited",
    "daily 2; weekly 2; monthly 6",
    "yearly 1",
    "yearly 5",
    "yearly 10",
    "daily 7; weekly 2; monthly 3; yearly 10",
    "daily 3; weekly 2; monthly -1; yearly -1",
    "tag release",
    "tag release,audited",
    "tag release; tag audited",
    "tag ''",
    "tag nobody",
    "tag year-end; last 2",
    "within 1h",
    "within 1d",
    "within 2d",
    "within 7d",
    "within 1w",
    "within 1m",
    "within 2m",
    "within 6m",
    "within 1m14d",
    "within 1y1d1m",
    "within 13d23h",
    "within 2m2h",
    "within 90min",
    "within 9999y",
    "within-hourly 1d",
    "within-daily 7d",
    "within-weekly 2m",
    "within-monthly 1y",
    "within-yearly 3y",
    "within-daily 9999y",
    "within-yearly 9999y",
    "within 1h; within-hourly 1d; within-daily 7d; within-weekly 1m; within-monthly 1y; within-yearly 9999y",
    "last 3; within 2d; within-weekly 2m; tag release",
    "last 1; window 7d",
    "last 1; window 9999y",
    "daily 3; window 30d",
    "window 1d",
];

/// The lines of a list of snapshots.
fn list(name: &str) -> Vec<Snapshot> {
    let text = fs::read_to_string(testdata().join("retention").join(name)).expect("a list");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let snapshot = |line: &str| {
        let mut words = line.split_whitespace();
        let mut snapshot = Snapshot::at(words.next().expect("a time"));
        snapshot.id = Some(words.next().expect("an id").parse().expect("a number"));
        let tags = words.next().filter(|tags| *tags != "-");
        snapshot.tags = tags.into_iter().flat_map(|tags| tags.split(',')).map(str::to_owned).collect();
        for word in words {
            match word {
                "broken" => snapshot.verdict = "broken",
                "suspect" => snapshot.verdict = "suspect",
                "unknown" => snapshot.verdict = "unknown",
                "pinned" => snapshot.pinned = true,
                held => snapshot.held = Some(held.strip_prefix("held=").expect("a reason").replace('_', " ")),
            }
        }
        snapshot
    };
    lines.map(snapshot).collect()
}

/// What is decided on a list, newest first, to be read.
fn table(policy_words: &str, group: &[Snapshot], choices: &[Choice]) -> String {
    let mut rows: Vec<(&Snapshot, &Choice)> = group.iter().zip(choices).collect();
    rows.sort_by_key(|(snapshot, _)| std::cmp::Reverse((snapshot.time, snapshot.id)));
    let stay = rows.iter().filter(|(_, choice)| choice.keep).count();
    let mut text = format!("{policy_words}\n{stay} of {} stay\n\n", rows.len());
    for (snapshot, choice) in rows {
        let action = if choice.keep { "keep  " } else { "remove" };
        let clock = snapshot.time.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S %a %G-W%V");
        let what = format!("chk-{} {}", snapshot.id.expect("an id"), snapshot.tags.join(","));
        let verdict = if snapshot.verdict == "restorable" { "" } else { snapshot.verdict };
        let what = format!("{what} {verdict}");
        text.push_str(&format!("{action} {clock}  {:<24}  {}\n", what.trim_end(), choice.reasons.join(", ")));
    }
    text
}

/// Compares a decision with the file that has it, or writes it where `UPDATE_DOCS` is set.
fn compare(name: &str, text: &str, wrong: &mut Vec<String>) {
    let golden = testdata().join("retention").join(format!("{name}.golden"));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&golden, text).expect("the decision is written");
    }
    if fs::read_to_string(&golden).unwrap_or_default() != text {
        wrong.push(format!("{}:\n{text}", golden.display()));
    }
}

fn file_name(words: &str) -> String {
    let plain: String = words.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { ' ' }).collect();
    let name = plain.split_whitespace().collect::<Vec<_>>().join("-");
    name.replace("last-1-hourly-1", "last-all-hourly-all").replace("monthly-1-yearly-1", "monthly-all-yearly-all")
}

#[test]
fn every_policy_decides_as_the_file_beside_it_says() {
    let snapshots = list("snapshots.txt");
    assert!(snapshots.len() >= 60 && POLICIES.len() >= 44);
    let mut wrong = Vec::new();
    let mut names = BTreeSet::new();
    for words in POLICIES {
        let choices = chosen(words, &snapshots, time(NOW), &TimeZone::UTC);
        assert_eq!(choices.len(), snapshots.len());
        let text = table(&policy(words).in_words(), &snapshots, &choices);
        compare(&file_name(words), &text, &mut wrong);
        assert!(names.insert(file_name(words)), "{words} has a file of its own");
    }
    for (words, min_age) in [
        ("last 1", None),
        ("last 3; tag release", None),
        ("last 2", Some("2d")),
        ("within 3d", None),
        ("yearly 2; window 2w", None),
    ] {
        let mixed = list("mixed.txt");
        let group: Vec<Candidate<'_>> = mixed.iter().map(Snapshot::candidate).collect();
        let policy = policy(words);
        let choices = choose(&policy, &group, time(NOW), min_age.map(span), &TimeZone::UTC, Order::ByTime);
        let aged = min_age.map(|age| format!("; what is younger than {age} stays")).unwrap_or_default();
        let text = table(&format!("{}{aged}", policy.in_words()), &mixed, &choices);
        let name = format!("mixed-{}", file_name(&format!("{words} {}", min_age.unwrap_or_default())));
        compare(&name, &text, &mut wrong);
        names.insert(name);
    }
    assert!(wrong.is_empty(), "UPDATE_DOCS=1 writes them anew:\n{}", wrong.join("\n"));
    let files =
        fs::read_dir(testdata().join("retention")).expect("testdata/retention").map(|e| e.expect("an entry").path());
    for path in files.filter(|path| path.extension().is_some_and(|end| end == "golden")) {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        assert!(names.contains(&name), "no policy decides {name}");
    }
}

#[test]
fn four_years_later_a_policy_decides_the_same_unless_it_has_a_window() {
    let snapshots = list("snapshots.txt");
    for words in POLICIES {
        let decide = |now: &str| chosen(words, &snapshots, time(now), &TimeZone::UTC);
        let (now, later) = (decide(NOW), decide("2030-09-01T00:00:00Z"));
        match policy(words).window {
            None => assert_eq!(now, later, "{words}"),
            Some(window) if window == span("9999y") => assert_eq!(now, later, "{words}"),
            Some(_) => assert_ne!(now, later, "{words}"),
        }
    }
}

// Calendars and clocks.

#[test]
fn a_week_is_that_of_iso_8601_across_the_end_of_a_year() {
    let days = all_at(&[
        "2020-12-27T12:00:00Z",
        "2020-12-28T12:00:00Z",
        "2021-01-03T12:00:00Z",
        "2021-01-04T12:00:00Z",
        "2024-12-29T12:00:00Z",
        "2024-12-30T12:00:00Z",
        "2025-01-05T12:00:00Z",
    ]);
    let kept = kept_in("weekly unlimited", &days, "UTC");
    let week = |day: &str| format!("{day} 12:00 UTC weekly snapshot");
    assert_eq!(kept, [week("27"), week("03"), week("04"), week("29"), week("05")]);
}

#[test]
fn a_leap_day_is_a_day_and_a_year_before_it_ends_with_february() {
    let group =
        all_at(&["2023-02-28T12:00:00Z", "2023-02-28T12:00:01Z", "2024-02-29T06:00:00Z", "2024-02-29T12:00:00Z"]);
    let kept = kept_in("within 1y", &group, "UTC");
    assert_eq!(kept, ["28 12:00 UTC within 1y", "29 06:00 UTC within 1y", "29 12:00 UTC within 1y"]);
    let daily = chosen("daily unlimited", &group, time(NOW), &TimeZone::UTC);
    assert_eq!(keeps(&daily), [true, true, false, true], "the first of all is the oldest");
}

#[test]
fn a_month_before_the_31st_ends_with_the_last_day_of_its_month() {
    let group =
        all_at(&["2026-02-28T12:00:00Z", "2026-02-28T12:00:01Z", "2026-03-01T00:00:00Z", "2026-03-31T12:00:00Z"]);
    assert_eq!(keeps(&chosen("within 1m", &group, time(NOW), &TimeZone::UTC)), [false, true, true, true]);
}

#[test]
fn what_is_exactly_as_old_as_a_span_is_not_within_it() {
    let group = all_at(&["2026-08-24T12:00:00Z", "2026-08-24T12:00:00.000000001Z", "2026-08-31T12:00:00Z"]);
    assert_eq!(keeps(&chosen("within 7d", &group, time(NOW), &TimeZone::UTC)), [false, true, true]);
}

#[test]
fn an_hour_that_the_clock_shows_twice_is_one_hour() {
    let berlin = all_at(&[
        "2025-10-25T23:45:00Z",
        "2025-10-26T00:15:00Z",
        "2025-10-26T00:45:00Z",
        "2025-10-26T01:15:00Z",
        "2025-10-26T01:45:00Z",
        "2025-10-26T02:15:00Z",
    ]);
    let kept = kept_in("hourly unlimited", &berlin, "Europe/Berlin");
    let hours = ["26 01:45 CEST hourly snapshot", "26 02:45 CET hourly snapshot", "26 03:15 CET hourly snapshot"];
    assert_eq!(kept, hours);
    let new_york = all_at(&[
        "2025-11-02T04:45:00Z",
        "2025-11-02T05:15:00Z",
        "2025-11-02T05:45:00Z",
        "2025-11-02T06:15:00Z",
        "2025-11-02T07:15:00Z",
    ]);
    let kept = kept_in("hourly unlimited", &new_york, "America/New_York");
    let hours = ["02 00:45 EDT hourly snapshot", "02 01:15 EST hourly snapshot", "02 02:15 EST hourly snapshot"];
    assert_eq!(kept, hours);
    assert_eq!(kept_in("hourly unlimited", &new_york, "UTC").len(), 4, "in UTC they are four hours");
}

#[test]
fn an_hour_that_the_clock_skips_is_not_counted() {
    let berlin =
        all_at(&["2026-03-29T00:30:00Z", "2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"]);
    let kept = kept_in("hourly 2", &berlin, "Europe/Berlin");
    assert_eq!(kept, ["29 01:59 CET hourly snapshot", "29 03:30 CEST hourly snapshot"]);
    let new_york = all_at(&["2026-03-08T06:30:00Z", "2026-03-08T06:45:00Z", "2026-03-08T07:15:00Z"]);
    let kept = kept_in("hourly 2", &new_york, "America/New_York");
    assert_eq!(kept, ["08 01:45 EST hourly snapshot", "08 03:15 EDT hourly snapshot"]);
}

#[test]
fn a_day_begins_at_midnight_of_the_zone_and_may_last_23_or_25_hours() {
    let group =
        all_at(&["2026-03-28T22:59:59Z", "2026-03-28T23:00:00Z", "2026-03-29T21:59:59Z", "2026-03-29T22:00:00Z"]);
    let kept = kept_in("daily unlimited", &group, "Europe/Berlin");
    let days = ["28 23:59 CET daily snapshot", "29 23:59 CEST daily snapshot", "30 00:00 CEST daily snapshot"];
    assert_eq!(kept, days);
    // A day before 12:00 on the day of the change is 12:00, 25 hours earlier.
    let group = all_at(&["2026-10-24T10:00:00Z", "2026-10-24T10:00:01Z", "2026-10-25T11:00:00Z"]);
    let kept = kept_in("within 1d", &group, "Europe/Berlin");
    assert_eq!(kept, ["24 12:00 CEST within 1d", "25 12:00 CET within 1d"]);
    let kept = kept_in("within 24h", &group, "Europe/Berlin");
    assert_eq!(kept, ["25 12:00 CET within 24h"]);
    let spring = all_at(&["2026-03-07T17:00:00Z", "2026-03-07T17:00:01Z", "2026-03-08T16:00:00Z"]);
    let kept = kept_in("within 1d", &spring, "America/New_York");
    assert_eq!(kept, ["07 12:00 EST within 1d", "08 12:00 EDT within 1d"]);
}

#[test]
fn within_is_not_measured_from_a_snapshot_of_the_future() {
    let group =
        all_at(&["2026-08-20T00:00:00Z", "2026-08-30T00:00:00Z", "2026-08-31T00:00:00Z", "2030-01-01T00:00:00Z"]);
    let choices = chosen("within 7d", &group, time(NOW), &TimeZone::UTC);
    assert_eq!(keeps(&choices), [false, true, true, true]);
    assert_eq!(choices[2].reasons, ["newest restorable not dated in the future", "within 7d"]);
    assert_eq!(choices[3].reasons, ["newest restorable", "within 7d", "dated in the future"]);
    let all_later = chosen("within 7d", &group, time("2026-08-01T00:00:00Z"), &TimeZone::UTC);
    assert_eq!(keeps(&all_later), [true; 4], "nothing to measure from: everything stays");
    let at_once = chosen("within 7d", &group[..3], time("2026-08-31T00:00:00Z"), &TimeZone::UTC);
    assert_eq!(keeps(&at_once), [false, true, true], "what was completed right now is not in the future");
}

#[test]
fn a_clock_that_was_wrong_once_does_not_cost_the_newest_snapshot() {
    let group =
        all_at(&["2026-08-30T00:00:00Z", "2026-08-31T00:00:00Z", "2030-01-01T00:00:00Z", "2031-01-01T00:00:00Z"]);
    assert_eq!(keeps(&chosen("last 1", &group, time(NOW), &TimeZone::UTC)), [false, true, false, true]);
    let group = [
        Snapshot::at("2026-08-30T00:00:00Z"),
        Snapshot::broken("2026-08-29T00:00:00Z"),
        Snapshot::broken("2026-08-31T00:00:00Z"),
        Snapshot::at("2030-01-01T00:00:00Z"),
    ];
    assert_eq!(keeps(&chosen("last 1", &group, time(NOW), &TimeZone::UTC)), [true, false, true, true]);
}

// Order, standing and the rules above the policy.

#[test]
fn ids_that_start_again_do_not_change_the_order() {
    let with_id = |time: &str, id| Snapshot { id: Some(id), ..Snapshot::at(time) };
    let group = [
        with_id("2026-08-01T00:00:00Z", 900),
        with_id("2026-08-02T00:00:00Z", 901),
        with_id("2026-08-03T00:00:00Z", 1),
        with_id("2026-08-03T00:00:00Z", 2),
    ];
    let choices = chosen("last 2", &group, time(NOW), &TimeZone::UTC);
    assert_eq!(keeps(&choices), [false, false, true, true]);
    let choices = chosen("last 1", &group, time(NOW), &TimeZone::UTC);
    assert_eq!(keeps(&choices), [false, false, false, true], "of one time the higher id is newer");
}

fn by_id(words: &str, group: &[Snapshot]) -> Vec<Choice> {
    let group: Vec<Candidate<'_>> = group.iter().map(Snapshot::candidate).collect();
    choose(&policy(words), &group, time(NOW), None, &TimeZone::UTC, Order::ById)
}

#[test]
fn where_times_were_lost_ids_give_the_order_and_doubt_keeps() {
    let with_id = |id| Snapshot { id, ..Snapshot::at("2027-01-01T00:00:00Z") };
    let mut group: Vec<Snapshot> = [3, 9, 5].map(|id| with_id(Some(id))).to_vec();
    group.push(Snapshot { verdict: "broken", ..with_id(Some(4)) });
    group.push(Snapshot { verdict: "broken", ..with_id(Some(10)) });
    let choices = by_id("last 2", &group);
    assert_eq!(keeps(&choices), [false, true, true, false, true]);
    assert_eq!(choices[1].reasons, ["newest restorable", "last snapshot"], "and no word of the future");
    for words in ["last 1; daily 1", "within 1d", "last 1; window 7d"] {
        let choices = by_id(words, &group);
        assert_eq!(keeps(&choices), [true; 5], "{words}");
        assert_eq!(choices[0].reasons, ["rules of the policy need its time, and only its id is known"]);
    }
    group.push(with_id(None));
    let choices = by_id("last 1", &group);
    assert_eq!(keeps(&choices), [false, true, false, false, true, true]);
    assert_eq!(choices[5].reasons, ["has no id, and ids give the order"]);
    group.push(with_id(Some(3)));
    assert_eq!(keeps(&by_id("last 1", &group)), [true; 7], "ids of two jobs are no order");
}

#[test]
fn a_group_without_a_restorable_snapshot_stays_as_it_is() {
    let mut group = vec![Snapshot::broken("2026-08-01T00:00:00Z"), Snapshot::broken("2026-08-02T00:00:00Z")];
    let choices = chosen("last 1", &group, time(NOW), &TimeZone::UTC);
    assert_eq!(keeps(&choices), [true, true]);
    assert_eq!(choices[0].reasons, ["no restorable snapshot in its group"]);
    group.push(Snapshot { verdict: "unknown", ..Snapshot::at("2026-08-03T00:00:00Z") });
    assert_eq!(keeps(&chosen("last 1", &group, time(NOW), &TimeZone::UTC)), [true; 3]);
    group.push(Snapshot::at("2026-08-04T00:00:00Z"));
    let choices = chosen("last 1", &group, time(NOW), &TimeZone::UTC);
    assert_eq!(keeps(&choices), [false, false, true, true]);
    assert_eq!(choices[0].reasons, ["broken: does not count"]);
    assert_eq!(choices[2].reasons, ["could not be judged"]);
    assert!(chosen("last 1", &[], time(NOW), &TimeZone::UTC).is_empty());
}

#[test]
fn the_oldest_stays_only_while_a_count_is_not_used_up() {
    let group =
        all_at(&["2026-08-01T01:00:00Z", "2026-08-01T02:00:00Z", "2026-08-02T01:00:00Z", "2026-08-03T01:00:00Z"]);
    let reasons = |words: &str| {
        chosen(words, &group, time(NOW), &TimeZone::UTC).into_iter().map(|choice| choice.reasons.join(", ")).collect()
    };
    let three: Vec<String> = reasons("daily 3");
    assert_eq!(three, ["no rule keeps it", "daily snapshot", "daily snapshot", "newest restorable, daily snapshot"]);
    let four: Vec<String> = reasons("daily 4");
    assert_eq!(four[0], "oldest daily snapshot");
    let unlimited: Vec<String> = reasons("daily -1");
    assert_eq!(unlimited[0], "oldest daily snapshot");
    let within: Vec<String> = reasons("within-daily 1y");
    assert_eq!(within[0], "oldest daily within 1y");
    let outside: Vec<String> = reasons("within-daily 1d");
    assert_eq!(outside[0], "no rule keeps it", "the oldest is not within");
}

#[test]
fn a_window_is_served_by_the_youngest_snapshot_that_is_old_enough() {
    let group =
        all_at(&["2026-08-01T00:00:00Z", "2026-08-25T00:00:00Z", "2026-08-25T00:00:01Z", "2026-08-31T00:00:00Z"]);
    let choices = chosen("last 1; window 7d", &group, time(NOW), &TimeZone::UTC);
    assert_eq!(keeps(&choices), [false, true, false, true]);
    assert_eq!(choices[1].reasons, ["youngest that is at least 7d old"]);
    let choices = chosen("last 1; window 60d", &group, time(NOW), &TimeZone::UTC);
    assert_eq!(keeps(&choices), [true, false, false, true], "it will be old enough one day");
    assert_eq!(choices[0].reasons, ["oldest, as none is 60d old"]);
    let broken = Snapshot::broken("2026-08-24T00:00:00Z");
    let with_broken: Vec<Snapshot> = [broken].into_iter().chain(group).collect();
    let choices = chosen("last 1; window 8d", &with_broken, time(NOW), &TimeZone::UTC);
    assert_eq!(keeps(&choices), [false, true, false, false, true], "a broken one serves nothing");
}

#[test]
fn day_after_day_a_window_stays_served_once_it_is() {
    let mut group: Vec<Snapshot> = Vec::new();
    for day in 0..60 {
        let now = time("2026-01-01T00:00:00Z") + (24 * day).hours();
        group.push(Snapshot { time: now, ..Snapshot::at(NOW) });
        let keep = keeps(&chosen("last 2; within-daily 9d; window 7d", &group, now, &TimeZone::UTC));
        let mut keep = keep.into_iter();
        group.retain(|_| keep.next() == Some(true));
        let old_enough = group.iter().any(|snapshot| snapshot.time <= now - (7 * 24).hours());
        assert_eq!(old_enough, day >= 7, "day {day}");
        assert!(group.len() <= 10, "day {day}");
    }
}

// Many small groups.

fn choose_all(spec: &Spec, group: &[Snapshot], now: Timestamp, min_age: Option<Span>, zone: &TimeZone) -> Vec<Choice> {
    let group: Vec<Candidate<'_>> = group.iter().map(Snapshot::candidate).collect();
    choose(&spec.policy(), &group, now, min_age, zone, Order::ByTime)
}

/// Calls `check` with many random groups, policies, moments and zones.
fn many(seed: u64, mut check: impl FnMut(&mut Lcg, &Spec, &[Snapshot], Timestamp, Option<Span>, &TimeZone)) {
    let zones = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"];
    let zones = zones.map(|name| TimeZone::get(name).expect("a zone"));
    let mut random = Lcg(seed);
    for _ in 0..4_000 {
        let zone = &zones[random.below(zones.len())];
        let (group, now) = random.group();
        let spec = random.spec();
        let min_age = random.one_in(4).then(|| random.span());
        check(&mut random, &spec, &group, now, min_age, zone);
    }
}

#[test]
fn choices_are_those_of_a_slow_model() {
    let mut removed = 0;
    many(1, |_, spec, group, now, min_age, zone| {
        let choices = choose_all(spec, group, now, min_age, zone);
        let model = kept(spec, group, now, min_age, zone);
        assert_eq!(keeps(&choices), model, "{spec:?} {min_age:?} at {now} in {zone:?} of {group:#?}");
        assert!(choices.iter().all(|choice| !choice.reasons.is_empty()));
        removed += model.iter().filter(|keep| !**keep).count();
    });
    assert!(removed > 10_000, "the groups have something to remove: {removed}");
}

#[test]
fn the_newest_restorable_one_and_all_that_are_pinned_or_held_or_unknown_stay() {
    many(2, |_, spec, group, now, min_age, zone| {
        let choices = choose_all(spec, group, now, min_age, zone);
        let restorable = group.iter().zip(&choices).filter(|(snapshot, _)| snapshot.verdict == "restorable");
        let newest = restorable.clone().map(|(snapshot, _)| snapshot.time).max();
        let stays = restorable.clone().any(|(snapshot, choice)| choice.keep && Some(snapshot.time) == newest);
        assert!(stays || newest.is_none());
        for (snapshot, choice) in group.iter().zip(&choices) {
            let protected = snapshot.pinned || snapshot.held.is_some() || snapshot.verdict == "unknown";
            assert!(choice.keep || !(protected || newest.is_none()), "{snapshot:?}");
        }
    });
}

#[test]
fn a_broken_snapshot_changes_nothing_for_the_restorable_ones() {
    many(3, |random, spec, group, now, min_age, zone| {
        let before = choose_all(spec, group, now, min_age, zone);
        let mut more = group.to_vec();
        let (others, _) = random.group();
        more.extend(others.into_iter().map(|other| Snapshot { verdict: "broken", ..other }));
        let after = choose_all(spec, &more, now, min_age, zone);
        for (index, snapshot) in group.iter().enumerate().filter(|(_, s)| s.verdict == "restorable") {
            assert_eq!(before[index], after[index], "{snapshot:?}");
        }
    });
}

#[test]
fn one_more_rule_never_removes_more() {
    many(4, |random, spec, group, now, min_age, zone| {
        let before = choose_all(spec, group, now, min_age, zone);
        let more = random.more_than(spec);
        let after = choose_all(&more, group, now, min_age, zone);
        assert!(before.iter().zip(&after).all(|(a, b)| b.keep || !a.keep), "{spec:?} and {more:?} of {group:#?}");
        let aged = choose_all(spec, group, now, min_age.or(Some(random.span())), zone);
        assert!(before.iter().zip(&aged).all(|(a, b)| b.keep || !a.keep), "{spec:?} of {group:#?}");
    });
}

#[test]
fn a_rule_keeps_no_more_than_its_count() {
    many(5, |_, spec, group, now, min_age, zone| {
        let choices = choose_all(spec, group, now, min_age, zone);
        for (count, word) in spec.counts.iter().zip(["last", "hourly", "daily", "weekly", "monthly", "yearly"]) {
            let Count::AtMost(count) = count else { continue };
            let reasons = [format!("{word} snapshot"), format!("oldest {word} snapshot")];
            let kept = choices.iter().filter(|choice| choice.reasons.iter().any(|reason| reasons.contains(reason)));
            assert!(kept.count() <= *count as usize, "{word} {count}: {choices:#?}");
        }
    });
}

#[test]
fn what_is_left_is_left_alone_the_next_time() {
    many(6, |_, spec, group, now, min_age, zone| {
        let keep = keeps(&choose_all(spec, group, now, min_age, zone));
        let left: Vec<Snapshot> = group.iter().zip(keep).filter(|(_, keep)| *keep).map(|(s, _)| s.clone()).collect();
        assert!(choose_all(spec, &left, now, min_age, zone).iter().all(|choice| choice.keep), "{spec:?} of {left:#?}");
    });
}

#[test]
fn the_order_in_which_snapshots_are_given_does_not_matter() {
    many(7, |random, spec, group, now, min_age, zone| {
        // Those of one time and id are not told apart.
        let mut seen = BTreeSet::new();
        let group: Vec<Snapshot> = group.iter().filter(|s| seen.insert((s.time, s.id))).cloned().collect();
        let choices = choose_all(spec, &group, now, min_age, zone);
        let mut places: Vec<usize> = (0..group.len()).collect();
        (1..places.len()).for_each(|last| places.swap(last, random.below(last + 1)));
        let shuffled: Vec<Snapshot> = places.iter().map(|&place| group[place].clone()).collect();
        let again = choose_all(spec, &shuffled, now, min_age, zone);
        assert!(places.iter().zip(again).all(|(&place, choice)| choices[place] == choice));
    });
}
