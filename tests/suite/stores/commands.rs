//! Commands on a real S3 server: what they say of a tree there is what they say of it here, and what a prune takes comes back.

use super::super::servers::s3::{S3, with_s3};
use super::super::support::{Case, FLINK_ROOT, Run, command};
use super::corpus::upload;
use serde_json::Value;

fn chkctl(s3: &S3, args: &[&str]) -> Run {
    let mut command = command();
    command.envs(s3.environment()).args(["--timeout", "1min"]).args(args);
    Run::of(command)
}

/// The snapshots that a command tells of, sorted by path and without times, which a copy does not keep.
pub fn snapshots(run: &Run, root: &str) -> Vec<Value> {
    let mut json: Value =
        serde_json::from_str(&run.stdout.replace(root, "ROOT")).unwrap_or_else(|e| panic!("{e}: {}", run.stderr));
    let mut snapshots = json["snapshots"].as_array_mut().expect("snapshots").split_off(0);
    snapshots.iter_mut().for_each(|snapshot| snapshot["completed_at"] = Value::Null);
    snapshots.sort_by_key(|snapshot| snapshot["path"].to_string());
    snapshots
}

#[test]
fn commands_say_of_a_tree_on_s3_what_they_say_of_it_here() {
    with_s3(|s3| {
        let case = Case::named("wc-claim-1.20.5");
        let dir = s3.dir("commands");
        upload(&s3.store(), &case.root, &dir);
        let (there, here) = (dir.to_string(), case.root.to_str().expect("text").to_owned());
        for args in [&["list"][..], &["verify"], &["verify", "--deep"]] {
            let run =
                |root: &str| chkctl(s3, &[args, &["--json", "--map", &format!("{FLINK_ROOT}={root}"), root]].concat());
            let (remote, local) = (run(&there), run(&here));
            assert_eq!(snapshots(&remote, &there), snapshots(&local, &here), "{args:?}: {}", remote.stderr);
            assert_eq!((remote.status, snapshots(&local, &here).is_empty()), (local.status, false), "{args:?}");
        }
    });
}

#[test]
fn what_a_prune_on_s3_puts_aside_comes_back_or_goes_for_good() {
    with_s3(|s3| {
        let case = Case::named("wc-claim-1.20.5");
        let dir = s3.dir("pruned");
        upload(&s3.store(), &case.root, &dir);
        let root = dir.to_string();
        let map = format!("{FLINK_ROOT}={root}");
        let list = || snapshots(&chkctl(s3, &["list", "--json", "--map", &map, &root]), &root);
        let prune = || {
            let policy = ["prune", "--keep-last", "1", "--group-by", "none", "--max-delete-percent", "100"];
            let words = ["--apply", "--json", "--map", &map, &root];
            let run = chkctl(s3, &[&policy[..], &words].concat());
            assert_eq!(run.status, 0, "{}{}", run.stdout, run.stderr);
            let runs = chkctl(s3, &["undelete", "--json", &root]).json();
            runs["runs"][0]["run"].as_str().unwrap_or_else(|| panic!("{runs}")).to_owned()
        };
        let before = list();
        let run = prune();
        let kept = list();
        assert!(kept.len() < before.len() && !kept.is_empty(), "{kept:?}");
        let back = chkctl(s3, &["undelete", &run, &root]);
        assert_eq!(back.status, 0, "{}", back.stderr);
        assert!(back.stderr.contains("the time of now"), "who starts the newest has to know: {}", back.stderr);
        assert_eq!(list(), before);

        let run = prune();
        let purged = chkctl(s3, &["purge", "--run", &run, &root]);
        assert_eq!(purged.status, 0, "{}{}", purged.stdout, purged.stderr);
        assert_ne!(chkctl(s3, &["undelete", &run, &root]).status, 0, "it is gone for good");
        assert_eq!(list().len(), 1);
        assert_eq!(chkctl(s3, &["verify", "--map", &map, &root]).status, 0);
    });
}

#[test]
fn a_log_is_explained_by_what_is_on_s3() {
    with_s3(|s3| {
        let case = Case::named("wc-claim-1.20.5");
        let dir = s3.dir("explained");
        upload(&s3.store(), &case.root, &dir);
        let root = dir.to_string();
        let map = format!("{FLINK_ROOT}={root}");
        let log = tempfile::NamedTempFile::new().expect("a file");
        let missing = format!("{FLINK_ROOT}/none/chk-3/75613fb4-ca59-4264-850c-acfb3aee282b");
        let trace = format!("Caused by: java.io.FileNotFoundException: {missing} (No such file or directory)\n");
        std::fs::write(log.path(), trace).expect("written");
        let run = chkctl(s3, &["diagnose", log.path().to_str().expect("text"), "--map", &map, "--root", &root]);
        assert_eq!(run.status, 1, "{}{}", run.stdout, run.stderr);
        assert!(run.stdout.contains("flink run -s "), "an older one is named: {}{}", run.stdout, run.stderr);
    });
}
