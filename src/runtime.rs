//! A compact stream runtime: one process whose threads compute on streams, and whose checkpoints are Flink's.
//!
//! A program builds a job in an [`Environment`] and executes it. Operators that need not exchange records share a
//! *task*; each subtask of a task is a thread. Barriers flow with the records and make each task take its part of a
//! checkpoint, which the [`coordinator`] completes; after a failure all tasks start again from the last one, as the
//! [`restart`] strategy says. What is written is a checkpoint of Flink's heap state backend in Flink's layout, so that
//! Flink restores it, and the other way round.

mod attempt;
mod backend;
mod barrier;
mod batch;
mod checkpoint;
mod control;
pub mod coordinator;
pub mod duration;
mod environment;
mod event;
mod exchange;
mod graph;
mod job;
mod key_selector;
mod keyed_stream;
mod operators;
mod plan;
mod record;
pub mod restart;
mod restore;
mod sinks;
mod snapshot;
mod sources;
mod stream;
mod task;

pub use environment::Environment;
pub use job::{JobHandle, JobOutcome, JobStatus};
pub use key_selector::{ComputedKey, KeyInRecord, KeySelector};
pub use keyed_stream::{KeyedStream, WindowedStream};
pub use operators::{
    Collector, KeyedContext, KeyedProcessFunction, ListState, MapState, ReducingState, StateRegistry, TimeDomain,
    ValueState, Window, WindowAssigner,
};
pub use record::Data;
pub use sinks::{FileSink, Text};
pub use sources::{
    CollectionSource, Emitter, FileSource, Poll, SPLITS, SequenceSource, SocketSource, Source, SourceContext, Split,
};
pub use stream::DataStream;
