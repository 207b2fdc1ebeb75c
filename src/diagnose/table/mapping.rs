//! State that does not fit the program: operators, parallelism, key groups (`Checkpoints`,
//! `StateAssignmentOperation`, `ExecutionJobVertex`).

use super::{ANY, Effect, Entry, Pattern, RESTORING, Remedy};

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        id: "operator-not-in-program",
        patterns: &[
            Pattern { says: &["Cannot map checkpoint/savepoint state for operator"], ..ANY },
            Pattern { says: &["There is no operator for the state"], ..ANY },
            Pattern { says: &["annot map", "state for operator", "allowNonRestoredState"], bare: true, ..ANY },
        ],
        cause: "The snapshot has state of operator {operator}, and the program has no operator of this id.",
        advice: "An operator was removed or renamed, or has no uid and its generated id changed with the job graph. Give \
                 the operator its old uid (chkctl uid NAME… --match says whose id it is), or drop its state with \
                 --allowNonRestoredState: what it had counted is lost then.",
        effect: Effect::Restore,
        remedy: Remedy::FindOperator,
    },
    Entry {
        id: "max-parallelism-changed",
        patterns: &[
            Pattern { says: &["Max parallelism mismatch between checkpoint/savepoint state"], ..ANY },
            Pattern { says: &["with which the latest checkpoint of the execution job vertex", "changed"], ..ANY },
        ],
        cause: "The state was written with max parallelism {state-max}, the program asks for {job-max}: Flink cannot \
                divide it anew.",
        advice: "Set the max parallelism of the program back to the one of the state: setMaxParallelism({state-max}) or \
                 pipeline.max-parallelism. It may only be changed by rewriting the state with the State Processor API.",
        effect: Effect::Restore,
        remedy: Remedy::SameSnapshot,
    },
    Entry {
        id: "parallelism-above-max",
        patterns: &[
            Pattern {
                says: &["can not be restored. The maximum parallelism (", "lower than the configured parallelism"],
                ..ANY
            },
            Pattern { says: &["is higher than the max parallelism"], ..ANY },
        ],
        cause: "The program asks for a higher parallelism than the max parallelism of the operator or its state.",
        advice: "Lower the parallelism of the operator to the max parallelism of its state at most.",
        effect: Effect::Restore,
        remedy: Remedy::SameSnapshot,
    },
    Entry {
        id: "unaligned-rescale",
        patterns: &[
            Pattern { says: &["Cannot recover from unaligned checkpoint when topology changes"], ..ANY },
            Pattern { says: &["Cannot rescale vertex", "unaligned"], ..ANY },
            Pattern { says: &["has in-flight records of an unaligned checkpoint"], bare: true, ..ANY },
            Pattern { says: &["Unaligned checkpoint", "rescal"], ..ANY },
        ],
        cause: "The snapshot is an unaligned checkpoint with records in flight, and the program's graph is not the one \
                that wrote it.",
        advice: "Start the unchanged program from it and take a savepoint, or start from an aligned checkpoint or a \
                 savepoint.",
        effect: Effect::Restore,
        remedy: Remedy::AnotherSnapshot,
    },
    Entry {
        id: "key-group-mismatch",
        patterns: &[
            Pattern { says: &["Key group ", " is not in KeyGroupRange"], not: &["RestoreOperation"], ..ANY },
            Pattern { says: &["key group from", "to", "does not contain"], ..ANY },
        ],
        cause: "A record went to a subtask that does not have its key: the key's hashCode changes between processes, or \
                the stream was not keyed as the state is.",
        advice: "Make hashCode and equals of the key depend on its content only: no arrays, no enums, no Object.hashCode. \
                 reinterpretAsKeyedStream must get a stream that is partitioned in the same way.",
        effect: Effect::Job,
        remedy: Remedy::SameSnapshot,
    },
    Entry {
        id: "key-group-damaged",
        patterns: &[
            Pattern { says: &["Unexpected key-group in restore"], ..ANY },
            Pattern { says: &["Key group ", " is not in KeyGroupRange"], passed: RESTORING, ..ANY },
            Pattern { says: &["does not belong to the local range"], ..ANY },
        ],
        cause: "A file of keyed state does not have the key groups that the _metadata says: it is damaged or was \
                exchanged for another.",
        advice: "Start from another snapshot.",
        effect: Effect::Restore,
        remedy: Remedy::AnotherSnapshot,
    },
    Entry {
        id: "backend-mismatch",
        patterns: &[
            Pattern { says: &["Unexpected state handle type"], ..ANY },
            Pattern { says: &["Unexpected keyed state handle"], ..ANY },
            Pattern { says: &["different StateBackend from the one that was used"], ..ANY },
            Pattern {
                class: &["ArrayIndexOutOfBoundsException", "ClassCastException", "IllegalStateException"],
                passed: &[
                    "RocksDBKeyedStateBackendBuilder",
                    "HeapKeyedStateBackendBuilder",
                    "ForStKeyedStateBackendBuilder",
                ],
                not: &["heap backend"],
                says: &["Index 0 out of bounds"],
                ..ANY
            },
        ],
        cause: "The snapshot was written by another state backend than the one that is to read it.",
        advice: "Set the state backend back (state.backend.type), changelog and incremental settings included; only a \
                 canonical savepoint moves from one backend to another.",
        effect: Effect::Restore,
        remedy: Remedy::SameSnapshot,
    },
    Entry {
        id: "claim-mode-refused",
        patterns: &[
            Pattern { says: &["does not support enforcing a full snapshot"], ..ANY },
            Pattern { says: &["Could not parse value for enum", "ClaimMode"], ..ANY },
            Pattern { says: &["No enum constant", "ClaimMode"], ..ANY },
            Pattern { says: &["No enum constant", "RestoreMode"], ..ANY },
            Pattern {
                says: &["LEGACY", "mode"],
                class: &[
                    "IllegalArgumentException",
                    "FlinkException",
                    "IllegalConfigurationException",
                    "CliArgsException",
                ],
                ..ANY
            },
        ],
        cause: "The claim mode that the job was started with does not work with this release or state backend.",
        advice: "The changelog backend and others that cannot write a full snapshot do not work with NO_CLAIM: start with -claimMode CLAIM \
                 (the snapshot is the job's then, and goes when the job does not need it any more), or from a savepoint.",
        effect: Effect::Restore,
        remedy: Remedy::SameSnapshot,
    },
];
