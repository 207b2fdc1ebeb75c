//! Roots and maps from a configuration file, and roots from Flink's own configuration.
//!
//! chkctl's own file is TOML: `roots = ["/checkpoints"]` and `map = ["FROM=TO"]`. Of Flink's,
//!
//! a directory with `flink-conf.yaml` is read as Flink up to 1.20 reads it (a line is `key: value`); otherwise
//! `config.yaml` is real YAML, keys nested or with dots. Where both are there, Flink takes `flink-conf.yaml`
//! (`GlobalConfiguration.loadConfiguration`).

use super::{Exit, failure};
use crate::survey::resolve::PathMap;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use yaml_rust2::{Yaml, YamlLoader};

/// The content of `--config FILE`. A name that is not known is an error: it may be a typing mistake.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConfigFile {
    /// Where to look when no ROOT is given.
    #[serde(default)]
    pub roots: Vec<String>,
    /// Maps as `--map` takes them, which come before these.
    #[serde(default)]
    map: Vec<String>,
}

impl ConfigFile {
    /// Reads the file.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let refuse = |error: String| failure(Exit::Usage, format!("{}: {error}", path.display()));
        let text = fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
        toml::from_str(&text).map_err(|error| refuse(error.to_string()))
    }

    /// Its maps.
    pub(super) fn maps(&self) -> anyhow::Result<Vec<PathMap>> {
        self.map.iter().map(|text| text.parse().map_err(|error: String| failure(Exit::Usage, error))).collect()
    }
}

/// Every spelling of the directories for checkpoints and savepoints, newest first.
const CHECKPOINT_KEYS: &[&str] =
    &["execution.checkpointing.dir", "state.checkpoints.dir", "state.backend.fs.checkpointdir"];
const SAVEPOINT_KEYS: &[&str] =
    &["execution.checkpointing.savepoint-dir", "state.savepoints.dir", "savepoints.state.backend.fs.dir"];

/// The directories that a configuration of Flink names.
pub(super) struct FlinkRoots {
    pub checkpoints: Option<String>,
    pub savepoints: Option<String>,
}

/// The checkpoint and savepoint directories that the configuration in `dir` names.
pub(super) fn roots(dir: &Path) -> anyhow::Result<FlinkRoots> {
    let settings = load(dir)?;
    let first = |keys: &[&str]| keys.iter().find_map(|key| settings.get(*key)).cloned();
    let checkpoints = first(CHECKPOINT_KEYS);
    let savepoints = first(SAVEPOINT_KEYS).filter(|savepoints| Some(savepoints) != checkpoints.as_ref());
    Ok(FlinkRoots { checkpoints, savepoints })
}

fn load(dir: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let read = |name: &str| match fs::read_to_string(dir.join(name)) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failure(Exit::NoVerdict, format!("{}: {error}", dir.join(name).display()))),
    };
    if let Some(text) = read("flink-conf.yaml")? {
        return Ok(lines(&text));
    }
    let Some(text) = read("config.yaml")? else {
        let message = format!("{} holds neither config.yaml nor flink-conf.yaml", dir.display());
        return Err(failure(Exit::Usage, message));
    };
    let documents = YamlLoader::load_from_str(&text)
        .map_err(|error| failure(Exit::Usage, format!("{}: {error}", dir.join("config.yaml").display())))?;
    let mut settings = BTreeMap::new();
    documents.iter().for_each(|document| flatten(String::new(), document, &mut settings));
    Ok(settings)
}

fn lines(text: &str) -> BTreeMap<String, String> {
    let code = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let pairs = code.filter_map(|line| line.split_once(": "));
    let trimmed = pairs.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()));
    trimmed.filter(|(key, value)| !key.is_empty() && !value.is_empty()).collect()
}

fn flatten(prefix: String, value: &Yaml, into: &mut BTreeMap<String, String>) {
    match value {
        Yaml::Hash(map) => {
            for (key, value) in map {
                let Some(key) = key.as_str() else { continue };
                let name = if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") };
                flatten(name, value, into);
            }
        }
        Yaml::String(text) => {
            into.insert(prefix, text.clone());
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roots_of(name: &str, text: &str) -> Vec<String> {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join(name), text).expect("a file");
        let roots = roots(dir.path()).expect("roots");
        roots.checkpoints.into_iter().chain(roots.savepoints).collect()
    }

    #[test]
    fn the_configuration_file_gives_roots_and_maps_and_refuses_what_it_does_not_know() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("chkctl.toml");
        fs::write(&file, "roots = [\"/ck\"]\nmap = [\"hdfs://nn/ck=/mnt\"]\n").expect("a file");
        let config = ConfigFile::read(&file).expect("a configuration");
        assert_eq!((config.roots.len(), config.maps().expect("maps").len()), (1, 1));
        fs::write(&file, "rots = []").expect("a file");
        assert!(ConfigFile::read(&file).is_err());
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
}
