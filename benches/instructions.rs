//! How many instructions an exchange at a door takes, and the most that it may.
//!
//! ```text
//! CARGO_PROFILE_BENCH_STRIP=none cargo bench --bench instructions    with optimisation, as operators get it
//! cargo test --bench instructions                                    as the tests are built: what CI holds against the limits
//! ```
//!
//! valgrind's callgrind counts them, so the figures are the same on a busy machine as on a quiet one: those within
//! [`exchange`] alone, for starting takes more or less as the random numbers come. valgrind's processor has no instructions
//! for SHA-2: digests count for more than they take. What `rep movsb` copies counts by the byte, so that a state grown too
//! large is seen at once.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measuring program: what fails ends it, and it talks to a person"
)]

mod within;

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use bytes::Bytes;
use gatefort::gateway::Service;
use http::Request;
use http_body_util::Full;
use within::ask::Door;
use within::scene::{Scene, Signature, Token};
use within::{RS256, ask, inside, tokens};

/// What is counted.
struct Case {
    name: &'static str,
    door: Door,
    token: Token,
    /// How many tokens of the kind take turns: [`EACH_ONCE`] where none comes a second time.
    tokens: usize,
    /// The most that it may be: as the tests are built, and optimised.
    most: [u64; 2],
}

const fn case(name: &'static str, door: Door, token: Token, tokens: usize, most: [u64; 2]) -> Case {
    Case {
        name,
        door,
        token,
        tokens,
        most,
    }
}

const ES256: Token = Token::Good(Signature::Es256);

/// A limit is about a tenth above the count on the day when it was set. Whoever has to raise one says why.
#[rustfmt::skip]
const CASES: [Case; 7] = [
    case("Envoy gRPC, warm token", Door::Grpc, RS256, 1, [347_000, 61_500]),
    case("/auth-request, warm token", Door::AuthRequest, RS256, 1, [332_000, 59_000]),
    case("/forward-auth, warm token", Door::ForwardAuth, RS256, 1, [363_000, 64_500]),
    case("Envoy gRPC, expired token", Door::Grpc, Token::Expired, 1, [569_000, 85_500]),
    case("Envoy gRPC, junk", Door::Grpc, Token::Junk, EACH_ONCE, [324_000, 50_500]),
    case("Envoy gRPC, cold RS256 token", Door::Grpc, RS256, EACH_ONCE, [1_062_000, 428_000]),
    case("Envoy gRPC, cold ES256 token", Door::Grpc, ES256, EACH_ONCE, [1_463_000, 901_000]),
];

/// Tokens for one process, those that warm up included.
const EACH_ONCE: usize = COUNT + 2;

/// The first argument of a process that is counted.
const RUN: &str = "run";

/// The exchanges of a case.
const COUNT: usize = 100;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [RUN, case] = arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        run(case.parse().expect("a number"));
        return ExitCode::SUCCESS;
    }
    let scene = Scene::new();
    let folder = tempfile::tempdir().expect("a folder can be made");
    let configuration = within::configuration(&scene);
    fs::write(folder.path().join("configuration"), configuration)
        .expect("the folder can be written");
    let mut code = ExitCode::SUCCESS;
    for (number, case) in CASES.iter().enumerate() {
        let asks = scene.asks(case.door, case.token, case.tokens);
        for (place, ask) in asks.iter().enumerate() {
            fs::write(folder.path().join(place.to_string()), &ask.wire)
                .expect("the folder can be written");
        }
        let each = counted(folder.path(), number) / COUNT as u64;
        let limit = case.most[usize::from(!cfg!(debug_assertions))];
        let verdict = if each <= limit { "ok" } else { "TOO MANY" };
        let name = case.name;
        println!("{name:30} {each:>9} instructions, at most {limit:>9}  {verdict}");
        if each > limit {
            code = ExitCode::FAILURE;
        }
    }
    code
}

/// The instructions of a case's exchanges, in a process of their own.
fn counted(folder: &Path, case: usize) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg("--toggle-collect=*::exchange*")
        .arg(std::env::current_exe().expect("a program knows its path"))
        .args([RUN, &case.to_string()])
        .current_dir(folder)
        .output()
        .expect("valgrind is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let collected = said
        .lines()
        .find_map(|line| line.split_once("Collected : "));
    let (_, number) = collected.unwrap_or_else(|| panic!("no count in {said}"));
    let number = number.trim().parse().expect("a count is a number");
    assert_ne!(
        number, 0,
        "no function is called `exchange`: CARGO_PROFILE_BENCH_STRIP=none keeps the names"
    );
    number
}

/// Makes a case's exchanges, after two that warm up: what is kept of the first is counted at the second.
fn run(case: usize) {
    let Case { door, tokens, .. } = CASES[case];
    let configuration = fs::read_to_string("configuration").expect("it was written");
    let wires: Vec<Bytes> = (0..tokens)
        .map(|place| fs::read(place.to_string()).expect("it was written").into())
        .collect();
    let service = inside::service(door, inside::state(&configuration));
    let question = |number| inside::question(door, &wires[number % tokens]);
    for number in 0..2 {
        inside::answer(&service, question(number));
    }
    for number in 2..COUNT + 2 {
        exchange(&service, question(number));
    }
}

/// What is counted.
#[inline(never)]
fn exchange(service: &Service, question: Request<Full<Bytes>>) {
    inside::answer(service, question);
}
