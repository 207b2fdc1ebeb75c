//! The directory below a root that is chkctl's own. Nothing in it is believed to be what it was: whoever may write to the
//! root may have put a link in its place.

use super::ChangeError;
use crate::model::Location;
use crate::storage::{Below, Details, EntryKind, StorageError, WriteStorage};

pub use crate::storage::OWN_DIRECTORY;

/// The directory with the trash of each run, from the root on.
pub(super) const TRASH: &str = ".chkctl/trash";

/// What is at a name of a directory below a root.
pub(super) fn look_at(
    storage: &dyn WriteStorage,
    root: &Location,
    dir: &str,
    name: &str,
) -> Result<Option<Details>, StorageError> {
    Ok(storage.look(Below { root, dir }, &[name])?.pop().flatten())
}

/// Whether a directory of chkctl's own is there. It and those above it, up to the root, are directories, or it is refused.
pub(super) fn is_there(storage: &dyn WriteStorage, root: &Location, dir: &str) -> Result<bool, ChangeError> {
    let mut above = String::new();
    for name in dir.split('/') {
        match look_at(storage, root, &above, name)? {
            None => return Ok(false),
            Some(details) if details.kind == EntryKind::Directory => {}
            Some(_) => {
                let place = Below { root, dir: &above }.file(name);
                return Err(ChangeError::Refused {
                    place,
                    why: "a directory of chkctl's own has to be here".to_owned(),
                });
            }
        }
        if !above.is_empty() {
            above.push('/');
        }
        above.push_str(name);
    }
    Ok(true)
}

/// Creates a directory of chkctl's own, where it is not there.
pub(super) fn ensure(storage: &dyn WriteStorage, root: &Location, dir: &str) -> Result<(), ChangeError> {
    if is_there(storage, root, dir)? {
        return Ok(());
    }
    let place = Below { root, dir }.location();
    storage.create_dirs(&place)?;
    match is_there(storage, root, dir)? {
        true => Ok(()),
        false => Err(ChangeError::Refused { place, why: "it was removed as soon as it was created".to_owned() }),
    }
}

/// Reads a file of chkctl's own; `None` where there is none. What is not a file is refused.
pub(super) fn read(
    storage: &dyn WriteStorage,
    root: &Location,
    dir: &str,
    name: &str,
    limit: u64,
) -> Result<Option<Vec<u8>>, ChangeError> {
    match look_at(storage, root, dir, name)? {
        None => Ok(None),
        Some(details) if details.kind == EntryKind::File => {
            match storage.read(&Below { root, dir }.file(name), limit) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(error) if error.is_not_found() => Ok(None),
                Err(error) => Err(error.into()),
            }
        }
        Some(_) => {
            let place = Below { root, dir }.file(name);
            Err(ChangeError::Refused { place, why: "a file of chkctl's own has to be here".to_owned() })
        }
    }
}

/// The path below a root of a name in a directory.
pub(super) fn below(dir: &str, name: &str) -> String {
    match (dir.is_empty(), name.is_empty()) {
        (true, _) => name.to_owned(),
        (_, true) => dir.to_owned(),
        _ => format!("{dir}/{name}"),
    }
}
