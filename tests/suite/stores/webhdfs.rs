//! WebHDFS of a real HDFS.

use super::conformance::{Nature, conforms};
use chkctl::model::Location;
use chkctl::storage::WriteStorage as _;
use chkctl::storage::objects::ObjectStorage;
use chkctl::storage::remote::{Limits, Remote};
use chkctl::storage::settings::{Setting, StoreSettings, names};

#[test]
#[ignore = "by hand: CHKCTL_TEST_WEBHDFS=HOST:PORT of a NameNode, --ignored webhdfs"]
fn webhdfs_does_what_a_store_has_to() {
    let authority = std::env::var("CHKCTL_TEST_WEBHDFS").expect("CHKCTL_TEST_WEBHDFS=HOST:PORT");
    let mut settings = StoreSettings::default();
    let user = std::env::var("CHKCTL_TEST_WEBHDFS_USER").unwrap_or_else(|_| "root".to_owned());
    settings.add(names::USER, Setting::new(user, "the test"));
    let dir = Location::new(Some("webhdfs"), Some(&authority), &format!("/tmp/conforms-{}", std::process::id()));
    let store =
        ObjectStorage::open(Remote::new(Limits::default()).expect("a runtime"), &dir, &settings).expect("settings");
    store.create_dirs(&dir).expect("a directory");
    // It makes directories as it goes.
    conforms(&store, &dir, Nature::Prefixes);
}
