//! A job that is killed again and again, at any moment, and started from its latest checkpoint each time, writes every
//! record exactly once.

use super::jobs::{Place, location, ms};
use super::support::command;
use chkctl::runtime::SequenceSource;
use chkctl::storage::LocalStorage;
use chkctl::survey::inventory::Inventory;
use chkctl::survey::resolve::PathMaps;
use chkctl::survey::{Catalog, Judge, Silent, Verdict};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How often the job is killed.
const KILLS: u32 = 200;

/// The numbers whose words a job counts.
const NUMBERS: i64 = 12_000;

const DIRECTORY: &str = "CHKCTL_TEST_JOB";
const SNAPSHOT: &str = "CHKCTL_TEST_SNAPSHOT";

fn words(number: i64) -> [String; 2] {
    [format!("word-{}", number % 97), format!("name-{}", number % 13)]
}

/// The job, in a process of its own: this test binary, told to run only this.
#[test]
#[ignore = "is run and killed by another test"]
fn the_job_that_is_killed() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let place = Place::at(Path::new(&directory));
    let environment = place.environment();
    environment.parallelism(2).checkpoints(|config| config.in_line_threshold = 0);
    if let Some(snapshot) = std::env::var_os(SNAPSHOT) {
        environment.restore_from(location(Path::new(&snapshot)));
    }
    let slow = |number: i64| {
        if number % 64 == 0 {
            std::thread::sleep(ms(1));
        }
        number
    };
    environment
        .source("Numbers", SequenceSource::new(0, NUMBERS, slow))
        .uid("source")
        .flat_map(|number, out| words(number).into_iter().try_for_each(|word| out.collect((word, 1_i64))))
        .key_by(|(word, _)| word.clone())
        .sum(|(_, count)| count)
        .uid("count")
        .sink_to_files(place.sink())
        .uid("sink");
    environment.execute("killed").expect("it finishes");
}

/// Random numbers that can be had again (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn start(place: &Place, snapshot: Option<&Path>) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args(["--exact", "suite::runtime_kill::the_job_that_is_killed", "--ignored", "--nocapture"]);
    command.env(DIRECTORY, &place.dir).env_remove(SNAPSHOT).env("SHOW_LOG", "1");
    if let Some(snapshot) = snapshot {
        command.env(SNAPSHOT, snapshot);
    }
    let said = File::create(place.dir.join("said")).expect("a file");
    command.stdin(Stdio::null()).stdout(said.try_clone().expect("a file")).stderr(said);
    command.spawn().expect("it starts")
}

/// What `chkctl latest` says, found with the library.
fn latest(place: &Place) -> Option<PathBuf> {
    let root = place.checkpoints();
    let catalog = Catalog::scan(&LocalStorage, &[location(&root)]).ok()?;
    let inventory = Inventory::shared(&LocalStorage);
    let maps = PathMaps::default();
    let judge = Judge { inventory, maps, progress: &Silent, neighbours: Vec::new(), keep_files: false };
    let mut reports = catalog.snapshots.iter().map(|snapshot| judge.judge(snapshot));
    reports.find(|report| report.verdict == Verdict::Restorable).map(|report| PathBuf::from(report.path.to_string()))
}

fn check_output(place: &Place) {
    let mut expected: BTreeMap<String, i64> = BTreeMap::new();
    (0..NUMBERS).flat_map(words).for_each(|word| *expected.entry(word).or_insert(0) += 1);
    let mut found: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for line in place.output() {
        let inner = line.strip_prefix('(').and_then(|line| line.strip_suffix(')'));
        let (word, count) = inner.and_then(|line| line.split_once(',')).expect("a whole line");
        found.entry(word.to_owned()).or_default().push(count.parse().expect("a number"));
    }
    assert_eq!(found.len(), expected.len());
    for (word, mut counts) in found {
        counts.sort_unstable();
        assert!(
            counts.iter().copied().eq(1..=expected[&word]),
            "{word}: {} lines for {}",
            counts.len(),
            expected[&word]
        );
    }
    assert!(place.uncommitted().is_empty(), "{:?}", place.uncommitted());
}

fn said(place: &Place) -> String {
    std::fs::read_to_string(place.dir.join("said")).unwrap_or_default()
}

/// Waits for the end of the job, or kills it after a while; says whether it had finished. One that is killed when all is
/// done, and its checkpoints are being removed, is not to be started again.
fn finished(job: &mut Child, after: Option<Duration>, place: &Place) -> bool {
    if let Some(after) = after {
        std::thread::sleep(after);
        if job.try_wait().expect("a state").is_none() {
            job.kill().expect("killed");
            job.wait().expect("its end");
            let done = said(place).contains("switched from state RUNNING to FINISHED.");
            if done {
                println!("killed when all was done");
            }
            return done;
        }
    }
    let (status, said) = (job.wait().expect("its end"), said(place));
    assert!(status.success(), "the job failed by itself: {said}");
    true
}

#[test]
fn a_job_that_is_killed_at_any_moment_writes_every_record_exactly_once() {
    let now = || u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_nanos()).unwrap_or(1);
    let seed = std::env::var("KILL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(now).max(1);
    println!("KILL_SEED={seed}");
    let mut random = Random(seed);
    let (mut kills, mut rounds, mut resumed) = (0, 0, 0);
    while kills < KILLS {
        rounds += 1;
        let place = Place::new();
        loop {
            let snapshot = latest(&place);
            resumed += u32::from(snapshot.is_some());
            let mut job = start(&place, snapshot.as_deref());
            // Short ones hit the start and the restore, long ones all that comes after.
            let longest = [15, 60, 120][usize::try_from(random.below(3)).expect("small")];
            let after = Duration::from_micros(random.below(longest * 1000));
            if finished(&mut job, (kills < KILLS).then_some(after), &place) {
                break;
            }
            kills += 1;
            if kills % 10 == 0 {
                place.verify();
            }
            if kills % 50 == 0
                && let Some(path) = latest(&place)
            {
                let said = command().arg("latest").arg(place.checkpoints()).output().expect("it runs");
                assert_eq!(String::from_utf8_lossy(&said.stdout).trim(), path.to_string_lossy());
            }
        }
        check_output(&place);
    }
    println!("{kills} kills, {rounds} jobs to their ends, {resumed} starts from a checkpoint");
    assert!(resumed > KILLS / 4, "most starts are from a checkpoint: {resumed}");
}
