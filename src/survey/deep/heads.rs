//! The heads of the subtasks of one operator beside each other: they describe the same states, so that a name that one
//! of them has in other letters is a damaged name, even where it could be that of a class of somebody's program.
//!
//! Only what damage explains is told: one name of the same length that differs in one or two bytes. Heads may differ in
//! more, since a state is described anew when a program first asks for it, and in states that only some subtasks have.

use crate::model::Effect;
use crate::state::meta::StateMeta;
use crate::state::operator::OperatorHeader;
use crate::state::{KeyedHeader, SerializerSnapshot};
use serde::{Deserialize, Serialize};

/// What is compared of a head.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Head {
    /// The names in the serializer of the keys; none of operator state.
    key: Vec<String>,
    states: Vec<State>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct State {
    name: String,
    names: Vec<String>,
}

/// Something that one head says and others do not.
#[derive(Debug, PartialEq)]
pub(super) struct Difference {
    /// The number of the head that seems damaged.
    pub head: usize,
    pub effect: Effect,
    pub problem: String,
}

impl Head {
    pub fn of_keyed(header: &KeyedHeader) -> Self {
        Head { key: header.key.names(), states: header.states.iter().map(State::of).collect() }
    }

    pub fn of_operator(header: &OperatorHeader) -> Self {
        let states = header.lists.iter().chain(&header.broadcasts);
        Head { key: Vec::new(), states: states.map(State::of).collect() }
    }

    fn state(&self, name: &str) -> Option<&State> {
        self.states.iter().find(|state| state.name == name)
    }
}

impl State {
    fn of(meta: &StateMeta) -> Self {
        // Flink writes them in the order of a hash map.
        let mut parts: Vec<&(String, SerializerSnapshot)> = meta.serializers.iter().collect();
        parts.sort_by(|one, other| one.0.cmp(&other.0));
        State { name: meta.name.clone(), names: parts.iter().flat_map(|(_, serializer)| serializer.names()).collect() }
    }
}

/// Whether two texts are one and its damage: digits apart, which number the states of some programs.
fn is_damaged(one: &str, other: &str) -> bool {
    let pairs = || one.bytes().zip(other.bytes()).filter(|(one, other)| one != other);
    one.len() == other.len()
        && (1..=2).contains(&pairs().count())
        && !pairs().all(|(one, other)| one.is_ascii_digit() && other.is_ascii_digit())
}

/// The only pair of names that differs, if it is one name and its damage.
fn damaged_pair<'h>(ours: &'h [String], theirs: &'h [String]) -> Option<(&'h str, &'h str)> {
    if ours.len() != theirs.len() {
        return None;
    }
    let mut pairs = ours.iter().zip(theirs).filter(|(one, other)| one != other);
    let (one, other) = pairs.next()?;
    (pairs.next().is_none() && is_damaged(one, other)).then_some((one, other))
}

/// Heads that are the same.
struct Alike<'h> {
    head: &'h Head,
    /// The number of the first of them.
    first: usize,
    count: usize,
}

/// More kinds of heads than that are no matter of damage, and nothing is said of them.
const MOST: usize = 50;

/// Compares the heads of one operator's subtasks. Of two that differ it is the later one that is told of.
pub(super) fn compare(heads: &[&Head]) -> Vec<Difference> {
    let mut kinds: Vec<Alike<'_>> = Vec::new();
    for (first, head) in heads.iter().enumerate() {
        if let Some(kind) = kinds.iter_mut().find(|kind| kind.head == *head) {
            kind.count += 1;
        } else if kinds.len() == MOST {
            return Vec::new();
        } else {
            kinds.push(Alike { head, first, count: 1 });
        }
    }
    let mut found = Vec::new();
    for kind in &kinds {
        let others = || kinds.iter().filter(|other| other.first != kind.first);
        let mut add = |effect, problem| found.push(Difference { head: kind.first, effect, problem });
        // How many heads there are of which something is true.
        let count = |holds: &dyn Fn(&Head) -> bool| -> usize {
            kinds.iter().filter(|kind| holds(kind.head)).map(|kind| kind.count).sum()
        };
        let keys = |wanted: &Alike<'_>| (count(&|head| head.key == wanted.head.key), wanted.first);
        let key = others().filter(|other| is_minority(keys(kind), keys(other)));
        if let Some((ours, theirs)) = key.filter_map(|other| damaged_pair(&kind.head.key, &other.head.key)).next() {
            add(Effect::Fails, format!("{ours} among the types of keys, {theirs} in another subtask"));
        }
        for state in &kind.head.states {
            let name = &state.name;
            let same = |wanted: &State| count(&|head| head.state(name) == Some(wanted));
            let theirs = others().filter_map(|other| Some((other.head.state(name)?, other.first)));
            let better = theirs.filter(|(other, at)| is_minority((same(state), kind.first), (same(other), *at)));
            if let Some((ours, theirs)) =
                better.filter_map(|(other, _)| damaged_pair(&state.names, &other.names)).next()
            {
                add(effect(ours), format!("state {name:?}: {ours} among its types, {theirs} in another subtask"));
            }
            let having = |name: &str| count(&|head| head.state(name).is_some());
            if having(name) > 1 || heads.len() < 2 {
                continue;
            }
            let other = others().find_map(|other| {
                let earlier = heads.len() > 2 || other.first < kind.first;
                other.head.states.iter().find(|other| {
                    earlier
                        && is_damaged(name, &other.name)
                        && kind.head.state(&other.name).is_none()
                        && having(&other.name) == heads.len() - 1
                })
            });
            if let Some(other) = other {
                add(Effect::Starts, format!("state {name:?}, which is {:?} in the other subtasks", other.name));
            }
        }
    }
    found
}

/// Whether the first of two, as so many heads have it and one of them, seems to be the damaged one.
fn is_minority((ours, our_number): (usize, usize), (theirs, their_number): (usize, usize)) -> bool {
    ours < theirs || (ours == theirs && their_number < our_number)
}

/// A class that is not there fails a restore; a field of a POJO is left out.
fn effect(name: &str) -> Effect {
    if name.contains('.') { Effect::Fails } else { Effect::Starts }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(key: &str, states: &[(&str, &str)]) -> Head {
        let state = |(name, class): &(&str, &str)| State { name: (*name).into(), names: vec![(*class).into()] };
        Head { key: vec![key.to_owned()], states: states.iter().map(state).collect() }
    }

    fn compared(heads: &[Head]) -> Vec<(usize, Effect)> {
        let differences = compare(&heads.iter().collect::<Vec<_>>());
        differences.into_iter().map(|difference| (difference.head, difference.effect)).collect()
    }

    #[test]
    fn what_is_the_same_or_quite_different_is_nothing() {
        let one = head("a.Key", &[("s", "a.Value"), ("n-1", "a.Value")]);
        assert_eq!(compared(&[one.clone(), one.clone()]), []);
        let other = head("a.Kind", &[("s", "a.Other"), ("more", "a.Value"), ("n-2", "a.Value")]);
        assert_eq!(compared(&[one, other]), []);
    }

    #[test]
    fn a_letter_that_one_subtask_alone_has_is_damage() {
        let right = head("a.Key", &[("state", "a.Value")]);
        let subtasks = |damaged: Head| [right.clone(), damaged, right.clone()];
        assert_eq!(compared(&subtasks(head("a.Jey", &[("state", "a.Value")]))), [(1, Effect::Fails)]);
        assert_eq!(compared(&subtasks(head("a.Key", &[("state", "a.Walue")]))), [(1, Effect::Fails)]);
        assert_eq!(compared(&subtasks(head("a.Key", &[("statf", "a.Value")]))), [(1, Effect::Starts)]);
        assert_eq!(compared(&[right.clone(), head("a.Key", &[("statf", "a.Value")])]), [(1, Effect::Starts)]);
        assert_eq!(compared(&[head("a.Key", &[("state", "a.Walue")]), right.clone()]), [(1, Effect::Fails)]);
    }
}
