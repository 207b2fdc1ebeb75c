//! Every stream handle of a `_metadata`, to be changed in place.

use crate::model::handle::{Changelog, Incremental, LocalFile};
use crate::model::{
    ChannelHandle, ChannelSide, KeyGroupRange, KeyedHandle, LocalFiles, Metadata, OperatorHandle, OperatorState,
    StreamHandle, Subtasks,
};
use crate::wire::JavaStr;

/// What a stream is a part of.
#[derive(Debug, Clone, Copy)]
pub struct StreamUse<'u> {
    /// Index of the operator in [`Metadata::operators`].
    pub operator: usize,
    /// Index of the subtask; 0 for the state of a coordinator.
    pub subtask: i32,
    /// The key groups, of keyed state.
    pub key_groups: Option<KeyGroupRange>,
    /// The place of the handle in the `_metadata`.
    pub slot: Slot,
    /// The name of the file in its embedded database, where it is one of those.
    pub local_path: Option<&'u JavaStr<'u>>,
}

/// The places that a stream handle can have in a `_metadata`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Slot {
    /// State of an operator's coordinator; Flink takes it in line only.
    Coordinator,
    /// Managed operator state.
    ManagedOperator,
    /// Raw operator state.
    RawOperator,
    /// A key-group stream of managed keyed state.
    ManagedKeyed,
    /// A key-group stream of raw keyed state.
    RawKeyed,
    /// The description of the states of an embedded database.
    DatabaseMeta,
    /// A file of an embedded database that checkpoints may share.
    DatabaseShared,
    /// A file of an embedded database of this checkpoint alone.
    DatabasePrivate,
    /// A file of changes.
    Changes,
    /// In-flight buffers before an operator.
    InputChannel,
    /// In-flight buffers behind an operator.
    ResultSubpartition,
}

/// Lets `f` change every stream handle, in the order of the file, which is that of
/// `survey::references::walk_streams`. Ends with the first error of `f`; what came before it stays changed.
///
/// A list of files that nothing in was changed stays as it was decoded, so that [`crate::format::encode`] copies it.
/// A handle in the place of a stream (`KeyGroupsStateHandle`) is not shown, but the stream inside it.
pub fn rewrite<'m, E>(
    metadata: &mut Metadata<'m>,
    f: &mut dyn FnMut(StreamUse<'_>, &mut StreamHandle<'m>) -> Result<(), E>,
) -> Result<(), E> {
    metadata.operators.iter_mut().enumerate().try_for_each(|(index, operator)| rewrite_operator(index, operator, f))
}

/// [`rewrite`] for one operator, which stands at `index`.
pub fn rewrite_operator<'m, E>(
    index: usize,
    operator: &mut OperatorState<'m>,
    f: &mut dyn FnMut(StreamUse<'_>, &mut StreamHandle<'m>) -> Result<(), E>,
) -> Result<(), E> {
    let mut walker = Walker { operator: index, subtask: 0, key_groups: None, f };
    if let Some(stream) = &mut operator.coordinator {
        walker.stream(Slot::Coordinator, None, stream)?;
    }
    let Subtasks::Some(subtasks) = &mut operator.subtasks else { return Ok(()) };
    for subtask in subtasks {
        let Some(state) = &mut subtask.state else { continue };
        walker.subtask = subtask.index;
        walker.key_groups = None;
        for (slot, place) in
            [(Slot::ManagedOperator, &mut state.managed_operator), (Slot::RawOperator, &mut state.raw_operator)]
        {
            if let Some(handle) = &mut place.handle {
                walker.operator_handle(slot, handle)?;
            }
        }
        for (slot, place) in [(Slot::ManagedKeyed, &mut state.managed_keyed), (Slot::RawKeyed, &mut state.raw_keyed)] {
            if let Some(handle) = place {
                walker.keyed(slot, handle)?;
            }
        }
        walker.key_groups = None;
        for handle in state.input_channels.iter_mut().chain(&mut state.result_subpartitions) {
            walker.channel(handle)?;
        }
    }
    Ok(())
}

/// Lets `f` change the directories that file-merging handles keep alive (`DirectoryStreamStateHandle`): the one below
/// `taskowned`, then the one below `shared`, in the order of the file.
pub fn rewrite_directories<'m, E>(
    metadata: &mut Metadata<'m>,
    f: &mut dyn FnMut(&mut JavaStr<'m>) -> Result<(), E>,
) -> Result<(), E> {
    for operator in &mut metadata.operators {
        let Subtasks::Some(subtasks) = &mut operator.subtasks else { continue };
        for state in subtasks.iter_mut().filter_map(|subtask| subtask.state.as_deref_mut()) {
            for place in [&mut state.managed_operator, &mut state.raw_operator] {
                if let Some(dirs) = place.handle.as_mut().and_then(|handle| handle.merging.as_deref_mut()) {
                    f(&mut dirs.task_owned)?;
                    f(&mut dirs.shared)?;
                }
            }
        }
    }
    Ok(())
}

struct Walker<'w, 'm, E> {
    operator: usize,
    subtask: i32,
    key_groups: Option<KeyGroupRange>,
    f: &'w mut dyn FnMut(StreamUse<'_>, &mut StreamHandle<'m>) -> Result<(), E>,
}

impl<'m, E> Walker<'_, 'm, E> {
    fn stream(&mut self, slot: Slot, local_path: Option<&JavaStr<'_>>, stream: &mut StreamHandle<'m>) -> Result<(), E> {
        if let StreamHandle::KeyGroups(groups) = stream {
            return self.stream(slot, local_path, &mut groups.stream);
        }
        let Walker { operator, subtask, key_groups, .. } = *self;
        (self.f)(StreamUse { operator, subtask, key_groups, slot, local_path }, stream)
    }

    fn operator_handle(&mut self, slot: Slot, handle: &mut OperatorHandle<'m>) -> Result<(), E> {
        self.stream(slot, None, &mut handle.stream)
    }

    fn keyed(&mut self, slot: Slot, handle: &mut KeyedHandle<'m>) -> Result<(), E> {
        self.key_groups = Some(handle.range());
        match handle {
            KeyedHandle::KeyGroups(h) => self.stream(slot, None, &mut h.stream),
            KeyedHandle::Incremental(h) => self.incremental(h),
            KeyedHandle::Changelog(h) => self.changelog(slot, h),
            KeyedHandle::ChangesInFiles(h) => {
                h.streams.iter_mut().try_for_each(|(_, stream)| self.stream(Slot::Changes, None, stream))
            }
            KeyedHandle::ChangesInMemory(_) => Ok(()),
        }
    }

    fn incremental(&mut self, handle: &mut Incremental<'m>) -> Result<(), E> {
        self.stream(Slot::DatabaseMeta, None, &mut handle.meta)?;
        self.files(Slot::DatabaseShared, &mut handle.shared)?;
        self.files(Slot::DatabasePrivate, &mut handle.private)
    }

    fn files(&mut self, slot: Slot, files: &mut LocalFiles<'m>) -> Result<(), E> {
        if let Some(list) = files.listed_mut() {
            return list.iter_mut().try_for_each(|file| self.stream(slot, Some(&file.local_path), &mut file.stream));
        }
        // Made with the first file that changes, so that a list in which none does costs nothing.
        let mut changed: Option<Vec<LocalFile<'m>>> = None;
        for (index, mut file) in files.iter().enumerate() {
            let before = file.stream.clone();
            let LocalFile { local_path, stream } = &mut file;
            self.stream(slot, Some(local_path), stream)?;
            if let Some(list) = &mut changed {
                list.push(file);
            } else if file.stream != before {
                let mut list = Vec::with_capacity(files.len());
                list.extend(files.iter().take(index));
                list.push(file);
                changed = Some(list);
            }
        }
        if let Some(list) = changed {
            *files = LocalFiles::from(list);
        }
        Ok(())
    }

    fn changelog(&mut self, slot: Slot, handle: &mut Changelog<'m>) -> Result<(), E> {
        handle
            .materialized
            .iter_mut()
            .chain(&mut handle.non_materialized)
            .flatten()
            .try_for_each(|part| self.keyed(slot, part))
    }

    fn channel(&mut self, handle: &mut ChannelHandle<'m>) -> Result<(), E> {
        let slot = match handle.side {
            ChannelSide::Input => Slot::InputChannel,
            ChannelSide::Result => Slot::ResultSubpartition,
        };
        self.stream(slot, None, &mut handle.stream)
    }
}
