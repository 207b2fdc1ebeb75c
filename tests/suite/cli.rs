//! Whole commands as their users meet them: what they print, what they say, and their exit status. The snapshots show
//! each run in one block; a line of JSON is laid out there.

use super::catalog::{Layout, Matter, touch};
use super::damage::{checkpoint, list, place, rewrite};
use super::support::{Case, FLINK_ROOT, Run, command, metadata_files};
use chkctl::model::{KeyGroupRange, KeyedHandle, StreamHandle, Subtasks};
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

// Whole commands. -----------------------------------------------------------------------------------------------------

/// Runs of chkctl, as a snapshot shows them.
struct Session {
    /// What is `[ROOT]` in the snapshot.
    root: String,
    text: String,
}

impl Session {
    fn in_dir(root: &Path) -> Self {
        Session { root: root.to_str().expect("text").trim_end_matches('/').to_owned(), text: String::new() }
    }

    /// Runs chkctl and adds the run.
    fn run(&mut self, run: impl FnOnce(&[&str]) -> Run, args: &[&str]) {
        let Run { stdout, stderr, status } = run(args);
        let quoted = args.iter().map(|arg| if arg.contains(' ') { format!("'{arg}'") } else { (*arg).to_owned() });
        let _ = writeln!(self.text, "$ chkctl {}", quoted.collect::<Vec<_>>().join(" "));
        let json = args.contains(&"--json") && !stdout.is_empty();
        let shown = if json { laid_out(&stdout) } else { stdout };
        shown.lines().for_each(|line| self.text.extend([line.trim_end(), "\n"]));
        if !stderr.is_empty() {
            let _ = write!(self.text, "[stderr]\n{stderr}");
        }
        let _ = writeln!(self.text, "[exit status {status}]\n");
    }

    /// Compares with the snapshot of this name.
    fn matches_snapshot(self, name: &str) {
        insta::assert_snapshot!(name, self.text.replace(&self.root, "[ROOT]").trim_end());
    }
}

/// A line of JSON over several lines, with lists of plain values on one.
fn laid_out(line: &str) -> String {
    fn add(text: &mut String, value: &Value, indent: usize) {
        let plain = |value: &Value| !value.is_object() && !value.is_array();
        let entries: Vec<(String, &Value)> = match value {
            Value::Array(list) if !list.iter().all(plain) => list.iter().map(|value| (String::new(), value)).collect(),
            Value::Object(fields) if !fields.is_empty() => {
                fields.iter().map(|(key, value)| (format!("\"{key}\": "), value)).collect()
            }
            _ => return text.push_str(&value.to_string()),
        };
        let (open, close) = if value.is_array() { ('[', ']') } else { ('{', '}') };
        text.push(open);
        for (index, (key, value)) in entries.into_iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let _ = write!(text, "{comma}\n{:1$}{key}", "", indent + 2);
            add(text, value, indent + 2);
        }
        let _ = write!(text, "\n{:1$}{close}", "", indent);
    }
    assert_eq!(line.matches('\n').count(), 1, "one object on one line");
    let mut text = String::new();
    add(&mut text, &serde_json::from_str(line).expect("JSON"), 0);
    text + "\n"
}

/// A root with a snapshot of each verdict.
fn every_verdict() -> Layout {
    let layout = Layout::new();
    let job = "0123456789abcdef0123456789abcdef";
    layout.put("savepoints/savepoint-012345-0123456789ab", 1);
    layout.put(&format!("ck/{job}/chk-7"), 2);
    layout.put_with(&format!("ck/{job}/chk-8"), 3, Matter::Suspect);
    layout.put_with(&format!("ck/{job}/chk-9"), 4, Matter::Broken);
    layout.put_with(&format!("ck/{job}/chk-10"), 5, Matter::Incomplete);
    layout.put_with("newer/fedcba9876543210fedcba9876543210/chk-1", 0, Matter::Unknown);
    layout
}

#[test]
fn list_verify_and_latest_show_every_verdict() {
    let layout = every_verdict();
    for (name, runs) in [
        ("list", &[&["list", "."][..], &["list", ".", "--json"], &["list", "ck", "--verify"]][..]),
        (
            "verify",
            &[&["verify", "."], &["verify", ".", "--json"], &["verify", "ck/0123456789abcdef0123456789abcdef/chk-7"]],
        ),
        (
            "latest",
            &[
                &["latest", "."],
                &["latest", ".", "-v", "--json"],
                &["latest", "ck", "--allow-suspect", "-v"],
                &["latest", "newer"],
                &["latest", "newer", "--json"],
                &["latest", "newer", "--skip-unknown"],
            ],
        ),
    ] {
        let mut session = Session::in_dir(&layout.path(""));
        runs.iter().for_each(|args| session.run(|args| layout.chkctl(args), args));
        session.matches_snapshot(name);
    }
}

/// A case all of whose snapshots were completed a minute after each other, and the path of one of them.
fn dated(name: &str, snapshot: &str) -> (Case, String) {
    let case = Case::named(name);
    let files = metadata_files(&case.tree());
    files.iter().zip(1..).for_each(|(file, minute)| touch(file, minute));
    let dir = place(&case, checkpoint(&case.expected(), snapshot)).to_string_lossy().into_owned();
    (case, dir)
}

#[test]
fn inspect_and_files_show_what_is_in_a_snapshot() {
    let (case, dir) = dated("wc-one-word-1.20.5", "/chk-1");
    let mut inspect = Session::in_dir(&case.root);
    for args in [&["inspect", &dir][..], &["inspect", &dir, "-v"], &["inspect", &dir, "--json"]] {
        inspect.run(|args| case.chkctl(args), args);
    }
    inspect.matches_snapshot("inspect");
    let mut files = Session::in_dir(&case.root);
    for args in [["files", &dir][..].as_ref(), &["files", &dir, "--json"]] {
        files.run(|args| case.chkctl(args), args);
    }
    files.matches_snapshot("files");
}

#[test]
fn findings_name_file_owner_and_what_helps() {
    let (case, dir) = dated("wc-nosubdir-1.20.5", "/chk-3");
    let expected = case.expected();
    let named = |ending: &str| {
        let subtask = |operator: &Value| operator["subtasks"][0]["managed_keyed_state"][0].clone();
        let operators = list(&checkpoint(&expected, "/chk-3")["operators"]);
        let keyed = operators.iter().map(subtask).find(|handle| handle.is_object()).expect("keyed state");
        let files = list(&keyed["shared"]).iter().chain(list(&keyed["private"]));
        let mut named = files.filter(|file| file["local_path"].as_str().is_some_and(|name| name.contains(ending)));
        case.here(named.next().expect("a file")["stream"]["path"].as_str().expect("a path"))
    };
    fs::remove_file(named(".sst")).expect("deleted");
    fs::write(named("CURRENT"), "cut").expect("cut");
    fs::write(named("OPTIONS"), "").expect("emptied");
    let mut session = Session::in_dir(&case.root);
    for args in [&["verify", &dir][..], &["verify", &dir, "--json"], &["files", &dir], &["inspect", &dir]] {
        session.run(|args| case.chkctl(args), args);
    }
    session.matches_snapshot("findings");
}

#[test]
fn uid_shows_ids_and_the_operators_that_they_are() {
    let (case, dir) = dated("wc-heap-uids-2.3.0", "/chk-3");
    let mut session = Session::in_dir(&case.root);
    for args in [
        &["uid", "wc-sum", "no such uid"][..],
        &["uid", "wc-sum", "no such uid", "--json"],
        &["uid", "wc-sum", "wc-source", "--match", &dir],
        &["uid", "wc-sum", "no such uid", "--match", &dir],
        &["uid", "wc-sum", "no such uid", "--match", &dir, "--json"],
    ] {
        session.run(|args| case.chkctl(args), args);
    }
    session.matches_snapshot("uid");
}

#[test]
fn help_tells_each_command() {
    let layout = Layout::new();
    let mut session = Session::in_dir(&layout.path(""));
    for args in [
        &["--help"][..],
        &["-h"],
        &["list", "--help"],
        &["latest", "--help"],
        &["inspect", "--help"],
        &["files", "--help"],
        &["verify", "--help"],
        &["uid", "--help"],
    ] {
        session.run(|args| layout.chkctl(args), args);
    }
    session.matches_snapshot("help");
    assert_eq!(layout.chkctl(["--version"]).stdout, concat!("chkctl ", env!("CARGO_PKG_VERSION"), "\n"));
}

// Exit status and streams. --------------------------------------------------------------------------------------------

#[test]
fn a_command_line_that_makes_no_sense_exits_with_2_and_prints_nothing() {
    let layout = every_verdict();
    fs::create_dir(layout.path("empty")).expect("a directory");
    fs::write(layout.path("empty/config.yaml"), "taskmanager: {numberOfTaskSlots: 2}").expect("a file");
    for args in [
        &[][..],
        &["no-such-command"],
        &["list", "--no-such-option"],
        &["list"],
        &["latest"],
        &["verify"],
        &["inspect"],
        &["inspect", "a", "b"],
        &["files"],
        &["uid"],
        &["uid", "x", "--match"],
        &["list", ".", "--map", "no-equals-sign"],
        &["list", ".", "--map", "=/x"],
        &["list", ".", "--color", "sometimes"],
        &["list", "hdfs:a"],
        &["list", ""],
        &["list", "--flink-conf", "."],
        &["list", "--flink-conf", "empty"],
        &["list", "--config", "no-such-file"],
        &["list", ".", "--config", "empty/config.yaml"],
    ] {
        let run = layout.chkctl(args);
        assert_eq!((&*run.stdout, run.status), ("", 2), "{args:?}: {}", run.stderr);
        assert!(!run.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn what_is_no_snapshot_cannot_be_inspected() {
    let layout = every_verdict();
    let job = "ck/0123456789abcdef0123456789abcdef";
    for (place, status) in [
        (job, 1),
        (&format!("{job}/chk-7"), 0),
        (&format!("{job}/chk-7/_metadata"), 0),
        (&format!("{job}/chk-8"), 0),
        (&format!("{job}/chk-9"), 1),
        (&format!("{job}/chk-10"), 1),
        ("newer/fedcba9876543210fedcba9876543210/chk-1", 5),
    ] {
        for args in [["inspect", place, "-q"].as_slice(), &["files", place], &["uid", "wc-sum", "--match", place]] {
            let run = layout.chkctl(args);
            let missed = i32::from(args[0] == "uid" && status == 0);
            assert_eq!((run.status, run.stdout.is_empty()), (status + missed, status > 0), "{args:?}: {}", run.stderr);
            assert_eq!(run.stderr.is_empty(), status == 0, "{args:?}: {}", run.stderr);
        }
    }
}

#[test]
fn a_reader_that_went_away_is_success() {
    let (case, dir) = dated("wc-one-word-1.20.5", "/chk-1");
    let broken = every_verdict();
    let broken = broken.path("ck").to_string_lossy().into_owned();
    for args in [
        &["list", &dir][..],
        &["list", &broken, "--json"],
        &["verify", &dir],
        &["verify", &broken],
        &["verify", &broken, "--json"],
        &["latest", &dir],
        &["latest", &dir, "--json"],
        &["inspect", &dir, "-v"],
        &["inspect", &dir, "--json"],
        &["files", &dir],
        &["uid", "a"],
        &["--help"],
        &["list", "--help"],
        &["--version"],
    ] {
        let (reader, writer) = io::pipe().expect("a pipe");
        drop(reader);
        let child = command().args(args).arg("--map").arg(case.map()).stdout(writer).stderr(Stdio::piped()).spawn();
        let output = child.and_then(|child| child.wait_with_output()).expect("chkctl runs");
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"), "{args:?}");
    }
    // Nobody listens to the talk: the answer is the same.
    let (reader, writer) = io::pipe().expect("a pipe");
    drop(reader);
    let output = command().args(["latest", &dir, &broken, "--map", &case.map()]).stderr(writer).output();
    let output = output.expect("chkctl runs");
    assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(0), false));
}

#[test]
fn quiet_says_nothing_but_errors() {
    let layout = every_verdict();
    let chk = "ck/0123456789abcdef0123456789abcdef/chk-7";
    for (args, talks) in [
        (["latest", "."], true),
        (["latest", "ck"], true),
        (["verify", "ck"], true),
        (["inspect", chk], true),
        (["list", "ck"], false),
        (["files", chk], false),
        (["uid", "a"], false),
    ] {
        let (loud, quiet) = (layout.chkctl(args), layout.chkctl(args.iter().chain(&["-q"])));
        assert_eq!((quiet.stdout, quiet.status), (loud.stdout, loud.status), "{args:?}");
        assert_eq!((&*quiet.stderr, !loud.stderr.is_empty()), ("", talks), "{args:?}: {}", loud.stderr);
    }
    assert!(layout.chkctl(["list", "nowhere", "-q"]).stderr.contains("nowhere"), "errors are said");
}

// Colour. -------------------------------------------------------------------------------------------------------------

const COLOURFUL: &[&[&str]] = &[&["list", "."], &["verify", "."], &["list", ".", "--verify"]];

#[test]
fn colour_is_for_terminals_and_for_those_who_ask() {
    let layout = every_verdict();
    for args in COLOURFUL {
        let plain = layout.chkctl(*args);
        assert!(!plain.stdout.contains('\u{1b}'), "a pipe has no colours: {args:?}");
        let mut asked = command();
        asked.args(*args).args(["--color", "always"]).env("NO_COLOR", "1").current_dir(layout.path(""));
        let asked = Run::of(asked);
        assert!(asked.stdout.contains("\u{1b}["), "{args:?} has colours when asked");
        assert_eq!(without_colour(&asked.stdout), plain.stdout, "{args:?} says the same in colour");
        assert!(!asked.stderr.contains('\u{1b}'), "talk has no colours");
        let json = layout.chkctl(args.iter().chain(&["--json", "--color", "always"]));
        assert!(!json.stdout.contains('\u{1b}'), "JSON has no colours");
    }
}

/// The text without escape sequences for colours; any others stay.
fn without_colour(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    let is_colour = |codes: &str| codes.bytes().all(|byte| byte.is_ascii_digit() || byte == b';');
    parts.fold(first, |text, part| match part.split_once('m') {
        Some((codes, rest)) if is_colour(codes) => text + rest,
        _ => text + "\u{1b}[" + part,
    })
}

/// What a line of shell prints on a terminal; nothing where there is no `script` of util-linux that could make one.
fn on_a_terminal(line: &str, dir: &Path, no_color: Option<&str>) -> Option<String> {
    let version = Command::new("script").arg("--version").output().ok()?;
    if !String::from_utf8_lossy(&version.stdout).contains("util-linux") {
        return None;
    }
    let mut script = Command::new("script");
    script.args(["-qec", &format!("{} {line}", env!("CARGO_BIN_EXE_chkctl")), "/dev/null"]).current_dir(dir);
    script.env_remove("NO_COLOR").env_remove("FLINK_CONF_DIR").env_remove("CHKCTL_CONFIG").env("TERM", "xterm");
    no_color.map(|value| script.env("NO_COLOR", value));
    let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    // At the end of its input, script would type ^D.
    let keyboard = child.stdin.take();
    let output = child.wait_with_output().expect("script ends");
    drop(keyboard);
    let text = String::from_utf8(output.stdout).expect("text").replace("\r\n", "\n");
    Some(text).filter(|text| !text.is_empty())
}

#[test]
fn a_terminal_gets_colours_unless_they_are_declined_and_no_raw_names() {
    let layout = every_verdict();
    layout.put(&format!("evil{EVIL}/chk-1"), 9);
    for (line, no_color, colours) in [
        ("verify ck", None, true),
        ("verify ck", Some(""), true),
        ("verify ck", Some("1"), false),
        ("verify ck --color never", None, false),
        ("verify ck --color always", Some("1"), true),
    ] {
        let Some(text) = on_a_terminal(line, &layout.path(""), no_color) else { return };
        assert!(text.contains("chk-7"), "{text}");
        assert_eq!(text.contains("\u{1b}["), colours, "{line} with NO_COLOR={no_color:?}");
    }
    let Some(text) = on_a_terminal("latest evil*", &layout.path(""), None) else { return };
    assert!(text.contains(ESCAPED) && harmless(&text), "{text:?}");
}

// Names that come from elsewhere. -------------------------------------------------------------------------------------

/// Clears the screen, turns the direction of writing, and starts a line.
const EVIL: &str = "name\u{1b}[2J\u{202e}\nevil";
const ESCAPED: &str = "name\\u{1b}[2J\\u{202e}\\u{a}evil";

/// Whether text leaves a terminal alone.
fn harmless(text: &str) -> bool {
    let bidi = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !text.chars().any(|c| (c.is_control() && c != '\n') || bidi(c))
}

#[test]
fn hostile_names_in_a_metadata_are_escaped_in_text_and_intact_in_json() {
    let (case, dir) = dated("wc-rocksdb-retained5-2.3.0", "/chk-9");
    rewrite(Path::new(&dir), |metadata| {
        for operator in &mut metadata.operators {
            (operator.name, operator.uid) = (EVIL.into(), EVIL.into());
            let Subtasks::Some(subtasks) = &mut operator.subtasks else { continue };
            for state in subtasks.iter_mut().filter_map(|subtask| subtask.state.as_deref_mut()) {
                let operator_states = state.managed_operator.handle.iter_mut().flat_map(|handle| &mut handle.states);
                operator_states.for_each(|state| state.name = EVIL.into());
                if let Some(KeyedHandle::Incremental(handle)) = state.managed_keyed.as_deref_mut() {
                    handle.range = KeyGroupRange { start: 1, count: 62 };
                    handle.backend_id = EVIL.into();
                    let mut shared: Vec<_> = handle.shared.iter().collect();
                    shared[0].local_path = EVIL.into();
                    handle.shared = shared.into();
                    match &mut handle.meta {
                        StreamHandle::Relative { path, .. } => *path = EVIL.into(),
                        other => panic!("a {}", other.class()),
                    }
                }
            }
        }
    });
    for args in [
        &["verify", &dir, "-v"][..],
        &["list", &dir, "--verify"],
        &["latest", &dir],
        &["inspect", &dir],
        &["inspect", &dir, "-v"],
        &["files", &dir],
        &["uid", EVIL, "--match", &dir],
        &["verify", &dir, "--color", "always"],
    ] {
        let run = case.chkctl(args);
        let text = without_colour(&(run.stdout + &run.stderr));
        assert!(harmless(&text), "{args:?}: {text:?}");
        assert!(text.contains(ESCAPED), "{args:?}: {text}");
    }
    let json = |args: &[&str]| case.chkctl(args.iter().chain(&["--json"])).json();
    let verify = json(&["verify", &dir]);
    let findings = list(&verify["snapshots"][0]["findings"]);
    let of = |code: &str| findings.iter().find(|finding| finding["code"] == code).expect("a finding");
    assert_eq!(of("missing-key-groups")["operator_name"], EVIL);
    assert_eq!(of("missing-key-groups")["operator_uid"], EVIL);
    assert!(of("missing-file")["path"].as_str().is_some_and(|path| path.ends_with(EVIL)));
    let inspect = json(&["inspect", &dir]);
    assert!(list(&inspect["operators"]).iter().all(|operator| operator["name"] == EVIL && operator["uid"] == EVIL));
    let files = json(&["files", &dir]);
    let owners = list(&files["files"]).iter().map(|file| &file["owners"][0]["operator_name"]);
    assert!(owners.into_iter().all(|name| *name == EVIL));
    let uid = json(&["uid", EVIL, "--match", &dir]);
    assert_eq!((&uid["uids"][0]["uid"], &uid["unmatched"][0]["name"]), (&json!(EVIL), &json!(EVIL)));
}

#[test]
fn hostile_directory_names_are_escaped_in_text_and_intact_in_json_and_for_scripts() {
    let layout = Layout::new();
    let good = layout.put(&format!("{EVIL}/chk-1"), 1);
    layout.put_with(&format!("{EVIL}/chk-2"), 2, Matter::Broken);
    for args in
        [&["list", "."][..], &["verify", "."], &["inspect", &*good.to_string_lossy()], &["inspect", "nowhere\u{1b}[2J"]]
    {
        let run = layout.chkctl(args);
        let text = run.stdout + &run.stderr;
        assert!(harmless(&text), "{args:?}: {text:?}");
        assert!(text.contains("\\u{1b}[2J"), "{args:?}: {text}");
    }
    let latest = layout.chkctl(["latest", "."]);
    assert_eq!(latest.stdout, format!("{}\n", good.display()), "a script gets the name as it is");
    assert!(harmless(&latest.stderr) && latest.stderr.contains(ESCAPED), "{:?}", latest.stderr);
    assert_eq!(layout.chkctl(["latest", ".", "--json"]).json()["path"], json!(good));
    assert_eq!(layout.chkctl(["list", ".", "--json"]).json()["snapshots"][1]["path"], json!(good));
}

// Places. -------------------------------------------------------------------------------------------------------------

#[test]
fn every_spelling_of_a_snapshot_is_understood_by_every_command() {
    let layout = Layout::new();
    let dir = layout.put("ck/chk-1", 1).to_string_lossy().into_owned();
    let root = layout.path("").to_string_lossy().trim_end_matches('/').to_owned();
    for command in
        [&["inspect", "-v"][..], &["files"], &["verify"], &["list"], &["latest"], &["uid", "wc-sum", "--match"]]
    {
        let wanted = layout.chkctl(command.iter().chain(&[&*dir]));
        assert!(wanted.stdout.len() > 20, "{}", wanted.stderr);
        for spelling in [
            format!("{dir}/"),
            format!("{dir}/_metadata"),
            format!("file:{dir}"),
            format!("file://{dir}"),
            format!("file://localhost{dir}/"),
            format!("file://{dir}/_metadata"),
            format!("{root}//ck/./x/../chk-1"),
            "ck/chk-1".to_owned(),
            "./ck/chk-1/".to_owned(),
            "ck/chk-1/_metadata".to_owned(),
        ] {
            let run = layout.chkctl(command.iter().chain(&[&*spelling]));
            // Output names a place as it was given: with or without a scheme.
            let stdout =
                run.stdout.replace(&format!("file://localhost{root}"), &root).replace(&format!("file:{root}"), &root);
            assert_eq!(
                (stdout, run.status),
                (wanted.stdout.clone(), wanted.status),
                "{command:?} {spelling}: {}",
                run.stderr
            );
        }
    }
    let inside = |dir: &str, place: &str| {
        let mut verify = command();
        verify.args(["verify", place]).current_dir(layout.path(dir));
        Run::of(verify)
    };
    for (dir, place) in
        [("ck/chk-1", "."), ("ck/chk-1", "_metadata"), ("ck", "."), ("ck/chk-1", ".."), ("ck/chk-1", "../chk-1")]
    {
        assert_eq!(inside(dir, place).status, 0, "{place} in {dir}");
    }
}

#[test]
fn roots_come_from_the_configuration_of_flink_where_none_is_given() {
    let layout = Layout::new();
    let (ck, sp) = (layout.put("ck/chk-1", 1), layout.put("sp/savepoint-1", 2));
    layout.put("other/chk-9", 9);
    let (ck_root, sp_root) = (layout.path("ck").display().to_string(), layout.path("sp").display().to_string());
    let both = vec![sp.clone(), ck.clone()];
    for (number, (file, text, wanted)) in [
        (
            "config.yaml",
            format!("execution:\n  checkpointing:\n    dir: file://{ck_root}\n    savepoint-dir: {sp_root}\n"),
            both.clone(),
        ),
        (
            "config.yaml",
            format!("execution.checkpointing.dir: {ck_root}\nexecution.checkpointing.savepoint-dir: {sp_root}/\n"),
            both.clone(),
        ),
        (
            "config.yaml",
            format!("state:\n  checkpoints.dir: '{ck_root}' # a comment\n  savepoints.dir: \"file:{sp_root}\"\n"),
            both.clone(),
        ),
        (
            "flink-conf.yaml",
            format!("state.checkpoints.dir: {ck_root} # a comment\nstate.savepoints.dir: file://{sp_root}\n"),
            both.clone(),
        ),
        (
            "flink-conf.yaml",
            format!("execution.checkpointing.dir: {ck_root}\n#state.savepoints.dir: {sp_root}\n"),
            vec![ck.clone()],
        ),
        (
            "flink-conf.yaml",
            format!("state.backend.fs.checkpointdir: {ck_root}\nsavepoints.state.backend.fs.dir: {sp_root}\n"),
            both.clone(),
        ),
        ("config.yaml", format!("state.savepoints.dir: {sp_root}\n"), vec![sp.clone()]),
    ]
    .into_iter()
    .enumerate()
    {
        let conf = layout.path(&format!("conf-{number}"));
        fs::create_dir(&conf).expect("a directory");
        fs::write(conf.join(file), &text).expect("a configuration");
        let (mut by_option, mut by_environment) = (command(), command());
        by_option.args(["list", "--json", "--flink-conf"]).arg(&conf);
        by_environment.args(["list", "--json"]).env("FLINK_CONF_DIR", &conf);
        for command in [by_option, by_environment] {
            let run = Run::of(command);
            let json = run.json();
            let paths = list(&json["snapshots"]).iter().filter_map(|s| s["path"].as_str());
            let paths: Vec<&Path> = paths.map(|path| Path::new(path.strip_prefix("file:").unwrap_or(path))).collect();
            assert_eq!((paths, run.status), (wanted.iter().map(|dir| &**dir).collect(), 0), "{text}");
        }
        // What is given comes first.
        let mut given = command();
        given.args(["latest"]).arg(layout.path("other")).env("FLINK_CONF_DIR", &conf);
        assert_eq!(Run::of(given).stdout, format!("{}\n", layout.path("other/chk-9").display()));
    }
}

#[test]
fn a_configured_savepoint_directory_may_be_missing_and_a_root_in_another_store_is_no_verdict() {
    let layout = Layout::new();
    let chk = layout.put("ck/chk-1", 1);
    let conf = |text: String| {
        fs::write(layout.path("flink-conf.yaml"), text).expect("a configuration");
        layout.chkctl(["latest", "--flink-conf", ".", "--timeout", "1s"])
    };
    let ck = layout.path("ck").display().to_string();
    let run = conf(format!("state.checkpoints.dir: {ck}\nstate.savepoints.dir: {ck}/no-savepoint-yet\n"));
    assert_eq!((run.stdout, run.status), (format!("{}\n", chk.display()), 0));
    assert!(run.stderr.contains("no-savepoint-yet is not there"), "{}", run.stderr);
    let run = conf(format!("state.checkpoints.dir: {ck}/not-mounted\nstate.savepoints.dir: {ck}\n"));
    assert_eq!((&*run.stdout, run.status), ("", 5), "the newest may be there: {}", run.stderr);
    let run = conf(format!("state.checkpoints.dir: hdfs://127.0.0.1:1/ck\nstate.savepoints.dir: {ck}\n"));
    assert_eq!((&*run.stdout, run.status), ("", 5), "the newest may be there: {}", run.stderr);
    let mapped = layout.chkctl([
        OsStr::new("latest"),
        "--flink-conf".as_ref(),
        ".".as_ref(),
        "--map".as_ref(),
        format!("hdfs://127.0.0.1:1/ck={ck}").as_ref(),
    ]);
    assert_eq!((mapped.stdout, mapped.status), (format!("{}\n", chk.display()), 0));
}

#[test]
fn a_configuration_file_names_roots_and_maps_and_the_command_line_comes_before_it() {
    let (case, dir) = dated("wc-nosubdir-1.20.5", "/chk-3");
    let (root, file) = (case.tree().display().to_string(), case.root.join("chkctl.toml"));
    let elsewhere = every_verdict();
    let conf = elsewhere.path("conf");
    fs::create_dir(&conf).expect("a directory");
    fs::write(conf.join("config.yaml"), format!("state.checkpoints.dir: {}\n", elsewhere.path("ck").display()))
        .expect("a configuration");
    let config = |map: &str| fs::write(&file, format!("roots = [\"{root}\"]\nmap = [\"{map}\"]\n")).expect("written");
    let latest = |args: &[&str]| {
        let mut latest = command();
        latest.arg("latest").args(args).env("CHKCTL_CONFIG", &file).env("FLINK_CONF_DIR", &conf);
        Run::of(latest)
    };
    config(&case.map());
    let run = latest(&[]);
    assert_eq!((run.stdout, run.status), (format!("{dir}\n"), 0), "before Flink's configuration: {}", run.stderr);
    let given = latest(&[&elsewhere.path("ck").to_string_lossy()]);
    assert!(given.stdout.ends_with("/chk-7\n"), "{}{}", given.stdout, given.stderr);
    // A map to a place where nothing is: every file is missing there.
    let nowhere = format!("{FLINK_ROOT}={}", case.root.join("nowhere").display());
    config(&nowhere);
    assert_eq!((latest(&[]).stdout, latest(&[]).status), (String::new(), 1));
    let run = latest(&["--map", &case.map()]);
    assert_eq!((run.stdout, run.status), (format!("{dir}\n"), 0), "{}", run.stderr);
    config(&case.map());
    assert_eq!(latest(&["--map", &nowhere]).status, 1);
}

#[test]
fn an_empty_variable_for_a_configuration_counts_as_none() {
    let layout = Layout::new();
    layout.put("ck/chk-1", 1);
    for variable in ["FLINK_CONF_DIR", "CHKCTL_CONFIG"] {
        for (args, status) in [(&["list", "ck"][..], 0), (&["uid", "a"], 0), (&["list"], 2)] {
            let mut command = command();
            command.args(args).env(variable, "").current_dir(layout.path(""));
            let run = Run::of(command);
            assert_eq!(run.status, status, "{variable}= chkctl {args:?}: {}", run.stderr);
        }
    }
}
