package harness;

import org.apache.flink.api.common.JobID;
import org.apache.flink.api.common.JobStatus;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.execution.SavepointFormatType;
import org.apache.flink.runtime.checkpoint.CheckpointStatsSnapshot;
import org.apache.flink.runtime.execution.ExecutionState;
import org.apache.flink.runtime.executiongraph.AccessExecutionGraph;
import org.apache.flink.runtime.executiongraph.AccessExecutionVertex;
import org.apache.flink.runtime.jobgraph.JobGraph;
import org.apache.flink.runtime.jobgraph.SavepointRestoreSettings;
import org.apache.flink.runtime.minicluster.MiniCluster;
import org.apache.flink.runtime.minicluster.MiniClusterConfiguration;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.runtime.util.EnvironmentInformation;
import org.apache.flink.util.SerializedThrowable;

import java.io.File;
import java.io.InputStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** The one embedded cluster of this JVM, which listens on loopback only and writes below one directory. */
final class Cluster implements AutoCloseable {
    private static final int SLOTS = 8;
    /** Names of options before 1.19. */
    private static final Map<String, String> BEFORE_1_19 = Map.of(
            "execution.checkpointing.storage", "state.checkpoint-storage",
            "execution.checkpointing.dir", "state.checkpoints.dir",
            "execution.checkpointing.data-inline-threshold", "state.storage.fs.memory-threshold",
            "execution.checkpointing.incremental", "state.backend.incremental",
            "execution.checkpointing.checkpoints-after-tasks-finish", "execution.checkpointing.checkpoints-after-tasks-finish.enabled");
    private final MiniCluster cluster;
    private final File work;
    /** Where ZooKeeper is, or null. */
    final String quorum;

    /** A job ended that should not have, or could not start. */
    static final class JobFailed extends Exception {
        JobFailed(String what, Throwable cause) {
            super(what, cause);
        }
    }

    /** Something to wait for. */
    interface Check {
        boolean holds() throws Exception;
    }

    Cluster(File work) throws Exception {
        this.work = work;
        Configuration conf = new Configuration();
        for (String option : List.of("rest.address", "rest.bind-address", "jobmanager.rpc.address", "jobmanager.bind-host",
                "taskmanager.host", "taskmanager.bind-host")) {
            conf.setString(option, "localhost");
        }
        conf.setString("rest.bind-port", "0");
        conf.setString("io.tmp.dirs", work.getPath());
        conf.setString("web.tmpdir", work.getPath());
        conf.setString("process.working-dir", work.getPath());
        conf.setString("taskmanager.memory.managed.size", "16mb");
        conf.setString("taskmanager.memory.network.min", "64mb");
        conf.setString("taskmanager.memory.network.max", "64mb");
        conf.setString("jobstore.max-capacity", "5");
        // What Flink takes from the cluster only, such as the storage of changelogs.
        String more = System.getenv().getOrDefault("CHKCTL_FLINK_CONF", "");
        more.lines().map(line -> line.split("=", 2)).filter(pair -> pair.length == 2).forEach(pair -> conf.setString(pair[0], pair[1]));
        Quorum.startFor(conf, work);
        quorum = conf.toMap().get("high-availability.zookeeper.quorum");
        cluster = new MiniCluster(new MiniClusterConfiguration.Builder().setConfiguration(conf).setNumTaskManagers(1)
                .setNumSlotsPerTaskManager(SLOTS).setCommonBindAddress("localhost").build());
        cluster.start();
    }

    /** A directory as Flink is told of it: a path of this machine, or a URI of another file system. */
    private static String uri(String dir) {
        return dir.contains(":/") ? dir : new File(dir).getAbsoluteFile().toURI().toString();
    }

    /** What a job is configured with; heap state, and checkpoints to a directory when they are asked for. */
    private Configuration configuration(Options options) {
        Configuration conf = new Configuration();
        conf.setString("state.backend.type", "hashmap");
        conf.setString("execution.checkpointing.storage", "filesystem");
        String dir = options.text("dir", new File(work, "checkpoints").getPath());
        conf.setString("execution.checkpointing.dir", uri(dir));
        conf.setString("execution.checkpointing.data-inline-threshold", options.text("inline", "20kb"));
        conf.setString("execution.checkpointing.externalized-checkpoint-retention", "RETAIN_ON_CANCELLATION");
        // Without an interval, those by hand would not be exactly-once; with a long pause there is none at the start.
        String never = "36000000 ms";
        String interval = options.text("ck", null);
        if (!"none".equals(interval)) {
            conf.setString("execution.checkpointing.interval", interval == null ? never : interval + " ms");
            conf.setString("execution.checkpointing.min-pause", interval == null ? never : "0 ms");
        }
        // The end of a job does not wait for a last one.
        conf.setString("execution.checkpointing.checkpoints-after-tasks-finish", "false");
        boolean restarts = options.values.containsKey("delay");
        conf.setString("restart-strategy.type", restarts ? "fixed-delay" : "none");
        conf.setString("restart-strategy.fixed-delay.attempts", "1000");
        conf.setString("restart-strategy.fixed-delay.delay", options.text("delay", "0") + " ms");
        options.values.forEach((key, value) -> {
            if (key.startsWith("conf.")) {
                conf.setString(key.substring("conf.".length()), value);
            }
        });
        if (EnvironmentInformation.getVersion().startsWith("1.18.")) {
            conf.toMap().forEach((key, value) -> conf.setString(BEFORE_1_19.getOrDefault(key, key), value));
        }
        return conf;
    }

    private StreamExecutionEnvironment environment(Options options) {
        Configuration conf = configuration(options);
        StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(options.parallelism(), conf);
        env.configure(conf, Cluster.class.getClassLoader());
        env.setMaxParallelism(options.count("maxpar", 128));
        return env;
    }

    /** Starts a job, from a checkpoint where the path is not null. */
    JobID submit(String job, Options options, String from) throws Exception {
        StreamExecutionEnvironment env = environment(options);
        Jobs.build(env, job, options);
        JobGraph graph = env.getStreamGraph().getJobGraph();
        if (from != null) {
            graph.setSavepointRestoreSettings(recovery(options, from));
        }
        return get(cluster.submitJob(graph)).getJobID();
    }

    private SavepointRestoreSettings recovery(Options options, String from) {
        // By the names of before 1.20, which all releases know; conf. may say in which mode, as claim=true does.
        Configuration conf = configuration(options);
        conf.setString("execution.savepoint.path", from);
        String allowNonRestored = String.valueOf(options.flag("allowNonRestored", false));
        conf.setString("execution.savepoint.ignore-unclaimed-state", allowNonRestored);
        if (options.flag("claim", false)) {
            conf.setString("execution.state-recovery.claim-mode", "CLAIM");
        }
        return SavepointRestoreSettings.fromConfiguration(conf);
    }

    /** What the REST API and `flink info` say of a running job. */
    Map<String, Object> plan(String job, Options given) throws Exception {
        Options options = given.with("hold", given.n());
        Map<String, Object> answer = new LinkedHashMap<>();
        JobID id = submit(job, options, null);
        try {
            running(id, options, 0);
            String rest = get(cluster.getRestAddress()) + "/jobs/" + id;
            for (String what : List.of("plan", "")) {
                try (InputStream in = URI.create(what.isEmpty() ? rest : rest + "/" + what).toURL().openStream()) {
                    String text = new String(in.readAllBytes(), StandardCharsets.UTF_8);
                    answer.put(what.isEmpty() ? "job" : what, text);
                }
            }
        } finally {
            cancel(id);
        }
        StreamExecutionEnvironment env = environment(options);
        Jobs.build(env, job, options);
        answer.put("info", env.getExecutionPlan());
        return answer;
    }

    /** Where the REST API is. */
    String rest() throws Exception {
        return get(cluster.getRestAddress()).toString();
    }

    static <T> T get(CompletableFuture<? extends T> future) throws Exception {
        try {
            return future.get(60, TimeUnit.SECONDS);
        } catch (ExecutionException e) {
            throw e.getCause() instanceof Exception cause ? cause : e;
        }
    }

    JobStatus status(JobID job) throws Exception {
        return get(cluster.getJobStatus(job));
    }

    /** Waits for something while the job goes on. */
    void await(JobID job, Options options, String what, Check check) throws Exception {
        long end = System.currentTimeMillis() + options.number("timeout", 60_000);
        while (!check.holds()) {
            JobStatus status = status(job);
            if (status.isGloballyTerminalState() && !check.holds()) {
                throw new JobFailed("the job is " + status + " before " + what, failure(job));
            }
            if (System.currentTimeMillis() > end) {
                throw new TimeoutException("the job is " + status + ", waiting for " + what);
            }
            Thread.sleep(2);
        }
    }

    /** Waits for the end of the sequence. */
    void finish(JobID job, Options options) throws Exception {
        await(job, options, "its end", () -> status(job) == JobStatus.FINISHED);
    }

    /** Waits until all subtasks of a job run, since a time (ms) or later. */
    List<AccessExecutionVertex> running(JobID job, Options options, long since) throws Exception {
        List<AccessExecutionVertex> tasks = new ArrayList<>();
        await(job, options, "all tasks run", () -> {
            tasks.clear();
            AccessExecutionGraph graph = get(cluster.getExecutionGraph(job));
            graph.getAllVertices().values().forEach(vertex -> tasks.addAll(List.of(vertex.getTaskVertices())));
            return !tasks.isEmpty() && tasks.stream().allMatch(task ->
                    task.getExecutionState() == ExecutionState.RUNNING && runningSince(task) >= since);
        });
        return tasks;
    }

    static long runningSince(AccessExecutionVertex task) {
        return task.getStateTimestamp(ExecutionState.RUNNING);
    }

    /** The execution graph of a job, archived once it has ended. */
    AccessExecutionGraph graph(JobID job) throws Exception {
        return get(cluster.getExecutionGraph(job));
    }

    Throwable failure(JobID job) throws Exception {
        var error = get(cluster.requestJobResult(job)).getSerializedThrowable();
        return error.map(e -> e.deserializeError(Cluster.class.getClassLoader())).orElse(null);
    }

    /** Takes a checkpoint, or a savepoint where options say so, and returns its path. */
    String snapshot(JobID job, Options options) throws Exception {
        String format = options.text("savepoint", null);
        if (format == null) {
            return get(cluster.triggerCheckpoint(job));
        }
        SavepointFormatType type = SavepointFormatType.valueOf(format.toUpperCase());
        return get(cluster.triggerSavepoint(job, uri(options.text("dir", null)), false, type));
    }

    CheckpointStatsSnapshot checkpoints(JobID job) throws Exception {
        return get(cluster.getExecutionGraph(job)).getCheckpointStatsSnapshot();
    }

    /** Tells a job to stop and does not wait. */
    void startCancel(JobID job) {
        cluster.cancelJob(job);
    }

    /** Cancels a job and waits for it to be gone. */
    void cancel(JobID job) throws Exception {
        if (!status(job).isGloballyTerminalState()) {
            get(cluster.cancelJob(job));
            get(cluster.requestJobResult(job));
        }
    }

    /** An exception with all its causes. */
    static String chain(Throwable error) {
        List<String> links = new ArrayList<>();
        for (Throwable cause = error; cause != null && links.size() < 20; cause = cause.getCause()) {
            if (cause instanceof SerializedThrowable serialized) {
                cause = serialized.deserializeError(Cluster.class.getClassLoader());
            }
            boolean raw = cause instanceof SerializedThrowable;
            String link = raw ? cause.getMessage() : cause.getClass().getName() + ": " + cause.getMessage();
            links.add(String.valueOf(link).replaceAll("\\s+", " "));
        }
        return String.join(" <- ", links);
    }

    @Override
    public void close() throws Exception {
        cluster.closeAsync().get(20, TimeUnit.SECONDS);
    }
}
