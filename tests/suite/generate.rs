//! Completions and man pages: of every command, and as a shell and a reader of man pages take them.

use super::support::{Run, command};
use std::process::Command;

fn generated(args: &[&str]) -> Run {
    let mut chkctl = command();
    chkctl.arg("generate").args(args);
    Run::of(chkctl)
}

/// The names of all commands, by the help.
fn commands() -> Vec<String> {
    let mut help = command();
    help.arg("--help");
    let help = Run::of(help).stdout;
    let list = help.split("Commands:\n").nth(1).expect("a list of commands");
    let lines = list.lines().take_while(|line| !line.is_empty());
    let starts = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = starts.map(|line| line.split_whitespace().next().expect("a name").to_owned());
    names.filter(|name| name != "help").collect()
}

#[test]
fn every_command_has_a_man_page_that_names_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let run = generated(&["man", dir.path().to_str().expect("UTF-8")]);
    assert_eq!((run.status, run.stdout.as_str()), (0, ""), "{}", run.stderr);
    assert!(commands().len() > 20);
    for name in commands() {
        let page = std::fs::read_to_string(dir.path().join(format!("chkctl-{name}.1")))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let title = format!("chkctl\\-{} \\- ", name.replace('-', "\\-"));
        assert!(page.contains(&title) && page.contains(".SH OPTIONS"), "{name}: {page}");
    }
    assert!(dir.path().join("chkctl.1").exists());
    assert_eq!(generated(&["man", "/nothing/here"]).status, 2);
}

#[test]
fn bash_completes_commands_and_options() {
    let script = r#"
        source "$1"
        complete_at() { COMP_WORDS=(chkctl "$@"); COMP_CWORD=$#; _chkctl chkctl "${!#}" "${COMP_WORDS[COMP_CWORD-1]}"; echo "${COMPREPLY[@]}"; }
        complete_at pro
        complete_at verify --check
        complete_at generate completions z
    "#;
    if Command::new("bash").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "CI has bash");
        eprintln!("SKIPPED: there is no bash");
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("completions");
    std::fs::write(&file, generated(&["completions", "bash"]).stdout).expect("written");
    let mut bash = Command::new("bash");
    bash.args(["--noprofile", "--norc", "-c", script, "bash"]).arg(&file);
    let run = Run::of(bash);
    assert_eq!(run.stdout.lines().collect::<Vec<_>>(), ["promote", "--checksums", "zsh"], "{}", run.stderr);
}

#[test]
fn other_shells_get_a_script_that_knows_every_command() {
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        let run = generated(&["completions", shell]);
        let missing = commands().into_iter().find(|name| !run.stdout.contains(name.as_str()));
        assert_eq!((run.status, missing), (0, None), "{shell}");
    }
}
