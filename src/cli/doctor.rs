//! `chkctl doctor`.

mod cluster;
mod looking;
mod writing;

use super::{Exit, Session, failure};
use crate::model::Location;
use crate::render::doctor::{Came, Check, DoctorJson, Examined, Shown, text};
use crate::settings::{CREDENTIALS, Service, SettingsError};
use crate::storage::settings::{Setting, StoreSettings, names};
use crate::storage::{StorageError, StorageErrorKind};
use clap::Args;

/// Say which settings a store gets and where each came from, and try what the store can do.
///
/// Secrets are never shown. Nothing is written without --write. Exits with 0 where all is well, with 1 where something is
/// not as it should be (nothing is at the place, creating a file is not exclusive, a clock is wrong), with 5 where the
/// store gave no answer or no permission.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Checkpoint roots, or any directories or files in the stores.
    #[arg(value_name = "URI")]
    places: Vec<String>,
    /// Try to write too: in a directory .chkctl-doctor-… at the place, which is removed again.
    #[arg(long)]
    write: bool,
}

pub(super) fn run(session: &mut Session, args: &DoctorArgs) -> anyhow::Result<Exit> {
    let places = places(session, &args.places)?;
    let mut exit = Exit::Fine;
    let mut all = Vec::new();
    for place in places {
        let examined = examine(session, &place, args.write);
        exit = exit.max(exit_of(&examined));
        if !session.globals.json {
            let verbose = session.globals.verbose > 0;
            let gap = if all.is_empty() { "" } else { "\n" };
            session.print(&format!("{gap}{}", text(&examined, verbose, session.colour)))?;
            session.flush()?;
        }
        all.push(examined);
    }
    if session.globals.json {
        session.print_json(&DoctorJson { places: &all })?;
    }
    Ok(exit)
}

/// The places to look at. Stores are not asked which of several places is meant: that is what is to be found out.
fn places(session: &Session, given: &[String]) -> anyhow::Result<Vec<Location>> {
    let maps = session.maps();
    let here = |text: &String| {
        let place = maps.here(&session.given(text)?).without_entropy_marker();
        Ok(session.without_entropy_key(&place))
    };
    if !given.is_empty() {
        return given.iter().map(here).collect();
    }
    let config = &session.settings.config().roots;
    if !config.is_empty() {
        return config.iter().map(here).collect();
    }
    let conf = session.settings.flink().map_err(super::unset)?;
    let roots: Vec<String> = conf
        .iter()
        .flat_map(|conf| conf.checkpoints().into_iter().chain(conf.savepoints()))
        .map(str::to_owned)
        .collect();
    if roots.is_empty() {
        return Err(failure(
            Exit::Usage,
            "no URI given, and no --config, --flink-conf or FLINK_CONF_DIR to take one from",
        ));
    }
    roots.iter().map(here).collect()
}

fn exit_of(examined: &Examined) -> Exit {
    let worst = |check: &Check| match check.result {
        Came::Ok | Came::Skipped => Exit::Fine,
        Came::Wrong => Exit::Findings,
        Came::Unknown => Exit::NoVerdict,
    };
    examined.checks.iter().map(worst).max().unwrap_or(Exit::Fine)
}

fn examine(session: &Session, place: &Location, write: bool) -> Examined {
    let service = Service::of(place);
    let mut examined = Examined { path: place.to_string(), back_end: back_end(place, service), ..Examined::default() };
    let settings = match session.settings.of(place) {
        Ok(settings) => {
            examined.settings = settings.iter().map(|(name, setting)| shown(service, name, setting)).collect();
            examined.files = files(session, service, &settings);
            settings
        }
        Err(error) => {
            let result = if matches!(error, SettingsError::Wrong(_)) { Came::Wrong } else { Came::Unknown };
            examined.checks.push(Check { check: "settings", result, message: error.to_string() });
            return examined;
        }
    };
    if service == Some(Service::Hdfs) {
        cluster::check(place, &settings, session.globals.timeout, &mut examined.checks);
    }
    if let Some(service) = service.filter(|service| !matches!(service, Service::Hdfs | Service::WebHdfs)) {
        examined.checks.push(credentials(session, service, &settings));
    }
    let look = looking::check(&session.storage, place, &mut examined.checks);
    match (look, write) {
        (Some(dir), true) => writing::check(&session.storage, &dir, &mut examined.checks),
        (Some(_), false) => examined.checks.push(skipped("write", "not tried (--write tries it)")),
        (None, _) => {}
    }
    examined
}

/// Whether there is something that authorises in the settings.
fn credentials(session: &Session, service: Service, settings: &StoreSettings) -> Check {
    let check = "credentials";
    let given = CREDENTIALS.iter().filter_map(|name| settings.get(name).map(|setting| (*name, setting)));
    let given: Vec<String> = given.map(|(name, setting)| format!("{name} ({})", setting.origin())).collect();
    if !given.is_empty() {
        return fine(check, format!("taken: {}", given.join(", ")));
    }
    let path = "hadoop.security.credential.provider.path";
    if let Some(path) = session.settings.hadoop().ok().and_then(|conf| conf.setting(path)) {
        return wrong(
            check,
            format!("they are in a credential provider of Hadoop, which chkctl does not read: {}", path.origin()),
        );
    }
    let profile = if service == Service::S3 { ", with AWS_PROFILE and the files in ~/.aws" } else { "" };
    skipped(check, format!("none is set: the chain of the cloud itself is asked{profile}"))
}

fn back_end(place: &Location, service: Option<Service>) -> String {
    let missing = |feature: bool| if feature { "" } else { ", which is left out of this build" };
    let objects = |what: &str| format!("{what}, by opendal{}", missing(cfg!(feature = "object-stores")));
    match service {
        _ if place.is_local() => "local files".to_owned(),
        None => "nothing that chkctl knows".to_owned(),
        Some(Service::Hdfs) => format!("HDFS, by hdfs-native{}", missing(cfg!(feature = "hdfs"))),
        Some(Service::WebHdfs) => objects("HDFS over HTTP"),
        Some(Service::S3) => objects("S3"),
        Some(Service::Oss) => objects("Alibaba Cloud OSS"),
        Some(Service::Cos) => objects("Tencent Cloud COS"),
        Some(Service::Obs) => objects("Huawei Cloud OBS"),
        Some(Service::Gcs) => objects("Google Cloud Storage"),
        Some(Service::Azure) => objects("Azure"),
    }
}

/// A setting as it may be seen. Hadoop has many for HDFS: those that say where it is and who asks are the main ones.
fn shown(service: Option<Service>, name: &str, setting: &Setting) -> Shown {
    const MAIN: &[&str] = &[
        "fs.default",
        "dfs.nameservices",
        "dfs.ha.",
        "dfs.namenode.rpc-address",
        "hadoop.security.auth",
        "hadoop.rpc.",
        "hadoop.user.",
        "security.kerberos.",
        "dfs.data.transfer.protection",
    ];
    Shown {
        name: name.to_owned(),
        value: (!setting.is_secret()).then(|| without_secrets(name, setting.value())),
        secret: setting.is_secret(),
        origin: setting.origin().to_owned(),
        main: service != Some(Service::Hdfs) || MAIN.iter().any(|start| name.starts_with(start)),
    }
}

/// A URL without what authorises in it.
fn without_secrets(name: &str, value: &str) -> String {
    let Some((scheme, rest)) = value.split_once("://").filter(|_| name == names::ENDPOINT) else {
        return value.to_owned();
    };
    let (url, query) = rest.split_once('?').map_or((rest, ""), |(url, _)| (url, "?(secret)"));
    let (host, path) = url.split_at(url.find('/').unwrap_or(url.len()));
    let host = host.rsplit_once('@').map_or(host.to_owned(), |(_, host)| format!("(secret)@{host}"));
    format!("{scheme}://{host}{path}{query}")
}

/// The files that settings were looked for in.
fn files(session: &Session, service: Option<Service>, settings: &StoreSettings) -> Vec<String> {
    let mut files = Vec::new();
    if service.is_none() {
        return files;
    }
    if let Some(file) = session.settings.config().file() {
        files.push(format!("{file} (chkctl)"));
    }
    if let Ok(Some(conf)) = session.settings.flink() {
        files.push(format!("{} (Flink)", conf.file().display()));
    }
    if let Ok(conf) = session.settings.hadoop() {
        files.extend(conf.files().iter().map(|file| format!("{} (Hadoop)", file.display())));
    }
    // All others have a file in their origin.
    let of_environment = |setting: &Setting| !setting.origin().contains([' ', '/']);
    if settings.iter().any(|(_, setting)| of_environment(setting)) {
        files.push("the environment".to_owned());
    }
    files
}

fn fine(check: &'static str, message: impl Into<String>) -> Check {
    Check { check, result: Came::Ok, message: message.into() }
}

fn wrong(check: &'static str, message: impl Into<String>) -> Check {
    Check { check, result: Came::Wrong, message: message.into() }
}

fn skipped(check: &'static str, message: impl Into<String>) -> Check {
    Check { check, result: Came::Skipped, message: message.into() }
}

/// A check that an error ended.
fn failed(check: &'static str, error: &StorageError) -> Check {
    let (result, what) = match error.kind {
        StorageErrorKind::NotFound => (Came::Wrong, "nothing is there"),
        StorageErrorKind::PermissionDenied => (Came::Unknown, "not permitted"),
        StorageErrorKind::Transient => (Came::Unknown, "no answer"),
        StorageErrorKind::AlreadyExists => (Came::Wrong, "something is there"),
        StorageErrorKind::Unsupported | StorageErrorKind::TooLarge | StorageErrorKind::Other => (Came::Unknown, ""),
    };
    // Some stores say it in the same words.
    let message = match error.message.starts_with(what) {
        true => error.message.clone(),
        false => format!("{what}: {}", error.message),
    };
    Check { check, result, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_authorises_in_a_url_is_not_shown() {
        for (value, wanted) in [
            ("https://me:hunter2@host:1/x", "https://(secret)@host:1/x"),
            ("https://host/c?sig=hunter2", "https://host/c?(secret)"),
            ("https://host:1", "https://host:1"),
        ] {
            assert_eq!(without_secrets(names::ENDPOINT, value), wanted);
        }
    }
}
