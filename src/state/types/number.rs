//! Java's primitive types: fixed width, big-endian (`ByteSerializer`, `ShortSerializer`, `IntSerializer`, …).

use super::{KeyType, StateType};
use crate::state::serializer::SerializerSnapshot;
use crate::wire::{Decoded, EncodeError, Reader};

macro_rules! number {
    ($type:ty, $serializer:ident, |$input:ident| $read:expr) => {
        impl StateType for $type {
            const VARIABLE_LENGTH: bool = false;

            fn serializer() -> SerializerSnapshot {
                SerializerSnapshot::$serializer()
            }

            #[inline]
            fn write(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
                out.extend_from_slice(&self.to_be_bytes());
                Ok(())
            }

            #[inline]
            fn read($input: &mut Reader<'_>) -> Decoded<Self> {
                $read
            }
        }
    };
}

number!(i8, byte, |input| Ok(input.u8()?.cast_signed()));
number!(i16, short, |input| Ok(input.u16()?.cast_signed()));
number!(i32, int, |input| input.i32());
number!(i64, long, |input| input.i64());
number!(f32, float, |input| Ok(f32::from_bits(input.i32()?.cast_unsigned())));
number!(f64, double, |input| Ok(f64::from_bits(input.i64()?.cast_unsigned())));

impl StateType for bool {
    const VARIABLE_LENGTH: bool = false;

    fn serializer() -> SerializerSnapshot {
        SerializerSnapshot::boolean()
    }

    #[inline]
    fn write(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.push(u8::from(*self));
        Ok(())
    }

    /// As `DataInput.readBoolean`, anything but 0 is true.
    #[inline]
    fn read(input: &mut Reader<'_>) -> Decoded<Self> {
        Ok(input.u8()? != 0)
    }
}

impl KeyType for i8 {
    #[inline]
    fn java_hash(&self) -> i32 {
        i32::from(*self)
    }
}

impl KeyType for i16 {
    #[inline]
    fn java_hash(&self) -> i32 {
        i32::from(*self)
    }
}

impl KeyType for i32 {
    #[inline]
    fn java_hash(&self) -> i32 {
        *self
    }
}

impl KeyType for i64 {
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "Long.hashCode folds the halves and keeps the low one")]
    fn java_hash(&self) -> i32 {
        let bits = self.cast_unsigned();
        (bits ^ (bits >> 32)) as i32
    }
}

impl KeyType for bool {
    #[inline]
    fn java_hash(&self) -> i32 {
        if *self { 1231 } else { 1237 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_hash_as_in_java() {
        assert_eq!((-5_i64).java_hash(), 4);
        assert_eq!(1_234_567_890_123_i64.java_hash(), 1_912_276_436);
        assert_eq!(true.java_hash(), 1231);
        assert_eq!((-3_i8).java_hash(), -3);
    }
}
