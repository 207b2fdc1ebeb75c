//! What a prune tells a monitoring system.

use super::super::metrics::{Counted, count, job_of};
use super::Run;
use crate::prune::seen::Snapshot;
use crate::render::metrics::RunMetrics;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Adds what a run came to.
pub(super) fn tell(run: &Run, metrics: &mut RunMetrics, now: Timestamp) {
    metrics.reclaimed_bytes = run.outcome.as_ref().map(|outcome| outcome.bytes);
    let Some(prepared) = &run.prepared else { return };
    let orphans = &prepared.plan.orphans;
    metrics.orphan_files = Some(orphans.len() as u64);
    metrics.orphan_bytes = Some(orphans.iter().fold(0, |sum, orphan| sum.saturating_add(orphan.bytes)));
    metrics.refused = counts(prepared.plan.refused.iter().map(|refused| refused.code.clone()));
    let counted = |snapshot: &Snapshot| Counted {
        verdict: snapshot.verdict,
        job: job_of(&snapshot.path),
        completed_at: snapshot.completed_at,
        missing: snapshot.missing,
    };
    let snapshots: Vec<Counted> = prepared.seen.snapshots.iter().map(counted).collect();
    count(metrics, &snapshots, now);
}

fn counts(words: impl Iterator<Item = String>) -> Vec<(String, u64)> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    words.for_each(|word| *counts.entry(word).or_default() += 1);
    counts.into_iter().collect()
}
