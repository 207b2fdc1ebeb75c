package harness;

import org.apache.flink.api.common.JobID;
import org.apache.flink.runtime.checkpoint.CheckpointStatsSnapshot;

import java.io.File;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A job that goes on running between commands, beside whom others work on its checkpoints. */
final class Live {
    private final Cluster cluster;

    Live(Cluster cluster) {
        this.cluster = cluster;
    }

    Map<String, Object> run(List<String> words) throws Exception {
        String what = words.get(1);
        Options options = Options.parse(words.subList(2, words.size()));
        return switch (words.get(0)) {
            case "start" -> start(what, options);
            case "fail" -> fail(JobID.fromHexString(what), options);
            case "look" -> look(JobID.fromHexString(what));
            case "savepoint" -> Map.of("path", cluster.snapshot(JobID.fromHexString(what), options));
            case "configmap" -> Quorum.configMap(JobID.fromHexString(what), new File(options.text("dir", null)));
            case "stop" -> stop(JobID.fromHexString(what));
            default -> throw new IllegalArgumentException("there is no command live " + words.get(0));
        };
    }

    private Map<String, Object> start(String job, Options options) throws Exception {
        JobID id = cluster.submit(job, options, options.text("from", null));
        cluster.running(id, options, 0);
        return answer(id);
    }

    /** Makes a task fail, and waits until all of them run again. */
    private Map<String, Object> fail(JobID id, Options options) throws Exception {
        long since = System.currentTimeMillis();
        Probe.inject = true;
        cluster.await(id, options, "a task fails", () -> Probe.errorAt >= since);
        cluster.running(id, options, Probe.errorAt);
        cluster.await(id, options, "it is restored", () -> {
            var restored = cluster.checkpoints(id).getLatestRestoredCheckpoint();
            return restored != null && restored.getRestoreTimestamp() >= since;
        });
        return answer(id);
    }

    private Map<String, Object> look(JobID id) throws Exception {
        return answer(id);
    }

    private Map<String, Object> stop(JobID id) throws Exception {
        cluster.cancel(id);
        return answer(id);
    }

    private Map<String, Object> answer(JobID id) throws Exception {
        Map<String, Object> answer = new LinkedHashMap<>();
        answer.put("job", id.toString());
        answer.put("rest", cluster.rest());
        answer.put("status", cluster.status(id).toString());
        CheckpointStatsSnapshot checkpoints = cluster.checkpoints(id);
        var completed = checkpoints.getHistory().getLatestCompletedCheckpoint();
        answer.put("completed", completed == null ? null : completed.getExternalPath());
        answer.put("count", checkpoints.getCounts().getNumberOfCompletedCheckpoints());
        var restored = checkpoints.getLatestRestoredCheckpoint();
        answer.put("restored", restored == null ? null : restored.getExternalPath());
        if (cluster.quorum != null) {
            answer.put("quorum", cluster.quorum);
        }
        return answer;
    }
}
