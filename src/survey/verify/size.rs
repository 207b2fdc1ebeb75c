//! One reference against one file: the rules that were measured on real Flink.

use crate::storage::Presence;
use crate::survey::finding::{Code, Finding, Severity};
use crate::survey::references::{Extent, Reference, StateKind};
use crate::survey::verify::ReferencedFile;
use std::cmp::Ordering;

/// How the reader of a file takes a wrong size.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    /// Reads what it needs and stops: too short fails, too long starts.
    Stream,
    /// RocksDB checks the size: both fail.
    Exact,
    /// RocksDB takes what is there of a log: too short starts, unless nothing is left; too long starts.
    Log,
    /// Not needed: both start.
    Unused,
}

fn reader_of(reference: &Reference<'_>) -> Reader {
    let Some(name) = &reference.local_path else {
        return Reader::Stream;
    };
    let name = name.to_str();
    match reference.state {
        StateKind::DatabaseShared | StateKind::DatabasePrivate if name.ends_with(".sst") => Reader::Exact,
        StateKind::DatabaseShared | StateKind::DatabasePrivate if name == "CURRENT" => Reader::Exact,
        StateKind::DatabaseShared | StateKind::DatabasePrivate if name.starts_with("MANIFEST-") => Reader::Log,
        StateKind::DatabaseShared | StateKind::DatabasePrivate if name.starts_with("OPTIONS-") => Reader::Unused,
        _ => Reader::Stream,
    }
}

/// What is to be said of the file of a reference; `None` where all is well.
pub(super) fn judge(
    reference: &Reference<'_>,
    file: &ReferencedFile<'_>,
    path: impl Fn() -> String,
) -> Option<Finding> {
    let finding = |code, severity, message: &str| Finding::new(code, severity, path(), message);
    let size = match &file.presence {
        Presence::File { size } => *size,
        Presence::Missing => {
            let missing = finding(Code::MissingFile, Severity::Error, "the file is not there");
            let expected = Some(reference.extent.end()).filter(|&size| size >= 0);
            return Some(Finding { expected_size: expected, ..missing });
        }
        Presence::NotAFile => {
            return Some(finding(Code::NotAFile, Severity::Error, "this is a directory or device, not a file"));
        }
        Presence::Unknown(error) => {
            let message = format!("the file could not be looked at: {}", error.message);
            return Some(finding(Code::UnreadableFile, Severity::Unknown, &message));
        }
    };
    // What a compressed file holds is compared with what its handle says, not how long it is.
    let size = file.unpacked.map_or(size, |unpacked| u64::try_from(unpacked.bytes).unwrap_or(0));
    let what = if file.unpacked.is_some() { "the content of the compressed file" } else { "the file" };
    let sized = |code, severity, expected: i64, message: String| {
        Some(Finding { expected_size: Some(expected), actual_size: Some(size), ..finding(code, severity, &message) })
    };
    let actual = i64::try_from(size).unwrap_or(i64::MAX);
    let reader = reader_of(reference);
    match reference.extent {
        Extent::Segment { start, size: length } => {
            let end = start.checked_add(length).filter(|_| start >= 0 && length >= 0);
            let Some(end) = end else {
                let message = format!("a segment of {length} bytes from {start}");
                return sized(Code::SegmentOutsideFile, Severity::Error, length, message);
            };
            if actual < end {
                let left = (actual - start).max(0);
                let message = format!("the segment {start} to {end} of a merged file ends behind the end of the file");
                return sized(Code::SegmentOutsideFile, severity_of_cut(reader, left), end, message);
            }
            None
        }
        Extent::Whole(-1) => None,
        Extent::Whole(_) if reference.state == StateKind::ForeignChanges => None,
        Extent::Whole(recorded) => {
            let (expected, actual) = match file.unpacked {
                // Bytes behind the last chunk that is needed are as harmless as behind the end of any other stream.
                Some(unpacked) if !unpacked.whole => (recorded, actual.saturating_add(i64::from(actual >= recorded))),
                Some(_) => (recorded, actual),
                // The handle of a changelog file does not count the byte that says whether it is compressed.
                None if reference.state == StateKind::Changes => (recorded.saturating_add(1), actual),
                None => (recorded, actual),
            };
            match actual.cmp(&expected) {
                Ordering::Equal => None,
                Ordering::Less => {
                    let message = format!("{what} is {} bytes shorter than its handle says", expected - actual);
                    sized(Code::ShortFile, severity_of_cut(reader, actual), expected, message)
                }
                Ordering::Greater => {
                    let message = format!("{what} is {} bytes longer than its handle says", actual - expected);
                    let severity = if reader == Reader::Exact { Severity::Error } else { Severity::Warning };
                    sized(Code::LongFile, severity, expected, message)
                }
            }
        }
    }
}

/// What Flink makes of a file of which only `left` bytes are there.
fn severity_of_cut(reader: Reader, left: i64) -> Severity {
    match reader {
        Reader::Stream | Reader::Exact => Severity::Error,
        Reader::Log if left == 0 => Severity::Error,
        Reader::Log | Reader::Unused => Severity::Warning,
    }
}
