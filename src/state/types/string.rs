//! Strings as `StringValue.writeString` writes them: the length plus one and every UTF-16 unit as variable-length
//! integers, low seven bits first.
//!
//! A text of ASCII is then its bytes behind the length, which is the path to keep fast both ways.

use super::{KeyType, StateType, java_hash_of_str};
use crate::state::serializer::SerializerSnapshot;
use crate::wire::{Decoded, EncodeError, Problem, Reader};

#[inline]
fn put_var(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

#[inline]
pub(in crate::state) fn write(text: &str, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    if !text.is_ascii() {
        return write_units(text, out);
    }
    put_var(out, stored_length(text.len())?);
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// Java's strings have at most 2³¹ − 1 units, and the format adds one to tell the empty string from null.
#[inline]
fn stored_length(units: usize) -> Result<u32, EncodeError> {
    let too_many = EncodeError::TooMany { what: "characters", count: units };
    let length = i32::try_from(units).map_err(|_| too_many)?;
    Ok(length.cast_unsigned().wrapping_add(1))
}

#[cold]
fn write_units(text: &str, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    put_var(out, stored_length(text.encode_utf16().count())?);
    text.encode_utf16().for_each(|unit| put_var(out, u32::from(unit)));
    Ok(())
}

/// A variable-length integer of at most 32 bits.
#[inline]
fn take_var(input: &mut Reader<'_>) -> Decoded<u32> {
    let first = input.u8()?;
    if first < 0x80 { Ok(u32::from(first)) } else { take_long_var(input, first) }
}

fn take_long_var(input: &mut Reader<'_>, first: u8) -> Decoded<u32> {
    let start = input.offset().saturating_sub(1);
    let mut value = u32::from(first & 0x7f);
    for shift in [7, 14, 21, 28] {
        let byte = input.u8()?;
        value |= u32::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(input.invalid_at(start, "a number of more than five bytes in a string"))
}

/// The number of UTF-16 units of the string ahead; `None` for a null.
#[inline]
fn take_length(input: &mut Reader<'_>) -> Decoded<Option<usize>> {
    let start = input.offset();
    let Some(length) = take_var(input)?.checked_sub(1) else { return Ok(None) };
    match usize::try_from(length) {
        // Every unit takes a byte at least.
        Ok(units) if units <= input.left() => Ok(Some(units)),
        _ => Err(input.error_at(
            start,
            Problem::ImpossibleCount {
                what: "the length of a string",
                count: length.into(),
                left: input.left() as u64,
            },
        )),
    }
}

/// Hands the text to `make`: as a slice of the input where it is ASCII.
#[inline]
pub(super) fn read_with<T>(input: &mut Reader<'_>, make: impl FnOnce(&str) -> T) -> Decoded<T> {
    let start = input.offset();
    let Some(units) = take_length(input)? else {
        return Err(input.invalid_at(start, "a null where a string is needed"));
    };
    if let Some(bytes) = input.rest().get(..units)
        && bytes.is_ascii()
        && let Ok(text) = std::str::from_utf8(bytes)
    {
        input.take(units)?;
        return Ok(make(text));
    }
    let text = read_units(input, units)?;
    Ok(make(&text))
}

#[cold]
fn read_units(input: &mut Reader<'_>, units: usize) -> Decoded<String> {
    let start = input.offset();
    let mut text = String::with_capacity(units);
    let mut high: Option<u16> = None;
    for _ in 0..units {
        let at = input.offset();
        let unit = u16::try_from(take_var(input)?).map_err(|_| input.invalid_at(at, "a character beyond U+FFFF"))?;
        if high.is_none() && (0xd800..0xdc00).contains(&unit) {
            high = Some(unit);
            continue;
        }
        match char::decode_utf16(high.take().into_iter().chain([unit])).next() {
            Some(Ok(char)) if char.len_utf16() == 2 || !(0xdc00..0xe000).contains(&unit) => text.push(char),
            _ => return Err(input.invalid_at(at, "a surrogate without its other half in a string")),
        }
    }
    match high {
        None => Ok(text),
        Some(_) => Err(input.invalid_at(start, "a string that ends in the middle of a character")),
    }
}

/// Passes over a string; a null passes too, and so do unpaired surrogates, as they do in Java.
pub(in crate::state) fn skip(input: &mut Reader<'_>) -> Decoded<()> {
    let Some(units) = take_length(input)? else { return Ok(()) };
    if input.rest().get(..units).is_some_and(<[u8]>::is_ascii) {
        return input.take(units).map(|_| ());
    }
    for _ in 0..units {
        take_var(input)?;
    }
    Ok(())
}

impl StateType for String {
    const VARIABLE_LENGTH: bool = true;

    fn serializer() -> SerializerSnapshot {
        SerializerSnapshot::string()
    }

    #[inline]
    fn write(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        write(self, out)
    }

    #[inline]
    fn read(input: &mut Reader<'_>) -> Decoded<Self> {
        read_with(input, str::to_owned)
    }
}

impl KeyType for String {
    #[inline]
    fn java_hash(&self) -> i32 {
        java_hash_of_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        text.to_owned().write(&mut out).expect("a string");
        out
    }

    #[test]
    fn texts_survive() {
        let long = "long ".repeat(60);
        for text in ["", "word", "ümläut", "状态", "𝄞 clef", "a\0b", "\u{7f}\u{80}", &long] {
            let bytes = written(text);
            let mut input = Reader::new(&bytes, "test");
            assert_eq!(String::read(&mut input).as_deref(), Ok(text));
            assert_eq!(input.left(), 0);
            let mut input = Reader::new(&bytes, "test");
            assert_eq!(skip(&mut input), Ok(()));
            assert_eq!(input.left(), 0);
        }
    }

    #[test]
    fn the_bytes_are_those_of_string_value() {
        assert_eq!(written("word"), b"\x05word");
        assert_eq!(written(""), [1]);
        assert_eq!(written("é"), [2, 0xe9, 0x01]);
        assert_eq!(written("状"), [2, 0xb6, 0xe5, 0x01]);
        assert_eq!(written(&"x".repeat(127)).get(..2), Some(&[0x80, 1][..]));
    }

    #[test]
    fn what_is_no_text_in_rust_is_refused() {
        for bytes in [
            &[0_u8][..],                              // null
            &[2, 0x80, 0xb0, 3],                      // a high surrogate alone
            &[2, 0x80, 0xb8, 3],                      // a low one
            &[3, 0x80, 0xb0, 3, b'a'],                // a high one before a letter
            &[2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], // a number without end
            &[0xff, 0xff, 0xff, 0xff, 0x0f, b'x'],    // a length that cannot be
            &[5, b'a', b'b'],                         // cut
        ] {
            assert!(String::read(&mut Reader::new(bytes, "test")).is_err(), "{bytes:?}");
        }
    }
}
