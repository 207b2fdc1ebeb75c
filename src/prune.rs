//! Finds out what nothing refers to and what a policy lets go. Makes a plan, and changes nothing.
