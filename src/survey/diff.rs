//! What two snapshots differ in: operators, sizes by kind and by state, files, and what the second one added to the storage.
//!
//! Two snapshots are the same if Flink would restore the same from them. Where the files lie, and when and where the
//! snapshot was written, is not a difference: a copy is the same. It is told by what the `_metadata` files say; names of
//! state files are random, so that files of one name and size are taken to be copies of each other.

mod content;
mod files;
mod renames;
mod types;

pub use content::{Amount, Kind, Named};
pub use files::{FileChange, Files, Moved};
pub use types::TypeChange;

use super::catalog::SnapshotDir;
use super::heads::Heads;
use super::report::kind_of;
use super::resolve::Resolver;
use super::verify::Judge;
use crate::model::{Metadata, OperatorId, OperatorState};
use content::Content;
use files::Listed;
use foldhash::{HashMap, HashMapExt as _};
use jiff::Timestamp;
use renames::Lone;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A snapshot to compare.
pub struct Side<'m> {
    /// Where it is.
    pub snapshot: &'m SnapshotDir,
    /// What its `_metadata` holds.
    pub metadata: &'m Metadata<'m>,
    /// The size of that file in bytes.
    pub metadata_size: u64,
    /// The heads of the state files of each operator, where they were read.
    pub heads: Option<Vec<Heads>>,
}

/// What is said of a snapshot as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Whole {
    /// Its directory.
    pub path: String,
    /// Its id.
    pub checkpoint_id: i64,
    /// The job that wrote it, from the directory above.
    pub job_id: Option<String>,
    /// Checkpoint or savepoint, in words.
    pub description: String,
    /// Version of the format.
    pub metadata_version: i32,
    /// When the `_metadata` was written.
    pub completed_at: Option<Timestamp>,
    /// Size in bytes of all state as Flink adds it up.
    pub state_size: i64,
    /// Bytes that the checkpoint itself wrote, as Flink recorded them.
    pub checkpointed_size: i64,
    /// Different files.
    pub files: u64,
    /// Bytes of them that it refers to, each once.
    pub file_bytes: u64,
    /// Size of the `_metadata`, with the state in it.
    pub metadata_size: u64,
}

impl Whole {
    /// Bytes on storage that it needs.
    pub fn bytes(&self) -> u64 {
        self.file_bytes.saturating_add(self.metadata_size)
    }
}

/// How an operator fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// Only the second snapshot has it.
    Added,
    /// Only the first one has it.
    Gone,
    /// It has another id in each, probably.
    Renamed,
    /// Both have it.
    Both,
}

/// What is said of an operator in one snapshot.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OperatorSide {
    /// Its id.
    pub operator_id: OperatorId,
    /// Its name, where the `_metadata` has it.
    pub name: Option<String>,
    /// Its uid, where the `_metadata` has it.
    pub uid: Option<String>,
    /// Number of subtasks.
    pub parallelism: i32,
    /// Number of key groups.
    pub max_parallelism: i32,
    /// Whether all of it had finished.
    pub fully_finished: bool,
    /// Subtasks that had finished.
    pub finished_subtasks: u64,
    /// Size of its state in bytes, as Flink adds it up.
    pub state_size: i64,
    /// Bytes of it that the checkpoint wrote.
    pub checkpointed_size: i64,
}

/// One kind of state of an operator in both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KindChange {
    /// The kind.
    pub kind: Kind,
    /// Bytes in the first snapshot.
    pub a: Amount,
    /// Bytes in the second.
    pub b: Amount,
    /// Whether its handles say something else, or lead to other files: with equal sizes, too.
    pub changed: bool,
}

/// One named operator state in both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StateChange {
    /// Managed or raw.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// What the first snapshot has of it.
    pub a: Option<Named>,
    /// What the second has.
    pub b: Option<Named>,
}

/// An operator in both snapshots, or in one.
#[derive(Debug, Clone, PartialEq)]
pub struct OperatorChange {
    /// How it fared.
    pub fate: Fate,
    /// In the first snapshot.
    pub a: Option<OperatorSide>,
    /// In the second.
    pub b: Option<OperatorSide>,
    /// What speaks for it that it was renamed.
    pub why: Option<String>,
    /// Its state, by kind.
    pub kinds: Vec<KindChange>,
    /// Its operator states, by name.
    pub states: Vec<StateChange>,
    /// States that are other ones by the heads of the state files.
    pub types: Vec<TypeChange>,
    /// Heads that could not be read, and why.
    pub unread: Vec<String>,
}

impl OperatorChange {
    /// Whether there is any difference.
    pub fn differs(&self) -> bool {
        let (Some(a), Some(b)) = (&self.a, &self.b) else { return true };
        // Versions before 5 have neither names nor uids.
        let other = |a: &Option<String>, b: &Option<String>| a.is_some() && b.is_some() && a != b;
        self.fate != Fate::Both
            || (a.parallelism, a.max_parallelism) != (b.parallelism, b.max_parallelism)
            || (a.fully_finished, a.finished_subtasks) != (b.fully_finished, b.finished_subtasks)
            || other(&a.name, &b.name)
            || other(&a.uid, &b.uid)
            || self.kinds.iter().any(|kind| kind.changed)
            || !self.types.is_empty()
    }

    /// Bytes by which its state grew.
    pub fn growth(&self) -> i64 {
        let size = |side: &Option<OperatorSide>| side.as_ref().map_or(0, |side| side.state_size);
        size(&self.b).saturating_sub(size(&self.a))
    }
}

/// The differences between two snapshots.
#[derive(Debug, Clone, PartialEq)]
pub struct Diff {
    /// The first.
    pub a: Whole,
    /// The second.
    pub b: Whole,
    /// Operators in the order of the second one's `_metadata`; then those that it does not have.
    pub operators: Vec<OperatorChange>,
    /// Hooks of the checkpoint coordinator that stored something else, by name.
    pub master_states: Vec<String>,
    /// Their files.
    pub files: Files,
    /// Bytes on storage that the second one refers to and the first does not, with the `_metadata`.
    pub new_bytes: u64,
    /// Bytes on storage that the first one refers to and the second does not, with the `_metadata`.
    pub gone_bytes: u64,
}

impl Diff {
    /// Whether Flink would restore something else from the second one.
    pub fn differs(&self) -> bool {
        let (a, b) = (&self.a, &self.b);
        (a.checkpoint_id, a.metadata_version, &a.description) != (b.checkpoint_id, b.metadata_version, &b.description)
            || !self.master_states.is_empty()
            || self.operators.iter().any(OperatorChange::differs)
            || !self.files.added.is_empty()
            || !self.files.gone.is_empty()
            || self.files.both.iter().any(|file| file.new_bytes > 0 || file.gone_bytes > 0)
    }

    /// Why heads could not be read.
    pub fn unread(&self) -> impl Iterator<Item = &String> {
        self.operators.iter().flat_map(|operator| &operator.unread)
    }
}

/// Compares two snapshots by what their `_metadata` files hold, and their heads where both were read.
pub fn diff(judge: &Judge<'_>, a: &Side<'_>, b: &Side<'_>) -> Diff {
    let (files_a, files_b) = (listed(judge, a), listed(judge, b));
    let files = files::compare(&files_a, &files_b);
    let operators = operators(&Taken::of(judge, a), &Taken::of(judge, b));
    let same_file = a.snapshot.metadata_file.canonical() == b.snapshot.metadata_file.canonical();
    let metadata = |side: &Side<'_>| if same_file { 0 } else { side.metadata_size };
    let sum = |bytes: &mut dyn Iterator<Item = u64>| bytes.fold(0, u64::saturating_add);
    let moved = || files.moved.iter().map(|moved| moved.bytes);
    let new = files.added.iter().chain(&files.both).map(|file| file.new_bytes);
    let gone = files.gone.iter().chain(&files.both).map(|file| file.gone_bytes);
    Diff {
        a: whole(a, &files_a),
        b: whole(b, &files_b),
        new_bytes: sum(&mut new.chain(moved()).chain([metadata(b)])),
        gone_bytes: sum(&mut gone.chain(moved()).chain([metadata(a)])),
        operators,
        master_states: master_states(a.metadata, b.metadata),
        files,
    }
}

fn master_states(a: &Metadata<'_>, b: &Metadata<'_>) -> Vec<String> {
    let (a, b) = (&a.master_states, &b.master_states);
    let lone = a.iter().filter(|state| !b.contains(state)).chain(b.iter().filter(|state| !a.contains(state)));
    lone.map(|state| state.name.to_string()).collect::<BTreeSet<_>>().into_iter().collect()
}

fn listed(judge: &Judge<'_>, side: &Side<'_>) -> Listed {
    Listed::of(side.metadata, &judge.exclusive(&side.snapshot.dir))
}

fn whole(side: &Side<'_>, files: &Listed) -> Whole {
    let metadata = side.metadata;
    let (files, file_bytes) = files.sum();
    Whole {
        path: side.snapshot.dir.to_string(),
        checkpoint_id: metadata.checkpoint_id,
        job_id: side.snapshot.job_id.clone(),
        description: kind_of(metadata, &side.snapshot.dir).1,
        metadata_version: metadata.version.number(),
        completed_at: side.snapshot.completed_at(),
        state_size: metadata.state_size(),
        checkpointed_size: metadata.checkpointed_size(),
        files,
        file_bytes,
        metadata_size: side.metadata_size,
    }
}

/// A snapshot with its operators taken apart, in the order of the `_metadata`.
struct Taken<'m> {
    metadata: &'m Metadata<'m>,
    contents: Vec<Content>,
    heads: Option<&'m [Heads]>,
}

impl<'m> Taken<'m> {
    fn of(judge: &Judge<'_>, side: &'m Side<'m>) -> Self {
        let mut resolver = Resolver::new(judge.exclusive(&side.snapshot.dir));
        let operators = side.metadata.operators.iter();
        let contents = operators.map(|operator| content::of_operator(operator, &mut resolver)).collect();
        Taken { metadata: side.metadata, contents, heads: side.heads.as_deref() }
    }

    fn operator(&self, index: usize) -> Option<(&'m OperatorState<'m>, &Content, Option<&'m Heads>)> {
        let heads = self.heads.and_then(|heads| heads.get(index));
        Some((self.metadata.operators.get(index)?, self.contents.get(index)?, heads))
    }

    fn lone(&self, indexes: &[usize]) -> Vec<Lone<'_>> {
        let lone = |(operator, content, heads): (_, _, Option<&Heads>)| Lone {
            operator,
            content,
            keyed_states: heads.map(types::keyed_names).unwrap_or_default(),
        };
        indexes.iter().filter_map(|index| self.operator(*index).map(lone)).collect()
    }
}

fn operators(a: &Taken<'_>, b: &Taken<'_>) -> Vec<OperatorChange> {
    // An id stands once in what Flink writes; where it stands several times, the first belongs to the first.
    let mut by_id: HashMap<OperatorId, VecDeque<usize>> = HashMap::new();
    for (index, operator) in a.metadata.operators.iter().enumerate() {
        by_id.entry(operator.id).or_default().push_back(index);
    }
    let mut pairs: Vec<(Option<usize>, Option<usize>, Option<String>)> = Vec::new();
    for (index, operator) in b.metadata.operators.iter().enumerate() {
        pairs.push((by_id.get_mut(&operator.id).and_then(VecDeque::pop_front), Some(index), None));
    }
    let mut gone: Vec<usize> = by_id.into_values().flatten().collect();
    gone.sort_unstable();
    let added: Vec<usize> = pairs.iter().filter(|pair| pair.0.is_none()).filter_map(|pair| pair.1).collect();
    let renamed = renames::find(&a.lone(&gone), &b.lone(&added));
    let mut by_added: BTreeMap<usize, (usize, String)> = BTreeMap::new();
    for (left, right, why) in renamed {
        if let (Some(left), Some(right)) = (gone.get(left), added.get(right)) {
            by_added.insert(*right, (*left, why));
        }
    }
    let mut paired = BTreeSet::new();
    for pair in &mut pairs {
        if let Some((left, why)) = pair.1.and_then(|index| by_added.remove(&index)) {
            paired.insert(left);
            (pair.0, pair.2) = (Some(left), Some(why));
        }
    }
    pairs.extend(gone.into_iter().filter(|index| !paired.contains(index)).map(|index| (Some(index), None, None)));
    pairs
        .into_iter()
        .map(|(left, right, why)| {
            let (left, right) = (left.and_then(|index| a.operator(index)), right.and_then(|index| b.operator(index)));
            operator_change(left, right, why)
        })
        .collect()
}

type TakenOperator<'t> = (&'t OperatorState<'t>, &'t Content, Option<&'t Heads>);

fn operator_change(a: Option<TakenOperator<'_>>, b: Option<TakenOperator<'_>>, why: Option<String>) -> OperatorChange {
    let fate = match (&a, &b) {
        (None, _) => Fate::Added,
        (_, None) => Fate::Gone,
        _ if why.is_some() => Fate::Renamed,
        _ => Fate::Both,
    };
    let none = Content::default();
    let (left, right) = (a.map_or(&none, |a| a.1), b.map_or(&none, |b| b.1));
    let kinds: BTreeSet<Kind> = left.parts.keys().chain(right.parts.keys()).copied().collect();
    let kind_change = |kind| {
        let (a, b) = (left.parts.get(&kind), right.parts.get(&kind));
        let amount = |part: Option<&content::Part>| part.map(|part| part.amount).unwrap_or_default();
        let changed = a.map(|part| part.digest) != b.map(|part| part.digest);
        KindChange { kind, a: amount(a), b: amount(b), changed }
    };
    let names: BTreeSet<&(Kind, String)> = left.states.keys().chain(right.states.keys()).collect();
    let state_change = |key: &(Kind, String)| {
        let (a, b) = (left.states.get(key).copied(), right.states.get(key).copied());
        StateChange { kind: key.0, name: key.1.clone(), a, b }
    };
    let heads = [a.and_then(|a| a.2), b.and_then(|b| b.2)];
    let types = match heads {
        [Some(a), Some(b)] => types::compare(a, b),
        _ => Vec::new(),
    };
    OperatorChange {
        fate,
        a: a.map(|a| operator_side(a.0)),
        b: b.map(|b| operator_side(b.0)),
        why,
        kinds: kinds.into_iter().map(kind_change).collect(),
        states: names.into_iter().map(state_change).collect(),
        types,
        unread: heads.into_iter().flatten().flat_map(|heads| heads.unread.iter().cloned()).collect(),
    }
}

fn operator_side(operator: &OperatorState<'_>) -> OperatorSide {
    OperatorSide {
        operator_id: operator.id,
        name: operator.name.non_empty(),
        uid: operator.uid.non_empty(),
        parallelism: operator.parallelism,
        max_parallelism: operator.max_parallelism,
        fully_finished: operator.is_fully_finished(),
        finished_subtasks: operator.subtasks().iter().filter(|subtask| subtask.finished).count() as u64,
        state_size: operator.state_size(),
        checkpointed_size: operator.checkpointed_size(),
    }
}
