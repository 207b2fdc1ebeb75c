//! The numbers of a range, and whatever is computed from them.

use super::{Emitter, Poll, Source, SourceContext, Split, share};
use crate::runtime::record::Data;

/// Emits `make(i)` for each number of a range; each subtask a part of it, in order.
#[derive(Clone)]
pub struct SequenceSource<F> {
    from: i64,
    to: i64,
    make: F,
    splits: Vec<Split>,
}

/// Records per call.
const STEP: i64 = 256;

impl<F> SequenceSource<F> {
    /// The numbers from `from` on, up to but without `to`.
    pub fn new(from: i64, to: i64, make: F) -> Self {
        SequenceSource { from, to, make, splits: Vec::new() }
    }
}

impl<T: Data, F: FnMut(i64) -> T + Clone + Send + 'static> Source for SequenceSource<F> {
    type Item = T;

    fn open(&mut self, context: &SourceContext) -> anyhow::Result<()> {
        self.splits = context.restored.clone().unwrap_or_else(|| {
            let (position, end) = share(self.from, self.to, context.subtask, context.parallelism);
            vec![Split { id: "sequence".to_owned(), position, end }]
        });
        Ok(())
    }

    fn poll(&mut self, out: &mut Emitter<'_, T>) -> anyhow::Result<Poll> {
        let Some(split) = self.splits.iter_mut().find(|split| split.position < split.end) else {
            return Ok(Poll::Finished);
        };
        let until = split.end.min(split.position.saturating_add(STEP));
        for number in split.position..until {
            out.collect((self.make)(number))?;
        }
        split.position = until;
        Ok(Poll::More)
    }

    fn splits(&self) -> Vec<Split> {
        self.splits.clone()
    }
}
