//! Serializer snapshots, bytes ↔ model.

use super::classes::{self, COMPOSITE, Composite, SIMPLE};
use super::releases::{self, Name};
use super::{Content, Outer, SerializerSnapshot, opaque};
use crate::wire::put;
use crate::wire::{Decoded, EncodeError, Problem, Reader};
use std::borrow::Cow;

/// `TypeSerializerSnapshotSerializationProxy.VERSION`.
const PROXY_VERSION: i32 = 2;
/// `CompositeTypeSerializerSnapshot.MAGIC_NUMBER`.
const COMPOSITE_MAGIC: i32 = 911_108;
/// `NestedSerializersSnapshotDelegate.MAGIC_NUMBER` and `VERSION`.
const NESTED_MAGIC: i32 = 1_333_245;
const NESTED_VERSION: i32 = 1;
const ENUM: &str = "org.apache.flink.api.common.typeutils.base.EnumSerializer$EnumSerializerSnapshot";
/// How deep types may nest.
const MAX_DEPTH: u32 = 16;

impl SerializerSnapshot {
    /// Appends the snapshot as it stands in the head of a state file, behind the version of the proxy
    /// (`TypeSerializerSnapshotSerializationUtil.writeSerializerSnapshot`).
    ///
    /// # Errors
    /// When a name is longer than the format allows.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        put::i32(out, PROXY_VERSION);
        self.write_versioned(out)
    }

    /// Reads what [`SerializerSnapshot::write`] writes.
    ///
    /// # Errors
    /// When the bytes are no snapshot, or one of a class whose content is not known.
    pub fn read(input: &mut Reader<'_>) -> Decoded<Self> {
        let at = input.offset();
        match input.i32()? {
            PROXY_VERSION => Self::read_versioned(input),
            other => {
                let text = format!("version {other} of a serializer's snapshot");
                Err(input.error_at(at, newer_version(other, PROXY_VERSION, text)))
            }
        }
    }

    /// Appends class, version and content (`TypeSerializerSnapshot.writeVersionedSnapshot`).
    ///
    /// # Errors
    /// When a name is longer than the format allows.
    pub fn write_versioned(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        put::text(out, &self.class)?;
        put::i32(out, self.version);
        match &self.content {
            Content::Simple(_) => Ok(()),
            Content::Opaque(opaque) => {
                out.extend_from_slice(&opaque.raw);
                Ok(())
            }
            Content::Enum { class, constants } => {
                put::text(out, class)?;
                put::count(out, "constants", constants.len())?;
                constants.iter().try_for_each(|name| put::text(out, name))
            }
            Content::Composite { outer_version, outer, nested, .. } => {
                put::i32(out, COMPOSITE_MAGIC);
                put::i32(out, *outer_version);
                match outer {
                    Outer::Nothing => {}
                    Outer::Class(class) => put::text(out, class)?,
                    Outer::Padding(padding) => put::i32(out, *padding),
                }
                put::i32(out, NESTED_MAGIC);
                put::i32(out, NESTED_VERSION);
                put::count(out, "nested serializers", nested.len())?;
                nested.iter().try_for_each(|part| part.write_versioned(out))
            }
        }
    }

    /// Reads what [`SerializerSnapshot::write_versioned`] writes.
    ///
    /// # Errors
    /// When the bytes are no snapshot, or one of a class whose content is not known.
    pub fn read_versioned(input: &mut Reader<'_>) -> Decoded<Self> {
        read_at(input, 0)
    }
}

pub(super) fn read_at(input: &mut Reader<'_>, depth: u32) -> Decoded<SerializerSnapshot> {
    if depth >= MAX_DEPTH {
        return Err(input.error(Problem::TooDeep(MAX_DEPTH)));
    }
    let at = input.offset();
    let class = input.utf()?;
    let class = class.to_str();
    let version_at = input.offset();
    let version = input.i32()?;
    if let Some(row) = SIMPLE.iter().find(|row| row.class == class) {
        if version != super::SIMPLE_VERSION {
            let problem = newer_version(version, super::SIMPLE_VERSION, format!("version {version} of {class}"));
            return Err(input.error_at(version_at, problem));
        }
        return Ok(SerializerSnapshot { class: Cow::Borrowed(row.class), version, content: Content::Simple(row) });
    }
    if let Some(kind) = COMPOSITE.iter().find(|row| row.class == class) {
        // `CompositeTypeSerializerSnapshot.readSnapshot` takes whatever is above 2 for the version that it knows.
        if version != super::COMPOSITE_VERSION && version <= MOST_VERSIONS {
            let problem = newer_version(version, super::COMPOSITE_VERSION, format!("version {version} of {class}"));
            return Err(input.error_at(version_at, problem));
        }
        let content = read_composite(input, kind, depth)?;
        return Ok(SerializerSnapshot { class: Cow::Borrowed(kind.class), version, content });
    }
    if class == ENUM {
        let content = read_enum(input)?;
        return Ok(SerializerSnapshot { class: Cow::Borrowed(ENUM), version, content });
    }
    if let Some(content) = opaque::read(input, &class, (version, version_at), depth.saturating_add(1))? {
        return Ok(SerializerSnapshot { class: Cow::Owned(class.into_owned()), version, content });
    }
    if !may_be_class(&class) {
        return Err(input.invalid_at(at, format_args!("{class:?} is not the name of a Java class")));
    }
    Err(input.error_at(
        at,
        match releases::judge(&class) {
            Name::Possible => Problem::UnknownSerializer(class.into_owned()),
            Name::DamagedFrom(known) => {
                Problem::Invalid(format!("no release of Flink has the class {class}; the nearest is {known}"))
            }
            Name::OfNoRelease => {
                Problem::UnknownVersion(format!("no release of Flink up to 2.3 has the class {class}"))
            }
        },
    ))
}

/// Whether a class of Java's may have the name. A virtual machine takes nearly every character; those of Flink are of the
/// language's own.
pub(super) fn may_be_class(name: &str) -> bool {
    let of_flink = name.starts_with("org.apache.flink.");
    let is_fine = |c: char| match c {
        '.' | '_' | '$' => true,
        ';' | '[' | '/' => false,
        c if c.is_ascii_alphanumeric() => true,
        c => !of_flink && !c.is_control(),
    };
    // What stands before a serializer is no class.
    !name.ends_with("_SERIALIZER") && name.split('.').all(|part| !part.is_empty()) && name.chars().all(is_fine)
}

/// What is wrong with a version that is not the one that is known: a small number may be that of another release, a
/// large one is none at all.
pub(in crate::state) fn other_version(version: i32, text: String) -> Problem {
    match version {
        1..=MOST_VERSIONS => Problem::UnknownVersion(text),
        _ => Problem::Invalid(text),
    }
}

/// What no release is thought to reach.
pub(super) const MOST_VERSIONS: i32 = 32;

/// The same where every head that Flink since 1.8 writes has the known version or a later one: older ones fail.
pub(super) fn newer_version(version: i32, known: i32, text: String) -> Problem {
    match version > known {
        true => other_version(version, text),
        false => Problem::Invalid(text),
    }
}

fn expect(input: &mut Reader<'_>, wanted: i32, what: &'static str) -> Decoded<()> {
    let at = input.offset();
    match input.i32()? {
        found if found == wanted => Ok(()),
        found => Err(input.invalid_at(at, format_args!("{found} in the place of {what}, which is {wanted}"))),
    }
}

fn read_composite(input: &mut Reader<'_>, kind: &'static Composite, depth: u32) -> Decoded<Content> {
    expect(input, COMPOSITE_MAGIC, "the magic number of a composite serializer")?;
    let outer_version = input.i32()?;
    let outer = match kind.shape {
        classes::Shape::Fields if kind.parts == 0 => Outer::Class(input.utf()?.to_string()),
        classes::Shape::Nullable => Outer::Padding(input.i32()?),
        _ => Outer::Nothing,
    };
    expect(input, NESTED_MAGIC, "the magic number of nested serializers")?;
    expect(input, NESTED_VERSION, "the version of nested serializers")?;
    let at = input.offset();
    // A name of no letters and a version.
    let count = input.count("the number of nested serializers", 6)?;
    if count == 0 || (kind.parts != 0 && count != kind.parts) {
        return Err(input.invalid_at(at, format_args!("{count} nested serializers in a {}", kind.name)));
    }
    // What follows would be taken for one serializer more, or less.
    if let Outer::Class(class) = &outer
        && let Some(size) = class.strip_prefix(super::TUPLES).and_then(|size| size.parse::<usize>().ok())
        && size != count
    {
        return Err(input.invalid_at(at, format_args!("{count} nested serializers in a {class}")));
    }
    let mut nested = Vec::with_capacity(count.min(32));
    for _ in 0..count {
        nested.push(read_at(input, depth.saturating_add(1))?);
    }
    Ok(Content::Composite { kind, outer_version, outer, nested })
}

fn read_enum(input: &mut Reader<'_>) -> Decoded<Content> {
    let class = input.utf()?.to_string();
    let count = input.count("the number of constants", 2)?;
    let mut constants = Vec::new();
    for _ in 0..count {
        constants.push(input.utf()?.to_string());
    }
    Ok(Content::Enum { class, constants })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<SerializerSnapshot> {
        use SerializerSnapshot as S;
        vec![
            S::string(),
            S::tuple(vec![S::string(), S::list(S::long())]),
            S::map(S::int(), S::array_list(S::double())),
            S::timer(S::string(), S::time_window()),
        ]
    }

    #[test]
    fn snapshots_survive() {
        for snapshot in all() {
            let mut out = Vec::new();
            snapshot.write(&mut out).expect("it fits");
            let mut input = Reader::new(&out, "test");
            assert_eq!(SerializerSnapshot::read(&mut input), Ok(snapshot));
            assert_eq!(input.left(), 0);
        }
    }

    #[test]
    fn an_unknown_class_is_named() {
        let mut out = Vec::new();
        put::i32(&mut out, 2);
        put::text(&mut out, "com.example.Mine").expect("short");
        put::i32(&mut out, 1);
        let error = SerializerSnapshot::read(&mut Reader::new(&out, "key serializer")).map_err(|e| e.to_string());
        assert_eq!(
            error,
            Err("key serializer, byte 4: com.example.Mine is a serializer that chkctl does not know".to_owned())
        );
    }

    #[test]
    fn damaged_snapshots_are_errors() {
        for snapshot in all() {
            let mut out = Vec::new();
            snapshot.write(&mut out).expect("it fits");
            for len in 0..out.len() {
                let cut = out.get(..len).unwrap_or_default();
                assert!(SerializerSnapshot::read(&mut Reader::new(cut, "test")).is_err());
            }
        }
    }
}
