//! `chkctl diff`.

use super::bar::Bar;
use super::{Exit, Failure, Session, decode};
use crate::render::diff::{DiffJson, text};
use crate::survey::diff::{Side, diff};
use crate::survey::{SnapshotDir, heads};
use clap::Args;

/// Show what two snapshots differ in: operators, parallelism, sizes by kind and state, files, and what B added on storage.
///
/// As diff: exits with 0 if they are the same, with 1 if they differ, with 5 if one cannot be read. They are the same if
/// Flink would restore the same from them: a copy in another place is.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The first snapshot, usually the older one: its directory or its _metadata.
    #[arg(value_name = "A")]
    a: String,
    /// The second one.
    #[arg(value_name = "B")]
    b: String,
    /// Read the heads of the state files too: keyed states by name, and types that changed.
    #[arg(long)]
    deep: bool,
}

pub(super) fn run(session: &mut Session, args: &DiffArgs) -> anyhow::Result<Exit> {
    let read = |text: &str| -> anyhow::Result<(SnapshotDir, Vec<u8>)> {
        let snapshot = session.snapshot(text)?;
        let bytes = session.read_metadata(&snapshot)?;
        Ok((snapshot, bytes))
    };
    let (a, b) = (read(&args.a).map_err(unread)?, read(&args.b).map_err(unread)?);
    let metadata = (decode(&a.1, &a.0).map_err(unread)?, decode(&b.1, &b.0).map_err(unread)?);
    let found = {
        let bar = Bar::none();
        let judge = session.judge(&bar, std::slice::from_ref(&a.0), false);
        let read = |metadata, snapshot: &SnapshotDir| args.deep.then(|| heads::read(&judge, metadata, &snapshot.dir));
        let heads = (read(&metadata.0, &a.0), read(&metadata.1, &b.0));
        let size = |bytes: &[u8]| bytes.len() as u64;
        let a = Side { snapshot: &a.0, metadata: &metadata.0, metadata_size: size(&a.1), heads: heads.0 };
        let b = Side { snapshot: &b.0, metadata: &metadata.1, metadata_size: size(&b.1), heads: heads.1 };
        diff(&judge, &a, &b)
    };
    if session.globals.json {
        session.print_json(&DiffJson::new(&found))?;
    } else {
        session.print(&text(&found, session.globals.verbose > 0, session.colour))?;
        if !found.differs() {
            session.say("no difference");
        }
    }
    Ok(match (found.unread().next(), found.differs()) {
        (Some(_), _) => Exit::NoVerdict,
        (None, true) => Exit::Findings,
        (None, false) => Exit::Fine,
    })
}

/// 1 is the exit code of a difference, so what cannot be compared has another one.
fn unread(error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<Failure>() {
        Ok(failure) if failure.exit == Exit::Findings => Failure { exit: Exit::NoVerdict, ..failure }.into(),
        Ok(failure) => failure.into(),
        Err(error) => error,
    }
}
