//! An `OPTIONS` file: sections of settings, as text (`options/options_parser.cc`).
//!
//! Flink sets every option itself and never reads the file, which it restores with the others all the same: damage in
//! it never keeps a job from starting.

use super::{collect, damage};
use crate::model::{Checked, Effect};
use crate::wire::ReadAt;
use std::io;

/// A section has about 4 KiB, a database one or two for each state.
const MOST: u64 = 64 << 20;

/// What an `OPTIONS` file says.
#[derive(Debug, Clone, Default)]
pub struct OptionsSummary {
    /// What is damaged.
    pub checked: Checked,
    /// The release that wrote it, such as `8.10.0`.
    pub rocksdb_version: Option<String>,
    /// The column families it has settings for.
    pub column_families: Vec<String>,
    /// The format versions of SST files that it asks for, each once.
    pub format_versions: Vec<u32>,
}

/// Reads an `OPTIONS` file to its end and says where it is not what RocksDB writes. All damage
/// [`Starts`](Effect::Starts); a changed value is not found, for any value may be meant.
///
/// # Errors
/// When the storage fails, which says nothing about the file.
pub fn read_options(source: &dyn ReadAt) -> Result<OptionsSummary, io::Error> {
    let mut summary = OptionsSummary::default();
    let size = source.size();
    if size > MOST {
        let problem = format!("{size} bytes of options, more than {MOST} are not read");
        summary.checked.damages.push(damage(Effect::Unknown, "options", 0, problem));
        return Ok(summary);
    }
    let mut bytes = vec![0; usize::try_from(size).unwrap_or_default()];
    let count = source.read_at(0, &mut bytes)?;
    bytes.truncate(count);
    let mut parser = Parser { summary, section: Section::None, table_for: None };
    let mut at = 0_u64;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        parser.line(line, at);
        at = at.saturating_add(line.len() as u64);
    }
    parser.end(&bytes);
    Ok(parser.summary)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    None,
    Version,
    Database,
    ColumnFamily,
    Table,
}

struct Parser {
    summary: OptionsSummary,
    section: Section,
    /// The column family whose table options must come next.
    table_for: Option<String>,
}

impl Parser {
    fn wrong(&mut self, at: u64, problem: impl Into<String>) {
        collect(&mut self.summary.checked.damages, damage(Effect::Starts, "options", at, problem));
    }

    fn line(&mut self, line: &[u8], at: u64) {
        let Ok(text) = std::str::from_utf8(line) else {
            return self.wrong(at, "a line that is no text");
        };
        let text = text.strip_suffix('\n').unwrap_or(text);
        if text.chars().any(|c| c.is_control() && c != '\t') {
            return self.wrong(at, "a line with control characters");
        }
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            return;
        }
        if let Some(title) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
            return self.section(title, at);
        }
        match text.split_once('=') {
            Some((name, value)) if is_name(name.trim()) && self.section != Section::None => {
                self.setting(name.trim(), value.trim());
            }
            _ => self.wrong(at, "a line that is neither a section nor a setting"),
        }
    }

    fn section(&mut self, title: &str, at: u64) {
        let (title, argument) = match title.split_once('"') {
            Some((title, argument)) => (title.trim(), argument.strip_suffix('"').map(unescape)),
            None => (title, None),
        };
        let next = match (title, &argument) {
            ("Version", None) => Section::Version,
            ("DBOptions", None) => Section::Database,
            ("CFOptions", Some(_)) => Section::ColumnFamily,
            (title, Some(_)) if title.starts_with("TableOptions/") => Section::Table,
            _ => return self.wrong(at, "a section that no RocksDB writes"),
        };
        let fits = match (self.section, next) {
            (Section::None, Section::Version) | (Section::Version, Section::Database) => true,
            (Section::Database, Section::ColumnFamily) => argument.as_deref() == Some("default"),
            (Section::ColumnFamily, Section::Table) => self.table_for == argument,
            (Section::Table, Section::ColumnFamily) => true,
            _ => false,
        };
        if !fits {
            self.wrong(at, "a section is missing before this one");
        }
        if next == Section::ColumnFamily {
            self.table_for.clone_from(&argument);
            self.summary.column_families.extend(argument);
        }
        self.section = next;
    }

    fn setting(&mut self, name: &str, value: &str) {
        match (self.section, name) {
            (Section::Version, "rocksdb_version") => self.summary.rocksdb_version = Some(value.to_owned()),
            (Section::Table, "format_version") => {
                if let Ok(version) = value.parse()
                    && !self.summary.format_versions.contains(&version)
                    && self.summary.format_versions.len() < 100
                {
                    self.summary.format_versions.push(version);
                }
            }
            _ => {}
        }
    }

    fn end(&mut self, bytes: &[u8]) {
        // Every section ends with a line of two spaces, the last one too.
        if self.section != Section::Table || !bytes.ends_with(b"\n  \n") {
            self.wrong(bytes.len() as u64, "the file is cut short");
        }
    }
}

/// Names of settings are those of C++.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.:-".contains(c))
}

/// `UnescapeOptionString`.
fn unescape(text: &str) -> String {
    let mut chars = text.chars();
    let mut out = String::new();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => out.push('\n'),
                Some('r') => out.push('\r'),
                Some(c) => out.push(c),
                None => out.push('\\'),
            },
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "# This is a RocksDB option file.\n\n[Version]\n  rocksdb_version=8.10.0\n  \
        options_file_version=1.1\n\n[DBOptions]\n  max_open_files=-1\n  \n\n[CFOptions \"default\"]\n  \
        compression=kSnappyCompression\n  \n[TableOptions/BlockBasedTable \"default\"]\n  format_version=5\n  \n";

    fn read(text: &str) -> OptionsSummary {
        read_options(&text.as_bytes()).expect("memory")
    }

    #[test]
    fn options_say_who_wrote_them_and_for_what() {
        let options = read(SMALL);
        assert_eq!(options.checked, Checked::default());
        assert_eq!(options.rocksdb_version.as_deref(), Some("8.10.0"));
        assert_eq!((options.column_families, options.format_versions), (vec!["default".to_owned()], vec![5]));
    }

    #[test]
    fn every_cut_is_found() {
        for len in 0..SMALL.len() {
            let damages = read(&SMALL[..len]).checked.damages;
            assert!(!damages.is_empty(), "cut to {len}");
            assert!(damages.iter().all(|damage| damage.effect == Effect::Starts));
        }
    }

    #[test]
    fn a_line_that_is_no_setting_is_found() {
        let wrong = [SMALL.replace("max_open_files=", "max_open_files"), SMALL.replace("[DB", "DB")];
        for text in wrong {
            assert!(!read(&text).checked.damages.is_empty(), "{text}");
        }
    }
}
