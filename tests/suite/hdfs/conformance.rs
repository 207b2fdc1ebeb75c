//! The questions that every back end answers, to a real HDFS.

use crate::suite::servers::hdfs::with_hdfs;
use crate::suite::stores::conformance::{Nature, conforms};

#[test]
fn hdfs_does_what_every_store_does() {
    with_hdfs(|hdfs, dir| conforms(&hdfs.storage(), dir, Nature::Directories));
}

#[test]
fn a_user_who_is_no_superuser_sees_the_same() {
    with_hdfs(|hdfs, dir| {
        hdfs.expect(&format!("dfs -chown alice {}", dir.path()));
        conforms(&hdfs.storage_of("alice"), dir, Nature::Directories);
    });
}
