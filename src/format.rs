//! The `_metadata` file, bytes ↔ model.
//!
//! **Contract.** For any bytes whatever, [`decode`] returns a value or an error: it does not panic, and input and
//! model together take at most 4 × input + 8 MiB of memory. What it accepts, [`encode`] writes back byte for byte.
//! Errors name the section and the byte offset. Nothing here does I/O.
//!
//! The layout is described in `docs/format.md`; each function names the class of Flink's that it mirrors. Reader and
//! writer of a thing stand side by side, and the versions share them: what differs is behind [`Version`].

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod channel;
mod dialect;
pub(crate) mod java_object;
mod keyed;
mod metadata;
mod operator;
pub mod properties;
mod stream;

pub use channel::{MergedChannel, merged_channels};

pub use crate::model::Version;

use crate::model::Metadata;
use crate::wire::{Budget, DecodeError, Decoded, EncodeError, Problem, Reader, Writer};
use dialect::Dialect;
use std::borrow::Cow;

/// The first four bytes of every `_metadata` since Flink 1.2 (`Checkpoints.HEADER_MAGIC_NUMBER`).
pub const MAGIC: u32 = 0x4960_672d;

/// Why a `_metadata` could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// The bytes are not what the format says.
    #[error(transparent)]
    Damaged(#[from] Box<DecodeError>),
    /// The file does not start as a `_metadata` does.
    #[error("not a checkpoint's _metadata: it starts with {found:#010x}, not with {MAGIC:#010x}")]
    NotMetadata {
        /// The first four bytes.
        found: u32,
    },
    /// Version 1 (Flink 1.2) or 0 (Flink 1.1), which stopped being readable long ago.
    #[error(
        "metadata version {number}, of Flink {written_by}: Flink 1.11 and later, and chkctl, do not read it. Restore it \
         once with Flink {readable_by} and take a new savepoint there"
    )]
    TooOld {
        /// The version.
        number: i32,
        /// The release that wrote it.
        written_by: &'static str,
        /// The releases that read it.
        readable_by: &'static str,
    },
    /// A version that this chkctl does not know: nothing can be said of the snapshot.
    #[error("metadata version {0} is newer than this chkctl, which knows versions 2 to 7: use a newer chkctl")]
    TooNew(i32),
    /// A version number that Flink never gave.
    #[error("metadata version {0}, which no release of Flink writes")]
    NoSuchVersion(i32),
}

/// Decodes a `_metadata`. The model borrows from `bytes`.
pub fn decode(bytes: &[u8]) -> Result<Metadata<'_>, FormatError> {
    let mut reader = Reader::new(bytes, "head");
    let version = read_head(&mut reader)?;
    let mut first_error = None;
    for dialect in Dialect::of(version) {
        match read_body(reader.clone(), dialect) {
            // Only a file that an unusual dialect explains to its last byte is taken for one.
            Ok(metadata) if first_error.is_none() || metadata.trailing.is_empty() => {
                return Ok(metadata);
            }
            Ok(_) => {}
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    // Every version has a dialect, so there was an error.
    Err(first_error.unwrap_or_else(|| reader.error(Problem::Invalid("no such version".to_owned()))).into())
}

/// Everything behind the version.
fn read_body(mut reader: Reader<'_>, dialect: Dialect) -> Decoded<Metadata<'_>> {
    let mut budget = Budget::for_input(usize::try_from(reader.offset()).unwrap_or(0).saturating_add(reader.left()));
    let mut metadata = metadata::read(&mut reader, &mut budget, dialect)?;
    if dialect.version.has_properties() {
        metadata.properties = Some(Cow::Borrowed(properties::split(&mut reader)?));
    }
    metadata.trailing = Cow::Borrowed(reader.rest());
    Ok(metadata)
}

/// Reads magic number and version (`Checkpoints.loadCheckpointMetadata`, `MetadataSerializers.getSerializer`).
fn read_head(reader: &mut Reader<'_>) -> Result<Version, FormatError> {
    let magic = reader.i32()?.cast_unsigned();
    if magic != MAGIC {
        return Err(FormatError::NotMetadata { found: magic });
    }
    match reader.i32()? {
        0 => Err(FormatError::TooOld { number: 0, written_by: "1.1", readable_by: "1.2 or 1.3" }),
        1 => Err(FormatError::TooOld { number: 1, written_by: "1.2", readable_by: "1.3 to 1.10" }),
        number if number < 0 => Err(FormatError::NoSuchVersion(number)),
        number => Version::from_number(number).ok_or(FormatError::TooNew(number)),
    }
}

/// Encodes a model in the version it names (`Checkpoints.storeCheckpointMetadata`).
pub fn encode(metadata: &Metadata<'_>) -> Result<Vec<u8>, EncodeError> {
    let mut out = Writer::new();
    out.raw(&MAGIC.to_be_bytes());
    out.i32(metadata.version.number());
    metadata::write(&mut out, metadata)?;
    match (&metadata.properties, metadata.version.has_properties()) {
        (Some(properties), true) => out.raw(properties),
        (None, false) => {}
        (Some(_), false) => return Err(lacks(metadata.version, "checkpoint properties")),
        (None, true) => out.raw(properties::NULL),
    }
    out.raw(&metadata.trailing);
    Ok(out.into_bytes())
}

/// How deep handles may nest. Flink nests two deep: a changelog handle holds key-group handles.
const MAX_DEPTH: u32 = 8;

/// Refuses to nest deeper than [`MAX_DEPTH`].
fn descend(reader: &Reader<'_>, depth: u32) -> Decoded<u32> {
    if depth >= MAX_DEPTH { Err(reader.error(Problem::TooDeep(MAX_DEPTH))) } else { Ok(depth.saturating_add(1)) }
}

/// The error of writing something into a version that has no place for it.
fn lacks(version: Version, what: &'static str) -> EncodeError {
    EncodeError::NotInVersion { version: version.number().unsigned_abs(), what }
}
