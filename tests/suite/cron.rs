//! The guides for unattended runs: every command in them is one that chkctl has, with options that it has.

use super::support::{Run, command};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use yaml_rust2::{Yaml, YamlLoader};

/// The guide for pruning by the clock.
const CRON: &str = "docs/cron.md";
/// The guide for all else.
pub(super) const OPERATIONS: &str = "docs/operations.md";

/// The blocks of code of a guide: language and text.
fn blocks(guide: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(guide)).expect(guide);
    let mut blocks = Vec::new();
    for (index, part) in text.split("\n```").enumerate() {
        if index % 2 == 1 {
            let (language, code) = part.split_once('\n').expect("a block");
            blocks.push((language.to_owned(), code.to_owned()));
        }
    }
    blocks
}

pub(super) fn blocks_of(guide: &str, language: &str) -> Vec<String> {
    blocks(guide).into_iter().filter(|(other, _)| other == language).map(|(_, code)| code).collect()
}

/// The words of a command line of a shell, with no more quoting than the guide has.
fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(|word| word.trim_matches('"').to_owned()).collect()
}

/// The calls of chkctl in a line, those in `$(…)` included: what follows the name.
fn calls(words: &[String]) -> Vec<Vec<String>> {
    let mut done: Vec<Vec<String>> = Vec::new();
    let mut open: Vec<Vec<String>> = Vec::new();
    for word in words {
        let start = word.trim_start_matches("$(");
        if start.rsplit('/').next() == Some("chkctl") && (open.is_empty() || start != word) {
            open.push(Vec::new());
            continue;
        }
        let Some(call) = open.last_mut() else { continue };
        call.push(word.trim_end_matches(')').to_owned());
        if word.ends_with(')') {
            done.extend(open.pop());
        }
    }
    done.extend(open);
    done
}

/// The lists of `command` and `args` of all containers in a document.
pub(super) fn containers(yaml: &Yaml, found: &mut Vec<Vec<String>>) {
    match yaml {
        Yaml::Hash(map) => {
            let list = |key: &str| match map.get(&Yaml::String(key.to_owned())) {
                Some(Yaml::Array(words)) => words.iter().map(|w| w.as_str().expect("text").to_owned()).collect(),
                _ => Vec::new(),
            };
            let words: Vec<String> = [list("command"), list("args")].concat();
            if !words.is_empty() {
                found.push(words);
            }
            map.values().for_each(|value| containers(value, found));
        }
        Yaml::Array(list) => list.iter().for_each(|value| containers(value, found)),
        _ => {}
    }
}

/// The calls of chkctl in blocks of a language.
fn calls_in(guide: &str, language: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for block in blocks_of(guide, language) {
        if language == "yaml" {
            let documents = YamlLoader::load_from_str(&block).expect("YAML");
            let mut all = Vec::new();
            documents.iter().for_each(|document| containers(document, &mut all));
            found.extend(all.iter().flat_map(|words| calls(words)));
        } else {
            let lines = block.replace("\\\n", " ");
            let is_command = |line: &&str| !line.starts_with('#') && (language != "ini" || line.starts_with("Exec"));
            let commands = lines.lines().filter(is_command).map(|line| line.trim_start_matches("ExecStart="));
            found.extend(commands.flat_map(|line| calls(&words(line))));
        }
    }
    found
}

/// The options that the help of a command names.
fn options_of(subcommand: &str) -> BTreeSet<String> {
    let mut help = command();
    help.args([subcommand, "--help"]);
    let run = Run::of(help);
    assert_eq!(run.status, 0, "chkctl has no command {subcommand}: {}", run.stderr);
    let is_option = |word: &&str| word.starts_with('-');
    run.stdout.split([' ', '\n', ',', '`', '[', '(']).filter(is_option).map(option).collect()
}

/// An option without its value and what a sentence puts behind it.
fn option(word: &str) -> String {
    let name = word.split('=').next().unwrap_or(word);
    name.trim_end_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}

#[test]
fn every_kind_of_schedule_in_the_guide_calls_prune_in_the_same_way() {
    let policy = |language: &str| {
        let mut calls = calls_in(CRON, language);
        assert_eq!(calls.len(), 1, "{language}: {calls:?}");
        let call = calls.pop().expect("a call").join(" ").replace('=', " ");
        call.split(" --metrics").next().expect("a policy").to_owned()
    };
    let in_cron = policy("crontab");
    assert!(in_cron.starts_with("prune /") && in_cron.ends_with("--apply --purge"), "{in_cron}");
    assert_eq!(policy("ini"), in_cron);
    assert_eq!(policy("yaml"), in_cron);
}

#[test]
fn every_command_and_option_in_the_guides_is_there() {
    let mut known: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut checked = 0;
    let mut wrong = Vec::new();
    let all = [CRON, OPERATIONS].into_iter().flat_map(|guide| {
        ["crontab", "ini", "yaml", "sh"].into_iter().flat_map(move |language| calls_in(guide, language))
    });
    for call in all {
        let (subcommand, arguments) = call.split_first().expect("a command");
        let options = known.entry(subcommand.clone()).or_insert_with(|| options_of(subcommand));
        for name in arguments.iter().filter(|word| word.starts_with('-')).map(|word| option(word)) {
            checked += 1;
            if !options.contains(&name) {
                wrong.push(format!("chkctl {subcommand} has no {name}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked > 30 && known.contains_key("prune"), "{checked} options of {:?}", known.keys());
}

/// Options that the prose names, in backquotes.
#[test]
fn every_option_that_the_guide_speaks_of_is_one_of_prune_or_pin() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(CRON)).expect(CRON);
    let options: BTreeSet<String> = ["prune", "pin"].iter().flat_map(|name| options_of(name)).collect();
    let prose: Vec<&str> = text.split("\n```").step_by(2).collect();
    let spans = prose.iter().flat_map(|part| part.split('`').skip(1).step_by(2));
    let named: Vec<String> = spans
        .filter(|span| span.starts_with("--"))
        .map(|span| option(span.split(' ').next().unwrap_or(span)))
        .collect();
    assert!(named.len() > 10, "{named:?}");
    let missing: Vec<&String> = named.iter().filter(|name| !options.contains(*name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_line_for_cron_is_one_that_cron_takes() {
    let block = blocks_of(CRON, "crontab").concat();
    let lines: Vec<&str> = block.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit())).collect();
    assert_eq!(lines.len(), 1, "cron knows no continued lines");
    assert!(!lines[0].contains('%'), "cron takes a percent sign for the end of the line");
    let fields: Vec<&str> = lines[0].split_whitespace().collect();
    let is_time = |field: &&str| field.chars().all(|c| c.is_ascii_digit() || "*,-/".contains(c));
    assert!(fields[..5].iter().all(is_time) && !is_time(&fields[5]), "five fields, then the user");
    assert!(fields[6].ends_with("/chkctl"), "cron has a short PATH");
}
