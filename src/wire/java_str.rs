//! Strings as `java.io.DataOutput.writeUTF` writes them.

use std::borrow::Cow;
use std::fmt;

/// A string in Java's modified UTF-8, kept as its bytes so that it is written back exactly as it was read.
///
/// The encoding differs from UTF-8 in two points: U+0000 may take two bytes, and a character beyond the basic plane
/// is a surrogate pair of three bytes each. [`JavaStr::to_str`] gives the text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct JavaStr<'a>(Cow<'a, [u8]>);

impl<'a> JavaStr<'a> {
    /// Takes bytes that `java.io.DataInputStream.readUTF` would accept; `None` for others.
    #[inline]
    pub fn from_modified_utf8(bytes: &'a [u8]) -> Option<Self> {
        is_valid(bytes).then_some(JavaStr(Cow::Borrowed(bytes)))
    }

    /// The bytes as they stand in the file, without the length.
    #[inline]
    pub fn as_modified_utf8(&self) -> &[u8] {
        &self.0
    }

    /// Whether the string has no characters.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text. An unpaired surrogate, which no file name has, becomes U+FFFD.
    #[inline]
    pub fn to_str(&self) -> Cow<'_, str> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => Cow::Owned(String::from_utf16_lossy(&utf16_units(&self.0))),
        }
    }

    /// The bytes for as long as the input lives, where they are still in it.
    #[inline]
    pub fn borrowed(&self) -> Option<&'a [u8]> {
        match &self.0 {
            Cow::Borrowed(bytes) => Some(bytes),
            Cow::Owned(_) => None,
        }
    }

    /// The text, unless it is empty: how the format stores a text that is not there.
    pub fn non_empty(&self) -> Option<String> {
        (!self.is_empty()).then(|| self.to_string())
    }

    /// A copy that does not borrow the input.
    pub fn into_owned(self) -> JavaStr<'static> {
        JavaStr(Cow::Owned(self.0.into_owned()))
    }
}

impl From<&str> for JavaStr<'_> {
    fn from(text: &str) -> Self {
        let mut out = Vec::with_capacity(text.len());
        for unit in text.encode_utf16() {
            push_unit(&mut out, unit);
        }
        JavaStr(Cow::Owned(out))
    }
}

impl fmt::Display for JavaStr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_str())
    }
}

impl fmt::Debug for JavaStr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_str())
    }
}

impl serde::Serialize for JavaStr<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_str())
    }
}

fn push_unit(out: &mut Vec<u8>, unit: u16) {
    let [high, low] = unit.to_be_bytes();
    let low_six = 0x80 | (low & 0x3f);
    match unit {
        0x0001..=0x007f => out.push(low),
        0x0000 | 0x0080..=0x07ff => out.extend_from_slice(&[0xc0 | (high << 2) | (low >> 6), low_six]),
        _ => out.extend_from_slice(&[0xe0 | (high >> 4), 0x80 | ((high & 0x0f) << 2) | (low >> 6), low_six]),
    }
}

/// Whether `DataInputStream.readUTF` accepts the bytes.
#[inline]
pub(super) fn is_valid(bytes: &[u8]) -> bool {
    is_ascii(bytes) || is_modified_utf8(bytes)
}

/// Like `[u8]::is_ascii`, in a shape that compiles to vector instructions: paths are most of a `_metadata`.
#[inline]
fn is_ascii(bytes: &[u8]) -> bool {
    let (chunks, rest) = bytes.as_chunks::<32>();
    let seen = chunks.iter().fold([0_u8; 32], |mut seen, chunk| {
        seen.iter_mut().zip(chunk).for_each(|(seen, byte)| *seen |= byte);
        seen
    });
    let seen = seen.iter().chain(rest).fold(0, |seen, byte| seen | byte);
    seen < 0x80
}

/// The whole of the rule. Java checks the lead and continuation bits and nothing else:
/// overlong forms and lone surrogates pass, sequences of four bytes do not.
fn is_modified_utf8(bytes: &[u8]) -> bool {
    next_unit_all(bytes, |_| {})
}

fn utf16_units(bytes: &[u8]) -> Vec<u16> {
    let mut units = Vec::with_capacity(bytes.len());
    next_unit_all(bytes, |unit| units.push(unit));
    units
}

fn next_unit_all(mut bytes: &[u8], mut each: impl FnMut(u16)) -> bool {
    loop {
        match bytes {
            [] => return true,
            [a, rest @ ..] if *a < 0x80 => {
                each(u16::from(*a));
                bytes = rest;
            }
            [a, b, rest @ ..] if a & 0xe0 == 0xc0 && is_tail(*b) => {
                each((u16::from(a & 0x1f) << 6) | u16::from(b & 0x3f));
                bytes = rest;
            }
            [a, b, c, rest @ ..] if a & 0xf0 == 0xe0 && is_tail(*b) && is_tail(*c) => {
                each((u16::from(a & 0x0f) << 12) | (u16::from(b & 0x3f) << 6) | u16::from(c & 0x3f));
                bytes = rest;
            }
            _ => return false,
        }
    }
}

fn is_tail(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_survives_the_way_through_modified_utf8() {
        for text in ["", "chk-7", "nul\0inside", "ümläut", "状态", "beyond 𝄞 the plane"] {
            let java = JavaStr::from(text);
            assert_eq!(java.to_str(), text);
            assert!(JavaStr::from_modified_utf8(java.as_modified_utf8()).is_some(), "{text}");
        }
        assert_eq!(JavaStr::from("\0").as_modified_utf8(), [0xc0, 0x80]);
        assert_eq!(JavaStr::from("𝄞").as_modified_utf8().len(), 6);
    }

    #[test]
    fn what_java_refuses_is_refused() {
        assert!(JavaStr::from_modified_utf8("𝄞".as_bytes()).is_none(), "four-byte UTF-8 is not Java's");
        assert!(JavaStr::from_modified_utf8(&[0xc3]).is_none(), "cut sequence");
        assert!(JavaStr::from_modified_utf8(&[0x80]).is_none(), "stray continuation");
    }
}
