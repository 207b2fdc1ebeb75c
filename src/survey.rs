//! Everything that only looks: which snapshots are there, what they refer to, and whether Flink could restore them.
//!
//! Data flows one way: [`catalog`] finds snapshots, [`references`] walks a decoded `_metadata`, [`resolve`] says where
//! each reference is, [`inventory`] asks the storage, [`verify`] turns the answers into [`finding`]s and a verdict,
//! [`deep`] reads the state files,
//! and [`elsewhere`] looks for files that are missing where Flink would look for them. [`stock`] and
//! [`sharing`] list the files and who uses them, [`refs`] who refers to one file, and [`diff`] what two snapshots differ in.

pub mod catalog;
pub mod compat;
pub mod databases;
pub mod deep;
pub mod diff;
pub mod elsewhere;
pub mod extents;
pub mod finding;
pub mod heads;
pub mod inventory;
pub mod key_groups;
pub mod mentions;
pub mod offsets;
pub mod references;
pub mod refs;
pub mod report;
pub mod resolve;
pub mod sharing;
pub mod stock;
pub mod verify;

pub use catalog::{Catalog, SnapshotDir};
pub use deep::Deep;
pub use finding::{Code, Finding, Severity, Verdict};
pub use report::SnapshotReport;
pub use resolve::PathMap;
pub use verify::Judge;

/// Hears how far a survey has come; the command line draws a bar from it.
pub trait Progress: Sync {
    /// So many more files, or bytes in a deep survey, are going to be judged.
    fn expect(&self, more: u64);
    /// So many have been.
    fn advance(&self, done: u64);
}

/// Hears nothing.
pub struct Silent;

impl Progress for Silent {
    fn expect(&self, _: u64) {}
    fn advance(&self, _: u64) {}
}
