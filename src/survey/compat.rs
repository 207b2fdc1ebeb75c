//! Whether a snapshot fits what it is to be restarted with: a job, a release of Flink, a state backend.
//!
//! A verdict says that a snapshot is whole. Whether the job that is started from it takes its state is another question, and
//! Flink answers it only when it starts. [`Target`] is what is asked for, [`Target::judge`] puts the answer into the report
//! of a snapshot: findings that change its verdict, and [`Compat`], which `verify --json` prints.

pub mod backend;
mod claims;
mod heads;
pub mod job;
pub mod job_file;
mod release;
pub mod releases;

pub use backend::Backend;
pub use job::Job;
pub use releases::FlinkVersion;

use super::finding::{Code, Finding, Severity, verdict_of};
use super::report::{undecodable, unreadable_metadata};
use super::verify::METADATA_LIMIT;
use super::{Judge, SnapshotDir, SnapshotReport};
use crate::format;
use crate::model::{OperatorId, OperatorState};
use serde::Serialize;

/// What a snapshot is to be restarted with.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Target {
    /// The job.
    pub job: Option<Job>,
    /// The release of Flink.
    pub flink: Option<FlinkVersion>,
    /// The state backend.
    pub backend: Option<Backend>,
}

/// How a snapshot fits. The fields are those of `compat` in `verify --json`.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Compat {
    /// The name of the job that was asked for, where its file has one.
    pub job: Option<String>,
    /// The release that was asked for.
    pub flink: Option<FlinkVersion>,
    /// The backend that was asked for.
    pub backend: Option<Backend>,
    /// State that no operator of the job claims: Flink does not start without `-n`, and drops it with `-n`.
    pub dropped: Vec<Unclaimed>,
    /// State that no known operator of the job claims, and that one may that the job's file does not identify.
    pub unclaimed: Vec<Unclaimed>,
    /// Operators of the job that the snapshot does not know, and that start empty.
    pub starts_empty: Vec<EmptyStart>,
    /// Unclaimed state that an operator of the job may have had under another uid.
    pub renamed: Vec<Renamed>,
    /// What only a restore can tell, in sentences.
    pub notes: Vec<String>,
}

/// State that no known operator of a job claims.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Unclaimed {
    /// The operator in the snapshot.
    pub operator_id: OperatorId,
    /// Its name, where the `_metadata` has it.
    pub name: Option<String>,
    /// Its uid, where the `_metadata` has it.
    pub uid: Option<String>,
    /// Its parallelism.
    pub parallelism: i32,
    /// Its max parallelism.
    pub max_parallelism: i32,
    /// Names of its states, as far as they could be read.
    pub states: Vec<String>,
    /// Whether its coordinator has state, such as a source's.
    pub coordinator: bool,
    /// Size in bytes of its state.
    pub bytes: i64,
}

/// An operator of a job that the snapshot does not know.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EmptyStart {
    /// Its id.
    pub operator_id: OperatorId,
    /// Its uid, where the job's file has it.
    pub uid: Option<String>,
    /// Its name, where the job's file has it.
    pub name: Option<String>,
}

/// An operator that may have got another uid.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Renamed {
    /// The operator in the snapshot.
    pub from: OperatorId,
    /// Its uid, where the `_metadata` has it.
    pub from_uid: Option<String>,
    /// The operator of the job.
    pub to: OperatorId,
    /// Its uid, where the job's file has it.
    pub to_uid: Option<String>,
    /// Its name, where the job's file has it.
    pub to_name: Option<String>,
    /// What speaks for it.
    pub why: String,
}

impl Target {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.job.is_none() && self.flink.is_none() && self.backend.is_none()
    }

    /// Adds to the report of a snapshot how it fits, and judges it again.
    pub fn judge(&self, judge: &Judge<'_>, snapshot: &SnapshotDir, report: &mut SnapshotReport) {
        // Where the `_metadata` could not be decoded, the report says it already.
        if self.is_empty() || report.metadata_version.is_none() {
            return;
        }
        // It may have changed since it was judged.
        let bytes = match judge.inventory.storage().read(&snapshot.metadata_file, METADATA_LIMIT) {
            Ok(bytes) => bytes,
            Err(error) => return refuse(report, unreadable_metadata(snapshot, &error.message)),
        };
        let metadata = match format::decode(&bytes) {
            Ok(metadata) => metadata,
            Err(error) => return refuse(report, undecodable(snapshot, &error)),
        };
        let heads = heads::read(judge, &metadata, &snapshot.dir);
        let job = self.job.as_ref().and_then(|job| job.name.clone());
        let mut compat = Compat { job, flink: self.flink, backend: self.backend, ..Compat::default() };
        if let Some(flink) = self.flink {
            report.findings.extend(release::check(&metadata, &heads, flink, &mut compat.notes));
        }
        if let Some(backend) = self.backend {
            report.findings.extend(backend::check(&metadata, &heads, backend));
        }
        if let Some(job) = &self.job {
            let findings = claims::check(&metadata, &heads, job, &mut compat);
            report.findings.extend(findings);
        }
        report.verdict = verdict_of(&report.findings);
        report.compat = Some(compat);
    }
}

fn refuse(report: &mut SnapshotReport, finding: Finding) {
    report.findings.push(finding);
    report.verdict = verdict_of(&report.findings);
}

/// A finding about an operator as such.
fn of_operator(code: Code, severity: Severity, operator: &OperatorState<'_>, message: String) -> Finding {
    let mut finding = Finding::new(code, severity, "", message).of_subtask(operator, 0);
    (finding.path, finding.subtask) = (None, None);
    finding
}
