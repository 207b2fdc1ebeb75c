package harness;

import org.apache.flink.api.common.functions.AggregateFunction;
import org.apache.flink.api.common.state.*;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.api.java.tuple.Tuple3;
import org.apache.flink.runtime.state.FunctionInitializationContext;
import org.apache.flink.runtime.state.FunctionSnapshotContext;
import org.apache.flink.runtime.state.StateInitializationContext;
import org.apache.flink.runtime.state.StatePartitionStreamProvider;
import org.apache.flink.runtime.state.StateSnapshotContext;
import org.apache.flink.runtime.state.VoidNamespace;
import org.apache.flink.runtime.state.VoidNamespaceSerializer;
import org.apache.flink.streaming.api.checkpoint.CheckpointedFunction;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.source.RichParallelSourceFunction;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.BoundedOneInput;
import org.apache.flink.streaming.api.operators.InternalTimer;
import org.apache.flink.streaming.api.operators.InternalTimerService;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.api.operators.Triggerable;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;

/**
 * Every kind of state, and all of it known by arithmetic: the keys of a split of the source come one after the other
 * and round again, so that the number of a record says what its key's state must be before it.
 *
 * <p>A restored job that checks (Probe.checking) takes one more record of every key, compares each state with what it
 * must be, counts keys and timers, and ends.
 */
final class Pantry {
    /** Numbers that a split has. */
    static final long SPLIT = 1L << 30;
    private static final int LAST = 3;
    private static final int ENTRIES = 20;
    private static final TypeInformation<Tuple2<Long, String>> RECORD = Types.TUPLE(Types.LONG, Types.STRING);

    private Pantry() {}

    static void build(StreamExecutionEnvironment env, Options options) {
        int keys = options.count("keys", 500);
        env.addSource(new Source(options)).returns(RECORD).uid("source")
                .keyBy(record -> key(record.f0, keys), Types.LONG)
                .transform("keeper", Types.LONG, new Keeper(options)).uid("keeper");
    }

    private static long key(long number, int keys) {
        return number / SPLIT * keys + number % SPLIT % keys;
    }

    /** Text that belongs to a number, and that does not compress much. */
    static String text(long number) {
        StringBuilder text = new StringBuilder().append(number);
        for (long mixed = number; text.length() < 44; ) {
            mixed = (mixed ^ mixed >>> 29) * 0x9E3779B97F4A7C15L + 0x2545F4914F6CDD1DL;
            text.append(Long.toString(mixed >>> 1, 36));
        }
        return text.toString();
    }

    /** Numbers with their texts; the state of the source is where each split goes on. */
    static final class Source extends RichParallelSourceFunction<Tuple2<Long, String>> implements CheckpointedFunction {
        private final int keys;
        private final long rounds;
        private final long share;
        private final boolean slow;
        private transient ListState<Tuple3<String, Long, Long>> splits;
        private transient ListState<Tuple2<Integer, String>> union;
        private transient BroadcastState<String, Long> broadcast;
        private final List<Tuple3<String, Long, Long>> mine = new ArrayList<>();
        private volatile boolean running = true;

        Source(Options options) {
            keys = options.count("keys", 500);
            rounds = options.number("rounds", 1);
            share = options.number("hold", 3L * keys);
            slow = options.flag("slow", false);
        }

        @Override
        public void initializeState(FunctionInitializationContext context) throws Exception {
            var store = context.getOperatorStateStore();
            splits = store.getListState(new ListStateDescriptor<>("splits", Types.TUPLE(Types.STRING, Types.LONG, Types.LONG)));
            union = store.getUnionListState(new ListStateDescriptor<>("union", Types.TUPLE(Types.INT, Types.STRING)));
            broadcast = store.getBroadcastState(new MapStateDescriptor<>("broadcast", Types.STRING, Types.LONG));
            if (!context.isRestored()) {
                long first = subtask() * SPLIT;
                mine.add(Tuple3.of("split-" + subtask(), first, first + SPLIT));
                return;
            }
            for (Tuple3<String, Long, Long> split : splits.get()) {
                mine.add(split);
                long first = split.f2 - SPLIT;
                Probe.check("splits", split.f0.equals("split-" + first / SPLIT) && split.f1 == first + share, split);
            }
            Map<Integer, String> numbered = new TreeMap<>();
            for (Tuple2<Integer, String> entry : union.get()) {
                Probe.check("union", entry.f1.equals(text(entry.f0)) && numbered.put(entry.f0, entry.f1) == null, entry);
            }
            Probe.check("union", numbered.size() == ENTRIES * subtasks(), numbered.size());
            Map<String, Long> found = new TreeMap<>();
            broadcast.entries().forEach(entry -> found.put(entry.getKey(), entry.getValue()));
            Map<String, Long> expected = new TreeMap<>();
            for (long i = 0; i < ENTRIES; i++) {
                expected.put(text(i), i);
            }
            Probe.check("broadcast", found.equals(expected), found);
        }

        @Override
        public void snapshotState(FunctionSnapshotContext context) throws Exception {
            splits.update(mine);
            union.clear();
            for (int i = 0; i < ENTRIES; i++) {
                int number = subtask() * ENTRIES + i;
                union.add(Tuple2.of(number, text(number)));
                broadcast.put(text(i), (long) i);
            }
        }

        @Override
        public void run(SourceContext<Tuple2<Long, String>> context) throws Exception {
            if (Probe.checking) {
                Probe.pieces.addAndGet(mine.size());
                for (Tuple3<String, Long, Long> split : mine) {
                    emit(context, split, split.f1 + keys);
                }
                return;
            }
            for (long round = 1; running && round <= rounds; round++) {
                if (slow && round == rounds) {
                    // From here on records pile up before the barrier.
                    Thread.sleep(200);
                    Probe.slow = true;
                }
                emit(context, mine.get(0), mine.get(0).f2 - SPLIT + share * round / rounds);
                Probe.holding.incrementAndGet();
                while (running && Probe.released < round) {
                    Thread.sleep(1);
                }
            }
            while (running) {
                Thread.sleep(1);
            }
        }

        private int subtask() {
            return getRuntimeContext().getTaskInfo().getIndexOfThisSubtask();
        }

        private int subtasks() {
            return getRuntimeContext().getTaskInfo().getNumberOfParallelSubtasks();
        }

        @Override
        public void cancel() {
            running = false;
        }

        private void emit(SourceContext<Tuple2<Long, String>> context, Tuple3<String, Long, Long> split, long end) {
            while (running && split.f1 < end) {
                synchronized (context.getCheckpointLock()) {
                    context.collect(Tuple2.of(split.f1, text(split.f1)));
                    split.f1++;
                }
            }
        }
    }

    /** Keeps the keyed state and looks after it. */
    static final class Keeper extends AbstractStreamOperator<Long> implements OneInputStreamOperator<Tuple2<Long, String>, Long>,
            Triggerable<Long, VoidNamespace>, BoundedOneInput {
        private final int keys;
        private final long share;
        private transient InternalTimerService<VoidNamespace> timers;
        private transient ValueState<Long> count;
        private transient ValueState<String> text;
        private transient ListState<String> last;
        private transient MapState<String, Long> all;
        private transient ReducingState<Long> sum;
        private transient AggregatingState<Long, Long> range;

        Keeper(Options options) {
            keys = options.count("keys", 500);
            share = options.number("hold", 3L * keys);
        }

        @Override
        public void initializeState(StateInitializationContext context) throws Exception {
            super.initializeState(context);
            if (context.isRestored()) {
                for (StatePartitionStreamProvider raw : context.getRawOperatorStateInputs()) {
                    String found = new DataInputStream(raw.getStream()).readUTF();
                    Probe.check("raw", found.equals("raw " + text(0)), found);
                    Probe.pieces.incrementAndGet();
                }
            }
        }

        @Override
        public void snapshotState(StateSnapshotContext context) throws Exception {
            super.snapshotState(context);
            var raw = context.getRawOperatorStateOutput();
            raw.startNewPartition();
            new DataOutputStream(raw).writeUTF("raw " + text(0));
        }

        @Override
        public void open() throws Exception {
            super.open();
            timers = getInternalTimerService("timers", VoidNamespaceSerializer.INSTANCE, this);
            var states = getRuntimeContext();
            count = states.getState(new ValueStateDescriptor<>("count", Types.LONG));
            text = states.getState(new ValueStateDescriptor<>("text", Types.STRING));
            last = states.getListState(new ListStateDescriptor<>("last", Types.STRING));
            all = states.getMapState(new MapStateDescriptor<>("all", Types.STRING, Types.LONG));
            sum = states.getReducingState(new ReducingStateDescriptor<>("sum", Long::sum, Types.LONG));
            range = states.getAggregatingState(new AggregatingStateDescriptor<>("range", new Range(), Types.TUPLE(Types.LONG, Types.LONG)));
        }

        @Override
        public void processElement(StreamRecord<Tuple2<Long, String>> element) throws Exception {
            long number = element.getValue().f0;
            Probe.check("record", element.getValue().f1.equals(text(number)), element.getValue());
            if (Probe.slow) {
                Thread.sleep(2);
            }
            long before = number % SPLIT / keys;
            if (Probe.checking) {
                check(number, before);
                if (number % SPLIT / keys == share / keys) {
                    Probe.pieces.incrementAndGet();
                }
            }
            count.update(before + 1);
            text.update(text(number));
            List<String> texts = new ArrayList<>();
            last.get().forEach(texts::add);
            texts.add(text(number));
            last.update(texts.subList(Math.max(0, texts.size() - LAST), texts.size()));
            all.put(text(number), number);
            sum.add(number);
            range.add(number);
            timers.registerEventTimeTimer(VoidNamespace.INSTANCE, Jobs.FAR + key(number, keys));
            timers.registerProcessingTimeTimer(VoidNamespace.INSTANCE, Jobs.FAR + key(number, keys));
        }

        private void check(long number, long before) throws Exception {
            Probe.check("count", equal(count.value(), before == 0 ? null : before), count.value());
            Probe.check("text", equal(text.value(), before == 0 ? null : text(number - keys)), text.value());
            List<String> texts = new ArrayList<>();
            last.get().forEach(texts::add);
            Map<String, Long> entries = new TreeMap<>();
            all.entries().forEach(entry -> entries.put(entry.getKey(), entry.getValue()));
            List<String> expectedTexts = new ArrayList<>();
            Map<String, Long> expectedEntries = new TreeMap<>();
            long total = 0;
            for (long i = before; i > 0; i--) {
                long earlier = number - i * keys;
                if (i <= LAST) {
                    expectedTexts.add(text(earlier));
                }
                expectedEntries.put(text(earlier), earlier);
                total += earlier;
            }
            Probe.check("last", texts.equals(expectedTexts), texts);
            Probe.check("all", entries.equals(expectedEntries), entries);
            Probe.check("sum", equal(sum.get(), before == 0 ? null : total), sum.get());
            Probe.check("range", equal(range.get(), before == 0 ? null : (before - 1) * keys), range.get());
        }

        private static boolean equal(Object a, Object b) {
            return java.util.Objects.equals(a, b);
        }

        /** At the end, before timers fire: there is one timer of each kind for a key. */
        @Override
        public void processWatermark(Watermark mark) throws Exception {
            timers.forEachEventTimeTimer((namespace, time) -> timer(time));
            timers.forEachProcessingTimeTimer((namespace, time) -> timer(time));
        }

        private void timer(long time) {
            Probe.check("timer", time == Jobs.FAR + (Long) getCurrentKey(), getCurrentKey() + " at " + time);
            Probe.timers.incrementAndGet();
        }

        @Override
        public void endInput() {
            try (Stream<Object> found = getKeyedStateBackend().getKeys("count", VoidNamespace.INSTANCE)) {
                Probe.keys.addAndGet((int) found.count());
            }
        }

        @Override
        public void onEventTime(InternalTimer<Long, VoidNamespace> timer) {
            Probe.check("timer", false, "fired " + timer);
        }

        @Override
        public void onProcessingTime(InternalTimer<Long, VoidNamespace> timer) {
            Probe.check("timer", false, "fired " + timer);
        }
    }

    /** From the lowest number to the highest. */
    static final class Range implements AggregateFunction<Long, Tuple2<Long, Long>, Long> {
        @Override
        public Tuple2<Long, Long> createAccumulator() {
            return Tuple2.of(Long.MAX_VALUE, Long.MIN_VALUE);
        }

        @Override
        public Tuple2<Long, Long> add(Long number, Tuple2<Long, Long> range) {
            return Tuple2.of(Math.min(range.f0, number), Math.max(range.f1, number));
        }

        @Override
        public Long getResult(Tuple2<Long, Long> range) {
            return range.f1 - range.f0;
        }

        @Override
        public Tuple2<Long, Long> merge(Tuple2<Long, Long> a, Tuple2<Long, Long> b) {
            return Tuple2.of(Math.min(a.f0, b.f0), Math.max(a.f1, b.f1));
        }
    }

    /** Why the restored state is not right, or null; asked once the job has ended. */
    static String wrong(Options options) {
        int keys = options.count("keys", 500);
        int par = options.parallelism();
        List<String> wrong = new ArrayList<>();
        if (Probe.firstWrong != null) {
            wrong.add(Probe.firstWrong);
        }
        compare(wrong, "keys", Probe.keys.get(), keys * par);
        compare(wrong, "timers", Probe.timers.get(), 2 * keys * par);
        // Every split, raw partition and last record of a key.
        compare(wrong, "pieces", Probe.pieces.get(), 2 * par + keys * par);
        return wrong.isEmpty() ? null : String.join("; ", wrong);
    }

    private static void compare(List<String> wrong, String what, long found, long expected) {
        if (found != expected) {
            wrong.add(found + " " + what + " of " + expected);
        }
    }
}
