//! State whose bytes the program cannot read: serializers and classes (`StateSerializerProvider`,
//! `RegisteredKeyValueStateBackendMetaInfo`, `RocksDBKeyedStateBackend`, `HeapKeyedStateBackend`).

use super::{ANY, Effect, Entry, Pattern, RESTORING, Remedy};

const MIGRATION: &[&str] = &["StateMigrationException"];

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        id: "key-serializer-changed",
        patterns: &[
            Pattern { class: MIGRATION, says: &["key serializer"], ..ANY },
            Pattern { says: &["The new key serializer"], ..ANY },
        ],
        cause: "The type of the key, or its serializer, is not the one that the state of {operator} was written with.",
        advice: "Keys cannot be migrated. Give keyBy the old type back (a lambda and a field name give different types: \
                 Long, Tuple1<Long>, Tuple); or start without this operator's state, or rewrite it with the State \
                 Processor API.",
        effect: Effect::Restore,
        remedy: Remedy::SameSnapshot,
    },
    Entry {
        id: "namespace-serializer-changed",
        patterns: &[
            Pattern { class: MIGRATION, says: &["namespace serializer"], ..ANY },
            Pattern { says: &["new namespace serializer", "must be compatible"], ..ANY },
        ],
        cause: "The windows or namespaces of {operator} have another type than those that the state was written with.",
        advice: "Windows cannot be migrated: change the window assigner back (time windows, sessions and counts have \
                 different types), or give the operator a new uid and start it without state.",
        effect: Effect::Restore,
        remedy: Remedy::SameSnapshot,
    },
    Entry {
        id: "state-kind-changed",
        patterns: &[
            Pattern { says: &["Incompatible key/value state types"], ..ANY },
            Pattern { says: &["Incompatible state names"], ..ANY },
            Pattern { says: &["Incompatible state assignment modes"], ..ANY },
            Pattern { says: &["the key schema has changed", "MapState"], ..ANY },
        ],
        cause: "A state of {operator} has the name of an old one and is of another kind.",
        advice: "Give the new state another name, or make it what it was: value, list, map, union or broadcast state of \
                 one name cannot turn into each other.",
        effect: Effect::Restore,
        remedy: Remedy::SameSnapshot,
    },
    Entry {
        id: "state-serializer-changed",
        patterns: &[
            Pattern { class: MIGRATION, says: &[], ..ANY },
            Pattern { says: &["the new state serializer", "must not be incompatible"], ..ANY },
            Pattern { says: &["new state serializer cannot be incompatible"], ..ANY },
            Pattern { says: &["new serializer that has incompatible schema"], ..ANY },
            Pattern { says: &["typeSerializer", "must not be incompatible"], ..ANY },
        ],
        cause: "The type of a state of {operator} changed in a way that Flink cannot migrate.",
        advice: "Change the type or its serializer back. What may change: fields of a POJO may come and go, Avro by its \
                 rules; POJO to Kryo, another class, another type of a field may not. Else a state of another name, or \
                 the State Processor API.",
        effect: Effect::Restore,
        remedy: Remedy::SameSnapshot,
    },
    Entry {
        id: "previous-serializer-missing",
        patterns: &[
            Pattern { says: &["Unable to restore operator state ["], ..ANY },
            Pattern { says: &["Unable to restore broadcast state ["], ..ANY },
            Pattern { says: &["Unable to restore keyed state ["], ..ANY },
            Pattern { says: &["previous serializer", "must be present"], ..ANY },
        ],
        cause: "The serializer that a state of {operator} was written with cannot be loaded any more.",
        advice: "Put the class of the old serializer, and the types that it is for, back into the job's jar.",
        effect: Effect::Restore,
        remedy: Remedy::SameSnapshot,
    },
    Entry {
        id: "class-not-found",
        patterns: &[
            Pattern { class: &["ClassNotFoundException", "NoClassDefFoundError"], passed: RESTORING, ..ANY },
            Pattern {
                class: &["ClassNotFoundException", "NoClassDefFoundError"],
                chain: &["restore", "Kryo", "serializer", "savepoint"],
                ..ANY
            },
            Pattern { class: &["KryoException"], says: &["Unable to find class"], ..ANY },
        ],
        cause: "The state names the class {class}, and the program does not have it.",
        advice: "Start the job with a jar that has this class under its old name (a renamed or moved class is another \
                 one), or drop the state that needs it.",
        effect: Effect::Restore,
        remedy: Remedy::SameSnapshot,
    },
    Entry {
        id: "serial-version-changed",
        patterns: &[
            Pattern { class: &["InvalidClassException"], ..ANY },
            Pattern { says: &["local class incompatible", "serialVersionUID"], ..ANY },
        ],
        cause: "The class {class} was changed, and Java does not take the serialized form in the state for it.",
        advice: "Give the class the old serialVersionUID (the message has it), if its fields still fit; else start with \
                 the old jar. Scala classes and lambdas get a new one with every compiler release.",
        effect: Effect::Restore,
        remedy: Remedy::SameSnapshot,
    },
    Entry {
        id: "kryo-cannot-read",
        patterns: &[
            Pattern { class: &["KryoException"], ..ANY },
            Pattern { says: &["Encountered unregistered class ID"], ..ANY },
            Pattern { says: &["Buffer underflow"], passed: &["kryo", "Kryo"], ..ANY },
        ],
        cause: "Kryo cannot read state of {operator}: its types or their registrations are not those that wrote it.",
        advice: "Register the same classes and serializers with Kryo, in the same order, and use the same version of \
                 Kryo. If chkctl verify says that the files are whole, it is not the snapshot.",
        effect: Effect::Restore,
        remedy: Remedy::SameSnapshot,
    },
    Entry {
        id: "state-version-unknown",
        patterns: &[
            Pattern { class: &["VersionMismatchException"], ..ANY },
            Pattern { says: &["Incompatible version: found"], ..ANY },
            Pattern { says: &["please migrate using Flink 1.16"], ..ANY },
        ],
        cause: "A state file of {operator} has a version that this Flink does not read: it was written by another \
                release, or its first bytes are damaged.",
        advice: "Compare the releases: state from before 1.8 needs a step over 1.16, operator state of 1.18 and later is \
                 not read by 1.16 and earlier. A version that never was (a negative or huge number) is damage: start from \
                 another snapshot.",
        effect: Effect::Restore,
        remedy: Remedy::AnotherSnapshot,
    },
];
