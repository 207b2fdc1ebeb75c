package harness;

import org.apache.flink.api.common.JobID;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.ObjectMapper;

import java.io.BufferedReader;
import java.io.File;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Harness RELEASE [COMMAND ARGUMENT...]: one command, or those on stdin; flink.sh says which there are. */
public final class Harness {
    private static final ObjectMapper JSON = new ObjectMapper();
    private final Cluster cluster;

    private Harness(Cluster cluster) {
        this.cluster = cluster;
    }

    public static void main(String[] args) throws Exception {
        // Stdout is for answers: what Flink or a job prints goes elsewhere.
        PrintStream answers = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        System.setOut(System.err);
        // Before any class makes a temporary file. Not with java.nio: that would look at the property.
        String parent = System.getProperty("java.io.tmpdir");
        File work = new File(parent, "chkctl-flink-" + ProcessHandle.current().pid()).getAbsoluteFile();
        if (!work.mkdirs()) {
            throw new IllegalStateException("cannot make " + work);
        }
        System.setProperty("java.io.tmpdir", work.getPath());
        Runtime.getRuntime().addShutdownHook(new Thread(() -> delete(work)));
        int status = 0;
        try (Cluster cluster = new Cluster(work)) {
            Harness harness = new Harness(cluster);
            if (args.length > 1) {
                Map<String, Object> answer = harness.answer(Arrays.asList(args).subList(1, args.length));
                answers.println(JSON.writeValueAsString(answer));
                status = answer.containsKey("failed") ? 1 : 0;
            } else {
                answers.println(JSON.writeValueAsString(Map.of("ready", args[0])));
                harness.serve(answers);
            }
        }
        delete(work);
        Runtime.getRuntime().halt(status);
    }

    private void serve(PrintStream answers) throws Exception {
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = commands.readLine()) != null; ) {
            String[] words = line.startsWith("[") ? JSON.readValue(line, String[].class) : line.trim().split("\\s+");
            answers.println(JSON.writeValueAsString(answer(Arrays.asList(words))));
        }
    }

    private Map<String, Object> answer(List<String> words) {
        try {
            Probe.reset();
            String what = words.size() > 1 ? words.get(1) : "";
            return switch (words.get(0)) {
                case "run" -> run(what, Options.parse(words.subList(2, words.size())));
                case "restore" -> toTheEnd(what, Options.parse(words.subList(3, words.size())), words.get(2));
                case "check" -> new Check(cluster).run(what, Options.parse(words.subList(3, words.size())), words.get(2));
                case "complete" -> toTheEnd(what, Options.parse(words.subList(2, words.size())), null);
                case "plan" -> cluster.plan(what, Options.parse(words.subList(2, words.size())));
                case "live" -> new Live(cluster).run(words.subList(1, words.size()));
                case "metadata" -> Metadata.load(what);
                case "bench" -> new Bench(cluster).run(what, Options.parse(words.subList(2, words.size())));
                default -> throw new IllegalArgumentException("there is no command " + words.get(0));
            };
        } catch (Exception e) {
            return new LinkedHashMap<>(Map.of("failed", Cluster.chain(e)));
        }
    }

    private Map<String, Object> run(String job, Options given) throws Exception {
        Options options = given.with("hold", given.number("hold", given.n()));
        if (options.text("dir", null) == null) {
            throw new IllegalArgumentException("run needs dir=");
        }
        JobID id = cluster.submit(job, options, options.text("from", null));
        try {
            Map<String, Object> answer = new LinkedHashMap<>();
            for (long round = 1; round <= options.number("rounds", 1); round++) {
                long holding = round * options.sources();
                cluster.await(id, options, "the sources hold", () -> Probe.holding.get() == holding);
                cluster.running(id, options, 0);
                boolean last = round == options.number("rounds", 1);
                answer.put("path", cluster.snapshot(id, last ? options : options.without("savepoint")));
                if (!last) {
                    Thread.sleep(options.number("pause", 0));
                    Probe.released = round;
                }
            }
            answer.put("restored", Probe.positions(Probe.restored));
            answer.put("positions", Probe.storedPositions());
            // Barriers follow the records, so the sinks have seen all that the snapshot covers, and nothing else.
            Probe.results(job, answer);
            return answer;
        } finally {
            cluster.cancel(id);
        }
    }

    private Map<String, Object> toTheEnd(String job, Options options, String from) throws Exception {
        JobID id = cluster.submit(job, options, from);
        try {
            cluster.finish(id, options);
        } finally {
            cluster.cancel(id);
        }
        Map<String, Object> answer = new LinkedHashMap<>();
        answer.put("restored", Probe.positions(Probe.restored));
        Probe.results(job, answer);
        return answer;
    }

    static void delete(File file) {
        File[] inside = java.nio.file.Files.isSymbolicLink(file.toPath()) ? null : file.listFiles();
        if (inside != null) {
            Arrays.stream(inside).forEach(Harness::delete);
        }
        file.delete();
    }
}
