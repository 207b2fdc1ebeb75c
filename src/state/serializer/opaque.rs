//! Snapshots of POJOs and of Kryo: their end is known, and of POJOs the fields as well.
//!
//! Both are made of maps whose keys and values have lengths (`LinkedOptionalMapSerializer`), so what is inside of them
//! need not be understood. The bytes are kept, and written back as they were.

use super::codec::read_at;
use super::{Content, SerializerSnapshot};
use crate::wire::{Decoded, Input, Problem, Reader};

/// `PojoSerializerSnapshot`.
pub(super) const POJO: &str = "org.apache.flink.api.java.typeutils.runtime.PojoSerializerSnapshot";
/// `KryoSerializerSnapshot`.
pub(super) const KRYO: &str = "org.apache.flink.api.java.typeutils.runtime.kryo.KryoSerializerSnapshot";
/// The version of both, from Flink 1.8 to 2.3.
const VERSION: i32 = 2;
/// `LinkedOptionalMapSerializer.HEADER`.
const MAP_HEADER: i64 = 0x4f2_c69a_3d70;

/// `PojoSerializer`'s flags before a value.
const IS_NULL: u8 = 1;
const NO_SUBCLASS: u8 = 2;
const SUBCLASS: u8 = 4;
const TAGGED_SUBCLASS: u8 = 8;

/// A snapshot that is kept as its bytes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Opaque {
    /// The class of the values.
    pub(super) class: String,
    /// The fields of a POJO in the order of the serializer, those of unknown types without one.
    fields: Option<Vec<Option<Box<SerializerSnapshot>>>>,
    /// Everything behind the version.
    pub(super) raw: Vec<u8>,
}

/// Reads what is behind the version of a snapshot; `None` for a class, or a version of it, that is not of these.
pub(super) fn read(input: &mut Reader<'_>, class: &str, version: i32, depth: u32) -> Decoded<Option<Content>> {
    if version != VERSION || (class != POJO && class != KRYO) {
        return Ok(None);
    }
    let before = input.rest();
    let of = input.utf()?.to_string();
    let mut fields = Vec::new();
    let is_pojo = class == POJO;
    let section = input.section();
    read_map(input, |bytes| {
        fields.push(if is_pojo { read_field(Reader::new(bytes, section), depth)? } else { None });
        Ok(())
    })?;
    // Subclasses, registered or met; of Kryo two more maps of the same make.
    read_map(input, |_| Ok(()))?;
    read_map(input, |_| Ok(()))?;
    let length = before.len().saturating_sub(input.left());
    let raw = before.get(..length).unwrap_or_default().to_vec();
    Ok(Some(Content::Opaque(Opaque { class: of, fields: is_pojo.then_some(fields), raw })))
}

/// Reads a map; `value` gets the bytes of each value that is there.
fn read_map<'a>(input: &mut Reader<'a>, mut value: impl FnMut(&'a [u8]) -> Decoded<()>) -> Decoded<()> {
    let at = input.offset();
    if input.i64()? != MAP_HEADER {
        return Err(input.invalid_at(at, "a serializer's map that does not start as one"));
    }
    // A name of no letters and two flags.
    let count = input.count("the size of a serializer's map", 4)?;
    for _ in 0..count {
        input.utf()?;
        if input.u8()? != 0 {
            input.bytes("the length of a key of a serializer's map")?;
        }
        if input.u8()? != 0 {
            value(input.bytes("the length of a value of a serializer's map")?)?;
        }
    }
    Ok(())
}

/// The serializer of a field; `None` where its class is not known.
fn read_field(mut input: Reader<'_>, depth: u32) -> Decoded<Option<Box<SerializerSnapshot>>> {
    match read_at(&mut input, depth) {
        Ok(field) => Ok((input.left() == 0).then(|| Box::new(field))),
        Err(error) if matches!(error.problem, Problem::TooDeep(_)) => Err(error),
        Err(_) => Ok(None),
    }
}

impl Opaque {
    /// Whether the end of a value can be told, at least where it is of no subclass.
    pub(super) fn is_skippable(&self) -> bool {
        let known = |field: &Option<Box<SerializerSnapshot>>| field.as_ref().is_some_and(|field| field.is_skippable());
        self.fields.as_ref().is_some_and(|fields| fields.iter().all(known))
    }

    /// Passes over a value (`PojoSerializer.serialize`).
    pub(super) fn skip_value<I: Input>(&self, input: &mut I) -> Result<(), I::Error> {
        let at = input.offset();
        let unknown =
            |input: &I, what: &str| Err(input.error_at(at, Problem::OnlyJava(format!("{what} of {}", self.class))));
        let Some(fields) = &self.fields else { return unknown(input, "a value") };
        match input.u8()? {
            IS_NULL => return Ok(()),
            NO_SUBCLASS => {}
            SUBCLASS | TAGGED_SUBCLASS => return unknown(input, "a subclass"),
            flags => {
                input.odd(at, "flags before an object that no writer sets");
                if flags & IS_NULL != 0 {
                    return Ok(());
                }
                if flags & (SUBCLASS | TAGGED_SUBCLASS) != 0 || flags & NO_SUBCLASS == 0 {
                    return unknown(input, "a subclass");
                }
            }
        }
        for field in fields {
            if input.flag()? {
                continue;
            }
            match field {
                Some(field) => field.skip_value(input)?,
                None => return unknown(input, "a field"),
            }
        }
        Ok(())
    }
}
