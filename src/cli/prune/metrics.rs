//! What a prune tells a monitoring system.

use super::super::Exit;
use super::Run;
use crate::prune::seen::Seen;
use crate::render::metrics::{PruneMetrics, last_success, prune_metrics, write_metrics};
use crate::survey::Verdict;
use anyhow::Context as _;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::path::Path;

/// Writes the metrics of a run that ended with `exit`.
pub(super) fn write(path: &Path, run: &Run, exit: Exit, now: Timestamp) -> anyhow::Result<()> {
    let finished = u64::try_from(now.as_second()).unwrap_or(0);
    let mut metrics = PruneMetrics {
        finished,
        last_success: if exit == Exit::Fine { Some(finished) } else { last_success(path) },
        exit_code: exit as u8,
        reclaimed_bytes: run.outcome.as_ref().map(|outcome| outcome.bytes),
        ..PruneMetrics::default()
    };
    if let Some(prepared) = &run.prepared {
        let orphans = &prepared.plan.orphans;
        metrics.orphan_files = Some(orphans.len() as u64);
        metrics.orphan_bytes = Some(orphans.iter().fold(0, |sum, orphan| sum.saturating_add(orphan.bytes)));
        metrics.refused = counts(prepared.plan.refused.iter().map(|refused| refused.code.clone()));
        let states = [Verdict::Restorable, Verdict::Suspect, Verdict::Broken, Verdict::Incomplete, Verdict::Unknown];
        let snapshots = &prepared.seen.snapshots;
        let count = |verdict| snapshots.iter().filter(|snapshot| snapshot.verdict == verdict).count() as u64;
        metrics.snapshots = states.map(|verdict| (verdict.to_string(), count(verdict))).to_vec();
        metrics.missing_files = Some(snapshots.iter().map(|snapshot| snapshot.missing).sum());
        metrics.last_restorable_age = ages(&prepared.seen, now);
    }
    write_metrics(path, &prune_metrics(&metrics)).with_context(|| path.display().to_string())
}

fn counts(words: impl Iterator<Item = String>) -> Vec<(String, u64)> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    words.for_each(|word| *counts.entry(word).or_default() += 1);
    counts.into_iter().collect()
}

/// The age of the newest restorable snapshot in each directory that holds some.
fn ages(seen: &Seen, now: Timestamp) -> Vec<(String, u64)> {
    let mut newest: BTreeMap<String, Timestamp> = BTreeMap::new();
    let restorable = seen.snapshots.iter().filter(|snapshot| snapshot.verdict == Verdict::Restorable);
    for (above, time) in restorable.filter_map(|s| Some((s.path.parent()?.to_string(), s.completed_at?))) {
        newest.entry(above).and_modify(|newest| *newest = (*newest).max(time)).or_insert(time);
    }
    let age = |time: Timestamp| u64::try_from(now.duration_since(time).as_secs()).unwrap_or(0);
    newest.into_iter().map(|(job, time)| (job, age(time))).collect()
}
