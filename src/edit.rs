//! Pure edits of a `_metadata`: model → model, no I/O.
//!
//! Whoever makes an edit decides what to change and looks at storage where that must be; here the model is changed and
//! it is said what was. An edit that is refused has changed nothing.

pub mod streams;
