#!/usr/bin/env bash
# flink.sh RELEASE [COMMAND ARGUMENT...]: real Flink in one JVM that runs the jobs of harness/ in an embedded cluster.
#
# Without a command it serves: a command per line on stdin (words parted by blanks, or a JSON array of strings), an
# answer of one line of JSON per command on stdout, until stdin ends. The first line says that it is ready.
#
#   run JOB dir=DIR [KEY=VALUE...]    runs a job until it holds (hold=), takes a checkpoint or savepoint, cancels the job
#       {"path": …, "positions": [[split, next, end]…], RESULT}, the state at that time
#   restore JOB PATH [KEY=VALUE...]   starts a job from a checkpoint and lets it run to the end of the sequence
#       {"restored": [[split, next, end]…], RESULT}, or {"failed": "class: message <- class: message…"}
#   check pantry PATH [KEY=VALUE...]  restores, looks after all state by arithmetic, and ends; keys= and hold= as for run
#       {"verdict": "right" | "wrong" | "fails" | "hangs", "phase": …, "why": …, "ms": …, "spent": whether this JVM is of no
#       more use}; phase is how far what failed had come: "load" before there were tasks, "restore" before RUNNING, "running"
#   complete JOB [KEY=VALUE...]       runs a job from the start to the end; answers as restore does
#   plan JOB [KEY=VALUE...]           {"plan": text, "job": text, "info": text}: what the REST API answers to /jobs/ID/plan and
#       /jobs/ID of a running job, and what `flink info` prints of it
#   live start JOB [KEY=VALUE...]     starts a job that goes on between commands, from=PATH if given; checkpoints by itself (ck=)
#       (ck=none: none at all)
#   live fail|look|stop ID            makes a task of it fail and waits for its restore; looks; cancels it
#   live savepoint ID dir=DIR [savepoint=FORMAT]   takes a savepoint, or a checkpoint
#   live configmap ID dir=DIR         the ConfigMap that points to the completed checkpoints in a directory of high availability
#       {"job": ID, "rest": URL of the REST API, "status": …, "completed": path of the last checkpoint, "count": of completed
#       ones, "restored": what it was restored from last}; of a savepoint {"path": …}
#   metadata PATH                     what Flink's own classes read in a `_metadata`, in the words of `chkctl inspect --json`
#   bench words|recovery|keys …       see harness/Bench.java
#
# JOB and its RESULT (harness/Jobs.java); word number i of the sequence is "word" + i * 7919 % vocab:
#   wordcount   words → sum per word                             "counts": {word: highest count that was seen}
#   splits      the same with a source that has a coordinator, for word number i of the sequence   "counts"
#   windowed    record i has timestamp 10 * i; sums of 1000 ms   "windows": [[word, start, count]…]
#   kitchen     all kinds of keyed state and both kinds of timers, key is i % keys   "lines": [text…], one a timer
#   pantry      for check: all kinds of keyed and operator state, timers, raw state; hold= and keys= count for each subtask of
#               the source, and hold is a multiple of keys; rounds= checkpoints in turn (pause= ms between them), the last of
#               them counts; slow=true lets records pile up before its barrier
#
# KEY=VALUE: n= records of the sequence, vocab= words, keys= of kitchen, par= parallelism, maxpar= max parallelism,
#   sources= parallelism of the source (par), line= words per record of wordcount, sliding=true (every 500 ms),
#   hold= records after which the sources stop (n), rate= records per second and source that follow nevertheless (0),
#   inline= bytes up to which state goes into _metadata, savepoint=canonical|native instead of a checkpoint, from=PATH to
#   start `run` from, claim=true for a job that owns it then (since 1.20), allowNonRestored=true, uid.NAME=UID for another uid than NAME
#   (not in pantry), collect=false for a sink that keeps nothing, timeout= milliseconds, conf.OPTION=VALUE for any option of Flink.
#
# Needs a JDK, 17 or later (java and javac), and the jars that fetch.sh gets; exits with 3 and says so where they are
# missing. CHKCTL_FLINK_HOME is where the jars are, CHKCTL_FLINK_JAVA_OPTS what java is told (-Xmx1g), CHKCTL_FLINK_LOG the
# level of the log on stderr (OFF), CHKCTL_FLINK_CONF lines KEY=VALUE for what only the cluster is asked (the storage of
# changelogs; before 1.19 the threshold of inline= too; with high-availability.type=zookeeper a ZooKeeper is started beside
# it, whose address `live` answers as "quorum"), CHKCTL_FLINK_CLASSPATH further jars and directories, for other file
# systems; DIR and PATH may then be URIs. Classes are compiled once for each state of the
# sources. Everything listens on loopback only; what is written to TMPDIR is removed at the end.
set -euo pipefail

release=${1:?usage: flink.sh RELEASE [COMMAND ARGUMENT...]}
shift
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
home=${CHKCTL_FLINK_HOME:-${HOME:?}/.cache/chkctl/flink}

missing() {
  echo "flink.sh: $1" >&2
  exit 3
}
for tool in java javac; do
  command -v "$tool" >/dev/null || missing "there is no $tool; a JDK of version 17 or later is needed"
done
[ -n "$(compgen -G "$home/$release/lib/flink-dist*.jar")" ] ||
  missing "Flink $release is not in $home/$release/lib; tests/flink/fetch.sh $release gets it"

# Only these: a whole distribution has jars for SQL that slow the start down.
jars=$(printf '%s:' "$home/$release"/lib/{flink-dist,log4j,slf4j}*.jar)

# The sources are written for 1.20; a few packages have other names since 2.0, and some methods had before 1.19.
moved=()
case $release in
  1.18.*)
    time=org.apache.flink.streaming.api.windowing.time.Time
    moved=(-e 's/\.getTaskInfo()//' -e 's/org\.apache\.flink\.api\.common\.functions\.OpenContext/org.apache.flink.configuration.Configuration/'
      -e 's/\bOpenContext\b/Configuration/' -e "s/^import java\.time\.Duration;/import $time;/"
      -e 's/\bDuration\.ofMillis\b/Time.milliseconds/; s/\bDuration size\b/Time size/')
    ;;
  1.*) ;;
  *) moved=(-e 's/functions\.\(source\|sink\)\.\(RichParallelSourceFunction\|RichSinkFunction\)/functions.\1.legacy.\2/') ;;
esac

hash=$(cat "${BASH_SOURCE[0]}" "$here"/harness/*.java | sha256sum | cut -c 1-16)
classes=$home/$release/harness/$hash
if [ ! -d "$classes" ]; then
  mkdir -p "${classes%/*}"
  work=$(mktemp -d "${classes%/*}/work.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  mkdir "$work/source" "$work/classes"
  for source in "$here"/harness/*.java; do
    sed -e '' "${moved[@]}" "$source" >"$work/source/${source##*/}"
  done
  javac -nowarn -Xlint:none -XDsuppressNotes -proc:none -encoding UTF-8 -cp "$jars" -d "$work/classes" "$work"/source/*.java >&2
  find "${classes%/*}" -mindepth 1 -maxdepth 1 -type d ! -name 'work.*' -mmin +1440 -exec rm -rf {} +
  mv -T "$work/classes" "$classes" 2>/dev/null || [ -d "$classes" ]
  rm -rf "$work"
  trap - EXIT
fi

open=()
for package in lang lang.invoke lang.reflect io net nio text time util util.concurrent util.concurrent.atomic \
  util.concurrent.locks; do
  open+=(--add-opens "java.base/java.$package=ALL-UNNAMED")
done
read -ra options <<<"${CHKCTL_FLINK_JAVA_OPTS:--Xmx1g}"
exec java -XX:+UseG1GC -XX:-UsePerfData "${options[@]}" -Djava.io.tmpdir="${TMPDIR:-/tmp}" \
  -Djava.net.preferIPv4Stack=true -Dlog4j2.level="${CHKCTL_FLINK_LOG:-OFF}" "${open[@]}" \
  -cp "$classes:$jars${CHKCTL_FLINK_CLASSPATH:-}" harness.Harness "$release" "$@"
