//! All integration tests in one binary: one link, and nothing is forgotten (`tidy` checks the list below).

mod suite {
    mod jobs;
    mod support;

    mod catalog;
    mod cli;
    mod damage;
    mod deep;
