//! `doctor`: settings with where they came from, and what a store can do.

use super::servers::s3::with_s3;
use super::support::{Case, Run, command};
use chkctl::storage::settings::names;
use serde_json::Value;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use tempfile::TempDir;

fn doctor(dir: &Path, args: &[&str]) -> Run {
    let mut command = command();
    command.arg("doctor").args(args).env("HADOOP_CONF_DIR", dir).env("KRB5CCNAME", dir.join("no-cache"));
    Run::of(command)
}

/// A directory with a checkpoint of sorts.
fn root() -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    fs::create_dir(dir.path().join("chk-1")).expect("a directory");
    fs::write(dir.path().join("chk-1/_metadata"), b"0123456789").expect("a file");
    dir
}

/// Checks of the only place as `check=result`.
fn checks(run: &Run) -> Vec<String> {
    let json = run.json();
    let checks = json["places"][0]["checks"].as_array().expect("checks");
    let line = |check: &Value| {
        format!("{}={}", check["check"].as_str().expect("text"), check["result"].as_str().expect("text"))
    };
    checks.iter().map(line).collect()
}

fn message(run: &Run, name: &str) -> String {
    let json = run.json();
    let checks = json["places"][0]["checks"].as_array().expect("checks");
    let all = checks.iter().filter(|check| check["check"] == name).filter_map(|check| check["message"].as_str());
    all.collect::<Vec<_>>().join("; ")
}

#[test]
fn local_files_can_do_everything_and_nothing_is_left_of_the_trial() {
    let root = root();
    let place = root.path().to_str().expect("text");
    let run = doctor(root.path(), &["--json", place]);
    assert_eq!(
        (run.status, checks(&run)),
        (0, ["reach=ok", "list=ok", "read=ok", "write=skipped"].map(String::from).to_vec())
    );
    assert!(message(&run, "read").contains("10 bytes of"), "{}", message(&run, "read"));
    let run = doctor(root.path(), &["--json", "--write", place]);
    let wanted =
        ["reach", "list", "read", "create", "clock", "exclusive", "rename", "delete"].map(|name| format!("{name}=ok"));
    assert_eq!((run.status, checks(&run)), (0, wanted.to_vec()), "{}", run.stdout);
    let left: Vec<_> =
        fs::read_dir(root.path()).expect("listed").map(|entry| entry.expect("an entry").file_name()).collect();
    assert_eq!(left, ["chk-1"]);
    let text = doctor(root.path(), &[place]);
    assert!(text.stdout.starts_with(&format!("{place}: local files\n")), "{}", text.stdout);
}

#[test]
fn a_file_is_a_place_too_and_one_that_is_not_there_is_a_finding() {
    let root = root();
    let file = root.path().join("chk-1/_metadata");
    let run = doctor(root.path(), &["--json", file.to_str().expect("text")]);
    assert_eq!(
        (run.status, checks(&run)),
        (0, ["reach=ok", "read=ok", "list=ok", "write=skipped"].map(String::from).to_vec())
    );
    let run = doctor(root.path(), &["--json", root.path().join("none").to_str().expect("text")]);
    assert_eq!((run.status, checks(&run).first().map(String::as_str)), (1, Some("reach=wrong")));
}

#[test]
fn the_worst_of_several_places_is_the_exit_code() {
    let root = root();
    let good = root.path().to_str().expect("text");
    let run = doctor(root.path(), &[good, &format!("{good}/none"), "--json"]);
    assert_eq!((run.status, run.json()["places"].as_array().expect("places").len()), (1, 2));
    let run = doctor(root.path(), &[good, "nobody://x/y"]);
    assert_eq!(run.status, 5, "{}", run.stdout);
    assert!(run.stdout.contains("nobody://x/y: nothing that chkctl knows"), "{}", run.stdout);
    assert_eq!(doctor(root.path(), &[]).status, 2, "nothing to look at");
}

fn site(properties: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let property =
        |(name, value): &(&str, &str)| format!("<property><name>{name}</name><value>{value}</value></property>");
    let text: String = properties.iter().map(property).collect();
    fs::write(dir.path().join("hdfs-site.xml"), format!("<configuration>{text}</configuration>")).expect("written");
    dir
}

#[test]
fn a_nameservice_is_shown_with_each_of_its_namenodes() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let alive = listener.local_addr().expect("an address").to_string();
    let dir = site(&[
        ("dfs.nameservices", "ns"),
        ("dfs.ha.namenodes.ns", "nn1, nn2"),
        ("dfs.namenode.rpc-address.ns.nn1", "127.0.0.1:1"),
        ("dfs.namenode.rpc-address.ns.nn2", &alive),
        ("some.password", "hunter2"),
    ]);
    let run = doctor(dir.path(), &["hdfs://ns/ck", "--json", "--timeout", "1s"]);
    // One that is down is what there are several for; that somebody listens says nothing of answers.
    assert_eq!(
        checks(&run).get(..2),
        Some(&["namenode=skipped".to_owned(), "namenode=ok".to_owned()][..]),
        "{}",
        run.stdout
    );
    assert_eq!(run.status, 5, "{}", run.stdout);
    let json = run.json();
    let settings = json["places"][0]["settings"].as_array().expect("settings");
    let password = settings.iter().find(|setting| setting["name"] == "some.password").expect("it is told of");
    assert!(password["value"].is_null() && password["secret"] == true, "{password}");
    assert!(password["origin"].as_str().is_some_and(|origin| origin.ends_with("hdfs-site.xml")), "{password}");
    let text = doctor(dir.path(), &["hdfs://ns/ck", "--timeout", "1s"]);
    assert!(text.stdout.contains("and 1 more (-v)") && !text.stdout.contains("some.password"), "{}", text.stdout);
}

#[test]
fn settings_of_hdfs_that_do_not_fit_together_are_findings() {
    let dir = site(&[("dfs.nameservices", "ns"), ("hadoop.security.authentication", "kerberos")]);
    let run = doctor(dir.path(), &["hdfs://ns/ck", "--json", "--timeout", "1s"]);
    assert!(message(&run, "namenode").contains("dfs.ha.namenodes.ns is not set"), "{}", run.stdout);
    assert!(message(&run, "kerberos").contains("no ticket"), "{}", run.stdout);
}

#[test]
fn settings_that_cannot_be_read_are_a_finding_and_nothing_is_asked() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("core-site.xml"), "<configuration>").expect("written");
    let run = doctor(dir.path(), &["s3://b/ck", "--json"]);
    assert_eq!((run.status, checks(&run)), (1, vec!["settings=wrong".to_owned()]));
}

#[test]
fn s3_takes_its_settings_from_flink_and_can_do_everything() {
    with_s3(|s3| {
        let settings = s3.settings(&[]);
        let value = |name: &str| settings.value(name).expect("a setting").to_owned();
        let (endpoint, key, secret) = (value(names::ENDPOINT), value(names::ACCESS_KEY), value(names::SECRET_KEY));
        let conf = |secret: &str| {
            let dir = tempfile::tempdir().expect("a directory");
            let text = format!(
                "s3:\n  endpoint: {endpoint}\n  access-key: {key}\n  secret-key: {secret}\n  path-style-access: true\n"
            );
            fs::write(dir.path().join("config.yaml"), text).expect("written");
            dir
        };
        let good = conf(&secret);
        let run = |conf: &TempDir, args: &[&str]| {
            let mut command = command();
            command.args(args).env("FLINK_CONF_DIR", conf.path());
            Run::of(command)
        };
        let root = s3.dir("doctor").to_string();
        let missing = run(&good, &["doctor", "--json", &root]);
        assert_eq!(missing.status, 1, "{}{}", missing.stdout, missing.stderr);
        let case = Case::named("wc-claim-1.20.5");
        let newest = case.chkctl(["latest", case.root.to_str().expect("text")]).stdout.trim().to_owned();
        let copy = format!("{root}/copy");
        let promoted = run(&good, &["promote", &newest, &copy, "--map", &case.map()]);
        assert_eq!(promoted.status, 0, "{}", promoted.stderr);
        let found = run(&good, &["latest", &root]);
        assert_eq!((found.status, found.stdout.trim()), (0, copy.as_str()), "{}", found.stderr);
        let examined = run(&good, &["doctor", "--json", "--write", &root]);
        let all = checks(&examined);
        assert!(examined.status == 0 && all.len() == 9 && all.iter().all(|check| check.ends_with("=ok")), "{all:?}");
        let json = examined.json();
        let settings = json["places"][0]["settings"].as_array().expect("settings");
        let endpoint = settings.iter().find(|setting| setting["name"] == names::ENDPOINT).expect("an endpoint");
        let file = good.path().join("config.yaml").display().to_string();
        assert_eq!(endpoint["origin"], format!("s3.endpoint in {file}"));
        // A key that is not right is no permission, and is not shown either.
        let wrong = "hunter2hunter2hunter2";
        let bad = conf(wrong);
        for args in [&["doctor", "-v", &root][..], &["list", "-vv", &root], &["verify", "--json", &copy]] {
            let run = run(&bad, args);
            assert_eq!(run.status, 5, "{args:?}: {}{}", run.stdout, run.stderr);
            for secret in [wrong, &secret] {
                assert!(!format!("{}{}", run.stdout, run.stderr).contains(secret), "{args:?}");
            }
        }
    });
}
