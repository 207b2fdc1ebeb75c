//! How fast the runtime is, and how much memory it takes, beside real Flink: `docs/benchmarks.md`.
//!
//! `cargo bench --bench runtime` measures everything, `cargo bench --bench runtime -- words recovery` these two. Jobs
//! of ours run in processes of their own, which are this program with `--child`, as Flink's run in a JVM. A goal that is
//! missed is printed as MISSED and fails nothing; a wrong answer ends the run.

mod harness;
mod job;
mod keys;
mod marks;
#[allow(dead_code, reason = "shared with the other benchmark")]
mod measure;
mod options;
mod recovery;
mod rows;
#[allow(dead_code, reason = "shared with the other benchmark")]
mod table;
mod words;

use options::Options;
use rows::Bench;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::env;
use std::process::{Command, Stdio};

/// Tells this program to measure one thing of ours and to print a line of JSON.
const CHILD: &str = "--child";

type Case = fn(&mut Bench);

const CASES: [(&str, Case); 6] = [
    ("words", rows::words),
    ("recovery", rows::recovery),
    ("stall", rows::stall),
    ("checkpoint", rows::checkpoint),
    ("restore", rows::restore),
    ("memory", rows::memory),
];

fn main() {
    let args: Vec<String> = env::args().skip(1).collect();
    let (options, others) = Options::parse(&args);
    if let [flag, what] = others.as_slice()
        && *flag == CHILD
    {
        marks::listen();
        return match *what {
            "words" => say(&words::run(&options)),
            "recovery" => say(&recovery::run(&options)),
            "keys" => say(&keys::run(&options)),
            "restore" => say(&keys::restore(&options)),
            _ => panic!("there is no child {what}"),
        };
    }
    // Cargo runs benchmarks as tests too, unoptimised, and then without this flag.
    if !others.contains(&"--bench") {
        eprintln!("nothing is measured; cargo bench --bench runtime does that");
        return;
    }
    let wanted: Vec<&str> = others.into_iter().filter(|word| !word.starts_with("--")).collect();
    for name in &wanted {
        assert!(CASES.iter().any(|(case, _)| case == name), "there is no benchmark {name}");
    }
    let mut bench = Bench::new(options);
    for (name, case) in CASES {
        if wanted.is_empty() || wanted.contains(&name) {
            case(&mut bench);
        }
    }
    bench.results.print();
}

fn say(measured: &impl Serialize) {
    println!("{}", serde_json::to_string(measured).expect("JSON"));
}

/// Measures one thing in a process of its own.
fn child<T: DeserializeOwned>(what: &str, options: &Options) -> T {
    eprintln!("ours: {what} {} ...", options.words().join(" "));
    let mut command = Command::new(env::current_exe().expect("this program"));
    command.args([CHILD, what]).args(options.words()).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = command.output().expect("this program");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{command:?}: {}", output.status);
    eprintln!("ours: {}", text.trim_end());
    serde_json::from_str(&text).expect("what a child says")
}
