//! Who refers to a file, or into a directory: every snapshot with the owners of its references.
//!
//! A file is found by the place that a handle leads to, as Flink resolves it, through maps and symbolic links; where
//! nothing is found in that place, by its name, since names of state files are random and do not come twice. Files that
//! are missing can be asked for, too. What cannot be read may refer to anything, and is listed as unknown.

mod directories;
pub mod target;

pub use target::{Target, TargetKind};

use super::catalog::{SnapshotDir, SnapshotState};
use super::extents::Extents;
use super::mentions;
use super::references::{self, Extent, Place, Reference};
use super::resolve::Resolver;
use super::stock::{self, OwnerEntry};
use super::verify::{Judge, METADATA_LIMIT};
use crate::format;
use crate::model::{Location, Metadata};
use crate::storage::{in_parallel, threads_for};
use directories::Directories;
use foldhash::{HashMap, HashMapExt as _, HashSet};
use jiff::Timestamp;
use serde::Serialize;

/// So many references of one snapshot to one file are listed, and all counted.
const LISTED: usize = 10_000;
/// The same for a directory, where there are many files.
const LISTED_OF_DIRECTORY: usize = 100;
/// The length of a UUID as text, the only name that is looked for in operator state.
const UUID: usize = 36;

/// How a reference leads to the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// A handle leads to its place.
    Place,
    /// A handle names a file of its name, and nothing is found where the handle leads to; or only the name was asked for.
    Name,
    /// The snapshot holds on to a directory that it lies in, as a whole (file merging).
    Directory,
    /// State of the snapshot is that of an older checkpoint, in whose directory it lies (version 7).
    Checkpoint,
    /// Operator state mentions its name.
    Mention,
}

/// A reference to the target.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// How it leads there.
    pub how: How,
    /// The file or directory that is referred to, as Flink names it.
    pub path: String,
    /// Which part of the file counts.
    pub extent: Option<Extent>,
    /// Whose state it is, of a handle.
    pub owner: Option<OwnerEntry>,
}

/// A snapshot that refers to the target.
#[derive(Debug, Clone, PartialEq)]
pub struct Referrer {
    /// Its directory.
    pub path: Location,
    /// Its id.
    pub checkpoint_id: i64,
    /// The job that wrote it, from the directory above.
    pub job_id: Option<String>,
    /// When it was completed.
    pub completed_at: Option<Timestamp>,
    /// Whether it lies in the target itself.
    pub inside: bool,
    /// Different files that it refers to.
    pub files: u64,
    /// Bytes of them that it refers to.
    pub bytes: u64,
    /// How many references it has.
    pub references: u64,
    /// The first of them.
    pub found: Vec<Found>,
    /// Which bytes of the file, where the target is one.
    pub extents: Extents,
}

impl Referrer {
    /// The surest way in which it refers to the target.
    pub fn how(&self) -> How {
        self.found.iter().map(|found| found.how).min().unwrap_or(How::Place)
    }
}

/// Who refers to a target.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Refs {
    /// Those who do, in the order of the snapshots.
    pub referrers: Vec<Referrer>,
    /// Places that may hold more, and why that is not known.
    pub unknown: Vec<(Location, String)>,
    /// Snapshots that were read.
    pub read: u64,
    /// Directories of snapshots without a `_metadata`, which refer to nothing yet, or any more.
    pub incomplete: u64,
}

impl Refs {
    /// Which bytes of the file any snapshot refers to, where the target is one.
    pub fn extents(&self) -> Extents {
        self.referrers.iter().fold(Extents::default(), |all, referrer| all.with(&referrer.extents))
    }
}

enum Answer {
    No,
    Incomplete,
    Yes(Box<Referrer>),
    Unknown(String),
    /// It is not known, but so much is.
    Partly(Box<Referrer>, String),
}

/// Asks all snapshots, several at a time. `deep` asks operator state for the name as well, in which a write-ahead sink keeps
/// its handles.
pub fn refs(judge: &Judge<'_>, target: &Target, snapshots: &[SnapshotDir], deep: bool) -> Refs {
    let directories = Directories::new(target, judge.inventory.storage(), &judge.maps);
    judge.progress.expect(snapshots.len() as u64);
    let threads = threads_for(snapshots.iter().map(|snapshot| &snapshot.dir));
    let answers = in_parallel(snapshots, threads, |snapshot| {
        let answer = ask(judge, target, &directories, snapshot, deep);
        judge.progress.advance(1);
        answer
    });
    let mut refs = Refs { unknown: target.unlisted.clone(), ..Refs::default() };
    for (snapshot, answer) in snapshots.iter().zip(answers) {
        refs.read += u64::from(matches!(answer, Answer::No | Answer::Yes(_) | Answer::Partly(..)));
        let (referrer, unknown) = match answer {
            Answer::No => (None, None),
            Answer::Incomplete => {
                refs.incomplete += 1;
                (None, None)
            }
            Answer::Yes(referrer) => (Some(referrer), None),
            Answer::Unknown(why) => (None, Some(why)),
            Answer::Partly(referrer, why) => (Some(referrer), Some(why)),
        };
        refs.referrers.extend(referrer.filter(|referrer| referrer.references > 0).map(|referrer| *referrer));
        refs.unknown.extend(unknown.map(|why| (snapshot.dir.clone(), why)));
    }
    refs
}

fn ask(
    judge: &Judge<'_>,
    target: &Target,
    directories: &Directories<'_>,
    snapshot: &SnapshotDir,
    deep: bool,
) -> Answer {
    match &snapshot.state {
        SnapshotState::Complete { .. } => {}
        SnapshotState::Incomplete { .. } => return Answer::Incomplete,
        SnapshotState::NotAFile => return Answer::Unknown("its _metadata is not a file".to_owned()),
        SnapshotState::Unknown(error) => return Answer::Unknown(error.to_string()),
        SnapshotState::UnlistedDirectory(error) => {
            return Answer::Unknown(format!("it could not be listed, and may hold snapshots: {}", error.message));
        }
    }
    let bytes = match judge.inventory.storage().read(&snapshot.metadata_file, METADATA_LIMIT) {
        Ok(bytes) => bytes,
        Err(error) if error.is_not_found() => return Answer::Incomplete,
        Err(error) => return Answer::Unknown(error.to_string()),
    };
    let metadata = match format::decode(&bytes) {
        Ok(metadata) => metadata,
        Err(error) => return Answer::Unknown(format!("its _metadata cannot be understood: {error}")),
    };
    let mut search = Search::new(judge, target, directories, snapshot, &metadata);
    search.handles();
    search.beside_handles();
    if deep {
        search.operator_state();
    }
    search.answer()
}

/// The search of one snapshot.
struct Search<'r, 's, 'm> {
    judge: &'r Judge<'s>,
    target: &'r Target,
    directories: &'r Directories<'r>,
    snapshot: &'r SnapshotDir,
    metadata: &'m Metadata<'m>,
    referrer: Referrer,
    /// Bytes that are referred to, by file.
    extents: HashMap<String, Vec<Extent>>,
    invalid: Vec<(Reference<'m>, String)>,
    unsure: Option<String>,
    listed: usize,
}

impl<'r, 's, 'm> Search<'r, 's, 'm> {
    fn new(
        judge: &'r Judge<'s>,
        target: &'r Target,
        directories: &'r Directories<'r>,
        snapshot: &'r SnapshotDir,
        metadata: &'m Metadata<'m>,
    ) -> Self {
        let real = target::real_place(judge.inventory.storage(), &snapshot.dir).ok().flatten();
        let inside = target.holds(&snapshot.dir) || real.is_some_and(|dir| target.holds(&dir));
        let referrer = Referrer {
            path: snapshot.dir.clone(),
            checkpoint_id: metadata.checkpoint_id,
            job_id: snapshot.job_id.clone(),
            completed_at: snapshot.completed_at(),
            inside,
            files: 0,
            bytes: 0,
            references: 0,
            found: Vec::new(),
            extents: Extents::default(),
        };
        let listed = if target.kind == TargetKind::Directory { LISTED_OF_DIRECTORY } else { LISTED };
        let (extents, invalid, unsure) = (HashMap::new(), Vec::new(), None);
        Search { judge, target, directories, snapshot, metadata, referrer, extents, invalid, unsure, listed }
    }

    fn add(&mut self, found: impl FnOnce() -> Found) {
        self.referrer.references += 1;
        if self.referrer.found.len() < self.listed {
            self.referrer.found.push(found());
        }
    }

    fn handles(&mut self) {
        let mut resolver = Resolver::new(self.judge.exclusive(&self.snapshot.dir));
        let mut shares = Vec::new();
        let metadata = self.metadata;
        references::walk(metadata, |reference| {
            let file = match resolver.resolve(&reference.place) {
                Ok(file) => file,
                Err(error) => return self.invalid.push((reference, error.to_string())),
            };
            while let Some(dir) = resolver.dirs().get(shares.len()) {
                shares.push(self.directories.share(dir));
            }
            let (Some(share), Some(dir)) = (shares.get(file.dir), resolver.dirs().get(file.dir)) else { return };
            let name: &str = &file.name;
            let by_place = share.whole || share.names.iter().any(|known| **known == *name);
            let how = match by_place {
                true => How::Place,
                false if self.target.has_name(name) && self.directories.may_be_the_target(dir, name) => How::Name,
                false => return,
            };
            let path = resolver.location(&file).to_string();
            self.extents.entry(path.clone()).or_default().push(reference.extent);
            let owner = || Some(stock::owner(metadata, &reference));
            self.add(|| Found { how, path, extent: Some(reference.extent), owner: owner() });
        });
        self.unsure = shares.iter().find_map(|share| share.unsure.clone());
    }

    /// Paths that Flink refuses, directories as a whole, older checkpoints.
    fn beside_handles(&mut self) {
        for (reference, _) in std::mem::take(&mut self.invalid) {
            let (Place::Absolute(path) | Place::Relative(path)) = &reference.place;
            let path = path.to_string();
            if path.rsplit(['/', '\\']).next().is_some_and(|name| self.target.has_name(name)) {
                let owner = Some(stock::owner(self.metadata, &reference));
                self.extents.entry(path.clone()).or_default().push(reference.extent);
                self.add(|| Found { how: How::Name, path, extent: Some(reference.extent), owner });
            }
        }
        let also = stock::also_used(self.metadata, &[]);
        for dir in also.dirs {
            if self.directories.holds_target(&dir) {
                self.add(|| Found { how: How::Directory, path: dir.to_string(), extent: None, owner: None });
            }
        }
        let above = self.snapshot.dir.parent();
        for id in also.checkpoints {
            let Some(dir) = above.as_ref().map(|above| above.with_suffix(&format!("/chk-{id}"))) else { continue };
            if self.target.lies_in(&dir) || self.target.holds(&dir) {
                self.add(|| Found { how: How::Checkpoint, path: dir.to_string(), extent: None, owner: None });
            }
        }
    }

    fn operator_state(&mut self) {
        let names = self.target.names.iter().map(|name| &**name).filter(|name| name.len() == UUID);
        let wanted: HashSet<&str> = names.collect();
        if wanted.is_empty() {
            return;
        }
        match mentions::mentioned(self.judge, self.snapshot, &wanted) {
            Ok(mut names) => {
                names.sort_unstable();
                names.dedup();
                for name in names {
                    self.add(|| Found { how: How::Mention, path: name.to_owned(), extent: None, owner: None });
                }
            }
            Err(why) => self.unsure = self.unsure.take().or(Some(why)),
        }
    }

    fn answer(self) -> Answer {
        let Search { mut referrer, extents, unsure, target, .. } = self;
        referrer.files = extents.len() as u64;
        for extents in extents.into_values() {
            let extents = Extents::of(extents);
            referrer.bytes = referrer.bytes.saturating_add(extents.bytes());
            if target.kind != TargetKind::Directory {
                referrer.extents = referrer.extents.with(&extents);
            }
        }
        match (referrer.references > 0, unsure) {
            (_, Some(why)) => Answer::Partly(Box::new(referrer), why),
            (true, None) => Answer::Yes(Box::new(referrer)),
            (false, None) => Answer::No,
        }
    }
}
