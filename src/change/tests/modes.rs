//! Directories come back with their permissions, files as they were.
#![cfg(unix)]

use super::*;
use crate::storage::LocalStorage;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

/// Everything below a directory but chkctl's own: modes, and times and content of files.
fn everything(dir: &Path) -> Vec<(String, u32, i64, Vec<u8>)> {
    let entries = walkdir::WalkDir::new(dir).sort_by_file_name().into_iter();
    let entries = entries.filter_entry(|entry| entry.file_name() != ".chkctl").map(|entry| entry.expect("an entry"));
    let one = |entry: walkdir::DirEntry| {
        let metadata = entry.metadata().expect("metadata");
        let file = metadata.is_file();
        let content = if file { fs::read(entry.path()).expect("readable") } else { Vec::new() };
        let time = if file { metadata.mtime() * 1_000_000_000 + metadata.mtime_nsec() } else { 0 };
        (entry.path().to_string_lossy().into_owned(), metadata.mode(), time, content)
    };
    entries.map(one).collect()
}

#[test]
fn a_tree_comes_back_as_it_was() {
    let dir = tempfile::tempdir().expect("a directory");
    for (path, bytes) in filled().tree().into_iter().filter(|(path, _)| !path.ends_with('/')) {
        let path = dir.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().expect("a directory")).expect("created");
        fs::write(path, bytes).expect("a file");
    }
    let job = dir.path().join("ck").join(JOB);
    for (path, mode) in [("chk-1", 0o2750), ("chk-2", 0o700), ("shared", 0o777), ("chk-1/e1", 0o640)] {
        fs::set_permissions(job.join(path), fs::Permissions::from_mode(mode)).expect("permitted");
    }
    let before = everything(dir.path());
    let root = at(&dir.path().join("ck").to_string_lossy());
    let plan = plan_of(&LocalStorage, std::slice::from_ref(&root), GOING);
    let now = Timestamp::now();
    let outcome = carry_out(&LocalStorage, now, &plan, &aside(), &mut Objects::default()).expect("done");
    assert_eq!((outcome.skipped, outcome.failed, outcome.files), (vec![], vec![], 7));
    assert!(!job.join("chk-1").exists());
    bring_back(&LocalStorage, now, &[root], &outcome.run.expect("a run")).expect("brought back");
    assert_eq!(everything(dir.path()), before);
}
