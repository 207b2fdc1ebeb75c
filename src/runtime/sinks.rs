//! Sinks: where records go to.

mod file;
mod text;

pub use file::FileSink;
pub(crate) use file::FileSinkOperator;
pub use text::Text;
