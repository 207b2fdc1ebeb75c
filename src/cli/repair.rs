//! `chkctl repair`.

use super::{Exit, Session, decode, explain, failure};
use crate::edit::operators::Named;
use crate::model::{OperatorId, Version};
use crate::render::repair::{RepairJson, findings_text, next_command, text};
use crate::repair::{self, Prepared, RepairError, Request, Sources};
use crate::storage::lies_in;
use crate::survey::Verdict;
use crate::survey::resolve::PathMap;
use clap::Args;

/// Write a mended copy of a snapshot: paths, operators, uids. The snapshot itself is never changed.
///
/// Without --apply nothing is written: what would be different is printed, and what would be lost. The result is a
/// `_metadata` in DEST whose handles name the files where they are, so that no state is copied and the source must stay
/// (--copy copies the files beside the source's _metadata). It is judged before it appears, and refused (exit 4) if Flink
/// would not restore it, or if that could not be found out (exit 5).
///
/// The edits are made in the order of the options below. Here --map does not only read elsewhere: handles that name a
/// place below FROM get the place below TO. Maps of the configuration file only read.
#[derive(Debug, Args)]
pub struct RepairArgs {
    /// The snapshot: its directory or its _metadata.
    snapshot: String,
    /// The directory to write to; it must not be there, or be empty.
    #[arg(short, long, value_name = "DEST")]
    output: String,
    #[command(flatten, next_help_heading = "What is mended, in this order")]
    edits: EditArgs,
    #[command(flatten, next_help_heading = "What is done")]
    apply: ApplyArgs,
}

#[derive(Debug, Args)]
struct EditArgs {
    /// Drop the state of this operator: its id, uid or name. May be given again.
    #[arg(long, value_name = "OPERATOR")]
    drop_operator: Vec<String>,
    /// Drop one operator state (list, union or broadcast) of an operator; the last slash divides. Keyed state cannot be
    /// dropped so. May be given again.
    #[arg(long, value_name = "OPERATOR/STATE", value_parser = operator_and_state)]
    drop_state: Vec<(String, String)>,
    /// Correct handles that Flink wrote against the wrong directory (FLINK-39964).
    #[arg(long)]
    re_anchor: bool,
    /// Look for missing files below this directory, by size, and then by the content that a seal or manifest says, or else by
    /// name. May be given again.
    #[arg(long, value_name = "DIR")]
    find: Vec<String>,
    /// Drop every operator that has lost a file, so that a job can start with the rest.
    #[arg(long)]
    drop_unreadable: bool,
    /// Give the operator with this uid another: its id becomes that of NEW. May be given again.
    #[arg(long, value_name = "OLD=NEW", value_parser = uids)]
    rename_uid: Vec<(Named, String)>,
    /// Give the operator with this id (32 hexadecimal digits) a uid. May be given again.
    #[arg(long, value_name = "ID=UID", value_parser = id_and_uid)]
    rename_id: Vec<(Named, String)>,
    /// Give the checkpoint this id; a job that is started from it counts on from there.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
    checkpoint_id: Option<i64>,
    /// Make it a _metadata of this newer version of the format (3 to 7).
    #[arg(long, value_name = "VERSION", value_parser = version)]
    upgrade: Option<Version>,
}

#[derive(Debug, Args)]
struct ApplyArgs {
    /// Write the result.
    #[arg(long)]
    apply: bool,
    /// Copy the files beside the source's _metadata to DEST, instead of naming them where they are.
    #[arg(long)]
    copy: bool,
    /// As --copy, but give files a second name where the file system can (hard links).
    #[arg(long)]
    link: bool,
    /// Do not judge the result: no file is looked for.
    #[arg(long)]
    no_verify: bool,
    /// Write it even if Flink would not restore it.
    #[arg(long)]
    force: bool,
}

fn operator_and_state(text: &str) -> Result<(String, String), String> {
    match text.rsplit_once('/') {
        Some((operator, state)) if !operator.is_empty() && !state.is_empty() => Ok((operator.into(), state.into())),
        _ => Err("it is not of the form OPERATOR/STATE".to_owned()),
    }
}

fn uids(text: &str) -> Result<(Named, String), String> {
    match text.split_once('=') {
        Some((_, new)) if new.contains('=') => {
            Err("it has several equals signs; --rename-id ID=UID leaves no doubt (chkctl uid gives the id)".to_owned())
        }
        Some((old, new)) if !old.is_empty() && !new.is_empty() => Ok((Named::Uid(old.to_owned()), new.to_owned())),
        _ => Err("it is not of the form OLD=NEW".to_owned()),
    }
}

fn id_and_uid(text: &str) -> Result<(Named, String), String> {
    let (id, uid) = text.split_once('=').filter(|(_, uid)| !uid.is_empty()).ok_or("it is not of the form ID=UID")?;
    Ok((Named::Id(id.parse::<OperatorId>()?), uid.to_owned()))
}

fn version(text: &str) -> Result<Version, String> {
    let known = text.parse().ok().and_then(Version::from_number);
    known.ok_or_else(|| "it is no version of the _metadata, 2 to 7".to_owned())
}

pub(super) fn run(session: &mut Session, args: &RepairArgs) -> anyhow::Result<Exit> {
    let snapshot = session.snapshot_as_given(&args.snapshot)?;
    let dest = session.given(&args.output)?;
    let request = args.request(session)?;
    if !repair::is_free(&session.storage, &dest).map_err(explain)? {
        return Err(failure(Exit::Refused, format!("{dest} is there and not empty")));
    }
    if lies_in(&session.storage, &dest, &snapshot.dir).map_err(explain)? {
        return Err(failure(Exit::Refused, format!("{dest} lies in the snapshot, which must not change")));
    }
    let bytes = session.read_metadata(&snapshot)?;
    let metadata = decode(&bytes, &snapshot)?;
    // The maps of the command line are part of the result, so that nothing is read by them any more.
    let maps: Vec<PathMap> = session.globals.map.iter().take(session.config_maps).cloned().collect();
    let bar = session.bar();
    let sources = Sources { storage: &session.storage, maps: &maps, progress: &bar };
    let size = bytes.len() as u64;
    let prepared = repair::prepare(sources, &snapshot, metadata, size, &dest, &request).map_err(refusal)?;
    bar.finish();
    let allowed = prepared.is_good() || args.apply.force;
    let applied = args.apply.apply && allowed;
    let written = match applied {
        true => Some(repair::write(&session.storage, &prepared, args.apply.link).map_err(refusal)?),
        false => None,
    };
    if session.globals.json {
        session.print_json(&RepairJson::new(&prepared, written))?;
    } else {
        session.print(&text(&prepared, session.globals.verbose > 0))?;
    }
    talk(session, &prepared, args, applied);
    Ok(match prepared.verdict() {
        _ if allowed => Exit::Fine,
        Some(Verdict::Unknown) => Exit::NoVerdict,
        _ => Exit::Refused,
    })
}

impl RepairArgs {
    fn request(&self, session: &Session) -> anyhow::Result<Request> {
        let edits = &self.edits;
        let find = edits.find.iter().map(|text| session.place(text)).collect::<anyhow::Result<_>>()?;
        Ok(Request {
            drop_operators: edits.drop_operator.clone(),
            drop_states: edits.drop_state.clone(),
            maps: session.globals.map.iter().skip(session.config_maps).cloned().collect(),
            re_anchor: edits.re_anchor,
            find,
            drop_unreadable: edits.drop_unreadable,
            renames: edits.rename_uid.iter().chain(&edits.rename_id).cloned().collect(),
            checkpoint_id: edits.checkpoint_id,
            upgrade: edits.upgrade,
            copy: self.apply.copy || self.apply.link,
            no_verify: self.apply.no_verify,
        })
    }
}

fn refusal(error: RepairError) -> anyhow::Error {
    match error {
        RepairError::Storage(error) => explain(error),
        RepairError::Edit(_) | RepairError::Encode(_) | RepairError::Refused(_) => {
            failure(Exit::Refused, error.to_string())
        }
    }
}

fn talk(session: &Session, prepared: &Prepared, args: &RepairArgs, applied: bool) {
    if !prepared.is_good() {
        findings_text(prepared).lines().for_each(|line| session.say(line));
        for hint in &prepared.hints {
            session.say(format_args!("hint: {hint}"));
        }
    }
    match (applied, args.apply.apply) {
        (true, _) => {
            if prepared.changes.after.handles > prepared.copies.len() as u64 {
                session.say("note: its handles name files where they are: they must stay, and so must the source's");
            }
            session.say(format_args!("next: {}", next_command(prepared)));
        }
        (false, true) => session.say("refused: Flink would not restore the result (--force writes it all the same)"),
        (false, false) => session.say("nothing was written (--apply writes it)"),
    }
}
