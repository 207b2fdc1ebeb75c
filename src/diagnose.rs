//! From a log or a stack trace to the cause of a failed restore and what to do next.
