//! Looking: stat, lists, walks, and many names at once.

use super::conformance::{Asked, Check, Nature, kind};
use chkctl::model::Location;
use chkctl::storage::{Details, EntryKind, Presence, StorageError, StorageErrorKind, Usage, WalkVisitor};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

pub const CHECKS: &[Check] = &[
    ("files and directories have kinds sizes and times", stats),
    ("an empty directory is there and a missing one is not", empty_and_missing),
    ("more entries than a page holds", pages),
    ("a name that begins with that of a directory is no part of it", prefixes),
    ("a walk tells of everything once", walks),
    ("a walk leaves out what it is told to", walks_in_part),
    ("many names are looked up at once", lookups),
    ("names are looked at again as they were seen", looks),
    ("files below are counted", usage),
];

/// A page of a listing holds at most so many on most stores.
const PAGE: usize = 1000;

fn stats(asked: &Asked<'_>) {
    let (file, empty) = (asked.put("job/a", b"12345"), asked.put("job/empty", b""));
    let stat = asked.store.stat(&file).expect("a file");
    assert_eq!((stat.kind, stat.size, stat.modified.is_some()), (EntryKind::File, 5, true));
    let stat = asked.store.stat(&empty).expect("a file");
    assert_eq!((stat.kind, stat.size), (EntryKind::File, 0));
    for dir in [&asked.at, &asked.place("job")] {
        assert_eq!(asked.store.stat(dir).map(|stat| stat.kind), Ok(EntryKind::Directory));
    }
    for missing in ["none", "job/none", "none/none", "jo", "job/aa"] {
        assert!(asked.is_missing(&asked.place(missing)), "{missing}");
    }
    assert!(asked.store.stat(&asked.place("job/a/below")).is_err(), "nothing is below a file");
    let real = asked.store.real_place(&file).expect("it is there");
    assert_eq!(asked.content(&real), b"12345");
    assert_eq!(kind(asked.store.real_place(&asked.place("none"))), Err(StorageErrorKind::NotFound));
}

fn empty_and_missing(asked: &Asked<'_>) {
    let dir = asked.dir("deep/empty");
    asked.dir("deep/empty");
    assert_eq!(asked.names(&dir), [""; 0]);
    assert_eq!(asked.names(&asked.place("deep")), ["empty"]);
    for missing in ["none", "deep/none", "dee", "deep/empt"] {
        let listed = asked.store.list(&asked.place(missing));
        assert_eq!(kind(listed), Err(StorageErrorKind::NotFound), "{missing}");
    }
    let file = asked.put("file", b"x");
    assert!(asked.store.list(&file).is_err(), "a file is no directory");
    assert!(asked.store.create_dirs(&file).is_err(), "where a file is, no directory is made");
    assert!(asked.store.create_dirs(&file.with_suffix("/deep/er")).is_err());
    assert_eq!(asked.content(&file), b"x");
}

fn pages(asked: &Asked<'_>) {
    let dir = asked.dir("job/shared");
    let files: Vec<Location> = (0..PAGE + 50).map(|i| dir.with_suffix(&format!("/{i:05}"))).collect();
    asked.put_many(&files, &|index| vec![b'x'; index % 3]);
    asked.put("job/shared/sub/deep", b"1");

    let entries = asked.store.list(&dir).expect("a listing");
    assert_eq!(entries.len(), files.len() + 1);
    let dirs: Vec<_> = entries.iter().filter(|entry| entry.kind == EntryKind::Directory).collect();
    assert_eq!(dirs.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), ["sub"]);

    let told = walk(asked, &asked.at);
    assert_eq!(told.len(), files.len() + 4, "with job, shared, sub and deep");
    for (index, file) in files.iter().enumerate() {
        assert_eq!(told.get(&file.to_string()), Some(&(EntryKind::File, index as u64 % 3)), "{file}");
    }

    let mut names: Vec<String> = (0..PAGE + 50).map(|i| format!("{i:05}")).collect();
    names.extend(["none".to_owned(), "sub".to_owned()]);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let answers = asked.store.lookup(&dir, &names, &|_| {});
    let (files_found, rest) = answers.split_at(PAGE + 50);
    for (index, answer) in files_found.iter().enumerate() {
        assert_eq!(*answer, Presence::File { size: index as u64 % 3 }, "{index}");
    }
    assert_eq!(rest, [Presence::Missing, Presence::NotAFile]);
    let usage = asked.store.usage(&asked.at).expect("a directory");
    assert_eq!((usage.files, usage.bytes), ((PAGE + 51) as u64, (PAGE as u64 + 50) + 1));
}

fn prefixes(asked: &Asked<'_>) {
    for path in ["ck/a", "ck2/b", "ck.c", "ck-d/e"] {
        asked.put(path, b"x");
    }
    assert_eq!(asked.names(&asked.place("ck")), ["a"]);
    assert_eq!(asked.names(&asked.at), ["ck", "ck-d", "ck.c", "ck2"]);
    assert_eq!(walk(asked, &asked.place("ck")).len(), 1);
    assert_eq!(asked.store.usage(&asked.place("ck")), Ok(Usage { files: 1, bytes: 1 }));
    assert!(asked.is_missing(&asked.place("c")));
    assert!(asked.is_missing(&asked.place("ck2/a")));
    assert_eq!(kind(asked.store.list(&asked.place("c"))), Err(StorageErrorKind::NotFound));
    let answers = asked.store.lookup(&asked.at, &["ck", "ck.c", "ck-", "c"], &|_| {});
    assert_eq!(answers, [Presence::NotAFile, Presence::File { size: 1 }, Presence::Missing, Presence::Missing]);
}

/// What a walk told of, each entry by its path.
#[derive(Default)]
struct Told {
    entries: Mutex<BTreeMap<String, (EntryKind, u64)>>,
    empty: Mutex<Vec<String>>,
    failed: Mutex<Vec<(String, StorageErrorKind)>>,
}

impl WalkVisitor for Told {
    fn enters(&self, _: &Location, name: &str) -> bool {
        name != ".chkctl"
    }

    fn found(&self, dir: &Location, entries: Vec<Details>) {
        if entries.is_empty() {
            self.empty.lock().expect("no panic").push(dir.to_string());
        }
        for entry in entries {
            assert!(entry.exact, "{entry:?}");
            assert!(entry.modified.is_some() || entry.kind == EntryKind::Directory, "{entry:?}");
            let path = format!("{dir}/{}", entry.name);
            let before = self.entries.lock().expect("no panic").insert(path, (entry.kind, entry.size));
            assert_eq!(before, None, "{dir}: {} is told of twice", entry.name);
        }
    }

    fn failed(&self, dir: &Location, error: StorageError) {
        self.failed.lock().expect("no panic").push((dir.to_string(), error.kind));
    }
}

/// Everything that a walk tells of, which must not fail.
fn walk(asked: &Asked<'_>, root: &Location) -> BTreeMap<String, (EntryKind, u64)> {
    let told = Told::default();
    asked.store.walk(root, &told);
    assert_eq!(told.failed.into_inner().expect("no panic"), []);
    told.entries.into_inner().expect("no panic")
}

fn walks(asked: &Asked<'_>) {
    let mut wanted = BTreeMap::new();
    for (path, size) in [("one/a", 1), ("one/two/three/b", 2), ("one/two/c", 0), ("other/d", 70), ("e", 5)] {
        let file = asked.put(path, &vec![b'x'; size]);
        wanted.insert(file.to_string(), (EntryKind::File, size as u64));
    }
    asked.dir("one/void");
    for dir in ["one", "one/two", "one/two/three", "one/void", "other"] {
        wanted.insert(asked.place(dir).to_string(), (EntryKind::Directory, 0));
    }
    let told = Told::default();
    asked.store.walk(&asked.at, &told);
    assert_eq!(told.entries.into_inner().expect("no panic"), wanted);
    assert_eq!(told.empty.into_inner().expect("no panic"), [asked.place("one/void").to_string()]);
    assert_eq!(told.failed.into_inner().expect("no panic"), []);

    let told = Told::default();
    asked.store.walk(&asked.place("one/void"), &told);
    assert_eq!(told.empty.into_inner().expect("no panic"), [asked.place("one/void").to_string()]);

    let told = Told::default();
    asked.store.walk(&asked.place("none"), &told);
    let failed = told.failed.into_inner().expect("no panic");
    assert_eq!(failed, [(asked.place("none").to_string(), StorageErrorKind::NotFound)], "a root has to be there");
}

fn walks_in_part(asked: &Asked<'_>) {
    asked.put("job/.chkctl/trash/hidden", b"x");
    asked.put("job/a", b"x");
    let told = walk(asked, &asked.at);
    let paths: Vec<String> = told.into_keys().collect();
    let wanted = ["job", "job/.chkctl", "job/a"].map(|path| asked.place(path).to_string());
    assert_eq!(paths, wanted);
}

fn lookups(asked: &Asked<'_>) {
    asked.put("job/a", b"1");
    asked.put("job/b", b"22");
    asked.put("job/sub/c", b"333");
    let wanted = [
        ("a", Presence::File { size: 1 }),
        ("none", Presence::Missing),
        ("sub", Presence::NotAFile),
        ("b", Presence::File { size: 2 }),
        ("sub/c", Presence::File { size: 3 }),
    ];
    let job = asked.place("job");
    // One by one and together, since a store may do them in different ways.
    for (name, presence) in wanted.iter().take(4) {
        assert_eq!(asked.store.lookup(&job, &[name], &|_| {}), std::slice::from_ref(presence), "{name}");
    }
    let names: Vec<&str> = wanted.iter().take(4).map(|(name, _)| *name).cycle().take(60).collect();
    let done = AtomicU64::new(0);
    let answers = asked.store.lookup(&job, &names, &|count| {
        done.fetch_max(count, Ordering::Relaxed);
    });
    let expected: Vec<Presence> =
        wanted.iter().take(4).map(|(_, presence)| presence.clone()).cycle().take(60).collect();
    assert_eq!(answers, expected);
    assert_eq!(done.into_inner(), 60);
    assert_eq!(asked.store.lookup(&asked.place("none"), &["a", "b"], &|_| {}), [Presence::Missing, Presence::Missing]);
    assert_eq!(asked.store.lookup(&job, &[], &|_| {}), []);
}

fn looks(asked: &Asked<'_>) {
    /// Keeps what it hears.
    #[derive(Default)]
    struct Keep(Mutex<Vec<Details>>);
    impl WalkVisitor for Keep {
        fn enters(&self, _: &Location, _: &str) -> bool {
            false
        }
        fn found(&self, _: &Location, entries: Vec<Details>) {
            self.0.lock().expect("no panic").extend(entries);
        }
        fn failed(&self, dir: &Location, error: StorageError) {
            panic!("{dir}: {error}");
        }
    }
    for name in ["a", "b", "c", "d"] {
        asked.put(&format!("job/{name}"), name.as_bytes());
    }
    asked.put("job/sub/x", b"x");
    let keep = Keep::default();
    asked.store.walk(&asked.place("job"), &keep);
    let mut seen = keep.0.into_inner().expect("no panic");
    seen.sort_by(|one, other| one.name.cmp(&other.name));
    let files: Vec<Option<Details>> = seen.iter().filter(|d| d.kind == EntryKind::File).cloned().map(Some).collect();
    assert_eq!(files.len(), 4);

    // A plan that was made from a walk is carried out by looks: they have to agree to the last digit of a time.
    let (job, none) = (asked.below("job"), asked.below("none"));
    assert_eq!(asked.store.look(job, &["a", "b", "c", "d"]), Ok(files.clone()));
    for (name, wanted) in ["a", "b", "c", "d"].iter().zip(files) {
        assert_eq!(asked.store.look(job, &[name]), Ok(vec![wanted.clone()]));
        let stat = asked.store.stat(&job.file(name)).expect("a file");
        assert_eq!(Some((stat.size, stat.modified)), wanted.map(|details| (details.size, details.modified)));
    }
    let many: Vec<&str> = ["d", "none", "sub"].into_iter().cycle().take(60).collect();
    let looked = asked.store.look(job, &many).expect("answers");
    for found in looked.chunks(3) {
        let shown: Vec<_> = found.iter().map(|entry| entry.as_ref().map(|entry| (entry.kind, entry.size))).collect();
        assert_eq!(shown, [Some((EntryKind::File, 1)), None, Some((EntryKind::Directory, 0))]);
    }
    assert_eq!(asked.store.look(none, &["a"]), Ok(vec![None]));
    assert_eq!(asked.store.look(job, &[]), Ok(vec![]));
}

fn usage(asked: &Asked<'_>) {
    asked.put("job/a", b"12345");
    asked.put("job/deep/er/b", b"678");
    asked.dir("job/void");
    assert_eq!(asked.store.usage(&asked.at), Ok(Usage { files: 2, bytes: 8 }));
    assert_eq!(asked.store.usage(&asked.place("job/void")), Ok(Usage::default()));
    assert_eq!(kind(asked.store.usage(&asked.place("none"))), Err(StorageErrorKind::NotFound));
    if asked.nature == Nature::Prefixes {
        assert_eq!(asked.store.delete(&asked.place("job/deep/er/b")), Ok(true));
    }
}
