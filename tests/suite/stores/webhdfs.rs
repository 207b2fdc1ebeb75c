//! WebHDFS of a real HDFS: reading, and removing.

use super::conformance::{kind, kinds};
use chkctl::model::Location;
use chkctl::storage::objects::ObjectStorage;
use chkctl::storage::remote::{Limits, Remote};
use chkctl::storage::settings::{Setting, StoreSettings, names};
use chkctl::storage::{Below, EntryKind, Presence, Storage as _, StorageErrorKind, Usage, WriteStorage as _};

/// `hdfs dfs -mkdir -p /tmp/chkctl-test/dir`, and a file of the five bytes `hello` put to `a` and `dir/b` in `/tmp/chkctl-test`.
#[test]
#[ignore = "by hand: CHKCTL_TEST_WEBHDFS=HOST:PORT of a NameNode with the files above, --ignored webhdfs"]
fn webhdfs_is_read_and_what_is_missing_in_it_is_missing() {
    let authority = std::env::var("CHKCTL_TEST_WEBHDFS").expect("CHKCTL_TEST_WEBHDFS=HOST:PORT");
    let mut settings = StoreSettings::default();
    let user = std::env::var("CHKCTL_TEST_WEBHDFS_USER").unwrap_or_else(|_| "root".to_owned());
    settings.add(names::USER, Setting::new(user, "the test"));
    let dir = Location::new(Some("webhdfs"), Some(&authority), "/tmp/chkctl-test");
    let at = |name: &str| dir.with_suffix(&format!("/{name}"));
    let store =
        ObjectStorage::open(Remote::new(Limits::default()).expect("a runtime"), &dir, &settings).expect("settings");
    let stat = store.stat(&at("a")).expect("a file");
    assert_eq!((stat.kind, stat.size, stat.modified.is_some()), (EntryKind::File, 5, true));
    assert_eq!(store.stat(&at("dir")).map(|stat| stat.kind), Ok(EntryKind::Directory));
    assert_eq!(store.list(&dir).expect("a listing").len(), 2);
    assert_eq!(store.usage(&dir), Ok(Usage { files: 2, bytes: 10 }));
    assert_eq!(store.read(&at("a"), 9), Ok(b"hello".to_vec()));
    assert_eq!(store.read_range(&at("dir/b"), 1, 3), Ok(b"ell".to_vec()));
    for missing in ["none", "none/none", "di"].map(at) {
        assert_eq!(kind(store.stat(&missing).map(drop)), Err(StorageErrorKind::NotFound));
        assert_eq!(kind(store.list(&missing).map(drop)), Err(StorageErrorKind::NotFound));
        assert_eq!(kind(store.read(&missing, 9).map(drop)), Err(StorageErrorKind::NotFound));
    }
    let wanted = [Presence::File { size: 5 }, Presence::NotAFile, Presence::Missing, Presence::Missing];
    assert_eq!(store.lookup(&dir, &["a", "dir", "none", "d"], &|_| {}), wanted);
    let below = Below { root: &dir, dir: "" };
    let looked = store.look(below, &["a"]).expect("an answer").pop().flatten().expect("a file");
    assert_eq!((looked.size, looked.modified), (stat.size, stat.modified), "a look sees what a stat saw");
    assert!(store.delete_empty_dir(&at("dir")).is_err() && store.delete(&at("dir")).is_err());
    assert_eq!(
        kinds(store.delete_names(below, &["a", "none", "dir"])),
        [Ok(true), Ok(false), Err(StorageErrorKind::Other)]
    );
    assert_eq!(store.delete(&at("dir/b")), Ok(true));
    assert_eq!((store.delete_empty_dir(&at("dir")), store.delete_empty_dir(&at("dir"))), (Ok(true), Ok(false)));
}
