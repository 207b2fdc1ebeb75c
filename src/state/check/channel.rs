//! Files of in-flight buffers (`ChannelStateSerializerImpl`, `ChannelStateChunkReader`): a version, and then pieces of a
//! length and so many bytes, one behind the other.
//!
//! A piece that the file ends in is the worst of damages: `ChannelStateChunkReader` takes the −1 of `InputStream.read` for
//! progress and never comes to an end. The job is RUNNING and does nothing.

use super::findings::{Findings, Progress, damage};
use super::keyed::Located;
use crate::model::damage::{Checked, Effect};
use crate::wire::{Input, ReadAt, Stream};
use std::borrow::Cow;
use std::io;

/// What a handle, or one channel of a merged handle, says of its buffers.
#[derive(Debug, Clone)]
pub struct ChannelPart<'a> {
    /// Where each piece starts in the file.
    pub offsets: Cow<'a, [i64]>,
    /// The bytes of all of them.
    pub size: i64,
}

const SECTION: &str = "in-flight buffers";
/// `ChannelStateSerializerImpl.getHeaderLength`.
const HEADER: u64 = 4;

/// Checks a file of in-flight buffers. `parts` are all handles that refer to it.
///
/// # Errors
/// When the storage fails.
pub fn channel_state(source: &dyn ReadAt, parts: &[ChannelPart<'_>], progress: &dyn Fn(u64)) -> io::Result<Checked> {
    let told = Progress::new(progress);
    let checked = judged(source, parts, &|more| told.more(more));
    told.finish(source.size());
    checked
}

fn judged(source: &dyn ReadAt, parts: &[ChannelPart<'_>], progress: &dyn Fn(u64)) -> io::Result<Checked> {
    let mut findings = Findings::default();
    let size = source.size();
    let mut stream = Stream::over(source, SECTION, progress);
    match stream.i32().map_err(damage) {
        Ok(0) => {}
        Ok(version @ 1..=32) => {
            findings.add(Effect::Unknown, SECTION, 0, format_args!("version {version}, which chkctl does not know"));
            return Ok(findings.into_checked());
        }
        Ok(version) => {
            findings.add(Effect::Fails, SECTION, 0, format_args!("version {version}, which there is none of"))
        }
        Err(error) => {
            let error = error?;
            findings.error(Effect::Fails, SECTION, error.offset, &error);
            return Ok(findings.into_checked());
        }
    }
    let mut starts: Vec<u64> = Vec::new();
    for offset in parts.iter().flat_map(|part| part.offsets.iter()) {
        match u64::try_from(*offset) {
            Ok(start) if start.saturating_add(4) <= size => starts.push(start),
            _ => {
                let problem = format!("buffers that start at byte {offset} of a file of {size} bytes");
                findings.add(Effect::Fails, SECTION, size, problem);
            }
        }
    }
    starts.sort_unstable();
    starts.dedup();
    let mut walk = Walk { starts: &starts, at: HEADER, lengths: Vec::with_capacity(starts.len()) };
    while walk.at < size && !findings.is_full() {
        walk.piece(&mut stream, size, &mut findings)?;
    }
    sizes(parts, &walk.lengths, size, &mut findings);
    if !starts.is_empty() {
        findings.opaque("records within in-flight buffers".to_owned());
    }
    Ok(findings.into_checked())
}

/// Compares what handles say of their sizes.
fn sizes(parts: &[ChannelPart<'_>], lengths: &[(u64, u64)], file: u64, findings: &mut Findings) {
    for part in parts {
        let length = |offset: &i64| {
            let start = u64::try_from(*offset).ok()?;
            let at = lengths.binary_search_by_key(&start, |(start, _)| *start).ok()?;
            lengths.get(at).map(|(_, length)| *length)
        };
        let Some(total) = part.offsets.iter().map(length).sum::<Option<u64>>() else { continue };
        // Buffers that are kept in line have a stream for themselves, and its size.
        let fits = [total, file].iter().any(|size| u64::try_from(part.size) == Ok(*size));
        if !part.offsets.is_empty() && !fits {
            let at = part.offsets.first().and_then(|offset| u64::try_from(*offset).ok()).unwrap_or(0);
            let problem = format!("the buffers of a handle are {total} bytes, it says {}", part.size);
            findings.add(Effect::Starts, SECTION, at, problem);
        }
    }
}

struct Walk<'w> {
    /// Where handles say that pieces start.
    starts: &'w [u64],
    /// The next piece.
    at: u64,
    /// Of the pieces that handles refer to, start and length with what stands before it.
    lengths: Vec<(u64, u64)>,
}

impl Walk<'_> {
    /// The next start behind an offset.
    fn next(&self, offset: u64) -> Option<u64> {
        self.starts.get(self.starts.partition_point(|start| *start <= offset)).copied()
    }

    fn piece(
        &mut self,
        stream: &mut Stream<crate::wire::stream::Plain<'_>>,
        size: u64,
        findings: &mut Findings,
    ) -> io::Result<()> {
        let start = self.at;
        let wanted = self.starts.binary_search(&start).is_ok();
        let effect = if wanted { Effect::Fails } else { Effect::Starts };
        let next = self.next(start);
        stream.seek(start, size);
        let end = match stream.i32().map_err(damage) {
            Ok(length) => match u64::try_from(length) {
                Ok(length) if length <= stream.left() => Ok(stream.offset().saturating_add(length)),
                Ok(length) => Err(format!(
                    "buffers of {length} bytes, of which {} are there{}",
                    stream.left(),
                    if wanted { ": Flink waits for the rest forever, the job hangs" } else { "" }
                )),
                Err(_) => Err(format!("buffers of {length} bytes")),
            },
            Err(error) => Err(error?.problem.to_string()),
        };
        match end {
            Ok(end) => match next.filter(|next| *next < end) {
                Some(next) => {
                    let problem = format!("buffers that end at byte {end}, behind the start of others at byte {next}");
                    findings.add(Effect::Starts, SECTION, start, problem);
                    self.at = next;
                }
                None => {
                    stream.skip(end.saturating_sub(stream.offset())).or_else(|error| damage(error).map(|_| ()))?;
                    if wanted {
                        self.lengths.push((start, end.saturating_sub(start)));
                    }
                    self.at = end;
                }
            },
            Err(problem) => {
                findings.add(effect, SECTION, start, problem);
                self.at = next.unwrap_or(size);
            }
        }
        debug_assert!(stream.oddities().is_empty(), "nothing is read that could be odd");
        Ok(())
    }
}
