//! What is known of the content of missing files: sizes and digests, from the seal of the snapshot, the seals beside it,
//! and the seals and manifests below the directories that are searched.
//!
//! An entry is known by the name of its file, which is a random UUID, and its size: the rule by which a file is taken
//! for another's copy anyway.

use super::Missing;
use crate::model::Location;
use crate::seal::{self, LARGEST, Manifest, Sum};
use crate::storage::{EntryKind, Storage, StorageError};
use crate::survey::SnapshotDir;
use foldhash::{HashMap, HashSet};

/// Manifests that are no more than hints are not read where they are larger: two million files have less.
const LARGEST_HINT: u64 = 256 << 20;

/// Sizes and digests by name.
type Sums = HashMap<String, Vec<Sum>>;

pub(super) struct Known {
    /// What the seal of the snapshot itself says.
    own: Sums,
    /// What others say.
    others: Sums,
}

impl Known {
    /// What a snapshot's own seal and those beside it say of files of some names. The own one must be readable, where
    /// there is one.
    pub(super) fn of(storage: &dyn Storage, source: &SnapshotDir, names: &HashSet<&str>) -> Result<Self, StorageError> {
        let mut known = Known { own: Sums::default(), others: Sums::default() };
        if let Some((_, bytes)) = seal::sealed(storage, source)? {
            add(&mut known.own, &bytes, names);
        }
        if let Some(dir) = seal::directory_of(&source.dir) {
            let entries = storage.list(&dir).unwrap_or_default();
            for entry in
                entries.iter().filter(|entry| entry.kind == EntryKind::File && seal::is_manifest(&dir, &entry.name))
            {
                known.read(storage, &dir.with_suffix(&format!("/{}", entry.name)), names);
            }
        }
        Ok(known)
    }

    /// Adds what a manifest says. One that cannot be read says nothing.
    pub(super) fn read(&mut self, storage: &dyn Storage, manifest: &Location, names: &HashSet<&str>) {
        if let Ok(bytes) = storage.read(manifest, LARGEST_HINT.min(LARGEST)) {
            add(&mut self.others, &bytes, names);
        }
    }

    /// What a missing file held, where that is clear.
    pub(super) fn sum(&self, file: &Missing) -> Option<Sum> {
        let sums = |of: &Sums| -> Vec<Sum> {
            let all = of.get(file.place.name()).into_iter().flatten();
            all.filter(|sum| file.may_have(sum.size)).copied().collect()
        };
        let own = sums(&self.own);
        match if own.is_empty() { sums(&self.others) } else { own }[..] {
            [one] => Some(one),
            _ => None,
        }
    }
}

fn add(sums: &mut Sums, bytes: &[u8], names: &HashSet<&str>) {
    let Ok(manifest) = Manifest::parse(bytes) else { return };
    for (name, sum) in manifest.iter() {
        // A bare name, or a place.
        let name = name.rsplit_once('/').map_or(name, |(_, name)| name);
        if names.contains(name) {
            let known = sums.entry(name.to_owned()).or_default();
            if !known.contains(&sum) {
                known.push(sum);
            }
        }
    }
}
