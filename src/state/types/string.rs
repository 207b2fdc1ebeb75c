//! Strings as `StringValue.writeString` writes them: the length plus one and every UTF-16 unit as variable-length
//! integers, low seven bits first.
//!
//! A text of ASCII is then its bytes behind the length, which is the path to keep fast both ways.

use super::{KeyType, StateType, java_hash_of_str};
use crate::state::serializer::SerializerSnapshot;
use crate::wire::{Decoded, EncodeError, Input, Problem, Reader};

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

/// Passes over a string, null included.
#[inline]
pub(in crate::state) fn skip<I: Input>(input: &mut I) -> Result<(), I::Error> {
    let start = input.offset();
    let Some(units) = pass_var(input)?.checked_sub(1) else { return Ok(()) };
    let left = input.left();
    // Every unit takes a byte at least.
    if units > left || i32::try_from(units).is_err() {
        let count = i64::try_from(units).unwrap_or(i64::MAX);
        return Err(input.error_at(start, Problem::ImpossibleCount { what: "the length of a string", count, left }));
    }
    pass_units(input, units, &mut |_| {})
}

/// Passes over a string that is not null, and gives its Java hash; of a null that of Java, 0.
pub(in crate::state) fn hash<I: Input>(input: &mut I) -> Result<i32, I::Error> {
    let start = input.offset();
    let Some(units) = pass_var(input)?.checked_sub(1) else { return Ok(0) };
    let left = input.left();
    if units > left || i32::try_from(units).is_err() {
        let count = i64::try_from(units).unwrap_or(i64::MAX);
        return Err(input.error_at(start, Problem::ImpossibleCount { what: "the length of a string", count, left }));
    }
    let mut hash = 0_i32;
    pass_units(input, units, &mut |unit| hash = hash.wrapping_mul(31).wrapping_add(i32::from(unit)))?;
    Ok(hash)
}

/// Passes over so many UTF-16 units.
#[inline]
fn pass_units<I: Input>(input: &mut I, units: u64, each: &mut impl FnMut(u16)) -> Result<(), I::Error> {
    let mut units = units;
    while units > 0 {
        let most = usize::try_from(units).unwrap_or(usize::MAX);
        let window = input.window()?;
        let window = window.get(..most.min(window.len())).unwrap_or_default();
        let plain = if window.is_ascii() { window.len() } else { window.iter().take_while(|b| b.is_ascii()).count() };
        window.iter().take(plain).for_each(|byte| each(u16::from(*byte)));
        input.skip(plain as u64)?;
        units = units.saturating_sub(plain as u64);
        if units > 0 && (plain == 0 || plain < most) {
            let at = input.offset();
            let unit = pass_var(input)?;
            if unit > 0xffff {
                input.odd(at, "a character beyond U+FFFF in a string");
            }
            // Java casts to a `char`.
            each((unit & 0xffff) as u16);
            units = units.saturating_sub(1);
        }
    }
    Ok(())
}

/// A number in groups of seven bits, as `StringValue.readString` takes it: without an end to their number, of which 32 bits
/// count.
#[inline]
fn pass_var<I: Input>(input: &mut I) -> Result<u64, I::Error> {
    let first = input.u8()?;
    if first < 0x80 {
        return Ok(u64::from(first));
    }
    let start = input.offset().saturating_sub(1);
    let mut value = u64::from(first & 0x7f);
    for shift in [7, 14, 21, 28] {
        let byte = input.u8()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            if value == 0 {
                // Only a byte that is 0 is a null; the length of anything else is taken for one more than it is.
                return Err(input.invalid_at(start, "a 0 of several bytes in a string"));
            }
            if byte == 0 {
                input.odd(start, "a number in a string that is longer than it need be");
            }
            return Ok(value);
        }
    }
    Err(input.invalid_at(start, "a number of more than five bytes in a string"))
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
