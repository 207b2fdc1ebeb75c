//! Flink's REST API: which jobs run, and which snapshots they use.
//!
//! Asked are `/config` (`DashboardConfiguration`), `/jobs/overview` (`MultipleJobsDetails`), and of each job that is not at its
//! end `/jobs/:id/checkpoints` (`CheckpointingStatistics`) and `/jobs/:id/checkpoints/config` (`CheckpointConfigInfo`). The
//! names are those of Flink 1.9 to 2.3; what came later than 1.9 may be missing, and what is not known here is passed over.
//!
//! A job manager keeps its answers for `web.refresh-interval` (3 s unless it is configured otherwise), so what it names as
//! the latest may have a successor by now.

use super::http::{Address, Answer, Client};
use super::{CheckpointConfig, ClusterError, InUse, RunningJob, Told};
use crate::model::Location;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::thread;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(300);

/// Stands for a path where a checkpoint has none (`CompletedCheckpointStats`, `MetadataStreamStateHandle`s of memory).
const NO_PATH: &str = "<checkpoint-not-externally-addressable>";

#[derive(Deserialize)]
struct Dashboard {
    #[serde(rename = "flink-version")]
    version: String,
    #[serde(default)]
    features: Features,
}

#[derive(Deserialize, Default)]
struct Features {
    #[serde(rename = "web-history", default)]
    history: bool,
}

#[derive(Deserialize)]
struct Overview {
    jobs: Vec<Job>,
}

#[derive(Deserialize)]
struct Job {
    jid: String,
    #[serde(default)]
    name: String,
    state: String,
}

#[derive(Deserialize)]
struct Statistics {
    latest: Latest,
    history: Vec<Checkpoint>,
}

#[derive(Deserialize)]
struct Latest {
    completed: Option<Checkpoint>,
    savepoint: Option<Checkpoint>,
    restored: Option<Restored>,
}

#[derive(Deserialize)]
struct Checkpoint {
    id: u64,
    status: String,
    #[serde(default)]
    is_savepoint: bool,
    external_path: Option<String>,
    #[serde(default)]
    discarded: bool,
    trigger_timestamp: Option<i64>,
}

#[derive(Deserialize)]
struct Restored {
    id: u64,
    external_path: Option<String>,
}

#[derive(Deserialize)]
struct Config {
    timeout: Option<u64>,
    interval: Option<u64>,
    externalization: Option<Externalization>,
    state_backend: Option<String>,
    checkpoint_storage: Option<String>,
    state_changelog_enabled: Option<bool>,
}

#[derive(Deserialize)]
struct Externalization {
    enabled: bool,
    delete_on_cancellation: bool,
}

/// Asks all of some clusters what they use. One that cannot be asked, or takes longer than `deadline` for an answer, is an
/// error.
pub fn ask(addresses: &[Address], deadline: Duration) -> Result<InUse, ClusterError> {
    let mut found = InUse::default();
    for address in addresses {
        found.jobs.extend(jobs(address, deadline)?);
    }
    Ok(found)
}

/// The jobs of some clusters, those at their end included as long as a cluster remembers them.
pub fn all_jobs(addresses: &[Address], deadline: Duration) -> Result<Vec<RunningJob>, ClusterError> {
    let mut found = Vec::new();
    for address in addresses {
        found.extend(jobs(address, deadline)?);
        let client = Client::new(address, deadline);
        for job in overview(&client)?.iter().filter(|job| is_at_its_end(job)) {
            found.extend(running(&client, address, job)?);
        }
    }
    Ok(found)
}

/// The jobs of a cluster that are not at their end.
fn jobs(address: &Address, deadline: Duration) -> Result<Vec<RunningJob>, ClusterError> {
    let client = Client::new(address, deadline);
    let dashboard: Dashboard = client.expect("/config")?;
    if dashboard.features.history {
        let why = "it is a history server, and knows nothing of jobs that run";
        return Err(ClusterError::new(&address.to_string(), why));
    }
    log::debug!("{address} is Flink {}", dashboard.version);
    let end = Instant::now() + deadline;
    let mut found = Vec::new();
    for job in overview(&client)?.into_iter().filter(|job| !is_at_its_end(job)) {
        let mut job = Some(job);
        while let Some(now) = job {
            match running(&client, address, &now)? {
                Some(running) => {
                    found.push(running);
                    break;
                }
                // It is being started, or came to its end in between.
                None if Instant::now() < end => {
                    thread::sleep(PAUSE);
                    job = overview(&client)?.into_iter().find(|job| job.jid == now.jid && !is_at_its_end(job));
                }
                None => {
                    let why = format!("job {} is {}: what it is restored from is not known yet", now.jid, now.state);
                    return Err(ClusterError::new(&address.to_string(), why));
                }
            }
        }
    }
    Ok(found)
}

/// Whether a job will not run again (`JobStatus.isGloballyTerminalState`). A state that is not known is none of those.
fn is_at_its_end(job: &Job) -> bool {
    matches!(job.state.as_str(), "FAILED" | "CANCELED" | "FINISHED")
}

fn overview(client: &Client<'_>) -> Result<Vec<Job>, ClusterError> {
    let overview: Overview = client.expect("/jobs/overview")?;
    if let Some(odd) = overview.jobs.iter().find(|job| !is_id(&job.jid)) {
        return Err(client.nonsense("/jobs/overview", &format!("{:?} is no id of a job", odd.jid)));
    }
    Ok(overview.jobs)
}

/// What a job uses; `None` where it cannot say yet.
fn running(client: &Client<'_>, address: &Address, job: &Job) -> Result<Option<RunningJob>, ClusterError> {
    // While a job is initialised the answer is that of a job without checkpoints.
    if job.state == "INITIALIZING" {
        return Ok(None);
    }
    let path = format!("/jobs/{}/checkpoints", job.jid);
    let answer = client.get(&path)?;
    let mut running = RunningJob {
        id: job.jid.clone(),
        name: job.name.clone(),
        state: job.state.clone(),
        told_by: address.to_string(),
        latest: None,
        savepoint: None,
        restored: None,
        retained: Vec::new(),
        in_progress: Vec::new(),
        config: None,
    };
    if answer.status.as_u16() == 404 {
        let text = String::from_utf8_lossy(&answer.body);
        let never =
            text.contains("Checkpointing has not been enabled") || text.contains("Checkpointing is not enabled");
        return Ok(never.then_some(running));
    }
    let statistics: Statistics = client.read(&path, &answer)?;
    let told = |checkpoint: &Checkpoint| -> Result<Told, ClusterError> {
        let place = client.place(&path, checkpoint.external_path.as_deref())?;
        Ok(Told { id: checkpoint.id, place, triggered: checkpoint.trigger_timestamp })
    };
    running.latest = statistics.latest.completed.as_ref().map(told).transpose()?;
    running.savepoint = statistics.latest.savepoint.as_ref().map(told).transpose()?;
    if let Some(restored) = statistics.latest.restored {
        let place = client.place(&path, restored.external_path.as_deref())?;
        running.restored = Some(Told { id: restored.id, place, triggered: None });
    }
    for checkpoint in &statistics.history {
        match checkpoint.status.as_str() {
            "COMPLETED" if !checkpoint.discarded && !checkpoint.is_savepoint => {
                running.retained.push(told(checkpoint)?);
            }
            "COMPLETED" | "FAILED" => {}
            // In progress, or a state that is not known here.
            _ => running.in_progress.push(checkpoint.id),
        }
    }
    running.config = config(client, &job.jid)?;
    Ok(Some(running))
}

/// How a job makes checkpoints; `None` where it does not, or is gone.
fn config(client: &Client<'_>, job: &str) -> Result<Option<CheckpointConfig>, ClusterError> {
    let path = format!("/jobs/{job}/checkpoints/config");
    let answer = client.get(&path)?;
    if answer.status.as_u16() == 404 {
        return Ok(None);
    }
    let config: Config = client.read(&path, &answer)?;
    // Flink writes the greatest number where there are no checkpoints by themselves.
    let interval = config.interval.filter(|interval| *interval < i64::MAX.unsigned_abs());
    Ok(Some(CheckpointConfig {
        timeout: config.timeout.map(Duration::from_millis),
        interval: interval.map(Duration::from_millis),
        retained: config.externalization.map(|kept| kept.enabled && !kept.delete_on_cancellation),
        state_backend: config.state_backend,
        storage: config.checkpoint_storage,
        changelog: config.state_changelog_enabled,
    }))
}

/// `JobID`: 32 hexadecimal digits. Whatever else would come into an address.
fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

impl Client<'_> {
    /// The answer to a request that a cluster never refuses.
    fn expect<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClusterError> {
        let answer = self.get(path)?;
        self.read(path, &answer)
    }

    fn read<T: DeserializeOwned>(&self, path: &str, answer: &Answer) -> Result<T, ClusterError> {
        if !answer.status.is_success() {
            let text: String = String::from_utf8_lossy(&answer.body).chars().take(200).collect();
            return Err(self.nonsense(path, &format!("it answers {}: {text}", answer.status)));
        }
        serde_json::from_slice(&answer.body)
            .map_err(|error| self.nonsense(path, &format!("its answer is not one of Flink's: {error}")))
    }

    fn place(&self, path: &str, text: Option<&str>) -> Result<Option<Location>, ClusterError> {
        let text = text.filter(|text| !text.is_empty() && *text != NO_PATH);
        let place = text.map(Location::parse).transpose();
        place.map_err(|error| self.nonsense(path, &format!("it names a checkpoint that has no place: {error}")))
    }
}
