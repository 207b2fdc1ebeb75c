//! What processes take of a core, whatever else the machine does meanwhile.
//!
//! A process is bound to one core (`taskset`), and what counts is the time that its main thread has had of it, user and
//! system, from `/proc/PID/schedstat`: other work makes it wait, which is not in that number.

use crate::measure::middle;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// What one run took.
#[derive(Clone, Copy)]
struct Took {
    /// Time of a core, user and system.
    cpu: Duration,
    /// From start to end.
    wall: Duration,
}

/// The same program on these cores alone, such as `0` or `0,1`.
pub fn on_cores(cores: &str, command: &Command) -> Command {
    let mut bound = Command::new("taskset");
    bound.args(["-c", cores]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => bound.env(name, value),
            None => bound.env_remove(name),
        };
    }
    bound
}

/// Runs a program that must end with this exit code.
fn run(command: &mut Command, code: i32) -> Took {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let mut child = command.spawn().expect("a program that can be run");
    let wall = await_end(&child, start);
    let cpu = fs::read_to_string(format!("/proc/{}/schedstat", child.id())).expect("/proc");
    let status = child.wait().expect("a child to wait for");
    assert_eq!(status.code(), Some(code), "{command:?}");
    let nanos = cpu.split_whitespace().next().and_then(|nanos| nanos.parse().ok());
    Took { cpu: Duration::from_nanos(nanos.expect("nanoseconds")), wall }
}

/// Waits until a process has ended, and leaves what is known of it.
fn await_end(child: &Child, start: Instant) -> Duration {
    let stat = format!("/proc/{}/stat", child.id());
    loop {
        let text = fs::read_to_string(&stat).expect("a child that nobody has waited for");
        let state = text.rsplit_once(") ").map(|(_, rest)| rest.as_bytes());
        if state.is_some_and(|state| state.starts_with(b"Z")) {
            return start.elapsed();
        }
        thread::sleep(Duration::from_micros(500));
    }
}

/// What several programs take, run in turn; all run once before it counts. Each must end with code 0.
fn all_in_turn<const N: usize>(rounds: usize, mut commands: [Command; N]) -> [Vec<Took>; N] {
    let mut all: [Vec<Took>; N] = std::array::from_fn(|_| Vec::new());
    for round in 0..=rounds {
        for (command, took) in commands.iter_mut().zip(&mut all) {
            let this = run(command, 0);
            if round > 0 {
                took.push(this);
            }
        }
    }
    all
}

/// The medians of what several programs take of a core, run in turn.
pub fn in_turn<const N: usize>(rounds: usize, commands: [Command; N]) -> [Duration; N] {
    all_in_turn(rounds, commands).map(|took| middle(took.iter().map(|took| took.cpu).collect()))
}

/// The shortest times from start to end of several programs, run in turn: where several cores are needed, other work on
/// them is not told apart, and the best of many rounds had the least of it.
pub fn best_in_turn<const N: usize>(rounds: usize, commands: [Command; N]) -> [Duration; N] {
    all_in_turn(rounds, commands).map(|took| took.iter().map(|took| took.wall).min().unwrap_or_default())
}

/// What a program prints, if it is there and ends well.
pub fn printed(command: &mut Command) -> Option<String> {
    let Output { status, stdout, stderr } = command.output().ok()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    status.success().then(|| text(&stdout) + &text(&stderr))
}

/// `cat FILE…`.
pub fn cat<'f>(files: impl IntoIterator<Item = &'f Path>) -> Command {
    let mut cat = Command::new("cat");
    cat.args(files);
    cat
}
