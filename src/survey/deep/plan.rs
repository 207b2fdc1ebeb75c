//! From a `_metadata` to what has to be read: one task for each stream and each embedded database.
//!
//! Several handles may mean one file (buffers of several channels, changes of several subtasks, a file of a database that
//! two subtasks of a rescaled job share); it is read once, with all of them in mind.

use super::task::{Content, Database, DatabaseFile, Task, Where, is_read_for_database};
use crate::model::handle::{Changelog, ChangesInFiles, Incremental};
use crate::model::{ChannelHandle, ChannelSide, KeyedHandle, Location, Metadata, OperatorHandle, StreamHandle};
use crate::survey::references::{Owner, Place, StateKind};
use crate::survey::resolve::Resolver;
use foldhash::HashMap;

/// The tasks of a snapshot whose `_metadata` lies in `exclusive`, a place as Flink sees it. References whose path Flink
/// refuses are not among them; they are findings already.
pub(super) fn tasks<'a, 'm>(metadata: &'a Metadata<'m>, exclusive: Location) -> Vec<Task<'a, 'm>> {
    let mut plan = Plan { resolver: Resolver::new(exclusive), tasks: Vec::new(), by_key: HashMap::default() };
    for (index, operator) in metadata.operators.iter().enumerate() {
        let mut owner = Owner { operator: index, subtask: 0, key_groups: None };
        if let Some(stream) = &operator.coordinator {
            plan.stream(owner, StateKind::Coordinator, stream, Content::Opaque(None));
        }
        for subtask in operator.subtasks() {
            let Some(state) = &subtask.state else { continue };
            owner.subtask = subtask.index;
            owner.key_groups = None;
            state.operator_handles().for_each(|(raw, handle)| plan.operator(owner, raw, handle));
            for (raw, handle) in state.keyed_handles() {
                plan.keyed(owner, raw, operator.max_parallelism, handle);
            }
            state.channel_handles().for_each(|handle| plan.channel(owner, handle));
        }
    }
    plan.tasks.iter_mut().for_each(Task::seal);
    plan.tasks
}

struct Plan<'a, 'm> {
    resolver: Resolver<'m>,
    tasks: Vec<Task<'a, 'm>>,
    by_key: HashMap<String, usize>,
}

impl<'a, 'm> Plan<'a, 'm> {
    fn operator(&mut self, owner: Owner, raw: bool, handle: &'a OperatorHandle<'m>) {
        let (state, content) = match raw {
            true => (StateKind::RawOperator, Content::Opaque(None)),
            false => (StateKind::ManagedOperator, Content::Operator(&handle.states)),
        };
        self.stream(owner, state, &handle.stream, content);
    }

    fn keyed(&mut self, mut owner: Owner, raw: bool, max_parallelism: i32, handle: &'a KeyedHandle<'m>) {
        owner.key_groups = Some(handle.range());
        match handle {
            KeyedHandle::KeyGroups(groups) => {
                let (state, content) = match raw {
                    true => (StateKind::RawKeyed, Content::RawKeyed { groups, max_parallelism }),
                    false => (StateKind::ManagedKeyed, Content::Keyed { groups, max_parallelism }),
                };
                self.stream(owner, state, &groups.stream, content);
            }
            KeyedHandle::Incremental(database) => self.database(owner, database),
            KeyedHandle::Changelog(changelog) => self.changelog(owner, raw, max_parallelism, changelog),
            KeyedHandle::ChangesInFiles(changes) => self.changes(owner, changes, false),
            // In the `_metadata` itself, and checked with it.
            KeyedHandle::ChangesInMemory(_) => {}
        }
    }

    fn changelog(&mut self, mut owner: Owner, raw: bool, max_parallelism: i32, handle: &'a Changelog<'m>) {
        for part in handle.materialized.iter().flatten() {
            self.keyed(owner, raw, max_parallelism, part);
        }
        for (number, part) in handle.non_materialized.iter().flatten().enumerate() {
            match part {
                KeyedHandle::ChangesInFiles(changes) => {
                    owner.key_groups = Some(part.range());
                    self.changes(owner, changes, number == 0);
                }
                part => self.keyed(owner, raw, max_parallelism, part),
            }
        }
    }

    /// Plans changes; `are_first` says that the handle has none before them.
    fn changes(&mut self, owner: Owner, changes: &'a ChangesInFiles<'m>, are_first: bool) {
        let own = changes.storage.as_ref().is_none_or(|storage| storage.as_modified_utf8() == b"filesystem");
        for (number, (offset, stream)) in changes.streams.iter().enumerate() {
            let firsts = if are_first && number == 0 { vec![*offset] } else { Vec::new() };
            let content = Content::Changes { offsets: vec![*offset], firsts };
            match own {
                true => self.stream(owner, StateKind::Changes, stream, content),
                false => self.stream(owner, StateKind::ForeignChanges, stream, Content::Opaque(None)),
            }
        }
    }

    fn channel(&mut self, owner: Owner, handle: &'a ChannelHandle<'m>) {
        let state = match handle.side {
            ChannelSide::Input => StateKind::InputChannel,
            ChannelSide::Result => StateKind::ResultSubpartition,
        };
        self.stream(owner, state, &handle.stream, Content::Channels(vec![handle]));
    }

    fn database(&mut self, owner: Owner, handle: &'a Incremental<'m>) {
        self.stream(owner, StateKind::DatabaseMeta, &handle.meta, Content::DatabaseMeta);
        let shared = handle.shared.iter().map(|file| (StateKind::DatabaseShared, file));
        let private = handle.private.iter().map(|file| (StateKind::DatabasePrivate, file));
        let mut files = Vec::new();
        for (state, file) in shared.chain(private) {
            let name = file.local_path.to_string();
            let Some(place) = self.place_of(&file.stream) else { continue };
            if !is_read_for_database(&name) {
                let local = name.clone();
                let content = if name.ends_with(".sst") { Content::Sst(local) } else { Content::Opaque(Some(local)) };
                self.add(Task::of_stream(owner, state, place.clone(), content));
            }
            files.push(DatabaseFile { name, place });
        }
        if let Some(meta) = self.place_of(&handle.meta) {
            self.add(Task::of_database(owner, Database { meta, files }));
        }
    }

    fn stream(&mut self, owner: Owner, state: StateKind, stream: &'a StreamHandle<'m>, content: Content<'a, 'm>) {
        if let Some(place) = self.place_of(stream) {
            self.add(Task::of_stream(owner, state, place, content));
        }
    }

    /// Where a stream is; `None` for one that is empty, or at a path that Flink refuses.
    fn place_of(&mut self, stream: &StreamHandle<'m>) -> Option<Where<'m>> {
        let (place, extent) = match stream {
            StreamHandle::Bytes(bytes) => return Some(Where::Inline(bytes.data.clone())),
            StreamHandle::File { size, path } => (Place::Absolute(path.clone()), Err(*size)),
            StreamHandle::Relative { size, path } => (Place::Relative(path.clone()), Err(*size)),
            StreamHandle::Segment(segment) => {
                let extent = (u64::try_from(segment.start).ok()?, u64::try_from(segment.size).ok()?);
                (Place::Absolute(segment.path.clone()), Ok(extent))
            }
            StreamHandle::EmptySegment => return None,
            StreamHandle::KeyGroups(groups) => return self.place_of(&groups.stream),
        };
        let file = self.resolver.resolve(&place).ok()?;
        let place = self.resolver.location(&file);
        Some(match extent {
            Ok((start, size)) => Where::Segment { file: place, start, size },
            Err(size) => Where::File { file: place, recorded: u64::try_from(size).ok() },
        })
    }

    /// Adds a task, or its owner and what else it is to look at to the one that reads the same bytes already.
    fn add(&mut self, task: Task<'a, 'm>) {
        let same = task.key.as_ref().and_then(|key| self.by_key.get(key)).and_then(|&at| self.tasks.get_mut(at));
        match same {
            Some(known) => known.merge(task),
            None => {
                if let Some(key) = &task.key {
                    self.by_key.insert(key.clone(), self.tasks.len());
                }
                self.tasks.push(task);
            }
        }
    }
}
