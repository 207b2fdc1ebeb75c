//! Who refers to a file, against what Flink's own classes say of every snapshot, and on trees that were changed.

use super::catalog::{Stranger, WithMode, touch};
use super::damage::{checkpoint, list, place, rewrite};
use super::support::{Case, FLINK_ROOT, Run, archives, command, metadata_files};
use chkctl::model::location::Location;
use chkctl::model::{Reference, StreamHandle, Subtasks, Version};
use chkctl::storage::{LocalStorage, Storage as _};
use chkctl::survey::inventory::Inventory;
use chkctl::survey::references::Extent;
use chkctl::survey::refs::{How, Target, TargetKind, refs};
use chkctl::survey::resolve::PathMaps;
use chkctl::survey::{Catalog, Judge, Silent};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

// What Flink's own classes say. ---------------------------------------------------------------------------------------

/// A use of a file: operator, subtask, key groups, where it starts in a merged file, size.
pub(super) type Use = (String, i64, Option<(i64, i64)>, Option<i64>, i64);

/// The files of a checkpoint of `expected.json` as Flink names them, with every use; nothing of chkctl's own walk is used.
pub(super) fn uses(checkpoint: &Value) -> BTreeMap<String, Vec<Use>> {
    let mut found = BTreeMap::new();
    for operator in list(&checkpoint["operators"]) {
        let id = operator["operator_id"].as_str().expect("an id");
        add_uses((id, 0, None), &operator["coordinator_state"], &mut found);
        for subtask in list(&operator["subtasks"]) {
            let index = subtask["index"].as_i64().expect("an index");
            for (key, state) in subtask.as_object().expect("a subtask") {
                if key.ends_with("_state") {
                    add_uses((id, index, None), state, &mut found);
                }
            }
        }
    }
    found.values_mut().for_each(|uses: &mut Vec<Use>| uses.sort());
    found
}

fn add_uses(owner: (&str, i64, Option<(i64, i64)>), value: &Value, found: &mut BTreeMap<String, Vec<Use>>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| add_uses(owner, value, found)),
        Value::Object(fields) => {
            let (id, subtask, groups) = owner;
            let bound = |index| value["key_group_range"][index].as_i64();
            let groups = groups.or(bound(0).zip(bound(1)));
            if let Some("FileStateHandle" | "RelativeFileStateHandle" | "SegmentFileStateHandle") =
                value["class"].as_str()
            {
                let path = value["path"].as_str().expect("a path").to_owned();
                let start = value["start"].as_i64();
                let size = value["size"].as_i64().expect("a size");
                found.entry(path).or_default().push((id.to_owned(), subtask, groups, start, size));
                return;
            }
            fields.values().for_each(|value| add_uses((id, subtask, groups), value, found));
        }
        _ => {}
    }
}

/// Does something with every case of the corpus, and fails with all that is wrong.
pub(super) fn in_every_case(check: impl Fn(&Case, &mut Vec<String>) + Sync) {
    let archives = archives();
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(archive) = archives.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let case = Case::unpack(archive);
                    let mut found = Vec::new();
                    check(&case, &mut found);
                    wrong
                        .lock()
                        .expect("a lock")
                        .extend(found.into_iter().map(|line| format!("{}: {line}", case.name)));
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("a lock");
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

fn local(path: &Path) -> Location {
    Location::parse(&path.to_string_lossy()).expect("a path")
}

#[test]
fn every_file_of_every_case_has_the_referrers_that_flinks_own_classes_name() {
    let asked = AtomicUsize::new(0);
    in_every_case(|case, wrong| {
        let maps = PathMaps::new(vec![case.map().parse().expect("a map")]);
        let judge = Judge {
            inventory: Inventory::shared(&LocalStorage),
            maps: maps.clone(),
            progress: &Silent,
            neighbours: Vec::new(),
            keep_files: false,
        };
        let catalog = Catalog::scan(&LocalStorage, &[local(&case.tree())]).expect("a catalog");
        let expected = case.expected();
        let all: BTreeMap<PathBuf, BTreeMap<String, Vec<Use>>> =
            list(&expected["checkpoints"]).iter().map(|c| (place(case, c), uses(c))).collect();
        let files: BTreeSet<&String> = all.values().flat_map(|uses| uses.keys()).collect();
        for file in files {
            asked.fetch_add(1, Ordering::Relaxed);
            let here = local(&case.here(file));
            let target = Target::at(&LocalStorage, &maps, &here, &here);
            let said = refs(&judge, &target, &catalog.snapshots, false);
            assert_eq!(said.unknown, [], "{}", case.name);
            let mut found: BTreeMap<PathBuf, Vec<Use>> = BTreeMap::new();
            for referrer in &said.referrers {
                for reference in referrer.found.iter().filter(|found| found.how == How::Place) {
                    let owner = reference.owner.as_ref().expect("an owner");
                    let groups = owner.key_groups.map(|groups| groups.bounds());
                    let (start, size) = match reference.extent.expect("a handle") {
                        Extent::Whole(size) => (None, size),
                        Extent::Segment { start, size } => (Some(start), size),
                    };
                    let id = owner.operator_id.expect("an id").to_string();
                    let groups = groups.map(|(first, last)| (first.into(), last.into()));
                    let uses = found.entry(PathBuf::from(referrer.path.path())).or_default();
                    uses.push((id, owner.subtask.into(), groups, start, size));
                }
            }
            found.values_mut().for_each(|uses| uses.sort());
            let wanted: BTreeMap<PathBuf, Vec<Use>> =
                all.iter().filter_map(|(dir, uses)| Some((dir.clone(), uses.get(file)?.clone()))).collect();
            if found != wanted {
                wrong.push(format!("{file}: {found:?}, but Flink: {wanted:?}"));
            }
        }
    });
    assert!(asked.into_inner() > 2_000, "the corpus has many files");
}

// On the command line. ------------------------------------------------------------------------------------------------

const RETAINED: &str = "wc-rocksdb-retained5-1.20.5";

/// A shared file of a case, and the names of the snapshots that refer to it by `expected.json`.
fn a_shared_file(case: &Case) -> (PathBuf, BTreeSet<String>) {
    let expected = case.expected();
    let mut by_file: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for checkpoint in list(&expected["checkpoints"]) {
        for file in uses(checkpoint).into_keys().filter(|file| file.contains("/shared/")) {
            let name = place(case, checkpoint).file_name().expect("a name").to_string_lossy().into_owned();
            by_file.entry(file).or_default().insert(name);
        }
    }
    let (file, users) = by_file.into_iter().find(|(_, users)| (2..5).contains(&users.len())).expect("a shared file");
    (case.here(&file), users)
}

fn ask(case: &Case, file: &str, more: &[&str]) -> Run {
    let tree = case.tree().to_string_lossy().into_owned();
    case.chkctl(["refs", file, &tree, "--json"].iter().chain(more))
}

/// The names of the snapshots that refer to something, and how.
fn referrers(run: &Run) -> BTreeMap<String, String> {
    let name = |referrer: &Value| referrer["path"].as_str().and_then(|path| path.rsplit('/').next()).map(str::to_owned);
    let how = |referrer: &Value| referrer["how"].as_str().expect("how").to_owned();
    list(&run.json()["referrers"]).iter().map(|referrer| (name(referrer).expect("a name"), how(referrer))).collect()
}

fn all(users: &BTreeSet<String>, how: &str) -> BTreeMap<String, String> {
    users.iter().map(|user| (user.clone(), how.to_owned())).collect()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

#[test]
fn a_file_is_found_in_every_spelling_there_or_not() {
    let case = Case::named(RETAINED);
    let (file, users) = a_shared_file(&case);
    let (dir, name) = (file.parent().expect("a directory"), file.file_name().expect("a name").to_str().expect("text"));
    let inside = file.strip_prefix(&case.root).expect("inside");
    let linked = case.root.join("linked");
    symlink(dir, &linked).expect("a link to the directory");
    let link = case.root.join("a link");
    symlink(&file, &link).expect("a link to the file");
    let spellings = [
        text(&file).to_owned(),
        format!("file://{}", text(&file)),
        format!("{}//./x/../{name}", text(dir)),
        format!("/opt/flink/checkpoints/{}", text(inside)),
        format!("file:/opt/flink/checkpoints/{}", text(inside)),
        format!("{}/_entropy_/{name}", text(dir)),
        text(&linked.join(name)).to_owned(),
    ];
    for spelling in spellings.iter().chain([&text(&link).to_owned()]) {
        let run = ask(&case, spelling, &[]);
        assert_eq!((referrers(&run), run.status), (all(&users, "place"), 0), "{spelling}");
    }
    let by_name = ask(&case, name, &[]);
    assert_eq!((referrers(&by_name), by_name.status), (all(&users, "name"), 0));
    fs::remove_file(&file).expect("removed");
    for spelling in &spellings {
        let run = ask(&case, spelling, &[]);
        assert_eq!((referrers(&run), run.status), (all(&users, "place"), 0), "{spelling}, which is gone");
        // Where the tests run, a Flink may have files in the place that the map leads away from.
        assert!(run.json()["kind"] == "missing" || spelling.contains(FLINK_ROOT), "{spelling}");
    }
    let relative = Run::of({
        let mut command = command();
        command.args(["refs", name, "..", "--json", "--map", &case.map()]).current_dir(dir);
        command
    });
    assert_eq!(referrers(&relative), all(&users, "name"), "no file of the name is here any more");
}

#[test]
fn a_reference_to_a_link_counts_as_one_to_the_file() {
    let case = Case::named(RETAINED);
    let (file, users) = a_shared_file(&case);
    let elsewhere = case.root.join("elsewhere");
    fs::rename(&file, &elsewhere).expect("moved");
    symlink(&elsewhere, &file).expect("a link in its place");
    for place in [&elsewhere, &file] {
        let run = ask(&case, text(place), &[]);
        assert_eq!((referrers(&run), run.status), (all(&users, "place"), 0), "{}", place.display());
    }
}

#[test]
fn a_tree_that_was_moved_is_searched_by_name_and_a_copy_of_a_file_is_another_one() {
    let case = Case::named(RETAINED);
    let (file, users) = a_shared_file(&case);
    let tree = case.tree();
    // Nothing is where the handles point.
    let mut unmapped = command();
    unmapped.args(["refs", text(&file), text(&tree), "--json", "--map", &format!("{FLINK_ROOT}=/nowhere")]);
    let run = Run::of(unmapped);
    assert_eq!((referrers(&run), run.status), (all(&users, "name"), 0));
    let copy = case.root.join(file.file_name().expect("a name"));
    fs::copy(&file, &copy).expect("a copy");
    let run = ask(&case, text(&copy), &[]);
    assert_eq!((referrers(&run), run.status), (BTreeMap::new(), 1));
    fs::remove_file(&file).expect("removed");
    let run = ask(&case, text(&copy), &[]);
    assert_eq!((referrers(&run), run.status), (all(&users, "name"), 0), "the copy may be what they are after");
}

#[test]
fn escapes_of_a_uri_are_understood_in_names() {
    let case = Case::named(RETAINED);
    let (file, users) = a_shared_file(&case);
    let name = file.file_name().expect("a name").to_str().expect("text");
    let escaped = format!("{}/%{:02x}{}", text(file.parent().expect("a directory")), name.as_bytes()[0], &name[1..]);
    let run = ask(&case, &escaped, &[]);
    // A file of the escaped name is not there; the one that handles name is, and it is another one by its place.
    assert_eq!((referrers(&run), run.status), (BTreeMap::new(), 1));
    fs::remove_file(&file).expect("removed");
    assert_eq!(referrers(&ask(&case, &escaped, &[])), all(&users, "name"));
}

#[test]
fn into_a_directory_refer_all_that_refer_to_a_file_below_it() {
    for name in [RETAINED, "wc-claim-chain-1.20.5", "wc-filemerging-rocksdb-2.3.0", "wc-savepoints-1.20.5"] {
        let case = Case::named(name);
        let expected = case.expected();
        let all: BTreeMap<PathBuf, BTreeMap<String, Vec<Use>>> =
            list(&expected["checkpoints"]).iter().map(|c| (place(&case, c), uses(c))).collect();
        let dirs: BTreeSet<PathBuf> = (all.values().flat_map(|uses| uses.keys()))
            .flat_map(|file| case.here(file).ancestors().skip(1).map(Path::to_owned).collect::<Vec<_>>())
            .filter(|dir| dir.starts_with(case.tree()))
            .collect();
        assert!(dirs.len() > 1);
        for dir in dirs {
            let run = ask(&case, text(&dir), &[]);
            assert_eq!(run.status, 0, "{}", dir.display());
            let json = run.json();
            let by_handle = |referrer: &&Value| referrer["how"] == "place";
            let said: BTreeMap<PathBuf, (u64, u64)> = (list(&json["referrers"]).iter().filter(by_handle))
                .map(|referrer| {
                    let holds = list(&referrer["found"]).iter().filter(|found| found["how"] == "directory").count();
                    let number = |key: &str| referrer[key].as_u64().expect("a number");
                    let path = PathBuf::from(referrer["path"].as_str().expect("a path"));
                    (path, (number("files"), number("references") - holds as u64))
                })
                .collect();
            let wanted: BTreeMap<PathBuf, (u64, u64)> = (all.iter())
                .map(|(path, uses)| {
                    let below = || uses.iter().filter(|(file, _)| case.here(file).starts_with(&dir));
                    (path.clone(), (below().count() as u64, below().map(|(_, uses)| uses.len() as u64).sum()))
                })
                .filter(|(_, (files, _))| *files > 0)
                .collect();
            assert_eq!(said, wanted, "{}", dir.display());
        }
    }
}

#[test]
fn of_a_merged_file_the_live_bytes_are_those_of_all_segments() {
    let case = Case::named("wc-filemerging-rocksdb-2.3.0");
    let expected = case.expected();
    let mut by_file: BTreeMap<String, BTreeSet<(i64, i64)>> = BTreeMap::new();
    for (file, uses) in list(&expected["checkpoints"]).iter().flat_map(uses) {
        let segments = uses.into_iter().filter_map(|(_, _, _, start, size)| Some((start?, size)));
        by_file.entry(file).or_default().extend(segments);
    }
    by_file.retain(|_, segments| !segments.is_empty());
    assert!(by_file.values().any(|segments| segments.len() > 2));
    for (file, segments) in by_file {
        let bytes: BTreeSet<i64> = segments.iter().flat_map(|(start, size)| *start..start + size).collect();
        let run = ask(&case, text(&case.here(&file)), &[]);
        assert_eq!(run.json()["live_bytes"], bytes.len(), "{file}");
    }
}

#[test]
fn what_is_held_as_a_whole_directory_is_referred_to() {
    let case = Case::named("wc-filemerging-rocksdb-2.3.0");
    let shared = metadata_files(&case.tree())[0].ancestors().nth(2).expect("a job").join("shared");
    let subtask = fs::read_dir(&shared).expect("shared").next().expect("a directory").expect("an entry").path();
    let stray = subtask.join("nobody names it");
    fs::write(&stray, "").expect("a file");
    let run = ask(&case, text(&stray), &[]);
    assert_eq!(run.status, 0);
    assert!(referrers(&run).values().all(|how| how == "directory"), "{}", run.stdout);
    let tree = case.tree();
    let shown = case.chkctl(["refs", text(&stray), text(&tree)]);
    assert!(shown.stdout.starts_with("held    "), "{}", shown.stdout);
}

#[test]
fn state_of_an_older_checkpoint_is_a_reference_to_it() {
    let case = Case::named("wc-heap-uids-2.3.0");
    let dir = metadata_files(&case.tree())[0].parent().expect("a directory").to_owned();
    let older = dir.with_file_name("chk-1");
    assert_ne!(dir, older);
    let by_state = |older: &Path| {
        let run = ask(&case, text(&older.join("whatever")), &[]);
        (referrers(&run).into_values().collect::<Vec<_>>(), run.status)
    };
    assert_eq!(by_state(&older), (vec![], 1));
    rewrite(&dir, |metadata| {
        metadata.version = Version::V7;
        let states = metadata.operators.iter_mut().filter_map(|operator| match &mut operator.subtasks {
            Subtasks::Some(subtasks) => subtasks.iter_mut().find_map(|subtask| subtask.state.as_deref_mut()),
            Subtasks::FullyFinished(_) => None,
        });
        states.for_each(|state| state.reference = Reference::Checkpoint(1));
    });
    assert_eq!(by_state(&older), (vec!["checkpoint".to_owned()], 0));
    assert_eq!(by_state(&dir.with_file_name("chk-11")), (vec![], 1));
}

#[test]
fn what_only_operator_state_mentions_is_found_by_deep() {
    let case = Case::named("wal-taskowned-1.20.5");
    let is_owned = |path: &PathBuf| path.parent().is_some_and(|dir| dir.ends_with("taskowned"));
    let files = walkdir::WalkDir::new(case.tree()).into_iter().map(|entry| entry.expect("an entry").into_path());
    let owned: Vec<PathBuf> = files.filter(is_owned).collect();
    let mut found = 0;
    for file in &owned {
        let shallow = ask(&case, text(file), &[]);
        assert_eq!(shallow.status, 1);
        assert!(shallow.stderr.contains("--deep"), "{}", shallow.stderr);
        let deep = ask(&case, text(file), &["--deep"]);
        assert!(referrers(&deep).values().all(|how| how == "mention"));
        found += usize::from(deep.status == 0);
    }
    assert!(found > 0, "one of {owned:?} is mentioned");
}

#[test]
fn what_cannot_be_read_may_refer_to_it_and_exits_with_5() {
    let case = Case::named(RETAINED);
    let (file, mut users) = a_shared_file(&case);
    let user = users.pop_first().expect("a user");
    let expected = case.expected();
    let dir = place(&case, checkpoint(&expected, &format!("/{user}")));
    let tree = case.tree();
    let hidden = WithMode::new(&dir.join("_metadata"), 0o000);
    let stranger = Stranger::to(&case);
    let run = stranger.chkctl(&case, ["refs", text(&file), text(&tree), "--json"]);
    assert_eq!((referrers(&run), run.status), (all(&users, "place"), 5));
    assert_eq!(run.json()["unknown"][0]["path"], text(&dir), "{}", run.stdout);
    drop(hidden);
    // One that cannot be understood is no better than one that cannot be read, and none at all refers to nothing.
    let bytes = fs::read(dir.join("_metadata")).expect("a _metadata");
    fs::write(dir.join("_metadata"), &bytes[..bytes.len() / 2]).expect("half of it");
    let run = ask(&case, text(&file), &[]);
    assert_eq!((referrers(&run), run.status), (all(&users, "place"), 5));
    fs::remove_file(dir.join("_metadata")).expect("removed");
    let run = ask(&case, text(&file), &[]);
    assert_eq!((referrers(&run), run.status, &run.json()["incomplete"]), (all(&users, "place"), 0, &Value::from(1)));
    assert_eq!(ask(&case, "", &[]).status, 2);
    assert_eq!(case.chkctl(["refs", text(&file), "/nowhere"]).status, 5);
}

#[test]
fn a_path_that_flink_refuses_is_found_by_its_name_and_names_are_escaped() {
    let case = Case::named("wc-one-word-1.20.5");
    let dir = place(&case, checkpoint(&case.expected(), "/chk-1"));
    let hostile = "\u{1b}[2J\u{202e}evil";
    rewrite(&dir, |metadata| {
        let mut first = true;
        for operator in &mut metadata.operators {
            let Subtasks::Some(subtasks) = &mut operator.subtasks else { continue };
            for state in subtasks.iter_mut().filter_map(|subtask| subtask.state.as_deref_mut()) {
                if let Some(handle) = state.managed_operator.handle.as_mut().filter(|_| first) {
                    handle.stream = StreamHandle::File { size: 7, path: format!("1:/{hostile}").as_str().into() };
                    first = false;
                }
            }
        }
    });
    let run = ask(&case, hostile, &[]);
    assert_eq!((referrers(&run).into_values().collect::<Vec<_>>(), run.status), (vec!["name".to_owned()], 0));
    let tree = case.tree();
    let shown = case.chkctl(["refs", hostile, text(&tree), "-v"]);
    assert!(shown.stdout.contains("\\u{1b}[2J\\u{202e}evil"), "{}", shown.stdout);
    assert!(!shown.stdout.contains(['\u{1b}', '\u{202e}']), "{:?}", shown.stdout);
}

#[test]
fn the_places_of_a_target_are_those_of_the_store_that_the_map_names() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |text: &str| Location::parse(text).expect("a path");
    let maps = PathMaps::new(vec![format!("s3a://bucket/ck={}", dir.path().display()).parse().expect("a map")]);
    let here = at(&dir.path().join("shared/f").to_string_lossy());
    let target = Target::at(&LocalStorage, &maps, &here, &here);
    assert_eq!(target.kind, TargetKind::Gone);
    assert!(LocalStorage.stat(&here).is_err());
    let judged = |place: &str| {
        let case = Case::named("wc-one-word-1.20.5");
        let dir = case.here(case.expected()["checkpoints"][0]["path"].as_str().expect("a path"));
        rewrite(&dir, |metadata| {
            let subtasks = metadata.operators.iter_mut().filter_map(|operator| match &mut operator.subtasks {
                Subtasks::Some(subtasks) => Some(subtasks),
                Subtasks::FullyFinished(_) => None,
            });
            let states = subtasks.flatten().filter_map(|subtask| subtask.state.as_deref_mut());
            for handle in states.filter_map(|state| state.managed_operator.handle.as_mut()) {
                handle.stream = StreamHandle::File { size: 1, path: place.into() };
            }
        });
        let judge = Judge {
            inventory: Inventory::shared(&LocalStorage),
            maps: maps.clone(),
            progress: &Silent,
            neighbours: Vec::new(),
            keep_files: false,
        };
        let catalog = Catalog::scan(&LocalStorage, &[local(&dir)]).expect("a catalog");
        let said = refs(&judge, &target, &catalog.snapshots, false);
        assert_eq!((said.read, said.unknown), (1, Vec::new()));
        said.referrers.first().map(|referrer| referrer.how())
    };
    assert_eq!(judged("s3p://bucket/ck//shared/f"), Some(How::Place), "another name of the same store");
    assert_eq!(judged("s3://other/ck/shared/f"), Some(How::Name), "a store that cannot be looked at");
    assert_eq!(judged("s3://bucket/ck/shared/g"), None);
}

#[test]
fn refs_reads_as_a_person_expects() {
    let case = Case::named("wc-filemerging-rocksdb-2.3.0");
    metadata_files(&case.tree()).iter().zip(1..).for_each(|(file, minute)| touch(file, minute));
    let expected = case.expected();
    let of_one = uses(checkpoint(&expected, "/chk-4"));
    let (merged, _) = of_one.iter().max_by_key(|(file, uses)| (uses.len(), *file)).expect("a file");
    let merged = case.here(merged);
    let tree = case.tree();
    let mut text_of = String::new();
    for args in [
        &["refs", text(&merged), text(&tree)][..],
        &["refs", text(&merged), text(&tree), "-v"],
        &["refs", text(merged.parent().expect("a directory")), text(&tree)],
        &["refs", "no-such-file", text(&tree)],
    ] {
        let run = case.chkctl(args);
        text_of.push_str(&format!("$ chkctl {}\n{}[exit status {}]\n\n", args.join(" "), run.stdout, run.status));
    }
    insta::assert_snapshot!("refs", text_of.replace(text(&case.root), "[ROOT]").trim_end());
}
