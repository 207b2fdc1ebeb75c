//! `chkctl diagnose`.

use super::bar::Bar;
use super::{Exit, Session, failure};
use crate::diagnose::advice;
use crate::diagnose::blame::{Blame, blame};
use crate::diagnose::facts::Facts;
use crate::diagnose::{Findings, Look, look, read};
use crate::render::diagnose::{DiagnoseJson, Report, text};
use anyhow::Context;
use clap::Args;
use std::fs::File;
use std::io::{self, BufReader, IsTerminal};

/// Read a log or a stack trace of Flink: what is the cause, whose is the missing file, and what to type next.
///
/// Takes the log of a JobManager or TaskManager, or an exception as it was pasted somewhere: whole or in parts, with
/// any prefix, escaped as JSON or not. With --root it also looks at what is there, and ends with the command that
/// starts the job from the best snapshot. Exits with 1 if the log was explained, with 0 if nothing is wrong in it,
/// with 5 if it shows failures that are not known.
#[derive(Debug, Args)]
pub struct DiagnoseArgs {
    /// The log; "-" or nothing for stdin.
    #[arg(value_name = "LOG")]
    log: Option<String>,
    /// Look below this checkpoint or savepoint directory for the snapshot and for others. May be given again.
    #[arg(long, value_name = "ROOT")]
    root: Vec<String>,
}

pub(super) fn run(session: &mut Session, args: &DiagnoseArgs) -> anyhow::Result<Exit> {
    let name = args.log.as_deref().filter(|name| *name != "-");
    let findings = match name {
        Some(name) => {
            let kind = std::fs::metadata(name).with_context(|| format!("{name} cannot be read"))?;
            if kind.is_dir() {
                return Err(failure(
                    Exit::Usage,
                    format!("{name} is a directory, not a log; --root is for directories"),
                ));
            }
            let file = File::open(name).with_context(|| format!("{name} cannot be read"))?;
            read(BufReader::with_capacity(1 << 20, file)).with_context(|| format!("{name} cannot be read"))?
        }
        None => {
            if io::stdin().is_terminal() {
                session.say("paste the log or stack trace, then press Ctrl-D");
            }
            read(io::stdin().lock()).context("stdin cannot be read")?
        }
    };
    finish(session, args, &findings)
}

fn finish(session: &mut Session, args: &DiagnoseArgs, findings: &Findings) -> anyhow::Result<Exit> {
    let nothing = Facts::default();
    let primary = findings.primary();
    let facts = primary.map_or(&nothing, |primary| &primary.facts);
    let look = match args.root.is_empty() {
        true => None,
        false => Some(look_at(session, args, facts)?),
    };
    let missing = primary.is_some_and(|primary| {
        matches!(primary.entry.id, "state-file-missing" | "no-such-snapshot" | "sink-file-missing")
    });
    let blame: Option<Blame> = missing.then(|| blame(facts, &findings.events, look.as_ref()));
    let command = primary.map(|primary| advice::command(primary, look.as_ref()));
    let report = Report { findings, blame: blame.as_ref(), look: look.as_ref(), command: command.as_deref() };
    if session.globals.json {
        session.print_json(&DiagnoseJson::new(&report))?;
    } else {
        let text = text(&report, session.colour, session.globals.verbose > 0);
        session.print(&text)?;
    }
    if findings.lines == 0 {
        session.say("the log is empty");
        return Ok(Exit::NoVerdict);
    }
    Ok(match (primary.is_none(), findings.unexplained.is_empty()) {
        (false, _) => Exit::Findings,
        (true, false) => Exit::NoVerdict,
        (true, true) => Exit::Fine,
    })
}

fn look_at(session: &Session, args: &DiagnoseArgs, facts: &Facts) -> anyhow::Result<Look> {
    let roots = session.roots(&args.root)?;
    let catalog = session.scan(&roots)?;
    let bar = Bar::none();
    // The one place where snapshots are judged here.
    let judge = session.judge(&bar, &catalog.snapshots, true);
    Ok(look(&session.storage, &session.maps(), &roots, &catalog, facts, &|snapshot| judge.judge(snapshot)))
}
