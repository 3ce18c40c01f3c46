//! The door of Traefik `forwardAuth`, Caddy `forward_auth`, HAProxy and Apache.
//!
//! They overwrite `X-Forwarded-Method`, `-Host`, `-Uri`, `-Proto` and `-For`, and hand a client's
//! other fields through, `X-Original-*` included: those are never read here.

use std::net::IpAddr;

use super::call::Call;
use super::originals::Originals;
use crate::domain::reason::DenyReason;
use crate::domain::request::{Host, Method, RequestContext};

const METHOD: &str = "x-forwarded-method";
const HOST: &str = "x-forwarded-host";
const URI: &str = "x-forwarded-uri";
const PROTO: &str = "x-forwarded-proto";
const FOR: &str = "x-forwarded-for";

/// Reads what the gateway says: `/forward-auth`.
pub(super) fn read(call: Call<'_>) -> Result<RequestContext<'_>, DenyReason> {
    let originals = Originals::new(call, &[METHOD, HOST, URI, PROTO, FOR])?;
    let method = Method::parse(originals.one_item(METHOD)?)?;
    let host = Host::parse(originals.one_item(HOST)?)?;
    let target = originals.one(URI)?;
    let client = nearest_hop(&originals);
    originals.request(method, host, target, client)
}

/// The right-most entry of `X-Forwarded-For`: the one that the gateway itself appended.
///
/// All to its left is the client's word. An entry that is no plain address is nobody's.
fn nearest_hop(originals: &Originals<'_>) -> Option<IpAddr> {
    let last = originals.all(FOR).last()?;
    let entry = last.rsplit(|byte| *byte == b',').next()?.trim_ascii();
    let address: IpAddr = std::str::from_utf8(entry).ok()?.parse().ok()?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::request::Parts;

    use super::*;
    use crate::domain::request::HeaderRemoval;
    use crate::gateway::testing::parts;

    const GOOD: &[(&str, &str)] = &[
        ("host", "gatefort.internal"),
        ("x-forwarded-method", "PATCH"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "API.example.com:443"),
        ("x-forwarded-uri", "/orders/1?next=/public"),
        ("x-forwarded-for", "203.0.113.9, 198.51.100.7"),
        ("cookie", "a=b"),
    ];

    fn with(extra: &[(&'static str, &'static str)]) -> Parts {
        parts("GET", "/forward-auth", &[GOOD, extra].concat())
    }

    #[test]
    fn reads_the_original_request() {
        let parts = with(&[]);
        let request = read(Call::of(&parts)).unwrap();
        assert_eq!(request.method.as_str(), "PATCH");
        assert_eq!(request.host.as_str(), "api.example.com");
        assert_eq!(request.path.as_str(), "/orders/1");
        assert_eq!(request.query, Some("next=/public"));
        assert_eq!(request.client, Some("198.51.100.7".parse().unwrap()));
        assert_eq!(request.removal, HeaderRemoval::Unable);
        let headers: Vec<_> = request.headers.iter().collect();
        assert_eq!(headers, [("cookie", b"a=b".as_slice())]);
    }

    #[test]
    fn other_doors_fields_and_our_own_request_line_steer_nothing() {
        let fields = [
            GOOD,
            &[
                ("x-original-url", "https://evil.example.com/public"),
                ("x-original-uri", "/public"),
                ("x-original-method", "OPTIONS"),
                ("forwarded", "host=evil.example.com"),
                ("x-forwarded-prefix", "/public"),
            ],
        ]
        .concat();
        let parts = parts("HEAD", "/forward-auth?uri=/public", &fields);
        let request = read(Call::of(&parts)).unwrap();
        assert_eq!(request.method.as_str(), "PATCH");
        assert_eq!(request.host.as_str(), "api.example.com");
        assert_eq!(request.path.as_str(), "/orders/1");
    }

    #[test]
    fn each_original_is_there_exactly_once() {
        for name in ["x-forwarded-method", "x-forwarded-host", "x-forwarded-uri"] {
            let fields: Vec<_> = GOOD
                .iter()
                .filter(|(known, _)| *known != name)
                .copied()
                .collect();
            let missing = parts("GET", "/forward-auth", &fields);
            assert_eq!(
                read(Call::of(&missing)).unwrap_err(),
                DenyReason::OriginalMissing,
                "{name}"
            );
            let repeated = with(&[(name, "x")]);
            assert_eq!(
                read(Call::of(&repeated)).unwrap_err(),
                DenyReason::OriginalRepeated,
                "{name}"
            );
        }
        for (name, value, reason) in [
            ("X_Forwarded_Uri", "/public", DenyReason::HeaderAlias),
            ("X.Forwarded.Uri", "/public", DenyReason::HeaderAlias),
            ("x_forwarded-for", "127.0.0.1", DenyReason::HeaderAlias),
            ("connection", "X-Forwarded-For", DenyReason::HopByHop),
            (
                "connection",
                "keep-alive ,x-forwarded-uri",
                DenyReason::HopByHop,
            ),
        ] {
            assert_eq!(
                read(Call::of(&with(&[(name, value)]))).unwrap_err(),
                reason,
                "{name}"
            );
        }
    }

    #[test]
    fn lists_are_no_originals() {
        for (name, value) in [
            ("x-forwarded-method", "GET,PATCH"),
            ("x-forwarded-host", "a.example.com, b.example.com"),
        ] {
            let fields: Vec<_> = GOOD
                .iter()
                .map(|field| {
                    if field.0 == name {
                        (name, value)
                    } else {
                        *field
                    }
                })
                .collect();
            let parts = parts("GET", "/forward-auth", &fields);
            assert_eq!(
                read(Call::of(&parts)).unwrap_err(),
                DenyReason::OriginalRepeated,
                "{name}"
            );
        }
    }

    #[test]
    fn the_client_is_the_nearest_hop_or_unknown() {
        let client = |values: &[&'static str]| {
            let fields: Vec<_> = GOOD
                .iter()
                .filter(|(name, _)| *name != FOR)
                .copied()
                .chain(values.iter().map(|value| (FOR, *value)))
                .collect();
            let parts = parts("GET", "/forward-auth", &fields);
            read(Call::of(&parts))
                .unwrap()
                .client
                .map(|address| address.to_string())
        };
        assert_eq!(client(&[]), None);
        assert_eq!(
            client(&["10.0.0.1", "192.0.2.1"]),
            Some("192.0.2.1".to_owned())
        );
        assert_eq!(client(&["::ffff:192.0.2.1"]), Some("192.0.2.1".to_owned()));
        assert_eq!(client(&["2001:db8::1"]), Some("2001:db8::1".to_owned()));
        for odd in [
            "unknown",
            "192.0.2.1:80",
            "192.0.2.1,",
            "\"192.0.2.1\"",
            "010.0.0.1",
            "for=1.2.3.4",
            "",
        ] {
            assert_eq!(client(&[odd]), None, "{odd}");
        }
    }
}
