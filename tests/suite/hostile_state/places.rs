//! What is no file in the place of a state file, and files that change while they are read.

use super::made::{Made, Wanted, empty_head, exclusive, handle, key_groups, keyed, sparse};
use super::table::{Hostile, endure, found};
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Where the state file of these snapshots is.
fn place(root: &Path) -> PathBuf {
    exclusive(root).join("state")
}

/// A snapshot whose state file is whatever lies there.
fn of_file(root: &Path) -> Made {
    let stream = handle(root, "state", 1_000);
    Made::new(root, 1, keyed(key_groups(stream, vec![100], false)))
}

const PLACES: &[Hostile] = &[
    found("a pipe that nobody writes to", |root| {
        let made = Command::new("mkfifo").arg(place(root)).status();
        assert!(made.is_ok_and(|status| status.success()), "mkfifo");
        of_file(root)
    }),
    found("a directory", |root| {
        fs::create_dir(place(root)).expect("a directory");
        of_file(root)
    }),
    found("a socket", |root| {
        // Unix sockets have short paths.
        let socket = root.join("socket");
        drop(UnixListener::bind(&socket).expect("a socket"));
        fs::rename(socket, place(root)).expect("a socket");
        of_file(root)
    }),
    found("a link to zeros without end", |root| {
        symlink("/dev/zero", place(root)).expect("a link");
        of_file(root)
    }),
    found("a link to a terminal", |root| {
        symlink("/dev/tty", place(root)).expect("a link");
        of_file(root)
    }),
    found("a link to itself", |root| {
        symlink("state", place(root)).expect("a link");
        of_file(root)
    }),
    found("a link to nothing", |root| {
        symlink("nowhere", place(root)).expect("a link");
        of_file(root)
    }),
    found("a link to a file that says it is empty and is not", |root| {
        symlink("/proc/self/status", place(root)).expect("a link");
        of_file(root)
    }),
    found("a link to the memory of the process", |root| {
        symlink("/proc/self/mem", place(root)).expect("a link");
        of_file(root)
    }),
    found("an empty file", |root| {
        fs::write(place(root), []).expect("a file");
        of_file(root)
    }),
    found("a name of many bytes that no file system takes", |root| {
        let stream = handle(root, &"x".repeat(60_000), 10);
        Made::new(root, 1, keyed(key_groups(stream, vec![100], false)))
    }),
    found("a name with a NUL and a cursor that moves", |root| {
        let stream = handle(root, "a\0b\x1b[2J\r\n", 10);
        Made::new(root, 1, keyed(key_groups(stream, vec![100], false)))
    }),
];

#[test]
fn what_is_no_file_is_a_finding() {
    endure(PLACES);
}

/// Changes a file every few milliseconds for as long as a look at its snapshot takes.
fn while_changing(root: &Path, made: &Made, wanted: Wanted, change: impl Fn(&Path, u64) + Send + Sync) {
    let done = AtomicBool::new(false);
    let path = place(root);
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0.. {
                if done.load(Ordering::Relaxed) {
                    return;
                }
                change(&path, round);
                thread::sleep(Duration::from_millis(3));
            }
        });
        let outcomes: Vec<_> = (0..5).map(|_| made.verify("a file that changes", wanted)).collect();
        done.store(true, Ordering::Relaxed);
        assert_eq!(outcomes, [const { Ok(()) }; 5]);
    });
}

/// A file of zeros, large enough to be changed while it is read.
fn zeros(root: &Path) -> Made {
    let head = empty_head();
    let stream = sparse(root, "state", &head, 300 << 20);
    Made::new(root, 1, keyed(key_groups(stream, vec![head.len() as i64], false)))
}

#[test]
fn a_file_that_shrinks_and_grows_while_it_is_read_is_endured() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let made = zeros(root.path());
    while_changing(root.path(), &made, Wanted::End, |path, round| {
        let size = if round % 2 == 0 { 20 } else { 300 << 20 };
        File::options().write(true).open(path).and_then(|file| file.set_len(size)).expect("another length");
    });
}

#[test]
fn a_file_that_comes_and_goes_while_it_is_read_is_endured() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let made = zeros(root.path());
    while_changing(root.path(), &made, Wanted::End, |path, round| {
        let other = path.with_extension("away");
        let (from, to) = if round % 2 == 0 { (path, &*other) } else { (&*other, path) };
        fs::rename(from, to).expect("another name");
    });
}

#[test]
fn a_file_whose_content_changes_while_it_is_read_is_endured() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let made = zeros(root.path());
    while_changing(root.path(), &made, Wanted::End, |path, round| {
        let byte = [(round * 37) as u8; 64];
        let file = File::options().write(true).open(path).expect("the file");
        std::os::unix::fs::FileExt::write_at(&file, &byte, (round * 7_919) % (1 << 16)).expect("other bytes");
    });
}

#[test]
fn eight_terabytes_end_with_the_time() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let root = root.path();
    // One stream that is read in full, whatever is in it: raw keyed state.
    let stream = sparse(root, "state", &[1], 1 << 43);
    let state = chkctl::model::SubtaskState {
        raw_keyed: Some(Box::new(key_groups(stream, vec![0], false))),
        ..super::made::no_state()
    };
    let made = Made::new(root, 1, state);
    assert_eq!(made.verify("eight terabytes", Wanted::Timeout), Ok(()));
}
