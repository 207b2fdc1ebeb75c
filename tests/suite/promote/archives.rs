//! Snapshots in archives: there and back, and archives that are damaged or not chkctl's.

use super::super::support::{Case, Run, command, metadata_files};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

fn chkctl(args: &[&str]) -> Run {
    let mut command = command();
    command.args(args);
    Run::of(command)
}

/// An archive of the last snapshot of a case.
fn archive_of(case: &Case, dir: &TempDir, name: &str) -> PathBuf {
    let file = dir.path().join(name);
    let snapshot = metadata_files(&case.tree()).pop().expect("a snapshot");
    let run = case.chkctl(["promote", &text(&snapshot), "--archive", &text(&file)]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    file
}

/// Unpacks an archive into a directory that is not there.
fn unpack(archive: &Path, dir: &TempDir) -> (Run, PathBuf) {
    let dest = dir.path().join("dest");
    (chkctl(&["promote", "--json", &text(archive), &text(&dest)]), dest)
}

/// The names and contents of a tar archive.
fn entries(archive: &Path) -> Vec<(String, Vec<u8>)> {
    let bytes = fs::read(archive).expect("an archive");
    let stream = ruzstd::decoding::StreamingDecoder::new(&bytes[..]).expect("zstd");
    let mut tar = tar::Archive::new(stream);
    let read = |entry: std::io::Result<tar::Entry<'_, _>>| {
        let mut entry = entry.expect("an entry");
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).expect("content");
        (entry.path().expect("a path").to_string_lossy().into_owned(), content)
    };
    tar.entries().expect("entries").map(read).collect()
}

#[test]
fn there_and_back_a_snapshot_is_whole() {
    for name in [
        "wc-filemerging-rocksdb-2.3.0",
        "kitchen-rocksdb-inc-1.9.3",
        "wc-changelog-rocksdb-1.20.5",
        "wc-heap-inline-1.20.5",
    ] {
        let (case, dir) = (Case::named(name), tempfile::tempdir().expect("a directory"));
        let file = archive_of(&case, &dir, "a.tar.zst");
        let again = archive_of(&case, &dir, "b.tar.zst");
        assert!(fs::read(&file).expect("there") == fs::read(again).expect("there"), "{name}: two archives differ");
        fs::remove_dir_all(case.tree()).expect("the tree goes");
        let (run, dest) = unpack(&file, &dir);
        assert_eq!((run.status, &run.json()["verdict"]), (0, &"restorable".into()), "{name}: {}", run.stderr);
        let run = chkctl(&["verify", "--deep", "--checksums", "--json", &text(&dest)]);
        assert_eq!((run.status, &run.json()["snapshots"][0]["verdict"]), (0, &"restorable".into()), "{name}");
    }
}

#[test]
fn the_metadata_comes_last_behind_the_manifest_and_the_files_in_order() {
    let (case, dir) = (Case::named("wc-claim-chain-1.20.5"), tempfile::tempdir().expect("a directory"));
    let names: Vec<String> = entries(&archive_of(&case, &dir, "a.tar.zst")).into_iter().map(|(name, _)| name).collect();
    let (own, files) = (names.split_at(names.len() - 2).1, names.split_at(names.len() - 2).0);
    assert_eq!(own, ["snapshot/chkctl.manifest", "snapshot/_metadata"]);
    assert!(files.len() > 5 && files.is_sorted());
}

#[test]
fn an_archive_that_was_cut_or_changed_gives_nothing() {
    let (case, dir) = (Case::named("wc-heap-files-1.20.5"), tempfile::tempdir().expect("a directory"));
    let file = archive_of(&case, &dir, "a.tar.zst");
    let good = fs::read(&file).expect("an archive");
    let bad = dir.path().join("bad.tar.zst");
    let mut refused = 0;
    for part in 0..24 {
        let at = good.len() * part / 24;
        let mut flipped = good.clone();
        flipped[at] ^= 0x10;
        for bytes in [&good[..at], &flipped] {
            fs::write(&bad, bytes).expect("an archive");
            let (run, dest) = unpack(&bad, &dir);
            if run.status == 0 {
                // Only what says nothing about a file, such as a time, may change.
                assert_eq!(chkctl(&["verify", "--deep", "--checksums", &text(&dest)]).status, 0, "{part}");
                fs::remove_dir_all(&dest).expect("removed");
                continue;
            }
            refused += 1;
            assert!(matches!(run.status, 4 | 5 | 1), "{part}: {}", run.stderr);
            assert!(!dest.exists(), "{part}");
        }
    }
    assert!(refused > 40, "{refused}");
}

type Entry<'e> = (&'e str, tar::EntryType, &'e [u8], u64);

/// An archive with these entries; the last field is the size that the header says.
fn made(file: &Path, entries: &[Entry<'_>]) {
    let mut bytes = Vec::new();
    for (name, kind, content, size) in entries {
        let mut header = tar::Header::new_gnu();
        // As it is: the library refuses names that lead out.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(*size);
        header.set_mode(0o644);
        header.set_link_name("/etc/passwd").expect("a name");
        header.set_cksum();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    fs::write(file, compress_to_vec(&bytes[..], CompressionLevel::Fastest)).expect("an archive");
}

#[test]
fn hostile_archives_are_refused_and_write_nothing() {
    let (case, dir) = (Case::named("wc-heap-files-1.20.5"), tempfile::tempdir().expect("a directory"));
    let good = entries(&archive_of(&case, &dir, "a.tar.zst"));
    let file = dir.path().join("made.tar.zst");
    let plain = |list: &'_ [(String, Vec<u8>)]| -> Vec<(String, Vec<u8>)> { list.to_vec() };
    let write = |list: &[(String, Vec<u8>)], extra: &[Entry<'_>]| {
        let mut all: Vec<Entry<'_>> = extra.to_vec();
        let regular = tar::EntryType::Regular;
        all.extend(list.iter().map(|(name, bytes)| (name.as_str(), regular, bytes.as_slice(), bytes.len() as u64)));
        made(&file, &all);
    };
    write(&good, &[]);
    let (run, dest) = unpack(&file, &dir);
    assert_eq!(run.status, 0, "an archive that is only made again is fine: {}", run.stderr);
    fs::remove_dir_all(&dest).expect("removed");
    let regular = tar::EntryType::Regular;
    let hostile: [Entry<'_>; 10] = [
        ("../escaped", regular, b"x", 1),
        ("snapshot/../escaped", regular, b"x", 1),
        ("/tmp/escaped-chkctl", regular, b"x", 1),
        ("other/x", regular, b"x", 1),
        ("snapshot/link", tar::EntryType::Symlink, b"", 0),
        ("snapshot/link", tar::EntryType::Link, b"", 0),
        ("snapshot", tar::EntryType::Directory, b"", 0),
        ("snapshot/pipe", tar::EntryType::Fifo, b"", 0),
        ("././@LongLink", tar::EntryType::GNULongName, b"snapshot/x\0", 11),
        ("snapshot/unknown", regular, b"x", 1),
    ];
    for entry in hostile {
        write(&good, &[entry]);
        let (run, dest) = unpack(&file, &dir);
        assert_eq!(run.status, 4, "{entry:?}: {}", run.stderr);
        assert!(!dest.exists() && !dir.path().join("escaped").exists(), "{entry:?}");
    }
    write(&good, &[("snapshot/huge", regular, b"", 1 << 45)]);
    let (run, _) = unpack(&file, &dir);
    assert!(run.status == 4 && run.stderr.contains("--force takes"), "{}", run.stderr);
    let mut swapped = plain(&good);
    swapped.rotate_right(1);
    let mut without_manifest = plain(&good);
    without_manifest.retain(|(name, _)| !name.ends_with("chkctl.manifest"));
    let mut twice = plain(&good);
    twice.insert(0, good[0].clone());
    let mut fewer = plain(&good);
    fewer.remove(0);
    for (list, words) in [
        (swapped, "comes after the _metadata"),
        (without_manifest, "holds no chkctl.manifest"),
        (twice, "is there twice"),
        (fewer, "not as its chkctl.manifest says"),
    ] {
        write(&list, &[]);
        let (run, dest) = unpack(&file, &dir);
        assert!(run.status == 4 && run.stderr.contains(words), "{words}: {}", run.stderr);
        assert!(!dest.exists());
    }
}

#[test]
fn an_archive_is_not_written_over_anything() {
    let (case, dir) = (Case::named("wc-heap-inline-1.20.5"), tempfile::tempdir().expect("a directory"));
    let file = dir.path().join("a.tar.zst");
    fs::write(&file, b"mine").expect("a file");
    let snapshot = metadata_files(&case.tree()).pop().expect("a snapshot");
    assert_eq!(case.chkctl(["promote", &text(&snapshot), "--archive", &text(&file)]).status, 4);
    assert_eq!(fs::read(&file).expect("there"), b"mine");
    assert_eq!(fs::read_dir(dir.path()).expect("a listing").count(), 1);
}
