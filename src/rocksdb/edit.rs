//! One record of a `MANIFEST`: what changed from one version of the database to the next (`VersionEdit::DecodeFrom` in
//! `db/version_edit.cc`).

use super::bytes::Bytes;

/// Tags with this bit are followed by a length, so that older releases pass over them.
const SAFE_TO_IGNORE: u32 = 1 << 13;
/// Fields of a file with this bit must be understood.
const NOT_SAFE_TO_IGNORE: u32 = 1 << 6;
/// Changes of files that are kept of one record. They take some bytes in it and a hundred in memory; a database of
/// Flink's has some thousand files.
pub(super) const MOST_CHANGES: usize = 250_000;

/// What a record says.
#[derive(Debug, Default)]
pub(super) struct Edit {
    pub(super) database: Option<String>,
    pub(super) comparator: Option<String>,
    pub(super) log_number: Option<u64>,
    pub(super) prev_log_number: Option<u64>,
    pub(super) next_file_number: Option<u64>,
    pub(super) last_sequence: Option<u64>,
    pub(super) max_column_family: Option<u32>,
    pub(super) column_family: u32,
    pub(super) add: Option<String>,
    pub(super) drop: bool,
    pub(super) remaining: Option<u32>,
    pub(super) deleted: Vec<(u32, u64)>,
    pub(super) new: Vec<NewFile>,
    pub(super) blobs: bool,
    /// There are more than [`MOST_CHANGES`] changes of files, and the rest was not read.
    pub(super) is_full: bool,
}

/// A file that came.
#[derive(Debug, Default, Clone)]
pub(super) struct NewFile {
    pub(super) level: u32,
    pub(super) number: u64,
    pub(super) size: u64,
    pub(super) smallest: Vec<u8>,
    pub(super) largest: Vec<u8>,
    pub(super) smallest_sequence: Option<u64>,
    pub(super) largest_sequence: Option<u64>,
    pub(super) unique_id: Option<[u64; 2]>,
}

impl Edit {
    /// Reads a record. The error says which field is broken.
    pub(super) fn read(record: &[u8]) -> Result<Self, String> {
        let mut edit = Edit::default();
        let mut bytes = Bytes::new(record);
        while !bytes.is_empty() {
            if edit.changes() > MOST_CHANGES {
                edit.is_full = true;
                break;
            }
            let at = bytes.position();
            let tag = bytes.varint32().ok_or_else(|| format!("the tag at {at} of the record cannot be read"))?;
            edit.field(tag, &mut bytes)
                .ok_or_else(|| format!("the field at {at} of the record, tag {tag}, is broken"))?;
        }
        Ok(edit)
    }

    /// Files that come and go.
    pub(super) fn changes(&self) -> usize {
        self.deleted.len().saturating_add(self.new.len())
    }

    /// Bytes of keys and names that a database keeps of it.
    pub(super) fn bytes(&self) -> usize {
        let names = [&self.add, &self.comparator].into_iter().flatten().map(String::len);
        let keys = self.new.iter().flat_map(|file| [file.smallest.len(), file.largest.len()]);
        names.chain(keys).fold(0, usize::saturating_add)
    }

    fn field(&mut self, tag: u32, bytes: &mut Bytes<'_>) -> Option<()> {
        match tag {
            1 => self.comparator = Some(text(bytes.slice()?)),
            2 => self.log_number = Some(bytes.varint64()?),
            3 => self.next_file_number = Some(bytes.varint64()?),
            4 => self.last_sequence = Some(bytes.varint64()?),
            // kCompactCursor
            5 => {
                bytes.varint32()?;
                internal_key(bytes)?;
            }
            6 => self.deleted.push((bytes.varint32()?, bytes.varint64()?)),
            7 | 100 | 102 | 103 => self.new.push(NewFile::read(tag, bytes)?),
            9 => self.prev_log_number = Some(bytes.varint64()?),
            // kMinLogNumberToKeep
            10 => {
                bytes.varint64()?;
            }
            200 => self.column_family = bytes.varint32()?,
            201 => self.add = Some(text(bytes.slice()?)),
            202 => self.drop = true,
            203 => self.max_column_family = Some(bytes.varint32()?),
            300 => self.remaining = Some(bytes.varint32()?),
            // kBlobFileAddition, kBlobFileGarbage and their first tags
            400 | 0x2002 => self.blob(bytes, true)?,
            401 | 0x2003 => self.blob(bytes, false)?,
            // kDbId
            0x2001 => self.database = Some(text(bytes.slice()?)),
            // kWalAddition and kWalDeletion of RocksDB 6.14 to 6.24, without a length
            0x2004 => wal_addition(bytes)?,
            0x2005 => {
                bytes.varint64()?;
            }
            tag if tag & SAFE_TO_IGNORE != 0 => {
                bytes.slice()?;
            }
            _ => return None,
        }
        Some(())
    }

    fn blob(&mut self, bytes: &mut Bytes<'_>, addition: bool) -> Option<()> {
        self.blobs = true;
        bytes.varint64()?;
        bytes.varint64()?;
        bytes.varint64()?;
        if addition {
            bytes.slice()?;
            bytes.slice()?;
        }
        loop {
            let tag = bytes.varint32()?;
            match tag {
                0 => return Some(()),
                tag if tag & NOT_SAFE_TO_IGNORE != 0 => return None,
                _ => bytes.slice()?,
            };
        }
    }
}

impl NewFile {
    fn read(tag: u32, bytes: &mut Bytes<'_>) -> Option<Self> {
        let mut file = NewFile { level: bytes.varint32()?, number: bytes.varint64()?, ..NewFile::default() };
        if tag == 102 {
            bytes.varint32()?;
        }
        file.size = bytes.varint64()?;
        file.smallest = internal_key(bytes)?.to_vec();
        file.largest = internal_key(bytes)?.to_vec();
        if tag != 7 {
            file.smallest_sequence = Some(bytes.varint64()?);
            file.largest_sequence = Some(bytes.varint64()?);
        }
        if tag != 103 {
            return Some(file);
        }
        loop {
            match bytes.varint32()? {
                // kTerminate
                1 => return Some(file),
                custom => file.custom(custom, bytes.slice()?)?,
            }
        }
    }

    /// Fields that only newer releases know are passed over, as they do it.
    fn custom(&mut self, tag: u32, field: &[u8]) -> Option<()> {
        let mut value = Bytes::new(field);
        match tag {
            // kNeedCompaction, kTemperature, kUserDefinedTimestampsPersisted
            2 | 9 | 16 => (field.len() == 1).then_some(())?,
            // kMinLogNumberToKeepHack
            3 => {
                value.u64()?;
            }
            // Numbers: blob file, times, epoch, sizes
            4..=6 | 13..=15 => {
                value.varint64()?;
            }
            // kUniqueId, of two or three numbers
            12 => {
                (field.len() == 16 || field.len() == 24).then_some(())?;
                self.unique_id = Some([value.u64()?, value.u64()?]);
            }
            // kPathId
            65 => {
                let [path] = *field else { return None };
                (path <= 3).then_some(())?;
            }
            tag if tag & NOT_SAFE_TO_IGNORE != 0 => return None,
            _ => {}
        }
        Some(())
    }
}

/// A user key with sequence number and type behind it.
fn internal_key<'a>(bytes: &mut Bytes<'a>) -> Option<&'a [u8]> {
    bytes.slice().filter(|key| key.len() >= 8)
}

fn wal_addition(bytes: &mut Bytes<'_>) -> Option<()> {
    bytes.varint64()?;
    loop {
        match bytes.varint32()? {
            1 => return Some(()),
            2 => bytes.varint64()?,
            _ => return None,
        };
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_is_safe_to_ignore_is_passed_over() {
        let edit = Edit::read(&[0xff, 0x40, 2, 9, 9, 3, 7]).expect("an edit");
        assert_eq!(edit.next_file_number, Some(7));
    }

    #[test]
    fn an_unknown_tag_and_a_short_field_are_errors() {
        assert!(Edit::read(&[8]).is_err());
        assert!(Edit::read(&[0x80]).is_err());
        assert!(Edit::read(&[1, 200]).is_err());
    }

    #[test]
    fn a_file_ends_with_its_terminator() {
        let mut record = vec![103, 2, 9, 100, 9];
        record.extend(*b"a\0\0\0\0\0\0\0\0");
        record.push(9);
        record.extend(*b"b\0\0\0\0\0\0\0\0");
        record.extend([1, 5, 5, 1, 77, 1]);
        let edit = Edit::read(&record).expect("an edit");
        let file = edit.new.first().expect("a file");
        assert_eq!((file.level, file.number, file.size, file.largest_sequence), (2, 9, 100, Some(5)));
        record.pop();
        assert!(Edit::read(&record).is_err());
    }
}
