//! Snapshots and values of serializers against what Flink's own wrote (`testdata/serializers.txt`).

use chkctl::state::{Bytes, SerializerSnapshot, StateType, TimeWindow};
use chkctl::wire::Reader;
use std::collections::BTreeMap;

fn hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("ASCII"));
    digits.map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal")).collect()
}

/// Checks that Flink's serializer of this name is that of the type, and that the values are written as it does.
fn golden<T: StateType + PartialEq + std::fmt::Debug>(name: &str, values: &[T]) {
    let text = include_str!("../../testdata/serializers.txt");
    let line = text.lines().find(|line| line.split('|').next() == Some(name)).expect("a line");
    let fields: Vec<&str> = line.split('|').collect();
    let mut out = Vec::new();
    T::serializer().write_versioned(&mut out).expect("it fits");
    assert_eq!(out, hex(fields[2]), "{name}");
    assert_eq!(T::VARIABLE_LENGTH, fields[1] == "-1", "{name}");
    for (value, bytes) in values.iter().zip(&fields[3..]) {
        let mut out = Vec::new();
        value.write(&mut out).expect("it fits");
        assert_eq!(out, hex(bytes), "{name}");
        assert_eq!(T::read(&mut Reader::new(&out, "test")).as_ref(), Ok(value), "{name}");
    }
}

#[test]
fn types_are_written_as_flinks_serializers_write_them() {
    golden::<String>("String", &["word", "", "é", "状𝄞"].map(str::to_owned));
    golden("Boolean", &[true]);
    golden("Byte", &[-3_i8]);
    golden("Short", &[-3_i16]);
    golden("Int", &[-3_i32]);
    golden("Long", &[-3_i64]);
    golden("Float", &[-1.5_f32]);
    golden("Double", &[2.5_f64]);
    golden("byte[]", &[Bytes(vec![1, 2])]);
    golden("Void", &[()]);
    golden("TW", &[TimeWindow { start: 1, end: 2 }]);
    golden("List", &[vec![1_i64, 2]]);
    golden::<BTreeMap<String, i64>>("Map", &[]);
    golden("T2", &[("k".to_owned(), BTreeMap::<i16, Vec<f32>>::new())]);
    golden("T2fixed", &[(1_i32, 2_i64)]);
    golden("T1tw", &[(TimeWindow { start: 1, end: 2 },)]);
}

#[test]
fn values_of_every_known_serializer_are_passed_over() {
    for line in include_str!("../../testdata/serializers.txt").lines() {
        let fields: Vec<&str> = line.split('|').collect();
        let bytes = hex(fields[2]);
        let serializer = SerializerSnapshot::read_versioned(&mut Reader::new(&bytes, "test")).expect(line);
        assert_eq!(serializer.is_variable_length(), fields[1] == "-1", "{line}");
        for value in &fields[3..] {
            let bytes = hex(value);
            let mut input = Reader::new(&bytes, "test");
            serializer.skip_value(&mut input).expect(line);
            assert_eq!(input.left(), 0, "{line}");
        }
    }
}
