//! The options that name clusters, and what the clusters answer.

use super::prune::duration;
use super::{Exit, Session, explain_cluster, failure};
use crate::cluster::ha::{Ha, Reach};
use crate::cluster::{Address, ClusterError, InUse, RunningJob, rest};
use crate::model::Location;
use clap::Args;
use jiff::SignedDuration;
use std::time::Duration;

/// Sent where an address has no credentials itself.
const TOKEN: &str = "CHKCTL_JOBMANAGER_TOKEN";

/// Clusters that may use what is below the roots, and high availability.
#[derive(Debug, Args)]
pub struct ClusterArgs {
    #[command(flatten)]
    managers: ManagerArgs,
    /// What this high availability points to is in use: as PLACE of `chkctl ha`. May be given again.
    #[arg(long, value_name = "PLACE")]
    ha: Vec<String>,
}

/// Clusters, by their REST APIs.
#[derive(Debug, Args)]
pub struct ManagerArgs {
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
    ha: Vec<String>,
}

impl ClusterArgs {
    /// The clusters that were named.
    pub(super) fn clusters(&self) -> anyhow::Result<Clusters> {
        Ok(Clusters { ha: self.ha.clone(), ..self.managers.clusters()? })
    }
}

impl ManagerArgs {
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
        Ok(Clusters { deadline, ha: Vec::new(), addresses: addresses.collect::<anyhow::Result<Vec<Address>>>()? })
    }
}

impl Clusters {
    /// Whether none was named.
    pub(super) fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.ha.is_empty()
    }

    /// What is in use.
    pub(super) fn ask(&self, session: &Session) -> anyhow::Result<InUse> {
        self.try_ask(session).map_err(explain_cluster)
    }

    /// The jobs of all clusters, the ones at their end included.
    pub(super) fn all_jobs(&self) -> anyhow::Result<Vec<RunningJob>> {
        let said = rest::all_jobs(&self.addresses, self.deadline);
        said.map_err(|error| failure(Exit::NoVerdict, error.to_string()))
    }

    /// What is in use, for those who say themselves what it means that it is not known.
    pub(super) fn try_ask(&self, session: &Session) -> Result<InUse, ClusterError> {
        let mut in_use = rest::ask(&self.addresses, self.deadline)?;
        for place in &self.ha {
            in_use.add(read_ha(session, place, self.deadline)?.in_use()?);
        }
        Ok(in_use)
    }
}

/// Reads what a high availability points to.
pub(super) fn read_ha(session: &Session, place: &str, deadline: Duration) -> Result<Ha, ClusterError> {
    let maps = session.maps();
    let here = |place: &Location| maps.here(place);
    let reach = Reach { storage: &session.storage, here: &here };
    if place.starts_with("zookeeper://") {
        return Ha::ask(place, &reach, deadline);
    }
    let place =
        session.place(place).map_err(|error| ClusterError { asked: place.to_owned(), why: error.to_string() })?;
    Ha::read(&place, &reach)
}
