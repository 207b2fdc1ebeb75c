//! chkctl's own configuration file.
//!
//! It is TOML: `roots` and `map`, roots with names (`[root.NAME]`), and settings of stores, for all of a service (`[s3]`) or for
//! one store (`[store."s3://bucket"]`). What is not known is an error, as it may be a typing mistake; no error shows a value.

use super::keys;
use super::pairs::is_sensitive;
use super::service::Service;
use super::{Layer, SettingsError};
use crate::model::Location;
use crate::storage::settings::{Setting, names};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use toml::{Table, Value};

/// The content of `--config FILE`.
#[derive(Debug, Clone, Default)]
pub struct ConfigFile {
    /// Where to look when no ROOT is given.
    pub roots: Vec<String>,
    /// Maps as `--map` takes them, which come before these.
    pub maps: Vec<String>,
    named: BTreeMap<String, String>,
    services: Vec<(Service, Layer)>,
    stores: Vec<(Location, Layer)>,
    file: Option<String>,
}

/// What settings of an object store may be called.
const NAMES: &[&str] = &[
    names::ENDPOINT,
    names::REGION,
    names::ACCESS_KEY,
    names::SECRET_KEY,
    names::SESSION_TOKEN,
    names::PATH_STYLE,
    names::ANONYMOUS,
    names::ACCOUNT,
    names::ACCOUNT_KEY,
    names::SAS_TOKEN,
    names::TENANT,
    names::CLIENT_ID,
    names::CLIENT_SECRET,
    names::CREDENTIAL_FILE,
    names::ROLE,
    names::USER,
    names::DELEGATION,
];

impl ConfigFile {
    /// Reads the file.
    ///
    /// # Errors
    /// `Wrong` where it is not what it should be, or not there.
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        let file = path.display().to_string();
        let wrong = |why: String| SettingsError::Wrong(format!("{file}: {why}"));
        let text = fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        let table = text.parse::<Table>().map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            wrong(format!("line {} is not TOML: {}", before.matches('\n').count() + 1, error.message()))
        })?;
        let mut config = ConfigFile { file: Some(file.clone()), ..ConfigFile::default() };
        for (key, value) in &table {
            config.add(key, value).map_err(wrong)?;
        }
        Ok(config)
    }

    fn add(&mut self, key: &str, value: &Value) -> Result<(), String> {
        let service = Service::ALL.into_iter().find(|service| service.section() == key);
        match (key, service) {
            ("roots", _) => self.roots = strings(key, value)?,
            ("map", _) => self.maps = strings(key, value)?,
            ("root", _) => {
                for (name, root) in table(key, value)? {
                    let path = path_of(name, root)?;
                    if name.is_empty() || name.contains('/') {
                        return Err(format!("[root.{name:?}]: a name has letters, and no slash"));
                    }
                    self.named.insert(name.clone(), path);
                }
            }
            ("store", _) => {
                for (place, section) in table(key, value)? {
                    let name = format!("store.{place:?}");
                    let place = Location::parse(place).map_err(|error| error.to_string())?;
                    let service =
                        Service::of(&place).ok_or_else(|| format!("[{name}] names no store that is known"))?;
                    if !matches!(place.path(), "" | "/") {
                        return Err(format!("[{name}] has a path; settings are for a store as a whole"));
                    }
                    let layer = self.section(&name, service, section)?;
                    self.stores.push((place, layer));
                }
            }
            (_, Some(service)) => {
                let layer = self.section(key, service, value)?;
                self.services.push((service, layer));
            }
            (_, None) => {
                let services = Service::ALL.map(Service::section).join(", ");
                return Err(format!("unknown key {key:?}; there are roots, map, root, store, {services}"));
            }
        }
        Ok(())
    }

    /// The settings of a section.
    fn section(&self, section: &str, service: Service, value: &Value) -> Result<Layer, String> {
        let mut layer = Layer::new();
        let file = self.file.as_deref().unwrap_or_default();
        for (name, value) in table(section, value)? {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Boolean(flag) => flag.to_string(),
                Value::Integer(number) => number.to_string(),
                _ => return Err(format!("{name} in [{section}] is neither text, nor a number, true or false")),
            };
            if service != Service::Hdfs && !NAMES.contains(&name.as_str()) {
                return Err(format!("unknown setting {name:?} in [{section}]; there are {}", NAMES.join(", ")));
            }
            let origin = format!("{name} of [{section}] in {file}");
            let secret = keys::is_secret(name) || is_sensitive(name);
            let setting = if secret { Setting::secret(text, origin) } else { Setting::new(text, origin) };
            layer.push((name.clone(), keys::with_scheme(name, setting, true)));
        }
        Ok(layer)
    }

    /// The file, where there is one.
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// What it says of the store of a place, what is said of this one store first.
    pub(super) fn layer(&self, service: Service, place: &Location) -> Layer {
        let same = |store: &&(Location, Layer)| {
            let (store, place) = (store.0.canonical(), place.canonical());
            store.scheme() == place.scheme() && store.authority() == place.authority()
        };
        let stores = self.stores.iter().filter(same).map(|(_, layer)| layer);
        let services = self.services.iter().filter(|(of, _)| *of == service).map(|(_, layer)| layer);
        stores.chain(services).flatten().cloned().collect()
    }

    /// What a place that is given as `@NAME` or `@NAME/below` stands for; any other as it is.
    ///
    /// # Errors
    /// `Wrong` where no root has the name.
    pub fn named(&self, text: &str) -> Result<String, SettingsError> {
        let Some(rest) = text.strip_prefix('@') else { return Ok(text.to_owned()) };
        let (name, below) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        match self.named.get(name) {
            Some(path) => Ok(format!("{}{below}", path.trim_end_matches('/'))),
            None if self.named.is_empty() => Err(SettingsError::Wrong(format!(
                "{text:?} names a root of the configuration file, which has none (./{text} is a file of this name)"
            ))),
            None => {
                let known: Vec<String> = self.named.keys().map(|name| format!("@{name}")).collect();
                Err(SettingsError::Wrong(format!("no root is named {name:?}; there are {}", known.join(", "))))
            }
        }
    }
}

fn table<'v>(name: &str, value: &'v Value) -> Result<&'v Table, String> {
    value.as_table().ok_or_else(|| format!("{name} is not a table"))
}

fn strings(name: &str, value: &Value) -> Result<Vec<String>, String> {
    let list = value.as_array().and_then(|list| list.iter().map(|item| item.as_str().map(str::to_owned)).collect());
    list.ok_or_else(|| format!("{name} is not a list of texts"))
}

fn path_of(name: &str, root: &Value) -> Result<String, String> {
    let root = table(&format!("root.{name}"), root)?;
    if let Some(other) = root.keys().find(|key| *key != "path") {
        return Err(format!("unknown key {other:?} in [root.{name}]; there is path"));
    }
    let path = root.get("path").and_then(Value::as_str).filter(|path| !path.is_empty());
    path.map(str::to_owned).ok_or_else(|| format!("[root.{name}] has no path"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ConfigFile, SettingsError> {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("chkctl.toml");
        fs::write(&file, text).expect("a file");
        ConfigFile::read(&file)
    }

    #[test]
    fn the_configuration_file_gives_roots_and_maps_and_refuses_what_it_does_not_know() {
        let config = read("roots = [\"/ck\"]\nmap = [\"hdfs://nn/ck=/mnt\"]\n").expect("a configuration");
        assert_eq!((config.roots.len(), config.maps.len()), (1, 1));
        for (text, why) in [
            ("rots = []", "unknown key \"rots\""),
            ("[root.a]\npaths = \"/x\"", "unknown key \"paths\""),
            ("[root.a]", "has no path"),
            ("[s3]\nend-point = \"x\"", "unknown setting \"end-point\""),
            ("[store.\"s3://b/c\"]\nendpoint = \"x\"", "has a path"),
            ("[store.\"/c\"]\nendpoint = \"x\"", "names no store"),
            ("roots = \"/ck\"", "not a list"),
        ] {
            let error = read(text).expect_err(text).to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn a_root_has_a_name_and_what_lies_below_it_too() {
        let config = read("[root.prod]\npath = \"s3://b/ck/\"\n[root.test]\npath = \"/t\"").expect("a configuration");
        assert_eq!(config.named("@prod/job/chk-7"), Ok("s3://b/ck/job/chk-7".to_owned()));
        assert_eq!(config.named("@test"), Ok("/t".to_owned()));
        assert_eq!(config.named("x@test"), Ok("x@test".to_owned()));
        let error = config.named("@pord").expect_err("unknown").to_string();
        assert!(error.contains("@prod, @test"), "{error}");
    }

    #[test]
    fn no_error_shows_a_value() {
        for text in [
            "[s3]\nsecret-key = hunter2",
            "[s3]\nsecret-key = [\"hunter2\"]",
            "[s3]\nsecret-key = \"hunter2",
            "s3 = \"hunter2\"",
            "[s3]\nsecret-key = \"hunter2\"\nsecret-key = \"hunter2\"",
            "root = \"hunter2\"",
            "roots = [\"hunter2\", 1]",
        ] {
            let error = read(text).expect_err(text).to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
        let config = read("[s3]\nsecret-key = \"hunter2\"").expect("a configuration");
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
