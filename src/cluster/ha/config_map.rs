//! A dump of ConfigMaps: `kubectl get configmap -o yaml` or `-o json`.
//!
//! A job has one, `CLUSTER-ID-JOB-config-map` (before 1.15 `CLUSTER-ID-JOB-jobmanager-leader`), with keys `checkpointID-` and 19
//! digits whose values are handles in Base64 (`KubernetesCheckpointStoreUtil`, `KubernetesStateHandleStore`).

use super::{Lost, Pointer, Reach};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use std::collections::BTreeMap;
use yaml_rust2::parser::{Event, EventReceiver, Parser};
use yaml_rust2::{Yaml, YamlLoader};

const KEY: &str = "checkpointID-";

/// YAML nested deeper than any dump. A reader of YAML goes down by itself, and text may be anybody's.
const DEEPEST: usize = 64;

/// The ends of names that the ConfigMap of a job has.
const ENDINGS: [&str; 2] = ["-config-map", "-jobmanager-leader"];

#[derive(Deserialize)]
struct Dump {
    #[serde(default)]
    items: Vec<ConfigMap>,
    #[serde(flatten)]
    one: ConfigMap,
}

#[derive(Deserialize)]
struct ConfigMap {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    metadata: Metadata,
    data: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize, Default)]
struct Metadata {
    #[serde(default)]
    name: String,
}

/// The pointers in a dump.
pub(super) fn pointers(text: &[u8], reach: &Reach<'_>) -> Result<Vec<Pointer>, String> {
    let text = std::str::from_utf8(text).map_err(|_| "it is no text".to_owned())?;
    let maps = if text.trim_start().starts_with('{') { json(text)? } else { yaml(text)? };
    if maps.iter().all(|map| map.kind != "ConfigMap") {
        return Err("no ConfigMap is in it".to_owned());
    }
    let mut found = Vec::new();
    for map in maps.iter().filter(|map| map.kind == "ConfigMap") {
        let job = job_of(&map.metadata.name);
        for (key, value) in map.data.iter().flatten() {
            let Some(digits) = key.strip_prefix(KEY) else { continue };
            let place = format!("{}/{key}", map.metadata.name);
            let id = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
            found.push(match (id, BASE64_STANDARD.decode(value.trim())) {
                (Some(id), Ok(handle)) => reach.follow(place, job.clone(), Some(id), &handle),
                (id, decoded) => {
                    let why = if decoded.is_err() { "its value is not Base64" } else { "its key holds no id" };
                    let checkpoint = Err(Lost { certain: true, why: why.to_owned() });
                    Pointer { found: place, job: job.clone(), id, marked: false, checkpoint }
                }
            });
        }
    }
    Ok(found)
}

/// The id of a job in the name of its ConfigMap.
fn job_of(name: &str) -> Option<String> {
    let rest = ENDINGS.iter().find_map(|ending| name.strip_suffix(ending))?;
    let id = rest.rsplit('-').next()?;
    (id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| id.to_owned())
}

fn json(text: &str) -> Result<Vec<ConfigMap>, String> {
    let dump: Dump = serde_json::from_str(text).map_err(|error| error.to_string())?;
    Ok(dump.items.into_iter().chain([dump.one]).collect())
}

fn yaml(text: &str) -> Result<Vec<ConfigMap>, String> {
    if is_deep(text) {
        return Err("it is nested deeper than a dump of ConfigMaps; take -o json".to_owned());
    }
    // Read without a tree first: an alias is a copy, and copies of copies fill any memory.
    let mut aliases = Aliases(0);
    Parser::new_from_str(text).load(&mut aliases, true).map_err(|error| error.to_string())?;
    if aliases.0 > 0 {
        return Err("it has aliases, which no dump of ConfigMaps has".to_owned());
    }
    let documents = YamlLoader::load_from_str(text).map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    for document in &documents {
        found.extend(document["items"].as_vec().into_iter().flatten().map(map_of));
        found.push(map_of(document));
    }
    Ok(found)
}

/// Counts them.
struct Aliases(u64);

impl EventReceiver for Aliases {
    fn on_event(&mut self, event: Event) {
        self.0 += u64::from(matches!(event, Event::Alias(_)));
    }
}

fn map_of(yaml: &Yaml) -> ConfigMap {
    let text = |yaml: &Yaml| yaml.as_str().unwrap_or_default().to_owned();
    let pair = |(key, value): (&Yaml, &Yaml)| Some((key.as_str()?.to_owned(), value.as_str()?.to_owned()));
    ConfigMap {
        kind: text(&yaml["kind"]),
        metadata: Metadata { name: text(&yaml["metadata"]["name"]) },
        data: yaml["data"].as_hash().map(|data| data.iter().filter_map(pair).collect()),
    }
}

/// Whether text may be nested deeper than is good: by its indentation, by its brackets, by marks at the start of a line.
fn is_deep(text: &str) -> bool {
    let mut open = 0_usize;
    for line in text.lines() {
        let rest = line.trim_start();
        let marks = rest.split(' ').take_while(|word| matches!(*word, "-" | "?" | ":")).count();
        if line.len() - rest.len() > DEEPEST || marks > DEEPEST {
            return true;
        }
        for byte in line.bytes() {
            match byte {
                b'[' | b'{' => open += 1,
                b']' | b'}' => open = open.saturating_sub(1),
                _ => {}
            }
            if open > DEEPEST {
                return true;
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_job_is_in_the_name_of_its_map() {
        let id = "0123456789abcdef0123456789abcdef";
        assert_eq!(job_of(&format!("my-cluster-{id}-config-map")).as_deref(), Some(id));
        assert_eq!(job_of(&format!("c-{id}-jobmanager-leader")).as_deref(), Some(id));
        assert_eq!(job_of("my-cluster-cluster-config-map"), None);
    }

    #[test]
    fn deep_text_is_refused_before_it_is_read() {
        for text in
            ["[".repeat(10_000), "- ".repeat(10_000), format!("{}a: b", " ".repeat(10_000)), "? ".repeat(10_000)]
        {
            assert!(yaml(&text).is_err());
        }
        assert!(json(&"[".repeat(10_000)).is_err());
    }
}
