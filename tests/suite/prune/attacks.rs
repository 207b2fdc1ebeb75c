//! Trees that are made to have a prune take what it must not: names in a `_metadata` that lead anywhere, symbolic links,
//! directories in the place of files, and what cannot be read. Whatever is there, nothing outside the roots, no link and no
//! foreign name is ever in a plan.

use super::tree::{Drawing, Drawn, HOUR, Made, OLD, Ref, keep_last, location};
use crate::suite::support::{Run, command};
use chkctl::plan::{Phase, Plan};
use chkctl::prune::Options;
use chkctl::storage::faulty::{Fault, FaultyStorage, Operation};
use chkctl::storage::{LocalStorage, StorageErrorKind};
use chkctl::survey::Silent;
use chkctl::survey::resolve::PathMaps;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

const JOB: &str = "ck/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const OTHER: &str = "ck/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

/// A name of a state file.
fn uuid(number: u32) -> String {
    format!("75613fb4-ca59-4264-850c-{number:012x}")
}

/// A dead job with two checkpoints, of which the older goes: `shared/1` is the newer one's, `shared/2` is the older one's,
/// and `shared/3` nobody's.
fn two_checkpoints() -> Drawn {
    let mut drawn = Drawn::default();
    let shared: Vec<String> = (1..=3).map(|number| drawn.old(format!("{JOB}/shared/{}", uuid(number)))).collect();
    let own: Vec<String> = (1..=2).map(|id| drawn.old(format!("{JOB}/chk-{id}/{}", uuid(10 + id)))).collect();
    drawn.dirs.insert(format!("{JOB}/taskowned"), OLD);
    drawn.snapshot(format!("{JOB}/chk-1"), 1, 300, &[&own[0], &shared[1]]);
    drawn.snapshot(format!("{JOB}/chk-2"), 2, 200, &[&own[1], &shared[0]]);
    drawn
}

/// What goes of it: three files of the older checkpoint with its directory, and the orphan.
fn usual() -> BTreeSet<String> {
    ["chk-1/_metadata", &format!("chk-1/{}", uuid(11)), "chk-1", &shared(2), &shared(3)]
        .map(|path| format!("{JOB}/{path}"))
        .into()
}

fn shared(number: u32) -> String {
    format!("shared/{}", uuid(number))
}

fn plan(made: &Made) -> Plan {
    let plan = made.prepare(&["ck"], &keep_last(1)).plan;
    sound(made, &plan);
    plan
}

/// What holds of every plan: each step is about a plain file or directory below the roots, by a plain name.
fn sound(made: &Made, plan: &Plan) {
    for (phase, path) in made.steps(plan) {
        let parts: Vec<&str> = path.split('/').collect();
        assert_eq!(parts[0], "ck", "{path} is below the root");
        assert!(!parts.contains(&"..") && !parts.contains(&".") && !parts.contains(&""), "{path}");
        for length in 1..=parts.len() {
            let metadata = fs::symlink_metadata(made.path(&parts[..length].join("/"))).expect("it is there");
            assert!(!metadata.is_symlink(), "{path} leads over a link");
            let file = length == parts.len() && phase != Phase::Directory;
            assert_eq!(metadata.is_file(), file, "{path}");
        }
    }
}

fn codes(plan: &Plan) -> Vec<&str> {
    plan.refused.iter().map(|refused| refused.code.as_str()).collect()
}

/// Asserts that a plan goes through with this code against it.
fn assert_blocked(plan: &Plan, code: &str) {
    assert!(plan.blocked && codes(plan).contains(&code), "{code}: {:?}", plan.refused);
    assert!(plan.batches.is_empty(), "{code}: {:?}", plan.batches);
}

fn prune(made: &Made, args: &[&str]) -> Run {
    let mut command = command();
    command.arg("prune").arg(made.path("ck")).args(["--keep-last", "1", "--max-delete-percent", "100"]);
    command.args(["--now", "2026-06-01T12:00:00Z"]).args(args);
    Run::of(command)
}

#[test]
fn without_an_attack_the_older_checkpoint_and_the_orphan_go() {
    let made = Made::on_disk(&two_checkpoints());
    let plan = plan(&made);
    assert_eq!(made.going(&plan), usual());
    assert!(plan.refused.is_empty(), "{:?}", plan.refused);
}

#[test]
fn a_metadata_that_names_files_outside_takes_none_of_them() {
    let outside = tempfile::tempdir().expect("a directory");
    let state = outside.path().join(uuid(99));
    fs::write(&state, b"0123456789").expect("a file");
    let mut drawn = two_checkpoints();
    let up = "../".repeat(30);
    let relative = format!("{up}{}", state.to_str().expect("UTF-8").trim_start_matches('/'));
    // The older checkpoint, which goes with all that is its.
    drawn.snapshots[0].refs.extend([
        Ref::Raw(format!("file:{}", state.display()), 10),
        Ref::Raw("/etc/passwd".to_owned(), 10),
        Ref::Relative(relative.clone(), 10),
        Ref::Relative("../../../../../../../../etc/passwd".to_owned(), 10),
        Ref::Raw(format!("file:/..//../{}", state.display()), 10),
        Ref::Raw("file:/".to_owned(), 10),
        Ref::Relative("..".to_owned(), 10),
        Ref::Relative(".".to_owned(), 10),
        Ref::Relative("/".to_owned(), 10),
        Ref::Relative("x:y".to_owned(), 10),
    ]);
    let made = Made::on_disk(&drawn);
    assert_eq!(made.going(&plan(&made)), usual());
    let run = prune(&made, &["--apply"]);
    assert_eq!(run.status, 0, "{}{}", run.stdout, run.stderr);
    assert!(state.exists(), "it lies outside");
    for path in usual() {
        assert!(!made.path(&path).exists(), "{path}");
    }
}

#[test]
fn a_link_in_shared_is_never_touched_nor_what_it_leads_to() {
    let outside = tempfile::tempdir().expect("a directory");
    let target = outside.path().join(uuid(50));
    fs::write(&target, b"0123456789").expect("a file");
    let mut drawn = two_checkpoints();
    drawn.snapshots[0].refs.push(Ref::File(format!("{JOB}/{}", shared(50))));
    let made = Made::on_disk(&drawn);
    symlink(&target, made.path(&format!("{JOB}/{}", shared(50)))).expect("a link");
    symlink(&target, made.path(&format!("{JOB}/chk-1/{}", uuid(51)))).expect("a link");
    symlink(made.path(&format!("{JOB}/{}", shared(3))), made.path(&format!("{JOB}/{}", shared(52)))).expect("a link");
    made.settle(&drawn);
    let plan = made.prepare(&["ck"], &Options { now: later(), ..keep_last(1) }).plan;
    sound(&made, &plan);
    let mut wanted = usual();
    // It has a link in it now.
    wanted.remove(&format!("{JOB}/chk-1"));
    assert_eq!(made.going(&plan), wanted);
    assert!(codes(&plan).contains(&"foreign"), "{:?}", plan.refused);
}

/// After everything that the test itself made is old.
fn later() -> jiff::Timestamp {
    jiff::Timestamp::now() + jiff::SignedDuration::from_hours(100)
}

#[test]
fn the_file_that_a_link_in_use_leads_to_is_in_use() {
    let mut drawn = two_checkpoints();
    // The newer checkpoint reaches the orphan over a link.
    drawn.snapshots[1].refs.push(Ref::File(format!("{JOB}/{}", shared(60))));
    drawn.files.insert(format!("{JOB}/{}", shared(60)), (10, OLD));
    let made = Made::on_disk(&drawn);
    let link = made.path(&format!("{JOB}/{}", shared(60)));
    fs::remove_file(&link).expect("a file");
    symlink(uuid(3), &link).expect("a link");
    made.settle(&drawn);
    let plan = made.prepare(&["ck"], &Options { now: later(), ..keep_last(1) }).plan;
    let mut wanted = usual();
    wanted.remove(&format!("{JOB}/{}", shared(3)));
    assert_eq!(made.going(&plan), wanted);
}

#[test]
fn a_linked_directory_out_of_the_roots_is_never_entered() {
    let outside = Made::on_disk(&two_checkpoints());
    for (name, code) in [("cccccccccccccccccccccccccccccccc", Some("link")), ("chk-7", Some("link")), ("archive", None)]
    {
        let drawn = two_checkpoints();
        let made = Made::on_disk(&drawn);
        symlink(outside.path(JOB), made.path("ck").join(name)).expect("a link");
        made.settle(&drawn);
        let plan = plan(&made);
        match code {
            Some(code) => assert_blocked(&plan, code),
            None => assert_eq!(made.going(&plan), usual(), "{name}"),
        }
    }
    assert_eq!(outside.going(&self::plan(&outside)), usual(), "all is still there");
}

#[test]
fn a_link_that_leads_nowhere_in_the_place_of_a_job_stops_everything() {
    // What it leads to may be mounted again tomorrow, with snapshots that refer to files here.
    for name in ["ck/cccccccccccccccccccccccccccccccc", &format!("{JOB}/chk-9")] {
        let drawn = two_checkpoints();
        let made = Made::on_disk(&drawn);
        symlink("/nowhere/at/all", made.path(name)).expect("a link");
        made.settle(&drawn);
        assert_blocked(&plan(&made), "link");
        let assumed = Options { assume_unreferenced: vec![made.at(name)], ..keep_last(1) };
        assert!(!made.prepare(&["ck"], &assumed).plan.blocked);
    }
}

#[test]
fn a_link_to_a_job_in_the_roots_is_one_more_name_for_it() {
    let mut drawn = two_checkpoints();
    let by_link = format!("ck/cccccccccccccccccccccccccccccccc/{}", shared(3));
    drawn.files.insert(by_link.clone(), (10, OLD));
    drawn.snapshot(format!("{OTHER}/chk-1"), 1, 200, &[&by_link]);
    let made = Made::on_disk(&drawn);
    let link = made.path("ck/cccccccccccccccccccccccccccccccc");
    fs::remove_dir_all(&link).expect("a directory");
    symlink(made.path(JOB), &link).expect("a link");
    made.set_age("ck", OLD);
    let plan = plan(&made);
    assert!(!plan.blocked, "{:?}", plan.refused);
    let mut wanted = usual();
    wanted.remove(&format!("{JOB}/{}", shared(3)));
    assert_eq!(made.going(&plan), wanted, "the other job refers to it by another path");
}

#[test]
fn a_directory_in_the_place_of_a_file_stays() {
    let mut drawn = two_checkpoints();
    drawn.files.remove(&format!("{JOB}/{}", shared(2)));
    drawn.old(format!("{JOB}/{}/{}", shared(2), uuid(70)));
    drawn.dirs.insert(format!("{JOB}/{}", shared(71)), OLD);
    drawn.dirs.insert(format!("{JOB}/chk-1/{}", uuid(72)), OLD);
    let made = Made::on_disk(&drawn);
    let mut wanted = usual();
    wanted.remove(&format!("{JOB}/{}", shared(2)));
    wanted.remove(&format!("{JOB}/chk-1"));
    assert_eq!(made.going(&plan(&made)), wanted);
}

#[test]
fn strange_names_stay_and_are_shown_escaped() {
    let drawn = two_checkpoints();
    let made = Made::on_disk(&drawn);
    let dir = made.path(&format!("{JOB}/shared"));
    let strange: [&[u8]; 6] = [
        b"75613fb4-ca59-4264-850c-\n00000000001",
        b"75613fb4-ca59-4264-850c-00000000\\001",
        b"75613fb4-ca59-4264-850c-0000000000\xff\xff",
        b"75613fb4-ca59-4264-850c-000000000\x1b[2J",
        b"..75613fb4",
        "75613fb4-ca59-4264-850c-00000000000\u{fffd}".as_bytes(),
    ];
    for name in strange {
        for dir in [&dir, &made.path(&format!("{JOB}/chk-1"))] {
            fs::write(dir.join(OsStr::from_bytes(name)), b"x").expect("a file");
        }
    }
    for name in ["line\nbreak", "esc\u{1b}[31m"] {
        let job = dir.parent().and_then(Path::parent).expect("a root").join(name);
        fs::create_dir_all(job.join("savepoint-aaaaaa-bbbbbbbbbbbb")).expect("a directory");
        fs::copy(made.path(&format!("{JOB}/chk-2/_metadata")), job.join("savepoint-aaaaaa-bbbbbbbbbbbb/_metadata"))
            .expect("a copy");
    }
    made.settle(&drawn);
    let plan = made.prepare(&["ck"], &Options { now: later(), ..keep_last(1) }).plan;
    sound(&made, &plan);
    let mut wanted = usual();
    wanted.remove(&format!("{JOB}/chk-1"));
    assert_eq!(made.going(&plan), wanted);
    let run = prune(&made, &["-v"]);
    assert!(run.stdout.contains("line\\nbreak") || run.stdout.contains("line\\u{a}break"), "{}", run.stdout);
    assert!(!run.stdout.contains('\u{1b}') && !run.stderr.contains('\u{1b}'), "{}", run.stdout);
}

#[test]
fn a_directory_whose_name_is_no_path_may_hold_snapshots() {
    for name in [&b"not UTF-8 \xff"[..], b"back\\slash"] {
        let drawn = two_checkpoints();
        let made = Made::on_disk(&drawn);
        fs::create_dir(made.path("ck").join(OsStr::from_bytes(name))).expect("a directory");
        made.settle(&drawn);
        assert_blocked(&plan(&made), "unknown");
    }
}

#[test]
fn a_metadata_that_is_a_link_marks_and_stays() {
    let drawn = two_checkpoints();
    let made = Made::on_disk(&drawn);
    // The older checkpoint's lies elsewhere.
    let outside = tempfile::tempdir().expect("a directory");
    let metadata = made.path(&format!("{JOB}/chk-1/_metadata"));
    let moved = outside.path().join("moved");
    fs::write(&moved, fs::read(&metadata).expect("a file")).expect("a copy");
    let time = fs::metadata(&metadata).and_then(|metadata| metadata.modified()).expect("a time");
    fs::File::open(&moved).and_then(|file| file.set_modified(time)).expect("a time");
    fs::remove_file(&metadata).expect("a file");
    symlink(&moved, &metadata).expect("a link");
    made.settle(&drawn);
    let plan = made.prepare(&["ck"], &Options { now: later(), ..keep_last(1) }).plan;
    sound(&made, &plan);
    assert_eq!(made.going(&plan), [format!("{JOB}/{}", shared(3))].into(), "{:?}", plan.keep);

    fs::remove_file(&moved).expect("a file");
    assert_blocked(&made.prepare(&["ck"], &Options { now: later(), ..keep_last(1) }).plan, "link");
}

#[test]
fn a_metadata_that_is_a_directory_stops_everything() {
    let drawn = two_checkpoints();
    let made = Made::on_disk(&drawn);
    let metadata = made.path(&format!("{JOB}/chk-1/_metadata"));
    fs::remove_file(&metadata).expect("a file");
    fs::create_dir(&metadata).expect("a directory");
    made.settle(&drawn);
    assert_blocked(&plan(&made), "unreadable-metadata");
}

#[test]
fn an_unreadable_metadata_stops_everything_unless_it_is_assumed_to_refer_to_nothing() {
    let whole = {
        let drawn = two_checkpoints();
        drawn.metadata(&drawn.snapshots[0], "/base")
    };
    let newer = [&whole[..4], &99_i32.to_be_bytes(), &whole[8..]].concat();
    let damaged = [&[0xab; 4], &whole[4..]].concat();
    let old = [&whole[..4], &1_i32.to_be_bytes(), &whole[8..]].concat();
    let broken: [(&str, &[u8]); 5] = [
        ("damaged", &damaged),
        ("truncated", &whole[..whole.len() / 2]),
        ("newer", &newer),
        ("too old", &old),
        ("empty", b""),
    ];
    // Of a job, of a savepoint, in the roots of another job, and where no catalog looks.
    let places = [format!("{JOB}/chk-1"), "ck/savepoint-aaaaaa-bbbbbbbbbbbb".to_owned(), format!("{OTHER}/chk-1")];
    for dir in places.into_iter().chain(["ck/.hidden/chk-1".to_owned()]) {
        for (what, bytes) in broken {
            let drawn = two_checkpoints();
            let made = Made::on_disk(&drawn);
            fs::create_dir_all(made.path(&dir)).expect("a directory");
            fs::write(made.path(&dir).join("_metadata"), bytes).expect("a file");
            made.set_age(&format!("{dir}/_metadata"), 300 * HOUR);
            made.settle(&drawn);
            let plan = plan(&made);
            assert_blocked(&plan, if what == "newer" { "unknown" } else { "unreadable-metadata" });
            assert!(plan.totals.files > 0 || dir == format!("{JOB}/chk-1"), "what would go is said all the same");
            let run = prune(&made, &[]);
            assert_eq!(run.status, 4, "{what} in {dir}: {}{}", run.stdout, run.stderr);
            assert_eq!(run.json_of(&made, &[])["blocked"], true);

            let assumed = made.path(&dir);
            let run = prune(&made, &["--assume-unreferenced", assumed.to_str().expect("UTF-8")]);
            assert_eq!(run.status, 0, "{what} in {dir}: {}{}", run.stdout, run.stderr);
            let assumed = Options { assume_unreferenced: vec![made.at(&format!("{dir}/_metadata"))], ..keep_last(1) };
            let plan = made.prepare(&["ck"], &assumed).plan;
            sound(&made, &plan);
            assert!(!plan.blocked && made.going(&plan).contains(&format!("{JOB}/{}", shared(3))), "{what} in {dir}");
            let metadata = format!("{dir}/_metadata");
            assert!(!made.going(&plan).contains(&metadata), "what is not understood stays itself");
        }
    }
}

impl Run {
    fn json_of(&self, made: &Made, args: &[&str]) -> serde_json::Value {
        prune(made, &[args, &["--json"]].concat()).json()
    }
}

/// A directory that nobody may list.
fn shut(dir: &str) -> Fault {
    Fault::on(&[Operation::List]).at(dir).failing(StorageErrorKind::PermissionDenied)
}

#[test]
fn an_unreadable_directory_stops_everything_unless_it_is_assumed_to_refer_to_nothing() {
    for dir in [format!("{JOB}/chk-1"), OTHER.to_owned(), "ck/some/where".to_owned()] {
        let mut drawn = two_checkpoints();
        drawn.old(format!("{dir}/{}", uuid(80)));
        let made = Made::on_disk(&drawn);
        let prepare = |assumed: Vec<_>| {
            let storage = FaultyStorage::new(LocalStorage).with(shut(&dir));
            let options = Options { assume_unreferenced: assumed, ..keep_last(1) };
            chkctl::prune::prepare(&storage, &[made.at("ck").canonical()], &PathMaps::default(), &options, &Silent)
        };
        let plan = prepare(Vec::new()).expect("a plan").plan;
        assert_blocked(&plan, "unreadable-directory");
        let plan = prepare(vec![made.at(&dir)]).expect("a plan").plan;
        assert!(!plan.blocked, "{dir}: {:?}", plan.refused);
    }
    let made = Made::on_disk(&two_checkpoints());
    let storage = FaultyStorage::new(LocalStorage).with(shut("/ck"));
    let plan =
        chkctl::prune::prepare(&storage, &[made.at("ck").canonical()], &PathMaps::default(), &keep_last(1), &Silent);
    assert!(plan.is_err(), "a root that cannot be listed is no root");
}

#[test]
fn modes_that_keep_a_user_out_stop_everything() {
    let drawn = two_checkpoints();
    let made = Made::on_disk(&drawn);
    let dir = made.path(&format!("{JOB}/chk-1"));
    fs::set_permissions(&dir, Permissions::from_mode(0o000)).expect("a mode");
    if fs::read_dir(&dir).is_err() {
        assert_blocked(&plan(&made), "unreadable-directory");
        assert_eq!(prune(&made, &[]).status, 4);
    }
    fs::set_permissions(&dir, Permissions::from_mode(0o755)).expect("a mode");
}

#[test]
fn a_link_in_the_place_of_chkctl_s_own_directory_is_not_followed() {
    for (dir, outside) in [("ck", "elsewhere"), (JOB, "records")] {
        let drawn = two_checkpoints();
        let made = Made::on_disk(&drawn);
        let target = tempfile::tempdir().expect("a directory");
        fs::create_dir_all(target.path().join(outside)).expect("a directory");
        fs::write(target.path().join(outside).join("keep.txt"), b"x").expect("a file");
        symlink(target.path(), made.path(dir).join(".chkctl")).expect("a link");
        made.settle(&drawn);
        let run = prune(&made, &["--apply"]);
        assert!(matches!(run.status, 0 | 3 | 4), "{}{}", run.stdout, run.stderr);
        let left: Vec<_> = walkdir::WalkDir::new(target.path()).into_iter().flatten().map(|e| e.into_path()).collect();
        assert_eq!(left.len(), 3, "nothing was put there and nothing taken: {left:?}");
        assert!(made.path(&format!("{JOB}/chk-2/_metadata")).exists());
    }
}

#[test]
fn a_job_inside_a_snapshot_or_where_no_catalog_looks_is_left_alone_and_marks() {
    for inside in [
        "ck/savepoint-aaaaaa-bbbbbbbbbbbb",
        "ck/.snapshots",
        "ck/lost+found",
        &format!("{JOB}/chk-2"),
        &format!("{JOB}/shared"),
    ] {
        let mut drawn = two_checkpoints();
        let home = format!("{inside}/cccccccccccccccccccccccccccccccc");
        drawn.old(format!("{home}/shared/{}", uuid(90)));
        drawn.old(format!("{home}/shared/{}", uuid(91)));
        drawn.old(format!("{home}/chk-4/{}", uuid(92)));
        let own = format!("{home}/shared/{}", uuid(90));
        drawn.snapshot(format!("{home}/chk-5"), 5, 300, &[&own, &format!("{JOB}/{}", shared(3))]);
        let made = Made::on_disk(&drawn);
        let mut wanted = usual();
        wanted.remove(&format!("{JOB}/{}", shared(3)));
        assert_eq!(made.going(&plan(&made)), wanted, "{inside}");
    }
}

#[test]
fn other_spellings_of_a_path_are_the_same_path() {
    let orphan = format!("{JOB}/{}", shared(3));
    type Spell = fn(&str, &str) -> String;
    let spellings: [Spell; 7] = [
        |base, path| format!("file://{base}/{path}"),
        |base, path| format!("file:{base}//{path}"),
        |base, path| format!("{base}/./{path}"),
        |base, path| format!("file://localhost{base}/{path}"),
        |base, path| format!("{base}/ck/../{path}"),
        |base, path| format!("{base}/link/{}", path.trim_start_matches("ck/")),
        |base, path| format!("file:{base}/{}/", path),
    ];
    for (index, spell) in spellings.into_iter().enumerate() {
        let mut drawn = two_checkpoints();
        let made = Made::on_disk(&drawn);
        drawn.snapshots[1].refs.push(Ref::Raw(spell(&made.base, &orphan), 10));
        let bytes = drawn.metadata(&drawn.snapshots[1], &made.base);
        fs::write(made.path(&format!("{JOB}/chk-2/_metadata")), bytes).expect("a file");
        made.set_age(&format!("{JOB}/chk-2/_metadata"), 200 * HOUR);
        symlink(made.path("ck"), made.path("link")).expect("a link");
        made.settle(&drawn);
        let mut wanted = usual();
        wanted.remove(&orphan);
        assert_eq!(made.going(&plan(&made)), wanted, "spelling {index}");
    }
}

#[test]
fn a_root_by_way_of_a_link_is_the_same_root() {
    let made = Made::on_disk(&two_checkpoints());
    symlink(made.path("ck"), made.path("link")).expect("a link");
    let plan = made.prepare(&["link", "ck", JOB], &keep_last(1)).plan;
    assert_eq!(plan.roots, [made.at("ck").canonical()]);
    assert_eq!(made.going(&plan), usual());
}

#[test]
fn files_of_a_tree_that_was_moved_are_known_by_their_names() {
    let drawn = two_checkpoints();
    let made = Made::on_disk(&drawn);
    // Its handles lead nowhere now.
    fs::rename(made.path("ck"), made.path("moved")).expect("a new name");
    let plan = made.prepare(&["moved"], &keep_last(1)).plan;
    let moved = |path: &str| path.replacen("ck/", "moved/", 1);
    assert_eq!(plan.keep.len(), 2, "no snapshot is restorable, and all stay");
    assert_eq!(made.going(&plan), [moved(&format!("{JOB}/{}", shared(3)))].into(), "only what has nobody's name goes");

    // With a map all is as before.
    let maps = PathMaps::new(vec![format!("{0}/ck={0}/moved", made.base).parse().expect("a map")]);
    let plan = made.prepare_mapped(&["moved"], &keep_last(1), &maps).plan;
    assert_eq!(made.going(&plan), usual().iter().map(|path| moved(path)).collect());
}

#[test]
fn what_a_copy_beside_the_original_needs_stays() {
    // Its handles lead to the original, which is there: by their places its files are nobody's.
    let mut drawn = two_checkpoints();
    let originals: Vec<(String, (u64, i64))> = drawn.files.clone().into_iter().collect();
    for (path, (size, age)) in originals {
        drawn.file(path.replacen("ck/", "ck/backup/", 1), size, age);
    }
    let copies: Vec<Drawing> = drawn.snapshots.clone();
    drawn
        .snapshots
        .extend(copies.into_iter().map(|copy| Drawing { dir: copy.dir.replacen("ck/", "ck/backup/", 1), ..copy }));
    let made = Made::on_disk(&drawn);
    let going = made.going(&plan(&made));
    assert!(!going.contains(&format!("ck/backup/{}/{}", &JOB[3..], shared(1))), "{going:?}");
    assert!(going.contains(&format!("{JOB}/{}", shared(3))));
}

#[test]
fn a_snapshot_whose_metadata_another_one_needs_stays_whole() {
    // A handle that names a `_metadata`: by place, and by a path that leads nowhere.
    for reference in [Ref::File(format!("{JOB}/chk-1/_metadata")), Ref::Raw("/nowhere/_metadata".to_owned(), 1)] {
        let mut drawn = two_checkpoints();
        drawn.snapshots[1].refs.push(reference);
        drawn.old(format!("{OTHER}/shared/{}", uuid(95)));
        let made = Made::on_disk(&drawn);
        let plan = made.prepare(&["ck"], &Options { verify: false, ..keep_last(1) }).plan;
        let going = made.going(&plan);
        for path in
            [format!("{JOB}/chk-1/_metadata"), format!("{JOB}/chk-1/{}", uuid(11)), format!("{JOB}/{}", shared(2))]
        {
            assert!(!going.contains(&path), "{path} would be half of a snapshot: {:?}", plan.remove);
        }
        assert_eq!(plan.keep.len(), 2, "{:?}", plan.remove);
    }
}

#[test]
fn a_huge_list_of_references_is_no_trouble() {
    let mut drawn = two_checkpoints();
    let many = (0..20_000).map(|number| Ref::Raw(format!("file:/elsewhere/{}/{}", number % 500, uuid(number)), 10));
    drawn.snapshots[0].refs.extend(many.clone());
    drawn.snapshots[1]
        .refs
        .extend(many.filter(|reference| !matches!(reference, Ref::Raw(path, _) if path.ends_with(&uuid(3)))));
    let made = Made::on_disk(&drawn);
    let plan = made.prepare(&["ck"], &Options { verify: false, ..keep_last(1) }).plan;
    sound(&made, &plan);
    // By name the newer one holds everything but the one file.
    let wanted = [format!("{JOB}/chk-1/_metadata"), format!("{JOB}/{}", shared(3))];
    assert_eq!(made.going(&plan), wanted.into());
    let outside = plan.refused.iter().filter(|refused| refused.code == "outside-reference").count();
    assert_eq!(outside, 500);
    assert_eq!(location("/elsewhere/7").canonical().to_string(), "file:/elsewhere/7");
}
