//! How many instructions an exchange at a door takes, and the most that it may.
//!
//! ```text
//! cargo bench --bench instructions    with optimisation, as operators get it
//! cargo test --bench instructions     as the tests are built: what CI holds against the limits
//! ```
//!
//! valgrind's callgrind counts them, so the figures are the same on a busy machine as on a quiet one. Each case
//! runs in two processes of its own, for fewer and for more exchanges; the difference is what the exchanges took,
//! without start and warm-up. valgrind's processor has no instructions for SHA-2: digests count for more than they
//! take. Making the question is counted as well, a connection is not. What `rep movsb` copies counts by the byte, so that a state grown too large is seen at once.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measuring program: what fails ends it, and it talks to a person"
)]

#[path = "compare/ask.rs"]
#[expect(dead_code, reason = "shared with the comparison")]
mod ask;
#[path = "compare/inside.rs"]
mod inside;
#[path = "compare/scene.rs"]
#[expect(dead_code, reason = "shared with the comparison")]
mod scene;
#[path = "../tests/support/tokens/mod.rs"]
#[expect(dead_code, reason = "shared with the tests")]
mod tokens;

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use ask::Door;
use scene::{Scene, Signature, Token};

/// What is counted, and the most that it may be: as the tests are built, and optimised.
///
/// A limit is about a tenth above the count on the day when it was set. Whoever has to raise one says why.
const CASES: [(&str, Door, Token, [u64; 2]); 4] = [
    (
        "Envoy gRPC, warm token",
        Door::Grpc,
        WARM,
        [410_000, 73_000],
    ),
    (
        "/auth-request, warm token",
        Door::AuthRequest,
        WARM,
        [535_000, 105_000],
    ),
    (
        "/forward-auth, warm token",
        Door::ForwardAuth,
        WARM,
        [562_000, 110_000],
    ),
    (
        "Envoy gRPC, expired token",
        Door::Grpc,
        Token::Expired,
        [671_000, 133_000],
    ),
];

const WARM: Token = Token::Good(Signature::Rs256);

/// The first argument of a process that is counted.
const RUN: &str = "run";

/// The exchanges of a case's two processes.
const FEW: u64 = 50;
const MANY: u64 = 250;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [RUN, case, count] = arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        let number = |text: &str| text.parse::<usize>().expect("a number");
        run(number(case), number(count));
        return ExitCode::SUCCESS;
    }
    let scene = Scene::new();
    let folder = tempfile::tempdir().expect("a folder can be made");
    // Within the text, as the processes share no folder with their configuration.
    let keys = format!("jwks: {}", scene.jwks());
    let configuration = scene.configuration().replace("jwks_file: keys.json", &keys);
    fs::write(folder.path().join("configuration"), configuration)
        .expect("the folder can be written");
    let mut code = ExitCode::SUCCESS;
    for (case, (name, door, token, limits)) in CASES.iter().enumerate() {
        let ask = &scene.asks(*door, *token, 1)[0];
        fs::write(folder.path().join("ask"), &ask.wire).expect("the folder can be written");
        let counted = [FEW, MANY].map(|count| counted(folder.path(), case, count));
        let each = (counted[1] - counted[0]) / (MANY - FEW);
        let limit = limits[usize::from(!cfg!(debug_assertions))];
        let verdict = if each <= limit { "ok" } else { "TOO MANY" };
        println!("{name:30} {each:>9} instructions, at most {limit:>9}  {verdict}");
        if each > limit {
            code = ExitCode::FAILURE;
        }
    }
    code
}

/// The instructions of a process that makes so many exchanges.
fn counted(folder: &Path, case: usize, count: u64) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().expect("a program knows its path"))
        .args([RUN, &case.to_string(), &count.to_string()])
        .current_dir(folder)
        .output()
        .expect("valgrind is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let collected = said
        .lines()
        .find_map(|line| line.split_once("Collected : "));
    let (_, number) = collected.unwrap_or_else(|| panic!("no count in {said}"));
    number.trim().parse().expect("a count is a number")
}

/// Makes so many exchanges, after one that warms up.
fn run(case: usize, count: usize) {
    let (_, door, _, _) = CASES[case];
    let configuration = fs::read_to_string("configuration").expect("it was written");
    let wire = fs::read("ask").expect("it was written").into();
    let service = inside::service(door, inside::state(&configuration));
    for _ in 0..=count {
        inside::answer(&service, inside::question(door, &wire));
    }
}
