//! Writing checkpoint properties: the Java object stream that Flink 1.16 to 2.3 write, byte for byte.

/// What stands in the properties of a snapshot (`CheckpointProperties`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewProperties {
    /// Of a checkpoint, with what becomes of it when the job ends so.
    Checkpoint {
        /// Whether a cancelled job removes it.
        discard_canceled: bool,
        /// Whether a failed job removes it.
        discard_failed: bool,
        /// Whether a suspended job removes it.
        discard_suspended: bool,
    },
    /// Of a savepoint, which is removed by nobody but people.
    Savepoint {
        /// Whether it is in the state backend's own format, not in the canonical one.
        native: bool,
        /// What the job did after it.
        after: AfterSavepoint,
    },
}

/// What a job does after a savepoint (`SavepointType.PostCheckpointAction`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterSavepoint {
    /// Goes on.
    Nothing,
    /// Stops, to be started again.
    Suspend,
    /// Stops after all windows and timers have fired.
    Terminate,
}

impl AfterSavepoint {
    /// The name of the type and that of the action (`SavepointType`).
    fn names(self) -> (&'static str, &'static str) {
        match self {
            AfterSavepoint::Nothing => ("Savepoint", "NONE"),
            AfterSavepoint::Suspend => ("Suspend Savepoint", "SUSPEND"),
            AfterSavepoint::Terminate => ("Terminate Savepoint", "TERMINATE"),
        }
    }
}

// `java.io.ObjectStreamConstants`.
const STREAM_HEADER: [u8; 4] = [0xac, 0xed, 0, 5];
const TC_NULL: u8 = 0x70;
const TC_REFERENCE: u8 = 0x71;
const TC_CLASSDESC: u8 = 0x72;
const TC_OBJECT: u8 = 0x73;
const TC_STRING: u8 = 0x74;
const TC_ENDBLOCKDATA: u8 = 0x78;
const TC_ENUM: u8 = 0x7e;
const SC_SERIALIZABLE: u8 = 2;
const SC_ENUM: u8 = 0x12;
/// The handle of `java.lang.Enum`'s description, the tenth thing in the stream of a savepoint.
const ENUM_HANDLE: [u8; 4] = [0, 0x7e, 0, 9];

const PACKAGE: &str = "org.apache.flink.runtime.checkpoint.";

struct Stream(Vec<u8>);

impl Stream {
    fn utf(&mut self, text: &str) {
        // All texts are constants in this file, none is long.
        self.0.extend_from_slice(&u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
        self.0.extend_from_slice(text.as_bytes());
    }

    fn string(&mut self, text: &str) {
        self.0.push(TC_STRING);
        self.utf(text);
    }

    /// A class with its fields: type code, name and, of objects, the type.
    fn class(&mut self, name: &str, version: u64, flags: u8, fields: &[(u8, &str, &str)]) {
        self.0.push(TC_CLASSDESC);
        self.utf(name);
        self.0.extend_from_slice(&version.to_be_bytes());
        self.0.push(flags);
        self.0.extend_from_slice(&u16::try_from(fields.len()).unwrap_or(u16::MAX).to_be_bytes());
        for (code, name, class) in fields {
            self.0.push(*code);
            self.utf(name);
            if *code == b'L' {
                self.string(class);
            }
        }
        self.0.push(TC_ENDBLOCKDATA);
    }

    /// A constant of an enum class. The description of `java.lang.Enum` is written once, and referred to later.
    fn constant(&mut self, class: &str, name: &str, first: bool) {
        self.0.push(TC_ENUM);
        self.class(class, 0, SC_ENUM, &[]);
        if first {
            self.class("java.lang.Enum", 0, SC_ENUM, &[]);
            self.0.push(TC_NULL);
        } else {
            self.0.push(TC_REFERENCE);
            self.0.extend_from_slice(&ENUM_HANDLE);
        }
        self.string(name);
    }
}

/// The bytes of the properties.
pub fn write(properties: NewProperties) -> Vec<u8> {
    let mut out = Stream(STREAM_HEADER.to_vec());
    out.0.push(TC_OBJECT);
    let flag = |name| (b'Z', name, "");
    let fields = [
        flag("discardCancelled"),
        flag("discardFailed"),
        flag("discardFinished"),
        flag("discardSubsumed"),
        flag("discardSuspended"),
        flag("forced"),
        flag("unclaimed"),
        (b'L', "checkpointType", "Lorg/apache/flink/runtime/checkpoint/SnapshotType;"),
    ];
    out.class(&format!("{PACKAGE}CheckpointProperties"), 2, SC_SERIALIZABLE, &fields);
    out.0.push(TC_NULL);
    match properties {
        NewProperties::Checkpoint { discard_canceled, discard_failed, discard_suspended } => {
            let flags = [discard_canceled, discard_failed, true, true, discard_suspended, false, false];
            out.0.extend(flags.map(u8::from));
            checkpoint_type(&mut out);
        }
        NewProperties::Savepoint { native, after } => {
            out.0.extend([0, 0, 0, 0, 0, 1, 0]);
            savepoint_type(&mut out, native, after);
        }
    }
    out.0
}

fn checkpoint_type(out: &mut Stream) {
    let sharing = format!("{PACKAGE}SnapshotType$SharingFilesStrategy");
    let strategy = "Lorg/apache/flink/runtime/checkpoint/SnapshotType$SharingFilesStrategy;";
    let fields = [(b'L', "name", "Ljava/lang/String;"), (b'L', "sharingFilesStrategy", strategy)];
    out.0.push(TC_OBJECT);
    out.class(&format!("{PACKAGE}CheckpointType"), 0xd6de_4f03_05ae_1d3a, SC_SERIALIZABLE, &fields);
    out.0.push(TC_NULL);
    out.string("Checkpoint");
    out.constant(&sharing, "FORWARD_BACKWARD", true);
}

fn savepoint_type(out: &mut Stream, native: bool, after: AfterSavepoint) {
    let (name, action) = after.names();
    let fields = [
        (b'L', "formatType", "Lorg/apache/flink/core/execution/SavepointFormatType;"),
        (b'L', "name", "Ljava/lang/String;"),
        (b'L', "postCheckpointAction", "Lorg/apache/flink/runtime/checkpoint/SavepointType$PostCheckpointAction;"),
    ];
    out.0.push(TC_OBJECT);
    out.class(&format!("{PACKAGE}SavepointType"), 0xa087_d308_a458_14b8, SC_SERIALIZABLE, &fields);
    out.0.push(TC_NULL);
    let format = if native { "NATIVE" } else { "CANONICAL" };
    out.constant("org.apache.flink.core.execution.SavepointFormatType", format, true);
    out.string(name);
    out.constant(&format!("{PACKAGE}SavepointType$PostCheckpointAction"), action, false);
}
