//! `files`: every reference of a snapshot with its owner.

use super::report::{plain_table, table_text};
use super::{Bytes, Escaped};
use crate::survey::stock::{FileEntry, FileState};
use comfy_table::{Cell, CellAlignment, Color};
use serde::Serialize;

/// The object that `files --json` prints.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FilesJson {
    /// The snapshot.
    pub path: String,
    /// Its files, in the order of the `_metadata`.
    pub files: Vec<FileEntry>,
    /// Bytes of state that are in the `_metadata` itself.
    pub inline_bytes: u64,
}

/// `files` for people.
pub fn table(files: &FilesJson, colour: bool) -> String {
    let mut table = plain_table(&["STATE", "SIZE", "SCOPE", "OWNER", "PATH"], colour);
    for file in &files.files {
        let (word, paint) = match file.state {
            FileState::Present => ("present", Color::Green),
            FileState::Damaged => ("damaged", Color::Yellow),
            FileState::Missing => ("missing", Color::Red),
            FileState::Unknown => ("unknown", Color::Magenta),
        };
        table.add_row([
            Cell::new(word).fg(paint),
            Cell::new(file.size.map_or_else(|| "?".to_owned(), |size| size.to_string()))
                .set_alignment(CellAlignment::Right),
            Cell::new(file.scope.word()),
            Cell::new(owners(file)),
            Cell::new(Escaped(&file.path)),
        ]);
    }
    let mut text = table_text(&table);
    if files.files.is_empty() {
        text = String::new();
    }
    text.push_str(&format!(
        "{} files; {} of state in the _metadata itself\n",
        files.files.len(),
        Bytes(files.inline_bytes)
    ));
    text
}

fn owners(file: &FileEntry) -> String {
    let Some(first) = file.owners.first() else {
        return "-".to_owned();
    };
    let id = first.operator_id.map_or_else(String::new, |id| id.to_string());
    let name = first.operator_uid.as_ref().or(first.operator_name.as_ref()).map_or(id.as_str(), String::as_str);
    let mut text = format!("{}[{}] {}", Escaped(name), first.subtask, Escaped(&first.state));
    if file.owners.len() > 1 {
        text.push_str(&format!(" +{}", file.owners.len() - 1));
    }
    text
}
