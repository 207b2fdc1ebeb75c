//! Paths in handles, written anew. A large `_metadata` has hundreds of thousands of them in a few directories, so what
//! becomes of a directory is found out once.

use super::changes::{PathChange, Tally, Why};
use super::{RepairError, Sources, refused};
use crate::edit::streams::{self, Slot};
use crate::model::{Location, Metadata, StreamHandle};
use crate::survey::resolve::{PathMap, PathMaps};
use crate::wire::JavaStr;
use foldhash::{HashMap, HashMapExt as _};
use std::collections::HashSet;

/// Writes the paths below FROM of each map as paths below TO, those of directories too.
pub(super) fn map(
    metadata: &mut Metadata<'_>,
    maps: &[PathMap],
    paths: &mut Vec<PathChange>,
) -> Result<(), RepairError> {
    if maps.is_empty() {
        return Ok(());
    }
    let mut mapper =
        Mapper { maps, all: PathMaps::new(maps.to_vec()), dirs: HashMap::new(), tally: Tally::new(Why::Map, paths) };
    streams::rewrite(metadata, &mut |_, stream| {
        if let Some(path) = path_of(stream) {
            mapper.rewrite(path)?;
        }
        Ok::<(), RepairError>(())
    })?;
    streams::rewrite_directories(metadata, &mut |path| mapper.rewrite(path))
}

/// The absolute path in a handle.
fn path_of<'h, 'm>(stream: &'h mut StreamHandle<'m>) -> Option<&'h mut JavaStr<'m>> {
    match stream {
        StreamHandle::File { path, .. } => Some(path),
        StreamHandle::Segment(segment) => Some(&mut segment.path),
        StreamHandle::Relative { .. }
        | StreamHandle::Bytes(_)
        | StreamHandle::EmptySegment
        | StreamHandle::KeyGroups(_) => None,
    }
}

struct Mapper<'m, 'c> {
    maps: &'c [PathMap],
    all: PathMaps,
    dirs: HashMap<&'m [u8], Becomes>,
    tally: Tally<'c>,
}

/// What becomes of the files of a directory.
#[derive(Clone)]
enum Becomes {
    Same,
    /// They lie in another, given with a slash at its end; the number is that of the pair in the tally.
    Other(String, usize),
    /// Some of them, perhaps: a map begins in it.
    Each,
}

impl<'m> Mapper<'m, '_> {
    fn rewrite(&mut self, path: &mut JavaStr<'m>) -> Result<(), RepairError> {
        if let Some((dir, name)) = path.borrowed().and_then(split) {
            let becomes = match self.dirs.get(dir) {
                Some(becomes) => becomes,
                None => {
                    let becomes = self.of_directory(dir);
                    self.dirs.entry(dir).or_insert(becomes)
                }
            };
            match becomes {
                Becomes::Same => return Ok(()),
                Becomes::Other(to, pair) => {
                    *path = java(&[to, name].concat());
                    self.tally.add(*pair);
                    return Ok(());
                }
                Becomes::Each => {}
            }
        }
        // A path that Flink refuses stays; the verdict will say so.
        let Ok(place) = Location::parse(&path.to_str()) else { return Ok(()) };
        let to = self.all.here(&place);
        if to != place {
            let to = to.canonical_if_local();
            self.tally.count(directory(&place), directory(&to));
            *path = text(&to)?;
        }
        Ok(())
    }

    fn of_directory(&mut self, dir: &[u8]) -> Becomes {
        // With the slash, so that the root and an authority keep their meaning.
        let parsed = std::str::from_utf8(dir).ok().and_then(|dir| Location::parse(&format!("{dir}/")).ok());
        let Some(place) = parsed else { return Becomes::Each };
        if self.maps.iter().any(|map| map.from.strip_prefix(&place).is_some_and(|rest| !rest.is_empty())) {
            return Becomes::Each;
        }
        let to = self.all.here(&place);
        if to == place {
            return Becomes::Same;
        }
        let to = to.canonical_if_local();
        let pair = self.tally.pair(place.to_string(), to.to_string());
        let slash = if to.path().ends_with('/') { "" } else { "/" };
        Becomes::Other(format!("{to}{slash}"), pair)
    }
}

/// Directory and name of a path whose name stands for itself.
fn split(path: &[u8]) -> Option<(&[u8], &str)> {
    let cut = path.iter().rposition(|&byte| byte == b'/')?;
    let (dir, name) = (path.get(..cut)?, path.get(cut + 1..)?);
    Some((dir, plain(name)?))
}

/// A name that stands for itself: ASCII, with nothing in it that a path or URI gives a meaning.
fn plain(name: &[u8]) -> Option<&str> {
    let special = |byte: &u8| !byte.is_ascii() || matches!(byte, b'/' | b'\\' | b':' | 0);
    if matches!(name, b"" | b"." | b"..") || name.iter().any(special) {
        return None;
    }
    std::str::from_utf8(name).ok()
}

/// The text of a place as Flink writes it into a handle; refused where it is longer than the format can hold.
fn text(place: &Location) -> Result<JavaStr<'static>, RepairError> {
    let text = place.to_string();
    if Location::parse(&text).as_ref() != Ok(place) {
        return refused(format!("{text} cannot be written as a path of Flink's"));
    }
    Ok(java(&text))
}

/// A text, without a look at each character where it is ASCII.
fn java(text: &str) -> JavaStr<'static> {
    match JavaStr::from_modified_utf8(text.as_bytes()) {
        Some(plain) if text.is_ascii() => plain.into_owned(),
        _ => JavaStr::from(text).into_owned(),
    }
}

fn directory(place: &Location) -> String {
    place.parent().unwrap_or_else(|| place.clone()).to_string()
}

/// Where a handle leads, as Flink sees it.
fn resolve(exclusive: &Location, stream: &StreamHandle<'_>) -> Option<Location> {
    match stream {
        StreamHandle::File { path, .. } => Location::parse(&path.to_str()).ok(),
        StreamHandle::Segment(segment) => Location::parse(&segment.path.to_str()).ok(),
        StreamHandle::Relative { path, .. } => exclusive.join(&path.to_str()).ok(),
        StreamHandle::Bytes(_) | StreamHandle::EmptySegment | StreamHandle::KeyGroups(_) => None,
    }
}

/// Makes handles that lead to the first place of each pair, as Flink sees it, name the file at the second, which is here.
pub(super) fn place(
    metadata: &mut Metadata<'_>,
    exclusive: &Location,
    found: impl Iterator<Item = (Location, Location)>,
    sources: Sources<'_>,
    why: Why,
    paths: &mut Vec<PathChange>,
) -> Result<(), RepairError> {
    let found: HashMap<Location, Location> = found.map(|(from, to)| (from.canonical(), sources.there(&to))).collect();
    let mut tally = Tally::new(why, paths);
    streams::rewrite(metadata, &mut |part, stream| {
        // FLINK-39964 is about the shared files of databases alone.
        if why == Why::ReAnchor && part.slot != Slot::DatabaseShared {
            return Ok(());
        }
        let Some(from) = resolve(exclusive, stream) else { return Ok(()) };
        let Some(to) = found.get(&from.canonical()) else { return Ok(()) };
        tally.count(directory(&from), directory(to));
        let path = text(to)?;
        match stream {
            StreamHandle::Segment(segment) => segment.path = path,
            StreamHandle::File { size, .. } | StreamHandle::Relative { size, .. } => {
                *stream = StreamHandle::File { size: *size, path };
            }
            StreamHandle::Bytes(_) | StreamHandle::EmptySegment | StreamHandle::KeyGroups(_) => {}
        }
        Ok(())
    })
}

/// Makes relative handles absolute, but for those of files with the names in `stay`. Gives the number of handles that
/// name a file, which are all seen here.
pub(super) fn make_absolute(
    metadata: &mut Metadata<'_>,
    exclusive: &Location,
    stay: &HashSet<&str>,
    paths: &mut Vec<PathChange>,
) -> Result<u64, RepairError> {
    let mut tally = Tally::new(Why::Absolute, paths);
    let mut own = None;
    let mut handles = 0;
    text(exclusive)?;
    let slash = if exclusive.path().ends_with('/') { "" } else { "/" };
    let before = format!("{exclusive}{slash}");
    streams::rewrite(metadata, &mut |_, stream| {
        let StreamHandle::Relative { size, path } = stream else {
            handles += u64::from(path_of(stream).is_some());
            return Ok(());
        };
        handles += 1;
        let size = *size;
        if let Some(name) = plain(path.as_modified_utf8()) {
            if stay.contains(name) {
                return Ok(());
            }
            let path = java(&[&before, name].concat());
            let pair = *own.get_or_insert_with(|| tally.pair(".".to_owned(), exclusive.to_string()));
            tally.add(pair);
            *stream = StreamHandle::File { size, path };
            return Ok(());
        }
        // A path that Flink refuses stays; the verdict will say so.
        let Ok(to) = exclusive.join(&path.to_str()) else { return Ok(()) };
        tally.count(".".to_owned(), directory(&to));
        *stream = StreamHandle::File { size, path: text(&to)? };
        Ok::<(), RepairError>(())
    })?;
    Ok(handles)
}
