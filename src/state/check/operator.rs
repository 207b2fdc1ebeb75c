//! Streams of operator state (`OperatorStateRestoreOperation`): the handle says where each element starts, and they lie one
//! behind the other.

use super::described;
use super::findings::{Findings, Progress, damage};
use super::frames::{self, Frames};
use super::head::{self, HEAD};
use super::keyed::{Located, drain};
use super::layout::is_opaque;
use super::steps::Steps;
use crate::model::DistributionMode;
use crate::model::damage::{Checked, Effect};
use crate::model::handle::OperatorStateInfo;
use crate::state::meta::StateMeta;
use crate::state::operator::OperatorHeader;
use crate::state::serializer::SerializerSnapshot;
use crate::wire::{Input, ReadAt, Stream};
use std::io;

/// What is known of a stream of operator state.
#[derive(Debug)]
pub struct OperatorSummary {
    /// What is wrong.
    pub checked: Checked,
    /// The states, where they could be read.
    pub header: Option<OperatorHeader>,
}

/// The identifier of a stream of frames.
const IDENTIFIER: u64 = 10;
/// How often an element is followed into the next one; see the same of key groups.
const OVERRUNS: u32 = 16;

/// What a state's elements are made of.
enum Element<'h> {
    List(&'h SerializerSnapshot),
    Broadcast(&'h SerializerSnapshot, &'h SerializerSnapshot),
    Unknown,
}

struct Piece<'h> {
    start: u64,
    end: u64,
    state: usize,
    element: &'h Element<'h>,
    quick: Option<&'h Steps>,
}

impl Piece<'_> {
    /// Whether it lies at hand as a whole, and nothing is wrong with it.
    #[inline]
    fn is_fine(&self, at_hand: &[u8]) -> bool {
        let length = usize::try_from(self.end.saturating_sub(self.start)).ok();
        let bytes = length.and_then(|length| at_hand.get(..length));
        let behind = self.quick.zip(bytes).and_then(|(steps, bytes)| steps.pass(bytes, None));
        behind.is_some_and(<[u8]>::is_empty)
    }
}

impl Element<'_> {
    fn steps(&self) -> Option<Steps> {
        let mut steps = Steps::default();
        match self {
            Element::List(value) => steps.value(value).map(|()| steps),
            Element::Broadcast(..) | Element::Unknown => None,
        }
    }
}

/// Checks a stream of operator state. `states` is what the handle says of it.
///
/// # Errors
/// When the storage fails.
pub fn operator_stream(
    source: &dyn ReadAt,
    states: &[OperatorStateInfo<'_>],
    progress: &dyn Fn(u64),
) -> io::Result<OperatorSummary> {
    let told = Progress::new(progress);
    let summary = judged(source, states, &|more| told.more(more));
    told.finish(source.size());
    summary
}

fn judged(
    source: &dyn ReadAt,
    states: &[OperatorStateInfo<'_>],
    progress: &dyn Fn(u64),
) -> io::Result<OperatorSummary> {
    let mut findings = Findings::default();
    head::flag(source, 4, 6, &mut findings)?;
    let (header, end) = match head::read(source, "head of operator state", OperatorHeader::read)? {
        Ok(head) => head,
        Err(error) => {
            findings.error(Effect::Fails, HEAD, error.offset, &error);
            bounds(source.size(), states, &mut findings);
            return Ok(OperatorSummary { checked: findings.into_checked(), header: None });
        }
    };
    described::judge_operator(&header.lists, &header.broadcasts, &mut findings);
    agree(&header, states, &mut findings);
    bounds(source.size(), states, &mut findings);
    let elements: Vec<Element<'_>> = states.iter().map(|state| element(&header, &state.name.to_str())).collect();
    let steps: Vec<Option<Steps>> = elements.iter().map(Element::steps).collect();
    let pieces = pieces(source.size(), states, &elements, &steps);
    match header.compressed {
        false => plain(source, end, states, &pieces, &mut findings, progress)?,
        true => compressed(source, end, states, &pieces, &mut findings, progress)?,
    }
    Ok(OperatorSummary { checked: findings.into_checked(), header: Some(header) })
}

fn element<'h>(header: &'h OperatorHeader, name: &str) -> Element<'h> {
    if let Some(value) = header.lists.iter().find(|state| state.name == name).and_then(StateMeta::value) {
        return Element::List(value);
    }
    let broadcast = header.broadcasts.iter().find(|state| state.name == name);
    match broadcast.and_then(|state| state.broadcast_key().zip(state.value())) {
        Some((key, value)) => Element::Broadcast(key, value),
        None => Element::Unknown,
    }
}

/// Compares what the handle and the head say of the states.
fn agree(header: &OperatorHeader, states: &[OperatorStateInfo<'_>], findings: &mut Findings) {
    let mut described = header.lists.iter().chain(&header.broadcasts);
    for state in states {
        let name = state.name.to_str();
        let Some(meta) = described.clone().find(|meta| meta.name == name) else {
            findings.add(Effect::Fails, HEAD, 0, format_args!("state {name:?} of the handle is not described"));
            continue;
        };
        if meta.distribution().is_some_and(|mode| mode != state.mode) {
            let theirs = meta.distribution().map_or("", DistributionMode::name);
            let problem = format!("state {name:?} is {theirs} in the stream, {} in the handle", state.mode.name());
            findings.add(Effect::Starts, HEAD, 0, problem);
        }
    }
    if let Some(meta) = described.find(|meta| !states.iter().any(|state| state.name.to_str() == meta.name)) {
        findings.add(Effect::Starts, HEAD, 0, format_args!("the handle knows nothing of state {:?}", meta.name));
    }
}

/// Finds elements that start outside of the stream.
fn bounds(size: u64, states: &[OperatorStateInfo<'_>], findings: &mut Findings) {
    for state in states {
        for (number, &offset) in state.offsets.iter().enumerate() {
            if u64::try_from(offset).is_ok_and(|start| start < size) {
                continue;
            }
            let problem = format!("element {number} starts at byte {offset} of a stream of {size} bytes");
            findings.add(Effect::Fails, &section(&state.name.to_str()), size, problem);
        }
    }
}

fn section(name: &str) -> String {
    format!("operator state {name:?}")
}

/// The elements in the order of the stream.
fn pieces<'h>(
    size: u64,
    states: &[OperatorStateInfo<'_>],
    elements: &'h [Element<'h>],
    steps: &'h [Option<Steps>],
) -> Vec<Piece<'h>> {
    let mut pieces = Vec::new();
    for (state, (info, (element, steps))) in states.iter().zip(elements.iter().zip(steps)).enumerate() {
        let quick = steps.as_ref();
        let starts = info.offsets.iter().filter_map(|offset| u64::try_from(*offset).ok());
        let starts = starts.filter(|start| *start < size);
        pieces.extend(starts.map(|start| Piece { start, end: size, state, element, quick }));
    }
    pieces.sort_by_key(|piece| piece.start);
    let mut next = size;
    for piece in pieces.iter_mut().rev() {
        piece.end = std::mem::replace(&mut next, piece.start);
    }
    pieces
}

/// Passes over an element.
fn pass<I: Input>(element: &Element<'_>, input: &mut I) -> Result<(), I::Error> {
    match element {
        Element::List(value) => value.skip_value(input),
        Element::Broadcast(key, value) => {
            let count = input.count("the number of entries of broadcast state", 2)?;
            for _ in 0..count {
                key.skip_value(input)?;
                value.skip_value(input)?;
            }
            Ok(())
        }
        Element::Unknown => input.skip(input.left()),
    }
}

fn name(states: &[OperatorStateInfo<'_>], piece: &Piece<'_>) -> String {
    section(&states.get(piece.state).map(|state| state.name.to_str()).unwrap_or_default())
}

fn plain(
    source: &dyn ReadAt,
    head: u64,
    states: &[OperatorStateInfo<'_>],
    pieces: &[Piece<'_>],
    findings: &mut Findings,
    progress: &dyn Fn(u64),
) -> io::Result<()> {
    let size = source.size();
    let mut stream = Stream::over(source, "operator state", progress);
    let first = pieces.first().map_or(size, |piece| piece.start);
    if first != head {
        let problem = format!("the head ends here, the first element starts at byte {first}");
        findings.add(Effect::Starts, HEAD, head, problem);
    }
    let mut overruns = 0;
    for piece in pieces {
        if findings.is_full() {
            break;
        }
        findings.in_state(&states.get(piece.state).map(|state| state.name.to_str()).unwrap_or_default());
        let open = overruns < OVERRUNS && !matches!(piece.element, Element::Unknown);
        stream.seek(piece.start, if open { size } else { piece.end });
        if piece.is_fine(stream.at_hand()) {
            stream.seek(piece.end, piece.end);
            continue;
        }
        let passed = pass(piece.element, &mut stream);
        let at = stream.offset();
        match passed {
            Ok(()) if at == piece.end => {}
            Ok(()) => {
                overruns = overruns.saturating_add(1);
                let problem = format!("an element that starts at byte {} ends here, not at {}", piece.start, piece.end);
                findings.add(Effect::Starts, &name(states, piece), at, problem);
            }
            Err(error) => {
                let error = damage(error)?;
                overruns = overruns.saturating_add(u32::from(!is_opaque(&error)));
                findings.error(Effect::Fails, &name(states, piece), error.offset, &error);
                stream.seek(at.min(piece.end), piece.end);
                drain(&mut stream).map(|_| ()).or_else(|error| damage(error).map(|_| ()))?;
            }
        }
        for (at, what) in stream.oddities() {
            findings.add(Effect::Starts, &name(states, piece), at, what);
        }
    }
    Ok(())
}

/// The frames of all elements are one stream, whose identifier stands behind the head (`CompressibleFSDataInputStream`).
fn compressed(
    source: &dyn ReadAt,
    head: u64,
    states: &[OperatorStateInfo<'_>],
    pieces: &[Piece<'_>],
    findings: &mut Findings,
    progress: &dyn Fn(u64),
) -> io::Result<()> {
    let size = source.size();
    let mut stream = Frames::stream(source, progress);
    let first = pieces.first().map_or(size, |piece| piece.start);
    // Flink reads it before any element; what stands there else, it reads not.
    frames::restart(&mut stream, head, head.saturating_add(IDENTIFIER).min(size), false);
    if let Err(error) = drain(&mut stream).map_err(damage) {
        let error = error?;
        findings.error(Effect::Fails, HEAD, error.offset, &error);
    }
    let identified = head.saturating_add(IDENTIFIER);
    if first != identified && first != head {
        let problem = format!("the first element starts at byte {first}, not here");
        findings.add(Effect::Starts, HEAD, identified, problem);
    }
    for piece in pieces {
        if findings.is_full() {
            break;
        }
        let section = name(states, piece);
        findings.in_state(&states.get(piece.state).map(|state| state.name.to_str()).unwrap_or_default());
        let own = piece.start > head;
        frames::restart(&mut stream, piece.start, piece.end, own);
        if let Err(error) = pass(piece.element, &mut stream).map_err(damage) {
            let error = error?;
            let (at, more) = match error.section == frames::FRAMES {
                true => (error.offset, String::new()),
                false => stream.place(error.offset),
            };
            let before = findings.count();
            findings.error(Effect::Fails, &section, at, &error);
            if findings.count() > before {
                findings.amend(&more);
            }
            if !is_opaque(&error) {
                continue;
            }
        } else if stream.left() > 0 {
            let at = stream.offset();
            let rest = drain(&mut stream).map_err(damage);
            let (place, more) = stream.place(at);
            match rest {
                Ok(0) => {}
                Ok(left) => {
                    findings.add(Effect::Starts, &section, place, format!("{left} bytes behind an element{more}"))
                }
                Err(error) => {
                    let error = error?;
                    findings.error(Effect::Starts, &section, error.offset, &error);
                }
            }
        }
        for (at, what) in stream.oddities() {
            findings.add(Effect::Starts, &section, at, what);
        }
    }
    Ok(())
}
