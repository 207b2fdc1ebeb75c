package harness;

import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.connector.source.Boundedness;
import org.apache.flink.api.connector.source.ReaderOutput;
import org.apache.flink.api.connector.source.Source;
import org.apache.flink.api.connector.source.SourceReader;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.api.connector.source.SplitEnumerator;
import org.apache.flink.api.connector.source.SplitEnumeratorContext;
import org.apache.flink.api.connector.source.lib.NumberSequenceSource;
import org.apache.flink.api.connector.source.lib.NumberSequenceSource.NumberSequenceSplit;
import org.apache.flink.api.connector.source.lib.util.IteratorSourceEnumerator;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.core.io.InputStatus;
import org.apache.flink.core.io.SimpleVersionedSerializer;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/** A word count whose source has a coordinator: it keeps the splits that no reader has yet, two for each reader at the start. */
final class Splits {
    private static final TypeInformation<Tuple2<String, Long>> PAIR = Types.TUPLE(Types.STRING, Types.LONG);

    private Splits() {}

    static void build(StreamExecutionEnvironment env, Options options) {
        int vocab = options.vocab();
        env.fromSource(new Numbers(options), WatermarkStrategy.noWatermarks(), "numbers", Types.LONG)
                .setParallelism(options.sources()).uid(options.uid("source"))
                .map(i -> Tuple2.of(Sequence.word(i, vocab), 1L)).returns(PAIR).setParallelism(options.sources()).uid(options.uid("pair"))
                .keyBy(pair -> pair.f0, Types.STRING).sum(1).uid(options.uid("sum"))
                .addSink(new Jobs.Counts()).uid(options.uid("sink"));
    }

    /** Flink's own source of numbers, whose readers stop after their share of the records to hold at. */
    static final class Numbers implements Source<Long, NumberSequenceSplit, Collection<NumberSequenceSplit>> {
        private final NumberSequenceSource source;
        private final long n;
        private final long hold;

        Numbers(Options options) {
            n = options.n();
            hold = options.number("hold", Long.MAX_VALUE);
            source = new NumberSequenceSource(0, n - 1);
        }

        @Override
        public Boundedness getBoundedness() {
            return source.getBoundedness();
        }

        @Override
        public SplitEnumerator<NumberSequenceSplit, Collection<NumberSequenceSplit>> createEnumerator(
                SplitEnumeratorContext<NumberSequenceSplit> context) {
            List<NumberSequenceSplit> splits = new ArrayList<>();
            int count = 2 * context.currentParallelism();
            for (int i = 0; i < count; i++) {
                splits.add(new NumberSequenceSplit(String.valueOf(i), n * i / count, n * (i + 1) / count - 1));
            }
            return new IteratorSourceEnumerator<>(context, splits);
        }

        @Override
        public SplitEnumerator<NumberSequenceSplit, Collection<NumberSequenceSplit>> restoreEnumerator(
                SplitEnumeratorContext<NumberSequenceSplit> context, Collection<NumberSequenceSplit> splits) {
            return new IteratorSourceEnumerator<>(context, splits);
        }

        @Override
        public SimpleVersionedSerializer<NumberSequenceSplit> getSplitSerializer() {
            return source.getSplitSerializer();
        }

        @Override
        public SimpleVersionedSerializer<Collection<NumberSequenceSplit>> getEnumeratorCheckpointSerializer() {
            return source.getEnumeratorCheckpointSerializer();
        }

        @Override
        public SourceReader<Long, NumberSequenceSplit> createReader(SourceReaderContext context) {
            long share = hold == Long.MAX_VALUE ? hold : hold / context.currentParallelism();
            return new Reader(source.createReader(context), share);
        }
    }

    private static final class Reader implements SourceReader<Long, NumberSequenceSplit> {
        private final SourceReader<Long, NumberSequenceSplit> reader;
        private final long share;
        private long sent;

        Reader(SourceReader<Long, NumberSequenceSplit> reader, long share) {
            this.reader = reader;
            this.share = share;
        }

        @Override
        public InputStatus pollNext(ReaderOutput<Long> output) throws Exception {
            if (sent == share) {
                return InputStatus.NOTHING_AVAILABLE;
            }
            long before = sent;
            InputStatus status = reader.pollNext(new Counting(output));
            if (sent == share && sent > before) {
                Probe.holding.incrementAndGet();
                return InputStatus.NOTHING_AVAILABLE;
            }
            return status;
        }

        @Override
        public CompletableFuture<Void> isAvailable() {
            return sent == share ? new CompletableFuture<>() : reader.isAvailable();
        }

        @Override
        public void start() {
            reader.start();
        }

        @Override
        public List<NumberSequenceSplit> snapshotState(long checkpoint) {
            return reader.snapshotState(checkpoint);
        }

        @Override
        public void addSplits(List<NumberSequenceSplit> splits) {
            reader.addSplits(splits);
        }

        @Override
        public void notifyNoMoreSplits() {
            reader.notifyNoMoreSplits();
        }

        @Override
        public void close() throws Exception {
            reader.close();
        }

        /** Counts what is emitted. */
        private final class Counting implements ReaderOutput<Long> {
            private final ReaderOutput<Long> output;

            Counting(ReaderOutput<Long> output) {
                this.output = output;
            }

            @Override
            public void collect(Long number) {
                sent++;
                output.collect(number);
            }

            @Override
            public void collect(Long number, long time) {
                sent++;
                output.collect(number, time);
            }

            @Override
            public void emitWatermark(org.apache.flink.api.common.eventtime.Watermark watermark) {
                output.emitWatermark(watermark);
            }

            @Override
            public void markIdle() {
                output.markIdle();
            }

            @Override
            public void markActive() {
                output.markActive();
            }

            @Override
            public org.apache.flink.api.connector.source.SourceOutput<Long> createOutputForSplit(String split) {
                return output.createOutputForSplit(split);
            }

            @Override
            public void releaseOutputForSplit(String split) {
                output.releaseOutputForSplit(split);
            }
        }
    }
}
