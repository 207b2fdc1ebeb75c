//! Which snapshots a policy keeps, and why. No I/O, and no clock: `now` is an argument.
