//! Both services, as requests find them: what is not a door is never 2xx.

use axum::body::{Body, to_bytes};
use envoy_types::pb::envoy::service::auth::v3 as envoy;
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use http::{Request, Response, Version};
use prost::Message;

use super::*;
use testing::{EndlessBody, PanickingBody, Server, live, state};

const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";
const GRPC: (&str, &str) = ("content-type", "application/grpc");
/// Every path that has a meaning somewhere, and some that have one nowhere.
const STRANGE_PATHS: [&str; 22] = [
    "/",
    "/verify",
    "/verfy",
    "/auth",
    "/auth-request/",
    "/auth-request/urls",
    "/auth-request%2Furl",
    "/Forward-Auth",
    "/forward-auth/",
    "/forward-auth/x",
    "//forward-auth",
    "/./forward-auth",
    "/ext-authzx/a",
    "/ext%2Dauthz/a",
    "/healthz",
    "/readyz",
    "/metrics",
    "/status",
    "/envoy.service.auth.v3.Authorization",
    "/envoy.service.auth.v3.Authorization/Chek",
    "/grpc.health.v1.Health/Chek",
    "/grpc.reflection.v1.ServerReflection/x",
];

async fn send(
    service: &Service,
    version: Version,
    method: &str,
    path: &str,
    fields: &[(&str, &str)],
) -> Response<Body> {
    send_body(service, version, method, path, fields, Body::empty()).await
}

async fn send_body(
    service: &Service,
    version: Version,
    method: &str,
    path: &str,
    fields: &[(&str, &str)],
    body: Body,
) -> Response<Body> {
    let mut parts = testing::parts(method, path, fields);
    parts.version = version;
    let request = Request::from_parts(parts, body);
    service.answer(request).await.map(Body::new)
}

/// Regression test number one.
#[tokio::test]
async fn unknown_paths_are_404_on_every_listener() {
    let (grpc, _health) = Service::grpc(live());
    for (service, version, field) in [
        (Service::http(live()), Version::HTTP_11, ("x", "y")),
        (Service::http(live()), Version::HTTP_2, GRPC),
        (grpc, Version::HTTP_2, GRPC),
    ] {
        for path in STRANGE_PATHS {
            for method in ["GET", "POST", "HEAD", "OPTIONS", "PROPFIND"] {
                let response = send(&service, version, method, path, &[field]).await;
                assert_eq!(response.status(), 404, "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_no_grpc_is_refused_on_the_grpc_listener() {
    let (service, _health) = Service::grpc(live());
    let paths = [
        CHECK,
        "/grpc.health.v1.Health/Check",
        "/",
        "/forward-auth",
        "/verify",
    ];
    for path in paths {
        for (version, fields) in [
            (Version::HTTP_11, &[GRPC][..]),
            (Version::HTTP_10, &[GRPC]),
            (Version::HTTP_2, &[]),
            (Version::HTTP_2, &[("content-type", "application/json")]),
            (Version::HTTP_2, &[("content-type", "application/grpc-web")]),
            (Version::HTTP_2, &[("content-type", "application/grpcx")]),
        ] {
            for method in ["GET", "POST"] {
                let response = send(&service, version, method, path, fields).await;
                assert_eq!(
                    response.status(),
                    415,
                    "{version:?} {method} {path} {fields:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn grpc_methods_are_posted() {
    let (service, _health) = Service::grpc(live());
    for path in [
        CHECK,
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/Watch",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ] {
        for method in ["GET", "HEAD", "OPTIONS", "CONNECT"] {
            let response = send(&service, Version::HTTP_2, method, path, &[GRPC]).await;
            assert_eq!(response.status(), 405, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn the_http_doors_judge_any_method_and_read_no_body() {
    let service = Service::http(live());
    let fields = [
        ("host", "api.example.com"),
        ("x-original-method", "GET"),
        ("x-original-uri", "/orders"),
        ("x-original-url", "https://api.example.com/orders"),
        ("x-forwarded-method", "GET"),
        ("x-forwarded-host", "api.example.com"),
        ("x-forwarded-uri", "/orders"),
    ];
    for path in [
        "/auth-request",
        "/auth-request/url",
        "/forward-auth?policy=public",
        "/ext-authz/orders",
    ] {
        for method in ["GET", "HEAD", "OPTIONS", "POST", "PURGE", "x"] {
            let body = Body::new(PanickingBody);
            let response = send_body(&service, Version::HTTP_11, method, path, &fields, body).await;
            assert_eq!(response.status(), 403, "{method} {path}");
            assert_eq!(
                response.headers()["content-type"],
                "application/problem+json"
            );
        }
    }
}

/// CONNECT is refused before it is read: its 200 would open a tunnel.
#[tokio::test]
async fn connect_is_no_request_of_a_gateway() {
    let doors = Doors::new(state(), Arc::new(Places::new(1)));
    let request = Request::builder().method("CONNECT").body(()).unwrap();
    let (parts, ()) = request.into_parts();
    let response = doors
        .answer(
            Door::ForwardAuth,
            Call::of(&parts),
            |_call| panic!("read"),
            |answer| answer.response(),
        )
        .await;
    assert_eq!(response.status(), 400);
}

#[tokio::test]
async fn a_request_without_its_originals_is_no_request() {
    let service = Service::http(live());
    for (path, status) in [
        ("/auth-request", 403),
        ("/auth-request/url", 403),
        ("/forward-auth", 400),
        ("/ext-authz", 400),
        ("/ext-authz/", 400),
        ("/ext-authz/orders", 400),
    ] {
        let response = send(&service, Version::HTTP_11, "GET", path, &[]).await;
        assert_eq!(response.status(), status, "{path}");
        let body = to_bytes(response.into_body(), 4096).await.unwrap();
        assert!(body.windows(11).any(|text| text == b"bad_request"));
    }
}

#[tokio::test]
async fn a_panic_is_an_outage() {
    let doors = Doors::new(state(), Arc::new(Places::new(1)));
    for (door, status) in [
        (Door::AuthRequest, 503),
        (Door::ForwardAuth, 503),
        (Door::ExtAuthz, 403),
    ] {
        let (parts, ()) = Request::new(()).into_parts();
        let call = Call::of(&parts);
        let response = doors
            .answer(
                door,
                call,
                |_call| panic!("a defect"),
                |answer| answer.response(),
            )
            .await;
        assert_eq!(response.status(), status);
    }
    let (service, _health) = Service::grpc(live());
    let answer = check(&service, &[], Body::new(PanickingBody)).await;
    assert_denied(&answer, 14, 503);
}

#[tokio::test]
async fn whoever_finds_no_place_is_told_so_by_an_outage_that_stays_closed() {
    let doors = Arc::new(LiveDoors::new(state(), 0));
    let service = Service::http(Arc::clone(&doors));
    for (path, status) in [
        ("/auth-request", 503),
        ("/auth-request/url", 503),
        ("/forward-auth", 503),
        ("/ext-authz/orders", 403),
    ] {
        let response = send(&service, Version::HTTP_11, "GET", path, &[]).await;
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(response.headers()["retry-after"], "1", "{path}");
    }
    let (service, _health) = Service::grpc(Arc::clone(&doors));
    let answer = check(&service, &[], Body::new(PanickingBody)).await;
    assert_denied(&answer, 14, 503);
    assert_eq!(doors.state().telemetry.counts().unavailable, 5);
}

#[tokio::test]
async fn a_place_is_free_again_after_a_panic_and_after_a_reload() {
    let doors = Arc::new(LiveDoors::new(state(), 1));
    let (service, _health) = Service::grpc(Arc::clone(&doors));
    for _ in 0..3 {
        let answer = check(&service, &[], Body::new(PanickingBody)).await;
        assert_denied(&answer, 14, 503);
        doors.replace(state());
        assert_denied(&check(&service, &[], Body::empty()).await, 3, 400);
    }
}

#[tokio::test]
async fn the_closed_doors_deny_everything() {
    let service = Service::closed_http(live());
    for path in [
        "/auth-request",
        "/auth-request/url",
        "/forward-auth",
        "/ext-authz/",
        "/ext-authz/x",
    ] {
        let response = send(&service, Version::HTTP_11, "GET", path, &[]).await;
        assert_eq!(response.status(), 403, "{path}");
    }
    let service = Service::closed_grpc(live());
    assert_denied(
        &check(&service, &[], Body::new(PanickingBody)).await,
        7,
        403,
    );
    for path in ["/grpc.health.v1.Health/Check", "/x"] {
        let response = send(&service, Version::HTTP_2, "POST", path, &[GRPC]).await;
        assert_eq!(response.status(), 403, "{path}");
    }
}

/// What a request takes while it is answered is copied some times on the way: no room for surprises.
#[test]
fn the_state_of_an_answer_is_small() {
    let http = Service::http(live());
    let request = Request::new(Body::empty());
    let size = size_of_val(&http.answer(request));
    assert!(size <= 4096, "{size}");
}

/// Broken messages get a denial, not a gRPC error: Envoy's failure mode has no say.
#[tokio::test]
async fn a_message_that_cannot_be_read_is_denied() {
    let (service, _health) = Service::grpc(live());
    let oversized = [&[0, 0, 0x10, 0, 1][..], &vec![0; (1 << 20) + 1]].concat();
    for message in [
        &b""[..],
        b"\0\0\0",
        b"\0\0\0\0\x01",
        b"\x01\0\0\0\0",
        b"\0\0\0\0\x01\xff",
        b"\0\0\0\0\x02\x0a\x05",
        b"\0\0\0\0\0\0\0\0\0\0",
        b"\0\0\0\0\0",
        &oversized,
    ] {
        let answer = check(&service, &[], Body::from(message.to_vec())).await;
        assert_denied(&answer, 3, 400);
    }
}

/// An answer before the gateway gives up keeps its failure mode out of it.
#[tokio::test]
async fn the_gateways_patience_is_respected() {
    let (service, _health) = Service::grpc(live());
    let answer = check(&service, &[("grpc-timeout", "1m")], Body::new(EndlessBody)).await;
    assert_denied(&answer, 14, 503);
}

#[tokio::test]
async fn health_follows_the_process() {
    let (service, reporter) = Service::grpc(live());
    for (status, byte) in [(ServingStatus::NotServing, 2), (ServingStatus::Serving, 1)] {
        report_health(&reporter, status).await;
        for name in ["", "envoy.service.auth.v3.Authorization"] {
            let request = tonic_health::pb::HealthCheckRequest {
                service: name.to_owned(),
            };
            let message = framed(&request.encode_to_vec());
            let path = "/grpc.health.v1.Health/Check";
            let body = Body::from(message);
            let response = send_body(&service, Version::HTTP_2, "POST", path, &[GRPC], body).await;
            assert_eq!(response.status(), 200);
            let bytes = to_bytes(response.into_body(), 4096).await.unwrap();
            assert_eq!(bytes[5..], [8, byte], "{name:?}");
        }
    }
}

#[tokio::test]
async fn reflection_knows_the_services() {
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    let (service, _health) = Service::grpc(live());
    let request = tonic_reflection::pb::v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    for version in ["v1", "v1alpha"] {
        let path = format!("/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo");
        let body = Body::from(framed(&request.encode_to_vec()));
        let response = send_body(&service, Version::HTTP_2, "POST", &path, &[GRPC], body).await;
        assert_eq!(response.status(), 200);
        let bytes = to_bytes(response.into_body(), 1 << 16).await.unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(
            text.contains("envoy.service.auth.v3.Authorization"),
            "{version}"
        );
        assert!(text.contains("grpc.health.v1.Health"), "{version}");
    }
}

/// Request lines that no HTTP client library would write.
#[tokio::test]
async fn odd_request_lines_are_never_2xx() {
    let server = Server::start(Service::http(live())).await;
    for line in [
        "CONNECT api.example.com:443 HTTP/1.1",
        "CONNECT /forward-auth HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "GET * HTTP/1.1",
        "GET http://api.example.com/ext-authz/x HTTP/1.1",
        "GET http://evil.example.com/ext-authz/x HTTP/1.1",
        "GET /ext-authz/a#/public HTTP/1.1",
        "GET /ext-authz/\\..\\admin HTTP/1.1",
        "GET /ext-authz* HTTP/1.1",
        "GET ext-authz/x HTTP/1.1",
        "GET  HTTP/1.1",
        "HEAD /ext-authz/x HTTP/1.1",
        "TRACE /forward-auth HTTP/1.1",
        "GET /forward-auth HTTP/1.0",
        "GET /verfy HTTP/1.1",
        "PRI * HTTP/2.0",
    ] {
        let fields = "Host: api.example.com\r\nConnection: close\r\n";
        let status = server.raw(&format!("{line}\r\n{fields}\r\n")).await;
        assert!(
            status.is_none_or(|status| status >= 400),
            "{line}: {status:?}"
        );
    }
    let (grpc, _health) = Service::grpc(live());
    let server = Server::start(grpc).await;
    for path in ["/", "/forward-auth", CHECK, "/verfy"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        assert_eq!(server.raw(&request).await, Some(415), "{path}");
    }
}

/// The other side's client understands our frames and trailers.
#[tokio::test]
async fn a_grpc_client_gets_its_answer() {
    let (service, _health) = Service::grpc(live());
    let server = Server::start(service).await;
    let endpoint = format!("http://{}", server.address);
    let mut client = AuthorizationClient::connect(endpoint).await.unwrap();
    let mut http = envoy::attribute_context::HttpRequest {
        method: "GET".to_owned(),
        host: "api.example.com".to_owned(),
        path: "/orders".to_owned(),
        ..Default::default()
    };
    http.headers
        .insert("x-request-id".to_owned(), "r-7".to_owned());
    let request = envoy::CheckRequest {
        attributes: Some(envoy::AttributeContext {
            request: Some(envoy::attribute_context::Request {
                http: Some(http),
                ..Default::default()
            }),
            ..Default::default()
        }),
    };
    let answer = client.check(request).await.unwrap().into_inner();
    assert_denied(&answer, 7, 403);
    let Some(HttpResponse::DeniedResponse(denied)) = answer.http_response else {
        panic!("not denied");
    };
    assert!(denied.body.contains("\"request_id\":\"r-7\""));
}

async fn check(service: &Service, fields: &[(&str, &str)], body: Body) -> envoy::CheckResponse {
    let fields = [&[GRPC], fields].concat();
    let response = send_body(service, Version::HTTP_2, "POST", CHECK, &fields, body).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/grpc");
    let collected = http_body_util::BodyExt::collect(response.into_body())
        .await
        .unwrap();
    assert_eq!(collected.trailers().unwrap()["grpc-status"], "0");
    let bytes = collected.to_bytes();
    let (head, message) = bytes.split_at(5);
    assert_eq!(
        head,
        [
            &[0][..],
            &u32::try_from(message.len()).unwrap().to_be_bytes()
        ]
        .concat()
    );
    envoy::CheckResponse::decode(message).unwrap()
}

fn assert_denied(answer: &envoy::CheckResponse, grpc: i32, http: i32) {
    assert_eq!(answer.status.as_ref().unwrap().code, grpc);
    let Some(HttpResponse::DeniedResponse(denied)) = &answer.http_response else {
        panic!("not denied: {answer:?}");
    };
    assert_eq!(denied.status.as_ref().unwrap().code, http);
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0][..], &length, message].concat()
}
