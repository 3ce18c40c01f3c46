//! Why a request did not pass: two closed lists, one about the caller and one about us.
//!
//! A reason's code is the same in the decision log, the metrics, the problem document and the tests.
//! "Your token is bad" ([`DenyReason`]) and "I cannot tell" ([`OutageReason`]) are different types,
//! so that neither can be answered in place of the other.

use std::sync::Arc;
use std::time::Duration;

/// What kind of "no" a [`DenyReason`] is; each door maps a kind to its wire's own answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DenyKind {
    /// The request itself is unreadable or ambiguous (400; RFC 6750 §3.1 `invalid_request`).
    Unreadable,
    /// No credentials were sent (401, a challenge without `error`; RFC 6750 §3).
    NoCredentials,
    /// The credentials are bad (401, RFC 6750 §3.1 `invalid_token`).
    InvalidToken,
    /// The credentials are good and not enough (403, RFC 6750 §3.1 `insufficient_scope`).
    Forbidden,
}

macro_rules! reasons {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident => $code:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vmeta])* $variant,)+ }

        impl $name {
            /// Every reason, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The stable code: log field, metric label, problem `code`.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }
        }
    };
}

reasons! {
    /// Why a request is denied. Each is a fact about the caller's request or token.
    DenyReason {
        /// The gateway's message cannot be decoded, or is larger than any request head.
        MessageUnreadable => "message_unreadable",
        /// A header or field that names the original request is missing.
        OriginalMissing => "original_missing",
        /// A header or field that names the original request is there more than once.
        OriginalRepeated => "original_repeated",
        /// The method is not a token (RFC 9110 §9.1).
        MethodInvalid => "method_invalid",
        /// The host is not a plain host name or address.
        HostInvalid => "host_invalid",
        /// The path can be read in more than one way (dot or empty segments, encoded separators, broken encoding).
        PathAmbiguous => "path_ambiguous",
        /// A header that the decision reads holds bytes that are not visible ASCII.
        HeaderInvalid => "header_invalid",
        /// More than one credential was sent (RFC 6750 §2).
        CredentialsSeveral => "credentials_several",
        /// A header is an alias (`_` or `.` for `-`) of an identity header or of an original-request header.
        HeaderAlias => "header_alias",
        /// `Connection` names a header that carries identity or the original request.
        HopByHop => "hop_by_hop",

        /// No credentials in any of the configured places.
        TokenMissing => "token_missing",

        /// The token is longer than `token.max_size`.
        TokenTooLarge => "token_too_large",
        /// The token is not a compact JWS of three canonical base64url parts holding JSON objects.
        TokenMalformed => "token_malformed",
        /// The token is encrypted (JWE), which no resource server of ours can read.
        TokenEncrypted => "token_encrypted",
        /// The header carries `crit`; no extension is supported (RFC 7515 §4.1.11).
        CritUnsupported => "crit_unsupported",
        /// The token's `alg` is unknown, `none`, or not among the issuer's `algorithms`.
        AlgorithmForbidden => "algorithm_forbidden",
        /// The `typ` header, or what the claims show, says that this is no access token.
        TokenTypeMismatch => "token_type_mismatch",
        /// The token has no `iss` that is one string.
        IssuerMissing => "issuer_missing",
        /// No issuer with this exact `iss` is configured.
        IssuerUnknown => "issuer_unknown",
        /// The issuer has no key with this `kid`, and said so lately.
        KidUnknown => "kid_unknown",
        /// No key of the issuer fits the token's algorithm (`kty`, `crv`, `alg`).
        KeyUnsuitable => "key_unsuitable",
        /// The signature does not verify.
        SignatureInvalid => "signature_invalid",
        /// `exp` has passed.
        TokenExpired => "token_expired",
        /// `nbf` lies ahead.
        TokenNotYetValid => "token_not_yet_valid",
        /// `iat` lies ahead.
        TokenFromFuture => "token_from_future",
        /// A required claim is missing or null.
        ClaimMissing => "claim_missing",
        /// A claim has a type or value that its definition rules out.
        ClaimInvalid => "claim_invalid",
        /// `aud` names none of the configured audiences.
        AudienceMismatch => "audience_mismatch",
        /// The token is bound to a key (`cnf`) whose proof is not checked here.
        SenderConstrained => "sender_constrained",
        /// The issuer says that the token is not active (RFC 7662 §2.2): revoked, logged out, banned, unknown.
        TokenInactive => "token_inactive",
        /// The issuer's introspection answer is about another token: its `sub`, `iss` or `exp` differs.
        IntrospectionMismatch => "introspection_mismatch",
        /// The token verifies, and was revoked.
        TokenRevoked => "token_revoked",

        /// The certificate of the gateway that asks names nobody in `client_identities`.
        PeerForbidden => "peer_forbidden",
        /// No rule matches the request.
        RuleNone => "rule_none",
        /// The principal has none of the required roles.
        RolesMissing => "roles_missing",
        /// The principal lacks a required scope.
        ScopesMissing => "scopes_missing",
        /// A required claim is absent or has another value.
        ClaimsMismatch => "claims_mismatch",
        /// The rule's `when` expression is false.
        ConditionFalse => "condition_false",
        /// The rule's `when` expression failed; a failed expression never admits.
        ConditionError => "condition_error",
        /// A claim that an identity header carries cannot be put into a header safely.
        IdentityUnsafe => "identity_unsafe",
        /// The rule asks for introspection, and the token's issuer has none configured.
        IntrospectionMissing => "introspection_missing",
    }
}

reasons! {
    /// Why no verdict could be reached. Each is a fact about us or an issuer, never about the caller.
    OutageReason {
        /// The issuer's keys were never had, or are older than `max_stale`.
        KeysUnavailable => "keys_unavailable",
        /// The token's `kid` is unknown and the issuer could not be asked about it.
        KidUndetermined => "kid_undetermined",
        /// The introspection endpoint did not answer within `introspection.timeout`.
        IntrospectionTimeout => "introspection_timeout",
        /// The introspection endpoint refused our own credentials (401 or 403).
        IntrospectionRefused => "introspection_refused",
        /// The introspection endpoint cannot be reached, or the connection broke.
        IntrospectionUnreachable => "introspection_unreachable",
        /// The introspection endpoint answered with an error, or pointed elsewhere.
        IntrospectionFailed => "introspection_failed",
        /// The introspection endpoint answered with something that is no answer, or not a signed one where that is due.
        IntrospectionUnreadable => "introspection_unreadable",
        /// The introspection endpoint failed several times in a row and is not asked for a moment.
        IntrospectionCircuitOpen => "introspection_circuit_open",
        /// More introspection calls are under way or waiting than `introspection.max_concurrent` allows.
        IntrospectionBusy => "introspection_busy",
        /// More decisions are under way than `limits.in_flight` allows.
        Overloaded => "overloaded",
        /// The rule demands every replica's revocations, and this one has not followed them for `max_lag`.
        RevocationsBehind => "revocations_behind",
        /// The decision took longer than `deadline`.
        DeadlineExceeded => "deadline_exceeded",
        /// A defect of ours: a panic, caught.
        InternalError => "internal_error",
    }
}

impl DenyReason {
    /// What kind of "no" this is.
    #[must_use]
    pub const fn kind(self) -> DenyKind {
        match self {
            Self::MessageUnreadable
            | Self::OriginalMissing
            | Self::OriginalRepeated
            | Self::MethodInvalid
            | Self::HostInvalid
            | Self::PathAmbiguous
            | Self::HeaderInvalid
            | Self::CredentialsSeveral
            | Self::HeaderAlias
            | Self::HopByHop => DenyKind::Unreadable,
            Self::TokenMissing => DenyKind::NoCredentials,
            Self::TokenTooLarge
            | Self::TokenMalformed
            | Self::TokenEncrypted
            | Self::CritUnsupported
            | Self::AlgorithmForbidden
            | Self::TokenTypeMismatch
            | Self::IssuerMissing
            | Self::IssuerUnknown
            | Self::KidUnknown
            | Self::KeyUnsuitable
            | Self::SignatureInvalid
            | Self::TokenExpired
            | Self::TokenNotYetValid
            | Self::TokenFromFuture
            | Self::ClaimMissing
            | Self::ClaimInvalid
            | Self::AudienceMismatch
            | Self::SenderConstrained
            | Self::TokenInactive
            | Self::IntrospectionMismatch
            | Self::TokenRevoked => DenyKind::InvalidToken,
            Self::PeerForbidden
            | Self::RuleNone
            | Self::RolesMissing
            | Self::ScopesMissing
            | Self::ClaimsMismatch
            | Self::ConditionFalse
            | Self::ConditionError
            | Self::IdentityUnsafe
            | Self::IntrospectionMissing => DenyKind::Forbidden,
        }
    }
}

/// A "no" about the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// Why.
    pub reason: DenyReason,
    /// The scopes that the rule asks for, space-separated: RFC 6750 §3 lets the caller know them.
    pub scope: Option<Arc<str>>,
}

impl From<DenyReason> for Denial {
    fn from(reason: DenyReason) -> Self {
        Self {
            reason,
            scope: None,
        }
    }
}

/// An "I cannot tell": never the caller's fault, never a reason to log a user out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// What is missing.
    pub reason: OutageReason,
    /// When asking again may help (RFC 9110 §10.2.3 `Retry-After`).
    pub retry_after: Duration,
}

impl From<OutageReason> for Outage {
    /// One second: the first retry of a key refresh comes about then.
    fn from(reason: OutageReason) -> Self {
        Self {
            reason,
            retry_after: Duration::from_secs(1),
        }
    }
}

/// Why verification gave no principal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The caller's token is bad.
    Deny(Denial),
    /// We cannot tell.
    Unavailable(Outage),
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        Self::Deny(denial)
    }
}

impl From<DenyReason> for Refusal {
    fn from(reason: DenyReason) -> Self {
        Self::Deny(reason.into())
    }
}

impl From<OutageReason> for Refusal {
    fn from(reason: OutageReason) -> Self {
        Self::Unavailable(reason.into())
    }
}
