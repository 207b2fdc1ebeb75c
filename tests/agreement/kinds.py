"""The kinds of snapshot that real Flink writes for the test, and how a job of the harness is told to write them."""

RELEASES = ("1.18.1", "1.20.5", "2.3.0")
KEYS = 500
#: Records of each of the two subtasks of the source: three for every key.
HOLD = 3 * KEYS
JOB = ("inline=0", f"keys={KEYS}", f"hold={HOLD}", "conf.state.backend.rocksdb.memory.managed=false")

_ROCKSDB = ("conf.state.backend.type=rocksdb",)
_INCREMENTAL = (*_ROCKSDB, "conf.execution.checkpointing.incremental=true")
_MERGED = ("conf.execution.checkpointing.file-merging.enabled=true",)
#: Options of the changelog have other names before 1.19.
_CHANGELOG = ("conf.state.changelog.enabled=true", "conf.state.backend.changelog.enabled=true")
#: The first half of the state is materialized before the checkpoint that counts, the second is in the log.
_MATERIALIZED = ("rounds=2", "pause=900", "conf.state.changelog.periodic-materialize.interval=400ms",
                 "conf.state.backend.changelog.periodic-materialize.interval=400ms")

#: name: (what job and restore are told, what the job is told alone, releases that do not have it)
KINDS = {
    "heap": ((), (), ()),
    # 1.18.1 does not read its own compressed operator state where there is broadcast state too (FLINK-33863): its row says so.
    "heap-compressed": (("conf.execution.checkpointing.snapshot-compression=true",), (), ()),
    "rocksdb-full": (_ROCKSDB, (), ()),
    "rocksdb-incremental": (_INCREMENTAL, ("rounds=2",), ()),
    "rocksdb-heap-timers": ((*_INCREMENTAL, "conf.state.backend.rocksdb.timer-service.factory=HEAP"), (), ()),
    "changelog-heap": (_CHANGELOG, _MATERIALIZED, ()),
    "changelog-rocksdb": ((*_INCREMENTAL, *_CHANGELOG), _MATERIALIZED, ()),
    "merged-heap": (_MERGED, (), ("1.18.1",)),
    "merged-rocksdb": ((*_INCREMENTAL, *_MERGED), ("rounds=2",), ("1.18.1",)),
    "canonical-heap": ((), ("savepoint=canonical",), ()),
    "canonical-rocksdb": (_ROCKSDB, ("savepoint=canonical",), ()),
    "native-heap": ((), ("savepoint=native",), ()),
    "native-rocksdb": (_INCREMENTAL, ("savepoint=native",), ()),
    "unaligned": (("conf.execution.checkpointing.unaligned.enabled=true",), ("slow=true",), ()),
}


def cluster(directory):
    """What Flink takes from the cluster only, as CHKCTL_FLINK_CONF."""
    return "\n".join((
        "state.changelog.storage=filesystem",
        "state.backend.changelog.storage=filesystem",
        f"dstl.dfs.base-path=file://{directory}/changelog",
        # The threshold of a job is that of the cluster before 1.19.
        "state.storage.fs.memory-threshold=0",
    ))
