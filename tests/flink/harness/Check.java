package harness;

import org.apache.flink.api.common.JobID;
import org.apache.flink.api.common.JobStatus;
import org.apache.flink.runtime.execution.ExecutionState;
import org.apache.flink.runtime.executiongraph.AccessExecutionVertex;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A restore with a verdict: is the state right, and if the job fails, had its tasks been restored by then? */
final class Check {
    /** How long a job that does not end may take to be gone. */
    private static final long PATIENCE = 5_000;
    private final Cluster cluster;

    Check(Cluster cluster) {
        this.cluster = cluster;
    }

    /** {@code verdict} and what goes with it, as flink.sh says. */
    Map<String, Object> run(String job, Options options, String from) throws Exception {
        if (!job.equals("pantry")) {
            throw new IllegalArgumentException("only pantry checks its state");
        }
        Map<String, Object> answer = new LinkedHashMap<>();
        long start = System.nanoTime();
        Probe.checking = true;
        JobID id = null;
        try {
            id = cluster.submit(job, options, from);
            JobStatus status = end(id, options.number("timeout", 10_000));
            if (status == JobStatus.FINISHED) {
                String wrong = Pantry.wrong(options);
                answer.put("verdict", wrong == null ? "right" : "wrong");
                if (wrong != null) {
                    answer.put("why", wrong);
                }
            } else if (status.isGloballyTerminalState()) {
                answer.put("verdict", "fails");
                answer.put("phase", phase(id));
                answer.put("why", Cluster.chain(cluster.failure(id)));
            } else {
                answer.put("verdict", "hangs");
                answer.put("phase", phase(id));
            }
        } catch (Exception e) {
            answer.put("verdict", "fails");
            answer.put("phase", "submit");
            answer.put("why", Cluster.chain(e));
        }
        // A cluster that lost its task manager, or has a task that cannot be stopped, serves no more.
        answer.put("spent", String.valueOf(answer.get("why")).contains("OutOfMemoryError") || !gone(id));
        answer.put("ms", (System.nanoTime() - start) / 1_000_000);
        return answer;
    }

    private JobStatus end(JobID id, long timeout) throws Exception {
        long end = System.currentTimeMillis() + timeout;
        JobStatus status = cluster.status(id);
        while (!status.isGloballyTerminalState() && System.currentTimeMillis() < end) {
            Thread.sleep(2);
            status = cluster.status(id);
        }
        return status;
    }

    private boolean gone(JobID id) throws Exception {
        if (id == null || cluster.status(id).isGloballyTerminalState()) {
            return true;
        }
        cluster.startCancel(id);
        return end(id, PATIENCE).isGloballyTerminalState();
    }

    /**
     * How far the job had come: {@code load} before it had tasks, {@code restore} where a task that failed had not
     * reached RUNNING, {@code running} where all had that failed.
     */
    private String phase(JobID id) throws Exception {
        List<AccessExecutionVertex> tasks = new ArrayList<>();
        cluster.graph(id).getAllVertices().values().forEach(vertex -> tasks.addAll(List.of(vertex.getTaskVertices())));
        List<AccessExecutionVertex> failed = tasks.stream()
                .filter(task -> task.getExecutionState() == ExecutionState.FAILED).toList();
        List<AccessExecutionVertex> asked = failed.isEmpty() ? tasks : failed;
        if (tasks.isEmpty()) {
            return "load";
        }
        return asked.stream().allMatch(task -> Cluster.runningSince(task) > 0) ? "running" : "restore";
    }
}
