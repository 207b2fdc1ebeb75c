//! The options that name clusters, and what the clusters answer.

use super::prune::duration;
use super::{Exit, explain_cluster, failure};
use crate::cluster::{Address, ClusterError, InUse, rest};
use clap::Args;
use jiff::SignedDuration;
use std::time::Duration;

/// Sent where an address has no credentials itself.
const TOKEN: &str = "CHKCTL_JOBMANAGER_TOKEN";

/// Clusters that may use what is below the roots.
#[derive(Debug, Args)]
pub struct ClusterArgs {
    /// Ask this cluster (http://HOST:8081, Flink's REST API) what its jobs use. May be given again.
    ///
    /// https works too; USER:PASSWORD@ before the host, or a bearer token in CHKCTL_JOBMANAGER_TOKEN, is sent along.
    #[arg(long, value_name = "URL", env = "CHKCTL_JOBMANAGER", hide_env_values = true, value_delimiter = ',')]
    jobmanager: Vec<String>,
    /// How long a cluster may take for an answer.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    jobmanager_timeout: SignedDuration,
}

/// Clusters to ask.
pub(super) struct Clusters {
    addresses: Vec<Address>,
    deadline: Duration,
}

impl ClusterArgs {
    /// The clusters that were named.
    pub(super) fn clusters(&self) -> anyhow::Result<Clusters> {
        let token = std::env::var(TOKEN).ok().filter(|token| !token.trim().is_empty());
        let named = self.jobmanager.iter().filter(|text| !text.trim().is_empty());
        let addresses = named.map(|text| {
            Address::parse(text, token.as_deref())
                // Without the text: there may be a password in it.
                .map_err(|why| failure(Exit::Usage, format!("--jobmanager names no cluster: {why}")))
        });
        let deadline = self.jobmanager_timeout.unsigned_abs();
        Ok(Clusters { deadline, addresses: addresses.collect::<anyhow::Result<Vec<Address>>>()? })
    }
}

impl Clusters {
    /// Whether none was named.
    pub(super) fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }

    /// What is in use.
    pub(super) fn ask(&self) -> anyhow::Result<InUse> {
        self.try_ask().map_err(explain_cluster)
    }

    /// What is in use, for those who say themselves what it means that it is not known.
    pub(super) fn try_ask(&self) -> Result<InUse, ClusterError> {
        rest::ask(&self.addresses, self.deadline)
    }
}
