//! Whether a release of Flink reads a snapshot: version of the `_metadata`, kinds of handle, heads of state files, table
//! files.
//!
//! What depends on the job stays open: classes that a program changed, and serializers that a program's types get in
//! another release.

use super::heads::Heads;
use super::of_operator;
use super::releases::{FlinkVersion, Release, known};
use crate::model::handle::KeyGroupsKind;
use crate::model::{KeyedHandle, Metadata, OperatorState, StreamHandle, SubtaskState, Version};
use crate::survey::finding::{Code, Finding, Severity};
use crate::survey::references::walk_streams;
use std::collections::BTreeMap;

/// Compressed operator state is laid out otherwise since 1.19, and in patch releases of 1.18 from this one on (FLINK-34063).
const PATCH_OF_34063: u16 = 2;
/// The version of the `_metadata` that the last releases of Flink 1 write.
const LAST_OF_FLINK_1: i32 = 4;

/// Holds a snapshot against a release; gives findings, and notes about what only a restore can tell.
pub(super) fn check(
    metadata: &Metadata<'_>,
    heads: &[Heads],
    flink: FlinkVersion,
    notes: &mut Vec<String>,
) -> Vec<Finding> {
    let Some(release) = Release::of(flink) else {
        let message = format!("Flink {flink} is not known to this chkctl, which knows {}", known());
        return vec![unplaced(Code::UnknownRelease, Severity::Unknown, message)];
    };
    let version = metadata.version.number();
    if version > release.metadata {
        let reads = release.metadata;
        let message =
            format!("the _metadata is of version {version}: Flink {flink} reads up to {reads}, and refuses it");
        // Nothing else is read.
        return vec![unplaced(Code::ReleaseCannotRead, Severity::Error, message)];
    }
    let mut findings = Vec::new();
    for (operator, first) in unknown_handles(metadata, release) {
        let message = format!("Flink {flink} does not know its {} ({})", first.class, first.since);
        findings.push(of_operator(Code::ReleaseCannotRead, Severity::Error, operator, message));
    }
    for (operator, heads) in metadata.operators.iter().zip(heads) {
        findings.extend(of_heads(operator, heads, version, flink, release));
    }
    if flink.major >= 2 && version <= LAST_OF_FLINK_1 {
        notes.push("the claim mode LEGACY is gone since Flink 2.0: CLAIM or NO_CLAIM".to_owned());
        notes.push(
            "Flink 2 gives List, Map and Set fields of POJOs serializers of their own, Flink 1 left them to Kryo"
                .to_owned(),
        );
    }
    if has_changes(metadata) {
        notes.push(
            "changes since the last materialisation hold Java objects of Flink's, which other releases may not read (state \
             with a time to live of Flink 1.20 is not read by 1.18)"
                .to_owned(),
        );
    }
    findings
}

fn unplaced(code: Code, severity: Severity, message: String) -> Finding {
    let mut finding = Finding::new(code, severity, "", message);
    finding.path = None;
    finding
}

fn of_heads(
    operator: &OperatorState<'_>,
    heads: &Heads,
    version: i32,
    flink: FlinkVersion,
    release: &Release,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut say = |severity, message: String| {
        findings.push(of_operator(Code::ReleaseCannotRead, severity, operator, message));
    };
    if let Some((head, compressed)) = heads.operator_state {
        let reads = release.operator_head;
        if head > reads {
            say(
                Severity::Error,
                format!(
                    "the head of its operator state is of version {head}, of Flink 1.18 or later: Flink {flink} reads up to \
                     {reads}, and fails with a VersionMismatchException"
                ),
            );
        } else if compressed && release.version == (1, 18) && flink.patch.is_none_or(|patch| patch < PATCH_OF_34063) {
            say(
                Severity::Unknown,
                "its operator state is compressed: Flink 1.18.0 and 1.18.1 read only what they wrote themselves"
                    .to_owned(),
            );
        }
    }
    if let Some(head) = heads.keyed.filter(|head| *head < release.keyed_head) {
        let message = format!(
            "the head of its keyed state is of version {head}, of Flink before 1.8: Flink {flink} reads version {} only",
            release.keyed_head
        );
        say(Severity::Error, message);
    }
    if let Some(format) = heads.table_format.filter(|format| *format > release.table_format) {
        say(
            Severity::Error,
            format!(
                "its database has table files of format {format}, of Flink 1.14 or later: the RocksDB of Flink {flink} reads \
                 up to {} (Unknown Footer version)",
                release.table_format
            ),
        );
    }
    let undecided = release.operator_head < 6 || release.table_format < 5 || release.version == (1, 18);
    if undecided && let Some(why) = heads.unread.first() {
        say(Severity::Unknown, format!("whether Flink {flink} reads its state files could not be looked up: {why}"));
    }
    if heads.kryo && flink.major >= 2 && version <= LAST_OF_FLINK_1 {
        let message = format!(
            "state of it is serialized with Kryo 2, by Flink 1: Flink {flink} has Kryo 5, and mostly does not read it"
        );
        let finding = of_operator(Code::KryoState, Severity::Warning, operator, message);
        findings
            .push(finding.hint("types with a serializer of Flink's own, in a job of Flink 1, and a savepoint of that"));
    }
    findings
}

/// A kind of handle, by the tag that a file has for it.
#[derive(Clone, Copy)]
struct Kind {
    tag: u8,
    class: &'static str,
    since: &'static str,
}

/// The operators with a handle that a release does not know, with the first such handle of each.
fn unknown_handles<'m, 'a>(metadata: &'m Metadata<'a>, release: &Release) -> Vec<(&'m OperatorState<'a>, Kind)> {
    let mut found: BTreeMap<usize, Kind> = BTreeMap::new();
    let mut saw = |operator: usize, kind: Kind| {
        if kind.tag > release.handle_tag {
            found.entry(operator).or_insert(kind);
        }
    };
    for (index, operator) in metadata.operators.iter().enumerate() {
        for state in operator.subtasks().iter().filter_map(|subtask| subtask.state.as_deref()) {
            each_kind(state, metadata.version, release, &mut |kind| saw(index, kind));
        }
    }
    walk_streams(metadata, |part, stream| match stream {
        StreamHandle::Relative { .. } => saw(part.owner.operator, kind(6, "relative file handles", "since Flink 1.11")),
        StreamHandle::Segment(_) | StreamHandle::EmptySegment => {
            saw(part.owner.operator, kind(15, "merged files", "since Flink 1.20"));
        }
        _ => {}
    });
    found.into_iter().filter_map(|(index, kind)| Some((metadata.operators.get(index)?, kind))).collect()
}

const fn kind(tag: u8, class: &'static str, since: &'static str) -> Kind {
    Kind { tag, class, since }
}

fn each_kind(state: &SubtaskState<'_>, version: Version, release: &Release, each: &mut dyn FnMut(Kind)) {
    if state.operator_handles().any(|(_, handle)| handle.merging.is_some()) {
        each(kind(17, "operator state in merged files", "since Flink 1.20"));
    }
    state.keyed_handles().for_each(|(_, handle)| keyed_kinds(handle, version, release, each));
}

fn keyed_kinds(handle: &KeyedHandle<'_>, version: Version, release: &Release, each: &mut dyn FnMut(Kind)) {
    // Flink 1.15 put fields into three kinds of handle and left their tags as they were.
    let mut changed = |extra: bool, tag: u8, class: &'static str| {
        let written_by_14 = version == Version::V3 && !extra;
        match (written_by_14, release.version) {
            (true, later) if later > (1, 14) => each(kind(u8::MAX, class, "as Flink 1.14 wrote them")),
            (false, (1, 14)) => each(kind(u8::MAX, class, "as Flink writes them since 1.15")),
            _ => each(kind(tag, class, if tag > 10 { "since Flink 1.16" } else { "since Flink 1.14" })),
        }
    };
    match handle {
        KeyedHandle::KeyGroups(groups) => match groups.kind {
            KeyGroupsKind::Plain => {}
            KeyGroupsKind::Savepoint => each(kind(7, "canonical savepoint handles", "since Flink 1.13")),
            KeyGroupsKind::WithId(_) => each(kind(12, "key group handles with an id", "since Flink 1.15")),
        },
        KeyedHandle::Incremental(database) => {
            if database.extra.is_some() {
                each(kind(11, "incremental handles with an id", "since Flink 1.15"));
            }
        }
        KeyedHandle::Changelog(changelog) => {
            let tag = if changelog.checkpoint_id.is_some() { 14 } else { 8 };
            changed(changelog.extra.is_some(), tag, "changelog handles");
            let parts = changelog.materialized.iter().chain(&changelog.non_materialized).flatten();
            parts.for_each(|part| keyed_kinds(part, version, release, each));
        }
        KeyedHandle::ChangesInMemory(changes) => changed(changes.state_handle_id.is_some(), 9, "handles of changes"),
        KeyedHandle::ChangesInFiles(changes) => {
            changed(changes.extra.is_some(), if changes.storage.is_some() { 13 } else { 10 }, "handles of changes");
        }
    }
}

fn has_changes(metadata: &Metadata<'_>) -> bool {
    let states = metadata.operators.iter().flat_map(|op| op.subtasks()).filter_map(|subtask| subtask.state.as_deref());
    let mut handles = states.flat_map(|state| state.keyed_handles().map(|(_, handle)| handle));
    handles.any(|handle| matches!(handle, KeyedHandle::Changelog(log) if log.non_materialized.iter().flatten().next().is_some()))
}
