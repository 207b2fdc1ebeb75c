//! Java's `hashCode` of strings and byte arrays.

/// `java.util.Arrays.hashCode(byte[])`.
pub fn java_hash_of_bytes(bytes: &[u8]) -> i32 {
    hash_more(1, bytes)
}

/// Goes on with a hash of a byte array.
pub(super) fn hash_more(hash: i32, bytes: &[u8]) -> i32 {
    bytes.iter().fold(hash, |hash, byte| hash.wrapping_mul(31).wrapping_add(i32::from(byte.cast_signed())))
}

/// Java's `hashCode` of a string that is all ASCII; `None` of others.
#[inline]
pub(in crate::state) fn java_hash_of_ascii(bytes: &[u8]) -> Option<i32> {
    let (chunks, rest) = bytes.as_chunks::<8>();
    let mut hash = HashOfTail(0);
    let mut seen = 0_u64;
    for chunk in chunks {
        let eight = u64::from_le_bytes(*chunk);
        seen |= eight;
        hash = hash.then(eight, 8);
    }
    let tail = rest.iter().rev().fold(0_u64, |tail, byte| (tail << 8) | u64::from(*byte));
    seen |= tail;
    if !rest.is_empty() {
        hash = hash.then(tail, rest.len());
    }
    (seen & 0x8080_8080_8080_8080 == 0).then(|| hash.get())
}

/// Java's `hashCode` of the string of at most 16 characters that the bytes start with, if they are ASCII.
#[inline(always)]
pub(in crate::state) fn java_hash_of_word(bytes: &[u8; 16], length: u32) -> Option<i32> {
    // Zeros before the first character change nothing, and what is behind the last is pushed out.
    let unused = 128_u32.wrapping_sub(length.wrapping_mul(8));
    let text = u128::from_le_bytes(*bytes).checked_shl(unused)?;
    let (first, last) = (text as u64, (text >> 64) as u64);
    let hash = of_eight(first).wrapping_mul(P8).wrapping_add(of_eight(last));
    ((first | last) & 0x8080_8080_8080_8080 == 0).then_some(hash.cast_signed())
}

/// `String.hashCode`: over UTF-16 units.
///
/// Eight bytes at a time while they are ASCII: this is called once per record, and byte by byte it would be a chain of as
/// many multiplications.
#[inline]
pub fn java_hash_of_str(text: &str) -> i32 {
    java_hash_of_ascii(text.as_bytes()).unwrap_or_else(|| of_units(text))
}

/// The hash of what was seen so far of a text of ASCII.
#[derive(Clone, Copy)]
pub(super) struct HashOfTail(u32);

impl HashOfTail {
    /// The hash of at most eight characters, the first in the lowest byte, zeros behind the last.
    #[inline(always)]
    pub fn of(characters: u64, count: usize) -> Self {
        HashOfTail(0).then(characters, count)
    }

    /// Goes on with at most eight more characters.
    #[inline(always)]
    pub fn then(self, characters: u64, count: usize) -> Self {
        // Zeros before the first character change nothing, those behind the last would.
        let unused = 64_usize.wrapping_sub(count.wrapping_mul(8));
        let shifted = u32::try_from(unused).ok().and_then(|unused| characters.checked_shl(unused)).unwrap_or(0);
        let power = POWERS.get(count).copied().unwrap_or(1);
        HashOfTail(self.0.wrapping_mul(power).wrapping_add(of_eight(shifted)))
    }

    /// What Java's `hashCode` gives.
    #[inline]
    pub fn get(self) -> i32 {
        self.0.cast_signed()
    }
}

/// 31 to the power of 0 to 8.
const POWERS: [u32; 9] =
    [1, 31, 31_u32.pow(2), 31_u32.pow(3), P4, 31_u32.pow(5), 31_u32.pow(6), P4.wrapping_mul(31_u32.pow(3)), P8];
const P4: u32 = 31_u32.pow(4);
const P8: u32 = P4.wrapping_mul(P4);

/// The hash of eight ASCII characters, the first in the lowest byte: pairs of neighbours are put together three times.
/// Zero bytes before the first character change nothing.
#[inline(always)]
fn of_eight(bytes: u64) -> u32 {
    const BYTES: u64 = 0x00ff_00ff_00ff_00ff;
    const PAIRS: u64 = 0x0000_ffff_0000_ffff;
    let pairs = (bytes & BYTES).wrapping_mul(31).wrapping_add((bytes >> 8) & BYTES);
    let fours = (pairs & PAIRS).wrapping_mul(961).wrapping_add((pairs >> 16) & PAIRS);
    (fours as u32).wrapping_mul(P4).wrapping_add((fours >> 32) as u32)
}

#[cold]
fn of_units(text: &str) -> i32 {
    text.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_hashes_like_the_string() {
        let text = b"the quick brown fox";
        let bytes = text.first_chunk().expect("16 bytes");
        for length in 1..=16_u8 {
            let word = &text[..usize::from(length)];
            assert_eq!(java_hash_of_word(bytes, length.into()), java_hash_of_ascii(word), "{length}");
        }
        let mut other = *bytes;
        other[9] = 0xe9;
        assert!(java_hash_of_word(&other, 9).is_some() && java_hash_of_word(&other, 10).is_none());
        assert!(java_hash_of_word(bytes, 0).is_none() && java_hash_of_word(bytes, 17).is_none());
    }

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
