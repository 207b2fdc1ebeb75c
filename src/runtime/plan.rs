//! The division of a graph into tasks: which operators run in one thread, how many subtasks they have, what they are
//! called, and which ids their state has.

use super::graph::{Chaining, Graph, Maker, NodeId, Partitioning};
use crate::model::OperatorId;
use crate::state::key_group::{UPPER_BOUND_MAX_PARALLELISM, default_max_parallelism};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// The largest number of key groups.
const MOST_KEY_GROUPS: i32 = UPPER_BOUND_MAX_PARALLELISM as i32;

/// The tasks of a job.
pub(crate) struct Plan {
    /// In an order in which producers stand before their consumers.
    pub tasks: Vec<PlannedTask>,
    /// The operators, by node.
    pub operators: BTreeMap<NodeId, PlannedOperator>,
}

/// Operators that run in one thread per subtask.
pub(crate) struct PlannedTask {
    /// The operator that takes the records.
    pub head: NodeId,
    /// All operators of the task, the head first.
    pub nodes: Vec<NodeId>,
    /// As Flink calls it: `Source: Socket Stream -> Flat Map -> Map`.
    pub name: String,
    pub parallelism: usize,
}

/// What is decided about an operator.
pub(crate) struct PlannedOperator {
    pub id: OperatorId,
    pub name: String,
    pub uid: String,
    pub parallelism: usize,
    pub max_parallelism: i32,
    /// Whether the program asked for that number of key groups.
    pub max_parallelism_set: bool,
}

/// What the environment says where an operator says nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Defaults {
    pub parallelism: usize,
    pub max_parallelism: Option<i32>,
    pub chaining: bool,
}

/// Plans the tasks of a graph.
///
/// # Errors
/// For parallelisms that Flink would refuse, and for uids that stand twice.
pub(crate) fn plan(graph: &Graph, defaults: Defaults) -> anyhow::Result<Plan> {
    let mut operators = BTreeMap::new();
    let mut uids = BTreeSet::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        if matches!(node.maker, Maker::Union) {
            continue;
        }
        let parallelism = if node.single { 1 } else { node.parallelism.unwrap_or(defaults.parallelism) };
        let asked = node.max_parallelism.or(defaults.max_parallelism);
        let max_parallelism =
            asked.unwrap_or_else(|| default_max_parallelism(u16::try_from(parallelism).unwrap_or(u16::MAX)).into());
        anyhow::ensure!(parallelism > 0, "{}: the parallelism must be at least 1", node.name);
        anyhow::ensure!(
            (1..=MOST_KEY_GROUPS).contains(&max_parallelism),
            "{}: the max parallelism is {max_parallelism}, and must be 1 to {MOST_KEY_GROUPS}",
            node.name
        );
        anyhow::ensure!(
            parallelism <= usize::try_from(max_parallelism)?,
            "{}: the parallelism {parallelism} is higher than the max parallelism {max_parallelism}",
            node.name
        );
        let uid = node.uid.clone().unwrap_or_default();
        anyhow::ensure!(uid.is_empty() || uids.insert(uid.clone()), "two operators have the uid '{uid}'");
        let id = if uid.is_empty() { id_without_uid(graph, NodeId(index)) } else { OperatorId::from_uid(&uid) };
        let name = node.name.clone();
        let max_parallelism_set = asked.is_some();
        let operator = PlannedOperator { id, name, uid, parallelism, max_parallelism, max_parallelism_set };
        operators.insert(NodeId(index), operator);
    }
    let is_chained = |node: NodeId| chained_to(graph, &operators, defaults, node).is_some();
    let heads: Vec<NodeId> = operators.keys().copied().filter(|node| !is_chained(*node)).collect();
    let tasks = heads.into_iter().map(|head| {
        let mut nodes = Vec::new();
        let name = collect_chain(graph, &operators, defaults, head, &mut nodes);
        PlannedTask { head, nodes, name, parallelism: operators[&head].parallelism }
    });
    let tasks = tasks.collect();
    Ok(Plan { tasks, operators })
}

/// The operator in front that a node shares its task with.
fn chained_to(
    graph: &Graph,
    operators: &BTreeMap<NodeId, PlannedOperator>,
    defaults: Defaults,
    node: NodeId,
) -> Option<NodeId> {
    let this = &graph.nodes[node.0];
    let [edge] = this.inputs.as_slice() else { return None };
    let before = operators.get(&edge.from)?;
    let allowed = defaults.chaining
        && this.chaining == Chaining::Always
        && graph.nodes[edge.from.0].chaining != Chaining::Never
        && matches!(edge.partitioning, Partitioning::Forward)
        && before.parallelism == operators.get(&node)?.parallelism;
    allowed.then_some(edge.from)
}

fn collect_chain(
    graph: &Graph,
    operators: &BTreeMap<NodeId, PlannedOperator>,
    defaults: Defaults,
    node: NodeId,
    nodes: &mut Vec<NodeId>,
) -> String {
    nodes.push(node);
    let behind = graph.consumers(node).into_iter().map(|(consumer, _)| consumer);
    let chained = behind.filter(|consumer| chained_to(graph, operators, defaults, *consumer) == Some(node));
    let names: Vec<String> = chained
        .collect::<Vec<_>>()
        .into_iter()
        .map(|next| collect_chain(graph, operators, defaults, next, nodes))
        .collect();
    let name = &graph.nodes[node.0].name;
    match names.as_slice() {
        [] => name.clone(),
        [one] => format!("{name} -> {one}"),
        several => format!("{name} -> ({})", several.join(", ")),
    }
}

/// The id of an operator without a uid: a hash over its place in the graph. It stays the same as long as the operators
/// in front of it do, which is all that Flink's own generated ids promise (`StreamGraphHasherV2`); they are not the
/// same ids as Flink would generate.
fn id_without_uid(graph: &Graph, node: NodeId) -> OperatorId {
    let mut hash = Sha256::new();
    hash.update(b"operator without a uid");
    let mut pending = vec![node];
    while let Some(next) = pending.pop() {
        let this = &graph.nodes[next.0];
        hash.update(next.0.to_be_bytes());
        hash.update(this.name.as_bytes());
        hash.update([0]);
        pending.extend(this.inputs.iter().map(|edge| edge.from));
    }
    let digest = hash.finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    OperatorId(bytes)
}
