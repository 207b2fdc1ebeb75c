//! Deep checks of timers in raw keyed state, of changes and of frames: what Flink reads, what it refuses, what it passes over.

use super::support::{Case, Run, archives, metadata_files};
use chkctl::format;
use chkctl::model::damage::Effect;
use chkctl::model::handle::{KeyGroups, KeyedHandle, StreamHandle};
use chkctl::model::{Checked, KeyGroupRange};
use chkctl::state::check::raw_timers;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// A stream of raw keyed state.
struct Raw {
    from: String,
    bytes: Vec<u8>,
    range: KeyGroupRange,
    offsets: Vec<i64>,
    max_parallelism: i32,
}

impl Raw {
    fn check(&self, bytes: &[u8]) -> Option<Checked> {
        self.check_as(bytes, self.range)
    }

    fn check_as(&self, bytes: &[u8], range: KeyGroupRange) -> Option<Checked> {
        let kind = chkctl::model::handle::KeyGroupsKind::Plain;
        let groups = KeyGroups { kind, range, offsets: self.offsets.clone(), stream: StreamHandle::EmptySegment };
        raw_timers(&bytes, &groups, self.max_parallelism, &|_| {}).expect("memory")
    }
}

fn raw_streams(case: &Case, metadata: &Path) -> Vec<Raw> {
    let bytes = fs::read(metadata).expect("a _metadata");
    let model = format::decode(&bytes).expect("a _metadata that can be read");
    let mut found = Vec::new();
    for operator in &model.operators {
        for subtask in operator.subtasks() {
            let Some(state) = &subtask.state else { continue };
            for (raw, handle) in state.keyed_handles() {
                let KeyedHandle::KeyGroups(groups) = handle else { continue };
                if !raw {
                    continue;
                }
                let bytes = match &groups.stream {
                    StreamHandle::Bytes(bytes) => bytes.data.to_vec(),
                    StreamHandle::File { path, .. } => fs::read(case.here(&path.to_str())).expect("a file"),
                    StreamHandle::Relative { path, .. } => {
                        fs::read(metadata.parent().expect("a directory").join(&*path.to_str())).expect("a file")
                    }
                    other => panic!("{other:?}"),
                };
                found.push(Raw {
                    from: format!("{} {} {}", metadata.display(), operator.id, subtask.index),
                    bytes,
                    range: groups.range,
                    offsets: groups.offsets.clone(),
                    max_parallelism: operator.max_parallelism,
                });
            }
        }
    }
    found
}

#[test]
fn nothing_is_wrong_with_timers_that_flink_wrote_and_other_raw_state_is_left_alone() {
    let mut seen: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for archive in archives() {
        let case = Case::unpack(&archive);
        for metadata in metadata_files(&case.tree()) {
            for raw in raw_streams(&case, &metadata) {
                let checked = raw.check(&raw.bytes);
                let (timers, others) = seen.entry(case.name.clone()).or_default();
                match checked {
                    Some(checked) => {
                        assert_eq!(checked, Checked::default(), "{}", raw.from);
                        *timers += 1;
                    }
                    None => *others += 1,
                }
            }
        }
    }
    println!("{seen:?}");
    assert!(seen.iter().any(|(name, (timers, _))| name.contains("heaptimers") && *timers > 0), "{seen:?}");
    assert!(seen.iter().any(|(name, (_, others))| name.contains("raw") && *others > 0), "{seen:?}");
}

/// A stream of timers that is short enough to be damaged byte by byte.
fn timers() -> Raw {
    let case = Case::named("kitchen-rocksdb-heaptimers-1.20.5");
    let all = metadata_files(&case.tree()).into_iter().flat_map(|metadata| raw_streams(&case, &metadata));
    let timers = all.filter(|raw| raw.check(&raw.bytes).is_some());
    timers.max_by_key(|raw| raw.bytes.len().min(60_000)).expect("timers")
}

#[test]
fn cuts_and_changes_of_timers_are_found() {
    let raw = timers();
    let (mut tried, mut found, mut silent) = (0, 0, Vec::new());
    let length = raw.bytes.len().min(6_000);
    for at in (0..length).chain((length..raw.bytes.len()).step_by(37)) {
        let fails = |checked: &Checked| checked.damages.iter().any(|damage| damage.effect == Effect::Fails);
        if at > 8 {
            let cut = raw.check(&raw.bytes[..at]).expect("timers still");
            assert!(fails(&cut), "cut at {at} of {}: {cut:?}", raw.bytes.len());
        }
        for flip in [1, 0x20, 0xff] {
            let mut damaged = raw.bytes.clone();
            damaged[at] ^= flip;
            let checked = raw.check(&damaged).expect("timers still");
            tried += 1;
            match checked.damages.is_empty() && checked.opaque.is_empty() {
                true => silent.push(at),
                false => found += 1,
            }
        }
    }
    println!(
        "{found} of {tried} changes found in {} bytes; silent: {:?}",
        raw.bytes.len(),
        &silent[..silent.len().min(60)]
    );
    assert!(found * 100 >= tried * 80, "{found} of {tried}");
}

#[test]
fn a_timer_of_another_subtask_fails_the_restore_and_one_of_another_key_group_does_not() {
    let raw = timers();
    let with = |range: KeyGroupRange, effect| {
        let checked = raw.check_as(&raw.bytes, range).expect("timers");
        checked.damages.iter().any(|damage| damage.effect == effect && damage.problem.contains("belong into other"))
    };
    let KeyGroupRange { start, count } = raw.range;
    assert!(!with(raw.range, Effect::Fails) && !with(raw.range, Effect::Starts));
    // All key groups are taken for ones behind them: the keys of none are in the range.
    assert!(with(KeyGroupRange { start: start + count, count }, Effect::Fails));
    // All are taken for the next one: most keys are in the range still, where another one stands.
    let longer = KeyGroupRange { start: start + 1, count };
    assert!(with(longer, Effect::Starts) || with(longer, Effect::Fails));
    assert!(!with(KeyGroupRange { start: 0, count: 0 }, Effect::Starts), "nothing of an empty range");
}

fn verdict(case: &Case, snapshot: &Path) -> (String, Value) {
    let words = ["verify", "--json", "--deep"].map(str::to_owned).into_iter();
    let args: Vec<String> = words.chain([snapshot.to_string_lossy().into_owned()]).collect();
    let run: Run = case.chkctl(&args);
    let value: Value = serde_json::from_str(&run.stdout).expect("JSON");
    let judged = value["snapshots"][0].clone();
    (judged["verdict"].as_str().expect("a verdict").to_owned(), judged)
}

/// A snapshot of compressed state, and its files of a kind of state.
fn compressed(state: &str) -> (Case, std::path::PathBuf, Vec<std::path::PathBuf>) {
    let case = Case::named("kitchen-compressed-1.20.5");
    for metadata in metadata_files(&case.tree()) {
        let snapshot = metadata.parent().expect("a directory").to_path_buf();
        let run = case.chkctl([Path::new("files"), Path::new("--json"), &snapshot]);
        let value: Value = serde_json::from_str(&run.stdout).expect("JSON");
        let of_state = |file: &&Value| {
            let owners = file["owners"].as_array().expect("owners");
            owners.iter().any(|owner| owner["state"].as_str().is_some_and(|name| name.contains(state)))
        };
        let files = value["files"].as_array().expect("files").iter().filter(of_state);
        let paths: Vec<_> = files.map(|file| case.here(file["path"].as_str().expect("a path"))).collect();
        if !paths.is_empty() && verdict(&case, &snapshot).0 == "restorable" {
            return (case, snapshot, paths);
        }
    }
    panic!("no snapshot with {state} of its own");
}

#[test]
fn compressed_state_that_is_cut_by_a_byte_is_broken() {
    for state in ["keyed", "operator"] {
        let (case, snapshot, files) = compressed(state);
        let path = files.first().expect("a file");
        let bytes = fs::read(path).expect("a file");
        fs::write(path, &bytes[..bytes.len() - 1]).expect("a file");
        let (verdict, judged) = verdict(&case, &snapshot);
        assert_eq!(verdict, "broken", "{state}: {judged}");
    }
}

#[test]
fn a_checksum_that_flink_does_not_compare_makes_a_snapshot_suspect() {
    for state in ["keyed", "operator"] {
        let (case, snapshot, files) = compressed(state);
        let path = files.first().expect("a file");
        let mut bytes = fs::read(path).expect("a file");
        let identifier = b"\xff\x06\x00\x00sNaPpY";
        let at = bytes.windows(10).position(|window| window == identifier).expect("frames");
        // Behind type and length of the first frame.
        bytes[at + 10 + 4] ^= 1;
        fs::write(path, bytes).expect("a file");
        let (verdict, judged) = verdict(&case, &snapshot);
        assert_eq!(verdict, "suspect", "{state}: {judged}");
    }
}
