//! The table's cases: each asks its questions, checks the answers, and says what it found.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::Scale;
use gatefort::verify::DEFAULT_CACHE_BYTES;

use crate::ask::{Asks, Door};
use crate::crypto::Verification;
use crate::load::{PART, Pace};
use crate::measure::{Contender, Cost, interleaved, median, micros};
use crate::noop::NoOp;
use crate::report::{Ratio, Report, Row};
use crate::scene::{self, KeyServer, LARGE_RULE_SET, Scene, Signature, Token};
use crate::server::{Server, dist_binary, gatefort_binary};

/// Tokens of the warm cases: some users at once, as behind any gateway.
const WARM_TOKENS: usize = 64;

const RS256: Token = Token::Good(Signature::Rs256);

/// gRPC with tokens seen before, against the servers that do nothing.
pub(crate) fn grpc_warm(scene: &Scene, scale: &Scale, report: &mut Report) {
    println!("gRPC, warm token");
    let asks = scene.asks(Door::Grpc, RS256, WARM_TOKENS);
    let (tonic, http2) = (Server::no_op(NoOp::Tonic), Server::no_op(NoOp::Http2));
    let gatefort = Server::gatefort(&scene.configuration(), &scene.files());
    let contender = |name, server| Contender::warm(name, server, Door::Grpc, &asks);
    let [tonic, http2, gatefort] = interleaved(
        scale,
        scale.count,
        &[
            contender("no-op tonic + envoy-types", &tonic).no_op(),
            contender("no-op hyper HTTP/2", &http2).no_op(),
            contender("gatefort", &gatefort),
        ],
    );
    compare(
        report,
        "Envoy gRPC, warm token, 12 header fields",
        gatefort,
        "no-op tonic + envoy-types",
        tonic,
        Some(0.85),
    );
    compare(
        report,
        "the same",
        gatefort,
        "no-op hyper HTTP/2, canned frame",
        http2,
        None,
    );
    report.note(format!(
        "Of the decisions of the first case, {:.1} % reached the log's reader; \
         the log gives up lines rather than answers when its reader is slow.",
        gatefort.logged * 100.0
    ));
}

/// HTTP with tokens seen before, against the server that does nothing.
pub(crate) fn http_warm(scene: &Scene, scale: &Scale, report: &mut Report) {
    println!("HTTP/1.1, warm token");
    let nginx = scene.asks(Door::AuthRequest, RS256, WARM_TOKENS);
    let traefik = scene.asks(Door::ForwardAuth, RS256, WARM_TOKENS);
    let no_op = Server::no_op(NoOp::Http1);
    let gatefort = Server::gatefort(&scene.configuration(), &scene.files());
    let [no_op, auth_request, forward_auth] = interleaved(
        scale,
        scale.count,
        &[
            Contender::warm("no-op hyper HTTP/1.1", &no_op, Door::AuthRequest, &nginx).no_op(),
            Contender::warm(
                "gatefort /auth-request",
                &gatefort,
                Door::AuthRequest,
                &nginx,
            ),
            Contender::warm(
                "gatefort /forward-auth",
                &gatefort,
                Door::ForwardAuth,
                &traefik,
            ),
        ],
    );
    for (case, cost) in [
        ("HTTP `/auth-request`, warm token", auth_request),
        ("HTTP `/forward-auth`, warm token", forward_auth),
    ] {
        compare(
            report,
            case,
            cost,
            "no-op hyper HTTP/1.1",
            no_op,
            Some(1.20),
        );
    }
}

/// Tokens never seen before, against doing nothing plus what the crypto library takes.
pub(crate) fn cold(scene: &Scene, scale: &Scale, report: &mut Report) {
    let warm = scene.asks(Door::Grpc, RS256, WARM_TOKENS);
    for (name, signature) in [("RS256", Signature::Rs256), ("ES256", Signature::Es256)] {
        println!("gRPC, cold {name} token");
        let asks = scene.asks(
            Door::Grpc,
            Token::Good(signature),
            scale.cold * scale.rounds,
        );
        let verification = Verification::of(scene, signature);
        let tonic = Server::no_op(NoOp::Tonic);
        let gatefort = Server::gatefort(&scene.configuration(), &scene.files());
        let mut verify = vec![verification.cost(scale.verifications)];
        let contender =
            |name, server| Contender::warm(name, server, Door::Grpc, &asks).warmed_by(&warm);
        let [tonic, gatefort] = interleaved(
            scale,
            scale.cold,
            &[
                contender("no-op tonic + envoy-types", &tonic).no_op(),
                contender("gatefort", &gatefort),
            ],
        );
        verify.push(verification.cost(scale.verifications));
        let verify = median(verify.into_iter().map(micros));
        let floor = tonic.median + 1.15 * verify;
        report.row(Row {
            case: format!("Envoy gRPC, cold {name} token"),
            measured: cost(gatefort),
            against: format!(
                "no-op {:.1} us + 1.15 x verify {verify:.1} us",
                tonic.median
            ),
            ratio: Some(Ratio {
                is: gatefort.median / floor,
                bar: Some(1.0),
            }),
        });
    }
}

/// Tokens that are denied, against those that pass.
pub(crate) fn denied(scene: &Scene, scale: &Scale, report: &mut Report) {
    println!("gRPC, denied tokens");
    let gatefort = Server::gatefort(&scene.configuration(), &scene.files());
    let asks = |token, count| scene.asks(Door::Grpc, token, count);
    let warm = asks(RS256, WARM_TOKENS);
    let contender = |name, asks: &_| Contender::warm(name, &gatefort, Door::Grpc, asks);
    let fresh = scale.cold * scale.rounds;
    let [allowed, expired, junk, forged] = interleaved(
        scale,
        scale.cold,
        &[
            contender("warm", &warm),
            contender("expired", &asks(Token::Expired, WARM_TOKENS)),
            contender("junk", &asks(Token::Junk, fresh)).warmed_by(&warm),
            contender("forged", &asks(Token::Forged, fresh)).warmed_by(&warm),
        ],
    );
    for (case, cost, bar) in [
        ("denied: expired token", expired, Some(1.0)),
        ("denied: junk, new every time", junk, Some(1.0)),
        (
            "denied: forged ES256 signature, new every time",
            forged,
            None,
        ),
    ] {
        compare(report, case, cost, "the warm Allow", allowed, bar);
    }
}

/// Many rules, many issuers.
pub(crate) fn large_configurations(scene: &Scene, scale: &Scale, report: &mut Report) {
    println!("gRPC, large configurations");
    let asks = scene.asks(Door::Grpc, RS256, WARM_TOKENS);
    let start = |rules, issuers| Server::gatefort(&scene.with(rules, issuers), &scene.files());
    let [small, rules, issuers] = [
        start(8, 1),
        start(LARGE_RULE_SET, 1),
        start(8, scale.issuers),
    ];
    let contender = |name, server| Contender::warm(name, server, Door::Grpc, &asks);
    let [small, rules, issuers] = interleaved(
        scale,
        scale.count,
        &[
            contender("8 rules, 1 issuer", &small),
            contender("many rules", &rules),
            contender("many issuers", &issuers),
        ],
    );
    let reference = "8 rules, 1 issuer";
    compare(
        report,
        &format!("{LARGE_RULE_SET} rules"),
        rules,
        reference,
        small,
        Some(1.3),
    );
    compare(
        report,
        &format!("{} issuers", scale.issuers),
        issuers,
        reference,
        small,
        Some(1.1),
    );
}

/// Many tokens that live at the same time.
pub(crate) fn many_tokens(_: &Scene, scale: &Scale, report: &mut Report) {
    println!("gRPC, many live tokens");
    let room = scale.tokens * PLANNED;
    let configuration = Scene::local(room);
    let start = || Server::gatefort(&configuration, &[]);
    let (small, large) = (start(), start());
    let before = large.resident_mib();
    let asks = |among| scene::live_among(Door::Grpc, among);
    let [small, many] = interleaved(
        scale,
        scale.count,
        &[
            Contender::warm("64 live tokens", &small, Door::Grpc, asks(WARM_TOKENS)),
            Contender::warm("many live tokens", &large, Door::Grpc, asks(scale.tokens)),
        ],
    );
    let taken = (large.resident_mib() - before) * MB_PER_MIB;
    let case = format!("{} live tokens, all seen before", scale.tokens);
    let reference = "64 live tokens";
    compare(report, &case, many, reference, small, Some(1.0 + FLAT));
    limit(
        report,
        &format!("memory of {} live tokens", scale.tokens),
        taken,
        "MB",
        room as f64 / 1e6,
    );
}

/// What docs/capacity.md says to plan for each live token, in bytes.
const PLANNED: usize = 2_400;

/// What counts as flat: as much as interleaved rounds of one server differ on a quiet machine.
const FLAT: f64 = 0.1;

/// Memory, time to start, size.
pub(crate) fn footprint(scene: &Scene, scale: &Scale, report: &mut Report) {
    println!("footprint");
    let keys = KeyServer::start(scene.jwks());
    let configuration = scene.fetching(&keys.url, "");
    let starts: Vec<Server> = (0..scale.rounds)
        .map(|_| Server::gatefort(&configuration, &[]))
        .collect();
    let took = median(
        starts
            .iter()
            .map(|server| server.started_in.as_secs_f64() * 1e3),
    );
    let idle = median(
        starts
            .iter()
            .map(|server| server.resident_mib() * MB_PER_MIB),
    );
    drop(starts);
    limit(
        report,
        "start to ready, ten live issuers",
        took,
        "ms",
        150.0,
    );
    limit(report, "idle memory", idle, "MB", 20.0);

    let gatefort = Server::gatefort(&Scene::local(DEFAULT_CACHE_BYTES), &[]);
    let mut resident = vec![gatefort.resident_mib()];
    let asks = Asks::Made {
        maker: Arc::new(|number| scene::forged(Door::Grpc, number)),
        among: usize::MAX,
    };
    Contender::warm("random tokens", &gatefort, Door::Grpc, &asks)
        .plan(0, Pace::Closed)
        .in_parts(scale.random, || resident.push(gatefort.resident_mib()));
    let most = resident.iter().copied().fold(0.0, f64::max);
    report.note(format!(
        "Memory before any random token (forged, each new) was asked about: {:.1} MiB; after the first {}: {:.1} MiB; \
         after {}: {:.1} MiB; the most between: {most:.1} MiB.",
        resident[0],
        PART.min(scale.random),
        resident[1],
        scale.random,
        resident[resident.len() - 1],
    ));
    size(report);
}

/// The goals are in MB, and the system counts in KiB.
const MB_PER_MIB: f64 = 1.048_576;

fn size(report: &mut Report) {
    let dist = dist_binary();
    let (name, path) = match &dist {
        Some(path) => ("binary, dist profile, stripped", path.as_path()),
        None => ("binary, as Cargo built it for this run", gatefort_binary()),
    };
    let bytes = fs::metadata(path).map_or(f64::NAN, |file| file.len() as f64);
    let unstripped = gatefort_binary()
        .components()
        .any(|part| part.as_os_str() == "debug");
    if unstripped && dist.is_none() {
        report.note("No binary of the release or dist profile to weigh.".to_owned());
    } else {
        limit(report, name, bytes / 1e6, "MB", 15.0);
    }
}

fn limit(report: &mut Report, case: &str, measured: f64, unit: &str, most: f64) {
    report.row(Row {
        case: case.to_owned(),
        measured: format!("{measured:.1} {unit}"),
        against: format!("{most:.0} {unit}"),
        ratio: Some(Ratio {
            is: measured / most,
            bar: Some(1.0),
        }),
    });
}

/// Adds what two costs are to each other.
pub(crate) fn compare(
    report: &mut Report,
    case: &str,
    is: Cost,
    reference: &str,
    than: Cost,
    bar: Option<f64>,
) {
    report.row(Row {
        case: case.to_owned(),
        measured: cost(is),
        against: format!("{reference}: {}", cost(than)),
        ratio: Some(Ratio {
            is: is.median / than.median,
            bar,
        }),
    });
}

fn cost(cost: Cost) -> String {
    format!(
        "{:.1} us ({:.1} to {:.1})",
        cost.median, cost.least, cost.most
    )
}

/// The profile that Cargo built Gatefort with, from where it put it.
pub(crate) fn profile(binary: &Path) -> String {
    let folder = binary.parent().and_then(Path::file_name);
    folder.map_or_else(String::new, |name| {
        format!("Cargo profile folder `{}`", name.display())
    })
}
