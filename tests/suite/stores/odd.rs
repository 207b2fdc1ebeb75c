//! Keys that no path of Flink's stands for, as an object store may list them: told of, and never touched.

use super::super::proxy::{Fault, Proxy, Request};
use chkctl::model::Location;
use chkctl::storage::objects::ObjectStorage;
use chkctl::storage::remote::{Limits, Remote};
use chkctl::storage::settings::{Setting, StoreSettings, names};
use chkctl::storage::{Below, Details, EntryKind, Storage as _, StorageError, WalkVisitor, WriteStorage as _};
use std::collections::BTreeSet;
use std::sync::Mutex;

/// What a store answers that has these keys; the page is the last.
const ALL: &str = "<ListBucketResult><IsTruncated>false</IsTruncated>\
<Contents><Key>ck/</Key><Size>0</Size><LastModified>2026-01-01T00:00:00.123Z</LastModified></Contents>\
<Contents><Key>ck//x</Key><Size>1</Size><LastModified>2026-01-01T00:00:00.123Z</LastModified></Contents>\
<Contents><Key>ck/../y</Key><Size>1</Size><LastModified>2026-01-01T00:00:00.123Z</LastModified></Contents>\
<Contents><Key>ck/a</Key><Size>1</Size><LastModified>2026-01-01T00:00:00.123Z</LastModified></Contents>\
<Contents><Key>ck/a/b</Key><Size>1</Size><LastModified>2026-01-01T00:00:00.123Z</LastModified></Contents>\
<Contents><Key>ck/c\\d</Key><Size>1</Size><LastModified>2026-01-01T00:00:00.123Z</LastModified></Contents>\
<Contents><Key>ck/dir/</Key><Size>0</Size><LastModified>2026-01-01T00:00:00.123Z</LastModified></Contents>\
<Contents><Key>ck/job/f</Key><Size>7</Size><LastModified>2026-01-01T00:00:00.123Z</LastModified></Contents>\
<Contents><Key>ck/job/f</Key><Size>8</Size><LastModified>2026-01-01T00:00:00.123Z</LastModified></Contents>\
</ListBucketResult>";

/// The same by directories.
const BY_DIRECTORY: &str = "<ListBucketResult><IsTruncated>false</IsTruncated>\
<Contents><Key>ck/</Key><Size>0</Size><LastModified>2026-01-01T00:00:00.123Z</LastModified></Contents>\
<Contents><Key>ck/a</Key><Size>1</Size><LastModified>2026-01-01T00:00:00.123Z</LastModified></Contents>\
<Contents><Key>ck/c\\d</Key><Size>1</Size><LastModified>2026-01-01T00:00:00.123Z</LastModified></Contents>\
<CommonPrefixes><Prefix>ck//</Prefix></CommonPrefixes>\
<CommonPrefixes><Prefix>ck/../</Prefix></CommonPrefixes>\
<CommonPrefixes><Prefix>ck/a/</Prefix></CommonPrefixes>\
<CommonPrefixes><Prefix>ck/dir/</Prefix></CommonPrefixes>\
<CommonPrefixes><Prefix>ck/job/</Prefix></CommonPrefixes>\
</ListBucketResult>";

fn store() -> (Proxy, ObjectStorage) {
    let answer = |request: &Request| match (request.is_listing(), request.target.contains("delimiter")) {
        (true, true) => Fault::Answer(200, BY_DIRECTORY),
        (true, false) => Fault::Answer(200, ALL),
        _ => Fault::Answer(500, ""),
    };
    let proxy = Proxy::before("http://127.0.0.1:1", answer);
    let mut settings = StoreSettings::default();
    settings.add(names::ENDPOINT, Setting::new(&proxy.endpoint, "the test"));
    settings.add(names::ANONYMOUS, Setting::new("true", "the test"));
    let remote = Remote::new(Limits { tries: 1, ..Limits::default() }).expect("a runtime");
    let store = ObjectStorage::open(remote, &root(), &settings).expect("settings");
    (proxy, store)
}

fn root() -> Location {
    Location::parse("s3://bucket/ck").expect("a place")
}

#[derive(Default)]
struct Told(Mutex<BTreeSet<String>>);

impl WalkVisitor for Told {
    fn enters(&self, _: &Location, name: &str) -> bool {
        assert!(!matches!(name, "" | ".." | "a"), "{name:?} is entered");
        true
    }

    fn found(&self, dir: &Location, entries: Vec<Details>) {
        let mut told = self.0.lock().expect("no panic");
        if entries.is_empty() {
            told.insert(format!("{dir} is empty"));
        }
        for Details { name, exact, kind, size, .. } in entries {
            let exact = if exact { "" } else { ", not exact" };
            assert!(told.insert(format!("{dir} has {name:?}, {kind:?} of {size}{exact}")));
        }
    }

    fn failed(&self, dir: &Location, error: StorageError) {
        panic!("{dir}: {error}");
    }
}

#[test]
fn a_walk_tells_of_odd_keys_and_does_not_take_them_for_others() {
    let (_proxy, store) = store();
    let told = Told::default();
    store.walk(&root(), &told);
    let wanted = [
        r#"s3://bucket/ck has "", Directory of 0, not exact"#,
        r#"s3://bucket/ck has "..", Directory of 0, not exact"#,
        r#"s3://bucket/ck has "a", File of 1"#,
        r#"s3://bucket/ck has "a", Directory of 0, not exact"#,
        r#"s3://bucket/ck has "c\\d", File of 1, not exact"#,
        r#"s3://bucket/ck has "dir", Directory of 0"#,
        r#"s3://bucket/ck has "job", Directory of 0"#,
        r#"s3://bucket/ck/dir is empty"#,
        r#"s3://bucket/ck/job has "f", File of 7"#,
        r#"s3://bucket/ck/job has "f", File of 8, not exact"#,
    ];
    let told: Vec<String> = told.0.into_inner().expect("no panic").into_iter().collect();
    assert_eq!(told.into_iter().collect::<BTreeSet<_>>(), wanted.map(str::to_owned).into_iter().collect());
}

#[test]
fn a_list_has_odd_keys_and_they_are_neither_looked_up_nor_removed() {
    let (proxy, store) = store();
    let mut listed: Vec<String> = store.list(&root()).expect("a listing").into_iter().map(|entry| entry.name).collect();
    listed.sort();
    assert_eq!(listed, ["", "..", "a", "a", "c\\d", "dir", "job"]);
    let dir = Below { root: &root(), dir: "" };
    let looked = store.look(dir, &["a", "dir", "none"]).expect("answers");
    let kinds: Vec<_> = looked.into_iter().map(|found| found.map(|found| found.kind)).collect();
    assert_eq!(kinds, [Some(EntryKind::File), Some(EntryKind::Directory), None]);
    for name in ["", "..", "c\\d"] {
        assert!(store.delete_names(dir, &[name]).iter().all(Result::is_err), "{name:?}");
    }
    // Where one of them is in the way, a directory is not renamed: it could not be named at its new place.
    let error = store.rename_dir(&root(), &Location::parse("s3://bucket/to").expect("a place")).expect_err("refused");
    assert!(error.message.contains("cannot be named"), "{error}");
    assert!(proxy.requests().iter().all(|request| request.method == "GET"), "{:?}", proxy.requests());
}
