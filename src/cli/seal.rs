//! `chkctl seal`.

use super::{Exit, Session};
use crate::render::Bytes;
use crate::render::promote::{SealJson, SealsJson};
use crate::seal;
use clap::Args;

/// Write down size and BLAKE3 of every file of a snapshot, for verify --checksums.
///
/// The seal is a text file beside the snapshot (.chkctl/seals in the directory that holds it); the snapshot itself is not
/// changed. A snapshot that was promoted carries its own, and needs none.
#[derive(Debug, Args)]
pub struct SealArgs {
    /// Snapshots: their directories, or their _metadata files.
    #[arg(value_name = "SNAPSHOT", required = true)]
    snapshots: Vec<String>,
}

pub(super) fn run(session: &mut Session, args: &SealArgs) -> anyhow::Result<Exit> {
    let mut outcomes = Vec::new();
    for text in &args.snapshots {
        let mut outcome = SealJson { path: text.clone(), seal: None, files: 0, bytes: 0, error: None };
        match seal_one(session, text) {
            Ok((path, sealed)) => {
                outcome.path = path;
                session.say(format_args!("sealed {}: {} files, {}", outcome.path, sealed.files, Bytes(sealed.bytes)));
                outcome.seal = Some(sealed.place.to_string());
                (outcome.files, outcome.bytes) = (sealed.files, sealed.bytes);
            }
            Err(error) if args.snapshots.len() == 1 => return Err(error),
            Err(error) => {
                session.say(format_args!("{text}: {error:#}"));
                outcome.error = Some(format!("{error:#}"));
            }
        }
        outcomes.push(outcome);
    }
    let failed = outcomes.iter().filter(|outcome| outcome.error.is_some()).count();
    let next = outcomes.iter().find(|outcome| outcome.error.is_none()).map(|outcome| outcome.path.clone());
    if session.globals.json {
        session.print_json(&SealsJson { snapshots: outcomes })?;
    } else if let Some(path) = next {
        session.say(format_args!("next: chkctl verify --checksums {path}"));
    }
    Ok(if failed > 0 { Exit::Partly } else { Exit::Fine })
}

/// Seals the snapshot at a place; gives its directory too.
fn seal_one(session: &Session, text: &str) -> anyhow::Result<(String, seal::Sealed)> {
    let snapshot = session.snapshot(text)?;
    let bar = session.bar_of_bytes();
    let judge = session.judge(&bar, std::slice::from_ref(&snapshot), false);
    let sealed = seal::seal(&session.storage, &judge, &snapshot, &bar);
    bar.finish();
    Ok((snapshot.dir.to_string(), sealed?))
}
