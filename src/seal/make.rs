//! Makes seals of snapshots in place.

use super::{ENDING, Manifest, SEALS, Sum, Summing};
use crate::format::{self, FormatError};
use crate::model::Location;
use crate::storage::{Below, EntryKind, OWN_DIRECTORY, Storage, StorageError, StorageErrorKind, WriteStorage};
use crate::survey::catalog::METADATA;
use crate::survey::references;
use crate::survey::resolve::Resolver;
use crate::survey::verify::METADATA_LIMIT;
use crate::survey::{Judge, Progress, SnapshotDir};
use std::collections::BTreeSet;

/// So many bytes are read at a time.
const BLOCK: usize = 1 << 20;

/// Why a snapshot was not sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The `_metadata` cannot be read.
    #[error("the _metadata cannot be read: {0}")]
    Format(#[from] FormatError),
    /// A root, or a hidden directory.
    #[error("{0} cannot be sealed: its directory has no name of its own")]
    Name(Location),
}

/// A seal that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Where it is.
    pub place: Location,
    /// Files that it covers, the `_metadata` among them.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
}

/// The directory of the seals of a snapshot in this directory and its neighbours. `None` for a root.
pub fn directory_of(snapshot: &Location) -> Option<Location> {
    Some(snapshot.parent()?.with_suffix(&format!("/{OWN_DIRECTORY}/{SEALS}")))
}

/// The place of the seal of a snapshot in this directory, beside it. `None` for a root and a hidden directory.
pub fn place_of(snapshot: &Location) -> Option<Location> {
    let name = Some(snapshot.name()).filter(|name| !name.is_empty() && !name.starts_with('.'))?;
    Some(directory_of(snapshot)?.with_suffix(&format!("/{name}{ENDING}")))
}

/// A file that a snapshot refers to: its name in a seal, and where it is read here.
pub(super) struct Covered {
    pub(super) name: String,
    pub(super) place: Location,
}

/// The `_metadata` of a snapshot and every file that it refers to.
pub(super) fn covered(judge: &Judge<'_>, snapshot: &SnapshotDir, bytes: &[u8]) -> Result<Vec<Covered>, FormatError> {
    let metadata = format::decode(bytes)?;
    let exclusive = judge.exclusive(&snapshot.dir);
    let mut resolver = Resolver::new(exclusive.clone());
    let mut places = BTreeSet::new();
    references::walk(&metadata, |reference| {
        // A path that Flink refuses names no file.
        if let Ok(file) = resolver.resolve(&reference.place) {
            places.insert(resolver.location(&file).canonical());
        }
    });
    let exclusive = exclusive.canonical();
    let mut all = vec![Covered { name: METADATA.to_owned(), place: snapshot.metadata_file.clone() }];
    all.extend(places.into_iter().map(|place| {
        let inside = place.strip_prefix(&exclusive).map(|rest| rest.trim_start_matches('/').to_owned());
        // A name with a slash might be taken for a place.
        let name = inside.filter(|rest| !rest.is_empty() && !rest.contains(['/', ':']));
        Covered { name: name.unwrap_or_else(|| place.to_string()), place: judge.maps.here(&place) }
    }));
    Ok(all)
}

/// Reads a file to its end.
pub fn sum_of(storage: &(impl Storage + ?Sized), file: &Location, heard: &dyn Fn(&[u8])) -> Result<Sum, StorageError> {
    let open = storage.open(file)?;
    let size = open.size();
    let mut block = vec![0; usize::try_from(size).unwrap_or(BLOCK).clamp(1, BLOCK)];
    let mut summing = Summing::default();
    while summing.size < size {
        let count = open
            .read_at(summing.size, &mut block)
            .map_err(|error| StorageError::new(StorageErrorKind::Other, file, error.to_string()))?;
        let (bytes, _) = block.split_at(count);
        if bytes.is_empty() {
            break;
        }
        summing.update(bytes);
        heard(bytes);
    }
    Ok(summing.finish())
}

/// Seals a snapshot where it is: the seal is written beside it, in place of one that was there. A file that cannot be read
/// is an error, and nothing is written then.
pub fn seal(
    storage: &dyn WriteStorage,
    judge: &Judge<'_>,
    snapshot: &SnapshotDir,
    progress: &dyn Progress,
) -> Result<Sealed, SealError> {
    let place = place_of(&snapshot.dir).ok_or_else(|| SealError::Name(snapshot.dir.clone()))?;
    let bytes = storage.read(&snapshot.metadata_file, METADATA_LIMIT)?;
    let files = covered(judge, snapshot, &bytes)?;
    progress.expect(files.iter().filter_map(|file| storage.stat(&file.place).ok()).map(|stat| stat.size).sum());
    let mut manifest = Manifest::default();
    let mut sealed = Sealed { place: place.clone(), files: 0, bytes: 0 };
    for Covered { name, place } in files {
        let sum = sum_of(storage, &place, &|bytes| progress.advance(bytes.len() as u64))?;
        sealed.files += 1;
        sealed.bytes += sum.size;
        manifest.insert(name, sum);
    }
    let parent = snapshot.dir.parent().ok_or_else(|| SealError::Name(snapshot.dir.clone()))?;
    make_directory(storage, &parent)?;
    storage.replace(&place, &manifest.to_bytes())?;
    Ok(sealed)
}

/// Makes the directory of seals. No link is followed on the way: what it leads to is not chkctl's.
fn make_directory(storage: &dyn WriteStorage, parent: &Location) -> Result<(), StorageError> {
    let mut inside = String::new();
    for name in [OWN_DIRECTORY, SEALS] {
        let below = Below { root: parent, dir: &inside };
        let there = storage.look(below, &[name])?.pop().flatten();
        if there.is_some_and(|there| there.kind != EntryKind::Directory) {
            let message = "not a directory: chkctl keeps its seals here, and follows no links";
            return Err(StorageError::new(StorageErrorKind::Other, &below.file(name), message));
        }
        inside = if inside.is_empty() { name.to_owned() } else { format!("{inside}/{name}") };
    }
    storage.create_dirs(&Below { root: parent, dir: &inside }.location())
}
