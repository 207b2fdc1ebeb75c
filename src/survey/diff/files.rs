//! Which files two snapshots have in common, and which only one of them refers to.

use crate::model::{Location, Metadata};
use crate::survey::extents::Extents;
use crate::survey::references::{self, Extent, Place};
use crate::survey::resolve::{FilePlace, Resolver};
use foldhash::{HashMap, HashMapExt as _};
use serde::Serialize;

/// A file that both refer to, or one of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileChange {
    /// As Flink names it.
    pub path: String,
    /// Bytes of it that the snapshot refers to: the second one, or the one that does.
    pub bytes: u64,
    /// Of them, those that only the second one refers to.
    pub new_bytes: u64,
    /// Bytes that only the first one refers to.
    pub gone_bytes: u64,
}

/// A file of one name that each of them has in a directory of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// Where the first one has it.
    pub from: String,
    /// Where the second one has it.
    pub to: String,
    /// Bytes of it that both refer to.
    pub bytes: u64,
}

/// The files of two snapshots.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Files {
    /// Only the second one refers to them.
    pub added: Vec<FileChange>,
    /// Only the first one does.
    pub gone: Vec<FileChange>,
    /// Both do.
    pub both: Vec<FileChange>,
    /// They have another place, the same name, and the same bytes are referred to.
    pub moved: Vec<Moved>,
}

/// The files of one snapshot, by place, in the order of the `_metadata`.
pub(super) struct Listed {
    order: Vec<(Location, String)>,
    files: HashMap<(Location, String), File>,
}

struct File {
    path: String,
    extents: Vec<Extent>,
}

impl Listed {
    pub fn of<'m>(metadata: &'m Metadata<'m>, exclusive: &Location) -> Self {
        let mut resolver = Resolver::new(exclusive.clone());
        let mut by_place: HashMap<FilePlace<'m>, usize> = HashMap::new();
        let mut files: Vec<(FilePlace<'m>, Vec<Extent>)> = Vec::new();
        let mut invalid: Vec<(String, Extent)> = Vec::new();
        references::walk(metadata, |reference| match resolver.resolve(&reference.place) {
            Ok(place) => {
                let index = *by_place.entry(place).or_insert_with_key(|place| {
                    files.push((place.clone(), Vec::new()));
                    files.len() - 1
                });
                if let Some((_, extents)) = files.get_mut(index) {
                    extents.push(reference.extent);
                }
            }
            Err(_) => {
                let (Place::Absolute(path) | Place::Relative(path)) = &reference.place;
                invalid.push((path.to_string(), reference.extent));
            }
        });
        let dirs: Vec<Location> = resolver.dirs().iter().map(Location::canonical).collect();
        let mut listed = Listed { order: Vec::new(), files: HashMap::with_capacity(files.len()) };
        for (place, extents) in files {
            let Some(dir) = dirs.get(place.dir) else { continue };
            let path = resolver.location(&place).to_string();
            listed.add((dir.clone(), place.name.to_string()), path, extents);
        }
        // A path that Flink refuses is a file that is nowhere, and the same one only by its text.
        for (path, extent) in invalid {
            listed.add((Location::new(None, None, ""), path.clone()), path, vec![extent]);
        }
        listed
    }

    fn add(&mut self, key: (Location, String), path: String, extents: Vec<Extent>) {
        let file = self.files.entry(key).or_insert_with_key(|key| {
            self.order.push(key.clone());
            File { path, extents: Vec::new() }
        });
        file.extents.extend(extents);
    }

    /// How many files there are, and bytes of them that are referred to.
    pub fn sum(&self) -> (u64, u64) {
        let bytes = self.files.values().map(|file| file.extents().bytes());
        (self.files.len() as u64, bytes.fold(0, u64::saturating_add))
    }

    fn each(&self) -> impl Iterator<Item = (&(Location, String), &File)> {
        self.order.iter().filter_map(|key| Some((key, self.files.get(key)?)))
    }
}

impl File {
    fn extents(&self) -> Extents {
        Extents::of(self.extents.iter().copied())
    }
}

/// Compares the files of two snapshots.
pub(super) fn compare(a: &Listed, b: &Listed) -> Files {
    let mut files = Files::default();
    let mut only_a: HashMap<&str, Vec<&File>> = HashMap::new();
    for (key, file) in a.each().filter(|(key, _)| !b.files.contains_key(*key)) {
        only_a.entry(&key.1).or_default().push(file);
    }
    for (key, file) in b.each() {
        let extents = file.extents();
        let bytes = extents.bytes();
        if let Some(other) = a.files.get(key) {
            let other = other.extents();
            let common = extents.common_bytes(&other);
            let (new_bytes, gone_bytes) = (bytes - common, other.bytes() - common);
            files.both.push(FileChange { path: file.path.clone(), bytes, new_bytes, gone_bytes });
            continue;
        }
        // Names are random: the same one elsewhere is a copy.
        let same = only_a.get_mut(key.1.as_str()).filter(|same| same.len() == 1);
        match same.and_then(|same| same.pop_if(|other| other.extents() == extents)) {
            Some(other) => files.moved.push(Moved { from: other.path.clone(), to: file.path.clone(), bytes }),
            None => files.added.push(FileChange { path: file.path.clone(), bytes, new_bytes: bytes, gone_bytes: 0 }),
        }
    }
    let moved: std::collections::HashSet<&str> = files.moved.iter().map(|moved| moved.from.as_str()).collect();
    for (_, file) in a.each().filter(|(key, file)| !b.files.contains_key(*key) && !moved.contains(file.path.as_str())) {
        let bytes = file.extents().bytes();
        files.gone.push(FileChange { path: file.path.clone(), bytes, new_bytes: 0, gone_bytes: bytes });
    }
    files
}
