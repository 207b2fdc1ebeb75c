//! Files of RocksDB and ForSt, as they lie in incremental checkpoints and native savepoints: read and judged without a
//! native library.
