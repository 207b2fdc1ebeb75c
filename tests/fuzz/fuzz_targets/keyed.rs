//! Any bytes in the place of a stream of keyed state: the check comes to an end and does not panic. The first bytes say
//! what the handle would.

#![no_main]

use chkctl::model::KeyGroupRange;
use chkctl::model::handle::{KeyGroups, KeyGroupsKind, StreamHandle};
use chkctl::state::check::{database_meta, keyed_stream};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (bool, u16, i32, Vec<i64>, Vec<u8>)| {
    let (savepoint, max_parallelism, start, offsets, bytes) = input;
    let source = bytes.as_slice();
    let kind = if savepoint { KeyGroupsKind::Savepoint } else { KeyGroupsKind::Plain };
    let count = i32::try_from(offsets.len()).expect("few");
    let range = KeyGroupRange { start, count };
    // Offsets far outside of the stream are found at once.
    let offsets = offsets.into_iter().map(|offset| offset % (bytes.len() as i64 + 2)).collect();
    let groups = KeyGroups { kind, range, offsets, stream: StreamHandle::EmptySegment };
    keyed_stream(&source, &groups, max_parallelism.into(), &|_| {}).expect("memory does not fail");
    database_meta(&source, &|_| {}).expect("memory does not fail");
});
