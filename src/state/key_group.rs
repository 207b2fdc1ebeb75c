//! Which key group a key belongs to, and which subtask a key group (`KeyGroupRangeAssignment`, `MathUtils`).

/// `KeyGroupRangeAssignment.UPPER_BOUND_MAX_PARALLELISM`.
pub const UPPER_BOUND_MAX_PARALLELISM: u16 = 1 << 15;
/// `KeyGroupRangeAssignment.DEFAULT_LOWER_BOUND_MAX_PARALLELISM`.
const LOWER_BOUND: u32 = 1 << 7;

/// The key group of a key with this Java hash (`assignToKeyGroup`).
#[inline]
pub fn assign_to_key_group(java_hash: i32, max_parallelism: u16) -> u16 {
    let (hash, groups) = (murmur_hash(java_hash), u32::from(max_parallelism));
    // A division takes longer than all the rest, and the usual number is 128.
    let group = match groups.is_power_of_two() {
        true => hash & groups.wrapping_sub(1),
        false => hash.checked_rem(groups).unwrap_or(0),
    };
    // Less than `max_parallelism`, so it fits.
    u16::try_from(group).unwrap_or(u16::MAX)
}

/// The Java hashes of the keys of one key group, told from all others without a division.
///
/// A number is a multiple of `o · 2ᵏ`, `o` odd, if its product with the inverse of `o` modulo 2³², rotated right by `k`, is at
/// most the quotient of the largest number there is (Granlund and Montgomery, "Division by Invariant Integers using
/// Multiplication", section 9).
#[derive(Debug, Clone, Copy)]
pub(in crate::state) struct HashesOfGroup {
    group: u32,
    inverse: u32,
    rotation: u32,
    most: u32,
}

impl HashesOfGroup {
    /// Those of a key group; `None` where no key belongs into it.
    pub(in crate::state) fn new(group: u16, max_parallelism: u16) -> Option<Self> {
        if group >= max_parallelism {
            return None;
        }
        let (group, groups) = (u32::from(group), u32::from(max_parallelism));
        let rotation = groups.trailing_zeros();
        let odd = groups >> rotation;
        // Three low bits of an odd number are those of its inverse; each round doubles how many are right.
        let better = |inverse: u32, _| inverse.wrapping_mul(2_u32.wrapping_sub(odd.wrapping_mul(inverse)));
        let inverse = (0..4).fold(odd, better);
        // Hashes have 31 bits: what is less than the group and wraps around has a larger quotient.
        let most = (i32::MAX.cast_unsigned().wrapping_sub(group)).checked_div(groups)?;
        Some(HashesOfGroup { group, inverse, rotation, most })
    }

    /// Whether a key with this hash belongs into the key group.
    #[inline(always)]
    pub(in crate::state) fn has(self, java_hash: i32) -> bool {
        let above = murmur_hash(java_hash).wrapping_sub(self.group);
        above.wrapping_mul(self.inverse).rotate_right(self.rotation) <= self.most
    }
}

/// The subtask that has the key group (`computeOperatorIndexForKeyGroup`).
#[inline]
pub fn operator_index_for_key_group(max_parallelism: u16, parallelism: u16, key_group: u16) -> u16 {
    let product = u32::from(key_group).wrapping_mul(u32::from(parallelism));
    let index = product.checked_div(u32::from(max_parallelism)).unwrap_or(0);
    u16::try_from(index).unwrap_or(u16::MAX)
}

/// The maximum parallelism that Flink chooses for an operator of this parallelism
/// (`computeDefaultMaxParallelism`): one and a half times as many, rounded up to a power of two, from 128 to 32,768.
pub fn default_max_parallelism(parallelism: u16) -> u16 {
    let wanted = u32::from(parallelism).saturating_add(u32::from(parallelism) / 2);
    let rounded = wanted.max(1).next_power_of_two();
    let bounded = rounded.clamp(LOWER_BOUND, u32::from(UPPER_BOUND_MAX_PARALLELISM));
    u16::try_from(bounded).unwrap_or(UPPER_BOUND_MAX_PARALLELISM)
}

/// `MathUtils.murmurHash`: MurmurHash3 of one `int` with the seed 0, made non-negative.
#[inline(always)]
fn murmur_hash(code: i32) -> u32 {
    let mut hash = code.cast_unsigned();
    hash = hash.wrapping_mul(0xcc9e_2d51);
    hash = hash.rotate_left(15);
    hash = hash.wrapping_mul(0x1b87_3593);
    hash = hash.rotate_left(13);
    hash = hash.wrapping_mul(5).wrapping_add(0xe654_6b64);
    hash ^= 4;
    hash ^= hash >> 16;
    hash = hash.wrapping_mul(0x85eb_ca6b);
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(0xc2b2_ae35);
    hash ^= hash >> 16;
    match hash.cast_signed() {
        // `Integer.MIN_VALUE` has no positive counterpart.
        i32::MIN => 0,
        signed => signed.unsigned_abs(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::types::KeyType;

    #[test]
    fn hashes_are_those_of_flink() {
        for (code, hash) in [
            (0, 593_689_054),
            (1, 68_075_478),
            (-1, 1_982_413_648),
            (i32::MIN, 1_718_298_732),
            (123_456_789, 1_088_346_449),
        ] {
            assert_eq!(murmur_hash(code), hash, "{code}");
        }
    }

    #[test]
    fn key_groups_are_those_of_flink() {
        let groups = |hash: i32| [128, 64, 32_768].map(|max| assign_to_key_group(hash, max));
        assert_eq!(groups("flink".to_owned().java_hash()), [98, 34, 16_610]);
        assert_eq!(groups(String::new().java_hash()), [94, 30, 31_198]);
        assert_eq!(groups("the".to_owned().java_hash()), [66, 2, 29_122]);
        assert_eq!(groups(5_i64.java_hash()), [126, 62, 15_230]);
        assert_eq!(groups((-5_i32).java_hash()), [80, 16, 12_112]);
    }

    #[test]
    fn the_hashes_of_a_group_are_those_that_are_assigned_to_it() {
        for max in [1, 2, 3, 5, 7, 12, 96, 100, 127, 128, 255, 1000, 24_576, 32_767, 32_768, u16::MAX] {
            for group in [0, 1, 2, 3, 50, 95, 126, 999, 32_767] {
                let Some(hashes) = HashesOfGroup::new(group, max) else {
                    assert!(group >= max);
                    continue;
                };
                // Neighbours of what is assigned to it, too: the step is odd, so that all numbers are met.
                for number in 0..20_000_u32 {
                    let hash = number.wrapping_mul(0x9e37_79b1).cast_signed();
                    assert_eq!(hashes.has(hash), assign_to_key_group(hash, max) == group, "{hash}: {group} of {max}");
                }
            }
        }
        assert!(HashesOfGroup::new(0, 0).is_none());
    }

    #[test]
    fn default_maxima_are_those_of_flink() {
        let wanted =
            [(1, 128), (85, 128), (86, 256), (128, 256), (171, 256), (1000, 2048), (21_845, 32_768), (30_000, 32_768)];
        for (parallelism, max) in wanted {
            assert_eq!(default_max_parallelism(parallelism), max, "{parallelism}");
        }
    }

    #[test]
    fn subtasks_agree_with_their_ranges() {
        use crate::model::KeyGroupRange;
        for (max, parallelism) in [(128, 1), (128, 3), (64, 64), (32_768, 7)] {
            for group in 0..max {
                let index = operator_index_for_key_group(max, parallelism, group);
                let range = KeyGroupRange::of_subtask(i32::from(max), i32::from(parallelism), i32::from(index));
                let (first, last) = range.expect("a subtask").bounds();
                assert!((first..=last).contains(&i32::from(group)), "{group} of {max} with {parallelism}");
            }
        }
    }
}
