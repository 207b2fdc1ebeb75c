//! Hostile files of databases: SST, MANIFEST, CURRENT, OPTIONS.

use super::made::{Made, database, sparse, write};
use super::table::{Hostile, endless, endure, endured, found};
use chkctl::model::StreamHandle;
use std::io::Write;
use std::path::Path;

/// A varint of RocksDB's.
fn varint(mut number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
    out
}

fn text(bytes: &[u8]) -> Vec<u8> {
    [&varint(bytes.len() as u64), bytes].concat()
}

fn masked(bytes: &[&[u8]]) -> [u8; 4] {
    let checksum = bytes.iter().fold(0, |checksum, bytes| crc32c::crc32c_append(checksum, bytes));
    checksum.rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// Where a block is: offset and size.
type Handle = (u64, u64);

fn place((offset, size): Handle) -> Vec<u8> {
    [varint(offset), varint(size)].concat()
}

/// An SST file that is made block by block.
#[derive(Default)]
struct Sst(Vec<u8>);

impl Sst {
    /// Appends a block with this compression, and a checksum that is right.
    fn block(&mut self, content: &[u8], compression: u8) -> Handle {
        let handle = (self.0.len() as u64, content.len() as u64);
        self.0.extend_from_slice(content);
        self.0.push(compression);
        self.0.extend_from_slice(&masked(&[content, &[compression]]));
        handle
    }

    /// Appends the footer of version 2 with CRC-32C.
    fn footer(&mut self, metaindex: &[u8], index: &[u8]) {
        let mut handles = [metaindex, index].concat();
        handles.resize(40, 0);
        self.0.push(1);
        self.0.extend_from_slice(&handles);
        self.0.extend_from_slice(&2_u32.to_le_bytes());
        self.0.extend_from_slice(&0x88e2_41b7_85f4_cff7_u64.to_le_bytes());
    }

    /// A file with these properties and this index; metaindex and footer are right.
    fn finish(mut self, properties: Handle, index: Handle) -> Vec<u8> {
        let metaindex = self.block(&entries(&[(b"rocksdb.properties", &place(properties))]), 0);
        self.footer(&place(metaindex), &place(index));
        self.0
    }
}

/// The content of a block: entries that share nothing, one restart point.
fn entries(entries: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, value) in entries {
        out.push(0);
        out.extend_from_slice(&varint(key.len() as u64));
        out.extend_from_slice(&varint(value.len() as u64));
        out.extend_from_slice(key);
        out.extend_from_slice(value);
    }
    out.extend_from_slice(&[0, 0, 0, 0, 1, 0, 0, 0]);
    out
}

const INDEX_TYPE: &[u8] = b"rocksdb.block.based.table.index.type";

/// Properties that are in order, with this kind of index.
fn properties(kind: u32) -> Vec<u8> {
    entries(&[(INDEX_TYPE, &kind.to_le_bytes()), (b"rocksdb.num.entries", &[1])])
}

/// A database of one SST file, whose MANIFEST is right.
fn sst(root: &Path, bytes: &[u8]) -> Made {
    let file = write(root, "000007.sst", bytes);
    with_sst(root, file, bytes.len() as u64)
}

fn with_sst(root: &Path, file: StreamHandle<'static>, size: u64) -> Made {
    let manifest = write(root, "MANIFEST-000004", &log([first(), new_file(7, size, 12)].into_iter()));
    let current = write(root, "CURRENT", b"MANIFEST-000004\n");
    database(root, vec![("000007.sst", file), ("CURRENT", current), ("MANIFEST-000004", manifest)])
}

/// A block of properties of this compression, in place of right ones.
fn packed_properties(root: &Path, content: &[u8], compression: u8) -> Made {
    let mut file = Sst::default();
    let index = file.block(&entries(&[]), 0);
    let properties = file.block(content, compression);
    sst(root, &file.finish(properties, index))
}

/// An index with these places; keys go up.
fn index_of(places: impl Iterator<Item = Handle>) -> Vec<u8> {
    let mut out = Vec::new();
    for (number, handle) in places.enumerate() {
        let key = format!("{number:010}\x01\0\0\0\0\0\0\0");
        let value = place(handle);
        out.extend_from_slice(&[0, key.len() as u8, value.len() as u8]);
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(&value);
    }
    out.extend_from_slice(&[0, 0, 0, 0, 1, 0, 0, 0]);
    out
}

/// A file whose index, of this kind, has these places.
fn indexed(root: &Path, kind: u32, before: &[u8], places: impl Iterator<Item = Handle>) -> Made {
    let mut file = Sst::default();
    if !before.is_empty() {
        file.block(before, 0);
    }
    let index = file.block(&index_of(places), 0);
    let properties = file.block(&properties(kind), 0);
    sst(root, &file.finish(properties, index))
}

const HUGE: &[u8] = &[0xff, 0xff, 0xff, 0xff, 0x0f];
const ZLIB: u8 = 2;
const LZ4: u8 = 4;
const ZSTD: u8 = 7;

const SSTS: &[Hostile] = &[
    found("properties that say they are 4 GiB in Snappy", |root| {
        packed_properties(root, &[HUGE, &[0; 50]].concat(), 1)
    }),
    found("properties that say they are 4 GiB in zlib", |root| {
        packed_properties(root, &[HUGE, &[0; 50]].concat(), ZLIB)
    }),
    found("properties that say they are 4 GiB in LZ4", |root| packed_properties(root, &[HUGE, &[0; 50]].concat(), LZ4)),
    found("properties that say they are 4 GiB in zstd", |root| {
        packed_properties(root, &[HUGE, &[0; 50]].concat(), ZSTD)
    }),
    found("properties of 64 MiB of zeros in Snappy", |root| {
        let packed = snap::raw::Encoder::new().compress_vec(&vec![0; 64 << 20]).expect("a vector");
        packed_properties(root, &packed, 1)
    }),
    found("properties of 64 MiB of zeros in LZ4", |root| {
        // A match of length without end, one byte back.
        let mut packed = [varint(64 << 20), vec![0x1f, 0, 1, 0]].concat();
        packed.extend(std::iter::repeat_n(0xff, (64 << 20) / 255 - 1));
        packed.push(0);
        packed_properties(root, &packed, LZ4)
    }),
    found("a window of zstd of terabytes", |root| {
        let frame = [&varint(60 << 20)[..], &[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xff], &[0x03, 0x00, 0x10, 7]].concat();
        packed_properties(root, &frame, ZSTD)
    }),
    found("a window of zstd of 64 MiB and runs that fill it", |root| {
        let mut frame = [&varint(64 << 20)[..], &[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x80]].concat();
        for number in 0..2_000_u32 {
            // A run of 128 KiB; the last has its mark.
            let head = (u32::from(number == 1_999)) | (1 << 1) | ((128 << 10) << 3);
            frame.extend_from_slice(&head.to_le_bytes()[..3]);
            frame.push(7);
        }
        packed_properties(root, &frame, ZSTD)
    }),
    found("a content size of zstd of exabytes", |root| {
        let frame = [&varint(1 << 20)[..], &[0x28, 0xb5, 0x2f, 0xfd, 0xe0], &[0xff; 8], &[3, 0, 0, 7]].concat();
        packed_properties(root, &frame, ZSTD)
    }),
    found("2^31 - 1 restart points", |root| {
        packed_properties(root, &[&[0; 60][..], &[0xff, 0xff, 0xff, 0x7f]].concat(), 0)
    }),
    found("2^32 - 1 restart points", |root| packed_properties(root, &[0xff; 64], 0)),
    found("places of varints that never end", |root| {
        let mut file = Sst::default();
        file.block(&[0; 100], 0);
        file.footer(&[0xff; 20], &[0xff; 20]);
        sst(root, &file.0)
    }),
    found("places at the end of all numbers", |root| {
        let mut file = Sst::default();
        file.block(&[0; 100], 0);
        file.footer(&place((u64::MAX, u64::MAX)), &place((u64::MAX - 4, 2)));
        sst(root, &file.0)
    }),
    found("the metaindex is the whole file", |root| {
        let mut file = Sst::default();
        file.block(&[0; 10_000], 0);
        file.footer(&place((0, 10_000 + 5 + 53)), &place((0, 10_000)));
        sst(root, &file.0)
    }),
    found("an index that points to itself", |root| indexed(root, 0, &[], std::iter::once((0, 60)))),
    found("an index of indexes that points to itself", |root| {
        let mut file = Sst::default();
        // Its own length does not depend on what it is.
        let length = index_of(std::iter::once((0, 100))).len() as u64;
        let index = file.block(&index_of(std::iter::once((0, length))), 0);
        let properties = file.block(&properties(2), 0);
        sst(root, &file.finish(properties, index))
    }),
    found("an index of indexes, each the same block", |root| {
        let mut file = Sst::default();
        let lower = file.block(&index_of((0..1_000).map(|_| (0, 10))), 0);
        let index = file.block(&index_of((0..100_000).map(|_| lower)), 0);
        let properties = file.block(&properties(2), 0);
        sst(root, &file.finish(properties, index))
    }),
    found("a million data blocks in one place", |root| {
        indexed(root, 0, &[7; 50_000], (0..1_000_000).map(|_| (0, 50_000)))
    }),
    found("a million data blocks of nothing beyond the file", |root| {
        indexed(root, 0, &[7; 50_000], (0..1_000_000).map(|number| ((1 << 40) + number * 100, 10)))
    }),
    found("a million data blocks, each in the one before", |root| {
        indexed(root, 0, &[7; 2_000_000], (0..1_000_000).map(|number| (number, 1_000_000)))
    }),
    found("a million data blocks with gaps", |root| {
        indexed(root, 0, &vec![7; 8_000_000], (0..1_000_000).map(|number| (number * 8, 1)))
    }),
    found("a data block of 2^60 bytes", |root| indexed(root, 0, &[7; 50_000], std::iter::once((0, 1 << 60)))),
    found("a metaindex of a million blocks", |root| {
        let mut file = Sst::default();
        let index = file.block(&entries(&[]), 0);
        let metaindex = file.block(&index_of((0..1_000_000).map(|_| (0, 8))), 0);
        file.footer(&place(metaindex), &place(index));
        sst(root, &file.0)
    }),
    endured("all blocks of the metaindex are the file", |root| {
        let mut file = Sst::default();
        let index = file.block(&vec![0; 30_000_000], 0);
        let names: Vec<String> = (0..200).map(|number| format!("fullfilter.{number:03}")).collect();
        let place = place(index);
        let all: Vec<(&[u8], &[u8])> = names.iter().map(|name| (name.as_bytes(), place.as_slice())).collect();
        let metaindex = file.block(&entries(&all), 0);
        file.footer(&super::databases::place(metaindex), &place);
        sst(root, &file.0)
    }),
    found("an SST file of a terabyte of zeros", |root| {
        let file = sparse(root, "000007.sst", &[], 1 << 40);
        with_sst(root, file, 1 << 40)
    }),
];

#[test]
fn hostile_sst_files_are_endured() {
    endure(SSTS);
}

/// A log of RocksDB's with these records.
fn log(records: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    const BLOCK: usize = 32 << 10;
    let mut out = Vec::new();
    for record in records {
        let (mut rest, mut first) = (record.as_slice(), true);
        loop {
            let room = BLOCK - out.len() % BLOCK;
            if room < 7 {
                out.extend(std::iter::repeat_n(0, room));
                continue;
            }
            let (piece, more) = rest.split_at(rest.len().min(room - 7));
            let kind = match (first, more.is_empty()) {
                (true, true) => 1,
                (true, false) => 2,
                (false, false) => 3,
                (false, true) => 4,
            };
            out.extend_from_slice(&masked(&[&[kind], piece]));
            out.extend_from_slice(&(piece.len() as u16).to_le_bytes());
            out.push(kind);
            out.extend_from_slice(piece);
            (rest, first) = (more, false);
            if rest.is_empty() {
                break;
            }
        }
    }
    out
}

fn numbers(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| varint(*number)).collect()
}

/// The edit that every MANIFEST starts with.
fn first() -> Vec<u8> {
    [numbers(&[1]), text(b"leveldb.BytewiseComparator"), numbers(&[2, 0, 3, 1 << 40, 4, 0])].concat()
}

/// A file in an edit (kNewFile4), with keys of this length.
fn new_file(number: u64, size: u64, key: usize) -> Vec<u8> {
    let key = text(&vec![b'k'; key]);
    [numbers(&[103, 0, number, size]), key.clone(), key, numbers(&[0, 0, 1])].concat()
}

/// A database with this MANIFEST.
fn manifest(root: &Path, records: impl Iterator<Item = Vec<u8>>) -> Made {
    let bytes = log(std::iter::once(first()).chain(records));
    let manifest = write(root, "MANIFEST-000004", &bytes);
    let current = write(root, "CURRENT", b"MANIFEST-000004\n");
    database(root, vec![("CURRENT", current), ("MANIFEST-000004", manifest)])
}

/// A database with this CURRENT, beside a MANIFEST that is right.
fn current(root: &Path, bytes: &[u8]) -> Made {
    let manifest = write(root, "MANIFEST-000004", &log(std::iter::once(first())));
    let current = write(root, "CURRENT", bytes);
    database(root, vec![("CURRENT", current), ("MANIFEST-000004", manifest)])
}

const MANIFESTS: &[Hostile] = &[
    endured("a million edits of nothing", |root| manifest(root, (0..1_000_000).map(|_| numbers(&[4, 0])))),
    found("a million files", |root| manifest(root, (0..1_000_000).map(|number| new_file(number, 1_000, 12)))),
    found("a million files in one edit", |root| {
        manifest(root, std::iter::once((0..1_000_000).flat_map(|number| new_file(number, 1_000, 12)).collect()))
    }),
    found("files with keys of 64 KiB", |root| manifest(root, (0..4_000).map(|number| new_file(number, 1_000, 65_000)))),
    found("a million column families", |root| {
        manifest(root, (1..1_000_000).map(|id| [numbers(&[200, id, 201]), text(b"a state")].concat()))
    }),
    endured("column families that come and go beside many files", |root| {
        let files = (0..100).map(|edit| (0..2_000).flat_map(|file| new_file(edit * 2_000 + file, 1_000, 12)).collect());
        let come = |id| [numbers(&[200, id, 201]), text(b"a state")].concat();
        let go = |id| numbers(&[200, id, 202]);
        manifest(root, files.chain((1..300_000).flat_map(move |id| [come(id), go(id)])))
    }),
    found("column families with names of 64 KiB", |root| {
        let name = text(&[b'n'; 65_000]);
        manifest(root, (1..8_000).map(|id| [&numbers(&[200, id, 201])[..], &name].concat()))
    }),
    found("comparators with names of 64 KiB", |root| {
        let name = text(&[b'n'; 65_000]);
        let edit = |id| [&numbers(&[200, id, 201])[..], &text(b"a"), &numbers(&[1]), &name].concat();
        manifest(root, (1..8_000).map(edit))
    }),
    found("a record of 400 MB", |root| manifest(root, std::iter::once(vec![0; 400_000_000]))),
    found("a group of a million edits", |root| {
        // kInAtomicGroup, with how many are to come.
        manifest(root, (0..1_000_000).map(|number| numbers(&[300, 1_000_000 - number])))
    }),
    found("a group of edits with keys of 64 KiB", |root| {
        let edit = |number| [numbers(&[300, 5_000 - number]), new_file(number, 1_000, 65_000)].concat();
        manifest(root, (0..4_000).map(edit))
    }),
    found("deletions of what is not there", |root| {
        manifest(root, std::iter::once((0..2_000_000).flat_map(|number| numbers(&[6, 0, number])).collect()))
    }),
    found("a record that says it is longer than its block", |root| {
        let mut bytes = log(std::iter::once(first()));
        bytes.extend_from_slice(&[0, 0, 0, 0, 0xff, 0xff, 1]);
        bytes.extend_from_slice(&[0; 100]);
        let manifest = write(root, "MANIFEST-000004", &bytes);
        let current = write(root, "CURRENT", b"MANIFEST-000004\n");
        database(root, vec![("CURRENT", current), ("MANIFEST-000004", manifest)])
    }),
    found("texts of 4 GiB in an edit", |root| {
        manifest(root, std::iter::once([numbers(&[1]), HUGE.to_vec(), vec![b'x'; 100]].concat()))
    }),
    found("varints that never end in an edit", |root| manifest(root, std::iter::once(vec![0xff; 1_000_000]))),
    endured("a MANIFEST of a terabyte of zeros", |root| {
        let manifest = sparse(root, "MANIFEST-000004", &log(std::iter::once(first())), 1 << 40);
        let current = write(root, "CURRENT", b"MANIFEST-000004\n");
        database(root, vec![("CURRENT", current), ("MANIFEST-000004", manifest)])
    }),
    found("a CURRENT that leads out of the directory", |root| current(root, b"../../../../../../etc/passwd\n")),
    found("a CURRENT that leads to another MANIFEST elsewhere", |root| current(root, b"MANIFEST-../../etc/passwd\n")),
    found("a CURRENT with a NUL", |root| current(root, b"MANIFEST-000004\0\n")),
    found("a CURRENT that moves the cursor", |root| current(root, b"\x1b[2J\x1b[1;1H\rMANIFEST-000004\n")),
    found("a CURRENT that names itself", |root| current(root, b"CURRENT\n")),
    found("a CURRENT that names a MANIFEST that is not there", |root| current(root, b"MANIFEST-999999\n")),
    found("a CURRENT of many megabytes", |root| current(root, &b"MANIFEST-000004\n".repeat(1_000_000))),
    found("a CURRENT of a terabyte", |root| {
        let manifest = write(root, "MANIFEST-000004", &log(std::iter::once(first())));
        let current = sparse(root, "CURRENT", b"MANIFEST-000004\n", 1 << 40);
        database(root, vec![("CURRENT", current), ("MANIFEST-000004", manifest)])
    }),
    found("a CURRENT without an end of its line", |root| current(root, &[b'M'; 100_000])),
];

#[test]
fn hostile_manifests_are_endured() {
    endure(MANIFESTS);
}

/// A database with OPTIONS beside what is right.
fn options(root: &Path, stream: StreamHandle<'static>) -> Made {
    let manifest = write(root, "MANIFEST-000004", &log(std::iter::once(first())));
    let current = write(root, "CURRENT", b"MANIFEST-000004\n");
    database(root, vec![("CURRENT", current), ("MANIFEST-000004", manifest), ("OPTIONS-000006", stream)])
}

const OPTIONS: &[Hostile] = &[
    found("OPTIONS of one line of a gigabyte", |root| {
        let stream = sparse(root, "OPTIONS-000006", b"[Version]\n  x=", 1 << 30);
        options(root, stream)
    }),
    endured("OPTIONS of a terabyte", |root| {
        let stream = sparse(root, "OPTIONS-000006", b"[Version]\n  x=1\n", 1 << 40);
        options(root, stream)
    }),
    endured("a hundred megabytes of empty lines", |root| {
        let stream = write(root, "OPTIONS-000006", &[b'\n'; 100_000_000]);
        options(root, stream)
    }),
    endured("a million sections", |root| {
        let text: String = (0..1_000_000).map(|number| format!("[CFOptions \"{number}\"]\n  a=b\n")).collect();
        let stream = write(root, "OPTIONS-000006", text.as_bytes());
        options(root, stream)
    }),
    found("OPTIONS that are not text", |root| {
        let stream = write(root, "OPTIONS-000006", &[0xff, 0xfe, 0, 0x1b].repeat(10_000));
        options(root, stream)
    }),
];

#[test]
fn hostile_options_are_endured() {
    endure(OPTIONS);
}

#[test]
fn a_terabyte_of_data_blocks_ends_with_the_time() {
    let big = endless("a terabyte of data blocks", |root| {
        // As many as fit an index, of 60 MiB each: an unoptimised binary needs longer for them than there is time.
        let mut tail = Sst::default();
        let base = 17_000_u64 * (60 << 20);
        let index = index_of((0..17_000).map(|number| (number * (60 << 20), (60 << 20) - 5)));
        let (start, length) = tail.block(&index, 0);
        let (at, size) = tail.block(&properties(0), 0);
        let meta = entries(&[(b"rocksdb.properties", &place((base + at, size)))]);
        let (meta_at, meta) = tail.block(&meta, 0);
        tail.footer(&place((base + meta_at, meta)), &place((base + start, length)));
        sparse(root, "000007.sst", &[], base);
        let path = super::made::exclusive(root).join("000007.sst");
        let opened = std::fs::File::options().append(true).open(path);
        opened.and_then(|mut file| file.write_all(&tail.0)).expect("a sparse file");
        let size = base + tail.0.len() as u64;
        with_sst(root, super::made::handle(root, "000007.sst", size), size)
    });
    endure(&[big]);
}
