//! What a file says of itself (`TablePropertiesNames` in `table/table_properties.cc`).

use super::block::{Entries, Values};
use super::bytes::Bytes;

/// Bytes of a name that are kept; names of column families are names of Flink's states.
const MOST_NAME: usize = 4096;

/// The properties that are used or shown.
#[derive(Debug, Default)]
pub(super) struct Properties {
    pub(super) data_size: Option<u64>,
    pub(super) data_blocks: Option<u64>,
    pub(super) entries: Option<u64>,
    pub(super) deletions: Option<u64>,
    pub(super) range_deletions: Option<u64>,
    pub(super) key_size: Option<u64>,
    pub(super) value_size: Option<u64>,
    pub(super) filter_size: Option<u64>,
    pub(super) tail_start: Option<u64>,
    pub(super) index_user_keys: bool,
    pub(super) index_deltas: bool,
    pub(super) index_type: u32,
    pub(super) index_partitions: Option<u64>,
    pub(super) column_family: Option<String>,
    pub(super) column_family_id: Option<u64>,
    pub(super) comparator: Option<String>,
    pub(super) compression: Option<String>,
    pub(super) filter_policy: Option<String>,
    pub(super) merge_operator: Option<String>,
    pub(super) database: Option<String>,
    pub(super) session: Option<String>,
    pub(super) original_number: Option<u64>,
    pub(super) creation_time: Option<u64>,
}

impl Properties {
    /// Reads a block of properties.
    pub(super) fn read(block: &[u8]) -> Result<Self, String> {
        let mut properties = Properties::default();
        let mut entries = Entries::new(block, Values::WithLength)?;
        let mut last = Vec::new();
        while entries.next()?.is_some() {
            if !last.is_empty() && entries.key() <= last.as_slice() {
                return Err("the properties are not in order".to_owned());
            }
            last.clear();
            last.extend_from_slice(entries.key());
            if let Some(name) = entries.key().strip_prefix(b"rocksdb.") {
                properties.set(name, entries.value());
            }
        }
        Ok(properties)
    }

    /// A value that cannot be read is skipped, as RocksDB does.
    fn set(&mut self, name: &[u8], value: &[u8]) {
        let number = || Bytes::new(value).varint64();
        let text = || Some(String::from_utf8_lossy(value.get(..MOST_NAME).unwrap_or(value)).into_owned());
        match name {
            b"data.size" => self.data_size = number(),
            b"num.data.blocks" => self.data_blocks = number(),
            b"num.entries" => self.entries = number(),
            b"deleted.keys" => self.deletions = number(),
            b"num.range-deletions" => self.range_deletions = number(),
            b"raw.key.size" => self.key_size = number(),
            b"raw.value.size" => self.value_size = number(),
            b"filter.size" => self.filter_size = number(),
            b"tail.start.offset" => self.tail_start = number(),
            b"index.key.is.user.key" => self.index_user_keys = number().unwrap_or(0) != 0,
            b"index.value.is.delta.encoded" => self.index_deltas = number().unwrap_or(0) != 0,
            b"block.based.table.index.type" => self.index_type = Bytes::new(value).u32().unwrap_or(0),
            b"index.partitions" => self.index_partitions = number(),
            b"column.family.name" => self.column_family = text(),
            b"column.family.id" => self.column_family_id = number(),
            b"comparator" => self.comparator = text(),
            b"compression" => self.compression = text(),
            b"filter.policy" => self.filter_policy = text(),
            b"merge.operator" => self.merge_operator = text(),
            b"creating.db.identity" => self.database = text(),
            b"creating.session.identity" => self.session = text(),
            b"original.file.number" => self.original_number = number(),
            b"creation.time" => self.creation_time = number(),
            _ => {}
        }
    }
}
