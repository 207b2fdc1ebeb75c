//! Keyed state of the restored snapshot that the job did not ask for. Nothing is lost: the bytes of its entries are
//! kept, and written into the next checkpoint as they are, as Flink's heap state backend does.

use crate::state::{StateMeta, heap};
use crate::wire::EncodeError;
use std::collections::BTreeMap;

/// One state, by key group counted from the first of the subtask.
pub(crate) struct Unclaimed {
    /// Its description.
    pub meta: StateMeta,
    /// Number of entries, and their bytes in the heap layout.
    pub groups: BTreeMap<usize, (usize, Vec<u8>)>,
}

impl Unclaimed {
    /// Appends the section of a key group.
    pub fn write(&self, state: usize, group: usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let (count, bytes) = self.groups.get(&group).map_or((0, &[][..]), |(count, bytes)| (*count, bytes));
        heap::start_state(out, state, count)?;
        out.extend_from_slice(bytes);
        Ok(())
    }
}
