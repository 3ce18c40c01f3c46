//! Asking an issuer whether a token is active, at the price of a lookup for all who ask again.
//!
//! | What happens | What a request gets |
//! |---|---|
//! | an answer younger than `cache` | its verdict, at once; shortly before that age it is asked for again in the background |
//! | no such answer | a wait for one call, shared by all who hold the same token |
//! | `cache: 0s` | a call of its own |
//! | the endpoint says "not active" | Deny |
//! | the endpoint is slow, broken, refuses us, or talks nonsense | Unavailable, or the last answer where the rule allows one so old |
//! | it did so five times in a row | the same, at once; one call tries whether it is back |
//!
//! No answer is believed past the `exp` of its token. Whoever stops waiting cancels nothing: calls belong to no request.
//! The rooms: `endpoint` is one call, `signed` an answer that is a JWT, `memory` what is remembered, `plan` what that is worth, `breaker` when the endpoint is left alone.

mod breaker;
mod endpoint;
mod failure;
mod given;
mod memory;
mod plan;
pub mod settings;
mod signed;
mod status;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secrecy::SecretString;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::cache::KeyCache;
use super::client::ClientIdentity;
use super::digest::TokenDigest;
use super::settings::PlainHttp;
use crate::domain::claims::{Principal, TokenRules, UnixTime};
use crate::domain::credential::BearerToken;
use crate::domain::introspection::{Active, Answer};
use crate::domain::policy::OnOutage;
use crate::domain::reason::{DenyReason, Refusal};
pub use breaker::Circuit;
use breaker::{Admission, Breaker};
use endpoint::Endpoint;
use failure::Failure;
use memory::{Known, Memory};
use plan::{Lifetimes, Use, may_stand_in};
use settings::{IntrospectionSettings, Mode, Protocol};
pub(super) use signed::Signer;
use status::Counts;
pub use status::IntrospectionStatus;

/// What a token is known to be before its issuer is asked.
#[derive(Debug, Clone)]
pub(super) enum Subject {
    /// A JWT that verified.
    Verified(Arc<Principal>),
    /// Nothing: an opaque token of an issuer with these rules.
    Opaque(Arc<TokenRules>),
}

/// A token, and what is to be learned about it.
#[derive(Debug)]
struct Question<'t> {
    token: BearerToken<'t>,
    digest: TokenDigest,
    subject: Subject,
    /// When it is asked.
    now: UnixTime,
}

/// One issuer's introspection endpoint, with what is remembered of its answers.
#[derive(Debug, Clone)]
pub(super) struct Introspector(Arc<Shared>);

/// What must be equal for a reload to keep what was remembered.
#[derive(Debug)]
struct Origin {
    settings: Vec<u8>,
    rules: Arc<TokenRules>,
    client: ClientIdentity,
    /// The keys that sign the answers, where they are signed: nobody keeps others fresh.
    keys: Option<Arc<KeyCache>>,
}

#[derive(Debug)]
struct Shared {
    origin: Origin,
    endpoint: Endpoint,
    mode: Mode,
    lifetimes: Lifetimes,
    timeout: Duration,
    memory: Memory,
    flights: Mutex<HashMap<TokenDigest, Landing>>,
    /// How many calls are under way or wait for their turn.
    in_flight: AtomicUsize,
    most_in_flight: usize,
    turns: Semaphore,
    breaker: Mutex<Breaker>,
    counts: Counts,
    last_error: Mutex<Option<&'static str>>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

/// Where a call's result arrives; `None` until then, closed without one if the call panicked.
type Landing = watch::Receiver<Option<Result<Known, Failure>>>;

/// What an endpoint is asked with.
#[derive(Debug)]
pub(super) struct Means<'m> {
    pub signer: Signer,
    pub identity: ClientIdentity,
    pub client: reqwest::Client,
    pub plain_http: PlainHttp,
    pub tasks: &'m TaskTracker,
    pub shutdown: &'m CancellationToken,
}

impl Introspector {
    /// How many calls may wait for a turn for each that is under way: at the stated timeout, more
    /// than this would only wait to fail.
    const QUEUE: usize = 16;

    /// How long answers of no further use may stay, where the settings forget at once.
    const SHORTEST_MEMORY: Duration = Duration::from_secs(1);

    /// What asked `before` if nothing about it changed, else a new one that remembers nothing.
    pub(super) fn new(
        settings: IntrospectionSettings,
        before: Option<&Self>,
        means: Means<'_>,
    ) -> Self {
        let origin = Origin {
            settings: settings.fingerprint(),
            rules: Arc::clone(&means.signer.rules),
            client: means.identity,
            keys: matches!(settings.protocol, Protocol::Rfc9701 { .. })
                .then(|| Arc::clone(&means.signer.keys)),
        };
        if let Some(before) = before.filter(|before| before.0.origin.is_same(&origin)) {
            return before.clone();
        }
        let lifetimes = Lifetimes::new(&settings);
        let longest = settings
            .cache
            .max(settings.cache_inactive)
            .max(settings.longest_fallback)
            .max(Self::SHORTEST_MEMORY);
        Self(Arc::new(Shared {
            origin,
            endpoint: Endpoint {
                client: means.client,
                url: settings.url,
                plain_http: means.plain_http,
                protocol: settings.protocol,
                signer: means.signer,
                given: settings.given,
            },
            mode: settings.mode,
            lifetimes,
            timeout: settings.timeout,
            memory: Memory::new(settings.cache_size, longest),
            flights: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            most_in_flight: settings.max_concurrent.saturating_mul(Self::QUEUE),
            turns: Semaphore::new(settings.max_concurrent),
            // A probe that has not come back after two timeouts never will.
            breaker: Mutex::new(Breaker::new(settings.timeout * 2)),
            counts: Counts::default(),
            last_error: Mutex::default(),
            tasks: means.tasks.clone(),
            shutdown: means.shutdown.clone(),
        }))
    }

    /// Asks once about a token, past everything that is remembered or counted; a text says why there is no answer.
    pub(super) async fn try_once(&self, token: &SecretString) -> Result<Answer, String> {
        let asked = timeout(self.0.timeout, self.0.endpoint.ask(token));
        let answer = asked.await.unwrap_or(Err(Failure::Timeout));
        answer.map_err(|failure| failure.to_string())
    }

    /// Which tokens the issuer is asked about.
    pub(super) fn mode(&self) -> Mode {
        self.0.mode
    }

    /// How many seconds ago the issuer was asked about a token, as far as that is remembered.
    pub(super) fn answered_ago(&self, digest: TokenDigest) -> Option<u64> {
        let known = self.0.memory.get(&digest)?;
        Some(known.age().as_secs())
    }

    /// The principal as its issuer knows it now; the digest is the token's.
    ///
    /// # Errors
    /// What the issuer's answer makes of the token, or why there is none.
    pub(super) async fn introspect(
        &self,
        token: BearerToken<'_>,
        digest: TokenDigest,
        subject: Subject,
        on_outage: OnOutage,
        now: UnixTime,
    ) -> Result<Arc<Principal>, Refusal> {
        let shared = &self.0;
        let question = Question {
            token,
            digest,
            subject,
            now,
        };
        let known = shared.memory.get(&digest);
        if let Some(known) = &known
            && let Some(outcome) = shared.serve(known, &question)
        {
            return outcome;
        }
        let failure = match shared.ask(&question).await {
            Ok(known) => return Ok(known.outcome?),
            Err(failure) => failure,
        };
        // What was known before the call, or came meanwhile.
        let known = shared.memory.get(&digest).or(known);
        match known {
            Some(known) if may_stand_in(on_outage, known.age()) && known.is_of_use(now) => {
                shared.counts.stood_in.fetch_add(1, Ordering::Relaxed);
                Ok(known.outcome?)
            }
            Some(_) | None => Err(Refusal::Unavailable(failure.outage())),
        }
    }
}

impl Shared {
    /// The verdict of a remembered answer, if it is still believed.
    fn serve(
        self: &Arc<Self>,
        known: &Known,
        question: &Question<'_>,
    ) -> Option<Result<Arc<Principal>, Refusal>> {
        let worth = self.lifetimes.judge(known.said(), known.age());
        if worth == Use::Ask || !known.is_of_use(question.now) {
            return None;
        }
        if worth == Use::ServeAndRefresh {
            // Nobody waits: where there is no turn to be had, the next request tries again.
            if self.turns.available_permits() > 0 {
                let _landing = self.join(question);
            }
        }
        self.counts.served.fetch_add(1, Ordering::Relaxed);
        Some(known.outcome.clone().map_err(Refusal::from))
    }

    /// Waits for a call: one that is under way for the same token, or a new one.
    async fn ask(self: &Arc<Self>, question: &Question<'_>) -> Result<Known, Failure> {
        let mut landing = if self.lifetimes.is_shared() {
            self.join(question)?
        } else {
            self.take_off(question)?.1
        };
        match landing.wait_for(Option::is_some).await {
            Ok(result) => result.clone().unwrap_or(Err(Failure::Internal)),
            Err(_panicked) => Err(Failure::Internal),
        }
    }

    /// The call that is under way for the token; starts it if there is none.
    fn join(self: &Arc<Self>, question: &Question<'_>) -> Result<Landing, Failure> {
        let mut flights = locked(&self.flights);
        if let Some(landing) = flights.get(&question.digest) {
            return Ok(landing.clone());
        }
        let (flight, landing) = self.take_off(question)?;
        // Its task needs this lock to remove the entry, so it cannot have done so yet.
        if flight == Flight::UnderWay {
            flights.insert(question.digest, landing.clone());
        }
        Ok(landing)
    }

    /// Starts a call that belongs to nobody.
    fn take_off(self: &Arc<Self>, question: &Question<'_>) -> Result<(Flight, Landing), Failure> {
        // One that landed since we looked has told the memory before it left the flights.
        if self.lifetimes.is_shared()
            && let Some(known) = self.memory.get(&question.digest)
            && self.lifetimes.judge(known.said(), known.age()) == Use::Serve
            && known.is_of_use(question.now)
        {
            return Ok((Flight::Landed, watch::channel(Some(Ok(known))).1));
        }
        let mut place = Place::take(self).ok_or(Failure::Busy)?;
        place.digest = self.lifetimes.is_shared().then_some(question.digest);
        let (result, landing) = watch::channel(None);
        let token = SecretString::from(question.token.expose());
        let (digest, subject) = (question.digest, question.subject.clone());
        self.tasks.spawn(async move {
            let shared = &place.shared;
            let call = shared.call(&token, digest, subject);
            let outcome = shared.shutdown.run_until_cancelled(call).await;
            drop(place);
            result.send_replace(Some(outcome.unwrap_or(Err(Failure::Internal))));
        });
        Ok((Flight::UnderWay, landing))
    }

    /// One call, within its limits; what it brings is remembered.
    async fn call(
        &self,
        token: &SecretString,
        digest: TokenDigest,
        subject: Subject,
    ) -> Result<Known, Failure> {
        // From before the call: what the issuer does meanwhile may not be in its answer.
        let at = Instant::now();
        let deadline = at + self.timeout;
        // Half of the time is the call's own: an endpoint is not blamed for our queue.
        let turn = timeout_at(at + self.timeout / 2, self.turns.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            return Err(Failure::Busy);
        };
        match locked(&self.breaker).admit(Instant::now()) {
            Admission::Call => {}
            Admission::Rejected(wait) => return Err(Failure::CircuitOpen { wait }),
        }
        let answer = timeout_at(deadline, self.endpoint.ask(token)).await;
        let answer = answer.unwrap_or(Err(Failure::Timeout));
        self.note(answer.as_ref());
        let outcome = match answer? {
            Answer::Inactive => Err(DenyReason::TokenInactive),
            Answer::Active(active) => subject.become_principal(active, self.endpoint.signer.now()),
        };
        let known = Known {
            outcome: outcome.map(Arc::new),
            at,
        };
        self.memory.put(digest, known.clone());
        Ok(known)
    }
}

/// Whether a call is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flight {
    UnderWay,
    Landed,
}

/// A place among the calls: given back whatever becomes of the call, a panic included.
#[derive(Debug)]
struct Place {
    shared: Arc<Shared>,
    /// Where others find the call.
    digest: Option<TokenDigest>,
}

impl Place {
    fn take(shared: &Arc<Shared>) -> Option<Self> {
        let taken = shared.in_flight.fetch_add(1, Ordering::AcqRel);
        let place = Self {
            shared: Arc::clone(shared),
            digest: None,
        };
        (taken < shared.most_in_flight).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(digest) = &self.digest {
            locked(&self.shared.flights).remove(digest);
        }
        self.shared.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Known {
    /// Whether the token it is about still lives, without the tolerance: what is remembered does
    /// not outlive `exp`; a fresh answer must say that the issuer sees it otherwise.
    fn is_of_use(&self, now: UnixTime) -> bool {
        match &self.outcome {
            Ok(principal) => now < principal.expires_at() && principal.check_alive(now).is_ok(),
            Err(_) => true,
        }
    }
}

impl Origin {
    fn is_same(&self, other: &Self) -> bool {
        let same_keys = match (&self.keys, &other.keys) {
            (Some(own), Some(others)) => Arc::ptr_eq(own, others),
            (None, None) => true,
            (None, Some(_)) | (Some(_), None) => false,
        };
        same_keys
            && self.settings == other.settings
            && self.rules == other.rules
            && self.client == other.client
    }
}

impl Subject {
    /// What the issuer's answer makes of the token.
    fn become_principal(self, active: Active, now: UnixTime) -> Result<Principal, DenyReason> {
        match self {
            Self::Verified(principal) => active.renew(&principal, now),
            Self::Opaque(rules) => active.principal(&rules, now),
        }
    }
}

/// A lock whose holder panicked guards plain values: they are as good as before.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
