//! Arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    gatefort::service::run(std::env::args_os()).into()
}
