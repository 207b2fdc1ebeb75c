//! What two snapshots differ in, against what Flink's own classes say of both, and on snapshots that were changed.

use super::catalog::touch;
use super::damage::{checkpoint, list, place, rewrite};
use super::refs::{Use, in_every_case, uses};
use super::support::{Case, Run, metadata_files};
use chkctl::format;
use chkctl::model::{Metadata, OperatorId, StreamHandle, Subtasks};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

fn diff(case: &Case, a: &Path, b: &Path) -> Run {
    case.chkctl(["diff", text(a), text(b), "--json"])
}

/// The names of two files are random, so that this is a set of bytes that a snapshot refers to.
fn bytes_of(uses: &[Use]) -> BTreeSet<i64> {
    let range = |(_, _, _, start, size): &Use| start.unwrap_or(0)..start.unwrap_or(0) + size;
    uses.iter().flat_map(range).collect()
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("{value} is a number"))
}

/// Sizes of state by kind, as Flink's classes have them.
fn kinds(operator: &Value) -> BTreeMap<String, i64> {
    let mut sizes = BTreeMap::new();
    let mut add = |kind: &str, size: &Value| *sizes.entry(kind.to_owned()).or_default() += number(size);
    if operator["coordinator_state"].is_object() {
        add("coordinator", &operator["coordinator_state"]["size"]);
    }
    for subtask in list(&operator["subtasks"]) {
        for (key, kind) in [
            ("managed_operator_state", "managed-operator"),
            ("raw_operator_state", "raw-operator"),
            ("managed_keyed_state", "managed-keyed"),
            ("raw_keyed_state", "raw-keyed"),
            ("input_channel_state", "input-channel"),
            ("result_subpartition_state", "result-subpartition"),
        ] {
            list(&subtask[key]).iter().for_each(|handle| add(kind, &handle["state_size"]));
        }
    }
    sizes
}

/// What is wrong with the differences of two checkpoints of `expected.json`.
fn check(case: &Case, a: &Value, b: &Value, wrong: &mut Vec<String>) {
    let run = diff(case, &place(case, a), &place(case, b));
    if run.status != 1 {
        return wrong.push(format!("exit status {}: {}", run.status, run.stderr));
    }
    let said = run.json();
    let mut same = |what: &str, said: Value, wanted: Value| {
        if said != wanted {
            wrong.push(format!("{} → {}: {what}: {said}, but Flink: {wanted}", a["path"], b["path"]));
        }
    };
    for (side, wanted) in [("a", a), ("b", b)] {
        for key in ["checkpoint_id", "metadata_version"] {
            same(key, said[side][key].clone(), wanted[key].clone());
        }
        same("state_size", said[side]["state_size"].clone(), wanted["total_state_size"].clone());
    }

    let (files_a, files_b) = (uses(a), uses(b));
    let mut wanted = json!({"added": {}, "gone": {}, "both": {}});
    for (file, uses) in &files_b {
        let now = bytes_of(uses);
        match files_a.get(file) {
            None => wanted["added"][file] = json!(now.len()),
            Some(uses) => {
                let before = bytes_of(uses);
                let only = [now.difference(&before).count(), before.difference(&now).count()];
                wanted["both"][file] = json!([now.len(), only]);
            }
        }
    }
    for (file, uses) in files_a.iter().filter(|(file, _)| !files_b.contains_key(*file)) {
        wanted["gone"][file] = json!(bytes_of(uses).len());
    }
    let files = &said["files"];
    let mut found = json!({"added": {}, "gone": {}, "both": {}});
    for kind in ["added", "gone"] {
        for file in list(&files[kind]) {
            found[kind][file["path"].as_str().expect("a path")] = file["bytes"].clone();
        }
    }
    for file in list(&files["both"]) {
        let only = [&file["new_bytes"], &file["gone_bytes"]];
        found["both"][file["path"].as_str().expect("a path")] = json!([file["bytes"], only]);
    }
    for file in list(&files["moved"]) {
        let name = |key: &str| file[key].as_str().expect("a path").rsplit('/').next().map(str::to_owned);
        same("the name of a moved file", json!(name("from")), json!(name("to")));
        found["gone"][file["from"].as_str().expect("a path")] = file["bytes"].clone();
        found["added"][file["to"].as_str().expect("a path")] = file["bytes"].clone();
    }
    same("files", found, wanted.clone());
    let sum = |values: Vec<i64>| values.into_iter().sum::<i64>();
    let added = wanted["added"].as_object().expect("files").values().map(number).collect();
    let grown = wanted["both"].as_object().expect("files").values().map(|both| number(&both[1][0])).collect();
    let metadata_size = number(&b["metadata_size"]);
    same("new_bytes", said["totals"]["new_bytes"].clone(), json!(sum(added) + sum(grown) + metadata_size));

    let by_id = |checkpoint: &Value| -> BTreeMap<String, Value> {
        let id = |operator: &Value| operator["operator_id"].as_str().expect("an id").to_owned();
        list(&checkpoint["operators"]).iter().map(|operator| (id(operator), operator.clone())).collect()
    };
    let (before, now) = (by_id(a), by_id(b));
    let mut seen = [BTreeSet::new(), BTreeSet::new()];
    for operator in list(&said["operators"]) {
        let mut growth = 0;
        let mut sizes = [BTreeMap::new(), BTreeMap::new()];
        for (index, (side, wanted)) in [("a", &before), ("b", &now)].into_iter().enumerate() {
            let Some(id) = operator[side]["operator_id"].as_str() else { continue };
            seen[index].insert(id.to_owned());
            let wanted = &wanted[id];
            for key in
                ["parallelism", "max_parallelism", "name", "uid", "fully_finished", "state_size", "checkpointed_size"]
            {
                // The oldest releases do not say some of it.
                if wanted.get(key).is_some() {
                    same(key, operator[side][key].clone(), wanted[key].clone());
                }
            }
            growth += number(&wanted["state_size"]) * if side == "a" { -1 } else { 1 };
            sizes[index] = kinds(wanted);
        }
        same("growth", operator["growth"].clone(), json!(growth));
        for kind in list(&operator["kinds"]) {
            let name = kind["kind"].as_str().expect("a kind");
            for (index, side) in ["a", "b"].into_iter().enumerate() {
                let amount = &kind[side];
                same(name, amount["bytes"].clone(), json!(sizes[index].remove(name).unwrap_or(0)));
                let parts = ["inline", "exclusive", "shared"].iter().map(|part| number(&amount[part])).sum::<i64>();
                same("the parts of it", json!(parts), amount["bytes"].clone());
            }
        }
        same("kinds", json!(sizes), json!([{}, {}]));
    }
    same("operators", json!(seen), json!([before.keys().collect::<Vec<_>>(), now.keys().collect::<Vec<_>>()]));
}

#[test]
fn checkpoints_of_every_case_differ_in_what_flinks_own_classes_say() {
    let compared = AtomicUsize::new(0);
    in_every_case(|case, wrong| {
        let expected = case.expected();
        for pair in list(&expected["checkpoints"]).windows(2) {
            check(case, &pair[0], &pair[1], wrong);
            check(case, &pair[1], &pair[0], wrong);
            compared.fetch_add(1, Ordering::Relaxed);
        }
    });
    assert!(compared.into_inner() > 100, "most cases have several snapshots");
}

fn copy_of(dir: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for file in fs::read_dir(dir).expect("a snapshot") {
        let file = file.expect("an entry").path();
        fs::copy(&file, to.join(file.file_name().expect("a name"))).expect("a copy");
    }
}

#[test]
fn a_snapshot_and_its_copy_are_the_same() {
    for name in ["kitchen-rocksdb-inc-1.20.5", "wc-savepoints-1.20.5", "wc-filemerging-rocksdb-2.3.0"] {
        let case = Case::named(name);
        let expected = case.expected();
        for (index, snapshot) in list(&expected["checkpoints"]).iter().enumerate() {
            let dir = place(&case, snapshot);
            let itself = diff(&case, &dir, &dir.join("_metadata"));
            assert_eq!((itself.status, &itself.json()["totals"]["new_bytes"]), (0, &json!(0)), "{}", dir.display());
            let copy = case.root.join(format!("copies-{index}")).join(dir.file_name().expect("a name"));
            copy_of(&dir, &copy);
            let run = diff(&case, &dir, &copy);
            assert_eq!((run.status, &run.json()["differs"]), (0, &json!(false)), "{}", run.stdout);
        }
    }
}

/// Two snapshots of a case, the older one first, the second one changed.
fn changed(case: &str, dirs: [&str; 2], change: impl for<'a> FnOnce(&mut Metadata<'a>)) -> (Case, PathBuf, PathBuf) {
    let case = Case::named(case);
    let expected = case.expected();
    let [a, b] = dirs.map(|dir| place(&case, checkpoint(&expected, dir)));
    let copy = case.root.join("changed");
    fs::create_dir(&copy).expect("a directory");
    fs::copy(b.join("_metadata"), copy.join("_metadata")).expect("a copy");
    rewrite(&copy, change);
    (case, a, copy)
}

fn fates(said: &Value) -> BTreeMap<String, Vec<String>> {
    let mut fates: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for operator in list(&said["operators"]) {
        let fate = operator["fate"].as_str().expect("a fate").to_owned();
        fates.entry(fate).or_default().push(operator["why"].as_str().unwrap_or_default().to_owned());
    }
    fates
}

#[test]
fn an_operator_whose_uid_was_changed_is_found_by_its_files() {
    let new = OperatorId::from_uid("another uid");
    let (case, a, b) = changed("wc-rocksdb-retained5-1.20.5", ["/chk-7", "/chk-8"], |metadata| {
        let keyed = metadata.operators.iter_mut().find(|operator| {
            operator.subtasks().iter().any(|s| s.state.as_ref().is_some_and(|s| s.managed_keyed.is_some()))
        });
        keyed.expect("a keyed operator").id = new;
    });
    let said = diff(&case, &a, &b).json();
    let renamed: Vec<&Value> = list(&said["operators"]).iter().filter(|o| o["fate"] == "renamed").collect();
    assert_eq!(renamed.len(), 1, "{said:#}");
    assert_eq!(renamed[0]["b"]["operator_id"], new.to_string());
    assert!(renamed[0]["why"].as_str().expect("why").starts_with("both refer to 8 of the same files, such as "));
    let fates = fates(&said);
    assert_eq!(fates.keys().collect::<Vec<_>>(), ["both", "renamed"]);
    let shown = case.chkctl(["diff", text(&a), text(&b)]);
    assert!(shown.stdout.contains("probably renamed: both refer to 8"), "{}", shown.stdout);
}

#[test]
fn an_operator_whose_state_is_in_line_is_found_by_its_state_then_by_its_name_then_by_its_shape() {
    let case = "kitchen-heap-inline-2.3.0";
    let rename = |name: &'static str, id: u8, metadata: &mut Metadata<'_>| {
        let operator = metadata.operators.iter_mut().find(|operator| operator.uid.to_str() == name);
        let operator = operator.expect("an operator");
        operator.id = OperatorId([id; 16]);
        operator.uid = "new uid".into();
    };
    let why = |change: &dyn for<'a> Fn(&mut Metadata<'a>)| {
        let (case, a, b) = changed(case, ["/chk-3", "/chk-3"], |metadata| change(metadata));
        let run = diff(&case, &a, &b);
        assert_eq!(run.status, 1);
        let fates = fates(&run.json());
        (fates.get("renamed").cloned().unwrap_or_default(), fates.contains_key("added"))
    };
    let same = why(&|metadata| rename("ks-reduce", 1, metadata));
    assert_eq!(same, (vec!["their state is the same to the byte".to_owned()], false));
    let another_byte = |metadata: &mut Metadata<'_>, name: &str| {
        for operator in metadata.operators.iter_mut().filter(|operator| operator.uid.to_str() == name) {
            let Subtasks::Some(subtasks) = &mut operator.subtasks else { continue };
            for state in subtasks.iter_mut().filter_map(|subtask| subtask.state.as_deref_mut()) {
                if let Some(chkctl::model::KeyedHandle::KeyGroups(groups)) = state.managed_keyed.as_deref_mut()
                    && let StreamHandle::Bytes(stream) = &mut groups.stream
                {
                    stream.data.to_mut().push(0);
                }
            }
        }
    };
    let by_name = why(&|metadata| {
        another_byte(metadata, "ks-reduce");
        rename("ks-reduce", 1, metadata);
    });
    assert!(by_name.0[0].starts_with("both are named "), "{by_name:?}");
    let by_shape = why(&|metadata| {
        another_byte(metadata, "ks-reduce");
        rename("ks-reduce", 1, metadata);
        metadata.operators.iter_mut().filter(|o| o.uid.to_str() == "new uid").for_each(|o| o.name = "other".into());
    });
    assert_eq!(by_shape.0, ["no other operators have state of this shape (keyed)"]);
    // Two that could be each other's are left alone.
    let either = why(&|metadata| {
        for (name, id) in [("ks-reduce", 1), ("ks-string", 2)] {
            another_byte(metadata, name);
            rename(name, id, metadata);
        }
        metadata.operators.iter_mut().filter(|o| o.uid.to_str() == "new uid").for_each(|o| o.name = "other".into());
    });
    assert_eq!(either, (Vec::new(), true));
}

#[test]
fn another_byte_of_state_in_line_is_a_difference_though_nothing_grew() {
    let (case, a, b) = changed("wc-heap-inline-1.20.5", ["/chk-2", "/chk-2"], |metadata| {
        for operator in &mut metadata.operators {
            let Subtasks::Some(subtasks) = &mut operator.subtasks else { continue };
            for state in subtasks.iter_mut().filter_map(|subtask| subtask.state.as_deref_mut()) {
                if let Some(handle) = &mut state.managed_operator.handle
                    && let StreamHandle::Bytes(stream) = &mut handle.stream
                {
                    stream.data.to_mut().iter_mut().last().into_iter().for_each(|byte| *byte ^= 1);
                }
            }
        }
    });
    let run = diff(&case, &a, &b);
    let said = run.json();
    let changed: Vec<&Value> = list(&said["operators"]).iter().filter(|o| o["differs"] == true).collect();
    assert_eq!((run.status, changed.len(), &said["totals"]["growth"]), (1, 1, &json!(0)), "{said:#}");
    assert_eq!(changed[0]["kinds"][0]["changed"], true);
    let shown = case.chkctl(["diff", text(&a), text(&b)]);
    assert!(shown.stdout.contains("as large, other content"), "{}", shown.stdout);
}

#[test]
fn a_job_at_another_parallelism_shows_it_for_every_operator_that_has_it() {
    let case = Case::named("wc-rescaled-1.20.5");
    let snapshots = metadata_files(&case.tree());
    let parallel = |file: &PathBuf| {
        let bytes = fs::read(file).expect("a _metadata");
        format::decode(&bytes).expect("a whole one").operators.iter().map(|o| o.parallelism).max().expect("operators")
    };
    let dir = |par| snapshots.iter().find(|file| parallel(file) == par).expect("a snapshot").parent().expect("a dir");
    let shown = case.chkctl(["diff", text(dir(2)), text(dir(3))]);
    assert_eq!((shown.stdout.matches("parallelism 2 → 3").count(), shown.status), (5, 1), "{}", shown.stdout);
    let back = case.chkctl(["diff", text(dir(3)), text(dir(2))]);
    assert_eq!(back.stdout.matches("parallelism 3 → 2").count(), 5, "{}", back.stdout);
}

#[test]
fn deep_names_keyed_states_whose_types_are_others() {
    let case = Case::named("kitchen-rocksdb-inc-2.3.0");
    let expected = case.expected();
    let [a, b] = ["/chk-3", "/chk-6"].map(|dir| place(&case, checkpoint(&expected, dir)));
    let types = |run: Run| {
        let said = run.json();
        let count = |key: &str| list(&said["operators"]).iter().map(|o| list(&o[key]).len()).sum::<usize>();
        (count("types"), count("unread"), run.status)
    };
    let deep = |a: &Path, b: &Path| types(case.chkctl(["diff", text(a), text(b), "--json", "--deep"]));
    assert_eq!(deep(&a, &b), (0, 0, 1));
    // The operator `ks-string` with the state of `ks-reduce`.
    let copy = case.root.join("changed");
    copy_of(&a, &copy);
    rewrite(&copy, |metadata| {
        let index = |uid: &str| metadata.operators.iter().position(|o| o.uid.to_str() == uid).expect("an operator");
        let (string, reduce) = (index("ks-string"), index("ks-reduce"));
        metadata.operators[string].subtasks = metadata.operators[reduce].subtasks.clone();
    });
    let (changed, unread, status) = deep(&a, &copy);
    assert!(changed > 2 && unread == 0 && status == 1, "{changed} {unread}");
    assert_eq!(types(diff(&case, &a, &copy)).0, 0, "without --deep nothing is read");
    let shown = case.chkctl(["diff", text(&a), text(&copy), "--deep"]);
    assert!(shown.stdout.contains("→ not there"), "{}", shown.stdout);
}

#[test]
fn what_cannot_be_compared_exits_with_5_and_no_difference() {
    let case = Case::named("wc-heap-inline-1.20.5");
    let dirs: Vec<PathBuf> =
        metadata_files(&case.tree()).iter().map(|file| file.parent().expect("a directory").to_owned()).collect();
    let job = dirs[0].parent().expect("a job");
    for other in [job.to_owned(), case.root.join("nowhere")] {
        for [a, b] in [[&dirs[0], &other], [&other, &dirs[0]]] {
            let run = diff(&case, a, b);
            assert_eq!((run.status, run.stdout.as_str()), (5, ""), "{}", run.stderr);
        }
    }
    let bytes = fs::read(dirs[0].join("_metadata")).expect("a _metadata");
    fs::write(dirs[0].join("_metadata"), &bytes[..bytes.len() - 20]).expect("written");
    assert_eq!(diff(&case, &dirs[0], &dirs[1]).status, 5);
    assert_eq!(case.chkctl(["diff", text(&dirs[1])]).status, 2);
    // 1 is a difference, and nothing else is.
    assert_eq!(diff(&case, &dirs[1], &dirs[1]).status, 0);
}

#[test]
fn names_out_of_a_metadata_are_escaped() {
    let hostile = "\u{1b}]0;title\u{7}\u{202e}";
    let (case, a, b) = changed("kitchen-heap-inline-2.3.0", ["/chk-3", "/chk-3"], |metadata| {
        for state in &mut metadata.master_states {
            state.name = hostile.into();
        }
        for operator in &mut metadata.operators {
            operator.name = hostile.into();
            operator.uid = hostile.into();
            operator.id = OperatorId([operator.id.0[0]; 16]);
            let Subtasks::Some(subtasks) = &mut operator.subtasks else { continue };
            for state in subtasks.iter_mut().filter_map(|subtask| subtask.state.as_deref_mut()) {
                let handles = state.managed_operator.handle.iter_mut();
                handles.flat_map(|handle| &mut handle.states).for_each(|state| state.name = hostile.into());
            }
        }
    });
    for more in ["--no-progress", "-v", "--deep"] {
        let run = case.chkctl(["diff", text(&a), text(&b), more]);
        assert!(run.stdout.contains("\\u{1b}]0;title\\u{7}\\u{202e}"), "{}", run.stdout);
        assert!(!run.stdout.contains(['\u{1b}', '\u{202e}', '\u{7}']), "{:?}", run.stdout);
    }
}

#[test]
fn diff_reads_as_a_person_expects() {
    let mut text_of = String::new();
    for (name, pairs) in [
        ("wc-rocksdb-retained5-1.20.5", &[["/chk-7", "/chk-8"], ["/chk-8", "/chk-8"]][..]),
        ("wc-filemerging-heap-1.20.5", &[["/chk-2", "/chk-3"]]),
    ] {
        let case = Case::named(name);
        metadata_files(&case.tree()).iter().zip(1..).for_each(|(file, minute)| touch(file, minute));
        let expected = case.expected();
        for pair in pairs {
            let [a, b] = pair.map(|dir| place(&case, checkpoint(&expected, dir)));
            for more in [&[][..], &["-v"]] {
                let run = case.chkctl(["diff", text(&a), text(&b)].iter().chain(more));
                let shown = [&["$ chkctl diff", text(&a), text(&b)], more].concat().join(" ") + "\n";
                let shown = format!("{shown}{}[stderr]\n{}[exit status {}]\n\n", run.stdout, run.stderr, run.status);
                text_of.push_str(&shown.replace(text(&case.root), "[ROOT]"));
            }
        }
    }
    insta::assert_snapshot!("diff", text_of.trim_end());
}
