//! The corpus on S3 and on HDFS: the same verdicts as of the same files on the local disk.

use super::super::servers::hdfs::with_hdfs;
use super::super::servers::s3::with_s3;
use super::super::support::{Case, FLINK_ROOT, archives};
use chkctl::model::Location;
use chkctl::storage::{Connect, LocalStorage, Remembered, Storage, StorageError, Stores, WriteStorage};
use chkctl::survey::inventory::Inventory;
use chkctl::survey::resolve::{PathMap, PathMaps};
use chkctl::survey::{Catalog, Judge, Silent};
use std::path::Path;
use std::sync::Arc;
use std::{fs, thread};

/// Everything that is not local is in one store.
struct One<S>(S);

impl<S: WriteStorage + Clone + 'static> Connect for One<S> {
    fn connect(&self, _: &Location) -> Result<Arc<dyn WriteStorage>, StorageError> {
        Ok(Arc::new(self.0.clone()))
    }
}

/// What a survey says of a tree: its snapshots with their verdicts and findings, by their paths from the tree on.
fn survey(storage: &dyn Storage, root: &Location) -> Vec<String> {
    let catalog = Catalog::scan(storage, std::slice::from_ref(root)).expect("a scan");
    let map = PathMap { from: Location::parse(FLINK_ROOT).expect("a path"), to: root.clone() };
    let judge = Judge {
        inventory: Inventory::for_one(storage),
        maps: PathMaps::new(vec![map]),
        progress: &Silent,
        neighbours: Vec::new(),
        keep_files: false,
    };
    let mut lines: Vec<String> = Vec::new();
    for snapshot in &catalog.snapshots {
        let report = judge.judge(snapshot);
        let findings: Vec<String> = report.findings.iter().map(|finding| format!("{:?}", finding.code)).collect();
        let place = snapshot.dir.strip_prefix(root).expect("below the root");
        lines.push(format!("{place} {:?} {} files {findings:?}", report.verdict, report.used.len()));
    }
    lines.sort();
    lines
}

pub fn upload(store: &dyn WriteStorage, from: &Path, to: &Location) {
    let entries = walkdir::WalkDir::new(from).into_iter().map(|entry| entry.expect("an entry"));
    let files: Vec<_> = entries.filter(|entry| entry.file_type().is_file()).collect();
    thread::scope(|scope| {
        for part in files.chunks(files.len().div_ceil(16).max(1)) {
            scope.spawn(move || {
                for entry in part {
                    let inside = entry.path().strip_prefix(from).expect("below").to_string_lossy().into_owned();
                    let bytes = fs::read(entry.path()).expect("a file");
                    let file = to.with_suffix(&format!("/{inside}"));
                    if to.scheme() == Some("hdfs") {
                        store.create_dirs(&file.parent().expect("a directory")).expect("a directory");
                    }
                    store.publish(&file, &bytes).unwrap_or_else(|e| panic!("{e}"));
                }
            });
        }
    });
}

/// Asks for the verdicts on the corpus in a store and here, each case in a new directory; and again with a file less.
fn judge_as_here(stores: &Stores, new_directory: impl Fn() -> Location) {
    let mut judged = 0;
    // All of it takes minutes; some of it tells most.
    let step = if std::env::var_os("CI").is_some() { 1 } else { 6 };
    for archive in archives().into_iter().step_by(step) {
        let case = Case::unpack(&archive);
        let root = new_directory();
        upload(stores, &case.root, &root);
        let local = Location::parse(&case.root.to_string_lossy()).expect("a path");
        let wanted = survey(&LocalStorage, &local);
        assert_eq!(survey(stores, &root), wanted, "{}", case.name);
        // As the commands see it, which ask for a listing once.
        assert_eq!(survey(&Remembered::new(stores.clone()), &root), wanted, "{}", case.name);
        judged += wanted.len();
        let data =
            walkdir::WalkDir::new(case.tree()).sort_by_file_name().into_iter().map(|entry| entry.expect("an entry"));
        let data = data.filter(|entry| entry.file_type().is_file() && entry.file_name() != "_metadata").nth(1);
        if let Some(entry) = data {
            let inside = entry.path().strip_prefix(&case.root).expect("below").to_string_lossy().into_owned();
            fs::remove_file(entry.path()).expect("removed");
            assert_eq!(stores.delete(&root.with_suffix(&format!("/{inside}"))), Ok(true));
            assert_eq!(survey(stores, &root), survey(&LocalStorage, &local), "{} without {inside}", case.name);
        }
    }
    assert!(judged > 50 / step, "{judged} snapshots");
}

#[test]
fn the_corpus_on_s3_is_judged_as_on_the_local_disk() {
    with_s3(|s3| {
        // With the marker of entropy in the way, which is part of the names here.
        judge_as_here(&Stores::new(One(s3.store())), || s3.dir("_entropy_/corpus"));
    });
}

#[test]
fn the_corpus_on_hdfs_is_judged_as_on_the_local_disk() {
    with_hdfs(|hdfs, dir| {
        let count = std::cell::Cell::new(0);
        judge_as_here(&Stores::new(One(hdfs.storage())), || {
            count.set(count.get() + 1);
            dir.with_suffix(&format!("/{}", count.get()))
        });
    });
}
