//! What is taken for a plain head, and that hyper reads the same in it.

use std::convert::Infallible;
use std::sync::Mutex;

use bytes::Bytes;
use http::{Request as Asked, Response};
use http_body_util::Empty;
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

use super::*;

const MOST: usize = 64 * 1024;

/// A head as its reader understands it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Understood {
    method: String,
    target: String,
    fields: Vec<(String, Vec<u8>)>,
}

/// What is understood of a plain head, if it is one.
fn plain(bytes: &[u8]) -> Option<Understood> {
    let Form::Plain(Head { call, .. }) = Head::read(bytes, MOST) else {
        return None;
    };
    assert_eq!(call.authority, None);
    Some(Understood {
        method: call.method.to_owned(),
        target: call.target.to_owned(),
        fields: call
            .headers
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_vec()))
            .collect(),
    })
}

/// What hyper understands of it, if it says that there is no body.
async fn by_hyper(bytes: &[u8]) -> Option<Understood> {
    let first = Mutex::new(None);
    let (mut peer, ours) = duplex(MOST);
    peer.write_all(bytes).await.unwrap();
    peer.shutdown().await.unwrap();
    let answer = service_fn(async |request: Asked<Incoming>| {
        let understood = Understood {
            method: request.method().to_string(),
            target: request.uri().path_and_query().unwrap().to_string(),
            fields: request
                .headers()
                .iter()
                .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
                .collect(),
        };
        let understood = request.body().is_end_stream().then_some(understood);
        first.lock().unwrap().get_or_insert(understood);
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    });
    let served = hyper::server::conn::http1::Builder::new()
        .half_close(true)
        .serve_connection(TokioIo::new(ours), answer);
    let mut answers = Vec::new();
    let (_ended, _read) = tokio::join!(served, peer.read_to_end(&mut answers));
    first.into_inner().unwrap().flatten()
}

fn hyper_agrees(bytes: &[u8]) -> bool {
    let Some(understood) = plain(bytes) else {
        return true;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let mut expected = runtime.block_on(by_hyper(bytes));
    // hyper's map has the values of one name together.
    let mut understood = understood;
    understood.fields.sort();
    if let Some(expected) = &mut expected {
        expected.fields.sort();
    }
    assert_eq!(
        Some(understood),
        expected,
        "{:?}",
        bytes.escape_ascii().to_string()
    );
    false
}

#[test]
fn what_gateways_send_is_plain() {
    let sent = "GET /auth-request?a=%2F HTTP/1.1\r\nHost: a.example.com\r\nX-Original-URI:  /b \r\nX-Empty:\r\n\
                x-utf8: zo\u{eb}\r\nConnection: Keep-Alive\r\nContent-Length: 0\r\n\r\nGET / HTTP/1.1\r\n";
    let understood = plain(sent.as_bytes()).unwrap();
    assert_eq!(understood.method, "GET");
    assert_eq!(understood.target, "/auth-request?a=%2F");
    let field = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
    assert_eq!(
        understood.fields,
        [
            field("host", "a.example.com"),
            field("x-original-uri", "/b"),
            field("x-empty", ""),
            field("x-utf8", "zo\u{eb}"),
            field("connection", "Keep-Alive"),
            field("content-length", "0"),
        ]
    );
    assert!(!hyper_agrees(sent.as_bytes()));
}

#[test]
fn the_last_request_of_a_connection_says_so() {
    for (value, expected) in [("close", true), ("Close", true), ("keep-alive", false)] {
        let bytes = format!("GET / HTTP/1.1\r\nConnection: {value}\r\n\r\n");
        let Form::Plain(head) = Head::read(bytes.as_bytes(), MOST) else {
            panic!("{value} is plain");
        };
        assert_eq!(head.closes, expected, "{value}");
    }
}

#[test]
fn whatever_wants_more_than_an_answer_is_not_plain() {
    for line in [
        "POST / HTTP/1.0",
        "GET / HTTP/2.0",
        "PRI * HTTP/2.0",
        "OPTIONS * HTTP/1.1",
        "CONNECT a:443 HTTP/1.1",
        "GET http://a/ HTTP/1.1",
        "GET /a#b HTTP/1.1",
        "GET a HTTP/1.1",
        "G@T / HTTP/1.1",
        "GET  / HTTP/1.1",
    ] {
        assert_eq!(
            plain(format!("{line}\r\nhost: a\r\n\r\n").as_bytes()),
            None,
            "{line}"
        );
    }
    for fields in [
        "Content-Length: 1",
        "Content-Length: +0",
        "Content-Length: 00",
        "Content-Length: 0, 0",
        "Content-Length: 0\r\nContent-Length: 0",
        "Transfer-Encoding: chunked",
        "TRANSFER-ENCODING: identity",
        "Expect: 100-continue",
        "Upgrade: h2c",
        "Trailer: a",
        "TE: trailers",
        "Connection: upgrade",
        "Connection: close, x-original-uri",
        "Connection: x-original-uri",
        "Connection:",
        "a: b\r\n c",
        "a : b",
        "a: b\0",
        "a b",
    ] {
        let bytes = format!("GET / HTTP/1.1\r\nhost: a\r\n{fields}\r\n\r\n");
        assert_eq!(plain(bytes.as_bytes()), None, "{fields}");
    }
}

#[test]
fn a_head_is_no_longer_than_the_limit_and_has_no_more_fields_than_hyper_takes() {
    let bytes = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    let length = bytes.len();
    assert!(matches!(Head::read(bytes, length), Form::Plain(_)));
    assert!(matches!(Head::read(bytes, length - 1), Form::Other));
    let half = &bytes[..length - 1];
    assert!(matches!(Head::read(half, length), Form::Partial));
    assert!(matches!(Head::read(half, length - 1), Form::Other));

    let with = |fields: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(fields));
    assert!(!hyper_agrees(with(MAX_FIELDS).as_bytes()));
    assert_eq!(plain(with(MAX_FIELDS + 1).as_bytes()), None);
}

proptest! {
    /// Pieces of heads, good and bad, in any order.
    #[test]
    fn hyper_reads_the_same_in_whatever_is_plain(
        line in prop::sample::select(vec![
            "GET /auth-request HTTP/1.1", "HEAD /x?y=#z HTTP/1.1", "GET /{}|\\^`\"<> HTTP/1.1", "M-SEARCH //a HTTP/1.1",
            "get /a?b?c%zz HTTP/1.1", "GET /a HTTP/1.1 ", "GET\t/a HTTP/1.1", "\r\n\r\nGET / HTTP/1.1", "GET /\u{7f} HTTP/1.1", "GET /\u{e9}?\u{e9} HTTP/1.1",
        ]),
        pieces in prop::collection::vec(prop::sample::select(vec![
            "host: a", "Host: b", "HOST:c", "x-original-uri: /a,b", "X_Original_Uri: /p", "content-length: 0", "Content-Length: 00",
            "content-length: 3", "transfer-encoding: chunked", "Transfer-Encoding: identity", "connection: close",
            "Connection: keep-alive", "connection: keep-alive, close", "connection: x", "te: trailers", "expect: 100-continue",
            "a:", "a: \t", "a: b ", ": b", "a", " folded", "a: \u{e9}", "a: b\u{1}", "upgrade: websocket", "a\u{e9}: b",
        ]), 0..6),
        ends in prop::sample::select(vec!["\r\n", "\n", "\r"]),
        flip in prop::option::of((0usize..200, any::<u8>())),
    ) {
        let mut bytes = [&[line], &pieces[..], &["", ""]].concat().join(ends).into_bytes();
        if let Some((place, byte)) = flip
            && let Some(changed) = bytes.get_mut(place)
        {
            *changed = byte;
        }
        hyper_agrees(&bytes);
    }
}
