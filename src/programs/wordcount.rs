//! The word count that Flink's tutorials tell of recovery with: it fails at the word `error`.

use crate::runtime::DataStream;

/// The word that makes a task fail.
pub const ERROR: &str = "error";

/// The uids of the operators, the source first: the state of each is found again by it.
pub const UIDS: &[&str] = &["source", "split", "check", "pair", "sum", "sink"];

/// Counts the words of lines: after each word, the word and how often it has come so far.
///
/// The stream that is given should have the uid `source`, and what is put behind the one that is returned the uid
/// `sink`. The state is that of the same job in Flink: a `Tuple2<String, Long>` by `String`.
pub fn count(lines: &DataStream<String>) -> DataStream<(String, i64)> {
    let words = lines.flat_map(|line: String, out| {
        let words = line.split(' ').filter(|word| !word.is_empty());
        words.map(str::to_owned).try_for_each(|word| out.collect(word))
    });
    let checked = words.uid("split").try_map(|word: String| {
        anyhow::ensure!(word != ERROR, "error message");
        Ok(word)
    });
    let pairs = checked.uid("check").map(|word| (word, 1_i64)).uid("pair");
    pairs.key_by_ref(|(word, _)| word).sum(|(_, count)| count).uid("sum")
}
