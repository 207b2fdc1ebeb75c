//! From places to keys, and which keys a place can stand for.

use crate::model::Location;
use crate::storage::{StorageError, StorageErrorKind, below};

/// The key of a file or directory, without a slash at either end; empty for the root of a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key(String);

impl Key {
    /// The key of a place.
    ///
    /// # Errors
    /// Where the key is not that of this place alone: opendal takes blanks from the ends of a path.
    pub fn of(place: &Location) -> Result<Self, StorageError> {
        let path = place.path().trim_matches('/');
        let is_exact = path.is_empty() || path.split('/').all(below::is_exact);
        if is_exact && path.trim() == path {
            return Ok(Key(path.to_owned()));
        }
        let message = "the client for object stores cannot name such an object";
        Err(StorageError::new(StorageErrorKind::Other, place, message))
    }

    /// Whether it is the root of a bucket.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The key of an object.
    pub fn file(&self) -> &str {
        &self.0
    }

    /// What keys below it begin with, and that of its marker. opendal's name for the root is a slash.
    pub fn dir(&self) -> String {
        format!("{}/", self.0)
    }

    /// What follows the slash after it in a path that opendal gave, where that is below it.
    pub fn rest<'p>(&self, path: &'p str) -> Option<&'p str> {
        if self.is_root() {
            return Some(if path == "/" { "" } else { path });
        }
        path.strip_prefix(&self.0)?.strip_prefix('/')
    }
}

/// Whether a name stands for itself in a directory, and can be asked for.
pub fn is_exact(dir: &Key, dir_from_key_on: &str, name: &str) -> bool {
    let begins = dir.is_root() && dir_from_key_on.is_empty();
    below::is_exact(name) && !name.ends_with(char::is_whitespace) && !(begins && name.starts_with(char::is_whitespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(place: &str) -> Result<Key, StorageErrorKind> {
        Key::of(&Location::parse(place).expect("a place")).map_err(|error| error.kind)
    }

    #[test]
    fn a_place_has_a_key_where_the_key_has_that_place() {
        for (place, wanted) in [("s3://b/ck/a b", "ck/a b"), ("s3://b", ""), ("s3://b/x%20y", "x%20y")] {
            assert_eq!(key(place).map(|key| key.0), Ok(wanted.to_owned()), "{place}");
        }
        for place in ["s3://b/ck/a ", "s3://b/ a", "s3://b/../a", "s3://b/a\u{a0}", "s3://b/a\0b"] {
            assert_eq!(key(place), Err(StorageErrorKind::Other), "{place}");
        }
    }

    #[test]
    fn what_is_below_a_key_begins_after_a_slash() {
        let key = key("s3://b/ck").expect("a key");
        assert_eq!(
            (key.rest("ck/a/b"), key.rest("ck/"), key.rest("ck2/a"), key.rest("ck")),
            (Some("a/b"), Some(""), None, None)
        );
        assert_eq!(Key(String::new()).rest("a/b"), Some("a/b"));
    }
}
