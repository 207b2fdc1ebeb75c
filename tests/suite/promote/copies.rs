//! What a promoted snapshot is: for every snapshot of the corpus that Flink restores, with the tree it came from taken away.

use super::super::support::{Case, Run, archives, command, metadata_files};
use super::made;
use chkctl::format;
use chkctl::model::handle::StreamHandle;
use chkctl::model::{Metadata, Version};
use chkctl::survey::references::{self, Extent, Place};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Cases with every kind of state, backend and way of sharing files; all others of the corpus are like one of them.
const CASES: &[&str] = &[
    "async-forst-2.3.0",
    "kitchen-changelog-1.20.5",
    "kitchen-filemerging-across-1.20.5",
    "kitchen-filemerging-heap-2.3.0",
    "kitchen-finished-2.3.0",
    "kitchen-heap-files-2.3.0",
    "kitchen-rocksdb-heaptimers-1.20.5",
    "kitchen-rocksdb-inc-1.9.3",
    "kitchen-rocksdb-inc-1.11.4",
    "kitchen-rocksdb-inc-1.15.4",
    "kitchen-rocksdb-inc-2.3.0",
    "kitchen-unaligned-2.3.0",
    "raw-1.20.5",
    "wc-changelog-1.15.4",
    "wc-changelog-compressed-2.3.0",
    "wc-changelog-rocksdb-1.20.5",
    "wc-claim-chain-1.20.5",
    "wc-filemerging-rocksdb-1.20.5",
    "wc-filemerging-rocksdb-2.3.0",
    "wc-forst-2.3.0",
    "wc-heap-inline-1.20.5",
    "wc-heap-uids-2.0.2",
    "wc-nosubdir-1.20.5",
    "wc-reanchor-2.3.0",
    "wc-rocksdb-inc-1.10.3",
    "wc-rocksdb-retained5-2.3.0",
    "wc-savepoints-rocksdb-2.3.0",
    "wc-unaligned-1.16.3",
];

fn chkctl(args: &[&str]) -> Run {
    let mut command = command();
    command.args(args);
    Run::of(command)
}

fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

/// Promotes every restorable snapshot of a case; gives the snapshots and their copies.
fn promoted(case: &Case, elsewhere: &TempDir) -> Vec<(PathBuf, PathBuf)> {
    let mut copies = Vec::new();
    for (number, file) in metadata_files(&case.tree()).into_iter().enumerate() {
        let snapshot = file.parent().expect("a directory").to_path_buf();
        let verdict = case.chkctl(["verify", "--json", &text(&snapshot)]).json()["snapshots"][0]["verdict"].clone();
        let dest = elsewhere.path().join(number.to_string());
        let run = case.chkctl(["promote", &text(&snapshot), &text(&dest)]);
        if verdict == "restorable" {
            assert_eq!(run.status, 0, "{}: {}{}", snapshot.display(), run.stdout, run.stderr);
            copies.push((snapshot, dest));
        } else {
            assert_eq!(run.status, 4, "{} is {verdict}: {}", snapshot.display(), run.stderr);
            assert!(!dest.exists(), "a refused snapshot leaves nothing");
        }
    }
    copies
}

/// Every file below a directory, with its content.
fn tree(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = walkdir::WalkDir::new(dir).into_iter().map(|entry| entry.expect("an entry"));
    let files = files.filter(|entry| entry.file_type().is_file());
    files.map(|entry| (entry.path().to_path_buf(), fs::read(entry.path()).expect("a file"))).collect()
}

#[test]
fn a_copy_is_whole_without_the_tree_that_it_came_from() {
    for name in CASES {
        let (case, elsewhere) = (Case::named(name), tempfile::tempdir().expect("a directory"));
        let before = tree(&case.tree());
        let copies = promoted(&case, &elsewhere);
        assert!(!copies.is_empty(), "{name}");
        assert!(tree(&case.tree()) == before, "{name}: the source is byte for byte what it was");
        fs::remove_dir_all(case.tree()).expect("the tree goes");
        for (snapshot, dest) in copies {
            let run = chkctl(&["verify", "--deep", "--checksums", "--json", &text(&dest)]);
            let report = &run.json()["snapshots"][0];
            assert_eq!((run.status, &report["verdict"]), (0, &"restorable".into()), "{}: {report}", snapshot.display());
            assert!(!run.stderr.contains("not sealed"), "{}", run.stderr);
        }
    }
}

/// Handles with the places of their files taken out, and segments as the files that they become.
fn without_places(metadata: &mut Metadata<'_>) {
    let forget = |_: chkctl::edit::streams::StreamUse<'_>, stream: &mut StreamHandle<'_>| {
        let size = match stream {
            StreamHandle::File { size, .. } | StreamHandle::Relative { size, .. } => *size,
            StreamHandle::Segment(segment) => segment.size,
            _ => return Ok(()),
        };
        *stream = StreamHandle::Relative { size, path: "".into() };
        Ok::<(), ()>(())
    };
    chkctl::edit::streams::rewrite(metadata, &mut { forget }).expect("nothing fails");
    for operator in &mut metadata.operators {
        let chkctl::model::Subtasks::Some(subtasks) = &mut operator.subtasks else { continue };
        for state in subtasks.iter_mut().filter_map(|subtask| subtask.state.as_deref_mut()) {
            for slot in [&mut state.managed_operator, &mut state.raw_operator] {
                if slot.handle.as_ref().is_some_and(|h| h.merging.as_ref().is_some_and(|dirs| dirs.empty != 0)) {
                    *slot = chkctl::model::OperatorSlot::default();
                }
                if let Some(handle) = &mut slot.handle {
                    handle.merging = None;
                }
            }
        }
    }
}

#[test]
fn but_for_the_places_of_files_the_handles_are_what_they_were() {
    for name in CASES {
        let (case, elsewhere) = (Case::named(name), tempfile::tempdir().expect("a directory"));
        for (snapshot, dest) in promoted(&case, &elsewhere) {
            let [old, new] = [snapshot, dest].map(|dir| fs::read(dir.join("_metadata")).expect("a _metadata"));
            let mut old = format::decode(&old).expect("decodes");
            let mut new = format::decode(&new).expect("decodes");
            without_places(&mut old);
            without_places(&mut new);
            assert!(format::encode(&old) == format::encode(&new), "{name}");
        }
    }
}

#[test]
fn handles_are_relative_unless_the_releases_that_read_them_go_on_with_the_files() {
    for name in CASES {
        let (case, elsewhere) = (Case::named(name), tempfile::tempdir().expect("a directory"));
        for (_, dest) in promoted(&case, &elsewhere) {
            let bytes = fs::read(dest.join("_metadata")).expect("a _metadata");
            let metadata = format::decode(&bytes).expect("decodes");
            let (mut relative, mut absolute) = (0, 0);
            references::walk(&metadata, |reference| match &reference.place {
                Place::Relative(_) => relative += 1,
                Place::Absolute(path) => {
                    absolute += 1;
                    assert!(path.to_str().starts_with(&format!("file:{}/", dest.display())), "{path}");
                }
            });
            let named = metadata.version == Version::V2
                || (metadata.version == Version::V3 && (name.contains("rocksdb") || name.contains("changelog")));
            match named {
                // Canonical savepoints of these have nothing that a job goes on with.
                true => assert!(relative == 0 || absolute == 0, "{name}"),
                false => assert_eq!(absolute, 0, "{name}"),
            }
        }
    }
}

#[test]
fn every_file_is_copied_once_and_of_merged_files_what_is_in_use() {
    for name in CASES {
        let (case, elsewhere) = (Case::named(name), tempfile::tempdir().expect("a directory"));
        for (snapshot, dest) in promoted(&case, &elsewhere) {
            let bytes = fs::read(snapshot.join("_metadata")).expect("a _metadata");
            let metadata = format::decode(&bytes).expect("decodes");
            let mut wanted = BTreeMap::new();
            references::walk(&metadata, |reference| {
                let (Place::Absolute(path) | Place::Relative(path)) = &reference.place;
                let (start, whole) = match reference.extent {
                    Extent::Segment { start, .. } => (start, false),
                    Extent::Whole(_) => (0, true),
                };
                let path = path.to_str().into_owned();
                let here =
                    if path.starts_with('/') || path.contains(':') { case.here(&path) } else { snapshot.join(&path) };
                let size = if whole { fs::metadata(&here).expect("there").len() } else { reference.extent.bytes() };
                wanted.insert((here, start, whole), size);
            });
            let files: BTreeMap<PathBuf, Vec<u8>> = tree(&dest);
            let own = ["_metadata", "chkctl.manifest"].map(|name| dest.join(name));
            let copied: Vec<u64> =
                files.iter().filter(|(path, _)| !own.contains(path)).map(|(_, bytes)| bytes.len() as u64).collect();
            assert_eq!(copied.len(), wanted.len(), "{}", snapshot.display());
            assert_eq!(copied.iter().sum::<u64>(), wanted.values().sum::<u64>(), "{}", snapshot.display());
        }
    }
}

#[test]
fn every_archive_of_the_corpus_gives_copies_or_a_reason() {
    // What Flink restored can be promoted, but for a write-ahead sink, whose files are known to nothing but itself.
    let mut refused = BTreeSet::new();
    for archive in archives().iter().filter(|archive| archive.to_string_lossy().contains("wal-taskowned")) {
        let case = Case::unpack(archive);
        for file in metadata_files(&case.tree()) {
            let dest = case.root.join("dest");
            let run = case.chkctl(["promote", &text(&file), &text(&dest)]);
            if run.status == 4 {
                assert!(run.stderr.contains("write-ahead sink"), "{}", run.stderr);
                refused.insert(case.name.clone());
                let forced = case.chkctl(["promote", "--force", &text(&file), &text(&dest)]);
                assert_eq!(forced.status, 0, "{}", forced.stderr);
            }
            let _ = fs::remove_dir_all(&dest);
        }
    }
    assert_eq!(refused.len(), 2, "{refused:?}");
}

#[test]
fn a_copy_in_the_snapshot_itself_is_refused() {
    let case = Case::named("wc-claim-chain-1.20.5");
    let snapshot = metadata_files(&case.tree()).pop().expect("a snapshot");
    let dir = snapshot.parent().expect("a directory");
    std::os::unix::fs::symlink(dir, case.root.join("link")).expect("a link");
    let before = tree(&case.root);
    for dest in [dir.join("copy"), dir.join("a/b"), case.root.join("link/copy")] {
        for args in [vec![text(&dest)], vec!["--archive".to_owned(), text(&dest.with_extension("tar.zst"))]] {
            let run = case.chkctl([vec!["promote".to_owned(), text(&snapshot)], args].concat());
            assert_eq!(run.status, 4, "{}", run.stderr);
            assert!(run.stderr.contains("lies in the snapshot"), "{}", run.stderr);
        }
    }
    assert!(tree(&case.root) == before, "the snapshot is as it was");
}

#[test]
fn a_linked_copy_has_the_very_files() {
    use std::os::unix::fs::MetadataExt as _;
    let case = Case::named("wc-claim-chain-1.20.5");
    let snapshot = metadata_files(&case.tree()).pop().expect("a snapshot");
    let dest = case.root.join("dest");
    let run = case.chkctl(["promote", "--link", "--json", &text(&snapshot), &text(&dest)]);
    let json: Value = run.json();
    assert!(json["linked"].as_u64() > Some(0) && json["linked"] == json["files"], "{json}");
    let links = tree(&dest).into_keys().filter(|path| fs::metadata(path).expect("there").nlink() == 2).count();
    assert_eq!(Some(links as u64), json["linked"].as_u64());
    assert_eq!(chkctl(&["verify", "--deep", "--checksums", &text(&dest)]).status, 0);
}

#[test]
fn an_empty_dest_is_taken_and_any_other_is_left_alone() {
    let case = Case::named("wc-heap-files-1.20.5");
    let snapshot = text(metadata_files(&case.tree()).pop().expect("a snapshot").parent().expect("a directory"));
    let [empty, full, file] = ["empty", "full", "file"].map(|name| case.root.join(name));
    fs::create_dir(&empty).expect("a directory");
    fs::create_dir(&full).expect("a directory");
    fs::write(full.join("x"), b"x").expect("a file");
    fs::write(&file, b"x").expect("a file");
    assert_eq!(case.chkctl(["promote", &snapshot, &text(&empty)]).status, 0);
    for taken in [&full, &file, &empty] {
        let run = case.chkctl(["promote", &snapshot, &text(taken)]);
        assert_eq!(run.status, 4, "{}: {}", taken.display(), run.stderr);
        assert!(run.stderr.contains("is there already"), "{}", run.stderr);
    }
    assert_eq!(fs::read_dir(&full).expect("a listing").count(), 1);
    assert!(!case.root.join(".full.chkctl-promote").exists());
}

#[test]
fn a_plan_says_what_would_be_copied_and_copies_nothing() {
    let elsewhere = tempfile::tempdir().expect("a directory");
    let case = Case::named("wc-filemerging-rocksdb-2.3.0");
    let snapshot = text(&metadata_files(&case.tree()).pop().expect("a snapshot"));
    let dest = elsewhere.path().join("dest");
    let planned = case.chkctl(["promote", "--plan", "--json", &snapshot, &text(&dest)]).json();
    assert!(!dest.exists() && !elsewhere.path().join(".dest.chkctl-promote").exists());
    let done = case.chkctl(["promote", "--json", &snapshot, &text(&dest)]).json();
    assert_eq!((planned["done"].clone(), done["done"].clone()), (false.into(), true.into()));
    assert_eq!((&planned["files"], &planned["bytes"]), (&done["files"], &done["bytes"]));
    let next = done["next"].as_str().expect("a command");
    assert_eq!(next, format!("flink run -s file:{} ...", dest.display()));
}

#[test]
fn what_is_broken_is_promoted_by_force_and_stays_broken() {
    let case = Case::named("wc-claim-2.3.0");
    let broken = case.chkctl(["list", "--verify", "--json", &text(&case.tree())]).json();
    let broken = broken["snapshots"].as_array().expect("snapshots").iter().find(|s| s["verdict"] == "broken").cloned();
    let snapshot = broken.expect("a broken one")["path"].as_str().expect("a path").to_owned();
    let dest = case.root.join("dest");
    let refused = case.chkctl(["promote", &snapshot, &text(&dest)]);
    assert_eq!(refused.status, 4);
    assert!(refused.stderr.contains("is broken and was not promoted"), "{}", refused.stderr);
    let forced = case.chkctl(["promote", "--force", "--json", &snapshot, &text(&dest)]);
    assert_eq!((forced.status, &forced.json()["verdict"]), (1, &"broken".into()), "{}", forced.stderr);
    assert!(forced.json()["missing"].as_u64() > Some(0));
    assert_eq!(chkctl(&["verify", &text(&dest)]).status, 1);
}

#[test]
fn on_request_the_handles_name_dest() {
    let elsewhere = tempfile::tempdir().expect("a directory");
    let case = Case::named("wc-rocksdb-retained5-2.3.0");
    let snapshot = made::snapshots(&case).pop().expect("a snapshot");
    let dest = elsewhere.path().join("dest");
    let run = case.chkctl(["promote", "--absolute", &snapshot.to_string(), &text(&dest)]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let bytes = fs::read(dest.join("_metadata")).expect("a _metadata");
    references::walk(&format::decode(&bytes).expect("decodes"), |reference| {
        assert!(matches!(reference.place, Place::Absolute(_)));
    });
    fs::remove_dir_all(case.tree()).expect("the tree goes");
    assert_eq!(chkctl(&["verify", "--deep", &text(&dest)]).status, 0);
}
