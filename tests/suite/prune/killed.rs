//! The command, killed again and again while it prunes a tree on disk: nothing is damaged, the next one finishes at once
//! though the lock of the dead one is there, and everything can be brought back.

use super::super::support::command;
use super::sweep::dead;
use super::tree::{Drawn, Made, NOW, OLD, Random, Store, keep_last};
use super::whole::{Run, content, files_of, roots};
use chkctl::model::Location;
use chkctl::storage::LocalStorage;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, SystemTime};

/// How often it is killed.
const KILLS: usize = 200;

/// A tree on disk.
struct Place {
    drawn: Drawn,
    made: Made,
    roots: Vec<Location>,
    /// How far the times of a drawing are ahead of ours, in seconds.
    ahead: i64,
}

/// Files with their content and time, and directories.
type Found = BTreeMap<String, (Vec<u8>, Option<SystemTime>)>;

impl Place {
    fn new(drawn: Drawn) -> Self {
        // What is made durable there costs nothing, and a process that is killed takes nothing with it.
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let dir = dir.expect("a directory");
        let base = fs::canonicalize(dir.path()).expect("a path").to_str().expect("UTF-8").to_owned();
        let made = Made { base, store: Store::Disk(dir) };
        for root in ["ck", "sp"] {
            fs::create_dir(made.path(root)).expect("a directory");
        }
        let roots = roots(&LocalStorage, &[made.at("ck"), made.at("sp")]);
        let place = Place { drawn, made, roots, ahead: NOW - Timestamp::now().as_second() };
        place.fill();
        place
    }

    /// Makes what is missing, and sets all times as drawn: before the time that it is now.
    fn fill(&self) {
        for dir in self.drawn.all_dirs() {
            fs::create_dir_all(self.made.path(&dir)).expect("a directory");
        }
        let metadata = self.drawn.snapshots.iter().map(|snapshot| {
            let bytes = self.drawn.metadata(snapshot, &self.made.base);
            (format!("{}/_metadata", snapshot.dir), bytes, snapshot.age)
        });
        let files = self.drawn.files.iter().map(|(path, (size, age))| (path.clone(), content(path, *size), *age));
        for (path, bytes, age) in metadata.chain(files) {
            if fs::read(self.made.path(&path)).ok().as_ref() != Some(&bytes) {
                fs::write(self.made.path(&path), bytes).expect("a file");
            }
            self.made.set_age(&path, age + self.ahead);
        }
        for dir in self.drawn.all_dirs() {
            self.made.set_age(&dir, self.drawn.dirs.get(&dir).copied().unwrap_or(OLD) + self.ahead);
        }
    }

    /// What is there besides what is chkctl's own.
    fn found(&self) -> Found {
        let mut found = Found::new();
        for entry in walkdir::WalkDir::new(&self.made.base).into_iter().filter_entry(|e| e.file_name() != ".chkctl") {
            // What a running prune has just moved.
            let Ok(entry) = entry else { continue };
            let path = entry.path().strip_prefix(&self.made.base).expect("below").to_str().expect("UTF-8").to_owned();
            if entry.file_type().is_dir() {
                found.insert(format!("{path}/"), (Vec::new(), None));
            } else if let (Ok(bytes), Ok(about)) = (fs::read(entry.path()), entry.metadata()) {
                found.insert(path, (bytes, about.modified().ok()));
            }
        }
        found
    }

    fn names(&self) -> usize {
        let all = walkdir::WalkDir::new(&self.made.base).into_iter().filter_entry(|e| e.file_name() != ".chkctl");
        all.filter(Result::is_ok).count()
    }

    fn command(&self, more: &[&str]) -> Command {
        let mut command = command();
        command.arg("prune").args([self.made.path("ck"), self.made.path("sp")]);
        command.args(["--keep-last", "1", "--max-delete-percent", "100", "--apply"]).args(more);
        command.stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    fn prune(&self, more: &[&str], when: &str) {
        let output = self.command(more).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        if more.contains(&"--resume") && said.contains("no run below the roots was interrupted") {
            let more: Vec<&str> = more.iter().copied().filter(|arg| *arg != "--resume").collect();
            return self.prune(&more, when);
        }
        assert_eq!(output.status.code(), Some(0), "{when}: {said}");
    }

    fn undelete(&self, when: &str) {
        let run = Run {
            storage: &LocalStorage,
            clock: &Timestamp::now,
            roots: &self.roots,
            options: &keep_last(1),
            instant: false,
            planned: &|_| {},
            looks: &|| {},
        };
        for restored in run.undelete_all().unwrap_or_else(|error| panic!("{when}: {error}")) {
            assert!(restored.failed.is_empty() && restored.held_back.is_empty(), "{when}: {restored:?}");
        }
    }

    /// Every snapshot that is there has all its files.
    fn whole(&self, found: &Found, original: &Found, when: &str) {
        for snapshot in &self.drawn.snapshots {
            if found.contains_key(&format!("{}/_metadata", snapshot.dir)) {
                for file in files_of(snapshot) {
                    assert_eq!(found.get(file), original.get(file), "{when}: {} refers to {file}", snapshot.dir);
                }
            }
        }
    }
}

fn kill(mut child: Child) {
    child.kill().expect("killed");
    child.wait().expect("its end");
}

/// Lets it run until so many names are gone, and a little longer.
fn wait_for(place: &Place, child: &mut Child, left: usize, longer: Duration) {
    while place.names() > left && child.try_wait().expect("a state").is_none() {
        sleep(Duration::from_micros(500));
    }
    sleep(longer);
}

fn same(found: &Found, wanted: &Found, when: &str) {
    let differ = |a: &Found, b: &Found| -> Vec<String> {
        a.iter().filter(|(path, file)| b.get(*path) != Some(*file)).map(|(path, _)| path.clone()).collect()
    };
    let (missing, more) = (differ(wanted, found), differ(found, wanted));
    assert!(missing.is_empty() && more.is_empty(), "{when}: missing or changed {missing:#?}, there are {more:#?}");
}

#[test]
fn a_prune_that_is_killed_200_times_is_finished_by_the_next_each_time_and_can_be_undone() {
    let place = Place::new(dead());
    let original = place.found();
    place.prune(&[], "undisturbed");
    let pruned = place.found();
    place.whole(&pruned, &original, "undisturbed");
    place.undelete("undisturbed");
    same(&place.found(), &original, "undisturbed, brought back");
    let going = original.len() - pruned.len();
    let mut random = Random(0x6b69_6c6c);
    let mut cut_short = 0;
    for round in 0..KILLS {
        let instant = random.percent(15);
        let when = format!("kill {round}{}", if instant { ", at once" } else { "" });
        place.fill();
        let how: &[&str] = if instant { &["--instant"] } else { &[] };
        let mut killed = place.command(&["--max-per-second", "400"]);
        let quiet = killed.args(how).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = quiet.spawn().expect("it starts");
        if random.percent(20) {
            sleep(Duration::from_micros(random.below(60_000) as u64));
        } else {
            let gone = random.below(going + 1);
            let longer = Duration::from_micros(random.below(3_000) as u64);
            wait_for(&place, &mut child, original.len() - gone, longer);
        }
        kill(child);
        let found = place.found();
        cut_short += usize::from(found.len() < original.len() && found.len() > pruned.len());
        place.whole(&found, &original, &when);
        if instant || random.percent(70) {
            let resume: &[&str] = if random.percent(30) { &["--resume"] } else { &[] };
            place.prune(&[how, resume].concat(), &when);
            same(&place.found(), &pruned, &when);
        }
        if !instant {
            place.undelete(&when);
            same(&place.found(), &original, &format!("{when}, brought back"));
        }
    }
    println!("{cut_short} of {KILLS} kills came between the first name and the last of {going}");
}
