//! Where the output and the talk of a command go: to the process's own streams, or to whoever shows them.

use std::cell::RefCell;
use std::io::{self, Write};

/// Standard output and standard error of a command.
pub(super) enum Streams {
    /// Those of the process.
    Process(io::BufWriter<io::Stdout>),
    /// Kept for the caller.
    Kept { out: Vec<u8>, talk: RefCell<Vec<u8>> },
}

impl Streams {
    pub fn process() -> Self {
        Streams::Process(io::BufWriter::new(io::stdout()))
    }

    pub fn kept() -> Self {
        Streams::Kept { out: Vec::new(), talk: RefCell::default() }
    }

    /// Data.
    pub fn out(&mut self) -> &mut dyn Write {
        match self {
            Streams::Process(stdout) => stdout,
            Streams::Kept { out, .. } => out,
        }
    }

    /// A line of talk. Nobody is told where it cannot be written.
    pub fn say(&self, line: impl std::fmt::Display) {
        let _ = match self {
            Streams::Process(_) => writeln!(io::stderr(), "{line}"),
            Streams::Kept { talk, .. } => writeln!(talk.borrow_mut(), "{line}"),
        };
    }

    /// What was kept: data and talk.
    pub fn into_text(self) -> (String, String) {
        match self {
            Streams::Process(_) => Default::default(),
            Streams::Kept { out, talk } => {
                let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
                (text(out), text(talk.into_inner()))
            }
        }
    }
}
