//! From settings to clients, and which of the NameNodes of a nameservice is asked.
//!
//! A client of the library asks the NameNodes of a nameservice in their order, and goes on to the next when one refuses
//! or says that it is in standby. One that is frozen does neither: whoever waits for it waits for ever. So clients are made
//! that each ask another one first. At the start, and when a call got no answer, all of them are asked at once what is at
//! the root, and the first that knows is the one from then on.

use super::errors::had_no_effect;
use crate::model::Location;
use crate::storage::remote::Remote;
use crate::storage::settings::StoreSettings;
use crate::storage::{StorageError, StorageErrorKind};
use hdfs_native::{Client, ClientBuilder, HdfsError};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

/// Where a URI names no port and no nameservice (`HdfsClientConfigKeys.DFS_NAMENODE_RPC_PORT_DEFAULT`).
const DEFAULT_PORT: u16 = 8020;
/// The library would take settings from there. It has no directory of settings: these are here already.
const NO_DIRECTORY: &str = "/dev/null";
const SOCKET_TIMEOUT: &str = "dfs.client.socket-timeout";
const MAX_ATTEMPTS: &str = "dfs.client.failover.max.attempts";
const AUTHENTICATION: &str = "hadoop.security.authentication";
/// Bits of a mode that a new file or directory does not get (`fs.permissions.umask-mode`), unless set.
const UMASK: u32 = 0o022;

/// The clients of a store.
pub(super) struct Clients {
    target: Target,
    values: BTreeMap<String, String>,
    /// Who is asked; nobody where that is to be found out.
    chosen: Mutex<Option<Chosen>>,
    choosing: tokio::sync::Mutex<()>,
    /// Bits that the modes of new files and directories do not have.
    umask: u32,
}

/// A client, and which of those that were chosen it is.
#[derive(Clone)]
struct Chosen {
    client: Client,
    number: u64,
}

/// A call that is under way. One that is dropped without an answer makes the next find out who answers.
pub(super) struct Turn<'a> {
    clients: &'a Clients,
    chosen: Chosen,
    answered: bool,
}

impl Clients {
    pub(super) fn new(remote: &Remote, place: &Location, settings: &StoreSettings) -> Result<Self, StorageError> {
        let other = |message: String| StorageError::new(StorageErrorKind::Other, place, message);
        let target = Target::of(place, settings).map_err(other)?;
        let mut values: BTreeMap<String, String> =
            settings.iter().map(|(name, setting)| (name.to_owned(), setting.value().to_owned())).collect();
        // One that takes longer than a call would never be given up for the next DataNode.
        let longest = remote.limits().call.saturating_mul(2) / 3;
        let timeout = values.get(SOCKET_TIMEOUT).and_then(|value| value.trim().parse().ok()).map(Duration::from_millis);
        let timeout = timeout.filter(|timeout| !timeout.is_zero()).map_or(longest, |timeout| timeout.min(longest));
        values.insert(SOCKET_TIMEOUT.to_owned(), timeout.as_millis().max(1).to_string());
        // Once each: pauses and further tries are ours.
        let attempts = target.name_nodes.len().saturating_sub(1);
        values.entry(MAX_ATTEMPTS.to_owned()).or_insert_with(|| attempts.to_string());
        // The library knows "simple" in small letters alone.
        if let Some(method) = values.get_mut(AUTHENTICATION) {
            *method = method.trim().to_ascii_lowercase();
        }
        let umask = settings.value("fs.permissions.umask-mode").map_or(Ok(UMASK), umask).map_err(other)?;
        // What is wrong with the settings is said now, and not by the first call.
        remote.wait(async { target.client(&values, 0) }).map_err(|error| other(error.to_string()))?;
        Ok(Clients { target, values, chosen: Mutex::default(), choosing: tokio::sync::Mutex::new(()), umask })
    }

    /// The permissions of a new file or directory, of those that are asked for.
    pub(super) fn mode(&self, wanted: u32) -> u32 {
        wanted & !self.umask
    }

    /// A client to ask.
    pub(super) async fn turn(&self) -> hdfs_native::Result<Turn<'_>> {
        let known = || self.chosen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let turn = |chosen| Turn { clients: self, chosen, answered: false };
        if let Some(chosen) = known() {
            return Ok(turn(chosen));
        }
        let _one = self.choosing.lock().await;
        if let Some(chosen) = known() {
            return Ok(turn(chosen));
        }
        let client = self.who_answers().await?;
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let chosen = Chosen { client, number: NUMBERS.fetch_add(1, Ordering::Relaxed) };
        *self.chosen.lock().unwrap_or_else(PoisonError::into_inner) = Some(chosen.clone());
        Ok(turn(chosen))
    }

    /// Asks all of them by new clients, and gives the first that knows: an old one would go on with the NameNode that it
    /// came by last, and with a connection that may be dead.
    async fn who_answers(&self) -> hdfs_native::Result<Client> {
        let count = self.target.name_nodes.len();
        if count < 2 {
            return self.target.client(&self.values, 0);
        }
        let mut asked = JoinSet::new();
        for first in 0..count {
            let client = self.target.client(&self.values, first)?;
            asked.spawn(async move {
                let answer = client.get_file_info("/").await;
                (client, answer)
            });
        }
        let mut why = None;
        while let Some(answer) = asked.join_next().await {
            match answer {
                // A denial is an answer too.
                Ok((client, Ok(_))) => return Ok(client),
                Ok((client, Err(error))) if is_definite(&error) => return Ok(client),
                Ok((_, Err(error))) => why = Some(error),
                Err(_) => {}
            }
        }
        Err(why.unwrap_or_else(|| HdfsError::OperationFailed("no NameNode could be asked".to_owned())))
    }
}

/// Whether an error is the word of a NameNode that is in charge.
fn is_definite(error: &HdfsError) -> bool {
    matches!(error, HdfsError::RPCError(class, _) if !class.ends_with("StandbyException")) && had_no_effect(error)
}

impl Turn<'_> {
    pub(super) fn client(&self) -> Client {
        self.chosen.client.clone()
    }

    /// There was an answer, if only an error.
    pub(super) fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.answered {
            let mut chosen = self.clients.chosen.lock().unwrap_or_else(PoisonError::into_inner);
            if chosen.as_ref().is_some_and(|chosen| chosen.number == self.chosen.number) {
                *chosen = None;
            }
        }
    }
}

/// Who is to be asked.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    /// A host with its port, or a nameservice.
    authority: String,
    /// The NameNodes of a nameservice, by their names in the settings.
    name_nodes: Vec<String>,
}

impl Target {
    fn of(place: &Location, settings: &StoreSettings) -> Result<Self, String> {
        let authority = match place.authority() {
            Some(authority) => authority.to_owned(),
            None => default_authority(settings)?,
        };
        if authority.contains(':') {
            return Ok(Target { authority, name_nodes: Vec::new() });
        }
        let key = format!("dfs.ha.namenodes.{authority}");
        let Some(names) = settings.value(&key) else {
            return Ok(Target { authority: format!("{authority}:{DEFAULT_PORT}"), name_nodes: Vec::new() });
        };
        let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
        let target = Target { name_nodes: names.map(str::to_owned).collect(), authority };
        if target.name_nodes.is_empty() {
            return Err(format!("{key} names no NameNode"));
        }
        let address = |name: &String| format!("dfs.namenode.rpc-address.{}.{name}", target.authority);
        match target.name_nodes.iter().map(address).find(|address| settings.value(address).is_none()) {
            Some(address) => Err(format!("{key} is set, and {address} is not")),
            None => Ok(target),
        }
    }

    /// A client that asks one of the NameNodes first, and then the others in their order.
    /// It uses the runtime that it is made in.
    fn client(&self, values: &BTreeMap<String, String>, first: usize) -> hdfs_native::Result<Client> {
        let mut values = values.clone();
        if !self.name_nodes.is_empty() {
            let order = self.name_nodes.iter().cycle().skip(first).take(self.name_nodes.len());
            let order: Vec<&str> = order.map(String::as_str).collect();
            values.insert(format!("dfs.ha.namenodes.{}", self.authority), order.join(","));
        }
        let value = |name: &str| values.get(name).filter(|value| !value.is_empty()).cloned();
        let mut builder = ClientBuilder::new()
            .with_config_dir(NO_DIRECTORY)
            .with_url(format!("hdfs://{}/", self.authority))
            .with_config(values.clone());
        if value(AUTHENTICATION).is_none_or(|method| method == "simple") {
            if let Some(user) = value("hadoop.user.name") {
                builder = builder.with_user(user);
            }
        } else if let Some(principal) = value("security.kerberos.login.principal") {
            builder = builder.with_kerberos_principal(principal);
            if let Some(keytab) = value("security.kerberos.login.keytab") {
                builder = builder.with_kerberos_keytab(keytab);
            }
        }
        builder.with_io_runtime(Handle::current()).build()
    }
}

/// The authority of the default file system.
fn default_authority(settings: &StoreSettings) -> Result<String, String> {
    let name = settings.value("fs.defaultFS").or_else(|| settings.value("fs.default.name"));
    let name = name.ok_or("it names no NameNode, and fs.defaultFS is not set")?;
    let place = Location::parse(name).map_err(|error| format!("fs.defaultFS: {error}"))?;
    match (place.scheme(), place.authority()) {
        (Some("hdfs"), Some(authority)) => Ok(authority.to_owned()),
        _ => Err(format!("it names no NameNode, and neither does fs.defaultFS, {name:?}")),
    }
}

/// The bits of an umask: `022`, or `u=rwx,g=rx,o=` by what it leaves.
fn umask(text: &str) -> Result<u32, String> {
    let refuse = || format!("fs.permissions.umask-mode is {text:?}, which is no umask");
    let text = text.trim();
    if let Ok(bits) = u32::from_str_radix(text, 8) {
        return if bits <= 0o777 { Ok(bits) } else { Err(refuse()) };
    }
    let mut allowed = 0;
    for part in text.split(',') {
        let (who, what) = part.trim().split_once('=').ok_or_else(refuse)?;
        let mut bits = 0;
        for letter in what.chars() {
            bits |= match letter {
                'r' => 4,
                'w' => 2,
                'x' => 1,
                _ => return Err(refuse()),
            };
        }
        for letter in who.chars() {
            allowed |= match letter {
                'u' => bits << 6,
                'g' => bits << 3,
                'o' => bits,
                'a' => bits << 6 | bits << 3 | bits,
                _ => return Err(refuse()),
            };
        }
    }
    Ok(0o777 & !allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::settings::Setting;

    fn settings(values: &[(&str, &str)]) -> StoreSettings {
        let mut settings = StoreSettings::default();
        for (name, value) in values {
            settings.add(*name, Setting::new(*value, "a test"));
        }
        settings
    }

    fn target(place: &str, values: &[(&str, &str)]) -> Result<Target, String> {
        Target::of(&Location::parse(place).expect("a place"), &settings(values))
    }

    fn name_nodes(target: Result<Target, String>) -> (String, Vec<String>) {
        let target = target.expect("a target");
        (target.authority, target.name_nodes)
    }

    #[test]
    fn a_place_leads_to_a_name_node_or_to_all_of_a_nameservice() {
        let none = Vec::<String>::new;
        assert_eq!(name_nodes(target("hdfs://nn:9000/x", &[])), ("nn:9000".to_owned(), none()));
        assert_eq!(name_nodes(target("hdfs://nn/x", &[])), ("nn:8020".to_owned(), none()));
        let default = ("fs.defaultFS", "hdfs://nn:9000/");
        assert_eq!(name_nodes(target("hdfs:///x", &[default])), ("nn:9000".to_owned(), none()));
        let ha = [
            ("fs.defaultFS", "hdfs://ns"),
            ("dfs.ha.namenodes.ns", "a, b ,"),
            ("dfs.namenode.rpc-address.ns.a", "h1:8020"),
            ("dfs.namenode.rpc-address.ns.b", "h2:8020"),
        ];
        for place in ["hdfs://ns/x", "hdfs:///x"] {
            assert_eq!(name_nodes(target(place, &ha)), ("ns".to_owned(), vec!["a".to_owned(), "b".to_owned()]));
        }
    }

    #[test]
    fn settings_that_lead_nowhere_are_named() {
        let why = |place, values: &[_]| target(place, values).expect_err("no target");
        assert!(why("hdfs:///x", &[]).contains("fs.defaultFS"));
        assert!(why("hdfs:///x", &[("fs.defaultFS", "file:///")]).contains("file:///"));
        let ha = [("dfs.ha.namenodes.ns", "a,b"), ("dfs.namenode.rpc-address.ns.a", "h1:8020")];
        assert!(why("hdfs://ns/x", &ha).contains("dfs.namenode.rpc-address.ns.b"));
    }

    #[test]
    fn an_umask_is_octal_or_symbolic() {
        assert_eq!(umask("022"), Ok(0o022));
        assert_eq!(umask("u=rwx,g=rx,o="), Ok(0o027));
        assert!(umask("rwx").is_err() && umask("1777").is_err() && umask("u=rwz").is_err());
    }
}
