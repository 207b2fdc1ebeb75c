//! S3 through a proxy that spoils it: the same answers, or none; never a file that is missing by mistake, and nothing
//! removed for an answer that is half.

use super::super::proxy::{Fault, Proxy, Request};
use super::super::servers::s3::{S3, with_s3};
use super::conformance::{kind, kinds};
use chkctl::model::Location;
use chkctl::storage::objects::ObjectStorage;
use chkctl::storage::remote::Limits;
use chkctl::storage::settings::names;
use chkctl::storage::{
    Below, Details, Presence, Storage as _, StorageError, StorageErrorKind, WalkVisitor, WriteStorage as _,
};
use std::sync::Mutex;
use std::time::Duration;

/// As patient as usual, with shorter pauses.
fn limits() -> Limits {
    Limits { pause: Duration::from_millis(2), ..Limits::default() }
}

/// Gives up soon.
fn hasty() -> Limits {
    Limits {
        call: Duration::from_millis(700),
        total: Duration::from_secs(6),
        tries: 3,
        pause: Duration::from_millis(2),
        at_once: 8,
    }
}

fn through(
    s3: &S3,
    limits: Limits,
    decide: impl Fn(&Request) -> Fault + Send + Sync + 'static,
) -> (Proxy, ObjectStorage) {
    let proxy = Proxy::before(&s3.endpoint, decide);
    let store = s3.store_with(limits, &[(names::ENDPOINT, &proxy.endpoint)]);
    (proxy, store)
}

/// Some by chance, and the same ones each time.
fn of_a_hundred(request: &Request) -> usize {
    (request.number.wrapping_mul(2_654_435_761) >> 7) % 100
}

/// 2,100 files in three directories, and one of 3 MiB.
fn fill(s3: &S3, name: &str) -> Location {
    let (store, root) = (s3.store(), s3.dir(name));
    let files: Vec<(Location, Vec<u8>)> = (0..2100)
        .map(|i| (root.with_suffix(&format!("/job/dir{}/f{i:05}", i % 3)), vec![b'x'; i % 5]))
        .chain([(root.with_suffix("/job/large"), super::conformance::pattern(3 << 20))])
        .collect();
    let store = &store;
    std::thread::scope(|scope| {
        for part in files.chunks(files.len().div_ceil(16)) {
            scope.spawn(move || {
                for (file, bytes) in part {
                    store.publish(file, bytes).unwrap_or_else(|e| panic!("{e}"));
                }
            });
        }
    });
    root
}

#[derive(Default)]
struct Told {
    entries: Mutex<Vec<(String, Details)>>,
    failed: Mutex<Vec<StorageErrorKind>>,
}

impl WalkVisitor for Told {
    fn enters(&self, _: &Location, _: &str) -> bool {
        true
    }

    fn found(&self, dir: &Location, entries: Vec<Details>) {
        let entries = entries.into_iter().map(|entry| (dir.to_string(), entry));
        self.entries.lock().expect("no panic").extend(entries);
    }

    fn failed(&self, _: &Location, error: StorageError) {
        self.failed.lock().expect("no panic").push(error.kind);
    }
}

/// What reading finds out.
#[derive(Debug, PartialEq)]
struct Seen {
    entries: Vec<(String, Details)>,
    failed: Vec<StorageErrorKind>,
    names: Result<usize, StorageErrorKind>,
    presences: Vec<Presence>,
    usage: Result<u64, StorageErrorKind>,
    small: Result<Vec<u8>, StorageErrorKind>,
    range: Result<Vec<u8>, StorageErrorKind>,
}

fn see(store: &ObjectStorage, root: &Location) -> Seen {
    let told = Told::default();
    store.walk(root, &told);
    let mut entries = told.entries.into_inner().expect("no panic");
    entries.sort_by(|one, other| (&one.0, &one.1.name).cmp(&(&other.0, &other.1.name)));
    let dir = root.with_suffix("/job/dir1");
    let names: Vec<String> = (0..60).map(|i| format!("f{i:05}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Seen {
        entries,
        failed: told.failed.into_inner().expect("no panic"),
        names: kind(store.list(&dir)).map(|entries| entries.len()),
        presences: store.lookup(&dir, &names, &|_| {}),
        usage: kind(store.usage(root)).map(|usage| usage.files),
        small: kind(store.read(&root.with_suffix("/job/dir1/f00004"), 100)),
        range: kind(store.read_range(&root.with_suffix("/job/large"), 77, 2 << 20)),
    }
}

#[test]
fn what_is_read_through_faults_is_what_is_there() {
    with_s3(|s3| {
        let root = fill(s3, "faults");
        let wanted = see(&s3.store(), &root);
        assert_eq!((wanted.failed.len(), wanted.usage), (0, Ok(2101)));
        let broken = Fault::Answer(503, "<Error><Code>SlowDown</Code><Message>slow</Message></Error>");
        for (fault, percent) in [(broken, 40), (Fault::Reset, 40), (Fault::Cut, 40), (Fault::Answer(500, ""), 40)] {
            let (proxy, store) =
                through(s3, limits(), move |request| if of_a_hundred(request) < percent { fault } else { Fault::Pass });
            assert_eq!(see(&store, &root), wanted, "{fault:?}");
            assert!(proxy.requests().iter().any(|request| of_a_hundred(request) < percent), "{fault:?} never came");
        }
        // Servers that do not answer now and then.
        let hang = Fault::Hang(Duration::from_secs(20));
        let patient = Limits { call: Duration::from_secs(3), ..limits() };
        let (_proxy, store) =
            through(s3, patient, move |request| if request.number % 6 == 3 { hang } else { Fault::Pass });
        assert_eq!(see(&store, &root), wanted, "{hang:?}");
    });
}

#[test]
fn a_store_that_does_not_answer_makes_nothing_missing() {
    with_s3(|s3| {
        let root = s3.dir("silent");
        s3.store().publish(&root.with_suffix("/job/a"), b"x").expect("published");
        for fault in [Fault::Answer(503, ""), Fault::Reset, Fault::Hang(Duration::from_secs(10))] {
            let (_proxy, store) = through(s3, hasty(), move |_| fault);
            let (file, job) = (root.with_suffix("/job/a"), root.with_suffix("/job"));
            let told = Told::default();
            store.walk(&root, &told);
            let errors = [
                kind(store.stat(&file).map(drop)),
                kind(store.list(&job).map(drop)),
                kind(store.usage(&root).map(drop)),
                kind(store.read(&file, 10).map(drop)),
                kind(store.read_range(&file, 0, 1).map(drop)),
                kind(store.open(&file).map(drop)),
                kind(store.look(Below { root: &root, dir: "job" }, &["a"]).map(drop)),
                kind(store.delete(&file).map(drop)),
                kind(store.publish(&root.with_suffix("/job/b"), b"").map(drop)),
                kind(store.creates_exclusively(&job).map(drop)),
                told.failed.into_inner().expect("no panic").first().map_or(Ok(()), |kind| Err(*kind)),
            ];
            assert_eq!(errors, [Err(StorageErrorKind::Transient); 11], "{fault:?}");
            let many = ["a", "b", "c", "d"];
            for names in [&many[..1], &many[..]] {
                for answer in store.lookup(&job, names, &|_| {}) {
                    let kind = if let Presence::Unknown(error) = &answer { Some(error.kind) } else { None };
                    assert_eq!(kind, Some(StorageErrorKind::Transient), "{fault:?}: {answer:?}");
                }
            }
        }
        assert_eq!(s3.store().read(&root.with_suffix("/job/a"), 9), Ok(b"x".to_vec()));
    });
}

#[test]
fn errors_of_a_store_are_kept_apart() {
    with_s3(|s3| {
        let root = s3.dir("errors");
        s3.store().publish(&root.with_suffix("/a"), b"x").expect("published");
        let stranger = s3.store_with(hasty(), &[(names::SECRET_KEY, "not-the-secret")]);
        for place in ["/a", "/none"].map(|name| root.with_suffix(name)) {
            let denied = Err(StorageErrorKind::PermissionDenied);
            assert_eq!(kind(stranger.stat(&place).map(drop)), denied);
            assert_eq!(kind(stranger.read(&place, 9).map(drop)), denied);
            assert_eq!(kind(stranger.delete(&place).map(drop)), denied);
            let error = stranger.list(&place).expect_err("denied");
            assert!(!error.to_string().contains("not-the-secret"), "{error}");
        }
        let elsewhere = Location::new(Some("s3"), Some("no-such-bucket-here"), "/ck");
        let remote = chkctl::storage::remote::Remote::new(hasty()).expect("a runtime");
        let nowhere = ObjectStorage::open(remote, &elsewhere, &s3.settings(&[])).expect("settings");
        for error in [
            nowhere.stat(&elsewhere).expect_err("no bucket"),
            nowhere.list(&elsewhere).expect_err("no bucket"),
            nowhere.read(&elsewhere, 9).expect_err("no bucket"),
        ] {
            assert_eq!(error.kind, StorageErrorKind::Other, "a missing bucket is no missing file");
            assert!(error.message.contains("no bucket no-such-bucket-here"), "{error}");
        }
        let told = Told::default();
        nowhere.walk(&elsewhere, &told);
        assert_eq!(told.failed.into_inner().expect("no panic"), [StorageErrorKind::Other]);
        assert!(matches!(&nowhere.lookup(&elsewhere, &["a", "b", "c"], &|_| {})[..], [Presence::Unknown(_), ..]));
    });
}

#[test]
fn an_answer_that_was_lost_is_made_up_for() {
    with_s3(|s3| {
        let root = s3.dir("lost");
        let file = |name: &str| root.with_suffix(&format!("/job/{name}"));
        let plain = s3.store();
        for name in ["a", "b", "c", "moved"] {
            plain.publish(&file(name), name.as_bytes()).expect("published");
        }
        let lost_once = |method: &'static str| {
            let first = Mutex::new(true);
            move |request: &Request| {
                let mut first = first.lock().expect("no panic");
                if request.method == method && std::mem::take(&mut *first) { Fault::Lost } else { Fault::Pass }
            }
        };
        let (proxy, store) = through(s3, limits(), lost_once("PUT"));
        assert_eq!(store.publish(&file("published"), b"mine"), Ok(()));
        assert!(proxy.requests().iter().filter(|request| request.method == "PUT").count() >= 2, "it was asked again");
        assert_eq!(plain.read(&file("published"), 9), Ok(b"mine".to_vec()));
        let (_proxy, store) = through(s3, limits(), lost_once("PUT"));
        assert_eq!(kind(store.publish(&file("published"), b"other")), Err(StorageErrorKind::AlreadyExists));
        let (_proxy, store) = through(s3, limits(), lost_once("PUT"));
        assert_eq!(store.rename(&file("moved"), &file("there")), Ok(()));
        assert_eq!(plain.read(&file("there"), 9), Ok(b"moved".to_vec()));
        let (_proxy, store) = through(s3, limits(), lost_once("DELETE"));
        assert_eq!(store.delete(&file("a")), Ok(true));
        let (_proxy, store) = through(s3, limits(), lost_once("POST"));
        let deleted = store.delete_names(Below { root: &root, dir: "job" }, &["b", "c", "none"]);
        assert_eq!(kinds(deleted), [Ok(true), Ok(true), Ok(false)]);
        assert_eq!(plain.list(&root.with_suffix("/job")).expect("a listing").len(), 2);
    });
}

#[test]
fn what_a_store_says_it_removed_and_did_not_is_not_removed() {
    with_s3(|s3| {
        let root = s3.dir("said");
        let plain = s3.store();
        let names: Vec<String> = (0..20).map(|i| format!("f{i:02}")).collect();
        for name in &names {
            plain.publish(&root.with_suffix(&format!("/{name}")), b"x").expect("published");
        }
        let (_proxy, store) = through(s3, limits(), |request| match request.method.as_str() {
            "POST" => Fault::Answer(200, "<DeleteResult></DeleteResult>"),
            "DELETE" => Fault::Answer(204, ""),
            _ => Fault::Pass,
        });
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let dir = Below { root: &root, dir: "" };
        assert_eq!(kinds(store.delete_names(dir, &names)), vec![Err(StorageErrorKind::Other); 20]);
        assert_eq!(kind(store.delete(&dir.file("f00"))), Err(StorageErrorKind::Other));
        assert_eq!(plain.list(&root).expect("a listing").len(), 20);
    });
}

#[test]
fn nothing_is_removed_or_told_of_by_half_a_listing() {
    with_s3(|s3| {
        let root = fill(s3, "half");
        // The first page comes and no other.
        let decide = |request: &Request| match request.is_listing() && request.target.contains("continuation-token") {
            true => Fault::Cut,
            false => Fault::Pass,
        };
        let (_proxy, store) = through(s3, hasty(), decide);
        let told = Told::default();
        store.walk(&root, &told);
        assert_eq!(told.failed.into_inner().expect("no panic"), [StorageErrorKind::Transient]);
        assert_eq!(kind(store.usage(&root).map(drop)), Err(StorageErrorKind::Transient));
        assert_eq!(kind(store.rename_dir(&root, &s3.dir("elsewhere"))), Err(StorageErrorKind::Transient));

        // No page comes: what was to be removed is not even asked for.
        let decide = |request: &Request| if request.is_listing() { Fault::Cut } else { Fault::Pass };
        let (proxy, store) = through(s3, hasty(), decide);
        let dir = Below { root: &root, dir: "job/dir1" };
        let deleted = kinds(store.delete_names(dir, &["f00001", "f00004", "f00007", "none"]));
        assert_eq!(deleted, [Err(StorageErrorKind::Transient); 4]);
        let renamed =
            kinds(store.rename_names(dir, Below { root: &root, dir: "job/dir0" }, &["f00001", "f00004", "f00007"]));
        assert_eq!(renamed, [Err(StorageErrorKind::Transient); 3]);
        assert!(store.delete(&dir.file("f00001")).is_err() && store.delete_empty_dir(&dir.location()).is_err());
        assert!(proxy.requests().iter().all(|request| request.method == "GET"), "{:?}", proxy.requests());
        assert_eq!(s3.store().usage(&root).map(|usage| usage.files), Ok(2101));
    });
}
