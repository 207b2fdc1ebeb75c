//! What each release of Flink reads: a table, and the version that people name a release by.
//!
//! The facts were read in the classes of each release: `MetadataSerializers` and `MetadataV2V3SerializerBase` (until 1.10
//! `SavepointSerializers`, `SavepointV2Serializer`), `KeyedBackendSerializationProxy`,
//! `OperatorBackendSerializationProxy`, and, for table files, of the RocksDB in it
//! (frocksdbjni 5.17.2, from Flink 1.14 on 6.20.3, from 2.0 on 8.10.0). Restores by nine of the releases agree
//! (`testdata/cross-version.tsv`).

use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// A release of Flink as people name it: `1.20` or `1.20.5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlinkVersion {
    /// The first number.
    pub major: u16,
    /// The second.
    pub minor: u16,
    /// The third, where it was named.
    pub patch: Option<u16>,
}

impl FromStr for FlinkVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("{text:?} is not a release of Flink, such as 1.20 or 2.1.1");
        let numbers = text.split('-').next().unwrap_or_default();
        let mut parts = numbers.strip_prefix('v').unwrap_or(numbers).split('.').map(str::parse::<u16>);
        let mut next = || parts.next().transpose().map_err(|_| wrong());
        let (major, minor, patch, more) = (next()?, next()?, next()?, next()?);
        match (major, minor, more) {
            (Some(major), Some(minor), None) => Ok(FlinkVersion { major, minor, patch }),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for FlinkVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        self.patch.map_or(Ok(()), |patch| write!(f, ".{patch}"))
    }
}

impl Serialize for FlinkVersion {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What the releases of one minor version read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    /// The first two numbers of the version.
    pub version: (u16, u16),
    /// The highest version of the `_metadata`; every one from 2 on is read.
    pub metadata: i32,
    /// The highest tag of a state handle; every one below is read.
    pub handle_tag: u8,
    /// The highest version of the head of operator state; every one below is read.
    pub operator_head: i32,
    /// The lowest version of the head of keyed state; 6 is the highest everywhere.
    pub keyed_head: i32,
    /// The highest `format_version` of RocksDB's table files.
    pub table_format: u32,
}

const fn row(
    version: (u16, u16),
    metadata: i32,
    handle_tag: u8,
    operator_head: i32,
    keyed_head: i32,
    table_format: u32,
) -> Release {
    Release { version, metadata, handle_tag, operator_head, keyed_head, table_format }
}

/// The releases that are known, oldest first.
pub const RELEASES: [Release; 16] = [
    row((1, 9), 2, 5, 5, 1, 4),
    row((1, 10), 2, 5, 5, 1, 4),
    row((1, 11), 3, 6, 5, 1, 4),
    row((1, 12), 3, 6, 5, 1, 4),
    row((1, 13), 3, 7, 5, 1, 4),
    row((1, 14), 3, 10, 5, 1, 5),
    row((1, 15), 3, 12, 5, 1, 5),
    row((1, 16), 4, 14, 5, 1, 5),
    row((1, 17), 4, 14, 5, 6, 5),
    row((1, 18), 4, 14, 6, 6, 5),
    row((1, 19), 4, 14, 6, 6, 5),
    row((1, 20), 4, 17, 6, 6, 5),
    row((2, 0), 5, 17, 6, 6, 6),
    row((2, 1), 6, 17, 6, 6, 6),
    row((2, 2), 6, 17, 6, 6, 6),
    row((2, 3), 6, 17, 6, 6, 6),
];

impl Release {
    /// The row of a version, patch releases included; `None` for one that is not in the table.
    pub fn of(version: FlinkVersion) -> Option<&'static Release> {
        RELEASES.iter().find(|release| release.version == (version.major, version.minor))
    }
}

/// The first and the last release in the table, in words.
pub fn known() -> String {
    let shown = |release: Option<&Release>| release.map(|r| format!("{}.{}", r.version.0, r.version.1));
    let (first, last) = (shown(RELEASES.first()), shown(RELEASES.last()));
    format!("{} to {}", first.unwrap_or_default(), last.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_people_write_them() {
        let shown = |text: &str| text.parse::<FlinkVersion>().map(|version| version.to_string());
        assert_eq!(shown("1.20"), Ok("1.20".to_owned()));
        assert_eq!(shown("v2.1.1"), Ok("2.1.1".to_owned()));
        assert_eq!(shown("2.2-SNAPSHOT"), Ok("2.2".to_owned()));
        for wrong in ["", "2", "1.20.5.1", "1.x", "one"] {
            assert!(shown(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn later_releases_read_no_less_but_for_keyed_heads() {
        for pair in RELEASES.windows(2) {
            let [older, newer] = pair else { continue };
            assert!(older.version < newer.version);
            assert!(older.metadata <= newer.metadata && older.handle_tag <= newer.handle_tag);
            assert!(older.operator_head <= newer.operator_head && older.keyed_head <= newer.keyed_head);
        }
        assert_eq!(known(), "1.9 to 2.3");
        assert!(Release::of(FlinkVersion { major: 2, minor: 9, patch: None }).is_none());
    }
}
