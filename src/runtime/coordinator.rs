//! When to take a checkpoint, and what becomes of it.
