//! One stream or one embedded database: what it is and where it is.

use super::heads::Head;
use crate::model::handle::{KeyGroups, OperatorStateInfo};
use crate::model::{ChannelHandle, Location, Metadata};
use crate::survey::finding::{Code, Finding, Severity};
use crate::survey::references::{Owner, StateKind};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::fmt::Write as _;

/// Something to read.
pub(super) struct Task<'a, 'm> {
    /// What is read and what is asked of it, in words that are the same in every snapshot; `None` for state that is
    /// kept in the `_metadata`.
    pub key: Option<String>,
    /// Whose state it is.
    pub owners: Vec<Owner>,
    state: StateKind,
    pub work: Work<'a, 'm>,
}

/// What is to be read.
pub(super) enum Work<'a, 'm> {
    /// One stream.
    Stream { place: Where<'m>, content: Content<'a, 'm> },
    /// What holds the files of an embedded database together.
    Database(Database<'m>),
}

/// Where a stream is.
#[derive(Clone)]
pub(super) enum Where<'m> {
    /// In the `_metadata`.
    Inline(Cow<'m, [u8]>),
    /// A file of its own, as Flink names it, and the size in bytes that its handle says.
    File { file: Location, recorded: Option<u64> },
    /// A part of a merged file.
    Segment { file: Location, start: u64, size: u64 },
}

/// What a stream holds, with what its handles say of it.
pub(super) enum Content<'a, 'm> {
    /// Managed keyed state.
    Keyed { groups: &'a KeyGroups<'m>, max_parallelism: i32 },
    /// Raw keyed state: timers, or something that only its writer knows.
    RawKeyed { groups: &'a KeyGroups<'m>, max_parallelism: i32 },
    /// Managed operator state.
    Operator(&'a [OperatorStateInfo<'m>]),
    /// The description of the states of a database.
    DatabaseMeta,
    /// A file of that name with a part of a database's entries.
    Sst(String),
    /// Changes, from these offsets on; before those of `firsts` a handle has no others.
    Changes { offsets: Vec<i64>, firsts: Vec<i64> },
    /// In-flight buffers.
    Channels(Vec<&'a ChannelHandle<'m>>),
    /// Something that only its writer knows: it is read, and that is all. The name is that of a file of a database.
    Opaque(Option<String>),
}

/// An embedded database.
pub(super) struct Database<'m> {
    /// The description of its states.
    pub meta: Where<'m>,
    pub files: Vec<DatabaseFile<'m>>,
}

/// A file of an embedded database.
pub(super) struct DatabaseFile<'m> {
    /// Its name in the database's directory.
    pub name: String,
    pub place: Where<'m>,
}

/// What reading something has shown.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Outcome {
    /// What is wrong.
    pub found: Vec<Found>,
    /// What could not be understood.
    pub opaque: Vec<String>,
    /// The head of a stream, where it has one that could be read.
    #[serde(default)]
    pub head: Option<Head>,
}

/// Something wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Found {
    pub code: Code,
    pub severity: Severity,
    /// The file, as Flink names it; `None` for state in the `_metadata`.
    pub path: Option<String>,
    /// The name of the file in its embedded database.
    pub local: Option<String>,
    pub message: String,
}

impl Outcome {
    /// Whether a second look may come to something else, though no file changes.
    pub fn is_transient(&self) -> bool {
        self.found.iter().any(|found| found.code == Code::UnreadableFile)
    }
}

impl Where<'_> {
    /// The file, as Flink names it.
    pub fn file(&self) -> Option<&Location> {
        match self {
            Where::File { file, .. } | Where::Segment { file, .. } => Some(file),
            Where::Inline(_) => None,
        }
    }

    /// Bytes to read, as far as the handle says.
    pub fn size(&self) -> u64 {
        match self {
            Where::Inline(bytes) => bytes.len() as u64,
            Where::File { recorded, .. } => recorded.unwrap_or(0),
            Where::Segment { size, .. } => *size,
        }
    }

    /// A text that no other bytes have.
    fn key(&self) -> Option<String> {
        match self {
            Where::Inline(_) => None,
            Where::File { file, .. } => Some(file.canonical().to_string()),
            Where::Segment { file, start, size } => Some(format!("{}#{start}+{size}", file.canonical())),
        }
    }
}

impl<'a, 'm> Task<'a, 'm> {
    /// The task to read a stream.
    pub fn of_stream(owner: Owner, state: StateKind, place: Where<'m>, content: Content<'a, 'm>) -> Self {
        let key = place.key().map(|place| format!("{} {place}", content.word()));
        Task { key, owners: vec![owner], state, work: Work::Stream { place, content } }
    }

    /// The task to read what holds a database together.
    pub fn of_database(owner: Owner, database: Database<'m>) -> Self {
        let mut key = format!("database {}", database.meta.key().unwrap_or_default());
        for file in &database.files {
            let _ = write!(key, " {}={}", file.name, file.place.key().unwrap_or_default());
        }
        let digest = format!("database {}", digest(key.as_bytes()));
        let state = StateKind::DatabasePrivate;
        Task { key: Some(digest), owners: vec![owner], state, work: Work::Database(database) }
    }

    /// Takes over the owners and questions of another task about the same bytes.
    pub fn merge(&mut self, other: Self) {
        for owner in other.owners {
            if !self.owners.contains(&owner) {
                self.owners.push(owner);
            }
        }
        let (Work::Stream { content: mine, .. }, Work::Stream { content: other, .. }) = (&mut self.work, other.work)
        else {
            return;
        };
        match (mine, other) {
            (Content::Changes { offsets, firsts }, Content::Changes { offsets: more_offsets, firsts: more_firsts }) => {
                offsets.extend(more_offsets);
                firsts.extend(more_firsts);
            }
            (Content::Channels(mine), Content::Channels(other)) => mine.extend(other),
            _ => {}
        }
    }

    /// Puts what is asked of the bytes into the key, once all handles are known.
    pub fn seal(&mut self) {
        let Work::Stream { content, .. } = &mut self.work else { return };
        if let Content::Changes { offsets, firsts } = content {
            for all in [offsets, firsts] {
                all.sort_unstable();
                all.dedup();
            }
        }
        if let (Some(key), Some(asked)) = (&mut self.key, content.asked()) {
            let _ = write!(key, " {}", digest(asked.as_bytes()));
        }
    }

    /// The files, as Flink names them.
    pub fn files(&self) -> Box<dyn Iterator<Item = &Location> + '_> {
        match &self.work {
            Work::Stream { place, .. } => Box::new(place.file().into_iter()),
            Work::Database(database) => {
                let files = database.files.iter().filter_map(|file| file.place.file());
                Box::new(database.meta.file().into_iter().chain(files))
            }
        }
    }

    /// Bytes to read, as far as the handles say.
    pub fn size(&self) -> u64 {
        match &self.work {
            Work::Stream { place, .. } => place.size(),
            Work::Database(database) => {
                let files = database.files.iter();
                files.filter(|file| is_read_for_database(&file.name)).map(|file| file.place.size()).sum()
            }
        }
    }

    /// A finding for one of the owners.
    pub fn finding(&self, metadata: &Metadata<'_>, owner: &Owner, found: &Found) -> Finding {
        let state = match found.local.as_deref().or(self.local()) {
            Some(name) => format!("{} {name}", self.state.words()),
            None => self.state.words().to_owned(),
        };
        let mut finding = Finding {
            path: found.path.clone(),
            key_groups: owner.key_groups,
            state: Some(state),
            ..Finding::new(found.code, found.severity, "", found.message.clone())
        };
        if let Some(operator) = metadata.operators.get(owner.operator) {
            finding = finding.of_subtask(operator, owner.subtask);
        }
        match found.severity {
            Severity::Warning => {
                finding.hint("Flink would start from it; an older snapshot that is whole loses nothing but time")
            }
            Severity::Error | Severity::Unknown => finding,
        }
    }

    /// Which heads are compared with each other: those of one operator's keyed or operator state.
    pub fn heads_of(&self) -> impl Iterator<Item = (usize, bool)> + '_ {
        let keyed = match &self.work {
            Work::Stream { content: Content::Keyed { .. } | Content::DatabaseMeta, .. } => Some(true),
            Work::Stream { content: Content::Operator(_), .. } => Some(false),
            _ => None,
        };
        let mut operators: Vec<usize> = self.owners.iter().map(|owner| owner.operator).collect();
        operators.dedup();
        keyed.into_iter().flat_map(move |keyed| operators.clone().into_iter().map(move |operator| (operator, keyed)))
    }

    /// The file of a stream, as Flink names it.
    pub fn path(&self) -> Option<String> {
        match &self.work {
            Work::Stream { place, .. } => place.file().map(ToString::to_string),
            Work::Database(_) => None,
        }
    }

    fn local(&self) -> Option<&str> {
        match &self.work {
            Work::Stream { content: Content::Sst(name) | Content::Opaque(Some(name)), .. } => Some(name),
            _ => None,
        }
    }

    /// Whether reading it to its end shows that nothing is missing, whatever its handle says of the size.
    pub fn proves_its_size(&self) -> bool {
        !matches!(self.work, Work::Stream { content: Content::Opaque(_) | Content::RawKeyed { .. }, .. })
    }
}

/// Whether a file is read for the sake of the whole database.
pub(super) fn is_read_for_database(name: &str) -> bool {
    name == "CURRENT" || name.starts_with("MANIFEST-") || name.starts_with("OPTIONS-")
}

impl Content<'_, '_> {
    fn word(&self) -> &'static str {
        match self {
            Content::Keyed { .. } => "keyed",
            Content::RawKeyed { .. } => "raw",
            Content::Operator(_) => "operator",
            Content::DatabaseMeta => "description",
            Content::Sst(_) => "sst",
            Content::Changes { .. } => "changes",
            Content::Channels(_) => "channels",
            Content::Opaque(_) => "bytes",
        }
    }

    /// What the handles say of the stream.
    fn asked(&self) -> Option<String> {
        match self {
            Content::Keyed { groups, max_parallelism } | Content::RawKeyed { groups, max_parallelism } => {
                Some(format!("{max_parallelism} {:?} {:?} {:?}", groups.range, groups.offsets, groups.class()))
            }
            Content::Operator(states) => Some(format!("{states:?}")),
            Content::Changes { offsets, firsts } => Some(format!("{offsets:?} {firsts:?}")),
            Content::Channels(handles) => {
                Some(handles.iter().map(|handle| format!("{:?} {}", handle.info, handle.size)).collect())
            }
            Content::DatabaseMeta | Content::Sst(_) | Content::Opaque(_) => None,
        }
    }
}

fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().take(16).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
