//! The log format that a `MANIFEST` is written in: records, whole or in parts, in blocks of 32 KiB (`log::Reader` in
//! `db/log_reader.cc`).
//!
//! RocksDB takes much of what it finds at the end of such a file for the end itself, because a crash may leave it so,
//! and says nothing. Here it is damage: a snapshot is complete.

use super::checksum::masked_crc32c;
use super::source::Window;
use super::{MOST_BLOCK, damage};
use crate::model::{Damage, Effect};
use crate::wire::ReadAt;
use std::io;

const BLOCK: u64 = 32 << 10;
/// Checksum, length, type.
const HEADER: u64 = 7;
/// And the number of the log, which only logs that are written over have.
const RECYCLABLE_HEADER: u64 = 11;

/// Records in order.
pub(super) struct Records<'s> {
    window: Window<'s>,
    size: u64,
    at: u64,
}

/// The next record, or why there is none.
pub(super) enum Next {
    /// It starts at this offset; its bytes are in the caller's buffer.
    Record(u64),
    /// The file ends behind a whole record.
    End,
    /// RocksDB stops here: with an error where it fails, else as if the file ended.
    Damaged(Damage),
}

impl<'s> Records<'s> {
    pub(super) fn new(source: &'s dyn ReadAt) -> Self {
        Records { window: Window::new(source), size: source.size(), at: 0 }
    }

    /// Reads the next record into `out`.
    pub(super) fn next(&mut self, out: &mut Vec<u8>) -> io::Result<Next> {
        out.clear();
        let mut start = None;
        loop {
            let block_end = self.at.checked_next_multiple_of(BLOCK).map_or(self.size, |end| end.min(self.size));
            let block_end = if block_end == self.at { self.at.saturating_add(BLOCK).min(self.size) } else { block_end };
            let left = block_end.saturating_sub(self.at);
            if left < HEADER && block_end < self.size {
                // What is too short for a header is filled up.
                if let Some(damage) = self.filling(left)? {
                    return Ok(Next::Damaged(damage));
                }
                self.at = block_end;
                continue;
            }
            if left == 0 {
                return Ok(match start {
                    None => Next::End,
                    Some(start) => self.stops(Effect::Starts, start, "the file ends inside of this record"),
                });
            }
            match self.part(left, block_end == self.size, start.is_some(), out)? {
                Err(damage) => return Ok(Next::Damaged(damage)),
                Ok((at, Part::Whole)) => return Ok(Next::Record(at)),
                Ok((at, Part::First)) => start = Some(at),
                Ok((_, Part::Middle)) => {}
                Ok((at, Part::Last)) => return Ok(Next::Record(start.unwrap_or(at))),
            }
            if out.len() as u64 > MOST_BLOCK {
                return Ok(self.stops(Effect::Unknown, self.at, "a record of more than 64 MiB is not read"));
            }
        }
    }

    fn filling(&mut self, len: u64) -> io::Result<Option<Damage>> {
        let bytes = self.window.get(self.at, usize::try_from(len).unwrap_or_default())?.unwrap_or_default();
        let zero = bytes.iter().all(|byte| *byte == 0);
        Ok((!zero).then(|| damage(Effect::Starts, "record", self.at, "the filling of a block is not zero")))
    }

    fn stops(&self, effect: Effect, at: u64, problem: &str) -> Next {
        Next::Damaged(damage(effect, "record", at, problem))
    }

    /// One part of a record, appended to `out`.
    fn part(&mut self, left: u64, last_block: bool, inside: bool, out: &mut Vec<u8>) -> io::Result<PartOrDamage> {
        let at = self.at;
        let bad = |effect, problem: String| Ok(Err(damage(effect, "record", at, problem)));
        if left < HEADER {
            return bad(Effect::Starts, format!("{left} bytes at the end are no record"));
        }
        let len = usize::try_from(left).unwrap_or_default();
        let block = self.window.get(at, len)?.unwrap_or_default();
        let Some((header, _)) = block.split_first_chunk::<7>() else {
            return bad(Effect::Starts, "the file ends here".to_owned());
        };
        let [c0, c1, c2, c3, l0, l1, kind] = *header;
        let len = u64::from(u16::from_le_bytes([l0, l1]));
        let recyclable = (5..=8).contains(&kind);
        let header_len = if recyclable { RECYCLABLE_HEADER } else { HEADER };
        let end = header_len.saturating_add(len);
        if end > left {
            // At the end of the file RocksDB thinks of a crash; in the middle it knows better.
            let effect = if last_block { Effect::Starts } else { Effect::Fails };
            return bad(effect, format!("a record of {len} bytes does not fit the {left} that are left"));
        }
        if kind == 0 && len == 0 {
            return bad(Effect::Starts, "a record without type, as in a file that was never written".to_owned());
        }
        let summed = usize::try_from(end).ok().and_then(|end| block.get(6..end)).unwrap_or_default();
        let (stored, computed) = (u32::from_le_bytes([c0, c1, c2, c3]), masked_crc32c(summed));
        if stored != computed {
            // Whatever the number of a log that is written over: another one ends the file without a word.
            let effect = if recyclable { Effect::Starts } else { Effect::Fails };
            return bad(effect, format!("checksum mismatch: {stored:08x} is stored, its bytes have {computed:08x}"));
        }
        let content = usize::try_from(header_len).ok().and_then(|from| summed.get(from.saturating_sub(6)..));
        let part = match (kind, inside) {
            (1 | 5, false) => Part::Whole,
            (2 | 6, false) => Part::First,
            (3 | 7, true) => Part::Middle,
            (4 | 8, true) => Part::Last,
            (1 | 2 | 5 | 6, true) => return bad(Effect::Fails, "a record starts inside of another".to_owned()),
            (3 | 4 | 7 | 8, false) => return bad(Effect::Fails, "a part of a record without its start".to_owned()),
            (9, _) => return bad(Effect::Unknown, "the log is compressed, which no MANIFEST is".to_owned()),
            (128.., _) => return bad(Effect::Unknown, format!("records of type {kind} are not read")),
            _ => return bad(Effect::Fails, format!("{kind} is no type of record")),
        };
        if recyclable && summed.get(1..5) != Some(&[0; 4]) {
            // The number of a MANIFEST's log is 0 to RocksDB, whatever the file's.
            return bad(Effect::Starts, "a record of another log".to_owned());
        }
        out.extend_from_slice(content.unwrap_or_default());
        self.at = at.saturating_add(end);
        Ok(Ok((at, part)))
    }
}

type PartOrDamage = Result<(u64, Part), Damage>;

enum Part {
    Whole,
    First,
    Middle,
    Last,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(kind: u8, content: &[u8]) -> Vec<u8> {
        let summed = [&[kind], content].concat();
        let len = u16::try_from(content.len()).expect("short").to_le_bytes();
        [&masked_crc32c(&summed).to_le_bytes()[..], &len, &summed].concat()
    }

    /// The lengths of the records, and what ends the file.
    fn read(bytes: &[u8]) -> (Vec<usize>, Option<Effect>) {
        let mut records = Records::new(&bytes);
        let (mut lens, mut out) = (Vec::new(), Vec::new());
        loop {
            match records.next(&mut out).expect("memory") {
                Next::Record(_) => lens.push(out.len()),
                Next::End => return (lens, None),
                Next::Damaged(damage) => return (lens, Some(damage.effect)),
            }
        }
    }

    #[test]
    fn records_go_on_over_blocks() {
        let first = 32_768 - 7;
        let log = [part(2, &vec![1; first]), part(3, &vec![2; first]), part(4, &[3; 10]), part(1, &[])].concat();
        assert_eq!(read(&log), (vec![2 * first + 10, 0], None));
    }

    #[test]
    fn a_block_is_filled_up_with_zeros_where_no_header_fits() {
        let mut log = part(1, &vec![1; 32_768 - 7 - 6]);
        log.extend([0; 6]);
        log.extend(part(1, b"next"));
        assert_eq!(read(&log), (vec![32_768 - 13, 4], None));
        log[32_765] = 1;
        assert_eq!(read(&log), (vec![32_768 - 13], Some(Effect::Starts)));
    }

    #[test]
    fn every_cut_but_between_records_is_found() {
        let log = [part(1, b"one"), part(2, b"two"), part(4, b"three")].concat();
        for len in 0..log.len() {
            let (records, end) = read(&log[..len]);
            match len {
                0 => assert_eq!((records.len(), end), (0, None)),
                10 => assert_eq!((records.len(), end), (1, None)),
                _ => assert_eq!(end, Some(Effect::Starts), "cut to {len}"),
            }
        }
    }

    #[test]
    fn every_flipped_byte_is_found() {
        let log = [part(1, b"one"), part(1, b""), part(2, b"two"), part(4, b"three")].concat();
        for at in 0..log.len() {
            for xor in 1..=255 {
                let mut damaged = log.clone();
                damaged[at] ^= xor;
                assert!(read(&damaged).1.is_some(), "byte {at} xor {xor}");
            }
        }
    }
}
