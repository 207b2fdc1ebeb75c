//! Places of files as Flink writes them, and places that mean the same.
//!
//! A [`Location`] is what Flink's `Path` makes of a string: scheme, authority and a path in which doubled slashes, a
//! trailing slash, `.` and `..` are gone. Two spellings of one place compare equal after [`Location::canonical`].

use std::fmt;

/// A normalised place: `[scheme:][//authority]path` (`org.apache.flink.core.fs.Path`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Location {
    scheme: Option<String>,
    authority: Option<String>,
    path: String,
}

/// A string that Flink's `Path` refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a path: {why}")]
pub struct LocationError {
    text: String,
    why: &'static str,
}

/// Marks the part of a path that Flink replaces by random characters (`s3.entropy.key`, by its usual value).
const ENTROPY_MARKER: &str = "_entropy_";

impl Location {
    /// Reads a path or URI as `new Path(String)` does.
    pub fn parse(text: &str) -> Result<Self, LocationError> {
        let refuse = |why| LocationError { text: text.to_owned(), why };
        if text.is_empty() {
            return Err(refuse("it is empty"));
        }
        let (scheme, rest) = match text.find(':') {
            // "C:…" is a drive to Flink, not a scheme; a checkpoint root is never one, so nothing else is needed.
            Some(1) if text.as_bytes()[0].is_ascii_alphabetic() => (None, text),
            Some(colon) if !text[..colon].contains('/') => (Some(&text[..colon]), &text[colon + 1..]),
            _ => (None, text),
        };
        if scheme.is_some_and(|scheme| !is_scheme(scheme)) {
            return Err(refuse("the part before the colon is not a scheme"));
        }
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) if !rest.is_empty() => rest.split_at(rest.find('/').unwrap_or(rest.len())),
            _ => ("", rest),
        };
        if scheme.is_some() && !path.starts_with(['/', '\\']) && authority.is_empty() {
            return Err(refuse("a scheme must be followed by an absolute path"));
        }
        Ok(Location {
            scheme: scheme.map(str::to_owned),
            authority: (!authority.is_empty()).then(|| authority.to_owned()),
            path: normalize(path),
        })
    }

    /// A location from its parts, normalised.
    pub fn new(scheme: Option<&str>, authority: Option<&str>, path: &str) -> Self {
        Location { scheme: scheme.map(str::to_owned), authority: authority.map(str::to_owned), path: normalize(path) }
    }

    /// Resolves a relative path of a handle against this directory (`new Path(parent, child)`): one leading slash of
    /// it is dropped, and `..` may lead out.
    pub fn join(&self, child: &str) -> Result<Self, LocationError> {
        let relative = child.strip_prefix('/').unwrap_or(child);
        let refuse = |why| LocationError { text: child.to_owned(), why };
        if relative.is_empty() {
            return Err(refuse("it is empty"));
        }
        if relative.find(':').is_some_and(|colon| !relative[..colon].contains('/')) {
            return Err(refuse("a relative path with a scheme"));
        }
        Ok(Location { path: normalize(&format!("{}/{relative}", self.path)), ..self.clone() })
    }

    /// The scheme, such as `hdfs`.
    pub fn scheme(&self) -> Option<&str> {
        self.scheme.as_deref()
    }

    /// The authority, such as a bucket or `host:port`.
    pub fn authority(&self) -> Option<&str> {
        self.authority.as_deref()
    }

    /// The path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether the place is on a local file system.
    pub fn is_local(&self) -> bool {
        matches!(self.scheme(), None | Some("file")) && matches!(self.authority(), None | Some("localhost"))
    }

    /// The last component of the path; empty for a root.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// The directory that holds it; `None` for a root.
    pub fn parent(&self) -> Option<Self> {
        let (parent, name) = self.path.rsplit_once('/')?;
        if name.is_empty() {
            return None;
        }
        let path = if parent.is_empty() { "/" } else { parent };
        Some(Location { path: path.to_owned(), ..self.clone() })
    }

    /// The components of the path.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.path.split('/').filter(|part| !part.is_empty())
    }

    /// The same place in the one spelling that all its spellings share: `file:` for local paths, `s3` for its
    /// aliases.
    pub fn canonical(&self) -> Self {
        let scheme = if self.is_local() { Some("file") } else { self.scheme().map(base_scheme) };
        let authority = if self.is_local() { None } else { self.authority.clone() };
        Location { scheme: scheme.map(str::to_owned), authority, path: self.path.clone() }
    }

    /// A local place with the scheme that Flink gives it (`file:`); any other as it is.
    pub fn canonical_if_local(&self) -> Self {
        if self.is_local() { Location::new(Some("file"), None, &self.path) } else { self.clone() }
    }

    /// The place without the entropy marker, as Flink writes a `_metadata` (`EntropyInjector.removeEntropyMarker`).
    pub fn without_entropy_marker(&self) -> Self {
        if !self.path.contains(ENTROPY_MARKER) {
            return self.clone();
        }
        Location { path: normalize(&self.path.replace(ENTROPY_MARKER, "")), ..self.clone() }
    }

    /// What follows `prefix` in this place, where it lies at or below it: the empty string or `/…`.
    pub fn strip_prefix(&self, prefix: &Self) -> Option<String> {
        let (place, prefix) = (self.canonical(), prefix.canonical());
        if place.scheme != prefix.scheme || place.authority != prefix.authority {
            return None;
        }
        let rest = place.path.strip_prefix(prefix.path.trim_end_matches('/'))?;
        (rest.is_empty() || rest.starts_with('/')).then(|| rest.to_owned())
    }

    /// This place with `suffix` (as [`Location::strip_prefix`] gives it) behind it.
    pub fn with_suffix(&self, suffix: &str) -> Self {
        Location { path: normalize(&format!("{}{suffix}", self.path)), ..self.clone() }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scheme) = &self.scheme {
            write!(f, "{scheme}:")?;
        }
        if let Some(authority) = &self.authority {
            write!(f, "//{authority}")?;
        }
        f.write_str(&self.path)
    }
}

impl serde::Serialize for Location {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Location {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Location::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// Schemes of one store that Flink's file system plugins take for each other.
fn base_scheme(scheme: &str) -> &str {
    match scheme {
        "s3a" | "s3n" | "s3p" => "s3",
        other => other,
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

/// `Path.normalizePath` and `URI.normalize`: no backslashes, doubled or trailing slashes, no `.` and `..` segments
/// (one that leads above the root stays).
fn normalize(path: &str) -> String {
    let absolute = path.starts_with(['/', '\\']);
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split(['/', '\\']) {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    let joined = parts.join("/");
    if absolute { format!("/{joined}") } else { joined }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        Location::parse(text).map_or_else(|e| e.to_string(), |l| l.to_string())
    }

    #[test]
    fn spellings_are_normalised_as_flink_does() {
        for (text, wanted) in [
            ("file:///a/b", "file:/a/b"),
            ("file:/a/b/", "file:/a/b"),
            ("/a//b", "/a/b"),
            ("/a/./b/../c", "/a/c"),
            ("/../a", "/../a"),
            ("hdfs://hadoop:8020/tmp/flinkck", "hdfs://hadoop:8020/tmp/flinkck"),
            ("s3a://bucket", "s3a://bucket"),
            ("hdfs:///a", "hdfs:/a"),
            (" a", " a"),
        ] {
            assert_eq!(shown(text), wanted, "{text}");
        }
        for refused in ["", "1:a", "hdfs:a", "hdfs:"] {
            assert!(Location::parse(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn relative_paths_resolve_below_their_directory_or_out_of_it() {
        let dir = Location::parse("file:/ck/chk-7").expect("a path");
        let join = |child| dir.join(child).map(|l| l.to_string());
        assert_eq!(join("f"), Ok("file:/ck/chk-7/f".to_owned()));
        assert_eq!(join("/f"), Ok("file:/ck/chk-7/f".to_owned()));
        assert_eq!(join("../../etc/passwd"), Ok("file:/etc/passwd".to_owned()));
        assert!(join("file:/x").is_err());
        assert!(join("/").is_err());
    }

    #[test]
    fn spellings_of_one_place_are_equal() {
        let canonical = |text| Location::parse(text).expect("a path").canonical();
        assert_eq!(canonical("/a/b"), canonical("file:///a/b"));
        assert_eq!(canonical("s3a://b/x"), canonical("s3p://b//x/"));
        assert_eq!(canonical("s3://b/_entropy_/x").without_entropy_marker(), canonical("s3://b/x"));
        assert_ne!(canonical("s3://b/x"), canonical("s3://c/x"));
        assert_ne!(canonical("hdfs://a/x"), canonical("/x"));
    }

    #[test]
    fn a_prefix_ends_at_a_component() {
        let at = |text| Location::parse(text).expect("a path");
        assert_eq!(at("file:/a/b/c").strip_prefix(&at("/a/b")), Some("/c".to_owned()));
        assert_eq!(at("/a/bc").strip_prefix(&at("/a/b")), None);
        assert_eq!(at("/a").strip_prefix(&at("/")), Some("/a".to_owned()));
        assert_eq!(at("/x").with_suffix("/c").to_string(), "/x/c");
    }
}
