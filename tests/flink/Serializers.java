import java.sql.Time;
import java.sql.Timestamp;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.util.Arrays;
import java.util.Date;
import java.util.HexFormat;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.apache.flink.api.common.typeutils.TypeSerializer;
import org.apache.flink.api.common.typeutils.TypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.base.*;
import org.apache.flink.api.common.typeutils.base.array.*;
import org.apache.flink.api.java.tuple.*;
import org.apache.flink.api.java.typeutils.runtime.TupleSerializer;
import org.apache.flink.core.memory.DataOutputSerializer;
import org.apache.flink.runtime.state.VoidNamespace;
import org.apache.flink.runtime.state.VoidNamespaceSerializer;
import org.apache.flink.streaming.api.windowing.windows.GlobalWindow;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.flink.types.*;

/**
 * Writes testdata/serializers.txt: of each serializer its name, the length of values (-1 where they vary), the
 * snapshot as writeVersionedSnapshot writes it, and some values.
 * Run with: java -cp "FLINK/lib/*" tests/flink/Serializers.java
 */
public class Serializers {
    static String hex(DataOutputSerializer out) {
        return HexFormat.of().formatHex(out.getSharedBuffer(), 0, out.length());
    }

    @SafeVarargs
    static <T> void print(String name, TypeSerializer<T> serializer, T... values) throws Exception {
        DataOutputSerializer out = new DataOutputSerializer(64);
        TypeSerializerSnapshot.writeVersionedSnapshot(out, serializer.snapshotConfiguration());
        StringBuilder line = new StringBuilder(name + "|" + serializer.getLength() + "|" + hex(out));
        for (T value : values) {
            out = new DataOutputSerializer(64);
            serializer.serialize(value, out);
            line.append('|').append(hex(out));
        }
        System.out.println(line);
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    public static void main(String[] args) throws Exception {
        print("String", StringSerializer.INSTANCE, "word", "", "é", "状𝄞");
        print("Boolean", BooleanSerializer.INSTANCE, true);
        print("Byte", ByteSerializer.INSTANCE, (byte)-3);
        print("Short", ShortSerializer.INSTANCE, (short)-3);
        print("Int", IntSerializer.INSTANCE, -3);
        print("Long", LongSerializer.INSTANCE, -3L);
        print("Float", FloatSerializer.INSTANCE, -1.5f);
        print("Double", DoubleSerializer.INSTANCE, 2.5);
        print("byte[]", BytePrimitiveArraySerializer.INSTANCE, new byte[]{1, 2});
        print("Void", VoidNamespaceSerializer.INSTANCE, VoidNamespace.INSTANCE);
        print("TW", new TimeWindow.Serializer(), new TimeWindow(1, 2));
        print("GW", new GlobalWindow.Serializer(), GlobalWindow.get());
        print("VoidSer", VoidSerializer.INSTANCE, (Void)null);
        print("Char", CharSerializer.INSTANCE, 'a');
        print("Date", DateSerializer.INSTANCE, new Date(5), null);
        print("SqlDate", SqlDateSerializer.INSTANCE, new java.sql.Date(5), null);
        print("SqlTime", SqlTimeSerializer.INSTANCE, new Time(5), null);
        print("SqlTs", SqlTimestampSerializer.INSTANCE, new Timestamp(5), null);
        print("Instant", InstantSerializer.INSTANCE, Instant.ofEpochMilli(5), null);
        print("LocalDate", LocalDateSerializer.INSTANCE, LocalDate.of(2020, 1, 2), null);
        print("LocalTime", LocalTimeSerializer.INSTANCE, LocalTime.of(1, 2, 3, 4), null);
        print("LDT", LocalDateTimeSerializer.INSTANCE, LocalDateTime.of(2020, 1, 2, 3, 4, 5), null);
        print("BV", BooleanValueSerializer.INSTANCE, new BooleanValue(true));
        print("ByV", ByteValueSerializer.INSTANCE, new ByteValue((byte)1));
        print("SV", ShortValueSerializer.INSTANCE, new ShortValue((short)1));
        print("IV", IntValueSerializer.INSTANCE, new IntValue(1));
        print("LV", LongValueSerializer.INSTANCE, new LongValue(1));
        print("FV", FloatValueSerializer.INSTANCE, new FloatValue(1));
        print("DV", DoubleValueSerializer.INSTANCE, new DoubleValue(1));
        print("bool[]", BooleanPrimitiveArraySerializer.INSTANCE, new boolean[]{true, false});
        print("short[]", ShortPrimitiveArraySerializer.INSTANCE, new short[]{1, 2});
        print("int[]", IntPrimitiveArraySerializer.INSTANCE, new int[]{1, 2});
        print("long[]", LongPrimitiveArraySerializer.INSTANCE, new long[]{1, 2});
        print("float[]", FloatPrimitiveArraySerializer.INSTANCE, new float[]{1, 2});
        print("char[]", CharPrimitiveArraySerializer.INSTANCE, new char[]{1, 2});
        print("double[]", DoublePrimitiveArraySerializer.INSTANCE, new double[]{1, 2});
        print("String[]", StringArraySerializer.INSTANCE, new String[]{"a", null});
        print("BigInt", BigIntSerializer.INSTANCE, null, java.math.BigInteger.ZERO, java.math.BigInteger.TEN, java.math.BigInteger.valueOf(-300));
        print("List", new ListSerializer<>(LongSerializer.INSTANCE), Arrays.asList(1L, 2L));
        Map<String, Long> m=new TreeMap<>();
        m.put("a", 7L);
        m.put("b", null);
        print("Map", new MapSerializer<>(StringSerializer.INSTANCE, LongSerializer.INSTANCE), m);
        TypeSerializer t2=new TupleSerializer(Tuple2.class, new TypeSerializer[]{StringSerializer.INSTANCE, new MapSerializer<>(ShortSerializer.INSTANCE, new ListSerializer<>(FloatSerializer.INSTANCE))});
        print("T2", t2, new Tuple2("k", new TreeMap<>()));
        print("T2fixed", new TupleSerializer(Tuple2.class, new TypeSerializer[]{IntSerializer.INSTANCE, LongSerializer.INSTANCE}), new Tuple2(1, 2L));
        print("T1tw", new TupleSerializer(Tuple1.class, new TypeSerializer[]{new TimeWindow.Serializer()}), new Tuple1(new TimeWindow(1, 2)));
        print("Enum", new EnumSerializer<>(TimeUnit.class), TimeUnit.SECONDS);
    }
}
