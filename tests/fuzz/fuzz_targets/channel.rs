//! Any bytes in the place of a file of in-flight buffers: the check comes to an end and does not panic. The first bytes
//! say what the handles would.

#![no_main]

mod handle;

use chkctl::state::check::{ChannelPart, channel_state};
use handle::Handle;
use libfuzzer_sys::fuzz_target;
use std::borrow::Cow;

fuzz_target!(|bytes: &[u8]| {
    let mut handle = Handle(bytes);
    let parts: Vec<_> = (0..handle.u8())
        .map(|_| ChannelPart { offsets: Cow::Owned(handle.offsets()), size: handle.i32().into() })
        .collect();
    channel_state(&handle.0, &parts, &|_| {}).expect("memory does not fail");
});
