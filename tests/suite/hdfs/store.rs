//! The back end of HDFS against a real one: what the conformance of all stores does not ask.

use crate::suite::servers::hdfs::with_hdfs;
use chkctl::model::Location;
use chkctl::storage::{
    Below, Details, EntryKind, Presence, Storage, StorageError, StorageErrorKind, WalkVisitor, WriteStorage,
};
use std::collections::BTreeMap;
use std::sync::Mutex;

fn write(storage: &dyn WriteStorage, file: &Location, bytes: &[u8]) {
    let mut writer = storage.create(file).expect("a new file");
    writer.write(bytes).expect("written");
    assert_eq!(writer.finish(), Ok(bytes.len() as u64));
}

fn at(dir: &Location, name: &str) -> Location {
    dir.with_suffix(&format!("/{name}"))
}

fn kind<T: std::fmt::Debug>(result: Result<T, StorageError>) -> StorageErrorKind {
    result.expect_err("a failure").kind
}

#[test]
fn what_is_written_is_read_back_whole_in_ranges_and_in_order() {
    with_hdfs(|hdfs, dir| {
        let storage = hdfs.storage();
        let content: Vec<u8> = (0..11_000_003_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let file = at(dir, "large");
        write(&storage, &file, &content);
        assert!(storage.read(&file, u64::MAX).expect("readable") == content);
        assert_eq!(kind(storage.read(&file, 1000)), StorageErrorKind::TooLarge);
        assert_eq!(storage.read_range(&file, 10_999_999, 100).expect("readable"), content[10_999_999..]);
        assert_eq!(storage.read_range(&file, 99_000_000, 100), Ok(Vec::new()));
        let open = storage.open(&file).expect("opened");
        assert_eq!(open.size(), content.len() as u64);
        for step in [777, 70_000, 3_000_000] {
            let mut out = vec![0; step];
            let mut done = 0;
            while done < content.len() {
                let count = open.read_at(done as u64, &mut out).expect("readable");
                assert!(count > 0 && out[..count] == content[done..done + count], "at {done} by {step}");
                done += count;
                if step == 777 && done > 600_000 {
                    break;
                }
            }
        }
        // Back and forth.
        for offset in [5_000_000_usize, 4_999_990, 0, 10_999_000, 1_048_575, 1_048_577] {
            let mut out = [0; 50];
            assert_eq!(open.read_at(offset as u64, &mut out).expect("readable"), 50);
            assert_eq!(out, content[offset..offset + 50]);
        }
        assert_eq!(open.read_at(99_000_000, &mut [0; 9]).expect("the end"), 0);
    });
}

#[test]
fn nothing_is_replaced_and_nothing_is_moved_into_a_directory() {
    with_hdfs(|hdfs, dir| {
        let storage = hdfs.storage();
        write(&storage, &at(dir, "a"), b"1");
        write(&storage, &at(dir, "b"), b"2");
        storage.create_dirs(&at(dir, "d")).expect("a directory");
        let taken = StorageErrorKind::AlreadyExists;
        assert_eq!(storage.create(&at(dir, "a")).map(|_| ()).map_err(|e| e.kind), Err(taken));
        assert_eq!(kind(storage.publish(&at(dir, "a"), b"3")), taken);
        assert_eq!(kind(storage.rename(&at(dir, "a"), &at(dir, "b"))), taken);
        assert_eq!(kind(storage.rename(&at(dir, "a"), &at(dir, "d"))), taken);
        assert!(storage.replace(&at(dir, "d"), b"3").is_err());
        assert_eq!(storage.list(&at(dir, "d")), Ok(Vec::new()));
        assert_eq!(storage.read(&at(dir, "a"), 9), Ok(b"1".to_vec()));
        storage.replace(&at(dir, "a"), b"4").expect("replaced");
        storage.publish(&at(dir, "c"), b"5").expect("published");
        assert_eq!(storage.read(&at(dir, "a"), 9), Ok(b"4".to_vec()));
        let mut names: Vec<_> = storage.list(dir).expect("a listing").into_iter().map(|entry| entry.name).collect();
        names.sort();
        assert_eq!(names, ["a", "b", "c", "d"], "nothing is left in progress");
    });
}

#[test]
fn below_a_file_there_is_nothing_for_every_user() {
    with_hdfs(|hdfs, dir| {
        write(&hdfs.storage(), &at(dir, "file"), b"1");
        for user in ["root", "alice"] {
            let storage = hdfs.storage_of(user);
            let below = at(dir, "file/x");
            assert_eq!(kind(storage.stat(&below)), StorageErrorKind::NotFound, "{user}");
            assert_eq!(kind(storage.read(&below, 9)), StorageErrorKind::NotFound, "{user}");
            assert_eq!(kind(storage.list(&below)), StorageErrorKind::NotFound, "{user}");
            assert_eq!(kind(storage.list(&at(dir, "file"))), StorageErrorKind::NotFound, "{user}");
            assert_eq!(storage.delete(&below), Ok(false), "{user}");
            assert_eq!(storage.lookup(&at(dir, "file"), &["x"], &|_| {}), [Presence::Missing], "{user}");
            let many: Vec<String> = (0..20).map(|i| format!("x{i}")).collect();
            let many: Vec<&str> = many.iter().map(String::as_str).collect();
            let found = storage.lookup(&at(dir, "file"), &many, &|_| {});
            assert!(found.iter().all(|found| *found == Presence::Missing), "{user}: {found:?}");
        }
        let storage = hdfs.storage();
        assert_eq!(kind(storage.create(&at(dir, "file/x")).map(|_| ())), StorageErrorKind::NotFound);
        assert_eq!(kind(storage.create(&at(dir, "none/x")).map(|_| ())), StorageErrorKind::NotFound);
    });
}

#[test]
fn a_directory_is_not_read_and_what_may_not_be_seen_is_not_missing() {
    with_hdfs(|hdfs, dir| {
        let storage = hdfs.storage();
        storage.create_dirs(&at(dir, "closed")).expect("a directory");
        assert_eq!(kind(storage.read(&at(dir, "closed"), 9)), StorageErrorKind::Other);
        assert_eq!(kind(storage.open(&at(dir, "closed")).map(|_| ())), StorageErrorKind::Other);
        assert_eq!(kind(storage.delete(&at(dir, "closed"))), StorageErrorKind::Other);
        write(&storage, &at(dir, "closed/file"), b"1");
        write(&storage, &at(dir, "secret"), b"1");
        hdfs.expect(&format!("dfs -chmod 700 {}/closed", dir.path()));
        hdfs.expect(&format!("dfs -chmod 600 {}/secret", dir.path()));
        let alice = hdfs.storage_of("alice");
        let denied = StorageErrorKind::PermissionDenied;
        assert_eq!(kind(alice.stat(&at(dir, "closed/file"))), denied);
        assert_eq!(kind(alice.list(&at(dir, "closed"))), denied);
        assert_eq!(kind(alice.read(&at(dir, "secret"), 9)), denied);
        let unknown = |found: Presence| matches!(found, Presence::Unknown(error) if error.kind == denied);
        assert!(unknown(alice.lookup(&at(dir, "closed"), &["file"], &|_| {}).remove(0)));
        assert!(unknown(alice.lookup(dir, &["secret"], &|_| {}).remove(0)));
        assert_eq!(storage.lookup(dir, &["secret"], &|_| {}), [Presence::File { size: 1 }]);
        assert_eq!(kind(alice.delete(&at(dir, "secret"))), denied);
        assert_eq!(kind(alice.usage(dir)), denied);
        let told = Told::default();
        alice.walk(dir, &told);
        assert_eq!(told.failed.into_inner().expect("a lock").len(), 1);
    });
}

/// Writes down what a walk tells.
#[derive(Default)]
struct Told {
    found: Mutex<BTreeMap<String, Vec<Details>>>,
    failed: Mutex<Vec<(Location, StorageError)>>,
}

impl WalkVisitor for Told {
    fn enters(&self, _: &Location, name: &str) -> bool {
        name != "skipped"
    }

    fn found(&self, dir: &Location, entries: Vec<Details>) {
        self.found.lock().expect("a lock").entry(dir.to_string()).or_default().extend(entries);
    }

    fn failed(&self, dir: &Location, error: StorageError) {
        self.failed.lock().expect("a lock").push((dir.clone(), error));
    }
}

#[test]
fn a_walk_comes_by_everything_in_pages_and_keeps_the_spelling() {
    with_hdfs(|hdfs, dir| {
        let storage = hdfs.storage();
        for name in ["a/b", "skipped/x", "empty"] {
            storage.create_dirs(&at(dir, name)).expect("a directory");
        }
        write(&storage, &at(dir, "a/b/file"), b"12345");
        // More than a NameNode gives at once.
        let names: Vec<String> = (0..1500).map(|i| format!("d{i:04}")).collect();
        for name in &names {
            storage.create_dirs(&at(dir, &format!("many/{name}"))).expect("a directory");
        }
        // Without the NameNode, which the settings have.
        let spelled = Location::new(Some("hdfs"), None, dir.path());
        let told = Told::default();
        storage.walk(&spelled, &told);
        assert_eq!(*told.failed.lock().expect("a lock"), []);
        let found = told.found.into_inner().expect("a lock");
        assert_eq!(found[&format!("{spelled}/many")].len(), names.len());
        assert!(!found.contains_key(&format!("{spelled}/skipped")) && found[&format!("{spelled}/empty")].is_empty());
        let file = &found[&format!("{spelled}/a/b")][0];
        assert_eq!((file.name.as_str(), file.kind, file.size, file.exact), ("file", EntryKind::File, 5, true));
        assert!(file.modified.is_some());
        let usage = storage.usage(dir).expect("a sum");
        assert_eq!((usage.files, usage.bytes), (1, 5));
        assert_eq!(storage.list(&at(dir, "many")).expect("a listing").len(), names.len());
        let told = Told::default();
        storage.walk(&at(dir, "none"), &told);
        assert!(told.failed.into_inner().expect("a lock")[0].1.is_not_found());
    });
}

#[test]
fn many_names_are_looked_up_as_one_by_one() {
    with_hdfs(|hdfs, dir| {
        let storage = hdfs.storage();
        for i in 0..30 {
            write(&storage, &at(dir, &format!("f{i}")), &vec![7; i + 1]);
        }
        storage.create_dirs(&at(dir, "sub")).expect("a directory");
        let names: Vec<String> = (0..60).map(|i| format!("f{i}")).chain(["sub".to_owned()]).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let at_once = storage.lookup(dir, &names, &|_| {});
        let one_by_one: Vec<Presence> = names.iter().flat_map(|name| storage.lookup(dir, &[name], &|_| {})).collect();
        assert_eq!(at_once, one_by_one);
        assert_eq!(
            (&at_once[4], &at_once[40], &at_once[60]),
            (&Presence::File { size: 5 }, &Presence::Missing, &Presence::NotAFile)
        );
        let looked = storage.look(Below { root: dir, dir: "" }, &names).expect("looked");
        assert_eq!(looked.iter().flatten().count(), 31);
        assert_eq!(storage.lookup(&at(dir, "none"), &names[..20], &|_| {}), vec![Presence::Missing; 20]);
        assert!(storage.look(Below { root: dir, dir: "" }, &["a/b"]).is_err());
    });
}

#[test]
fn a_file_that_is_being_written_is_not_taken_for_a_truncated_one() {
    with_hdfs(|hdfs, dir| {
        let storage = hdfs.storage();
        let mut writer = storage.create(&at(dir, "open")).expect("a new file");
        // So much that it has gone to the DataNode.
        writer.write(&vec![7; 3 << 20]).expect("written");
        assert_eq!(storage.stat(&at(dir, "open")).map(|stat| stat.size), Ok(0), "as the NameNode lists it");
        for user in ["root", "alice"] {
            let found = hdfs.storage_of(user).lookup(dir, &["open"], &|_| {}).remove(0);
            assert!(
                matches!(&found, Presence::Unknown(error) if error.message.contains("open for writing")),
                "{found:?}"
            );
        }
        writer.finish().expect("finished");
        assert_eq!(storage.lookup(dir, &["open"], &|_| {}), [Presence::File { size: 3 << 20 }]);
        write(&storage, &at(dir, "empty"), b"");
        assert_eq!(storage.lookup(dir, &["empty"], &|_| {}), [Presence::File { size: 0 }]);
        let mut dropped = storage.create(&at(dir, "dropped")).expect("a new file");
        dropped.write(b"1").expect("written");
        drop(dropped);
        assert_eq!(storage.lookup(dir, &["dropped"], &|_| {}), [Presence::Missing]);
    });
}

#[test]
fn names_are_renamed_and_removed_many_at_once() {
    with_hdfs(|hdfs, dir| {
        let storage = hdfs.storage();
        storage.create_dirs(&at(dir, "from/sub")).expect("a directory");
        storage.create_dirs(&at(dir, "to")).expect("a directory");
        let names: Vec<String> = (0..40).map(|i| format!("f{i}")).collect();
        for name in &names {
            write(&storage, &at(dir, &format!("from/{name}")), b"1");
        }
        write(&storage, &at(dir, "to/f3"), b"old");
        let mut asked: Vec<&str> = names.iter().map(String::as_str).collect();
        asked.extend(["none", "a/b"]);
        let (from, to) = (Below { root: dir, dir: "from" }, Below { root: dir, dir: "to" });
        let answers = storage.rename_names(from, to, &asked);
        assert_eq!(answers.iter().filter(|answer| **answer == Ok(true)).count(), 39);
        assert_eq!(answers[3].as_ref().map_err(|e| e.kind), Err(StorageErrorKind::AlreadyExists));
        assert_eq!(answers[40], Ok(false));
        assert!(answers[41].is_err());
        assert_eq!(storage.read(&at(dir, "to/f3"), 9), Ok(b"old".to_vec()));
        assert!(storage.rename_names(to, Below { root: dir, dir: "nowhere" }, &["f1"])[0].is_err());

        asked.push("sub");
        assert!(storage.delete_names(from, &asked).last().expect("an answer").is_err(), "a directory");
        let answers = storage.delete_names(to, &asked[..41]);
        assert_eq!(answers.iter().filter(|answer| **answer == Ok(true)).count(), 40);
        assert_eq!(answers[40], Ok(false));
        assert_eq!(storage.list(&at(dir, "to")), Ok(Vec::new()));
        assert_eq!(storage.delete_empty_dir(&at(dir, "from")).map_err(|e| e.kind), Err(StorageErrorKind::Other));
        assert_eq!(storage.delete_empty_dir(&at(dir, "to")), Ok(true));
        assert_eq!(storage.delete_empty_dir(&at(dir, "to")), Ok(false));
    });
}

#[test]
fn directories_are_renamed_onto_nothing_or_an_empty_one() {
    with_hdfs(|hdfs, dir| {
        let storage = hdfs.storage();
        for name in ["a", "b", "empty", "full"] {
            storage.create_dirs(&at(dir, name)).expect("a directory");
        }
        write(&storage, &at(dir, "a/x"), b"1");
        write(&storage, &at(dir, "full/y"), b"2");
        write(&storage, &at(dir, "file"), b"3");
        assert!(storage.rename_dir(&at(dir, "b"), &at(dir, "full")).is_err());
        assert!(storage.rename_dir(&at(dir, "b"), &at(dir, "file")).is_err());
        assert!(storage.rename_dir(&at(dir, "file"), &at(dir, "empty")).is_err());
        storage.rename_dir(&at(dir, "a"), &at(dir, "empty")).expect("renamed");
        storage.rename_dir(&at(dir, "b"), &at(dir, "new")).expect("renamed");
        assert_eq!(storage.read(&at(dir, "empty/x"), 9), Ok(b"1".to_vec()));
        assert!(storage.stat(&at(dir, "a")).expect_err("it went").is_not_found());
        assert_eq!(storage.list(&at(dir, "full")).expect("a listing").len(), 1);
    });
}

#[test]
fn directories_are_made_like_others() {
    with_hdfs(|hdfs, dir| {
        let storage = hdfs.storage();
        storage.create_dirs(&at(dir, "root/one/two")).expect("a directory");
        hdfs.expect(&format!("dfs -chmod 1770 {}/root/one", dir.path()));
        hdfs.expect(&format!("dfs -chown alice:staff {}/root/one/two", dir.path()));
        let root = at(dir, "root");
        let (to, like) = (Below { root: &root, dir: ".chkctl/trash/one/two" }, Below { root: &root, dir: "one/two" });
        storage.create_dirs_like(to, like).expect("made");
        storage.create_dirs_like(to, like).expect("fine where they are");
        let listed =
            hdfs.expect(&format!("dfs -ls -d {0}/root/.chkctl/trash/one {0}/root/.chkctl/trash/one/two", dir.path()));
        assert!(listed[0].starts_with("drwxrwx--T"), "{listed:?}");
        assert!(listed[1].contains(" alice staff "), "{listed:?}");
    });
}

#[test]
fn a_directory_is_held_by_one() {
    with_hdfs(|hdfs, dir| {
        let (one, other) = (hdfs.storage(), hdfs.storage());
        one.create_dirs(&at(dir, "d")).expect("a directory");
        let held = one.hold(&at(dir, "d")).expect("held");
        for storage in [&one, &other] {
            assert_eq!(
                storage.hold(&at(dir, "d")).map(|_| ()).map_err(|e| e.kind),
                Err(StorageErrorKind::AlreadyExists)
            );
        }
        drop(held);
        let held = other.hold(&at(dir, "d")).expect("free again");
        drop(held);
        assert_eq!(one.list(dir).expect("a listing").len(), 1, "nothing is left");
        // One that was closed and not removed is nobody's.
        write(&one, &at(dir, ".d.held"), b"");
        assert!(one.hold(&at(dir, "d")).is_ok());
    });
}
