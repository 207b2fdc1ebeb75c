//! `doctor`: which back end reads a place, with which settings, and what the store can do.

use super::Escaped;
use super::report::{plain_table, table_text};
use comfy_table::Cell;
use serde::Serialize;
use std::fmt::Write as _;

/// What was found out about a place. It is the object in `places` of `doctor --json` too.
#[derive(Debug, Default, Serialize)]
pub struct Examined {
    /// The place as it was given, or as the configuration file names it.
    pub path: String,
    /// What reads it, in words.
    pub back_end: String,
    /// Files that settings were read from.
    pub files: Vec<String>,
    /// The settings of the store.
    pub settings: Vec<Shown>,
    /// What was looked at, in this order.
    pub checks: Vec<Check>,
}

/// A setting as it may be seen.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// What the back end calls it.
    pub name: String,
    /// The value; none where it is a secret.
    pub value: Option<String>,
    /// Whether it is a secret.
    pub secret: bool,
    /// Where it is from.
    pub origin: String,
    /// Whether it is shown without being asked for.
    #[serde(skip)]
    pub main: bool,
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Came {
    /// As it should.
    Ok,
    /// It is known, and it is not as it should be.
    Wrong,
    /// It could not be found out: no answer, or no permission.
    Unknown,
    /// It was not looked at.
    Skipped,
}

/// Something that was looked at.
#[derive(Debug, Serialize)]
pub struct Check {
    /// What it is called.
    pub check: &'static str,
    /// How it came out.
    pub result: Came,
    /// In words.
    pub message: String,
}

/// The object that `doctor --json` prints.
#[derive(Debug, Serialize)]
pub struct DoctorJson<'e> {
    /// All places.
    pub places: &'e [Examined],
}

impl Came {
    fn word(self) -> &'static str {
        match self {
            Came::Ok => "ok",
            Came::Wrong => "WRONG",
            Came::Unknown => "UNKNOWN",
            Came::Skipped => "-",
        }
    }
}

/// What was found out about a place, for people; with all settings, or those that matter most.
pub fn text(examined: &Examined, all: bool, colour: bool) -> String {
    let mut text = format!("{}: {}\n", Escaped(&examined.path), Escaped(&examined.back_end));
    for file in &examined.files {
        let _ = writeln!(text, "  reads {}", Escaped(file));
    }
    let (shown, more): (Vec<&Shown>, Vec<&Shown>) = examined.settings.iter().partition(|setting| all || setting.main);
    if !shown.is_empty() {
        text.push('\n');
        let mut table = plain_table(&["SETTING", "VALUE", "FROM"], colour);
        for setting in shown {
            let value = setting.value.as_deref().unwrap_or("(secret)");
            table.add_row([&setting.name, value, &setting.origin].map(|cell| Cell::new(Escaped(cell))));
        }
        text.push_str(&table_text(&table));
    }
    if !more.is_empty() {
        let _ = writeln!(text, "and {} more (-v)", more.len());
    }
    text.push('\n');
    let mut table = plain_table(&["CHECK", "RESULT", "WHAT"], colour);
    for check in &examined.checks {
        table.add_row([check.check, check.result.word(), &check.message].map(|cell| Cell::new(Escaped(cell))));
    }
    text.push_str(&table_text(&table));
    text
}
