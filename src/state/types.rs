//! Rust types that have a serializer of Flink's: how each is written, read and hashed.
//!
//! [`StateType`] is what state can hold, [`KeyType`] what a stream can be keyed by. Types that Flink has no class for
//! come in through [`UserType`]: bincode in a `byte[]`, which any job of Flink's can carry along.

mod composite;
mod hash;
mod number;
mod str;
mod string;
mod user;

pub(super) use composite::read_value as read_map_value;
pub(super) use hash::{java_hash_of_ascii, java_hash_of_word};
pub use hash::{java_hash_of_bytes, java_hash_of_str};
pub use str::Str;
pub(super) use string::{hash as hash_string, skip as skip_string};
pub use user::{UserKey, UserType};

use super::serializer::SerializerSnapshot;
use crate::wire::put;
use crate::wire::{Decoded, EncodeError, Reader};

/// A Rust type that has a serializer of Flink's.
pub trait StateType: Sized + Send + 'static {
    /// Whether values differ in length (`TypeSerializer.getLength` is −1). Decides the layout of composite keys.
    const VARIABLE_LENGTH: bool;

    /// The snapshot of Flink's serializer for the type.
    fn serializer() -> SerializerSnapshot;

    /// Appends what Flink's serializer would write.
    ///
    /// # Errors
    /// When the value does not fit the format, such as a list longer than a Java `int` counts.
    fn write(&self, out: &mut Vec<u8>) -> Result<(), EncodeError>;

    /// Reads what Flink's serializer wrote.
    ///
    /// # Errors
    /// When the bytes are not such a value, or hold what the type cannot, such as a null.
    fn read(input: &mut Reader<'_>) -> Decoded<Self>;
}

/// A type that streams can be keyed by: Java's `hashCode` decides the key group.
pub trait KeyType: StateType + Clone + Eq + std::hash::Hash {
    /// What `hashCode` of the Java counterpart gives.
    fn java_hash(&self) -> i32;
}

/// Bytes as they are: `byte[]` with `BytePrimitiveArraySerializer`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Bytes(pub Vec<u8>);

impl StateType for Bytes {
    const VARIABLE_LENGTH: bool = true;

    fn serializer() -> SerializerSnapshot {
        SerializerSnapshot::byte_array()
    }

    #[inline]
    fn write(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        put::bytes(out, "bytes", &self.0)
    }

    #[inline]
    fn read(input: &mut Reader<'_>) -> Decoded<Self> {
        Ok(Bytes(input.bytes("the length of a byte array")?.to_vec()))
    }
}

/// A window of event time, the namespace of state in windowed operators
/// (`org.apache.flink.streaming.api.windowing.windows.TimeWindow`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TimeWindow {
    /// First millisecond in the window.
    pub start: i64,
    /// First millisecond behind the window.
    pub end: i64,
}

impl StateType for TimeWindow {
    const VARIABLE_LENGTH: bool = false;

    fn serializer() -> SerializerSnapshot {
        SerializerSnapshot::time_window()
    }

    #[inline]
    fn write(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        put::i64(out, self.start);
        put::i64(out, self.end);
        Ok(())
    }

    #[inline]
    fn read(input: &mut Reader<'_>) -> Decoded<Self> {
        Ok(TimeWindow { start: input.i64()?, end: input.i64()? })
    }
}

/// The namespace of state that is in no window (`VoidNamespace`): one byte, 0.
impl StateType for () {
    const VARIABLE_LENGTH: bool = false;

    fn serializer() -> SerializerSnapshot {
        SerializerSnapshot::void_namespace()
    }

    #[inline]
    fn write(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.push(0);
        Ok(())
    }

    #[inline]
    fn read(input: &mut Reader<'_>) -> Decoded<Self> {
        input.u8().map(|_| ())
    }
}
