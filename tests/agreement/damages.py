"""What is damaged: the parts of a snapshot by role, and for each the damages by name.

Names are stable, so that a damage is found again by its id: RELEASE/KIND/ROLE#NUMBER/DAMAGE.
"""

import pathlib
import random

import rocksdb

#: By role: how many of a snapshot's files are damaged, and random flips in each.
COUNTS = {
    "heap": (2, 14), "canonical": (2, 14), "operator": (2, 8), "raw operator": (1, 3), "raw keyed": (1, 8),
    "database meta": (1, 10), "sst": (4, 4), "CURRENT": (1, 3), "MANIFEST": (1, 6), "OPTIONS": (1, 3),
    "changelog": (2, 12), "channel": (2, 6), "merged file": (4, 0),
}
METADATA_FLIPS = 24
METADATA_CUTS = 10
RECORD_BORDERS = 10


class Part:
    """A state file, or a segment of a merged one."""

    def __init__(self, role, path, start=None, size=None, name=""):
        self.role, self.path, self.start, self.size, self.name = role, path, start, size, name


def parts(snapshot):
    """All parts that a snapshot (`chkctl inspect --json`) refers to, in its order."""
    found, seen = [], set()

    def stream(role, handle, name=""):
        if not handle or not handle.get("path") or handle["class"].startswith(("Empty", "Directory")):
            return
        path = pathlib.Path(handle["path"].removeprefix("file:"))
        if "start" in handle:
            add("merged file", path)
            add(role, path, handle["start"], handle["size"], name)
        else:
            add(role, path, name=name)

    def add(role, path, start=None, size=None, name=""):
        if (path, start) not in seen and size != 0:
            seen.add((path, start))
            found.append(Part(role, path, start, size, name))

    def keyed(role, handle):
        for part in handle.get("materialized", []):
            keyed(role, part)
        for log in handle.get("non_materialized", []):
            for entry in log.get("streams", []):
                stream("changelog", entry["stream"])
        stream("database meta", handle.get("meta"))
        for entry in handle.get("shared", []) + handle.get("private", []):
            name = entry["local_path"]
            stream("sst" if name.endswith(".sst") else name.split("-")[0], entry["stream"], name)
        stream("canonical" if "Savepoint" in handle["class"] else role, handle.get("stream"))

    for operator in snapshot["operators"]:
        for subtask in operator["subtasks"]:
            for key, role in (("managed_operator_state", "operator"), ("raw_operator_state", "raw operator"),
                              ("input_channel_state", "channel"), ("result_subpartition_state", "channel")):
                for handle in subtask.get(key, []):
                    stream(role, handle.get("stream"))
            for key, role in (("managed_keyed_state", "heap"), ("raw_keyed_state", "raw keyed")):
                for handle in subtask.get(key, []):
                    keyed(role, handle)
    return found


def _chosen(group, count):
    """Some of the parts of a role: the largest, then spread over the order of the snapshot."""
    if len(group) <= count:
        return list(enumerate(group))
    largest = max(range(len(group)), key=lambda i: group[i].size or group[i].path.stat().st_size)
    spread = [i * len(group) // count for i in range(count) if i * len(group) // count != largest]
    return [(i, group[i]) for i in sorted([largest, *spread][:count])]


def plan(snapshot, metadata, seed):
    """(role#number, part or parts, damage, {path: new bytes, None to delete or "directory"}, detail) of every damage."""
    by_role = {}
    for part in parts(snapshot):
        by_role.setdefault(part.role, []).append(part)
    for role, group in by_role.items():
        count, flips = COUNTS[role]
        chosen = _chosen(group, count)
        for number, part in chosen:
            rng = random.Random(f"{seed}/{role}#{number}")
            data = part.path.read_bytes()
            for damage, new, detail in _damages(part, data, flips, rng):
                yield f"{role}#{number}", damage, {part.path: new}, detail
        yield from _exchanges(role, chosen)
    data = metadata.read_bytes()
    rng = random.Random(f"{seed}/_metadata")
    cuts = {0, 1, 4, 8, 16, len(data) // 2, len(data) - 1} | {rng.randrange(len(data)) for _ in range(METADATA_CUTS)}
    for at in sorted(cuts):
        yield "_metadata#0", f"cut to {at}", {metadata: data[:at]}, f"of {len(data)}"
    yield "_metadata#0", "one byte more", {metadata: data + b"\0"}, f"of {len(data)}"
    for place in sorted({0, 4, 7, len(data) - 1} | {rng.randrange(len(data)) for _ in range(METADATA_FLIPS)}):
        yield "_metadata#0", f"flip at {place}", {metadata: _flip(data, place, rng)}, f"of {len(data)}"


def _flip(data, place, rng):
    return data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1:]


def _damages(part, data, flips, rng):
    start = part.start or 0
    size = part.size if part.start is not None else len(data)
    detail = f"{part.name or part.path.name}, {size} bytes" + (f" at {start}" if part.start is not None else "")
    if part.start is None:
        yield "deleted", None, detail
        yield "a directory", "directory", detail
        yield "emptied", b"", detail
        if size > 1:
            yield "cut by one byte", data[:-1], detail
            yield "cut to half", data[:size // 2], detail
        yield "one byte more", data + b"\0", detail
    content = data[start:start + size]
    if not content or part.role == "merged file":
        return

    def flip(what, place):
        return f"flip {what}", _flip(data, start + place, rng), f"{detail}, offset {place}"

    yield flip("first byte", 0)
    yield flip("middle byte", size // 2)
    yield flip("last byte", size - 1)
    for index in range(flips):
        yield flip(f"random {index}", rng.randrange(size))
    if part.role == "sst":
        for name, first, end in rocksdb.table_parts(content):
            yield flip(f"in {name}", rng.randrange(first, end))
            yield flip(f"in {name}, its end", end - 1)
            if name == "footer":
                yield flip("in footer, its handles", first + 1 + rng.randrange(4))
    if part.role == "MANIFEST":
        records = rocksdb.log_records(content)
        borders = [end for _, end in records[:-1]]
        for end in sorted(rng.sample(borders, min(RECORD_BORDERS, len(borders)))):
            number = borders.index(end) + 1
            if part.start is None:
                yield f"cut behind record {number}", data[:end], f"{detail}, {len(records)} records"
        for index in sorted(rng.sample(range(len(records)), min(3, len(records)))):
            first, end = records[index]
            yield flip(f"header of record {index}", first + rng.randrange(7))
            if end > first + 7:
                yield flip(f"record {index}", rng.randrange(first + 7, end))


def _exchanges(role, chosen):
    """Two files of a role, each with the content of the other."""
    if role == "merged file":
        return
    for (i, a), (j, b) in zip(chosen, chosen[1:]):
        if a.start is not None or b.start is not None:
            continue
        x, y = a.path.read_bytes(), b.path.read_bytes()
        if x != y:
            detail = f"{a.name or a.path.name} with {b.name or b.path.name}, {len(x)} and {len(y)} bytes"
            yield f"{role}#{i}", f"exchanged with #{j}", {a.path: y, b.path: x}, detail
