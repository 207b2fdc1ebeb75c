//! Records that are in memory.

use super::{Emitter, Poll, Source, SourceContext, Split, share};
use crate::runtime::record::Data;
use std::sync::Arc;

/// Emits the elements of a collection; each subtask a part of it, in order.
#[derive(Clone)]
pub struct CollectionSource<T> {
    elements: Arc<[T]>,
    splits: Vec<Split>,
}

/// Records per call.
const STEP: usize = 256;

impl<T> CollectionSource<T> {
    /// A source of these elements. A job that is restored must be given the same ones.
    pub fn new(elements: impl IntoIterator<Item = T>) -> Self {
        CollectionSource { elements: elements.into_iter().collect(), splits: Vec::new() }
    }
}

impl<T: Data + Sync> Source for CollectionSource<T> {
    type Item = T;

    fn open(&mut self, context: &SourceContext) -> anyhow::Result<()> {
        let total = i64::try_from(self.elements.len())?;
        self.splits = context.restored.clone().unwrap_or_else(|| {
            let (position, end) = share(0, total, context.subtask, context.parallelism);
            vec![Split { id: "collection".to_owned(), position, end }]
        });
        if let Some(split) = self.splits.iter().find(|split| split.position < 0 || split.end > total) {
            anyhow::bail!(
                "the restored source was at {} of {}, but the collection has {total} elements",
                split.position,
                split.end
            );
        }
        Ok(())
    }

    fn poll(&mut self, out: &mut Emitter<'_, T>) -> anyhow::Result<Poll> {
        let Some(split) = self.splits.iter_mut().find(|split| split.position < split.end) else {
            return Ok(Poll::Finished);
        };
        let (from, end) = (usize::try_from(split.position)?, usize::try_from(split.end)?);
        let until = end.min(from + STEP);
        for element in self.elements.get(from..until).unwrap_or_default() {
            out.collect(element.clone())?;
        }
        split.position = i64::try_from(until)?;
        Ok(Poll::More)
    }

    fn splits(&self) -> Vec<Split> {
        self.splits.clone()
    }
}
