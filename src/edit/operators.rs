//! Operators: found by what people call them, dropped, and given other ids.

use super::EditError;
use crate::model::{Metadata, OperatorId, OperatorState, StreamHandle};
use crate::wire::JavaStr;
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};

/// The operator that has this id (32 hexadecimal digits), uid or name; its index in [`Metadata::operators`].
///
/// A uid is known by the id that comes from it, in every version of the format. That several operators fit is an error,
/// whatever they fit by.
pub fn find(metadata: &Metadata<'_>, text: &str) -> Result<usize, EditError> {
    let ids = [text.parse().ok(), Some(OperatorId::from_uid(text))];
    let fits = |operator: &OperatorState<'_>| {
        let recorded = [&operator.uid, &operator.name];
        ids.contains(&Some(operator.id)) || recorded.iter().any(|name| !name.is_empty() && name.to_str() == text)
    };
    one(metadata, text, fits)
}

/// The one operator that fits.
fn one(metadata: &Metadata<'_>, text: &str, fits: impl Fn(&OperatorState<'_>) -> bool) -> Result<usize, EditError> {
    let found: Vec<(usize, OperatorId)> =
        metadata.operators.iter().enumerate().filter(|(_, op)| fits(op)).map(|(index, op)| (index, op.id)).collect();
    match found[..] {
        [] => Err(EditError::UnknownOperator(text.to_owned())),
        [(index, _)] => Ok(index),
        _ => Err(EditError::AmbiguousOperator {
            text: text.to_owned(),
            ids: found.into_iter().map(|(_, id)| id).collect(),
        }),
    }
}

/// What is lost with an operator.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Lost {
    /// Its id.
    pub operator_id: OperatorId,
    /// Its name, where the `_metadata` has it.
    pub name: Option<String>,
    /// Its uid, where the `_metadata` has it.
    pub uid: Option<String>,
    /// Its parallelism.
    pub parallelism: i32,
    /// Subtasks that had state.
    pub subtasks: u64,
    /// Key groups that had state.
    pub key_groups: u64,
    /// Whether its coordinator had state, such as a source's positions.
    pub coordinator: bool,
    /// Size of its state in bytes, as Flink adds it up.
    pub bytes: i64,
}

impl Lost {
    /// What would be lost with this operator.
    pub fn of(operator: &OperatorState<'_>) -> Self {
        let states = || operator.subtasks().iter().filter_map(|subtask| subtask.state.as_deref());
        // Each key group is one subtask's; a hostile handle may say anything.
        let groups = states().filter_map(|state| state.keyed_handles().map(|(_, h)| i64::from(h.range().count)).max());
        let groups = groups.fold(0_i64, |sum, count| sum.saturating_add(count.max(0)));
        Lost {
            operator_id: operator.id,
            name: operator.name.non_empty(),
            uid: operator.uid.non_empty(),
            parallelism: operator.parallelism,
            subtasks: states().count() as u64,
            key_groups: u64::try_from(groups.min(i64::from(operator.max_parallelism))).unwrap_or(0),
            coordinator: operator.coordinator.is_some(),
            bytes: operator.state_size(),
        }
    }
}

/// Drops the operators with these indices. A job that is started from the rest begins with nothing in them.
pub fn drop_operators(metadata: &mut Metadata<'_>, indices: &HashSet<usize>) -> Vec<Lost> {
    let mut lost = Vec::new();
    let mut index = 0;
    metadata.operators.retain(|operator| {
        let goes = indices.contains(&index);
        index += 1;
        if goes {
            lost.push(Lost::of(operator));
        }
        !goes
    });
    lost
}

/// How an operator is named that is to get another uid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// By the uid that its id comes from.
    Uid(String),
    /// By its id.
    Id(OperatorId),
}

/// An operator that got another uid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Renamed {
    /// Its id before.
    pub from: OperatorId,
    /// Its uid before, where it is known.
    pub from_uid: Option<String>,
    /// Its id now.
    pub to: OperatorId,
    /// Its uid now.
    pub to_uid: String,
    /// Its name, where the `_metadata` has it.
    pub name: Option<String>,
}

/// Gives operators other uids, all at once, so that two can change places. The id is that of the new uid, which the
/// `_metadata` records too from version 5 on; all state stays with the operator, its coordinator's too.
pub fn rename(metadata: &mut Metadata<'_>, renames: &[(Named, String)]) -> Result<Vec<Renamed>, EditError> {
    let mut new: BTreeMap<usize, &str> = BTreeMap::new();
    let mut done = Vec::new();
    for (named, uid) in renames {
        if uid.is_empty() {
            return Err(EditError::EmptyUid);
        }
        let index = match named {
            Named::Uid(old) => by_uid(metadata, old)?,
            Named::Id(id) => one(metadata, &id.to_string(), |operator| operator.id == *id)?,
        };
        let Some(operator) = metadata.operators.get(index) else { continue };
        if new.insert(index, uid).is_some() {
            return Err(EditError::RenamedTwice(operator.id));
        }
        let from_uid = match named {
            Named::Uid(old) => Some(old.clone()),
            Named::Id(_) => operator.uid.non_empty(),
        };
        let (from, to, name) = (operator.id, OperatorId::from_uid(uid), operator.name.non_empty());
        done.push(Renamed { from, from_uid, to, to_uid: uid.clone(), name });
    }
    let kept = metadata.operators.iter().enumerate().filter(|(index, _)| !new.contains_key(index));
    let mut taken: HashSet<OperatorId> = kept.map(|(_, operator)| operator.id).collect();
    for uid in new.values() {
        let id = OperatorId::from_uid(uid);
        if !taken.insert(id) {
            return Err(EditError::Clash { uid: (*uid).to_owned(), id });
        }
    }
    let has_names = metadata.version.has_names();
    for (index, uid) in new {
        let Some(operator) = metadata.operators.get_mut(index) else { continue };
        let old = operator.id.to_string();
        operator.id = OperatorId::from_uid(uid);
        if has_names {
            operator.uid = JavaStr::from(uid);
        }
        // Flink names the coordinator's handle by the operator (measured, 1.12 to 2.3). Nothing reads the name.
        if let Some(StreamHandle::Bytes(stream)) = &mut operator.coordinator
            && stream.name.to_str() == old
        {
            stream.name = JavaStr::from(&*operator.id.to_string());
        }
    }
    Ok(done)
}

fn by_uid(metadata: &Metadata<'_>, uid: &str) -> Result<usize, EditError> {
    let id = OperatorId::from_uid(uid);
    let found = one(metadata, uid, |operator| operator.id == id);
    if let Err(EditError::UnknownOperator(_)) = found
        && !uid.is_empty()
        && let Some(operator) = metadata.operators.iter().find(|operator| operator.uid.to_str() == uid)
    {
        return Err(EditError::ForeignId { uid: uid.to_owned(), id: operator.id });
    }
    found
}
