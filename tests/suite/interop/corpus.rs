//! Word counts of the corpus, of releases since 1.9, go on in this runtime, or are refused with a reason.

use super::jobs::location;
use crate::suite::state::words;
use crate::suite::support::{Case, metadata_files};
use chkctl::format::{decode, encode};
use chkctl::model::{OperatorId, Subtasks};
use chkctl::runtime::Environment;
use chkctl::state::KeyType;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// Cases, how many of their snapshots hold their counts on the heap or in the canonical format, and how many do not.
const COUNTED: [(&str, usize, usize); 18] = [
    ("wc-heap-1.9.3", 1, 0),
    ("wc-stop-1.10.3", 2, 0),
    ("wc-keyselector-1.10.3", 2, 0),
    ("wc-rocksdb-inc-1.11.4", 1, 2),
    ("wc-heap-inline-1.12.5", 1, 0),
    ("wc-rocksdb-inc-1.13.6", 1, 2),
    ("wc-savepoints-1.14.6", 2, 0),
    ("wc-rocksdb-inc-1.15.4", 1, 4),
    ("wc-rocksdb-inc-1.16.3", 1, 4),
    ("wc-rocksdb-inc-1.17.2", 1, 4),
    ("wc-savepoints-1.18.1", 1, 2),
    ("wc-rocksdb-inc-1.19.3", 1, 4),
    ("wc-savepoints-1.20.5", 3, 0),
    ("wc-one-word-1.20.5", 1, 0),
    ("wc-heap-uids-2.0.2", 2, 0),
    ("wc-rocksdb-inc-2.1.1", 1, 4),
    ("wc-rocksdb-inc-2.2.1", 1, 4),
    ("wc-heap-uids-2.3.0", 1, 0),
];

/// Cases whose programs name the field that is the key, which makes it a tuple.
const FIELD: [&str; 3] = ["wc-heap-1.9.3", "wc-stop-1.10.3", "wc-rocksdb-inc-1.11.4"];

/// Gives the operator with keyed state a uid: most programs of the corpus set none.
fn name_the_sum(metadata: &Path) {
    let bytes = fs::read(metadata).expect("a _metadata");
    let mut model = decode(&bytes).expect("a snapshot");
    for operator in &mut model.operators {
        let Subtasks::Some(subtasks) = &operator.subtasks else { continue };
        let states = subtasks.iter().filter_map(|subtask| subtask.state.as_ref());
        if states.filter_map(|state| state.managed_keyed.as_ref()).next().is_some() {
            operator.id = OperatorId::from_uid("sum");
        }
    }
    let named = encode(&model).expect("a snapshot");
    fs::write(metadata, named).expect("a place to write");
}

/// Counts each word once more, with nothing but the counts of a snapshot.
fn count_on<'w, K: KeyType>(
    metadata: &Path,
    parallelism: usize,
    words: impl Iterator<Item = &'w String>,
    key: impl Fn(String) -> K + Copy + Send + 'static,
) -> anyhow::Result<BTreeMap<String, i32>> {
    name_the_sum(metadata);
    let environment = Environment::new();
    let words: Vec<String> = words.cloned().collect();
    let counts = Arc::new(Mutex::new(BTreeMap::new()));
    let told = counts.clone();
    environment.restore_from(location(metadata)).allow_non_restored_state(true).parallelism(parallelism);
    environment
        .collection(words)
        .uid("another source")
        .map(|word| (word, 1_i32))
        .key_by(move |(word, _)| key(word.clone()))
        .sum(|(_, count)| count)
        .uid("sum")
        .for_each(move |(word, count)| {
            told.lock().expect("counts").insert(word, count);
            Ok(())
        });
    environment.execute("count on")?;
    let counts = counts.lock().expect("counts").clone();
    Ok(counts)
}

#[test]
fn words_that_flink_counted_are_counted_on() {
    let mut found = Vec::new();
    for (name, ..) in COUNTED {
        let case = Case::named(name);
        let (mut restored, mut refused) = (0, 0);
        for metadata in metadata_files(&case.tree()) {
            let before = words(&case, &metadata);
            let parallelism = 1 + restored % 3;
            let after = match FIELD.contains(&name) {
                true => count_on(&metadata, parallelism, before.keys(), |word| (word,)),
                false => count_on(&metadata, parallelism, before.keys(), |word| word),
            };
            match after {
                Ok(after) => {
                    assert!(!before.is_empty(), "{}: nothing was counted", metadata.display());
                    let wanted = before.into_iter().map(|(word, count)| (word, count + 1));
                    assert_eq!(after, wanted.collect(), "{}", metadata.display());
                    restored += 1;
                }
                Err(error) => {
                    let error = format!("{error:#}");
                    let why =
                        "keyed state as IncrementalRemoteKeyedStateHandle; this runtime restores heap checkpoints";
                    assert!(error.contains(why), "{}: {error}", metadata.display());
                    refused += 1;
                }
            }
        }
        found.push((name, restored, refused));
    }
    assert_eq!(found, COUNTED);
}

#[test]
fn what_cannot_be_restored_is_refused_before_a_task_starts() {
    for (name, why) in [
        ("wc-changelog-heap-1.20.5", "keyed state as ChangelogStateBackendHandleImpl"),
        ("wc-rocksdb-retained5-2.3.0", "keyed state as IncrementalRemoteKeyedStateHandle"),
        ("wc-unaligned-1.20.5", "in-flight records of an unaligned checkpoint, which would be lost"),
        ("wc-unaligned-2.3.0", "in-flight records of an unaligned checkpoint, which would be lost"),
    ] {
        let case = Case::named(name);
        let metadata = metadata_files(&case.tree()).into_iter().next().expect("a snapshot");
        let error = count_on(&metadata, 2, std::iter::empty(), |word| word).expect_err(name);
        let error = format!("{error:#}");
        assert!(error.contains(why), "{name}: {error}");
        assert!(error.contains("Failed to rollback to checkpoint/savepoint"), "{name}: {error}");
    }
}
