//! Plans and what became of them, as text and JSON.

use super::report::{plain_table, table_text};
use super::{Bytes, Escaped};
use crate::change::{EndState, RunSummary};
use crate::model::Location;
use crate::plan::{Kept, Orphan, Phase, Plan, Refused, Removed, Totals};
use crate::prune::safe::Safety;
use crate::survey::Verdict;
use serde::Serialize;
use std::fmt::Write as _;

/// So many lines of one list are shown, unless more are asked for.
const SHOWN: usize = 20;

/// What `prune --json` prints.
#[derive(Debug, Serialize)]
pub struct PruneJson<'p> {
    keep: &'p [Kept],
    remove: &'p [Removed],
    orphans: &'p [Orphan],
    refused: &'p [Refused],
    totals: &'p Totals,
    policy: &'p str,
    roots: Vec<String>,
    /// Whether something in `refused` forbids to carry the plan out.
    blocked: bool,
    /// Whether it was carried out, in part or as a whole.
    applied: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<OutcomeJson>,
}

/// What became of a plan.
#[derive(Debug, Clone, Default, Serialize)]
pub struct OutcomeJson {
    /// The run, to be named to `undelete`; none where nothing was put aside.
    pub run: Option<String>,
    /// Files that went.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Directories that went.
    pub directories: u64,
    /// What stayed after all, and why.
    pub skipped: Vec<AboutJson>,
    /// What failed, and why.
    pub failed: Vec<AboutJson>,
    /// Whether the run was interrupted.
    pub interrupted: bool,
    /// Runs that were purged.
    pub purged: Vec<String>,
}

/// A place, with something to say of it.
#[derive(Debug, Clone, Serialize)]
pub struct AboutJson {
    /// The place.
    pub path: String,
    /// What there is to say.
    pub why: String,
}

impl<'p> PruneJson<'p> {
    /// A plan, with its outcome if it was carried out.
    pub fn new(plan: &'p Plan, outcome: Option<OutcomeJson>) -> Self {
        PruneJson {
            keep: &plan.keep,
            remove: &plan.remove,
            orphans: &plan.orphans,
            refused: &plan.refused,
            totals: &plan.totals,
            policy: &plan.policy,
            roots: plan.roots.iter().map(ToString::to_string).collect(),
            blocked: plan.blocked,
            applied: outcome.is_some(),
            outcome,
        }
    }
}

/// A plan for people: what stays, what goes, what is left alone, each with the reason.
pub fn plan_text(plan: &Plan, verbose: bool) -> String {
    let mut text = String::new();
    let line = |text: &mut String, word: &str, path: String, what: String| {
        let _ = writeln!(text, "{word:<7} {}  {}", Escaped(path), Escaped(what));
    };
    for kept in &plan.keep {
        line(&mut text, "keep", kept.path.to_string(), format!("({})", kept.reasons.join(", ")));
    }
    for removed in &plan.remove {
        let what = format!("{}  ({})", Bytes(removed.bytes), removed.reasons.join(", "));
        line(&mut text, "remove", removed.path.to_string(), what);
    }
    let shown = if verbose { plan.orphans.len() } else { SHOWN };
    for orphan in plan.orphans.iter().take(shown) {
        let what = format!("{}  {} old  ({})", Bytes(orphan.bytes), age(orphan.age_seconds), orphan.why);
        line(&mut text, "orphan", orphan.path.to_string(), what);
    }
    if plan.orphans.len() > shown {
        let rest = plan.orphans.get(shown..).unwrap_or_default();
        let bytes = rest.iter().fold(0_u64, |sum, orphan| sum.saturating_add(orphan.bytes));
        let _ = writeln!(text, "orphan  … and {} more, {} (-v shows all)", rest.len(), Bytes(bytes));
    }
    let directories = plan.batches.iter().filter(|batch| batch.phase == Phase::Directory);
    let directories = directories.flat_map(|batch| batch.items.iter().map(move |item| (batch, item)));
    let empty =
        directories.filter_map(|(batch, item)| Some(batch.location(plan)?.with_suffix(&format!("/{}", item.name))));
    for dir in empty.take(shown) {
        line(&mut text, "rmdir", dir.to_string(), "(empty then)".to_owned());
    }
    for refused in &plan.refused {
        let word = if plan.blocked && is_obstacle(refused) { "STOP" } else { "leave" };
        let files = match refused.files {
            0 => String::new(),
            files => format!("{files} files, {}  ", Bytes(refused.bytes)),
        };
        line(&mut text, word, refused.path.to_string(), format!("{files}({}: {})", refused.code, refused.why));
    }
    text
}

/// Whether something that was refused forbids to carry a plan out.
pub fn is_obstacle(refused: &Refused) -> bool {
    matches!(
        refused.code.as_str(),
        "unreadable-directory"
            | "unreadable-metadata"
            | "unreadable-record"
            | "unknown"
            | "link"
            | "max-delete-percent"
            | "max-delete-bytes"
    )
}

/// The line at the end of a plan.
pub fn summary(plan: &Plan) -> String {
    let Totals { keep, remove, orphans, files, bytes, directories, .. } = plan.totals;
    let go = if remove == 1 { "goes" } else { "go" };
    let stay = if keep == 1 { "snapshot stays" } else { "snapshots stay" };
    let mut line = format!(
        "{keep} {stay}, {remove} {go}; {}; {}, {}",
        count(orphans, "orphan"),
        count(files, "file"),
        Bytes(bytes)
    );
    if directories > 0 {
        let _ = write!(line, ", {directories} empty {}", if directories == 1 { "directory" } else { "directories" });
    }
    line
}

/// A number of things.
pub fn count(number: u64, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// A number of seconds in its largest unit.
fn age(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds}s"),
        120..=7_199 => format!("{}min", seconds / 60),
        7_200..=172_799 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// What `safe-to-delete --json` prints.
#[derive(Debug, Serialize)]
pub struct SafeJson<'s> {
    path: String,
    roots: Vec<String>,
    /// Whether it is proved that nothing refers into the path.
    safe: bool,
    referrers: Vec<ReferrerJson>,
    refused: &'s [Refused],
    inside: Vec<InsideJson>,
    metadata_read: u64,
    newest: Option<String>,
    files: u64,
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct ReferrerJson {
    path: String,
    files: u64,
    example: Option<String>,
}

#[derive(Debug, Serialize)]
struct InsideJson {
    path: String,
    verdict: Verdict,
    pinned: bool,
}

impl<'s> SafeJson<'s> {
    /// What was found out, and where was looked.
    pub fn new(safety: &'s Safety, roots: &[Location]) -> Self {
        let referrers = safety.referrers.iter().map(|referrer| ReferrerJson {
            path: referrer.path.to_string(),
            files: referrer.files,
            example: referrer.example.as_ref().map(ToString::to_string),
        });
        let inside = safety.inside.iter().map(|snapshot| InsideJson {
            path: snapshot.path.to_string(),
            verdict: snapshot.verdict,
            pinned: snapshot.pinned,
        });
        SafeJson {
            path: safety.path.to_string(),
            roots: roots.iter().map(ToString::to_string).collect(),
            safe: safety.is_proved(),
            referrers: referrers.collect(),
            refused: &safety.refused,
            inside: inside.collect(),
            metadata_read: safety.metadata_read,
            newest: super::json_time(safety.newest),
            files: safety.files,
            bytes: safety.bytes,
        }
    }
}

/// The proof, or what stands against it, for people.
pub fn safe_text(safety: &Safety, roots: &[Location]) -> String {
    let mut text = String::new();
    let path = Escaped(&safety.path);
    for referrer in &safety.referrers {
        let example = referrer.example.as_ref().map_or(String::new(), |place| format!(", such as {place}"));
        let what = format!("{} refers to {} of its files{example}", referrer.path, referrer.files);
        let _ = writeln!(text, "in use  {}", Escaped(what));
    }
    for refused in &safety.refused {
        let _ = writeln!(text, "unsure  {}", Escaped(format!("{}  ({}: {})", refused.path, refused.code, refused.why)));
    }
    for snapshot in &safety.inside {
        let _ = writeln!(text, "inside  {}", Escaped(format!("{} ({}) goes with it", snapshot.path, snapshot.verdict)));
    }
    let roots: Vec<String> = roots.iter().map(ToString::to_string).collect();
    let read = format!(
        "{} _metadata files read below {}, the newest of {}",
        safety.metadata_read,
        roots.join(" "),
        super::time(safety.newest)
    );
    let verdict = match () {
        () if !safety.referrers.is_empty() => format!("not safe to delete: {path} is in use"),
        () if !safety.refused.is_empty() => format!("not proved to be safe to delete: {path}"),
        () => format!("safe to delete: no snapshot refers into {path}"),
    };
    let _ = writeln!(text, "{verdict} ({} files, {}; {})", safety.files, Bytes(safety.bytes), Escaped(read));
    text
}

/// What `undelete --json` prints without a run.
#[derive(Debug, Serialize)]
pub struct RunsJson {
    runs: Vec<RunJson>,
}

#[derive(Debug, Serialize)]
struct RunJson {
    run: String,
    root: String,
    started: Option<String>,
    finished: Option<String>,
    state: Option<EndState>,
    files: u64,
    bytes: u64,
    restorable_until: Option<String>,
}

impl RunsJson {
    /// Of these runs.
    pub fn new(runs: &[RunSummary]) -> Self {
        let json = |run: &RunSummary| RunJson {
            run: run.run.to_string(),
            root: run.root.to_string(),
            started: super::json_time(run.started),
            finished: super::json_time(run.finished),
            state: run.state,
            files: run.files,
            bytes: run.bytes,
            restorable_until: super::json_time(run.restorable_until),
        };
        RunsJson { runs: runs.iter().map(json).collect() }
    }
}

/// Runs for people.
pub fn runs_table(runs: &[RunSummary], colour: bool) -> String {
    let mut table = plain_table(&["RUN", "FINISHED", "KEPT UNTIL", "FILES", "SIZE", "ROOT"], colour);
    for run in runs {
        let finished = if run.finished.is_some() { super::time(run.finished) } else { "unfinished".to_owned() };
        table.add_row([
            run.run.to_string(),
            finished,
            super::time(run.restorable_until),
            run.files.to_string(),
            Bytes(run.bytes).to_string(),
            Escaped(&run.root).to_string(),
        ]);
    }
    table_text(&table)
}
