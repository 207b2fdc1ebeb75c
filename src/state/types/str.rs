//! A string for keys: short ones take no allocation, and are compared, hashed and moved as two numbers.

use super::hash::{HashOfTail, java_hash_of_str};
use super::string;
use super::{KeyType, StateType};
use crate::state::serializer::SerializerSnapshot;
use crate::wire::{Decoded, EncodeError, Reader};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

/// A string that is good to key streams by: up to 15 bytes are kept in place, in 24 bytes altogether. In state it is a
/// `String` of Flink's, as Rust's own is.
///
/// Streams with millions of records per second spend much of their time on the moving, comparing and hashing of keys;
/// here these are a few instructions without a call, a branch per byte or a look at other memory.
#[derive(Clone)]
pub struct Str {
    /// The bytes of a short string with zeros behind them, and its length in the last one. Zeros of a long one.
    short: [u8; 16],
    #[expect(clippy::box_collection, reason = "a string would make every key larger by two thirds")]
    long: Option<Box<String>>,
}

/// The longest string that is kept in place, in bytes.
const SHORT: usize = 15;

impl Str {
    /// A string with this text.
    #[inline]
    pub fn new(text: &str) -> Self {
        match short(text.as_bytes()) {
            Some(short) => Str { short, long: None },
            None => Str { short: [0; 16], long: Some(Box::new(text.to_owned())) },
        }
    }

    /// The text.
    #[inline]
    pub fn as_str(&self) -> &str {
        match &self.long {
            Some(text) => text,
            // It was text when it was put in.
            None => std::str::from_utf8(self.short_bytes()).unwrap_or_default(),
        }
    }

    #[inline]
    fn short_bytes(&self) -> &[u8] {
        let [.., length] = self.short;
        self.short.get(..usize::from(length)).unwrap_or_default()
    }

    /// The bytes of a short string as two numbers, the first byte in the lowest place.
    #[inline]
    fn numbers(&self) -> (u64, u64) {
        let both = u128::from_le_bytes(self.short);
        (both as u64, (both >> 64) as u64)
    }
}

/// The bytes of a string that is short enough, put together from reads that may overlap.
#[inline]
fn short(bytes: &[u8]) -> Option<[u8; 16]> {
    let length = bytes.len();
    if length > SHORT {
        return None;
    }
    let bits = |bytes: usize| u32::try_from(bytes.wrapping_mul(8)).unwrap_or(0);
    let text = if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        let (first, last) = (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
        u128::from(first) | (u128::from(last) << bits(length.wrapping_sub(8)))
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        u128::from(first) | (u128::from(last) << bits(length.wrapping_sub(4)))
    } else {
        bytes.iter().rev().fold(0, |text, byte| (text << 8) | u128::from(*byte))
    };
    Some((text | (u128::try_from(length).unwrap_or(0) << 120)).to_le_bytes())
}

impl Default for Str {
    fn default() -> Self {
        Str::new("")
    }
}

impl Deref for Str {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl From<&str> for Str {
    fn from(text: &str) -> Self {
        Str::new(text)
    }
}

impl From<String> for Str {
    fn from(text: String) -> Self {
        Str::new(&text)
    }
}

impl PartialEq for Str {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        // A short text is never the same as a long one, since their lengths differ.
        match (&self.long, &other.long) {
            (None, None) => self.short == other.short,
            (Some(one), Some(other)) => one == other,
            _ => false,
        }
    }
}

impl Eq for Str {}

impl PartialEq<str> for Str {
    #[inline]
    fn eq(&self, other: &str) -> bool {
        match &self.long {
            None => self.short_bytes() == other.as_bytes(),
            Some(text) => text.as_str() == other,
        }
    }
}

impl PartialEq<&str> for Str {
    #[inline]
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl Hash for Str {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        match &self.long {
            None => state.write_u128(u128::from_le_bytes(self.short)),
            Some(text) => text.hash(state),
        }
    }
}

impl PartialOrd for Str {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Str {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl fmt::Display for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

impl fmt::Debug for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl serde::Serialize for Str {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Str {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Str::from)
    }
}

impl StateType for Str {
    const VARIABLE_LENGTH: bool = true;

    fn serializer() -> SerializerSnapshot {
        SerializerSnapshot::string()
    }

    #[inline]
    fn write(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match &self.long {
            None if self.short_bytes().is_ascii() => {
                let [.., length] = self.short;
                out.push(length.wrapping_add(1));
                out.extend_from_slice(self.short_bytes());
                Ok(())
            }
            _ => string::write(self, out),
        }
    }

    #[inline]
    fn read(input: &mut Reader<'_>) -> Decoded<Self> {
        string::read_with(input, Str::new)
    }
}

impl KeyType for Str {
    #[inline]
    fn java_hash(&self) -> i32 {
        let (first, second) = self.numbers();
        if self.long.is_some() || (first | second) & 0x8080_8080_8080_8080 != 0 {
            return java_hash_of_str(self);
        }
        let [.., length] = self.short;
        let length = usize::from(length);
        // The length stands in the last byte, and is no part of the text.
        let second = second & (u64::MAX >> 8);
        let hash = HashOfTail::of(first, length.min(8));
        if length > 8 { hash.then(second, length.wrapping_sub(8)) } else { hash }.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::{BuildHasher, RandomState};

    const ALL: &str = "0123456789abcdefghij";

    #[test]
    fn strings_of_every_length_are_what_they_were() {
        let state = RandomState::new();
        for end in 0..=ALL.len() {
            for text in [ALL.get(..end).expect("ASCII").to_owned(), "ü".repeat(end)] {
                let str = Str::new(&text);
                assert_eq!(str.as_str(), text);
                assert_eq!(str.java_hash(), text.java_hash(), "{text}");
                assert_eq!(str, Str::from(text.clone()));
                assert_eq!(state.hash_one(&str), state.hash_one(str.clone()));
                let (mut ours, mut strings) = (Vec::new(), Vec::new());
                str.write(&mut ours).expect("a string");
                text.write(&mut strings).expect("a string");
                assert_eq!(ours, strings);
                assert_eq!(Str::read(&mut Reader::new(&ours, "test")), Ok(str));
            }
        }
    }

    #[test]
    fn strings_that_differ_are_not_the_same() {
        let texts = ["", "\0", "\0\0", "a", "a\0", "b", "aaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaab", "aaaaaaaaaaaaaaac"];
        for (at, one) in texts.iter().enumerate() {
            for (other_at, other) in texts.iter().enumerate() {
                assert_eq!(Str::new(one) == Str::new(other), at == other_at, "{one:?} {other:?}");
                assert_eq!(Str::new(one).cmp(&Str::new(other)), one.cmp(other));
            }
        }
        assert_eq!(std::mem::size_of::<Str>(), 24);
    }
}
