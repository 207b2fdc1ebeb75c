//! The guides for unattended runs, tried as they are written: lines of a crontab by a shell, as cron runs them; what a unit of
//! systemd starts; containers of Kubernetes. Only the places are other ones.

use super::catalog::Layout;
use super::cron::{OPERATIONS, blocks_of, containers};
use super::support::Run;
use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;
use yaml_rust2::{Yaml, YamlLoader};

const CRON: &str = "docs/cron.md";

/// A machine as the guides have it: a tree of checkpoints, a directory for metrics, one for what is kept.
struct Machine {
    layout: Layout,
    dir: TempDir,
}

impl Machine {
    fn new() -> Self {
        let layout = Layout::new();
        layout.put("checkpoints/0123456789abcdef0123456789abcdef/chk-7", 2);
        layout.put("savepoints/savepoint-012345-0123456789ab", 1);
        let dir = tempfile::tempdir().expect("a directory");
        for name in ["metrics", "kept", "start", "bin"] {
            fs::create_dir(dir.path().join(name)).expect("a directory");
        }
        let program = dir.path().join("bin/chkctl");
        fs::copy(env!("CARGO_BIN_EXE_chkctl"), program).expect("the program");
        Machine { layout, dir }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().expect("UTF-8").to_owned()
    }

    /// Text of a guide with the places of this machine.
    fn here(&self, text: &str) -> String {
        let tree = self.layout.path(".");
        let text = match text.strip_prefix("/metrics/") {
            Some(name) => format!("{}/{name}", self.path("metrics")),
            None => text.replace("=/metrics/", &format!("={}/", self.path("metrics"))),
        };
        text.replace("/mnt/flink", tree.to_str().expect("UTF-8").trim_end_matches("/."))
            .replace("/usr/local/bin", &self.path("bin"))
            .replace("/var/lib/node_exporter/textfile", &self.path("metrics"))
            .replace("/var/lib/chkctl", &self.path("kept"))
            .replace("/start/path", &self.path("start/path"))
    }

    /// Runs a program with no more around it than cron, systemd and containers have.
    fn run(&self, words: &[String], variables: &[(&str, &str)]) -> Run {
        let (program, args) = words.split_first().expect("a program");
        let mut command = Command::new(program);
        command.args(args).env_clear().current_dir("/");
        command.env("PATH", format!("/usr/bin:/bin:{}", self.path("bin")));
        command.envs(variables.iter().copied());
        Run::of(command)
    }

    fn shell(&self, line: &str, variables: &[(&str, &str)]) -> Run {
        self.run(&["/bin/sh".to_owned(), "-c".to_owned(), self.here(line)], variables)
    }

    fn has_metrics(&self, name: &str) -> bool {
        Path::new(&self.path("metrics")).join(name).exists()
    }
}

/// The commands of a crontab, as cron hands them to a shell.
fn crontab(guide: &str) -> Vec<String> {
    let text = blocks_of(guide, "crontab").concat();
    let lines = text.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
    let command = |line: &str| {
        assert!(!line.replace("\\%", "").contains('%'), "cron takes a percent sign for the end of the line: {line}");
        line.splitn(7, ' ').nth(6).expect("five times and a user").replace("\\%", "%")
    };
    lines.map(command).collect()
}

/// The lists of words of all containers in the documents of a guide.
fn all_containers(guide: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for block in blocks_of(guide, "yaml") {
        let documents: Vec<Yaml> = YamlLoader::load_from_str(&block).expect("YAML");
        documents.iter().for_each(|document| containers(document, &mut found));
    }
    found
}

#[test]
fn the_lines_of_the_crontabs_run_as_they_are_written() {
    let machine = Machine::new();
    let lines = [crontab(CRON), crontab(OPERATIONS)].concat();
    assert_eq!(lines.len(), 4);
    for line in lines {
        let run = machine.shell(&line, &[]);
        assert_eq!((run.status, run.stdout.as_str(), run.stderr.as_str()), (0, "", ""), "{line}");
    }
    for name in ["chkctl.prom", "chkctl-latest.prom", "chkctl-verify.prom", "chkctl-prune.prom"] {
        assert!(machine.has_metrics(name), "{name}");
    }
}

#[test]
fn what_the_units_of_systemd_start_runs_as_it_is_written() {
    let machine = Machine::new();
    let mut started = 0;
    for block in [CRON, OPERATIONS].iter().flat_map(|guide| blocks_of(guide, "ini")) {
        let joined = block.replace("\\\n", " ");
        for line in joined.lines().filter_map(|line| line.strip_prefix("ExecStart=")) {
            let words: Vec<String> = machine.here(line).split_whitespace().map(str::to_owned).collect();
            let run = machine.run(&words, &[]);
            assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{line}");
            started += 1;
        }
    }
    assert_eq!(started, 2);
}

#[test]
fn the_containers_of_the_cron_jobs_run_as_they_are_written() {
    let machine = Machine::new();
    let all = [all_containers(CRON), all_containers(OPERATIONS)].concat();
    let jobs: Vec<_> = all.iter().filter(|words| words[0] == "chkctl" && words[1] != "latest").collect();
    assert_eq!(jobs.len(), 2);
    for words in jobs {
        let mut words: Vec<String> = words.iter().map(|word| machine.here(word)).collect();
        words[0] = machine.path("bin/chkctl");
        let run = machine.run(&words, &[]);
        assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{words:?}");
    }
}

#[test]
fn the_init_container_starts_the_job_from_the_newest_snapshot_or_not_at_all() {
    let machine = Machine::new();
    let all = all_containers(OPERATIONS);
    let [gate, job] = ["chkctl latest", "standalone-job.sh"].map(|part| {
        let script = all.iter().find(|words| words.iter().any(|word| word.contains(part)));
        script.and_then(|words| words.last()).unwrap_or_else(|| panic!("a script with {part}")).clone()
    });
    let tree = machine.here("/mnt/flink/checkpoints");
    let run = machine.shell(&gate, &[("ROOT", &tree), ("FIRST_START", "no")]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let found = format!("file:{tree}/0123456789abcdef0123456789abcdef/chk-7");
    let picked = fs::read_to_string(machine.path("start/path")).expect("a path");
    assert!(picked.trim_end().ends_with("/chk-7"), "{picked}");

    // What the job would be started with.
    let shown = job.replace("exec /opt/flink/bin/standalone-job.sh", "printf '%s,'");
    let run = machine.shell(&shown, &[]);
    assert_eq!(run.stdout, format!("start-foreground,--fromSavepoint,{},", picked.trim_end()), "{found}");

    let nothing = machine.path("kept");
    for (first, status) in [("no", 1), ("yes", 0)] {
        assert_eq!(machine.shell(&gate, &[("ROOT", &nothing), ("FIRST_START", first)]).status, status, "{first}");
    }
    assert_eq!(machine.shell(&shown, &[]).stdout, "start-foreground,", "a first start has no snapshot");
    let missing = machine.path("missing");
    let run = machine.shell(&gate, &[("ROOT", &missing), ("FIRST_START", "yes")]);
    assert_eq!(run.status, 5, "what is not mounted is no first start: {}", run.stderr);
}
