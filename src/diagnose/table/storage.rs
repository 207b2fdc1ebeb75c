//! Failures between Flink and the storage: plugins, permission, time, space, the file systems' own errors.

use super::{ANY, Effect, Entry, Pattern, Remedy};

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        id: "file-system-missing",
        patterns: &[
            Pattern { class: &["UnsupportedFileSystemSchemeException"], ..ANY },
            Pattern { says: &["Could not find a file system implementation for scheme"], ..ANY },
            Pattern { says: &["Hadoop is not in the classpath/dependencies"], ..ANY },
            Pattern { says: &["No FileSystem for scheme"], ..ANY },
        ],
        cause: "This Flink cannot open {scheme}: its file system plugin, or Hadoop, is not installed.",
        advice: "Put the file system's jar into a directory of its own below plugins/ on every JobManager and TaskManager \
                 (flink-s3-fs-hadoop, flink-oss-fs-hadoop, flink-gs-fs-hadoop, flink-azure-fs-hadoop), for HDFS set \
                 HADOOP_CLASSPATH; then start again. The snapshot is not at fault.",
        effect: Effect::Restore,
        remedy: Remedy::SameSnapshot,
    },
    Entry {
        id: "permission-denied",
        patterns: &[
            Pattern { class: &["AccessControlException", "AccessDeniedException"], ..ANY },
            Pattern { says: &["Permission denied"], ..ANY },
            Pattern { says: &["(权限不够)"], ..ANY },
            Pattern { says: &["403", "Forbidden"], ..ANY },
            Pattern { says: &["Access Denied"], ..ANY },
            Pattern { says: &["AccessDenied"], ..ANY },
            Pattern { says: &["InvalidAccessKeyId"], ..ANY },
        ],
        cause: "The user or role that Flink runs as may not use {file}.",
        advice: "Give that user the right to read, write and delete below the checkpoint directory (on S3 also to list \
                 the bucket: without it a missing object looks like a forbidden one). The snapshot may be whole.",
        effect: Effect::Restore,
        remedy: Remedy::SameSnapshot,
    },
    Entry {
        id: "hdfs-safe-mode",
        patterns: &[
            Pattern { class: &["SafeModeException"], ..ANY },
            Pattern { says: &["Name node is in safe mode"], ..ANY },
        ],
        cause: "HDFS is in safe mode: nothing can be written or deleted.",
        advice: "Wait until the name node has left it, or find out which blocks it waits for (hdfs dfsadmin -report); \
                 then start again.",
        effect: Effect::Checkpointing,
        remedy: Remedy::SameSnapshot,
    },
    Entry {
        id: "hdfs-block-missing",
        patterns: &[
            Pattern { class: &["BlockMissingException"], ..ANY },
            Pattern { says: &["Could not obtain block: BP-"], ..ANY },
            Pattern { class: &["ChecksumException"], ..ANY },
        ],
        cause: "HDFS knows the file and has lost blocks of it, or its checksum is wrong: {file}.",
        advice: "Bring the data nodes with its replicas back (hdfs fsck PATH -files -blocks -locations), or start from \
                 another snapshot.",
        effect: Effect::Restore,
        remedy: Remedy::AnotherSnapshot,
    },
    Entry {
        id: "no-space",
        patterns: &[
            Pattern { says: &["No space left on device"], ..ANY },
            Pattern { says: &["设备上没有空间"], ..ANY },
            Pattern { says: &["Disk quota exceeded"], ..ANY },
            Pattern { class: &["DSQuotaExceededException", "NSQuotaExceededException"], ..ANY },
        ],
        cause: "A disk or quota is full.",
        advice: "If it is a TaskManager's disk: a restore of RocksDB needs room for all its state below io.tmp.dirs. If it \
                 is the checkpoint storage: chkctl prune shows what can go without harm. Then start again.",
        effect: Effect::Restore,
        remedy: Remedy::SameSnapshot,
    },
    Entry {
        id: "out-of-memory",
        patterns: &[
            Pattern { class: &["OutOfMemoryError"], ..ANY },
            Pattern { says: &["Could not allocate memory"], passed: &["RestoreOperation", "StateBackend"], ..ANY },
        ],
        cause: "A process ran out of memory.",
        advice: "Give the TaskManagers what they had when the snapshot was taken, or more: the heap backend needs all \
                 its state in memory, and a restore with fewer TaskManagers needs more in each.",
        effect: Effect::Job,
        remedy: Remedy::SameSnapshot,
    },
    Entry {
        id: "storage-unreachable",
        patterns: &[
            Pattern {
                class: &[
                    "SocketTimeoutException",
                    "ConnectTimeoutException",
                    "UnknownHostException",
                    "NoRouteToHostException",
                ],
                chain: STORES,
                ..ANY
            },
            Pattern { class: &["ConnectException", "SocketException"], chain: STORES, ..ANY },
            Pattern { says: &["Unable to execute HTTP request"], ..ANY },
            Pattern { says: &["Timeout waiting for connection from pool"], ..ANY },
            Pattern { class: &["StandbyException", "RetriableException"], ..ANY },
            Pattern { says: &["SlowDown"], ..ANY },
            Pattern { says: &["503", "Service Unavailable"], ..ANY },
        ],
        cause: "The storage did not answer, or not in time.",
        advice: "Nothing is known to be wrong with the snapshot: see that the TaskManagers reach the storage (name, port, \
                 proxy, connections in the pool: fs.s3a.connection.maximum), then start again from the same one.",
        effect: Effect::Restore,
        remedy: Remedy::SameSnapshot,
    },
];

/// What shows that a connection was one to the storage of checkpoints.
const STORES: &[&str] = &[
    "hdfs://",
    "s3",
    "S3",
    "oss",
    "namenode",
    "NameNode",
    "checkpoint",
    "Checkpoint",
    "state backend",
    "savepoint",
    "gs://",
    "abfs",
];
