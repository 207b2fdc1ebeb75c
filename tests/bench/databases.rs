//! Databases of RocksDB: SST files that its own tools write, and a MANIFEST of any size by hand.

use crate::cpu::printed;
use crate::snapshot::{Snapshot, keyed, range};
use std::fs;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// How the SST files of a database are written.
#[derive(Clone, Copy)]
pub struct Kind {
    /// As `ldb` names it.
    pub compression: &'static str,
    /// As files of options name it.
    pub checksum: &'static str,
    /// Bytes of an SST file per byte of its entries, about: to know how much to load.
    pub ratio: f64,
}

/// What Flink's databases have (Snappy with CRC-32C up to 1.20, with XXH3 since 2.0), and other compressions.
pub const KINDS: [Kind; 6] = [
    Kind { compression: "snappy", checksum: "kCRC32c", ratio: 0.8 },
    Kind { compression: "snappy", checksum: "kXXH3", ratio: 0.8 },
    Kind { compression: "no", checksum: "kCRC32c", ratio: 1.0 },
    Kind { compression: "no", checksum: "kXXH3", ratio: 1.0 },
    Kind { compression: "lz4", checksum: "kXXH3", ratio: 0.8 },
    Kind { compression: "zstd", checksum: "kXXH3", ratio: 0.55 },
];

/// Whether the tools of RocksDB are here.
pub fn tools() -> Result<String, String> {
    let version = printed(Command::new("ldb").arg("--version"));
    let dump = printed(Command::new("sst_dump").arg("--version"));
    match (version, dump) {
        (Some(version), Some(_)) => Ok(version.trim().to_owned()),
        _ => Err("ldb and sst_dump of RocksDB (rocksdb-tools) are not here".to_owned()),
    }
}

fn ldb(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new("ldb");
    command.arg(format!("--db={}", dir.display())).args(args).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// A snapshot of so many subtasks, each with a database of about `size` bytes.
pub fn databases(mut snapshot: Snapshot, subtasks: usize, size: u64, kind: Kind) -> Snapshot {
    let mut states = Vec::new();
    for index in 0..subtasks {
        let dir = snapshot.dir().join(format!("db-{index}"));
        fill(&dir, size, kind);
        let mut names = Vec::new();
        for entry in fs::read_dir(&dir).expect("a database") {
            let entry = entry.expect("a file of a database");
            let name = entry.file_name().to_string_lossy().into_owned();
            let wanted = ["CURRENT", "MANIFEST-", "OPTIONS-"].iter().any(|prefix| name.starts_with(prefix));
            if !wanted && !name.ends_with(".sst") {
                continue;
            }
            names.push(format!("db-{index}/{name}"));
            if name.ends_with(".sst") {
                snapshot.files.push(entry.path());
            }
        }
        // Of several OPTIONS the newest counts.
        names.sort();
        let options: Vec<String> = names.iter().filter(|name| name.contains("OPTIONS-")).cloned().collect();
        names.retain(|name| !name.contains("OPTIONS-") || options.last() == Some(name));
        states.push(keyed(snapshot.database(range(subtasks, index), &names)));
    }
    snapshot.finish(states);
    snapshot
}

/// Loads a database with entries like those of small records: a key of 16 bytes and some 230 bytes, half of them noise.
fn fill(dir: &Path, size: u64, kind: Kind) {
    let run = |command: &mut Command| assert!(command.status().expect("ldb").success(), "{command:?}");
    run(&mut ldb(dir, &["--create_if_missing", "put", "first", "entry"]));
    for entry in fs::read_dir(dir).expect("a database").flatten() {
        if entry.file_name().to_string_lossy().starts_with("OPTIONS-") {
            let text = fs::read_to_string(entry.path()).expect("options");
            let line = text.lines().find(|line| line.trim_start().starts_with("checksum=")).expect("a checksum").trim();
            let text = text.replace(line, &format!("checksum={}", kind.checksum));
            fs::write(entry.path(), text).expect("options");
        }
    }
    let compression = format!("--compression_type={}", kind.compression);
    let load = ["--try_load_options", "--bulk_load", "--compact", "--file_size=67108864", &compression, "load"];
    let mut child = ldb(dir, &load).stdin(Stdio::piped()).spawn().expect("ldb");
    let mut input = BufWriter::with_capacity(1 << 20, child.stdin.take().expect("a pipe"));
    let (mut state, mut written) = (1_u64, 0);
    let mut number = 0_u64;
    while (written as f64) * kind.ratio < size as f64 {
        let mut value = String::with_capacity(256);
        for _ in 0..4 {
            value.push_str("the state of a key: ");
            for _ in 0..2 {
                state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
                value.push_str(&format!("{:016x}", state ^ (state >> 29)));
            }
        }
        writeln!(input, "{:016x} ==> {value}", number * 7).expect("a pipe");
        written += 24 + value.len() + 3;
        number += 1;
    }
    drop(input);
    assert!(child.wait().expect("ldb").success(), "ldb load");
}

/// A snapshot with a database whose MANIFEST is of about `size` bytes: files come and go, and none is left.
pub fn manifest(mut snapshot: Snapshot, size: u64) -> Snapshot {
    let mut log = Log { out: Vec::new() };
    let mut edit = Edit::default();
    edit.number(1).text(b"leveldb.BytewiseComparator").number(2).number(0).number(3).number(5).number(4).number(0);
    log.record(&edit.0);
    let mut number = 10;
    while (log.out.len() as u64) < size {
        // kLogNumber, kNextFileNumber, kLastSequence, kDeletedFile, kNewFile4.
        let mut edit = Edit::default();
        edit.number(2).number(number).number(3).number(number + 1).number(4).number(number * 100);
        if number > 10 {
            edit.number(6).number(0).number(number - 1);
        }
        edit.number(103).number(0).number(number).number(64 << 20);
        edit.text(b"a key of twenty byte\x01\0\0\0\0\0\0\0").text(b"z key of twenty byte\x01\0\0\0\0\0\0\0");
        edit.number(number * 99).number(number * 100).number(1);
        log.record(&edit.0);
        number += 1;
    }
    let mut edit = Edit::default();
    edit.number(6).number(0).number(number - 1);
    log.record(&edit.0);
    snapshot.create("MANIFEST-000004").write_all(&log.out).expect("room for a state file");
    fs::write(snapshot.dir().join("CURRENT"), "MANIFEST-000004\n").expect("a new file");
    let names = ["CURRENT", "MANIFEST-000004"].map(str::to_owned);
    let handle = snapshot.database(range(1, 0), &names);
    snapshot.finish(vec![keyed(handle)]);
    snapshot
}

/// A `VersionEdit`.
#[derive(Default)]
struct Edit(Vec<u8>);

impl Edit {
    fn number(&mut self, mut number: u64) -> &mut Self {
        while number >= 0x80 {
            self.0.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
        self
    }

    fn text(&mut self, text: &[u8]) -> &mut Self {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text);
        self
    }
}

/// Records as `log::Writer` frames them.
struct Log {
    out: Vec<u8>,
}

impl Log {
    fn record(&mut self, mut bytes: &[u8]) {
        const BLOCK: usize = 32 << 10;
        let mut first = true;
        loop {
            let room = BLOCK - self.out.len() % BLOCK;
            if room < 7 {
                self.out.extend(std::iter::repeat_n(0, room));
                continue;
            }
            let (piece, rest) = bytes.split_at(bytes.len().min(room - 7));
            let kind = match (first, rest.is_empty()) {
                (true, true) => 1,
                (true, false) => 2,
                (false, false) => 3,
                (false, true) => 4,
            };
            let checksum = crc32c::crc32c_append(crc32c::crc32c(&[kind]), piece);
            let masked = checksum.rotate_right(15).wrapping_add(0xa282_ead8);
            self.out.extend_from_slice(&masked.to_le_bytes());
            self.out.extend_from_slice(&(piece.len() as u16).to_le_bytes());
            self.out.push(kind);
            self.out.extend_from_slice(piece);
            if rest.is_empty() {
                return;
            }
            (bytes, first) = (rest, false);
        }
    }
}
