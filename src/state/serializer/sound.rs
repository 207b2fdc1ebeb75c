//! What the names and numbers within a snapshot prove: of a class that cannot be, of a field that is not where its map
//! says, of types that differ only by damage.

use super::codec::may_be_class;
use super::releases::differing;
use super::{Content, Outer, SerializerSnapshot, TUPLES, classes, jdk, opaque};
use crate::model::damage::Effect;

/// Names of up to so many differing bytes are one name and its damage.
const FEW: usize = 2;
/// The largest number of fields of a tuple (`Tuple.MAX_ARITY`).
const TUPLE_SIZES: usize = 25;

/// Hears what is wrong.
type Each<'e> = &'e mut dyn FnMut(Effect, String);

impl SerializerSnapshot {
    /// Tells `each` of what cannot be, in this snapshot and in those of its parts.
    pub(in crate::state) fn judge(&self, each: Each<'_>) {
        match &self.content {
            Content::Simple(_) => {}
            Content::Enum { class, constants } => {
                judge_class(class, "an enumeration", each);
                for (number, name) in constants.iter().enumerate() {
                    if !is_identifier(name) {
                        each(Effect::Fails, format!("constant {name:?} of {class} is no name of Java's"));
                    } else if constants.iter().take(number).any(|other| other == name) {
                        each(Effect::Starts, format!("constant {name} of {class} twice"));
                    }
                }
            }
            Content::Opaque(opaque) => self.judge_opaque(opaque, each),
            Content::Composite { kind, outer_version, outer, nested } => {
                if self.version != super::COMPOSITE_VERSION {
                    each(Effect::Starts, format!("version {} of {}", self.version, self.class));
                }
                // Flink hands it to the class, and none looks at it.
                if !(1..=kind.outer_version).contains(outer_version) {
                    each(Effect::Starts, format!("version {outer_version} of what {} adds", self.class));
                }
                match outer {
                    Outer::Class(class) if !self.is_plain_tuple() => judge_tuple(class, nested.len(), each),
                    Outer::Padding(padding) => judge_padding(*padding, nested.first(), each),
                    Outer::Class(_) | Outer::Nothing => {}
                }
                nested.iter().for_each(|part| part.judge(each));
            }
        }
    }

    fn judge_opaque(&self, opaque: &opaque::Opaque, each: Each<'_>) {
        judge_class(&opaque.class, "values", each);
        if self.version != opaque::VERSION {
            each(Effect::Starts, format!("version {} of {}", self.version, self.class));
        }
        if opaque.odd_flags > 0 {
            each(Effect::Starts, format!("flags of {} that are neither 0 nor 1", opaque.class));
        }
        let fields = opaque.fields.as_deref().unwrap_or_default();
        for (number, field) in fields.iter().enumerate() {
            let key = &field.key;
            if fields.iter().take(number).any(|other| other.key == *key) {
                each(Effect::Fails, format!("field {key:?} of {} twice", opaque.class));
            }
            if field.rest > 0 {
                let text = format!("{} bytes behind the serializer of field {key:?} of {}", field.rest, opaque.class);
                each(Effect::Starts, text);
            }
            if let Some((class, name)) = &field.declared {
                if !may_be_class(class) {
                    let text = format!("field {key:?} of {}, declared in {class:?}, which is no class", opaque.class);
                    each(Effect::Starts, text);
                } else if differing(class, &opaque.class).is_some_and(|count| (1..=FEW).contains(&count)) {
                    // A class that is not there fails where it is that of the values, and loses the field otherwise.
                    let text = format!("{} and {class} for one class, that of field {key:?}", opaque.class);
                    let others = || fields.iter().filter_map(|field| field.declared.as_ref());
                    let votes = |wanted: &str| others().filter(|(class, _)| class == wanted).count();
                    let of_values = votes(&opaque.class) == 0;
                    each(if of_values { Effect::Fails } else { Effect::Starts }, text);
                }
                if name != key {
                    each(Effect::Starts, format!("field {key:?} of {} under the name {name:?}", opaque.class));
                } else if !is_identifier(name) {
                    each(Effect::Starts, format!("field {name:?} of {} is no name of Java's", opaque.class));
                }
            }
            if let Some(serializer) = field.serializer() {
                serializer.judge(each);
            }
        }
    }

    /// All names in this snapshot and in those of its parts, in their order: what another subtask says of the same state.
    /// Of POJOs and Kryo the subclasses are left out, which every subtask remembers as it meets them.
    pub fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        self.add_names(&mut names);
        names
    }

    fn add_names(&self, names: &mut Vec<String>) {
        names.push(self.class.clone().into_owned());
        match &self.content {
            Content::Simple(_) => {}
            Content::Enum { class, constants } => {
                names.push(class.clone());
                names.extend(constants.iter().cloned());
            }
            Content::Opaque(opaque) => {
                names.push(opaque.class.clone());
                for field in opaque.fields.iter().flatten() {
                    names.push(field.key.clone());
                    names.extend(field.declared.iter().map(|(class, _)| class.clone()));
                    if let Some(serializer) = field.serializer() {
                        serializer.add_names(names);
                    }
                }
            }
            Content::Composite { outer, nested, .. } => {
                if let Outer::Class(class) = outer {
                    names.push(class.clone());
                }
                nested.iter().for_each(|part| part.add_names(names));
            }
        }
    }

    /// Whether values are of the same types, whatever else of subclasses the snapshots of POJOs and Kryo remember.
    pub(in crate::state) fn is_alike(&self, other: &SerializerSnapshot) -> bool {
        match (&self.content, &other.content) {
            (Content::Opaque(one), Content::Opaque(theirs)) => self.class == other.class && one.class == theirs.class,
            (
                Content::Composite { kind: one, nested: ours, .. },
                Content::Composite { kind: other, nested: theirs, .. },
            ) => {
                one.class == other.class
                    && ours.len() == theirs.len()
                    && ours.iter().zip(theirs).all(|(one, other)| one.is_alike(other))
            }
            (Content::Enum { class: one, .. }, Content::Enum { class: other, .. }) => one == other,
            (Content::Simple(one), Content::Simple(other)) => one.class == other.class,
            _ => false,
        }
    }

    /// Whether values are lists.
    pub(in crate::state) fn is_list(&self) -> bool {
        matches!(&self.content, Content::Composite { kind, .. } if kind.shape == classes::Shape::List)
    }

    /// Whether values are maps.
    pub(in crate::state) fn is_map(&self) -> bool {
        matches!(&self.content, Content::Composite { kind, .. } if kind.shape == classes::Shape::Map)
    }
}

/// Judges the name of a class of values.
fn judge_class(class: &str, what: &str, each: Each<'_>) {
    // Arrays have names such as `[I` and `[Ljava.lang.String;`.
    if !class.starts_with('[') && !may_be_class(class) {
        each(Effect::Fails, format!("{what} of {class:?}, which is not the name of a Java class"));
    } else if let Some(known) = jdk::damaged_from(class) {
        each(Effect::Fails, format!("{what} of {class}, which Java does not have; the nearest is {known}"));
    }
}

fn judge_tuple(class: &str, fields: usize, each: Each<'_>) {
    let right = format!("{TUPLES}{fields}");
    if !may_be_class(class) {
        each(Effect::Fails, format!("tuples of {class:?}, which is not the name of a Java class"));
    } else if differing(class, &right).is_some_and(|count| count <= FEW) {
        each(Effect::Fails, format!("tuples of {class} with {fields} fields, in the place of {right}"));
    } else if let Some(size) = class.strip_prefix(TUPLES)
        && size.parse::<usize>().map_or(true, |size| size != fields || size > TUPLE_SIZES)
    {
        each(Effect::Fails, format!("tuples of {class} with {fields} fields"));
    }
}

/// Padding is that of a null in the place of a value of fixed length (`NullableSerializer.wrap`).
fn judge_padding(padding: i32, value: Option<&SerializerSnapshot>, each: Each<'_>) {
    if padding < 0 {
        each(Effect::Fails, format!("{padding} bytes of padding in the place of null"));
    } else if padding > 0 && value.is_some_and(SerializerSnapshot::is_variable_length) {
        each(Effect::Starts, format!("{padding} bytes of padding in the place of values of no fixed length"));
    }
}

/// Whether Java takes the name for a field or constant.
fn is_identifier(name: &str) -> bool {
    let letter = |c: char| c.is_alphabetic() || c == '_' || c == '$' || !c.is_ascii();
    name.starts_with(letter)
        && name.chars().all(|c| letter(c) || c.is_alphanumeric())
        && !name.chars().any(char::is_control)
}
