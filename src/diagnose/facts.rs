//! What a trace names: the operator and subtask, the file with its snapshot and job, numbers, classes, the release.

use super::events::{EventKind, Events};
use super::trace::Chain;
use crate::model::Location;
use crate::survey::catalog::{checkpoint_number, is_job_id, is_savepoint_name};
use serde::Serialize;

/// What is known from a log of the place of a failure. The fields are those of `diagnose --json`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Facts {
    /// The operator's class or name, as the log has it.
    pub operator_name: Option<String>,
    /// Its id: 32 hex digits.
    pub operator_id: Option<String>,
    /// The subtask, from 0.
    pub subtask: Option<u32>,
    /// How many subtasks there are.
    pub parallelism: Option<u32>,
    /// The task, as the log has it.
    pub task: Option<String>,
    /// The file or directory that it is about.
    pub file: Option<String>,
    /// What sort of file it is, judged by its path.
    pub file_kind: Option<FileKind>,
    /// The directory of the snapshot.
    pub snapshot: Option<String>,
    /// The number of the checkpoint.
    pub checkpoint_id: Option<u64>,
    /// The job that wrote the file or snapshot.
    pub job_id: Option<String>,
    /// The directory above the job's, where other snapshots may be.
    pub root: Option<String>,
    /// The state.
    pub state_name: Option<String>,
    /// Max parallelism of the state.
    pub state_max_parallelism: Option<u32>,
    /// Max parallelism of the program, or its parallelism where that is above the former.
    pub job_max_parallelism: Option<u32>,
    /// Classes that the message names: serializers, state handles, a class that was not found.
    pub classes: Vec<String>,
    /// The scheme of the file system that was asked for.
    pub scheme: Option<String>,
    /// The release of Flink, by the jars in the trace.
    pub flink_version: Option<String>,
}

/// What a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    /// State that one checkpoint has to itself.
    Exclusive,
    /// State in `shared/`.
    Shared,
    /// A file in `taskowned/`.
    TaskOwned,
    /// A segment of the changelog.
    Changelog,
    /// A file in a savepoint.
    Savepoint,
    /// A snapshot's directory or its `_metadata`.
    Snapshot,
    /// A file of the high-availability store.
    HighAvailability,
    /// A file that a sink writes.
    Sink,
    /// Anything else.
    Other,
}

impl Facts {
    /// What a chain names, with what the log says besides.
    pub fn of(chain: &Chain, events: &Events) -> Self {
        let mut facts = Facts::default();
        for thrown in chain.thrown.iter().rev() {
            facts.operator(&thrown.message);
            facts.numbers(&thrown.message);
            facts.names(&thrown.message);
            if let Some(path) = path_in(&thrown.message) {
                facts.take_path(&path);
            }
        }
        facts.task = task_in(&chain.context);
        let frames = || chain.thrown.iter().flat_map(|thrown| &thrown.frames);
        facts.flink_version = frames().find_map(|frame| version_in(frame));
        let restored = events.of(EventKind::Restoring).rfind(|event| event.path.is_some());
        if facts.snapshot.is_none()
            && let Some(path) = restored.and_then(|event| event.path.as_deref())
        {
            facts.place(path, false);
        }
        if let Some(path) = restored.and_then(|event| event.path.as_deref()) {
            facts.in_the_store_of(path);
        }
        facts
    }

    /// Completes paths without a scheme: a NameNode names files by their path alone. They are in the store of the snapshot
    /// that the job was restored from, where they lie beside it.
    fn in_the_store_of(&mut self, restored: &str) {
        let Ok(restored) = Location::parse(restored) else { return };
        let (false, Some(parent)) = (restored.is_local(), restored.parent()) else { return };
        let root = if is_job_id(parent.name()) { parent.parent().unwrap_or(parent) } else { parent };
        let beside = |path: &String| {
            let place = Location::parse(path).ok().filter(|place| place.scheme().is_none())?;
            let place = Location::new(root.scheme(), root.authority(), place.path());
            place.strip_prefix(&root).map(|_| place.to_string())
        };
        if self.file.as_ref().and_then(&beside).is_none() {
            return;
        }
        for path in [&mut self.file, &mut self.snapshot, &mut self.root] {
            *path = path.as_ref().and_then(&beside).or(path.take());
        }
        self.scheme = self.scheme.take().or_else(|| root.scheme().map(str::to_owned));
    }

    fn take_path(&mut self, path: &str) {
        let kind = file_kind(path);
        let better = match self.file_kind {
            None => true,
            Some(FileKind::Other) => !matches!(kind, FileKind::Other),
            Some(FileKind::Snapshot) => !matches!(kind, FileKind::Other | FileKind::Snapshot),
            Some(_) => false,
        };
        if better {
            self.file = Some(path.to_owned());
            self.file_kind = Some(kind);
            self.scheme = path.split_once("://").map(|(scheme, _)| scheme.to_owned()).or(self.scheme.take());
        }
        if self.snapshot.is_none() {
            self.place(path, true);
        }
    }

    /// Takes snapshot, checkpoint, job and root from a path.
    fn place(&mut self, path: &str, file: bool) {
        let Ok(location) = Location::parse(path) else { return };
        let mut at = Some(location);
        while let Some(place) = at {
            let name = place.name().to_owned();
            if let Some(number) = checkpoint_number(&name) {
                self.checkpoint_id = self.checkpoint_id.or(Some(number));
                self.snapshot.get_or_insert_with(|| place.to_string());
                // A path that was handed over as a snapshot may have any name above it.
                if let Some(parent) = place.parent().filter(|parent| !is_job_id(parent.name())) {
                    self.root.get_or_insert_with(|| parent.to_string());
                }
            } else if is_savepoint_name(&name) {
                self.snapshot.get_or_insert_with(|| place.to_string());
                self.root = self.root.take().or_else(|| place.parent().map(|parent| parent.to_string()));
            } else if is_job_id(&name) {
                self.job_id.get_or_insert(name);
                if let Some(parent) = place.parent() {
                    self.root = Some(parent.to_string());
                }
                return;
            } else if !file && self.snapshot.is_none() && name != "_metadata" {
                self.snapshot = Some(place.to_string());
            }
            at = place.parent();
        }
    }

    fn operator(&mut self, message: &str) {
        // "Could not restore keyed state backend for Name_id_(1/2) from any of the 1 provided restore options."
        let subject =
            between(message, "state backend for ", " from any of").or_else(|| between(message, "State for ", " from"));
        if let Some(subject) = subject
            && self.operator_name.is_none()
        {
            let (name, subtask) = subject.rsplit_once('(').unwrap_or((subject, ""));
            if let Some((index, count)) = subtask.trim_end_matches(')').split_once('/') {
                self.subtask = index.parse::<u32>().ok().and_then(|index| index.checked_sub(1));
                self.parallelism = count.parse().ok();
            }
            let name = name.trim_end_matches('_');
            let split = name.len().checked_sub(32).filter(|at| name.is_char_boundary(*at)).map(|at| name.split_at(at));
            match split.filter(|(_, id)| is_job_id(id)) {
                Some((name, id)) => {
                    self.operator_name = Some(name.trim_end_matches('_').to_owned());
                    self.operator_id = Some(id.to_owned());
                }
                None => self.operator_name = Some(name.to_owned()),
            }
        }
        let id =
            ["Cannot map operator ", "state for operator ", "operator for the state ", "Cannot map state of operator "];
        let id = id.iter().find_map(|before| word_after(message, before)).map(|id| id.trim_end_matches([',', '.']));
        if let Some(id) = id.filter(|id| is_job_id(id)) {
            self.operator_id.get_or_insert_with(|| id.to_owned());
        }
        // chkctl's own runtime: "state file … of operator 'name' (id) is missing"
        if let Some((name, rest)) = message.split_once("of operator '").and_then(|(_, rest)| rest.split_once("' (")) {
            let id = rest.get(..32).filter(|id| is_job_id(id)).map(str::to_owned);
            if id.is_some() && self.operator_id.is_none() {
                (self.operator_name, self.operator_id) = (Some(name.to_owned()), id);
            }
        }
    }

    fn numbers(&mut self, message: &str) {
        if let (Some(state), Some(job)) =
            (number_after(message, "with max parallelism "), number_after(message, "new program with max parallelism "))
        {
            self.state_max_parallelism = u32::try_from(state).ok();
            self.job_max_parallelism = u32::try_from(job).ok();
        } else if let (Some(state), Some(job)) =
            (number_after(message, "maximum parallelism ("), number_after(message, "configured parallelism ("))
        {
            self.state_max_parallelism = u32::try_from(state).ok();
            self.job_max_parallelism = u32::try_from(job).ok();
        }
        if self.checkpoint_id.is_none() {
            let before =
                ["retrieve checkpoint ", "materialize checkpoint ", "pending checkpoint ", "perform checkpoint "];
            self.checkpoint_id = before.iter().find_map(|before| number_after(message, before));
        }
        if let Some(scheme) = between(message, "for scheme '", "'") {
            self.scheme.get_or_insert_with(|| scheme.to_owned());
        }
    }

    fn names(&mut self, message: &str) {
        let quoted = ["Unable to restore operator state [", "Unable to restore broadcast state [", "for state ["];
        if let Some(state) = quoted.iter().find_map(|before| between(message, before, "]")) {
            self.state_name.get_or_insert_with(|| state.to_owned());
        }
        let wanted = [
            "serializer (",
            "serializer: ",
            "erializer '",
            "local class incompatible: ",
            "type: class ",
            "found: class ",
            "expected: class ",
        ];
        let mut rest = message;
        while let Some((at, before)) =
            wanted.iter().filter_map(|before| Some((rest.find(before)?, *before))).min_by_key(|(at, _)| *at)
        {
            rest = rest.get(at.saturating_add(before.len())..).unwrap_or_default();
            let end = rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | '$' | '_'))).unwrap_or(rest.len());
            let class = rest.get(..end).unwrap_or_default().trim_end_matches('.');
            if class.contains('.') && self.classes.len() < 4 && !self.classes.iter().any(|known| known == class) {
                self.classes.push(class.to_owned());
            }
        }
    }

    /// A class that a ClassNotFoundException, NoClassDefFoundError or InvalidClassException names.
    pub fn take_class(&mut self, chain: &Chain) {
        let kryo = chain.thrown.iter().find_map(|thrown| word_after(&thrown.message, "Unable to find class: "));
        if let Some(class) = kryo {
            self.classes.insert(0, class.to_owned());
        }
        let names = ["ClassNotFoundException", "NoClassDefFoundError", "InvalidClassException"];
        if let Some(thrown) = chain.thrown.iter().rev().find(|thrown| names.contains(&thrown.simple_class())) {
            let class = thrown.message.split([';', ' ', ':']).next().unwrap_or_default().replace('/', ".");
            if !class.is_empty() && !self.classes.contains(&class) {
                self.classes.insert(0, class);
            }
        }
    }

    /// The subtask as logs have it: `(1/2)`.
    pub fn subtask_words(&self) -> Option<String> {
        Some(format!("({}/{})", self.subtask?.saturating_add(1), self.parallelism?))
    }
}

/// What a path names, judged by Flink's layout.
pub fn file_kind(path: &str) -> FileKind {
    let parts: Vec<&str> = path.split(['/', '\\']).filter(|part| !part.is_empty()).collect();
    let name = parts.last().copied().unwrap_or_default();
    let above = |wanted: &str| parts.iter().rev().skip(1).any(|part| *part == wanted);
    let chk = parts.iter().position(|part| checkpoint_number(part).is_some());
    let savepoint = parts.iter().any(|part| is_savepoint_name(part));
    let job = parts.iter().any(|part| is_job_id(part));
    match () {
        () if name == "_metadata" || checkpoint_number(name).is_some() || is_savepoint_name(name) => FileKind::Snapshot,
        () if chk.is_some() => FileKind::Exclusive,
        () if savepoint => FileKind::Savepoint,
        () if above("dstl") => FileKind::Changelog,
        () if above("shared") && job => FileKind::Shared,
        () if above("taskowned") => FileKind::TaskOwned,
        () if name.starts_with("completedCheckpoint") || name.starts_with("submittedJobGraph") => {
            FileKind::HighAvailability
        }
        () if is_job_id(name) => FileKind::Snapshot,
        () if is_sink_name(name) => FileKind::Sink,
        () => FileKind::Other,
    }
}

fn is_sink_name(name: &str) -> bool {
    let bare = name.trim_start_matches(['.', '_']);
    bare.starts_with("part-")
        || name.contains(".inprogress.")
        || [".avro", ".parquet", ".orc", ".pending", ".manifest", ".log", ".csv"].iter().any(|end| bare.ends_with(end))
}

/// The path that a message names: one of a snapshot before any other.
pub fn path_in(message: &str) -> Option<String> {
    // "/a path (No such file or directory)", in the words of any locale
    let whole = message.strip_suffix(')').and_then(|text| text.rsplit_once(" (")).map(|(path, _)| path.trim());
    if let Some(path) = whole.filter(|path| path.starts_with('/') && !path.contains(" (")) {
        return Some(path.to_owned());
    }
    let is_end = |c: char| c.is_whitespace() || "'\"()<>[]{}|,;，。；".contains(c);
    let tokens = message.split(is_end).map(|token| token.trim_end_matches(['.', ':', '!']));
    let paths = tokens.filter(|token| {
        let rooted = token.starts_with('/') && token.len() > 2 || token.contains(":/") && !token.starts_with("http");
        let inside = ["=/", "/chk-", "/shared/", "/taskowned/", "/savepoint-"].iter().any(|part| token.contains(part));
        (rooted || inside) && !token.contains("flink.apache.org") && !token.starts_with("jar:")
    });
    let paths: Vec<&str> = paths
        .map(|path| {
            path.split_once("=/").map_or(path, |(before, _)| path.get(before.len().saturating_add(1)..).unwrap_or(path))
        })
        .collect();
    // A file of a snapshot tells more than the snapshot, and that more than any other path.
    let rank = |path: &&&str| match file_kind(path) {
        FileKind::Other => 2,
        FileKind::Snapshot => 1,
        _ => 0,
    };
    paths.iter().min_by_key(rank).map(|path| (*path).to_owned())
}

/// The task in a line such as `Map (1/1)#0 (…) switched from RUNNING to FAILED`.
fn task_in(context: &str) -> Option<String> {
    let (before, after) = context.split_once(" switched from ")?;
    if !after.contains("FAILED") {
        return None;
    }
    let name = before.rsplit(" - ").next().unwrap_or(before);
    let name = name.rsplit("\"message\":\"").next().unwrap_or(name).trim();
    // "(1/1)#0 (execution id)": the id is of no use to anybody
    let end =
        name.find("/").and_then(|at| name.get(at..)?.find(')').map(|close| at.saturating_add(close).saturating_add(1)));
    let name = end.and_then(|end| name.get(..end)).unwrap_or(name);
    (!name.is_empty() && !name.starts_with("Job ")).then(|| super::trace::cut(name, 300).to_owned())
}

fn version_in(frame: &str) -> Option<String> {
    let (_, jar) = frame.split_once("flink-dist")?;
    let version = jar.rsplit(':').next()?.trim_end_matches(']');
    let plain = version.starts_with(|c: char| c.is_ascii_digit()) && version.len() < 24 && version.contains('.');
    plain.then(|| version.to_owned())
}

/// The number right after some words.
pub fn number_after(text: &str, before: &str) -> Option<u64> {
    text.match_indices(before).find_map(|(at, _)| {
        let rest = text.get(at.saturating_add(before.len())..)?;
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest.get(..end)?.parse().ok()
    })
}

/// The word right after some others.
pub fn word_after<'t>(text: &'t str, before: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_whitespace().next()
}

/// What stands between two texts.
pub fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(inside, _)| inside)
}

/// The first job id in a line: 32 hex digits.
pub fn job_id_in(line: &str) -> Option<&str> {
    line.split(|c: char| !c.is_ascii_alphanumeric()).find(|word| is_job_id(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: &str = "7537dc3f6f78550f2c00c4916c5759d1";

    #[test]
    fn paths_are_found_in_the_words_of_every_file_system() {
        let chk = format!("/opt/ck/{JOB}/chk-120/75613fb4");
        for (message, path) in [
            (format!("{chk} (No such file or directory)"), chk.clone()),
            (format!("/my dir/{JOB}/chk-1/x (没有那个文件或目录)"), format!("/my dir/{JOB}/chk-1/x")),
            (format!("File does not exist: hdfs://nn:8020{chk}"), format!("hdfs://nn:8020{chk}")),
            (format!("No such file or directory: s3a://b{chk}"), format!("s3a://b{chk}")),
            (format!("no key (Path: s3://b{chk}) at http://h/x"), format!("s3://b{chk}")),
            (format!("Cannot find checkpoint or savepoint file/directory '{chk}' on file system 'file'."), chk),
        ] {
            assert_eq!(path_in(&message), Some(path), "{message}");
        }
        assert_eq!(path_in("a/b of the 1 provided"), None);
    }

    #[test]
    fn a_path_of_a_name_node_is_in_the_store_of_the_snapshot_beside_it() {
        let root = "hdfs://nn:8020/ck";
        for (file, wanted) in [
            (format!("/ck/{JOB}/chk-7/x"), format!("{root}/{JOB}/chk-7/x")),
            ("/ck/other/shared/x".to_owned(), format!("{root}/other/shared/x")),
            ("/elsewhere/x".to_owned(), "/elsewhere/x".to_owned()),
            ("s3://b/ck/x".to_owned(), "s3://b/ck/x".to_owned()),
        ] {
            let mut facts = Facts { file: Some(file), root: Some("/ck".to_owned()), ..Facts::default() };
            facts.in_the_store_of(&format!("{root}/{JOB}/chk-7"));
            assert_eq!(facts.file.as_ref(), Some(&wanted));
            assert_eq!(facts.root.as_deref(), Some(if wanted.starts_with(root) { root } else { "/ck" }));
            facts.in_the_store_of("/ck/chk-7");
            assert_eq!(facts.file, Some(wanted), "a local snapshot says nothing");
        }
    }

    #[test]
    fn what_a_file_is_stands_in_its_path() {
        assert_eq!(file_kind(&format!("/c/{JOB}/chk-3/x")), FileKind::Exclusive);
        assert_eq!(file_kind(&format!("s3://b/{JOB}/shared/x")), FileKind::Shared);
        assert_eq!(file_kind(&format!("/d/{JOB}/dstl/x")), FileKind::Changelog);
        assert_eq!(file_kind("/c/savepoint-7537dc-0123456789ab/x"), FileKind::Savepoint);
        assert_eq!(file_kind(&format!("/c/{JOB}/chk-3/_metadata")), FileKind::Snapshot);
        assert_eq!(file_kind("hdfs://nn/t/metadata/a-00001.avro"), FileKind::Sink);
        assert_eq!(file_kind("/out/2021-02-04--10/.part-0-1.inprogress.abc"), FileKind::Sink);
    }
}
