//! Whether the files of a handle make a database: `CURRENT`, the `MANIFEST` it names, and the SST files that names.

use super::damage;
use super::manifest::ManifestSummary;
use crate::model::{Damage, Effect};
use std::collections::{BTreeMap, BTreeSet};

/// A file that a handle carries, under the name that it gets in the directory of the database.
#[derive(Debug, Clone, Copy)]
pub struct DatabaseFile<'a> {
    /// Its name, such as `000012.sst`.
    pub name: &'a str,
    /// The size of the real file in bytes, where it is known.
    pub size: Option<u64>,
}

/// What is wrong between files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseFault {
    /// The name of the file that is missing or wrong.
    pub file: String,
    /// What RocksDB does with it.
    pub effect: Effect,
    /// What is wrong.
    pub problem: String,
}

fn fault(file: impl Into<String>, effect: Effect, problem: impl Into<String>) -> DatabaseFault {
    DatabaseFault { file: file.into(), effect, problem: problem.into() }
}

/// The name of the `MANIFEST` in a `CURRENT` file (`VersionSet::GetCurrentManifestPath`): a name, and a line feed at the
/// very end.
///
/// # Errors
/// When RocksDB would not take it.
pub fn read_current(bytes: &[u8]) -> Result<String, Damage> {
    let fails = |at: usize, problem: &str| damage(Effect::Fails, "CURRENT", at as u64, problem);
    let Some((b'\n', name)) = bytes.split_last() else {
        return Err(fails(bytes.len(), "it does not end with a line feed"));
    };
    let number = name.strip_prefix(b"MANIFEST-").ok_or_else(|| fails(0, "it does not name a MANIFEST"))?;
    let digits = number.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(name).ok().filter(|_| digits);
    let parsed = std::str::from_utf8(number).ok().and_then(|number| number.parse::<u64>().ok());
    match (text, parsed) {
        (Some(name), Some(_)) => Ok(name.to_owned()),
        _ => Err(fails(b"MANIFEST-".len(), "the name of the MANIFEST has no number")),
    }
}

/// Checks files against each other, as `DBImpl::CheckConsistency` does before it opens a database, and beyond.
///
/// `manifest_name` is the name of the file that `manifest` was read from, `current` what [`read_current`] gave.
/// A file that the `MANIFEST` names must be there with the very size, or RocksDB does not open. One that it does not
/// name is passed over by RocksDB, and its content lost; Flink only writes what it names, so that this is a
/// `MANIFEST` of another moment.
pub fn check_database(
    manifest: &ManifestSummary,
    manifest_name: &str,
    current: &str,
    files: &[DatabaseFile<'_>],
) -> Vec<DatabaseFault> {
    let mut faults = Vec::new();
    let current = current.strip_suffix('\n').unwrap_or(current);
    if current != manifest_name {
        let (named, there) = (files.iter().any(|file| file.name == current), manifest_name);
        faults.push(match named {
            true => fault("CURRENT", Effect::Unknown, format!("it names {current}, and {there} is there too")),
            false => fault("CURRENT", Effect::Fails, format!("it names {current}, which is not there; {there} is")),
        });
    }
    let there: BTreeMap<&str, Option<u64>> = files.iter().map(|file| (file.name, file.size)).collect();
    let families: BTreeMap<u32, &str> =
        manifest.column_families.iter().map(|family| (family.id, family.name.as_str())).collect();
    let mut named = BTreeSet::new();
    for live in &manifest.live {
        let name = format!("{:06}.sst", live.number);
        let family = families.get(&live.column_family).copied().unwrap_or_default();
        // RocksDB takes the name of LevelDB too (`Rocks2LevelTableFileName`).
        let old = format!("{:06}.ldb", live.number);
        match there.get(name.as_str()).or_else(|| there.get(old.as_str())) {
            None => {
                let problem = format!("{manifest_name} names it, for {family:?}, and it is not there");
                faults.push(fault(name.clone(), Effect::Fails, problem));
            }
            Some(Some(size)) if *size != live.size => {
                let problem = format!("{manifest_name} says it has {} bytes, it has {size}", live.size);
                faults.push(fault(name.clone(), Effect::Fails, problem));
            }
            Some(_) => {}
        }
        named.insert(name);
        named.insert(old);
    }
    for file in files {
        let is_sst = file.name.ends_with(".sst") || file.name.ends_with(".ldb");
        if is_sst && !named.contains(file.name) {
            let problem = format!("{manifest_name} does not name it: what is in it is lost");
            faults.push(fault(file.name, Effect::Starts, problem));
        }
    }
    faults
}

/// Checks the column families against the names of the states that Flink opens them by, which stand in the file with
/// the meta data of the handle (`RocksDBIncrementalRestoreOperation`). RocksDB wants both to be the same.
pub fn check_column_families(manifest: &ManifestSummary, manifest_name: &str, states: &[&str]) -> Vec<DatabaseFault> {
    let there: BTreeSet<&str> = manifest.column_families.iter().map(|family| family.name.as_str()).collect();
    let wanted: BTreeSet<&str> = states.iter().copied().chain(["default"]).collect();
    let missing = wanted.difference(&there).map(|name| format!("it has no column family for the state {name:?}"));
    let more = there.difference(&wanted).map(|name| format!("it has a column family {name:?}, which is no state"));
    missing.chain(more).map(|problem| fault(manifest_name, Effect::Fails, problem)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::manifest::{ColumnFamily, LiveFile};
    use super::*;

    fn manifest(files: &[(u64, u64)]) -> ManifestSummary {
        let file = |(number, size): &(u64, u64)| LiveFile {
            column_family: 1,
            level: 0,
            number: *number,
            size: *size,
            smallest: Vec::new(),
            largest: Vec::new(),
            smallest_sequence: None,
            largest_sequence: None,
            unique_id: None,
        };
        let family = |id, name: &str| ColumnFamily { id, name: name.to_owned(), comparator: None };
        ManifestSummary {
            live: files.iter().map(file).collect(),
            column_families: vec![family(0, "default"), family(1, "count")],
            ..ManifestSummary::default()
        }
    }

    fn file(name: &str, size: u64) -> DatabaseFile<'_> {
        DatabaseFile { name, size: Some(size) }
    }

    #[test]
    fn current_is_a_name_and_a_line_feed() {
        assert_eq!(read_current(b"MANIFEST-000004\n").as_deref(), Ok("MANIFEST-000004"));
        let wrong: [&[u8]; 8] = [
            b"",
            b"\n",
            b"MANIFEST-000004",
            b"MANIFEST-000004\n\n",
            b"MANIFEST-\n",
            b"MANIFEST-00000x\n",
            b"OANIFEST-000004\n",
            b"MANIFEST-99999999999999999999999\n",
        ];
        for bytes in wrong {
            assert!(read_current(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn files_are_there_as_the_manifest_says() {
        let manifest = manifest(&[(9, 100), (12, 200)]);
        let good = [file("CURRENT", 16), file("000009.sst", 100), file("000012.sst", 200)];
        assert_eq!(check_database(&manifest, "MANIFEST-000004", "MANIFEST-000004", &good), []);
        let wrong = [file("000009.sst", 101), file("000013.sst", 5)];
        let faults = check_database(&manifest, "MANIFEST-000004", "MANIFEST-000005", &wrong);
        let found: Vec<_> = faults.iter().map(|fault| (fault.file.as_str(), fault.effect)).collect();
        let expected = [
            ("CURRENT", Effect::Fails),
            ("000009.sst", Effect::Fails),
            ("000012.sst", Effect::Fails),
            ("000013.sst", Effect::Starts),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_size_that_is_not_known_is_no_fault() {
        let files = [DatabaseFile { name: "000009.sst", size: None }];
        assert_eq!(check_database(&manifest(&[(9, 100)]), "MANIFEST-1", "MANIFEST-1\n", &files), []);
    }

    #[test]
    fn column_families_are_the_states() {
        assert_eq!(check_column_families(&manifest(&[]), "MANIFEST-1", &["count"]), []);
        let faults = check_column_families(&manifest(&[]), "MANIFEST-1", &["other"]);
        assert_eq!(faults.len(), 2);
    }
}
