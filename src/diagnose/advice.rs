//! The command at the end: what to type next.

use super::findings::Diagnosis;
use super::look::Look;
use super::table::Remedy;
use crate::survey::finding::Verdict;

/// The command that follows from a diagnosis. Of what is not known, a word in capitals stands.
pub fn command(diagnosis: &Diagnosis, look: Option<&Look>) -> String {
    let facts = &diagnosis.facts;
    let root = facts.root.as_deref().map_or_else(|| "ROOT".to_owned(), quoted);
    let Some(look) = look else {
        return match (diagnosis.entry.remedy, &facts.snapshot) {
            (Remedy::SameSnapshot, Some(snapshot)) => format!("chkctl verify {}", quoted(snapshot)),
            (Remedy::FindOperator, Some(snapshot)) => format!("chkctl inspect {}", quoted(snapshot)),
            (Remedy::SameSnapshot | Remedy::FindOperator, None) => "chkctl verify SNAPSHOT".to_owned(),
            (Remedy::AnotherSnapshot | Remedy::NotTheSnapshot, _) => format!("chkctl latest {root}"),
        };
    };
    if let Some(place) = look.file.as_ref().and_then(|file| file.elsewhere.as_deref())
        && let Some((from, to)) = facts.file.as_deref().and_then(|path| moved(path, place))
    {
        let target = look.named.as_ref().map_or_else(|| quoted(&to), |named| quoted(&named.path));
        return format!("chkctl verify --map {} {target}", quoted(&format!("{from}={to}")));
    }
    let keep = matches!(diagnosis.entry.remedy, Remedy::SameSnapshot | Remedy::FindOperator);
    let named = look.named.as_ref().filter(|named| keep && named.verdict == Some(Verdict::Restorable));
    match named.or(look.best.as_ref()) {
        Some(snapshot) => format!("flink run -s {} job.jar", quoted(&snapshot.path)),
        None => format!("chkctl list --verify {root}"),
    }
}

/// The directories in which two paths differ, where the rest of them is the same.
fn moved<'p>(from: &'p str, to: &'p str) -> Option<(String, String)> {
    let common = from
        .split('/')
        .rev()
        .zip(to.split('/').rev())
        .take_while(|(a, b)| a == b)
        .map(|(a, _)| a.len().saturating_add(1));
    let length: usize = common.sum();
    let from = from.get(..from.len().checked_sub(length)?)?;
    let to = to.get(..to.len().checked_sub(length)?)?;
    (!from.is_empty() && !to.is_empty()).then(|| (from.to_owned(), to.to_owned()))
}

/// A word for a shell.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/:._-=+@%,".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(quoted("s3://b/chk-1"), "s3://b/chk-1");
        assert_eq!(quoted("/my dir/$(x)/it's"), "'/my dir/$(x)/it'\\''s'");
    }

    #[test]
    fn a_moved_tree_is_told_by_what_differs() {
        assert_eq!(moved("/a/b/j/chk-1/f", "/mnt/c/j/chk-1/f"), Some(("/a/b".into(), "/mnt/c".into())));
    }
}
