//! A part of the files, so that several short runs do the work of a long one.

use sha2::{Digest, Sha256};
use std::str::FromStr;

/// Which files a run reads. The choice depends on the name of a file alone, so a file belongs to the same part in every
/// snapshot that uses it.
#[derive(Debug, Clone, PartialEq)]
pub enum Subset {
    /// Part `number` of `of`, counted from 1: all of them together are everything.
    Part {
        /// Which part.
        number: u32,
        /// Of how many.
        of: u32,
    },
    /// A random share, another one with each run.
    Share {
        /// Per cent of the files.
        percent: f64,
        /// Makes the choice of this run.
        seed: String,
    },
}

impl Subset {
    /// Whether the file or database of this key is in the part.
    pub fn has(&self, key: &str) -> bool {
        match self {
            Subset::Part { number, of } => {
                let part = u64::from(number.saturating_sub(1));
                number_of("", key).checked_rem(u64::from(*of)) == Some(part)
            }
            Subset::Share { percent, seed } => (number_of(seed, key) as f64) < percent / 100.0 * u64::MAX as f64,
        }
    }
}

fn number_of(seed: &str, key: &str) -> u64 {
    let digest = Sha256::new().chain_update(seed).chain_update(key).finalize();
    digest.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

impl FromStr for Subset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("{text:?} is neither n/m with 1 ≤ n ≤ m, such as 1/7, nor a share such as 10%");
        if let Some(percent) = text.strip_suffix('%') {
            let percent: f64 = percent.trim().parse().map_err(|_| wrong())?;
            return match percent > 0.0 && percent <= 100.0 {
                true => Ok(Subset::Share { percent, seed: crate::storage::random_uuid() }),
                false => Err(wrong()),
            };
        }
        let (number, of) = text.split_once('/').ok_or_else(wrong)?;
        match (number.trim().parse(), of.trim().parse()) {
            (Ok(number), Ok(of)) if 1 <= number && number <= of => Ok(Subset::Part { number, of }),
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_in_exactly_one_part() {
        let parts: Vec<Subset> = (1..=7).map(|n| format!("{n}/7").parse().expect("a part")).collect();
        let mut sizes = [0; 7];
        for file in 0..7_000 {
            let key = format!("file {file}");
            let mut having = parts.iter().enumerate().filter(|(_, part)| part.has(&key));
            let (index, _) = having.next().expect("it is in one");
            assert!(having.next().is_none(), "and in no other");
            sizes[index] += 1;
        }
        assert!(sizes.iter().all(|size| (800..1_200).contains(size)), "of about the same size: {sizes:?}");
    }

    #[test]
    fn a_share_is_as_large_as_asked_for_and_differs_between_runs() {
        let share = || "20%".parse::<Subset>().expect("a share");
        let chosen = |share: &Subset| (0..5_000).filter(|file| share.has(&file.to_string())).collect::<Vec<_>>();
        let (one, other) = (chosen(&share()), chosen(&share()));
        assert!((850..1_150).contains(&one.len()), "{}", one.len());
        assert_ne!(one, other);
        assert_eq!(chosen(&"100%".parse().expect("all")).len(), 5_000);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for text in ["", "0/3", "4/3", "1", "%", "0%", "101%", "-1/3", "NaN%", "a/b"] {
            assert!(text.parse::<Subset>().is_err(), "{text}");
        }
    }
}
