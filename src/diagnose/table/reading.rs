//! State files that are missing or damaged, and files that look like state and are none.

use super::{ANY, Effect, Entry, Pattern, RESTORING, Remedy};
use crate::diagnose::facts::FileKind;

const NOT_FOUND: &[&str] = &["FileNotFoundException", "NoSuchFileException", "NotFoundException"];
const STATE: &[FileKind] =
    &[FileKind::Exclusive, FileKind::Shared, FileKind::TaskOwned, FileKind::Changelog, FileKind::Savepoint];
const SINKS: &[&str] = &[
    "iceberg",
    "hudi",
    "paimon",
    "streaming.api.functions.sink.filesystem",
    "connector.file.sink",
    "Bucket",
    "RecoverableFsDataOutputStream",
    "HadoopRecoverable",
    "S3RecoverableWriter",
    "FileWriterBucket",
    "delta",
];
const ROCKS: &[&str] = &["RocksDBException", "ForStException", "BackendBuildingException", "IOException"];

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        id: "sink-file-missing",
        patterns: &[
            Pattern {
                class: NOT_FOUND,
                passed: SINKS,
                not: &["Could not restore keyed state", "KeyedStateBackendBuilder"],
                ..ANY
            },
            Pattern { class: NOT_FOUND, file: &[FileKind::Sink], not: &["KeyedStateBackendBuilder"], ..ANY },
            Pattern { class: &["FileNotFoundException"], says: &["Recovering in-progress file failed"], ..ANY },
            Pattern { says: &["Missing data in tmp file"], ..ANY },
        ],
        cause: "A file that a sink had begun or committed is missing; no state file is: {file}.",
        advice: "The state of the sink remembers this file. Put it back if something cleaned it up (expired snapshots of \
                 the table, a job that sweeps .inprogress files); else start from a snapshot that is newer or older than \
                 the loss, or give the sink a new uid with --allowNonRestoredState: what it had not committed is lost \
                 then.",
        effect: Effect::Restore,
        remedy: Remedy::AnotherSnapshot,
    },
    Entry {
        id: "state-file-missing",
        patterns: &[
            Pattern { class: NOT_FOUND, file: STATE, ..ANY },
            Pattern { class: NOT_FOUND, passed: RESTORING, ..ANY },
            Pattern { says: &["No such file or directory"], file: STATE, ..ANY },
            Pattern { says: &["No such file or directory"], passed: RESTORING, not: &["RocksDBException"], ..ANY },
            Pattern { says: &["NoSuchKey"], ..ANY },
            Pattern { says: &["The specified key does not exist"], ..ANY },
            Pattern { says: &["state file ", " of operator '", " is missing"], bare: true, ..ANY },
        ],
        cause: "A state file that {snapshot} needs for {operator} is not there.",
        advice: "Flink cannot restore this snapshot: no setting helps, and longer timeouts or more frequent checkpoints \
                 do not bring the file back. Start from the newest snapshot that is whole.",
        effect: Effect::Restore,
        remedy: Remedy::AnotherSnapshot,
    },
    Entry {
        id: "state-file-short",
        patterns: &[
            Pattern { class: &["EOFException"], passed: RESTORING, ..ANY },
            Pattern { class: &["EOFException"], chain: &["state backend", "Could not restore"], ..ANY },
            Pattern { says: &["state file ", " of operator '", " bytes, ", " are needed"], bare: true, ..ANY },
            Pattern { says: &["state file ", " bytes where ", " are recorded"], bare: true, ..ANY },
        ],
        cause: "A state file of {operator} ends too early: it was cut short, or read from the wrong place.",
        advice: "Start from another snapshot; chkctl verify says which file of this one it is.",
        effect: Effect::Restore,
        remedy: Remedy::AnotherSnapshot,
    },
    Entry {
        id: "database-damaged",
        patterns: &[
            Pattern { class: ROCKS, says: &["block checksum mismatch"], ..ANY },
            Pattern { class: ROCKS, says: &["Sst file size mismatch"], ..ANY },
            Pattern { says: &["CURRENT file"], ..ANY },
            Pattern { class: ROCKS, says: &["Corruption"], ..ANY },
            Pattern { class: ROCKS, says: &["Can't access"], ..ANY },
            Pattern { class: ROCKS, says: &["Bad table magic number"], ..ANY },
            Pattern { class: ROCKS, says: &["file is too short"], ..ANY },
            Pattern { class: ROCKS, says: &["While open a file", "No such file"], ..ANY },
            Pattern { class: ROCKS, says: &["MANIFEST"], ..ANY },
        ],
        cause: "The database files of {operator} are damaged, or not all of them are there: RocksDB does not open them.",
        advice: "Start from another snapshot; chkctl verify says which file of this one it is. If every snapshot fails at \
                 the same place, look at the disks below io.tmp.dirs too: the files are copied there first.",
        effect: Effect::Restore,
        remedy: Remedy::AnotherSnapshot,
    },
    Entry {
        id: "database-not-opened",
        patterns: &[
            Pattern { says: &["Error while opening RocksDB instance"], ..ANY },
            Pattern { class: &["UnsatisfiedLinkError"], ..ANY },
            Pattern { says: &["Could not load the native RocksDB library"], ..ANY },
            Pattern { class: &["RocksDBException"], ..ANY },
        ],
        cause: "RocksDB could not be opened for {operator}.",
        advice: "Look at the RocksDBException in the log. If it is not about a file's content (locks, too many open files, \
                 the native library), the snapshot is not at fault.",
        effect: Effect::Restore,
        remedy: Remedy::SameSnapshot,
    },
    Entry {
        id: "state-file-damaged",
        patterns: &[
            Pattern {
                class: &["UTFDataFormatException", "StreamCorruptedException", "NegativeArraySizeException"],
                passed: RESTORING,
                ..ANY
            },
            Pattern { says: &["Unable to read channel state"], ..ANY },
            Pattern { says: &["Found state without corresponding meta info"], ..ANY },
            Pattern { class: &["IllegalStateException"], says: &["Corrupt data"], ..ANY },
            Pattern { says: &["FAILED_TO_UNCOMPRESS"], ..ANY },
        ],
        cause: "A state file of {operator} has bytes that make no sense: it is damaged, or belongs to something else.",
        advice: "Start from another snapshot.",
        effect: Effect::Restore,
        remedy: Remedy::AnotherSnapshot,
    },
    Entry {
        id: "restore-failed",
        patterns: &[
            Pattern { class: &["FlinkException"], says: &["Could not restore", "state backend for"], ..ANY },
            Pattern { class: &["BackendBuildingException"], ..ANY },
            Pattern { says: &["Exception while creating StreamOperatorStateContext"], ..ANY },
            Pattern { says: &["Failed to rollback to checkpoint/savepoint"], bare: true, ..ANY },
        ],
        cause: "The state of {operator} could not be restored; why is not in this log, or not known to chkctl.",
        advice: "Look for the innermost \"Caused by\" in the TaskManager's log. chkctl verify says whether the snapshot is \
                 whole.",
        effect: Effect::Restore,
        remedy: Remedy::SameSnapshot,
    },
];
