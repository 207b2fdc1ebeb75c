//! Errors that several back ends give in the same words.

use super::{StorageError, StorageErrorKind};
use crate::model::Location;

pub(super) fn nothing(place: &Location) -> StorageError {
    StorageError::new(StorageErrorKind::NotFound, place, "nothing is there")
}

pub(super) fn taken(place: &Location) -> StorageError {
    StorageError::new(StorageErrorKind::AlreadyExists, place, "something is there")
}

pub(super) fn other(place: &Location, message: &str) -> StorageError {
    StorageError::new(StorageErrorKind::Other, place, message)
}
