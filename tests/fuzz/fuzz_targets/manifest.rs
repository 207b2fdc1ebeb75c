//! Any bytes: a `MANIFEST` is judged, and what it says is compared with files that are not there.

#![no_main]

use chkctl::model::Effect;
use chkctl::rocksdb::{check_column_families, check_database, read_current, read_manifest};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let manifest = read_manifest(&bytes).expect("memory can be read");
    let faults = check_database(&manifest, "MANIFEST-000004", "MANIFEST-000004", &[]);
    assert_eq!(faults.len(), manifest.live.len());
    assert!(faults.iter().all(|fault| fault.effect == Effect::Fails));
    let _ = check_column_families(&manifest, "MANIFEST-000004", &[]);
    let _ = read_current(bytes);
});
