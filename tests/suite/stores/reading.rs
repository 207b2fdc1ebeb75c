//! Reading: whole files, ranges, and files that are open.

use super::conformance::{Asked, Check, kind, pattern};
use chkctl::storage::StorageErrorKind;

pub const CHECKS: &[Check] = &[
    ("whole files and ranges are read", ranges),
    ("a large file is read anywhere", large),
    ("what is no file is not read", no_files),
];

fn ranges(asked: &Asked<'_>) {
    let file = asked.put("a", b"0123456789");
    for (offset, length, wanted) in
        [(0, 10, "0123456789"), (0, 3, "012"), (4, 2, "45"), (8, 100, "89"), (10, 5, ""), (99, 5, ""), (3, 0, "")]
    {
        let read = asked.store.read_range(&file, offset, length).expect("readable");
        assert_eq!(String::from_utf8_lossy(&read), wanted, "{offset} {length}");
    }
    assert_eq!(asked.store.read_range(&file, u64::MAX - 1, u64::MAX), Ok(Vec::new()));
    assert_eq!(asked.store.read(&file, 10), Ok(b"0123456789".to_vec()));
    assert_eq!(kind(asked.store.read(&file, 9)), Err(StorageErrorKind::TooLarge));
    let empty = asked.put("empty", b"");
    assert_eq!(asked.store.read(&empty, 0), Ok(Vec::new()));
    assert_eq!(asked.store.read_range(&empty, 0, 5), Ok(Vec::new()));
    let open = asked.store.open(&empty).expect("open");
    let mut byte = [0];
    assert_eq!((open.size(), open.read_at(0, &mut byte).ok()), (0, Some(0)));
}

fn large(asked: &Asked<'_>) {
    let content = pattern((11 << 20) + 77);
    let file = asked.place("large");
    let mut writer = asked.store.create(&file).expect("a new file");
    for part in content.chunks(1_000_003) {
        writer.write(part).expect("written");
    }
    assert_eq!(writer.finish(), Ok(content.len() as u64));
    assert!(asked.content(&file) == content);
    let open = asked.store.open(&file).expect("open");
    assert_eq!(open.size(), content.len() as u64);
    let mut place = 0;
    // Forwards in small steps, then to and fro.
    let steps = (0..200).map(|i| i * 977).chain((0..60).map(|i| i * 7_654_321 % content.len()));
    for offset in steps {
        let mut block = [0; 997];
        let count = open.read_at(offset as u64, &mut block).expect("readable");
        assert!(count > 0 && block[..count] == content[offset..offset + count], "{offset}");
        place = place.max(offset);
    }
    let mut whole = vec![0; content.len()];
    let mut done = 0;
    while done < whole.len() {
        let count = open.read_at(done as u64, &mut whole[done..]).expect("readable");
        assert!(count > 0, "it ends after {done}");
        done += count;
    }
    assert!(whole == content);
    let mut block = [0; 10];
    let end = content.len() as u64;
    assert_eq!(open.read_at(end, &mut block).ok(), Some(0));
    assert_eq!(open.read_at(end + 99, &mut block).ok(), Some(0));
    assert!(open.read_at(end - 3, &mut block).is_ok_and(|count| (1..=3).contains(&count)));
    let range = asked.store.read_range(&file, 9_000_000, 5 << 20).expect("readable");
    assert!(range == content[9_000_000..]);
}

fn no_files(asked: &Asked<'_>) {
    let dir = asked.dir("dir");
    asked.put("dir/full/x", b"x");
    for dir in [dir, asked.place("dir/full")] {
        let errors = [
            kind(asked.store.read(&dir, 100).map(drop)),
            kind(asked.store.read_range(&dir, 0, 100).map(drop)),
            kind(asked.store.open(&dir).map(drop)),
        ];
        assert_eq!(errors, [Err(StorageErrorKind::Other); 3], "{dir}");
    }
    for missing in ["none", "none/none", "dir/none"].map(|path| asked.place(path)) {
        let errors = [
            kind(asked.store.read(&missing, 100).map(drop)),
            kind(asked.store.read_range(&missing, 0, 100).map(drop)),
            kind(asked.store.open(&missing).map(drop)),
        ];
        assert_eq!(errors, [Err(StorageErrorKind::NotFound); 3], "{missing}");
    }
}
