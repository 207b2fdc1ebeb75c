//! Timers of keyed operators (`TimerSerializer`), the elements of priority queues.

use super::serializer::SerializerSnapshot;
use super::types::StateType;
use crate::wire::put;
use crate::wire::{Decoded, EncodeError, Reader};

/// A timer (`TimerHeapInternalTimer`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Timer<K, N> {
    /// When it fires, in milliseconds.
    pub timestamp: i64,
    /// The key it is set for.
    pub key: K,
    /// The namespace: a window, or `()`.
    pub namespace: N,
}

impl<K: StateType, N: StateType> StateType for Timer<K, N> {
    const VARIABLE_LENGTH: bool = K::VARIABLE_LENGTH || N::VARIABLE_LENGTH;

    fn serializer() -> SerializerSnapshot {
        SerializerSnapshot::timer(K::serializer(), N::serializer())
    }

    /// The sign bit of the time is flipped, so that bytes compare as times do.
    #[inline]
    fn write(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        put::i64(out, self.timestamp ^ i64::MIN);
        self.key.write(out)?;
        self.namespace.write(out)
    }

    #[inline]
    fn read(input: &mut Reader<'_>) -> Decoded<Self> {
        Ok(Timer { timestamp: input.i64()? ^ i64::MIN, key: K::read(input)?, namespace: N::read(input)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_starts_with_its_time_in_the_order_of_bytes() {
        let mut out = Vec::new();
        let timer = Timer { timestamp: 5, key: 7_i8, namespace: () };
        timer.write(&mut out).expect("it fits");
        assert_eq!(out, [0x80, 0, 0, 0, 0, 0, 0, 5, 7, 0]);
        assert_eq!(Timer::read(&mut Reader::new(&out, "test")), Ok(timer));
    }
}
