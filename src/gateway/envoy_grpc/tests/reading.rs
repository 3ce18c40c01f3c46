//! What is read of a `CheckRequest`.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::gateway::OnUnavailable;
use crate::gateway::testing::answers;
use envoy::check_response::HttpResponse;
use oracle::pb::envoy::service::auth::v3::attribute_context::http_request::HeadersEntry;

#[test]
fn reads_every_field_that_it_uses() {
    let message = sent(http(), Some(peer("198.51.100.7")));
    let request = read(&message).unwrap();
    assert_eq!(request.method.as_str(), "PATCH");
    assert_eq!(request.host.as_str(), "api.example.com");
    assert_eq!(request.path.as_str(), "/orders/1");
    assert_eq!(request.query, Some("next=/public"));
    assert_eq!(request.client, Some("198.51.100.7".parse().unwrap()));
    assert_eq!(request.client_principal, Some("spiffe://example.com/front"));
    assert_eq!(request.removal, HeaderRemoval::Able);
    let mut fields: Vec<_> = request.headers.iter().collect();
    fields.sort_unstable();
    let expected: [(&str, &[u8]); 2] = [("authorization", b"Bearer t"), ("x-request-id", b"r-1")];
    assert_eq!(fields, expected);
}

/// `encode_raw_headers: true`.
#[test]
fn raw_headers_read_alike() {
    let header = |key: &str, value: &str, raw: &[u8]| core::HeaderValue {
        key: key.to_owned(),
        value: value.to_owned(),
        raw_value: raw.to_vec(),
    };
    let raw = context::HttpRequest {
        headers: std::collections::HashMap::new(),
        header_map: Some(core::HeaderMap {
            headers: vec![
                header(":path", "", b"/public"),
                header("Authorization", "", b"Bearer t"),
                header("x-odd", "", b"\xff"),
                header("x-plain", "p", b""),
                header("x-empty", "", b""),
                header("x-twice", "", b"1"),
                header("x-twice", "", b"2"),
            ],
        }),
        ..http()
    };
    let message = sent(raw.clone(), None);
    let request = read(&message).unwrap();
    let fields: Vec<_> = request.headers.iter().collect();
    let expected: [(&str, &[u8]); 6] = [
        ("Authorization", b"Bearer t"),
        ("x-odd", b"\xff"),
        ("x-plain", b"p"),
        ("x-empty", b""),
        ("x-twice", b"1"),
        ("x-twice", b"2"),
    ];
    assert_eq!(fields, expected);
    assert_eq!((request.client, request.client_principal), (None, None));

    let both = context::HttpRequest {
        header_map: Some(core::HeaderMap {
            headers: vec![header("x", "a", b"b")],
        }),
        ..raw
    };
    assert_eq!(
        read(&sent(both, None)).unwrap_err(),
        DenyReason::HeaderInvalid
    );
}

#[test]
fn the_client_is_an_address_or_unknown() {
    let client = |address: &str| read(&sent(http(), Some(peer(address)))).unwrap().client;
    assert_eq!(
        client("::ffff:192.0.2.1"),
        Some("192.0.2.1".parse().unwrap())
    );
    assert_eq!(client("2001:db8::1"), Some("2001:db8::1".parse().unwrap()));
    assert_eq!(client("example.com"), None);
    let pipe = context::Peer {
        address: Some(core::Address {
            address: Some(core::address::Address::Pipe(core::Pipe {
                path: "/run/x".to_owned(),
                mode: 0,
            })),
        }),
        ..Default::default()
    };
    assert_eq!(read(&sent(http(), Some(pipe))).unwrap().client, None);
}

#[test]
fn originals_are_there_and_readable() {
    type Change = fn(&mut context::HttpRequest);
    let rows: [(Change, DenyReason); 7] = [
        (|http| http.method.clear(), DenyReason::OriginalMissing),
        (|http| http.host.clear(), DenyReason::OriginalMissing),
        (|http| http.path.clear(), DenyReason::OriginalMissing),
        (|http| http.path = "*".to_owned(), DenyReason::PathAmbiguous),
        (
            |http| http.path = "/a/../b".to_owned(),
            DenyReason::PathAmbiguous,
        ),
        (|http| http.host = "a b".to_owned(), DenyReason::HostInvalid),
        (
            |http| http.method = "G T".to_owned(),
            DenyReason::MethodInvalid,
        ),
    ];
    for (change, reason) in rows {
        let mut http = http();
        change(&mut http);
        assert_eq!(read(&sent(http, None)).unwrap_err(), reason);
    }
    assert_eq!(read(b"").unwrap_err(), DenyReason::OriginalMissing);
}

/// Bytes that are no text are a denial of this request, not a failure to decode.
#[test]
fn bytes_that_are_no_text_are_judged() {
    type Change = fn(&mut HttpRequest, Bytes);
    let rows: [(Change, Option<DenyReason>); 5] = [
        (
            |http, odd| http.method = odd,
            Some(DenyReason::MethodInvalid),
        ),
        (|http, odd| http.host = odd, Some(DenyReason::HostInvalid)),
        (|http, odd| http.path = odd, Some(DenyReason::PathAmbiguous)),
        (
            |http, key| {
                http.headers.push(HeadersEntry {
                    key,
                    value: Bytes::new(),
                })
            },
            Some(DenyReason::HeaderInvalid),
        ),
        // A value is bytes: whoever reads this header judges it.
        (
            |http, value| {
                http.headers.push(HeadersEntry {
                    key: "x".into(),
                    value,
                })
            },
            None,
        ),
    ];
    for (change, reason) in rows {
        let message = changed(|http| change(http, Bytes::from_static(b"/\xff")));
        assert_eq!(read(&message).err(), reason);
    }
}

proptest! {
    /// Whatever bytes come, reading them does not panic, and what is unreadable is denied.
    #[test]
    fn read_then_write_of_anything_unreadable_is_a_denial(
        method in prop::collection::vec(any::<u8>(), 0..8),
        host in prop::collection::vec(any::<u8>(), 0..24),
        path in prop::collection::vec(any::<u8>(), 0..48),
        key in prop::collection::vec(any::<u8>(), 0..8),
        value in prop::collection::vec(any::<u8>(), 0..8),
    ) {
        let message = changed(|http| {
            http.method = method.into();
            http.host = host.into();
            http.path = path.into();
            http.headers.push(HeadersEntry { key: key.into(), value: value.into() });
        });
        if let Err(reason) = read(&message) {
            let answers = answers(OnUnavailable::Deny, true);
            let written = written(&Decision::Deny(reason.into()), None, None, &answers);
            let answer = envoy::CheckResponse::decode(written.as_slice()).unwrap();
            prop_assert_eq!(answer.status.unwrap().code, 3);
            prop_assert!(matches!(answer.http_response, Some(HttpResponse::DeniedResponse(_))));
        }
    }
}
