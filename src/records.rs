//! Pins and tags: small records that chkctl keeps beside the snapshots that they are about.
