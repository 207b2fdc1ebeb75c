//! Back from an archive. What is in it is not trusted more than any `_metadata`.

use super::archive::{copy, failed, read};
use super::plan::is_good_name;
use super::rewrite::{self, Anchor};
use super::stage::Staging;
use super::{Options, PromoteError};
use crate::format;
use crate::model::{Location, Metadata};
use crate::seal::{LARGEST, MANIFEST, Manifest, Sum, Summing};
use crate::survey::catalog::METADATA;
use crate::survey::references::{self, Place};
use crate::survey::verify::METADATA_LIMIT;
use crate::survey::{Progress, SnapshotReport};
use std::io::{self, Read};

/// An archive may hold so many times its own size, and [`FREE`] bytes: state that compresses better is hardly one.
const RATIO: u64 = 1_000;
const FREE: u64 = 1 << 30;

/// A snapshot that came out of an archive.
#[derive(Debug)]
pub struct Unpacked {
    /// What can be said of it.
    pub report: SnapshotReport,
    /// Its files, the `_metadata` among them.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
}

/// Unpacks an archive. Every file must have the size and digest that the manifest in it says, and all that the `_metadata`
/// names must be there. `seen` is DEST as Flink names it.
pub fn unpack(
    archive: &Location,
    staging: Staging<'_>,
    seen: &Location,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Unpacked, PromoteError> {
    let storage = staging.storage();
    let size = storage.stat(archive)?.size;
    let most = if options.force { u64::MAX } else { size.saturating_mul(RATIO).saturating_add(FREE) };
    // What an earlier run left is not looked at.
    staging.keep_only(|_| false)?;
    let refused = |why: String| PromoteError::Refused(format!("{archive}: {why}"));
    let (mut total, mut found) = (0_u64, Manifest::default());
    let (mut manifest, mut metadata) = (None, None);
    read(storage, archive, |name, size, content| {
        total = total.saturating_add(size);
        if total > most {
            return Err(refused(format!("it holds more than {most} bytes, which --force takes")));
        }
        if metadata.is_some() {
            return Err(refused(format!("{name:?} comes after the _metadata")));
        }
        match name {
            METADATA => metadata = Some(whole(content, METADATA_LIMIT).map_err(|error| failed(archive, &error))?),
            MANIFEST if manifest.is_none() => {
                let bytes = whole(content, LARGEST).map_err(|error| failed(archive, &error))?;
                manifest = Some(Manifest::parse(&bytes).map_err(|why| refused(format!("{MANIFEST}: {why}")))?);
            }
            name if is_good_name(name) && found.get(name).is_none() => {
                let mut writer = storage.create(&staging.file(name))?;
                let mut summing = Summing::default();
                let mut error = None;
                let copied = copy(content, &mut |bytes| {
                    summing.update(bytes);
                    progress.advance(bytes.len() as u64);
                    writer.write(bytes).map_err(|failed| {
                        error = Some(failed);
                        io::Error::other("not written")
                    })
                });
                if let Some(error) = error {
                    return Err(error.into());
                }
                copied.map_err(|error| failed(archive, &error))?;
                writer.leave()?;
                found.insert(name, summing.finish());
            }
            name => return Err(refused(format!("{name:?} is no name of a file in a snapshot, or is there twice"))),
        }
        Ok(())
    })?;
    let metadata =
        metadata.ok_or_else(|| refused("it holds no _metadata: it was cut, or is none of a snapshot".to_owned()))?;
    let manifest = manifest.ok_or_else(|| refused(format!("it holds no {MANIFEST}")))?;
    found.insert(METADATA, Sum::of(&metadata));
    if let Some(name) = difference(&manifest, &found) {
        return Err(refused(format!("{name:?} is not as its {MANIFEST} says: the archive is damaged")));
    }
    let (files, bytes) = (found.iter().len() as u64, found.iter().map(|(_, sum)| sum.size).sum());
    let metadata = anchored(&metadata, &found, seen, options).map_err(|error| match error {
        PromoteError::Refused(why) => refused(why),
        error => error,
    })?;
    let report = staging.publish(&metadata, found, seen, options.force)?;
    Ok(Unpacked { report, files, bytes })
}

/// The first file, by name, that two manifests do not say the same of.
fn difference<'m>(a: &'m Manifest, b: &'m Manifest) -> Option<&'m str> {
    let not_in = |one: &'m Manifest, other: &'m Manifest| one.iter().find(|(name, sum)| other.get(name) != Some(*sum));
    not_in(a, b).or_else(|| not_in(b, a)).map(|(name, _)| name)
}

fn whole(content: &mut dyn Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = content.take(limit).read_to_end(&mut bytes)?;
    if read as u64 == limit { Err(io::Error::other("a file in it is too large")) } else { Ok(bytes) }
}

/// The `_metadata` as it is to be in DEST. All that it names must be in the archive.
fn anchored(bytes: &[u8], files: &Manifest, seen: &Location, options: &Options) -> Result<Vec<u8>, PromoteError> {
    let mut metadata: Metadata<'_> = format::decode(bytes)?;
    let (mut names, mut stray) = (Vec::new(), None);
    references::walk(&metadata, |reference| {
        let (Place::Absolute(path) | Place::Relative(path)) = &reference.place;
        let name = path.to_str().into_owned();
        let is_there = matches!(reference.place, Place::Relative(_)) && files.get(&name).is_some();
        if !is_there || name == METADATA {
            stray.get_or_insert(name.clone());
        }
        names.push(name);
    });
    if let Some(name) = stray.filter(|_| !options.force) {
        return Err(PromoteError::Refused(format!("its _metadata names {name:?}, which is not in it")));
    }
    let anchor = Anchor::of(&metadata, seen, options.absolute);
    if anchor == Anchor::Beside {
        return Ok(bytes.to_vec());
    }
    let there = names.iter().map(|name| Some(name.as_str()).filter(|name| files.get(name).is_some()));
    rewrite::rename(&mut metadata, &anchor, there);
    Ok(format::encode(&metadata)?)
}
