//! The heads of streams: read as a whole, since they are small. What is judged of them is in [`described`].

use super::described;
use super::findings::Findings;
use crate::model::damage::{Checked, Effect};
use crate::state::keyed::KeyedHeader;
use crate::wire::{DecodeError, Problem, ReadAt, Reader};
use std::io;

/// A head that is longer is not read. The largest of real jobs are of some ten thousand bytes.
const LONGEST: usize = 1 << 20;

/// The first bytes of a stream.
pub(super) struct Start {
    pub bytes: Vec<u8>,
    whole: bool,
}

impl Start {
    /// Reads as much as a head may take.
    pub(super) fn read(source: &dyn ReadAt, most: usize) -> io::Result<Self> {
        let size = usize::try_from(source.size()).unwrap_or(usize::MAX);
        let mut bytes = vec![0; size.min(most)];
        let count = source.read_at(0, &mut bytes)?;
        bytes.truncate(count);
        Ok(Start { whole: bytes.len() >= size || count < most, bytes })
    }

    fn error(&self, error: Box<DecodeError>) -> Box<DecodeError> {
        match error.problem {
            Problem::Truncated { .. } | Problem::ImpossibleCount { .. } if !self.whole => Box::new(DecodeError {
                problem: Problem::TooMany { what: "bytes of a head", limit: LONGEST },
                ..*error
            }),
            _ => error,
        }
    }
}

/// Reads a head, and gives where it ends.
pub(super) fn read<T>(
    source: &dyn ReadAt,
    section: &'static str,
    parse: impl Fn(&mut Reader<'_>) -> Result<T, Box<DecodeError>>,
) -> io::Result<Result<(T, u64), Box<DecodeError>>> {
    let mut most = 16 << 10;
    loop {
        let start = Start::read(source, most)?;
        let mut reader = Reader::new(&start.bytes, section);
        match parse(&mut reader) {
            Ok(head) => return Ok(Ok((head, reader.offset()))),
            Err(_) if !start.whole && most < LONGEST => most = most.saturating_mul(8).min(LONGEST),
            Err(error) => return Ok(Err(start.error(error))),
        }
    }
}

pub(super) const HEAD: &str = "head";

/// What is known of the description of an embedded database.
#[derive(Debug)]
pub struct DatabaseSummary {
    /// What is wrong.
    pub checked: Checked,
    /// The key and the states, where they could be read.
    pub header: Option<KeyedHeader>,
}

/// Checks the description that an incremental checkpoint has beside the files of its database
/// (`IncrementalRemoteKeyedStateHandle.metaStateHandle`): a head of keyed state and nothing else.
///
/// # Errors
/// When the storage fails.
pub fn database_meta(source: &dyn ReadAt, progress: &dyn Fn(u64)) -> io::Result<DatabaseSummary> {
    let mut findings = Findings::default();
    let header = match read(source, "description of a database", KeyedHeader::read)? {
        Ok((header, end)) => {
            described::judge_keyed(&header, &mut findings);
            let left = source.size().saturating_sub(end);
            if left > 0 {
                findings.add(Effect::Starts, HEAD, end, format_args!("{left} bytes behind the end"));
            }
            Some(header)
        }
        Err(error) => {
            findings.error(Effect::Fails, HEAD, error.offset, &error);
            None
        }
    };
    flag(source, 4, 6, &mut findings)?;
    progress(source.size());
    Ok(DatabaseSummary { checked: findings.into_checked(), header })
}

/// Checks the flag for compression behind a version of at least `version`, and gives it.
pub(super) fn flag(source: &dyn ReadAt, at: u64, version: i32, findings: &mut Findings) -> io::Result<Option<bool>> {
    let mut start = [0; 5];
    if source.read_at(0, &mut start)? < start.len() {
        return Ok(None);
    }
    let [a, b, c, d, flag] = start;
    if i32::from_be_bytes([a, b, c, d]) != version {
        return Ok(None);
    }
    if flag > 1 {
        findings.add(Effect::Starts, HEAD, at, "a boolean that is neither 0 nor 1");
    }
    Ok(Some(flag != 0))
}
