//! Operators that are the same under another id: a uid was changed, or the id of an operator without one, which Flink
//! derives from the job's graph. Nothing in a `_metadata` says so; what speaks for it is given with each.

use super::content::{Content, Kind};
use crate::model::OperatorState;
use foldhash::{HashMap, HashMapExt as _};
use std::hash::Hash;

/// An operator of one snapshot that the other has no operator of the id for.
pub(super) struct Lone<'m> {
    pub operator: &'m OperatorState<'m>,
    pub content: &'m Content,
    /// Keyed states, where the heads of the state files were read.
    pub keyed_states: Vec<String>,
}

/// An operator of the first list, one of the second, and what speaks for it.
pub(super) type Renamed = (usize, usize, String);

/// Pairs of operators that are probably the same. One that could be several is none of them.
pub(super) fn find(gone: &[Lone<'_>], added: &[Lone<'_>]) -> Vec<Renamed> {
    let mut search = Search {
        gone,
        added,
        gone_paired: vec![false; gone.len()],
        added_paired: vec![false; added.len()],
        pairs: Vec::new(),
    };
    search.by_files();
    search.by(
        |lone| (!is_empty(lone)).then(|| lone.content.parts.values().map(|part| part.digest).collect::<Vec<_>>()),
        |_| "their state is the same to the byte".to_owned(),
    );
    search.by(
        |lone| (!lone.operator.name.is_empty()).then(|| (lone.operator.name.to_string(), shape(lone))),
        |lone| format!("both are named {:?}, and their state has the same shape", lone.operator.name.to_str()),
    );
    search.by(
        |lone| (!is_empty(lone)).then(|| shape(lone)),
        |lone| format!("no other operators have state of this shape ({})", words(lone)),
    );
    search.pairs
}

fn is_empty(lone: &Lone<'_>) -> bool {
    lone.content.parts.is_empty()
}

/// What stays the same from one checkpoint to the next.
type Shape = (i32, Vec<(Kind, &'static str)>, Vec<(Kind, String, &'static str)>, Vec<String>);

fn shape(lone: &Lone<'_>) -> Shape {
    let lasting = lone.content.parts.iter().filter(|(kind, _)| !is_in_flight(**kind));
    let parts = lasting.map(|(kind, part)| (*kind, part.class)).collect();
    let states = lone.content.states.iter().map(|((kind, name), state)| (*kind, name.clone(), state.mode)).collect();
    (lone.operator.max_parallelism, parts, states, lone.keyed_states.clone())
}

fn is_in_flight(kind: Kind) -> bool {
    matches!(kind, Kind::InputChannel | Kind::ResultSubpartition)
}

fn words(lone: &Lone<'_>) -> String {
    let kinds: Vec<&str> = lone.content.parts.keys().map(|kind| kind.words()).collect();
    kinds.join(", ")
}

struct Search<'l, 'm> {
    gone: &'l [Lone<'m>],
    added: &'l [Lone<'m>],
    gone_paired: Vec<bool>,
    added_paired: Vec<bool>,
    pairs: Vec<Renamed>,
}

/// Of several.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Only {
    One(usize),
    Many,
}

impl Only {
    fn or(known: Option<Only>, index: usize) -> Only {
        match known {
            None => Only::One(index),
            Some(Only::One(other)) if other == index => Only::One(index),
            Some(_) => Only::Many,
        }
    }
}

impl Search<'_, '_> {
    fn pair(&mut self, gone: usize, added: usize, why: String) {
        if let (Some(left), Some(right)) = (self.gone_paired.get_mut(gone), self.added_paired.get_mut(added))
            && !*left
            && !*right
        {
            (*left, *right) = (true, true);
            self.pairs.push((gone, added, why));
        }
    }

    /// Pairs operators that refer to the same files, and to no file of another one.
    fn by_files(&mut self) {
        let mut owners: HashMap<&str, Only> = HashMap::new();
        for (index, lone) in self.gone.iter().enumerate() {
            for name in lone.content.files.keys() {
                let known = owners.get(name.as_str()).copied();
                owners.insert(name, Only::or(known, index));
            }
        }
        let mut of_added: HashMap<usize, (Only, u64, &str)> = HashMap::new();
        let mut of_gone: HashMap<usize, Only> = HashMap::new();
        for (index, lone) in self.added.iter().enumerate() {
            for name in lone.content.files.keys() {
                match owners.get(name.as_str()) {
                    None => {}
                    Some(Only::Many) => {
                        of_added.entry(index).or_insert((Only::Many, 0, name)).0 = Only::Many;
                    }
                    Some(Only::One(gone)) => {
                        let known = of_gone.get(gone).copied();
                        of_gone.insert(*gone, Only::or(known, index));
                        let entry = of_added.entry(index).or_insert((Only::One(*gone), 0, name));
                        entry.0 = if entry.0 == Only::Many { Only::Many } else { Only::or(Some(entry.0), *gone) };
                        (entry.1, entry.2) = (entry.1 + 1, entry.2.min(name));
                    }
                }
            }
        }
        let mut found: Vec<(usize, usize, String)> = Vec::new();
        for (added, (partner, number, example)) in of_added {
            if let Only::One(gone) = partner
                && of_gone.get(&gone) == Some(&Only::One(added))
            {
                found.push((gone, added, format!("both refer to {number} of the same files, such as {example}")));
            }
        }
        found.sort_by_key(|(gone, added, _)| (*added, *gone));
        found.into_iter().for_each(|(gone, added, why)| self.pair(gone, added, why));
    }

    /// Pairs operators that are alone in having a key.
    fn by<K: Hash + Eq>(&mut self, key: impl Fn(&Lone<'_>) -> Option<K>, why: impl Fn(&Lone<'_>) -> String) {
        let alone = |list: &[Lone<'_>], paired: &[bool]| {
            let mut keys: HashMap<K, Only> = HashMap::new();
            for (index, lone) in list.iter().enumerate().filter(|(index, _)| paired.get(*index) == Some(&false)) {
                if let Some(key) = key(lone) {
                    let known = keys.get(&key).copied();
                    keys.insert(key, Only::or(known, index));
                }
            }
            keys
        };
        let mut gone = alone(self.gone, &self.gone_paired);
        let added = alone(self.added, &self.added_paired);
        let mut found: Vec<(usize, usize)> = added
            .into_iter()
            .filter_map(|(key, right)| match (gone.remove(&key), right) {
                (Some(Only::One(left)), Only::One(right)) => Some((left, right)),
                _ => None,
            })
            .collect();
        found.sort_unstable();
        for (left, right) in found {
            let Some(lone) = self.added.get(right) else { continue };
            self.pair(left, right, why(lone));
        }
    }
}
