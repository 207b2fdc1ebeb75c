//! Records as Flink prints them.

use crate::state::{Bytes, TimeWindow};
use std::fmt::Write as _;

/// A type that Flink's `print` has a text for: strings and numbers as they are, tuples as `(a,b)`, lists as `[a, b]`.
pub trait Text {
    /// Appends the text.
    fn text(&self, out: &mut String);
}

macro_rules! text_by_display {
    ($($type:ty),*) => {
        $(impl Text for $type {
            fn text(&self, out: &mut String) {
                // Writing to a string does not fail.
                let _ = write!(out, "{self}");
            }
        })*
    };
}

text_by_display!(String, &'static str, crate::state::Str, bool, char, i8, i16, i32, i64, u8, u16, u32, u64);

/// Java writes a whole number with `.0`.
macro_rules! text_by_debug {
    ($($type:ty),*) => {
        $(impl Text for $type {
            fn text(&self, out: &mut String) {
                let _ = write!(out, "{self:?}");
            }
        })*
    };
}

text_by_debug!(f32, f64);

impl Text for TimeWindow {
    fn text(&self, out: &mut String) {
        let _ = write!(out, "TimeWindow{{start={}, end={}}}", self.start, self.end);
    }
}

impl<T: Text> Text for Vec<T> {
    fn text(&self, out: &mut String) {
        out.push('[');
        for (index, item) in self.iter().enumerate() {
            if index > 0 {
                out.push_str(", ");
            }
            item.text(out);
        }
        out.push(']');
    }
}

impl Text for Bytes {
    fn text(&self, out: &mut String) {
        self.0.iter().map(|byte| byte.cast_signed()).collect::<Vec<i8>>().text(out);
    }
}

macro_rules! text_of_tuples {
    ($(($first:ident $($name:ident $index:tt)*)),*) => {
        $(impl<$first: Text, $($name: Text),*> Text for ($first, $($name,)*) {
            fn text(&self, out: &mut String) {
                out.push('(');
                self.0.text(out);
                $(
                    out.push(',');
                    self.$index.text(out);
                )*
                out.push(')');
            }
        })*
    };
}

text_of_tuples!((A), (A B 1), (A B 1 C 2), (A B 1 C 2 D 3), (A B 1 C 2 D 3 E 4), (A B 1 C 2 D 3 E 4 F 5));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_printed_as_flink_prints_them() {
        let mut out = String::new();
        ("flink".to_owned(), 2_i64, vec![1.0, 0.5], true).text(&mut out);
        assert_eq!(out, "(flink,2,[1.0, 0.5],true)");
    }
}
