//! `chkctl repair` on what real Flink left: moved, wrongly anchored, damaged and renamed.

use crate::suite::support::{Case, FLINK_ROOT, Run, command, metadata_files};
use chkctl::format::{decode, encode};
use chkctl::model::{Metadata, StreamHandle};
use chkctl::wire::JavaStr;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A directory to repair into.
struct Out {
    dir: TempDir,
}

impl Out {
    fn new() -> Self {
        Out { dir: tempfile::tempdir().expect("a directory") }
    }

    fn dest(&self) -> PathBuf {
        self.dir.path().join("mended")
    }

    /// `chkctl repair SNAPSHOT --output DEST --json …`
    fn repair<A: AsRef<OsStr>>(&self, snapshot: &Path, args: impl IntoIterator<Item = A>) -> Run {
        let mut run = command();
        run.arg("repair").arg(snapshot).arg("--output").arg(self.dest()).arg("--json").args(args);
        Run::of(run)
    }

    /// The verdict on what was written, by a run that knows nothing of the source.
    fn verdict(&self) -> String {
        let mut run = command();
        run.args(["verify", "--json"]).arg(self.dest());
        Run::of(run).json()["snapshots"][0]["verdict"].as_str().expect("a verdict").to_owned()
    }

    fn is_absent(&self) -> bool {
        !self.dest().exists()
    }
}

/// Every file below a directory, with its content.
fn tree(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = walkdir::WalkDir::new(root).into_iter().map(|entry| entry.expect("an entry"));
    let files = files.filter(|entry| entry.file_type().is_file()).map(|entry| entry.into_path());
    files.map(|path| (path.clone(), fs::read(path).expect("readable"))).collect()
}

fn snapshots(case: &Case) -> Vec<PathBuf> {
    metadata_files(&case.tree()).iter().map(|file| file.parent().expect("a directory").to_owned()).collect()
}

/// A snapshot whose path ends so.
fn snapshot(case: &Case, end: &str) -> PathBuf {
    let found = snapshots(case).into_iter().find(|dir| dir.ends_with(end));
    found.unwrap_or_else(|| panic!("{} has no {end}", case.name))
}

fn verdict(case: &Case, dir: &Path) -> String {
    let run = case.chkctl([OsStr::new("verify"), "--json".as_ref(), dir.as_os_str()]);
    run.json()["snapshots"][0]["verdict"].as_str().expect("a verdict").to_owned()
}

fn says(run: &Run, part: &str) {
    assert!(run.stderr.contains(part), "{part} is not in: {}", run.stderr);
}

#[test]
fn wrongly_anchored_handles_are_led_to_the_files() {
    for name in ["wc-reanchor-1.20.5", "wc-reanchor-2.3.0"] {
        let case = Case::named(name);
        let before = tree(&case.root);
        let mut mended = 0;
        for dir in snapshots(&case) {
            let out = Out::new();
            let (map, flag) = (["--map".to_owned(), case.map()], ["--re-anchor", "--apply"].map(str::to_owned));
            let run = out.repair(&dir, map.iter().chain(&flag));
            if verdict(&case, &dir) == "restorable" {
                says(&run, "no handle leads to the wrong directory");
                assert!(run.status == 4 && out.is_absent());
                continue;
            }
            assert_eq!((run.status, &run.json()["verdict"]), (0, &json!("restorable")), "{}", run.stderr);
            assert_eq!(out.verdict(), "restorable");
            says(&run, "next: flink run -s ");
            let anchored = run.json()["changes"]["paths"].clone();
            let anchored = anchored.as_array().expect("a list").iter().filter(|change| change["why"] == "re-anchor");
            assert!(anchored.map(|change| change["handles"].as_u64().expect("a count")).sum::<u64>() > 0);
            // Without the option it is refused, and said what helps.
            let other = Out::new();
            let run = other.repair(&dir, map.iter().chain(&flag[1..]));
            assert!(run.status == 4 && other.is_absent(), "{}", run.stderr);
            says(&run, "hint: --re-anchor");
            mended += 1;
        }
        assert_eq!(mended, 3, "{name}");
        assert!(tree(&case.root) == before, "the source is as it was");
    }
}

#[test]
fn a_tree_that_was_moved_is_mapped_and_needs_no_map_any_more() {
    for name in
        ["kitchen-rocksdb-inc-1.20.5", "wc-filemerging-rocksdb-2.3.0", "wc-changelog-rocksdb-2.3.0", "wc-heap-1.9.3"]
    {
        let case = Case::named(name);
        let before = tree(&case.root);
        for dir in snapshots(&case) {
            let out = Out::new();
            let run = out.repair(&dir, ["--apply", "--map", &case.map()]);
            assert_eq!((run.status, &run.json()["verdict"]), (0, &json!("restorable")), "{name}: {}", run.stderr);
            assert_eq!(out.verdict(), "restorable");
            let bytes = fs::read(out.dest().join("_metadata")).expect("written");
            assert!(
                !String::from_utf8_lossy(&bytes).contains(&format!("{FLINK_ROOT}/{name}/checkpoints/"))
                    || name.contains("heap-1.9")
            );
            assert_eq!(fs::read_dir(out.dest()).expect("a listing").count(), 1, "no state is copied");
        }
        assert!(tree(&case.root) == before, "the source is as it was");
    }
}

#[test]
fn where_a_map_leads_to_is_not_asked_for_the_snapshot_that_lies_below_its_from() {
    let case = Case::named("wc-heap-1.9.3");
    let out = Out::new();
    // Nobody listens there.
    let map = format!("{}=hdfs://127.0.0.1:1/moved", case.root.display());
    let run = out.repair(&snapshots(&case)[0], ["--apply", "--no-verify", "--map", &map]);
    assert_eq!(run.status, 0, "{}", run.stderr);
}

#[test]
fn a_map_of_one_file_and_a_map_into_itself_are_applied_once() {
    let case = Case::named("wc-rocksdb-inc-1.19.3");
    let dir = snapshots(&case).remove(0);
    // TO lies below FROM.
    let inner = case.root.join("inner");
    fs::create_dir(&inner).expect("created");
    fs::rename(case.tree(), inner.join(&case.name)).expect("moved");
    let dir = inner.join(dir.strip_prefix(&case.root).expect("below"));
    let out = Out::new();
    let twice = format!("{}={}", case.root.display(), inner.display());
    let run = out.repair(&dir, ["--apply", "--map", &format!("{FLINK_ROOT}={}", inner.display()), "--map", &twice]);
    assert_eq!((run.status, out.verdict()), (0, "restorable".to_owned()), "{}", run.stderr);
    // A single file that was given another name.
    assert_eq!(out.repair(&dir, ["--apply"]).status, 4, "DEST is taken");
    let mut files = command();
    files.args(["files", "--json"]).arg(out.dest());
    let files = Run::of(files).json();
    let file =
        files["files"].as_array().expect("a list").iter().find(|file| file["path"].to_string().contains("/shared/"));
    let file =
        PathBuf::from(file.expect("a shared file")["path"].as_str().expect("a path").trim_start_matches("file:"));
    let renamed = case.root.join("another-name");
    fs::rename(&file, &renamed).expect("renamed");
    let second = Out::new();
    let map = format!("{}={}", file.display(), renamed.display());
    let run = second.repair(&out.dest(), ["--apply", "--map", &map]);
    assert_eq!((run.status, second.verdict()), (0, "restorable".to_owned()), "{}", run.stderr);
    assert_eq!(run.json()["changes"]["paths"].as_array().map(Vec::len), Some(1));
}

#[test]
fn operators_that_lost_a_file_are_dropped_and_said_to_be_lost() {
    let case = Case::named("wc-claim-compacted-1.20.5");
    let before = tree(&case.root);
    let dir = snapshot(&case, "chk-2");
    let map = case.map();
    let out = Out::new();
    let run = out.repair(&dir, ["--apply", "--map", &map]);
    assert!(run.status == 4 && out.is_absent());
    says(&run, "hint: --drop-unreadable");
    let run = out.repair(&dir, ["--map", &map, "--drop-unreadable"]);
    assert!(run.status == 0 && out.is_absent(), "a dry run writes nothing");
    assert_eq!(run.json()["applied"], false);
    let run = out.repair(&dir, ["--apply", "--map", &map, "--drop-unreadable"]);
    assert_eq!((run.status, out.verdict()), (0, "restorable".to_owned()), "{}", run.stderr);
    let lost = &run.json()["changes"]["lost"];
    assert_eq!(lost.as_array().map(Vec::len), Some(1));
    assert_eq!((&lost[0]["subtasks"], &lost[0]["key_groups"]), (&json!(2), &json!(128)));
    assert!(lost[0]["bytes"].as_i64() > Some(20_000) && lost[0]["why"].to_string().contains("4 errors"), "{lost}");
    // Not with -n: it would pass over what nobody meant to lose.
    says(&run, "next: flink run -s file:");
    assert!(tree(&case.root) == before, "the source is as it was");
}

#[test]
fn nothing_is_dropped_for_a_file_that_could_not_be_looked_at() {
    let case = Case::named("wc-rocksdb-inc-1.19.3");
    let dir = snapshots(&case).remove(0);
    let out = Out::new();
    // A store that nobody reads.
    let run = out.repair(&dir, ["--apply", "--drop-unreadable", "--map", &format!("{FLINK_ROOT}=other://nn/ck")]);
    assert!(run.status == 4 && out.is_absent(), "{}", run.stderr);
    says(&run, "could not be found out");
    let run = out.repair(&dir, ["--apply", "--map", &format!("{FLINK_ROOT}=other://nn/ck")]);
    assert!(run.status == 5 && out.is_absent(), "{}", run.stderr);
    let run = out.repair(&dir, ["--apply", "--no-verify", "--map", &format!("{FLINK_ROOT}=other://nn/ck")]);
    assert_eq!((run.status, &run.json()["verdict"]), (0, &Value::Null));
    assert_eq!(out.verdict(), "unknown");
}

#[test]
fn missing_files_are_found_by_name_and_size() {
    let case = Case::named("wc-rocksdb-inc-1.19.3");
    let dir = snapshots(&case).remove(0);
    let map = case.map();
    let shared = dir.parent().expect("a job").join("shared");
    let away = case.root.join("backup/deep/down");
    fs::create_dir_all(&away).expect("created");
    let names: Vec<_> =
        fs::read_dir(&shared).expect("files").map(|entry| entry.expect("an entry").file_name()).collect();
    names.iter().for_each(|name| fs::rename(shared.join(name), away.join(name)).expect("moved"));
    let backup = case.root.join("backup").display().to_string();
    let find = ["--apply", "--map", &map, "--find", &backup];
    let out = Out::new();
    let run = out.repair(&dir, find);
    assert_eq!((run.status, out.verdict()), (0, "restorable".to_owned()), "{}", run.stderr);
    // A second copy with the same bytes makes no difference; one with others does.
    let mut metadata = fs::read(out.dest().join("_metadata")).expect("written");
    let used =
        |name: &&std::ffi::OsString| metadata.windows(name.len()).any(|window| window == name.as_encoded_bytes());
    let name = names.iter().find(used).expect("a file in use").clone();
    let twin = case.root.join("backup").join(&name);
    fs::copy(away.join(&name), &twin).expect("copied");
    let out = Out::new();
    assert_eq!(out.repair(&dir, find).status, 0);
    metadata = fs::read(&twin).expect("readable");
    let last = metadata.len() - 1;
    metadata[last] ^= 1;
    fs::write(&twin, &metadata).expect("written");
    let out = Out::new();
    let run = out.repair(&dir, find);
    assert!(run.status == 4 && out.is_absent());
    says(&run, "which hold different bytes");
    // The size alone proves nothing.
    fs::remove_file(&twin).expect("removed");
    fs::rename(away.join(&name), away.join("another-name")).expect("renamed");
    let run = out.repair(&dir, find);
    assert!(run.status == 4 && out.is_absent());
    says(&run, "another-name");
    fs::remove_file(away.join("another-name")).expect("removed");
    let run = out.repair(&dir, find);
    assert!(run.status == 4 && out.is_absent(), "one is still missing");
}

/// A checkpoint whose shared files lie in `backup`, one of them under another name, beside a file of the same size.
struct Renamed {
    case: Case,
    dir: PathBuf,
    backup: PathBuf,
    old: PathBuf,
    new: PathBuf,
}

/// What is done before the files are moved is done by `prepare`.
fn renamed(prepare: impl Fn(&Case, &Path)) -> Renamed {
    let case = Case::named("wc-rocksdb-inc-1.19.3");
    let dir = snapshots(&case).remove(0);
    prepare(&case, &dir);
    let shared = dir.parent().expect("a job").join("shared");
    let backup = case.root.join("backup");
    fs::rename(&shared, &backup).expect("moved");
    let metadata = fs::read(dir.join("_metadata")).expect("readable");
    let used = |path: &PathBuf| {
        let name = path.file_name().expect("a name").as_encoded_bytes().to_vec();
        metadata.windows(name.len()).any(|window| window == name)
    };
    let files = fs::read_dir(&backup).expect("files").map(|entry| entry.expect("an entry").path());
    let old = files.filter(|path| path.is_file()).find(used).expect("a file in use");
    let new = backup.join("another-name");
    fs::rename(&old, &new).expect("renamed");
    let mut other = fs::read(&new).expect("readable");
    *other.last_mut().expect("bytes") ^= 1;
    fs::write(backup.join("a-decoy"), other).expect("written");
    Renamed { case, dir, backup, old, new }
}

impl Renamed {
    fn repair(&self, out: &Out) -> Run {
        let find = self.backup.display().to_string();
        out.repair(&self.dir, ["--apply", "--map", &self.case.map(), "--find", &find])
    }
}

fn seal(case: &Case, dir: &Path) {
    let run = case.chkctl([OsStr::new("seal"), dir.as_os_str()]);
    assert_eq!(run.status, 0, "{}", run.stderr);
}

#[test]
fn a_renamed_file_is_found_by_the_content_that_was_sealed() {
    let all = renamed(seal);
    let before = tree(&all.case.root);
    let out = Out::new();
    let run = all.repair(&out);
    assert_eq!((run.status, out.verdict()), (0, "restorable".to_owned()), "{}", run.stderr);
    let metadata = fs::read(out.dest().join("_metadata")).expect("written");
    assert!(String::from_utf8_lossy(&metadata).contains("backup/another-name"));
    assert!(tree(&all.case.root) == before, "what is found stays where it is");
    // With other bytes it is not the one, nor is a file of the right name.
    let bytes = fs::read(&all.new).expect("readable");
    fs::copy(all.backup.join("a-decoy"), &all.new).expect("copied");
    let out = Out::new();
    assert!(all.repair(&out).status == 4 && out.is_absent());
    fs::copy(all.backup.join("a-decoy"), &all.old).expect("copied");
    let run = all.repair(&out);
    assert!(run.status == 4 && out.is_absent());
    says(&run, "not the bytes that were sealed");
    // A twin with the sealed bytes is taken, wherever it is.
    fs::create_dir(all.backup.join("deep")).expect("created");
    fs::write(all.backup.join("deep/twin"), bytes).expect("written");
    let run = all.repair(&out);
    assert_eq!((run.status, out.verdict()), (0, "restorable".to_owned()), "{}", run.stderr);
}

#[test]
fn a_manifest_below_the_directory_says_what_a_renamed_file_holds() {
    let copy = tempfile::tempdir().expect("a directory");
    let dest = copy.path().join("copy");
    let promote = |case: &Case, dir: &Path| {
        let run = case.chkctl([OsStr::new("promote"), dir.as_os_str(), dest.as_os_str()]);
        assert_eq!(run.status, 0, "{}", run.stderr);
    };
    let all = renamed(promote);
    let out = Out::new();
    // Nothing says what it holds yet.
    let run = all.repair(&out);
    assert!(run.status == 4 && out.is_absent());
    says(&run, "another-name");
    says(&run, "a-decoy");
    says(&run, "no seal or manifest says what it holds");
    fs::copy(dest.join("chkctl.manifest"), all.backup.join("chkctl.manifest")).expect("copied");
    let run = all.repair(&out);
    assert_eq!((run.status, out.verdict()), (0, "restorable".to_owned()), "{}", run.stderr);
    // Two manifests that contradict each other prove nothing.
    let text = fs::read_to_string(dest.join("chkctl.manifest")).expect("text");
    let name = all.old.file_name().expect("a name").to_string_lossy().into_owned();
    let lie =
        |line: &str| if line.ends_with(&name) { format!("{}{}", "0".repeat(64), &line[64..]) } else { line.to_owned() };
    let lies: Vec<String> = text.lines().map(lie).collect();
    fs::create_dir(all.backup.join("liar")).expect("created");
    fs::write(all.backup.join("liar/chkctl.manifest"), lies.join("\n") + "\n").expect("written");
    let out = Out::new();
    let run = all.repair(&out);
    assert!(run.status == 4 && out.is_absent(), "{}", run.stderr);
    // The snapshot's own seal is what counts.
    fs::rename(&all.new, &all.old).expect("back");
    fs::rename(&all.backup, all.dir.parent().expect("a job").join("shared")).expect("back");
    seal(&all.case, &all.dir);
    fs::rename(all.dir.parent().expect("a job").join("shared"), &all.backup).expect("moved");
    fs::rename(&all.old, &all.new).expect("renamed");
    let run = all.repair(&out);
    assert_eq!((run.status, out.verdict()), (0, "restorable".to_owned()), "{}", run.stderr);
}

#[test]
fn files_beside_the_metadata_get_a_second_name_with_link() {
    use std::os::unix::fs::MetadataExt as _;
    let case = Case::named("kitchen-heap-files-1.20.5");
    let before = tree(&case.root);
    let dir = snapshots(&case).remove(0);
    let out = Out::new();
    let run = out.repair(&dir, ["--apply", "--link", "--map", &case.map()]);
    assert_eq!((run.status, out.verdict()), (0, "restorable".to_owned()), "{}", run.stderr);
    let answer = run.json();
    assert!(answer["linked_files"].as_u64() > Some(3) && answer["linked_files"] == answer["copied_files"], "{answer}");
    for file in tree(&out.dest()).into_keys() {
        let name = file.file_name().expect("a name");
        let inode = |path: &Path| fs::metadata(path).expect("there").ino();
        assert_eq!(inode(&file) == inode(&dir.join(name)), name != "_metadata", "{}", file.display());
    }
    // What Flink removes in CLAIM mode is the second name.
    fs::remove_dir_all(out.dest()).expect("removed");
    assert!(tree(&case.root) == before, "the source is as it was");
}

#[test]
fn a_uid_is_renamed_on_both_major_releases() {
    for (name, option, operator, uid) in [
        ("wc-heap-uids-2.3.0", "--rename-uid", "wc-source=new-source", "new-source"),
        ("kitchen-heap-files-1.20.5", "--rename-id", "2469759eb0134ef15c70a1a8c2cbb11e=new-source", "new-source"),
    ] {
        let case = Case::named(name);
        let before = tree(&case.root);
        let dir = snapshots(&case).remove(0);
        let out = Out::new();
        let run = out.repair(&dir, ["--apply", "--map", &case.map(), option, operator]);
        assert_eq!((run.status, out.verdict()), (0, "restorable".to_owned()), "{}", run.stderr);
        assert_eq!(run.json()["changes"]["renamed"][0]["to_uid"], uid);
        let mut uids = command();
        uids.args(["uid", "--json", uid, "--match"]).arg(out.dest());
        let uids = Run::of(uids);
        assert_eq!(uids.status, 0, "{}", uids.stdout);
        assert!(uids.json()["uids"][0]["operator"]["state_size"].as_i64() > Some(100));
        assert!(tree(&case.root) == before, "the source is as it was");
    }
}

#[test]
fn several_edits_at_once_are_made_in_their_order() {
    let case = Case::named("wc-heap-uids-2.3.0");
    let dir = snapshots(&case).remove(0);
    let out = Out::new();
    let args = "--apply --upgrade 7 --checkpoint-id 88 --rename-uid wc-source=s --drop-state wc-source/offset --drop-operator wc-sum";
    let run = out.repair(&dir, args.split(' '));
    assert_eq!(run.status, 0, "{}", run.stderr);
    let changes = &run.json()["changes"];
    assert_eq!((&changes["after"]["checkpoint_id"], &changes["after"]["metadata_version"]), (&json!(88), &json!(7)));
    assert_eq!((&changes["before"]["operators"], &changes["after"]["operators"]), (&json!(6), &json!(5)));
    assert_eq!(
        (&changes["dropped_states"][0]["state"], &changes["lost"][0]["uid"]),
        (&json!("offset"), &json!("wc-sum"))
    );
    let bytes = fs::read(out.dest().join("_metadata")).expect("written");
    let metadata = decode(&bytes).expect("a _metadata");
    assert_eq!((metadata.checkpoint_id, metadata.version.number(), metadata.operators.len()), (88, 7, 5));
}

#[test]
fn what_makes_no_sense_or_is_not_clear_is_refused() {
    let case = Case::named("wc-heap-uids-2.3.0");
    let before = tree(&case.root);
    let dir = snapshots(&case).remove(0);
    let out = Out::new();
    for (args, why) in [
        ("--drop-operator nobody", "no operator of the snapshot has"),
        ("--rename-uid wc-source=wc-sum", "which another operator of the snapshot would have too"),
        ("--rename-uid nobody=x", "no operator of the snapshot has"),
        ("--rename-id 00000000000000000000000000000000=x", "no operator of the snapshot has"),
        ("--drop-state wc-sum/sum", "a keyed state cannot be dropped alone"),
        ("--drop-state wc-source/nothing", "no operator state \"nothing\" (it has offset)"),
        ("--upgrade 6", "is not newer"),
        ("--re-anchor", "no handle leads to the wrong directory"),
        (
            "--drop-operator wc-source --drop-operator wc-sum --drop-operator wc-split --drop-operator wc-pair \
             --drop-operator wc-check --drop-operator eb2f87d8dcb61fba483c63552adad8eb",
            "no operator would be left",
        ),
    ] {
        let run = out.repair(&dir, args.split_whitespace().chain(["--apply", "--force"]));
        assert!(run.status == 4 && out.is_absent(), "{args}: {} {}", run.status, run.stderr);
        says(&run, why);
    }
    for args in ["--drop-state offset", "--rename-uid a=b=c", "--rename-id abc=x", "--upgrade 9", "--checkpoint-id -1"]
    {
        assert_eq!(out.repair(&dir, args.split(' ')).status, 2, "{args}");
    }
    for inside in [dir.join("mended"), dir.clone(), dir.join("a/b")] {
        let mut run = command();
        run.arg("repair").arg(&dir).arg("--apply").arg("--output").arg(&inside);
        assert_eq!(Run::of(run).status, 4, "{}", inside.display());
    }
    std::os::unix::fs::symlink(&dir, out.dir.path().join("link")).expect("a link");
    let mut run = command();
    run.arg("repair").arg(&dir).arg("--apply").arg("--output").arg(out.dir.path().join("link/new"));
    assert_eq!(Run::of(run).status, 4, "a link into the source is the source");
    assert!(tree(&case.root) == before, "the source is as it was");
}

#[test]
fn a_result_that_would_not_restore_is_written_by_force_alone() {
    let case = Case::named("wc-claim-compacted-1.20.5");
    let out = Out::new();
    let run = out.repair(&snapshot(&case, "chk-2"), ["--apply", "--force", "--map", &case.map()]);
    assert_eq!((run.status, &run.json()["applied"], out.verdict()), (0, &json!(true), "broken".to_owned()));
}

#[test]
fn copied_files_make_the_result_independent_of_the_source() {
    let case = Case::named("kitchen-heap-files-1.20.5");
    let before = tree(&case.root);
    for dir in snapshots(&case) {
        let out = Out::new();
        let run = out.repair(&dir, ["--apply", "--copy", "--map", &case.map()]);
        assert_eq!(run.status, 0, "{}", run.stderr);
        let original = fs::read(dir.join("_metadata")).expect("readable");
        assert_eq!(fs::read(out.dest().join("_metadata")).expect("written"), original, "nothing was to be mended");
        assert!(tree(&case.root) == before, "the source is as it was");
        let aside = dir.with_file_name("aside");
        fs::rename(&dir, &aside).expect("moved");
        assert_eq!(out.verdict(), "restorable");
        fs::rename(&aside, &dir).expect("moved");
        // The other way depends on it.
        let other = Out::new();
        assert_eq!(other.repair(&dir, ["--apply", "--map", &case.map()]).status, 0);
        assert_eq!(other.verdict(), "restorable");
        fs::rename(&dir, &aside).expect("moved");
        assert_eq!(other.verdict(), "broken");
        fs::rename(&aside, &dir).expect("moved");
    }
}

/// A snapshot whose relative handles have this path, beside a file that is to stay secret.
fn hostile(path: &str) -> (Case, PathBuf) {
    let case = Case::named("kitchen-heap-files-1.20.5");
    let dir = snapshots(&case).remove(0);
    fs::write(case.root.join("secret"), "secret").expect("written");
    let file = dir.join("_metadata");
    let bytes = fs::read(&file).expect("readable");
    let mut metadata: Metadata<'_> = decode(&bytes).expect("a _metadata");
    chkctl::edit::streams::rewrite::<Infallible>(&mut metadata, &mut |_, stream| {
        if let StreamHandle::Relative { path: handle, .. } = stream {
            *handle = JavaStr::from(path);
        }
        Ok(())
    })
    .expect("no error");
    fs::write(&file, encode(&metadata).expect("written")).expect("written");
    (case, dir)
}

#[test]
fn hostile_names_write_nowhere_but_to_dest() {
    for path in [
        "../../../../secret",
        "/etc/passwd",
        "_metadata",
        "a/../../x",
        "..",
        "link",
        "._metadata.inprogress.1",
        "a\\..\\b",
        "file:/x",
    ] {
        let (case, dir) = hostile(path);
        std::os::unix::fs::symlink(case.root.join("secret"), dir.join("link")).expect("a link");
        let before = tree(&case.root);
        let out = Out::new();
        let run = out.repair(&dir, ["--apply", "--force", "--copy", "--map", &case.map()]);
        assert!(matches!(run.status, 0 | 4), "{path}: {} {}", run.status, run.stderr);
        assert!(tree(&case.root) == before, "{path}");
        let written: Vec<_> = tree(out.dir.path()).into_keys().collect();
        let wanted = if run.status == 0 { vec![out.dest().join("_metadata")] } else { vec![] };
        assert_eq!(written, wanted, "{path}: only a _metadata, and no file that a name leads to");
    }
}

#[test]
fn the_diff_is_shown_to_people_and_nothing_is_written_to_the_terminal_by_a_name() {
    let case = Case::named("wc-heap-uids-2.3.0");
    let dir = snapshots(&case).remove(0);
    let out = Out::new();
    let mut run = command();
    run.arg("repair").arg(&dir).arg("-o").arg(out.dest()).args([
        "--rename-uid",
        "wc-source=\u{1b}[2Jx",
        "--drop-operator",
        "wc-sum",
    ]);
    let run = Run::of(run);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(!run.stdout.contains('\u{1b}') && run.stdout.contains("\\u{1b}[2Jx"), "{}", run.stdout);
    assert!(run.stdout.contains("128 key groups") && run.stdout.contains("operators    6 → 5"), "{}", run.stdout);
    says(&run, "nothing was written (--apply writes it)");
}

#[test]
fn maps_of_the_configuration_file_read_and_do_not_rewrite() {
    let case = Case::named("wc-rocksdb-inc-1.19.3");
    let dir = snapshots(&case).remove(0);
    let config = case.root.join("chkctl.toml");
    fs::write(&config, format!("map = [\"{}\"]\n", case.map())).expect("written");
    let out = Out::new();
    let run = out.repair(&dir, ["--apply", "--config", &config.display().to_string()]);
    assert_eq!((run.status, &run.json()["verdict"]), (0, &json!("restorable")), "{}", run.stderr);
    let bytes = fs::read(out.dest().join("_metadata")).expect("written");
    assert!(String::from_utf8_lossy(&bytes).contains(FLINK_ROOT), "it is for where Flink has the files");
    assert!(!String::from_utf8_lossy(&bytes).contains(&*case.root.to_string_lossy()));
}
