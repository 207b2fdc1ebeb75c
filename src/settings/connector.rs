//! Makes the back end of a remote place, with the settings that are for it.

use super::{Service, Settings};
use crate::model::Location;
use crate::storage::{Connect, LocalOnly, StorageError, StorageErrorKind, WriteStorage};
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "hdfs")]
use crate::storage::hdfs::HdfsStorage;
#[cfg(any(feature = "hdfs", feature = "object-stores"))]
use crate::storage::{
    remote::{Limits, Remote},
    settings::StoreSettings,
};
#[cfg(any(feature = "hdfs", feature = "object-stores"))]
use std::sync::OnceLock;

/// Picks the back end of a place by its scheme. All of them share one runtime, and one bound on the calls under way.
pub struct Connector {
    #[cfg_attr(
        not(any(feature = "hdfs", feature = "object-stores")),
        expect(dead_code, reason = "nothing is connected")
    )]
    settings: Arc<Settings>,
    #[cfg_attr(
        not(any(feature = "hdfs", feature = "object-stores")),
        expect(dead_code, reason = "nothing is connected")
    )]
    timeout: Option<Duration>,
    #[cfg(any(feature = "hdfs", feature = "object-stores"))]
    remote: OnceLock<Result<Remote, String>>,
}

/// The default of how long a call to a remote store may take, with all its tries.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(120);

impl Connector {
    /// A connector with these settings. `timeout` is how long a call to a remote store may take with all its tries, where it
    /// is not [`DEFAULT_TIMEOUT`].
    pub fn new(settings: Arc<Settings>, timeout: Option<Duration>) -> Self {
        Connector {
            settings,
            timeout,
            #[cfg(any(feature = "hdfs", feature = "object-stores"))]
            remote: OnceLock::new(),
        }
    }
}

impl Connect for Connector {
    fn connect(&self, place: &Location) -> Result<Arc<dyn WriteStorage>, StorageError> {
        match Service::of(place) {
            None => LocalOnly.connect(place),
            #[cfg(feature = "hdfs")]
            Some(Service::Hdfs) => hdfs(self.remote(place)?, place, &self.settings_of(place)?),
            #[cfg(not(feature = "hdfs"))]
            Some(Service::Hdfs) => Err(not_built(place, "hdfs")),
            #[cfg(feature = "object-stores")]
            Some(_) => objects(self.remote(place)?, place, &self.settings_of(place)?),
            #[cfg(not(feature = "object-stores"))]
            Some(_) => Err(not_built(place, "object-stores")),
        }
    }
}

#[cfg(any(feature = "hdfs", feature = "object-stores"))]
impl Connector {
    fn settings_of(&self, place: &Location) -> Result<StoreSettings, StorageError> {
        let wrong = |error: super::SettingsError| StorageError::new(StorageErrorKind::Other, place, error.to_string());
        self.settings.of(place).map_err(wrong)
    }

    fn remote(&self, place: &Location) -> Result<Remote, StorageError> {
        let new = || Remote::new(limits(self.timeout)).map_err(|error| error.to_string());
        let wrong = |why: String| StorageError::new(StorageErrorKind::Other, place, format!("no threads: {why}"));
        self.remote.get_or_init(new).clone().map_err(wrong)
    }
}

/// How patient the back ends are, where a call may take this long.
#[cfg(any(feature = "hdfs", feature = "object-stores"))]
fn limits(timeout: Option<Duration>) -> Limits {
    let limits = Limits { total: DEFAULT_TIMEOUT, ..Limits::default() };
    match timeout {
        // One try of several: what is frozen is tried again before the time is over.
        Some(total) => Limits { total, call: limits.call.min(total), ..limits },
        None => limits,
    }
}

#[cfg(feature = "hdfs")]
fn hdfs(remote: Remote, place: &Location, settings: &StoreSettings) -> Result<Arc<dyn WriteStorage>, StorageError> {
    Ok(Arc::new(HdfsStorage::open(remote, place, settings)?))
}

#[cfg(feature = "object-stores")]
fn objects(_: Remote, place: &Location, _: &StoreSettings) -> Result<Arc<dyn WriteStorage>, StorageError> {
    Err(not_built(place, "object-stores"))
}

/// The error of a place whose back end is left out of this build.
fn not_built(place: &Location, feature: &str) -> StorageError {
    let scheme = place.scheme().unwrap_or("file");
    let message = format!(
        "this build of chkctl does not read {scheme}: locations (cargo feature {feature}); --map reads a local copy instead"
    );
    StorageError::new(StorageErrorKind::Unsupported, place, message)
}
