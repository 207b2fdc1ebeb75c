//! Any bytes: an SST file is judged, and the progress told adds up to its size.

#![no_main]

use chkctl::rocksdb::check_sst;
use libfuzzer_sys::fuzz_target;
use std::cell::Cell;

fuzz_target!(|bytes: &[u8]| {
    let told = Cell::new(0);
    let summary = check_sst(&bytes, &|more| told.set(told.get() + more)).expect("memory can be read");
    assert_eq!(told.get(), bytes.len() as u64);
    assert!(summary.format_version.is_some() || !summary.checked.damages.is_empty());
});
