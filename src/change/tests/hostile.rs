//! Things in chkctl's own directory that chkctl did not put there.
#![cfg(unix)]

use super::*;
use crate::storage::LocalStorage;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// A root with a snapshot, and a directory elsewhere that nothing may reach.
struct Place {
    _dir: tempfile::TempDir,
    root: PathBuf,
    elsewhere: PathBuf,
}

fn made() -> Place {
    let dir = tempfile::tempdir().expect("a directory");
    let place = Place { root: dir.path().join("ck"), elsewhere: dir.path().join("elsewhere"), _dir: dir };
    for (_, dir, name) in GOING.iter().filter(|(phase, ..)| *phase != Phase::Directory) {
        fs::create_dir_all(place.root.join(job(dir))).expect("created");
        fs::write(place.root.join(job(dir)).join(name), name).expect("a file");
    }
    fs::create_dir(&place.elsewhere).expect("created");
    fs::write(place.elsewhere.join("precious"), b"precious").expect("a file");
    place
}

fn location(path: &Path) -> Location {
    at(&path.to_string_lossy())
}

fn run(place: &Place, how: &How) -> Result<Outcome, ChangeError> {
    let plan = plan_of(&LocalStorage, &[location(&place.root)], GOING);
    carry_out(&LocalStorage, Timestamp::now(), &plan, how, &mut Objects::default())
}

fn untouched(place: &Place) {
    assert_eq!(fs::read(place.elsewhere.join("precious")).expect("readable"), b"precious");
    assert_eq!(fs::read_dir(&place.elsewhere).expect("a listing").count(), 1, "nothing came there");
}

#[test]
fn an_own_directory_or_trash_that_is_a_link_or_a_file_is_refused() {
    for name in [".chkctl", ".chkctl/trash"] {
        for link in [true, false] {
            let place = made();
            fs::create_dir(place.root.join(".chkctl")).expect("created");
            let there = place.root.join(name);
            let _ = fs::remove_dir(&there);
            if link {
                symlink(&place.elsewhere, &there).expect("a link");
            } else {
                fs::write(&there, b"x").expect("a file");
            }
            for how in [aside(), instant()] {
                let refused = run(&place, &how);
                assert!(matches!(refused, Err(ChangeError::Refused { .. })), "{name}: {refused:?}");
            }
            let root = location(&place.root);
            let what = Purge::OlderThan(SignedDuration::ZERO);
            assert!(delete_for_good(&LocalStorage, Timestamp::now(), &[root], &what).is_err(), "{name}");
            assert!(place.root.join(job("JOB/chk-1/_metadata")).exists());
            untouched(&place);
        }
    }
}

#[test]
fn a_lock_that_is_a_link_is_refused() {
    let place = made();
    fs::create_dir(place.root.join(".chkctl")).expect("created");
    symlink(place.elsewhere.join("precious"), place.root.join(".chkctl/lock")).expect("a link");
    assert!(matches!(run(&place, &aside()), Err(ChangeError::Refused { .. })));
    untouched(&place);
}

#[test]
fn links_in_a_trash_are_deleted_and_not_followed_and_never_brought_back() {
    let place = made();
    let run = run(&place, &aside()).expect("done").run.expect("a run");
    let tree = place.root.join(format!(".chkctl/trash/{run}/tree.1"));
    symlink(&place.elsewhere, tree.join("dir")).expect("a link");
    symlink(place.elsewhere.join("precious"), tree.join(job("JOB/chk-1")).join("file")).expect("a link");
    fs::create_dir_all(tree.join(".chkctl")).expect("created");
    fs::write(tree.join(".chkctl/lock"), b"x").expect("a file");
    let root = location(&place.root);
    let restored =
        bring_back(&LocalStorage, Timestamp::now(), std::slice::from_ref(&root), &run).expect("as far as it goes");
    assert_eq!(restored.failed.len(), 3, "{:?}", restored.failed);
    assert!(!place.root.join("dir").exists());
    let what = Purge::Run(run);
    let purged = delete_for_good(&LocalStorage, Timestamp::now(), &[root], &what).expect("done");
    assert_eq!((purged.failed, purged.runs.len()), (vec![], 1));
    untouched(&place);
}

#[test]
fn a_tree_that_became_a_link_is_not_entered() {
    let place = made();
    let run = run(&place, &aside()).expect("done").run.expect("a run");
    let tree = place.root.join(format!(".chkctl/trash/{run}/tree.1"));
    fs::rename(&tree, place.root.join("moved")).expect("moved");
    symlink(&place.elsewhere, &tree).expect("a link");
    let root = [location(&place.root)];
    let restored = bring_back(&LocalStorage, Timestamp::now(), &root, &run).expect("nothing to bring back");
    assert_eq!(restored.files, 0);
    delete_for_good(&LocalStorage, Timestamp::now(), &root, &Purge::Run(run)).expect("nothing to delete");
    untouched(&place);
}

#[test]
fn a_directory_of_the_plan_that_became_a_link_is_not_entered() {
    let place = made();
    let plan = plan_of(&LocalStorage, &[location(&place.root)], GOING);
    let shared = place.root.join(job("JOB/shared"));
    fs::remove_dir_all(&shared).expect("removed");
    symlink(&place.elsewhere, &shared).expect("a link");
    fs::write(place.elsewhere.join("s1"), b"s1").expect("a file");
    for how in [aside(), instant()] {
        let outcome =
            carry_out(&LocalStorage, Timestamp::now(), &plan, &how, &mut Objects::default()).expect("the rest is done");
        assert_eq!(outcome.failed.iter().filter(|left| left.place.path().contains("shared")).count(), 2);
        assert!(place.elsewhere.join("s1").exists());
    }
}
