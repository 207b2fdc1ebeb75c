package harness;

import org.apache.flink.api.common.JobID;
import org.apache.flink.runtime.checkpoint.CompletedCheckpointStats;
import org.apache.flink.runtime.checkpoint.SubtaskStateStats;
import org.apache.flink.runtime.checkpoint.TaskStateStats;
import org.apache.flink.runtime.execution.ExecutionState;
import org.apache.flink.runtime.executiongraph.AccessExecutionVertex;

import java.io.File;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Measurements of the job wordcount. Each answers with one line of JSON; lists have an entry per round, times are ms.
 *
 * <p>words n= vocab= par= line= ck=INTERVAL runs=: words per second from submission to the end of the job; without ck
 * there are no checkpoints. Run it in a server: the first run of a JVM is slow.
 *
 * <p>recovery vocab= par= rate= ck= delay= rounds=: the word "error" makes a map fail; from the exception until all
 * tasks run and until the first output, each less the delay of the restart strategy.
 *
 * <p>keys keys= par= rate= rounds= restores=ROUNDS: so many String keys on the heap. Used heap per key; checkpoints: how long, how
 * large, and the longest gap between two records of a sink meanwhile, and without one; restore: from submission to all
 * tasks running and to the first record of any, the longest time a task was INITIALIZING, and used heap then. Wants
 * -Xmx6g for 5 million keys.
 */
final class Bench {
    private final Cluster cluster;

    Bench(Cluster cluster) {
        this.cluster = cluster;
    }

    Map<String, Object> run(String what, Options options) throws Exception {
        Map<String, Object> answer = new LinkedHashMap<>();
        answer.put("bench", what);
        answer.putAll(options.values);
        File checkpoints = new File(System.getProperty("java.io.tmpdir"), "bench");
        Options all = options.with("dir", checkpoints).with("collect", false)
                .with("timeout", options.text("timeout", "600000"));
        try {
            switch (what) {
                case "words" -> words(all, answer);
                case "recovery" -> recovery(all, answer);
                case "keys" -> keys(all, answer);
                default -> throw new IllegalArgumentException("there is no benchmark " + what);
            }
        } finally {
            Harness.delete(checkpoints);
        }
        return answer;
    }

    private void words(Options options, Map<String, Object> answer) throws Exception {
        List<Long> speeds = list(answer, "words_per_s");
        List<Long> completed = list(answer, "checkpoints");
        for (int run = 0; run < options.count("runs", 3); run++) {
            long start = System.nanoTime();
            JobID id = cluster.submit("wordcount", options, null);
            cluster.finish(id, options);
            speeds.add(Math.round(options.n() / ((System.nanoTime() - start) / 1e9)));
            completed.add(completed(id));
        }
    }

    private void recovery(Options given, Map<String, Object> answer) throws Exception {
        long delay = given.number("delay", 1000);
        Options options = endless(given, given.vocab()).with("delay", delay).with("ck", given.number("ck", 500));
        List<Long> running = list(answer, "to_running_ms");
        List<Long> output = list(answer, "to_first_output_ms");
        JobID id = cluster.submit("wordcount", options, null);
        try {
            full(id, options);
            for (int round = 0; round < given.count("rounds", 5); round++) {
                long before = completed(id);
                cluster.await(id, options, "two checkpoints", () -> completed(id) >= before + 2);
                Probe.errorAt = 0;
                Probe.inject = true;
                cluster.await(id, options, "the exception", () -> Probe.errorAt != 0);
                long error = Probe.errorAt;
                // Tasks of the failed attempt are gone by then, those of the next have not begun.
                Thread.sleep(delay / 2);
                Probe.watch();
                running.add(last(cluster.running(id, options, error)) - error - delay);
                cluster.await(id, options, "output", () -> Probe.firstRecord != 0);
                output.add(Probe.firstRecord - error - delay);
                Probe.stopWatching();
            }
        } finally {
            cluster.cancel(id);
        }
    }

    private void keys(Options given, Map<String, Object> answer) throws Exception {
        long keys = given.number("keys", 5_000_000);
        int rounds = given.count("rounds", 3);
        Options options = endless(given, keys);
        double empty = usedHeap(options.with("vocab", 1).with("hold", 1000));
        JobID id = cluster.submit("wordcount", options, null);
        String path = null;
        try {
            long start = System.nanoTime();
            full(id, options);
            answer.put("fill_ms", (System.nanoTime() - start) / 1_000_000);
            // All records are counted once a checkpoint is through.
            cluster.snapshot(id, options);
            double used = collectGarbage();
            answer.put("empty_heap_bytes", Math.round(empty));
            answer.put("heap_bytes", Math.round(used));
            answer.put("heap_bytes_per_key", Math.round((used - empty) / keys));
            List<Map<String, Object>> checkpoints = list(answer, "checkpoints");
            for (int round = 0; round < rounds; round++) {
                Map<String, Object> measured = new LinkedHashMap<>();
                Probe.watch();
                long from = System.nanoTime();
                path = cluster.snapshot(id, options);
                long took = (System.nanoTime() - from) / 1_000_000;
                Thread.sleep(300);
                measured.put("longest_gap_ms", Probe.stopWatching());
                statistics(cluster.checkpoints(id).getHistory().getLatestCompletedCheckpoint(), measured);
                Probe.watch();
                Thread.sleep(took + 300);
                measured.put("longest_gap_without_ms", Probe.stopWatching());
                checkpoints.add(measured);
            }
        } finally {
            cluster.cancel(id);
        }
        List<Map<String, Object>> restores = list(answer, "restores");
        for (int round = 0; round < given.count("restores", rounds); round++) {
            Probe.reset();
            collectGarbage();
            restores.add(restore(options, path));
        }
    }

    private Map<String, Object> restore(Options options, String path) throws Exception {
        Probe.watch();
        long start = System.currentTimeMillis();
        JobID id = cluster.submit("wordcount", options, path);
        try {
            List<AccessExecutionVertex> tasks = cluster.running(id, options, start);
            cluster.await(id, options, "a record", () -> Probe.firstRecord != 0);
            Map<String, Object> measured = new LinkedHashMap<>();
            measured.put("to_running_ms", last(tasks) - start);
            measured.put("initializing_ms", tasks.stream().mapToLong(task -> Cluster.runningSince(task)
                    - task.getStateTimestamp(ExecutionState.INITIALIZING)).max().getAsLong());
            measured.put("to_first_record_ms", Probe.firstRecord - start);
            Probe.stopWatching();
            measured.put("heap_bytes", Math.round(collectGarbage()));
            return measured;
        } finally {
            Probe.stopWatching();
            cluster.cancel(id);
        }
    }

    /** What Flink itself says of a checkpoint: the slowest of all subtasks. */
    private static void statistics(CompletedCheckpointStats checkpoint, Map<String, Object> measured) {
        long sync = 0;
        long async = 0;
        for (TaskStateStats task : checkpoint.getAllTaskStateStats()) {
            for (SubtaskStateStats subtask : task.getSubtaskStats()) {
                sync = Math.max(sync, subtask.getSyncCheckpointDuration());
                async = Math.max(async, subtask.getAsyncCheckpointDuration());
            }
        }
        measured.put("end_to_end_ms", checkpoint.getEndToEndDuration());
        measured.put("sync_ms", sync);
        measured.put("async_ms", async);
        measured.put("bytes", checkpoint.getStateSize());
    }

    /**
     * A sequence that does not end in time and has every word once in its first vocab records: a source starts at a
     * multiple of n / sources, which is at words / sources after whole rounds through the vocabulary. Then it goes slowly.
     */
    private static Options endless(Options options, long words) {
        return options.with("n", words * (options.sources() * 1_000_000L + 1)).with("vocab", words).with("hold", words)
                .with("rate", options.number("rate", 10_000)).with("conf.execution.buffer-timeout.interval", "1 ms");
    }

    private void full(JobID id, Options options) throws Exception {
        cluster.await(id, options, "the state is full", () -> Probe.holding.get() >= options.sources());
        cluster.running(id, options, 0);
    }

    /** Heap in bytes that is used beside a job. */
    private double usedHeap(Options options) throws Exception {
        JobID id = cluster.submit("wordcount", options, null);
        try {
            full(id, options);
            cluster.snapshot(id, options);
            return collectGarbage();
        } finally {
            cluster.cancel(id);
            Probe.reset();
        }
    }

    private static double collectGarbage() throws InterruptedException {
        for (int i = 0; i < 3; i++) {
            System.gc();
            Thread.sleep(100);
        }
        return ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getUsed();
    }

    /** When (ms) the last of all tasks began to run. */
    private static long last(List<AccessExecutionVertex> tasks) {
        return tasks.stream().mapToLong(Cluster::runningSince).max().getAsLong();
    }

    private long completed(JobID id) throws Exception {
        return cluster.checkpoints(id).getCounts().getNumberOfCompletedCheckpoints();
    }

    private static <T> List<T> list(Map<String, Object> answer, String name) {
        List<T> list = new ArrayList<>();
        answer.put(name, list);
        return list;
    }
}
