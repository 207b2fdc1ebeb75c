//! A compact stream runtime: threads of one process that compute, and write checkpoints as Flink does.

pub mod coordinator;
pub mod duration;
pub mod restart;
