//! From a log or a stack trace to the cause of a failed restore and what to do next.
//!
//! Data flows one way: [`clean`] makes plain lines of whatever was pasted, [`trace`] makes exceptions of lines,
//! [`events`] notes what the log says of checkpoints, [`facts`] takes names, paths and numbers out of both, [`table`]
//! is the list of known failures, [`findings`] puts a log's failures in order, [`mod@look`] compares with what is on
//! disk, [`blame`] says who removed a file and how sure that is, and [`advice`] ends with a command.

pub mod advice;
pub mod blame;
pub mod clean;
pub mod events;
pub mod facts;
pub mod findings;
pub mod look;
pub mod table;
pub mod trace;

pub use findings::{Diagnosis, Findings, read};
pub use look::{Look, look};
