//! Real Flink keeps its state in a real HDFS: chkctl sees, judges, prunes and promotes what it wrote, and Flink goes on from
//! what that leaves.

use crate::suite::flink::{Flink, with_flink_in};
use crate::suite::servers::hdfs::{Hdfs, with_hdfs};
use crate::suite::support::{Run, command};
use chkctl::model::Location;
use chkctl::storage::WriteStorage as _;
use std::fs;
use std::path::Path;

/// So that Flink discards no checkpoint itself.
const RETAINED: &str = "execution.checkpointing.num-retained=20";
/// Words for every run of the job: a database that is checkpointed incrementally, its files never in the `_metadata`.
const JOB: [&str; 6] = [
    "keys=60",
    "hold=180",
    "inline=0",
    "conf.state.backend.type=rocksdb",
    "conf.state.backend.rocksdb.memory.managed=false",
    "conf.execution.checkpointing.incremental=true",
];

#[test]
fn flink_2_3_and_chkctl_share_an_hdfs() {
    share("2.3.0");
}

#[test]
fn flink_1_20_and_chkctl_share_an_hdfs() {
    share("1.20.5");
}

fn share(release: &str) {
    with_hdfs(|hdfs, dir| {
        let logs = tempfile::tempdir().expect("a directory");
        let log = logs.path().join("log");
        let class_path = format!(":{}:{}", hdfs.facts["classpath"], hdfs.facts["conf"]);
        let variables = [
            ("CHKCTL_FLINK_CLASSPATH", class_path.as_str()),
            ("CHKCTL_FLINK_CONF", RETAINED),
            ("CHKCTL_FLINK_LOG", "INFO"),
            ("CHKCTL_FLINK_LOG_FILE", log.to_str().expect("UTF-8")),
            ("HADOOP_CONF_DIR", &hdfs.facts["conf"]),
        ];
        with_flink_in(release, &variables, |flink| {
            let written = Written { hdfs, dir };
            written.checkpoints(flink);
            written.savepoint(flink);
            written.a_missing_file(flink, &log);
            written.merged(flink);
        });
    });
}

/// What a run of Flink writes below a directory of an HDFS.
struct Written<'a> {
    hdfs: &'a Hdfs,
    dir: &'a Location,
}

impl Written<'_> {
    fn chkctl(&self, args: &[&str]) -> Run {
        let mut command = command();
        command.env("HADOOP_CONF_DIR", &self.hdfs.facts["conf"]).args(args);
        Run::of(command)
    }

    /// A run that ends well.
    fn done(&self, args: &[&str]) -> Run {
        let run = self.chkctl(args);
        assert_eq!(run.status, 0, "{args:?}: {}{}", run.stdout, run.stderr);
        run
    }

    fn at(&self, name: &str) -> String {
        self.dir.with_suffix(&format!("/{name}")).to_string()
    }

    /// Runs the job with some more words, and gives where its last snapshot is.
    fn run(&self, flink: &mut Flink, name: &str, more: &[&str]) -> String {
        let place = format!("dir={}", self.at(name));
        let words: Vec<&str> = [&["run", "pantry", &place], &JOB[..], more].concat();
        flink.expect(&words)["path"].as_str().expect("a path").to_owned()
    }

    /// Flink restores all state of a snapshot, and it is right by arithmetic.
    fn is_right(&self, flink: &mut Flink, snapshot: &str, more: &[&str]) {
        let words: Vec<&str> = [&["check", "pantry", snapshot, "timeout=60000"], &JOB[..], more].concat();
        let found = flink.ask(&words);
        assert_eq!(found["verdict"], "right", "{snapshot}: {found}");
    }

    fn checkpoints(&self, flink: &mut Flink) {
        let newest = self.run(flink, "job", &["rounds=4", "pause=300"]);
        assert!(newest.starts_with(&format!("hdfs://{}/", self.dir.authority().expect("a NameNode"))), "{newest}");
        let root = self.at("job");
        let listed = self.done(&["list", "--json", "--verify", &root]).json();
        let snapshots = listed["snapshots"].as_array().expect("snapshots");
        assert_eq!(snapshots.len(), 4, "{listed}");
        assert!(snapshots.iter().all(|snapshot| snapshot["verdict"] == "restorable"), "{listed}");
        assert_eq!(self.done(&["latest", &root]).stdout.trim(), newest);
        // The same through the default file system of the settings.
        let unnamed = format!(
            "hdfs://{}",
            newest
                .split_once("//")
                .and_then(|(_, rest)| rest.split_once('/'))
                .map(|(_, path)| format!("/{path}"))
                .expect("a path")
        );
        for args in [
            &["verify", &newest][..],
            &["verify", "--deep", &newest],
            &["verify", "--checksums", &newest],
            &["verify", &unnamed],
        ] {
            self.done(args);
        }

        let now = ["--keep-last", "2", "--grace", "0s", "--checkpoint-timeout", "0s", "--max-delete-percent", "100"];
        let pruned = self.done(&[&["prune", "--apply", "--json", &root], &now[..]].concat()).json();
        assert_eq!(pruned["totals"]["remove"], 2, "{pruned}");
        let listed = self.done(&["list", "--json", "--verify", &root]).json();
        let snapshots = listed["snapshots"].as_array().expect("snapshots");
        assert!(
            snapshots.len() == 2 && snapshots.iter().all(|snapshot| snapshot["verdict"] == "restorable"),
            "{listed}"
        );
        self.is_right(flink, &newest, &[]);

        let here = tempfile::tempdir().expect("a directory");
        let (there, here) = (self.at("copies/there"), here.path().join("here"));
        self.done(&["promote", &newest, &there]);
        self.done(&["promote", &newest, here.to_str().expect("UTF-8")]);
        // And back, from a local copy to HDFS.
        let back = self.at("copies/back");
        self.done(&["promote", here.to_str().expect("UTF-8"), &back]);
        self.hdfs.expect(&format!("dfs -rm -r -skipTrash {}/job", self.dir.path()));
        for copy in [there.as_str(), here.to_str().expect("UTF-8"), &back] {
            self.done(&["verify", "--deep", copy]);
            self.is_right(flink, copy, &[]);
        }
    }

    fn savepoint(&self, flink: &mut Flink) {
        for format in ["savepoint=canonical", "savepoint=native"] {
            let path = self.run(flink, format.trim_start_matches("savepoint="), &[format]);
            self.done(&["verify", "--deep", &path]);
        }
    }

    /// Flink's own words when a file is gone, and what chkctl makes of them.
    fn a_missing_file(&self, flink: &mut Flink, log: &Path) {
        // State on the heap: of tables that are fetched by several threads, one that fails closes the files of the others, and
        // Flink may tell of those.
        let words = ["keys=60", "hold=180", "inline=0", "par=1", "sources=1"];
        let place = format!("dir={}", self.at("lost"));
        let path = flink.expect(&[&["run", "pantry", &place], &words[..]].concat())["path"]
            .as_str()
            .expect("a path")
            .to_owned();
        let storage = self.hdfs.storage();
        let root = Location::parse(&self.at("lost")).expect("a place");
        let files = self.done(&["files", "--json", &path]).json();
        let lost = files["files"].as_array().expect("files").iter().find_map(|file| {
            let path = file["path"].as_str()?;
            (!path.ends_with("/_metadata")).then(|| path.to_owned())
        });
        let lost = Location::parse(&lost.expect("a state file")).expect("a place");
        assert_eq!(storage.delete(&lost), Ok(true));
        assert_eq!(self.chkctl(&["verify", &path]).status, 1);

        let before = fs::metadata(log).expect("a log").len() as usize;
        let answer = flink.ask(&[&["check", "pantry", &path, "timeout=60000"], &words[..]].concat());
        assert_eq!(answer["verdict"], "fails", "{answer}");
        assert!(answer["why"].as_str().expect("why").contains("FileNotFoundException"), "{answer}");
        let told = String::from_utf8_lossy(&fs::read(log).expect("a log")[before..]).into_owned();
        assert!(told.contains("File does not exist: /"), "the words of HDFS");
        let part = log.with_file_name("part");
        fs::write(&part, told).expect("written");
        let found = self.chkctl(&["diagnose", "--json", part.to_str().expect("UTF-8"), "--root", &root.to_string()]);
        let report = found.json();
        let diagnosis = &report["diagnoses"][0];
        assert_eq!(diagnosis["id"], "state-file-missing", "{report}");
        // The NameNode names the file by its path alone; that of the snapshot says where that is.
        assert_eq!(diagnosis["facts"]["file"], lost.to_string(), "{report}");
        assert_eq!(report["look"]["named"]["verdict"], "broken", "{report}");
        let command = report["command"].as_str().expect("a command");
        assert!(command.ends_with(&root.to_string()), "{command}");
    }

    /// Flink merges state into files that it keeps open, and a NameNode does not know how large those are. Such a snapshot is
    /// not taken for broken; and when the files are closed, it is whole.
    fn merged(&self, flink: &mut Flink) {
        let merged = [
            "conf.execution.checkpointing.file-merging.enabled=true",
            "conf.execution.checkpointing.file-merging.across-checkpoint-boundary=true",
        ];
        let path = self.run(flink, "merged", &[&merged[..], &["rounds=2"]].concat());
        let verified = self.chkctl(&["verify", &path]);
        assert_eq!(verified.status, 5, "{}{}", verified.stdout, verified.stderr);
        assert!(verified.stdout.contains("open for writing"), "{}", verified.stdout);
        self.is_right(flink, &path, &merged);
    }
}
