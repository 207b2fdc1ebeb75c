//! Local files, and the store in memory.

use super::conformance::{Nature, conforms};
use chkctl::model::Location;
use chkctl::storage::faulty::FaultyStorage;
use chkctl::storage::{LocalOnly, LocalStorage, MemoryStorage, Stores, WriteStorage};

#[test]
fn local_files_do_what_a_store_has_to() {
    for storage in [&LocalStorage as &dyn WriteStorage, &Stores::new(LocalOnly)] {
        let dir = tempfile::tempdir().expect("a directory");
        let place = Location::parse(&dir.path().to_string_lossy()).expect("a path");
        conforms(storage, &place, Nature::Directories);
    }
}

#[test]
fn the_store_in_memory_does_what_a_store_has_to() {
    for place in ["/ck", "s3://bucket/ck"] {
        let place = Location::parse(place).expect("a path");
        let (plain, inner) = (MemoryStorage::new(), MemoryStorage::new());
        for storage in [&plain as &dyn WriteStorage, &FaultyStorage::new(inner)] {
            storage.create_dirs(&place).expect("created");
            conforms(storage, &place, Nature::Directories);
        }
    }
}
