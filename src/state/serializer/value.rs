//! Passing over values without knowing their Rust type.

use super::classes::{Plain, Shape};
use super::{Content, Outer, SerializerSnapshot};
use crate::state::types;
use crate::wire::{Decoded, Problem, Reader};

impl SerializerSnapshot {
    /// Passes over one value of the type.
    ///
    /// # Errors
    /// When the bytes are no such value, or its layout is known to Java alone.
    pub fn skip_value(&self, input: &mut Reader<'_>) -> Decoded<()> {
        match &self.content {
            Content::Simple(row) => match row.plain {
                Plain::Unknown => {
                    Err(input.error(Problem::Invalid(format!("a value of {}, whose end only Java knows", self.class))))
                }
                plain => skip_plain(plain, input),
            },
            Content::Enum { constants, .. } => {
                let at = input.offset();
                match usize::try_from(input.i32()?) {
                    Ok(number) if number < constants.len() => Ok(()),
                    _ => Err(input.invalid_at(at, format_args!("no constant of {}", self.describe()))),
                }
            }
            Content::Opaque(opaque) => opaque.skip_value(input),
            Content::Composite { kind, outer, nested, .. } => match kind.shape {
                Shape::Fields => nested.iter().try_for_each(|part| part.skip_value(input)),
                Shape::Timer => {
                    input.i64()?;
                    nested.iter().try_for_each(|part| part.skip_value(input))
                }
                Shape::List => {
                    let count = input.count("the number of elements of a list", 1)?;
                    (0..count).try_for_each(|_| nested.iter().try_for_each(|part| part.skip_value(input)))
                }
                Shape::Map => {
                    let count = input.count("the number of entries of a map", 2)?;
                    let (Some(key), Some(value)) = (nested.first(), nested.get(1)) else { return Ok(()) };
                    (0..count).try_for_each(|_| {
                        key.skip_value(input)?;
                        match input.u8()? {
                            0 => value.skip_value(input),
                            _ => Ok(()),
                        }
                    })
                }
                Shape::Nullable => match (input.u8()?, outer) {
                    (0, _) => nested.iter().try_for_each(|part| part.skip_value(input)),
                    (_, Outer::Padding(padding)) => input.take(usize::try_from(*padding).unwrap_or(0)).map(|_| ()),
                    _ => Ok(()),
                },
            },
        }
    }
}

#[inline]
fn skip_plain(plain: Plain, input: &mut Reader<'_>) -> Decoded<()> {
    if let Some(width) = plain.width() {
        return input.take(width).map(|_| ());
    }
    match plain {
        Plain::String => types::skip_string(input),
        Plain::Items(width) => {
            let count = input.count("the length of an array", width)?;
            input.take(count.saturating_mul(width)).map(|_| ())
        }
        Plain::Strings => {
            let count = input.count("the length of an array", 1)?;
            (0..count).try_for_each(|_| types::skip_string(input))
        }
        // `BigIntSerializer.writeBigInteger`: 0 is null, 1 to 3 are the numbers 0, 1 and 10.
        Plain::BigInteger => {
            let at = input.offset();
            match usize::try_from(input.i32()?) {
                Ok(length) => input.take(length.saturating_sub(4)).map(|_| ()),
                Err(_) => Err(input.invalid_at(at, "a negative length of a number")),
            }
        }
        _ => input.bytes("the length of a byte array").map(|_| ()),
    }
}
