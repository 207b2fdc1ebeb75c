//! Renaming: one file, many names, and whole directories; never over something.

use super::conformance::{Asked, Check, Nature, kind, kinds};
use chkctl::storage::StorageErrorKind::{AlreadyExists, NotFound, Other};

pub const CHECKS: &[Check] = &[
    ("a file is renamed and never over another", one),
    ("names are renamed together", many),
    ("a directory is renamed as a whole", dirs),
];

fn one(asked: &Asked<'_>) {
    let (from, there) = (asked.put("job/a", b"content"), asked.put("job/there", b"there"));
    asked.dir("other");
    let moved = asked.place("other/moved");
    assert_eq!(kind(asked.store.rename(&from, &there)), Err(AlreadyExists));
    assert_eq!((asked.content(&from), asked.content(&there)), (b"content".to_vec(), b"there".to_vec()));
    assert!(asked.store.rename(&from, &asked.place("other")).is_err(), "a directory is there");
    assert_eq!(asked.store.rename(&from, &moved), Ok(()));
    assert_eq!(asked.content(&moved), b"content");
    assert!(asked.is_missing(&from));
    assert_eq!(kind(asked.store.rename(&from, &asked.place("other/x"))), Err(NotFound));
    assert!(asked.is_missing(&asked.place("other/x")));
    assert_eq!(asked.names(&asked.place("job")), ["there"]);
}

fn many(asked: &Asked<'_>) {
    let (from, to, none) = (asked.below("job/shared"), asked.below("trash/shared"), asked.below("none/shared"));
    for name in ["a", "b", "c", "ü"] {
        asked.put(&format!("job/shared/{name}"), name.as_bytes());
    }
    asked.dir("job/shared/sub");
    asked.put("trash/shared/b", b"taken");

    let names = ["a", "none", "b", "ü"];
    if asked.nature == Nature::Directories {
        assert_eq!(kinds(asked.store.rename_names(from, none, &names)), [Err(NotFound); 4]);
        assert_eq!(asked.names(&from.location()), ["a", "b", "c", "sub", "ü"]);
    }
    let renamed = kinds(asked.store.rename_names(from, to, &names));
    assert_eq!(renamed, [Ok(true), Ok(false), Err(AlreadyExists), Ok(true)]);
    assert_eq!(kinds(asked.store.rename_names(none, to, &["a", "z"])), [Ok(false), Ok(false)]);
    assert_eq!(asked.names(&from.location()), ["b", "c", "sub"]);
    assert_eq!(asked.names(&to.location()), ["a", "b", "ü"]);
    assert_eq!(asked.content(&to.file("b")), b"taken");
    assert_eq!(asked.content(&to.file("ü")), "ü".as_bytes());
    assert_eq!(kinds(asked.store.rename_names(from, to, &[])), []);
}

fn dirs(asked: &Asked<'_>) {
    asked.put("a/x", b"1");
    asked.put("a/deep/_metadata", b"2");
    asked.put("full/y", b"3");
    let file = asked.put("file", b"4");
    asked.dir("b");
    asked.dir("empty");
    let place = |path: &str| asked.place(path);
    assert!(asked.store.rename_dir(&place("a"), &place("full")).is_err(), "something is there");
    assert!(asked.store.rename_dir(&place("a"), &file).is_err(), "a file is there");
    assert_eq!(asked.names(&place("a")), ["deep", "x"], "and nothing was moved");
    assert_eq!(asked.names(&place("full")), ["y"]);
    assert_eq!(asked.store.rename_dir(&place("a"), &place("empty")), Ok(()));
    assert_eq!(asked.store.rename_dir(&place("b"), &place("new")), Ok(()));
    assert_eq!(asked.content(&place("empty/x")), b"1");
    assert_eq!(asked.content(&place("empty/deep/_metadata")), b"2");
    assert_eq!(asked.names(&asked.at), ["empty", "file", "full", "new"]);
    assert_eq!(asked.names(&place("new")), [""; 0]);
    assert!(matches!(kind(asked.store.rename_dir(&place("none"), &place("other"))), Err(NotFound | Other)));
    assert!(asked.is_missing(&place("other")));
}
