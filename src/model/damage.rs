//! What a reader of a state file finds, and what Flink's restore makes of it.

/// What Flink does with a damaged file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// Flink starts, at least some of the time; the bytes are provably not what was written.
    Starts,
    /// It is not known: a limit of chkctl's own was met, or something newer than it knows.
    Unknown,
    /// Flink's restore fails.
    Fails,
}

/// Damage in a state file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// What Flink does with it.
    pub effect: Effect,
    /// The part of the format, such as `data block 17` or `key group 5`.
    pub section: String,
    /// Offset of the offending field from the start of the stream, in bytes.
    pub offset: u64,
    /// What is wrong there.
    pub problem: String,
}

/// What reading a state file to its end has shown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checked {
    /// What is damaged, in the order of the file. Readers stop collecting after a hundred.
    pub damages: Vec<Damage>,
    /// Content that was read but not understood, so that damage in it would not have been seen: values of serializers
    /// that only Java knows. One sentence for each kind.
    pub opaque: Vec<String>,
}
