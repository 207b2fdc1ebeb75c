//! A real S3 server.

use super::super::servers::s3::with_s3;
use super::conformance::{Nature, conforms};
use chkctl::storage::WriteStorage as _;

#[test]
fn s3_does_what_a_store_has_to() {
    with_s3(|s3| {
        let (store, dir) = (s3.store(), s3.dir("conforms"));
        store.create_dirs(&dir).expect("a directory");
        conforms(&store, &dir, Nature::Prefixes);
    });
}
