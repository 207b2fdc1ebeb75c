//! Flink's own classes on the same `_metadata`, in a JVM: `tests/flink/LoadMetadata.java`.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;
use tempfile::TempDir;

/// As much memory as it wants, and the collector that disturbs least: this is Flink at its best.
const JVM: [&str; 3] = ["-Xmx6g", "-XX:+UseParallelGC", "-Dlog4j2.level=OFF"];

/// The release that is measured.
const RELEASE: &str = "1.20.5";

/// A release of Flink that can be run.
pub struct Flink {
    class_path: String,
    _classes: TempDir,
}

/// What Flink made of a `_metadata`.
pub struct Loaded {
    /// Size in bytes of all state in it.
    pub state_size: i64,
    /// How long each run took.
    pub times: Vec<Duration>,
}

impl Flink {
    /// Finds the jars and compiles the program. Fails with the reason why there is no comparison.
    pub fn find() -> Result<Self, String> {
        let jars = home()?.join(RELEASE).join("lib");
        if !jars.is_dir() {
            return Err(format!("there is no {}; tests/flink/fetch.sh {RELEASE} gets it", jars.display()));
        }
        let classes = tempfile::tempdir().map_err(|e| e.to_string())?;
        let jars = format!("{}/*", jars.display());
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/flink/LoadMetadata.java");
        let mut javac = Command::new("javac");
        javac.args(["-cp", &jars, "-d"]).arg(classes.path()).arg(source);
        output(javac)?;
        Ok(Flink { class_path: format!("{}:{jars}", classes.path().display()), _classes: classes })
    }

    /// Loads the `_metadata` in a directory so many times in one JVM.
    pub fn load(&self, dir: &Path, runs: usize) -> Result<Loaded, String> {
        let mut java = Command::new("java");
        java.args(JVM).args(["-cp", &self.class_path, "LoadMetadata"]);
        java.arg(dir).arg(runs.to_string());
        let text = output(java)?;
        let mut lines = text.lines();
        let state_size = lines.next().and_then(|line| line.parse().ok());
        let times: Option<Vec<f64>> = lines.map(|line| line.parse().ok()).collect();
        match (state_size, times) {
            (Some(state_size), Some(times)) if times.len() == runs => Ok(Loaded {
                state_size,
                times: times.into_iter().map(|millis| Duration::from_secs_f64(millis / 1e3)).collect(),
            }),
            _ => Err(format!("LoadMetadata printed {text:?}")),
        }
    }
}

/// The directory that `fetch.sh` unpacks releases into, side by side.
fn home() -> Result<PathBuf, String> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    match (set("CHKCTL_FLINK_HOME"), set("HOME")) {
        (Some(home), _) => Ok(home.into()),
        (None, Some(user)) => Ok(PathBuf::from(user).join(".cache/chkctl/flink")),
        (None, None) => Err("neither CHKCTL_FLINK_HOME nor HOME is set".to_owned()),
    }
}

fn output(mut command: Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let Output { status, stdout, stderr } = command.output().map_err(|e| format!("{program}: {e}"))?;
    if !status.success() {
        return Err(format!("{program}: {status}: {}", String::from_utf8_lossy(&stderr)));
    }
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}
