//! Settings of stores, from where Flink's users have them.
//!
//! Who comes first wins: chkctl's own configuration file, Flink's configuration, Hadoop's, the environment of each cloud.
//! What authorises (a key and its secret, a token, a file with credentials) comes from one of them as a whole, so that the
//! secret of one place never meets the key of another; Flink's and Hadoop's configuration are one here, as they are in Flink.
//! Nothing is read before a store or a root is asked for that needs it, and every setting says where it came from.

mod azure;
mod connector;
mod environment;
mod file;
mod flink;
mod hadoop;
mod keys;
mod pairs;
#[cfg(feature = "object-stores")]
mod profile;
mod service;
pub mod ticket;

pub use connector::Connector;
pub use environment::Variables;
pub use file::ConfigFile;
pub use flink::FlinkConf;
pub use hadoop::HadoopConf;
pub use service::Service;

use crate::model::Location;
use crate::storage::settings::{Setting, StoreSettings, names};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Settings that make no sense, or cannot be read. The text holds no value of a setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// They contradict themselves, or their file is not what it should be.
    #[error("{0}")]
    Wrong(String),
    /// They could not be read.
    #[error("{0}")]
    Unreadable(String),
}

/// Every setting of a run.
pub struct Settings {
    config: ConfigFile,
    flink_dir: Option<PathBuf>,
    variables: Variables,
    flink: OnceLock<Result<Option<FlinkConf>, SettingsError>>,
    hadoop: OnceLock<Result<HadoopConf, SettingsError>>,
}

/// The settings that authorise. What there is of them comes from one place as a whole.
pub const CREDENTIALS: &[&str] = &[
    names::ACCESS_KEY,
    names::SECRET_KEY,
    names::SESSION_TOKEN,
    names::ANONYMOUS,
    names::ACCOUNT_KEY,
    names::SAS_TOKEN,
    names::TENANT,
    names::CLIENT_ID,
    names::CLIENT_SECRET,
    names::CREDENTIAL_FILE,
    names::DELEGATION,
];

/// Settings of one source, by name.
type Layer = Vec<(String, Setting)>;

impl Settings {
    /// Those of chkctl's configuration file and of Flink's configuration in `flink_dir`, with the variables of an environment.
    pub fn new(config: ConfigFile, flink_dir: Option<&Path>, variables: Variables) -> Self {
        let flink_dir = flink_dir.map(Path::to_path_buf);
        Settings { config, flink_dir, variables, flink: OnceLock::new(), hadoop: OnceLock::new() }
    }

    /// chkctl's configuration file.
    pub fn config(&self) -> &ConfigFile {
        &self.config
    }

    /// Flink's configuration, where there is a directory of it.
    pub fn flink(&self) -> Result<Option<&FlinkConf>, SettingsError> {
        let read = || self.flink_dir.as_deref().map(FlinkConf::read).transpose();
        self.flink.get_or_init(read).as_ref().map(Option::as_ref).map_err(Clone::clone)
    }

    /// Hadoop's configuration, empty where there is none.
    pub fn hadoop(&self) -> Result<&HadoopConf, SettingsError> {
        let read = || HadoopConf::read(&hadoop::files(self.flink()?, &self.variables), &self.variables);
        self.hadoop.get_or_init(read).as_ref().map_err(Clone::clone)
    }

    /// The settings of the store that has a place; none for a local one, or one of a scheme that nobody knows.
    pub fn of(&self, place: &Location) -> Result<StoreSettings, SettingsError> {
        let Some(service) = Service::of(place) else { return Ok(StoreSettings::default()) };
        let mut layers = vec![self.config.layer(service, place)];
        let mut configured = Layer::new();
        if let Some(flink) = self.flink()? {
            configured.extend(keys::of_flink(service, place, flink));
        }
        configured.extend(keys::of_hadoop(service, place, self.hadoop()?));
        layers.push(configured);
        layers.extend(environment::layers(service, place, &self.variables));
        #[cfg(feature = "object-stores")]
        if service == Service::S3 {
            layers.push(profile::layer(&self.variables)?);
        }
        layers.push(keys::of_uri(service, place));
        Ok(merged(layers))
    }

    /// The part of a path that Flink replaces by random characters (`s3.entropy.key`).
    pub fn entropy_key(&self) -> Result<Option<&str>, SettingsError> {
        Ok(self.flink()?.and_then(|flink| flink.get("s3.entropy.key")))
    }
}

/// The first of each setting; of those that authorise, all of the first layer that has one.
fn merged(layers: Vec<Layer>) -> StoreSettings {
    let mut settings = StoreSettings::default();
    let mut authorised = false;
    for layer in layers {
        let here: Layer = layer.into_iter().filter(|(name, setting)| says_something(name, setting)).collect();
        let authorises = here.iter().any(|(name, _)| CREDENTIALS.contains(&name.as_str()));
        for (name, setting) in here {
            if !authorised || !CREDENTIALS.contains(&name.as_str()) {
                settings.add(name, setting);
            }
        }
        authorised |= authorises;
    }
    settings
}

/// Whether a setting is more than an empty text, or a word for what holds without it.
fn says_something(name: &str, setting: &Setting) -> bool {
    let value = setting.value();
    !value.is_empty() && (name != names::ANONYMOUS || value.eq_ignore_ascii_case("true"))
}

#[cfg(test)]
mod tests;
