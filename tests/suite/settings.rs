//! Settings of stores: roots with names, and secrets that nobody gets to see.

use super::support::{Case, Run, command};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// A directory with configurations.
fn with_files(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    files.iter().for_each(|(name, text)| fs::write(dir.path().join(name), text).expect("written"));
    dir
}

/// Runs chkctl with the configurations of a directory, as far as they are there.
fn chkctl(dir: &Path, args: &[&str]) -> Run {
    let mut command = command();
    command.args(args);
    if dir.join("chkctl.toml").exists() {
        command.env("CHKCTL_CONFIG", dir.join("chkctl.toml"));
    }
    if ["config.yaml", "flink-conf.yaml"].iter().any(|name| dir.join(name).exists()) {
        command.env("FLINK_CONF_DIR", dir);
    }
    command.env("HADOOP_CONF_DIR", dir);
    Run::of(command)
}

#[test]
fn a_root_has_a_name_and_so_has_what_lies_below_it() {
    let case = Case::named("wc-claim-1.20.5");
    let dir = with_files(&[("chkctl.toml", &format!("[root.prod]\npath = \"{}\"\n", case.tree().display()))]);
    let by_path = chkctl(dir.path(), &["latest", "--map", &case.map(), case.tree().to_str().expect("text")]);
    let by_name = chkctl(dir.path(), &["latest", "--map", &case.map(), "@prod"]);
    assert_eq!((by_name.status, &by_name.stdout), (0, &by_path.stdout), "{}", by_name.stderr);
    let path = by_path.stdout.trim().replace(case.tree().to_str().expect("text"), "@prod");
    assert!(path.starts_with("@prod/"), "{path}");
    for args in [
        &["inspect", "--json", &path][..],
        &["files", "--json", &path],
        &["verify", "--json", &path],
        &["refs", "--json", &path, "@prod"],
        &["diff", &path, &path],
        &["safe-to-delete", &path, "@prod"],
        &["promote", "--plan", "--json", &path, "@prod/copy"],
        &["repair", "--json", &path, "--output", "@prod/mended"],
        &["prune", "--keep-last", "1", "@prod"],
        &["doctor", &path],
    ] {
        let run = chkctl(dir.path(), &[args, &["--map", &case.map()]].concat());
        assert!(!run.stderr.contains('@') && run.status != 2, "{args:?}: {}", run.stderr);
    }
    let unknown = chkctl(dir.path(), &["list", "@pord"]);
    assert_eq!(unknown.status, 2);
    assert_eq!(unknown.stderr, "chkctl: no root is named \"pord\"; there are @prod\n");
}

#[test]
fn a_configuration_file_that_is_wrong_is_a_usage_error() {
    for (text, why) in [("[s3]\nendpont = \"x\"", "unknown setting \"endpont\""), ("[root.a]", "[root.a] has no path")]
    {
        let dir = with_files(&[("chkctl.toml", text)]);
        let run = chkctl(dir.path(), &["list", "."]);
        assert!(run.status == 2 && run.stderr.contains(why), "{}", run.stderr);
    }
    assert_eq!(chkctl(Path::new("/nowhere"), &["list", ".", "--timeout", "0s"]).status, 2);
}

#[test]
fn a_configuration_that_no_place_needs_is_not_read() {
    let dir = with_files(&[("config.yaml", ": : not yaml"), ("core-site.xml", "not XML")]);
    let root = tempfile::tempdir().expect("a directory");
    let run = chkctl(dir.path(), &["list", root.path().to_str().expect("text")]);
    assert_eq!((run.status, run.stderr.as_str()), (0, "no snapshots found\n"));
    let remote = chkctl(dir.path(), &["list", "s3://b/ck", "--timeout", "1s"]);
    assert_eq!(remote.status, 5, "{}", remote.stderr);
}

/// A secret, and a file with it in every spelling.
const SECRET: &str = "hunter2hunter2hunter2hunter2";

fn flink_conf() -> String {
    let keys = [
        "s3.secret-key",
        "s3.secret.key",
        "s3a.secret-key",
        "fs.s3a.secret.key",
        "fs.s3a.session.token",
        "presto.s3.secret-key",
        "fs.oss.accessKeySecret",
        "fs.oss.securityToken",
        "fs.cosn.userinfo.secretKey",
        "fs.obs.secret.key",
        "fs.azure.account.key.acc.dfs.core.windows.net",
        "fs.azure.account.oauth2.client.secret",
        "fs.azure.sas.c.acc.dfs.core.windows.net",
        "flink.hadoop.fs.s3a.secret.key",
        "flink.hadoop.my.password",
    ];
    let others = [
        ("s3.endpoint", "http://127.0.0.1:1"),
        ("s3.access-key", "me"),
        ("fs.oss.endpoint", "http://127.0.0.1:1"),
        ("s3.region", "here"),
        ("s3.path-style-access", "true"),
        ("fs.oss.accessKeyId", "me"),
        ("fs.obs.access.key", "me"),
        ("fs.cosn.userinfo.secretId", "me"),
        ("fs.obs.endpoint", "http://127.0.0.1:1"),
        ("fs.cosn.bucket.region", "here"),
        ("fs.cosn.bucket.endpoint_suffix", "http://127.0.0.1:1"),
    ];
    let secrets = keys.iter().map(|key| format!("{key}: {SECRET}\n"));
    secrets.chain(others.iter().map(|(key, value)| format!("{key}: {value}\n"))).collect()
}

fn core_site() -> String {
    let keys = ["fs.s3a.secret.key", "fs.azure.account.key", "ssl.client.truststore.password", "fs.obs.session.token"];
    let property = |key: &&str| format!("<property><name>{key}</name><value>{SECRET}</value></property>");
    format!("<configuration>{}</configuration>", keys.iter().map(property).collect::<String>())
}

#[test]
fn a_secret_is_in_no_output_and_in_no_error() {
    let toml =
        format!("[s3]\nsecret-key = \"{SECRET}\"\naccess-key = \"me\"\n[hdfs]\n\"my.password\" = \"{SECRET}\"\n");
    let trees = [
        with_files(&[("flink-conf.yaml", &flink_conf())]),
        with_files(&[("core-site.xml", &core_site())]),
        with_files(&[("chkctl.toml", &toml)]),
        // None of these can be read.
        with_files(&[("config.yaml", &format!("s3.secret-key: [\"{SECRET}\n  }}: {SECRET}"))]),
        with_files(&[("core-site.xml", &format!("<configuration><name>&{SECRET};</configuration>"))]),
        with_files(&[("chkctl.toml", &format!("[s3]\nsecret-key = {SECRET}"))]),
        with_files(&[("chkctl.toml", &format!("[s3]\nsecret-key = [\"{SECRET}\"]"))]),
        with_files(&[("chkctl.toml", &format!("s3 = \"{SECRET}\""))]),
    ];
    let places = ["s3://b/ck", "s3a://b/ck", "oss://b/ck", "obs://b/ck", "hdfs://127.0.0.1:1/ck"];
    for dir in &trees {
        for place in places {
            for args in
                [&["doctor", "-v"][..], &["doctor", "--json", "--write"], &["list", "-vv"], &["verify", "--json"]]
            {
                let run = chkctl(dir.path(), &[args, &[place, "--timeout", "1s"]].concat());
                let shown = format!("{}{}", run.stdout, run.stderr);
                assert!(!shown.contains(SECRET), "{args:?} {place}: {shown}");
                assert_ne!(run.status, 0, "{args:?} {place}: {shown}");
            }
        }
    }
    let environment = [
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "OSS_ACCESS_KEY_SECRET",
        "OBS_SECRET_ACCESS_KEY",
        "AZURE_STORAGE_KEY",
        "AZURE_CLIENT_SECRET",
        "TENCENTCLOUD_SECRET_KEY",
        "AZURE_STORAGE_SAS_TOKEN",
    ];
    for place in ["s3://b/ck", "oss://b/ck", "obs://b/ck", "cosn://b/ck", "abfs://c@127.0.0.1/ck"] {
        let mut command = command();
        command.args(["doctor", "-vv", "--timeout", "1s", place]).env("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
        command.env("OSS_ENDPOINT", "http://127.0.0.1:1").env("OBS_ENDPOINT", "http://127.0.0.1:1");
        command.env("COS_ENDPOINT", "http://127.0.0.1:1").env("AZURE_STORAGE_SERVICE_ENDPOINT", "http://127.0.0.1:1");
        command
            .envs(environment.map(|name| (name, SECRET)))
            .env("AWS_ACCESS_KEY_ID", "me")
            .env("OSS_ACCESS_KEY_ID", "me");
        let run = Run::of(command);
        assert!(!format!("{}{}", run.stdout, run.stderr).contains(SECRET), "{place}: {}{}", run.stdout, run.stderr);
        assert!(run.stdout.contains("(secret)"), "{place}: {}", run.stdout);
    }
}
