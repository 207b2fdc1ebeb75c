//! Flink's own configuration.
//!
//! A directory with `flink-conf.yaml` is read as Flink up to 1.20 reads it (a line is `key: value`); otherwise
//! `config.yaml` is real YAML, keys nested or with dots. Where both are there, Flink takes `flink-conf.yaml`
//! (`GlobalConfiguration.loadConfiguration`, 1.20).

use super::SettingsError;
use super::pairs::Pairs;
use crate::storage::settings::Setting;
use std::fs;
use std::path::{Path, PathBuf};
use yaml_rust2::{Yaml, YamlLoader};

/// Every spelling of the directories for checkpoints and savepoints, newest first.
const CHECKPOINT_KEYS: &[&str] =
    &["execution.checkpointing.dir", "state.checkpoints.dir", "state.backend.fs.checkpointdir"];
const SAVEPOINT_KEYS: &[&str] =
    &["execution.checkpointing.savepoint-dir", "state.savepoints.dir", "savepoints.state.backend.fs.dir"];

/// A configuration of Flink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlinkConf {
    file: PathBuf,
    pairs: Pairs,
}

impl FlinkConf {
    /// Reads the configuration in a directory.
    ///
    /// # Errors
    /// `Wrong` where there is none, or one that is not YAML; `Unreadable` where it cannot be read.
    pub fn read(dir: &Path) -> Result<Self, SettingsError> {
        let read = |name: &str| {
            let file = dir.join(name);
            match fs::read_to_string(&file) {
                Ok(text) => Ok(Some((file, text))),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(SettingsError::Unreadable(format!("{}: {error}", file.display()))),
            }
        };
        if let Some((file, text)) = read("flink-conf.yaml")? {
            return Ok(FlinkConf { pairs: lines(&text, &file.display().to_string()), file });
        }
        let Some((file, text)) = read("config.yaml")? else {
            let message = format!("{} holds neither config.yaml nor flink-conf.yaml", dir.display());
            return Err(SettingsError::Wrong(message));
        };
        // The words of the error may be of the content.
        let documents = YamlLoader::load_from_str(&text).map_err(|error| {
            let line = error.marker().line();
            SettingsError::Wrong(format!("{} is not YAML: line {line} cannot be read", file.display()))
        })?;
        let mut pairs = Pairs::default();
        let name = file.display().to_string();
        documents.iter().for_each(|document| flatten(String::new(), document, &mut pairs, &name));
        Ok(FlinkConf { file, pairs })
    }

    /// The file that was read.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.pairs.get(key)
    }

    /// The value of a key, with where it is from.
    pub fn setting(&self, key: &str) -> Option<Setting> {
        self.pairs.setting(key)
    }

    /// All keys.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.pairs.keys()
    }

    /// The value of the first of some keys that has one.
    pub fn first(&self, keys: &[&str]) -> Option<&str> {
        keys.iter().find_map(|key| self.get(key)).filter(|value| !value.is_empty())
    }

    /// The directory for checkpoints.
    pub fn checkpoints(&self) -> Option<&str> {
        self.first(CHECKPOINT_KEYS)
    }

    /// The directory for savepoints, where it is another one.
    pub fn savepoints(&self) -> Option<&str> {
        self.first(SAVEPOINT_KEYS).filter(|savepoints| Some(*savepoints) != self.checkpoints())
    }
}

fn lines(text: &str, file: &str) -> Pairs {
    let mut pairs = Pairs::default();
    let code = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    for (key, value) in code.filter_map(|line| line.split_once(": ")) {
        let (key, value) = (key.trim(), value.trim());
        if !key.is_empty() && !value.is_empty() {
            pairs.set(key, value, file);
        }
    }
    pairs
}

fn flatten(prefix: String, value: &Yaml, into: &mut Pairs, file: &str) {
    match value {
        Yaml::Hash(map) => {
            for (key, value) in map {
                let Some(key) = scalar(key) else { continue };
                let name = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
                flatten(name, value, into, file);
            }
        }
        Yaml::Array(list) => {
            let items: Option<Vec<String>> = list.iter().map(scalar).collect();
            if let Some(items) = items {
                into.set(prefix, items.join(";"), file);
            }
        }
        other => {
            if let Some(text) = scalar(other) {
                into.set(prefix, text, file);
            }
        }
    }
}

/// A value that is no list and no map, as text.
fn scalar(value: &Yaml) -> Option<String> {
    match value {
        Yaml::String(text) | Yaml::Real(text) => Some(text.clone()),
        Yaml::Integer(number) => Some(number.to_string()),
        Yaml::Boolean(flag) => Some(flag.to_string()),
        Yaml::Hash(_) | Yaml::Array(_) | Yaml::Alias(_) | Yaml::Null | Yaml::BadValue => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conf(name: &str, text: &str) -> FlinkConf {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join(name), text).expect("a file");
        FlinkConf::read(dir.path()).expect("a configuration")
    }

    fn roots_of(name: &str, text: &str) -> Vec<String> {
        let conf = conf(name, text);
        conf.checkpoints().into_iter().chain(conf.savepoints()).map(str::to_owned).collect()
    }

    #[test]
    fn both_files_and_both_spellings_are_understood() {
        let old = "# comment\nstate.checkpoints.dir: hdfs://nn/ck # here\nstate.savepoints.dir: file:///sp\n";
        assert_eq!(roots_of("flink-conf.yaml", old), ["hdfs://nn/ck", "file:///sp"]);
        let nested = "execution:\n  checkpointing:\n    dir: s3://b/ck\n    savepoint-dir: s3://b/sp\n";
        assert_eq!(roots_of("config.yaml", nested), ["s3://b/ck", "s3://b/sp"]);
        let flat = "execution.checkpointing.dir: /ck\nstate.savepoints.dir: /sp\n";
        assert_eq!(roots_of("config.yaml", flat), ["/ck", "/sp"]);
        assert!(roots_of("config.yaml", "taskmanager: {numberOfTaskSlots: 2}").is_empty());
    }

    #[test]
    fn numbers_booleans_and_lists_are_values_too() {
        let conf = conf("config.yaml", "s3:\n  path-style-access: true\n  access-key: 1234\n  x: 1.50\n  l: [a, 2]\n");
        let keys = ["s3.path-style-access", "s3.access-key", "s3.x", "s3.l"];
        assert_eq!(keys.map(|key| conf.get(key).unwrap_or_default()), ["true", "1234", "1.50", "a;2"]);
    }

    #[test]
    fn a_file_that_is_not_yaml_is_refused_without_its_words() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("config.yaml"), "s3:\n  secret-key: [hunter2\n  : }").expect("a file");
        let error = FlinkConf::read(dir.path()).expect_err("refused").to_string();
        assert!(error.contains("config.yaml is not YAML") && !error.contains("hunter2"), "{error}");
        assert!(matches!(FlinkConf::read(&dir.path().join("none")), Err(SettingsError::Wrong(_))));
    }
}
