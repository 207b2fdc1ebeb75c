//! Pointers in ZooKeeper: nodes `ROOT/CLUSTER-ID/jobs/JOB/checkpoints/` and 19 digits (since 1.15), or
//! `ROOT/CLUSTER-ID/checkpoints/JOB/…` before (`ZooKeeperUtils`, `ZooKeeperCheckpointStoreUtil`), whose data are handles. A node
//! without the child `locks` is about to be removed (`ZooKeeperStateHandleStore.isNotMarkedForDeletion`). Only reads.

use super::{Lost, Pointer, Reach};
use std::time::Duration;
use zookeeper_client::{Client, Error};

/// Nodes of ZooKeeper's that are read at most; a job has a few.
const MOST_NODES: usize = 20_000;

/// How pointers are looked at again when one has gone in between.
const LOOKS: usize = 5;

/// A handle, as it was read.
struct Node {
    path: String,
    job: String,
    id: Option<u64>,
    marked: bool,
    data: Vec<u8>,
}

/// The pointers at and below `zookeeper://HOSTS/PATH`.
pub(super) fn pointers(address: &str, reach: &Reach<'_>, deadline: Duration) -> Result<Vec<Pointer>, String> {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let (hosts, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let root = path.trim_end_matches('/');
    if hosts.is_empty() || hosts.contains('@') {
        return Err("it is not of the form zookeeper://HOST:PORT/ROOT/CLUSTER-ID".to_owned());
    }
    let root = if root.is_empty() { "/flink" } else { root };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    for _ in 0..LOOKS {
        let nodes = runtime.block_on(async {
            let read = tokio::time::timeout(deadline, nodes(hosts, root, deadline)).await;
            read.map_err(|_| "it does not answer in time".to_owned())?
        })?;
        let follow = |node: &Node| {
            let mut pointer = reach.follow(node.path.clone(), Some(node.job.clone()), node.id, &node.data);
            pointer.marked |= node.marked;
            pointer
        };
        found = nodes.iter().map(follow).collect();
        // A checkpoint that was subsumed in between has gone with its node.
        let gone = |pointer: &Pointer| matches!(&pointer.checkpoint, Err(Lost { certain: true, .. }));
        if !found.iter().any(gone) {
            break;
        }
    }
    runtime.shutdown_background();
    // One that is about to go may be half gone.
    found.retain(|pointer| !(pointer.marked && pointer.checkpoint.is_err()));
    Ok(found)
}

async fn nodes(hosts: &str, root: &str, deadline: Duration) -> Result<Vec<Node>, String> {
    let timeout = deadline.min(Duration::from_secs(10));
    let connector = Client::connector().with_connection_timeout(timeout).with_readonly(true);
    let client = connector.connect(hosts).await.map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    let Some(inside) = children(&client, root).await? else { return Err(format!("there is no node {root}")) };
    read_cluster(&client, root, &inside, &mut found).await?;
    if !is_cluster(&inside) {
        for cluster in &inside {
            let path = format!("{root}/{cluster}");
            let inside = children(&client, &path).await?.unwrap_or_default();
            read_cluster(&client, &path, &inside, &mut found).await?;
        }
    }
    Ok(found)
}

/// Whether the children of a node are those of a cluster's.
fn is_cluster(inside: &[String]) -> bool {
    inside.iter().any(|name| matches!(name.as_str(), "jobs" | "jobgraphs" | "leader" | "checkpoints"))
}

async fn read_cluster(client: &Client, path: &str, inside: &[String], found: &mut Vec<Node>) -> Result<(), String> {
    for (kind, below) in [("jobs", "/checkpoints"), ("checkpoints", "")] {
        if !inside.iter().any(|name| name == kind) {
            continue;
        }
        for job in children(client, &format!("{path}/{kind}")).await?.unwrap_or_default() {
            let above = format!("{path}/{kind}/{job}{below}");
            for name in children(client, &above).await?.unwrap_or_default() {
                let path = format!("{above}/{name}");
                // One that has gone counts no more.
                let Some((data, stat)) = there(client.get_data(&path).await)? else { continue };
                if found.len() >= MOST_NODES {
                    return Err(format!("more than {MOST_NODES} checkpoints"));
                }
                let id = name.parse().ok();
                let marked = kind == "jobs" && stat.num_children == 0;
                found.push(Node { path, job: job.clone(), id, marked, data });
            }
        }
    }
    Ok(())
}

async fn children(client: &Client, path: &str) -> Result<Option<Vec<String>>, String> {
    there(client.list_children(path).await)
}

/// What is there, or `None` where nothing is.
fn there<T>(answer: Result<T, Error>) -> Result<Option<T>, String> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(Error::NoNode) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}
