//! THE TABLE: what each decision that is not Allow becomes on each wire.
//!
//! Every door answers from here and from nowhere else. The types have no value that a gateway
//! could read as "allow": no 2xx, no gRPC code 0.

use std::time::Duration;

use http::StatusCode;

use super::OnUnavailable;
use super::challenge::Challenge;
use crate::authorizer::{Decision, Grant};
use crate::domain::reason::{Denial, DenyKind, DenyReason, Outage};
use crate::telemetry::Door;

/// What a door has to write.
#[derive(Debug)]
pub(super) enum Outcome<'d> {
    /// "Pass", with the identity.
    Allow(&'d Grant),
    /// Anything else.
    Reject(Rejection<'d>),
}

/// A "no" in every vocabulary that a wire may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rejection<'d> {
    /// The HTTP status.
    pub(super) status: RejectStatus,
    /// The gRPC code.
    pub(super) grpc: RejectCode,
    /// What the caller is told.
    pub(super) code: PublicCode,
    /// The `WWW-Authenticate` challenge (RFC 6750 §3).
    pub(super) challenge: Option<Challenge<'d>>,
    /// When asking again may help (RFC 9110 §10.2.3).
    pub(super) retry_after: Option<Duration>,
    /// Who has the last word.
    pub(super) finality: Finality,
}

/// The HTTP statuses of a "no".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RejectStatus {
    /// 400
    BadRequest,
    /// 401
    Unauthorized,
    /// 403
    Forbidden,
    /// 503
    ServiceUnavailable,
}

/// The gRPC codes of a "no".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RejectCode {
    /// 3
    InvalidArgument,
    /// 7
    PermissionDenied,
    /// 14
    Unavailable,
    /// 16
    Unauthenticated,
}

/// Whether the gateway's own failure mode may overrule the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finality {
    /// It may not: a denial.
    Denied,
    /// It may: a failure, which the operator asked to be told as one.
    Failed,
}

/// The stable `code` of a problem document.
///
/// Coarser than the reasons of the decision log: a caller learns no more than RFC 6750 §3.1
/// lets a resource server say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PublicCode {
    /// The request cannot be read in one way only.
    BadRequest,
    /// No credentials.
    TokenMissing,
    /// The token was good once.
    TokenExpired,
    /// The token is bad.
    TokenInvalid,
    /// A scope is missing.
    InsufficientScope,
    /// A role is missing.
    InsufficientRole,
    /// Another right is missing.
    Forbidden,
    /// No verdict: try again.
    Unavailable,
}

impl<'d> Outcome<'d> {
    /// Looks a decision up.
    pub(super) fn of(decision: &'d Decision, door: Door, on_unavailable: OnUnavailable) -> Self {
        match decision {
            Decision::Allow(grant) => Self::Allow(grant),
            Decision::Deny(denial) => Self::Reject(Rejection::denied(denial, door)),
            Decision::Unavailable(outage) => {
                Self::Reject(Rejection::unavailable(outage, door, on_unavailable))
            }
        }
    }
}

/// The HTTP status that a door answers a decision with.
#[must_use]
pub fn http_status(decision: &Decision, door: Door, on_unavailable: OnUnavailable) -> StatusCode {
    match Outcome::of(decision, door, on_unavailable) {
        Outcome::Allow(_) => StatusCode::OK,
        Outcome::Reject(rejection) => rejection.status.http(),
    }
}

impl<'d> Rejection<'d> {
    /// The answer to a caller who may not pass.
    pub(super) fn denied(denial: &'d Denial, door: Door) -> Self {
        let (status, grpc, code) = match denial.reason.kind() {
            DenyKind::Unreadable => (
                // nginx turns a 400 into a 500 for its client; 403 is what it can pass on.
                match door {
                    Door::AuthRequest | Door::AuthRequestUrl => RejectStatus::Forbidden,
                    Door::EnvoyGrpc | Door::ExtAuthz | Door::ForwardAuth => {
                        RejectStatus::BadRequest
                    }
                },
                RejectCode::InvalidArgument,
                PublicCode::BadRequest,
            ),
            DenyKind::NoCredentials => (
                RejectStatus::Unauthorized,
                RejectCode::Unauthenticated,
                PublicCode::TokenMissing,
            ),
            DenyKind::InvalidToken => (
                RejectStatus::Unauthorized,
                RejectCode::Unauthenticated,
                if denial.reason == DenyReason::TokenExpired {
                    PublicCode::TokenExpired
                } else {
                    PublicCode::TokenInvalid
                },
            ),
            DenyKind::Forbidden => (
                RejectStatus::Forbidden,
                RejectCode::PermissionDenied,
                if denial.reason == DenyReason::ScopesMissing {
                    PublicCode::InsufficientScope
                } else if denial.reason == DenyReason::RolesMissing {
                    PublicCode::InsufficientRole
                } else {
                    PublicCode::Forbidden
                },
            ),
        };
        let challenge = match code {
            PublicCode::TokenMissing => Some(Challenge::NoCredentials),
            PublicCode::TokenExpired => Some(Challenge::ExpiredToken),
            PublicCode::TokenInvalid => Some(Challenge::InvalidToken),
            PublicCode::InsufficientScope => {
                Some(Challenge::InsufficientScope(denial.scope.as_deref()))
            }
            // RFC 6750 has a word for a repeated credential, none for the other unreadable requests,
            // and none for a right that is no scope.
            PublicCode::BadRequest => (denial.reason == DenyReason::CredentialsSeveral)
                .then_some(Challenge::InvalidRequest),
            PublicCode::InsufficientRole | PublicCode::Forbidden | PublicCode::Unavailable => None,
        };
        Self {
            status,
            grpc,
            code,
            challenge,
            retry_after: None,
            finality: Finality::Denied,
        }
    }

    /// The answer when there is no verdict.
    pub(super) fn unavailable(outage: &Outage, door: Door, on_unavailable: OnUnavailable) -> Self {
        let (status, finality) = match on_unavailable {
            OnUnavailable::Deny => (
                match door {
                    // Envoy lets a 5xx of its HTTP authorizer through under `failure_mode_allow`;
                    // a 403 it does not.
                    Door::ExtAuthz => RejectStatus::Forbidden,
                    Door::EnvoyGrpc
                    | Door::AuthRequest
                    | Door::AuthRequestUrl
                    | Door::ForwardAuth => RejectStatus::ServiceUnavailable,
                },
                Finality::Denied,
            ),
            OnUnavailable::Gateway => (RejectStatus::ServiceUnavailable, Finality::Failed),
        };
        Self {
            status,
            grpc: RejectCode::Unavailable,
            code: PublicCode::Unavailable,
            challenge: None,
            retry_after: Some(outage.retry_after),
            finality,
        }
    }

    /// `Retry-After` in whole seconds, rounded up and at least one: zero would invite a storm.
    pub(super) fn retry_after_seconds(&self) -> Option<u64> {
        self.retry_after.map(|wait| {
            let started_second = u64::from(wait.subsec_nanos() > 0);
            wait.as_secs().saturating_add(started_second).max(1)
        })
    }
}

impl RejectStatus {
    /// As HTTP writes it.
    pub(super) const fn http(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::ServiceUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The status's own name, which RFC 9457 §4.2.1 asks for as the title of an untyped problem.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::BadRequest => "Bad Request",
            Self::Unauthorized => "Unauthorized",
            Self::Forbidden => "Forbidden",
            Self::ServiceUnavailable => "Service Unavailable",
        }
    }
}

impl RejectCode {
    /// As gRPC numbers it.
    pub(super) const fn number(self) -> u16 {
        match self {
            Self::InvalidArgument => 3,
            Self::PermissionDenied => 7,
            Self::Unavailable => 14,
            Self::Unauthenticated => 16,
        }
    }
}

impl PublicCode {
    /// The `code` member of the problem document.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::TokenMissing => "token_missing",
            Self::TokenExpired => "token_expired",
            Self::TokenInvalid => "token_invalid",
            Self::InsufficientScope => "insufficient_scope",
            Self::InsufficientRole => "insufficient_role",
            Self::Forbidden => "forbidden",
            Self::Unavailable => "unavailable",
        }
    }

    /// The `detail` member: one sentence for a human.
    pub(super) const fn detail(self) -> &'static str {
        match self {
            Self::BadRequest => "The request is malformed or ambiguous.",
            Self::TokenMissing => "No access token was sent.",
            Self::TokenExpired => "The access token has expired.",
            Self::TokenInvalid => "The access token is not valid here.",
            Self::InsufficientScope => "The access token lacks a required scope.",
            Self::InsufficientRole => "The access token lacks a required role.",
            Self::Forbidden => "This request is not permitted.",
            Self::Unavailable => "The request cannot be authorized right now; try again.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::reason::OutageReason;

    const DOORS: [Door; 5] = [
        Door::EnvoyGrpc,
        Door::ExtAuthz,
        Door::AuthRequest,
        Door::AuthRequestUrl,
        Door::ForwardAuth,
    ];

    /// The wire table, row by row: HTTP status and gRPC code per door.
    #[test]
    fn table() {
        use DenyReason as R;
        let rows: [(R, [u16; 5], u16, &str); 8] = [
            (
                R::PathAmbiguous,
                [400, 400, 403, 403, 400],
                3,
                "bad_request",
            ),
            (
                R::CredentialsSeveral,
                [400, 400, 403, 403, 400],
                3,
                "bad_request",
            ),
            (R::TokenMissing, [401; 5], 16, "token_missing"),
            (R::SignatureInvalid, [401; 5], 16, "token_invalid"),
            (R::TokenExpired, [401; 5], 16, "token_expired"),
            (R::ScopesMissing, [403; 5], 7, "insufficient_scope"),
            (R::RolesMissing, [403; 5], 7, "insufficient_role"),
            (R::RuleNone, [403; 5], 7, "forbidden"),
        ];
        for (reason, statuses, grpc, code) in rows {
            for (door, status) in DOORS.into_iter().zip(statuses) {
                let denial = reason.into();
                let rejection = Rejection::denied(&denial, door);
                assert_eq!(
                    rejection.status.http().as_u16(),
                    status,
                    "{reason:?} {door:?}"
                );
                assert_eq!(rejection.grpc.number(), grpc, "{reason:?} {door:?}");
                assert_eq!(rejection.code.code(), code, "{reason:?} {door:?}");
                assert_eq!(rejection.finality, Finality::Denied);
                assert_eq!(rejection.retry_after, None);
            }
        }
    }

    #[test]
    fn outages_stay_closed_unless_the_operator_hands_them_over() {
        for &reason in OutageReason::ALL {
            let outage = reason.into();
            for (door, status) in DOORS.into_iter().zip([503, 403, 503, 503, 503]) {
                let closed = Rejection::unavailable(&outage, door, OnUnavailable::Deny);
                assert_eq!(closed.status.http().as_u16(), status, "{door:?}");
                assert_eq!(closed.finality, Finality::Denied);
                assert_eq!(closed.grpc.number(), 14);
                assert_eq!(closed.code.code(), "unavailable");
                let handed = Rejection::unavailable(&outage, door, OnUnavailable::Gateway);
                assert_eq!(handed.status, RejectStatus::ServiceUnavailable);
                assert_eq!(handed.finality, Finality::Failed);
            }
        }
    }

    /// RFC 6750 §3 and §3.1.
    #[test]
    fn challenges() {
        for &reason in DenyReason::ALL {
            let denial = Denial {
                reason,
                scope: Some("orders:write".into()),
            };
            let rejection = Rejection::denied(&denial, Door::ForwardAuth);
            let expected = match reason.kind() {
                DenyKind::NoCredentials => Some(Challenge::NoCredentials),
                DenyKind::InvalidToken if reason == DenyReason::TokenExpired => {
                    Some(Challenge::ExpiredToken)
                }
                DenyKind::InvalidToken => Some(Challenge::InvalidToken),
                DenyKind::Forbidden => (reason == DenyReason::ScopesMissing)
                    .then_some(Challenge::InsufficientScope(Some("orders:write"))),
                DenyKind::Unreadable => {
                    (reason == DenyReason::CredentialsSeveral).then_some(Challenge::InvalidRequest)
                }
            };
            assert_eq!(rejection.challenge, expected, "{reason:?}");
        }
    }

    #[test]
    fn retry_after_rounds_up() {
        for (wait, seconds) in [(0, 1), (1, 1), (999, 1), (1000, 1), (1001, 2), (30_000, 30)] {
            let outage = Outage {
                reason: OutageReason::KeysUnavailable,
                retry_after: Duration::from_millis(wait),
            };
            let rejection = Rejection::unavailable(&outage, Door::ForwardAuth, OnUnavailable::Deny);
            assert_eq!(rejection.retry_after_seconds(), Some(seconds));
        }
    }
}
