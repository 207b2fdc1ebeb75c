//! `verify --deep` over the trees of real Flink: no false alarm in what Flink wrote, every damage that can be proved, and
//! the ways to do it in parts.

use super::support::{Case, Run, archives, metadata_files};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

fn json(run: &Run) -> Value {
    serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {} {}", run.stdout, run.stderr))
}

fn verify(case: &Case, place: &Path, options: &[&str]) -> (Value, Run) {
    let mut args = vec!["verify".to_owned(), "--json".to_owned(), place.to_string_lossy().into_owned()];
    args.extend(options.iter().map(|&option| option.to_owned()));
    let run = case.chkctl(&args);
    (json(&run), run)
}

fn snapshots(value: &Value) -> &[Value] {
    value["snapshots"].as_array().expect("snapshots")
}

/// The newest snapshot of a case that is restorable.
fn newest(case: &Case) -> PathBuf {
    let (value, _) = verify(case, &case.tree(), &[]);
    let good = snapshots(&value).iter().find(|snapshot| snapshot["verdict"] == "restorable").expect("a good one");
    PathBuf::from(good["path"].as_str().expect("a path"))
}

/// The file of a path in a finding or handle, here.
fn files_of(case: &Case, snapshot: &Path, ending: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let run = case.chkctl([Path::new("files"), Path::new("--json"), snapshot]);
    let value: Value = json(&run);
    let all = value["files"].as_array().expect("files");
    let states = |file: &Value| -> Vec<String> {
        let owners = file["owners"].as_array().expect("owners").iter();
        owners.filter_map(|owner| owner["state"].as_str().map(str::to_owned)).collect()
    };
    let chosen = all.iter().filter(|file| states(file).iter().any(|state| ending(state)));
    let mut paths: Vec<PathBuf> = chosen.map(|file| case.here(file["path"].as_str().expect("a path"))).collect();
    paths.dedup();
    paths
}

#[test]
fn nothing_that_flink_wrote_raises_an_alarm() {
    let mut read = 0;
    for archive in archives() {
        let case = Case::unpack(&archive);
        if metadata_files(&case.tree()).is_empty() {
            continue;
        }
        let (shallow, _) = verify(&case, &case.tree(), &[]);
        let (deep, _) = verify(&case, &case.tree(), &["--deep"]);
        for (before, after) in snapshots(&shallow).iter().zip(snapshots(&deep)) {
            assert_eq!(
                (&before["verdict"], &before["findings"]),
                (&after["verdict"], &after["findings"]),
                "{}: {}",
                case.name,
                before["path"]
            );
            read += after["deep"]["read"].as_u64().unwrap_or(0);
        }
    }
    assert!(read > 2_000, "{read} streams were read");
}

#[test]
fn all_parts_of_a_subset_together_find_what_the_whole_finds() {
    let case = Case::named("kitchen-rocksdb-inc-1.20.5");
    let snapshot = newest(&case);
    let mut damaged = 0;
    for file in files_of(&case, &snapshot, |state| state.ends_with(".sst")) {
        let mut bytes = fs::read(&file).expect("an SST file");
        let middle = bytes.len() / 3;
        bytes[middle] ^= 0x40;
        fs::write(&file, bytes).expect("it can be written");
        damaged += 1;
    }
    assert!(damaged >= 4, "{damaged} SST files");
    let findings = |value: &Value| {
        let all = snapshots(value)[0]["findings"].as_array().expect("findings").clone();
        all.into_iter().map(|finding| finding.to_string()).collect::<Vec<_>>()
    };
    let (whole, _) = verify(&case, &snapshot, &["--deep"]);
    let mut whole = findings(&whole);
    let mut parts = Vec::new();
    let mut read = 0;
    for part in ["1/3", "2/3", "3/3"] {
        let (value, _) = verify(&case, &snapshot, &["--deep", "--subset", part]);
        parts.extend(findings(&value));
        let deep = &snapshots(&value)[0]["deep"];
        assert!(deep["read"].as_u64() < deep["streams"].as_u64(), "a part is not the whole");
        read += deep["read"].as_u64().unwrap_or(0);
    }
    whole.sort();
    parts.sort();
    parts.dedup();
    assert_eq!(whole, parts);
    assert!(read > 0);
}

#[test]
fn a_run_that_is_out_of_time_is_no_verdict_and_the_next_one_goes_on() {
    let case = Case::named("wc-rocksdb-retained5-1.20.5");
    let snapshot = newest(&case);
    let journal = case.root.join("journal");
    let journal = journal.to_str().expect("a path");
    let (value, run) = verify(&case, &snapshot, &["--deep", "--max-duration", "0s", "--resume", journal]);
    assert_eq!((snapshots(&value)[0]["verdict"].as_str(), run.status), (Some("unknown"), 5));
    assert_eq!(snapshots(&value)[0]["findings"][0]["code"], "not-all-read");
    let (value, run) = verify(&case, &snapshot, &["--deep", "--resume", journal]);
    assert_eq!((snapshots(&value)[0]["verdict"].as_str(), run.status), (Some("restorable"), 0));
    // Everything that is in files is in the journal now, so no time is needed for it.
    let (value, run) = verify(&case, &snapshot, &["--deep", "--max-duration", "0s", "--resume", journal]);
    let deep = &snapshots(&value)[0]["deep"];
    let inline = deep["streams"].as_u64().zip(deep["read"].as_u64()).map(|(all, read)| all - read);
    assert!(run.status == 0 || inline > Some(0), "{value}");
    // A file that has changed since is read again.
    let file = &files_of(&case, &snapshot, |state| state.ends_with(".sst"))[0];
    let mut bytes = fs::read(file).expect("an SST file");
    bytes[10] ^= 1;
    fs::write(file, bytes).expect("it can be written");
    let (value, run) = verify(&case, &snapshot, &["--deep", "--resume", journal]);
    assert_eq!((snapshots(&value)[0]["verdict"].as_str(), run.status), (Some("suspect"), 1), "{value}");
}

#[test]
fn latest_passes_over_a_snapshot_whose_bytes_are_damaged_if_told_to_read_them() {
    let case = Case::named("kitchen-heap-files-1.20.5");
    let snapshot = newest(&case);
    let file = &files_of(&case, &snapshot, |state| state.contains("managed keyed state"))[0];
    let mut bytes = fs::read(file).expect("keyed state");
    bytes[0] ^= 0x20;
    fs::write(file, bytes).expect("it can be written");
    let tree = case.tree();
    let shallow = case.chkctl([Path::new("latest"), &tree]);
    assert_eq!(shallow.stdout.trim_end(), snapshot.to_string_lossy());
    let deep = case.chkctl([Path::new("latest"), Path::new("--deep"), &tree]);
    assert_ne!(deep.stdout, shallow.stdout);
    assert!(deep.stderr.contains("skipped (broken)"), "{}", deep.stderr);
}
