//! The door of Envoy's HTTP ext_authz, with `path_prefix: /ext-authz`.
//!
//! The request that reaches us *is* the original one, under a prefix: its method, its `Host`,
//! its path and its query. No field about another request is read.

use super::call::Call;
use super::originals::{HOST, Originals};
use crate::domain::reason::DenyReason;
use crate::domain::request::{Host, Method, RequestContext};

/// What Envoy puts before the original path.
const PREFIX: &str = "/ext-authz";

/// Reads the request line and `Host`: `/ext-authz/...`.
pub(super) fn read(call: Call<'_>) -> Result<RequestContext<'_>, DenyReason> {
    let originals = Originals::new(call, &[HOST])?;
    let method = Method::parse(originals.call.method)?;
    let host = Host::parse(originals.authority()?)?;
    // The raw request target: a decoded or normalised one would hide what the upstream is to see.
    let target = originals
        .call
        .target
        .strip_prefix(PREFIX)
        .filter(|target| target.starts_with('/'))
        .ok_or(DenyReason::OriginalMissing)?;
    originals.request(method, host, target, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::request::HeaderRemoval;
    use crate::gateway::testing::parts;

    const HOST: (&str, &str) = (super::HOST, "api.example.com");

    fn path(target: &str) -> Result<String, DenyReason> {
        let parts = parts("GET", target, &[HOST]);
        read(Call::of(&parts)).map(|request| request.path.as_str().to_owned())
    }

    #[test]
    fn the_request_line_is_the_original() {
        let fields = [
            HOST,
            ("authorization", "Bearer t"),
            ("x-forwarded-uri", "/public"),
            ("x-original-uri", "/public"),
            ("x-envoy-original-path", "/public"),
        ];
        let parts = parts("PURGE", "/ext-authz/orders/1?a=%2F", &fields);
        let request = read(Call::of(&parts)).unwrap();
        assert_eq!(request.method.as_str(), "PURGE");
        assert_eq!(request.host.as_str(), "api.example.com");
        assert_eq!(request.path.as_str(), "/orders/1");
        assert_eq!(request.query, Some("a=%2F"));
        assert_eq!(request.headers.all("authorization").count(), 1);
        assert_eq!(request.removal, HeaderRemoval::Unable);
    }

    #[test]
    fn the_prefix_is_taken_off_the_raw_path() {
        assert_eq!(path("/ext-authz/").unwrap(), "/");
        assert_eq!(path("/ext-authz/ext-authz/x").unwrap(), "/ext-authz/x");
        for ambiguous in [
            "/ext-authz/../admin",
            "/ext-authz//admin",
            "/ext-authz/a%2fb",
            "/ext-authz/%2e%2e/x",
        ] {
            assert_eq!(
                path(ambiguous).unwrap_err(),
                DenyReason::PathAmbiguous,
                "{ambiguous}"
            );
        }
        for missing in ["/ext-authz", "/ext-authz?/public", "/ext-authzx", "/"] {
            assert_eq!(
                path(missing).unwrap_err(),
                DenyReason::OriginalMissing,
                "{missing}"
            );
        }
    }

    #[test]
    fn there_is_one_host() {
        let host = |target: &str, fields: &[(&'static str, &'static str)]| {
            let parts = parts("GET", target, fields);
            read(Call::of(&parts)).map(|request| request.host.as_str().to_owned())
        };
        let absolute = "http://api.example.com/ext-authz/x";
        assert_eq!(host(absolute, &[]).unwrap(), "api.example.com");
        assert_eq!(host(absolute, &[HOST]).unwrap(), "api.example.com");
        assert_eq!(
            host(absolute, &[("host", "evil.example.com")]).unwrap_err(),
            DenyReason::OriginalRepeated
        );
        assert_eq!(
            host("/ext-authz/x", &[]).unwrap_err(),
            DenyReason::OriginalMissing
        );
        assert_eq!(
            host("/ext-authz/x", &[HOST, HOST]).unwrap_err(),
            DenyReason::OriginalRepeated
        );
        assert_eq!(
            host("/ext-authz/x", &[("host", "a, b")]).unwrap_err(),
            DenyReason::OriginalRepeated
        );
        assert_eq!(
            host("/ext-authz/x", &[HOST, ("connection", "host")]).unwrap_err(),
            DenyReason::HopByHop
        );
    }
}
