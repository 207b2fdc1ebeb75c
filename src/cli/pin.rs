//! `chkctl pin`, `chkctl unpin` and `chkctl tag`.

mod until;

use super::{Exit, Session, explain, failure};
use crate::model::Location;
use crate::records::{self, Pin, Record, RecordError, Subject};
use crate::render::json_time;
use crate::storage::{Below, EntryKind, Storage};
use crate::survey::SnapshotDir;
use crate::survey::catalog::{METADATA, SnapshotState};
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fs;

/// Protect snapshots from every prune, until they are unpinned.
///
/// The pin is a small file beside the snapshot (.chkctl/records in the directory that holds it). It keeps chkctl from
/// removing the snapshot and what it refers to; it does not keep Flink from it.
#[derive(Debug, Args)]
pub struct PinArgs {
    /// Snapshots: their directories, or their _metadata files.
    #[arg(value_name = "SNAPSHOT", required = true)]
    snapshots: Vec<String>,
    /// Why, for those who find the pin later.
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: Option<String>,
    /// When the pin ends: a time (2027-01-31T12:00:00Z), a day, or a duration from now on (30d, 1y6mo, 36h).
    #[arg(long, value_name = "TIME|DURATION")]
    until: Option<String>,
}

/// Take pins away, so that a prune may remove the snapshots.
#[derive(Debug, Args)]
pub struct UnpinArgs {
    /// Snapshots: their directories, or their _metadata files.
    #[arg(value_name = "SNAPSHOT", required = true)]
    snapshots: Vec<String>,
}

/// Show, add and remove tags of snapshots, by which a prune can keep them.
#[derive(Debug, Args)]
pub struct TagArgs {
    /// Snapshots: their directories, or their _metadata files.
    #[arg(value_name = "SNAPSHOT", required = true)]
    snapshots: Vec<String>,
    /// Add these tags. May be given again.
    #[arg(long, value_name = "TAG[,TAG]", value_delimiter = ',', value_parser = tag)]
    add: Vec<String>,
    /// Remove these tags. May be given again.
    #[arg(long, value_name = "TAG[,TAG]", value_delimiter = ',', value_parser = tag)]
    remove: Vec<String>,
}

fn tag(text: &str) -> Result<String, &'static str> {
    records::check_tag(text).map(|()| text.to_owned())
}

fn reason(text: &str) -> Result<String, String> {
    let most = records::LONGEST_REASON;
    if text.len() <= most { Ok(text.to_owned()) } else { Err(format!("at most {most} bytes")) }
}

/// What the three commands print with `--json`.
#[derive(Serialize)]
struct OutcomesJson {
    snapshots: Vec<OutcomeJson>,
}

#[derive(Serialize)]
struct OutcomeJson {
    path: String,
    /// Whether the record is another one now.
    changed: bool,
    /// Whether the pin holds now; null where that is not known.
    pinned: Option<bool>,
    pin: Option<PinJson>,
    tags: Option<BTreeSet<String>>,
    error: Option<String>,
}

#[derive(Serialize)]
struct PinJson {
    since: Option<String>,
    by: String,
    reason: Option<String>,
    until: Option<String>,
}

/// A record after a command: the snapshot, whether it was changed, what it is.
struct Outcome {
    path: Location,
    changed: bool,
    record: Option<Record>,
}

pub(super) fn pin(session: &mut Session, args: &PinArgs) -> anyhow::Result<Exit> {
    let now = Timestamp::now();
    let until = args.until.as_ref().map(|text| until::parse(text, now)).transpose();
    let until = until.map_err(|why| failure(Exit::Usage, format!("--until {why}")))?;
    let pin = Pin { since: now, by: whoever_runs_this(), reason: args.reason.clone(), until };
    each(session, &args.snapshots, now, |session, text| {
        let (path, subject) = whole(session, text)?;
        let changed = records::set_pin(&session.storage, &subject, &pin).map_err(explain_record)?;
        let end = until.map_or_else(String::new, |until| format!(" until {until:.0}"));
        session.say(format_args!("{} {path}{end}", if changed { "pinned" } else { "pinned already:" }));
        outcome(session, path, &subject, changed)
    })
}

pub(super) fn unpin(session: &mut Session, args: &UnpinArgs) -> anyhow::Result<Exit> {
    each(session, &args.snapshots, Timestamp::now(), |session, text| {
        let (path, subject) = recorded(session, text)?;
        let changed = records::clear_pin(&session.storage, &subject).map_err(explain_record)?;
        session.say(format_args!("{} {path}", if changed { "unpinned" } else { "not pinned:" }));
        outcome(session, path, &subject, changed)
    })
}

pub(super) fn tag_snapshots(session: &mut Session, args: &TagArgs) -> anyhow::Result<Exit> {
    let [add, remove] = [&args.add, &args.remove].map(|tags| tags.iter().cloned().collect::<BTreeSet<_>>());
    if let Some(tag) = add.intersection(&remove).next() {
        return Err(failure(Exit::Usage, format!("{tag:?} is both to be added and to be removed")));
    }
    let json = session.globals.json;
    each(session, &args.snapshots, Timestamp::now(), |session, text| {
        let (path, subject) = if add.is_empty() { recorded(session, text) } else { whole(session, text) }?;
        let storage = &session.storage;
        // Where there are many, those that go make room first.
        let mut changed =
            !remove.is_empty() && records::remove_tags(storage, &subject, &remove).map_err(explain_record)?;
        changed |= !add.is_empty() && records::add_tags(storage, &subject, &add).map_err(explain_record)?;
        let outcome = outcome(session, path, &subject, changed)?;
        if !json {
            let tags: Vec<&str> = outcome.record.iter().flat_map(|r| &r.tags).map(String::as_str).collect();
            let tags = if tags.is_empty() { "no tags".to_owned() } else { tags.join(", ") };
            session.print(&format!("{}: {}\n", crate::render::Escaped(&outcome.path), crate::render::Escaped(tags)))?;
        }
        Ok(outcome)
    })
}

/// Does something for each snapshot, and goes on where it fails.
fn each(
    session: &mut Session,
    snapshots: &[String],
    now: Timestamp,
    mut one: impl FnMut(&mut Session, &str) -> anyhow::Result<Outcome>,
) -> anyhow::Result<Exit> {
    let mut shown = Vec::with_capacity(snapshots.len());
    let mut failed = Vec::new();
    for text in snapshots {
        match one(session, text) {
            Ok(outcome) => shown.push(OutcomeJson::of(outcome, now)),
            Err(error) => {
                shown.push(OutcomeJson::failed(text, format!("{error:#}")));
                failed.push(super::report(&error));
            }
        }
    }
    if session.globals.json {
        session.print_json(&OutcomesJson { snapshots: shown })?;
    }
    Ok(match failed.first() {
        None => Exit::Fine,
        Some(exit) if failed.len() == snapshots.len() => *exit,
        Some(_) => Exit::Partly,
    })
}

impl OutcomeJson {
    fn of(outcome: Outcome, now: Timestamp) -> Self {
        let Outcome { path, changed, record } = outcome;
        let pinned = record.as_ref().is_some_and(|record| record.is_pinned(now));
        let (pin, tags) = record.map_or_else(Default::default, |record| (record.pinned, record.tags));
        let pin = pin.map(|pin| PinJson {
            since: json_time(Some(pin.since)),
            by: pin.by,
            reason: pin.reason,
            until: json_time(pin.until),
        });
        OutcomeJson { path: path.to_string(), changed, pinned: Some(pinned), pin, tags: Some(tags), error: None }
    }

    fn failed(text: &str, error: String) -> Self {
        OutcomeJson { path: text.to_owned(), changed: false, pinned: None, pin: None, tags: None, error: Some(error) }
    }
}

fn outcome(session: &Session, path: Location, subject: &Subject, changed: bool) -> anyhow::Result<Outcome> {
    let record = subject.record(&session.storage).map_err(explain_record)?;
    Ok(Outcome { path, changed, record })
}

/// A snapshot that was completed, whether or not it is still whole: its path, and what a record is to say of it.
fn whole(session: &Session, text: &str) -> anyhow::Result<(Location, Subject)> {
    let snapshot = session.snapshot(text)?;
    if let SnapshotState::Incomplete { .. } = snapshot.state {
        let message = format!(
            "{} holds no _metadata: it was not completed (yet), and there is nothing in it to protect",
            snapshot.dir
        );
        return Err(failure(Exit::Findings, message));
    }
    let subject = subject(session, &snapshot)?;
    Ok((snapshot.dir, subject))
}

/// A snapshot, or what is no longer one and has a record.
fn recorded(session: &Session, text: &str) -> anyhow::Result<(Location, Subject)> {
    let error = match whole(session, text) {
        Ok(found) => return Ok(found),
        Err(error) => error,
    };
    let Ok(place) = session.place(text) else { return Err(error) };
    let Ok(subject) = Subject::new(&place) else { return Err(error) };
    match subject.record(&session.storage).map_err(explain_record)? {
        Some(_) => Ok((place, subject)),
        None => Err(error),
    }
}

fn subject(session: &Session, snapshot: &SnapshotDir) -> anyhow::Result<Subject> {
    if snapshot.metadata_file.name() != METADATA {
        let message = format!("{}: name the directory of the snapshot", snapshot.metadata_file);
        return Err(failure(Exit::Findings, message));
    }
    // A record beside a link would protect nothing: a prune meets the directory itself.
    let dir = session.storage.real_place(&snapshot.dir).map_err(explain)?;
    let subject = Subject::new(&dir).map_err(explain_record)?;
    let found = session.storage.look(Below { root: subject.dir(), dir: "" }, &[subject.name()]).map_err(explain)?;
    if !found.into_iter().flatten().any(|found| found.kind == EntryKind::Directory) {
        let message = format!("{dir} is a link: name the directory that it leads to");
        return Err(failure(Exit::Findings, message));
    }
    let (size, completed_at) = match snapshot.state {
        SnapshotState::Complete { metadata_size, completed_at } => (Some(metadata_size), completed_at),
        _ => (None, None),
    };
    let id = snapshot.id_in_name().and_then(|id| i64::try_from(id).ok()).or_else(|| id_in_metadata(session, snapshot));
    Ok(subject.known(id, size, completed_at))
}

/// The id of a savepoint. One that cannot be read has none.
fn id_in_metadata(session: &Session, snapshot: &SnapshotDir) -> Option<i64> {
    let bytes = session.read_metadata(snapshot).ok()?;
    crate::format::decode(&bytes).ok().map(|metadata| metadata.checkpoint_id)
}

fn explain_record(error: RecordError) -> anyhow::Error {
    let exit = match &error {
        RecordError::Storage(_) | RecordError::Unknown(..) => Exit::NoVerdict,
        RecordError::Locked(_) => Exit::Refused,
        RecordError::Name(_) => Exit::Findings,
        RecordError::Text(_) => Exit::Usage,
    };
    failure(exit, error.to_string())
}

/// `user@host`, as far as they are known.
fn whoever_runs_this() -> String {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let user = set("USER").or_else(|| set("LOGNAME")).or_else(user_id).unwrap_or_else(|| "unknown".to_owned());
    let kernel = || fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let host = kernel().or_else(|| set("HOSTNAME")).unwrap_or_else(|| "unknown".to_owned());
    let plain = |text: &str| text.trim().chars().filter(|c| !c.is_control()).take(64).collect::<String>();
    format!("{}@{}", plain(&user), plain(&host))
}

/// The number of the user, where there is no name: in containers, for cron.
#[cfg(unix)]
fn user_id() -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").ok().map(|process| format!("uid-{}", process.uid()))
}

#[cfg(not(unix))]
fn user_id() -> Option<String> {
    std::env::var("USERNAME").ok()
}
