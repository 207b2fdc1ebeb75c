//! What is found out without a network.

use super::*;
use crate::storage::StorageErrorKind;
use crate::storage::remote::Limits;
use crate::storage::settings::{Setting, names};

fn open(place: &str, settings: &[(&str, &str)]) -> Result<ObjectStorage, StorageError> {
    let mut all = StoreSettings::default();
    for (name, value) in settings {
        all.add(*name, Setting::new(*value, "the test"));
    }
    let remote = Remote::new(Limits::default()).expect("a runtime");
    ObjectStorage::open(remote, &Location::parse(place).expect("a place"), &all)
}

#[test]
fn a_store_of_each_scheme_is_opened_without_a_network() {
    let places = [
        ("s3", "bucket"),
        ("s3a", "bucket"),
        ("s3n", "bucket"),
        ("s3p", "bucket"),
        ("oss", "bucket"),
        ("cosn", "bucket-125000"),
        ("obs", "bucket"),
        ("gs", "bucket"),
        ("abfs", "fs@account.dfs.core.windows.net"),
        ("abfss", "fs@account.dfs.core.windows.net"),
        ("wasb", "container@account.blob.core.windows.net"),
        ("wasbs", "container@account.blob.core.windows.net"),
        ("webhdfs", "namenode:9870"),
        ("swebhdfs", "namenode:9871"),
    ];
    assert_eq!(places.map(|(scheme, _)| scheme), SCHEMES);
    for (scheme, authority) in places {
        let opened = open(&format!("{scheme}://{authority}/ck"), &[(names::REGION, "region-1")]);
        let store = opened.unwrap_or_else(|error| panic!("{scheme}: {error}"));
        assert_eq!(
            store.inner.has_directories,
            matches!(scheme, "abfs" | "abfss" | "webhdfs" | "swebhdfs"),
            "{scheme}"
        );
    }
}

#[test]
fn what_is_missing_in_the_settings_is_said() {
    for (place, words) in [
        ("s3:/ck", "bucket is missing"),
        ("s3://express--x-s3/ck", "directory buckets"),
        ("oss://bucket/ck", "fs.oss.endpoint"),
        ("cosn://bucket/ck", "fs.cosn.bucket.region"),
        ("obs://bucket/ck", "fs.obs.endpoint"),
        ("abfs://account.dfs.core.windows.net/ck", "CONTAINER@ACCOUNT"),
        ("wasb://@account.blob.core.windows.net/ck", "CONTAINER@ACCOUNT"),
        ("webhdfs:/ck", "host is missing"),
    ] {
        let error = open(place, &[]).map(drop).expect_err(place);
        assert_eq!(error.kind, StorageErrorKind::Other, "{place}");
        assert!(error.message.contains(words), "{place}: {error}");
    }
    assert_eq!(open("hdfs://nn/ck", &[]).map(drop).map_err(|e| e.kind), Err(StorageErrorKind::Unsupported));
}
