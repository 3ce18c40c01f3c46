//! Which header names must not carry identity.

use crate::domain::request::is_token_char;

/// Why a name must not be an identity header. The text says what to do instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameRefusal {
    /// It is not a field name (RFC 9110 §5.1), as the pseudo-headers of HTTP/2 are not.
    #[error("not a header name: use letters, digits and hyphens")]
    NotAName,
    /// It holds `_`, `.` or another character that is neither letter, digit nor hyphen.
    #[error("gateways drop or confuse header names with `_` or `.`: use hyphens")]
    Separator,
    /// Every hop removes or replaces it (RFC 9110 §7.6.1).
    #[error("this header ends at the next hop: use a name of your own, such as `X-Auth-User`")]
    HopByHop,
    /// It says where the request goes, where it ends, or what its body is.
    #[error(
        "this header is part of how the request is read: use a name of your own, such as `X-Auth-User`"
    )]
    Message,
    /// It carries or asks for credentials.
    #[error("this header carries credentials: use a name of your own, such as `X-Auth-User`")]
    Credentials,
    /// Gateways write or trust it themselves.
    #[error(
        "gateways write or trust this header themselves: use a name of your own, such as `X-Auth-User`"
    )]
    Gateway,
}

const HOP_BY_HOP: &[&str] = &[
    "connection",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

const MESSAGE: &[&str] = &[
    "accept",
    "accept-encoding",
    "cache-control",
    "content-encoding",
    "content-length",
    "content-location",
    "content-range",
    "content-type",
    "date",
    "expect",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "location",
    "max-forwards",
    "origin",
    "range",
    "referer",
    "retry-after",
    "user-agent",
    "vary",
];

const CREDENTIALS: &[&str] = &[
    "authentication-info",
    "authorization",
    "cookie",
    "dpop",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "set-cookie",
    "www-authenticate",
];

const GATEWAY: &[&str] = &[
    "forwarded",
    "traceparent",
    "tracestate",
    "true-client-ip",
    "via",
    "x-client-ip",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-real-ip",
    "x-request-id",
    "x-rewrite-url",
];

const GATEWAY_PREFIXES: &[&str] = &[
    "cf-",
    "x-accel-",
    "x-b3-",
    "x-envoy-",
    "x-ext-authz-",
    "x-forwarded-",
    "x-original-",
];

/// What oauth2-proxy and those that follow it tell applications, in the gateways' own family of names.
/// No gateway writes or trusts these, and applications are there that read them.
const GATEWAY_EXCEPTIONS: &[&str] = &[
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-forwarded-user",
];

/// Why a name must not be an identity header.
pub(super) fn reject_reason(name: &str) -> Option<NameRefusal> {
    if name.is_empty() || !name.bytes().all(is_token_char) {
        return Some(NameRefusal::NotAName);
    }
    let name = name.to_ascii_lowercase();
    if name
        .bytes()
        .any(|byte| !byte.is_ascii_alphanumeric() && byte != b'-')
    {
        return Some(NameRefusal::Separator);
    }
    let name = name.as_str();
    if HOP_BY_HOP.contains(&name) {
        Some(NameRefusal::HopByHop)
    } else if CREDENTIALS.contains(&name) {
        Some(NameRefusal::Credentials)
    } else if MESSAGE.contains(&name)
        || name.starts_with("access-control-")
        || name.starts_with("sec-")
    {
        Some(NameRefusal::Message)
    } else if GATEWAY_EXCEPTIONS.contains(&name) {
        None
    } else if GATEWAY.contains(&name)
        || GATEWAY_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
    {
        Some(NameRefusal::Gateway)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_mean_something_else_are_refused() {
        use NameRefusal::*;
        for (name, refused) in [
            ("", NotAName),
            (":authority", NotAName),
            ("x auth", NotAName),
            ("x-aüth", NotAName),
            ("x-auth:", NotAName),
            ("X_Auth_User", Separator),
            ("X.Auth.User", Separator),
            ("x-auth!user", Separator),
            ("Connection", HopByHop),
            ("transfer-encoding", HopByHop),
            ("TE", HopByHop),
            ("Host", Message),
            ("Content-Length", Message),
            ("Sec-Fetch-Site", Message),
            ("Access-Control-Allow-Origin", Message),
            ("Authorization", Credentials),
            ("Cookie", Credentials),
            ("WWW-Authenticate", Credentials),
            ("X-Forwarded-Users", Gateway),
            ("X-Forwarded-For", Gateway),
            ("x-envoy-original-path", Gateway),
            ("X-Original-URL", Gateway),
            ("X-HTTP-Method-Override", Gateway),
            ("Forwarded", Gateway),
        ] {
            assert_eq!(reject_reason(name), Some(refused), "{name}");
        }
    }

    #[test]
    fn names_of_ones_own_are_not() {
        for name in [
            "X-Auth-User",
            "x-user",
            "Remote-User",
            "X-WEBAUTH-USER",
            "user",
            "X-Forwarded-User",
            "X-Host",
            "X-Auth-Roles",
        ] {
            assert_eq!(reject_reason(name), None, "{name}");
        }
    }
}
