#!/usr/bin/env bash
# tests/fuzz/run.sh [SECONDS [TARGET...]]: fuzzes the codec (decode), the readers of RocksDB's files (sst, manifest, options)
# and the checks of state files (keyed, operator, changelog, channel), each for SECONDS (default: 600), seeded with the
# corpus.
# Needs a nightly toolchain, cargo-fuzz (`cargo install cargo-fuzz`), tar and zstd.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-600}
targets=("${@:2}")
[ ${#targets[@]} -gt 0 ] || targets=(decode sst manifest options keyed operator changelog channel)
seeds=$(mktemp -d)
trap 'rm -rf "$seeds"' EXIT
for archive in ../../testdata/corpus/*.tar.zst; do
    case=$(mktemp -d -p "$seeds")
    zstd -dcq "$archive" | tar -x -C "$case"
done
mkdir -p corpus/{decode,sst,manifest,options,keyed,operator,changelog,channel}
# Files of a database have names of Flink's; what they are is seen in their bytes.
find "$seeds" ../../testdata/rocksdb -type f -size -64k -print0 | while IFS= read -r -d '' file; do
    case "$(basename "$file") $(tail -c 8 "$file" | od -An -tx1 | tr -d ' \n')" in
        "_metadata "*) target=decode ;;
        *" f7cff485b741e288" | *" 57fb808b247547db") target=sst ;;
        *)
            if head -c 64 "$file" | grep -qa 'RocksDB option file'; then
                target=options
            elif head -c 200 "$file" | grep -qa 'leveldb.BytewiseComparator'; then
                target=manifest
            else
                continue
            fi
            ;;
    esac
    cp "$file" "corpus/$target/$(sha256sum "$file" | cut -c1-16)"
done
# Streams of state, with what their handles say in front.
FUZZ_SEEDS=$PWD/corpus cargo test --manifest-path ../../Cargo.toml --test suite seeds_for_the_fuzzer
for target in "${targets[@]}"; do
    cargo +nightly fuzz run --fuzz-dir . "$target" -- -max_total_time="$seconds" -max_len=65536 -rss_limit_mb=1024 \
        -timeout=10
done
