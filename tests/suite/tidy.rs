//! The rules of the house that a compiler does not check, and the documents that come from the code.

use super::support::testdata;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What each module may use (`docs/developing.md`).
const ARROWS: &[(&str, &[&str])] = &[
    ("wire", &["wire"]),
    ("model", &["wire", "model"]),
    ("format", &["wire", "model", "format"]),
    ("storage", &["wire", "model", "storage"]),
    ("cluster", &["wire", "model", "format", "storage", "cluster"]),
    ("runtime", &["wire", "model", "format", "storage", "state", "runtime"]),
    ("state", &["wire", "model", "state"]),
    ("rocksdb", &["wire", "model", "rocksdb"]),
    ("programs", &["runtime", "programs"]),
    ("survey", &["wire", "model", "format", "storage", "state", "rocksdb", "survey"]),
    ("records", &["wire", "model", "storage", "records"]),
    ("retention", &["model", "retention"]),
    ("plan", &["model", "plan"]),
    (
        "prune",
        &["wire", "model", "format", "storage", "cluster", "survey", "records", "retention", "plan", "change", "prune"],
    ),
    ("change", &["wire", "model", "storage", "plan", "change"]),
    ("edit", &["wire", "model", "format", "edit"]),
    ("repair", &["wire", "model", "format", "storage", "survey", "edit", "seal", "repair"]),
    ("settings", &["model", "storage", "settings"]),
    ("seal", &["model", "format", "storage", "survey", "seal"]),
    ("promote", &["wire", "model", "format", "storage", "survey", "edit", "seal", "promote"]),
    ("diagnose", &["wire", "model", "format", "storage", "survey", "diagnose"]),
    (
        "render",
        &[
            "wire", "model", "format", "state", "survey", "plan", "prune", "change", "edit", "repair", "seal",
            "promote", "diagnose", "cluster", "render",
        ],
    ),
    (
        "cli",
        &[
            "wire",
            "model",
            "format",
            "storage",
            "cluster",
            "state",
            "rocksdb",
            "runtime",
            "programs",
            "survey",
            "records",
            "retention",
            "plan",
            "prune",
            "change",
            "seal",
            "promote",
            "diagnose",
            "edit",
            "repair",
            "render",
            "settings",
            "cli",
        ],
    ),
    ("main", &["cli"]),
    ("bin", &["model", "storage", "runtime", "programs", "settings"]),
    ("lib", &[]),
];

const LONGEST_FILE: usize = 600;

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files_below(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(dir).sort_by_file_name().into_iter().map(|entry| entry.expect("an entry"));
    let files = entries.filter(|entry| entry.file_type().is_file()).map(|entry| entry.into_path());
    files.filter(|path| path.to_string_lossy().ends_with(ending)).collect()
}

fn sources() -> Vec<(PathBuf, String)> {
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a source file");
        (path, text)
    };
    files_below(&package().join("src"), ".rs").into_iter().map(read).collect()
}

/// The code of a file, without its tests and comments.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]").next().unwrap_or(text);
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn modules_use_only_what_the_house_allows() {
    let arrows: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let inside = path.strip_prefix(package().join("src")).expect("a file in src");
        let first = inside.components().next().expect("a name").as_os_str().to_string_lossy();
        let module = first.trim_end_matches(".rs").to_owned();
        let allowed = arrows.get(module.as_str()).unwrap_or_else(|| panic!("{module} has no place in the house"));
        // The binaries are crates of their own.
        let code = match module.as_str() {
            "main" | "bin" => code(&text).replace("chkctl::", "crate::"),
            _ => code(&text),
        };
        for part in code.split("crate::").skip(1) {
            let used: String = part.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            let is_module = arrows.contains_key(used.as_str());
            if is_module && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{}: {module} uses {used}", inside.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_are_small_enough_to_read() {
    let long: Vec<String> = sources()
        .into_iter()
        .map(|(path, text)| (text.lines().count(), path))
        .filter(|(lines, _)| *lines > LONGEST_FILE)
        .map(|(lines, path)| format!("{}: {lines} lines", path.display()))
        .collect();
    assert!(long.is_empty(), "split them by purpose:\n{}", long.join("\n"));
}

#[test]
fn every_test_file_is_in_the_suite() {
    let suite = fs::read_to_string(package().join("tests/suite.rs")).expect("the suite");
    for path in files_below(&package().join("tests/suite"), ".rs") {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        assert!(suite.contains(&format!("mod {name};")), "tests/suite/{name}.rs is in no test binary");
    }
}

#[test]
fn no_document_names_a_place_that_a_clone_does_not_have() {
    let mut links = 0;
    for path in files_below(&package().join("docs"), ".md").into_iter().chain([package().join("README.md")]) {
        let text = fs::read_to_string(&path).expect("a document");
        assert!(!text.contains("/work/"), "{} names a path of somebody's machine", path.display());
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.contains("://") || target.starts_with('#') {
                continue;
            }
            links += 1;
            let file = path.parent().expect("a directory").join(target.split('#').next().unwrap_or(target));
            assert!(file.exists(), "{} links to {target}, which is not there", path.display());
        }
    }
    assert!(links > 5, "the documents link to each other");
}

/// Compares a generated part of a document, or writes it where `UPDATE_DOCS` is set.
fn generated(path: &Path, wanted: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path, wanted).expect("the document is written");
    }
    let text = fs::read_to_string(path).unwrap_or_default();
    assert!(text == wanted, "{} is out of date: UPDATE_DOCS=1 cargo test writes it anew", path.display());
}

#[test]
fn the_list_of_findings_is_that_of_the_code() {
    generated(
        &package().join("docs/findings.md"),
        &format!("{}{}", chkctl::survey::finding::document(), chkctl::diagnose::table::document()),
    );
}

#[test]
fn the_reference_of_the_command_line_is_that_of_the_code() {
    let path = package().join("docs/cli.md");
    let text = fs::read_to_string(&path).expect("docs/cli.md");
    let mark = "<!-- generated from here on: UPDATE_DOCS=1 cargo test -->\n";
    let (hand, _) = text.split_once(mark).expect("docs/cli.md has a generated part");
    generated(&path, &format!("{hand}{mark}{}", chkctl::cli::reference()));
}

#[test]
fn the_readme_s_example_is_there_to_try() {
    let readme = fs::read_to_string(package().join("README.md")).expect("the README");
    assert!(readme.contains("--map /opt/flink/checkpoints=testdata/checkpoints testdata/checkpoints"));
    let metadata = files_below(&testdata().join("checkpoints"), "_metadata");
    assert!(metadata.len() >= 5, "the example needs some snapshots, it has {}", metadata.len());
}
