//! Values → text for people and JSON for scripts.
//!
//! Commands gather first and render last. Everything that comes out of a `_metadata` or a directory is untrusted:
//! text for people goes through [`Escaped`].

pub mod diagnose;
pub mod diff;
pub mod doctor;
pub mod dump;
pub mod files;
pub mod ha;
pub mod inspect;
pub mod metrics;
pub mod promote;
pub mod prune;
pub mod refs;
pub mod repair;
pub mod report;
pub mod types;

use jiff::Timestamp;
use std::fmt;

/// Shows text with control and bidirectional formatting characters escaped, so that no name can write to the terminal.
pub struct Escaped<T>(pub T);

impl<T: fmt::Display> fmt::Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.to_string().chars() {
            if is_unsafe(character) {
                write!(f, "{}", character.escape_unicode())?;
            } else {
                fmt::Write::write_char(f, character)?;
            }
        }
        Ok(())
    }
}

/// Whether a character changes what a terminal shows beyond itself.
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(character, '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// Shows a number of bytes in the largest unit that leaves a digit before the point.
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = indicatif::BinaryBytes(self.0).to_string();
        f.pad(&bytes)
    }
}

/// A signed size as handles have it.
pub fn bytes_of(size: i64) -> Bytes {
    Bytes(u64::try_from(size).unwrap_or(0))
}

/// Shows a time in UTC, to the second.
pub fn time(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| format!("{at:.0}"))
}

/// A time for JSON: RFC 3339 in UTC, to the millisecond.
pub fn json_time(at: Option<Timestamp>) -> Option<String> {
    at.map(|at| format!("{at:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_write_to_the_terminal() {
        assert_eq!(Escaped("a\u{1b}[2Jb\n\u{202e}c").to_string(), "a\\u{1b}[2Jb\\u{a}\\u{202e}c");
        assert_eq!(Escaped("Window(状态)").to_string(), "Window(状态)");
    }

    #[test]
    fn times_are_rfc_3339() {
        let at = Timestamp::from_millisecond(1_585_213_444_496).ok();
        assert_eq!(json_time(at).as_deref(), Some("2020-03-26T09:04:04.496Z"));
        assert_eq!(time(at), "2020-03-26T09:04:04Z");
    }
}
