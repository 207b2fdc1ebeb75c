#!/usr/bin/env bash
# tests/fuzz/run.sh [SECONDS]: fuzzes the codec, seeded with every _metadata of the corpus (default: 600 seconds).
# Needs a nightly toolchain, cargo-fuzz (`cargo install cargo-fuzz`), tar and zstd.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-600}
seeds=$(mktemp -d)
trap 'rm -rf "$seeds"' EXIT
for archive in ../../testdata/corpus/*.tar.zst; do
    case=$(mktemp -d -p "$seeds")
    zstd -dcq "$archive" | tar -x -C "$case"
done
mkdir -p corpus/decode
find "$seeds" -name _metadata -print0 | while IFS= read -r -d '' file; do
    cp "$file" "corpus/decode/$(sha256sum "$file" | cut -c1-16)"
done
cargo +nightly fuzz run --fuzz-dir . decode -- -max_total_time="$seconds" -max_len=65536 -rss_limit_mb=1024 -timeout=10
