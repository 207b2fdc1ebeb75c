//! Any bytes: the decoder gives a value or an error. A value is written back as it was read, and everything that is
//! done with a decoded `_metadata` without I/O goes through.

#![no_main]

use chkctl::format;
use chkctl::format::properties;
use chkctl::model::{ChannelInfo, Location};
use chkctl::survey::resolve::Resolver;
use chkctl::survey::{key_groups, references};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(metadata) = format::decode(bytes) else { return };
    let written = format::encode(&metadata).expect("what was decoded can be encoded");
    assert!(written == bytes, "decoding and encoding changed the bytes");
    let _ = (metadata.state_size(), metadata.checkpointed_size());
    for operator in &metadata.operators {
        let _ = key_groups::check(operator);
        for state in operator.subtasks().iter().filter_map(|subtask| subtask.state.as_deref()) {
            for handle in state.channel_handles() {
                if let ChannelInfo::Merged(packed) = &handle.info {
                    let _ = format::merged_channels(packed);
                }
            }
        }
    }
    let mut resolver = Resolver::new(Location::new(Some("file"), None, "/ck/chk-1"));
    references::walk(&metadata, |reference| {
        if let Ok(file) = resolver.resolve(&reference.place) {
            let _ = resolver.location(&file).to_string();
        }
    });
    if let Some(properties) = metadata.properties.as_deref().and_then(properties::read) {
        let _ = (properties.describe(), properties.retention());
    }
});
