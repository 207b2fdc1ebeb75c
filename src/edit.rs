//! Pure edits of a `_metadata`: model → model, no I/O.
//!
//! Whoever makes an edit decides what to change and looks at storage where that must be; here the model is changed and
//! it is said what was. An edit that is refused has changed nothing.

pub mod operators;
pub mod states;
pub mod streams;
pub mod versions;

use crate::model::{OperatorId, Version};

/// Why an edit was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// No operator has this id, uid or name.
    #[error("no operator of the snapshot has the id, uid or name {0:?}")]
    UnknownOperator(String),
    /// Several operators have this id, uid or name.
    #[error("{text:?} is the id, uid or name of several operators: {}", list(ids))]
    AmbiguousOperator {
        /// What was asked for.
        text: String,
        /// The operators.
        ids: Vec<OperatorId>,
    },
    /// A uid that is recorded of an operator whose id does not come from it.
    #[error(
        "the operator with uid {uid:?} has the id {id}, which is not that uid's: its job sets the id with setUidHash; \
         name it by its id"
    )]
    ForeignId {
        /// The uid.
        uid: String,
        /// The id.
        id: OperatorId,
    },
    /// Two operators would have one id.
    #[error("uid {uid:?} has the id {id}, which another operator of the snapshot would have too")]
    Clash {
        /// The uid that was to be given.
        uid: String,
        /// Its id.
        id: OperatorId,
    },
    /// One operator was to get two uids.
    #[error("operator {0} cannot get two uids")]
    RenamedTwice(OperatorId),
    /// A uid without characters, which the format takes for none.
    #[error("a uid must not be empty")]
    EmptyUid,
    /// The operator has no operator state of this name.
    #[error("operator {id} has no operator state {state:?}{}", others(names))]
    UnknownState {
        /// The operator.
        id: OperatorId,
        /// The state that was asked for.
        state: String,
        /// The operator states that it has.
        names: Vec<String>,
    },
    /// The state is keyed, as far as can be seen.
    #[error(
        "operator {id} has no operator state {state:?}, and a keyed state cannot be dropped alone: the values of all \
         keyed states of an operator stand in the same files (drop the operator, or let the job clear the state)"
    )]
    KeyedState {
        /// The operator.
        id: OperatorId,
        /// The state that was asked for.
        state: String,
    },
    /// A checkpoint id that no checkpoint has.
    #[error("a checkpoint id must not be negative")]
    NegativeCheckpoint,
    /// State that is of a later checkpoint than the new id says.
    #[error("the snapshot holds state of checkpoint {of}, which is later than checkpoint {id}")]
    LaterState {
        /// The new id.
        id: i64,
        /// The checkpoint of the state.
        of: i64,
    },
    /// Not a newer version of the format.
    #[error("the _metadata has version {}, and {} is not newer", from.number(), to.number())]
    NotNewer {
        /// The version it has.
        from: Version,
        /// The version that was asked for.
        to: Version,
    },
}

fn list(ids: &[OperatorId]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn others(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!(" (it has {})", names.join(", ")) }
}
