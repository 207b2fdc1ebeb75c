//! High availability of real Flink: what ZooKeeper, the directory and ConfigMaps point to, and what that guards.

use super::live::{local, text};
use crate::suite::flink::{Flink, with_flink_and};
use crate::suite::support::{Run, command};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

fn chkctl(args: &[&str]) -> Run {
    let mut command = command();
    command.args(args);
    Run::of(command)
}

#[test]
fn what_flink_1_points_to_is_found_and_guards() {
    with_ha("1.20.5", found_and_guards);
}

#[test]
fn what_flink_2_points_to_is_found_and_guards() {
    with_ha("2.3.0", found_and_guards);
}

fn with_ha(release: &str, test: impl FnOnce(&mut Flink, &Path)) {
    let dir = tempfile::tempdir().expect("a directory");
    let conf = format!(
        "high-availability.type=zookeeper\nhigh-availability.storageDir=file://{}/ha\n\
         high-availability.cluster-id=one\nexecution.checkpointing.num-retained=2",
        dir.path().display()
    );
    with_flink_and(release, &conf, |flink| test(flink, dir.path()));
}

fn found_and_guards(flink: &mut Flink, dir: &Path) {
    let root = dir.join("ck");
    let place = format!("dir={}", root.display());
    let job = flink.expect(&["live", "start", "wordcount", "n=1000000", "hold=1000", "rate=400", "inline=0", &place]);
    let id = text(&job, "job");
    let paths: Vec<String> = (0..3)
        .map(|_| flink.expect(&["live", "savepoint", id, &place]))
        .map(|answer| text(&answer, "path").to_owned())
        .collect();
    let root = root.to_str().expect("UTF-8");

    let directory = dir.join("ha/one");
    let map = flink.expect(&["live", "configmap", id, &format!("dir={}", directory.display())]);
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [{"kind": "ConfigMap", "metadata": {"name": "one-cluster-config-map"}}, map]});
    let (as_json, as_yaml, as_list) = (dir.join("one.json"), dir.join("one.yaml"), dir.join("all.json"));
    fs::write(&as_json, map.to_string()).expect("a file");
    fs::write(&as_list, list.to_string()).expect("a file");
    fs::write(&as_yaml, yaml(&map)).expect("a file");
    let zookeeper = format!("zookeeper://{}/flink/one", text(&job, "quorum"));
    let whole = format!("zookeeper://{}/flink", text(&job, "quorum"));
    let mut places = vec![zookeeper.clone(), whole];
    places.extend([&directory, &dir.join("ha"), &as_json, &as_yaml, &as_list].map(|path| path.display().to_string()));

    for place in &places {
        let said = chkctl(&["ha", "--json", place, root]);
        assert_eq!(said.status, 0, "{place}: {}{}", said.stdout, said.stderr);
        let jobs = said.json()["jobs"].clone();
        let [found] = jobs.as_array().expect("jobs").as_slice() else { panic!("{place}: {jobs}") };
        assert_eq!((text(found, "job_id"), text(&found["start"], "path")), (id, paths[2].as_str()), "{place}");
        assert_eq!((&found["start"]["checkpoint_id"], text(&found["start"], "verdict")), (&json!(3), "restorable"));
        let pointers: Vec<&str> =
            found["pointers"].as_array().expect("pointers").iter().map(|p| text(p, "path")).collect();
        assert_eq!(pointers, [paths[2].as_str(), &paths[1]], "{place}");
        assert_eq!(found["newer"], Value::Null, "{place}");

        // The one before the last is in use too, whatever a policy says.
        let policy = ["prune", "--json", "--keep-last", "1", root];
        let without = chkctl(&policy).json();
        assert!(without["remove"].to_string().contains(&paths[1]), "{without}");
        let guarded = chkctl(&[&policy[..], &["--ha", place]].concat());
        assert_eq!(guarded.status, 0, "{place}: {}", guarded.stderr);
        assert_eq!(guarded.json()["remove"], json!([]), "{place}");
        assert!(guarded.json()["keep"].to_string().contains("high availability points to it"), "{place}");
        let safe = chkctl(&[
            "safe-to-delete",
            "--grace",
            "0s",
            "--ha",
            place,
            local(&paths[1]).to_str().expect("UTF-8"),
            root,
        ]);
        assert_eq!(safe.status, 4, "{place}: {}{}", safe.stdout, safe.stderr);
    }

    // A savepoint is newer than what high availability knows.
    let savepoints = format!("dir={root}/savepoints");
    let savepoint = flink.expect(&["live", "savepoint", id, &savepoints, "savepoint=canonical"]);
    let said = chkctl(&["ha", "--json", &zookeeper, root]);
    assert_eq!(
        local(text(&said.json()["jobs"][0]["newer"], "path")),
        local(text(&savepoint, "path")),
        "{}",
        said.stdout
    );

    a_pointer_that_leads_nowhere(&as_json, &directory, root, dir);

    // What it would start from is broken.
    fs::remove_file(local(&paths[2]).join("_metadata")).expect("removed");
    for place in &places {
        let said = chkctl(&["ha", "--json", place, root]);
        assert_eq!(said.status, 1, "{place}: {}{}", said.stdout, said.stderr);
        let start = said.json()["jobs"][0]["start"].clone();
        assert_ne!(text(&start, "verdict"), "restorable", "{place}: {start}");
        assert!(chkctl(&["ha", place]).stdout.contains(id), "{place}");
    }
    flink.expect(&["live", "stop", id]);
    // A job at its end has no pointers any more.
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let said = chkctl(&["ha", &zookeeper]);
        if (said.status, said.stdout.as_str()) == (1, "") {
            break;
        }
        assert!(Instant::now() < end, "{}{}", said.stdout, said.stderr);
    }
}

/// The completed checkpoint that a ConfigMap points to is cut short, or gone.
fn a_pointer_that_leads_nowhere(map: &Path, directory: &Path, root: &str, dir: &Path) {
    let copy = dir.join("copy");
    fs::create_dir(&copy).expect("a directory");
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        fs::copy(entry.path(), copy.join(entry.file_name())).expect("a copy");
    }
    let moved = format!("{}={}", directory.display(), copy.display());
    let ask = |words: &[&str]| chkctl(&[&["--map", &moved], words].concat());
    let map = map.to_str().expect("UTF-8");
    assert_eq!(ask(&["ha", map]).status, 0);
    let is_one = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("completed"));
    let one = fs::read_dir(&copy).expect("a directory").flatten().map(|entry| entry.path()).find(is_one).expect("one");
    let damage: [&dyn Fn(); 2] = [&|| fs::write(&one, &fs::read(&one).expect("bytes")[..300]).expect("cut"), &|| {
        fs::remove_file(&one).expect("removed")
    }];
    for damage in damage {
        damage();
        let said = ask(&["ha", map]);
        assert_eq!(said.status, 1, "{}{}", said.stdout, said.stderr);
        assert!(said.stdout.contains("broken"), "{}", said.stdout);
        let refused = ask(&["prune", "--keep-last", "1", "--apply", "--ha", map, root]);
        assert_eq!(refused.status, 5, "{}{}", refused.stdout, refused.stderr);
        assert!(refused.stderr.contains("cannot be followed"), "{}", refused.stderr);
    }
}

/// As kubectl prints it.
fn yaml(map: &Value) -> String {
    let data = map["data"].as_object().expect("data").iter();
    let data: String = data.map(|(key, value)| format!("  {key}: {}\n", value.as_str().expect("text"))).collect();
    let name = text(&map["metadata"], "name");
    format!(
        "apiVersion: v1\ndata:\n  counter: \"4\"\n{data}kind: ConfigMap\nmetadata:\n  labels:\n    app: one\n  name: {name}\n"
    )
}

#[test]
fn what_is_no_high_availability_is_not_taken_for_an_empty_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).expect("a file");
        path.display().to_string()
    };
    let empty = dir.path().join("empty");
    fs::create_dir(&empty).expect("a directory");
    let bombs = "a: &a [x]\nb: *a\nkind: ConfigMap\n";
    for place in [
        dir.path().join("nothing").display().to_string(),
        empty.display().to_string(),
        file("no.json", r#"{"kind":"Secret"}"#),
        file("no.yaml", "kind: Secret\n"),
        file("half.json", r#"{"kind":"ConfigMap","data":"#),
        file("bombs.yaml", bombs),
        file("deep.yaml", &"[".repeat(100_000)),
        file("binary", "\u{0}\u{1}"),
        "zookeeper:///flink".to_owned(),
        "zookeeper://127.0.0.1:1/flink".to_owned(),
    ] {
        let said = chkctl(&["ha", "--ha-timeout", "1s", &place]);
        assert_eq!(said.status, 5, "{place}: {}{}", said.stdout, said.stderr);
        let root = dir.path().to_str().expect("UTF-8");
        let refused =
            chkctl(&["prune", "--keep-last", "1", "--apply", "--jobmanager-timeout", "1s", "--ha", &place, root]);
        assert_eq!(refused.status, 5, "{place}: {}{}", refused.stdout, refused.stderr);
    }
}
