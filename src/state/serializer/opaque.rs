//! Snapshots of POJOs and of Kryo: their end is known, and of POJOs the fields as well.
//!
//! Both are made of maps whose keys and values have lengths (`LinkedOptionalMapSerializer`), so what is inside of them
//! need not be understood. The bytes are kept, and written back as they were.

use super::codec::{MOST_VERSIONS, newer_version, read_at};
use super::{Content, SerializerSnapshot};
use crate::wire::{DecodeError, Decoded, Input, Problem, Reader};

/// `PojoSerializerSnapshot`.
pub(super) const POJO: &str = "org.apache.flink.api.java.typeutils.runtime.PojoSerializerSnapshot";
/// `KryoSerializerSnapshot`.
pub(super) const KRYO: &str = "org.apache.flink.api.java.typeutils.runtime.kryo.KryoSerializerSnapshot";
/// The version of both, from Flink 1.8 to 2.3.
pub(super) const VERSION: i32 = 2;
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
    /// The fields of a POJO in the order of the serializer.
    pub(super) fields: Option<Vec<Field>>,
    /// Flags that are neither 0 nor 1.
    pub(super) odd_flags: usize,
    /// Everything behind the version.
    pub(super) raw: Vec<u8>,
}

/// A field of a POJO.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field {
    /// The key of the map, which is the name of the field.
    pub(super) key: String,
    /// The class that declares the field, and its name there; `None` for a field that the class no longer had.
    pub(super) declared: Option<(String, String)>,
    /// The serializer; `None` where its class is not known.
    serializer: Option<Box<SerializerSnapshot>>,
    /// Bytes behind the serializer.
    pub(super) rest: usize,
}

/// Reads what is behind the version of a snapshot; `None` for a class that is not of these.
pub(super) fn read(
    input: &mut Reader<'_>,
    class: &str,
    (version, version_at): (i32, u64),
    depth: u32,
) -> Decoded<Option<Content>> {
    let is_pojo = class == POJO;
    if !is_pojo && class != KRYO {
        return Ok(None);
    }
    // `PojoSerializerSnapshot.readSnapshot` wants the version, that of Kryo never looks at it.
    if version != VERSION && (is_pojo || (1..=MOST_VERSIONS).contains(&version)) {
        let problem = newer_version(version, VERSION, format!("version {version} of {class}"));
        return Err(input.error_at(version_at, problem));
    }
    let before = input.rest();
    let of = input.utf()?.to_string();
    let mut fields = Vec::new();
    let mut odd_flags = 0;
    let section = input.section();
    read_map(input, &mut odd_flags, |entry| {
        if is_pojo {
            fields.push(read_field(entry, section, depth)?);
        }
        Ok(())
    })?;
    // Subclasses, registered or met; of Kryo two more maps of the same make.
    read_map(input, &mut odd_flags, |_| Ok(()))?;
    read_map(input, &mut odd_flags, |_| Ok(()))?;
    let length = before.len().saturating_sub(input.left());
    let raw = before.get(..length).unwrap_or_default().to_vec();
    Ok(Some(Content::Opaque(Opaque { class: of, fields: is_pojo.then_some(fields), odd_flags, raw })))
}

/// An entry of a map, with the bytes of its key and of its value where they are there, and where the value starts.
struct Entry<'a> {
    name: String,
    key: Option<&'a [u8]>,
    value: Option<(&'a [u8], u64)>,
    at: u64,
}

/// Reads a map (`LinkedOptionalMapSerializer.readOptionalMap`).
fn read_map<'a>(
    input: &mut Reader<'a>,
    odd_flags: &mut usize,
    mut each: impl FnMut(Entry<'a>) -> Decoded<()>,
) -> Decoded<()> {
    let at = input.offset();
    if input.i64()? != MAP_HEADER {
        return Err(input.invalid_at(at, "a serializer's map that does not start as one"));
    }
    // A name of no letters and two flags.
    let count = input.count("the size of a serializer's map", 4)?;
    let mut flag = |input: &mut Reader<'a>| -> Decoded<bool> {
        let flag = input.u8()?;
        *odd_flags = odd_flags.saturating_add(usize::from(flag > 1));
        Ok(flag != 0)
    };
    for _ in 0..count {
        let at = input.offset();
        let name = input.utf()?.to_string();
        let key = if flag(input)? { Some(input.bytes("the length of a key of a serializer's map")?) } else { None };
        let mut value = None;
        if flag(input)? {
            let start = input.offset().saturating_add(4);
            value = Some((input.bytes("the length of a value of a serializer's map")?, start));
        }
        each(Entry { name, key, value, at })?;
    }
    Ok(())
}

/// A field and its serializer. Flink logs what it cannot read of it; without its serializer a POJO is not restored
/// (`PojoSerializerSnapshot.restoreSerializer`), without the field what was written of it is passed over.
fn read_field(entry: Entry<'_>, section: &'static str, depth: u32) -> Decoded<Field> {
    let Entry { name, key, value, at } = entry;
    let declared = key.map(|bytes| {
        let mut input = Reader::new(bytes, section);
        let mut both = || -> Decoded<(String, String)> { Ok((input.utf()?.to_string(), input.utf()?.to_string())) };
        // Names that cannot be read are judged as those of no class.
        both().unwrap_or_default()
    });
    let Some((bytes, start)) = value else {
        let problem = Problem::Invalid(format!("field {name:?} of a POJO without its serializer"));
        return Err(Box::new(DecodeError { section: section.into(), offset: at, problem }));
    };
    let mut input = Reader::new(bytes, section);
    let serializer = match read_at(&mut input, depth) {
        Ok(field) => Some(Box::new(field)),
        Err(error) if matches!(error.problem, Problem::UnknownSerializer(_)) => None,
        Err(error) => {
            let offset = start.saturating_add(error.offset);
            return Err(Box::new(DecodeError { offset, ..*error }));
        }
    };
    let rest = if serializer.is_some() { input.left() } else { 0 };
    Ok(Field { key: name, declared, serializer, rest })
}

impl Field {
    /// The serializer; `None` where its class is not known.
    pub(super) fn serializer(&self) -> Option<&SerializerSnapshot> {
        self.serializer.as_deref()
    }
}

impl Opaque {
    /// Whether the end of a value can be told, at least where it is of no subclass.
    pub(super) fn is_skippable(&self) -> bool {
        let known = |field: &Field| field.serializer.as_ref().is_some_and(|field| field.is_skippable());
        self.fields.as_ref().is_some_and(|fields| fields.iter().all(known))
    }

    /// Passes over a value (`PojoSerializer.serialize`).
    pub(super) fn skip_value<I: Input>(&self, input: &mut I) -> Result<(), I::Error> {
        let at = input.offset();
        let unknown =
            |input: &I, what: &str| Err(input.error_at(at, Problem::OnlyJava(format!("{what}{}", self.class))));
        let Some(fields) = &self.fields else {
            return Err(input.error_at(at, Problem::OnlyJava(format!("{}, by Kryo", self.class))));
        };
        match input.u8()? {
            IS_NULL => return Ok(()),
            NO_SUBCLASS => {}
            SUBCLASS | TAGGED_SUBCLASS => return unknown(input, "a subclass of "),
            flags => {
                input.odd(at, "flags before an object that no writer sets");
                if flags & IS_NULL != 0 {
                    return Ok(());
                }
                if flags & (SUBCLASS | TAGGED_SUBCLASS) != 0 || flags & NO_SUBCLASS == 0 {
                    return unknown(input, "a subclass of ");
                }
            }
        }
        for field in fields {
            if input.flag()? {
                continue;
            }
            match &field.serializer {
                Some(field) => field.skip_value(input)?,
                None => return unknown(input, "a field of "),
            }
        }
        Ok(())
    }
}
