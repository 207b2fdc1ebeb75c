//! Where a reference leads: first as Flink resolves it, then where it is to be read here.

use super::references::Place;
use crate::model::Location;
use crate::model::location::LocationError;
use foldhash::{HashMap, HashMapExt as _};
use std::borrow::Cow;
use std::str::FromStr;

/// `--map FROM=TO`: what lies under FROM is read at TO.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathMap {
    /// The place in handles.
    pub from: Location,
    /// The place here.
    pub to: Location,
}

impl FromStr for PathMap {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (from, to) = text.split_once('=').ok_or_else(|| format!("{text:?} is not of the form FROM=TO"))?;
        let parse = |text: &str| Location::parse(text).map_err(|e| e.to_string());
        Ok(PathMap { from: parse(from)?, to: absolute(&parse(to)?) })
    }
}

/// A local relative path, made absolute as Flink does; anything else as it is.
pub fn absolute(place: &Location) -> Location {
    if !place.is_local() || place.path().starts_with('/') {
        return place.clone();
    }
    let path = if place.path().is_empty() { "." } else { place.path() };
    match std::path::absolute(path) {
        Ok(path) => Location::new(place.scheme(), None, &path.to_string_lossy()),
        Err(_) => place.clone(),
    }
}

/// The maps of a run.
#[derive(Debug, Clone, Default)]
pub struct PathMaps(Vec<PathMap>);

impl PathMaps {
    /// Maps of which the longest that fits wins.
    pub fn new(maps: Vec<PathMap>) -> Self {
        PathMaps(maps)
    }

    /// Where to read what Flink calls `place`.
    pub fn here(&self, place: &Location) -> Location {
        longest(&self.0, place, |map| (&map.from, &map.to))
    }

    /// What Flink calls the place that is read at `place`.
    pub fn there(&self, place: &Location) -> Location {
        longest(&self.0, place, |map| (&map.to, &map.from))
    }
}

fn longest<'m>(
    maps: &'m [PathMap],
    place: &Location,
    direction: impl Fn(&'m PathMap) -> (&'m Location, &'m Location),
) -> Location {
    let fitting = maps.iter().map(direction).filter_map(|(from, to)| Some((from, place.strip_prefix(from)?, to)));
    match fitting.max_by_key(|(from, _, _)| from.path().len()) {
        Some((_, rest, to)) => to.with_suffix(&rest),
        None => place.clone(),
    }
}

/// Resolves the references of one snapshot. Directories are remembered, so that the many files of one directory cost
/// one resolution.
pub struct Resolver<'m> {
    exclusive: Location,
    dirs: Vec<Location>,
    by_text: HashMap<Cow<'m, str>, usize>,
    last: Option<(&'m [u8], usize)>,
}

/// A file: which directory of [`Resolver::dirs`] it is in, and its name there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FilePlace<'m> {
    /// Index into [`Resolver::dirs`].
    pub dir: usize,
    /// The name.
    pub name: Cow<'m, str>,
}

impl<'m> Resolver<'m> {
    /// For a snapshot whose `_metadata` lies in `exclusive`, a place as Flink sees it.
    pub fn new(exclusive: Location) -> Self {
        Resolver { dirs: vec![exclusive.clone()], exclusive, by_text: HashMap::new(), last: None }
    }

    /// The directories that references lead into, as Flink sees them. The first is the exclusive directory.
    pub fn dirs(&self) -> &[Location] {
        &self.dirs
    }

    /// The full place of a file, as Flink sees it.
    pub fn location(&self, file: &FilePlace<'_>) -> Location {
        let dir = self.dirs.get(file.dir).unwrap_or(&self.exclusive);
        dir.with_suffix(&format!("/{}", file.name))
    }

    /// Resolves one place as Flink does (`FileStateHandle`, `RelativeFileStateHandle`).
    pub fn resolve(&mut self, place: &Place<'m>) -> Result<FilePlace<'m>, LocationError> {
        match place {
            Place::Absolute(path) => {
                let bytes = path.borrowed().unwrap_or_default();
                let cut = bytes.iter().rposition(|&byte| byte == b'/');
                if let Some(cut) = cut
                    && let Some((dir, rest)) = bytes.split_at_checked(cut)
                    && let Some(name) = rest.get(1..).and_then(plain_name)
                {
                    if let Some((last, index)) = self.last
                        && last == dir
                    {
                        return Ok(FilePlace { dir: index, name: Cow::Borrowed(name) });
                    }
                    if let Ok(text) = std::str::from_utf8(dir) {
                        // The slash stays, so that the root and an authority keep their meaning.
                        let index = self.directory(Cow::Borrowed(text), || Location::parse(&format!("{text}/")))?;
                        self.last = Some((dir, index));
                        return Ok(FilePlace { dir: index, name: Cow::Borrowed(name) });
                    }
                }
                self.by_location(&Location::parse(&path.to_str())?)
            }
            Place::Relative(path) => match path.borrowed().and_then(plain_name) {
                Some(name) => Ok(FilePlace { dir: 0, name: Cow::Borrowed(name) }),
                None => self.by_location(&self.exclusive.join(&path.to_str())?),
            },
        }
    }

    fn by_location(&mut self, place: &Location) -> Result<FilePlace<'m>, LocationError> {
        let name = place.name().to_owned();
        let dir = place.parent().unwrap_or_else(|| place.clone());
        let index = self.directory(Cow::Owned(dir.to_string()), || Ok(dir))?;
        Ok(FilePlace { dir: index, name: Cow::Owned(name) })
    }

    fn directory(
        &mut self,
        text: Cow<'m, str>,
        parse: impl FnOnce() -> Result<Location, LocationError>,
    ) -> Result<usize, LocationError> {
        if let Some(&index) = self.by_text.get(&text) {
            return Ok(index);
        }
        let place = parse()?;
        let canonical = place.canonical();
        let known = self.dirs.iter().position(|dir| dir.canonical() == canonical);
        let index = known.unwrap_or_else(|| {
            self.dirs.push(place);
            self.dirs.len() - 1
        });
        self.by_text.insert(text, index);
        Ok(index)
    }
}

/// The text of a file name that stands for itself: ASCII, with nothing in it that a path or URI gives a meaning.
fn plain_name(bytes: &[u8]) -> Option<&str> {
    // Without an early end, so that it compiles to vector instructions.
    let special = |found, &byte: &u8| found | !byte.is_ascii() | matches!(byte, b'/' | b'\\' | b':' | 0);
    if matches!(bytes, b"" | b"." | b"..") || bytes.iter().fold(false, special) {
        return None;
    }
    std::str::from_utf8(bytes).ok()
}

/// What a name is when `%41` stands for `A`, as it does in URIs; `None` where it cannot be read so.
pub fn percent_decoded(name: &str) -> Option<Box<str>> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (high, low) = (digit(rest.next())?, digit(rest.next())?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok().map(String::into_boxed_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::JavaStr;

    fn at(text: &str) -> Location {
        Location::parse(text).expect("a path")
    }

    fn resolved(place: Place<'_>) -> String {
        let mut resolver = Resolver::new(at("file:/ck/job/chk-7"));
        match resolver.resolve(&place) {
            Ok(file) => resolver.location(&file).to_string(),
            Err(error) => error.to_string(),
        }
    }

    /// The text as a decoder gives it, borrowed from the input, and as an edited model has it.
    fn both(text: &str) -> [JavaStr<'_>; 2] {
        [JavaStr::from_modified_utf8(text.as_bytes()).expect("plain text"), JavaStr::from(text)]
    }

    #[test]
    fn references_resolve_as_flink_does() {
        for (text, wanted) in [
            ("file:/ck/job/shared/f", "file:/ck/job/shared/f"),
            ("file:///ck/job//shared/f", "file:/ck/job/shared/f"),
            ("/ck/job/shared/f", "/ck/job/shared/f"),
            ("hdfs://nn:8020/ck/f", "hdfs://nn:8020/ck/f"),
            ("file:/ck/x/../f", "file:/ck/f"),
            ("s3://bucket/f", "s3://bucket/f"),
            ("/f", "/f"),
        ] {
            both(text).into_iter().for_each(|path| assert_eq!(resolved(Place::Absolute(path)), wanted, "{text}"));
        }
        for (text, wanted) in [("f", "file:/ck/job/chk-7/f"), ("../shared/f", "file:/ck/job/shared/f")] {
            both(text).into_iter().for_each(|path| assert_eq!(resolved(Place::Relative(path)), wanted, "{text}"));
        }
    }

    #[test]
    fn two_spellings_of_a_directory_are_one() {
        let mut resolver = Resolver::new(at("/ck/chk-1"));
        let mut dir = |text| both(text).map(|path| resolver.resolve(&Place::Absolute(path)).map(|file| file.dir));
        let first = dir("file:/ck/shared/a");
        assert_eq!(first, dir("file:///ck/shared/b"));
        assert_eq!(first[0], first[1]);
    }

    #[test]
    fn the_longest_map_wins_and_works_both_ways() {
        let maps = PathMaps::new(vec![
            "hdfs://nn/ck=/mnt/ck".parse().expect("a map"),
            "hdfs://nn/ck/special=/other".parse().expect("a map"),
        ]);
        assert_eq!(maps.here(&at("hdfs://nn/ck/a")).to_string(), "/mnt/ck/a");
        assert_eq!(maps.here(&at("hdfs://nn/ck/special/a")).to_string(), "/other/a");
        assert_eq!(maps.here(&at("hdfs://nn/ckx")).to_string(), "hdfs://nn/ckx");
        assert_eq!(maps.there(&at("file:/mnt/ck/a")).to_string(), "hdfs://nn/ck/a");
        assert!("no-equals-sign".parse::<PathMap>().is_err());
    }
}
