//! HDFS with two NameNodes, and with Kerberos. They take a while to start, so that they run where `CHKCTL_TEST_SERVERS` asks
//! for them (`tests/servers/README.md`).

use crate::suite::servers::hdfs::{Hdfs, with_own_hdfs};
use crate::suite::support::{Case, Run, command};
use chkctl::storage::remote::Limits;
use chkctl::storage::{Storage as _, StorageError, StorageErrorKind, WriteStorage as _};
use std::fs;
use std::time::{Duration, Instant};

/// A snapshot of the corpus.
const CASE: &str = "wc-claim-1.20.5";

fn limits() -> Limits {
    Limits {
        call: Duration::from_secs(3),
        total: Duration::from_secs(20),
        tries: 6,
        pause: Duration::from_millis(100),
        at_once: 8,
    }
}

/// What `chkctl` says with this configuration of Hadoop.
fn chkctl(hdfs: &Hdfs, variables: &[(&str, &str)], args: &[&str]) -> Run {
    let mut command = command();
    command.env("HADOOP_CONF_DIR", &hdfs.facts["conf"]).envs(variables.iter().copied()).args(args);
    Run::of(command)
}

/// Puts snapshots of real Flink there, and gives how they are asked for.
fn put_case(hdfs: &Hdfs, dir: &str) -> (String, String) {
    let case = Case::named(CASE);
    let tree = case.tree();
    hdfs.expect(&format!("dfs -mkdir -p {dir}"));
    hdfs.expect(&format!("dfs -put {} {dir}/", tree.display()));
    let root = hdfs.place(&format!("{dir}/{CASE}")).to_string();
    (format!("--map=/opt/flink/checkpoints/{CASE}={root}"), root)
}

/// An answer that may be another one later.
fn passes<T: std::fmt::Debug>(answer: Result<T, StorageError>) {
    assert_eq!(answer.expect_err("a failure").kind, StorageErrorKind::Transient);
}

/// Verdicts by snapshot, without their place.
fn verdicts(run: &Run, root: &str) -> Vec<(String, String)> {
    let report = run.json();
    let snapshots = report["snapshots"].as_array().unwrap_or_else(|| panic!("{report}")).clone();
    let text = |snapshot: &serde_json::Value, key: &str| snapshot[key].as_str().unwrap_or_default().to_owned();
    let mut all: Vec<_> = snapshots.iter().map(|s| (text(s, "path").replace(root, ""), text(s, "verdict"))).collect();
    all.sort();
    all
}

#[test]
fn a_frozen_name_node_is_left_for_the_one_that_takes_over() {
    with_own_hdfs("ha", &[], |hdfs| {
        let storage = hdfs.storage_with(limits(), hdfs.settings());
        let dir = hdfs.place("/ha");
        storage.create_dirs(&dir).expect("a directory");
        let (map, root) = put_case(hdfs, "/ha");
        let before = chkctl(hdfs, &[], &["list", "--json", "--verify", &map, &root]);
        let wanted = verdicts(&before, &root);
        assert!(!wanted.is_empty() && wanted.iter().any(|(_, verdict)| verdict == "restorable"), "{wanted:?}");
        let file = dir.with_suffix("/file");
        storage.publish(&file, b"before").expect("published");

        hdfs.expect("stop nn1");
        let start = Instant::now();
        assert_eq!(storage.stat(&file).map_err(|e| e.kind), Err(StorageErrorKind::Transient), "nobody is active");
        assert_eq!(storage.delete(&file).map_err(|e| e.kind), Err(StorageErrorKind::Transient));
        eprintln!("two calls without an active NameNode: {:?}", start.elapsed());
        let unknown = chkctl(hdfs, &[], &["list", "--timeout=8s", "--json", "--verify", &map, &root]);
        assert_eq!(unknown.status, 5, "{}{}", unknown.stdout, unknown.stderr);

        let failed_over = hdfs.ask("haadmin -failover --forcefence --forceactive nn1 nn2");
        eprintln!("{failed_over:?}");
        let start = Instant::now();
        assert_eq!(storage.read(&file, 99), Ok(b"before".to_vec()), "of a store that knew the other one");
        eprintln!("first answer after the failover: {:?}", start.elapsed());
        let other = hdfs.storage_with(limits(), hdfs.settings());
        let start = Instant::now();
        assert_eq!(other.read(&file, 99), Ok(b"before".to_vec()), "of a store that asks for the first time");
        eprintln!("first answer of a new store, the frozen one listed first: {:?}", start.elapsed());
        other.replace(&file, b"after").expect("replaced");
        assert_eq!(storage.read(&file, 99), Ok(b"after".to_vec()));
        let start = Instant::now();
        let after = chkctl(hdfs, &[], &["list", "--json", "--verify", &map, &root]);
        eprintln!("list after the failover: {:?}", start.elapsed());
        assert_eq!((verdicts(&after, &root), after.status), (wanted, before.status));
    });
}

#[test]
fn kerberos_takes_a_ticket_or_a_keytab_and_without_them_nothing_is_missing() {
    with_own_hdfs("kerberos", &[], |hdfs| {
        let (map, root) = put_case(hdfs, "/flink");
        let krb5 = ("KRB5_CONFIG", hdfs.facts["krb5"].as_str());
        let list = ["list", "--json", "--verify", &map, &root];
        let by_ticket = chkctl(hdfs, &[krb5, ("KRB5CCNAME", &hdfs.facts["cache"])], &list);
        let wanted = verdicts(&by_ticket, &root);
        assert!(wanted.iter().any(|(_, verdict)| verdict == "restorable"), "{}{}", by_ticket.stdout, by_ticket.stderr);

        let conf = tempfile::tempdir().expect("a directory");
        let login = format!(
            "security.kerberos.login.principal: flink@CHKCTL.TEST\nsecurity.kerberos.login.keytab: {}\n",
            hdfs.facts["keytab"]
        );
        fs::write(conf.path().join("flink-conf.yaml"), login).expect("written");
        let conf_dir = conf.path().to_str().expect("UTF-8");
        let nobody = ("KRB5CCNAME", "FILE:/nonexistent/cache");
        let by_keytab = chkctl(hdfs, &[krb5, nobody, ("FLINK_CONF_DIR", conf_dir)], &list);
        assert_eq!(verdicts(&by_keytab, &root), wanted, "{}", by_keytab.stderr);

        let start = Instant::now();
        let denied = chkctl(hdfs, &[krb5, nobody], &list);
        eprintln!("without a ticket after {:?}: {}{}", start.elapsed(), denied.stdout, denied.stderr);
        assert_eq!(denied.status, 5, "{}{}", denied.stdout, denied.stderr);

        // Writing, with tokens for blocks and SASL on the way to the DataNode.
        let dest = format!("{root}-copy");
        let newest = wanted.iter().rev().find(|(_, verdict)| verdict == "restorable").expect("one");
        let source = format!("{root}{}", newest.0);
        let ticket = [krb5, ("KRB5CCNAME", hdfs.facts["cache"].as_str())];
        let promoted = chkctl(hdfs, &ticket, &["promote", &map, &source, &dest]);
        assert_eq!(promoted.status, 0, "{}{}", promoted.stdout, promoted.stderr);
        assert_eq!(chkctl(hdfs, &ticket, &["verify", "--deep", &dest]).status, 0);
    });
}

#[test]
fn safe_mode_and_a_frozen_data_node_or_name_node_pass() {
    with_own_hdfs("simple", &[], |hdfs| {
        let storage = hdfs.storage_with(limits(), hdfs.settings());
        let dir = hdfs.place("/faults");
        storage.create_dirs(&dir).expect("a directory");
        let file = dir.with_suffix("/file");
        storage.publish(&file, b"content").expect("published");

        hdfs.expect("dfsadmin -safemode enter");
        assert_eq!(storage.read(&file, 99), Ok(b"content".to_vec()));
        passes(storage.delete(&file));
        passes(storage.publish(&dir.with_suffix("/other"), b"x"));
        hdfs.expect("dfsadmin -safemode leave");

        hdfs.expect("stop dn");
        let start = Instant::now();
        assert!(matches!(
            storage.read(&file, 99).map_err(|e| e.kind),
            Err(StorageErrorKind::Transient | StorageErrorKind::Other)
        ));
        passes(storage.publish(&dir.with_suffix("/other"), b"x"));
        assert_eq!(storage.list(&dir).expect("a listing").len(), 1, "what could not be written is removed");
        eprintln!("a frozen DataNode: {:?}", start.elapsed());
        hdfs.expect("go on dn");
        assert_eq!(storage.read(&file, 99), Ok(b"content".to_vec()));

        hdfs.expect("stop nn1");
        let start = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_secs(5));
                hdfs.expect("go on nn1");
            });
            assert_eq!(storage.delete(&file), Ok(true), "tried again, and done once");
        });
        eprintln!("a NameNode that was frozen for 5 s: {:?}", start.elapsed());
        assert!(storage.stat(&file).expect_err("it went").is_not_found());
        hdfs.expect("kill nn1");
        passes(storage.list(&dir));
    });
}
