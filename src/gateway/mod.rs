//! The doors: each reads its gateway's wire into a `RequestContext` and writes a `Verdict` back.
//!
//! A door is the route that the operator configured, never a guess from what a request looks like.
//! No path answers 2xx except with a verdict: to an HTTP gateway any 2xx means "pass".

mod auth_request;
mod body;
mod call;
mod challenge;
mod envoy_grpc;
mod ext_authz;
mod forward_auth;
mod http_answer;
mod originals;
mod places;
mod problem;
mod rejection;
mod request_id;
mod service;
mod stripping;
#[cfg(test)]
pub(crate) mod testing;

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use http::HeaderMap;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::authorizer::{Authorizer, Decision, Verdict};
use crate::domain::credential::TokenSource;
use crate::domain::identity::IdentityHeaders;
use crate::domain::reason::{DenyReason, OutageReason};
use crate::domain::request::RequestContext;
use crate::telemetry::{Decided, Door, Telemetry};
use crate::verify::panics::catch_panic;
pub use body::Body;
pub use call::Call;
use challenge::Challenges;
use envoy_grpc::EnvoyNames;
#[cfg(any(test, fuzzing))]
pub use envoy_grpc::assert_read_alike;
pub use http_answer::{Connection, Content, HttpAnswer};
use places::Places;
use rejection::Rejection;
pub use rejection::http_status;
use request_id::RequestIds;
pub use service::{HttpDoors, Service};
use stripping::Stripping;

/// How an outage is told to the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUnavailable {
    /// As a denial that no failure mode of the gateway can turn into "allow": the default.
    Deny,
    /// As a failure, so that the gateway's own failure mode decides.
    Gateway,
}

/// What the doors' answers say.
#[derive(Debug, Clone)]
pub struct AnswerSettings {
    /// The `realm` of the challenge (RFC 9110 §11.5).
    pub realm: String,
    /// How an outage is told.
    pub on_unavailable: OnUnavailable,
    /// Whether the upstream gets to see the credential.
    pub forward_token: bool,
}

/// What every door needs, of one configuration.
#[derive(Debug, Clone)]
pub struct DoorState {
    /// Decides.
    pub authorizer: Arc<Authorizer>,
    /// Records.
    pub telemetry: Arc<Telemetry>,
    /// Words the answers.
    pub answers: Arc<AnswerSettings>,
}

/// The doors of the configuration in force, replaced as a whole by a reload.
///
/// A request takes them once, when it arrives, and keeps them: rules, keys, identity headers, the
/// wording of the answer and the name that it is counted under are of one configuration.
#[derive(Debug)]
pub struct LiveDoors {
    now: ArcSwap<Doors>,
    /// One limit for all doors and every configuration.
    places: Arc<Places>,
}

/// Says over gRPC health whether the process is ready: for the whole server and for ext_authz.
pub async fn report_health(reporter: &HealthReporter, status: ServingStatus) {
    for service in ["", envoy_grpc::SERVICE] {
        reporter.set_service_status(service, status).await;
    }
}

/// How an HTTP door reads a request.
type Read = fn(Call<'_>) -> Result<RequestContext<'_>, DenyReason>;

/// What every handler needs, of one configuration.
#[derive(Debug)]
struct Doors {
    state: DoorState,
    answers: Answers,
    ids: RequestIds,
    places: Arc<Places>,
    /// The gRPC answer after a panic.
    panicked: envoy_grpc::CheckResponse,
}

/// What every `write` needs: the settings, and what is made of them once.
#[derive(Debug)]
struct Answers {
    settings: Arc<AnswerSettings>,
    challenges: Challenges,
    stripping: Stripping,
    envoy: EnvoyNames,
}

impl LiveDoors {
    /// The doors of the first configuration, for at most `in_flight` decisions at a time.
    #[must_use]
    pub fn new(state: DoorState, in_flight: usize) -> Self {
        let places = Arc::new(Places::new(in_flight));
        Self {
            now: ArcSwap::from_pointee(Doors::new(state, Arc::clone(&places))),
            places,
        }
    }

    /// Replaces them: whoever arrives from now on meets the new ones, whoever is inside keeps the old.
    pub fn replace(&self, state: DoorState) {
        let doors = Doors::new(state, Arc::clone(&self.places));
        self.now.store(Arc::new(doors));
    }

    /// What the doors in force are made of.
    #[must_use]
    pub fn state(&self) -> DoorState {
        self.now.load().state.clone()
    }

    /// How many decisions are under way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.places.taken()
    }

    /// The doors in force. A count of its own, because it is held for as long as a decision takes.
    fn now(&self) -> Arc<Doors> {
        self.now.load_full()
    }
}

impl Doors {
    fn new(state: DoorState, places: Arc<Places>) -> Self {
        let (sources, identity) = (&state.authorizer.token_sources, &state.authorizer.identity);
        let answers = Answers::new(&state.answers, sources, identity);
        Self {
            panicked: envoy_grpc::panicked(&answers),
            answers,
            ids: RequestIds::new(),
            places,
            state,
        }
    }

    /// Answers an HTTP door: read, decide, record, and write as `written` does.
    async fn answer<T>(
        &self,
        door: Door,
        call: Call<'_>,
        read: Read,
        written: impl Fn(&HttpAnswer<'_>) -> T,
    ) -> T {
        let started = Instant::now();
        let answer = pin!(async {
            let telemetry = &self.state.telemetry;
            let id = self.ids.of(call.headers.all("x-request-id"));
            // The fields of the call are those of the original request.
            let trace = telemetry.place(&HeaderMap::new(), Some(&call.headers));
            // A 200 to CONNECT opens a tunnel (RFC 9110 §9.3.6); no gateway asks that way.
            let request = match call.method {
                "CONNECT" => Err(DenyReason::MethodInvalid),
                _ => read(call),
            };
            let place = self.places.take();
            let verdict = match &request {
                _ if place.is_none() => outage(OutageReason::Overloaded),
                Ok(request) => self.state.authorizer.decide(request).await,
                Err(reason) => Verdict::unreadable(*reason),
            };
            let request = request.as_ref().ok();
            telemetry.record(&Decided {
                door,
                request,
                request_id: Some(&id),
                trace: trace.as_ref(),
                verdict: &verdict,
                took: started.elapsed(),
            });
            written(&http_answer::write(
                &verdict.decision,
                request,
                &id,
                door,
                &self.answers,
            ))
        });
        catch_panic(answer).await.unwrap_or_else(|| {
            self.record_panic(door, started);
            let outage = OutageReason::InternalError.into();
            let on_unavailable = self.answers.settings.on_unavailable;
            let rejection = Rejection::unavailable(&outage, door, on_unavailable);
            written(&HttpAnswer::bare(rejection.status.http()))
        })
    }

    /// Records a panic of ours.
    fn record_panic(&self, door: Door, started: Instant) {
        let verdict = outage(OutageReason::InternalError);
        let telemetry = &self.state.telemetry;
        telemetry.record(&Decided::bare(door, &verdict, started.elapsed()));
    }
}

impl Answers {
    fn new(
        settings: &Arc<AnswerSettings>,
        sources: &[TokenSource],
        identity: &IdentityHeaders,
    ) -> Self {
        Self {
            settings: Arc::clone(settings),
            challenges: Challenges::new(&settings.realm),
            stripping: Stripping::new(settings, sources),
            envoy: EnvoyNames::new(identity),
        }
    }
}

/// A verdict about us.
fn outage(reason: OutageReason) -> Verdict {
    Decision::Unavailable(reason.into()).into()
}

#[cfg(test)]
mod tests;
