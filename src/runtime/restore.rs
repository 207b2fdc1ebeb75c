//! From a snapshot to what each subtask of a job restores.
//!
//! The `_metadata` is read once, the operators of the job are matched with it by id, and what cannot work is refused
//! before any task starts: a missing state file, state that nobody claims, another number of key groups.

use super::plan::Plan;
use crate::format;
use crate::model::handle::{KeyGroupsKind, OperatorStateInfo};
use crate::model::{KeyGroupRange, KeyedHandle, Location, Metadata, OperatorId, OperatorState, StreamHandle};
use crate::runtime::snapshot::SnapshotLayout;
use crate::storage::{EntryKind, Storage};
use anyhow::Context;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

/// The state of one operator in the snapshot.
pub(crate) struct RestoredOperator {
    /// Keyed state, by subtask of the job that wrote it.
    pub keyed: Vec<KeyedPiece>,
    /// List state, likewise.
    pub lists: Vec<ListPiece>,
    /// Whether the program may drop what it cannot keep.
    pub allow_non_restored: bool,
}

/// Keyed state of one subtask.
pub(crate) struct KeyedPiece {
    pub layout: SnapshotLayout,
    pub range: KeyGroupRange,
    pub offsets: Vec<i64>,
    pub stream: StateBytes,
}

/// List state of one subtask.
pub(crate) struct ListPiece {
    /// Names, how they are divided, and where their elements are.
    pub states: Vec<OperatorStateInfo<'static>>,
    pub stream: StateBytes,
}

/// Where the bytes of a state are.
pub(crate) enum StateBytes {
    /// In the `_metadata`.
    InLine(Vec<u8>),
    /// In a file, or a part of one.
    File { storage: Arc<dyn Storage>, place: Location, size: i64, start: i64 },
}

impl StateBytes {
    /// Reads all of them.
    pub fn read(&self) -> anyhow::Result<Cow<'_, [u8]>> {
        match self {
            StateBytes::InLine(bytes) => Ok(Cow::Borrowed(bytes)),
            // Where Flink did not know the size, it is the whole file.
            StateBytes::File { storage, place, size: ..0, .. } => Ok(Cow::Owned(storage.read(place, u64::MAX)?)),
            StateBytes::File { storage, place, size, start } => {
                let (start, size) = (u64::try_from(*start)?, u64::try_from(*size)?);
                let bytes = storage.read_range(place, start, size)?;
                anyhow::ensure!(
                    bytes.len() as u64 == size,
                    "state file {place} has {} bytes where {size} are recorded; `chkctl verify` says what else is wrong",
                    bytes.len()
                );
                Ok(Cow::Owned(bytes))
            }
        }
    }
}

/// A snapshot, taken apart for a job.
pub(crate) struct Restored {
    /// The id of the checkpoint; that of the next one is higher.
    pub checkpoint_id: i64,
    pub operators: BTreeMap<OperatorId, Arc<RestoredOperator>>,
}

/// The largest `_metadata` that is read.
const LARGEST_METADATA: u64 = 1 << 30;

/// Reads a snapshot for the operators of a plan, and adapts the plan: an operator that did not ask for a number of key
/// groups takes that of its state (`StateAssignmentOperation`).
pub(crate) fn load(
    storage: &Arc<dyn Storage>,
    path: &Location,
    plan: &mut Plan,
    allow_non_restored: bool,
) -> anyhow::Result<Restored> {
    let directory = directory_of(path);
    let file = directory.with_suffix("/_metadata");
    let bytes = storage.read(&file, LARGEST_METADATA).map_err(|error| match error.is_not_found() {
        true => anyhow::anyhow!(
            "there is no checkpoint or savepoint at {path}: {file} is missing. `chkctl list` shows what is there"
        ),
        false => error.into(),
    })?;
    let metadata = format::decode(&bytes).with_context(|| format!("{file} cannot be read"))?;
    let restored = take_apart(storage, &directory, &metadata, plan, allow_non_restored)
        .with_context(|| format!("Failed to rollback to checkpoint/savepoint {path}"))?;
    check_files(&restored, plan).with_context(|| format!("Failed to rollback to checkpoint/savepoint {path}"))?;
    Ok(restored)
}

/// The directory of a snapshot that is named by it or by its `_metadata`.
fn directory_of(path: &Location) -> Location {
    match path.name() {
        "_metadata" => path.parent().unwrap_or_else(|| path.clone()),
        _ => path.clone(),
    }
}

fn take_apart(
    storage: &Arc<dyn Storage>,
    directory: &Location,
    metadata: &Metadata<'_>,
    plan: &mut Plan,
    allow_non_restored: bool,
) -> anyhow::Result<Restored> {
    let mut operators = BTreeMap::new();
    for state in &metadata.operators {
        let Some(operator) = plan.operators.values_mut().find(|operator| operator.id == state.id) else {
            if has_state(state) && !allow_non_restored {
                anyhow::bail!("{}", nobody_claims(state, plan));
            }
            if has_state(state) {
                log::info!("Skipping state of operator {}, which this job does not have.", describe(state));
            }
            continue;
        };
        if operator.max_parallelism != state.max_parallelism && has_state(state) {
            anyhow::ensure!(
                !operator.max_parallelism_set,
                "Max parallelism mismatch between checkpoint/savepoint state and new program. Cannot map operator {} \
                 with max parallelism {} to new program with max parallelism {}: the number of key groups cannot \
                 change. Ask for {0} with max parallelism {1}, or for none",
                describe(state),
                state.max_parallelism,
                operator.max_parallelism
            );
            let needed = i32::try_from(operator.parallelism)?;
            anyhow::ensure!(
                needed <= state.max_parallelism,
                "operator {} is to run with parallelism {needed}, but its state has {} key groups, and no more subtasks \
                 than that can share it",
                describe(state),
                state.max_parallelism
            );
            operator.max_parallelism = state.max_parallelism;
        }
        let restored = restored_operator(storage, directory, state, allow_non_restored)
            .with_context(|| format!("state of operator {}", describe(state)))?;
        operators.insert(state.id, Arc::new(restored));
    }
    Ok(Restored { checkpoint_id: metadata.checkpoint_id, operators })
}

fn has_state(state: &OperatorState<'_>) -> bool {
    state.coordinator.is_some() || state.subtasks().iter().any(|subtask| subtask.state.is_some())
}

/// Name, uid and id, as far as the snapshot has them.
fn describe(state: &OperatorState<'_>) -> String {
    let mut text = state.id.to_string();
    let named: Vec<String> = [("", &state.name), ("uid ", &state.uid)]
        .into_iter()
        .filter(|(_, name)| !name.as_modified_utf8().is_empty())
        .map(|(kind, name)| format!("{kind}'{}'", name.to_str().escape_debug()))
        .collect();
    if !named.is_empty() {
        let _ = write!(text, " ({})", named.join(", "));
    }
    text
}

fn nobody_claims(state: &OperatorState<'_>, plan: &Plan) -> String {
    let known = plan.operators.values().map(|operator| match operator.uid.is_empty() {
        true => format!("{} '{}' (no uid)", operator.id, operator.name),
        false => format!("{} '{}' (uid '{}')", operator.id, operator.name, operator.uid),
    });
    format!(
        "Cannot map checkpoint/savepoint state for operator {} to the new program, because the operator is not available \
         in the new program. The operators of the program are: {}. If the operator was renamed, give it its former uid; \
         to drop its state, use --allow-non-restored-state (-n)",
        describe(state),
        known.collect::<Vec<_>>().join("; ")
    )
}

fn restored_operator(
    storage: &Arc<dyn Storage>,
    directory: &Location,
    state: &OperatorState<'_>,
    allow_non_restored: bool,
) -> anyhow::Result<RestoredOperator> {
    let mut restored = RestoredOperator { keyed: Vec::new(), lists: Vec::new(), allow_non_restored };
    for subtask in state.subtasks() {
        let Some(parts) = &subtask.state else { continue };
        let number = subtask.index.saturating_add(1);
        for (raw, keyed) in parts.keyed_handles() {
            let KeyedHandle::KeyGroups(groups) = keyed else {
                anyhow::bail!(
                    "subtask {number} has keyed state as {}; this runtime restores heap checkpoints and canonical \
                     savepoints. Take a savepoint in canonical format with Flink",
                    keyed.class()
                );
            };
            anyhow::ensure!(!raw, "subtask {number} has raw keyed state, which this runtime does not read");
            let layout = match groups.kind {
                KeyGroupsKind::Savepoint => SnapshotLayout::Canonical,
                KeyGroupsKind::Plain | KeyGroupsKind::WithId(_) => SnapshotLayout::Heap,
            };
            let stream = state_bytes(storage, directory, &groups.stream)?;
            restored.keyed.push(KeyedPiece { layout, range: groups.range, offsets: groups.offsets.clone(), stream });
        }
        for (raw, handle) in parts.operator_handles() {
            anyhow::ensure!(!raw, "subtask {number} has raw operator state, which this runtime does not read");
            let owned = |state: &OperatorStateInfo<'_>| OperatorStateInfo {
                name: state.name.clone().into_owned(),
                mode: state.mode,
                offsets: state.offsets.clone(),
            };
            let states = handle.states.iter().map(owned).collect();
            restored.lists.push(ListPiece { states, stream: state_bytes(storage, directory, &handle.stream)? });
        }
        anyhow::ensure!(
            parts.channel_handles().next().is_none(),
            "subtask {number} has in-flight records of an unaligned checkpoint, which would be lost: start from an \
             aligned checkpoint or a savepoint"
        );
    }
    Ok(restored)
}

fn state_bytes(
    storage: &Arc<dyn Storage>,
    directory: &Location,
    handle: &StreamHandle<'_>,
) -> anyhow::Result<StateBytes> {
    let file =
        |place: Location, start: i64, size: i64| StateBytes::File { storage: storage.clone(), place, size, start };
    Ok(match handle {
        StreamHandle::Bytes(bytes) => StateBytes::InLine(bytes.data.to_vec()),
        StreamHandle::File { size, path } => file(Location::parse(&path.to_str())?, 0, *size),
        StreamHandle::Relative { size, path } => file(directory.join(&path.to_str())?, 0, *size),
        StreamHandle::Segment(segment) => file(Location::parse(&segment.path.to_str())?, segment.start, segment.size),
        StreamHandle::EmptySegment => StateBytes::InLine(Vec::new()),
        StreamHandle::KeyGroups(groups) => state_bytes(storage, directory, &groups.stream)?,
    })
}

/// Looks at every state file before a task is started, so that all that is missing is said at once.
fn check_files(restored: &Restored, plan: &Plan) -> anyhow::Result<()> {
    let mut wrong = Vec::new();
    for (id, operator) in &restored.operators {
        let streams = operator.keyed.iter().map(|piece| &piece.stream);
        for stream in streams.chain(operator.lists.iter().map(|piece| &piece.stream)) {
            let StateBytes::File { storage, place, size, start } = stream else { continue };
            let needed = start.saturating_add(*size);
            let problem = match storage.stat(place) {
                Ok(stat) if stat.kind != EntryKind::File => "is not a file".to_owned(),
                Ok(stat) if i64::try_from(stat.size).is_ok_and(|found| found < needed) => {
                    format!("has {} bytes, {needed} are needed", stat.size)
                }
                Ok(_) => continue,
                Err(error) if error.is_not_found() => "is missing".to_owned(),
                Err(error) => format!("cannot be looked at: {}", error.message),
            };
            let name =
                plan.operators.values().find(|operator| operator.id == *id).map_or("", |operator| &operator.name);
            wrong.push(format!("state file {place} of operator '{name}' ({id}) {problem}"));
        }
    }
    match wrong.len() {
        0 => Ok(()),
        1 => anyhow::bail!("{}. `chkctl latest` finds a snapshot that is whole", wrong[0]),
        count => anyhow::bail!(
            "{}; and {} more. `chkctl verify` lists them, `chkctl latest` finds a snapshot that is whole",
            wrong[0],
            count - 1
        ),
    }
}
