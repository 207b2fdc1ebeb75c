//! What a promote is going to copy, decided completely.

use super::outside::{Tree, is_uuid};
use super::rewrite::{self, Anchor};
use super::{Outside, PromoteError};
use crate::format;
use crate::model::{Location, Metadata};
use crate::seal::MANIFEST;
use crate::storage::{Below, Details, EntryKind, Part, Storage, StorageError, StorageErrorKind};
use crate::survey::catalog::METADATA;
use crate::survey::references::{self, Extent};
use crate::survey::resolve::{FilePlace, Resolver};
use crate::survey::{Judge, SnapshotDir, mentions};
use foldhash::{HashMap, HashMapExt as _, HashSet, HashSetExt as _};
use jiff::Timestamp;

/// How a promote is to be done.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Copy what is there, though Flink would not restore from it.
    pub force: bool,
    /// Copy files that do not look like Flink's, and through links.
    pub allow_outside: bool,
    /// Let handles name the directory of the copy.
    pub absolute: bool,
    /// Let no handle name it, whatever needs that: for a copy that has no directory yet.
    pub relative: bool,
}

/// What a promote is going to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The directory of the snapshot.
    pub source: Location,
    /// When it was completed, where that is known.
    pub completed_at: Option<Timestamp>,
    /// The files, each once, in the order of the `_metadata`.
    pub files: Vec<PlannedFile>,
    /// Files that handles name and that are not there; only where it was forced.
    pub missing: u64,
    /// The `_metadata` of the copy.
    pub metadata: Vec<u8>,
    /// How its handles name the files.
    pub anchor: Anchor,
    /// Whether checkpoints of a restored job may go on to use its files.
    pub carried_on: bool,
}

/// A file of the copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedFile {
    /// Its name there.
    pub name: String,
    /// The file that it is made of, without links.
    pub from: Location,
    /// What of it.
    pub part: Part,
    /// Whether that is all of it.
    pub whole: bool,
    /// When that was changed last.
    pub modified: Option<Timestamp>,
}

impl Plan {
    /// Bytes of the files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.part.length))
    }

    /// Tells this plan from others: a digest in hexadecimal.
    pub fn fingerprint(&self) -> String {
        let mut text = self.source.to_string();
        for PlannedFile { name, from, part, modified, .. } in &self.files {
            let Part { offset, length } = part;
            text.push_str(&format!("\n{name}\0{from}\0{offset}\0{length}\0{modified:?}"));
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(text.as_bytes()).update(&self.metadata);
        hasher.finalize().to_hex().to_string()
    }
}

/// A file on this storage that handles refer to.
struct Source {
    /// Without links.
    place: Location,
    size: u64,
    modified: Option<Timestamp>,
}

/// Plans the promote of a snapshot to `dest`, as Flink names it. `metadata` is the snapshot's, and becomes that of the copy.
pub fn plan(
    judge: &Judge<'_>,
    metadata: &mut Metadata<'_>,
    snapshot: &SnapshotDir,
    dest: &Location,
    options: &Options,
) -> Result<Plan, PromoteError> {
    let storage = judge.inventory.storage();
    let found = resolve(judge, metadata, snapshot);
    let sources = look_up(judge, storage, snapshot, &found, options)?;
    let mut pieces = Pieces::default();
    let mut missing = HashSet::new();
    let mut names = Vec::with_capacity(found.references.len());
    for (file, extent) in &found.references {
        let piece = match file.map(|file| (file, sources.get(file))) {
            Some((_, Some(Some(source)))) => Some(pieces.add(source, *extent)?),
            Some((file, _)) => {
                missing.insert(file);
                // A name that nothing has: the handle must not lead out of the copy.
                Some(pieces.unused(&found.files[file].to_string()))
            }
            None => None,
        };
        names.push(piece);
    }
    pieces.check_segments()?;
    if !options.force {
        refuse_what_cannot_follow(judge, storage, snapshot, &found)?;
    }
    let anchor = if options.relative { Anchor::Beside } else { Anchor::of(metadata, dest, options.absolute) };
    let carried_on = rewrite::is_carried_on(metadata);
    rewrite::rename(metadata, &anchor, names.iter().map(|name| name.map(|index| pieces.names[index].as_str())));
    rewrite::drop_directories(metadata);
    Ok(Plan {
        source: snapshot.dir.clone(),
        completed_at: snapshot.completed_at(),
        missing: missing.len() as u64,
        metadata: format::encode(metadata)?,
        files: pieces.files,
        anchor,
        carried_on,
    })
}

/// The files that a `_metadata` refers to.
struct Found {
    /// As they are to be read here, not yet looked at.
    files: Vec<Location>,
    /// Every reference: the index of its file, where Flink takes its path for one.
    references: Vec<(Option<usize>, Extent)>,
}

fn resolve(judge: &Judge<'_>, metadata: &Metadata<'_>, snapshot: &SnapshotDir) -> Found {
    let mut resolver = Resolver::new(judge.exclusive(&snapshot.dir));
    let mut known: HashMap<FilePlace<'_>, usize> = HashMap::new();
    let mut found = Found { files: Vec::new(), references: Vec::new() };
    references::walk(metadata, |reference| {
        let file = resolver.resolve(&reference.place).ok().map(|place| {
            *known.entry(place).or_insert_with_key(|place| {
                found.files.push(judge.maps.here(&resolver.location(place)));
                found.files.len() - 1
            })
        });
        found.references.push((file, reference.extent));
    });
    found
}

/// Looks at the files, a directory at a time. One entry for each: `None` where none is there, which only a forced promote
/// may pass over.
fn look_up(
    judge: &Judge<'_>,
    storage: &dyn Storage,
    snapshot: &SnapshotDir,
    found: &Found,
    options: &Options,
) -> Result<Vec<Option<Source>>, PromoteError> {
    let mut tree = Tree::of(storage, &snapshot.dir)?;
    let mut outside = Vec::new();
    let mut sources: Vec<Option<Source>> = found.files.iter().map(|_| None).collect();
    let mut by_dir: HashMap<Location, Vec<usize>> = HashMap::new();
    for (index, file) in found.files.iter().enumerate() {
        by_dir.entry(file.parent().unwrap_or_else(|| file.clone())).or_default().push(index);
    }
    judge.progress.expect(0);
    for (dir, members) in by_dir {
        let real = match storage.real_place(&dir) {
            Err(error) if error.is_not_found() && options.force => continue,
            real => real?,
        };
        let names: Vec<&str> = members.iter().map(|&index| found.files[index].name()).collect();
        let below = Below { root: &real, dir: "" };
        for (&index, details) in members.iter().zip(storage.look(below, &names)?) {
            let place = &found.files[index];
            let source = match one(storage, &below.file(place.name()), details) {
                Ok(source) => source,
                Err(_) if options.force => continue,
                Err(error) => return Err(error.into()),
            };
            if !options.allow_outside && !tree.holds(storage, &source.place) {
                outside.push(Outside { place: place.clone(), real: source.place.clone() });
            }
            sources[index] = Some(source);
        }
    }
    if outside.is_empty() {
        return Ok(sources);
    }
    outside.sort_by(|a, b| a.place.cmp(&b.place));
    Err(PromoteError::Outside(outside))
}

/// A file at a place whose directory has no links in its path.
fn one(storage: &dyn Storage, place: &Location, details: Option<Details>) -> Result<Source, StorageError> {
    let error = |kind, message| StorageError::new(kind, place, message);
    let Some(details) = details else { return Err(error(StorageErrorKind::NotFound, "nothing is there")) };
    match details.kind {
        EntryKind::File => Ok(Source { place: place.clone(), size: details.size, modified: details.modified }),
        EntryKind::Link => {
            let real = storage.real_place(place)?;
            let stat = storage.stat(&real)?;
            match stat.kind {
                EntryKind::File => Ok(Source { place: real, size: stat.size, modified: stat.modified }),
                _ => Err(error(StorageErrorKind::Other, "not a file")),
            }
        }
        _ => Err(error(StorageErrorKind::Other, "not a file")),
    }
}

/// The files of the copy while they are gathered.
#[derive(Default)]
struct Pieces {
    files: Vec<PlannedFile>,
    /// Of the files, and then of those that are missing.
    names: Vec<String>,
    known: HashMap<(Location, Option<Part>), usize>,
    /// In small letters, for file systems to which they are the same.
    taken: HashSet<String>,
    /// Index in `names` of the file at an index of `files`.
    segments: HashMap<Location, Vec<Part>>,
    absent: HashMap<String, usize>,
}

impl Pieces {
    /// The index of the name of what a reference means of a file.
    fn add(&mut self, source: &Source, extent: Extent) -> Result<usize, PromoteError> {
        let all = Part { offset: 0, length: source.size };
        let (part, whole) = match extent {
            Extent::Whole(_) => (all, true),
            Extent::Segment { start, size } => match (u64::try_from(start), u64::try_from(size)) {
                // What lies behind the end is not there to be copied; the judge has said so.
                (Ok(start), Ok(size)) => {
                    let offset = start.min(source.size);
                    (Part { offset, length: size.min(source.size - offset) }, false)
                }
                _ => {
                    let message = format!("{}: a segment with a negative offset or length", source.place);
                    return Err(PromoteError::Refused(message));
                }
            },
        };
        let key = (source.place.clone(), (!whole).then_some(part));
        if let Some(&index) = self.known.get(&key) {
            return Ok(index);
        }
        let Part { offset, length } = part;
        let name = match whole {
            true => self.name(source.place.name(), &source.place.to_string()),
            false => self.name("", &format!("{}\0{offset}\0{length}", source.place)),
        };
        if !whole {
            self.segments.entry(source.place.clone()).or_default().push(part);
        }
        let file = PlannedFile { name, from: source.place.clone(), part, whole, modified: source.modified };
        let index = self.names.len();
        self.names.push(file.name.clone());
        self.files.push(file);
        self.known.insert(key, index);
        Ok(index)
    }

    /// The index of a name that no file has, for one that is missing.
    fn unused(&mut self, seed: &str) -> usize {
        if let Some(&index) = self.absent.get(seed) {
            return index;
        }
        let name = self.name("", seed);
        self.names.push(name);
        self.absent.insert(seed.to_owned(), self.names.len() - 1);
        self.names.len() - 1
    }

    /// The name itself where it can be one, and is not taken; otherwise a UUID that comes from `seed`, so that the next run
    /// gives the same.
    fn name(&mut self, name: &str, seed: &str) -> String {
        if is_good_name(name) && self.taken.insert(name.to_lowercase()) {
            return name.to_owned();
        }
        let mut count = 0_u64;
        loop {
            let name = uuid_from(&format!("{seed}\0{count}"));
            if self.taken.insert(name.clone()) {
                return name;
            }
            count += 1;
        }
    }

    /// Refuses segments that overlap: Flink writes one behind the other, and many that do would make a small file a large
    /// copy.
    fn check_segments(&mut self) -> Result<(), PromoteError> {
        for (place, parts) in &mut self.segments {
            parts.sort_by_key(|part| (part.offset, part.length));
            let overlap = parts.windows(2).any(|pair| match pair {
                [a, b] => a.length > 0 && b.length > 0 && b.offset < a.offset.saturating_add(a.length),
                _ => false,
            });
            if overlap {
                return Err(PromoteError::Refused(format!("{place}: segments of it overlap, which no Flink writes")));
            }
        }
        Ok(())
    }
}

/// Whether a copy can have a file of this name: plain, short enough for an archive, and not one that means something.
pub(super) fn is_good_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let reserved = [METADATA, MANIFEST].iter().any(|reserved| name.eq_ignore_ascii_case(reserved));
    (1..=80).contains(&name.len()) && name.bytes().all(plain) && !name.starts_with('.') && !reserved
}

/// A UUID (version 8) that comes from a text.
fn uuid_from(text: &str) -> String {
    let hash = blake3::hash(text.as_bytes());
    let half = hash.as_bytes().first_chunk().map_or(0, |bytes| u128::from_be_bytes(*bytes));
    let uuid = (half & !(0xF << 76) & !(0b11 << 62)) | (8 << 76) | (0b10 << 62);
    let text = format!("{uuid:032x}");
    let part = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0..8), part(8..12), part(12..16), part(16..20), part(20..32))
}

/// Refuses a snapshot whose operator state names files that no handle does: those of a write-ahead sink
/// (`GenericWriteAheadSink`), which lie in the job's `taskowned`, are named by Java objects, and cannot be renamed there.
fn refuse_what_cannot_follow(
    judge: &Judge<'_>,
    storage: &dyn Storage,
    snapshot: &SnapshotDir,
    found: &Found,
) -> Result<(), PromoteError> {
    let Some(owned) = snapshot.dir.parent().map(|job| job.with_suffix("/taskowned")) else { return Ok(()) };
    let entries = match storage.list(&owned) {
        Ok(entries) => entries,
        Err(error) if error.is_not_found() => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let gathered: HashSet<&str> = found.files.iter().map(Location::name).collect();
    let wanted: HashSet<&str> = entries
        .iter()
        .map(|entry| entry.name.as_str())
        .filter(|name| is_uuid(name) && !gathered.contains(name))
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let count = match mentions::mentioned(judge, snapshot, &wanted) {
        Ok(names) => names.into_iter().collect::<HashSet<_>>().len(),
        Err(why) => {
            return Err(PromoteError::Refused(format!(
                "whether operator state names files in {owned} (as that of a write-ahead sink does) could not be found out: \
                 {why}; --force makes the copy without them"
            )));
        }
    };
    if count == 0 {
        return Ok(());
    }
    Err(PromoteError::Refused(format!(
        "operator state names {count} files in {owned} (a write-ahead sink), by paths that a copy cannot change: the copy would \
         not do without them; --force makes it all the same"
    )))
}
