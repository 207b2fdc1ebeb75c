//! Pins and tags as their users meet them: `pin`, `unpin`, `tag`, and what `list` shows of them.

use super::catalog::{Layout, Matter, touch};
use super::support::Run;
use serde_json::{Value, json};
use std::fs;

const JOB: &str = "ck/0123456789abcdef0123456789abcdef";

/// A job with three checkpoints and one in progress, and a savepoint.
fn layout() -> Layout {
    let layout = Layout::new();
    layout.put("savepoints/savepoint-012345-0123456789ab", 1);
    layout.put(&format!("{JOB}/chk-7"), 2);
    layout.put(&format!("{JOB}/chk-8"), 3);
    layout.put_with(&format!("{JOB}/chk-9"), 4, Matter::Broken);
    layout.put_with(&format!("{JOB}/chk-10"), 5, Matter::Incomplete);
    layout
}

fn run(layout: &Layout, line: &str) -> Run {
    layout.chkctl(line.replace("JOB", JOB).split_whitespace())
}

/// Runs a command that succeeds.
fn done(layout: &Layout, line: &str) -> Run {
    let run = run(layout, line);
    assert_eq!(run.status, 0, "{line}: {}", run.stderr);
    run
}

/// What `list` says of each snapshot: pinned, and tags.
fn listed(layout: &Layout) -> Vec<(String, Value, Value)> {
    let listed = done(layout, "list . --json").json();
    let snapshots = listed["snapshots"].as_array().expect("snapshots");
    let name = |s: &Value| s["path"].as_str().expect("a path").rsplit('/').next().expect("a name").to_owned();
    snapshots.iter().map(|s| (name(s), s["pinned"].clone(), s["tags"].clone())).collect()
}

fn pinned(layout: &Layout) -> Vec<String> {
    listed(layout).into_iter().filter(|(_, pinned, _)| *pinned == json!(true)).map(|(name, _, _)| name).collect()
}

#[test]
fn a_pin_is_set_shown_and_taken_away_again() {
    let layout = layout();
    let before = done(&layout, "list .").stdout;
    assert!(pinned(&layout).is_empty());
    let run = done(&layout, "pin JOB/chk-7 savepoints/savepoint-012345-0123456789ab/_metadata --reason upgrade");
    assert!(run.stdout.is_empty() && run.stderr.matches("pinned ").count() == 2, "{}", run.stderr);
    let mut names = pinned(&layout);
    names.sort();
    assert_eq!(names, ["chk-7", "savepoint-012345-0123456789ab"]);
    let table = done(&layout, "list .").stdout;
    assert!(table.lines().next().is_some_and(|header| header.contains("MARKS")), "{table}");
    assert_eq!(table.lines().filter(|line| line.contains(" pinned ")).count(), 2, "{table}");

    let again = done(&layout, "pin JOB/chk-7 --json").json();
    assert_eq!(again["snapshots"][0]["changed"], json!(false));
    assert_eq!(again["snapshots"][0]["pin"]["reason"], json!("upgrade"));
    assert!(again["snapshots"][0]["pin"]["by"].as_str().is_some_and(|by| by.contains('@')));

    done(&layout, "unpin JOB/chk-7 savepoints/savepoint-012345-0123456789ab");
    let run = done(&layout, "unpin JOB/chk-7");
    assert!(run.stderr.contains("not pinned"), "{}", run.stderr);
    assert_eq!(done(&layout, "list .").stdout, before, "as if there had never been a pin");
    assert!(!layout.path(JOB).join(".chkctl").exists());
}

#[test]
fn a_pin_may_end_by_itself() {
    let layout = layout();
    let json = done(&layout, "pin JOB/chk-7 --until 9999-01-01 --json").json();
    assert_eq!(json["snapshots"][0]["pin"]["until"], json!("9999-01-02T00:00:00.000Z"));
    assert!(done(&layout, "list .").stdout.contains("pinned until 9999-01-02T00:00:00Z"));
    done(&layout, "pin JOB/chk-8 --until 2d");
    for until in ["2001-01-01", "5m", "soon", "0h"] {
        assert_eq!(run(&layout, &format!("pin JOB/chk-7 --until {until}")).status, 2, "{until}");
    }
    assert_eq!(pinned(&layout), ["chk-8", "chk-7"]);
    // As it will be when the time has passed.
    let file = layout.path(JOB).join(".chkctl/records/chk-7.json");
    let text = fs::read_to_string(&file).expect("the record");
    fs::write(&file, text.replace("9999-01-02", "2001-01-02")).expect("written");
    assert_eq!(pinned(&layout), ["chk-8"]);
}

#[test]
fn the_record_is_a_small_file_beside_the_snapshot_and_travels_with_it() {
    let layout = layout();
    done(&layout, "pin JOB/chk-7");
    done(&layout, "tag JOB/chk-7 --add golden");
    let text = fs::read(layout.path(JOB).join(".chkctl/records/chk-7.json")).expect("the record");
    let record: Value = serde_json::from_slice(&text).expect("JSON");
    let size = fs::metadata(layout.path(JOB).join("chk-7/_metadata")).expect("a _metadata").len();
    assert_eq!(record["version"], json!(1));
    assert_eq!((&record["snapshot"], &record["checkpoint_id"]), (&json!("chk-7"), &json!(7)));
    assert_eq!((&record["metadata_size"], &record["tags"]), (&json!(size), &json!(["golden"])));
    assert!(record["completed_at"].is_string() && record["pinned"]["since"].is_string());
    fs::rename(layout.path("ck"), layout.path("elsewhere")).expect("moved");
    assert_eq!(pinned(&layout), ["chk-7"]);
}

#[test]
fn a_pin_of_an_older_snapshot_of_the_name_still_holds_and_says_so() {
    let layout = layout();
    done(&layout, "pin JOB/chk-7");
    touch(&layout.path(JOB).join("chk-7/_metadata"), 9);
    assert_eq!(pinned(&layout), ["chk-7"]);
    let table = done(&layout, "list .").stdout;
    assert!(table.contains("pinned (record was made for an older chk-7)"), "{table}");
    done(&layout, "pin JOB/chk-7");
    assert!(!done(&layout, "list .").stdout.contains("older"), "it is this one's now");
}

#[test]
fn tags_are_added_removed_and_shown() {
    let layout = layout();
    assert_eq!(done(&layout, "tag JOB/chk-7 --add b,a --add c").stdout.lines().count(), 1);
    let shown = done(&layout, "tag JOB/chk-7 JOB/chk-8").stdout;
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[0].ends_with("/chk-7: a, b, c") && lines[1].ends_with("/chk-8: no tags"), "{shown}");
    let json = done(&layout, "tag JOB/chk-7 --remove b,x --add d --json").json();
    assert_eq!(
        (&json["snapshots"][0]["tags"], &json["snapshots"][0]["pinned"]),
        (&json!(["a", "c", "d"]), &json!(false))
    );
    let listed = listed(&layout);
    assert!(listed.contains(&("chk-7".to_owned(), json!(false), json!(["a", "c", "d"]))), "{listed:?}");
    assert!(done(&layout, "list .").stdout.contains(" a, c, d "));
    done(&layout, "tag JOB/chk-7 --remove a,c,d");
    assert!(!layout.path(JOB).join(".chkctl").exists());
    for args in [
        &["--add", ""][..],
        &["--add", "a,,b"],
        &["--add", "a\nb"],
        &["--add", &"x".repeat(129)],
        &["--add", "a", "--remove", "a"],
    ] {
        let chk = format!("{JOB}/chk-7");
        let run = layout.chkctl(["tag", &chk].iter().chain(args));
        assert_eq!(run.status, 2, "{args:?}: {}", run.stderr);
    }
    assert!(!layout.path(JOB).join(".chkctl").exists());
}

#[test]
fn what_is_broken_can_be_pinned_and_what_was_never_completed_cannot() {
    let layout = layout();
    layout.put(".hidden", 1);
    done(&layout, "pin JOB/chk-9");
    for (line, status, says) in [
        ("pin JOB/chk-10", 1, "holds no _metadata"),
        ("tag JOB/chk-10 --add a", 1, "holds no _metadata"),
        ("tag JOB/chk-10", 1, "holds no _metadata"),
        ("unpin JOB/chk-10", 1, "holds no _metadata"),
        ("pin JOB", 1, "is not a snapshot"),
        ("pin JOB/chk-99", 5, "nothing is there"),
        ("unpin JOB/chk-99", 5, "nothing is there"),
        ("pin .hidden", 1, "hidden"),
        ("pin", 2, "SNAPSHOT"),
        ("pin hdfs://127.0.0.1:1/ck/chk-1 --timeout 1s", 5, "hdfs"),
    ] {
        let run = run(&layout, line);
        assert_eq!((run.status, run.stdout.as_str()), (status, ""), "{line}: {}", run.stderr);
        assert!(run.stderr.contains(says), "{line}: {}", run.stderr);
    }
    assert_eq!(pinned(&layout), ["chk-9"]);
}

#[test]
fn of_several_snapshots_the_valid_ones_are_done() {
    let layout = layout();
    let run = run(&layout, "pin JOB/chk-10 JOB/chk-7 JOB/chk-99 JOB/chk-8 --json");
    assert_eq!(run.status, 3, "{}", run.stderr);
    let json = run.json();
    let all = json["snapshots"].as_array().expect("snapshots");
    let errors: Vec<bool> = all.iter().map(|snapshot| snapshot["error"].is_string()).collect();
    let pins: Vec<&Value> = all.iter().map(|snapshot| &snapshot["pinned"]).collect();
    assert_eq!(errors, [true, false, true, false]);
    assert_eq!(pins, [&Value::Null, &json!(true), &Value::Null, &json!(true)]);
    assert_eq!(pinned(&layout), ["chk-8", "chk-7"]);
}

#[test]
fn the_pin_of_a_snapshot_that_is_gone_can_be_taken_away() {
    let layout = layout();
    done(&layout, "pin JOB/chk-7 JOB/chk-8");
    fs::remove_dir_all(layout.path(JOB).join("chk-7")).expect("removed");
    fs::remove_file(layout.path(JOB).join("chk-8/_metadata")).expect("removed");
    done(&layout, "unpin JOB/chk-7 JOB/chk-8");
    assert!(!layout.path(JOB).join(".chkctl").exists());
}

#[test]
fn a_record_that_is_not_understood_is_named_and_nothing_is_said_to_be_unpinned() {
    let layout = layout();
    done(&layout, "pin JOB/chk-7");
    let file = layout.path(JOB).join(".chkctl/records/chk-7.json");
    fs::write(&file, "{}").expect("written");
    let list = done(&layout, "list .");
    assert!(list.stderr.contains("not known what is pinned") && list.stderr.contains("chk-7.json"), "{}", list.stderr);
    assert!(list.stdout.contains("pinned?"));
    let of = |name: &str| listed(&layout).into_iter().find(|(found, ..)| found == name).map(|(_, pinned, _)| pinned);
    assert_eq!((of("chk-7"), of("savepoint-012345-0123456789ab")), (Some(Value::Null), Some(json!(false))));
    for line in ["pin JOB/chk-7", "unpin JOB/chk-7", "tag JOB/chk-7 --add a", "tag JOB/chk-7"] {
        assert_eq!(run(&layout, line).status, 5, "{line}");
    }
    assert_eq!(fs::read(&file).expect("the file"), b"{}");
}

#[test]
#[cfg(unix)]
fn a_link_is_never_pinned_in_place_of_what_it_leads_to() {
    let layout = layout();
    std::os::unix::fs::symlink(layout.path(JOB).join("chk-7"), layout.path("current")).expect("a link");
    let run = run(&layout, "pin current");
    assert!(!layout.path(".chkctl").exists(), "a prune would not find it");
    let is_beside_the_directory = layout.path(JOB).join(".chkctl/records/chk-7.json").exists();
    assert_eq!(is_beside_the_directory, run.status == 0, "{}", run.stderr);
    assert!(run.status == 0 || (run.status == 1 && run.stderr.contains("is a link")), "{}", run.stderr);
}

#[test]
fn names_and_reasons_cannot_write_to_the_terminal() {
    let layout = layout();
    let chk = format!("{JOB}/chk-7");
    let run = layout.chkctl(["pin", &chk, "--reason", "\u{1b}[2J"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let run = layout.chkctl(["tag", &chk, "--add", "a\u{202e}b"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    for text in [run.stdout, done(&layout, "list .").stdout, done(&layout, "tag JOB/chk-7").stdout] {
        assert!(text.contains("\\u{202e}") && !text.contains(['\u{1b}', '\u{202e}']), "{text}");
    }
}

#[test]
fn snapshots_of_a_root_that_is_the_snapshot_itself_have_their_pins() {
    let layout = layout();
    done(&layout, "pin JOB/chk-7");
    let table = done(&layout, "list JOB/chk-7").stdout;
    assert!(table.contains(" pinned "), "{table}");
    let json = done(&layout, "list JOB/chk-8 --json").json();
    assert_eq!(json["snapshots"][0]["pinned"], json!(false));
}

#[test]
fn a_survey_does_not_meet_the_records() {
    let layout = layout();
    let before = listed(&layout).len();
    done(&layout, "pin JOB/chk-7");
    fs::create_dir(layout.path(JOB).join(".chkctl/chk-1")).expect("a directory");
    assert_eq!(listed(&layout).len(), before);
}
