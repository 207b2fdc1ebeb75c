//! Mends a snapshot: plans the edit of its `_metadata`, judges the result, and writes it to another place.
//!
//! [`prepare`] reads and decides, and changes nothing anywhere; [`write()`] carries out what it gave. The source is only
//! ever read. The edits are made in the order of the fields of [`Request`], whatever the order they were asked for in;
//! operators and states are named as the source has them.

mod changes;
mod find;
mod paths;
mod write;

pub use changes::{Changes, Counts, Dropped, PathChange, Why};
pub use write::{Written, is_free, write};

use crate::edit::operators::{Lost, Named};
use crate::edit::{EditError, operators, states, versions};
use crate::format;
use crate::model::{Location, Metadata, Version};
use crate::storage::{Storage, StorageError};
use crate::survey::catalog::{METADATA, SnapshotState};
use crate::survey::inventory::Inventory;
use crate::survey::resolve::{PathMap, PathMaps, absolute};
use crate::survey::{Code, Finding, Judge, Progress, Severity, SnapshotDir, SnapshotReport, Verdict, elsewhere};
use crate::wire::EncodeError;
use std::collections::HashSet;

/// What is to be done to a snapshot, in this order.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Operators to drop, by id, uid or name.
    pub drop_operators: Vec<String>,
    /// States to drop: operator (by id, uid or name) and state.
    pub drop_states: Vec<(String, String)>,
    /// Paths to write anew: what handles have below FROM lies below TO. The longest FROM that fits wins.
    pub maps: Vec<PathMap>,
    /// Whether to correct handles that lead to the wrong directory (FLINK-39964).
    pub re_anchor: bool,
    /// Directories, here, below which missing files are looked for.
    pub find: Vec<Location>,
    /// Whether to drop every operator that is not restorable after all this.
    pub drop_unreadable: bool,
    /// Operators to give other uids.
    pub renames: Vec<(Named, String)>,
    /// Another id for the checkpoint.
    pub checkpoint_id: Option<i64>,
    /// A newer version of the format.
    pub upgrade: Option<Version>,
    /// Whether the files beside the `_metadata` are copied, so that handles can stay relative; otherwise handles name
    /// them where they are.
    pub copy: bool,
    /// Whether to leave the result unjudged.
    pub no_verify: bool,
}

/// A repair that was decided on, to be looked at and then carried out by [`write()`].
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The snapshot to be mended.
    pub source: Location,
    /// The directory that the result is for, here.
    pub dest: Location,
    /// The same as Flink sees it.
    pub dest_there: Location,
    /// The new `_metadata`.
    pub metadata: Vec<u8>,
    /// Names of files beside the source's `_metadata` that are to be copied, and their sizes.
    pub copies: Vec<(String, u64)>,
    /// What is different.
    pub changes: Changes,
    /// How the result was judged, unless that was not asked for.
    pub report: Option<SnapshotReport>,
    /// What may help where the result is not restorable.
    pub hints: Vec<String>,
}

impl Prepared {
    /// The verdict on the result, unless it was not asked for.
    pub fn verdict(&self) -> Option<Verdict> {
        self.report.as_ref().map(|report| report.verdict)
    }

    /// Whether Flink starts from the result, as far as that was asked.
    pub fn is_good(&self) -> bool {
        self.verdict().is_none_or(|verdict| matches!(verdict, Verdict::Restorable | Verdict::Suspect))
    }
}

/// Why a repair cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RepairError {
    /// The edit cannot be made.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// The format has no place for the result.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// It would not be safe, or not clear what is meant.
    #[error("{0}")]
    Refused(String),
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

fn refused<T>(why: impl Into<String>) -> Result<T, RepairError> {
    Err(RepairError::Refused(why.into()))
}

/// Where a repair reads.
#[derive(Clone, Copy)]
pub struct Sources<'s> {
    /// The store.
    pub storage: &'s dyn Storage,
    /// The maps for reading alone, which the result does not show.
    pub maps: &'s [PathMap],
    /// Hears of files that are looked up.
    pub progress: &'s dyn Progress,
}

impl<'s> Sources<'s> {
    fn judge(&self) -> Judge<'s> {
        self.judge_with(self.path_maps())
    }

    fn judge_with(&self, maps: PathMaps) -> Judge<'s> {
        Judge {
            inventory: Inventory::for_one(self.storage),
            maps,
            progress: self.progress,
            neighbours: Vec::new(),
            keep_files: false,
        }
    }

    fn path_maps(&self) -> PathMaps {
        PathMaps::new(self.maps.to_vec())
    }

    /// A place here as Flink sees it, as it is written into handles.
    fn there(&self, place: &Location) -> Location {
        self.path_maps().there(&absolute(place)).canonical_if_local()
    }
}

/// Plans the repair of a snapshot, of which `metadata` was decoded from `size` bytes, into the directory `dest`.
///
/// A result that would not restore is no error: [`Prepared::report`] says so, and it is for the caller to refuse it.
pub fn prepare(
    sources: Sources<'_>,
    source: &SnapshotDir,
    mut metadata: Metadata<'_>,
    size: u64,
    dest: &Location,
    request: &Request,
) -> Result<Prepared, RepairError> {
    let mut changes = Changes::before(&metadata, size);
    let lost = drop_named(&mut metadata, &request.drop_operators, &request.drop_states, &mut changes.dropped_states)?;
    changes.lost = lost.into_iter().map(|lost| Dropped { lost, why: "it was named".to_owned() }).collect();
    paths::map(&mut metadata, &request.maps, &mut changes.paths)?;
    let exclusive = sources.there(&source.dir);
    if request.re_anchor {
        let found = elsewhere::anchors(&sources.judge(), &metadata, source);
        if found.is_empty() {
            return refused("no handle leads to the wrong directory (FLINK-39964) with its file found in another");
        }
        let found = found.into_iter().map(|(file, dir)| (file.clone(), dir.with_suffix(&format!("/{}", file.name()))));
        paths::place(&mut metadata, &exclusive, found, sources, Why::ReAnchor, &mut changes.paths)?;
    }
    if !request.find.is_empty() {
        let found = find::missing_files(sources, &metadata, source, &exclusive, &request.find)?;
        paths::place(&mut metadata, &exclusive, found.into_iter(), sources, Why::Find, &mut changes.paths)?;
    }
    if request.drop_unreadable {
        let dropped = drop_unreadable(sources, &mut metadata, source)?;
        changes.lost.extend(dropped);
    }
    changes.renamed = operators::rename(&mut metadata, &request.renames)?;
    if let Some(id) = request.checkpoint_id {
        versions::set_checkpoint_id(&mut metadata, id)?;
    }
    if let Some(version) = request.upgrade {
        versions::upgrade(&mut metadata, version)?;
    }
    if metadata.operators.is_empty() && changes.before.operators > 0 {
        return refused("no operator would be left: a job may as well start without a snapshot");
    }
    let copies = if request.copy { write::copies(sources.storage, &metadata, &source.dir)? } else { Vec::new() };
    let stay: HashSet<&str> = copies.iter().map(|(name, _)| name.as_str()).collect();
    let handles = paths::make_absolute(&mut metadata, &exclusive, &stay, &mut changes.paths)?;
    let bytes = format::encode(&metadata)?;
    changes.after = Counts::of(&metadata, handles, bytes.len() as u64);
    let mut prepared = Prepared {
        source: source.dir.clone(),
        dest: dest.clone(),
        dest_there: sources.there(dest),
        metadata: bytes,
        copies,
        changes,
        report: None,
        hints: Vec::new(),
    };
    if !request.no_verify {
        judge(sources, source, &metadata, &request.maps, &mut prepared)?;
    }
    Ok(prepared)
}

/// Drops what was named. States are looked for before operators go, so that all are named as in the source.
fn drop_named(
    metadata: &mut Metadata<'_>,
    named: &[String],
    states: &[(String, String)],
    dropped: &mut Vec<states::DroppedState>,
) -> Result<Vec<Lost>, RepairError> {
    let indices: HashSet<usize> = named.iter().map(|text| operators::find(metadata, text)).collect::<Result<_, _>>()?;
    for (operator, state) in states {
        let operator = operators::find(metadata, operator)?;
        dropped.push(states::drop_state(metadata, operator, state)?);
    }
    Ok(operators::drop_operators(metadata, &indices))
}

/// Drops every operator for which Flink's restore is known to fail. That a file could not be looked at is not enough.
fn drop_unreadable(
    sources: Sources<'_>,
    metadata: &mut Metadata<'_>,
    source: &SnapshotDir,
) -> Result<Vec<Dropped>, RepairError> {
    let report = sources.judge().judge_bytes(&format::encode(metadata)?, source);
    let is = |severity| move |finding: &&Finding| finding.severity == severity;
    if let Some(finding) = report.findings.iter().find(is(Severity::Unknown)) {
        return refused(format!(
            "whether a file is lost could not be found out ({}): --drop-operator drops what is known to be of no use",
            finding.message
        ));
    }
    let errors = || report.findings.iter().filter(is(Severity::Error));
    if let Some(finding) = errors().find(|finding| finding.operator_id.is_none()) {
        return refused(format!("not an operator alone is damaged: {}{}", finding.message, hint(finding)));
    }
    if let Some(finding) = errors().find(|finding| finding.code == Code::WrongAnchor) {
        return refused(format!("{}; --re-anchor loses nothing", finding.message));
    }
    let ids: HashSet<_> = errors().filter_map(|finding| finding.operator_id).collect();
    let all = metadata.operators.iter().enumerate();
    let indices = all.filter(|(_, operator)| ids.contains(&operator.id)).map(|(index, _)| index).collect();
    let why = |lost: &Lost| {
        let mine = || errors().filter(|finding| finding.operator_id == Some(lost.operator_id));
        let first = mine()
            .next()
            .map(|f| format!("{}{}", f.path.as_ref().map_or(String::new(), |p| format!("{p}: ")), f.message));
        match (first, mine().count()) {
            (Some(first), 0 | 1) => first,
            (first, count) => format!("{count} errors, such as {}", first.unwrap_or_default()),
        }
    };
    let lost = operators::drop_operators(metadata, &indices);
    Ok(lost.into_iter().map(|lost| Dropped { why: why(&lost), lost }).collect())
}

fn hint(finding: &Finding) -> String {
    finding.hint.as_ref().map_or_else(String::new, |hint| format!(" ({hint})"))
}

/// Judges the bytes that are going to be written, after reading them again.
fn judge(
    sources: Sources<'_>,
    source: &SnapshotDir,
    metadata: &Metadata<'_>,
    maps: &[PathMap],
    prepared: &mut Prepared,
) -> Result<(), RepairError> {
    if format::decode(&prepared.metadata).ok().as_ref() != Some(metadata) {
        return refused("the edited _metadata would not be read back as it is meant");
    }
    // Files that are going to be copied are still beside the source.
    let dir = if prepared.copies.is_empty() { &prepared.dest } else { &source.dir };
    let place = SnapshotDir {
        dir: dir.clone(),
        metadata_file: prepared.dest.with_suffix(&format!("/{METADATA}")),
        state: SnapshotState::Complete { metadata_size: prepared.metadata.len() as u64, completed_at: None },
        job_id: None,
    };
    let mut report = sources.judge().judge_bytes(&prepared.metadata, &place);
    report.path = prepared.dest.clone();
    prepared.report = Some(report);
    if !prepared.is_good() {
        prepared.hints = hints(sources, source, maps);
    }
    Ok(())
}

/// What chkctl knows to help a source, read where all maps put it.
fn hints(sources: Sources<'_>, source: &SnapshotDir, maps: &[PathMap]) -> Vec<String> {
    let all = PathMaps::new(sources.maps.iter().chain(maps).cloned().collect());
    let report = sources.judge_with(all).judge(source);
    let has = |code| report.findings.iter().any(|finding| finding.code == code);
    let mut hints = Vec::new();
    if has(Code::WrongAnchor) {
        hints.push("--re-anchor corrects handles that lead to the wrong directory".to_owned());
    }
    let moved = report.findings.iter().filter(|finding| finding.code == Code::MovedTree);
    let map = moved.filter_map(|finding| finding.hint.as_deref()?.split_once(" judges ")).map(|(map, _)| map);
    hints.extend(map.map(|map| format!("{map} writes the paths of the moved tree anew")));
    if hints.is_empty() && has(Code::MissingFile) {
        hints.push("--find DIR looks for missing files below DIR".to_owned());
        hints.push("--drop-unreadable drops the operators that have lost a file".to_owned());
    }
    hints
}
