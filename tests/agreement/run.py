#!/usr/bin/env python3
"""The agreement test: does chkctl say of damaged snapshots what real Flink does with them?

    tests/agreement/run.py                  all releases and kinds; writes testdata/agreement/ and docs/agreement.md
    tests/agreement/run.py --only ID        one damage again, with everything that Flink and chkctl said
    tests/agreement/run.py --docs           docs/agreement.md anew from the recorded answers; nothing is run

Real Flink writes snapshots of every kind (kinds.py) to a temporary directory. Each is damaged in place, one damage at a
time (damages.py), and put back. Flink restores it with a job that knows all of its state by arithmetic (`check` of
tests/flink/flink.sh), and chkctl judges it, with and without --deep. A disagreement that is not known by name (agree.py)
makes the exit status 1.

    --releases R,…  --kinds K,…   some of them             --share F   about this share of the damages, seeded
    --jobs N   JVMs at a time (2)                           --seed N    other random places (1)
    --work DIR a directory for the snapshots (/dev/shm, where there is one)
    --chkctl FILE  or CHKCTL: the binary (target/release/chkctl)
    --deep WORDS  what asks chkctl to read state files (--deep; "" where the binary does not know it)
    --record      write the answers to testdata/agreement and the page to docs; without, only a run over everything does

Needs what flink.sh needs; `tests/flink/fetch.sh 1.18.1 1.20.5 2.3.0` gets the releases.
An id is RELEASE/KIND/ROLE#NUMBER/DAMAGE; names of files and so the bytes of `_metadata` differ from run to run.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
REPO = HERE.parent.parent
sys.path.insert(0, str(HERE))

import agree  # noqa: E402
import damages  # noqa: E402
import kinds  # noqa: E402
import report  # noqa: E402
from flink import Dead, Flink  # noqa: E402


class Run:
    def __init__(self, options, work):
        self.options, self.work = options, work
        self.deep = options.deep.split()
        self.lock = threading.Lock()
        self.rows = []
        self.restores = 0
        self.started = time.monotonic()

    def chkctl(self, command, snapshot, *more):
        words = [self.options.chkctl, command, "--json", *more, str(snapshot)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
        try:
            return json.loads(done.stdout)
        except ValueError:
            return {"failed": f"exit status {done.returncode}: {done.stderr.strip()}"}

    def judge(self, snapshot, *more):
        """The verdict, and the codes of the findings with their severity."""
        answer = self.chkctl("verify", snapshot, *more)
        if len(answer.get("snapshots", [])) != 1:
            return f"error: {answer}", ""
        (judged,) = answer["snapshots"]
        codes = sorted({f"{finding['code']}:{finding['severity']}" for finding in judged["findings"]})
        return judged["verdict"], ",".join(codes)

    def kind(self, release, kind):
        """All damages of a kind of snapshot."""
        name = f"{release}/{kind}"
        directory = self.work / release / kind
        directory.mkdir(parents=True)
        flink = Flink(release, directory, kinds.cluster(directory))
        shared, alone, _ = kinds.KINDS[kind]
        rows = []
        try:
            held = flink.ask("run", "pantry", f"dir={directory}/snapshots", *kinds.JOB, *shared, *alone)
            if "path" not in held:
                raise SystemExit(f"{name}: {held}")
            path = pathlib.Path(held["path"].removeprefix("file:"))
            restore = ("check", "pantry", str(path), f"timeout={self.options.timeout}", *kinds.JOB, *shared)
            first = self.try_one(flink, restore, path, name, "none#0", "none", {}, "")
            rows.append(first)
            if first["flink"] == "right":
                inspected = self.chkctl("inspect", path)
                for target, damage, change, detail in self.selected(name, inspected, path / "_metadata"):
                    rows.append(self.try_one(flink, restore, path, name, target, damage, change, detail))
                last = self.try_one(flink, restore, path, name, "none#1", "none", {}, "")
                assert last["flink"] == "right", f"{name}: not as before after all damages: {last}"
        finally:
            flink.close()
            shutil.rmtree(directory, ignore_errors=True)
        self.done(name, rows, flink.starts)

    def selected(self, name, inspected, metadata):
        plan = list(damages.plan(inspected, metadata, f"{self.options.seed}/{name}"))
        if self.options.only:
            wanted = self.options.only
            found = [entry for entry in plan if f"{name}/{entry[0]}/{entry[1]}" == wanted]
            if not found:
                ids = "\n".join(f"{name}/{entry[0]}/{entry[1]}" for entry in plan)
                raise SystemExit(f"there is no {wanted}; there are\n{ids}")
            return found
        if self.options.share < 1:
            plan = random.Random(f"{self.options.seed}/{name}").sample(plan, max(1, round(len(plan) * self.options.share)))
        return plan

    @staticmethod
    def ask(flink, restore):
        """What Flink makes of it, and why."""
        try:
            answer = flink.ask(*restore)
        except Dead as dead:
            return "dies", str(dead)
        if "failed" in answer:
            raise SystemExit(f"{restore}: {answer}")
        verdict = answer["verdict"]
        if verdict == "fails":
            verdict = f"fails {answer['phase']}"
        return verdict, answer.get("why", answer.get("phase", ""))

    def try_one(self, flink, restore, path, name, target, damage, change, detail):
        """Damages, asks both, and puts everything back."""
        before = {file: file.read_bytes() for file in change}
        try:
            for file, new in change.items():
                file.unlink()
                if new == "directory":
                    file.mkdir()
                elif new is not None:
                    file.write_bytes(new)
            shallow, shallow_codes = self.judge(path)
            deep, deep_codes = self.judge(path, *self.deep) if self.deep else ("", "")
            verdict, why = self.ask(flink, restore)
            if verdict in ("hangs", "dies"):
                # Slow machines stand still too: once more, with patience and a new JVM.
                flink.kill()
                verdict, why = self.ask(flink, (*restore, f"timeout={4 * self.options.timeout}"))
        finally:
            for file, data in before.items():
                if file.is_dir():
                    file.rmdir()
                file.write_bytes(data)
        row = {
            "id": f"{name}/{target}/{damage}", "release": name.split("/")[0], "kind": name.split("/")[1],
            "role": target.split("#")[0], "damage": damage, "detail": detail, "flink": verdict, "why": report.cause(why),
            "shallow": shallow, "shallow_codes": shallow_codes, "deep": deep, "deep_codes": deep_codes,
        }
        with self.lock:
            self.restores += 1
            if self.options.only:
                print(json.dumps(row | {"why": why}, indent=1))
            elif sys.stderr.isatty() or self.restores % 100 == 0:
                rate = self.restores / (time.monotonic() - self.started)
                print(f"{self.restores} restores, {rate:.1f}/s; {row['id']}: {verdict}", file=sys.stderr, flush=True)
        return row

    def done(self, name, rows, starts):
        with self.lock:
            self.rows.extend(rows)
            if self.options.tsv:
                # What was asked is kept, whatever becomes of the rest.
                report.save(self.rows, [pathlib.Path(self.options.tsv)])
            print(f"{name}: {len(rows)} answers, {starts} JVMs, {time.monotonic() - self.started:.0f} s since the start",
                  file=sys.stderr, flush=True)

    def all(self):
        chosen = [(release, kind) for release in self.options.releases.split(",")
                  for kind in self.options.kinds.split(",") if release not in kinds.KINDS[kind][2]]
        if self.options.only:
            chosen = [tuple(self.options.only.split("/")[:2])]
        with concurrent.futures.ThreadPoolExecutor(self.options.jobs) as pool:
            for future in [pool.submit(self.kind, *one) for one in chosen]:
                future.result()
        order = {one: index for index, one in enumerate(chosen)}
        self.rows.sort(key=lambda row: order[row["release"], row["kind"]])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--releases", default=",".join(kinds.RELEASES))
    parser.add_argument("--kinds", default=",".join(kinds.KINDS))
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--only")
    parser.add_argument("--docs", action="store_true")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--timeout", type=int, default=5000, help="milliseconds after which a job hangs")
    parser.add_argument("--work", default="/dev/shm" if os.path.isdir("/dev/shm") else None)
    parser.add_argument("--chkctl", default=os.environ.get("CHKCTL", str(REPO / "target/release/chkctl")))
    parser.add_argument("--deep", default="--deep")
    parser.add_argument("--tsv", help="also write the answers to this file")
    options = parser.parse_args()

    if options.docs:
        return report.write_page(report.load())
    whole = not options.only and options.share == 1 and options.releases == ",".join(kinds.RELEASES) \
        and options.kinds == ",".join(kinds.KINDS)
    with tempfile.TemporaryDirectory(prefix="chkctl-agreement-", dir=options.work) as work:
        run = Run(options, pathlib.Path(work))
        run.all()
    seconds = time.monotonic() - run.started
    if options.only:
        return 0
    if options.tsv:
        report.save(run.rows, [pathlib.Path(options.tsv)])
    print(report.summary(run.rows))
    print(f"{run.restores} restores in {seconds:.0f} s")
    if whole or options.record:
        report.record(run.rows, seconds)
    return report.forbidden(run.rows)


if __name__ == "__main__":
    sys.exit(main())
