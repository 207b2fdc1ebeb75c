//! Whether the files of an embedded database make a database.
//!
//! RocksDB and ForSt start from `CURRENT`, which names a `MANIFEST-…`, which names the SST files. A handle without the
//! first two, or with a name twice, is not written by any Flink and cannot be restored.

use super::finding::{Code, Finding, Severity};
use crate::model::handle::Incremental;
use crate::model::{KeyedHandle, OperatorState};
use foldhash::{HashSet, HashSetExt as _};

/// Findings about the databases of one operator.
pub fn check(operator: &OperatorState<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for subtask in operator.subtasks() {
        let handles = subtask.state.iter().flat_map(|state| state.keyed_handles());
        for (_, handle) in handles {
            each_database(handle, &mut |database| {
                if let Some(problem) = problem(database) {
                    findings.push(finding(operator, subtask.index, database, problem));
                }
            });
        }
    }
    findings
}

fn each_database(handle: &KeyedHandle<'_>, each: &mut dyn FnMut(&Incremental<'_>)) {
    match handle {
        KeyedHandle::Incremental(database) => each(database),
        KeyedHandle::Changelog(changelog) => {
            changelog.materialized.iter().flatten().for_each(|part| each_database(part, each));
        }
        KeyedHandle::KeyGroups(_) | KeyedHandle::ChangesInMemory(_) | KeyedHandle::ChangesInFiles(_) => {}
    }
}

fn problem(database: &Incremental<'_>) -> Option<String> {
    let files = || database.shared.iter().chain(database.private.iter());
    let mut names = HashSet::with_capacity(database.shared.len() + database.private.len());
    let (mut current, mut manifest) = (false, false);
    for file in files() {
        let name = file.local_path;
        current |= name.as_modified_utf8() == b"CURRENT";
        manifest |= name.as_modified_utf8().starts_with(b"MANIFEST-");
        if let Some(number) = name.as_modified_utf8().strip_suffix(b".sst")
            && !number.iter().all(u8::is_ascii_digit)
        {
            return Some(format!("a database cannot have an SST file of the name {name:?}"));
        }
        if let Some(name) = names.replace(name) {
            return Some(format!("the database has two files of the name {name:?}"));
        }
    }
    match (current, manifest) {
        (true, true) => None,
        (false, _) => Some("the database has no CURRENT file".to_owned()),
        (true, false) => Some("the database has no MANIFEST file".to_owned()),
    }
}

fn finding(operator: &OperatorState<'_>, subtask: i32, database: &Incremental<'_>, problem: String) -> Finding {
    let finding = Finding {
        path: None,
        key_groups: Some(database.range),
        state: Some("managed keyed state".to_owned()),
        ..Finding::new(Code::IncompleteDatabase, Severity::Error, "", problem)
    };
    finding.of_subtask(operator, subtask)
}
