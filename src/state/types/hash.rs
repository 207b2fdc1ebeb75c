//! Java's `hashCode` of strings and byte arrays.

/// `java.util.Arrays.hashCode(byte[])`.
pub fn java_hash_of_bytes(bytes: &[u8]) -> i32 {
    hash_more(1, bytes)
}

/// Goes on with a hash of a byte array.
pub(super) fn hash_more(hash: i32, bytes: &[u8]) -> i32 {
    bytes.iter().fold(hash, |hash, byte| hash.wrapping_mul(31).wrapping_add(i32::from(byte.cast_signed())))
}

/// `String.hashCode`: over UTF-16 units.
///
/// Eight bytes at a time while they are ASCII: this is called once per record, and byte by byte it would be a chain of as
/// many multiplications.
#[inline]
pub fn java_hash_of_str(text: &str) -> i32 {
    let bytes = text.as_bytes();
    let (chunks, rest) = bytes.as_chunks::<8>();
    let mut hash = 0_u32;
    let mut seen = 0_u64;
    for chunk in chunks {
        let eight = u64::from_le_bytes(*chunk);
        seen |= eight;
        hash = hash.wrapping_mul(P8).wrapping_add(of_eight(eight));
    }
    let rest_len = rest.len();
    if rest_len > 0 {
        let tail = tail_of(bytes, rest);
        seen |= tail;
        hash = hash.wrapping_mul(POWERS.get(rest_len).copied().unwrap_or(1)).wrapping_add(of_eight(tail));
    }
    if seen & 0x8080_8080_8080_8080 == 0 { hash.cast_signed() } else { of_units(text) }
}

/// 31 to the power of 0 to 7.
const POWERS: [u32; 8] =
    [1, 31, 31_u32.pow(2), 31_u32.pow(3), P4, 31_u32.pow(5), 31_u32.pow(6), P4.wrapping_mul(31_u32.pow(3))];
const P4: u32 = 31_u32.pow(4);
const P8: u32 = P4.wrapping_mul(P4);

/// The hash of eight ASCII characters, the first in the lowest byte: pairs of neighbours are put together three times.
/// Zero bytes before the first character change nothing.
#[inline]
fn of_eight(bytes: u64) -> u32 {
    const BYTES: u64 = 0x00ff_00ff_00ff_00ff;
    const PAIRS: u64 = 0x0000_ffff_0000_ffff;
    let pairs = (bytes & BYTES).wrapping_mul(31).wrapping_add((bytes >> 8) & BYTES);
    let fours = (pairs & PAIRS).wrapping_mul(961).wrapping_add((pairs >> 16) & PAIRS);
    (fours as u32).wrapping_mul(P4).wrapping_add((fours >> 32) as u32)
}

/// The last bytes of a string, at most seven, in the highest bytes of a number, with zeros below.
#[inline]
fn tail_of(bytes: &[u8], rest: &[u8]) -> u64 {
    let unused = 8_u32.wrapping_mul(8_u32.wrapping_sub(rest.len() as u32)) & 63;
    if let Some(last) = bytes.last_chunk::<8>() {
        return (u64::from_le_bytes(*last) >> unused) << unused;
    }
    if let (Some(first), Some(last)) = (rest.first_chunk::<4>(), rest.last_chunk::<4>()) {
        // Where they overlap, they are the same bytes.
        let (first, last) = (u64::from(u32::from_le_bytes(*first)), u64::from(u32::from_le_bytes(*last)));
        return (first << unused) | (last << 32);
    }
    rest.iter().fold(0, |tail, byte| (tail >> 8) | (u64::from(*byte) << 56))
}

#[cold]
fn of_units(text: &str) -> i32 {
    text.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_hash_as_in_java() {
        assert_eq!(java_hash_of_str("flink"), 97_520_992);
        assert_eq!(java_hash_of_str(""), 0);
        assert_eq!(java_hash_of_str("état𝄞"), -1_807_440_376);
        assert_eq!(java_hash_of_str("the quick brown fox jumps over the lazy dog"), -2_082_818_701);
    }

    #[test]
    fn strings_of_every_length_hash_as_their_units_do() {
        let text = "word12345 and a few more words: 0123456789 ABCDEFGHIJ";
        for start in 0..9 {
            for end in start..text.len() {
                let part = text.get(start..end).expect("ASCII");
                assert_eq!(java_hash_of_str(part), of_units(part), "{part:?}");
                let mixed = format!("{part}ü{part}");
                assert_eq!(java_hash_of_str(&mixed), of_units(&mixed), "{mixed:?}");
            }
        }
    }

    #[test]
    fn byte_arrays_hash_as_in_java() {
        assert_eq!(java_hash_of_bytes(&[1, 0xfe, 3]), 30_693);
        assert_eq!(java_hash_of_bytes(&[]), 1);
    }
}
