//! Removing: one file, many names, and empty directories.

use super::conformance::{Asked, Check, kinds};
use chkctl::storage::StorageErrorKind::Other;
use chkctl::storage::{EntryKind, StorageError};

pub const CHECKS: &[Check] = &[
    ("a file is deleted and a directory is not", one),
    ("names are deleted together", many),
    ("more names than a batch holds are deleted", batches),
    ("an empty directory is removed and no other", empty_dirs),
];

fn one(asked: &Asked<'_>) {
    let (file, dir) = (asked.put("job/a", b"x"), asked.dir("job/void"));
    asked.put("job/full/b", b"y");
    assert_eq!(asked.store.delete(&file), Ok(true));
    assert!(asked.is_missing(&file));
    assert_eq!(asked.store.delete(&file), Ok(false));
    assert_eq!(asked.store.delete(&asked.place("none/a")), Ok(false));
    for dir in [&dir, &asked.place("job"), &asked.place("job/full")] {
        assert!(asked.store.delete(dir).is_err(), "{dir} is not a file");
        assert_eq!(asked.store.stat(dir).map(|stat| stat.kind), Ok(EntryKind::Directory));
    }
    assert_eq!(asked.content(&asked.place("job/full/b")), b"y");
}

fn many(asked: &Asked<'_>) {
    for name in ["a", "ab", "b", "c"] {
        asked.put(&format!("job/{name}"), name.as_bytes());
    }
    asked.put("job/sub/x", b"x");
    let (job, none) = (asked.below("job"), asked.below("none"));
    let deleted = kinds(asked.store.delete_names(job, &["a", "sub", "none", "b"]));
    assert_eq!(deleted, [Ok(true), Err(Other), Ok(false), Ok(true)]);
    assert_eq!(asked.names(&job.location()), ["ab", "c", "sub"]);
    assert_eq!(asked.content(&asked.place("job/sub/x")), b"x");
    assert_eq!(kinds(asked.store.delete_names(none, &["a"])), [Ok(false)]);
    assert_eq!(kinds(asked.store.delete_names(job, &[])), []);
    assert_eq!(kinds(asked.store.delete_names(job, &["c"])), [Ok(true)]);
}

fn batches(asked: &Asked<'_>) {
    const COUNT: usize = 1100;
    let dir = asked.dir("shared");
    let names: Vec<String> = (0..COUNT).map(|i| format!("{i:05}")).collect();
    let files: Vec<_> = names.iter().map(|name| dir.with_suffix(&format!("/{name}"))).collect();
    asked.put_many(&files, &|_| b"x".to_vec());
    asked.put("shared/stays", b"x");
    let mut going: Vec<&str> = names.iter().map(String::as_str).collect();
    going.push("none");
    let answers: Vec<Result<bool, StorageError>> = asked.store.delete_names(asked.below("shared"), &going);
    let (there, rest) = answers.split_at(COUNT);
    assert!(there.iter().all(|answer| *answer == Ok(true)), "{:?}", there.iter().find(|answer| **answer != Ok(true)));
    assert_eq!(rest, [Ok(false)]);
    assert_eq!(asked.names(&dir), ["stays"]);
}

fn empty_dirs(asked: &Asked<'_>) {
    let file = asked.put("job/full/a", b"x");
    let void = asked.dir("job/deep/void");
    asked.dir("job/deep/other");
    let store = asked.store;
    assert!(store.delete_empty_dir(&asked.place("job/full")).is_err(), "it is not empty");
    assert!(store.delete_empty_dir(&asked.place("job/deep")).is_err(), "it is not empty");
    assert!(store.delete_empty_dir(&file).is_err(), "a file is not a directory");
    assert_eq!((store.delete_empty_dir(&void), store.delete_empty_dir(&void)), (Ok(true), Ok(false)));
    assert_eq!(asked.names(&asked.place("job/deep")), ["other"]);
    let below = |dir| store.delete_empty_below(asked.below(dir)).map_err(|error| error.kind);
    assert_eq!(below("job/full"), Err(Other), "it is not empty");
    assert_eq!(below("job/full/a"), Err(Other), "a file is not a directory");
    assert_eq!(below("none/none"), Ok(false));
    assert_eq!((below("job/deep/other"), below("job/deep/other")), (Ok(true), Ok(false)));
    assert_eq!(asked.content(&file), b"x");
}
