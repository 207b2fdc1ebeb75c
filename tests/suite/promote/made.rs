//! Snapshots of real Flink in a store in memory, and what a promote makes of them there.

use super::super::support::{Case, FLINK_ROOT, metadata_files};
use chkctl::format;
use chkctl::model::Location;
use chkctl::promote::{Copied, Options, PromoteError, Staging, plan};
use chkctl::storage::{MemoryStorage, WriteStorage};
use chkctl::survey::inventory::Inventory;
use chkctl::survey::resolve::PathMaps;
use chkctl::survey::verify::METADATA_LIMIT;
use chkctl::survey::{Catalog, Judge, Silent, SnapshotReport};
use std::fs;

pub fn at(text: &str) -> Location {
    Location::parse(text).expect("a path")
}

/// A judge of one snapshot, without maps.
pub fn judge(storage: &dyn WriteStorage) -> Judge<'_> {
    Judge {
        inventory: Inventory::for_one(storage),
        maps: PathMaps::default(),
        progress: &Silent,
        neighbours: Vec::new(),
        keep_files: false,
    }
}

/// A case where Flink wrote it, in memory.
pub fn in_memory(case: &Case) -> MemoryStorage {
    let storage = MemoryStorage::new();
    for entry in walkdir::WalkDir::new(case.tree()) {
        let entry = entry.expect("an entry");
        if entry.file_type().is_file() {
            let inside = entry.path().strip_prefix(&case.root).expect("below the root").to_string_lossy().into_owned();
            let bytes = fs::read(entry.path()).expect("a file");
            storage.put(&at(&format!("{FLINK_ROOT}/{inside}")), &bytes).expect("put");
        }
    }
    storage
}

/// The directories of a case's snapshots where Flink wrote them.
pub fn snapshots(case: &Case) -> Vec<Location> {
    let files = metadata_files(&case.tree());
    let place = |file: &std::path::PathBuf| {
        let dir = file.parent().expect("a directory").strip_prefix(&case.root).expect("below the root");
        at(&format!("{FLINK_ROOT}/{}", dir.display()))
    };
    files.iter().map(place).collect()
}

/// Promotes a snapshot as the command does.
pub fn promote(
    storage: &dyn WriteStorage,
    snapshot: &Location,
    dest: &Location,
    options: &Options,
) -> Result<(Copied, SnapshotReport), PromoteError> {
    let judge = judge(storage);
    let found = Catalog::scan(storage, std::slice::from_ref(snapshot))?.snapshots.remove(0);
    let bytes = storage.read(&found.metadata_file, METADATA_LIMIT)?;
    let mut metadata = format::decode(&bytes)?;
    let seen = judge.exclusive(dest);
    let plan = plan(&judge, &mut metadata, &found, &seen, options)?;
    let staging = Staging::open(storage, dest)?;
    let copied = staging.copy(&plan, false, &Silent)?;
    let report = staging.publish(&plan.metadata, copied.manifest.clone(), &seen, options.force)?;
    Ok((copied, report))
}
