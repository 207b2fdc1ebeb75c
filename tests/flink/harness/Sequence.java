package harness;

import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.typeinfo.TypeHint;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.java.tuple.Tuple3;
import org.apache.flink.runtime.state.FunctionInitializationContext;
import org.apache.flink.runtime.state.FunctionSnapshotContext;
import org.apache.flink.streaming.api.checkpoint.CheckpointedFunction;
import org.apache.flink.streaming.api.functions.source.RichParallelSourceFunction;
import org.apache.flink.streaming.api.watermark.Watermark;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * A replayable source of the numbers from 0 to n, or of the words that belong to them.
 *
 * <p>Its operator state is what chkctl's runtime stores for its sources: the list "source-splits" of (split, next
 * position, end), which Flink deals out anew when the parallelism changes. A subtask reads its splits one by one in the
 * order of their positions, so that time does not go back in it.
 */
abstract class Sequence<T> extends RichParallelSourceFunction<T> implements CheckpointedFunction {
    final int line;
    private final long n;
    private final long hold;
    private final long rate;
    private final List<Tuple3<String, Long, Long>> splits = new ArrayList<>();
    private transient ListState<Tuple3<String, Long, Long>> state;
    private transient boolean restored;
    private volatile boolean running = true;

    Sequence(Options options) {
        n = options.n();
        line = options.count("line", 1);
        hold = options.number("hold", Long.MAX_VALUE);
        rate = options.number("rate", 0);
    }

    /** Emits what stands for the positions from one on. */
    abstract void emit(SourceContext<T> context, long from, int count);

    abstract void emitError(SourceContext<T> context);

    private int subtask() {
        return getRuntimeContext().getTaskInfo().getIndexOfThisSubtask();
    }

    private int subtasks() {
        return getRuntimeContext().getTaskInfo().getNumberOfParallelSubtasks();
    }

    /** What this subtask has of so many records that all have together. */
    private long share(long of) {
        return start(of, subtask() + 1) - start(of, subtask());
    }

    private long start(long of, int subtask) {
        return Math.floorDiv(Math.multiplyExact(of, subtask), subtasks());
    }

    @Override
    public void initializeState(FunctionInitializationContext context) throws Exception {
        state = context.getOperatorStateStore().getListState(new ListStateDescriptor<>(
                "source-splits", TypeInformation.of(new TypeHint<Tuple3<String, Long, Long>>() {})));
        restored = context.isRestored();
        if (restored) {
            for (Tuple3<String, Long, Long> split : state.get()) {
                splits.add(split);
                Probe.restored.add(split.copy());
            }
            splits.sort(Comparator.comparing(split -> split.f1));
        } else {
            splits.add(Tuple3.of("sequence", start(n, subtask()), start(n, subtask() + 1)));
        }
    }

    @Override
    public void snapshotState(FunctionSnapshotContext context) throws Exception {
        state.update(splits);
        List<Tuple3<String, Long, Long>> copies = new ArrayList<>();
        splits.forEach(split -> copies.add(split.copy()));
        Probe.stored.put(subtask(), copies);
    }

    @Override
    public void run(SourceContext<T> context) throws Exception {
        boolean holds = hold != Long.MAX_VALUE;
        // With a rate, to hold means to fill the state quickly; what was restored is full.
        long share = !holds ? Long.MAX_VALUE : rate > 0 && restored ? 0 : share(hold);
        long sent = 0;
        long slowFrom = 0;
        long slow = 0;
        for (Tuple3<String, Long, Long> split : splits) {
            while (running && split.f1 < split.f2 && (sent < share || rate > 0)) {
                if (Probe.inject) {
                    Probe.inject = false;
                    synchronized (context.getCheckpointLock()) {
                        emitError(context);
                    }
                }
                long most = sent < share ? share - sent : line;
                int count = (int) Math.min(Math.min(line, split.f2 - split.f1), most);
                synchronized (context.getCheckpointLock()) {
                    emit(context, split.f1, count);
                    split.f1 += count;
                }
                sent += count;
                if (sent < share || !holds || rate == 0) {
                    continue;
                }
                if (slowFrom == 0) {
                    slowFrom = System.nanoTime();
                    Probe.holding.incrementAndGet();
                }
                slow += count;
                if (slowFrom + slow * 1_000_000_000L / rate > System.nanoTime() + 1_000_000L) {
                    Thread.sleep(1);
                }
            }
        }
        if (holds && rate == 0) {
            Probe.holding.incrementAndGet();
            while (running) {
                Thread.sleep(1);
            }
        }
    }

    @Override
    public void cancel() {
        running = false;
    }

    static String word(long position, int vocab) {
        return "word" + position * 7919 % vocab;
    }

    /** The words, some in a line, without times. */
    static final class Lines extends Sequence<String> {
        private static final int TABLE = 1_000_000;
        private final int vocab;
        /** Not where a job holds: its heap may be measured. */
        private final boolean table;
        private transient String[] words;
        private transient StringBuilder text;

        Lines(Options options) {
            super(options);
            vocab = options.vocab();
            table = vocab <= TABLE && options.text("hold", null) == null;
        }

        @Override
        void emit(SourceContext<String> context, long from, int count) {
            if (text == null) {
                text = new StringBuilder();
                words = new String[table ? vocab : 0];
                for (int i = 0; i < words.length; i++) {
                    words[i] = "word" + i;
                }
            }
            text.setLength(0);
            for (long position = from; position < from + count; position++) {
                if (position > from) {
                    text.append(' ');
                }
                text.append(table ? words[(int) (position * 7919 % vocab)] : word(position, vocab));
            }
            context.collect(text.toString());
        }

        @Override
        void emitError(SourceContext<String> context) {
            context.collect("error");
        }
    }

    /** The numbers, number i at 10 * i ms, each followed by a watermark that is 1 ms behind it. */
    static final class Numbers extends Sequence<Long> {
        Numbers(Options options) {
            super(options.with("line", 1));
        }

        @Override
        void emit(SourceContext<Long> context, long from, int count) {
            context.collectWithTimestamp(from, from * 10);
            context.emitWatermark(new Watermark(from * 10 - 1));
        }

        @Override
        void emitError(SourceContext<Long> context) {
            throw new IllegalStateException("there is no word among numbers");
        }
    }
}
