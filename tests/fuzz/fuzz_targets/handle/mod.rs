//! What a handle would say of a file, in front of its bytes: numbers of fixed size, so that a file of the corpus is a
//! seed and a change to it stays one change (`tests/suite/deep_state.rs` writes the seeds).

/// Reads the numbers; those that are missing are zero.
pub struct Handle<'b>(pub &'b [u8]);

impl Handle<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        let count = N.min(self.0.len());
        let (head, rest) = self.0.split_at(count);
        out[..count].copy_from_slice(head);
        self.0 = rest;
        out
    }

    #[allow(dead_code, reason = "not every target has one")]
    pub fn u8(&mut self) -> u8 {
        u8::from_be_bytes(self.take())
    }

    #[allow(dead_code, reason = "not every target has one")]
    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.take())
    }

    pub fn i32(&mut self) -> i32 {
        i32::from_be_bytes(self.take())
    }

    /// A 16-bit count and as many offsets.
    pub fn offsets(&mut self) -> Vec<i64> {
        let count = usize::from(u16::from_be_bytes(self.take())).min(self.0.len() / 4);
        (0..count).map(|_| self.i32().into()).collect()
    }

    /// A byte that is the length, and a name.
    #[allow(dead_code, reason = "not every target has one")]
    pub fn name(&mut self) -> String {
        let length = usize::from(self.u8()).min(self.0.len());
        let (name, rest) = self.0.split_at(length);
        self.0 = rest;
        String::from_utf8_lossy(name).into_owned()
    }
}
