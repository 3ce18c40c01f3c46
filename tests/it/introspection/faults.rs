//! An introspection endpoint that fails in every way there is, under load: what nobody knows is never Allow, and
//! an outage never Deny.
//!
//! The cells run side by side, each with an issuer and a verifier of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gatefort::domain::algorithm::AlgorithmSet;
use gatefort::domain::claims::{Audiences, ClaimPath, Profile, TokenRules, TokenType, UnixTime};
use gatefort::domain::credential::BearerToken;
use gatefort::domain::policy::{Demand, Liveness, OnOutage};
use gatefort::domain::reason::{DenyReason, OutageReason, Refusal};
use gatefort::verify::clock::SystemClock;
use gatefort::verify::settings::{
    ClientAuth, HttpSettings, IntrospectionSettings, IssuerSettings, KeySource, Mode, Opaque,
    Protocol, RefreshSettings,
};
use gatefort::verify::waits::Waits;
use gatefort::verify::{Circuit, IntrospectionStatus, Verifier};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use crate::support::issuer::{Endpoint, Fault, Issuer};
use crate::support::tokens;

/// How long an answer is believed.
const CACHE: Duration = Duration::from_millis(200);

/// How long a call may take; so long do those of cells wait where the endpoint hangs.
const TIMEOUT: Duration = Duration::from_millis(500);

/// How many clients ask at once in each cell.
const CLIENTS: u64 = 4;

/// The longest that a test waits for something that must happen; only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(60);

/// What verification said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Allow,
    Deny(DenyReason),
    Unavailable(OutageReason),
}

/// An issuer of opaque tokens, and a verifier that asks it about them.
struct Rig {
    issuer: Issuer,
    verifier: Verifier,
    /// Makes each new token another one.
    tokens: AtomicU64,
    /// Ends its background tasks.
    _shutdown: DropGuard,
}

impl Rig {
    async fn start() -> Self {
        let issuer = Issuer::start([]).await;
        let settings = settings(&issuer);
        let shutdown = CancellationToken::new();
        let verifier = Verifier::start(vec![settings], 16 * 1024, Arc::new(SystemClock), &shutdown);
        Self {
            verifier: verifier.expect("the settings are sound"),
            issuer,
            tokens: AtomicU64::new(0),
            _shutdown: shutdown.drop_guard(),
        }
    }

    async fn ask(&self, token: &str, on_outage: OnOutage) -> Said {
        let liveness = Liveness {
            demand: Demand::Introspection,
            on_outage,
            ..Liveness::default()
        };
        let now = UnixTime(tokens::now());
        let token = BearerToken::new(token);
        match self
            .verifier
            .authenticate(token, liveness, now, &mut Waits::default())
            .await
            .outcome
        {
            Ok(_) => Said::Allow,
            Err(Refusal::Deny(denial)) => Said::Deny(denial.reason),
            Err(Refusal::Unavailable(outage)) => Said::Unavailable(outage.reason),
        }
    }

    /// A token that nobody has seen before, and the issuer would call active.
    fn new_token(&self) -> String {
        format!("new-{}", self.tokens.fetch_add(1, Ordering::Relaxed))
    }

    fn status(&self) -> IntrospectionStatus {
        let issuer = self.verifier.status().swap_remove(0);
        issuer.introspection.expect("an endpoint")
    }
}

/// A fault, by its name.
type Cell = (&'static str, Option<Fault>);

fn cells() -> Vec<Cell> {
    let says = |answer: Value| Some(Fault::Document(answer));
    let mut cells = vec![
        ("refused", None),
        ("403", Some(Fault::Status(403, &[]))),
        ("no verdict", says(json!({"sub": "ann"}))),
        ("verdict: text", says(json!({"active": "true"}))),
        ("verdict: number", says(json!({"active": 1}))),
        ("verdict: null", says(json!({"active": null}))),
        ("verdict in a list", says(json!([{"active": true}]))),
        ("an error", says(json!({"error": "invalid_client"}))),
        (
            "two verdicts",
            Some(Fault::Bytes(
                "application/json",
                br#"{"active":false,"active":true}"#,
            )),
        ),
    ];
    let of_transport = Fault::of_transport().into_iter();
    cells.extend(of_transport.map(|(name, fault)| (name, Some(fault))));
    cells
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_fault_is_a_verdict() {
    let mut all = JoinSet::new();
    for (name, fault) in cells() {
        all.spawn(run(name, fault));
    }
    let mut failed = 0;
    while let Some(ended) = all.join_next().await {
        failed += usize::from(ended.is_err());
    }
    assert_eq!(failed, 0, "cells failed; their messages are above");
}

async fn run(cell: &'static str, fault: Option<Fault>) {
    let rig = Arc::new(Rig::start().await);
    until(&rig, cell, "good", Said::Allow).await;
    until(&rig, cell, "revoked", Said::Deny(DenyReason::TokenInactive)).await;

    match &fault {
        None => rig.issuer.refuse().await,
        Some(fault) => rig.issuer.fail(Endpoint::Introspection, fault.clone()),
    }
    let begun = Instant::now();
    let stop = CancellationToken::new();
    let mut load = JoinSet::new();
    for client in 0..CLIENTS {
        let (rig, stop) = (Arc::clone(&rig), stop.clone());
        load.spawn(async move {
            while !stop.is_cancelled() {
                let asked = Instant::now();
                expect_outage(cell, rig.ask(&rig.new_token(), OnOutage::Unavailable).await);
                for (token, known) in [
                    ("good", Said::Allow),
                    ("revoked", Said::Deny(DenyReason::TokenInactive)),
                ] {
                    let said = rig.ask(token, OnOutage::Unavailable).await;
                    // An answer from before the fault, as long as it may be believed.
                    if said != known || asked > begun + CACHE {
                        expect_outage(cell, said);
                    }
                    // The rule that falls back goes by what is known, and by that alone.
                    let fallback = OnOutage::LastKnown(PATIENCE * 2);
                    assert_eq!(rig.ask(token, fallback).await, known, "{cell}: {token}");
                    expect_outage(cell, rig.ask(&rig.new_token(), fallback).await);
                }
                // Leaves the processor to the other cells.
                tokio::time::sleep(Duration::from_millis(5 + client)).await;
            }
        });
    }
    // Until the endpoint is left alone, and answers from before the fault are too old.
    while rig.status().circuit == Circuit::Closed || begun.elapsed() <= CACHE * 2 {
        assert!(begun.elapsed() < PATIENCE, "{cell}: {:?}", rig.status());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.cancel();
    while let Some(ended) = load.join_next().await {
        ended.unwrap_or_else(|wrong| panic!("{cell}: {wrong}"));
    }
    let status = rig.status();
    assert!(status.calls_failed >= 5, "{cell}: {status:?}");
    assert!(status.last_error.is_some(), "{cell}: {status:?}");

    match fault {
        None => rig.issuer.accept(),
        Some(_) => rig.issuer.heal(),
    }
    until(&rig, cell, "good", Said::Allow).await;
    until(&rig, cell, "revoked", Said::Deny(DenyReason::TokenInactive)).await;
    assert_eq!(rig.status().circuit, Circuit::Closed, "{cell}");
}

/// Whatever happens to the endpoint is an outage of the endpoint's.
fn expect_outage(cell: &str, said: Said) {
    let is_outage = matches!(
        said,
        Said::Unavailable(
            OutageReason::IntrospectionTimeout
                | OutageReason::IntrospectionRefused
                | OutageReason::IntrospectionUnreachable
                | OutageReason::IntrospectionFailed
                | OutageReason::IntrospectionUnreadable
                | OutageReason::IntrospectionCircuitOpen
                | OutageReason::IntrospectionBusy
        )
    );
    assert!(is_outage, "{cell}: {said:?}");
}

/// Asks until the verdict is as wanted; nothing but outages may come before.
async fn until(rig: &Rig, cell: &str, token: &str, wanted: Said) {
    let begun = Instant::now();
    loop {
        let said = rig.ask(token, OnOutage::Unavailable).await;
        if said == wanted {
            return;
        }
        expect_outage(cell, said);
        assert!(begun.elapsed() < PATIENCE, "{cell}: {:?}", rig.status());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn settings(issuer: &Issuer) -> IssuerSettings {
    IssuerSettings {
        rules: Arc::new(TokenRules {
            issuer: issuer.url().as_str().into(),
            profile: Profile::Generic,
            algorithms: AlgorithmSet::asymmetric(),
            audiences: Audiences::Any,
            clock_skew: Duration::from_secs(30),
            token_type: TokenType::Lenient,
            required_claims: Vec::new(),
            roles_claim: ClaimPath::parse("roles").expect("a path"),
        }),
        keys: KeySource::None,
        optional: false,
        refresh: RefreshSettings::default(),
        http: HttpSettings::default(),
        introspection: Some(IntrospectionSettings {
            url: Url::parse(&issuer.introspection_url()).expect("a URL"),
            protocol: Protocol::Rfc7662(ClientAuth::Bearer("secret".into())),
            mode: Mode::ByRule,
            cache: CACHE,
            cache_inactive: CACHE,
            timeout: TIMEOUT,
            max_concurrent: 16,
            cache_size: 1024 * 1024,
            longest_fallback: PATIENCE * 2,
            given: None,
        }),
        opaque: Opaque::Rest,
    }
}
