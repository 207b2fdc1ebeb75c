//! Whether the positions that handles name lie inside their streams, in line or in files.

use super::finding::{Code, Finding, Severity};
use super::references::{Part, walk_streams};
use crate::model::{Location, Metadata, StreamHandle};

/// Findings about the positions in all streams.
pub fn check(metadata: &Metadata<'_>, exclusive: &Location) -> Vec<Finding> {
    let mut findings = Vec::new();
    walk_streams(metadata, |part, stream| {
        let Some(problem) = problem(&part, stream) else { return };
        let finding = Finding {
            path: path(stream, exclusive),
            key_groups: part.owner.key_groups,
            state: Some(part.state.words().to_owned()),
            expected_size: Some(stream.state_size()),
            ..Finding::new(Code::OffsetOutsideStream, Severity::Error, "", problem)
        };
        findings
            .extend(metadata.operators.get(part.owner.operator).map(|op| finding.of_subtask(op, part.owner.subtask)));
    });
    findings
}

fn problem(part: &Part<'_>, stream: &StreamHandle<'_>) -> Option<String> {
    if let Some(fault) = part.offsets.fault {
        return Some(fault.to_owned());
    }
    let length = stream.state_size();
    let last = part.offsets.last.filter(|_| length >= 0)?;
    let outside = if part.offsets.needs_bytes { last >= length } else { last > length };
    outside.then(|| format!("state starts at byte {last} of a stream of {length} bytes"))
}

/// The file of a stream, as Flink names it.
fn path(stream: &StreamHandle<'_>, exclusive: &Location) -> Option<String> {
    let place = match stream {
        StreamHandle::File { path, .. } => Location::parse(&path.to_str()),
        StreamHandle::Segment(segment) => Location::parse(&segment.path.to_str()),
        StreamHandle::Relative { path, .. } => exclusive.join(&path.to_str()),
        StreamHandle::Bytes(_) | StreamHandle::EmptySegment | StreamHandle::KeyGroups(_) => return None,
    };
    place.ok().map(|place| place.to_string())
}
