//! `chkctl promote`.

use super::bar::Bar;
use super::{Exit, Session, decode, failure};
use crate::model::Location;
use crate::promote::{self, Options, Plan, PromoteError, Staging, archive};
use crate::render::promote::PromoteJson;
use crate::render::report::why;
use crate::storage::{EntryKind, Storage, lies_in};
use crate::survey::{SnapshotReport, Verdict};
use clap::Args;

/// What the name of an archive ends in.
const ARCHIVE: &str = ".tar.zst";

/// Make a self-contained copy of a snapshot, which Flink restores from with -s.
///
/// All files are gathered into one directory: from shared/, from other jobs, and from merged files the parts in use. The
/// copy appears as a whole or not at all; a promote that was stopped goes on where it was when it is started again.
#[derive(Debug, Args)]
pub struct PromoteArgs {
    /// The snapshot: its directory, its _metadata, or an archive (.tar.zst).
    #[arg(value_name = "SNAPSHOT|ARCHIVE")]
    snapshot: String,
    /// The directory of the copy. It must not be there yet, or be empty.
    #[arg(value_name = "DEST", required_unless_present = "archive", conflicts_with = "archive")]
    dest: Option<String>,
    /// Make an archive (tar, compressed with zstd) instead of a directory.
    #[arg(long, value_name = "FILE.tar.zst")]
    archive: Option<String>,
    /// Give files a second name instead of copying them, where the file system can (hard links).
    #[arg(long, conflicts_with = "archive")]
    link: bool,
    /// Say what would be copied, and copy nothing.
    #[arg(long)]
    plan: bool,
    /// Let the _metadata name DEST, so that jobs may be restored in CLAIM mode. Such a copy cannot be moved.
    #[arg(long, conflicts_with = "archive")]
    absolute: bool,
    /// Copy files that do not look like Flink's too, wherever they are.
    #[arg(long)]
    allow_outside: bool,
    /// Promote what Flink would not restore from.
    #[arg(long)]
    force: bool,
}

impl PromoteArgs {
    fn options(&self) -> Options {
        let PromoteArgs { force, allow_outside, absolute, .. } = *self;
        Options { force, allow_outside, absolute, relative: self.archive.is_some() }
    }
}

pub(super) fn run(session: &mut Session, args: &PromoteArgs) -> anyhow::Result<Exit> {
    let place = session.place(&args.snapshot)?;
    let is_archive =
        place.name().ends_with(ARCHIVE) && session.storage.stat(&place).is_ok_and(|stat| stat.kind == EntryKind::File);
    match (is_archive, &args.archive, &args.dest) {
        (true, None, Some(dest)) => from_archive(session, args, &place, dest),
        (true, _, _) => Err(failure(Exit::Usage, "an archive is promoted to a directory: give DEST")),
        (false, _, _) => from_snapshot(session, args),
    }
}

fn from_snapshot(session: &mut Session, args: &PromoteArgs) -> anyhow::Result<Exit> {
    let target = args.archive.as_ref().or(args.dest.as_ref());
    let target = target.ok_or_else(|| failure(Exit::Usage, "give DEST, or --archive"))?;
    let dest = to_write(session, target)?;
    let (plan, seen) = {
        let snapshot = session.snapshot(&args.snapshot)?;
        if lies_in(&session.storage, &dest, &snapshot.dir).map_err(PromoteError::Storage).map_err(explain)? {
            return Err(failure(Exit::Refused, format!("{dest} lies in the snapshot, which must not change")));
        }
        let bar = Bar::none();
        let judge = session.judge(&bar, std::slice::from_ref(&snapshot), false);
        let report = judge.judge(&snapshot);
        check(&report, args.force)?;
        let bytes = session.read_metadata(&snapshot)?;
        let mut metadata = decode(&bytes, &snapshot)?;
        let seen = judge.exclusive(&dest);
        (promote::plan(&judge, &mut metadata, &snapshot, &seen, &args.options()).map_err(explain)?, seen)
    };
    let json = PromoteJson::planned(&plan, &dest);
    if args.plan {
        return finish(session, &json, &[]);
    }
    let bar = session.bar_of_bytes();
    let json = if args.archive.is_some() {
        let packed = archive::pack(&session.storage, &plan, &dest, &bar).map_err(explain)?;
        let next = format!("chkctl promote {} DEST", shell(&dest.to_string()));
        json.packed(&packed, next)
    } else {
        let staging = Staging::open(&session.storage, &dest).map_err(explain)?;
        let copied = staging.copy(&plan, args.link, &bar).map_err(explain)?;
        let report = staging.publish(&plan.metadata, copied.manifest.clone(), &seen, args.force).map_err(explain)?;
        json.copied(&copied, report.verdict, next_command(&seen))
    };
    bar.finish();
    finish(session, &json, &notes(&plan, args))
}

fn from_archive(session: &mut Session, args: &PromoteArgs, place: &Location, dest: &str) -> anyhow::Result<Exit> {
    if args.plan || args.link {
        return Err(failure(Exit::Usage, "--plan and --link are for snapshots, not for archives"));
    }
    let dest = to_write(session, dest)?;
    let seen = session.maps().there(&dest).canonical_if_local();
    let bar = session.bar_of_bytes();
    let staging = Staging::open(&session.storage, &dest).map_err(explain)?;
    let unpacked = promote::unpack(place, staging, &seen, &args.options(), &bar).map_err(explain)?;
    bar.finish();
    finish(session, &PromoteJson::unpacked(place, &dest, &unpacked, next_command(&seen)), &[])
}

/// A place to write to: where it says, whatever the maps say.
fn to_write(session: &Session, text: &str) -> anyhow::Result<Location> {
    let place = session.given(text)?;
    match place.parent() {
        Some(_) => Ok(place),
        None => Err(failure(Exit::Usage, format!("{place} cannot be the place of a copy"))),
    }
}

/// Refuses what Flink would not restore from.
fn check(report: &SnapshotReport, force: bool) -> anyhow::Result<()> {
    let exit = match report.verdict {
        Verdict::Restorable => return Ok(()),
        _ if force => return Ok(()),
        Verdict::Unknown => Exit::NoVerdict,
        _ => Exit::Refused,
    };
    let message = format!(
        "{} is {} and was not promoted: {} (--force promotes it all the same)",
        report.path,
        report.verdict,
        why(report)
    );
    Err(failure(exit, message))
}

/// What there is to know about the copy.
fn notes(plan: &Plan, args: &PromoteArgs) -> Vec<&'static str> {
    let mut notes = Vec::new();
    match plan.anchor {
        promote::Anchor::At(_) if args.archive.is_none() && !args.absolute => {
            notes.push("the _metadata names DEST, since the releases that read it need that: a copy that is moved is to be promoted again");
        }
        promote::Anchor::Beside if plan.carried_on && args.archive.is_none() => {
            notes.push("restore it in NO_CLAIM mode, which is the default; for CLAIM mode promote with --absolute (FLINK-39964)");
        }
        _ => {}
    }
    notes
}

fn finish(session: &mut Session, json: &PromoteJson, notes: &[&str]) -> anyhow::Result<Exit> {
    if session.globals.json {
        session.print_json(json)?;
    } else {
        session.print(&json.text())?;
    }
    notes.iter().for_each(|note| session.say(format_args!("note: {note}")));
    let bad = json.verdict.is_some_and(|verdict| verdict != Verdict::Restorable);
    Ok(if bad { Exit::Findings } else { Exit::Fine })
}

fn next_command(dest: &Location) -> String {
    format!("flink run -s {} ...", shell(&dest.to_string()))
}

/// A word for a shell.
fn shell(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_' | ':' | '=' | '+' | ',' | '@');
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// The exit code of what went wrong.
fn explain(error: PromoteError) -> anyhow::Error {
    match &error {
        PromoteError::Exists(_) | PromoteError::Outside(_) | PromoteError::Refused(_) => {
            failure(Exit::Refused, error.to_string())
        }
        PromoteError::BadCopy(report) => failure(Exit::Refused, format!("{error}: {}", why(report))),
        PromoteError::Storage(_) => {
            anyhow::Error::from(error).context("nothing was published; start it again to go on")
        }
        PromoteError::Format(_) | PromoteError::Encode(_) => failure(Exit::Findings, error.to_string()),
    }
}
