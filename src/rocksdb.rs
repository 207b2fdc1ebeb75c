//! Files of RocksDB and ForSt, as they lie in incremental checkpoints and native savepoints: read and judged without a
//! native library.
//!
//! A database is started from `CURRENT`, which names a `MANIFEST`, which names the SST files; `OPTIONS` lies beside
//! them. [`read_current`], [`read_manifest`], [`check_sst`] and [`read_options`] judge one file each,
//! [`check_database`] whether they belong together. The survey uses them, over bytes from wherever they are
//! ([`ReadAt`](crate::wire::ReadAt)); a file is never loaded whole, and whatever its bytes say, memory is bounded.
//!
//! The facts are those of FRocksDB 5.17, 6.20 and 8.10, which Flink 1.9 to 2.x bring along, of ForSt, and for format
//! versions above 5 of RocksDB 11; `docs/format.md` has them with their sources.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod block;
mod bytes;
mod checksum;
mod compression;
mod database;
mod edit;
mod footer;
mod index;
mod load;
mod log;
mod manifest;
mod options;
mod properties;
mod source;
mod sst;
mod tiles;
mod walk;

pub use checksum::ChecksumKind;
pub use compression::Compression;
pub use database::{DatabaseFault, DatabaseFile, check_column_families, check_database, read_current};
pub use manifest::{ColumnFamily, LiveFile, ManifestSummary, read_manifest};
pub use options::{OptionsSummary, read_options};
pub use sst::{SstSummary, check_sst};

use crate::model::{Damage, Effect};

/// Readers stop collecting damage after this many.
const MOST_DAMAGES: usize = 100;
/// The largest block that is read, stored or decompressed. RocksDB allows 4 GiB; Flink's blocks have a few KiB.
const MOST_BLOCK: u64 = 64 << 20;

fn damage(effect: Effect, section: impl Into<String>, offset: u64, problem: impl Into<String>) -> Damage {
    Damage { effect, section: section.into(), offset, problem: problem.into() }
}

/// Adds damage, up to [`MOST_DAMAGES`].
fn collect(damages: &mut Vec<Damage>, damage: Damage) {
    if damages.len() < MOST_DAMAGES {
        damages.push(damage);
    }
}
