//! Any bytes in the place of a changelog segment: the check comes to an end and does not panic. The first bytes say where
//! changes start.

#![no_main]

mod handle;

use chkctl::state::check::changelog_segment;
use handle::Handle;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut handle = Handle(bytes);
    let offsets = handle.offsets();
    changelog_segment(&handle.0, &offsets, &|_| {}).expect("memory does not fail");
});
