"""Where the parts of RocksDB's files are, so that each can be damaged; written from the formats, not from chkctl."""

import struct

_MAGIC = 0x88E241B785F4CFF7
_FOOTER = 53
_TRAILER = 5
_BLOCK = 32 * 1024


def _varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def _entries(block):
    """Keys and values of a block that is not compressed (block.cc)."""
    (restarts,) = struct.unpack_from("<I", block, len(block) - 4)
    end, at, key = len(block) - 4 - 4 * (restarts & 0x7FFFFFFF), 0, b""
    while at < end:
        shared, at = _varint(block, at)
        rest, at = _varint(block, at)
        size, at = _varint(block, at)
        key = key[:shared] + block[at:at + rest]
        yield key, block[at + rest:at + rest + size]
        at += rest + size


def table_parts(data):
    """(name, start, end) of the parts of a block-based table: data blocks as one, and each meta block."""
    footer = len(data) - _FOOTER
    if footer < 0 or struct.unpack_from("<Q", data, len(data) - 8)[0] != _MAGIC:
        return []
    start, at = _varint(data, footer + 1)
    size, at = _varint(data, at)
    parts = [("metaindex", start, start + size + _TRAILER), ("footer", footer, len(data))]
    metaindex = data[start:start + size]
    start, at = _varint(data, at)
    size, at = _varint(data, at)
    parts.append(("index", start, start + size + _TRAILER))
    for key, value in _entries(metaindex):
        start, at = _varint(value, 0)
        size, _ = _varint(value, at)
        name = key.decode("latin-1")
        name = "properties" if name == "rocksdb.properties" else "filter" if "filter" in name else name.split(".")[-1]
        parts.append((name, start, start + size + _TRAILER))
    data_end = min(start for _, start, _ in parts)
    return [("data", 0, data_end)] * (data_end > 0) + sorted(parts, key=lambda part: part[1])


def log_records(data):
    """(start, end) of the physical records of a log, which a MANIFEST is (log_format.h)."""
    records, at = [], 0
    while at + 7 <= len(data):
        left = _BLOCK - at % _BLOCK
        if left < 7:
            at += left
            continue
        size, kind = struct.unpack_from("<HB", data, at + 4)
        if kind == 0 and size == 0:
            break
        end = at + (11 if kind >= 5 else 7) + size
        records.append((at, end))
        at = end
    return records
