//! Times and peak memory of functions and of processes.
//!
//! What is compared is measured in turn, so that a busy moment of the machine hits both sides, and medians are
//! quoted, so that it does not matter. The first run of everything is not counted.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The line of `/proc/PID/status` with the most memory that a process has had.
const PEAK: &str = "VmHWM:";

/// The median time of `rounds` runs.
pub fn median(rounds: usize, mut run: impl FnMut() -> Duration) -> Duration {
    run();
    middle((0..rounds).map(|_| run()).collect())
}

/// The median times of two things, measured in turn.
pub fn in_turn(
    rounds: usize,
    mut ours: impl FnMut() -> Duration,
    mut theirs: impl FnMut() -> Duration,
) -> (Duration, Duration) {
    ours();
    theirs();
    let (ours, theirs) = (0..rounds).map(|_| (ours(), theirs())).unzip();
    (middle(ours), middle(theirs))
}

/// The one in the middle.
pub fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// The time that a function takes; what it gives is dropped after the clock has stopped.
pub fn timed<T>(run: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    let result = std::hint::black_box(run());
    let time = start.elapsed();
    drop(result);
    time
}

/// The binary, with nothing of the environment that changes what it does.
pub fn chkctl(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chkctl"));
    command.args(args).env_remove("FLINK_CONF_DIR").env_remove("NO_COLOR");
    command
}

/// The time from the start of a process to its end, which must be with this exit code.
pub fn process(command: &mut Command, code: i32) -> Duration {
    silence(command);
    let start = Instant::now();
    let status = command.status().expect("a program that can be run");
    let time = start.elapsed();
    assert_eq!(status.code(), Some(code), "{command:?}");
    time
}

/// The peak memory in bytes of a process, which must end with this exit code.
pub fn peak_of(command: &mut Command, code: i32) -> u64 {
    silence(command);
    let mut child = command.spawn().expect("a program that can be run");
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        // The number only grows, and is gone when the process is: the last one seen is taken.
        peak = fs::read_to_string(&status).map_or(peak, |text| peak_in(&text).max(peak));
        if let Some(status) = child.try_wait().expect("a child to wait for") {
            assert_eq!(status.code(), Some(code), "{command:?}");
            return peak;
        }
        thread::sleep(Duration::from_micros(500));
    }
}

/// The peak memory in bytes of this process so far; 0 where the system does not say.
pub fn own_peak() -> u64 {
    fs::read_to_string("/proc/self/status").map_or(0, |text| peak_in(&text))
}

fn peak_in(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(PEAK));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0) * 1024
}

fn silence(command: &mut Command) {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
}
