//! What the demo prints: the story, what goes into the job and comes out of it, its log, and chkctl's commands.

use super::job;
use crate::cli::{Cli, Exit, Session, Streams};
use crate::render::Escaped;
use anyhow::Context;
use clap::Parser;
use crossbeam_channel::Receiver;

const BOLD: &str = "\u{1b}[1m";
const DIM: &str = "\u{1b}[2m";
const PLAIN: &str = "\u{1b}[0m";

/// Parts of messages of the log that the story shows.
const TELLING: &[&str] = &["to FAILED", "RESTARTING to RUNNING", "Restoring job", "Starting job"];

/// Prints as the story goes on, so that nothing of it comes in one go.
pub(super) struct Voice<'s> {
    session: &'s mut Session,
    log: Receiver<String>,
    /// The last line was empty.
    gap: bool,
}

/// How a command of chkctl ended.
pub(super) struct Ran {
    pub out: String,
    pub exit: Exit,
}

impl<'s> Voice<'s> {
    pub fn new(session: &'s mut Session) -> anyhow::Result<Self> {
        Ok(Voice { session, log: job::listen_to_log()?, gap: true })
    }

    fn line(&mut self, style: &str, text: &str) -> anyhow::Result<()> {
        if self.session.globals.quiet || (text.is_empty() && self.gap) {
            return Ok(());
        }
        self.gap = text.is_empty();
        let line = match self.session.colour && !style.is_empty() {
            true => format!("{style}{text}{PLAIN}\n"),
            false => format!("{text}\n"),
        };
        self.session.print(&line)?;
        self.session.flush()
    }

    /// Begins a part of the story.
    pub fn title(&mut self, text: &str) -> anyhow::Result<()> {
        self.line("", "")?;
        self.line(BOLD, text)
    }

    /// Tells: some lines as they are to be printed.
    pub fn tell(&mut self, text: &str) -> anyhow::Result<()> {
        text.lines().try_for_each(|line| self.line("", line))
    }

    /// A word goes to the job.
    pub fn sent(&mut self, word: &str) -> anyhow::Result<()> {
        self.line("", &format!("    nc> {word}"))
    }

    /// A count comes from the job.
    pub fn counted(&mut self, (word, count): &(String, i64)) -> anyhow::Result<()> {
        self.line("", &format!("    ({word},{count})"))
    }

    /// Shows what the job has logged since: all with `-v`, else what the story is about.
    pub fn log(&mut self) -> anyhow::Result<()> {
        let all = self.session.globals.verbose > 0;
        for message in self.log.try_iter().collect::<Vec<_>>() {
            if all || TELLING.iter().any(|part| message.contains(part)) {
                message.lines().try_for_each(|line| self.line(DIM, &format!("    {}", Escaped(line))))?;
            }
        }
        Ok(())
    }

    /// Text that the job ended with.
    pub fn error(&mut self, error: &anyhow::Error) -> anyhow::Result<()> {
        self.line("", &format!("    {}", Escaped(format!("{error:#}"))))
    }

    /// The last word, which is said even if quiet.
    pub fn conclude(&mut self, text: &str) -> anyhow::Result<()> {
        self.session.print(&format!("{text}\n"))
    }

    /// Runs a command of chkctl, and shows it with its output as a terminal would: stderr is not buffered and comes
    /// first.
    pub fn chkctl(&mut self, args: &[&str]) -> anyhow::Result<Ran> {
        self.line("", "")?;
        let quoted = args.iter().map(|arg| if arg.contains(' ') { format!("'{arg}'") } else { (*arg).to_owned() });
        self.line(BOLD, &format!("$ chkctl {}", quoted.collect::<Vec<_>>().join(" ")))?;
        let cli = Cli::try_parse_from(std::iter::once(&"chkctl").chain(args)).context("a command of the demo")?;
        let mut globals = cli.globals;
        // Settings of the environment are for the user's own snapshots.
        (globals.config, globals.flink_conf) = (None, None);
        globals.color = self.session.globals.color;
        globals.no_progress = true;
        let mut session = Session::new(globals, Streams::kept())?;
        let exit = cli.command.run(&mut session)?;
        let (out, talk) = session.streams.into_text();
        // Commands escape what is not their own, and colour what is.
        talk.lines().chain(out.lines()).try_for_each(|line| self.line("", line))?;
        self.line("", "")?;
        Ok(Ran { out, exit })
    }
}
