//! The body of keyed state in the canonical format of savepoints, which all backends read (`FullSnapshotAsyncWriter`,
//! `FullSnapshotRestoreOperation`).
//!
//! Behind the [head](super::keyed) one piece per key group that has entries, at the offsets in the handle (0 for one that
//! has none): the number of a state as a `short`, then entries, each a key and a value as byte arrays. The first bit
//! of the last key of a state is set, and a `short` follows: the number of the next state, or 0xffff at the end of
//! the key group.
//!
//! A key is the number of the key group in one byte, or two where there are more than 128, the key and the namespace
//! (`SerializedCompositeKeyBuilder`). Where both vary in length, each is followed by its length, low byte first. Map
//! state has an entry for each of its own, with the key in the map behind the namespace and a null flag before the
//! value. The elements of list state are divided by commas. A timer is all key, and its value is empty.

mod reader;
mod writer;

pub use reader::{CanonicalReader, Entries, Entry, KeyGroup};
pub use writer::{KeyGroupWriter, begin_state, end_state};

/// `FullSnapshotUtil.END_OF_KEY_GROUP_MARK`.
pub(super) const END_OF_KEY_GROUP: u16 = 0xffff;
/// `FullSnapshotUtil.FIRST_BIT_IN_BYTE_MASK`.
pub(super) const LAST_OF_STATE: u8 = 0x80;
/// `ListDelimitedSerializer.DELIMITER`.
pub(super) const DELIMITER: u8 = b',';

/// Bytes of the key group before each key (`CompositeKeySerializationUtils.computeRequiredBytesInKeyGroupPrefix`).
pub(super) fn prefix_bytes(max_parallelism: u16) -> usize {
    if max_parallelism > 128 { 2 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::keyed::KeyedHeader;
    use crate::state::meta::{KeyedStateType, StateMeta};
    use crate::state::serializer::SerializerSnapshot as S;
    use crate::state::timer::Timer;
    use crate::state::types::StateType;
    use crate::wire::Decoded;

    fn header() -> KeyedHeader {
        let state = |name, kind, value| StateMeta::key_value(name, kind, S::string(), value);
        let states = vec![
            state("value", KeyedStateType::Value, S::long()),
            state("list", KeyedStateType::List, S::list(S::string())),
            state("map", KeyedStateType::Map, S::map(S::int(), S::string())),
            StateMeta::priority_queue("timers", S::timer(S::string(), S::void_namespace())),
        ];
        KeyedHeader::new(String::serializer(), states)
    }

    fn stream(max_parallelism: u16) -> (Vec<u8>, Vec<i64>) {
        let (key, namespace) = ("key".to_owned(), "ns".to_owned());
        let mut out = Vec::new();
        header().write(&mut out).expect("it fits");
        let mut offsets = Vec::new();
        for group in [2, 3, 4] {
            let start = i64::try_from(out.len()).expect("short");
            let mut writer = KeyGroupWriter::new(&mut out, group, max_parallelism);
            if group != 3 {
                writer.value(0, &namespace, &key, &7_i64).expect("it fits");
                writer.value(0, &namespace, &"other".to_owned(), &8_i64).expect("it fits");
                writer.list(1, &namespace, &key, &["a".to_owned(), "b".to_owned()]).expect("it fits");
                writer.map_entry(2, &namespace, &key, &1_i32, &"one".to_owned()).expect("it fits");
                writer.timer(3, &Timer { timestamp: 9, key: key.clone(), namespace: () }).expect("it fits");
            }
            offsets.push(if writer.finish() { start } else { 0 });
        }
        (out, offsets)
    }

    fn walk(bytes: &[u8], offsets: &[i64], max_parallelism: u16) -> Decoded<usize> {
        let reader = CanonicalReader::new(bytes, max_parallelism)?;
        let mut count = 0;
        for range in crate::state::ranges(offsets, bytes.len()) {
            let group = reader.key_group(&range)?;
            let mut entries = group.entries()?;
            while let Some(entry) = entries.next()? {
                entry.check(reader.header())?;
                count += 1;
            }
        }
        Ok(count)
    }

    #[test]
    fn what_is_written_is_read() {
        for max_parallelism in [128, 129] {
            let (bytes, offsets) = stream(max_parallelism);
            assert_eq!(offsets.get(1), Some(&0), "no entries, no place");
            let reader = CanonicalReader::new(&bytes, max_parallelism).expect("a stream");
            let range = crate::state::ranges(&offsets, bytes.len()).remove(2);
            let group = reader.key_group(&range).expect("a key group");
            let mut entries = group.entries().expect("entries");
            let mut next = || entries.next().expect("an entry").expect("one more");
            let (key, namespace) = ("key".to_owned(), "ns".to_owned());
            let first = next();
            assert_eq!((first.state, first.key_group), (0, 4));
            assert_eq!(first.read(), Ok((namespace.clone(), key.clone(), 7_i64)));
            assert_eq!(next().read(), Ok((namespace.clone(), "other".to_owned(), 8_i64)));
            let list = vec!["a".to_owned(), "b".to_owned()];
            assert_eq!(next().read_list(), Ok((namespace.clone(), key.clone(), list)));
            assert_eq!(next().read_map_entry(), Ok((namespace, key.clone(), 1_i32, "one".to_owned())));
            assert_eq!(next().read_timer(), Ok(Timer { timestamp: 9, key, namespace: () }));
            assert!(matches!(entries.next(), Ok(None)));
            assert_eq!(walk(&bytes, &offsets, max_parallelism), Ok(10));
        }
    }

    #[test]
    fn lengths_stand_between_key_and_namespace_only_where_both_vary() {
        let mut out = Vec::new();
        let mut writer = KeyGroupWriter::new(&mut out, 5, 128);
        writer.value(0, &"n".to_owned(), &"k".to_owned(), &1_i8).expect("it fits");
        writer.value(0, &(), &"k".to_owned(), &1_i8).expect("it fits");
        assert!(writer.finish());
        let ambiguous = [0, 0, 0, 7, 5, 2, b'k', 2, 2, b'n', 2, 0, 0, 0, 1, 1];
        let clear = [0, 0, 0, 4, 0x85, 2, b'k', 0, 0, 0, 0, 1, 1, 0xff, 0xff];
        assert_eq!(out, [&[0, 0][..], &ambiguous, &clear].concat());
    }

    #[test]
    fn damaged_streams_are_errors_or_other_values_but_nothing_worse() {
        let (bytes, offsets) = stream(128);
        for at in 0..bytes.len() {
            assert!(walk(bytes.get(..at).unwrap_or_default(), &offsets, 128).is_err(), "cut at {at}");
            for flip in [0x01, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] ^= flip;
                let _ = walk(&damaged, &offsets, 128);
            }
        }
    }
}
