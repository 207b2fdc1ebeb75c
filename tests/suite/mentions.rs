//! Names of files in operator state, wherever and however it is written.

use super::support::{Case, FLINK_ROOT, metadata_files};
use chkctl::format::{decode, encode};
use chkctl::model::handle::{Segment, StateScope};
use chkctl::model::{OperatorHandle, StreamHandle, Subtasks};
use chkctl::wire::JavaStr;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

const WRITE_AHEAD: &str = "wal-taskowned-1.20.5";

/// Lets every handle of managed operator state be another; the directory is that of its snapshot.
fn change(case: &Case, change: impl Fn(&mut OperatorHandle<'_>, &Path)) {
    for file in metadata_files(&case.tree()) {
        let bytes = fs::read(&file).expect("a _metadata");
        let mut metadata = decode(&bytes).expect("decodes");
        for operator in &mut metadata.operators {
            let Subtasks::Some(subtasks) = &mut operator.subtasks else { continue };
            for state in subtasks.iter_mut().filter_map(|subtask| subtask.state.as_deref_mut()) {
                if let Some(handle) = &mut state.managed_operator.handle {
                    change(handle, file.parent().expect("a directory"));
                }
            }
        }
        fs::write(&file, encode(&metadata).expect("encodes")).expect("written");
    }
}

/// The bytes of a stream in line, or of a file beside the `_metadata`.
fn bytes_of(stream: &StreamHandle<'_>, dir: &Path) -> Vec<u8> {
    match stream {
        StreamHandle::Bytes(stream) => stream.data.to_vec(),
        StreamHandle::Relative { path, .. } => fs::read(dir.join(&*path.to_str())).expect("a file"),
        StreamHandle::File { path, .. } => {
            let name = path.to_str().rsplit('/').next().expect("a name").to_owned();
            fs::read(dir.join(name)).expect("a file")
        }
        other => panic!("{other:?}"),
    }
}

/// Of every file in `taskowned`: its name, and what `refs --deep` exits with.
fn answers(case: &Case) -> BTreeMap<String, i32> {
    let is_owned = |path: &PathBuf| path.parent().is_some_and(|dir| dir.ends_with("taskowned"));
    let files = walkdir::WalkDir::new(case.tree()).into_iter().map(|entry| entry.expect("an entry").into_path());
    let ask = |file: PathBuf| {
        let run = case.chkctl(["refs", "--deep", &file.display().to_string(), &case.tree().display().to_string()]);
        (file.file_name().expect("a name").to_string_lossy().into_owned(), run.status)
    };
    files.filter(is_owned).map(ask).collect()
}

/// As Flink compresses it: each element by itself, without the identifier of a stream.
fn compress(handle: &mut OperatorHandle<'_>, dir: &Path, damaged: bool) {
    let content = bytes_of(&handle.stream, dir);
    let mut starts: Vec<i64> = handle.states.iter().flat_map(|state| state.offsets.iter().copied()).collect();
    starts.sort_unstable();
    let Some(&first) = starts.first() else { return };
    assert_eq!(content[..5], [0, 0, 0, 6, 0], "its head");
    let mut out = content[..first as usize].to_vec();
    out[4] = 1;
    let mut moved = BTreeMap::new();
    for (index, &start) in starts.iter().enumerate() {
        let end = starts.get(index + 1).map_or(content.len(), |end| *end as usize);
        moved.insert(start, out.len() as i64);
        let mut encoder = snap::write::FrameEncoder::new(Vec::new());
        encoder.write_all(&content[start as usize..end]).expect("a vector");
        let frames = encoder.into_inner().expect("a vector");
        out.extend_from_slice(&frames[10..]);
    }
    if damaged {
        *out.last_mut().expect("bytes") ^= 0x55;
    }
    for offset in handle.states.iter_mut().flat_map(|state| &mut state.offsets) {
        *offset = moved[offset];
    }
    let name = format!("compressed-{}", fs::read_dir(dir).expect("a listing").count());
    fs::write(dir.join(&name), &out).expect("written");
    handle.stream = StreamHandle::Relative { size: out.len() as i64, path: JavaStr::from(&*name).into_owned() };
}

#[test]
fn merged_and_compressed_state_is_searched_as_plain_state_is() {
    let case = Case::named(WRITE_AHEAD);
    let wanted = answers(&case);
    assert!(wanted.values().any(|status| *status == 0) && wanted.values().all(|status| *status < 2), "{wanted:?}");
    // As segments of one file, each somewhere in it.
    change(&case, |handle, dir| {
        let content = bytes_of(&handle.stream, dir);
        let merged = dir.join("merged");
        let mut file = fs::read(&merged).unwrap_or_else(|_| vec![0xFF; 77]);
        let start = file.len() as i64;
        file.extend_from_slice(&content);
        fs::write(&merged, file).expect("written");
        let inside = merged.strip_prefix(&case.root).expect("below").display().to_string();
        handle.stream = StreamHandle::Segment(Box::new(Segment {
            start,
            size: content.len() as i64,
            path: JavaStr::from(&*format!("file:{FLINK_ROOT}/{inside}")).into_owned(),
            scope: StateScope::Exclusive,
            logical_file_id: JavaStr::from("1").into_owned(),
        }));
    });
    assert_eq!(answers(&case), wanted, "merged");
    let case = Case::named(WRITE_AHEAD);
    change(&case, |handle, dir| compress(handle, dir, false));
    assert_eq!(answers(&case), wanted, "compressed");
}

#[test]
fn what_cannot_be_searched_is_not_known_and_not_promoted() {
    let case = Case::named(WRITE_AHEAD);
    change(&case, |handle, dir| compress(handle, dir, true));
    assert!(answers(&case).values().any(|status| *status == 5));
    let (mut refused, dest) = (0, case.root.join("dest"));
    for file in metadata_files(&case.tree()) {
        let run = case.chkctl(["promote", &file.display().to_string(), &dest.display().to_string()]);
        refused += usize::from(run.status == 4 && run.stderr.contains("could not be found out"));
        let _ = fs::remove_dir_all(&dest);
    }
    assert!(refused > 0);
}
