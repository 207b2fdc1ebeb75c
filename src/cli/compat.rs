//! Options of the commands that can ask whether a snapshot fits a job, a release of Flink or a state backend.

use super::{Exit, failure};
use crate::survey::compat::{Backend, FlinkVersion, Target, job_file};
use clap::Args;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// What a snapshot is to be restarted with.
#[derive(Debug, Args)]
pub struct CompatArgs {
    /// Ask too whether this job takes the state: a plan or job of Flink's REST API (`/jobs/ID/plan`, `/jobs/ID`), the
    /// output of `flink info`, or a list of uids.
    ///
    /// A list has a uid per line, with `parallelism=N`, `max-parallelism=N` where known, or is YAML or JSON.
    #[arg(long, value_name = "FILE")]
    job: Option<PathBuf>,
    /// Ask too whether this release of Flink reads it, such as 1.20 or 2.1.1.
    #[arg(long, value_name = "VERSION")]
    flink: Option<FlinkVersion>,
    /// Ask too whether this state backend takes it: hashmap, rocksdb or forst.
    #[arg(long, value_name = "BACKEND")]
    backend: Option<Backend>,
}

impl CompatArgs {
    /// What is asked for; reads the job's file.
    pub(super) fn target(&self) -> anyhow::Result<Target> {
        let job = self.job.as_deref().map(read).transpose()?;
        Ok(Target { job, flink: self.flink, backend: self.backend })
    }
}

fn read(path: &Path) -> anyhow::Result<crate::survey::compat::Job> {
    let refuse = |what: String| failure(Exit::Usage, format!("{}: {what}", path.display()));
    let mut text = String::new();
    let limit = job_file::JOB_FILE_LIMIT;
    let read = File::open(path).and_then(|file| file.take(limit + 1).read_to_string(&mut text));
    read.map_err(|error| refuse(error.to_string()))?;
    if text.len() as u64 > limit {
        return Err(refuse(format!("more than the {limit} bytes that are read of a job")));
    }
    job_file::parse(&text).map_err(|error| refuse(format!("it does not describe a job: {error}")))
}
