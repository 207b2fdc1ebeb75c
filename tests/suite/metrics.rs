//! The metrics file: what a collector reads, by a strict reader of the text format of Prometheus.

use super::catalog::Layout;
use chkctl::render::metrics::{Command, Metrics, RunMetrics, write_metrics};
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;

/// A sample: labels in their order, and the value.
type Sample = (Vec<(String, String)>, f64);

/// Reads text in the exposition format; panics at whatever the format does not have.
fn read(text: &str) -> BTreeMap<String, Vec<Sample>> {
    assert!(text.is_empty() || text.ends_with('\n'), "the last line ends with a line feed");
    let mut families: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
    let mut current: Option<(String, bool)> = None;
    let mut seen = HashSet::new();
    for line in text.split_terminator('\n') {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a help");
            assert!(!families.contains_key(name), "the family {name} stands together");
            let escapes = help.replace("\\\\", "");
            assert!(escapes.split('\\').skip(1).all(|after| after.starts_with('n')), "{line}");
            families.insert(name.to_owned(), Vec::new());
            current = Some((name.to_owned(), false));
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = current.as_mut().expect("HELP comes first");
            assert_eq!(rest, format!("{name} gauge"));
            assert!(!std::mem::replace(kind, true), "one TYPE");
        } else {
            let (family, typed) = current.as_ref().expect("HELP comes first");
            assert!(typed, "TYPE comes before samples");
            let (name, labels, value) = sample(line);
            assert_eq!(name, *family, "the family stands together");
            assert!(seen.insert((name.clone(), labels.clone())), "{line}: twice");
            families.get_mut(&name).expect("a family").push((labels, value));
        }
    }
    assert!(families.values().all(|samples| !samples.is_empty()), "a family without samples");
    families
}

fn name(text: &str) -> (String, &str) {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    assert!(name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'), "{text}");
    (name.to_owned(), rest)
}

fn sample(line: &str) -> (String, Vec<(String, String)>, f64) {
    let (family, mut rest) = name(line);
    let mut labels: Vec<(String, String)> = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = name(rest);
            let mut characters = after.strip_prefix("=\"").unwrap_or_else(|| panic!("{line}")).char_indices();
            let mut value = String::new();
            let end = loop {
                match characters.next().unwrap_or_else(|| panic!("{line}: no closing quote")) {
                    (at, '"') => break at,
                    (_, '\\') => match characters.next() {
                        Some((_, 'n')) => value.push('\n'),
                        Some((_, escaped @ ('\\' | '"'))) => value.push(escaped),
                        other => panic!("{line}: {other:?} is no escape"),
                    },
                    (_, other) => value.push(other),
                }
            };
            assert!(labels.iter().all(|(other, _)| *other != label), "{line}: a label twice");
            labels.push((label, value));
            rest = &after["=\"".len() + end + 1..];
            match rest.split_at(1) {
                (",", more) => rest = more,
                ("}", more) => {
                    rest = more;
                    break;
                }
                _ => panic!("{line}"),
            }
        }
    }
    let value = rest.strip_prefix(' ').unwrap_or_else(|| panic!("{line}"));
    (family, labels, value.parse().unwrap_or_else(|_| panic!("{line}: {value:?}")))
}

fn run() -> RunMetrics {
    let pairs = |pairs: &[(&str, u64)]| pairs.iter().map(|(text, n)| ((*text).to_owned(), *n)).collect();
    RunMetrics {
        last_success: Some(1_700_000_000),
        last_restorable_age: pairs(&[("/ck/b", 20), ("/ck/a", 10)]),
        snapshots: pairs(&[("restorable", 2), ("broken", 1)]),
        missing_files: Some(4),
        orphan_files: Some(5),
        orphan_bytes: Some(u64::MAX),
        reclaimed_bytes: Some(0),
        refused: pairs(&[("job-alive", 1)]),
        ..RunMetrics::new(Command::Prune, vec!["/ck".to_owned()], 1_800_000_000, 3)
    }
}

#[test]
fn a_run_of_prune_is_told_in_the_text_format() {
    let text = run().text();
    let families = read(&text);
    let names: Vec<&str> = families.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "chkctl_last_restorable_age_seconds",
            "chkctl_missing_files",
            "chkctl_orphan_bytes",
            "chkctl_orphan_files",
            "chkctl_prune_exit_code",
            "chkctl_prune_last_run_timestamp_seconds",
            "chkctl_prune_last_success_timestamp_seconds",
            "chkctl_prune_reclaimed_bytes",
            "chkctl_prune_refused",
            "chkctl_snapshots",
        ]
    );
    let common = || [("command", "prune"), ("roots", "/ck")];
    let pairs = |pairs: &[(&str, &str)]| -> Vec<_> {
        pairs.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect()
    };
    let labels = |label, value| pairs(&[&common()[..], &[(label, value)]].concat());
    let age = &families["chkctl_last_restorable_age_seconds"];
    assert_eq!(*age, [(labels("job", "/ck/a"), 10.0), (labels("job", "/ck/b"), 20.0)]);
    assert_eq!(families["chkctl_prune_refused"], [(labels("reason", "job-alive"), 1.0)]);
    assert_eq!(families["chkctl_prune_exit_code"], [(pairs(&common()), 3.0)]);
    assert!(text.contains("\"} 18446744073709551615\n"), "to the last byte: {text}");
    let mut other_order = run();
    other_order.last_restorable_age.reverse();
    other_order.snapshots.reverse();
    assert_eq!(other_order.text(), text);
}

#[test]
fn what_a_run_does_not_know_has_no_line() {
    let text = RunMetrics::new(Command::Prune, Vec::new(), 5, 5).text();
    let names: Vec<String> = read(&text).into_keys().collect();
    assert_eq!(names, ["chkctl_prune_exit_code", "chkctl_prune_last_run_timestamp_seconds"]);
}

#[test]
fn no_label_can_break_out_of_its_quotes() {
    let hostile = ["a\"b", "a\\", "\\n", "a\nb 1\n# TYPE x", "{}", "a\",job=\"b", "", "état", "\r\u{1b}"];
    let mut metrics = Metrics::default();
    let mut gauge = metrics.gauge("x", "a \\ and a\nline");
    for (label, value) in hostile.iter().zip(0..) {
        gauge.set_labelled(&[("one", label), ("two", "\\\"")], value);
    }
    gauge.set(7);
    let text = metrics.to_string();
    assert!(text.starts_with("# HELP x a \\\\ and a\\nline\n"), "{text}");
    let samples = &read(&text)["x"];
    assert_eq!(samples.len(), hostile.len() + 1);
    for (label, value) in hostile.iter().zip(0_u8..) {
        let labels = vec![("one".to_owned(), (*label).to_owned()), ("two".to_owned(), "\\\"".to_owned())];
        assert!(samples.contains(&(labels, f64::from(value))), "{label:?} in {text}");
    }
}

#[test]
fn of_two_samples_with_the_same_labels_the_last_counts() {
    let mut metrics = Metrics::default();
    metrics.gauge("x", "h").set(1).set(None).set(2);
    assert_eq!(read(&metrics.to_string())["x"], [(vec![], 2.0)]);
}

fn names_in(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("a directory");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn the_file_is_replaced_as_a_whole_and_can_be_read_by_all() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("chkctl.prom");
    for text in ["a much longer text than the one that follows\n", "x 1\n"] {
        write_metrics(&path, text).expect("written");
        assert_eq!(fs::read_to_string(&path).expect("the file"), text);
    }
    assert_eq!(names_in(dir.path()), ["chkctl.prom"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&path).expect("the file").permissions().mode() & 0o777, 0o644);
    }
    assert!(write_metrics(&dir.path().join("none/chkctl.prom"), "x 1\n").is_err());
}

#[test]
#[cfg(unix)]
fn what_is_no_plain_file_is_not_replaced() {
    let dir = tempfile::tempdir().expect("a directory");
    let (link, sub) = (dir.path().join("link"), dir.path().join("sub"));
    std::os::unix::fs::symlink(dir.path().join("target"), &link).expect("a link");
    fs::create_dir(&sub).expect("a directory");
    for path in [&link, &sub] {
        assert!(write_metrics(path, "x 1\n").is_err());
    }
    assert!(link.is_symlink() && sub.is_dir());
    assert_eq!(names_in(dir.path()).len(), 2, "nothing is left behind");
}

#[test]
fn the_time_of_the_last_success_outlives_a_run_that_failed() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("chkctl.prom");
    assert_eq!(run().last_success_in(&path), None);
    write_metrics(&path, &run().text()).expect("written");
    let failed = RunMetrics { last_success: run().last_success_in(&path), finished: 1_900_000_000, ..run() };
    write_metrics(&path, &failed.text()).expect("written");
    assert_eq!(run().last_success_in(&path), Some(1_700_000_000));
    let others =
        [RunMetrics { roots: vec!["/other".to_owned()], ..run() }, RunMetrics { command: Command::Verify, ..run() }];
    for other in others {
        assert_eq!(other.last_success_in(&path), None, "another command, or other roots");
    }
}

#[test]
fn a_time_of_the_last_success_that_is_none_is_dropped() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("chkctl.prom");
    let name = "chkctl_prune_last_success_timestamp_seconds{command=\"prune\",roots=\"/ck\"}";
    for (text, wanted) in [
        (format!("{name} 12\n"), Some(12)),
        (format!("other 1\n# HELP {name} x\n# TYPE {name} gauge\n{name} 12\n"), Some(12)),
        (String::new(), None),
        (format!("{name} \n"), None),
        (format!("{name} 12 13\n"), None),
        (format!("{name} -1\n"), None),
        (format!("{name} +1\n"), None),
        (format!("{name} 1e9\n"), None),
        (format!("{name} NaN\n"), None),
        (format!("{name} 99999999999999999999\n"), None),
        ("chkctl_prune_last_success_timestamp_seconds 12\n".to_owned(), None),
        (format!("{name}x 12\n"), None),
    ] {
        fs::write(&path, &text).expect("written");
        assert_eq!(run().last_success_in(&path), wanted, "{text}");
    }
    fs::write(&path, [0xFF, b'\n'].into_iter().chain(format!("{name} 12\n").bytes()).collect::<Vec<_>>())
        .expect("written");
    assert_eq!(run().last_success_in(&path), Some(12));
    assert_eq!(run().last_success_in(dir.path()), None);
}

/// Runs a command and gives its exit code and what it wrote.
fn told_by(layout: &Layout, words: &str, file: &Path) -> (i32, BTreeMap<String, Vec<Sample>>) {
    let run = layout.chkctl(words.split(' ').chain(["--metrics", file.to_str().expect("UTF-8")]));
    (run.status, read(&fs::read_to_string(file).unwrap_or_else(|_| panic!("{}", run.stderr))))
}

#[test]
fn verify_latest_and_prune_tell_collectors_of_one_tree_and_no_sample_twice() {
    let layout = Layout::new();
    layout.put("ck/0123456789abcdef0123456789abcdef/chk-7", 2);
    let collected = tempfile::tempdir().expect("a directory");
    let (mut all, mut jobs) = (HashSet::new(), HashSet::new());
    for (command, words) in [("verify", "verify ck"), ("latest", "latest ck"), ("prune", "prune ck --keep-last 1")] {
        let (status, told) = told_by(&layout, words, &collected.path().join(format!("{command}.prom")));
        assert_eq!(status, 0, "{words}");
        let own = |what: &str| &told[&format!("chkctl_{command}_{what}")];
        assert_eq!(own("exit_code")[0].1, 0.0);
        assert_eq!(own("last_success_timestamp_seconds"), own("last_run_timestamp_seconds"));
        let ages = &told["chkctl_last_restorable_age_seconds"];
        jobs.extend(ages.iter().flat_map(|(labels, _)| labels.iter().filter(|(label, _)| label == "job").cloned()));
        for (family, samples) in told {
            let fresh = |labels: Vec<_>| all.insert((family.clone(), labels));
            assert!(samples.into_iter().map(|(labels, _)| labels).all(fresh), "{family} twice");
        }
    }
    assert_eq!(jobs.len(), 1, "one job has one name: {jobs:?}");
    let (status, told) = told_by(&layout, "verify none", &collected.path().join("none.prom"));
    assert_eq!((status, told["chkctl_verify_exit_code"][0].1), (5, 5.0));
    assert!(!told.contains_key("chkctl_snapshots"), "nothing was counted: {told:?}");
}
