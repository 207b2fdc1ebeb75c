"""What came out: the recorded answers as TSV, the summary of a run, and docs/agreement.md."""

import collections
import datetime
import gzip
import io
import pathlib
import re

import agree

REPO = pathlib.Path(__file__).resolve().parent.parent.parent
RECORDED = REPO / "testdata" / "agreement"
PAGE = REPO / "docs" / "agreement.md"
COLUMNS = ("id", "release", "kind", "role", "damage", "detail", "flink", "why", "shallow", "shallow_codes", "deep", "deep_codes")
#: Columns that are part of the id.
DERIVED = ("release", "kind", "role", "damage")
ANSWERS = ("right", "wrong", "fails running", "hangs", "dies", "fails restore", "fails load")


def cause(chain):
    """The last of a chain of exceptions, without what differs from run to run."""
    text = chain.split(" <- ")[-1]
    text = re.sub(r"(?:file:)?/(?:[\w.#@$+-]+/)+[\w.#@$+-]+", "…", text)
    text = re.sub(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}", "…", text)
    text = re.sub(r"^java\.(?:lang|io|util)\.|^org\.apache\.flink\.(?:\w+\.)*", "", text)
    return re.sub(r"[^\x20-\x7e…]", "?", text)[:160]


def save(rows, paths):
    for path in paths:
        columns = [column for column in COLUMNS if column not in DERIVED]
        text = io.StringIO()
        text.write("\t".join(columns) + "\n")
        for row in rows:
            text.write("\t".join(re.sub(r"[\t\n]", " ", row[column]) for column in columns) + "\n")
        path.parent.mkdir(parents=True, exist_ok=True)
        data = text.getvalue().encode()
        path.write_bytes(gzip.compress(data, 9, mtime=0) if path.suffix == ".gz" else data)


def read(path):
    data = path.read_bytes()
    lines = (gzip.decompress(data) if path.suffix == ".gz" else data).decode().splitlines()
    columns = lines[0].split("\t")
    for line in lines[1:]:
        row = dict(zip(columns, line.split("\t")))
        release, kind, target, damage = row["id"].split("/", 3)
        yield row | {"release": release, "kind": kind, "role": target.split("#")[0], "damage": damage}


def load():
    rows = [row for path in sorted(RECORDED.glob("*.tsv.gz")) for row in read(path)]
    about = dict(line.split("\t", 1) for line in (RECORDED / "about.tsv").read_text().splitlines())
    return rows, about


def record(rows, seconds):
    for old in RECORDED.glob("*.tsv.gz"):
        old.unlink()
    for release in sorted({row["release"] for row in rows}):
        save([row for row in rows if row["release"] == release], [RECORDED / f"{release}.tsv.gz"])
    about = {"date": datetime.date.today().isoformat(), "seconds": f"{seconds:.0f}"}
    (RECORDED / "about.tsv").write_text("".join(f"{key}\t{value}\n" for key, value in about.items()))
    write_page(load())


def disagreements(rows, column):
    deep = column == "deep"
    found = collections.defaultdict(list)
    for row in rows:
        known = agree.disagreement(row, row[column], deep)
        if known:
            found[known.name].append(row)
    return found


def forbidden(rows):
    """The exit status: 1 where there is a disagreement that is not allowed."""
    bad = [name.name for column in ("shallow", "deep") for name in agree.CLASSES
           if not name.allowed and disagreements(rows, column).get(name.name)]
    return 1 if bad or any(row[column].startswith("error") for row in rows for column in ("shallow", "deep")) else 0


def family(damage):
    """A damage without its place."""
    if damage.startswith("flip in "):
        return damage.split(",")[0]
    for start, name in (("flip header of record", "flip in a record's header"), ("flip record", "flip in a record"),
                        ("flip", "flip of a bit"), ("cut behind record", "cut behind a record"),
                        ("cut by", "cut by one byte"), ("cut", "cut shorter"), ("exchanged", "exchanged")):
        if damage.startswith(start):
            return name
    return damage


def table(rows):
    """role, damage: how often Flink answered what, and the verdicts of each."""
    counts = collections.Counter((row["role"], family(row["damage"]), row["flink"]) for row in rows)
    verdicts = collections.defaultdict(collections.Counter)
    for row in rows:
        verdicts[row["role"], family(row["damage"]), row["flink"]][row["deep"] or row["shallow"]] += 1
    lines = ["| file | damage | " + " | ".join(ANSWERS) + " |", "| --- | --- |" + " --- |" * len(ANSWERS)]
    for role, damage in sorted({key[:2] for key in counts}):
        cells = []
        for answer in ANSWERS:
            said = verdicts[role, damage, answer]
            cells.append(", ".join(f"{count} {verdict}" for verdict, count in said.most_common()))
        lines.append(f"| {role} | {damage} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def summary(rows):
    lines = [table(rows), ""]
    for column in ("shallow", "deep"):
        if not any(row[column] for row in rows):
            continue
        for name, found in disagreements(rows, column).items():
            allowed = next(known.allowed for known in agree.CLASSES if known.name == name)
            lines.append(f"{column}: {len(found)} {name}{'' if allowed else ', which is FORBIDDEN'}")
            lines.extend(f"    {row['id']} ({row['detail']}): {row['flink']}, {row[column]}; {row['why']}"
                         for row in found[:400 if not allowed else 3])
    lines.append(f"{len(rows)} answers: " + ", ".join(
        f"{count} {answer}" for answer, count in collections.Counter(row["flink"] for row in rows).most_common()))
    return "\n".join(lines)


def write_page(loaded):
    rows, about = loaded
    damaged = [row for row in rows if row["damage"] != "none"]
    releases = sorted({row["release"] for row in rows})
    text = [
        "# Agreement with Flink", "",
        "Generated by `tests/agreement/run.py` from `testdata/agreement`; `run.py --docs` writes it anew.", "",
        f"On {about['date']}, {len(damaged):,} damaged copies of snapshots that Flink {', '.join(releases)} had written were "
        f"given to the same Flink and to chkctl. Each differs from the snapshot by one damage. Flink's job knows its state by "
        "arithmetic, so that state which was restored wrong without a word is seen.", "",
        "- **right**: the job started, and all of its state was as it must be. Damage may still be in bytes that it does not "
        "need.",
        "- **wrong**: the job started and ran, with other state.",
        "- **fails running**: the task that failed had been RUNNING, so its restore was over. **hangs**: the job neither ends nor "
        "fails. **dies**: the JVM ends.",
        "- **fails restore**, **fails load**: a task failed before it was RUNNING; the snapshot was not even loaded.", "",
        "The contract: *broken* where the restore fails, *suspect* where Flink starts and bytes are provably not what was "
        "written, *restorable* else.", "",
        "## Disagreements", "",
    ]
    for column, title in (("deep", "`verify --deep`"), ("shallow", "`verify`, which does not read state files")):
        if not any(row[column] for row in rows):
            continue
        found = disagreements(rows, column)
        agreed = len(rows) - sum(map(len, found.values()))
        text += [f"### {title}", "", f"{agreed:,} of {len(rows):,} answers agree.", ""]
        if column == "shallow":
            text += ["A flip inside a state file and an exchange of two files cannot be seen without reading and are not asked "
                     "for here.", ""]
        for known in agree.CLASSES:
            some = found.get(known.name)
            if some:
                by = collections.Counter((row["role"], family(row["damage"])) for row in some)
                where = "; ".join(f"{role}, {damage}: {count}" for (role, damage), count in by.most_common(12))
                text += [f"- **{known.name}**{'' if known.allowed else ' (must not be)'}: {len(some)}. {known.text} ({where})"]
        text.append("")
    text += ["## All answers", "", "Each cell has the verdicts of chkctl where Flink gave that answer.", ""]
    text += [table(damaged), ""]
    PAGE.write_text("\n".join(text))
    print(f"{PAGE.relative_to(REPO)}: {len(rows)} answers")
    return forbidden(rows)
