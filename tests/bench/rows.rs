//! The rows of the table: what is measured of ours and of Flink, and what the goals are.

use crate::harness::{Harness, numbers};
use crate::keys::{Checkpoint, Keys, Mode, Restore, Watched};
use crate::options::Options;
use crate::recovery::Recovery;
use crate::table::{Results, megabytes, times};
use crate::words::{LINE, LONGER, Words};
use crate::{child, job};
use serde_json::Value;
use tempfile::TempDir;

/// What Flink calls the compression of its checkpoints.
const COMPRESSION: &str = "conf.execution.checkpointing.snapshot-compression=true";

/// More records per second than a source of the harness has.
const FLINK_FULL: u64 = 1_000_000_000;

/// Where the state of the jobs is large, Flink's heap.
const LARGE_HEAP: &str = "6g";

/// What rows share.
pub struct Bench {
    options: Options,
    /// The table.
    pub results: Results,
    _dir: TempDir,
    ours: Option<Keys>,
    /// By [`Variant`].
    theirs: [Option<Result<Value, String>>; 3],
}

/// How Flink's job with many keys runs.
#[derive(Clone, Copy)]
enum Variant {
    /// As it comes.
    Plain,
    /// With compressed checkpoints.
    Compressed,
    /// With records at full speed; nothing is restored.
    Full,
}

/// How often Flink does what takes it long.
const MOST: usize = 3;

impl Bench {
    /// A table without rows.
    pub fn new(mut options: Options) -> Self {
        let dir = tempfile::Builder::new().prefix("chkctl-bench").tempdir_in(&options.dir).expect("a new directory");
        options.dir = dir.path().to_owned();
        Bench { options, results: Results::new(), _dir: dir, ours: None, theirs: [const { None }; 3] }
    }

    /// Ours with many keys, measured once.
    fn keys(&mut self) -> &Keys {
        self.ours.get_or_insert_with(|| child("keys", &self.options))
    }

    /// Flink with as many.
    fn flink_keys(&mut self, variant: Variant) -> Result<Value, String> {
        let Options { keys, rate, rounds, flink, dir, .. } = &self.options;
        let restores = (*rounds).min(MOST);
        let (rate, restores, option) = match variant {
            Variant::Plain => (*rate, restores, ""),
            Variant::Compressed => (*rate, restores, COMPRESSION),
            Variant::Full => (FLINK_FULL, 0, ""),
        };
        let par = job::PARALLELISM;
        let words = format!("keys keys={keys} par={par} rate={rate} rounds={rounds} restores={restores} {option}");
        let measure = || Harness::start(flink, LARGE_HEAP, dir)?.bench(&words);
        self.theirs[variant as usize].get_or_insert_with(measure).clone()
    }

    /// What stands in the table for Flink's numbers, and what of them goes into ratios.
    fn flink(&mut self, theirs: Result<f64, String>, show: impl Fn(f64) -> String) -> (String, Option<f64>) {
        match theirs {
            Ok(number) if number.is_finite() => (format!("Flink: {}", show(number)), Some(number)),
            Ok(_) => ("Flink: no number".to_owned(), None),
            Err(why) => {
                eprintln!("\n*** THE COMPARISON WITH FLINK WAS SKIPPED: {why}\n");
                ("SKIPPED: no Flink".to_owned(), None)
            }
        }
    }

    fn row(&mut self, what: &str, ours: &str, other: &str, ratio: Option<f64>, goal: &str, met: Option<bool>) {
        let ratio = ratio.map_or("-".to_owned(), times);
        self.results.add(what, ours, other, &ratio, goal, met);
    }
}

pub fn words(bench: &mut Bench) {
    let options = bench.options.clone();
    let ours: Words = child("words", &options);
    let theirs = Harness::start(&options.flink, "2g", &options.dir).and_then(|mut flink| {
        let Options { words, vocabulary, rounds, .. } = options;
        let what = |words, runs| format!("words n={words} vocab={vocabulary} par=2 line={LINE} ck=1000 runs={runs}");
        flink.bench(&what(words.div_ceil(4), 2))?;
        let answer = flink.bench(&what(words, rounds.min(MOST)))?;
        Ok(median(numbers(&answer["words_per_s"], "")))
    });
    let with = median(ours.with.clone());
    let show = |speed: f64| format!("{:.2} M/s", speed / 1e6);
    let (shown, theirs) = bench.flink(theirs, show);
    let ratio = theirs.map(|theirs| with / theirs);
    let millions = options.words as f64 / 1e6;
    let what = format!("count {millions} million words, checkpoint each 1 s");
    bench.row(&what, &show(with), &shown, ratio, "at least 10 ×", ratio.map(|ratio| ratio >= 10.0));
    // In pairs that ran one right after the other.
    let (long_with, long_without) = (&ours.long_with, &ours.long_without);
    let cost = median(long_with.iter().zip(long_without).map(|(with, without)| 1.0 - with / without).collect());
    let shown = format!("without: {}", show(median(long_without.clone())));
    let least = ours.checkpoints.iter().min().copied().unwrap_or(0);
    let longer = millions * LONGER as f64;
    let what = format!("... cost of these checkpoints in {longer} million words ({least} or more in a run)");
    let percent = format!("{:.1} %", cost * 100.0);
    bench.row(&what, &percent, &shown, None, "at most 5 %", Some(cost <= 0.05));
}

pub fn recovery(bench: &mut Bench) {
    let mut options = Options { rate: 10_000, ..bench.options.clone() };
    let mut flink = Harness::start(&options.flink, "2g", &options.dir);
    for words in [1_000, 100_000] {
        options.keys = words;
        let Recovery { running, output } = child("recovery", &options);
        let theirs = flink.as_mut().map_err(|why| why.clone()).and_then(|flink| {
            let what = format!("recovery vocab={words} par=2 rate={} rounds=", options.rate);
            flink.bench(&format!("{what}2"))?;
            flink.bench(&format!("{what}{}", options.failures))
        });
        for (what, ours, field) in
            [("all tasks running", running, "to_running_ms"), ("first output", output, "to_first_output_ms")]
        {
            let theirs = theirs.as_ref().map(|answer| median(numbers(&answer[field], ""))).map_err(Clone::clone);
            let (shown, theirs) = bench.flink(theirs, millis);
            let middle = median(ours.clone());
            let text = format!("{}, worst {}", millis(middle), millis(highest(&ours)));
            let (goal, met) = match field {
                "to_running_ms" => ("at most 10 ms", Some(middle <= 10.0)),
                _ => ("-", None),
            };
            let what = format!("exception to {what}, {words} words of state");
            bench.row(&what, &text, &shown, theirs.map(|theirs| theirs / middle), goal, met);
        }
    }
}

pub fn stall(bench: &mut Bench) {
    let keys = bench.options.keys;
    bench.keys();
    let measured = bench.ours.take().expect("it was measured");
    for mode in measured.modes.iter().filter(|mode| mode.rate > 0) {
        let Mode { during, without: quiet, checkpoints, .. } = mode;
        let variant = if mode.rate == job::FULL { Variant::Full } else { Variant::Plain };
        let theirs = bench.flink_keys(variant);
        let gap = |field| theirs.as_ref().map(|t| highest(&numbers(&t["checkpoints"], field))).map_err(Clone::clone);
        let (shown, theirs) = bench.flink(gap("longest_gap_ms"), millis);
        let shown = match gap("longest_gap_without_ms") {
            Ok(without) => format!("{shown}; without: {}", millis(without)),
            Err(_) => shown,
        };
        let what = format!("longest gap of a task during checkpoints of {keys} keys, {}", speed_name(mode));
        let ratio = theirs.map(|theirs| theirs / during.longest);
        let met = |longest: f64| Some(longest <= 5.0);
        bench.row(&what, &millis(during.longest), &shown, ratio, "at most 5 ms", met(during.longest));
        bench.row("... gaps", &tail(during), &format!("without: {}", tail(quiet)), None, "-", None);
        let own = |watched: &Watched| format!("{}, {} over 5 ms", millis(watched.longest_own), watched.over_5_own);
        let what = "... less what the thread waited for a core";
        let other = format!("without: {}", own(quiet));
        bench.row(what, &own(during), &other, None, "at most 5 ms", met(during.longest_own));
        let per_second = |watched: &Watched| watched.records as f64 / watched.seconds;
        let first = median(checkpoints.iter().map(|checkpoint| checkpoint.first_tenth).collect());
        let text = format!("{}/s, first 100 ms: {}/s", thousands(per_second(during)), thousands(first));
        let before = per_second(quiet);
        let ratio = Some(per_second(during) / before).filter(|ratio| ratio.is_finite());
        let other = format!("without: {}/s", thousands(before));
        bench.row("... records that came out", &text, &other, ratio, "-", None);
    }
    bench.ours = Some(measured);
}

pub fn checkpoint(bench: &mut Bench) {
    let keys = bench.options.keys;
    let theirs = bench.flink_keys(Variant::Plain).map(|t| {
        let bytes = numbers(&t["checkpoints"], "bytes");
        let times = numbers(&t["checkpoints"], "end_to_end_ms");
        median(bytes.iter().zip(times).map(|(bytes, ms)| bytes / ms * 1e3).collect())
    });
    let (shown, theirs) = bench.flink(theirs, speed);
    bench.keys();
    let measured = bench.ours.take().expect("it was measured");
    let of = |mode: &Mode, number: fn(&Checkpoint) -> f64| median(mode.checkpoints.iter().map(number).collect());
    let dd = |checkpoint: &Checkpoint| checkpoint.dd.map_or(f64::NAN, |dd| checkpoint.bytes as f64 / dd);
    let raw = measured.modes.first().map_or(f64::NAN, |idle| of(idle, dd));
    for mode in &measured.modes {
        let (name, goal) = (speed_name(mode), if mode.rate == 0 { "at least 0.5 × dd" } else { "-" });
        let written = of(mode, |checkpoint| checkpoint.bytes as f64 / checkpoint.seconds);
        let ratio = written / raw;
        let bytes = of(mode, |checkpoint| checkpoint.bytes as f64);
        let what = format!("write a checkpoint of {keys} keys, {}, {name}", megabytes(bytes as u64));
        let met = (mode.rate == 0).then_some(ratio >= 0.5);
        let took = of(mode, |checkpoint| checkpoint.seconds * 1e3);
        let text = format!("{} ({})", speed(written), millis(took));
        bench.row(&what, &text, &format!("dd: {}", speed(raw)), Some(ratio), goal, met);
        if mode.rate != 0 && mode.rate != job::FULL {
            bench.row("... beside Flink", &speed(written), &shown, theirs.map(|theirs| written / theirs), "-", None);
        }
    }
    bench.ours = Some(measured);
}

pub fn restore(bench: &mut Bench) {
    let path = bench.keys().path.clone();
    let options = Options { path, ..bench.options.clone() };
    let ours: Vec<Restore> = (0..options.rounds).map(|_| child("restore", &options)).collect();
    let of = |number: fn(&Restore) -> f64| median(ours.iter().map(number).collect());
    let running = of(|restore| restore.running * 1e3);
    for (variant, what) in [(Variant::Plain, "Flink as it comes"), (Variant::Compressed, "Flink with compression")] {
        let theirs = bench.flink_keys(variant).map(|t| median(numbers(&t["restores"], "to_running_ms")));
        let (shown, theirs) = bench.flink(theirs, millis);
        let ratio = theirs.map(|theirs| theirs / running);
        let what = format!("restore {} keys until all tasks run, {what}", options.keys);
        let met = ratio.map(|ratio| ratio >= 10.0);
        bench.row(&what, &millis(running), &shown, ratio, "at least 10 × faster", met);
    }
    let theirs = bench.flink_keys(Variant::Plain).map(|t| median(numbers(&t["restores"], "to_first_record_ms")));
    let (shown, theirs) = bench.flink(theirs, millis);
    let output = of(|restore| restore.output * 1e3);
    bench.row("... until the first output", &millis(output), &shown, theirs.map(|t| t / output), "-", None);
    let per_key = |bytes: f64| format!("{:.0} B", bytes / options.keys as f64);
    let text = format!("{}, peak {}", per_key(of(|r| r.resident as f64)), per_key(of(|r| r.peak as f64)));
    bench.row("... memory of that process per key", &text, "-", None, "-", None);
}

pub fn memory(bench: &mut Bench) {
    let keys = bench.options.keys as f64;
    let theirs = bench.flink_keys(Variant::Plain).map(|t| t["heap_bytes_per_key"].as_f64().unwrap_or(f64::NAN));
    let bytes = |bytes: f64| format!("{bytes:.0} B");
    let (shown, theirs) = bench.flink(theirs, bytes);
    bench.keys();
    let measured = bench.ours.take().expect("it was measured");
    let per_key = |resident: u64| resident.saturating_sub(measured.empty) as f64 / keys;
    let full = per_key(measured.full);
    let what = format!("memory per key, {} of them", bench.options.keys);
    bench.row(&what, &bytes(full), &format!("{shown} of heap"), theirs.map(|t| full / t), "-", None);
    for mode in &measured.modes {
        let peak = mode.checkpoints.iter().map(|checkpoint| per_key(checkpoint.peak)).fold(0.0, f64::max);
        bench.row(
            &format!("... peak during checkpoints, {}", speed_name(mode)),
            &bytes(peak),
            "-",
            Some(peak / full),
            "-",
            None,
        );
    }
    bench.row("... peak while the tables grew", &bytes(per_key(measured.fill_peak)), "-", None, "-", None);
    let text = format!("{} keys/s", thousands(keys / measured.fill));
    bench.row("... and how fast they were filled", &text, "-", None, "-", None);
    bench.ours = Some(measured);
}

/// How fast records flow.
fn speed_name(mode: &Mode) -> String {
    match mode.rate {
        0 => "idle".to_owned(),
        job::FULL => "full speed".to_owned(),
        rate => format!("{rate} records/s"),
    }
}

/// Gaps of a time, from the longest down.
fn tail(watched: &Watched) -> String {
    let Watched { longest, over_5, over_1, seconds, .. } = watched;
    format!("longest {}, {over_5} over 5 ms, {over_1} over 1 ms in {seconds:.1} s", millis(*longest))
}

/// The one in the middle; not a number where there is none.
fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

fn highest(numbers: &[f64]) -> f64 {
    numbers.iter().copied().fold(f64::NAN, f64::max)
}

fn millis(millis: f64) -> String {
    match millis {
        1000.0.. => format!("{:.2} s", millis / 1e3),
        100.0.. => format!("{millis:.0} ms"),
        10.0.. => format!("{millis:.1} ms"),
        _ => format!("{millis:.2} ms"),
    }
}

fn speed(bytes_per_second: f64) -> String {
    format!("{:.0} MB/s", bytes_per_second / 1e6)
}

fn thousands(number: f64) -> String {
    format!("{:.0} k", number / 1e3)
}
