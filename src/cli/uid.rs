//! `chkctl uid`.

use super::{Exit, Session, decode};
use crate::model::{OperatorId, OperatorState};
use crate::render::Escaped;
use clap::Args;
use serde::Serialize;

/// Derive the operator IDs that Flink gives to uids, and find them in a snapshot.
///
/// With --match, exits with 1 if a uid is not an operator of the snapshot.
#[derive(Debug, Args)]
pub struct UidArgs {
    /// The uids, as in the job's uid("…").
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Say which operators of this snapshot they are, and which operators none of them is.
    #[arg(long = "match", value_name = "SNAPSHOT")]
    snapshot: Option<String>,
}

#[derive(Serialize)]
struct UidsJson {
    uids: Vec<UidJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unmatched: Option<Vec<OperatorJson>>,
}

#[derive(Serialize)]
struct UidJson {
    uid: String,
    operator_id: OperatorId,
    #[serde(skip_serializing_if = "Option::is_none")]
    operator: Option<Option<OperatorJson>>,
}

#[derive(Serialize, Clone)]
struct OperatorJson {
    operator_id: OperatorId,
    name: Option<String>,
    uid: Option<String>,
    parallelism: i32,
    max_parallelism: i32,
    state_size: i64,
}

pub(super) fn run(session: &mut Session, args: &UidArgs) -> anyhow::Result<Exit> {
    let ids = args.names.iter().map(|name| (name.clone(), OperatorId::from_uid(name)));
    let uids = match &args.snapshot {
        None => UidsJson {
            uids: ids.map(|(uid, operator_id)| UidJson { uid, operator_id, operator: None }).collect(),
            unmatched: None,
        },
        Some(text) => {
            let snapshot = session.snapshot(text)?;
            let bytes = session.read_metadata(&snapshot)?;
            matched(ids, &decode(&bytes, &snapshot)?.operators)
        }
    };
    if session.globals.json {
        session.print_json(&uids)?;
    } else {
        session.print(&text(&uids))?;
    }
    let missed = uids.uids.iter().any(|uid| matches!(uid.operator, Some(None)));
    Ok(if missed { Exit::Findings } else { Exit::Fine })
}

fn matched(ids: impl Iterator<Item = (String, OperatorId)>, operators: &[OperatorState<'_>]) -> UidsJson {
    let uids: Vec<UidJson> = ids
        .map(|(uid, operator_id)| {
            let operator = operators.iter().find(|op| op.id == operator_id).map(operator_json);
            UidJson { uid, operator_id, operator: Some(operator) }
        })
        .collect();
    let unmatched = operators.iter().filter(|op| uids.iter().all(|uid| uid.operator_id != op.id));
    UidsJson { unmatched: Some(unmatched.map(operator_json).collect()), uids }
}

fn operator_json(operator: &OperatorState<'_>) -> OperatorJson {
    OperatorJson {
        operator_id: operator.id,
        name: operator.name.non_empty(),
        uid: operator.uid.non_empty(),
        parallelism: operator.parallelism,
        max_parallelism: operator.max_parallelism,
        state_size: operator.state_size(),
    }
}

fn text(uids: &UidsJson) -> String {
    let mut lines = Vec::new();
    for uid in &uids.uids {
        let verdict = match &uid.operator {
            None => String::new(),
            Some(None) => "  not in the snapshot".to_owned(),
            Some(Some(operator)) => format!("  {}", described(operator)),
        };
        lines.push(format!("{}  {}{verdict}", uid.operator_id, Escaped(&uid.uid)));
    }
    for operator in uids.unmatched.iter().flatten() {
        lines.push(format!("{}  (none of the uids)  {}", operator.operator_id, described(operator)));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn described(operator: &OperatorJson) -> String {
    let name = operator.name.as_deref().unwrap_or("no name recorded");
    let uid = operator.uid.as_deref().map_or_else(String::new, |uid| format!(", uid {}", Escaped(uid)));
    let (parallelism, size) = (operator.parallelism, operator.state_size);
    format!("{}{uid}, parallelism {parallelism}, {size} bytes of state", Escaped(name))
}
