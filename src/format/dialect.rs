//! Variants of a version that no field of the file tells apart (`docs/format.md`, section 14).

use super::Version;

/// A version with the variant of it that a file is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dialect {
    pub version: Version,
    pub variant: Variant,
}

/// Releases of Flink that wrote parts of version 3 in a layout of their own, without saying so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variant {
    /// What all others write.
    Usual,
    /// Flink 1.11: channel state handles have no subtask index.
    Flink111,
    /// Flink 1.14: changelog handles (tags 8, 9 and 10) have no sizes and ids.
    Flink114,
}

impl Dialect {
    /// The dialects that a file of this version may be written in, the usual one first.
    pub(super) fn of(version: Version) -> impl Iterator<Item = Self> {
        let variants: &[Variant] = match version {
            Version::V3 => &[Variant::Usual, Variant::Flink111, Variant::Flink114],
            _ => &[Variant::Usual],
        };
        variants.iter().map(move |&variant| Dialect { version, variant })
    }
}
