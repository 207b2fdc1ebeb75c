"""Real Flink for the test: one JVM for a release and a kind of snapshot, started anew when it hangs or dies."""

import json
import os
import pathlib
import select
import signal
import subprocess

SCRIPT = pathlib.Path(__file__).resolve().parent.parent / "flink" / "flink.sh"
#: Seconds after which a JVM that does not answer is ended.
LIMIT = 60


class Dead(Exception):
    """The JVM gave no answer."""


class Flink:
    def __init__(self, release, directory, conf):
        self.release, self.directory, self.conf = release, directory, conf
        self.process = None
        self.starts = 0

    def _start(self):
        environment = dict(os.environ, CHKCTL_FLINK_CONF=self.conf, TMPDIR=str(self.directory))
        environment.setdefault("CHKCTL_FLINK_JAVA_OPTS", "-Xmx768m -XX:+UseG1GC -XX:TieredStopAtLevel=1")
        with open(self.directory / "stderr.txt", "ab") as errors:
            self.process = subprocess.Popen(["bash", str(SCRIPT), self.release], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, stderr=errors, env=environment)
        self.buffer = b""
        self.starts += 1
        self._answer(120)

    def _answer(self, limit):
        """A line of stdout, read by hand: what is buffered elsewhere, select does not see."""
        while b"\n" not in self.buffer:
            if not select.select([self.process.stdout], [], [], limit)[0]:
                self.kill()
                raise Dead("no answer")
            more = os.read(self.process.stdout.fileno(), 1 << 16)
            if not more:
                status = self.process.wait()
                self.process = None
                raise Dead(f"the JVM ended with {status}")
            self.buffer += more
        line, _, self.buffer = self.buffer.partition(b"\n")
        return json.loads(line)

    def ask(self, *words):
        """The answer to a command; Dead where there is none."""
        if self.process is None or self.process.poll() is not None:
            self._start()
        self.process.stdin.write(json.dumps(words).encode() + b"\n")
        self.process.stdin.flush()
        answer = self._answer(LIMIT)
        if answer.get("spent"):
            self.kill()
        return answer

    def kill(self):
        """Ends the JVM that this object started."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def close(self):
        if self.process is not None:
            self.process.stdin.close()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
            self.process = None
