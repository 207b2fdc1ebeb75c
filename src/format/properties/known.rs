//! Whether Java can make the properties into an object again: classes, versions and constants are those of Flink.
//!
//! `ObjectInputStream` looks each class up by its name and compares its version (`ObjectStreamClass.initNonProxy`); a
//! constant of an enum is looked up by name (`Enum.valueOf`). What it does not find ends the load of the `_metadata`. A
//! field that the class does not have is passed over, and one that is missing has its default. The classes are the
//! same in Flink 1.16 to 2.3.

use super::super::java_object::{self, Described};
use crate::model::{Damage, Effect};
use crate::wire::{JavaStr, Reader};

struct Known {
    class: &'static str,
    /// `serialVersionUID`; 0 for enums.
    version: u64,
    /// `SC_SERIALIZABLE`, with `SC_ENUM` for enums.
    flags: u8,
    /// Type codes and names.
    fields: &'static [(u8, &'static str)],
    constants: &'static [&'static str],
}

const OBJECT: u8 = 0x02;
const ENUM: u8 = 0x12;

const KNOWN: &[Known] = &[
    Known {
        class: "org.apache.flink.runtime.checkpoint.CheckpointProperties",
        version: 2,
        flags: OBJECT,
        fields: &[
            (b'Z', "discardCancelled"),
            (b'Z', "discardFailed"),
            (b'Z', "discardFinished"),
            (b'Z', "discardSubsumed"),
            (b'Z', "discardSuspended"),
            (b'Z', "forced"),
            (b'Z', "unclaimed"),
            (b'L', "checkpointType"),
        ],
        constants: &[],
    },
    Known {
        class: "org.apache.flink.runtime.checkpoint.CheckpointType",
        version: 0xd6de_4f03_05ae_1d3a,
        flags: OBJECT,
        fields: &[(b'L', "name"), (b'L', "sharingFilesStrategy")],
        constants: &[],
    },
    Known {
        class: "org.apache.flink.runtime.checkpoint.SavepointType",
        version: 0xa087_d308_a458_14b8,
        flags: OBJECT,
        fields: &[(b'L', "formatType"), (b'L', "name"), (b'L', "postCheckpointAction")],
        constants: &[],
    },
    Known {
        class: "org.apache.flink.runtime.checkpoint.SnapshotType$SharingFilesStrategy",
        version: 0,
        flags: ENUM,
        fields: &[],
        constants: &["FORWARD_BACKWARD", "FORWARD", "NO_SHARING"],
    },
    Known {
        class: "org.apache.flink.core.execution.SavepointFormatType",
        version: 0,
        flags: ENUM,
        fields: &[],
        constants: &["CANONICAL", "NATIVE"],
    },
    Known {
        class: "org.apache.flink.runtime.checkpoint.SavepointType$PostCheckpointAction",
        version: 0,
        flags: ENUM,
        fields: &[],
        constants: &["NONE", "SUSPEND", "TERMINATE"],
    },
    Known { class: "java.lang.Enum", version: 0, flags: ENUM, fields: &[], constants: &[] },
];

/// What keeps Java from reading properties ([`crate::model::Metadata::properties`]), or is not as Flink writes it.
/// Offsets count from the start of the properties.
pub fn check(bytes: &[u8]) -> Vec<Damage> {
    // What cannot be walked over is no `_metadata` to begin with.
    let Ok((classes, constants)) = java_object::describe(&mut Reader::new(bytes, super::SECTION)) else {
        return Vec::new();
    };
    let mut damages = Vec::new();
    for class in &classes {
        match KNOWN.iter().find(|known| known.class == class.name.to_str()) {
            Some(known) => check_class(class, known, &mut damages),
            None => {
                let problem = format!("no release of Flink has the class {}", class.name);
                damages.push(damage(Effect::Fails, class.at, problem));
            }
        }
    }
    for (class, constant, at) in &constants {
        let known = classes.get(*class).and_then(|class| KNOWN.iter().find(|known| known.class == class.name.to_str()));
        if let Some(known) = known
            && !known.constants.iter().any(|name| *name == constant.to_str())
        {
            damages.push(damage(Effect::Fails, *at, format!("{} has no constant {constant}", known.class)));
        }
    }
    damages
}

fn check_class(class: &Described<'_>, known: &Known, damages: &mut Vec<Damage>) {
    let mut add =
        |effect, problem: String| damages.push(damage(effect, class.at, format!("{}: {problem}", known.class)));
    if class.serial_version_uid.cast_unsigned() != known.version {
        add(Effect::Fails, format!("version {} of it, which no release of Flink has", class.serial_version_uid));
    }
    if class.flags != known.flags {
        add(Effect::Fails, format!("flags {:#04x} in the place of {:#04x}", class.flags, known.flags));
    }
    let field = |name: &JavaStr<'_>| known.fields.iter().find(|(_, known)| *known == name.to_str());
    for (kind, name) in &class.fields {
        match field(name) {
            Some((code, _)) if code == kind => {}
            Some(_) => add(Effect::Fails, format!("its field {name} is of another type")),
            None => add(Effect::Starts, format!("it has no field {name}")),
        }
    }
    for (_, name) in known.fields {
        if !class.fields.iter().any(|(_, found)| found.to_str() == *name) {
            add(Effect::Starts, format!("its field {name} is missing"));
        }
    }
}

fn damage(effect: Effect, offset: u64, problem: String) -> Damage {
    Damage { effect, section: super::SECTION.to_owned(), offset, problem }
}

#[cfg(test)]
mod tests {
    use super::super::{AfterSavepoint, NULL, NewProperties, write};
    use super::*;

    fn samples() -> Vec<Vec<u8>> {
        let checkpoint =
            NewProperties::Checkpoint { discard_canceled: true, discard_failed: false, discard_suspended: true };
        let actions = [AfterSavepoint::Nothing, AfterSavepoint::Suspend, AfterSavepoint::Terminate];
        let savepoints =
            actions.map(|after| NewProperties::Savepoint { native: after != AfterSavepoint::Suspend, after });
        savepoints.into_iter().chain([checkpoint]).map(write).chain([NULL.to_vec()]).collect()
    }

    #[test]
    fn what_flink_writes_is_known() {
        for bytes in samples() {
            assert_eq!(check(&bytes), []);
        }
    }

    #[test]
    fn a_flipped_letter_in_a_class_or_constant_or_a_flipped_version_fails() {
        let bytes = samples().swap_remove(3);
        let fails = |at: usize| {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            let unreadable = java_object::read(&mut Reader::new(&damaged, "test")).is_err();
            unreadable || check(&damaged).iter().any(|damage| damage.effect == Effect::Fails)
        };
        let places = |text: &str| {
            let start = bytes.windows(text.len()).position(|window| window == text.as_bytes()).expect("it is there");
            start..start + text.len()
        };
        for known in KNOWN.iter().filter(|known| !known.class.contains("Savepoint")) {
            let class = places(known.class);
            let version = class.end..class.end + 8;
            assert!(class.chain(version).all(fails), "{}", known.class);
        }
        assert!(places("FORWARD_BACKWARD").all(fails));
        let missing = places("discardFailed").map(|at| {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            check(&damaged).len()
        });
        assert!(missing.into_iter().all(|findings| findings == 2), "an unknown field, and one that is missing");
    }
}
