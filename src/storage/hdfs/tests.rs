use super::*;
use crate::storage::remote::Limits;
use crate::storage::settings::Setting;
use crate::storage::{StorageErrorKind, WriteStorage};
use std::net::TcpListener;
use std::time::Duration;

fn at(text: &str) -> Location {
    Location::parse(text).expect("a place")
}

fn impatient(url: &str, settings: &[(&str, String)]) -> HdfsStorage {
    let limits = Limits {
        call: Duration::from_millis(300),
        total: Duration::from_secs(2),
        tries: 3,
        pause: Duration::from_millis(10),
        at_once: 4,
    };
    let mut all = StoreSettings::default();
    for (name, value) in settings {
        all.add(*name, Setting::new(value, "a test"));
    }
    HdfsStorage::open(Remote::new(limits).expect("a runtime"), &at(url), &all).expect("a store")
}

/// What comes of asking for everything of a NameNode that says nothing of use.
fn asked_in_vain(storage: &HdfsStorage, file: &Location) {
    let transient = StorageErrorKind::Transient;
    assert_eq!(storage.stat(file).map_err(|e| e.kind), Err(transient));
    assert_eq!(storage.list(file).map_err(|e| e.kind), Err(transient));
    assert_eq!(storage.read(file, 9).map_err(|e| e.kind), Err(transient));
    assert_eq!(storage.delete(file).map_err(|e| e.kind), Err(transient));
    assert_eq!(storage.publish(file, b"x").map_err(|e| e.kind), Err(transient));
    let names: Vec<String> = (0..20).map(|i| i.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for names in [&names[..], &names[..1]] {
        let found = storage.lookup(file, names, &|_| {});
        assert_eq!(found.len(), names.len());
        assert!(found.iter().all(|found| matches!(found, Presence::Unknown(_))), "{found:?}");
        assert!(storage.look(Below { root: file, dir: "" }, names).is_err());
    }
}

#[test]
fn of_a_name_node_that_is_down_nothing_is_missing() {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
    let url = format!("hdfs://127.0.0.1:{port}/ck");
    asked_in_vain(&impatient(&url, &[]), &at(&url));
}

#[test]
fn of_a_name_node_that_is_frozen_nothing_is_missing_and_nobody_waits_for_ever() {
    // Connections are accepted by the system, and nobody reads.
    let frozen = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let url = format!("hdfs://{}/ck", frozen.local_addr().expect("its address"));
    asked_in_vain(&impatient(&url, &[]), &at(&url));
}

#[test]
fn of_a_nameservice_without_an_active_name_node_nothing_is_missing() {
    let frozen = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let down = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
    let settings = [
        ("dfs.ha.namenodes.ns", "a,b".to_owned()),
        ("dfs.namenode.rpc-address.ns.a", frozen.local_addr().expect("its address").to_string()),
        ("dfs.namenode.rpc-address.ns.b", down.to_string()),
    ];
    asked_in_vain(&impatient("hdfs://ns/ck", &settings), &at("hdfs://ns/ck"));
}
