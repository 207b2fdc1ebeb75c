//! The `chkctl` binary: parse, run, turn the result into an exit status.

use std::process::ExitCode;

fn main() -> ExitCode {
    chkctl::cli::main()
}
