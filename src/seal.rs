//! Seals: size and BLAKE3 of every file of a snapshot, to know later that they are the same bytes.
//!
//! A promoted snapshot carries its own, [`MANIFEST`] in its directory. That of a snapshot in place, whose directory is
//! Flink's, lies beside it in `.chkctl/seals`, as records do. Either is a text file of lines `BLAKE3 SIZE NAME` below a
//! line with the version; a name is that of a file beside the `_metadata`, or the place of another as Flink names it.

mod check;
mod make;

pub use check::{Checked, check, sealed};
pub use make::{SealError, Sealed, directory_of, place_of, seal, sum_of};

use crate::model::Location;
use crate::storage::OWN_DIRECTORY;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The seal in the directory of a promoted snapshot.
pub const MANIFEST: &str = "chkctl.manifest";
/// The directory of seals in chkctl's own.
const SEALS: &str = "seals";
/// What the name of a seal has behind the name of its snapshot.
const ENDING: &str = ".manifest";
/// The first line of a manifest.
const HEAD: &str = "# chkctl.manifest 1";
/// A larger manifest is not read: ten million files have less.
pub const LARGEST: u64 = 2 << 30;

/// A BLAKE3 digest.
pub type Digest = [u8; 32];

/// What a seal says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    /// Size in bytes.
    pub size: u64,
    /// BLAKE3 of the content.
    pub digest: Digest,
}

impl Sum {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Sum { size: bytes.len() as u64, digest: *blake3::hash(bytes).as_bytes() }
    }
}

/// Adds up the bytes of a file.
#[derive(Debug, Clone, Default)]
pub struct Summing {
    hasher: blake3::Hasher,
    size: u64,
}

impl Summing {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
    }

    /// What they come to.
    pub fn finish(&self) -> Sum {
        Sum { size: self.size, digest: *self.hasher.finalize().as_bytes() }
    }
}

/// Whether a file of this name in a directory is a seal or a manifest, by its name.
pub fn is_manifest(dir: &Location, name: &str) -> bool {
    let is_of_seals = || dir.name() == SEALS && dir.parent().is_some_and(|own| own.name() == OWN_DIRECTORY);
    name == MANIFEST || (name.ends_with(ENDING) && is_of_seals())
}

/// A digest in hexadecimal.
pub fn hex(digest: &Digest) -> String {
    blake3::Hash::from_bytes(*digest).to_hex().to_string()
}

/// Sizes and digests of files, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manifest {
    files: BTreeMap<String, Sum>,
}

/// What is wrong with a manifest: its line, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct ManifestError {
    line: usize,
    why: &'static str,
}

impl Manifest {
    /// Adds a file, or changes what is said of it.
    pub fn insert(&mut self, name: impl Into<String>, sum: Sum) {
        self.files.insert(name.into(), sum);
    }

    /// What it says of a file.
    pub fn get(&self, name: &str) -> Option<Sum> {
        self.files.get(name).copied()
    }

    /// Takes out what it says of a file.
    pub fn take(&mut self, name: &str) -> Option<Sum> {
        self.files.remove(name)
    }

    /// All files, by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, Sum)> {
        self.files.iter().map(|(name, sum)| (name.as_str(), *sum))
    }

    /// Reads a manifest. It ends with a whole line, has every name once, and nothing else.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let error = |line, why| ManifestError { line, why };
        let text = std::str::from_utf8(bytes).map_err(|_| error(1, "not UTF-8"))?;
        let text = text.strip_suffix('\n').ok_or(error(1, "it does not end with a whole line"))?;
        let mut lines = text.split('\n').zip(1..);
        if lines.next().is_none_or(|(head, _)| head != HEAD) {
            return Err(error(1, "not a manifest of a version that this chkctl knows"));
        }
        let mut files = BTreeMap::new();
        for (line, number) in lines {
            let (name, sum) = parse_line(line).ok_or(error(number, "not of the form BLAKE3 SIZE NAME"))?;
            if files.insert(name, sum).is_some() {
                return Err(error(number, "a name that was there before"));
            }
        }
        Ok(Manifest { files })
    }

    /// The manifest as text, by name.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = String::from(HEAD);
        text.push('\n');
        self.iter().for_each(|(name, sum)| text.push_str(&line(name, sum)));
        text.into_bytes()
    }
}

/// A line of a manifest.
pub fn line(name: &str, sum: Sum) -> String {
    let mut line = format!("{} {} ", hex(&sum.digest), sum.size);
    for character in name.chars() {
        // So that a line is a line, and a name is one whole.
        if character.is_control() || character.is_whitespace() || character == '%' {
            let mut bytes = [0; 4];
            for byte in character.encode_utf8(&mut bytes).bytes() {
                let _ = write!(line, "%{byte:02X}");
            }
        } else {
            line.push(character);
        }
    }
    line.push('\n');
    line
}

/// Reads a line, without its end.
pub fn parse_line(line: &str) -> Option<(String, Sum)> {
    let mut parts = line.split(' ');
    let digest = *blake3::Hash::from_hex(parts.next()?).ok()?.as_bytes();
    let size = parts.next().filter(|size| size.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()?;
    let name = unescape(parts.next()?)?;
    (!name.is_empty() && parts.next().is_none()).then_some((name, Sum { size, digest }))
}

fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    bytes.extend_from_slice(parts.next()?.as_bytes());
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(code, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_reads_back() {
        let mut manifest = Manifest::default();
        for name in ["_metadata", "file:/a b/c%d\ne", "é"] {
            manifest.insert(name, Sum::of(name.as_bytes()));
        }
        let bytes = manifest.to_bytes();
        assert_eq!(Manifest::parse(&bytes), Ok(manifest));
        assert_eq!(bytes.iter().filter(|&&byte| byte == b'\n').count(), 4);
    }

    #[test]
    fn a_digest_is_that_of_b3sum() {
        let wanted = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        assert_eq!(line("empty", Sum::of(b"")), format!("{wanted} 0 empty\n"));
    }

    #[test]
    fn what_is_cut_or_no_manifest_is_refused() {
        let mut manifest = Manifest::default();
        manifest.insert("a", Sum::of(b"1"));
        let good = String::from_utf8(manifest.to_bytes()).expect("text");
        for bad in [
            "".to_owned(),
            good.trim_end().to_owned(),
            good.replace("manifest 1", "manifest 2"),
            good.replace(" a", ""),
            good.replace(" 1 a", " -1 a"),
            good.replace(" 1 a", " 1 a b"),
            good.replace(" a", " %zz"),
            format!("{good}{}", good.lines().last().unwrap_or_default()) + "\n",
        ] {
            assert!(Manifest::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
