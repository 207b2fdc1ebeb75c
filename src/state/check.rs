//! Deep checks of state files: each is read to its last byte with a buffer that does not depend on its size, and
//! everything that can be proven wrong is a [`Damage`].
//!
//! What Flink makes of a damage follows from the order in which its restore reads: where it cannot go on it
//! [fails](Effect::Fails); bytes that it passes over, or takes for something else, leave it [starting](Effect::Starts).
//! Values whose layout only Java knows are named in [`Checked::opaque`], and the check goes on where the next thing is
//! that can be found without them: the next key group, entry or element.
//!
//! `progress` of all functions hears how many more bytes were read.

mod canonical;
mod change;
mod changelog;
mod channel;
mod described;
mod findings;
mod frames;
mod head;
mod heap;
mod keyed;
mod layout;
mod operator;
mod raw_timers;
mod steps;

pub use changelog::{changelog_segment, changes};
pub use channel::{ChannelPart, channel_state};
pub use head::{DatabaseSummary, database_meta};
pub use keyed::{KeyedSummary, keyed_stream};
pub use operator::{OperatorSummary, operator_stream};
pub use raw_timers::raw_timers;

#[cfg(doc)]
use crate::model::{Checked, Damage, Effect};
