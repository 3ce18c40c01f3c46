//! Any frame gets an answer that Envoy can read, and none says "allow" for a path that is not public. What is in it is read
//! as prost reads it.
#![no_main]

use std::sync::LazyLock;

use bytes::Bytes;
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{self, HttpRequest};
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest, CheckResponse};
use gatefort::gateway::{Service, assert_read_alike};
use gatefort_fuzz::{RUNTIME, doors, is_public};
use http::{Request, Version};
use http_body_util::{BodyExt as _, Full};
use prost::Message as _;

static DOOR: LazyLock<Service> = LazyLock::new(|| Service::grpc(doors()).0);

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    // By the first byte the rest is a message, a whole frame, or the request that a message is made of.
    let Some((kind, rest)) = data.split_first() else {
        return;
    };
    let framed = match kind % 4 {
        0 | 2 => frame(rest),
        1 => rest.to_vec(),
        _ => frame(&asking_about(rest).encode_to_vec()),
    };
    let message = framed.get(5..).unwrap_or_default().to_vec();
    assert_read_alike(&message);
    let request = Request::post("/envoy.service.auth.v3.Authorization/Check")
        .version(Version::HTTP_2)
        .header("content-type", "application/grpc")
        .body(Full::new(Bytes::from(framed)))
        .expect("a request");
    let answer = RUNTIME.block_on(async {
        let response = DOOR.answer(request).await;
        assert_eq!(response.status(), 200);
        response.into_body().collect().await.expect("a whole body")
    });
    let trailers = answer.trailers().expect("gRPC has trailers");
    assert_eq!(
        trailers["grpc-status"], "0",
        "an error that Envoy's failure mode would decide"
    );
    let body = answer.to_bytes();
    let response = CheckResponse::decode(&body[5..]).expect("Envoy reads it");
    let status = response
        .status
        .expect("an answer without status means allow");
    match response
        .http_response
        .expect("every answer says what to do")
    {
        HttpResponse::OkResponse(ok) => {
            assert_eq!(status.code, 0);
            let request = CheckRequest::decode(&message[..]).expect("allowed, so readable");
            let http = request
                .attributes
                .and_then(|all| all.request)
                .and_then(|all| all.http);
            let path = http.expect("allowed, so there").path;
            assert!(is_public(&path), "{path:?} was let through");
            for name in ["x-auth-user", "x-auth-roles"] {
                assert!(ok.headers_to_remove.iter().any(|removed| removed == name));
            }
        }
        HttpResponse::DeniedResponse(denied) => {
            assert_ne!(status.code, 0);
            let code = denied
                .status
                .expect("a denial without status means allow")
                .code;
            assert!(matches!(code, 400 | 401 | 403 | 503), "{code}");
        }
        other => panic!("{other:?}"),
    }
});

/// A message as gRPC frames it.
fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("inputs are short");
    [&[0], &length.to_be_bytes()[..], message].concat()
}

/// Envoy's question about `METHOD TARGET HOST`, then a field a line: no length for the fuzzer to keep right.
fn asking_about(text: &[u8]) -> CheckRequest {
    let text = String::from_utf8_lossy(text);
    let mut lines = text.lines();
    let mut words = lines
        .next()
        .unwrap_or_default()
        .split(' ')
        .map(str::to_owned);
    let mut word = || words.next().unwrap_or_default();
    let http = HttpRequest {
        method: word(),
        path: word(),
        host: word(),
        headers: lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        ..Default::default()
    };
    let request = attribute_context::Request {
        http: Some(http),
        ..Default::default()
    };
    CheckRequest {
        attributes: Some(AttributeContext {
            request: Some(request),
            ..Default::default()
        }),
    }
}
