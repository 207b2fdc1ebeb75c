//! A job as far as a restore asks for it: which operators claim state, and how parallel they may be.
//!
//! [`super::job_file`] reads one, and `claims` holds a snapshot against it.

use crate::model::OperatorId;

/// A job that a snapshot is to be restarted with.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Job {
    /// Its name, where the file has one.
    pub name: Option<String>,
    /// The operators whose ids are known.
    pub operators: Vec<JobOperator>,
    /// The operators whose ids are not known.
    pub hidden: Hidden,
}

/// Operators that a job has and its file does not identify, such as those that are chained inside a vertex of a plan.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Hidden {
    /// How many there are at most; `None` where that is not known.
    pub at_most: Option<usize>,
    /// What the file calls them.
    pub names: Vec<String>,
}

/// An operator of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct JobOperator {
    /// The id that it claims state by.
    pub id: OperatorId,
    /// Its uid, where the file has it.
    pub uid: Option<String>,
    /// Its name, or that of the vertex it is the head of.
    pub name: Option<String>,
    /// Number of subtasks.
    pub parallelism: Option<i32>,
    /// Number of key groups.
    pub max_parallelism: Option<MaxParallelism>,
    /// Names of its states, where the file has them.
    pub states: Vec<String>,
    /// What feeds it.
    pub inputs: Vec<Input>,
}

/// A max parallelism, and what it binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxParallelism {
    /// The program sets it: Flink does not start from state with another.
    Explicit(i32),
    /// It was seen in a running job, which may have derived it, or taken it over from a snapshot.
    Seen(i32),
}

/// An input of a vertex.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// The vertex that it comes from.
    pub from: OperatorId,
    /// Whether every subtask may send to every other; `None` where that is not known.
    pub all_to_all: Option<bool>,
}

impl Job {
    /// The operator that claims state of this id.
    pub fn operator(&self, id: OperatorId) -> Option<&JobOperator> {
        self.operators.iter().find(|operator| operator.id == id)
    }
}

impl JobOperator {
    /// What to call it: its uid, or name, or id.
    pub fn label(&self) -> String {
        match (&self.uid, &self.name) {
            (Some(uid), _) => format!("uid {uid}"),
            (None, Some(name)) => format!("{name} ({})", self.id),
            (None, None) => format!("operator {}", self.id),
        }
    }
}

/// The max parallelism that Flink derives from a parallelism (`KeyGroupRangeAssignment.computeDefaultMaxParallelism`).
pub(super) fn derived_max_parallelism(parallelism: i32) -> i32 {
    let half_more = i64::from(parallelism.max(1)).saturating_mul(3) / 2;
    let power = u64::try_from(half_more).unwrap_or(1).next_power_of_two();
    i32::try_from(power.clamp(1 << 7, 1 << 15)).unwrap_or(1 << 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn max_parallelism_is_derived_as_flink_does() {
        let derived = [1, 85, 86, 128, 170, 171, 40_000].map(derived_max_parallelism);
        assert_eq!(derived, [128, 128, 256, 256, 256, 256, 32_768]);
    }
}
