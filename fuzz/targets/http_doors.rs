//! Any request line and header fields at the HTTP listener: 2xx for public paths alone, and nothing but a door says it.
#![no_main]

use std::sync::LazyLock;

use bytes::Bytes;
use gatefort::gateway::Service;
use gatefort_fuzz::{RUNTIME, doors, is_public};
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::Empty;

static DOORS: LazyLock<Service> = LazyLock::new(|| Service::http(doors()));

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some(request) = request(data) else {
        return;
    };
    let original = original(&request);
    let response = RUNTIME.block_on(DOORS.answer(request));
    let status = response.status();
    if status.is_success() {
        let target = original.unwrap_or_default();
        assert!(is_public(&target), "{target:?} was let through");
    } else {
        assert!(
            matches!(status.as_u16(), 400 | 401 | 403 | 404 | 503),
            "{status}"
        );
    }
});

/// `METHOD TARGET`, then a field a line.
fn request(data: &[u8]) -> Option<Request<Empty<Bytes>>> {
    let mut lines = data.split(|octet| *octet == b'\n');
    let first = lines.next()?;
    let space = first.iter().position(|octet| *octet == b' ')?;
    let (method, target) = first.split_at(space);
    let mut request = Request::new(Empty::new());
    *request.method_mut() = Method::from_bytes(method).ok()?;
    *request.uri_mut() = Uri::try_from(target.get(1..)?).ok()?;
    for line in lines.take(100) {
        let colon = line.iter().position(|octet| *octet == b':')?;
        let (name, value) = line.split_at(colon);
        let name = HeaderName::from_bytes(name).ok()?;
        let value = HeaderValue::from_bytes(value.get(1..)?).ok()?;
        request.headers_mut().append(name, value);
    }
    Some(request)
}

/// The target that the door at this path is asked about, as a gateway would have said it.
fn original(request: &Request<Empty<Bytes>>) -> Option<String> {
    let field = |name: &str| {
        let mut values = request.headers().get_all(name).iter();
        let only = values.next().filter(|_| values.next().is_none())?;
        Some(String::from_utf8_lossy(only.as_bytes()).into_owned())
    };
    match request.uri().path() {
        "/auth-request" => field("x-original-uri"),
        "/auth-request/url" => {
            let url = field("x-original-url")?;
            let (_, rest) = url.split_once("://")?;
            Some(rest[rest.find('/')?..].to_owned())
        }
        "/forward-auth" => field("x-forwarded-uri"),
        path => Some(path.strip_prefix("/ext-authz")?.to_owned()),
    }
}
