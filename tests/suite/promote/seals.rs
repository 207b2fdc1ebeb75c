//! Seals: what `seal` writes, and what `verify --checksums` says of files that are not as they were.

use super::super::support::{Case, Run, metadata_files};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

/// A case with its last snapshot sealed.
fn sealed() -> (Case, PathBuf, PathBuf) {
    let case = Case::named("wc-claim-chain-1.20.5");
    let snapshot = metadata_files(&case.tree()).pop().expect("a snapshot").parent().expect("a directory").to_path_buf();
    let run = case.chkctl(["seal", "--json", &text(&snapshot)]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let seal = PathBuf::from(run.json()["snapshots"][0]["seal"].as_str().expect("a seal"));
    let name = snapshot.file_name().expect("a name").to_string_lossy().into_owned();
    assert_eq!(seal, snapshot.with_file_name(".chkctl").join(format!("seals/{name}.manifest")));
    (case, snapshot, seal)
}

fn verify(case: &Case, snapshot: &Path) -> Run {
    case.chkctl(["verify", "--checksums", "--json", &text(snapshot)])
}

fn codes(run: &Run) -> Vec<Value> {
    let findings = run.json()["snapshots"][0]["findings"].as_array().expect("findings").clone();
    findings.into_iter().map(|finding| finding["code"].clone()).collect()
}

#[test]
fn a_sealed_snapshot_is_compared_file_by_file() {
    let (case, snapshot, seal) = sealed();
    assert_eq!(verify(&case, &snapshot).status, 0);
    let lines = fs::read_to_string(&seal).expect("text").lines().count();
    let files = case.chkctl(["files", "--json", &text(&snapshot)]).json()["files"].as_array().expect("files").len();
    assert_eq!(lines, files + 2, "the _metadata, and the head");
    let shared = walkdir::WalkDir::new(case.tree()).into_iter().map(|entry| entry.expect("an entry"));
    let listed = case.chkctl(["files", "--json", &text(&snapshot)]).stdout;
    let file = shared
        .filter(|entry| entry.path().to_string_lossy().contains("/shared/"))
        .find(|entry| entry.file_type().is_file() && listed.contains(&*entry.file_name().to_string_lossy()))
        .expect("a shared file");
    let mut bytes = fs::read(file.path()).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(file.path(), &bytes).expect("a file");
    let run = verify(&case, &snapshot);
    assert_eq!((run.status, codes(&run)), (1, vec!["checksum-mismatch".into()]));
    assert_eq!(run.json()["snapshots"][0]["verdict"], "suspect");
    assert_eq!(case.chkctl(["verify", &text(&snapshot)]).status, 0, "nobody asked for checksums");
    bytes[middle] ^= 1;
    bytes.push(0);
    fs::write(file.path(), &bytes).expect("a file");
    assert!(codes(&verify(&case, &snapshot)).contains(&"checksum-mismatch".into()), "another size");
}

#[test]
fn a_changed_metadata_is_noticed() {
    let (case, snapshot, _) = sealed();
    let file = snapshot.join("_metadata");
    let mut bytes = fs::read(&file).expect("a _metadata");
    // The id of the checkpoint.
    bytes[15] ^= 1;
    fs::write(&file, bytes).expect("a _metadata");
    assert!(codes(&verify(&case, &snapshot)).contains(&"checksum-mismatch".into()));
}

#[test]
fn without_a_seal_it_is_said_and_with_a_bad_one_nothing_is_known() {
    let (case, snapshot, seal) = sealed();
    let good = fs::read(&seal).expect("a seal");
    fs::write(&seal, &good[..good.len() - 7]).expect("a seal");
    let run = verify(&case, &snapshot);
    assert_eq!((run.status, codes(&run)), (5, vec!["unreadable-seal".into()]));
    fs::remove_file(&seal).expect("removed");
    let run = verify(&case, &snapshot);
    assert_eq!(run.status, 0);
    assert!(run.stderr.contains("not sealed"), "{}", run.stderr);
}

#[test]
fn sealing_again_takes_what_is_there_now() {
    let (case, snapshot, _) = sealed();
    let mut files = fs::read_dir(&snapshot).expect("a listing").map(|entry| entry.expect("an entry").path());
    let file = files.find(|path| !path.ends_with("_metadata")).expect("a file");
    let mut bytes = fs::read(&file).expect("a file");
    bytes[0] ^= 1;
    fs::write(&file, bytes).expect("a file");
    assert_eq!(verify(&case, &snapshot).status, 1);
    assert_eq!(case.chkctl(["seal", &text(&snapshot)]).status, 0);
    assert!(!codes(&verify(&case, &snapshot)).contains(&"checksum-mismatch".into()));
}

#[test]
fn what_cannot_be_read_is_not_sealed() {
    let case = Case::named("wc-claim-compacted-1.20.5");
    let list = case.chkctl(["list", "--verify", "--json", &text(&case.tree())]).json();
    let broken = list["snapshots"].as_array().expect("snapshots").iter().find(|s| s["verdict"] == "broken").cloned();
    let path = broken.expect("a broken one")["path"].as_str().expect("a path").to_owned();
    let run = case.chkctl(["seal", &path]);
    assert_ne!(run.status, 0);
    assert!(!Path::new(&path).with_file_name(".chkctl").exists());
}

#[test]
fn a_copy_carries_its_own_seal() {
    let (case, elsewhere) = (Case::named("wc-filemerging-rocksdb-2.3.0"), tempfile::tempdir().expect("a directory"));
    let snapshot = metadata_files(&case.tree()).pop().expect("a snapshot");
    let dest = elsewhere.path().join("dest");
    assert_eq!(case.chkctl(["promote", &text(&snapshot), &text(&dest)]).status, 0);
    let moved = elsewhere.path().join("moved");
    fs::rename(&dest, &moved).expect("moved");
    assert_eq!(verify(&case, &moved).status, 0);
    let mut files = fs::read_dir(&moved).expect("a listing").map(|entry| entry.expect("an entry").path());
    let file = files.find(|path| path.file_name().is_some_and(|name| name.len() == 36)).expect("a file");
    let mut bytes = fs::read(&file).expect("a file");
    bytes[0] ^= 1;
    fs::write(&file, bytes).expect("a file");
    assert!(codes(&verify(&case, &moved)).contains(&"checksum-mismatch".into()));
}
