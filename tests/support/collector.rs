//! A collector of traces: OTLP over gRPC and over HTTP, in the messages and the service of the crate
//! `opentelemetry-proto`, and as ill-behaved as a test wants it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Request, Status};

/// The longest that a test waits for something that must happen; only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(60);

/// How the collector behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// It takes everything.
    Take,
    /// It never answers.
    Hang,
    /// It takes everything, late.
    Slow,
    /// It says "later" (UNAVAILABLE, 503).
    Later,
    /// It says "never" (INVALID_ARGUMENT, 400).
    Never,
    /// It takes all but so many.
    Partly(i64),
    /// It says something that is no message.
    Babble,
}

/// A span as it arrived, in words that tests compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) kind: i32,
    pub(crate) trace: String,
    pub(crate) id: String,
    /// Empty where it has none.
    pub(crate) parent: String,
    pub(crate) state: String,
    pub(crate) flags: u32,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) attributes: BTreeMap<String, String>,
    /// The status' code and message.
    pub(crate) status: (i32, String),
}

/// A running collector; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Collector {
    /// The port of OTLP/gRPC.
    pub(crate) grpc: u16,
    /// The port of OTLP/HTTP.
    pub(crate) http: u16,
    shared: Arc<Shared>,
    _stop: DropGuard,
}

#[derive(Debug)]
struct Shared {
    manner: Mutex<Manner>,
    asked: Mutex<usize>,
    spans: Mutex<Vec<Seen>>,
    resource: Mutex<BTreeMap<String, String>>,
    header: Mutex<Option<String>>,
}

/// What a call comes to.
enum Outcome {
    Taken(ExportTraceServiceResponse),
    Later,
    Never,
    Babble,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let shared = Arc::new(Shared {
            manner: Mutex::new(Manner::Take),
            asked: Mutex::default(),
            spans: Mutex::default(),
            resource: Mutex::default(),
            header: Mutex::default(),
        });
        let stop = CancellationToken::new();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let http = listener.local_addr().unwrap().port();
        let router = Router::new()
            .route("/v1/traces", post(over_http))
            .with_state(Arc::clone(&shared));
        let ended = stop.clone();
        tokio::spawn(async move {
            let served = async { axum::serve(listener, router).await };
            ended.run_until_cancelled(served).await
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let grpc = listener.local_addr().unwrap().port();
        let service = TraceServiceServer::new(OverGrpc(Arc::clone(&shared)));
        let ended = stop.clone();
        tokio::spawn(async move {
            tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming_shutdown(
                    tonic::transport::server::TcpIncoming::from(listener),
                    ended.cancelled(),
                )
                .await
        });
        Self {
            grpc,
            http,
            shared,
            _stop: stop.drop_guard(),
        }
    }

    /// The `tracing` setting for it, of this protocol.
    pub(crate) fn endpoint(&self, protocol: &str) -> String {
        let port = if protocol == "grpc" {
            self.grpc
        } else {
            self.http
        };
        format!("endpoint: 'http://127.0.0.1:{port}', protocol: {protocol}")
    }

    pub(crate) fn behave(&self, manner: Manner) {
        *self.shared.manner.lock().unwrap() = manner;
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        *self.shared.asked.lock().unwrap()
    }

    /// What it took.
    pub(crate) fn spans(&self) -> Vec<Seen> {
        self.shared.spans.lock().unwrap().clone()
    }

    /// The attributes of the last resource.
    pub(crate) fn resource(&self) -> BTreeMap<String, String> {
        self.shared.resource.lock().unwrap().clone()
    }

    /// The last call's `authorization`.
    pub(crate) fn header(&self) -> Option<String> {
        self.shared.header.lock().unwrap().clone()
    }

    /// What it took, once there is enough.
    pub(crate) async fn wait_for(&self, enough: impl Fn(&[Seen]) -> bool) -> Vec<Seen> {
        let until = Instant::now() + PATIENCE;
        loop {
            let spans = self.spans();
            if enough(&spans) {
                return spans;
            }
            assert!(Instant::now() < until, "{spans:#?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Shared {
    async fn take(&self, header: Option<&str>, message: ExportTraceServiceRequest) -> Outcome {
        *self.asked.lock().unwrap() += 1;
        *self.header.lock().unwrap() = header.map(str::to_owned);
        let manner = *self.manner.lock().unwrap();
        match manner {
            Manner::Hang => std::future::pending().await,
            Manner::Later => return Outcome::Later,
            Manner::Never => return Outcome::Never,
            Manner::Babble => return Outcome::Babble,
            Manner::Slow => tokio::time::sleep(Duration::from_millis(300)).await,
            Manner::Take | Manner::Partly(_) => {}
        }
        for resource in message.resource_spans {
            let about = resource
                .resource
                .map(|resource| attributes(&resource.attributes));
            let about = about.unwrap_or_default();
            let service = about.get("service.name").cloned().unwrap_or_default();
            if service != "envoy" {
                *self.resource.lock().unwrap() = about;
            }
            for span in resource
                .scope_spans
                .into_iter()
                .flat_map(|scope| scope.spans)
            {
                let status = span.status.unwrap_or_default();
                self.spans.lock().unwrap().push(Seen {
                    service: service.clone(),
                    name: span.name,
                    kind: span.kind,
                    trace: hex(&span.trace_id),
                    id: hex(&span.span_id),
                    parent: hex(&span.parent_span_id),
                    state: span.trace_state,
                    flags: span.flags,
                    start: span.start_time_unix_nano,
                    end: span.end_time_unix_nano,
                    attributes: attributes(&span.attributes),
                    status: (status.code, status.message),
                });
            }
        }
        let mut answer = ExportTraceServiceResponse::default();
        if let Manner::Partly(rejected) = manner {
            answer.partial_success = Some(ExportTracePartialSuccess {
                rejected_spans: rejected,
                error_message: "too many".to_owned(),
            });
        }
        Outcome::Taken(answer)
    }
}

struct OverGrpc(Arc<Shared>);

#[tonic::async_trait]
impl TraceService for OverGrpc {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, Status> {
        let header = request.metadata().get("authorization").cloned();
        let header = header.as_ref().and_then(|value| value.to_str().ok());
        match self.0.take(header, request.into_inner()).await {
            Outcome::Taken(answer) => Ok(tonic::Response::new(answer)),
            Outcome::Later => Err(Status::unavailable("later")),
            Outcome::Never => Err(Status::invalid_argument("never")),
            Outcome::Babble => Err(Status::unknown("")),
        }
    }
}

async fn over_http(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let message = ExportTraceServiceRequest::decode(body).expect("a message of OTLP's");
    let header = headers
        .get("authorization")
        .map(|value| value.to_str().unwrap());
    match shared.take(header, message).await {
        Outcome::Taken(answer) => answer.encode_to_vec().into_response(),
        Outcome::Later => (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "1")]).into_response(),
        Outcome::Never => StatusCode::BAD_REQUEST.into_response(),
        Outcome::Babble => "\u{f}\u{f}\u{f}".into_response(),
    }
}

fn attributes(all: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |attribute: &KeyValue| {
        let value = attribute
            .value
            .as_ref()
            .and_then(|value| value.value.as_ref());
        let text = match value {
            Some(Value::StringValue(text)) => text.clone(),
            other => format!("{other:?}"),
        };
        (attribute.key.clone(), text)
    };
    all.iter().map(text).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
