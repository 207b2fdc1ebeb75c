//! Whether a place lies in a directory, whatever links lead there.

use super::{Storage, StorageError};
use crate::model::Location;

/// Whether a place that may not be there yet is, or would be, in another, links on the way to both resolved.
pub fn lies_in(storage: &dyn Storage, place: &Location, dir: &Location) -> Result<bool, StorageError> {
    let dir = storage.real_place(dir)?;
    let mut above = place.clone();
    loop {
        match storage.real_place(&above) {
            Ok(real) => {
                let rest = place.strip_prefix(&above).unwrap_or_default();
                return Ok(real.with_suffix(&rest).strip_prefix(&dir).is_some());
            }
            Err(error) if error.is_not_found() => match above.parent() {
                Some(parent) => above = parent,
                None => return Err(error),
            },
            Err(error) => return Err(error),
        }
    }
}
