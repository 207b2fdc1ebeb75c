//! Whether a job starts again after a failure, and when.
