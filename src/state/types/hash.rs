//! Java's `hashCode` of strings and byte arrays.

const P2: i32 = 31_i32.wrapping_pow(2);
const P3: i32 = 31_i32.wrapping_pow(3);
const P4: i32 = 31_i32.wrapping_pow(4);

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
/// Four bytes at a time while they are ASCII: called once per record, and the chain of multiplications is what it
/// costs.
#[inline]
pub fn java_hash_of_str(text: &str) -> i32 {
    let (chunks, rest) = text.as_bytes().as_chunks::<4>();
    let mut hash = 0_i32;
    let mut seen = 0_u8;
    for [a, b, c, d] in chunks {
        seen |= a | b | c | d;
        let four = i32::from(*a)
            .wrapping_mul(P3)
            .wrapping_add(i32::from(*b).wrapping_mul(P2))
            .wrapping_add(i32::from(*c).wrapping_mul(31))
            .wrapping_add(i32::from(*d));
        hash = hash.wrapping_mul(P4).wrapping_add(four);
    }
    for byte in rest {
        seen |= byte;
        hash = hash.wrapping_mul(31).wrapping_add(i32::from(*byte));
    }
    if seen < 0x80 { hash } else { of_units(text) }
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
    fn byte_arrays_hash_as_in_java() {
        assert_eq!(java_hash_of_bytes(&[1, 0xfe, 3]), 30_693);
        assert_eq!(java_hash_of_bytes(&[]), 1);
    }
}
