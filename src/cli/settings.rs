//! Roots from Flink's own configuration.
//!
//! A directory with `flink-conf.yaml` is read as Flink up to 1.20 reads it (a line is `key: value`); otherwise
//! `config.yaml` is real YAML, keys nested or with dots. Where both are there, Flink takes `flink-conf.yaml`
//! (`GlobalConfiguration.loadConfiguration`).

use super::{Exit, failure};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use yaml_rust2::{Yaml, YamlLoader};

/// Every spelling of the directories for checkpoints and savepoints, newest first.
const CHECKPOINT_KEYS: &[&str] =
    &["execution.checkpointing.dir", "state.checkpoints.dir", "state.backend.fs.checkpointdir"];
const SAVEPOINT_KEYS: &[&str] =
    &["execution.checkpointing.savepoint-dir", "state.savepoints.dir", "savepoints.state.backend.fs.dir"];

/// The checkpoint and savepoint directories that the configuration in `dir` names.
pub(super) fn roots(dir: &Path) -> anyhow::Result<Vec<String>> {
    let settings = load(dir)?;
    let first = |keys: &[&str]| keys.iter().find_map(|key| settings.get(*key)).cloned();
    let mut roots: Vec<String> = [first(CHECKPOINT_KEYS), first(SAVEPOINT_KEYS)].into_iter().flatten().collect();
    roots.dedup();
    Ok(roots)
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
        roots(dir.path()).expect("roots")
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
