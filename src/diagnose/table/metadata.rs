//! Failures on the way to a snapshot and of its `_metadata`: `Checkpoints`, `AbstractFsCheckpointStorageAccess`,
//! `MetadataSerializers`, the high-availability store.

use super::{ANY, Effect, Entry, LOADING, Pattern, Remedy};
use crate::diagnose::facts::FileKind;

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        id: "no-metadata",
        patterns: &[Pattern { says: &["Cannot find meta data file '_metadata' in directory"], ..ANY }],
        cause: "There is no _metadata in {snapshot}: it is not a snapshot, or the checkpoint was never completed.",
        advice: "Name the directory chk-N or savepoint-… itself, not the job's directory above it. Without a _metadata \
                 nothing can be restored from a directory: start from another snapshot.",
        effect: Effect::Restore,
        remedy: Remedy::AnotherSnapshot,
    },
    Entry {
        id: "no-such-snapshot",
        patterns: &[
            Pattern { says: &["Cannot find checkpoint or savepoint file/directory"], ..ANY },
            Pattern { says: &["there is no checkpoint or savepoint at "], bare: true, ..ANY },
            Pattern { class: &["FileNotFoundException", "NoSuchFileException"], file: &[FileKind::Snapshot], ..ANY },
        ],
        cause: "The snapshot that the job was to start from, {snapshot}, is not there.",
        advice: "Check the path, and that the storage is mounted. If the path was right once, the snapshot was deleted: \
                 start from another one.",
        effect: Effect::Restore,
        remedy: Remedy::AnotherSnapshot,
    },
    Entry {
        id: "not-a-snapshot-path",
        patterns: &[
            Pattern { says: &["is not a valid file URI. Either the pointer path is invalid"], ..ANY },
            Pattern { says: &["Cannot access file system for checkpoint/savepoint path"], ..ANY },
            Pattern { says: &["empty checkpoint pointer"], ..ANY },
        ],
        cause: "What was given as the path of a snapshot is not a path that Flink can use.",
        advice: "Give the full path or URI of the chk-N or savepoint-… directory, with a scheme that the cluster knows; \
                 a path without scheme is taken for one of the default file system (fs.default-scheme).",
        effect: Effect::Restore,
        remedy: Remedy::AnotherSnapshot,
    },
    Entry {
        id: "ha-pointer-broken",
        patterns: &[
            Pattern { says: &["Could not retrieve checkpoint", "from state handle under"], ..ANY },
            Pattern { says: &["retrieved state handle is broken"], ..ANY },
            Pattern {
                class: &["FileNotFoundException", "NoSuchFileException"],
                file: &[FileKind::HighAvailability],
                ..ANY
            },
            Pattern { says: &["Could not read any of the", "checkpoints from storage"], ..ANY },
        ],
        cause: "The high-availability store points to a checkpoint that cannot be read any more.",
        advice: "The entry in ZooKeeper or the ConfigMap leads to a file that is gone or damaged; Flink does not go on \
                 with an incomplete set. Save the HA entries, remove those of this job, and start the job explicitly \
                 from the newest whole checkpoint.",
        effect: Effect::Restore,
        remedy: Remedy::AnotherSnapshot,
    },
    Entry {
        id: "metadata-wrong-magic",
        patterns: &[
            Pattern { says: &["Unexpected magic number. This can have multiple reasons"], ..ANY },
            Pattern { says: &["is not a _metadata file"], bare: true, ..ANY },
        ],
        cause: "The _metadata of {snapshot} does not start as one: it is another file, or its bytes are damaged.",
        advice: "If the path is right, the file was overwritten or damaged. Start from another snapshot.",
        effect: Effect::Restore,
        remedy: Remedy::AnotherSnapshot,
    },
    Entry {
        id: "metadata-version-unknown",
        patterns: &[
            Pattern { says: &["Unrecognized checkpoint version number"], ..ANY },
            Pattern { says: &["Cannot restore savepoint version"], ..ANY },
            Pattern { says: &["No longer supported savepoint version"], ..ANY },
        ],
        cause: "The snapshot was written by a newer Flink than the one that is to restore it, or by one too old.",
        advice: "Start the job with the release that wrote the snapshot or a later one (chkctl inspect says which \
                 releases write its version); to go back a release, take a savepoint there anew or keep the state out.",
        effect: Effect::Restore,
        remedy: Remedy::SameSnapshot,
    },
    Entry {
        id: "metadata-damaged",
        patterns: &[
            Pattern {
                class: &["EOFException", "UTFDataFormatException", "NegativeArraySizeException"],
                passed: LOADING,
                ..ANY
            },
            Pattern {
                class: &["EOFException"],
                chain: &["Failed to load checkpoint", "Failed to load savepoint"],
                ..ANY
            },
            Pattern { says: &["Reading invalid ", ", type: "], ..ANY },
            Pattern { says: &["Unknown implementation of StreamStateHandle"], ..ANY },
            Pattern { says: &["invalid checkpoint ID: "], ..ANY },
            Pattern { says: &["invalid number of master states"], ..ANY },
            Pattern { says: &["incorrect magic number in master st"], ..ANY },
            Pattern { says: &["/_metadata cannot be read"], bare: true, ..ANY },
        ],
        cause: "The _metadata of {snapshot} is cut short or damaged.",
        advice: "It cannot be restored from. Start from another snapshot; if there is none, look for a copy of this \
                 _metadata in backups or older versions of the object.",
        effect: Effect::Restore,
        remedy: Remedy::AnotherSnapshot,
    },
];
