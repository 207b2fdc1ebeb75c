//! Jobs for the runtime that come with chkctl, and the look of their log: shared by the `wordcount` binary and
//! `chkctl demo`.

pub mod flink_log;
pub mod wordcount;
