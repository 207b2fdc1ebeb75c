//! Any bytes: an `OPTIONS` file is judged, and never keeps a database from opening.

#![no_main]

use chkctl::model::Effect;
use chkctl::rocksdb::read_options;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let options = read_options(&bytes).expect("memory can be read");
    assert!(options.checked.damages.iter().all(|damage| damage.effect != Effect::Fails));
});
