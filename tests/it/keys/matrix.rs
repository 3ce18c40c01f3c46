//! The matrix: every fault at every moment, with the verdict, the state, the number of fetches and the
//! time of recovery of each cell.
//!
//! The cells of one moment run side by side, each with an issuer and a verifier of its own.

use std::future::Future;
use std::time::Duration;

use gatefort::domain::reason::OutageReason;
use gatefort::verify::KeyState;
use gatefort::verify::settings::{IssuerSettings, RefreshSettings};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Rig, Said, by_discovery, by_jwks_url, fetches_within, good_token, impatient, long_lived,
    recovery_within, short_lived,
};
use crate::support::issuer::{Canary, Endpoint, Fault, Issuer};
use crate::support::tokens::{self, TestKey};

/// How long keys are believed where they must expire during the test: a refresh comes ahead of it,
/// and still no oftener than an issuer may be asked.
const LIFETIME: Duration = Duration::from_secs(1);

/// Long enough for a failed refresh to have been tried more than once.
const MAX_STALE: Duration = Duration::from_secs(3);

/// A way to fail, and where.
#[derive(Debug, Clone)]
struct Failure {
    name: &'static str,
    endpoint: Endpoint,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    /// Connections are refused.
    Refused,
    /// The endpoint does this.
    Does(Fault),
    /// The discovery document is another issuer's.
    Lies,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_start() {
    let failures = [Failure::of_keys(), Failure::of_discovery()].concat();
    each(failures, |failure, cell| async move {
        let key = TestKey::es256("before-start");
        let issuer = Issuer::start([&key]).await;
        failure.begin(&issuer).await;
        let begun = Instant::now();
        let rig = Rig::start(vec![failure.settings(&issuer, long_lived())]);
        let token = good_token(&issuer, &key);

        // Start-up does not wait; the request waits for the first fetch, and cannot tell.
        assert_eq!(
            rig.verify(&token).await,
            Said::Unavailable(OutageReason::KeysUnavailable),
            "{cell}"
        );
        assert_eq!(rig.status().state, KeyState::Blind, "{cell}");
        assert!(!rig.verifier.is_ready(), "{cell}");
        rig.until(&format!("{cell}: failed"), |status| {
            status.refreshes_failed > 0
        })
        .await;
        let status = rig.status();
        assert_eq!(status.refreshes_ok, 0, "{cell}");
        assert!(status.last_error.is_some(), "{cell}: {status:?}");
        assert!(
            issuer.count(failure.endpoint) <= fetches_within(begun.elapsed()),
            "{cell}: {} fetches in {:?}",
            issuer.count(failure.endpoint),
            begun.elapsed()
        );

        failure.end(&issuer);
        let bound = recovery_within(rig.status().refreshes_failed);
        let took = rig.until_allowed(&token).await;
        assert!(
            took < bound,
            "{cell}: recovered after {took:?}, not {bound:?}"
        );
        assert_eq!(rig.status().state, KeyState::Fresh, "{cell}");
        assert!(rig.verifier.is_ready(), "{cell}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_fresh() {
    each(Failure::of_keys(), |failure, cell| async move {
        let key = TestKey::es256("while-fresh");
        let issuer = Issuer::start([&key]).await;
        let rig = Rig::start_fresh(failure.settings(&issuer, long_lived())).await;
        failure.begin(&issuer).await;
        let (asked, failed) = (issuer.count(Endpoint::Jwks), rig.status().refreshes_failed);

        for _ in 0..100 {
            let said = rig.verify(&good_token(&issuer, &key)).await;
            assert_eq!(said, Said::Allow, "{cell}");
        }
        // The keys are fresh: the issuer is not asked at all, so that its fault is not even noticed.
        assert_eq!(issuer.count(Endpoint::Jwks), asked, "{cell}");
        assert_eq!(rig.status().state, KeyState::Fresh, "{cell}");
        assert_eq!(rig.status().refreshes_failed, failed, "{cell}");
        assert!(rig.verifier.is_ready(), "{cell}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_rotation() {
    each(Failure::of_keys(), |failure, cell| async move {
        let (old, new) = (TestKey::es256("old"), TestKey::es256("new"));
        let issuer = Issuer::start([&old]).await;
        let rig = Rig::start_fresh(failure.settings(&issuer, long_lived())).await;
        issuer.publish([&new, &old]);
        failure.begin(&issuer).await;
        let begun = Instant::now();
        let asked = issuer.count(failure.endpoint);
        let failed = rig.status().refreshes_failed;

        // While the issuer cannot be asked about the new key, nobody can say that it is junk.
        let (new_token, old_token) = (good_token(&issuer, &new), good_token(&issuer, &old));
        assert_eq!(
            rig.verify(&new_token).await,
            Said::Unavailable(OutageReason::KidUndetermined),
            "{cell}"
        );
        assert_eq!(rig.verify(&old_token).await, Said::Allow, "{cell}");
        rig.until(&format!("{cell}: failed"), |status| {
            status.refreshes_failed > failed
        })
        .await;
        assert_eq!(rig.status().state, KeyState::Fresh, "{cell}");
        let fetches = issuer.count(failure.endpoint) - asked;
        assert!(
            fetches <= fetches_within(begun.elapsed()),
            "{cell}: {fetches} fetches in {:?}",
            begun.elapsed()
        );

        failure.end(&issuer);
        let bound = recovery_within(rig.status().refreshes_failed);
        let took = rig.until_allowed(&new_token).await;
        assert!(
            took < bound,
            "{cell}: recovered after {took:?}, not {bound:?}"
        );
        assert_eq!(rig.verify(&old_token).await, Said::Allow, "{cell}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_expiry() {
    each(Failure::of_keys(), |failure, cell| async move {
        let key = TestKey::es256("at-expiry");
        let issuer = Issuer::start([&key]).await;
        let rig =
            Rig::start_fresh(failure.settings(&issuer, short_lived(LIFETIME, MAX_STALE))).await;
        let token = good_token(&issuer, &key);
        failure.begin(&issuer).await;
        let begun = Instant::now();
        let asked = issuer.count(failure.endpoint);

        rig.reach(KeyState::Stale).await;
        assert_eq!(
            rig.verify(&token).await,
            Said::Allow,
            "{cell}: stale keys work"
        );
        assert!(rig.verifier.is_ready(), "{cell}: stale keys are keys");

        rig.reach(KeyState::Blind).await;
        assert_eq!(
            rig.verify(&token).await,
            Said::Unavailable(OutageReason::KeysUnavailable),
            "{cell}: beyond max_stale"
        );
        assert!(!rig.verifier.is_ready(), "{cell}");
        let fetches = issuer.count(failure.endpoint) - asked;
        assert!(
            fetches <= fetches_within(begun.elapsed()),
            "{cell}: {fetches} fetches in {:?}",
            begun.elapsed()
        );

        failure.end(&issuer);
        let bound = recovery_within(rig.status().refreshes_failed);
        let took = rig.until_allowed(&token).await;
        assert!(
            took < bound,
            "{cell}: recovered after {took:?}, not {bound:?}"
        );
        assert!(rig.verifier.is_ready(), "{cell}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load() {
    each(Failure::of_keys(), |failure, cell| async move {
        let (old, new) = (TestKey::es256("old"), TestKey::es256("new"));
        let issuer = Issuer::start([&old]).await;
        let refresh = short_lived(LIFETIME, Duration::from_secs(300));
        let rig = Rig::start_fresh(failure.settings(&issuer, refresh)).await;
        let token = good_token(&issuer, &old);
        let verifier = rig.verifier.clone();
        let stop = CancellationToken::new();
        let load = tokio::spawn({
            let stop = stop.clone();
            async move {
                let mut verdicts = 0_u32;
                while !stop.is_cancelled() {
                    assert_eq!(super::verify(&verifier, &token).await, Said::Allow);
                    verdicts += 1;
                    // Leaves the processor to the other cells.
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                verdicts
            }
        });

        failure.begin(&issuer).await;
        let begun = Instant::now();
        let asked = issuer.count(failure.endpoint);
        let failed = rig.status().refreshes_failed;
        rig.until(&format!("{cell}: failed twice"), |status| {
            status.refreshes_failed > failed + 1
        })
        .await;
        let fetches = issuer.count(failure.endpoint) - asked;
        assert!(
            fetches <= fetches_within(begun.elapsed()),
            "{cell}: {fetches} fetches in {:?}",
            begun.elapsed()
        );
        issuer.publish([&new, &old]);
        failure.end(&issuer);
        let bound = recovery_within(rig.status().refreshes_failed);
        let took = rig.until_allowed(&good_token(&issuer, &new)).await;
        assert!(
            took < bound,
            "{cell}: recovered after {took:?}, not {bound:?}"
        );
        stop.cancel();
        let verdicts = load.await.unwrap_or_else(|wrong| panic!("{cell}: {wrong}"));
        assert!(verdicts > 0, "{cell}: no load");
    })
    .await;
}

/// A redirect is a failed refresh, and where it points is never called.
#[tokio::test]
async fn a_redirect_is_never_followed() {
    let key = TestKey::es256("redirect");
    let other = TestKey::es256("elsewhere");
    let canary = Canary::start(&other).await;
    let issuer = Issuer::start([&key]).await;
    let rig = Rig::start_fresh(by_jwks_url(&issuer, long_lived())).await;
    for location in [canary.url(), issuer.jwks_url(), "/jwks".to_owned()] {
        issuer.fail(Endpoint::Jwks, Fault::Redirect(location));
        let failed = rig.status().refreshes_failed;
        rig.verify(&good_token(&issuer, &other)).await;
        if rig.status().refreshes_failed == failed {
            // The refresh that the unknown key asked for may have to wait its turn.
            rig.until("refused", |status| status.refreshes_failed > failed)
                .await;
        }
        assert_ne!(rig.verify(&good_token(&issuer, &other)).await, Said::Allow);
        assert_eq!(rig.verify(&good_token(&issuer, &key)).await, Said::Allow);
    }
    assert_eq!(canary.hits(), 0);
}

/// What a token says about where its key is (RFC 7515 §4.1.2 to §4.1.6) is not even looked at.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_token_points_at_is_never_called() {
    let (key, own) = (TestKey::es256("issuers"), TestKey::es256("callers"));
    let canary = Canary::start(&own).await;
    let issuer = Issuer::start([&key]).await;
    let rig = Rig::start_fresh(by_jwks_url(&issuer, long_lived())).await;
    let claims = tokens::claims_with("ann", json!({"iss": issuer.url()}));
    for pointer in [
        json!({"jku": canary.url()}),
        json!({"x5u": canary.url()}),
        json!({"jwk": own.jwk()}),
        json!({"jku": canary.url(), "x5u": canary.url(), "jwk": own.jwk(), "kid": null}),
        // The issuer's own id, so that its own key is what must fail.
        json!({"jku": canary.url(), "kid": "issuers"}),
    ] {
        let token = own.sign(&own.header_with(pointer.clone()), &claims);
        assert_ne!(rig.verify(&token).await, Said::Allow, "{pointer}");
    }
    let token = key.sign(&key.header_with(json!({"jku": canary.url()})), &claims);
    assert_eq!(rig.verify(&token).await, Said::Allow, "by the issuer's key");
    assert_eq!(canary.hits(), 0);
}

impl Failure {
    /// Every failure that keeps the key document from being had.
    fn of_keys() -> Vec<Self> {
        let key = TestKey::es256("in-the-document");
        let keys = |keys: Vec<Value>| Fault::Document(json!({ "keys": keys }));
        let documents = vec![
            ("no keys", keys(vec![])),
            ("keys: null", Fault::Document(json!({"keys": null}))),
            ("keys: object", Fault::Document(json!({"keys": {}}))),
            (
                "only non-objects",
                keys(vec![json!(1), json!("key"), json!(null)]),
            ),
            (
                "only unsupported",
                keys(vec![json!({"kty": "XYZ", "kid": "in-the-document"})]),
            ),
            (
                "only use: enc",
                keys(vec![key.jwk_with(json!({"use": "enc"}))]),
            ),
            (
                "only 1024-bit RSA",
                keys(vec![tokens::weak_rsa_jwk("in-the-document")]),
            ),
            (
                "only symmetric",
                keys(vec![
                    json!({"kty": "oct", "kid": "in-the-document", "k": "AAAA"}),
                ]),
            ),
            ("over 500 keys", keys(vec![key.jwk(); 501])),
        ];
        let mut failures = Self::of_transport(Endpoint::Jwks);
        failures.extend(documents.into_iter().map(|(name, fault)| Self {
            name,
            endpoint: Endpoint::Jwks,
            kind: Kind::Does(fault),
        }));
        failures
    }

    /// Every failure that keeps the discovery document from being had, or makes it a lie.
    fn of_discovery() -> Vec<Self> {
        let mut failures = Self::of_transport(Endpoint::Discovery);
        failures.push(Self {
            name: "lies about its issuer",
            endpoint: Endpoint::Discovery,
            kind: Kind::Lies,
        });
        failures
    }

    /// Refused connections, and what is done to any answer.
    fn of_transport(endpoint: Endpoint) -> Vec<Self> {
        let refused = Self {
            name: "refused",
            endpoint,
            kind: Kind::Refused,
        };
        std::iter::once(refused)
            .chain(Fault::of_transport().into_iter().map(|(name, fault)| Self {
                name,
                endpoint,
                kind: Kind::Does(fault),
            }))
            .collect()
    }

    /// An issuer whose discovery fails must be found by discovery.
    fn settings(&self, issuer: &Issuer, refresh: RefreshSettings) -> IssuerSettings {
        match self.endpoint {
            Endpoint::Discovery => impatient(by_discovery(issuer, refresh)),
            Endpoint::AuthorizationServer
            | Endpoint::Jwks
            | Endpoint::Introspection
            | Endpoint::Other => impatient(by_jwks_url(issuer, refresh)),
        }
    }

    async fn begin(&self, issuer: &Issuer) {
        match &self.kind {
            Kind::Refused => issuer.refuse().await,
            Kind::Does(fault) => issuer.fail(self.endpoint, fault.clone()),
            Kind::Lies => issuer.claim_to_be("https://impostor.test"),
        }
    }

    fn end(&self, issuer: &Issuer) {
        match &self.kind {
            Kind::Refused => issuer.accept(),
            Kind::Does(_) => issuer.heal(),
            Kind::Lies => issuer.claim_to_be(&issuer.url()),
        }
    }
}

/// Runs one moment's cells side by side; every cell that fails is named.
async fn each<F>(failures: Vec<Failure>, cell: impl Fn(Failure, String) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut cells = JoinSet::new();
    for failure in failures {
        let name = format!("{} at {:?}", failure.name, failure.endpoint);
        cells.spawn(cell(failure, name));
    }
    let mut failed = 0;
    while let Some(ended) = cells.join_next().await {
        failed += usize::from(ended.is_err());
    }
    assert_eq!(failed, 0, "cells failed; their messages are above");
}
