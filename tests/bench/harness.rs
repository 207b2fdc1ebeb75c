//! Real Flink with the same jobs, in a JVM that `tests/flink/flink.sh` starts.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A JVM with a release of Flink in it, which ends with this value.
pub struct Harness {
    process: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Harness {
    /// Starts a release with so much heap, and with its files in a directory. Fails with the reason why there is no
    /// comparison.
    pub fn start(release: &str, heap: &str, dir: &Path) -> Result<Self, String> {
        if release == "none" {
            return Err("it was not asked for".to_owned());
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/flink/flink.sh");
        let mut command = Command::new("bash");
        command.arg(script).arg(release).stdin(Stdio::piped()).stdout(Stdio::piped());
        command.env("CHKCTL_FLINK_JAVA_OPTS", format!("-Xmx{heap}")).env("TMPDIR", dir);
        let mut process = command.spawn().map_err(|e| format!("bash: {e}"))?;
        let (commands, answers) = (process.stdin.take(), process.stdout.take().ok_or("no stdout")?);
        let mut harness = Harness { process, commands, answers: BufReader::new(answers) };
        harness.answer().map_err(|_| format!("flink.sh {release} says above what is missing"))?;
        Ok(harness)
    }

    /// What it measures.
    pub fn bench(&mut self, words: &str) -> Result<Value, String> {
        let words: Vec<&str> = ["bench"].into_iter().chain(words.split_whitespace()).collect();
        eprintln!("Flink: {} ...", words.join(" "));
        let commands = self.commands.as_mut().ok_or("no stdin")?;
        writeln!(commands, "{}", json!(words)).map_err(|e| e.to_string())?;
        let answer = self.answer()?;
        eprintln!("Flink: {answer}");
        match answer.get("failed") {
            Some(why) => Err(format!("Flink failed: {why}")),
            None => Ok(answer),
        }
    }

    fn answer(&mut self) -> Result<Value, String> {
        let mut line = String::new();
        self.answers.read_line(&mut line).map_err(|e| e.to_string())?;
        serde_json::from_str(&line).map_err(|_| format!("Flink is gone: {line:?}"))
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        self.commands = None;
        let _ = self.process.wait();
    }
}

/// The numbers of a list; of their fields of this name, where they are objects.
pub fn numbers(list: &Value, field: &str) -> Vec<f64> {
    let items = list.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(|item| item.get(field).unwrap_or(item).as_f64()).collect()
}
