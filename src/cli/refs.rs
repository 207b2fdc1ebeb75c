//! `chkctl refs`.

use super::{Exit, Session};
use crate::render::refs::{RefsJson, text};
use crate::survey::catalog::METADATA;
use crate::survey::refs::{Target, TargetKind, refs};
use clap::Args;

/// List the snapshots that refer to a file, or into a directory: with operator, subtask, key groups and state.
///
/// As grep: exits with 0 if some do, with 1 if none does, with 5 if something below the roots could not be read and may
/// refer to it. The file need not be there; a name without a directory is looked for in all directories. Whether a file may
/// be deleted is what safe-to-delete says.
#[derive(Debug, Args)]
pub struct RefsArgs {
    /// The file or directory, as it is found here or as handles name it; or the bare name of a file.
    #[arg(value_name = "FILE")]
    file: String,
    /// Checkpoint roots, job directories, savepoint directories or snapshots.
    #[arg(value_name = "ROOT")]
    roots: Vec<String>,
    /// Look for the name in operator state too, where a write-ahead sink keeps its handles.
    #[arg(long)]
    deep: bool,
}

pub(super) fn run(session: &mut Session, args: &RefsArgs) -> anyhow::Result<Exit> {
    let target = target(session, &args.file)?;
    let roots = session.roots(&args.roots)?;
    let snapshots = session.scan(&roots)?.snapshots;
    let found = {
        let bar = session.bar();
        let judge = session.judge(&bar, &[], false);
        let found = refs(&judge, &target, &snapshots, args.deep);
        bar.finish();
        found
    };
    if session.globals.json {
        session.print_json(&RefsJson::new(&target, &found, &roots))?;
    } else {
        session.print(&text(&target, &found, session.globals.verbose > 0, session.colour))?;
    }
    if found.incomplete > 0 && found.referrers.is_empty() {
        let (number, what) = (found.incomplete, "without a _metadata: what they are going to refer to is not known");
        session.say(format_args!("note: {number} below the roots {what}"));
    }
    if found.referrers.is_empty() && !args.deep && target.shown.split('/').any(|part| part == "taskowned") {
        session.say("note: files in taskowned may be known to operator state alone: --deep looks there too");
    }
    if target.kind == TargetKind::File && target.shown.ends_with(&format!("/{METADATA}")) {
        session.say("note: no handle leads to a _metadata, and a snapshot is none without it");
    }
    Ok(match (found.unknown.is_empty(), found.referrers.is_empty()) {
        (false, _) => Exit::NoVerdict,
        (true, false) => Exit::Fine,
        (true, true) => Exit::Findings,
    })
}

/// What a text names: the file or directory of this place; a bare name of which nothing is here, in any directory.
fn target(session: &Session, text: &str) -> anyhow::Result<Target> {
    let given = session.given(text)?;
    let here = session.place(text)?;
    let bare = !text.contains(['/', '\\', ':']) && !matches!(text, "." | "..");
    let target = Target::at(&session.storage, &session.maps(), &given, &here);
    Ok(if bare && target.kind == TargetKind::Gone { Target::named(text) } else { target })
}
