//! Pure edits of real `_metadata` files: what was meant is different, and nothing else.

use crate::suite::support::{Case, metadata_files};
use chkctl::edit::operators::{Lost, Named, drop_operators, find, rename};
use chkctl::edit::states::drop_state;
use chkctl::edit::streams::{rewrite, rewrite_directories};
use chkctl::edit::versions::{set_checkpoint_id, upgrade};
use chkctl::edit::{EditError, streams::Slot};
use chkctl::format::{Version, decode, encode, properties};
use chkctl::model::{KeyedHandle, Metadata, OperatorId, StreamHandle};
use chkctl::survey::references::{StateKind, walk_streams};
use chkctl::wire::JavaStr;
use std::collections::HashSet;
use std::convert::Infallible;
use std::fs;

/// Cases with every kind of handle, of every version.
const CASES: &[&str] = &[
    "kitchen-rocksdb-inc-1.9.3",
    "kitchen-finished-1.14.6",
    "kitchen-rocksdb-inc-1.16.3",
    "kitchen-rocksdb-heaptimers-1.20.5",
    "kitchen-filemerging-heap-2.3.0",
    "kitchen-unaligned-2.3.0",
    "raw-1.20.5",
    "wc-changelog-rocksdb-1.20.5",
    "wc-changelog-compressed-2.3.0",
    "wc-changelog-memory-1.20.5",
    "wc-filemerging-rocksdb-2.3.0",
    "wc-heap-uids-2.0.2",
    "wc-reanchor-2.3.0",
    "wc-unaligned-1.11.4",
    "wc-unaligned-rocksdb-1.20.5",
];

/// Calls `each` with every `_metadata` of [`CASES`].
fn for_each(mut each: impl FnMut(&str, &[u8])) {
    for name in CASES {
        let case = Case::named(name);
        let files = metadata_files(&case.root);
        assert!(!files.is_empty(), "{name}");
        files.iter().for_each(|file| each(name, &fs::read(file).expect("readable")));
    }
}

/// The first `_metadata` of a case.
fn first(name: &str) -> Vec<u8> {
    let case = Case::named(name);
    fs::read(&metadata_files(&case.root)[0]).expect("readable")
}

fn decoded(bytes: &[u8]) -> Metadata<'_> {
    decode(bytes).expect("a _metadata")
}

/// The model is what its own bytes say.
fn reread(metadata: &Metadata<'_>) -> Vec<u8> {
    let bytes = encode(metadata).expect("it can be written");
    assert_eq!(decoded(&bytes), *metadata);
    bytes
}

fn same_kind(slot: Slot, state: StateKind) -> bool {
    match state {
        StateKind::Coordinator => slot == Slot::Coordinator,
        StateKind::ManagedOperator => slot == Slot::ManagedOperator,
        StateKind::RawOperator => slot == Slot::RawOperator,
        StateKind::ManagedKeyed => slot == Slot::ManagedKeyed,
        StateKind::RawKeyed => slot == Slot::RawKeyed,
        StateKind::DatabaseMeta => slot == Slot::DatabaseMeta,
        StateKind::DatabaseShared => slot == Slot::DatabaseShared,
        StateKind::DatabasePrivate => slot == Slot::DatabasePrivate,
        StateKind::Changes | StateKind::ForeignChanges => slot == Slot::Changes,
        StateKind::InputChannel => slot == Slot::InputChannel,
        StateKind::ResultSubpartition => slot == Slot::ResultSubpartition,
    }
}

#[test]
fn every_stream_is_offered_in_the_order_of_a_survey_and_an_edit_of_none_changes_no_byte() {
    let mut kinds = HashSet::new();
    for_each(|name, bytes| {
        let mut metadata = decoded(bytes);
        let mut wanted = Vec::new();
        walk_streams(&metadata, |part, stream| wanted.push((part, stream.clone())));
        let mut next = wanted.iter();
        rewrite::<Infallible>(&mut metadata, &mut |part, stream| {
            let (wanted, handle) = next.next().expect("as many");
            assert_eq!(stream, handle, "{name}");
            assert_eq!((part.operator, part.subtask), (wanted.owner.operator, wanted.owner.subtask));
            assert_eq!(part.key_groups, wanted.owner.key_groups);
            assert!(same_kind(part.slot, wanted.state), "{name}: {:?} and {:?}", part.slot, wanted.state);
            assert_eq!(part.local_path.map(ToString::to_string), wanted.local_path.as_ref().map(ToString::to_string));
            kinds.insert((part.slot, stream.class()));
            Ok(())
        })
        .expect("no error");
        assert!(next.next().is_none(), "{name}");
        rewrite_directories::<Infallible>(&mut metadata, &mut |_| Ok(())).expect("no error");
        assert_eq!(encode(&metadata).expect("written"), bytes, "{name}");
    });
    let slots: HashSet<Slot> = kinds.iter().map(|(slot, _)| *slot).collect();
    assert_eq!(slots.len(), 11, "{kinds:?}");
    assert!(kinds.contains(&(Slot::DatabaseShared, "SegmentFileStateHandle")), "{kinds:?}");
}

#[test]
fn a_handle_that_is_changed_is_the_only_one_that_is_different() {
    for_each(|name, bytes| {
        let mut count = 0;
        walk_streams(&decoded(bytes), |_, _| count += 1);
        // Some of many, the first and the last among them.
        let step = (count / 7).max(1);
        for changed in (0..count).step_by(step).chain(std::iter::once(count - 1)) {
            let mut metadata = decoded(bytes);
            let mut index = 0;
            let mut is_file = false;
            rewrite::<Infallible>(&mut metadata, &mut |_, stream| {
                if index == changed {
                    match stream {
                        StreamHandle::File { path, .. } | StreamHandle::Relative { path, .. } => {
                            (is_file, *path) = (true, JavaStr::from("file:/moved/there"));
                        }
                        StreamHandle::Segment(segment) => {
                            (is_file, segment.path) = (true, JavaStr::from("file:/moved/there"));
                        }
                        _ => {}
                    }
                }
                index += 1;
                Ok(())
            })
            .expect("no error");
            let bytes_now = reread(&metadata);
            let (mut before, mut after) = (Vec::new(), Vec::new());
            walk_streams(&decoded(bytes), |part, stream| before.push(format!("{part:?} {stream:?}")));
            walk_streams(&decoded(&bytes_now), |part, stream| after.push(format!("{part:?} {stream:?}")));
            let different: Vec<usize> = (0..count).filter(|&i| before[i] != after[i]).collect();
            assert_eq!(different, if is_file { vec![changed] } else { vec![] }, "{name}");
        }
    });
}

#[test]
fn an_error_of_the_edit_ends_it() {
    let bytes = first("kitchen-rocksdb-inc-1.20.5");
    let mut seen = 0;
    let end = rewrite(&mut decoded(&bytes), &mut |_, _| {
        seen += 1;
        if seen == 5 { Err("enough") } else { Ok(()) }
    });
    assert_eq!((end, seen), (Err("enough"), 5));
}

#[test]
fn the_directories_of_file_merging_are_offered_too() {
    let bytes = first("kitchen-filemerging-heap-2.3.0");
    let mut metadata = decoded(&bytes);
    let mut dirs = Vec::new();
    rewrite_directories::<Infallible>(&mut metadata, &mut |path| {
        dirs.push(path.to_string());
        *path = JavaStr::from("file:/moved");
        Ok(())
    })
    .expect("no error");
    assert!(dirs.iter().any(|dir| dir.contains("/taskowned/")) && dirs.iter().any(|dir| dir.contains("/shared/")));
    let moved = reread(&metadata);
    let mut seen = 0;
    rewrite_directories::<Infallible>(&mut decoded(&moved), &mut |path| {
        assert_eq!(path.to_str(), "file:/moved");
        seen += 1;
        Ok(())
    })
    .expect("no error");
    assert_eq!(seen, dirs.len());
}

#[test]
fn an_operator_is_found_by_id_uid_and_name() {
    let bytes = first("wc-heap-uids-2.3.0");
    let metadata = decoded(&bytes);
    let index = find(&metadata, "wc-source").expect("by its uid");
    let operator = &metadata.operators[index];
    assert_eq!(find(&metadata, &operator.id.to_string()), Ok(index));
    assert_eq!(find(&metadata, "Source: Socket Stream"), Ok(index));
    assert_eq!(find(&metadata, "nobody"), Err(EditError::UnknownOperator("nobody".to_owned())));
    assert!(find(&metadata, "").is_err(), "no name is nobody's");
    let mut twins = decoded(&bytes);
    let other = (index + 1) % twins.operators.len();
    twins.operators[other].name = twins.operators[index].name.clone();
    assert!(
        matches!(find(&twins, "Source: Socket Stream"), Err(EditError::AmbiguousOperator { ids, .. }) if ids.len() == 2)
    );
}

#[test]
fn dropped_operators_are_gone_and_the_others_are_the_same() {
    for_each(|name, bytes| {
        let whole = decoded(bytes);
        for index in 0..whole.operators.len() {
            let mut metadata = decoded(bytes);
            let lost = drop_operators(&mut metadata, &HashSet::from([index]));
            assert_eq!(lost, [Lost::of(&whole.operators[index])]);
            let mut wanted = whole.clone();
            wanted.operators.remove(index);
            assert_eq!(decoded(&reread(&metadata)), wanted, "{name}");
        }
    });
}

#[test]
fn what_is_lost_is_counted() {
    let bytes = first("kitchen-rocksdb-inc-1.20.5");
    let metadata = decoded(&bytes);
    let lost = |id: &str| Lost::of(&metadata.operators[find(&metadata, id).expect("an operator")]);
    let source = lost("2469759eb0134ef15c70a1a8c2cbb11e");
    assert_eq!((source.subtasks, source.key_groups, source.coordinator), (2, 0, true));
    assert_eq!(source.bytes, 546);
    let window = lost("2810065b2f3e7ae5bfb01cafa6ac777a");
    assert_eq!((window.subtasks, window.key_groups, window.coordinator), (1, 64, false));
}

#[test]
fn a_renamed_operator_keeps_its_state_and_its_coordinator_s() {
    let bytes = first("kitchen-rocksdb-inc-1.20.5");
    let mut metadata = decoded(&bytes);
    let id: OperatorId = "2469759eb0134ef15c70a1a8c2cbb11e".parse().expect("an id");
    let renamed = rename(&mut metadata, &[(Named::Id(id), "new-source".to_owned())]).expect("renamed");
    assert_eq!((renamed[0].from, renamed[0].to), (id, OperatorId::from_uid("new-source")));
    let after = reread(&metadata);
    let (before, after) = (decoded(&bytes), decoded(&after));
    for (old, new) in before.operators.iter().zip(&after.operators) {
        if old.id != id {
            assert_eq!(old, new);
            continue;
        }
        assert_eq!(new.id, OperatorId::from_uid("new-source"));
        assert!(new.uid.is_empty(), "version 4 has no uids");
        assert_eq!(old.subtasks, new.subtasks);
        let data = |stream: &Option<StreamHandle<'_>>| match stream {
            Some(StreamHandle::Bytes(stream)) => (stream.name.to_string(), stream.data.to_vec()),
            other => panic!("{other:?}"),
        };
        let ((old_name, old_data), (new_name, new_data)) = (data(&old.coordinator), data(&new.coordinator));
        assert_eq!((old_name, new_name), (old.id.to_string(), new.id.to_string()));
        assert_eq!(old_data, new_data);
    }
}

#[test]
fn a_uid_that_is_given_and_taken_back_leaves_every_byte_as_it_was() {
    for (name, version) in [("wc-heap-uids-2.0.2", Version::V5), ("wc-heap-uids-2.3.0", Version::V6)] {
        let bytes = first(name);
        let mut metadata = decoded(&bytes);
        assert_eq!(metadata.version, version);
        let pair = |from: &str, to: &str| (Named::Uid(from.to_owned()), to.to_owned());
        rename(&mut metadata, &[pair("wc-source", "elsewhere")]).expect("renamed");
        let there = reread(&metadata);
        assert_ne!(there, bytes);
        let operator = &metadata.operators[find(&metadata, "elsewhere").expect("its new uid")];
        assert_eq!(
            (operator.uid.to_string(), operator.id),
            ("elsewhere".to_owned(), OperatorId::from_uid("elsewhere"))
        );
        assert!(find(&metadata, "wc-source").is_err());
        rename(&mut metadata, &[pair("elsewhere", "wc-source")]).expect("renamed");
        assert_eq!(reread(&metadata), bytes);
        // All at once, so that two can change places.
        rename(&mut metadata, &[pair("wc-source", "wc-sum"), pair("wc-sum", "wc-source")]).expect("renamed");
        reread(&metadata);
        assert!(
            metadata.operators[find(&metadata, "wc-source").expect("a uid")].name.to_str() != "Source: Socket Stream"
        );
    }
}

#[test]
fn a_rename_that_is_refused_changes_nothing() {
    let bytes = first("wc-heap-uids-2.3.0");
    let mut metadata = decoded(&bytes);
    let uid = |from: &str, to: &str| (Named::Uid(from.to_owned()), to.to_owned());
    let mut refused = |renames: &[(Named, String)]| {
        let error = rename(&mut metadata, renames).expect_err("refused");
        assert_eq!(encode(&metadata).expect("written"), bytes);
        error
    };
    assert!(matches!(refused(&[uid("wc-source", "wc-sum")]), EditError::Clash { .. }));
    assert!(matches!(refused(&[uid("wc-source", "x"), uid("wc-sum", "x")]), EditError::Clash { .. }));
    assert!(matches!(refused(&[uid("wc-source", "x"), uid("wc-source", "y")]), EditError::RenamedTwice(_)));
    assert!(matches!(refused(&[uid("wc-source", "x"), uid("nobody", "y")]), EditError::UnknownOperator(_)));
    assert!(matches!(refused(&[uid("wc-source", "")]), EditError::EmptyUid));
    let mut foreign = decoded(&bytes);
    let index = find(&foreign, "wc-source").expect("a uid");
    foreign.operators[index].id = OperatorId([7; 16]);
    assert!(matches!(rename(&mut foreign, &[uid("wc-source", "x")]), Err(EditError::ForeignId { .. })));
}

#[test]
fn an_operator_state_is_dropped_and_the_others_stay() {
    let bytes = first("kitchen-rocksdb-inc-1.20.5");
    let mut metadata = decoded(&bytes);
    let index = find(&metadata, "6f21186d6113d9be6697a464ea467e20").expect("an operator");
    let dropped = drop_state(&mut metadata, index, "op-union").expect("dropped");
    assert_eq!((dropped.mode, dropped.subtasks), ("UNION", 2));
    assert!(dropped.partitions > 0);
    let names = |metadata: &Metadata<'_>| -> Vec<Vec<String>> {
        let states = metadata.operators[index].subtasks().iter().filter_map(|subtask| subtask.state.as_ref());
        let handles = states.map(|state| state.managed_operator.handle.as_ref());
        handles.map(|h| h.into_iter().flat_map(|h| &h.states).map(|info| info.name.to_string()).collect()).collect()
    };
    let left: Vec<Vec<String>> = names(&decoded(&bytes))
        .into_iter()
        .map(|names| names.into_iter().filter(|name| name != "op-union").collect())
        .collect();
    assert_eq!(left[0].len(), 2);
    assert_eq!(names(&decoded(&reread(&metadata))), left);
    // The last one takes the handle with it.
    drop_state(&mut metadata, index, "op-list").expect("dropped");
    drop_state(&mut metadata, index, "op-broadcast").expect("dropped");
    reread(&metadata);
    assert!(metadata.operators[index].subtasks().iter().all(|subtask| subtask.state.is_none()));
    let unknown = drop_state(&mut metadata, index, "op-list").expect_err("gone");
    assert!(matches!(unknown, EditError::UnknownState { .. }), "{unknown}");
    let keyed = find(&metadata, "2810065b2f3e7ae5bfb01cafa6ac777a").expect("an operator");
    assert!(matches!(drop_state(&mut metadata, keyed, "window-contents"), Err(EditError::KeyedState { .. })));
}

#[test]
fn a_handle_of_file_merging_that_lost_its_states_is_flink_s_empty_one() {
    let bytes = first("kitchen-filemerging-heap-2.3.0");
    let mut metadata = decoded(&bytes);
    let has = |metadata: &Metadata<'_>, index: usize| {
        let states = metadata.operators[index].subtasks().iter().filter_map(|subtask| subtask.state.as_ref());
        states.filter_map(|state| state.managed_operator.handle.as_deref()).map(|h| h.class()).collect::<HashSet<_>>()
    };
    let full = "FileMergingOperatorStreamStateHandle";
    let index = (0..metadata.operators.len()).find(|&i| has(&metadata, i).contains(full)).expect("such a handle");
    let states: Vec<String> = metadata.operators[index]
        .subtasks()
        .iter()
        .filter_map(|subtask| subtask.state.as_ref()?.managed_operator.handle.as_deref())
        .flat_map(|h| h.states.iter().map(|info| info.name.to_string()))
        .collect();
    for state in states.iter().collect::<HashSet<_>>() {
        drop_state(&mut metadata, index, state).expect("dropped");
    }
    reread(&metadata);
    assert_eq!(has(&metadata, index), HashSet::from(["EmptyFileMergingOperatorStreamStateHandle"]));
}

#[test]
fn another_checkpoint_id_is_that_of_the_handles_too() {
    let bytes = first("kitchen-rocksdb-inc-1.20.5");
    let mut metadata = decoded(&bytes);
    let ids = |metadata: &Metadata<'_>| -> HashSet<i64> {
        let states = metadata.operators.iter().flat_map(|op| op.subtasks()).filter_map(|s| s.state.as_deref());
        let handles: Vec<_> = states.flat_map(|state| state.keyed_handles()).collect();
        let incremental = handles.iter().filter_map(|(_, h)| match h {
            KeyedHandle::Incremental(h) => Some(h.checkpoint_id),
            _ => None,
        });
        incremental.collect()
    };
    assert_eq!(ids(&metadata), HashSet::from([metadata.checkpoint_id]));
    set_checkpoint_id(&mut metadata, 77).expect("set");
    assert_eq!((metadata.checkpoint_id, ids(&metadata)), (77, HashSet::from([77])));
    reread(&metadata);
    set_checkpoint_id(&mut metadata, decoded(&bytes).checkpoint_id).expect("set");
    assert_eq!(reread(&metadata), bytes);
    assert_eq!(set_checkpoint_id(&mut metadata, -1), Err(EditError::NegativeCheckpoint));
    let operator = metadata.operators.iter_mut().find(|op| Lost::of(op).key_groups > 0).expect("keyed state");
    let chkctl::model::Subtasks::Some(subtasks) = &mut operator.subtasks else { panic!("no subtasks") };
    let state = subtasks[0].state.as_mut().expect("state");
    let Some(KeyedHandle::Incremental(handle)) = state.managed_keyed.as_deref_mut() else { panic!("no database") };
    handle.checkpoint_id = 50;
    assert_eq!(set_checkpoint_id(&mut metadata, 49), Err(EditError::LaterState { id: 49, of: 50 }));
}

#[test]
fn a_newer_version_says_what_the_old_one_said() {
    for_each(|name, bytes| {
        let before = decoded(bytes);
        let newer = Version::ALL.into_iter().filter(|version| *version > before.version);
        for version in newer {
            let mut metadata = decoded(bytes);
            upgrade(&mut metadata, version).expect("newer");
            // Flink 1.11 wrote channel state without the index of the subtask.
            let Ok(now) = encode(&metadata) else {
                assert_eq!((name, before.version), ("wc-unaligned-1.11.4", Version::V3));
                continue;
            };
            let now = decoded(&now);
            assert_eq!(now, metadata, "{name}");
            let mut again = now.clone();
            again.version = before.version;
            again.properties.clone_from(&before.properties);
            let written = encode(&again).expect("written");
            match before.version {
                // Fields that nobody reads.
                Version::V2 => assert_eq!(written.len(), bytes.len(), "{name}"),
                _ => assert_eq!(written, bytes, "{name}"),
            }
            let wanted = before.properties.as_deref().or(Some(properties::NULL).filter(|_| version.has_properties()));
            assert_eq!(now.properties.as_deref(), wanted, "{name}");
        }
        let mut metadata = decoded(bytes);
        assert!(upgrade(&mut metadata, before.version).is_err());
        assert_eq!(metadata, before);
    });
}
