#!/usr/bin/env bash
# tests/fuzz/run.sh [SECONDS] [TARGET]: fuzzes the codec (target `decode`, the default), seeded with every _metadata of the
# corpus, or a deep check of state files (`keyed`, `operator`, `changelog`, `channel`), for 600 seconds unless told.
# Needs a nightly toolchain, cargo-fuzz (`cargo install cargo-fuzz`), tar and zstd.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-600}
target=${2:-decode}
if [ "$target" != decode ]; then
    exec cargo +nightly fuzz run --fuzz-dir . "$target" -- -max_total_time="$seconds" -max_len=65536 -rss_limit_mb=1024 \
        -timeout=10
fi
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
