//! What the tests share: cases of real Flink, unpacked where a test may damage them, and the binary.

use serde_json::Value;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// Where the trees were when Flink wrote them; their handles say so.
pub const FLINK_ROOT: &str = "/opt/flink/checkpoints";

/// The directory with the fixtures.
pub fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata")
}

/// The archives of all cases, by name.
pub fn archives() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(testdata().join("corpus"))
        .expect("testdata/corpus")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.to_string_lossy().ends_with(".tar.zst"))
        .collect();
    found.sort();
    assert!(!found.is_empty(), "testdata/corpus holds no cases");
    found
}

/// A case of real Flink, unpacked into a directory of its own.
pub struct Case {
    /// Its name, such as `wc-claim-1.20.5`.
    pub name: String,
    /// The directory that stands for [`FLINK_ROOT`].
    pub root: PathBuf,
    _dir: TempDir,
}

impl Case {
    /// Unpacks the case of this name.
    pub fn named(name: &str) -> Self {
        Self::unpack(&testdata().join("corpus").join(format!("{name}.tar.zst")))
    }

    /// Unpacks an archive.
    pub fn unpack(archive: &Path) -> Self {
        let name = archive.file_name().expect("a name").to_string_lossy().replace(".tar.zst", "");
        let dir = tempfile::tempdir().expect("a directory");
        let file = BufReader::new(File::open(archive).unwrap_or_else(|e| panic!("{}: {e}", archive.display())));
        let stream = ruzstd::decoding::StreamingDecoder::new(file).expect("zstd");
        tar::Archive::new(stream).unpack(dir.path()).expect("a tar archive");
        Case { name, root: dir.path().to_path_buf(), _dir: dir }
    }

    /// The tree of the case.
    pub fn tree(&self) -> PathBuf {
        self.root.join(&self.name)
    }

    /// What Flink's own classes say of the case.
    pub fn expected(&self) -> Value {
        self.json("expected")
    }

    /// How the case was made, and what real Flink said when it restored from it.
    pub fn story(&self) -> Value {
        self.json("case")
    }

    fn json(&self, kind: &str) -> Value {
        let path = self.root.join(format!("{}.{kind}.json", self.name));
        let text = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        serde_json::from_slice(&text).expect("JSON")
    }

    /// The place here of a path or `file:` URI that Flink wrote.
    pub fn here(&self, path: &str) -> PathBuf {
        let path = path.strip_prefix("file:").unwrap_or(path);
        let rest = path.strip_prefix(FLINK_ROOT).unwrap_or_else(|| panic!("{path} is not below {FLINK_ROOT}"));
        self.root.join(rest.trim_start_matches('/'))
    }

    /// `--map FLINK_ROOT=here`.
    pub fn map(&self) -> String {
        format!("{FLINK_ROOT}={}", self.root.display())
    }

    /// Runs chkctl with the map of this case behind the arguments.
    pub fn chkctl<I: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = I>) -> Run {
        let mut command = command();
        command.args(args).arg("--map").arg(self.map());
        Run::of(command)
    }
}

/// The binary, with nothing of the environment that changes what it does.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chkctl"));
    for name in ["FLINK_CONF_DIR", "CHKCTL_CONFIG", "NO_COLOR"] {
        command.env_remove(name);
    }
    let of_clouds = ["ALIBABA_", "AWS_", "AZURE_", "GOOGLE_", "HADOOP_", "OBS_", "OSS_", "TENCENTCLOUD_"];
    for (name, _) in std::env::vars_os() {
        if of_clouds.iter().any(|cloud| name.to_string_lossy().starts_with(cloud)) {
            command.env_remove(name);
        }
    }
    command.env("COLUMNS", "120");
    command
}

/// How a run of the binary ended.
pub struct Run {
    /// What it printed.
    pub stdout: String,
    /// What it said.
    pub stderr: String,
    /// Its exit status.
    pub status: i32,
}

impl Run {
    /// Runs a command to its end.
    pub fn of(mut command: Command) -> Self {
        let Output { status, stdout, stderr } = command.output().expect("the binary runs");
        Run {
            stdout: String::from_utf8(stdout).expect("UTF-8 on stdout"),
            stderr: String::from_utf8(stderr).expect("UTF-8 on stderr"),
            status: status.code().expect("an exit status"),
        }
    }

    /// Its output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}\n{}{}", self.stdout, self.stderr))
    }
}

/// All `_metadata` files below a directory.
pub fn metadata_files(root: &Path) -> Vec<PathBuf> {
    let files = walkdir::WalkDir::new(root).sort_by_file_name().into_iter().map(|entry| entry.expect("an entry"));
    files.filter(|entry| entry.file_name() == "_metadata").map(|entry| entry.into_path()).collect()
}
