//! `chkctl files`.

use super::{Exit, Session, decode};
use crate::render::files::{FilesJson, table};
use crate::survey::stock;
use clap::Args;

/// List every file that a snapshot refers to, with owner, size, scope and whether it is there.
#[derive(Debug, Args)]
pub struct FilesArgs {
    /// The snapshot: its directory or its _metadata.
    snapshot: String,
}

pub(super) fn run(session: &mut Session, args: &FilesArgs) -> anyhow::Result<Exit> {
    let snapshot = session.snapshot(&args.snapshot)?;
    let bytes = session.read_metadata(&snapshot)?;
    let metadata = decode(&bytes, &snapshot)?;
    let (files, inline_bytes) = {
        let bar = session.bar();
        let judge = session.judge(&bar, std::slice::from_ref(&snapshot), false);
        let files = stock::files(&judge, &metadata, &snapshot.dir);
        bar.finish();
        (files, stock::inline_bytes(&metadata))
    };
    let files = FilesJson { path: snapshot.dir.to_string(), files, inline_bytes };
    if session.globals.json {
        session.print_json(&files)?;
    } else {
        session.print(&table(&files, session.colour))?;
    }
    Ok(Exit::Fine)
}
