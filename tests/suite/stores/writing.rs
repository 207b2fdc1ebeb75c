//! Writing: new files, files that appear at once, files that are replaced, and copies.

use super::conformance::{Asked, Check, Nature, kind, pattern};
use chkctl::model::Location;
use chkctl::storage::{EntryKind, FileWriter, Part, StorageErrorKind};
use std::sync::Barrier;
use std::thread;

pub const CHECKS: &[Check] = &[
    ("a new file is created and none in the place of another", creates),
    ("a file that is not finished is not there", unfinished),
    ("a file is published as a whole", publishes),
    ("one of many publishers wins", races),
    ("a file is replaced as a whole", replaces),
    ("files and parts of them are copied", copies),
    ("directories are made like others", makes_directories),
];

fn creates(asked: &Asked<'_>) {
    let file = asked.dir("job").with_suffix("/a");
    let mut writer = asked.store.create(&file).expect("a new file");
    for part in [&b"one "[..], b"", b"two"] {
        writer.write(part).expect("written");
    }
    assert_eq!(writer.finish(), Ok(7));
    assert_eq!(asked.content(&file), b"one two");
    assert_eq!(kind(asked.write(&file, b"other")), Err(StorageErrorKind::AlreadyExists));
    assert_eq!(asked.content(&file), b"one two", "a file that is there is not touched");
    assert_eq!(asked.store.create(&asked.place("job/empty")).and_then(FileWriter::finish), Ok(0));
    assert_eq!(asked.content(&asked.place("job/empty")), b"");
    assert!(asked.write(&asked.place("job"), b"x").is_err(), "nor is a directory");
    if asked.nature == Nature::Directories {
        assert_eq!(kind(asked.write(&asked.place("none/a"), b"x")), Err(StorageErrorKind::NotFound));
    }

    // Two at the same time: the name is that of one of them, whole.
    let both = asked.place("job/both");
    let write = |content: &'static [u8]| {
        let mut writer = asked.store.create(&both)?;
        writer.write(content)?;
        Ok(writer)
    };
    let first = write(b"first").expect("a new file");
    let second = write(b"second").and_then(FileWriter::finish);
    match (first.finish(), second) {
        (Ok(5), Err(error)) => {
            assert_eq!(error.kind, StorageErrorKind::AlreadyExists);
            assert_eq!(asked.content(&both), b"first");
        }
        (Err(error), Ok(6)) => {
            assert_eq!(error.kind, StorageErrorKind::AlreadyExists);
            assert_eq!(asked.content(&both), b"second");
        }
        others => panic!("{others:?}"),
    }
}

fn unfinished(asked: &Asked<'_>) {
    let dir = asked.dir("job");
    let mut dropped = asked.store.create(&asked.place("job/b")).expect("a new file");
    dropped.write(&pattern(9 << 20)).expect("written");
    drop(dropped);
    assert_eq!(asked.names(&dir), [""; 0]);
}

fn publishes(asked: &Asked<'_>) {
    let metadata = asked.dir("chk-1").with_suffix("/_metadata");
    assert_eq!(asked.store.publish(&metadata, b"whole"), Ok(()));
    assert_eq!(asked.content(&metadata), b"whole");
    assert_eq!(kind(asked.store.publish(&metadata, b"other")), Err(StorageErrorKind::AlreadyExists));
    assert_eq!(asked.content(&metadata), b"whole");
    assert!(asked.store.publish(&asked.place("chk-1"), b"x").is_err(), "nothing appears in the place of a directory");
    assert_eq!(asked.names(&asked.place("chk-1")), ["_metadata"], "nothing is left in progress");
    if asked.nature == Nature::Directories {
        assert_eq!(kind(asked.store.publish(&asked.place("none/_metadata"), b"x")), Err(StorageErrorKind::NotFound));
        assert_eq!(kind(asked.store.sync_dir(&asked.place("none"))), Err(StorageErrorKind::NotFound));
    }
    assert_eq!(asked.store.sync_dir(&asked.place("chk-1")), Ok(()));
}

fn races(asked: &Asked<'_>) {
    const RACERS: usize = 8;
    if !asked.store.creates_exclusively(&asked.at).expect("an answer") {
        eprintln!("not asked: this store does not keep racers apart");
        return;
    }
    for round in 0..5 {
        let file = asked.place(&format!("lock-{round}"));
        let start = Barrier::new(RACERS);
        let race = |racer: usize| {
            start.wait();
            kind(asked.store.publish(&file, format!("racer {racer}").as_bytes()))
        };
        let ends: Vec<_> = thread::scope(|scope| {
            let racers: Vec<_> = (0..RACERS).map(|racer| scope.spawn(move || race(racer))).collect();
            racers.into_iter().map(|racer| racer.join().expect("no panic")).collect()
        });
        let won: Vec<usize> = (0..RACERS).filter(|racer| ends[*racer].is_ok()).collect();
        assert_eq!(won.len(), 1, "{ends:?}");
        assert!(ends.iter().all(|end| matches!(end, Ok(()) | Err(StorageErrorKind::AlreadyExists))), "{ends:?}");
        assert_eq!(asked.content(&file), format!("racer {}", won[0]).as_bytes());
    }
    assert_eq!(asked.names(&asked.at).len(), 5);
}

fn replaces(asked: &Asked<'_>) {
    let pins = asked.dir("job").with_suffix("/pins");
    for content in [&b"one"[..], b"", b"another"] {
        assert_eq!(asked.store.replace(&pins, content), Ok(()));
        assert_eq!(asked.content(&pins), content);
    }
    assert_eq!(asked.names(&asked.place("job")), ["pins"], "nothing is left in progress");
    assert!(asked.store.replace(&asked.place("job"), b"x").is_err(), "a directory is not replaced");
    assert_eq!(asked.store.stat(&asked.place("job")).map(|stat| stat.kind), Ok(EntryKind::Directory));
    if asked.nature == Nature::Directories {
        assert_eq!(kind(asked.store.replace(&asked.place("none/pins"), b"x")), Err(StorageErrorKind::NotFound));
    }
}

fn copies(asked: &Asked<'_>) {
    let content = pattern((2 << 20) + 77);
    let from = asked.put("from", &content);
    let copy = |offset: usize, length: usize, to: &Location| {
        let mut heard = Vec::new();
        let part = Part { offset: offset as u64, length: length as u64 };
        let copied = asked.store.copy(&from, part, to, &mut |bytes| heard.extend_from_slice(bytes));
        kind(copied).map(|()| heard)
    };
    for (name, offset, length) in [("all", 0, content.len()), ("part", 5, (1 << 20) + 3), ("none", 9, 0)] {
        let wanted = &content[offset..offset + length];
        let to = asked.place(name);
        assert!(copy(offset, length, &to).as_deref() == Ok(wanted), "{name} is heard");
        assert!(asked.content(&to) == wanted, "{name}");
        assert_eq!(copy(offset, length, &to), Err(StorageErrorKind::AlreadyExists), "{name}");
    }
    assert_eq!(asked.store.sync_files(&asked.at, &["all", "part"]), Ok(()));
    let short = asked.place("short");
    assert_eq!(copy(content.len() - 3, 4, &short), Err(StorageErrorKind::Other), "it ends before the part does");
    assert!(asked.is_missing(&short), "no half copy");
    let missing = asked.store.copy(&asked.place("gone"), Part { offset: 0, length: 1 }, &short, &mut |_| {});
    assert_eq!(kind(missing), Err(StorageErrorKind::NotFound));
    assert!(asked.is_missing(&short));
}

fn makes_directories(asked: &Asked<'_>) {
    asked.dir("job/shared");
    for to in ["trash/1/job/shared", "trash/1/job/shared", "job/shared"] {
        assert_eq!(asked.store.create_dirs_like(asked.below(to), asked.below("job/shared")), Ok(()));
        assert_eq!(asked.store.stat(&asked.place(to)).map(|stat| stat.kind), Ok(EntryKind::Directory));
    }
    assert!(asked.store.create_dirs_like(asked.below("trash/3"), asked.below("job/shared")).is_err());
    asked.put("trash/file", b"x");
    let made = asked.store.create_dirs_like(asked.below("trash/file/job"), asked.below("job"));
    assert_eq!(kind(made), Err(StorageErrorKind::AlreadyExists));
}
