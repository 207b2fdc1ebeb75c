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
#[inline]
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
