//! Any bytes in the place of a stream of keyed state: the check comes to an end and does not panic. The first bytes say
//! what the handle would.

#![no_main]

mod handle;

use chkctl::model::KeyGroupRange;
use chkctl::model::handle::{KeyGroups, KeyGroupsKind, StreamHandle};
use chkctl::state::check::{database_meta, keyed_stream};
use handle::Handle;
use libfuzzer_sys::fuzz_target;
use std::cell::Cell;

fuzz_target!(|bytes: &[u8]| {
    let mut handle = Handle(bytes);
    let kind = if handle.u8() & 1 == 1 { KeyGroupsKind::Savepoint } else { KeyGroupsKind::Plain };
    let (max_parallelism, start, offsets) = (handle.u16(), handle.i32(), handle.offsets());
    let count = i32::try_from(offsets.len()).expect("few");
    let groups =
        KeyGroups { kind, range: KeyGroupRange { start, count }, offsets, stream: StreamHandle::EmptySegment };
    let source = handle.0;
    let told = Cell::new(0);
    keyed_stream(&source, &groups, max_parallelism.into(), &|more| told.set(told.get() + more)).expect("memory");
    assert_eq!(told.get(), source.len() as u64);
    database_meta(&source, &|_| {}).expect("memory does not fail");
});
