//! Names and references that are not Flink's: nothing is read where a snapshot has nothing, and nothing is written
//! outside DEST.

use super::super::support::{Case, metadata_files};
use super::made::{at, promote};
use chkctl::edit::streams;
use chkctl::format;
use chkctl::model::Location;
use chkctl::model::handle::{Segment, StateScope, StreamHandle};
use chkctl::promote::{Options, PromoteError};
use chkctl::storage::LocalStorage;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const SECRET: &[u8] = b"root:x:0:0";
const JOB: &str = "0f9f3a7c7f769c1e9f824984a45f200a";
const UUID: &str = "592d8a9a-a77d-4b55-83b8-8fc7e23b5341";

/// A job directory with one checkpoint whose handles say what a test likes, and a secret outside.
struct Trap {
    dir: TempDir,
}

impl Trap {
    fn new() -> Self {
        let trap = Trap { dir: tempfile::tempdir().expect("a directory") };
        for dir in [trap.chk(), trap.job().join("shared"), trap.path("secret")] {
            fs::create_dir_all(dir).expect("directories");
        }
        fs::write(trap.path("secret/passwd"), SECRET).expect("a file");
        fs::write(trap.path("secret").join(UUID), SECRET).expect("a file");
        trap
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().expect("there").join(name)
    }

    fn job(&self) -> PathBuf {
        self.path("ck").join(JOB)
    }

    fn chk(&self) -> PathBuf {
        self.job().join("chk-7")
    }

    /// Writes a `_metadata` whose files are these, in turn, and promotes it by force: the judge is not asked.
    fn promote(&self, handles: &[StreamHandle<'static>], allow_outside: bool) -> Result<PathBuf, PromoteError> {
        let case = Case::named("kitchen-heap-files-2.3.0");
        let bytes = fs::read(&metadata_files(&case.tree())[0]).expect("a _metadata");
        let mut metadata = format::decode(&bytes).expect("decodes");
        let mut next = handles.iter().cycle();
        let mut change = |_: streams::StreamUse<'_>, stream: &mut StreamHandle<'_>| {
            if matches!(stream, StreamHandle::File { .. } | StreamHandle::Relative { .. }) {
                *stream = next.next().expect("a handle").clone();
            }
            Ok::<(), ()>(())
        };
        streams::rewrite(&mut metadata, &mut change).expect("nothing fails");
        fs::write(self.chk().join("_metadata"), format::encode(&metadata).expect("encodes")).expect("a _metadata");
        let dest = self.path("dest");
        let options = Options { force: true, allow_outside, ..Options::default() };
        promote(&LocalStorage, &place(&self.chk()), &place(&dest), &options).map(|_| dest)
    }

    /// What a promote made of these files: the contents, sorted.
    fn copied(&self, handles: &[StreamHandle<'static>], allow_outside: bool) -> Vec<Vec<u8>> {
        let dest = self.promote(handles, allow_outside).expect("promoted");
        let entries = fs::read_dir(&dest).expect("a listing").map(|entry| entry.expect("an entry"));
        let files =
            entries.filter(|entry| !["_metadata", "chkctl.manifest"].contains(&&*entry.file_name().to_string_lossy()));
        let mut contents: Vec<Vec<u8>> = files.map(|entry| fs::read(entry.path()).expect("a file")).collect();
        contents.sort();
        contents
    }
}

fn place(path: &Path) -> Location {
    at(path.to_str().expect("UTF-8"))
}

fn absolute(path: &Path) -> StreamHandle<'static> {
    StreamHandle::File { size: 10, path: chkctl::wire::JavaStr::from(path.to_str().expect("UTF-8")).into_owned() }
}

fn relative(path: &'static str) -> StreamHandle<'static> {
    StreamHandle::Relative { size: 10, path: path.into() }
}

fn segment(path: &Path, start: i64, size: i64) -> StreamHandle<'static> {
    let path = chkctl::wire::JavaStr::from(path.to_str().expect("UTF-8")).into_owned();
    let logical_file_id = UUID.into();
    StreamHandle::Segment(Box::new(Segment { start, size, scope: StateScope::Shared, path, logical_file_id }))
}

#[test]
fn a_file_outside_is_copied_only_on_request() {
    for case in 0..5 {
        let trap = Trap::new();
        let handle = match case {
            0 => absolute(&trap.path("secret/passwd")),
            1 => absolute(&trap.path("secret").join(UUID)),
            2 => relative("../../../secret/passwd"),
            3 => {
                symlink(trap.path("secret/passwd"), trap.chk().join(UUID)).expect("a link");
                relative(UUID)
            }
            _ => {
                symlink(trap.path("secret"), trap.job().join("taskowned")).expect("a link");
                absolute(&trap.job().join("taskowned").join(UUID))
            }
        };
        let refused = trap.promote(std::slice::from_ref(&handle), false);
        assert!(matches!(&refused, Err(PromoteError::Outside(list)) if list.len() == 1), "{case}: {refused:?}");
        assert!(!trap.path("dest").exists() && !trap.path(".dest.chkctl-promote").exists(), "{case}");
        assert_eq!(trap.copied(&[handle], true), [SECRET], "{case}");
    }
}

#[test]
fn a_job_directory_may_be_reached_through_links() {
    let trap = Trap::new();
    fs::write(trap.job().join("shared").join(UUID), b"0123456789").expect("a file");
    symlink(trap.path("ck"), trap.path("link")).expect("a link");
    let through = trap.path("link").join(JOB).join("shared").join(UUID);
    assert_eq!(
        trap.copied(&[absolute(&through), absolute(&trap.job().join("shared").join(UUID))], false),
        [b"0123456789"]
    );
}

#[test]
fn names_that_mean_something_or_are_no_names_are_changed() {
    let trap = Trap::new();
    for name in ["chkctl.manifest", "a\nb", ".hidden", "spaced name"] {
        fs::write(trap.chk().join(name), name).expect("a file");
    }
    let handles = [relative("chkctl.manifest"), relative("a\nb"), relative(".hidden"), relative("spaced name")];
    assert_eq!(trap.copied(&handles, false), [&b".hidden"[..], b"a\nb", b"chkctl.manifest", b"spaced name"]);
}

#[test]
fn two_files_of_one_name_stay_two() {
    let trap = Trap::new();
    fs::write(trap.job().join("shared").join(UUID), b"shared....").expect("a file");
    fs::write(trap.chk().join(UUID), b"exclusive.").expect("a file");
    let handles = [relative(UUID), absolute(&trap.job().join("shared").join(UUID))];
    assert_eq!(trap.copied(&handles, false), [b"exclusive.", b"shared...."]);
}

#[test]
fn segments_become_files_and_may_not_overlap() {
    let trap = Trap::new();
    let file = trap.job().join("shared").join(UUID);
    fs::write(&file, b"0123456789").expect("a file");
    let apart = [segment(&file, 0, 4), segment(&file, 6, 4), segment(&file, 6, 4)];
    assert_eq!(trap.copied(&apart, false), [b"0123", b"6789"]);
    fs::remove_dir_all(trap.path("dest")).expect("removed");
    for bad in [[segment(&file, 0, 4), segment(&file, 3, 4)], [segment(&file, -1, 4), segment(&file, 0, 1)]] {
        let refused = trap.promote(&bad, false);
        assert!(matches!(refused, Err(PromoteError::Refused(_))), "{refused:?}");
    }
}

#[test]
fn nothing_is_written_through_a_link() {
    let trap = Trap::new();
    fs::write(trap.chk().join(UUID), b"0123456789").expect("a file");
    fs::create_dir(trap.path("elsewhere")).expect("a directory");
    symlink(trap.path("elsewhere"), trap.path(".dest.chkctl-promote")).expect("a link");
    assert!(matches!(trap.promote(&[relative(UUID)], false), Err(PromoteError::Refused(_))));
    fs::remove_file(trap.path(".dest.chkctl-promote")).expect("removed");
    symlink(trap.path("elsewhere"), trap.path("dest")).expect("a link");
    assert!(matches!(trap.promote(&[relative(UUID)], false), Err(PromoteError::Exists(_))));
    assert_eq!(fs::read_dir(trap.path("elsewhere")).expect("a listing").count(), 0);
}
