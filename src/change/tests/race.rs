//! Writers that go on while a plan is carried out.

use super::*;
use crate::storage::faulty::{Fault, FaultyStorage, Operation, Which};

fn outcome_with(storage: &MemoryStorage, how: &How, objects: &mut Objects) -> Outcome {
    carry_out(storage, storage.now(), &plan(storage), how, objects).expect("done")
}

#[test]
fn a_shared_file_that_a_new_snapshot_refers_to_stays() {
    for how in [aside(), instant()] {
        // Seen before the plan is carried out, and just before shared files go.
        for look in [1, 2, 3] {
            let storage = filled();
            let mut objects = Objects { to: vec![(look, "shared/s1")], ..Objects::default() };
            let outcome = outcome_with(&storage, &how, &mut objects);
            assert_eq!((outcome.skipped.len(), outcome.files), (1, 6), "look {look}");
            assert!(storage.stat(&at(&format!("{ROOT}/{JOB}/shared/s1"))).is_ok());
        }
    }
}

fn names(left: &[Left]) -> Vec<&str> {
    left.iter().map(|left| left.place.name()).collect()
}

#[test]
fn what_is_referred_to_only_after_it_went_comes_back_at_once() {
    let storage = filled();
    let to = vec![(5, "shared/s1"), (5, "chk-1/e1")];
    let outcome = outcome_with(&storage, &aside(), &mut Objects { to, ..Objects::default() });
    assert_eq!(names(&outcome.brought_back), ["e1", "s1"]);
    assert_eq!((outcome.files, outcome.failed), (5, vec![]));
    for file in ["shared/s1", "chk-1/e1"] {
        assert!(storage.stat(&at(&format!("{ROOT}/{JOB}/{file}"))).is_ok(), "{file}");
    }
    // The rest of it is still to be had.
    bring_back(&storage, storage.now(), &[root()], &outcome.run.expect("a run")).expect("brought back");
    assert_eq!(outside(&storage), outside(&filled()));
}

#[test]
fn a_snapshot_that_comes_back_brings_all_that_it_may_need_with_it() {
    let storage = filled();
    let to = vec![(5, "chk-1/_metadata")];
    let outcome = outcome_with(&storage, &aside(), &mut Objects { to, ..Objects::default() });
    assert_eq!(names(&outcome.brought_back), ["e1", "e2", "s1", "s2", "_metadata"], "the snapshot last");
    assert_eq!((outcome.files, outcome.failed), (2, vec![]), "the other one went");
    no_snapshot_is_half_there(&storage.tree(), ROOT);
}

#[test]
fn a_snapshot_does_not_come_back_without_its_files() {
    let storage = filled();
    let to = vec![(5, "chk-1/_metadata")];
    let back = Fault::on(&[Operation::Rename]).at("shared/s1").calls(Which::From(2));
    let faulty = FaultyStorage::new(storage.clone()).with(back);
    let mut objects = Objects { to, ..Objects::default() };
    let plan = plan(&storage);
    let outcome = carry_out(&faulty, storage.now(), &plan, &aside(), &mut objects).expect("done");
    assert_eq!(names(&outcome.failed), ["s1", "_metadata"]);
    no_snapshot_is_half_there(&storage.tree(), ROOT);
}

#[test]
fn what_an_unfinished_run_put_aside_comes_back_when_it_is_carried_on_with() {
    let storage = filled();
    let plan = plan(&storage);
    let mut blind = Objects { fails_at: Some(4), ..Objects::default() };
    assert!(carry_out(&storage, storage.now(), &plan, &aside(), &mut blind).is_err());
    let mut objects = Objects { to: vec![(1, "shared/s1")], ..Objects::default() };
    let outcome = carry_out(&storage, storage.now(), &plan, &aside(), &mut objects).expect("done");
    assert_eq!(outcome.brought_back.len(), 1);
    assert!(storage.stat(&at(&format!("{ROOT}/{JOB}/shared/s1"))).is_ok());
}

#[test]
fn what_was_deleted_at_once_and_is_referred_to_then_is_told() {
    let storage = filled();
    let to = vec![(5, "shared/s1")];
    let outcome = outcome_with(&storage, &instant(), &mut Objects { to, ..Objects::default() });
    assert_eq!(outcome.failed.len(), 1);
    assert!(outcome.failed[0].why.starts_with("deleted, and then: "), "{:?}", outcome.failed);
}

/// Writes to a file at the moment of its removal.
struct Late<'a>(&'a MemoryStorage, std::cell::Cell<u32>);

impl Recheck for Late<'_> {
    fn look_again(&mut self) -> Result<(), StorageError> {
        Ok(())
    }

    fn objection(&self, place: &Location) -> Option<String> {
        // Asked for e1 first: the plan's own look comes after it, so the write is seen there.
        if place.name() == "e1" && self.1.replace(1) == 0 {
            self.0.replace(place, b"a new file of this name").expect("written");
        }
        None
    }
}

#[test]
fn a_file_that_is_written_anew_just_before_it_goes_stays() {
    for how in [aside(), instant()] {
        let storage = filled();
        let plan = plan(&storage);
        let mut late = Late(&storage, std::cell::Cell::new(0));
        let outcome = carry_out(&storage, storage.now(), &plan, &how, &mut late).expect("done");
        assert_eq!(outcome.skipped.len(), 2, "the file and its directory: {:?}", outcome.skipped);
        let content = storage.read(&at(&format!("{ROOT}/{JOB}/chk-1/e1")), 100).expect("readable");
        assert_eq!(content, b"a new file of this name");
    }
}
