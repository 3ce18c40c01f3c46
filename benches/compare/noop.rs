//! The servers that do nothing: what the frameworks cost before anybody decides anything.
//!
//! Each is a process of its own, this very program started again, on the runtime that Gatefort uses. It says
//! its port on standard output and serves until it is killed.

use std::convert::Infallible;
use std::io::Write as _;
use std::net::Ipv4Addr;

use bytes::{BufMut as _, Bytes, BytesMut};
use envoy_types::pb::envoy::service::auth::v3::authorization_server::{
    Authorization, AuthorizationServer,
};
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{CheckRequest, CheckResponse, OkHttpResponse};
use envoy_types::pb::google::rpc::Status as RpcStatus;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::{Body, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use tokio::net::{TcpListener, TcpStream};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::Outcome;

/// Which server that does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoOp {
    /// tonic with the crate `envoy-types`: decodes the whole `CheckRequest`, then always allows.
    Tonic,
    /// hyper's HTTP/2 alone: reads the message, answers the same gRPC frame.
    Http2,
    /// hyper's HTTP/1.1 alone: answers 200.
    Http1,
}

impl NoOp {
    /// The word for the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tonic => "tonic",
            Self::Http2 => "http2",
            Self::Http1 => "http1",
        }
    }

    /// The server of a word.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Tonic, Self::Http2, Self::Http1]
            .into_iter()
            .find(|noop| noop.name() == name)
    }
}

/// Serves until killed.
pub(crate) fn serve(noop: NoOp) -> Outcome {
    tokio::runtime::Runtime::new()?.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        println!("{}", listener.local_addr()?.port());
        std::io::stdout().flush()?;
        if noop == NoOp::Tonic {
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            let service = AuthorizationServer::new(AlwaysAllow);
            let server = Server::builder().add_service(service);
            return Ok(server.serve_with_incoming(incoming).await?);
        }
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(connection(noop, stream));
        }
    })
}

struct AlwaysAllow;

#[tonic::async_trait]
impl Authorization for AlwaysAllow {
    async fn check(
        &self,
        request: tonic::Request<CheckRequest>,
    ) -> Result<tonic::Response<CheckResponse>, tonic::Status> {
        std::hint::black_box(request.into_inner());
        Ok(tonic::Response::new(allow()))
    }
}

fn allow() -> CheckResponse {
    CheckResponse {
        status: Some(RpcStatus::default()),
        http_response: Some(HttpResponse::OkResponse(OkHttpResponse::default())),
        ..CheckResponse::default()
    }
}

/// A connection's end is the client's business: whoever asks sees that an answer is missing.
async fn connection(noop: NoOp, stream: TcpStream) {
    let io = TokioIo::new(stream);
    if noop == NoOp::Http1 {
        let service = service_fn(async |_: Request<Incoming>| {
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        });
        let _ended = http1::Builder::new().serve_connection(io, service).await;
        return;
    }
    let message = allow().encode_to_vec();
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).expect("the message is short"));
    frame.put_slice(&message);
    let frame = frame.freeze();
    let service = service_fn(move |request: Request<Incoming>| canned(request, frame.clone()));
    let _ended = http2::Builder::new(TokioExecutor::new())
        .serve_connection(io, service)
        .await;
}

async fn canned(
    request: Request<Incoming>,
    frame: Bytes,
) -> Result<Response<impl Body<Data = Bytes, Error = Infallible>>, hyper::Error> {
    std::hint::black_box(request.into_body().collect().await?.to_bytes());
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let body = Full::new(frame).with_trailers(async { Some(Ok(trailers)) });
    let mut response = Response::new(body);
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    Ok(response)
}
