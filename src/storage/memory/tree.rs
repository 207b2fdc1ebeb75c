//! The files and directories of a store in memory, as they are and as a crash would leave them.

use super::CrashKeep;
use crate::model::Location;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

type Names = BTreeMap<String, u64>;

/// The directory that the roots of all stores are in, local files as the empty name.
const TOP: u64 = 0;

#[derive(Debug)]
pub(super) struct Tree {
    nodes: BTreeMap<u64, Node>,
    next: u64,
    pub(super) now: Timestamp,
    /// How often it crashed.
    pub(super) crashes: u64,
    /// Changes that are not durable, in the order in which they were made.
    pending: Vec<Change>,
    /// Nodes that there may be before those are looked for that nothing refers to.
    room: usize,
}

#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) modified: Timestamp,
    pub(super) body: Body,
}

#[derive(Debug, Clone)]
pub(super) enum Body {
    File { bytes: Arc<Vec<u8>>, finished: bool },
    Dir { names: Names, durable: Names },
}

/// A change that is durable as a whole or not at all.
#[derive(Debug, Clone)]
struct Change {
    /// Directory, name, and what has it from then on.
    names: Vec<(u64, String, Option<u64>)>,
    /// The directories whose earlier changes come before this one.
    dirs: BTreeSet<u64>,
}

impl Tree {
    pub(super) fn new(now: Timestamp) -> Self {
        let mut tree = Tree { nodes: BTreeMap::new(), next: 0, now, crashes: 0, pending: Vec::new(), room: 1_000 };
        tree.add(Body::Dir { names: Names::new(), durable: Names::new() });
        tree.create_child(TOP, "");
        tree
    }

    fn add(&mut self, body: Body) -> u64 {
        let node = self.next;
        self.next += 1;
        self.nodes.insert(node, Node { modified: self.now, body });
        node
    }

    pub(super) fn add_file(&mut self, bytes: Vec<u8>, finished: bool) -> u64 {
        self.add(Body::File { bytes: Arc::new(bytes), finished })
    }

    pub(super) fn node(&self, node: u64) -> Option<&Node> {
        self.nodes.get(&node)
    }

    pub(super) fn node_mut(&mut self, node: u64) -> Option<&mut Node> {
        self.nodes.get_mut(&node)
    }

    /// The names in a directory.
    pub(super) fn names(&self, dir: u64) -> Option<&Names> {
        match &self.nodes.get(&dir)?.body {
            Body::Dir { names, .. } => Some(names),
            Body::File { .. } => None,
        }
    }

    pub(super) fn child(&self, dir: u64, name: &str) -> Option<u64> {
        self.names(dir)?.get(name).copied()
    }

    pub(super) fn find(&self, place: &Location) -> Option<u64> {
        let root = self.child(TOP, &store_of(place))?;
        place.components().try_fold(root, |dir, name| self.child(dir, name))
    }

    pub(super) fn find_dir(&self, place: &Location) -> Option<u64> {
        self.find(place).filter(|node| self.names(*node).is_some())
    }

    /// Creates a directory and those above it, durably; `None` where something else has a name.
    pub(super) fn create_dirs(&mut self, place: &Location) -> Option<()> {
        let store = store_of(place);
        let mut dir = TOP;
        for name in std::iter::once(store.as_str()).chain(place.components()) {
            dir = match self.child(dir, name) {
                Some(child) => self.names(child).map(|_| child)?,
                None => self.create_child(dir, name),
            };
        }
        Some(())
    }

    fn create_child(&mut self, dir: u64, name: &str) -> u64 {
        let child = self.add(Body::Dir { names: Names::new(), durable: Names::new() });
        self.change(vec![(dir, name.to_owned(), Some(child))], &[]);
        self.sync(dir);
        child
    }

    /// Makes a name that of a new file with this content, durably.
    pub(super) fn set_file(&mut self, dir: u64, name: &str, bytes: &[u8]) {
        let node = self.add_file(bytes.to_vec(), true);
        self.change(vec![(dir, name.to_owned(), Some(node))], &[]);
        self.sync(dir);
    }

    /// Changes names of directories, all at once. It comes after the earlier changes of these and of `also`.
    pub(super) fn change(&mut self, names: Vec<(u64, String, Option<u64>)>, also: &[u64]) {
        let now = self.now;
        for (dir, name, node) in &names {
            if let Some(Node { modified, body: Body::Dir { names, .. } }) = self.nodes.get_mut(dir) {
                *modified = now;
                set(names, name, *node);
            }
        }
        let dirs = names.iter().map(|(dir, ..)| *dir).chain(also.iter().copied()).collect();
        self.pending.push(Change { names, dirs });
    }

    /// Makes the changes of a directory durable, and what came before them.
    pub(super) fn sync(&mut self, dir: u64) {
        let mut dirs = BTreeSet::from([dir]);
        let mut durable = Vec::new();
        let mut rest = Vec::new();
        for change in std::mem::take(&mut self.pending).into_iter().rev() {
            if change.dirs.is_disjoint(&dirs) {
                rest.push(change);
            } else {
                dirs.extend(&change.dirs);
                durable.push(change);
            }
        }
        rest.reverse();
        self.pending = rest;
        durable.iter().rev().for_each(|change| self.make_durable(change));
        if self.nodes.len() > self.room {
            self.forget_unused();
            self.room = self.nodes.len() * 2 + 1_000;
        }
    }

    fn make_durable(&mut self, change: &Change) {
        for (dir, name, node) in &change.names {
            if let Some(Node { body: Body::Dir { durable, .. }, .. }) = self.nodes.get_mut(dir) {
                set(durable, name, *node);
            }
        }
    }

    /// Drops what has no name, now or after any crash. An open writer's file is of no use without one.
    fn forget_unused(&mut self) {
        let mut pending = vec![TOP];
        pending.extend(self.pending.iter().flat_map(|change| &change.names).filter_map(|(.., node)| *node));
        pending.extend(self.pending.iter().flat_map(|change| &change.dirs));
        let mut used = BTreeSet::new();
        while let Some(node) = pending.pop() {
            if let Some(Node { body: Body::Dir { names, durable }, .. }) =
                self.nodes.get(&node).filter(|_| used.insert(node))
            {
                pending.extend(names.values().chain(durable.values()));
            }
        }
        self.nodes.retain(|node, _| used.contains(node));
    }

    /// What a crash would leave.
    pub(super) fn crashed(&self, keep: CrashKeep) -> Tree {
        let mut random = match keep {
            CrashKeep::Seeded(seed) => Random(seed),
            _ => Random(0),
        };
        let mut left = Tree { nodes: self.nodes.clone(), pending: Vec::new(), crashes: self.crashes + 1, ..*self };
        match keep {
            CrashKeep::None => {}
            CrashKeep::All => self.pending.iter().for_each(|change| left.make_durable(change)),
            CrashKeep::Seeded(_) => self.some(&mut random).for_each(|change| left.make_durable(change)),
        }
        for node in left.nodes.values_mut() {
            match &mut node.body {
                Body::Dir { names, durable } => names.clone_from(durable),
                Body::File { finished: true, .. } => {}
                Body::File { bytes, finished } => {
                    let size = match keep {
                        CrashKeep::None => 0,
                        CrashKeep::All => bytes.len(),
                        CrashKeep::Seeded(_) => random.at_most(bytes.len()),
                    };
                    Arc::make_mut(bytes).truncate(size);
                    *finished = true;
                }
            }
        }
        left.forget_unused();
        left
    }

    /// Of each directory some of the first changes; one that several directories share only if it is among those of each.
    fn some<'t>(&'t self, random: &mut Random) -> impl Iterator<Item = &'t Change> {
        let mut counts = BTreeMap::<u64, usize>::new();
        for dir in self.pending.iter().flat_map(|change| &change.dirs) {
            *counts.entry(*dir).or_default() += 1;
        }
        // What is left of each directory's changes; none once one of them is not kept.
        let mut left: BTreeMap<u64, usize> =
            counts.into_iter().map(|(dir, count)| (dir, random.at_most(count))).collect();
        self.pending.iter().filter(move |change| {
            let kept = change.dirs.iter().all(|dir| left.get(dir).is_some_and(|left| *left > 0));
            for dir in &change.dirs {
                left.entry(*dir).and_modify(|left| *left = if kept { *left - 1 } else { 0 });
            }
            kept
        })
    }

    pub(super) fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        let mut contents = BTreeMap::new();
        let mut pending: Vec<(String, u64)> = Vec::new();
        pending.extend(self.names(TOP).into_iter().flatten().map(|(store, root)| (format!("{store}/"), *root)));
        while let Some((path, dir)) = pending.pop() {
            for (name, node) in self.names(dir).into_iter().flatten() {
                match self.node(*node).map(|node| &node.body) {
                    Some(Body::File { bytes, .. }) => {
                        contents.insert(format!("{path}{name}"), bytes.to_vec());
                    }
                    Some(Body::Dir { .. }) => {
                        contents.insert(format!("{path}{name}/"), Vec::new());
                        pending.push((format!("{path}{name}/"), *node));
                    }
                    None => {}
                }
            }
        }
        contents
    }
}

fn set(names: &mut Names, name: &str, node: Option<u64>) {
    match node {
        Some(node) => names.insert(name.to_owned(), node),
        None => names.remove(name),
    };
}

/// The name of a store's root: scheme and authority, nothing for local files.
fn store_of(place: &Location) -> String {
    let place = place.canonical();
    match (place.scheme(), place.authority()) {
        _ if place.is_local() => String::new(),
        (scheme, authority) => format!("{}://{}", scheme.unwrap_or_default(), authority.unwrap_or_default()),
    }
}

/// Numbers that follow from a seed (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to this, included.
    fn at_most(&mut self, most: usize) -> usize {
        let range = (most as u64).saturating_add(1);
        usize::try_from(self.next() % range).unwrap_or(0)
    }
}
