//! The snapshot classes that are known, with the layout of the values that their serializers write.

/// A class whose snapshot says no more than its name.
#[derive(Debug, PartialEq)]
pub(super) struct Simple {
    /// The class of the snapshot.
    pub(super) class: &'static str,
    /// The type in the words of a Java programmer.
    pub(super) name: &'static str,
    /// The layout of values.
    pub(super) plain: Plain,
}

/// Layouts of values without parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plain {
    String,
    Boolean,
    Byte,
    Short,
    Int,
    Long,
    Float,
    Double,
    /// An `int` length and bytes.
    ByteArray,
    VoidNamespace,
    TimeWindow,
    /// Some other type of so many bytes.
    Fixed(usize),
    /// An `int` count and as many items of so many bytes.
    Items(usize),
    /// An `int` count and as many strings.
    Strings,
    /// An `int` that is the length and 4, or says null or a small number itself.
    BigInteger,
    /// A layout that only Java knows.
    Unknown,
}

impl Plain {
    /// Bytes of every value; `None` where values differ.
    pub(super) fn width(self) -> Option<usize> {
        match self {
            Plain::Boolean | Plain::Byte | Plain::VoidNamespace => Some(1),
            Plain::Short => Some(2),
            Plain::Int | Plain::Float => Some(4),
            Plain::Long | Plain::Double => Some(8),
            Plain::TimeWindow => Some(16),
            Plain::Fixed(width) => Some(width),
            Plain::String | Plain::ByteArray | Plain::Items(_) | Plain::Strings => None,
            Plain::BigInteger | Plain::Unknown => None,
        }
    }
}

macro_rules! base {
    ($name:literal) => {
        concat!("org.apache.flink.api.common.typeutils.base.", $name, "Serializer$", $name, "SerializerSnapshot")
    };
}

macro_rules! array {
    ($name:literal) => {
        concat!(
            "org.apache.flink.api.common.typeutils.base.array.",
            $name,
            "ArraySerializer$",
            $name,
            "ArraySerializerSnapshot"
        )
    };
}

macro_rules! window {
    ($name:literal) => {
        concat!("org.apache.flink.streaming.api.windowing.windows.", $name, "$Serializer$", $name, "SerializerSnapshot")
    };
}

const fn row(class: &'static str, name: &'static str, plain: Plain) -> Simple {
    Simple { class, name, plain }
}

pub(super) static VOID: Simple = row(base!("Void"), "Void", Plain::VoidNamespace);

/// Widths and layouts: the `serialize` of the serializer of each class, Flink 1.20.5.
pub(super) static SIMPLE: [Simple; 39] = [
    row(base!("String"), "String", Plain::String),
    row(base!("Boolean"), "Boolean", Plain::Boolean),
    row(base!("Byte"), "Byte", Plain::Byte),
    row(base!("Short"), "Short", Plain::Short),
    row(base!("Int"), "Integer", Plain::Int),
    row(base!("Long"), "Long", Plain::Long),
    row(base!("Float"), "Float", Plain::Float),
    row(base!("Double"), "Double", Plain::Double),
    row(array!("BytePrimitive"), "byte[]", Plain::ByteArray),
    row(
        "org.apache.flink.runtime.state.VoidNamespaceSerializer$VoidNamespaceSerializerSnapshot",
        "VoidNamespace",
        Plain::VoidNamespace,
    ),
    row(window!("TimeWindow"), "TimeWindow", Plain::TimeWindow),
    row(window!("GlobalWindow"), "GlobalWindow", Plain::VoidNamespace),
    row(base!("Void"), "Void", Plain::VoidNamespace),
    row(base!("Char"), "Character", Plain::Fixed(2)),
    row(base!("Date"), "Date", Plain::Fixed(8)),
    row(base!("SqlDate"), "java.sql.Date", Plain::Fixed(8)),
    row(base!("SqlTime"), "java.sql.Time", Plain::Fixed(8)),
    row(base!("SqlTimestamp"), "java.sql.Timestamp", Plain::Fixed(12)),
    row(base!("Instant"), "Instant", Plain::Fixed(12)),
    row(base!("LocalDate"), "LocalDate", Plain::Fixed(6)),
    row(base!("LocalTime"), "LocalTime", Plain::Fixed(7)),
    row(base!("LocalDateTime"), "LocalDateTime", Plain::Fixed(13)),
    row(base!("BooleanValue"), "BooleanValue", Plain::Boolean),
    row(base!("ByteValue"), "ByteValue", Plain::Fixed(1)),
    row(base!("ShortValue"), "ShortValue", Plain::Fixed(2)),
    row(base!("IntValue"), "IntValue", Plain::Fixed(4)),
    row(base!("LongValue"), "LongValue", Plain::Fixed(8)),
    row(base!("FloatValue"), "FloatValue", Plain::Fixed(4)),
    row(base!("DoubleValue"), "DoubleValue", Plain::Fixed(8)),
    row(array!("BooleanPrimitive"), "boolean[]", Plain::Items(1)),
    row(array!("ShortPrimitive"), "short[]", Plain::Items(2)),
    row(array!("IntPrimitive"), "int[]", Plain::Items(4)),
    row(array!("LongPrimitive"), "long[]", Plain::Items(8)),
    row(array!("CharPrimitive"), "char[]", Plain::Items(2)),
    row(array!("FloatPrimitive"), "float[]", Plain::Items(4)),
    row(array!("DoublePrimitive"), "double[]", Plain::Items(8)),
    row(array!("String"), "String[]", Plain::Strings),
    row(base!("BigInt"), "BigInteger", Plain::BigInteger),
    row("org.apache.flink.runtime.state.JavaSerializer$JavaSerializerSnapshot", "Serializable", Plain::Unknown),
];

/// How the values of a composite serializer are made of the values of its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// One after the other.
    Fields,
    /// An `int` count and the elements.
    List,
    /// An `int` count; of each entry the key, a null flag and, unless null, the value.
    Map,
    /// The time with its sign bit flipped, and the fields.
    Timer,
    /// A null flag, then the value or padding.
    Nullable,
}

/// A class whose snapshot has the snapshots of parts.
#[derive(Debug, PartialEq)]
pub(super) struct Composite {
    /// The class of the snapshot.
    pub(super) class: &'static str,
    /// The type in the words of a Java programmer.
    pub(super) name: &'static str,
    /// `getCurrentOuterSnapshotVersion`.
    pub(super) outer_version: i32,
    /// The layout of values.
    pub(super) shape: Shape,
    /// The number of parts; 0 for any.
    pub(super) parts: usize,
}

macro_rules! composite {
    ($($name:ident: $class:literal, $shown:literal, $version:literal, $shape:ident, $parts:literal;)*) => {
        $(pub(super) static $name: Composite = Composite {
            class: $class, name: $shown, outer_version: $version, shape: Shape::$shape, parts: $parts,
        };)*
        /// All of them.
        pub(super) static COMPOSITE: [&Composite; 7] = [$(&$name),*];
    };
}

composite! {
    TUPLE: "org.apache.flink.api.java.typeutils.runtime.TupleSerializerSnapshot", "Tuple", 2, Fields, 0;
    LIST: "org.apache.flink.api.common.typeutils.base.ListSerializerSnapshot", "List", 1, List, 1;
    ARRAY_LIST: "org.apache.flink.runtime.state.ArrayListSerializerSnapshot", "ArrayList", 1, List, 1;
    MAP: "org.apache.flink.api.common.typeutils.base.MapSerializerSnapshot", "Map", 1, Map, 2;
    TIMER: "org.apache.flink.streaming.api.operators.TimerSerializerSnapshot", "Timer", 2, Timer, 2;
    TTL: "org.apache.flink.runtime.state.ttl.TtlStateFactory$TtlSerializerSnapshot", "TtlValue", 2, Fields, 2;
    NULLABLE: "org.apache.flink.api.java.typeutils.runtime.NullableSerializer$NullableSerializerSnapshot", "Nullable", 2, Nullable, 1;
}
