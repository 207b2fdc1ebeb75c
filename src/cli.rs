//! The command line: arguments, settings, exit codes. One file per command below `cli/`.
//!
//! Words, exit codes and JSON are a contract with scripts: `docs/cli.md`.

mod bar;
mod cluster;
mod compat;
mod deep;
mod demo;
mod diagnose;
mod diff;
mod doctor;
mod files;
mod generate;
mod ha;
mod inspect;
mod keep;
mod latest;
mod list;
mod metrics;
mod pin;
mod promote;
mod prune;
mod refs;
mod repair;
mod safe;
mod seal;
mod streams;
mod uid;
mod undelete;
mod verify;

use crate::model::Location;
use crate::runtime::duration::parse_duration;
use crate::settings::{ConfigFile, Connector, Settings, SettingsError, Variables};
use crate::storage::{Remembered, Storage, StorageError, StorageErrorKind, Stores};
use crate::survey::resolve::{PathMap, PathMaps, absolute};
use crate::survey::{Catalog, Judge, SnapshotDir, inventory::Inventory};
use bar::Bar;
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{ArgAction, Args, CommandFactory, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use streams::Streams;

/// Inspect and verify Apache Flink checkpoints and savepoints, and pick the one to restart from; no JVM needed.
#[derive(Debug, Parser)]
#[command(name = "chkctl", version, max_term_width = 120, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done, nothing wrong; 1 done, with findings; 2 usage; 3 partly done; 4 refused by a guard;
5 no verdict (storage unreachable, permission denied, timed out); 130 interrupted.";

/// Options of every command.
#[derive(Debug, Args)]
pub struct Globals {
    /// Print one JSON object instead of text.
    #[arg(long, global = true)]
    json: bool,
    /// Say nothing on stderr but errors.
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Say more.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
    /// When to colour the output.
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto, value_name = "WHEN")]
    color: Colour,
    /// Draw no progress bar.
    #[arg(long, global = true)]
    no_progress: bool,
    /// Read references below FROM at TO: for trees that were copied or mounted elsewhere. May be given again.
    #[arg(long, global = true, value_name = "FROM=TO")]
    map: Vec<PathMap>,
    /// Read roots, maps and settings of stores from this TOML file (`roots = ["…"]`, `map = ["FROM=TO"]`, `[root.NAME]`, `[s3]`).
    #[arg(long, global = true, value_name = "FILE", env = "CHKCTL_CONFIG", hide_env_values = true)]
    config: Option<OsString>,
    /// Take settings of stores from the configuration of Flink in this directory, and roots when none are given.
    #[arg(long, global = true, value_name = "DIR", env = "FLINK_CONF_DIR", hide_env_values = true)]
    flink_conf: Option<OsString>,
    /// Give a call to a remote store up after this time, all its tries included (90s, 5min).
    #[arg(long, global = true, value_name = "TIME", default_value = "2min", value_parser = patience)]
    timeout: Duration,
}

/// How long to wait: some time, and not none.
fn patience(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text).map_err(|error| error.to_string())?;
    if time.is_zero() { Err("it has to be some time".to_owned()) } else { Ok(time) }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Colour {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::ListArgs),
    Latest(latest::LatestArgs),
    Inspect(inspect::InspectArgs),
    Files(files::FilesArgs),
    Refs(refs::RefsArgs),
    Diff(diff::DiffArgs),
    Verify(verify::VerifyArgs),
    Diagnose(diagnose::DiagnoseArgs),
    Ha(ha::HaArgs),
    Prune(Box<prune::PruneArgs>),
    Undelete(undelete::UndeleteArgs),
    Purge(undelete::PurgeArgs),
    SafeToDelete(safe::SafeArgs),
    Repair(repair::RepairArgs),
    Promote(promote::PromoteArgs),
    Seal(seal::SealArgs),
    Uid(uid::UidArgs),
    Pin(pin::PinArgs),
    Unpin(pin::UnpinArgs),
    Tag(pin::TagArgs),
    Doctor(doctor::DoctorArgs),
    Demo(demo::DemoArgs),
    Generate(generate::GenerateArgs),
}

/// How a run ended (`docs/cli.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Done, nothing wrong.
    Fine = 0,
    /// Done, with findings.
    Findings = 1,
    /// The command line made no sense.
    Usage = 2,
    /// Some of it was done, and some failed.
    Partly = 3,
    /// A guard refused: unsafe, a job is alive, the plan is stale, locked, an empty policy.
    Refused = 4,
    /// Something could not be judged.
    NoVerdict = 5,
    /// Ended by a signal.
    Interrupted = 130,
}

/// An error that ends a run, with the exit code for it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Failure {
    exit: Exit,
    message: String,
}

fn failure(exit: Exit, message: impl Into<String>) -> anyhow::Error {
    Failure { exit, message: message.into() }.into()
}

/// Parses the command line, runs the command and gives the exit status.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors to clap either.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Fine };
            return match error.print() {
                Ok(()) => ExitCode::from(exit as u8),
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::from(exit as u8),
                Err(_) => ExitCode::from(Exit::Usage as u8),
            };
        }
    };
    let session = Session::new(cli.globals, Streams::process());
    let exit = session.and_then(|mut session| cli.command.run(&mut session)).unwrap_or_else(|error| report(&error));
    ExitCode::from(exit as u8)
}

impl Command {
    fn run(&self, session: &mut Session) -> anyhow::Result<Exit> {
        let exit = match self {
            Command::List(args) => list::run(session, args),
            Command::Latest(args) => latest::run(session, args),
            Command::Inspect(args) => inspect::run(session, args),
            Command::Files(args) => files::run(session, args),
            Command::Refs(args) => refs::run(session, args),
            Command::Diff(args) => diff::run(session, args),
            Command::Verify(args) => verify::run(session, args),
            Command::Diagnose(args) => diagnose::run(session, args),
            Command::Ha(args) => ha::run(session, args),
            Command::Prune(args) => prune::run(session, args),
            Command::Undelete(args) => undelete::undelete(session, args),
            Command::Purge(args) => undelete::purge(session, args),
            Command::SafeToDelete(args) => safe::run(session, args),
            Command::Repair(args) => repair::run(session, args),
            Command::Promote(args) => promote::run(session, args),
            Command::Seal(args) => seal::run(session, args),
            Command::Uid(args) => uid::run(session, args),
            Command::Pin(args) => pin::pin(session, args),
            Command::Unpin(args) => pin::unpin(session, args),
            Command::Tag(args) => pin::tag_snapshots(session, args),
            Command::Doctor(args) => doctor::run(session, args),
            Command::Demo(args) => demo::run(session, args),
            Command::Generate(args) => generate::run(session, args),
        }?;
        session.flush()?;
        Ok(exit)
    }
}

/// Says what went wrong, and finds the exit code for it. A closed pipe is success: whoever reads had enough.
fn report(error: &anyhow::Error) -> Exit {
    let broken_pipe = |cause: &io::Error| cause.kind() == io::ErrorKind::BrokenPipe;
    if error.chain().filter_map(|cause| cause.downcast_ref()).any(broken_pipe) {
        return Exit::Fine;
    }
    let text = format!("{error:#}");
    let _ = writeln!(io::stderr(), "chkctl: {}", crate::render::Escaped(text));
    exit_code(error)
}

/// The exit code of a run that an error ended.
fn exit_code(error: &anyhow::Error) -> Exit {
    let failure = error.chain().find_map(|cause| cause.downcast_ref::<Failure>());
    failure.map_or(Exit::NoVerdict, |failure| failure.exit)
}

/// A path, unless it is empty: an empty variable of the environment counts as none.
fn set(path: &Option<OsString>) -> Option<&Path> {
    path.as_deref().filter(|path| !path.is_empty()).map(Path::new)
}

/// Takes the path of a file for other programs here, which a URI is not.
fn local_file() -> impl TypedValueParser<Value = OsString> {
    OsStringValueParser::new().try_map(|path| match path.to_string_lossy().contains("://") {
        true => Err("it is a URI, and not the path of a local file"),
        false => Ok(path),
    })
}

/// What a command works with: options, storage and the place its output goes.
struct Session {
    globals: Globals,
    settings: Arc<Settings>,
    storage: Stores,
    /// The same for commands and parts of them that only look: a listing is asked for once.
    seen: Remembered<Stores>,
    streams: Streams,
    colour: bool,
    /// How many of the maps are those of the configuration file; they come first.
    config_maps: usize,
}

impl Session {
    fn new(mut globals: Globals, streams: Streams) -> anyhow::Result<Self> {
        let config = set(&globals.config).map_or_else(|| Ok(ConfigFile::default()), ConfigFile::read).map_err(unset)?;
        // Of two maps of one place the last wins.
        let map = |text: &String| text.parse().map_err(|error: String| failure(Exit::Usage, error));
        let config_maps: Vec<PathMap> = config.maps.iter().map(map).collect::<anyhow::Result<_>>()?;
        let count = config_maps.len();
        globals.map.splice(..0, config_maps);
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colour = match globals.color {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => io::stdout().is_terminal() && !plain,
        };
        let settings = Arc::new(Settings::new(config, set(&globals.flink_conf), Variables::of_process()));
        let storage = Stores::new(Connector::new(Arc::clone(&settings), Some(globals.timeout)));
        let seen = Remembered::new(storage.clone());
        Ok(Session { globals, settings, storage, seen, streams, colour, config_maps: count })
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        Ok(self.streams.out().flush()?)
    }

    /// Data, for stdout.
    fn print(&mut self, text: &str) -> anyhow::Result<()> {
        Ok(self.streams.out().write_all(text.as_bytes())?)
    }

    /// One JSON object, for stdout.
    fn print_json(&mut self, value: &impl serde::Serialize) -> anyhow::Result<()> {
        serde_json::to_writer(self.streams.out(), value).map_err(io::Error::from)?;
        Ok(self.streams.out().write_all(b"\n")?)
    }

    /// Talk, for stderr.
    fn say(&self, text: impl std::fmt::Display) {
        if !self.globals.quiet {
            self.streams.say(crate::render::Escaped(text));
        }
    }

    /// What has to be said even where nothing else is, for stderr.
    fn warn(&self, text: impl std::fmt::Display) {
        self.streams.say(crate::render::Escaped(text));
    }

    fn bar(&self) -> Bar {
        Bar::new(!self.globals.quiet && !self.globals.no_progress && io::stderr().is_terminal())
    }

    fn bar_of_bytes(&self) -> Bar {
        Bar::of_bytes(!self.globals.quiet && !self.globals.no_progress && io::stderr().is_terminal())
    }

    fn maps(&self) -> PathMaps {
        PathMaps::new(self.globals.map.clone())
    }

    /// A judge of snapshots. `neighbours` are the other snapshots of the run.
    fn judge<'s>(&'s self, progress: &'s Bar, neighbours: &[SnapshotDir], keep_files: bool) -> Judge<'s> {
        let storage: &dyn Storage = &self.seen;
        let inventory = if neighbours.len() > 1 { Inventory::shared(storage) } else { Inventory::for_one(storage) };
        let neighbours = neighbours.iter().map(|snapshot| snapshot.dir.clone()).collect();
        Judge { inventory, maps: self.maps(), progress, neighbours, keep_files }
    }

    /// Whether neither a configuration file nor one of Flink's says where to look.
    fn names_no_roots(&self) -> bool {
        self.settings.config().roots.is_empty() && set(&self.globals.flink_conf).is_none()
    }

    /// The places to look at: those given, or the roots of the configuration file, or those of Flink's.
    fn roots(&self, given: &[String]) -> anyhow::Result<Vec<Location>> {
        let named = if given.is_empty() { &self.settings.config().roots } else { given };
        if !named.is_empty() {
            return named.iter().map(|text| self.place(text)).collect();
        }
        let Some(conf) = self.settings.flink().map_err(unset)? else {
            return Err(failure(
                Exit::Usage,
                "no ROOT given, and no --config, --flink-conf or FLINK_CONF_DIR to take one from",
            ));
        };
        let places = |root: Option<&str>| root.map(|text| self.place(text)).transpose();
        let (checkpoints, savepoints) = (places(conf.checkpoints())?, places(conf.savepoints())?);
        // A savepoint directory is made with the first savepoint. A checkpoint directory that is not there may be one
        // that is not mounted.
        let there = |place: &Location| {
            let missing = self.storage.stat(place).is_err_and(|error| error.is_not_found());
            if missing {
                self.say(format_args!("note: {place} is not there (yet)"));
            }
            !missing
        };
        let savepoints = savepoints.filter(|place| checkpoints.is_none() || there(place));
        let found: Vec<Location> = checkpoints.into_iter().chain(savepoints).collect();
        if found.is_empty() {
            let message = format!("{} names no checkpoint or savepoint directory", conf.file().display());
            return Err(failure(Exit::Usage, message));
        }
        Ok(found)
    }

    /// A place as it was given, by its name or as the configuration file names it, made absolute.
    fn given(&self, text: &str) -> anyhow::Result<Location> {
        let text = self.settings.config().named(text).map_err(unset)?;
        let place = Location::parse(&text).map_err(|error| failure(Exit::Usage, error.to_string()))?;
        Ok(absolute(&place))
    }

    /// Where to find a place that was given: where the maps put it, as a place may be named as handles name it; else
    /// there; else where the maps put it without the entropy marker of a Flink configuration.
    fn place(&self, text: &str) -> anyhow::Result<Location> {
        let place = self.given(text)?;
        let mapped = self.maps().here(&place);
        let mut candidates = vec![mapped.clone()];
        for other in [place, mapped.without_entropy_marker(), self.without_entropy_key(&mapped)] {
            if !candidates.contains(&other) {
                candidates.push(other);
            }
        }
        // A store is asked only where there is a choice.
        let nothing_at = |place: &Location| {
            let nothing = [StorageErrorKind::NotFound, StorageErrorKind::Unsupported];
            self.seen.stat(place).is_err_and(|error| nothing.contains(&error.kind))
        };
        let choice = candidates.len() > 1;
        Ok(candidates.into_iter().find(|place| !choice || !nothing_at(place)).unwrap_or(mapped))
    }

    /// A place without what Flink's configuration replaces by random characters.
    fn without_entropy_key(&self, place: &Location) -> Location {
        let key = if place.is_local() { None } else { self.settings.entropy_key().ok().flatten() };
        match key.filter(|key| !key.is_empty() && place.path().contains(key)) {
            Some(key) => Location::new(place.scheme(), place.authority(), &place.path().replace(key, "")),
            None => place.clone(),
        }
    }

    fn scan(&self, places: &[Location]) -> anyhow::Result<Catalog> {
        Catalog::scan(&self.seen, places).map_err(explain)
    }

    /// The one snapshot that a place names.
    fn snapshot(&self, text: &str) -> anyhow::Result<SnapshotDir> {
        self.snapshot_at(self.place(text)?)
    }

    /// The same for maps that say where things are going to be: what is there as it was given counts first, and where they
    /// lead to need not be reached.
    fn snapshot_as_given(&self, text: &str) -> anyhow::Result<SnapshotDir> {
        let place = self.given(text)?;
        self.snapshot_at(if self.seen.stat(&place).is_ok() { place } else { self.place(text)? })
    }

    fn snapshot_at(&self, place: Location) -> anyhow::Result<SnapshotDir> {
        let mut found = self.scan(std::slice::from_ref(&place))?.snapshots;
        match (found.pop(), found.is_empty()) {
            (Some(snapshot), true) if snapshot.dir == place || snapshot.metadata_file == place => Ok(snapshot),
            _ => {
                let message = format!("{place} is not a snapshot: it holds no _metadata (chkctl list looks below it)");
                Err(failure(Exit::Findings, message))
            }
        }
    }

    /// The bytes of a snapshot's `_metadata`.
    fn read_metadata(&self, snapshot: &SnapshotDir) -> anyhow::Result<Vec<u8>> {
        use crate::survey::catalog::SnapshotState;
        match &snapshot.state {
            SnapshotState::Incomplete { .. } => {
                Err(failure(Exit::Findings, format!("{} holds no _metadata", snapshot.dir)))
            }
            _ => {
                let read = self.storage.read(&snapshot.metadata_file, crate::survey::verify::METADATA_LIMIT);
                read.map_err(explain)
            }
        }
    }
}

/// Settings that are of no use, as the end of a run.
fn unset(error: SettingsError) -> anyhow::Error {
    let exit = if matches!(error, SettingsError::Wrong(_)) { Exit::Usage } else { Exit::NoVerdict };
    failure(exit, error.to_string())
}

/// A storage error as the end of a run.
fn explain(error: StorageError) -> anyhow::Error {
    let context = if error.is_not_found() { "nothing is there (is the storage mounted?)" } else { "it cannot be read" };
    anyhow::Error::from(error).context(context)
}

/// What a cluster could not be asked, as the end of a run.
fn explain_cluster(error: crate::cluster::ClusterError) -> anyhow::Error {
    failure(Exit::NoVerdict, format!("what is in use is not known: {error}"))
}

/// Decodes a `_metadata`, with the file and the exit code in the error.
fn decode<'m>(bytes: &'m [u8], snapshot: &SnapshotDir) -> anyhow::Result<crate::model::Metadata<'m>> {
    use crate::format::FormatError;
    crate::format::decode(bytes).map_err(|error| {
        let exit = if matches!(error, FormatError::TooNew(_)) { Exit::NoVerdict } else { Exit::Findings };
        failure(exit, format!("{}: {error}", snapshot.metadata_file))
    })
}

/// The help of every command, as the reference in `docs/cli.md` has it.
pub fn reference() -> String {
    let mut command = Cli::command().term_width(100);
    command.build();
    let mut text = String::new();
    for part in std::iter::once(&command).chain(command.get_subcommands()) {
        if part.get_name() == "help" {
            continue;
        }
        let name =
            if part.get_name() == "chkctl" { "chkctl".to_owned() } else { format!("chkctl {}", part.get_name()) };
        let help = part.clone().render_long_help().to_string();
        let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
        text.push_str(&format!("\n### {name}\n\n```\n{}\n```\n", lines.join("\n").trim_end()));
    }
    text
}
