//! `chkctl generate`.

use super::{Cli, Exit, Session, failure};
use clap::{Args, CommandFactory, Subcommand};
use clap_complete::Shell;
use std::ffi::OsString;
use std::path::Path;

/// Write completions for a shell, or man pages.
#[derive(Debug, Args)]
pub struct GenerateArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Print what a shell needs to complete command lines of chkctl.
    ///
    /// bash: chkctl generate completions bash > /etc/bash_completion.d/chkctl; zsh: a file _chkctl in a directory of $fpath; fish:
    /// ~/.config/fish/completions/chkctl.fish.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Write the man pages of chkctl and of each of its commands to a directory.
    Man {
        /// The directory, such as /usr/local/share/man/man1; it has to be there.
        dir: OsString,
    },
}

pub(super) fn run(session: &mut Session, args: &GenerateArgs) -> anyhow::Result<Exit> {
    match &args.what {
        What::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "chkctl", &mut text);
            session.print(&String::from_utf8_lossy(&text))?;
        }
        What::Man { dir } => {
            let dir = Path::new(dir);
            if !dir.is_dir() {
                return Err(failure(Exit::Usage, format!("{} is not a directory", dir.display())));
            }
            // Wide enough that no line is broken before a reader breaks it.
            let command = Cli::command().disable_help_subcommand(true);
            clap_mangen::generate_to(command, dir)
                .map_err(|error| failure(Exit::Partly, format!("{}: {error}", dir.display())))?;
        }
    }
    Ok(Exit::Fine)
}
