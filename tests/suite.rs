//! All integration tests in one binary: one link, and nothing is forgotten (`tidy` checks the list below).

mod suite {
    mod jobs;
    mod support;

    mod agreement;
    mod catalog;
    mod cli;
    mod compat;
    mod cron;
    mod damage;
    mod deep;
    mod deep_raw;
    mod deep_state;
    mod diagnose;
    mod diff;
    mod doctor;
    mod flink;
    mod generate;
    mod golden;
    mod hostile;
    mod mentions;
    mod metrics;
    mod operations;
    mod pins;
    mod proxy;
    mod prune_flink;
    mod refs;
    mod retention;
    mod retention_model;
    mod rocksdb;
    mod runtime_api;
    mod runtime_faults;
    mod runtime_kill;
    mod runtime_knobs;
    mod runtime_rescale;
    mod runtime_restarts;
    mod runtime_savepoints;
    mod serializers;
    mod settings;
    mod state;
    mod story;
    mod streams;
    mod tidy;

    #[cfg(feature = "hdfs")]
    mod servers {
        pub mod hdfs;
        pub mod s3;
    }

    #[cfg(feature = "hdfs")]
    mod hdfs {
        mod commands;
        mod conformance;
        mod flink;
        mod guarded;
        mod store;
    }

    mod hostile_state {
        mod databases;
        mod made;
        mod places;
        mod streams;
        mod table;
    }

    mod cluster {
        mod faults;
        mod ha;
        mod live;
        mod server;
    }

    mod prune {
        mod attacks;
        mod corpus;
        mod killed;
        mod model;
        mod property;
        mod race;
        mod safe;
        mod sweep;
        mod tree;
        mod whole;
    }

    mod interop {
        mod content;
        mod corpus;
        mod jobs;
        mod ours;
        mod refusals;
        mod releases;
        mod theirs;
    }

    // What every back end does, and the back ends that are asked.
    mod stores {
        mod azure;
        pub mod commands;
        pub mod conformance;
        pub mod corpus;
        mod faults;
        mod listing;
        mod local;
        mod locks;
        mod names;
        mod odd;
        mod reading;
        mod removing;
        mod renaming;
        mod s3;
        mod webhdfs;
        mod writing;
    }

    mod repair {
        mod commands;
        mod edits;
        mod faults;
        mod flink;
    }

    mod promote {
        mod archives;
        mod copies;
        mod faults;
        mod flink;
        mod made;
        mod places;
        mod seals;
    }
}
