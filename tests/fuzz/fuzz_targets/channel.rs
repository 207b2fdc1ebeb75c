//! Any bytes in the place of a file of in-flight buffers: the check comes to an end and does not panic.

#![no_main]

use chkctl::state::check::{ChannelPart, channel_state};
use libfuzzer_sys::fuzz_target;
use std::borrow::Cow;

fuzz_target!(|input: (Vec<(Vec<i64>, i64)>, Vec<u8>)| {
    let (parts, bytes) = input;
    let parts = parts.into_iter().map(|(offsets, size)| ChannelPart { offsets: Cow::Owned(offsets), size });
    channel_state(&bytes.as_slice(), &parts.collect::<Vec<_>>(), &|_| {}).expect("memory does not fail");
});
