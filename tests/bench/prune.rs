//! How fast `prune` plans and carries out, beside `find` and `rm`: `docs/benchmarks.md`.
//!
//! `cargo bench --bench prune` measures everything, `cargo bench --bench prune -- plan` this. A goal that is missed is
//! printed as MISSED and fails nothing; a wrong answer ends the run.

#[allow(dead_code, reason = "most of it is for the benchmark of surveys")]
mod generate;
mod history;
#[allow(dead_code, reason = "shared with the other benchmarks")]
mod measure;
mod orphans;
#[allow(dead_code, reason = "shared with the other benchmarks")]
mod table;

use history::{CHECKPOINTS, FILES, JOBS, REFERENCES};
use measure::{chkctl, in_turn, middle, peak_of, process};
use std::env;
use std::path::Path;
use std::process::{Command, Output};
use table::{Other, Results, megabytes, time};

type Case = fn(&mut Results);

const CASES: [(&str, Case); 2] = [("plan", plan), ("remove", remove)];

/// The most memory that making a plan may take, in bytes.
const MEMORY: u64 = 300_000_000;

fn main() {
    let args: Vec<String> = env::args().skip(1).collect();
    // Cargo runs benchmarks as tests too, unoptimised, and then without this flag.
    if !args.iter().any(|arg| arg == "--bench") {
        eprintln!("nothing is measured; cargo bench --bench prune does that");
        return;
    }
    let wanted: Vec<&String> = args.iter().filter(|arg| !arg.starts_with("--")).collect();
    for name in &wanted {
        assert!(CASES.iter().any(|(case, _)| case == name), "there is no benchmark {name}");
    }
    let mut results = Results::new();
    for (name, case) in CASES {
        if wanted.is_empty() || wanted.iter().any(|wanted| *wanted == name) {
            case(&mut results);
        }
    }
    results.print();
}

/// `chkctl prune` of everything but the newest of each job.
fn prune(root: &Path, keep: u64, more: &[&str]) -> Command {
    let mut command = chkctl(&["prune", "--keep-last", &keep.to_string(), "--max-delete-percent", "100"]);
    command.args(more).arg(root);
    command
}

fn plan(results: &mut Results) {
    let root = history::tree();
    let Output { stdout, .. } = prune(&root, 10, &["--json"]).output().expect("chkctl");
    let plan: serde_json::Value = serde_json::from_slice(&stdout).expect("JSON");
    let total = |name: &str| plan["totals"][name].as_u64().expect("a number");
    assert_eq!((total("remove"), total("orphans"), total("files")), history::going(10), "what goes");
    assert_eq!(plan["blocked"], false);

    let find = || process(Command::new("find").arg(&root).args(["-printf", "%s %T@ %p\n"]), 0);
    let (ours, theirs) = in_turn(5, || process(&mut prune(&root, 10, &[]), 0), find);
    let what =
        format!("plan: {} checkpoints of {JOBS} jobs, {FILES} files, {REFERENCES} references", JOBS * CHECKPOINTS);
    results.within(&what, ours, Other("find", theirs), 1.5);
    let peak = peak_of(&mut prune(&root, 10, &[]), 0);
    let goal = format!("at most {}", megabytes(MEMORY));
    results.add("peak memory of that", &megabytes(peak), "-", "-", &goal, Some(peak <= MEMORY));
}

/// How often a tree is made and removed in each way.
const ROUNDS: usize = 5;

fn remove(results: &mut Results) {
    for (jobs, what) in [(1, "in one directory"), (200, "of 200 jobs")] {
        let (mut plans, mut deletes, mut asides, mut others) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        // The first round is not counted.
        for _ in 0..=ROUNDS {
            let root = orphans::tree(jobs);
            plans.push(process(&mut prune(&root, 1, &[]), 0));
            deletes.push(process(&mut prune(&root, 1, &["--apply", "--instant"]), 0));
            assert_eq!(left(&root), 0, "files are left");
            let root = orphans::tree(jobs);
            asides.push(process(&mut prune(&root, 1, &["--apply"]), 0));
            assert_eq!(left(&root), 0, "files are left");
            let root = orphans::tree(jobs);
            others.push(process(Command::new("rm").arg("-rf").arg(&root), 0));
            assert!(!root.exists());
            orphans::remove(&root);
        }
        let plan = middle(plans.split_off(1));
        let rm = middle(others.split_off(1));
        let ways = [("delete", deletes), ("put aside", asides)];
        for (way, mut times) in ways {
            let whole = middle(times.split_off(1));
            let what = format!("{way} {} orphans {what}", orphans::FILES);
            results.within(&what, whole, Other("rm -rf", rm), 1.0);
            results.beside("... without making the plan", whole.saturating_sub(plan), Other("rm -rf", rm));
        }
        results.note(&format!("make the plan for orphans {what}"), &time(plan));
    }
}

/// Files below a root that are not put aside.
fn left(root: &Path) -> usize {
    let entries = walkdir::WalkDir::new(root).into_iter().filter_entry(|entry| entry.file_name() != ".chkctl");
    entries.filter(|entry| entry.as_ref().is_ok_and(|entry| entry.file_type().is_file())).count()
}
