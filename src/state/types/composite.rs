//! Lists, maps and tuples (`ListSerializer`, `MapSerializer`, `TupleSerializer`).

use super::{KeyType, StateType};
use crate::state::serializer::SerializerSnapshot;
use crate::wire::put;
use crate::wire::{Decoded, EncodeError, Reader};
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hash};

/// Entries reserved at once, whatever the count says: an element may be larger in memory than in the file.
const RESERVED: usize = 1024;

impl<T: StateType> StateType for Vec<T> {
    const VARIABLE_LENGTH: bool = true;

    fn serializer() -> SerializerSnapshot {
        SerializerSnapshot::list(T::serializer())
    }

    #[inline]
    fn write(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        put::count(out, "elements of a list", self.len())?;
        self.iter().try_for_each(|element| element.write(out))
    }

    #[inline]
    fn read(input: &mut Reader<'_>) -> Decoded<Self> {
        let count = input.count("the number of elements of a list", 1)?;
        let mut list = Vec::with_capacity(count.min(RESERVED));
        for _ in 0..count {
            list.push(T::read(input)?);
        }
        Ok(list)
    }
}

#[inline]
fn write_pairs<'a, K: StateType, V: StateType>(
    out: &mut Vec<u8>,
    count: usize,
    pairs: impl Iterator<Item = (&'a K, &'a V)>,
) -> Result<(), EncodeError> {
    put::count(out, "entries of a map", count)?;
    for (key, value) in pairs {
        key.write(out)?;
        out.push(0);
        value.write(out)?;
    }
    Ok(())
}

#[inline]
fn read_pair<K: StateType, V: StateType>(input: &mut Reader<'_>) -> Decoded<(K, V)> {
    let key = K::read(input)?;
    Ok((key, read_value(input)?))
}

/// The value of a map's entry behind its null flag.
#[inline]
pub(in crate::state) fn read_value<V: StateType>(input: &mut Reader<'_>) -> Decoded<V> {
    let at = input.offset();
    match input.u8()? {
        0 => V::read(input),
        _ => Err(input.invalid_at(at, "a null in a map whose values are never null")),
    }
}

/// The smallest entry of a map: a byte of key and the null flag.
const PAIR: usize = 2;

impl<K: StateType + Ord, V: StateType> StateType for BTreeMap<K, V> {
    const VARIABLE_LENGTH: bool = true;

    fn serializer() -> SerializerSnapshot {
        SerializerSnapshot::map(K::serializer(), V::serializer())
    }

    #[inline]
    fn write(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        write_pairs(out, self.len(), self.iter())
    }

    #[inline]
    fn read(input: &mut Reader<'_>) -> Decoded<Self> {
        let count = input.count("the number of entries of a map", PAIR)?;
        let mut map = BTreeMap::new();
        for _ in 0..count {
            let (key, value) = read_pair(input)?;
            map.insert(key, value);
        }
        Ok(map)
    }
}

impl<K, V, S> StateType for HashMap<K, V, S>
where
    K: StateType + Eq + Hash,
    V: StateType,
    S: BuildHasher + Default + Send + 'static,
{
    const VARIABLE_LENGTH: bool = true;

    fn serializer() -> SerializerSnapshot {
        SerializerSnapshot::map(K::serializer(), V::serializer())
    }

    #[inline]
    fn write(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        write_pairs(out, self.len(), self.iter())
    }

    #[inline]
    fn read(input: &mut Reader<'_>) -> Decoded<Self> {
        let count = input.count("the number of entries of a map", PAIR)?;
        let mut map = HashMap::with_capacity_and_hasher(count.min(RESERVED), S::default());
        for _ in 0..count {
            let (key, value) = read_pair(input)?;
            map.insert(key, value);
        }
        Ok(map)
    }
}

macro_rules! tuple {
    ($first:ident $($rest:ident)*) => {
        impl<$first: StateType, $($rest: StateType),*> StateType for ($first, $($rest,)*) {
            const VARIABLE_LENGTH: bool = $first::VARIABLE_LENGTH $(|| $rest::VARIABLE_LENGTH)*;

            fn serializer() -> SerializerSnapshot {
                SerializerSnapshot::tuple(vec![$first::serializer(), $($rest::serializer()),*])
            }

            #[inline]
            #[expect(non_snake_case, reason = "fields are named as their types")]
            fn write(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
                let ($first, $($rest,)*) = self;
                $first.write(out)?;
                $($rest.write(out)?;)*
                Ok(())
            }

            #[inline]
            fn read(input: &mut Reader<'_>) -> Decoded<Self> {
                Ok(($first::read(input)?, $($rest::read(input)?,)*))
            }
        }

        /// `TupleN.hashCode`.
        impl<$first: KeyType, $($rest: KeyType),*> KeyType for ($first, $($rest,)*) {
            #[inline]
            #[expect(non_snake_case, reason = "fields are named as their types")]
            fn java_hash(&self) -> i32 {
                let ($first, $($rest,)*) = self;
                let hash = $first.java_hash();
                $(let hash = hash.wrapping_mul(31).wrapping_add($rest.java_hash());)*
                hash
            }
        }
    };
}

tuple!(A);
tuple!(A B);
tuple!(A B C);
tuple!(A B C D);
tuple!(A B C D E);
tuple!(A B C D E F);

#[cfg(test)]
mod tests {
    use super::*;

    fn back<T: StateType + PartialEq + std::fmt::Debug>(value: &T) -> Vec<u8> {
        let mut out = Vec::new();
        value.write(&mut out).expect("a value that fits");
        let mut input = Reader::new(&out, "test");
        assert_eq!(T::read(&mut input).as_ref(), Ok(value));
        assert_eq!(input.left(), 0);
        let mut input = Reader::new(&out, "test");
        assert_eq!(T::serializer().skip_value(&mut input), Ok(()));
        assert_eq!(input.left(), 0);
        out
    }

    #[test]
    fn what_is_written_is_read_and_passed_over() {
        assert_eq!(back(&vec![1_i16, -2]), [0, 0, 0, 2, 0, 1, 0xff, 0xfe]);
        assert_eq!(back(&BTreeMap::from([("a".to_owned(), 7_i8)])), [0, 0, 0, 1, 2, b'a', 0, 7]);
        back(&HashMap::<i64, Vec<String>>::from([(1, vec!["x".to_owned()]), (2, vec![])]));
        back(&("key".to_owned(), 1_i32, 2.5_f64, true, 3_i8, -1.0_f32));
        back(&((1_i64,), super::super::TimeWindow { start: -1, end: i64::MAX }));
        back(&((), super::super::Bytes(vec![1, 2, 3])));
    }

    #[test]
    fn tuples_hash_as_in_java() {
        assert_eq!(("a".to_owned(), 7_i32).java_hash(), 3014);
        assert_eq!(("flink".to_owned(), -7_i32, 1_i64 << 40).java_hash(), -771_607_161);
        assert_eq!(("flink".to_owned(),).java_hash(), 97_520_992);
    }

    #[test]
    fn a_null_in_a_map_is_refused() {
        let bytes = [0, 0, 0, 1, 2, b'a', 1];
        assert!(BTreeMap::<String, i64>::read(&mut Reader::new(&bytes, "test")).is_err());
        let serializer = BTreeMap::<String, i64>::serializer();
        assert_eq!(serializer.skip_value(&mut Reader::new(&bytes, "test")), Ok(()), "but can be passed over");
    }
}
