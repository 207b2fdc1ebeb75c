//! Inspect, verify and pick Apache Flink checkpoints and savepoints, without a JVM.
//!
//! The map of the house, from the ground up; each part uses only parts above it in this list:
//!
//! - [`wire`]: Java's `DataInput` and `DataOutput` on byte slices.
//! - [`model`]: what a checkpoint is.
//! - [`mod@format`]: the `_metadata` file, bytes ↔ model; no I/O.
//! - [`storage`]: where files are: small traits to read and write, the local file system, a double that injects faults.
//! - [`cluster`]: what running clusters and their high availability say is in use.
//! - [`settings`]: settings of stores from where Flink's users have them, and the stores that they lead to.
//! - [`state`]: the content of state files, bytes ↔ values; no I/O.
//! - [`rocksdb`]: the files of an embedded database; no I/O of its own.
//! - [`runtime`]: a compact stream runtime that writes checkpoints; `docs/runtime.md` is its guide.
//! - [`programs`]: jobs for the runtime that come with chkctl.
//! - [`survey`]: everything that only looks: finding snapshots, resolving references, judging.
//! - [`records`]: pins and tags, kept beside the snapshots that they are about.
//! - [`retention`]: which snapshots a policy keeps, and why; no I/O.
//! - [`plan`]: what a prune is going to do, as a value.
//! - [`prune`]: what nothing refers to and what a policy lets go, found out; makes a plan, changes nothing.
//! - [`change`]: carries plans out, and takes them back: everything that removes a file of Flink's.
//! - [`edit`]: pure edits of a `_metadata`; no I/O.
//! - [`seal`]: size and BLAKE3 of every file of a snapshot, written down and compared.
//! - [`promote`]: self-contained copies of snapshots, in a directory or an archive.
//! - [`diagnose`]: from a log to the cause of a failed restore, and what to do next.
//! - [`repair`]: mends a snapshot: plans an edit, judges it, writes the result to another place.
//! - [`render`]: values → tables and JSON.
//! - [`cli`]: the commands.

#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod change;
pub mod cli;
pub mod cluster;
pub mod diagnose;
pub mod edit;
pub mod format;
pub mod model;
pub mod plan;
pub mod programs;
pub mod promote;
pub mod prune;
pub mod records;
pub mod render;
pub mod repair;
pub mod retention;
pub mod rocksdb;
pub mod runtime;
pub mod seal;
pub mod settings;
pub mod state;
pub mod storage;
pub mod survey;
pub mod wire;

/// The programs in the guide are compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../docs/runtime.md")]
struct Guide;
