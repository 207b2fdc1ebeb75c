//! What is to be known of a cluster of HDFS before it is asked: its NameNodes, and the ticket to ask with.

use super::looking::time;
use super::{fine, skipped, wrong};
use crate::model::Location;
use crate::render::doctor::{Came, Check};
use crate::settings::ticket;
use crate::storage::settings::StoreSettings;
use jiff::Timestamp;
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::{Duration, Instant};

/// The port of a NameNode where none is given.
const PORT: u16 = 8020;
/// How long to wait for a NameNode to take a connection.
const CONNECT: Duration = Duration::from_secs(5);

pub(super) fn check(place: &Location, settings: &StoreSettings, timeout: Duration, checks: &mut Vec<Check>) {
    let fallback = settings.value("fs.defaultFS").and_then(|text| Location::parse(text).ok());
    let authority = place.authority().or_else(|| fallback.as_ref().and_then(Location::authority));
    match authority {
        Some(authority) => name_nodes(authority, settings, timeout.min(CONNECT), checks),
        None => checks.push(wrong("namenode", "the place names no NameNode, and no fs.defaultFS does")),
    }
    let kerberos =
        settings.value("hadoop.security.authentication").is_some_and(|how| how.eq_ignore_ascii_case("kerberos"));
    if kerberos {
        checks.push(kerberos_ticket(settings));
    }
}

fn name_nodes(authority: &str, settings: &StoreSettings, patience: Duration, checks: &mut Vec<Check>) {
    let Some(names) = settings.value(&format!("dfs.ha.namenodes.{authority}")) else {
        let known =
            settings.value("dfs.nameservices").is_some_and(|all| all.split(',').any(|one| one.trim() == authority));
        if known {
            let message = format!("{authority} is a nameservice, and dfs.ha.namenodes.{authority} is not set");
            checks.push(wrong("namenode", message));
        } else {
            checks.push(connect(authority, authority, patience));
        }
        return;
    };
    let answers: Vec<Check> = names
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(|name| match settings.value(&format!("dfs.namenode.rpc-address.{authority}.{name}")) {
            Some(address) => connect(&format!("{name} of {authority}, {address}"), address, patience),
            None => wrong("namenode", format!("dfs.namenode.rpc-address.{authority}.{name} is not set")),
        })
        .collect();
    // One of them may be down: that is what they are several for.
    let one_answers = answers.iter().any(|check| check.result == Came::Ok);
    let soften = |check: Check| match check.result {
        Came::Unknown if one_answers => Check { result: Came::Skipped, ..check },
        _ => check,
    };
    checks.extend(answers.into_iter().map(soften));
}

/// Whether somebody listens at an address. It says nothing of whether the NameNode is active, or answers.
fn connect(name: &str, address: &str, patience: Duration) -> Check {
    let unknown = |why: String| Check { check: "namenode", result: Came::Unknown, message: format!("{name}: {why}") };
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) => match port.parse() {
            Ok(port) => (host, port),
            Err(_) => return wrong("namenode", format!("{name}: its port is no number")),
        },
        None => (address, PORT),
    };
    let start = Instant::now();
    let found = match (host.trim_matches(['[', ']']), port).to_socket_addrs() {
        Ok(found) => found,
        Err(error) => return unknown(format!("its name is not known here: {error}")),
    };
    let mut last = "its name has no address".to_owned();
    for address in found {
        match TcpStream::connect_timeout(&address, patience) {
            Ok(_) => return fine("namenode", format!("{name}: it listens ({})", time(start.elapsed()))),
            Err(error) => last = error.to_string(),
        }
    }
    unknown(format!("no connection: {last}"))
}

fn kerberos_ticket(settings: &StoreSettings) -> Check {
    if let Some(keytab) = settings.value("security.kerberos.login.keytab") {
        return match std::fs::File::open(keytab) {
            Ok(_) => fine("kerberos", format!("the keytab {keytab} can be read")),
            Err(error) => {
                Check { check: "kerberos", result: Came::Unknown, message: format!("the keytab {keytab}: {error}") }
            }
        };
    }
    let variable = std::env::var("KRB5CCNAME").ok().filter(|name| !name.is_empty());
    match ticket::cache(variable.as_deref(), user_id()) {
        Ok(file) => of_cache(&file),
        Err(other) => {
            skipped("kerberos", format!("tickets are in {other}, which chkctl does not look into (klist does)"))
        }
    }
}

fn of_cache(file: &Path) -> Check {
    let shown = file.display();
    match ticket::ticket(file) {
        Ok(Some(ticket)) if ticket.ends <= Timestamp::now() => {
            wrong("kerberos", format!("the ticket of {} in {shown} ended {:.0}", ticket.principal, ticket.ends))
        }
        Ok(Some(ticket)) => {
            fine("kerberos", format!("{shown} has a ticket of {} until {:.0}", ticket.principal, ticket.ends))
        }
        Ok(None) => wrong("kerberos", format!("{shown} has no ticket to get others with (kinit)")),
        Err(why) => wrong("kerberos", format!("no ticket: {shown}: {why} (kinit)")),
    }
}

#[cfg(unix)]
fn user_id() -> Option<u32> {
    Some(rustix::process::getuid().as_raw())
}

#[cfg(not(unix))]
fn user_id() -> Option<u32> {
    None
}
