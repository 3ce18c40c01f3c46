//! An issuer's outage is never our outage: the real verifier against an issuer that fails on demand.
//!
//! Lifetimes are fractions of a second here and hours in production; nothing else differs. No test
//! sleeps for luck: each waits for a request to arrive or for a state to be reached, and fails loudly
//! when it never is.

mod flood;
mod matrix;
mod outage;
mod protocol;
mod scale;
mod snapshot;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use gatefort::domain::algorithm::AlgorithmSet;
use gatefort::domain::claims::{Audiences, ClaimPath, Profile, TokenRules, TokenType, UnixTime};
use gatefort::domain::credential::BearerToken;
use gatefort::domain::reason::{DenyReason, OutageReason, Refusal};
use gatefort::verify::clock::SystemClock;
use gatefort::verify::settings::{HttpSettings, IssuerSettings, KeySource, RefreshSettings};
use gatefort::verify::{IssuerStatus, KeyState, Verifier};
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use crate::support::issuer::Issuer;
use crate::support::tokens::{self, AUDIENCE, TestKey};

/// The longest that a test waits for a state; only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often a state is looked at while it is waited for.
const LOOK: Duration = Duration::from_millis(5);

/// How long an exchange may take where issuers hang, so that nobody waits five seconds for each;
/// on a busy machine a healthy exchange may take as long and fail, and no test may mind.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The stated bound on asking an issuer: this many times at once ...
const FETCH_BURST: u32 = 4;
/// ... and then once in this time.
const FETCH_INTERVAL: Duration = Duration::from_millis(750);

/// The stated backoff: the first retry comes within this time, each later one within twice the one before ...
const BACKOFF_START: Duration = Duration::from_millis(500);
/// ... but never later than this.
const BACKOFF_CAP: Duration = Duration::from_secs(10);

/// A verifier at work.
struct Rig {
    verifier: Arc<Verifier>,
    /// Ends its background tasks.
    _shutdown: DropGuard,
}

/// What verification said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Allow,
    Deny(DenyReason),
    Unavailable(OutageReason),
}

impl Rig {
    fn start(issuers: Vec<IssuerSettings>) -> Self {
        let shutdown = CancellationToken::new();
        let verifier = Verifier::start(issuers, 16 * 1024, Arc::new(SystemClock), &shutdown)
            .expect("the settings are sound");
        Self {
            verifier: Arc::new(verifier),
            _shutdown: shutdown.drop_guard(),
        }
    }

    /// Starts with one issuer and waits for its keys.
    async fn start_fresh(settings: IssuerSettings) -> Self {
        let rig = Self::start(vec![settings]);
        rig.reach(KeyState::Fresh).await;
        rig
    }

    async fn verify(&self, token: &str) -> Said {
        verify(&self.verifier, token).await
    }

    /// The first issuer's status.
    fn status(&self) -> IssuerStatus {
        self.verifier.status().swap_remove(0)
    }

    /// Waits until the first issuer is in this state; how long that took.
    async fn reach(&self, state: KeyState) -> Duration {
        self.until(&format!("{state:?}"), |status| status.state == state)
            .await
    }

    /// Waits until the first issuer's status is as wanted; how long that took.
    async fn until(&self, what: &str, wanted: impl Fn(&IssuerStatus) -> bool) -> Duration {
        let since = Instant::now();
        while !wanted(&self.status()) {
            assert!(
                since.elapsed() < PATIENCE,
                "never {what}: {:?}",
                self.status()
            );
            tokio::time::sleep(LOOK).await;
        }
        since.elapsed()
    }

    /// Asks again and again until a token is allowed; how long that took. Nothing but Unavailable may come before.
    async fn until_allowed(&self, token: &str) -> Duration {
        let since = Instant::now();
        loop {
            match self.verify(token).await {
                Said::Allow => return since.elapsed(),
                Said::Unavailable(_) => {}
                Said::Deny(reason) => panic!("denied a good token: {reason:?}"),
            }
            assert!(since.elapsed() < PATIENCE, "never: {:?}", self.status());
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// How often an issuer may have been asked within this time, whatever happened.
fn fetches_within(elapsed: Duration) -> usize {
    let refilled = elapsed.as_millis() / FETCH_INTERVAL.as_millis();
    usize::try_from(refilled).expect("a test is short") + FETCH_BURST as usize
}

/// How long recovery may take after this many failures in a row: one backoff step, one exchange
/// that was under way when the issuer came back, and a busy machine's delays.
fn recovery_within(failures: u64) -> Duration {
    let doublings = u32::try_from(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    let step = BACKOFF_START
        .saturating_mul(2_u32.saturating_pow(doublings))
        .min(BACKOFF_CAP);
    step + TIMEOUT + Duration::from_secs(2)
}

async fn verify(verifier: &Verifier, token: &str) -> Said {
    let now = UnixTime(tokens::now());
    match verifier.verify(BearerToken::new(token), now).await.outcome {
        Ok(_) => Said::Allow,
        Err(Refusal::Deny(denial)) => Said::Deny(denial.reason),
        Err(Refusal::Unavailable(outage)) => Said::Unavailable(outage.reason),
    }
}

/// An issuer found by its `jwks_url`.
fn by_jwks_url(issuer: &Issuer, refresh: RefreshSettings) -> IssuerSettings {
    let url = Url::parse(&issuer.jwks_url()).expect("a URL");
    settings(&issuer.url(), KeySource::Url(url), refresh)
}

/// An issuer found by discovery.
fn by_discovery(issuer: &Issuer, refresh: RefreshSettings) -> IssuerSettings {
    let url = Url::parse(&issuer.url()).expect("a URL");
    settings(&issuer.url(), KeySource::Discovery(url), refresh)
}

fn settings(iss: &str, keys: KeySource, refresh: RefreshSettings) -> IssuerSettings {
    IssuerSettings {
        rules: Arc::new(TokenRules {
            issuer: iss.into(),
            profile: Profile::Generic,
            algorithms: AlgorithmSet::asymmetric(),
            audiences: Audiences::OneOf(vec![AUDIENCE.into()]),
            clock_skew: Duration::from_secs(30),
            token_type: TokenType::Lenient,
            required_claims: Vec::new(),
            roles_claim: ClaimPath::parse("roles").expect("a path"),
        }),
        keys,
        optional: false,
        refresh,
        http: HttpSettings::default(),
    }
}

/// The same issuer, given up after [`TIMEOUT`].
fn impatient(settings: IssuerSettings) -> IssuerSettings {
    IssuerSettings {
        http: HttpSettings {
            connect_timeout: TIMEOUT,
            timeout: TIMEOUT,
            ..settings.http
        },
        ..settings
    }
}

/// Keys that stay fresh for longer than any test runs.
fn long_lived() -> RefreshSettings {
    RefreshSettings {
        min_lifetime: Duration::from_secs(300),
        max_lifetime: Duration::from_secs(600),
        ..RefreshSettings::default()
    }
}

/// Keys that are refreshed after this lifetime whatever the issuer says, and used up to `max_stale`.
fn short_lived(lifetime: Duration, max_stale: Duration) -> RefreshSettings {
    RefreshSettings {
        min_lifetime: lifetime,
        max_lifetime: lifetime,
        max_stale,
        ..RefreshSettings::default()
    }
}

/// A good token of this issuer by this key.
fn good_token(issuer: &Issuer, key: &TestKey) -> String {
    token_of(&issuer.url(), key)
}

/// A good token of the issuer of this name.
fn token_of(iss: &str, key: &TestKey) -> String {
    key.mint(&tokens::claims_with("ann", json!({"iss": iss})))
}

/// A token as good as an attacker can make it: right in everything but its key, which nobody has.
fn junk_token(issuer: &Issuer) -> String {
    let kid = tokens::base64url(&tokens::random_bytes::<12>());
    let header = json!({"alg": "ES256", "typ": "JWT", "kid": kid});
    let claims = tokens::claims_with("mallory", json!({"iss": issuer.url()}));
    tokens::compact(
        header.to_string().as_bytes(),
        claims.to_string().as_bytes(),
        &tokens::random_bytes::<64>(),
    )
}
