//! Who has a lock, until when, and who takes it next.

use super::*;
use crate::storage::faulty::{Effect, Fault, FaultyStorage, Operation};
use crate::storage::{MemoryStorage, Storage as _};
use std::cell::Cell;

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

fn at(text: &str) -> Location {
    Location::parse(text).expect("a path")
}

fn store() -> (MemoryStorage, Location) {
    let storage = MemoryStorage::new();
    for root in ["/ck", "/y", "/z"] {
        storage.create_dirs(&at(root)).expect("created");
    }
    (storage, at("/ck"))
}

fn lock_file(storage: &MemoryStorage) -> Option<Vec<u8>> {
    storage.read(&at("/ck/.chkctl/lock"), 1000).ok()
}

#[test]
fn one_at_a_time_has_a_lock_and_the_next_hears_who_and_until_when() {
    let (storage, root) = store();
    let clock = || storage.now();
    let first = Locks::take(&storage, &[root.clone(), root.clone()], "ann@host 7", &clock).expect("locked");
    let refused = Locks::take(&storage, std::slice::from_ref(&root), "bob", &clock).map(drop).expect_err("locked");
    let until = Some(storage.now() + LOCK_VALID);
    assert_eq!(refused, ChangeError::Locked { root: root.clone(), owner: "ann@host 7".to_owned(), until });
    assert_eq!(refused.to_string(), "/ck is locked by ann@host 7 until 2026-01-01T00:30:00Z");
    drop(first);
    assert_eq!(lock_file(&storage), None);
    Locks::take(&storage, &[root], "bob", &clock).expect("free");
}

#[test]
fn all_roots_are_locked_or_none() {
    let (storage, root) = store();
    let clock = || storage.now();
    let _other = Locks::take(&storage, &[at("/z")], "ann", &clock).expect("locked");
    assert!(Locks::take(&storage, &[at("/z"), root.clone()], "bob", &clock).is_err());
    assert_eq!(lock_file(&storage), None, "it was released");
    let both = Locks::take(&storage, &[root, at("/y")], "bob", &clock).expect("free");
    assert!(both.hold(&at("file:/y")) && !both.hold(&at("/z")));
}

#[test]
fn a_root_that_is_not_there_is_not_created() {
    let (storage, _) = store();
    let clock = || storage.now();
    assert!(Locks::take(&storage, &[at("/none")], "ann", &clock).is_err());
    assert!(storage.stat(&at("/none")).is_err());
}

#[test]
fn a_void_lock_is_taken_over_and_its_holder_stops() {
    let (storage, root) = store();
    let clock = || storage.now();
    let mut old = Locks::take(&storage, std::slice::from_ref(&root), "ann", &clock).expect("locked");
    storage.advance(LOCK_VALID);
    assert!(Locks::take(&storage, std::slice::from_ref(&root), "bob", &clock).is_err(), "valid to the last");
    storage.advance(SignedDuration::from_secs(1));
    let mut new = Locks::take(&storage, std::slice::from_ref(&root), "bob", &clock).expect("taken over");
    assert_eq!(old.check(&root), Err(ChangeError::LockLost(root.clone())));
    drop(old);
    assert_eq!(new.check(&root), Ok(()), "the old one does not release it");
    let names: Vec<String> =
        storage.list(&at("/ck/.chkctl")).expect("a listing").into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["lock"]);
}

#[test]
fn a_lock_is_renewed_while_it_is_used() {
    let (storage, root) = store();
    let clock = || storage.now();
    let mut locks = Locks::take(&storage, std::slice::from_ref(&root), "ann", &clock).expect("locked");
    for _ in 0..10 {
        storage.advance(MINUTE * 11);
        assert_eq!(locks.check(&root), Ok(()));
    }
    assert!(Locks::take(&storage, std::slice::from_ref(&root), "bob", &clock).is_err());
    // After a long pause, when nobody took it.
    storage.advance(MINUTE * 45);
    assert_eq!(locks.check(&root), Ok(()));
    assert!(Locks::take(&storage, &[root], "bob", &clock).is_err());
}

#[test]
fn a_lock_that_was_removed_is_lost() {
    let (storage, root) = store();
    let clock = || storage.now();
    let mut locks = Locks::take(&storage, std::slice::from_ref(&root), "ann", &clock).expect("locked");
    storage.delete(&at("/ck/.chkctl/lock")).expect("deleted");
    assert_eq!(locks.check(&root), Err(ChangeError::LockLost(root)));
}

#[test]
fn a_lock_that_cannot_be_understood_holds_for_a_day() {
    for content in [&b""[..], b"{", b"null", &[b'x'; 100_000]] {
        let (storage, root) = store();
        let clock = || storage.now();
        storage.put(&at("/ck/.chkctl/lock"), content).expect("a file");
        storage.advance(VOID_AFTER);
        let refused = Locks::take(&storage, std::slice::from_ref(&root), "bob", &clock).map(drop);
        assert!(matches!(refused, Err(ChangeError::Locked { .. })), "{refused:?}");
        storage.advance(MINUTE);
        Locks::take(&storage, &[root], "bob", &clock).expect("taken over");
    }
}

#[test]
fn a_holder_whose_clock_is_behind_keeps_its_lock() {
    let (storage, root) = store();
    let (behind, clock) = (|| storage.now() - MINUTE * 60, || storage.now());
    let locks = Locks::take(&storage, std::slice::from_ref(&root), "ann", &behind).expect("locked");
    assert_eq!(locks.skew(), MINUTE * 60, "it can see that");
    assert!(Locks::take(&storage, &[root], "bob", &clock).is_err());
}

#[test]
fn a_lost_answer_does_not_lock_its_owner_out() {
    let (storage, root) = store();
    let clock = || storage.now();
    let effect = Effect::FailAfter(StorageErrorKind::Transient);
    let faulty = FaultyStorage::new(storage.clone()).with(Fault::on(&[Operation::Publish]).with_effect(effect));
    let locks = Locks::take(&faulty, &[root], "ann", &clock).expect("it is ours");
    drop(locks);
    assert_eq!(lock_file(&storage), None);
}

#[test]
fn of_two_that_take_over_a_void_lock_one_gets_it() {
    let (storage, root) = store();
    let clock = || storage.now();
    let old = Locks::take(&storage, std::slice::from_ref(&root), "ann", &clock).expect("locked");
    storage.advance(MINUTE * 31);
    // Both have seen the void lock; one was quicker.
    let seen = read(&storage, &root).expect("readable").expect("a lock");
    let new = Locks::take(&storage, std::slice::from_ref(&root), "bob", &clock).expect("taken over");
    let now = lock_file(&storage);
    assert_eq!(move_away(&storage, &root, &seen), Ok(false), "it is another one");
    assert_eq!(lock_file(&storage), now, "which was put back");
    drop((old, new));
}

#[test]
fn threads_that_race_for_a_void_lock_never_have_it_together() {
    for _ in 0..50 {
        let (storage, root) = store();
        storage.put(&at("/ck/.chkctl/lock"), b"{}").expect("a file");
        storage.advance(VOID_AFTER + MINUTE);
        let winners: usize = std::thread::scope(|scope| {
            let race = |i: usize| {
                let (storage, root) = (&storage, &root);
                scope.spawn(move || {
                    let now = storage.now();
                    let clock = move || now;
                    let taken = Locks::take(storage, std::slice::from_ref(root), &format!("{i}"), &clock);
                    // It is not released before all others were refused.
                    taken.is_ok_and(|mut locks| {
                        let has = locks.check(root).is_ok();
                        std::mem::forget(locks);
                        has
                    })
                })
            };
            let threads: Vec<_> = (0..4).map(race).collect();
            threads.into_iter().map(|thread| usize::from(thread.join().expect("no panic"))).sum()
        });
        assert!(winners <= 1, "{winners} have it");
    }
}

#[test]
fn taking_a_lock_can_be_cut_short_at_any_write() {
    let (storage, root) = store();
    for n in 1..=4 {
        let other = storage.crash_clone(crate::storage::CrashKeep::All);
        let now = Cell::new(other.now());
        let clock = || now.get();
        let crash = Fault::on(Operation::WRITES).nth(n).with_effect(Effect::Crash);
        drop(Locks::take(&FaultyStorage::new(other.clone()).with(crash), std::slice::from_ref(&root), "ann", &clock));
        now.set(now.get() + MINUTE * 31);
        Locks::take(&other, std::slice::from_ref(&root), "bob", &clock).expect("taken over");
    }
}

#[test]
fn an_owner_is_named_by_user_host_and_process() {
    let owner = owner();
    let (who, pid) = owner.rsplit_once(' ').expect("two words");
    assert!(who.contains('@'), "{owner}");
    assert_eq!(pid, std::process::id().to_string());
}

/// A store that publishes over what is there, and so has no locks of its own.
fn careless() -> (MemoryStorage, Location) {
    let (storage, root) = store();
    storage.become_careless();
    (storage, root)
}

fn names_of_own(storage: &MemoryStorage) -> Vec<String> {
    storage.list(&at("/ck/.chkctl")).expect("a listing").into_iter().map(|entry| entry.name).collect()
}

#[test]
fn a_store_that_publishes_over_what_is_there_is_locked_by_one_all_the_same() {
    let (storage, root) = careless();
    let clock = || storage.now();
    let roots = std::slice::from_ref(&root);
    let mut first = Locks::take(&storage, roots, "ann", &clock).expect("locked");
    let refused = Locks::take(&storage, roots, "bob", &clock).map(drop).expect_err("locked");
    assert!(matches!(refused, ChangeError::Locked { owner, .. } if owner == "ann"));
    // It is renewed, and not taken for void.
    storage.advance(MINUTE * 20);
    first.check(&root).expect("still ours");
    storage.advance(MINUTE * 20);
    assert!(Locks::take(&storage, roots, "bob", &clock).is_err());
    drop(first);
    assert_eq!(names_of_own(&storage), [""; 0], "nothing is left of it");
    Locks::take(&storage, roots, "bob", &clock).expect("free");
}

#[test]
fn a_claim_that_is_void_is_removed_and_who_made_it_stops() {
    let (storage, root) = careless();
    let clock = || storage.now();
    let roots = std::slice::from_ref(&root);
    let mut asleep = Locks::take(&storage, roots, "ann", &clock).expect("locked");
    storage.advance(SignedDuration::from_hours(25));
    let awake = Locks::take(&storage, roots, "bob", &clock).expect("void by now");
    assert_eq!(asleep.check(&root), Err(ChangeError::LockLost(root.clone())));
    drop(asleep);
    assert_eq!(names_of_own(&storage).len(), 2, "the lock and the claim of who has it now");
    drop(awake);
    assert_eq!(names_of_own(&storage), [""; 0]);
}

#[test]
fn of_many_that_claim_at_once_no_two_go_on() {
    use std::sync::atomic::{AtomicU32, Ordering};
    let (storage, root) = careless();
    let clock = || storage.now();
    let (inside, taken) = (AtomicU32::new(0), AtomicU32::new(0));
    let contend = || {
        for _ in 0..200 {
            if let Ok(locks) = Locks::take(&storage, std::slice::from_ref(&root), "one", &clock) {
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two have the lock");
                std::thread::yield_now();
                inside.fetch_sub(1, Ordering::SeqCst);
                taken.fetch_add(1, Ordering::SeqCst);
                drop(locks);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(contend);
        }
    });
    assert!(taken.into_inner() > 0, "nobody ever had it");
}
