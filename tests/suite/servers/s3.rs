//! Real storage servers for tests, which the scripts in `tests/servers` start; their heads say what they understand.
//!
//! One server of a kind serves all tests, each in a directory of its own, and ends with this process. Where it is missing,
//! a test says so and passes; in CI it fails.

use chkctl::model::Location;
use chkctl::storage::objects::ObjectStorage;
use chkctl::storage::remote::{Limits, Remote};
use chkctl::storage::settings::{Setting, StoreSettings, names};
use serde::Deserialize;
use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// What the scripts exit with where something is missing that they need.
const MISSING: i32 = 3;

/// An S3 server.
#[derive(Debug, Clone, Deserialize)]
pub struct S3 {
    /// Its URL.
    pub endpoint: String,
    /// The bucket that is there for tests.
    pub bucket: String,
    access: String,
    secret: String,
}

/// Runs a test with an S3 server that keeps its word, or says that it is skipped and why. `CHKCTL_TEST_S3` may name another
/// kind than RadosGW.
pub fn with_s3(test: impl FnOnce(&S3)) {
    static SERVER: OnceLock<Option<(Server, S3)>> = OnceLock::new();
    let kind = env::var("CHKCTL_TEST_S3").unwrap_or_else(|_| "rgw".to_owned());
    match SERVER.get_or_init(|| start("s3.sh", &kind)) {
        Some((_, s3)) => test(s3),
        None => assert!(env::var_os("CI").is_none(), "the S3 server {kind} is missing: see above"),
    }
}

/// An emulator of Azure's blob storage.
#[derive(Debug, Clone, Deserialize)]
pub struct Azure {
    endpoint: String,
    account: String,
    key: String,
    container: String,
}

/// Runs a test with Azurite, or says that it is skipped and why.
pub fn with_azure(test: impl FnOnce(&Azure)) {
    match start::<Azure>("azure.sh", "azurite") {
        Some((_server, azure)) => test(&azure),
        None => assert!(env::var_os("CI").is_none(), "Azurite is missing: see above"),
    }
}

impl Azure {
    /// A client of a container, and the root of that; of the one that is there unless told otherwise.
    pub fn store(&self, container: Option<&str>) -> (ObjectStorage, Location) {
        let mut settings = StoreSettings::default();
        settings.add(names::ENDPOINT, Setting::new(&self.endpoint, "the test"));
        settings.add(names::ACCOUNT_KEY, Setting::secret(&self.key, "the test"));
        let container = container.unwrap_or(&self.container);
        let authority = format!("{container}@{}.blob.core.windows.net", self.account);
        let place = Location::new(Some("wasbs"), Some(&authority), "/");
        let remote = Remote::new(Limits::default()).expect("a runtime");
        (ObjectStorage::open(remote, &place, &settings).expect("settings"), place)
    }
}

/// A server, which ends when this does.
struct Server {
    _process: Child,
}

fn start<T: for<'de> Deserialize<'de>>(script: &str, kind: &str) -> Option<(Server, T)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers").join(script);
    let mut command = Command::new("bash");
    command.arg(path).args(["run", kind]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = command.spawn().expect("bash");
    let mut line = String::new();
    BufReader::new(process.stdout.take().expect("stdout")).read_line(&mut line).expect("UTF-8");
    if !line.is_empty() {
        let server = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
        return Some((Server { _process: process }, server));
    }
    let status = process.wait().expect("an exit status");
    assert_eq!(status.code(), Some(MISSING), "{script} run {kind} did not start");
    // Not eprintln!: the test harness shows that of failed tests only.
    let _ = writeln!(std::io::stderr(), "SKIPPED: tests with {kind}; {script} says above what is missing");
    None
}

impl S3 {
    /// A directory of the bucket that nobody else has.
    pub fn dir(&self, name: &str) -> Location {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Location::new(Some("s3"), Some(&self.bucket), &format!("/{name}-{}-{number}", std::process::id()))
    }

    /// What a client of it has to be told, of which some may be different.
    pub fn settings(&self, different: &[(&str, &str)]) -> StoreSettings {
        let mut settings = StoreSettings::default();
        for (name, value) in different {
            settings.add(*name, Setting::new(*value, "the test"));
        }
        settings.add(names::ENDPOINT, Setting::new(&self.endpoint, "the test"));
        settings.add(names::REGION, Setting::new("us-east-1", "the test"));
        settings.add(names::PATH_STYLE, Setting::new("true", "the test"));
        settings.add(names::ACCESS_KEY, Setting::new(&self.access, "the test"));
        settings.add(names::SECRET_KEY, Setting::secret(&self.secret, "the test"));
        settings
    }

    /// What the environment of chkctl has to be.
    pub fn environment(&self) -> [(&str, &str); 4] {
        [
            ("AWS_ENDPOINT_URL", &self.endpoint),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", &self.access),
            ("AWS_SECRET_ACCESS_KEY", &self.secret),
        ]
    }

    /// A client of it.
    pub fn store(&self) -> ObjectStorage {
        self.store_with(Limits::default(), &[])
    }

    /// A client of it that is as patient as it is told.
    pub fn store_with(&self, limits: Limits, different: &[(&str, &str)]) -> ObjectStorage {
        let place = Location::new(Some("s3"), Some(&self.bucket), "/");
        let remote = Remote::new(limits).expect("a runtime");
        ObjectStorage::open(remote, &place, &self.settings(different)).expect("settings")
    }
}
