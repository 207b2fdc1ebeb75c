//! Collects what a check finds, no more of it than anybody reads.

use crate::model::damage::{Checked, Damage, Effect};
use crate::wire::{DecodeError, Problem, ReadError};
use std::cell::Cell;
use std::io;

/// How many damages are kept.
const MOST: usize = 100;

/// What was found so far.
#[derive(Default)]
pub(super) struct Findings {
    checked: Checked,
    /// The name of the state that is read; empty for none.
    state: String,
}

impl Findings {
    pub(super) fn into_checked(self) -> Checked {
        self.checked
    }

    /// Says which state is read, for people.
    pub(super) fn in_state(&mut self, name: &str) {
        self.state.clear();
        self.state.push_str(name);
    }

    /// Whether nothing more is kept, so that there is no use in going on.
    pub(super) fn is_full(&self) -> bool {
        self.checked.damages.len() >= MOST
    }

    pub(super) fn count(&self) -> usize {
        self.checked.damages.len()
    }

    /// Adds a damage.
    #[cold]
    pub(super) fn add(&mut self, effect: Effect, section: &str, offset: u64, problem: impl ToString) {
        if !self.is_full() {
            let problem = problem.to_string();
            self.checked.damages.push(Damage { effect, section: section.to_owned(), offset, problem });
        }
    }

    /// Appends to what the last damage says.
    #[cold]
    pub(super) fn amend(&mut self, more: &str) {
        if let Some(last) = self.checked.damages.last_mut() {
            last.problem.push_str(more);
        }
    }

    /// Adds a sentence about what was not understood, once.
    #[cold]
    pub(super) fn opaque(&mut self, sentence: String) {
        if self.checked.opaque.len() < MOST && !self.checked.opaque.contains(&sentence) {
            self.checked.opaque.push(sentence);
        }
    }

    /// Adds why something could not be read; `effect` is that of real damage.
    #[cold]
    pub(super) fn error(&mut self, effect: Effect, section: &str, offset: u64, error: &DecodeError) {
        match &error.problem {
            Problem::OnlyJava(what) if self.state.is_empty() => self.opaque(format!("values ({what})")),
            Problem::OnlyJava(what) => self.opaque(format!("values of state {:?} ({what})", self.state)),
            Problem::UnknownSerializer(class) => {
                self.opaque(format!("what {class} describes, a serializer that chkctl does not know"));
            }
            problem if problem.is_limit() => self.add(Effect::Unknown, section, offset, problem),
            problem => self.add(effect, section, offset, problem),
        }
    }
}

/// The damage in an error of a stream.
///
/// # Errors
/// When the storage failed.
#[cold]
pub(super) fn damage(error: ReadError) -> io::Result<Box<DecodeError>> {
    match error {
        ReadError::Io(error) => Err(error),
        ReadError::Damaged(error) => Ok(error),
    }
}

/// Tells a listener of as many bytes as there are in all, those that nothing was looked for in as well.
pub(super) struct Progress<'p> {
    told: Cell<u64>,
    listener: &'p dyn Fn(u64),
}

impl<'p> Progress<'p> {
    pub(super) fn new(listener: &'p dyn Fn(u64)) -> Self {
        Progress { told: Cell::new(0), listener }
    }

    pub(super) fn more(&self, count: u64) {
        self.told.set(self.told.get().saturating_add(count));
        (self.listener)(count);
    }

    pub(super) fn finish(&self, size: u64) {
        let left = size.saturating_sub(self.told.get());
        if left > 0 {
            self.more(left);
        }
    }
}
