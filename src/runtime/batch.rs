//! Records in their order, by column.

use super::record::NO_TIMESTAMP;

/// Some records. What they do not have takes no room.
#[derive(Clone)]
pub(crate) struct Batch<T> {
    /// The values.
    pub values: Vec<T>,
    /// The timestamp of each record, or nothing where no record has one.
    pub timestamps: Vec<i64>,
    /// The key group of each record, where they are sent by key; otherwise nothing.
    pub groups: Vec<u16>,
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Batch { values: Vec::new(), timestamps: Vec::new(), groups: Vec::new() }
    }
}

impl<T> Batch<T> {
    /// An empty batch with room for values.
    pub fn with_capacity(capacity: usize) -> Self {
        Batch { values: Vec::with_capacity(capacity), ..Self::default() }
    }

    /// An empty batch with room for as many records of the same kind.
    pub fn empty_alike(&self) -> Self {
        Batch {
            values: Vec::with_capacity(self.values.len()),
            timestamps: Vec::with_capacity(self.timestamps.len()),
            groups: Vec::with_capacity(self.groups.len()),
        }
    }

    /// Adds a record.
    #[inline]
    pub fn push(&mut self, value: T, timestamp: i64) {
        if timestamp != NO_TIMESTAMP || !self.timestamps.is_empty() {
            self.push_timestamp(timestamp);
        }
        self.values.push(value);
    }

    fn push_timestamp(&mut self, timestamp: i64) {
        self.timestamps.resize(self.values.len(), NO_TIMESTAMP);
        self.timestamps.push(timestamp);
    }

    /// Takes all records out.
    #[inline]
    pub fn drain(&mut self) -> impl Iterator<Item = (T, i64)> {
        self.groups.clear();
        let mut timestamps = self.timestamps.drain(..);
        self.values.drain(..).map(move |value| (value, timestamps.next().unwrap_or(NO_TIMESTAMP)))
    }
}
