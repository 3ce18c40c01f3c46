//! The doors within this process, for programs that measure calls and not connections.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::request::Parts;
use http::{Request, StatusCode, Version};
use http_body_util::{BodyExt as _, Full};
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

use super::ask::Door;
use gatefort::authorizer::Authorizer;
use gatefort::gateway::{
    Call, Connection, Content, DoorState, HttpAnswer, HttpDoors, LiveDoors, Service,
};
use gatefort::service::config::{Config, Environment};
use gatefort::telemetry::settings::{DecisionLog, LogFormat};
use gatefort::telemetry::{LogQueue, Telemetry};
use gatefort::verify::Verifier;
use gatefort::verify::clock::SystemClock;

/// One thread: what is measured is the work, not who does it.
pub(crate) static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime starts")
});

/// What the doors need, as a configuration makes it; every decision is logged to nowhere.
pub(crate) fn state(configuration: &str) -> DoorState {
    let path = Path::new("gatefort.yaml");
    let config = Config::parse(configuration, path, &Environment::Process)
        .unwrap_or_else(|errors| panic!("{errors}"));
    let labels: Vec<_> = config
        .rules
        .iter()
        .map(|(_, rule)| Arc::from(rule.label()))
        .collect();
    let _entered = RUNTIME.enter();
    let clock = Arc::new(SystemClock);
    let verifier = Verifier::start(
        config.issuers,
        config.max_token_size,
        Arc::clone(&clock) as _,
        &CancellationToken::new(),
    );
    let log = LogQueue::start(LogFormat::Json, std::io::sink()).expect("a thread starts");
    DoorState {
        authorizer: Arc::new(Authorizer {
            rules: config.rules,
            token_sources: config.token_sources,
            identity: config.identity,
            verifier: Arc::new(verifier.expect("the issuer's settings are good")),
            deadline: config.deadline,
            clock,
        }),
        telemetry: Arc::new(Telemetry::new(log, DecisionLog::All, &labels)),
        answers: Arc::new(config.answers),
    }
}

/// What the listener of a door serves.
pub(crate) fn service(door: Door, state: DoorState) -> Service {
    let doors = Arc::new(LiveDoors::new(state, 1024));
    match door {
        Door::Grpc => Service::grpc(doors).0,
        Door::AuthRequest | Door::ForwardAuth | Door::Gateway => Service::http(doors),
    }
}

/// A question as hyper would hand it over.
pub(crate) fn question(door: Door, wire: &Bytes) -> Request<Full<Bytes>> {
    match door {
        Door::Grpc => Request::post("/envoy.service.auth.v3.Authorization/Check")
            .version(Version::HTTP_2)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(wire.clone())),
        Door::AuthRequest | Door::ForwardAuth | Door::Gateway => {
            let text = std::str::from_utf8(wire).expect("a question is ASCII");
            let mut lines = text.trim_end().split("\r\n");
            let target = lines.next().and_then(|line| line.split(' ').nth(1));
            let mut request = Request::get(target.expect("a request line has a target"));
            for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
                request = request.header(name, value);
            }
            request.body(Full::default())
        }
    }
    .expect("a request is well formed")
}

/// The answer's status, and its octets: those of the body, or at the HTTP doors all of them.
pub(crate) fn answer(service: &Service, request: Request<Full<Bytes>>) -> (StatusCode, Bytes) {
    RUNTIME.block_on(async {
        if let Some(doors) = service.http_doors() {
            let octets = at(doors, &request.into_parts().0).await;
            let status = StatusCode::from_bytes(&octets[9..12]);
            return (status.expect("an answer has a status"), octets.into());
        }
        let (head, body) = service.answer(request).await.into_parts();
        let body = body.collect().await.expect("the answer is whole");
        (head.status, body.to_bytes())
    })
}

/// As a connection has it written that speaks plain HTTP/1.1.
async fn at(doors: &HttpDoors, head: &Parts) -> Vec<u8> {
    let written = |answer: &HttpAnswer<'_>| {
        let mut octets = Vec::with_capacity(512);
        answer.write_to(&mut octets, Content::Sent, Connection::Kept);
        octets
    };
    doors.answer(Call::of(head), written).await
}
