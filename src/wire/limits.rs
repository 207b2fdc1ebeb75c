//! The memory contract of the decoders: a budget that every allocation is charged to before it is made.

use super::{Decoded, Problem, Reader};
use std::mem::size_of;

/// Bytes that a decoder may still allocate for the model.
///
/// The contract of the codec is that input and model together take at most 4 × input + 8 MiB. The input itself is
/// one of the four, so the model gets three and the constant. No file of Flink's comes near it (a model is about as
/// large as half the file); a hostile one, whose entries are a few bytes on the wire and many in memory, is refused.
#[derive(Debug)]
pub struct Budget {
    allowed: u64,
    left: u64,
}

/// What an allocator adds to one allocation.
const PER_ALLOCATION: u64 = 16;
const CONSTANT: u64 = 7 << 20;

impl Budget {
    /// The budget for decoding an input of `len` bytes.
    pub fn for_input(len: usize) -> Self {
        let allowed = (len as u64).saturating_mul(3).saturating_add(CONSTANT);
        Budget { allowed, left: allowed }
    }

    /// Charges `bytes` of one allocation.
    #[inline]
    pub fn charge(&mut self, at: &Reader<'_>, bytes: u64) -> Decoded<()> {
        match self.left.checked_sub(bytes.saturating_add(PER_ALLOCATION)) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(at.error(Problem::OverBudget { allowed: self.allowed })),
        }
    }

    /// A vector with room for exactly `count` items, charged.
    #[inline]
    pub fn vec<T>(&mut self, at: &Reader<'_>, count: usize) -> Decoded<Vec<T>> {
        if count == 0 {
            return Ok(Vec::new());
        }
        self.charge(at, (count as u64).saturating_mul(size_of::<T>() as u64))?;
        Ok(Vec::with_capacity(count))
    }

    /// A box, charged.
    #[inline]
    pub fn boxed<T>(&mut self, at: &Reader<'_>, value: T) -> Decoded<Box<T>> {
        self.charge(at, size_of::<T>() as u64)?;
        Ok(Box::new(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_refuses_what_is_beyond_three_times_the_input_and_the_constant() {
        let reader = Reader::new(&[], "test");
        let mut budget = Budget::for_input(1 << 20);
        assert!(budget.charge(&reader, 9 << 20).is_ok());
        assert!(budget.vec::<u64>(&reader, 1 << 20).is_err());
    }
}
