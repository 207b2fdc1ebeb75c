//! Random trees and random options: the plan is that of a slow model, and holds what a plan has to hold whatever the model
//! says. The seed of a case that fails is in the message.

use super::model::{Ask, Model, TIMEOUT, above, is_below, is_flinks, name};
use super::tree::{Drawing, Drawn, HOUR, Made, OLD, Random, Ref, keep_last};
use chkctl::plan::{Phase, Plan};
use chkctl::prune::Options;
use chkctl::prune::options::GroupBy;
use chkctl::retention::Span;
use jiff::SignedDuration;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Cases in memory.
const CASES: u64 = 500;
/// Every so many are made on disk as well.
const ON_DISK: u64 = 25;

/// Draws a tree.
struct Draw {
    random: Random,
    drawn: Drawn,
    roots: Vec<&'static str>,
    grace: i64,
    /// Files that snapshots may refer to.
    pool: Vec<String>,
    jobs: Vec<String>,
}

impl Draw {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let grace = *random.one(&[24 * HOUR, 24 * HOUR, 48 * HOUR, 2 * TIMEOUT]);
        let roots: &[&[&str]] = &[&["all"], &["all/ck", "all/sp", "all/dstl"], &["all/ck", "all/sp"], &["all/ck"]];
        let roots = random.one(roots).to_vec();
        let mut draw = Draw { random, drawn: Drawn::default(), roots, grace, pool: Vec::new(), jobs: Vec::new() };
        draw.drawn.dirs.extend(["all/ck", "all/sp", "all/dstl"].map(|dir| (dir.to_owned(), OLD)));
        draw.files();
        draw.savepoints();
        draw.checkpoints();
        draw.oddities();
        draw
    }

    /// An age around the grace; of the very grace now and then.
    fn age(&mut self, dead: bool) -> i64 {
        let more = self.random.below(60) as i64 * HOUR / 2;
        match self.random.below(100) {
            0..8 => self.grace,
            8..10 => self.grace - 1,
            10..11 => -HOUR,
            11..50 if !dead => more / 4,
            _ => self.grace + more,
        }
    }

    fn size(&mut self) -> u64 {
        2 + self.random.below(40) as u64
    }

    fn state_file(&mut self, dir: &str, dead: bool) {
        let (name, size) = (self.random.uuid(), self.size());
        let age =
            if self.random.percent(97) && dead { OLD - self.random.below(900) as i64 * HOUR } else { self.age(dead) };
        let path = self.drawn.file(format!("{dir}/{name}"), size, age);
        self.pool.push(path);
    }

    fn some_files(&mut self, dir: &str, most: usize, dead: bool) {
        let age = self.age(dead);
        self.drawn.dirs.insert(dir.to_owned(), age);
        (0..self.random.below(most + 1)).for_each(|_| self.state_file(dir, dead));
    }

    /// Jobs, and the files of each but for those of checkpoints.
    fn files(&mut self) {
        for number in 0..1 + self.random.below(3) {
            let id = self.random.hex(32);
            let home =
                if number == 2 && self.random.percent(50) { "all/ck/flat".to_owned() } else { format!("all/ck/{id}") };
            let dead = self.random.percent(75);
            self.jobs.push(home.clone());
            self.drawn.dirs.insert(home.clone(), OLD);
            self.some_files(&format!("{home}/shared"), 7, dead);
            self.some_files(&format!("{home}/taskowned"), 2, dead);
            if self.random.percent(30) {
                let (operator, tm) = (self.random.hex(32), self.random.hex(4));
                self.some_files(&format!("{home}/shared/job_{id}_op_{operator}_0_1"), 3, dead);
                self.some_files(&format!("{home}/taskowned/job_{id}_tm_{tm}"), 2, dead);
            }
            if self.random.percent(15) {
                self.some_files(&format!("{home}/shared/op_Window_1/db"), 3, dead);
            }
            if self.random.percent(25) {
                self.some_files(&format!("all/dstl/{id}/dstl"), 3, dead);
            }
            for _ in 0..self.random.below(3) {
                let number = self.random.below(12);
                self.some_files(&format!("{home}/chk-{number}"), 2, dead);
            }
        }
    }

    fn savepoints(&mut self) {
        for _ in 0..self.random.below(4) {
            let job = name(&self.jobs[self.random.below(self.jobs.len())]).to_owned();
            let job = if job.len() == 32 { job[..6].to_owned() } else { self.random.hex(6) };
            let dir = format!("all/sp/savepoint-{job}-{}", self.random.hex(12));
            self.some_files(&dir, 3, true);
            if self.random.percent(80) {
                let refs = self.own(&dir);
                let (id, age, pinned) = (self.random.below(30) as i64, self.age(true), self.random.percent(8));
                self.drawn.snapshots.push(Drawing { dir, id, age, refs, pinned });
            }
        }
    }

    /// References to most of the files in a directory.
    fn own(&mut self, dir: &str) -> Vec<Ref> {
        let files: Vec<String> = self.pool.iter().filter(|path| above(path) == dir).cloned().collect();
        files.into_iter().filter(|_| self.random.percent(90)).map(Ref::File).collect()
    }

    fn checkpoints(&mut self) {
        for home in self.jobs.clone() {
            for _ in 0..self.random.below(5) {
                let number = self.random.below(14);
                let dir = format!("{home}/chk-{number}");
                if self.drawn.snapshots.iter().any(|snapshot| snapshot.dir == dir) {
                    continue;
                }
                self.some_files(&dir, 2, true);
                let mut refs = self.own(&dir);
                refs.extend(self.others(&home));
                let age =
                    if self.random.percent(10) { 3 * self.grace } else { self.age(true) + HOUR * (14 - number as i64) };
                let pinned = self.random.percent(8);
                self.drawn.snapshots.push(Drawing { dir, id: number as i64, age, refs, pinned });
            }
        }
    }

    /// References out of a checkpoint's own directory.
    fn others(&mut self, home: &str) -> Vec<Ref> {
        let mut refs = Vec::new();
        let shared = format!("{home}/shared");
        for path in self.pool.clone() {
            let percent = match () {
                () if above(&path) == shared => 35,
                () if is_below(&path, home) && !above(&path).contains("/chk-") => 20,
                () if above(&path).ends_with("/shared") || path.starts_with("all/sp") => 7,
                () => 2,
            };
            if !self.random.percent(percent) {
                continue;
            }
            refs.push(match self.random.below(40) {
                // The file of this name, by a path that is not known here.
                0 => Ref::Raw(format!("/elsewhere/{}", name(&path)), 5),
                1 => Ref::Relative(format!("../nowhere/{}", name(&path)), 5),
                2..10 if path.contains("/job_") => Ref::Segment(path),
                _ => Ref::File(path),
            });
        }
        if self.random.percent(8) {
            refs.push(Ref::File(format!("{shared}/{}", self.random.uuid())));
        }
        if self.random.percent(10) {
            let dirs: Vec<String> = self.drawn.dirs.keys().filter(|dir| dir.contains("/job_")).cloned().collect();
            if !dirs.is_empty() {
                let dir = |random: &mut Random| random.one(&dirs).clone();
                refs.push(Ref::Directories(dir(&mut self.random), dir(&mut self.random)));
            }
        }
        refs
    }

    /// What Flink did not write, and what lies where nobody looks.
    fn oddities(&mut self) {
        let places: Vec<String> = self.drawn.all_dirs().into_iter().filter(|dir| is_below(dir, "all")).collect();
        for _ in 0..self.random.below(4) {
            let dir = self.random.one(&places).clone();
            let uuid = self.random.uuid();
            let name = match self.random.below(8) {
                0 => format!("._metadata.inprogress.{uuid}"),
                1 => format!(".{}.inprogress.{uuid}", self.random.uuid()),
                2 => uuid,
                3 => uuid.to_uppercase(),
                4 => format!("unknown/{uuid}"),
                5 => format!("{uuid}.bak"),
                6 => "notes.txt".to_owned(),
                _ => "line\nbreak".to_owned(),
            };
            let age = if self.random.percent(80) { OLD } else { self.age(false) };
            self.drawn.file(format!("{dir}/{name}"), 3, age);
        }
        if self.random.percent(20) && !self.pool.is_empty() {
            // A copy of a file.
            let copied: String = self.pool[self.random.below(self.pool.len())].clone();
            let (home, (size, _)) = (self.random.one(&self.jobs).clone(), self.drawn.files[&copied]);
            self.drawn.file(format!("{home}/shared/{}", name(&copied)), size, OLD);
        }
        if self.random.percent(30) {
            // A job in a place where no survey looks for snapshots.
            let inside = match self.random.below(4) {
                0 => "all/ck/.hidden".to_owned(),
                1 => "all/ck/lost+found".to_owned(),
                2 => format!("{}/shared/backup", self.jobs[0]),
                _ => format!("all/sp/savepoint-abcdef-{}", self.random.hex(12)),
            };
            let home = format!("{inside}/{}", self.random.hex(32));
            self.some_files(&format!("{home}/shared"), 3, true);
            let dir = format!("{home}/chk-1");
            let refs = self.others(&home);
            self.drawn.snapshots.push(Drawing { dir, id: 1, age: OLD, refs, pinned: false });
        }
    }

    fn ask(&mut self) -> Ask {
        let random = &mut self.random;
        Ask {
            last: 1 + random.below(3),
            within: random.percent(25).then(|| 1 + random.below(40) as i64),
            group_by: ["job", "job", "root", "none"][random.below(4)],
            grace: self.grace,
            live: random.percent(30),
            taskowned: random.percent(40),
            dstl: random.percent(40),
            verify: random.percent(85),
        }
    }
}

fn options(ask: &Ask) -> Options {
    let mut options = keep_last(ask.last as u32);
    options.policy.within = ask.within.map(|hours| format!("{hours}h").parse::<Span>().expect("a span"));
    options.group_by = match ask.group_by {
        "job" => GroupBy::Job,
        "root" => GroupBy::Root,
        _ => GroupBy::None,
    };
    options.grace = SignedDuration::from_secs(ask.grace);
    options.checkpoint_timeout = SignedDuration::from_secs(TIMEOUT);
    (options.live, options.taskowned, options.changelog) = (ask.live, ask.taskowned, ask.dstl);
    options.verify = ask.verify;
    options
}

/// Tries something with many seeds, and says with which it fails.
fn with_seeds(seeds: impl Iterator<Item = u64>, case: impl Fn(u64)) {
    for seed in seeds {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| case(seed))) {
            eprintln!("the seed is {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn plans_are_those_of_a_slow_model() {
    with_seeds(0..CASES, |seed| {
        let mut draw = Draw::new(seed);
        let ask = draw.ask();
        let Draw { drawn, roots, .. } = draw;
        let model = Model::new(&drawn, &roots, &ask);
        let mut trees = vec![Made::in_memory(&drawn)];
        if seed % ON_DISK == 0 {
            trees.push(Made::on_disk(&drawn));
        }
        for made in trees {
            let plan = made.prepare(&roots, &options(&ask)).plan;
            compare(&model, &made, &plan, &format!("seed {seed}, {roots:?}, {ask:?}"));
            holds(&drawn, &roots, &model, &made, &plan, &ask);
            assert!(plan == made.prepare(&roots, &options(&ask)).plan, "the same tree gives the same plan");
        }
    });
}

fn compare(model: &Model<'_>, made: &Made, plan: &Plan, what: &str) {
    assert!(!plan.blocked, "{what}: {:?}", plan.refused);
    let wanted = model.wanted();
    let keep: BTreeSet<String> = plan.keep.iter().map(|kept| made.relative(&kept.path)).collect();
    let remove: BTreeSet<String> = plan.remove.iter().map(|removed| made.relative(&removed.path)).collect();
    assert_eq!(keep, wanted.keep, "{what}: snapshots that stay");
    assert_eq!(remove, wanted.remove, "{what}: snapshots that go");
    let steps: BTreeMap<String, Phase> = made.steps(plan).into_iter().map(|(phase, path)| (path, phase)).collect();
    let only = |a: &BTreeMap<String, Phase>, b: &BTreeMap<String, Phase>| -> Vec<String> {
        a.iter()
            .filter(|(path, phase)| b.get(*path) != Some(phase))
            .map(|(path, phase)| format!("{phase:?} {path}"))
            .collect()
    };
    let (more, less) = (only(&steps, &wanted.steps), only(&wanted.steps, &steps));
    assert!(more.is_empty() && less.is_empty(), "{what}\nonly in the plan: {more:#?}\nonly in the model: {less:#?}");
}

/// What holds of every plan, by the tree alone.
fn holds(drawn: &Drawn, roots: &[&str], model: &Model<'_>, made: &Made, plan: &Plan, ask: &Ask) {
    let steps = made.steps(plan);
    let phases: Vec<Phase> = steps.iter().map(|(phase, _)| *phase).collect();
    assert!(phases.is_sorted(), "phases come one after the other");
    let gone: BTreeSet<String> = steps.iter().map(|(_, path)| path.clone()).collect();
    assert_eq!(gone.len(), steps.len(), "nothing goes twice");
    let kept: BTreeSet<String> = plan.keep.iter().map(|kept| made.relative(&kept.path)).collect();
    let mut left = Drawn { files: drawn.files.clone(), ..Drawn::default() };
    left.files.retain(|path, _| !gone.contains(path));

    for snapshot in drawn.snapshots.iter().filter(|snapshot| kept.contains(&snapshot.dir)) {
        assert!(!gone.contains(&format!("{}/_metadata", snapshot.dir)));
        for reference in &snapshot.refs {
            if let Ref::File(path) | Ref::Segment(path) = reference {
                assert!(!gone.contains(path), "{} stays and refers to {path}", snapshot.dir);
            }
        }
    }
    for snapshot in drawn.snapshots.iter().filter(|snapshot| snapshot.pinned) {
        let in_root = roots.iter().any(|root| is_below(&snapshot.dir, root));
        assert!(!in_root || kept.contains(&snapshot.dir), "{} is pinned", snapshot.dir);
    }
    for path in model.marked() {
        assert!(!gone.contains(path), "{path} is marked");
    }

    let mut dirs: BTreeSet<String> = drawn.all_dirs();
    let (mut files, mut bytes, mut directories) = (0, 0, 0);
    for (phase, path) in &steps {
        assert!(roots.iter().any(|root| is_below(path, root) && path != root), "{path} is not below a root");
        match phase {
            Phase::Directory => {
                directories += 1;
                let inside = |other: &String| above(other) == path;
                assert!(!left.files.keys().any(inside) && !dirs.iter().any(inside), "{path} is not empty");
                assert!(dirs.remove(path), "{path} is a directory");
            }
            Phase::Metadata => {
                assert_eq!(name(path), "_metadata");
                files += 1;
                let snapshot = drawn.snapshots.iter().find(|s| s.dir == above(path)).expect("a snapshot");
                bytes += drawn.metadata(snapshot, &made.base).len() as u64;
            }
            Phase::Exclusive | Phase::Shared => {
                assert!(is_flinks(path), "{path} is foreign");
                let (size, age) = drawn.files[path];
                files += 1;
                bytes += size;
                assert!(*phase == Phase::Exclusive || age >= ask.grace, "{path} is young");
            }
        }
    }
    let totals = plan.totals;
    assert_eq!((totals.files, totals.bytes, totals.directories), (files, bytes, directories), "totals");
    assert_eq!((totals.keep, totals.remove), (plan.keep.len() as u64, plan.remove.len() as u64));
    assert_eq!(totals.orphans, plan.orphans.len() as u64);
    let parts = plan.remove.iter().map(|r| r.bytes).chain(plan.orphans.iter().map(|orphan| orphan.bytes));
    assert_eq!(parts.sum::<u64>(), bytes, "every byte is a snapshot's or an orphan's");
}

#[test]
fn what_a_plan_left_the_next_one_leaves_alone() {
    with_seeds(0..CASES / 5, |seed| {
        let mut draw = Draw::new(seed);
        let ask = Ask { live: false, ..draw.ask() };
        let Draw { drawn, roots, .. } = draw;
        let made = Made::in_memory(&drawn);
        let first = made.prepare(&roots, &options(&ask)).plan;
        let left = drawn.without(&made.going(&first));
        let again = Made::in_memory(&left);
        let second = again.prepare(&roots, &options(&ask)).plan;
        assert!(second.remove.is_empty(), "seed {seed}: {:?}", second.remove);
        // Snapshots that went may have been all that kept a job alive.
        let ages = drawn.files.values().map(|(_, age)| age).chain(drawn.dirs.values());
        let young = ages.chain(drawn.snapshots.iter().map(|snapshot| &snapshot.age)).any(|age| *age < ask.grace);
        assert!(young || second.totals.files == 0, "seed {seed}: {:?}", again.steps(&second));
        for kept in &first.keep {
            assert!(second.keep.iter().any(|other| other.path == kept.path), "seed {seed}: {}", kept.path);
        }
    });
}

#[test]
fn a_brake_stops_exactly_the_plans_that_take_more() {
    with_seeds(0..CASES / 5, |seed| {
        let mut draw = Draw::new(seed);
        let ask = draw.ask();
        let Draw { drawn, roots, .. } = draw;
        let made = Made::in_memory(&drawn);
        let free = made.prepare(&roots, &options(&ask)).plan;
        let (bytes, all) = (free.totals.bytes, free.totals.bytes_below_roots);
        assert!(bytes <= all);
        for percent in [0, 10, 50, 100] {
            let plan = made.prepare(&roots, &Options { max_delete_percent: Some(percent), ..options(&ask) }).plan;
            assert_eq!(plan.blocked, bytes * 100 > all * u64::from(percent), "seed {seed}, {percent} %");
            // Another brake may let the same plan go, when it is carried out from a file.
            assert!(plan.batches == free.batches, "seed {seed}: the steps are the same");
            assert_eq!(plan.totals, free.totals, "what would go is said all the same");
        }
        for most in [bytes, bytes.saturating_sub(1)] {
            let plan = made.prepare(&roots, &Options { max_delete_bytes: Some(most), ..options(&ask) }).plan;
            assert_eq!(plan.blocked, bytes > most, "seed {seed}, {most} bytes");
        }
    });
}

#[test]
fn the_random_trees_have_everything_in_them() {
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    for seed in 0..CASES / 5 {
        let mut draw = Draw::new(seed);
        let ask = draw.ask();
        let Draw { drawn, roots, .. } = draw;
        let made = Made::in_memory(&drawn);
        let plan = made.prepare(&roots, &options(&ask)).plan;
        let mut note = |what, happened: bool| *seen.entry(what).or_default() += u32::from(happened);
        note("snapshots go", !plan.remove.is_empty());
        note("orphans go", !plan.orphans.is_empty());
        note("directories go", plan.totals.directories > 0);
        note("jobs are alive", plan.refused.iter().any(|refused| refused.code == "job-alive"));
        note("checkpoints are in progress", plan.refused.iter().any(|refused| refused.code == "in-progress"));
        note("files are foreign", plan.refused.iter().any(|refused| refused.code == "foreign"));
        note("other snapshots use exclusive files", plan.refused.iter().any(|refused| refused.code == "in-use"));
        note("broken ones go", plan.remove.iter().any(|removed| removed.reasons.iter().any(|r| r.contains("broken"))));
        note("--live sweeps", ask.live && plan.orphans.iter().any(|orphan| orphan.path.path().contains("/shared/")));
    }
    let rare: Vec<_> = seen.iter().filter(|(_, count)| **count < 5).collect();
    assert!(rare.is_empty(), "hardly ever happens: {rare:?} of {seen:?}");
}
