//! The doors of nginx and its family.
//!
//! nginx `auth_request` reads `X-Original-Method`, `X-Original-URI` and `Host`; ingress-nginx and
//! its heirs send `X-Original-Method` and `X-Original-URL`. nginx hands a client's other fields
//! through to us, `X-Forwarded-*` and the other door's field included: they are never read here.

use super::call::Call;
use super::originals::{HOST, Originals};
use crate::domain::reason::DenyReason;
use crate::domain::request::{Host, Method, RequestContext};

const METHOD: &str = "x-original-method";
const URI: &str = "x-original-uri";
const URL: &str = "x-original-url";

/// Reads what nginx says: `/auth-request`.
pub(super) fn read(call: Call<'_>) -> Result<RequestContext<'_>, DenyReason> {
    let originals = Originals::new(call, &[METHOD, URI, HOST])?;
    let (method, target) = (originals.one_item(METHOD)?, originals.one(URI)?);
    let host = originals.authority()?;
    context(originals, method, host, target)
}

/// Reads what ingress-nginx says: `/auth-request/url`.
pub(super) fn read_url(call: Call<'_>) -> Result<RequestContext<'_>, DenyReason> {
    let originals = Originals::new(call, &[METHOD, URL])?;
    let (method, url) = (originals.one_item(METHOD)?, originals.one(URL)?);
    let (host, target) = split_url(url)?;
    context(originals, method, host, target)
}

fn context<'w>(
    originals: Originals<'w>,
    method: &'w str,
    host: &'w str,
    target: &'w str,
) -> Result<RequestContext<'w>, DenyReason> {
    originals.request(Method::parse(method)?, Host::parse(host)?, target, None)
}

/// Splits `scheme://host/target`, which nginx writes as `$scheme://$http_host$request_uri`.
///
/// Only the first `/` may end the host: a client's `Host` with a `?` or `#` in it would otherwise
/// cut the path off.
fn split_url(url: &str) -> Result<(&str, &str), DenyReason> {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))
        .ok_or(DenyReason::OriginalMissing)?;
    let slash = rest.find('/').ok_or(DenyReason::OriginalMissing)?;
    let (host, target) = rest.split_at(slash);
    if host.is_empty() {
        return Err(DenyReason::OriginalMissing);
    }
    if host.contains(',') {
        return Err(DenyReason::OriginalRepeated);
    }
    if host.contains(['@', '?', '#', '\\']) {
        return Err(DenyReason::HostInvalid);
    }
    Ok((host, target))
}

#[cfg(test)]
mod tests {
    use http::request::Parts;

    use super::*;
    use crate::domain::request::HeaderRemoval;
    use crate::gateway::testing::parts;

    const GOOD: &[(&str, &str)] = &[
        ("host", "api.example.com"),
        ("x-original-method", "DELETE"),
        ("x-original-uri", "/orders/1?x=/public"),
        ("authorization", "Bearer t"),
    ];

    fn with(extra: &[(&'static str, &'static str)]) -> Parts {
        parts("GET", "/auth-request", &[GOOD, extra].concat())
    }

    fn without(name: &str) -> Parts {
        let fields: Vec<_> = GOOD
            .iter()
            .filter(|(known, _)| *known != name)
            .copied()
            .collect();
        parts("GET", "/auth-request", &fields)
    }

    #[test]
    fn reads_the_original_request() {
        let parts = with(&[]);
        let request = read(Call::of(&parts)).unwrap();
        assert_eq!(request.method.as_str(), "DELETE");
        assert_eq!(request.host.as_str(), "api.example.com");
        assert_eq!(request.path.as_str(), "/orders/1");
        assert_eq!(request.query, Some("x=/public"));
        assert_eq!(request.client, None);
        assert_eq!(request.removal, HeaderRemoval::Unable);
        let headers: Vec<_> = request.headers.iter().collect();
        assert_eq!(headers, [("authorization", b"Bearer t".as_slice())]);
    }

    #[test]
    fn other_doors_fields_and_our_own_query_steer_nothing() {
        let fields = [
            GOOD,
            &[
                ("x-original-url", "https://evil.example.com/public"),
                ("x-forwarded-uri", "/public"),
                ("x-forwarded-method", "OPTIONS"),
                ("x-forwarded-host", "evil.example.com"),
                ("x-http-method-override", "OPTIONS"),
                ("x-rewrite-url", "/public"),
            ],
        ]
        .concat();
        let parts = parts("POST", "/auth-request?uri=/public&method=OPTIONS", &fields);
        let request = read(Call::of(&parts)).unwrap();
        assert_eq!(request.method.as_str(), "DELETE");
        assert_eq!(request.host.as_str(), "api.example.com");
        assert_eq!(request.path.as_str(), "/orders/1");
    }

    #[test]
    fn each_original_is_there_exactly_once() {
        for name in ["host", "x-original-method", "x-original-uri"] {
            assert_eq!(
                read(Call::of(&without(name))).unwrap_err(),
                DenyReason::OriginalMissing,
                "{name}"
            );
        }
        for (name, value, reason) in [
            ("host", "api.example.com", DenyReason::OriginalRepeated),
            ("x-original-method", "DELETE", DenyReason::OriginalRepeated),
            ("x-original-uri", "/orders/1", DenyReason::OriginalRepeated),
            ("X_Original_Uri", "/public", DenyReason::HeaderAlias),
            ("X.Original.Uri", "/public", DenyReason::HeaderAlias),
            ("x-original_method", "GET", DenyReason::HeaderAlias),
            ("connection", "close, X-Original-URI", DenyReason::HopByHop),
        ] {
            assert_eq!(
                read(Call::of(&with(&[(name, value)]))).unwrap_err(),
                reason,
                "{name}"
            );
        }
    }

    #[test]
    fn lists_and_empty_values_are_no_originals() {
        for (name, value, reason) in [
            (
                "x-original-method",
                "GET, DELETE",
                DenyReason::OriginalRepeated,
            ),
            (
                "host",
                "a.example.com,b.example.com",
                DenyReason::OriginalRepeated,
            ),
            ("x-original-method", "", DenyReason::OriginalMissing),
            ("x-original-uri", "", DenyReason::OriginalMissing),
            ("host", "", DenyReason::OriginalMissing),
            ("x-original-uri", "/caf\u{e9}", DenyReason::HeaderInvalid),
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
            let parts = parts("GET", "/auth-request", &fields);
            assert_eq!(
                read(Call::of(&parts)).unwrap_err(),
                reason,
                "{name}: {value:?}"
            );
        }
    }

    fn url(url: &str) -> Result<(String, String), DenyReason> {
        let parts = parts(
            "GET",
            "/auth-request/url",
            &[
                ("host", "gatefort.internal"),
                ("x-original-method", "GET"),
                ("x-original-url", url),
                ("x-original-uri", "/public"),
            ],
        );
        let request = read_url(Call::of(&parts))?;
        Ok((
            request.host.as_str().to_owned(),
            request.path.as_str().to_owned(),
        ))
    }

    #[test]
    fn host_and_path_come_from_the_url() {
        assert_eq!(
            url("https://api.example.com:8443/orders/1?a=b").unwrap(),
            ("api.example.com".to_owned(), "/orders/1".to_owned())
        );
        assert_eq!(
            url("http://[::1]/").unwrap(),
            ("[::1]".to_owned(), "/".to_owned())
        );
    }

    #[test]
    fn a_url_has_one_reading() {
        for (bad, reason) in [
            ("/orders", DenyReason::OriginalMissing),
            ("ftp://api.example.com/", DenyReason::OriginalMissing),
            ("https://api.example.com", DenyReason::OriginalMissing),
            ("https:///orders", DenyReason::OriginalMissing),
            ("https://api.example.com?x=/public", DenyReason::HostInvalid),
            ("https://api.example.com#/public", DenyReason::HostInvalid),
            ("https://good.example.com\\/public", DenyReason::HostInvalid),
            (
                "https://good.example.com@evil.example.com/",
                DenyReason::HostInvalid,
            ),
            (
                "https://a.example.com,b.example.com/",
                DenyReason::OriginalRepeated,
            ),
        ] {
            assert_eq!(url(bad).unwrap_err(), reason, "{bad}");
        }
        // An absolute-form request line, as nginx would join it.
        assert!(url("https://api.example.comhttp://evil.example.com/public").is_err());
    }
}
