//! Gatefort beside servers that do nothing, as whole processes under the same questions.
//!
//! ```text
//! cargo bench --bench compare                 the whole table, some minutes; writes benches/RESULTS.md
//! cargo bench --bench compare -- --quick      every case once, briefly: figures that mean little
//! cargo bench --bench compare -- --long       with 10,000,000 random tokens, which takes much longer
//! cargo bench --bench compare -- --gateways   and through Envoy, nginx and Traefik, as tests/run installs them
//! cargo bench --bench compare -- grpc http    some of the cases (see `CASES`, and `gateways`), printed alone
//! cargo test --bench compare                  the same with the test build: do all answers still come out right?
//! ```
//!
//! What counts is the processor time of the server's process, user and system, as the operating system tells it,
//! divided by the number of decisions. Servers take turns (A B C A B C ...), so that what else the machine does
//! meets all alike; the median of the rounds is reported, as a ratio to a server of the same run. Gatefort
//! runs with its defaults: every decision is logged, into a pipe that this program reads, and counted.
//!
//! Every answer is looked at: an Allow must say the token's identity, a Deny must be one. The load is closed,
//! sixteen questions under way at once (over gRPC on two connections), but where latency is measured: there it is open.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a measuring program: what fails ends it, and it talks to a person"
)]

mod ask;
mod cases;
mod crypto;
mod gateways;
mod latency;
mod load;
mod measure;
mod noop;
mod plot;
mod report;
mod scene;
mod server;
#[path = "../../tests/support/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    reason = "shared with the tests, which use more of it"
)]
mod support;
mod system;

use std::error::Error;
use std::fs;

use noop::NoOp;
use report::{Begun, Report};
use scene::Scene;
use support::tokens;

/// A result of this program.
type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// How much of everything.
#[derive(Debug)]
pub(crate) struct Scale {
    /// Rounds of every comparison.
    rounds: usize,
    /// Questions in a round.
    count: usize,
    /// Questions in a round where each is asked once only.
    cold: usize,
    /// Verifications that the crypto library is measured by.
    verifications: u32,
    /// Live tokens.
    tokens: usize,
    /// Issuers.
    issuers: usize,
    /// Random tokens.
    random: usize,
    /// Length of an open loop.
    open_seconds: f64,
    /// Rounds of the open loop.
    open_rounds: usize,
}

/// Some minutes on two cores, most of it spent by the load maker.
const FULL: Scale = Scale {
    rounds: 5,
    count: 20_000,
    cold: 4_000,
    verifications: 5_000,
    tokens: 1_000_000,
    issuers: 1_000,
    random: 500_000,
    open_seconds: 5.0,
    open_rounds: 3,
};

/// As many random tokens as the goal speaks of.
const LONG: Scale = Scale {
    random: 10_000_000,
    ..FULL
};

/// Some seconds, even without optimisation.
const QUICK: Scale = Scale {
    rounds: 2,
    count: 200,
    cold: 50,
    verifications: 20,
    tokens: 300,
    issuers: 20,
    random: 400,
    // Long enough for a refresh that is due every second.
    open_seconds: 1.5,
    open_rounds: 1,
};

/// A case: it asks, and reports.
type Case = fn(&Scene, &Scale, &mut Report);

/// The cases with a figure of their own, by name.
const CASES: [(&str, Case); 7] = [
    ("grpc", cases::grpc_warm),
    ("http", cases::http_warm),
    ("cold", cases::cold),
    ("denied", cases::denied),
    ("large", cases::large_configurations),
    ("tokens", cases::many_tokens),
    ("footprint", cases::footprint),
];

/// What needs gateways.
const GATEWAYS: (&str, Case) = ("gateways", gateways::compare);

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let [server::SERVE, name] = words.as_slice() {
        return noop::serve(NoOp::named(name).ok_or("no such server")?);
    }
    let binary = cases::profile(server::gatefort_binary());
    let full = if words.contains(&"--long") {
        &LONG
    } else {
        &FULL
    };
    let chosen: Vec<&str> = words
        .iter()
        .copied()
        .filter(|word| !word.starts_with('-'))
        .collect();
    if !chosen.is_empty() {
        let mut report = Report::default();
        let scene = Scene::new();
        for name in chosen {
            let mut cases = CASES.iter().chain([&GATEWAYS]);
            let case = cases.find(|(known, _)| *known == name);
            let (_, case) = case.ok_or_else(|| format!("no case is called {name}"))?;
            case(&scene, full, &mut report);
        }
        report.print();
        return Ok(());
    }
    // Cargo says `--bench` where figures are wanted.
    if words.contains(&"--bench") && !words.contains(&"--quick") {
        let begun = Begun::now(binary);
        let (mut report, plot) = compare(full)?;
        if words.contains(&"--gateways") {
            gateways::compare(&Scene::new(), full, &mut report);
        }
        report.print();
        fs::write(report::folder().join("latency.svg"), plot)?;
        report.write(&begun)
    } else {
        let (mut report, _) = compare(&QUICK)?;
        if words.contains(&"--gateways") {
            gateways::compare(&Scene::new(), &QUICK, &mut report);
        }
        report.print();
        println!("\nevery answer was right; the figures of a short run say little");
        Ok(())
    }
}

/// Every case in turn; the table and the plot.
fn compare(scale: &Scale) -> Outcome<(Report, String)> {
    let scene = Scene::new();
    let mut report = Report::default();
    for (_, case) in CASES {
        case(&scene, scale, &mut report);
    }
    let series = latency::open_loop(&scene, scale, &mut report)?;
    let plot = plot::svg(&series, "Latency in an open loop at half of the peak");
    Ok((report, plot))
}
