//! Why an introspection call gave no answer: a closed list. None of these is about a caller.

use std::time::Duration;

use super::super::failure::FetchError;
use crate::domain::introspection::AnswerError;
use crate::domain::reason::{DenyReason, Outage, OutageReason};

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// It took longer than `timeout`.
    #[error("the endpoint took too long")]
    Timeout,
    /// The endpoint refused our own credentials.
    #[error("the endpoint refused our credentials")]
    Refused,
    /// The exchange failed.
    #[error("{0}")]
    Exchange(FetchError),
    /// The endpoint answered with something that is no answer.
    #[error("{0}")]
    NoAnswer(#[from] AnswerError),
    /// The answer is plain where a signed one was asked for.
    #[error("the answer is not signed")]
    NotSigned,
    /// The signed answer does not verify: the reason is that of any token.
    #[error("the signed answer does not verify")]
    Unverified(DenyReason),
    /// The keys that the signed answer needs are not there.
    #[error("the keys that signed the answer are not there")]
    Keys(Outage),
    /// Too many calls are under way or waiting.
    #[error("too many calls are under way")]
    Busy,
    /// The endpoint is being left alone.
    #[error("the endpoint failed several times in a row")]
    CircuitOpen {
        /// For how long.
        wait: Duration,
    },
    /// A defect of ours: a panic, caught.
    #[error("a defect of the asker")]
    Internal,
}

impl Failure {
    /// The stable code, for status.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Refused => "refused",
            Self::Exchange(error) => error.code(),
            Self::NoAnswer(AnswerError::Json(_)) => "not_json",
            Self::NoAnswer(AnswerError::NoVerdict) => "no_verdict",
            Self::NoAnswer(AnswerError::Member(_)) => "member_missing",
            Self::NotSigned => "not_signed",
            Self::Unverified(reason) => reason.code(),
            Self::Keys(outage) => outage.reason.code(),
            Self::Busy => "busy",
            Self::CircuitOpen { .. } => "circuit_open",
            Self::Internal => "internal_error",
        }
    }

    /// What the request is told.
    pub(super) fn outage(&self) -> Outage {
        let reason = match self {
            Self::Timeout => OutageReason::IntrospectionTimeout,
            Self::Refused => OutageReason::IntrospectionRefused,
            Self::Exchange(error) => of_exchange(error),
            Self::NoAnswer(_) | Self::NotSigned | Self::Unverified(_) => {
                OutageReason::IntrospectionUnreadable
            }
            Self::Keys(outage) => return outage.clone(),
            Self::Busy => OutageReason::IntrospectionBusy,
            Self::CircuitOpen { wait } => {
                return Outage {
                    reason: OutageReason::IntrospectionCircuitOpen,
                    // Whole seconds, so that who comes back finds the circuit ready for a probe.
                    retry_after: Duration::from_secs(wait.as_secs() + 1),
                };
            }
            Self::Internal => OutageReason::InternalError,
        };
        reason.into()
    }
}

/// What an exchange that brought no answer means.
const fn of_exchange(error: &FetchError) -> OutageReason {
    match error {
        FetchError::Dns
        | FetchError::ConnectRefused
        | FetchError::Connect
        | FetchError::Tls
        | FetchError::ConnectionLost
        | FetchError::PlainHttp
        | FetchError::Offline => OutageReason::IntrospectionUnreachable,
        FetchError::Protocol | FetchError::TooLarge => OutageReason::IntrospectionUnreadable,
        // What is named last belongs to key sets; nothing here makes one.
        FetchError::Status { .. }
        | FetchError::Redirect
        | FetchError::Timeout
        | FetchError::DiscoveryInvalid
        | FetchError::IssuerMismatch
        | FetchError::NotJson
        | FetchError::KeySet(_)
        | FetchError::NoUsableKey
        | FetchError::FileUnreadable
        | FetchError::Internal => OutageReason::IntrospectionFailed,
    }
}

impl From<DenyReason> for Failure {
    fn from(reason: DenyReason) -> Self {
        Self::Unverified(reason)
    }
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        if error == FetchError::Timeout {
            Self::Timeout
        } else {
            Self::Exchange(error)
        }
    }
}
