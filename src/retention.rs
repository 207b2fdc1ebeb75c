//! Which snapshots a policy keeps, and why. No I/O, and no clock: `now` is an argument.
//!
//! The rules and their evaluation are those of `restic forget`, on the snapshots that are restorable and on no others;
//! around them lie rules that no policy overrules. `docs/retention.md` has them in words.

mod policy;
mod rules;
mod span;

pub use policy::{Count, CountError, Policy, TagList, TagListError};
pub use span::{Span, SpanError};

use jiff::{Timestamp, tz::TimeZone};

/// A snapshot that may stay or go.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate<'a> {
    /// When it was completed. One of which that is not known is to be given as [`Standing::Unknown`].
    pub time: Timestamp,
    /// The id of the checkpoint. Ids start again with a job that starts anew.
    pub id: Option<i64>,
    /// Its tags.
    pub tags: &'a [String],
    /// Whether it counts.
    pub standing: Standing<'a>,
    /// Whether somebody said that it is to stay.
    pub pinned: bool,
    /// Another reason for which it has to stay, in words.
    pub held: Option<&'a str>,
}

/// What is known of a snapshot's worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing<'a> {
    /// It counts, and takes part in the rules.
    Restorable,
    /// It does not count; the verdict in a word, such as `broken`.
    NotRestorable(&'a str),
    /// It could not be judged. It does not count, and never goes.
    Unknown,
}

/// By what snapshots are newer or older than others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// By the time of completion, and by id where that is the same.
    #[default]
    ByTime,
    /// By id, for trees of one job whose times were lost. What has no id stays. Everything does where an id occurs twice,
    /// or where a rule asks for times ([`Policy::needs_times`]).
    ById,
}

/// What is to happen to a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Whether it stays.
    pub keep: bool,
    /// Why it stays or goes; at least one reason.
    pub reasons: Vec<String>,
}

/// Chooses among the snapshots of a group: one answer for each, in the order in which they were given.
///
/// `min_age` keeps what is younger. The calendar, by which days and months begin, is that of `zone`.
pub fn choose(
    policy: &Policy,
    group: &[Candidate<'_>],
    now: Timestamp,
    min_age: Option<Span>,
    zone: &TimeZone,
    order: Order,
) -> Vec<Choice> {
    let mut newest_first: Vec<usize> = (0..group.len()).collect();
    newest_first.sort_by_key(|&index| std::cmp::Reverse(group.get(index).map(|candidate| rank(candidate, order))));
    let restorable: Vec<(usize, &Candidate<'_>)> = newest_first
        .iter()
        .filter_map(|&index| Some((index, group.get(index)?)))
        .filter(|(_, candidate)| candidate.standing == Standing::Restorable && rank(candidate, order).is_some())
        .collect();
    let heads = Heads::of(&restorable, now, order);

    let youngest = min_age.filter(|age| !age.is_zero()).map(|age| age.before(now, zone));
    let lacks_times = order == Order::ById && policy.needs_times();
    let lacks_order = order == Order::ById && ids_repeat(group);
    let any_counts = group.iter().any(|candidate| candidate.standing == Standing::Restorable);
    let mut reasons: Vec<Vec<String>> = (group.iter().enumerate())
        .map(|(index, candidate)| {
            let mut reasons = Vec::new();
            let mut stays = |reason: &str| reasons.push(reason.to_owned());
            if candidate.pinned {
                stays("pinned");
            }
            candidate.held.into_iter().for_each(&mut stays);
            if candidate.standing == Standing::Unknown {
                stays("could not be judged");
            }
            if !any_counts {
                stays("no restorable snapshot in its group");
            }
            if rank(candidate, order).is_none() {
                stays("has no id, and ids give the order");
            }
            if lacks_order {
                stays("an id occurs twice in its group, and ids give the order");
            }
            if lacks_times {
                stays("rules of the policy need its time, and only its id is known");
            }
            heads.reason(index, candidate, order).into_iter().for_each(&mut stays);
            if youngest.is_some_and(|youngest| youngest == Timestamp::MIN || candidate.time > youngest) {
                stays("younger than --min-age");
            }
            reasons
        })
        .collect();
    if !lacks_times {
        let counting: Vec<&Candidate<'_>> = restorable.iter().map(|(_, candidate)| *candidate).collect();
        let of_rules = rules::reasons(policy, &counting, now, zone);
        for ((index, _), more) in restorable.iter().zip(of_rules) {
            reasons.get_mut(*index).into_iter().for_each(|reasons| reasons.extend_from_slice(&more));
        }
    }
    let choices = group.iter().zip(reasons).map(|(candidate, reasons)| choice(candidate, reasons, now, order));
    choices.collect()
}

/// Where a snapshot stands in the order: greater is newer; `None` where that is not known.
fn rank(candidate: &Candidate<'_>, order: Order) -> Option<(i128, Option<i64>)> {
    match order {
        Order::ByTime => Some((candidate.time.as_nanosecond(), candidate.id)),
        Order::ById => candidate.id.map(|id| (i128::from(id), None)),
    }
}

/// Whether a snapshot is older than another beyond doubt.
fn is_older(candidate: &Candidate<'_>, than: &Candidate<'_>, order: Order) -> bool {
    let has_lower_id = candidate.id.zip(than.id).is_some_and(|(id, other)| id < other);
    match order {
        Order::ByTime => candidate.time < than.time || (candidate.time == than.time && has_lower_id),
        Order::ById => has_lower_id,
    }
}

/// Whether several snapshots have one id: they are of several jobs then, and their ids are no order.
fn ids_repeat(group: &[Candidate<'_>]) -> bool {
    let mut ids: Vec<i64> = group.iter().filter_map(|candidate| candidate.id).collect();
    ids.sort_unstable();
    ids.windows(2).any(|pair| pair.first() == pair.last())
}

/// The restorable snapshots that always stay.
struct Heads<'a> {
    newest: Option<(usize, &'a Candidate<'a>)>,
    /// The newest that is not dated in the future, where that is another one: a clock that went wrong once must not
    /// cost the snapshot that really is the newest.
    not_in_the_future: Option<(usize, &'a Candidate<'a>)>,
}

impl<'a> Heads<'a> {
    /// `restorable` with the newest first.
    fn of(restorable: &[(usize, &'a Candidate<'a>)], now: Timestamp, order: Order) -> Self {
        let newest = restorable.first().copied();
        let is_past = |candidate: &Candidate<'_>| order == Order::ById || candidate.time <= now;
        let past = restorable.iter().find(|(_, candidate)| is_past(candidate)).copied();
        Heads { newest, not_in_the_future: past.filter(|past| newest.is_none_or(|newest| newest.0 != past.0)) }
    }

    /// Why a snapshot stays for what it is to them.
    fn reason(&self, index: usize, candidate: &Candidate<'_>, order: Order) -> Option<&'static str> {
        let is = |head: Option<(usize, &Candidate<'_>)>| head.is_some_and(|head| head.0 == index);
        match candidate.standing {
            Standing::Restorable if is(self.newest) => Some("newest restorable"),
            Standing::Restorable if is(self.not_in_the_future) => Some("newest restorable not dated in the future"),
            Standing::Restorable | Standing::Unknown => None,
            Standing::NotRestorable(_) => {
                let (_, head) = self.not_in_the_future.or(self.newest)?;
                (!is_older(candidate, head, order))
                    .then_some("not restorable, but newer than the newest restorable one: it may be mended")
            }
        }
    }
}

fn choice(candidate: &Candidate<'_>, mut reasons: Vec<String>, now: Timestamp, order: Order) -> Choice {
    let keep = !reasons.is_empty();
    if !keep {
        reasons.push(match candidate.standing {
            Standing::NotRestorable(verdict) => format!("{verdict}: does not count"),
            Standing::Restorable | Standing::Unknown => "no rule keeps it".to_owned(),
        });
    }
    if order == Order::ByTime && candidate.time > now {
        reasons.push("dated in the future".to_owned());
    }
    Choice { keep, reasons }
}
