//! The Java hash of keys without knowing their Rust type, and values as a row of simple pieces.

use super::classes::{Plain, Shape};
use super::{Content, SerializerSnapshot};
use crate::state::types;
use crate::wire::Input;

/// A part of a value that has no parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::state) enum Piece {
    Text,
    /// A byte that is 0.
    Zero,
    /// A byte that is 0 or 1.
    Flag,
    Int,
    Long,
    /// So many bytes.
    Bytes(usize),
    /// An `int` count and as many items of so many bytes.
    Items(usize),
}

/// A type of more pieces is none to hurry with.
const PIECES: usize = 32;

impl SerializerSnapshot {
    /// The pieces of every value, where all are made of the same ones.
    pub(in crate::state) fn pieces(&self) -> Option<Vec<Piece>> {
        let mut pieces = Vec::new();
        self.add_pieces(&mut pieces)?;
        (pieces.len() <= PIECES).then_some(pieces)
    }

    fn add_pieces(&self, pieces: &mut Vec<Piece>) -> Option<()> {
        match &self.content {
            Content::Simple(row) => pieces.push(match row.plain {
                Plain::String => Piece::Text,
                Plain::VoidNamespace => Piece::Zero,
                Plain::Boolean => Piece::Flag,
                Plain::Int => Piece::Int,
                Plain::Long => Piece::Long,
                Plain::ByteArray => Piece::Items(1),
                Plain::Items(width) => Piece::Items(width),
                other => Piece::Bytes(other.width()?),
            }),
            Content::Composite { kind, nested, .. } if kind.shape == Shape::Fields => {
                nested.iter().try_for_each(|part| part.add_pieces(pieces))?;
            }
            Content::Composite { .. } | Content::Enum { .. } | Content::Opaque(_) => return None,
        }
        (pieces.len() <= PIECES).then_some(())
    }

    /// Whether [`SerializerSnapshot::hash_value`] knows what Java's `hashCode` of a value is.
    pub(in crate::state) fn is_hashable(&self) -> bool {
        match &self.content {
            Content::Simple(row) => match row.plain {
                Plain::String | Plain::Boolean | Plain::Byte | Plain::Short => true,
                // Other classes share their layouts; their hash is not looked into.
                Plain::Int => row.name == "Integer",
                Plain::Long => row.name == "Long",
                _ => false,
            },
            // Only Flink's own classes: one that extends them may hash otherwise.
            Content::Composite { kind, nested, .. } => {
                kind.shape == Shape::Fields && self.is_plain_tuple() && nested.iter().all(Self::is_hashable)
            }
            Content::Enum { .. } | Content::Opaque(_) => false,
        }
    }

    /// Whether values are strings, whose first byte is 0 for a null only.
    pub(in crate::state) fn is_string(&self) -> bool {
        matches!(&self.content, Content::Simple(row) if row.plain == Plain::String)
    }

    /// Passes over a value, and gives Java's `hashCode` of it; 0 where [`SerializerSnapshot::is_hashable`] says no.
    pub(in crate::state) fn hash_value<I: Input>(&self, input: &mut I) -> Result<i32, I::Error> {
        match &self.content {
            Content::Simple(row) => match row.plain {
                Plain::String => types::hash_string(input),
                Plain::Boolean => Ok(if input.flag()? { 1231 } else { 1237 }),
                Plain::Byte => Ok(i32::from(input.u8()?.cast_signed())),
                Plain::Short => Ok(i32::from(input.u16()?.cast_signed())),
                Plain::Int => input.i32(),
                Plain::Long => {
                    let bits = input.i64()?.cast_unsigned();
                    // `Long.hashCode` folds the halves and keeps the low one.
                    Ok((bits ^ (bits >> 32)) as i32)
                }
                _ => self.skip_value(input).map(|()| 0),
            },
            Content::Composite { kind, nested, .. } if kind.shape == Shape::Fields => {
                let mut hash = 0_i32;
                for part in nested {
                    hash = hash.wrapping_mul(31).wrapping_add(part.hash_value(input)?);
                }
                Ok(hash)
            }
            _ => self.skip_value(input).map(|()| 0),
        }
    }
}
