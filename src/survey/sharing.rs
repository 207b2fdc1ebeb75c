//! Who shares files with whom: what a snapshot would free if it alone went, and which jobs it depends on.

use super::report::SnapshotReport;
use crate::model::Location;
use foldhash::{HashMap, HashMapExt as _};

/// Bytes of each snapshot of `reports` that no other of them refers to (its `_metadata` included), and bytes that
/// others refer to too; in the same order.
pub fn shares(reports: &[SnapshotReport]) -> Vec<Share> {
    let mut users: HashMap<(&Location, &str), u32> = HashMap::new();
    for file in reports.iter().flat_map(|report| &report.used) {
        *users.entry((&file.dir, &file.name)).or_default() += 1;
    }
    let share = |report: &SnapshotReport| {
        let mut share =
            Share { own_bytes: report.metadata_size.or(report.incomplete_bytes).unwrap_or(0), shared_bytes: 0 };
        for file in &report.used {
            match users.get(&(&file.dir, &*file.name)) {
                Some(1) => share.own_bytes += file.bytes,
                _ => share.shared_bytes += file.bytes,
            }
        }
        share
    };
    reports.iter().map(share).collect()
}

/// How the bytes of a snapshot divide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Share {
    /// Freed if it alone went.
    pub own_bytes: u64,
    /// In use by others too.
    pub shared_bytes: u64,
}
