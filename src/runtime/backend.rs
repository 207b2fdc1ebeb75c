//! State in memory: keyed state with its timers, and the list state of operators.

mod codec;
mod keyed;
mod operator_state;
mod restore;
mod table;
mod timers;
mod unclaimed;

pub(crate) use super::snapshot::StateWriter;
pub(crate) use keyed::{KeyedBackend, TableId, TimersId};
pub(crate) use operator_state::OperatorStateBackend;
pub(crate) use table::Lookup;
pub(crate) use timers::Timer;
