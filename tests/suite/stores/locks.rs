//! Locks on a real S3 server, whether it keeps conditions or not.

use super::super::servers::s3::with_s3;
use chkctl::change::Locks;
use chkctl::storage::{Storage as _, WriteStorage as _};
use jiff::Timestamp;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

#[test]
fn a_root_on_s3_is_locked_by_one_at_a_time() {
    with_s3(|s3| {
        let (store, root) = (s3.store(), s3.dir("locked"));
        store.publish(&root.with_suffix("/a"), b"x").expect("published");
        let exclusive = store.creates_exclusively(&root).expect("an answer");
        eprintln!("files are created by one alone: {exclusive}");
        assert_eq!(store.list(&root).expect("a listing").len(), 1, "nothing is left of finding that out");
        let (inside, taken) = (AtomicU32::new(0), AtomicU32::new(0));
        let contend = || {
            let store = s3.store();
            for _ in 0..10 {
                if let Ok(locks) = Locks::take(&store, std::slice::from_ref(&root), "one", &Timestamp::now) {
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two have the lock");
                    thread::sleep(Duration::from_millis(5));
                    inside.fetch_sub(1, Ordering::SeqCst);
                    taken.fetch_add(1, Ordering::SeqCst);
                    drop(locks);
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(contend);
            }
        });
        assert!(taken.into_inner() > 0, "nobody ever had it");
        assert_eq!(store.list(&root.with_suffix("/.chkctl")).map_or(0, |entries| entries.len()), 0, "nothing is left");
    });
}
