//! `chkctl list`.

use super::verify::{exit_of, judge_all};
use super::{Exit, Session};
use crate::render::report::{self, ReportsJson};
use crate::survey::finding::Verdict;
use crate::survey::sharing;
use clap::Args;

/// List the snapshots below the roots, newest first by completion time, with verdicts.
///
/// OWN is what would be freed if that snapshot alone were deleted, SHARED what other listed snapshots use too.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Checkpoint roots, job directories, savepoint directories or snapshots.
    #[arg(value_name = "ROOT")]
    roots: Vec<String>,
    /// Show the findings too, and exit with 1 if a snapshot is not restorable.
    #[arg(long)]
    verify: bool,
}

pub(super) fn run(session: &mut Session, args: &ListArgs) -> anyhow::Result<Exit> {
    let roots = session.roots(&args.roots)?;
    let catalog = session.scan(&roots)?;
    let reports = judge_all(session, &catalog.snapshots, true);
    let shares = sharing::shares(&reports);
    if session.globals.json {
        session.print_json(&ReportsJson::new(&reports, Some(&shares), args.verify))?;
    } else if reports.is_empty() {
        session.say("no snapshots found");
    } else {
        session.print(&report::list_table(&reports, &shares, session.colour))?;
        if args.verify {
            let bad: Vec<_> = reports.iter().filter(|r| !r.findings.is_empty()).cloned().collect();
            session.print("\n")?;
            session.print(&report::verify_text(&bad, session.colour, session.globals.verbose > 0))?;
        }
    }
    if args.verify {
        return Ok(exit_of(&reports));
    }
    let unknown = reports.iter().any(|report| report.verdict == Verdict::Unknown);
    Ok(if unknown { Exit::NoVerdict } else { Exit::Fine })
}
