//! Passing over values without knowing their Rust type.

use super::classes::{Plain, Shape};
use super::{Content, Outer, SerializerSnapshot};
use crate::state::types;
use crate::wire::{Input, Problem};

impl SerializerSnapshot {
    /// Passes over one value of the type.
    ///
    /// # Errors
    /// When the bytes are no such value, or its layout is known to Java alone ([`Problem::OnlyJava`]).
    pub fn skip_value<I: Input>(&self, input: &mut I) -> Result<(), I::Error> {
        match &self.content {
            Content::Simple(row) => match row.plain {
                Plain::Unknown => Err(input
                    .error_at(input.offset(), Problem::OnlyJava(format!("{}, by Java's own serialization", row.name)))),
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
                        match input.flag()? {
                            false => value.skip_value(input),
                            true => Ok(()),
                        }
                    })
                }
                Shape::Nullable => match (input.flag()?, outer) {
                    (false, _) => nested.iter().try_for_each(|part| part.skip_value(input)),
                    (true, Outer::Padding(padding)) => input.skip(u64::try_from(*padding).unwrap_or(0)),
                    _ => Ok(()),
                },
            },
        }
    }
}

#[inline]
fn skip_plain<I: Input>(plain: Plain, input: &mut I) -> Result<(), I::Error> {
    match plain {
        Plain::Boolean => input.flag().map(|_| ()),
        Plain::VoidNamespace => {
            let at = input.offset();
            if input.u8()? != 0 {
                input.odd(at, "a placeholder that is not 0");
            }
            Ok(())
        }
        Plain::String => types::skip_string(input),
        Plain::Items(width) => {
            let count = input.count("the length of an array", width)?;
            input.skip(count.saturating_mul(width as u64))
        }
        Plain::Strings => {
            let count = input.count("the length of an array", 1)?;
            (0..count).try_for_each(|_| types::skip_string(input))
        }
        // `BigIntSerializer.writeBigInteger`: 0 is null, 1 to 3 are the numbers 0, 1 and 10.
        Plain::BigInteger => {
            let at = input.offset();
            match u64::try_from(input.i32()?) {
                Ok(length) => input.skip(length.saturating_sub(4)),
                Err(_) => Err(input.invalid_at(at, "a negative length of a number")),
            }
        }
        plain => match plain.width() {
            Some(width) => input.skip(width as u64),
            None => {
                let length = input.count("the length of a byte array", 1)?;
                input.skip(length)
            }
        },
    }
}
