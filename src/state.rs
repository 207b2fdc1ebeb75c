//! The content of Flink's state files, bytes ↔ values; no I/O.
//!
//! A checkpoint's `_metadata` says which files hold which state; this module is what is inside of those files. The
//! runtime writes its checkpoints with it so that Flink restores them, and restores Flink's with it.
//!
//! - [`types`]: Rust types that have a serializer of Flink's, written and read as that serializer does.
//! - [`serializer`]: the description of a serializer that every state file carries.
//! - [`meta`]: the description of one named state.
//! - [`keyed`]: the head of a keyed stream; [`heap`] and [`canonical`] are the two bodies it may have.
//! - [`operator`]: state of an operator that is not keyed.
//! - [`key_group`]: which key belongs where.
//! - [`check`]: all of these read from files of any size, for what is provably wrong in them.
//!
//! What is read may come from anywhere: nothing here panics on bad bytes or reserves by a count it has not checked.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

pub mod canonical;
pub mod check;
pub mod heap;
pub mod key_group;
pub mod keyed;
pub mod meta;
pub mod operator;
mod ranges;
pub mod serializer;
mod snappy;
pub mod timer;
pub mod types;

pub use keyed::{KeyedBody, KeyedHeader};
pub use meta::{BackendStateType, KeyedStateType, StateMeta};
pub use ranges::ranges;
pub use serializer::SerializerSnapshot;
pub use timer::Timer;
pub use types::{Bytes, KeyType, StateType, Str, TimeWindow, UserKey, UserType};
