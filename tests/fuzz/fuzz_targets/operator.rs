//! Any bytes in the place of a stream of operator state: the check comes to an end and does not panic. The first bytes say
//! what the handle would.

#![no_main]

mod handle;

use chkctl::model::DistributionMode;
use chkctl::model::handle::OperatorStateInfo;
use chkctl::state::check::operator_stream;
use chkctl::wire::JavaStr;
use handle::Handle;
use libfuzzer_sys::fuzz_target;
use std::cell::Cell;

fuzz_target!(|bytes: &[u8]| {
    let mut handle = Handle(bytes);
    let states: Vec<_> = (0..handle.u8()).map(|_| (handle.name(), handle.u8(), handle.offsets())).collect();
    let state = |(name, mode, offsets): &(String, u8, Vec<i64>)| OperatorStateInfo {
        name: JavaStr::from(name.as_str()),
        mode: match mode % 3 {
            0 => DistributionMode::SplitDistribute,
            1 => DistributionMode::Union,
            _ => DistributionMode::Broadcast,
        },
        offsets: offsets.clone(),
    };
    let states: Vec<_> = states.iter().map(state).collect();
    let told = Cell::new(0);
    operator_stream(&handle.0, &states, &|more| told.set(told.get() + more)).expect("memory does not fail");
    assert_eq!(told.get(), handle.0.len() as u64);
});
