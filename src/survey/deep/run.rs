//! Reading what a task names, with the reader for its content, and what follows from it for a restore.

use super::heads::{Difference, Head};
use super::source::Counted;
use super::task::{Content, Database, DatabaseFile, Found, Outcome, Task, Where, Work};
use crate::format::merged_channels;
use crate::model::{ChannelHandle, ChannelInfo, Checked, Damage, Effect, Location};
use crate::rocksdb;
use crate::state::check::{self, ChannelPart};
use crate::storage::{Storage, StorageError};
use crate::survey::finding::{Code, Severity};
use crate::wire::{Part, ReadAt};
use std::io;

/// More damage of one file is counted, not listed.
const LISTED: usize = 3;
/// A CURRENT file has a line of some twenty bytes.
const CURRENT_LIMIT: usize = 4096;

/// Where to read, and how long.
pub(super) struct Run<'r> {
    pub storage: &'r dyn Storage,
    pub counted: &'r Counted<'r>,
}

/// Why something was not read.
enum Stop {
    OutOfTime,
    Failed(StorageError),
    /// The bytes are not there, or the storage failed while they were read.
    Io(io::Error),
}

impl Run<'_> {
    /// Reads what a task names; `places` are where its files are read. `None` when the time was over before the end.
    pub fn run(&self, task: &Task<'_, '_>, places: &[Location]) -> Option<Outcome> {
        match &task.work {
            Work::Stream { place, content } => {
                let mut outcome = Outcome::default();
                let read = self.open(place, places.first(), |source| {
                    let (checked, head) = content.check(source)?;
                    outcome.head = head;
                    Ok(checked)
                });
                let path = place.file().map(Location::to_string);
                self.take(&mut outcome, path, None, read)?;
                Some(outcome)
            }
            Work::Database(database) => self.database(database, places),
        }
    }

    fn open<T>(
        &self,
        place: &Where<'_>,
        here: Option<&Location>,
        read: impl FnOnce(&dyn ReadAt) -> io::Result<T>,
    ) -> Result<T, Stop> {
        let read = match (place, here) {
            (Where::Inline(bytes), _) => read(&self.counted.source(&&**bytes)),
            (Where::File { .. }, Some(here)) => {
                let file = self.storage.open(here).map_err(Stop::Failed)?;
                read(&self.counted.source(&*file))
            }
            (Where::Segment { start, size, .. }, Some(here)) => {
                let file = self.storage.open(here).map_err(Stop::Failed)?;
                read(&Part::new(&self.counted.source(&*file), *start, *size))
            }
            (_, None) => Err(io::Error::from(io::ErrorKind::NotFound)),
        };
        read.map_err(|error| if self.counted.over() { Stop::OutOfTime } else { Stop::Io(error) })
    }

    /// Adds what one file has shown; `None` when the time was over.
    fn take(
        &self,
        outcome: &mut Outcome,
        path: Option<String>,
        local: Option<&str>,
        read: Result<Checked, Stop>,
    ) -> Option<()> {
        let found = |code, severity, message: String| Found {
            code,
            severity,
            path: path.clone(),
            local: local.map(str::to_owned),
            message,
        };
        let checked = match read {
            Ok(checked) => checked,
            Err(Stop::OutOfTime) => return None,
            Err(Stop::Failed(error)) if error.is_not_found() => {
                let message = "the file is not there".to_owned();
                outcome.found.push(found(Code::MissingFile, Severity::Error, message));
                return Some(());
            }
            Err(Stop::Failed(StorageError { message, .. })) => {
                let message = format!("the file could not be opened: {message}");
                outcome.found.push(found(Code::UnreadableFile, Severity::Unknown, message));
                return Some(());
            }
            Err(Stop::Io(error)) => {
                let message = format!("the file could not be read: {error}");
                outcome.found.push(found(Code::UnreadableFile, Severity::Unknown, message));
                return Some(());
            }
        };
        outcome.opaque.extend(checked.opaque);
        for effect in [Effect::Fails, Effect::Unknown, Effect::Starts] {
            let damages: Vec<&Damage> = checked.damages.iter().filter(|damage| damage.effect == effect).collect();
            for damage in damages.iter().take(LISTED) {
                outcome.found.push(found(code_of(effect), severity_of(effect), message(damage)));
            }
            if damages.len() > LISTED {
                let message = format!("and {} more places like that in this file", damages.len() - LISTED);
                outcome.found.push(found(code_of(effect), severity_of(effect), message));
            }
        }
        Some(())
    }

    /// CURRENT, the MANIFEST that it names, OPTIONS, and whether they fit to the files and states of the handle.
    fn database(&self, database: &Database<'_>, places: &[Location]) -> Option<Outcome> {
        let mut outcome = Outcome::default();
        let mut places = places.iter();
        // In the order of `Task::files`.
        let mut here = |place: &Where<'_>| place.file().and_then(|_| places.next());
        let meta = here(&database.meta);
        let files: Vec<Located<'_>> =
            database.files.iter().map(|file| Located { file, here: here(&file.place) }).collect();
        let mut current = None;
        for located in files.iter().filter(|located| located.file.name == "CURRENT") {
            let read = self.open(&located.file.place, located.here, read_current).map(|read| match read {
                Ok(name) => {
                    current = Some(name);
                    Checked::default()
                }
                Err(damage) => Checked { damages: vec![damage], ..Checked::default() },
            });
            self.take(&mut outcome, located.path(), Some("CURRENT"), read)?;
        }
        let is_manifest = |located: &&Located<'_>| located.file.name.starts_with("MANIFEST-");
        let named = files.iter().filter(is_manifest).find(|located| Some(&located.file.name) == current.as_ref());
        let mut manifest = None;
        if let Some(located) = named.or_else(|| files.iter().find(is_manifest)) {
            let read = self.open(&located.file.place, located.here, rocksdb::read_manifest).map(|read| {
                let checked = read.checked.clone();
                manifest = Some((read, &*located.file.name));
                checked
            });
            self.take(&mut outcome, located.path(), Some(&located.file.name), read)?;
        }
        for located in files.iter().filter(|located| located.file.name.starts_with("OPTIONS-")) {
            let read = self.open(&located.file.place, located.here, rocksdb::read_options).map(|read| read.checked);
            self.take(&mut outcome, located.path(), Some(&located.file.name), read)?;
        }
        let (Some(current), Some((manifest, name))) = (current, manifest) else { return Some(outcome) };
        let sizes: Vec<rocksdb::DatabaseFile<'_>> = files
            .iter()
            .map(|located| rocksdb::DatabaseFile { name: &located.file.name, size: self.size(located) })
            .collect();
        let mut faults = rocksdb::check_database(&manifest, name, &current, &sizes);
        // What is wrong with the description itself, or keeps it from being read, is said by the task that reads it.
        if let Ok(described) = self.open(&database.meta, meta, |source| check::database_meta(source, &|_| {}))
            && let Some(header) = described.header
        {
            let states: Vec<&str> = header.states.iter().map(|state| state.name.as_str()).collect();
            faults.extend(rocksdb::check_column_families(&manifest, name, &states));
        }
        outcome.found.extend(faults.into_iter().map(|fault| Found {
            code: Code::DatabaseMismatch,
            severity: severity_of(fault.effect),
            path: files.iter().find(|located| located.file.name == fault.file).and_then(Located::path),
            message: format!("{}{}", fault.problem, consequence(fault.effect)),
            local: Some(fault.file),
        }));
        Some(outcome)
    }

    /// The size of a file; `None` where that is not known.
    fn size(&self, located: &Located<'_>) -> Option<u64> {
        match located.file.place {
            Where::File { .. } => self.storage.stat(located.here?).ok().map(|stat| stat.size),
            Where::Inline(_) | Where::Segment { .. } => Some(located.file.place.size()),
        }
    }
}

/// A file of a database, and where to read it.
struct Located<'l> {
    file: &'l DatabaseFile<'l>,
    here: Option<&'l Location>,
}

impl Located<'_> {
    fn path(&self) -> Option<String> {
        self.file.place.file().map(Location::to_string)
    }
}

fn read_current(source: &dyn ReadAt) -> io::Result<Result<String, Damage>> {
    let mut bytes = vec![0; CURRENT_LIMIT];
    let count = source.read_at(0, &mut bytes)?;
    bytes.truncate(count);
    Ok(rocksdb::read_current(&bytes))
}

impl Content<'_, '_> {
    fn check(&self, source: &dyn ReadAt) -> io::Result<(Checked, Option<Head>)> {
        let silent = |_| {};
        let checked = match self {
            Content::Keyed { groups, max_parallelism } => {
                let read = check::keyed_stream(source, groups, *max_parallelism, &silent)?;
                return Ok((read.checked, read.header.as_ref().map(Head::of_keyed)));
            }
            Content::Operator(states) => {
                let read = check::operator_stream(source, states, &silent)?;
                return Ok((read.checked, read.header.as_ref().map(Head::of_operator)));
            }
            Content::DatabaseMeta => {
                let read = check::database_meta(source, &silent)?;
                return Ok((read.checked, read.header.as_ref().map(Head::of_keyed)));
            }
            Content::RawKeyed { groups, max_parallelism } => {
                match check::raw_timers(source, groups, *max_parallelism, &silent)? {
                    Some(checked) => checked,
                    None => pass(source)?,
                }
            }
            Content::Sst(_) => rocksdb::check_sst(source, &silent)?.checked,
            Content::Changes { offsets, firsts } => check::changes(source, offsets, firsts, &silent)?,
            Content::Channels(handles) => {
                let parts: Vec<ChannelPart<'_>> = handles.iter().flat_map(|handle| parts(handle)).collect();
                check::channel_state(source, &parts, &silent)?
            }
            Content::Opaque(_) => pass(source)?,
        };
        Ok((checked, None))
    }
}

/// What the head of one stream says against those of other subtasks.
pub(super) fn found(difference: &Difference, path: Option<String>) -> Found {
    let Difference { effect, problem, .. } = difference;
    let message = format!("head: {problem}{}", consequence(*effect));
    Found { code: code_of(*effect), severity: severity_of(*effect), path, local: None, message }
}

/// The channels of a handle. What cannot be taken apart is a finding already.
fn parts<'h>(handle: &'h ChannelHandle<'_>) -> Vec<ChannelPart<'h>> {
    match &handle.info {
        ChannelInfo::One { offsets, .. } => vec![ChannelPart { offsets: offsets.into(), size: handle.size }],
        ChannelInfo::Merged(packed) => {
            let channels = merged_channels(packed).unwrap_or_default().into_iter();
            channels.map(|channel| ChannelPart { offsets: channel.offsets.into(), size: channel.size }).collect()
        }
    }
}

/// Reads everything, to know that it can be read.
fn pass(source: &dyn ReadAt) -> io::Result<Checked> {
    let mut buffer = vec![0; 1 << 18];
    let mut offset = 0;
    loop {
        match source.read_at(offset, &mut buffer)? {
            0 => return Ok(Checked::default()),
            count => offset += count as u64,
        }
    }
}

fn code_of(effect: Effect) -> Code {
    match effect {
        Effect::Fails | Effect::Starts => Code::DamagedState,
        Effect::Unknown => Code::UnknownContent,
    }
}

fn severity_of(effect: Effect) -> Severity {
    match effect {
        Effect::Fails => Severity::Error,
        Effect::Unknown => Severity::Unknown,
        Effect::Starts => Severity::Warning,
    }
}

fn message(damage: &Damage) -> String {
    let Damage { effect, section, offset, problem } = damage;
    format!("{section}, byte {offset}: {problem}{}", consequence(*effect))
}

fn consequence(effect: Effect) -> &'static str {
    match effect {
        Effect::Fails => "; Flink's restore fails",
        Effect::Unknown => "",
        Effect::Starts => "; Flink would start",
    }
}
