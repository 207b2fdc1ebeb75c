//! The versions of the format and what each of them has.

/// A version of the `_metadata` format that chkctl reads and writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// Flink 1.3 to 1.10 (`MetadataV2Serializer`).
    V2,
    /// Flink 1.11 to 1.15 (`MetadataV3Serializer`): coordinator state, finished subtasks, channel state.
    V3,
    /// Flink 1.16 to 1.20 (`MetadataV4Serializer`): checkpoint properties.
    V4,
    /// Flink 2.0 (`MetadataV5Serializer`): names and uids of operators.
    V5,
    /// Flink 2.1 to 2.3 (`MetadataV6Serializer`): typed and merged channel state.
    V6,
    /// Flink after 2.3 (`MetadataV7Serializer`): reference checkpoint ids.
    V7,
}

impl Version {
    /// All of them, oldest first.
    pub const ALL: [Version; 6] = [Version::V2, Version::V3, Version::V4, Version::V5, Version::V6, Version::V7];

    /// The version with this number in the file.
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.number() == number)
    }

    /// The number in the file.
    pub fn number(self) -> i32 {
        match self {
            Version::V2 => 2,
            Version::V3 => 3,
            Version::V4 => 4,
            Version::V5 => 5,
            Version::V6 => 6,
            Version::V7 => 7,
        }
    }

    /// The releases of Flink that write it.
    pub fn releases(self) -> &'static str {
        match self {
            Version::V2 => "Flink 1.3 to 1.10",
            Version::V3 => "Flink 1.11 to 1.15",
            Version::V4 => "Flink 1.16 to 1.20",
            Version::V5 => "Flink 2.0",
            Version::V6 => "Flink 2.1 to 2.3",
            Version::V7 => "Flink after 2.3",
        }
    }

    /// Whether operators have the unused "chain length", and subtasks two unused fields.
    pub(crate) fn has_legacy_fields(self) -> bool {
        self == Version::V2
    }

    /// Whether operators have coordinator state, subtasks may have finished, and channel state follows.
    pub(crate) fn has_coordinators_and_channels(self) -> bool {
        self >= Version::V3
    }

    /// Whether the checkpoint properties follow as a Java object stream.
    pub fn has_properties(self) -> bool {
        self >= Version::V4
    }

    /// Whether operators have a name and a uid.
    pub fn has_names(self) -> bool {
        self >= Version::V5
    }

    /// Whether a type byte stands before each channel state handle, and handles may be merged.
    pub(crate) fn has_typed_channels(self) -> bool {
        self >= Version::V6
    }

    /// Whether subtasks end with a reference checkpoint id.
    pub fn has_references(self) -> bool {
        self >= Version::V7
    }
}

impl serde::Serialize for Version {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i32(self.number())
    }
}
