//! State files that no Flink wrote, below a `_metadata` that is fine: bombs, claims, cycles, and things that are no files.
//! The contract of `verify --deep`: a verdict with a finding, in seconds, in less than 256 MiB, and no panic.

use super::made::{Made, Wanted};
use std::path::Path;

/// A snapshot that somebody made to hurt.
pub struct Hostile {
    name: &'static str,
    wanted: Wanted,
    make: fn(&Path) -> Made,
}

/// A state file that must be found damaged or not understood.
pub const fn found(name: &'static str, make: fn(&Path) -> Made) -> Hostile {
    Hostile { name, wanted: Wanted::Finding, make }
}

/// A state file that is odd, but not wrong: all that is asked is to come to an end.
pub const fn endured(name: &'static str, make: fn(&Path) -> Made) -> Hostile {
    Hostile { name, wanted: Wanted::End, make }
}

/// A state file that takes so long that only `--max-duration` ends it.
pub const fn endless(name: &'static str, make: fn(&Path) -> Made) -> Hostile {
    Hostile { name, wanted: Wanted::Timeout, make }
}

/// Looks at all of them, and fails with what went wrong with any.
pub fn endure(all: &[Hostile]) {
    let only = std::env::var("HOSTILE").unwrap_or_default();
    let mut wrong = Vec::new();
    for Hostile { name, wanted, make } in all.iter().filter(|hostile| hostile.name.contains(&only)) {
        let root = tempfile::tempdir().expect("a temporary directory");
        let made = make(root.path());
        if let Err(problem) = made.verify(name, *wanted) {
            wrong.push(format!("{name}: {problem}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), all.len(), wrong.join("\n"));
}
