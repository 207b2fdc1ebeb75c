//! `chkctl demo`: the whole story of a job that dies and comes back, in a temporary directory.
//!
//! [`story`] tells it; [`job`] runs the word count and the server that it reads from; [`voice`] prints, and runs
//! chkctl's own commands as they would be typed.

mod job;
mod server;
mod story;
mod voice;

use super::{Exit, Session, failure};
use clap::Args;
use std::path::PathBuf;
use voice::Voice;

/// See it all in a few seconds: a job takes checkpoints, dies, loses a file, and goes on from the checkpoint before.
///
/// Needs nothing but chkctl: the job, the server that it reads from and the checkpoints are its own, in a temporary
/// directory that is removed at the end. There is no JSON. Exits with 0 if the counts are right in the end, with 1
/// if not.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Keep the directory with the checkpoints, to try other commands on.
    #[arg(long)]
    keep: bool,
}

pub(super) fn run(session: &mut Session, args: &DemoArgs) -> anyhow::Result<Exit> {
    if session.globals.json {
        return Err(failure(Exit::Usage, "demo tells a story to people: it has no --json"));
    }
    let mut directory = tempfile::Builder::new().prefix("chkctl-demo-").tempdir()?;
    directory.disable_cleanup(args.keep);
    if !args.keep {
        remove_when_interrupted(directory.path().to_owned());
    }
    let mut voice = Voice::new(session)?;
    let told = story::tell(&mut voice, directory.path());
    if args.keep {
        session.say(format_args!("kept: {}", directory.path().display()));
    }
    // What goes wrong is a defect of chkctl or a lack of means; a closed pipe stays what it is.
    told.map(|()| Exit::Fine).map_err(|error| match error.downcast::<std::io::Error>() {
        Ok(error) if error.kind() == std::io::ErrorKind::BrokenPipe => error.into(),
        Ok(error) => failure(Exit::Findings, format!("the demo failed: {error}")),
        Err(error) => failure(Exit::Findings, format!("the demo failed: {error:#}")),
    })
}

/// On Ctrl-C the directory goes, too. A job may be writing to it meanwhile, so one attempt may not do.
fn remove_when_interrupted(directory: PathBuf) {
    // Without a handler the directory stays, and nothing else is wrong.
    let _ = ctrlc::set_handler(move || {
        for _ in 0..3 {
            if std::fs::remove_dir_all(&directory).is_ok() {
                break;
            }
        }
        std::process::exit(130);
    });
}
