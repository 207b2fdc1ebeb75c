#!/usr/bin/env bash
# fetch.sh [RELEASE...]: gets the jars of Flink releases (1.20.5 and 2.3.0 unless told) from the Python package index,
# with pip.
#
# They go to RELEASE/lib below CHKCTL_FLINK_HOME (~/.cache/chkctl/flink where that is not set), side by side, where tests
# and benchmarks look for them; a Flink distribution unpacked as RELEASE there does as well. Does nothing for a release
# that is there already. A download has 230 to 360 MB; JSON, CSV and SQL jars are not kept.
set -euo pipefail

home=${CHKCTL_FLINK_HOME:-${HOME:?}/.cache/chkctl/flink}

fetch() (
  release=$1
  lib=$home/$release/lib
  if compgen -G "$lib/flink-dist*.jar" >/dev/null; then
    echo "Flink $release is in $home/$release"
    exit
  fi
  python3 -m pip --version >/dev/null 2>&1 || {
    echo "fetch.sh: there is no python3 with pip, which downloads Flink" >&2
    exit 3
  }
  mkdir -p "$home/$release"
  work=$(mktemp -d "$home/download.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  python3 -m pip download --no-deps --quiet --disable-pip-version-check --dest "$work" "apache-flink-libraries==$release"
  unpack "$work"
  # A rename, so that a run that is cut short is done again, and two at the same time do not mix.
  mv -T "$work/lib" "$lib" || compgen -G "$lib/flink-dist*.jar" >/dev/null
  echo "Flink $release is in $home/$release"
)

unpack() {
  python3 - "$1" <<'PY'
"""Unpacks the jars that jobs need from the one archive in a directory, to lib/ there."""
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
}

[ $# -gt 0 ] || set -- 1.20.5 2.3.0
for release in "$@"; do
  fetch "$release"
done
