//! Which files are in use.

use super::tree::{DirId, EntryId, Tree};
use super::uses::Uses;
use foldhash::fast::RandomState;
use foldhash::{HashSet, HashSetExt as _};
use std::hash::BuildHasher as _;

/// Files that must stay.
pub struct Marks {
    files: Vec<bool>,
    names: HashSet<Box<str>>,
    dirs: HashSet<DirId>,
    /// Hashes of the names of all files that are in use.
    used_names: HashSet<u64>,
    hasher: RandomState,
}

impl Marks {
    /// Nothing is in use yet.
    pub fn none(tree: &Tree) -> Self {
        Marks {
            files: vec![false; tree.count()],
            names: HashSet::new(),
            dirs: HashSet::new(),
            used_names: HashSet::new(),
            hasher: RandomState::default(),
        }
    }

    /// Everything that a snapshot refers to is in use.
    pub fn add(&mut self, uses: &Uses) {
        uses.files.iter().for_each(|file| self.mark(*file));
        self.names.extend(uses.names.iter().cloned());
        self.dirs.extend(&uses.dirs);
    }

    /// What a snapshot refers to outside its own directory is in use.
    pub fn add_outside(&mut self, uses: &Uses, tree: &Tree, own: Option<DirId>) {
        uses.files.iter().filter(|file| Some(tree.entry(**file).dir) != own).for_each(|file| self.mark(*file));
        self.names.extend(uses.names.iter().cloned());
        self.dirs.extend(&uses.dirs);
    }

    fn mark(&mut self, file: EntryId) {
        if let Some(slot) = self.files.get_mut(file.index()) {
            *slot = true;
        }
    }

    /// Marks what was named, or is in directories that were, when all has been added.
    pub fn settle(&mut self, tree: &Tree) {
        if !self.names.is_empty() || !self.dirs.is_empty() {
            self.mark_named(tree);
        }
        for entry in tree.all().filter(|entry| self.files.get(entry.id.index()) == Some(&true)) {
            self.used_names.insert(self.hasher.hash_one(entry.name));
        }
    }

    fn mark_named(&mut self, tree: &Tree) {
        let mut inside = self.dirs.clone();
        // Directories below those: a parent may come after its child, so until nothing changes.
        loop {
            let more: Vec<DirId> = tree
                .dirs()
                .filter(|dir| !inside.contains(dir) && tree.parent(*dir).is_some_and(|above| inside.contains(&above)))
                .collect();
            if self.dirs.is_empty() || more.is_empty() {
                break;
            }
            inside.extend(more);
        }
        self.dirs.clone_from(&inside);
        for entry in tree.all() {
            if inside.contains(&entry.dir) || self.names.contains(entry.name) {
                self.mark(entry.id);
            }
        }
    }

    /// Whether a directory is in use as a whole, whatever is in it.
    pub fn holds_dir(&self, dir: DirId) -> bool {
        self.dirs.contains(&dir)
    }

    /// Whether a file of this name is in use, here or elsewhere. Names are random: one that comes twice is a copy's, whose
    /// snapshots need their own files when the original is gone.
    pub fn holds_name(&self, name: &str) -> bool {
        self.used_names.contains(&self.hasher.hash_one(name))
    }

    /// Whether a file is in use.
    pub fn holds(&self, file: EntryId) -> bool {
        self.files.get(file.index()).copied().unwrap_or(true)
    }
}
