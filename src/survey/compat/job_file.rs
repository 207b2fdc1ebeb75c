//! Files that describe a job: Flink's REST answers `/jobs/:id/plan` and `/jobs/:id`, a stream graph as `flink info` prints
//! it, and lists that people write.
//!
//! A plan has an id for each vertex (`JsonPlanGenerator`), which is that of the operator at the head of its chain. The
//! operators behind it appear in the description alone, by name. A stream graph (`JSONGenerator`) has no ids at all.

use super::job::{Hidden, Input, Job, JobOperator, MaxParallelism};
use crate::model::OperatorId;
use serde_json::Value;
use yaml_rust2::{Yaml, YamlLoader};

/// The largest file that is taken for the description of a job.
pub const JOB_FILE_LIMIT: u64 = 16 << 20;

/// Reads the description of a job.
///
/// # Errors
/// Says what is wrong, and in which line or entry.
pub fn parse(text: &str) -> Result<Job, String> {
    let start = text.trim_start_matches('\u{feff}').trim_start();
    match serde_json::from_str::<Value>(embedded(start).unwrap_or(start)) {
        Ok(value) => from_value(&value),
        Err(error) if start.starts_with('{') => Err(format!("it starts as JSON, but {error}")),
        Err(_) if is_yaml(text) => from_value(&yaml(text)?),
        Err(_) => from_lines(text),
    }
}

/// The JSON that `flink info` prints between two lines of its own.
fn embedded(text: &str) -> Option<&str> {
    let (first, rest) = text.split_once('\n')?;
    let json = rest.get(..rest.rfind('}')?.checked_add(1)?)?.trim_start();
    (first.starts_with("---") && json.starts_with('{')).then_some(json)
}

fn is_yaml(text: &str) -> bool {
    let lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty() && !line.trim_start().starts_with('#'));
    lines.clone().next().is_some_and(|line| line == "---" || line.starts_with("- ") || line.starts_with('['))
        || lines.into_iter().any(|line| line == "operators:")
}

fn yaml(text: &str) -> Result<Value, String> {
    let documents = YamlLoader::load_from_str(text).map_err(|error| error.to_string())?;
    documents.first().map_or_else(|| Err("it is empty".to_owned()), |document| Ok(json_of(document)))
}

fn json_of(yaml: &Yaml) -> Value {
    match yaml {
        Yaml::String(text) | Yaml::Real(text) => Value::from(text.as_str()),
        Yaml::Integer(number) => Value::from(*number),
        Yaml::Boolean(flag) => Value::from(*flag),
        Yaml::Array(items) => items.iter().map(json_of).collect(),
        Yaml::Hash(map) => {
            let text = |key: &Yaml| match json_of(key) {
                Value::String(text) => text,
                other => other.to_string(),
            };
            Value::Object(map.iter().map(|(key, value)| (text(key), json_of(value))).collect())
        }
        Yaml::Alias(_) | Yaml::Null | Yaml::BadValue => Value::Null,
    }
}

fn from_value(value: &Value) -> Result<Job, String> {
    let name = value["name"].as_str().or_else(|| value["plan"]["name"].as_str()).map(str::to_owned);
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let job = if value["vertices"].is_array() {
        from_plan(&list(&value["vertices"]), &list(&value["plan"]["nodes"]))?
    } else if value["plan"]["nodes"].is_array() {
        from_plan(&list(&value["plan"]["nodes"]), &[])?
    } else if value["nodes"].is_array() {
        from_plan(&list(&value["nodes"]), &[])?
    } else if let Some(items) = value.as_array().or_else(|| value["operators"].as_array()) {
        from_list(items)?
    } else {
        let known = "a plan (nodes), a job (vertices) or a list of operators";
        return Err(format!("it is neither {known}"));
    };
    if job.operators.is_empty() && job.hidden.at_most == Some(0) {
        return Err("it has no operators".to_owned());
    }
    Ok(Job { name, ..job })
}

/// Vertices of a plan or job. `plan` has the inputs and descriptions of the same vertices, where they are elsewhere.
fn from_plan(nodes: &[Value], plan: &[Value]) -> Result<Job, String> {
    let mut job = Job { hidden: Hidden { at_most: Some(0), names: Vec::new() }, ..Job::default() };
    for (index, node) in nodes.iter().enumerate() {
        let more = plan.iter().find(|other| other["id"] == node["id"]).unwrap_or(&Value::Null);
        let text = |keys: &[&str]| {
            let values = keys.iter().flat_map(|key| [more[*key].as_str(), node[*key].as_str()]);
            values.flatten().find(|text| !text.is_empty())
        };
        let description = text(&["description", "name"]);
        let names = description.map(chain).unwrap_or_default();
        // A stream graph numbers its nodes.
        if node["id"].is_number() {
            let name = text(&["type", "contents"]).unwrap_or_default().to_owned();
            hide(&mut job.hidden, Some(1), vec![name]);
            continue;
        }
        let id = node["id"].as_str().unwrap_or_default().parse::<OperatorId>();
        let id = id.map_err(|error| format!("node {}: {error}", index + 1))?;
        hide(
            &mut job.hidden,
            description.map(|_| names.len().saturating_sub(1)),
            names.iter().skip(1).cloned().collect(),
        );
        let inputs = more["inputs"].as_array().or_else(|| node["inputs"].as_array());
        job.operators.push(JobOperator {
            id,
            uid: None,
            name: text(&["name"]).map(str::to_owned).or_else(|| names.first().cloned()),
            parallelism: number(&node["parallelism"]),
            max_parallelism: number(&node["maxParallelism"]).map(MaxParallelism::Seen),
            states: Vec::new(),
            inputs: inputs.into_iter().flatten().filter_map(input).collect(),
        });
    }
    Ok(job)
}

fn hide(hidden: &mut Hidden, count: Option<usize>, names: Vec<String>) {
    hidden.at_most = hidden.at_most.zip(count).map(|(all, count)| all + count);
    hidden.names.extend(names);
}

fn input(value: &Value) -> Option<Input> {
    let from = value["id"].as_str()?.parse().ok()?;
    let all_to_all = match value["ship_strategy"].as_str()? {
        "FORWARD" | "RESCALE" => Some(false),
        "HASH" | "REBALANCE" | "BROADCAST" | "SHUFFLE" | "GLOBAL" => Some(true),
        _ => None,
    };
    Some(Input { from, all_to_all })
}

/// The names in a vertex's description, the head of the chain first. A name that itself looks like a chain counts more
/// than once, so there may be fewer operators than names and never more.
fn chain(description: &str) -> Vec<String> {
    let plain = description.replace("&gt;", ">").replace("&lt;", "<").replace("&amp;", "&");
    let lines: Vec<&str> = plain.split("<br/>").flat_map(str::lines).filter(|line| !line.trim().is_empty()).collect();
    let mut names = Vec::new();
    for line in lines {
        // The tree of `VertexDescriptionMode.TREE`.
        let line = line.trim_start_matches([' ', ':', '|']).trim_start();
        let line = line.strip_prefix("+- ").or_else(|| line.strip_prefix("- ")).unwrap_or(line);
        // `CASCADING`: a -> b -> (c, d -> e), or a [source, source] -> b
        if !line.contains(" -> ") && !line.contains(" [") {
            names.push(line.trim().to_owned());
            continue;
        }
        let parts = line.split(" -> ").flat_map(|part| part.split(", ")).flat_map(|part| part.split(" ["));
        names.extend(parts.map(|name| name.trim().trim_start_matches('(').trim_end_matches(')').to_owned()));
    }
    names
}

fn number(value: &Value) -> Option<i32> {
    let number = match value {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_i64(),
    };
    number.and_then(|number| i32::try_from(number).ok()).filter(|number| *number > 0)
}

fn from_list(items: &[Value]) -> Result<Job, String> {
    let mut job = Job { hidden: Hidden { at_most: Some(0), names: Vec::new() }, ..Job::default() };
    for (index, item) in items.iter().enumerate() {
        let wrong = |what: String| format!("entry {}: {what}", index + 1);
        let mut entry = Entry::default();
        match item {
            Value::String(uid) => entry.uid = Some(uid.clone()),
            Value::Object(fields) => {
                for (key, value) in fields {
                    let text = match value {
                        Value::String(text) => text.clone(),
                        Value::Array(names) => {
                            let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
                            names.join(",")
                        }
                        other => other.to_string(),
                    };
                    entry.set(key, &text).map_err(wrong)?;
                }
            }
            _ => return Err(wrong("it is neither a uid nor a map".to_owned())),
        }
        entry.add_to(&mut job).map_err(wrong)?;
    }
    Ok(job)
}

/// Lines of a uid and `key=value` pairs; `#` starts a comment.
fn from_lines(text: &str) -> Result<Job, String> {
    let mut job = Job { hidden: Hidden { at_most: Some(0), names: Vec::new() }, ..Job::default() };
    for (index, line) in text.lines().enumerate() {
        let wrong = |what: String| format!("line {}: {what}", index + 1);
        let code = if line.trim_start().starts_with('#') { "" } else { line.split(" #").next().unwrap_or_default() };
        let mut entry = Entry::default();
        for (place, word) in code.split_whitespace().enumerate() {
            match word.split_once('=') {
                Some((key, value)) => entry.set(key, value).map_err(wrong)?,
                None if place == 0 => entry.uid = Some(word.to_owned()),
                None => return Err(wrong(format!("{word:?} is no KEY=VALUE (a uid with blanks needs a YAML list)"))),
            }
        }
        if !code.trim().is_empty() {
            entry.add_to(&mut job).map_err(wrong)?;
        }
    }
    match job.operators.is_empty() && job.hidden.at_most == Some(0) {
        true => Err("it has no operators".to_owned()),
        false => Ok(job),
    }
}

/// An operator as people write it.
#[derive(Default)]
struct Entry {
    uid: Option<String>,
    id: Option<OperatorId>,
    name: Option<String>,
    parallelism: Option<i32>,
    max_parallelism: Option<i32>,
    states: Vec<String>,
}

impl Entry {
    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let count = || match value.trim().parse::<i32>() {
            Ok(count) if count > 0 => Ok(Some(count)),
            _ => Err(format!("{key} {value:?} is not a number above 0")),
        };
        match key.replace('-', "_").as_str() {
            "uid" => self.uid = Some(value.to_owned()),
            "id" | "operator_id" | "uid_hash" => self.id = Some(value.trim().parse()?),
            "name" => self.name = Some(value.to_owned()),
            "parallelism" => self.parallelism = count()?,
            "max_parallelism" => self.max_parallelism = count()?,
            "states" => self.states = value.split(',').map(|name| name.trim().to_owned()).collect(),
            _ => return Err(format!("{key:?} is none of uid, id, name, parallelism, max_parallelism, states")),
        }
        Ok(())
    }

    fn add_to(self, job: &mut Job) -> Result<(), String> {
        let id = self.id.or_else(|| self.uid.as_deref().map(OperatorId::from_uid));
        let Some(id) = id else {
            let name = self.name.ok_or("it has neither a uid nor an id nor a name")?;
            hide(&mut job.hidden, Some(1), vec![name]);
            return Ok(());
        };
        if job.operator(id).is_some() {
            return Err(format!("{} stands twice", self.uid.unwrap_or_else(|| id.to_string())));
        }
        job.operators.push(JobOperator {
            id,
            uid: self.uid,
            name: self.name,
            parallelism: self.parallelism,
            max_parallelism: self.max_parallelism.map(MaxParallelism::Explicit),
            states: self.states,
            inputs: Vec::new(),
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_written_as_people_like() {
        let lines = parse("# a job\ncounts parallelism=4 max-parallelism=128\n\nsink # the end\n").expect("lines");
        let yaml = parse("- uid: counts\n  parallelism: 4\n  max_parallelism: 128\n- sink\n").expect("YAML");
        let json = parse(r#"[{"uid":"counts","parallelism":4,"max_parallelism":128},"sink"]"#).expect("JSON");
        assert_eq!(lines, yaml);
        assert_eq!(lines, json);
        assert_eq!(lines.operators[0].id, OperatorId::from_uid("counts"));
        assert_eq!(lines.operators[0].max_parallelism, Some(MaxParallelism::Explicit(128)));
        assert_eq!(lines.hidden.at_most, Some(0));
        let named = parse("operators:\n  - name: Map\n  - id: 0a448493b4782967b150582570326227\n").expect("YAML");
        assert_eq!((named.hidden.at_most, named.operators.len()), (Some(1), 1));
    }

    #[test]
    fn what_is_not_a_job_is_refused_with_its_place() {
        for (text, why) in [
            ("", "it has no operators"),
            ("a parallelism=x", "line 1: parallelism \"x\" is not a number above 0"),
            ("a\na", "line 2: a stands twice"),
            ("two words", "line 1: \"words\" is no KEY=VALUE (a uid with blanks needs a YAML list)"),
            ("- uid: a\n  max: 3", "entry 1: \"max\" is none of uid, id, name, parallelism, max_parallelism, states"),
            ("{\"a\": 1}", "it is neither a plan (nodes), a job (vertices) or a list of operators"),
        ] {
            assert_eq!(parse(text).expect_err(text), why);
        }
        assert!(parse("{\"nodes\": [").expect_err("half").starts_with("it starts as JSON"));
    }

    #[test]
    fn chains_are_counted_in_every_description_that_flink_writes() {
        let count = |text: &str| chain(text).len();
        assert_eq!(count("Source: words<br/>"), 1);
        assert_eq!(count("Source: words -&gt; Map -&gt; (Sink: a, Sink: b)"), 4);
        assert_eq!(chain("Source: words<br/>+- Map<br/>   :- Sink: a<br/>   +- Sink: b<br/>").len(), 4);
        assert_eq!(chain("Window(x, y)<br/>+- Sink: b: Writer<br/>"), ["Window(x, y)", "Sink: b: Writer"]);
        assert_eq!(count("Join [Source: a, Source: b] -&gt; Map"), 4);
    }
}
