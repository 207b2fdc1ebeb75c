//! Types of the user that Flink has no class for: bincode, in Flink's terms a `byte[]`.

use super::hash::hash_more;
use super::{KeyType, StateType, java_hash_of_bytes};
use crate::state::serializer::SerializerSnapshot;
use crate::wire::{Decoded, EncodeError, Reader};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::hash::Hash;

/// What a value of up to [`SMALL`] bytes may claim when it is read, against lengths that a damaged file made up.
const SMALL_LIMIT: usize = 32 << 20;
const SMALL: usize = 1 << 20;
/// What a larger one may claim.
const LARGE_LIMIT: usize = 1 << 31;

/// A type that goes into state through serde, as a `byte[]` (`BytePrimitiveArraySerializer`) of bincode.
pub trait UserType: Serialize + DeserializeOwned + Send + 'static {}

/// A [`UserType`] that streams can be keyed by. Its hash is `java.util.Arrays.hashCode` of its bytes.
pub trait UserKey: UserType + Clone + Eq + Hash {}

fn failed(error: impl std::fmt::Display) -> EncodeError {
    EncodeError::Unserializable(error.to_string())
}

impl<T: UserType> StateType for T {
    const VARIABLE_LENGTH: bool = true;

    fn serializer() -> SerializerSnapshot {
        SerializerSnapshot::byte_array()
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let length_at = out.len();
        out.extend_from_slice(&[0; 4]);
        let length = bincode::serde::encode_into_std_write(self, out, bincode::config::standard()).map_err(failed)?;
        let length = i32::try_from(length).map_err(|_| EncodeError::TooMany { what: "bytes", count: length })?;
        if let Some(place) = out.get_mut(length_at..).and_then(|rest| rest.first_chunk_mut::<4>()) {
            *place = length.to_be_bytes();
        }
        Ok(())
    }

    fn read(input: &mut Reader<'_>) -> Decoded<Self> {
        let start = input.offset();
        let bytes = input.bytes("the length of a byte array")?;
        let config = bincode::config::standard();
        let decoded = match bytes.len() {
            0..=SMALL => bincode::serde::decode_from_slice(bytes, config.with_limit::<SMALL_LIMIT>()),
            _ => bincode::serde::decode_from_slice(bytes, config.with_limit::<LARGE_LIMIT>()),
        };
        match decoded {
            Ok((value, read)) if read == bytes.len() => Ok(value),
            Ok(_) => Err(input.invalid_at(start, "bytes behind a value of the user's type")),
            Err(error) => Err(input.invalid_at(start, format_args!("not a value of the user's type: {error}"))),
        }
    }
}

impl<T: UserKey> KeyType for T {
    fn java_hash(&self) -> i32 {
        let mut hash = Hashed(java_hash_of_bytes(&[]));
        // A key that cannot be written cannot be kept either, and its first write says why.
        let _ = bincode::serde::encode_into_std_write(self, &mut hash, bincode::config::standard());
        hash.0
    }
}

/// Hashes what is written as [`java_hash_of_bytes`] does, without keeping it.
struct Hashed(i32);

impl std::io::Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = hash_more(self.0, bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
    struct Order {
        id: u64,
        tags: Vec<String>,
    }
    impl UserType for Order {}
    impl UserKey for Order {}

    #[test]
    fn a_user_s_type_is_a_byte_array_of_flink_s() {
        let order = Order { id: 7, tags: vec!["a".into()] };
        let mut out = Vec::new();
        order.write(&mut out).expect("it fits");
        assert_eq!(out, [0, 0, 0, 4, 7, 1, 1, b'a']);
        let mut input = Reader::new(&out, "test");
        assert_eq!(Order::read(&mut input), Ok(order.clone()));
        assert_eq!(order.java_hash(), java_hash_of_bytes(&[7, 1, 1, b'a']));
        assert_eq!(Order::serializer(), SerializerSnapshot::byte_array());
    }

    #[test]
    fn bytes_that_are_no_such_value_are_refused() {
        // Claims 2^62 tags.
        const HUGE: [u8; 14] = [0, 0, 0, 10, 7, 253, 0, 0, 0, 0, 0, 0, 0, 64];
        for bytes in [&[0, 0, 0, 1, 7][..], &[0, 0, 0, 5, 7, 1, 1, b'a', 0], &[0, 0, 0, 9, 7], &HUGE] {
            assert!(Order::read(&mut Reader::new(bytes, "test")).is_err(), "{bytes:?}");
        }
    }
}
