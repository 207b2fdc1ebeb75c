#!/usr/bin/env bash
# fetch.sh [RELEASE]: gets the jars of a Flink release (1.20.5 unless told) from the Python package index, with pip.
#
# They go to lib/ below CHKCTL_FLINK_HOME (~/.cache/chkctl/flink where that is not set), where the benchmarks look for
# them; any Flink distribution unpacked there does as well. Does nothing where the release is there already, and leaves
# a directory alone that it did not fill itself. The download has some 230 MB; JSON, CSV and SQL jars are not kept.
set -euo pipefail

release=${1:-1.20.5}
home=${CHKCTL_FLINK_HOME:-${HOME:?}/.cache/chkctl/flink}
mark=$home/.fetched

if [ -d "$home/lib" ] && [ "$(cat "$mark" 2>/dev/null)" = "$release" ]; then
  echo "Flink $release is in $home"
  exit
fi
if [ -e "$home/lib" ] && [ ! -e "$mark" ]; then
  echo "fetch.sh: $home/lib holds something else; set CHKCTL_FLINK_HOME to another directory" >&2
  exit 1
fi

mkdir -p "$home"
work=$(mktemp -d "$home/download.XXXXXX")
trap 'rm -rf "$work"' EXIT
python3 -m pip download --no-deps --quiet --disable-pip-version-check --dest "$work" "apache-flink-libraries==$release"

python3 - "$work" <<'PY'
"""Unpacks the jars that loading a checkpoint needs from the one archive in a directory, to lib/ there."""
import pathlib, re, shutil, sys, tarfile, zipfile

work = pathlib.Path(sys.argv[1])
wanted = re.compile(r"(?:^|/)lib/((?:flink-dist|log4j|slf4j)[^/]*\.jar)$")
(work / "lib").mkdir()


def keep(name, source):
    with open(work / "lib" / wanted.search(name)[1], "wb") as jar:
        shutil.copyfileobj(source, jar)


(archive,) = (path for path in work.iterdir() if path.is_file())
if archive.suffix == ".whl":
    with zipfile.ZipFile(archive) as packed:
        for name in filter(wanted.search, packed.namelist()):
            keep(name, packed.open(name))
else:
    with tarfile.open(archive, "r|*") as packed:
        for member in packed:
            if member.isfile() and wanted.search(member.name):
                keep(member.name, packed.extractfile(member))
if not any((work / "lib").glob("flink-dist*.jar")):
    sys.exit(f"fetch.sh: {archive.name} holds no flink-dist jar")
PY

# In this order: a run that is cut short is done again.
rm -rf "$home/lib"
echo "$release" >"$mark"
mv "$work/lib" "$home/lib"
echo "Flink $release is in $home"
