//! Metrics for a monitoring system: a file in the text format of Prometheus, as the textfile collector of `node_exporter`
//! reads it.
//!
//! The format is that of "Exposition formats, text-based format" in the documentation of Prometheus (version 0.0.4): lines end
//! with a line feed, `HELP` and `TYPE` come before the samples of a family, which stand together.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

/// A file that is to be read for the time of the last success is smaller.
const LARGEST: u64 = 4 << 20;

/// Families of samples. All are gauges: a file has no memory to count on in. Text is the same for the same samples, whatever
/// the order they came in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metrics {
    /// Labels that every sample has, which come first.
    common: Vec<(&'static str, String)>,
    families: BTreeMap<&'static str, Family>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Family {
    help: &'static str,
    /// Labels in the text format, and the value.
    samples: BTreeMap<String, String>,
}

impl Metrics {
    /// None yet. All samples are going to have these labels: a collector that reads several files takes no sample twice.
    pub fn labelled(common: Vec<(&'static str, String)>) -> Self {
        Metrics { common, families: BTreeMap::new() }
    }

    /// A gauge, with samples as they are added to it. Names and labels are of letters, digits and underscores.
    pub fn gauge(&mut self, name: &'static str, help: &'static str) -> Gauge<'_> {
        debug_assert!(is_name(name), "{name}");
        let family = self.families.entry(name).or_insert_with(|| Family { help, samples: BTreeMap::new() });
        Gauge { common: &self.common, family }
    }
}

/// A family that samples are added to. Of two with the same labels the last counts.
pub struct Gauge<'m> {
    common: &'m [(&'static str, String)],
    family: &'m mut Family,
}

impl Gauge<'_> {
    /// Adds a sample without labels, where its value is known.
    pub fn set(&mut self, value: impl Into<Option<u64>>) -> &mut Self {
        self.set_labelled(&[], value)
    }

    /// Adds a sample with labels, where its value is known.
    pub fn set_labelled(&mut self, labels: &[(&'static str, &str)], value: impl Into<Option<u64>>) -> &mut Self {
        let Some(value) = value.into() else { return self };
        let common = self.common.iter().map(|(name, label)| (*name, label.as_str()));
        self.family.samples.insert(labels_text(common.chain(labels.iter().copied())), value.to_string());
        self
    }
}

/// Labels in the text format; nothing where there are none.
fn labels_text<'l>(labels: impl Iterator<Item = (&'static str, &'l str)>) -> String {
    let mut text = String::new();
    for (name, label) in labels {
        debug_assert!(is_name(name), "{name}");
        let _ = write!(text, "{}{name}=\"{}\"", if text.is_empty() { "{" } else { "," }, Quoted(label));
    }
    if !text.is_empty() {
        text.push('}');
    }
    text
}

impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, family) in self.families.iter().filter(|(_, family)| !family.samples.is_empty()) {
            let help = family.help.replace('\\', "\\\\").replace('\n', "\\n");
            writeln!(f, "# HELP {name} {help}\n# TYPE {name} gauge")?;
            for (labels, value) in &family.samples {
                writeln!(f, "{name}{labels} {value}")?;
            }
        }
        Ok(())
    }
}

/// The value of a label.
struct Quoted<'t>(&'t str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

fn is_name(name: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(is_letter) && name.chars().all(|c| is_letter(c) || c.is_ascii_digit())
}

/// The commands that write metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// `chkctl latest`.
    Latest,
    /// `chkctl prune`.
    Prune,
    /// `chkctl verify`.
    Verify,
}

impl Command {
    /// Its name on the command line.
    fn name(self) -> &'static str {
        match self {
            Command::Latest => "latest",
            Command::Prune => "prune",
            Command::Verify => "verify",
        }
    }

    /// The families that tell when it ended, when it last succeeded, and its exit code.
    fn families(self) -> [&'static str; 3] {
        match self {
            Command::Latest => [
                "chkctl_latest_last_run_timestamp_seconds",
                "chkctl_latest_last_success_timestamp_seconds",
                "chkctl_latest_exit_code",
            ],
            Command::Prune => [
                "chkctl_prune_last_run_timestamp_seconds",
                "chkctl_prune_last_success_timestamp_seconds",
                "chkctl_prune_exit_code",
            ],
            Command::Verify => [
                "chkctl_verify_last_run_timestamp_seconds",
                "chkctl_verify_last_success_timestamp_seconds",
                "chkctl_verify_exit_code",
            ],
        }
    }
}

/// What a run has to tell. What is not known, since the run did not come that far or looked for something else, is `None` or
/// empty, and then there is no such line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunMetrics {
    /// The command.
    pub command: Command,
    /// The places that it was asked about, as they were given.
    pub roots: Vec<String>,
    /// When the run ended, in seconds since 1970.
    pub finished: u64,
    /// When the last run that succeeded ended: this one, or what [`RunMetrics::last_success_in`] reads of the file before.
    pub last_success: Option<u64>,
    /// The exit code of the run.
    pub exit_code: u8,
    /// Job directories, and the age in seconds of the newest snapshot of each that can be restored.
    pub last_restorable_age: Vec<(String, u64)>,
    /// Verdicts, and how many snapshots have each.
    pub snapshots: Vec<(String, u64)>,
    /// Files that snapshots refer to and that are not there.
    pub missing_files: Option<u64>,
    /// Files that nothing refers to.
    pub orphan_files: Option<u64>,
    /// Their size in bytes.
    pub orphan_bytes: Option<u64>,
    /// Bytes that the run removed, or put aside to be removed.
    pub reclaimed_bytes: Option<u64>,
    /// Codes of what was refused, and how often.
    pub refused: Vec<(String, u64)>,
}

impl RunMetrics {
    /// What every run can tell.
    pub fn new(command: Command, roots: Vec<String>, finished: u64, exit_code: u8) -> Self {
        RunMetrics {
            command,
            roots,
            finished,
            last_success: (exit_code == 0).then_some(finished),
            exit_code,
            last_restorable_age: Vec::new(),
            snapshots: Vec::new(),
            missing_files: None,
            orphan_files: None,
            orphan_bytes: None,
            reclaimed_bytes: None,
            refused: Vec::new(),
        }
    }

    /// Labels that keep the samples of this command and these roots apart from those of others.
    fn labels(&self) -> Vec<(&'static str, String)> {
        vec![("command", self.command.name().to_owned()), ("roots", self.roots.join(" "))]
    }

    /// The text of the run.
    pub fn text(&self) -> String {
        let mut metrics = Metrics::labelled(self.labels());
        let mut all = |name, help, label, samples: &[(String, u64)]| {
            let mut gauge = metrics.gauge(name, help);
            for (value, count) in samples {
                gauge.set_labelled(&[(label, value)], *count);
            }
        };
        all(
            "chkctl_last_restorable_age_seconds",
            "Age of the newest snapshot of a job that can be restored.",
            "job",
            &self.last_restorable_age,
        );
        all("chkctl_snapshots", "Snapshots below the roots, by verdict.", "state", &self.snapshots);
        let refused = "What the last prune left alone, by the code of the reason.";
        all("chkctl_prune_refused", refused, "reason", &self.refused);
        let [last_run, last_success, exit_code] = self.command.families();
        for (name, help, value) in [
            ("chkctl_missing_files", "Files that snapshots refer to and that are not there.", self.missing_files),
            ("chkctl_orphan_files", "Files that no snapshot refers to.", self.orphan_files),
            ("chkctl_orphan_bytes", "Size of the files that no snapshot refers to.", self.orphan_bytes),
            ("chkctl_prune_reclaimed_bytes", "Bytes that the last prune removed or put aside.", self.reclaimed_bytes),
            (last_run, "When the last run ended.", Some(self.finished)),
            (last_success, "When the last run that succeeded ended.", self.last_success),
            (exit_code, "Exit code of the last run.", Some(self.exit_code.into())),
        ] {
            metrics.gauge(name, help).set(value);
        }
        metrics.to_string()
    }

    /// When the last run of the same command for the same roots that succeeded ended, by a file that [`write_metrics`] wrote:
    /// seconds since 1970. `None` where there is no such file, or no such line in it, or not in the way that it was written.
    pub fn last_success_in(&self, path: &Path) -> Option<u64> {
        // Opening a pipe would wait for a writer.
        fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        let mut content = Vec::new();
        File::open(path).ok()?.take(LARGEST).read_to_end(&mut content).ok()?;
        let content = String::from_utf8_lossy(&content);
        let labels = self.labels();
        let [_, last_success, _] = self.command.families();
        let start =
            format!("{last_success}{} ", labels_text(labels.iter().map(|(name, label)| (*name, label.as_str()))));
        let value = content.lines().find_map(|line| line.strip_prefix(&start))?;
        value.bytes().all(|b| b.is_ascii_digit()).then(|| value.parse().ok())?
    }
}

/// Makes `text` the content of a file, as a whole or not at all, readable by all (mode 0644): a collector may read at any time,
/// and as another user. What is there and is no plain file (a pipe, a device, a link) is left as it is, an error.
pub fn write_metrics(path: &Path, text: &str) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => {}
        Ok(_) => {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "something is there that is not a plain file"));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Hidden, and without the ending that a collector looks for.
    let mut file = tempfile::Builder::new().prefix(".chkctl-metrics.").suffix(".tmp").tempfile_in(dir)?;
    file.write_all(text.as_bytes())?;
    readable_by_all(file.as_file())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    sync(dir)
}

#[cfg(unix)]
fn readable_by_all(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable_by_all(_: &File) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(not(unix))]
fn sync(_: &Path) -> io::Result<()> {
    Ok(())
}
