package harness;

import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.*;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.api.java.tuple.Tuple3;
import org.apache.flink.streaming.api.TimeDomain;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.streaming.api.functions.sink.RichSinkFunction;
import org.apache.flink.streaming.api.functions.windowing.ProcessWindowFunction;
import org.apache.flink.streaming.api.windowing.assigners.SlidingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.assigners.WindowAssigner;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.flink.util.Collector;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** The jobs: every operator with a uid, so that a checkpoint of one release or runtime fits the job of another. */
final class Jobs {
    /** For a timer that never fires: the year 2100. */
    static final long FAR = 4_102_444_800_000L;

    private static final TypeInformation<Tuple2<String, Long>> PAIR = Types.TUPLE(Types.STRING, Types.LONG);

    private Jobs() {}

    static void build(StreamExecutionEnvironment env, String job, Options options) {
        switch (job) {
            case "wordcount" -> wordCount(env, options);
            case "windowed" -> windowed(env, options);
            case "kitchen" -> kitchen(env, options);
            case "splits" -> Splits.build(env, options);
            case "pantry" -> Pantry.build(env, options);
            default -> throw new IllegalArgumentException("there is no job " + job);
        }
    }

    private static void wordCount(StreamExecutionEnvironment env, Options options) {
        env.addSource(new Sequence.Lines(options)).setParallelism(options.sources()).uid(options.uid("source"))
                .flatMap(Jobs::split).returns(Types.STRING).setParallelism(options.sources()).uid(options.uid("split"))
                .map(Jobs::check).returns(Types.STRING).setParallelism(options.sources()).uid(options.uid("check"))
                .map(word -> Tuple2.of(word, 1L)).returns(PAIR).setParallelism(options.sources()).uid(options.uid("pair"))
                .keyBy(pair -> pair.f0, Types.STRING).sum(1).uid(options.uid("sum"))
                .addSink(options.flag("collect", true) ? new Counts() : new Nothing()).uid(options.uid("sink"));
    }

    private static void split(String line, Collector<String> out) {
        for (String word : line.split(" ")) {
            out.collect(word);
        }
    }

    private static String check(String word) {
        if (word.equals("error")) {
            Probe.errorAt = System.currentTimeMillis();
            throw new IllegalStateException("the word error came in");
        }
        return word;
    }

    private static void windowed(StreamExecutionEnvironment env, Options options) {
        int vocab = options.vocab();
        Duration size = Duration.ofMillis(1000);
        WindowAssigner<Object, TimeWindow> windows = options.flag("sliding", false)
                ? SlidingEventTimeWindows.of(size, Duration.ofMillis(500)) : TumblingEventTimeWindows.of(size);
        env.addSource(new Sequence.Numbers(options)).setParallelism(options.sources()).uid(options.uid("source"))
                .map(i -> Tuple2.of(Sequence.word(i, vocab), 1L)).returns(PAIR).setParallelism(options.sources()).uid(options.uid("pair"))
                .keyBy(pair -> pair.f0, Types.STRING).window(windows)
                .reduce((a, b) -> Tuple2.of(a.f0, a.f1 + b.f1), new WithStart()).uid(options.uid("window"))
                .addSink(new Outputs<>()).uid(options.uid("sink"));
    }

    private static void kitchen(StreamExecutionEnvironment env, Options options) {
        long keys = options.number("keys", 10);
        SingleOutputStreamOperator<String> lines = env.addSource(new Sequence.Numbers(options))
                .setParallelism(options.sources()).uid(options.uid("source"))
                .keyBy(i -> i % keys, Types.LONG).process(new Kitchen(options.vocab())).uid(options.uid("process"));
        lines.addSink(new Outputs<>()).uid(options.uid("sink"));
    }

    /** Says which window a sum is of. */
    static final class WithStart
            extends ProcessWindowFunction<Tuple2<String, Long>, Tuple3<String, Long, Long>, String, TimeWindow> {
        @Override
        public void process(String word, Context context, Iterable<Tuple2<String, Long>> sums,
                Collector<Tuple3<String, Long, Long>> out) {
            sums.forEach(sum -> out.collect(Tuple3.of(word, context.window().getStart(), sum.f1)));
        }
    }

    /** Every kind of keyed state, and timers: a line of all state for each second that a key has records in. */
    static final class Kitchen extends KeyedProcessFunction<Long, Long, String> {
        private static final int SEEN = 3;
        private final int vocab;
        private transient ValueState<Long> count;
        private transient ListState<String> seen;
        private transient MapState<String, Long> perWord;
        private transient ReducingState<Long> total;

        Kitchen(int vocab) {
            this.vocab = vocab;
        }

        @Override
        public void open(OpenContext context) {
            var states = getRuntimeContext();
            count = states.getState(new ValueStateDescriptor<>("count", Types.LONG));
            seen = states.getListState(new ListStateDescriptor<>("seen", Types.STRING));
            perWord = states.getMapState(new MapStateDescriptor<>("per-word", Types.STRING, Types.LONG));
            total = states.getReducingState(new ReducingStateDescriptor<>("total", Long::sum, Types.LONG));
        }

        @Override
        public void processElement(Long i, Context context, Collector<String> out) throws Exception {
            String word = Sequence.word(i, vocab);
            Long before = count.value();
            count.update(before == null ? 1 : before + 1);
            List<String> last = new ArrayList<>();
            seen.get().forEach(last::add);
            last.add(word);
            seen.update(last.subList(Math.max(0, last.size() - SEEN), last.size()));
            Long words = perWord.get(word);
            perWord.put(word, words == null ? 1 : words + 1);
            total.add(i);
            long time = context.timestamp();
            context.timerService().registerEventTimeTimer(time - time % 1000 + 1000);
            context.timerService().registerProcessingTimeTimer(FAR);
        }

        @Override
        public void onTimer(long time, OnTimerContext context, Collector<String> out) throws Exception {
            List<String> words = new ArrayList<>();
            Map<String, Long> sorted = new TreeMap<>();
            for (Map.Entry<String, Long> entry : perWord.entries()) {
                sorted.put(entry.getKey(), entry.getValue());
            }
            sorted.forEach((word, many) -> words.add(word + ":" + many));
            out.collect(String.format("key=%d time=%d %s count=%d seen=%s per-word=%s total=%d", context.getCurrentKey(),
                    time, context.timeDomain() == TimeDomain.EVENT_TIME ? "event" : "clock",
                    count.value(), String.join(",", seen.get()), String.join(",", words), total.get()));
        }
    }

    /** Looks at the clock where asked, and keeps nothing. */
    static class Nothing extends RichSinkFunction<Tuple2<String, Long>> {
        @Override
        public void invoke(Tuple2<String, Long> pair, Context context) {
            if (Probe.watching) {
                Probe.seen(getRuntimeContext().getTaskInfo().getIndexOfThisSubtask());
            }
        }
    }

    static final class Counts extends Nothing {
        @Override
        public void invoke(Tuple2<String, Long> pair, Context context) {
            super.invoke(pair, context);
            Probe.counts.merge(pair.f0, pair.f1, Math::max);
        }
    }

    static final class Outputs<T> extends RichSinkFunction<T> {
        @Override
        public void invoke(T output, Context context) {
            Probe.outputs.add(output instanceof Tuple3<?, ?, ?> t ? List.of(t.f0, t.f1, t.f2) : output);
        }
    }
}
