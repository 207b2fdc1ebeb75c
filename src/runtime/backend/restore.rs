//! Restoring the keyed state of a subtask, at whatever parallelism it was written.

use super::keyed::KeyedBackend;
use super::table::StateTable;
use super::unclaimed::Unclaimed;
use crate::runtime::restore::{KeyedPiece, RestoredOperator};
use crate::runtime::snapshot::SnapshotLayout;
use crate::state::canonical::CanonicalReader;
use crate::state::heap::HeapReader;
use crate::state::{KeyType, KeyedBody, KeyedHeader, ranges};
use crate::wire::Decoded;
use anyhow::Context;
use std::ops::Range;

impl<K: KeyType> KeyedBackend<K> {
    /// Restores what the snapshot has for the key groups of this subtask. All states must be registered before.
    pub(super) fn restore(&mut self) -> anyhow::Result<()> {
        let Some(restored) = self.context.restored.clone() else { return Ok(()) };
        for piece in &restored.keyed {
            let mine = self.mine(piece);
            if mine.is_empty() {
                continue;
            }
            let bytes = piece.stream.read()?;
            let ranges = ranges(&piece.offsets, bytes.len());
            // Before Flink 1.14, canonical savepoints have the handle of heap checkpoints; before 1.15, full checkpoints of
            // RocksDB as well (`FullSnapshotAsyncWriter`).
            let body = match piece.layout {
                SnapshotLayout::Heap => KeyedBody::of(&bytes, piece.range.start, &piece.offsets),
                SnapshotLayout::Canonical => KeyedBody::Canonical,
            };
            let result = match body {
                KeyedBody::Heap => self.restore_heap(&bytes, &ranges, piece, mine),
                KeyedBody::Canonical => self.restore_canonical(&bytes, &ranges, piece, mine, &restored),
            };
            result.with_context(|| format!("the keyed state of {} cannot be restored", self.context.name))?;
        }
        self.tables.iter_mut().for_each(|table| table.restored());
        Ok(())
    }

    /// The key groups of a piece that belong to this subtask.
    fn mine(&self, piece: &KeyedPiece) -> Range<i32> {
        let end = |start: i32, count: i32| start.saturating_add(count.max(0));
        let first = piece.range.start.max(self.range.start);
        first..end(piece.range.start, piece.range.count).min(end(self.range.start, self.range.count))
    }

    /// For each state of the header, the table that takes it.
    fn match_states(&self, header: &KeyedHeader) -> anyhow::Result<Vec<Option<usize>>> {
        header.key.resolves_to(&K::serializer()).map_err(|why| {
            anyhow::anyhow!("The new key serializer must be compatible with the previous key serializer: {why}")
        })?;
        let find = |state: &crate::state::StateMeta| {
            let Some(table) = self.tables.iter().position(|table| table.meta().name == state.name) else {
                return Ok(None);
            };
            state.resolves_to(self.tables[table].meta()).map_err(|why| {
                anyhow::anyhow!(
                    "For state '{}', the new state serializer must not be incompatible with the old one: {why}",
                    state.name.escape_debug()
                )
            })?;
            Ok(Some(table))
        };
        header.states.iter().map(find).collect()
    }

    fn restore_heap(
        &mut self,
        bytes: &[u8],
        ranges: &[Range<u64>],
        piece: &KeyedPiece,
        mine: Range<i32>,
    ) -> anyhow::Result<()> {
        let reader = HeapReader::new(bytes)?;
        let tables = self.match_states(reader.header())?;
        for group in mine {
            let range = usize::try_from(group - piece.range.start).ok().and_then(|at| ranges.get(at));
            let range = range.with_context(|| format!("the handle has no offset for key group {group}"))?;
            let at = usize::try_from(group - self.range.start)?;
            let group = reader.key_group(group, range)?;
            let mut sections = group.sections()?;
            while let Some(section) = sections.next()? {
                match tables[section.state] {
                    Some(table) => self.tables[table].restore_heap(at, section.count, sections.reader())?,
                    None => {
                        let raw = sections.raw(reader.header(), section)?.to_vec();
                        let meta = &reader.header().states[section.state];
                        self.keep(meta, at, section.count, raw)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Keeps the entries of a state that nobody asked for.
    fn keep(&mut self, meta: &crate::state::StateMeta, at: usize, count: usize, bytes: Vec<u8>) -> anyhow::Result<()> {
        let index = match self.unclaimed.iter().position(|state| state.meta.name == meta.name) {
            Some(index) => index,
            None => {
                log::info!("{} keeps state '{}', which the job does not use.", self.context.name, meta.name);
                self.unclaimed.push(Unclaimed { meta: meta.clone(), groups: Default::default() });
                self.unclaimed.len() - 1
            }
        };
        let state = &mut self.unclaimed[index];
        meta.resolves_to(&state.meta).map_err(|why| anyhow::anyhow!("state '{}' has two types: {why}", meta.name))?;
        let kept = state.groups.entry(at).or_default();
        kept.0 += count;
        kept.1.extend_from_slice(&bytes);
        Ok(())
    }

    fn restore_canonical(
        &mut self,
        bytes: &[u8],
        ranges: &[Range<u64>],
        piece: &KeyedPiece,
        mine: Range<i32>,
        restored: &RestoredOperator,
    ) -> anyhow::Result<()> {
        let reader = CanonicalReader::new(bytes, self.groups.max_parallelism)?;
        let tables = self.match_states(reader.header())?;
        for (state, _) in reader.header().states.iter().zip(&tables).filter(|(_, table)| table.is_none()) {
            anyhow::ensure!(
                restored.allow_non_restored,
                "the savepoint has state '{}', which the job does not use; to drop it, use --allow-non-restored-state (-n)",
                state.name.escape_debug()
            );
            log::info!("{} drops state '{}', which the job does not use.", self.context.name, state.name);
        }
        for group in mine {
            let range = usize::try_from(group - piece.range.start).ok().and_then(|at| ranges.get(at));
            let range = range.with_context(|| format!("the handle has no offset for key group {group}"))?;
            let at = usize::try_from(group - self.range.start)?;
            let key_group = reader.key_group(range)?;
            let mut entries = key_group.entries()?;
            while let Some(entry) = entries.next()? {
                anyhow::ensure!(
                    i32::from(entry.key_group) == group,
                    "an entry of key group {} stands in key group {group}",
                    entry.key_group
                );
                if let Some(table) = tables[entry.state] {
                    let restored: Decoded<()> = StateTable::restore_canonical(self.tables[table].as_mut(), at, entry);
                    restored?;
                }
            }
        }
        Ok(())
    }
}
