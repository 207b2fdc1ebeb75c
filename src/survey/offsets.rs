//! Whether the positions that handles name lie inside their streams, in line or in files.

use super::finding::{Code, Finding, Severity};
use super::references::{Part, walk_streams};
use crate::model::{Metadata, StreamHandle};

/// Findings about the positions in all streams.
pub fn check(metadata: &Metadata<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    walk_streams(metadata, |part, stream| {
        let Some(problem) = problem(&part, stream) else { return };
        let finding = Finding {
            path: path(stream),
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

fn path(stream: &StreamHandle<'_>) -> Option<String> {
    match stream {
        StreamHandle::File { path, .. } | StreamHandle::Relative { path, .. } => Some(path.to_string()),
        StreamHandle::Segment(segment) => Some(segment.path.to_string()),
        StreamHandle::Bytes(_) | StreamHandle::EmptySegment | StreamHandle::KeyGroups(_) => None,
    }
}
