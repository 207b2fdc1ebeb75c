//! The names of all snapshot classes of Flink, for telling a damaged name from that of a class of somebody else.
//!
//! Made from the jars in `lib` and `opt` of Flink 1.9.3, 1.10.3, 1.11.4, 1.12.5, 1.13.6, 1.14.6, 1.15.4, 1.16.0-1.16.3,
//! 1.17.0-1.17.2, 1.18.0, 1.19.3, 1.20.5, 2.0.2, 2.1.1, 2.2.1 and 2.3.0 and the jars within them: every class that is not
//! abstract and whose superclasses and interfaces lead to `TypeSerializerSnapshot`; and that of flink-avro from its
//! sources. In the order of their bytes, for binary search.

/// What the name of a snapshot class that [`SerializerSnapshot::read`](super::SerializerSnapshot::read) has no layout for
/// can be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// A class of Flink's, or of somebody else.
    Possible,
    /// The damaged name of this class.
    DamagedFrom(&'static str),
    /// In a package of Flink's own, in which no known release has such a class.
    OfNoRelease,
}

/// Packages that have nothing but what is in Flink's own jars.
const OWN: [&str; 8] = [
    "org.apache.flink.api.common.typeutils.",
    "org.apache.flink.api.java.typeutils.",
    "org.apache.flink.cep.",
    "org.apache.flink.runtime.state.",
    "org.apache.flink.streaming.api.",
    "org.apache.flink.streaming.runtime.",
    "org.apache.flink.table.dataview.",
    "org.apache.flink.table.runtime.",
];

/// Judges a name that may be that of a class.
pub(super) fn judge(name: &str) -> Name {
    if SNAPSHOTS.binary_search(&name).is_ok() {
        return Name::Possible;
    }
    let is_own = OWN.iter().any(|package| name.starts_with(package));
    // Of others only what is all but certain: nobody names a class of his own like that.
    let most = if is_own { 8 } else { 2 };
    if let Some(known) = nearest(name, &SNAPSHOTS, most) {
        return Name::DamagedFrom(known);
    }
    // A length that was damaged leaves the beginning.
    let whole = SNAPSHOTS.iter().find(|known| is_own && known.starts_with(name));
    match whole {
        Some(known) => Name::DamagedFrom(known),
        None if is_own => Name::OfNoRelease,
        None => Name::Possible,
    }
}

/// The name that differs from this one in the fewest bytes, of the same length and in at most `most`.
pub(super) fn nearest(name: &str, names: &[&'static str], most: usize) -> Option<&'static str> {
    let far = |known: &&'static str| (differing(name, known).filter(|count| *count <= most), *known);
    let found = names.iter().map(far).filter_map(|(count, known)| count.map(|count| (count, known)));
    found.min_by_key(|(count, _)| *count).map(|(_, known)| known)
}

/// How many bytes of two texts of the same length differ.
pub(super) fn differing(one: &str, other: &str) -> Option<usize> {
    (one.len() == other.len()).then(|| one.bytes().zip(other.bytes()).filter(|(one, other)| one != other).count())
}

/// Names of classes.
pub(super) static SNAPSHOTS: [&str; 186] = [
    "org.apache.flink.api.common.typeutils.BackwardsCompatibleSerializerSnapshot",
    "org.apache.flink.api.common.typeutils.CompositeSerializer$ConfigSnapshot",
    "org.apache.flink.api.common.typeutils.ParameterlessTypeSerializerConfig",
    "org.apache.flink.api.common.typeutils.SingleThreadAccessCheckingTypeSerializer$SingleThreadAccessCheckingTypeSerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.BigDecSerializer$BigDecSerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.BigIntSerializer$BigIntSerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.BitmapSerializer$BitmapSerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.BooleanSerializer$BooleanSerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.BooleanValueSerializer$BooleanValueSerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.ByteSerializer$ByteSerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.ByteValueSerializer$ByteValueSerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.CharSerializer$CharSerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.CharValueSerializer$CharValueSerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.CollectionSerializerConfigSnapshot",
    "org.apache.flink.api.common.typeutils.base.DateSerializer$DateSerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.DoubleSerializer$DoubleSerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.DoubleValueSerializer$DoubleValueSerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.EnumSerializer$EnumSerializerConfigSnapshot",
    "org.apache.flink.api.common.typeutils.base.EnumSerializer$EnumSerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.FloatSerializer$FloatSerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.FloatValueSerializer$FloatValueSerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.GenericArraySerializerConfigSnapshot",
    "org.apache.flink.api.common.typeutils.base.GenericArraySerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.InstantSerializer$InstantSerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.IntSerializer$IntSerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.IntValueSerializer$IntValueSerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.ListSerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.LocalDateSerializer$LocalDateSerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.LocalDateTimeSerializer$LocalDateTimeSerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.LocalTimeSerializer$LocalTimeSerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.LongSerializer$LongSerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.LongValueSerializer$LongValueSerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.MapSerializerConfigSnapshot",
    "org.apache.flink.api.common.typeutils.base.MapSerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.NullValueSerializer$NullValueSerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.SetSerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.ShortSerializer$ShortSerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.ShortValueSerializer$ShortValueSerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.SqlDateSerializer$SqlDateSerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.SqlTimeSerializer$SqlTimeSerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.SqlTimestampSerializer$SqlTimestampSerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.StringSerializer$StringSerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.StringValueSerializer$StringValueSerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.VariantSerializer$VariantSerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.VoidSerializer$VoidSerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.array.BooleanPrimitiveArraySerializer$BooleanPrimitiveArraySerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.array.BytePrimitiveArraySerializer$BytePrimitiveArraySerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.array.CharPrimitiveArraySerializer$CharPrimitiveArraySerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.array.DoublePrimitiveArraySerializer$DoublePrimitiveArraySerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.array.FloatPrimitiveArraySerializer$FloatPrimitiveArraySerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.array.IntPrimitiveArraySerializer$IntPrimitiveArraySerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.array.LongPrimitiveArraySerializer$LongPrimitiveArraySerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.array.ShortPrimitiveArraySerializer$ShortPrimitiveArraySerializerSnapshot",
    "org.apache.flink.api.common.typeutils.base.array.StringArraySerializer$StringArraySerializerSnapshot",
    "org.apache.flink.api.java.typeutils.runtime.CopyableValueSerializer$CopyableValueSerializerConfigSnapshot",
    "org.apache.flink.api.java.typeutils.runtime.CopyableValueSerializer$CopyableValueSerializerSnapshot",
    "org.apache.flink.api.java.typeutils.runtime.EitherSerializerConfigSnapshot",
    "org.apache.flink.api.java.typeutils.runtime.EitherSerializerSnapshot",
    "org.apache.flink.api.java.typeutils.runtime.JavaEitherSerializerSnapshot",
    "org.apache.flink.api.java.typeutils.runtime.NullableSerializer$NullableSerializerConfigSnapshot",
    "org.apache.flink.api.java.typeutils.runtime.NullableSerializer$NullableSerializerSnapshot",
    "org.apache.flink.api.java.typeutils.runtime.PojoSerializer$PojoSerializerConfigSnapshot",
    "org.apache.flink.api.java.typeutils.runtime.PojoSerializerSnapshot",
    "org.apache.flink.api.java.typeutils.runtime.RowSerializer$RowSerializerConfigSnapshot",
    "org.apache.flink.api.java.typeutils.runtime.RowSerializer$RowSerializerSnapshot",
    "org.apache.flink.api.java.typeutils.runtime.Tuple0SerializerSnapshot",
    "org.apache.flink.api.java.typeutils.runtime.TupleSerializerConfigSnapshot",
    "org.apache.flink.api.java.typeutils.runtime.TupleSerializerSnapshot",
    "org.apache.flink.api.java.typeutils.runtime.ValueSerializer$ValueSerializerConfigSnapshot",
    "org.apache.flink.api.java.typeutils.runtime.ValueSerializer$ValueSerializerSnapshot",
    "org.apache.flink.api.java.typeutils.runtime.kryo.KryoSerializer$KryoSerializerConfigSnapshot",
    "org.apache.flink.api.java.typeutils.runtime.kryo.KryoSerializerSnapshot",
    "org.apache.flink.api.scala.typeutils.EnumValueSerializer$ScalaEnumSerializerConfigSnapshot",
    "org.apache.flink.api.scala.typeutils.NothingSerializerSnapshot",
    "org.apache.flink.api.scala.typeutils.OptionSerializer$OptionSerializerConfigSnapshot",
    "org.apache.flink.api.scala.typeutils.ScalaCaseClassSerializerSnapshot",
    "org.apache.flink.api.scala.typeutils.ScalaEitherSerializerSnapshot",
    "org.apache.flink.api.scala.typeutils.ScalaEnumSerializerSnapshot",
    "org.apache.flink.api.scala.typeutils.ScalaOptionSerializerConfigSnapshot",
    "org.apache.flink.api.scala.typeutils.ScalaOptionSerializerSnapshot",
    "org.apache.flink.api.scala.typeutils.ScalaTrySerializerConfigSnapshot",
    "org.apache.flink.api.scala.typeutils.ScalaTrySerializerSnapshot",
    "org.apache.flink.api.scala.typeutils.TraversableSerializerConfigSnapshot",
    "org.apache.flink.api.scala.typeutils.TraversableSerializerSnapshot",
    "org.apache.flink.api.scala.typeutils.TrySerializer$TrySerializerConfigSnapshot",
    "org.apache.flink.api.scala.typeutils.Tuple2CaseClassSerializerSnapshot",
    "org.apache.flink.api.scala.typeutils.UnitSerializer$UnitSerializerSnapshot",
    "org.apache.flink.cep.nfa.DeweyNumber$DeweyNumberSerializer$DeweyNumberSerializerSnapshot",
    "org.apache.flink.cep.nfa.NFA$MigratedNFASerializerSnapshot",
    "org.apache.flink.cep.nfa.NFA$NFASerializerConfigSnapshot",
    "org.apache.flink.cep.nfa.NFAStateSerializerSnapshot",
    "org.apache.flink.cep.nfa.SharedBuffer$SharedBufferSerializerConfigSnapshot",
    "org.apache.flink.cep.nfa.SharedBuffer$SharedBufferSerializerSnapshot",
    "org.apache.flink.cep.nfa.sharedbuffer.EventId$EventIdSerializer$EventIdSerializerSnapshot",
    "org.apache.flink.cep.nfa.sharedbuffer.LockableTypeSerializerSnapshot",
    "org.apache.flink.cep.nfa.sharedbuffer.NodeId$NodeIdSerializer$NodeIdSerializerSnapshot",
    "org.apache.flink.cep.nfa.sharedbuffer.SharedBufferEdge$SharedBufferEdgeSerializer$SharedBufferEdgeSerializerSnapshot",
    "org.apache.flink.cep.nfa.sharedbuffer.SharedBufferNode$SharedBufferNodeSerializer$SharedBufferNodeSerializerSnapshot",
    "org.apache.flink.cep.nfa.sharedbuffer.SharedBufferNodeSerializerSnapshotV2",
    "org.apache.flink.formats.avro.typeutils.AvroSerializerSnapshot",
    "org.apache.flink.graph.types.valuearray.ByteValueArraySerializer$ByteValueArraySerializerSnapshot",
    "org.apache.flink.graph.types.valuearray.CharValueArraySerializer$CharValueArraySerializerSnapshot",
    "org.apache.flink.graph.types.valuearray.DoubleValueArraySerializer$DoubleValueArraySerializerSnapshot",
    "org.apache.flink.graph.types.valuearray.FloatValueArraySerializer$FloatValueArraySerializerSnapshot",
    "org.apache.flink.graph.types.valuearray.IntValueArraySerializer$IntValueArraySerializerSnapshot",
    "org.apache.flink.graph.types.valuearray.LongValueArraySerializer$LongValueArraySerializerSnapshot",
    "org.apache.flink.graph.types.valuearray.NullValueArraySerializer$NullValueArraySerializerSnapshot",
    "org.apache.flink.graph.types.valuearray.ShortValueArraySerializer$ShortValueArraySerializerSnapshot",
    "org.apache.flink.graph.types.valuearray.StringValueArraySerializer$StringValueArraySerializerSnapshot",
    "org.apache.flink.queryablestate.client.VoidNamespaceSerializer$VoidNamespaceSerializerSnapshot",
    "org.apache.flink.runtime.state.ArrayListSerializerSnapshot",
    "org.apache.flink.runtime.state.JavaSerializer$JavaSerializerSnapshot",
    "org.apache.flink.runtime.state.VoidNamespaceSerializer$VoidNamespaceSerializerSnapshot",
    "org.apache.flink.runtime.state.ttl.TtlAwareSerializerSnapshot",
    "org.apache.flink.runtime.state.ttl.TtlStateFactory$TtlSerializerSnapshot",
    "org.apache.flink.runtime.state.v2.ttl.TtlStateFactory$TtlSerializerSnapshot",
    "org.apache.flink.streaming.api.datastream.CoGroupedStreams$UnionSerializerConfigSnapshot",
    "org.apache.flink.streaming.api.datastream.CoGroupedStreams$UnionSerializerSnapshot",
    "org.apache.flink.streaming.api.functions.sink.TwoPhaseCommitSinkFunction$StateSerializerConfigSnapshot",
    "org.apache.flink.streaming.api.functions.sink.TwoPhaseCommitSinkFunction$StateSerializerSnapshot",
    "org.apache.flink.streaming.api.functions.sink.legacy.TwoPhaseCommitSinkFunction$StateSerializerSnapshot",
    "org.apache.flink.streaming.api.operators.TimerSerializer$TimerSerializerConfigSnapshot",
    "org.apache.flink.streaming.api.operators.TimerSerializerSnapshot",
    "org.apache.flink.streaming.api.operators.co.IntervalJoinOperator$BufferEntrySerializerSnapshot",
    "org.apache.flink.streaming.api.operators.co.IntervalJoinOperator$BufferSerializerConfigSnapshot",
    "org.apache.flink.streaming.api.utils.ByteArrayWrapperSerializer$ByteArrayWrapperSerializerSnapshot",
    "org.apache.flink.streaming.api.windowing.windows.GlobalWindow$Serializer$GlobalWindowSerializerSnapshot",
    "org.apache.flink.streaming.api.windowing.windows.TimeWindow$Serializer$TimeWindowSerializerSnapshot",
    "org.apache.flink.streaming.runtime.streamrecord.StreamElementSerializer$StreamElementSerializerConfigSnapshot",
    "org.apache.flink.streaming.runtime.streamrecord.StreamElementSerializer$StreamElementSerializerSnapshot",
    "org.apache.flink.table.api.typeutils.NothingSerializerSnapshot",
    "org.apache.flink.table.api.typeutils.ScalaCaseClassSerializerSnapshot",
    "org.apache.flink.table.api.typeutils.ScalaEitherSerializerSnapshot",
    "org.apache.flink.table.api.typeutils.ScalaEnumSerializerSnapshot",
    "org.apache.flink.table.api.typeutils.ScalaOptionSerializerSnapshot",
    "org.apache.flink.table.api.typeutils.ScalaTrySerializerSnapshot",
    "org.apache.flink.table.api.typeutils.TraversableSerializerSnapshot",
    "org.apache.flink.table.api.typeutils.Tuple2CaseClassSerializerSnapshot",
    "org.apache.flink.table.api.typeutils.UnitSerializer$UnitSerializerSnapshot",
    "org.apache.flink.table.dataview.ListViewSerializerSnapshot",
    "org.apache.flink.table.dataview.MapViewSerializerSnapshot",
    "org.apache.flink.table.dataview.NullAwareMapSerializerSnapshot",
    "org.apache.flink.table.dataview.NullSerializer$NullSerializerSnapshot",
    "org.apache.flink.table.runtime.operators.sink.SortedLongSerializer$SortedLongSerializerSnapshot",
    "org.apache.flink.table.runtime.operators.window.CountWindow$Serializer$CountWindowSerializerSnapshot",
    "org.apache.flink.table.runtime.operators.window.GlobalWindow$Serializer$GlobalWindowSerializerSnapshot",
    "org.apache.flink.table.runtime.operators.window.TimeWindow$Serializer$TimeWindowSerializerSnapshot",
    "org.apache.flink.table.runtime.sequencedmultisetstate.linked.MetaSqnInfoSerializer$MetaSqnInfoSerializerSnapshot",
    "org.apache.flink.table.runtime.sequencedmultisetstate.linked.NodeSerializer$NodeSerializerSnapshot",
    "org.apache.flink.table.runtime.sequencedmultisetstate.linked.RowDataKeySerializerSnapshot",
    "org.apache.flink.table.runtime.sequencedmultisetstate.linked.RowSqnInfoSerializer$RowSqnInfoSerializerSnapshot",
    "org.apache.flink.table.runtime.types.CRowSerializer$CRowSerializerConfigSnapshot",
    "org.apache.flink.table.runtime.types.CRowSerializerSnapshot",
    "org.apache.flink.table.runtime.typeutils.ArrayDataSerializer$ArrayDataSerializerSnapshot",
    "org.apache.flink.table.runtime.typeutils.BaseArraySerializer$BaseArraySerializerSnapshot",
    "org.apache.flink.table.runtime.typeutils.BaseMapSerializer$BaseMapSerializerSnapshot",
    "org.apache.flink.table.runtime.typeutils.BaseRowSerializer$BaseRowSerializerSnapshot",
    "org.apache.flink.table.runtime.typeutils.BinaryGenericSerializer$BinaryGenericSerializerSnapshot",
    "org.apache.flink.table.runtime.typeutils.BinaryRowDataSerializer$BinaryRowDataSerializerSnapshot",
    "org.apache.flink.table.runtime.typeutils.BinaryRowSerializer$BinaryRowSerializerSnapshot",
    "org.apache.flink.table.runtime.typeutils.BinaryStringSerializer$BinaryStringSerializerSnapshot",
    "org.apache.flink.table.runtime.typeutils.DecimalDataSerializer$DecimalSerializerSnapshot",
    "org.apache.flink.table.runtime.typeutils.DecimalSerializer$DecimalSerializerSnapshot",
    "org.apache.flink.table.runtime.typeutils.ExternalSerializer$ExternalSerializerSnapshot",
    "org.apache.flink.table.runtime.typeutils.LinkedListSerializer$LinkedListSerializerSnapshot",
    "org.apache.flink.table.runtime.typeutils.MapDataSerializer$MapDataSerializerSnapshot",
    "org.apache.flink.table.runtime.typeutils.RawValueDataSerializer$RawValueDataSerializerSnapshot",
    "org.apache.flink.table.runtime.typeutils.RowDataSerializer$RowDataSerializerSnapshot",
    "org.apache.flink.table.runtime.typeutils.SortedMapSerializerSnapshot",
    "org.apache.flink.table.runtime.typeutils.SqlTimestampSerializer$SqlTimestampSerializerSnapshot",
    "org.apache.flink.table.runtime.typeutils.StringDataSerializer$StringDataSerializerSnapshot",
    "org.apache.flink.table.runtime.typeutils.TimestampDataSerializer$TimestampDataSerializerSnapshot",
    "org.apache.flink.table.runtime.typeutils.WindowKeySerializer$WindowKeySerializerSnapshot",
    "org.apache.flink.table.runtime.typeutils.serializers.python.ArrayDataSerializer$ArrayDataSerializerSnapshot",
    "org.apache.flink.table.runtime.typeutils.serializers.python.BaseArraySerializer$BaseArraySerializerSnapshot",
    "org.apache.flink.table.runtime.typeutils.serializers.python.BaseMapSerializer$BaseMapSerializerSnapshot",
    "org.apache.flink.table.runtime.typeutils.serializers.python.BaseRowSerializer$BaseRowSerializerSnapshot",
    "org.apache.flink.table.runtime.typeutils.serializers.python.BigDecSerializer$BigDecSerializerSnapshot",
    "org.apache.flink.table.runtime.typeutils.serializers.python.DateSerializer$DateSerializerSnapshot",
    "org.apache.flink.table.runtime.typeutils.serializers.python.DecimalDataSerializer$DecimalSerializerSnapshot",
    "org.apache.flink.table.runtime.typeutils.serializers.python.DecimalSerializer$DecimalSerializerSnapshot",
    "org.apache.flink.table.runtime.typeutils.serializers.python.MapDataSerializer$BaseMapSerializerSnapshot",
    "org.apache.flink.table.runtime.typeutils.serializers.python.RowDataSerializer$RowDataSerializerSnapshot",
    "org.apache.flink.table.runtime.typeutils.serializers.python.StringSerializer$StringSerializerSnapshot",
    "org.apache.flink.table.runtime.typeutils.serializers.python.TimeSerializer$TimeSerializerSnapshot",
    "org.apache.flink.table.runtime.typeutils.serializers.python.TimestampSerializer$TimestampSerializerSnapshot",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_order_and_the_known_layouts_are_among_them() {
        assert!(SNAPSHOTS.is_sorted());
        for row in &super::super::SIMPLE {
            assert!(SNAPSHOTS.binary_search(&row.class).is_ok(), "{}", row.class);
        }
    }

    #[test]
    fn a_damaged_name_is_told_from_one_of_somebody_else() {
        let string = "org.apache.flink.api.common.typeutils.base.StringSerializer$StringSerializerSnapshot";
        assert_eq!(judge(string), Name::Possible);
        assert_eq!(judge(&string.replace("flink", "flinj")), Name::DamagedFrom(string));
        assert_eq!(judge(string.strip_suffix("hot").expect("it ends so")), Name::DamagedFrom(string));
        assert_eq!(judge("org.apache.flink.api.common.typeutils.base.EntirelyNewSnapshot"), Name::OfNoRelease);
        assert_eq!(judge("org.apache.flink.connector.some.Snapshot"), Name::Possible);
        assert_eq!(judge("com.example.Mine"), Name::Possible);
    }
}
