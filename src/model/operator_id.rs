//! Operator ids, and how Flink derives them from uids.

use std::fmt;
use std::str::FromStr;

/// The id that a restored job finds an operator's state by (`OperatorID`), 32 hexadecimal digits in text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OperatorId(pub [u8; 16]);

impl OperatorId {
    /// The id of an operator with this `uid(…)` in the job: murmur3 (128 bits, seed 0) of the text in UTF-8
    /// (`StreamGraphHasherV2.generateUserSpecifiedHash`).
    pub fn from_uid(uid: &str) -> Self {
        let mut bytes = uid.as_bytes();
        // The only error is one of reading, and a slice has none.
        let hash = murmur3::murmur3_x64_128(&mut bytes, 0).unwrap_or_default();
        OperatorId(hash.to_le_bytes())
    }
}

impl fmt::Display for OperatorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for OperatorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for OperatorId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let value = match text.len() {
            32 if text.bytes().all(|b| b.is_ascii_hexdigit()) => u128::from_str_radix(text, 16),
            _ => {
                return Err(format!("{text:?} is not an operator id of 32 hexadecimal digits"));
            }
        };
        value.map(|v| OperatorId(v.to_be_bytes())).map_err(|e| e.to_string())
    }
}

impl serde::Serialize for OperatorId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_back_from_their_text() {
        let id = OperatorId::from_uid("my-source");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("43b792ff".parse::<OperatorId>().is_err());
        assert!("+3b792ff43b792ff43b792ff43b792ff".parse::<OperatorId>().is_err());
    }
}
