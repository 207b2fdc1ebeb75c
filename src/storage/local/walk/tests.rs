//! A walk tells of everything once, and of nothing outside.

use super::*;
use crate::storage::{LocalStorage, Storage as _, StorageErrorKind};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;

#[derive(Default)]
struct Told {
    found: Mutex<Vec<(String, Vec<Details>)>>,
    failed: Mutex<Vec<StorageError>>,
}

impl WalkVisitor for Told {
    fn enters(&self, _: &Location, name: &str) -> bool {
        name != "closed"
    }

    fn found(&self, dir: &Location, entries: Vec<Details>) {
        self.found.lock().expect("no panic").push((dir.path().to_owned(), entries));
    }

    fn failed(&self, _: &Location, error: StorageError) {
        self.failed.lock().expect("no panic").push(error);
    }
}

/// What was told, and the errors.
fn walked(root: &Path) -> (BTreeMap<String, Details>, Vec<StorageError>) {
    let told = Told::default();
    walk(&Location::parse(&root.to_string_lossy()).expect("a path"), &told);
    let mut all = BTreeMap::new();
    for (dir, entries) in told.found.into_inner().expect("no panic") {
        for entry in entries {
            let name = entry.name.clone();
            assert!(all.insert(format!("{dir}/{name}"), entry).is_none(), "{dir}/{name} is told of twice");
        }
    }
    (all, told.failed.into_inner().expect("no panic"))
}

#[test]
fn it_tells_what_another_walk_finds() {
    let dir = tempfile::tempdir().expect("a directory");
    for (at, files) in [("a", 3), ("a/b", 0), ("a/b/c", 5_000), ("d", 1_024), ("e/f/g/h", 700), ("i", 2_048)] {
        let at = dir.path().join(at);
        fs::create_dir_all(&at).expect("a directory");
        (0..files).for_each(|i| fs::write(at.join(format!("f{i}")), vec![0; i % 5]).expect("a file"));
    }
    let mut expected = BTreeMap::new();
    for entry in walkdir::WalkDir::new(dir.path()).min_depth(1) {
        let entry = entry.expect("an entry");
        let metadata = entry.metadata().expect("metadata");
        let size = if metadata.is_file() { metadata.len() } else { 0 };
        let modified = Timestamp::try_from(metadata.modified().expect("a time")).expect("a time");
        let kind = if metadata.is_file() { EntryKind::File } else { EntryKind::Directory };
        let name = entry.file_name().to_string_lossy().into_owned();
        let details = Details { name, exact: true, kind, size, modified: Some(modified) };
        expected.insert(entry.path().to_string_lossy().into_owned(), details);
    }
    let (told, failed) = walked(dir.path());
    assert_eq!(failed, []);
    assert_eq!(told.len(), expected.len());
    assert!(told == expected);
}

#[test]
fn links_are_told_of_and_not_followed() {
    let dir = tempfile::tempdir().expect("a directory");
    let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
    for dir in [&root, &outside] {
        fs::create_dir(dir).expect("a directory");
        fs::write(dir.join("file"), b"123").expect("a file");
    }
    symlink(&outside, root.join("to-dir")).expect("a link");
    symlink(outside.join("file"), root.join("to-file")).expect("a link");
    symlink(&root, root.join("round")).expect("a link");
    let (told, failed) = walked(&root);
    let kinds: Vec<_> = told.values().map(|entry| (entry.name.as_str(), entry.kind, entry.size)).collect();
    let link = |name| (name, EntryKind::Link, 0);
    assert_eq!(kinds, [("file", EntryKind::File, 3), link("round"), link("to-dir"), link("to-file")]);
    assert_eq!(failed, []);
    symlink(&root, dir.path().join("alias")).expect("a link");
    assert_eq!(walked(&dir.path().join("alias")).0.len(), 4, "links on the way to the root are followed");
}

#[test]
fn names_that_no_place_can_hold_are_told_of_as_such() {
    let dir = tempfile::tempdir().expect("a directory");
    for name in [&b"line\nbreak"[..], b"back\\slash", b"latin-\xe9", "ü".as_bytes()] {
        fs::create_dir(dir.path().join(OsStr::from_bytes(name))).expect("a directory");
        fs::write(dir.path().join(OsStr::from_bytes(name)).join("inner"), b"x").expect("a file");
    }
    let (told, failed) = walked(dir.path());
    assert_eq!(failed, []);
    let told: Vec<_> = told.values().map(|entry| (entry.name.as_str(), entry.exact)).collect();
    assert_eq!(
        told,
        [
            ("back\\slash", false),
            ("latin-\u{fffd}", false),
            ("line\nbreak", true),
            ("inner", true),
            ("ü", true),
            ("inner", true)
        ]
    );
}

#[test]
fn a_directory_that_is_too_deep_for_a_path_is_walked_and_one_that_is_not_entered_is_not() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::create_dir_all(dir.path().join("closed/inner")).expect("a directory");
    let name = "d".repeat(200);
    let mut inner = open_root(&Location::parse(&dir.path().to_string_lossy()).expect("a path")).expect("opened");
    for _ in 0..30 {
        rustix::fs::mkdirat(&inner, name.as_str(), Mode::from_raw_mode(0o777)).expect("a directory");
        inner = openat(&inner, name.as_str(), DIRECTORY, Mode::empty()).expect("opened");
    }
    let (told, failed) = walked(dir.path());
    assert_eq!((told.len(), failed), (31, vec![]));
}

#[test]
fn a_directory_that_may_not_be_read_is_a_failure_and_nothing_else_is() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().expect("a directory");
    let secret = dir.path().join("secret");
    fs::create_dir(&secret).expect("a directory");
    fs::write(dir.path().join("file"), b"x").expect("a file");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).expect("set");
    if fs::read_dir(&secret).is_ok() {
        // The super-user may read everything.
        return;
    }
    let (told, failed) = walked(dir.path());
    assert_eq!(told.len(), 2);
    assert_eq!(failed.iter().map(|e| e.kind).collect::<Vec<_>>(), [StorageErrorKind::PermissionDenied]);
}

#[test]
fn a_root_has_to_be_a_directory_that_is_there() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("file"), b"x").expect("a file");
    for root in ["none", "file"] {
        let (told, failed) = walked(&dir.path().join(root));
        assert_eq!((told.len(), failed.len()), (0, 1), "{root}");
    }
    let told = Told::default();
    LocalStorage.walk(&Location::parse("s3://bucket/ck").expect("a path"), &told);
    let failed = told.failed.into_inner().expect("no panic");
    assert_eq!(failed.iter().map(|e| e.kind).collect::<Vec<_>>(), [StorageErrorKind::Unsupported]);
}

#[test]
fn a_visitor_that_panics_ends_the_walk() {
    struct Panics;
    impl WalkVisitor for Panics {
        fn enters(&self, _: &Location, _: &str) -> bool {
            true
        }
        fn found(&self, dir: &Location, _: Vec<Details>) {
            assert!(dir.name() != "d7", "a defect of a visitor");
        }
        fn failed(&self, _: &Location, _: StorageError) {}
    }
    let dir = tempfile::tempdir().expect("a directory");
    (0..50).for_each(|i| fs::create_dir_all(dir.path().join(format!("d{i}/e"))).expect("a directory"));
    let root = Location::parse(&dir.path().to_string_lossy()).expect("a path");
    let walked = std::panic::catch_unwind(|| walk(&root, &Panics));
    assert!(walked.is_err());
}
