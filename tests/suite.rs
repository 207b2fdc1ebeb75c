//! All integration tests in one binary: one link, and nothing is forgotten (`tidy` checks the list below).

mod suite {
    mod support;

    mod catalog;
    mod cli;
    mod damage;
    mod flink;
    mod golden;
    mod hostile;
    mod serializers;
    mod state;
    mod story;
    mod streams;
    mod tidy;
}
