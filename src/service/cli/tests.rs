//! The command line as it is typed.

use clap::CommandFactory;

use super::*;

fn command(line: &str) -> Command {
    Cli::try_parse_from(line.split(' ')).unwrap().command
}

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn bad_usage_is_no_answer() {
    for line in [
        "gatefort",
        "gatefort fly",
        "gatefort serve --config",
        "gatefort dev --http localhost:1",
        "gatefort check -c a -c b",
    ] {
        let exit = run(line.split(' ').map(OsString::from));
        assert_eq!(exit, Exit::Unknown, "{line}");
    }
}

#[test]
fn dev_refuses_every_address_that_others_could_reach() {
    for option in ["--grpc", "--http", "--admin", "--issuer"] {
        for address in [
            "0.0.0.0:0",
            "[::]:0",
            "192.0.2.1:0",
            "[::ffff:192.0.2.1]:0",
            "128.0.0.1:0",
        ] {
            for more in ["", " --print-config"] {
                let line = format!("gatefort dev {option} {address}{more}");
                let Command::Dev(arguments) = command(&line) else {
                    panic!("{line} is not `dev`");
                };
                let failure = develop(&arguments).unwrap_err();
                assert!(
                    matches!(failure, Failure::Dev(DevError::NotLoopback { .. })),
                    "{line}: {failure}"
                );
                assert!(failure.to_string().contains(&format!("{option} {address}")));
                assert_eq!(failure.tell(), Exit::Unknown);
            }
        }
    }
}

#[test]
fn a_reader_that_went_away_is_no_failure() {
    let gone = Failure::Dev(DevError::Output(io::ErrorKind::BrokenPipe.into()));
    assert_eq!(gone.tell(), Exit::Yes);
    let full = Failure::Dev(DevError::Output(io::ErrorKind::StorageFull.into()));
    assert_eq!(full.tell(), Exit::Unknown);
}
