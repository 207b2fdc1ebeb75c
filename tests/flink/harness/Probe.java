package harness;

import org.apache.flink.api.java.tuple.Tuple3;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicInteger;

/** What the tasks of the one job at a time tell and are told: they run in the same JVM as who asks. */
final class Probe {
    /** Highest count per word. */
    static final Map<String, Long> counts = new ConcurrentHashMap<>();
    /** What windows and timers put out. */
    static final ConcurrentLinkedQueue<Object> outputs = new ConcurrentLinkedQueue<>();
    /** Splits as a source got them back. */
    static final ConcurrentLinkedQueue<Tuple3<String, Long, Long>> restored = new ConcurrentLinkedQueue<>();
    /** Splits as a subtask of the source last stored them. */
    static final Map<Integer, List<Tuple3<String, Long, Long>>> stored = new ConcurrentHashMap<>();
    /** How many sources have emitted their share of the records to hold at. */
    static final AtomicInteger holding = new AtomicInteger();

    /** Rounds after which the sources may go on. */
    static volatile long released;
    /** Whether a job looks after its restored state. */
    static volatile boolean checking;
    /** Whether records shall pile up. */
    static volatile boolean slow;
    /** What a checking job found wrong first. */
    static volatile String firstWrong;
    /** What a checking job has seen of its state. */
    static final AtomicInteger keys = new AtomicInteger();
    static final AtomicInteger timers = new AtomicInteger();
    static final AtomicInteger pieces = new AtomicInteger();

    /** Makes the next record of a source the word "error". */
    static volatile boolean inject;
    /** When (System.currentTimeMillis) the word came in. */
    static volatile long errorAt;

    /** Whether sinks look at the clock. */
    static volatile boolean watching;
    /** When (System.currentTimeMillis) a sink first saw a record. */
    static volatile long firstRecord;
    private static final long[] last = new long[128];
    private static final long[] gap = new long[128];

    private Probe() {}

    static void reset() {
        counts.clear();
        outputs.clear();
        restored.clear();
        stored.clear();
        holding.set(0);
        released = 0;
        checking = false;
        slow = false;
        firstWrong = null;
        keys.set(0);
        timers.set(0);
        pieces.set(0);
        inject = false;
        errorAt = 0;
        watching = false;
    }

    /** Remembers the first state that is not what it must be. */
    static synchronized void check(String what, boolean right, Object found) {
        if (!right && firstWrong == null) {
            String text = String.valueOf(found);
            firstWrong = what + ": " + text.substring(0, Math.min(text.length(), 200));
        }
    }

    static void watch() {
        firstRecord = 0;
        java.util.Arrays.fill(last, 0);
        java.util.Arrays.fill(gap, 0);
        watching = true;
    }

    /** Longest time in ms between two records of a sink since watch(). */
    static double stopWatching() {
        watching = false;
        return java.util.Arrays.stream(gap).max().getAsLong() / 1e6;
    }

    static void seen(int subtask) {
        long now = System.nanoTime();
        if (firstRecord == 0) {
            firstRecord = System.currentTimeMillis();
        }
        if (last[subtask] != 0) {
            gap[subtask] = Math.max(gap[subtask], now - last[subtask]);
        }
        last[subtask] = now;
    }

    static List<List<Object>> positions(Iterable<Tuple3<String, Long, Long>> splits) {
        List<List<Object>> positions = new ArrayList<>();
        splits.forEach(split -> positions.add(List.of(split.f0, split.f1, split.f2)));
        positions.sort(Comparator.comparing(split -> (Long) split.get(2)));
        return positions;
    }

    static List<List<Object>> storedPositions() {
        List<Tuple3<String, Long, Long>> all = new ArrayList<>();
        stored.values().forEach(all::addAll);
        return positions(all);
    }

    /** The result of a job, under the name that flink.sh gives it. */
    static void results(String job, Map<String, Object> answer) {
        if (job.equals("wordcount") || job.equals("splits")) {
            answer.put("counts", new TreeMap<>(counts));
        } else {
            List<Object> sorted = new ArrayList<>(outputs);
            sorted.sort(Comparator.comparing(Object::toString));
            answer.put(job.equals("windowed") ? "windows" : "lines", sorted);
        }
    }
}
