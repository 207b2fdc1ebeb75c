//! A real HDFS for tests, which `tests/servers/hdfs.sh` starts; the head of that script says what it understands.
//!
//! One serves all tests, each in a directory of its own, and ends with this process. Where Java or the parts of HDFS are
//! missing, a test says so and passes; in CI it fails.

use chkctl::model::Location;
use chkctl::storage::hdfs::HdfsStorage;
use chkctl::storage::remote::{Limits, Remote};
use chkctl::storage::settings::{Setting, StoreSettings};
use chkctl::storage::{WriteStorage as _, random_uuid};
use std::collections::HashMap;
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};

/// What `hdfs.sh` exits with where something is missing that it needs.
const MISSING: i32 = 3;

/// A running HDFS.
pub struct Hdfs {
    process: Child,
    /// Its commands are answered one after the other.
    talk: Mutex<Option<(ChildStdin, BufReader<ChildStdout>)>>,
    /// What it says of itself.
    pub facts: HashMap<String, String>,
}

/// Runs a test with the HDFS that all share, in a new directory there, or says that it is skipped and why.
pub fn with_hdfs(test: impl FnOnce(&Hdfs, &Location)) {
    static SHARED: LazyLock<Option<Hdfs>> = LazyLock::new(|| start("simple", &[]));
    match &*SHARED {
        Some(hdfs) => {
            let dir = hdfs.fresh();
            test(hdfs, &dir);
        }
        None => assert!(env::var_os("CI").is_none(), "HDFS is missing: see above"),
    }
}

/// Runs a test with an HDFS of its own, where `CHKCTL_TEST_SERVERS` asks for one of this mode.
pub fn with_own_hdfs(mode: &str, conf: &[&str], test: impl FnOnce(&Hdfs)) {
    let wanted = env::var("CHKCTL_TEST_SERVERS").unwrap_or_default();
    if !wanted.split_whitespace().any(|server| server == format!("hdfs-{mode}")) {
        return;
    }
    let hdfs = start(mode, conf).unwrap_or_else(|| panic!("HDFS is missing: see above"));
    test(&hdfs);
}

fn start(mode: &str, conf: &[&str]) -> Option<Hdfs> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/hdfs.sh");
    let mut command = Command::new("bash");
    command.arg(script).args(["serve", mode]).args(conf).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = command.spawn().expect("bash");
    let commands = process.stdin.take().expect("stdin");
    let mut answers = BufReader::new(process.stdout.take().expect("stdout"));
    let mut facts = HashMap::new();
    loop {
        let mut line = String::new();
        answers.read_line(&mut line).expect("UTF-8");
        match line.trim_end() {
            "" => {
                let status = process.wait().expect("an exit status");
                assert_eq!(status.code(), Some(MISSING), "hdfs.sh serve {mode} did not start");
                // Not eprintln!: the test harness shows that of failed tests only.
                let _ = writeln!(std::io::stderr(), "SKIPPED: tests with HDFS; hdfs.sh says above what is missing");
                return None;
            }
            "ready" => return Some(Hdfs { process, talk: Mutex::new(Some((commands, answers))), facts }),
            fact => {
                let (name, value) = fact.split_once('=').expect("KEY=VALUE");
                facts.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

impl Hdfs {
    /// Where it is, such as `hdfs://127.0.0.1:1234`.
    pub fn url(&self) -> &str {
        &self.facts["url"]
    }

    /// A place there.
    pub fn place(&self, path: &str) -> Location {
        Location::parse(&format!("{}{path}", self.url())).expect("a place")
    }

    /// A directory that no other test has.
    fn fresh(&self) -> Location {
        let dir = self.place(&format!("/test/{}", random_uuid()));
        self.storage().create_dirs(&dir).expect("a directory");
        dir
    }

    /// What its configuration says.
    pub fn settings(&self) -> StoreSettings {
        let mut settings = StoreSettings::default();
        for file in ["core-site.xml", "hdfs-site.xml"] {
            let text = std::fs::read_to_string(Path::new(&self.facts["conf"]).join(file)).expect("its configuration");
            // hdfs.sh writes one property a line.
            for line in text.lines() {
                let between = |from: &str, to: &str| Some(line.split_once(from)?.1.split_once(to)?.0.to_owned());
                if let (Some(name), Some(value)) = (between("<name>", "</name>"), between("<value>", "</value>")) {
                    settings.add(name, Setting::new(value, file));
                }
            }
        }
        settings
    }

    /// It as a store.
    pub fn storage(&self) -> HdfsStorage {
        self.storage_with(Limits::default(), self.settings())
    }

    /// It as a store, as another user.
    pub fn storage_of(&self, user: &str) -> HdfsStorage {
        let mut settings = self.settings();
        settings.add("hadoop.user.name", Setting::new(user, "a test"));
        self.storage_with(Limits::default(), settings)
    }

    pub fn storage_with(&self, limits: Limits, settings: StoreSettings) -> HdfsStorage {
        let remote = Remote::new(limits).expect("a runtime");
        HdfsStorage::open(remote, &self.place("/"), &settings).expect("a store")
    }

    /// Gives a command, and takes the lines of its answer, the last of them `ok` or `exit STATUS`.
    pub fn ask(&self, command: &str) -> Vec<String> {
        let mut talk = self.talk.lock().unwrap_or_else(PoisonError::into_inner);
        let (commands, answers) = talk.as_mut().expect("a running server");
        writeln!(commands, "{command}").expect("the script listens");
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            let count = answers.read_line(&mut line).expect("UTF-8");
            assert!(count > 0, "hdfs.sh ended at {command}: {lines:?}");
            let line = line.trim_end().to_owned();
            let last = line == "ok" || line.starts_with("exit ");
            lines.push(line);
            if last {
                return lines;
            }
        }
    }

    /// Gives a command that must not fail.
    pub fn expect(&self, command: &str) -> Vec<String> {
        let mut lines = self.ask(command);
        let last = lines.pop();
        assert!(matches!(last.as_deref(), Some("ok" | "exit 0")), "{command}: {lines:?}");
        lines
    }
}

impl Drop for Hdfs {
    fn drop(&mut self) {
        // It ends with its stdin.
        self.talk.lock().unwrap_or_else(PoisonError::into_inner).take();
        let _ = self.process.wait();
    }
}
