//! Any bytes in the place of a stream of operator state: the check comes to an end and does not panic.

#![no_main]

use chkctl::model::DistributionMode;
use chkctl::model::handle::OperatorStateInfo;
use chkctl::state::check::operator_stream;
use chkctl::wire::JavaStr;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (String, Vec<i64>, Vec<u8>)| {
    let (name, offsets, bytes) = input;
    let offsets = offsets.into_iter().map(|offset| offset % (bytes.len() as i64 + 2)).collect();
    let state = OperatorStateInfo { name: JavaStr::from(name.as_str()), mode: DistributionMode::Union, offsets };
    operator_stream(&bytes.as_slice(), &[state], &|_| {}).expect("memory does not fail");
});
