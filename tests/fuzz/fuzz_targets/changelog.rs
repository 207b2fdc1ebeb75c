//! Any bytes in the place of a changelog segment: the check comes to an end and does not panic.

#![no_main]

use chkctl::state::check::changelog_segment;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (Vec<i64>, Vec<u8>)| {
    let (offsets, bytes) = input;
    changelog_segment(&bytes.as_slice(), &offsets, &|_| {}).expect("memory does not fail");
});
