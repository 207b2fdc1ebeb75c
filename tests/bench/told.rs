//! What the benchmarks of copies are told.

use std::env;
use std::path::PathBuf;

/// What a benchmark of copies was told: how many rounds, `rounds=N`, and in which directory, `dir=DIR`. `None` where cargo runs
/// it as a test, unoptimised and without `--bench`; that is said.
pub fn told(name: &str, rounds: usize) -> Option<(usize, PathBuf)> {
    let args: Vec<String> = env::args().skip(1).collect();
    if !args.iter().any(|arg| arg == "--bench") {
        eprintln!("nothing is measured; cargo bench --bench {name} does that");
        return None;
    }
    let (mut rounds, mut dir) = (rounds, env::temp_dir());
    for arg in args.iter().filter(|arg| !arg.starts_with("--")) {
        match arg.split_once('=') {
            Some(("rounds", value)) => rounds = value.parse().expect("a number"),
            Some(("dir", value)) => dir = value.into(),
            _ => panic!("what is {arg}? docs/benchmarks.md has the options"),
        }
    }
    Some((rounds, dir))
}
