//! `refs`: who refers to a file.

use super::prune::count;
use super::report::{plain_table, table_text};
use super::{Bytes, Escaped, json_time};
use crate::model::Location;
use crate::survey::references::Extent;
use crate::survey::refs::{Found, How, Referrer, Refs, Target, TargetKind};
use crate::survey::stock::OwnerEntry;
use comfy_table::{Cell, CellAlignment};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The object that `refs --json` prints.
#[derive(Debug, Serialize)]
pub struct RefsJson<'r> {
    file: &'r str,
    kind: &'static str,
    size: Option<u64>,
    roots: Vec<String>,
    referrers: Vec<ReferrerJson<'r>>,
    /// Bytes of the file that any snapshot refers to; null for a directory.
    live_bytes: Option<u64>,
    unknown: Vec<UnknownJson<'r>>,
    read: u64,
    incomplete: u64,
}

#[derive(Debug, Serialize)]
struct ReferrerJson<'r> {
    path: String,
    checkpoint_id: i64,
    job_id: Option<&'r str>,
    completed_at: Option<String>,
    inside: bool,
    how: How,
    files: u64,
    bytes: u64,
    references: u64,
    found: Vec<FoundJson<'r>>,
}

#[derive(Debug, Serialize)]
struct FoundJson<'r> {
    how: How,
    path: &'r str,
    /// Offset of the first byte, of a segment.
    start: Option<i64>,
    /// Bytes of the file or segment; null where it is not known.
    size: Option<i64>,
    owner: Option<&'r OwnerEntry>,
}

#[derive(Debug, Serialize)]
struct UnknownJson<'r> {
    path: String,
    why: &'r str,
}

impl<'r> RefsJson<'r> {
    /// Who refers to the target below the roots.
    pub fn new(target: &'r Target, refs: &'r Refs, roots: &[Location]) -> Self {
        RefsJson {
            file: &target.shown,
            kind: kind(target.kind),
            size: target.size,
            roots: roots.iter().map(ToString::to_string).collect(),
            referrers: refs.referrers.iter().map(referrer_json).collect(),
            live_bytes: (target.kind != TargetKind::Directory).then(|| refs.extents().bytes()),
            unknown: refs.unknown.iter().map(|(path, why)| UnknownJson { path: path.to_string(), why }).collect(),
            read: refs.read,
            incomplete: refs.incomplete,
        }
    }
}

fn kind(kind: TargetKind) -> &'static str {
    match kind {
        TargetKind::File => "file",
        TargetKind::Directory => "directory",
        TargetKind::Gone => "missing",
        TargetKind::Name => "name",
        TargetKind::Unknown => "unknown",
    }
}

fn referrer_json(referrer: &Referrer) -> ReferrerJson<'_> {
    ReferrerJson {
        path: referrer.path.to_string(),
        checkpoint_id: referrer.checkpoint_id,
        job_id: referrer.job_id.as_deref(),
        completed_at: json_time(referrer.completed_at),
        inside: referrer.inside,
        how: referrer.how(),
        files: referrer.files,
        bytes: referrer.bytes,
        references: referrer.references,
        found: referrer.found.iter().map(found_json).collect(),
    }
}

fn found_json(found: &Found) -> FoundJson<'_> {
    let (start, size) = match found.extent {
        Some(Extent::Segment { start, size }) => (Some(start), Some(size)),
        Some(Extent::Whole(size)) => (None, Some(size).filter(|size| *size >= 0)),
        None => (None, None),
    };
    FoundJson { how: found.how, path: &found.path, start, size, owner: found.owner.as_ref() }
}

/// So many references of a snapshot are shown, unless all are asked for.
const SHOWN: usize = 3;

/// Who refers to the target, for people.
pub fn text(target: &Target, refs: &Refs, all: bool, colour: bool) -> String {
    let of_directory = target.kind == TargetKind::Directory;
    let only_holds = |referrer: &&Referrer| referrer.how() == How::Directory && !all && !of_directory;
    let (holders, named): (Vec<&Referrer>, Vec<&Referrer>) = refs.referrers.iter().partition(only_holds);
    let mut text = if of_directory { directory_table(&named, colour) } else { file_table(&named, all, colour) };
    let mut held: BTreeMap<&str, u64> = BTreeMap::new();
    for holder in &holders {
        *held.entry(holder.found.first().map_or("", |found| &found.path)).or_default() += 1;
    }
    for (dir, number) in held {
        let s = if number == 1 { "s" } else { "" };
        let _ = writeln!(
            text,
            "held    {} hold{s} on to {} as a whole, in which it lies",
            count(number, "snapshot"),
            Escaped(dir)
        );
    }
    for (path, why) in &refs.unknown {
        let _ = writeln!(text, "unknown {}", Escaped(format!("{path} ({why})")));
    }
    let _ = writeln!(text, "{}", sum(target, refs));
    text
}

fn sum(target: &Target, refs: &Refs) -> String {
    let number = refs.referrers.len() as u64;
    let what = match target.kind {
        TargetKind::Directory => format!("into {}", Escaped(&target.shown)),
        TargetKind::Gone => format!("to {}, which is not there", Escaped(&target.shown)),
        TargetKind::File | TargetKind::Name | TargetKind::Unknown => format!("to {}", Escaped(&target.shown)),
    };
    let verb = if number == 1 { "refers" } else { "refer" };
    let mut text = format!("{number} of {} {verb} {what}", count(refs.read, "snapshot"));
    let inside = refs.referrers.iter().filter(|referrer| referrer.inside).count();
    if inside > 0 {
        let _ = write!(text, "; {inside} of them in it");
    }
    let in_segments = refs.referrers.iter().flat_map(|referrer| &referrer.found);
    if target.kind == TargetKind::File
        && in_segments.clone().any(|found| matches!(found.extent, Some(Extent::Segment { .. })))
    {
        let whole = Bytes(target.size.unwrap_or(0));
        let _ = write!(text, "; {} of its {whole} are in use", Bytes(refs.extents().bytes()));
    }
    if !refs.unknown.is_empty() {
        let _ = write!(text, "; {} may hold more", count(refs.unknown.len() as u64, "place"));
    }
    text
}

fn file_table(referrers: &[&Referrer], all: bool, colour: bool) -> String {
    if referrers.is_empty() {
        return String::new();
    }
    let mut table = plain_table(&["OWNER", "KEY GROUPS", "BYTES", "STATE", "SNAPSHOT"], colour);
    for referrer in referrers {
        let shown = if all { referrer.found.len() } else { SHOWN };
        // That a snapshot holds on to the directory says little where it names the file.
        let telling = |found: &&Found| all || found.how == referrer.how();
        for found in referrer.found.iter().filter(telling).take(shown) {
            let owner = found.owner.as_ref();
            let groups = owner.and_then(|owner| owner.key_groups);
            table.add_row([
                Cell::new(owner.map_or_else(|| "-".to_owned(), owner_text)),
                Cell::new(groups.map_or_else(|| "-".to_owned(), |groups| groups.to_string())),
                Cell::new(part(found.extent)),
                Cell::new(what(found)),
                Cell::new(Escaped(&referrer.path)),
            ]);
        }
        let silent = referrer.found.iter().filter(|found| !telling(found)).count();
        let left = referrer.references.saturating_sub((shown + silent) as u64);
        if left > 0 {
            let [groups, bytes, state] = ["", "", ""].map(Cell::new);
            table.add_row([
                Cell::new(format!("and {left} more")),
                groups,
                bytes,
                state,
                Cell::new(Escaped(&referrer.path)),
            ]);
        }
    }
    table_text(&table)
}

fn directory_table(referrers: &[&Referrer], colour: bool) -> String {
    if referrers.is_empty() {
        return String::new();
    }
    let mut table = plain_table(&["FILES", "BYTES", "REFERENCES", "SNAPSHOT"], colour);
    for referrer in referrers {
        let number = |number: String| Cell::new(number).set_alignment(CellAlignment::Right);
        let note = match referrer.how() {
            How::Place => String::new(),
            other => format!(" ({})", how(other)),
        };
        table.add_row([
            number(referrer.files.to_string()),
            number(Bytes(referrer.bytes).to_string()),
            number(referrer.references.to_string()),
            Cell::new(format!("{}{note}", Escaped(&referrer.path))),
        ]);
    }
    table_text(&table)
}

fn owner_text(owner: &OwnerEntry) -> String {
    let id = owner.operator_id.map_or_else(String::new, |id| id.to_string());
    let name = owner.operator_uid.as_ref().or(owner.operator_name.as_ref()).unwrap_or(&id);
    format!("{}[{}]", Escaped(name), owner.subtask)
}

fn part(extent: Option<Extent>) -> String {
    match extent {
        None => "-".to_owned(),
        Some(Extent::Whole(size)) if size < 0 => "all".to_owned(),
        Some(Extent::Whole(size)) => format!("all {size}"),
        Some(Extent::Segment { start, size }) => format!("{size} from {start}"),
    }
}

fn what(found: &Found) -> String {
    let state = found.owner.as_ref().map(|owner| owner.state.as_str()).unwrap_or_default();
    let text = match (found.how, state) {
        (How::Place, state) => state.to_owned(),
        // The last of its names bears the ids of the job and of the subtask or TaskManager.
        (other, "") => format!("{}: {}", how(other), found.path.rsplit('/').next().unwrap_or_default()),
        (other, state) => format!("{state} ({}: {})", how(other), found.path),
    };
    Escaped(text).to_string()
}

fn how(how: How) -> &'static str {
    match how {
        How::Place => "by its place",
        How::Name => "by its name",
        How::Directory => "the directory as a whole",
        How::Checkpoint => "state of that checkpoint",
        How::Mention => "mentioned in operator state",
    }
}
