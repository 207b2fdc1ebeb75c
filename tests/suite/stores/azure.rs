//! Azure's blob storage, as far as its emulator is like it.

use super::super::servers::with_azure;
use super::conformance::{Nature, conforms};
use chkctl::storage::WriteStorage as _;

#[test]
#[ignore = "by hand, after tests/servers/azure.sh fetch: --ignored azurite"]
fn azurite_does_what_a_store_has_to() {
    with_azure(|store, root| {
        let dir = root.with_suffix("/conforms");
        store.create_dirs(&dir).expect("a directory");
        conforms(store, &dir, Nature::Prefixes);
    });
}
