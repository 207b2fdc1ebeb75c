//! `chkctl inspect`.

use super::bar::Bar;
use super::{Exit, Session, decode};
use crate::render::inspect::Inspection;
use crate::render::{dump, types};
use crate::survey::{heads, stock};
use clap::Args;

/// Show everything in a _metadata: operators, subtasks, states, handles, sizes.
///
/// Without --json a summary; with -v every field.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// The snapshot: its directory or its _metadata.
    snapshot: String,
    /// Read the heads of the state files too: states with the types of their keys and values, serializers with class and
    /// version.
    #[arg(long)]
    deep: bool,
}

pub(super) fn run(session: &mut Session, args: &InspectArgs) -> anyhow::Result<Exit> {
    let snapshot = session.snapshot(&args.snapshot)?;
    let bytes = session.read_metadata(&snapshot)?;
    let metadata = decode(&bytes, &snapshot)?;
    let bar = Bar::none();
    if !session.globals.json && session.globals.verbose == 0 {
        let report = session.judge(&bar, std::slice::from_ref(&snapshot), false).judge(&snapshot);
        session.print(&dump::summary(&metadata, &report))?;
        if args.deep {
            let judge = session.judge(&bar, std::slice::from_ref(&snapshot), false);
            let heads = heads::read(&judge, &metadata, &snapshot.dir);
            let named: Vec<_> = metadata.operators.iter().map(dump::operator_name).zip(&heads).collect();
            session.print(&types::text(&named))?;
        }
        session.say("(-v shows every field, chkctl files every file)");
        return Ok(Exit::Fine);
    }
    let inspection = {
        let judge = session.judge(&bar, std::slice::from_ref(&snapshot), false);
        Inspection {
            path: snapshot.dir.to_string(),
            exclusive: judge.exclusive(&snapshot.dir),
            metadata_size: bytes.len() as u64,
            metadata: &metadata,
            heads: args.deep.then(|| heads::read(&judge, &metadata, &snapshot.dir)),
            referenced_files: stock::referenced_files(&judge, &metadata, &snapshot.dir),
        }
    };
    if session.globals.json {
        session.print_json(&inspection)?;
    } else {
        session.print(&dump::every_field(&serde_json::to_value(&inspection)?))?;
    }
    Ok(Exit::Fine)
}
