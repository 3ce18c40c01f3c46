//! The body of a "no": a problem document (RFC 9457) with a stable `code`.

use bytes::Bytes;
use serde::Serialize;

use super::rejection::Rejection;

/// The media type of the body.
pub(super) const CONTENT_TYPE: &str = "application/problem+json";

/// The members, in the order in which a reader wants them. `type` is absent: `about:blank`.
#[derive(Serialize)]
struct Problem<'a> {
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    request_id: &'a str,
}

/// Writes the body. `request_id` leads the operator to the decision log, where the full reason is.
pub(super) fn body(rejection: &Rejection<'_>, request_id: &str) -> Bytes {
    let problem = Problem {
        title: rejection.status.title(),
        status: rejection.status.http().as_u16(),
        detail: rejection.code.detail(),
        code: rejection.code.code(),
        request_id,
    };
    // Strings and a number always serialize; an empty body would say "no" just as well.
    serde_json::to_vec(&problem).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::reason::DenyReason;
    use crate::telemetry::Door;

    #[test]
    fn golden() {
        let denial = DenyReason::TokenExpired.into();
        let rejection = Rejection::denied(&denial, Door::ForwardAuth);
        assert_eq!(
            body(&rejection, "r-\"1"),
            r#"{"title":"Unauthorized","status":401,"detail":"The access token has expired.","code":"token_expired","request_id":"r-\"1"}"#
        );
    }

    /// Which check failed is for the decision log.
    #[test]
    fn says_nothing_about_the_reason() {
        let bodies: Vec<_> = [
            DenyReason::KidUnknown,
            DenyReason::SignatureInvalid,
            DenyReason::AudienceMismatch,
        ]
        .into_iter()
        .map(|reason| body(&Rejection::denied(&reason.into(), Door::ExtAuthz), "r"))
        .collect();
        assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]));
    }
}
