//! Findings: what was seen, how bad it is, whom it hits, and what helps.

use crate::model::{KeyGroupRange, OperatorId, OperatorState};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What can be said of a snapshot. The words are a contract (`docs/cli.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Flink will open everything it needs.
    Restorable,
    /// Flink would start, but bytes are provably not as they were recorded.
    Suspect,
    /// It could not be judged.
    Unknown,
    /// There is no `_metadata`: in progress, failed or abandoned.
    Incomplete,
    /// Flink's restore fails.
    Broken,
}

impl Verdict {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Restorable => "restorable",
            Verdict::Suspect => "suspect",
            Verdict::Unknown => "unknown",
            Verdict::Incomplete => "incomplete",
            Verdict::Broken => "broken",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// How bad a finding is, in words that name its consequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Flink would start; something is not as recorded. Makes a snapshot suspect.
    Warning,
    /// It could not be found out. Makes a snapshot unknown.
    Unknown,
    /// Flink's restore fails. Makes a snapshot broken, or incomplete where there is no `_metadata`.
    Error,
}

/// The kinds of finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// A file that a handle names is not there.
    MissingFile,
    /// A file is shorter than its handle says.
    ShortFile,
    /// A file is longer than its handle says.
    LongFile,
    /// A segment of a merged file ends behind the end of the file.
    SegmentOutsideFile,
    /// Something is there that is not a file.
    NotAFile,
    /// A file could not be looked at.
    UnreadableFile,
    /// A handle's path is one that Flink refuses.
    InvalidPath,
    /// A key group or partition starts behind the end of its stream.
    OffsetOutsideStream,
    /// The files of an embedded database do not make a database.
    IncompleteDatabase,
    /// A relative handle that Flink wrote against the wrong directory (FLINK-39964).
    WrongAnchor,
    /// Nothing is where the handles point, and all of it is where the tree stands now.
    MovedTree,
    /// There is no `_metadata`.
    NoMetadata,
    /// The `_metadata` could not be read.
    UnreadableMetadata,
    /// The `_metadata` is not what the format says.
    DamagedMetadata,
    /// The `_metadata` is of version 0 or 1.
    OldVersion,
    /// The `_metadata` is of a version that this chkctl does not know.
    UnknownVersion,
    /// Bytes follow the end of the `_metadata`.
    TrailingBytes,
    /// Two subtasks of an operator have the same key groups.
    OverlappingKeyGroups,
    /// Key groups of an operator are in no subtask's state.
    MissingKeyGroups,
    /// A directory below a root could not be listed.
    UnreadableDirectory,
    /// The content of a state file is not what the format says (`--deep`).
    DamagedState,
    /// The files of an embedded database do not fit together (`--deep`).
    DatabaseMismatch,
    /// The content of a state file is beyond what this chkctl reads (`--deep`).
    UnknownContent,
    /// Time was over before all state files were read (`--deep`).
    NotAllRead,
    /// A file is not as it was when it was sealed (`--checksums`).
    ChecksumMismatch,
    /// A seal cannot be read (`--checksums`).
    UnreadableSeal,
    /// State that no operator of the job claims.
    UnclaimedState,
    /// State that no known operator of the job claims.
    PerhapsUnclaimed,
    /// The job and the snapshot do not agree on max parallelism.
    MaxParallelism,
    /// An operator had finished, and what feeds it in the job had not.
    FinishedOperator,
    /// A release of Flink does not read it.
    ReleaseCannotRead,
    /// A release of Flink that this chkctl does not know.
    UnknownRelease,
    /// State of Flink 1 that is serialized with Kryo.
    KryoState,
    /// A state backend does not take it.
    WrongBackend,
}

/// What a code means, for `docs/findings.md` and for people who ask.
pub struct CodeEntry {
    /// The code.
    pub code: Code,
    /// What was seen, in a sentence.
    pub meaning: &'static str,
    /// What Flink does with such a snapshot, and what verdict follows.
    pub consequence: &'static str,
}

/// All codes, in the order of their documentation.
pub const CODES: &[CodeEntry] = &[
    CodeEntry {
        code: Code::MissingFile,
        meaning: "A file that a state handle names is not there.",
        consequence: "Flink's restore fails with a FileNotFoundException: broken.",
    },
    CodeEntry {
        code: Code::ShortFile,
        meaning: "A file is shorter than its handle says.",
        consequence: "Flink's restore fails: broken. A cut MANIFEST or OPTIONS file of RocksDB lets Flink start, a cut \
                      MANIFEST often with state lost: suspect (an empty MANIFEST: broken).",
    },
    CodeEntry {
        code: Code::LongFile,
        meaning: "A file is longer than its handle says.",
        consequence: "Flink starts and reads what it needs: suspect. RocksDB refuses a longer SST or CURRENT file: \
                      broken.",
    },
    CodeEntry {
        code: Code::SegmentOutsideFile,
        meaning: "A segment of a merged file ends behind the end of the file.",
        consequence: "As a file that is shorter than its handle says.",
    },
    CodeEntry {
        code: Code::NotAFile,
        meaning: "A directory, a device or a pipe is where a state file should be.",
        consequence: "Flink's restore fails: broken.",
    },
    CodeEntry {
        code: Code::UnreadableFile,
        meaning: "A state file could not be looked at or may not be read: permission, an error of the storage, or a \
                  storage that this build does not read.",
        consequence: "Nothing is known: unknown.",
    },
    CodeEntry {
        code: Code::InvalidPath,
        meaning: "The path in a handle is one that Flink's Path refuses.",
        consequence: "Flink does not load the _metadata: broken.",
    },
    CodeEntry {
        code: Code::OffsetOutsideStream,
        meaning: "A key group, a partition of operator state or an in-flight buffer starts where its stream cannot have it: \
                  behind the end, before the start, or out of order.",
        consequence: "Flink's restore reads in the wrong place and fails: broken.",
    },
    CodeEntry {
        code: Code::IncompleteDatabase,
        meaning: "The files of an embedded database do not make a database: CURRENT or MANIFEST is not among them, a \
                  name stands twice, or an SST file has no number.",
        consequence: "RocksDB does not open it: broken.",
    },
    CodeEntry {
        code: Code::WrongAnchor,
        meaning: "A relative handle names a file that lies in a savepoint's directory, not beside the _metadata: Flink \
                  wrote it so after a restore from a native savepoint in CLAIM mode (FLINK-39964).",
        consequence: "Flink's restore fails with a FileNotFoundException: broken. The state itself is whole.",
    },
    CodeEntry {
        code: Code::MovedTree,
        meaning: "No absolute reference leads to a file, and all of the files lie where the tree stands now: the tree \
                  was moved or copied.",
        consequence: "Flink's restore fails, since it looks in the old place: broken there; --map judges the tree as if \
                      it stood where its handles point.",
    },
    CodeEntry {
        code: Code::NoMetadata,
        meaning: "A checkpoint directory holds no _metadata.",
        consequence: "The checkpoint is in progress, failed or was abandoned; Flink refuses to start from it: \
                      incomplete.",
    },
    CodeEntry {
        code: Code::UnreadableMetadata,
        meaning: "The _metadata could not be read, or is beyond the limits of chkctl (nesting, memory).",
        consequence: "Nothing is known: unknown.",
    },
    CodeEntry {
        code: Code::DamagedMetadata,
        meaning: "The _metadata is not what the format says, or holds values that Flink refuses.",
        consequence: "Flink does not load it: broken. It passes over a field of the properties that it does not know: suspect.",
    },
    CodeEntry {
        code: Code::OldVersion,
        meaning: "The _metadata is of version 0 or 1, from Flink 1.1 or 1.2.",
        consequence: "No supported release of Flink loads it: broken.",
    },
    CodeEntry {
        code: Code::UnknownVersion,
        meaning: "The _metadata is of a version that this chkctl does not know.",
        consequence: "A newer Flink may well restore it: unknown.",
    },
    CodeEntry {
        code: Code::TrailingBytes,
        meaning: "Bytes follow the end of the _metadata.",
        consequence: "Flink ignores them and starts; Flink did not write them: suspect.",
    },
    CodeEntry {
        code: Code::OverlappingKeyGroups,
        meaning: "Two subtasks of an operator hold state of the same key group.",
        consequence: "Flink does not check and starts: suspect.",
    },
    CodeEntry {
        code: Code::MissingKeyGroups,
        meaning: "A subtask's keyed state does not have the key groups that are its own.",
        consequence: "Flink does not check and starts without the state: suspect.",
    },
    CodeEntry {
        code: Code::UnreadableDirectory,
        meaning: "A directory below a root could not be listed.",
        consequence: "Snapshots in it, if there are any, are not known: unknown.",
    },
    CodeEntry {
        code: Code::DamagedState,
        meaning: "The content of a state file is not what the format says: a checksum, a count, a key in a key group \
                  that is not its own, a string that is none. Only --deep reads that.",
        consequence: "Where Flink's restore meets it, it fails: broken. Where a job meets it later, or reads wrong state \
                      without a word (a data block of an SST file, a key in the wrong place): suspect. The message \
                      says which.",
    },
    CodeEntry {
        code: Code::DatabaseMismatch,
        meaning: "The files of an embedded database do not fit together: CURRENT names a MANIFEST that is not there, or the \
                  MANIFEST names other SST files, or other sizes, than the handle carries. Only --deep reads that.",
        consequence: "RocksDB does not open it: broken. Where it opens a database without some of its files, state is \
                      lost without a word: suspect.",
    },
    CodeEntry {
        code: Code::UnknownContent,
        meaning: "A state file is in a version or has a size that this chkctl does not read.",
        consequence: "Nothing is known: unknown.",
    },
    CodeEntry {
        code: Code::NotAllRead,
        meaning: "The time of --max-duration was over before all state files were read.",
        consequence: "The rest is not known: unknown. --resume goes on.",
    },
    CodeEntry {
        code: Code::ChecksumMismatch,
        meaning: "A file has another size or other bytes than when the snapshot was sealed, or the seal does not know it. Only \
                  --checksums reads that.",
        consequence: "Flink does not check: it may start, and restore something else than was written: suspect.",
    },
    CodeEntry {
        code: Code::UnreadableSeal,
        meaning: "The seal of a snapshot is there and cannot be read (--checksums).",
        consequence: "Nothing is known of the bytes: unknown.",
    },
    CodeEntry {
        code: Code::UnclaimedState,
        meaning: "No operator of the job (--job) claims state of the snapshot.",
        consequence: "Flink refuses to start this job from it, or drops the state with --allowNonRestoredState (-n): \
                      broken for this job.",
    },
    CodeEntry {
        code: Code::PerhapsUnclaimed,
        meaning: "No operator that is known of the job (--job) claims state of the snapshot, and others of the job are \
                  known by no id: a plan identifies only the first operator of each chain.",
        consequence: "Flink starts if one of them claims it: unknown for this job.",
    },
    CodeEntry {
        code: Code::MaxParallelism,
        meaning: "The job (--job) sets another max parallelism than the snapshot has, or a parallelism above it.",
        consequence: "Flink refuses to start this job from it: broken for this job. Where the number was seen in a \
                      running job, and the program may not have set it: unknown.",
    },
    CodeEntry {
        code: Code::FinishedOperator,
        meaning: "An operator had finished in the snapshot, and one that feeds it in the job (--job) had not.",
        consequence: "Flink refuses to start this job from it (Illegal JobGraph modification): broken for this job.",
    },
    CodeEntry {
        code: Code::ReleaseCannotRead,
        meaning: "The release of Flink that was asked for (--flink) does not read it: it does not know the version of the \
                  _metadata, a kind of state handle, the head of a state file or the format of a table file.",
        consequence: "That release fails to restore it: broken for that release.",
    },
    CodeEntry {
        code: Code::UnknownRelease,
        meaning: "The release of Flink that was asked for (--flink) is not known to this chkctl.",
        consequence: "Nothing is known of what it reads: unknown for that release.",
    },
    CodeEntry {
        code: Code::KryoState,
        meaning: "State that Flink 1 serialized with Kryo, and Flink 2 is asked for (--flink), which has another Kryo.",
        consequence: "Flink 2 mostly does not read it: suspect for that release.",
    },
    CodeEntry {
        code: Code::WrongBackend,
        meaning: "The state backend that was asked for (--backend) does not take keyed state of this kind.",
        consequence: "Flink's restore with that backend fails: broken for that backend.",
    },
];

impl Code {
    /// The word for it, as in JSON.
    pub fn word(self) -> String {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::String(word)) => word,
            _ => String::new(),
        }
    }
}

/// The table of codes as `docs/findings.md`.
pub fn document() -> String {
    let mut text = String::from(
        "# Findings\n\nGenerated from the table in `src/survey/finding.rs`; `UPDATE_DOCS=1 cargo test` writes it anew.\n\n\
         What each verdict means stands in [cli.md](cli.md), what real Flink does in [verdicts.md](verdicts.md).\n",
    );
    for entry in CODES {
        text.push_str(&format!("\n## {}\n\n{}\n\n{}\n", entry.code.word(), entry.meaning, entry.consequence));
    }
    text
}

/// Something that was seen in or of a snapshot. The field names are those of `verify --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// What kind it is.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// The file or directory, as Flink would name it.
    pub path: Option<String>,
    /// The operator it hits.
    pub operator_id: Option<OperatorId>,
    /// The operator's name, or its uid, where the `_metadata` has them.
    pub operator_name: Option<String>,
    /// The operator's uid, where the `_metadata` has it.
    pub operator_uid: Option<String>,
    /// The subtask it hits.
    pub subtask: Option<i32>,
    /// The key groups it hits, first and last.
    pub key_groups: Option<KeyGroupRange>,
    /// What state it is, such as `managed keyed state, shared file 000012.sst`.
    pub state: Option<String>,
    /// Size in bytes that the file should have (at least, where only a segment of it counts).
    pub expected_size: Option<i64>,
    /// Size in bytes that it has.
    pub actual_size: Option<u64>,
    /// What was seen, in a sentence.
    pub message: String,
    /// What helps.
    pub hint: Option<String>,
}

impl Finding {
    /// A finding of a snapshot or file as such, with no owner.
    pub fn new(code: Code, severity: Severity, path: impl fmt::Display, message: impl Into<String>) -> Self {
        Finding {
            code,
            severity,
            path: Some(path.to_string()),
            operator_id: None,
            operator_name: None,
            operator_uid: None,
            subtask: None,
            key_groups: None,
            state: None,
            expected_size: None,
            actual_size: None,
            message: message.into(),
            hint: None,
        }
    }

    /// The same with its owner.
    pub(super) fn of_subtask(self, operator: &OperatorState<'_>, subtask: i32) -> Self {
        Finding {
            operator_id: Some(operator.id),
            operator_name: operator.name.non_empty(),
            operator_uid: operator.uid.non_empty(),
            subtask: Some(subtask),
            ..self
        }
    }

    /// The same with a hint.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The verdict that findings lead to.
pub fn verdict_of(findings: &[Finding]) -> Verdict {
    let worst = findings.iter().map(|finding| match (finding.severity, finding.code) {
        (Severity::Error, Code::NoMetadata) => Verdict::Incomplete,
        (Severity::Error, _) => Verdict::Broken,
        (Severity::Unknown, _) => Verdict::Unknown,
        (Severity::Warning, _) => Verdict::Suspect,
    });
    worst.max().unwrap_or(Verdict::Restorable)
}
