//! Carries plans out, and takes them back: everything that removes a file of Flink's.
//!
//! A run puts files aside in a trash directory below the root, with a journal; `undelete` brings them back, `purge` deletes
//! them for good. The order of the phases ([`crate::plan::Phase`]) makes a run safe to interrupt at any point.

use crate::model::Location;
use crate::storage::StorageError;

pub use crate::storage::OWN_DIRECTORY;

/// Looks again, while a plan is carried out: a writer may have added snapshots since it was made.
pub trait Recheck {
    /// Takes notice of every `_metadata` that appeared or was changed, and of pins, since the plan or the last call. An
    /// error ends the run: what cannot be read may refer to anything.
    fn look_again(&mut self) -> Result<(), StorageError>;

    /// Why a file or directory of the plan must stay after all, by what [`Recheck::look_again`] saw last.
    fn objection(&self, place: &Location) -> Option<String>;
}

/// stub
pub struct RunStub;
impl RunStub {
    /// s
    pub fn is_finished(&self) -> bool {
        true
    }
    /// s
    pub fn trees(&self) -> Vec<Location> {
        Vec::new()
    }
    /// s
    pub fn plans(&self) -> Vec<crate::plan::Plan> {
        Vec::new()
    }
}
/// s
pub fn runs(_: &dyn crate::storage::Storage, _: &[Location]) -> Result<Vec<RunStub>, StorageError> {
    Ok(Vec::new())
}
/// s
pub fn unfinished(_: &dyn crate::storage::Storage, _: &[Location]) -> Result<Vec<RunStub>, StorageError> {
    Ok(Vec::new())
}
