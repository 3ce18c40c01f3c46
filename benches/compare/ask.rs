//! The questions that gateways ask, written once before the clock runs, and what each answer must say.

use std::sync::Arc;

use bytes::{BufMut as _, Bytes, BytesMut};
use envoy_types::pb::envoy::config::core::v3::{Address, SocketAddress, address, socket_address};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer, Request};
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest, CheckResponse};
use prost::Message as _;

/// The identity headers, in lower case.
pub(crate) const IDENTITY: [&str; 3] = ["x-auth-user", "x-auth-email", "x-auth-roles"];

/// What a browser's call to an API brings, besides its credential: with that, twelve header fields.
const FIELDS: [(&str, &str); 11] = [
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    ),
    ("accept", "application/json, text/plain, */*"),
    ("accept-language", "en-GB,en;q=0.7,de;q=0.3"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("content-type", "application/json"),
    (
        "cookie",
        "theme=dark; session_hint=5f2b7c1e9a; consent=v2.1",
    ),
    ("referer", "https://shop.example.com/orders?page=2"),
    ("x-request-id", "3f0c1d8e-6a0e-4b6f-9d51-0c9a7f0e3b11"),
    ("x-forwarded-for", "203.0.113.7"),
    ("x-forwarded-proto", "https"),
    (
        "traceparent",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ),
];

/// Where a question is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// Envoy's ext_authz over gRPC.
    Grpc,
    /// nginx's `auth_request`.
    AuthRequest,
    /// Traefik's `forwardAuth`.
    ForwardAuth,
    /// A whole gateway: what is asked for is the thing itself, which says what identity reached it.
    Gateway,
}

/// What an answer must say.
#[derive(Debug, Clone)]
pub(crate) enum Expected {
    /// Pass, with these values in the headers of [`IDENTITY`].
    Allowed(Arc<[String; 3]>),
    /// 401, and no identity.
    Unauthenticated,
}

/// Whether the server under measurement decides, or only answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judged {
    /// Every answer must be the one expected.
    Wholly,
    /// A server that does nothing: every answer must be "pass".
    AsNoOp,
}

/// A question: its bytes on the wire, and its answer.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    /// A gRPC message with its prefix, or a whole HTTP/1.1 request.
    pub(crate) wire: Bytes,
    expected: Expected,
}

/// Questions by number, as many as are wanted.
#[derive(Clone)]
pub(crate) enum Asks {
    /// Written before the clock runs; over and over again.
    Written(Arc<[Ask]>),
    /// Made when they are asked, where so many different ones would not fit into memory.
    Made {
        /// Makes the one of a number.
        maker: Arc<dyn Fn(usize) -> Ask + Send + Sync>,
        /// How many are different.
        among: usize,
    },
}

impl Asks {
    /// The question of a number.
    pub(crate) fn get(&self, number: usize) -> Ask {
        match self {
            Self::Written(asks) => asks[number % asks.len()].clone(),
            Self::Made { maker, among } => maker(number % among),
        }
    }

    /// How many are different.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Written(asks) => asks.len(),
            Self::Made { among, .. } => *among,
        }
    }
}

impl From<&Arc<[Ask]>> for Asks {
    fn from(asks: &Arc<[Ask]>) -> Self {
        Self::Written(Arc::clone(asks))
    }
}

impl From<&Self> for Asks {
    fn from(asks: &Self) -> Self {
        asks.clone()
    }
}

impl std::fmt::Debug for Asks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} questions", self.len())
    }
}

impl Ask {
    /// The question whether a GET of `path` with this token may pass.
    pub(crate) fn new(door: Door, path: &str, token: &str, expected: Expected) -> Self {
        let wire = match door {
            Door::Grpc => grpc(path, token),
            Door::AuthRequest => http1("/auth-request", &nginx(path), token),
            Door::ForwardAuth => http1("/forward-auth", &traefik(path), token),
            Door::Gateway => http1(path, &[("host", "api.example.com".to_owned())], token),
        };
        Self { wire, expected }
    }

    /// What is wrong with a gRPC answer.
    pub(crate) fn judge_message(&self, judged: Judged, message: Bytes) -> Result<(), String> {
        let answer = CheckResponse::decode(message).map_err(|error| error.to_string())?;
        let code = answer.status.as_ref().map(|status| status.code);
        match (judged, &self.expected, code, &answer.http_response) {
            (Judged::AsNoOp, _, Some(0), Some(HttpResponse::OkResponse(_))) => Ok(()),
            (
                Judged::Wholly,
                Expected::Allowed(identity),
                Some(0),
                Some(HttpResponse::OkResponse(ok)),
            ) => {
                let set = ok.headers.iter().filter_map(|option| {
                    let header = option.header.as_ref()?;
                    let value = if header.raw_value.is_empty() {
                        header.value.as_bytes()
                    } else {
                        &header.raw_value
                    };
                    Some((header.key.as_str(), value))
                });
                judge_identity(identity, set)
            }
            (
                Judged::Wholly,
                Expected::Unauthenticated,
                Some(16),
                Some(HttpResponse::DeniedResponse(denied)),
            ) if denied
                .status
                .as_ref()
                .is_some_and(|status| status.code == 401) =>
            {
                Ok(())
            }
            _ => Err(format!("expected {:?}, not {answer:?}", self.expected)),
        }
    }

    /// What is wrong with an HTTP answer.
    pub(crate) fn judge_head(&self, judged: Judged, head: &str) -> Result<(), String> {
        let (line, fields) = head.split_once("\r\n").unwrap_or((head, ""));
        let status = line.split(' ').nth(1).unwrap_or_default();
        let set = fields.split("\r\n").filter_map(|field| {
            let (name, value) = field.split_once(':')?;
            Some((name, value.trim().as_bytes()))
        });
        match (judged, &self.expected, status) {
            (Judged::AsNoOp, _, "200") => Ok(()),
            (Judged::Wholly, Expected::Allowed(identity), "200") => judge_identity(identity, set),
            (Judged::Wholly, Expected::Unauthenticated, "401") => match is_identity(set).next() {
                None => Ok(()),
                Some(_) => Err("a denial says an identity".to_owned()),
            },
            _ => Err(format!("expected {:?}, not {line:?}", self.expected)),
        }
    }
}

fn is_identity<'f>(
    fields: impl Iterator<Item = (&'f str, &'f [u8])>,
) -> impl Iterator<Item = (usize, &'f [u8])> {
    fields.filter_map(|(name, value)| {
        let at = IDENTITY
            .iter()
            .position(|known| known.eq_ignore_ascii_case(name))?;
        Some((at, value))
    })
}

/// Each identity header once, with its value.
fn judge_identity<'f>(
    identity: &[String; 3],
    fields: impl Iterator<Item = (&'f str, &'f [u8])>,
) -> Result<(), String> {
    let mut said = [0; 3];
    for (at, value) in is_identity(fields) {
        if value != identity[at].as_bytes() {
            return Err(format!("{} is not {:?}", IDENTITY[at], identity[at]));
        }
        said[at] += 1;
    }
    match said {
        [1, 1, 1] => Ok(()),
        _ => Err(format!("the identity headers are said {said:?} times")),
    }
}

fn grpc(path: &str, token: &str) -> Bytes {
    let pseudo = [
        (":method", "GET"),
        (":path", path),
        (":authority", "api.example.com"),
        (":scheme", "https"),
    ];
    let credential = format!("Bearer {token}");
    let headers = FIELDS
        .iter()
        .chain(&pseudo)
        .chain([&("authorization", credential.as_str())])
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let peer = |address: &str, port| Peer {
        address: Some(Address {
            address: Some(address::Address::SocketAddress(SocketAddress {
                address: address.to_owned(),
                port_specifier: Some(socket_address::PortSpecifier::PortValue(port)),
                ..SocketAddress::default()
            })),
        }),
        ..Peer::default()
    };
    let message = CheckRequest {
        attributes: Some(AttributeContext {
            source: Some(peer("203.0.113.7", 51324)),
            destination: Some(peer("10.0.0.4", 8443)),
            request: Some(Request {
                http: Some(HttpRequest {
                    id: "1234567890123456789".to_owned(),
                    method: "GET".to_owned(),
                    headers,
                    path: path.to_owned(),
                    host: "api.example.com".to_owned(),
                    scheme: "https".to_owned(),
                    protocol: "HTTP/1.1".to_owned(),
                    ..HttpRequest::default()
                }),
                ..Request::default()
            }),
            ..AttributeContext::default()
        }),
    };
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(5 + length);
    // Not compressed, then the length (the prefix of a gRPC message).
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).expect("a question is short"));
    message.encode(&mut frame).expect("the buffer grows");
    frame.freeze()
}

fn nginx(path: &str) -> Vec<(&'static str, String)> {
    vec![
        ("host", "api.example.com".to_owned()),
        ("x-original-method", "GET".to_owned()),
        ("x-original-uri", path.to_owned()),
    ]
}

fn traefik(path: &str) -> Vec<(&'static str, String)> {
    vec![
        ("host", "gatefort.internal".to_owned()),
        ("x-forwarded-method", "GET".to_owned()),
        ("x-forwarded-host", "api.example.com".to_owned()),
        ("x-forwarded-uri", path.to_owned()),
    ]
}

fn http1(target: &str, own: &[(&str, String)], token: &str) -> Bytes {
    let mut text = format!("GET {target} HTTP/1.1\r\n");
    let own = own.iter().map(|(name, value)| (*name, value.as_str()));
    for (name, value) in own.chain(FIELDS) {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("authorization: Bearer {token}\r\n\r\n"));
    text.into()
}
