//! Commands on a real HDFS: what they say of a tree there is what they say of it here.

use crate::suite::servers::hdfs::{Hdfs, with_hdfs};
use crate::suite::stores::commands::snapshots;
use crate::suite::stores::corpus::upload;
use crate::suite::support::{Case, Run, command};
use chkctl::model::Location;
use chkctl::storage::Storage as _;

fn chkctl(hdfs: &Hdfs, args: &[&str]) -> Run {
    let mut command = command();
    command.env("HADOOP_CONF_DIR", &hdfs.facts["conf"]).args(["--timeout", "1min"]).args(args);
    Run::of(command)
}

#[test]
fn a_tree_on_hdfs_is_judged_as_the_same_tree_here() {
    with_hdfs(|hdfs, dir| {
        let case = Case::named("wc-claim-1.20.5");
        upload(&hdfs.storage(), &case.root, dir);
        let (there, here) = (dir.to_string(), case.root.to_str().expect("text").to_owned());
        for args in [&["list"][..], &["verify"], &["verify", "--deep"]] {
            let run = |root: &str| {
                let map = format!("{}={root}", crate::suite::support::FLINK_ROOT);
                chkctl(hdfs, &[args, &["--json", "--map", &map, root]].concat())
            };
            let (remote, local) = (run(&there), run(&here));
            assert_eq!(snapshots(&remote, &there), snapshots(&local, &here), "{args:?}: {}", remote.stderr);
            assert_eq!((remote.status, snapshots(&local, &here).is_empty()), (local.status, false), "{args:?}");
        }
    });
}

#[test]
fn a_snapshot_goes_to_hdfs_lives_there_and_comes_back() {
    with_hdfs(|hdfs, dir| {
        let case = Case::named("wc-claim-1.20.5");
        let good = case.chkctl(["latest", case.root.to_str().expect("text")]).stdout.trim().to_owned();
        let map = case.map();
        let at = |name: &str| format!("{dir}/{name}");
        let (copy, archive) = (at("ck/copy"), at("copy.tar.zst"));
        let back = tempfile::tempdir().expect("a directory");
        let (unpacked, mended) = (back.path().join("unpacked"), at("mended"));
        let unpacked = unpacked.to_str().expect("text");
        for (args, wanted) in [
            (&["promote", &good, &copy, "--map", &map][..], 0),
            (&["promote", &good, &copy, "--map", &map], 4),
            (&["verify", "--checksums", &copy], 0),
            (&["pin", &copy, "--reason", "why"], 0),
            (&["tag", &copy, "--add", "kept"], 0),
            (&["promote", &copy, "--archive", &archive], 0),
            (&["promote", &archive, unpacked], 0),
            (&["verify", "--checksums", unpacked], 0),
            (&["repair", &copy, "--output", &mended, "--checkpoint-id", "77", "--apply"], 0),
            (&["verify", &mended], 0),
            (&["diff", &copy, unpacked], 0),
            (&["unpin", &copy], 0),
            (&["doctor", "--write", &at("ck")], 0),
            (&["doctor", &at("none")], 1),
        ] {
            let run = chkctl(hdfs, args);
            assert_eq!(run.status, wanted, "{args:?}: {}{}", run.stdout, run.stderr);
        }
        let listed = chkctl(hdfs, &["list", "--json", &at("ck")]).json();
        assert_eq!(listed["snapshots"][0]["tags"], serde_json::json!(["kept"]));
        let doctor = chkctl(hdfs, &["doctor", "--json", "--write", &at("ck")]).json();
        let checks = doctor["places"][0]["checks"].as_array().expect("checks");
        assert!(checks.iter().all(|check| check["result"] == "ok") && checks.len() == 9, "{checks:?}");
        let left = hdfs.storage().list(&Location::parse(&at("ck")).expect("a place")).expect("listed");
        assert!(left.iter().all(|entry| !entry.name.starts_with(".chkctl-doctor")), "{left:?}");
    });
}

#[test]
fn a_prune_on_hdfs_can_be_taken_back() {
    with_hdfs(|hdfs, dir| {
        let case = Case::named("wc-claim-1.20.5");
        upload(&hdfs.storage(), &case.root, dir);
        let root = dir.to_string();
        let map = format!("{}={root}", crate::suite::support::FLINK_ROOT);
        let list = || chkctl(hdfs, &["list", "--json", "--map", &map, &root]);
        let before = snapshots(&list(), &root);
        let prune = [
            "prune",
            "--keep-last",
            "1",
            "--group-by",
            "none",
            "--max-delete-percent",
            "100",
            "--apply",
            "--map",
            &map,
            &root,
        ];
        let run = chkctl(hdfs, &prune);
        assert_eq!(run.status, 0, "{}{}", run.stdout, run.stderr);
        assert!(snapshots(&list(), &root).len() < before.len());
        let runs = chkctl(hdfs, &["undelete", "--json", &root]).json();
        let name = runs["runs"][0]["run"].as_str().unwrap_or_else(|| panic!("{runs}")).to_owned();
        assert_eq!(chkctl(hdfs, &["undelete", &name, &root]).status, 0);
        assert_eq!(snapshots(&list(), &root), before);
    });
}
