//! Just enough of Java object serialisation to walk over one object and read its fields.
//!
//! The grammar is that of the Java Object Serialization Specification, chapter 6. What `CheckpointProperties` needs
//! is here: objects, enums, strings, null and references. Anything else (arrays, proxies, externalizable classes)
//! does not occur in it and is refused.
//!
//! Flink's own properties have five classes, ten fields and some twenty handles. A stream with many more is refused, so
//! that neither memory nor time depends on what it says.

use super::descend;
use crate::wire::{Decoded, JavaStr, Problem, Reader};

const STREAM_HEADER: i32 = 0xaced_0005_u32.cast_signed();
const TC_NULL: u8 = 0x70;
const TC_REFERENCE: u8 = 0x71;
const TC_CLASSDESC: u8 = 0x72;
const TC_OBJECT: u8 = 0x73;
const TC_STRING: u8 = 0x74;
const TC_BLOCKDATA: u8 = 0x77;
const TC_ENDBLOCKDATA: u8 = 0x78;
const TC_ENUM: u8 = 0x7e;
const FIRST_HANDLE: i32 = 0x7e_0000;

const MOST_HANDLES: usize = 1_024;
const MOST_FIELDS: usize = 512;

const SC_WRITE_METHOD: u8 = 0x01;
const SC_SERIALIZABLE: u8 = 0x02;
const SC_ENUM: u8 = 0x10;

/// A value in the stream.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Number(i64),
    Text(JavaStr<'a>),
    /// The name of an enum constant.
    Constant(JavaStr<'a>),
    Object(Object<'a>),
    /// Something that stood in the stream before; only followed for descriptions and strings.
    Earlier(i32),
}

/// An object: its class and the fields of it and of its superclasses, the superclasses' first.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Object<'a> {
    pub class: JavaStr<'a>,
    pub serial_version_uid: i64,
    pub fields: Vec<(JavaStr<'a>, Value<'a>)>,
}

/// What later parts of the stream may refer to.
#[derive(Clone)]
enum Handle<'a> {
    Class(usize),
    Text(JavaStr<'a>),
    Other,
}

/// The description of a class in the stream.
pub(crate) struct Described<'a> {
    /// Where it starts.
    pub at: u64,
    pub name: JavaStr<'a>,
    pub serial_version_uid: i64,
    /// `SC_SERIALIZABLE` and others.
    pub flags: u8,
    /// Type codes and names of its own fields.
    pub fields: Vec<(u8, JavaStr<'a>)>,
    parent: Option<usize>,
}

/// A constant of an enum: the number of its class, its name, and where it starts.
pub(crate) type Constant<'a> = (usize, JavaStr<'a>, u64);

struct Parser<'a, 'r> {
    reader: &'r mut Reader<'a>,
    /// Fields described and values read so far.
    fields: usize,
    handles: Vec<Handle<'a>>,
    classes: Vec<Described<'a>>,
    constants: Vec<Constant<'a>>,
}

/// Reads one object with its stream header, and leaves the reader behind it.
pub(crate) fn read<'a>(reader: &mut Reader<'a>) -> Decoded<Value<'a>> {
    Parser::new(reader)?.value(0)
}

/// One object with its stream header, up to the field of this name: what comes after it is not looked at, and may be of kinds
/// that are not known here. The object's class has no superclass.
pub(crate) fn read_until<'a>(reader: &mut Reader<'a>, last: &str) -> Decoded<Object<'a>> {
    let mut parser = Parser::new(reader)?;
    let at = parser.reader.offset();
    match parser.reader.u8()? {
        TC_OBJECT => {}
        tag => return parser.unknown(at, "Java object", tag),
    }
    let index = parser.class(0)?;
    let Some(index) = index.filter(|index| parser.classes.get(*index).is_some_and(|class| class.parent.is_none()))
    else {
        return Err(parser.reader.invalid_at(at, "a Java object of a class that has a superclass, or of none"));
    };
    parser.remember(Handle::Other)?;
    let Some((class, serial_version_uid, mut wanted)) =
        parser.classes.get(index).map(|class| (class.name.clone(), class.serial_version_uid, class.fields.clone()))
    else {
        return Err(parser.reader.invalid_at(at, "a Java object without a class"));
    };
    match wanted.iter().position(|(_, name)| name.to_str() == last) {
        Some(end) => wanted.truncate(end.saturating_add(1)),
        None => return Err(parser.reader.invalid_at(at, "a Java object that lacks a field")),
    }
    let mut fields = Vec::new();
    parser.values(wanted, 0, &mut fields)?;
    Ok(Object { class, serial_version_uid, fields })
}

/// The classes and constants of one object with its stream header.
pub(crate) fn describe<'a>(reader: &mut Reader<'a>) -> Decoded<(Vec<Described<'a>>, Vec<Constant<'a>>)> {
    let mut parser = Parser::new(reader)?;
    parser.value(0)?;
    Ok((parser.classes, parser.constants))
}

impl<'a, 'r> Parser<'a, 'r> {
    fn new(reader: &'r mut Reader<'a>) -> Decoded<Self> {
        let at = reader.offset();
        if reader.i32()? != STREAM_HEADER {
            return Err(reader.invalid_at(at, "this is not a Java object stream"));
        }
        Ok(Parser { reader, fields: 0, handles: Vec::new(), classes: Vec::new(), constants: Vec::new() })
    }

    fn remember(&mut self, handle: Handle<'a>) -> Decoded<usize> {
        if self.handles.len() >= MOST_HANDLES {
            return Err(self.reader.error(Problem::TooMany { what: "Java handles", limit: MOST_HANDLES }));
        }
        self.handles.push(handle);
        Ok(self.handles.len().saturating_sub(1))
    }

    fn count_field(&mut self) -> Decoded<()> {
        if self.fields >= MOST_FIELDS {
            return Err(self.reader.error(Problem::TooMany { what: "Java fields", limit: MOST_FIELDS }));
        }
        self.fields = self.fields.saturating_add(1);
        Ok(())
    }

    fn unknown<T>(&self, at: u64, what: &'static str, tag: u8) -> Decoded<T> {
        Err(self.reader.error_at(at, Problem::UnknownTag { what, tag: tag.into() }))
    }

    fn value(&mut self, depth: u32) -> Decoded<Value<'a>> {
        let depth = descend(self.reader, depth)?;
        let at = self.reader.offset();
        match self.reader.u8()? {
            TC_NULL => Ok(Value::Null),
            TC_STRING => self.text().map(Value::Text),
            TC_REFERENCE => {
                let wire = self.reader.i32()?;
                Ok(match self.handle(at, wire)? {
                    Handle::Text(text) => Value::Text(text),
                    Handle::Class(_) | Handle::Other => Value::Earlier(wire),
                })
            }
            TC_ENUM => {
                let class = self.class(depth)?;
                self.remember(Handle::Other)?;
                match (class, self.value(depth)?) {
                    (Some(class), Value::Text(constant)) => {
                        self.constants.push((class, constant.clone(), at));
                        Ok(Value::Constant(constant))
                    }
                    _ => Err(self.reader.invalid_at(at, "an enum constant without class or name")),
                }
            }
            TC_OBJECT => self.object(at, depth),
            tag => self.unknown(at, "Java object", tag),
        }
    }

    fn text(&mut self) -> Decoded<JavaStr<'a>> {
        let text = self.reader.utf()?;
        self.remember(Handle::Text(text.clone()))?;
        Ok(text)
    }

    fn handle(&self, at: u64, wire: i32) -> Decoded<Handle<'a>> {
        let index = usize::try_from(wire.wrapping_sub(FIRST_HANDLE)).ok();
        let found = index.and_then(|index| self.handles.get(index)).cloned();
        found.ok_or_else(|| self.reader.invalid_at(at, "a reference to a Java object that was not written"))
    }

    fn object(&mut self, at: u64, depth: u32) -> Decoded<Value<'a>> {
        let Some(class) = self.class(depth)? else {
            return Err(self.reader.invalid_at(at, "a Java object without a class"));
        };
        self.remember(Handle::Other)?;
        let mut lineage = Vec::new();
        let mut next = Some(class);
        while let Some(index) = next {
            // Too many ancestors may be a class that is its own.
            descend(self.reader, u32::try_from(lineage.len()).unwrap_or(u32::MAX))?;
            lineage.push(index);
            next = self.classes.get(index).and_then(|c| c.parent);
        }
        let mut fields = Vec::new();
        for index in lineage.into_iter().rev() {
            self.fields_of(index, depth, &mut fields)?;
        }
        let found = self.classes.get(class).map(|c| (c.name.clone(), c.serial_version_uid));
        let (class, serial_version_uid) = found.unwrap_or_default();
        Ok(Value::Object(Object { class, serial_version_uid, fields }))
    }

    fn fields_of(&mut self, index: usize, depth: u32, into: &mut Vec<(JavaStr<'a>, Value<'a>)>) -> Decoded<()> {
        let Some(class) = self.classes.get(index) else {
            return Ok(());
        };
        let (flags, fields) = (class.flags, class.fields.clone());
        self.values(fields, depth, into)?;
        if flags & SC_WRITE_METHOD != 0 { self.annotation() } else { Ok(()) }
    }

    fn values(
        &mut self,
        fields: Vec<(u8, JavaStr<'a>)>,
        depth: u32,
        into: &mut Vec<(JavaStr<'a>, Value<'a>)>,
    ) -> Decoded<()> {
        for (kind, name) in fields {
            let value = match kind {
                b'Z' => Value::Bool(self.reader.u8()? != 0),
                b'B' => Value::Number(self.reader.u8()?.cast_signed().into()),
                b'C' => Value::Number(self.reader.u16()?.into()),
                b'S' => Value::Number(self.reader.u16()?.cast_signed().into()),
                b'I' | b'F' => Value::Number(self.reader.i32()?.into()),
                b'J' | b'D' => Value::Number(self.reader.i64()?),
                _ => self.value(depth)?,
            };
            self.count_field()?;
            into.push((name, value));
        }
        Ok(())
    }

    /// What a class wrote beside its fields: blocks of bytes up to an end mark.
    fn annotation(&mut self) -> Decoded<()> {
        loop {
            let at = self.reader.offset();
            match self.reader.u8()? {
                TC_ENDBLOCKDATA => return Ok(()),
                TC_BLOCKDATA => {
                    let length = self.reader.u8()?;
                    self.reader.take(usize::from(length))?;
                }
                tag => return self.unknown(at, "Java annotation", tag),
            }
        }
    }

    /// A class description: its place in `classes`, or `None` for null.
    fn class(&mut self, depth: u32) -> Decoded<Option<usize>> {
        let depth = descend(self.reader, depth)?;
        let at = self.reader.offset();
        match self.reader.u8()? {
            TC_NULL => Ok(None),
            TC_REFERENCE => {
                let wire = self.reader.i32()?;
                match self.handle(at, wire)? {
                    Handle::Class(index) => Ok(Some(index)),
                    Handle::Text(_) | Handle::Other => {
                        Err(self.reader.invalid_at(at, "a class reference to something else"))
                    }
                }
            }
            TC_CLASSDESC => self.new_class(depth).map(Some),
            tag => self.unknown(at, "Java class description", tag),
        }
    }

    fn new_class(&mut self, depth: u32) -> Decoded<usize> {
        let start = self.reader.offset();
        let name = self.reader.utf()?;
        let serial_version_uid = self.reader.i64()?;
        let index = self.classes.len();
        self.remember(Handle::Class(index))?;
        let at = self.reader.offset();
        let flags = self.reader.u8()?;
        if flags & SC_SERIALIZABLE == 0 || flags & !(SC_WRITE_METHOD | SC_SERIALIZABLE | SC_ENUM) != 0 {
            return Err(self.reader.invalid_at(at, "a Java class that is not plainly serializable"));
        }
        self.classes.push(Described { at: start, name, serial_version_uid, flags, fields: Vec::new(), parent: None });
        let count = self.reader.u16()?;
        let mut fields = Vec::new();
        for _ in 0..count {
            let at = self.reader.offset();
            let kind = self.reader.u8()?;
            let field = self.reader.utf()?;
            match kind {
                b'Z' | b'B' | b'C' | b'S' | b'I' | b'F' | b'J' | b'D' => {}
                b'L' | b'[' => {
                    // The type in text; nothing here depends on it.
                    if !matches!(self.value(depth)?, Value::Text(_)) {
                        return Err(self.reader.invalid_at(at, "a Java field whose type is not a string"));
                    }
                }
                other => return self.unknown(at, "Java field", other),
            }
            self.count_field()?;
            fields.push((kind, field));
        }
        self.annotation()?;
        let parent = self.class(depth)?;
        if let Some(class) = self.classes.get_mut(index) {
            (class.fields, class.parent) = (fields, parent);
        }
        Ok(index)
    }
}
