//! Azure's blob storage, as far as its emulator is like it.

use super::super::servers::s3::with_azure;
use super::conformance::{Nature, conforms, kind};
use chkctl::storage::{Presence, Storage as _, StorageErrorKind, WriteStorage as _};

#[test]
#[ignore = "by hand, after tests/servers/azure.sh fetch: --ignored azurite"]
fn azurite_does_what_a_store_has_to() {
    with_azure(|azure| {
        let (store, root) = azure.store(None);
        let dir = root.with_suffix("/conforms");
        store.create_dirs(&dir).expect("a directory");
        conforms(&store, &dir, Nature::Prefixes);
        assert_eq!(store.creates_exclusively(&dir), Ok(true));
    });
}

#[test]
#[ignore = "by hand, after tests/servers/azure.sh fetch: --ignored azurite"]
fn a_container_of_azurite_that_is_not_there_is_no_missing_file() {
    with_azure(|azure| {
        let (store, root) = azure.store(Some("nowhere"));
        let file = root.with_suffix("/job/a");
        let errors = [
            kind(store.stat(&file).map(drop)),
            kind(store.list(&file).map(drop)),
            kind(store.read(&file, 9).map(drop)),
        ];
        assert_eq!(errors, [Err(StorageErrorKind::Other); 3]);
        assert!(matches!(&store.lookup(&root, &["a", "b", "c"], &|_| {})[..], [Presence::Unknown(_), ..]));
    });
}
